"""What was spent of budgets before this process began, for Redis to be told, and for when it cannot be asked."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from aistrale.cost.budgets.store import EXACT, ZERO
from aistrale.store.redis.bookkeeping import KEEP

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from aistrale.cost.budgets.store import Slot


class _Seed(NamedTuple):
    slot: Slot
    spent: Sequence[tuple[float, Decimal]]
    note: str | None


class Past:
    """By counter; each step is one operation of a dictionary, so that it needs no lock."""

    def __init__(self) -> None:
        self._seeds: OrderedDict[str, _Seed] = OrderedDict()
        self._untold: dict[str, _Seed] = {}

    def add(self, slot: Slot, spent: Sequence[tuple[float, Decimal]], note: str | None) -> None:
        """The past of a counter is known here.

        Args:
            slot: Which one.
            spent: Instants in Unix seconds, and US dollars that were spent then.
            note: What is not certain about it.
        """
        self._seeds[slot.key] = self._untold[slot.key] = _Seed(slot, spent, note)
        while len(self._seeds) > KEEP:
            self._untold.pop(self._seeds.popitem(last=False)[0], None)

    def told(self, key: str) -> None:
        """Redis has it."""
        self._untold.pop(key, None)

    def untold(self) -> list[tuple[Slot, Sequence[tuple[float, Decimal]]]]:
        """What Redis has yet to be told."""
        return [(seed.slot, seed.spent) for seed in list(self._untold.values())]

    def has(self, key: str) -> bool:
        """Whether the past of a counter is known."""
        return key in self._seeds

    def note(self, key: str) -> str | None:
        """What is not certain about it."""
        seed = self._seeds.get(key)
        return None if seed is None else seed.note

    def total(self, key: str) -> Decimal:
        """US dollars that were spent; 0 where nothing is known."""
        total, seed = ZERO, self._seeds.get(key)
        for _, amount in () if seed is None else seed.spent:
            total = EXACT.add(total, amount)
        return total
