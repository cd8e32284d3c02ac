from __future__ import annotations

import dataclasses
import sys
import typing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import aistrale.types as hub
from aistrale.store.answer_format import _NODES, _PARTS, pack, unpack
from aistrale.types import Choice, Completion, Embeddings, Message, TextPart, Usage
from tests.hub_answers import completions, embeddings

HELLO = Completion(id="x", choices=[Choice(Message.assistant("Hello"), "stop")], usage=Usage(input=1, output=2))


def everything(node):
    """All fields with their types, also those that a comparison of the nodes leaves out (`Usage.raw`)."""
    if dataclasses.is_dataclass(node):
        found = {item.name: everything(getattr(node, item.name)) for item in dataclasses.fields(node)}
        return type(node).__name__, found
    if isinstance(node, list):
        return [everything(item) for item in node]
    if isinstance(node, dict):
        return {name: everything(item) for name, item in node.items()}
    return type(node).__name__, repr(node)


@settings(max_examples=300)
@given(completions | embeddings)
def test_an_answer_comes_back_as_it_was(answer):
    data = pack(answer)
    assert everything(unpack(data)) == everything(answer)


def test_each_reading_makes_an_answer_of_its_own():
    data = pack(HELLO)
    unpack(data).message.parts[0].text = "changed"
    assert unpack(data) == HELLO


@given(st.data())
def test_damage_is_noticed(data):
    packed = bytearray(pack(HELLO))
    at = data.draw(st.integers(0, len(packed) - 1))
    packed[at] ^= data.draw(st.integers(1, 255))
    assert unpack(bytes(packed)) is None


@given(st.binary(max_size=40))
def test_other_bytes_are_no_answer(data):
    assert unpack(data) is None
    assert unpack(pack(HELLO)[: len(data)]) is None


def resealed(body: bytes, version: int | None = None) -> bytes:
    """A body behind a checksum that is right, whatever it says."""
    from aistrale.store import answer_format as own

    head = own._HEAD if version is None else b"%d:" % version
    return head + own._checksum(body) + body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"1",
        b"nul",
        b'{"#":"tool"}',
        b'{"#":"completion","colour":"red"}',
        b'{"#":"completion","choices":[{"finish_reason":"stop"}]}',
        b'{"#":"completion","choices":[1]}',
        b'{"#":"completion","choices":[{"message":{"role":"assistant","parts":[{"text":"untagged"}]}}]}',
        b'{"#":"completion","cost":{"usd":"much"}}',
        b'{"#":"completion","id":' + b"[" * 100_000,
    ],
)
def test_another_shape_is_no_answer(body):
    assert unpack(resealed(body)) is None


def test_another_version_is_no_answer():
    body = pack(HELLO)[10:]
    assert unpack(resealed(body)) == HELLO
    assert unpack(resealed(body, version=2)) is None


@pytest.mark.parametrize(
    "answer",
    [
        Completion(output=object()),
        Completion(id="\ud800"),
        Completion(choices=[Choice(Message("assistant", [TextPart("\ude00")]))]),
        Completion(raw={"x": {1, 2}}),
    ],
    ids=["output", "surrogate", "surrogate in a part", "set"],
)
def test_what_would_not_come_back_is_refused(answer):
    assert pack(answer) is None


def nested() -> Completion:
    value: list = []
    for _ in range(sys.getrecursionlimit() * 50):
        value = [value]
    return Completion(raw={"x": value})


def test_an_answer_nested_beyond_reason_is_refused():
    assert pack(nested()) is None


def test_every_node_of_the_hub_is_known():
    """A field that holds a node and is not listed would be written as plain JSON, and fail."""
    names = vars(hub) | {"Callable": typing.Callable, "Sequence": typing.Sequence, "Decimal": float}
    seen = set()

    def visit(kind):
        if kind in seen:
            return
        seen.add(kind)
        assert kind in _NODES, kind
        for name, hint in typing.get_type_hints(kind, names).items():
            nodes = [found for found in flattened(hint) if dataclasses.is_dataclass(found)]
            assert (name in _NODES[kind]) == bool(nodes), (kind, name)
            for found in nodes:
                visit(found)

    def flattened(hint):
        inner = typing.get_args(hint)
        return [hint] if not inner else [found for each in inner for found in flattened(each)]

    visit(Completion)
    visit(Embeddings)
    assert set(_PARTS.values()) == set(typing.get_args(eval(hub.Part, names)))  # noqa: S307 - our own alias
