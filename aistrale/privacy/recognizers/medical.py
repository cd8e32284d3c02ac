"""Numbers of the American health system: providers (NPI), Medicare beneficiaries (MBI), prescribers (DEA)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.checksums import dea, npi
from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers
from aistrale.privacy.recognizers._cues import cues

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate

_NPI_CUES: Final = cues(
    "npi npis provider providers physician prescriber practitioner clinician taxonomy nppes",
)
_NPI: Final = re.compile(r"[12]\d{9}|[12]\d{3}([ -])\d{3}\1\d{3}")
_MBI_CUES: Final = cues("mbi medicare beneficiary patient member cms hicn insurance")
# Understanding the MBI format (CMS): no S, L, O, I, B, Z.
_MBI: Final = re.compile(
    r"[1-9](?:[AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9]\d(-?)[AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9]\d\1[AC-HJKMNP-RT-Y]{2}\d{2}"
    r"|[ac-hjkmnp-rt-y][ac-hjkmnp-rt-y0-9]\d(-?)[ac-hjkmnp-rt-y][ac-hjkmnp-rt-y0-9]\d\2[ac-hjkmnp-rt-y]{2}\d{2})(?![\w-])"
)
_DEA_CUES: Final = cues(
    "dea registration prescriber certificate controlled practitioner physician license licence",
)
_DEA: Final = re.compile(r"[A-HJ-MPR-UXa-hj-mpr-ux](?:[A-Za-z]|9)(\d{7})")


class Npi:
    """National provider identifiers: ten digits, a Luhn check digit under the prefix 80840."""

    name = "us_npi"
    types = ("US_NPI",)
    triggers = Triggers(digits=(10,), cues=_NPI_CUES)

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The number, with words or emptiness around it."""
        digits = candidate.digits
        if len(digits) != 10 or digits[0] not in "12" or not npi(digits) or len(set(digits)) < 3:
            return ()
        if _NPI.fullmatch(candidate.text, candidate.start, candidate.end) is None:
            return ()
        score = 1.0 if candidate.near(_NPI_CUES) else 0.5 if candidate.alone else 0.0
        return (Finding(candidate.start, candidate.end, "US_NPI", score, self.name),) if score else ()


class Mbi:
    """Medicare beneficiary identifiers: eleven characters, in groups 4-3-4 or not."""

    name = "us_mbi"
    types = ("US_MBI",)
    triggers = Triggers(tokens=(4, 11))

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The identifier that begins with a word."""
        text, start = candidate.text, candidate.start
        match = _MBI.match(text, start)
        if match is None or (start and text[start - 1] == "-"):
            return ()
        score = 0.85 if candidate.near(_MBI_CUES) else 0.5
        return (Finding(start, match.end(), "US_MBI", score, self.name),)


class Dea:
    """Registration numbers of the Drug Enforcement Administration: two letters and seven digits."""

    name = "us_dea"
    types = ("MEDICAL_LICENSE",)
    triggers = Triggers(tokens=(9,), cues=_DEA_CUES)

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The number, with words or emptiness around it."""
        match = _DEA.fullmatch(candidate.text, candidate.start, candidate.end)
        if match is None or not dea(match.group(1)):
            return ()
        score = 1.0 if candidate.near(_DEA_CUES) else 0.5 if candidate.alone else 0.0
        return (Finding(candidate.start, candidate.end, "MEDICAL_LICENSE", score, self.name),) if score else ()


RECOGNIZERS = (Npi(), Mbi(), Dea())
