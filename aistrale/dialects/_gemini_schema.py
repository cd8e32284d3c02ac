"""Gemini's `Schema` (a subset of OpenAPI 3.0 with upper-case types) and JSON Schema, both ways.

Source: Gemini API reference, `Schema`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from aistrale.dialects._gemini_names import snake
from aistrale.dialects.shape import MAX_NESTING, MalformedBody, as_object

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aistrale.types import JSON, JSONObject

Style: TypeAlias = Literal["upper", "lower"]

_TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object", "null"})
_CAMEL = {
    snake(name): name
    for name in (
        "anyOf",
        "oneOf",
        "allOf",
        "maxItems",
        "minItems",
        "maxLength",
        "minLength",
        "maxProperties",
        "minProperties",
        "additionalProperties",
        "propertyOrdering",
        "prefixItems",
        "uniqueItems",
    )
}
_SCHEMAS = frozenset({"items", "additionalProperties", "not"})
_SCHEMA_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_SCHEMA_MAPS = frozenset({"properties", "$defs", "defs", "definitions"})
_COUNTS = frozenset(name for name in _CAMEL.values() if name.startswith(("max", "min")))


def to_json_schema(schema: JSONObject, field: str) -> JSONObject:
    """JSON Schema that says the same: lower-case types, `nullable` as a type, camelCase keywords, `examples`.

    Raises:
        MalformedBody: It is nested too deep.
    """
    return _to_json(schema, field, 0)


def _to_json(schema: JSONObject, field: str, depth: int) -> JSONObject:
    if depth > MAX_NESTING:
        raise MalformedBody(field, f"a schema of at most {MAX_NESTING} levels")
    result: JSONObject = {}
    for name, value in schema.items():
        key = _CAMEL.get(name, name)
        if value is None:
            continue
        if key == "defs":
            result["$defs"] = _nested(key, value, field, depth + 1)
        elif key == "ref":
            result["$ref"] = value.replace("#/defs/", "#/$defs/", 1) if type(value) is str else value
        elif key == "type":
            result[key] = _lower(value)
        elif key in _COUNTS and type(value) is str and value.isdecimal():
            # Protobuf's JSON form writes 64-bit counts as strings.
            result[key] = int(value)
        elif key == "example":
            result["examples"] = [value]
        elif key != "nullable":
            result[key] = _nested(key, value, field, depth + 1)
    if schema.get("nullable") is True:
        _allow_null(result)
    return result


def _nested(key: str, value: JSON, field: str, depth: int) -> JSON:
    if key in _SCHEMAS and type(value) is dict:
        return _to_json(value, field, depth)
    if key in _SCHEMA_LISTS and type(value) is list:
        return [_to_json(item, field, depth) if type(item) is dict else item for item in value]
    if key in _SCHEMA_MAPS and type(value) is dict:
        return {name: _to_json(as_object(item, field), field, depth) for name, item in value.items()}
    return value


def _lower(value: JSON) -> JSON:
    if type(value) is str and value.lower() in _TYPES:
        return value.lower()
    if type(value) is list:
        return [_lower(item) for item in value]
    return value


def _allow_null(schema: JSONObject) -> None:
    kind = schema.get("type")
    if type(kind) is str and kind != "null":
        schema["type"] = [kind, "null"]
    elif type(kind) is list and "null" not in kind:
        schema["type"] = [*kind, "null"]
    elif kind is None and type(schema.get("anyOf")) is list:
        schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]  # type: ignore[misc]  # checked in the line above
    enum = schema.get("enum")
    if type(enum) is list and None not in enum:
        schema["enum"] = [*enum, None]


def back_to_gemini(schema: JSONObject, original: JSON, field: str) -> JSONObject:
    """The `Schema` for a hub schema that was read from `original`: the original itself while it says the same.

    Otherwise the schema is written anew, with types and names spelled as the original spells them.
    """
    if type(original) is not dict:
        return to_gemini_schema(schema)
    if schema == to_json_schema(original, field):
        return original
    kind = original.get("type")
    written = to_gemini_schema(schema, "lower" if type(kind) is str and kind.islower() else "upper")
    spelled = _odd_names(original)
    return _respelled(written, spelled) if spelled else written


def _children(schema: JSONObject) -> Iterator[JSONObject]:
    for name, value in schema.items():
        key = _CAMEL.get(name, name)
        if key in _SCHEMAS and type(value) is dict:
            yield value
        elif key in _SCHEMA_LISTS and type(value) is list:
            yield from (item for item in value if type(item) is dict)
        elif key in _SCHEMA_MAPS and type(value) is dict:
            yield from (item for item in value.values() if type(item) is dict)


def _odd_names(schema: JSONObject) -> set[str]:
    names = {key for key in schema if key in _CAMEL or key in ("$ref", "$defs")}
    for child in _children(schema):
        names |= _odd_names(child)
    return names


def _respelled(schema: JSONObject, names: set[str]) -> JSONObject:
    """The schema with these snake_case names, and `$` where they have it; changes the fresh objects in place."""
    for child in [*_children(schema)]:
        _respelled(child, names)
    for key in [*schema]:
        value = schema[key]
        if snake(key) in names and key not in names:
            schema[snake(key)] = schema.pop(key)
        elif f"${key}" in names:
            del schema[key]
            schema[f"${key}"] = value.replace("#/defs/", "#/$defs/", 1) if type(value) is str else value
    return schema


def to_gemini_schema(schema: JSONObject, style: Style = "upper") -> JSONObject:
    """The `Schema` that says the same as JSON Schema: the inverse of `to_json_schema` up to notation."""
    result: JSONObject = {}
    for key, value in schema.items():
        if key == "type":
            result.update(_typed(value, style))
        elif key == "examples" and type(value) is list and len(value) == 1:
            result["example"] = value[0]
        elif key in _SCHEMAS and type(value) is dict:
            result[key] = to_gemini_schema(value, style)
        elif key in _SCHEMA_LISTS and type(value) is list:
            branches, nullable = _branches(value, style)
            result[key] = branches
            if nullable:
                result["nullable"] = True
        elif key in _SCHEMA_MAPS and type(value) is dict:
            result[key.lstrip("$")] = {
                name: to_gemini_schema(item, style) if type(item) is dict else item for name, item in value.items()
            }
        elif key == "$ref":
            result["ref"] = value.replace("#/$defs/", "#/defs/", 1) if type(value) is str else value
        else:
            result[key] = value
    enum = result.get("enum")
    if result.get("nullable") is True and type(enum) is list:
        result["enum"] = [item for item in enum if item is not None]
    return result


def _typed(kind: JSON, style: Style) -> JSONObject:
    if type(kind) is str:
        return {"type": _styled(kind, style)}
    if type(kind) is not list:
        return {"type": kind}
    names = [name for name in kind if name != "null"]
    known: JSONObject = {"nullable": True} if len(names) < len(kind) else {}
    if len(names) == 1:
        return {"type": _styled(names[0], style), **known}
    return {"anyOf": [{"type": _styled(name, style)} for name in names], **known}


def _styled(kind: JSON, style: Style) -> JSON:
    return kind.upper() if style == "upper" and type(kind) is str else kind


def _branches(branches: list[JSON], style: Style) -> tuple[list[JSON], bool]:
    kept = [branch for branch in branches if branch != {"type": "null"}]
    converted: list[JSON] = [to_gemini_schema(item, style) if type(item) is dict else item for item in kept]
    return converted, len(kept) < len(branches)
