"""Streams that break: what the caller reads, what is sent to whom, what the ledger says, in every mode and colour."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager

import pytest
import trio

import aistrale
from aistrale.core.runtime import run_sync
from aistrale.errors import (
    AllTargetsFailed,
    AttemptTimeout,
    ConfigurationError,
    DeadlineExceeded,
    InvalidRequestError,
    StreamInterrupted,
)
from aistrale.testing import Broken, Fault, Good, Say, Slow
from aistrale.types import ReplyEnd, ReplyStart, Switched

A, B = "openai/gpt-5-mini", "anthropic/claude-haiku-5-5"
OLD = "anthropic/claude-haiku-4-5"
MODELS = {
    "openai": A,
    "anthropic": B,
    "gemini": "gemini/gemini-2.5-flash",
    "groq": "groq/llama-3.3-70b-versatile",
    "huggingface": "huggingface/openai/gpt-oss-120b",
}
QUESTION = "one two three four five six"
ANSWER = f"This is a simulated answer to: {QUESTION}"
REST = "and the rest of it."


def route(*targets, **more):
    return {"routes": {"chat": {"targets": list(targets), **more}}, "default_route": "chat"}


RESUME = {**route(A, B), "streams": "resume"}


# --- one body for every colour ------------------------------------------------------------------------------------------


class Pulled:
    """A blocking stream that can be iterated with `async for`."""

    def __init__(self, stream):
        self.stream = stream

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            return next(self.stream)
        except StopIteration:
            raise StopAsyncIteration from None

    @property
    def completion(self):
        return self.stream.completion

    async def close(self):
        self.stream.close()


def opener(client, colour):
    """`async with opened(prompt, **options) as stream`, in a colour."""

    @asynccontextmanager
    async def opened(prompt=QUESTION, **options):
        if colour == "sync":
            with client.stream(prompt, **options) as stream:
                yield Pulled(stream)
        else:
            async with client.as_async().stream(prompt, **options) as stream:
                yield stream

    return opened


@pytest.fixture(params=["httpx", "httpx2"])
def http(request):
    pytest.importorskip(request.param)
    return request.param


@pytest.fixture
def play(colour, http):
    """`play(body, **settings)` runs a coroutine that gets `opened` and the client."""
    made = []

    def run(body, **settings):
        client = aistrale.Client(http=http, **settings)
        made.append(client)

        async def main():
            try:
                return await body(opener(client, colour), client)
            finally:
                await client.as_async().close()
                client.close()

        return {"sync": run_sync, "asyncio": asyncio.run}[colour](main()) if colour != "trio" else trio.run(main)

    yield run
    for client in made:
        client.close()
        client.ledger.close()


@pytest.fixture
def ask(sim):
    """`ask(**settings)` reads a stream to its end with the blocking client: events, error, client, stream."""
    made = []

    def run(prompt=QUESTION, *, options=None, **settings):
        client = aistrale.Client(**{**sim.settings(), **settings})
        made.append(client)
        events, error = [], None
        stream = client.stream(prompt, **(options or {}))
        try:
            with stream:
                events.extend(stream)
        except aistrale.errors.AistraleError as raised:
            error = raised
        return events, error, client, stream

    yield run
    for client in made:
        client.close()
        client.ledger.close()


def text(events):
    return "".join(event.text for event in events)


def asked(sim):
    return [received.provider for received in sim.requests]


# --- resume -------------------------------------------------------------------------------------------------------------

WRECKS = ["close_early", "reset_early", "truncate", "error_midway", "bad_json", "stall_early"]


@pytest.mark.parametrize("wreck", WRECKS)
def test_another_target_goes_on(play, sim, balance, no_leak, wreck):
    async def body(opened, client):
        sim.script(Broken(wreck=wreck, after=4), provider="openai")
        sim.script(Say(text=REST), provider="anthropic")
        events = []
        async with opened() as stream:
            async for event in stream:
                events.append(event)  # noqa: PERF401 - the same in every colour
        answer = stream.completion
        (change,) = [event for event in events if isinstance(event, Switched)]
        before = text(events[: events.index(change)])
        assert ANSWER.startswith(before)
        assert before
        # S1: the pieces are the answer.
        assert text(events) == answer.text == before + REST[change.overlap :]
        # S2, S4: one beginning, one end, nothing after it.
        assert [type(event) for event in events].count(ReplyStart) == 1
        assert [type(event) for event in events].count(ReplyEnd) == 1
        assert type(events[-1]) is ReplyEnd
        assert (change.target, change.provider, change.at) == (B, "anthropic", len(before))
        assert (answer.target, answer.provider, answer.model) == (B, "anthropic", "claude-haiku-5-5")
        assert [(each.outcome, each.provider) for each in answer.attempts] == [
            ("interrupted", "openai"),
            ("success", "anthropic"),
        ]
        assert before in sim.last.request.messages[-1].text
        assert asked(sim) == ["openai", "anthropic"]
        (call,), ((first, second),) = balance(client)
        assert (first.usage_source, second.usage_source) == ("estimated", "reported")
        assert first.output > 0
        assert (call.outcome, call.input) == ("success", first.input + second.input) == ("success", answer.usage.input)
        assert float(call.cost) == pytest.approx(float(first.cost) + float(second.cost))
        assert call.cost is not None

    with no_leak():
        play(body, **sim.settings(), **RESUME, clocks={"between_tokens": 0.3})


@pytest.mark.parametrize("first", MODELS)
def test_every_provider_can_break_and_go_on(ask, sim, first):
    for second, model in MODELS.items():
        if second == first:
            continue
        sim.reset()
        sim.script(Broken(wreck="close_early", after=4), provider=first)
        sim.script(Say(text=REST), provider=second)
        events, error, _, stream = ask(**route(MODELS[first], model), streams="resume")
        assert error is None, (first, second)
        (change,) = [event for event in events if isinstance(event, Switched)]
        assert text(events) == stream.completion.text == text(events[: events.index(change)]) + REST[change.overlap :]
        assert asked(sim) == [first, second]


def test_openai_responses_can_break_and_go_on(ask, sim):
    responses = {"openai": {**sim.settings()["providers"]["openai"], "api": "openai_responses"}}
    for first, second in ((A, B), (B, A)):
        sim.reset()
        sim.script(Broken(wreck="close_early", after=5), Say(text=REST))
        events, error, _, _ = ask(
            **route(first, second), streams="resume", providers={**sim.settings()["providers"], **responses}
        )
        assert error is None
        assert text(events).endswith(REST)


def test_what_the_new_part_repeats_is_left_out(ask, sim):
    sim.script(Broken(wreck="close_early", after=6), provider="openai")
    sim.script(Say(text=ANSWER), provider="anthropic")
    events, error, _, stream = ask(**RESUME)
    assert error is None
    assert text(events) == stream.completion.text == ANSWER
    (change,) = [event for event in events if isinstance(event, Switched)]
    assert change.overlap == change.at > 0


def test_an_older_model_is_given_the_beginning_of_its_answer(ask, sim):
    sim.script(Broken(wreck="close_early", after=4), provider="openai")
    sim.script(Say(text=REST), provider="anthropic")
    events, error, _, _ = ask(**route(A, OLD), streams="resume")
    assert error is None
    last = sim.last.request.messages[-1]
    assert last.role == "assistant"
    assert ANSWER.startswith(last.text)
    assert text(events).endswith(REST)


PREFILL = Fault(status=400, message="This model does not support assistant message prefill.")


@pytest.mark.parametrize(("steps", "goes_on"), [((PREFILL,), True), ((PREFILL, PREFILL), False)])
def test_a_refused_beginning_is_put_as_a_question(ask, sim, steps, goes_on):
    sim.script(Broken(wreck="close_early", after=4), provider="openai")
    sim.script(*steps, Say(text=REST), provider="anthropic")
    events, error, _, _ = ask(**route(A, OLD), streams="resume")
    assert [received.request.messages[-1].role for received in sim.requests] == ["user", "assistant", "user"]
    if goes_on:
        assert error is None
        assert text(events).endswith(REST)
    else:
        # The original error, not the refusal.
        assert type(error) is StreamInterrupted
        assert not isinstance(error.__cause__, InvalidRequestError)
        assert error.partial_text == text(events)
        assert error.target == A


def test_going_on_is_asked_for_per_call(ask, sim):
    for options, survives in (({}, False), ({"streams": "resume"}, True), ({"streams": {"mode": "resume"}}, True)):
        sim.reset()
        sim.script(Broken(wreck="close_early", after=4), provider="openai")
        _, error, _, _ = ask(options=options, **route(A, B))
        assert (error is None) == survives
    sim.reset()
    sim.script(Broken(wreck="close_early", after=4), provider="openai")
    _, error, _, _ = ask(options={"streams": "raise"}, **RESUME)
    assert isinstance(error, StreamInterrupted)


def test_a_lone_target_goes_on_itself(ask, sim):
    sim.script(Broken(wreck="close_early", after=4), Say(text=REST))
    events, error, _, stream = ask(options={"model": A}, streams="resume")
    assert error is None
    assert text(events).endswith(REST)
    assert [attempt.provider for attempt in stream.completion.attempts] == ["openai", "openai"]


def test_tools_are_never_put_together(ask, sim):
    def weather(city: str) -> str:
        """The weather of a city."""
        return city

    sim.script(Broken(wreck="close_early", after=2))
    _, error, _, _ = ask("Weather of 'Rome'?", options={"tools": [weather]}, **RESUME)
    assert isinstance(error, StreamInterrupted)
    assert asked(sim) == ["openai"]


def test_structured_output_is_never_put_together(ask, sim):
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    sim.script(Broken(wreck="close_early", after=2))
    _, error, _, _ = ask(options={"output": schema}, **RESUME)
    assert isinstance(error, StreamInterrupted)
    assert asked(sim) == ["openai"]


def test_a_signed_thought_is_never_put_together(ask, sim):
    sim.script(Broken(wreck="close_early", after=13), provider="anthropic")
    _, error, _, _ = ask(options={"reasoning": 2000}, **route(OLD, A), streams="resume")
    assert isinstance(error, StreamInterrupted)
    assert error.partial_text
    assert asked(sim) == ["anthropic"]


def test_nobody_is_there_to_go_on(ask, sim, balance):
    sim.script(Broken(wreck="close_early", after=4), provider="openai")
    sim.outage("anthropic")
    events, error, client, _ = ask(**route(A, B, when_all_down="fail"), streams="resume")
    assert isinstance(error, StreamInterrupted)
    assert error.partial_text == text(events) != ""
    assert (error.provider, error.request_id) == ("openai", sim.requests[0].request_id)
    assert error.usage.source == "estimated"
    assert {each.provider for each in error.attempts[1:]} == {"anthropic"}
    (call,), _ = balance(client)
    assert call.outcome == "interrupted"


def test_the_deadline_holds_over_both_parts(play, sim, balance):
    async def body(opened, client):
        sim.script(Broken(wreck="close_early", after=4), provider="openai")
        sim.script(Slow(between=0.1), provider="anthropic")
        seen, start = [], time.monotonic()

        async def read():
            async with opened(deadline=0.5) as stream:
                async for event in stream:
                    seen.append(event)  # noqa: PERF401 - what was seen before the end counts

        with pytest.raises(DeadlineExceeded) as caught:
            await read()
        assert time.monotonic() - start < 0.5 + 0.25
        assert caught.value.partial_text == text(seen) != ""
        assert caught.value.usage.output > 0
        balance(client)

    play(body, **sim.settings(), **RESUME)


@pytest.mark.parametrize("part", [1, 2])
def test_an_early_close_frees_the_connection_and_asks_nobody(play, sim, balance, no_leak, part):
    async def body(opened, client):
        if part == 2:
            sim.script(Broken(wreck="close_early", after=4), provider="openai")
        sim.outage(step=Slow(between=0.3))
        async with opened() as stream:
            async for event in stream:
                if isinstance(event, Switched) or (part == 1 and event.text):
                    break
            start = time.monotonic()
        assert time.monotonic() - start < 0.1
        assert len(sim.requests) == part
        (call,), _ = balance(client)
        assert call.outcome == "abandoned"
        # What it used is known as well as can be.
        assert call.input > 0
        assert call.cost is not None
        assert "estimated" in call.cost_reason

    with no_leak():
        play(body, **sim.settings(), **RESUME)


def test_cancelling_in_the_second_part_leaves_nothing_behind(sim, balance, no_leak):
    async def read(stream, switched):
        async with stream:
            async for event in stream:
                if isinstance(event, Switched):
                    switched.set()

    async def main(client):
        sim.script(Broken(wreck="close_early", after=4), provider="openai")
        sim.outage("anthropic", Slow(between=0.3))
        switched = asyncio.Event()
        task = asyncio.create_task(read(client.stream(QUESTION), switched))
        await switched.wait()
        start = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - start < 0.1
        await client.close()

    with no_leak():
        client = aistrale.Client(**sim.settings(), **RESUME)
        asyncio.run(main(client.as_async()))
        (call,), ((first, second),) = balance(client)
        assert (call.outcome, first.outcome, second.outcome) == ("cancelled", "interrupted", "cancelled")
        assert len(sim.requests) == 2
        client.close()
        client.ledger.close()


# --- the other modes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wreck", ["close_early", "error_midway", "truncate", "bad_json"])
def test_a_buffered_stream_survives_wherever_it_breaks(play, sim, balance, wreck):
    async def body(opened, client):
        sim.script(Broken(wreck=wreck, after=5), provider="openai")
        events = []
        async with opened() as stream:
            async for event in stream:
                events.append(event)  # noqa: PERF401 - the same in every colour
        assert text(events) == stream.completion.text == ANSWER
        assert not [event for event in events if isinstance(event, Switched)]
        assert stream.completion.target == B
        _, ((first, _),) = balance(client)
        assert first.outcome == "error"
        # An error that comes in one piece with the first content leaves nothing that could be counted.
        assert first.usage_source == "estimated" or wreck in {"error_midway", "bad_json"}

    play(body, **sim.settings(), **route(A, B), streams="buffered")


@pytest.mark.parametrize(("after", "survives"), [(3, True), (20, False)])
def test_a_stream_that_is_held_back_survives_for_a_while(ask, sim, after, survives):
    long = " ".join(str(number) for number in range(40))
    sim.script(Broken(wreck="close_early", after=after), provider="openai")
    events, error, _, _ = ask(long, **route(A, B), streams={"mode": "hold_back", "hold_back": 30})
    assert (error is None) == survives
    if not survives:
        assert error.partial_text == text(events) != ""


@pytest.mark.parametrize("wreck", ["truncate", "close_early", "error_in_200", "empty"])
def test_before_the_first_content_nobody_notices(ask, sim, wreck):
    sim.script(Broken(wreck=wreck, after=-1), provider="openai")
    events, error, _, stream = ask(**route(A, B))
    assert error is None
    assert text(events) == ANSWER
    assert len(stream.completion.attempts) == 2


@pytest.mark.parametrize("wreck", ["truncate", "close_early", "error_in_200"])
def test_who_wants_no_second_attempt_gets_none(play, sim, balance, wreck):
    async def body(opened, client):
        sim.script(Broken(wreck=wreck, after=-1), provider="openai")

        async def read():
            async with opened() as stream:
                async for _ in stream:
                    pass

        with pytest.raises(StreamInterrupted) as caught:
            await read()
        assert caught.value.partial_text == ""
        assert caught.value.__cause__ is not None
        assert "before any content" in str(caught.value)
        assert asked(sim) == ["openai"]
        _, ((attempt,),) = balance(client)
        assert (attempt.outcome, attempt.error) == ("interrupted", "StreamInterrupted")

    play(body, **sim.settings(), **route(A, B), streams="raise")


def test_what_fails_before_it_begins_is_tried_again_in_every_mode(ask, sim):
    for mode in ("raise", "resume", "buffered", "hold_back", "restart_before_first_token"):
        sim.reset()
        sim.script(Fault(status=503), provider="openai")
        events, error, _, _ = ask(**route(A, B), streams=mode)
        assert (error, text(events)) == (None, ANSWER)


def test_a_stream_without_content_is_no_answer(ask, sim):
    sim.script(Say(text=""), provider="openai")
    events, error, _, stream = ask(**route(A, B))
    assert (error, text(events)) == (None, ANSWER)
    assert stream.completion.attempts[0].error == "ResponseError"


# --- answers that are rejected ------------------------------------------------------------------------------------------


def too_short(answer):
    return len(answer.text) < 10


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "buffered"])
def test_a_rejected_answer_is_asked_for_elsewhere(sim, balance, streamed):
    sim.outage("openai", Say(text="No."))
    with aistrale.Client(**sim.settings(), **route(A, B, fail_if=[too_short]), streams="buffered") as client:
        if streamed:
            with client.stream(QUESTION) as stream:
                assert text(stream) == ANSWER
            answer = stream.completion
        else:
            answer = client.run(QUESTION)
        assert (answer.text, answer.target) == (ANSWER, B)
        _, (attempts,) = balance(client)
        assert attempts[0].error == "ResponseError"
        assert attempts[0].input > 0
        assert float(attempts[0].cost) > 0
    client.ledger.close()


def test_all_answers_rejected(sim, balance):
    sim.outage(None, Say(text="No."))
    rejecting = route(A, B, fail_if=[too_short], when_all_down="fail")
    with aistrale.Client(**sim.settings(), **rejecting) as client:
        with pytest.raises(AllTargetsFailed) as caught:
            client.run(QUESTION)
        assert {error.code for error in caught.value.exceptions} == {"rejected"}
        balance(client)
    client.ledger.close()


def test_a_broken_predicate_is_an_error_that_names_it(sim, balance):
    def judge(answer):
        return answer.nothing

    with aistrale.Client(**sim.settings(), **route(A, B, fail_if=[judge])) as client:
        with pytest.raises(ConfigurationError, match="judge raised AttributeError"):
            client.run(QUESTION)
        _, ((attempt,),) = balance(client)
        assert attempt.input > 0
    client.ledger.close()


# --- slow streams -------------------------------------------------------------------------------------------------------


def test_a_slow_stream_is_gone_on_with(play, sim):
    async def body(opened, client):
        sim.script(Slow(between=0.2), provider="openai")
        sim.script(Say(text=REST), provider="anthropic")
        events = []
        async with opened() as stream:
            async for event in stream:
                events.append(event)  # noqa: PERF401 - the same in every colour
        (change,) = [event for event in events if isinstance(event, Switched)]
        assert change.reason == "AttemptTimeout"
        assert text(events).endswith(REST)

    rules = {"mode": "resume", "min_rate": 50.0, "rate_window": 0.5}
    play(body, **sim.settings(), **route(A, B), streams=rules)


def test_a_slow_reader_is_not_a_slow_stream(ask, sim):
    with aistrale.Client(**sim.settings(), streams={"min_rate": 50.0, "rate_window": 0.1}) as client:
        with client.stream(QUESTION, model=A) as stream:
            for event in stream:
                if event.text:
                    time.sleep(0.03)
        assert stream.completion.text == ANSWER
    client.ledger.close()


def test_a_slow_stream_names_the_rule(ask, sim):
    sim.script(Good(), Slow(between=0.2))
    rules = {"min_rate": 50.0, "rate_window": 0.3}
    assert ask(options={"model": A}, streams=rules)[1] is None
    _, error, _, _ = ask(options={"model": A}, streams=rules)
    assert isinstance(error.__cause__, AttemptTimeout)
    assert error.__cause__.clock == "min_rate"
    assert "min_rate" in str(error)


# --- the shared fault server --------------------------------------------------------------------------------------------


def parted(faults, first, second):
    """Settings that lead openai to one fault and anthropic to another."""
    one, other = faults.settings(first)["providers"], faults.settings(second)["providers"]
    return {"providers": {"openai": one["openai"], "anthropic": other["anthropic"]}}


GOOD = "The quick brown fox jumps over über the lazy dog."


@pytest.mark.parametrize(
    "fault",
    [
        "fin_between_chunks:after=4",
        "fin_mid_chunk:after=4",
        "rst_mid_chunk:after=4",
        "sse_no_done:after=4",
        "sse_error:after=4",
        "sse_bad_json:after=4",
        "stall_stream:after=4",
        "ping_forever:after=4",
    ],
)
def test_faults_after_content_are_gone_on_with(faults, ask, fault):
    settings = {**parted(faults, fault, "ok"), **RESUME, "clocks": {"between_tokens": 0.3}}
    events, error, _, stream = ask(**settings)
    assert error is None
    assert text(events) == stream.completion.text == GOOD
    (change,) = [event for event in events if isinstance(event, Switched)]
    assert change.overlap == change.at > 0


@pytest.mark.parametrize("fault", ["rst_mid_chunk:after=0", "sse_error:after=0", "sse_error:after=1", "sse_done_only"])
def test_faults_before_content_restart_elsewhere(faults, ask, fault):
    events, error, _, _ = ask(**parted(faults, fault, "ok"), **route(A, B))
    assert (error, text(events)) == (None, GOOD)
    assert not [event for event in events if isinstance(event, Switched)]


def test_a_beginning_that_is_refused_twice_leaves_the_original_error(faults, ask):
    settings = parted(faults, "fin_between_chunks:after=4", "prefill_400")
    events, error, _, _ = ask(**settings, **route(A, OLD), streams="resume")
    assert type(error) is StreamInterrupted
    assert error.partial_text == text(events) == "The quick brown"


def test_data_after_the_end_is_no_part_of_the_answer(faults, ask):
    for model in (A, B, MODELS["gemini"]):
        events, error, _, _ = ask(options={"model": model}, **faults.settings("sse_after_done"))
        assert (error, text(events)) == (None, GOOD)
        assert type(events[-1]) is ReplyEnd


def test_an_answer_is_complete_although_its_connection_lingers(faults, ask):
    for model in (A, B, MODELS["gemini"]):
        start = time.monotonic()
        events, error, _, _ = ask(options={"model": model}, **faults.settings("half_close_linger"))
        assert (error, text(events)) == (None, GOOD)
        assert time.monotonic() - start < 3.0


def test_tokens_that_nobody_counted_are_estimated(faults, ask, balance):
    events, error, client, stream = ask(options={"model": A}, **faults.settings("sse_no_usage"))
    assert (error, text(events)) == (None, GOOD)
    assert stream.completion.usage.source == "estimated"
    assert stream.completion.usage.output == len(GOOD.encode()) // 4 + 1
    (call,), ((attempt,),) = balance(client)
    assert attempt.usage_source == call.usage_source == "estimated"
    assert call.cost is not None
    assert "estimated" in attempt.cost_reason


def test_silence_in_spite_of_keep_alives_is_noticed(faults, ask):
    for model in (A, B):
        settings = {**faults.settings("ping_forever:after=4"), "clocks": {"between_tokens": 0.3}}
        start = time.monotonic()
        _, error, _, _ = ask(options={"model": model}, **settings)
        assert time.monotonic() - start < 2.0
        assert error.__cause__.clock == "between_tokens"
        assert GOOD.startswith(error.partial_text)
        assert error.partial_text
