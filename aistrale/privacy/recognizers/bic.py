"""Business identifier codes of banks, SWIFT codes (ISO 9362)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers
from aistrale.privacy.recognizers._cues import cues

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate

# ISO 3166-1 alpha-2, and XK.
_COUNTRIES: Final = cues(
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BW BY BZ",
    "CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG ER ES ET FI FJ FK FM FO",
    "FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GT GU GW GY HK HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM",
    "JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO",
    "MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT",
    "PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL",
    "TM TN TO TR TT TV TW TZ UA UG US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW",
)
# Eight capitals are a word as often as a bank, so the code is looked for only behind its name.
_NAMES: Final = ("BIC", "SWIFT", "Swift")
_CODE: Final = (
    r"(?![A-Za-z])[^A-Z0-9\n]{0,24}(?:(?:CODE|BIC|SWIFT|IS)\W{1,3}){0,3}"
    r"([A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?)(?!\w)"
)
_PATTERNS: Final = tuple((name, re.compile(f"{name}(?<![A-Za-z]{name}){_CODE}")) for name in _NAMES)


class Bic:
    """Codes of banks behind the words BIC or SWIFT."""

    name = "bic"
    types = ("BIC_CODE",)
    triggers = Triggers(whole=True)

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The codes that a text names as such."""
        text = candidate.text
        return [
            Finding(match.start(1), match.end(1), "BIC_CODE", 0.85, self.name)
            for name, pattern in _PATTERNS
            if name in text
            for match in pattern.finditer(text)
            if match.group(1)[4:6] in _COUNTRIES
        ]


RECOGNIZERS = (Bic(),)
