"""What one process remembers of budgets that are counted in Redis, so that nothing is lost when Redis is.

Reservations that are open here, what was spent and has not been told yet, and what every counter stood at when Redis
last answered. No lock and no I/O: the owner sees to both.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from aistrale.cost.budgets.store import EXACT, ZERO

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from aistrale.cost.budgets.store import Slot
    from aistrale.store.redis.money import Stands

KEEP: Final = 10_000
"""How many counters are remembered."""

_BATCH: Final = 100


def start_of(slot: Slot) -> str:
    """Where a window begins, in writing; "0" for never."""
    return "0" if math.isinf(slot.start) else repr(slot.start)


def step_of(slot: Slot, at: float) -> int:
    """The step of a rolling window that an instant lies in; 0 for all others."""
    return int(at // slot.step) if slot.length else 0


@dataclass(slots=True)
class Open:
    """What is reserved by this process in one window."""

    slot: Slot
    start: str
    amount: Decimal = ZERO
    count: int = 0


@dataclass(slots=True)
class Owed:
    """What has happened in one window and was not told yet."""

    slot: Slot
    start: str
    step: int
    released: Decimal = ZERO
    count: int = 0
    spent: Decimal = ZERO


@dataclass(slots=True)
class Known:
    """What a counter stood at when Redis last spoke of it, in this process's monotonic seconds."""

    slot: Slot
    stands: Stands
    at: float

    def counts(self, now: float) -> bool:
        """Whether anything of it was spent that is not forgotten."""
        return bool(self.stands.spent) and (not self.slot.length or now - self.at < self.slot.length)


@dataclass(slots=True)
class Batch:
    """What is being told; sent again under the same number until Redis says that it has it."""

    number: int
    owed: list[Owed] = field(default_factory=list)


class Bookkeeping:
    """See the module. Not safe between threads."""

    def __init__(self) -> None:
        self.open: dict[tuple[str, str], Open] = {}
        self.owed: dict[tuple[str, str, int], Owed] = {}
        self.known: OrderedDict[str, Known] = OrderedDict()
        self.used: OrderedDict[str, tuple[Slot, float]] = OrderedDict()
        self.batch: Batch | None = None
        self.snapshots = 0
        """How often all open reservations were told to Redis in one; a reservation knows by it whether it was among
        them."""
        self._number = 0

    def forget_process(self) -> None:
        """In a forked child: reservations and what is to be told are the parent's."""
        self.open, self.owed, self.batch, self._number = {}, {}, None, 0

    # --- reservations ------------------------------------------------------------------------------------------------

    def reserve(self, slot: Slot, start: str, amount: Decimal, count: int) -> None:
        """Count a reservation, its growth, or its end.

        Args:
            slot: Which counter.
            start: Where its window begins, in writing.
            amount: US dollars; negative for what is given back.
            count: 1 for a new reservation, -1 for one that ends, 0 for one that grows or shrinks.
        """
        own = self.open.get((slot.key, start))
        if own is None:
            own = self.open[slot.key, start] = Open(slot, start)
        own.amount = EXACT.add(own.amount, amount)
        own.count += count
        if own.count <= 0:
            del self.open[slot.key, start]

    def owe(self, slot: Slot, start: str, step: int) -> Owed:
        """What is to be told of a window, to be added to.

        Args:
            slot: Which counter.
            start: Where its window begins, in writing.
            step: The step of a rolling window; 0 for all others.
        """
        key = (slot.key, start, step)
        owed = self.owed.get(key)
        if owed is None:
            owed = self.owed[key] = Owed(slot, start, step)
        return owed

    def take_batch(self) -> Batch | None:
        """The next that is to be told; the one before comes again until `done`."""
        if self.batch is None and self.owed:
            self._number += 1
            keys = [key for key, _ in zip(self.owed, range(_BATCH), strict=False)]
            self.batch = Batch(self._number, [self.owed.pop(key) for key in keys])
        return self.batch

    def done(self) -> None:
        """The last batch has arrived."""
        self.batch = None

    def rejoin(self) -> list[Open]:
        """All that is open, to be told in one; what would have been given back is not among it any more."""
        self.snapshots += 1
        for owed in (*self.owed.values(), *(self.batch.owed if self.batch is not None else ())):
            owed.released, owed.count = ZERO, 0
        return [replace(own) for own in self.open.values()]

    @property
    def pending(self) -> int:
        """How many windows have something to tell."""
        return len(self.owed) + (len(self.batch.owed) if self.batch is not None else 0)

    # --- what is known -----------------------------------------------------------------------------------------------

    def learn(self, slot: Slot, stands: Stands, now: float) -> bool:
        """Redis has spoken of a counter; whether it has lost what it had known of it.

        What is lost is still known here afterwards, so that it can be restored.
        """
        if not stands.born:
            return False
        before = self.known.get(slot.key)
        other = before is not None and before.stands.start == stands.start and before.stands.born != stands.born
        if before is not None and other and before.counts(now) and before.stands.spent > stands.spent:
            return True
        self.known[slot.key] = Known(slot, stands, now)
        self.known.move_to_end(slot.key)
        if len(self.known) > KEEP:
            self.known.popitem(last=False)
        return False

    def to_restore(self, wall: float, now: float) -> list[Known]:
        """What Redis may have lost: the windows that run and of which something was spent.

        Args:
            wall: Unix seconds.
            now: Monotonic seconds.
        """
        return [each for each in self.known.values() if each.slot.end > wall and each.counts(now)]

    def use(self, slots: Sequence[Slot], now: float) -> None:
        """Counters were used."""
        for slot in slots:
            self.used[slot.key] = (slot, now)
            self.used.move_to_end(slot.key)
            if len(self.used) > _BATCH:
                self.used.popitem(last=False)

    def lately(self, since: float) -> list[Slot]:
        """Which counters were used since an instant; at most as many as fit into one question."""
        return [slot for slot, at in self.used.values() if at >= since]

    def of(self, slot: Slot) -> Known | None:
        """What is known of the window of a counter."""
        known = self.known.get(slot.key)
        return known if known is not None and known.stands.start == start_of(slot) else None

    def untold(self, slot: Slot) -> Owed:
        """What has happened here in a window and is not told yet."""
        total = Owed(slot, start_of(slot), 0)
        for owed in (*self.owed.values(), *(self.batch.owed if self.batch is not None else ())):
            if owed.slot.key == slot.key and owed.start == total.start:
                total.spent = EXACT.add(total.spent, owed.spent)
                total.released = EXACT.add(total.released, owed.released)
                total.count += owed.count
        return total

    def share(self, slot: Slot, processes: int, past: Decimal) -> Decimal:
        """What is taken to be spent or others' to spend, once nobody can be asked.

        What nobody had spent or reserved when Redis last answered is shared equally, without what was spent here since
        and could not be told; of what was reserved there, that is a part already.

        Args:
            slot: Which counter.
            processes: How many share it.
            past: What was spent before this process began, where Redis never spoke of it.
        """
        known = self.of(slot)
        gone = past if known is None else EXACT.add(known.stands.spent, known.stands.reserved)
        if not slot.hard:
            return past if known is None else known.stands.spent
        untold = self.untold(slot)
        gone = EXACT.add(gone, max(EXACT.subtract(untold.spent, untold.released), ZERO))
        left = max(EXACT.subtract(slot.limit, gone), ZERO)
        return EXACT.subtract(slot.limit, EXACT.divide(left, max(processes, 1)))
