from __future__ import annotations

import json
from contextlib import asynccontextmanager

import pytest

from aistrale.testing import Broken, Fault
from tests.sdks.judging import QUESTION, TWO, WEATHER

hub = pytest.importorskip("huggingface_hub")
errors = pytest.importorskip("huggingface_hub.errors")

MODEL = "openai/gpt-oss-120b"
ASK = [{"role": "user", "content": "Say hello, please."}]
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Forecast.", "parameters": WEATHER}}]
SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "forecast", "schema": WEATHER, "strict": True},
}


@pytest.fixture(autouse=True)
def no_registry(tmp_path, monkeypatch):
    """The SDK asks the Hub once a day for a list by which it completes its user agent; here it finds one from today."""
    cached = tmp_path / "harnesses.json"
    cached.write_text('{"standardEnvVars": [], "harnesses": {}}')
    monkeypatch.setattr("huggingface_hub.constants.AGENT_HARNESSES_PATH", str(cached))


@asynccontextmanager
async def client(judge, sim, path=""):
    made = judge.pick(hub.InferenceClient, hub.AsyncInferenceClient)(
        base_url=sim.base_url("huggingface") + path, api_key="hf_k"
    )
    try:
        yield made
    finally:
        await judge.get(made.close())
        # The blocking client's session belongs to the process.
        hub.close_session()


async def answered(judge, ai, streamed, **asked):
    """Text, calls, finish reason and usage, from a whole answer or from its chunks."""
    asked = {"model": MODEL, "messages": ASK, **asked}
    if not streamed:
        answer = await judge.get(ai.chat_completion(**asked))
        message = answer.choices[0].message
        calls = [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or []]
        return message.content or "", calls, answer.choices[0].finish_reason, answer.usage
    chunks = await judge.all(ai.chat_completion(**asked, stream=True, stream_options={"include_usage": True}))
    choices = [choice for chunk in chunks for choice in chunk.choices]
    calls: dict[int, list[str]] = {}
    for choice in choices:
        for call in choice.delta.tool_calls or []:
            made = calls.setdefault(call.index, ["", "", ""])
            made[0] = made[0] or call.id
            made[1] += call.function.name or ""
            made[2] += call.function.arguments or ""
    (reason,) = [choice.finish_reason for choice in choices if choice.finish_reason]
    text = "".join(choice.delta.content or "" for choice in choices)
    return text, [tuple(call) for call in calls.values()], reason, chunks[-1].usage


def check_usage(usage, told):
    assert usage.prompt_tokens == told.input_total
    assert usage.completion_tokens == told.output_total
    assert usage.total_tokens == told.total


@pytest.mark.parametrize("streamed", [False, True])
def test_text(judge, sim, streamed):
    async def body():
        async with client(judge, sim) as ai:
            text, calls, reason, usage = await answered(judge, ai, streamed)
        told = sim.last.completion
        assert (text, calls, reason) == (told.text, [], "stop")
        assert text == "This is a simulated answer to: Say hello, please."
        check_usage(usage, told.usage)
        assert (sim.last.provider, sim.last.path) == ("huggingface", "/huggingface/v1/chat/completions")
        assert sim.last.headers["authorization"] == "Bearer hf_k"

    judge.run(body)


def test_it_speaks_as_openais_client_does(judge, sim):
    async def body():
        async with client(judge, sim) as ai:
            answer = await judge.get(ai.chat.completions.create(model=MODEL, messages=ASK, max_tokens=2))
        assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("This is ", "length")

    judge.run(body)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_is_called_and_its_result_quoted(judge, sim, streamed):
    async def body():
        messages = [{"role": "user", "content": QUESTION}]
        async with client(judge, sim) as ai:
            _, calls, reason, _ = await answered(judge, ai, streamed, messages=messages, tools=TOOLS)
            ((identity, name, arguments),) = calls
            (told,) = sim.last.completion.tool_calls
            assert (identity, name, arguments, reason) == (told.id, "weather", told.arguments, "tool_calls")
            call = {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}
            messages += [
                {"role": "assistant", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": identity, "content": "sunny"},
            ]
            text, _, reason, _ = await answered(judge, ai, streamed, messages=messages, tools=TOOLS)
        assert (text, reason) == ("The tools said: sunny", "stop")

    judge.run(body)


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_are_called_in_parallel(judge, sim, streamed):
    async def body():
        messages = [{"role": "user", "content": TWO}]
        async with client(judge, sim) as ai:
            _, calls, _, _ = await answered(judge, ai, streamed, messages=messages, tools=TOOLS)
        assert [json.loads(arguments)["city"] for _, _, arguments in calls] == ["Paris", "Rome"]

    judge.run(body)


@pytest.mark.parametrize("streamed", [False, True])
def test_structured(judge, sim, streamed):
    async def body():
        async with client(judge, sim) as ai:
            text, *_ = await answered(judge, ai, streamed, response_format=SCHEMA)
        assert json.loads(text) == {"city": "text", "days": 2}

    judge.run(body)


ERRORS = [
    (Fault(status=400), "BadRequestError", 400),
    (Fault(status=401), "HfHubHTTPError", 401),
    (Fault(kind="quota"), "HfHubHTTPError", 402),
    (Fault(status=403), "HfHubHTTPError", 403),
    (Fault(status=404), "HfHubHTTPError", 404),
    (Fault(status=422), "HfHubHTTPError", 422),
    (Fault(status=429), "HfHubHTTPError", 429),
    (Fault(status=500), "HfHubHTTPError", 500),
    (Fault(kind="overloaded"), "HfHubHTTPError", 503),
]


@pytest.mark.parametrize("case", ERRORS)
@pytest.mark.parametrize("streamed", [False, True])
def test_errors(judge, sim, case, streamed):
    fault, name, status = case

    async def body():
        sim.script(fault)
        async with client(judge, sim) as ai:
            with pytest.raises(errors.HfHubHTTPError) as caught:
                await answered(judge, ai, streamed)
        error = caught.value
        assert type(error).__name__ == name
        assert error.response.status_code == status
        assert "a simulated error" in str(error)
        assert error.request_id == f"Root=1-{sim.last.request_id}"
        assert len(sim.requests) == 1

    judge.run(body)


def test_an_error_after_the_stream_has_begun(judge, sim):
    async def body():
        async with client(judge, sim) as ai:
            sim.script(Broken(wreck="error_midway", error=Fault(status=500, message="Out of memory.")))
            with pytest.raises(Exception, match="Out of memory"):
                await answered(judge, ai, streamed=True)

    judge.run(body)


def test_feature_extraction(judge, sim):
    async def body():
        path = "/hf-inference/models/sentence-transformers/all-MiniLM-L6-v2/pipeline/feature-extraction"
        async with client(judge, sim, path) as ai:
            vectors = await judge.get(ai.feature_extraction("one"))
        assert vectors.tolist() == [pytest.approx(sim.last.answer.vectors[0], abs=1e-6)]
        assert sim.last.request.model == "sentence-transformers/all-MiniLM-L6-v2"
        async with client(judge, sim) as ai:
            again = await judge.get(ai.feature_extraction("one"))
        assert again.tolist() == vectors.tolist()

    judge.run(body)
