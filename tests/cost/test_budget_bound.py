from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from aistrale.cost.budgets.bound import Bounds, load
from aistrale.cost.prices import price_usage
from aistrale.testing import brain
from aistrale.types import (
    CacheHint,
    Cost,
    EmbedRequest,
    MediaPart,
    Message,
    Reasoning,
    Request,
    TextPart,
    Tool,
    Usage,
)
from tests.cost.test_budget_scope import target

MINI = target("openai/gpt-5-mini")


def ask(text="Hello there", **fields):
    return Request(model="m", messages=[Message.user(text)], **fields)


def cost(request, where, price=price_usage):
    most = load(request, where)
    return Bounds(price).rates(request, where, most.input), most


def priced(**rates):
    """A price function of these rates, in US dollars per token."""

    def price(provider, model, usage, **conditions):
        total = Decimal(0)
        for bucket in ("input", "cache_write", "cache_write_1h", "cache_write_12h", "audio_input", "output"):
            count = getattr(usage, bucket)
            if count:
                rate = rates.get(conditions.get("service_tier", "") + bucket, rates.get(bucket))
                if rate is None:
                    return Cost(reason="no rate")
                total += Decimal(rate) * count
        return Cost(total)

    return price


def test_an_answer_is_bounded_by_the_caller_else_by_the_model():
    assert load(ask(max_tokens=100), MINI).output == 100
    assert load(ask(max_tokens=100, n=3), MINI).output == 300
    assert load(ask(), MINI).output == MINI.facts.max_output
    assert load(ask(), replace(MINI, facts=None)).output is None
    assert load(ask(), replace(target("anthropic/claude-haiku-4-5"), facts=None)).output == 4096
    assert load(EmbedRequest(model="m", inputs=["x" * 400]), MINI).output == 0


@pytest.mark.parametrize("name", ["openai/gpt-5-mini", "anthropic/claude-haiku-4-5", "gemini/gemini-2.5-flash"])
@pytest.mark.parametrize("text", ["word " * 500, "x", '{"a": [1, 2, 3]}' * 99, "汉字" * 300])
def test_the_upper_end_of_a_prompt_is_above_its_length(name, text):
    request = ask(text, tools=[Tool("t", "does", {"type": "object", "properties": {"x": {"type": "string"}}})])
    assert load(request, target(name)).input >= brain.input_tokens(request)


def test_the_bound_is_the_price_of_the_prompt_and_all_tokens_of_the_answer():
    rates, most = cost(ask(max_tokens=1000), MINI, priced(input="0.001", output="0.01"))
    assert rates.input == Decimal("0.001") * most.input
    assert rates.most(1000) == rates.input + 10


def test_the_dearest_rate_of_a_prompt_counts():
    rates, most = cost(ask(), MINI, priced(input="1", cache_write="1.25", output="2"))
    assert rates.input == Decimal("1.25") * most.input


def test_a_longer_life_in_the_cache_counts_where_it_is_asked_for():
    price = priced(input="1", cache_write="1.25", cache_write_1h="2", output="2")
    request = Request(model="m", messages=[Message("user", [TextPart("hi", cache=CacheHint("1h"))])])
    rates, most = cost(request, MINI, price)
    assert rates.input == 2 * most.input
    rates, most = cost(ask(), MINI, price)
    assert rates.input == Decimal("1.25") * most.input


def test_sound_counts_where_there_is_any():
    price = priced(input="1", audio_input="8", output="2")
    request = Request(model="m", messages=[Message("user", [MediaPart("audio", "eA==", media_type="audio/wav")])])
    rates, most = cost(request, MINI, price)
    assert rates.input == 8 * most.input


def test_a_dearer_service_tier_counts_and_a_cheaper_one_does_not():
    price = priced(input="1", output="2", priorityoutput="4", flexoutput="1")
    assert cost(ask(service_tier="priority"), MINI, price)[0].output == 4
    assert cost(ask(service_tier="flex"), MINI, price)[0].output == 2
    assert cost(ask(service_tier="auto"), MINI, price)[0].output == 2


def test_a_region_of_its_own_counts():
    where = replace(MINI, base_url="https://eu.api.openai.com/v1")
    usual, eu = cost(ask(), MINI)[0], cost(ask(), where)[0]
    expected = [
        price_usage("openai", "gpt-5-mini", Usage(output=1_000_000), **conditions).usd
        for conditions in ({}, {"data_residency": "eu"})
    ]
    assert [usual.output * 1_000_000, eu.output * 1_000_000] == expected


@pytest.mark.parametrize(("limit", "uses"), [({"max_uses": 7}, 7), ({}, 3)])
def test_searches_of_the_provider_count(limit, uses):
    where = target("anthropic/claude-haiku-4-5")
    searching = ask(tools=[Tool("web_search", hosted={"type": "web_search_20250305", "name": "web_search", **limit})])
    plain = ask(tools=[Tool("x", "y", {})])
    bounds = Bounds(price_usage)
    with_, without = (bounds.rates(request, where, 1000) for request in (searching, plain))
    assert with_.input - without.input == Decimal("0.01") * uses
    assert with_.output == without.output


def test_rates_of_long_prompts_are_those_of_their_length():
    where = target("openai/gpt-5.4")
    short, long = (Bounds(price_usage).rates(ask(), where, tokens) for tokens in (1000, 300_000))
    exact = [
        price_usage("openai", "gpt-5.4", Usage(input=tokens, output=1_000_000)).usd
        - price_usage("openai", "gpt-5.4", Usage(input=tokens)).usd
        for tokens in (1000, 300_000)
    ]
    assert [short.output * 1_000_000, long.output * 1_000_000] == exact
    assert long.output > short.output


def test_what_has_no_price_says_why():
    rates, _ = cost(ask(), replace(MINI, model="nobody-knows", facts=None))
    assert rates.reason
    assert rates.most(1000) == 0


def test_embeddings_cost_their_input():
    where = target("openai/text-embedding-3-small")
    request = EmbedRequest(model="m", inputs=["word " * 100])
    rates, most = cost(request, where)
    assert rates.most(0) == price_usage("openai", "text-embedding-3-small", Usage(input=most.input)).usd


def test_prices_are_asked_once_for_what_does_not_change():
    asked = []

    def price(provider, model, usage, **conditions):
        asked.append(usage)
        return price_usage(provider, model, usage, **conditions)

    bounds = Bounds(price)
    bounds.rates(ask(), MINI, 100)
    before = len(asked)
    bounds.rates(ask(reasoning=Reasoning(effort="low")), MINI, 200)
    assert len(asked) == before + 1
