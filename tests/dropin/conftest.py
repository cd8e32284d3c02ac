from __future__ import annotations

import pytest

from aistrale.testing import simulator


@pytest.fixture(scope="session")
def running():
    with simulator() as sim:
        yield sim


@pytest.fixture
def sim(running):
    running.reset()
    return running
