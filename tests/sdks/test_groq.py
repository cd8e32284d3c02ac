from __future__ import annotations

import json
from contextlib import asynccontextmanager

import pytest

from aistrale.testing import Broken, Fault
from tests.sdks.judging import QUESTION, TWO, WEATHER

groq = pytest.importorskip("groq")

MODEL = "openai/gpt-oss-20b"
ASK = [{"role": "user", "content": "Say hello, please."}]
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Forecast.", "parameters": WEATHER}}]
SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "forecast", "schema": WEATHER, "strict": True},
}


@asynccontextmanager
async def client(judge, sim):
    made = judge.pick(groq.Groq, groq.AsyncGroq)(base_url=sim.base_url("groq"), api_key="k", max_retries=0)
    try:
        yield made
    finally:
        await judge.get(made.close())


async def answered(judge, ai, streamed, **asked):
    """Text, thoughts, calls, finish reason and usage, from a whole answer or from its chunks."""
    asked = {"model": MODEL, "messages": ASK, **asked}
    if not streamed:
        answer = await judge.get(ai.chat.completions.create(**asked))
        message = answer.choices[0].message
        calls = [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or []]
        return message.content or "", message.reasoning or "", calls, answer.choices[0].finish_reason, answer.usage
    chunks = await judge.all(ai.chat.completions.create(**asked, stream=True))
    assert chunks[0].x_groq.id
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    calls = [call for delta in deltas for call in delta.tool_calls or []]
    reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    (reason,) = reasons
    return (
        "".join(delta.content or "" for delta in deltas),
        "".join(delta.reasoning or "" for delta in deltas),
        [(call.id, call.function.name, call.function.arguments) for call in calls],
        reason,
        chunks[-1].x_groq.usage,
    )


def check_usage(usage, told):
    assert usage.prompt_tokens == told.input_total
    assert usage.completion_tokens == told.output_total
    assert usage.total_tokens == told.total


@pytest.mark.parametrize("streamed", [False, True])
def test_text(judge, sim, streamed):
    async def body():
        async with client(judge, sim) as ai:
            text, thought, calls, reason, usage = await answered(judge, ai, streamed)
        told = sim.last.completion
        assert (text, thought, calls, reason) == (told.text, "", [], "stop")
        assert text == "This is a simulated answer to: Say hello, please."
        check_usage(usage, told.usage)
        assert sim.last.provider == "groq"
        assert sim.last.path == "/groq/openai/v1/chat/completions"

    judge.run(body)


def test_the_exchange_is_named(judge, sim):
    async def body():
        async with client(judge, sim) as ai:
            raw = await judge.get(ai.chat.completions.with_raw_response.create(model=MODEL, messages=ASK))
        assert raw.headers["x-request-id"] == sim.last.request_id
        assert int(raw.headers["x-ratelimit-remaining-tokens"]) == int(raw.headers["x-ratelimit-limit-tokens"]) - 1

    judge.run(body)


@pytest.mark.parametrize("streamed", [False, True])
def test_thoughts(judge, sim, streamed):
    async def body():
        async with client(judge, sim) as ai:
            text, thought, _, _, usage = await answered(
                judge, ai, streamed, reasoning_effort="low", reasoning_format="parsed"
            )
        told = sim.last.completion
        assert (text, thought) == (told.text, told.reasoning)
        assert thought
        assert usage.completion_tokens_details.reasoning_tokens == told.usage.reasoning

    judge.run(body)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_is_called_and_its_result_quoted(judge, sim, streamed):
    async def body():
        messages = [{"role": "user", "content": QUESTION}]
        async with client(judge, sim) as ai:
            _, _, calls, reason, _ = await answered(judge, ai, streamed, messages=messages, tools=TOOLS)
            ((identity, name, arguments),) = calls
            (told,) = sim.last.completion.tool_calls
            assert (identity, name, arguments, reason) == (told.id, "weather", told.arguments, "tool_calls")
            assert json.loads(arguments) == {"city": "Paris", "days": 2}
            call = {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}
            messages += [
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": identity, "content": "sunny"},
            ]
            text, _, _, reason, _ = await answered(judge, ai, streamed, messages=messages, tools=TOOLS)
        assert (text, reason) == ("The tools said: sunny", "stop")

    judge.run(body)


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_are_called_in_parallel(judge, sim, streamed):
    async def body():
        messages = [{"role": "user", "content": TWO}]
        async with client(judge, sim) as ai:
            _, _, calls, _, _ = await answered(judge, ai, streamed, messages=messages, tools=TOOLS)
        assert [json.loads(arguments)["city"] for _, _, arguments in calls] == ["Paris", "Rome"]

    judge.run(body)


@pytest.mark.parametrize("streamed", [False, True])
def test_structured(judge, sim, streamed):
    async def body():
        async with client(judge, sim) as ai:
            text, *_ = await answered(judge, ai, streamed, response_format=SCHEMA)
            assert json.loads(text) == {"city": "text", "days": 2}
            text, *_ = await answered(judge, ai, streamed, response_format={"type": "json_object"})
            assert isinstance(json.loads(text), dict)

    judge.run(body)


ERRORS = [
    (Fault(status=400), "BadRequestError", 400, None),
    (Fault(status=400, code="tool_use_failed"), "BadRequestError", 400, "tool_use_failed"),
    (Fault(kind="authentication"), "AuthenticationError", 401, "invalid_api_key"),
    (Fault(status=403), "PermissionDeniedError", 403, "model_permission_blocked_project"),
    (Fault(status=404), "NotFoundError", 404, "model_not_found"),
    (Fault(status=422), "UnprocessableEntityError", 422, None),
    (Fault(status=429, retry_after=3), "RateLimitError", 429, "rate_limit_exceeded"),
    (Fault(kind="overloaded"), "APIStatusError", 498, "capacity_exceeded"),
    (Fault(status=500), "InternalServerError", 500, None),
    (Fault(status=503), "InternalServerError", 503, None),
]


@pytest.mark.parametrize("case", ERRORS)
@pytest.mark.parametrize("streamed", [False, True])
def test_errors(judge, sim, case, streamed):
    fault, name, status, code = case

    async def body():
        sim.script(fault)
        async with client(judge, sim) as ai:
            with pytest.raises(groq.APIStatusError) as caught:
                await answered(judge, ai, streamed)
        error = caught.value
        assert type(error).__name__ == name
        assert error.status_code == status
        assert error.response.headers["x-request-id"] == sim.last.request_id
        told = error.body["error"]
        assert told["message"] == "a simulated error"
        assert code is None or told["code"] == code
        assert error.response.headers.get("retry-after") == ("3" if fault.retry_after else None)
        assert ("failed_generation" in told) is (code == "tool_use_failed")

    judge.run(body)


def test_an_error_after_the_stream_has_begun(judge, sim):
    async def body():
        async with client(judge, sim) as ai:
            sim.script(Broken(wreck="error_midway", error=Fault(kind="rate_limit", message="Slow down.")))
            with pytest.raises(groq.APIError, match="Slow down"):
                await answered(judge, ai, streamed=True)

    judge.run(body)


def test_embeddings(judge, sim):
    async def body():
        async with client(judge, sim) as ai:
            answer = await judge.get(ai.embeddings.create(model="nomic-embed-text-v1_5", input=["one", "two"]))
        assert [item.embedding for item in answer.data] == sim.last.answer.vectors
        assert answer.usage.prompt_tokens == 2

    judge.run(body)


def test_models_are_listed(judge, sim):
    async def body():
        async with client(judge, sim) as ai:
            names = [model.id for model in (await judge.get(ai.models.list())).data]
            assert names
            one = await judge.get(ai.models.retrieve(names[0]))
        assert one.id == names[0]

    judge.run(body)


def test_without_a_prefix_the_caller_is_known_by_its_name(judge, sim):
    async def body():
        made = judge.pick(groq.Groq, groq.AsyncGroq)(base_url=sim.url, api_key="k", max_retries=0)
        try:
            await judge.get(made.chat.completions.create(model=MODEL, messages=ASK))
        finally:
            await judge.get(made.close())
        assert (sim.last.provider, sim.last.path) == ("groq", "/openai/v1/chat/completions")

    judge.run(body)
