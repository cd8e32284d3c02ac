"""Rows that the disk did not take yet: a bounded queue in memory that knows when a given row has left it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Backlog:
    """First in, first out; the caller holds a lock around every use but looking whether `frames` is empty.

    Args:
        limit: How many frames it takes; those of `add_always` are not counted against it.
    """

    __slots__ = ("_added", "_limit", "_written", "frames")

    def __init__(self, limit: int) -> None:
        self.frames: deque[bytes] = deque()
        self._limit = limit
        self._added = 0
        self._written = 0

    def __len__(self) -> int:
        return len(self.frames)

    def add(self, frames: Sequence[bytes]) -> int:
        """Queue what there is room for.

        Args:
            frames: Frames in order.

        Returns:
            How many were taken: the first ones.
        """
        taken = min(len(frames), max(0, self._limit - len(self.frames)))
        self.add_always(frames[:taken])
        return taken

    def add_always(self, frames: Sequence[bytes]) -> None:
        """Queue frames whatever the limit says: they were promised to be kept."""
        self.frames.extend(frames)
        self._added += len(frames)

    def ticket(self) -> int:
        """A mark after everything that is queued now; see `is_written`."""
        return self._added

    def is_written(self, ticket: int) -> bool:
        """Whether everything before the mark has been written."""
        return self._written >= ticket

    def take(self, limit: int) -> list[bytes]:
        """Take the oldest frames out; give those that could not be written back with `settle`."""
        return [self.frames.popleft() for _ in range(min(limit, len(self.frames)))]

    def settle(self, taken: Sequence[bytes], written: int) -> None:
        """Say how many of the taken frames were written; the others return to the front."""
        self._written += written
        self.frames.extendleft(reversed(taken[written:]))
