"""`aistrale forecast`: what the month and the coming days will cost, and when a limit is reached."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, cast

import click

from aistrale.cli import _reports, _screen
from aistrale.cli.cost import conditions, reading

if TYPE_CHECKING:
    from aistrale.cost.forecasts.result import Forecast, MonthForecast, RunsOut, Total
    from aistrale.cost.series import DailySpend
    from aistrale.types import JSONObject

_HEADER = ("what", "spent", "forecast", "80% interval", "95% interval")
_LONGEST = 730


def _amount(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Decimal | None:
    if value is None:
        return None
    try:
        amount = Decimal(value.strip().removeprefix("$"))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise click.BadParameter(f"{value!r} is no amount of US dollars; write 500 or 12.50")
    return amount


@click.command("forecast", short_help="What the month and the coming days will cost.")
@click.option(
    "--days", type=click.IntRange(1, _LONGEST), default=30, show_default=True, help="How far, today included."
)
@click.option(
    "--where", multiple=True, callback=conditions, metavar="KEY=VALUE", help="Only these; KEY= for those without one."
)
@click.option(
    "--limit", callback=_amount, metavar="USD", help="Say when spend reaches so much, from the first of this month on."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(*, days: int, where: dict[str, str | None], limit: Decimal | None, as_json: bool) -> None:
    """Show what was spent this month, what its rest and the coming days will bring, and how sure that is.

    Days are UTC. Where there is too little history, what was spent is shown and why there is no forecast.
    """
    from aistrale.cost.forecasts.result import InsufficientData, runs_out
    from aistrale.cost.outlook import forecast_spend, in_sentences, month_spend
    from aistrale.cost.series import daily_spend

    with reading() as ledger:
        series = daily_spend(ledger, where=where)
    spent = _month_to_date(series)
    ahead: Forecast | None = None
    month: MonthForecast | None = None
    out: RunsOut | None = None
    refusal = None
    try:
        ahead, month = forecast_spend(series, days), month_spend(series)
        if limit is not None:
            out = runs_out(ahead, float(spent - series.today), float(limit))
    except InsufficientData as error:
        refusal = in_sentences(error)
    if as_json:
        document: JSONObject = {
            "as_of": series.now.isoformat(),
            "where": cast("JSONObject", where),
            "spent": {"today": f"{series.today:f}", "month": f"{spent:f}"},
            "month": None if month is None else month.to_json(),
            "forecast": None if ahead is None else ahead.to_json(),
            "refusal": refusal,
            "limit": None if limit is None else _limit_document(limit, spent, out),
            "unpriced": series.unpriced,
        }
        _screen.document(document)
        return
    _show(series, spent, month, ahead)
    if limit is not None:
        _screen.say(_limit_words(limit, spent, series, out))
    if ahead is not None:
        unsure = "; take it with caution" if ahead.confidence == "low" else ""
        _screen.note(f"the forecast stands on {ahead.reason.rstrip('.')}{unsure}")
    else:
        _screen.note(f"no forecast: {refusal}")
    if series.unpriced:
        _screen.note(_reports.unpriced(series.unpriced))


def _month_to_date(series: DailySpend) -> Decimal:
    first = series.now.date().replace(day=1)
    return sum((value for index, value in enumerate(series.values) if series.day(index) >= first), series.today)


def _show(series: DailySpend, spent: Decimal, month: MonthForecast | None, ahead: Forecast | None) -> None:
    from aistrale.cost.charts.scale import money, month_name

    name = month_name(series.now.date())
    rows = [["today so far", money(series.today)], [f"{name} so far", money(spent)]]
    if month is not None:
        rest = month.total.plus(-month.spent)
        rows += [[f"rest of {name}", "", *_cells(rest)], [name, "", *_cells(month.total)]]
    if ahead is not None:
        count = len(ahead.days)
        rows.append([f"next {count} days, today included" if count > 1 else "today", "", *_cells(ahead.total)])
    header = _HEADER if ahead is not None else _HEADER[:2]
    padded = [row + [""] * (len(header) - len(row)) for row in rows]
    _screen.table(header, padded, right=_HEADER[1:])


def _cells(total: Total) -> list[str]:
    from aistrale.cost.charts.scale import money

    # What was spent is known, so that nothing less can come: rounding must not say otherwise.
    ranges = [f"{money(max(each.low, 0.0))} to {money(each.high)}" for each in total.intervals]
    return [money(max(total.p50, 0.0)), *ranges]


def _limit_words(limit: Decimal, spent: Decimal, series: DailySpend, out: RunsOut | None) -> str:
    from aistrale.cost.charts.scale import day_name, money

    begin = day_name(series.now.date().replace(day=1))
    what = f"limit of {money(limit)} from {begin} on"
    if spent >= limit:
        return f"{what}: reached already"
    if out is None:
        return f"{what}: when it is reached cannot be said without a forecast"
    early = "" if out.earliest is None else f"by {day_name(out.earliest)} with a probability of 5%"
    if out.p50 is None:
        likely = f"not until {day_name(out.until)}, where the forecast ends"
        return f"{what}: {likely}, with a probability of more than 95%" if not early else f"{what}: {likely}; {early}"
    late = "" if out.latest is None else f", by {day_name(out.latest)} with a probability of 95%"
    later = ", which is after this month" if out.p50.month != series.now.month else ""
    return f"{what}: reached on {day_name(out.p50)}{later}; {early}{late}"


def _limit_document(limit: Decimal, spent: Decimal, out: RunsOut | None) -> JSONObject:
    return {
        "usd": f"{limit:f}",
        "spent": f"{spent:f}",
        "reached": spent >= limit,
        "runs_out": None if out is None else out.to_json(),
    }
