"""The content blocks of one streamed choice: which are open, and the tool calls that wait for their name or id."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from aistrale.dialects._chat_messages import Calls
from aistrale.dialects._chat_parts import decode_part
from aistrale.dialects._chat_wire import ANSWER, REASONING_FIELDS, note
from aistrale.dialects.shape import MalformedBody, as_object, as_str, dump_json
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    MediaPart,
    ReasoningDelta,
    ReasoningPart,
    RefusalPart,
    TextDelta,
    TextPart,
    ToolCallPart,
)

if TYPE_CHECKING:
    from aistrale.types import JSON, Event, JSONObject, Part

_CALL: Final = frozenset({"index", "id", "type", "function", "custom"})
_BOTH: Final = "reasoning reasoning_content"
_AUDIO: Final = frozenset({"id", "data", "transcript"})


class _Call:
    """One tool call as far as it has come."""

    __slots__ = ("block", "custom", "fields", "id", "legacy", "name", "pieces")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.pieces: list[str] = []
        self.block = -1
        self.custom = False
        self.legacy = False
        self.fields: JSONObject = {}

    def take_name(self, name: str) -> None:
        """Servers send the name once, in fragments, or again and again; after the start it is fixed."""
        if self.block >= 0 or name == self.name:
            return
        self.name = name if name.startswith(self.name) else self.name + name


class ChoiceBlocks:
    """Turns the deltas of one choice into blocks.

    One text, refusal or thought is open at a time; another kind of content closes it. Tool calls stay open until the
    choice is complete, because servers interleave them, and begin once id, name and a first piece are known.

    Args:
        index: The choice.
    """

    __slots__ = (
        "_audio",
        "_by_index",
        "_calls",
        "_ids",
        "_message",
        "_next",
        "_sound",
        "block",
        "fields",
        "finished",
        "index",
        "kind",
        "logprobs",
    )

    def __init__(self, index: int) -> None:
        self.index = index
        self.kind = ""
        self.block = -1
        self.finished = False
        self.fields: JSONObject = {}
        self.logprobs: JSONObject = {}
        self._next = 0
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._ids = Calls()
        self._message: JSONObject = {}
        self._audio: JSONObject = {}
        self._sound: list[str] = []

    @property
    def called(self) -> bool:
        """Whether the choice calls a tool."""
        return any(call.block >= 0 for call in self._calls)

    def add(self, name: str, value: JSON, delta: JSONObject, events: list[Event]) -> None:
        """One member of a delta that is neither null nor an empty string."""
        if name == "content":
            self._content(value, events)
        elif name in REASONING_FIELDS:
            self._reasoning(name, value, delta, events)
        elif name == "refusal":
            self._text("refusal", as_str(value, self._path("refusal")), events)
        elif name == "tool_calls":
            self._tool_calls(value, events)
        elif name == "function_call":
            self._function_call(as_object(value, self._path("function_call")), events)
        elif name == "audio":
            self._take_audio(as_object(value, self._path("audio")), events)
        elif name != "role":
            self._take_other(name, value)

    def add_logprobs(self, value: JSON) -> None:
        """Token probabilities; they go with the next text."""
        for name, tokens in as_object(value, f"choices[{self.index}].logprobs").items():
            known = self.logprobs.get(name)
            if type(tokens) is list and type(known) is list:
                self.logprobs[name] = [*known, *tokens]
            elif tokens is not None or name not in self.logprobs:
                self.logprobs[name] = tokens

    def close(self, events: list[Event]) -> None:
        """The choice is complete: close what is open."""
        self._end_open(events)
        if self._audio or self._sound:
            self._open("", self._heard(), events)
            self._end_open(events)
        for call in self._calls:
            self._begin(call, events)
        for call in sorted(self._calls, key=lambda call: call.block):
            if call.block >= 0:
                if call.custom:
                    events.append(ArgumentsDelta('"}', call.block, self.index))
                events.append(BlockEnd(call.block, self.index))
        if self.logprobs:
            self.fields["logprobs"] = self.logprobs
        if self._message:
            self.fields["delta"] = self._message
        self.finished = True

    # --- texts ---------------------------------------------------------------------------------------------------

    def _path(self, name: str) -> str:
        return f"choices[{self.index}].delta.{name}"

    def _open(self, kind: str, part: Part, events: list[Event]) -> None:
        self._end_open(events)
        self.kind, self.block = kind, self._next
        self._next += 1
        events.append(BlockStart(self.block, part, self.index))

    def _end_open(self, events: list[Event]) -> None:
        if self.block >= 0:
            events.append(BlockEnd(self.block, self.index))
        self.kind, self.block = "", -1

    def _text(self, kind: str, text: str, events: list[Event]) -> None:
        if self.kind != kind:
            part: Part
            if kind == "refusal":
                part = RefusalPart("")
            else:
                part = TextPart("", wire=note({}, ["transcript"]) if kind == "transcript" else None)
            self._open(kind, part, events)
        wire = None
        if self.logprobs and kind != "transcript":
            wire = note({"logprobs": self.logprobs})
            self.logprobs = {}
        events.append(TextDelta(text, self.block, self.index, wire))

    def _content(self, value: JSON, events: list[Event]) -> None:
        if type(value) is str:
            self._text("content", value, events)
        elif type(value) is list:
            for index, item in enumerate(value):
                part = decode_part(item, f"{self._path('content')}[{index}]")
                if isinstance(part, TextPart):
                    self._text("content", part.text, events)
                else:
                    self._open("", part, events)
                    self._end_open(events)
        else:
            raise MalformedBody(self._path("content"), "a string")

    def _reasoning(self, name: str, value: JSON, delta: JSONObject, events: list[Event]) -> None:
        if type(value) is not str:
            self._take_other(name, value)
            return
        other = REASONING_FIELDS[name == REASONING_FIELDS[0]]
        kind = name
        if delta.get(other) == value:
            if name == REASONING_FIELDS[1]:
                # Told under both names; the other one was read.
                return
            kind = _BOTH
        if self.kind != kind:
            part = ReasoningPart("", wire=note({}, [ANSWER, *kind.split(" ")]))
            self._open(kind, part, events)
        events.append(ReasoningDelta(value, self.block, self.index))

    def _take_other(self, name: str, value: JSON) -> None:
        """Members that the hub has no event for (annotations, tool runs) are gathered until the end."""
        known = self._message.get(name)
        if type(known) is list and type(value) is list:
            self._message[name] = [*known, *value]
        elif type(known) is dict and type(value) is dict:
            self._message[name] = {**known, **value}
        else:
            self._message[name] = value

    # --- sound ---------------------------------------------------------------------------------------------------

    def _take_audio(self, audio: JSONObject, events: list[Event]) -> None:
        for name, value in audio.items():
            if name == "data" and value is not None:
                self._sound.append(as_str(value, self._path("audio.data")))
            elif name == "transcript" and value:
                self._text("transcript", as_str(value, self._path("audio.transcript")), events)
            elif value is not None and value != "":
                self._audio[name] = value

    def _heard(self) -> MediaPart:
        fields = {name: value for name, value in self._audio.items() if name not in _AUDIO}
        sound_id = self._audio.get("id")
        return MediaPart(
            "audio",
            data="".join(self._sound) or None,
            file_id=None if sound_id is None else as_str(sound_id, self._path("audio.id")),
            wire=note(fields, [ANSWER, "audio"]),
        )

    # --- tool calls ----------------------------------------------------------------------------------------------

    def _tool_calls(self, value: JSON, events: list[Event]) -> None:
        if type(value) is not list:
            raise MalformedBody(self._path("tool_calls"), "an array")
        for item in value:
            body = as_object(item, self._path("tool_calls"))
            custom = body.get("custom")
            inner = custom if type(custom) is dict else body.get("function")
            function = {} if inner is None else as_object(inner, self._path("tool_calls.function"))
            name = function.get("name")
            name = "" if name is None else as_str(name, self._path("tool_calls.function.name"))
            call = self._find(body, name)
            call.custom = call.custom or function is custom
            self._extend(call, function, events)

    def _find(self, body: JSONObject, name: str) -> _Call:
        """The call that a delta continues, or a new one."""
        given = body.get("id")
        call_id = str(given) if type(given) is int else ""
        if given is not None and type(given) is not int:
            call_id = as_str(given, self._path("tool_calls.id"))
        position = body.get("index")
        call: _Call | None
        if type(position) is int:
            call = self._by_index.get(position)
            # Gemini's compatible endpoint numbers every parallel call 0.
            if call is not None and call_id and call.id and call_id != call.id and name:
                call = None
        elif call_id:
            call = next((known for known in self._calls if known.id == call_id), None)
        else:
            call = self._calls[-1] if self._calls else None
            if call is not None and name and call.name and (call.pieces or call.block >= 0):
                call = None
        if call is None:
            call = _Call()
            self._calls.append(call)
        if type(position) is int:
            self._by_index[position] = call
        call.id = call.id or call_id
        if call_id:
            self._ids.names[call_id] = name
        call.take_name(name)
        if not body.keys() <= _CALL:
            call.fields.update({key: value for key, value in body.items() if key not in _CALL and value is not None})
        return call

    def _function_call(self, body: JSONObject, events: list[Event]) -> None:
        call = next((known for known in self._calls if known.legacy), None)
        if call is None:
            call = _Call()
            call.legacy = True
            self._calls.append(call)
        if body.get("name") is not None:
            call.take_name(as_str(body["name"], self._path("function_call.name")))
        self._extend(call, body, events)

    def _extend(self, call: _Call, function: JSONObject, events: list[Event]) -> None:
        piece = function.get("input") if call.custom else function.get("arguments")
        if piece is None or piece == "":
            return
        if type(piece) in {dict, list}:
            piece = dump_json(piece)
        piece = as_str(piece, self._path("tool_calls.function.arguments"))
        if call.custom:
            piece = json.dumps(piece)[1:-1]
        if call.block >= 0:
            events.append(ArgumentsDelta(piece, call.block, self.index))
            return
        call.pieces.append(piece)
        if call.name and (call.id or call.legacy):
            for known in self._calls:
                if known is call or known.name:
                    self._begin(known, events)
                if known is call:
                    return

    def _begin(self, call: _Call, events: list[Event]) -> None:
        """Open the block of a call with all that has come of it."""
        if call.block >= 0:
            return
        if not call.name:
            if not call.id and not call.pieces:
                return
            raise MalformedBody(self._path("tool_calls.function.name"), "a name")
        words: list[str] = []
        if call.legacy:
            call.id = self._ids.mint_legacy(call.name)
            words.append("function_call")
        elif not call.id:
            call.id = self._ids.mint()
            self._ids.names[call.id] = call.name
            words.append("no_id")
        if call.custom:
            words.append("custom")
        if not call.pieces:
            words.append("blank")
        if call.fields:
            words.append(ANSWER)
        self._open("", ToolCallPart(call.id, call.name, wire=note(call.fields, words)), events)
        call.block, self.block = self.block, -1
        if call.custom:
            events.append(ArgumentsDelta('{"input":"', call.block, self.index))
        if call.pieces:
            events.append(ArgumentsDelta("".join(call.pieces), call.block, self.index))
