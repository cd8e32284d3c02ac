"""What a client knows of money: its prices and its budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aistrale.cost.prices import price_usage

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from aistrale.config import Settings
    from aistrale.cost.book import PriceBook
    from aistrale.cost.budget_book import BudgetBook
    from aistrale.store import LedgerHandle, NullLedger
    from aistrale.types import Cost, Usage


class Accounts:
    """The money side of one client; nothing is read before the first question.

    Args:
        settings: The client's.
        ledger: Knows what was spent before.
    """

    def __init__(self, settings: Settings, ledger: LedgerHandle | NullLedger) -> None:
        from aistrale.cost.budget_book import BudgetBook

        self._own = settings.prices
        self._book: PriceBook | None = None
        self.budgets: BudgetBook = BudgetBook(settings.budgets, ledger=ledger, on_event=settings.on_event)
        self.price: Callable[..., Cost] = self._price_own if self._own else price_usage
        """Prices one exchange, as `aistrale.cost.prices.price_usage` does, with the client's own prices."""

    @property
    def book(self) -> PriceBook:
        """The price book, with the prices of the settings laid over it."""
        if self._book is None:
            from aistrale.cost.book import price_book

            self._book = price_book().with_prices(self._own) if self._own else price_book()
        return self._book

    def _price_own(
        self, provider: str, model: str, usage: Usage, *, at: datetime | float | None = None, **conditions: object
    ) -> Cost:
        return price_usage(provider, model, usage, at=at, book=self.book, **conditions)
