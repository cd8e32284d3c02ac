"""Answers of the Anthropic Messages format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aistrale.dialects._anthropic_blocks import NAME, Out, decode_blocks, encode_parts, is_native, merge_kept
from aistrale.dialects._anthropic_usage import decode_usage, encode_usage
from aistrale.dialects.foreign import report_answer
from aistrale.dialects.shape import MalformedBody, as_int, as_list, form_of, get_object, get_str, kept, rest
from aistrale.types import (
    BlockEnd,
    BlockStart,
    Choice,
    Completion,
    Finish,
    Message,
    ReplyEnd,
    ReplyStart,
    ToolCallPart,
    UsageUpdate,
    Wire,
)

if TYPE_CHECKING:
    from aistrale.dialects.base import Loss
    from aistrale.types import Event, FinishReason, JSONObject

_MODELLED = frozenset({"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"})
# The same in every answer; where a server says something else, or null, that is kept.
_CONSTANT = {"type": "message", "role": "assistant"}
# Written for every caller; a native answer without one is noted in `Wire.form`, as "-type-usage".
_ALWAYS = ("type", "role", "stop_reason", "stop_sequence", "usage")
# What a stream reports together with the stop reason.
FINISH_FIELDS = ("stop_details", "container", "context_management", "input_transformations")

# May be null in an answer, although they should not.
_EMPTY = ("id", "model", "content", "usage")

_FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "compaction": "pause",
    "refusal": "content_filter",
}
_STOP = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "pause": "pause_turn",
    "content_filter": "refusal",
    "error": "end_turn",
    "unknown": "end_turn",
}


def decode_stop(reason: str | None) -> FinishReason:
    """The hub's word for a `stop_reason`."""
    return _FINISH.get(reason, "unknown") if reason is not None else "unknown"


def finish_word(reason: str | None) -> str:
    """How a `stop_reason` is remembered: as it is, "null", or after "=" where it would be taken for something else."""
    if reason is None:
        return "null"
    return f"={reason}" if reason in ("", "null") else reason


def encode_stop(finish: FinishReason, word: str, *, stop_sequence: str | None, calls: bool) -> str | None:
    """The `stop_reason` for a finish.

    Args:
        finish: The hub's word.
        word: The word that this dialect had used, "" for none.
        stop_sequence: The sequence that stopped the model.
        calls: Whether the answer holds tool calls: callers run them exactly if the reason is `tool_use`.
    """
    if finish == "unknown" and (word == "null" or word.startswith("=")):
        return None if word == "null" else word[1:]
    if word and decode_stop(word) == finish:
        return word
    if finish in ("stop", "tool_calls", "unknown"):
        if calls:
            return "tool_use"
        return "stop_sequence" if stop_sequence is not None else "end_turn"
    return _STOP[finish]


def decode_response(body: JSONObject) -> Completion:
    """Read a Message object.

    Raises:
        MalformedBody: A field has the wrong shape.
    """
    if "content" not in body and "stop_reason" not in body:
        raise MalformedBody("content", "an array of content blocks")
    content = body.get("content")
    parts = [] if content is None else decode_blocks(as_list(content, "content"), "content")
    fields = rest(body, _MODELLED)
    reason = get_str(body, "stop_reason")
    finish_fields = {key: fields.pop(key) for key in FINISH_FIELDS if key in fields}
    # Nulls of modelled fields are written again without being kept.
    for key in ("stop_reason", "stop_sequence"):
        fields.pop(key, None)
    fields.update({key: body[key] for key, usual in _CONSTANT.items() if key in body and body[key] != usual})
    usage = get_object(body, "usage")
    choice = Choice(
        Message("assistant", parts),
        decode_stop(reason),
        stop_sequence=get_str(body, "stop_sequence"),
        wire=Wire(NAME, finish_fields, finish_word(reason)),
    )
    return Completion(
        id=get_str(body, "id") or "",
        model=get_str(body, "model") or "",
        choices=[choice],
        usage=None if usage is None else decode_usage(usage),
        source=NAME,
        wire=Wire(NAME, fields, "".join(f"-{key}" for key in (*_ALWAYS, "id", "model", "content") if key not in body)),
        raw=body,
    )


def encode_response(completion: Completion, loss: Loss) -> JSONObject:
    """Write a Message object, as the official SDK expects one; of several choices the first."""
    native = is_native(completion.wire)
    absent = form_of(completion.wire, NAME).split("-")
    if len(completion.choices) > 1:
        loss.drop("choices", "this format carries one answer; the others are left out")
    choice = completion.choices[0] if completion.choices else Choice(Message("assistant"))
    content = encode_parts(choice.message.parts, "choices[0].message.parts", Out(loss, native=native, answer=True))
    body: JSONObject = {
        "id": completion.id,
        "type": "message",
        "role": "assistant",
        "model": completion.model,
        "content": [*content],
        "stop_reason": stop_reason(choice, loss),
        "stop_sequence": choice.stop_sequence,
        "usage": encode_usage(completion.usage, None if native else loss),
    }
    for key in absent:
        if key in ("type", "role") or body.get(key) in ("", None, []) or (key == "usage" and completion.usage is None):
            body.pop(key, None)
    noted = kept(completion.wire, NAME)
    body.update({key: noted[key] for key in _CONSTANT if key in noted})
    body.update({key: None for key in _EMPTY if key in noted and _is_empty(key, completion)})
    merge_kept(body, noted)
    merge_kept(body, kept(choice.wire, NAME))
    report_answer(completion, NAME, loss)
    return body


def _is_empty(key: str, completion: Completion) -> bool:
    """Whether the hub has nothing for a field that was null."""
    parts = completion.choices[0].message.parts if completion.choices else []
    return not {"id": completion.id, "model": completion.model, "content": parts, "usage": completion.usage}[key]


def stop_reason(choice: Choice, loss: Loss) -> str | None:
    """The `stop_reason` of a whole answer."""
    calls = any(isinstance(part, ToolCallPart) for part in choice.message.parts)
    word = form_of(choice.wire, NAME)
    record_stop(choice.finish_reason, word, loss, calls=calls)
    return encode_stop(choice.finish_reason, word, stop_sequence=choice.stop_sequence, calls=calls)


def record_stop(finish: FinishReason, word: str, loss: Loss, *, calls: bool) -> None:
    """Record an end that this format has no word for."""
    if finish == "stop" and calls and decode_stop(word) != finish:
        loss.emulate("choices[0].finish_reason", "an answer with tool calls ends with 'tool_use' here")
    if finish == "error" or (finish == "unknown" and not word):
        loss.emulate("choices[0].finish_reason", f"{finish!r} becomes an ordinary end: this format has no word for it")


def unfold(completion: Completion) -> list[Event]:
    """A whole answer as the events of a stream."""
    events: list[Event] = [ReplyStart(completion.id, completion.model, completion.created, completion.wire)]
    if completion.usage is not None:
        events.append(UsageUpdate(completion.usage))
    for choice in completion.choices:
        for number, part in enumerate(choice.message.parts):
            events.append(BlockStart(number, part, choice.index))
            events.append(BlockEnd(number, choice.index))
        events.append(Finish(choice.finish_reason, choice.index, choice.stop_sequence, choice.wire))
    events.append(ReplyEnd())
    return events


def decode_token_count(body: JSONObject) -> int:
    """The number of input tokens that `/v1/messages/count_tokens` answers. Raises MalformedBody."""
    return as_int(body.get("input_tokens"), "input_tokens")
