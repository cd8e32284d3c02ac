"""How budgets burn down: what was spent of each so far, what the forecast adds, and when the limit is reached."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from aistrale.cost.charts.scale import DOLLARS, day_name, money
from aistrale.cost.forecasts.result import runs_out

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aistrale.cost.budgets.book import BudgetStatus
    from aistrale.cost.forecasts.result import Forecast, RunsOut
    from aistrale.cost.series import DailySpend

_DAY: Final = timedelta(days=1)
_ZERO: Final = Decimal(0)
# A budget of everything, and the ledger's own sum, differ by what is under way: so much is taken for the same.
_SAME: Final = 0.02
_LEVELS: Final = (0.8, 0.95)


@dataclass(slots=True, frozen=True)
class Burn:
    """A budget over its period.

    Args:
        status: What it stands at.
        first: First day of the period.
        last: Last day of the period.
        now: The day that has not ended.
        so_far: What had been spent by the end of each day from the first to now; None where only the sum is known.
        ahead: By probability, what will have been spent by the end of each day from now on, to the end of the period
            or of the forecast; empty without a forecast.
        scale: What the forecast was multiplied with: the budget's part of all that was spent in its period.
        out: When the limit is reached; None without a forecast.
    """

    status: BudgetStatus
    first: date
    last: date
    now: date
    so_far: tuple[float, ...] | None
    ahead: Mapping[float, tuple[float, ...]]
    scale: float
    out: RunsOut | None

    @property
    def used_up(self) -> bool:
        """Whether nothing is left of it."""
        return self.status.spent >= self.status.limit

    @property
    def crossing(self) -> date | None:
        """The day on which the limit was reached, or is as likely reached as not; None where that is not known."""
        if not self.used_up:
            return _within(None if self.out is None else self.out.p50, self.last)
        limit = float(self.status.limit)
        reached = (index for index, amount in enumerate(self.so_far or ()) if amount >= limit)
        index = next(reached, None)
        # A budget counts what is under way, too, so that its sum may be ahead of the days'.
        return self.now if index is None and self.so_far else None if index is None else self.first + index * _DAY


def bounds(level: float) -> tuple[float, float]:
    """The probabilities between which an interval lies."""
    return round((1 - level) / 2, 9), round((1 + level) / 2, 9)


def burn(
    status: BudgetStatus,
    series: DailySpend,
    by_model: Mapping[str, Mapping[date, Decimal]],
    forecast: Forecast | None,
) -> Burn | None:
    """Lay a budget over its days.

    Args:
        status: What it stands at.
        series: Spend of each day.
        by_model: Spend of each model and day, as far as it is known.
        forecast: Of the same spend, from today on.

    Returns:
        None where the budget has no period of at least two days: a rolling window, a session, a day.
    """
    if status.starts is None or status.resets is None or status.resets - status.starts <= _DAY:
        return None
    first = status.starts.astimezone(UTC).date()
    last = (status.resets.astimezone(UTC) - timedelta(microseconds=1)).date()
    now = series.now.date()
    if not first <= now <= last:
        return None
    days = (now - first).days
    spent = float(status.spent)
    everything = _cumulated({series.day(index): value for index, value in enumerate(series.values)}, series, first)
    whole = everything[-1]
    scale = spent / whole if whole > 0 else 0.0
    if status.scope == "global" and abs(scale - 1) <= _SAME:
        scale = 1.0
    so_far = everything if scale == 1.0 else _of_models(status, series, by_model, first)
    ahead, out = _ahead(status, series, forecast, scale, (last - first).days + 1 - days)
    return Burn(status, first, last, now, so_far, ahead, scale, out)


def _cumulated(days: Mapping[date, Decimal], series: DailySpend, first: date) -> tuple[float, ...]:
    total, found = _ZERO, list[float]()
    for index in range((series.now.date() - first).days + 1):
        day = first + index * _DAY
        total += series.today if day == series.now.date() else days.get(day, _ZERO)
        found.append(float(total))
    return tuple(found)


def _of_models(
    status: BudgetStatus, series: DailySpend, by_model: Mapping[str, Mapping[date, Decimal]], first: date
) -> tuple[float, ...] | None:
    """The days of a model's or provider's budget, where they add up to what the budget says."""
    kind, _, value = status.scope.partition(":")
    if kind not in {"model", "provider"}:
        return None
    chosen = [days for name, days in by_model.items() if value in (name, name.partition("/")[0])]
    total, found = _ZERO, list[float]()
    for index in range((series.now.date() - first).days + 1):
        total += sum((days.get(first + index * _DAY, _ZERO) for days in chosen), _ZERO)
        found.append(float(total))
    same = abs(total - status.spent) <= Decimal(repr(_SAME)) * status.spent
    return tuple(found) if same else None


def _ahead(
    status: BudgetStatus, series: DailySpend, forecast: Forecast | None, scale: float, most: int
) -> tuple[dict[float, tuple[float, ...]], RunsOut | None]:
    if forecast is None or scale <= 0 or forecast.days[0].date is None:
        return {}, None
    before = max(float(status.spent) - scale * float(series.today), 0.0)
    wanted = [0.5, *(bound for level in _LEVELS for bound in bounds(level))]
    paths = {
        probability: tuple(before + scale * amount for amount in forecast.paths[probability][:most])
        for probability in wanted
        if probability in forecast.paths
    }
    # In the unit of the forecast, so that its own days decide.
    return paths, runs_out(forecast, before / scale, float(status.limit) / scale)


def _within(day: date | None, last: date) -> date | None:
    return day if day is not None and day <= last else None


def share(status: BudgetStatus) -> str:
    """The part of the limit that is spent, in percent."""
    return f"{status.used:.1%}"


def standing(status: BudgetStatus, unit: str = DOLLARS) -> str:
    """What a budget stands at, one sentence."""
    under_way = f", {money(status.reserved, unit)} reserved for calls under way" if status.reserved else ""
    return f"{money(status.spent, unit)} of {money(status.limit, unit)} spent ({share(status)}){under_way}."


def lasting(burnt: Burn) -> str:
    """When a budget runs out, one sentence."""
    out = burnt.out
    resets = f"it begins anew on {day_name(burnt.last + _DAY)}"
    if burnt.used_up:
        since = f"since {day_name(burnt.crossing)}" if burnt.crossing else "by now"
        return f"It is used up {since}; {resets}."
    if out is None:
        return "When it runs out cannot be said without a forecast."
    earliest = _within(out.earliest, burnt.last)
    if burnt.crossing is not None:
        early = f", as early as {day_name(earliest)} with a probability of 5%" if earliest else ""
        return f"As the forecast goes, it runs out on {day_name(burnt.crossing)}{early}; {resets}."
    end = f"until {resets}" if out.until >= burnt.last else f"until {day_name(out.until)}, where the forecast ends"
    if earliest is not None:
        return f"It probably lasts {end}; with a probability of 5% it runs out by {day_name(earliest)}."
    return f"It lasts {end}, with a probability of more than 95%."


def assumptions(burnt: Burn) -> str | None:
    """What the chart takes for granted; None where nothing."""
    told: list[str] = []
    if burnt.so_far is None:
        told.append("On which days it was spent is not known here: the line so far is straight.")
    if burnt.ahead and burnt.scale != 1.0:
        told.append(
            f"The path ahead is the forecast of all spend times {burnt.scale:.3g}, "
            "which is this budget's part of it so far."
        )
    return " ".join(told) or None
