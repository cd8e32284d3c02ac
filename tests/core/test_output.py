from __future__ import annotations

import pytest

from aistrale.core.output import Answer, UnwrapTap, find_json, lower, unwrap
from aistrale.core.reply import collect
from aistrale.core.schema import Lowered
from aistrale.dialects.base import Loss, Profile
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Choice,
    Completion,
    Finish,
    Message,
    OutputFormat,
    ReplyEnd,
    Request,
    TextPart,
    Tool,
    ToolCallPart,
    Whole,
)

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def ask(**fields):
    output = fields.pop("output", OutputFormat("json_schema", SCHEMA, "thing"))
    return Request(model="m", messages=[Message.user("Hi")], output=output, **fields)


def low(request, **profile):
    loss = Loss()
    changed, answer = lower(request, Profile(**profile), loss)
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
    free = OutputFormat("json_schema", {"type": "object", "additionalProperties": {"type": "integer"}})
    changed, answer, items = low(ask(output=free), provider="openai")
    assert (changed.output.strict, answer.mode, changed.output.name) == (False, "schema", "answer")
    assert [item.field for item in items] == ["output.strict"]


def test_anthropic_gets_a_forced_tool_instead():
    free = OutputFormat("json_schema", {"type": "object", "additionalProperties": {"type": "integer"}})
    changed, answer, items = low(ask(output=free), provider="anthropic")
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
    assert low(ask(output=plain))[1] == Answer("json")
    assert low(ask(output=plain), structured="prompt")[0].output is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
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
