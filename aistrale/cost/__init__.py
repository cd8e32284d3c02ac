"""Money: what calls cost, in exact decimal US dollars; budgets, forecasts, anomalies and advice.

Names load at first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aistrale.cost.advice.advise import advise
    from aistrale.cost.anomalies.anomaly import Anomaly, Detector, detect
    from aistrale.cost.anomalies.attribution import attribute, explain
    from aistrale.cost.anomalies.burn_rate import burn
    from aistrale.cost.book.price_book import PriceBook, price_book
    from aistrale.cost.budgets.book import BudgetStatus
    from aistrale.cost.budgets.event import BudgetEvent
    from aistrale.cost.budgets.settings import BudgetSettings
    from aistrale.cost.forecasts.forecast import forecast, month_to_date, runs_out
    from aistrale.cost.forecasts.result import Forecast, InsufficientData
    from aistrale.cost.optimization.compact import compact
    from aistrale.cost.prices import price, price_usage
    from aistrale.cost.pricing import reprice
    from aistrale.cost.report import costs

_HOMES = {
    "advice.advise": ("advise",),
    "anomalies.anomaly": ("Anomaly", "Detector", "detect"),
    "anomalies.attribution": ("attribute", "explain"),
    "anomalies.burn_rate": ("burn",),
    "book.price_book": ("PriceBook", "price_book"),
    "budgets.book": ("BudgetStatus",),
    "budgets.event": ("BudgetEvent",),
    "budgets.settings": ("BudgetSettings",),
    "forecasts.forecast": ("forecast", "month_to_date", "runs_out"),
    "forecasts.result": ("Forecast", "InsufficientData"),
    "optimization.compact": ("compact",),
    "prices": ("price", "price_usage"),
    "pricing": ("reprice",),
    "report": ("costs",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Anomaly",
    "BudgetEvent",
    "BudgetSettings",
    "BudgetStatus",
    "Detector",
    "Forecast",
    "InsufficientData",
    "PriceBook",
    "advise",
    "attribute",
    "burn",
    "compact",
    "costs",
    "detect",
    "explain",
    "forecast",
    "month_to_date",
    "price",
    "price_book",
    "price_usage",
    "reprice",
    "runs_out",
]


def __getattr__(name: str) -> object:
    from importlib import import_module

    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'aistrale.cost' has no attribute {name!r}")
    found: object = getattr(import_module(f"aistrale.cost.{home}"), name)
    # Kept, so that the next access costs nothing.
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
