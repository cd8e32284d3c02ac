"""Messages and tool calls of the OpenAI chat dialect, as they stand in requests and in answers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from aistrale.dialects._chat_parts import decode_content, read_list
from aistrale.dialects._chat_wire import ANSWER, NAME, REASONING_FIELDS, note, words_of
from aistrale.dialects.shape import MalformedBody, as_object, as_str, dump_json, kept, rest
from aistrale.types import (
    MediaPart,
    Message,
    ProviderPart,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

if TYPE_CHECKING:
    from aistrale.types import JSON, JSONObject, Part, Role

_ROLES: Final[dict[str, Role]] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_MODELLED: Final = frozenset({"role", "content", "name"})


@dataclass(slots=True)
class Calls:
    """The tool calls met so far: their names by id, and the newest legacy call by name."""

    names: dict[str, str] = field(default_factory=dict)
    legacy: dict[str, str] = field(default_factory=dict)
    minted: int = 0

    def mint(self) -> str:
        """An id for a call that came without one, by position."""
        self.minted += 1
        while (call_id := f"call_{self.minted}") in self.names:
            self.minted += 1
        return call_id

    def mint_legacy(self, name: str) -> str:
        """An id for a legacy call: made of its name, which is all that its result has to refer to it."""
        call_id, count = f"call_{name}", 1
        while call_id in self.names:
            count += 1
            call_id = f"call_{name}_{count}"
        self.legacy[name] = call_id
        self.names[call_id] = name
        return call_id


# --- reading ---------------------------------------------------------------------------------------------------------


def decode_messages(values: list[JSON], path: str = "messages") -> list[Message]:
    """The messages of a request. Raises MalformedBody."""
    calls = Calls()
    return [decode_message(value, f"{path}[{index}]", calls) for index, value in enumerate(values)]


def decode_message(value: JSON, path: str, calls: Calls, *, answer: bool = False) -> Message:
    """One message.

    Args:
        value: The message.
        path: Where it stands.
        calls: Remembers tool calls, so that results get their tool's name.
        answer: It is an answer: the role goes without saying.
    """
    body = as_object(value, path)
    words: list[str] = [ANSWER] if answer else []
    if body.get("role") is None and answer:
        role = "assistant"
        words.append("no_role")
    else:
        role = as_str(body.get("role"), f"{path}.role")
    known = "assistant" if answer else _ROLES.get(role, "user")
    if role not in {known, "function"}:
        words.append(f"role={role}")
    if known == "assistant":
        return _assistant(body, path, words, calls)
    if known == "tool":
        return _tool(body, path, words, calls)
    parts = decode_content(body, path, words)
    return Message(known, parts, _name(body, path), note(rest(body, _MODELLED), words))


def _name(body: JSONObject, path: str) -> str | None:
    return None if body.get("name") is None else as_str(body["name"], f"{path}.name")


def _assistant(body: JSONObject, path: str, words: list[str], calls: Calls) -> Message:
    modelled = set(_MODELLED)
    answer = words[:1] if words[:1] == [ANSWER] else []
    parts: list[Part] = _reasoning(body, modelled, answer)
    parts += decode_content(body, path, words)
    refusal = body.get("refusal")
    if type(refusal) is str and refusal:
        modelled.add("refusal")
        parts.append(RefusalPart(refusal))
    elif refusal is not None:
        as_str(refusal, f"{path}.refusal")
    if type(body.get("audio")) is dict:
        modelled.add("audio")
        parts += _audio(cast("JSONObject", body["audio"]), f"{path}.audio")
    parts += _tool_calls(body, path, words, modelled, calls)
    fields = rest(body, modelled)
    return Message("assistant", parts, _name(body, path), note(fields, words))


def _reasoning(body: JSONObject, modelled: set[str], answer: list[str]) -> list[Part]:
    parts: list[Part] = []
    for name in REASONING_FIELDS:
        text = body.get(name)
        if type(text) is not str or not text:
            continue
        modelled.add(name)
        if parts and cast("ReasoningPart", parts[0]).text == text:
            # Servers between two generations of the format send the same thought under both names.
            parts = [ReasoningPart(text, wire=note({}, [*answer, *REASONING_FIELDS]))]
        else:
            parts.append(ReasoningPart(text, wire=note({}, [*answer, name])))
    return parts


def _audio(audio: JSONObject, path: str) -> list[Part]:
    values = {
        key: as_str(audio[key], f"{path}.{key}") for key in ("id", "data", "transcript") if audio.get(key) is not None
    }
    words = ["audio", *(["empty_transcript"] if values.get("transcript") == "" else [])]
    wire = note(rest(audio, {"id", "data", "transcript"}), words)
    parts: list[Part] = [MediaPart("audio", data=values.get("data"), file_id=values.get("id"), wire=wire)]
    if values.get("transcript"):
        parts.append(TextPart(values["transcript"], wire=note({}, ["transcript"])))
    return parts


def _tool_calls(body: JSONObject, path: str, words: list[str], modelled: set[str], calls: Calls) -> list[Part]:
    parts: list[Part] = []
    if body.get("tool_calls") is not None:
        modelled.add("tool_calls")
        items = read_list(body["tool_calls"], f"{path}.tool_calls")
        if not items:
            words.append("no_calls")
        parts = [decode_call(item, f"{path}.tool_calls[{index}]", calls) for index, item in enumerate(items)]
    legacy = body.get("function_call")
    if legacy is not None:
        modelled.add("function_call")
        call = as_object(legacy, f"{path}.function_call")
        part = _function(call, f"{path}.function_call", "", ["function_call"], {})
        part.id = calls.mint_legacy(part.name)
        parts.append(part)
    return parts


def decode_call(value: JSON, path: str, calls: Calls) -> ToolCallPart | ProviderPart:
    """One entry of `tool_calls`; a kind that this module does not know is kept whole."""
    body = as_object(value, path)
    usual = body.get("type") == ("function" if type(body.get("function")) is dict else "custom")
    words: list[str] = [] if usual else ["no_type"]
    given = body.get("id")
    if type(given) is str and given:
        call_id, modelled = given, {"id", "type"} if usual else {"id"}
    else:
        call_id, modelled = calls.mint(), {"type"} if usual else set()
        words.append("no_id")
    part: ToolCallPart
    if type(body.get("function")) is dict:
        fields = rest(body, modelled | {"function"})
        part = _function(cast("JSONObject", body["function"]), f"{path}.function", call_id, words, fields)
    elif type(body.get("custom")) is dict:
        custom = cast("JSONObject", body["custom"])
        fields = rest(body, modelled | {"custom"})
        if inner := rest(custom, {"name", "input"}):
            fields["custom"] = inner
        text = as_str(custom.get("input"), f"{path}.custom.input")
        name = as_str(custom.get("name"), f"{path}.custom.name")
        part = ToolCallPart(call_id, name, dump_json({"input": text}), wire=note(fields, ["custom", *words]))
    elif body.get("type") in ("function", "custom", None):
        raise MalformedBody(f"{path}.function", "an object")
    else:
        return ProviderPart(NAME, body, wire=note({}, ["tool_call"]))
    calls.names[part.id] = part.name
    return part


def _function(body: JSONObject, path: str, call_id: str, words: list[str], fields: JSONObject) -> ToolCallPart:
    name = as_str(body.get("name"), f"{path}.name")
    given = body.get("arguments")
    if given is None:
        arguments = ""
        words.append("no_arguments")
    elif type(given) is str:
        arguments = given
        words.extend([] if given else ["blank"])
    elif type(given) in {dict, list}:
        arguments = dump_json(given)
        words.append("parsed")
    else:
        raise MalformedBody(f"{path}.arguments", "JSON text")
    if inner := rest(body, {"name", "arguments"}):
        fields["function"] = inner
    return ToolCallPart(call_id, name, arguments, wire=note(fields, words))


def _tool(body: JSONObject, path: str, words: list[str], calls: Calls) -> Message:
    content: list[str] = []
    parts = decode_content(body, path, content)
    if body.get("role") == "function":
        name = as_str(body.get("name"), f"{path}.name")
        call_id = calls.legacy.get(name, f"call_{name}")
        result = ToolResultPart(call_id, parts, name=name, wire=note({}, ["function", *content]))
        return Message("tool", [result], wire=note(rest(body, _MODELLED), words))
    given = body.get("tool_call_id")
    if given is None:
        call_id = ""
        content.append("no_id")
    else:
        call_id = as_str(given, f"{path}.tool_call_id")
    name_ = _name(body, path)
    result = ToolResultPart(call_id, parts, name=calls.names.get(call_id, name_), wire=note({}, content))
    fields = rest(body, _MODELLED | {"tool_call_id"})
    return Message("tool", [result], name_, note(fields, words))


# --- writing ---------------------------------------------------------------------------------------------------------


def encode_call(part: ToolCallPart, fields: JSONObject) -> JSONObject:
    """One entry of `tool_calls`.

    Args:
        part: The call.
        fields: What was noted about it and may be written here.
    """
    words = words_of(part.wire)
    body = dict(fields)
    if "no_id" not in words:
        body["id"] = part.id
    if "no_type" not in words:
        body["type"] = "custom" if "custom" in words else "function"
    if "custom" in words:
        custom = body.get("custom")
        inner = dict(custom) if type(custom) is dict else {}
        body["custom"] = {**inner, "name": part.name, "input": custom_input(part.arguments)}
    else:
        body["function"] = encode_function(part, body.get("function"))
    return body


def encode_function(part: ToolCallPart, noted: JSON = None) -> JSONObject:
    """Name and arguments of a call, as in `function` and in the legacy `function_call`."""
    words = words_of(part.wire)
    body: JSONObject = {**(noted if type(noted) is dict else {}), "name": part.name}
    if part.arguments or "no_arguments" not in words:
        body["arguments"] = _arguments(part, words)
    return body


def _arguments(part: ToolCallPart, words: list[str]) -> JSON:
    if "parsed" in words:
        try:
            return cast("JSON", json.loads(part.arguments))
        except (ValueError, RecursionError):
            return part.arguments
    # Callers and servers parse the text: a call without arguments from elsewhere is said as an empty object.
    return part.arguments or ("" if "blank" in words else "{}")


def custom_input(arguments: str) -> str:
    """The free text of a custom tool's call, which the hub holds as JSON with the one member `input`."""
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
    if type(value) is dict and value.keys() == {"input"} and type(value["input"]) is str:
        return value["input"]
    return arguments


def encode_reasoning(parts: list[ReasoningPart], fallback: str | None) -> JSONObject:
    """Thoughts under the names they came with; those from elsewhere under `fallback`."""
    fields: dict[str, str] = {}
    for part in parts:
        names = [name for name in words_of(part.wire) if name in REASONING_FIELDS]
        for name in names or ([fallback] if fallback else []):
            fields[name] = fields.get(name, "") + part.text
    return dict(fields)


def encode_audio(media: MediaPart | None, transcripts: list[TextPart]) -> JSONObject:
    """The `audio` object of an assistant message."""
    wire = media.wire if media is not None else None
    body = kept(wire, NAME)
    if media is not None:
        if media.file_id is not None:
            body["id"] = media.file_id
        if media.data is not None:
            body["data"] = media.data
    if transcripts:
        body["transcript"] = "".join(part.text for part in transcripts)
    elif "empty_transcript" in words_of(wire):
        body["transcript"] = ""
    return body
