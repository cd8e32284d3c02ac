"""Questions to the ledger over several dimensions at once: the SQL behind `LedgerQueries.spend` and its like.

All questions read attempts by the index of their times and look up the rest by key, so that what a day cost takes as
long as the day's attempts, however long the ledger is. What differs between databases (times, tags, sums, percentiles)
stands in `aistrale.store.words`.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from aistrale.errors import ConfigurationError
from aistrale.store.protocol import Exchange, SpendRow
from aistrale.store.records import COLUMNS, TOKEN_BUCKETS, AttemptRow, IntentRow
from aistrale.store.summary import EXACT, DistinctCount, Spread, added, seconds_in, seconds_of
from aistrale.store.tables import json_of, load
from aistrale.store.words import SQLITE, TIMES

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from aistrale.store.words import Ask, Words

# Of each time an example, and the format of those that have one.
_WRITTEN: Final = {
    "month": ("2026-11", "%Y-%m"),
    "day": ("2026-11-26", "%Y-%m-%d"),
    "hour": ("2026-11-26T15:00Z", "%Y-%m-%dT%H:00Z"),
    "minute": ("2026-11-26T15:04Z", "%Y-%m-%dT%H:%MZ"),
}
# Both are also true where nobody told, so `THEN NULL ELSE`. A known cost with a reason is one that is not exact.
_SUCCEEDED: Final = "a.outcome = 'success'"
_ESTIMATED: Final = "a.usage_source = 'estimated' OR a.cost_reason IS NOT NULL"
_OF_ATTEMPTS: Final = {
    # The same model name is served by several providers.
    "model": "a.provider || '/' || a.model",
    "provider": "a.provider",
    "target": "a.target",
    "region": "a.region",
    "outcome": "a.outcome",
}
_OF_CALLS: Final = {
    **{
        name: f'c."{name}"'
        for name in ("route", "model_asked", "kind", "user", "workspace", "project", "session", "name")
    },
    "call_outcome": "c.outcome",
}
# Of calls without their attempts: who served it in the end stands in the call as well.
_ALONE: Final = {"model": "c.provider || '/' || c.model", "provider": "c.provider", "outcome": "c.outcome"}
SPEND_DIMENSIONS: Final = (*TIMES, *_OF_ATTEMPTS, *_OF_CALLS, "tag:NAME")
"""What `LedgerQueries.spend` groups by and filters with."""

_OF_A_CALL: Final = re.compile(r"\bc\.")
_JOINED: Final = "attempts a LEFT JOIN calls c ON c.call_id = a.call_id"
_OF_EXCHANGES: Final = (
    "route", "user", "workspace", "project", "session", "name", "tags", "kind", "model_asked", "outcome", "degraded",
    "optimized",
)  # fmt: skip
_SCORE: Final = "(SELECT avg(s.score) FROM scores s WHERE s.call_id = a.call_id)"
_OUTPUT: Final = ("a.output", "a.reasoning", "a.audio_output", "a.image_output")
_OR_NONE: Final = "coalesce({}, 0)".format
_ATTEMPT_ROW: Final = ", ".join(f'a."{column}"' for column in COLUMNS[AttemptRow])
_EXCHANGE: Final = ", ".join(
    [
        _ATTEMPT_ROW,
        *(f'i."{column}"' for column in COLUMNS[IntentRow]),
        *(f'c."{column}"' for column in _OF_EXCHANGES),
        _SCORE,
    ]
)
_SAMPLE: Final = ", ".join(
    [
        _OF_ATTEMPTS["model"],
        "a.outcome",
        "a.cost",
        f"CASE WHEN coalesce({', '.join(_OUTPUT)}) IS NOT NULL THEN {' + '.join(map(_OR_NONE, _OUTPUT))} END",
        "a.latency",
        "a.first_token",
        _SCORE,
    ]
)
_WITH_INTENTS: Final = f"{_JOINED} LEFT JOIN intents i ON i.call_id = a.call_id AND i.attempt = a.attempt"
CACHED: Final = "(a.cache_read > 0 OR a.cache_write > 0)"
"""Attempts that used a cache of their provider."""

Form: TypeAlias = Literal["exchange", "attempt", "sample"]
_FORMS: Final[dict[Form, str]] = {"exchange": _EXCHANGE, "attempt": _ATTEMPT_ROW, "sample": _SAMPLE}
# Where the columns of these end, in the answer to `exchange_statement`.
_PLACE: Final = 3
_ATTEMPT: Final = _PLACE + len(COLUMNS[AttemptRow])
_INTENT: Final = _ATTEMPT + len(COLUMNS[IntentRow])
_IN_ORDER: Final = "a.at, a.call_id, a.attempt"


def add_functions(connection: sqlite3.Connection) -> None:
    """Make the aggregate functions of the queries known to a connection."""
    # The stubs know aggregates of integers only.
    connection.create_aggregate("distinct_count", 1, DistinctCount)  # type: ignore[arg-type]
    connection.create_aggregate("spread", 1, Spread)  # type: ignore[arg-type]


class Place(NamedTuple):
    """Where an attempt stands in the order of `exchanges`."""

    at: float
    call_id: str
    attempt: int


@dataclass(slots=True)
class Chosen:
    """Which attempts are asked for: conditions in SQL, and the values that are bound to them.

    Args:
        conditions: To be joined by AND; every piece of their text is a constant of this package.
        values: By the names of the parameters.
        words: Of the database that is asked.
    """

    conditions: list[str]
    values: dict[str, object] = field(default_factory=dict)
    words: Words = SQLITE

    @property
    def text(self) -> str:
        """The condition."""
        return " AND ".join(self.conditions)

    def key(self, by: str, *, at: str = "a.at", alone: bool = False) -> str:
        """The SQL of a dimension; raises ConfigurationError for one that there is not."""
        if by in TIMES:
            return self.words.times[by].format(at=at)
        if by in _OF_CALLS:
            return _OF_CALLS[by]
        facts = _ALONE if alone else _OF_ATTEMPTS
        if by in facts:
            return facts[by]
        if by.startswith("tag:") and by != "tag:":
            return self._tag(by.removeprefix("tag:"))
        if by in _OF_ATTEMPTS:
            raise ConfigurationError(f"a call without attempts has no {by}.", field="where")
        raise ConfigurationError(
            f"the ledger knows no dimension {by!r}; accepted are {', '.join(SPEND_DIMENSIONS)}.", field="by"
        )

    def _tag(self, tag: str) -> str:
        name = f"tag{len(self.values)}"
        text, self.values[name] = self.words.tag_of(tag, name)
        return text


def choose(
    since: datetime | None,
    until: datetime | None,
    where: Mapping[str, str | None] | None,
    *,
    alone: bool = False,
    words: Words = SQLITE,
) -> Chosen:
    """The attempts of a question, or with `alone` the calls.

    Args:
        since: Aware; None for no bound.
        until: Aware; None for no bound.
        where: Values of dimensions; None for those without one.
        alone: Whether calls are asked for, whatever attempts they had.
        words: Of the database that is asked.

    Raises:
        ConfigurationError: A dimension is unknown, a time is naive or no time.
    """
    at = "c.at" if alone else "a.at"
    low, high = seconds_of("since", since, float("-inf")), seconds_of("until", until, float("inf"))
    chosen = Chosen([f"{at} >= :since", f"{at} < :until"], words=words)
    for by, value in (where or {}).items():
        if by in TIMES and value is not None:
            # As bounds, for which there is an index.
            begin, end = _span(by, value)
            low, high = max(low, begin), min(high, end)
            continue
        key = chosen.key(by, at=at, alone=alone)
        if value is None:
            chosen.conditions.append(f"{key} IS NULL")
            continue
        name = f"where{len(chosen.values)}"
        chosen.values[name] = value
        chosen.conditions.append(f"{key} = :{name}")
    chosen.values |= {"since": low, "until": high}
    return chosen


def _span(by: str, value: str) -> tuple[float, float]:
    """First second of a named hour, day or month, and the first after it."""
    try:
        if by == "month":
            begin = datetime.strptime(value, "%Y-%m").replace(tzinfo=UTC)
            length = timedelta(days=calendar.monthrange(begin.year, begin.month)[1])
        elif by == "day":
            begin = datetime.fromordinal(date.fromisoformat(value).toordinal()).replace(tzinfo=UTC)
            length = timedelta(days=1)
        else:
            begin = datetime.strptime(value, _WRITTEN[by][1]).replace(tzinfo=UTC)
            length = timedelta(hours=1) if by == "hour" else timedelta(minutes=1)
        end = begin + length
    except (TypeError, ValueError, OverflowError):
        raise ConfigurationError(f"{value!r} is no {by}; it is written {_WRITTEN[by][0]}.", field="where") from None
    return begin.timestamp(), end.timestamp()


def check_dimensions(by: Sequence[str]) -> None:
    """Raises ConfigurationError for a dimension that there is not, that is named twice, or for one word alone."""
    if isinstance(by, str):
        raise ConfigurationError(f"by must be a list of dimensions: [{by!r}].", field="by")
    known = Chosen([])
    for name in by:
        known.key(name)
    if len(set(by)) != len(by):
        raise ConfigurationError("a dimension is named twice.", field="by")


def spend_statement(by: Sequence[str], chosen: Chosen) -> str:
    """The text of the question behind `spend`."""
    keys = [chosen.key(name) for name in by]
    grouped = f" GROUP BY {', '.join(str(place) for place in range(1, len(keys) + 1))}" if keys else ""
    source = _source(*keys, chosen.text)
    columns = ", ".join([*keys, _totals(chosen.words)])
    return f"SELECT {columns} FROM {source} WHERE {chosen.text}{grouped}"  # noqa: S608 - constants


@lru_cache
def _totals(words: Words) -> str:
    amounts = ("a.cost", f"CASE WHEN {_SUCCEEDED} THEN NULL ELSE a.cost END", f"CASE WHEN {_ESTIMATED} THEN a.cost END")
    return ", ".join(
        [
            # Ids of calls begin with their time, so they come in order, nearly.
            "count(DISTINCT a.call_id)",
            "count(*)",
            f"count(CASE WHEN {_SUCCEEDED} THEN NULL ELSE 1 END)",
            "count(CASE WHEN a.cost IS NULL THEN 1 END)",
            *(words.amounts.format(amount=amount) for amount in amounts),
            words.spread.format(seconds=f"CASE WHEN {_SUCCEEDED} THEN a.latency END"),
            *(f"sum(a.{bucket})" for bucket in TOKEN_BUCKETS),
        ]
    )


def _source(*texts: str) -> str:
    """The tables that some SQL is about; SQLite would look calls up even where nothing of them is asked for."""
    return _JOINED if _OF_A_CALL.search(" ".join(texts)) else "attempts a"


def spend(ask: Ask, by: Sequence[str], chosen: Chosen) -> list[SpendRow]:
    """See `LedgerQueries.spend`."""
    found = ask(spend_statement(by, chosen), chosen.values)
    with localcontext(EXACT):
        rows = [_spend_row(columns, len(by)) for columns in found if columns[len(by) + 1]]
    times = [place for place, name in enumerate(by) if name in TIMES]

    def order(row: SpendRow) -> tuple[object, ...]:
        moments = tuple(row.key[place] or "" for place in times)
        return moments, -row.cost, -row.attempts, tuple((part is not None, part or "") for part in row.key)

    return sorted(rows, key=order)


def _spend_row(columns: Sequence[Any], keys: int) -> SpendRow:
    calls, attempts, failed, unpriced, cost, failed_cost, estimated_cost, spread, *tokens = columns[keys:]
    row = SpendRow(
        key=tuple(None if part is None else str(part) for part in columns[:keys]),
        calls=calls,
        attempts=attempts,
        failed=failed,
        cost=added(cost),
        failed_cost=added(failed_cost),
        estimated_cost=added(estimated_cost),
        unpriced=unpriced,
        tokens={bucket: int(count) for bucket, count in zip(TOKEN_BUCKETS, tokens, strict=True) if count is not None},
    )
    if spread is not None:
        _, row.latency_p50, row.latency_p95 = seconds_in(spread)
    return row


def exchange_statement(
    chosen: Chosen, after: Place | None, limit: int, *, including: bool = False, form: Form = "exchange"
) -> str:
    """The text of the question for the next attempts, a Place and what its form has; binds `after` into `chosen`."""
    conditions = chosen.text
    if after is not None:
        # The lower bound moves along, so that no batch looks at those before it again.
        chosen.values |= {"since": after.at, "after_call": after.call_id, "after_attempt": after.attempt}
        sign = ">=" if including else ">"
        conditions += f" AND ({_IN_ORDER}) {sign} (:since, :after_call, :after_attempt)"
    source = _WITH_INTENTS if form == "exchange" else _source(chosen.text)
    return f"SELECT {_IN_ORDER}, {_FORMS[form]} FROM {source} WHERE {conditions} ORDER BY {_IN_ORDER} LIMIT {limit:d}"  # noqa: S608 - constants


def newest(ask: Ask, chosen: Chosen, count: int) -> Place | None:
    """The first of the last `count` attempts; None if there are not so many."""
    descending = ", ".join(f"{column} DESC" for column in _IN_ORDER.split(", "))
    query = f"SELECT {_IN_ORDER} FROM {_JOINED} WHERE {chosen.text} ORDER BY {descending} LIMIT 1 OFFSET {count - 1:d}"  # noqa: S608 - constants
    found = ask(query, chosen.values)
    return Place(*found[0]) if found else None


def attempt_of(columns: Sequence[Any]) -> AttemptRow:
    """The columns of `exchange_statement` as an attempt alone."""
    return load(AttemptRow, columns[_PLACE:])


def exchange_of(columns: Sequence[Any]) -> Exchange:
    """The columns of `exchange_statement` as an exchange."""
    intent = columns[_ATTEMPT:_INTENT]
    route, user, workspace, project, session, name, tags, kind, asked, outcome, degraded, optimized, score = columns[
        _INTENT:
    ]
    return Exchange(
        attempt=load(AttemptRow, columns[_PLACE:_ATTEMPT]),
        intent=None if intent[0] is None else load(IntentRow, intent),
        route=route,
        user=user,
        workspace=workspace,
        project=project,
        session=session,
        name=name,
        tags=_tags(tags).copy(),
        kind=kind,
        model_asked=asked,
        call_outcome=outcome,
        degraded=degraded,
        optimized=json_of(optimized, list),
        score=score,
    )


@lru_cache(maxsize=1024)
def _tags(text: str | None) -> dict[str, Any]:
    """An application has few different ones."""
    return json_of(text, dict)


def avoided(ask: Ask, chosen: Chosen) -> Decimal:
    """See `LedgerQueries.avoided`."""
    amounts = chosen.words.amounts.format(amount="c.avoided")
    query = f"SELECT {amounts} FROM calls c WHERE {chosen.text} AND c.avoided IS NOT NULL"  # noqa: S608 - constants
    found = ask(query, chosen.values)
    with localcontext(EXACT):
        return added(found[0][0]) if found else Decimal(0)
