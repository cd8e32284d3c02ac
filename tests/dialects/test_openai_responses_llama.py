"""Streams of llama.cpp's server, which names items by id only."""

from __future__ import annotations

import json

from aistrale.core.reply import collect
from aistrale.core.sse import SSE
from aistrale.dialects.base import ANY
from aistrale.dialects.openai_responses import event_decoder


def said(*bodies):
    decoder = event_decoder(ANY)
    events = [event for body in bodies for event in decoder.feed(SSE(body["type"], json.dumps(body)))]
    return collect([*events, *decoder.finish()])


def test_items_without_positions_are_told_apart_by_their_ids():
    call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "get", "arguments": ""}
    text = {"type": "message", "id": "msg_1", "role": "assistant", "content": [], "status": "in_progress"}
    answer = said(
        {"type": "response.created", "response": {"id": "r", "object": "response", "status": "in_progress"}},
        {"type": "response.output_item.added", "item": text},
        {"type": "response.content_part.added", "item_id": "msg_1", "part": {"type": "output_text", "text": ""}},
        {"type": "response.output_text.delta", "item_id": "msg_1", "delta": "Hel"},
        {"type": "response.output_text.delta", "item_id": "msg_1", "delta": "lo"},
        {"type": "response.output_text.done", "item_id": "msg_1", "text": "Hello"},
        {"type": "response.output_item.done", "item": {**text, "content": [{"type": "output_text", "text": "Hello"}]}},
        {"type": "response.output_item.added", "item": call},
        {"type": "response.function_call_arguments.delta", "item_id": "fc_1", "delta": '{"a":1}'},
        {"type": "response.output_item.done", "item": {**call, "arguments": '{"a":1}'}},
        {"type": "response.completed", "response": {"id": "r", "status": "completed", "output": [
            {**text, "content": [{"type": "output_text", "text": "Hello"}]}, {**call, "arguments": '{"a":1}'}]}},
    )  # fmt: skip
    assert answer.text == "Hello"
    assert [(part.id, part.input) for part in answer.tool_calls] == [("call_1", {"a": 1})]
    assert answer.finish_reason == "tool_calls"
