"""Addresses that have no street: post office boxes, military post, the corner of two streets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers
from aistrale.privacy.recognizers.address import tail_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate

# How the text before "Box" ends.
_BOX_WORDS: Final = (
    "po",
    "p.o",
    "p.o.",
    "p o",
    "p. o.",
    "gpo",
    "g.p.o.",
    "post",
    "postal",
    "post office",
    "locked",
    "private",
)
_BOX_LETTERS: Final = frozenset("Bb")
_POST_WORD: Final = re.compile(r"(?:fach|box|boks|bus|schließfach) ")
_BOX_UNIT: Final = re.compile(r"\b(?:PSC|CMR|Unit) \d{1,5},? ?\Z", re.IGNORECASE)
_NUMBER: Final = re.compile(r"(?:no\.? |#|: ?)?([A-Z]{0,2}-?\d{1,6}\b(?:-\d{1,4}\b)?)", re.IGNORECASE)
_UNIT: Final = re.compile(r"(?:Apt\.? (?:#|no\.? )?\d{1,5}[A-Z]?|Suite \d{3,4})\b")
# "Postfach 12", "BP 40": the word is the trigger itself.
_SHIP: Final = re.compile(r"(?:\b(?:USNS|USNV|USS|USCGC|HMS|PSC|CMR|Unit)\b[^\n]{1,32})\r?\n? ?[AFD]\Z", re.IGNORECASE)
_MILITARY: Final = re.compile(r" A[AEP],? \d{5}(?:-\d{4})?\b", re.IGNORECASE)
_PART: Final = r"[\w.'\u2019/-]{0,24}"
_STREET: Final = (
    rf"(?:\d{{1,5}} )?[^\W\d_]{_PART}(?: [A-ZÀ-ÖØ-Þ\d]{_PART}"
    r"| (?:d[aeiou]|del|la|von|van|u\.|út|utca|tér|str)(?=[ .\d])){0,5}(?: \d{1,5})?"
)
_LOWER_STREET: Final = r"[^\W\d_][\w.'\u2019/-]{0,24}(?: [\w.'\u2019/-]{1,24}){0,3}"
_CORNER: Final = re.compile(rf"({_STREET}) (?:and|&) ({_STREET})")
_CORNER_LOWER: Final = re.compile(rf"({_LOWER_STREET}) (?:and|&) ({_LOWER_STREET})(?=[.,;!?\n]|\Z)")
# Streets whose kind comes first, in small letters.
_ROMANCE: Final = (" rue ", " avenue ", " boulevard ", " calle ", " avenida ", " rua ", " via ")
_PARTICLES: Final = frozenset("dle")
_STREET_NUMBER: Final = re.compile(r"(?<![\w.,$€£/-])\d{1,4}(?: ?(?:bis|ter|[A-Za-z]))?,?\Z")
_STREET_NAME: Final = re.compile(
    r"(?:(?:d[aeou]s?|del|della|dei|des|du|la|le|les|los|las|el)[ ]|[dl]['\u2019]){0,3}[A-ZÀ-ÖØ-Þ][^\W\d_'\u2019]{1,24}"
    r"(?:[ -](?:(?:d[aeiou]s?|del|des|du|la|le|les|y|e) |[dl]['\u2019]){0,2}[A-ZÀ-ÖØ-Þ][^\W\d_]{0,24}){0,4}"
    r"(,? (?:n[°º.o] ?)?\d{1,4}(?: ?[a-z](?!\w))?(?![\w%]))?"
)


class PostalAddress:
    """Boxes, military post, street corners, and streets whose kind stands before the name in small letters."""

    name = "postal"
    types = ("ADDRESS",)
    triggers = Triggers(literals=("ox ", "PO A", "po a", "corner of ", "Post", "Apt", "Suite ", *_ROMANCE))

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The address around the word."""
        word = candidate.value
        if word == "corner of ":
            return self._corner(candidate)
        if word in {"PO A", "po a"}:
            return self._military(candidate)
        if word[0] == " ":
            return self._street(candidate)
        if word in {"Apt", "Suite "}:
            return self._unit(candidate)
        return self._box(candidate)

    def _unit(self, candidate: Candidate) -> Iterable[Finding]:
        text, start = candidate.text, candidate.start
        match = _UNIT.match(text, start)
        if match is None or (start and text[start - 1].isalnum()):
            return ()
        return (Finding(start, match.end(), "ADDRESS", 0.6, self.name),)

    def _street(self, candidate: Candidate) -> Iterable[Finding]:
        text, start = candidate.text, candidate.start
        if not (
            text[candidate.end : candidate.end + 1].isupper() or text[candidate.end : candidate.end + 1] in _PARTICLES
        ):
            return ()
        match = _STREET_NAME.match(text, candidate.end)
        if match is None:
            return ()
        number = _STREET_NUMBER.search(text, start - 10 if start > 10 else 0, start)
        if number is None and match[1] is None:
            return ()
        return (
            Finding(number.start() if number else start + 1, tail_of(text, match.end()), "ADDRESS", 0.9, self.name),
        )

    def _box(self, candidate: Candidate) -> Iterable[Finding]:
        text, start, end = candidate.text, candidate.start, candidate.end
        if candidate.value == "ox ":
            start = self._box_start(text, start - 1) if text[start - 1 : start] in _BOX_LETTERS else -1
        else:
            word = _POST_WORD.match(text, end)
            end = word.end() if word else end
            start = start if word else -1
        number = _NUMBER.match(text, end) if start >= 0 else None
        return (Finding(start, tail_of(text, number.end()), "ADDRESS", 0.85, self.name),) if number else ()

    def _box_start(self, text: str, start: int) -> int:
        """Where the words before "Box" begin; -1: they are none of a post office's."""
        before = text[start - 16 if start > 16 else 0 : start].rstrip(" ")
        if before[-1:].isdigit() or before[-1:] == ",":
            ahead = before.lower()
            if "psc" not in ahead and "cmr" not in ahead and "unit" not in ahead:
                return -1
            unit = _BOX_UNIT.search(text, start - 16 if start > 16 else 0, start)
            return unit.start() if unit else -1
        lower = before.lower()
        for word in reversed(_BOX_WORDS):
            if lower.endswith(word) and not lower[-len(word) - 1 : -len(word)].isalnum():
                return start - (len(text[start - 16 if start > 16 else 0 : start]) - len(before)) - len(word)
        return -1

    def _military(self, candidate: Candidate) -> Iterable[Finding]:
        text = candidate.text
        match = _MILITARY.match(text, candidate.end - 2)
        if match is None:
            return ()
        start = candidate.start - 1
        if start < 0 or text[start] not in "AFDafd":
            return ()
        before = _SHIP.search(text, max(0, start - 48), start + 1)
        return (Finding(before.start() if before else start, match.end(), "ADDRESS", 0.95, self.name),)

    def _corner(self, candidate: Candidate) -> Iterable[Finding]:
        text, start, end = candidate.text, candidate.start, candidate.end
        match = _CORNER.match(text, end) or (_CORNER_LOWER.match(text, end) if text[end : end + 64].islower() else None)
        if match is None or not (
            match[1][0].isupper() or match[1][0].isdigit() or any(map(str.isdigit, match[0])) or "." in match[1]
        ):
            return ()
        if text[start - 4 : start] in {"the ", "The "}:
            start -= 4
        return (Finding(start, match.end(), "ADDRESS", 0.95, self.name),)


RECOGNIZERS = (PostalAddress(),)
