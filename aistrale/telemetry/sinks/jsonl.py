"""Events in a file, one line of JSON each; several processes may share the file, and it is rotated.

Every batch is one `write` of whole lines to a file opened with O_APPEND, under an exclusive `flock`. Under the same
lock a file that is too big or too old is renamed, and a process that then finds the path leading elsewhere opens it
anew. The promise is one of local file systems; where there is no `flock` (Windows), one process a file,
and no rotation, since open files cannot be renamed there.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self, TypeAlias, cast

from aistrale.telemetry.address import checked_kinds, flag, kinds, read_address, size, whole, word, wrong
from aistrale.telemetry.encoding import encode_line
from aistrale.telemetry.sinks.rotated import Rotated, lock

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from aistrale.telemetry.events import TelemetryEvent

When: TypeAlias = Literal["hour", "day"]

_FORMATS: Final = {"hour": "%Y%m%d%H", "day": "%Y%m%d"}
_OPTIONS: Final = {
    "max_bytes": size,
    "backups": whole,
    "when": word,
    "gzip": flag,
    "fsync": flag,
    "kinds": kinds,
}
# A file that is renamed again and again between our opening and locking it is not a thing that happens.
_TRIES: Final = 100
_PREAD: Final = hasattr(os, "pread")


class JSONLinesSink:
    """Appends a line for each event. By default the file grows for ever and nothing is ever deleted.

    `decode_line` of `aistrale.telemetry` reads a line back. A line that a dying machine left unfinished is ended by
    the next writer, and is no JSON: readers pass over it.

    Args:
        path: The file, made with mode 0600 at the first event, its directories with it.
        max_bytes: A file that would grow beyond it is put aside, at least 1; None for no limit. A batch is not parted:
            a file that holds only one may be bigger.
        backups: How many files that were put aside are kept, at least 0; None for all.
        when: "day" or "hour": a file that was last written to in an earlier one (UTC) is put aside.
        gzip: Whether files that were put aside are compressed.
        fsync: Whether `write` returns only when the lines are on the disk; costs milliseconds.
        kinds: Which kinds of events; None for all.
        clock: Unix seconds.

    Raises:
        ConfigurationError: An argument is wrong; field "sinks".
    """

    name = "jsonl"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_bytes: int | None = None,
        backups: int | None = None,
        when: When | None = None,
        gzip: bool = False,
        fsync: bool = False,
        kinds: Collection[str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = _path(path)
        if max_bytes is not None and max_bytes < 1:
            raise wrong("jsonl: max_bytes must be at least 1")
        if backups is not None and backups < 0:
            raise wrong("jsonl: backups must be at least 0")
        if when is not None and when not in _FORMATS:
            raise wrong('jsonl: when must be "day" or "hour"')
        self.kinds = None if kinds is None else checked_kinds(kinds, "jsonl: kinds")
        self._max_bytes = max_bytes
        self._period = None if when is None else _FORMATS[when]
        self._fsync = fsync
        self._clock = clock
        self._rotated = Rotated(self.path, keep=backups, compress=gzip)
        self._fd: int | None = None
        self._lock = threading.Lock()

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The sink of "jsonl:calls.jsonl?max_bytes=100MB&backups=10&when=day&gzip=1&fsync=1&kinds=call.finished"."""
        place, options = read_address(url, _OPTIONS)
        if place.startswith("//"):
            if not place.startswith("///"):
                raise wrong("jsonl: the address names a host", 'Write "jsonl:relative/path" or "jsonl:/absolute/path".')
            place = place.removeprefix("//")
        return cls(place, **options)  # type: ignore[arg-type]  # as the readers of the options give them

    def write(self, events: Sequence[TelemetryEvent], /) -> None:
        """Append them, all or none.

        Raises:
            OSError: The file cannot be written, or the disk is full.
        """
        if not events:
            return
        data = b"".join(encode_line(event) + b"\n" for event in events)
        with self._lock:
            put_aside = self._append(data)
        if put_aside:
            # Without any lock: compressing takes its time, and others write on meanwhile.
            self._rotated.tidy()

    def after_fork(self) -> None:
        """The descriptor belongs to both processes, and its lock with it: this one opens its own."""
        self._lock = threading.Lock()
        self._forget()

    def close(self) -> None:
        """Close the file; a later `write` opens it again."""
        with self._lock:
            self._forget()

    def __del__(self) -> None:
        # Of a client that was forgotten: the number of a descriptor closes nothing by itself.
        if hasattr(self, "_fd"):
            self._forget()

    def _append(self, data: bytes) -> bool:
        put_aside = False
        for _ in range(_TRIES):
            fd = self._fd if self._fd is not None else self._open()
            with lock(fd):
                state = os.fstat(fd)
                ours = self._is_ours(state)
                if ours and not self._is_over(state, len(data)):
                    self._append_whole(fd, data, state.st_size)
                    return put_aside
                if ours:
                    self._rotated.put_aside(self._clock())
                    put_aside = True
            # Not before the lock is given back: the number of a closed descriptor may be another file's by then.
            self._forget()
        raise OSError(f"{self.path} was replaced again and again while it was opened")

    def _append_whole(self, fd: int, data: bytes, before: int) -> None:
        if before and _PREAD and os.pread(fd, 1, before - 1) != b"\n":
            # Somebody died in the middle of a line.
            data = b"\n" + data
        try:
            written = os.write(fd, data)
            while written < len(data):
                written += os.write(fd, data[written:])
            if self._fsync:
                os.fsync(fd)
        except OSError:
            # All or none: we have the lock, so that what stands behind `before` is our own.
            with contextlib.suppress(OSError):
                os.ftruncate(fd, before)
            raise

    def _is_ours(self, state: os.stat_result) -> bool:
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return False
        return (there.st_ino, there.st_dev) == (state.st_ino, state.st_dev)

    def _is_over(self, state: os.stat_result, more: int) -> bool:
        if not state.st_size:
            return False
        if self._max_bytes is not None and state.st_size + more > self._max_bytes:
            return True
        return self._period is not None and self._of(state.st_mtime) != self._of(self._clock())

    def _of(self, at: float) -> str:
        return datetime.fromtimestamp(at, UTC).strftime(cast("str", self._period))

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        try:
            self._fd = os.open(self.path, flags, 0o600)
        except FileNotFoundError:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._fd = os.open(self.path, flags, 0o600)
        return self._fd

    def _forget(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            with contextlib.suppress(OSError):
                os.close(fd)


def _path(path: object) -> Path:
    text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else ""
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        raise wrong("jsonl needs the path of a file", 'Such as "jsonl:calls.jsonl".')
    try:
        # The current directory may change.
        found = Path(text).expanduser().absolute()
    except (OSError, RuntimeError):
        raise wrong("jsonl: the path's home or current directory is not known") from None
    if os.path.isdir(found):  # noqa: PTH112 - Path.is_dir raises where it may not look
        raise wrong(f"jsonl: {found} is a directory, not a file")
    return found
