"""What a recognizer is: a small object that is asked only where its kind of value can stand.

A scan asks nobody about plain prose. It goes over the text once for digits, once for each of a few rare literals, and
asks those recognizers whose trigger stands there. So a recognizer costs nothing where there is nothing to find, and
the whole scan stays linear: a recognizer may look no further than a bounded distance around its candidate.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.finding import Finding

LOOK_BACK: Final = 64
"""How many characters before a candidate may say what it is."""

LOOK_AHEAD: Final = 32
"""How many characters after a candidate may say what it is."""

MOST_AROUND: Final = 16
"""How many characters may stand around what stands alone."""

_WORD: Final = re.compile(r"[^\W\d_]+")
# Of bytes, since those are translated ten times as fast: letters in lower case, the rest parts words.
_LETTERS: Final = bytes(ord(chr(code).lower()) if chr(code).isalpha() else 32 for code in range(128)).ljust(256)


@dataclass(slots=True, frozen=True, kw_only=True)
class Triggers:
    """Where a recognizer is to be asked; any of them suffices.

    Args:
        digits: Counts of digits of a number that it may be: a run of digits in groups that are parted by one space,
            dot, dash, slash or parenthesis. Asked of numbers that have no letter, digit or underscore beside them.
            A number in several groups may hold more digits than the value, so it is asked about those too.
        groups: The same for what is always parted: asked only of numbers in several groups, of so many digits or more.
        tokens: Lengths of a word of letters and digits (and `_`) with at least one digit and one letter that it may be.
        literals: Rare pieces of text, case-sensitive. Asked about each place where one stands; of several right after
            each other about the last.
        whole: Whether it is asked once about the whole text, whatever it says. For what has no anchor; it must then be
            as fast as one regular expression that begins with a narrow class.
        cues: Words in lower case, without which a number or word (`digits`, `tokens`) is nothing unless it stands
            alone: the scan looks for these itself, for all recognizers at once, and then need not ask. Empty: asked
            whatever stands near.
    """

    digits: Iterable[int] = ()
    groups: Iterable[int] = ()
    tokens: Iterable[int] = ()
    literals: tuple[str, ...] = ()
    whole: bool = False
    cues: frozenset[str] = frozenset()


class Candidate:
    """A place in a text where something may stand.

    Args:
        text: The whole text.
        start: Where the trigger begins.
        end: Where it ends.
        digits: Of a number: its digits alone; else "".
    """

    __slots__ = ("_after", "_before", "_said", "_spoken", "_words", "digits", "end", "start", "text")

    def __init__(self, text: str, start: int, end: int, digits: str = "") -> None:
        self.text = text
        self.start = start
        self.end = end
        self.digits = digits
        self._before: str | None = None
        self._after: str | None = None
        self._said: list[str] | None = None
        self._spoken: list[str] | None = None
        self._words: frozenset[str] | None = None

    @property
    def value(self) -> str:
        """The text of the trigger."""
        return self.text[self.start : self.end]

    @property
    def before(self) -> str:
        """Up to 64 characters before it, in lower case."""
        if self._before is None:
            start = self.start
            self._before = self.text[start - LOOK_BACK if start > LOOK_BACK else 0 : start].lower()
        return self._before

    @property
    def after(self) -> str:
        """Up to 32 characters after it, in lower case."""
        if self._after is None:
            self._after = self.text[self.end : self.end + LOOK_AHEAD].lower()
        return self._after

    @property
    def said(self) -> list[str]:
        """The words of `before` as they stand there, the nearest last."""
        if self._said is None:
            start = self.start
            self._said = _words_of(self.text[start - LOOK_BACK if start > LOOK_BACK else 0 : start])
        return self._said

    @property
    def spoken(self) -> list[str]:
        """The words of `before` and `after`, in order, in lower case: what `words` has, without making a set of it."""
        if self._spoken is None:
            text, start, end = self.text, self.start, self.end
            first = start - LOOK_BACK if start > LOOK_BACK else 0
            self._spoken = _words_of(f"{text[first:start]} {text[end : end + LOOK_AHEAD]}")
        return self._spoken

    @property
    def words(self) -> frozenset[str]:
        """The words of `before` and `after`, in lower case: what the context says. `_` and digits part words."""
        if self._words is None:
            self._words = frozenset(self.spoken)
        return self._words

    def near(self, cues: frozenset[str]) -> bool:
        """Whether one of the cue words, in lower case, stands near it."""
        return not cues.isdisjoint(self._spoken or self.spoken)

    @property
    def alone(self) -> bool:
        """Whether it is all there is, but for space and quotes: the value of a field, a cell of a table."""
        text = self.text
        return (
            self.end - self.start + MOST_AROUND >= len(text)
            and not text[: self.start].strip(" \t\r\n\"'")
            and not text[self.end :].strip(" \t\r\n\"',;.")
        )


def _words_of(text: str) -> list[str]:
    """The words of a text, in lower case."""
    if text.isascii():
        return text.encode().translate(_LETTERS).decode().split()
    return _WORD.findall(text.lower())


class Recognizer(Protocol):
    """Finds one kind of value. Stateless; asked from several threads at once."""

    @property
    def name(self) -> str:
        """Its own name: "email"."""
        ...

    @property
    def types(self) -> tuple[str, ...]:
        """The types of finding that it may give."""
        ...

    @property
    def triggers(self) -> Triggers:
        """Where it is to be asked."""
        ...

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """Give what stands there, nothing most of the time.

        Takes time that does not grow with the text (with `whole`: grows linearly with it).

        Args:
            candidate: Where one of the triggers stands. The finding may be longer or shorter.
        """
        ...
