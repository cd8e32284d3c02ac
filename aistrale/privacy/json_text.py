"""JSON as what its reader sees: the strings, numbers and names in it, each with the names that say what it is.

All of them are scanned at once, as lines of one text, so that a document of a thousand short values costs about what a
text of its length does. Lines keep their distance: a name says what its own value is, and nothing about the next.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from aistrale.privacy.finding import Finding
from aistrale.privacy.inside import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aistrale.types import JSON

_TOKEN: Final = re.compile(r'"((?:[^"\\]|\\.)*+)"(\s*+:)?|(-?[0-9][0-9.eE+\-]*+)|([{\[])|([}\]])', re.DOTALL)
_PLAIN_NAME: Final = re.compile(r"[A-Za-z_$][A-Za-z_$\-]*")
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_BARE: Final = re.compile(r"[^a-z]+")
# Farther than any recognizer looks around a candidate (recognizer.LOOK_BACK).
_APART: Final = "\n" + " " * 64 + "\n"
_MOST_CONTEXT: Final = 64
# Shorter numbers say nothing about anybody.
_LEAST_NUMBER: Final = 4
_MOST_SECRET: Final = 512

_PASSWORDS: Final = frozenset({"password", "passwd", "pwd", "passphrase", "userpassword", "newpassword", "oldpassword"})
_SECRETS: Final = frozenset(
    {
        "accesstoken", "apikey", "apisecret", "apitoken", "authtoken", "bearertoken", "clientsecret", "idtoken",
        "privatekey", "refreshtoken", "secret", "secretaccesskey", "secretkey", "sessiontoken", "signingsecret",
        "webhooksecret",
    }
)  # fmt: skip


class NumberText(str):
    """What a number becomes that stays a number."""

    __slots__ = ()


class Leaf(NamedTuple):
    """A string, number or name of a document.

    Args:
        text: A string as its reader sees it; a number as it is written.
        number: Whether it is a number.
        start: Where it stands in the JSON text; 0 for a parsed value.
        end: Where it ends.
        secret: What its name alone says that it is.
    """

    text: str
    number: bool
    start: int = 0
    end: int = 0
    secret: Finding | None = None


class Document:
    """The leaves of a JSON document, and the text that is scanned for them."""

    __slots__ = ("_contexts", "_lines", "_places", "_plain", "_size", "leaves", "text")

    def __init__(self) -> None:
        self.leaves: list[Leaf] = []
        self.text = ""
        self._lines: list[str] = []
        self._size = 0
        # Where each scanned leaf begins in the text, and which one it is.
        self._places: list[tuple[int, int]] = []
        self._plain: set[str] = set()
        self._contexts: dict[tuple[str, ...], str] = {}

    def add(self, text: str, context: tuple[str, ...], *, number: bool, start: int = 0, end: int = 0) -> None:
        """A string or a number.

        Args:
            text: What it says.
            context: The names above it, outermost first.
            number: Whether it is a number.
            start: Where it stands in the JSON text.
            end: Where it ends.
        """
        secret = None if number or not context else _secret(text, context[-1])
        self.leaves.append(Leaf(text, number, start, end, secret))
        if number and len(text) < _LEAST_NUMBER:
            return
        before = self._contexts.get(context)
        if before is None:
            before = f"{' '.join(_words(name) for name in context[-2:])}: " if context else ""
            self._contexts[context] = before
        self._line(text, before)

    def name(self, text: str, *, start: int = 0, end: int = 0) -> None:
        """A name; plain ones hold nothing, and are no leaves."""
        if not self.is_plain(text):
            self.leaves.append(Leaf(text, number=False, start=start, end=end))
            self._line(text, "")

    def is_plain(self, name: str) -> bool:
        """Whether a name is an identifier without digits."""
        if name in self._plain:
            return True
        if _PLAIN_NAME.fullmatch(name) is None:
            return False
        self._plain.add(name)
        return True

    def _line(self, text: str, before: str) -> None:
        begin = self._size + len(before)
        self._places.append((begin, len(self.leaves) - 1))
        self._lines += (before, text, _APART)
        self._size = begin + len(text) + len(_APART)

    def done(self) -> Document:
        """All leaves are there."""
        self.text = "".join(self._lines)
        self._lines.clear()
        return self

    def words(self) -> str:
        """A text with every word of the document in it."""
        return f"{self.text} {' '.join(self._plain)}"

    def found(self, findings: Iterable[Finding]) -> Iterator[tuple[int, Finding]]:
        """Which leaf each finding lies in, and where in it."""
        for finding in findings:
            place = bisect_right(self._places, (finding.end - 1, len(self.leaves))) - 1
            if place < 0:
                continue
            begin, index = self._places[place]
            length = len(self.leaves[index].text)
            start, end = max(finding.start - begin, 0), min(finding.end - begin, length)
            if start < end:
                yield index, Finding(start, end, finding.type, finding.score, finding.recognizer)

    def written(self, text: str, changes: dict[int, str]) -> str:
        """The JSON text with some leaves changed; everything else stays to the byte."""
        if not changes:
            return text
        out: list[str] = []
        done = 0
        for index in sorted(changes):
            leaf = self.leaves[index]
            new = changes[index]
            out += (text[done : leaf.start], new if isinstance(new, NumberText) else quoted(new))
            done = leaf.end
        out.append(text[done:])
        return "".join(out)

    def rebuilt(self, value: JSON, changes: dict[int, str]) -> JSON:
        """The parsed value with some leaves changed; what did not change is shared."""
        return _rebuilt(self, value, changes, iter(range(len(self.leaves))))


def document_of_text(text: str) -> Document | None:
    """The document that a JSON text is; None if it is none."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    document = Document()
    above: list[str] = []
    names: list[str | None] = [None]
    for token in _TOKEN.finditer(text):
        string, colon, number, opening, closing = token.groups()
        if string is not None:
            start, end = token.span(1)
            plain = string if "\\" not in string else cast("str", json.loads(f'"{string}"', strict=False))
            if colon is not None:
                names[-1] = plain
                document.name(plain, start=start - 1, end=end + 1)
            else:
                document.add(plain, _context(above, names[-1]), number=False, start=start - 1, end=end + 1)
        elif number is not None:
            document.add(number, _context(above, names[-1]), number=True, start=token.start(), end=token.end())
        elif opening is not None:
            above.append(names[-1] or "")
            # The items of an array are what the array is.
            names.append(names[-1] if opening == "[" else None)
        elif closing is not None:
            names.pop()
            above.pop()
    return document.done()


def document_of_value(value: JSON) -> Document:
    """The document that a parsed value is."""
    document = Document()
    _walk(document, value, ())
    return document.done()


def _walk(document: Document, value: JSON, context: tuple[str, ...]) -> None:
    if type(value) is str:
        document.add(value, context, number=False)
    elif type(value) is dict:
        for name, item in value.items():
            document.name(name)
            _walk(document, item, (*context[-1:], name))
    elif type(value) is list:
        for item in value:
            _walk(document, item, context)
    elif type(value) in (int, float):
        document.add(json.dumps(value), context, number=True)


def _rebuilt(document: Document, value: JSON, changes: dict[int, str], count: Iterator[int]) -> JSON:
    if type(value) is dict:
        new: dict[str, JSON] = {}
        same = True
        for name, item in value.items():
            named = name if document.is_plain(name) else changes.get(next(count), name)
            put = _rebuilt(document, item, changes, count)
            same = same and named == name and put is item
            new[named] = put
        return value if same else new
    if type(value) is list:
        items = [_rebuilt(document, item, changes, count) for item in value]
        return value if all(after is before for after, before in zip(items, value, strict=True)) else items
    if type(value) is str or type(value) in (int, float):
        new_value = changes.get(next(count), value)
        return cast("JSON", json.loads(new_value)) if isinstance(new_value, NumberText) else new_value
    return value


def _context(above: list[str], name: str | None) -> tuple[str, ...]:
    parent = above[-1] if above else ""
    return tuple(each for each in (parent, name) if each)


def _words(name: str) -> str:
    return _CAMEL.sub(" ", name[:_MOST_CONTEXT])


def _secret(text: str, name: str) -> Finding | None:
    """What is under a name that says it: no pattern tells a password from a word."""
    if len(name) > _MOST_CONTEXT or not text or len(text) > _MOST_SECRET or " " in text:
        return None
    bare = _BARE.sub("", name.lower())
    if bare in _PASSWORDS:
        return Finding(0, len(text), "PASSWORD", 0.85, "json")
    if bare in _SECRETS:
        return Finding(0, len(text), "SECRET", 0.85, "json")
    return None
