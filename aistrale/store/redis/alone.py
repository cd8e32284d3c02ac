"""What one process may spend of shared budgets while nobody can be asked: its share, counted in its own memory."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aistrale.cost.budgets.memory import MemoryStore
from aistrale.cost.budgets.store import Short
from aistrale.store.redis.bookkeeping import start_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal

    from aistrale.cost.budgets.hold import Hold
    from aistrale.cost.budgets.store import Notice, Slot


_APART: Final = "\x1f"


class Alone:
    """Begins anew with every outage.

    Args:
        gone: What of a slot's limit is not this process's, US dollars.
        told: Gets what is to be told.
    """

    def __init__(self, gone: Callable[[Slot], Decimal], told: Callable[[Notice], None]) -> None:
        self._gone = gone
        self._told = told
        self._lock = threading.Lock()
        self._store: MemoryStore | None = None

    @property
    def store(self) -> MemoryStore:
        """The counters of this outage."""
        with self._lock:
            if self._store is None:
                self._store = MemoryStore(self._tell)
            return self._store

    def close(self) -> None:
        """The outage is over; what is held is settled where it was reserved."""
        self._store = None

    def after_fork(self) -> None:
        """Another process begins with nothing."""
        self._lock = threading.Lock()
        self._store = None

    def reserve(
        self, slots: Sequence[Slot], amounts: Sequence[Decimal], now: float
    ) -> tuple[Hold | Short, MemoryStore]:
        """Set money aside of the share, and where.

        Args:
            slots: All of them or none.
            amounts: US dollars, by slot.
            now: Unix seconds.
        """
        store = self.store
        result = store.reserve([self._own(store, slot, now) for slot in slots], amounts, now)
        if isinstance(result, Short):
            result = replace(result, slot=slots[result.index])
        return result, store

    def spent(self, slot: Slot, now: float) -> Short | None:
        """Why nothing is left of the share."""
        store = self.store
        return store.spent([self._own(store, slot, now)], now)

    def refuse(self, short: Short, now: float) -> None:
        """Tell that a call was refused, once in an outage."""
        store = self.store
        store.refuse(replace(short, slot=self._own(store, short.slot, now)), now)

    def _tell(self, notice: Notice) -> None:
        key = notice.slot.key.rpartition(_APART)[0]
        self._told(replace(notice, slot=replace(notice.slot, key=key)))

    def _own(self, store: MemoryStore, slot: Slot, now: float) -> Slot:
        """The slot by which this process keeps to its share of one window; the next window has a share of its own."""
        own = replace(slot, key=f"{slot.key}{_APART}{start_of(slot)}")
        if not store.seeded(own.key):
            store.seed(own, [(now, self._gone(slot))])
        return own
