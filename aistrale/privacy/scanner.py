"""Finds what is sensitive in a text, in one pass for each kind of trigger."""

from __future__ import annotations

import re
from bisect import bisect_left
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from aistrale.privacy.recognizer import MOST_AROUND, Candidate
from aistrale.privacy.view import Hints, read_again

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from aistrale.privacy.finding import Finding
    from aistrale.privacy.recognizer import Recognizer

    Ask = Callable[[Candidate], Iterable[Finding]]

MIN_SCORE: Final = 0.5
"""Below it a finding is a mere possibility, and is not reported by default."""

# A number: groups of digits, parted as people part them. Bounded, so that a table of numbers is many candidates.
# The first digit by itself: the search then skips all else without trying a match there.
_NUMBER: Final = re.compile(r"[0-9][0-9]*+(?:(?:[ .\-/]|\)[ \-./]?| ?\(| - )[0-9]++){0,19}+")
_SEPARATORS: Final = str.maketrans("", "", " .-/()")
# Longer tokens are data.
_MOST_TOKEN: Final = 512
_MOST_DIGITS: Final = 64
# How many types one value may be reported as.
_MOST_TYPES: Final = 8
_WORD: Final = re.compile(r"\w+")
# What most often stands beside a number, and parts it from words; the empty text: an end.
_APART: Final = frozenset({"", *map(chr, range(128))} - {"_", *filter(str.isalnum, map(chr, range(128)))})


class _Asks:
    """Whom to ask about numbers or words of one count.

    Args:
        always: Those who are asked whatever stands near.
        cues: The words of which one must be near for the others.
        every: All, in order; with the words of which each wants one near, none for those who want none.
    """

    __slots__ = ("always", "cues", "every")

    def __init__(self) -> None:
        self.always: list[Ask] = []
        self.cues: frozenset[str] = frozenset()
        self.every: list[tuple[frozenset[str], Ask]] = []

    def add(self, cues: frozenset[str], ask: Ask) -> None:
        """Ask this one as well, near one of these words; none: always."""
        self.every.append((cues, ask))
        self.cues |= cues
        if not cues:
            self.always.append(ask)

    def find(self, candidate: Candidate, found: list[Finding]) -> None:
        """Ask about a number or word."""
        asks = self.always
        if self.cues:
            spoken = candidate.spoken
            alone = candidate.end - candidate.start + MOST_AROUND >= len(candidate.text)
            if alone or not self.cues.isdisjoint(spoken):
                asks = [ask for cues, ask in self.every if alone or not cues or not cues.isdisjoint(spoken)]
        for ask in asks:
            if seen := ask(candidate):
                found += seen


class _Tables:
    """Whom to ask about a number or word, by how many characters it has; None for nobody.

    Args:
        most: The greatest count that is told apart.
    """

    __slots__ = ("grouped", "plain")

    def __init__(self, most: int) -> None:
        self.plain: list[_Asks | None] = [None] * (most + 1)
        self.grouped: list[_Asks | None] = [None] * (most + 1)

    def add(self, counts: Iterable[int], cues: frozenset[str], ask: Ask, groups: Iterable[int] = ()) -> None:
        """Ask it about these counts, and in several groups, of which it may be some, about greater ones too.

        Args:
            counts: How many characters.
            cues: The words of which it wants one near.
            ask: The recognizer.
            groups: How many characters in groups alone.
        """
        most = len(self.plain) - 1
        wanted = {min(count, most) for count in counts}
        least = min((*wanted, *groups), default=most + 1)
        for table, asked in ((self.plain, wanted), (self.grouped, range(least, most + 1))):
            for count in asked:
                asks = table[count] or _Asks()
                asks.add(cues, ask)
                table[count] = asks


class Scanner:
    """Asks recognizers where their triggers stand, and settles which findings hold.

    Args:
        recognizers: Whom to ask.
        min_score: The least score that is reported.
    """

    def __init__(self, recognizers: Sequence[Recognizer], *, min_score: float = MIN_SCORE) -> None:
        self.recognizers = tuple(recognizers)
        self.min_score = min_score
        self._literals: dict[str, list[Ask]] = {}
        self._whole: list[Ask] = []
        self._numbers = _Tables(_MOST_DIGITS)
        self._tokens = _Tables(_MOST_TOKEN)
        for recognizer in recognizers:
            triggers, ask = recognizer.triggers, recognizer.recognize
            for literal in triggers.literals:
                self._literals.setdefault(literal, []).append(ask)
            if triggers.whole:
                self._whole.append(ask)
            self._numbers.add(triggers.digits, triggers.cues, ask, triggers.groups)
            self._tokens.add(triggers.tokens, triggers.cues, ask)

    def scan(self, text: str) -> list[Finding]:
        """Everything sensitive in a text, in order.

        Findings do not overlap, but for one case: a value of which nothing tells what it is stands there once for each
        type that it may be, with the same place and score.

        Args:
            text: Any length; the time grows linearly with it.
        """
        found, hints = self._find(text)
        found = read_again(text, found, hints, self._find)
        return settle(found, self.min_score) if found else found

    def _find(self, text: str) -> tuple[list[Finding], Hints]:
        found: list[Finding] = []
        hints = Hints()
        self._find_numbers(text, found, hints)
        for literal, asks in self._literals.items():
            at = text.find(literal)
            while at >= 0:
                end = at + len(literal)
                following = text.find(literal, end)
                if following != end:
                    candidate = Candidate(text, at, end)
                    for ask in asks:
                        found += ask(candidate)
                at = following
        if self._whole:
            candidate = Candidate(text, 0, len(text))
            for ask in self._whole:
                found += ask(candidate)
        return found, hints

    def _find_numbers(self, text: str, found: list[Finding], hints: Hints) -> None:
        done = 0
        plain, grouped, apart = self._numbers.plain, self._numbers.grouped, _APART
        for match in _NUMBER.finditer(text):
            start, end = match.span()
            if start < done:
                continue
            digits = match[0]
            if (text[start - 1 : start] not in apart and _touches(text, start - 1)) or (
                text[end : end + 1] not in apart and _touches(text, end)
            ):
                done = self._find_word(text, start, end, found, hints)
                continue
            if digits.isdigit():
                count = end - start
                asks = plain[count] if count < _MOST_DIGITS else plain[-1]
            else:
                digits = digits.translate(_SEPARATORS)
                count = len(digits)
                if end - start >= 2 * count - 1:
                    hints.singles.append(start)
                asks = grouped[count] if count < _MOST_DIGITS else grouped[-1]
            if asks is not None:
                asks.find(Candidate(text, start, end, digits), found)

    def _find_word(self, text: str, start: int, end: int, found: list[Finding], hints: Hints) -> int:
        """Ask about the word that a number is part of; where it ends."""
        start, end = _word_around(text, start, end)
        bare = text[start:end].translate(_SEPARATORS)
        count = len(bare)
        if count < end - start >= 2 * count - 1:
            hints.singles.append(start)
        elif text[start] == "_" or text[end - 1] == "_":
            hints.underlined.append((start, end))
        tables = self._tokens
        asks = (tables.grouped if count < end - start else tables.plain)[min(count, _MOST_TOKEN)]
        if asks is not None:
            asks.find(Candidate(text, start, end), found)
        return end


def settle(found: list[Finding], min_score: float) -> list[Finding]:
    """The findings that hold: where several overlap the surest, of equally sure ones the longest.

    Several that are equally sure of the very same place all hold.
    """
    found = [finding for finding in found if finding.score >= min_score]
    found.sort(key=_start_of)
    held: list[Finding] = []
    first, end = 0, -1
    for index, finding in enumerate(found):
        # Most stand alone; only those that touch each other are weighed.
        if finding.start >= end:
            held += found[first:index] if index - first < 2 else _strongest(found[first:index])
            first, end = index, finding.end
        elif finding.end > end:
            end = finding.end
    held += found[first:] if len(found) - first < 2 else _strongest(found[first:])
    return held


def _strongest(found: list[Finding]) -> list[Finding]:
    """Of findings that overlap, one after the other, those that hold."""
    found.sort(key=_strength)
    starts: list[int] = []
    held: list[Finding] = []
    for finding in found:
        at = bisect_left(starts, finding.start)
        if at < len(held) and held[at].start < finding.end:
            same = held[at]
            if (same.start, same.end, same.score) != (finding.start, finding.end, finding.score):
                continue
            if any(other.type == finding.type for other in held[at : at + _MOST_TYPES] if other.start == same.start):
                continue
        elif at and held[at - 1].end > finding.start:
            continue
        starts.insert(at, finding.start)
        held.insert(at, finding)
    return held


_start_of: Final = attrgetter("start")


def _strength(finding: Finding) -> tuple[float, int, int]:
    return -finding.score, finding.start - finding.end, finding.start


def _touches(text: str, at: int) -> bool:
    """Whether a letter, digit or underscore stands there."""
    return 0 <= at < len(text) and _in_word(text[at])


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _word_around(text: str, start: int, end: int) -> tuple[int, int]:
    """The word that a number is part of, bounded to the left."""
    least = max(0, start - _MOST_TOKEN)
    while start > least and _in_word(text[start - 1]):
        start -= 1
    rest = _WORD.match(text, end)
    return start, end if rest is None else rest.end()
