from __future__ import annotations

import pytest

from tests.servers.redis import PROGRAM, REASON, RedisServer


@pytest.fixture
def server(tmp_path_factory):
    """A Redis of this test alone, to be killed and started at will."""
    if PROGRAM is None:
        pytest.skip(REASON)
    redis = pytest.importorskip("redis")
    started = RedisServer(tmp_path_factory.mktemp("r")).start()
    client = redis.Redis(unix_socket_path=str(started.path))
    client.script_flush()
    client.close()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def lasting(tmp_path_factory):
    """A Redis for all tests of a module, none of which does it any harm; each takes a prefix of its own."""
    if PROGRAM is None:
        pytest.skip(REASON)
    pytest.importorskip("redis")
    started = RedisServer(tmp_path_factory.mktemp("r")).start()
    yield started
    started.stop()


@pytest.fixture
def processes(lasting, request):
    """Processes that share what the module is about, which says in its class `Processes` how they are started."""
    made = request.module.Processes(lasting)
    yield made
    for fleet in made.fleets:
        fleet.drop()


@pytest.fixture
def frail(server, request):
    """The same at a Redis that may be killed."""
    made = request.module.Processes(server)
    yield made
    for fleet in made.fleets:
        fleet.drop()
