"""What is told of budgets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

What: TypeAlias = Literal["threshold", "refused"]


@dataclass(slots=True, frozen=True, kw_only=True)
class BudgetEvent:
    """A budget was used up to a threshold, or had to refuse; each is told once per period.

    Args:
        what: "threshold": that share of the limit is spent. "refused": the first call of the period that found no room
            (or the first stream that was cut).
        budget: Its name.
        scope: Whose money it is: "global", "user:alice", ...
        period: As it stands in the settings.
        limit: US dollars.
        spent: US dollars that are settled.
        reserved: US dollars that calls under way may still cost.
        hard: Whether the limit limits.
        threshold: The share of the limit that was passed; None for a refusal.
        starts: When the period began, aware UTC; None where it has no beginning.
        resets: When it ends, aware UTC; None where it has no end.
        at: When it happened, aware UTC.
    """

    what: What
    budget: str
    scope: str
    period: str
    limit: Decimal
    spent: Decimal
    reserved: Decimal
    hard: bool
    threshold: Decimal | None
    starts: datetime | None
    resets: datetime | None
    at: datetime
