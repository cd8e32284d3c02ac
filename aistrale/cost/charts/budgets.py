"""Charts of budgets: the days of a period up to its limit, and bars for budgets without a period of days."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from aistrale.cost.charts.burn import bounds, lasting, share, standing
from aistrale.cost.charts.chart import Entry, Plot, chart, element, hint, legend, path, short, text
from aistrale.cost.charts.scale import DOLLARS, Amounts, Days, day_name, margin, money
from aistrale.cost.charts.spend import BELOW, RIGHT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aistrale.cost.budgets.book import BudgetStatus
    from aistrale.cost.charts.burn import Burn
    from aistrale.cost.charts.chart import Element

_DAY: Final = timedelta(days=1)
_HEIGHT: Final = 210.0
# So many times the limit and what is spent; beyond, the band is cut off, or the limit would lie at the bottom.
_MOST: Final = 1.6
_LEVELS: Final = ((0.95, "band"), (0.8, "band in"))
_ROOM: Final = 22.0
_GAUGE: Final = 52.0


def burn_chart(burnt: Burn, *, key: str, unit: str = DOLLARS) -> Element:
    """What was spent of a budget by the end of each day, what is to come, its limit, and the day that it runs out.

    Args:
        burnt: The budget over its period.
        key: Makes identifiers on the page the only ones.
        unit: Of the amounts.
    """
    status = burnt.status
    limit, spent = float(status.limit), float(status.spent)
    drawn, top = legend(list(_entries(burnt)))
    high = max([spent, *(path[-1] for path in burnt.ahead.values())])
    middle = burnt.ahead[0.5][-1] if burnt.ahead else spent
    most = max(limit, middle, min(high, _MOST * max(limit, middle)))
    plot = Plot(margin(most, unit), top + 8, RIGHT, top + 8 + _HEIGHT)
    amounts, days = Amounts(plot, most, _ROOM), Days(plot, burnt.first, (burnt.last - burnt.first).days + 1)
    parts = [*drawn, *amounts.draw(unit), *days.draw(), *_to_come(burnt, amounts, days)]
    parts += _so_far(burnt, amounts, days, unit)
    y = amounts.y(limit)
    words = f"limit {money(status.limit, unit)}"
    parts.append(element("line", hint(words), class_="limit", x1=plot.left, x2=plot.right, y1=y, y2=y))
    parts.append(text(words, plot.left + 6, y - 6, class_="t s"))
    parts += _crossing(burnt, days, y, plot)
    description = f"{standing(status, unit)} {lasting(burnt)}"
    title = f"Budget {short(status.name, 80)}: spent since {day_name(burnt.first)}, {unit}"
    return chart(key, title, description, plot.bottom + BELOW, parts)


def _entries(burnt: Burn) -> Iterator[Entry]:
    yield Entry("spent so far", "line", "sofar" if burnt.so_far else "sofar guess")
    if burnt.ahead:
        yield Entry("forecast (median)", "line", "median")
        for level, class_ in reversed(_LEVELS):
            if bounds(level)[1] in burnt.ahead:
                yield Entry(f"{level:.0%} interval", "box", class_)
    yield Entry("limit", "line", "limit")


def _so_far(burnt: Burn, amounts: Amounts, days: Days, unit: str) -> list[Element]:
    spent = float(burnt.status.spent)
    end = days.middle(burnt.now), amounts.y(spent)
    start = days.x(burnt.first), amounts.y(0.0)
    if burnt.so_far is None:
        line = [start, end]
    else:
        reached = [(days.x(burnt.first + index * _DAY), amount) for index, amount in enumerate((0.0, *burnt.so_far))]
        line = [(x, amounts.y(amount)) for x, amount in reached[:-1]] + [end]
    words = hint(f"{day_name(burnt.now)}: {money(burnt.status.spent, unit)} spent so far")
    drawn = [
        element("path", class_="sofar" if burnt.so_far else "sofar guess", d=path(line)),
        element("circle", words, class_="point", cx=end[0], cy=end[1], r=4),
    ]
    for index, amount in enumerate(burnt.so_far or ()):
        day = burnt.first + index * _DAY
        drawn.append(_touch(days, amounts, index, f"{day_name(day)}: {money(amount, unit)} spent by then"))
    for index, amount in enumerate(burnt.ahead.get(0.5, ())):
        day = burnt.now + index * _DAY
        place = (day - burnt.first).days
        if burnt.so_far is None or place >= len(burnt.so_far):
            drawn.append(_touch(days, amounts, place, f"{day_name(day)}: about {money(amount, unit)} spent by then"))
    return drawn


def _touch(days: Days, amounts: Amounts, index: int, words: str) -> Element:
    plot = amounts.plot
    x = plot.left + index * days.slot
    return element("rect", hint(words), class_="touch", x=x, y=plot.top, width=days.slot, height=plot.bottom - plot.top)


def _to_come(burnt: Burn, amounts: Amounts, days: Days) -> list[Element]:
    """The bands and the median, from where spending stands now: what is reached by the end of each day."""
    if not burnt.ahead:
        return []
    begin = days.middle(burnt.now), amounts.y(float(burnt.status.spent))

    def reached(probability: float) -> list[tuple[float, float]]:
        ends = [days.x(burnt.now + (index + 1) * _DAY) for index in range(len(burnt.ahead[probability]))]
        return [begin, *((x, amounts.y(sum_)) for x, sum_ in zip(ends, burnt.ahead[probability], strict=True))]

    drawn: list[Element] = []
    for level, class_ in _LEVELS:
        low, high = bounds(level)
        if low in burnt.ahead and high in burnt.ahead:
            outline = [*reached(high), *reversed(reached(low))]
            drawn.append(element("polygon", class_=class_, points=" ".join(f"{x:.2f},{y:.2f}" for x, y in outline)))
    drawn.append(element("path", class_="median", d=path(reached(0.5))))
    return drawn


def _crossing(burnt: Burn, days: Days, y: float, plot: Plot) -> list[Element]:
    day = burnt.crossing
    if day is None:
        return []
    x = days.x(day + _DAY) if day != burnt.now else days.middle(day)
    words = f"used up on {day_name(day, year=False)}" if burnt.used_up else f"runs out on {day_name(day, year=False)}"
    place = f"translate({x:.2f} {y:.2f})"
    # Below what is spent there is room, on the side that is longer.
    before = x > (plot.left + plot.right) / 2
    return [
        element("line", class_="out", x1=x, x2=x, y1=y, y2=plot.bottom),
        element("polygon", hint(words), class_="mark out", points="0,-6 6,0 0,6 -6,0", transform=place),
        text(words, x - 6 if before else x + 6, plot.bottom - 8, class_="t s", anchor="end" if before else None),
    ]


def gauge_chart(budgets: Sequence[BudgetStatus], *, key: str, unit: str = DOLLARS) -> Element:
    """One bar for each budget: spent, reserved, and the limit.

    Args:
        budgets: Those without days of their own: rolling windows, sessions, single days.
        key: Makes identifiers on the page the only ones.
        unit: Of the amounts.
    """
    entries = [Entry("spent", "box", "bar"), Entry("reserved", "box", "reserved"), Entry("limit", "line", "limit")]
    drawn, top = legend(entries)
    left, right = 8.0, RIGHT
    parts: list[Element] = [*drawn]
    for index, status in enumerate(budgets):
        parts += _gauge(status, left, right, top + 10 + index * _GAUGE, unit)
    names = "; ".join(f"{short(each.name)}: {standing(each, unit)}" for each in budgets)
    height = top + 10 + len(budgets) * _GAUGE
    return chart(key, f"Budgets of moving periods, {unit}", names, height, parts)


def _gauge(status: BudgetStatus, left: float, right: float, top: float, unit: str) -> list[Element]:
    limit = float(status.limit)
    spent, held = float(status.spent), float(status.reserved)
    # What is over the limit shows beyond the line; with a limit of 0 anything does.
    most = max(limit * 1.1, min(spent + held, limit * 2), 1e-300)
    wide = right - left

    def place(amount: float) -> float:
        return left + wide * min(max(amount / most, 0.0), 1.0)

    told = f"{money(status.spent, unit)} of {money(status.limit, unit)} ({share(status)})"
    name = short(f"{status.name} ({status.scope}, {status.period})", 64)
    return [
        text(name, left, top + 12),
        text(told, right, top + 12, anchor="end"),
        element("rect", class_="track", x=left, y=top + 19, width=wide, height=16),
        element("rect", hint(f"spent: {told}"), class_="bar", x=left, y=top + 19, width=place(spent) - left, height=16),
        element(
            "rect",
            hint(f"reserved: {money(status.reserved, unit)}"),
            class_="reserved",
            x=place(spent),
            y=top + 19,
            width=place(spent + held) - place(spent),
            height=16,
        ),
        element("line", class_="limit", x1=place(limit), x2=place(limit), y1=top + 15, y2=top + 39),
    ]
