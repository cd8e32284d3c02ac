"""JSON Schema in the subset that a provider can enforce, and the way back from what it answers.

What a provider cannot enforce is not lost: it moves into the description, where the model may still follow it, and the
answer is validated against the full schema in the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aistrale.core.schema_check import MISSING, Checker, items_of, kinds_of, lookup, properties_of, required_of
from aistrale.core.schema_lower import Lowering
from aistrale.core.schema_subset import SUBSETS, Inexpressible

if TYPE_CHECKING:
    from aistrale.types import JSON, JSONObject

__all__ = ["SUBSETS", "WRAP", "Inexpressible", "Lowered", "as_object_schema", "lower_schema", "restore"]

WRAP: Final = "value"
_DEFINITIONS: Final = ("#/$defs/", "#/definitions/")
_MAX_HOPS: Final = 8


@dataclass(slots=True)
class Lowered:
    """A schema as it is sent.

    Args:
        schema: What the provider gets.
        source: What the caller wrote.
        strict: Whether the provider can hold the model to it.
        wrapped: The caller's schema stands under the property WRAP of an object.
        nulls: Optional properties were made nullable, so a null may mean "absent".
        notes: What moved into descriptions, as paths.
    """

    schema: JSONObject
    source: JSONObject
    strict: bool = True
    wrapped: bool = False
    nulls: bool = False
    notes: list[str] = field(default_factory=list)


def lower_schema(schema: JSONObject, name: str, *, strict: bool | None = None) -> Lowered:
    """The schema in a subset; unchanged for a name that SUBSETS does not have.

    Args:
        schema: A JSON Schema; it is not changed.
        name: The subset's name, a key of SUBSETS.
        strict: False where the caller does not want enforcement: then only the root is adapted, at providers that
            have such a mode.

    Raises:
        Inexpressible: The provider cannot enforce this schema: a free-form object where it forbids them, a schema
            without any type, a reference that leads nowhere, recursion where there must be none.
    """
    subset = SUBSETS.get(name)
    if subset is None:
        return Lowered(schema, schema, strict=strict is not False)
    if strict is False and subset.object_root:
        return as_object_schema(schema)
    lowering = Lowering(subset, schema)
    body, definitions = lowering.run()
    wrapped = subset.object_root and (kinds_of(body) != ["object"] or "anyOf" in body)
    if wrapped:
        body = {"type": "object", "properties": {WRAP: body}, "required": [WRAP], "additionalProperties": False}
    if definitions:
        body["$defs"] = definitions
    return Lowered(body, schema, wrapped=wrapped, nulls=lowering.nulls, notes=lowering.notes)


def as_object_schema(schema: JSONObject) -> Lowered:
    """The whole schema under a root that is an object, for where nothing else is asked of it: not enforced, or a tool.

    A root that only refers to an object is written out; any other root is wrapped.
    """
    root = dict(schema)
    for _ in range(_MAX_HOPS):
        found = lookup(schema, str(root["$ref"])) if "$ref" in root else MISSING
        if not isinstance(found, dict):
            break
        root = {**found, **{key: value for key, value in root.items() if key != "$ref"}}
    if kinds_of(root) == ["object"] or ("properties" in root and "type" not in root):
        unchanged = root.keys() == schema.keys() and "type" in root
        return Lowered(schema if unchanged else {"type": "object", **root}, schema, strict=False)
    inner = {key: value for key, value in schema.items() if key not in {"$defs", "definitions", "$schema"}}
    body: JSONObject = {"type": "object", "properties": {WRAP: _moved(inner)}, "required": [WRAP]}
    body.update({key: _moved(schema[key]) for key in ("$defs", "definitions") if key in schema})
    return Lowered(body, schema, strict=False, wrapped=True)


def _moved(schema: JSON) -> JSON:
    """A part of a schema whose root has moved under the property WRAP; definitions stay at the root."""
    if isinstance(schema, list):
        return [_moved(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    moved: JSONObject = {}
    for key, value in schema.items():
        if key == "$ref" and isinstance(value, str) and value[:1] == "#" and not value.startswith(_DEFINITIONS):
            moved[key] = f"#/properties/{WRAP}{value[1:]}"
        else:
            moved[key] = _moved(value)
    return moved


def restore(value: JSON, lowered: Lowered) -> JSON:
    """A document of the lowered schema as one of the caller's: unwrapped, and without nulls that only mean "absent"."""
    if lowered.wrapped and isinstance(value, dict) and set(value) == {WRAP}:
        value = value[WRAP]
    return _Restoring(lowered.source).restore(value, [lowered.source]) if lowered.nulls else value


class _Restoring:
    """Drops the nulls of properties that are optional in the caller's schema and that may not be null there."""

    def __init__(self, root: JSONObject) -> None:
        self._root = root
        self._exact = Checker(root)
        # Which branch of a union a document is of, it must tell while its nulls are still in it.
        self._sent = Checker(root, absent_nulls=True)

    def restore(self, value: JSON, schemas: list[JSON]) -> JSON:
        """The value by all of these schemas at once."""
        if isinstance(value, list):
            views = self._views(value, schemas)
            return [self.restore(item, _of_item(views, index)) for index, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        views = self._views(value, schemas)
        required = {name for view in views for name in required_of(view)}
        kept: JSONObject = {}
        for name, item in value.items():
            inner = [properties_of(view)[name] for view in views if name in properties_of(view)]
            if item is None and inner and name not in required and not self._may_be_null(inner):
                continue
            kept[name] = self.restore(item, inner)
        return kept

    def _may_be_null(self, schemas: list[JSON]) -> bool:
        return all(self._exact.fits(None, schema) for schema in schemas)

    def _views(self, value: JSON, schemas: list[JSON]) -> list[JSONObject]:
        """The schemas with all that they refer to and consist of, by the branches that this value is of."""
        waiting = [*schemas]
        views: list[JSONObject] = []
        seen: set[int] = set()
        while waiting:
            schema = waiting.pop()
            if not isinstance(schema, dict) or id(schema) in seen:
                continue
            seen.add(id(schema))
            views.append(schema)
            found = lookup(self._root, str(schema["$ref"])) if "$ref" in schema else MISSING
            if isinstance(found, dict):
                waiting.append(found)
            branches = schema.get("allOf")
            waiting += branches if isinstance(branches, list) else []
            for key in ("anyOf", "oneOf"):
                branches = schema.get(key)
                if isinstance(branches, list):
                    waiting.append(next((item for item in branches if self._sent.fits(value, item)), None))
        return views


def _of_item(views: list[JSONObject], index: int) -> list[JSON]:
    found: list[JSON] = []
    for view in views:
        prefix, rest = items_of(view)
        found.append(prefix[index] if index < len(prefix) else rest)
    return found
