"""The streamed answer of Gemini, read chunk by chunk.

Each chunk is a whole `GenerateContentResponse` with the next parts. Nothing says that a block begins or ends: text
and thoughts run on until another kind of part comes or a signature closes them. The end is the end of the bytes, after
every candidate that began has a finish reason; older models repeat STOP on every chunk, so the finish is told at the
end only.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aistrale.dialects._gemini_errors import decode_error_body
from aistrale.dialects._gemini_finish import finish_reason, unix_seconds
from aistrale.dialects._gemini_names import NAME, json_text
from aistrale.dialects._gemini_partial import PartialArguments
from aistrale.dialects._gemini_parts import Calls, decode_part
from aistrale.dialects._gemini_response import blocked, call_prefix
from aistrale.dialects._gemini_usage import Turns, decode_usage
from aistrale.dialects.shape import MalformedBody, as_int, as_list, as_object, get_str
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Event,
    Finish,
    ReasoningDelta,
    ReasoningPart,
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
    from aistrale.core.sse import SSE
    from aistrale.types import JSON, JSONObject, Part

_NONE, _TEXT, _THOUGHT, _CALL = range(4)
_CHUNK: Final = frozenset({"candidates", "usageMetadata", "modelVersion", "responseId", "createTime"})
_CANDIDATE: Final = frozenset({"content", "index"})


class _Choice:
    """What is open in one candidate."""

    __slots__ = ("arguments", "block", "called", "fields", "kind", "next", "open", "reason", "state")

    def __init__(self) -> None:
        self.kind = _NONE
        self.block = -1
        self.next = 0
        self.state: JSONObject = {}
        self.arguments = PartialArguments()
        self.called = False
        self.reason: JSON = None
        self.open = False
        self.fields: JSONObject = {}

    @property
    def ended(self) -> bool:
        """Whether its finish reason means what it says: older models write STOP into every chunk, also the first."""
        return self.open and self.reason is not None


class Decoder:
    """Decodes one streamed reply; see EventDecoder."""

    def __init__(self) -> None:
        self._choices: dict[int, _Choice] = {}
        self._calls = Calls()
        self._started = False
        self._over = False
        self._blocked = False
        self._usage: JSON = None
        self._turns = Turns()
        self._fields: JSONObject = {}

    def feed(self, event: SSE) -> list[Event]:
        """Decode one chunk. Raises MalformedBody."""
        data = event.data
        if not data or data.isspace():
            return []
        try:
            body = json.loads(data)
        except (ValueError, RecursionError) as error:
            body = _several(data, error)
        events: list[Event] = []
        if type(body) is dict:
            self._chunk(body, events)
        else:
            # Errors, and streams that were not asked for as SSE, come in an array.
            for item in as_list(body, "data"):
                self._chunk(as_object(item, "data"), events)
        return events

    @property
    def whole(self) -> bool:
        """Whether every candidate has certainly ended; there is no terminal event."""
        choices = self._choices
        return bool(choices) and not self._over and all(choice.ended for choice in choices.values())

    def finish(self) -> list[Event]:
        """Close what is open and end the reply, if every candidate has its finish reason or the prompt was blocked."""
        choices = self._choices
        told = choices and all(choice.reason is not None for choice in choices.values())
        if self._over or not (told or self._blocked):
            return []
        self._over = True
        events: list[Event] = []
        for index, choice in sorted(choices.items()):
            self._close(choice, index, events)
            reason = finish_reason(choice.reason, calls=choice.called)
            if choice.reason is None:
                reason = "content_filter"
            events.append(Finish(reason, index, wire=Wire(NAME, choice.fields)))
        if not choices:
            events.append(Finish("content_filter", 0, wire=Wire(NAME, form="no-candidate")))
        counted = self._turns.finish()
        if counted is not None:
            events.append(UsageUpdate(counted))
        events.append(ReplyEnd(Wire(NAME, self._fields)))
        return events

    def _chunk(self, body: JSONObject, events: list[Event]) -> None:
        if self._over:
            return
        error = body.get("error")
        if error is not None:
            self._over = True
            events.append(StreamError(decode_error_body(None, body)))
            return
        if not self._started:
            self._start(body, events)
        candidates = body.get("candidates")
        if candidates is not None:
            for position, candidate in enumerate(as_list(candidates, "candidates")):
                self._candidate(as_object(candidate, "candidates"), position, events)
        usage = body.get("usageMetadata")
        if usage is not None and usage != self._usage:
            self._usage = usage
            events.append(UsageUpdate(decode_usage(as_object(usage, "usageMetadata"))))
            self._turns.feed(as_object(usage, "usageMetadata"))
        if not _CHUNK.issuperset(body):
            self._blocked = self._blocked or blocked(body)
            self._fields.update({key: value for key, value in body.items() if key not in _CHUNK})

    def _start(self, body: JSONObject, events: list[Event]) -> None:
        self._started = True
        answer, model = get_str(body, "responseId") or "", get_str(body, "modelVersion") or ""
        created = body.get("createTime")
        self._calls = Calls(call_prefix(answer))
        wire = Wire(NAME, {} if created is None else {"createTime": created})
        events.append(ReplyStart(answer, model, unix_seconds(created), wire))

    def _candidate(self, candidate: JSONObject, position: int, events: list[Event]) -> None:
        index = candidate.get("index")
        index = position if index is None else as_int(index, "candidates.index")
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = _Choice()
        content = candidate.get("content")
        parts = None if content is None else as_object(content, "candidates.content").get("parts")
        # What comes after the end is no part of the answer; metadata and token counts may.
        if parts is not None and not choice.ended:
            for part in as_list(parts, "candidates.content.parts"):
                if type(part) is dict and len(part) == 1 and type(text := part.get("text")) is str:
                    if text:
                        if choice.kind != _TEXT:
                            self._open(_TEXT, TextPart(""), choice, index, events)
                        events.append(TextDelta(text, choice.block, index))
                else:
                    self._part(as_object(part, "candidates.content.parts"), choice, index, events)
        if not _CANDIDATE.issuperset(candidate):
            _metadata(candidate, choice)
        if choice.reason is None:
            choice.open = True

    def _part(self, part: JSONObject, choice: _Choice, index: int, events: list[Event]) -> None:
        call = part.get("functionCall")
        text = part.get("text")
        thought = part.get("thought") is True
        if call is not None:
            self._call(part, as_object(call, "functionCall"), choice, index, events)
        elif type(text) is str or (thought and text is None and part.keys() <= {"thought", "thoughtSignature"}):
            state = {key: value for key, value in part.items() if key != "text" and not (key == "thought" and thought)}
            self._text(text or "", state, choice, index, events, part=part, thought=thought)
        else:
            self._whole(decode_part(part, "candidates.content.parts", self._calls), choice, index, events)

    def _text(
        self,
        text: JSON,
        state: JSONObject,
        choice: _Choice,
        index: int,
        events: list[Event],
        *,
        part: JSONObject,
        thought: bool,
    ) -> None:
        kind = _THOUGHT if thought else _TEXT
        if not text and choice.kind != kind:
            if state:
                self._whole(decode_part(part, "candidates.content.parts", self._calls), choice, index, events)
            return
        if choice.kind != kind:
            opened = ReasoningPart(wire=Wire(NAME, form="thought")) if thought else TextPart("")
            self._open(kind, opened, choice, index, events)
        if text and type(text) is str:
            event = ReasoningDelta if thought else TextDelta
            events.append(event(text, choice.block, index))
        choice.state.update(state)
        if "thoughtSignature" in state:
            # A part with a signature must not be merged with one that has none.
            self._close(choice, index, events)

    def _call(self, part: JSONObject, call: JSONObject, choice: _Choice, index: int, events: list[Event]) -> None:
        pieces, more = call.get("partialArgs"), call.get("willContinue") is True
        if choice.kind != _CALL or call.get("name") is not None:
            if not call:
                return  # closes a call that is closed
            if pieces is None and not more:
                self._whole(decode_part(part, "candidates.content.parts", self._calls), choice, index, events)
                return
            self._begin(part, call, choice, index, events)
        else:
            choice.state.update({key: value for key, value in part.items() if key != "functionCall"})
        if pieces is not None:
            choice.arguments.add(pieces, "functionCall.partialArgs")
        if not more:
            self._close(choice, index, events)

    def _begin(self, part: JSONObject, call: JSONObject, choice: _Choice, index: int, events: list[Event]) -> None:
        known = {key: value for key, value in call.items() if key not in ("partialArgs", "willContinue", "args")}
        opened = decode_part({**part, "functionCall": known}, "candidates.content.parts", self._calls)
        self._open(_CALL, opened, choice, index, events)
        start = call.get("args")
        choice.arguments = PartialArguments(None if start is None else as_object(start, "functionCall.args"))
        choice.called = True

    def _whole(self, part: Part, choice: _Choice, index: int, events: list[Event]) -> None:
        """A part that comes at once is a block of its own."""
        arguments = ""
        if isinstance(part, ToolCallPart):
            choice.called = True
            arguments = part.arguments
            part = replace(part, arguments="")
        self._open(_NONE, part, choice, index, events)
        if arguments:
            events.append(ArgumentsDelta(arguments, choice.block, index))
        events.append(BlockEnd(choice.block, index))

    def _open(self, kind: int, part: Part, choice: _Choice, index: int, events: list[Event]) -> None:
        self._close(choice, index, events)
        choice.kind = kind
        choice.block = choice.next
        choice.next += 1
        events.append(BlockStart(choice.block, part, index))

    def _close(self, choice: _Choice, index: int, events: list[Event]) -> None:
        if choice.kind == _NONE:
            return
        if choice.kind == _CALL:
            arguments = choice.arguments.value
            if arguments is not None:
                events.append(ArgumentsDelta(json_text(arguments), choice.block, index))
        state, choice.state = choice.state, {}
        choice.kind = _NONE
        events.append(BlockEnd(choice.block, index, Wire(NAME, state) if state else None))


def _several(data: str, error: Exception) -> JSON:
    """The chunks of an event with one on each line: proxies lose the blank lines between them."""
    try:
        return [json.loads(line) for line in data.split("\n") if line.strip()]
    except (ValueError, RecursionError):
        raise MalformedBody("data", "valid JSON") from error


def _metadata(candidate: JSONObject, choice: _Choice) -> None:
    for key, value in candidate.items():
        if key in _CANDIDATE:
            continue
        if key == "finishReason":
            choice.reason = value if value is not None else choice.reason
        present = choice.fields.get(key)
        if key == "logprobsResult" and type(value) is dict:
            choice.fields[key] = _joined(present, value)
        elif value or not present:
            choice.fields[key] = value


def _joined(before: JSON, after: JSONObject) -> JSON:
    """Log probabilities of one chunk after those of the chunks before."""
    if type(before) is not dict:
        return after
    joined = {**before, **after}
    for key, value in after.items():
        present = before.get(key)
        if type(value) is list and type(present) is list:
            joined[key] = [*present, *value]
    return joined
