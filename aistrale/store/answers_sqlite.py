"""Remembered answers in an SQLite file, shared by any number of processes.

Reading is one look-up; writing is left to a background thread, several answers at once, so that no call waits for the
disk. WAL mode, mode 0600 in a directory of mode 0700; deleted answers are overwritten. A file that cannot be used
(damaged, read-only, of a newer version, of another program) is left alone: the store says so once in the log and is
empty for a minute, after which it looks again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Final, TypeVar

from aistrale.core.worker import Worker, check_fork, locked_in_fork, on_fork
from aistrale.store.answers import Entry, Unwritten

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

_log = logging.getLogger("aistrale.answers")

# "aisa": says that a file is one of ours, where the schema's number alone could be that of any program.
APPLICATION: Final = 0x61697361
SCHEMA: Final = 1
_TABLES: Final = (
    "DROP TABLE IF EXISTS answers",
    """CREATE TABLE answers (
    key TEXT NOT NULL PRIMARY KEY, at REAL NOT NULL, expires REAL NOT NULL, size INTEGER NOT NULL,
    data BLOB NOT NULL)""",
    "CREATE INDEX answers_by_age ON answers (at, size)",
    "CREATE INDEX answers_by_end ON answers (expires)",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {SCHEMA}",
)
_PUT: Final = "INSERT OR REPLACE INTO answers (key, at, expires, size, data) VALUES (?, ?, ?, ?, ?)"
# Everything beyond the bounds, the oldest first; room for a tenth is made at once, so that not every batch has to.
_SHRINK: Final = """DELETE FROM answers WHERE key IN (SELECT key FROM (
    SELECT key, row_number() OVER newest AS place, sum(size) OVER newest AS total FROM answers
    WINDOW newest AS (ORDER BY at DESC, key ROWS UNBOUNDED PRECEDING)) WHERE place > ? OR total > ?)"""
_ROOM: Final = 0.9
_READ_SECONDS: Final = 0.05
_WRITE_SECONDS: Final = 0.5
_PAUSE: Final = 60.0
_BUSY_PAUSE: Final = 0.2
_DELAY: Final = 0.05
_BATCH: Final = 100
# Most bytes that wait for the background thread.
_WAITING: Final = 32 * 1024 * 1024
_forked: list[sqlite3.Connection] = []


class SQLiteAnswers:
    """See `Answers`; the oldest answers make room.

    Args:
        path: The file; nothing is created before the first answer is kept.
        max_entries: Most answers, at least 1.
        max_bytes: Most bytes that they take; a larger answer is not kept.
        clock: Monotonic seconds.
    """

    slow = True

    def __init__(
        self, path: Path, *, max_entries: int, max_bytes: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.path = path
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._clock = clock
        self._warned = False
        self._reading = _File(path, _READ_SECONDS)
        self._writing = _File(path, _WRITE_SECONDS)
        self._worker = Worker(self._step, name="aistrale-answers", delay=_DELAY, at_exit=self.flush)
        self._reset()
        on_fork(self._reset)

    def _reset(self) -> None:
        # A parent writes what it had been given; its child begins with an empty hand.
        self._waiting = Unwritten(_WAITING)
        self._idle_until = 0.0

    # --- the answers ----------------------------------------------------------------------------------------------

    def get(self, key: str, now: float) -> Entry | None:
        """See `Answers.get`."""
        check_fork()
        entry = self._waiting.get(key)
        if entry is None and self._clock() >= self._idle_until:
            try:
                entry = self._reading.run(lambda connection: _read(connection, key))
            except (sqlite3.Error, OSError) as error:
                self._failed(error)
        return entry if entry is not None and entry.expires > now else None

    def put(self, key: str, entry: Entry) -> None:
        """See `Answers.put`; written within a second, by a thread."""
        check_fork()
        if entry.size <= self._max_bytes:
            self._waiting.put(key, entry)
            self._worker.wake()

    def clear(self) -> None:
        """See `Answers.clear`; for all processes."""
        check_fork()
        self._waiting.clear()
        try:
            self._writing.run(_clear)
        except (sqlite3.Error, OSError) as error:
            self._failed(error)

    def flush(self) -> None:
        """See `Answers.flush`; for about half a second at most."""
        check_fork()
        while len(self._waiting) and self._step() == 0.0:
            pass

    def close(self) -> None:
        """See `Answers.close`."""
        self.flush()
        self._worker.close(1.0)
        self._reading.close()
        self._writing.close()

    # --- the background -------------------------------------------------------------------------------------------

    def _step(self) -> float | None:
        """Write a batch; seconds until there is more to do, None when there is not."""
        if self._clock() < self._idle_until:
            self._waiting.clear()
            return None
        if not self._waiting.first(1):
            return None
        try:
            batch = self._writing.run(self._write_batch, create=True)
        except (sqlite3.Error, OSError) as error:
            if _is_busy(error):
                return _BUSY_PAUSE
            self._failed(error)
            return None
        self._waiting.done(batch or [])
        return 0.0 if len(self._waiting) else None

    def _write_batch(self, connection: sqlite3.Connection) -> list[tuple[str, Entry]]:
        # Taken while nobody else has the file: a batch that was taken before `clear` emptied it would come back.
        batch = self._waiting.first(_BATCH)
        if batch:
            self._write(connection, batch)
        return batch

    def _write(self, connection: sqlite3.Connection, batch: list[tuple[str, Entry]]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(_PUT, [(key, item.at, item.expires, item.size, item.data) for key, item in batch])
        connection.execute("DELETE FROM answers WHERE expires <= ?", (max(entry.at for _, entry in batch),))
        count, size = connection.execute("SELECT count(*), coalesce(sum(size), 0) FROM answers").fetchone()
        if count > self._max_entries or size > self._max_bytes:
            connection.execute(_SHRINK, (max(1, int(self._max_entries * _ROOM)), int(self._max_bytes * _ROOM)))
        connection.execute("COMMIT")

    def _failed(self, error: Exception) -> None:
        """Leave the file alone for a while; another process's transaction is no failure."""
        if _is_busy(error):
            return
        self._idle_until = self._clock() + _PAUSE
        self._reading.close()
        self._writing.close()
        if not self._warned:
            self._warned = True
            _log.warning("the answer cache %s cannot be used and is off: %s", self.path, error)


def _is_busy(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _read(connection: sqlite3.Connection, key: str) -> Entry | None:
    row = connection.execute("SELECT data, at, expires FROM answers WHERE key = ?", (key,)).fetchone()
    return None if row is None else Entry(*row)


def _clear(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM answers")


class _File:
    """One connection to the file, opened at first use, again when the file was replaced, and anew in a forked child.

    Args:
        path: The file.
        busy_timeout: Seconds to wait for another process's transaction.
    """

    def __init__(self, path: Path, busy_timeout: float) -> None:
        self._path = path
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

    def run(self, work: Callable[[sqlite3.Connection], T], *, create: bool = False) -> T | None:
        """Do something with the connection, and undo it all if it fails; None when there is no file.

        Raises:
            sqlite3.Error, OSError: The file cannot be used.
        """
        with self._lock:
            connection = self._connect(create=create)
            if connection is None:
                return None
            try:
                return work(connection)
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.rollback()
                raise

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
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # SQLite gives its side files the mode of the main one.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(
            self._path, timeout=self._busy_timeout, isolation_level=None, check_same_thread=False
        )
        try:
            _prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._connection, self._identity = connection, self._look()
        return connection

    def _look(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return status.st_dev, status.st_ino

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    connection.close()


def _prepare(connection: sqlite3.Connection) -> None:
    """Set a new connection up; make the table where there is none, anew where it is of an older version."""
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA secure_delete = ON")
    if _is_current(connection):
        return
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have been faster.
        if not _is_current(connection):
            for statement in _TABLES:
                connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.rollback()
        raise


def _is_current(connection: sqlite3.Connection) -> bool:
    """Whether the file has our table. Raises NotSupportedError for one that must be left alone."""
    application, version = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("application_id", "user_version")
    )
    if application == APPLICATION:
        if version > SCHEMA:
            raise sqlite3.NotSupportedError("it is of a newer version of aistrale")
        return version == SCHEMA
    if application or version or connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise sqlite3.NotSupportedError("it is another program's database")
    return False
