"""What a piece of advice is, and how what several of them save adds up."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from aistrale.cost.advice.facts import Facts, Ledger
    from aistrale.cost.book.price_book import PriceBook

MONTH: Final = 30.0
"""Days for which savings are given."""

Confidence = Literal["low", "medium", "high"]
_CENT: Final = Decimal("0.01")


@dataclass(slots=True, frozen=True, kw_only=True)
class Advice:
    """One thing that could be changed to pay less.

    Args:
        rule: Which rule found it, one of `aistrale.cost.advice.advise.RULES`.
        title: What it is, one line.
        action: What to do.
        provider: Whose model is concerned.
        model: Which.
        route: For which route; None where calls have none.
        name: For which name that the application gave; None where it gave none.
        evidence: The numbers behind it: counts, shares, tokens, US dollars as text.
        days: How many days the evidence covers.
        saving: What it would save, US dollars in 30 days.
        low: The least that it would, as far as we can tell.
        high: The most.
        how: How the saving was computed.
        confidence: How sure that is.
        caveats: What to look out for.
    """

    rule: str
    title: str
    action: str
    provider: str
    model: str
    route: str | None = None
    name: str | None = None
    evidence: Mapping[str, float | int | str] = field(default_factory=dict)
    days: float
    saving: Decimal
    low: Decimal
    high: Decimal
    how: str
    confidence: Confidence = "medium"
    caveats: Sequence[str] = ()


class Total(NamedTuple):
    """What all advice together would save.

    Args:
        low: US dollars in 30 days: of the advice for the same calls only the best.
        high: As if each acted on what the others leave.
        overlapping: Whether some of it concerns the same calls, so that the parts sum to more.
    """

    low: Decimal
    high: Decimal
    overlapping: bool


@dataclass(slots=True, frozen=True)
class Situation:
    """What rules look at beside the calls themselves.

    Args:
        ledger: All uses.
        book: The prices.
        now: The present, aware.
        day: The present day, counted from 1970-01-01 UTC.
        days: How many days the exchanges cover.
        least: The least saving that is worth a word, US dollars in 30 days.
    """

    ledger: Ledger
    book: PriceBook
    now: datetime
    day: int
    days: float
    least: float

    def monthly(self, usd: float) -> float:
        """An amount of the period for 30 days."""
        return usd * MONTH / self.days

    def advice(
        self,
        facts: Facts,
        rule: str,
        title: str,
        action: str,
        *,
        saved: float,
        low: float,
        high: float,
        how: str,
        evidence: Mapping[str, float | int | str],
        confidence: Confidence = "medium",
        caveats: Sequence[str] = (),
    ) -> Advice:
        """Advice for a use; `saved`, `low` and `high` are US dollars of the period, shares of it where below."""
        use = facts.use
        return Advice(
            rule=rule,
            title=title,
            action=action,
            provider=use.provider,
            model=use.model,
            route=use.route,
            name=use.name,
            evidence={"calls": facts.calls, "cost": usd(facts.cost), **evidence},
            days=round(self.days, 2),
            saving=self._amount(saved),
            low=self._amount(low),
            high=self._amount(high),
            how=how,
            confidence=confidence,
            caveats=caveats,
        )

    def _amount(self, usd: float) -> Decimal:
        return Decimal(self.monthly(usd)).quantize(_CENT, ROUND_HALF_EVEN)


class Rule(Protocol):
    """Looks at one use of a model."""

    def __call__(self, facts: Facts, situation: Situation, /) -> Iterable[Advice]:
        """What could be changed there; nothing where the evidence is thin."""
        ...


def usd(amount: float) -> str:
    """An amount for evidence: text, to a hundredth of a cent."""
    return f"{amount:.4f}"


def share(part: float, whole: float) -> float:
    """A share for evidence, to a tenth of a percent; 0 of nothing."""
    return round(part / whole, 3) if whole else 0.0


def total(advice: Iterable[Advice]) -> Total:
    """What all of it would save, nothing counted twice.

    Advice for different uses of models adds up. For the same one the low end takes the best piece alone, and the high
    end lets each act on what the others have left of the costs.
    """
    groups: dict[tuple[str | None, str | None, str, str], list[Advice]] = {}
    for each in advice:
        if each.high > 0:
            groups.setdefault((each.route, each.name, each.provider, each.model), []).append(each)
    low = high = Decimal(0)
    for group in groups.values():
        low += max(each.low for each in group)
        spent = max(float(str(each.evidence["cost"])) * MONTH / each.days for each in group)
        left = 1.0
        for each in group:
            left *= 1 - min(float(each.high) / spent, 1.0) if spent else 1.0
        high += max(Decimal(spent * (1 - left)).quantize(_CENT), *(each.low for each in group))
    return Total(low, high, any(len(group) > 1 for group in groups.values()))
