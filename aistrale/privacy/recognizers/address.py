"""Street addresses as they are written in many countries: number and street in either order, flat, place, state, postcode.

An address that is written on one line, or with its state and postcode, is one finding. One whose flat stands on a line of its
own, as on an envelope, is given line by line: street, flat, place, country, postcode.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.lexicon import is_place, letters
from aistrale.privacy.recognizers._run import letter_of
from aistrale.privacy.vocabulary import (
    STATES,
    STREET_ENDINGS,
    STREET_LOWER,
    STREET_LOWER_PREFIXES,
    STREET_PREFIXES,
    STREET_SUFFIXES,
)

if TYPE_CHECKING:
    from aistrale.privacy.recognizers._run import Run, Walk

_CAPITAL: Final = "A-ZÀ-ÖØ-ÞĀ-ɏΆ-ΫЀ-ЯԱ-ՖḀ-ỿ"
_NUMBER: Final = r"\d{1,5}(?:[A-Za-z](?!\w))?(?:[-/]\d{1,4}[A-Za-z]?)?"
_NUMBER_BEFORE: Final = re.compile(rf"(?<![\w.,$€£#%/:-])(?:({_NUMBER}),? )?({_NUMBER}),? \Z")
_NUMBER_AFTER: Final = re.compile(
    rf",? (?:([^\W\d_]{{1,9}})\.? )?(?:[nN][°ºro]?\.? ?|#)?({_NUMBER})(?![\w%:]|[.,]\d|-\d)(?: ?([a-z])(?!\w))?"
)
_UNIT: Final = re.compile(
    r"((?:,? ?\n[ \t>?*|]{0,6}|, | ))(?:Apt|Apartment|Appt|Suite|Ste|Unit|Room|Rm|Floor|Flat|Bldg|Building|Piso|Depto|Whg|Wohnung|Étage|Etage|Lejl|#)"
    r"\.? ?[\w-]{1,6}(?!\w)",
    re.IGNORECASE,
)
_GAP: Final = re.compile(r",? ?\n[ \t>?*|]{0,6}(?:, )?|, | ")
_POSTCODE: Final = re.compile(
    r"(?:(?:[A-Z]{1,2}-)?\d{5}(?:-\d{3,4})?|\d{4}-\d{3}|\d{2}-\d{3}|\d{3} \d{2}|\d{4}(?: [A-Z]{2})?|\d{3}|\d{6}|[A-Z]\d[A-Z] \d[A-Z]\d"
    r"|[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2})(?![\w]|-\d)"
)
_STATE: Final = re.compile(r"[A-Z]{2,3}(?![\w.])")
_PLACE: Final = re.compile(
    rf"[{_CAPITAL}](?:[^\W\d_]|['’.-](?=[^\W\d_]))*\.?(?: (?:(?:n[ad]|pri|v|de[lrs]?|d[aio]s?|la|le|on|am|an|im|sur|upon|under|nad|pod|y|e) ){{0,2}}"
    rf"[{_CAPITAL}](?:[^\W\d_]|['’.-](?=[^\W\d_]))*){{0,3}}(?: \([^\W\d_]{{2,12}}\))?(?![\w:])"
)
_CUE: Final = re.compile(
    r"(?:address(?:es)?|lives?|living|reside[sd]?|located|moved|ship(?:ped)?|deliver(?:ed)?|sent?|meet|mail(?:ed)?|stay(?:ing)?|home|house|office|"
    r"adresse|dirección|indirizzo|endereço|adres|street|is) ?(?:it |them |you |me )?(?:is|are|at|on|in|to|near|:)?:?\s*\Z|\b(?:at|off at|to|lives on):?\s*\Z",
    re.IGNORECASE,
)
BESIDE_LOWER: Final = frozenset(" " + word[:2] for word in STREET_LOWER if len(word) > 1) | {" u."}
"""How it goes on after a word that a street's kind in small letters follows."""
_NOT_STREETS: Final = frozenset("XNZTt")


def street_at(run: Run, walk: Walk) -> bool:
    """Report the address whose street a run is; whether it is one."""
    text, at = walk.text, run.start
    before = _NUMBER_BEFORE.search(text, max(0, at - 22), at) if text[at - 2 : at - 1].isdigit() or text[at - 2 : at - 1] == "," else None
    # What stands before the window would hide from the look-behind.
    if before and before.start() and (text[before.start() - 1].isalnum() or text[before.start() - 1] in "_$€£#%/"):
        before = None
    after = _NUMBER_AFTER.match(text, run.end)
    lower = after.group(1) if after else None
    if after and lower and lower.lower() not in STREET_LOWER:
        after = lower = None
    if before is None and after is None:
        return False
    first, sure = _first_word(run, numbered=before is not None)
    sure = sure or lower is not None
    if lower is None and after is None and before is not None:
        sure = sure or _lower_street(text, run.end) > 0
    end = after.end() if after else run.end + (_lower_street(text, run.end) if before else 0)
    if text[end : end + 1] == "." and lower:
        end += 1
    start = run.span(first, len(run.words))[0]
    unit = _UNIT.match(text, end)
    if not sure and not _plausible(run, first, before, after, unit):
        return False
    if sure and before is None and after is None:
        return False
    _emit(walk, start if first or not before else before.start(2), end, before, after, unit, 0.9 if sure else 0.7)
    return True


def _first_word(run: Run, *, numbered: bool) -> tuple[int, bool]:
    """Where in a run the street begins, and whether a word tells that it is one."""
    words, shape = run.words, run.shape
    for at, word in enumerate(words):
        if word in STREET_PREFIXES and at + 1 < len(words):
            return at, True
    if run.start > 3 and run.text[max(0, run.start - 8) : run.start].lower().split(" ")[-2:-1] and (
        run.text[max(0, run.start - 12) : run.start - 1].rpartition(" ")[2].rpartition("\n")[2].lower().rstrip(".") in STREET_LOWER_PREFIXES
    ):
        return 0, True
    first = 0
    if not numbered:
        while first < len(words) - 1 and shape[first] == "w":
            first += 1
    if numbered and (words[-1] in STREET_SUFFIXES or any(word in STREET_SUFFIXES for word in words[1:])) and (
        len(words) > 1 or words[0] == "Broadway"
    ):
        return first, True
    ended = any(len(word) > 6 and word.lower().endswith(STREET_ENDINGS) for word in words)
    return first, ended


def _lower_street(text: str, end: int) -> int:
    """How many characters a street's kind in small letters takes after its name: 4 of " rue"; else 0."""
    if text[end : end + 1] != " ":
        return 0
    word = text[end + 1 : end + 12].partition(" ")[0].partition("\n")[0].rstrip(".,;?!")
    return len(word) + 1 if word in STREET_LOWER and word.islower() else 0


def _plausible(run: Run, first: int, before: re.Match[str] | None, after: re.Match[str] | None, unit: re.Match[str] | None) -> bool:
    """Whether it is an address though no word says street."""
    shape = run.shape[first:]
    if len(shape) > 4 or set(shape) & _NOT_STREETS or (shape.strip("w") == "" and not (unit and before and after)):
        return False
    if before and after:
        return True
    if unit:
        return True
    return after is not None and len(after.group(2)) > 1 and _CUE.search(run.before) is not None and shape[-1] in "ULCPSFD"


def _emit(walk: Walk, start: int, end: int, before: re.Match[str] | None, after: re.Match[str] | None, unit: re.Match[str] | None, score: float) -> None:
    """Report an address with what follows it."""
    text, found = walk.text, walk.found
    if before is not None:
        # A number before a street that has its own is that of a flat, box or route.
        if after is not None:
            found.append(Finding(before.start(1) if before[1] else before.start(2), before.end(2), "ADDRESS", score, "address"))
            start = max(start, before.end())
        elif before[1]:
            found.append(Finding(before.start(1), before.end(1), "ADDRESS", score, "address"))
    solid = end
    own_line = unit is not None and "\n" in unit[1]
    if unit is not None:
        if own_line:
            pass
        solid = unit.end()
    pieces = _tail(text, solid)
    walk.done = max(solid, pieces[-1][1]) if pieces else solid
    if own_line and unit is not None and not any(kind == "STATE" for _, _, kind in pieces):
        found.append(Finding(start, end, "ADDRESS", score, "address"))
        found.append(Finding(unit.end(1), unit.end(), "ADDRESS", score, "address"))
    else:
        stop = max((stop for _, stop, kind in pieces if kind != "PLACE"), default=solid)
        found.append(Finding(start, stop, "ADDRESS", score, "address"))
        pieces = [piece for piece in pieces if piece[0] >= stop]
    for begin, stop, kind in pieces:
        found.append(Finding(begin, stop, "LOCATION" if kind in {"PLACE", "REGION"} else "ADDRESS", 0.7, "address"))


def _tail(text: str, at: int) -> list[tuple[int, int, str]]:
    """The places, states and postcodes that follow a street."""
    pieces: list[tuple[int, int, str]] = []
    for _ in range(4):
        gap = _GAP.match(text, at)
        if gap is None:
            break
        piece = _piece(text, gap.end(), gap.group(), bool(pieces))
        if piece is None:
            break
        pieces.append(piece)
        at = piece[1]
    return pieces


def _piece(text: str, at: int, gap: str, inside: bool) -> tuple[int, int, str] | None:
    """One part of an address after its street."""
    if match := _POSTCODE.match(text, at):
        if inside or len(match.group()) > 4 or "\n" in gap:
            return at, match.end(), "POSTCODE"
        return None
    if (match := _STATE.match(text, at)) and (match.group() in STATES or (inside and _POSTCODE.match(text, match.end() + 1))):
        return at, match.end(), "STATE"
    if text.startswith("nan", at) and inside:
        return None
    match = _PLACE.match(text, at)
    if match is None:
        return None
    name = match.group()
    letter = letters().get(name)
    if letter in {"R", "r"}:
        return at, match.end(), "REGION"
    head = name.split(" ")[0]
    first = letters().get(head) or letter_of(head)
    if first in {"w", "T", "X", "N"} and not (is_place(name) or is_place(name.title())):
        return None
    if gap == " " and not (name.isupper() or is_place(name) or (letter and letter in "CP")):
        return None
    return at, match.end(), "PLACE"
