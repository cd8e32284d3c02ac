"""Health, breakers, queues, warm-up and probes, as a client shows them."""

from __future__ import annotations

import asyncio
import socket
import time

import httpx
import pytest

import aistrale
from aistrale.errors import (
    AllTargetsFailed,
    AuthenticationError,
    CircuitOpen,
    ConfigurationError,
    OverloadedError,
    QuotaExceededError,
)
from aistrale.testing import Fault, simulator
from aistrale.upkeep import Probing

MODEL = "openai/gpt-5-mini"
OTHER = "anthropic/claude-haiku-4-5"


@pytest.fixture
def sim():
    with simulator() as running:
        yield running


@pytest.fixture
def client(sim):
    with aistrale.Client(**sim.settings(), routes={"chat": [MODEL, OTHER]}, retry={"base": 0.001}) as made:
        yield made
    made.ledger.close()


def test_a_target_is_known_from_its_first_call_on(client):
    assert client.health() == client.breakers() == client.queues() == {}
    client.run("Hi", model=MODEL)
    health = client.health()[MODEL]
    assert (health.score, health.samples, health.in_flight, health.state) == (100.0, 1, 0, "closed")
    assert client.breakers()[MODEL].state == "closed"
    assert client.queues()[MODEL].in_flight == 0


def test_failures_lower_the_score_open_the_breaker_and_the_route_goes_on(sim, client):
    sim.outage("openai")
    for _ in range(5):
        assert client.run("Hi", route="chat").provider == "anthropic"
    assert sum(request.provider == "openai" for request in sim.requests) == 3
    assert client.breakers()[MODEL].state == "open"
    assert client.health()[MODEL].score < 50
    assert client.health()[OTHER].score == 100


@pytest.mark.parametrize(("status", "word"), [(401, "rejected"), (402, "quota")])
def test_a_key_that_is_not_used_is_shown_where_one_looks_for_why_nothing_is_sent(sim, client, status, word):
    sim.script(Fault(status=status))
    for _ in range(2):
        with pytest.raises((AuthenticationError, QuotaExceededError)):
            client.run("Hi", model=MODEL)
    snapshot = client.breakers()[MODEL]
    assert (snapshot.state, snapshot.key) == ("closed", word)
    assert snapshot.key_until is not None
    assert snapshot.key_until > time.monotonic()
    assert client.health()[MODEL].state == "open"
    assert client.run("Hi", model=OTHER).provider == "anthropic"
    assert (client.breakers()[OTHER].key, client.breakers()[OTHER].key_until) == (None, None)


def test_a_call_in_flight_is_counted(client):
    with client.stream("one two three", model=MODEL) as stream:
        next(stream)
        assert client.health()[MODEL].in_flight == client.queues()[MODEL].in_flight == 1
        stream.result()
    assert client.health()[MODEL].in_flight == client.queues()[MODEL].in_flight == 0


def test_a_breaker_can_be_forced_and_released(sim, client):
    client.force_breaker(MODEL, "open")
    with pytest.raises(CircuitOpen) as caught:
        client.run("Hi", model=MODEL, deadline=1.0)
    assert caught.value.reason == "forced"
    assert client.run("Hi", route="chat").provider == "anthropic"
    client.force_breaker(MODEL, None)
    assert client.run("Hi", model=MODEL).provider == "openai"
    for target, state in ((MODEL, "ajar"), ("nobody", "open")):
        with pytest.raises(ConfigurationError):
            client.force_breaker(target, state)


def test_changes_of_state_are_events(sim):
    seen = []
    settings = {"retry": False, "breaker": {"last_in_a_row": 3}}
    with aistrale.Client(**sim.settings(), **settings, on_event=seen.append) as client:
        sim.outage()
        for _ in range(3):
            with pytest.raises(OverloadedError):
                client.run("Hi", model=MODEL)
    client.ledger.close()
    assert [(event.breaker, event.before, event.after) for event in seen] == [(MODEL, "closed", "open")]


def test_an_error_lists_every_attempt(sim, client):
    sim.outage()
    with pytest.raises(AllTargetsFailed) as caught:
        client.run("Hi", route="chat")
    assert {attempt.provider for attempt in caught.value.attempts} == {"openai", "anthropic"}
    assert all(attempt.status in {503, 529} for attempt in caught.value.attempts)


def test_an_error_of_a_single_attempt_lists_it_too(sim, client):
    sim.script(Fault(status=400))
    with pytest.raises(aistrale.errors.InvalidRequestError) as refused:
        client.run("Hi", model=OTHER)
    assert [attempt.status for attempt in refused.value.attempts] == [400]


def test_the_first_call_uses_the_connection_of_the_warm_up(sim, client):
    warmed = client.warmup("chat")
    assert [entry.problem for entry in warmed] == [None] * len(warmed)
    opened = client._engine.sync_runtime().http.stats()["opened"]
    client.run("Hi", model=MODEL)
    assert client._engine.sync_runtime().http.stats()["opened"] == opened


def test_warm_up_sends_no_key():
    seen = []

    def handler(request):
        seen.append(request)
        return httpx.Response(404)

    keys = {"openai": {"api_key": "key-1"}, "anthropic": {"api_key": "key-2"}}
    with aistrale.Client(providers=keys, transport=httpx.MockTransport(handler), http="httpx", ledger="off") as client:
        client.warmup(MODEL, OTHER)
    assert [(request.method, request.url.host) for request in seen] == [
        ("HEAD", "api.openai.com"),
        ("HEAD", "api.anthropic.com"),
    ]
    for request in seen:
        assert not {"authorization", "x-api-key"} & set(request.headers)


def test_warm_up_works_on_an_event_loop(client):
    async def body():
        warmed = await client.as_async().warmup(MODEL)
        await client.as_async().close()
        return warmed

    assert [entry.problem for entry in asyncio.run(body())] == [None]


def test_warm_up_tells_a_problem_and_raises_nothing():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    providers = {"openai": {"api_key": "k", "base_url": f"http://127.0.0.1:{port}/v1"}}
    with aistrale.Client(providers=providers, ledger="off") as client:
        (entry,) = client.warmup(MODEL)
    assert entry.problem


def test_a_probe_is_a_small_call_with_a_row_of_its_own(sim):
    with aistrale.Client(**sim.settings(), probe=True) as client:
        client.run("Hi", model=MODEL)
        probing = Probing(client._engine)
        (target, _) = probing._watched()[MODEL]
        assert probing._send(target) is True
        sim.outage()
        assert probing._send(target) is False
        probing.close()
        client.flush()
        assert [call.name for call in client.ledger.calls(10)].count("aistrale.probe") == 2
    client.ledger.close()
