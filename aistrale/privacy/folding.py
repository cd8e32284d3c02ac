"""What characters beyond ASCII read like: spaces, dashes, digits, wide and bold letters, letters of other alphabets."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING, Final

from aistrale.privacy.lookalikes import LOOKALIKES, PLAIN, ZEROS
from aistrale.privacy.reading import Edit

if TYPE_CHECKING:
    from collections.abc import Iterator

_SPACES: Final = "\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\u2800"
_DASHES: Final = "\u2010-\u2015\u2043\u207b\u208b\u2212\u02d7\ufe58\ufe63\uff0d"
# What shows nothing (general category Cf, variation selectors, tag characters, blank letters), and marks drawn over
# the letter before them.
_HIDDEN: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff9-\ufffb"
)
_MARKS: Final = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
# What Unicode's compatibility forms (NFKC) make ASCII of. Left out is what prose is full of and no value is made of:
# the wide comma, exclamation and question mark, ordinal signs, trade marks.
_FORMS: Final = (
    "\u00b2\u00b3\u00b9\u02b0-\u02b8\u1d2c-\u1d6a\u2024\u2070-\u2079\u207a\u207c-\u207e\u2080-\u2089\u208a\u208c-\u208e"
    "\u2090-\u209c\u2100-\u2115\u2117-\u211f\u2124-\u214f\u2160-\u217f\u2460-\u249b\u24b6-\u24ff\ufe50\ufe52\ufe55"
    "\ufe59-\ufe62\ufe64-\ufe6b\uff02-\uff0b\uff0e-\uff1a\uff1c-\uff1e\uff20-\uff5e"
)
_DIGITS: Final = "".join(f"{zero}-{chr(ord(zero) + 9)}" for zero in ZEROS if zero <= "\uffff")
# Beyond the first plane all are looked at: the fewer ranges there, the faster the search.
_ODD: Final = re.compile(f"[{_SPACES}{_DASHES}{_HIDDEN}{_MARKS}{_FORMS}{_DIGITS}\U00010000-\U0010ffff]+")
_BEYOND: Final = re.compile("[^\x00-\x7f]+")
_STEP: Final = 64
_LIKE: Final = dict(zip(LOOKALIKES, PLAIN, strict=True))
_ALIKE: Final = re.compile(f"[{LOOKALIKES}]")
_DECEIVING: Final = re.compile(f"[{LOOKALIKES}](?:(?=[A-Za-z0-9@_])|(?<=[A-Za-z0-9@._][{LOOKALIKES}]))")
# Chinese, Japanese and Korean put no space between a word and the number or address after it; it is a word by itself.
_UNSPACED: Final = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]+")
_COUNTABLE: Final = re.compile("[0-9@]")
_WORD_END: Final = re.compile(r"\S+\Z")
_WORD_START: Final = re.compile(r"\S+")
_LATIN: Final = re.compile(r"[A-Za-z0-9._%+@-]{1,128}")
# How much of a word is looked at.
_WORD: Final = 64
_BACKWARDS: Final = 16
_ASCII: Final = bytes(range(128))
_INSIDE: Final = "()+.,/-\u2010\u2011\u2012\u2013"
# What is an ordinary sign of prose as well, and matters between the parts of a value only.
_WEAK: Final = frozenset(" -:;.,()\"'")


@cache
def _folded(character: str) -> str:
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    if _SPACE.match(character):
        return " "
    if _DASH.match(character):
        return "-"
    if _HIDES.match(character):
        return ""
    if "\U0001f130" <= character <= "\U0001f189":
        return chr((ord(character) - 0x1F130) % 32 + ord("A")) if (ord(character) - 0x1F130) % 32 < 26 else character
    form = unicodedata.normalize("NFKC", character)
    return form if form.isascii() else character


_SPACE: Final = re.compile(f"[{_SPACES}]")
_DASH: Final = re.compile(f"[{_DASHES}]")
_HIDES: Final = re.compile(f"[{_HIDDEN}{_MARKS}\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]")


def fold(character: str) -> str:
    """What one character reads like: ASCII where it can, nothing where it shows nothing, else itself."""
    return character if character.isascii() else _folded(character)


def unusual(text: str) -> Iterator[Edit]:
    """Edits for what is not ASCII and reads as if it were, where it stands in or at something that may be a value."""
    # What is not ASCII: mostly little, and searched in no time for what matters.
    beyond = text.encode("utf-8", "surrogatepass").translate(None, _ASCII).decode("utf-8", "surrogatepass")
    odd, alike = _ODD.search(beyond), _ALIKE.search(beyond)
    if odd or alike:
        # It is searched for it once more in its place, which takes much longer where it goes over everything.
        runs = _runs(text)
        if odd:
            yield from _odd(text, runs)
        if alike:
            yield from _deceiving(text, runs)
    if _UNSPACED.search(beyond):
        yield from _unspaced(text)


def _runs(text: str) -> list[tuple[int, int]]:
    """Where what is not ASCII stands. Asking whole pieces is many times faster than looking at each character."""
    runs: list[tuple[int, int]] = []
    for place in range(0, len(text), _STEP):
        piece = text[place : place + _STEP]
        if not piece.isascii():
            for match in _BEYOND.finditer(piece):
                start, end = match.span()
                if runs and runs[-1][1] == place + start:
                    runs[-1] = (runs[-1][0], place + end)
                else:
                    runs.append((place + start, place + end))
    return runs


def _odd(text: str, runs: list[tuple[int, int]]) -> Iterator[Edit]:
    for match in _in_runs(_ODD, text, runs):
        position, last = match.span()
        while position < last:
            start, seen = position, _folded(text[position])
            position += 1
            if not seen:
                while position < last and not _folded(text[position]):
                    position += 1
                edit = _hidden(text, start, position)
                if edit is not None:
                    yield edit
            elif seen in _WEAK and not _parts(text, start, position, seen):
                continue
            elif seen != text[start]:
                yield Edit(start, position, seen)


def _hidden(text: str, start: int, end: int) -> Edit | None:
    """What shows nothing matters only inside of a word or number; prose of many languages has it for good reasons."""
    if not start or end == len(text):
        return None
    left, right = fold(text[start - 1]), fold(text[end])
    if left.isspace() or right.isspace():
        return Edit(start, end, "") if _inner(left) or _inner(right) else None
    if not (left.isascii() or right.isascii()):
        return None
    if end == start + 1 and left.isalpha():
        # A letter and its accent as two characters.
        whole = unicodedata.normalize("NFC", left + text[start])
        if len(whole) == 1 and (left.islower() or right.islower()) and not _exact(text, start):
            return Edit(start - 1, end, whole)
    return Edit(start, end, "")


def _inner(text: str) -> bool:
    return text.isascii() and (text.isalnum() or text in "+()")


def _exact(text: str, position: int) -> bool:
    """Whether the word at a place is an address or a code, in which an accent has no business."""
    if not _COUNTABLE.search(text, max(0, position - _WORD), position + _WORD):
        return False
    start, end = _word(text, position, 0)
    return _COUNTABLE.search(text, start, end) is not None


def _parts(text: str, start: int, end: int, seen: str) -> bool:
    """Whether an unusual space, dash or other sign stands between what may be the parts of a value."""
    if not start or end == len(text):
        return False
    left, right = text[start - 1], text[end]
    if seen == " ":
        if left.isalnum() and right.isalnum():
            return True
        digits = left.isdecimal() or right.isdecimal() or right in "(+"
        return digits and (left.isalnum() or left in _INSIDE) and (right.isalnum() or right in _INSIDE)
    if seen == "-":
        if left.isalnum() and right.isalnum():
            # The long dash parts clauses.
            return text[start] not in "\u2014\u2015" or (left.isdecimal() and right.isdecimal())
        around = (text[max(0, start - 2) : start].strip()[-1:], text[end : end + 2].strip()[:1])
        return all(one.isdecimal() or one in "()" for one in around) and "" not in around
    if seen in "()":
        return (left if seen == ")" else right).isdecimal()
    return all(fold(one).isascii() and (one.isalnum() or one == text[start]) for one in (left, right))


def _in_runs(pattern: re.Pattern[str], text: str, runs: list[tuple[int, int]]) -> Iterator[re.Match[str]]:
    for start, end in runs:
        # The character after a run may say what its last one is.
        yield from pattern.finditer(text, start, min(end + 1, len(text)))


def _deceiving(text: str, runs: list[tuple[int, int]]) -> Iterator[Edit]:
    """Letters of other alphabets in words that are Latin for the rest."""
    done = 0
    for match in _in_runs(_DECEIVING, text, runs):
        if match.start() < done:
            continue
        start, done = _word(text, match.start(), done)
        word = text[start:done]
        if any(one.isascii() and (one.isalnum() or one == "@") for one in word):
            for offset, one in enumerate(word):
                like = _LIKE.get(one)
                if like is not None:
                    yield Edit(start + offset, start + offset + 1, like)


def _word(text: str, position: int, least: int) -> tuple[int, int]:
    """The word around a place, as far as it is looked at."""
    least = max(least, position - _WORD)
    # The search goes from left to right: the last space before the place is the one that counts.
    before = _WORD_END.search(text, least, position)
    after = _WORD_START.match(text, position, position + _WORD)
    return before.start() if before else position, after.end() if after else position


def _unspaced(text: str) -> Iterator[Edit]:
    if not _COUNTABLE.search(text):
        return
    for match in _UNSPACED.finditer(text):
        start, end = match.span()
        if start and _countable(text, start - 1, forward=False):
            yield Edit(start, start, " ")
        if end < len(text) and _countable(text, end, forward=True):
            yield Edit(end, end, " ")


def _countable(text: str, position: int, *, forward: bool) -> bool:
    """Whether a number or an address begins or ends at a place."""
    if not text[position].isascii() or not (text[position].isalnum() or text[position] == "+"):
        return False
    if forward:
        match = _LATIN.match(text, position)
        piece = match.group() if match else ""
    else:
        piece = text[max(0, position + 1 - _BACKWARDS) : position + 1]
    return "@" in piece or any(one.isdigit() or one == "." for one in piece)
