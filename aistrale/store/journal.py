"""The journal: where rows go first, with one write in the calling thread.

**What "acknowledged" means.** `Journal.append` returned True: the whole frame of every row of that call was
accepted by `write(2)`, so its bytes are in the kernel's page cache for a file of the journal. From that
instant the rows survive every death of the process: an exception, `os._exit`, a segmentation fault, `kill
-9`. What they survive besides depends on `durability`:

- `"process"` (default): nothing more. A power loss or a crash of the kernel may take the last seconds.
- `"group"`: a background thread calls `fdatasync` about 50 ms after the first unsynced row, or at 100
  unsynced rows. A power loss may take rows acknowledged within that time; `sync()` returns when there are
  none.
- `"each"`: True means that `fdatasync` has returned, too: acknowledged rows survive a power loss. Costs
  milliseconds.

False means that no such promise is made for at least one row of that call: it waits in memory (at most
`memory_limit` rows) and is written when the disk takes it, or it was dropped; `status()` counts both. An
exception never leaves `append`. The promise is one of local file systems: `O_APPEND` and `flock` are not what
they say on NFS. A directory that is deleted under a running process takes the names of its files away: the
next append after a second notices it and writes the rows again, from the nameless file into a new one; a
process that dies before that loses them.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, Literal, TypeAlias, TypeVar

from aistrale.core.worker import Worker, check_fork, on_fork
from aistrale.store.backlog import Backlog
from aistrale.store.reader import frame_of, split_frames
from aistrale.store.records import Row, encode_row
from aistrale.store.segment import Segment, boot_id, make_reserve, release_reserve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

_log = logging.getLogger("aistrale.store")

Durability: TypeAlias = Literal["process", "group", "each"]

SEGMENT_BYTES: Final = 8 << 20
SEGMENT_SECONDS: Final = 60.0
MEMORY_LIMIT: Final = 10_000
GROUP_SECONDS: Final = 0.05
GROUP_ROWS: Final = 100
_CHECK_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 0.25
_BATCH_ROWS: Final = 256

_getpid = os.getpid
_write = os.write


@dataclass(slots=True, kw_only=True)
class JournalStatus:
    """What the journal has done so far in this process.

    Args:
        directory: Where the segments are; None when there is no usable place.
        path: The segment that is written to; None before the first row.
        acknowledged: Rows for which the promise of the module was made.
        waiting: Rows in memory that the disk has not taken yet.
        recovered: Rows that had to wait in memory and have been written since.
        dropped: Rows that are lost, by reason: an errno ("ENOSPC"), "no directory", "unencodable".
        last_error: What went wrong last, in words; None if nothing did.
    """

    directory: str | None
    path: str | None
    acknowledged: int
    waiting: int
    recovered: int
    dropped: dict[str, int] = field(default_factory=dict)
    last_error: str | None = None


class FrameLog(Generic[T]):
    """An append-only journal of this process; safe in threads, forks, finalisers and signal handlers.

    Nothing is created on disk before the first `append`. A subclass says how its rows are written, and what they are
    called in logs.

    Args:
        directory: Where segments are kept, shared by any number of processes; None keeps rows in memory only.
        durability: What an acknowledged row survives; see the module.
        clock: Monotonic seconds.
        wall_ns: Nanoseconds since the epoch, used in file names only.
        memory_limit: How many rows wait in memory when the disk does not take them.
    """

    _what: str

    def __init__(
        self,
        directory: str | os.PathLike[str] | None,
        *,
        durability: Durability = "process",
        clock: Callable[[], float] = time.monotonic,
        wall_ns: Callable[[], int] = time.time_ns,
        memory_limit: int = MEMORY_LIMIT,
    ) -> None:
        self.directory = None if directory is None else os.fspath(directory)
        self.durability: Durability = durability
        self._clock = clock
        self._wall_ns = wall_ns
        self._memory_limit = memory_limit
        self._last_error: str | None = None
        self._cause = "no directory"
        self._reported: set[str] = set()
        self._dirty: deque[Segment] = deque()
        self._syncer = Worker(self.sync, name="aistrale-journal-sync", delay=GROUP_SECONDS)
        self._segment: Segment | None = None
        self._reset()
        on_fork(self._after_fork)

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._writer = f"{boot_id()}-{self._pid}-{self._wall_ns()}"
        # Reentrant, because a finaliser may append while this very thread holds it.
        self._lock = threading.RLock()
        self._rolling = threading.Lock()
        self._backlog = Backlog(self._memory_limit)
        self._dropped: Counter[str] = Counter()
        self._acknowledged = 0
        self._recovered = 0
        self._unsynced = 0
        self._check_at = 0.0
        self._retry_at = 0.0

    def _after_fork(self) -> None:
        """The parent goes on with its segment and its waiting rows; this child starts with neither."""
        segments = {id(s): s for s in (self._segment, *self._dirty) if s is not None}
        self._segment = None
        self._dirty.clear()
        # Closed by hand: frames of the parent's other threads, frozen in this child, may hold references for
        # ever.
        for segment in segments.values():
            segment.close()
        self._reset()

    @property
    def writer(self) -> str:
        """How this process is named in its segments and, for intents, in the ledger."""
        return self._writer

    def _encode(self, row: T) -> bytes:
        """What is written of a row: ASCII. What it raises makes the row one that is dropped."""
        raise NotImplementedError

    def append(self, *rows: T) -> bool:
        """Write rows, all in one `write(2)`.

        Args:
            *rows: What to write.

        Returns:
            True when all of them are acknowledged, in the sense of the module; never raises.
        """
        if _getpid() != self._pid:
            check_fork()
        try:
            if len(rows) == 1:
                data = frame_of(self._encode(rows[0]))
            else:
                data = b"".join([frame_of(self._encode(row)) for row in rows])
        except Exception as error:  # noqa: BLE001 - whatever a row holds, the call it tells about goes on
            return self._append_what_encodes(rows, error)
        segment = self._segment or self._open()
        if segment is None or self._backlog.frames:
            return self._append_slowly(split_frames(data))
        try:
            written = _write(segment.fd, data)
        except (OSError, ValueError) as error:
            self._recover_from(error)
            return self._append_slowly(split_frames(data))
        if written != len(data):
            return self._append_rest(segment, split_frames(data), written)
        with self._lock:
            segment.size += written
            self._acknowledged += len(rows)
        if self.durability != "process" and not self._make_durable(segment, len(rows)):
            with self._lock:
                self._acknowledged -= len(rows)
            return self._append_slowly(split_frames(data))
        if segment.size >= SEGMENT_BYTES or self._clock() >= self._check_at:
            self._look_after(segment)
        return True

    # -- when something is not as usual --------------------------------------------------------------------

    def _append_what_encodes(self, rows: Sequence[T], error: Exception) -> bool:
        if len(rows) > 1:
            return all([self.append(row) for row in rows])  # noqa: C419 - every row is to be tried
        # Only the class: the text of the error could quote the value.
        self._last_error = f"a row could not be encoded: {type(error).__name__}"
        self._drop("unencodable", 1)
        return False

    def _append_rest(self, segment: Segment, frames: Sequence[bytes], written: int) -> bool:
        """After a short write: its whole frames stand, the torn one is passed over by every reader."""
        done = _whole(frames, written)
        if done and self.durability != "process" and not self._make_durable(segment, done):
            done = 0
        with self._lock:
            self._acknowledged += done
        self._recover_from(OSError(errno.ENOSPC, "short write"))
        return self._append_slowly(frames[done:])

    def _append_slowly(self, frames: Sequence[bytes]) -> bool:
        """Queue the rows behind those that wait, and try to write all; True if these came to be written."""
        with self._lock:
            taken = self._backlog.add(frames)
            if taken < len(frames):
                self._drain(_BATCH_ROWS)
                taken += self._backlog.add(frames[taken:])
            ticket = self._backlog.ticket()
            self._drain(_BATCH_ROWS + len(frames))
            written = self._backlog.is_written(ticket)
            if written:
                self._recovered -= taken
        if taken < len(frames):
            self._drop(self._cause, len(frames) - taken)
        return written and taken == len(frames)

    def retry(self) -> bool:
        """Try to write the rows that wait in memory.

        Returns:
            True when none are left.
        """
        check_fork()
        with self._lock:
            self._retry_at = 0.0
            self._drain(len(self._backlog))
            return not self._backlog

    def _drain(self, limit: int) -> None:
        """Move up to `limit` waiting rows to the disk; a failure is tried once more, then later."""
        failures = 0
        while limit > 0 and self._backlog and self._clock() >= self._retry_at:
            segment = self._segment or self._open()
            if segment is None:
                return
            batch = self._backlog.take(min(limit, _BATCH_ROWS))
            written = 0
            try:
                written = self._write_batch(segment, batch)
            finally:
                # Also when a signal handler raised: what was taken out must not get lost.
                self._backlog.settle(batch, written)
            limit -= written
            self._acknowledged += written
            self._recovered += written
            failures += written < len(batch)
            if failures > 1:
                self._retry_at = self._clock() + _RETRY_SECONDS

    def _write_batch(self, segment: Segment, batch: Sequence[bytes]) -> int:
        data = b"".join(batch)
        try:
            written = _write(segment.fd, data)
        except (OSError, ValueError) as error:
            self._recover_from(error)
            return 0
        segment.size += written
        done = _whole(batch, written)
        if written < len(data):
            self._recover_from(OSError(errno.ENOSPC, "short write"))
        return done if self.durability == "process" or self._make_durable(segment, done) else 0

    def _recover_from(self, error: Exception) -> None:
        """Make the next write possible: free the reserve of a full disk, or leave a broken segment."""
        self._note(error)
        full = getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT}
        if not full:
            self._segment = None
        elif self.directory is not None and release_reserve(self.directory):
            self._report("the disk is full; the journal has released its reserve of 1 MB")

    def _open(self) -> Segment | None:
        """The segment to write to, a new one if there is none; None when that does not work at the moment."""
        with self._lock:
            if self._segment is not None:
                return self._segment
            if self.directory is None:
                self._last_error = "there is no directory for the journal"
                self._report(f"{self._last_error}; {self._what} are kept in memory")
                return None
            if self._clock() < self._retry_at:
                return None
            try:
                segment = self._new_segment(self.directory)
            except (OSError, ValueError) as error:
                self._retry_at = self._clock() + _RETRY_SECONDS
                self._recover_from(error)
                return None
            self._segment = segment
            self._check_at = self._clock() + _CHECK_SECONDS
            make_reserve(self.directory)
            return segment

    def _new_segment(self, directory: str) -> Segment:
        return Segment(directory, self._writer, self._clock(), durable=self.durability != "process")

    # -- once a second -------------------------------------------------------------------------------------

    def _look_after(self, segment: Segment) -> None:
        """Roll over a segment that is full or old, and leave one that others cannot find any more."""
        if not self._rolling.acquire(blocking=False):
            return
        try:
            now = self._clock()
            self._check_at = now + _CHECK_SECONDS
            if self._segment is not segment or self.directory is None:
                return
            if not segment.is_linked():
                self._rescue(segment)
            elif segment.size >= SEGMENT_BYTES or now - segment.opened_at >= SEGMENT_SECONDS:
                self._segment = self._new_segment(self.directory)
                segment.seal()
                make_reserve(self.directory)
        except (OSError, ValueError) as error:
            # The old segment goes on as long as it takes rows.
            self._note(error)
        finally:
            self._rolling.release()

    def _rescue(self, segment: Segment) -> None:
        """Write the rows of a segment again that others cannot find or the disk did not keep."""
        if self._segment is segment:
            self._segment = None
        self._report(f"the journal file {segment.path} was deleted or is damaged; a new one is used")
        frames = split_frames(segment.read_back())
        with self._lock:
            # They were acknowledged, so no limit holds, and they are counted again as they are written again.
            self._backlog.add_always(frames)
            self._acknowledged -= len(frames)
        self.retry()

    # -- power loss ----------------------------------------------------------------------------------------

    def _make_durable(self, segment: Segment, count: int) -> bool:
        if self.durability == "group":
            if not segment.dirty:
                segment.dirty = True
                self._dirty.append(segment)
            self._unsynced += count
            if self._unsynced >= GROUP_ROWS:
                self._unsynced = 0
                self._syncer.hurry()
            else:
                self._syncer.wake()
            return True
        try:
            os.fdatasync(segment.fd)
        except (OSError, ValueError) as error:
            # After a failed sync the kernel may have forgotten the pages: the rows must be written elsewhere.
            self._note(error)
            self._segment = None
            return False
        return True

    def sync(self) -> None:
        """Return when every acknowledged row is on the disk; only "group" has something to do."""
        while self._dirty:
            try:
                segment = self._dirty.popleft()
            except IndexError:
                return
            segment.dirty = False
            try:
                os.fdatasync(segment.fd)
            except (OSError, ValueError) as error:
                self._note(error)
                with contextlib.suppress(OSError):
                    self._rescue(segment)

    # -- telling -------------------------------------------------------------------------------------------

    def _drop(self, reason: str, count: int) -> None:
        with self._lock:
            self._dropped[reason] += count
        self._report(f"{self._what} are lost ({reason}): {self._last_error}")

    def _note(self, error: Exception) -> None:
        self._last_error = f"{type(error).__name__}: {error}"
        self._cause = errno.errorcode.get(getattr(error, "errno", None) or 0, type(error).__name__)
        self._report(f"the journal in {self.directory} has trouble: {self._last_error}", self._cause)

    def _report(self, text: str, cause: str | None = None) -> None:
        """Log once per cause; not `warnings.warn`, which may have been turned into an exception."""
        cause = cause or text
        if cause not in self._reported:
            self._reported.add(cause)
            with contextlib.suppress(Exception):
                _log.warning("%s", text)

    def status(self) -> JournalStatus:
        """Counts, the last error and where rows go."""
        segment = self._segment
        with self._lock:
            return JournalStatus(
                directory=self.directory,
                path=None if segment is None else segment.path,
                acknowledged=self._acknowledged,
                waiting=len(self._backlog),
                recovered=self._recovered,
                dropped=dict(self._dropped),
                last_error=self._last_error,
            )

    def close(self) -> None:
        """Write what waits, sync, and seal the segment; a later `append` simply starts a new one."""
        self.retry()
        self.sync()
        self._syncer.close(timeout=1.0)
        segment, self._segment = self._segment, None
        if segment is not None:
            segment.seal()


class Journal(FrameLog[Row]):
    """The journal of the ledger's rows; see `FrameLog`."""

    _what = "ledger rows"

    def _encode(self, row: Row) -> bytes:
        return encode_row(row)


def _whole(frames: Sequence[bytes], written: int) -> int:
    """How many frames lie whole within the first bytes."""
    done = 0
    for one in frames:
        written -= len(one)
        if written < 0:
            break
        done += 1
    return done
