"""What a capitalised word may be: the lists of names, places and ordinary words, loaded at first use.

The lists are made by tools/refresh_names.py from public sources (see NOTICE). One dictionary says for each word what it
may be, so that a word costs one lookup. What is rarer (small places, of which a text names few, rare surnames and rare
words) stands in bit maps, which cost no time to load: Bloom filters, which one unknown word in some hundreds passes.
"""

from __future__ import annotations

import gzip
from functools import cache
from importlib.resources import files
from itertools import chain
from typing import Final
from zlib import crc32

from aistrale.privacy import vocabulary

FIRST: Final = 1
"""A first name."""
LAST: Final = 2
"""A last name."""
SURE: Final = 4
"""A first name that is hardly ever anything else: it suffices alone."""
CITY: Final = 8
"""A city of some size."""
REGION: Final = 16
"""A country or state."""
WORD: Final = 32
"""An ordinary English word as well."""
COMMON: Final = 64
"""One of the commonest of these."""

_SPREAD: Final = 2654435761


# The letters of `letters`, in its docstring's words.
_OVERLAYS: Final = (
    ("O", vocabulary.LEGAL_FORMS),
    ("o", vocabulary.ORG_NOUNS),
    ("N", vocabulary.NATIONS),
    ("R", frozenset(vocabulary.MORE_REGIONS)),
    ("X", vocabulary.NO_NAMES),
    ("G", vocabulary.GENERATIONS),
    ("T", vocabulary.TITLES),
    ("t", vocabulary.WEAK_TITLES),
    ("v", vocabulary.PARTICLES),
    ("w", vocabulary.FUNCTION_WORDS),
    ("X", vocabulary.UNITS),
)


@cache
def letters() -> dict[str, str]:
    """Each capitalised word with one letter that says what it may be.

    S: surely a first name; Y: and a city. F: a first name, less surely; f: and an ordinary word. L: a last name; l: and
    an ordinary word. C: a city that is a name too. P: a city. R: a country or state; r: one that is a name or word too.
    w: an ordinary word. T, t: a title, surely or perhaps. G: Jr, III. v: a particle of names. O, o: an organisation's
    legal form or noun. N: a people or faith. X: capitalised, but no name alone.
    """
    lines = [line.split("\t") for line in gzip.decompress(_read("words.txt")).decode().split("\n")[1:]]
    kinds = "".join(_letter(int(line.pop(0))) * len(line) for line in lines)
    found = dict(zip(chain.from_iterable(lines), kinds, strict=True))
    for letter, names in _OVERLAYS:
        found.update(dict.fromkeys(names, letter))
    return found


def _letter(kinds: int) -> str:
    """The one letter for what a word may be."""
    name = kinds & (FIRST | LAST)
    if kinds & REGION:
        return "r" if kinds & (FIRST | WORD) else "R"
    if kinds & WORD:
        return "f" if kinds & FIRST else "l" if kinds & LAST else "w"
    if kinds & SURE:
        return "Y" if kinds & CITY else "S"
    if kinds & CITY:
        return "C" if name else "P"
    return "F" if kinds & FIRST else "L"


def bits_of(name: str) -> tuple[int, int]:
    """Which two bits stand for a name, to be cut to the size of the bit map."""
    one = crc32(name.encode("utf-8", "surrogatepass"))
    return one, one * _SPREAD >> 9


def is_place(name: str) -> bool:
    """Whether a name is that of a city, town or village; of unknown words one in a hundred passes as well."""
    one, two = bits_of(name)
    bits, mask = _bit_map("places.bin")
    at, too = one & mask, two & mask
    return bool(bits[at >> 3] >> (at & 7) & bits[too >> 3] >> (too & 7) & 1)


def rare_letter(name: str) -> str:
    """What a word that the dictionary lacks may be: "w", a rarer ordinary word; "L", a rare last name; "U", neither."""
    one = crc32(name.encode("utf-8", "surrogatepass"))
    two = one * _SPREAD >> 9
    bits, mask = _bit_map("ordinary.bin")
    at, too = one & mask, two & mask
    if bits[at >> 3] >> (at & 7) & 1 and bits[too >> 3] >> (too & 7) & 1:
        return "w"
    bits, mask = _bit_map("surnames.bin")
    at, too = one & mask, two & mask
    return "L" if bits[at >> 3] >> (at & 7) & 1 and bits[too >> 3] >> (too & 7) & 1 else "U"


@cache
def _bit_map(file: str) -> tuple[bytes, int]:
    bits = gzip.decompress(_read(file))
    return bits, len(bits) * 8 - 1


def _read(file: str) -> bytes:
    return files("aistrale.privacy").joinpath(f"data/{file}.gz").read_bytes()
