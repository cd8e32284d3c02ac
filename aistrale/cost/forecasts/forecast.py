"""Forecasts of daily spend, with intervals, for sums of days too: the month, and when a budget runs out.

    forecast(values, 30, start=date(2026, 1, 1)).total.p95
    month_to_date(values, datetime.now(UTC), spent_today=3.2).total.p50
    runs_out(forecast(values, 90, start=...), spent=120.0, limit=500.0).earliest

Three weeks of history and more get the combination of `forecasts/models.py` with the intervals of
`forecasts/conformal.py`; one to three weeks get a mean, less a run rate, both with wide intervals and low confidence;
fewer than three days, or nothing spent on any, are refused. numpy is loaded at the first forecast, not before.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from aistrale.cost.forecasts.result import (
    Confidence,
    Forecast,
    ForecastDay,
    InsufficientData,
    Interval,
    MonthForecast,
    RunsOut,
    Total,
    runs_out,
)
from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from aistrale.cost.forecasts.conformal import Calibrated
    from aistrale.cost.forecasts.models import Floats

__all__ = [
    "Forecast",
    "ForecastDay",
    "InsufficientData",
    "Interval",
    "MonthForecast",
    "RunsOut",
    "Total",
    "forecast",
    "month_to_date",
    "runs_out",
]

LEAST_DAYS: Final = 3
FEW_DAYS: Final = 7
ENOUGH_DAYS: Final = 21
MEASURED_DAYS: Final = 35
"""Days from which at least two earlier forecasts stand behind the intervals; fewer are of low confidence."""

LONGEST: Final = 730
HISTORY: Final = 1095
"""Days that count: a year more than one forecast looks back, so that the earlier ones are made alike."""

_QUANTILES: Final = (0.05, 0.5, 0.95)
_DAY: Final = timedelta(days=1)


def forecast(
    values: Sequence[float] | Sequence[Decimal],
    horizon: int,
    *,
    start: date | None = None,
    spent_today: float | Decimal | None = None,
    elapsed: float = 0.0,
    mask: Sequence[bool] | None = None,
    launches: Sequence[date | int] = (),
    levels: Sequence[float] = (0.8, 0.95),
) -> Forecast:
    """Forecasts the spend of the days after the last value.

    Args:
        values: Spend of each complete day, oldest first, no gaps. The last three years count. Negative
            days (credits) count as nothing spent. An array of numpy will do.
        horizon: How many days, 1 to 730.
        start: The date (UTC) of the first value; without it the days of the forecast have no dates.
        spent_today: What the day after the last value has cost so far, where that day is today. Its forecast is then
            what was spent and the rest of the day, at the usual pace and, the later the more, at today's.
        elapsed: The share of that day that has passed, 0 to 1; only with `spent_today`.
        mask: For each value, whether to leave it out: days without data, anomalies. Their place is kept.
        launches: Days (dates, or positions in `values`) on which spend stepped to another level for a known reason:
            what lies before is carried over to the level after, as soon as that has lasted for three days.
        levels: Probabilities of the intervals, each between 0 and 1.

    Returns:
        The days, their total, and on what they stand.

    Raises:
        InsufficientData: Fewer than three days, those masked and those before the first spend not counted, or nothing
            spent on any.
        ConfigurationError: A value is not a finite number, or an argument is out of its range.
    """
    import numpy as np

    spend = _checked(values, horizon, mask, levels, elapsed)
    spend = _relevelled(spend, [_position(launch, start, len(spend)) for launch in launches])
    first = start + len(spend) * _DAY if start else None
    spend = spend[-HISTORY:]
    # What lies before the first day of spend is no history of it.
    spent = spend[np.argmax(spend > 0) :] if spend.size else spend
    days = int(np.isfinite(spent).sum())
    if spend.size and not (spend > 0).any():
        raise InsufficientData(
            f"Nothing was spent on any of the {days} days, hence there is nothing to forecast from",
            hint="Come back when calls with a known price have been recorded.",
        )
    if days < LEAST_DAYS:
        raise InsufficientData(
            f"A forecast takes at least {LEAST_DAYS} days from the first spend on; there are {days}",
            hint="Come back when more days have been recorded.",
        )
    calibrated, basis = _calibrated(spent, days, horizon)
    today = None if spent_today is None else _Today(_amount("spent_today", spent_today), elapsed)
    return _told(calibrated, basis, first, today, tuple(levels))


def month_to_date(
    values: Sequence[float] | Sequence[Decimal],
    today: date | datetime,
    *,
    spent_today: float | Decimal = 0.0,
    mask: Sequence[bool] | None = None,
    launches: Sequence[date | int] = (),
    levels: Sequence[float] = (0.8, 0.95),
) -> MonthForecast:
    """Adds up what the calendar month of today has cost so far and forecasts its rest.

    Args:
        values: Spend of each complete day, oldest first, the last of them yesterday's (UTC).
        today: The time, aware, so that it is known how much of today is over; a plain date stands for its beginning.
        spent_today: What today has cost so far.
        mask: As in `forecast`. What was spent on a masked day counts as spent.
        launches: As in `forecast`.
        levels: As in `forecast`.

    Returns:
        What was spent, the forecast of the rest, and the whole month with intervals.

    Raises:
        InsufficientData: As in `forecast`.
        ConfigurationError: As in `forecast`, or `today` is a time without a time zone.
    """
    day, elapsed = _moment(today)
    so_far = _amount("spent_today", spent_today)
    rest = forecast(
        values,
        monthrange(day.year, day.month)[1] - day.day + 1,
        start=day - len(values) * _DAY,
        spent_today=so_far,
        elapsed=elapsed,
        mask=mask,
        launches=launches,
        levels=levels,
    )
    before = float(sum(float(value) for value in values[max(len(values) - day.day + 1, 0) :]))
    return MonthForecast(month=day.replace(day=1), spent=before + so_far, total=rest.total.plus(before), rest=rest)


@dataclass(slots=True, frozen=True)
class _Today:
    """What the first day of a forecast has cost so far, and the share of it that has passed."""

    spent: float
    elapsed: float

    def whole(self, usual: float) -> float:
        """The whole day, where a whole day is usually so much."""
        if not self.elapsed:
            return max(self.spent, usual)
        left = 1 - self.elapsed
        # The rest at the usual pace, weighed with what is left, and at today's pace, weighed with what has passed.
        return self.spent + left * (left * usual + self.spent)


def _moment(today: date | datetime) -> tuple[date, float]:
    if not isinstance(today, datetime):
        return today, 0.0
    if today.tzinfo is None:
        raise ConfigurationError("today must be an aware time, such as datetime.now(UTC)", field="today")
    now = today.astimezone(UTC)
    return now.date(), (now - now.replace(hour=0, minute=0, second=0, microsecond=0)) / _DAY


def _amount(name: str, amount: float | Decimal) -> float:
    number = float(amount)
    if not 0 <= number < float("inf"):
        raise ConfigurationError(f"{name} must be an amount from 0 on, not {number}", field=name)
    return number


def _checked(
    values: Sequence[float] | Sequence[Decimal],
    horizon: int,
    mask: Sequence[bool] | None,
    levels: Sequence[float],
    elapsed: float,
) -> Floats:
    import numpy as np

    try:
        spend = np.array([float(value) for value in values])
    except (TypeError, ValueError) as error:
        raise ConfigurationError("values must be numbers, one a day", field="values") from error
    bad = np.flatnonzero(~np.isfinite(spend))
    if bad.size:
        raise ConfigurationError(
            f"values[{bad[0]}] is not a finite number ({spend[bad[0]]})",
            field="values",
            hint="Give 0 for a day without spend; mark a day without data in mask=.",
        )
    if not 1 <= horizon <= LONGEST:
        raise ConfigurationError(f"horizon must be 1 to {LONGEST} days, not {horizon}", field="horizon")
    if not 0 <= elapsed <= 1:
        raise ConfigurationError(f"elapsed must be a share from 0 to 1, not {elapsed}", field="elapsed")
    if not all(0 < level < 1 for level in levels):
        raise ConfigurationError(f"levels must lie between 0 and 1: {tuple(levels)}", field="levels")
    if mask is not None:
        if len(mask) != len(spend):
            raise ConfigurationError(f"mask has {len(mask)} entries for {len(spend)} values", field="mask")
        spend[np.array(mask, dtype=bool)] = np.nan
    return spend


def _position(launch: date | int, start: date | None, count: int) -> int:
    if isinstance(launch, int):
        position = launch
    elif start is None:
        raise ConfigurationError("launches as dates take a start", field="start")
    else:
        position = ((launch.date() if isinstance(launch, datetime) else launch) - start).days
    if position >= count:
        raise ConfigurationError(f"The launch {launch} lies after the last value", field="launches")
    return position


def _relevelled(spend: Floats, launches: list[int]) -> Floats:
    """What lies before a launch, scaled to the level after it: its weekdays and its unrest stay of use."""
    import numpy as np

    for launch in sorted(launch for launch in launches if launch > 0):
        before, after = spend[max(launch - 28, 0) : launch], spend[launch : launch + 28]
        before, after = before[np.isfinite(before)], after[np.isfinite(after)]
        if before.size >= LEAST_DAYS and after.size >= LEAST_DAYS and before.mean() > 0 and after.mean() > 0:
            spend = np.concatenate([spend[:launch] * (after.mean() / before.mean()), spend[launch:]])
    return spend


def _calibrated(spend: Floats, days: int, horizon: int) -> tuple[Calibrated, tuple[str, Confidence, str]]:
    from aistrale.cost.forecasts.conformal import calibrate, guess

    if days < ENOUGH_DAYS:
        short = days < FEW_DAYS
        reason = f"{days} days of history: " + ("less than a week" if short else "less than three weeks")
        return guess(spend, horizon), ("run rate" if short else "mean", "low", f"{reason}, no weekday or trend shows.")
    calibrated = calibrate(spend, horizon)
    weekly = "with a weekday profile" if calibrated.weekly else "without a weekday profile"
    reason = f"{days} days of history, {weekly}, intervals from {calibrated.origins} earlier forecasts."
    return calibrated, ("combination", "normal" if days >= MEASURED_DAYS else "low", reason)


def _told(
    calibrated: Calibrated,
    basis: tuple[str, Confidence, str],
    first: date | None,
    today: _Today | None,
    levels: tuple[float, ...],
) -> Forecast:
    """The quantiles as plain values; today's, where some of it has passed, from what it has cost so far."""
    bounds = [(level, round((1 - level) / 2, 9), round((1 + level) / 2, 9)) for level in levels]
    probabilities = sorted({*_QUANTILES, 0.8, *(bound for _, *pair in bounds for bound in pair)})
    days = {probability: calibrated.day(probability).tolist() for probability in probabilities}
    if today is not None:
        for each in days.values():
            each[0] = today.whole(each[0])
    sums = _sums(calibrated, probabilities, days[0.5], today)

    def intervals(of: dict[float, list[float]], place: int) -> tuple[Interval, ...]:
        return tuple(Interval(level, of[low][place], of[high][place]) for level, low, high in bounds)

    return Forecast(
        days=tuple(
            ForecastDay(date=first + ahead * _DAY if first else None, p50=middle, intervals=intervals(days, ahead))
            for ahead, middle in enumerate(days[0.5])
        ),
        total=Total(p50=sums[0.5][-1], p80=sums[0.8][-1], p95=sums[0.95][-1], intervals=intervals(sums, -1)),
        method=basis[0],
        confidence=basis[1],
        reason=basis[2],
        paths={probability: tuple(total) for probability, total in sums.items()},
    )


def _sums(
    calibrated: Calibrated, probabilities: list[float], middle: list[float], today: _Today | None
) -> dict[float, list[float]]:
    """The quantiles of the running sums, about the sums of the days' medians."""
    # The median of a sum is that of its days, added up: both are told, and they must agree to the last digit.
    running = list(accumulate(middle))
    usual = calibrated.total(0.5).tolist()
    left, least = (1.0, 0.0) if today is None else (1 - today.elapsed, today.spent)
    sums = {}
    for probability in probabilities:
        # What is over of today is known: the spread is that of the days that are left.
        quantiles = (
            max(new + (quantile - old) * (ahead + left) / (ahead + 1), least)
            for ahead, (new, old, quantile) in enumerate(
                zip(running, usual, calibrated.total(probability).tolist(), strict=True)
            )
        )
        sums[probability] = running if probability == 0.5 else list(accumulate(quantiles, max))
    return sums
