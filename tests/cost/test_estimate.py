"""What is written down for a stream that ended before its provider said what it used."""

from __future__ import annotations

import pytest

from aistrale.cost.estimate import estimate_usage
from aistrale.cost.tokens import encodings
from aistrale.cost.tokens.by_length import estimate_tokens
from aistrale.types import (
    Choice,
    Completion,
    MediaPart,
    Message,
    ReasoningPart,
    RefusalPart,
    Request,
    TextPart,
    Tool,
    ToolCallPart,
    Usage,
)

ASKED = Request(model="m", messages=[Message.user("x" * 400)], stream=True)


def answer(*parts):
    return Completion(choices=[Choice(Message("assistant", list(parts)))])


def test_without_a_report_everything_is_counted_from_the_text():
    said = answer(
        ReasoningPart("y" * 80),
        TextPart("z" * 40),
        RefusalPart("no! "),
        ToolCallPart("c", "name", "{}" * 4),
        MediaPart("image"),
    )
    usage = estimate_usage(ASKED, said, None)
    assert usage.source == "estimated"
    assert (usage.output, usage.reasoning) == (10 + 1 + 3, 20)
    assert 100 <= usage.input <= 110


def test_tools_are_part_of_the_prompt():
    more = Request(model="m", messages=ASKED.messages, tools=[Tool("f", "d" * 400)], stream=True)
    assert estimate_usage(more, answer(), None).input >= estimate_usage(ASKED, answer(), None).input + 100


@pytest.mark.parametrize(
    ("reported", "output", "source"),
    [
        # Anthropic's first word: the input is true, the output is that of the beginning.
        (Usage(input=50, cache_read=7, output=1), 25, "estimated"),
        # Gemini counts along.
        (Usage(input=50, cache_read=7, output=20), 20, "reported"),
        (Usage(input=50, cache_read=7, output=13), 13, "reported"),
        (Usage(input=50, cache_read=7), 25, "estimated"),
    ],
)
def test_what_was_reported_so_far_stands_where_it_can_be_true(reported, output, source):
    usage = estimate_usage(ASKED, answer(TextPart("z" * 100)), reported)
    assert (usage.input, usage.cache_read, usage.output, usage.source) == (50, 7, output, source)


def test_nothing_was_delivered():
    usage = estimate_usage(ASKED, Completion(), None)
    assert (usage.output, usage.reasoning) == (0, None)
    reported = Usage(input=9)
    assert estimate_usage(ASKED, Completion(), reported) is reported


def test_several_alternatives_are_all_counted():
    said = Completion(choices=[Choice(Message.assistant("z" * 8), index=number) for number in range(3)])
    assert estimate_usage(ASKED, said, None).output == 3 * estimate_tokens("z" * 8)


def test_where_an_encoding_is_loaded_it_counts(monkeypatch):
    said = answer(TextPart("The quick brown fox jumps over the lazy dog."))
    assert estimate_usage(ASKED, said, None).output == 11
    monkeypatch.setattr(encodings, "loaded", lambda _name="o200k_base": True)
    assert estimate_usage(ASKED, said, None).output == 10
    said.model = "claude-opus-5"
    assert estimate_usage(ASKED, said, None).output == 15


def test_long_answers_are_taken_by_their_length_even_then(monkeypatch):
    monkeypatch.setattr(encodings, "loaded", lambda _name="o200k_base": True)
    monkeypatch.setattr(encodings, "count", lambda *_: 1 / 0)
    assert estimate_usage(ASKED, answer(TextPart("z" * 20_000)), None).output == 5_000
