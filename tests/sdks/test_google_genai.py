from __future__ import annotations

import json
from contextlib import asynccontextmanager

import pytest
from pydantic import BaseModel

from aistrale.testing import Broken, Fault, Say
from aistrale.types import Choice, Completion, Message, TextPart, ToolCallPart, Usage
from tests.sdks.judging import QUESTION, TWO, WEATHER

genai = pytest.importorskip("google.genai")
errors = pytest.importorskip("google.genai.errors")
types = pytest.importorskip("google.genai.types")

MODEL = "gemini-2.5-flash"
ASK = "Say hello, please."
TOOL = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(name="weather", description="Forecast.", parameters_json_schema=WEATHER)
    ]
)
BY_HAND = types.AutomaticFunctionCallingConfig(disable=True)


@asynccontextmanager
async def client(judge, sim, **options):
    options.setdefault("http_options", types.HttpOptions(base_url=sim.base_url("gemini")))
    made = genai.Client(api_key="k", **options)
    try:
        yield judge.pick(made, made.aio)
    finally:
        if judge.colour == "async":
            await made.aio.aclose()
        made.close()


async def answered(judge, ai, contents, *, streamed=False, **config):
    """The whole answer and the chunks, if it came in chunks; the text, calls and last usage of all of them."""
    settings = types.GenerateContentConfig(automatic_function_calling=BY_HAND, **config)
    if not streamed:
        answer = await judge.get(ai.models.generate_content(model=MODEL, contents=contents, config=settings))
        return answer, [answer]
    stream = ai.models.generate_content_stream(model=MODEL, contents=contents, config=settings)
    chunks = await judge.all(stream)
    return chunks[-1], chunks


def parts_of(chunks):
    return [
        part
        for chunk in chunks
        if chunk.candidates and chunk.candidates[0].content
        for part in chunk.candidates[0].content.parts or []
    ]


def text_of(chunks):
    return "".join(part.text or "" for part in parts_of(chunks) if not part.thought)


def check_usage(usage, told):
    assert usage.prompt_token_count == told.input_total
    assert usage.candidates_token_count == told.output
    assert (usage.thoughts_token_count or 0) == (told.reasoning or 0)
    assert usage.total_token_count == told.total


@pytest.mark.parametrize("streamed", [False, True])
def test_text(judge, sim, streamed):
    async def body():
        async with client(judge, sim) as ai:
            answer, chunks = await answered(judge, ai, ASK, streamed=streamed, system_instruction="Be kind.")
        told = sim.last.completion
        assert text_of(chunks) == told.text == "This is a simulated answer to: Say hello, please."
        assert (len(chunks) > 3) is streamed
        assert answer.candidates[0].finish_reason == types.FinishReason.STOP
        assert {(chunk.response_id, chunk.model_version) for chunk in chunks} == {(told.id, MODEL)}
        check_usage(answer.usage_metadata, told.usage)
        assert sim.last.path.startswith(f"/gemini/v1/models/{MODEL}:")
        assert sim.last.headers["x-goog-api-key"] == "k"
        assert sim.last.request.messages[0].text == "Be kind."

    judge.run(body)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("thinks", [False, True])
def test_a_tool_is_called_and_its_result_quoted(judge, sim, streamed, thinks):
    async def body():
        contents = [types.Content(role="user", parts=[types.Part(text=QUESTION)])]
        config = {"tools": [TOOL]}
        if thinks:
            config["thinking_config"] = types.ThinkingConfig(include_thoughts=True, thinking_budget=1024)
        async with client(judge, sim) as ai:
            answer, chunks = await answered(judge, ai, contents, streamed=streamed, **config)
            told = sim.last.completion
            (call,) = [part.function_call for part in parts_of(chunks) if part.function_call]
            assert (call.name, call.args) == ("weather", {"city": "Paris", "days": 2})
            assert call.id == told.tool_calls[0].id
            assert answer.candidates[0].finish_reason == types.FinishReason.STOP
            thoughts = "".join(part.text for part in parts_of(chunks) if part.thought)
            assert thoughts == (told.reasoning if thinks else "")
            check_usage(answer.usage_metadata, told.usage)
            result = types.Part.from_function_response(name="weather", response={"output": "sunny"})
            result.function_response.id = call.id
            contents += [
                types.Content(role="model", parts=[part for part in parts_of(chunks) if part.function_call]),
                types.Content(role="user", parts=[result]),
            ]
            _, chunks = await answered(judge, ai, contents, streamed=streamed, **config)
        assert "sunny" in text_of(chunks)
        assert text_of(chunks).startswith("The tools said: ")

    judge.run(body)


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_are_called_in_parallel(judge, sim, streamed):
    async def body():
        async with client(judge, sim) as ai:
            _, chunks = await answered(judge, ai, TWO, streamed=streamed, tools=[TOOL])
        calls = [part.function_call for part in parts_of(chunks) if part.function_call]
        assert [call.args["city"] for call in calls] == ["Paris", "Rome"]
        assert [call.id for call in calls] == [call.id for call in sim.last.completion.tool_calls]

    judge.run(body)


def weather(city: str, days: int) -> str:
    """Forecast."""
    return f"rain in {city} for {days} days"


def test_the_sdk_calls_functions_by_itself(judge, sim):
    async def body():
        config = types.GenerateContentConfig(tools=[weather])
        async with client(judge, sim) as ai:
            answer = await judge.get(ai.models.generate_content(model=MODEL, contents=QUESTION, config=config))
        assert "rain in Paris for 1 days" in answer.text
        assert [received.operation for received in sim.requests] == ["chat", "chat"]

    judge.run(body)


class City(BaseModel):
    name: str
    population: int
    rivers: list[str]


@pytest.mark.parametrize("form", ["class", "json schema"])
@pytest.mark.parametrize("streamed", [False, True])
def test_structured(judge, sim, streamed, form):
    async def body():
        schema = {"response_schema": City} if form == "class" else {"response_json_schema": City.model_json_schema()}
        config = {"response_mime_type": "application/json", **schema}
        async with client(judge, sim) as ai:
            answer, chunks = await answered(judge, ai, ASK, streamed=streamed, **config)
        city = City.model_validate_json(text_of(chunks))
        assert text_of(chunks) == sim.last.completion.text
        if not streamed:
            assert answer.parsed == (city if form == "class" else city.model_dump())

    judge.run(body)


@pytest.mark.parametrize("streamed", [False, True])
def test_candidates_limits_and_stops(judge, sim, streamed):
    async def body():
        async with client(judge, sim) as ai:
            if not streamed:
                many, _ = await answered(judge, ai, ASK, candidate_count=2)
                texts = [candidate.content.parts[0].text for candidate in many.candidates]
                assert texts == [choice.message.text for choice in sim.last.completion.choices]
            short, chunks = await answered(judge, ai, ASK, streamed=streamed, max_output_tokens=2)
            assert text_of(chunks) == "This is "
            assert short.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
            cut, chunks = await answered(judge, ai, ASK, streamed=streamed, stop_sequences=["answer"])
        assert text_of(chunks) == "This is a simulated "
        assert cut.candidates[0].finish_reason == types.FinishReason.STOP

    judge.run(body)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_given_answer_arrives_as_given(judge, sim, streamed):
    async def body():
        usage = Usage(input=7, cache_read=3, output=5, reasoning=2)
        call = ToolCallPart("call_x", "weather", '{"city":"Oslo","days":3}')
        message = Message("assistant", [TextPart("ok"), call])
        sim.script(Say(completion=Completion("id-x", "m-1", [Choice(message, "tool_calls")], usage)))
        async with client(judge, sim) as ai:
            answer, chunks = await answered(judge, ai, ASK, streamed=streamed, tools=[TOOL])
        assert (answer.response_id, answer.model_version, text_of(chunks)) == ("id-x", "m-1", "ok")
        (made,) = [part.function_call for part in parts_of(chunks) if part.function_call]
        assert (made.id, made.args) == ("call_x", {"city": "Oslo", "days": 3})
        told = answer.usage_metadata
        counts = (told.prompt_token_count, told.cached_content_token_count, told.candidates_token_count)
        assert (*counts, told.thoughts_token_count) == (10, 3, 5, 2)

    judge.run(body)


ERRORS = [
    (Fault(status=400), "ClientError", 400, "INVALID_ARGUMENT"),
    (Fault(kind="authentication"), "ClientError", 400, "INVALID_ARGUMENT"),
    (Fault(status=401), "ClientError", 401, "UNAUTHENTICATED"),
    (Fault(status=403), "ClientError", 403, "PERMISSION_DENIED"),
    (Fault(status=404), "ClientError", 404, "NOT_FOUND"),
    (Fault(status=429, retry_after=34.5), "ClientError", 429, "RESOURCE_EXHAUSTED"),
    (Fault(kind="quota"), "ClientError", 429, "RESOURCE_EXHAUSTED"),
    (Fault(status=500), "ServerError", 500, "INTERNAL"),
    (Fault(kind="overloaded"), "ServerError", 503, "UNAVAILABLE"),
    (Fault(status=504), "ServerError", 504, "DEADLINE_EXCEEDED"),
]


@pytest.mark.parametrize("case", ERRORS)
@pytest.mark.parametrize("streamed", [False, True])
def test_errors(judge, sim, case, streamed):
    fault, name, status, word = case

    async def body():
        sim.script(fault)
        async with client(judge, sim) as ai:
            with pytest.raises(errors.APIError) as caught:
                await answered(judge, ai, ASK, streamed=streamed)
        error = caught.value
        assert type(error).__name__ == name
        assert (error.code, error.status, error.message) == (status, word, "a simulated error")
        told = json.dumps(error.details)
        assert ("34.5s" in told) is (fault.retry_after is not None)
        assert ("API_KEY_INVALID" in told) is (fault.kind == "authentication" or status == 401)
        assert ("PerDay" in told) is (fault.kind == "quota")

    judge.run(body)


def test_an_error_after_the_stream_has_begun(judge, sim):
    async def body():
        async with client(judge, sim) as ai:
            sim.script(Broken(wreck="error_midway", error=Fault(kind="rate_limit", message="Slow down.")))
            with pytest.raises(errors.APIError) as caught:
                await answered(judge, ai, ASK, streamed=True)
        assert (caught.value.code, caught.value.message) == (429, "Slow down.")

    judge.run(body)


def test_tokens_are_counted_as_the_answer_counts_them(judge, sim):
    async def body():
        async with client(judge, sim) as ai:
            count = await judge.get(ai.models.count_tokens(model=MODEL, contents=ASK))
            answer, _ = await answered(judge, ai, ASK)
        assert count.total_tokens == answer.usage_metadata.prompt_token_count

    judge.run(body)


def test_embeddings(judge, sim):
    async def body():
        config = types.EmbedContentConfig(output_dimensionality=8, task_type="RETRIEVAL_QUERY")
        async with client(judge, sim) as ai:
            answer = await judge.get(
                ai.models.embed_content(model="gemini-embedding-001", contents=["one", "two"], config=config)
            )
        assert [item.values for item in answer.embeddings] == sim.last.answer.vectors
        assert (sim.last.request.dimensions, sim.last.request.task) == (8, "RETRIEVAL_QUERY")
        assert sim.last.request.model == "gemini-embedding-001"

    judge.run(body)


def test_the_beta_version_has_paths_of_its_own(judge, sim):
    async def body():
        options = types.HttpOptions(base_url=sim.base_url("gemini"), api_version="v1beta")
        async with client(judge, sim, http_options=options) as ai:
            _, chunks = await answered(judge, ai, ASK)
        assert text_of(chunks) == sim.last.completion.text
        assert sim.last.path.startswith("/gemini/v1beta/")

    judge.run(body)


def test_chats(judge, sim):
    async def body():
        async with client(judge, sim) as ai:
            chat = ai.chats.create(model=MODEL)
            first = await judge.get(chat.send_message("My name is Ada."))
            await judge.get(chat.send_message("Who am I?"))
        texts = [message.text for message in sim.last.request.messages]
        assert texts == ["My name is Ada.", first.text, "Who am I?"]

    judge.run(body)


def test_models_are_listed(judge, sim):
    async def body():
        async with client(judge, sim) as ai:
            names = [model.name for model in await judge.all(ai.models.list())]
            one = await judge.get(ai.models.get(model=names[0]))
        assert one.name == names[0]
        assert names[0].startswith("models/")

    judge.run(body)
