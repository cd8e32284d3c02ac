"""Budgets under the official SDKs: a refusal and a cut are errors in the SDK's own format."""

from __future__ import annotations

import pytest

import aistrale
from aistrale.testing import Say, simulator
from tests.dropin.test_guarded import SDKS, Caller

LONG = "four " * 3000


@pytest.fixture
def slow():
    """A provider that takes its time between words, so that a connection can be closed in the midst of an answer."""
    with simulator(between=0.002) as sim:
        yield sim


@pytest.fixture
def limited():
    """Starts the process-wide client with a budget."""

    def start(sim, limit):
        budgets = [{"limit": limit, "period": "day"}]
        return aistrale.init(**sim.settings(), ledger="off", limits=False, budgets=budgets)

    yield start
    aistrale.shutdown()


@pytest.mark.parametrize("provider", SDKS)
def test_a_refusal_is_an_error_of_the_sdk_and_nothing_is_sent(limited, slow, provider):
    limited(slow, "0.0000001")
    caller = Caller(provider, slow)
    caller.asked["max_tokens"] = 500
    with pytest.raises(caller.sdk.APIStatusError) as caught:
        caller.ask("Hi")
    assert caught.value.status_code == 402
    assert "has no room" in str(caught.value)
    assert slow.requests == []


def test_a_request_of_the_sdk_is_limited_where_the_money_is_short_and_else_as_it_came(limited):
    with simulator() as sim:
        limited(sim, "0.0005")
        caller = Caller("openai", sim)
        caller.asked.pop("max_tokens", None)
        caller.asked["extra_body"] = {"of_tomorrow": {"kept": [1]}}
        caller.ask("Hi")
        (received,) = sim.requests
        body = received.body
        assert body["of_tomorrow"] == {"kept": [1]}
        assert 16 <= body["max_completion_tokens"] < 1000
        assert "max_tokens" in aistrale.last_call().lossy


@pytest.mark.parametrize("provider", SDKS)
def test_a_stream_that_is_cut_ends_in_an_error_of_the_sdk(limited, slow, provider):
    client = limited(slow, "0.0005")
    caller = Caller(provider, slow)
    caller.asked["max_tokens"] = 3000
    slow.script(Say(text=LONG))
    said, error = caller.stream("Hi")
    assert said
    assert LONG.startswith(said)
    assert len(said) < len(LONG)
    assert isinstance(error, caller.sdk.APIError)
    assert "no room for the rest" in str(error)
    assert len(slow.requests) == 1, "nobody asks again"
    (status,) = client.budgets()
    assert status.reserved == 0
    assert float(status.spent) <= 0.0005 * 1.01
