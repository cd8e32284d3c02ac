"""Street addresses of many countries: number and street in either order, flat, place, state, postcode.

An address that is written on one line, or with its state and postcode, is one finding. One whose flat stands on a line
of its own, as on an envelope, is given line by line: street, flat, place, country, postcode.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.lexicon import is_place, letters
from aistrale.privacy.recognizers._beside import AGAIN, DIGIT, KIND, STREET_KIND, Memo, word_bits
from aistrale.privacy.recognizers._run import before_of, letter_of
from aistrale.privacy.vocabulary import (
    STATES,
    STREET_ENDINGS,
    STREET_LOWER,
    STREET_PREFIXES,
    STREET_SUFFIXES,
    UNITS,
)

if TYPE_CHECKING:
    from aistrale.privacy.recognizers._run import Walk

_CAPITAL: Final = "A-ZÀ-ÖØ-ÞĀ-ɏΆ-ΫЀ-ЯԱ-ՖḀ-\u1eff"
_NUMBER: Final = r"\d{1,5}(?:[A-Za-z](?!\w))?(?:[-/]\d{1,4}[A-Za-z]?)?"
_ONE_NUMBER: Final = re.compile(_NUMBER)
_NUMBER_AFTER: Final = re.compile(
    rf",? (?:([^\W\d_]{{1,9}})\.? )?(?:[nN][°ºro]?\.? ?|#)?({_NUMBER})(?![\w%:]|[.,]\d|-\d)(?: ?([a-z])(?!\w))?"
)
_UNIT: Final = re.compile(
    r"((?:,? ?\n[ \t>?*|]{0,6}|, | ))(?:Apt|Apartment|Appt|Suite|Ste|Unit|Room|Rm|Floor|Flat|Bldg|Building|Piso"
    r"|Depto|Whg|Wohnung|Étage|Etage|Lejl|#)\.? ?[\w-]{1,6}(?!\w)",
    re.IGNORECASE,
)
_GAP: Final = re.compile(r",? ?\n[ \t>?*|]{0,6}(?:, |\n[ \t]{0,4})?|, | ")
_POSTCODE: Final = re.compile(
    r"(?:\d{5}(?:-\d{3,4})?|\d{4}-\d{3}|\d{2}-\d{3}|\d{3} \d{2}|\d{4}(?: [A-Z]{2})?|\d{3}|\d{6})(?!\w|-\d)"
)
_LETTER_POSTCODE: Final = re.compile(
    r"(?:[A-Z]\d[A-Z] \d[A-Z]\d|[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}|[A-Z]{1,2}-\d{4,5})(?!\w)"
)
# How a word for a flat may begin, and a line on which it stands.
_UNIT_STARTS: Final = frozenset("AaSsUuRrFfBbPpDdWwEe\u00c9\u00e9Ll#\n")
_GAP_STARTS: Final = frozenset(" ,\n")
_STREET_TAILS: Final = frozenset(ending[-2:] for ending in STREET_ENDINGS)
# Between a number and a street.
_NUMBER_GAPS: Final = frozenset(", \n\r\t\xa0")
_LEAST: Final = 3
_MOST_PIECES: Final = 4
_REGIONS: Final = frozenset("Rr")
_NO_PLACES: Final = frozenset("wTXN")
_STATE: Final = re.compile(r"[A-Z]{2,3}(?![\w.])")
_CAPITALISED: Final = rf"[{_CAPITAL}](?:[^\W\d_]|['\u2019.-](?=[^\W\d_]))*"
_BETWEEN: Final = r"(?:(?:n[ad]|pri|v|de[lrs]?|d[aio]s?|la|le|on|am|an|im|sur|upon|under|nad|pod|y|e) ){0,2}"
_PLACE: Final = re.compile(rf"{_CAPITALISED}\.?(?: {_BETWEEN}{_CAPITALISED}){{0,3}}(?: \([^\W\d_]{{2,12}}\))?(?![\w:])")
_CUES: Final = (
    " at", " to", " on", " address is", " address", " addresses", " located in", " lives in", " street", " street is",
    " adresse", " dirección", " indirizzo", " endereço", " adres", " is", " are", " in",
)  # fmt: skip
_NOT_STREETS: Final = frozenset("XNZTt")


class Street:
    """What of a run may be a street's name.

    Args:
        words: Its words.
        shape: A letter for each.
    """

    __slots__ = ("cut", "numbered", "plain", "shape", "words")

    def __init__(self, words: list[str], shape: str) -> None:
        # How many characters a word for a flat takes at its end.
        self.cut = 0
        if len(words) > 1 and words[-1].rstrip(".") in UNITS:
            self.cut = len(words[-1]) + 1
            words, shape = words[:-1], shape[:-1]
        self.words = words
        self.shape = shape
        self.numbered = _first_word(words, shape, numbered=True)
        self.plain = _first_word(words, shape, numbered=False)


def street_at(street: Street, start: int, end: int, walk: Walk, beside: int) -> bool:
    """Report the address whose street a run is; whether it is one."""
    text = walk.text
    if street.cut:
        end -= street.cut
        beside |= AGAIN | KIND
    before = -1
    if beside & DIGIT or text[start - 2 : start - 1] in _NUMBER_GAPS or start < _LEAST:
        before = _number_before(text, start)
    after = _NUMBER_AFTER.match(text, end) if beside & AGAIN else None
    lower = after[1] if after else None
    if lower and lower.lower() not in STREET_LOWER:
        after = lower = None
    if before < 0 and after is None:
        return False
    first, sure = street.plain if before < 0 else street.numbered
    stop = after.end() if after else end
    if lower:
        sure = True
        stop += text[stop : stop + 1] == "."
    elif after is None and beside & KIND:
        kind = _lower_street(text, stop)
        sure = sure or kind > 0
        stop += kind
    unit = _unit_after(text, stop)
    prefixed = (not sure or (before < 0 and not first)) and word_bits(text, start) & STREET_KIND > 0
    sure = sure or prefixed
    if not sure and (
        (after is None and unit is None) or not _plausible(street.shape[first:], (text, start), before, after, unit)
    ):
        return False
    begin = start
    if first:
        begin += sum(map(len, street.words[:first])) + first
        if before >= 0:
            before = -1
            if after is None:
                return False
    elif before < 0 and prefixed:
        # "12 rue La Fontaine", "ul. Polna 14": the small word is part of the street.
        begin = _prefix_start(text, start)
        before = _number_before(text, begin)
    _emit(walk, (begin, stop), (before, after is not None), unit, 0.9 if sure else 0.7)
    return True


def _unit_after(text: str, end: int) -> re.Match[str] | None:
    """The flat that follows."""
    mark = text[end : end + 1]
    if mark not in _GAP_STARTS:
        return None
    if mark != "\n":
        follows = text[end + 1 : end + 2]
        if mark == "," and follows == " ":
            follows = text[end + 2 : end + 3]
        if follows not in _UNIT_STARTS:
            return None
    return _UNIT.match(text, end)


def _prefix_start(text: str, start: int) -> int:
    """Where the word before a street's name begins."""
    at = start - 1
    while at > 0 and not text[at - 1].isspace():
        at -= 1
    return at


def _number_before(text: str, start: int) -> int:
    """Where the number before a street begins; -1: there is none."""
    end = start - 1
    if end > 0 and text[end - 1] == ",":
        end -= 1
    words = text[end - 12 if end > 12 else 0 : end].split()
    word = words[-1].lstrip("(>\"'*") if words else ""
    if not word or not (word.isdigit() or _ONE_NUMBER.fullmatch(word)) or len(word) > 9:
        return -1
    return end - len(word)


def _first_word(words: list[str], shape: str, *, numbered: bool) -> tuple[int, bool]:
    """Where in a run the street begins, and whether a word tells that it is one."""
    count = len(words)
    if count > 1 and not STREET_PREFIXES.isdisjoint(words):
        for at, word in enumerate(words[:-1]):
            if word in STREET_PREFIXES and shape[at + 1] != "Z":
                return at, True
    first = 0
    if numbered:
        if count > 1 and not STREET_SUFFIXES.isdisjoint(words[1:]):
            return 0, True
    else:
        while first < count - 1 and shape[first] == "w":
            first += 1
    for word in words:
        if word[-2:] in _STREET_TAILS and len(word) > 6 and word.lower().endswith(STREET_ENDINGS):
            return first, True
    return first, False


def _lower_street(text: str, end: int) -> int:
    """How many characters a street's kind in small letters takes after its name: 4 of " rue"; else 0."""
    if text[end : end + 1] != " ":
        return 0
    word = text[end + 1 : end + 12].partition(" ")[0].partition("\n")[0].rstrip(".,;?!")
    return len(word) + 1 if word in STREET_LOWER and word.islower() else 0


def _plausible(
    shape: str, place: tuple[str, int], before: int, after: re.Match[str] | None, unit: re.Match[str] | None
) -> bool:
    """Whether it is an address though no word says street."""
    if len(shape) > 4 or not _NOT_STREETS.isdisjoint(shape):
        return False
    if shape.strip("w") == "":
        return unit is not None and before >= 0 and after is not None
    if unit:
        return True
    if after is None:
        return False
    text, start = place
    if before >= 0:
        # "Java 17 Spring 6": the first number belongs to the word before it.
        ahead = text[max(0, before - 24) : before].rstrip(" ")
        word = ahead[max(ahead.rfind(" "), ahead.rfind("\n")) + 1 :]
        return "w" not in shape and not word[:1].isupper()
    return (
        len(after[2]) > 1
        and shape[-1] in "ULCPSFD"
        and f" {before_of(text, start).lower().rstrip(':')}".endswith(_CUES)
    )


def _emit(
    walk: Walk, street: tuple[int, int], numbers: tuple[int, bool], unit: re.Match[str] | None, score: float
) -> None:
    """Report an address with what follows it."""
    text, found = walk.text, walk.found
    start, end = street
    before, after = numbers
    if before >= 0:
        # A number before a street that has its own, or a second number, is that of a flat, box or route.
        other = before if after else _number_before(text, before) if text[before - 2 : before - 1].isdigit() else -1
        if other >= 0:
            found.append(Finding(other, start - 1 if after else before - 1, "ADDRESS", score, "address"))
        if not after:
            start = before
    solid = unit.end() if unit else end
    pieces = _tail(text, solid)
    walk.done = pieces[-1][1] if pieces else solid
    if unit and "\n" in unit[1] and not any(kind == "STATE" for _, _, kind in pieces):
        found.append(Finding(start, end, "ADDRESS", score, "address"))
        found.append(Finding(unit.end(1), solid, "ADDRESS", score, "address"))
    else:
        stop = _solid_end(pieces, solid)
        found.append(Finding(start, stop, "ADDRESS", score, "address"))
        pieces = [piece for piece in pieces if piece[0] >= stop]
    for begin, stop, kind in pieces:
        found.append(Finding(begin, stop, "LOCATION" if kind in {"PLACE", "REGION"} else "ADDRESS", 0.7, "address"))


def tail_of(text: str, at: int) -> int:
    """Where an address ends that goes on with a place, state or postcode after `at`."""
    return _solid_end(_tail(text, at), at)


def _solid_end(pieces: list[tuple[int, int, str]], end: int) -> int:
    """Where the last part of an address ends that is more than the name of a place."""
    for _, stop, kind in pieces:
        if kind != "PLACE":
            end = stop
    return end


def _tail(text: str, at: int) -> list[tuple[int, int, str]]:
    """The places, states and postcodes that follow a street."""
    pieces: list[tuple[int, int, str]] = []
    while len(pieces) < _MOST_PIECES and text[at : at + 1] in _GAP_STARTS:
        # Prose goes on, in most cases.
        if text[at] == " " and "a" <= text[at + 1 : at + 2] <= "z":
            break
        gap = _GAP.match(text, at)
        if gap is None:
            break
        piece = _piece(text, gap, inside=bool(pieces))
        if piece is None:
            break
        pieces.append(piece)
        at = piece[1]
    return pieces


def _piece(text: str, after: re.Match[str], *, inside: bool) -> tuple[int, int, str] | None:
    """One part of an address after its street.

    Args:
        text: The whole text.
        after: The gap before it.
        inside: Whether another part stands before it.
    """
    at, gap = after.end(), after.group()
    two = text[at : at + 2]
    if "a" <= two[:1] <= "z":
        return None
    if two[:1].isdigit():
        match = _POSTCODE.match(text, at)
        solid = match is not None and (inside or len(match.group()) > 4 or "\n" in gap)
        return (at, match.end(), "POSTCODE") if match and solid else None
    if not "a" <= two[1:] <= "z":
        if match := _LETTER_POSTCODE.match(text, at):
            return at, match.end(), "POSTCODE"
        if (match := _STATE.match(text, at)) and (
            match[0] in STATES or (inside and _POSTCODE.match(text, match.end() + 1))
        ):
            return at, match.end(), "STATE"
    match = _PLACE.match(text, at)
    if match is None:
        return None
    name = match[0]
    bits = _PLACES.get(name)
    if bits is None:
        bits = _PLACES.make(name)
    if bits & _REGION:
        return at, match.end(), "REGION"
    if not bits & _CREDIBLE or gap.count("\n") > 1 or (gap == " " and not bits & _SURE):
        return None
    return at, match.end(), "PLACE"


def _place_bits(name: str) -> int:
    """What the name after a street may be."""
    get = letters().get
    letter = get(name)
    words = name.split(" ")
    # "Milford New Zealand": the place and its country.
    if letter in _REGIONS or (len(words) > 1 and (get(words[-1]) in _REGIONS or get(" ".join(words[-2:])) in _REGIONS)):
        return _REGION
    first = get(words[0]) or letter_of(words[0])
    place = is_place(name)
    bits = 0
    if first not in _NO_PLACES or place or is_place(name.title()):
        bits |= _CREDIBLE
    if name.isupper() or (letter and letter in "CP") or place:
        bits |= _SURE
    return bits


# Of the name of a place: a country or state is part of it; it may be a place; it is one.
_REGION: Final = 1
_CREDIBLE: Final = 2
_SURE: Final = 4
_PLACES: Final = Memo(_place_bits, 4096)
