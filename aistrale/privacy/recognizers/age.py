"""How old somebody is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate

_AGE: Final = r"(1[01]\d|[1-9]?\d)"
_AFTER: Final = re.compile(
    rf"(?:ed|d)?(?:(?: of|:| is|=) {{0,3}}| {{1,3}})(?:about |around )?{_AGE}"
    r"(?![\w.,:%/-]\d|\w| ?(?:%|percent|°|minutes|hours|seconds|days|ms))"
)
_BEFORE: Final = re.compile(rf"(?<![\w.,:/$€£-]){_AGE}[ -]?(?:years?|yrs?|yo|months?|weeks?)[ -]?\Z")
_Y_O: Final = re.compile(rf"(?<![\w.,:/$€£-]){_AGE}\Z")
_LOOK: Final = 18


class Age:
    """Ages: "47 years old", "aged 34", "turned 50", "at the age of 72"."""

    name = "age"
    types = ("AGE",)
    triggers = Triggers(literals=(" old", "-old", " age", "aged", "Age", "turn", " y/o"))

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The age beside the word."""
        text, start, end = candidate.text, candidate.start, candidate.end
        word = candidate.value
        if word in {" old", "-old", " y/o"}:
            pattern = _Y_O if word == " y/o" else _BEFORE
            match = pattern.search(text, max(0, start - _LOOK), start)
            if match is None or text[end : end + 1].isalpha():
                return ()
        else:
            if start and text[start - 1].isalpha() and word != " age":
                return ()
            match = _AFTER.match(text, end)
            if match is None or (word.startswith("turn") and int(match[1]) < 13):
                return ()
        return (Finding(match.start(1), match.end(1), "AGE", 0.7, self.name),)


RECOGNIZERS = (Age(),)
