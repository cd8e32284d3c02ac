"""Daily spend out of the ledger, as forecasts and detectors of anomalies take it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aistrale.store.protocol import LedgerQueries

DAYS: Final = 730
"""How far back is looked by default: two of every season, as much as the forecast makes use of."""

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DailySpend:
    """What was spent on each day.

    Args:
        start: The first day (UTC); the day of the first attempt, or the beginning of what was asked for.
        values: US dollars of each complete day from `start` on, without gaps; what has no known price is left out.
        today: US dollars of the day that has not ended.
        now: When the ledger was asked, aware UTC.
        unpriced: Attempts of unknown price, which no value holds.
    """

    start: date
    values: tuple[Decimal, ...]
    today: Decimal
    now: datetime
    unpriced: int = 0

    @property
    def floats(self) -> list[float]:
        """The values as numbers for statistics; sums of money are made of `values`."""
        return [float(value) for value in self.values]

    def day(self, index: int) -> date:
        """The day of a value."""
        return self.start + index * _DAY


def daily_spend(
    ledger: LedgerQueries,
    *,
    now: datetime | None = None,
    days: int = DAYS,
    where: Mapping[str, str | None] | None = None,
) -> DailySpend:
    """Read the spend of the last days.

    Args:
        ledger: Where it is recorded.
        now: Aware; the present by default.
        days: How many complete days at most.
        where: Only attempts with these values, by dimension: {"project": "shop"}; None for those without a value.

    Raises:
        ConfigurationError: `now` has no time zone, or a dimension is unknown.
        LedgerUnavailable: The ledger cannot be read.
    """
    moment = datetime.now(UTC) if now is None else now
    if moment.tzinfo is None:
        raise ConfigurationError("now must be an aware datetime, with a time zone.", field="now")
    moment = moment.astimezone(UTC)
    today = moment.date()
    since = datetime(today.year, today.month, today.day, tzinfo=UTC) - days * _DAY
    rows = ledger.spend(("day",), since=since, until=moment, where=where)
    spent = {date.fromisoformat(row.key[0]): row for row in rows if row.key[0] is not None}
    start = min(spent, default=today)
    complete = [spent.get(start + index * _DAY) for index in range((today - start).days)]
    last = spent.get(today)
    return DailySpend(
        start=start,
        values=tuple(Decimal(0) if row is None else row.cost for row in complete),
        today=Decimal(0) if last is None else last.cost,
        now=moment,
        unpriced=sum(row.unpriced for row in rows),
    )
