"""What the tests of the Anthropic Messages format share: bodies, frames, and ways there and back."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import strategies as st

from aistrale.core.sse import SSE
from aistrale.dialects import anthropic_messages as dialect
from aistrale.dialects.base import ANY, Loss, Profile
from aistrale.types import (
    Choice,
    Completion,
    Message,
    Request,
)

USER = [{"role": "user", "content": "Which way?"}]
ADAPTIVE = Profile(thinking="adaptive", max_output=64_000)
BUDGET = Profile(thinking="budget", max_output=64_000)


def body(**fields):
    return {"model": "claude-x", "max_tokens": 100, "messages": USER, **fields}


def there_and_back(original, profile=ANY):
    loss = Loss(on_lossy="error")
    decoded = dialect.decode_request(copy.deepcopy(original))
    again = dialect.encode_request(decoded, profile, loss)
    assert again == original
    assert not loss.items
    return decoded


def send(request, profile=ANY, **policy):
    loss = Loss(**policy)
    return dialect.encode_request(request, profile, loss), [f"{item.action} {item.field}" for item in loss.items]


def ask(*messages, source="openai_chat", **fields):
    return Request(model="claude-x", messages=list(messages) or [Message.user("Hi")], source=source, **fields)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def answer(**fields):
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [{"type": "text", "text": "Left."}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 2},
        **fields,
    }


NAME = dialect.NAME


def sse(type_, **fields):
    return SSE(type_, json.dumps({"type": type_, **fields}))


def start(**fields):
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 5, "output_tokens": 1},
        **fields,
    }
    return sse("message_start", message=message)


def block(index, content, *deltas):
    return [
        sse("content_block_start", index=index, content_block=content),
        *(sse("content_block_delta", index=index, delta=delta) for delta in deltas),
        sse("content_block_stop", index=index),
    ]


def text(index, *pieces):
    return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": piece} for piece in pieces))


def delta(reason="end_turn", usage=None, **fields):
    counts = {"output_tokens": 9} if usage is None else usage
    return sse("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage=counts, **fields)


STOP = sse("message_stop")


def decode(*frames):
    decoder = dialect.event_decoder(ANY)
    return [event for frame in frames for event in decoder.feed(frame)] + decoder.finish()


def encode(events, **policy):
    loss = Loss(**policy)
    encoder = dialect.event_encoder(Request(model="asked", messages=[]), loss)
    frames = [frame for event in events for frame in encoder.feed(event)] + encoder.finish()
    assert all(frame.event == json.loads(frame.data)["type"] for frame in frames)
    return frames, [f"{item.action} {item.field}" for item in loss.items]


def shape(frames):
    """Types of the frames, with the index of the block where there is one."""
    data = [json.loads(frame.data) for frame in frames]
    return [f"{item['type']} {item['index']}" if "index" in item else item["type"] for item in data]


def reply(*parts, finish="stop", **fields):
    return Completion("msg_1", "claude-x", [Choice(Message("assistant", list(parts)), finish)], **fields)


FULL = [
    start(),
    sse("ping"),
    *block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "Ich überlege \u2028"},
        {"type": "signature_delta", "signature": "sig=="},
    ),
    *text(1, "Grüße ", "🎈"),
    *block(
        2,
        {"type": "tool_use", "id": "toolu_1", "name": "get", "input": {}},
        {"type": "input_json_delta", "partial_json": '{"stadt": "Kö'},
        {"type": "input_json_delta", "partial_json": 'ln"}'},
    ),
    delta("tool_use", {"input_tokens": 11, "output_tokens": 30}),
    STOP,
]


def sdk(handler):
    anthropic = pytest.importorskip("anthropic")
    httpx2 = pytest.importorskip("httpx2")
    http = httpx2.Client(transport=httpx2.MockTransport(handler))
    return anthropic.Anthropic(api_key="key", base_url="http://127.0.0.1:1", http_client=http, max_retries=0)


def stream_of(frames):
    return "".join(f"event: {frame.event}\ndata: {frame.data}\n\n" for frame in frames).encode()


def accumulate(frames, *, beta=False):
    """The message that the SDK's own helper builds from our frames; `beta` is its face with the newest kinds of content."""
    httpx2 = pytest.importorskip("httpx2")
    answered = httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=stream_of(frames))
    with sdk(lambda request: answered) as client:
        face = client.beta.messages if beta else client.messages
        with face.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}]) as stream:
            return stream.get_final_message()
