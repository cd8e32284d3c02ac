"""One counter of money in one period."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from aistrale.cost.budgets.store import EXACT, ZERO, Balance

if TYPE_CHECKING:
    from decimal import Decimal

    from aistrale.cost.budgets.store import Slot

_add, _subtract = EXACT.add, EXACT.subtract


class Window:
    """One counter in one period; what was reserved in it is settled in it, also when it has ended."""

    __slots__ = ("buckets", "count", "due", "end", "note", "refused", "reserved", "settled", "start", "told", "told_at")

    def __init__(self, slot: Slot) -> None:
        self.start = slot.start
        self.end = slot.end
        self.settled = ZERO
        self.reserved = ZERO
        self.count = 0
        self.told = 0
        self.told_at: list[float] = [-math.inf] * len(slot.marks)
        self.refused = -math.inf
        self.note: str | None = None
        # Of rolling windows: what was spent, by the number of the step, and when the oldest is forgotten.
        self.buckets: dict[int, Decimal] = {}
        self.due = math.inf

    def spend(self, slot: Slot, amount: Decimal, at: float, now: float) -> None:
        """Add what was spent, at the instant at which it was reserved."""
        if slot.length:
            bucket = int(at // slot.step)
            forgotten = (bucket + 1) * slot.step + slot.length
            if forgotten <= now:
                return
            self.buckets[bucket] = _add(self.buckets.get(bucket, ZERO), amount)
            self.due = min(self.due, forgotten)
        self.settled = _add(self.settled, amount)

    def forget(self, slot: Slot, now: float) -> None:
        """Let go of the steps that a rolling window has left behind."""
        ends = {bucket: (bucket + 1) * slot.step + slot.length for bucket in self.buckets}
        for bucket, end in ends.items():
            if end <= now:
                self.settled = _subtract(self.settled, self.buckets.pop(bucket))
        self.due = min((end for end in ends.values() if end > now), default=math.inf)
        while self.told and self.settled < slot.marks[self.told - 1]:
            self.told -= 1

    def room_at(self, slot: Slot, amount: Decimal) -> float | None:
        """When an amount will fit, as far as that is only a matter of time; Unix seconds."""
        if amount > slot.limit:
            return None
        if not slot.length:
            return None if slot.end == math.inf else slot.end
        left = self.settled
        for bucket in sorted(self.buckets):
            left = _subtract(left, self.buckets[bucket])
            if _add(left, amount) <= slot.limit:
                return (bucket + 1) * slot.step + slot.length
        return None

    def balance(self, waiting: int) -> Balance:
        """What it stands at.

        Args:
            waiting: How many calls wait for its money.
        """
        return Balance(self.settled, self.reserved, self.count, waiting, self.note)
