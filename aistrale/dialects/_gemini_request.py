"""Requests of Gemini's generateContent and streamGenerateContent, both ways.

Source: Gemini API reference, `models.generateContent`; Vertex AI takes the same body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aistrale.dialects._gemini_foreign import report_losses, write_service
from aistrale.dialects._gemini_names import (
    NAME,
    both,
    has,
    many,
    once,
    own,
    put,
    take,
    value_of,
    wired,
    words_of,
)
from aistrale.dialects._gemini_options import OptionWriter, decode_options
from aistrale.dialects._gemini_parts import Calls, decode_part, given_ids
from aistrale.dialects._gemini_tools import decode_choice, decode_tools, encode_choice, encode_tools
from aistrale.dialects._gemini_write import Writer
from aistrale.dialects.shape import as_object, as_str, kept, rest
from aistrale.types import Message, Part, Request, ToolCallPart, ToolResultPart, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aistrale.dialects.base import Loss, Profile
    from aistrale.types import JSON, JSONObject, Role

_MODELLED = both("contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "serviceTier") | {"model"}
_CONTENT = frozenset({"role", "parts"})
_ROLE_OF: dict[Role, str] = {"assistant": "model"}
# base64 of "skip_thought_signature_validator": Gemini 3 takes it where a call has no signature of its own.
SUBSTITUTE_SIGNATURE = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="


def decode_request(body: JSONObject, *, model: str | None = None, stream: bool | None = None) -> Request:
    """Read a caller's body.

    Args:
        body: The parsed body.
        model: From the URL; a `model` in the body counts only where this is None.
        stream: Whether the URL asks for a stream.

    Returns:
        The request; what the hub does not model is in its wires.

    Raises:
        MalformedBody: A field that is used has another type.
    """
    words: list[str] = []
    fields = rest(body, _MODELLED)
    named = body.get("model")
    if named is not None:
        name = as_str(named, "model")
        words.append("model=models/" if name.startswith("models/") else "model=")
        model = model if model is not None else name
    request = Request(model=(model or "").removeprefix("models/"), messages=[], stream=bool(stream), source=NAME)
    _read_system(body, request, words)
    _read_contents(body, request, words)
    _read_tools(body, request, fields, words)
    config = take(body, "generationConfig", words)
    if config is not None:
        leftovers = decode_options(as_object(config, "generationConfig"), request, words)
        if leftovers:
            fields["generationConfig"] = leftovers
        else:
            words.append("generationConfig")
    tier = take(body, "serviceTier", words)
    request.service_tier = None if tier is None else as_str(tier, "serviceTier")
    labels = fields.get("labels")
    if type(labels) is dict and all(type(value) is str for value in labels.values()):
        request.metadata = {key: str(value) for key, value in fields.pop("labels").items()}  # type: ignore[union-attr]
    if "cached_content" in fields:
        # In one spelling, so that the other formats see stored state that they cannot reach.
        fields["cachedContent"] = fields.pop("cached_content")
        words.append("cached_content")
    request.wire = wired(fields, words)
    return request


def _read_system(body: JSONObject, request: Request, words: list[str]) -> None:
    system = take(body, "systemInstruction", words)
    if system is None:
        return
    if type(system) is str:
        message = Message("system", [decode_part({"text": system}, "systemInstruction", Calls())])
        message.wire = Wire(NAME, form="string")
        request.messages.append(message)
        return
    content = as_object(system, "systemInstruction")
    fields = {key: value for key, value in content.items() if value is None or key != "parts"}
    parts, form = _read_parts(content, "systemInstruction", Calls())
    request.messages.append(Message("system", parts, wire=wired(fields, form)))


def _read_parts(content: JSONObject, field: str, calls: Calls) -> tuple[list[Part], list[str]]:
    value = content.get("parts")
    if value is None:
        return [], ["partless", "null-parts"] if "parts" in content else ["partless"]
    items, single = many(value, f"{field}.parts")
    parts = [decode_part(item, f"{field}.parts[{index}]", calls) for index, item in enumerate(items)]
    return parts, ["single"] if single else []


def _read_contents(body: JSONObject, request: Request, words: list[str]) -> None:
    value = body.get("contents")
    if value is None:
        words.append("contentless")
        return
    contents, single = many(value, "contents")
    if single:
        words.append("content")
    calls = Calls(taken=given_ids(contents))
    for index, item in enumerate(contents):
        request.messages.extend(decode_content(as_object(item, f"contents[{index}]"), f"contents[{index}]", calls))


def decode_content(content: JSONObject, field: str, calls: Calls) -> list[Message]:
    """Read a content as one message, or as several where it mixes tool results with something else.

    Args:
        content: The content.
        field: Its path, for errors.
        calls: Ids so far.
    """
    role = content.get("role")
    role = None if role is None else as_str(role, f"{field}.role")
    if role != "model":
        calls.user_spoke()
    parts, words = _read_parts(content, field, calls)
    base: Role = "user"
    if role == "model" or any(isinstance(part, ToolCallPart) for part in parts):
        base = "assistant"
    fields = rest(content, _CONTENT)
    messages: list[Message] = []
    for part in parts:
        wanted: Role = "tool" if isinstance(part, ToolResultPart) else base
        if not messages or messages[-1].role != wanted:
            messages.append(Message(wanted, wire=Wire(NAME, form=f"join={role or ''}")))
        messages[-1].parts.append(part)
    first = messages[0] if messages else Message(base)
    if role is None:
        words.append("roleless")
    elif role != _ROLE_OF.get(first.role, "user"):
        words.append("role")
        fields["role"] = role
    first.wire = Wire(NAME, fields, " ".join(words))
    return messages or [first]


def _read_tools(body: JSONObject, request: Request, fields: JSONObject, words: list[str]) -> None:
    tools = take(body, "tools", words)
    if tools is not None:
        request.tools, single = decode_tools(tools)
        if single:
            words.append("tool")
        if not any(tool.name for tool in request.tools):
            request.tools = []
            fields["tools"] = tools
    config = take(body, "toolConfig", words)
    if config is not None:
        request.tool_choice, leftovers = decode_choice(as_object(config, "toolConfig"))
        if leftovers:
            fields["toolConfig"] = leftovers
        elif request.tool_choice is None:
            words.append("toolConfig")


def encode_request(request: Request, profile: Profile, loss: Loss) -> JSONObject:
    """Write a provider's body.

    Args:
        request: In the hub's words; what was decoded from this dialect comes out as it came in.
        profile: What the target takes; not consulted for a caller that speaks this dialect itself, except that calls
            without a thought signature get the substitute where the target demands one.
        loss: Takes what cannot be said.

    Raises:
        InvalidRequestError: Something cannot be said at all.
    """
    native = request.source == NAME
    words = words_of(request.wire)
    body = kept(request.wire, NAME)
    if not native:
        report_losses(request, loss)
    writer = Writer(loss, profile, native=native)
    writer.know_calls(request.messages)
    if "cached_content" in words and "cachedContent" in body:
        body["cached_content"] = body.pop("cachedContent")
    prefix = value_of(words, "model")
    if prefix is not None:
        body["model"] = request.model if request.model.startswith(prefix) else f"{prefix}{request.model}"
    _write_system(body, request, writer, words)
    _write_contents(body, request, writer, words, signed=profile.thinking == "level")
    _write_tools(body, request, loss, words)
    config = _object(body, "generationConfig")
    OptionWriter(request, profile, loss, native=native, words=words).write(config)
    if config or "generationConfig" in words:
        put(body, "generationConfig", config, words)
    write_service(body, request, loss, words)
    return _merged(body, request.extra)


def _write_system(body: JSONObject, request: Request, writer: Writer, words: list[str]) -> None:
    system: JSONObject | None = None
    form: list[str] = []
    spoken = False
    for index, message in enumerate(request.messages):
        if message.role not in ("system", "developer"):
            spoken = True
            continue
        if spoken:
            writer.loss.emulate(f"messages[{index}]", "an instruction amid the conversation moved to its beginning")
        parts = writer.parts(message.parts, f"messages[{index}]")
        if system is None:
            system, form = {**kept(message.wire, NAME), "parts": parts}, words_of(message.wire)
            continue
        _append(system, parts)
    if system is None:
        return
    items = system["parts"]
    only = items[0] if type(items) is list and len(items) == 1 else None
    if "string" in form and type(only) is dict and only.keys() == {"text"}:
        put(body, "systemInstruction", only["text"], words)
        return
    _finish_parts(system, form)
    put(body, "systemInstruction", system, words)


def _append(content: JSONObject, parts: list[JSON]) -> None:
    present = content["parts"]
    content["parts"] = [*(present if type(present) is list else [present]), *parts]


def _finish_parts(content: JSONObject, form: list[str]) -> None:
    parts = content["parts"]
    if type(parts) is not list:
        return
    if not parts and "partless" in form:
        del content["parts"]
        if "null-parts" in form:
            content["parts"] = None
        return
    content["parts"] = once(parts, single="single" in form)


def _write_contents(body: JSONObject, request: Request, writer: Writer, words: list[str], *, signed: bool) -> None:
    contents: list[tuple[JSONObject, list[str]]] = []
    turn = 0
    previous: Message | None = None
    for index, message in _turns(request.messages, writer):
        parts = writer.parts(message.parts, f"messages[{index}]")
        if not parts and not own(message.wire):
            # An empty message from elsewhere is not written, so nothing can join it.
            continue
        if contents and previous is not None and _joins(message, previous, contents[-1][0]):
            _append(contents[-1][0], parts)
        else:
            contents.append(({**_role(message), "parts": parts}, words_of(message.wire)))
            if message.role == "user":
                turn = len(contents)
        previous = message
    for place, (content, form) in enumerate(contents):
        if signed and place >= turn:
            _sign(content)
        _finish_parts(content, form)
    if not contents and "contentless" in words:
        return
    items: list[JSON] = [content for content, _ in contents]
    put(body, "contents", once(items, single="content" in words), words)


def _turns(messages: list[Message], writer: Writer) -> Iterator[tuple[int, Message]]:
    """The messages of the conversation with their places; results from elsewhere as one, in the order of the calls.

    Without ids, Gemini tells two results of one tool apart by their order only.
    """
    results: list[Part] = []
    for index, message in enumerate(messages):
        if message.role == "tool" and not own(message.wire):
            results.extend(message.parts)
            following = messages[index + 1] if index + 1 < len(messages) else None
            if following is None or following.role != "tool" or own(following.wire):
                yield index, Message("tool", sorted(results, key=writer.order))
                results = []
        elif message.role not in ("system", "developer"):
            yield index, message


def _role(message: Message) -> JSONObject:
    fields = kept(message.wire, NAME)
    if "roleless" in words_of(message.wire) or fields.get("role") is not None:
        return fields
    return {**fields, "role": _ROLE_OF.get(message.role, "user")}


def _joins(message: Message, previous: Message, content: JSONObject) -> bool:
    """Whether a message goes into the content before it.

    A call must directly follow what the user or a tool said, so a turn of the model from elsewhere must not be split.
    """
    if own(message.wire):
        return value_of(words_of(message.wire), "join") == (content.get("role") or "")
    return message.role == previous.role == "assistant"


def _sign(content: JSONObject) -> None:
    parts = content["parts"]
    for part in parts if type(parts) is list else []:
        if type(part) is dict and has(part, "functionCall"):
            if not has(part, "thoughtSignature"):
                part["thought_signature" if "function_call" in part else "thoughtSignature"] = SUBSTITUTE_SIGNATURE
            return


def _write_tools(body: JSONObject, request: Request, loss: Loss, words: list[str]) -> None:
    if request.tools:
        put(body, "tools", once(encode_tools(request.tools, loss), single="tool" in words), words)
    config = _object(body, "toolConfig")
    if request.tool_choice is not None:
        config.update(encode_choice(request.tool_choice))
    if config or "toolConfig" in words:
        put(body, "toolConfig", config, words)


def _object(body: JSONObject, name: str) -> JSONObject:
    """Take what the hub does not model of an object out of the body, to be completed and put back."""
    return {**as_object(body.pop(name), name)} if type(body.get(name)) is dict else {}


def _merged(body: JSONObject, extra: JSONObject) -> JSONObject:
    """The body with the caller's own fields, which win; objects are merged: one setting must not hide others."""
    for key, value in extra.items():
        present = body.get(key)
        body[key] = _merged({**present}, value) if type(present) is dict and type(value) is dict else value
    return body
