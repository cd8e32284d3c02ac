"""Small bodies of the OpenAI Responses API, one per feature, and helpers that several test files share."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from aistrale.core.accumulate import collect
from aistrale.core.sse import SSE
from aistrale.dialects import openai_responses as dialect
from aistrale.dialects.base import ANY, Loss
from aistrale.types import (
    MediaPart,
    Message,
    ReasoningPart,
    RefusalPart,
    Request,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.types import Completion, Event, Part

PNG = "iVBORw0KGgoAAAANSUhEUg=="
URL_CITATION = {
    "type": "url_citation",
    "start_index": 0,
    "end_index": 5,
    "title": "Tides",
    "url": "https://x.test",
}

MESSAGE = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "phase": "final_answer",
    "content": [
        {"type": "output_text", "text": "High at six.", "annotations": [URL_CITATION], "logprobs": []},
        {"type": "refusal", "refusal": "Not that."},
    ],
}
THOUGHT = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "First."}, {"type": "summary_text", "text": "Then."}],
    "content": [{"type": "reasoning_text", "text": "In full."}],
    "encrypted_content": "gAAA",
    "status": None,
}
SILENT_THOUGHT = {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gBBB"}
CALL = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "tide",
    "arguments": '{"port": "Brest"}',
    "status": "completed",
    "namespace": "sea",
    "caller": {"type": "direct"},
}
CUSTOM_CALL = {
    "type": "custom_tool_call",
    "id": "ctc_1",
    "call_id": "call_2",
    "name": "sql",
    "input": 'select "a"\nfrom b',
}
SEARCH = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {"type": "search", "query": "tides"},
}

INPUT = [
    {"role": "developer", "content": "Be brief."},
    {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Speak French."}]},
    {"role": "user", "content": "When is high water?"},
    THOUGHT,
    MESSAGE,
    CALL,
    {"type": "function_call_output", "call_id": "call_1", "output": '{"at": "06:10"}', "id": "fco_1"},
    CUSTOM_CALL,
    {"type": "custom_tool_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "3 rows"}]},
    {
        "type": "function_call_output",
        "call_id": "call_1",
        "name": "tide",
        "output": [
            {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "low"},
            {"type": "input_file", "file_id": "file-1"},
        ],
    },
    {
        "role": "user",
        "content": [
            {
                "type": "input_text",
                "text": "And this?",
                "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"},
            },
            {"type": "input_image", "image_url": "https://x.test/a.png", "file_id": None},
            {"type": "input_image", "image_url": "data:image/png;name=a;base64,AAAA"},
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
            {"type": "input_file", "filename": "b.txt", "file_data": "AAAA"},
            {"type": "input_file", "file_url": "https://x.test/c.pdf"},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
            {"type": "input_hologram", "depth": 3},
        ],
    },
    {"role": "assistant", "content": "Bonjour"},
    {"role": "assistant", "content": [{"type": "output_text", "text": "Salut"}], "phase": "commentary"},
    SILENT_THOUGHT,
    SEARCH,
    {"type": "item_reference", "id": "msg_0"},
    {"id": "msg_00"},
    {"type": "computer_call_output", "call_id": "call_3", "output": {"type": "computer_screenshot", "file_id": "f"}},
    {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True, "reason": "fine"},
    {"type": "additional_tools", "role": "developer", "tools": []},
    {"type": "tool_search_output", "execution": "client", "call_id": "call_4", "tools": []},
    {"type": "tool_search_output", "execution": "server", "call_id": None, "tools": []},
    {"type": "compaction_trigger"},
    {"type": "a_future_item", "payload": {"deep": [1, None]}},
    {"role": "critic", "content": "Hm."},
    {"role": "user", "content": []},
    {"role": "user", "content": None},
    {"role": "user"},
    {"role": "assistant", "content": []},
    {"role": "assistant", "content": ""},
    {"role": "assistant", "content": None},
    {"role": "assistant"},
    {"type": "function_call_output", "call_id": "call_9", "output": None},
    {"type": "function_call_output", "output": "no call"},
    {"type": "function_call_output", "call_id": "", "output": []},
]

BODY = {
    "model": "gpt-5-mini",
    "instructions": "You are a harbour master.",
    "input": INPUT,
    "max_output_tokens": 500,
    "temperature": 0.5,
    "top_p": 0.9,
    "tools": [
        {
            "type": "function",
            "name": "tide",
            "description": "Tide table",
            "parameters": {"type": "object", "properties": {"port": {"type": "string", "description": "Harbour"}}},
            "strict": True,
            "defer_loading": True,
        },
        {"type": "function", "name": "bare", "parameters": None, "strict": None},
        {"type": "function", "name": "barer"},
        {"type": "custom", "name": "sql", "description": "Runs SQL", "format": {"type": "text"}},
        {"type": "web_search", "user_location": {"type": "approximate", "city": "Brest"}},
        {"type": "mcp", "server_label": "deep", "server_url": "https://x.test", "server_description": "Docs"},
    ],
    "tool_choice": {"type": "function", "name": "tide"},
    "parallel_tool_calls": False,
    "text": {
        "format": {
            "type": "json_schema",
            "name": "answer",
            "schema": {"type": "object", "properties": {}},
            "strict": True,
            "description": "The answer",
        },
        "verbosity": "low",
    },
    "reasoning": {"effort": "low", "summary": "detailed", "context": "auto"},
    "include": ["reasoning.encrypted_content", "message.output_text.logprobs", "file_search_call.results"],
    "top_logprobs": 3,
    "metadata": {"ship": "Calypso"},
    "safety_identifier": "u-1",
    "user": "u-2",
    "service_tier": "flex",
    "prompt_cache_key": "k",
    "prompt_cache_options": {"mode": "explicit"},
    "store": False,
    "truncation": "auto",
    "stream": False,
    "moderation": {"model": "omni-moderation-latest"},
    "background": None,
}

USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {
        "cached_tokens": 30,
        "cache_write_tokens": 20,
        "cache_write_tokens_details": {"ttl_30m_tokens": 15, "ttl_12h_tokens": 5},
    },
    "output_tokens": 40,
    "output_tokens_details": {"reasoning_tokens": 25},
    "total_tokens": 140,
}

RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1700000000,
    "status": "completed",
    "background": False,
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "max_output_tokens": None,
    "model": "gpt-5-mini-2025-08-07",
    "output": [THOUGHT, SEARCH, MESSAGE, CALL, CUSTOM_CALL],
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": "low", "summary": None},
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "usage": USAGE,
    "user": None,
    "metadata": {},
}


def roundtrip(body: dict, loss: Loss | None = None) -> dict:
    """A request body, decoded and encoded again."""
    return dialect.encode_request(dialect.decode_request(body), ANY, loss or Loss())


def foreign(*messages: Message, **fields: object) -> Request:
    """A request from elsewhere."""
    return Request(model="gpt-5-mini", messages=list(messages), **fields)


def encode(request: Request, profile=ANY, **policy: str) -> tuple[dict, list[tuple[str, str]]]:
    """The body, and the fields whose loss was recorded."""
    loss = Loss(**policy)
    body = dialect.encode_request(request, profile, loss)
    return body, [(item.field, item.action) for item in loss.items]


def wire(*events: dict) -> list[SSE]:
    """Events as they come from the wire."""
    return [SSE(event["type"], json.dumps(event)) for event in events]


def decode_stream(events: Iterable[SSE]) -> list[Event]:
    """The hub's events of a stream."""
    decoder = dialect.event_decoder(ANY)
    told = [found for event in events for found in decoder.feed(event)]
    return told + decoder.finish()


def encode_stream(events: Iterable[Event], request: Request | None = None, loss: Loss | None = None) -> list[SSE]:
    """The wire events of a stream."""
    encoder = dialect.event_encoder(request or foreign(), loss or Loss())
    told = [frame for event in events for frame in encoder.feed(event)]
    return told + encoder.finish()


def bodies(frames: Iterable[SSE]) -> list[dict]:
    """The data of wire events."""
    return [json.loads(frame.data) for frame in frames]


def through(events: Iterable[Event]) -> Completion:
    """The answer after it was encoded for a caller and read by it."""
    return collect(decode_stream(encode_stream(events)))


def changed(parts: list[Part], mark: str) -> list[Part]:
    """The parts with every text, name, argument and result replaced by one that begins with the mark."""
    return [_changed(part, f"{mark}-{at}") for at, part in enumerate(parts)]


def _changed(part: Part, mark: str) -> Part:
    if isinstance(part, (TextPart, RefusalPart, ReasoningPart)):
        return replace(part, text=mark)
    if isinstance(part, ToolCallPart):
        return replace(part, name=f"{mark}-name", arguments=json.dumps({"input": f"{mark}-arguments"}))
    if isinstance(part, ToolResultPart):
        return replace(part, content=changed(part.content, f"{mark}-result"))
    if isinstance(part, MediaPart):
        if part.media == "audio":
            return replace(part, data=mark)
        return replace(part, url=f"https://{mark}.test", data=None)
    return part


def marks(parts: list[Part]) -> list[str]:
    """Every text that must show in a body for these parts."""
    found: list[str] = []
    for part in parts:
        if isinstance(part, (TextPart, RefusalPart, ReasoningPart)):
            found.append(part.text)
        elif isinstance(part, ToolCallPart):
            found += [part.name, json.loads(part.arguments)["input"]]
        elif isinstance(part, ToolResultPart):
            found += marks(part.content)
        elif isinstance(part, MediaPart):
            found.append(part.url or part.data or "")
    return found
