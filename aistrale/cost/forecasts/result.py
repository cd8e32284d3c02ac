"""What a forecast of spend says: days, totals, the month, and when a limit is reached. Plain values, no numpy.

Amounts are floats, in the unit of the values that were given (US dollars, where they come from the ledger). A forecast
is an estimate that misses by percents: exact decimals would claim what it does not know. Money that was spent stays
`Decimal` in the ledger, and what compares it with a forecast rounds there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Literal, TypeAlias

from aistrale.errors import AistraleError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aistrale.types import JSON, JSONObject

Confidence: TypeAlias = Literal["low", "normal"]


class InsufficientData(AistraleError):
    """There is too little history to forecast from: the message says how much there is and how much it takes."""

    exit_code = 2


@dataclass(slots=True, frozen=True)
class Interval:
    """Where an amount lies with the given probability.

    Args:
        level: The probability, 0.8 for an 80 % interval; as much is left out below as above.
        low: The lower bound, never below 0.
        high: The upper bound.
    """

    level: float
    low: float
    high: float

    def to_json(self) -> JSONObject:
        """The interval as JSON."""
        return {"level": self.level, "low": self.low, "high": self.high}


@dataclass(slots=True, frozen=True)
class ForecastDay:
    """One day of a forecast.

    Args:
        date: The day (UTC); None where the forecast was made without a `start`.
        p50: As likely to be passed as not.
        intervals: One for each level that was asked for, in that order. Do not add them up: days miss together.
    """

    date: date | None
    p50: float
    intervals: tuple[Interval, ...]

    def to_json(self) -> JSONObject:
        """The day as JSON."""
        return {
            "date": self.date.isoformat() if self.date else None,
            "p50": self.p50,
            "intervals": [interval.to_json() for interval in self.intervals],
        }


@dataclass(slots=True, frozen=True)
class Total:
    """The sum over all days of a forecast, with bounds that were calibrated on sums.

    Args:
        p50: The sum of the days' p50.
        p80: Passed with a probability of 20 %.
        p95: Passed with a probability of 5 %.
        intervals: One for each level that was asked for, in that order.
    """

    p50: float
    p80: float
    p95: float
    intervals: tuple[Interval, ...]

    def plus(self, spent: float) -> Total:
        """The total with what was spent already."""
        return Total(
            p50=self.p50 + spent,
            p80=self.p80 + spent,
            p95=self.p95 + spent,
            intervals=tuple(Interval(each.level, each.low + spent, each.high + spent) for each in self.intervals),
        )

    def to_json(self) -> JSONObject:
        """The total as JSON."""
        intervals: list[JSON] = [interval.to_json() for interval in self.intervals]
        return {"p50": self.p50, "p80": self.p80, "p95": self.p95, "intervals": intervals}


@dataclass(slots=True, frozen=True)
class Forecast:
    """Spend of the coming days.

    Args:
        days: One for each day ahead, in order.
        total: The sum of them.
        method: "combination" (three weeks of history and more), "mean" (one to three weeks), "run rate" (less).
        confidence: "low" where the history is too short to measure how far the forecast misses.
        reason: Why, one sentence: what the forecast stands on.
        paths: Quantiles of the sum up to and with each day, by probability: 0.05, 0.5 and 0.95 at least.
    """

    days: tuple[ForecastDay, ...]
    total: Total
    method: str
    confidence: Confidence
    reason: str
    paths: Mapping[float, tuple[float, ...]] = field(repr=False)

    def to_json(self) -> JSONObject:
        """The forecast as JSON: dates as ISO 8601, amounts as numbers."""
        return {
            "method": self.method,
            "confidence": self.confidence,
            "reason": self.reason,
            "total": self.total.to_json(),
            "days": [day.to_json() for day in self.days],
        }


@dataclass(slots=True, frozen=True)
class MonthForecast:
    """A calendar month (UTC): what was spent of it, and what the rest will bring.

    Args:
        month: Its first day.
        spent: What was spent in it so far, today included.
        total: The whole month: what was spent and what is to come.
        rest: The forecast of the days from today to the end; today counts with what is still to come.
    """

    month: date
    spent: float
    total: Total
    rest: Forecast

    def to_json(self) -> JSONObject:
        """The month as JSON."""
        return {
            "month": f"{self.month:%Y-%m}",
            "spent": self.spent,
            "total": self.total.to_json(),
            "rest": self.rest.to_json(),
        }


@dataclass(slots=True, frozen=True)
class RunsOut:
    """When a limit is reached; None stands for "not within the horizon of the forecast".

    Args:
        p50: The first day on which the limit is as likely reached as not.
        earliest: The first day by which it is reached with a probability of 5 %.
        latest: The first day by which it is reached with a probability of 95 %.
        until: The last day that the forecast looks at.
    """

    p50: date | None
    earliest: date | None
    latest: date | None
    until: date

    def to_json(self) -> JSONObject:
        """The dates as ISO 8601."""
        days = {"p50": self.p50, "earliest": self.earliest, "latest": self.latest, "until": self.until}
        return {name: day.isoformat() if day else None for name, day in days.items()}


def runs_out(forecast: Forecast, spent: float, limit: float) -> RunsOut:
    """Says when spend reaches a limit.

    Args:
        forecast: Made with a `start`, so that its days have dates.
        spent: What counts against the limit already, before the first day of the forecast; where that day is today and
            the forecast was made with `spent_today`, without what was spent today.
        limit: The limit, in the same unit, not negative.

    Returns:
        The first days on which the quantiles of the running sum (calibrated on sums) reach it; the first day of the
        forecast where `spent` has reached it already.

    Raises:
        ConfigurationError: The forecast has no dates, or an amount is not a number from 0 on.
    """
    for name, amount in (("spent", spent), ("limit", limit)):
        if not 0 <= amount < float("inf"):
            raise ConfigurationError(f"{name} must be an amount from 0 on, not {amount}", field=name)
    first = forecast.days[0].date
    if first is None:
        raise ConfigurationError(
            "The forecast has no dates", field="start", hint="Make it with start=, the date of the first value."
        )

    def crossed(probability: float) -> date | None:
        sums = enumerate(forecast.paths[probability])
        return next((first + timedelta(days=ahead) for ahead, total in sums if float(spent) + total >= limit), None)

    if spent >= limit:
        return RunsOut(p50=first, earliest=first, latest=first, until=first + timedelta(days=len(forecast.days) - 1))
    return RunsOut(
        p50=crossed(0.5),
        earliest=crossed(0.95),
        latest=crossed(0.05),
        until=first + timedelta(days=len(forecast.days) - 1),
    )
