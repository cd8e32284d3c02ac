"""What is kept back until it is whole or long enough, and answers that somebody objects to."""

from __future__ import annotations

import functools
import gc

import pytest

from aistrale.core.runtime import run_sync
from aistrale.errors import (
    AllTargetsFailed,
    ConfigurationError,
    DeadlineExceeded,
    NetworkError,
    ResponseError,
    StreamInterrupted,
)
from aistrale.types import (
    ArgumentsDelta,
    BlockStart,
    Choice,
    Completion,
    Finish,
    Message,
    ReasoningDelta,
    ReasoningPart,
    ReplyEnd,
    ReplyStart,
    TextDelta,
    TextPart,
    ToolCallPart,
    Usage,
    UsageUpdate,
)
from tests.policies.streaming import A, B, Lab, begun, cut, pull_all, whole


def text(events):
    return "".join(event.text for event in events)


def answer(said, usage=None, reason="stop"):
    return Completion(id="r", model="m", choices=[Choice(Message.assistant(said), reason)], usage=usage)


# --- streams that are kept back -----------------------------------------------------------------------------------------


def test_a_buffered_stream_breaks_unseen():
    lab = Lab({A: [[*begun("one ", "two "), cut()]], B: [whole("All ", "of it.")]})
    events, _, call = lab.read("buffered")
    assert text(events) == "All of it."
    assert [type(event) for event in events].count(ReplyStart) == 1
    assert [attempt.outcome for attempt in call.attempts] == ["error", "success"]
    assert lab.balanced()


def test_a_buffered_stream_is_whole_before_anything_is_delivered():
    arrived = []
    lab = Lab({A: [[*whole("one ", "two "), lambda: arrived.append("end")]]})
    _, reply = lab.open("buffered")
    assert arrived == ["end"]
    assert reply.whole
    assert text(pull_all(reply)) == "one two "


def test_hold_back_delivers_once_enough_is_there():
    arrived = []
    lab = Lab({A: [[*begun("12345", "67890"), lambda: arrived.append(1), *whole("abc")[1:]]]})
    _, reply = lab.open("hold_back", rules={"hold_back": 10})
    assert not arrived
    assert reply.take().text == ""
    assert text(pull_all(reply)) == "1234567890"


@pytest.mark.parametrize(("held", "seen"), [(5, ["error", "success"]), (4, ["interrupted"])])
def test_hold_back_is_safe_below_its_bound(held, seen):
    lab = Lab({A: [[*begun("1", "2", "3", "4"), cut()]], B: [whole("Other.")]})
    if len(seen) == 1:
        call, reply = lab.open("hold_back", rules={"hold_back": held})
        with pytest.raises(StreamInterrupted) as caught:
            pull_all(reply)
        assert caught.value.partial_text == "1234"
    else:
        events, _, call = lab.read("hold_back", rules={"hold_back": held})
        assert text(events) == "Other."
    assert [attempt.outcome for attempt in call.attempts] == seen
    assert lab.balanced()


def test_a_short_answer_is_held_back_to_its_end():
    lab = Lab({A: [whole("Hi.")]})
    _, reply = lab.open("hold_back")
    assert reply.whole
    assert text(pull_all(reply)) == "Hi."


def test_thoughts_are_no_visible_text():
    thinking = [[ReplyStart("r", "m"), BlockStart(0, ReasoningPart("so ")), ReasoningDelta("x" * 50, 0)]]
    lab = Lab({A: [[*thinking, cut()]], B: [whole("Other.")]})
    events, _, _ = lab.read("hold_back", rules={"hold_back": 10})
    assert text(events) == "Other."


@pytest.mark.parametrize("mode", ["restart_before_first_token", "resume", "raise"])
def test_other_modes_keep_nothing_back(mode):
    arrived = []
    lab = Lab({A: [[*begun("one "), lambda: arrived.append(1), *whole("two ")[1:]]]})
    lab.open(mode)
    assert not arrived


CALL = BlockStart(0, ToolCallPart("c", "f", "é"))


@pytest.mark.parametrize(
    ("events", "size"),
    [
        ([TextDelta("ééé", 0)], 6),
        ([BlockStart(0, TextPart("ééé"))], 6),
        ([BlockStart(0, ReasoningPart("é")), ReasoningDelta("éé", 0)], 6),
        ([CALL, ArgumentsDelta("éé", 0)], 6),
    ],
)
@pytest.mark.parametrize("mode", ["buffered", "hold_back"])
def test_what_is_kept_back_is_bounded_in_bytes(mode, events, size):
    def lab():
        return Lab({A: [[[ReplyStart("r", "m"), *events], [TextDelta("", 0)], [Finish("stop"), ReplyEnd()]]]})

    fits = lab()
    assert fits.read(mode, rules={"max_buffer": size})
    over = lab()
    with pytest.raises(ResponseError) as caught:
        over.open(mode, rules={"max_buffer": size - 1})
    assert caught.value.code == "too_large"
    assert (caught.value.target, caught.value.attempt, caught.value.request_id) == (A, 1, "req_1")
    # It is not asked for again, and its connection is free.
    assert len(over.asked) == 1
    assert over.feeds[0].closed == 1
    assert over.attempts[0].error == "ResponseError"
    assert over.balanced()


def test_a_buffered_answer_that_is_too_long_may_be_shorter_elsewhere():
    lab = Lab({A: [[*begun("x" * 100), cut()]], B: [whole("short")]})
    events, _, call = lab.read("buffered", rules={"max_buffer": 50})
    assert text(events) == "short"
    assert call.attempts[0].error == "ResponseError"


def test_the_deadline_is_no_failure_of_the_target():
    lab = Lab({A: [[*begun("one "), DeadlineExceeded("late")]], B: [whole("two")]})
    with pytest.raises(DeadlineExceeded) as caught:
        lab.open("buffered")
    assert caught.value.partial_text == ""
    assert caught.value.usage.source == "estimated"
    assert len(lab.asked) == 1


def test_cancelling_what_is_kept_back_frees_the_source():
    lab = Lab({A: [[*begun("one "), KeyboardInterrupt()]]})
    with pytest.raises(KeyboardInterrupt):
        lab.open("buffered")
    assert lab.feeds[0].abandoned == 1
    assert lab.attempts[0].outcome == "cancelled"
    assert lab.balanced()


def test_who_wants_no_second_attempt_gets_none():
    lab = Lab({A: [StreamInterrupted("broke before any content"), whole("never")], B: [whole("never")]})
    with pytest.raises(StreamInterrupted):
        lab.open("raise")
    assert len(lab.asked) == 1


# --- answers that are rejected ------------------------------------------------------------------------------------------


def too_short(answer):
    return len(answer.text) < 5


def cut_off(answer):
    return answer.finish_reason == "length"


def never(answer):
    return False


PRICED = Usage(input=1000, output=1000)


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "buffered"])
def test_a_rejected_answer_is_a_failed_attempt_that_was_paid_for(streamed):
    bad = whole("Hm.", usage=PRICED) if streamed else answer("Hm.", PRICED)
    good = whole("A long answer.", usage=PRICED) if streamed else answer("A long answer.", PRICED)
    lab = Lab({A: [bad], B: [good]}, predicates=(cut_off, too_short))
    events, reply, call = lab.read("buffered", stream=streamed)
    assert reply.accumulated.result().text == "A long answer." == text(events)
    first, second = lab.attempts
    assert (first.outcome, first.error, first.status) == ("error", "ResponseError", 200)
    assert (first.input, first.output) == (1000, 1000)
    assert first.cost is not None
    assert float(first.cost) > 0
    assert (second.outcome, second.error) == ("success", None)
    assert float(lab.calls[0].cost) == pytest.approx(float(first.cost) + float(second.cost))
    assert call.errors[0].code == "rejected"
    assert "too_short" in str(call.errors[0])
    assert "Hm." not in str(call.errors[0])
    assert lab.balanced()


def test_every_target_may_be_rejected():
    lab = Lab({A: [answer("No.")], B: [answer("No!")]}, predicates=(too_short,))
    with pytest.raises(AllTargetsFailed) as caught:
        lab.open(stream=False)
    assert {error.code for error in caught.value.exceptions} == {"rejected"}
    assert [error.target for error in caught.value.exceptions] == [A, B]
    assert lab.balanced()


def test_predicates_see_the_answer_and_who_gave_it():
    seen = []
    lab = Lab({A: [answer("Fine.", PRICED)]}, predicates=(seen.append, never))
    lab.read(stream=False)
    (answered,) = seen
    assert (answered.text, answered.usage, answered.target) == ("Fine.", PRICED, A)
    assert (answered.provider, answered.request_id) == ("openai", "req_1")


def test_no_predicate_is_asked_about_a_stream_that_is_delivered_at_once():
    asked = []
    lab = Lab({A: [whole("Hm.")]}, predicates=(lambda answer: asked.append(answer) or True,))
    for mode in ("restart_before_first_token", "resume", "raise"):
        lab.legs[A] = [whole("Hm.")]
        events, _, _ = lab.read(mode)
        assert text(events) == "Hm."
    assert not asked


def test_a_short_stream_that_was_held_back_whole_is_judged():
    lab = Lab({A: [whole("Hm.")], B: [whole("Well then.")]}, predicates=(too_short,))
    assert text(lab.read("hold_back")[0]) == "Well then."


def test_the_name_of_a_predicate_without_one():
    lab = Lab({A: [answer("No."), answer("No.")]}, predicates=(functools.partial(too_short),))
    with pytest.raises(ResponseError, match="rejected by partial"):
        lab.open(stream=False)


def broken_predicate(answer):
    raise KeyError(answer.text)


async def waiting_predicate(answer):
    return False


@pytest.mark.parametrize(("predicate", "cause"), [(broken_predicate, KeyError), (waiting_predicate, TypeError)])
def test_a_broken_predicate_is_named_and_nobody_else_is_asked(predicate, cause):
    lab = Lab({A: [answer("A secret.", PRICED)], B: [answer("Other.")]}, predicates=(predicate,))
    with pytest.raises(ConfigurationError) as caught:
        lab.open(stream=False)
    error = caught.value
    assert error.field == "fail_if"
    assert predicate.__name__ in str(error)
    assert "A secret." not in str(error)
    assert isinstance(error.__cause__, cause)
    # It was billed, and its row says so.
    assert (lab.attempts[0].input, lab.attempts[0].error) == (1000, "ConfigurationError")
    assert len(lab.asked) == 1
    assert lab.balanced()
    gc.collect()


def test_no_predicates_no_judgement():
    lab = Lab({A: [answer("Hm.")]})
    assert lab.read(stream=False)[1].accumulated.result().text == "Hm."


def test_an_error_of_the_answer_itself_comes_first():
    lab = Lab({A: [[*begun("one"), cut()]], B: [cut(NetworkError("down", sent=True))]}, predicates=(too_short,))
    with pytest.raises(AllTargetsFailed) as caught:
        run_sync(lab.pipeline()(lab.call("buffered")))
    assert [type(error) for error in caught.value.exceptions] == [NetworkError, NetworkError]


def test_usage_of_what_broke_unseen_is_estimated():
    early = [UsageUpdate(Usage(input=321, output=1))]
    lab = Lab({A: [[*begun("x" * 400), early, cut()]], B: [whole("Done.")]})
    lab.read("buffered")
    first = lab.attempts[0]
    assert (first.input, first.output, first.usage_source) == (321, 100, "estimated")
