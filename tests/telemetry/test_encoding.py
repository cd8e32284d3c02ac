from __future__ import annotations

import dataclasses
import enum
import json
import math
from collections import OrderedDict
from decimal import Decimal
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aistrale.store.records import AttemptRow, CallRow
from aistrale.telemetry.encoding import decode_event, decode_line, encode_event, encode_line
from aistrale.telemetry.events import (
    EVENTS,
    AttemptFinished,
    BudgetCrossed,
    Content,
    ExperimentDecided,
    FailedOver,
    FunctionFinished,
    QueueWaited,
    Redacted,
)
from tests.telemetry.events_of import events, of_class

ROW = AttemptRow(call_id="c", attempt=1, at=1.0, latency=2.0, provider="openai", model="m", target="openai/m",
                 streamed=False, outcome="success")  # fmt: skip


def strict(constant: str) -> object:
    raise AssertionError(f"{constant} is no JSON")


@pytest.mark.parametrize("kind", EVENTS)
@settings(max_examples=30)
@given(data=st.data())
def test_every_kind_comes_back_as_it_was(kind, data):
    event = data.draw(of_class(EVENTS[kind]))
    line = encode_line(event)
    assert b"\n" not in line
    assert json.loads(line, parse_constant=strict)["kind"] == kind
    assert decode_line(line) == event
    assert decode_event(encode_event(event)) == event


@settings(max_examples=50)
@given(event=events())
def test_what_is_by_default_is_left_out_and_everything_else_is_said(event):
    table = encode_event(event)
    for item in dataclasses.fields(event):
        value = getattr(event, item.name)
        if item.name not in table:
            assert value == (item.default if item.default_factory is dataclasses.MISSING else item.default_factory())
    bare = {name: value for name, value in table.items() if name not in {"id", "at"}}
    assert set(bare) <= {"kind", *(item.name for item in dataclasses.fields(event))}


def test_none_is_told_from_missing():
    decided = ExperimentDecided(experiment="e", winner=None, reason="equal")
    assert encode_event(decided)["winner"] is None
    assert decode_event(encode_event(decided)) == decided
    for output in ("", [], {}, 0, False):
        function = FunctionFinished(name="f", latency=1.0, outcome="success", output=output, inputs={})
        again = decode_event(encode_event(function))
        assert again == function
        assert type(again.output) is type(output)
        assert again.inputs == {}
    assert "output" not in encode_event(FunctionFinished(name="f", latency=1.0, outcome="success"))


@settings(max_examples=50)
@given(event=events(), more=st.dictionaries(st.text(min_size=1).map("new_{}".format), st.integers(), max_size=2))
def test_fields_of_a_newer_version_are_ignored(event, more):
    table = encode_event(event)
    for inner in ("row", "content"):
        if inner in table:
            table[inner] = {**table[inner], **more}
    assert decode_event({**table, **more}) == event


@pytest.mark.parametrize("table", [
    {}, {"kind": None}, {"kind": "call.invented"}, {"kind": ["call.started"]}, {"kind": 7}, {"kind": "x" * 500},
])  # fmt: skip
def test_an_unknown_kind_is_an_error(table):
    with pytest.raises(ValueError, match="no event of kind"):
        decode_event(table)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"target": ...}, "target is missing"),
        ({"target": None}, "target is wrong"),
        ({"target": 5}, "target is wrong"),
        ({"status": "429"}, "status is wrong"),
        ({"status": True}, "status is wrong"),
        ({"delay": "soon"}, "delay is wrong"),
        ({"delay": True}, "delay is wrong"),
        ({"at": None}, "at is wrong"),
        ({"call_id": []}, "call_id is wrong"),
    ],
)
def test_a_wrong_field_is_named(change, told):
    table = encode_event(FailedOver(target="a/b", next_target="c/d", error="ServerError", status=500, delay=0.5))
    for name, value in change.items():
        if value is ...:
            del table[name]
        else:
            table[name] = value
    with pytest.raises(ValueError, match=f"call.failed_over: {told}"):
        decode_event(table)


def test_wrong_rows_contents_amounts_and_lists_are_named():
    table = encode_event(AttemptFinished(row=ROW, content=Content(input=("x",))))
    for name, value, told in [
        ("row", 5, "row is wrong"),
        ("row", {}, "row is wrong.*call_id is missing"),
        ("content", [], "content is wrong"),
        ("content", {"input": "x"}, "content is wrong.*input is wrong"),
        ("finish_reasons", "stop", "finish_reasons is wrong"),
    ]:
        with pytest.raises(ValueError, match=f"attempt.finished: {told}"):
            decode_event({**table, name: value})
    table = encode_event(BudgetCrossed(what="refused", budget="b", scope="global", period="day", limit=Decimal(1),
                                       spent=Decimal("0.1"), reserved=Decimal(0), hard=True))  # fmt: skip
    assert table["spent"] == "0.1"
    for value in ("a lot", None, True, [1]):
        with pytest.raises(ValueError, match="spent is wrong"):
            decode_event({**table, "spent": value})
    assert decode_event({**table, "spent": 0.5}).spent == Decimal("0.5")


@pytest.mark.parametrize("line", [b"", b"[]", b"5", b"{", b'{"kind": "call.fin', b"\xff\xfe", "[" * 100_000])
def test_what_is_no_event_is_a_value_error(line):
    with pytest.raises(ValueError, match=r".+"):
        decode_line(line)


def test_numbers_that_json_does_not_know_are_text_and_come_back():
    for value in (math.inf, -math.inf, math.nan):
        event = QueueWaited(at=value, target="a/b", seconds=value, admitted=True)
        line = encode_line(event)
        json.loads(line, parse_constant=strict)
        again = decode_line(line)
        assert repr(again.seconds) == repr(value) == repr(again.at)
    row = dataclasses.replace(ROW, latency=math.inf, metered={"lines": [math.nan]})
    again = decode_line(encode_line(AttemptFinished(row=row)))
    assert again.row.latency == math.inf
    assert again.row.metered == {"lines": ["NaN"]}


class Colour(enum.Enum):
    RED = "red"


class Word(enum.StrEnum):
    YES = "yes"


class Odd:
    def __repr__(self) -> str:
        raise RuntimeError("nobody asks me")


def test_what_json_cannot_say_becomes_the_name_of_its_type():
    cycle: dict[str, object] = {}
    cycle["self"] = cycle
    inputs = {
        "bytes": b"x", "set": {1}, "object": Odd(), "enum": Colour.RED, "word": Word.YES, "class": Odd,
        "big": 10**5000, "lone": "\ud800", "nested": {1: 2, (1, 2): 3, Word.YES: 4}, "decimal": Decimal("1.50"),
        "tuple": (1, 2), "proxy": MappingProxyType({"a": 1}), "order": OrderedDict(b=2), "cycle": cycle,
    }  # fmt: skip
    line = encode_line(FunctionFinished(name="f", latency=1.0, outcome="success", inputs=inputs, output=Odd()))
    again = decode_line(line)
    assert again.output == "<Odd>"
    del again.inputs["cycle"]
    assert again.inputs == {
        "bytes": "<bytes>", "set": "<set>", "object": "<Odd>", "enum": "<Colour>", "word": "yes", "class": "<type>",
        "big": "<int>", "lone": "\ud800", "nested": {"1": 2, "<tuple>": 3, "yes": 4}, "decimal": "1.50",
        "tuple": [1, 2], "proxy": {"a": 1}, "order": {"b": 2},
    }  # fmt: skip


def test_rows_of_calls_and_redactions_are_whole():
    row = CallRow(call_id="c", at=1.0, latency=2.0, kind="chat", model_asked="m", outcome="success", attempts=0,
                  privacy={"out.redact.EMAIL_ADDRESS": 2}, lossy=["seed"], tags={"a": ""})  # fmt: skip
    table = encode_event(EVENTS["call.finished"](row=row))
    assert table["row"]["kind"] == "chat"
    assert table["row"]["tags"] == {"a": ""}
    assert encode_event(Redacted(types={}))["kind"] == "data.redacted"
    with pytest.raises(ValueError, match="types is missing"):
        decode_event({"kind": "data.redacted"})
