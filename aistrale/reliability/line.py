"""Who waits for a target, in which order."""

from __future__ import annotations

import math
from collections import OrderedDict
from heapq import merge
from operator import attrgetter
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from aistrale.reliability.rates import NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aistrale.core.call import Priority
    from aistrale.reliability.gate import Gate
    from aistrale.reliability.rates import Amounts, Marks

State: TypeAlias = Literal["waiting", "admitted", "expired", "left"]
Wake: TypeAlias = "Callable[[], None]"

STEPS: Final[dict[Priority, int]] = {"high": 0, "normal": 1, "low": 2}

_order: Final = attrgetter("key")


class Ticket:
    """One call's place at a gate, in the line or past it; to be given back with `Gate.leave`, whatever happens.

    Args:
        gate: Where it belongs.
        epoch: Which process's gate; a forked child forgets what its parent had under way.
        now: Monotonic seconds.
        most: The most that the call may use.
        usual: What such a call usually uses.
    """

    __slots__ = ("_gate", "epoch", "key", "lane", "marks", "most", "since", "state", "until", "usual", "wake")

    key: float
    lane: int
    until: float

    def __init__(self, gate: Gate, epoch: int, now: float, most: Amounts, usual: Amounts) -> None:
        self._gate = gate
        self.epoch = epoch
        self.since = now
        """When it joined the line; once admitted, when it was let through. Monotonic seconds."""
        self.most = most
        self.usual = usual
        self.marks: Marks | None = None
        """What was taken of the rates; None while there were none."""
        self.wake: Wake | None = None
        self.state: State = "waiting"

    @property
    def admitted(self) -> bool:
        """Whether the call may go."""
        return self.state == "admitted"

    def __del__(self) -> None:
        # An interrupt can strike between the admission and the first line that would give the place back; or before
        # there is a state.
        if getattr(self, "state", None) == "admitted":
            self._gate.leave(self, self.since, outcome="cancelled")


class Line:
    """The waiting calls: three lanes by priority, each first in, first out.

    A call's turn is decided by when it came plus `ageing` seconds for every step of priority below the highest. So a
    higher one goes first unless the lower one has waited that much longer: nobody starves.

    Args:
        ageing: Seconds of waiting that outweigh one step of priority.
    """

    __slots__ = ("_ageing", "_lanes", "_last", "_sums", "count")

    def __init__(self, ageing: float) -> None:
        self._ageing = ageing
        # Ordered dicts: taking the first and taking one out of the middle are both O(1), and leave nothing behind.
        self._lanes: tuple[OrderedDict[Ticket, None], ...] = tuple(OrderedDict() for _ in STEPS)
        self._last = [0.0] * len(STEPS)
        self._sums = [list(NOTHING) for _ in STEPS]
        self.count = 0
        """How many wait."""

    def __iter__(self) -> Iterator[Ticket]:
        return merge(*self._lanes, key=_order)

    def key(self, priority: Priority, now: float) -> float:
        """The place of a call of this priority that comes now; lower ones go first, and no two of a lane are equal."""
        lane = STEPS[priority]
        key = now + lane * self._ageing
        # Threads read the clock before they get here, not always in the same order.
        if self._lanes[lane] and key <= self._last[lane]:
            key = math.nextafter(self._last[lane], math.inf)
        return key

    def add(self, ticket: Ticket, priority: Priority, now: float) -> None:
        """Join the end of a lane."""
        lane = ticket.lane = STEPS[priority]
        ticket.key = self._last[lane] = self.key(priority, now)
        self._lanes[lane][ticket] = None
        self.count += 1
        sums = self._sums[lane]
        for kind, amount in enumerate(ticket.usual):
            sums[kind] += amount

    def remove(self, ticket: Ticket) -> None:
        """Leave the line, from anywhere in it."""
        lane = self._lanes[ticket.lane]
        if ticket not in lane:
            return
        del lane[ticket]
        self.count -= 1
        if not lane:
            self._sums[ticket.lane] = list(NOTHING)  # no drift of rounding
            return
        sums = self._sums[ticket.lane]
        for kind, amount in enumerate(ticket.usual):
            sums[kind] -= amount

    def head(self) -> Ticket | None:
        """Whose turn is next."""
        first: Ticket | None = None
        for lane in self._lanes:
            if lane:
                ticket = next(iter(lane))
                if first is None or ticket.key < first.key:
                    first = ticket
        if first is not None and first.state != "waiting":
            # An interrupt struck when it was about to be removed.
            self.remove(first)
            return self.head()
        return first

    def ahead(self, key: float) -> list[float]:
        """What those take together who go before a newcomer with this key; the first number is how many they are."""
        total = list(NOTHING)
        for lane, sums in zip(self._lanes, self._sums, strict=True):
            if not lane or next(iter(lane)).key > key:
                continue
            if next(reversed(lane)).key <= key:
                total = [one + other for one, other in zip(total, sums, strict=True)]
                continue
            for ticket in lane:
                if ticket.key > key:
                    break
                total = [one + other for one, other in zip(total, ticket.usual, strict=True)]
        return total
