"""The official SDKs against the simulator: each test body is written once and run with the blocking and the async client."""

from __future__ import annotations

import pytest

from aistrale.testing import simulator
from tests.sdks.judging import Judge


@pytest.fixture(scope="session")
def running():
    with simulator() as sim:
        yield sim


@pytest.fixture
def sim(running):
    running.reset()
    return running


@pytest.fixture(params=["sync", "async"])
def judge(request):
    return Judge(request.param)
