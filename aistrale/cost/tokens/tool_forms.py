"""Functions as OpenAI shows them to its models: a namespace of TypeScript, which has fewer tokens than their schemas.

The form is not documented. It is the one that the token counts of requests with functions follow, as users found out
when functions were new (2023), and as recorded requests of 2024 to 2026 still show.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aistrale.types import JSON, JSONObject, Tool

_SIMPLE: Final = {
    "string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null",
}  # fmt: skip
# Schemas may refer to themselves, and deeper ones are cut by providers.
_DEEPEST: Final = 12


def typescript(tools: Sequence[Tool]) -> str:
    """The declaration of tools; parts of a schema that have no counterpart in it are left out."""
    lines = ["namespace functions {", ""]
    for tool in tools:
        if tool.description:
            lines.append(f"// {tool.description}")
        schema = tool.parameters or {}
        if schema.get("properties"):
            lines += [f"type {tool.name} = (_: {{", *_properties(schema, schema, 0), "}) => any;", ""]
        else:
            lines += [f"type {tool.name} = () => any;", ""]
    lines.append("} // namespace functions")
    return "\n".join(lines)


def _properties(schema: JSONObject, root: JSONObject, depth: int) -> Iterator[str]:
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict):
        return
    needed = required if isinstance(required, list) else []
    for name, value in properties.items():
        described = value.get("description") if isinstance(value, dict) else None
        if isinstance(described, str):
            yield f"// {described}"
        default = f" // default: {_json(value['default'])}" if isinstance(value, dict) and "default" in value else ""
        yield f"{name}{'' if name in needed else '?'}: {_type(value, root, depth)},{default}"


def _type(schema: JSON, root: JSONObject, depth: int) -> str:
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return "any"
    if "$ref" in schema:
        return _type(_referred(schema["$ref"], root), root, depth + 1)
    for word in ("anyOf", "oneOf"):
        choices = schema.get(word)
        if isinstance(choices, list):
            return " | ".join(_type(each, root, depth + 1) for each in choices)
    values = schema.get("enum")
    if isinstance(values, list):
        return " | ".join(map(_json, values))
    if "const" in schema:
        return _json(schema["const"])
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(_type({**schema, "type": each}, root, depth + 1) for each in kind)
    if kind == "array":
        return f"{_type(schema.get('items'), root, depth + 1)}[]"
    if kind == "object" or "properties" in schema:
        inner = list(_properties(schema, root, depth + 1))
        return "\n".join(("{", *inner, "}")) if inner else "object"
    return _SIMPLE.get(kind, "any") if isinstance(kind, str) else "any"


def _referred(reference: JSON, root: JSONObject) -> JSON:
    found: JSON = root
    for step in reference.split("/")[1:] if isinstance(reference, str) else ():
        found = found.get(step) if isinstance(found, dict) else None
    return found


def _json(value: JSON) -> str:
    return json.dumps(value, ensure_ascii=False)
