"""Streams that another target goes on with: when, with whom, with which question, and what the caller and the ledger see."""

from __future__ import annotations

import gc
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.core.runtime import run_sync
from aistrale.errors import (
    AttemptTimeout,
    AuthenticationError,
    ContentFilterError,
    DeadlineExceeded,
    InvalidRequestError,
    NetworkError,
    OverloadedError,
    QuotaExceededError,
    ResponseError,
    ServerError,
    StreamInterrupted,
)
from aistrale.types import (
    BlockEnd,
    BlockStart,
    Choice,
    Completion,
    Finish,
    Message,
    Other,
    OutputFormat,
    ReasoningDelta,
    ReasoningPart,
    ReplyEnd,
    ReplyStart,
    Switched,
    TextDelta,
    Tool,
    ToolCallPart,
    Usage,
    UsageUpdate,
    Wire,
)
from tests.policies.streaming import OLD, A, B, C, Lab, begun, cut, pull_all, whole


def text(events):
    return "".join(event.text for event in events)


def switches(events):
    return [event for event in events if isinstance(event, Switched)]


def interrupted(lab, mode="resume", **options):
    """The error that a call ends with, and the events before it."""
    call, reply = lab.open(mode, **options)
    seen = []

    def read():
        while (event := run_sync(reply.next())) is not None:
            seen.append(event)

    with pytest.raises(StreamInterrupted) as caught:
        read()
    assert lab.balanced()
    return caught.value, seen, call


# --- going on -----------------------------------------------------------------------------------------------------------


def test_another_target_goes_on():
    lab = Lab({A: [[*begun("One, ", "two, "), cut()]], B: [whole("two, three.")]})
    events, reply, call = lab.read()
    assert text(events) == "One, two, three." == reply.accumulated.result().text
    assert switches(events) == [Switched("anthropic", B, 10, "NetworkError", 5)]
    assert reply.outcome == "success"
    # S2 and S4: one end, and nothing after it.
    assert [type(event) for event in events].count(ReplyEnd) == 1
    assert type(events[-1]) is ReplyEnd
    assert (call.target.name, call.attempt.number) == (B, 2)
    answer = reply.accumulated.result()
    assert (answer.id, answer.model) == ("r2", "m2")


def test_both_parts_have_rows_and_are_counted():
    told = [UsageUpdate(Usage(input=9, output=1))]
    lab = Lab({A: [[*begun("One, "), told, [TextDelta("x" * 40, 0)], cut()]], B: [whole(" three.")]})
    events, reply, call = lab.read()
    first, second = lab.attempts
    assert (first.outcome, first.error, first.target) == ("interrupted", "StreamInterrupted", A)
    # What the provider said at the beginning is no count of what it has delivered since.
    assert (first.input, first.output, first.usage_source) == (9, 12, "estimated")
    assert (second.outcome, second.input, second.usage_source) == ("success", 20, "reported")
    usage = reply.accumulated.result().usage
    assert (usage.input, usage.output, usage.source) == (29, 16, "estimated")
    # Who reads along sees sums too.
    assert [event.usage.input for event in events if isinstance(event, UsageUpdate)] == [9, 29]
    assert (lab.calls[0].attempts, lab.calls[0].outcome, lab.calls[0].input) == (2, "success", 29)
    assert len(call.errors) == 1
    assert lab.balanced()


def test_a_part_whose_tokens_nobody_counted_is_estimated():
    lab = Lab({A: [[*begun("x" * 400), cut()]], B: [whole("yyyyyyyy", usage=None)]})
    _, reply, _ = lab.read()
    first, second = lab.attempts
    assert (first.output, first.usage_source) == (100, "estimated")
    assert first.input > 0
    assert first.cost_reason == "the tokens are estimated"
    assert (second.output, second.usage_source) == (2, "estimated")
    assert reply.accumulated.result().usage.output == 102


def test_the_new_question_quotes_what_was_delivered():
    lab = Lab({A: [[*begun("One, ", "two "), cut()]], B: [whole("three.")]})
    lab.read(max_tokens=100)
    name, request, body = lab.asked[1]
    assert name == B
    assert [message.role for message in request.messages] == ["user"]
    assert "<answer_so_far>\nOne, two \n</answer_so_far>" in request.messages[0].text
    assert request.max_tokens == 100 - 3
    assert json.loads(body)["messages"][-1]["role"] == "user"
    # The question as such stays the caller's.
    assert lab.asked[0][1].messages[0].text == "Count."


def test_a_model_that_takes_it_is_given_the_beginning_of_its_answer():
    lab = Lab({A: [[*begun("One, ", "two "), cut()]], OLD: [whole(" three.")]})
    events, _, _ = lab.read()
    messages = json.loads(lab.asked[1][2])["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant"]
    assert messages[-1]["content"] == "One, two"
    # The blank that could not be sent comes again, once.
    assert text(events) == "One, two three."
    assert switches(events)[0].overlap == 1


REFUSED = InvalidRequestError("no prefill", status=400, code="invalid_request_error")


def test_a_refused_beginning_becomes_a_question_once():
    lab = Lab({A: [[*begun("One, "), cut()]], OLD: [REFUSED, whole("two.")]})
    events, _, call = lab.read()
    assert text(events) == "One, two."
    assert [attempt.outcome for attempt in call.attempts] == ["interrupted", "error", "success"]
    assert [json.loads(body)["messages"][-1]["role"] for _, _, body in lab.asked[1:]] == ["assistant", "user"]
    assert lab.balanced()


def test_when_the_question_is_refused_too_the_original_error_is_raised():
    lab = Lab({A: [[*begun("One, "), cut()]], OLD: [REFUSED, InvalidRequestError("no", status=400)]})
    error, _, _ = interrupted(lab)
    assert error.partial_text == "One, "
    assert isinstance(error.__cause__, NetworkError)
    assert error.target == A
    assert "InvalidRequestError" in error.__notes__[0]
    assert len(lab.asked) == 3


def test_one_question_for_all_who_may_go_on():
    lab = Lab({A: [[*begun("One, "), cut()]], OLD: [ServerError("down", status=500)], B: [whole("two.")]})
    events, _, _ = lab.read()
    assert text(events) == "One, two."
    assert [name for name, _, _ in lab.asked] == [A, OLD, B]
    assert all(json.loads(body)["messages"][-1]["role"] == "user" for _, _, body in lab.asked)


def test_targets_that_have_failed_come_last():
    lab = Lab(
        {
            A: [OverloadedError("busy", status=503), whole("never")],
            B: [[*begun("One, "), cut()]],
            C: [whole("two.")],
        }
    )
    events, _, _ = lab.read()
    assert switches(events)[0].target == C


def test_the_only_target_goes_on_itself_from_its_budget():
    lab = Lab({A: [[*begun("One, "), cut()], whole("two.")]})
    events, _, _ = lab.read()
    assert text(events) == "One, two."
    assert switches(events) == [Switched("openai", A, 5, "NetworkError", 0)]
    # The failure cost one, going on another, and success has earned a tenth of one.
    assert lab.budget(lab.call().target).tokens == pytest.approx(8.1)


def test_without_budget_the_only_target_does_not_go_on():
    lab = Lab({A: [[*begun("One, "), cut()], whole("two.")]}, tokens=0.0)
    interrupted(lab)
    assert len(lab.asked) == 1


def test_another_target_needs_no_budget():
    lab = Lab({A: [[*begun("One, "), cut()]], B: [whole("two.")]}, tokens=0.0)
    assert text(lab.read()[0]) == "One, two."


def test_what_comes_in_one_piece_goes_on_too():
    said = Completion(choices=[Choice(Message.assistant("One, two."), "stop")], usage=Usage(input=7, output=3))
    lab = Lab({A: [[*begun("One, "), cut()]], B: [said]})
    events, reply, _ = lab.read()
    assert text(events) == "One, two." == reply.accumulated.result().text


def test_only_thoughts_were_delivered():
    thinking = [ReplyStart("r1", "m"), BlockStart(0, ReasoningPart()), ReasoningDelta("hm", 0)]
    lab = Lab({A: [[thinking, cut()]], B: [whole("One.")]})
    events, reply, _ = lab.read()
    assert (reply.accumulated.result().reasoning, text(events)) == ("hm", "One.")
    # With no word to quote, the same is asked again.
    assert lab.asked[1][1].messages == lab.asked[0][1].messages
    assert switches(events)[0].at == 0


def test_twice_where_that_is_allowed():
    def lab():
        return Lab({A: [[*begun("One, "), cut()]], B: [[*begun("two, "), cut()]], C: [whole("two, three.")]})

    events, reply, call = (once := lab()).read(rules={"max_resumes": 2})
    assert text(events) == "One, two, three."
    assert [(change.target, change.at, change.overlap) for change in switches(events)] == [(B, 5, 0), (C, 10, 5)]
    assert [attempt.outcome for attempt in call.attempts] == ["interrupted", "interrupted", "success"]
    assert reply.accumulated.result().usage.input > 20
    assert once.balanced()
    error, seen, _ = interrupted(lab())
    assert (error.partial_text, error.target) == ("One, two, ", B)
    assert len(switches(seen)) == 1
    assert error.usage.source == "estimated"


def test_a_part_that_breaks_while_it_only_repeats_has_left_no_trace():
    lab = Lab({A: [[*begun("One, two, "), cut()]], B: [[*begun("One, "), cut()]], C: [whole("three.")]})
    events, _, call = lab.read(rules={"max_resumes": 2})
    assert text(events) == "One, two, three."
    assert [change.target for change in switches(events)] == [C]
    assert [attempt.outcome for attempt in call.attempts] == ["interrupted", "interrupted", "success"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NetworkError("reset", sent=True), "NetworkError"),
        (AttemptTimeout("idle", clock="between_tokens"), "AttemptTimeout"),
        (AttemptTimeout("slow", clock="min_rate"), "AttemptTimeout"),
        (ResponseError("truncated", status=200, code="truncated"), "ResponseError"),
        (OverloadedError("busy", status=503), "OverloadedError"),
        (ServerError("broke", status=500), "ServerError"),
        (QuotaExceededError("spent", status=429), "QuotaExceededError"),
    ],
)
def test_what_breaks_is_gone_on_with(error, reason):
    lab = Lab({A: [[*begun("One, "), error]], B: [whole("two.")]})
    events, _, _ = lab.read()
    assert switches(events)[0].reason == reason


# --- not going on -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        ContentFilterError("refused", status=400),
        AuthenticationError("bad key", status=401),
        InvalidRequestError("bad request", status=400),
    ],
)
def test_what_no_other_target_may_mend_is_raised(error):
    lab = Lab({A: [[*begun("One, "), error]], B: [whole("two.")]})
    raised, _, _ = interrupted(lab)
    assert raised.__cause__ is error
    assert len(lab.asked) == 1


def test_a_spent_quota_does_not_go_on_at_the_same_target():
    lab = Lab({A: [[*begun("One, "), QuotaExceededError("spent", status=429)], whole("two.")]})
    interrupted(lab)
    assert len(lab.asked) == 1


@pytest.mark.parametrize(
    "request_",
    [
        {"tools": [Tool("f", parameters={"type": "object"})]},
        {"output": OutputFormat("json_object")},
        {"logprobs": 1},
        {"n": 2},
    ],
    ids=lambda value: next(iter(value)),
)
def test_more_than_text_was_asked_for(request_):
    lab = Lab({A: [[*begun("One, "), cut()]], B: [whole("two.")]})
    error, _, _ = interrupted(lab, **request_)
    assert error.partial_text == "One, "
    assert len(lab.asked) == 1


SIGNED = Wire("anthropic_messages", {"signature": "s"})


@pytest.mark.parametrize(
    "batch",
    [
        [BlockStart(1, ToolCallPart("c", "f"))],
        [Finish("stop")],
        [BlockStart(1, ReasoningPart()), BlockEnd(1, wire=SIGNED)],
        [TextDelta("a", 0, wire=Wire("openai_chat", {"logprobs": {}}))],
        [TextDelta("b", 0, choice=1)],
    ],
)
def test_more_than_text_has_come(batch):
    lab = Lab({A: [[*begun("One, "), batch, cut()]], B: [whole("two.")]})
    interrupted(lab)
    assert len(lab.asked) == 1


@pytest.mark.parametrize("mode", ["restart_before_first_token", "raise"])
def test_other_modes_do_not_go_on(mode):
    lab = Lab({A: [[*begun("One, "), cut()]], B: [whole("two.")]})
    error, _, _ = interrupted(lab, mode)
    assert error.usage.output == 2
    assert len(lab.asked) == 1


def test_nobody_goes_on():
    lab = Lab({A: [[*begun("One, "), cut()]], B: [ServerError("down", status=500)], C: [cut()]})
    error, seen, call = interrupted(lab)
    assert (error.target, error.attempt, error.partial_text, error.request_id) == (A, 1, "One, ", "req_1")
    assert not switches(seen)
    assert [attempt.target.name for attempt in call.attempts] == [A, B, C]
    # The error shows them all.
    assert [attempt.provider for attempt in error.attempts] == ["openai", "anthropic", "groq"]
    assert "AllTargetsFailed" in error.__notes__[0]


def test_a_refusal_elsewhere_is_not_routed_round():
    lab = Lab({A: [[*begun("One, "), cut()]], B: [ContentFilterError("no", status=400)], C: [whole("two.")]})
    error, _, _ = interrupted(lab)
    assert error.target == A
    assert [name for name, _, _ in lab.asked] == [A, B]


def test_the_deadline_holds_while_somebody_is_looked_for():
    lab = Lab({A: [[*begun("One, "), cut()]], B: [DeadlineExceeded("late")]})
    _, reply = lab.open()
    with pytest.raises(DeadlineExceeded) as caught:
        pull_all(reply)
    assert caught.value.partial_text == "One, "
    assert isinstance(caught.value.__cause__, StreamInterrupted)
    assert reply.outcome == "interrupted"
    assert lab.balanced()


def test_the_deadline_holds_in_the_second_part():
    lab = Lab({A: [[*begun("One, "), cut()]], B: [[*begun("two, "), DeadlineExceeded("late")]]})
    _, reply = lab.open()
    with pytest.raises(DeadlineExceeded) as caught:
        pull_all(reply)
    assert caught.value.partial_text == "One, two, "
    # Both parts, estimated.
    assert caught.value.usage.output == 4
    assert lab.balanced()


def test_an_error_never_causes_itself():
    lab = Lab({A: [[*begun("One, "), DeadlineExceeded("late")]]})
    _, reply = lab.open()
    with pytest.raises(DeadlineExceeded) as caught:
        pull_all(reply)
    assert caught.value.__cause__ is not caught.value


def test_before_the_first_content_it_is_an_ordinary_failover():
    lab = Lab({A: [OverloadedError("busy", status=503)], B: [whole("One.")]})
    events, _, _ = lab.read()
    assert text(events) == "One."
    assert not switches(events)


# --- closing ------------------------------------------------------------------------------------------------------------


def two_parts():
    return Lab({A: [[*begun("One, "), cut()]], B: [[*begun("two, ", "three, "), [TextDelta("four", 0)]]]})


def until(reply, wanted):
    while (event := run_sync(reply.next())) is not None:
        if event.text.endswith(wanted):
            return


@pytest.mark.parametrize(("wanted", "attempts"), [("One, ", 1), ("two, ", 2)])
@pytest.mark.parametrize("how", ["close", "abandon", "forget"])
def test_closing_frees_the_source_and_asks_nobody(how, wanted, attempts):
    lab = two_parts()
    _, reply = lab.open()
    until(reply, wanted)
    if how == "close":
        run_sync(reply.close())
    elif how == "abandon":
        reply.abandon()
    else:
        del reply
        gc.collect()
    feed = lab.feeds[-1]
    assert feed.closed + feed.abandoned == 1
    assert len(lab.asked) == attempts
    assert lab.attempts[-1].outcome == lab.calls[0].outcome == "abandoned"
    assert lab.calls[0].output == sum(row.output for row in lab.attempts)
    assert lab.balanced()


def test_cancelling_in_the_second_part():
    lab = Lab({A: [[*begun("One, "), cut()]], B: [[*begun("two, "), KeyboardInterrupt()]]})
    _, reply = lab.open()
    with pytest.raises(KeyboardInterrupt):
        pull_all(reply)
    assert [row.outcome for row in lab.attempts] == ["interrupted", "cancelled"]
    assert (reply.outcome, lab.calls[0].outcome) == ("cancelled", "cancelled")
    assert lab.balanced()


def test_cancelling_while_somebody_is_looked_for():
    lab = Lab({A: [[*begun("One, "), cut()]], B: [KeyboardInterrupt()]})
    _, reply = lab.open()
    with pytest.raises(KeyboardInterrupt):
        pull_all(reply)
    assert [row.outcome for row in lab.attempts] == ["interrupted", "cancelled"]
    assert lab.balanced()


def test_closing_at_the_end_is_success():
    lab = Lab({A: [[*begun("One, "), cut()]], B: [whole("two.")]})
    _, reply = lab.open()
    while not reply.accumulated.ended:
        run_sync(reply.next())
    run_sync(reply.close())
    assert (reply.outcome, lab.calls[0].outcome) == ("success", "success")
    assert lab.balanced()


def test_a_tap_outside_sees_one_stream_and_the_question_is_untouched_by_it():
    """What an outer policy makes of the text, say by restoring what was redacted, never goes to another provider."""

    class Secret:
        def feed(self, event):
            if isinstance(event, TextDelta):
                return [TextDelta(event.text.replace("[[A]]", "Ada"), event.block)]
            return [event]

        def finish(self):
            return []

    lab = Lab({A: [[*begun("I am [[A]], "), cut()]], B: [whole("and who are you, [[A]]?")]})
    _, reply = lab.open()
    reply.tap(Secret())
    assert text(pull_all(reply)) == "I am Ada, and who are you, Ada?" == reply.accumulated.result().text
    assert "[[A]]" in lab.asked[1][1].messages[-1].text
    assert "Ada" not in lab.asked[1][1].messages[-1].text


# --- all cuts -----------------------------------------------------------------------------------------------------------

sayings = st.text("abc .", min_size=1, max_size=24)


@given(sayings, st.lists(sayings, min_size=1, max_size=3), st.integers(1, 5), st.data())
def test_every_stream_is_one_stream(first, others, size, data):
    """S1 to S4 over all ways to cut answers and to chunk them, with and without an end."""

    def pieces(said):
        return [said[start : start + size] for start in range(0, len(said), size)]

    # Every part but the last breaks somewhere; the last is complete or breaks too.
    complete = data.draw(st.booleans())
    legs = {}
    for name, said in zip((A, B, C, OLD), [first, *others], strict=False):
        legs[name] = [
            [*begun(*pieces(said)), data.draw(st.sampled_from([[Other("x", "ping")], [UsageUpdate(Usage())]]))]
        ]
        legs[name][0].append(cut())
    last = list(legs)[-1]
    if complete:
        legs[last] = [whole(*pieces([first, *others][len(legs) - 1]))]
    lab = Lab(legs)
    resumes = len(legs) - 1
    _, reply = lab.open(rules={"max_resumes": resumes} if resumes else None)
    events, error = [], None
    try:
        while (event := run_sync(reply.next())) is not None:
            events.append(event)
    except StreamInterrupted as raised:
        error = raised
    # S4: exactly one end.
    ends = [type(event) for event in events].count(ReplyEnd)
    assert (ends, error is None) == ((1, True) if complete else (0, False))
    if complete:
        assert type(events[-1]) is ReplyEnd
    # S1: what the deltas spell is the answer, or what the error has of it.
    assert text(events) == (error.partial_text if error else reply.accumulated.result().text)
    # S3: each part is announced before its first word, and adds its text without what it repeats.
    parts, said = [[]], [first, *others]
    for event in events:
        if isinstance(event, Switched):
            assert event.at == sum(len(text(part)) for part in parts)
            parts.append([event])
        else:
            parts[-1].append(event)
    assert text(parts[0]) == first
    for part in parts[1:]:
        assert text(part) == said[list(legs).index(part[0].target)][part[0].overlap :]
    assert [type(event) for event in events].count(ReplyStart) == 1
    assert lab.balanced()
