"""Plates and register numbers in groups, of which the scanner sees but a piece; German postcodes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers
from aistrale.privacy.recognizers._national import NEAR, words
from aistrale.privacy.recognizers.plates import IN_STATES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate

_TR_CUES: Final = words("plaka plakası plakasi plakalı plakanın plate plates araç")  # noqa: RUF001
_TR_REST: Final = re.compile(r" ?[A-Za-z]{1,3} ?\d{2,5}(?!\w)")
# District, letters, number, an E or H at the end (FZV, § 9 and annex 4).
_DE_PLATE: Final = re.compile(r"(?<!\w)[A-ZÄÖÜ]{1,3}(?:-[A-Z]{1,2} ?| [A-Z]{1,2} )[1-9]\d{0,3}[EH]?(?!\w)")
_FR_PLATE: Final = re.compile(r"(?<![\w-])[A-HJ-NP-TV-Z]{2}([ -])\d{3}\1[A-HJ-NP-TV-Z]{2}(?![\w-])")
_REGISTER: Final = re.compile(r" ?\d{1,6}(?: ?[A-Z])?(?!\w)")
_STATES: Final = frozenset(IN_STATES.split("|"))
_IN_REST: Final = re.compile(r"([ -])[A-HJ-NP-Z]{1,3}\1\d{4}(?!\w)")
_DISTINCT: Final = 0.6
_REACH: Final = 64
_MOST_ALONE: Final = 16
_NAMED_WITHIN: Final = 16


class TurkishPlate:
    """Two digits of the province, letters, digits, as in "34 ABC 1234"."""

    name = "tr_license_plate"
    types = ("TR_LICENSE_PLATE",)
    triggers = Triggers(digits=(2,))

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The plate that begins with the two digits."""
        text, start, end = candidate.text, candidate.start, candidate.end
        if end - start != 2 or text[end : end + 1] != " ":
            return ()
        rest = _TR_REST.match(text, end)
        if rest is None or not "01" <= candidate.digits <= "81":
            return ()
        alone = not text[:start].strip(" \t\r\n\"'") and not text[rest.end() :].strip(" \t\r\n\"'.")
        if not alone and (text[start : rest.end()].upper() != text[start : rest.end()] or not candidate.near(_TR_CUES)):
            return ()
        return (Finding(start, rest.end(), "TR_LICENSE_PLATE", NEAR, self.name),)


class IndianPlate:
    """State, office, letters, number, as in "KA 01 HH 1234" (Motor Vehicles Act 1988, section 41)."""

    name = "in_vehicle_registration"
    types = ("IN_VEHICLE_REGISTRATION",)
    triggers = Triggers(digits=(2,))

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The plate whose office the two digits are."""
        text, start, end = candidate.text, candidate.start, candidate.end
        if text[start - 3 : start - 1] not in _STATES or end - start != 2 or start < 3 or text[start - 1] not in " -":
            return ()
        rest = _IN_REST.match(text, end)
        if rest is None or (start > 3 and text[start - 4].isalnum()):
            return ()
        return (Finding(start - 3, rest.end(), self.types[0], _DISTINCT, self.name),)


class NamedPlate:
    """Plates behind a word for them, or alone.

    Args:
        kind: The type of finding.
        literal: A piece of the word, without its first letter.
        plate: What a plate looks like.
        alone: Whether it counts where it is the whole text.
    """

    def __init__(self, kind: str, literal: str, plate: re.Pattern[str], *, alone: bool) -> None:
        self.name = kind.lower()
        self.types = (kind,)
        self.triggers = Triggers(literals=(literal,), whole=alone)
        self._plate = plate

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """All plates within 64 characters behind the word; or the text itself."""
        text, start, end = candidate.text, candidate.start, candidate.end
        if start == 0 and end == len(text):
            value = text.strip()
            if len(value) > _MOST_ALONE or self._plate.fullmatch(value) is None:
                return ()
            first = text.index(value)
            return (Finding(first, first + len(value), self.types[0], NEAR, self.name),)
        return [
            Finding(match.start(), match.end(), self.types[0], NEAR, self.name)
            for match in self._plate.finditer(text, end, end + _REACH)
        ]


class CommercialRegister:
    """German commercial register numbers: HRA or HRB and up to six digits (HRV § 13)."""

    name = "de_handelsregister"
    types = ("DE_HANDELSREGISTER",)
    triggers = Triggers(literals=("HRA", "HRB"))

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The number behind the letters."""
        text, start = candidate.text, candidate.start
        match = _REGISTER.match(text, candidate.end)
        if match is None or (start and (text[start - 1].isalnum() or text[start - 1] in "_-")):
            return ()
        return (Finding(start, match.end(), "DE_HANDELSREGISTER", NEAR, self.name),)


class GermanPostcode:
    """Five digits behind "PLZ" or "Postleitzahl"."""

    name = "de_plz"
    types = ("DE_PLZ",)
    triggers = Triggers(digits=(5,))

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The number, if a region has its first two digits (Deutsche Post)."""
        start, end = candidate.start, candidate.end
        before = candidate.text[start - _NAMED_WITHIN if start > _NAMED_WITHIN else 0 : start]
        if ("PLZ" not in before and "ostleitzahl" not in before) or end - start != 5:
            return ()
        if candidate.digits[:2] in {"00", "05", "43", "62"} or candidate.digits == "01000":
            return ()
        return (Finding(start, end, "DE_PLZ", NEAR, self.name),)


RECOGNIZERS = (
    TurkishPlate(),
    IndianPlate(),
    NamedPlate("DE_KFZ", "ennzeichen", _DE_PLATE, alone=True),
    NamedPlate("FR_LICENSE_PLATE", "mmatricul", _FR_PLATE, alone=False),
    CommercialRegister(),
    GermanPostcode(),
)
