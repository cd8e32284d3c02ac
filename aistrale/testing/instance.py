"""Small documents that fit a JSON Schema: what a simulated model answers where a schema is asked for."""

from __future__ import annotations

import json
import math
import re
from re import _parser  # type: ignore[attr-defined]  # the only reader of regular expressions that Python brings
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.types import JSON, JSONObject

_MAX_DEPTH: Final = 12
# Beyond this depth optional branches are cut, so that recursive schemas come to an end.
_SHALLOW: Final = 6
_MAX_ITEMS: Final = 1000
# How often what a pattern may repeat is repeated, until the whole is found: what looks ahead may ask for more.
_REPETITIONS: Final = (0, 1, 2, 3, 5, 8, 13, 21, 34)
_FORMATS: Final = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "P1D",
    "email": "someone@example.org",
    "idn-email": "someone@example.org",
    "hostname": "example.org",
    "idn-hostname": "example.org",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "uri": "https://example.org/",
    "url": "https://example.org/",
    "iri": "https://example.org/",
    "uri-reference": "/",
    "iri-reference": "/",
    "json-pointer": "/",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "binary": "dGV4dA==",
    "byte": "dGV4dA==",
}
_LIMITED: Final = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf")


def instance(schema: JSONObject | bool, root: JSONObject | None = None, depth: int = 0) -> JSON:  # noqa: FBT001
    """A small document that fits a JSON Schema: required properties only, first alternatives, least values.

    A pure function of the schema. What cannot be satisfied (contradictions, recursion without an end) gives a document
    that comes close, never an error.

    Args:
        schema: The schema; true and false are schemas too.
        root: What `$ref` looks into; the schema itself by default.
        depth: How deep the document is already.
    """
    if not isinstance(schema, dict):
        return "text"
    root = schema if root is None else root
    if depth > _MAX_DEPTH:
        return None
    reference = schema.get("$ref")
    if isinstance(reference, str):
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        return instance({**_resolve(root, reference), **beside}, root, depth + 1)
    if "const" in schema:
        return schema["const"]
    options = schema.get("enum")
    if isinstance(options, list) and options:
        return options[0]
    return _branch(schema, root, depth)


def _branch(schema: JSONObject, root: JSONObject, depth: int) -> JSON:
    rest = {key: value for key, value in schema.items() if key not in {"anyOf", "oneOf", "allOf"}}
    merged = schema.get("allOf")
    if isinstance(merged, list):
        for item in merged:
            rest = _both(rest, _flat(item, root))
    for key in ("anyOf", "oneOf"):
        branches = schema.get(key)
        if isinstance(branches, list) and branches:
            chosen = _choose([_flat(item, root) for item in branches], depth)
            return instance(_both(rest, chosen), root, depth + 1)
    return instance(rest, root, depth + 1) if "allOf" in schema else _typed(rest, root, depth)


def _choose(branches: list[JSONObject], depth: int) -> JSONObject:
    """The first alternative that is not null; deep down the null, where there is one, or one that nests nothing."""
    plain = [item for item in branches if item.get("type") in {"string", "integer", "number", "boolean"}]
    solid = [item for item in branches if item.get("type") != "null"]
    if depth <= _SHALLOW:
        return (solid or branches)[0]
    null = [item for item in branches if item.get("type") == "null"]
    return (null or plain or branches)[0]


def _flat(schema: JSON, root: JSONObject) -> JSONObject:
    """A subschema with its reference followed, so that schemas can be laid over each other."""
    found = _as_schema(schema)
    for _ in range(_MAX_DEPTH):
        reference = found.get("$ref")
        if not isinstance(reference, str):
            break
        found = {**_resolve(root, reference), **{key: value for key, value in found.items() if key != "$ref"}}
    return found


def _both(one: JSONObject, other: JSONObject) -> JSONObject:
    """What fits both, as far as objects are concerned; elsewhere the second one counts."""
    merged = {**one, **other}
    for key in ("properties", "$defs"):
        first, second = one.get(key), other.get(key)
        if isinstance(first, dict) and isinstance(second, dict):
            merged[key] = {**first, **second}
    first, second = one.get("required"), other.get("required")
    if isinstance(first, list) and isinstance(second, list):
        merged["required"] = [*first, *(name for name in second if name not in first)]
    return merged


def _typed(schema: JSONObject, root: JSONObject, depth: int) -> JSON:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((item for item in kind if item != "null"), "null")
    kind = kind.lower() if isinstance(kind, str) else _guessed(schema)
    if kind == "object":
        return _object(schema, root, depth)
    if kind == "array":
        return _array(schema, root, depth)
    if kind in {"integer", "number"}:
        return _number(schema, whole=kind == "integer")
    if kind == "boolean":
        return True
    return None if kind == "null" else _string(schema)


def _guessed(schema: JSONObject) -> str:
    if any(key in schema for key in ("properties", "additionalProperties", "required", "minProperties")):
        return "object"
    if any(key in schema for key in ("items", "prefixItems", "minItems", "maxItems")):
        return "array"
    return "number" if any(key in schema for key in _LIMITED) else "string"


def _object(schema: JSONObject, root: JSONObject, depth: int) -> JSONObject:
    properties = _as_schema(schema.get("properties"))
    required = schema.get("required")
    if isinstance(required, list):
        names = [name for name in properties if name in required]
        names += [name for name in required if isinstance(name, str) and name not in properties]
    else:
        names = list(properties) if depth < _SHALLOW else []
    document = {name: instance(_as_schema(properties.get(name)), root, depth + 1) for name in names}
    least = schema.get("minProperties")
    spare: Iterable[str] = [*properties, *(f"key{number}" for number in range(1, _MAX_ITEMS))]
    for name in spare:
        if not isinstance(least, int) or len(document) >= least:
            break
        value = properties.get(name, schema.get("additionalProperties"))
        document.setdefault(name, instance(_as_schema(value), root, depth + 1))
    return document


def _array(schema: JSONObject, root: JSONObject, depth: int) -> list[JSON]:
    least, most = schema.get("minItems"), schema.get("maxItems")
    first = schema.get("prefixItems")
    heads = first if isinstance(first, list) else []
    count = least if isinstance(least, int) else max(len(heads), 1) if depth < _SHALLOW else 0
    if isinstance(most, int):
        count = min(count, most)
    count = min(count, _MAX_ITEMS)
    items: list[JSON] = [instance(_as_schema(head), root, depth + 1) for head in heads[:count]]
    each = _as_schema(schema.get("items"))
    while len(items) < count:
        item = instance(each, root, depth + 1)
        items.append(_another(item, each, items) if schema.get("uniqueItems") is True else item)
    return items


def _another(item: JSON, schema: JSONObject, items: list[JSON]) -> JSON:
    """A value that the list does not have yet, where one is easy to find."""
    options = schema.get("enum")
    if isinstance(options, list):
        return next((option for option in options if option not in items), item)
    if isinstance(item, str):
        return f"{item}{len(items) + 1}" if items else item
    if isinstance(item, (int, float)) and not isinstance(item, bool):
        step = schema.get("multipleOf")
        return item + len(items) * (step if isinstance(step, (int, float)) else 1)
    return item


def _number(schema: JSONObject, *, whole: bool) -> float:
    limits = {name: value for name in _LIMITED if (value := _limit(schema.get(name))) is not None}
    # Draft 4 and OpenAPI 3.0 write the exclusive bounds as flags of the others.
    if schema.get("exclusiveMinimum") is True and "minimum" in limits:
        limits["exclusiveMinimum"] = limits.pop("minimum")
    if schema.get("exclusiveMaximum") is True and "maximum" in limits:
        limits["exclusiveMaximum"] = limits.pop("maximum")
    step = limits.get("multipleOf", 1)
    low, above = limits.get("minimum", -math.inf), limits.get("exclusiveMinimum", -math.inf)
    high, below = limits.get("maximum", math.inf), limits.get("exclusiveMaximum", math.inf)
    value = 1 if step == 1 else step
    if value < low or value <= above:
        value = math.ceil(low / step) * step if low > above else (math.floor(above / step) + 1) * step
    if value > high or value >= below:
        value = math.floor(high / step) * step if high < below else (math.ceil(below / step) - 1) * step
    if (value < low or value <= above) and not whole:
        # No multiple of one lies between; any number in the middle will do.
        value = (max(low, above) + min(high, below)) / 2
    return int(value) if whole or value == int(value) else value


def _limit(value: JSON) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _string(schema: JSONObject) -> str:
    pattern, form = schema.get("pattern"), schema.get("format")
    text = _FORMATS.get(form, "text") if isinstance(form, str) else "text"
    least, most = schema.get("minLength"), schema.get("maxLength")
    if isinstance(pattern, str):
        return _matching(pattern, text, least if isinstance(least, int) else 0)
    if isinstance(least, int):
        text = text.ljust(min(least, 1_000_000), "x")
    return text[:most] if isinstance(most, int) else text


def _matching(pattern: str, text: str, least: int) -> str:
    """A text that the pattern finds: the usual one if it does, else one written along the pattern."""
    try:
        if re.search(pattern, text) and len(text) >= least:
            return text
        for count in _REPETITIONS:
            written = _write(_parser.parse(pattern), count)
            if re.search(pattern, written) and len(written) >= least:
                return written
        return _write(_parser.parse(pattern), max(least, 1))
    except (re.error, RecursionError, OverflowError):
        return text


def _write(parsed: Iterable[tuple[object, object]], count: int) -> str:
    """A text along a parsed pattern, with `count` repetitions where the pattern leaves that open."""
    written = ""
    for code, value in parsed:
        match str(code), value:
            case ("LITERAL", int()):
                written += chr(value)
            case ("NOT_LITERAL", int()):
                written += "b" if value == ord("a") else "a"
            case ("ANY", _):
                written += "x"
            case ("IN", list()):
                written += _one_of(value)
            case (("MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT"), (int() as low, high, inner)):
                times = min(max(count, low), int(cast("int", high)), _MAX_ITEMS)
                repeated = _write(cast("Iterable[tuple[object, object]]", inner), count)
                written += repeated * times
            case ("SUBPATTERN", tuple()):
                written += _write(value[-1], count)
            case ("ATOMIC_GROUP", inner):
                written += _write(cast("Iterable[tuple[object, object]]", inner), count)
            case ("BRANCH", (_, list() as branches)):
                written += _write(branches[0], count)
            case _:  # anchors and looks around add nothing; a reference back is beyond this
                pass
    return written


_CATEGORIES: Final = {
    "CATEGORY_DIGIT": "1",
    "CATEGORY_WORD": "a",
    "CATEGORY_SPACE": " ",
    "CATEGORY_NOT_DIGIT": "a",
    "CATEGORY_NOT_WORD": "-",
    "CATEGORY_NOT_SPACE": "a",
}
_TRIED: Final = "a1A -_.,:/@" + "".join(map(chr, range(33, 127)))


def _one_of(members: list[tuple[object, object]]) -> str:
    """A character of a class."""
    if members and str(members[0][0]) == "NEGATE":
        return next((sign for sign in _TRIED if not any(_in(sign, member) for member in members[1:])), "\N{EN DASH}")
    code, value = members[0]
    if str(code) == "CATEGORY":
        return _CATEGORIES.get(str(value), "a")
    return chr(value[0]) if isinstance(value, tuple) else chr(cast("int", value))


def _in(sign: str, member: tuple[object, object]) -> bool:
    code, value = member
    match str(code), value:
        case ("LITERAL", int()):
            return sign == chr(value)
        case ("RANGE", (int() as low, int() as high)):
            return low <= ord(sign) <= high
        case ("CATEGORY", _):
            name = str(value)
            tests = {"DIGIT": sign.isdigit(), "WORD": sign.isalnum() or sign == "_", "SPACE": sign.isspace()}
            return tests[name.rpartition("_")[2]] is not name.startswith("CATEGORY_NOT")
    return False


def _as_schema(value: JSON) -> JSONObject:
    return value if isinstance(value, dict) else {}


def _resolve(root: JSONObject, reference: str) -> JSONObject:
    value: JSON = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        if not step:
            continue
        value = value.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(value, dict) else None
    return _as_schema(value)


def described(text: str) -> JSONObject | None:
    """A schema that instructions ask for in words (after "JSON Schema:"), where a model cannot enforce one."""
    _, found, rest = text.partition("JSON Schema:")
    if not found:
        return None
    try:
        schema, _ = json.JSONDecoder().raw_decode(rest.strip())
    except ValueError:
        return None
    return _as_schema(schema)
