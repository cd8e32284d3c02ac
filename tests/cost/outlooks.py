"""Outlooks of invented spending, for pages."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from aistrale.cost.anomalies.anomaly import detect, mask
from aistrale.cost.budgets.book import BudgetStatus
from aistrale.cost.forecasts.forecast import InsufficientData, forecast, month_to_date
from aistrale.cost.outlook import Outlook, SpendAnomaly
from aistrale.cost.series import DailySpend

NOW = datetime(2026, 11, 18, 9, 30, tzinfo=UTC)
WEEK = (1.0, 1.1, 1.05, 1.0, 0.9, 0.4, 0.35)


def spent(days, level=10.0, *, spike=None, shift=None):
    """Days up to yesterday with a weekday profile; a spike and a shift so many days ago."""
    start = NOW.date() - timedelta(days=days)
    found = []
    for index in range(days):
        day = start + timedelta(days=index)
        value = level * WEEK[day.weekday()] * (1 + 0.08 * ((index * 7919) % 13 - 6) / 6)
        value *= 4 if spike == days - index else 1
        value *= 2.2 if shift is not None and days - index <= shift else 1
        found.append(Decimal(repr(round(value, 12))))
    return tuple(found)


def outlook(
    values,
    *,
    today=Decimal("3.21"),
    models=("openai/gpt-5-mini",),
    budgets=(),
    unpriced=0,
    horizon=30,
    levels=(0.8, 0.95),
):
    """What the ledger would say of these days."""
    start = NOW.date() - timedelta(days=len(values))
    series = DailySpend(start=start, values=tuple(values), today=today, now=NOW, unpriced=unpriced)
    floats = series.floats
    ahead = month = refusal = None
    try:
        masked = mask(floats)
        ahead = forecast(floats, horizon, start=start, spent_today=today, elapsed=9.5 / 24, mask=masked, levels=levels)
        month = month_to_date(floats, NOW, spent_today=today, mask=masked, levels=levels)
    except InsufficientData as error:
        refusal = str(error)
    return Outlook(
        series=series,
        anomalies=tuple(SpendAnomaly(each) for each in detect(floats, start=start)),
        forecast=ahead,
        refusal=refusal,
        month=month,
        by_model=parted(series, models),
        budgets=budgets,
        unpriced=unpriced,
    )


def parted(series, models):
    """The days parted among models, the first getting most; the last 90 days alone."""
    weights = [Decimal(1) / (index + 1) ** 2 for index in range(len(models))]
    days = {series.day(index): value for index, value in enumerate(series.values)} | {NOW.date(): series.today}
    latest = {day: value for day, value in days.items() if day >= NOW.date() - timedelta(days=90)}
    return {
        model: {day: value * weight / sum(weights) for day, value in latest.items()}
        for model, weight in zip(models, weights, strict=True)
    }


def budget(limit, spent, **fields):
    """A budget of November."""
    values = {
        "name": "global per month", "scope": "global", "period": "month", "reserved": Decimal(0), "hard": True,
        "in_flight": 0, "waiting": 0, "starts": datetime(2026, 11, 1, tzinfo=UTC), "resets": datetime(2026, 12, 1, tzinfo=UTC),
    }  # fmt: skip
    return BudgetStatus(limit=Decimal(limit), spent=Decimal(spent), **(values | fields))


def of_month(outlook):
    """What November has cost so far."""
    series = outlook.series
    first = date(2026, 11, 1)
    return sum((value for index, value in enumerate(series.values) if series.day(index) >= first), series.today)
