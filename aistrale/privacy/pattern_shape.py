"""Which characters the parts of a parsed regular expression match: as bits, one for each of ASCII and a few more."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# A node of Python's parser: the operation, and what it is about.
Node: TypeAlias = "tuple[object, object]"
Nodes: TypeAlias = "Sequence[Node]"

# Beyond ASCII: letters, digits, spaces, and all the rest.
_LETTERS, _DIGITS, _SPACES, _REST = (1 << place for place in range(128, 132))
_EVERY: Final = (1 << 132) - 1
_BEYOND: Final = _LETTERS | _DIGITS | _SPACES | _REST
# Python has names for the count of a repeat without bound; all are far greater than that.
_UNBOUNDED: Final = 1001
_SINGLE: Final = frozenset({"LITERAL", "NOT_LITERAL", "IN", "ANY", "CATEGORY", "RANGE"})


def _ascii(pattern: str) -> int:
    return sum(1 << code for code in range(128) if re.match(pattern, chr(code)))


_CLASSES: Final = {
    "DIGIT": _ascii(r"\d") | _DIGITS,
    "WORD": _ascii(r"\w") | _LETTERS | _DIGITS,
    "SPACE": _ascii(r"\s") | _SPACES,
}
_NEWLINE: Final = 1 << ord("\n")


def single(node: Node) -> bool:
    """Whether a node matches exactly one character."""
    return str(node[0]) in _SINGLE


def variable(nodes: Nodes) -> bool:
    """Whether there is a quantifier in it that can repeat a different number of times."""
    for node in nodes:
        if str(node[0]).endswith("_REPEAT"):
            least, most, body = cast("tuple[int, int, Nodes]", node[1])
            if least != most or variable(body):
                return True
        elif any(variable(inner) for inner in parts(node)):
            return True
    return False


def parts(node: Node) -> list[Nodes]:
    """The rows of nodes inside of one."""
    kind, value = str(node[0]), node[1]
    if kind == "BRANCH":
        return cast("tuple[object, list[Nodes]]", value)[1]
    if kind == "ATOMIC_GROUP":
        return [cast("Nodes", value)]
    if kind == "SUBPATTERN" or kind.endswith("_REPEAT"):
        return [cast("tuple[object, ...]", value)[-1]]  # type: ignore[list-item]
    return []


class Sets:
    """Sets of characters of a pattern.

    Args:
        flags: The pattern's flags, as Python's parser gives them.
    """

    every: Final = _EVERY
    unbounded: Final = _UNBOUNDED

    def __init__(self, flags: int) -> None:
        self._multiline = bool(flags & re.MULTILINE)
        self._dotall = bool(flags & re.DOTALL)

    def of(self, node: Node) -> int:
        """What one node that matches a single character matches."""
        kind, value = str(node[0]), node[1]
        if kind == "LITERAL":
            return _character(cast("int", value))
        if kind == "NOT_LITERAL":
            code = cast("int", value)
            return _EVERY & ~(1 << code) if code < 128 and not chr(code).isalpha() else _EVERY
        if kind == "ANY":
            return _EVERY if self._dotall else _EVERY & ~_NEWLINE
        return _set(cast("Nodes", value))

    def characters(self, nodes: Nodes) -> int:
        """Every character that can stand in what the nodes match."""
        seen = 0
        for node in nodes:
            seen |= self.of(node) if single(node) else 0
            for inner in parts(node):
                seen |= self.characters(inner)
        return seen

    def first(self, nodes: Nodes) -> tuple[int, bool]:
        """With which characters what they match can begin, and whether it can be empty."""
        seen = 0
        for node in nodes:
            if single(node):
                return seen | self.of(node), False
            kind = str(node[0])
            if kind.startswith(("AT", "ASSERT")) and kind != "ATOMIC_GROUP":
                continue
            inner = [self.first(row) for row in parts(node)]
            if not inner:
                # Unknown to us: anything.
                return _EVERY, True
            for mask, _ in inner:
                seen |= mask
            optional = kind.endswith("_REPEAT") and cast("tuple[int, int, Nodes]", node[1])[0] == 0
            if not optional and not any(empty for _, empty in inner):
                return seen, False
        return seen, True

    def branches(self, nodes: Nodes) -> Iterator[list[Nodes]]:
        """The alternatives of every branch in it."""
        for node in nodes:
            if str(node[0]) == "BRANCH":
                yield parts(node)
            for inner in parts(node):
                yield from self.branches(inner)

    def crosses_lines(self, characters: int) -> bool:
        """Whether what is repeated can go on from one beginning to the next; with one beginning alone it cannot."""
        return self._multiline and bool(characters & _NEWLINE)

    def bounded(self, at: str, before: int) -> int:
        """What may stand before a place that is bounded, by an anchor or the boundary of a word."""
        if at == "AT_BEGINNING_STRING" or (at == "AT_BEGINNING" and not self._multiline):
            return 0
        if at == "AT_BEGINNING":
            return before & _NEWLINE
        # What goes on at the boundary of a word is a word; or else it cannot be entered in the middle of one either.
        return before & ~_CLASSES["WORD"] if at == "AT_BOUNDARY" else before


def _character(code: int) -> int:
    """A literal, in both cases: whether case matters is known of the whole pattern only when it is compiled."""
    character = chr(code)
    seen = 0
    for one in {character, *character.lower(), *character.upper()}:
        if one.isascii():
            seen |= 1 << ord(one)
        else:
            seen |= _DIGITS if one.isdecimal() else _SPACES if one.isspace() else _LETTERS if one.isalnum() else _REST
    return seen


def _set(members: Nodes) -> int:
    touched = covered = 0
    negated = False
    for kind, value in ((str(member[0]), member[1]) for member in members):
        if kind == "NEGATE":
            negated = True
        elif kind == "LITERAL":
            code = cast("int", value)
            touched |= _character(code)
            covered |= 1 << code if code < 128 else 0
        elif kind == "RANGE":
            low, high = cast("tuple[int, int]", value)
            for code in range(low, min(high, 127) + 1):
                touched |= _character(code)
                covered |= 1 << code
            touched |= _BEYOND if high > 127 else 0
        else:
            mask = _category(str(value))
            touched |= mask
            covered |= mask
    return _EVERY & ~covered if negated else touched


def _category(name: str) -> int:
    for word, mask in _CLASSES.items():
        if name.endswith("NOT_" + word):
            return _EVERY & ~mask
        if name.endswith(word):
            return mask
    return _EVERY
