"""Clients with shared state, from outside: what they do with Redis, without it, and at their end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import httpx
import pytest

import aistrale
from aistrale.errors import BudgetExceeded, CircuitOpen, ConfigurationError, ServerError
from aistrale.store.redis.fleet import Fleet
from aistrale.testing import simulator
from tests.servers.redis import RedisServer, needs_redis
from tests.store.redis.quiet import until

NAMES = count()
BUDGET = {"budgets": [{"limit": "5", "period": "day"}], "ledger": "off"}
PACED = {"limits": {"default": {"rpm": 60_000, "burst": 1}}}


@pytest.fixture(scope="module")
def sim():
    with simulator() as running:
        yield running


@pytest.fixture
def clients(sim):
    made = []

    def make(url, **settings):
        client = aistrale.Client(**{**sim.settings(), "ledger": "off", **settings}, state=url)
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


def named(server, more=""):
    return f"{server.url}?prefix=f{next(NAMES)}{more}"


def connected(client):
    return until(lambda: client.state().connected)


def test_two_clients_share_what_they_spend(clients, lasting):
    url = named(lasting, "&timeout=2")
    one, two = clients(url, **BUDGET), clients(url, **BUDGET)
    one.run("Hello", max_tokens=50)
    two.run("Hello again", max_tokens=50)
    assert one.flush()
    assert two.flush()
    (spent,) = {client.budgets()[0].spent for client in (one, two)}
    assert spent > 0
    assert one.budgets()[0].in_flight == 0
    assert until(lambda: one.state().processes == 2)


def test_a_budget_that_is_spent_is_spent_for_all(clients, lasting):
    url = named(lasting, "&timeout=2")
    settings = {"budgets": [{"limit": "0.00001", "period": "day"}]}
    one, two = clients(url, **settings), clients(url, **settings)
    one.run("Hello", max_tokens=5)
    one.flush()

    def spends():
        two.run("Hello", max_tokens=5)
        two.flush()
        return False

    with pytest.raises(BudgetExceeded):
        until(spends)


def test_answers_are_remembered_for_all_and_by_the_setting(clients, lasting):
    url = named(lasting, "&timeout=2")
    one, two = clients(url, cache=True), clients(url, cache=True)
    alone = clients(url, cache={"store": "memory"})
    first = one.run("What is remembered?")
    assert one.flush()
    assert two.run("What is remembered?").degraded == "cache"
    assert two.run("What is remembered?").text == first.text
    assert alone.run("What is remembered?").degraded is None
    assert "redis, fresh for 300 s" in one.pipeline.describe()
    assert "memory, fresh" in alone.pipeline.describe()


def test_a_store_that_is_not_there_is_refused(sim):
    with pytest.raises(ConfigurationError, match=r"cache\.store"):
        aistrale.Client(**sim.settings(), cache={"store": "redis"})


def test_memory_has_a_status_too(sim):
    with aistrale.Client(**sim.settings(), ledger="off") as client:
        status = client.state()
    assert (status.kind, status.connected, status.processes, status.pending) == ("memory", True, 1, 0)


# --- Redis that is away ----------------------------------------------------------------------------------------------


def test_a_redis_that_is_not_there_stops_nothing_and_is_told_once(clients, tmp_path, caplog):
    caplog.set_level(logging.INFO, "aistrale.state")
    client = clients(f"unix://{tmp_path}/none.sock", **BUDGET, **PACED, cache=True)
    for at in range(5):
        assert client.run(f"Hello {at}", max_tokens=5).text
    status = client.state()
    assert not status.connected
    assert status.errors
    assert "ConnectionError" in status.last_error
    assert len([each for each in caplog.records if each.levelno >= logging.WARNING]) == 1


def test_killed_and_back_it_goes_on_and_forgets_nothing(clients, server, caplog):
    caplog.set_level(logging.INFO, "aistrale.state")
    client = clients(named(server), **BUDGET, **PACED)
    client.run("Hello", max_tokens=5)
    assert connected(client)
    server.kill()
    client.run("Hello", max_tokens=5)
    assert until(lambda: not client.state().connected)
    client.run("Hello", max_tokens=5)
    spent = client.budgets()[0].spent
    assert client.budgets()[0].note.startswith("Redis is away")
    server.start()
    assert connected(client)
    assert until(lambda: client.state().pending == 0)
    client.run("Hello", max_tokens=5)
    assert client.flush()
    assert client.budgets()[0].spent == pytest.approx(spent / 3 * 4)
    assert [each.levelname for each in caplog.records if "Redis" in each.message] == ["WARNING", "INFO"]


def test_a_redis_that_hangs_holds_a_call_up_for_a_moment_once(clients, server):
    client = clients(named(server), **BUDGET, **PACED, cache=True)
    client.run("warm up", max_tokens=5)
    assert connected(client)
    server.hang()
    try:
        took = []
        for at in range(6):
            began = time.monotonic()
            client.run(f"Hello {at}", max_tokens=5)
            took.append(time.monotonic() - began)
        assert not client.state().connected
        assert "no answer within 0.05 s" in client.state().last_error
        # Three pieces of state would each have waited; the first that did so spoke for all.
        assert sum(took) < 1.0
    finally:
        server.go_on()
    assert connected(client)
    assert client.flush()


def test_an_event_loop_is_not_held_up_by_a_redis_that_hangs(sim, server):
    longest = 0.0

    async def watch():
        nonlocal longest
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.005)
            longest = max(longest, time.monotonic() - began - 0.005)

    async def work():
        settings = {**sim.settings(), **BUDGET, **PACED}
        async with aistrale.AsyncClient(**settings, state=named(server, "&timeout=0.4")) as client:
            await asyncio.gather(*(client.run(f"warm up {at}", max_tokens=5) for at in range(4)))
            await asyncio.to_thread(connected, client)
            watching = asyncio.create_task(watch())
            await asyncio.sleep(0.05)
            server.hang()
            try:
                answers = await asyncio.gather(*(client.run(f"Hello {at}", max_tokens=5) for at in range(4)))
                down = not client.state().connected
            finally:
                server.go_on()
            watching.cancel()
            return answers, down

    answers, down = asyncio.run(work())
    assert len(answers) == 4
    assert down
    assert longest < 0.3


@needs_redis
def test_a_wrong_password_is_said_and_never_shown(clients, tmp_path_factory, caplog):
    server = RedisServer(tmp_path_factory.mktemp("r"), "--requirepass", "right-one").start()
    try:
        wrong = clients(f"unix://:hunter2@{server.path}")
        wrong.run("Hello")
        assert until(lambda: wrong.state().last_error)
        assert "AuthenticationError" in wrong.state().last_error
        assert "hunter2" not in f"{caplog.text} {wrong.state()} {wrong._engine.settings}"
        right = clients(f"unix://:right-one@{server.path}")
        right.run("Hello")
        assert connected(right)
    finally:
        server.stop()


@needs_redis
def test_a_cluster_is_refused_in_words(clients, tmp_path_factory):
    pytest.importorskip("redis")
    server = RedisServer(tmp_path_factory.mktemp("r"), "--cluster-enabled", "yes", "--port", "0")
    try:
        server.start()
    except AssertionError:
        pytest.skip("this redis-server starts no cluster without a port")
    try:
        client = clients(server.url)
        client.run("Hello")
        assert until(lambda: client.state().last_error)
        assert "Redis Cluster is not supported" in client.state().last_error
    finally:
        server.stop()


def test_a_replica_that_takes_nothing_is_no_help(clients, lasting, server):
    redis = pytest.importorskip("redis")
    with redis.Redis(unix_socket_path=str(server.path)) as admin:
        admin.config_set("maxmemory", "1")
        admin.config_set("maxmemory-policy", "noeviction")
        client = clients(named(server), **BUDGET)
        assert client.run("Hello", max_tokens=5).text
        assert until(lambda: client.state().last_error)
        assert "OutOfMemory" in client.state().last_error
        admin.config_set("maxmemory", "0")
    assert connected(client)


# --- breakers, by way of calls ---------------------------------------------------------------------------------------


class Provider(httpx.BaseTransport):
    """Fails, or answers when it is let; counts who is with it."""

    def __init__(self):
        self.fails, self.lets, self.asked = True, threading.Event(), 0

    def handle_request(self, request):
        self.asked += 1
        if self.fails:
            return httpx.Response(500, json={"error": {"message": "down"}})
        assert self.lets.wait(20.0)
        message = {"role": "assistant", "content": "Hello"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}
        body = {"id": "x", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage}
        return httpx.Response(200, json=body)


def test_one_call_of_all_processes_finds_out_whether_a_target_is_back(clients, lasting):
    url, provider = named(lasting, "&timeout=2"), Provider()
    settings = {
        "transport": provider,
        "http": "httpx",
        "retry": False,  # who retries also waits for an open breaker
        "breaker": {"base": 1.0, "cap": 1.0, "trickle": 1000.0},
        "providers": {"openai": {"api_key": "sk-000000000000000000000000"}},
    }
    one, two = clients(url, **settings), clients(url, **settings)

    def ask(client):
        return client.run("Hello", model="openai/m")

    def state(client):
        return next((each.state for each in client.breakers().values()), None)

    with pytest.raises(ServerError):
        ask(two)
    assert connected(two)
    while state(one) != "open":
        with contextlib.suppress(ServerError):
            ask(one)
    # It heard it at once, and calls that have nowhere else to go heed it as well.
    assert until(lambda: state(two) == "open")
    asked = provider.asked
    with pytest.raises(CircuitOpen):
        ask(two)
    assert provider.asked == asked
    provider.fails = False
    assert until(lambda: state(one) == state(two) == "half_open")
    with ThreadPoolExecutor() as pool:
        probe = pool.submit(ask, one)
        assert until(lambda: provider.asked == asked + 1)
        with pytest.raises(CircuitOpen, match="probed elsewhere"):
            ask(two)
        provider.lets.set()
        assert probe.result().text == "Hello"
    ask(one)
    assert until(lambda: state(two) == "closed")
    assert ask(two).text == "Hello"


# --- the end of a client ---------------------------------------------------------------------------------------------


def test_closed_it_leaves_nothing_and_may_be_used_again(clients, lasting):
    url = named(lasting, "&timeout=2")
    before = set(threading.enumerate())
    client = clients(url, **BUDGET)
    client.run("Hello", max_tokens=5)
    assert connected(client)
    client.close()
    assert not [each for each in set(threading.enumerate()) - before if "aistrale-fleet" in each.name]
    other = Fleet(url)
    other.start()
    assert until(lambda: other.connection.joined)
    assert other.connection.processes == 1
    client.run("Hello", max_tokens=5)
    assert until(lambda: other.connection.processes == 2)
    other.close()


def test_one_that_is_forgotten_leaves_no_thread(sim, lasting):
    client = aistrale.Client(**sim.settings(), **BUDGET, **PACED, state=named(lasting, "&timeout=2"))
    client.run("Hello", max_tokens=5)
    assert connected(client)
    fleet = weakref.ref(client._engine.fleet)
    thread = client._engine.fleet._listener._thread
    del client

    def gone():
        gc.collect()
        return fleet() is None and not thread.is_alive()

    assert until(gone)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_both_sides_of_a_fork_go_on(clients, lasting):
    client = clients(named(lasting, "&timeout=2"), **BUDGET, cache=True)
    client.run("Hello", max_tokens=5)
    assert connected(client)
    assert client.flush()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            client.run("Hello from the child", max_tokens=5)
            done = client.flush() and until(lambda: client.state().processes == 2)
            os.write(writing, b"y" if done and client.state().connected and client.budgets()[0].spent > 0 else b"n")
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reading, 1) == b"y"
    os.close(reading)
    os.close(writing)
    before = client.budgets()[0].spent
    client.run("Hello from the parent", max_tokens=5)
    assert client.flush()
    assert client.budgets()[0].spent > before
    assert client.state().errors == 0


def test_without_the_library_the_extra_is_named(sim):
    code = (
        "import sys; sys.modules['redis'] = None\n"
        "import aistrale\n"
        "try:\n    aistrale.Client(state='redis://127.0.0.1', ledger='off')\n"
        "except ImportError as error:\n    print(error)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 'pip install "aistrale[redis]"' in out


def test_a_client_without_it_loads_nothing_of_it(sim):
    code = (
        "import sys, aistrale\n"
        "client = aistrale.Client(ledger='off')\n"
        "print([name for name in sys.modules if 'redis' in name])\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("state", ["redis://h/x", "redis://h?prefix=a b", "unix://", "redis://:hunter2@h?timeout=0"])
def test_an_address_that_is_not_understood_is_refused_at_once(sim, state):
    with pytest.raises(ConfigurationError) as caught:
        aistrale.Client(**sim.settings(), state=state)
    assert caught.value.field == "state"
    assert "hunter2" not in str(caught.value)
