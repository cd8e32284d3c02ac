"""The fault matrix: rows 1 to 100 of what can go wrong between a client and a provider, on loopback."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.faults.play", "tests.faults.matrix")

from tests.faults import play as playing  # noqa: E402 - after its asserts were rewritten
from tests.faults.servers import FAULT_SERVER, FaultServer  # noqa: E402


@pytest.fixture(scope="session")
def shared_server():
    """One fault server for all tests of this process."""
    if not FAULT_SERVER.exists():
        pytest.skip("../shared/fault_server.py is not there")
    server = FaultServer()
    yield server
    server.close()


@pytest.fixture
def server(shared_server):
    """The fault server, with nothing counted yet."""
    shared_server.reset()
    return shared_server


@pytest.fixture
def play(server, tmp_path):
    """`play(case, streamed)` plays a case in all its modes and checks the invariants; the runs."""

    def run(case, streamed, **more):
        return playing.play(case, server, tmp_path, streamed=streamed, **more)

    return run
