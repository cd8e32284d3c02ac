from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, RootModel, TypeAdapter, create_model

from aistrale.core.schema import as_object_schema, lower_schema, restore
from aistrale.core.schema_check import Checker, kinds_of, lookup
from aistrale.core.schema_subset import SUBSETS, Inexpressible


class Bounded(BaseModel):
    a: int = Field(ge=3, description="A number.")


class Inner(BaseModel):
    a: int
    note: str | None = None
    tags: list[str] = []


class Tree(BaseModel):
    label: str
    children: list[Tree] = []


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int | None


class Dog(BaseModel):
    kind: Literal["dog"]
    lives: int = 3


class Zoo(BaseModel):
    star: Inner = Field(description="The one on the poster.")
    pets: list[Cat | Dog]
    chosen: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    pair: tuple[int, Inner] | None = None


class Outer(BaseModel):
    name: str = Field(min_length=2, pattern="^[A-Z]")
    kind: Literal["big", "small", 3] | None = "big"
    inner: Inner | None = None
    pair: tuple[int, str] = (1, "a")
    count: int = 5


@dataclass
class Plain:
    x: float
    y: Literal[True] = True


PLAIN = [
    Inner, Zoo, Outer, Plain, Bounded, list[int], list[Inner], int | str, Literal["a", "b"], RootModel[list[Inner]],
    int, bool | None, tuple[int, str], Cat | Dog, list[tuple[int, ...]],
]  # fmt: skip
TYPES = [*PLAIN, Tree]
PROVIDERS = [*SUBSETS, "huggingface", "local"]


def walk(schema):
    """Every schema within a schema; names of properties are no keywords."""
    if not isinstance(schema, dict):
        return
    yield schema
    for key, value in schema.items():
        if key in {"properties", "$defs"}:
            for inner in value.values():
                yield from walk(inner)
        elif key in {"anyOf", "oneOf", "prefixItems"}:
            for inner in value:
                yield from walk(inner)
        elif key in {"items", "additionalProperties"}:
            yield from walk(value)


SCALARS = {
    "string": st.sampled_from(["Abc", "X", ""]),
    "integer": st.integers(-5, 9),
    "number": st.floats(-2, 2),
    "boolean": st.booleans(),
    "null": st.none(),
}


@st.composite
def documents(draw, schema, root=None, depth=0):
    """What a provider that enforces this schema may answer: it looks at what it was sent and at nothing else."""
    root = schema if root is None else root
    if "$ref" in schema:
        return draw(documents(lookup(root, schema["$ref"]), root, depth + 1))
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return draw(st.sampled_from(schema["enum"]))
    for key in ("anyOf", "oneOf"):
        if key in schema:
            branches = [item for item in schema[key] if depth < 6 or item == {"type": "null"}] or schema[key][-1:]
            return draw(documents(draw(st.sampled_from(branches)), root, depth + 1))
    kinds = kinds_of(schema) or ["string"]
    kind = draw(st.sampled_from(kinds))
    if kind == "object":
        required = schema.get("required", [])
        names = [name for name in schema.get("properties", {}) if name in required or draw(st.booleans())]
        return {name: draw(documents(schema["properties"][name], root, depth + 1)) for name in names}
    if kind == "array":
        prefix = schema.get("prefixItems", [])
        least, most = schema.get("minItems", 0), schema.get("maxItems", 2 if depth < 4 else 0)
        count = max(draw(st.integers(least, max(least, most))), len(prefix))
        each = [prefix[at] if at < len(prefix) else schema.get("items", {"type": "null"}) for at in range(count)]
        return [draw(documents(item, root, depth + 1)) for item in each]
    return draw(SCALARS[kind])


def expected(provider):
    return [kind for kind in TYPES if kind is not Tree or provider != "anthropic"]


CASES = [(provider, kind) for provider in PROVIDERS for kind in expected(provider)]


@pytest.mark.parametrize(("provider", "kind"), CASES, ids=str)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_whatever_is_enforced_fits_the_type_as_far_as_it_could_be_said(provider, kind, data):
    schema = TypeAdapter(kind).json_schema()
    lowered = lower_schema(schema, provider)
    document = json.loads(json.dumps(data.draw(documents(lowered.schema))))
    found = list(Checker(schema).problems(restore(document, lowered), schema, "output"))
    # What could only be described may be wrong; all that the types themselves say must hold.
    weak = ("does not meet", "fits more than one", "not the constant" if provider == "gemini" else "does not meet")
    if provider != "anthropic" and "prefixItems" not in str(lowered.notes):
        assert [problem for problem in found if not problem[1].startswith(weak)] == []
    elif not lowered.notes:
        assert found == []


@pytest.mark.parametrize("provider", ["strict"])
@pytest.mark.parametrize("kind", TYPES, ids=str)
@given(data=st.data())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_valid_documents_survive_the_way_there_and_back(provider, kind, data):
    """Every valid document has a form in the lowered schema, with null for absent, and comes back as it was."""
    schema = TypeAdapter(kind).json_schema()
    lowered = lower_schema(schema, provider)
    document = restore(data.draw(documents(lowered.schema)), lowered)
    assume(Checker(schema).fits(document, schema))
    padded = pad(document, schema, schema)
    sent = {"value": padded} if lowered.wrapped else padded
    assert restore(sent, lowered) == document


def pad(value, schema, root):
    """Null for every property that is absent, as a model has to write it."""
    while "$ref" in schema:
        schema = {**lookup(root, schema["$ref"]), **{key: item for key, item in schema.items() if key != "$ref"}}
    for key in ("anyOf", "oneOf"):
        for branch in schema.get(key, []):
            if Checker(root).fits(value, branch):
                return pad(value, branch, root)
    if isinstance(value, list):
        prefix = schema.get("prefixItems", [])
        return [
            pad(item, prefix[at] if at < len(prefix) else schema.get("items", {}), root)
            for at, item in enumerate(value)
        ]
    if isinstance(value, dict):
        known = schema.get("properties", {})
        return {name: pad(value[name], known[name], root) if name in value else None for name in known}
    return value


@pytest.mark.parametrize("provider", ["strict"])
@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_strict_rules_hold_everywhere(provider, kind):
    lowered = lower_schema(TypeAdapter(kind).json_schema(), provider)
    assert lowered.strict
    assert lowered.schema["type"] == "object"
    assert "anyOf" not in lowered.schema
    for node in walk(lowered.schema):
        if node.get("type") == "object":
            assert node["additionalProperties"] is False
            assert node["required"] == list(node["properties"])
        if "$ref" in node:
            assert node.keys() == {"$ref"}
            assert lookup(lowered.schema, node["$ref"])
        if node.get("type") == "array":
            assert "items" in node
        assert node.keys() & {"type", "anyOf", "$ref"}
        assert not node.keys() & {"default", "allOf", "oneOf", "prefixItems", "minLength", "discriminator", "examples"}


@pytest.mark.parametrize("kind", PLAIN, ids=str)
def test_anthropics_limits_hold_everywhere(kind):
    lowered = lower_schema(TypeAdapter(kind).json_schema(), "anthropic")
    for node in walk(lowered.schema):
        assert not isinstance(node.get("type"), list)
        if node.get("type") == "object":
            assert node["additionalProperties"] is False
        assert node.get("minItems", 0) <= 1
        assert not node.keys() & {
            "allOf", "oneOf", "prefixItems", "minimum", "maximum", "maxItems", "minLength", "pattern", "default",
        }  # fmt: skip


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_geminis_keywords_are_the_documented_ones(kind):
    documented = {
        "$defs", "$ref", "type", "format", "title", "description", "enum", "items", "prefixItems", "minItems",
        "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties", "additionalProperties", "required",
    }  # fmt: skip
    for node in walk(lower_schema(TypeAdapter(kind).json_schema(), "gemini").schema):
        assert node.keys() <= documented
        assert "$ref" not in node or node.keys() <= {"$ref", "$defs"}
        assert all(isinstance(item, (str, int, float)) and not isinstance(item, bool) for item in node.get("enum", []))


def test_what_cannot_be_enforced_moves_into_the_description():
    lowered = lower_schema(Bounded.model_json_schema(), "anthropic")
    assert lowered.schema["properties"]["a"]["description"] == "A number. (minimum: 3)"
    assert lowered.notes == ["schema.a.minimum"]
    strict = lower_schema({"type": "object", "properties": {"a": {"type": "string", "minLength": 2}}}, "strict")
    assert "minLength: 2" in strict.schema["properties"]["a"]["description"]


def test_it_agrees_with_openais_own_sdk_where_all_is_required():
    helper = pytest.importorskip("openai.lib._pydantic")

    class Leaf(BaseModel):
        a: int
        b: list[Literal["x", "y"]]

    class Whole(BaseModel):
        """A description."""

        leaf: Leaf
        more: list[Leaf]
        maybe: Leaf | None
        either: int | str

    for model in (Leaf, Whole):
        assert lower_schema(model.model_json_schema(), "strict").schema == helper.to_strict_json_schema(model)


def test_it_agrees_with_anthropics_own_sdk():
    helper = pytest.importorskip("anthropic.lib._parse._transform")

    class Leaf(BaseModel):
        a: int
        b: list[Literal["x", "y"]]
        d: str | None = None

    class Whole(BaseModel):
        leaf: Leaf
        either: int | str

    def untyped(schema):
        """Its helper leaves out the type beside an enum, which says the same."""
        for node in walk(schema):
            if "enum" in node:
                node.pop("type", None)
        return schema

    for model in (Leaf, Whole):
        ours = lower_schema(model.model_json_schema(), "anthropic").schema
        theirs = helper.transform_schema(model)
        for node in walk(theirs):
            # It tells a default as a hint; ours is the caller's type's own business.
            if node.get("description", "").startswith("{default"):
                del node["description"]
        assert untyped(ours) == theirs


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": ["object", "null"]},
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"type": "object", "properties": {"a": {}}},
        {"type": "object", "properties": {"a": True}},
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["b"]},
        {"type": "object", "properties": {"a": {"type": "string"}}, "patternProperties": {"^x": {"type": "string"}}},
        {"type": "array", "items": True},
        {"type": "array"},
        {"$ref": "#/$defs/nowhere"},
        {"$ref": "https://example.org/schema.json"},
        {"enum": [{"a": 1}]},
        {"anyOf": []},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/a"}},
            "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}},
        },
    ],
    ids=json.dumps,
)
@pytest.mark.parametrize("provider", ["strict", "anthropic"])
def test_what_cannot_be_enforced_at_all_is_refused(provider, schema):
    with pytest.raises(Inexpressible) as caught:
        lower_schema(schema, provider)
    assert caught.value.path.startswith("schema")
    assert lower_schema(schema, "huggingface").schema == schema


def test_anthropic_refuses_recursion_and_others_do_not():
    schema = Tree.model_json_schema()
    with pytest.raises(Inexpressible, match="refers to itself"):
        lower_schema(schema, "anthropic")
    lowered = lower_schema(schema, "strict").schema
    assert lowered["properties"]["children"]["anyOf" if "anyOf" in lowered["properties"]["children"] else "items"]
    assert lowered["$defs"]["Tree"]["properties"].keys() == {"label", "children"}
    ring = {
        "type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "required": ["a"],
        "$defs": {
            "a": {"type": "array", "items": {"$ref": "#/$defs/b"}},
            "b": {"anyOf": [{"$ref": "#/$defs/a"}, {"type": "null"}]},
        },
    }  # fmt: skip
    with pytest.raises(Inexpressible, match="refers to itself"):
        lower_schema(ring, "anthropic")


def test_an_object_without_any_property_can_be_said():
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    assert lower_schema(schema, "strict").schema["properties"] == {}


def test_tuples_are_arrays_of_what_their_places_take():
    lowered = lower_schema(TypeAdapter(tuple[int, str, int]).json_schema(), "strict").schema["properties"]["value"]
    assert lowered["items"] == {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    assert (lowered["minItems"], lowered["maxItems"]) == (3, 3)
    assert "prefixItems" in lowered["description"]
    old = {"type": "array", "items": [{"type": "integer"}], "additionalItems": {"type": "string"}}
    assert lower_schema(old, "anthropic").schema["items"] == {"anyOf": [{"type": "integer"}, {"type": "string"}]}


def test_words_beside_a_reference_stand_around_it():
    star = lower_schema(Zoo.model_json_schema(), "strict").schema["properties"]["star"]
    assert star == {"anyOf": [{"$ref": "#/$defs/Inner"}], "description": "The one on the poster."}


def test_demands_beside_a_reference_are_joined_with_it():
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A", "properties": {"y": {"type": "integer"}}, "required": ["y"]}},
        "required": ["a"],
        "$defs": {"A": {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}},
    }
    inner = lower_schema(schema, "strict").schema["properties"]["a"]
    assert (sorted(inner["properties"]), sorted(inner["required"])) == (["x", "y"], ["x", "y"])


def test_references_to_any_place_become_definitions():
    schema = {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "first": {"type": "string", "enum": ["a", "b"]},
                "second": {"$ref": "#/items/properties/first"},
                "all": {"$ref": "#"},
            },
        },
    }
    lowered = lower_schema(schema, "strict")
    assert lowered.wrapped
    refs = [node["$ref"] for node in walk(lowered.schema) if "$ref" in node]
    assert set(refs) == {"#/$defs/first", "#/$defs/root"}
    assert lookup(lowered.schema, "#/$defs/first")["enum"] == ["a", "b"]
    assert lookup(lowered.schema, "#/$defs/root")["type"] == "array"


def test_intersections_are_written_as_one():
    schema = {
        "allOf": [
            {"$ref": "#/$defs/A"},
            {"type": "object", "properties": {"b": {"type": "string"}, "a": {"maximum": 9}}, "required": ["b"]},
            {"allOf": [{"properties": {"c": {"type": ["integer", "null"]}}, "required": ["c"]}]},
        ],
        "$defs": {"A": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}},
    }
    for provider in ("strict", "anthropic", "gemini"):
        lowered = lower_schema(schema, provider).schema
        assert lowered["properties"].keys() == {"a", "b", "c"}
        assert sorted(lowered["required"]) == ["a", "b", "c"]
        assert lowered["properties"]["a"]["type"] == "integer"


def test_a_union_beside_properties_is_said_in_words():
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
    }
    lowered = lower_schema(schema, "strict")
    assert not lowered.wrapped
    assert "anyOf" in lowered.schema["description"]
    shared = lower_schema({"type": "string", "anyOf": [{"pattern": "^a"}, {"enum": ["b"]}]}, "strict")
    assert shared.schema["properties"]["value"]["anyOf"] == [
        {"type": "string", "pattern": "^a"},
        {"enum": ["b"], "type": "string"},
    ]


@pytest.mark.parametrize(
    ("provider", "written", "sent"),
    [
        ("gemini", {"const": True}, {"type": "boolean", "description": "(enum: [true])"}),
        ("gemini", {"const": None}, {"type": "null"}),
        ("gemini", {"const": "x", "type": "string"}, {"enum": ["x"], "type": "string"}),
        ("gemini", {"enum": [{"a": 1}], "type": "object"}, {"type": "object", "description": '(enum: [{"a": 1}])'}),
        ("gemini", {"type": "array", "items": True}, {"type": "array"}),
        ("gemini", {"type": "object", "additionalProperties": {}}, {"type": "object", "additionalProperties": True}),
        (
            "gemini",
            {"type": "object", "additionalProperties": False},
            {"type": "object", "additionalProperties": False},
        ),
        (
            "gemini",
            {"additionalProperties": {"type": "string", "default": "x"}, "type": "object"},
            {"additionalProperties": {"type": "string"}, "type": "object"},
        ),
        (
            "gemini",
            {"anyOf": [{"type": "null"}], "oneOf": [{"type": "string"}]},
            {"anyOf": [{"type": "null"}], "oneOf": [{"type": "string"}]},
        ),
        ("strict", {"const": None}, {"const": None, "type": "null"}),
        (
            "strict",
            {"type": "number", "exclusiveMinimum": True},
            {"type": "number", "description": "(exclusiveMinimum: true)"},
        ),
        ("strict", {"type": ["string"]}, {"type": "string"}),
        ("strict", {"items": {"type": "null"}}, {"items": {"type": "null"}, "type": "array"}),
        ("strict", {"type": "string", "required": ["a"]}, {"type": "string", "description": '(required: ["a"])'}),
        (
            "strict",
            {"anyOf": [{"type": "null"}], "oneOf": [{"type": "string"}]},
            {"anyOf": [{"type": "null"}], "description": '(oneOf: [{"type": "string"}])'},
        ),
        (
            "strict",
            {"type": "string", "minLength": 1, "examples": ["a"], "default": "b", "$comment": "c"},
            {"type": "string", "description": '(minLength: 1, examples: ["a"])'},
        ),
        ("strict", {"type": "string", "format": "uri"}, {"type": "string", "description": '(format: "uri")'}),
        ("anthropic", {"type": "string", "format": "uri"}, {"type": "string", "format": "uri"}),
        ("anthropic", {"type": ["string", "null"], "enum": ["a", None]}, {"enum": ["a", None]}),
        (
            "anthropic",
            {"type": ["string", "array", "null"], "items": {"type": "null"}, "format": "date", "title": "t"},
            {
                "anyOf": [
                    {"type": "string", "format": "date"},
                    {"type": "array", "items": {"type": "null"}},
                    {"type": "null"},
                ],
                "title": "t",
            },
        ),
    ],
    ids=str,
)
def test_single_keywords(provider, written, sent):
    root = {"type": "object", "properties": {"x": written}, "required": ["x"]}
    assert lower_schema(root, provider).schema["properties"]["x"] == sent


@pytest.mark.parametrize(
    ("parts", "joined"),
    [
        ([{"type": "number"}, {"type": "integer"}], {"type": "integer"}),
        ([{"type": ["integer", "null"]}, {"type": ["number", "string"]}], {"type": "integer"}),
        ([{"enum": ["a", "b"], "type": "string"}, {"enum": ["b", "c"]}], {"enum": ["b"], "type": "string"}),
        ([True, {"type": "string", "description": "one"}, {"description": "two"}], {"type": "string", "description": "one"}),
        ([{"type": "string", "pattern": "a"}, {"pattern": "b"}], {"type": "string", "pattern": "a", "description": '(and: [{"pattern": "b"}])'}),
        (
            [
                {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False},
                {"additionalProperties": True, "properties": {"a": {"pattern": "x"}}, "required": ["a"]},
            ],
            {
                "type": "object",
                "properties": {"a": {"type": "string", "pattern": "x"}},
                "additionalProperties": False,
                "required": ["a"],
            },
        ),
    ],
)  # fmt: skip
def test_demands_that_meet(parts, joined):
    root = {"type": "object", "properties": {"x": {"allOf": parts}}, "required": ["x"]}
    assert lower_schema(root, "strict").schema["properties"]["x"] == joined


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": [5]},
        {"allOf": [{"$ref": "#"}, {"type": "string"}]},
        {"type": "string", "allOf": [{"$ref": "#/nowhere"}]},
        {"type": "object", "properties": {"a": False}},
        {"type": "dict"},
        {"enum": []},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b", "type": "string"}, "b": {"$ref": "#/$defs/a"}}},
    ],
    ids=json.dumps,
)
def test_nonsense_is_refused(schema):
    with pytest.raises(Inexpressible):
        lower_schema(schema, "strict")


def test_a_schema_without_end_is_refused():
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(70):
        deep = {"type": "array", "items": deep}
    with pytest.raises(Inexpressible, match="more than 60 deep"):
        lower_schema(deep, "gemini")


def test_an_enumeration_without_a_type_gets_one():
    schema = {"type": "object", "properties": {"a": {"enum": ["x", 1, None]}}, "required": ["a"]}
    inner = lower_schema(schema, "strict").schema["properties"]["a"]
    assert inner["type"] == ["string", "integer", "null"]
    gemini = lower_schema(schema, "gemini").schema["properties"]["a"]
    assert gemini == {"anyOf": [{"enum": ["x", 1]}, {"type": "null"}]}


def test_nulls_that_mean_absent_are_dropped_and_real_ones_kept():
    schema = {
        "type": "object",
        "properties": {
            "kind": {"type": "string"},
            "maybe": {"type": ["string", "null"]},
            "deep": {
                "type": "array",
                "items": {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "null"}}},
            },
        },
    }
    value = {"kind": None, "maybe": None, "deep": [{"x": None, "y": None}]}
    assert restore(value, lower_schema(schema, "strict")) == {"maybe": None, "deep": [{"y": None}]}


def test_the_branch_of_a_union_says_which_nulls_are_real():
    lowered = lower_schema(TypeAdapter(list[Cat | Dog]).json_schema(), "strict")
    pets = [{"kind": "dog", "lives": None}, {"kind": "cat", "lives": None}]
    assert restore({"value": pets}, lowered) == [{"kind": "dog"}, {"kind": "cat", "lives": None}]


def test_a_deep_union_takes_no_exponential_time():
    inner: dict[str, Any] = {"kind": "leaf"}
    for _ in range(60):
        inner = {"kind": "node", "left": inner, "right": None}

    class Leaf(BaseModel):
        kind: Literal["leaf"]

    class One(BaseModel):
        kind: str
        left: One | Two | Leaf
        right: int = 0

    class Two(BaseModel):
        kind: str
        left: One | Two | Leaf
        right: str = ""

    One.model_rebuild()
    lowered = lower_schema(One.model_json_schema(), "strict")
    restored = restore(inner, lowered)
    assert "right" not in restored["left"]["left"]


def test_without_enforcement_only_the_root_is_adapted():
    free = TypeAdapter(list[dict[str, int]]).json_schema()
    lowered = lower_schema(free, "strict", strict=False)
    assert (lowered.strict, lowered.wrapped) == (False, True)
    assert lowered.schema == {"type": "object", "properties": {"value": free}, "required": ["value"]}
    assert restore({"value": [{"a": 1}]}, lowered) == [{"a": 1}]
    assert lower_schema(free, "huggingface", strict=False).strict is False


def test_a_root_that_only_refers_is_written_out():
    tree = as_object_schema(Tree.model_json_schema())
    assert (tree.wrapped, tree.schema["type"]) == (False, "object")
    assert lookup(tree.schema, tree.schema["properties"]["children"]["items"]["$ref"]) is not None
    assert as_object_schema({"properties": {"a": {}}}).schema["type"] == "object"


def test_references_still_hold_under_the_wrapping():
    schema = {
        "type": "array",
        "items": {"anyOf": [{"$ref": "#"}, {"$ref": "#/$defs/x"}]},
        "$defs": {"x": {"type": "null"}},
    }
    wrapped = as_object_schema(schema).schema
    assert Checker(wrapped).fits({"value": [[None], None]}, wrapped)
    assert not Checker(wrapped).fits({"value": [[5]]}, wrapped)


schemas = st.recursive(
    st.sampled_from(
        [{"type": "string"}, {"type": "integer", "minimum": 2}, {"enum": ["a", None]}, {"const": 5}, {}, True, False,
         {"$ref": "#"}, {"$ref": "#/properties/a"}, {"type": ["string", "null"]}, {"type": 7}, {"nonsense": [1]}]
    ),
    lambda inner: st.one_of(
        st.builds(lambda item: {"type": "array", "items": item}, inner),
        st.builds(lambda items: {"type": "array", "prefixItems": items}, st.lists(inner, max_size=2)),
        st.builds(
            lambda items, needed: {"type": "object", "properties": items, "required": list(items)[:needed]},
            st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
            st.integers(0, 3),
        ),
        st.builds(lambda key, items: {key: items}, st.sampled_from(["anyOf", "oneOf", "allOf"]), st.lists(inner, max_size=2)),
    ),
    max_leaves=6,
)  # fmt: skip
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcx"), inner, max_size=3),
    max_leaves=10,
)


@given(schemas, st.sampled_from(PROVIDERS), json_values)
def test_any_schema_is_lowered_or_refused_and_never_changed(schema, provider, value):
    schema = schema if isinstance(schema, dict) else {"anyOf": [schema]}
    before = json.dumps(schema)
    try:
        lowered = lower_schema(schema, provider)
    except Inexpressible:
        lowered = as_object_schema(schema)
    given_before = json.dumps(value)
    restore(value, lowered)
    assert (json.dumps(schema), json.dumps(value)) == (before, given_before)
    json.dumps(lowered.schema)


fields = st.dictionaries(
    st.sampled_from(["name", "size", "kind", "parts", "schema_"]),
    st.sampled_from(
        [
            (int, ...), (str | None, None), (list[Inner], []), (Literal["x", "y"], "x"), (tuple[int, str] | None, None),
            (Cat | Dog, ...), (Tree | None, None), (float, 1.5), (bool, ...), (list[list[int]], ...),
        ]
    ),
    min_size=1,
    max_size=4,
)  # fmt: skip


@given(fields, st.sampled_from(["strict", "gemini", "local"]), st.data())
@settings(max_examples=60, deadline=None)
def test_answers_to_lowered_models_validate_in_the_model(described, provider, data):
    if any(kind == (tuple[int, str] | None) for kind, _ in described.values()) and provider != "gemini":
        described = {name: item for name, item in described.items() if item[0] != (tuple[int, str] | None)}
    model = create_model("Made", **described)
    lowered = lower_schema(model.model_json_schema(), provider)
    document = data.draw(documents(lowered.schema))
    model.model_validate(restore(document, lowered))
