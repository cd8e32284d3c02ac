"""Places: countries, states, cities, and smaller places after a word that says where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.lexicon import is_place, letters
from aistrale.privacy.vocabulary import PLACE_BEFORE, STATES

if TYPE_CHECKING:
    from aistrale.privacy.recognizers._run import Run, Walk

_WHERE: Final = frozenset("in from to at near visit visiting city town village between leaving".split())


def place_in(run: Run, walk: Walk) -> bool:
    """Report the place that a run names; whether it did."""
    shape, words = run.shape, run.words
    count = len(shape)
    first = 0
    while first < count and shape[first] in "wN" and first < count - 1:
        first += 1
    start, end = run.span(first, count)
    name = walk.text[start:end]
    letter = shape[first] if first == count - 1 else _whole(name)
    score = 0.0
    if letter == "R":
        score = 0.7
    elif letter == "P" and not walk.code:
        score = 0.6
    elif not first and run.word_before in PLACE_BEFORE and letter in "rCPFSLUlfZ" and _is_there(run, name, letter):
        score = 0.6
    elif letter in "CPrUL" and _has_state(walk.text, end):
        score = 0.7
    if score:
        walk.found.append(Finding(start, end, "LOCATION", score, "location"))
    return score > 0


def _whole(name: str) -> str:
    return letters().get(name) or "U"


def _is_there(run: Run, name: str, letter: str) -> bool:
    if letter in "rCP":
        return True
    if run.word_before not in _WHERE:
        return False
    return is_place(name) or (name.isupper() and is_place(name.title()))


def _has_state(text: str, end: int) -> bool:
    return text[end : end + 2] == ", " and text[end + 2 : end + 4] in STATES and not text[end + 4 : end + 5].isalpha()


def is_named_as_place(text: str, start: int) -> bool:
    """Whether the word before says that a place follows."""
    head = text[max(0, start - 14) : start].rstrip()
    return head[head.rfind(" ") + 1 :].lower() in PLACE_BEFORE
