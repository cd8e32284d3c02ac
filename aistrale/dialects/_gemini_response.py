"""Answers of Gemini's generateContent, both ways.

Source: Gemini API reference, `GenerateContentResponse`, `Candidate`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aistrale.dialects._gemini_finish import finish_reason, rfc3339, unix_seconds, write_finish
from aistrale.dialects._gemini_names import NAME, once, own, words_of
from aistrale.dialects._gemini_parts import Calls, given_ids
from aistrale.dialects._gemini_request import decode_content
from aistrale.dialects._gemini_usage import decode_usage, encode_usage
from aistrale.dialects._gemini_write import Writer
from aistrale.dialects.foreign import report_answer
from aistrale.dialects.shape import as_int, as_list, as_object, get_str, kept, rest
from aistrale.types import Choice, Completion, Message, ToolCallPart, Wire

if TYPE_CHECKING:
    from aistrale.dialects.base import Loss
    from aistrale.types import JSON, JSONObject, Part

_MODELLED = frozenset({"candidates", "usageMetadata", "modelVersion", "responseId"})
_CANDIDATE = frozenset({"content", "index"})


def call_prefix(response_id: str) -> str:
    """What the minted ids of an answer start with.

    An answer does not know how many calls came before it; its own id keeps those of one conversation apart.
    """
    clean = re.sub(r"[^A-Za-z0-9_-]", "", response_id)[:40]
    return f"call_{clean}_" if clean else "call_"


def blocked(body: JSONObject) -> bool:
    """Whether the prompt was refused; such an answer has no candidates."""
    feedback = body.get("promptFeedback")
    return type(feedback) is dict and bool(feedback.get("blockReason"))


def decode_response(body: JSONObject) -> Completion:
    """Read a provider's answer.

    Args:
        body: The parsed body.

    Returns:
        The answer. A blocked prompt gives one empty choice that ended with "content_filter".

    Raises:
        MalformedBody: A field that is used has another type.
    """
    words: list[str] = []
    answer, model = get_str(body, "responseId"), get_str(body, "modelVersion")
    words.extend(word for word, value in (("id", answer), ("model", model)) if value is not None)
    completion = Completion(
        id=answer or "", model=model or "", created=unix_seconds(body.get("createTime")), raw=body, source=NAME
    )
    candidates = body.get("candidates")
    items = [] if candidates is None else as_list(candidates, "candidates")
    if candidates is not None:
        words.append("candidates")
    objects = [as_object(item, f"candidates[{index}]") for index, item in enumerate(items)]
    calls = Calls(call_prefix(completion.id), given_ids([item.get("content") for item in objects]))
    for index, candidate in enumerate(objects):
        completion.choices.append(_choice(candidate, index, calls))
    if not items and blocked(body):
        completion.choices.append(Choice(Message("assistant"), "content_filter", wire=Wire(NAME, form="no-candidate")))
    usage = body.get("usageMetadata")
    if usage is not None:
        completion.usage = decode_usage(as_object(usage, "usageMetadata"))
    completion.wire = Wire(NAME, rest(body, _MODELLED), " ".join(words))
    return completion


def _choice(candidate: JSONObject, position: int, calls: Calls) -> Choice:
    field = f"candidates[{position}]"
    fields = {key: value for key, value in candidate.items() if value is None or key not in _CANDIDATE}
    words: list[str] = []
    index = candidate.get("index")
    if index is None:
        words.append("unnumbered")
    content = candidate.get("content")
    if content is None:
        message = Message("assistant", wire=Wire(NAME, form="partless"))
        words.append("contentless")
    else:
        message = _message(as_object(content, f"{field}.content"), f"{field}.content", calls)
    has_calls = any(isinstance(part, ToolCallPart) for part in message.parts)
    return Choice(
        message,
        finish_reason(candidate.get("finishReason"), calls=has_calls),
        position if index is None else as_int(index, f"{field}.index"),
        wire=Wire(NAME, fields, " ".join(words)),
    )


def _message(content: JSONObject, field: str, calls: Calls) -> Message:
    # An answer speaks for the model whatever role it names; older backends name none.
    messages = decode_content({**content, "role": "model"}, field, calls)
    message = messages[0]
    parts: list[Part] = [part for item in messages for part in item.parts]
    fields, words = kept(message.wire, NAME), words_of(message.wire)
    role = content.get("role")
    if role is None:
        words.append("roleless")
    if role != "model" and "role" in content:
        fields["role"] = role
    return Message("assistant", parts, wire=Wire(NAME, fields, " ".join(words)))


def encode_response(completion: Completion, loss: Loss) -> JSONObject:
    """Write the answer that a calling SDK expects.

    Args:
        completion: In the hub's words; what was decoded from this dialect comes out as it came in.
        loss: Takes what cannot be said.
    """
    words = words_of(completion.wire)
    mine = own(completion.wire)
    fields = kept(completion.wire, NAME)
    writer = Writer(loss)
    writer.know_calls(choice.message for choice in completion.choices)
    candidates: list[JSON] = [
        encode_choice(choice, position, writer)
        for position, choice in enumerate(completion.choices)
        if "no-candidate" not in words_of(choice.wire)
    ]
    body: JSONObject = {}
    if candidates or "candidates" in words:
        body["candidates"] = candidates
    if completion.usage is not None:
        if completion.usage.cache_write_total and not own(completion.usage.wire):
            loss.drop("usage.cache_write", "Gemini counts tokens written to a cache as prompt tokens")
        body["usageMetadata"] = encode_usage(completion.usage)
    if completion.model or "model" in words:
        body["modelVersion"] = completion.model
    if completion.id or "id" in words:
        body["responseId"] = completion.id
    if not mine and completion.created is not None and (made := rfc3339(completion.created)) is not None:
        body["createTime"] = made
    report_answer(completion, NAME, loss)
    return {**fields, **body}


def encode_choice(choice: Choice, position: int, writer: Writer) -> JSONObject:
    """Write one candidate."""
    words = words_of(choice.wire)
    fields = kept(choice.wire, NAME)
    message = choice.message
    calls = any(isinstance(part, ToolCallPart) for part in message.parts)
    candidate: JSONObject = {}
    if choice.wire is not None and not own(choice.wire) and choice.wire.fields.get("logprobs"):
        writer.loss.drop(f"choices[{position}].logprobs", "Gemini writes log probabilities in another form")
    parts = writer.parts(message.parts, f"choices[{position}].message")
    if parts or "contentless" not in words:
        candidate["content"] = _content(message, parts)
    where = f"choices[{position}].finish_reason"
    write_finish(choice.finish_reason, fields, mine=own(choice.wire), calls=calls, where=where, loss=writer.loss)
    if "unnumbered" not in words or choice.index != position:
        candidate["index"] = choice.index
    # An explicit null may stand for content that the hub has by now.
    return {**fields, **candidate}


def _content(message: Message, parts: list[JSON]) -> JSONObject:
    words = words_of(message.wire)
    content = kept(message.wire, NAME)
    if "roleless" not in words and "role" not in content:
        content["role"] = "model"
    if parts or (own(message.wire) and "partless" not in words):
        content["parts"] = once(parts, single="single" in words)
    return content


def decode_token_count(body: JSONObject) -> int:
    """The number of input tokens that `countTokens` answers. Raises MalformedBody."""
    return as_int(body.get("totalTokens"), "totalTokens")
