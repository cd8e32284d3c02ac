"""A text with some places written anew, and the way from there back to the original."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import replace
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aistrale.privacy.finding import Finding

# What is read around a change: what a value may be long, and the words that say what it is.
_BEFORE: Final = 160
_AFTER: Final = 128
# How far a cut is moved so that it parts no word.
_WORD: Final = 64
# How far from a change a finding may stand and be owed to it: its context words.
_CONTEXT_BEFORE: Final = 64
_CONTEXT_AFTER: Final = 32
# Between pieces that do not follow each other; no value goes across it.
_GAP: Final = "\n\x00\n"


class Edit(NamedTuple):
    """A place that reads differently.

    Args:
        start: Its first character in the text.
        end: The character after its last one; the same as `start` where something is put in.
        text: What it reads.
    """

    start: int
    end: int
    text: str


class Reading:
    """The surroundings of some edits, as they read after them.

    What is far from any edit is left out: there the text itself says the same.

    Args:
        source: The text.
        edits: In any order. Of those that overlap the first one holds.
    """

    def __init__(self, source: str, edits: Iterable[Edit]) -> None:
        self.source = source
        # Of each piece: where it begins in the reading, where in the source it begins and ends, whether it is the very
        # same text there, and the number of its window.
        self._at: list[int] = []
        self._from: list[int] = []
        self._to: list[int] = []
        self._same: list[bool] = []
        self._window: list[int] = []
        # Where the edits stand in the reading, and in the source.
        self._marks: list[int] = []
        self._edits = _apart(edits)
        self._parts: list[str] = []
        self._length = 0
        self._windows: list[tuple[int, int]] = []
        self._build()
        self.text = "".join(self._parts)

    def _build(self) -> None:
        source, edits, count = self.source, self._edits, len(self._edits)
        done = 0
        number = 0
        while done < count:
            start = _cut_before(source, edits[done].start)
            last = done + 1
            while last < count and edits[last].start - edits[last - 1].end <= _BEFORE + _AFTER:
                last += 1
            end = _cut_after(source, edits[last - 1].end)
            if number:
                self._add([(_GAP, start, start, False)], -1)
            begun = self._length
            self._add(self._pieces(edits[done:last], start, end), number)
            # A finding that touches a cut may go on beyond it.
            self._windows.append((begun + (start > 0), self._length - (end < len(source))))
            number += 1
            done = last

    def _pieces(self, edits: list[Edit], start: int, end: int) -> Iterator[tuple[str, int, int, bool]]:
        """What a window is made of: text, where it stands in the source, and whether it is the very same there."""
        source, marks = self.source, self._marks
        for begun, ended, text in edits:
            if begun > start:
                yield source[start:begun], start, begun, True
            marks.append(self._length)
            if text:
                yield text, begun, ended, False
            start = ended
        if end > start:
            yield source[start:end], start, end, True

    def _add(self, pieces: Iterable[tuple[str, int, int, bool]], number: int) -> None:
        at, begins, ends, same, parts = self._at, self._from, self._to, self._same, self._parts
        window = len(at)
        for text, start, end, whether in pieces:
            at.append(self._length)
            begins.append(start)
            ends.append(end)
            same.append(whether)
            parts.append(text)
            # Read by `_pieces`, which is behind by no piece.
            self._length += len(text)
        self._window += [number] * (len(at) - window)

    def place(self, start: int, end: int) -> tuple[int, int] | None:
        """Where a stretch of the reading stands in the source; None if it is no single stretch there."""
        first = bisect_right(self._at, start) - 1
        last = bisect_left(self._at, end) - 1
        number = self._window[first]
        if number < 0 or number != self._window[last]:
            return None
        least, most = self._windows[number]
        if start < least or end > most:
            return None
        begun = self._from[first] + (start - self._at[first] if self._same[first] else 0)
        ended = self._from[last] + end - self._at[last] if self._same[last] else self._to[last]
        return begun, ended

    def owed(self, start: int, end: int) -> bool:
        """Whether a stretch of the reading may be found because of an edit: within it, or in the words around it."""
        return self._marked(start - _CONTEXT_BEFORE, end + _CONTEXT_AFTER + 1)

    def joined(self, start: int, end: int) -> bool:
        """Whether an edit stands inside a stretch of the reading."""
        return self._marked(start + 1, end)

    def _marked(self, start: int, end: int) -> bool:
        at = bisect_left(self._marks, start)
        return at < len(self._marks) and self._marks[at] < end

    def broken(self, found: list[Finding]) -> list[Finding]:
        """The findings of the source, which are in order, that begin or end in the middle of what an edit replaces."""
        edits = [edit for edit in self._edits if edit.end > edit.start + 1]
        if not edits:
            return []
        starts, ends = [edit.start for edit in edits], [edit.end for edit in edits]

        def inside(position: int) -> bool:
            at = bisect_left(starts, position) - 1
            return at >= 0 and position < ends[at]

        return [one for one in found if inside(one.start) or inside(one.end)]

    def back(self, finding: Finding) -> Finding | None:
        """The finding's place in the source, with everything that stands in between; None if it is of no use there.

        That is where no edit has to do with it, or where it goes across a cut.
        """
        if not self.owed(finding.start, finding.end):
            return None
        place = self.place(finding.start, finding.end)
        return None if place is None else replace(finding, start=place[0], end=place[1])


def _apart(edits: Iterable[Edit]) -> list[Edit]:
    """The edits in order, without those that overlap an earlier one."""
    held: list[Edit] = []
    end = 0
    for edit in sorted(edits, key=itemgetter(0)):
        if edit[0] >= end:
            held.append(edit)
            end = edit[1]
    return held


def _cut_before(text: str, position: int) -> int:
    cut = max(0, position - _BEFORE)
    least = max(0, cut - _WORD)
    while cut > least and not text[cut - 1].isspace():
        cut -= 1
    return cut


def _cut_after(text: str, position: int) -> int:
    cut = min(len(text), position + _AFTER)
    most = min(len(text), cut + _WORD)
    while cut < most and not text[cut].isspace():
        cut += 1
    return cut
