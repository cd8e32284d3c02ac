"""Writing messages of the OpenAI chat dialect: the history of a request, and the message of an answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from aistrale.dialects._chat_messages import (
    encode_audio,
    encode_call,
    encode_function,
    encode_reasoning,
)
from aistrale.dialects._chat_parts import drop_cache, encode_content, encode_part
from aistrale.dialects._chat_wire import ANSWER, NAME, Context, is_foreign, words_of
from aistrale.dialects.shape import kept
from aistrale.types import (
    MediaPart,
    ProviderPart,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

if TYPE_CHECKING:
    from aistrale.types import JSON, JSONObject, Message, Part, Wire

# State that a server puts into its answer and wants back with the history (Gemini's signatures behind its
# OpenAI-compatible endpoint, OpenRouter's reasoning blocks).
_STATE: Final = frozenset({"extra_content", "reasoning_details"})


def encode_messages(messages: list[Message], context: Context) -> list[JSON]:
    """The `messages` of a request.

    Raises:
        InvalidRequestError: Something in them cannot be said in this dialect.
    """
    written: list[JSONObject] = []
    waiting: list[JSONObject] = []
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if message.role == "tool":
            written += _tool(message, where, context, waiting)
            continue
        _flush(waiting, written)
        if message.role == "assistant":
            written.append(encode_assistant(message, where, context))
        else:
            written += _plain(message, where, context)
    _flush(waiting, written)
    return cast("list[JSON]", written)


def _flush(waiting: list[JSONObject], written: list[JSONObject]) -> None:
    """Media of tool results follow in a user message, once all results of the turn stand there."""
    if waiting:
        written.append({"role": "user", "content": cast("JSON", list(waiting))})
        waiting.clear()


def _plain(message: Message, where: str, context: Context) -> list[JSONObject]:
    words, fields = words_of(message.wire), kept(message.wire, NAME)
    results = [part for part in message.parts if isinstance(part, ToolResultPart)]
    after: list[JSONObject] = []
    before = [_result(part, {}, where, context, after) for part in results]
    rest = [(index, part) for index, part in enumerate(message.parts) if not isinstance(part, ToolResultPart)]
    parts = [
        written
        for index, part in rest
        if (written := encode_part(part, f"{where}.parts[{index}]", context)) is not None
    ]
    if results and not parts and not after:
        return before
    role: str = message.role
    if role == "user":
        role = next((word[5:] for word in words if word.startswith("role=")), role)
    elif role == "developer" and "developer" in context.profile.unsupported:
        role = "system"
    body: JSONObject = {**fields, "role": role, **encode_content(after + parts, words, fields, empty="")}
    if message.name is not None:
        body["name"] = message.name
    return [*before, body]


def _tool(message: Message, where: str, context: Context, waiting: list[JSONObject]) -> list[JSONObject]:
    fields = kept(message.wire, NAME)
    written: list[JSONObject] = []
    for index, part in enumerate(message.parts):
        spot = f"{where}.parts[{index}]"
        if isinstance(part, ToolResultPart):
            # What was noted about the message stands once, with its first result.
            named = {} if message.name is None else {"name": message.name}
            written.append(_result(part, {**({} if written else fields), **named}, spot, context, waiting))
        elif (other := encode_part(part, spot, context)) is not None:
            waiting.append(other)
    return written


def _result(
    part: ToolResultPart,
    fields: JSONObject,
    where: str,
    context: Context,
    waiting: list[JSONObject],
) -> JSONObject:
    words = words_of(part.wire)
    if part.is_error:
        context.loss.drop(f"{where}.is_error", "this format has no mark for a failed tool; the text has to say it")
    if part.cache is not None and not context.own:
        drop_cache(f"{where}.cache", context)
    content: list[JSONObject] = []
    for index, item in enumerate(part.content):
        spot = f"{where}.content[{index}]"
        written = encode_part(item, spot, context)
        if written is None:
            continue
        if isinstance(item, TextPart) or context.own:
            content.append(written)
            continue
        context.loss.emulate(spot, "tool results are text here; the media follow in a user message")
        if not any(entry.get("text") == _caption(part) for entry in waiting):
            waiting.append({"type": "text", "text": _caption(part)})
        waiting.append(written)
    body: JSONObject
    if "function" in words:
        body = {**fields, "role": "function", "name": part.name or ""}
    else:
        body = {**fields, "role": "tool"}
        if "no_id" not in words:
            body["tool_call_id"] = part.call_id
    return {**body, **encode_content(content, words, fields, empty="")}


def _caption(part: ToolResultPart) -> str:
    return f"From the result of the tool call {part.call_id}:"


@dataclass(slots=True)
class _Sorted:
    """The parts of an assistant message by the field they go to."""

    content: list[JSONObject] = field(default_factory=list)
    reasoning: list[ReasoningPart] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)
    transcripts: list[TextPart] = field(default_factory=list)
    audio: MediaPart | None = None
    calls: list[JSONObject] = field(default_factory=list)
    function_call: JSONObject | None = None


def encode_assistant(message: Message, where: str, context: Context) -> JSONObject:
    """An assistant message, in a request's history or as an answer.

    Raises:
        InvalidRequestError: Something in it cannot be said in this dialect (requests only).
    """
    words = words_of(message.wire)
    fields = _sendable(message.wire, words, context)
    found = _Sorted()
    for index, part in enumerate(message.parts):
        _sort(part, f"{where}.parts[{index}]", context, found, words)
    body: JSONObject = dict(fields)
    if "no_role" not in words or not context.answer:
        role = next((word[5:] for word in words if word.startswith("role=")), "assistant")
        body["role"] = role
    body.update(_content(found, words, fields, context))
    if found.refusal:
        body["refusal"] = "".join(found.refusal)
    elif context.answer and not words:
        body.setdefault("refusal", None)
    if message.name is not None:
        body["name"] = message.name
    body.update(encode_reasoning(found.reasoning, context.reasoning_field))
    if found.audio is not None or found.transcripts:
        body["audio"] = encode_audio(found.audio, found.transcripts)
    if found.calls or "no_calls" in words:
        body["tool_calls"] = cast("list[JSON]", found.calls)
    if found.function_call is not None:
        body["function_call"] = found.function_call
    return body


def _content(found: _Sorted, words: list[str], fields: JSONObject, context: Context) -> JSONObject:
    texts = [part.get("text") for part in found.content]
    if context.answer and "parts" not in words and len(texts) > 1 and all(type(text) is str for text in texts):
        # An answer's content is one string; its pieces are what lay between tool calls and thoughts.
        return {"content": "".join(cast("list[str]", texts))}
    nothing = None if context.answer or found.calls or found.function_call or found.refusal else ""
    return encode_content(found.content, words, fields, empty=nothing)


def _sendable(wire: Wire | None, words: list[str], context: Context) -> JSONObject:
    """What was noted and may be written: of an answer that becomes history, only the state that is wanted back."""
    fields = kept(wire, NAME)
    if context.answer or ANSWER not in words:
        return fields
    return {name: value for name, value in fields.items() if name in _STATE}


def _sort(part: Part, where: str, context: Context, found: _Sorted, words: list[str]) -> None:
    answered = not context.answer and (ANSWER in words or ANSWER in words_of(part.wire))
    if isinstance(part, ToolCallPart):
        _sort_call(part, where, context, found, answered=answered)
    elif isinstance(part, ReasoningPart):
        _sort_reasoning(part, where, context, found, answered=answered)
    elif isinstance(part, RefusalPart) and "part" not in words_of(part.wire):
        found.refusal.append(part.text)
    elif isinstance(part, TextPart) and "transcript" in words_of(part.wire):
        if not answered:
            found.transcripts.append(part)
    elif isinstance(part, MediaPart) and "audio" in words_of(part.wire):
        # In the history a spoken answer is named by its id; its sound and its words stay with the provider.
        found.audio = MediaPart("audio", file_id=part.file_id) if answered else part
    elif isinstance(part, ProviderPart) and "tool_call" in words_of(part.wire):
        found.calls.append(dict(part.data))
    elif _is_out_of_place(part, own=context.own or ANSWER in words):
        context.loss.drop(where, "content that an assistant message of the OpenAI chat format cannot hold")
    elif isinstance(part, ToolResultPart):
        context.loss.drop(where, "results of tools that the other provider ran itself cannot be said here")
    elif (written := encode_part(part, where, context)) is not None:
        found.content.append(written)


def _is_out_of_place(part: Part, *, own: bool) -> bool:
    """Whether these are media or hosted content that came from elsewhere than this dialect."""
    if isinstance(part, ProviderPart):
        return part.dialect != NAME
    return isinstance(part, MediaPart) and not own


def _sort_call(part: ToolCallPart, where: str, context: Context, found: _Sorted, *, answered: bool) -> None:
    if part.cache is not None and not context.own:
        drop_cache(f"{where}.cache", context)
    if "function_call" in words_of(part.wire):
        found.function_call = encode_function(part, kept(part.wire, NAME).get("function"))
        return
    fields = kept(part.wire, NAME)
    if answered:
        fields = {name: value for name, value in fields.items() if name in _STATE}
    found.calls.append(encode_call(part, fields))


def _sort_reasoning(part: ReasoningPart, where: str, context: Context, found: _Sorted, *, answered: bool) -> None:
    named = bool(words_of(part.wire))
    if answered and named:
        # Servers of this format strip earlier thoughts themselves, and OpenAI refuses the field.
        return
    if named or (context.reasoning_field and part.text):
        found.reasoning.append(part)
        return
    state = is_foreign(part.wire) and bool(part.wire and part.wire.fields)
    what = "thoughts and their signature" if state else "thoughts"
    context.loss.drop(where, f"{what} are no part of the OpenAI chat format")
