"""Rows as columns of the SQLite tables, and back."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from aistrale.store.records import (
    COLUMNS,
    AttemptRow,
    CallRow,
    CountRow,
    IntentRow,
    Row,
    RowType,
    ScoreRow,
    encode_row,
    values,
)
from aistrale.store.summary import exact_amount

if TYPE_CHECKING:
    from collections.abc import Sequence

R = TypeVar("R", IntentRow, AttemptRow, CallRow, ScoreRow, CountRow)
T = TypeVar("T", dict[str, object], list[str])

TABLES: Final[dict[RowType, str]] = {
    IntentRow: "intents",
    AttemptRow: "attempts",
    CallRow: "calls",
    ScoreRow: "scores",
    CountRow: "counts",
}
_KEYS: Final[dict[RowType, str]] = {
    IntentRow: "call_id, attempt",
    AttemptRow: "call_id, attempt",
    CallRow: "call_id",
    ScoreRow: "call_id, name",
    CountRow: "call_id, attempt",
}
_JSON_COLUMNS: Final = frozenset({"tags", "lossy", "privacy", "optimized", "metered"})
_LISTS: Final = frozenset({"lossy", "optimized"})
_EMPTY: Final = frozenset({"{}", "[]"})
_JSON_PLACES: Final = {
    cls: tuple(place for place, name in enumerate(COLUMNS[cls]) if name in _JSON_COLUMNS) for cls in TABLES
}
_ARRAYS: Final = {cls: tuple(name for name in COLUMNS[cls] if name in _LISTS) for cls in TABLES}
_OBJECTS: Final = {cls: tuple(name for name in COLUMNS[cls] if name in _JSON_COLUMNS - _LISTS) for cls in TABLES}
# What SQLite says about a value, as opposed to the state of the file.
_BAD_VALUE: Final = (
    OverflowError,
    UnicodeError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    sqlite3.DataError,
    sqlite3.IntegrityError,
)


def names_of(cls: RowType) -> str:
    """The columns of a row, for SQL."""
    return ", ".join(f'"{column}"' for column in COLUMNS[cls])


def _upsert(cls: RowType) -> str:
    marks = ", ".join("?" * len(COLUMNS[cls]))
    changes = ", ".join(f'"{column}" = excluded."{column}"' for column in COLUMNS[cls])
    more, values_more, columns_more = "", "", ""
    if cls is IntentRow:
        columns_more, values_more = ", writer, settled", ", ?, ?"
        more = ", writer = excluded.writer, settled = max(settled, excluded.settled)"
    elif cls is ScoreRow:
        # Rows of several processes come in any order.
        more = " WHERE excluded.at >= at"
    return (
        f"INSERT INTO {TABLES[cls]} ({names_of(cls)}{columns_more}) "  # noqa: S608 - constants
        f"VALUES ({marks}{values_more}) ON CONFLICT ({_KEYS[cls]}) DO UPDATE SET {changes}{more}"
    )


_UPSERTS: Final = {cls: _upsert(cls) for cls in TABLES}
_SETTLE: Final = "UPDATE intents SET settled = 1 WHERE call_id = ? AND attempt = ?"
_SETTLE_LATE: Final = f"{_SETTLE} AND EXISTS (SELECT 1 FROM attempts WHERE call_id = ? AND attempt = ?)"  # noqa: S608 - a constant


class Batch(NamedTuple):
    """What the rows of one transaction have in common: who wrote them, and which attempts begin and end in it."""

    writer: str
    settled: set[str]


def key_of(row: IntentRow | AttemptRow) -> str:
    """Which attempt a row is of."""
    # As text, because a damaged row may hold what cannot be a member of a set.
    return f"{row.call_id} {row.attempt}"


def store(connection: sqlite3.Connection, cls: RowType, rows: Sequence[Row], batch: Batch) -> None:
    """Write rows of one kind, one by one where SQLite cannot hold one of them."""
    try:
        connection.executemany(_UPSERTS[cls], [_dump(row, batch) for row in rows])
    except _BAD_VALUE:
        for row in rows:
            _store_one(connection, cls, row, batch)
    keys = [
        (row.call_id, row.attempt)
        for row in rows
        if isinstance(row, (IntentRow, AttemptRow)) and key_of(row) not in batch.settled
    ]
    with contextlib.suppress(*_BAD_VALUE):
        # A row that had to wait in memory may come after the one that settles it.
        if cls is IntentRow:
            connection.executemany(_SETTLE_LATE, [key * 2 for key in keys])
        elif cls is AttemptRow:
            connection.executemany(_SETTLE, keys)


def _store_one(connection: sqlite3.Connection, cls: RowType, row: Row, batch: Batch) -> None:
    """One row that may be the bad one: cleaned if that is enough, else set aside."""
    try:
        connection.execute(_UPSERTS[cls], [_clean(value) for value in _dump(row, batch)])
    except _BAD_VALUE as error:
        connection.execute("INSERT INTO rejected VALUES (?, ?)", (encode_row(row).decode(), str(error)))


def _clean(value: object) -> object:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _dump(row: Row, batch: Batch) -> list[object]:
    columns = list(values(row))
    if isinstance(row, IntentRow):
        return [*columns, batch.writer, key_of(row) in batch.settled]
    for place in _JSON_PLACES[type(row)]:
        columns[place] = _json_of(columns[place])
    if isinstance(row, (AttemptRow, CallRow)) and row.cost is not None and exact_amount(row.cost) is None:
        place = COLUMNS[type(row)].index("cost")
        columns[place : place + 2] = [None, "the cost is not a number"]
    if isinstance(row, CallRow) and row.avoided is not None and exact_amount(row.avoided) is None:
        columns[COLUMNS[CallRow].index("avoided")] = None
    return columns


def _json_of(value: object) -> object:
    if value == {}:
        return "{}"
    if value == []:
        return "[]"
    # Always JSON, whatever a damaged row holds there: else it would stop the questions that look into it.
    return json.dumps(value)


def load(cls: type[R], columns: Sequence[object]) -> R:
    """A row of its columns, in the order of `COLUMNS`."""
    # Not strict: this is done for every row of a ledger, and a column too few is an error all the same.
    named = dict(zip(COLUMNS[cls], columns, strict=False))
    for name in _ARRAYS[cls]:
        named[name] = json_of(named[name], list)
    for name in _OBJECTS[cls]:
        named[name] = json_of(named[name], dict)
    if "streamed" in named:
        named["streamed"] = bool(named["streamed"])
    return cls(**named)  # type: ignore[arg-type]  # our own columns


def json_of(text: object, kind: type[T]) -> T:
    """What stands in a JSON column; empty where it is of another shape than its kind."""
    if not isinstance(text, str) or text in _EMPTY:
        return kind()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return kind()
    return value if isinstance(value, kind) else kind()
