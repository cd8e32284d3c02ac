"""The tables of a page: the same numbers as its charts show."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from aistrale.cost.charts.burn import share
from aistrale.cost.charts.chart import element
from aistrale.cost.charts.scale import day_name, money, period_name
from aistrale.cost.charts.spend import ahead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.cost.budgets.book import BudgetStatus
    from aistrale.cost.charts.chart import Element
    from aistrale.cost.charts.models import Stack
    from aistrale.cost.charts.spend import SpendDays
    from aistrale.cost.forecasts.result import Interval
    from aistrale.cost.outlook import SpendAnomaly

_DAY: Final = timedelta(days=1)
_NONE: Final = ""
# Values that account for less say nothing (as in Adtributor, see aistrale.cost.anomalies.attribution).
_TENTH: Final = 0.1


def table(
    caption: str, header: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]], *, headed: bool = False
) -> Element:
    """A table whose first column names its rows.

    Args:
        caption: What it shows.
        header: For each column its name and its class: "num", "day", "name", "words".
        rows: The cells.
        headed: Whether a heading above says the same already.
    """
    heads = [element("th", name, scope="col", class_=class_) for name, class_ in header]
    body = [
        element(
            "tr",
            *(
                element("td" if index else "th", cell, class_=class_, scope=None if index else "row")
                for index, (cell, (_, class_)) in enumerate(zip(row, header, strict=True))
            ),
        )
        for row in rows
    ]
    drawn = element(
        "table",
        element("caption", caption, class_="unseen" if headed else None),
        element("thead", element("tr", *heads)),
        element("tbody", *body),
    )
    return element("div", drawn, class_="scroll", role="region", aria_label=caption, tabindex="0")


def folded(summary: str, inner: Element) -> Element:
    """What is shown when somebody asks for it."""
    return element("details", element("summary", summary), inner)


def spend_table(spend: SpendDays, unit: str) -> Element:
    """What each day cost and what the coming ones will, the newest first."""
    coming = ahead(spend.forecast, spend.now)
    levels = [] if not coming else [interval.level for interval in coming[0][1].intervals]
    header = [("day", "day"), ("spent", "num")]
    if coming:
        header += [("forecast", "num"), *((f"{level:.0%} interval", "num") for level in levels)]
    blank = [_NONE] * (len(header) - 2)
    rows: list[list[str]] = []
    for day, told in reversed(coming):
        spent = f"{money(spend.today, unit)} so far" if day == spend.now else _NONE
        rows.append([day_name(day), spent, money(told.p50, unit), *(_range(each, unit) for each in told.intervals)])
    if not coming:
        rows.append([day_name(spend.now), f"{money(spend.today, unit)} so far"])
    rows += [
        [day_name(spend.first + index * _DAY), money(spend.values[index], unit), *blank]
        for index in range(len(spend.values) - 1, -1, -1)
    ]
    return table(f"Spend per day (UTC), {unit}", header, rows)


def _range(interval: Interval, unit: str) -> str:
    return f"{money(interval.low, unit)} to {money(interval.high, unit)}"


def leading(anomaly: SpendAnomaly, most: int = 3) -> list[str]:
    """Who made a day unusual, one sentence each: those that account for at least a tenth of the difference."""
    named = [each for each in anomaly.contributions if each.key is not None and each.power >= _TENTH]
    return [each.reason for each in named[:most]]


def anomaly_table(anomalies: Sequence[SpendAnomaly], unit: str) -> Element:
    """Unusual days with the numbers by which the chart names them."""
    header = [("no.", "num"), ("day", "day"), ("kind", "day"), ("spent", "num"), ("expected", "num")]
    told = [leading(each) for each in anomalies]
    header += [("why", "words"), *([("who", "words")] if any(told) else [])]
    rows = [
        [
            str(index),
            "" if each.day is None else day_name(each.day),
            each.anomaly.kind,
            money(each.anomaly.actual, unit),
            money(each.anomaly.expected, unit),
            each.anomaly.reason,
            *([" ".join(told[index - 1])] if any(told) else []),
        ]
        for index, each in enumerate(anomalies, 1)
    ]
    return table("Unusual days", header, rows, headed=True)


def totals_table(stack: Stack, unit: str) -> Element:
    """What each model came to, and its part of the whole."""
    whole = sum(stack.totals)
    rows = [
        [name, money(total, unit), f"{total / whole:.1%}"]
        for name, total in zip(stack.names, stack.totals, strict=True)
    ]
    rows.append(["all", money(whole, unit), "100.0%"])
    return table("Spend by model", [("model", "name"), ("spent", "num"), ("part", "num")], rows)


def stack_table(stack: Stack, caption: str, unit: str) -> Element:
    """The amounts of each bar, the newest first."""
    several = len(stack.names) > 1
    header = [(stack.size, "day"), *((name, "num") for name in stack.names), *([("all", "num")] if several else [])]
    rows = [
        [
            period_name(begin, end, stack.size),
            *(money(amount, unit) for amount in row),
            *([money(sum(row), unit)] if several else []),
        ]
        for (begin, end), row in zip(reversed(stack.spans), reversed(stack.amounts), strict=True)
    ]
    return table(caption, header, rows)


def budget_table(budgets: Sequence[BudgetStatus], sentences: Sequence[str], unit: str) -> Element:
    """What all budgets stand at."""
    header = [("budget", "name"), ("scope", "name"), ("period", "day"), ("kind", "day")]
    header += [(name, "num") for name in ("limit", "spent", "reserved", "left", "used")]
    header += [("outlook", "words")]
    rows = [
        [
            each.name,
            each.scope,
            each.period,
            "hard" if each.hard else "soft",
            *(money(amount, unit) for amount in (each.limit, each.spent, each.reserved, each.left)),
            share(each),
            sentence,
        ]
        for each, sentence in zip(budgets, sentences, strict=True)
    ]
    return table("Budgets", header, rows)
