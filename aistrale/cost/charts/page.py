"""Spending as one HTML file: charts of what was spent, by whom, what is to come, and how budgets burn down.

    Path("cost.html").write_text(page(look_ahead(ledger), title="Spending of the shop"), encoding="utf-8")

The file needs nothing but itself: no script, no font, no image, no connection, and its own policy forbids them. It is
well-formed XML as well as HTML, and names of models, budgets and projects stand in it as text, whatever they contain.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from aistrale.cost.charts.budgets import burn_chart, gauge_chart
from aistrale.cost.charts.burn import Burn, assumptions, burn, lasting, standing
from aistrale.cost.charts.chart import element, short
from aistrale.cost.charts.models import stack_chart, stacked
from aistrale.cost.charts.page_style import POLICY, STYLE
from aistrale.cost.charts.page_tables import (
    anomaly_table,
    budget_table,
    folded,
    spend_table,
    stack_table,
    table,
    totals_table,
)
from aistrale.cost.charts.scale import DOLLARS, day_name, money, month_name, period_name
from aistrale.cost.charts.spend import Mark, SpendDays, cut, spend_chart

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from aistrale.cost.budgets.book import BudgetStatus
    from aistrale.cost.charts.chart import Element
    from aistrale.cost.forecasts.result import MonthForecast, Total
    from aistrale.cost.outlook import Outlook

MOST_DAYS: Final = 180
"""So many days fit into the chart of single days."""

RECENT: Final = 120
"""So many of the latest are shown there when there are more; all of them follow in a chart of their own."""

_DAY: Final = timedelta(days=1)
_NUMBERS: Final = "The numbers of this chart"


def page(outlook: Outlook, *, title: str, currency: str = DOLLARS) -> str:
    """Write the page.

    Args:
        outlook: What it shows. The same outlook gives the same page, byte for byte.
        title: Its heading.
        currency: What the amounts are, in words; with "US dollars" they have a dollar sign.

    Returns:
        A document of HTML, to be written as UTF-8.
    """
    series = outlook.series
    shown = _shown(outlook)
    body = [
        element("h1", short(title, 200)),
        element("p", _as_of(outlook), class_="soft"),
        _figures(outlook, currency),
        *_unpriced(outlook),
        *_spend(outlook, shown, currency),
        *_history(outlook, currency),
        *_models(outlook, currency),
        *_budgets(outlook, currency),
        element("p", f"Days are UTC. Amounts are {currency}. Written by aistrale from the ledger.", class_="soft"),
    ]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="robots", content="noindex"),
        element("title", f"{short(title, 200)}, {day_name(series.now.date())}"),
        element("style", STYLE),
    )
    document = element("html", head, element("body", element("main", *body)), lang="en")
    return f"<!DOCTYPE html>\n{document.write()}\n"


def _shown(outlook: Outlook) -> SpendDays:
    series = outlook.series
    marks = [
        Mark(each.day, each.anomaly.kind, index, each.anomaly.reason)
        for index, each in enumerate(outlook.anomalies, 1)
        if each.day is not None and each.day >= series.start
    ]
    now = series.now.date()
    whole = SpendDays(series.start, series.values, now, series.today, outlook.forecast, marks)
    return whole if len(series.values) <= MOST_DAYS else whole.latest(RECENT)


def _as_of(outlook: Outlook) -> str:
    series = outlook.series
    days = len(series.values)
    stretch = f"{days} complete {'day' if days == 1 else 'days'} from {day_name(series.start)} on, and today"
    return f"As of {day_name(series.now.date())}, {series.now:%H:%M} UTC: {stretch if days else 'today alone'}."


def _spent(outlook: Outlook) -> Decimal:
    return sum(outlook.series.values, outlook.series.today)


def _figures(outlook: Outlook, unit: str) -> Element:
    series, now = outlook.series, outlook.series.now.date()
    first = now.replace(day=1)
    month = sum((value for index, value in enumerate(series.values) if series.day(index) >= first), series.today)
    figures: list[tuple[str, str, str | None]] = [
        ("today so far", money(series.today, unit), None),
        (f"since {day_name(first, year=False)}", money(month, unit), None),
    ]
    if outlook.month is not None:
        figures.append((f"forecast of {_month(outlook.month)}", *_about(outlook.month.total, unit)))
    if outlook.forecast is not None:
        days = len(outlook.forecast.days)
        figures.append(
            (f"next {days} days, today included" if days > 1 else "today", *_about(outlook.forecast.total, unit))
        )
    boxes = [
        element(
            "div",
            element("dt", name),
            element("dd", amount),
            None if more is None else element("dd", more, class_="more"),
        )
        for name, amount, more in figures
    ]
    return element("dl", *boxes)


def _month(month: MonthForecast) -> str:
    return month_name(month.month)


def _about(total: Total, unit: str) -> tuple[str, str]:
    widest = max(total.intervals, key=lambda each: each.level, default=None)
    if widest is None:
        return money(total.p50, unit), "median"
    return money(total.p50, unit), f"{widest.level:.0%}: {money(widest.low, unit)} to {money(widest.high, unit)}"


def _unpriced(outlook: Outlook) -> list[Element]:
    count = outlook.unpriced
    if not count:
        return []
    told = f"{count:,} attempts of unknown price are" if count > 1 else "1 attempt of unknown price is"
    return [element("p", f"{told} not in these sums.", class_="warn")]


def _figure(chart: Element, label: str) -> Element:
    # Charts keep their size on narrow screens and scroll, which takes a focus for those who have only a keyboard.
    return element("div", chart, class_="scroll keep", role="region", aria_label=label, tabindex="0")


def _spend(outlook: Outlook, shown: SpendDays, unit: str) -> list[Element]:
    parts = [element("h2", "Spend per day")]
    if not _spent(outlook):
        days = len(outlook.series.values)
        stretch = (
            "today"
            if not days
            else "today or on the day before"
            if days == 1
            else f"on any of the {days} days or today"
        )
        parts.append(element("p", f"Nothing with a known price was spent {stretch}, so there is nothing to draw."))
        return [element("section", *parts)]
    if len(shown.values) < len(outlook.series.values):
        parts.append(element("p", f"The last {len(shown.values)} days; all of them follow below.", class_="soft"))
    parts.append(_figure(spend_chart(shown, unit=unit), "Chart of spend per day"))
    if outlook.forecast is not None:
        told = outlook.forecast
        unsure = " Take it with caution." if told.confidence == "low" else ""
        parts.append(element("p", f"The forecast stands on {told.reason}{unsure}", class_="soft"))
        parts += [element("p", words, class_="soft") for words in (cut(shown, unit),) if words]
    elif outlook.refusal:
        parts.append(element("p", f"There is no forecast: {outlook.refusal}"))
    parts.append(folded(_NUMBERS, spend_table(shown, unit)))
    found = [element("section", *parts)]
    if outlook.anomalies:
        found.append(element("section", element("h3", "Unusual days"), anomaly_table(outlook.anomalies, unit)))
    return found


def _history(outlook: Outlook, unit: str) -> list[Element]:
    """All days, where they are too many for bars of their own."""
    series = outlook.series
    if len(series.values) <= MOST_DAYS or not _spent(outlook):
        return []
    days = {series.day(index): value for index, value in enumerate(series.values)}
    days[series.now.date()] = series.today
    stack = stacked({"spent": days})
    if stack is None:
        return []
    title = f"Spend per {stack.size} since {day_name(series.start)}"
    note = f"The first and the last {stack.size} may not be whole."
    return [
        element(
            "section",
            element("h2", title),
            _figure(stack_chart(stack, title=title, key="history", unit=unit), f"Chart: {title}"),
            element("p", note, class_="soft"),
            folded(_NUMBERS, stack_table(stack, f"{title}, {unit}", unit)),
        )
    ]


def _models(outlook: Outlook, unit: str) -> list[Element]:
    stack = stacked(outlook.by_model)
    parts = [element("h2", "By model")]
    if stack is None:
        parts.append(element("p", "No model has been paid for in this time, as far as prices are known."))
        return [element("section", *parts)]
    first, last = stack.spans[0][0], stack.spans[-1][1]
    parts += [
        element("p", f"{period_name(first, last, stack.size)}, one bar for each {stack.size}.", class_="soft"),
        _figure(stack_chart(stack, title="Spend by model", unit=unit), "Chart of spend by model"),
        totals_table(stack, unit),
        folded(_NUMBERS, stack_table(stack, f"Spend by model and {stack.size}, {unit}", unit)),
    ]
    return [element("section", *parts)]


def _budgets(outlook: Outlook, unit: str) -> list[Element]:
    budgets = outlook.budgets
    parts = [element("h2", "Budgets")]
    if not budgets:
        parts.append(element("p", "There are no budgets to show.", class_="soft"))
        return [element("section", *parts)]
    burnt = [burn(each, outlook.series, outlook.by_model, outlook.forecast) for each in budgets]
    sentences = [
        " ".join(filter(None, (_outlook(status, each), status.note and f"Not certain: {status.note}.")))
        for status, each in zip(budgets, burnt, strict=True)
    ]
    for index, each in enumerate(burnt):
        if each is not None:
            parts += _burn(each, f"budget-{index}", sentences[index], unit)
    moving = [status for status, each in zip(budgets, burnt, strict=True) if each is None]
    if moving:
        parts.append(element("h3", "Calls, sessions, single days and rolling windows"))
        parts.append(_figure(gauge_chart(moving, key="gauges", unit=unit), "Chart of budgets of moving periods"))
    parts.append(budget_table(budgets, sentences, unit))
    return [element("section", *parts)]


def _outlook(status: BudgetStatus, burnt: Burn | None) -> str:
    if burnt is not None:
        return lasting(burnt)
    if status.spent >= status.limit:
        return "It is used up."
    return "A forecast of days says nothing about this period."


def _burn(burnt: Burn, key: str, sentence: str, unit: str) -> list[Element]:
    status = burnt.status
    kind = "hard" if status.hard else "soft"
    told = " ".join(filter(None, (standing(status, unit), sentence, assumptions(burnt))))
    return [
        element("h3", f"{short(status.name, 80)} ({short(status.scope, 60)}, {kind} limit)"),
        element("p", told),
        _figure(burn_chart(burnt, key=key, unit=unit), f"Chart of the budget {short(status.name, 60)}"),
        folded(_NUMBERS, _burn_table(burnt, unit)),
    ]


def _burn_table(burnt: Burn, unit: str) -> Element:
    header = [("day", "day"), ("spent by then", "num"), ("forecast of it", "num")]
    rows: list[Sequence[str]] = []
    middle = burnt.ahead.get(0.5, ())
    for index in range((burnt.last - burnt.first).days + 1):
        day: date = burnt.first + index * _DAY
        past = (day - burnt.now).days
        spent = money(burnt.so_far[index], unit) if burnt.so_far and past < 0 else ""
        if not past:
            spent = f"{money(burnt.status.spent, unit)} so far"
        coming = money(middle[past], unit) if 0 <= past < len(middle) else ""
        if spent or coming:
            rows.append([day_name(day), spent, coming])
    return table(f"Budget {short(burnt.status.name, 80)}, {unit}", header, rows)
