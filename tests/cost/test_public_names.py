"""The names of `aistrale.cost`: they load at first use, and all of them are there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import aistrale.cost

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", aistrale.cost.__all__)
def test_a_public_name_is_there(name):
    assert getattr(aistrale.cost, name) is not None
    assert name in dir(aistrale.cost)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing"):
        aistrale.cost.nothing  # noqa: B018


def test_importing_the_package_loads_nothing_else():
    code = "import sys, aistrale.cost; print(sum(name.startswith('aistrale.cost.') for name in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert run.stdout.strip() == "0"
