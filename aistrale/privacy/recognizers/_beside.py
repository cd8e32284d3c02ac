"""What stands right beside a run of capitalised words, as bits.

The same few characters stand beside most runs (" wa", ", A", "to "). What they say is worked out once and kept, in
dictionaries of bounded size, so that a run that has nothing of interest beside it costs a look-up on either side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

from aistrale.privacy.vocabulary import (
    PERSON_AFTER_STRONG,
    PERSON_BEFORE,
    PLACE_BEFORE,
    STREET_LOWER,
    STREET_LOWER_PREFIXES,
)

if TYPE_CHECKING:
    from collections.abc import Callable

V = TypeVar("V")

_LONGEST_KEY: Final = 64


class Memo(Generic[V]):
    """What has been worked out for a string; begins anew where it grows too large.

    Args:
        make: Works it out.
        most: How many it keeps, of strings of no more than 64 characters.
    """

    __slots__ = ("_kept", "_make", "_most", "get")

    def __init__(self, make: Callable[[str], V], most: int) -> None:
        self._make = make
        self._most = most
        self._kept: dict[str, V] = {}
        self.get: Callable[[str], V | None] = self._kept.get
        """What is known of a string; None: nothing yet. The mere look-up, since it meets every word."""

    def make(self, key: str) -> V:
        """Work it out, and keep it."""
        value = self._make(key)
        if len(key) <= _LONGEST_KEY:
            if len(self._kept) >= self._most:
                self._kept.clear()
            self._kept[key] = value
        return value

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()


# After a run.
PROGRAM: Final = 1
"""What follows a name in a program only."""
NUMBER: Final = 2
"""A number, or what a street's number may follow; before it as well."""
LEGAL: Final = 4
"""How a company's legal form begins."""
IS: Final = 8
COMMA: Final = 16
UPPER: Final = 32
"""A comma and a capital."""
VERB: Final = 64
"""How begins what people do, such as saying something."""
FIRM: Final = 128
"""How the name of a firm may go on."""
END: Final = 256
"""The end of the line."""
SPACE: Final = 512
DOT: Final = 1024
KIND: Final = 2048
"""How such a kind begins."""
AGAIN: Final = 4096
"""How a street's number may go on, or what stands between."""
AFTER_BITS: Final = 8191 & ~NUMBER
# Before it.
EMPLOYED: Final = 8192
"""How words end that an employer follows."""
DIGIT: Final = 16384
"""A digit, with at most one character behind it."""
ANY: Final = 32768
"""Always there."""
# Of the text.
CODE: Final = 65536
"""The text is a program."""

_PROGRAM_ENDS: Final = frozenset("(=@/\\[{_")
_COMMAS: Final = frozenset((", ", " ,"))
_FIRM_GAPS: Final = frozenset((", ", " a", " &"))
_DIGITS: Final = frozenset("0123456789#")
BESIDE_LOWER: Final = frozenset(
    [f" {word[:3]}" for word in STREET_LOWER if len(word) > 2]
    + [f" {word}{mark}" for word in STREET_LOWER if len(word) == 2 for mark in " .,\n"]
    + [" u. ", " c/ "]
)
"""How it goes on, four characters, after a street's name that its kind in small letters follows."""
_KINDS: Final = frozenset(
    [beside[:3] for beside in BESIDE_LOWER]
    + [f" {word}{mark}" for word in STREET_LOWER if len(word) == 1 for mark in " .,;?!\n"]
)
_LEGAL_STARTS: Final = frozenset(
    f"{mark}{letter}" for mark in (", ", " ") for letter in ("I", "L", "C", "P", "G", "S", "B", "N", "A")
) | frozenset(
    f" {form[:2]}" for form in ("Inc", "Ltd", "LLC", "Corp", "Co", "PLC", "LLP", "GmbH", "S.A", "B.V", "N.V", "A/S")
)
_VERBS: Final = frozenset(f" {verb[:2]}" for verb in PERSON_AFTER_STRONG) | frozenset(
    f", {verb[0]}" for verb in PERSON_AFTER_STRONG
)
WORKS: Final = (
    "work for", "works for", "worked for", "working for", "work at", "works at", "worked at", "working at",
    "employed by", "employed at", "employer", "company", "job at", "joined", "hired by", "fired by",
)  # fmt: skip
"""An employer follows."""
_WORK_ENDS: Final = frozenset(cue[-2:] + " " for cue in WORKS) | frozenset(cue[-1] + ": " for cue in WORKS)


# What a street's number begins with.
_MARKS: Final = frozenset("#nN")


def _after(key: str) -> int:
    """What three characters after a run say."""
    first, two, last = key[:1], key[:2], key[-1:]
    again = (two == ", " and (last.isdigit() or last.islower() or last in _MARKS)) or (
        first == " " and (key[1:2].isdigit() or key[1:2] in _MARKS or key in _KINDS)
    )
    return (
        ANY
        | PROGRAM * (first in _PROGRAM_ENDS)
        | NUMBER * (key[1:2] in _DIGITS or (two == ", " and key[2:].isdigit()))
        | KIND * (key in _KINDS)
        | LEGAL * (key in _LEGAL_STARTS)
        | IS * (key == " is")
        | COMMA * (two in _COMMAS)
        | UPPER * (two == ", " and key[2:].isupper())
        | VERB * (key in _VERBS)
        | FIRM * (two in _FIRM_GAPS)
        | END * (first in {"", "\n", "\r"})
        | SPACE * (first == " ")
        | DOT * (first == ".")
        | AGAIN * again
    )


def _before(key: str) -> int:
    """What three characters before a run say: "14 Rue", "14, Rue", "14b Rue"."""
    number = key[-2:-1] in _DIGITS or key[-3:-2] in _DIGITS
    return (
        ANY | NUMBER * number | EMPLOYED * (key in _WORK_ENDS) | DIGIT * (key[-2:-1].isdigit() or key[-3:-2].isdigit())
    )


AFTER: Final = Memo(_after, 4096)
"""What three characters after a run say."""
BEFORE: Final = Memo(_before, 4096)
"""What three characters before a run say."""

# The word before a run.
CUE: Final = 1
"""A person's name may follow it."""
WEAK_CUE: Final = 2
"""A person's name may follow it, if it looks like one."""
PLACE: Final = 4
WHERE: Final = 8
"""A place may follow it, though it is not known to be one."""
SAID: Final = 16
FORMER: Final = 32
STREET_KIND: Final = 128
"""A word such as "rue"."""
MATTERS: Final = 64
"""What no list knows is looked at after it."""

NAME_CUES: Final = (
    " name is", "name's", " names are", " name", "surname", "nickname", "username", " this is", " i am", " i'm",
    " call me", " calls me", " call him", " call her", " calls him", " calls her", " named him", " named her",
    " named it", " named", " called", " speaking to", " speaking with", " born", " née", " nee", " alias", " aka",
    " a.k.a.", " c/o", " signed", " signed by", " sincerely", " regards", " truly", " attn", " attention", " dear",
    " patient", " contact", " contact person", " cardholder", " remember me",
)  # fmt: skip
"""After these a name stands though no list knows it: how the text before it ends, in small letters."""
CUE_WORDS: Final = frozenset(cue.rpartition(" ")[2] for cue in NAME_CUES) | {"this", "mr", "mrs"}
"""The last words of these."""
WEAK_CUES: Final = frozenset(
    ("by", "user", "author", "contact", "director", "signed", "patient", "sender", "name", "named", "called")
)
SPEECH: Final = frozenset(("says", "said", "asked", "replied", "wrote"))
PLACE_CUES: Final = frozenset(
    ["in", "from", "to", "at", "near", "visit", "visiting", "city", "town", "village", "between", "leaving"]
)
_MATTERS_BEFORE: Final = (
    CUE_WORDS | PERSON_BEFORE | PLACE_BEFORE | SPEECH | {"for", "at", "by", "company", "employer", "joined"}
)
_NO_WORD: Final = -1


def _word_bits(word: str) -> int:
    cue = word in PERSON_BEFORE or word in CUE_WORDS
    former = word.startswith("ex-")
    return (
        (WEAK_CUE if word in WEAK_CUES else CUE) * cue
        | PLACE * (word in PLACE_BEFORE)
        | WHERE * (word in PLACE_BEFORE and word in PLACE_CUES)
        | SAID * (word in SPEECH)
        | FORMER * former
        | STREET_KIND * (word in STREET_LOWER_PREFIXES)
        | MATTERS * (former or word in _MATTERS_BEFORE)
    )


def _word_of(word: str) -> int:
    words = word.split()
    return _word_bits(words[-1].rstrip(':,.?!;-"').lower()) if words else _NO_WORD


_WORDS: Final = Memo(_word_of, 8192)
_known: Final = _WORDS.get


def word_bits(text: str, start: int) -> int:
    """What the word before a run says; may say too much where there is no blank between them.

    Args:
        text: The whole text.
        start: Where the run begins.
    """
    word = text[start - 19 if start > 19 else 0 : start - 1 if start else 0].rpartition(" ")[2]
    bits = _known(word)
    if bits is None:
        bits = _WORDS.make(word)
    return bits if bits >= 0 else _word_bits(word_before(text, start))


def word_before(text: str, start: int) -> str:
    """The word before a place in a text, in lower case and without punctuation; "" where there is no short one."""
    words = text[start - 18 if start > 18 else 0 : start].split()
    return words[-1].rstrip(':,.?!;-"').lower() if words else ""
