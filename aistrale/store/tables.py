"""Rows as columns of the tables, and back: what is the same in SQLite and in PostgreSQL."""

from __future__ import annotations

import json
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
KEYS: Final[dict[RowType, str]] = {
    IntentRow: "call_id, attempt",
    AttemptRow: "call_id, attempt",
    CallRow: "call_id",
    ScoreRow: "call_id, name",
    CountRow: "call_id, attempt",
}
JSON_COLUMNS: Final = frozenset({"tags", "lossy", "privacy", "optimized", "metered"})
_LISTS: Final = frozenset({"lossy", "optimized"})
_EMPTY: Final = frozenset({"{}", "[]"})
_JSON_PLACES: Final = {
    cls: tuple(
        (place, list if name in _LISTS else dict) for place, name in enumerate(COLUMNS[cls]) if name in JSON_COLUMNS
    )
    for cls in TABLES
}
_COST_PLACES: Final = {cls: COLUMNS[cls].index("cost") for cls in (AttemptRow, CallRow)}
_AVOIDED_PLACE: Final = COLUMNS[CallRow].index("avoided")
_ARRAYS: Final = {cls: tuple(name for name in COLUMNS[cls] if name in _LISTS) for cls in TABLES}
_OBJECTS: Final = {cls: tuple(name for name in COLUMNS[cls] if name in JSON_COLUMNS - _LISTS) for cls in TABLES}


def names_of(cls: RowType) -> str:
    """The columns of a row, for SQL."""
    return ", ".join(f'"{column}"' for column in COLUMNS[cls])


def on_conflict(cls: RowType, *own: str) -> str:
    """What becomes of a row that is there already, for SQL: the new one takes its place.

    Args:
        cls: The kind of row.
        *own: Columns beside those of the row that are replaced, too.
    """
    table = TABLES[cls]
    changes = [f'"{column}" = excluded."{column}"' for column in (*COLUMNS[cls], *own)]
    newer = ""
    if cls is IntentRow:
        # Once settled it stays so.
        changes.append("settled = CASE WHEN excluded.settled > intents.settled THEN 1 ELSE intents.settled END")
    elif cls is ScoreRow:
        # Rows of several processes come in any order.
        newer = f" WHERE excluded.at >= {table}.at"
    return f"ON CONFLICT ({KEYS[cls]}) DO UPDATE SET {', '.join(changes)}{newer}"


class Batch(NamedTuple):
    """What the rows of one transaction have in common: who wrote them, and which attempts begin and end in it."""

    writer: str
    settled: set[str]


def key_of(row: IntentRow | AttemptRow) -> str:
    """Which attempt a row is of."""
    # As text, because a damaged row may hold what cannot be a member of a set.
    return f"{row.call_id} {row.attempt}"


def batch_of(rows: Sequence[Row], writer: str) -> Batch:
    """What the rows have in common."""
    sent = {key_of(row) for row in rows if type(row) is IntentRow}
    over = {key_of(row) for row in rows if type(row) is AttemptRow}
    # What begins and ends within the batch, nearly everything, is stored as settled at once.
    return Batch(writer, sent & over)


def to_settle(rows: Sequence[Row], batch: Batch) -> list[tuple[str, int]]:
    """The attempts among intents and attempts of which the other half is not in the batch."""
    return [
        (row.call_id, row.attempt)
        for row in rows
        if isinstance(row, (IntentRow, AttemptRow)) and key_of(row) not in batch.settled
    ]


def dump(row: Row, batch: Batch) -> list[object]:
    """The columns of a row in the order of `COLUMNS`; of an intent also its writer, and 1 if it is settled, else 0."""
    columns = list(values(row))
    if isinstance(row, IntentRow):
        return [*columns, batch.writer, int(key_of(row) in batch.settled)]
    for place, kind in _JSON_PLACES[type(row)]:
        columns[place] = _json_of(columns[place], kind)
    if isinstance(row, (AttemptRow, CallRow)) and row.cost is not None:
        place = _COST_PLACES[type(row)]
        columns[place] = cost = exact_amount(row.cost)
        if cost is None:
            columns[place + 1] = "the cost is not a number"
    if isinstance(row, CallRow) and row.avoided is not None:
        columns[_AVOIDED_PLACE] = exact_amount(row.avoided)
    return columns


def _json_of(value: object, kind: type[object]) -> str:
    if not value or not isinstance(value, kind):
        # What a damaged row holds there would stop the questions that look into it.
        return "[]" if kind is list else "{}"
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
