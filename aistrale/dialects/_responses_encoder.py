"""OpenAI Responses: the events of a stream, written.

Blocks become parts of items: texts that follow each other share one message, every thought and call is an item of its
own, and parts that were decoded from this dialect go back into the items that they came from. The last event repeats
the whole response, so everything is also remembered.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final, cast

from aistrale.core.sse import SSE
from aistrale.dialects._responses_content import NAME, form, ours, word
from aistrale.dialects._responses_errors import encode_stream_error, failure
from aistrale.dialects._responses_frames import (
    CUSTOM,
    SILENT,
    SUMMARY,
    TEXT,
    Items,
    OpenBlock,
    OpenItem,
    merged,
    pieces_of,
    set_text,
    style_of,
    text_of,
)
from aistrale.dialects._responses_output import OutputEncoder, encode_finish, response_head, usage_field
from aistrale.dialects.foreign import report_block, report_finish
from aistrale.dialects.shape import dump_json
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Choice,
    Event,
    Finish,
    Message,
    Other,
    ReasoningDelta,
    ReasoningPart,
    ReplyEnd,
    ReplyStart,
    StreamError,
    TextDelta,
    ToolCallPart,
    UsageUpdate,
    Whole,
    Wire,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistrale.dialects.base import Loss
    from aistrale.types import JSON, JSONObject, Part, Request, Usage

_ADDED: Final = "response.output_item.added"
_LIFECYCLE: Final = frozenset({"response.queued", "response.in_progress"})
_ENDS: Final = frozenset({"completed", "incomplete", "failed", "cancelled"})


class Encoder:
    """Encodes one streamed reply; see EventEncoder.

    Args:
        request: What is answered; the response repeats much of it.
        loss: Records what cannot be said.
    """

    __slots__ = (
        "_blocks",
        "_dropped",
        "_ended",
        "_finish",
        "_head",
        "_items",
        "_loss",
        "_parts",
        "_progress",
        "_request",
        "_sequence",
        "_started",
        "_usage",
        "_wire",
    )

    def __init__(self, request: Request, loss: Loss) -> None:
        self._request = request
        self._loss = loss
        self._sequence = 0
        self._started = self._progress = self._ended = False
        self._head: JSONObject = {}
        self._wire: Wire | None = None
        self._blocks: dict[int, OpenBlock] = {}
        self._items = Items(OutputEncoder("", loss), "")
        self._parts: list[Part] = []
        self._dropped: set[int] = set()
        self._usage: Usage | None = None
        self._finish: Finish | None = None

    def feed(self, event: Event) -> list[SSE]:
        """Encode one hub event."""
        if self._ended:
            return []
        handler = self._handlers.get(type(event))
        return [] if handler is None else handler(self, event)

    def finish(self) -> list[SSE]:
        """The reply ended; one that broke off is reported as failed, so that its caller does not take it for whole."""
        if self._ended or not self._started:
            return []
        if self._finish is not None:
            return self._end(ReplyEnd())
        return self._fail_with("server_error", "The stream ended before the answer was complete.", [])

    # --- the reply ---

    def _begin(self, event: ReplyStart) -> list[SSE]:
        if self._started:
            return []
        self._started = True
        self._wire = event.wire
        self._head = response_head(event.id, event.model, event.created, event.wire, self._request)
        self._items = Items(OutputEncoder(event.id, self._loss), event.id)
        return [self._snapshot("response.created", form(event.wire) or "in_progress")]

    def _ensure(self) -> list[SSE]:
        """The events that stand before any content."""
        frames = [] if self._started else self._begin(ReplyStart())
        if not self._progress:
            self._progress = True
            frames.append(self._snapshot("response.in_progress", "in_progress"))
        return frames

    def _snapshot(self, kind: str, status: JSON) -> SSE:
        fields: JSONObject = {"status": status, "incomplete_details": None, "output": [], "usage": None}
        return self._frame(kind, {"response": {**self._head, **fields}})

    def _frame(self, kind: str, fields: JSONObject) -> SSE:
        number = self._sequence
        self._sequence = number + 1
        return SSE(kind, dump_json({"type": kind, **fields, "sequence_number": number}))

    def _other(self, event: Other) -> list[SSE]:
        if event.dialect != NAME:
            return []
        kind = event.name or str(event.data.get("type", ""))
        frames = [] if self._started else self._begin(ReplyStart())
        if kind in _LIFECYCLE:
            self._progress = self._progress or kind == "response.in_progress"
            response = event.data.get("response")
            status = response.get("status") if type(response) is dict else None
            return [*frames, self._snapshot(kind, status or kind.removeprefix("response."))]
        if "output_index" in event.data:
            frames += self._ensure()
        if kind == _ADDED:
            frames += self._close_idle()
            index = event.data.get("output_index")
            if type(index) is int:
                self._items.announced.add(index)
        fields = {key: value for key, value in event.data.items() if key not in {"type", "sequence_number"}}
        return [*frames, self._frame(kind, fields)]

    def _update(self, event: UsageUpdate) -> list[SSE]:
        self._usage = event.usage
        return []

    def _note_finish(self, event: Finish) -> list[SSE]:
        if event.choice == 0:
            self._finish = event
            report_finish(event, NAME, self._loss)
        return []

    def _end(self, event: ReplyEnd) -> list[SSE]:
        frames = self._ensure()
        finish = self._finish or Finish("unknown")
        for block in list(self._blocks.values()):
            frames += self._block_end(BlockEnd(block.number))
        cut = finish.reason == "length" and not ours(finish.wire)
        left = self._items.open()
        frames += [self._close(item, "incomplete" if cut and item is left[-1] else "") for item in left]
        if event.wire is not None and ours(event.wire):
            self._head.update(event.wire.fields)
        choice = Choice(Message("assistant", self._parts), finish.reason, wire=finish.wire)
        fields = encode_finish(choice, self._loss, error=self._head.get("error"))
        status = word(fields, "status")
        kind = f"response.{status}" if status in _ENDS else "response.completed"
        self._ended = True
        return [*frames, self._frame(kind, {"response": self._response(fields)})]

    def _response(self, fields: JSONObject) -> JSONObject:
        finished = self._items.output
        output: list[JSON] = [finished[index] for index in sorted(finished)]
        return {**self._head, **fields, "output": output, **usage_field(self._usage, self._wire, self._loss)}

    def _fail(self, event: StreamError) -> list[SSE]:
        facts = failure(event.error)
        errors = encode_stream_error(event.error, sequence_number=self._sequence)
        if not self._started:
            self._ended = True
            return errors
        self._sequence += 1
        return self._fail_with(facts["code"], facts["message"], errors)

    def _fail_with(self, code: JSON, message: JSON, frames: list[SSE]) -> list[SSE]:
        self._ended = True
        for block in self._blocks.values():
            set_text(block.part, "".join(block.pieces))
        for item in self._items.open():
            self._items.close(item, "incomplete")
        error: JSONObject = {"code": code, "message": message}
        fields: JSONObject = {"status": "failed", "incomplete_details": None, "error": error}
        return [*frames, self._frame("response.failed", {"response": self._response(fields)})]

    def _whole(self, event: Whole) -> list[SSE]:
        frames: list[SSE] = []
        for piece in pieces_of(event.completion):
            frames += self.feed(piece)
        for choice in event.completion.choices[1:]:
            self._drop(choice.index)
        return frames

    # --- blocks ---

    def _drop(self, choice: int) -> list[SSE]:
        if choice not in self._dropped:
            self._dropped.add(choice)
            self._loss.drop(f"choices[{choice}]", "A response holds one answer; the alternative was left out.")
        return []

    def _block_start(self, event: BlockStart) -> list[SSE]:
        if event.choice:
            return self._drop(event.choice)
        frames = self._ensure()
        part = replace(event.part)
        style = style_of(part)
        if style is None:
            return [*frames, *self._alone(event.block, part)]
        block = self._blocks[event.block] = OpenBlock(event.block, part, style)
        text = text_of(part)
        set_text(part, "")
        if text:
            return [*frames, *self._piece(block, text)]
        # A thought from elsewhere, or an empty message, is told when there is something to tell.
        silent = form(part.wire) in SILENT or (isinstance(part, ReasoningPart) and not ours(part.wire))
        return frames if silent else [*frames, *self._show(block)]

    def _show(self, block: OpenBlock) -> list[SSE]:
        """Announce the block's item, unless it goes into one that is open, and the block itself."""
        item = self._items.joinable(block.part)
        frames: list[SSE] = []
        if item is None:
            frames += self._close_idle()
            item, fields = self._items.announce(block)
            if fields is not None:
                frames.append(self._frame(_ADDED, {"output_index": item.index, "item": fields}))
        block.item = item
        item.group.append((block.number, block.part))
        item.open += 1
        place, added, name, _ = block.style
        if form(block.part.wire) in SILENT and not block.pieces:
            return frames
        block.place = {"item_id": item.id, "output_index": item.index}
        if place:
            number = item.counts.get(place, 0)
            block.place[place] = number
            item.counts[place] = number + 1
        head = dump_json({"type": f"{name}.delta", **block.place})
        block.head = f'{head[:-1]},"delta":'
        if added:
            frames.append(self._frame(added, {**block.place, "part": self._part(block)}))
        return frames

    def _part(self, block: OpenBlock) -> JSONObject:
        if isinstance(block.part, ReasoningPart):
            kind = "summary_text" if block.style is SUMMARY else "reasoning_text"
            return {"type": kind, "text": block.part.text}
        return self._items.writer.content(block.part, block.number)

    def _text_delta(self, event: TextDelta) -> list[SSE]:
        block = self._blocks.get(event.block)
        if block is None or event.choice:
            return []
        return self._piece(block, event.text, event.wire)

    def _reasoning_delta(self, event: ReasoningDelta) -> list[SSE]:
        block = self._blocks.get(event.block)
        return [] if block is None or event.choice else self._piece(block, event.reasoning)

    def _arguments_delta(self, event: ArgumentsDelta) -> list[SSE]:
        block = self._blocks.get(event.block)
        return [] if block is None or event.choice else self._piece(block, event.arguments)

    def _piece(self, block: OpenBlock, text: str, wire: Wire | None = None) -> list[SSE]:
        block.pieces.append(text)
        frames = self._show(block) if block.item is None else []
        style = block.style
        if style is CUSTOM:
            # Its input is plain text, which can be read from the JSON of the arguments only at their end.
            return frames
        number = self._sequence
        self._sequence = number + 1
        tail = ""
        if style is TEXT:
            told = wire.fields.get("logprobs") if wire is not None and ours(wire) else None
            tail = f',"logprobs":{dump_json(told) if told else "[]"}'
        # json.dumps, because with its default separators it keeps its encoder; a string has none.
        data = f'{block.head}{json.dumps(text)}{tail},"sequence_number":{number}}}'
        frames.append(SSE(f"{style[2]}.delta", data))
        return frames

    def _block_end(self, event: BlockEnd) -> list[SSE]:
        block = None if event.choice else self._blocks.pop(event.block, None)
        if block is None:
            return []
        frames: list[SSE] = []
        part = block.part
        if event.wire is not None:
            part.wire = merged(part.wire, event.wire)
        if block.item is None:
            if isinstance(part, ReasoningPart) and not ours(part.wire):
                self._items.writer.item([(block.number, part)], 0)
                return []
            frames += self._show(block)
        report_block(part, event, NAME, self._loss)
        set_text(part, "".join(block.pieces))
        self._parts.append(part)
        frames += self._told(block)
        item = cast("OpenItem", block.item)
        item.open -= 1
        if isinstance(part, ToolCallPart):
            frames.append(self._close(item))
        return frames

    def _told(self, block: OpenBlock) -> list[SSE]:
        """The events that repeat a whole part."""
        _, added, name, field = block.style
        part = block.part
        if isinstance(part, ToolCallPart):
            written = self._items.writer.item([(block.number, part)], cast("OpenItem", block.item).index) or {}
            frames = []
            # Whoever strings the pieces together gets the whole, also of a call whose arguments nobody told.
            if written.get(field) and (block.style is CUSTOM or not any(block.pieces)):
                frames.append(self._frame(f"{name}.delta", {**block.place, "delta": written[field]}))
            return [*frames, self._frame(f"{name}.done", {**block.place, field: written.get(field)})]
        if form(part.wire) in SILENT and not block.pieces:
            return []
        written = self._part(block)
        done = (added.removesuffix("added") + "done", {**block.place, "part": written})
        if not name:
            return [self._frame(*done)]
        told: JSONObject = {**block.place, field: text_of(part)}
        if block.style is TEXT:
            told["logprobs"] = written.get("logprobs") or []
        return [self._frame(f"{name}.done", told), self._frame(*done)]

    def _alone(self, number: int, part: Part) -> list[SSE]:
        """A part that is told whole: the item of a hosted tool, or media from elsewhere."""
        index = self._items.next_index(part)
        written = self._items.writer.item([(number, part)], index)
        if written is None:
            return []
        frames = self._close_idle()
        self._items.whole(index, written)
        place: JSONObject = {"output_index": index, "item": written}
        if index not in self._items.announced:
            frames.append(self._frame(_ADDED, place))
        return [*frames, self._frame("response.output_item.done", place)]

    def _close_idle(self) -> list[SSE]:
        """End the items that no open block belongs to; a new item begins."""
        return [self._close(item) for item in self._items.open() if not item.open]

    def _close(self, item: OpenItem, status: str = "") -> SSE:
        written = self._items.close(item, status)
        return self._frame("response.output_item.done", {"output_index": item.index, "item": written})

    _handlers: ClassVar[dict[type[Event], Callable[..., list[SSE]]]] = {
        TextDelta: _text_delta,
        ReasoningDelta: _reasoning_delta,
        ArgumentsDelta: _arguments_delta,
        BlockStart: _block_start,
        BlockEnd: _block_end,
        ReplyStart: _begin,
        UsageUpdate: _update,
        Finish: _note_finish,
        ReplyEnd: _end,
        StreamError: _fail,
        Other: _other,
        Whole: _whole,
    }
