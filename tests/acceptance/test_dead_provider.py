"""A provider dies, throttles or hangs: what the defaults make of it, blocking and async, whole and streamed."""

from __future__ import annotations

import asyncio
import time

import pytest

import aistrale
from aistrale.core.runtime import run_sync
from aistrale.errors import AllTargetsFailed, CircuitOpen, DeadlineExceeded, QuotaExceededError
from aistrale.testing import Fault, Slow

ONE, TWO = "openai/gpt-5-mini", "anthropic/claude-haiku-4-5"
ROUTE = {"routes": {"chat": [ONE, TWO]}, "default_route": "chat"}


@pytest.fixture(params=["blocking", "async"])
def face_kind(request):
    return request.param


@pytest.fixture(params=["whole", "streamed"])
def ask(request, face_kind, sim):
    """Ask a client of its own a list of questions; the answers or errors."""
    streamed = request.param == "streamed"

    def asked(count=1, **settings):
        client = aistrale.Client(**sim.settings(), **settings)
        outcomes = []

        async def one():
            if face_kind == "blocking":
                return client.stream("Hi").result() if streamed else client.run("Hi")
            face = client.as_async()
            return await (face.stream("Hi").result() if streamed else face.run("Hi"))

        async def body():
            for _ in range(count):
                try:
                    outcomes.append(await one())
                except aistrale.AistraleError as error:
                    outcomes.append(error)
            if face_kind == "async":
                await client.as_async().close()

        run_sync(body()) if face_kind == "blocking" else asyncio.run(body())
        client.close()
        client.ledger.close()
        return outcomes

    return asked


def sent(sim, provider):
    return sum(request.provider == provider for request in sim.requests)


def test_of_twenty_calls_at_most_three_are_wasted_on_a_dead_primary(ask, sim):
    sim.outage("openai", Fault(status=500))
    answers = ask(20, **ROUTE)
    assert [answer.provider for answer in answers] == ["anthropic"] * 20
    assert sent(sim, "openai") <= 3


def test_a_throttled_primary_is_not_waited_for(ask, sim):
    sim.outage("openai", Fault(status=429, retry_after=2))
    began = time.monotonic()
    (answer,) = ask(1, **ROUTE)
    assert answer.provider == "anthropic"
    assert time.monotonic() - began < 1.9


def test_a_hanging_provider_is_left_at_the_deadline(ask, sim):
    sim.outage("openai", Slow(headers=5.0))
    (error,) = ask(1, model=ONE, timeout=0.3)
    assert isinstance(error, DeadlineExceeded)


def test_a_hanging_primary_leaves_time_for_the_next_target(ask, sim):
    sim.outage("openai", Slow(headers=5.0))
    (answer,) = ask(1, **ROUTE, timeout=1.0)
    assert answer.provider == "anthropic"
    assert [attempt.error for attempt in answer.attempts] == ["AttemptTimeout", None]


def test_when_everything_is_down_one_error_lists_every_attempt(ask, sim):
    sim.outage(step=Fault(status=500))
    (error,) = ask(1, **ROUTE, retry={"base": 0.001})
    assert isinstance(error, AllTargetsFailed)
    assert len(error.exceptions) == len(error.attempts) == sent(sim, "openai") + sent(sim, "anthropic")


def test_an_only_target_that_is_down_is_soon_left_alone(ask, sim):
    sim.outage("openai", Fault(status=500))
    errors = ask(30, model=ONE, retry={"base": 0.001})
    assert isinstance(errors[-1], CircuitOpen)
    # A run of three may be chance, and there is nowhere else to go: it takes eight in a row, and the log of the calls.
    assert sent(sim, "openai") <= 10


def test_an_empty_purse_is_not_asked_again(ask, sim):
    sim.outage("openai", Fault(status=402))
    errors = ask(5, model=ONE)
    assert all(isinstance(error, QuotaExceededError) for error in errors)
    assert sent(sim, "openai") == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_the_callers_mistake_is_raised_at_once(ask, sim, status):
    sim.outage("openai", Fault(status=status))
    (error,) = ask(1, **ROUTE)
    assert error.status == status
    assert (sent(sim, "openai"), sent(sim, "anthropic")) == (1, 0)


def test_the_last_thing_that_helps_is_a_canned_answer(ask, sim):
    sim.outage(step=Fault(status=500))
    (answer,) = ask(1, **ROUTE, retry={"base": 0.001}, degrade={"steps": ["canned"], "canned": "Later, please."})
    assert (answer.text, answer.degraded, answer.cost.usd) == ("Later, please.", "canned", 0)
    assert {attempt.outcome for attempt in answer.attempts} == {"error"}
