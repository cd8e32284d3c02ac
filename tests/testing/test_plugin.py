from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import aistrale
import aistrale.testing

ROOT = Path(__file__).resolve().parents[2]
LOADED = """
import sys, pytest
before = set(sys.modules)
import aistrale.testing.pytest_plugin
new = {name for name in set(sys.modules) - before}
print(sorted(name for name in new if name.partition(".")[0] == "aistrale"))
print(sorted({name.partition(".")[0] for name in new} & {"h11", "httpx", "httpx2", "asyncio", "pydantic"}))
"""


def test_each_test_gets_a_simulator_of_its_own(aistrale_simulator):
    assert aistrale_simulator.requests == []
    with aistrale.Client(**aistrale_simulator.settings(), ledger="off") as client:
        client.run("Hello", model="openai/m")
    assert len(aistrale_simulator.requests) == 1


def test_code_that_makes_its_own_clients_is_led_to_it(aistrale_simulated_environ):
    assert os.environ["ANTHROPIC_BASE_URL"] == aistrale_simulated_environ.base_url("anthropic")
    assert aistrale.run("Hello", model="anthropic/claude-haiku-4-5").text == "This is a simulated answer to: Hello"
    assert len(aistrale_simulated_environ.requests) == 1


def test_it_loads_nothing_for_those_who_do_not_use_it():
    done = subprocess.run(
        [sys.executable, "-c", LOADED], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    loaded, heavy = done.stdout.splitlines()
    assert set(eval(loaded)) <= {"aistrale", "aistrale._version", "aistrale.testing", "aistrale.testing.pytest_plugin"}  # noqa: S307
    assert heavy == "[]"


def test_the_public_names_load():
    for name in aistrale.testing.__all__:
        assert getattr(aistrale.testing, name) is not None
    assert set(aistrale.testing.__all__) <= set(dir(aistrale.testing))
    with pytest.raises(AttributeError, match="fault"):
        _ = aistrale.testing.fault
