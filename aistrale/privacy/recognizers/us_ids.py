"""Numbers of persons in the United States: social security, taxpayer, passport and driver's licence."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers
from aistrale.privacy.recognizers._cues import cues

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate

_SSN_CUES: Final = cues("ssn ssns ss social socsec security itin tin taxpayer")
_SSN: Final = frozenset({"ssn", "social"})
_ITIN_CUES: Final = cues("itin tin tax taxpayer individual irs ssn")
_PASSPORT_CUES: Final = cues("passport passports travel passeport pasaporte")
_LICENSE_CUES: Final = cues("license licence licenses licences lic driver drivers driving dl dln permit dmv")
_TRADES: Final = cues(
    "software medical nursing fishing hunting business product apache mit gpl bsd dea",
)
# Numbers of nine digits that say of themselves what they are.
_OTHERS: Final = cues(
    "phone order invoice ticket token serial tracking routing account isbn part version zip",
)

_GROUPS: Final = re.compile(
    r"(?<![\d.\-/])(?:(\d{3})([ .-])(\d{2})\2(\d{4})|(\d{3})-(\d{2})(\d{4})|(\d{3})(\d{2})-(\d{4}))"
    r"(?![\d/]|[.\-]\d)"
)
# What goes on is the code of a thing.
_CODE: Final = re.compile(r"-\w")
# The Social Security Administration never gives these: an advertisement's and the usual samples.
_PUBLISHED: Final = frozenset({"078051120", "219099999"})
_COUNTING: Final = frozenset({"123456789", "987654321", "012345678"})
# A longer row of numbers is a table.
_LONGEST_ROW: Final = 48
# Groups that the IRS gives (Publication 1915 and its notices).
_ITIN_GROUPS: Final = frozenset(
    str(group) for group in (*range(50, 66), *range(70, 89), *range(90, 93), *range(94, 100))
)


class UsTaxNumber:
    """Social security numbers, and the numbers of taxpayers who have none (ITIN)."""

    name = "us_tax_number"
    types = ("US_SSN", "US_ITIN")
    triggers = Triggers(digits=(9,))

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The numbers in a number: 3-2-4, or nine digits where words or emptiness around them tell."""
        start, end = candidate.start, candidate.end
        if len(candidate.digits) == end - start:
            if candidate.digits.isascii():
                return self._bare(candidate)
            return ()
        if end - start > _LONGEST_ROW or end - start >= 2 * len(candidate.digits) - 1:
            return ()
        text = candidate.text
        found = []
        for match in _GROUPS.finditer(text, start, end):
            area, group, serial = [part for part in match.groups() if part and part.isdigit()]
            dashed = match.group(2) == "-"
            if _CODE.match(text, match.end()):
                continue
            score = self._score(candidate, area + group + serial, dashed=dashed, whole=match.group(2) is not None)
            if score:
                kind = _kind(candidate, area, group, dashed=dashed and match.group(2) is not None)
                if kind:
                    found.append(Finding(match.start(), match.end(), kind, score, self.name))
        return found

    def _bare(self, candidate: Candidate) -> Iterable[Finding]:
        digits = candidate.digits
        itin = digits[0] == "9"
        if candidate.near(_ITIN_CUES if itin else _SSN_CUES):
            score = 0.85
        elif candidate.alone and digits not in _PUBLISHED and digits not in _COUNTING:
            score = 0.5
        else:
            return ()
        kind = _kind(candidate, digits[:3], digits[3:5], dashed=False)
        if not kind or digits[5:] == "0000":
            return ()
        return (Finding(candidate.start, candidate.end, kind, score, self.name),)

    def _score(self, candidate: Candidate, digits: str, *, dashed: bool, whole: bool) -> float:
        if digits[5:] == "0000" or digits in _PUBLISHED:
            return 0.0
        words = _ITIN_CUES if digits[0] == "9" else _SSN_CUES
        if candidate.near(words) and (whole or not words.isdisjoint(candidate.said)):
            return 0.85
        if candidate.alone:
            return 0.5
        if not whole or (not dashed and (digits in _COUNTING or candidate.near(_OTHERS))):
            return 0.0
        return 0.5


def _kind(candidate: Candidate, area: str, group: str, *, dashed: bool) -> str:
    """Which of the numbers it is; "" for none."""
    if area in ("000", "666") or group == "00":
        return ""
    if area[0] != "9":
        return "US_SSN"
    if candidate.near(_SSN):
        return "US_SSN"
    # Written with dashes it is meant as one, whatever groups are in use: the IRS adds to them.
    return "US_ITIN" if dashed or group in _ITIN_GROUPS else ""


class UsPassport:
    """Passports: nine digits, or a letter and eight digits since 2021."""

    name = "us_passport"
    types = ("US_PASSPORT",)
    triggers = Triggers(digits=(9,), tokens=(9,), cues=_PASSPORT_CUES)

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The number, with words or emptiness around it."""
        if candidate.end - candidate.start != 9:
            return ()
        value = candidate.value
        if not (value[1:].isdigit() and value.isascii()):
            return ()
        if value.isdigit() and (
            value in _COUNTING or value in _PUBLISHED or value[:3] in ("000", "666") or value[5:] == "0000"
        ):
            return ()
        if len(set(value[1:])) == 1:
            return ()
        if candidate.near(_PASSPORT_CUES):
            score = 0.85
        elif candidate.alone:
            score = 0.5
        else:
            return ()
        return (Finding(candidate.start, candidate.end, "US_PASSPORT", score, self.name),)


# The shapes of the states' and the District's numbers, as their departments of motor vehicles print them, joined.
_LICENSE: Final = re.compile(
    r"[A-Za-z]\d{3,14}|\d{4,14}|[A-Za-z]{2}\d{2,7}[A-Za-z]?|[A-Za-z]\d{2}[A-Za-z]{3}\d{5}|\d{3}[A-Za-z]{2}\d{4}"
    r"|\d{2}[A-Za-z]{3}\d{5}|[A-Za-z]{1,7}[A-Za-z0-9*]{3,8}\d[A-Za-z0-9]{1,2}|\d{8,9}[A-Za-z]|\d{7,9}[A-Za-z]{1,2}|[A-Za-z]\d{6}[A-Za-z]"
)
_LONGEST_LICENSE: Final = 24
_PARTED: Final = re.compile(r"(?<![\w-])(?:[A-Za-z]{1,2}\d{2,4}|\d{2,4})(?:[ -]\d{2,6}){1,4}(?!\w)")


class UsDriverLicense:
    """Driver's licences of the states; the shapes say little, so only with words around them."""

    name = "us_driver_license"
    types = ("US_DRIVER_LICENSE",)
    triggers = Triggers(digits=range(6, 15), tokens=range(4, 16), cues=_LICENSE_CUES)

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The number behind or before words such as "driver's license"."""
        if candidate.end - candidate.start > _LONGEST_LICENSE:
            return ()
        if candidate.alone:
            value = candidate.value
            if len(value) == 9 and value.isascii() and value[0].isalpha() and value[1:].isdigit():
                return (Finding(candidate.start, candidate.end, "US_DRIVER_LICENSE", 0.5, self.name),)
            return ()
        before = candidate.before
        if not ("lic" in before or "driv" in before or "dl" in before or "dmv" in before or "driv" in candidate.after):
            return ()
        if not candidate.near(_LICENSE_CUES) or not _says_driver(candidate):
            return ()
        value = candidate.value
        start, end = candidate.start, candidate.end
        match = _PARTED.match(candidate.text, start, start + 24)
        if match is not None and match.end() > end:
            end = match.end()
        elif _LICENSE.fullmatch(value) is None and (match is None or match.end() != end):
            return ()
        found = candidate.text[start:end]
        if sum(map(str.isdigit, found)) < 4 or len(set(filter(str.isdigit, found))) == 1:
            return ()
        return (Finding(start, end, "US_DRIVER_LICENSE", 0.85, self.name),)


_BEFORE: Final = re.compile(
    r"(?:driver|driving|(?<![a-z])(?:dl|dln|dmv|lic)(?![a-z])|licen[sc]e\W{1,3}(?:no|number|num|id)(?![a-z]))"
    r"(?!.{0,64}(?<![a-z])(?:ssn|phone|passport|routing|account|born|dob|email|version|issued|expires?|employee|aadhar)(?![a-z]))",
    re.DOTALL,
)
_AFTER: Final = re.compile(r"\W{1,3}(?:is|was|as)\W{1,2}(?:\w{1,12}\W{1,2}){0,2}driv(?:er|ing)")
_ALL_TRADES: Final = re.compile(r"(?<![a-z])(?:" + "|".join(sorted(_TRADES)) + r")\W{1,2}licen[sc]e")


def _says_driver(candidate: Candidate) -> bool:
    """Whether the words before it, or a clause behind it, are about driving and not about another number."""
    before = candidate.before
    if "driv" not in before and _ALL_TRADES.search(before):
        return False
    return _BEFORE.search(before) is not None or _AFTER.match(candidate.after) is not None


RECOGNIZERS = (UsTaxNumber(), UsPassport(), UsDriverLicense())
