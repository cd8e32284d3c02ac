"""What keeps count of budgets: in this process by default; several processes may share one that is elsewhere.

Every operation takes all the budgets of an attempt at once, so that a store which is reached over a network needs one
atomic round trip for each. Windows are worked out by the caller: a store knows no calendar. What an operation needs
travels with it, so that a caller whose shared store cannot be reached goes on with a `MemoryStore` and the same slots.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aistrale.cost.budgets.hold import Hold, Ticket

# The caller may have set a small precision for its own sums.
EXACT: Final = Context(prec=60)
ZERO: Final = Decimal(0)


@dataclass(slots=True, frozen=True)
class Slot:
    """One counter of money.

    Args:
        key: Its name, the same in every process.
        limit: US dollars.
        hard: Whether more than the limit is refused.
        start: Where its window begins, Unix seconds; minus infinity for none.
        end: Where its window ends; infinity for none.
        length: Seconds of a rolling window; 0 for all others.
        step: In which steps it forgets, seconds.
        marks: Amounts that are told when they have been spent, in ascending order.
        shared: Whether other processes may count for it; a single call's own limit is nobody else's.
    """

    key: str
    limit: Decimal
    hard: bool
    start: float
    end: float
    length: float = 0.0
    step: float = 0.0
    marks: tuple[Decimal, ...] = ()
    shared: bool = True


@dataclass(slots=True, frozen=True)
class Short:
    """Why nothing was reserved: a hard budget has no room.

    Args:
        index: Which of the slots.
        slot: The same.
        spent: US dollars settled.
        reserved: US dollars that calls under way may still cost.
        needed: US dollars that were asked for.
        passing: Whether those reservations alone are why, so that there may be room when they are settled.
        resets: When there will be room again, Unix seconds; None where nobody knows.
    """

    index: int
    slot: Slot
    spent: Decimal
    reserved: Decimal
    needed: Decimal
    passing: bool
    resets: float | None = None

    @property
    def room(self) -> Decimal:
        """US dollars that could be had now; not negative."""
        return max(EXACT.subtract(self.slot.limit, EXACT.add(self.spent, self.reserved)), ZERO)

    @property
    def left(self) -> Decimal:
        """US dollars that are not spent; not negative."""
        return max(EXACT.subtract(self.slot.limit, self.spent), ZERO)


@dataclass(slots=True, frozen=True)
class Balance:
    """What a slot stands at.

    Args:
        spent: US dollars settled in its window.
        reserved: US dollars that calls under way may still cost.
        in_flight: Reservations under way.
        waiting: Calls that wait for money.
        note: What is not certain about it; None where nothing.
    """

    spent: Decimal = ZERO
    reserved: Decimal = ZERO
    in_flight: int = 0
    waiting: int = 0
    note: str | None = None


@dataclass(slots=True, frozen=True)
class Notice:
    """Something to tell of a slot.

    Args:
        slot: Which one.
        mark: How many of its marks are passed; 0 where it has refused.
        balance: What it stood at.
        at: Unix seconds.
    """

    slot: Slot
    mark: int
    balance: Balance
    at: float


class Held(Protocol):
    """Money that is set aside for one attempt, in all of its slots."""

    @property
    def amounts(self) -> Sequence[Decimal]:
        """US dollars, by slot."""
        ...


class BudgetStore(Protocol):
    """Where the counters are. All of an operation happens or nothing; instants are Unix seconds."""

    def reserve(self, slots: Sequence[Slot], amounts: Sequence[Decimal], now: float) -> Held | Short:
        """Set money aside in every slot, or in none."""
        ...

    def grow(self, held: Held, more: Sequence[Decimal], now: float) -> Short | None:
        """Set more aside for the same attempt, in every slot or in none; None when it was."""
        ...

    def settle(self, held: Held, actual: Sequence[Decimal | None], now: float) -> None:
        """Replace what was set aside by what was spent, in the windows in which it was reserved; the first time counts.

        Args:
            held: What was set aside; nothing of it stays reserved.
            actual: US dollars by slot, which may be more; None spends all that was set aside there.
            now: For what has to be told.
        """
        ...

    def seed(self, slot: Slot, spent: Sequence[tuple[float, Decimal]], note: str | None = None) -> None:
        """Begin a counter with what is known to have been spent; a counter that has been seeded is left alone.

        Args:
            slot: Which one.
            spent: Instants and US dollars.
            note: What is not certain about it.
        """
        ...

    def snapshot(self, slots: Sequence[Slot], now: float) -> list[Balance]:
        """What each slot stands at."""
        ...


class Counters(Protocol):
    """A BudgetStore with all that policies and the status need of it: `MemoryStore` documents each method."""

    @property
    def slow(self) -> bool:
        """Whether `reserve`, `grow` and `seed` ask another machine, so that an event loop leaves them to a thread."""
        ...

    def reserve(self, slots: Sequence[Slot], amounts: Sequence[Decimal], now: float) -> Hold | Short:
        """Set money aside in every slot, or in none."""
        ...

    def grow(self, held: Hold, more: Sequence[Decimal], now: float) -> Short | None:
        """Set more aside for the same attempt; None when it was."""
        ...

    def settle(self, held: Hold, actual: Sequence[Decimal | None], now: float) -> None:
        """Replace what was set aside by what was spent; safe in finalizers."""
        ...

    def seed(self, slot: Slot, spent: Sequence[tuple[float, Decimal]], note: str | None = None) -> None:
        """Begin a counter with what was spent before."""
        ...

    def seeded(self, key: str) -> bool:
        """Whether a counter has been seeded, and is still known."""
        ...

    def spent(self, slots: Sequence[Slot], now: float) -> Short | None:
        """The first hard slot of which nothing is left, without asking anybody; None where there is none."""
        ...

    def refuse(self, short: Short, now: float) -> None:
        """Tell that a call was refused; once in a period."""
        ...

    def snapshot(self, slots: Sequence[Slot], now: float) -> list[Balance]:
        """What each slot stands at."""
        ...

    def slots(self) -> list[Slot]:
        """The counters that are kept."""
        ...

    def forget(self, key: str) -> None:
        """Drop a counter that nobody will ask for again."""
        ...

    def enter(self, slots: Sequence[Slot], amounts: Sequence[Decimal], wake: Callable[[], None], now: float) -> Ticket:
        """Set money aside, or stand in line for it; asks nobody."""
        ...

    def leave(self, ticket: Ticket, now: float) -> None:
        """Give up a place in line, and whatever was got there in the last moment."""
        ...
