"""The official SDKs against the simulator: each test body is written once, and run with the blocking and the async
client, and once more with each under `aistrale.init()`, where it must get the same."""

from __future__ import annotations

import pytest

from aistrale.testing import simulator
from tests.sdks.judging import Judge
from tests.sdks.observed import Comparing


@pytest.fixture(scope="session")
def running():
    with simulator() as sim:
        yield sim


@pytest.fixture
def sim(running):
    running.reset()
    return running


@pytest.fixture(params=["sync", "async", "sync, same under init", "async, same under init"])
def judge(request, sim, tmp_path):
    colour, _, covered = request.param.partition(", ")
    return Comparing(colour, sim, tmp_path) if covered else Judge(colour)
