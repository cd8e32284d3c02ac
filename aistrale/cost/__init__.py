"""Money: what calls cost, in exact decimal US dollars."""

from __future__ import annotations

from aistrale.cost.prices import price, price_usage

__all__ = ["price", "price_usage"]
