"""From amounts and days to places of a chart, and their labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from aistrale.cost.charts.chart import Plot, element, text, text_width

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aistrale.cost.charts.chart import Element

DOLLARS: Final = "US dollars"
"""The unit whose amounts are written with a dollar sign."""

TICKS: Final = 5
"""About how many amounts stand at the axis."""

_DAY: Final = timedelta(days=1)
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LONG: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_LARGE: Final = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
# From here on cents say nothing at an axis.
_ROUND: Final = 10_000.0
# Below a dime, cents are too coarse.
_DIME: Final = Decimal("0.1")
_DIGITS: Final = 3
# Where floats lose their precision.
_NOTHING: Final = 1e-290
# Smaller amounts are written with powers of ten.
_LEAST: Final = Decimal("1e-12")
# The least room between labels of days.
_APART: Final = 14.0


def money(amount: Decimal | float, unit: str = DOLLARS) -> str:
    """An amount to cents, or, below a dime, to three significant digits; thousands parted.

    Args:
        amount: In the unit.
        unit: With `DOLLARS`, the amount has a dollar sign.
    """
    value = amount if isinstance(amount, Decimal) else Decimal(repr(float(amount)))
    sign = "$" if unit == DOLLARS else ""
    minus = "-" if value < 0 else ""
    value = abs(value)
    if not value:
        return f"{sign}0"
    if value >= _DIME:
        return f"{minus}{sign}{value:,.2f}"
    if value < _LEAST:
        return f"{minus}{sign}{value:.2e}"
    places = _DIGITS - 1 - value.adjusted()
    digits = f"{value:.{places}f}".rstrip("0")
    whole, _, part = digits.partition(".")
    return f"{minus}{sign}{whole}.{part.ljust(2, '0')}"


def day_name(day: date, *, year: bool = True) -> str:
    """A day as people write it: 2 Nov 2026."""
    return f"{day.day} {_MONTHS[day.month - 1]}" + (f" {day.year}" if year else "")


def month_name(day: date) -> str:
    """The month of a day: November 2026. Not by the locale: the page is English."""
    return f"{_LONG[day.month - 1]} {day.year}"


@dataclass(slots=True, frozen=True)
class Amounts:
    """The vertical axis: 0 at the bottom, a round amount near the top.

    Args:
        plot: Where it stands.
        most: The largest amount that must have its place; at least one tick is drawn above 0.
        room: How much is left free above the topmost tick, for marks.
    """

    plot: Plot
    most: float
    room: float = 0.0

    @property
    def ticks(self) -> list[float]:
        """Round amounts from 0 on, in steps of 1, 2 or 5 times a power of ten."""
        return ticks(self.most)

    def y(self, amount: float) -> float:
        """Where an amount stands; what lies beyond the axis stands at its end."""
        top = self.ticks[-1]
        share = min(max(amount / top, 0.0), 1.0)
        return self.plot.bottom - share * (self.plot.bottom - self.plot.top - self.room)

    def draw(self, unit: str) -> list[Element]:
        """Lines across the plot and their amounts."""
        parts: list[Element] = []
        for amount, label in zip(self.ticks, labels(self.ticks, unit), strict=True):
            y = self.y(amount)
            kind = "axis" if not amount else "grid"
            parts.append(element("line", class_=kind, x1=self.plot.left, x2=self.plot.right, y1=y, y2=y))
            parts.append(text(label, self.plot.left - 8, y + 4, anchor="end"))
        return parts


def ticks(most: float) -> list[float]:
    """Round amounts from 0 to the first that is not below the given one."""
    if not most > _NOTHING:
        return [0.0, 1.0]
    rough = most / TICKS
    power = math.floor(math.log10(rough))
    factor = next(factor for factor in (1, 2, 5, 10) if factor * 10.0**power >= rough * (1 - 1e-9))
    count = max(math.ceil(most / (factor * 10.0**power) - 1e-9), 1)
    # From text, so that three times 0.1 is 0.3.
    return [float(f"{index * factor}e{power}") for index in range(count + 1)]


def labels(amounts: Sequence[float], unit: str = DOLLARS) -> list[str]:
    """The amounts of an axis, all with as many places as their step needs."""
    sign = "$" if unit == DOLLARS else ""
    step, top = amounts[1] - amounts[0], amounts[-1]
    if top < _LEAST or top >= 1000 * _LARGE[0][0]:
        return [f"{sign}0", *(f"{sign}{amount:.0e}" for amount in amounts[1:])]
    if top >= _ROUND:
        size, letter = next((size, letter) for size, letter in _LARGE if top >= size)
        places = max(-math.floor(math.log10(step / size) + 1e-9), 0)
        shown = [f"{sign}{amount / size:,.{places}f}{letter}" for amount in amounts]
    else:
        places = max(-math.floor(math.log10(step) + 1e-9), 0)
        # Half a dollar is written as $0.50.
        places = 2 if places == 1 else places
        shown = [f"{sign}{amount:,.{places}f}" for amount in amounts]
    return [f"{sign}0", *shown[1:]]


def margin(most: float, unit: str) -> float:
    """How much room the labels of the vertical axis take at the left."""
    return max(text_width(label) for label in labels(ticks(most), unit)) + 14


@dataclass(slots=True, frozen=True)
class Days:
    """The horizontal axis: one slot for each day.

    Args:
        plot: Where it stands.
        first: The first day.
        count: How many.
    """

    plot: Plot
    first: date
    count: int

    @property
    def slot(self) -> float:
        """The width of a day."""
        return self.plot.width / self.count

    def x(self, day: date) -> float:
        """The left edge of a day."""
        return self.plot.left + (day - self.first).days * self.slot

    def middle(self, day: date) -> float:
        """The middle of a day."""
        return self.x(day) + self.slot / 2

    def draw(self) -> list[Element]:
        """Small lines and dates below the plot; years where they begin."""
        parts: list[Element] = []
        free, year = -math.inf, 0
        for day, label in self._labels():
            x = self.middle(day)
            above = day_name(day, year=False) if label == "day" else _MONTHS[day.month - 1]
            words = [str(day.year)] if label == "year" else [above]
            if day.year != year and label != "year":
                words.append(str(day.year))
            wide = max(map(text_width, words))
            middle = min(max(x, wide / 2), self.plot.right + 8 - wide / 2)
            if middle - wide / 2 < free:
                continue
            year, free = day.year, middle + wide / 2 + _APART
            bottom = self.plot.bottom
            parts.append(element("line", class_="axis", x1=x, x2=x, y1=bottom, y2=bottom + 5))
            parts += [text(word, middle, bottom + 19 + 15 * row, anchor="middle") for row, word in enumerate(words)]
        return parts

    def _labels(self) -> Iterator[tuple[date, str]]:
        """The days that get a label, as many as there is room for, and how each is called."""
        most = max(int(self.plot.width // (text_width("28 May") + _APART)), 2)
        days = [self.first + index * _DAY for index in range(self.count)]
        if self.count <= most:
            yield from ((day, "day") for day in days)
            return
        for weeks in (1, 2):
            if self.count / (7 * weeks) <= most:
                mondays = [day for day in days if not day.weekday()]
                yield from ((day, "day") for day in mondays[::weeks])
                return
        for months in (1, 2, 3, 6):
            if self.count / (30.4 * months) <= most:
                yield from ((day, "month") for day in days if day.day == 1 and not (day.month - 1) % months)
                return
        years = max(math.ceil(self.count / 365 / most), 1)
        yield from ((day, "year") for day in days if (day.month, day.day) == (1, 1) and not day.year % years)


def periods(first: date, last: date, size: str) -> list[tuple[date, date]]:
    """The days from the first to the last, parted.

    Args:
        first: The first day.
        last: The last day, not before the first.
        size: "day", "week" (from Monday) or "month"; the first and the last part may be shorter.

    Returns:
        The first and the last day of each part.
    """
    found: list[tuple[date, date]] = []
    begin = first
    while begin <= last:
        if size == "month":
            following = (begin.replace(day=1) + 31 * _DAY).replace(day=1)
        else:
            following = begin + (_DAY if size == "day" else (7 - begin.weekday()) * _DAY)
        found.append((begin, min(following - _DAY, last)))
        begin = following
    return found


def period_name(begin: date, end: date, size: str) -> str:
    """A part of the time, in words."""
    if begin == end:
        return day_name(begin)
    if size == "month" and begin.day == 1 and (end + _DAY).day == 1:
        return f"{_MONTHS[begin.month - 1]} {begin.year}"
    return f"{day_name(begin, year=begin.year != end.year)} to {day_name(end)}"
