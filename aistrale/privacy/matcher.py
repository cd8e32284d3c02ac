"""Finds the patterns and words of one DLP rule in a text, in linear time."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Final

from aistrale.errors import ConfigurationError
from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers
from aistrale.privacy.safe_pattern import compile_pattern
from aistrale.privacy.scanner import Scanner

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aistrale.privacy.recognizer import Candidate
    from aistrale.privacy.safe_pattern import Compiled

_WORD: Final = re.compile(r"\w+")
# Of the label: what a placeholder can hold.
_NO_LABEL: Final = re.compile(r"[^0-9A-Za-z]+")
# What may stand between two words of a phrase, so that line breaks and hyphens do not hide it.
_MOST_GAP: Final = 3
# A phrase whose signs do not matter; of others ("C++", "R&D") they are what tells it apart.
_PLAIN: Final = re.compile(r"\w+(?:[\s'.,-]{1,3}\w+){0,63}")


def label_of(name: str) -> str:
    """The type that findings of a rule's own patterns and words have: "project names" gives PROJECT_NAMES."""
    return _NO_LABEL.sub("_", name).strip("_").upper()


class Matcher:
    """A recognizer of the patterns and words of a rule.

    Args:
        name: The rule's.
        patterns: Regular expressions.
        words: Words and phrases.

    Raises:
        ConfigurationError: A pattern is none, or can take more than linear time.
    """

    def __init__(self, name: str, patterns: Iterable[str], words: Iterable[str]) -> None:
        self.name = name
        self.label = label_of(name)
        self.types = (self.label,)
        self.triggers = Triggers(whole=True)
        self._patterns: list[Compiled] = [
            compile_pattern(f"patterns[{index}]", pattern) for index, pattern in enumerate(patterns)
        ]
        self._phrases: dict[str, list[tuple[str, ...]]] = {}
        for index, phrase in enumerate(words):
            self._add_phrase(f"words[{index}]", phrase)

    def _add_phrase(self, field: str, phrase: str) -> None:
        phrase = phrase.strip()
        if not phrase:
            raise ConfigurationError(f"{field} is empty", field=field)
        if not _PLAIN.fullmatch(phrase):
            self._patterns.append(_literal(phrase))
            return
        tokens = tuple(_WORD.findall(phrase.lower()))
        same = self._phrases.setdefault(tokens[0], [])
        same.append(tokens)
        # The longest phrase is the one that is meant.
        same.sort(key=len, reverse=True)

    @cached_property
    def _scanner(self) -> Scanner:
        return Scanner((self,), min_score=0.0)

    def scan(self, text: str) -> list[Finding]:
        """Every place of a text, however it is disguised, where one of them stands; none overlap."""
        return self._scanner.scan(text)

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """Every place in the whole text."""
        text = candidate.text
        for pattern in self._patterns:
            for match in pattern.finditer(text):
                if match.end() > match.start():
                    yield self._finding(match.start(), match.end())
        if self._phrases:
            for start, end in self._find_phrases(text):
                yield self._finding(start, end)

    def _finding(self, start: int, end: int) -> Finding:
        return Finding(start, end, self.label, 1.0, self.name)

    def _find_phrases(self, text: str) -> Iterator[tuple[int, int]]:
        phrases = self._phrases
        for match in _WORD.finditer(text):
            known = phrases.get(match.group().lower())
            if known is not None:
                for tokens in known:
                    end = _follow(text, match.end(), tokens)
                    if end is not None:
                        yield match.start(), end
                        break


def _follow(text: str, end: int, tokens: tuple[str, ...]) -> int | None:
    """Where a phrase ends whose first word ends here; None if the others do not follow."""
    for token in tokens[1:]:
        match = _WORD.search(text, end, end + _MOST_GAP + len(token) + 1)
        if match is None or match.start() - end > _MOST_GAP or match.group().lower() != token:
            return None
        end = match.end()
    return end


def _literal(phrase: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(phrase)}(?!\w)", re.IGNORECASE)
