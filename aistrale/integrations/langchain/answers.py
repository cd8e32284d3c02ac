"""Our answers as LangChain's: whole messages, and the pieces of streams, which add up to the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from aistrale.integrations.langchain.state import KEY, keep_state
from aistrale.types import (
    ArgumentsDelta,
    BlockStart,
    MediaPart,
    ProviderPart,
    ReasoningDelta,
    ReasoningPart,
    RefusalPart,
    TextDelta,
    TextPart,
    ToolCallPart,
    Whole,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aistrale.types import Choice, Completion, Event, Part, Usage

    Block = dict[str, object]

PROVIDER: Final = "aistrale"
"""The provider by LangChain's words: whose content blocks these are, and who counts the tokens."""
_MEDIA: Final = {"image": "image", "audio": "audio", "video": "video", "document": "file"}


def chat_result(completion: Completion) -> ChatResult:
    """All alternatives of an answer; what it used and cost is told by the first."""
    generations = [_generation(completion, choice, first=not index) for index, choice in enumerate(completion.choices)]
    return ChatResult(generations=generations, llm_output={"model_name": completion.model})


def _generation(completion: Completion, choice: Choice, *, first: bool) -> ChatGeneration:
    calls, broken = [], []
    for part in choice.message.tool_calls:
        arguments = _arguments(part.arguments)
        if arguments is None:
            told = "the arguments are no JSON object"
            broken.append(invalid_tool_call(name=part.name, args=part.arguments, id=part.id, error=told))
        else:
            calls.append(tool_call(name=part.name, args=arguments, id=part.id))
    message = AIMessage(
        content=cast("Any", _content(choice.message.parts)),
        tool_calls=calls,
        invalid_tool_calls=broken,
        usage_metadata=usage_metadata(completion.usage) if first else None,
        response_metadata=_metadata(completion, choice),
        additional_kwargs=_additional(choice),
    )
    info = {"finish_reason": choice.finish_reason}
    return ChatGeneration(message=message, generation_info=info)


def _arguments(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _content(parts: list[Part]) -> str | list[Block]:
    said = [part for part in parts if not isinstance(part, ToolCallPart)]
    if not said:
        return ""
    if len(said) == 1 and isinstance(said[0], TextPart):
        return said[0].text
    return [block_of(part) for part in said]


def block_of(part: Part) -> Block:
    """A standard content block of a part that is no tool call."""
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if isinstance(part, ReasoningPart):
        block: Block = {"type": "reasoning", "reasoning": part.text}
        return {**block, "extras": {"redacted": True}} if part.redacted else block
    if isinstance(part, RefusalPart):
        return {"type": "refusal", "refusal": part.text}
    if isinstance(part, MediaPart):
        given = {"base64": part.data, "url": part.url, "file_id": part.file_id, "mime_type": part.media_type}
        return {"type": _MEDIA[part.media], **{name: value for name, value in given.items() if value is not None}}
    if isinstance(part, ProviderPart):
        return {"type": "non_standard", "value": {"dialect": part.dialect, "data": part.data}}
    return {"type": "text", "text": ""}


def usage_metadata(usage: Usage | None) -> UsageMetadata | None:
    """LangChain's counts, in which the whole includes its parts; None where the provider told none.

    Tokens written to a cache for a told time stand under that time's own name, and not in `cache_creation`.
    """
    if usage is None or usage.total is None:
        return None
    given, made = usage.input_total or 0, usage.output_total or 0
    told = UsageMetadata(input_tokens=given, output_tokens=made, total_tokens=given + made)
    inputs = {
        "audio": usage.audio_input,
        "cache_read": usage.cache_read,
        "cache_creation": usage.cache_write,
        "ephemeral_5m_input_tokens": usage.cache_write_5m,
        "ephemeral_30m_input_tokens": usage.cache_write_30m,
        "ephemeral_1h_input_tokens": usage.cache_write_1h,
        "ephemeral_12h_input_tokens": usage.cache_write_12h,
    }
    outputs = {"audio": usage.audio_output, "reasoning": usage.reasoning}
    if details := {name: count for name, count in inputs.items() if count is not None}:
        told["input_token_details"] = cast("InputTokenDetails", details)
    if details := {name: count for name, count in outputs.items() if count is not None}:
        told["output_token_details"] = cast("OutputTokenDetails", details)
    return told


def _metadata(completion: Completion, choice: Choice) -> dict[str, Any]:
    own: dict[str, object] = {"target": completion.target, "attempts": len(completion.attempts)}
    if completion.cost is not None and completion.cost.usd is not None:
        own["cost_usd"] = f"{completion.cost.usd:f}"
    if completion.degraded is not None:
        own["degraded"] = completion.degraded
    if completion.lossy:
        own["lossy"] = [item.field for item in completion.lossy]
    metadata: dict[str, Any] = {
        "model_name": completion.model,
        "model_provider": PROVIDER,
        "finish_reason": choice.finish_reason,
        KEY: {"call_id": completion.call_id, **own},
    }
    if completion.id:
        metadata["id"] = completion.id
    if choice.wire is not None and choice.wire.fields.get("logprobs") is not None:
        metadata["logprobs"] = choice.wire.fields["logprobs"]
    return metadata


def _additional(choice: Choice) -> dict[str, Any]:
    refusals = [part.text for part in choice.message.parts if isinstance(part, RefusalPart)]
    return {**keep_state(choice.message), **({"refusal": "".join(refusals)} if refusals else {})}


class Pieces:
    """Makes LangChain's pieces out of the events of one stream.

    Text comes as plain strings until something else than text has come, for which LangChain needs numbered blocks: the
    pieces then add up to one block each.

    Args:
        call_id: Our id of the call; the first piece tells it, so that it is known however the stream ends.
        blocks: Whether everything comes as numbered blocks.
    """

    def __init__(self, call_id: str, *, blocks: bool = False) -> None:
        self._call_id: str | None = call_id
        self._blocks = blocks
        self._kinds: dict[int, str] = {}

    def feed(self, event: Event) -> Iterator[ChatGenerationChunk]:
        """The pieces of an event; events that add nothing, and other alternatives than the first, have none."""
        if isinstance(event, Whole):
            for index, part in enumerate(event.completion.message.parts):
                yield from self._start(index, part)
        elif getattr(event, "choice", 0):
            return
        elif isinstance(event, BlockStart):
            yield from self._start(event.block, event.part)
        elif isinstance(event, TextDelta):
            yield from self._text(event.block, event.text)
        elif isinstance(event, ReasoningDelta):
            yield self._block(event.block, {"type": "reasoning", "reasoning": event.reasoning})
        elif isinstance(event, ArgumentsDelta):
            yield self._piece(
                AIMessageChunk(
                    content=cast("Any", self._nothing),
                    tool_call_chunks=[tool_call_chunk(name=None, args=event.arguments, id=None, index=event.block)],
                )
            )

    def last(self, completion: Completion) -> ChatGenerationChunk:
        """The piece that ends the stream: what was used, by whom it was answered, and what the next turn needs."""
        choice = completion.choices[0] if completion.choices else None
        metadata: dict[str, Any] = {"model_name": completion.model, "model_provider": PROVIDER}
        if choice is not None:
            metadata = _metadata(completion, choice)
        if self._call_id is None:
            # Texts that two pieces tell are strung together.
            del metadata["model_provider"]
            cast("dict[str, object]", metadata.get(KEY, {})).pop("call_id", None)
        return ChatGenerationChunk(
            message=AIMessageChunk(
                content=cast("Any", self._nothing),
                response_metadata=metadata,
                usage_metadata=usage_metadata(completion.usage),
                additional_kwargs=_additional(choice) if choice is not None else {},
                chunk_position="last",
            )
        )

    @property
    def _nothing(self) -> str | list[Block]:
        return [] if self._blocks else ""

    def _start(self, block: int, part: Part) -> Iterator[ChatGenerationChunk]:
        if isinstance(part, ToolCallPart):
            yield self._piece(
                AIMessageChunk(
                    content=cast("Any", self._nothing),
                    tool_call_chunks=[tool_call_chunk(name=part.name, args=part.arguments, id=part.id, index=block)],
                )
            )
            return
        self._kinds[block] = "refusal" if isinstance(part, RefusalPart) else "text"
        if isinstance(part, (TextPart, RefusalPart)):
            yield from self._text(block, part.text)
        else:
            yield self._block(block, block_of(part))

    def _text(self, block: int, text: str) -> Iterator[ChatGenerationChunk]:
        if not text:
            return
        kind = self._kinds.get(block, "text")
        if kind == "text" and not self._blocks:
            yield self._piece(AIMessageChunk(content=text))
        else:
            yield self._block(block, {"type": kind, kind: text})

    def _block(self, index: int, block: Block) -> ChatGenerationChunk:
        self._blocks = True
        return self._piece(AIMessageChunk(content=cast("Any", [{**block, "index": index}])))

    def _piece(self, message: AIMessageChunk) -> ChatGenerationChunk:
        if self._call_id is not None:
            message.response_metadata = {"model_provider": PROVIDER, KEY: {"call_id": self._call_id}}
            self._call_id = None
        return ChatGenerationChunk(message=message)
