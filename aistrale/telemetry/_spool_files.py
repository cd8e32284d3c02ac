"""What lies in a spool: where it is, how far it was delivered, how much waits, and what is in the way."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote, unquote

from aistrale.store.reader import FrameReader
from aistrale.store.segment import segments_in
from aistrale.telemetry._spool_format import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from aistrale.telemetry.events import TelemetryEvent
    from aistrale.types import JSON

T = TypeVar("T")

CURSORS: Final = "delivered.json"
TROUBLE: Final = "trouble.json"
_LONGEST_NAME: Final = 150


def spool_directory(data: Path, name: str) -> Path:
    """The spool of a sink.

    Args:
        data: The data directory.
        name: The sink's.
    """
    folder = quote(name, safe=" @+=,").replace(".", "%2E")
    if len(folder) > _LONGEST_NAME:
        folder = f"{folder[:_LONGEST_NAME]}~{sha256(name.encode('utf-8', 'replace')).hexdigest()[:16]}"
    return data / "spool" / folder


def spool_directories(data: Path) -> dict[str, Path]:
    """All spools on this disk, by the names of their sinks."""
    try:
        found = sorted(path for path in (data / "spool").iterdir() if path.is_dir())
    except OSError:
        return {}
    return {unquote(path.name): path for path in found}


def read_cursors(directory: Path) -> dict[str, int]:
    """Up to where each segment was delivered; nothing where that is not known: it is delivered again."""
    found = _read(directory / CURSORS)
    if not isinstance(found, dict):
        return {}
    return {name: offset for name, offset in found.items() if type(offset) is int and offset >= 0}


class Cursors:
    """Remembers how far each segment was delivered; used by one process at a time, the one that holds the lock.

    What the disk does not take is remembered in memory: a full disk must not keep from being delivered what fills it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[str, int] = {}
        self._stored = True
        self.trouble: str | None = None
        """Why the disk did not take it; None once it does."""

    def cursors(self) -> dict[str, int]:
        """The offset of every segment that is remembered."""
        found = read_cursors(self._directory)
        if not self._stored:
            found |= {name: max(offset, found.get(name, 0)) for name, offset in self._known.items()}
        self._known = found
        sizes = {path.stem: _size(path) for path in _segments(self._directory)}
        # One behind the end says nothing about what stands before it.
        return {name: 0 if offset > sizes.get(name, offset) else offset for name, offset in found.items()}

    def move(self, segment: str, offset: int) -> None:
        """Everything up to there is delivered."""
        self._known[segment] = offset
        self._store()

    def forget(self, segments: Collection[str]) -> None:
        """Drop the cursors of segments whose files are gone."""
        if any([self._known.pop(name, None) is not None for name in segments]):  # noqa: C419 - all are to be dropped
            self._store()

    def _store(self) -> None:
        self._stored = False
        try:
            _write(self._directory / CURSORS, dict(self._known))
        except OSError as error:
            self.trouble = f"how far it got is not stored: {error.strerror or type(error).__name__}"
        else:
            self._stored, self.trouble = True, None


def say_trouble(directory: Path, error: str | None, at: float) -> None:
    """Leave word of what is in the way for who looks at the spool from outside; None takes it back."""
    path = directory / TROUBLE
    with contextlib.suppress(OSError):
        if error is None:
            path.unlink(missing_ok=True)
        elif directory.is_dir():
            _write(path, {"error": error, "at": at})


@dataclass(slots=True, frozen=True, kw_only=True)
class SpoolStatus:
    """What waits in one spool, of all processes.

    Args:
        name: The sink's.
        path: The directory.
        events: How many wait.
        bytes: How many bytes of the disk they take.
        oldest: When the oldest of them happened, Unix seconds; None where none waits.
        error: What is in the way, as the process that tried last left word; None if nothing is.
        error_at: When it was, Unix seconds.
    """

    name: str
    path: Path
    events: int = 0
    bytes: int = 0
    oldest: float | None = None
    error: str | None = None
    error_at: float | None = None


def spool_status(name: str, directory: Path) -> SpoolStatus:
    """Look at a spool; nothing is changed, and no lock is taken."""
    cursors = read_cursors(directory)
    first = [next(_events(path, cursors.get(path.stem, 0)), None) for path in _segments(directory)]
    trouble = _read(directory / TROUBLE)
    error, at = (trouble.get("error"), trouble.get("at")) if isinstance(trouble, dict) else (None, None)
    return SpoolStatus(
        name=name,
        path=directory,
        events=count_waiting(directory),
        bytes=waiting_bytes(directory),
        oldest=min((event.at for event in first if event is not None), default=None),
        error=error if isinstance(error, str) else None,
        error_at=at if isinstance(at, float) else None,
    )


def waiting_bytes(directory: Path) -> int:
    """How many bytes of a spool are not delivered."""
    cursors = read_cursors(directory)
    return sum(max(0, _size(path) - cursors.get(path.stem, 0)) for path in _segments(directory))


def count_waiting(directory: Path) -> int:
    """How many events of a spool are not delivered; they are counted without a look at what is in them."""
    cursors = read_cursors(directory)
    return sum(sum(1 for _ in _payloads(path, cursors.get(path.stem, 0), bytes)) for path in _segments(directory))


def _segments(directory: Path) -> list[Path]:
    try:
        return segments_in(str(directory))
    except OSError:
        return []


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _events(path: Path, offset: int) -> Iterator[TelemetryEvent]:
    return _payloads(path, offset, decode)


def _payloads(path: Path, offset: int, made: Callable[[bytes], T]) -> Iterator[T]:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read()
    except OSError:
        # Its process has sealed or delivered it since the directory was listed.
        return
    for found, _ in FrameReader(data, offset, final=False, decode=made):
        yield found


def _read(path: Path) -> JSON:
    try:
        found: JSON = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found


def _write(path: Path, value: JSON) -> None:
    """Replace a file, so that who dies in the midst of it leaves the old one."""
    # One name for all processes: only the one that holds the lock writes, and those that die leave no more than one.
    other = path.with_name(f".{path.name}.new")
    other.write_text(json.dumps(value), encoding="ascii")
    other.replace(path)
