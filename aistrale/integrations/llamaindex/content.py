"""What was said, in messages of parts as the GenAI semantic conventions have them; redacted where it is told on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from llama_index.core.base.llms.types import (
    AudioBlock,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)

from aistrale.integrations.content import copied, cut, said
from aistrale.integrations.llamaindex.usage import field

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.types import JSON, JSONObject

_MODALITIES = {ImageBlock: "image", AudioBlock: "audio", VideoBlock: "video", DocumentBlock: "document"}
_MIME_TYPES = {ImageBlock: "image_mimetype", VideoBlock: "video_mimetype", DocumentBlock: "document_mimetype"}


def messages_content(messages: Sequence[ChatMessage]) -> list[JSON]:
    """A conversation."""
    return [message_content(message) for message in messages]


def message_content(message: ChatMessage) -> JSONObject:
    """One message; of files only their kind."""
    told = message.additional_kwargs
    if message.role in {MessageRole.TOOL, MessageRole.FUNCTION}:
        part: JSONObject = {"type": "tool_call_response", "response": cut(message.content)}
        if isinstance(own := told.get("tool_call_id"), str):
            part["id"] = own
        return {"role": "tool", "parts": [part]}
    parts: list[JSON] = [shown for block in message.blocks if (shown := _part(block)) is not None]
    return {"role": message.role.value, "parts": parts}


def answer_content(response: object) -> list[JSON]:
    """What a model answered, whole or the last piece of a stream; nothing where there is nothing."""
    message = getattr(response, "message", None)
    if isinstance(message, ChatMessage):
        answer = message_content(message)
    elif isinstance(text := getattr(response, "text", None), str):
        answer = said("assistant", text)
    else:
        return []
    reason = field(getattr(response, "raw", None), "finish_reason")
    if isinstance(reason, str):
        answer["finish_reason"] = "tool_call" if reason == "tool_calls" else reason
    return [answer]


def text_content(role: str, text: object) -> list[JSON]:
    """A text as a message; nothing for what is no text."""
    return [said(role, text)] if isinstance(text, str) else []


def tool_output(response: object) -> list[JSON]:
    """What a tool gave back."""
    return [{"role": "tool", "parts": [{"type": "tool_call_response", "response": cut(response)}]}]


def tools_content(tools: object) -> list[JSON]:
    """Definitions of the tools that were offered, of those that have OpenAI's shape."""
    made: list[JSON] = []
    for tool in tools if isinstance(tools, (list, tuple)) else ():
        function = field(tool, "function")
        if isinstance(name := field(function, "name"), str):
            made.append(
                {
                    "type": "function",
                    "name": name,
                    "description": copied(field(function, "description")),
                    "parameters": copied(field(function, "parameters")),
                }
            )
    return made


def _part(block: object) -> JSONObject | None:
    if isinstance(block, TextBlock):
        return {"type": "text", "content": cut(block.text)}
    if isinstance(block, ThinkingBlock):
        return {"type": "reasoning", "content": cut(block.content)} if block.content else None
    if isinstance(block, ToolCallBlock):
        return _call(block)
    if isinstance(block, CachePoint):
        return None
    if isinstance(block, (CitableBlock, CitationBlock)):
        inner = block.content if isinstance(block, CitableBlock) else [block.cited_content]
        text = "\n".join(item.text for item in inner if isinstance(item, TextBlock))
        return {"type": "text", "content": cut(text)} if text else None
    for kind, modality in _MODALITIES.items():
        if isinstance(block, kind):
            mime_type = getattr(block, _MIME_TYPES.get(kind, ""), None)
            return {
                "type": "blob",
                "modality": modality,
                "content": "",
                **({"mime_type": mime_type} if mime_type else {}),
            }
    return None


def _call(block: ToolCallBlock) -> JSONObject:
    given: object = block.tool_kwargs
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError:
            given = cut(given)
    part: JSONObject = {"type": "tool_call", "name": block.tool_name, "arguments": copied(given)}
    if block.tool_call_id:
        part["id"] = block.tool_call_id
    return part
