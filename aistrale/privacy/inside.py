"""Where in a text, or in JSON text, the next character stands: inside a link, inside a string."""

from __future__ import annotations

import json
import re
from typing import Final, Protocol

from aistrale.privacy.links import LinkTracker

_TOKEN: Final = re.compile(r'[^"\\]+|\\u[0-9a-fA-F]{4}|\\[^u]|"|\\(?:u[0-9a-fA-F]{0,3})?\Z|\\', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
ESCAPE_BEGINS: Final = r"\\(?:u[0-9a-fA-F]{0,3})?\Z"
"""An escape sequence that is not complete."""

_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_HALF: Final = re.compile(r"[\ud800-\udfff]")
# What a value may follow in JSON.
_BEFORE_VALUE: Final = ("", ":", ",", "[", "{")


def unescaped(text: str) -> str:
    """JSON text with letters in place of escape sequences for one, and spaces in place of others; as long as it was."""
    return _ESCAPED.sub(_letter_or_space, text) if "\\" in text else text


def _letter_or_space(escape: re.Match[str]) -> str:
    code = escape[1]
    letter = code is not None and chr(int(code, 16)).isalnum()
    return ("x" if letter else " ") * len(escape.group())


class Place(Protocol):
    """Follows a text as it grows."""

    def feed(self, text: str) -> None:
        """What comes next."""
        ...

    @property
    def inside(self) -> bool:
        """Whether what comes next stands inside a link."""
        ...

    @property
    def head(self) -> str | None:
        """The link so far, if it is short."""
        ...

    def ends(self, text: str, at: int) -> bool | None:
        """Whether the link ends at a place in a text; None if more of the text would tell."""
        ...

    def written(self, value: str, *, number: bool) -> str:
        """How a value is to be put here."""
        ...


class TextPlace:
    """The place in a plain text."""

    __slots__ = ("_links",)

    def __init__(self) -> None:
        self._links = LinkTracker()

    def feed(self, text: str) -> None:
        """What comes next."""
        self._links.feed(text)

    @property
    def inside(self) -> bool:
        """Whether what comes next stands inside a link."""
        return self._links.inside

    @property
    def head(self) -> str | None:
        """The link so far, if it is short."""
        return self._links.head

    def ends(self, text: str, at: int) -> bool | None:
        """Whether the link ends at a place in a text; None if more of the text would tell."""
        return self._links.ends_with(text[at]) if at < len(text) else None

    def written(self, value: str, *, number: bool) -> str:
        """As it is."""
        del number
        return value


class JSONPlace:
    """The place in JSON text; links are those of the string that is open, as its reader will see it."""

    __slots__ = ("_before", "_held", "_links", "in_string")

    def __init__(self) -> None:
        # Of the string that is open; None for a string of which nothing was read.
        self._links: LinkTracker | None = None
        self.in_string = False
        # An escape sequence that is not complete.
        self._held = ""
        # The last character outside of strings that is no space.
        self._before = ""

    def feed(self, text: str) -> None:
        """What comes next."""
        text = self._held + text
        self._held = ""
        at = 0
        while at < len(text):
            at = self._string(text, at) if self.in_string else self._outside(text, at)

    def _outside(self, text: str, at: int) -> int:
        quote = text.find('"', at)
        plain = (text[at:] if quote < 0 else text[at:quote]).rstrip()
        if plain:
            self._before = plain[-1]
        if quote < 0:
            return len(text)
        self.in_string = True
        self._links = None
        return quote + 1

    def _string(self, text: str, at: int) -> int:
        decoded: list[str] = []
        for token in _TOKEN.finditer(text, at):
            piece = token.group()
            at = token.end()
            if piece == '"':
                self.in_string = False
                self._before = '"'
                return at
            if piece[0] != "\\":
                decoded.append(piece)
            elif len(piece) == 2 and piece != "\\u":
                decoded.append(_ESCAPES.get(piece[1], piece[1]))
            elif len(piece) == 6:
                decoded.append(chr(int(piece.removeprefix("\\u"), 16)))
            elif at == len(text):
                self._held = piece
        if self._links is None:
            self._links = LinkTracker()
        self._links.feed("".join(decoded))
        return at

    @property
    def inside(self) -> bool:
        """Whether what comes next stands inside a link."""
        return self.in_string and self._links is not None and self._links.inside

    @property
    def head(self) -> str | None:
        """The link so far, if it is short."""
        return None if self._links is None else self._links.head

    def ends(self, text: str, at: int) -> bool | None:
        """Whether the link ends at a place in a text; None if more of the text would tell."""
        if at >= len(text):
            return None
        character = text[at]
        if character == '"' or self._links is None:
            return True
        if character != "\\":
            return self._links.ends_with(character)
        if at + 1 >= len(text):
            return None
        escaped = text[at + 1]
        return escaped != "u" and self._links.ends_with(_ESCAPES.get(escaped, escaped))

    def written(self, value: str, *, number: bool) -> str:
        """Escaped inside a string; where a value is expected, a value."""
        string = quoted(value)
        if self.in_string:
            return string[1:-1]
        if number:
            return value
        return string if self._before in _BEFORE_VALUE else string[1:-1]


def quoted(value: str) -> str:
    """A string as JSON writes it: readable, but for half characters, which no text file can hold."""
    made = json.dumps(value, ensure_ascii=False)
    return made if made.isascii() or _HALF.search(made) is None else json.dumps(value)
