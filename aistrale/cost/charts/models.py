"""The chart of spend by model: bars over days, weeks or months, one part for each model, small ones together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from aistrale.cost.charts.chart import Entry, Plot, chart, element, hint, legend, short
from aistrale.cost.charts.scale import DOLLARS, Amounts, Days, margin, money, period_name, periods
from aistrale.cost.charts.spend import BELOW, PLOT_HEIGHT, RIGHT, between

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aistrale.cost.charts.chart import Element

MOST: Final = 6
"""Models with a colour and a texture of their own; more could not be told apart."""

SMALL: Final = Decimal("0.01")
"""Part of the whole below which a model counts among the rest."""

DAILY: Final = 92
WEEKLY: Final = 760
"""Days up to which bars stand for days, and for weeks; for months beyond."""

TEXTURES: Final = ("", "M-1 1l2 -2M0 6l6 -6M5 7l2 -2", "M0 3h6", "M3 0v6", "M-1 5l2 2M0 0l6 6M5 -1l2 2", "M0 3h6M3 0v6")
_REST: Final = "M1.5 1.5h1M4.5 4.5h1"


@dataclass(slots=True, frozen=True)
class Stack:
    """Amounts of several models over time.

    Args:
        names: The models, the dearest first; what is left comes last, where there is more than one.
        rest: How many models the last name stands for; 0 where each has its own.
        size: What a bar stands for: "day", "week" or "month".
        spans: First and last day of each bar.
        amounts: For each bar, one amount for each name.
    """

    names: tuple[str, ...]
    rest: int
    size: str
    spans: tuple[tuple[date, date], ...]
    amounts: tuple[tuple[Decimal, ...], ...]

    @property
    def totals(self) -> tuple[Decimal, ...]:
        """What each name came to."""
        return tuple(sum(column, Decimal(0)) for column in zip(*self.amounts, strict=True))


def size_of(days: int) -> str:
    """What a bar stands for when there are so many days."""
    return "day" if days <= DAILY else "week" if days <= WEEKLY else "month"


def stacked(by_model: Mapping[str, Mapping[date, Decimal]]) -> Stack | None:
    """Add the models' days up.

    Args:
        by_model: For each model, its spend by day; days may be missing.

    Returns:
        None where nothing was spent.
    """
    sums = {model: sum(days.values(), Decimal(0)) for model, days in by_model.items()}
    spent = sorted((model for model, total in sums.items() if total > 0), key=lambda model: (-sums[model], model))
    if not spent:
        return None
    whole = sum((sums[model] for model in spent), Decimal(0))
    own = [model for model in spent[:MOST] if sums[model] >= SMALL * whole] or spent[:1]
    rest = spent[len(own) :]
    if len(rest) == 1 and len(own) < MOST:
        own, rest = spent, []
    days = [day for model in spent for day in by_model[model]]
    first, last = min(days), max(days)
    size = size_of((last - first).days + 1)
    spans = periods(first, last, size)
    groups = [*([model] for model in own), *([rest] if rest else [])]
    columns = [_summed(by_model, group, spans) for group in groups]
    names = (*own, f"other ({len(rest)} models)") if len(rest) > 1 else (*own, *rest)
    amounts = tuple(zip(*columns, strict=True))
    return Stack(names, len(rest) if len(rest) > 1 else 0, size, tuple(spans), amounts)


def _summed(
    by_model: Mapping[str, Mapping[date, Decimal]], group: Sequence[str], spans: Sequence[tuple[date, date]]
) -> list[Decimal]:
    found = [Decimal(0)] * len(spans)
    starts = {day: index for index, (begin, end) in enumerate(spans) for day in _days(begin, end)}
    for model in group:
        for day, amount in by_model[model].items():
            found[starts[day]] += amount
    return found


def _days(begin: date, end: date) -> list[date]:
    return [date.fromordinal(day) for day in range(begin.toordinal(), end.toordinal() + 1)]


def stack_chart(stack: Stack, *, title: str, key: str = "models", unit: str = DOLLARS) -> Element:
    """Bars whose parts are the models', the dearest at the bottom.

    Args:
        stack: What is shown.
        title: Of the chart.
        key: Makes identifiers on the page the only ones.
        unit: Of the amounts.
    """
    fills = [_class(stack, index) for index in range(len(stack.names))]
    entries = [
        Entry(short(name), "box", fills[index], _fill(key, index))
        for index, name in enumerate(stack.names)
        if len(stack.names) > 1
    ]
    drawn, top = legend(entries)
    most = max(float(sum(row)) for row in stack.amounts)
    plot = Plot(margin(most, unit), top + 8, RIGHT, top + 8 + PLOT_HEIGHT)
    first, last = stack.spans[0][0], stack.spans[-1][1]
    amounts, days = Amounts(plot, most), Days(plot, first, (last - first).days + 1)
    parts = [_patterns(key, fills), *drawn, *amounts.draw(unit), *days.draw()]
    for (begin, end), row in zip(stack.spans, stack.amounts, strict=True):
        width = days.x(end) + days.slot - days.x(begin)
        gap = between(width)
        base = Decimal(0)
        for index, amount in enumerate(row):
            if amount <= 0:
                continue
            low, high = amounts.y(float(base)), amounts.y(float(base + amount))
            words = f"{period_name(begin, end, stack.size)}, {short(stack.names[index])}: {money(amount, unit)}"
            parts.append(
                element(
                    "rect",
                    hint(words),
                    class_=f"seg {fills[index]}",
                    x=days.x(begin) + gap / 2,
                    y=high,
                    width=width - gap,
                    height=low - high,
                    fill=_fill(key, index),
                )
            )
            base += amount
    return chart(key, f"{title}, {unit}", _description(stack, unit), plot.bottom + BELOW, parts)


def _class(stack: Stack, index: int) -> str:
    return "m-rest" if index >= MOST or (stack.rest and index == len(stack.names) - 1) else f"m{index}"


def _fill(key: str, index: int) -> str:
    return f"url(#{key}-{index})"


def _patterns(key: str, fills: Sequence[str]) -> Element:
    drawn = [
        element(
            "pattern",
            element("rect", class_=f"ground {fill}", width=6, height=6),
            element("path", class_="weave", d=_REST if fill == "m-rest" else TEXTURES[index]) if index else None,
            id=f"{key}-{index}",
            width=6,
            height=6,
            patternUnits="userSpaceOnUse",
        )
        for index, fill in enumerate(fills)
    ]
    return element("defs", *drawn)


def _description(stack: Stack, unit: str) -> str:
    told = [f"{short(name)} {money(total, unit)}" for name, total in zip(stack.names, stack.totals, strict=True)]
    return f"One bar for each {stack.size}, the dearest model at the bottom. In all: {', '.join(told)}."
