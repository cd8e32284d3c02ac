"""Totals from the ledger: the queries behind `Ledger.summary`.

Money is added up exactly, as `Decimal` or by a database that has such numbers: SQLite would add floats.
"""

from __future__ import annotations

import json
import re
from decimal import Context, Decimal, InvalidOperation, localcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from aistrale.errors import ConfigurationError
from aistrale.store.protocol import SummaryRow
from aistrale.store.records import TOKEN_BUCKETS
from aistrale.store.words import SQLITE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from aistrale.store.words import Ask, Words

_OF_ATTEMPTS: Final = {
    # The same model name is served by several providers.
    "model": "a.provider || '/' || a.model",
    "provider": "a.provider",
    "target": "a.target",
    "region": "a.region",
}
_OF_TIMES: Final = ("hour", "day", "month")
_OF_CALLS: Final = ("route", "model_asked", "kind", "user", "workspace", "project", "session", "name")
DIMENSIONS: Final = (*_OF_ATTEMPTS, *_OF_TIMES, *_OF_CALLS, "tag", "tag:NAME")
# Ample for sums of dollar amounts: more digits than any ledger has, so that no addition rounds.
EXACT: Final = Context(prec=100)
_MOST_PLACES: Final = 60
_MOST_DIGITS: Final = 24

_PLAIN_AMOUNT: Final = re.compile(r"[0-9]+(\.[0-9]+)?(E-[0-9]+)?", re.ASCII)
_FAILED: Final = "CASE WHEN c.outcome <> 'success' THEN a.call_id END"
_JOINED: Final = "attempts a LEFT JOIN calls c USING (call_id)"


def added(amounts: str | None) -> Decimal:
    """The sum of decimal numbers that are parted by blanks, in the precision of the context; `EXACT` rounds nothing."""
    return sum(map(Decimal, amounts.split()), Decimal(0)) if amounts else Decimal(0)


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


def seconds_in(spread: str) -> list[float]:
    """Mean, median and 95th percentile of a spread; a database may write 1.0 as 1."""
    return [float(value) for value in json.loads(spread)]


def exact_amount(text: object) -> str | None:
    """A cost that can be added up exactly, or None if the text is no such number."""
    try:
        amount = Decimal(str(text))
    except InvalidOperation:
        return None
    places = amount.as_tuple().exponent
    # No price has more places, no bill more digits; what has would be rounded in sums, or end them.
    fits = isinstance(places, int) and places >= -_MOST_PLACES and amount.adjusted() <= _MOST_DIGITS
    if not fits:
        return None
    # Python reads more than a database does: other digits, blanks, underscores.
    return text if isinstance(text, str) and _PLAIN_AMOUNT.fullmatch(text) else str(amount)


def summarize(
    ask: Ask, by: str, since: datetime | None, until: datetime | None, words: Words = SQLITE
) -> list[SummaryRow]:
    """See `LedgerQueries.summary`.

    Args:
        ask: Asks the database.
        by: As there.
        since: As there.
        until: As there.
        words: Of the database.
    """
    bounds: dict[str, object] = {
        "since": seconds_of("since", since, float("-inf")),
        "until": seconds_of("until", until, float("inf")),
    }
    if by in _OF_ATTEMPTS:
        rows = _by_attempts(ask, _OF_ATTEMPTS[by], bounds, words)
    else:
        rows = _by_calls(ask, by, bounds, words)
    if by in _OF_TIMES:
        return sorted(rows.values(), key=_named)
    return sorted(rows.values(), key=lambda row: (-row.cost, -row.calls, _named(row)))


def _named(row: SummaryRow) -> tuple[bool, str]:
    return row.key is not None, row.key or ""


def _by_attempts(ask: Ask, key: str, bounds: Mapping[str, object], words: Words) -> dict[str | None, SummaryRow]:
    rows = {}
    distinct, spread = words.distinct.format, words.spread.format(seconds="a.latency")
    columns = f"{distinct(text='a.call_id')}, {distinct(text=_FAILED)}, {spread}, {_totals(words)}"
    for value, calls, failed, latencies, *totals in ask(_select(key, columns, _JOINED, at="a.at"), bounds):
        rows[value] = SummaryRow(key=value, calls=calls, failed_calls=failed)
        _set_latency(rows[value], latencies)
        _set_totals(rows[value], totals)
    return rows


def _by_calls(ask: Ask, by: str, bounds: Mapping[str, object], words: Words) -> dict[str | None, SummaryRow]:
    rows = {}
    key, more, values = _call_key(by, words)
    bound = {**bounds, **values}
    failed_calls = "count(CASE WHEN c.outcome <> 'success' THEN 1 END)"
    columns = f"count(*), {failed_calls}, {words.spread.format(seconds='c.latency')}"
    in_calls = key.format(table="c")
    for value, calls, failed, latencies in ask(_select(in_calls, columns, "calls c" + more, at="c.at"), bound):
        rows[value] = SummaryRow(key=value, calls=calls, failed_calls=failed)
        _set_latency(rows[value], latencies)
    in_attempts = key.format(table="a")
    for value, *totals in ask(_select(in_attempts, _totals(words), _JOINED + more, at="a.at"), bound):
        _set_totals(rows.setdefault(value, SummaryRow(key=value)), totals)
    return rows


@lru_cache
def _totals(words: Words) -> str:
    return ", ".join(
        [
            "count(*)",
            "count(CASE WHEN a.outcome <> 'success' THEN 1 END)",
            words.amounts.format(amount="a.cost"),
            words.distinct.format(text="CASE WHEN a.cost IS NULL THEN a.call_id END"),
            *(f"sum(a.{bucket})" for bucket in TOKEN_BUCKETS),
        ]
    )


def _select(key: str, columns: str, source: str, *, at: str) -> str:
    # Every piece of the text is a constant of this package; the values are bound.
    return f"SELECT {key}, {columns} FROM {source} WHERE {at} >= :since AND {at} < :until GROUP BY 1"  # noqa: S608


def _call_key(by: str, words: Words) -> tuple[str, str, dict[str, object]]:
    """Of a dimension of calls: the key, what else to join, and values. Times are those of the table that is read."""
    if by in _OF_TIMES:
        return words.times[by].format(at="{table}.at"), "", {}
    if by in _OF_CALLS:
        return f'c."{by}"', "", {}
    if by == "tag":
        return "tag.key || '=' || tag.value", f", {words.tags}", {}
    if by.startswith("tag:") and by != "tag:":
        text, value = words.tag_of(by.removeprefix("tag:"), "tag")
        return text, "", {"tag": value}
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
        row.latency_mean, row.latency_p50, row.latency_p95 = seconds_in(spread)


def _set_totals(row: SummaryRow, totals: list[Any]) -> None:
    attempts, errors, cost, unpriced, *tokens = totals
    row.attempts, row.errors, row.unpriced = attempts, errors, unpriced
    with localcontext(EXACT):
        row.cost = added(cost)
    row.tokens = {bucket: int(count) for bucket, count in zip(TOKEN_BUCKETS, tokens, strict=True) if count is not None}
