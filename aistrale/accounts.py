"""What a client knows of money: its prices, its budgets, how well it counts, and what it may optimise."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from aistrale.core.worker import on_fork
from aistrale.cost.prices import price_usage
from aistrale.cost.shape import Shaper

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from decimal import Decimal

    from aistrale.config import Settings
    from aistrale.core.call import Attempt, Call, Target
    from aistrale.cost.book.price_book import PriceBook
    from aistrale.cost.budgets.book import BudgetBook
    from aistrale.cost.budgets.bound import Bounds
    from aistrale.cost.budgets.event import BudgetEvent
    from aistrale.cost.budgets.store import Counters, Notice
    from aistrale.cost.optimization.optimizer import OptimizeEvent, Optimizer
    from aistrale.cost.tokens.calibration import Calibration, Sampler
    from aistrale.store import LedgerHandle, NullLedger
    from aistrale.types import Cost, Usage


class Listeners(Protocol):
    """Who is told what."""

    budget: Callable[[BudgetEvent], None] | None
    optimized: Callable[[OptimizeEvent], None] | None


class Accounts:
    """The money side of one client; nothing is read before the first question.

    Args:
        settings: The client's.
        ledger: Knows what was spent before.
        told: Who is told of budgets and of what is optimised.
        counters: Makes what counts for budgets, from what is to be told; None for the memory of this process.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: LedgerHandle | NullLedger,
        told: Listeners,
        counters: Callable[[Callable[[Notice], None]], Counters] | None = None,
    ) -> None:
        from aistrale.cost.budgets.book import BudgetBook
        from aistrale.cost.budgets.memory import MemoryStore

        self._own = settings.prices
        self._ledger = ledger
        self._lock = threading.Lock()
        on_fork(self._after_fork)
        self._calibration: Calibration
        self._sampler: Sampler | None = None
        self._book: PriceBook | None = None
        self.budgets: BudgetBook = BudgetBook(
            settings.budgets, ledger=ledger, on_event=told.budget, store=counters or MemoryStore
        )
        status = ledger.status()
        beside = None if status.path is None else Path(status.path).parent
        self.shape: Shaper | None = None if status.mode == "off" else Shaper(beside)
        """What the ledger keeps of a request; None where there is no ledger."""
        self.optimizer: Optimizer | None = _optimizer(settings, beside, told)
        self.price: Callable[..., Cost] = self._price_own if self._own else price_usage
        """Prices one exchange, as `aistrale.cost.prices.price_usage` does, with the client's own prices."""
        self._bounds: Bounds | None = None

    def _after_fork(self) -> None:
        # Another thread of the parent may have held it when the process forked.
        self._lock = threading.Lock()

    @property
    def book(self) -> PriceBook:
        """The price book, with the prices of the settings laid over it."""
        if self._book is None:
            from aistrale.cost.book.price_book import price_book

            self._book = price_book().with_prices(self._own) if self._own else price_book()
        return self._book

    def most(self, call: Call, target: Target) -> Decimal | None:
        """The most that a call's request can cost at a target, in US dollars; None where nothing says.

        Args:
            call: Its request is looked at.
            target: Where it would go.
        """
        from aistrale.cost.budgets.bound import Bounds, load

        if self._bounds is None:
            self._bounds = Bounds(self.price)
        request = load(call.request, target)
        rates = self._bounds.rates(call.request, target, request.input)
        return None if rates.reason is not None or request.output is None else rates.most(request.output)

    @property
    def calibration(self) -> Calibration:
        """What was learned about our token counts, from the ledger and from the calls of this process."""
        if self._sampler is None:
            from aistrale.cost.tokens.calibration import Calibration, Sampler

            with self._lock:
                if self._sampler is None:
                    self._calibration = Calibration(self._ledger.counts)
                    self._sampler = Sampler(self._calibration, self._ledger.append, now=time.time)
        return self._calibration

    def settled(self, call: Call, attempt: Attempt) -> None:
        """Learn from an exchange that succeeded; does nothing unless tokens have been counted in this process."""
        usage = attempt.usage
        if self._sampler is not None and usage is not None and usage.source == "reported":
            target = attempt.target
            self._sampler.offer(
                (call.id, attempt.number), target.provider.name, target.model, call.request, usage.input_total or 0
            )

    def _price_own(
        self, provider: str, model: str, usage: Usage, *, at: datetime | float | None = None, **conditions: object
    ) -> Cost:
        return price_usage(provider, model, usage, at=at, book=self.book, **conditions)


def _optimizer(settings: Settings, directory: Path | None, told: Listeners) -> Optimizer | None:
    if settings.optimize is None:
        return None
    from aistrale.cost.optimization.optimizer import Optimizer

    # Shares that have grown, and what was taken back, outlive the process where calls are recorded.
    return Optimizer(settings.optimize, directory=directory, listener=told.optimized)
