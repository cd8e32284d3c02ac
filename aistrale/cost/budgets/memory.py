"""Counting money: set aside before it is spent, settled after, under one lock. No clock, no I/O.

What is reserved and settled together never exceeds a hard limit by a decision made here. What was spent in fact is
recorded whatever it is: an attempt that cost more than was reserved for it blocks what follows.

Whoever finds no room only because of what others have reserved may stand in line. A line is first in, first out, and
one ticket may stand in the lines of several counters; who joins joins all of them at once, so that their orders agree
and the one who came first is the head of all of its lines.
"""

from __future__ import annotations

import contextlib
import math
from collections import OrderedDict, deque
from functools import partial
from typing import TYPE_CHECKING, Final

from aistrale.core.exclusive import Exclusive
from aistrale.core.worker import on_fork
from aistrale.cost.budgets.hold import Hold, Ticket
from aistrale.cost.budgets.store import EXACT, ZERO, Balance, Notice, Short
from aistrale.cost.budgets.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from decimal import Decimal

    from aistrale.cost.budgets.store import Slot

KEEP: Final = 10_000
"""How many counters are kept whose windows have ended, or whose sessions are idle."""

# How many of the oldest counters are looked at for one to forget, when another one is opened.
_LOOK: Final = 8
_add, _subtract = EXACT.add, EXACT.subtract


class _Account:
    """A counter: its window now, and who waits for it."""

    __slots__ = ("line", "seeded", "slot", "window")

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.window = Window(slot)
        self.line: OrderedDict[Ticket, None] = OrderedDict()
        self.seeded = False


class MemoryStore:
    """The counters of this process; a forked child keeps what was spent and forgets what its parent had under way.

    Args:
        told: Gets what is to be told, after the lock was let go; what it raises is dropped.
        keep: How many counters are kept that count nothing any more.
    """

    slow = False

    def __init__(self, told: Callable[[Notice], None] | None = None, *, keep: int = KEEP) -> None:
        self._told = told
        self._keep = keep
        self._accounts: OrderedDict[str, _Account] = OrderedDict()
        self._one = Exclusive()
        self._out: deque[Notice | Callable[[], None]] = deque()
        self.epoch = 0
        on_fork(self._after_fork)

    def _after_fork(self) -> None:
        self._one = Exclusive()
        self._out = deque()
        self.epoch += 1
        for account in self._accounts.values():
            account.line.clear()
            account.window.reserved, account.window.count = ZERO, 0

    # --- operations ------------------------------------------------------------------------------------------------

    def reserve(self, slots: Sequence[Slot], amounts: Sequence[Decimal], now: float) -> Hold | Short:
        """Set money aside in every slot, or in none.

        Args:
            slots: Which counters, each once.
            amounts: US dollars, by slot.
            now: Unix seconds.
        """
        result = self._one.run(partial(self._reserve, slots, amounts, now))
        if self._out:
            self._deliver()
        return result

    def grow(self, held: Hold, more: Sequence[Decimal], now: float) -> Short | None:
        """Set more aside for the same attempt, before anybody in line; None when it was."""
        result = self._one.run(partial(self._grow, held, more, now))
        if self._out:
            self._deliver()
        return result

    def settle(self, held: Hold, actual: Sequence[Decimal | None], now: float) -> None:
        """Replace what was set aside by what was spent; safe in finalizers, only the first time counts.

        Args:
            held: What was set aside.
            actual: US dollars by slot; None spends all that was set aside there.
            now: Unix seconds.
        """
        self._one.post(partial(self._settle, held, actual, now))
        if self._out:
            self._deliver()

    def release(self, held: Hold, now: float) -> None:
        """Give all of it back: nothing was spent."""
        self.settle(held, [ZERO] * len(held.slots), now)

    def seed(self, slot: Slot, spent: Sequence[tuple[float, Decimal]], note: str | None = None) -> None:
        """Begin a counter with what was spent before; a counter that has been seeded is left alone.

        Args:
            slot: Which one.
            spent: Unix seconds and US dollars.
            note: What is not certain about it.
        """
        self._one.run(partial(self._seed, slot, spent, note))

    def seeded(self, key: str) -> bool:
        """Whether a counter has been seeded, and is still there."""
        account = self._accounts.get(key)
        return account is not None and account.seeded

    def spent(self, slots: Sequence[Slot], now: float) -> Short | None:
        """The first hard slot of which nothing is left; None where there is none."""
        result = self._one.run(partial(self._spent, slots, now))
        if self._out:
            self._deliver()
        return result

    def refuse(self, short: Short, now: float) -> None:
        """Tell that a call was refused, or a stream cut, for want of money; once in a period."""
        self._one.run(partial(self._refuse, short, now))
        if self._out:
            self._deliver()

    def snapshot(self, slots: Sequence[Slot], now: float) -> list[Balance]:
        """What each slot stands at."""
        return self._one.run(lambda: [self._balance(slot, now) for slot in slots])

    def slots(self) -> list[Slot]:
        """The counters that are kept, as they were first asked for."""
        return self._one.run(lambda: [account.slot for account in self._accounts.values()])

    def forget(self, key: str) -> None:
        """Drop a counter that nobody will ask for again; what is reserved in it may still be settled."""
        self._one.post(partial(self._accounts.pop, key, None))

    # --- the line ---------------------------------------------------------------------------------------------------

    def enter(self, slots: Sequence[Slot], amounts: Sequence[Decimal], wake: Callable[[], None], now: float) -> Ticket:
        """Set money aside, or stand in line for it.

        Args:
            slots: As for reserve.
            amounts: As for reserve.
            wake: Is called, from any thread, when the ticket has got its hold or will never get one. Must not raise.
            now: Unix seconds.
        """
        ticket = Ticket(slots, amounts, wake)
        self._one.run(partial(self._enter, ticket, now))
        if self._out:
            self._deliver()
        return ticket

    def leave(self, ticket: Ticket, now: float) -> None:
        """Give up a place in line, and whatever was got there in the last moment."""
        self._one.post(partial(self._leave, ticket, now))
        if self._out:
            self._deliver()

    # --- under the lock ---------------------------------------------------------------------------------------------

    def _window(self, slot: Slot, now: float) -> Window:
        account = self._accounts.get(slot.key)
        if account is None:
            if len(self._accounts) >= self._keep:
                self._evict(now)
            account = self._accounts[slot.key] = _Account(slot)
            return account.window
        self._accounts.move_to_end(slot.key)
        window = account.window
        # A clock that was set back does not give the money of an earlier period back.
        if slot.start > window.start:
            window = account.window = Window(slot)
        elif now >= window.due:
            window.forget(slot, now)
        return window

    def _evict(self, now: float) -> None:
        """Forget counters that count nothing, the longest unused first."""
        oldest = [key for key, _ in zip(self._accounts, range(_LOOK), strict=False)]
        for key in oldest:
            account = self._accounts[key]
            window = account.window
            # A window without an end is a session's: the ledger knows it when it comes back.
            idle = not window.count and not account.line
            if idle and not window.buckets and (window.end <= now or window.end == math.inf):
                del self._accounts[key]

    def _reserve(self, slots: Sequence[Slot], amounts: Sequence[Decimal], now: float) -> Hold | Short:
        windows = [self._window(slot, now) for slot in slots]
        short = self._short(slots, windows, amounts, None)
        return self._take(slots, windows, amounts, now) if short is None else short

    def _short(
        self, slots: Sequence[Slot], windows: list[Window], amounts: Sequence[Decimal], ticket: Ticket | None
    ) -> Short | None:
        """Why amounts cannot be had now; None when they can."""
        blocked = None
        for index, slot in enumerate(slots):
            if not slot.hard:
                continue
            window, amount = windows[index], amounts[index]
            total = _add(window.settled, amount)
            if total > slot.limit:
                resets = window.room_at(slot, amount)
                return Short(index, slot, window.settled, window.reserved, amount, passing=False, resets=resets)
            if blocked is None:
                line = self._accounts[slot.key].line
                if (line and next(iter(line)) is not ticket) or (
                    window.count and _add(total, window.reserved) > slot.limit
                ):
                    blocked = index
        if blocked is None:
            return None
        window = windows[blocked]
        return Short(blocked, slots[blocked], window.settled, window.reserved, amounts[blocked], passing=True)

    def _take(self, slots: Sequence[Slot], windows: list[Window], amounts: Sequence[Decimal], now: float) -> Hold:
        for window, amount in zip(windows, amounts, strict=True):
            window.reserved = _add(window.reserved, amount)
            window.count += 1
        return Hold(self, slots, windows, list(amounts), now, epoch=self.epoch)

    def _grow(self, held: Hold, more: Sequence[Decimal], now: float) -> Short | None:
        if held.done or held.epoch != self.epoch:
            return None
        for index, (slot, window) in enumerate(zip(held.slots, held.windows, strict=True)):
            if slot.hard:
                total = _add(window.settled, more[index])
                if _add(total, window.reserved) > slot.limit:
                    # Whether the others' reservations are why: its own will not come back before it ends.
                    passing = _add(total, held.amounts[index]) <= slot.limit
                    resets = None if passing else window.room_at(slot, more[index])
                    return Short(index, slot, window.settled, window.reserved, more[index], passing, resets)
        for index, window in enumerate(held.windows):
            window.reserved = _add(window.reserved, more[index])
            held.amounts[index] = _add(held.amounts[index], more[index])
        return None

    def _settle(self, held: Hold, actual: Sequence[Decimal | None], now: float) -> None:
        if held.done or held.epoch != self.epoch:
            held.done = True
            return
        held.done = True
        waited = False
        for index, slot in enumerate(held.slots):
            window, reserved, amount = held.windows[index], held.amounts[index], actual[index]
            window.count -= 1
            window.reserved = _subtract(window.reserved, reserved) if window.count else ZERO
            if amount is None:
                amount = reserved
            if amount:
                window.spend(slot, amount, held.at, now)
                if window.told < len(slot.marks) and window.settled >= slot.marks[window.told]:
                    self._passed(slot, window, now)
            account = self._accounts.get(slot.key)
            waited = waited or (account is not None and bool(account.line))
        if waited:
            self._advance([slot.key for slot in held.slots], now)

    def _passed(self, slot: Slot, window: Window, now: float) -> None:
        """Tell the marks that have been passed; those of a rolling window once in its length."""
        while window.told < len(slot.marks) and window.settled >= slot.marks[window.told]:
            window.told += 1
            if now - window.told_at[window.told - 1] >= slot.length:
                window.told_at[window.told - 1] = now
                self._out.append(Notice(slot, window.told, window.balance(0), now))

    def _refuse(self, short: Short, now: float) -> None:
        window = self._window(short.slot, now)
        if window.refused == -math.inf or (short.slot.length and now - window.refused >= short.slot.length):
            window.refused = now
            self._out.append(Notice(short.slot, 0, window.balance(0), now))

    def _spent(self, slots: Sequence[Slot], now: float) -> Short | None:
        for index, slot in enumerate(slots):
            if slot.hard:
                window = self._window(slot, now)
                if window.settled >= slot.limit:
                    resets = window.room_at(slot, ZERO)
                    return Short(index, slot, window.settled, window.reserved, ZERO, passing=False, resets=resets)
        return None

    def _enter(self, ticket: Ticket, now: float) -> None:
        result = self._reserve(ticket.slots, ticket.amounts, now)
        if isinstance(result, Hold):
            ticket.hold = result
        elif not result.passing:
            ticket.short = result
        else:
            for slot in ticket.slots:
                if slot.hard:
                    self._accounts[slot.key].line[ticket] = None

    def _leave(self, ticket: Ticket, now: float) -> None:
        keys = self._unline(ticket)
        if ticket.hold is not None:
            self._settle(ticket.hold, [ZERO] * len(ticket.slots), now)
        self._advance(keys, now)

    def _unline(self, ticket: Ticket) -> list[str]:
        keys = []
        for slot in ticket.slots:
            account = self._accounts.get(slot.key)
            if account is not None and ticket in account.line:
                del account.line[ticket]
                keys.append(slot.key)
        return keys

    def _advance(self, keys: Iterable[str], now: float) -> None:
        """Serve the heads of lines as far as the money goes."""
        pending = list(keys)
        while pending:
            account = self._accounts.get(pending.pop())
            if account is None or not account.line:
                continue
            ticket = next(iter(account.line))
            windows = [self._window(slot, now) for slot in ticket.slots]
            short = self._short(ticket.slots, windows, ticket.amounts, ticket)
            if short is not None and short.passing:
                continue
            pending += self._unline(ticket)
            if short is None:
                ticket.hold = self._take(ticket.slots, windows, ticket.amounts, now)
            else:
                ticket.short = short
            self._out.append(ticket.wake)

    def _seed(self, slot: Slot, spent: Sequence[tuple[float, Decimal]], note: str | None) -> None:
        window = self._window(slot, -math.inf)
        account = self._accounts[slot.key]
        if account.seeded:
            return
        account.seeded = True
        window.note = note
        for at, amount in spent:
            window.spend(slot, amount, at, -math.inf)
        # Whoever spent it has told.
        while window.told < len(slot.marks) and window.settled >= slot.marks[window.told]:
            window.told += 1

    def _balance(self, slot: Slot, now: float) -> Balance:
        account = self._accounts.get(slot.key)
        if account is None:
            return Balance()
        return self._window(slot, now).balance(len(account.line))

    # --- after the lock ---------------------------------------------------------------------------------------------

    def _deliver(self) -> None:
        """Wake those who were served, and tell what there is to tell."""
        while self._out:
            try:
                item = self._out.popleft()
            except IndexError:
                return
            with contextlib.suppress(Exception):
                if not isinstance(item, Notice):
                    item()
                elif self._told is not None:
                    self._told(item)
