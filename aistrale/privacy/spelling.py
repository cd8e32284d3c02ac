"""What is spelt in an unusual way: "(at)" and "dot", emphasis inside of a value, one character at a time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.reading import Edit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_AT: Final = "(at|@|ät|arroba|arobase|chiocciola)"
_POINT: Final = r"(dot|\.|punkt|punto|point|ponto)"
# For each bracket a pattern of its own: one that begins with a known character is searched for fastest. The set of what
# may follow turns most brackets away before letters are compared.
_SIGNS: Final = tuple(
    (
        pair[0],
        re.compile(
            re.escape(pair[0]) + r"[ \t]?(?=[@.:AaÄäCcDdHhMmPp])"
            rf"(?i:{_AT}|{_POINT}|(colon|:)|(dash|hyphen|minus))[ \t]?" + re.escape(pair[1])
        ),
    )
    for pair in ("()", "[]", "{}", "<>")
)
_SIGN: Final = "@.:-"
_MOST_SPACES: Final = 2

# "jane at example dot com", "203 dot 0 dot 113 dot 42".
_DOT: Final = re.compile(r" [dD](?<= [dD])[oO][tT] ")
_SPOKEN: Final = re.compile(
    r"(?<![\w.+\-])([\w+\-]{1,64}(?:(?:\.| dot )[\w+\-]{1,64}){0,3})( at )"
    r"([\w\-]{1,63}(?:(?: dot |\.)[\w\-]{1,63}){0,3} dot [\w\-]{2,63})(?![\w@])",
    re.IGNORECASE,
)
# Words that stand before and after "at" in any sentence.
_ORDINARY: Final = frozenset(
    re.findall(
        r"\w+",
        "a all am an and any are be been being but by call come day directly find from good her here hi him his home i"
        " in is it its just look me meet mine my not now of on once only or our out over please see she so that the"
        " their them then there these they this those to up us was we were what when where which who with you your",
    )
)
_APART: Final = re.compile(
    r" @(?<=[\w\-] @) (?=(?:[\w\-]{1,63}\.){1,4}"
    r"(?:com|net|org|edu|gov|info|io|dev|ai|de|fr|uk|us|eu|es|it|nl|ch|at|be|pl|se|in|jp|cn|br|ca|au)\b)",
    re.IGNORECASE,
)

_EMPHASIS: Final = tuple(
    (mark, re.compile(re.escape(mark) + rf"{re.escape(mark)}{{0,2}}(?=[\w.@:+()\-]|[ .\-][0-9A-Z])")) for mark in "*`~"
)
_TAG: Final = re.compile(
    r"<(?:/?(?:b|i|u|s|em|strong|span|mark|font|wbr|small|code|sub|sup)(?: [^<>]{0,64})?/?|!--[^<>]{0,64}--)>"
    r"(?:</?[a-z]{1,6}>){0,8}",
    re.IGNORECASE,
)
_VALUE: Final = frozenset(".@+-()_")
_GAPS: Final = frozenset(" .-")
# How far a mark's partner may be.
_PAIR: Final = 48

LEAST_SPACED: Final = 7
"""Fewer characters in a row, parted by spaces, are the "I" and "a" of a sentence, or a formula."""
_MOST_SPACED: Final = 256
_WIDEST_GAP: Final = 3


def respelt(text: str) -> Iterator[Edit]:
    """Edits for words that stand for signs, and for marks of emphasis inside of a value."""
    for gate, pattern in _SIGNS:
        if gate in text:
            yield from _signs(text, pattern)
    if " dot" in text or " DOT" in text:
        yield from _spoken(text)
    if "@" in text:
        for match in _APART.finditer(text):
            yield Edit(match.start(), match.end(), "@")
    for gate, pattern in _EMPHASIS:
        if gate in text:
            yield from _emphasis(text, pattern)
    if "<" in text:
        for match in _TAG.finditer(text):
            if _inner(text, *match.span()):
                yield Edit(*match.span(), "")


def _signs(text: str, pattern: re.Pattern[str]) -> Iterator[Edit]:
    for match in pattern.finditer(text):
        start, end = match.span()
        while start and text[start - 1] in " \t" and match.start() - start < _MOST_SPACES:
            start -= 1
        while end < len(text) and text[end] in " \t" and end - match.end() < _MOST_SPACES:
            end += 1
        if start and end < len(text) and text[start - 1].isalnum() and text[end].isalnum():
            yield Edit(start, end, _SIGN[(match.lastindex or 1) - 1])


def _spoken(text: str) -> Iterator[Edit]:
    for match in _DOT.finditer(text):
        if match.start() and text[match.start() - 1].isdigit() and text[match.end() : match.end() + 1].isdigit():
            yield Edit(*match.span(), ".")
    for match in _SPOKEN.finditer(text):
        who, host = match.group(1).lower(), match.group(3).lower()
        if who in _ORDINARY or host.split(None, 1)[0] in _ORDINARY:
            continue
        yield Edit(*match.span(2), "@")
        for group in (1, 3):
            for dot in _DOT.finditer(text, *match.span(group)):
                yield Edit(*dot.span(), ".")


def _emphasis(text: str, pattern: re.Pattern[str]) -> Iterator[Edit]:
    for match in pattern.finditer(text):
        start, end = match.span()
        if not _inner(text, start, end):
            continue
        mark = match.group()
        partner = text.rfind(mark, max(0, start - _PAIR), start)
        if partner < 0:
            partner = text.find(mark, end, end + _PAIR)
        # One by itself is a product, a footnote or "about".
        if partner >= 0:
            yield Edit(start, end, "")
            yield Edit(partner, partner + len(mark), "")


def _inner(text: str, start: int, end: int) -> bool:
    """Whether a mark stands inside of what may be a value: between its characters, or beside one of its digits."""
    if not start or end >= len(text):
        return False
    left, right = text[start - 1], text[end]
    if left.isdigit() and right.isdigit() and text[start:end] == "*":
        # A product; as emphasis it would end in the middle of a number.
        return False
    if _in_value(left) and (_in_value(right) or (right == ":" and text[end : end + 3].lstrip(":")[:1].isalnum())):
        return True
    if left == ":" and right.isalnum() and text[max(0, start - 2)].isalnum():
        return True
    if left.isdigit():
        beyond = text[end + 1 : end + 2]
        return right in _GAPS and (beyond.isdigit() or beyond.isupper())
    return left in _GAPS and text[max(0, start - 2)].isdigit() and right.isdigit()


def _in_value(character: str) -> bool:
    return character.isalnum() or character in _VALUE


def underlined(text: str, words: Iterable[tuple[int, int]]) -> Iterator[Edit]:
    """Edits for `_` around the digits of a number: emphasis again, but a part of the word.

    Args:
        text: The text.
        words: Words with digits.
    """
    for start, end in words:
        word = text[start:end]
        if "_" in (word[:1], word[-1:]) and word.strip("_").isdigit():
            inner = start + len(word) - len(word.lstrip("_"))
            yield Edit(start, inner, "")
            yield Edit(inner + len(word.strip("_")), end, "")


def spaced(text: str, places: Iterable[int]) -> Iterator[list[Edit]]:
    """Edits that close the spaces of a value written one character at a time; those of one value together.

    Wider spaces than the others stay, as one.

    Args:
        text: The text.
        places: Where a character stands by itself, in order, beside those at a lonely @.
    """
    done = 0
    for place in sorted({*places, *_lonely_at(text)}):
        if place < done:
            continue
        gaps = _gaps(text, place, done)
        done = max(done, gaps[-1][1] if gaps else place + 1)
        if len(gaps) >= LEAST_SPACED - 1:
            narrow = min(end - start for start, end in gaps)
            yield [Edit(start, end, "" if end - start == narrow else " ") for start, end in gaps]


def _lonely_at(text: str) -> Iterator[int]:
    at = text.find("@")
    while at >= 0:
        if text[at - 1 : at] == " " and text[at + 1 : at + 2] == " ":
            yield at
        at = text.find("@", at + 1)


def _gaps(text: str, place: int, least: int) -> list[tuple[int, int]]:
    """The spaces between the characters that stand by themselves around a place, in order."""
    before: list[tuple[int, int]] = []
    at = place
    while len(before) < _MOST_SPACED and (at == place or _free(text, at - 1)):
        start = at
        while start > least and text[start - 1] == " " and at - start <= _WIDEST_GAP:
            start -= 1
        if start in (at, least) or at - start > _WIDEST_GAP:
            break
        if not (_free(text, start - 2) or (_begins(text[start - 1]) and not _in_word(text[start - 2]))):
            break
        before.append((start, at))
        at = start - 1
    after: list[tuple[int, int]] = []
    at = place + 1
    length = len(text)
    while len(after) < _MOST_SPACED and (at == place + 1 or _free(text, at)):
        end = at
        while end < length and text[end] == " " and end - at <= _WIDEST_GAP:
            end += 1
        if end in (at, length) or end - at > _WIDEST_GAP:
            break
        if not (_free(text, end + 1) or (_begins(text[end]) and not _in_word(text[end + 1]))):
            break
        after.append((at, end))
        at = end + 1
    return before[::-1] + after


def _free(text: str, position: int) -> bool:
    """Whether nothing stands at a place."""
    return not 0 <= position < len(text) or text[position].isspace()


def _begins(character: str) -> bool:
    return character.isalnum() or character in "+("


def _in_word(character: str) -> bool:
    return character.isalnum() or character in "_@"
