"""However an answer is cut into pieces, by its model or on the wire, each format tells the same one."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.core.accumulate import collect
from aistrale.core.sse import SSEParser, encode_sse
from aistrale.dialects.base import Loss
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Finish,
    ReasoningDelta,
    ReasoningPart,
    RefusalPart,
    ReplyEnd,
    ReplyStart,
    TextDelta,
    TextPart,
    ToolCallPart,
    Usage,
    UsageUpdate,
    Whole,
)
from tests.translation.pairs import encode_stream
from tests.translation.recordings import CHATS, decode

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
VALUES = st.dictionaries(TEXTS, st.integers() | TEXTS | st.lists(TEXTS, max_size=2), max_size=3)
PARTS = st.one_of(
    TEXTS.map(TextPart),
    TEXTS.map(ReasoningPart),
    st.builds(
        lambda value, name: ToolCallPart("", name, json.dumps(value)), VALUES, st.sampled_from(["look", "fetch"])
    ),
)
DELTAS = {TextPart: TextDelta, RefusalPart: TextDelta, ReasoningPart: ReasoningDelta, ToolCallPart: ArgumentsDelta}


@st.composite
def answers(draw):
    """The parts of an answer; neighbours are of different kinds, because some formats tell equal ones as one."""
    parts = draw(st.lists(PARTS, min_size=1, max_size=5))
    parts = [part for part, before in zip(parts, [None, *parts], strict=False) if type(part) is not type(before)]
    for number, part in enumerate(parts):
        if isinstance(part, ToolCallPart):
            part.id = f"call_{number + 1}"
    return parts


def content(part):
    return part.arguments if isinstance(part, ToolCallPart) else part.text


def bare(part):
    return ToolCallPart(part.id, part.name) if isinstance(part, ToolCallPart) else type(part)("")


@st.composite
def told(draw, parts):
    """The events that tell the answer, its parts cut anywhere."""
    events = [ReplyStart("r1", "m")]
    for number, part in enumerate(parts):
        text = content(part)
        cuts = sorted(draw(st.sets(st.integers(1, max(1, len(text) - 1)), max_size=4)))
        events.append(BlockStart(number, bare(part)))
        events += [DELTAS[type(part)](text[a:b], number) for a, b in itertools.pairwise([0, *cuts, len(text)]) if a < b]
        events.append(BlockEnd(number))
    calls = any(isinstance(part, ToolCallPart) for part in parts)
    return [*events, UsageUpdate(Usage(input=3, output=5)), Finish("tool_calls" if calls else "stop"), ReplyEnd()]


def spelled(codec, events):
    completion = collect(decode(codec, encode_stream(codec, events, Loss())))
    parts = [
        (type(part).__name__, json.loads(part.arguments or "{}") if isinstance(part, ToolCallPart) else part.text)
        for part in completion.message.parts
    ]
    calls = [(call.id, call.name) for call in completion.tool_calls]
    return parts, calls, completion.finish_reason, completion.usage.input_total, completion.usage.output_total


@pytest.mark.parametrize("codec", CHATS, ids=lambda codec: codec.NAME)
@given(data=st.data())
def test_where_the_model_cuts_its_answer_does_not_matter(codec, data) -> None:
    parts = data.draw(answers())
    one, other = data.draw(told(parts)), data.draw(told(parts))
    assert spelled(codec, one) == spelled(codec, other)
    assert spelled(codec, [Whole(collect(one))]) == spelled(codec, one)


@pytest.mark.parametrize("codec", CHATS, ids=lambda codec: codec.NAME)
@given(data=st.data())
def test_what_all_formats_have_arrives(codec, data) -> None:
    parts = data.draw(answers())
    found, calls, reason, _, output = spelled(codec, data.draw(told(parts)))
    text = "".join(part.text for part in parts if isinstance(part, TextPart))
    assert "".join(value for kind, value in found if kind == "TextPart") == text
    wanted = [part for part in parts if isinstance(part, ToolCallPart)]
    assert calls == [(part.id, part.name) for part in wanted]
    assert [value for kind, value in found if kind == "ToolCallPart"] == [part.input for part in wanted]
    assert (reason, output) == ("tool_calls" if wanted else "stop", 5)


@pytest.mark.parametrize("codec", CHATS, ids=lambda codec: codec.NAME)
@given(data=st.data())
def test_where_the_wire_cuts_the_bytes_does_not_matter(codec, data) -> None:
    wire = encode_stream(codec, data.draw(told(data.draw(answers()))), Loss())
    raw = b"".join(encode_sse(frame.data, frame.event) for frame in wire)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(raw) - 1), max_size=12)))
    parser = SSEParser()
    pieces = [raw[a:b] for a, b in itertools.pairwise([0, *cuts, len(raw)])]
    frames = [frame for piece in pieces for frame in parser.feed(piece)] + parser.finish()
    assert decode(codec, frames) == decode(codec, wire)
