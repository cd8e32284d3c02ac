"""Whether a JSON document fits a JSON Schema (draft 2020-12, with the older spellings that are still common).

A checker of our own, because a JSON Schema library would be one more dependency of every application. It reads every
keyword but `format` (an annotation, as the standard has it by default), `unevaluatedItems`, `unevaluatedProperties`,
`minContains`, `maxContains`, `dependentSchemas`, anchors, and references to other documents: what those demand is
taken as met.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable, Iterator, Mapping

    from aistrale.types import JSON, JSONObject

Problem: TypeAlias = tuple[str, str]
"""Where a document does not fit, as a path of names that the schema knows, and what is wrong; never a value."""

_MAX_HOPS: Final = 60
_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
TYPES: Final = frozenset(_KINDS)
MISSING: Final = object()
"""What `lookup` gives for a reference that leads nowhere."""


def lookup(root: JSONObject, reference: str) -> JSON | object:
    """What a local reference points to; `MISSING` where it points nowhere or into another document."""
    if not reference.startswith("#") or (reference != "#" and not reference.startswith("#/")):
        return MISSING
    found: JSON = root
    for step in reference[2:].split("/") if len(reference) > 2 else []:
        name = _unquoted(step).replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            return MISSING
    return found


def _unquoted(step: str) -> str:
    if "%" not in step:
        return step
    from urllib.parse import unquote

    return unquote(step)


def resolve(root: JSONObject, schema: JSON) -> JSON:
    """The schema at the end of a chain of local references; None where it ends nowhere."""
    for _ in range(_MAX_HOPS):
        reference = schema.get("$ref") if isinstance(schema, dict) else None
        if not isinstance(reference, str):
            return schema
        found = lookup(root, reference)
        if not isinstance(found, (dict, bool)):
            return None
        schema = found
    return None


def kinds_of(schema: JSONObject) -> list[str]:
    """The types that a schema names itself, without those it refers to."""
    kind = schema.get("type")
    return (
        [kind] if isinstance(kind, str) else [k for k in kind if isinstance(k, str)] if isinstance(kind, list) else []
    )


class Checker:
    """Checks documents against the schemas of one root.

    Args:
        root: Where local references start.
        absent_nulls: Take null for a property that is not required as if it were absent.
    """

    __slots__ = ("_absent_nulls", "_known", "_open", "_root")

    def __init__(self, root: JSONObject, *, absent_nulls: bool = False) -> None:
        self._root = root
        self._absent_nulls = absent_nulls
        # By identity; what it is of is kept with it, so that no other object can get the same identity.
        self._known: dict[tuple[int, int], tuple[bool, JSON, JSON]] = {}
        self._open: set[tuple[int, int]] = set()

    def fits(self, value: JSON, schema: JSON) -> bool:
        """Whether a value fits; remembered, so that nested unions cost no more than their parts."""
        if not isinstance(value, (dict, list)):
            return self._fits(value, schema)
        key = (id(value), id(schema))
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = (self._fits(value, schema), value, schema)
        return known[0]

    def _fits(self, value: JSON, schema: JSON) -> bool:
        problems = self.problems(value, schema, "")
        found = next(problems, None)
        problems.close()
        return found is None

    def problems(self, value: JSON, schema: JSON, path: str) -> Generator[Problem, None, None]:
        """Where a value does not fit."""
        if schema is False:
            yield path, "nothing is allowed here"
        if not isinstance(schema, dict):
            return
        key = (id(value), id(schema))
        if key in self._open:
            return  # a schema that refers to itself without a step into the document says nothing more
        self._open.add(key)
        try:
            yield from self._referred(value, schema, path)
            yield from self._itself(value, schema, path)
            yield from self._combined(value, schema, path)
            if isinstance(value, dict):
                yield from self._object(value, schema, path)
            elif isinstance(value, list):
                yield from self._array(value, schema, path)
        finally:
            self._open.discard(key)

    def _referred(self, value: JSON, schema: JSONObject, path: str) -> Iterator[Problem]:
        reference = schema.get("$ref")
        if isinstance(reference, str):
            found = lookup(self._root, reference)
            if isinstance(found, (dict, bool)):
                yield from self.problems(value, found, path)

    def _itself(self, value: JSON, schema: JSONObject, path: str) -> Iterator[Problem]:
        if "const" in schema and not same(value, schema["const"]):
            yield path, "not the constant"
        options = schema.get("enum")
        if isinstance(options, list) and not any(same(value, option) for option in options):
            yield path, "not one of the enumerated values"
        kinds = kinds_of(schema)
        if kinds and not any(is_kind(value, kind) for kind in kinds):
            yield path, f"not of type {' or '.join(kinds)}"
            return
        for keyword, limit in schema.items():
            check = _LIMITS.get(keyword)
            if check is not None and not check(value, limit):
                yield path, f"does not meet {keyword}"

    def _combined(self, value: JSON, schema: JSONObject, path: str) -> Iterator[Problem]:
        for keyword in ("anyOf", "oneOf"):
            branches = schema.get(keyword)
            if not isinstance(branches, list):
                continue
            count = sum(self.fits(value, branch) for branch in branches)
            if count == 0:
                yield path, "fits none of the alternatives"
            elif count > 1 and keyword == "oneOf":
                yield path, "fits more than one of the alternatives"
        branches = schema.get("allOf")
        for branch in branches if isinstance(branches, list) else []:
            yield from self.problems(value, branch, path)
        if "not" in schema and self.fits(value, schema["not"]):
            yield path, "does not meet not"
        if "if" in schema:
            branch = schema.get("then" if self.fits(value, schema["if"]) else "else")
            yield from self.problems(value, branch, path)

    def _array(self, value: list[JSON], schema: JSONObject, path: str) -> Iterator[Problem]:
        prefix, rest = items_of(schema)
        for index, item in enumerate(value):
            yield from self.problems(item, prefix[index] if index < len(prefix) else rest, f"{path}[{index}]")
        if "contains" in schema and not any(self.fits(item, schema["contains"]) for item in value):
            yield path, "does not meet contains"

    def _object(self, value: JSONObject, schema: JSONObject, path: str) -> Iterator[Problem]:
        properties = properties_of(schema)
        required = required_of(schema)
        for name in required:
            if name not in value:
                yield f"{path}.{name}", "missing"
        for name, item in value.items():
            if item is None and self._absent_nulls and name not in required and name in properties:
                continue
            if name in properties:
                yield from self.problems(item, properties[name], f"{path}.{name}")
            yield from self._pattern_or_further(name, item, schema, path)
        dependent = schema.get("dependentRequired")
        for name, others in dependent.items() if isinstance(dependent, dict) else ():
            for other in others if name in value and isinstance(others, list) else ():
                if other not in value:
                    yield f"{path}.{other}", "missing"

    def _pattern_or_further(self, name: str, item: JSON, schema: JSONObject, path: str) -> Iterator[Problem]:
        """Properties without an own schema; their names are the document's, so the path does not show them."""
        matched = name in properties_of(schema)
        patterns = schema.get("patternProperties")
        for pattern, inner in patterns.items() if isinstance(patterns, dict) else ():
            if _matches(name, pattern):
                matched = True
                yield from self.problems(item, inner, f"{path}.*")
        if not matched and schema.get("additionalProperties") is False:
            yield path, "has a property that the schema does not allow"
        elif not matched:
            yield from self.problems(item, schema.get("additionalProperties"), f"{path}.*")
        if "propertyNames" in schema and not self.fits(name, schema["propertyNames"]):
            yield path, "does not meet propertyNames"


def properties_of(schema: JSONObject) -> JSONObject:
    """The properties that a schema describes by name."""
    properties = schema.get("properties")
    return properties if isinstance(properties, dict) else {}


def required_of(schema: JSONObject) -> list[str]:
    """The properties that a schema requires."""
    required = schema.get("required")
    return [name for name in required if isinstance(name, str)] if isinstance(required, list) else []


def items_of(schema: JSONObject) -> tuple[list[JSON], JSON]:
    """The schemas of the first items, one each, and that of all further ones (None where there is none)."""
    items, prefix = schema.get("items"), schema.get("prefixItems")
    if isinstance(items, list):  # drafts before 2020-12
        return items, schema.get("additionalItems")
    return (prefix if isinstance(prefix, list) else []), items


def is_kind(value: JSON, kind: str) -> bool:
    """Whether a value is of a JSON type; a number without a fraction is an integer. Unknown types fit all."""
    types = _KINDS.get(kind)
    if types is None:
        return True
    if isinstance(value, bool):
        return bool in types
    return isinstance(value, types) or (kind == "integer" and isinstance(value, float) and value.is_integer())


def same(one: JSON, other: JSON) -> bool:
    """Equality of JSON: true is not 1, but 1 is 1.0."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(item, other[name]) for name, item in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def _matches(text: str, pattern: JSON) -> bool:
    try:
        return not isinstance(pattern, str) or re.search(pattern, text) is not None
    except (re.error, RecursionError):
        return True  # written for another language's expressions


def _is_multiple(value: JSON, step: JSON) -> bool:
    if not _number(value) or not _number(step) or not step:
        return True
    try:
        return Decimal(str(value)) % Decimal(str(step)) == 0
    except InvalidOperation:
        return True  # more digits than either of them was written with


def _number(value: JSON) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_unique(value: JSON, wanted: JSON) -> bool:
    if wanted is not True or not isinstance(value, list):
        return True
    return len({_identity(item) for item in value}) == len(value)


def _identity(value: JSON) -> Hashable:
    """Equal for two values exactly when `same` says so."""
    if isinstance(value, dict):
        return "object", frozenset((name, _identity(item)) for name, item in value.items())
    if isinstance(value, list):
        return "array", tuple(map(_identity, value))
    return ("boolean", value) if isinstance(value, bool) else value


def _bound(compare: Callable[[float, float], bool]) -> Callable[[JSON, JSON], bool]:
    def check(value: JSON, limit: JSON) -> bool:
        if not isinstance(value, (int, float)) or not isinstance(limit, (int, float)):
            return True
        return isinstance(value, bool) or isinstance(limit, bool) or compare(value, limit)

    return check


def _length(kind: type, compare: Callable[[int, float], bool]) -> Callable[[JSON, JSON], bool]:
    def check(value: JSON, limit: JSON) -> bool:
        if not isinstance(value, (str, list, dict)) or not isinstance(value, kind):
            return True
        return not isinstance(limit, (int, float)) or compare(len(value), limit)

    return check


_LIMITS: Final[Mapping[str, Callable[[JSON, JSON], bool]]] = {
    "minimum": _bound(lambda value, limit: value >= limit),
    "maximum": _bound(lambda value, limit: value <= limit),
    "exclusiveMinimum": _bound(lambda value, limit: value > limit),
    "exclusiveMaximum": _bound(lambda value, limit: value < limit),
    "multipleOf": _is_multiple,
    "minLength": _length(str, lambda size, limit: size >= limit),
    "maxLength": _length(str, lambda size, limit: size <= limit),
    "pattern": lambda value, pattern: not isinstance(value, str) or _matches(value, pattern),
    "minItems": _length(list, lambda size, limit: size >= limit),
    "maxItems": _length(list, lambda size, limit: size <= limit),
    "uniqueItems": _is_unique,
    "minProperties": _length(dict, lambda size, limit: size >= limit),
    "maxProperties": _length(dict, lambda size, limit: size <= limit),
}
