"""AistraleLLM against the simulator: every method, sync and async, over all five providers."""

from __future__ import annotations

import copy
import json
import pickle
from itertools import pairwise

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core.base.llms.types import (
    AudioBlock,
    ChatMessage,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.llms import LLM
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

import aistrale
from aistrale.errors import ConfigurationError, ContextLengthError, InvalidRequestError, StreamInterrupted
from aistrale.integrations.llamaindex import AistraleEmbedding, AistraleLLM, instrument
from aistrale.testing import Broken, Fault, Say
from aistrale.types import Choice, Completion, Message, ReasoningPart, TextPart, ToolCallPart, Usage, Wire

MODELS = [
    "openai/gpt-5-mini",
    "anthropic/claude-haiku-4-5",
    "gemini/gemini-2.5-flash",
    "groq/openai/gpt-oss-20b",
    "huggingface/meta-llama/Llama-3.3-70B-Instruct",
]
HELLO = [ChatMessage("Hello there, you.")]
ANSWER = "This is a simulated answer to: Hello there, you."


class City(BaseModel):
    """A city."""

    name: str
    people: int


def weather(city: str) -> str:
    """Tells the weather of a city."""
    return f"sunny in {city}"


def add(one: int, two: int) -> int:
    """Adds two numbers."""
    return one + two


WEATHER = FunctionTool.from_defaults(weather)
ADD = FunctionTool.from_defaults(add)


@pytest.fixture(params=MODELS)
def llm(request, client):
    return AistraleLLM(request.param, client=client)


def async_test(function):
    """Runs on a fresh loop, whose connections are closed behind it."""
    import asyncio
    import functools

    @functools.wraps(function)
    def run(client, **fixtures):
        async def whole():
            try:
                await function(client=client, **fixtures)
            finally:
                await client.as_async().close()

        asyncio.run(whole())

    run.__wrapped__ = function
    return run


# --- answers ---------------------------------------------------------------------------------------------------------


def test_whole_answers(llm):
    assert llm.chat(HELLO).message.content == ANSWER
    assert llm.complete("Hello there, you.").text == ANSWER


def test_streamed_answers_grow_and_end_with_the_whole(llm):
    pieces = list(llm.stream_chat(HELLO))
    assert "".join(piece.delta for piece in pieces) == ANSWER
    texts = [piece.message.content or "" for piece in pieces]
    assert all(later.startswith(earlier) for earlier, later in pairwise(texts))
    assert texts[-1] == ANSWER
    assert pieces[-1].raw["usage"]["completion_tokens"] > 0
    completed = list(llm.stream_complete("Hello there, you."))
    assert completed[-1].text == "".join(piece.delta for piece in completed) == ANSWER


@async_test
async def test_async_answers(client, llm):
    assert (await llm.achat(HELLO)).message.content == ANSWER
    assert (await llm.acomplete("Hello there, you.")).text == ANSWER
    chat = [piece async for piece in await llm.astream_chat(HELLO)]
    assert "".join(piece.delta for piece in chat) == chat[-1].message.content == ANSWER
    completed = [piece async for piece in await llm.astream_complete("Hello there, you.")]
    assert completed[-1].text == ANSWER


def test_an_async_client_answers_sync_and_async_calls(sim):
    client = aistrale.AsyncClient(**sim.settings(), ledger="off")
    assert AistraleLLM(MODELS[0], client=client).chat(HELLO).message.content == ANSWER


def test_the_process_wide_client_is_asked_where_none_is_given(aistrale_simulated_environ):
    assert AistraleLLM(MODELS[0]).complete("Hello there, you.").text == ANSWER


def test_options_of_the_model_and_of_the_call_reach_the_provider(client, sim):
    llm = AistraleLLM(MODELS[0], client=client, max_tokens=70, options={"user": "u1", "reasoning": "low"})
    llm.chat(HELLO, max_tokens=60, seed=None)
    sent = sim.last.request
    assert (sent.max_tokens, sent.user, sent.reasoning.effort) == (60, "u1", "low")
    with pytest.raises(ConfigurationError, match="unknown option 'max_tokns'"):
        llm.chat(HELLO, max_tokns=3)


def test_a_route_fails_over(sim, sink):
    routes = {"chat": ["openai/gpt-5-mini", "anthropic/claude-haiku-4-5"]}
    with aistrale.Client(**sim.settings(), ledger="off", routes=routes) as client:
        llm = AistraleLLM(route="chat", client=client)
        with sim.outage("openai"):
            answer = llm.chat(HELLO)
        assert answer.raw["provider"] == "anthropic"
        # What a route promises is what each of its targets can do.
        assert llm.metadata.context_window == 200_000


def test_errors_are_those_of_aistrale(client, sim):
    llm = AistraleLLM(MODELS[0], client=client)
    sim.script(Fault(kind="context_length"))
    with pytest.raises(ContextLengthError):
        llm.chat(HELLO)
    sim.script(Broken(wreck="truncate"))
    stream = llm.stream_chat([ChatMessage("Hello " * 50)])
    with pytest.raises(StreamInterrupted) as caught:
        list(stream)
    assert caught.value.partial_text


def test_a_call_that_cannot_begin_is_in_the_ledger(sim, tmp_path):
    with aistrale.Client(**sim.settings(), ledger=f"sqlite:///{tmp_path}/calls.db") as client:
        llm = AistraleLLM(MODELS[0], client=client)
        with pytest.raises(InvalidRequestError):
            llm.chat([ChatMessage("")])
        assert client.flush()
        rows = list(client.ledger.calls())
        assert [row.outcome for row in rows] == ["error"]


def test_an_abandoned_stream_frees_its_connection(client, sim):
    llm = AistraleLLM(MODELS[0], client=client)
    stream = llm.stream_chat(HELLO)
    next(stream)
    stream.close()
    assert llm.chat(HELLO).message.content == ANSWER


def test_nothing_is_sent_before_the_first_piece_is_wanted(client, sim):
    stream = AistraleLLM(MODELS[0], client=client).stream_chat(HELLO)
    assert sim.stats()["requests"] == 0
    next(stream)
    assert sim.stats()["requests"] == 1
    stream.close()


def test_what_is_sensitive_is_redacted_and_restored(sim):
    with aistrale.Client(**sim.settings(), ledger="off", privacy="redact") as client:
        llm = AistraleLLM(MODELS[0], client=client)
        answer = llm.chat([ChatMessage("Write to ada@example.org.")])
        assert "ada@example.org" in answer.message.content
        assert "ada@example.org" not in json.dumps(sim.last.body)


# --- what is known of an answer ---------------------------------------------------------------------------------------


def test_raw_says_what_an_answer_took(client, sim):
    raw = AistraleLLM(MODELS[1], client=client).chat(HELLO).raw
    usage = sim.last.completion.usage
    assert raw["usage"]["prompt_tokens"] == usage.input_total
    assert raw["usage"]["completion_tokens"] == usage.output_total
    assert (raw["provider"], raw["target"], raw["finish_reason"]) == ("anthropic", MODELS[1], "stop")
    assert float(raw["cost_usd"]) > 0
    assert raw["call_id"]
    json.dumps(raw)


def test_the_token_counter_of_the_framework_finds_the_usage(client, sim):
    counter = TokenCountingHandler(tokenizer=str.split)
    llm = AistraleLLM(MODELS[0], client=client, callback_manager=CallbackManager([counter]))
    llm.complete("Hello there, you.")
    usage = sim.last.completion.usage
    assert counter.prompt_llm_token_count == usage.input_total
    assert counter.completion_llm_token_count == usage.output_total
    assert len(counter.llm_token_counts) == 1
    list(llm.stream_chat(HELLO))
    assert len(counter.llm_token_counts) == 2
    assert counter.prompt_llm_token_count == 2 * usage.input_total


def test_token_probabilities(client, sim):
    sim.script(Say(text="Yes"))
    answer = AistraleLLM("openai/gpt-4o-mini", client=client).chat(HELLO, logprobs=1)
    assert answer.logprobs is None or all(isinstance(item, list) for item in answer.logprobs)


# --- metadata and serialisation ----------------------------------------------------------------------------------------


def test_metadata_comes_from_the_catalog(client):
    metadata = AistraleLLM("anthropic/claude-haiku-4-5", client=client).metadata
    assert metadata.context_window == 200_000
    # A quarter of the window at most, or nothing would be left for prompts.
    assert metadata.num_output == 50_000
    assert metadata.is_chat_model
    assert metadata.is_function_calling_model
    assert metadata.model_name == "anthropic/claude-haiku-4-5"
    assert AistraleLLM(MODELS[0], client=client, max_tokens=99).metadata.num_output == 99
    told = AistraleLLM(MODELS[0], client=client, context_window=8000, is_function_calling_model=False).metadata
    assert (told.context_window, told.is_function_calling_model) == (8000, False)


def test_metadata_of_an_unknown_model_is_the_frameworks_default(client):
    metadata = AistraleLLM("openai/gpt-99", client=client).metadata
    assert (metadata.context_window, metadata.num_output, metadata.is_function_calling_model) == (3900, 256, True)
    # What is wrong is said by the call, not by a question about it.
    assert AistraleLLM("no-such-model", client=client).metadata.model_name == "no-such-model"
    with pytest.raises(ConfigurationError, match="not in the catalog"):
        AistraleLLM("no-such-model", client=client).complete("Hello")


def test_no_key_is_in_what_is_told_or_stored(client):
    llm = AistraleLLM(MODELS[0], client=client, temperature=1, options={"user": "u1"})
    key = client._engine.target(MODELS[0]).key.reveal()
    # Releases of LlamaIndex before `to_payload` tell of all fields.
    payload = getattr(llm, "to_payload", llm.to_dict)()
    for shown in (json.dumps(llm.to_dict()), json.dumps(payload), repr(llm), str(pickle.dumps(llm))):
        assert key not in shown
    again = AistraleLLM.from_dict(llm.to_dict())
    assert (again.model, again.temperature, again.options) == (MODELS[0], 1, {"user": "u1"})


def test_copies_ask_the_same_client_and_pickles_the_process_wide_one(client):
    llm = AistraleLLM(MODELS[0], client=client, max_tokens=80)
    assert copy.deepcopy(llm).complete("Hello there, you.").text == ANSWER
    assert llm.model_copy().complete("Hello there, you.").text == ANSWER
    loaded = pickle.loads(pickle.dumps(llm))  # noqa: S301 - our own bytes
    assert (loaded.model, loaded.max_tokens, loaded._handle.client) == (MODELS[0], 80, None)


# --- tools -----------------------------------------------------------------------------------------------------------


def test_tools_are_called_and_their_results_answered(llm, sim):
    answer = llm.chat_with_tools([WEATHER, ADD], "What is the weather in 'Oslo'?")
    (call,) = llm.get_tool_calls_from_response(answer)
    assert (call.tool_name, call.tool_kwargs) == ("weather", {"city": "Oslo"})
    history = [
        ChatMessage("What is the weather in 'Oslo'?"),
        answer.message,
        ChatMessage(role="tool", content="sunny", additional_kwargs={"tool_call_id": call.tool_id}),
    ]
    last = llm.chat_with_tools([WEATHER, ADD], chat_history=history)
    assert last.message.content == "The tools said: sunny"
    assert llm.get_tool_calls_from_response(last, error_on_no_tool_call=False) == []
    with pytest.raises(ValueError, match="called no tool"):
        llm.get_tool_calls_from_response(last)


def test_one_tool_at_a_time_unless_several_are_allowed(llm):
    ask = "The weather in 'Oslo' and in 'Rome'?"
    one = llm.chat_with_tools([WEATHER], ask)
    assert [call.tool_kwargs for call in llm.get_tool_calls_from_response(one)] == [{"city": "Oslo"}]
    assert len(one.message.additional_kwargs["tool_calls"]) == 1
    two = llm.chat_with_tools([WEATHER], ask, allow_parallel_tool_calls=True)
    assert [call.tool_kwargs["city"] for call in llm.get_tool_calls_from_response(two)] == ["Oslo", "Rome"]


def test_tool_choice_in_every_shape(client, sim):
    llm = AistraleLLM(MODELS[0], client=client)
    for choice, mode, names in (
        ("required", "required", []),
        ("any", "required", []),
        ("none", "none", []),
        ("add", "tool", ["add"]),
        ({"type": "function", "function": {"name": "add"}}, "tool", ["add"]),
        ({"type": "tool", "name": "add"}, "tool", ["add"]),
        ({"type": "any"}, "required", []),
    ):
        llm.chat_with_tools([WEATHER, ADD], "Hello", tool_choice=choice)
        sent = sim.last.request.tool_choice
        assert (sent.mode, sent.names) == (mode, names), choice
    llm.chat_with_tools([WEATHER], "Hello", tool_required=True)
    assert sim.last.request.tool_choice.mode == "required"
    llm.chat_with_tools([WEATHER], "Hello")
    assert sim.last.request.tool_choice is None
    # The framework hands on a choice of None where it has none.
    llm.chat_with_tools([], "Hello", tool_required=True, tool_choice=None)
    assert sim.last.request.tools == []


def test_tools_of_the_framework_may_be_given_to_chat_itself(client, sim):
    AistraleLLM(MODELS[0], client=client).chat(HELLO, tools=[WEATHER])
    assert [tool.name for tool in sim.last.request.tools] == ["weather"]


def test_predict_and_call_runs_the_tool(llm):
    assert llm.predict_and_call([WEATHER], "What is the weather in 'Oslo'?").response == "sunny in Oslo"


def test_tool_calls_arrive_piece_by_piece(llm):
    pieces = list(llm.stream_chat_with_tools([WEATHER], "The weather in 'Oslo'?"))
    seen = [llm.get_tool_calls_from_response(piece, error_on_no_tool_call=False) for piece in pieces]
    assert seen[-1][0].tool_kwargs == {"city": "Oslo"}
    assert all(calls[0].tool_name == "weather" for calls in seen if calls)
    assert len([calls for calls in seen if calls]) > 1


def test_broken_arguments_stay_as_they_came(client, sim):
    sim.script(
        Say(
            completion=Completion(
                choices=[Choice(Message("assistant", [ToolCallPart("c1", "weather", '{"city": "Os')]), "length")]
            )
        )
    )
    llm = AistraleLLM(MODELS[0], client=client)
    answer = llm.chat(HELLO, tools=[WEATHER])
    (block,) = answer.message.blocks
    assert block.tool_kwargs == '{"city": "Os'
    # As far as the framework's own reader of unfinished JSON can tell.
    assert llm.get_tool_calls_from_response(answer)[0].tool_kwargs.keys() == {"city"}


# --- structured output -------------------------------------------------------------------------------------------------


def test_structured_output(llm):
    prompt = PromptTemplate("Tell me of {city}.")
    assert isinstance(llm.structured_predict(City, prompt, city="Oslo"), City)
    structured = llm.as_structured_llm(City)
    answer = structured.chat(HELLO)
    assert isinstance(answer.raw, City)
    assert City.model_validate_json(answer.message.content) == answer.raw
    assert isinstance(structured.complete("Oslo").raw, City)
    streamed = list(llm.stream_structured_predict(City, prompt, city="Oslo"))
    assert isinstance(streamed[-1], City)


@async_test
async def test_structured_output_async(client, llm):
    prompt = PromptTemplate("Tell me of {city}.")
    assert isinstance(await llm.astructured_predict(City, prompt, city="Oslo"), City)
    assert isinstance((await llm.as_structured_llm(City).achat(HELLO)).raw, City)
    stream = await llm.astream_structured_predict(City, prompt, city="Oslo")
    assert isinstance([piece async for piece in stream][-1], City)


def test_structured_output_without_tools(client, sim):
    llm = AistraleLLM(MODELS[0], client=client, is_function_calling_model=False)
    sim.script(Say(text='{"name": "Oslo", "people": 700000}'))
    assert llm.structured_predict(City, PromptTemplate("Tell me of {city}."), city="Oslo").people == 700_000
    assert sim.last.request.tools == []


def test_output_of_aistrale_is_validated_and_repaired(client, sim):
    sim.script(Say(text="{}"), Say(text='{"name": "Oslo", "people": 1}'))
    answer = AistraleLLM(MODELS[0], client=client).chat(HELLO, output=City)
    assert json.loads(answer.message.content) == {"name": "Oslo", "people": 1}
    assert len(sim.requests) == 2


# --- thoughts and state --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True])
def test_signed_thoughts_go_back_as_they_came(client, sim, streamed):
    llm = AistraleLLM("anthropic/claude-haiku-4-5", client=client, options={"reasoning": 1024}, max_tokens=4000)
    ask = [ChatMessage("The weather in 'Oslo'?")]
    if streamed:
        pieces = list(llm.stream_chat(ask, tools=[WEATHER]))
        thoughts = [piece.additional_kwargs.get("thinking_delta", "") for piece in pieces]
        answer = pieces[-1]
        assert "".join(thoughts) == answer.message.blocks[0].content
    else:
        answer = llm.chat(ask, tools=[WEATHER])
    thought, call = answer.message.blocks
    assert isinstance(thought, ThinkingBlock)
    assert thought.content.startswith("The question has")
    assert thought.num_tokens == sim.last.completion.usage.reasoning
    # As a memory would keep it.
    kept = ChatMessage.model_validate_json(answer.message.model_dump_json())
    result = ChatMessage(role="tool", content="sunny", additional_kwargs={"tool_call_id": call.tool_call_id})
    llm.chat([*ask, kept, result], tools=[WEATHER])
    sent = sim.last.body["messages"][1]["content"]
    assert sent[0]["type"] == "thinking"
    assert sent[0]["signature"].startswith("sim")
    assert sent[1]["type"] == "tool_use"


def test_a_message_that_was_changed_is_sent_as_it_is_now(client, sim):
    llm = AistraleLLM("anthropic/claude-haiku-4-5", client=client, options={"reasoning": 1024}, max_tokens=4000)
    message = llm.chat(HELLO).message
    message.blocks = [
        block if not isinstance(block, TextBlock) else TextBlock(text="changed") for block in message.blocks
    ]
    llm.chat([*HELLO, message, ChatMessage("And now?")])
    texts = [part.text for part in sim.last.request.messages[1].parts if isinstance(part, TextPart)]
    assert texts == ["changed"]


def test_signatures_of_tool_calls_survive_even_without_a_thought(client, sim):
    signed = Wire("gemini_generate", {"thoughtSignature": "c2ln"}, "id call")
    parts = [
        ToolCallPart("c1", "weather", '{"city":"Oslo"}', wire=signed),
        ToolCallPart("c2", "weather", '{"city":"Rome"}'),
    ]
    sim.script(
        Say(
            completion=Completion(
                choices=[Choice(Message("assistant", parts), "tool_calls")], usage=Usage(input=1, output=1)
            )
        )
    )
    llm = AistraleLLM("gemini/gemini-2.5-flash", client=client)
    answer = llm.chat_with_tools([WEATHER], "The weather?")
    calls = llm.get_tool_calls_from_response(answer)
    # Only one was allowed, and its signature is still there.
    assert [call.tool_kwargs["city"] for call in calls] == ["Oslo"]
    result = ChatMessage(role="tool", content="sunny", additional_kwargs={"tool_call_id": calls[0].tool_id})
    llm.chat([ChatMessage("The weather?"), answer.message, result], tools=[WEATHER])
    assert "c2ln" in json.dumps(sim.last.body)


def test_plain_answers_carry_nothing_but_their_text(client):
    message = AistraleLLM(MODELS[0], client=client).chat(HELLO).message
    assert message.role == MessageRole.ASSISTANT
    assert message.additional_kwargs == {}
    assert [type(block) for block in message.blocks] == [TextBlock]


def test_texts_in_several_pieces_are_one_text(client, sim):
    parts = [TextPart("Os"), TextPart("lo."), ReasoningPart("hm"), ToolCallPart("c", "weather", "{}")]
    sim.script(Say(completion=Completion(choices=[Choice(Message("assistant", parts), "stop")])))
    message = AistraleLLM("anthropic/claude-haiku-4-5", client=client).chat(HELLO, tools=[WEATHER]).message
    assert message.content == "Oslo."
    assert [type(block) for block in message.blocks] == [TextBlock, ThinkingBlock, ToolCallBlock]


def test_images_and_sounds_are_sent(client, sim):
    png = b"\x89PNG\r\n\x1a\n" + bytes(24)
    wav = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(24)
    llm = AistraleLLM("gemini/gemini-2.5-flash", client=client)
    llm.chat([ChatMessage([TextBlock(text="What is it?"), ImageBlock(image=png), AudioBlock(audio=wav)])])
    media = [(part.media, part.media_type) for part in sim.last.request.messages[0].parts[1:]]
    assert media == [("image", "image/png"), ("audio", "audio/wav")]


def test_it_is_a_model_of_the_framework(client):
    assert isinstance(AistraleLLM(MODELS[0], client=client), LLM)
    assert AistraleLLM.class_name() == "AistraleLLM"


# --- what is given when it is made -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"temprature": 0.2}, "unknown option 'temprature'. Did you mean temperature"),
        ({"api_key": "sk-canary"}, "api_key is a setting of the client"),
        ({"api_base": "https://host"}, "'base_url': ..."),
        ({"client": "mine"}, "client must be an aistrale.Client"),
    ],
)
@pytest.mark.parametrize("kind", [AistraleLLM, AistraleEmbedding])
def test_what_nothing_would_read_is_refused_when_it_is_made(kind, given, said):
    if kind is AistraleEmbedding and "temprature" in given:
        given, said = {"dimension": 5}, "unknown option 'dimension'. Did you mean dimensions"
    with pytest.raises(ConfigurationError) as caught:
        kind("openai/text-embedding-3-small", **given)
    assert said in str(caught.value)
    assert "canary" not in str(caught.value)


def test_fields_of_the_framework_and_of_classes_derived_from_ours_are_taken():
    class Mine(AistraleLLM):
        shop: str = "none"

    llm = Mine("openai/gpt-5-mini", shop="tea", system_prompt="Be brief.")
    assert (llm.shop, llm.system_prompt) == ("tea", "Be brief.")
    assert Mine.from_dict(llm.to_dict()).shop == "tea"


def test_steps_are_told_to_clients_only():
    with pytest.raises(ConfigurationError, match=r"client must be an aistrale\.Client"):
        instrument("mine")
