"""JSON Schema in the subset that a provider can enforce, and the way back from what it answers.

What a provider cannot enforce is not lost: it moves into the description, where the model may still follow it, and the
answer is validated against the full schema in the end.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aistrale.types import JSON, JSONObject

WRAP: Final = "value"
_MAX_DEPTH: Final = 60
_COMMON: Final = frozenset(
    {"type", "properties", "required", "items", "enum", "anyOf", "$ref", "$defs", "description", "title",
     "additionalProperties"}
)  # fmt: skip
_FORMATS: Final = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})


@dataclass(slots=True, frozen=True, kw_only=True)
class Subset:
    """What one provider enforces.

    Args:
        keywords: Keywords it takes, beside those that all take.
        formats: String formats it takes; None takes all.
        closed: Objects must forbid further properties, so free-form objects cannot be said.
        all_required: Every property must be required; optional ones become nullable.
        object_root: The root must be an object.
        min_items: Highest `minItems` it takes; None takes all.
    """

    keywords: frozenset[str] = frozenset()
    formats: frozenset[str] | None = None
    closed: bool = False
    all_required: bool = False
    object_root: bool = False
    min_items: int | None = None


# OpenAI, "Structured Outputs", supported schemas; Groq documents the same rules for strict mode.
_STRICT: Final = Subset(
    keywords=frozenset(
        {"const", "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
         "minItems", "maxItems"}
    ),
    formats=_FORMATS,
    closed=True,
    all_required=True,
    object_root=True,
)  # fmt: skip
SUBSETS: Final = {
    "openai": _STRICT,
    "groq": _STRICT,
    # Anthropic, "Structured outputs", JSON Schema limitations.
    "anthropic": Subset(
        keywords=frozenset({"const", "allOf", "format", "minItems"}),
        formats=_FORMATS | {"uri"},
        closed=True,
        min_items=1,
    ),
    # Google, Gemini API reference, GenerationConfig.responseJsonSchema.
    "gemini": Subset(
        keywords=frozenset(
            {"$id", "$anchor", "format", "prefixItems", "minItems", "maxItems", "minimum", "maximum", "oneOf",
             "propertyOrdering"}
        ),
    ),
}  # fmt: skip


class Inexpressible(ValueError):
    """The schema cannot be said in the subset; `path` is where, `detail` why."""

    def __init__(self, path: str, detail: str) -> None:
        super().__init__(f"{path}: {detail}")
        self.path = path
        self.detail = detail


@dataclass(slots=True)
class Lowered:
    """A schema as it is sent.

    Args:
        schema: What the provider gets.
        source: What the caller wrote.
        wrapped: The caller's schema stands under one property of an object.
        nulls: Optional properties were made nullable, so a null may mean "absent".
        notes: What moved into descriptions, as paths.
    """

    schema: JSONObject
    source: JSONObject
    wrapped: bool = False
    nulls: bool = False
    notes: list[str] = field(default_factory=list)


def lower_schema(schema: JSONObject, provider: str) -> Lowered:
    """The schema in the provider's subset; unchanged for providers whose subset nobody documents.

    Raises:
        Inexpressible: A free-form object where the provider forbids them, or a schema without any type.
    """
    subset = SUBSETS.get(provider)
    if subset is None:
        return Lowered(schema, schema)
    lowered = Lowered({}, schema)
    body = _Lowering(subset, lowered, schema).lower(schema, "schema", 0)
    definitions = body.pop("$defs", None)
    if subset.object_root and not _is_object(body, {"$defs": definitions}):
        lowered.wrapped = True
        body = {"type": "object", "properties": {WRAP: body}, "required": [WRAP], "additionalProperties": False}
    elif subset.object_root and "$ref" in body:
        # A root that only refers is written out: the root itself must be the object.
        name = str(body["$ref"]).rpartition("/")[2]
        found = definitions.get(name) if isinstance(definitions, dict) else None
        body = dict(found) if isinstance(found, dict) else body
    if definitions:
        body["$defs"] = definitions
    lowered.schema = body
    return lowered


class _Lowering:
    def __init__(self, subset: Subset, lowered: Lowered, root: JSONObject) -> None:
        self._subset = subset
        self._lowered = lowered
        self._root = root
        self._keep = _COMMON | subset.keywords

    def lower(self, schema: JSON, path: str, depth: int) -> JSONObject:
        if not isinstance(schema, dict) or depth > _MAX_DEPTH:
            raise Inexpressible(path, "a schema without a type allows anything")
        body = self._merged(dict(schema), path)
        if "definitions" in body:
            body["$defs"] = body.pop("definitions")
        kept: JSONObject = {}
        moved: JSONObject = {}
        for key, value in body.items():
            self._keyword(key, value, kept, moved, path, depth)
        if self._untyped(kept):
            raise Inexpressible(path, "a schema without a type allows anything")
        if kept.get("type") == "object" or "properties" in kept:
            self._object(body, kept, path)
        if moved:
            self._lowered.notes += [f"{path}.{key}" for key in moved]
            said = ", ".join(f"{key}: {json.dumps(value)}" for key, value in moved.items())
            text = kept.get("description")
            kept["description"] = f"{text} ({said})" if text else f"({said})"
        return kept

    def _keyword(  # noqa: PLR0917 - one step of `lower`
        self, key: str, value: JSON, kept: JSONObject, moved: JSONObject, path: str, depth: int
    ) -> None:
        if key in {"properties", "$defs"} and isinstance(value, dict):
            kept[key] = {name: self.lower(item, f"{path}.{name}", depth + 1) for name, item in value.items()}
        elif key == "items":
            kept[key] = self.lower(value, f"{path}[]", depth + 1)
        elif key in {"anyOf", "oneOf", "allOf", "prefixItems"} and isinstance(value, list):
            name = key if key in self._keep else "anyOf"
            kept[name] = [self.lower(item, f"{path}.{key}[{index}]", depth + 1) for index, item in enumerate(value)]
        elif key == "$ref" and isinstance(value, str):
            kept[key] = value.replace("#/definitions/", "#/$defs/")
        elif key == "const" and key not in self._keep:
            kept["enum"] = [value]
        elif key == "additionalProperties":
            if not self._subset.closed:
                kept[key] = self.lower(value, f"{path}.*", depth + 1) if isinstance(value, dict) else value
        elif key in self._keep and self._takes(key, value):
            kept[key] = value
        elif key not in {"$schema", "$comment", "examples", "default", "discriminator"}:
            moved[key] = value

    def _takes(self, key: str, value: JSON) -> bool:
        if key == "format":
            return self._subset.formats is None or value in self._subset.formats
        return key != "minItems" or self._subset.min_items is None or _at_most(value, self._subset.min_items)

    def _object(self, body: JSONObject, kept: JSONObject, path: str) -> None:
        properties = kept.get("properties")
        if not self._subset.closed:
            return
        extra = body.get("additionalProperties")
        if not isinstance(properties, dict) or not properties:
            if extra is not False and "properties" not in body:
                raise Inexpressible(path, "an object of any properties cannot be enforced")
            kept["properties"] = properties = {}
        if isinstance(extra, dict) or extra is True or "patternProperties" in body:
            raise Inexpressible(path, "further properties of an object cannot be enforced")
        kept["additionalProperties"] = False
        if self._subset.all_required:
            required = body.get("required")
            for name, item in properties.items():
                if not (isinstance(required, list) and name in required) and isinstance(item, dict):
                    properties[name] = _nullable(item)
                    self._lowered.nulls = True
            kept["required"] = list(properties)

    def _merged(self, body: JSONObject, path: str) -> JSONObject:
        """A schema with `allOf` written as one, where the subset has no `allOf`."""
        branches = body.get("allOf")
        if not isinstance(branches, list) or "allOf" in self._keep:
            return body
        del body["allOf"]
        for branch in branches:
            part = resolve(self._root, branch) if len(branches) > 1 or "properties" in body else branch
            if not isinstance(part, dict):
                raise Inexpressible(path, "allOf holds something that is no schema")
            for key, value in part.items():
                mine = body.get(key)
                if key == "properties" and isinstance(mine, dict) and isinstance(value, dict):
                    body[key] = {**mine, **value}
                elif key == "required" and isinstance(mine, list) and isinstance(value, list):
                    body[key] = [*mine, *(name for name in value if name not in mine)]
                else:
                    body.setdefault(key, value)
        return body

    def _untyped(self, kept: JSONObject) -> bool:
        return self._subset.closed and not kept.keys() & {
            "type",
            "$ref",
            "anyOf",
            "allOf",
            "enum",
            "const",
            "properties",
        }


def restore(value: JSON, lowered: Lowered) -> JSON:
    """A document of the lowered schema as one of the caller's: unwrapped, and without nulls that only mean "absent"."""
    if lowered.wrapped and isinstance(value, dict) and set(value) == {WRAP}:
        value = value[WRAP]
    return _without_nulls(value, lowered.source, lowered.source, 0) if lowered.nulls else value


def _without_nulls(value: JSON, schema: JSON, root: JSONObject, depth: int) -> JSON:
    schema = resolve(root, schema)
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return value
    if isinstance(value, list):
        return [_without_nulls(item, schema.get("items"), root, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    for key in ("anyOf", "oneOf", "allOf"):
        branches = schema.get(key)
        for branch in branches if isinstance(branches, list) else []:
            if isinstance(value, dict) and _describes(branch, value, root):
                value = _without_nulls(value, branch, root, depth + 1)
                break
    properties = schema.get("properties")
    required = schema.get("required")
    if not isinstance(value, dict) or not isinstance(properties, dict):
        return value
    return {
        name: _without_nulls(item, properties.get(name), root, depth + 1)
        for name, item in value.items()
        if item is not None
        or (isinstance(required, list) and name in required)
        or name not in properties
        or allows_null(properties[name], root)
    }


def _describes(branch: JSON, value: JSONObject, root: JSONObject) -> bool:
    schema = resolve(root, branch)
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return isinstance(properties, dict) and set(value) <= set(properties)


def allows_null(schema: JSON, root: JSONObject, depth: int = 0) -> bool:
    """Whether null fits a schema."""
    schema = resolve(root, schema)
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return True
    kind, options = schema.get("type"), schema.get("enum")
    if kind == "null" or (isinstance(kind, list) and "null" in kind) or (isinstance(options, list) and None in options):
        return True
    branches = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(branches, list):
        return any(allows_null(branch, root, depth + 1) for branch in branches)
    return not schema.keys() & {"type", "enum", "const", "properties", "allOf"}


def resolve(root: JSONObject, schema: JSON) -> JSON:
    """The schema that a local `$ref` points to; the schema itself where it has none."""
    for _ in range(_MAX_DEPTH):
        reference = schema.get("$ref") if isinstance(schema, dict) else None
        if not isinstance(reference, str) or not reference.startswith("#"):
            return schema
        found: JSON = root
        for step in reference[1:].strip("/").split("/") if reference != "#" else []:
            found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        schema = found
    return None


def _nullable(schema: JSONObject) -> JSONObject:
    kind = schema.get("type")
    if isinstance(kind, str) and kind != "null" and "enum" not in schema and "const" not in schema:
        return {**schema, "type": [kind, "null"]}
    if isinstance(kind, list):
        return schema if "null" in kind else {**schema, "type": [*kind, "null"]}
    branches = schema.get("anyOf")
    if isinstance(branches, list):
        null: JSONObject = {"type": "null"}
        return schema if null in branches else {**schema, "anyOf": [*branches, null]}
    return {"anyOf": [schema, {"type": "null"}]}


def _is_object(schema: JSON, root: JSONObject) -> bool:
    found = resolve(root, schema)
    return isinstance(found, dict) and (found.get("type") == "object" or "properties" in found) and "anyOf" not in found


def _at_most(value: JSON, limit: int) -> bool:
    return isinstance(value, int) and value <= limit
