from __future__ import annotations

import copy
import gzip
import json
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings

from aistrale.core.accumulate import collect
from aistrale.core.replay import events_of, replay
from aistrale.core.runtime import run_sync
from aistrale.dialects import chat_dialect
from aistrale.dialects.base import ANY, Loss
from aistrale.dialects.shape import MalformedBody
from aistrale.types import (
    BlockEnd,
    BlockStart,
    Choice,
    Completion,
    Embeddings,
    Finish,
    Lossy,
    Message,
    ReasoningPart,
    RefusalPart,
    ReplyEnd,
    ReplyStart,
    Request,
    TextDelta,
    TextPart,
    ToolCallPart,
    Usage,
    UsageUpdate,
    Whole,
    Wire,
)
from tests.hub_answers import streamed

TRAFFIC = Path(__file__).resolve().parents[2] / ".." / "shared" / "traffic"
ENDPOINTS = {
    "messages": "anthropic_messages",
    "chat/completions": "openai_chat",
    "responses": "openai_responses",
    "generateContent": "gemini_generate",
}


@settings(max_examples=300)
@given(streamed)
def test_the_events_spell_the_answer(answer):
    assert collect(events_of(copy.deepcopy(answer))) == answer


@settings(max_examples=300)
@given(streamed)
def test_the_stream_is_well_formed(answer):
    events = events_of(answer)
    assert type(events[0]) is ReplyStart
    assert type(events[-1]) is ReplyEnd
    open_blocks = set()
    opened = dict.fromkeys((choice.index for choice in answer.choices), 0)
    finished = []
    for event in events[1:-1]:
        if type(event) is BlockStart:
            assert event.block == opened[event.choice]
            opened[event.choice] += 1
            open_blocks.add((event.choice, event.block))
        elif type(event) is BlockEnd:
            open_blocks.remove((event.choice, event.block))
        elif type(event) is Finish:
            finished.append(event.choice)
        elif type(event) is not UsageUpdate:
            assert (event.choice, event.block) in open_blocks
            assert event.choice not in finished
            # An empty piece is content for some readers, where the provider had sent none.
            assert event.text or getattr(event, "reasoning", "") or getattr(event, "arguments", "")
    assert not open_blocks
    assert finished == list(opened)


def test_text_comes_as_text():
    answer = Completion(choices=[Choice(Message.assistant("Hel", "lo"), "stop")], usage=Usage(output=2))
    events = events_of(answer)
    assert [event.text for event in events if event.text] == ["Hel", "lo"]
    assert [type(event) for event in events] == [
        ReplyStart, BlockStart, TextDelta, BlockEnd, BlockStart, TextDelta, BlockEnd, Finish, UsageUpdate, ReplyEnd,
    ]  # fmt: skip
    assert answer.text == "Hello"


@pytest.mark.parametrize("part", [TextPart(""), RefusalPart(""), ReasoningPart(""), ToolCallPart("c", "t", "")])
def test_no_empty_piece_is_sent(part):
    events = events_of(Completion(choices=[Choice(Message("assistant", [part]), "stop")]))
    assert [type(event) for event in events] == [ReplyStart, BlockStart, BlockEnd, Finish, ReplyEnd]


REMEMBERED = Completion(
    id="x",
    model="m-1",
    choices=[Choice(Message("assistant", [TextPart("Hello")], wire=Wire("openai_chat", {"annotations": []})), "stop")],
    provider="openai",
    target="openai/m",
    request_id="req",
    lossy=[Lossy("top_k", "dropped", "it has none")],
    output_mode="schema",
    source="openai_chat",
)


def test_a_replayed_stream_ends_in_the_whole_answer():
    reply = replay(copy.deepcopy(REMEMBERED), stream=True)
    pieces = []
    while (event := run_sync(reply.next())) is not None:
        pieces.append(event.text)
    assert pieces.count("Hello") == 1
    assert reply.outcome == "success"
    assert reply.accumulated.result() == REMEMBERED


class Upper:
    def feed(self, event):
        return [TextDelta(event.text.upper(), event.block)] if type(event) is TextDelta else [event]

    def finish(self):
        return []


def test_taps_hung_on_a_replayed_stream_hear_it():
    reply = replay(copy.deepcopy(REMEMBERED), stream=True)
    reply.tap(Upper())
    answer = run_sync(reply.completion())
    assert (answer.text, answer.target, answer.lossy) == ("HELLO", "openai/m", REMEMBERED.lossy)


def test_a_whole_answer_is_a_stream_of_one():
    reply = replay(REMEMBERED, stream=False)
    assert run_sync(reply.next()) == Whole(REMEMBERED)
    assert run_sync(reply.next()) is None


def test_embeddings_are_one_event_either_way():
    for stream in (False, True):
        reply = replay(Embeddings([[1.0]]), stream=stream)
        run_sync(reply.completion())
        assert reply.accumulated.embeddings == Embeddings([[1.0]])


def test_a_thought_keeps_its_signature_through_an_encoder():
    signed = ReasoningPart("hm", wire=Wire("anthropic_messages", {"signature": "c2ln"}))
    answer = Completion(choices=[Choice(Message("assistant", [signed, TextPart("yes")]), "stop")])
    assert through(chat_dialect("anthropic_messages"), events_of(answer)).message.parts == [signed, TextPart("yes")]


def through(dialect, events):
    """What the reader of another program's stream puts together."""
    asks_for_usage = Wire("openai_chat", {"stream_options": {"include_usage": True}})
    encoder = dialect.event_encoder(Request(model="m", messages=[], stream=True, wire=asks_for_usage), Loss())
    frames = [frame for event in events for frame in encoder.feed(event)] + list(encoder.finish())
    decoder = dialect.event_decoder(ANY)
    return collect([event for frame in frames for event in decoder.feed(frame)] + list(decoder.finish()))


def recorded(family):
    path = TRAFFIC / f"{family}.jsonl.gz"
    if not path.exists():
        pytest.skip(f"no recorded traffic at {path}")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for record in map(json.loads, lines):
            name = ENDPOINTS.get(record["endpoint"])
            if name and not record["sse"] and record["status"] == 200 and isinstance(record["response_body"], str):
                dialect = chat_dialect(name)
                try:
                    yield dialect, dialect.decode_response(json.loads(record["response_body"]))
                except (MalformedBody, ValueError):
                    continue  # a fixture that its authors edited


@pytest.mark.parametrize("family", ["anthropic", "google", "groq", "huggingface", "openai"])
def test_recorded_answers_stream_as_their_dialect_streams_them(family):
    for dialect, answer in islice(recorded(family), 0, None, 3):
        again = collect(events_of(copy.deepcopy(answer)))
        told = ("id", "model", "created", "wire", "usage")
        assert [getattr(again, name) for name in told] == [getattr(answer, name) for name in told]
        assert [choice.message.parts for choice in again.choices] == [c.message.parts for c in answer.choices]
        ours = through(dialect, events_of(copy.deepcopy(answer)))
        theirs = through(dialect, [Whole(copy.deepcopy(answer))])
        assert [c.message.parts for c in ours.choices] == [c.message.parts for c in theirs.choices]
        assert [c.finish_reason for c in ours.choices] == [c.finish_reason for c in theirs.choices]
        assert ours.usage == theirs.usage
