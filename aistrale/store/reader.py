"""Reading journal segments: frames, and how to find the next good one after a torn or damaged one.

A frame is `marker(4) length(4) crc32(4) payload`, big-endian; the checksum of the payload starts from the
length, so that it vouches for both. The marker has bytes above 0x7f and payloads are ASCII, so a marker never
stands inside a payload, and the frame after a damaged one is always found.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, TypeVar
from zlib import crc32

from aistrale.store.records import NewerRowError, Row, decode_row, encode_row

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

T = TypeVar("T")

MARKER: Final = b"\xa6\xe1\xb7\xd3"
MAX_PAYLOAD: Final = 1 << 20
_HEADER: Final = struct.Struct(">4sII")
_pack = _HEADER.pack


def frame(row: Row) -> bytes:
    """A row as one frame of a segment.

    Args:
        row: The row to write.

    Returns:
        The bytes to append.

    Raises:
        KeyError: The object is not a row.
        TypeError: A column holds something that JSON cannot say.
        RecursionError: A column is nested too deeply.
        ValueError: The row is larger than `MAX_PAYLOAD` bytes.
    """
    return frame_of(encode_row(row))


def frame_of(payload: bytes) -> bytes:
    """A frame around what is in it.

    Args:
        payload: ASCII.

    Raises:
        ValueError: It is larger than `MAX_PAYLOAD` bytes.
    """
    length = len(payload)
    if length > MAX_PAYLOAD:
        raise ValueError(f"the row has {length} bytes; a journal row has at most {MAX_PAYLOAD}")
    return _pack(MARKER, length, crc32(payload, length)) + payload


def payload_at(data: bytes, position: int) -> tuple[bytes, int] | None:
    """The payload of the whole frame that starts at a position, and where the next frame starts.

    Args:
        data: Bytes of a segment.
        position: Index into them.

    Returns:
        None when no whole and intact frame starts there.
    """
    start = position + _HEADER.size
    if len(data) < start:
        return None
    marker, length, checksum = _HEADER.unpack_from(data, position)
    end = start + length
    if marker != MARKER or end > len(data) or length > MAX_PAYLOAD:
        return None
    payload = data[start:end]
    return (payload, end) if crc32(payload, length) == checksum else None


class FrameReader(Generic[T]):
    """An iterator over what the frames in some bytes of a segment hold.

    Args:
        data: The bytes, from `offset` to the end of the segment.
        offset: Where in the segment they start: 0 or a `next_offset` of an earlier reading.
        final: True when nobody writes to the segment any more, so that bytes at its end that are no frame
            are damage. False leaves them for the next reading, as they may be a write in progress.
        decode: What a payload holds; raises NewerRowError or ValueError.

    Attributes:
        next_offset: Up to where everything was yielded or skipped. Where `held` is set, the row stands there.
        skipped: How many damaged stretches were passed over.
        skipped_bytes: Their size, bytes.
        undecodable: Intact frames that hold no row of a known kind; passed over, too.
        held: A row of a newer version was met: the iteration ends before it.
    """

    def __init__(self, data: bytes, offset: int = 0, *, final: bool = True, decode: Callable[[bytes], T]) -> None:
        self._data = data
        self._decode = decode
        self._base = offset
        self._final = final
        self.next_offset = offset
        self.skipped = 0
        self.skipped_bytes = 0
        self.undecodable = 0
        self.held = False

    def __iter__(self) -> Iterator[tuple[T, int]]:
        position = self.next_offset - self._base
        while (found := self._find(position)) is not None:
            payload, position = found
            try:
                row = self._decode(payload)
            except NewerRowError:
                self.held = True
                return
            except ValueError:
                self.undecodable += 1
                self.next_offset = self._base + position
                continue
            self.next_offset = self._base + position
            yield row, self.next_offset

    def _find(self, position: int) -> tuple[bytes, int] | None:
        """The first intact frame at or after a position; damage before it is counted."""
        start = position
        while 0 <= start < len(self._data):
            found = payload_at(self._data, start)
            if found is not None:
                self._skip(position, start)
                return found
            start = self._data.find(MARKER, start + 1)
        if self._final:
            self._skip(position, len(self._data))
        return None

    def _skip(self, start: int, end: int) -> None:
        if end > start:
            self.skipped += 1
            self.skipped_bytes += end - start
            self.next_offset = self._base + end


class SegmentReader(FrameReader[Row]):
    """The rows of the ledger in some bytes of a segment; see `FrameReader`."""

    def __init__(self, data: bytes, offset: int = 0, *, final: bool = True) -> None:
        super().__init__(data, offset, final=final, decode=decode_row)


def read_segment(path: str | os.PathLike[str], offset: int = 0, *, final: bool = True) -> SegmentReader:
    """The rows of a segment, each with the offset after it.

    Args:
        path: The segment.
        offset: Byte offset to start at.
        final: Whether nobody writes to it any more, see `SegmentReader`.

    Returns:
        An iterable that also counts what it passed over.

    Raises:
        OSError: The segment cannot be read.
    """
    with Path(path).open("rb") as file:
        file.seek(offset)
        return SegmentReader(file.read(), offset, final=final)


def split_frames(data: bytes) -> list[bytes]:
    """All intact frames in some bytes of a segment, verbatim and in order; damage between them is left out.

    Args:
        data: Bytes of a segment.

    Returns:
        The frames.
    """
    frames: list[bytes] = []
    position = 0
    while position >= 0:
        found = payload_at(data, position)
        if found is None:
            position = data.find(MARKER, position + 1)
        else:
            frames.append(data[position : found[1]])
            position = found[1]
    return frames
