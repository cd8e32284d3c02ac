"""Budgets that several processes share: reserved in Redis before an attempt, settled there in the background.

With Redis, what all processes have spent and reserved never exceeds a hard limit by a decision made here. A reservation
is one script over all counters of the attempt. What an attempt cost is told soon after by a thread, which until then
leaves its reservation standing.

Longer than a file should be: it is one interface, each of whose operations has to do the same for counters in Redis,
for those of this process, and for the share while Redis is away.

Without Redis each process keeps to its share: what was neither spent nor reserved when Redis last answered, divided by
the number of processes. What it spends is told when Redis is back, together with what it has reserved then; where
Redis has lost its data, the processes bring back what they knew of it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from aistrale.core.exclusive import Exclusive
from aistrale.core.worker import on_fork
from aistrale.cost.budgets.hold import Hold, Ticket
from aistrale.cost.budgets.memory import MemoryStore
from aistrale.cost.budgets.store import EXACT, ZERO, Balance, Notice, Short
from aistrale.store.redis.alone import Alone
from aistrale.store.redis.bookkeeping import Bookkeeping, start_of, step_of
from aistrale.store.redis.budget_line import Line
from aistrale.store.redis.budget_wire import BudgetWire, resets_of
from aistrale.store.redis.connection import Away
from aistrale.store.redis.money import exact
from aistrale.store.redis.past import Past
from aistrale.store.redis.shared_hold import SharedHold

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal

    from aistrale.cost.budgets.store import Slot
    from aistrale.store.redis.bookkeeping import Batch
    from aistrale.store.redis.budget_wire import Process
    from aistrale.store.redis.money import Stands

_T = TypeVar("_T")

# Seconds for which what Redis said of a counter may be believed without asking again.
_FRESH: Final = 1.0
# Seconds for which a counter is watched after it was used.
_LATELY: Final = 60.0
# Seconds after which all who could not reach Redis have reached it again, and told what they spent meanwhile.
_TOLD_BY: Final = 1.5
_ALONE: Final = "Redis is away: what other processes spend is not known, and this one keeps to its share"


class RedisBudgets:
    """See `aistrale.cost.budgets.store.Counters` and MemoryStore, which documents the methods.

    Args:
        process: This process.
        told: Gets what is to be told; what it raises is dropped.
        clock: Monotonic seconds.
        wall: Unix seconds.
    """

    def __init__(
        self,
        process: Process,
        told: Callable[[Notice], None] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._process = process
        self._connection = process.connection
        self._told = told
        self._clock = clock
        self._wall = wall
        self._own = MemoryStore(told)
        # Of thresholds it knows nothing: they are told when Redis is back.
        self._alone = Alone(self._gone, lambda notice: None if notice.mark else self._tell(notice))
        self._books = Bookkeeping()
        self._wire = BudgetWire(process)
        self._past = Past()
        self.epoch = 0
        self._alone_until: float | None = None
        self._outage = -1
        self._parts = 0
        self._fresh()
        on_fork(self._after_fork)

    def _fresh(self) -> None:
        self._one = Exclusive()
        self._flushing = threading.Lock()
        self._line = Line(self._stood)
        self._refusals: deque[tuple[Slot, float]] = deque()

    def _after_fork(self) -> None:
        self._fresh()
        self._alone.after_fork()
        self._alone_until = None
        self._books.forget_process()
        self.epoch += 1

    @property
    def slow(self) -> bool:
        """Whether Redis is asked."""
        return not self._connection.down

    @property
    def holding(self) -> bool:
        """Whether anything is reserved."""
        return bool(self._books.open)

    @property
    def pending(self) -> int:
        """How much waits to be told."""
        return self._books.pending

    # --- setting aside -----------------------------------------------------------------------------------------------

    def reserve(self, slots: Sequence[Slot], amounts: Sequence[Decimal], now: float) -> Hold | Short:
        """Set money aside in every slot, or in none; a round trip while Redis is there."""
        if self._line.count and (short := self._line.behind(slots, amounts)) is not None:
            return short
        return self._reserve(slots, [exact(amount) for amount in amounts], now)

    def _reserve(self, slots: Sequence[Slot], amounts: list[Decimal], now: float) -> SharedHold | Short:
        mine = [at for at, slot in enumerate(slots) if not slot.shared]
        theirs = [at for at, slot in enumerate(slots) if slot.shared]
        hold = SharedHold(self, slots, amounts, now + self._process.skew, self.epoch)
        # Until it holds anything there is nothing to give back.
        hold.done = True
        if mine:
            own = self._own.reserve(_pick(slots, mine), _pick(amounts, mine), now)
            if isinstance(own, Short):
                return replace(own, index=mine[own.index])
            hold.own = own
        short = self._share(hold, theirs, now) if theirs else None
        if short is not None:
            if hold.own is not None:
                self._own.release(hold.own, now)
            return replace(short, index=theirs[short.index])
        hold.done = False
        return hold

    def _share(self, hold: SharedHold, theirs: list[int], now: float) -> Short | None:
        slots, amounts = _pick(hold.slots, theirs), _pick(hold.amounts, theirs)
        try:
            stands, short = self._demand(slots, amounts, None, now)
            if short is not None:
                return short
            hold.starts, hold.told = [each.start for each in stands], True
        except Away:
            result, hold.alone_in = self._share_alone().reserve(slots, amounts, now)
            if isinstance(result, Short):
                return result
            hold.alone = result
            hold.starts = [start_of(slot) for slot in slots]
        self._one.run(partial(self._register, hold, slots, amounts))
        return None

    def _register(self, hold: SharedHold, slots: Sequence[Slot], amounts: Sequence[Decimal]) -> None:
        hold.since = self._books.snapshots
        self._books.use(slots, self._clock())
        for slot, start, amount in zip(slots, hold.starts, amounts, strict=True):
            self._books.reserve(slot, start, amount, 1)

    def _demand(
        self, slots: Sequence[Slot], amounts: Sequence[Decimal], held: Sequence[Decimal] | None, now: float
    ) -> tuple[list[Stands], Short | None]:
        """Ask Redis for money, or for more of it. Raises Away, also for a moment after Redis was."""
        if self._alone_until is not None:
            raise Away
        stands, short = self._wire.reserve(slots, amounts, held, now + self._process.skew)
        self._learn(slots if short is None else [short.slot], stands)
        return stands, short

    def grow(self, held: Hold, more: Sequence[Decimal], now: float) -> Short | None:
        """Set more aside for the same attempt; a round trip while Redis is there."""
        if held.done or held.epoch != self.epoch or not isinstance(held, SharedHold):
            return None
        more = [exact(amount) for amount in more]
        theirs = [at for at, slot in enumerate(held.slots) if slot.shared]
        if theirs and (short := self._grow_shared(held, theirs, _pick(more, theirs), now)) is not None:
            return replace(short, index=theirs[short.index])
        if held.own is not None:
            mine = [at for at, slot in enumerate(held.slots) if not slot.shared]
            if (short := self._own.grow(held.own, _pick(more, mine), now)) is not None:
                self._one.run(partial(self._shrink, held, theirs, more))
                self._process.poke()
                return replace(short, index=mine[short.index])
        held.amounts[:] = [EXACT.add(amount, added) for amount, added in zip(held.amounts, more, strict=True)]
        return None

    def _grow_shared(self, held: SharedHold, theirs: list[int], more: list[Decimal], now: float) -> Short | None:
        slots, amounts = _pick(held.slots, theirs), _pick(held.amounts, theirs)
        try:
            # Of one that Redis has not heard of yet it cannot keep more.
            if self._is_told(held):
                short = self._demand(slots, more, amounts, now)[1]
            else:
                short = self._grow_alone(held, slots, more, now)
        except Away:
            short = self._grow_alone(held, slots, more, now)
        if short is not None:
            return short
        self._one.run(lambda: self._added(held, slots, more))
        return None

    def _grow_alone(self, held: SharedHold, slots: list[Slot], more: list[Decimal], now: float) -> Short | None:
        store = self._share_alone().store
        if held.alone is not None and held.alone_in is store:
            short = store.grow(held.alone, more, now)
            return None if short is None else replace(short, slot=slots[short.index])
        result, store = self._alone.reserve(slots, more, now)
        if isinstance(result, Short):
            return result
        result.sent = True
        held.alone, held.alone_in = result, store
        return None

    def _added(self, held: SharedHold, slots: Sequence[Slot], more: Sequence[Decimal]) -> None:
        for slot, start, amount in zip(slots, held.starts, more, strict=True):
            self._books.reserve(slot, start, amount, 0)

    def _shrink(self, held: SharedHold, theirs: list[int], more: Sequence[Decimal]) -> None:
        told = self._is_told(held)
        for at, start in zip(theirs, held.starts, strict=True):
            slot, amount = held.slots[at], more[at]
            self._books.reserve(slot, start, EXACT.minus(amount), 0)
            if told:
                owed = self._books.owe(slot, start, step_of(slot, held.at))
                owed.released = EXACT.add(owed.released, amount)

    def _is_told(self, held: SharedHold) -> bool:
        """Whether Redis knows of a reservation."""
        return held.told or self._books.snapshots > held.since

    # --- settling ----------------------------------------------------------------------------------------------------

    def settle(self, held: Hold, actual: Sequence[Decimal | None], now: float) -> None:
        """Replace what was set aside by what was spent; told soon. Safe in finalizers, only the first time counts."""
        if not isinstance(held, SharedHold):
            return
        if held.own is not None:
            parts = [actual[at] for at, slot in enumerate(held.slots) if not slot.shared]
            self._own.settle(held.own, parts, now)
        if held.alone is not None and held.alone_in is not None:
            # Of one that Redis knows as well only what was added is here.
            parts = [None if held.told else actual[at] for at, slot in enumerate(held.slots) if slot.shared]
            held.alone_in.settle(held.alone, parts, now)
        self._one.post(partial(self._settle, held, actual))
        self._process.poke()

    def _settle(self, held: SharedHold, actual: Sequence[Decimal | None]) -> None:
        done, held.done = held.done, True
        if done or held.epoch != self.epoch:
            return
        told = self._is_told(held)
        theirs = [at for at, slot in enumerate(held.slots) if slot.shared]
        for at, start in zip(theirs, held.starts, strict=True):
            slot, amount, spent = held.slots[at], held.amounts[at], actual[at]
            self._books.reserve(slot, start, EXACT.minus(amount), -1)
            owed = self._books.owe(slot, start, step_of(slot, held.at))
            if told:
                owed.released, owed.count = EXACT.add(owed.released, amount), owed.count + 1
            owed.spent = EXACT.add(owed.spent, amount if spent is None else exact(spent))

    def release(self, held: Hold, now: float) -> None:
        """Give all of it back: nothing was spent."""
        self.settle(held, [ZERO] * len(held.slots), now)

    def flush(self) -> None:
        """Tell Redis what was settled; for the thread that does so.

        Raises:
            Away: It cannot be told now; it will be.
        """
        if not self._books.pending and not self._refusals:
            return
        if not self._connection.joined:
            # Not below, where whoever makes this process known would wait for us.
            if self._connection.down:
                raise Away
            self._connection.rejoin()
        with self._flushing:
            while (batch := self._one.run(self._books.take_batch)) is not None:
                self._send(batch)
        self._tell_refusals()

    def _send(self, batch: Batch) -> None:
        now = self._wall() + self._process.skew
        answers = self._wire.settle(batch, now)
        self._one.run(self._books.done)
        for owed, (stands, marks) in zip(batch.owed, answers, strict=False):
            self._learn([owed.slot], [stands])
            for mark in marks:
                self._tell(Notice(owed.slot, mark, _balance(stands), now))

    # --- the past, and what is known ---------------------------------------------------------------------------------

    def seed(self, slot: Slot, spent: Sequence[tuple[float, Decimal]], note: str | None = None) -> None:
        """Begin a counter with the past, unless another process has; a round trip while Redis is there."""
        if not slot.shared:
            self._own.seed(slot, spent, note)
            return
        self._past.add(slot, spent, note)
        with contextlib.suppress(Away):
            self._learn([slot], [self._wire.seed(slot, spent, self._wall())])
            self._past.told(slot.key)

    def seeded(self, key: str) -> bool:
        """Whether this process has brought in the past of a counter."""
        return self._past.has(key) or self._own.seeded(key)

    def spent(self, slots: Sequence[Slot], now: float) -> Short | None:
        """The first hard slot of which nothing is left, as far as that is known without asking."""
        for index, slot in enumerate(slots):
            if not slot.shared:
                short = self._own.spent([slot], now)
            elif self._connection.down or self._alone_until is not None:
                short = self._share_alone().spent(slot, now)
            else:
                short = self._one.run(partial(self._spent, slot))
            if short is not None:
                return replace(short, index=index, slot=slot)
        return None

    def _spent(self, slot: Slot) -> Short | None:
        known = self._books.of(slot)
        # A rolling window may have forgotten enough meanwhile; the reservation will find out.
        if known is None or not slot.hard or slot.length or self._clock() - known.at > _FRESH:
            return None
        stands = known.stands
        if stands.spent < slot.limit:
            return None
        return Short(0, slot, stands.spent, stands.reserved, ZERO, passing=False, resets=resets_of(slot))

    def snapshot(self, slots: Sequence[Slot], now: float) -> list[Balance]:
        """What each slot stands at; a round trip while Redis is there."""
        theirs = [slot for slot in slots if slot.shared]
        if theirs:
            with contextlib.suppress(Away):
                self._learn(theirs, self._wire.look(theirs, now + self._process.skew))
        return [
            self._one.run(partial(self._balance, slot)) if slot.shared else self._own.snapshot([slot], now)[0]
            for slot in slots
        ]

    def refresh(self) -> None:
        """Ask what the counters stand at that were used lately; for the thread that keeps this process known.

        What nobody had spent when Redis went away is shared, so that it should not have been long ago.

        Raises:
            Away: Redis cannot be asked.
        """
        slots = self._one.run(lambda: self._books.lately(self._clock() - _LATELY))
        if slots:
            self._learn(slots, self._wire.look(slots, self._wall() + self._process.skew))

    def _balance(self, slot: Slot) -> Balance:
        known = self._books.of(slot)
        waiting = self._line.waiting(slot)
        note = self._past.note(slot.key)
        untold = self._books.untold(slot)
        if not self._connection.down:
            if known is None:
                return Balance(untold.spent, waiting=waiting, note=note)
            stands = known.stands
            reserved = max(EXACT.subtract(stands.reserved, untold.released), ZERO)
            in_flight = max(stands.in_flight - untold.count, 0)
            return Balance(EXACT.add(stands.spent, untold.spent), reserved, in_flight, waiting, note)
        spent = known.stands.spent if known is not None else self._past.total(slot.key)
        own = self._books.open.get((slot.key, start_of(slot)))
        reserved, count = (ZERO, 0) if own is None else (own.amount, own.count)
        return Balance(EXACT.add(spent, untold.spent), reserved, count, waiting, _ALONE)

    def slots(self) -> list[Slot]:
        """The counters that are known here."""
        known = self._one.run(lambda: [known.slot for known in self._books.known.values()])
        keys = {slot.key for slot in known}
        unknown = [
            own.slot for own in self._one.run(lambda: list(self._books.open.values())) if own.slot.key not in keys
        ]
        return [*known, *{slot.key: slot for slot in unknown}.values(), *self._own.slots()]

    def forget(self, key: str) -> None:
        """Drop the counter of a single call."""
        self._own.forget(key)

    def refuse(self, short: Short, now: float) -> None:
        """Tell that a call was refused; once in a period, by one of the processes."""
        slot = short.slot
        if not slot.shared:
            self._own.refuse(short, now)
        elif self._connection.down or self._alone_until is not None:
            self._share_alone().refuse(short, now)
        else:
            self._one.post(lambda: self._refusals.append((slot, now)))
            self._process.poke()

    def _tell_refusals(self) -> None:
        while self._refusals:
            slot, now = self._refusals.popleft()
            at = now + self._process.skew
            stands = self._wire.refuse(slot, at)
            if stands is not None:
                self._tell(Notice(slot, 0, _balance(stands), at))

    def _tell(self, notice: Notice) -> None:
        if self._told is not None:
            with contextlib.suppress(Exception):
                self._told(notice)

    def _learn(self, slots: Sequence[Slot], stands: Sequence[Stands]) -> None:
        if self._one.run(lambda: self._note(slots, stands)) and self._connection.joined:
            # It threw them away, or somebody did: to be brought back.
            self._connection.failed(LookupError("it has lost what was spent of a budget"))

    def _note(self, slots: Sequence[Slot], stands: Sequence[Stands]) -> bool:
        """Note what counters stand at; whether Redis has lost one that it knew."""
        now = self._clock()
        lost = [self._books.learn(slot, each, now) for slot, each in zip(slots, stands, strict=False)]
        return any(lost)

    # --- the line ----------------------------------------------------------------------------------------------------

    def enter(self, slots: Sequence[Slot], amounts: Sequence[Decimal], wake: Callable[[], None], now: float) -> Ticket:
        """Stand in line for money; a thread asks for it again and again, for the first of each line."""
        ticket = Ticket(slots, [exact(amount) for amount in amounts], wake)
        self._line.join(ticket)
        self._process.poke(hurry=True)
        return ticket

    def leave(self, ticket: Ticket, now: float) -> None:
        """Give up a place in line, and whatever was got there in the last moment."""
        self._line.leave(ticket)
        if ticket.hold is not None:
            self.release(ticket.hold, now)

    def serve(self) -> float | None:
        """Ask for those who wait; for the thread that does so. Seconds until it should again; None for nobody."""
        return self._line.serve(lambda slots, amounts: self._reserve(slots, amounts, self._wall()), self._give_back)

    def _give_back(self, held: Hold) -> None:
        self.release(held, self._wall())

    def _stood(self, slot: Slot) -> tuple[Decimal, Decimal]:
        """What a slot stood at, spent and reserved, as far as that is known."""
        known = self._one.run(lambda: self._books.of(slot))
        return (ZERO, ZERO) if known is None else (known.stands.spent, known.stands.reserved)

    # --- while Redis is away -----------------------------------------------------------------------------------------

    def _share_alone(self) -> Alone:
        """This process's share; a new one for another outage, and where there are more processes than it knew."""
        connection = self._connection
        if (connection.down and self._outage != connection.era) or connection.processes > self._parts:
            self._outage, self._parts = connection.era, connection.processes
            self._alone.close()
        return self._alone

    def _gone(self, slot: Slot) -> Decimal:
        """What of a budget is not this process's to spend while Redis is away."""
        past = self._past.total(slot.key)
        return self._one.run(lambda: self._books.share(slot, self._connection.processes, past))

    def rejoin(self, *, back: bool) -> None:
        """Redis is there: tell it everything; for whoever makes this process known.

        Args:
            back: Whether it has been away. Then this process keeps to its share for another moment, until the others
                have told what they spent meanwhile.

        Raises:
            Away: It is not there.
        """
        with self._flushing:
            now = self._wall() + self._process.skew
            self._wire.rejoin(self._one.run(self._books.rejoin), now)
            known = self._one.run(lambda: self._books.to_restore(now, self._clock()))
            restored = self._wire.restore(known, now)
            self._one.run(lambda: self._note([each.slot for each in known], restored))
            for slot, spent in self._past.untold():
                self._learn([slot], [self._wire.seed(slot, spent, now, joining=True)])
                self._past.told(slot.key)
            if self._books.batch is not None:
                self._send(self._books.batch)
            if back:
                self._alone_until = self._clock() + _TOLD_BY

    def join_in(self) -> None:
        """Go by what all have told, if it is time for that; for the thread that keeps this process known.

        Raises:
            Away: Redis is.
        """
        if self._alone_until is None or self._clock() < self._alone_until:
            return
        with self._flushing:
            self._wire.rejoin(self._one.run(self._books.rejoin), self._wall() + self._process.skew)
            self._alone_until = None
            self._alone.close()


def _pick(values: Sequence[_T], at: Sequence[int]) -> list[_T]:
    return [values[index] for index in at]


def _balance(stands: Stands) -> Balance:
    return Balance(stands.spent, stands.reserved, stands.in_flight)
