from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.core.output import Answer, UnwrapTap, find_json, lower, unwrap
from aistrale.core.reply import collect
from aistrale.core.schema import Lowered
from aistrale.dialects.base import Loss, Profile
from aistrale.errors import InvalidRequestError
from aistrale.providers import get_provider
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Choice,
    Completion,
    Finish,
    Message,
    OutputFormat,
    Reasoning,
    ReasoningDelta,
    ReasoningPart,
    ReplyEnd,
    ReplyStart,
    Request,
    TextDelta,
    TextPart,
    Tool,
    ToolCallPart,
    Whole,
    Wire,
)

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


FREE = OutputFormat("json_schema", {"type": "object", "additionalProperties": {"type": "integer"}})
LIST = OutputFormat("json_schema", {"type": "array", "items": {"type": "integer"}}, "My list!")


def ask(**fields):
    output = fields.pop("output", OutputFormat("json_schema", SCHEMA, "thing"))
    return Request(model="m", messages=[Message.user("Hi")], output=output, **fields)


def low(request, **fields):
    """Lower for a profile with these fields; the rules are those of the provider that is named."""
    loss = Loss()
    profile = Profile(**fields)
    if profile.provider:
        profile = replace(profile, json=get_provider(profile.provider).profile(profile.model, None).json)
    changed, answer = lower(request, profile, loss)
    return changed, answer, loss.items


def test_a_request_without_output_is_left_alone():
    request = ask(output=None)
    assert low(request) == (request, None, [])


def test_a_request_of_a_calling_sdk_is_left_alone():
    request = ask(source="openai_chat")
    assert low(request, structured="prompt")[:2] == (request, None)


def test_a_provider_that_enforces_schemas_gets_the_lowered_one():
    changed, answer, items = low(ask(), provider="openai")
    assert answer.mode == "schema"
    assert changed.output.strict is True
    assert changed.output.schema["additionalProperties"] is False
    assert items == []


def test_an_inexpressible_schema_is_sent_loosely_and_recorded():
    changed, answer, items = low(ask(output=FREE), provider="openai")
    assert (changed.output.strict, answer.mode, changed.output.name) == (False, "schema", "answer")
    assert [item.field for item in items] == ["output.strict"]


def test_anthropic_gets_a_forced_tool_instead():
    changed, answer, items = low(ask(output=FREE), provider="anthropic")
    assert (answer.mode, changed.tool_choice.names, changed.output) == ("tool", ["answer"], None)
    assert [item.field for item in items] == ["output.schema"]


def test_without_enforcement_a_forced_tool_carries_the_schema():
    changed, answer, _ = low(ask(), structured="tool")
    assert (answer.tool, changed.tools[0].parameters, changed.output) == ("thing", SCHEMA, None)


def test_own_tools_leave_only_words():
    changed, answer, items = low(ask(tools=[Tool("own")]), structured="tool")
    assert answer.mode == "prompt"
    assert [item.field for item in items] == ["output"]
    assert "JSON Schema" in changed.messages[0].text


@pytest.mark.parametrize(("mode", "kind"), [("json", "json_object"), ("prompt", None)])
def test_words_stand_in_the_instructions(mode, kind):
    request = ask()
    changed, answer, items = low(request, structured=mode)
    assert answer.mode == mode
    assert (changed.output.kind if changed.output else None) == kind
    assert [message.role for message in changed.messages] == ["system", "user"]
    assert len(items) == 1
    assert len(request.messages) == 1
    request.messages.insert(0, Message.system("Be brief."))
    changed, _, _ = low(request, structured=mode)
    assert [message.role for message in changed.messages] == ["system", "user"]
    assert changed.messages[0].text.startswith("Be brief.\n\nAnswer with one JSON")


def test_a_plain_json_object_is_passed_on():
    plain = OutputFormat("json_object")
    request = ask(output=plain)
    assert low(request) == (request, Answer("json"), [])
    assert low(ask(output=plain), structured="prompt")[0].output is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('<think>maybe {"a": 0}?</think>\n{"a": 1}', '{"a": 1}'),
        ('Use {braces}: {"a": 1}', '{"a": 1}'),
        ('As [1] says, {"a": 1} holds.', '{"a": 1}'),
        ('```python\nx = {}\n```\nand\n```json\n{"a": 1}\n```', '{"a": 1}'),
        ('```json\n{"a": "```"}\n```', '{"a": "```"}'),
        ('Either {"a": 1} or {"a": 2}', 'Either {"a": 1} or {"a": 2}'),
        ('Here: {"a": {"b": 1}, "c": "tr', 'Here: {"a": {"b": 1}, "c": "tr'),
        ('```json\n{"a": {"b": 1}, "c"', '```json\n{"a": {"b": 1}, "c"'),
        ("[" * 100_000, "[" * 100_000),
        ('{"a": 1}', '{"a": 1}'),
        ("  [1, 2]\n", "[1, 2]"),
        ('```json\n{"a": 1}\n```', '{"a": 1}'),
        ('Here it is:\n```\n{"a": 1}\n```\nBye.', '{"a": 1}'),
        ('The answer is {"a": {"b": 2}} as you see.', '{"a": {"b": 2}}'),
        ("no JSON here", "no JSON here"),
        ('broken {"a": ', 'broken {"a": '),
        ("", ""),
    ],
)
def test_the_one_json_value_is_found(text, found):
    assert find_json(text) == found


def said(*parts, reason="stop"):
    return Completion(choices=[Choice(Message("assistant", list(parts)), reason)])


def test_a_forced_tools_arguments_become_the_text():
    completion = unwrap(said(ToolCallPart("c", "thing", '{"a":1}'), reason="tool_calls"), Answer("tool", None, "thing"))
    assert (completion.text, completion.tool_calls, completion.finish_reason) == ('{"a":1}', [], "stop")


def test_another_tools_call_stays_a_call():
    completion = unwrap(said(ToolCallPart("c", "other", "{}"), reason="tool_calls"), Answer("tool", None, "thing"))
    assert (len(completion.tool_calls), completion.finish_reason) == (1, "tool_calls")


def test_wrapping_is_undone():
    lowered = Lowered({}, {"type": "array"}, wrapped=True)
    assert unwrap(said(TextPart('{"value": [1]}')), Answer("schema", lowered)).text == "[1]"


def test_a_stream_gives_the_document_as_text():
    tap = UnwrapTap(Answer("tool", None, "thing"))
    events = [
        BlockStart(0, ToolCallPart("c", "thing")),
        ArgumentsDelta('{"a"', 0),
        ArgumentsDelta(":1}", 0),
        BlockEnd(0),
        Finish("tool_calls"),
        ReplyEnd(),
    ]
    answer = collect([out for event in events for out in tap.feed(event)] + list(tap.finish()))
    assert (answer.text, answer.tool_calls, answer.finish_reason) == ('{"a":1}', [], "stop")


def test_a_whole_answer_goes_through_the_same_tap():
    tap = UnwrapTap(Answer("prompt"))
    (event,) = tap.feed(Whole(said(TextPart('```json\n{"a": 1}\n```'))))
    assert event.completion.text == '{"a": 1}'


@pytest.mark.parametrize("provider", ["openai", "groq"])
def test_json_mode_needs_the_word_json(provider):
    changed, answer, items = low(ask(output=OutputFormat("json_object")), provider=provider)
    assert (changed.output.kind, answer.mode, [item.field for item in items]) == ("json_object", "json", ["output"])
    assert "JSON" in changed.messages[0].text
    asked = Request(model="m", messages=[Message.user("Give me json.")], output=OutputFormat("json_object"))
    assert low(asked, provider=provider) == (asked, Answer("json"), [])


@pytest.mark.parametrize("profile", [{"provider": "anthropic"}, {"structured": "tool"}, {"structured": "prompt"}])
def test_where_there_is_no_json_mode_it_is_asked_for_in_words(profile):
    changed, answer, items = low(ask(output=OutputFormat("json_object")), **profile)
    assert (changed.output, answer.mode, len(items)) == (None, "prompt", 1)


@pytest.mark.parametrize(
    ("provider", "fields", "mode"),
    [
        ({"provider": "groq", "model": "openai/gpt-oss-20b"}, {}, "schema"),
        ({"provider": "groq", "model": "openai/gpt-oss-20b"}, {"stream": True}, "tool"),
        ({"provider": "groq", "model": "openai/gpt-oss-20b"}, {"tools": [Tool("own")]}, "prompt"),
        ({"provider": "groq", "structured": "json"}, {"tools": [Tool("own")]}, "prompt"),
        ({"provider": "groq", "structured": "json"}, {"stream": True}, "json"),
        ({"provider": "gemini", "model": "gemini-3-pro-preview"}, {"tools": [Tool("own")]}, "schema"),
        ({"provider": "gemini", "thinking": "budget"}, {"tools": [Tool("own")]}, "prompt"),
        ({"provider": "openai"}, {"tools": [Tool("own")], "stream": True}, "schema"),
        ({"provider": "anthropic"}, {"tools": [Tool("own")], "stream": True}, "schema"),
        ({"provider": "anthropic", "structured": "tool"}, {"reasoning": Reasoning(effort="high")}, "prompt"),
        ({"provider": "anthropic", "structured": "tool"}, {"reasoning": Reasoning(effort="none")}, "tool"),
        ({"provider": "anthropic"}, {"output": FREE, "reasoning": Reasoning(budget=2000)}, "prompt"),
        ({"provider": "anthropic"}, {"output": FREE, "tools": [Tool("own")]}, "prompt"),
    ],
    ids=str,
)
def test_the_strongest_mode_that_the_request_leaves(provider, fields, mode):
    request = ask(**fields)
    changed, answer, items = low(request, **provider)
    assert answer.mode == mode
    assert bool(items) == (mode != "schema" and (mode, provider.get("structured")) != ("tool", "tool"))
    assert changed.tools[: len(request.tools)] == request.tools
    if mode == "prompt":
        assert changed.output is None
        assert "JSON Schema" in changed.messages[0].text


def test_only_some_of_groqs_models_are_held_to_a_schema():
    changed, _, items = low(ask(), provider="groq", model="moonshotai/kimi-k2")
    assert (changed.output.strict, changed.output.schema, items[0].field) == (False, SCHEMA, "output.strict")


def test_loosely_sent_schemas_still_have_an_object_at_their_root():
    free = OutputFormat("json_schema", {"type": "array", "items": {"type": "object"}})
    changed, answer, _ = low(ask(output=free), provider="openai")
    assert (changed.output.strict, changed.output.schema["type"]) == (False, "object")
    assert unwrap(said(TextPart('{"value": [{"a": 1}]}')), answer).text == '[{"a": 1}]'


def test_a_caller_who_wants_no_enforcement_gets_none():
    changed, _, items = low(ask(output=OutputFormat("json_schema", SCHEMA, strict=False)), provider="openai")
    assert (changed.output.strict, changed.output.schema, items) == (False, SCHEMA, [])


def test_a_caller_who_demands_enforcement_hears_what_is_not_enforced():
    bounded = {"type": "object", "properties": {"a": {"type": "string", "minLength": 2}}, "required": ["a"]}
    assert low(ask(output=OutputFormat("json_schema", bounded)), provider="openai")[2] == []
    _, _, items = low(ask(output=OutputFormat("json_schema", bounded, strict=True)), provider="openai")
    assert "schema.a.minLength" in items[0].detail


def test_what_may_not_be_emulated_is_refused():
    loss = Loss(on_lossy="error")
    with pytest.raises(InvalidRequestError) as caught:
        lower(ask(), Profile(structured="prompt"), loss)
    assert caught.value.param == "output"


def test_names_are_made_fit_for_the_wire():
    assert low(ask(output=LIST), provider="openai")[0].output.name == "My_list_"
    long = OutputFormat("json_schema", SCHEMA, "x" * 99)
    assert low(ask(output=long), structured="tool")[0].tools[0].name == "x" * 64


def test_a_forced_tool_takes_an_object():
    changed, answer, _ = low(ask(output=LIST, parallel_tool_calls=True), structured="tool")
    assert changed.tools[0].parameters == {
        "type": "object",
        "properties": {"value": LIST.schema},
        "required": ["value"],
    }
    assert (changed.tool_choice.names, changed.parallel_tool_calls) == (["My_list_"], None)
    call = ToolCallPart("c", "My_list_", '{"value": [1, 2]}')
    assert unwrap(said(call, reason="tool_calls"), answer).text == "[1, 2]"


def test_words_around_a_forced_call_are_no_part_of_the_document():
    thought = ReasoningPart("Hm.")
    completion = said(
        thought, TextPart("Sure: "), ToolCallPart("c", "thing", '{"a":1}'), ToolCallPart("d", "thing", '{"a":2}'),
        TextPart("Done."), reason="tool_calls",
    )  # fmt: skip
    unwrap(completion, Answer("tool", None, "thing"))
    assert completion.message.parts == [thought, TextPart('{"a":1}')]
    assert completion.finish_reason == "stop"


def test_a_model_that_writes_instead_of_calling_is_read_all_the_same():
    completion = unwrap(said(TextPart('Here: {"a": 1}')), Answer("tool", None, "thing"))
    assert completion.text == '{"a": 1}'


def test_the_state_of_a_text_stays_with_it():
    wire = Wire("gemini_generate", {"thoughtSignature": "s"})
    part = TextPart('```json\n{"a": 1}\n```', wire=wire)
    completion = unwrap(said(ReasoningPart("Hm."), part, TextPart("")), Answer("json"))
    assert completion.message.parts == [ReasoningPart("Hm."), TextPart('{"a": 1}', wire=wire)]
    assert part.text.startswith("```")


def test_every_alternative_is_read_and_each_only_once():
    choices = [Choice(Message("assistant", [TextPart('{"value": {"value": 1}}')]), "stop", index) for index in range(2)]
    completion = Completion(choices=choices)
    answer = Answer("schema", Lowered({}, {"anyOf": [{"type": "object"}, {"type": "integer"}]}, wrapped=True))
    for _ in range(2):
        assert [choice.message.text for choice in unwrap(completion, answer).choices] == ['{"value": 1}'] * 2
    assert completion.output_mode == "schema"
    assert unwrap(said(TextPart("x")), None).output_mode is None


def test_text_beside_tool_calls_is_left_alone():
    completion = unwrap(said(TextPart('Wait: {"a": 1}'), ToolCallPart("c", "own", "{}")), Answer("schema"))
    assert completion.text == 'Wait: {"a": 1}'


def test_what_is_already_right_is_not_rewritten():
    text = '{ "a" : 1.50, "b": "\\u00e9" }'
    lowered = Lowered({}, {"type": "object"}, nulls=True)
    assert unwrap(said(TextPart(text)), Answer("schema", lowered)).text == text
    assert unwrap(said(TextPart("no JSON")), Answer("schema", lowered)).text == "no JSON"
    deep = "[" * 5000 + "]" * 5000
    assert unwrap(said(TextPart(deep)), Answer("schema", lowered)).text == deep


def stream(*events):
    tap = UnwrapTap(Answer("tool", None, "thing"))
    return [out for event in events for out in tap.feed(event)] + list(tap.finish())


def test_words_before_a_streamed_call_are_held_back_until_it_is_clear_what_they_are():
    words = [BlockStart(0, TextPart("")), TextDelta("Sure.", 0), BlockEnd(0)]
    call = [BlockStart(1, ToolCallPart("c", "thing")), ArgumentsDelta('{"a":1}', 1), BlockEnd(1)]
    second = [BlockStart(2, ToolCallPart("d", "thing")), ArgumentsDelta("{}", 2), BlockEnd(2)]
    after = [BlockStart(3, TextPart("")), TextDelta("Done.", 3), BlockEnd(3)]
    out = stream(*words, *call, *second, *after, Finish("tool_calls"), ReplyEnd())
    assert "".join(event.text for event in out) == '{"a":1}'
    assert collect(out).finish_reason == "stop"
    # A block that was open when the call began stays dropped.
    out = stream(words[0], words[1], *call, TextDelta("more", 0), BlockEnd(0), Finish("tool_calls"), ReplyEnd())
    assert collect(out).text == '{"a":1}'


def test_a_stream_without_the_call_gives_its_words():
    words = [BlockStart(0, TextPart("")), TextDelta("I cannot.", 0), BlockEnd(0)]
    whole = stream(*words, Finish("stop"), ReplyEnd())
    assert [type(event) for event in whole] == [BlockStart, TextDelta, BlockEnd, Finish, ReplyEnd]
    assert collect(stream(*words)).text == "I cannot."


def test_other_events_and_other_tools_pass():
    events = [
        ReplyStart("id"), BlockStart(0, ReasoningPart()), ReasoningDelta("Hm.", 0), BlockEnd(0),
        BlockStart(1, ToolCallPart("c", "other")), ArgumentsDelta("{}", 1), BlockEnd(1), Finish("tool_calls"), ReplyEnd(),
    ]  # fmt: skip
    assert stream(*events) == events
    tap = UnwrapTap(Answer("schema"))
    assert [out for event in events for out in tap.feed(event)] == events


@given(st.lists(st.sampled_from(["text", "call", "other", "thought"]), max_size=6), st.booleans())
def test_a_stream_says_what_the_whole_answer_says(kinds, wrapped):
    made = {
        "text": lambda at: TextPart(f"words {at} "),
        "call": lambda at: ToolCallPart(f"c{at}", "thing", f'{{"value": [{at}]}}'),
        "other": lambda at: ToolCallPart(f"o{at}", "own", "{}"),
        "thought": lambda at: ReasoningPart(f"thought {at}"),
    }
    lowered = Lowered({}, {"type": "array"}, wrapped=wrapped)
    answer = Answer("tool", lowered, "thing")
    parts = [made[kind](at) for at, kind in enumerate(kinds)]
    events = [event for at, part in enumerate(parts) for event in (BlockStart(at, part), BlockEnd(at))]
    tap = UnwrapTap(answer)
    reason = "tool_calls" if {"call", "other"} & set(kinds) else "stop"
    out = [seen for event in [*events, Finish(reason), ReplyEnd()] for seen in tap.feed(event)]
    streamed = unwrap(collect(out), answer)
    whole = unwrap(said(*parts, reason=reason), answer)
    assert (streamed.text, streamed.tool_calls, streamed.reasoning) == (whole.text, whole.tool_calls, whole.reasoning)
    assert streamed.finish_reason == whole.finish_reason
