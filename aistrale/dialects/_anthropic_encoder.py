"""Streams of the Anthropic Messages format: hub events to the wire events that the official SDK expects."""

from __future__ import annotations

from collections import deque
from json.encoder import encode_basestring_ascii as _quote
from typing import TYPE_CHECKING, ClassVar

from aistrale.core.sse import SSE
from aistrale.dialects._anthropic_blocks import (
    NAME,
    UNSIGNED,
    Out,
    encode_part,
    is_native,
    merge_kept,
)
from aistrale.dialects._anthropic_errors import encode_error
from aistrale.dialects._anthropic_response import encode_stop, record_stop, unfold
from aistrale.dialects._anthropic_usage import encode_usage
from aistrale.dialects.foreign import report_block, report_finish
from aistrale.dialects.shape import dump_json, form_of, kept
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Finish,
    MediaPart,
    Other,
    ProviderPart,
    ReasoningDelta,
    ReasoningPart,
    RefusalPart,
    ReplyEnd,
    ReplyStart,
    StreamError,
    TextDelta,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    UsageUpdate,
    Whole,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistrale.dialects.base import Loss
    from aistrale.types import ErrorInfo, Event, JSONObject, Part, Usage

# Usage that only `message_start` tells; the rest is told again, final, by `message_delta`.
_START_ONLY = frozenset({"cache_creation", "service_tier", "inference_geo", "speed"})
# What stands beside `delta` and not in it.
_BESIDE_DELTA = frozenset({"context_management", "input_transformations"})


class Encoder:
    """Encodes one streamed reply.

    The format knows one open block at a time: events of a block that opens while another is open are held back until
    that one ends. `message_start`, which must come first, waits for the first event that is no token count, so that it
    can tell the counts that are known by then; those that are not are 0 there and right in `message_delta`.

    Args:
        model: What the caller asked for, told where the answer names no model.
        loss: Where to record what cannot be said.
    """

    __slots__ = (
        "_begun",
        "_calls",
        "_cited",
        "_ended",
        "_finish",
        "_index",
        "_key",
        "_lazy",
        "_loss",
        "_model",
        "_muted",
        "_part",
        "_recorded",
        "_start",
        "_started_usage",
        "_usage",
        "_waiting",
    )

    def __init__(self, model: str, loss: Loss) -> None:
        self._model = model
        self._loss = loss
        self._start = ReplyStart()
        self._begun = False
        self._ended = False
        self._usage: Usage | None = None
        self._started_usage: JSONObject = {}
        self._finish: Finish | None = None
        self._calls = False
        self._index = -1
        self._key: int | None = None
        """The hub's number of the open block."""
        self._part: Part | None = None
        self._muted = False
        """The open block cannot be said and is left out."""
        self._lazy = False
        """The open block is announced when it turns out to hold something."""
        self._cited = 0
        self._waiting: dict[int, deque[Event]] = {}
        self._recorded: set[str] = set()

    def feed(self, event: Event) -> list[SSE]:
        """Encode one hub event."""
        if type(event) is TextDelta and event.block == self._key and not event.choice and not self._muted:
            if not event.text:
                return []
            head = f'{{"type":"content_block_delta","index":{self._index},"delta":{{"type":"text_delta","text":'
            return [SSE("content_block_delta", f"{head}{_quote(event.text)}}}}}")]
        if self._ended:
            return []
        handler = self._handlers.get(type(event))
        return handler(self, event) if handler is not None else []

    def finish(self) -> list[SSE]:
        """What is still held back.

        The terminator was written with ReplyEnd; a reply without one is not whole, and its caller writes
        `encode_stream_error` instead.
        """
        if self._ended or not self._begun:
            return []
        return self._drain()

    # --- the message

    def _on_start(self, event: ReplyStart) -> list[SSE]:
        self._start = event
        return []

    def _on_usage(self, event: UsageUpdate) -> list[SSE]:
        self._usage = event.usage
        return []

    def _begin(self) -> list[SSE]:
        if self._begun:
            return []
        self._begun = True
        usage = encode_usage(self._usage)
        self._started_usage = usage
        message: JSONObject = {
            "id": self._start.id or "msg_1",
            "type": "message",
            "role": "assistant",
            "model": self._start.model or self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        merge_kept(message, kept(self._start.wire, NAME))
        return [_frame("message_start", message=message)]

    def _on_finish(self, event: Finish) -> list[SSE]:
        if event.choice:
            return self._other_choice()
        self._finish = event
        report_finish(event, NAME, self._loss)
        return []

    def _on_end(self, event: ReplyEnd) -> list[SSE]:
        frames = [*self._begin(), *self._drain()]
        self._ended = True
        finish = self._finish or Finish("unknown")
        word = form_of(finish.wire, NAME)
        record_stop(finish.reason, word, self._loss, calls=self._calls)
        sequence = finish.stop_sequence
        delta: JSONObject = {
            "stop_reason": encode_stop(finish.reason, word, stop_sequence=sequence, calls=self._calls),
            "stop_sequence": sequence,
        }
        final = encode_usage(self._usage, None if is_native(self._start.wire) else self._loss)
        told = {
            key: value
            for key, value in final.items()
            if key not in _START_ONLY or value != self._started_usage.get(key)
        }
        beside: JSONObject = {"usage": told}
        for key, value in kept(finish.wire, NAME).items():
            (beside if key in _BESIDE_DELTA else delta).setdefault(key, value)
        frames.append(_frame("message_delta", delta=delta, **beside))
        frames.append(_frame("message_stop"))
        return frames

    def _on_error(self, event: StreamError) -> list[SSE]:
        self._ended = True
        return encode_stream_error(event.error)

    def _on_other(self, event: Other) -> list[SSE]:
        if event.dialect != NAME:
            return []
        data = event.data
        if event.name == "content_block_delta":
            if self._key is None or self._muted or self._lazy:
                return []
            data = {**data, "index": self._index}
        return [*self._begin(), SSE(event.name, dump_json(data))]

    def _on_whole(self, event: Whole) -> list[SSE]:
        return [frame for step in unfold(event.completion) for frame in self.feed(step)]

    def _other_choice(self) -> list[SSE]:
        if "choices" not in self._recorded:
            self._recorded.add("choices")
            self._loss.drop("choices", "this format carries one answer; the others are left out")
        return []

    # --- content

    def _on_block(self, event: BlockStart | BlockEnd | TextDelta | ReasoningDelta | ArgumentsDelta) -> list[SSE]:
        if event.choice:
            return self._other_choice()
        if event.block in self._waiting:
            self._waiting[event.block].append(event)
            return []
        if type(event) is BlockStart and self._key is not None:
            self._waiting[event.block] = deque([event])
            return []
        if event.block != self._key and type(event) is not BlockStart:
            return []
        frames = self._content(event)
        if type(event) is BlockEnd:
            frames.extend(self._release())
        return frames

    def _release(self) -> list[SSE]:
        """The open block ended: write the ones that waited for it, up to the next that is still open."""
        frames: list[SSE] = []
        while self._waiting and self._key is None:
            number = next(iter(self._waiting))
            for event in self._waiting.pop(number):
                frames.extend(self._content(event))
        return frames

    def _drain(self) -> list[SSE]:
        """Close what is open and write what waits."""
        frames: list[SSE] = []
        while self._key is not None:
            frames.extend(self._content(BlockEnd(self._key)))
            frames.extend(self._release())
        return frames

    def _content(self, event: Event) -> list[SSE]:
        match event:
            case BlockStart():
                return [*self._begin(), *self._open(event.part, event.block)]
            case BlockEnd():
                return self._close(event)
            case TextDelta():
                return self._delta("text_delta", "text", event.text)
            case ReasoningDelta():
                return self._delta("thinking_delta", "thinking", event.reasoning)
            case ArgumentsDelta():
                return self._delta("input_json_delta", "partial_json", event.arguments)
            case _:
                return []

    def _open(self, part: Part, number: int) -> list[SSE]:
        self._key = number
        self._part = part
        self._muted = self._lazy = False
        self._cited = 0
        path = f"choices[0].message.parts[{number}]"
        match part:
            case TextPart():
                return self._open_text(part)
            case RefusalPart():
                self._loss.emulate(path, "a refusal becomes plain text")
                return [self._announce({"type": "text", "text": ""}), *self._delta("text_delta", "text", part.text)]
            case ReasoningPart():
                return self._open_reasoning(part, path)
            case ToolCallPart():
                self._calls = True
                block: JSONObject = {"type": "tool_use", "id": part.id or f"call_{number + 1}", "name": part.name}
                block["input"] = {}
                merge_kept(block, kept(part.wire, NAME))
                return [self._announce(block), *self._delta("input_json_delta", "partial_json", part.arguments)]
            case ProviderPart() | MediaPart() | ToolResultPart():
                return self._open_whole(part, path)
            case _:
                self._muted = True
                return []

    def _announce(self, block: JSONObject) -> SSE:
        self._index += 1
        return _frame("content_block_start", index=self._index, content_block=block)

    def _open_text(self, part: TextPart) -> list[SSE]:
        fields = kept(part.wire, NAME)
        block: JSONObject = {"type": "text", "text": ""}
        cited = fields.get("citations")
        if type(cited) is list:
            fields["citations"] = []
        merge_kept(block, fields)
        frames = [self._announce(block), *self._delta("text_delta", "text", part.text)]
        return [*frames, *self._cite(cited)]

    def _cite(self, cited: object) -> list[SSE]:
        """The citations that have not been told yet."""
        new = cited[self._cited :] if type(cited) is list else []
        self._cited += len(new)
        deltas: list[JSONObject] = [{"type": "citations_delta", "citation": citation} for citation in new]
        return [_frame("content_block_delta", index=self._index, delta=delta) for delta in deltas]

    def _open_reasoning(self, part: ReasoningPart, path: str) -> list[SSE]:
        if is_native(part.wire) and part.redacted:
            return [self._announce({"type": "redacted_thinking", **kept(part.wire, NAME)})]
        if is_native(part.wire):
            fields = kept(part.wire, NAME)
            block: JSONObject = {"type": "thinking", "thinking": "", "signature": ""}
            merge_kept(block, {key: value for key, value in fields.items() if key != "signature"})
            frames = [self._announce(block)]
        else:
            if part.wire is not None and part.wire.fields:
                self._drop_state(path)
            self._lazy = True
            frames = []
        return [*frames, *self._delta("thinking_delta", "thinking", part.text)]

    def _drop_state(self, path: str) -> None:
        if path not in self._recorded:
            self._recorded.add(path)
            self._loss.drop(path, "the opaque reasoning state of another provider is left out")

    def _open_whole(self, part: ProviderPart | MediaPart | ToolResultPart, path: str) -> list[SSE]:
        block = encode_part(part, path, Out(self._loss, answer=True))
        if block is None:
            self._muted = True
            return []
        value = block.get("input")
        if type(value) is not dict or not value:
            return [self._announce(block)]
        frame = self._announce({**block, "input": {}})
        return [frame, *self._delta("input_json_delta", "partial_json", dump_json(value))]

    def _delta(self, kind: str, field: str, piece: str) -> list[SSE]:
        if not piece or self._muted:
            return []
        frames: list[SSE] = []
        if self._lazy:
            self._lazy = False
            frames.append(self._announce({"type": "thinking", "thinking": "", "signature": ""}))
        frames.append(_frame("content_block_delta", index=self._index, delta={"type": kind, field: piece}))
        return frames

    def _close(self, event: BlockEnd) -> list[SSE]:
        part, self._part, self._key = self._part, None, None
        silent = self._muted or self._lazy
        frames: list[SSE] = []
        if isinstance(part, TextPart):
            frames = self._cite(kept(event.wire, NAME).get("citations"))
        elif isinstance(part, ReasoningPart) and not part.redacted:
            signature: object = UNSIGNED
            if is_native(part.wire):
                signature = {**kept(part.wire, NAME), **kept(event.wire, NAME)}.get("signature")
            elif event.wire is not None and event.wire.fields:
                self._drop_state(f"choices[0].message.parts[{event.block}]")
            if type(signature) is str and signature and not silent:
                delta: JSONObject = {"type": "signature_delta", "signature": signature}
                frames = [_frame("content_block_delta", index=self._index, delta=delta)]
        if part is not None and not self._muted:
            report_block(part, event, NAME, self._loss)
        self._muted = self._lazy = False
        return [] if silent else [*frames, _frame("content_block_stop", index=self._index)]

    _handlers: ClassVar[dict[type[Event], Callable[..., list[SSE]]]] = {
        ReplyStart: _on_start,
        UsageUpdate: _on_usage,
        BlockStart: _on_block,
        TextDelta: _on_block,
        ReasoningDelta: _on_block,
        ArgumentsDelta: _on_block,
        BlockEnd: _on_block,
        Finish: _on_finish,
        ReplyEnd: _on_end,
        StreamError: _on_error,
        Other: _on_other,
        Whole: _on_whole,
    }


def encode_stream_error(error: ErrorInfo) -> list[SSE]:
    """The event by which this format reports an error inside a stream that has begun."""
    return [SSE("error", dump_json(encode_error(error)[1]))]


def _frame(kind: str, **fields: object) -> SSE:
    data: JSONObject = {"type": kind}
    data.update(fields)  # type: ignore[arg-type]  # every caller passes JSON
    return SSE(kind, dump_json(data))
