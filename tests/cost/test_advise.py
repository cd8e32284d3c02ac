"""Advice, tried on ledgers in which it is known what could have been saved."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from aistrale.cost.advice.advise import RULES, advise, total
from aistrale.cost.advice.prices import least_cached
from aistrale.cost.book.price_book import shipped_book
from tests.cost.synthetic_ledger import CAUSES, DAYS, NOW, Planted, Shot, clean, exchanges

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistrale.cost.advice.advise import Advice


def _advise(shots: list[Shot], **options: float) -> list[Advice]:
    return advise(exchanges(shots), shipped_book(), now=NOW, days=DAYS, **options)


@pytest.mark.parametrize("seed", range(5))
def test_a_clean_ledger_gives_no_advice(seed: int) -> None:
    rng = random.Random(seed)
    shots = clean(rng) + clean(rng, route=None, name="assistant", model="openai/gpt-6-sol", prefix_tokens=900)
    # A long prompt whose cache works.
    shots += clean(rng, 2000, route="docs", model="openai/gpt-6-sol", prefix="d", prefix_tokens=6000, read=5888)
    assert _advise(shots) == []


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("cause", CAUSES)
def test_a_rule_speaks_where_its_cause_was_planted_and_nowhere_else(
    cause: Callable[[random.Random], Planted], seed: int
) -> None:
    rng = random.Random(f"{seed} {cause.__name__}")
    planted = cause(rng)
    found = _advise(planted.shots + clean(rng))
    assert [(each.rule, each.route, f"{each.provider}/{each.model}") for each in found] == [
        (planted.rule, planted.route, planted.model)
    ]
    advice = found[0]
    assert advice.low <= advice.saving <= advice.high
    if planted.truth is None:
        assert advice.saving == 0
    else:
        assert planted.truth > 5
        assert float(advice.saving) == pytest.approx(planted.truth, rel=0.2)


def test_all_causes_together_are_told_apart() -> None:
    rng = random.Random(1)
    planted = [cause(rng) for cause in CAUSES]
    found = _advise([shot for each in planted for shot in each.shots] + clean(rng))
    assert {(each.rule, each.route) for each in found} == {(each.rule, each.route) for each in planted}
    assert {each.rule for each in found} == set(RULES)
    assert [each.saving for each in found] == sorted((each.saving for each in found), reverse=True)


def _some(count: int, **how: object) -> list[Shot]:
    return clean(random.Random(7), count, **how)


def test_too_few_calls_are_no_evidence() -> None:
    rng = random.Random(3)
    for cause in CAUSES:
        planted = cause(rng)
        rng.shuffle(planted.shots)
        assert _advise(planted.shots[:12]) == []


def test_savings_below_the_threshold_are_not_worth_a_word() -> None:
    planted = CAUSES[0](random.Random(2))
    found = _advise(planted.shots)
    assert found
    assert _advise(planted.shots, least=float(found[0].saving) + 1) == []


def test_a_young_ledger_counts_from_its_first_exchange() -> None:
    planted = CAUSES[0](random.Random(2))
    of_14, of_90 = (advise(exchanges(planted.shots), shipped_book(), now=NOW, days=days)[0] for days in (DAYS, 90))
    assert of_14.days == pytest.approx(DAYS, rel=0.01)
    assert float(of_90.saving) == pytest.approx(float(of_14.saving), rel=0.01)


def test_what_is_paid_at_another_tier_is_not_offered_one() -> None:
    shots = _some(800, model="openai/gpt-6-sol", session=None, user=None, streamed=False, output=2500, latency=60.0)
    found = exchanges(shots)
    assert "service_tier" in {each.rule for each in advise(found, shipped_book(), now=NOW, days=DAYS)}
    for each in found:
        each.attempt.metered = {"conditions": {"service_tier": "flex"}}
    assert advise(found, shipped_book(), now=NOW, days=DAYS) == []


def test_models_of_unknown_price_get_no_advice_about_money() -> None:
    shots = [shot for shot in _some(500, output=20, reasoning=3000) if shot.billed]
    found = exchanges(shots)
    for each in found:
        each.attempt.provider, each.attempt.model, each.attempt.cost = "own", "mine", None
    assert advise(found, shipped_book(), now=NOW, days=DAYS) == []


def test_worse_scores_are_no_reason_to_switch() -> None:
    rng = random.Random(5)
    planted = next(cause for cause in CAUSES if cause.__name__ == "dear")(rng)
    shots = [
        replace(shot, score=None if shot.score is None else shot.score * 0.8) if "terra" in shot.model else shot
        for shot in planted.shots
    ]
    assert _advise(shots) == []


def test_the_total_counts_nothing_twice() -> None:
    rng = random.Random(1)
    both = [replace(shot, route="x") for cause in CAUSES[1:3] for shot in cause(rng).shots]
    one = [replace(shot, route="y") for shot in CAUSES[0](rng).shots]
    apart = _advise(both + one)
    assert len(apart) == 3
    sums = total(apart)
    assert not sums.overlapping
    assert sums.low == sum(each.low for each in apart)
    assert sums.high == pytest.approx(sum(each.high for each in apart), abs=Decimal("0.05"))
    twice = total([*apart, *apart])
    assert twice.overlapping
    assert twice.low == sums.low
    spent = sum(Decimal(str(each.evidence["cost"])) for each in apart) * 30 / Decimal(DAYS)
    assert sums.high <= twice.high <= spent


def test_an_empty_ledger_gives_nothing() -> None:
    assert advise([], shipped_book(), now=NOW, days=30) == []
    assert total([]) == (0, 0, False)


def test_naive_times_and_empty_periods_are_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        advise([], shipped_book(), now=datetime(2026, 1, 1), days=30)  # noqa: DTZ001 - that is the point
    with pytest.raises(ValueError, match="positive"):
        advise([], shipped_book(), now=datetime(2026, 1, 1, tzinfo=UTC), days=0)


@pytest.mark.parametrize(
    ("provider", "model", "least"),
    [
        ("openai", "gpt-6-sol", 1024),
        ("anthropic", "claude-haiku-4-5-20251001", 4096),
        ("anthropic", "claude-opus-4-6", 4096),
        ("anthropic", "claude-opus-4-7", 2048),
        ("anthropic", "claude-sonnet-4-5", 1024),
        ("anthropic", "claude-opus-4-1-20250805", 1024),
        ("anthropic", "claude-3-5-haiku-20241022", 2048),
        ("anthropic", "claude-opus-5", 512),
        ("gemini", "gemini-2.5-pro", 2048),
        ("gemini", "gemini-3.8-flash", 4096),
        ("huggingface", "org/model", None),
    ],
)
def test_the_least_prompt_that_is_cached_is_the_providers(provider: str, model: str, least: int | None) -> None:
    assert least_cached(provider, model) == least
