from __future__ import annotations

import json
from contextlib import asynccontextmanager

import pytest
from pydantic import BaseModel

from aistrale.testing import Broken, Fault, Say
from aistrale.types import Choice, Completion, Message, RefusalPart, TextPart, ToolCallPart, Usage
from tests.sdks.judging import QUESTION, TWO, WEATHER

openai = pytest.importorskip("openai")

MODEL = "gpt-5-mini"
ASK = [{"role": "user", "content": "Say hello, please."}]
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Forecast.", "parameters": WEATHER}}]


@asynccontextmanager
async def client(judge, sim, **options):
    made = judge.pick(openai.OpenAI, openai.AsyncOpenAI)(
        base_url=sim.base_url("openai"),
        api_key="k",
        max_retries=0,
        **{"_strict_response_validation": True, **options},
    )
    try:
        yield made
    finally:
        await judge.get(made.close())


def check_usage(usage, told):
    assert usage.prompt_tokens == told.input_total
    assert usage.completion_tokens == told.output_total
    assert usage.total_tokens == told.total


def test_plain(judge, sim):
    async def body():
        async with client(judge, sim) as ai:
            answer = await judge.get(ai.chat.completions.create(model=MODEL, messages=ASK))
        told = sim.last.completion
        assert answer.id == told.id
        assert answer.id.startswith("chatcmpl-")
        assert answer.model == MODEL
        assert answer.choices[0].message.content == told.text == "This is a simulated answer to: Say hello, please."
        assert answer.choices[0].finish_reason == told.finish_reason == "stop"
        assert answer._request_id == sim.last.request_id
        check_usage(answer.usage, told.usage)
        assert sim.last.headers["authorization"] == "Bearer k"

    judge.run(body)


@pytest.mark.parametrize("count", [True, False])
def test_streamed(judge, sim, count):
    async def body():
        options = {"stream_options": {"include_usage": True}} if count else {}
        async with client(judge, sim) as ai:
            chunks = await judge.all(ai.chat.completions.create(model=MODEL, messages=ASK, stream=True, **options))
        told = sim.last.completion
        told_pieces = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
        assert "".join(told_pieces) == told.text
        assert sum(map(bool, told_pieces)) == len(told.text.split())
        assert {(chunk.id, chunk.model, chunk.created) for chunk in chunks} == {(told.id, MODEL, told.created)}
        ends = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
        assert ends == ["stop"]
        counted = [chunk.usage for chunk in chunks if chunk.usage is not None]
        assert len(counted) == int(count)
        for usage in counted:
            check_usage(usage, told.usage)

    judge.run(body)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_is_called_and_its_result_quoted(judge, sim, streamed):
    async def body():
        messages = [{"role": "user", "content": QUESTION}]
        async with client(judge, sim) as ai:
            if streamed:
                async with judge.inside(
                    ai.chat.completions.stream(model=MODEL, messages=messages, tools=TOOLS)
                ) as stream:
                    events = await judge.all(stream)
                    answer = await judge.get(stream.get_final_completion())
                done = [event for event in events if event.type == "tool_calls.function.arguments.done"]
                assert [(event.name, event.arguments) for event in done] == [("weather", '{"city":"Paris","days":2}')]
            else:
                answer = await judge.get(ai.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS))
            (call,) = answer.choices[0].message.tool_calls
            (told,) = sim.last.completion.tool_calls
            assert (call.id, call.function.name, call.function.arguments) == (told.id, "weather", told.arguments)
            assert json.loads(call.function.arguments) == {"city": "Paris", "days": 2}
            assert answer.choices[0].finish_reason == "tool_calls"
            messages += [
                answer.choices[0].message.model_dump(exclude_none=True, exclude={"parsed"}),
                {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
            ]
            last = await judge.get(ai.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS))
        assert last.choices[0].message.content == "The tools said: sunny"
        assert sim.last.request.messages[-1].parts[0].call_id == call.id

    judge.run(body)


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_are_called_in_parallel(judge, sim, streamed):
    async def body():
        asked = {"model": MODEL, "messages": [{"role": "user", "content": TWO}], "tools": TOOLS}
        async with client(judge, sim) as ai:
            if streamed:
                async with judge.inside(ai.chat.completions.stream(**asked)) as stream:
                    await judge.all(stream)
                    answer = await judge.get(stream.get_final_completion())
            else:
                answer = await judge.get(ai.chat.completions.create(**asked))
        calls = answer.choices[0].message.tool_calls
        assert [json.loads(call.function.arguments)["city"] for call in calls] == ["Paris", "Rome"]
        assert [call.id for call in calls] == [call.id for call in sim.last.completion.tool_calls]
        assert len({call.id for call in calls}) == 2

    judge.run(body)


class City(BaseModel):
    name: str
    population: int
    rivers: list[str]


@pytest.mark.parametrize("streamed", [False, True])
def test_structured(judge, sim, streamed):
    async def body():
        asked = {"model": MODEL, "messages": ASK, "response_format": City}
        async with client(judge, sim) as ai:
            if streamed:
                async with judge.inside(ai.chat.completions.stream(**asked)) as stream:
                    await judge.all(stream)
                    answer = await judge.get(stream.get_final_completion())
            else:
                answer = await judge.get(ai.chat.completions.parse(**asked))
        message = answer.choices[0].message
        assert isinstance(message.parsed, City)
        assert message.content == sim.last.completion.text
        assert message.parsed == City.model_validate_json(sim.last.completion.text)

    judge.run(body)


def test_several_choices_limits_and_stops(judge, sim):
    async def body():
        async with client(judge, sim) as ai:
            many = await judge.get(ai.chat.completions.create(model=MODEL, messages=ASK, n=3))
            assert [choice.index for choice in many.choices] == [0, 1, 2]
            assert len({choice.message.content for choice in many.choices}) == 3
            chunks = await judge.all(ai.chat.completions.create(model=MODEL, messages=ASK, n=2, stream=True))
            texts = ["", ""]
            for chunk in chunks:
                for choice in chunk.choices:
                    texts[choice.index] += choice.delta.content or ""
            assert texts == [choice.message.text for choice in sim.last.completion.choices]
            short = await judge.get(ai.chat.completions.create(model=MODEL, messages=ASK, max_completion_tokens=2))
            assert (short.choices[0].message.content, short.choices[0].finish_reason) == ("This is ", "length")
            assert short.usage.completion_tokens == 2
            cut = await judge.get(ai.chat.completions.create(model=MODEL, messages=ASK, stop=["answer", "simulated"]))
            assert (cut.choices[0].message.content, cut.choices[0].finish_reason) == ("This is a ", "stop")

    judge.run(body)


def test_a_refusal_and_a_filtered_answer(judge, sim):
    async def body():
        async with client(judge, sim) as ai:
            sim.script(Say(completion=Completion(choices=[Choice(Message("assistant", [RefusalPart("No.")]), "stop")])))
            refused = await judge.get(ai.chat.completions.create(model=MODEL, messages=ASK))
            assert (refused.choices[0].message.refusal, refused.choices[0].message.content) == ("No.", None)
            sim.script(
                Say(completion=Completion(choices=[Choice(Message("assistant", [TextPart("x")]), "content_filter")]))
            )
            with pytest.raises(openai.ContentFilterFinishReasonError):
                await judge.get(ai.chat.completions.parse(model=MODEL, messages=ASK, response_format=City))

    judge.run(body)


def test_a_given_answer_arrives_as_given(judge, sim):
    async def body():
        usage = Usage(input=7, cache_read=3, output=5, reasoning=2)
        call = ToolCallPart("call_x", "weather", '{"city":"Oslo","days":3}')
        given = Completion(
            "chatcmpl-x", "m-1", [Choice(Message("assistant", [TextPart("ok"), call]), "tool_calls")], usage
        )
        async with client(judge, sim) as ai:
            for streamed in (False, True):
                sim.script(Say(completion=given))
                asked = {"model": MODEL, "messages": ASK, "tools": TOOLS}
                if streamed:
                    options = {"stream_options": {"include_usage": True}}
                    async with judge.inside(ai.chat.completions.stream(**asked, **options)) as stream:
                        await judge.all(stream)
                        answer = await judge.get(stream.get_final_completion())
                else:
                    answer = await judge.get(ai.chat.completions.create(**asked))
                message = answer.choices[0].message
                assert (answer.id, answer.model, message.content) == ("chatcmpl-x", "m-1", "ok")
                (made,) = message.tool_calls
                assert (made.id, made.function.arguments) == ("call_x", '{"city":"Oslo","days":3}')
                assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (10, 7)
                assert answer.usage.prompt_tokens_details.cached_tokens == 3
                assert answer.usage.completion_tokens_details.reasoning_tokens == 2

    judge.run(body)


def test_a_long_prompt_is_read_from_the_cache_the_second_time(judge, sim):
    async def body():
        messages = [{"role": "system", "content": "Rules. " * 1000}, *ASK]
        async with client(judge, sim) as ai:
            first = await judge.get(ai.chat.completions.create(model=MODEL, messages=messages))
            messages[1] = {"role": "user", "content": "Another question"}
            second = await judge.get(ai.chat.completions.create(model=MODEL, messages=messages))
        assert first.usage.prompt_tokens_details.cached_tokens == 0
        assert second.usage.prompt_tokens_details.cached_tokens == 1750
        assert second.usage.prompt_tokens > 1750

    judge.run(body)


ERRORS = [
    (Fault(status=400), "BadRequestError", 400, None),
    (Fault(kind="context_length"), "BadRequestError", 400, "context_length_exceeded"),
    (Fault(kind="authentication"), "AuthenticationError", 401, "invalid_api_key"),
    (Fault(status=403), "PermissionDeniedError", 403, "permission_denied"),
    (Fault(status=404), "NotFoundError", 404, "model_not_found"),
    (Fault(status=422), "UnprocessableEntityError", 422, None),
    (Fault(status=429, retry_after=3), "RateLimitError", 429, "rate_limit_exceeded"),
    (Fault(kind="quota"), "RateLimitError", 429, "insufficient_quota"),
    (Fault(status=500), "InternalServerError", 500, None),
    (Fault(kind="overloaded"), "InternalServerError", 503, "overloaded"),
]


@pytest.mark.parametrize("case", ERRORS)
@pytest.mark.parametrize("streamed", [False, True])
def test_errors(judge, sim, case, streamed):
    fault, name, status, code = case

    async def body():
        sim.script(fault)
        async with client(judge, sim) as ai:
            with pytest.raises(getattr(openai, name)) as caught:
                await judge.get(ai.chat.completions.create(model=MODEL, messages=ASK, stream=streamed))
        error = caught.value
        assert type(error) is getattr(openai, name)
        assert (error.status_code, error.code, error.request_id) == (status, code, sim.last.request_id)
        assert error.body["message"] == "a simulated error"
        if fault.retry_after:
            assert error.response.headers["retry-after"] == "3"
            assert error.response.headers["retry-after-ms"] == "3000"
        assert len(sim.requests) == 1

    judge.run(body)


def test_errors_inside_good_answers(judge, sim):
    async def body():
        async with client(judge, sim) as ai:
            # Over a new connection: that a kept one is gone is no failure of a call, and it is sent again.
            sim.script(Broken(wreck="reset"))
            with pytest.raises(openai.APIConnectionError):
                await judge.get(ai.chat.completions.create(model=MODEL, messages=ASK))
            sim.script(Broken(wreck="error_midway", error=Fault(kind="rate_limit", message="Slow down.")))
            stream = await judge.get(ai.chat.completions.create(model=MODEL, messages=ASK, stream=True))
            with pytest.raises(openai.APIError, match="Slow down") as caught:
                await judge.all(stream)
            assert (caught.value.code, caught.value.type) == ("rate_limit_exceeded", "tokens")

    judge.run(body)


def test_the_sdk_tries_again_by_itself(judge, sim):
    # Of what the simulator tells of its limits, the SDK reads nothing, and would not wait for them.
    judge.set_up(retry={"attempts": 3}, limits=False)

    async def body():
        sim.script(
            Fault(status=429, headers={"retry-after-ms": "1"}), Fault(status=503, headers={"retry-after-ms": "1"})
        )
        async with client(judge, sim) as ai:
            answer = await judge.get(ai.with_options(max_retries=2).chat.completions.create(model=MODEL, messages=ASK))
        assert answer.choices[0].message.content == sim.last.completion.text
        assert [received.status for received in sim.requests] == [429, 503, 200]

    judge.run(body)


@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_embeddings(judge, sim, encoding):
    async def body():
        options = {"encoding_format": encoding} if encoding else {}
        texts = ["one", "two", "one"]
        # Strict validation would refuse the base64 that the SDK itself asks for.
        async with client(judge, sim, _strict_response_validation=False) as ai:
            answer = await judge.get(
                ai.embeddings.create(model="text-embedding-3-small", input=texts, dimensions=8, **options)
            )
        vectors = [item.embedding for item in answer.data]
        if encoding == "base64":
            assert all(isinstance(vector, str) for vector in vectors)
        else:
            assert vectors == [pytest.approx(vector, abs=1e-6) for vector in sim.last.answer.vectors]
            assert all(len(vector) == 8 for vector in vectors)
        assert vectors[0] == vectors[2] != vectors[1]
        assert answer.usage.prompt_tokens == answer.usage.total_tokens == sim.last.answer.usage.input == 3

    judge.run(body)


def test_models_are_listed(judge, sim):
    async def body():
        async with client(judge, sim) as ai:
            page = await judge.get(ai.models.list())
            names = [model.id for model in page.data]
            assert names
            one = await judge.get(ai.models.retrieve(names[0]))
            assert one.id == names[0]
            with pytest.raises(openai.NotFoundError):
                await judge.get(ai.models.retrieve("no-such-model"))

    judge.run(body)


def test_azure(judge, sim):
    async def body():
        made = judge.pick(openai.AzureOpenAI, openai.AsyncAzureOpenAI)(
            azure_endpoint=sim.url, api_key="k", api_version="2026-10-01", max_retries=0
        )
        try:
            answer = await judge.get(made.chat.completions.create(model="my-deployment", messages=ASK))
            assert answer.choices[0].message.content == sim.last.completion.text
            assert (sim.last.provider, sim.last.request.model) == ("openai", "my-deployment")
            assert sim.last.path.startswith("/openai/deployments/my-deployment/chat/completions?api-version=")
            sim.script(Fault(status=429, retry_after=1))
            with pytest.raises(openai.RateLimitError) as caught:
                await judge.get(made.chat.completions.create(model="my-deployment", messages=ASK))
            assert caught.value.code == "RateLimitReached"
        finally:
            await judge.get(made.close())

    judge.run(body)
