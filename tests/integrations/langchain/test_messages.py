from __future__ import annotations

import base64

import pytest

pytest.importorskip("langchain_core")

from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.prompt_values import ChatPromptValue

from aistrale.errors import InvalidRequestError
from aistrale.integrations.langchain.answers import usage_metadata
from aistrale.integrations.langchain.messages import messages_from
from aistrale.integrations.langchain.reading import data, usage_of
from aistrale.integrations.reports import _buckets, merged
from aistrale.types import (
    CacheHint,
    MediaPart,
    Message,
    ProviderPart,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Usage,
    Wire,
)

DATA = base64.b64encode(b"%PDF-1.4").decode()
SIGNED = Wire("anthropic_messages", {"signature": "sig"})


def parts(*content, kind=HumanMessage):
    (message,) = messages_from([kind(list(content))])
    return message.parts


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ("plain", TextPart("plain")),
        ({"type": "text", "text": "a"}, TextPart("a")),
        ({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, TextPart("a", CacheHint())),
        (
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            TextPart("a", CacheHint("1h")),
        ),
        # Images in the words of LangChain 1 and 0, of OpenAI and of Anthropic.
        ({"type": "image", "base64": DATA, "mime_type": "image/png"}, MediaPart("image", DATA, media_type="image/png")),
        ({"type": "image", "url": "https://a/b.png"}, MediaPart("image", url="https://a/b.png")),
        ({"type": "image", "file_id": "f1"}, MediaPart("image", file_id="f1")),
        (
            {"type": "image", "source_type": "base64", "data": DATA, "mime_type": "image/png"},
            MediaPart("image", DATA, media_type="image/png"),
        ),
        ({"type": "image", "source_type": "url", "url": "https://a/b"}, MediaPart("image", url="https://a/b")),
        (
            {"type": "image_url", "image_url": {"url": "https://a/b", "detail": "low"}},
            MediaPart("image", url="https://a/b", detail="low"),
        ),
        (
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}},
            MediaPart("image", DATA, media_type="image/png"),
        ),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}},
            MediaPart("image", DATA, media_type="image/png"),
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "https://a/b"}, "cache_control": {"type": "ephemeral"}},
            MediaPart("image", url="https://a/b", cache=CacheHint()),
        ),
        # Documents and sounds.
        (
            {"type": "file", "base64": DATA, "mime_type": "application/pdf", "filename": "a.pdf"},
            MediaPart("document", DATA, media_type="application/pdf", filename="a.pdf"),
        ),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{DATA}"}},
            MediaPart("document", DATA, media_type="application/pdf", filename="a.pdf"),
        ),
        (
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": DATA}},
            MediaPart("document", DATA, media_type="application/pdf"),
        ),
        (
            {"type": "text-plain", "text": "hi", "mime_type": "text/plain", "title": "a.txt"},
            MediaPart("document", base64.b64encode(b"hi").decode(), media_type="text/plain", filename="a.txt"),
        ),
        ({"type": "audio", "base64": DATA, "mime_type": "audio/wav"}, MediaPart("audio", DATA, media_type="audio/wav")),
        (
            {"type": "input_audio", "input_audio": {"data": DATA, "format": "wav"}},
            MediaPart("audio", DATA, media_type="audio/wav"),
        ),
        ({"type": "video", "url": "https://a/b.mp4"}, MediaPart("video", url="https://a/b.mp4")),
    ],
)
def test_content_in_every_notation(block, part):
    assert parts(block) == [part]


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"type": "reasoning", "reasoning": "hm"}, ReasoningPart("hm")),
        ({"type": "reasoning", "reasoning": "hm", "extras": {"signature": "sig"}}, ReasoningPart("hm", wire=SIGNED)),
        ({"type": "thinking", "thinking": "hm", "signature": "sig"}, ReasoningPart("hm", wire=SIGNED)),
        (
            {"type": "redacted_thinking", "data": "x"},
            ReasoningPart(redacted=True, wire=Wire("anthropic_messages", {"data": "x"})),
        ),
        ({"type": "refusal", "refusal": "no"}, RefusalPart("no")),
        (
            {"type": "non_standard", "value": {"dialect": "openai_responses", "data": {"type": "x"}}},
            ProviderPart("openai_responses", {"type": "x"}),
        ),
    ],
)
def test_what_models_say_in_every_notation(block, part):
    assert parts(block, kind=AIMessage) == [part]


def test_anthropics_own_blocks_of_an_earlier_answer():
    message = AIMessage(
        [
            {"type": "thinking", "thinking": "hm", "signature": "sig"},
            {"type": "text", "text": "I look"},
            {"type": "tool_use", "id": "t1", "name": "look", "input": {"a": 1}},
        ],
        tool_calls=[{"name": "look", "args": {"a": 1}, "id": "t1"}, {"name": "look", "args": {}, "id": "t2"}],
        response_metadata={"model_provider": "anthropic"},
    )
    (made,) = messages_from([message])
    assert made.parts == [
        ReasoningPart("hm", wire=SIGNED),
        TextPart("I look"),
        ToolCallPart("t1", "look", '{"a":1}'),
        ToolCallPart("t2", "look", "{}"),
    ]


def test_roles_names_and_results():
    made = messages_from(
        [
            SystemMessage("be kind"),
            SystemMessage("no", additional_kwargs={"__openai_role__": "developer"}),
            HumanMessage("hi", name="ada"),
            HumanMessage("hi", name="a name with blanks"),
            ChatMessage(role="assistant", content="yes"),
            AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "c1"}]),
            ToolMessage("done", tool_call_id="c1", name="f", status="error"),
        ]
    )
    assert [(message.role, message.name) for message in made] == [
        ("system", None),
        ("developer", None),
        ("user", "ada"),
        ("user", None),
        ("assistant", None),
        ("assistant", None),
        ("tool", None),
    ]
    assert made[-1] == Message("tool", [ToolResultPart("c1", [TextPart("done")], is_error=True, name="f")])


def test_results_have_content_of_any_kind():
    image = {"type": "image", "base64": DATA, "mime_type": "image/png"}
    (made,) = messages_from([ToolMessage([{"type": "text", "text": "see"}, image], tool_call_id="c1")])
    assert made.parts[0].content == [TextPart("see"), MediaPart("image", DATA, media_type="image/png")]
    (empty,) = messages_from([ToolMessage("", tool_call_id="c1")])
    assert empty.parts[0].content == [TextPart("")]


@pytest.mark.parametrize(
    ("message", "where"),
    [
        (FunctionMessage("x", name="f"), r"messages\[0\]"),
        (RemoveMessage(id="1"), r"messages\[0\]"),
        (ChatMessage(role="narrator", content="x"), r"messages\[0\]"),
        (HumanMessage([{"type": "text", "text": "a"}, {"type": "hologram"}]), r"messages\[0\].content\[1\]"),
        (HumanMessage([{"type": "image", "url": "data:image/png,abc"}]), r"messages\[0\].content\[0\]"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_its_place(message, where):
    with pytest.raises(InvalidRequestError, match=where):
        messages_from([message])


@pytest.mark.parametrize(
    "state", [None, 5, "no json", '{"a": 1}', "[[1]]", '[["call:c1", 3]]', '[["call:c1", {"fields": 1}]]']
)
def test_state_that_others_wrote_is_passed_over(state):
    message = AIMessage("hi", additional_kwargs={"aistrale": {"state": state}})
    assert messages_from([message]) == [Message("assistant", [TextPart("hi")])]


# --- usage -------------------------------------------------------------------------------------------------------------

COUNTS = st.none() | st.integers(0, 10**6)
NAMES = (
    "input", "cache_read", "cache_write", "cache_write_5m", "cache_write_1h", "output", "reasoning", "audio_input",
    "audio_output",
)  # fmt: skip


@given(st.fixed_dictionaries(dict.fromkeys(NAMES, COUNTS)))
def test_usage_survives_the_way_through_langchain(counts):
    usage = Usage(**counts)
    told = usage_metadata(usage)
    if usage.total is None:
        assert told is None
        return
    assert (told["input_tokens"], told["output_tokens"]) == (usage.input_total or 0, usage.output_total or 0)
    assert told["total_tokens"] == usage.total
    back = _buckets(usage_of(told))
    timed = usage.cache_write_5m is not None or usage.cache_write_1h is not None
    for name in NAMES:
        expected = getattr(usage, name) or 0
        if name == "cache_write" and timed:
            # Where lifetimes are told, LangChain's key for the others is the sum of all or nothing.
            continue
        if name == "input" and timed:
            continue
        assert (getattr(back, name) or 0) == expected
    assert back.total == usage.total or timed


@settings(max_examples=50)
@given(
    st.recursive(st.none() | st.integers() | st.text() | st.booleans(), lambda inner: st.dictionaries(st.text(), inner))
)
def test_odd_usage_is_no_usage(told):
    assert usage_of(told) is None or isinstance(told, dict)


def test_alternatives_with_usage_of_their_own_are_summed():
    one, two = usage_of({"input_tokens": 5, "output_tokens": 2}), usage_of({"input_tokens": 5, "output_tokens": 3})
    assert merged([one, one]) == one
    total = merged([one, two])
    assert (total.input, total.output, total.cache_read) == (10, 5, None)
    assert merged([]) is None


def test_data_is_a_copy_in_which_messages_are_messages():
    """A graph's state holds messages, and around them what providers said besides: headers, bodies."""
    message = AIMessage("hi", response_metadata={"headers": {"x-secret": "sk"}}, additional_kwargs={"raw": "sk"})
    told = {"role": "assistant", "parts": [{"type": "text", "content": "hi"}]}
    assert data({"messages": [message], "deep": {"a": ({"b": message},)}}) == {
        "messages": [told],
        "deep": {"a": [{"b": told}]},
    }
    assert data(ChatPromptValue(messages=[message])) == [told]
    assert data(iter([1])) == "<list_iterator>"
