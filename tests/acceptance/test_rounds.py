"""Several exchanges behind one `run`: one deadline, tools of every kind, and waits that nobody would sit out."""

from __future__ import annotations

import asyncio
import time

import pytest

import aistrale
from aistrale.errors import CircuitOpen, ConfigurationError, DeadlineExceeded, RateLimitError
from aistrale.scope import current
from aistrale.testing import Fault, Say

MODEL = "openai/gpt-5-mini"
CALLS = Say(tool_calls=[("slow", {"place": "here"})])


@pytest.fixture
def client(sim):
    with aistrale.Client(**sim.settings()) as made:
        yield made
    made.ledger.close()


def look(place: str) -> str:
    """Look at a place."""
    return f"nothing at {place}"


async def look_async(place: str) -> str:
    """Look at a place."""
    await asyncio.sleep(0)
    return f"nothing at {place}"


class Looker:
    """A tool with a state."""

    async def __call__(self, place: str) -> str:
        """Look at a place."""
        return await look_async(place)


def slow(place: str) -> str:
    """Look at a place for longer than the deadlines of these tests."""
    time.sleep(0.6)
    return place


@pytest.mark.parametrize("way", ["option", "context"])
def test_a_deadline_spans_all_rounds_of_tools(client, sim, balance, way):
    context, option = ({"deadline": 0.5}, {}) if way == "context" else ({}, {"deadline": 0.5})
    sim.script(CALLS)
    with aistrale.context(**context), pytest.raises(DeadlineExceeded):
        client.run("Look.", model=MODEL, tools=[slow], max_tool_rounds=1, **option)
    assert len(sim.requests) == 1
    calls, _ = balance(client, 2)
    assert [call.outcome for call in calls] == ["success", "error"]


def test_the_settings_timeout_holds_for_each_round(sim, balance):
    with aistrale.Client(**sim.settings(), timeout=0.5) as client:
        sim.script(CALLS)
        answer = client.run("Look.", model=MODEL, tools=[slow], max_tool_rounds=1)
        assert len(answer.attempts) == 2
        balance(client, 2)


def test_a_session_entered_twice_leaves_no_context_behind(client):
    with client.session(user="ada") as chat:
        with chat:
            assert current().user == "ada"
        assert current().user == "ada"
    assert current().user is None


def test_names_that_others_choose_do_not_fill_the_memory(client):
    for number in range(3000):
        client._engine.target(f"openai/model-{number}")
    assert len(client._engine._targets) <= 1024


def test_an_async_tool_is_refused_by_a_blocking_client_before_anything_is_sent(client, sim, balance):
    with pytest.raises(ConfigurationError, match="run_async") as caught:
        client.run("Look at 'here'.", model=MODEL, tools=[look_async], max_tool_rounds=1)
    assert caught.value.field == "tools[0]"
    assert sim.requests == []
    balance(client)


@pytest.mark.parametrize("tool", [look, look_async, Looker()], ids=["plain", "async", "async object"])
def test_an_async_client_takes_tools_of_every_kind(client, tool):
    async def main():
        answer = await client.as_async().run("Look at 'here'.", model=MODEL, tools=[tool], max_tool_rounds=1)
        await client.as_async().close()
        return answer.text

    assert "nothing at here" in asyncio.run(main())


def test_a_wait_of_hours_is_the_callers_to_know_also_without_a_deadline(sim, balance):
    for calls, announced in enumerate((601, 90_000), start=1):
        with aistrale.Client(**sim.settings(), timeout=None) as client:
            sim.script(Fault(status=429, retry_after=announced))
            with pytest.raises(RateLimitError) as caught:
                client.run("Hi", model=MODEL)
            assert caught.value.retry_after == announced
            with pytest.raises(CircuitOpen) as left_alone:
                client.run("Hi", model=MODEL)
            # Never shortened, and spread, so that all who were told the same do not come back together.
            assert announced - 5 <= left_alone.value.retry_after <= 1.3 * announced + 1
            balance(client, 2 * calls)
