"""What a call will use and cost, before it is made."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.cost.book.price_book import shipped_book
from aistrale.cost.tokens.calibration import Calibration
from aistrale.cost.tokens.prediction import count_tokens, predict
from aistrale.providers.catalog import lookup
from aistrale.store.protocol import Exchange
from aistrale.store.records import AttemptRow
from aistrale.types import EmbedRequest, Message, Reasoning, Request, Tool

AT = datetime(2026, 11, 22, tzinfo=UTC)
ASKED = Request(model="gpt-4.1", messages=[Message.user("What is the capital of France?")])  # fourteen tokens


def estimated(request=ASKED, provider="openai", model="gpt-4.1", **options):
    return predict(request, provider, model, at=AT, book=shipped_book(), **options)


def attempt(output, *, model="gpt-4.1", outcome="success", **tokens):
    return AttemptRow(
        call_id="c", attempt=1, at=0, latency=1, provider="openai", model=model, target=f"openai/{model}",
        streamed=False, outcome=outcome, output=output, **tokens,
    )  # fmt: skip


def test_the_output_is_that_of_earlier_answers():
    found = estimated(history=range(1, 101))
    assert (found.output_p50, found.output_p90, found.answers) == (50, 91, 100)
    # gpt-4.1: 2 dollars for a million tokens of input, 8 of output.
    assert found.usd == Decimal(14 * 2 + 50 * 8) / 1_000_000
    assert found.usd_low == Decimal(14 * 2 + 10 * 8) / 1_000_000
    assert found.usd_high == Decimal(14 * 2 + 91 * 8) / 1_000_000
    assert found.usd_most is None
    assert found.book == shipped_book().label
    assert found.method == "o200k_base"
    assert "100 earlier answers" in found.reason


def test_without_history_the_usual_is_assumed_and_said():
    found = estimated(history=[5, 5, 5])
    assert (found.output_p50, found.output_p90, found.answers) == (300, 1500, 0)
    assert "usual" in found.reason


def test_models_that_think_say_more():
    plain = estimated()
    asked = estimated(replace(ASKED, reasoning=Reasoning(effort="high")))
    budget = estimated(replace(ASKED, reasoning=Reasoning(budget=30_000)))
    by_itself = estimated(provider="openai", model="gpt-5", facts=lookup("openai", "gpt-5"))
    told_not_to = estimated(replace(ASKED, reasoning=Reasoning(effort="none")), facts=lookup("openai", "gpt-5"))
    assert asked.output_p90 == by_itself.output_p90 > 4 * plain.output_p90
    assert budget.output_p90 > 30_000
    assert told_not_to.output_p90 == plain.output_p90


def test_limits_hold():
    found = estimated(replace(ASKED, max_tokens=70), history=range(1, 101))
    assert (found.output_p50, found.output_p90, found.output_most) == (50, 70, 70)
    assert found.usd_most == found.usd_high == Decimal(14 * 2 + 70 * 8) / 1_000_000
    facts = lookup("openai", "gpt-4.1")
    assert facts is not None
    assert estimated(facts=facts).output_most == facts.max_output
    assert estimated(replace(ASKED, max_tokens=70, n=3)).output_most == 210
    assert estimated(replace(ASKED, n=3)).output_p50 == 900


def test_few_answers_promise_less():
    found = estimated(history=[100] * 6)
    assert (found.output_p50, found.output_p90, found.answers) == (100, 150, 6)


def test_rows_of_the_ledger():
    own = [attempt(100, reasoning=900)] * 10
    failed = [attempt(5, outcome="error")] * 10
    untold = [attempt(None)] * 10
    others = [Exchange(attempt=attempt(7, model="gpt-5"))] * 10
    assert estimated(history=[*others, *own, *failed, *untold]).output_p50 == 1000
    # Where this model has said too little, the others on the route speak for it.
    assert estimated(history=[*others, *own[:3]]).output_p50 == 7
    assert estimated(history=failed).answers == 0


def test_an_unknown_price_is_unknown_and_the_tokens_are_not():
    found = estimated(provider="openai", model="gpt-99")
    assert (found.usd, found.usd_low, found.usd_high) == (None, None, None)
    assert "gpt-99" in found.reason
    assert found.input_tokens > 0


def test_embeddings_have_no_output():
    request = EmbedRequest(model="text-embedding-3-small", inputs=["hello world"])
    found = estimated(request, model=request.model)
    assert (found.input_tokens, found.output_p90, found.output_most) == (2, 0, 0)
    assert found.usd == found.usd_most == Decimal("0.00000004")


def test_bounds_of_the_prompt_are_bounds_of_the_cost():
    found = estimated(replace(ASKED, tools=[Tool("f", "Does something.")]), history=[10] * 20)
    assert found.input_low < found.input_tokens < found.input_high
    assert found.usd_low < found.usd < found.usd_high


def test_what_was_learned_is_applied():
    calibration = Calibration()
    for _ in range(40):
        calibration.observe("anthropic", "claude-sonnet-5", 100, 130)
    request = Request(model="claude-sonnet-5", messages=[Message.user("What is this about? " * 50)])
    plain = count_tokens(request, "anthropic", request.model)
    learned = count_tokens(request, "anthropic", request.model, calibration=calibration)
    assert learned.tokens == pytest.approx(plain.tokens * 1.3, rel=0.03)
    assert learned.low <= learned.tokens <= learned.high


@given(st.lists(st.integers(0, 10**6), max_size=60), st.none() | st.integers(1, 10**5))
def test_everything_is_in_order(sizes, limit):
    found = estimated(replace(ASKED, max_tokens=limit), history=sizes)
    assert 0 <= found.output_p50 <= found.output_p90
    assert limit is None or found.output_p90 <= found.output_most == limit
    assert found.usd_low <= found.usd <= found.usd_high
    assert found.usd_most is None or found.usd_high <= found.usd_most


def test_nine_of_ten_answers_stay_within():
    import random

    noise = random.Random(7)
    within = 0
    for _ in range(400):
        sizes = [round(noise.lognormvariate(5, 1)) for _ in range(40)]
        within += estimated(history=sizes[:-1]).output_p90 >= sizes[-1]
    assert within / 400 >= 0.87
