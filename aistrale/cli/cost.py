"""`aistrale cost`: what it came to, from the ledger."""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import click

from aistrale.cli import _reports, _screen
from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aistrale.store import LedgerHandle, SummaryRow
    from aistrale.types import JSONObject

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(rf"(\d{{1,6}})([{''.join(_UNITS)}])")
_INPUT = ("input", "cache_read", "cache_write", "audio_input", "image_input", "tool_input")
_OUTCOMES = ("success", "error", "cancelled", "interrupted", "abandoned")
_VALUES = {"outcome": _OUTCOMES, "call_outcome": _OUTCOMES, "kind": ("chat", "embed")}
_RIGHT = ("calls", "failed", "tries", "in", "out", "cost", "p50", "p95")


def moment(text: str, now: datetime | None = None) -> datetime:
    """The moment that a word means.

    Args:
        text: How long ago (`90m`, `12h`, `7d`, `2w`), a day (`2026-11-26`, from midnight UTC on), or a day and time
            in ISO 8601, in UTC unless it says otherwise.
        now: Aware; the present by default.

    Raises:
        click.BadParameter: It is none of these.
    """
    ago = _AGO.fullmatch(text.strip().lower())
    try:
        if ago is not None:
            return (now or datetime.now(UTC)) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        found = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{text!r} is no day and no time span; write 7d, 12h or 2026-11-26") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def when(_ctx: click.Context, _param: click.Parameter, value: str | None) -> datetime | None:
    """A callback for options that name a moment."""
    return None if value is None else moment(value)


def conditions(_ctx: click.Context, _param: click.Parameter, values: Sequence[str]) -> dict[str, str | None]:
    """A callback for options `KEY=VALUE`; without a value those are meant that have none."""
    from aistrale.store.queries import SPEND_DIMENSIONS

    found: dict[str, str | None] = {}
    for text in values:
        name, sign, value = text.partition("=")
        if not sign or (name not in SPEND_DIMENSIONS and not name.startswith("tag:")):
            raise click.BadParameter(f"{text!r} is no KEY=VALUE; keys are {', '.join(SPEND_DIMENSIONS)}")
        if name in found:
            raise click.BadParameter(f"{name} is there twice; it can have one value")
        if value:
            _possible(name, value)
        found[name] = value or None
    return found


def _possible(name: str, value: str) -> None:
    """Refuse what nothing in any ledger can fit, and what would therefore look like an empty one."""
    if name == "model" and "/" not in value:
        raise click.BadParameter(f"{value!r}: models are written provider/model, as openai/{value}")
    known = _VALUES.get(name)
    if known is not None and value not in known:
        raise click.BadParameter(f"{value!r} is no {name}; use one of {', '.join(known)}")


def _by(_ctx: click.Context, _param: click.Parameter, values: Sequence[str]) -> tuple[str, ...]:
    # An empty ledger answers every question, also a wrong one.
    from aistrale.store.queries import SPEND_DIMENSIONS
    from aistrale.store.summary import DIMENSIONS

    known = (*DIMENSIONS, *(name for name in SPEND_DIMENSIONS if name not in DIMENSIONS))
    for value in values:
        if value not in known and not value.startswith("tag:"):
            raise click.BadParameter(f"{value!r} is no dimension; use one of {', '.join(known)}")
    return tuple(dict.fromkeys(values))


@click.command("cost", short_help="What it came to, from the ledger.")
@click.option(
    "--by",
    multiple=True,
    callback=_by,
    show_default="model",
    metavar="DIMENSION",
    help="model, provider, target, region, hour, day, month, route, model_asked, kind, user, workspace, project, "
    "session, name, outcome, call_outcome, tag, or tag:NAME; several times for several at once.",
)
@click.option("--since", callback=when, metavar="7d|DATE", help="Only what began since: 90m, 12h, 7d, 2w, or a day.")
@click.option("--until", callback=when, metavar="1d|DATE", help="Only what began before.")
@click.option(
    "--where", multiple=True, callback=conditions, metavar="KEY=VALUE", help="Only these; KEY= for those without one."
)
@click.option("--savings", is_flag=True, help="Also what prompt caches saved and failures wasted.")
@click.option("--benchmark", "compare", is_flag=True, help="Compare models by cost, latency and quality instead.")
@click.option(
    "--html", metavar="FILE", help="Write a page instead: spend, forecast, anomalies, models, budgets; - prints it."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the rows as CSV.")
def command(
    *,
    by: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    where: dict[str, str | None],
    savings: bool,
    compare: bool,
    html: str | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Show calls, tokens and US dollars.

    What has no known price is left out of the sums and said to be so; it is never taken for zero.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv cannot both be printed")
    if since is not None and until is not None and since >= until:
        raise click.UsageError("--since is not before --until")
    if compare and (by or savings):
        raise click.UsageError("--benchmark compares models; it takes neither --by nor --savings")
    if html is not None:
        if by or until or savings or compare or as_json or as_csv:
            raise click.UsageError("--html takes no other options than --since and --where")
        if not html.strip():
            raise click.UsageError("--html names no file")
        _write_page(html, since, where)
        return
    by = by or ("model",)
    form = "json" if as_json else "csv" if as_csv else "table"
    with reading() as ledger:
        nothing = _reports.nothing(ledger, narrowed=bool(since or until or where))
        if compare:
            from aistrale.cost.benchmark import benchmark

            found = benchmark(ledger, since=since, until=until, where=where)
            _reports.show_benchmark(found, form, nothing=nothing)
            return
        plain = (
            len(by) == 1
            and (by[0] in _summaries() or by[0].startswith("tag:"))
            and not where
            and not savings
            and not as_csv
        )
        if not plain:
            from aistrale.cost.report import costs

            report = costs(ledger, by=by, since=since, until=until, where=where, savings=savings)
            _reports.show_costs(report, form, savings=savings, nothing=nothing)
            return
        rows = ledger.summary(by[0], since=since, until=until)
    if as_json:
        _screen.document(
            {
                "by": by[0],
                "since": None if since is None else since.isoformat(),
                "until": None if until is None else until.isoformat(),
                "rows": [as_document(row) for row in rows],
                "total": _total(rows),
            }
        )
    else:
        _show(by[0], rows, nothing)


def _write_page(name: str, since: datetime | None, where: dict[str, str | None]) -> None:
    from aistrale.cli._page import show_page
    from aistrale.config import load

    if since is not None and since >= datetime.now(UTC):
        raise click.UsageError("--html: --since is not in the past")
    with reading() as ledger:
        show_page(ledger, load({}).budgets, name, since=since, where=where)


@contextmanager
def reading() -> Iterator[LedgerHandle]:
    """The ledger of the settings, to be asked.

    Raises:
        ConfigurationError: There is none.
    """
    from aistrale.config import load
    from aistrale.store import open_ledger

    ledger = open_ledger(load({}).ledger)
    if ledger.status().mode == "off":
        raise ConfigurationError(
            "the ledger is off, nothing is recorded", field="ledger", hint="Take ledger = 'off' out of the settings."
        )
    try:
        yield ledger
    finally:
        ledger.close()


def _summaries() -> tuple[str, ...]:
    from aistrale.store.summary import DIMENSIONS

    return DIMENSIONS


def as_document(row: SummaryRow) -> JSONObject:
    """A row of the ledger's summary as `--json` prints it: US dollars as text, seconds as numbers."""
    tokens_in, tokens_out = _tokens(row)
    return {
        "key": row.key,
        "calls": row.calls,
        "failed_calls": row.failed_calls,
        "attempts": row.attempts,
        "errors": row.errors,
        "tokens": dict(row.tokens),
        "tokens_in": tokens_in,
        "tokens_out": tokens_out,
        "cost": f"{row.cost:f}",
        "unpriced": row.unpriced,
        "latency_mean": row.latency_mean,
        "latency_p50": row.latency_p50,
        "latency_p95": row.latency_p95,
    }


def _tokens(row: SummaryRow) -> tuple[int | None, int | None]:
    """Input and output tokens; None where no provider told."""
    known = row.tokens
    came = [count for bucket, count in known.items() if bucket in _INPUT]
    went = [count for bucket, count in known.items() if bucket not in _INPUT]
    return sum(came) if came else None, sum(went) if went else None


def _total(rows: Sequence[SummaryRow]) -> JSONObject:
    total = sum((row.cost for row in rows), Decimal(0))
    return {
        "attempts": sum(row.attempts for row in rows),
        "cost": f"{total:f}",
        "unpriced": sum(row.unpriced for row in rows),
    }


def _show(by: str, rows: Sequence[SummaryRow], nothing: str) -> None:
    if not rows:
        _screen.note(nothing)
        return
    _screen.table([by, *_RIGHT], [_cells(row) for row in rows], right=_RIGHT)
    # A call with two tags, or with attempts at two models, stands in two rows: of calls there is no sum.
    total = _total(rows)
    if not by.startswith("tag"):
        _screen.note(f"total: ${total['cost']}")
    if total["unpriced"]:
        calls = total["unpriced"]
        whose = "1 call has" if calls == 1 else f"{calls} calls have"
        _screen.note(f"{whose} attempts of unknown price, which the costs leave out")


def _cells(row: SummaryRow) -> list[str]:
    tokens_in, tokens_out = _tokens(row)
    cost = _screen.about(None if row.unpriced and not row.cost else row.cost)
    return [
        row.key or "-",
        str(row.calls),
        str(row.failed_calls),
        str(row.attempts),
        _screen.count(tokens_in),
        _screen.count(tokens_out),
        f"{cost} + unknown" if row.unpriced and row.cost else cost,
        _screen.seconds(row.latency_p50),
        _screen.seconds(row.latency_p95),
    ]
