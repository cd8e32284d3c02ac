"""The chart of spend over time: what each day cost, what the coming ones will, and the days that were unusual."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from aistrale.cost.charts.chart import Entry, Plot, chart, element, hint, legend, path, steps, text
from aistrale.cost.charts.scale import DOLLARS, Amounts, Days, day_name, margin, money, ticks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from decimal import Decimal

    from aistrale.cost.anomalies.anomaly import Kind
    from aistrale.cost.charts.chart import Element
    from aistrale.cost.forecasts.result import Forecast, ForecastDay

PLOT_HEIGHT: Final = 260.0
BELOW: Final = 46.0
"""Room for dates and years."""

RIGHT: Final = 946.0
WIDEST: Final = 56.0
"""Of bars: a few days do not get bars as broad as a hand."""

MARKS: Final[Mapping[str, str]] = {
    "spike": "0,-6 6,5 -6,5",
    "drop": "0,6 6,-5 -6,-5",
    "shift": "0,-6 6,0 0,6 -6,0",
}
"""Shapes of the kinds of anomalies, around (0, 0): told apart without colour."""

_DAY: Final = timedelta(days=1)
_ROOM: Final = 34.0
# So many times the largest amount and median: what the band needs beyond that is cut off, or days would be invisible.
_BAND: Final = 2.0
_APART: Final = 15.0


@dataclass(slots=True, frozen=True)
class Mark:
    """An unusual day.

    Args:
        day: Which.
        kind: How it is marked.
        number: By which it is found in the list below the chart.
        reason: What was unusual, one sentence.
    """

    day: date
    kind: Kind
    number: int
    reason: str


@dataclass(slots=True, frozen=True)
class SpendDays:
    """What the chart shows.

    Args:
        first: The first day.
        values: What each complete day cost.
        now: The day that has not ended.
        today: What it has cost so far.
        forecast: What is to come, from that day on; None where there is no forecast.
        marks: Unusual days, oldest first.
    """

    first: date
    values: Sequence[Decimal]
    now: date
    today: Decimal
    forecast: Forecast | None = None
    marks: Sequence[Mark] = ()

    def latest(self, days: int) -> SpendDays:
        """The last days of it alone."""
        first = max(self.first, self.now - days * _DAY)
        cut = (first - self.first).days
        marks = [mark for mark in self.marks if mark.day >= first]
        return SpendDays(first, self.values[cut:], self.now, self.today, self.forecast, marks)

    def most(self) -> float:
        """The largest amount that must be seen."""
        most = max([float(self.today), *map(float, self.values)])
        if self.forecast is None:
            return most
        most = max([most, *(day.p50 for day in self.forecast.days)])
        band = max((interval.high for day in self.forecast.days for interval in day.intervals), default=0.0)
        return max(most, min(band, _BAND * most))


def cut(spend: SpendDays, unit: str = DOLLARS) -> str | None:
    """What the chart leaves out of the forecast's bands, one sentence; None where they are whole."""
    forecast, top = spend.forecast, ticks(spend.most())[-1]
    highs = [interval.high for day in forecast.days for interval in day.intervals] if forecast else []
    if max(highs, default=0.0) <= top:
        return None
    return f"The intervals of single days reach up to {money(max(highs), unit)} and are cut off in the chart."


def ahead(forecast: Forecast | None, now: date) -> list[tuple[date, ForecastDay]]:
    """The days of a forecast with their dates; the first is today's."""
    days = () if forecast is None else forecast.days
    return [(day.date or now + index * _DAY, day) for index, day in enumerate(days)]


def spend_chart(spend: SpendDays, *, key: str = "spend", unit: str = DOLLARS) -> Element:
    """Bars for the days, a staircase with bands for the forecast, marks for anomalies.

    Args:
        spend: What is shown.
        key: Makes identifiers on the page the only ones.
        unit: Of the amounts.
    """
    coming = ahead(spend.forecast, spend.now)
    last = max([spend.now, *(day for day, _ in coming)])
    count = (last - spend.first).days + 1
    drawn, top = legend(list(_entries(spend)))
    left, most = margin(spend.most(), unit), spend.most()
    plot = Plot(left, top + 8, RIGHT, top + 8 + PLOT_HEIGHT)
    amounts, days = Amounts(plot, most, _ROOM), Days(plot, spend.first, count)
    parts = [*drawn, *amounts.draw(unit), *days.draw()]
    parts += _bands(coming, amounts, days)
    parts += _bars(spend, amounts, days, key, unit)
    parts += _median(coming, amounts, days, unit)
    if coming:
        x = days.x(spend.now)
        parts.append(element("line", class_="now", x1=x, x2=x, y1=plot.top, y2=plot.bottom))
        if RIGHT - x > 50:
            parts.append(text("today", x + 5, plot.top + 10, class_="t s"))
    parts += _marks(spend, amounts, days)
    return chart(key, f"Spend per day, {unit}", _description(spend, unit), plot.bottom + BELOW, [_hatch(key), *parts])


def _entries(spend: SpendDays) -> Iterator[Entry]:
    if spend.values:
        yield Entry("spent", "box", "bar")
    yield Entry("today so far", "box", "bar part")
    if spend.forecast is not None:
        yield Entry("forecast (median)", "line", "median")
        for interval in sorted(spend.forecast.days[0].intervals, key=lambda each: each.level):
            yield Entry(f"{interval.level:.0%} interval", "box", _band_class(interval.level))
    for kind, points in MARKS.items():
        if any(mark.kind == kind for mark in spend.marks):
            yield Entry(kind, "mark", f"mark {kind}", points=points)


def _hatch(key: str) -> Element:
    """Why today's bar is told from whole days without colour."""
    lines = element("path", class_="hatch", d="M-1 1l2 -2M0 6l6 -6M5 7l2 -2")
    pattern = element("pattern", lines, id=f"{key}-part", width=6, height=6, patternUnits="userSpaceOnUse")
    return element("defs", pattern)


def _bars(spend: SpendDays, amounts: Amounts, days: Days, key: str, unit: str) -> list[Element]:
    gap = between(days.slot)

    def bar(day: date, amount: Decimal, class_: str, words: str, fill: str | None = None) -> Element:
        y = amounts.y(float(amount))
        # A day without spend stays something to point at.
        height = max(amounts.plot.bottom - y, 0.75 if amount else 0.0)
        words = f"{day_name(day)}: {money(amount, unit)}{words}"
        x, width = days.x(day) + gap / 2, days.slot - gap
        y = amounts.plot.bottom - height
        return element("rect", hint(words), class_=class_, x=x, y=y, width=width, height=height, fill=fill)

    drawn = [bar(spend.first + index * _DAY, amount, "bar", "") for index, amount in enumerate(spend.values)]
    drawn.append(bar(spend.now, spend.today, "bar part", " so far"))
    drawn.append(bar(spend.now, spend.today, "over", " so far", f"url(#{key}-part)"))
    return drawn


def between(slot: float) -> float:
    """The room between bars that have so much room each."""
    return max(min(slot * 0.2, 6.0) if slot > 3 else 0.0, slot - WIDEST)


def _band_class(level: float) -> str:
    return "band in" if level <= 0.8 else "band"


def _bands(coming: Sequence[tuple[date, ForecastDay]], amounts: Amounts, days: Days) -> list[Element]:
    if not coming:
        return []
    left, slot = days.x(coming[0][0]), days.slot
    drawn: list[Element] = []
    for index, widest in sorted(enumerate(coming[0][1].intervals), key=lambda each: -each[1].level):
        highs = steps([amounts.y(day.intervals[index].high) for _, day in coming], left, slot)
        lows = steps([amounts.y(day.intervals[index].low) for _, day in coming], left, slot)
        outline = " ".join(f"{x:.2f},{y:.2f}" for x, y in [*highs, *reversed(lows)])
        drawn.append(element("polygon", class_=_band_class(widest.level), points=outline))
    return drawn


def _median(coming: Sequence[tuple[date, ForecastDay]], amounts: Amounts, days: Days, unit: str) -> list[Element]:
    if not coming:
        return []
    heights = [amounts.y(day.p50) for _, day in coming]
    drawn = [element("path", class_="median", d=path(steps(heights, days.x(coming[0][0]), days.slot)))]
    for day, told in coming:
        words = [f"{day_name(day)}: about {money(told.p50, unit)}"]
        words += [
            f"{each.level:.0%} between {money(each.low, unit)} and {money(each.high, unit)}" for each in told.intervals
        ]
        top = amounts.plot.top
        height = amounts.plot.bottom - top
        drawn.append(
            element(
                "rect", hint("; ".join(words)), class_="touch", x=days.x(day), y=top, width=days.slot, height=height
            )
        )
    return drawn


def _marks(spend: SpendDays, amounts: Amounts, days: Days) -> list[Element]:
    drawn: list[Element] = []
    free = amounts.plot.left - _APART
    for mark in spend.marks:
        index = (mark.day - spend.first).days
        amount = spend.values[index] if 0 <= index < len(spend.values) else spend.today
        x, y = days.middle(mark.day), amounts.y(float(amount)) - 11
        place = f"translate({x:.2f} {y:.2f})"
        words = hint(f"{mark.number}. {mark.kind}: {mark.reason}")
        drawn.append(element("polygon", words, class_=f"mark {mark.kind}", points=MARKS[mark.kind], transform=place))
        # Numbers that would lie on each other say nothing; the list below has the days.
        if x - free >= _APART:
            drawn.append(text(str(mark.number), x, y - 9, class_="t s", anchor="middle"))
            free = x
    return drawn


def _description(spend: SpendDays, unit: str) -> str:
    total = sum(spend.values, spend.today)
    stretch = f"Bars from {day_name(spend.first)} to {day_name(spend.now)}, {money(total, unit)} in all"
    words = [f"{stretch}; today so far {money(spend.today, unit)}."]
    if spend.forecast is not None:
        about = spend.forecast.total
        words.append(f"Forecast of {len(spend.forecast.days)} days: about {money(about.p50, unit)} in all.")
    if spend.marks:
        count = len(spend.marks)
        words.append(f"{count} unusual {'day is' if count == 1 else 'days are'} marked and explained below.")
    return " ".join(words)
