"""Intersections: several schemas that one value must fit, written as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aistrale.core.schema_check import kinds_of, lookup, same
from aistrale.core.schema_subset import Inexpressible

if TYPE_CHECKING:
    from aistrale.types import JSONObject

# Keywords that shape a value, beside which a `$ref` is one demand of several.
SHAPES: Final = frozenset(
    {"type", "properties", "required", "additionalProperties", "patternProperties", "items", "prefixItems", "enum",
     "const", "anyOf", "oneOf", "allOf"}
)  # fmt: skip


def flat(root: JSONObject, schema: JSONObject, path: str, seen: frozenset[str] = frozenset()) -> JSONObject:
    """A schema with its `allOf` written as one schema, which all providers understand.

    Raises:
        Inexpressible: The parts contradict each other, or a reference among them leads in a circle or nowhere.
    """
    body = dict(schema)
    branches = body.pop("allOf", None)
    if not isinstance(branches, list):
        return body
    if len(branches) == 1 and isinstance(branches[0], dict) and not SHAPES & body.keys() and "$ref" not in body:
        return {**flat(root, branches[0], path, seen), **body}
    for branch in branches:
        if branch is True:
            continue
        if not isinstance(branch, dict):
            raise Inexpressible(path, "allOf holds something that is no schema")
        reference = branch.get("$ref")
        if isinstance(reference, str):
            found = lookup(root, reference)
            if reference in seen or not isinstance(found, dict):
                raise Inexpressible(path, "allOf refers to itself or to no schema of this document")
            beside = flat(root, {key: value for key, value in branch.items() if key != "$ref"}, path, seen)
            _join(body, beside, path)
            branch = found  # noqa: PLW2901 - what it stands for
            _join(body, flat(root, branch, path, seen | {reference}), path)
        else:
            _join(body, flat(root, branch, path, seen), path)
    return body


def _join(body: JSONObject, other: JSONObject, path: str) -> None:
    """Add the demands of another schema to one."""
    for key, value in other.items():
        mine = body.get(key)
        if key not in body or key == "additionalProperties":
            body[key] = value if mine is not False else False
        elif key == "properties" and isinstance(mine, dict) and isinstance(value, dict):
            shared = [name for name in value if name in mine and not same(mine[name], value[name])]
            both: JSONObject = {name: {"allOf": [mine[name], value[name]]} for name in shared}
            body[key] = {**mine, **value, **both}
        elif key == "required" and isinstance(mine, list) and isinstance(value, list):
            body[key] = [*mine, *(name for name in value if name not in mine)]
        elif key == "type":
            body[key] = [*_shared_kinds(kinds_of(body), kinds_of(other), path)]
        elif key == "enum" and isinstance(mine, list) and isinstance(value, list):
            body[key] = [item for item in mine if any(same(item, option) for option in value)]
        elif key not in {"description", "title", "default", "$defs", "definitions"} and not same(mine, value):
            also = body.setdefault("and", [])
            if isinstance(also, list):
                also.append({key: value})


def _shared_kinds(mine: list[str], other: list[str], path: str) -> list[str]:
    shared = [kind for kind in mine if kind in other or (kind == "integer" and "number" in other)]
    shared += [kind for kind in other if kind == "integer" and "number" in mine and kind not in shared]
    if not shared:
        raise Inexpressible(path, "allOf demands two types at once")
    return shared
