from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
from pydantic import BaseModel

from aistrale.testing import Broken, Fault, Say
from aistrale.types import Choice, Completion, Message, TextPart, ToolCallPart, Usage
from tests.sdks.judging import QUESTION, TWO, WEATHER

anthropic = pytest.importorskip("anthropic")

MODEL = "claude-haiku-4-5"
ASK = [{"role": "user", "content": "Say hello, please."}]
TOOLS = [{"name": "weather", "description": "Forecast.", "input_schema": WEATHER}]
BASE = {"model": MODEL, "max_tokens": 1000}


@asynccontextmanager
async def client(judge, sim):
    made = judge.pick(anthropic.Anthropic, anthropic.AsyncAnthropic)(
        base_url=sim.base_url("anthropic"), api_key="k", max_retries=0, _strict_response_validation=True
    )
    try:
        yield made
    finally:
        await judge.get(made.close())


async def answered(judge, ai, streamed, **asked):
    """The whole message, from the plain call or from the streaming helper."""
    if not streamed:
        return await judge.get(ai.messages.create(**{**BASE, **asked}))
    async with judge.inside(ai.messages.stream(**{**BASE, **asked})) as stream:
        await judge.all(stream)
        return await judge.get(stream.get_final_message())


def check_usage(usage, told):
    assert usage.input_tokens == told.input
    assert usage.output_tokens == told.output_total


def test_plain(judge, sim):
    async def body():
        async with client(judge, sim) as ai:
            answer = await judge.get(ai.messages.create(**BASE, system="Be kind.", messages=ASK))
        told = sim.last.completion
        assert answer.id == told.id
        assert answer.id.startswith("msg_")
        assert [block.text for block in answer.content] == ["This is a simulated answer to: Say hello, please."]
        assert (answer.stop_reason, answer.stop_sequence, answer.model) == ("end_turn", None, MODEL)
        assert answer._request_id == sim.last.request_id
        check_usage(answer.usage, told.usage)
        assert sim.last.request.messages[0].text == "Be kind."

    judge.run(body)


def test_streamed(judge, sim):
    async def body():
        async with client(judge, sim) as ai:
            events = await judge.all(ai.messages.create(**BASE, messages=ASK, stream=True))
            told = sim.last.completion
            kinds = [event.type for event in events]
            assert kinds[:2] == ["message_start", "content_block_start"]
            assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
            deltas = [event.delta.text for event in events if event.type == "content_block_delta"]
            assert "".join(deltas) == told.text
            assert len(deltas) == len(told.text.split())
            async with judge.inside(ai.messages.stream(**BASE, messages=ASK)) as stream:
                texts = await judge.all(stream.text_stream)
                final = await judge.get(stream.get_final_message())
                request_id = stream.request_id
        assert "".join(texts) == final.content[0].text == told.text
        assert (final.id, final.stop_reason, request_id) == (told.id, "end_turn", sim.last.request_id)
        check_usage(final.usage, told.usage)

    judge.run(body)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("thinks", [False, True])
def test_a_tool_is_called_and_its_result_quoted(judge, sim, streamed, thinks):
    async def body():
        messages = [{"role": "user", "content": QUESTION}]
        asked = {"messages": messages, "tools": TOOLS}
        if thinks:
            asked |= {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}
        async with client(judge, sim) as ai:
            answer = await answered(judge, ai, streamed, **asked)
            told = sim.last.completion
            *thoughts, call = answer.content
            assert (call.type, call.id, call.name) == ("tool_use", told.tool_calls[0].id, "weather")
            assert call.id.startswith("toolu_")
            assert call.input == {"city": "Paris", "days": 2}
            assert answer.stop_reason == "tool_use"
            assert [block.thinking for block in thoughts] == ([told.reasoning] if thinks else [])
            check_usage(answer.usage, told.usage)
            messages += [
                {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in answer.content]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}]},
            ]
            last = await answered(judge, ai, streamed, **asked)
        assert last.content[-1].text == "The tools said: sunny"
        if thinks:
            # The thought came back as it was given, signature included.
            assert sim.last.body["messages"][1]["content"][0]["signature"] == thoughts[0].signature != ""

    judge.run(body)


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_are_called_in_parallel(judge, sim, streamed):
    async def body():
        asked = {"messages": [{"role": "user", "content": TWO}], "tools": TOOLS}
        async with client(judge, sim) as ai:
            answer = await answered(judge, ai, streamed, **asked)
            assert [block.input["city"] for block in answer.content] == ["Paris", "Rome"]
            assert [block.id for block in answer.content] == [call.id for call in sim.last.completion.tool_calls]
            one = {"type": "auto", "disable_parallel_tool_use": True}
            single = await answered(judge, ai, streamed, **asked, tool_choice=one)
        assert [block.input["city"] for block in single.content] == ["Paris"]

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
                answer = await answered(judge, ai, streamed, messages=ASK, output_format=City)
            else:
                answer = await judge.get(ai.messages.parse(**BASE, messages=ASK, output_format=City))
        assert isinstance(answer.parsed_output, City)
        assert answer.parsed_output == City.model_validate_json(sim.last.completion.text)

    judge.run(body)


@pytest.mark.parametrize("streamed", [False, True])
def test_limits_and_stops(judge, sim, streamed):
    async def body():
        async with client(judge, sim) as ai:
            short = await answered(judge, ai, streamed, messages=ASK, max_tokens=2)
            assert (short.content[0].text, short.stop_reason) == ("This is ", "max_tokens")
            cut = await answered(judge, ai, streamed, messages=ASK, stop_sequences=["answer"])
        assert (cut.content[0].text, cut.stop_reason, cut.stop_sequence) == (
            "This is a simulated ",
            "stop_sequence",
            "answer",
        )

    judge.run(body)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_given_answer_arrives_as_given(judge, sim, streamed):
    async def body():
        usage = Usage(input=7, cache_read=3, cache_write_5m=2, output=5)
        call = ToolCallPart("toolu_x", "weather", '{"city":"Oslo","days":3}')
        bare = ToolCallPart("toolu_y", "weather", "")
        message = Message("assistant", [TextPart("ok"), call, bare])
        sim.script(Say(completion=Completion("msg_x", "m-1", [Choice(message, "tool_calls")], usage)))
        async with client(judge, sim) as ai:
            answer = await answered(judge, ai, streamed, messages=ASK, tools=TOOLS)
        text, first, second = answer.content
        assert (answer.id, answer.model, text.text) == ("msg_x", "m-1", "ok")
        assert (first.id, first.input, second.input) == ("toolu_x", {"city": "Oslo", "days": 3}, {})
        told = answer.usage
        assert (told.input_tokens, told.output_tokens) == (7, 5)
        assert (told.cache_read_input_tokens, told.cache_creation_input_tokens) == (3, 2)
        assert told.cache_creation.ephemeral_5m_input_tokens == 2

    judge.run(body)


def test_what_is_marked_is_written_to_the_cache_and_read_again(judge, sim):
    async def body():
        mark = {"type": "ephemeral", "ttl": "1h"}
        system = [{"type": "text", "text": "Rules. " * 1000, "cache_control": mark}]
        async with client(judge, sim) as ai:
            first = (await answered(judge, ai, streamed=False, system=system, messages=ASK)).usage
            second = (await answered(judge, ai, streamed=True, system=system, messages=ASK)).usage
        assert (first.cache_creation_input_tokens, first.cache_read_input_tokens) == (1750, 0)
        assert first.cache_creation.ephemeral_1h_input_tokens == 1750
        assert (second.cache_creation_input_tokens, second.cache_read_input_tokens) == (0, 1750)
        assert first.input_tokens == second.input_tokens > 0

    judge.run(body)


ERRORS = [
    (Fault(status=400), "BadRequestError", 400, "invalid_request_error"),
    (Fault(status=401), "AuthenticationError", 401, "authentication_error"),
    (Fault(kind="quota"), "PaymentRequiredError", 402, "billing_error"),
    (Fault(status=403), "PermissionDeniedError", 403, "permission_error"),
    (Fault(status=404), "NotFoundError", 404, "not_found_error"),
    (Fault(status=413), "ContentTooLargeError", 413, "request_too_large"),
    (Fault(status=429, retry_after=2), "RateLimitError", 429, "rate_limit_error"),
    (Fault(status=500), "InternalServerError", 500, "api_error"),
    (Fault(status=504), "GatewayTimeoutError", 504, "timeout_error"),
    (Fault(kind="overloaded"), "OverloadedError", 529, "overloaded_error"),
]


@pytest.mark.parametrize("case", ERRORS)
@pytest.mark.parametrize("streamed", [False, True])
def test_errors(judge, sim, case, streamed):
    fault, name, status, kind = case

    async def body():
        sim.script(fault)
        async with client(judge, sim) as ai:
            with pytest.raises(anthropic.APIStatusError) as caught:
                await answered(judge, ai, streamed, messages=ASK)
        error = caught.value
        assert type(error).__name__ == name
        assert (error.status_code, error.request_id) == (status, sim.last.request_id)
        assert error.body["error"]["type"] == kind
        assert error.body["request_id"] == sim.last.request_id
        assert error.response.headers.get("retry-after") == ("2" if fault.retry_after else None)

    judge.run(body)


def test_errors_inside_good_answers(judge, sim):
    async def body():
        async with client(judge, sim) as ai:
            # Over a new connection: that a kept one is gone is no failure of a call, and it is sent again.
            sim.script(Broken(wreck="reset"))
            with pytest.raises(anthropic.APIConnectionError):
                await answered(judge, ai, streamed=False, messages=ASK)
            sim.script(Broken(wreck="error_midway", error=Fault(kind="overloaded", message="Busy.")))
            stream = await judge.get(ai.messages.create(**BASE, messages=ASK, stream=True))
            with pytest.raises(anthropic.APIStatusError, match="Busy") as caught:
                await judge.all(stream)
            assert caught.value.body["error"]["type"] == "overloaded_error"

    judge.run(body)


def test_what_this_version_of_the_api_does_not_take_is_refused(judge, sim):
    async def body():
        async with client(judge, sim) as ai:
            with pytest.raises(anthropic.BadRequestError, match="temperature"):
                await answered(judge, ai, streamed=False, messages=ASK, extra_body={"temperature": 1})
            call = {"type": "tool_use", "id": "t", "name": "weather", "input": {}}
            open_end = [*ASK, {"role": "assistant", "content": [call]}, *ASK]
            with pytest.raises(anthropic.BadRequestError, match="result"):
                await answered(judge, ai, streamed=False, messages=open_end, tools=TOOLS)

    judge.run(body)


def test_tokens_are_counted_as_the_answer_counts_them(judge, sim):
    async def body():
        asked = {"model": MODEL, "messages": ASK, "system": "Be kind.", "tools": TOOLS}
        async with client(judge, sim) as ai:
            count = await judge.get(ai.messages.count_tokens(**asked))
            answer = await judge.get(ai.messages.create(**asked, max_tokens=10))
        assert count.input_tokens == answer.usage.input_tokens == sim.requests[0].tokens

    judge.run(body)


def test_models_are_listed(judge, sim):
    async def body():
        async with client(judge, sim) as ai:
            page = await judge.get(ai.models.list())
            one = await judge.get(ai.models.retrieve(page.data[0].id))
        assert one.id == page.data[0].id
        assert page.last_id == page.data[-1].id

    judge.run(body)
