"""Organisations: by their legal form, by a noun such as Hospital with a name before it, and by `X & Y`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.lexicon import letters
from aistrale.privacy.recognizers._beside import EMPLOYED, FIRM, IS, LEGAL, WORKS
from aistrale.privacy.vocabulary import FUNCTION_WORDS, ORG_OF, PLACE_HEADS

if TYPE_CHECKING:
    from aistrale.privacy.recognizers._run import Run, Walk

_OF: Final = re.compile(r" (?:of|for) (?:the )?[A-ZÀ-Þ][\w\u2019'-]{2,30}(?: [A-ZÀ-Þ][\w\u2019'-]{1,30}){0,3}")
_LEGAL_AFTER: Final = re.compile(r",? (?:Inc|Ltd|LLC|Corp|Co|PLC|LLP|GmbH|S\.A|S\.p\.A|B\.V|N\.V|A/S)\b\.?")
LEGAL_SCORE: Final = 0.8
_ANY_NAME: Final = frozenset("SFLUCPRrDN")
_IS_A: Final = re.compile(
    r" is an? [^.\n]{0,40}\b(?:company|agency|bank|firm|startup|start-up|corporation|multinational|nonprofit|charity"
    r"|retailer|manufacturer|501)"
)
_NAME: Final = r"[A-ZÀ-Þ][^\W\d_]+"
_FIRM: Final = re.compile(
    rf"{_NAME}(?:, {_NAME},?)? (?:and|&) (?:Sons|Co|Partners|Associates|Brothers|Company)\b"
    rf"|{_NAME}, {_NAME},? (?:and|&) {_NAME}"
)
_SURNAMES: Final = frozenset(("L", "l", "C", "Y", "F"))
_WHERE: Final = frozenset(("of", "at", "from", "for"))
FIRST_OF_FIRM: Final = _SURNAMES | {"S"}
_PARTNERS: Final = frozenset(("Sons", "Co", "Partners", "Associates", "Brothers", "Company"))
_NAMES: Final = re.compile(_NAME)
_LOUD_FORMS: Final = frozenset(["INC", "LLC", "LTD", "CORP", "GMBH", "PLC", "LLP", "INC.", "LTD."])


def organization_in(run: Run, walk: Walk) -> bool:
    """Report the organisation that a run names; whether it did."""
    shape, words, text = run.shape, run.words, walk.text
    employed = bool(run.beside & EMPLOYED) and run.before.lower().rstrip(":").endswith(WORKS)
    formed = "O" in shape or "o" in shape
    after = _LEGAL_AFTER.match(text, run.end) if run.beside & LEGAL else None
    described = bool(run.beside & IS) and _IS_A.match(text, run.end) is not None
    if not (formed or employed or after or described or shape[-1] == "D"):
        firm = _FIRM.match(text, run.start) if run.beside & FIRM and shape in FIRST_OF_FIRM else None
        return firm is not None and _is_firm(run, walk, firm)
    first = leading(words)
    if formed and (end := _formed(run, first)):
        return _report(walk, run.span(first, first + 1)[0], end[0], end[1])
    if first == len(words):
        return False
    if after:
        return _report(walk, run.span(first, len(words))[0], after.end(), 0.8)
    if (employed and not first and shape.strip("wXZ")) or (
        described and not _ANY_NAME.isdisjoint(shape.replace("S", "w"))
    ):
        return _report(walk, *run.span(first, len(words)), 0.65)
    return shape[-1] == "D" and len(shape) - first == 1 and _report(walk, *run.span(first, len(words)), 0.5)


def _is_firm(run: Run, walk: Walk, firm: re.Match[str]) -> bool:
    """Report `Lopez, Santos and Coleman` and `Thomas and Sons`, which firms are called, not people."""
    get = letters().get
    words = _NAMES.findall(firm[0])
    if not PLACE_HEADS.isdisjoint(words):
        return False
    found = [get(word, "U") for word in words if word not in _PARTNERS]
    # First names that are last names as well count where a firm is likely.
    others = sum(letter not in _SURNAMES for letter in found)
    likely = others == 1 and "S" in found and run.word_before in _WHERE
    if run.before.endswith(":") or (others and not likely):
        return False
    walk.done = firm.end()
    return _report(walk, run.start, firm.end(), 0.65)


def _formed(run: Run, first: int) -> tuple[int, float] | None:
    """Where an organisation ends whose name has a legal form or a noun such as Hospital, and how sure that is."""
    if ends_open(run.words, run.shape) and (after := _OF.match(run.text, run.end)):
        return after.end(), 0.7
    formed = formed_at(run.words, run.shape, first)
    if formed is None:
        return None
    end = run.span(first, formed[0])[1]
    return end + (formed[1] == LEGAL_SCORE and run.text[end : end + 1] == "."), formed[1]


def leading(words: list[str]) -> int:
    """How many ordinary words stand at the beginning of a run."""
    first = 0
    while first < len(words) and words[first] in FUNCTION_WORDS:
        first += 1
    return first


def ends_open(words: list[str], shape: str) -> bool:
    """Whether a run ends with a noun that may go on with "of" and a name."""
    return shape[-1] in "Oo" and words[-1] in ORG_OF


def formed_at(words: list[str], shape: str, first: int) -> tuple[int, float] | None:
    """The word after a legal form or a noun such as Hospital that makes what stands before it a name; and the score.

    Args:
        words: The words of a run.
        shape: Their letters.
        first: Where the name begins.
    """
    last = max(shape.rfind("O"), shape.rfind("o"))
    if last <= first or (words[last].isupper() and words[last - 1].isupper() and words[last] not in _LOUD_FORMS):
        return None
    if shape[last] == "O":
        return last + 1, LEGAL_SCORE
    return None if _ANY_NAME.isdisjoint(shape[first:last]) else (last + 1, 0.65)


def _report(walk: Walk, start: int, end: int, score: float) -> bool:
    walk.found.append(Finding(start, end, "ORGANIZATION", score, "organization"))
    return True
