"""Answers of the OpenAI chat dialect that are not streamed, both directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from aistrale.dialects._chat_caller import standard_for
from aistrale.dialects._chat_history import encode_assistant
from aistrale.dialects._chat_messages import Calls, decode_message
from aistrale.dialects._chat_usage import decode_usage, encode_usage
from aistrale.dialects._chat_wire import NAME, Context, note, words_of
from aistrale.dialects.base import ANY
from aistrale.dialects.foreign import report_answer
from aistrale.dialects.shape import as_int, as_list, as_object, as_str, get_object, get_str, kept, rest
from aistrale.types import Choice, Completion, Message, TextPart

if TYPE_CHECKING:
    from aistrale.dialects.base import Loss
    from aistrale.types import JSON, FinishReason, JSONObject, Request

_REASONS: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "error": "error",
    # Text Generation Inference, llama.cpp and others.
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
}
_WORDS: Final[dict[FinishReason, str]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}
_MODELLED: Final = frozenset({"id", "model", "created", "choices", "usage"})
_CHOICE: Final = frozenset({"index", "message", "finish_reason"})


def read_finish(word: str, *, calls: bool) -> FinishReason:
    """The hub's word for a finish reason; some servers say "stop" although tools are called."""
    reason = _REASONS.get(word, "unknown")
    return "tool_calls" if reason == "stop" and calls else reason


def write_finish(reason: FinishReason, said: str | None, *, calls: bool, where: str, loss: Loss) -> str:
    """This dialect's word for a finish reason.

    Args:
        reason: The hub's word.
        said: The word that the source used, kept while it still means the same.
        calls: Whether the message calls tools.
        where: The field, for the record.
        loss: Takes what cannot be said.
    """
    if said is not None and read_finish(said, calls=calls) == reason:
        return said
    if reason == "stop" and calls:
        loss.emulate(where, "an answer with tool calls ends with 'tool_calls' here")
        return "tool_calls"
    if reason not in _WORDS:
        loss.drop(where, f"the finish reason {reason!r} is said as 'stop'")
    return _WORDS.get(reason, "stop")


# --- reading ---------------------------------------------------------------------------------------------------------


def decode_response(body: JSONObject) -> Completion:
    """Read a provider's answer.

    Raises:
        MalformedBody: It is no answer; an error object under status 200 is one case (see is_error_body).
    """
    words = [f"no_{name}" for name in ("id", "model", "created") if body.get(name) is None]
    usage = get_object(body, "usage")
    fields = rest(body, _MODELLED)
    created = body.get("created")
    if type(created) is float and not created.is_integer():
        # Some servers write their clock as it is.
        fields["created"] = created
        created = None
    return Completion(
        id=get_str(body, "id") or "",
        model=get_str(body, "model") or "",
        choices=[_choice(value, index) for index, value in enumerate(as_list(body.get("choices"), "choices"))],
        usage=None if usage is None else decode_usage(usage),
        request_id=request_id_of(body),
        raw=body,
        created=None if created is None else as_int(created, "created"),
        source=NAME,
        wire=note(fields, ["own", *words]),
    )


def request_id_of(body: JSONObject) -> str | None:
    """Groq's id of the exchange, which stands in the body."""
    groq = body.get("x_groq")
    value = groq.get("id") if type(groq) is dict else None
    return value if type(value) is str and value else None


def _choice(value: JSON, position: int) -> Choice:
    path = f"choices[{position}]"
    body = as_object(value, path)
    words: list[str] = []
    if body.get("index") is None:
        index = position
        words.append("no_index")
    else:
        index = as_int(body["index"], f"{path}.index")
    fields = rest(body, _CHOICE)
    if body.get("message") is not None:
        message = decode_message(body["message"], f"{path}.message", Calls(), answer=True)
    elif type(body.get("text")) is str:
        # The older text completions, which some servers give for either endpoint.
        message = Message("assistant", [TextPart(cast("str", fields.pop("text")))])
        words.append("text")
    else:
        # Azure leaves the message out when its filter stops the answer.
        message = Message("assistant")
        words.append("no_message")
    reason: FinishReason = "unknown"
    if body.get("finish_reason") is None:
        words.append("no_reason")
    else:
        said = as_str(body["finish_reason"], f"{path}.finish_reason")
        reason = read_finish(said, calls=bool(message.tool_calls))
        words.append(f"said={said}")
    return Choice(message, reason, index, wire=note(fields, words))


# --- writing ---------------------------------------------------------------------------------------------------------


def encode_response(
    completion: Completion,
    loss: Loss,
    *,
    reasoning_field: str | None = None,
    request: Request | None = None,
    standard: bool = False,
) -> JSONObject:
    """Write the answer that a calling SDK expects.

    Args:
        completion: The answer.
        loss: Takes what this dialect cannot say.
        reasoning_field: Where to put thoughts that came from another dialect: "reasoning" for Groq's SDK,
            "reasoning_content" for callers that want them; None (the format's own way) leaves them out.
        request: The caller's request; counts only for `standard`.
        standard: The answer is another server's than the one that the caller asked: it is written in the form of the
            API reference, whatever notation it came in.
    """
    if standard:
        completion = standard_for(request, reasoning_field).completion(completion)
    context = Context(ANY, loss, own=completion.source == NAME, answer=True, reasoning_field=reasoning_field)
    words = words_of(completion.wire)
    body = kept(completion.wire, NAME)
    if "own" not in words:
        body["id"] = completion.id or f"chatcmpl-{completion.call_id or 1}"
        body["object"] = "chat.completion"
    elif completion.id or "no_id" not in words:
        body["id"] = completion.id
    if completion.created is not None or "own" not in words:
        body["created"] = completion.created or 0
    if completion.model or "no_model" not in words:
        body["model"] = completion.model
    body["choices"] = [
        _write_choice(choice, f"choices[{index}]", context) for index, choice in enumerate(completion.choices)
    ]
    if completion.usage is not None:
        body["usage"] = encode_usage(completion.usage, loss)
    report_answer(completion, NAME, loss)
    return body


def _write_choice(choice: Choice, where: str, context: Context) -> JSONObject:
    words = words_of(choice.wire)
    fields = kept(choice.wire, NAME)
    body: JSONObject = dict(fields)
    # A stream's leftovers of the message (annotations, tool runs) were noted with its end.
    extra = body.pop("delta", None)
    if "no_index" not in words:
        body["index"] = choice.index
    if "text" in words:
        body["text"] = choice.message.text
    elif "no_message" not in words or choice.message.parts:
        message = encode_assistant(choice.message, f"{where}.message", context)
        body["message"] = {**message, **extra} if type(extra) is dict else message
    if not words:
        body.setdefault("logprobs", None)
    said = next((word[5:] for word in words if word.startswith("said=")), None)
    if "no_reason" not in words or choice.finish_reason != "unknown":
        body["finish_reason"] = write_finish(
            choice.finish_reason,
            said,
            calls=bool(choice.message.tool_calls),
            where=f"{where}.finish_reason",
            loss=context.loss,
        )
    if choice.stop_sequence is not None:
        context.loss.drop(f"{where}.stop_sequence", "this format does not say which stop sequence was met")
    return body
