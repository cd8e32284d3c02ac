"""Answers of ours in LlamaIndex's words: whole ones, and streams piece by piece."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, cast

from llama_index.core.base.llms.types import (
    AudioBlock,
    ChatMessage,
    ChatResponse,
    ContentBlock,
    DocumentBlock,
    ImageBlock,
    LogProb,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.llms.utils import parse_partial_json

from aistrale.integrations.llamaindex.state import keep_state, read_state
from aistrale.types import (
    ArgumentsDelta,
    BlockStart,
    MediaPart,
    Message,
    ReasoningDelta,
    ReasoningPart,
    RefusalPart,
    TextDelta,
    TextPart,
    ToolCallPart,
    Whole,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.types import JSON, Completion, Event, JSONObject, Part, Usage


def chat_response(completion: Completion, *, delta: str | None = None) -> ChatResponse:
    """A finished answer.

    Args:
        completion: As our client gives it.
        delta: What it adds to a stream that it ends; None for one that was no stream.
    """
    thought = None if completion.usage is None else completion.usage.reasoning
    message = to_chat_message(completion.message, thought)
    return ChatResponse(message=message, raw=raw_answer(completion), delta=delta, logprobs=_logprobs(completion))


def to_chat_message(message: Message, thought: int | None = None) -> ChatMessage:
    """A message of the assistant with its blocks, and its tool calls in `additional_kwargs` besides.

    Args:
        message: In the hub's words.
        thought: How many tokens of reasoning it took; told where there is one thought.
    """
    blocks: list[ContentBlock] = []
    for part in message.parts:
        block = _block(part)
        before = blocks[-1] if blocks else None
        if isinstance(block, TextBlock) and isinstance(before, TextBlock):
            # LlamaIndex puts a line break between text blocks; providers cut one text into several.
            before.text += block.text
        elif block is not None:
            blocks.append(block)
    thoughts = [block for block in blocks if isinstance(block, ThinkingBlock)]
    if len(thoughts) == 1:
        thoughts[0].num_tokens = thought
    keep_state(message.parts, blocks)
    return ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks, additional_kwargs=call_kwargs(message.tool_calls))


def _block(part: Part) -> ContentBlock | None:
    if isinstance(part, (TextPart, RefusalPart)):
        return TextBlock(text=part.text)
    if isinstance(part, ReasoningPart):
        return ThinkingBlock(content=part.text or None)
    if isinstance(part, ToolCallPart):
        return ToolCallBlock(tool_call_id=part.id, tool_name=part.name, tool_kwargs=_arguments(part.arguments))
    if isinstance(part, MediaPart):
        return _file(part)
    return None


def _file(part: MediaPart) -> ContentBlock | None:
    data = None if part.data is None else base64.b64decode(part.data)
    if data is None and part.url is None:
        return None
    if part.media == "image":
        return ImageBlock(image=data, url=part.url, image_mimetype=part.media_type, detail=part.detail)
    if part.media == "audio":
        kind = part.media_type and part.media_type.removeprefix("audio/")
        return AudioBlock(audio=data, url=part.url, format=kind)
    if part.media == "video":
        return VideoBlock(video=data, url=part.url, video_mimetype=part.media_type)
    return DocumentBlock(data=data, url=part.url, title=part.filename, document_mimetype=part.media_type)


def _arguments(text: str) -> dict[str, object] | str:
    """The arguments of a call; what a model wrote that is no object stays as it is."""
    try:
        value = json.loads(text) if text.strip() else {}
    except ValueError:
        return text
    return value if isinstance(value, dict) else text


def call_kwargs(calls: Sequence[ToolCallPart]) -> dict[str, object]:
    """Tool calls where those parts of LlamaIndex look for them that do not know of blocks yet."""
    if not calls:
        return {}
    told = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in calls
    ]
    return {"tool_calls": told}


def _logprobs(completion: Completion) -> list[list[LogProb]] | None:
    """Probabilities of tokens, where the answer has them in OpenAI's shape."""
    choices = (completion.raw or {}).get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    told = first.get("logprobs") if isinstance(first, dict) else None
    content = told.get("content") if isinstance(told, dict) else None
    if not isinstance(content, list):
        return None
    return [
        [_logprob(each) for each in _dicts(item.get("top_logprobs"))] or [_logprob(item)] for item in _dicts(content)
    ]


def _dicts(items: JSON) -> list[JSONObject]:
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _logprob(item: JSONObject) -> LogProb:
    token, value, codes = item.get("token"), item.get("logprob"), item.get("bytes")
    return LogProb(
        token=token if isinstance(token, str) else "",
        logprob=value if isinstance(value, (int, float)) else 0.0,
        bytes=[code for code in codes if isinstance(code, int)] if isinstance(codes, list) else [],
    )


# --- what else is known ---------------------------------------------------------------------------------------------


def raw_answer(completion: Completion) -> JSONObject:
    """What is known of an answer besides its message, as JSON; token counters find `usage` there."""
    cost = None if completion.cost is None or completion.cost.usd is None else str(completion.cost.usd)
    raw: JSONObject = {
        "id": completion.id,
        "call_id": completion.call_id,
        "provider": completion.provider,
        "model": completion.model,
        "target": completion.target,
        "request_id": completion.request_id,
        "finish_reason": completion.finish_reason,
        "usage": usage_counts(completion.usage),
        "cost_usd": cost,
        "degraded": completion.degraded,
    }
    if completion.raw is not None:
        raw["response"] = completion.raw
    return raw


def usage_counts(usage: Usage | None) -> JSONObject | None:
    """Tokens in the names of OpenAI's chat completions; None where nobody told."""
    if usage is None or (usage.input_total is None and usage.output_total is None):
        return None
    given, made = usage.input_total or 0, usage.output_total or 0
    return {
        "prompt_tokens": given,
        "completion_tokens": made,
        "total_tokens": given + made,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read or 0,
            "cache_write_tokens": usage.cache_write_total or 0,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
    }


# --- tools -----------------------------------------------------------------------------------------------------------


def tool_selections(message: ChatMessage) -> list[ToolSelection]:
    """The tools that a message asks for; arguments that are not complete yet are read as far as they go."""
    return [
        ToolSelection(
            tool_id=block.tool_call_id or block.tool_name,
            tool_name=block.tool_name,
            tool_kwargs=block.tool_kwargs if isinstance(block.tool_kwargs, dict) else _partial(block.tool_kwargs),
        )
        for block in message.blocks
        if isinstance(block, ToolCallBlock)
    ]


def _partial(text: str) -> dict[str, object]:
    try:
        value: object = parse_partial_json(text) if text.strip() else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def first_call_only(response: ChatResponse) -> ChatResponse:
    """The same answer with one tool call, for callers that can take no more."""
    message = response.message
    calls = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    if len(calls) < 2:
        return response
    parts = read_state(message)
    if parts is not None:
        surplus = [part for part in parts if isinstance(part, ToolCallPart)][1:]
        kept = to_chat_message(
            Message("assistant", [part for part in parts if not any(part is each for each in surplus)])
        )
        message.blocks, message.additional_kwargs = kept.blocks, kept.additional_kwargs
        return response
    message.blocks = [block for block in message.blocks if not any(block is each for each in calls[1:])]
    told = message.additional_kwargs.get("tool_calls")
    if isinstance(told, list):
        message.additional_kwargs["tool_calls"] = told[:1]
    return response


# --- streams ----------------------------------------------------------------------------------------------------------


class Assembler:
    """Makes LlamaIndex's pieces, each with all that came before, out of our events; of the first alternative only."""

    def __init__(self) -> None:
        self._parts: dict[int, TextPart | ReasoningPart | ToolCallPart] = {}

    def feed(self, event: Event) -> ChatResponse | None:
        """The piece that an event makes; None where it adds nothing that is shown."""
        if isinstance(event, Whole):
            return chat_response(event.completion, delta=event.text)
        if getattr(event, "choice", 0) != 0:
            return None
        if isinstance(event, TextDelta):
            self._text(event.block).text += event.text
            return self._piece(event.text)
        if isinstance(event, ReasoningDelta):
            part = self._parts.setdefault(event.block, ReasoningPart())
            if isinstance(part, ReasoningPart):
                part.text += event.reasoning
            return self._piece("", thought=event.reasoning)
        if isinstance(event, ArgumentsDelta):
            call = self._parts.get(event.block)
            if isinstance(call, ToolCallPart):
                call.arguments += event.arguments
                return self._piece("")
        elif isinstance(event, BlockStart):
            return self._begun(event.block, event.part)
        return None

    def _text(self, block: int) -> TextPart:
        part = self._parts.setdefault(block, TextPart(""))
        return part if isinstance(part, TextPart) else TextPart("")

    def _begun(self, block: int, part: Part) -> ChatResponse | None:
        if isinstance(part, ToolCallPart):
            self._parts[block] = ToolCallPart(part.id, part.name, part.arguments)
            return self._piece("")
        if isinstance(part, ReasoningPart) and part.text:
            self._parts[block] = ReasoningPart(part.text)
            return self._piece("", thought=part.text)
        return None

    def _piece(self, delta: str, *, thought: str | None = None) -> ChatResponse:
        parts = cast("list[Part]", [self._parts[index] for index in sorted(self._parts)])
        return ChatResponse(
            message=to_chat_message(Message("assistant", parts)),
            delta=delta,
            additional_kwargs={} if thought is None else {"thinking_delta": thought},
        )
