"""`aistrale anomalies`: days that cost more or less than usual, and who made them so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from aistrale.cli import _reports, _screen
from aistrale.cli.cost import conditions, reading, when

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.cost.outlook import SpendAnomaly

_HEADER = ("day", "kind", "days", "spent", "expected", "usual")
_DAYS = 90


@click.command("anomalies", short_help="Days that cost more or less than usual.")
@click.option(
    "--since", callback=when, metavar="90d|DATE", show_default="90d", help="Only days since: 7d, 2w, or a day."
)
@click.option(
    "--where", multiple=True, callback=conditions, metavar="KEY=VALUE", help="Only these; KEY= for those without one."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(*, since: datetime | None, where: dict[str, str | None], as_json: bool) -> None:
    """Show unusual days of spend: each complete day (UTC) is judged by the days before it.

    A spike or a drop is an episode, told once; a shift is a new level that held.
    """
    from aistrale.cost.anomalies.anomaly import why_silent
    from aistrale.cost.outlook import find_anomalies
    from aistrale.cost.series import daily_spend

    now = datetime.now(UTC)
    begin = now - timedelta(days=_DAYS) if since is None else since.astimezone(UTC)
    if begin >= now:
        raise click.UsageError("--since is not in the past")
    with reading() as ledger:
        nothing = _reports.nothing(ledger, narrowed=bool(where))
        series = daily_spend(ledger, where=where)
        found = find_anomalies(ledger, series, since=begin, where=where)
    silent = why_silent(series.floats) if series.values else "No day (UTC) has ended since the first call."
    if as_json:
        _screen.document(
            {
                "since": begin.isoformat(),
                "where": where,
                "anomalies": [each.as_document() for each in found],
                "silent": silent,
                "unpriced": series.unpriced,
            }
        )
        return
    if found:
        _show(found)
    elif silent is None:
        _screen.note(f"no unusual days since {begin:%Y-%m-%d}")
    if not (series.values or series.today or series.unpriced):
        _screen.note(nothing)
    elif silent is not None:
        _screen.note(f"nothing can be said about the latest day: {silent}")
    if series.unpriced:
        _screen.note(_reports.unpriced(series.unpriced))


def _show(found: Sequence[SpendAnomaly]) -> None:
    from aistrale.cost.charts.scale import money

    rows = [
        [
            "-" if each.day is None else each.day.isoformat(),
            each.anomaly.kind,
            str(each.anomaly.end - each.anomaly.begin + 1),
            money(each.anomaly.actual),
            money(each.anomaly.expected),
            f"{money(each.anomaly.low)} to {money(each.anomaly.high)}",
        ]
        for each in found
    ]
    _screen.table(_HEADER, rows, right=_HEADER[2:])
    for each in found:
        _screen.say()
        _screen.say(_screen.one_line(each.anomaly.reason))
        for contribution in each.contributions:
            dimension = "" if each.explanation is None else f"by {each.explanation.dimension}: "
            _screen.say(f"  {dimension}{_screen.one_line(contribution.reason)}")
