"""International bank account numbers (ISO 13616; lengths from SWIFT's IBAN registry)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy import checksums
from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate

# The structure of what follows the check digits, as the registry writes it: n digits, a capital letters, c either.
_REGISTRY: Final = (
    "AD 8n12c,AE 19n,AL 8n16c,AT 16n,AZ 4a20c,BA 16n,BE 12n,BG 4a6n8c,BH 4a14c,BI 23n,BR 23n1a1c,BY 4c4n16c,CH 5n12c,"
    "CR 18n,CY 8n16c,CZ 20n,DE 18n,DJ 23n,DK 14n,DO 4c20n,EE 16n,EG 25n,ES 20n,FI 14n,FK 2a12n,FO 14n,FR 10n11c2n,"
    "GB 4a14n,GE 2a16n,GI 4a15c,GL 14n,GR 7n16c,GT 4c20c,HN 4a20n,HR 17n,HU 24n,IE 4a14n,IL 19n,IQ 4a15n,IS 22n,"
    "IT 1a10n12c,JO 4a4n18c,KW 4a22c,KZ 3n13c,LB 4n20c,LC 4a24c,LI 5n12c,LT 16n,LU 3n13c,LV 4a13c,LY 21n,"
    "MC 10n11c2n,MD 20c,ME 18n,MK 3n10c2n,MN 16n,MR 23n,MT 4a5n18c,MU 4a19n3a,NI 4a20n,NL 4a10n,NO 11n,OM 3n16c,"
    "PK 4a16c,PL 24n,PS 4a21c,PT 21n,QA 4a21c,RO 4a16c,RS 18n,RU 14n15c,SA 2n18c,SC 4a20n3a,SD 14n,SE 20n,SI 15n,"
    "SK 20n,SM 1a10n12c,SO 19n,ST 21n,SV 4a20n,TL 19n,TN 20n,TR 5n1n16c,UA 6n19c,VA 18n,VG 4a16n,XK 16n,YE 4a4n18c"
)
_PART: Final = re.compile(r"(\d+)([nac])")
_CLASS: Final = {"n": "[0-9]", "a": "[A-Za-z]", "c": "[A-Za-z0-9]"}
_SEPARATORS: Final = str.maketrans("", "", " -\u00a0")
_LONGEST: Final = 34
# Groups of any size parted by one space or dash, as printed; the country's length says where it ends.
_SPREAD: Final = re.compile(r"[A-Za-z]{2}[0-9]{2}(?:[ \-\u00a0]?[A-Za-z0-9]){10,30}")


def _structures() -> dict[str, tuple[int, re.Pattern[str]]]:
    """For each country the length of the whole and the pattern of what follows the check digits."""
    found = {}
    for row in _REGISTRY.split(","):
        country, _, structure = row.partition(" ")
        parts = [(int(count), kind) for count, kind in _PART.findall(structure)]
        pattern = "".join(f"{_CLASS[kind]}{{{count}}}" for count, kind in parts)
        found[country] = (4 + sum(count for count, _ in parts), re.compile(pattern))
    return found


_STRUCTURES: Final = _structures()


class Iban:
    """Account numbers with the check digits of ISO 13616, in groups or not."""

    name = "iban"
    types = ("IBAN_CODE",)
    triggers = Triggers(tokens=(4, *range(6, _LONGEST + 1)))

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The account number that begins with a word."""
        text, start = candidate.text, candidate.start
        structure = _STRUCTURES.get(text[start : start + 2].upper())
        if structure is None or (match := _SPREAD.match(text, start)) is None:
            return ()
        length, pattern = structure
        kept = match.group().translate(_SEPARATORS)[:length]
        if pattern.fullmatch(kept, 4) is None or not (kept.isupper() or kept.islower()) or not checksums.iban(kept):
            return ()
        # As many characters of the print as hold those of the number.
        end = start + length
        while len(text[start:end].translate(_SEPARATORS)) < length:
            end += 1
        if end < len(text) and (text[end].isalnum() or text[end] == "_"):
            return ()
        return (Finding(start, end, "IBAN_CODE", 1.0, self.name),)


RECOGNIZERS = (Iban(),)
