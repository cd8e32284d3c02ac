"""Files that were put aside: named by the moment, compressed, and deleted when there are too many."""

from __future__ import annotations

import contextlib
import gzip
import logging
import os
import re
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import fcntl
    from collections.abc import Iterator
    from pathlib import Path
else:
    # Here and not at its use: finalizers still write while the interpreter goes down, when nothing can be imported.
    try:
        import fcntl
    except ImportError:
        fcntl = None

_log = logging.getLogger("aistrale.telemetry")

STAMP: Final = "%Y%m%dT%H%M%S.%fZ"
"""When a file was put aside (UTC); the names of files sort by it."""

_SPOOLED: Final = ".gz.part"


@contextlib.contextmanager
def lock(fd: int) -> Iterator[None]:
    """Be the only one, of all processes, who holds this file's lock; nothing where the platform has none."""
    if fcntl is None:
        yield
        return
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)


class Rotated:
    """The older files of a path: `calls.jsonl` is put aside as `calls.20261122T101500.000000Z.jsonl`.

    Args:
        path: The file that is written to.
        keep: How many older ones are kept; None for all.
        compress: Whether they are compressed, to `...jsonl.gz`.
    """

    def __init__(self, path: Path, *, keep: int | None, compress: bool) -> None:
        self._path = path
        self._keep = keep
        self._compress = compress
        stem, suffix = re.escape(path.stem), re.escape(path.suffix)
        self._pattern = re.compile(rf"{stem}\.(\d{{8}}T\d{{6}}\.\d{{6}}Z){suffix}(\.gz|{re.escape(_SPOOLED)})?")
        self._warned = False

    def put_aside(self, now: float) -> None:
        """Rename the file; whoever asks holds its lock."""
        moment = datetime.fromtimestamp(now, UTC)
        while True:
            aside = self._path.with_name(f"{self._path.stem}.{moment.strftime(STAMP)}{self._path.suffix}")
            # A clock may stand still or go back: nothing that is there is overwritten.
            if not aside.exists() and not aside.with_name(f"{aside.name}.gz").exists():
                break
            moment += timedelta(microseconds=1)
        self._path.rename(aside)

    def tidy(self) -> None:
        """Delete what is too much and compress the rest; what does not work is logged once and tried next time."""
        try:
            names = sorted(entry.name for entry in os.scandir(self._path.parent) if self._pattern.fullmatch(entry.name))
            stamps = sorted({self._stamp(name) for name in names})
            old = set(stamps[: max(len(stamps) - self._keep, 0)] if self._keep is not None else ())
            for name in names:
                file = self._path.with_name(name)
                if self._stamp(name) in old:
                    file.unlink(missing_ok=True)
                elif self._compress and not name.endswith((".gz", _SPOOLED)):
                    _compress(file)
        except OSError as error:
            if not self._warned:
                self._warned = True
                _log.warning("old files of %s stay as they are: %s", self._path, error.strerror or type(error).__name__)

    def _stamp(self, name: str) -> str:
        match = self._pattern.fullmatch(name)
        return match[1] if match else ""


def _compress(file: Path) -> None:
    """Replace a file by its compressed form, unless another process has done it."""
    with contextlib.ExitStack() as stack:
        try:
            source = stack.enter_context(file.open("rb"))
        except FileNotFoundError:
            return
        # Whoever compresses holds the lock of the file; so does, for a moment, a writer who finds that it was renamed.
        stack.enter_context(lock(source.fileno()))
        if not os.fstat(source.fileno()).st_nlink:
            return
        part = file.with_name(f"{file.name}{_SPOOLED}")
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with (
                os.fdopen(fd, "wb") as raw,
                gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6) as target,
            ):
                shutil.copyfileobj(source, target, 1 << 20)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        part.rename(file.with_name(f"{file.name}.gz"))
        file.unlink(missing_ok=True)
