"""Calls of one process that wait for money of budgets which others share; they are asked for again and again.

First come, first served, of those that wait for the same. Between processes nobody keeps an order.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Final

from aistrale.core.exclusive import Exclusive
from aistrale.cost.budgets.hold import Hold
from aistrale.cost.budgets.store import Short

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal

    from aistrale.cost.budgets.hold import Ticket
    from aistrale.cost.budgets.store import Slot

# Seconds between two tries of those that wait.
_TRY: Final = 0.03


class Line:
    """Safe between threads and in finalizers.

    Args:
        stood: What a slot stood at, spent and reserved, as far as that is known.
    """

    def __init__(self, stood: Callable[[Slot], tuple[Decimal, Decimal]]) -> None:
        self._stood = stood
        self._one = Exclusive()
        self._tickets: OrderedDict[Ticket, None] = OrderedDict()

    @property
    def count(self) -> int:
        """How many wait."""
        return len(self._tickets)

    def waiting(self, slot: Slot) -> int:
        """How many wait for the money of a slot."""
        return sum(any(each.key == slot.key for each in ticket.slots) for ticket in list(self._tickets))

    def join(self, ticket: Ticket) -> None:
        """Stand in line."""
        self._one.run(partial(self._tickets.__setitem__, ticket, None))

    def leave(self, ticket: Ticket) -> None:
        """Leave it."""
        self._one.post(partial(self._tickets.pop, ticket, None))

    def behind(self, slots: Sequence[Slot], amounts: Sequence[Decimal]) -> Short | None:
        """Why nothing is to be had before those who wait; None where nobody waits for the same."""
        keys = self._one.run(lambda: {slot.key for ticket in self._tickets for slot in ticket.slots if slot.hard})
        for index, slot in enumerate(slots):
            if slot.hard and slot.key in keys:
                spent, reserved = self._stood(slot)
                return Short(index, slot, spent, reserved, amounts[index], passing=True)
        return None

    def serve(
        self,
        reserve: Callable[[Sequence[Slot], list[Decimal]], Hold | Short],
        release: Callable[[Hold], None],
    ) -> float | None:
        """Ask for those whose turn it is.

        Args:
            reserve: Asks.
            release: Gives back what nobody waits for any more.

        Returns:
            Seconds until it should be asked again; None for nobody.
        """
        taken: set[str] = set()
        for ticket in self._one.run(lambda: list(self._tickets)):
            keys = {slot.key for slot in ticket.slots if slot.hard}
            if keys & taken:
                continue
            result = reserve(ticket.slots, list(ticket.amounts))
            if isinstance(result, Short) and result.passing:
                taken |= keys
            elif self._one.run(partial(self._hand, ticket, result)):
                ticket.wake()
            elif isinstance(result, Hold):
                release(result)
        return _TRY if self._tickets else None

    def _hand(self, ticket: Ticket, result: Hold | Short) -> bool:
        if self._tickets.pop(ticket, self) is self:
            return False
        if isinstance(result, Hold):
            ticket.hold = result
        else:
            ticket.short = result
        return True
