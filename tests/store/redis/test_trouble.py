"""A Redis that is half there: it forgets, refuses one thing and takes another, or has a name that nobody can look up."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time

import aistrale
from aistrale.testing import simulator
from tests.store.redis.quiet import QuietFleet, until


def test_a_name_that_is_looked_up_for_ever_holds_up_neither_a_call_nor_the_end(monkeypatch):
    real, over = socket.getaddrinfo, threading.Event()

    def looked_up(host, *args, **kwargs):
        if host == "redis.example":
            over.wait(30.0)
            raise socket.gaierror(socket.EAI_AGAIN, "try again later")
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    with simulator() as sim:
        client = aistrale.Client(
            **sim.settings(), ledger="off", state="redis://redis.example", limits={"default": {"rpm": 6000}}
        )
        began = time.monotonic()
        assert client.run("Hello", max_tokens=5).text
        assert client.run("Hello", max_tokens=5).text
        assert "no connection within" in client.state().last_error
        client.close()
        took = time.monotonic() - began
        over.set()
    # A quarter second for the call, one for the thread that does not end.
    assert took < 5.0


def test_a_redis_that_forgot_all_does_not_make_the_first_one_back_the_only_one(server):
    one, two = (QuietFleet(f"{server.url}?prefix=x&timeout=2") for _ in range(2))
    for fleet in (one, two, one):
        fleet.connection.ready()
        fleet._sign(join=False)
    assert one.connection.processes == 2
    server.kill()
    server.start()
    one.connection.failed(ConnectionError())
    assert one.back()
    # The other has not noticed yet: half of everything is still its own.
    one._sign(join=False)
    assert one.connection.processes == 2
    one._joined_at -= 10.0
    one._sign(join=False)
    assert one.connection.processes == 1
    for fleet in (one, two):
        fleet.drop()


def test_a_redis_that_takes_everything_but_one_thing_does_not_keep_calls_from_going(server, caplog):
    import redis

    caplog.set_level(logging.INFO, "aistrale.state")
    direct = redis.Redis(unix_socket_path=str(server.path))
    with simulator() as sim, aistrale.Client(
        **sim.settings(), ledger="off", limits={"default": {"rpm": 1200, "burst": 0.001}},
        state=f"{server.url}?prefix=half&timeout=2",
    ) as client:  # fmt: skip
        client.run("Hello", max_tokens=5)
        assert until(lambda: client.state().connected)
        (key,) = direct.keys("*:rate:*")
        direct.delete(key)
        direct.set(key, "not a bucket")
        began = time.monotonic()
        for _ in range(30):
            client.run("Hello", max_tokens=5)
        took, errors = time.monotonic() - began, client.state().errors
        direct.delete(key)
        # What it saved up alone meanwhile, it has spent: 20 a second.
        assert 1.0 < took < 4.0
        assert 0 < errors < 10
        assert len(caplog.records) <= 2
        assert until(lambda: client.state().connected)
    direct.close()


def test_what_the_listening_thread_does_last_starts_no_other_one(tmp_path):
    begun = threading.Event()

    class Busy(QuietFleet):
        def tick(self):
            begun.set()
            stop = self._listener._stop
            stop.wait(10.0)
            # As when it tells of something in the very moment in which the client is closed.
            self._listener.start()
            return 1.0

    fleet = Busy(f"unix://{tmp_path}/none.sock")
    before = set(threading.enumerate())
    fleet._listener.start()
    assert begun.wait(10.0)
    fleet.close()
    assert not [each for each in set(threading.enumerate()) - before if each.name == "aistrale-fleet"]


def test_who_ends_while_redis_is_left_alone_tells_it_all_the_same(server):
    url = f"{server.url}?prefix=end&timeout=2"
    with simulator() as sim:
        settings = {**sim.settings(), "ledger": "off", "budgets": [{"limit": "5", "period": "day"}], "state": url}
        one = aistrale.Client(**settings)
        one.run("Hello", max_tokens=5)
        assert until(lambda: one.state().connected)
        fleet = one._engine.fleet
        fleet._listener.close()
        fleet._listener.start = lambda: None
        one.run("Hello", max_tokens=5)
        fleet.connection.failed(ConnectionError("for a moment"))
        spent = one.budgets()[0].spent
        one.close()
        assert one.state().pending == 0
        with aistrale.Client(**settings) as two:
            two.run("Hello", max_tokens=5)
            assert two.budgets()[0].spent >= spent
            assert two.budgets()[0].in_flight <= 1


def test_threads_that_the_loop_has_for_everybody_may_be_busy(server):
    async def runs():
        settings = {
            "ledger": "off",
            "state": f"{server.url}?prefix=busy&timeout=2",
            "limits": {"default": {"rpm": 6000}},
        }
        async with aistrale.AsyncClient(**sim.settings(), **settings) as client:
            await client.run("Hello", max_tokens=5)
            assert client.state().connected
            over = threading.Event()
            busy = [asyncio.ensure_future(asyncio.to_thread(over.wait, 30.0)) for _ in range(64)]
            await asyncio.sleep(0)
            try:
                await asyncio.wait_for(client.run("Hello", max_tokens=5), 10.0)
                assert client.state().errors == 0
            finally:
                over.set()
                await asyncio.gather(*busy)

    with simulator() as sim:
        asyncio.run(runs())
