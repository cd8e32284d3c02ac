"""One segment file of the journal: how it is created, claimed, recognised as alive, and let go.

The name is `{boot}-{pid}-{start_ns}-{number}{random}` with `.open`, or `.seal` once its writer has moved on. The
first three parts name the writer, a process; the last one the segment: later ones stand behind earlier ones. What
counts is not the suffix but the lock: a segment is final when nobody holds its `flock`, which the kernel gives back
in every way that a process can die.
"""

from __future__ import annotations

import contextlib
import errno
import os
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import fcntl
else:
    # Here and not at its use: finalizers still write while the interpreter goes down, when nothing can be imported.
    try:
        import fcntl
    except ImportError:
        fcntl = None

OPEN: Final = ".open"
SEALED: Final = ".seal"
RESERVE: Final = "reserve"
RESERVE_SIZE: Final = 1 << 20

_numbers = count()


def lock_file(fd: int) -> bool:
    """Take the exclusive lock of an open file without waiting.

    Args:
        fd: Descriptor of the file.

    Returns:
        False when another open file description holds it, in this process or elsewhere.

    Raises:
        OSError: The file system or platform has no such lock.
    """
    if fcntl is None:
        raise OSError(errno.ENOTSUP, "this platform has no flock")
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@lru_cache(maxsize=1)
def boot_id() -> str:
    """Eight hexadecimal digits that change when the machine restarts; zeros where it does not tell."""
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except (OSError, ValueError):
        return "0" * 8
    return text.replace("-", "")[:8]


def writer_of(stem: str) -> str:
    """The writer's part of a segment's name without suffix."""
    return stem.rpartition("-")[0]


def segments_in(directory: str) -> list[Path]:
    """The segments of a journal directory, oldest writers first; none when it does not exist.

    Raises:
        OSError: The directory cannot be read.
    """
    try:
        names = os.listdir(directory)  # noqa: PTH208 - names are filtered before a Path is made of each
    except FileNotFoundError:
        return []
    return [Path(directory, name) for name in sorted(names) if name.endswith((OPEN, SEALED))]


def live_writers(directory: str) -> set[str]:
    """The writers that hold a segment of a journal directory, by `writer_of`.

    A segment that cannot be looked at counts as alive: the caller must not declare lost what may be in
    progress.

    Raises:
        OSError: The directory cannot be read.
    """
    alive: set[str] = set()
    for path in segments_in(directory):
        try:
            fd = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        except OSError:
            alive.add(writer_of(path.stem))
            continue
        try:
            if not lock_file(fd):
                alive.add(writer_of(path.stem))
        finally:
            os.close(fd)
    return alive


class Segment:
    """An open segment that this process writes to.

    The descriptor is closed when the last reference goes. That is what lets writers work without a lock: one
    that still holds an old segment while another thread has moved on keeps it open, and locked, until its
    write is done.

    Args:
        directory: The journal directory; it and the one above are created with mode 0700 if absent.
        writer: The writer's part of the name.
        opened_at: Monotonic seconds, for the age of the segment.
        durable: Whether its directory entry is to survive a power loss, too.

    Raises:
        OSError: It cannot be created or locked.
    """

    __slots__ = ("_identity", "dirty", "fd", "opened_at", "path", "size")

    def __init__(self, directory: str, writer: str, opened_at: float, *, durable: bool = False) -> None:
        self.fd = -1
        # One by one: makedirs gives its mode to the last of several new directories only.
        for path in (os.path.dirname(directory), directory):  # noqa: PTH120 - plain strings here
            os.makedirs(path or os.curdir, mode=0o700, exist_ok=True)  # noqa: PTH103
        self.path, self.fd = _create(directory, writer)
        status = os.fstat(self.fd)
        self._identity = (status.st_dev, status.st_ino)
        self.opened_at = opened_at
        self.size = 0
        self.dirty = False
        if durable:
            _sync_directory(directory)

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Close the descriptor, unless it has become somebody else's."""
        fd, self.fd = self.fd, -1
        if fd < 0:
            return
        # A process that closed all descriptors to become a daemon may use the number for something else by
        # now.
        with contextlib.suppress(OSError):
            if _identity(fd) == self._identity:
                os.close(fd)

    def is_linked(self) -> bool:
        """Whether the descriptor still is this file, and the file has a name by which others find it."""
        try:
            status = os.fstat(self.fd)
        except OSError:
            return False
        return status.st_nlink > 0 and (status.st_dev, status.st_ino) == self._identity

    def seal(self) -> None:
        """Rename to `.seal`; a segment that was moved or deleted meanwhile is left as it is."""
        with contextlib.suppress(OSError):
            os.rename(self.path, self.path[: -len(OPEN)] + SEALED)  # noqa: PTH104 - plain strings here

    def read_back(self) -> bytes:
        """What was written so far, also when the file has lost its name.

        Returns:
            The bytes; none if the descriptor has become another file.

        Raises:
            OSError: It cannot be read.
        """
        status = os.fstat(self.fd)
        if (status.st_dev, status.st_ino) != self._identity:
            return b""
        return os.pread(self.fd, status.st_size, 0)


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _create(directory: str, writer: str) -> tuple[str, int]:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
    for _ in range(100):
        number = f"{next(_numbers) & 0xFFFFFFFF:08x}{os.urandom(4).hex()}"
        path = os.path.join(directory, f"{writer}-{number}{OPEN}")  # noqa: PTH118
        fd = os.open(path, flags, 0o600)
        try:
            # Between creation and lock a shipper may take the empty file for a dead writer's and delete it.
            if lock_file(fd) and os.fstat(fd).st_nlink > 0:
                return path, fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
    raise OSError(errno.EAGAIN, "no new segment could be locked", directory)


def _sync_directory(directory: str) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_reserve(directory: str) -> None:
    """Put aside a megabyte of disk that `release_reserve` gives back; nothing where there is no room."""
    path = os.path.join(directory, RESERVE)  # noqa: PTH118
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError:
        return
    try:
        os.posix_fallocate(fd, 0, RESERVE_SIZE)
    except (OSError, AttributeError):
        # A reserve that is not whole would be released for nothing.
        with contextlib.suppress(OSError):
            os.unlink(path)  # noqa: PTH108
    finally:
        os.close(fd)


def release_reserve(directory: str) -> bool:
    """Free the reserve; False when there is none."""
    try:
        os.unlink(os.path.join(directory, RESERVE))  # noqa: PTH108, PTH118
    except OSError:
        return False
    return True
