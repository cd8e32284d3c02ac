"""Arguments of a function call that come in pieces (`partialArgs`), each a value at a JSON path.

Source: Vertex AI reference, `PartialArg` (with `streamFunctionCallArguments`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from aistrale.dialects.shape import MAX_NESTING, MalformedBody, as_list, as_object, as_str

if TYPE_CHECKING:
    from aistrale.types import JSON, JSONObject

_STEP = re.compile(
    r"""\.(?P<name>[^.\[\]]+)
      | \[(?P<index>\d{1,9})\]
      | \['(?P<single>(?:[^'\\]|\\.)*)'\]
      | \["(?P<double>(?:[^"\\]|\\.)*)"\]""",
    re.VERBOSE,
)
_VALUES = ("numberValue", "boolValue")


class PartialArguments:
    """Puts the pieces of one call together.

    Args:
        start: Arguments that came whole, before the first piece.
    """

    __slots__ = ("_continued", "_root")

    def __init__(self, start: JSONObject | None = None) -> None:
        self._root: list[JSON] = [None if start is None else start]
        self._continued: str | None = None

    @property
    def value(self) -> JSONObject | None:
        """The arguments so far; None when none came."""
        root = self._root[0]
        return root if type(root) is dict else None

    def add(self, pieces: JSON, field: str) -> None:
        """Take the pieces of one chunk.

        Args:
            pieces: The `partialArgs`.
            field: Their path, for errors.

        Raises:
            MalformedBody: A piece has no usable path, or lies where another value stands.
        """
        for index, item in enumerate(as_list(pieces, field)):
            self._add(as_object(item, f"{field}[{index}]"), f"{field}[{index}]")

    def _add(self, piece: JSONObject, field: str) -> None:
        path = as_str(piece.get("jsonPath"), f"{field}.jsonPath")
        container, key = self._place(_steps(path, f"{field}.jsonPath"), f"{field}.jsonPath")
        text = piece.get("stringValue")
        if text is not None:
            present = _get(container, key)
            begun = present if self._continued == path and type(present) is str else ""
            _set(container, key, begun + as_str(text, f"{field}.stringValue"))
        elif any(name in piece for name in _VALUES):
            _set(container, key, next(piece[name] for name in _VALUES if name in piece))
        elif "nullValue" in piece:
            _set(container, key, None)
        self._continued = path if piece.get("willContinue") is True else None

    def _place(self, steps: list[str | int], field: str) -> tuple[JSONObject | list[JSON], str | int]:
        """The container and key at the end of a path; containers on the way are made."""
        container: JSONObject | list[JSON] = self._root
        key: str | int = 0
        for step in steps:
            value = _get(container, key)
            if value is None:
                value = [] if type(step) is int else {}
                _set(container, key, value)
            fits = type(value) is list and type(step) is int and step <= len(value)
            if not fits and not (type(value) is dict and type(step) is str):
                raise MalformedBody(field, "a path to where no other value stands")
            container = cast("JSONObject | list[JSON]", value)
            key = step
        return container, key


def _steps(path: str, field: str) -> list[str | int]:
    steps: list[str | int] = []
    place = 1
    while place < len(path):
        match = _STEP.match(path, place)
        if match is None or len(steps) >= MAX_NESTING:
            break
        index, quoted = match["index"], match["single"] or match["double"]
        name = match["name"] or re.sub(r"\\(.)", r"\1", quoted or "")
        steps.append(name if index is None else int(index))
        place = match.end()
    if not path.startswith("$") or place < len(path) or not steps or type(steps[0]) is int:
        raise MalformedBody(field, "a JSON path such as $.name or $.list[0]")
    return steps


def _get(container: JSONObject | list[JSON], key: str | int) -> JSON:
    if type(container) is dict and type(key) is str:
        return container.get(key)
    if type(container) is list and type(key) is int and key < len(container):
        return container[key]
    return None


def _set(container: JSONObject | list[JSON], key: str | int, value: JSON) -> None:
    if type(container) is dict and type(key) is str:
        container[key] = value
    elif type(container) is list and type(key) is int:
        container[key : key + 1] = [value]
