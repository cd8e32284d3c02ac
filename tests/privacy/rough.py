"""Scanners for tests of redaction, which must hold whatever a scanner finds, and texts that are hard on it."""

from __future__ import annotations

import re
from random import Random
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from aistrale.privacy.finding import Finding

if TYPE_CHECKING:
    from aistrale.privacy.restore import Restorer

PATTERNS = {
    "EMAIL_ADDRESS": r"[\w.+-]+@[\w-]+\.[a-z]{2,}",
    "US_SSN": r"\b\d{3}-?\d{2}-?\d{4}\b",
    "CREDIT_CARD": r"\b\d{4}(?:[ -]?\d{4}){3}\b",
    "PHONE_NUMBER": r"\+\d[\d ]{8,14}\d",
    "PERSON": r"\b(?:Jane Roe|Jane|Hans Müller|Ann \"Andy\" Lee)\b",
    "DATE_OF_BIRTH": r"\b\d{4}-\d\d-\d\d\b",
}


class Rough:
    """Finds a few kinds of value by plain patterns."""

    def scan(self, text: str) -> list[Finding]:
        found: list[Finding] = []
        for type_, pattern in PATTERNS.items():
            for match in re.finditer(pattern, text):
                if not any(other.start < match.end() and match.start() < other.end for other in found):
                    found.append(Finding(match.start(), match.end(), type_, 1.0))
        return sorted(found, key=lambda finding: finding.start)


class Anywhere:
    """Finds something anywhere, so that no test depends on what a value looks like."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def scan(self, text: str) -> list[Finding]:
        found: list[Finding] = []
        at = 0
        while True:
            start = at + self._random.randrange(8)
            end = start + self._random.randrange(1, 9)
            if end > len(text):
                return found
            if self._random.random() < 0.5:
                type_ = self._random.choice(["EMAIL_ADDRESS", "PERSON", "URL", "OWN_TYPE", "US_SSN", "CREDIT_CARD"])
                found.append(Finding(start, end, type_, 1.0))
            at = end


# What placeholders, links and JSON are made of, and what may stand in the way.
PIECES = [
    "[[EMAIL_1]]", "[[EMAIL_1b]]", "[EMAIL_1]", "[[URL_1]]", "[[LITERAL_1]]", "[[OWN_TYPE_1]]", "\uff3b\uff3bPERSON_1\uff3d\uff3d",
    "[[", "]]", "[", "]", "\uff3b", "\u3010", "EMAIL", "_", "1", "12", "b", "\\", "\\[", "\\]", "\\u", "\\n",
    "https://", "http:", "//", "a.b/", "](", "(", ")", "<", ">", "href=", 'src="', "url(", "www.", "mailto:", "]: ",
    " ", "\n", '"', "'", "|", ",", ";", ":", "{", "}", "`", "&", "=", "?", "-", "+", "/", "\uff0c",
    "jo@example.com", "Jane", "219-09-9998", "x", "é", "😀", "\ud800", "\u200b",
]  # fmt: skip

nasty = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=16).map("".join)
texts = st.one_of(nasty, st.text(max_size=60))
seeds = st.integers(min_value=0, max_value=2**20)


def streamed(restorer: Restorer, text: str, cuts: list[int], *, json: bool = False) -> str:
    """What a stream makes of a text that is cut into pieces of these lengths, again and again."""
    stream = restorer.stream(json=json)
    out, at, turn = [], 0, 0
    while at < len(text):
        length = cuts[turn % len(cuts)]
        out.append(stream.feed(text[at : at + length]))
        at, turn = at + length, turn + 1
    return "".join(out) + stream.finish()
