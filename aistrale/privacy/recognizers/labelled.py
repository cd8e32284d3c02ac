"""Numbers that a word directly before them names, whatever they look like: "passport number XG9382049", "PAN 'ABCDE1234F'".

Most countries' passports and licences have no checksum, and people mistype numbers; what calls itself a passport number is
to be kept safe either way. Asked only where such a word stands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate

_SCORE: Final = 0.85
_ALONE: Final = 0.5
_REACH: Final = 96
_NEAR: Final = 64
# The rest of the label, and what may stand between it and the value: "number is: '".
_FILLER: Final = (
    r"[a-zS]{{0,3}}(?:[ \t]?(?:\b(?i:{words})\b\.?|[:#=\-–]))"
    r"{{0,5}}[ \t]?[:#=]?[ \t]?['\"‘’“”(\[#]?"
)
_NAMES: Final = "number|numbers|no|nr|num|id|card|book|details|document|identification|code|is|was|of|nummer|número|numero|numéro|n°|nº|ist|es"
_DATE: Final = re.compile(r"\d{4}[-/.]\d\d?[-/.]\d\d?|\d\d?[-/.]\d\d?[-/.]\d{2,4}")


@dataclass(slots=True, frozen=True)
class _Label:
    """A label and what its values look like.

    Args:
        type: The type of finding.
        literals: Pieces of text, one of which is in the label.
        before: What must stand before the literal, looked for up to 24 characters back; None for nothing.
        value: The value, behind the rest of the label.
        digits: How many digits it must have at least.
    """

    type: str
    literals: tuple[str, ...]
    before: re.Pattern[str] | None
    value: re.Pattern[str]
    digits: int


def _after(value: str, words: str = _NAMES) -> re.Pattern[str]:
    return re.compile(rf"{_FILLER.format(words=words)}({value})(?![\w-])")


_LABELS: Final = (
    _Label(
        "PASSPORT",
        ("assport", "ASSPORT", "asaporte", "eisepass", "asseport", "assaporto", "assaporte", "aspoort"),
        None,
        _after(r"(?:[A-Z]{1,3}[ -]?)?\d[0-9A-Z]{5,11}"),
        6,
    ),
    _Label(
        "US_DRIVER_LICENSE",
        ("icense", "icence", "ICENSE"),
        re.compile(r"(?i)driv(?:er|ing)?(?:['’]?s|s['’])?\s?l\Z"),
        _after(r"(?:DL[: ]{0,2})?[A-Z0-9](?:[A-Z0-9-]{4,18})[A-Z0-9]"),
        5,
    ),
    _Label(
        "US_DRIVER_LICENSE",
        ("icense number ", "icense no. ", "icense number: ", "icense #"),
        re.compile(
            r"(?i)(?:\A|[^a-z ])\s?l\Z|(?<!medical)(?<!software)(?<!nursing)(?<!business)(?<!plate)(?<!product) l\Z"
        ),
        re.compile(r"['\"#(]?([A-Z]\d{2,14}(?:-\d{2,6}){0,4})(?![\w-])"),
        7,
    ),
    _Label(
        "TAX_ID",
        ("ax ID", "ax id", "AX ID", "ax Identification", "ax identification", "axpayer ID", "axpayer id", "TIN", "EIN"),
        re.compile(r"(?:\A|\W)(?:[tT]|)\Z"),
        _after(r"(?:A?TIN[: ]{1,2})?(?:\d{2}-\d{7}|[0-9A-Z]{2,10}\d{6,12}[A-Z]?|\d{9,12}[A-Z]?)", _NAMES + "|TIN|EIN"),
        6,
    ),
    _Label(
        "IN_PAN",
        ("PAN",),
        re.compile(r"(?:\A|\W)\Z"),
        _after(r"[A-Z]{3,9}[0-9A-Z]{2,8}"),
        3,
    ),
    _Label(
        "IN_AADHAAR",
        ("adhaar", "adhar", "ADHAAR"),
        re.compile(r"(?i)\Wa\Z|\Aa\Z"),
        _after(r"\d{12,14}|\d{4}[ -]\d{4}[ -]\d{4}"),
        12,
    ),
    _Label(
        "IN_VOTER",
        ("oter ID", "oter id", "oter Id", "OTER ID", "EPIC"),
        None,
        _after(r"[A-Z]{3,5}\d{7,13}"),
        7,
    ),
)
# Two digits of the state, letters, digits; the scanner sees no word in "34 ABC 1234".
_TR_PLATE: Final = re.compile(r"(?<!\w)(?:0[1-9]|[1-7]\d|8[01]) ?[A-Za-z]{1,3} ?\d{2,5}(?!\w)")
# District, letters, number, an E or H at the end (FZV, § 9 and annex 4).
_DE_PLATE: Final = re.compile(r"(?<!\w)[A-ZÄÖÜ]{1,3}(?:-[A-Z]{1,2} ?| [A-Z]{1,2} )[1-9]\d{0,3}[EH]?(?!\w)")
_PLZ: Final = re.compile(r"(?<!\w)(?:0[1-46-9]|[1-35789]\d|4[0-24-9]|6[013-9])\d{3}(?!\w)")
_REGISTER: Final = re.compile(r" ?\d{1,6}(?:[ ]?[A-Z]{1,2})?(?!\w)")
_MOST_ALONE: Final = 24


class Labelled:
    """One of the labels.

    Args:
        label: Which one.
    """

    def __init__(self, label: _Label) -> None:
        self.name = f"labelled_{label.type.lower()}"
        self.types = (label.type,)
        self.triggers = Triggers(literals=label.literals)
        self._label = label

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The value behind the label."""
        text, start, end, label = candidate.text, candidate.start, candidate.end, self._label
        if label.before is not None and label.before.search(text[max(0, start - 24) : start]) is None:
            return ()
        match = label.value.match(text, end, end + _REACH)
        if match is None:
            return ()
        value = match[1]
        if sum(map(str.isdigit, value)) < label.digits or _DATE.fullmatch(value):
            return ()
        return (Finding(match.start(1), match.end(1), label.type, _SCORE, self.name),)


class Near:
    """What stands in groups, within 64 characters behind a word that names it, or alone.

    Args:
        kind: The type of finding.
        literals: Pieces of text, one of which is in such a word.
        value: What it looks like.
        alone: Whether it counts where it is the whole text.
    """

    def __init__(self, kind: str, literals: tuple[str, ...], value: re.Pattern[str], *, alone: bool) -> None:
        self.name = f"near_{kind.lower()}"
        self.types = (kind,)
        self.triggers = Triggers(literals=literals, whole=alone)
        self._value = value

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """All values near the word; or the text itself."""
        text, start, end = candidate.text, candidate.start, candidate.end
        if start == 0 and end == len(text):
            if end > _MOST_ALONE or self._value.fullmatch(text.strip()) is None:
                return ()
            first = len(text) - len(text.lstrip())
            return (Finding(first, first + len(text.strip()), self.types[0], _ALONE, self.name),)
        return [
            Finding(match.start(), match.end(), self.types[0], _SCORE, self.name)
            for match in self._value.finditer(text, end, end + _NEAR)
        ]


class Commercial:
    """German commercial register numbers: HRA or HRB and up to six digits (HRV § 13)."""

    name = "de_handelsregister"
    types = ("DE_HANDELSREGISTER",)
    triggers = Triggers(literals=("HRA", "HRB"))

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The number behind the letters."""
        text, start = candidate.text, candidate.start
        match = _REGISTER.match(text, candidate.end)
        if match is None or (start and text[start - 1].isalnum()):
            return ()
        return (Finding(start, match.end(), "DE_HANDELSREGISTER", _SCORE, self.name),)


RECOGNIZERS = (
    *map(Labelled, _LABELS),
    Near("TR_LICENSE_PLATE", ("laka", "LAKA", "icense plate", "late number"), _TR_PLATE, alone=True),
    Near("DE_KFZ", ("ennzeichen", "KFZ", "Kfz", "kfz"), _DE_PLATE, alone=True),
    Near("DE_PLZ", ("PLZ", "ostleitzahl"), _PLZ, alone=False),
    Commercial(),
)
