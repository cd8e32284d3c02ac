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


@pytest.fixture
def aistrale_simulated_environ() -> Iterator[Simulator]:
    """The same with the environment variables set, so that code that makes its own clients is led to it.

    The process-wide client of aistrale is shut down before and after, since it keeps what it once read.
    """
    from aistrale.testing import simulator

    _forget()
    with simulator(environ=True) as running:
        yield running
        _forget()


def _forget() -> None:
    import sys

    default = sys.modules.get("aistrale.default")
    if default is not None:
        default.shutdown()
