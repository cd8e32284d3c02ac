"""Money that an attempt holds in budgets of several processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aistrale.cost.budgets.hold import Hold

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from aistrale.cost.budgets.memory import MemoryStore
    from aistrale.cost.budgets.store import Counters, Slot


class SharedHold(Hold):
    """Money set aside in counters of which Redis keeps some, and this process others.

    Args:
        store: Settles it.
        slots: Where.
        amounts: US dollars, by slot.
        at: When, in Unix seconds of Redis' clock.
        epoch: Of the store: a forked child settles nothing of its parent's.
    """

    __slots__ = ("alone", "alone_in", "own", "since", "starts", "told")

    def __init__(self, store: Counters, slots: Sequence[Slot], amounts: list[Decimal], at: float, epoch: int) -> None:
        super().__init__(store, slots, [], amounts, at, epoch=epoch)
        self.own: Hold | None = None
        """In counters that are nobody else's."""
        self.alone: Hold | None = None
        """Of this process's share, while Redis was away."""
        self.alone_in: MemoryStore | None = None
        self.starts: list[str] = []
        """In which windows, by slot."""
        self.told = False
        """Whether Redis was asked for it."""
        self.since = 0
