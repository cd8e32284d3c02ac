"""Numbers of things that lead to a person: phones (IMEI) and vehicles (VIN)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.checksums import luhn, vin
from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers
from aistrale.privacy.recognizers._cues import cues

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate

_IMEI_CUES: Final = cues("imei imeis imeisv meid handset device phone serial")
_IMEI: Final = re.compile(r"\d{15}|\d{2}([ -])\d{6}\1\d{6}\1\d|\d{6}([ -])\d{2}\2\d{6}\2\d|\d{8}([ -])\d{6}\3\d")
_VIN_CUES: Final = cues(
    "vin vins vehicle chassis car truck fahrgestellnummer fin châssis bastidor telaio",
)
_VIN_SIZE: Final = 17
_VIN: Final = re.compile(r"[A-HJ-NPR-Z0-9]{13}\d{4}")


class Imei:
    """Fifteen digits with a Luhn check digit, where words say that they are a device's."""

    name = "imei"
    types = ("IMEI",)
    triggers = Triggers(digits=(15,), cues=_IMEI_CUES)

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The number near such a word."""
        digits = candidate.digits
        if len(digits) != 15 or not candidate.near(_IMEI_CUES) or not luhn(digits):
            return ()
        if _IMEI.fullmatch(candidate.text, candidate.start, candidate.end) is None:
            return ()
        return (Finding(candidate.start, candidate.end, "IMEI", 1.0, self.name),)


class Vin:
    """Seventeen characters, the ninth a check digit, the last four digits (ISO 3779, 49 CFR part 565)."""

    name = "vin"
    types = ("VIN",)
    # One of digits alone is no word to the scan.
    triggers = Triggers(tokens=(17,), digits=(17,))

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The number that a word is; outside North America, where there is no check digit, near a word that says so."""
        if candidate.end - candidate.start != _VIN_SIZE:
            return ()
        value = candidate.value
        upper = value.upper()
        if _VIN.fullmatch(upper) is None or len(set(value)) < 5:
            return ()
        near = candidate.near(_VIN_CUES)
        if not vin(upper):
            score = 0.5 if near and not value.isdigit() and "vin" in candidate.words else 0.0
        elif near:
            score = 1.0
        else:
            score = 0.5 if value == upper and sum(map(str.isalpha, value)) >= 4 else 0.0
        return (Finding(candidate.start, candidate.end, "VIN", score, self.name),) if score else ()


RECOGNIZERS = (Imei(), Vin())
