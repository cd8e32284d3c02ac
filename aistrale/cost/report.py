"""What calls cost, from the ledger: by any dimensions, with what caches saved and what failures wasted.

What has no known price is left out of every sum and counted beside it; it is never taken for zero.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field, replace
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Final

from aistrale.cost.saved import CacheSavings, amount, cache_savings
from aistrale.store.protocol import SpendRow
from aistrale.store.summary import EXACT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from aistrale.cost.book.price_book import PriceBook
    from aistrale.store.protocol import LedgerQueries
    from aistrale.types import JSONObject

INPUT: Final = ("input", "cache_read", "cache_write", "audio_input", "image_input", "tool_input")
"""Buckets of tokens that go to the provider; the others come back."""

_LOST: Final = frozenset({"cancelled", "abandoned"})
# A cell that begins so may be run as a formula by a program for tables (OWASP, "CSV Injection").
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_FIGURES: Final = (
    "calls", "attempts", "failed", "tokens_in", "tokens_out", "usd", "failed_usd", "estimated_usd", "unpriced", "share",
    "latency_p50", "latency_p95",
)  # fmt: skip


@dataclass(slots=True, kw_only=True)
class CostRow:
    """What the attempts with the same key cost.

    Args:
        key: A value for each dimension; None where it was not set.
        calls: Calls with attempts here; a call with several may stand in several rows.
        attempts: Requests that were sent.
        failed: How many of them did not succeed.
        tokens: By bucket, as named in `aistrale.types.Usage`; a bucket that no provider told of is absent.
        usd: US dollars of the attempts whose price is known; None where that is none of them.
        failed_usd: US dollars of those that did not succeed.
        estimated_usd: US dollars of those whose usage or price is not exact.
        unpriced: Attempts of unknown price, which `usd` leaves out.
        share: Of the total that is known, 0 to 1; None where either is unknown or the total is zero.
        latency_p50: Seconds, of attempts that succeeded.
        latency_p95: Seconds, of attempts that succeeded.
    """

    key: tuple[str | None, ...] = ()
    calls: int = 0
    attempts: int = 0
    failed: int = 0
    tokens: dict[str, int] = field(default_factory=dict)
    usd: Decimal | None = None
    failed_usd: Decimal = Decimal(0)
    estimated_usd: Decimal = Decimal(0)
    unpriced: int = 0
    share: float | None = None
    latency_p50: float | None = None
    latency_p95: float | None = None

    @property
    def tokens_in(self) -> int | None:
        """All input tokens; None where no provider told."""
        return _sum(count for bucket, count in self.tokens.items() if bucket in INPUT)

    @property
    def tokens_out(self) -> int | None:
        """All output tokens; None where no provider told."""
        return _sum(count for bucket, count in self.tokens.items() if bucket not in INPUT)


@dataclass(slots=True, kw_only=True)
class Waste:
    """What was paid for nothing. The first three overlap; `usd` counts every attempt once.

    Args:
        attempts_usd: US dollars of attempts that did not succeed.
        calls_usd: US dollars of all attempts of calls that did not succeed in the end.
        hedges_usd: US dollars of attempts that lost against a hedge, or as one: they were broken off, and their call
            succeeded all the same.
        usd: US dollars of attempts that did not succeed, or whose call did not.
        unpriced: How many of those have no known price, and are left out.
    """

    attempts_usd: Decimal = Decimal(0)
    calls_usd: Decimal = Decimal(0)
    hedges_usd: Decimal = Decimal(0)
    usd: Decimal = Decimal(0)
    unpriced: int = 0


@dataclass(slots=True, kw_only=True)
class CostReport:
    """What calls cost.

    Args:
        by: The dimensions.
        rows: By time where a time is among the dimensions, then the most expensive first.
        total: Of all rows.
        waste: What was paid for nothing.
        since: Only attempts sent at or after it.
        until: Only attempts sent before it.
        where: Values that dimensions had to have.
        cache: What the providers' prompt caches saved; None where it was not asked for.
        avoided: US dollars that remembered answers had cost when they were asked for; None where the question cannot be
            put to calls without attempts (by target or region).
    """

    by: tuple[str, ...]
    rows: list[CostRow]
    total: CostRow
    waste: Waste
    since: datetime | None = None
    until: datetime | None = None
    where: dict[str, str | None] = field(default_factory=dict)
    cache: CacheSavings | None = None
    avoided: Decimal | None = None

    @property
    def estimated_share(self) -> float | None:
        """How much of the known total is not exact, 0 to 1."""
        return _share(self.total.estimated_usd, self.total.usd)

    @property
    def unknown_share(self) -> float | None:
        """How many of the attempts have no known price, 0 to 1; None without attempts."""
        return self.total.unpriced / self.total.attempts if self.total.attempts else None

    def to_csv(self) -> str:
        """The rows as CSV (RFC 4180), money as exact decimal numbers, without the total.

        What is not known, and a dimension without a value, is an empty cell. A value that a program for tables might
        run as a formula has an apostrophe before it.
        """
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerow([*self.by, *_FIGURES])
        for row in self.rows:
            figures = as_document(row)
            writer.writerow([*map(plain_cell, row.key), *(_cell(figures[name]) for name in _FIGURES)])
        return out.getvalue()

    def to_json(self) -> str:
        """Everything as one JSON document; money as text, shares and seconds as numbers, times in ISO 8601."""
        return json.dumps(self.as_document(), indent=2, ensure_ascii=False)

    def as_document(self) -> JSONObject:
        """What `to_json` writes."""
        cache = self.cache
        return {
            "by": list(self.by),
            "since": None if self.since is None else self.since.isoformat(),
            "until": None if self.until is None else self.until.isoformat(),
            "where": dict(self.where),
            "rows": [{"key": list(row.key), **as_document(row)} for row in self.rows],
            "total": as_document(self.total),
            "estimated_share": self.estimated_share,
            "unknown_share": self.unknown_share,
            "waste": {
                "attempts_usd": amount(self.waste.attempts_usd),
                "calls_usd": amount(self.waste.calls_usd),
                "hedges_usd": amount(self.waste.hedges_usd),
                "usd": amount(self.waste.usd),
                "unpriced": self.waste.unpriced,
            },
            "cache": None if cache is None else cache.as_document(),
            "avoided_usd": None if self.avoided is None else amount(self.avoided),
        }

    def __str__(self) -> str:
        if not self.rows:
            return "nothing is recorded for that time"
        header = [*self.by, "calls", "attempts", "in", "out", "usd", "share"]
        lines = [header, *(_line(row) for row in self.rows)]
        if self.by:
            total = _line(replace(self.total, key=("total", *[""] * (len(self.by) - 1))))
            lines.append(total)
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        keys = len(self.by)
        table = [
            "  ".join(
                cell.ljust(width) if place < keys else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        return "\n".join([*table, *self.notes()])

    def notes(self) -> list[str]:
        """What the figures leave out, what was wasted, and what was saved, a sentence each."""
        total, waste = self.total, self.waste
        notes = []
        if total.unpriced:
            of_all = f"{total.unpriced} of {total.attempts} attempts ({self.unknown_share:.1%})"
            notes.append(f"{of_all} have no known price: sums leave them out")
        if total.estimated_usd:
            notes.append(f"${amount(total.estimated_usd)} of it is estimated ({self.estimated_share or 0:.1%})")
        if waste.usd or waste.unpriced:
            more = f", and {waste.unpriced} attempts of unknown price" if waste.unpriced else ""
            notes.append(
                f"wasted: ${amount(waste.usd)} (failed attempts ${amount(waste.attempts_usd)}, failed calls "
                f"${amount(waste.calls_usd)}, lost hedges ${amount(waste.hedges_usd)}){more}"
            )
        if self.cache is not None:
            notes += self.cache.notes()
        if self.avoided:
            notes.append(f"remembered answers saved ${amount(self.avoided)}")
        return notes


def costs(
    ledger: LedgerQueries,
    *,
    by: str | Sequence[str] = "model",
    since: datetime | None = None,
    until: datetime | None = None,
    where: Mapping[str, str | None] | None = None,
    savings: bool = True,
    book: PriceBook | None = None,
) -> CostReport:
    """What calls cost.

    Args:
        ledger: Where to look.
        by: One dimension or several; none gives the total alone. See `LedgerQueries.spend`.
        since: Aware; only attempts sent at or after it.
        until: Aware; only attempts sent before it.
        where: Values that dimensions must have; None for those without a value.
        savings: Whether to work out what prompt caches saved, for which every attempt that used one is priced again.
        book: The prices for that; the current ones by default.

    Raises:
        ConfigurationError: A dimension is unknown, or a time is naive.
        LedgerUnavailable: The ledger cannot be read.
    """
    dimensions = (by,) if isinstance(by, str) else tuple(by)
    # The caller may have set a small precision for its own sums.
    with localcontext(EXACT):
        return _costs(ledger, dimensions, (since, until), where, savings=savings, book=book)


def _costs(
    ledger: LedgerQueries,
    dimensions: tuple[str, ...],
    times: tuple[datetime | None, datetime | None],
    where: Mapping[str, str | None] | None,
    *,
    savings: bool,
    book: PriceBook | None,
) -> CostReport:
    since, until = times
    found = ledger.spend(dimensions, since, until, where=where)
    # Summed, so that they add up although calls go on; but a call may stand in several rows.
    total = _added(found)
    if dimensions:
        for whole in ledger.spend((), since, until, where=where):
            total.calls, total.latency_p50, total.latency_p95 = whole.calls, whole.latency_p50, whole.latency_p95
    summed = _row(total, None)
    return CostReport(
        by=dimensions,
        rows=[_row(row, summed.usd) for row in found],
        total=replace(summed, share=None),
        waste=_waste(ledger.spend(("outcome", "call_outcome"), since, until, where=where)),
        since=since,
        until=until,
        where=dict(where or {}),
        cache=cache_savings(ledger.cached(since, until, where=where), book) if savings else None,
        avoided=_avoided(ledger, since, until, where),
    )


def _avoided(
    ledger: LedgerQueries, since: datetime | None, until: datetime | None, where: Mapping[str, str | None] | None
) -> Decimal | None:
    if where and not {"target", "region"}.isdisjoint(where):
        return None
    return ledger.avoided(since, until, where=where)


def _waste(rows: Iterable[SpendRow]) -> Waste:
    waste = Waste()
    for row in rows:
        attempt, call = row.key
        failed, call_failed = attempt != "success", call not in {None, "success"}
        if failed:
            waste.attempts_usd += row.cost
            if attempt in _LOST and call == "success":
                waste.hedges_usd += row.cost
        if call_failed:
            waste.calls_usd += row.cost
        if failed or call_failed:
            waste.usd += row.cost
            waste.unpriced += row.unpriced
    return waste


def _added(rows: Sequence[SpendRow]) -> SpendRow:
    if len(rows) == 1 and not rows[0].key:
        return rows[0]
    total = SpendRow(calls=sum(row.calls for row in rows))
    for row in rows:
        total.attempts += row.attempts
        total.failed += row.failed
        total.cost += row.cost
        total.failed_cost += row.failed_cost
        total.estimated_cost += row.estimated_cost
        total.unpriced += row.unpriced
        for bucket, count in row.tokens.items():
            total.tokens[bucket] = total.tokens.get(bucket, 0) + count
    return total


def _row(row: SpendRow, total: Decimal | None) -> CostRow:
    known = row.unpriced < row.attempts or not row.attempts
    usd = row.cost if known else None
    return CostRow(
        key=row.key,
        calls=row.calls,
        attempts=row.attempts,
        failed=row.failed,
        tokens=dict(row.tokens),
        usd=usd,
        failed_usd=row.failed_cost,
        estimated_usd=row.estimated_cost,
        unpriced=row.unpriced,
        share=_share(usd, total),
        latency_p50=row.latency_p50,
        latency_p95=row.latency_p95,
    )


def _share(part: Decimal | None, whole: Decimal | None) -> float | None:
    return float(part / whole) if part is not None and whole else None


def _sum(counts: Iterable[int]) -> int | None:
    known = list(counts)
    return sum(known) if known else None


def as_document(row: CostRow) -> JSONObject:
    """A row as JSON, without its key."""
    return {
        "calls": row.calls,
        "attempts": row.attempts,
        "failed": row.failed,
        "tokens": dict(row.tokens),
        "tokens_in": row.tokens_in,
        "tokens_out": row.tokens_out,
        "usd": None if row.usd is None else amount(row.usd),
        "failed_usd": amount(row.failed_usd),
        "estimated_usd": amount(row.estimated_usd),
        "unpriced": row.unpriced,
        "share": row.share,
        "latency_p50": row.latency_p50,
        "latency_p95": row.latency_p95,
    }


def plain_cell(text: str | None) -> str:
    """A text as a cell of CSV that no program for tables takes for a formula; empty for None."""
    if text is None:
        return ""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _cell(value: object) -> object:
    return "" if value is None else value


def _line(row: CostRow) -> list[str]:
    usd = "unknown" if row.usd is None else f"${row.usd:.6f}"
    return [
        *("-" if part is None else " ".join(part.split()) for part in row.key),
        str(row.calls),
        str(row.attempts),
        "-" if row.tokens_in is None else f"{row.tokens_in:,}",
        "-" if row.tokens_out is None else f"{row.tokens_out:,}",
        f"{usd} + unknown" if row.unpriced and row.usd is not None else usd,
        "" if row.share is None else f"{row.share:.1%}",
    ]
