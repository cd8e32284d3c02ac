"""Why a provider's amount may differ from ours: what the figures themselves suggest, the surest first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeAlias

from aistrale.cost.invoices.cells import Span
from aistrale.cost.saved import amount

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Key: TypeAlias = "tuple[Span, str | None]"

# Factors that providers publish, and what they are for.
_FACTORS: Final = (
    (Decimal("0.5"), "theirs is half of ours: batch or flex prices, which the ledger was not told of"),
    (Decimal(2), "theirs is twice ours: priority or fast processing, or prompts above a limit of length"),
    (Decimal("1.1"), "theirs is a tenth more: data residency, or a chosen inference geography"),
)
_CLOSE: Final = Decimal("0.02")
_SHIFTED: Final = Decimal("0.2")


@dataclass(slots=True)
class Side:
    """What both sides say about a day and a model.

    Args:
        ours: US dollars by the ledger.
        theirs: US dollars by the invoice.
        attempts: Ours.
        unpriced: Ours without a price.
        estimated: US dollars of ours that are not exact.
        charges: How many lines of theirs.
        rounding: US dollars that their amounts may be off by, as they are rounded.
        batch: Whether they speak of a batch.
    """

    ours: Decimal = Decimal(0)
    theirs: Decimal = Decimal(0)
    attempts: int = 0
    unpriced: int = 0
    estimated: Decimal = Decimal(0)
    charges: int = 0
    rounding: Decimal = Decimal(0)
    batch: bool = False

    @property
    def difference(self) -> Decimal:
        """US dollars that they charge more."""
        return self.theirs - self.ours

    def add(self, other: Side) -> None:
        """Take in what another says of ours."""
        self.ours += other.ours
        self.attempts += other.attempts
        self.unpriced += other.unpriced
        self.estimated += other.estimated


def explain(sides: Mapping[Key, Side], key: Key, tools: Mapping[Span, Decimal]) -> Iterator[str]:
    """What is likely behind the difference of a day and a model.

    Args:
        sides: All days and models.
        key: The one.
        tools: US dollars of tools that stand apart from models, by day.

    Yields:
        A sentence each.
    """
    side = sides[key]
    span, model = key
    more = side.difference > 0
    found = False
    for reason in (
        _unpriced(side, more=more),
        _nothing_of_ours(sides, span, side, model),
        _nothing_of_theirs(side),
        _shifted(sides, key),
        _tools(side, tools.get(span, Decimal(0))),
        _factor(side),
        _estimated(side),
        _rounding(side),
    ):
        if reason is not None:
            found = True
            yield reason
    if not found and more:
        yield "calls that did not go through here: another key or program, the provider's console"
    elif not found:
        yield "credits or negotiated prices that the ledger was not told of, or charges that come later"


def _unpriced(side: Side, *, more: bool) -> str | None:
    if not side.unpriced or not more:
        return None
    return f"{side.unpriced} of our {side.attempts} attempts have no known price"


def _nothing_of_ours(sides: Mapping[Key, Side], span: Span, side: Side, model: str | None) -> str | None:
    if side.attempts:
        return None
    if not any(each.attempts for (days, _), each in sides.items() if days == span):
        return "the ledger has nothing of that time: it was off, or began later, or another one was used"
    if model is None:
        return None
    return "calls that did not go through here, or a model that the two sides name differently"


def _nothing_of_theirs(side: Side) -> str | None:
    if side.charges or not side.attempts:
        return None
    return "the file has no charge for it: it comes later, is covered by credits, or stands under another name"


def _shifted(sides: Mapping[Key, Side], key: Key) -> str | None:
    """The day before or after lacks what this one has too much."""
    span, model = key
    if span.first != span.last:
        return None
    own = sides[key].difference
    for days in (-1, 1):
        day = span.first + timedelta(days=days)
        other = sides.get((Span(day, day), model))
        if other is not None and own * other.difference < 0 and abs(own + other.difference) <= _SHIFTED * abs(own):
            return f"{day} differs the other way by ${amount(abs(other.difference))}: days may be of another time zone"
    return None


def _tools(side: Side, fees: Decimal) -> str | None:
    if fees <= 0 or side.difference >= 0:
        return None
    return f"${amount(fees)} of tool fees stand apart in the file; ours are part of the model's cost"


def _factor(side: Side) -> str | None:
    if side.ours <= 0:
        return None
    ratio = side.theirs / side.ours
    for factor, reason in _FACTORS:
        if abs(ratio - factor) <= _CLOSE * factor:
            return reason
    return "part of it is of a batch, at other prices" if side.batch and side.difference < 0 else None


def _estimated(side: Side) -> str | None:
    return f"${amount(side.estimated)} of ours is estimated" if side.estimated else None


def _rounding(side: Side) -> str | None:
    if side.rounding * 4 < abs(side.difference) or side.charges < 2:
        return None
    return f"{side.charges} rounded amounts may be off by ${amount(side.rounding)} together"
