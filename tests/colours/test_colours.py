from __future__ import annotations

import pytest

import aistrale
from aistrale.errors import (
    AllTargetsFailed,
    AttemptTimeout,
    AuthenticationError,
    ConnectError,
    DeadlineExceeded,
    InvalidRequestError,
    NetworkError,
    OverloadedError,
    RateLimitError,
    ResponseError,
    ServerError,
    StreamInterrupted,
)
from aistrale.testing import Broken, Fault, Say, Slow

MODELS = {
    "openai": "openai/gpt-5-mini",
    "anthropic": "anthropic/claude-haiku-4-5",
    "gemini": "gemini/gemini-2.5-flash",
    "groq": "groq/llama-3.3-70b-versatile",
    "huggingface": "huggingface/openai/gpt-oss-120b",
}
ROUTE = {"routes": {"chat": [MODELS["openai"], MODELS["anthropic"]]}, "default_route": "chat"}
NO_WAIT = {"retry": {"base": 0.001, "cap": 0.002}}
PIECES = "one two three four five six"


def rows(client):
    """The ledger's calls and attempts, oldest first."""
    assert client.flush()
    calls = list(reversed(client.ledger.calls(100)))
    return calls, [client.ledger.attempts(call.call_id) for call in calls]


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_plain_and_streamed_answers_agree(paint, model):
    async def body(face, sim, client):
        whole = await face.run("Hello there", model=model)
        async with face.stream("Hello there", model=model) as stream:
            text = "".join([event.text async for event in stream])
        assert text == whole.text == "This is a simulated answer to: Hello there"
        streamed = stream.completion
        assert streamed.usage == whole.usage
        assert (streamed.finish_reason, streamed.target) == (whole.finish_reason, model) == ("stop", model)
        assert sim.last.request.stream is True
        calls, attempts = rows(client)
        assert [call.outcome for call in calls] == ["success", "success"]
        assert [len(each) for each in attempts] == [1, 1]
        assert [each[0].streamed for each in attempts] == [False, True]
        assert calls[0].input == whole.usage.input

    paint(body)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_the_tool_loop(paint, model):
    asked = []

    def weather(city: str) -> str:
        """The weather of a city."""
        asked.append(city)
        return f"sunny in {city}"

    async def body(face, sim, client):
        answer = await face.run("Weather of 'Rome' and 'Oslo'?", model=model, tools=[weather], max_tool_rounds=2)
        assert asked == ["Rome", "Oslo"]
        assert answer.text == "The tools said: sunny in Rome; sunny in Oslo"
        assert len(answer.attempts) == 2
        assert [call.outcome for call in rows(client)[0]] == ["success", "success"]

    paint(body)


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_a_dead_primary_is_failed_over_at_once(paint, streamed):
    async def body(face, sim, client):
        sim.outage("openai")
        if streamed:
            async with face.stream("Hi") as stream:
                assert "".join([event.text async for event in stream]) == "This is a simulated answer to: Hi"
            answer = stream.completion
        else:
            answer = await face.run("Hi")
        assert answer.target == MODELS["anthropic"]
        assert [attempt.outcome for attempt in answer.attempts] == ["error", "success"]
        calls, attempts = rows(client)
        assert len(calls) == 1
        assert calls[0].attempts == 2
        assert [(each.outcome, each.status) for each in attempts[0]] == [("error", 503), ("success", 200)]

    paint(body, **ROUTE)


def test_throttling_is_not_waited_out_while_another_target_is_idle(paint):
    async def body(face, sim, client):
        sim.outage("openai", Fault(status=429, retry_after=3600))
        answer = await face.run("Hi")
        assert answer.target == MODELS["anthropic"]

    paint(body, **ROUTE)


def test_a_passing_failure_is_retried(paint):
    async def body(face, sim, client):
        sim.script(Fault(status=500), Broken(wreck="short"), provider="openai")
        answer = await face.run("Hi", model=MODELS["openai"])
        assert [attempt.outcome for attempt in answer.attempts] == ["error", "error", "success"]
        (attempts,) = rows(client)[1]
        assert [each.error for each in attempts] == ["ServerError", "NetworkError", None]

    paint(body, **NO_WAIT)


@pytest.mark.parametrize("provider", MODELS)
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(status=401), AuthenticationError),
        (Fault(status=429, retry_after=120), RateLimitError),
        (Fault(status=500), ServerError),
        (Fault(status=503), OverloadedError),
        (Fault(status=422, kind="invalid_request"), InvalidRequestError),
    ],
    ids=lambda value: str(getattr(value, "status", "")) or value.__name__,
)
def test_errors_come_from_the_tree_and_have_their_rows(paint, provider, fault, error):
    async def body(face, sim, client):
        sim.outage(provider, fault)
        with pytest.raises(error) as caught:
            await face.run("Hi", model=MODELS[provider])
        assert caught.value.provider == provider
        assert caught.value.status == fault.status
        calls, attempts = rows(client)
        assert (calls[0].outcome, calls[0].error) == ("error", error.__name__)
        assert {each.status for each in attempts[0]} == {fault.status}
        assert len(attempts[0]) == calls[0].attempts

    paint(body, retry=False)


@pytest.mark.parametrize(
    ("wreck", "error"),
    [
        ("bad_json", ResponseError),
        ("bad_gzip", NetworkError),
        ("html", ResponseError),
        ("short", NetworkError),
        ("reset", NetworkError),
        ("empty", ResponseError),
        ("error_in_200", ServerError),
    ],
)
@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini"])
def test_what_no_provider_means_to_send(paint, provider, wreck, error):
    async def body(face, sim, client):
        sim.outage(provider, Broken(wreck=wreck))
        with pytest.raises(error) as caught:
            await face.run("Hi", model=MODELS[provider])
        assert provider in str(caught.value)
        assert rows(client)[0][0].error == type(caught.value).__name__

    paint(body, retry=False)


@pytest.mark.parametrize("wreck", ["close_early", "reset_early", "truncate", "error_midway", "bad_json"])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_stream_that_breaks_after_content_is_interrupted(paint, model, wreck):
    async def body(face, sim, client):
        sim.script(Broken(wreck=wreck, after=4))
        seen = []

        async def read():
            async with face.stream(PIECES, model=model) as stream:
                async for event in stream:
                    seen.append(event.text)  # noqa: PERF401 - what was seen before the break counts

        with pytest.raises(StreamInterrupted) as caught:
            await read()
        assert caught.value.partial_text == "".join(seen) != ""
        assert "simulated" not in str(caught.value)
        calls, attempts = rows(client)
        assert (calls[0].outcome, attempts[0][0].outcome) == ("interrupted", "interrupted")

    # One piece in a write, so that content is delivered before the break is seen.
    paint(body, retry=False)


@pytest.mark.parametrize("wreck", ["error_in_200", "truncate", "close_early", "empty"])
def test_a_stream_that_breaks_before_content_is_tried_again(paint, wreck):
    async def body(face, sim, client):
        sim.script(Broken(wreck=wreck, after=-1))
        async with face.stream("Hi", model=MODELS["openai"]) as stream:
            text = "".join([event.text async for event in stream])
        assert text == "This is a simulated answer to: Hi"
        assert len(stream.completion.attempts) == 2

    paint(body, **NO_WAIT)


def test_an_early_close_is_recorded_as_abandoned(paint):
    async def body(face, sim, client):
        async with face.stream(PIECES, model=MODELS["openai"]) as stream:
            async for event in stream:
                if event.text:
                    break
        calls, attempts = rows(client)
        assert (calls[0].outcome, attempts[0][0].outcome) == ("abandoned", "abandoned")

    paint(body)


def test_the_deadline_spans_retries(paint):
    async def body(face, sim, client):
        sim.outage("openai", Slow(headers=5.0))
        with pytest.raises(DeadlineExceeded) as caught:
            await face.run("Hi", model=MODELS["openai"], deadline=0.2)
        assert isinstance(caught.value, TimeoutError)
        assert rows(client)[0][0].error == "DeadlineExceeded"

    paint(body)


def test_the_first_token_clock_fails_over(paint):
    async def body(face, sim, client):
        sim.outage("openai", Slow(headers=5.0))
        answer = await face.run("Hi")
        assert answer.target == MODELS["anthropic"]
        assert answer.attempts[0].error == "AttemptTimeout"

    paint(body, clocks={"first_token": 0.2}, **ROUTE)


def test_the_clock_between_tokens_interrupts(paint):
    async def body(face, sim, client):
        sim.outage("openai", Slow(between=0.6))

        async def read():
            async with face.stream(PIECES, model=MODELS["openai"]) as stream:
                async for _ in stream:
                    pass

        with pytest.raises(StreamInterrupted) as caught:
            await read()
        assert isinstance(caught.value.__cause__, AttemptTimeout)

    paint(body, clocks={"between_tokens": 0.2})


def test_all_targets_failed_lists_every_one(paint):
    async def body(face, sim, client):
        sim.outage()
        with pytest.raises(AllTargetsFailed) as caught:
            await face.run("Hi")
        tried = [error.target for error in caught.value.exceptions]
        assert tried[:2] == [MODELS["openai"], MODELS["anthropic"]]
        assert sorted(tried) == sorted(3 * [MODELS["openai"], MODELS["anthropic"]])
        assert [attempt.number for attempt in caught.value.attempts] == [1, 2, 3, 4, 5, 6]

    paint(body, **ROUTE, **NO_WAIT)


def test_nobody_listens(paint):
    async def body(face, sim, client):
        with pytest.raises(ConnectError) as caught:
            await face.run("Hi", model="local/x")
        assert caught.value.sent is False

    settings = {"local": {"compatible": "openai_chat", "base_url": "http://127.0.0.1:9/v1"}}
    paint(body, providers=settings, retry=False)


@pytest.mark.parametrize("model", ["openai/text-embedding-3-small", "gemini/gemini-embedding-001"])
def test_embeddings(paint, model):
    async def body(face, sim, client):
        answer = await face.embed(["one", "two", "one"], model=model)
        assert len(answer.vectors) == 3
        assert answer.vectors[0] == answer.vectors[2] != answer.vectors[1]
        assert rows(client)[0][0].kind == "embed"

    paint(body)


def test_a_session_remembers(paint):
    async def body(face, sim, client):
        session = client.session(system="Be brief.", project="p", tags={"a": "b"})
        await face.turn(session, "My name is Ada.", model=MODELS["anthropic"])
        sim.script(Say(text="Ada."))
        answer = await face.turn(session, "Who am I?", model=MODELS["openai"])
        assert answer.text == "Ada."
        assert [message.role for message in session.messages] == ["user", "assistant", "user", "assistant"]
        sent = sim.last.request.messages
        assert [message.role for message in sent][-3:] == ["user", "assistant", "user"]
        assert sent[0].text == "Be brief."
        calls, _ = rows(client)
        assert {call.session for call in calls} == {session.id}
        assert (calls[0].project, calls[0].tags) == ("p", {"a": "b"})

    paint(body)


def test_context_reaches_the_ledger(paint):
    async def body(face, sim, client):
        with aistrale.context(user="u1", workspace="w", tags={"x": "1"}), aistrale.context(tags={"y": "2"}):
            await face.run("Hi", model=MODELS["openai"])
        call = rows(client)[0][0]
        assert (call.user, call.workspace, call.tags) == ("u1", "w", {"x": "1", "y": "2"})

    paint(body)
