"""OpenAI Responses: the events of a stream, read.

An item of the stream is told piece by piece (`output_item.added`, parts, deltas, `output_item.done`). Each of its parts
becomes a block. The last open part of an item ends with the item, because only then its final state is known (status,
encrypted thoughts, annotations). What the provider's own tools do is told by `Other` events; their finished item is a
block.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar, Final

from aistrale.dialects._responses_content import CONTENT, NAME, decode_content, text_at, word
from aistrale.dialects._responses_errors import read_stream_error
from aistrale.dialects._responses_items import custom_arguments, decode_item, mark_item, thought_envelope
from aistrale.dialects._responses_output import decode_created, decode_finish, finish_wire, response_wire
from aistrale.dialects._responses_track import CALL, SUMMARY, Block, Item, Key, Tracker, index, whole
from aistrale.dialects._responses_usage import decode_usage
from aistrale.dialects.shape import MalformedBody, as_list, as_object, get_str
from aistrale.types import (
    ArgumentsDelta,
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
    UsageUpdate,
    Wire,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistrale.core.sse import SSE
    from aistrale.types import JSONObject, Part

_ADDED: Final = "response.output_item.added"
# What an announced item does not yet have, or has in a first state that says nothing.
_LATER: Final = frozenset({"content", "status"})
_LATER_THOUGHT: Final = frozenset({"encrypted_content", "status"})
# How the JSON arguments begin that stand for the plain text of a custom tool's input.
_OPENING: Final = '{"input":"'


class Decoder:
    """Decodes one streamed reply; see EventDecoder."""

    __slots__ = ("_done", "_held", "_places", "_started", "_text", "_text_at", "_text_index", "_track")

    def __init__(self) -> None:
        self._started = False
        self._done = False
        self._held: list[Event] = []
        self._track = Tracker()
        self._places: dict[str, int] = {}
        # The text block that the last delta went to, found again without a look-up.
        self._text: Block | None = None
        self._text_at: int = -1
        self._text_index: int = -1

    def feed(self, event: SSE) -> list[Event]:
        """Decode one wire event. Raises MalformedBody on a shape that the dialect does not have."""
        data = event.data
        # Some compatible servers end with the marker of the chat format.
        if self._done or not data or data == "[DONE]":
            return []
        try:
            body = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise MalformedBody("event", "valid JSON") from error
        if type(body) is not dict:
            raise MalformedBody("event", "a JSON object")
        kind = body.get("type")
        if (
            kind == "response.output_text.delta"
            and self._text is not None
            and not self._text.closed
            and body.get("output_index") == self._text_at
            and body.get("content_index") == self._text_index
        ):
            return self._more_text(self._text, body)
        if type(kind) is not str:
            kind = event.event or ("error" if "error" in body else "")
            body["type"] = kind
        handler = self._handlers.get(kind)
        if handler is not None and "output_index" not in body and ("item_id" in body or "item" in body):
            self._place(body)
        events: list[Event] = [Other(NAME, kind, body)] if handler is None else handler(self, body)
        return events if self._started else self._before_start(events)

    @property
    def whole(self) -> bool:
        """Never before the terminal event, and then it has ended."""
        return False

    def finish(self) -> list[Event]:
        """Nothing: the terminal event was told when it came."""
        return []

    def _place(self, body: JSONObject) -> None:
        """Number the item of an event by its id: llama.cpp's server leaves all the positions out."""
        item = body.get("item")
        name = body.get("item_id") or (item.get("id") if type(item) is dict else None)
        if body["type"] == _ADDED or not self._places:
            self._places.setdefault(str(name), len(self._places))
        body["output_index"] = self._places.get(str(name), len(self._places) - 1)
        body.setdefault("content_index", 0)
        body.setdefault("summary_index", 0)

    def _before_start(self, events: list[Event]) -> list[Event]:
        """Hold back what came before the reply began; where nothing says that it began, it begins with its content."""
        if any(isinstance(event, StreamError) for event in events):
            return events
        if all(isinstance(event, Other) for event in events):
            self._held.extend(events)
            return []
        self._started = True
        return [ReplyStart(), *self._release(), *events]

    def _release(self) -> list[Event]:
        held, self._held = self._held, []
        return held

    # --- the reply ---

    def _lifecycle(self, body: JSONObject) -> list[Event]:
        response = as_object(body.get("response"), "response")
        if not self._started:
            return self._start(response)
        # The response's other fields were told when it began; the encoder writes them again.
        kind = str(body["type"])
        return [Other(NAME, kind, {"type": kind, "response": {"status": response.get("status")}})]

    def _start(self, response: JSONObject) -> list[Event]:
        self._started = True
        wire = response_wire(response)
        # Not told yet, which at the end would be something else.
        wire.fields.pop("usage", None)
        start = ReplyStart(
            get_str(response, "id") or "", get_str(response, "model") or "", decode_created(response), wire
        )
        return [start, *self._release()]

    def _terminal(self, body: JSONObject) -> list[Event]:
        response = as_object(body.get("response"), "response")
        events = [] if self._started else self._start(response)
        self._done = True
        usage = response.get("usage")
        told: list[Event] = [] if usage is None else [UsageUpdate(decode_usage(usage, "response.usage"))]
        error = response.get("error")
        status = {"status": str(body["type"]).removeprefix("response."), **response}
        if status["status"] == "failed" and type(error) is dict:
            return [*events, *told, StreamError(read_stream_error({"error": error}))]
        output = response.get("output")
        values = [] if output is None else as_list(output, "response.output")
        events += self._track.rest([as_object(value, "response.output[]") for value in values])
        reason = decode_finish(status, self._track.called)
        return [*events, *told, Finish(reason, wire=finish_wire(response)), ReplyEnd(response_wire(response))]

    def _error(self, body: JSONObject) -> list[Event]:
        self._done = True
        return [StreamError(read_stream_error(body))]

    # --- items ---

    def _item_added(self, body: JSONObject) -> list[Event]:
        if body.get("item") is None:
            return []
        item = as_object(body["item"], "item")
        at = index(body, "output_index")
        kind = word(item, "type")
        if kind == "message" and item.get("role") == "assistant":
            self._track.add(Item(at, {key: item[key] for key in item if key not in _LATER}))
            return []
        if kind in {"function_call", "custom_tool_call"}:
            custom = kind == "custom_tool_call"
            # Its arguments follow; where they do not, the finished item has them.
            part = decode_item({**item, "input" if custom else "arguments": ""}, at, "item")[0]
            if isinstance(part, ToolCallPart):
                part.arguments = ""
            return self._track.open(self._track.add(Item(at, {}, custom=custom)), CALL, part)
        if kind == "reasoning":
            envelope = thought_envelope(item)
            self._track.add(Item(at, {key: envelope[key] for key in envelope if key not in _LATER_THOUGHT}))
        # Hosted tools; and thoughts, most of which show no text: that the model thinks is told before it has thought.
        return [Other(NAME, _ADDED, body)]

    def _item_done(self, body: JSONObject) -> list[Event]:
        return self._track.finish(as_object(body.get("item"), "item"), index(body, "output_index"))

    # --- text ---

    def _part_added(self, body: JSONObject) -> list[Event]:
        value = as_object(body.get("part"), "part")
        item, key = self._track.item(body), (CONTENT, index(body, "content_index"))
        part: Part = ReasoningPart()
        if value.get("type") != "reasoning_text":
            part = decode_content(value, "part")
        if isinstance(part, (TextPart, RefusalPart)):
            part.text = ""
        elif not isinstance(part, ReasoningPart):
            # A part of a kind that nobody knows is told whole when it is done.
            return []
        return [] if key in item.blocks else self._track.open(item, key, part)

    def _part_done(self, body: JSONObject) -> list[Event]:
        item, key = self._track.item(body), (CONTENT, index(body, "content_index"))
        value = as_object(body.get("part"), "part")
        block = item.blocks.get(key)
        if value.get("type") == "reasoning_text":
            return self._thought_done(body, key, text_at(value, "text", "part"))
        part = decode_content(value, "part")
        if block is None:
            return self._track.whole(item, key, part)
        if block.closed:
            return []
        events = [] if block.received else whole(block, part)
        mark_item(part, item.at, item.envelope)
        block.wire, block.done = part.wire, True
        return events

    def _text_delta(self, body: JSONObject) -> list[Event]:
        place = index(body, "content_index")
        block, events = self._track.find(body, (CONTENT, place), TextPart("", wire=Wire(NAME, {}, "output_text")))
        self._text, self._text_at, self._text_index = block, index(body, "output_index"), place
        return [*events, *self._more_text(block, body)]

    def _more_text(self, block: Block, body: JSONObject) -> list[Event]:
        text = body.get("delta")
        if type(text) is not str:
            raise MalformedBody("delta", "a string")
        if not text:
            return []
        block.received = True
        logprobs = body.get("logprobs")
        return [TextDelta(text, block.number, 0, Wire(NAME, {"logprobs": logprobs}) if logprobs else None)]

    def _text_done(self, body: JSONObject) -> list[Event]:
        return self._all_text(body, "text", TextPart("", wire=Wire(NAME, {}, "output_text")))

    def _refusal_delta(self, body: JSONObject) -> list[Event]:
        part = RefusalPart("", Wire(NAME, {}, "refusal"))
        block, events = self._track.find(body, (CONTENT, index(body, "content_index")), part)
        return [*events, *self._more_text(block, body)]

    def _refusal_done(self, body: JSONObject) -> list[Event]:
        return self._all_text(body, "refusal", RefusalPart("", Wire(NAME, {}, "refusal")))

    def _all_text(self, body: JSONObject, name: str, part: TextPart | RefusalPart) -> list[Event]:
        text = text_at(body, name, "event")
        block, events = self._track.find(body, (CONTENT, index(body, "content_index")), part)
        if text and not block.received:
            block.received = True
            events.append(TextDelta(text, block.number))
        return events

    # --- thoughts ---

    def _summary_added(self, body: JSONObject) -> list[Event]:
        return self._track.find(body, (SUMMARY, index(body, "summary_index")), ReasoningPart())[1]

    def _summary_delta(self, body: JSONObject) -> list[Event]:
        return self._thought(body, (SUMMARY, index(body, "summary_index")))

    def _summary_done(self, body: JSONObject) -> list[Event]:
        return self._thought_done(body, (SUMMARY, index(body, "summary_index")), text_at(body, "text", "event"))

    def _summary_part_done(self, body: JSONObject) -> list[Event]:
        text = text_at(as_object(body.get("part"), "part"), "text", "part")
        return self._thought_done(body, (SUMMARY, index(body, "summary_index")), text)

    def _reasoning_delta(self, body: JSONObject) -> list[Event]:
        return self._thought(body, (CONTENT, index(body, "content_index")))

    def _reasoning_done(self, body: JSONObject) -> list[Event]:
        return self._thought_done(body, (CONTENT, index(body, "content_index")), text_at(body, "text", "event"))

    def _thought(self, body: JSONObject, key: Key) -> list[Event]:
        text = text_at(body, "delta", "event")
        block, events = self._track.find(body, key, ReasoningPart())
        if text:
            block.received = True
            events.append(ReasoningDelta(text, block.number))
        return events

    def _thought_done(self, body: JSONObject, key: Key, text: str) -> list[Event]:
        known = self._track.item(body).blocks.get(key)
        if known is not None and known.closed:
            return []
        block, events = self._track.find(body, key, ReasoningPart())
        if not block.received:
            events += whole(block, ReasoningPart(text))
        block.done = True
        return events

    # --- calls ---

    def _arguments_delta(self, body: JSONObject) -> list[Event]:
        return self._more_arguments(body, text_at(body, "delta", "event"), "")

    def _input_delta(self, body: JSONObject) -> list[Event]:
        return self._more_arguments(body, json.dumps(text_at(body, "delta", "event"))[1:-1], _OPENING)

    def _more_arguments(self, body: JSONObject, text: str, opening: str) -> list[Event]:
        block = self._track.item(body).blocks.get(CALL)
        if block is None or block.closed or not text:
            return []
        if not block.received:
            text = opening + text
        block.received = True
        return [ArgumentsDelta(text, block.number)]

    def _arguments_done(self, body: JSONObject) -> list[Event]:
        return self._all_arguments(body, text_at(body, "arguments", "event"))

    def _input_done(self, body: JSONObject) -> list[Event]:
        return self._all_arguments(body, custom_arguments(text_at(body, "input", "event")))

    def _all_arguments(self, body: JSONObject, arguments: str) -> list[Event]:
        block = self._track.item(body).blocks.get(CALL)
        if block is None or block.closed or block.received:
            return []
        return whole(block, ToolCallPart("", "", arguments))

    _handlers: ClassVar[dict[str, Callable[[Decoder, JSONObject], list[Event]]]] = {
        "response.created": _lifecycle,
        "response.queued": _lifecycle,
        "response.in_progress": _lifecycle,
        "response.completed": _terminal,
        "response.incomplete": _terminal,
        "response.failed": _terminal,
        "response.cancelled": _terminal,
        "error": _error,
        "response.output_item.added": _item_added,
        "response.output_item.done": _item_done,
        "response.content_part.added": _part_added,
        "response.content_part.done": _part_done,
        "response.output_text.delta": _text_delta,
        "response.output_text.done": _text_done,
        "response.refusal.delta": _refusal_delta,
        "response.refusal.done": _refusal_done,
        "response.reasoning_summary_part.added": _summary_added,
        "response.reasoning_summary_part.done": _summary_part_done,
        "response.reasoning_summary_text.delta": _summary_delta,
        "response.reasoning_summary_text.done": _summary_done,
        "response.reasoning_text.delta": _reasoning_delta,
        "response.reasoning_text.done": _reasoning_done,
        "response.function_call_arguments.delta": _arguments_delta,
        "response.function_call_arguments.done": _arguments_done,
        "response.custom_tool_call_input.delta": _input_delta,
        "response.custom_tool_call_input.done": _input_done,
    }
