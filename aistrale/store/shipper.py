"""Moves rows from the journal into the ledger, each exactly once.

The rows of a batch and the offset that they were read up to are stored in one transaction, so that a crash at
any instant either repeats a batch that was not stored or goes on after one that was. A segment is deleted
only when its writer is gone, nothing of it is left, and the transaction with its last row is committed.

One process at a time ships a directory, all segments in it: `flock` on `ship.lock`. The others try again a
moment later. Segments of living processes are read up to their last whole row.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from aistrale.core.worker import check_fork, locked_in_fork, on_fork
from aistrale.store.protocol import Cursor, LedgerUnavailable
from aistrale.store.reader import FrameReader
from aistrale.store.records import Row, decode_row
from aistrale.store.segment import OPEN, SEALED, lock_file, segments_in

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from aistrale.core.worker import ForkLock
    from aistrale.store.protocol import Ledger

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

_log = logging.getLogger("aistrale.store")

LOCK_NAME: Final = "ship.lock"
BATCH_ROWS: Final = 500
BACKLOG_WARNING_BYTES: Final = 256 << 20
_MAX_PAUSE: Final = 60.0
_POLL_SECONDS: Final = 0.02


class Destination(Protocol[T_contra]):
    """Where rows go: what the shipper asks of a ledger."""

    def write_batch(self, rows: Sequence[T_contra], cursor: Cursor, /) -> None:
        """Take rows, and remember how far the segment has been read."""
        ...

    def cursors(self) -> dict[str, int]:
        """The offset of every segment that is remembered."""
        ...

    def forget(self, segments: Collection[str], /) -> None:
        """Drop the cursors of segments whose files are gone."""
        ...


@dataclass(slots=True, kw_only=True)
class ShipperStatus:
    """What the shipper of this process has done.

    Args:
        shipped: Rows that it moved into the ledger.
        backlog_bytes: What was left in the directory, of all processes, when it last looked.
        skipped: Damaged stretches in segments that it passed over: rows that were never acknowledged, or
            damage of the disk.
        undecodable: Intact frames without a row of a known kind.
        held: Segments that wait for a newer version of aistrale, which wrote them.
        failures: How often in a row it failed; each doubles the pause, up to a minute.
        last_error: What went wrong last; None once it works again.
    """

    shipped: int = 0
    backlog_bytes: int = 0
    skipped: int = 0
    undecodable: int = 0
    held: int = 0
    failures: int = 0
    last_error: str | None = None


class FrameShipper(Generic[T]):
    """Ships one journal directory to one place; safe in threads, several processes and after forks.

    Args:
        directory: The journal directory.
        ledger: Where rows go. One directory belongs to one place.
        decode: What a payload holds; raises NewerRowError or ValueError.
        what: What the rows are called in logs.
        clock: Monotonic seconds.
        batch_rows: Rows in one transaction.
        bound: Told at the start of each pass how many seconds the ledger has; None if as many as it needs.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        ledger: Destination[T],
        *,
        decode: Callable[[bytes], T],
        what: str,
        clock: Callable[[], float] = time.monotonic,
        batch_rows: int = BATCH_ROWS,
        bound: Callable[[float | None], None] | None = None,
    ) -> None:
        self.directory = os.fspath(directory)
        self._ledger = ledger
        self._decode = decode
        self._what = what
        self._clock = clock
        self._batch_rows = batch_rows
        self._bound = bound
        self._status = ShipperStatus()
        self._warned = False
        self._cursors: dict[str, int] = {}
        self._busy = False
        self._fds: set[int] = set()
        self._lock = threading.Lock()
        self._opening = threading.RLock()
        on_fork(self._after_fork)
        locked_in_fork(self._opening_lock)

    def _opening_lock(self) -> ForkLock:
        return self._opening

    def _after_fork(self) -> None:
        # An inherited descriptor would hold the parent's locks for as long as the child lives.
        for fd in self._fds:
            with contextlib.suppress(OSError):
                os.close(fd)
        self._fds = set()
        self._lock = threading.Lock()
        self._opening = threading.RLock()
        self._status = ShipperStatus()

    def step(self) -> float | None:
        """Ship once, for a `Worker`.

        Returns:
            None when everything is in the ledger, else seconds until the next try.
        """
        if self.ship():
            return None
        return self.pause

    @property
    def pause(self) -> float:
        """Seconds until the next try, as often as it failed in a row."""
        return min(_MAX_PAUSE, 2.0**self._status.failures)

    @property
    def busy(self) -> bool:
        """Whether the last try ended because another process ships, or has the database."""
        return self._busy

    def flush(self, timeout: float) -> bool:
        """Ship until everything that was in the journal when it was called is in the ledger.

        Args:
            timeout: Seconds after which to give up; a transaction in progress is finished.

        Returns:
            False when something is left: the time was over, or the ledger cannot be written.
        """
        deadline = self._clock() + timeout
        pause = threading.Event()
        while not self.ship(deadline):
            if not self._busy or self._clock() >= deadline:
                return False
            # Another process ships, or has the database; there is no waiting for that with a time limit.
            pause.wait(_POLL_SECONDS)
        return True

    def ship(self, deadline: float | None = None) -> bool:
        """Move what is there.

        Args:
            deadline: Moment on the clock after which no further batch is begun.

        Returns:
            True when everything that was there at the start is in the ledger. Never raises for a ledger or
            a disk that does not work: `status()` says so.
        """
        check_fork()
        wait = -1.0 if deadline is None else max(0.0, deadline - self._clock())
        if not self._lock.acquire(timeout=wait):
            return False
        self._busy = False
        try:
            if self._bound is not None:
                self._bound(None if deadline is None else deadline - self._clock())
            done = self._ship_directory(deadline)
        except (LedgerUnavailable, OSError) as error:
            self._busy = isinstance(error, LedgerUnavailable) and error.busy
            self._status.failures += 1
            self._status.last_error = str(error)
            with contextlib.suppress(OSError):
                # As far as this process knows; the ledger cannot be asked.
                paths = segments_in(self.directory)
                self._status.backlog_bytes = sum(_size(path) - self._cursors.get(path.stem, 0) for path in paths)
            if self._status.failures == 1:
                _log.warning("%s stay in the journal %s: %s", self._what, self.directory, error)
            return False
        finally:
            self._lock.release()
        if done:
            self._status.failures = 0
            self._status.last_error = None
        return done

    def _ship_directory(self, deadline: float | None) -> bool:
        if not os.path.isdir(self.directory):  # noqa: PTH112 - a plain string, asked once a second
            return True
        with self._opened(os.path.join(self.directory, LOCK_NAME), os.O_RDWR | os.O_CREAT) as fd:  # noqa: PTH118
            if not lock_file(fd):
                self._busy = True
                return False
            paths = segments_in(self.directory)
            cursors = self._cursors = dict(self._ledger.cursors())
            # What a crash left between the deletion of a segment and of its cursor.
            self._ledger.forget(cursors.keys() - {path.stem for path in paths})
            self._status.held = 0
            self._status.backlog_bytes = 0
            done = [self._ship_segment(path, cursors.get(path.stem, 0), deadline) for path in paths]
        if self._status.backlog_bytes > BACKLOG_WARNING_BYTES and not self._warned:
            self._warned = True
            _log.warning("the journal %s holds %d bytes", self.directory, self._status.backlog_bytes)
        return all(done)

    def _ship_segment(self, path: Path, offset: int, deadline: float | None) -> bool:
        found = _where(path)
        if found is None:
            return True
        with self._opened(str(found), os.O_RDONLY) as fd:
            # Asked before reading: once nobody holds it, nothing can be added after what is read.
            final = lock_file(fd)
            size = os.fstat(fd).st_size
            data = os.pread(fd, max(0, size - offset), offset)
            reader = FrameReader(data, offset, final=final, decode=self._decode)
            done = self._ship_rows(reader, path.stem, offset, deadline)
            if done:
                self._status.skipped += reader.skipped
                self._status.undecodable += reader.undecodable
                self._status.held += reader.held
            if done and final and not reader.held:
                found.unlink()
                self._ledger.forget([path.stem])
            else:
                self._status.backlog_bytes += size - (reader.next_offset if done else offset)
        return done

    def _ship_rows(self, reader: FrameReader[T], name: str, offset: int, deadline: float | None) -> bool:
        """Store batch after batch; False when the deadline came first."""
        for batch in self._batches(reader):
            if deadline is not None and self._clock() >= deadline:
                return False
            self._ledger.write_batch(batch, Cursor(name, reader.next_offset))
            self._status.shipped += len(batch)
            offset = self._cursors[name] = reader.next_offset
        if reader.next_offset != offset:
            # Only damage was passed over since.
            self._ledger.write_batch([], Cursor(name, reader.next_offset))
        return True

    def _batches(self, reader: FrameReader[T]) -> Iterator[list[T]]:
        batch: list[T] = []
        for row, _ in reader:
            batch.append(row)
            if len(batch) >= self._batch_rows:
                yield batch
                batch = []
        if batch:
            yield batch

    @contextlib.contextmanager
    def _opened(self, path: str, flags: int) -> Iterator[int]:
        # No fork in between: a child would have a descriptor that it does not know of, and the lock with it.
        with self._opening:
            fd = os.open(path, flags, 0o600)
            self._fds.add(fd)
        try:
            yield fd
        finally:
            with self._opening:
                # Absent if this is a child that was forked meanwhile and has closed it already.
                if fd in self._fds:
                    self._fds.remove(fd)
                    os.close(fd)

    def status(self) -> ShipperStatus:
        """What was done and what is in the way."""
        return replace(self._status)


class Shipper(FrameShipper[Row]):
    """Ships the rows of one journal directory into one ledger; see `FrameShipper`.

    Args:
        directory: The journal directory.
        ledger: Where rows go. One directory belongs to one ledger.
        clock: Monotonic seconds.
        batch_rows: Rows in one transaction.
        bound: See `FrameShipper`.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        ledger: Ledger,
        *,
        clock: Callable[[], float] = time.monotonic,
        batch_rows: int = BATCH_ROWS,
        bound: Callable[[float | None], None] | None = None,
    ) -> None:
        super().__init__(
            directory, ledger, decode=decode_row, what="ledger rows", clock=clock, batch_rows=batch_rows, bound=bound
        )


def _size(path: Path) -> int:
    found = _where(path)
    return 0 if found is None else found.stat().st_size


def _where(path: Path) -> Path | None:
    """The segment under its present name: its writer may have sealed it since the directory was listed."""
    for candidate in (path, path.with_suffix(SEALED if path.suffix == OPEN else OPEN)):
        if candidate.exists():
            return candidate
    return None
