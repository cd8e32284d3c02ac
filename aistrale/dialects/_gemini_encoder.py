"""Streamed answers as Gemini sends them: unnamed SSE events, each a `GenerateContentResponse`, no terminator.

Text goes out as it comes; a function call only when it is complete, since its `args` are an object. What Gemini puts
into the last chunk (finish reason, counts) waits for the end, because other providers tell the counts after the finish.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from aistrale.core.sse import SSE
from aistrale.dialects._gemini_errors import encode_stream_error
from aistrale.dialects._gemini_finish import rfc3339, write_finish
from aistrale.dialects._gemini_names import NAME, own, words_of
from aistrale.dialects._gemini_response import encode_response
from aistrale.dialects._gemini_usage import encode_usage
from aistrale.dialects._gemini_write import Writer
from aistrale.dialects.foreign import report_block, report_finish
from aistrale.dialects.shape import dump_json, kept
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Event,
    Finish,
    Other,
    ReasoningDelta,
    ReasoningPart,
    RefusalPart,
    ReplyEnd,
    ReplyStart,
    StreamError,
    TextDelta,
    TextPart,
    ToolCallPart,
    Usage,
    UsageUpdate,
    Whole,
    Wire,
)

if TYPE_CHECKING:
    from aistrale.dialects.base import Loss
    from aistrale.types import JSON, JSONObject, Part


class _Block:
    """An open block: its part, what has come of a call's arguments, and whether anything was written."""

    __slots__ = ("part", "pieces", "written")

    def __init__(self, part: Part) -> None:
        self.part = part
        self.pieces: list[str] = []
        self.written = False


class Encoder:
    """Encodes one streamed reply; see EventEncoder.

    Args:
        loss: Takes what cannot be said.
    """

    def __init__(self, loss: Loss) -> None:
        self._loss = loss
        self._writer = Writer(loss)
        self._head: JSONObject = {}
        self._tail: JSONObject = {}
        self._blocks: dict[tuple[int, int], _Block] = {}
        self._finishes: dict[int, Finish] = {}
        self._called: set[int] = set()
        self._usage: Usage | None = None
        self._over = False

    def feed(self, event: Event) -> list[SSE]:
        """Encode one hub event."""
        if self._over:
            return []
        match event:
            case TextDelta():
                return self._text(event)
            case ReasoningDelta():
                return self._thought(event)
            case ArgumentsDelta():
                return self._arguments(event)
            case BlockStart():
                return self._open(event)
            case BlockEnd():
                return self._end(event)
            case _:
                return self._frame_event(event)

    def _frame_event(self, event: Event) -> list[SSE]:
        match event:
            case ReplyStart():
                self._start(event)
            case UsageUpdate():
                self._usage = event.usage
            case Finish():
                self._finishes[event.choice] = event
                report_finish(event, NAME, self._loss)
            case ReplyEnd():
                self._tail = kept(event.wire, NAME)
                return self.finish()
            case StreamError():
                self._over = True
                return encode_stream_error(event.error)
            case Whole():
                self._over = True
                return [SSE("", dump_json(encode_response(event.completion, self._loss)))]
            case Other() if event.dialect == NAME:
                return [SSE("", dump_json(event.data))]
            case _:
                pass
        return []

    def finish(self) -> list[SSE]:
        """The last chunk, if a choice has finished and it was not written yet."""
        if self._over or not self._finishes:
            return []
        self._over = True
        frames = [frame for key in sorted(self._blocks) for frame in self._close(key, None)]
        candidates: list[JSON] = [
            self._last(finish)
            for _, finish in sorted(self._finishes.items())
            if "no-candidate" not in words_of(finish.wire)
        ]
        body: JSONObject = {"candidates": candidates} if candidates else {}
        if self._usage is not None:
            if self._usage.cache_write_total and not own(self._usage.wire):
                self._loss.drop("usage.cache_write", "Gemini counts tokens written to a cache as prompt tokens")
            body["usageMetadata"] = encode_usage(self._usage)
        return [*frames, SSE("", dump_json({**body, **self._head, **self._tail}))]

    def _last(self, finish: Finish) -> JSONObject:
        fields = kept(finish.wire, NAME)
        where, called = f"choices[{finish.choice}].finish_reason", finish.choice in self._called
        write_finish(finish.reason, fields, mine=own(finish.wire), calls=called, where=where, loss=self._loss)
        content: JSON = {"parts": [{"text": ""}], "role": "model"}
        return {"content": content, **fields, "index": finish.choice}

    def _frame(self, parts: list[JSON], choice: int) -> list[SSE]:
        if not parts:
            return []
        candidate: JSON = {"content": {"parts": parts, "role": "model"}, "index": choice}
        return [SSE("", dump_json({"candidates": [candidate], **self._head}))]

    def _start(self, event: ReplyStart) -> None:
        mine = own(event.wire)
        self._head = kept(event.wire, NAME)
        if event.model:
            self._head["modelVersion"] = event.model
        if event.id:
            self._head["responseId"] = event.id
        if event.created is not None and not mine and (made := rfc3339(event.created)) is not None:
            self._head["createTime"] = made

    def _open(self, event: BlockStart) -> list[SSE]:
        part = event.part
        block = self._blocks[event.choice, event.block] = _Block(part)
        if isinstance(part, RefusalPart):
            self._loss.emulate(f"choices[{event.choice}].message", "a refusal became ordinary text")
        if isinstance(part, (TextPart, RefusalPart)) and part.text:
            block.written = True
            return self._frame([{"text": part.text}], event.choice)
        if isinstance(part, ReasoningPart) and part.text:
            block.written = True
            return self._frame([{"text": part.text, "thought": True}], event.choice)
        return []

    def _text(self, event: TextDelta) -> list[SSE]:
        return self._frame([{"text": event.text}], event.choice) if event.text else []

    def _thought(self, event: ReasoningDelta) -> list[SSE]:
        block = self._blocks.get((event.choice, event.block))
        if not event.reasoning:
            return []
        if block is not None:
            block.written = True
        return self._frame([{"text": event.reasoning, "thought": True}], event.choice)

    def _arguments(self, event: ArgumentsDelta) -> list[SSE]:
        block = self._blocks.get((event.choice, event.block))
        if block is not None:
            block.pieces.append(event.arguments)
        return []

    def _end(self, event: BlockEnd) -> list[SSE]:
        key = (event.choice, event.block)
        block = self._blocks.get(key)
        frames = self._close(key, event.wire)
        if block is not None:
            report_block(block.part, event, NAME, self._loss)
        return frames

    def _close(self, key: tuple[int, int], wire: Wire | None) -> list[SSE]:
        block = self._blocks.pop(key, None)
        if block is None:
            return []
        choice = key[0]
        part = block.part
        state = {**kept(part.wire, NAME), **kept(wire, NAME)}
        if isinstance(part, (TextPart, RefusalPart)):
            return self._frame([{**state, "text": ""}], choice) if state else []
        if isinstance(part, ReasoningPart) and block.written:
            return self._frame([{**state, "text": "", "thought": True}], choice) if state else []
        if isinstance(part, ToolCallPart):
            self._called.add(choice)
            part = replace(part, arguments=part.arguments + "".join(block.pieces))
        if state:
            part = replace(part, wire=Wire(NAME, state, part.wire.form if own(part.wire) and part.wire else ""))
        parts: list[JSON] = [*self._writer.part(part, f"choices[{choice}].message.parts[{key[1]}]")]
        return self._frame(parts, choice)
