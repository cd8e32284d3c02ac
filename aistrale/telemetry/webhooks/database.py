"""One connection to an SQLite file that several threads and processes use: opened late, left alone after a fork."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from typing import TYPE_CHECKING, Final, TypeVar

from aistrale.core.worker import check_fork, locked_in_fork, on_fork

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

T = TypeVar("T")

# Never closed in the child: that would be done with the parent's state of the file ("How To Corrupt An SQLite
# Database File", 2.6).
_inherited: list[sqlite3.Connection] = []
_BUSY_SECONDS: Final = 5.0


class Database:
    """A file with tables of ours, WAL, mode 0600 in a directory of mode 0700.

    Args:
        path: The file; made at the first writing.
        application: The number that says that a file is one of these.
        migrations: Statements that bring `user_version` from n to n + 1. Published ones are never changed.
    """

    def __init__(self, path: Path, *, application: int, migrations: Sequence[Sequence[str]]) -> None:
        self.path = path
        self._application = application
        self._migrations = migrations
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._lock = threading.RLock()
        on_fork(self._after_fork)
        locked_in_fork(self._held_in_fork)

    def __del__(self) -> None:
        if hasattr(self, "_lock"):
            self.close()

    def _held_in_fork(self) -> threading.RLock:
        return self._lock

    def _after_fork(self) -> None:
        if self._connection is not None:
            _inherited.append(self._connection)
        self._connection = None
        self._lock = threading.RLock()

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something in one transaction that nobody else is inside of; all of it or nothing.

        Raises:
            sqlite3.Error, OSError: The file cannot be used.
        """
        check_fork()
        with self._lock:
            connection = self._connect(create=True)
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.rollback()
                raise
            return result

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """Look something up; None where there is no file.

        Raises:
            sqlite3.Error, OSError: The file cannot be used.
        """
        check_fork()
        with self._lock:
            if self._look() is None:
                return None
            return work(self._connect(create=False))

    def exists(self) -> bool:
        """Whether the file is there."""
        return self._look() is not None

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    connection.close()

    def _connect(self, *, create: bool) -> sqlite3.Connection:
        identity = self._look()
        if self._connection is not None:
            if identity is not None and identity == self._identity:
                return self._connection
            # Deleted or replaced: what is written through the old connection, nobody would ever read.
            self.close()
        if create and identity is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # SQLite gives its side files the mode of the main one.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(connection)
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

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA secure_delete = ON")
        if self._version(connection) == len(self._migrations):
            return
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Another process may have been faster.
            for migration in self._migrations[self._version(connection) :]:
                for statement in migration:
                    connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {self._application}")
            connection.execute(f"PRAGMA user_version = {len(self._migrations)}")
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.rollback()
            raise

    def _version(self, connection: sqlite3.Connection) -> int:
        """How far the file is. Raises NotSupportedError for one that must be left alone."""
        application, version = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("application_id", "user_version")
        )
        if application == self._application:
            if version > len(self._migrations):
                raise sqlite3.NotSupportedError(f"{self.path} is of a newer version of aistrale")
            return version
        if application or version or connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise sqlite3.NotSupportedError(f"{self.path} is another program's database")
        return 0
