r"""What is written in a code: HTML entities, percent signs, escapes of JSON, quoted-printable, base64, hexadecimal.

Each kind has a gate, the search for one character, so that a text without it costs next to nothing. One level is
undone: what was encoded twice is out of the reach of whoever reads the text, models included.
"""

from __future__ import annotations

import binascii
import re
from html.entities import html5
from typing import TYPE_CHECKING, Final

from aistrale.privacy.folding import fold
from aistrale.privacy.reading import Edit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ENTITY: Final = re.compile(r"&(?:#([0-9]{1,7})|#[xX]([0-9A-Fa-f]{1,6})|([A-Za-z][A-Za-z0-9]{1,30}));?")
_PERCENT: Final = re.compile(r"%[0-9A-Fa-f]{2}(?:%[0-9A-Fa-f]{2}){0,63}")
# Of JSON, JavaScript and Python, escaped twice at most. A line break counts where a value may follow, that
# its letter would else be read as a part of, `\n4111`; not in the paths of Windows.
_ESCAPE: Final = re.compile(
    r"\\\\{0,3}(?:u([0-9A-Fa-f]{4})(?:\\{1,4}u([Dd][C-Fc-f][0-9A-Fa-f]{2}))?|u\{([0-9A-Fa-f]{1,6})\}"
    r"|U([0-9A-Fa-f]{8})|x([0-9A-Fa-f]{2})|([nrt])(?=[\w+(@.\- ])|(/))"
)
# RFC 2045: rows of encoded characters, single ones inside of numbers and addresses, and the soft line end. Elsewhere
# `=20` is the value of a setting.
_QUOTED: Final = re.compile(
    r"=(?:([2-7][0-9A-F](?:=[2-7][0-9A-F]){3,63})|(2[0-9A-F])(?<=\d=..)(?=\d)"
    r"|(2[A-F]|3[A-D]|5F)(?<=[\w.+\-]=..)(?=[\w+(])|(40)(?<=\w=40)(?=[A-Za-z][\w\-]{0,62}[.=])|\r?\n(?:(?<=[\w.@\-]=\n)|(?<=[\w.@\-]=\r\n))(?=[\w.@\-]))"
)
# What a line that ends softly ends in: an address or number.
_VALUE: Final = re.compile(r"(?:@|\d\S?\d)\S*\Z")
_HOST: Final = re.compile(r"@\S*\Z")
_LOCAL: Final = re.compile(r"[\w.+\-]{1,64}@")
_WORD: Final = 64
_URL: Final = 64
# They part values, and are no part of any.
_MARKUP: Final = frozenset("<>&\"'")
_WHITE: Final = {"n": "\n", "r": "\r", "t": "\t"}

_CODED: Final = re.compile(r"[A-Za-z0-9+/_\-]*")
_PADDING: Final = re.compile(r"={0,2}")
_PIECE: Final = re.compile(r"[A-Za-z0-9+/]{14,}|[A-Za-z0-9_\-]{14,}")
_HEX: Final = re.compile(r"(?:0[xX])?((?:[0-9A-Fa-f]{2}){8,})(?![0-9A-Za-z])")
# Shorter tokens, without their padding, hold no more than nine characters.
_LEAST: Final = 14
_LEAST_DIGITS: Final = 20
# What the first character of a text can begin with.
_BEGINS_HEX: Final = frozenset("0234567")
_BEGINS_BASE64: Final = frozenset("CDIJKLMNOPQRSTUVWXYZabcdefwxyz0123456789")
# How much of one token is read, and of all tokens of a text.
_MOST_TOKEN: Final = 8192
_MOST_READ: Final = 262_144
# Enough to tell data from text.
_SAMPLE: Final = 24
_LETTERS: Final = bytes(ord("a") if code < 128 and chr(code).isalnum() else ord(" ") for code in range(256))
_LONG: Final = b"a" * _LEAST
_SHOWN: Final = bytes([9, 10, 13, *range(32, 127)])


def escaped(text: str) -> Iterator[Edit]:
    """Edits for escapes of all kinds."""
    for gate, kind in _KINDS:
        if gate in text:
            yield from kind(text)


def _entities(text: str) -> Iterator[Edit]:
    for match in _ENTITY.finditer(text):
        decimal, hexadecimal, name = match.groups()
        if name is None:
            seen = _character(int(decimal) if decimal else int(hexadecimal, 16))
        else:
            seen = html5.get(name + ";", "")
            if seen in _MARKUP:
                continue
        if seen:
            yield Edit(*match.span(), "".join(map(fold, seen)))


def _percent(text: str) -> Iterator[Edit]:
    for match in _PERCENT.finditer(text):
        at = match.start()
        data = bytes.fromhex(match.group().replace("%", ""))
        done = 0
        while done < len(data):
            size = _size(data[done])
            seen = _shown(data[done : done + size])
            start = at + 3 * done
            # In what stands before the host of a URL a bare slash would end it.
            if seen and not (seen == "/" and "://" in text[max(0, start - _URL) : start]):
                yield Edit(start, start + 3 * min(size, len(data) - done), seen)
            done += size


def _size(first: int) -> int:
    """How many bytes a character of UTF-8 has."""
    return 1 if first < 0xC2 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4


def _shown(data: bytes) -> str:
    if len(data) == 1:
        return chr(data[0]) if data[0] in _SHOWN else ""
    try:
        return "".join(map(fold, data.decode()))
    except UnicodeDecodeError:
        return ""


def _escapes(text: str) -> Iterator[Edit]:
    for match in _ESCAPE.finditer(text):
        short, low, braced, wide, byte, white, slash = match.groups()
        start, end = match.span()
        if white is not None:
            # Before small letters it is the path of a file more often, `C:\new`, but for addresses.
            before = text[max(0, start - _WORD) : start]
            if not text[end].islower() or _LOCAL.match(text, end) or _HOST.search(before):
                yield Edit(start, end, _WHITE[white])
        elif slash is not None:
            yield Edit(start, end, slash)
        elif short is not None:
            code = int(short, 16)
            if 0xD800 <= code < 0xDC00 and low is not None:
                code = 0x10000 + ((code - 0xD800) << 10) + int(low, 16) - 0xDC00
            elif low is not None:
                end = match.start(2) - 2
            yield Edit(start, end, fold(_character(code)))
        else:
            yield Edit(start, end, fold(_character(int(braced or wide or byte, 16))))


def _quoted(text: str) -> Iterator[Edit]:
    for match in _QUOTED.finditer(text):
        codes = match.group(match.lastindex) if match.lastindex else ""
        if not codes and _VALUE.search(text[max(0, match.start() - _WORD) : match.start()]):
            yield Edit(*match.span(), "")
        for offset in range(0, len(codes), 3):
            start = match.start() + offset
            yield Edit(start, start + 3, chr(int(codes[offset : offset + 2], 16)))


_KINDS: Final[tuple[tuple[str, Callable[[str], Iterator[Edit]]], ...]] = (
    ("&", _entities),
    ("%", _percent),
    ("\\", _escapes),
    ("=", _quoted),
)


def _character(code: int) -> str:
    """The character of a code point; a replacement character for what is none, as browsers have it."""
    return "\ufffd" if 0xD800 <= code < 0xE000 or code > 0x10FFFF else chr(code)


def encoded(text: str) -> Iterator[Edit]:
    """Edits for tokens of base64 (of both alphabets, padded or not) and hexadecimal that hold text."""
    done = 0
    read = 0
    for start, end in _long_words(text):
        # Without both cases, or a digit, a word is one of a language or a program.
        if (
            start < done
            or read > _MOST_READ
            or ((word := text[start:end]).isalpha() and (word[1:].islower() or word.isupper()))
        ):
            continue
        begun = _begin(text, start, done)
        done = _ended(text, end)
        read += done - begun
        for token in _tokens(text, begun, start, end, done):
            seen = _text_of(text[token[0] : token[1]])
            if seen:
                closing = _PADDING.match(text, token[1])
                yield Edit(token[0], token[1] if closing is None else closing.end(), seen)
                break


def _long_words(text: str) -> Iterator[tuple[int, int]]:
    """Rows of ASCII letters and digits that are long enough; much faster than a regular expression."""
    data = text.encode("latin-1", "replace").translate(_LETTERS)
    at = data.find(_LONG)
    while at >= 0:
        end = data.find(b" ", at)
        if end < 0:
            end = len(data)
        yield at, end
        at = data.find(_LONG, end)


def _begin(text: str, start: int, least: int) -> int:
    least = max(least, start - _MOST_TOKEN)
    while start > least and (text[start - 1] in "+/-" or (text[start - 1].isalnum() and text[start - 1].isascii())):
        start -= 1
    return start


def _ended(text: str, end: int) -> int:
    match = _CODED.match(text, end)
    return end if match is None else match.end()


def _tokens(text: str, begun: int, start: int, end: int, ended: int) -> Iterator[tuple[int, int]]:
    """What the token may be, the longest first: signs of base64 part words in other texts."""
    yield begun, ended
    for match in _PIECE.finditer(text, begun, min(ended, begun + _MOST_TOKEN)):
        if match.span() not in ((begun, ended), (start, end)):
            yield match.span()
    if (start, end) != (begun, ended):
        yield start, end


def _text_of(token: str) -> str:
    """The text that a token holds; empty if it holds data, or is no token."""
    begins = token[:1]
    match = _HEX.fullmatch(token) if begins in _BEGINS_HEX else None
    # Of digits alone a card's number is made as well.
    if match is not None and (len(token) >= _LEAST_DIGITS or not token.isdigit()):
        seen = _text(bytes.fromhex(match.group(1)[:_MOST_TOKEN]))
        if seen:
            return seen
    if len(token) < _LEAST or begins not in _BEGINS_BASE64:
        return ""
    if not _text(_base64(token[:_SAMPLE])):
        return ""
    return _text(_base64(token[:_MOST_TOKEN]))


def _base64(token: str) -> bytes:
    if len(token) % 4 == 1:
        token = token[:-1]
    try:
        return binascii.a2b_base64(token.replace("-", "+").replace("_", "/") + "=" * (-len(token) % 4))
    except ValueError:
        # Not ASCII, or not of a possible length (binascii.Error).
        return b""


def _text(data: bytes) -> str:
    if not data.translate(None, _SHOWN):
        return data.decode("ascii")
    # A sample may end in the middle of a character.
    for cut in range(4):
        try:
            text = data[: len(data) - cut].decode()
        except UnicodeDecodeError:
            continue
        # Chance makes text of few bytes now and then, but not mostly of ASCII.
        plain = sum(map(str.isascii, text))
        return "".join(map(fold, text)) if text.isprintable() and 4 * plain >= 3 * len(text) else ""
    return ""
