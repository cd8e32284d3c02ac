"""Events as they come: out of a file with a line for each, or out of a spool."""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, Final

from aistrale.store.reader import FrameReader
from aistrale.store.segment import segments_in
from aistrale.telemetry._spool_files import read_cursors
from aistrale.telemetry._spool_format import decode
from aistrale.telemetry.encoding import decode_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BufferedReader
    from pathlib import Path

    from aistrale.telemetry.events import TelemetryEvent

_FIRST_LOOK: Final = 1 << 20
_BLOCK: Final = 1 << 20
# How often a file that was put aside is looked at once more: after a whole line, and after half of one.
_LOOKS: Final = 1
_LOOKS_UNFINISHED: Final = 20


class FileTail:
    """The events of a file, the last ones first of all, then what is added; one that was put aside is read to its end.

    Args:
        path: The file; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BufferedReader | None = None
        self._rest = b""
        self._looks = 0
        self._moved = False
        self.strange = 0
        """Lines that are no events."""

    def last(self, count: int, wanted: Callable[[TelemetryEvent], bool]) -> list[TelemetryEvent]:
        """The last events of a kind, oldest first; what is added later is for `new`.

        Raises:
            OSError: The file cannot be read.
        """
        file = self._open()
        size = file.seek(0, os.SEEK_END)
        look = _FIRST_LOOK
        while True:
            start = max(0, size - look)
            file.seek(start)
            lines = file.read(size - start).split(b"\n")
            self._rest = lines.pop()
            # The first one is not whole, unless it is the first of the file.
            found, strange = self._decoded(lines[1 if start else 0 :], wanted)
            if len(found) >= count or not start:
                self.strange = strange
                return found[len(found) - count :] if count < len(found) else found
            look *= 4

    def new(self, wanted: Callable[[TelemetryEvent], bool]) -> Iterator[TelemetryEvent]:
        """What was added since; nothing as long as there is no file.

        Raises:
            OSError: The file cannot be read.
        """
        while True:
            try:
                data = self._open().read(_BLOCK)
            except FileNotFoundError:
                # Put aside, and not begun anew yet.
                return
            if not data:
                if self._is_current() or self._may_grow():
                    return
                self.close()
                continue
            self._looks = 0
            *lines, self._rest = (self._rest + data).split(b"\n")
            found, strange = self._decoded(lines, wanted)
            self.strange += strange
            yield from found

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
        self._file, self._rest, self._looks = None, b"", 0

    def _open(self) -> BufferedReader:
        if self._file is None:
            self._file = self._path.open("rb")
        return self._file

    def _is_current(self) -> bool:
        """Whether the file that was read to its end is the one that the path leads to, or the path leads to none."""
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return True
        mine = os.fstat(self._open().fileno())
        self._moved = (mine.st_dev, mine.st_ino) != (there.st_dev, there.st_ino)
        return not self._moved and there.st_size >= self._open().tell()

    def _may_grow(self) -> bool:
        """Whether one that was put aside is looked at again: who had it open may be in the midst of writing to it."""
        self._looks += 1
        return self._moved and self._looks <= (_LOOKS_UNFINISHED if self._rest else _LOOKS)

    @staticmethod
    def _decoded(lines: list[bytes], wanted: Callable[[TelemetryEvent], bool]) -> tuple[list[TelemetryEvent], int]:
        found, strange = [], 0
        for line in lines:
            if not line.strip():
                continue
            try:
                event = decode_line(line)
            except ValueError:
                strange += 1
                continue
            if wanted(event):
                found.append(event)
        return found, strange


class SpoolTail:
    """The events of a spool that wait, then those that are added; what is delivered in between may be missed.

    Args:
        path: Its directory; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = read_cursors(path)
        self.strange = 0
        """Frames that are no events."""

    def last(self, count: int, wanted: Callable[[TelemetryEvent], bool]) -> list[TelemetryEvent]:
        """The last events that wait, oldest first."""
        return list(deque(self.new(wanted), maxlen=count))

    def new(self, wanted: Callable[[TelemetryEvent], bool]) -> Iterator[TelemetryEvent]:
        """What was added since."""
        for path in segments_in(str(self._path)):
            offset = self._seen.get(path.stem, 0)
            try:
                with path.open("rb") as file:
                    file.seek(offset)
                    reader = FrameReader(file.read(), offset, final=False, decode=decode)
            except FileNotFoundError:
                # Sealed or delivered since the directory was listed.
                continue
            for event, after in reader:
                self._seen[path.stem] = after
                if wanted(event):
                    yield event
            self._seen[path.stem] = reader.next_offset
            self.strange += reader.undecodable + reader.held

    def close(self) -> None:
        """Nothing is open."""
