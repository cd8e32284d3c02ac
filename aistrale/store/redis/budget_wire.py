"""How budgets are asked of Redis: slots and amounts into the scripts' arguments, and their answers back."""

from __future__ import annotations

import math
from functools import partial
from hashlib import blake2b
from secrets import token_hex
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from aistrale.cost.budgets.store import ZERO, Short
from aistrale.store.redis import budget_scripts as scripts
from aistrale.store.redis.bookkeeping import start_of, step_of
from aistrale.store.redis.connection import Away
from aistrale.store.redis.money import FIELDS, Stands, balances, exact, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from decimal import Decimal

    from aistrale.cost.budgets.store import Slot
    from aistrale.store.redis.bookkeeping import Batch, Known, Open
    from aistrale.store.redis.connection import Connection, Reply, Script

_T = TypeVar("_T")

_DAY: Final = 86_400.0
# A session's counter that nobody used for so long is forgotten.
_IDLE: Final = 30 * _DAY
_MANY: Final = 100


class Process(Protocol):
    """This process as the fleet knows it."""

    connection: Connection
    id: str
    epoch: int
    skew: float
    """Redis' clock less this machine's, seconds."""

    def key(self, *parts: str) -> str:
        """The name of a key."""
        ...

    def poke(self, *, hurry: bool = False) -> None:
        """Have the thread that tells Redis run soon; never blocks."""
        ...


class BudgetWire:
    """Every method is one round trip, and raises Away where Redis cannot be asked. Instants are Redis' Unix seconds.

    Args:
        process: Who asks.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self._connection = process.connection

    # --- for callers -------------------------------------------------------------------------------------------------

    def reserve(
        self, slots: Sequence[Slot], amounts: Sequence[Decimal], held: Sequence[Decimal] | None, now: float
    ) -> tuple[list[Stands], Short | None]:
        """Set money aside, or more of it where some is held.

        Args:
            slots: Where, in all of them or in none.
            amounts: US dollars, by slot.
            held: What is held already, by slot; None for a new reservation.
            now: When.

        Returns:
            What the slots stand at, and None; or what the one stands at that is short, and why.
        """
        args: list[object] = [repr(now), token_hex(8), "0" if held is None else "1"]
        for index, (slot, amount) in enumerate(zip(slots, amounts, strict=True)):
            args += [start_of(slot), *_window(slot, now), int(slot.hard), write(slot.limit), write(amount)]
            args.append("0,0" if held is None else write(held[index]))
        keys = [self._process.key("procs"), self._slots, *map(self._key, slots)]
        reply = self._mine(self._connection.run, scripts.RESERVE, keys, args)
        return self._read(lambda: _reserved(reply, slots, amounts))

    def seed(self, slot: Slot, spent: Sequence[tuple[float, Decimal]], now: float, *, joining: bool = False) -> Stands:
        """Begin a counter with the past; what it stands at.

        Args:
            slot: Which one.
            spent: Instants, and US dollars that were spent then.
            now: When.
            joining: Whether by who makes this process known, so that it need not be known yet.
        """
        marks = [write(exact(mark)) for mark in slot.marks]
        args: list[object] = [start_of(slot), *_window(slot, now), token_hex(8), len(marks), *marks]
        for at, amount in spent:
            args += [step_of(slot, at), write(exact(amount))]
        way = self._connection.ask if joining else self._connection.run
        reply = way(scripts.SEED, [self._key(slot)], args)
        return self._read(lambda: balances(reply[1:])[0])

    def look(self, slots: Sequence[Slot], now: float) -> list[Stands]:
        """What slots stand at."""
        args = [repr(now), *map(start_of, slots)]
        reply = self._connection.run(scripts.LOOK, list(map(self._key, slots)), args)
        return self._read(lambda: balances(reply[1:]))

    def refuse(self, slot: Slot, now: float) -> Stands | None:
        """What a slot stands at, if it is for this process to tell that it refused."""
        args: list[object] = [start_of(slot), *_window(slot, now), token_hex(8), repr(now)]
        reply = self._connection.run(scripts.REFUSE, [self._key(slot)], args)
        return self._read(lambda: balances(reply[1:])[0] if reply[0] == 1 else None)

    # --- for those who see to the connection; these do not make this process known ------------------------------------

    def settle(self, batch: Batch, now: float) -> list[tuple[Stands, list[int]]]:
        """Tell what was settled; what each slot stands at, and which of its marks that passed."""
        args: list[object] = [batch.number, repr(now), token_hex(8)]
        for owed in batch.owed:
            slot = owed.slot
            args += [owed.start, *_window(slot, now), owed.step, write(owed.released, owed.count), write(owed.spent)]
            args += [len(slot.marks), *(write(exact(mark)) for mark in slot.marks)]
        keys = [self._process.key("procs"), self._process.key("batch", self._process.id)]
        keys += [self._key(owed.slot) for owed in batch.owed]
        reply = self._mine(self._connection.ask, scripts.SETTLE, keys, args)
        return self._read(lambda: list(_settled(reply)))

    def rejoin(self, opened: Sequence[Open], now: float) -> None:
        """Tell all that is reserved."""
        args: list[object] = [repr(now), token_hex(8)]
        for own in opened:
            args += [own.start, *_window(own.slot, now), write(own.amount, own.count)]
        keys = [self._process.key("procs"), self._slots, *(self._key(own.slot) for own in opened)]
        self._connection.ask(scripts.REJOIN, keys, [self._process.id, self._process.epoch, *args])

    def restore(self, known: Sequence[Known], now: float) -> list[Stands]:
        """Bring back what is known of counters, where Redis has lost it; what they stand at."""
        found: list[Stands] = []
        for at in range(0, len(known), _MANY):
            some = known[at : at + _MANY]
            args: list[object] = [token_hex(8)]
            for each in some:
                slot, stands = each.slot, each.stands
                args += [stands.start, *_window(slot, now), step_of(slot, now), stands.born, write(stands.spent)]
            reply = self._connection.ask(scripts.RESTORE, [self._key(each.slot) for each in some], args)
            found += self._read(partial(balances, reply[1:]))
        return found

    # --- in between --------------------------------------------------------------------------------------------------

    @property
    def _slots(self) -> str:
        return self._process.key("slots", self._process.id)

    def _key(self, slot: Slot) -> str:
        # Hashed: the names of users and projects are nobody's business there.
        return self._process.key(
            "budget", blake2b(slot.key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        )

    def _mine(
        self,
        way: Callable[[Script, Sequence[str], Sequence[object]], Reply],
        script: Script,
        keys: Sequence[str],
        args: Sequence[object],
    ) -> Reply:
        """Ask as a process that is known."""
        if way == self._connection.run:
            # First, since it gives this process another epoch.
            self._connection.ready()
        era = self._connection.era
        reply = way(script, keys, [self._process.id, self._process.epoch, *args])
        if reply and reply[0] == b"stale":
            self._connection.failed(LookupError("it does not know this process any more"), era)
            raise Away
        return reply

    def _read(self, work: Callable[[], _T]) -> _T:
        try:
            return work()
        except (ValueError, TypeError, IndexError, ArithmeticError, AttributeError) as error:
            self._connection.failed(ValueError("an answer that makes no sense"))
            raise Away from error


def _window(slot: Slot, now: float) -> tuple[str, str, int]:
    """Of a slot's window the step, the length, and how many seconds its counter is to be kept."""
    if slot.length:
        keep = slot.length + _DAY
    elif math.isinf(slot.end):
        keep = _IDLE
    else:
        keep = max(slot.end - now, 0.0) + _DAY
    return repr(slot.step), repr(slot.length), int(keep)


def _reserved(reply: Reply, slots: Sequence[Slot], amounts: Sequence[Decimal]) -> tuple[list[Stands], Short | None]:
    if reply[0] == b"held":
        stands = balances(reply[1:])
        if len(stands) != len(slots):
            raise ValueError("answers and questions differ in number")
        return stands, None
    index, passing = _whole(reply[1]), bool(reply[2])
    slot, amount, (stood,) = slots[index], amounts[index], balances(reply[4:])
    resets = float(reply[3]) if isinstance(reply[3], bytes) and reply[3] else resets_of(slot, amount)
    return [stood], Short(index, slot, stood.spent, stood.reserved, amount, passing, None if passing else resets)


def _settled(reply: Reply) -> Iterator[tuple[Stands, list[int]]]:
    for at in range(1, len(reply), FIELDS + 1):
        (stands,), marks = balances(reply[at : at + FIELDS]), reply[at + FIELDS]
        yield stands, [int(mark) for mark in marks.split()] if isinstance(marks, bytes) else []


def resets_of(slot: Slot, amount: Decimal = ZERO) -> float | None:
    """When a window that does not roll has room again; None where nobody knows."""
    return None if slot.length or math.isinf(slot.end) or amount > slot.limit else slot.end


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(value)
    return value
