"""Names in a text that has no capital letter at all, as people type in a hurry."""

from __future__ import annotations

import re
from typing import Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.lexicon import letters

_WORDS: Final = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*\.?")
# Without capitals a name must be nothing else: a sure first name with what follows, or a first and a last name.
_PERSON: Final = re.compile(r"S(?:i?[SFLC])?|[FC]i?L|[fF]i[LC]|T[SFLCUPf][SFLC]?")
# Signs of a program, in which words are not prose.
_SIGNS: Final = re.compile(r"[{};=<>_]|\(\)")
_TITLES: Final = {"mr": "T", "mrs": "T", "ms": "T", "dr": "T", "prof": "T"}


def lower_names(text: str) -> list[Finding]:
    """Persons and places in a text without capitals."""
    if _SIGNS.search(text):
        return []
    get = letters().get
    found: list[Finding] = []
    places: list[tuple[int, int]] = []
    shape: list[str] = []
    last = -2
    for match in _WORDS.finditer(text):
        word = match.group()
        start, end = match.span()
        bare = word.rstrip(".")
        letter = "i" if len(bare) == 1 and bare not in "ai" else _TITLES.get(bare) or get(bare.capitalize(), "U")
        if start != last + 1 or text[last : last + 1] != " ":
            shape.append(" ")
            places.append((last, last))
        if text[end : end + 2] in {"'s", "\u2019s"} and letter == "U":
            letter = "L"
        shape.append(letter)
        places.append((start, end if letter == "i" else start + len(bare)))
        last = end
        if word.endswith(".") and letter not in "iT":
            last = -2
        if letter == "R":
            found.append(Finding(start, start + len(bare), "LOCATION", 0.6, "location"))
    line = "".join(shape)
    for match in _PERSON.finditer(line):
        first = match.start() + (line[match.start()] == "T")
        found.append(Finding(places[first][0], places[match.end() - 1][1], "PERSON", 0.6, "person"))
    return found
