"""Fixtures for the tests of applications; imports nothing until one is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aistrale.testing import Simulator


@pytest.fixture
def aistrale_simulator() -> Iterator[Simulator]:
    """A fresh simulator of the five providers; lead a client to it with `Client(**aistrale_simulator.settings())`."""
    from aistrale.testing import simulator

    with simulator() as running:
        yield running
