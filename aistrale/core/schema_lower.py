"""One JSON Schema rewritten into what a provider enforces; `aistrale.core.schema` is the way in."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aistrale.core.schema_check import (
    MISSING,
    TYPES,
    is_kind,
    kinds_of,
    lookup,
    properties_of,
    required_of,
    resolve,
    same,
)
from aistrale.core.schema_merge import SHAPES, flat
from aistrale.core.schema_subset import Inexpressible, Subset

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aistrale.types import JSON, JSONObject

_MAX_DEPTH: Final = 60
_MAX_HOPS: Final = 8
# Says nothing to a model, or nothing that would survive: an absent property gets its default from the caller's type.
_DROPPED: Final = frozenset(
    {"$schema", "$comment", "$id", "$anchor", "$defs", "definitions", "default", "discriminator", "required",
     "additionalItems"}
)  # fmt: skip
_ONLY_FOR: Final[Mapping[str, str]] = {
    **dict.fromkeys(("properties", "required", "additionalProperties", "propertyOrdering"), "object"),
    **dict.fromkeys(("items", "prefixItems", "minItems", "maxItems"), "array"),
    **dict.fromkeys(("pattern", "format"), "string"),
}


@dataclass(slots=True)
class _Node:
    """One schema on its way: what was written, what is kept, and what moves into the description."""

    body: JSONObject
    path: str
    depth: int
    kept: JSONObject = field(default_factory=dict)
    moved: JSONObject = field(default_factory=dict)
    null: bool = False
    """Null fits too, which the kept keywords do not say yet."""


class Lowering:
    """Rewrites one schema; `notes` and `nulls` tell afterwards what happened."""

    def __init__(self, subset: Subset, root: JSONObject) -> None:
        self.notes: list[str] = []
        self.nulls = False
        self._subset = subset
        self._root = root
        self._names: dict[str, str] = {}
        self._waiting: list[tuple[str, JSON]] = []
        self._keywords: Mapping[str, Callable[[str, JSON, _Node], None]] = {
            "properties": self._properties,
            "items": self._items,
            "prefixItems": self._prefix,
            "anyOf": self._union,
            "oneOf": self._union,
            "enum": self._enum,
            "const": self._const,
            "type": self._type,
            "additionalProperties": self._further,
        }

    def run(self) -> tuple[JSONObject, JSONObject]:
        """The root's new body, and the definitions that it refers to."""
        root: JSONObject = self._root
        for _ in range(_MAX_HOPS):
            # A root that only refers is written out: providers want to see the root's own type.
            found = lookup(self._root, str(root["$ref"])) if "$ref" in root else MISSING
            if not isinstance(found, dict):
                break
            root = {**found, **{key: value for key, value in root.items() if key != "$ref"}}
        body = self._lower(root, "schema", 0)
        definitions: JSONObject = {}
        while self._waiting:
            name, schema = self._waiting.pop()
            definitions[name] = self._lower(schema, f"schema.$defs.{name}", 0)
        for name, schema in definitions.items():
            if resolve({"$defs": definitions}, schema) is None:
                raise Inexpressible(f"schema.$defs.{name}", "its references lead in a circle")
        if not self._subset.recursive:
            _refuse_cycles(definitions)
        return body, definitions

    def _lower(self, schema: JSON, path: str, depth: int) -> JSONObject:
        if schema is True or schema == {}:
            if self._subset.closed:
                raise Inexpressible(path, "a schema without a type allows anything")
            return {}
        if not isinstance(schema, dict):
            raise Inexpressible(path, "it is no schema that a value could fit")
        if depth > _MAX_DEPTH:
            raise Inexpressible(path, f"schemas are nested more than {_MAX_DEPTH} deep")
        body = flat(self._root, schema, path)
        for _ in range(_MAX_HOPS):
            if "$ref" not in body:
                break
            if not SHAPES & body.keys():
                return self._reference(body, path)
            reference = body.pop("$ref")
            body = flat(self._root, {**body, "allOf": [{"$ref": reference}]}, path)
        if "$ref" in body:
            raise Inexpressible(path, "its references lead in a circle")
        node = _Node(body, path, depth)
        for key, value in body.items():
            if key not in _DROPPED:
                self._keywords.get(key, self._other)(key, value, node)
        return self._finish(node)

    # --- keywords ---

    def _other(self, key: str, value: JSON, node: _Node) -> None:
        known = key in self._subset.keywords or key in {"description", "title"}
        if key == "format" and self._subset.formats is not None:
            known = value in self._subset.formats
        elif key == "minItems" and self._subset.min_items is not None:
            known = isinstance(value, int) and value <= self._subset.min_items
        elif key in {"exclusiveMinimum", "exclusiveMaximum"} and isinstance(value, bool):
            known = False  # draft 4 wrote flags
        (node.kept if known else node.moved)[key] = value

    def _properties(self, key: str, value: JSON, node: _Node) -> None:
        if isinstance(value, dict):
            node.kept[key] = {
                name: self._lower(item, f"{node.path}.{name}", node.depth + 1) for name, item in value.items()
            }

    def _items(self, key: str, value: JSON, node: _Node) -> None:
        if isinstance(value, list):
            self._prefix("prefixItems", value, node)
        elif "prefixItems" in node.body and "prefixItems" not in self._subset.keywords:
            return  # the branches of `_prefix` hold it
        elif not isinstance(value, bool) or self._subset.closed:
            node.kept[key] = self._lower(value, f"{node.path}[]", node.depth + 1)

    def _prefix(self, key: str, value: JSON, node: _Node) -> None:
        if not isinstance(value, list):
            return
        lowered = [self._lower(item, f"{node.path}[{at}]", node.depth + 1) for at, item in enumerate(value)]
        if key in self._subset.keywords:
            node.kept[key] = [*lowered]
            return
        further = node.body.get("items" if key in node.body else "additionalItems")
        if isinstance(further, dict):
            lowered.append(self._lower(further, f"{node.path}[]", node.depth + 1))
        branches: list[JSON] = []
        branches += [item for at, item in enumerate(lowered) if not any(same(item, seen) for seen in lowered[:at])]
        node.kept["items"] = {"anyOf": branches} if len(branches) != 1 else branches[0]
        node.moved[key] = value

    def _union(self, key: str, value: JSON, node: _Node) -> None:
        name = key if key in self._subset.keywords else "anyOf"
        if not isinstance(value, list) or not value:
            raise Inexpressible(node.path, f"{key} has no alternatives")
        if name in node.kept or (self._subset.closed and "properties" in node.body):
            node.moved[key] = value  # two closed demands on one value: the stricter half stays
            return
        kind = node.body.get("type")
        branches: list[JSON] = []
        for at, item in enumerate(value):
            if kind is not None and isinstance(item, dict) and not item.keys() & (SHAPES - {"required"} | {"$ref"}):
                item = {"type": kind, **item}  # noqa: PLW2901 - what stands beside the union holds for every branch
            branches.append(self._lower(item, f"{node.path}.{key}[{at}]", node.depth + 1))
        node.kept[name] = branches

    def _enum(self, key: str, value: JSON, node: _Node) -> None:
        if not isinstance(value, list) or not value:
            raise Inexpressible(node.path, f"{key} has no values")
        if any(isinstance(item, (dict, list)) for item in value):
            if self._subset.closed:
                raise Inexpressible(node.path, f"{key} holds objects or arrays")
            node.moved[key] = value
            return
        if not self._subset.plain_enums:
            node.kept[key] = value
            return
        plain: list[JSON] = [item for item in value if item is not None]
        node.null = len(plain) < len(value)
        if plain and not any(isinstance(item, bool) for item in plain):
            node.kept[key] = plain
        elif plain:
            node.moved[key] = plain
            node.kept["type"] = _type_of(plain)
        else:
            node.null, node.kept["type"] = False, "null"

    def _const(self, key: str, value: JSON, node: _Node) -> None:
        if key in self._subset.keywords and not isinstance(value, (dict, list)):
            node.kept[key] = value
        else:
            self._enum("enum", [value], node)

    def _type(self, key: str, value: JSON, node: _Node) -> None:
        kinds = kinds_of(node.body)
        if not kinds or not TYPES.issuperset(kinds):
            raise Inexpressible(node.path, f"type names none of {', '.join(sorted(TYPES))}")
        node.kept[key] = kinds[0] if len(kinds) == 1 else [*kinds]

    def _further(self, key: str, value: JSON, node: _Node) -> None:
        if not self._subset.closed:
            further = isinstance(value, dict) and value != {}
            node.kept[key] = self._lower(value, f"{node.path}.*", node.depth + 1) if further else value is not False
        elif isinstance(value, dict) or value is True:
            raise Inexpressible(node.path, "further properties of an object cannot be enforced")

    # --- the finished schema ---

    def _finish(self, node: _Node) -> JSONObject:
        kept = node.kept
        if ("anyOf" in kept or "oneOf" in kept) and self._subset.closed:
            kept.pop("type", None)
        kinds = self._kinds(kept, node.path)
        if "object" in kinds:
            self._close(node)
        elif required_of(node.body):
            node.moved["required"] = node.body["required"]
        if "array" in kinds and "items" not in kept and "prefixItems" not in kept and self._subset.closed:
            raise Inexpressible(node.path, "an array of anything cannot be enforced")
        describe(kept, node.moved)
        self.notes += [f"{node.path}.{key}" for key in node.moved]
        if len(kinds) > 1 and not self._subset.type_lists:
            kept = _one_of_kinds(kept, kinds)
        return nullable(kept) if node.null else kept

    def _kinds(self, kept: JSONObject, path: str) -> list[str]:
        """The types of a value; written down where only other keywords tell them."""
        kinds = kinds_of(kept)
        if kinds or "anyOf" in kept or "oneOf" in kept:
            return kinds
        values = kept.get("enum", [kept["const"]] if "const" in kept else None)
        if "properties" in kept:
            kept["type"] = "object"
        elif "items" in kept or "prefixItems" in kept:
            kept["type"] = "array"
        elif isinstance(values, list):
            if self._subset.typed_enums:
                kept["type"] = _type_of(values)
            return []
        elif self._subset.closed:
            raise Inexpressible(path, "a schema without a type allows anything")
        return kinds_of(kept)

    def _close(self, node: _Node) -> None:
        properties, required = properties_of(node.kept), required_of(node.body)
        if not self._subset.closed:
            if required:
                node.kept["required"] = [*required]
            return
        if not properties and "properties" not in node.body and node.body.get("additionalProperties") is not False:
            raise Inexpressible(node.path, "an object of any properties cannot be enforced")
        if "patternProperties" in node.body:
            raise Inexpressible(node.path, "further properties of an object cannot be enforced")
        for name in required:
            if name not in properties:
                raise Inexpressible(f"{node.path}.{name}", "a required property has no schema")
        if self._subset.all_required:
            for name, item in properties.items():
                if name not in required and isinstance(item, dict):
                    properties[name] = nullable(item)
                    self.nulls = True
            required = list(properties)
        node.kept.update({"properties": properties, "additionalProperties": False})
        if required or self._subset.all_required:
            node.kept["required"] = [*required]

    # --- references and intersections ---

    def _reference(self, body: JSONObject, path: str) -> JSONObject:
        reference = str(body["$ref"])
        name = self._names.get(reference)
        if name is None:
            found = lookup(self._root, reference)
            if not isinstance(found, (dict, bool)):
                raise Inexpressible(path, "$ref leads to no schema of this document")
            name = self._names[reference] = self._new_name(reference)
            self._waiting.append((name, found))
        target: JSONObject = {"$ref": f"#/$defs/{name}"}
        beside = {key: value for key, value in body.items() if key not in _DROPPED | {"$ref", "title"}}
        if not beside:
            return target
        # OpenAI and Gemini refuse keywords beside a `$ref`; a union of one says the same.
        union: JSONObject = {"anyOf": [target]}
        if "description" in beside:
            union["description"] = beside.pop("description")
        describe(union, beside)
        self.notes += [f"{path}.{key}" for key in beside]
        return union

    def _new_name(self, reference: str) -> str:
        base = re.sub(r"[^A-Za-z0-9_-]", "_", reference.rpartition("/")[2].strip("#")) or "root"
        taken = set(self._names.values())
        return next(name for name in (base, *(f"{base}_{at}" for at in range(2, len(taken) + 3))) if name not in taken)


def _refuse_cycles(definitions: JSONObject) -> None:
    targets = {name: _targets(schema) for name, schema in definitions.items()}
    for name in definitions:
        waiting, seen = [*targets[name]], set[str]()
        while waiting:
            target = waiting.pop()
            if target == name:
                raise Inexpressible(f"schema.$defs.{name}", "a schema that refers to itself cannot be enforced")
            if target not in seen:
                seen.add(target)
                waiting += targets.get(target, ())


def _targets(schema: JSON) -> set[str]:
    if isinstance(schema, list):
        return {name for item in schema for name in _targets(item)}
    if not isinstance(schema, dict):
        return set()
    own = {str(schema["$ref"]).rpartition("/")[2]} if isinstance(schema.get("$ref"), str) else set[str]()
    return own.union(*(_targets(item) for item in schema.values()))


def describe(kept: JSONObject, moved: JSONObject) -> None:
    """Say in the description what no keyword may say."""
    if moved:
        said = ", ".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in moved.items())
        text = kept.get("description")
        kept["description"] = f"{text} ({said})" if text else f"({said})"


def nullable(schema: JSONObject) -> JSONObject:
    """The schema with null as a further value."""
    kinds = kinds_of(schema)
    if kinds and "enum" not in schema and "const" not in schema:
        return schema if "null" in kinds else {**schema, "type": [*kinds, "null"]}
    null: JSONObject = {"type": "null"}
    branches = schema.get("anyOf")
    if isinstance(branches, list):
        return schema if null in branches else {**schema, "anyOf": [*branches, null]}
    return {"anyOf": [schema, null]}


def _one_of_kinds(schema: JSONObject, kinds: list[str]) -> JSONObject:
    """A list of types as alternatives of one type each."""
    if "enum" in schema or "const" in schema:
        return {key: value for key, value in schema.items() if key != "type"}
    about = {key: value for key, value in schema.items() if key in {"title", "description"}}
    branches: list[JSON] = []
    for kind in kinds:
        inner = {key: value for key, value in schema.items() if key not in about and _ONLY_FOR.get(key, kind) == kind}
        branches.append({**inner, "type": kind})
    return {"anyOf": branches, **about}


def _type_of(values: list[JSON]) -> JSON:
    """The `type` that plain values have."""
    order = ("boolean", "integer", "number", "string", "null")
    kinds = list(dict.fromkeys(next(kind for kind in order if is_kind(value, kind)) for value in values))
    return kinds[0] if len(kinds) == 1 else [*kinds]
