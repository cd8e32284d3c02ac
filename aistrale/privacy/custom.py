r"""Recognizers of your own: as objects, as tables in the settings, or from other packages.

[[privacy.recognizers]]
name = "employee numbers"
type = "EMPLOYEE_ID"
pattern = '\bE-\d{6}\b'
score = 0.4
context = ["employee", "badge"]
"""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final, cast

from aistrale.errors import ConfigurationError
from aistrale.privacy.finding import Finding
from aistrale.privacy.matcher import Matcher
from aistrale.privacy.recognizer import LOOK_BACK, Candidate, Triggers
from aistrale.privacy.safe_pattern import compile_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from aistrale.privacy.recognizer import Recognizer
    from aistrale.privacy.safe_pattern import Compiled, Engine

GROUP: Final = "aistrale.recognizers"
"""The group of entry points in which packages offer a recognizer, a class of one, or several in a tuple."""

ALL: Final = "all"
"""What stands for every recognizer that installed packages offer."""

_BOOST: Final = 0.35
_TYPE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_FIELDS: Final = ("name", "type", "pattern", "words", "score", "context", "literals", "ignore_case", "engine")
_WORD: Final = re.compile(r"\w+")
# How far from one of its literals a value may end.
_REACH: Final = 512


class Custom:
    r"""Finds a pattern, or the words of a dictionary.

    Args:
        name: Its own name, by which errors and findings call it.
        type: The type of what it finds: capitals, digits and `_`, as "EMPLOYEE_ID".
        pattern: A regular expression that takes linear time (see aistrale.privacy.safe_pattern). Give this or `words`.
        words: Words and phrases, found as whole words.
        score: How sure a finding is, 0 to 1. 0.85.
        context: Words; where one stands near a value (64 characters before, 32 after) its score is 0.35 greater, at
            most 1. With a score below 0.5 a value counts only there. Empty.
        literals: Pieces of text one of which is part of every value of the pattern: it is then searched for around
            these only, which is faster where its beginning is no fixed text. Case-sensitive. Empty: everywhere.
        ignore_case: Whether case does not matter. None: it matters to a pattern and not to words.
        engine: "re", or "re2" (with aistrale[re2]), which takes any pattern but look-around and back-references. "re".

    Raises:
        ConfigurationError: A field is wrong, or the pattern unsafe; it names the field and the reason.
        ImportError: "re2" without aistrale[re2].
    """

    def __init__(
        self,
        name: str,
        type: str,
        *,
        pattern: str | None = None,
        words: Sequence[str] = (),
        score: float = 0.85,
        context: Iterable[str] = (),
        literals: Iterable[str] = (),
        ignore_case: bool | None = None,
        engine: Engine = "re",
    ) -> None:
        if not name.strip():
            raise ConfigurationError("name must not be empty", field="name")
        if not _TYPE.fullmatch(type):
            raise ConfigurationError("type must be capitals, digits and '_', as 'EMPLOYEE_ID'", field="type")
        if (pattern is None) == (not words):
            raise ConfigurationError("pattern or words must be given, one of the two", field="pattern")
        if words and literals:
            raise ConfigurationError(
                "literals must be left out with words, which are found fast anyway", field="literals"
            )
        if not 0 <= score <= 1:
            raise ConfigurationError("score must be a number from 0 to 1", field="score")
        if engine not in {"re", "re2"}:
            raise ConfigurationError("engine must be one of 're', 're2'", field="engine")
        self.name = name
        self.types = (type,)
        pieces = _given("literals", literals)
        self.triggers = Triggers(literals=pieces) if pieces else Triggers(whole=True)
        self._context = frozenset(word.lower() for word in _given("context", context))
        self._score = score
        self._pattern: Compiled | None = None
        self._words: Matcher | None = None
        self._exact: frozenset[tuple[str, ...]] = frozenset()
        if pattern is not None:
            self._pattern = compile_pattern("pattern", pattern, ignore_case=bool(ignore_case), engine=engine)
        else:
            self._words = Matcher(name, (), _given("words", words))
            if ignore_case is False:
                self._exact = frozenset(_exactly(word) for word in words)

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """What stands there."""
        text = candidate.text
        for start, end in self._places(candidate):
            score = self._score
            if self._context and _near(Candidate(text, start, end), self._context):
                score = min(1.0, round(score + _BOOST, 4))
            yield Finding(start, end, self.types[0], score, self.name)

    def _places(self, candidate: Candidate) -> Iterator[tuple[int, int]]:
        if self._words is not None:
            for found in self._words.recognize(candidate):
                if not self._exact or _exactly(candidate.text[found.start : found.end]) in self._exact:
                    yield found.start, found.end
        elif self._pattern is not None:
            start, end = candidate.start, candidate.end
            if self.triggers.whole:
                low, high = 0, end
            else:
                low, high = max(0, start - LOOK_BACK), end + _REACH
            for match in self._pattern.finditer(candidate.text, low, high):
                # Around a literal there may be others, with values of their own.
                if match.end() > match.start() and (
                    self.triggers.whole or (match.start() <= start and end <= match.end())
                ):
                    yield match.start(), match.end()


def _given(field: str, values: Iterable[str]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise ConfigurationError(f"{field} must be a list of texts", field=field)
    found = tuple(values)
    for index, value in enumerate(found):
        if not isinstance(value, str) or not value.strip():
            raise ConfigurationError(f"{field}[{index}] must be a text that is not empty", field=f"{field}[{index}]")
    return found


def _exactly(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text)) or (text,)


def _near(candidate: Candidate, context: frozenset[str]) -> bool:
    return candidate.near(context) or any(
        word in candidate.before or word in candidate.after for word in context if not word.isalpha()
    )


def read_recognizer(name: str, table: Mapping[str, object]) -> Custom:
    """The recognizer of a table in the settings.

    Args:
        name: Where it stands, for errors: "privacy.recognizers[0]".
        table: What Custom takes.

    Raises:
        ConfigurationError: A field is unknown, wrong or missing, or its pattern unsafe.
        ImportError: It wants an extra that is not installed.
    """
    for key in table:
        if key not in _FIELDS:
            hint = f"Known: {', '.join(_FIELDS)}."
            raise ConfigurationError(f"{name}.{key}: unknown field", field=f"{name}.{key}", hint=hint)
    for key in ("name", "type"):
        if key not in table:
            raise ConfigurationError(f"{name}.{key} must be given", field=f"{name}.{key}")
    for key, kinds, accepted in _KINDS:
        value = table.get(key)
        if value is not None and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)):
            raise ConfigurationError(f"{name}.{key} must be {accepted}", field=f"{name}.{key}")
    try:
        # The kinds were checked above, all that a table can hold.
        return Custom(**cast("dict[str, str]", dict(table)))  # type: ignore[arg-type]
    except ConfigurationError as error:
        field = f"{name}.{error.field}"
        message = error.message.removeprefix(str(error.field))
        raise ConfigurationError(f"{field}{message}", field=field, hint=error.hint) from None


_KINDS: Final[tuple[tuple[str, tuple[type, ...], str], ...]] = (
    ("name", (str,), "a text"),
    ("type", (str,), "a text"),
    ("pattern", (str,), "a regular expression"),
    ("words", (list, tuple), "a list of texts"),
    ("score", (int, float), "a number from 0 to 1"),
    ("context", (list, tuple), "a list of texts"),
    ("literals", (list, tuple), "a list of texts"),
    ("ignore_case", (bool,), "true or false"),
    ("engine", (str,), "one of 're', 're2'"),
)


def installed_recognizers(name: str = ALL) -> tuple[Recognizer, ...]:
    """The recognizers that installed packages offer as entry points of the group `aistrale.recognizers`.

    Nothing is loaded but what is asked for.

    Args:
        name: The entry point's name; "all" for every one.

    Raises:
        ConfigurationError: There is none of that name, or it cannot be loaded or used.
    """
    found: list[Recognizer] = []
    points = entry_points(group=GROUP)
    wanted = [point for point in points if name in {ALL, point.name}]
    if not wanted and name != ALL:
        known = ", ".join(sorted(points.names)) or "none"
        raise ConfigurationError(
            f"recognizer {name!r} is offered by no installed package", field="recognizers", hint=f"Installed: {known}."
        )
    for point in wanted:
        try:
            offered: object = point.load()
        except Exception as error:
            message = f"recognizer {point.name!r} of {point.value} cannot be loaded: {type(error).__name__}"
            raise ConfigurationError(message, field="recognizers") from error
        found += _made(point.name, offered)
    return tuple(found)


def _made(name: str, offered: object) -> Iterator[Recognizer]:
    for one in offered if isinstance(offered, (tuple, list)) else (offered,):
        made: object = one() if isinstance(one, type) else one
        if not all(hasattr(made, wanted) for wanted in ("name", "types", "triggers", "recognize")):
            raise ConfigurationError(
                f"recognizer {name!r} is none: it has no name, types, triggers or recognize", field="recognizers"
            )
        yield cast("Recognizer", made)
