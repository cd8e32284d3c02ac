"""The grammar of placeholders: how they are written, and how they are read back from what a model made of them.

Written: `[[EMAIL_1]]`. ASCII, a word and a small number in double square brackets: nothing that HTML, Markdown,
templates or shells take for their own, and nothing that a model shortens as it does random identifiers.

Read: in any case; with `_`, `-`, spaces, backslashes or nothing between word and number; with the brackets escaped,
full width, or one pair instead of two. One pair is read only where a separator stands before the number and no
identifier before the bracket, because `row[date1]` is code. There is no edit distance: `PERSON_1` is not `PERSON_2`.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

LITERAL: Final = "LITERAL"
"""The word of what was typed, and looks like a placeholder."""

WORDS: Final = {
    "ADDRESS": "ADDRESS", "AGE": "AGE", "API_KEY": "SECRET", "BANK_ACCOUNT": "ACCOUNT", "COORDINATES": "COORDINATES",
    "CREDIT_CARD": "CARD", "CRYPTO": "WALLET", "DATE_OF_BIRTH": "BIRTHDATE", "DATE_TIME": "DATE",
    "EMAIL_ADDRESS": "EMAIL", "IBAN_CODE": "IBAN", "ID": "ID", "IMEI": "IMEI", "IP_ADDRESS": "IP", "LITERAL": "LITERAL",
    "LOCATION": "LOCATION", "MAC_ADDRESS": "MAC", "MEDICAL_LICENSE": "LICENSE", "NRP": "GROUP", "ORGANIZATION": "ORG",
    "PASSPORT": "PASSPORT", "PASSWORD": "PASSWORD", "PERSON": "PERSON", "PHONE_NUMBER": "PHONE",
    "POSTAL_CODE": "POSTCODE", "SECRET": "SECRET", "SWIFT_CODE": "BIC", "TITLE": "TITLE", "URL": "URL",
    "US_BANK_NUMBER": "ACCOUNT", "US_DRIVER_LICENSE": "LICENSE", "US_ITIN": "ITIN", "US_PASSPORT": "PASSPORT",
    "US_SSN": "SSN", "USERNAME": "USERNAME", "VIN": "VIN", "ZIP_CODE": "POSTCODE",
}  # fmt: skip
"""The word for each type of finding; any other type goes by its own name."""

# Separators that may stand inside a placeholder.
_DROP: Final = {ord(character): None for character in "_- \\\u00a0\uff3f"}
_MOST_WORD: Final = 32
_FOREIGN: Final = re.compile(r"[^A-Z]+")

CLOSED: Final = frozenset(word.translate(_DROP) for word in WORDS.values())
"""Words that are ours in every conversation, without their separators."""

LONGEST: Final = 80
"""Characters that a placeholder has at most, in any of its forms."""

_OPEN: Final = r"\[\uff3b\u3010"
_CLOSE: Final = r"\]\uff3d\u3011"
_BETWEEN: Final = r"_ \-\\\u00a0\uff3f"

_OPENS: Final = "[\uff3b\u3010"
_ESCAPED_OPENS: Final = tuple(f"\\{mark}" for mark in _OPENS)
# The longest escape sequence of JSON that is not complete: it may end a text.
_ESCAPE: Final = 5

# Possessive, so that a row of brackets or letters costs no more than its length.
FULL: Final = re.compile(
    rf"(\\{{0,2}})([{_OPEN}])(\1\2)?+ ?([A-Za-z][A-Za-z{_BETWEEN}]{{0,47}}+)([0-9]{{1,7}}+)([A-Za-z]{{0,2}}+) ?"
    rf"\\{{0,2}}[{_CLOSE}](?(3)\\{{0,2}}[{_CLOSE}])"
)
"""A placeholder in any form: groups 3 (there is a second bracket), 4 (word), 5 (number), 6 (letter)."""

PARTIAL: Final = re.compile(
    rf"\\{{1,2}}\Z|\\{{0,2}}[{_OPEN}](?:\\{{0,2}}[{_OPEN}])?+\\{{0,2}} ?(?:[A-Za-z][A-Za-z{_BETWEEN}]{{0,47}}+"
    rf"(?:[0-9]{{1,7}}+[A-Za-z]{{0,2}}+ ?\\{{0,2}}[{_CLOSE}]?\\{{0,2}})?)?\Z"
)
"""The beginning of a placeholder at the end of a text; now and then of something else."""

_EXACT: Final = re.compile(r"\[\[([A-Z_]+)_([0-9]+)([a-z]*)\]\]")


def has_opener(text: str) -> bool:
    """Whether a placeholder may stand in a text at all."""
    return "[" in text or "\uff3b" in text or "\u3010" in text


def openers(text: str, at: int = 0) -> Iterator[int]:
    """Where placeholders may begin, in order: at every bracket, and at backslashes before one, or at the end."""
    marks = "[\\" if text.isascii() else "[\\\uff3b\u3010"
    places = [text.find(mark, at) for mark in marks]
    last = len(text) - _ESCAPE
    while True:
        place = min((place for place in places if place >= 0), default=-1)
        if place < 0:
            return
        which = places.index(place)
        if which != 1 or place >= last or text[place + 1] in _OPENS or text[place + 1 : place + 3] in _ESCAPED_OPENS:
            yield place
        places[which] = text.find(marks[which], place + 1)


def word_of(type_: str) -> str:
    """The word for a type of finding: capital letters and `_`, never empty."""
    word = WORDS.get(type_)
    if word is None:
        plain = unicodedata.normalize("NFKD", type_).upper()
        word = _FOREIGN.sub("_", plain).strip("_")[:_MOST_WORD].strip("_") or "VALUE"
    return word


def compact(word: str) -> str:
    """A word as it is looked up: in capitals, without separators."""
    return word.translate(_DROP).upper()


def exact_key(placeholder: str) -> str | None:
    """What a placeholder, written exactly as we write it, is looked up by."""
    match = _EXACT.fullmatch(placeholder)
    return None if match is None else f"{compact(match[1])}{match[2]}{match[3].upper()}"


def in_one_pair(match: re.Match[str], word: str, before: str) -> bool:
    """Whether what stands in a single pair of brackets is a placeholder.

    Args:
        match: Of FULL, without its group 3.
        word: The compact word.
        before: The character before the bracket, or "".
    """
    return (
        word in CLOSED
        and not match[4][-1].isalpha()
        and not (before.isascii() and (before.isalnum() or before in ("_", "]", ")")))
    )


def typed(text: str, issued: frozenset[str] | set[str]) -> list[tuple[int, int, str, bool]]:
    """What somebody typed that is, or could be, read as a placeholder: start, end, word, and whether it is one.

    Args:
        text: Any.
        issued: Words beside the closed ones that the conversation's vault has given out.
    """
    found: list[tuple[int, int, str, bool]] = []
    at = 0
    for start in openers(text):
        if start < at or (match := FULL.match(text, start)) is None:
            continue
        word = compact(match[4])
        if match[3] is not None:
            ours = word in CLOSED or word in issued
        else:
            ours = in_one_pair(match, word, text[start - 1 : start])
        if ours or match[3] is not None:
            found.append((start, match.end(), word, ours))
        if ours:
            at = match.end()
    return found
