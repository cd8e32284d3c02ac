"""The judge of translations itself: it has to see what goes missing without a record, and to accept what has one."""

from __future__ import annotations

import copy

import pytest

from aistrale.types import (
    Choice,
    Completion,
    Lossy,
    MediaPart,
    Message,
    ReasoningPart,
    Request,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
    Usage,
)
from tests.translation.compare import answer_differences, request_differences


def request():
    return Request(
        model="m",
        messages=[
            Message.system("Be brief."),
            Message.user("What is this?", MediaPart("image", data="iVBO", media_type="image/png")),
            Message("assistant", [ReasoningPart("hm"), TextPart("I look."), ToolCallPart("a", "look", '{"x": 1}')]),
            Message("tool", [ToolResultPart("a", [TextPart("a cat")], is_error=True)]),
        ],
        tools=[Tool("look", "Looks.", {"type": "object", "properties": {"x": {"type": "integer"}}}, strict=True)],
        tool_choice=ToolChoice("auto"),
        temperature=0.5,
    )


def lost(field, action="dropped"):
    return Lossy(field, action, "")


def without_image(changed):
    del changed.messages[1].parts[1]


def other_text(changed):
    changed.messages[2].parts[1].text = "I stare."


def other_arguments(changed):
    changed.messages[2].parts[2].arguments = '{"x": 2}'


def other_link(changed):
    changed.messages[3].parts[0].call_id = "b"


def other_role(changed):
    changed.messages[0].role = "user"


def no_thought(changed):
    del changed.messages[2].parts[0]


def no_error(changed):
    changed.messages[3].parts[0].is_error = False


def other_schema(changed):
    changed.tools[0].parameters = {"type": "object", "properties": {}}


def no_temperature(changed):
    changed.temperature = None


def other_id(changed):
    changed.messages[2].parts[2].id = changed.messages[3].parts[0].call_id = "z"


@pytest.mark.parametrize(
    ("change", "record"),
    [
        (without_image, "messages[1].parts[1]"),
        (other_text, "messages[2].parts[1]"),
        (other_arguments, "messages[2].parts[2].arguments"),
        (other_link, None),
        (other_role, None),
        (no_thought, "messages[2].parts[0]"),
        (no_error, "messages[3].parts[0].is_error"),
        (other_schema, "tools[0].parameters"),
        (no_temperature, "temperature"),
        (other_id, None),
    ],
)
def test_a_change_needs_the_record_that_names_it(change, record) -> None:
    changed = request()
    change(changed)
    assert request_differences(request(), request(), []) == []
    assert request_differences(request(), changed, [])
    for elsewhere in ("messages[1].parts[0]", "messages[2].parts[2].cache", "top_p", "tools[0].description"):
        assert request_differences(request(), changed, [lost(elsewhere)]), elsewhere
    if record:
        assert request_differences(request(), changed, [lost(record)]) == []


def test_a_text_that_was_not_named_has_to_be_there() -> None:
    old = Request(model="m", messages=[Message.user("one ", "two ", "three")])
    new = Request(model="m", messages=[Message.user("one three")])
    assert request_differences(old, new, [lost("messages[0].parts[1]")]) == []
    assert request_differences(old, new, [lost("messages[0].parts[0]")])


def answer(**usage):
    message = Message("assistant", [TextPart("Yes."), ToolCallPart("a", "look", "{}")])
    return Completion("r", "m", [Choice(message, "tool_calls")], Usage(**usage))


def test_the_end_and_the_counts_of_an_answer() -> None:
    ended = copy.deepcopy(answer(input=1))
    ended.choices[0].finish_reason = "stop"
    assert answer_differences(answer(input=1), ended, []) == ["finish: tool_calls became stop"]
    assert answer_differences(answer(input=1), ended, [lost("choices[0].finish_reason", "emulated")]) == []
    assert answer_differences(answer(input=1, reasoning=0), answer(input=1), []) == []
    assert answer_differences(answer(input=1), answer(input=2), [])
    apart, together = answer(input=1, tool_input=4), answer(input=5)
    assert answer_differences(apart, together, [])
    assert answer_differences(apart, together, [lost("usage.tool_input", "emulated")]) == []
    assert answer_differences(apart, answer(input=4), [lost("usage.tool_input", "emulated")])


def test_a_second_answer_that_is_gone() -> None:
    two = answer(input=1)
    two.choices.append(Choice(Message.assistant("No."), "stop", index=1))
    assert answer_differences(two, answer(input=1), []) == ["choices[1]: lost"]
    assert answer_differences(two, answer(input=1), [lost("choices[1]")]) == []
