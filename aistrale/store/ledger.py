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
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from aistrale.core.worker import check_fork, locked_in_fork, on_fork
from aistrale.store.protocol import Cursor, Exchange, LedgerUnavailable, Sample, SpendRow, SummaryRow, UnsettledAttempt
from aistrale.store.queries import (
    CACHED,
    Place,
    add_functions,
    attempt_of,
    avoided,
    check_dimensions,
    choose,
    exchange_of,
    exchange_statement,
    newest,
    spend,
)
from aistrale.store.records import AttemptRow, CallRow, CountRow, IntentRow, Row, ScoreRow
from aistrale.store.schema import MIGRATIONS
from aistrale.store.segment import writer_of
from aistrale.store.summary import seconds_of, summarize
from aistrale.store.tables import TABLES, Batch, key_of, load, names_of, store

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from aistrale.store.queries import Chosen, Form

T = TypeVar("T")
R = TypeVar("R", IntentRow, AttemptRow, CallRow, ScoreRow, CountRow)

BUSY_SECONDS: Final = 0.5
EXCHANGES: Final = 1000
"""How many exchanges are read at once."""
_forked: list[sqlite3.Connection] = []


class SQLiteLedger:
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
            sent = {key_of(row) for row in rows if type(row) is IntentRow}
            over = {key_of(row) for row in rows if type(row) is AttemptRow}
            # What begins and ends within the batch, nearly everything, is stored as settled at once.
            batch = Batch(writer_of(cursor.segment), sent & over)
            for cls in TABLES:
                chosen = [row for row in rows if type(row) is cls]
                if chosen:
                    store(connection, cls, chosen, batch)
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

    def summary(self, by: str, since: datetime | None = None, until: datetime | None = None) -> list[SummaryRow]:
        """See `LedgerQueries.summary`."""
        return self._run(lambda c: summarize(c, by, since, until)) or []

    def calls(self, limit: int = 50) -> list[CallRow]:
        """See `LedgerQueries.calls`."""
        return self._rows(CallRow, "ORDER BY at DESC, call_id DESC LIMIT ?", limit)

    def attempts(self, call_id: str) -> list[AttemptRow]:
        """See `LedgerQueries.attempts`."""
        return self._rows(AttemptRow, "WHERE call_id = ? ORDER BY attempt", call_id)

    def spend(
        self,
        by: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
    ) -> list[SpendRow]:
        """See `LedgerQueries.spend`."""
        check_dimensions(by)
        chosen = choose(since, until, where)
        return self._run(lambda c: spend(c, by, chosen)) or []

    def exchanges(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
        limit: int | None = None,
    ) -> Iterator[Exchange]:
        """See `LedgerQueries.exchanges`."""
        return map(exchange_of, self._read("exchange", choose(since, until, where), limit))

    def cached(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
    ) -> Iterator[AttemptRow]:
        """See `LedgerQueries.cached`."""
        chosen = choose(since, until, where)
        chosen.conditions.append(CACHED)
        return map(attempt_of, self._read("attempt", chosen))

    def samples(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
    ) -> Iterator[Sample]:
        """See `LedgerQueries.samples`."""
        return map(Sample._make, self._read("sample", choose(since, until, where)))

    def _read(self, form: Form, chosen: Chosen, limit: int | None = None) -> Iterator[Sequence[Any]]:
        """The columns of attempts, in batches, between which nothing is locked."""
        left = float("inf") if limit is None else limit
        if left <= 0:
            return
        place = None if limit is None else self._run(lambda c: newest(c, chosen, limit))
        including = True
        while left > 0:
            size = int(min(EXCHANGES, left))
            found = self._batch(exchange_statement(chosen, place, size, including=including, form=form), chosen)
            yield from found
            if len(found) < size:
                return
            left -= size
            place, including = Place(*found[-1][:3]), False

    def _batch(self, query: str, chosen: Chosen) -> list[Sequence[Any]]:
        return self._run(lambda c: c.execute(query, chosen.values).fetchall()) or []

    def counts(self, since: datetime | None = None, limit: int = 10_000) -> list[CountRow]:
        """See `LedgerQueries.counts`."""
        condition = "WHERE at >= ? ORDER BY at DESC LIMIT ?"
        return self._rows(CountRow, condition, seconds_of("since", since, float("-inf")), max(0, limit))[::-1]

    def scores(self, call_id: str) -> list[ScoreRow]:
        """See `LedgerQueries.scores`."""
        return self._rows(ScoreRow, "WHERE call_id = ? ORDER BY name", call_id)

    def avoided(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
    ) -> Decimal:
        """See `LedgerQueries.avoided`."""
        chosen = choose(since, until, where, alone=True)
        return self._run(lambda c: avoided(c, chosen)) or Decimal(0)

    def open_intents(self, live_writers: Collection[str] = ()) -> list[UnsettledAttempt]:
        """See `Ledger.open_intents`."""
        query = f"SELECT writer, {names_of(IntentRow)} FROM intents WHERE settled = 0 ORDER BY at"  # noqa: S608
        found = self._run(lambda c: c.execute(query).fetchall()) or []
        return [
            UnsettledAttempt(intent=load(IntentRow, columns), writer=writer)
            for writer, *columns in found
            if writer not in live_writers
        ]

    def _rows(self, cls: type[R], condition: str, *bound: object) -> list[R]:
        query = f"SELECT {names_of(cls)} FROM {TABLES[cls]} {condition}"  # noqa: S608 - constants
        found = self._run(lambda c: c.execute(query, bound).fetchall()) or []
        return [load(cls, columns) for columns in found]

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
