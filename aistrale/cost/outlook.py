"""Where spending stands and where it is going: the ledger's days, their anomalies, the forecast and the month."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from aistrale.cost.anomalies.anomaly import detect, mask
from aistrale.cost.anomalies.attribution import Spend, explain
from aistrale.cost.forecasts.forecast import forecast, month_to_date
from aistrale.cost.forecasts.result import InsufficientData
from aistrale.cost.series import daily_spend

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from aistrale.cost.anomalies.anomaly import Anomaly
    from aistrale.cost.anomalies.attribution import Contribution, Explanation
    from aistrale.cost.budgets.book import BudgetStatus
    from aistrale.cost.forecasts.result import Forecast, MonthForecast
    from aistrale.cost.series import DailySpend
    from aistrale.errors import AistraleError
    from aistrale.store.protocol import LedgerQueries, SpendRow
    from aistrale.types import JSONObject

HORIZON: Final = 30
"""Days ahead."""

DIMENSIONS: Final = ("model", "route", "project", "user", "name")
"""What an excess is attributed to."""

# An anomaly is compared with the same weekdays before it, so that a Monday is not blamed for not being a Sunday.
_WEEKS_BEFORE: Final = 4


@dataclass(frozen=True, slots=True)
class SpendAnomaly:
    """An unusual day and what made it so.

    Args:
        anomaly: What the detector said.
        explanation: The dimension that explains it best, with those of its values that do; None where none does.
    """

    anomaly: Anomaly
    explanation: Explanation | None = None

    @property
    def day(self) -> date | None:
        """The day of the alert."""
        return self.anomaly.day

    @property
    def contributions(self) -> tuple[Contribution[str | None], ...]:
        """Who spent more, or less, than usual; the largest share first."""
        return () if self.explanation is None else self.explanation.leading

    def as_document(self) -> JSONObject:
        """The anomaly as `--json` prints it: dollars as numbers."""
        found = self.anomaly
        return {
            "day": None if found.day is None else found.day.isoformat(),
            "kind": found.kind,
            "actual": found.actual,
            "expected": found.expected,
            "low": found.low,
            "high": found.high,
            "score": found.score,
            "days": found.end - found.begin + 1,
            "reason": found.reason,
            "dimension": None if self.explanation is None else self.explanation.dimension,
            "contributions": [
                {"key": each.key, "excess": float(each.excess), "power": each.power, "reason": each.reason}
                for each in self.contributions
            ],
        }


@dataclass(frozen=True, slots=True)
class Outlook:
    """What `aistrale cost --html` shows.

    Args:
        series: Spend of each day.
        anomalies: Unusual days of the time that was asked for, oldest first.
        forecast: What the coming days will bring; None where there is too little history.
        refusal: Why there is none and what to do, in sentences.
        month: The calendar month; None where there is no forecast.
        by_model: US dollars by `provider/model` and day, the dearest model first.
        budgets: What the client's budgets stand at.
        unpriced: Attempts of unknown price, which no sum here contains.
    """

    series: DailySpend
    anomalies: Sequence[SpendAnomaly] = ()
    forecast: Forecast | None = None
    refusal: str | None = None
    month: MonthForecast | None = None
    by_model: Mapping[str, Mapping[date, Decimal]] = field(default_factory=dict)
    budgets: Sequence[BudgetStatus] = ()
    unpriced: int = 0


def look_ahead(
    ledger: LedgerQueries,
    *,
    now: datetime | None = None,
    days: int = 90,
    horizon: int = HORIZON,
    where: Mapping[str, str | None] | None = None,
    budgets: Sequence[BudgetStatus] = (),
) -> Outlook:
    """Read the ledger and look ahead.

    Args:
        ledger: Where spending is recorded.
        now: Aware; the present by default.
        days: How far back anomalies and models are looked for; the forecast reads two years.
        horizon: Days ahead.
        where: Only attempts with these values, by dimension; None for those without a value.
        budgets: Handed through.

    Raises:
        ConfigurationError: `now` has no time zone, `horizon` is less than 1, or a dimension is unknown.
        LedgerUnavailable: The ledger cannot be read.
    """
    series = daily_spend(ledger, now=now, where=where)
    ahead: Forecast | None = None
    month: MonthForecast | None = None
    refusal = None
    try:
        ahead = forecast_spend(series, horizon)
        month = month_spend(series)
    except InsufficientData as error:
        refusal = in_sentences(error)
    since = datetime.combine(series.now.date() - timedelta(days=days), time(), UTC)
    rows = ledger.spend(("day", "model"), since=since, until=series.now, where=where)
    return Outlook(
        series=series,
        anomalies=find_anomalies(ledger, series, since=since, where=where),
        forecast=ahead,
        refusal=refusal,
        month=month,
        by_model=_by_model(rows),
        budgets=budgets,
        unpriced=series.unpriced,
    )


def in_sentences(error: AistraleError) -> str:
    """What an error says and what to do next, each as a sentence."""
    return " ".join(f"{part.rstrip('.')}." for part in (error.message, error.hint) if part)


def forecast_spend(series: DailySpend, horizon: int = HORIZON) -> Forecast:
    """What the coming days, today's rest first, will bring; spikes and drops of the past are not learned from.

    Args:
        series: Spend of each day.
        horizon: Days ahead, today included.

    Raises:
        InsufficientData: There is too little history.
        ConfigurationError: `horizon` is less than 1.
    """
    return forecast(
        series.floats,
        horizon,
        start=series.start,
        spent_today=float(series.today),
        elapsed=_elapsed(series.now),
        mask=mask(series.floats),
    )


def month_spend(series: DailySpend) -> MonthForecast:
    """The calendar month (UTC): what was spent of it, and what its rest will bring.

    Raises:
        InsufficientData: There is too little history.
    """
    return month_to_date(series.floats, series.now, spent_today=float(series.today), mask=mask(series.floats))


def find_anomalies(
    ledger: LedgerQueries,
    series: DailySpend,
    *,
    since: datetime,
    where: Mapping[str, str | None] | None = None,
) -> list[SpendAnomaly]:
    """Unusual days since then, and who made them so.

    Args:
        ledger: Asked for the parts of each such day.
        series: Spend of each day, as far back as there is; a detector that has seen little says little.
        since: Aware; the first day that is told about.
        where: As the series was read with.
    """
    found = [each for each in detect(series.floats, start=series.start) if each.day and each.day >= since.date()]
    return [SpendAnomaly(each, _explained(ledger, each, where)) for each in found]


def _explained(ledger: LedgerQueries, anomaly: Anomaly, where: Mapping[str, str | None] | None) -> Explanation | None:
    """Who spent it, against the same weekday of the weeks before."""
    if anomaly.day is None:
        return None
    before: dict[tuple[str | None, ...], Spend] = {}
    for week in range(1, _WEEKS_BEFORE + 1):
        for key, spend in _day(ledger, anomaly.day - timedelta(days=7 * week), where).items():
            before[key] = before[key] + spend if key in before else spend
    explained = explain(DIMENSIONS, before, _day(ledger, anomaly.day, where), scale=1 / _WEEKS_BEFORE)
    best = explained[0]
    return (
        next((each for each in explained if _is_as_good(each, best) and _is_named(each)), best)
        if best.leading
        else None
    )


def _is_as_good(one: Explanation, best: Explanation) -> bool:
    return math.isclose(one.surprise, best.surprise, rel_tol=1e-6) and math.isclose(one.power, best.power, rel_tol=1e-6)


def _is_named(one: Explanation) -> bool:
    # Where a project never uses a route, "without a route" says the same as its name, and helps nobody.
    return all(each.key is not None for each in one.leading)


def _day(
    ledger: LedgerQueries, day: date, where: Mapping[str, str | None] | None
) -> dict[tuple[str | None, ...], Spend]:
    begin = datetime.combine(day, time(), UTC)
    rows = ledger.spend(DIMENSIONS, since=begin, until=begin + timedelta(days=1), where=where)
    return {row.key: Spend(row.cost, row.calls, sum(row.tokens.values())) for row in rows}


def _by_model(rows: Sequence[SpendRow]) -> dict[str, dict[date, Decimal]]:
    spent: dict[str, dict[date, Decimal]] = {}
    for row in rows:
        day, model = row.key
        if day is not None and model is not None:
            spent.setdefault(model, {})[date.fromisoformat(day)] = row.cost
    return dict(sorted(spent.items(), key=lambda item: (-sum(item[1].values()), item[0])))


def _elapsed(now: datetime) -> float:
    return (now - datetime.combine(now.date(), time(), UTC)) / timedelta(days=1)
