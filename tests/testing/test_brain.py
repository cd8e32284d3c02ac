from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.testing import brain
from aistrale.types import (
    EmbedRequest,
    MediaPart,
    Message,
    OutputFormat,
    Reasoning,
    Request,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
)

LOOK = Tool("look_up", parameters={"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]})
OTHER = Tool("other")


def request(*messages, **options):
    return Request(
        model="m", messages=[Message.user(item) if isinstance(item, str) else item for item in messages], **options
    )


@given(st.text(max_size=200), st.integers(1, 3))
def test_the_answer_depends_on_the_request_only(text, count):
    one, two = (brain.answer(request(text, n=count)) for _ in range(2))
    assert one == two
    assert one.text == f"This is a simulated answer to: {text}"
    assert len(one.choices) == count


def test_other_questions_have_other_ids():
    assert brain.answer(request("a")).id != brain.answer(request("b")).id


@pytest.mark.parametrize(
    ("source", "answer", "call"),
    [
        ("openai_chat", "chatcmpl-", "call_"),
        ("openai_responses", "resp_", "call_"),
        ("anthropic_messages", "msg_", "toolu_"),
        ("gemini_generate", "sim-", "call_"),
    ],
)
def test_ids_look_like_those_of_the_vendor(source, answer, call):
    said = brain.answer(request("x", source=source, tools=[LOOK]))
    assert said.id.startswith(answer)
    assert said.tool_calls[0].id.startswith(call)


def calls(*messages, **options):
    return [(call.name, call.input) for call in brain.answer(request(*messages, **options)).tool_calls]


def test_tools_are_called_with_arguments_that_fit_and_words_that_were_quoted():
    assert calls("Go.", tools=[LOOK]) == [("look_up", {"word": "text"})]
    assert calls("Go to 'a'.", tools=[LOOK]) == [("look_up", {"word": "a"})]
    assert calls("Go to 'a' and 'b'.", tools=[LOOK]) == [("look_up", {"word": "a"}), ("look_up", {"word": "b"})]
    assert calls("Go to 'a' and 'b'.", tools=[LOOK], parallel_tool_calls=False) == [("look_up", {"word": "a"})]
    assert calls("Go.", tools=[OTHER]) == [("other", {})]


def test_the_tool_that_is_named_is_called():
    assert calls("Please look up 'a'.", tools=[OTHER, LOOK]) == [("look_up", {"word": "a"})]
    assert calls("Please.", tools=[OTHER, LOOK]) == [("other", {})]
    assert calls("Please.", tools=[OTHER, LOOK], tool_choice=ToolChoice("tool", ["look_up"]))[0][0] == "look_up"


def test_no_tool_is_called_where_none_may_be():
    assert calls("Go.", tools=[LOOK], tool_choice=ToolChoice("none")) == []
    assert calls("Go.", tools=[Tool("search", hosted={"type": "web_search"})]) == []


ASKED = (
    Message.user("Go."),
    Message("assistant", [ToolCallPart("c", "look_up", "{}"), ToolCallPart("d", "look_up", "{}")]),
)
GIVEN = (Message.tool("c", "one"), Message.tool("d", "two"))


def test_results_are_quoted_whatever_the_user_says_beside_them():
    for messages in ((*ASKED, *GIVEN), (*ASKED, *GIVEN, Message.user("And?"))):
        said = brain.answer(request(*messages, tools=[LOOK]))
        assert (said.text, said.tool_calls, said.finish_reason) == ("The tools said: one; two", [], "stop")


def test_a_forced_tool_is_called_again_and_a_new_question_is_a_new_one():
    assert calls(*ASKED, *GIVEN, tools=[LOOK], tool_choice=ToolChoice("required")) != []
    assert calls(*ASKED, *GIVEN, Message.assistant("Done."), Message.user("Again."), tools=[LOOK]) != []


@pytest.mark.parametrize("reasoning", [Reasoning("low"), Reasoning(budget=100), Reasoning()])
def test_thoughts_come_when_they_are_asked_for(reasoning):
    said = brain.answer(request("Four", reasoning=reasoning))
    assert said.reasoning == "The question has 4 characters."
    assert said.usage.reasoning == brain.tokens(said.reasoning)
    for none in (None, Reasoning("none"), Reasoning(budget=0)):
        quiet = brain.answer(request("Four", reasoning=none))
        assert (quiet.reasoning, quiet.usage.reasoning) == ("", None)


@pytest.mark.parametrize(
    ("options", "text", "reason", "stopped"),
    [
        ({"max_tokens": 1}, "This", "length", None),
        ({"max_tokens": 1000}, "This is a simulated answer to: x", "stop", None),
        ({"stop": ["answer", "simulated"]}, "This is a ", "stop", "simulated"),
        ({"stop": ["nowhere", ""]}, "This is a simulated answer to: x", "stop", None),
        ({"stop": ["answer"], "max_tokens": 1}, "This", "length", None),
        ({"stop": ["is"], "max_tokens": 2}, "Th", "stop", "is"),
    ],
)
def test_limits_and_stops_are_kept(options, text, reason, stopped):
    (choice,) = brain.answer(request("x", **options)).choices
    assert (choice.message.text, choice.finish_reason, choice.stop_sequence) == (text, reason, stopped)


def test_schemas_are_answered():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    assert brain.answer(request("x", output=OutputFormat("json_schema", schema))).text == '{"a":1}'
    assert json.loads(brain.answer(request("x", output=OutputFormat("json_object"))).text) == {"answer": "simulated"}
    told = Message.system(f"Answer with a JSON Schema: {json.dumps(schema)} and nothing else.")
    assert brain.answer(request(told, "x")).text == '{"a":1}'
    assert brain.answer(request(Message.system("JSON Schema: {broken"), "x")).text.startswith("This is")


def test_everything_that_is_sent_counts():
    plain = brain.answer(request("12345678")).usage
    assert (plain.input, plain.output, plain.cache_read) == (2, 10, None)
    assert brain.input_tokens(request("12345678", tools=[LOOK])) > 2
    picture = MediaPart("image", data="AAAA")
    assert brain.input_tokens(request(Message("user", [TextPart("12345678"), picture]))) == brain.MEDIA_TOKENS + 3
    assert brain.input_tokens(request("")) == 1


@given(st.lists(st.text(max_size=20), min_size=1, max_size=4), st.integers(1, 300))
def test_vectors_have_length_one_and_depend_on_their_text_only(texts, size):
    made = brain.embed(EmbedRequest(model="m", inputs=texts, dimensions=size))
    again = brain.embed(EmbedRequest(model="other", inputs=texts[:1], dimensions=size))
    assert again.vectors[0] == made.vectors[0]
    for vector in made.vectors:
        assert len(vector) == size
        assert math.isclose(math.hypot(*vector), 1, abs_tol=1e-4)


def test_token_ids_can_be_embedded_and_are_counted():
    made = brain.embed(EmbedRequest(model="m", inputs=[[1, 2, 3], "12345"]))
    assert [len(vector) for vector in made.vectors] == [brain.DIMENSIONS] * 2
    assert made.usage.input == 5


@given(st.text())
def test_pieces_put_together_are_the_text(text):
    # White space at the very beginning belongs to no word.
    assert "".join(brain.pieces(text)) == (text.lstrip() or text)
