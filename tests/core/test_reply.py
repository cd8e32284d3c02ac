from __future__ import annotations

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.core.reply import Reply, collect
from aistrale.core.runtime import run_sync
from aistrale.errors import NetworkError, StreamInterrupted
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Choice,
    Completion,
    Finish,
    Message,
    Other,
    ReasoningDelta,
    ReasoningPart,
    ReplyEnd,
    ReplyStart,
    TextDelta,
    TextPart,
    ToolCallPart,
    Usage,
    UsageUpdate,
    Whole,
    Wire,
)


class Batches:
    """A source of scripted batches; an exception in the list is raised."""

    def __init__(self, *batches):
        self.batches = list(batches)
        self.closed = self.abandoned = 0

    async def pull(self):
        if not self.batches:
            return None
        batch = self.batches.pop(0)
        if isinstance(batch, BaseException):
            raise batch
        return batch

    async def close(self):
        self.closed += 1

    def abandon(self):
        self.abandoned += 1

    def broken(self, error, partial):
        return StreamInterrupted("cut", partial_text=partial.text, usage=partial.usage)


def pull_all(reply):
    events = []
    while (event := run_sync(reply.next())) is not None:
        events.append(event)
    return events


def ending(reply):
    seen = []
    reply.on_close(lambda closed, error: seen.append((closed.outcome, type(error).__name__ if error else None)))
    return seen


TEXT = [BlockStart(0, TextPart("")), TextDelta("Hel", 0), TextDelta("lo", 0), BlockEnd(0)]


def test_events_come_in_order_and_the_outcome_once():
    reply = Reply([ReplyStart("id", "m"), TEXT[0]], Batches([TEXT[1]], TEXT[2:], [Finish("stop"), ReplyEnd()]))
    seen = ending(reply)
    assert "".join(event.text for event in pull_all(reply)) == "Hello"
    assert run_sync(reply.next()) is None
    assert seen == [("success", None)]
    assert reply.accumulated.result().text == "Hello"


def test_an_answer_that_was_not_streamed_is_a_stream_of_one():
    whole = Whole(Completion(choices=[Choice(Message.assistant("Hello"), "stop")]))
    reply = Reply([whole])
    seen = ending(reply)
    assert pull_all(reply) == [whole]
    assert seen == [("success", None)]


class Upper:
    def feed(self, event):
        if type(event) is TextDelta:
            return [TextDelta(event.text.upper(), event.block)]
        return [event]

    def finish(self):
        return [TextDelta("!", 0)]


class Hold:
    """Holds back everything until the end."""

    def __init__(self):
        self.held = []

    def feed(self, event):
        self.held.append(event)
        return []

    def finish(self):
        return self.held


def test_taps_apply_inner_first_and_finish_through_the_outer_ones():
    reply = Reply([TEXT[0]], Batches(TEXT[1:]))
    reply.tap(Hold())
    reply.tap(Upper())
    assert "".join(event.text for event in pull_all(reply)) == "HELLO!"
    assert reply.accumulated.result().text == "HELLO!"


def test_an_error_after_content_carries_what_had_arrived():
    usage = Usage(input=3, output=1)
    reply = Reply(TEXT[:2], Batches([UsageUpdate(usage)], NetworkError("reset")))
    seen = ending(reply)
    with pytest.raises(StreamInterrupted) as caught:
        pull_all(reply)
    assert caught.value.partial_text == "Hel"
    assert caught.value.usage == usage
    assert isinstance(caught.value.__cause__, NetworkError)
    assert seen == [("interrupted", "StreamInterrupted")]


def test_cancellation_goes_through_and_frees_the_source():
    source = Batches(KeyboardInterrupt())
    reply = Reply(TEXT[:1], source)
    seen = ending(reply)
    run_sync(reply.next())
    with pytest.raises(KeyboardInterrupt):
        run_sync(reply.next())
    assert seen == [("cancelled", "KeyboardInterrupt")]
    assert source.abandoned == 1


def test_early_close_is_an_abandoned_call():
    source = Batches(TEXT[1:])
    reply = Reply(TEXT[:1], source)
    seen = ending(reply)
    run_sync(reply.close())
    run_sync(reply.close())
    assert seen == [("abandoned", None)]
    assert source.closed == 1


def test_closing_after_the_terminal_event_is_success():
    reply = Reply(TEXT[:1], Batches([*TEXT[1:], Finish("stop"), ReplyEnd()]))
    seen = ending(reply)
    while not reply.accumulated.ended:
        run_sync(reply.next())
    run_sync(reply.close())
    assert seen == [("success", None)]


def test_garbage_collection_is_an_abandoned_call():
    source = Batches(TEXT)
    reply = Reply(TEXT[:1], source)
    seen = ending(reply)
    del reply
    gc.collect()
    assert seen == [("abandoned", None)]
    assert source.abandoned == 1


def test_all_kinds_of_blocks_accumulate():
    answer = collect(
        [
            ReplyStart("r1", "model-x", 5),
            BlockStart(0, ReasoningPart()),
            ReasoningDelta("hm", 0),
            BlockEnd(0, wire=Wire("anthropic_messages", {"signature": "s"})),
            BlockStart(1, ToolCallPart("c1", "get")),
            BlockStart(2, ToolCallPart("c2", "put")),
            ArgumentsDelta('{"a"', 1),
            ArgumentsDelta('{"b":2}', 2),
            ArgumentsDelta(":1}", 1),
            BlockEnd(1),
            BlockEnd(2),
            Other("anthropic_messages", "ping"),
            UsageUpdate(Usage(input=1)),
            UsageUpdate(Usage(input=1, output=9)),
            Finish("tool_calls"),
            ReplyEnd(),
        ]
    )
    assert (answer.id, answer.model, answer.created) == ("r1", "model-x", 5)
    assert answer.reasoning == "hm"
    assert answer.message.parts[0].wire.fields == {"signature": "s"}
    assert [(call.id, call.input) for call in answer.tool_calls] == [("c1", {"a": 1}), ("c2", {"b": 2})]
    assert answer.usage.output == 9
    assert answer.finish_reason == "tool_calls"


def test_what_comes_with_each_piece_is_strung_together():
    wires = [Wire("openai_chat", {"logprobs": {"content": [{"token": token}], "refusal": None}}) for token in "ab"]
    answer = collect(
        [
            TextDelta("a", 0, wire=wires[0]),
            TextDelta("b", 0, wire=wires[1]),
            Finish("stop", wire=Wire("openai_chat", {"logprobs": None, "x": 1})),
        ]
    )
    logprobs = {"content": [{"token": "a"}, {"token": "b"}], "refusal": None}
    assert answer.choices[0].wire.fields == {"logprobs": logprobs, "x": 1}


def test_choices_are_kept_apart_and_sorted():
    answer = collect([TextDelta("b", 0, 1), TextDelta("a", 0, 0), Finish("length", 1), Finish("stop", 0)])
    assert [(choice.index, choice.message.text, choice.finish_reason) for choice in answer.choices] == [
        (0, "a", "stop"),
        (1, "b", "length"),
    ]


def test_a_part_that_was_given_is_not_changed():
    part = TextPart("")
    collect([BlockStart(0, part), TextDelta("x", 0)])
    assert part.text == ""


@given(st.lists(st.text(), max_size=8), st.integers(0, 8))
def test_the_answer_so_far_may_be_asked_for_at_any_time(pieces, ask):
    reply = Reply([BlockStart(0, TextPart(""))], Batches(*[[TextDelta(piece, 0)] for piece in pieces], [ReplyEnd()]))
    for _ in range(ask):
        run_sync(reply.next())
        reply.accumulated.result()
    pull_all(reply)
    assert reply.accumulated.result().text == "".join(pieces)


def test_a_callback_that_is_interrupted_runs_again_and_the_others_once():
    ran = []

    def interrupted(reply, error):
        ran.append("interrupted")
        if ran.count("interrupted") == 1:
            raise KeyboardInterrupt

    reply = Reply([])
    for callback in (lambda *_: ran.append(1), interrupted, lambda *_: ran.append(2), lambda *_: ran.append(3)):
        reply.on_close(callback)
    with pytest.raises(KeyboardInterrupt):
        run_sync(reply.next())
    assert ran == [1, "interrupted", "interrupted", 2, 3]
    assert reply.outcome == "success"


class Late:
    """A tap that gives every event only after the next one."""

    def __init__(self):
        self.held = []

    def feed(self, event):
        given, self.held = self.held, [event]
        return given

    def finish(self):
        given, self.held = self.held, []
        return given


class Refusing(Late):
    """One that finds at the end that what it holds must not go."""

    def finish(self):
        raise ValueError("no")


def test_what_a_tap_holds_back_is_delivered_before_a_break_is_told():
    source = Batches(TEXT[:2], [TEXT[2]], NetworkError("reset"))
    reply = Reply([], source)
    reply.tap(Late())
    seen = ending(reply)
    events = [run_sync(reply.next()) for _ in range(3)]
    assert [event.text for event in events] == ["", "Hel", "lo"]
    with pytest.raises(StreamInterrupted) as caught:
        run_sync(reply.next())
    assert caught.value.partial_text == "Hello"
    assert isinstance(caught.value.__cause__, NetworkError)
    with pytest.raises(StreamInterrupted):
        run_sync(reply.next())
    assert seen == [("interrupted", "StreamInterrupted")]


def test_what_a_tap_refuses_to_let_go_stays_held_when_the_reply_breaks():
    reply = Reply([], Batches(TEXT[:2], [TEXT[2]], NetworkError("reset")))
    reply.tap(Refusing())
    seen = ending(reply)
    assert [run_sync(reply.next()).text for _ in range(2)] == ["", "Hel"]
    with pytest.raises(StreamInterrupted) as caught:
        run_sync(reply.next())
    assert caught.value.partial_text == "Hel"
    assert seen == [("interrupted", "StreamInterrupted")]
