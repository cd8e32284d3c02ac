"""Amounts as Redis keeps them: two whole numbers, in steps of 10^-12 dollars."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from aistrale.cost.budgets.store import EXACT, ZERO

if TYPE_CHECKING:
    from collections.abc import Sequence

STEP: Final = Decimal("1E-12")
"""US dollars; smaller parts of an amount are rounded up."""

_PLACES: Final = 12
_STEPS: Final = 10**_PLACES


class Stands(NamedTuple):
    """What a counter stood at.

    Args:
        spent: US dollars settled.
        reserved: US dollars that attempts under way may still cost, of all processes.
        in_flight: How many those are.
        born: The counter's name at birth.
        start: Where its window begins, as it was written.
    """

    spent: Decimal
    reserved: Decimal
    in_flight: int
    born: str
    start: str


FIELDS: Final = len(Stands._fields) - 1
"""Values that a script answers for each counter."""


def exact(amount: Decimal) -> Decimal:
    """An amount as Redis can keep it, never less."""
    exponent = amount.as_tuple().exponent
    if isinstance(exponent, int) and exponent >= -_PLACES:
        return amount
    return amount.quantize(STEP, ROUND_CEILING, EXACT)


def write(amount: Decimal, count: int | None = None) -> str:
    """An exact amount, and a count, in writing."""
    high, low = divmod(int(EXACT.scaleb(amount, _PLACES)), _STEPS)
    return f"{high},{low}" if count is None else f"{high},{low},{count}"


def read(text: str) -> Decimal:
    """An amount that was written."""
    high, low = text.split(",")[:2]
    steps = int(high) * _STEPS + int(low)
    return EXACT.scaleb(Decimal(steps), -_PLACES) if steps else ZERO


def balances(values: Sequence[object]) -> list[Stands]:
    """What counters stood at, from the answer of a script. Raises ValueError and the like for nonsense."""
    texts = [_text(value) for value in values]
    return [_stands(*texts[at : at + FIELDS]) for at in range(0, len(texts), FIELDS)]


def _stands(spent: str, reserved: str, born: str, start: str) -> Stands:
    return Stands(read(spent), read(reserved), int(reserved.split(",")[2]), born, start)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
