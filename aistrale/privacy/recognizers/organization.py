"""Organisations: by their legal form, by a noun such as Hospital with a name before it, and by `X & Y`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.vocabulary import FUNCTION_WORDS, ORG_OF

if TYPE_CHECKING:
    from aistrale.privacy.recognizers._run import Run, Walk

_OF: Final = re.compile(r" (?:of|for) (?:the )?[A-ZÀ-Þ][\w’'-]{2,30}(?: [A-ZÀ-Þ][\w’'-]{1,30}){0,3}")
_LEGAL_AFTER: Final = re.compile(r",? (?:Inc|Ltd|LLC|Corp|Co|PLC|LLP|GmbH|S\.A|S\.p\.A|B\.V|N\.V|A/S)\b\.?")
_WORKS: Final = re.compile(r"\b(?:work(?:s|ed|ing)? (?:for|at)|employed (?:by|at)|employer:?|company:?|job at|joined)\s*\Z", re.IGNORECASE)
_WORK_WORDS: Final = frozenset(("for", "at", "by", "company", "employer", "joined"))
_BEFORE_LEGAL: Final = frozenset((", ", " I", " L", " C", " P", " G", " S", " B", " N", " A"))
_ANY_NAME: Final = frozenset("SFLUCPRrDN")
_LOUD_FORMS: Final = frozenset("INC LLC LTD CORP GMBH PLC LLP INC. LTD.".split())


def organization_in(run: Run, walk: Walk) -> bool:
    """Report the organisation that a run names; whether it did."""
    shape, words, text = run.shape, run.words, walk.text
    last = max(shape.rfind("O"), shape.rfind("o"))
    if last < 0 and len(words) == 1 and shape != "D" and text[run.end : run.end + 2] not in _BEFORE_LEGAL:
        if run.word_before in _WORK_WORDS and _WORKS.search(run.before):
            return _report(walk, *run.span(0, 1), 0.65)
        return False
    first = 0
    while first < len(words) and words[first] in FUNCTION_WORDS:
        first += 1
    if last >= 0 and words[last] in ORG_OF and last == len(words) - 1 and (after := _OF.match(text, run.end)):
        return _report(walk, run.span(first, last + 1)[0], after.end(), 0.7)
    loud = last > 0 and words[last].isupper() and words[last - 1].isupper() and words[last] not in _LOUD_FORMS
    if last > first and not loud:
        head = set(shape[first:last])
        if shape[last] == "O" or head & _ANY_NAME:
            start, end = run.span(first, last + 1)
            if shape[last] == "O" and text[end : end + 1] == ".":
                end += 1
            return _report(walk, start, end, 0.8 if shape[last] == "O" else 0.65)
    if first < len(words):
        if text[run.end : run.end + 1] in {",", " "} and (after := _LEGAL_AFTER.match(text, run.end)):
            return _report(walk, run.span(first, len(words))[0], after.end(), 0.8)
        if not first and run.word_before in _WORK_WORDS and _WORKS.search(run.before):
            return _report(walk, *run.span(0, len(words)), 0.65)
        if shape[-1] == "D" and len(shape) - first == 1:
            return _report(walk, *run.span(first, len(words)), 0.5)
    return False


def _report(walk: Walk, start: int, end: int, score: float) -> bool:
    walk.found.append(Finding(start, end, "ORGANIZATION", score, "organization"))
    return True
