from __future__ import annotations

import json
from contextlib import asynccontextmanager

import pytest
from pydantic import BaseModel

from aistrale.testing import Broken, Fault, Say
from aistrale.types import Choice, Completion, Message, TextPart, ToolCallPart, Usage
from tests.sdks.judging import QUESTION, TWO, WEATHER

openai = pytest.importorskip("openai")

MODEL = "gpt-5-mini"
ASK = "Say hello, please."
TOOLS = [{"type": "function", "name": "weather", "description": "Forecast.", "parameters": WEATHER, "strict": True}]


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


async def streamed_answer(judge, ai, **asked):
    """The helper's final response, and the events on the way."""
    async with judge.inside(ai.responses.stream(model=MODEL, **asked)) as stream:
        events = await judge.all(stream)
        return await judge.get(stream.get_final_response()), events


def check_usage(usage, told):
    assert usage.input_tokens == told.input_total
    assert usage.output_tokens == told.output_total
    assert usage.total_tokens == told.total


def test_plain(judge, sim):
    async def body():
        async with client(judge, sim) as ai:
            answer = await judge.get(ai.responses.create(model=MODEL, instructions="Be kind.", input=ASK))
        told = sim.last.completion
        assert answer.id == told.id
        assert answer.id.startswith("resp_")
        assert answer.output_text == told.text == "This is a simulated answer to: Say hello, please."
        assert (answer.status, answer.model, answer.created_at) == ("completed", MODEL, told.created)
        assert answer.instructions == "Be kind."
        assert answer._request_id == sim.last.request_id
        check_usage(answer.usage, told.usage)

    judge.run(body)


def test_streamed(judge, sim):
    async def body():
        async with client(judge, sim) as ai:
            events = await judge.all(ai.responses.create(model=MODEL, input=ASK, stream=True))
        told = sim.last.completion
        assert [event.sequence_number for event in events] == list(range(len(events)))
        kinds = [event.type for event in events]
        assert kinds[:4] == [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
        ]
        assert kinds[-4:] == [
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
        assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == told.text
        final = events[-1].response
        assert (final.id, final.output_text, final.status) == (told.id, told.text, "completed")
        check_usage(final.usage, told.usage)

    judge.run(body)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("thinks", [False, True])
def test_a_tool_is_called_and_its_result_quoted(judge, sim, streamed, thinks):
    async def body():
        items = [{"role": "user", "content": QUESTION}]
        asked = {"input": items, "tools": TOOLS, "store": False}
        if thinks:
            asked |= {"reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}
        async with client(judge, sim) as ai:
            if streamed:
                answer, events = await streamed_answer(judge, ai, **asked)
                done = [event for event in events if event.type == "response.function_call_arguments.done"]
                assert [event.arguments for event in done] == ['{"city":"Paris","days":2}']
            else:
                answer = await judge.get(ai.responses.create(model=MODEL, **asked))
            told = sim.last.completion
            (call,) = [item for item in answer.output if item.type == "function_call"]
            (made,) = told.tool_calls
            assert (call.call_id, call.name, call.arguments) == (made.id, "weather", made.arguments)
            thoughts = [item for item in answer.output if item.type == "reasoning"]
            assert [item.summary[0].text for item in thoughts] == ([told.reasoning] if thinks else [])
            assert all(item.encrypted_content and item.id.startswith("rs_") for item in thoughts)
            if thinks:
                assert answer.usage.output_tokens_details.reasoning_tokens == told.usage.reasoning
            items += [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in answer.output]
            items.append({"type": "function_call_output", "call_id": call.call_id, "output": "sunny"})
            last = await judge.get(ai.responses.create(model=MODEL, **asked))
        assert last.output_text == "The tools said: sunny"

    judge.run(body)


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_are_called_in_parallel(judge, sim, streamed):
    async def body():
        asked = {"input": TWO, "tools": TOOLS}
        async with client(judge, sim) as ai:
            if streamed:
                answer, _ = await streamed_answer(judge, ai, **asked)
            else:
                answer = await judge.get(ai.responses.create(model=MODEL, **asked))
        calls = [item for item in answer.output if item.type == "function_call"]
        assert [json.loads(call.arguments)["city"] for call in calls] == ["Paris", "Rome"]
        assert [call.call_id for call in calls] == [call.id for call in sim.last.completion.tool_calls]

    judge.run(body)


class City(BaseModel):
    name: str
    population: int
    rivers: list[str]


@pytest.mark.parametrize("streamed", [False, True])
def test_structured(judge, sim, streamed):
    async def body():
        async with client(judge, sim) as ai:
            if streamed:
                answer, _ = await streamed_answer(judge, ai, input=ASK, text_format=City)
            else:
                answer = await judge.get(ai.responses.parse(model=MODEL, input=ASK, text_format=City))
        assert isinstance(answer.output_parsed, City)
        assert answer.output_text == sim.last.completion.text
        assert answer.output_parsed == City.model_validate_json(sim.last.completion.text)

    judge.run(body)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_limit_leaves_the_answer_incomplete(judge, sim, streamed):
    async def body():
        # 16 is the least that the API takes; the usual answer is shorter.
        asked = {"model": MODEL, "input": "word " * 40, "max_output_tokens": 16}
        async with client(judge, sim) as ai:
            if streamed:
                events = await judge.all(ai.responses.create(**asked, stream=True))
                assert events[-1].type == "response.incomplete"
                answer = events[-1].response
            else:
                answer = await judge.get(ai.responses.create(**asked))
        assert answer.status == "incomplete"
        assert answer.incomplete_details.reason == "max_output_tokens"
        assert answer.output_text == sim.last.completion.text
        assert answer.usage.output_tokens == 16

    judge.run(body)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_given_answer_arrives_as_given(judge, sim, streamed):
    async def body():
        usage = Usage(input=7, cache_read=3, output=5, reasoning=2)
        call = ToolCallPart("call_x", "weather", '{"city":"Oslo","days":3}')
        message = Message("assistant", [TextPart("ok"), call])
        sim.script(Say(completion=Completion("resp_x", "m-1", [Choice(message, "tool_calls")], usage)))
        async with client(judge, sim) as ai:
            if streamed:
                answer, _ = await streamed_answer(judge, ai, input=ASK, tools=TOOLS)
            else:
                answer = await judge.get(ai.responses.create(model=MODEL, input=ASK, tools=TOOLS))
        assert (answer.id, answer.model, answer.output_text) == ("resp_x", "m-1", "ok")
        assert [item.type for item in answer.output] == ["message", "function_call"]
        assert (answer.output[1].call_id, answer.output[1].arguments) == ("call_x", '{"city":"Oslo","days":3}')
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (10, 7)
        assert answer.usage.input_tokens_details.cached_tokens == 3
        assert answer.usage.output_tokens_details.reasoning_tokens == 2

    judge.run(body)


ERRORS = [
    (Fault(status=400), "BadRequestError", 400),
    (Fault(status=401), "AuthenticationError", 401),
    (Fault(status=403), "PermissionDeniedError", 403),
    (Fault(status=404), "NotFoundError", 404),
    (Fault(status=429), "RateLimitError", 429),
    (Fault(status=500), "InternalServerError", 500),
    (Fault(kind="overloaded"), "InternalServerError", 503),
]


@pytest.mark.parametrize("case", ERRORS)
def test_errors(judge, sim, case):
    fault, name, status = case

    async def body():
        sim.script(fault)
        async with client(judge, sim) as ai:
            with pytest.raises(getattr(openai, name)) as caught:
                await judge.get(ai.responses.create(model=MODEL, input=ASK))
        assert (caught.value.status_code, caught.value.request_id) == (status, sim.last.request_id)

    judge.run(body)


def test_an_error_after_the_stream_has_begun(judge, sim):
    async def body():
        async with client(judge, sim) as ai:
            sim.script(Broken(wreck="error_midway", error=Fault(kind="rate_limit", message="Slow down.")))
            stream = await judge.get(ai.responses.create(model=MODEL, input=ASK, stream=True))
            with pytest.raises(openai.APIError, match="Slow down"):
                await judge.all(stream)

    judge.run(body)


def test_tokens_are_counted_as_the_answer_counts_them(judge, sim):
    async def body():
        async with client(judge, sim) as ai:
            count = await judge.get(ai.responses.input_tokens.count(model=MODEL, input=ASK, instructions="Be kind."))
            answer = await judge.get(ai.responses.create(model=MODEL, input=ASK, instructions="Be kind."))
        assert count.input_tokens == answer.usage.input_tokens
        assert [received.operation for received in sim.requests] == ["count_tokens", "chat"]

    judge.run(body)


def test_a_conversation_goes_on_from_what_the_provider_keeps(judge, sim):
    async def body():
        async with client(judge, sim) as ai:
            first = await judge.get(ai.responses.create(model=MODEL, input=QUESTION, tools=TOOLS))
            output = {"type": "function_call_output", "call_id": first.output[0].call_id, "output": "rain"}
            last = await judge.get(
                ai.responses.create(model=MODEL, input=[output], tools=TOOLS, previous_response_id=first.id)
            )
        assert last.output_text == "The tools said: rain"

    judge.run(body)
