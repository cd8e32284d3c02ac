"""Where two parts of an answer meet: repetitions, blocks, and the order of events, over all ways to cut and chunk."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.core.reply import collect
from aistrale.policies.meter import add_usage
from aistrale.reliability.joint import LONGEST_OVERLAP, Delivered, Joint, Overlap
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Choice,
    Completion,
    Finish,
    Message,
    Other,
    ReasoningDelta,
    ReasoningPart,
    RefusalPart,
    ReplyEnd,
    ReplyStart,
    Switched,
    TextDelta,
    TextPart,
    ToolCallPart,
    Usage,
    UsageUpdate,
    Whole,
    Wire,
)


def overlap(old, *pieces):
    found = Overlap(old)
    for piece in pieces:
        found.feed(piece)
    return found.finish()


def begins_in_word(text, start):
    return start > 0 and all(c.isdigit() or c.lower() != c.upper() for c in text[start - 1 : start + 1])


def longest(old, new):
    """The same by definition: try every size."""
    sizes = [
        size
        for size in range(1, min(len(old), len(new), 200) + 1)
        if old[-size:] == new[:size] and (size >= 8 or not begins_in_word(old, len(old) - size))
    ]
    return max(sizes, default=0)


@pytest.mark.parametrize(
    ("old", "new", "size"),
    [
        ("", "Hello", 0),
        ("Hello", "", 0),
        ("The quick brown", " fox", 0),
        ("The quick ", " brown", 1),
        ("The quick brown", "The quick brown fox", 15),
        ("Hello wor", "world", 3),
        ("It is the quick brown", "quick brown fox", 11),
        # A letter that both happen to have is no repetition, and neither are the digits of a number.
        ("Hel", "lo", 0),
        ("100", "000", 0),
        ("unbelievable", "believable", 10),
        # Scripts without spaces have no insides of words.
        ("我喜欢你", "你好", 1),
        ("aaa\n\n\n", "\n\nb", 2),
        ("x" * 500, "x" * 500, LONGEST_OVERLAP),
        ("a. " + "b" * 201, "b" * 201 + "c", LONGEST_OVERLAP),
    ],
)
def test_what_is_repeated(old, new, size):
    assert overlap(old, new) == size
    assert overlap(old, *new) == size


@given(st.text(" ab1é", max_size=40), st.text(" ab1é", max_size=40), st.data())
def test_the_overlap_does_not_depend_on_the_pieces(old, new, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(new)), max_size=5)))
    pieces = [new[start:end] for start, end in zip([0, *cuts], [*cuts, len(new)], strict=True)]
    assert overlap(old, *pieces) == longest(old, new)


@given(st.text("ab ", min_size=1, max_size=60), st.text("ab ", max_size=60))
def test_the_overlap_is_known_as_soon_as_no_longer_one_is_possible(old, new):
    found = Overlap(old)
    for position, character in enumerate(new, 1):
        known = found.feed(character)
        possible = any(old[-size:].startswith(new[:position]) for size in range(position + 1, len(old) + 1))
        assert (known is None) == possible
        if known is not None:
            break


def switched(size):
    return Switched("b", "b/m", 0, "NetworkError", size)


def joint(before, used=None):
    delivered = Delivered()
    for event in before:
        delivered.feed(event)
    return Joint(delivered, switched, used, add_usage)


def both(before, after, used=None):
    joined = joint(before, used)
    return [*before, *(out for event in after for out in joined.feed(event))]


def kinds(events):
    return [type(event).__name__ for event in events]


def part(text, *, name="r2", size=3, reason="stop"):
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    return [
        ReplyStart(name, "other"),
        BlockStart(0, TextPart("")),
        *(TextDelta(piece, 0) for piece in pieces),
        BlockEnd(0),
        Finish(reason),
        UsageUpdate(Usage(input=5, output=2)),
        ReplyEnd(),
    ]


BEGUN = [ReplyStart("r1", "m"), BlockStart(0, TextPart("")), TextDelta("The quick", 0)]


def test_the_new_part_goes_on_in_the_open_block():
    events = both(BEGUN, part(" brown fox"))
    assert kinds(events)[3:] == ["Switched", *["TextDelta"] * 4, "BlockEnd", "Finish", "UsageUpdate", "ReplyEnd"]
    answer = collect(events)
    assert answer.text == "The quick brown fox"
    assert len(answer.message.parts) == 1
    assert (answer.id, answer.finish_reason) == ("r1", "stop")


def test_what_is_repeated_is_left_out_and_reported():
    events = both(BEGUN, part("The quick brown fox"))
    assert collect(events).text == "The quick brown fox"
    assert [event.overlap for event in events if isinstance(event, Switched)] == [9]


def test_a_repetition_to_the_very_end_leaves_nothing_over():
    events = both(BEGUN, part("The quick"))
    assert kinds(events)[3:] == ["Switched", "BlockEnd", "Finish", "UsageUpdate", "ReplyEnd"]
    assert events[3].overlap == 9


def test_nothing_is_given_before_the_switch_is_announced():
    joined = joint(BEGUN)
    assert joined.feed(ReplyStart("r2", "other")) == []
    assert joined.feed(Other("anthropic_messages", "ping")) == []
    assert joined.feed(UsageUpdate(Usage(input=1))) == []
    assert joined.feed(BlockStart(0, ReasoningPart())) == []
    assert joined.feed(ReasoningDelta("so", 0)) == []
    assert joined.feed(BlockEnd(0)) == []
    assert joined.feed(BlockStart(1, TextPart(""))) == []
    assert joined.feed(TextDelta("qui", 1)) == []
    assert not joined.begun
    events = joined.feed(TextDelta("ck fox", 1))
    assert events[-1].text == " fox"
    assert joined.begun
    assert kinds(events) == [
        "Switched", "Other", "UsageUpdate", "BlockStart", "ReasoningDelta", "BlockEnd", "TextDelta",
    ]  # fmt: skip
    assert (joined.start.id, joined.start.model) == ("r2", "other")
    # The thought is a block of its own, after those that were there.
    assert [event.block for event in events[3:]] == [1, 1, 1, 0]


def test_thoughts_that_were_cut_are_closed_before_the_switch():
    before = [ReplyStart("r1", "m"), BlockStart(0, ReasoningPart()), ReasoningDelta("hm", 0)]
    events = both(before, part("Hello"))
    assert kinds(events)[3:6] == ["BlockEnd", "Switched", "BlockStart"]
    answer = collect(events)
    assert (answer.reasoning, answer.text) == ("hm", "Hello")


def test_a_block_that_is_complete_stays_so():
    events = both([*BEGUN, BlockEnd(0)], part(" brown"))
    assert collect(events).text == "The quick brown"
    assert [event.block for event in events if isinstance(event, BlockStart)] == [0, 1]


def test_a_second_block_of_text_is_one():
    after = [
        BlockStart(0, TextPart("")),
        TextDelta(" a", 0),
        BlockEnd(0),
        BlockStart(1, TextPart("")),
        TextDelta("b", 1),
    ]
    events = both(BEGUN, after)
    assert [(event.block, event.text) for event in events if isinstance(event, TextDelta)] == [
        (0, "The quick"), (0, " a"), (1, "b"),
    ]  # fmt: skip


def test_text_without_the_start_of_a_block():
    assert collect(both([TextDelta("one", 0)], [TextDelta(" two", 0), Finish("stop"), ReplyEnd()])).text == "one two"


def test_text_that_comes_with_its_block():
    events = both(
        [BlockStart(0, TextPart("The quick"))], [BlockStart(0, TextPart("quick fox")), BlockEnd(0), ReplyEnd()]
    )
    assert collect(events).text == "The quick fox"


def test_what_is_no_text_decides_at_once():
    after = [
        BlockStart(0, TextPart("")),
        TextDelta("quick", 0),
        BlockStart(1, ToolCallPart("c", "f")),
        ArgumentsDelta("{}", 1),
    ]
    events = both(BEGUN, after)
    assert kinds(events)[3:] == ["Switched", "BlockStart", "ArgumentsDelta"]
    assert events[4].block == events[5].block == 1


def test_usage_is_that_of_all_parts():
    events = both(BEGUN, part(" fox"), Usage(input=7, output=1, source="estimated"))
    usage = collect(events).usage
    assert (usage.input, usage.output, usage.source) == (12, 3, "estimated")


def test_an_answer_in_one_piece_goes_on_like_a_stream():
    whole = Completion(
        id="r2",
        model="other",
        choices=[Choice(Message.assistant("The quick fox"), "length")],
        usage=Usage(input=5, output=2),
    )
    whole.message.parts.insert(0, ReasoningPart("hm"))
    answer = collect(both(BEGUN, [Whole(whole)], Usage(input=1)))
    assert (answer.text, answer.reasoning, answer.finish_reason) == ("The quick fox", "hm", "length")
    assert answer.usage.input == 6


SIGNED = Wire("anthropic_messages", {"signature": "s"})


@pytest.mark.parametrize(
    ("event", "plain"),
    [
        (TextDelta("a", 0), True),
        (ReasoningDelta("a", 0), True),
        (BlockStart(0, ReasoningPart("hm")), True),
        (BlockStart(0, ReasoningPart(wire=Wire("anthropic_messages", {"signature": ""}))), False),
        (BlockStart(0, ReasoningPart(wire=Wire("openai_responses", {"$item": {"encrypted_content": None}}))), True),
        (Other("x"), True),
        (UsageUpdate(Usage()), True),
        (Switched("p", "p/m", 1, "x"), True),
        (TextDelta("a", 0, wire=Wire("openai_chat", {"logprobs": {}})), False),
        (TextDelta("a", 0, 1), False),
        (ReasoningDelta("a", 0, 1), False),
        (BlockStart(0, TextPart(""), 1), False),
        (BlockStart(0, TextPart("", wire=Wire("gemini_generate", {"thoughtSignature": "s"}))), False),
        (BlockStart(0, ReasoningPart(wire=SIGNED)), False),
        (BlockStart(0, ReasoningPart(redacted=True)), False),
        (BlockStart(0, ReasoningPart(wire=Wire("openai_responses", {"$item": {"encrypted_content": "s"}}))), False),
        (BlockEnd(0, wire=SIGNED), False),
        (BlockEnd(0), True),
        (BlockStart(0, RefusalPart("no")), False),
        (BlockStart(0, ToolCallPart("c", "f")), False),
        (ArgumentsDelta("{", 0), False),
        (Finish("stop"), False),
        (ReplyEnd(), False),
        (Whole(Completion()), False),
    ],
)
def test_what_another_model_can_go_on_with(event, plain):
    delivered = Delivered()
    delivered.feed(event)
    assert delivered.plain is plain


words = st.text("ab c.", max_size=30)


@given(words, words, st.integers(1, 7), st.integers(0, 30), st.booleans())
def test_the_whole_answer_is_its_pieces_with_one_beginning_one_switch_and_one_end(first, second, size, cut, thinks):
    before = part(first, size=size)[: 2 + cut]
    before = [event for event in before if not isinstance(event, (Finish, ReplyEnd, UsageUpdate))]
    after = part(second, size=size)
    if thinks:
        after[1:1] = [BlockStart(7, ReasoningPart()), ReasoningDelta("hm", 7), BlockEnd(7)]
    events = both(before, after)
    old = "".join(event.text for event in before)
    (change,) = [event for event in events if isinstance(event, Switched)]
    # S1: the text is what the deltas spell, which is the old text and what the new one adds to it.
    assert collect(events).text == "".join(event.text for event in events) == old + second[change.overlap :]
    assert change.overlap == longest(old, second)
    # S2, S4: one end, and nothing after it. S3: nothing of the new part before it is announced.
    assert [type(event) for event in events].count(ReplyEnd) == 1
    assert type(events[-1]) is ReplyEnd
    assert [type(event) for event in events].count(ReplyStart) == 1
    position = events.index(change)
    assert all(isinstance(event, BlockEnd) for event in events[len(before) : position])
    # A block opens once and is closed once.
    opened = [(event.block, event.choice) for event in events if isinstance(event, BlockStart)]
    assert len(set(opened)) == len(opened)
    closed = [event.block for event in events if isinstance(event, BlockEnd)]
    assert len(set(closed)) == len(closed)
