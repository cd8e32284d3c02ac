"""A run of capitalised words, and what the walk over them remembers."""

from __future__ import annotations

import re
from typing import Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.lexicon import letters, rare_letter
from aistrale.privacy.recognizers._beside import ANY, CODE, word_before

# What follows an apostrophe and is no part of a name: possessives and contractions.
_CONTRACTED: Final = frozenset(("s", "m", "ll", "ve", "d", "re", "t"))
# Endings of last names: of a word that no list knows they tell that it is one.
_SURNAME_ENDINGS: Final = (
    "dóttir", "dottir", "sson", "sdotter", "sen", "ová", "ova", "eva", "enko", "yuk", "chuk", "ović", "ević", "ić",
    "vić", "ich", "ski", "ska", "sky", "skiy", "skaya", "wicz", "czyk", "czak", "escu", "oğlu", "oglu", "idis",
    "iadis", "poulos", "opoulou", "akis", "aki", "yan", "ian", "shvili", "adze", "nen", "quist", "qvist", "ström",
    "strom", "gren", "berg", "mann", "stein", "ez", "inho", "ini", "elli", "etti", "ucci", "son", "ov", "ev", "in",
    "ina", "off", "eff", "aitis", "auskas", "iene", "ieva",
)  # fmt: skip
_SURNAME_TAILS: Final = frozenset(ending[-2:] for ending in _SURNAME_ENDINGS)
_INNER_CAPITALS: Final = ("Mc", "Mac", "O'", "O\u2019", "D'", "D\u2019", "De", "Di", "La", "Le", "Van", "Fitz", "St")
_NAME_CHARACTERS: Final = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*['\u2019-]?")
_INITIALS: Final = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]?")
_BEFORE: Final = 48
_BLANK: Final = " \t\r\n\"'“\u2018(["


class Run:
    """Capitalised words beside each other.

    Args:
        text: The whole text.
        start: Where the run begins.
        words: Its words.
        shape: A letter for each word.
        beside: What stands right beside it; see `_beside`.
    """

    __slots__ = ("_before", "_word_before", "beside", "end", "shape", "start", "text", "words")

    def __init__(self, text: str, start: int, end: int, words: list[str], shape: str, *, beside: int = 0) -> None:
        self.text = text
        self.start = start
        self.end = end
        self.words = words
        self.shape = shape
        self.beside = beside
        self._before: str | None = None
        self._word_before: str | None = None

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Where words `first` to `last` (not included) stand; a possessive at their end is left out."""
        start, end = span_of(self.words, first, last)
        return self.start + start, self.start + end

    @property
    def before(self) -> str:
        """What stands before it, up to 48 characters, without blanks and quotes at its end."""
        if self._before is None:
            self._before = before_of(self.text, self.start)
        return self._before

    @property
    def word_before(self) -> str:
        """The word before it in lower case, without punctuation; "" where there is none."""
        if self._word_before is None:
            self._word_before = word_before(self.text, self.start)
        return self._word_before

    @property
    def word_after(self) -> str:
        """The word in small letters that follows after a blank."""
        return word_after(self.text, self.end)

    @property
    def begins(self) -> bool:
        """Whether it stands where a sentence or line begins."""
        before = self.before
        return not before or before[-1] in ".!?:>*•|-" or self.text[self.start - 1] == "\n"


class Walk:
    """What the walk over one text has found, and what it may still need.

    Args:
        text: The whole text.
        code: Whether it is a program rather than prose: then a name needs better proof.
    """

    __slots__ = ("beside", "code", "done", "found", "last_person", "lines", "names", "text", "waiting")

    def __init__(self, text: str, *, code: bool) -> None:
        self.text = text
        self.code = code
        self.done = 0
        self.found: list[Finding] = []
        self.names: list[str] = []
        # Start, end and letter of words that may prove to be names further on.
        self.waiting: list[tuple[int, int, str]] = []
        # Lines that look like a name, if more speaks for it.
        self.lines: list[tuple[int, int]] = []
        # Where the last person ended; before there is one: nowhere near.
        self.last_person = -64
        # Bits that stand beside each run; see `_beside`.
        self.beside = ANY | CODE if code else ANY

    def person(self, start: int, end: int, score: float) -> None:
        """Note a person."""
        if self.text[end - 2 : end] in {"'s", "\u2019s"}:
            end -= 2
        self.found.append(Finding(start, end, "PERSON", score, "person"))
        self.last_person = end


def before_of(text: str, start: int) -> str:
    """What stands before a place in a text, up to 48 characters, without blanks and quotes at its end."""
    return text[start - _BEFORE if start > _BEFORE else 0 : start].rstrip(_BLANK)


def word_after(text: str, end: int) -> str:
    """The word in small letters that follows a place in a text after a blank, or after a comma and a blank."""
    if text[end : end + 1] == ",":
        end += 1
    if text[end : end + 1] != " ":
        return ""
    return text[end + 1 : end + 14].partition(" ")[0].rstrip(".,:;!?\"'")


def span_of(words: list[str], first: int, last: int) -> tuple[int, int]:
    """Where words `first` to `last` (not included) stand in a run; a possessive at their end is left out."""
    word = words[last - 1]
    start = sum(map(len, words[:first])) + first if first else 0
    end = start + (len(word) if last - first == 1 else sum(map(len, words[first:last])) + last - first - 1)
    if word[-2:] in {"'s", "\u2019s"}:
        end -= 2
    elif word[-1] in "'\u2019":
        end -= 1
    return start, end


def letter_of(word: str) -> str:
    """The letter of a word that the dictionary lacks as it stands.

    U: unknown, hence perhaps a foreign name. I: initials. i: one capital. Z: an abbreviation. X: no name.
    """
    if len(word) == 1:
        return "i"
    if word[-1].isdigit():
        return "X"
    known = letters()
    if not word.isalpha():
        if word[-1] == ".":
            bare = word[:-1]
            return known.get(bare, "U") if len(bare) > 1 and "." not in bare else "I"
        if not _NAME_CHARACTERS.fullmatch(word):
            return "I" if _INITIALS.fullmatch(word) else "X"
    head, mark, tail = word.replace("\u2019", "'").partition("'")
    if mark and tail in _CONTRACTED:
        return known.get(head) or letter_of(head)
    if word.isupper():
        return _letter_of_capitals(word, known)
    if "-" in word:
        return _letter_of_parts(word.split("-"), known)
    if word[0].islower():
        return "v" if word in known else "w"
    if not word[1:].islower() and not word.startswith(_INNER_CAPITALS):
        return "X"
    letter = rare_letter(word)
    return "L" if letter == "U" and word[-2:] in _SURNAME_TAILS and word.endswith(_SURNAME_ENDINGS) else letter


def _letter_of_capitals(word: str, known: dict[str, str]) -> str:
    """Of a word that is all capitals."""
    if len(word) < 4:
        return "Z"
    plain = word.title() if "-" in word or "'" in word else word.capitalize()
    letter = known.get(plain)
    if letter is None:
        letter = rare_letter(plain)
    # Headings and acronyms are capitals as well.
    return {"S": "F", "Y": "F", "U": "Z", "l": "w", "r": "w"}.get(letter, letter)


def _letter_of_parts(parts: list[str], known: dict[str, str]) -> str:
    """Of a word with hyphens: Anne-Marie, Smith-Jones, Al-Farabi."""
    parts = [part for part in parts if part]
    found = "".join(known.get(part) or letter_of(part) for part in parts)
    if not found or set(found) & set("wXZNGRTto") or not parts[0][0].isupper():
        return "w"
    if found[0] in "SFf" and set(found) <= set("SFfC"):
        return "S" if "S" in found else "F"
    if set(found) <= set("LCFSlf") and all(part[0].isupper() for part in parts):
        return "D"
    return "L" if set(found) & set("LCSF") else "U"
