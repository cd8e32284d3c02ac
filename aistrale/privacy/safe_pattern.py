r"""Refuses regular expressions of users that can take more than linear time, and says why.

Python's engine tries everything again from every place in a text. So a pattern is linear only if from any one place
it does a bounded amount of work, or if what it repeats without bound can be entered at one place of a stretch only:
`ORDER-\d+` can, since no digit stands before the digits; `\d+-ORDER` cannot, since each digit of a long number is a
place to start from, and neither can `a.*b`. Such patterns are easily mended: `\b\d+-ORDER`, `\d{1,20}-ORDER`,
`a.{0,100}b`.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, Final, Literal, NoReturn, Protocol, cast

from aistrale.errors import ConfigurationError
from aistrale.privacy.pattern_shape import Sets, parts, single, variable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aistrale.privacy.pattern_shape import Node, Nodes

Engine = Literal["re", "re2"]

_LONGEST: Final = 2000
# How many steps a pattern may take from one place in the text before it gives up.
_MOST_STEPS: Final = 2000
# What an unbounded repeat counts as, where several lengths of it lead on.
_SOME: Final = 32
_BOUND: Final = "Give it a bound, {0,100}, or put \\b or a literal before it that it cannot match itself."
_ENGINE: Final = (
    "Rewrite it without that, or install aistrale[re2] and ask for the engine 're2', which is always linear."
)


class Match(Protocol):
    """A place where a pattern stands."""

    def start(self) -> int:
        """Its first character."""
        ...

    def end(self) -> int:
        """The character after its last one."""
        ...


class Compiled(Protocol):
    """A compiled pattern of either engine."""

    def finditer(self, text: str, pos: int = ..., endpos: int = ..., /) -> Iterator[Match]:
        """Every place where it stands."""
        ...


def compile_pattern(field: str, pattern: str, *, ignore_case: bool = False, engine: Engine = "re") -> Compiled:
    """A user's pattern, ready for use.

    Args:
        field: Where it was given, for the error.
        pattern: The regular expression.
        ignore_case: Whether case does not matter.
        engine: "re": Python's own, after `check_pattern`; "re2": google-re2, which is linear whatever the pattern, and
            knows no look-around.

    Raises:
        ConfigurationError: The pattern is none, or unsafe.
        ImportError: `engine="re2"` without aistrale[re2].
    """
    if engine == "re":
        check_pattern(field, pattern)
        return re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    try:
        re2 = import_module("re2")
    except ImportError as error:
        raise ImportError("The engine 're2' needs google-re2: pip install 'aistrale[re2]'") from error
    if len(pattern) > _LONGEST:
        _refuse(field, f"is longer than {_LONGEST} characters", "Split it into several.")
    options = re2.Options()
    options.case_sensitive = not ignore_case
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        raise ConfigurationError(f"{field} is no regular expression of re2: {_reason(error)}", field=field) from None
    if compiled.match("") is not None:
        _refuse(field, "matches the empty text", "Make something in it mandatory.")
    return cast("Compiled", compiled)


def _reason(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)


def check_pattern(field: str, pattern: str) -> None:
    """Refuse a pattern that is none, or that can take more than linear time.

    Args:
        field: Where it was given, for the error.
        pattern: The regular expression.

    Raises:
        ConfigurationError: With the field, the reason, and what to do.
    """
    if len(pattern) > _LONGEST:
        _refuse(field, f"is longer than {_LONGEST} characters", "Split it into several.")
    try:
        re.compile(pattern)
        parsed = import_module("re._parser").parse(pattern)
        nodes, flags = list(parsed), int(parsed.state.flags)
        least = parsed.getwidth()[0]
    except (re.error, RecursionError, OverflowError) as error:
        reason = error.msg if isinstance(error, re.error) else "it is nested too deeply, or repeats too often"
        raise ConfigurationError(f"{field} is no regular expression: {reason}", field=field) from None
    except (ImportError, AttributeError, TypeError):
        # The parser is no public interface of Python; a pattern that cannot be looked at is not trusted.
        _refuse(field, "cannot be checked on this version of Python", "Use `words`, or the engine 're2'.")
    if least == 0:
        _refuse(field, "matches the empty text", "Make something in it mandatory.")
    try:
        _Walk(field, Sets(flags)).check(nodes)
    except RecursionError:
        _refuse(field, "is nested too deeply", "Split it into several.")


def _refuse(field: str, reason: str, hint: str) -> NoReturn:
    raise ConfigurationError(f"{field} {reason}", field=field, hint=hint)


class _Walk:
    """Goes over a parsed pattern from left to right, and counts what it costs from one place in a text.

    Args:
        field: Where the pattern was given.
        sets: Which characters its nodes match.
    """

    def __init__(self, field: str, sets: Sets) -> None:
        self._field = field
        self._sets = sets
        # How many ways lead to the present place in the pattern, and how many steps all of them have taken.
        self._ways = 1
        self._steps = 0
        # Whether one repeat of anything is left, because the pattern begins at the beginning of the text or line only.
        self._anchored = False

    def check(self, nodes: Nodes) -> None:
        """Refuse the pattern if it is unsafe."""
        self._anchored = bool(nodes) and str(nodes[0][1]).startswith("AT_BEGINNING")
        self._sequence(nodes, before=self._sets.every, after=0)

    def _sequence(self, nodes: Nodes, *, before: int, after: int) -> int:
        """Walk over nodes in a row.

        Args:
            nodes: The nodes.
            before: Which characters may stand before the first of them.
            after: Which characters what follows them may begin with.

        Returns:
            Which characters may stand before what follows.
        """
        for index, node in enumerate(nodes):
            rest, ends = self._sets.first(nodes[index + 1 :])
            before = self._node(node, before=before, after=rest | after if ends else rest)
        return before

    def _node(self, node: Node, *, before: int, after: int) -> int:
        kind, value = str(node[0]), node[1]
        if kind.startswith("GROUPREF"):
            _refuse(self._field, "has a back-reference", _ENGINE)
        if kind in {"AT", "ASSERT", "ASSERT_NOT"}:
            return self._at(kind, value, before)
        if kind.endswith("_REPEAT"):
            return self._repeat(node, before=before, after=after)
        if kind == "BRANCH":
            return self._branch(parts(node), before=before, after=after)
        if kind in {"SUBPATTERN", "ATOMIC_GROUP"}:
            return self._sequence(parts(node)[0], before=before, after=after)
        self._cost(1)
        return self._sets.of(node)

    def _at(self, kind: str, value: object, before: int) -> int:
        if kind == "AT":
            return self._sets.bounded(str(value), before)
        direction, nodes = cast("tuple[int, Nodes]", value)
        if direction > 0:
            self._sequence(nodes, before=before, after=0)
            return before
        seen = self._sets.of(nodes[0]) if len(nodes) == 1 and single(nodes[0]) else None
        if seen is None:
            self._sequence(nodes, before=0, after=0)
            return before
        return before & (seen if kind == "ASSERT" else ~seen)

    def _branch(self, branches: list[Nodes], *, before: int, after: int) -> int:
        ways = self._ways
        longest, last = ways, 0
        for branch in branches:
            self._ways = ways
            last |= self._sequence(branch, before=before, after=after)
            longest = max(longest, self._ways)
        self._ways = longest * (1 if self._apart(branches) else len(branches))
        self._cost(0)
        return last

    def _apart(self, branches: list[Nodes]) -> bool:
        """Whether no two branches can begin with the same character."""
        seen = 0
        for branch in branches:
            first, empty = self._sets.first(branch)
            if empty or first & seen:
                return False
            seen |= first
        return True

    def _repeat(self, node: Node, *, before: int, after: int) -> int:
        least, most, body = cast("tuple[int, int, Nodes]", node[1])
        inner = self._sets.characters(body)
        first, _ = self._sets.first(body)
        bounded = most < self._sets.unbounded
        if not bounded:
            self._refuse_unbounded(body, inner, before)
        more = bool(first & after) and most > least
        start = self._steps
        ways = self._ways
        last = self._sequence(body, before=before if least == most == 1 else before | inner, after=first | after)
        times = most if bounded else 1
        self._cost((self._steps - start) * (times - 1) // max(1, ways))
        if self._ways > ways:
            # Each repetition can go several ways.
            self._ways = min(ways * (self._ways // ways) ** min(times, 64), _MOST_STEPS + 1)
        if more:
            self._ways *= most - least + 1 if bounded else _SOME
        self._cost(0)
        return last | before if least == 0 else last

    def _refuse_unbounded(self, body: Nodes, inner: int, before: int) -> None:
        if not (len(body) == 1 and single(body[0])):
            if variable(body):
                _refuse(self._field, "has a quantifier inside of an unbounded quantifier", _BOUND)
            if any(not self._apart(branches) for branches in self._sets.branches(body)):
                _refuse(self._field, "has alternatives that overlap inside of an unbounded quantifier", _BOUND)
        if self._anchored and not self._sets.crosses_lines(inner):
            self._anchored = False
        elif before & inner:
            reason = "has an unbounded quantifier after something that it matches itself, or at its beginning"
            _refuse(self._field, reason, _BOUND)

    def _cost(self, steps: int) -> None:
        self._steps += self._ways * steps
        if self._steps > _MOST_STEPS or self._ways > _MOST_STEPS:
            reason = "can try too many ways from one place in a text: its quantifiers overlap or are large"
            _refuse(self._field, reason, _ENGINE)
