"""Values that a line break parts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aistrale.privacy.reading import Edit

if TYPE_CHECKING:
    from collections.abc import Iterator

# Begins with the line break, which the search jumps to.
_BREAK: Final = re.compile(
    r"\n(?:(?<=[0-9.\-/:]\n)|(?<=[0-9.\-/: ][ \r]\n))[ \t>]{0,4}+(?=[(.\-/: ]?[0-9]|[0-9a-fA-F]{0,4}:[0-9a-fA-F:])"
)
_NUMERIC: Final = frozenset("0123456789 .-/():+")
_CELL: Final = frozenset(",;|\t")
# How much of a number's two halves is looked at, and how many digits they have at least.
_HALF: Final = 40
_LEAST_DIGITS: Final = 9
_LEAST_DOTS: Final = 3
_LEAST_COLONS: Final = 3
_LOCAL: Final = re.compile(r"[\w+\-]+(?:[._+\-]|\d)[\w+\-]+\Z|[\w+\-]{0,32}\d\Z")
_WORDLIKE: Final = frozenset("._+-")
_COMMON: Final = re.compile(r"(?:[\w\-]{1,63}\.){1,4}(?:com|net|org|edu|gov|io|de|fr|uk|eu|es|it|nl|ch)(?![\w.])")
_INDENT: Final = 4


@dataclass(slots=True, frozen=True)
class Break:
    """A line break inside of what may be one value.

    Args:
        start: Where it begins, with the space before it.
        end: Where the next line's text begins.
        text: What it reads in the first place: nothing, or a space where there is one beside it.
        first: Where the half before it begins.
        last: Where the half after it ends.
    """

    start: int
    end: int
    text: str
    first: int
    last: int

    def edit(self, text: str | None = None) -> Edit:
        """It, as read."""
        return Edit(self.start, self.end, self.text if text is None else text)


def breaks(text: str) -> list[Break]:
    """The line breaks that may part a value; not those between the lines of a list or the rows of a table."""
    if "\n" not in text:
        return []
    numbers = [found for match in _BREAK.finditer(text) if (found := _number(text, match)) is not None]
    column = {
        index + extra
        for index in range(len(numbers) - 1)
        if numbers[index].last >= numbers[index + 1].start
        for extra in (0, 1)
    }
    held = [found for index, found in enumerate(numbers) if index not in column and _may_be(text, found)]
    if "@" in text:
        held += _addresses(text)
    return held


def _number(text: str, match: re.Match[str]) -> Break | None:
    start, end = match.span()
    while start and text[start - 1] in " \r":
        start -= 1
    first = start
    while first and start - first < _HALF and (text[first - 1] in _NUMERIC or text[first - 1] in "abcdefABCDEF"):
        first -= 1
    last = end
    while last < len(text) and last - end < _HALF and (text[last] in _NUMERIC or text[last] in "abcdefABCDEF"):
        last += 1
    if first and text[first - 1] in _CELL and text[last : last + 1] in _CELL:
        return None
    between = text[start:end]
    # The space of a mail's quotation mark is not the text's.
    return Break(start, end, " " if " " in between and ">" not in between else "", first, last)


def _may_be(text: str, found: Break) -> bool:
    half = text[found.first : found.start]
    both = half + text[found.end : found.last]
    digits = sum(map(str.isdigit, both))
    if not any(map(str.isdigit, half)):
        return False
    return digits >= _LEAST_DIGITS or both.count(".") >= _LEAST_DOTS or both.count(":") >= _LEAST_COLONS


def _addresses(text: str) -> Iterator[Break]:
    following = text.find("@")
    while following >= 0:
        at, following = following, text.find("@", following + 1)
        if following == at + 1:
            continue
        first, last = _left(text, at), _right(text, at + 1)
        if last < len(text) and first < at and text[last] in "\r\n":
            end = _next_line(text, last)
            if end and _in_address(text[end]):
                yield Break(last, end, "", first, end)
        elif first and text[first - 1] in "\n \t":
            found = _split_before(text, first, at)
            if found is not None:
                yield found


def _split_before(text: str, first: int, at: int) -> Break | None:
    """The break before the rest of an address's first part, where what stands before it looks like one."""
    start = first
    while start and first - start <= _INDENT and text[start - 1] in " \t":
        start -= 1
    if not start or text[start - 1] != "\n":
        return None
    start -= 1
    if start and text[start - 1] == "\r":
        start -= 1
    begun = _left(text, start)
    # Before a name at the beginning of a line stands a sentence more often than the half of an address.
    half = _COMMON.match(text, at + 1) if first == at else _LOCAL.search(text[begun:start])
    return Break(start, first, "", begun, at) if begun < start and half else None


def _next_line(text: str, position: int) -> int:
    """Where the text of the next line begins; 0 if it does not at once."""
    if text[position] == "\r":
        position += 1
    if position >= len(text) or text[position] != "\n":
        return 0
    position += 1
    end = position
    while end < len(text) and end - position < _INDENT and text[end] in " \t>":
        end += 1
    return end if end < len(text) else 0


def _left(text: str, position: int) -> int:
    start = position
    while start and position - start < _HALF and _in_address(text[start - 1]):
        start -= 1
    return start


def _right(text: str, position: int) -> int:
    end = position
    while end < len(text) and end - position < _HALF and _in_address(text[end]):
        end += 1
    return end


def _in_address(character: str) -> bool:
    return character.isalnum() or character in _WORDLIKE
