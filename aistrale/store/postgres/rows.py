"""Rows into the tables of PostgreSQL: all at once as a rule, with care where one of them cannot be held.

`COPY` takes rows that are new and as they should be. Where one is not, everything is taken back and done again: rows
that are there already are replaced, what PostgreSQL cannot hold (NUL, half a surrogate, a number that is none) is
cleaned, and a row that still does not fit is kept in the table `rejected`.
"""

from __future__ import annotations

import json
import math
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from aistrale.store.postgres import driver
from aistrale.store.records import COLUMNS, IntentRow, Row, RowType, ScoreRow, encode_row
from aistrale.store.tables import JSON_COLUMNS, KEYS, TABLES, Batch, dump, names_of, on_conflict, to_settle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import psycopg

    Cursor = psycopg.Cursor[tuple[Any, ...]]

_OWN: Final = ("writer", "settled", "installation")
_KEY_OF: Final[dict[RowType, Callable[[object], object]]] = {cls: attrgetter(*KEYS[cls].split(", ")) for cls in TABLES}
_SETTLE: Final = """UPDATE intents AS i SET settled = 1
    FROM unnest(CAST(%s AS text[]), CAST(%s AS bigint[])) AS k (call_id, attempt)
    WHERE i.call_id = k.call_id AND i.attempt = k.attempt AND i.settled = 0
    AND EXISTS (SELECT 1 FROM attempts AS a WHERE a.call_id = k.call_id AND a.attempt = k.attempt)"""
_HIGHEST: Final = 1 << 63


def store(cursor: Cursor, rows: Sequence[Row], batch: Batch, installation: str) -> None:
    """Write rows of any kinds within the transaction that the cursor is in.

    Args:
        cursor: Its search path leads to the tables.
        rows: What to write; of rows with the same key the last one counts.
        batch: What they have in common.
        installation: Whose journal they come from.

    Raises:
        psycopg.Error: The database cannot be written.
    """
    kinds = {cls: _last(cls, [row for row in rows if type(row) is cls]) for cls in TABLES}
    cursor.execute("SAVEPOINT rows")
    try:
        for cls, chosen in kinds.items():
            if chosen:
                _copy(cursor, cls, [_columns(row, batch, installation) for row in chosen])
    except Exception as error:
        if not driver.is_bad_value(error):
            raise
        cursor.execute("ROLLBACK TO SAVEPOINT rows")
        for cls, chosen in kinds.items():
            if chosen:
                _replace(cursor, cls, chosen, batch, installation)
    _settle(cursor, to_settle(rows, batch))


def _last(cls: RowType, rows: Sequence[Row]) -> list[Row]:
    """Without those that others with the same key take the place of."""
    kept: dict[str, Row] = {}
    for row in rows:
        # As text, because a damaged row may hold what cannot be a key.
        key = str(_KEY_OF[cls](row))
        earlier = kept.get(key)
        if isinstance(row, ScoreRow) and isinstance(earlier, ScoreRow) and not _is_newer(row, earlier):
            continue
        kept[key] = row
    return list(kept.values())


def _is_newer(row: ScoreRow, earlier: ScoreRow) -> bool:
    try:
        return row.at >= earlier.at
    except TypeError:
        return False


def _names(cls: RowType) -> str:
    return ", ".join((names_of(cls), *_OWN)) if cls is IntentRow else names_of(cls)


def _columns(row: Row, batch: Batch, installation: str) -> list[object]:
    columns = dump(row, batch)
    if type(row) is IntentRow:
        columns.append(installation)
    return columns


def _copy(cursor: Cursor, cls: RowType, lines: Sequence[Sequence[object]]) -> None:
    broken: Exception | None = None
    try:
        with cursor.copy(_COPIES[cls]) as copy:
            for line in lines:
                try:
                    copy.write_row(line)
                except Exception as error:
                    broken = error
                    raise
    except Exception:
        if broken is not None:
            # Before 3.2 psycopg says here that the copy was cancelled.
            raise broken from None
        raise


_COPIES: Final = {cls: f"COPY {TABLES[cls]} ({_names(cls)}) FROM STDIN".encode() for cls in TABLES}


def _replacing(cls: RowType) -> bytes:
    conflict = on_conflict(cls, "writer", "installation") if cls is IntentRow else on_conflict(cls)
    table, names = TABLES[cls], _names(cls)
    source = f"json_populate_recordset(CAST(NULL AS {table}), CAST(%s AS json))"
    return f"INSERT INTO {table} ({names}) SELECT {names} FROM {source} {conflict}".encode()  # noqa: S608 - constants


_REPLACEMENTS: Final = {cls: _replacing(cls) for cls in TABLES}


def _replace(cursor: Cursor, cls: RowType, rows: Sequence[Row], batch: Batch, installation: str) -> None:
    """Write rows that may be there, halving them until the one stands alone that does not fit."""
    cursor.execute("SAVEPOINT part")
    try:
        named = [_named(cls, _columns(row, batch, installation)) for row in rows]
        cursor.execute(_REPLACEMENTS[cls], (json.dumps(named),))
        cursor.execute("RELEASE SAVEPOINT part")
    except Exception as error:
        if not driver.is_bad_value(error):
            raise
        cursor.execute("ROLLBACK TO SAVEPOINT part")
        cursor.execute("RELEASE SAVEPOINT part")
        if len(rows) == 1:
            cursor.execute(
                "INSERT INTO rejected (payload, reason, installation) VALUES (%s, %s, %s)",
                (encode_row(rows[0]).decode(), clean(driver.reason_of(error)), installation),
            )
            return
        half = len(rows) // 2
        for part in (rows[:half], rows[half:]):
            _replace(cursor, cls, part, batch, installation)


def _named(cls: RowType, columns: Sequence[object]) -> dict[str, object]:
    names = (*COLUMNS[cls], *_OWN) if cls is IntentRow else COLUMNS[cls]
    return {
        name: clean(json.loads(value) if name in JSON_COLUMNS and isinstance(value, str) else value)
        for name, value in zip(names, columns, strict=True)
    }


def clean(value: object) -> object:
    """A value as PostgreSQL can hold it: what it has no place for is a question mark, no number is nothing."""
    if isinstance(value, str):
        return value.replace("\0", "?").encode("utf-8", "replace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, dict):
        return {clean(name): clean(each) for name, each in value.items()}
    if isinstance(value, list):
        return [clean(each) for each in value]
    return value


def _settle(cursor: Cursor, keys: Sequence[tuple[object, object]]) -> None:
    """Mark what is over. A row that had to wait in memory may come after the one that settles it."""
    known = [
        (clean(call), attempt)
        for call, attempt in keys
        if isinstance(call, str) and type(attempt) is int and -_HIGHEST <= attempt < _HIGHEST
    ]
    if known:
        cursor.execute(_SETTLE, ([call for call, _ in known], [attempt for _, attempt in known]))
