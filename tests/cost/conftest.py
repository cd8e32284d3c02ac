"""Encodings that a module of tests has loaded are forgotten behind it: others expect estimates by length."""

from __future__ import annotations

import pytest

from aistrale.cost import encodings


@pytest.fixture(autouse=True, scope="module")
def _forget_encodings():
    yield
    encodings._process._ready.clear()
