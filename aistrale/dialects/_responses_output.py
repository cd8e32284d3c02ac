"""OpenAI Responses: the answer, both ways; the items of `output` are written here for streams too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from aistrale.dialects._responses_content import NAME, ContentEncoder, node_fields, ours, word
from aistrale.dialects._responses_input import instructions_at
from aistrale.dialects._responses_items import (
    call_item,
    decode_item,
    grouped,
    id_base,
    item_key,
    message_content,
    message_item,
    mint,
    reasoning_item,
)
from aistrale.dialects._responses_options import (
    encode_output,
    encode_reasoning_options,
    encode_tool_choice,
    encode_tools,
)
from aistrale.dialects._responses_usage import decode_usage, encode_usage
from aistrale.dialects.base import ANY, Loss
from aistrale.dialects.foreign import report_answer
from aistrale.dialects.shape import as_int, as_list, as_number, as_object, get_str, rest
from aistrale.types import (
    Choice,
    Completion,
    MediaPart,
    Message,
    ProviderPart,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    Wire,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.types import JSON, FinishReason, JSONObject, Part, Request, Usage

_MODELLED: Final = frozenset({"id", "model", "created_at", "output", "usage", "status", "incomplete_details"})
_INCOMPLETE: Final[dict[JSON, FinishReason]] = {
    "max_output_tokens": "length",
    "max_messages": "length",
    "content_filter": "content_filter",
}
_REASONS: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}
_DONE: Final = frozenset({"stop", "tool_calls", "pause", "unknown"})
# Fields that the hub does not model and a response repeats.
_REPEATED: Final = ("max_tool_calls", "previous_response_id", "truncation", "user", "safety_identifier", "top_logprobs")
_FORMATS: Final = {"image/png": "png", "image/jpeg": "jpeg", "image/webp": "webp", "image/gif": "gif"}


# --- decoding ------------------------------------------------------------------------------------------------------


def decode_response(body: JSONObject) -> Completion:
    """Read a response object.

    Raises:
        MalformedBody: A field has the wrong type, or there is no `output`.
    """
    parts: list[Part] = []
    for at, value in enumerate(as_list(body.get("output"), "output")):
        field = f"output[{at}]"
        parts.extend(decode_item(as_object(value, field), at, field))
    usage = body.get("usage")
    return Completion(
        id=get_str(body, "id") or "",
        model=get_str(body, "model") or "",
        choices=[Choice(Message("assistant", parts), decode_finish(body, has_call(parts)), wire=finish_wire(body))],
        usage=None if usage is None else decode_usage(usage),
        created=decode_created(body),
        source=NAME,
        raw=body,
        wire=response_wire(body),
    )


def response_wire(body: JSONObject) -> Wire:
    """What a response object has beyond the hub; the form is its status."""
    fields = rest(body, _MODELLED)
    fields.pop("status", None)
    fields.pop("incomplete_details", None)
    for name in ("id", "model"):
        if body.get(name) == "":
            fields[name] = ""
    created = body.get("created_at")
    fraction = type(created) is float and not created.is_integer()
    if fraction or (created is not None and decode_created(body) is None):
        fields["created_at"] = created
    return Wire(NAME, fields, word(body, "status"))


def decode_created(body: JSONObject) -> int | None:
    """The whole Unix second at which the response was created."""
    created = body.get("created_at")
    if created is None:
        return None
    seconds = as_number(created, "created_at")
    return int(seconds) if abs(seconds) < 1e15 else None


def finish_wire(body: JSONObject) -> Wire:
    """Status and reason, verbatim."""
    return Wire(NAME, {key: body[key] for key in ("status", "incomplete_details") if key in body})


def has_call(parts: Sequence[Part]) -> bool:
    """Whether the model asks for a tool."""
    return any(isinstance(part, ToolCallPart) for part in parts)


def decode_finish(body: JSONObject, called: bool) -> FinishReason:  # noqa: FBT001 - the second half of one question
    """Why the model stopped, given a response's status and whether it asks for a tool.

    `queued`, `in_progress` and `cancelled` say nothing about that: they are "unknown", as is a status nobody knows.
    """
    status = body.get("status", "completed")
    if status == "completed":
        return "tool_calls" if called else "stop"
    if status == "incomplete":
        details = body.get("incomplete_details")
        reason = as_object(details, "incomplete_details").get("reason") if details is not None else None
        return _INCOMPLETE.get(reason, "unknown") if type(reason) is str else "unknown"
    return "error" if status == "failed" else "unknown"


# --- encoding ------------------------------------------------------------------------------------------------------


class OutputEncoder:
    """Writes items of `output`.

    Args:
        id: The reply's id; ids of items that have none are derived from it.
        loss: Records what cannot be said.
    """

    __slots__ = ("_content", "_id", "_loss")

    def __init__(self, id: str, loss: Loss) -> None:
        self._id = id
        self._loss = loss
        self._content = ContentEncoder(ANY, loss, logprobs=True)

    def items(self, parts: Sequence[Part]) -> list[JSON]:
        """Write the parts of an answer."""
        items: list[JSON] = []
        for group in grouped(parts, join=True):
            item = self.item(group, len(items))
            if item is not None:
                items.append(item)
        return items

    def item(self, group: Sequence[tuple[int, Part]], index: int) -> JSONObject | None:
        """Write one item.

        Args:
            group: Its parts, with their positions in the answer.
            index: Its position in `output`.

        Returns:
            The item; None when it was left out.
        """
        at, first = group[0]
        path = f"choices[0].message.parts[{at}]"
        key = item_key(first)
        if key is not None:
            if key[0] == "reasoning":
                return reasoning_item([part for _, part in group])
            return message_item(group, self._content, "choices[0].message")
        if isinstance(first, (TextPart, RefusalPart)):
            content = message_content(group, self._content, "choices[0].message")
            return {
                "id": mint("msg", self._id, index),
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": content,
            }
        if isinstance(first, ToolCallPart):
            return self._call(first, index)
        if isinstance(first, ProviderPart) and first.dialect == NAME:
            return first.data
        return self._foreign(first, index, path)

    def content(self, part: Part, at: int) -> JSONObject:
        """Write a part of a message's content: text or a refusal."""
        return self._content.part(part, "output_text", f"choices[0].message.parts[{at}]") or {}

    def _call(self, part: ToolCallPart, index: int) -> JSONObject:
        if ours(part.wire):
            return call_item(part)
        call = ToolCallPart(part.id or f"call_{index}", part.name, part.arguments)
        return {"id": mint("fc", self._id, index), **call_item(call), "status": "completed"}

    def _foreign(self, part: Part, index: int, path: str) -> JSONObject | None:
        if isinstance(part, ReasoningPart) and part.text:
            return {"id": mint("rs", self._id, index), **reasoning_item([part])}
        if isinstance(part, MediaPart) and part.media == "image" and part.data is not None:
            self._loss.emulate(path, "The image is given as the result of an image generation call.")
            return {
                "id": mint("ig", self._id, index),
                "type": "image_generation_call",
                "status": "completed",
                "result": part.data,
                "output_format": _FORMATS.get(part.media_type or "", "png"),
            }
        what = "thought" if isinstance(part, ReasoningPart) else "content"
        self._loss.drop(path, f"The {what} is known to the provider it came from only, and was left out.")
        return None


def encode_response(completion: Completion, loss: Loss, request: Request | None = None) -> JSONObject:
    """Write a response object.

    Args:
        completion: The answer; of several alternatives the first is told.
        loss: Records what cannot be said.
        request: What is answered; a response repeats much of it, and tells defaults where it is not given.
    """
    for choice in completion.choices[1:]:
        loss.drop(f"choices[{choice.index}]", "A response holds one answer; the alternative was left out.")
    choice = completion.choices[0] if completion.choices else Choice(Message("assistant"), "stop")
    output = OutputEncoder(completion.id, loss).items(choice.message.parts)
    if choice.finish_reason == "length" and not ours(choice.wire) and output:
        last = cast("JSONObject", output[-1])
        if last.get("status") == "completed":
            last["status"] = "incomplete"
    report_answer(completion, NAME, loss)
    head = response_head(completion.id, completion.model, completion.created, completion.wire, request)
    return {
        **head,
        **encode_finish(choice, loss, error=head.get("error")),
        "output": output,
        **usage_field(completion.usage, completion.wire, loss),
    }


def response_head(id: str, model: str, created: int | None, wire: Wire | None, request: Request | None) -> JSONObject:
    """The fields of a response object that are known when it begins."""
    known = ours(wire)
    if wire is not None and known:
        head: JSONObject = dict(wire.fields)
    else:
        head = {**default_fields(), **({} if request is None else echo(request))}
    if id or not known:
        head["id"] = id if known or id.startswith("resp_") else f"resp_{id_base(id) or '0'}"
    if model or not known:
        head["model"] = model
    told = head.get("created_at")
    if created is None:
        if not known:
            head["created_at"] = 0
    elif not (type(told) is float and int(told) == created):
        head["created_at"] = created or 0
    return head


def default_fields() -> JSONObject:
    """What a response object says about a request of which nothing is known; the official SDK requires most of it."""
    return {
        "object": "response",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        "user": None,
    }


def echo(request: Request) -> JSONObject:
    """What a response repeats of the request that it answers."""
    silent = Loss(on_unsupported="drop")
    said = node_fields(request.wire)
    fields: JSONObject = {key: said[key] for key in _REPEATED if said.get(key) is not None}
    fields["tools"] = encode_tools([tool for tool in request.tools if tool.hosted is None or ours(tool.wire)], silent)
    told: JSONObject = {
        "max_output_tokens": request.max_tokens,
        "parallel_tool_calls": request.parallel_tool_calls,
        "prompt_cache_key": request.cache_key,
        "temperature": request.temperature,
        "top_p": request.top_p,
    }
    if request.metadata is not None:
        told["metadata"] = {**request.metadata}
    if request.tool_choice is not None:
        told["tool_choice"] = encode_tool_choice(request.tool_choice, request.tools)
    if request.reasoning is not None:
        options = encode_reasoning_options(request.reasoning, ANY, silent)
        told["reasoning"] = {"effort": None, "summary": None, **options}
    if request.output is not None and (shape := encode_output(request.output, ANY, silent)) is not None:
        text = said.get("text")
        told["text"] = {**(text if type(text) is dict else {}), "format": shape}
    fields.update({key: value for key, value in told.items() if value is not None})
    instructions = instructions_at(request.messages)
    if instructions is not None:
        fields["instructions"] = request.messages[instructions].text
    return fields


def encode_finish(choice: Choice, loss: Loss, *, error: JSON) -> JSONObject:
    """Status and its reason: as they came, as long as they mean what the hub says."""
    wire, reason = choice.wire, choice.finish_reason
    called = has_call(choice.message.parts)
    if wire is not None and ours(wire):
        told = decode_finish(wire.fields, called)
        if told == reason or (wire.fields.get("status") == "completed" and reason in _DONE):
            return dict(wire.fields)
    if reason == "error":
        failure: JSONObject = {"code": "server_error", "message": "The model could not finish its answer."}
        return {"status": "failed", "incomplete_details": None, "error": error or failure}
    if reason in _REASONS:
        return {"status": "incomplete", "incomplete_details": {"reason": _REASONS[reason]}}
    if reason in {"pause", "unknown"} or (reason == "stop") == called:
        loss.emulate("choices[0].finish_reason", f"The end {reason!r} is told as a completed response.")
    return {"status": "completed", "incomplete_details": None}


def usage_field(usage: Usage | None, wire: Wire | None, loss: Loss) -> JSONObject:
    """The `usage` field; absent where it was absent."""
    if usage is not None:
        return {"usage": encode_usage(usage, loss)}
    return {} if ours(wire) else {"usage": None}


def is_error_body(body: JSONObject) -> bool:
    """Whether an answer with a success status reports an error: a failed response, or an error in place of one."""
    error = body.get("error")
    return type(error) is dict and (body.get("status") == "failed" or "output" not in body)


def decode_token_count(body: JSONObject) -> int:
    """The number of input tokens that `/v1/responses/input_tokens` answers. Raises MalformedBody."""
    return as_int(body.get("input_tokens"), "input_tokens")
