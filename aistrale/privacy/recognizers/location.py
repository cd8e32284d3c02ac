"""Places: countries, states, cities, and smaller places after a word that says where."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.lexicon import is_place, letters
from aistrale.privacy.recognizers._beside import PLACE_CUES
from aistrale.privacy.vocabulary import PLACE_BEFORE, STATES

if TYPE_CHECKING:
    from aistrale.privacy.recognizers._run import Run, Walk

# What may stand before a place in a run: "Southern Italy", "In New Zealand".
_LEADING: Final = frozenset("wNlfX")
_COMMAS: Final = frozenset((", ", " ,"))
_COMMAS_BEFORE: Final = frozenset((", ", " , "))
_REGION_AFTER: Final = re.compile(r" ?, ([A-Z][A-Za-z]+(?: [A-Z][a-z]+)?)(?!\w)")
_REGIONS: Final = frozenset("Rr")
PLACE_SCORES: Final = {"R": 0.7, "P": 0.6}
"""How sure a place is by the letter of its name."""
# After these stands a place though no list knows it.
_MOVES: Final = (
    "moved here from", "moved from", "moved to", "moving to", "flew to", "fly to", "flying to", "flight to",
    "travel to", "travelling to", "traveling to", "travelled to", "traveled to", "originally from", "lives in",
    "live in", "lived in", "living in", "grew up in", "based in", "born in", "drive to", "drove to", "returned to",
    "arrived at", "arrived in", "trip to", "city of", "town of", "village of", "office in", "located in", "resides in",
    "residing in",
)  # fmt: skip


def place_in(run: Run, walk: Walk) -> bool:
    """Report the place that a run names; whether it did."""
    shape, words = run.shape, run.words
    count = len(shape)
    known = known_place(words, shape)
    if known is not None and (known[1] == "R" or not walk.code):
        start, end = run.span(known[0], count)
        walk.found.append(Finding(start, end, "LOCATION", PLACE_SCORES[known[1]], "location"))
        return True
    start, end = run.span(0, count)
    letter = shape if count == 1 else "U"
    name = walk.text[start:end]
    if _is_there(run, name, letter) or (letter in "CPrULfl" and _stands_in_row(walk, run, name, letter)):
        walk.found.append(Finding(start, end, "LOCATION", 0.6, "location"))
        return True
    return False


def known_place(words: list[str], shape: str) -> tuple[int, str] | None:
    """Where the place begins that a run ends with, and its letter, R or P."""
    count = len(shape)
    get = letters().get
    first = -1
    while first < count - 1 and (first < 0 or shape[first] in _LEADING):
        first += 1
        letter = shape[first] if first == count - 1 else get(" ".join(words[first:]), "")
        if letter in PLACE_SCORES:
            return first, letter
    return None


def _is_there(run: Run, name: str, letter: str) -> bool:
    """Whether the word before a name says that it is a place."""
    before = run.word_before
    if before not in PLACE_BEFORE or run.shape[0] in "wXTtON" or letter not in "rCPFSLUlfZ":
        return False
    if letter in "rCP":
        return True
    if before not in PLACE_CUES:
        return False
    if is_place(name) or (name.isupper() and is_place(name.title())):
        return True
    return letter in "ULZ" and run.before.lower().endswith(_MOVES)


def _stands_in_row(walk: Walk, run: Run, name: str, letter: str) -> bool:
    """Whether a name is the first or last of "Houston, Texas", "Springfield, IL", "Paris, France"."""
    text, end = walk.text, run.end
    if text[end : end + 2] in _COMMAS:
        after = _REGION_AFTER.match(text, end)
        if after and (after[1] in STATES or letters().get(after[1]) in _REGIONS):
            return letter in "CPr" or is_place(name)
    found = walk.found
    return (
        letter in "Cr"
        and bool(found)
        and found[-1].type == "LOCATION"
        and text[found[-1].end : run.start] in _COMMAS_BEFORE
    )


def is_named_as_place(text: str, start: int) -> bool:
    """Whether the word before says that a place follows."""
    head = text[max(0, start - 14) : start].rstrip()
    return head[head.rfind(" ") + 1 :].lower() in PLACE_BEFORE
