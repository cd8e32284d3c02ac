"""Reports of what calls cost, as the commands print them: tables for people, JSON and CSV for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aistrale.cli import _screen

if TYPE_CHECKING:
    from aistrale.cost.benchmark import Benchmark
    from aistrale.cost.intervals import Interval
    from aistrale.cost.invoices.reconcile import Line, Reconciliation
    from aistrale.cost.report import CostReport, CostRow
    from aistrale.store import LedgerHandle
    from aistrale.types import JSONObject

# `errors` are attempts; the plain question counts calls that `failed`.
_COSTS = ("calls", "tries", "errors", "in", "out", "cost", "share", "p50", "p95")
_ONE_UNPRICED = "1 attempt of unknown price is not in these sums"
_MODELS = ("calls", "answered", "quality", "usd/call", "p50", "p95")
_MONEY = ("ours", "theirs", "difference")


def nothing(ledger: LedgerHandle, *, narrowed: bool) -> str:
    """What is said where a ledger has no rows to show.

    Args:
        ledger: It is named, since another one may have been meant.
        narrowed: Whether only a part of it was asked for.
    """
    place = ledger.status().path
    if narrowed:
        return f"nothing is recorded that fits what was asked for (ledger: {place})"
    return f"nothing is recorded yet in {place}; `aistrale run` and every other call add to it"


def unpriced(attempts: int) -> str:
    """What sums leave out, in words."""
    return f"{attempts:,} attempts of unknown price are not in these sums" if attempts > 1 else _ONE_UNPRICED


def show_costs(report: CostReport, form: str, *, savings: bool, nothing: str) -> None:
    """Print what calls cost.

    Args:
        report: What to print.
        form: "table", "json" or "csv".
        savings: Whether to tell what was saved and wasted, too.
        nothing: Said in a table's place where there are no rows.
    """
    if form == "json":
        _screen.document(_costs_document(report))
        return
    if form == "csv":
        _screen.raw(report.to_csv())
        return
    if not report.rows:
        _screen.note(nothing)
        return
    _screen.table([*report.by, *_COSTS], [_cost_cells(row) for row in report.rows], right=_COSTS)
    total = report.total
    _screen.note(f"total: {_screen.dollars(total.usd)}")
    for note in report.notes() if savings else report.notes()[:1] if total.unpriced else ():
        _screen.note(note)


def _costs_document(report: CostReport) -> JSONObject:
    """The report; where there is one dimension, with the names that the plain question has."""
    from aistrale.cost.report import as_document

    document = report.as_document()
    if len(report.by) == 1:
        document["by"] = report.by[0]
        document["rows"] = [{"key": row.key[0], **as_document(row), **_old(row)} for row in report.rows]
    else:
        document["rows"] = [{"key": list(row.key), **as_document(row), **_old(row)} for row in report.rows]
    document["total"] = {**as_document(report.total), **_old(report.total)}
    return document


def _old(row: CostRow) -> JSONObject:
    return {"errors": row.failed, "cost": "0" if row.usd is None else f"{row.usd:f}"}


def _cost_cells(row: CostRow) -> list[str]:
    # Failures that cost nothing are no price of the others.
    known = None if row.unpriced and not row.usd else row.usd
    cost = _screen.about(known)
    return [
        *("-" if part is None else part for part in row.key),
        str(row.calls),
        str(row.attempts),
        str(row.failed),
        _screen.count(row.tokens_in),
        _screen.count(row.tokens_out),
        f"{cost} + unknown" if row.unpriced and known is not None else cost,
        "-" if row.share is None or known is None else f"{row.share:.1%}",
        _screen.seconds(row.latency_p50),
        _screen.seconds(row.latency_p95),
    ]


def show_benchmark(found: Benchmark, form: str, *, nothing: str) -> None:
    """Print models against each other; `form` is "table", "json" or "csv"; `nothing` is said where there are none."""
    if form == "json":
        _screen.document(found.as_document())
        return
    if form == "csv":
        _screen.raw(found.to_csv())
        return
    if not found.models:
        _screen.note(nothing)
        return
    rows = []
    for row in found.models:
        quality = row.score if found.quality == "score" else row.success_rate
        cost = "unknown" if row.usd_per_call is None else _ends(row.usd_per_call, "${:.6f}")
        front = "-" if row.on_front is None else "yes" if row.on_front else f"no: {', '.join(row.dominated_by)}"
        times = [_ends(each, "{:.2f} s") for each in (row.latency_p50, row.latency_p95)]
        counts = [str(row.calls), str(row.succeeded)]
        rows.append([row.model, *counts, _ends(quality, "{:.3f}"), cost, *times, front])
    _screen.table(["model", *_MODELS, "front"], rows, right=_MODELS)
    _screen.note("in brackets: where the truth is, with a confidence of 95 %")
    for note in found.notes():
        _screen.note(note)


def _ends(interval: Interval | None, form: str) -> str:
    if interval is None:
        return "-"
    value, low, high = (form.format(part) for part in interval[:3])
    return f"{value} [{low}, {high}]"


def show_reconciliation(found: Reconciliation, form: str, *, everything: bool) -> None:
    """Print an invoice beside the ledger.

    Args:
        found: What to print.
        form: "table", "json" or "csv".
        everything: Whether lines that agree are shown as well.
    """
    if form == "json":
        _screen.document(found.as_document())
        return
    if form == "csv":
        _screen.raw(found.to_csv())
        return
    lines = [line for line in found.lines if everything or not line.within]
    if lines:
        _screen.table(["day", "model", *_MONEY, "why"], [_line_cells(line) for line in lines], right=_MONEY)
    agreeing = sum(line.within for line in found.lines)
    whose = found.provider or found.format
    _screen.note(
        f"{whose}, {found.first} to {found.last} ({found.zone}): ours {_screen.about(found.ours)}, "
        f"theirs {_screen.about(found.theirs)}, difference {_signed(found)}"
    )
    _screen.note(f"{agreeing} of {len(found.lines)} lines agree within the tolerance")
    for note in found.notes:
        _screen.note(note)


def _line_cells(line: Line) -> list[str]:
    day = f"{line.first}" if line.first == line.last else f"{line.first} to {line.last}"
    money = [_screen.about(line.ours), _screen.about(line.theirs), _signed(line)]
    return [day, line.model or "all models", *money, "; ".join(line.reasons) or "-"]


def _signed(found: Line | Reconciliation) -> str:
    difference = found.difference
    return f"-${-difference:.6f}" if difference < 0 else f"${difference:.6f}"
