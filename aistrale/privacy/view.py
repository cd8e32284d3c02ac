"""Other readings of a text, in which values stand that the text itself hides.

A text is scanned as it is. Where something in it reads differently to people and models (see `folding`, `decoding`,
`spelling`) the surroundings are scanned once more as they read; and where a value may be parted by a line break or by
spaces, once more without these. What is found there counts for the original place, with all that stands in between.
Plain text has no other readings, and costs the search for a few characters.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from aistrale.privacy.decoding import encoded, escaped
from aistrale.privacy.folding import unusual
from aistrale.privacy.joining import breaks
from aistrale.privacy.reading import Reading
from aistrale.privacy.spelling import respelt, spaced, underlined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aistrale.privacy.finding import Finding
    from aistrale.privacy.joining import Break
    from aistrale.privacy.reading import Edit

    Find = Callable[[str], tuple[list[Finding], "Hints"]]

_start_of: Final = attrgetter("start")
_NUMERIC: Final = frozenset("0123456789 .-/():+")
_LIST: Final = frozenset("0123456789 ")
_SURE: Final = 0.7
# How many findings inside of another one are looked at.
_MOST_PARTS: Final = 16


@dataclass(slots=True)
class Hints:
    """What the search for numbers has seen by the way.

    Args:
        underlined: Words with a digit that begin or end with `_`; in order.
        singles: Digits that stand by themselves, several in a row; in order.
    """

    underlined: list[tuple[int, int]] = field(default_factory=list)
    singles: list[int] = field(default_factory=list)


def read_again(text: str, found: list[Finding], hints: Hints, find: Find) -> list[Finding]:
    """What other readings of a text show, and what of the text itself then still holds.

    Args:
        text: The text.
        found: What it shows itself.
        hints: What was seen by the way.
        find: Finds what a reading shows, and what is seen by the way.
    """
    more: list[Finding] = []
    edits = list(_edits(text, hints))
    if edits:
        reading = Reading(text, edits)
        seen, seen_hints = find(reading.text)
        more += [back for one in seen if (back := reading.back(one)) is not None]
        for one in _parted(reading.text, seen, seen_hints, find):
            place = reading.place(one.start, one.end)
            if place is not None:
                more.append(replace(one, start=place[0], end=place[1]))
        if more:
            found = sorted(found, key=_start_of)
            found = _without_broken(found, more, reading)
            _make_sure(more, found, edits)
    more += _parted(text, found, hints, find)
    return found + more


def _edits(text: str, hints: Hints) -> Iterator[Edit]:
    yield from encoded(text)
    if hints.underlined:
        yield from underlined(text, hints.underlined)
    if not text.isascii():
        yield from unusual(text)
    yield from escaped(text)
    yield from respelt(text)


def _parted(text: str, found: list[Finding], hints: Hints, find: Find) -> list[Finding]:
    """Values that line breaks or spaces part."""
    more: list[Finding] = []
    broken = breaks(text)
    if broken:
        more += _joined(text, found, broken, [one.edit() for one in broken], find)
        spread = [one.edit(" ") for one in broken if not one.text]
        if spread:
            more += _joined(text, found, broken, spread, find)
    if hints.singles or "@" in text:
        more += _closed(text, list(spaced(text, hints.singles)), find)
    if more:
        _make_sure(more, sorted(found, key=_start_of), [one.edit() for one in broken])
    return more


def _joined(text: str, found: list[Finding], broken: list[Break], edits: list[Edit], find: Find) -> Iterator[Finding]:
    """Values that are whole only without a line break; not two that each line has for itself."""
    whole = list(_across(text, edits, find))
    if not whole:
        return
    places = sorted((one.start, one.end) for one in broken)
    ends = dict.fromkeys((start for start, _ in places), 0.0)
    starts = dict.fromkeys((end for _, end in places), 0.0)
    for one in found:
        if one.end in ends:
            ends[one.end] = max(one.score, ends[one.end])
        if one.start in starts:
            starts[one.start] = max(one.score, starts[one.start])
    for back in whole:
        inside = places[bisect_left(places, (back.start, 0)) : bisect_left(places, (back.end, 0))]
        if all(ends[start] < back.score and starts[end] <= back.score for start, end in inside):
            yield back


def _closed(text: str, values: list[list[Edit]], find: Find) -> Iterator[Finding]:
    """Values of which each character stands by itself."""
    places = [(edits[0].start - 1, edits[-1].end + 1) for edits in values]
    for back in _across(text, [edit for edits in values for edit in edits], find):
        start, end = places[max(0, bisect_right(places, (back.start, len(text))) - 1)]
        row = _NUMERIC.issuperset(text[start:end])
        # Digits with nothing but spaces are a list, unless something speaks for the number.
        if row and back.score < _SURE and _LIST.issuperset(text[start:end]):
            continue
        # The half of a row of digits is no number of its own.
        if (back.end >= end and back.start <= start + 1) or not row:
            yield back


def _across(text: str, edits: list[Edit], find: Find) -> Iterator[Finding]:
    """What is found across one of the edits, in its place."""
    if not edits:
        return
    reading = Reading(text, edits)
    for one in find(reading.text)[0]:
        back = reading.back(one) if reading.joined(one.start, one.end) else None
        if back is not None:
            yield back


def _without_broken(found: list[Finding], more: list[Finding], reading: Reading) -> list[Finding]:
    """What the text shows, but for values that begin or end inside of a code where the reading has them whole.

    Args:
        found: In order.
        more: What the reading shows.
        reading: The reading.
    """
    broken = {id(one): one for one in reading.broken(found)}
    if not broken:
        return found
    starts, ends = _merged(more)
    for key, one in list(broken.items()):
        at = bisect_left(starts, one.end) - 1
        if at < 0 or ends[at] <= one.start:
            del broken[key]
    return [one for one in found if id(one) not in broken]


def _merged(findings: list[Finding]) -> tuple[list[int], list[int]]:
    """Where the stretches that the findings cover begin and end."""
    starts: list[int] = []
    ends: list[int] = []
    for one in sorted(findings, key=_start_of):
        if ends and one.start <= ends[-1]:
            ends[-1] = max(ends[-1], one.end)
        else:
            starts.append(one.start)
            ends.append(one.end)
    return starts, ends


def _make_sure(more: list[Finding], found: list[Finding], edits: list[Edit]) -> None:
    """A value that is seen whole is as sure as a part of it that was seen before, and so takes its place.

    A part is what has the same type, or begins or ends where an edit tears the value.

    Args:
        more: Values that are seen whole.
        found: What was seen before, in order.
        edits: What tears values.
    """
    torn_after, torn_before = {edit.start for edit in edits}, {edit.end for edit in edits}
    starts = [one.start for one in found]
    for whole in more:
        at = bisect_left(starts, whole.start)
        for part in found[at : at + _MOST_PARTS]:
            if part.start >= whole.end:
                break
            if part.end <= whole.end and (
                part.type == whole.type
                or part.end in torn_after
                or (part.start in torn_before and part.start > whole.start)
            ):
                whole.score = max(whole.score, part.score)
