"""Totals from the SQLite ledger: the queries behind `Ledger.summary`.

Money is added up as `Decimal` by an aggregate function of our own: SQLite would add floats.
"""

from __future__ import annotations

import json
from decimal import Context, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, cast

from aistrale.errors import ConfigurationError
from aistrale.store.protocol import SummaryRow
from aistrale.store.records import TOKEN_BUCKETS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from datetime import datetime

_OF_ATTEMPTS: Final = {
    # The same model name is served by several providers.
    "model": "a.provider || '/' || a.model",
    "provider": "a.provider",
    "target": "a.target",
    "region": "a.region",
}
_OF_TIMES: Final = {"hour": "%Y-%m-%dT%H:00Z", "day": "%Y-%m-%d", "month": "%Y-%m"}
_OF_CALLS: Final = ("route", "model_asked", "kind", "user", "workspace", "project", "session", "name")
DIMENSIONS: Final = (*_OF_ATTEMPTS, *_OF_TIMES, *_OF_CALLS, "tag", "tag:NAME")
# Ample for sums of dollar amounts: more digits than any ledger has, so that no addition rounds.
EXACT: Final = Context(prec=100)
_MOST_PLACES: Final = 60
_MOST_DIGITS: Final = 24

_TOTALS: Final = ", ".join(
    [
        "count(*)",
        "coalesce(sum(a.outcome <> 'success'), 0)",
        "decimal_sum(a.cost)",
        "distinct_count(CASE WHEN a.cost IS NULL THEN a.call_id END)",
        *(f"sum(a.{bucket})" for bucket in TOKEN_BUCKETS),
    ]
)
_FAILED: Final = "distinct_count(CASE WHEN c.outcome <> 'success' THEN a.call_id END)"
_JOINED: Final = "attempts a LEFT JOIN calls c USING (call_id)"


class DecimalSum:
    """Adds up decimal numbers that are written as text, exactly."""

    def __init__(self) -> None:
        self._sum = Decimal(0)

    def step(self, text: str | None) -> None:
        """Add a number; None is not known and not added."""
        if text is not None:
            self._sum = EXACT.add(self._sum, Decimal(text))

    def finalize(self) -> str:
        """The sum."""
        return str(self._sum)


class DistinctCount:
    """How many different texts there are, in any order; count(DISTINCT) is faster only where they come in order."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def step(self, text: str | None) -> None:
        """Take a text; None is none."""
        if text is not None:
            self._seen.add(text)

    def finalize(self) -> int:
        """The count."""
        return len(self._seen)


class Spread:
    """Mean, median and 95th percentile of seconds, as a JSON array."""

    def __init__(self) -> None:
        self._values: list[float] = []

    def step(self, value: float | None) -> None:
        """Take a value; None is none."""
        if value is not None:
            self._values.append(value)

    def finalize(self) -> str | None:
        """Mean, median, 95th percentile; None without values."""
        values = sorted(self._values)
        if not values:
            return None
        return json.dumps([sum(values) / len(values), percentile(values, 0.5), percentile(values, 0.95)])


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which a share of some values lies, interpolated linearly between two of them.

    Args:
        ordered: The values, the smallest first; at least one.
        share: 0 to 1.
    """
    place = (len(ordered) - 1) * share
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def exact_amount(text: object) -> str | None:
    """A cost that can be added up exactly, or None if the text is no such number."""
    try:
        amount = Decimal(cast("str", text))
    except (InvalidOperation, TypeError, ValueError):
        return None
    places = amount.as_tuple().exponent
    # No price has more places, no bill more digits; what has would be rounded in sums, or end them.
    fits = isinstance(places, int) and places >= -_MOST_PLACES and amount.adjusted() <= _MOST_DIGITS
    return str(text) if fits else None


def summarize(
    connection: sqlite3.Connection, by: str, since: datetime | None, until: datetime | None
) -> list[SummaryRow]:
    """See `LedgerQueries.summary`; the connection has the functions of `add_functions`."""
    bounds: dict[str, object] = {
        "since": seconds_of("since", since, float("-inf")),
        "until": seconds_of("until", until, float("inf")),
        "tag": by.removeprefix("tag:"),
    }
    if by in _OF_ATTEMPTS:
        rows = _by_attempts(connection, _OF_ATTEMPTS[by], bounds)
    else:
        rows = _by_calls(connection, by, bounds)
    if by in _OF_TIMES:
        return sorted(rows.values(), key=lambda row: row.key or "")
    return sorted(rows.values(), key=lambda row: (-row.cost, -row.calls, row.key or ""))


def _by_attempts(connection: sqlite3.Connection, key: str, bounds: dict[str, object]) -> dict[str | None, SummaryRow]:
    rows = {}
    columns = f"distinct_count(a.call_id), {_FAILED}, spread(a.latency), {_TOTALS}"
    for value, calls, failed, spread, *totals in _select(connection, key, columns, _JOINED, at="a.at", bounds=bounds):
        rows[value] = SummaryRow(key=value, calls=calls, failed_calls=failed)
        _set_latency(rows[value], spread)
        _set_totals(rows[value], totals)
    return rows


def _by_calls(connection: sqlite3.Connection, by: str, bounds: dict[str, object]) -> dict[str | None, SummaryRow]:
    rows = {}
    key, more = _call_key(by)
    columns = "count(*), sum(c.outcome <> 'success'), spread(c.latency)"
    in_calls = key.format(table="c")
    for value, calls, failed, spread in _select(
        connection, in_calls, columns, "calls c" + more, at="c.at", bounds=bounds
    ):
        rows[value] = SummaryRow(key=value, calls=calls, failed_calls=failed)
        _set_latency(rows[value], spread)
    in_attempts = key.format(table="a")
    for value, *totals in _select(connection, in_attempts, _TOTALS, _JOINED + more, at="a.at", bounds=bounds):
        _set_totals(rows.setdefault(value, SummaryRow(key=value)), totals)
    return rows


def _select(
    connection: sqlite3.Connection, key: str, columns: str, source: str, *, at: str, bounds: dict[str, object]
) -> list[Any]:
    # Every piece of the text is a constant of this module; the values are bound.
    where = f"{at} >= :since AND {at} < :until"
    query = f"SELECT {key}, {columns} FROM {source} WHERE {where} GROUP BY 1"  # noqa: S608
    return connection.execute(query, bounds).fetchall()


def _call_key(by: str) -> tuple[str, str]:
    """Of a dimension of calls: the key, and what else to join. Times are those of the table that is read."""
    if by in _OF_TIMES:
        # Whole seconds: strftime would round half a millisecond before midnight into the next day.
        return f"strftime('{_OF_TIMES[by]}', CAST({{table}}.at AS INTEGER), 'unixepoch')", ""
    if by in _OF_CALLS:
        return f'c."{by}"', ""
    if by == "tag":
        return "tag.key || '=' || tag.value", ", json_each(c.tags) AS tag"
    if by.startswith("tag:") and by != "tag:":
        return "(SELECT value FROM json_each(c.tags) WHERE key = :tag)", ""
    raise ConfigurationError(
        f"the ledger cannot be summed up by {by!r}; accepted are {', '.join(DIMENSIONS)}.", field="by"
    )


def seconds_of(name: str, moment: datetime | None, default: float) -> float:
    """A bound as epoch seconds; raises ConfigurationError, field `name`, for a time without a zone."""
    if moment is None:
        return default
    if moment.tzinfo is None:
        raise ConfigurationError(f"{name} must be an aware datetime, with a time zone.", field=name)
    return moment.timestamp()


def _set_latency(row: SummaryRow, spread: object) -> None:
    if isinstance(spread, str):
        row.latency_mean, row.latency_p50, row.latency_p95 = json.loads(spread)


def _set_totals(row: SummaryRow, totals: list[object]) -> None:
    attempts, errors, cost, unpriced, *tokens = totals
    row.attempts, row.errors, row.unpriced = cast("tuple[int, int, int]", (attempts, errors, unpriced))
    row.cost = Decimal(str(cost))
    row.tokens = {
        bucket: cast("int", count) for bucket, count in zip(TOKEN_BUCKETS, tokens, strict=True) if count is not None
    }
