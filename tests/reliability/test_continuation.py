"""How another model is asked to go on, and when it is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aistrale.cost.tokens.by_length import estimate_tokens
from aistrale.dialects import chat_dialect
from aistrale.dialects.base import Loss, Profile
from aistrale.providers import get_provider
from aistrale.providers.catalog import catalog
from aistrale.reliability.continuation import continuation, may_continue, takes_prefill
from aistrale.types import Message, OutputFormat, Reasoning, Request, TextPart, Tool, Wire

ASKED = Request(model="m", messages=[Message.system("Be brief."), Message.user("Count.")], stream=True)


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [Tool("f")]},
        {"output": OutputFormat("json_schema", {})},
        {"output": OutputFormat("json_object")},
        {"logprobs": 0},
        {"n": 2},
        {"extra": {"response_format": {"type": "json_object"}}},
        {"extra": {"tools": [{}]}},
        {"wire": Wire("openai_responses", {"previous_response_id": "resp_1"})},
    ],
)
def test_more_than_text_cannot_be_put_together(more):
    assert not may_continue(replace(ASKED, **more))


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"n": 1},
        {"output": OutputFormat("text")},
        {"extra": {"top_a": 1, "tools": []}},
        {"wire": Wire("openai_chat", {"store": False})},
        {"reasoning": Reasoning("high")},
    ],
)
def test_text_can(more):
    assert may_continue(replace(ASKED, **more))


def test_the_beginning_of_an_answer_is_for_models_that_take_one():
    taking = Profile(prefill=True)
    assert takes_prefill(ASKED, taking, "One")
    assert not takes_prefill(ASKED, Profile(), "One")
    assert not takes_prefill(ASKED, taking, " \n")
    assert not takes_prefill(replace(ASKED, reasoning=Reasoning("low")), taking, "One")
    assert takes_prefill(replace(ASKED, reasoning=Reasoning("none")), taking, "One")


def test_claude_took_beginnings_until_4_6():
    facts = {model.id: model for model in catalog().models("anthropic")}
    profile = get_provider("anthropic").profile
    taking = {name for name, own in facts.items() if profile(name, own).prefill}
    assert {"claude-haiku-4-5", "claude-opus-4-5", "claude-3-opus-20240229", "claude-sonnet-4-0"} <= taking
    assert not {"claude-opus-4-6", "claude-sonnet-4-6", "claude-opus-5", "claude-haiku-5-5"} & taking
    assert not get_provider("openai").profile("gpt-5-mini", None).prefill


def test_a_beginning_ends_without_white_space():
    asked = continuation(ASKED, "One, two, \n", estimate_tokens, prefill=True)
    assert [message.role for message in asked.messages] == ["system", "user", "assistant"]
    assert asked.messages[-1].text == "One, two,"
    assert len(ASKED.messages) == 2


def test_the_user_quotes_what_there_is():
    asked = continuation(ASKED, "One, {two}, </b> ", estimate_tokens, prefill=False)
    assert [message.role for message in asked.messages] == ["system", "user"]
    question, quote = asked.messages[-1].parts
    assert question.text == "Count."
    assert "One, {two}, </b> " in quote.text
    # What was asked is not changed.
    assert ASKED.messages[-1].text == "Count."


@pytest.mark.parametrize(
    "last", [Message.assistant("Yes?"), Message("user", [TextPart("Count.")], wire=Wire("openai_chat", form="string"))]
)
def test_the_quote_is_a_turn_of_its_own_where_it_cannot_join_the_last(last):
    asked = continuation(replace(ASKED, messages=[last]), "One", estimate_tokens, prefill=False)
    assert asked.messages[0] is last
    assert asked.messages[1].role == "user"


@pytest.mark.parametrize("dialect", ["openai_chat", "openai_responses", "anthropic_messages", "gemini_generate"])
@pytest.mark.parametrize("source", [None, "decoded"])
def test_every_dialect_says_it(dialect, source):
    codec = chat_dialect(dialect)
    asked = ASKED
    if source is not None:
        body = codec.encode_request(replace(ASKED, max_tokens=100), Profile(), Loss())
        asked = codec.decode_request(body, model="m", stream=True)
    told = codec.encode_request(continuation(asked, "One, two", estimate_tokens, prefill=False), Profile(), Loss())
    texts = [slot.text for slot in codec.text_slots(told)]
    assert any("Count." in text for text in texts)
    assert sum("<answer_so_far>\nOne, two\n</answer_so_far>" in text for text in texts) == 1


@pytest.mark.parametrize(("limit", "left"), [(None, None), (100, 98), (18, 16), (17, 16), (10, 10), (1, 1)])
def test_what_was_said_is_taken_from_the_limit(limit, left):
    asked = continuation(replace(ASKED, max_tokens=limit), "One, two", estimate_tokens, prefill=False)
    assert asked.max_tokens == left


def test_where_nothing_was_said_the_same_is_asked_again():
    assert continuation(ASKED, "", estimate_tokens, prefill=False) is ASKED
