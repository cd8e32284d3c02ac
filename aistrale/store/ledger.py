"""The ledger in a local SQLite file, shared by any number of processes.

WAL mode with `synchronous=NORMAL`: a commit survives every death of a process; a power loss may take the last
commits, never the file. Where the journal promises more, its segments may only be deleted once the commit is
on the disk, hence `synchronous="FULL"` there. The file is created with mode 0600, its directory with 0700.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from aistrale.core.worker import check_fork, locked_in_fork, on_fork
from aistrale.store.protocol import Cursor, LedgerUnavailable, UnsettledAttempt
from aistrale.store.queries import add_functions
from aistrale.store.questions import Questions
from aistrale.store.records import COLUMNS, AttemptRow, IntentRow, Row, RowType, encode_row
from aistrale.store.schema import MIGRATIONS
from aistrale.store.segment import writer_of
from aistrale.store.tables import TABLES, Batch, batch_of, dump, names_of, on_conflict, to_settle

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

T = TypeVar("T")

BUSY_SECONDS: Final = 0.5
_forked: list[sqlite3.Connection] = []


# What SQLite says about a value, as opposed to the state of the file.
_BAD_VALUE: Final = (
    OverflowError,
    UnicodeError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    sqlite3.DataError,
    sqlite3.IntegrityError,
)


class SQLiteLedger(Questions):
    """A `Ledger` in one SQLite file; safe in threads and after forks.

    Nothing is created before the first `write_batch`; a file that does not exist reads as empty. The file may
    be deleted or replaced at any time: the next use opens what is there then.

    Args:
        path: The file.
        synchronous: Whether a commit waits for the disk ("FULL") or not ("NORMAL").
        busy_timeout: Seconds to wait for another process's transaction.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        synchronous: Literal["NORMAL", "FULL"] = "NORMAL",
        busy_timeout: float = BUSY_SECONDS,
    ) -> None:
        self.path = Path(path)
        self._synchronous = synchronous
        self._busy_timeout = busy_timeout
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._lock = threading.RLock()
        on_fork(self._after_fork)
        locked_in_fork(self._held_in_fork)

    def __del__(self) -> None:
        self.close()

    def _held_in_fork(self) -> threading.RLock:
        return self._lock

    def _after_fork(self) -> None:
        if self._connection is not None:
            # Never closed in the child: that would be done with the parent's state of the file.
            _forked.append(self._connection)
        self._connection = None
        self._lock = threading.RLock()

    # -- writing -------------------------------------------------------------------------------------------

    def write_batch(self, rows: Sequence[Row], cursor: Cursor) -> None:
        """See `Ledger.write_batch`. A row that SQLite cannot hold is kept in the table `rejected`."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            batch = batch_of(rows, writer_of(cursor.segment))
            for cls in TABLES:
                chosen = [row for row in rows if type(row) is cls]
                if chosen:
                    _store(connection, cls, chosen, batch)
            connection.execute(
                "INSERT INTO segments VALUES (?, ?) ON CONFLICT DO UPDATE SET offset = excluded.offset",
                (cursor.segment, cursor.offset),
            )
            connection.execute("COMMIT")

        self._run(work, create=True)

    def cursors(self) -> dict[str, int]:
        """See `Ledger.cursors`."""
        found = self._run(lambda c: c.execute("SELECT name, offset FROM segments").fetchall())
        return dict(found or [])

    def forget(self, segments: Collection[str]) -> None:
        """See `Ledger.forget`."""
        names = [(segment,) for segment in segments]
        if not names:
            return

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("DELETE FROM segments WHERE name = ?", names)
            connection.execute("COMMIT")

        self._run(work)

    # -- asking --------------------------------------------------------------------------------------------

    def _ask(self, query: str, values: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        return self._run(lambda c: c.execute(query, values).fetchall()) or []

    def open_intents(self, live_writers: Collection[str] = ()) -> list[UnsettledAttempt]:
        """See `Ledger.open_intents`."""
        return [found for found in self._unsettled("settled = 0", {}) if found.writer not in live_writers]

    # -- the connection ------------------------------------------------------------------------------------

    def _run(self, work: Callable[[sqlite3.Connection], T], *, create: bool = False) -> T | None:
        """Do something with the connection, and undo it all if it fails; None when there is no file."""
        check_fork()
        with self._lock:
            try:
                connection = self._connect(create=create)
                if connection is None:
                    return None
                try:
                    return work(connection)
                except BaseException:
                    with contextlib.suppress(sqlite3.Error):
                        connection.rollback()
                    raise
            except (sqlite3.Error, OSError) as error:
                self.close()
                code = getattr(error, "sqlite_errorcode", None)
                raise LedgerUnavailable(
                    f"the ledger {self.path} cannot be used: {error}.",
                    hint="Rows wait in the journal beside it; free the disk or the lock, or move it away.",
                    busy=code is not None and code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED},
                ) from error

    def _connect(self, *, create: bool) -> sqlite3.Connection | None:
        identity = self._look()
        if self._connection is not None:
            if identity == self._identity:
                return self._connection
            # Deleted or replaced: what is written through the old connection, nobody would ever read.
            self.close()
        if identity is None:
            if not create:
                return None
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # SQLite gives its side files the mode of the main one.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(
            self.path, timeout=self._busy_timeout, isolation_level=None, check_same_thread=False
        )
        try:
            _prepare(connection, self._synchronous)
        except BaseException:
            connection.close()
            raise
        self._connection, self._identity = connection, self._look()
        return connection

    def _look(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return status.st_dev, status.st_ino

    def close(self) -> None:
        """See `Ledger.close`."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    connection.close()


def _prepare(connection: sqlite3.Connection, synchronous: str) -> None:
    """Set a new connection up and bring the tables up to date."""
    add_functions(connection)
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    version = _version(connection)
    if version == len(MIGRATIONS):
        return
    if version > len(MIGRATIONS):
        raise sqlite3.NotSupportedError(f"its schema {version} is of a newer version of aistrale")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have been faster.
        for number in range(_version(connection), len(MIGRATIONS)):
            for statement in MIGRATIONS[number]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.rollback()
        raise


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _upsert(cls: RowType) -> str:
    own = ("writer", "settled") if cls is IntentRow else ()
    columns = ", ".join((names_of(cls), *own))
    marks = ", ".join("?" * (len(COLUMNS[cls]) + len(own)))
    return f"INSERT INTO {TABLES[cls]} ({columns}) VALUES ({marks}) {on_conflict(cls, *own[:1])}"  # noqa: S608 - constants


_UPSERTS: Final = {cls: _upsert(cls) for cls in TABLES}
_SETTLE: Final = "UPDATE intents SET settled = 1 WHERE call_id = ? AND attempt = ?"
_SETTLE_LATE: Final = f"{_SETTLE} AND EXISTS (SELECT 1 FROM attempts WHERE call_id = ? AND attempt = ?)"  # noqa: S608 - a constant


def _store(connection: sqlite3.Connection, cls: RowType, rows: Sequence[Row], batch: Batch) -> None:
    """Write rows of one kind, one by one where SQLite cannot hold one of them."""
    try:
        connection.executemany(_UPSERTS[cls], [dump(row, batch) for row in rows])
    except _BAD_VALUE:
        for row in rows:
            _store_one(connection, cls, row, batch)
    keys = to_settle(rows, batch)
    with contextlib.suppress(*_BAD_VALUE):
        # A row that had to wait in memory may come after the one that settles it.
        if cls is IntentRow:
            connection.executemany(_SETTLE_LATE, [key * 2 for key in keys])
        elif cls is AttemptRow:
            connection.executemany(_SETTLE, keys)


def _store_one(connection: sqlite3.Connection, cls: RowType, row: Row, batch: Batch) -> None:
    """One row that may be the bad one: cleaned if that is enough, else set aside."""
    try:
        connection.execute(_UPSERTS[cls], [_clean(value) for value in dump(row, batch)])
    except _BAD_VALUE as error:
        connection.execute("INSERT INTO rejected VALUES (?, ?)", (encode_row(row).decode(), str(error)))


def _clean(value: object) -> object:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
