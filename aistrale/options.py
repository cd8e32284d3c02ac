"""What a call may be told: the options of run, stream and embed, checked before anything is sent."""

from __future__ import annotations

import math
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict, cast, get_args

from aistrale.dialects import chat_dialect
from aistrale.dialects.shape import MalformedBody
from aistrale.errors import ConfigurationError, InvalidRequestError
from aistrale.media import check_media
from aistrale.types import (
    REASONING_EFFORTS,
    EmbedRequest,
    JSONObject,
    MediaPart,
    Message,
    OutputFormat,
    Reasoning,
    Request,
    Role,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Prompt: TypeAlias = "str | Message | Sequence[Message | JSONObject]"
"""Text, one message, or a conversation of Messages and OpenAI-style dicts."""


class Options(TypedDict, total=False):
    """Keyword options of run and stream; see Request for those that only say what is sent.

    Args:
        model: `provider/model`, a name that the catalog knows, or a route's name.
        provider: Takes `model` (or this provider's default model) at this provider.
        route: A route's name; instead of model and provider.
        system: Instructions; becomes the first message.
        tools: Typed functions, Tools, or JSON-Schema tool definitions in any provider's shape.
        max_tool_rounds: How often the model's tool calls are run and answered before the answer is returned; 0 (the
            default) returns the calls to you.
        output: A pydantic model, dataclass, any type, or a JSON Schema; the answer is validated into
            `completion.output`.
        reasoning: An effort word, a token budget, or a Reasoning.
        deadline: Seconds that the call may take; the stricter of this and the settings holds.
        on_unsupported: "error" or "drop", see Settings.
        on_lossy: "warn" or "error", see Settings.
        extra: Fields merged into the body as they are, for what only this provider knows.
    """

    model: str | None
    provider: str | None
    route: str | None
    system: str | None
    tools: Sequence[Callable[..., object] | Tool | JSONObject] | None
    tool_choice: str | ToolChoice | None
    parallel_tool_calls: bool | None
    max_tool_rounds: int
    output: object
    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    stop: str | Sequence[str] | None
    seed: int | None
    n: int | None
    presence_penalty: float | None
    frequency_penalty: float | None
    logit_bias: Mapping[str, float] | None
    logprobs: int | None
    reasoning: str | int | Reasoning | None
    user: str | None
    metadata: Mapping[str, str] | None
    service_tier: str | None
    cache_key: str | None
    deadline: float | None
    on_unsupported: Literal["error", "drop"]
    on_lossy: Literal["warn", "error"]
    extra: JSONObject | None


class EmbedOptions(TypedDict, total=False):
    """Keyword options of embed; see EmbedRequest and Options."""

    model: str | None
    provider: str | None
    route: str | None
    dimensions: int | None
    task: str | None
    user: str | None
    deadline: float | None
    on_unsupported: Literal["error", "drop"]
    on_lossy: Literal["warn", "error"]
    extra: JSONObject | None


OPTIONS = tuple(Options.__annotations__)
# Options that go into the request under their own name after a check of type and range (OpenAI, Anthropic and Gemini
# API references: temperature 0 to 2, penalties -2 to 2, top_p 0 to 1).
_NUMBERS: Mapping[str, tuple[type, float, float]] = {
    "max_tokens": (int, 0, math.inf),
    "temperature": (float, 0, 2),
    "top_p": (float, 0, 1),
    "top_k": (int, 1, math.inf),
    "seed": (int, -math.inf, math.inf),
    "n": (int, 1, 128),
    "presence_penalty": (float, -2, 2),
    "frequency_penalty": (float, -2, 2),
    "logprobs": (int, 0, 20),
}
_TEXTS = ("user", "service_tier", "cache_key")


def build_request(prompt: Prompt, options: Options, *, stream: bool = False) -> Request:
    """The hub request for a prompt and its options; `model` is still to be resolved.

    Raises:
        ConfigurationError: There is no option of that name.
        InvalidRequestError: A value is wrong; `param` names it.
    """
    for name in options:
        if name not in Options.__annotations__:
            raise unknown_option(name)
    messages = build_messages(prompt, options.get("system"))
    check_conversation(messages)
    request = Request(model=options.get("model") or "", messages=messages, stream=stream)
    for name, (kind, low, high) in _NUMBERS.items():
        if (value := options.get(name)) is not None:
            setattr(request, name, _number(name, value, kind, low, high))
    for name in _TEXTS:
        if (value := options.get(name)) is not None:
            setattr(request, name, _text(name, value))
    _structures(request, options)
    return request


def build_embed_request(texts: str | Sequence[str], options: EmbedOptions) -> EmbedRequest:
    """The hub request for embeddings.

    Raises:
        ConfigurationError: There is no option of that name.
        InvalidRequestError: A value is wrong; `param` names it.
    """
    for name in options:
        if name not in EmbedOptions.__annotations__:
            raise unknown_option(name)
    inputs = [texts] if isinstance(texts, str) else list(texts)
    if not inputs:
        raise _invalid("texts", "is empty")
    for index, text in enumerate(inputs):
        if not isinstance(text, str) or not text.strip():
            raise _invalid(f"texts[{index}]", "must be non-empty text")
    request = EmbedRequest(model=options.get("model") or "", inputs=inputs)
    if (dimensions := options.get("dimensions")) is not None:
        request.dimensions = int(_number("dimensions", dimensions, int, 1, math.inf))
    if (task := options.get("task")) is not None:
        request.task = _text("task", task)
    if (user := options.get("user")) is not None:
        request.user = _text("user", user)
    request.extra = options.get("extra") or {}
    return request


def _structures(request: Request, options: Options) -> None:
    if stop := options.get("stop"):
        request.stop = [_text("stop", item) for item in ([stop] if isinstance(stop, str) else stop)]
    if (tools := options.get("tools")) is not None:
        from aistrale.functions import tools_from

        request.tools = tools_from(tools)
    if (choice := options.get("tool_choice")) is not None:
        request.tool_choice = _tool_choice(choice, request.tools)
    request.parallel_tool_calls = options.get("parallel_tool_calls")
    if (output := options.get("output")) is not None:
        request.output = _output(output)
    if (reasoning := options.get("reasoning")) is not None:
        request.reasoning = _reasoning(reasoning)
    if (metadata := options.get("metadata")) is not None:
        request.metadata = {_text("metadata", key): _text(f"metadata.{key}", value) for key, value in metadata.items()}
    if (bias := options.get("logit_bias")) is not None:
        request.logit_bias = {key: _number(f"logit_bias.{key}", value, float, -100, 100) for key, value in bias.items()}
    if extra := options.get("extra"):
        if not isinstance(extra, dict):
            raise _invalid("extra", "must be a dict of fields for the body")
        request.extra = extra


def build_messages(prompt: Prompt, system: str | None = None) -> list[Message]:
    """The conversation that a prompt stands for. Raises InvalidRequestError naming the message."""
    messages = [] if system is None else [Message.system(_text("system", system))]
    if isinstance(prompt, str):
        if not prompt.strip():
            raise _invalid("prompt", "is empty")
        return [*messages, Message.user(prompt)]
    if isinstance(prompt, Message):
        return [*messages, _checked_parts(prompt, "prompt")]
    if not isinstance(prompt, (list, tuple)):
        raise _invalid("prompt", "must be text, a Message, or a list of Messages and dicts")
    if not prompt:
        raise _invalid("prompt", "is empty")
    for index, item in enumerate(prompt):
        where = f"messages[{index}]"
        if isinstance(item, dict):
            messages.append(_checked_parts(_from_dict(item, where), where))
        elif isinstance(item, Message):
            messages.append(_checked_parts(item, where))
        else:
            raise _invalid(where, "must be a Message or a dict")
    return messages


def _from_dict(item: JSONObject, where: str) -> Message:
    if item.get("role") not in get_args(Role):
        raise _invalid(f"{where}.role", f"must be one of {', '.join(get_args(Role))}")
    try:
        decoded = chat_dialect("openai_chat").decode_request({"model": "", "messages": [item]})
    except MalformedBody as error:
        inner = error.field.removeprefix("messages[0]")
        raise _invalid(f"{where}{inner}", f"expected {error.expected}") from error
    if len(decoded.messages) != 1:
        raise _invalid(where, "is no single message")
    return decoded.messages[0]


def _checked_parts(message: Message, where: str) -> Message:
    if message.role not in get_args(Role):
        raise _invalid(f"{where}.role", f"must be one of {', '.join(get_args(Role))}")
    for index, part in enumerate(message.parts):
        path = f"{where}.parts[{index}]"
        if isinstance(part, MediaPart):
            checked = check_media(part, path)
            if checked is not part:
                message = Message(message.role, list(message.parts), message.name, message.wire)
                message.parts[index] = checked
        elif isinstance(part, TextPart) and not isinstance(part.text, str):
            raise _invalid(f"{path}.text", "must be text")
        elif isinstance(part, ToolCallPart) and message.role != "assistant":
            raise _invalid(path, "a tool call can only stand in an assistant message")
        elif isinstance(part, ToolResultPart) and message.role != "tool":
            raise _invalid(path, "a tool result can only stand in a tool message")
    if not message.parts and message.role != "assistant":
        raise _invalid(where, "has no content")
    return message


def check_conversation(messages: Sequence[Message]) -> None:
    """Check that there is something to answer and that every tool call has its result.

    Raises:
        InvalidRequestError: `param` names the message.
    """
    if all(message.role in {"system", "developer"} for message in messages):
        raise _invalid("messages", "has instructions but nothing to answer; add a user message")
    pending: dict[str, int] = {}
    for index, message in enumerate(messages):
        if message.role == "tool":
            for part in message.parts:
                if isinstance(part, ToolResultPart) and pending.pop(part.call_id, None) is None:
                    raise _invalid(f"messages[{index}]", "answers a tool call that the message before does not make")
        elif pending and message.role not in {"system", "developer"}:
            break
        for call in message.tool_calls:
            pending[call.id] = index
    if pending:
        first = min(pending.values())
        raise _invalid(
            f"messages[{first}]", f"{len(pending)} of its tool calls have no result in the tool messages that follow"
        )


def _number(name: str, value: object, kind: type, low: float, high: float) -> float:
    fits = isinstance(value, int) if kind is int else isinstance(value, (int, float))
    if isinstance(value, bool) or not fits or not low <= cast("float", value) <= high or value != value:  # noqa: PLR0124 - NaN
        bounds = (
            f" from {low:g} to {high:g}"
            if math.isfinite(high)
            else f" of at least {low:g}"
            if math.isfinite(low)
            else ""
        )
        raise _invalid(name, f"must be a {'whole ' if kind is int else ''}number{bounds}")
    return cast("float", value)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise _invalid(name, "must be non-empty text")
    return value


def _tool_choice(choice: object, tools: Sequence[Tool]) -> ToolChoice:
    if isinstance(choice, str):
        choice = ToolChoice(choice) if choice in {"auto", "none", "required"} else ToolChoice("tool", [choice])  # type: ignore[arg-type]
    if not isinstance(choice, ToolChoice):
        raise _invalid("tool_choice", "must be 'auto', 'none', 'required', a tool's name, or a ToolChoice")
    known = {tool.name for tool in tools}
    for name in choice.names:
        if name not in known:
            raise _invalid("tool_choice", f"there is no tool {name!r} among the tools")
    if not tools and choice.mode not in {"auto", "none"}:
        raise _invalid("tool_choice", "demands a tool, but there are no tools")
    return choice


def _output(output: object) -> OutputFormat:
    from aistrale.typed import output_format

    return output_format(output)


def _reasoning(value: object) -> Reasoning:
    if isinstance(value, Reasoning):
        return value
    if isinstance(value, str) and value in REASONING_EFFORTS:
        return Reasoning(effort=value)
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return Reasoning(budget=value)
    raise _invalid("reasoning", f"must be one of {', '.join(REASONING_EFFORTS)}, a number of tokens, or a Reasoning")


def unknown_option(name: str) -> ConfigurationError:
    """The error for an option that nothing reads."""
    near = get_close_matches(name, OPTIONS, n=2)
    meant = f"Did you mean {' or '.join(near)}?" if near else "Fields that only one provider knows go into extra={}."
    return ConfigurationError(f"unknown option {name!r}", field=name, hint=meant)


def _invalid(field: str, detail: str) -> InvalidRequestError:
    return InvalidRequestError(f"{field} {detail}", param=field, code="invalid_request")
