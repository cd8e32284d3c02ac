"""Dates in numerals and with the names of months, with the time of day where one stands behind; years and weekdays.

A date alone says little about anybody, one behind "born" says much: the score tells them apart.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers
from aistrale.privacy.recognizers._cues import cues

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from aistrale.privacy.recognizer import Candidate

_BIRTH: Final = cues(
    "born birth dob birthday birthdate birthdays geboren geburtsdatum geburtstag né née naissance nacido nacida",
    "nacimiento nato nata nascita nascido nascimento geboortedatum född fødselsdato syntynyt urodzony urodzona",
    "doğum",
)
_CUES: Final = cues(
    "date dates dated day today tomorrow yesterday due expires expired expiry expiration exp valid since until",
    "till deadline appointment scheduled meeting invoice visit admitted discharged issued deceased died datum",
    "fecha data",
)
_NAMES_OF_MONTHS: Final = cues(
    "jan january januar janvier feb february februar février mar march mars marzo märz apr april avril abril may",
    "mai mayo jun june juni juin junio jul july juli juillet julio aug august août agosto sep sept september",
    "septembre septiembre oct october octobre octubre okt oktober nov november novembre noviembre dec december",
    "dez dezember décembre diciembre enero febrero",
)


def _tree(words: Collection[str]) -> str:
    """A pattern of these words, the longest first, that tries each letter once and not each word."""
    rests: dict[str, list[str]] = {}
    for word in filter(None, words):
        rests.setdefault(word[0], []).append(word[1:])
    pattern = "|".join(first + (_tree(rest) if any(rest) else "") for first, rest in sorted(rests.items()))
    return f"(?:{pattern}){'?' if '' in words else ''}"


_MONTHS: Final = _tree(_NAMES_OF_MONTHS)
# In a longer row of numbers only what stands at its beginning is looked at.
_MOST_IN_ROW: Final = 4
_TIME: Final = (
    r"(?:(?:T|,?\s(?:at\s)?)(?:[01]?\d|2[0-4]):[0-5]\d(?::[0-6]\d(?:[.,]\d{1,9})?)?"
    r"(?:\s?[AaPp]\.?[Mm]\.?(?![A-Za-z]))?(?:\s?(?:Z|UTC|GMT)(?!\w)|\s?[+-]\d{2}:?\d{2}(?!\d))?)?"
)
_END: Final = r"(?![\w/]|-\w)"
_YEAR_FIRST: Final = re.compile(
    r"((?:1[6-9]|2[01])\d\d)([-/.])(0?[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01]|[1-9](?!\d))" + _TIME + r"(?![\w/]|-\d)"
)
_YEAR_LAST: Final = re.compile(
    r"(\d{1,2})([-/.])(\d{1,2})\2((?:1[6-9]|2[01])\d\d|\d\d)(?!\d)" + _TIME + r"(?![\w/]|[-.]\d)"
)
_MONTH_YEAR: Final = re.compile(r"(0?[1-9]|1[0-2])[/-]((?:19|20)\d\d)(?![\w/]|[-.]\d)")
_DAY_MONTH: Final = re.compile(r"(\d{1,2})/(\d{1,2})(?![\w/]|[-.]\d)")
_COMPACT: Final = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
# 15 March 1989, 15th of March, 5-MAY-2021, 21-May
_DAY_NAME: Final = re.compile(
    r"(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th|er|\.|º)?(?:\s(?:of\s|de\s)?|-|/)"
    f"({_MONTHS})"
    r"(?:\.?,?(?:\s(?:of\s|de\s|del\s)?|-|/)((?:1[0-9]|20)\d\d|'?\d\d(?=\b)))?" + _TIME + _END,
    re.IGNORECASE,
)
# What follows "March ": 15, 1989 or 1989
_NAME_DAY: Final = re.compile(
    r"(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?(?:(?:\s?,\s?|\s|-)((?:1[0-9]|20)\d\d)(?!\d))?" + _TIME + _END
)
_NAME_BEFORE: Final = re.compile(r"(?<![^\W_])" + _MONTHS + r"(?:\.?,?\s|[-/])\Z", re.IGNORECASE)
_NUMERALS: Final = "0123456789"
_SEPARATORS: Final = frozenset("-/.")
_CENTURIES: Final = frozenset({"18", "19", "20"})
_JOINERS: Final = frozenset(" -/.º")
# What the names of months begin with, and "of" and "de".
_HEADS: Final = frozenset(
    (*(month[:3] for month in _NAMES_OF_MONTHS), *(word + space for word in ("of", "de") for space in " \n\t\r\xa0"))
)
# The last three characters of what may be the name of a month and what stands behind it.
_TAILS: Final = frozenset((month + mark)[-3:] for month in _NAMES_OF_MONTHS for mark in ("", ".", ","))

_YEAR_CUE: Final = re.compile(
    r"(?<![^\W_])(?:(?:in|since|during|until|till|by|from|before|after|circa|around|early|late|mid|anno|fiscal|calendar"
    r"|(?:spring|summer|autumn|fall|winter|act|class|end|beginning|start|half|quarter|election|crisis|season) (?:of|in)"
    r"|of the year|born|founded|established|graduated|im jahr|seit|en|nel)\s|(year\s))\Z"
)
# With what the one before and the one below end: the rest of the text need not be looked at.
_BEFORE_YEAR: Final = cues(
    "in since during until till by from before after circa around early late mid anno fiscal calendar of year born",
    "founded established graduated jahr seit en nel a an the",
)
_ARTICLE: Final = re.compile(r"(?<![^\W_])(?:an?|the)\s\Z")
_CAPITAL: Final = re.compile(r"\s[A-Z][a-z]{2,}")
_UNIT: Final = re.compile(
    r"\s?(?:bytes?|bits?|kb|mb|gb|ms|milli|micro|nano|sec|min|hours?|days?|steps?|items?|lines?|rows?|col|records?|times|points?|pixels?"
    r"|px|x\s?\d|hz|mhz|rpm|km|miles?|met|feet|kg|usd|eur|dollars?|euros?|people|users?|words?|char|files?|tests?|iter|epochs?|samples?|tokens?|cases|elements|entries|%|\*|\+|-|=|/)"
)
_WEEKDAY: Final = re.compile(r"day(?![\w-])(\s(?:morning|afternoon|evening|night|noon)(?!\w))?")
_WEEKDAY_BEFORE: Final = re.compile(
    r"(?<![^\W_])((?:on|this|by|until|till|before|after|meet|since|from|(?<!the\s)(?:next|last))\s)?((?:sun|mon|tues|wednes|thurs|fri|satur))\Z",
    re.IGNORECASE,
)


class Date:
    """Dates that hold a digit."""

    name = "date"
    types = ("DATE_TIME",)
    triggers = Triggers(digits=(1, 2, 4, 8), tokens=(3, 4, *range(9, 33)))

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The date that a number begins or ends."""
        start, end, count = candidate.start, candidate.end, len(candidate.digits)
        if count == end - start:
            if count < 3:
                return self._day(candidate)
            return self._year(candidate) if count == 4 else self._compact(candidate)
        if not candidate.text[start].isdigit():
            return ()
        if count == 0 and end - start <= 4:
            return self._day(candidate)
        return self._numeric(candidate)

    def _numeric(self, candidate: Candidate) -> Iterable[Finding]:
        text, start, end = candidate.text, candidate.start, candidate.end
        if (
            start
            and text[start - 1] in "./-$"
            and not (text[start - 1] == "-" and text[start - 2 : start - 1].isspace())
        ):
            return ()
        found = []
        for _ in range(_MOST_IN_ROW):
            match = self._at(candidate, start)
            if match is not None:
                where, score = match
                found.append(Finding(start, where, "DATE_TIME", score, self.name))
                start = where
            start = _next(text, start, end)
            if start < 0:
                break
        return found

    def _at(self, candidate: Candidate, start: int) -> tuple[int, float] | None:
        """Where a date that begins there ends, and how sure it is."""
        text = candidate.text
        head = text[start : start + 5]
        rest = head.lstrip(_NUMERALS)
        size = len(head) - len(rest)
        if size == 3 or rest[:1] not in _SEPARATORS:
            return None
        if size == 4:
            match = _YEAR_FIRST.match(text, start)
            return None if match is None else (match.end(), self._score(candidate))
        match = _YEAR_LAST.match(text, start)
        if match is not None:
            first, separator, second, year = match.groups()
            if not (0 < int(first) <= 31 and 0 < int(second) <= 31 and (int(first) <= 12 or int(second) <= 12)):
                return None
            # A version looks like 21.5.21, a part's number like 05-21-21.
            if len(year) == 4 or separator == "/" or self._told(candidate):
                return match.end(), self._score(candidate)
            return None
        match = _MONTH_YEAR.match(text, start)
        if match is not None:
            return (match.end(), self._score(candidate)) if self._told(candidate) else None
        if start == candidate.start and candidate.end - start <= 6:
            match = _DAY_MONTH.match(text, start)
            if match is not None and self._told(candidate):
                first, second = int(match.group(1)), int(match.group(2))
                if 0 < first <= 31 and 0 < second <= 31 and (first <= 12 or second <= 12):
                    return match.end(), self._score(candidate)
        return None

    def _day(self, candidate: Candidate) -> Iterable[Finding]:
        """One or two digits: beside the name of a month."""
        text, start, end = candidate.text, candidate.start, candidate.end
        following = text[end : end + 1]
        if following in _JOINERS and (text[end + 1 : end + 4].lower() in _HEADS or text[end + 1 : end + 2] == " "):
            match = _DAY_NAME.match(text, start)
            if match is not None and (match.group(2) or not _is_word(match.group(1)) or candidate.near(_BIRTH)):
                return (Finding(start, match.end(), "DATE_TIME", self._score(candidate), self.name),)
        if text[start - 4 : start - 1].lower() not in _TAILS:
            return ()
        named = _NAME_BEFORE.search(text, max(0, start - 12), start)
        if named is None:
            return ()
        match = _NAME_DAY.match(text, start)
        if match is None:
            if named.group()[-1] != "-" or end - start != 2:
                return ()
            return (Finding(named.start(), end, "DATE_TIME", 0.5, self.name),)
        if match.group(1) is None and _is_word(named.group()) and not candidate.near(_BIRTH):
            return ()
        return (Finding(named.start(), match.end(), "DATE_TIME", self._score(candidate), self.name),)

    def _year(self, candidate: Candidate) -> Iterable[Finding]:
        text, start, end = candidate.text, candidate.start, candidate.end
        if candidate.digits[:2] not in _CENTURIES:
            return ()
        last = text[start - 1 : start]
        if last == "" or last not in " \n-/":
            return ()
        if text[start - 4 : start - 1].lower() in _TAILS:
            named = _NAME_BEFORE.search(text, max(0, start - 12), start)
            if named is not None:
                return (Finding(named.start(), end, "DATE_TIME", self._score(candidate), self.name),)
        if last in "-/" or not (said := candidate.said) or said[-1] not in _BEFORE_YEAR:
            return ()
        if _UNIT.match(candidate.after):
            return ()
        before = text[max(0, start - 24) : start].lower()
        cue = _YEAR_CUE.search(before)
        if cue is not None:
            begin = start - (len(cue.group(1)) if cue.group(1) else 0)
            return (Finding(begin, end, "DATE_TIME", self._score(candidate), self.name),)
        if _ARTICLE.search(before) and _CAPITAL.match(text, end):
            return (Finding(start, end, "DATE_TIME", 0.5, self.name),)
        return ()

    def _compact(self, candidate: Candidate) -> Iterable[Finding]:
        if candidate.digits[:2] in ("19", "20") and _COMPACT.fullmatch(candidate.digits) and candidate.near(_BIRTH):
            return (Finding(candidate.start, candidate.end, "DATE_TIME", 0.85, self.name),)
        return ()

    def _told(self, candidate: Candidate) -> bool:
        return candidate.near(_CUES) or candidate.near(_BIRTH)

    def _score(self, candidate: Candidate) -> float:
        if not _BIRTH.isdisjoint(candidate.said):
            return 0.85
        # Behind it such words are rarer; their list is made only where one may be among them.
        after = candidate.after
        return 0.85 if ("bi" in after or "bo" in after or "geb" in after) and candidate.near(_BIRTH) else 0.5


class Weekday:
    """Days of the week, where a sentence means one day."""

    name = "weekday"
    types = ("DATE_TIME",)
    triggers = Triggers(literals=("day",))

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The day, if the text appoints it."""
        text, start, end = candidate.text, candidate.start, candidate.end
        match = _WEEKDAY.match(text, start)
        if match is None:
            return ()
        before = _WEEKDAY_BEFORE.search(text, max(0, start - 16), start)
        if before is None or not (before.group(1) or match.group(1)):
            return ()
        return (Finding(before.start(2), end, "DATE_TIME", 0.5, self.name),)


def _is_word(month: str) -> bool:
    """Whether the name of a month is one in small letters that code and sentences have as well: `sep, 1`, `may 5`."""
    name = month.strip(" .,-/\n")
    return len(name) <= 5 and name.islower()


def _next(text: str, start: int, end: int) -> int:
    """Where the next group of a row of numbers begins behind a space; -1 for nowhere."""
    space = text.find(" ", start, end)
    while 0 <= space < end:
        if text[space + 1 : space + 2].isdigit() and space + 1 < end:
            return space + 1
        space = text.find(" ", space + 1, end)
    return -1


RECOGNIZERS = (Date(), Weekday())
