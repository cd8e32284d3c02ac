"""Numbers that a label directly before them names, whatever they look like: "passport number XG9382049".

Most countries' passports and licences have no checksum, and people mistype numbers; what calls itself a passport number
is to be kept safe either way.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers
from aistrale.privacy.recognizers._national import NEAR, words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate

# What may stand between the label and the value: "number is: '".
_FILLER: Final = (
    r"(?:[ \t]?(?:\b(?:number|numbers|no|nr|num|id|card|book|details|document|identification|code|is|was|of|nummer"
    r"|número|numero|numéro|n°|nº|ist|es|tin|atin|dl)\b\.?|[:#=\u2013-])){0,5}"
    r"[ \t]?[:#=]?[ \t]?['\"\u2018\u2019\u201c\u201d(\[#]?\Z"
)
_DATE: Final = re.compile(r"\d{4}[-/.]\d\d?[-/.]\d\d?|\d\d?[-/.]\d\d?[-/.]\d{2,4}")
_DASHED: Final = re.compile(r"(?:-[0-9A-Z]{2,6}){1,4}(?!\w)")


@dataclass(slots=True, frozen=True)
class _Label:
    """A label and what its values look like.

    Args:
        type: The type of finding.
        cues: Words, one of which is in the label.
        label: The label, at the end of the text before the value, in lower case.
        value: The value.
        digits: How many digits it must have at least.
        prefix: Letters that may stand before the number that the scanner sees, as a part of the value.
    """

    type: str
    cues: frozenset[str]
    label: re.Pattern[str]
    value: re.Pattern[str]
    digits: int
    prefix: re.Pattern[str] | None = None


def _label(words: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![^\W_]){words}{_FILLER}")


_LABELS: Final = (
    _Label(
        "PASSPORT",
        words("passport passports pasaporte passeport passaporto passaporte reisepass paspoort paszport passport's"),
        _label(r"(?:passport|pasaporte|passeport|passaporto|passaporte|reisepass|paspoort|paszport)s?"),
        re.compile(r"(?:[A-Z]{1,3}[ -]?)?\d[0-9A-Z]{5,11}"),
        6,
    ),
    _Label(
        "US_DRIVER_LICENSE",
        words("license licence licenses dl"),
        _label(r"driv(?:er|ing)?(?:['\u2019]?s|s['\u2019])?\s?licen[sc]es?"),
        re.compile(r"[A-Z0-9][A-Z0-9-]{4,18}[A-Z0-9]"),
        5,
        re.compile(r"DL[: ]{1,2}\Z"),
    ),
    _Label(
        "US_DRIVER_LICENSE",
        words("license licence"),
        _label(r"(?<!medical )(?<!software )(?<!nursing )(?<!business )(?<!product )licen[sc]e (?=n|id|#)"),
        re.compile(r"[A-Z]\d{2,14}(?:-\d{2,6}){0,4}"),
        7,
    ),
    _Label(
        "TAX_ID",
        words("tax taxpayer tin ein atin"),
        _label(r"(?:tax(?:payer)? ?id(?:entification)?|tin|ein|atin)"),
        re.compile(r"\d{2}-\d{7}|[0-9A-Z]{0,10}\d{6,12}[A-Z]?"),
        6,
        re.compile(r"ATIN: \Z"),
    ),
    _Label(
        "IN_PAN",
        frozenset({"pan"}),
        _label("pan"),
        re.compile(r"(?=[^\W\d])[A-Z]{3,9}[0-9A-Z]{2,8}"),
        3,
    ),
    _Label(
        "IN_AADHAAR",
        words("aadhaar aadhar adhaar"),
        _label("a(?:adhaa?r|dhaar)"),
        re.compile(r"\d{12,14}|\d{4}[ -]\d{4}[ -]\d{4}"),
        12,
    ),
    _Label(
        "IN_VOTER",
        words("voter epic"),
        _label("(?:voter|epic)"),
        re.compile(r"[A-Z]{3,5}\d{7,13}"),
        7,
    ),
)


_CUES: Final = frozenset[str]().union(*(label.cues for label in _LABELS))


class Labelled:
    """The labels."""

    name = "labelled"
    types = tuple(dict.fromkeys(label.type for label in _LABELS))
    triggers = Triggers(digits=range(6, 16), tokens=range(6, 17), cues=_CUES)

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The value that begins there, if a label stands before it."""
        return [found for label in _LABELS if (found := self._value(candidate, label)) is not None]

    def _value(self, candidate: Candidate, label: _Label) -> Finding | None:
        if not candidate.near(label.cues) or label.label.search(candidate.before) is None:
            return None
        text, start, end = candidate.text, candidate.start, candidate.end
        rest = _DASHED.match(text, end)
        if rest is not None:
            end = rest.end()
        value = text[start:end]
        if label.value.fullmatch(value) is None or _DATE.fullmatch(value) is not None:
            return None
        if sum(map(str.isdigit, value)) < label.digits:
            return None
        if label.prefix is not None and (before := label.prefix.search(text[max(0, start - 8) : start])) is not None:
            start -= before.end() - before.start()
        return Finding(start, end, label.type, NEAR, self.name)


RECOGNIZERS = (Labelled(),)
