"""Advice about models that would cost less for the same calls."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Final

from aistrale.cost.advice.prices import claude_version, quantile
from aistrale.cost.advice.types import share, usd
from aistrale.cost.intervals import variance
from aistrale.providers.catalog import equivalents, lookup

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aistrale.cost.advice.facts import Facts
    from aistrale.cost.advice.types import Advice, Situation
    from aistrale.providers.catalog import ModelFacts

_MIN_CALLS: Final = 50
_MIN_SCORES: Final = 30
# How much of the quality another model must have.
_AS_GOOD: Final = 0.95
# The least share of the costs that it must save: with scores of its quality, and without.
_PROVEN: Final = 0.1
_UNPROVEN: Final = 0.35
# What costs less than this share is another class of model, whatever it can do on paper.
_PEER: Final = 0.5
# Tokens that a tokenizer makes where OpenAI's o200k makes one, at least, about and at most: measured on recorded
# exchanges, Claude up to 4.6 and from 4.7 on, Gemini on prose.
_SAME: Final = (1.0, 1.0, 1.0)
_OLD_CLAUDE: Final = (1.19, 1.23, 1.27)
_NEW_CLAUDE: Final = (1.42, 1.5, 1.65)
_GEMINI: Final = (1.0, 1.1, 1.2)
_OTHER: Final = (1.0, 1.1, 1.25)


@dataclass(slots=True)
class _Candidate:
    facts: ModelFacts
    saved: float
    low: float
    high: float
    scores: Sequence[float] = ()

    @property
    def proven(self) -> bool:
        return len(self.scores) > 0


def cheaper(facts: Facts, situation: Situation) -> Iterator[Advice]:
    """A comparable model that would have cost less for these very tokens."""
    if facts.plain.calls < _MIN_CALLS or facts.prices is None:
        return
    use, now = facts.use, situation
    cost = facts.plain.cost(now.book, use.provider, use.model, now.day)
    known = lookup(use.provider, use.model)
    if not cost or known is None:
        return
    found = [
        candidate
        for other, scores in _others(facts, situation)
        if (candidate := _priced(facts, known, other, scores, cost, situation)) is not None
    ]
    found = [each for each in found if each.low >= (_PROVEN if each.proven else _UNPROVEN) * cost]
    if not found:
        return
    best = max(found, key=lambda each: (each.proven, each.saved))
    if now.monthly(best.saved) >= now.least:
        yield _advice(facts, best, cost, situation)


def _others(facts: Facts, situation: Situation) -> Iterator[tuple[ModelFacts, Sequence[float]]]:
    """Models to compare with, each with its scores where it has some for the same purpose."""
    use = facts.use
    seen = {(use.provider, use.model)}
    for other, theirs in situation.ledger.uses.items():
        if other == use or (other.route, other.name) != (use.route, use.name):
            continue
        known = lookup(other.provider, other.model)
        if known is not None and _as_good(theirs.scores, facts.scores):
            seen.add((known.provider, known.id))
            yield known, theirs.scores
    own = lookup(use.provider, use.model)
    names = equivalents(f"{use.provider}/{use.model}")
    if own is not None and own.successor is not None:
        names.append(f"{own.provider}/{own.successor}")
    for name in names:
        provider, _, model = name.partition("/")
        known = lookup(provider, model)
        if known is not None and (known.provider, known.id) not in seen:
            seen.add((known.provider, known.id))
            yield known, ()


def _as_good(theirs: Sequence[float], ours: Sequence[float]) -> bool:
    """Whether scores say, with a standard error to spare, that another model is good enough."""
    if len(theirs) < _MIN_SCORES or len(ours) < _MIN_SCORES:
        return False
    one, other = sum(ours) / len(ours), sum(theirs) / len(theirs)
    error = sqrt(variance(theirs, other) / len(theirs) + _AS_GOOD**2 * variance(ours, one) / len(ours))
    return other - _AS_GOOD * one >= error


def _priced(  # noqa: PLR0917 - both sides of a comparison
    facts: Facts, own: ModelFacts, other: ModelFacts, scores: Sequence[float], cost: float, situation: Situation
) -> _Candidate | None:
    if not _can(facts, own, other, situation):
        return None
    mine, its = _density(own), _density(other)
    # One tokenizer counts the same text alike.
    low, about, high = _SAME if mine == its else (its[0] / mine[2], its[1] / mine[1], its[2] / mine[0])
    same_cache = own.provider == other.provider

    def at(density: float, *, cached: bool) -> float | None:
        return facts.plain.cost(situation.book, other.provider, other.id, situation.day, density=density, cached=cached)

    expected, best, worst = at(about, cached=True), at(low, cached=True), at(high, cached=same_cache)
    if expected is None or best is None or worst is None:
        return None
    if not scores and expected < _PEER * cost and (own.weights is None or own.weights != other.weights):
        return None
    # Writing to a cache may cost more than having none.
    saved = sorted((cost - worst, cost - expected, cost - best))
    return _Candidate(other, cost - expected, saved[0], saved[-1], scores)


def _can(facts: Facts, own: ModelFacts, other: ModelFacts, situation: Situation) -> bool:
    """Whether a model can do what these calls ask for, as far as the catalog and the ledger know."""
    if other.kind != own.kind or other.kind == "embedding":
        # Vectors of different models cannot be compared.
        return False
    if other.deprecated or other.retired(situation.now.date()) or (own.tools and not other.tools):
        return False
    room = other.max_input or other.context
    if room is not None and facts.plain.longest * 1.2 > room:
        return False
    if other.max_output is not None and quantile(facts.outputs, 1.0) > other.max_output:
        return False
    needs = {"image": "image_input", "audio": "audio_input"}
    return all(kind in (other.input or ()) for kind, bucket in needs.items() if facts.plain.tokens(bucket))


def _density(facts: ModelFacts) -> tuple[float, float, float]:
    if facts.provider == "openai" or "gpt-oss" in facts.id:
        return _SAME
    if facts.provider == "anthropic":
        return _OLD_CLAUDE if claude_version(facts.id) < (4, 7) else _NEW_CLAUDE
    return _GEMINI if facts.provider == "gemini" else _OTHER


def _advice(facts: Facts, best: _Candidate, cost: float, situation: Situation) -> Advice:
    use, other = facts.use, best.facts
    evidence: dict[str, float | int | str] = {
        "candidate": other.name,
        "cost_now": usd(cost),
        "cost_there": usd(cost - best.saved),
        "saved_share": share(best.saved, cost),
    }
    caveats = ["another model may answer at other length, and think more or less, than this one"]
    if best.proven:
        evidence |= {
            "score_now": round(sum(facts.scores) / len(facts.scores), 3),
            "score_there": round(sum(best.scores) / len(best.scores), 3),
            "scores_now": len(facts.scores),
            "scores_there": len(best.scores),
        }
        action = f"Send these calls to {other.name}: its answers to them were scored as good as those of {use.model}."
    else:
        action = (
            f"Test whether {other.name} answers these calls as well as {use.model} does (`client.score`), "
            "and send them there if so."
        )
        caveats.insert(0, "nothing in the ledger says how good its answers to these calls are: quality comes first")
    if other.provider != use.provider:
        caveats.append("the data of these calls would go to another provider")
        caveats.append("the tokens of another tokenizer are estimated; the low end has no cached tokens there")
    return situation.advice(
        facts,
        "cheaper_model",
        f"{other.name} would cost {share(best.saved, cost):.0%} less for the same calls",
        action,
        saved=best.saved,
        low=best.low,
        high=best.high,
        how="the tokens of these calls, cached ones included, at today's prices of both models",
        evidence=evidence,
        confidence="high" if best.proven and other.provider == use.provider else "medium" if best.proven else "low",
        caveats=caveats,
    )
