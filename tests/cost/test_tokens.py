"""Tokens estimated from lengths, and counted along a stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.cost.tokens.by_length import StreamCounter, estimate_tokens
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Choice,
    Completion,
    Finish,
    MediaPart,
    Message,
    Other,
    ReasoningDelta,
    RefusalPart,
    ReplyEnd,
    ReplyStart,
    TextDelta,
    TextPart,
    ToolCallPart,
    Usage,
    UsageUpdate,
    Whole,
)


def counted(*events, factor=1.0):
    counter = StreamCounter(factor)
    for event in events:
        counter.feed(event)
    return counter.output


def test_everything_that_the_model_says_is_counted():
    said = [
        ReplyStart(),
        BlockStart(0, TextPart("abcd")),
        TextDelta("x" * 8),
        ReasoningDelta("y" * 8),
        BlockStart(1, ToolCallPart("id", "name")),
        ArgumentsDelta("{}{}"),
        BlockStart(2, MediaPart("image")),
        BlockEnd(0),
        Other("openai_chat"),
        Finish("stop"),
        ReplyEnd(),
    ]
    assert counted(*said) == (4 + 8 + 8 + 4 + 4) // 4


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], 0),
        ([TextDelta("")], 0),
        ([TextDelta("a")], 1),
        # Two letters of two bytes each, half a surrogate pair of three.
        ([TextDelta("éé")], 1),
        ([TextDelta("é\ud800")], 2),
        # The last word of the provider is the truth.
        ([TextDelta("x" * 40), UsageUpdate(Usage(output=7))], 7),
        ([TextDelta("x" * 40), UsageUpdate(Usage(output=7, reasoning=500))], 507),
        # What comes after a report is added to it.
        ([TextDelta("x" * 40), UsageUpdate(Usage(output=7)), TextDelta("x" * 40)], 17),
        # Anthropic's first report is of the beginning, a later one without output says nothing of it.
        ([UsageUpdate(Usage(input=9, output=1)), TextDelta("x" * 40)], 11),
        ([TextDelta("x" * 40), UsageUpdate(Usage(input=9, output=1))], 10),
        ([TextDelta("x" * 40), UsageUpdate(Usage(input=9))], 10),
        ([UsageUpdate(Usage(output=5)), UsageUpdate(Usage(output=8))], 8),
    ],
)
def test_reports_of_the_provider_correct_the_count(events, expected):
    assert counted(*events) == expected


def test_a_whole_answer_counts_at_once():
    answer = Completion(choices=[Choice(Message("assistant", [TextPart("x" * 40), RefusalPart("no!!")]))])
    assert counted(Whole(answer)) == 11
    answer.usage = Usage(output=9)
    assert counted(Whole(answer)) == 9


def test_the_factor_is_applied_to_what_was_estimated_and_not_to_what_was_reported():
    assert counted(TextDelta("x" * 40), factor=1.5) == 15
    assert counted(TextDelta("x" * 40), UsageUpdate(Usage(output=9)), TextDelta("x" * 40), factor=1.5) == 24


@given(st.lists(st.text(st.characters(codec=None), max_size=30), max_size=20))
def test_a_text_in_pieces_counts_as_the_whole_text(pieces):
    assert counted(*map(TextDelta, pieces)) == estimate_tokens("".join(pieces)) or any(
        "\ud800" <= letter <= "\udfff" for letter in "".join(pieces)
    )


@given(st.lists(st.text(max_size=30), min_size=1, max_size=20))
def test_a_count_never_falls_without_a_report(pieces):
    counter, last = StreamCounter(), 0
    for piece in pieces:
        counter.feed(TextDelta(piece))
        assert counter.output >= last
        last = counter.output
