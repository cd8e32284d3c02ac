"""Money that an attempt holds, and the place in line of one that waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aistrale.cost.budgets.store import ZERO

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal

    from aistrale.cost.budgets.store import Counters, Short, Slot
    from aistrale.cost.budgets.window import Window


class Hold:
    """Money set aside in several slots; to be settled with its store's `settle`, whatever happens.

    `sent`: whether it may have been spent; a hold that gets lost before is given back, after that it counts as spent.
    """

    __slots__ = ("_store", "amounts", "at", "done", "epoch", "sent", "slots", "windows")

    def __init__(
        self,
        store: Counters,
        slots: Sequence[Slot],
        windows: list[Window],
        amounts: list[Decimal],
        at: float,
        *,
        epoch: int = 0,
    ) -> None:
        self.done = False
        self.sent = False
        self._store = store
        self.epoch = epoch
        self.slots = slots
        self.windows = windows
        self.amounts = amounts
        self.at = at

    def __del__(self) -> None:
        # An interrupt can strike between the reservation and the first line that would settle it.
        if not getattr(self, "done", True):
            self._store.settle(self, [None if self.sent else ZERO] * len(self.slots), self.at)


class Ticket:
    """A place in line; `hold` or `short` says how it ended, both None while it waits."""

    __slots__ = ("amounts", "hold", "short", "slots", "wake")

    def __init__(self, slots: Sequence[Slot], amounts: Sequence[Decimal], wake: Callable[[], None]) -> None:
        self.slots = slots
        self.amounts = amounts
        self.wake = wake
        self.hold: Hold | None = None
        self.short: Short | None = None
