"""What a call may be told: the options of run, stream and embed, checked before anything is sent."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, Literal, TypedDict, cast

from aistrale.errors import ConfigurationError
from aistrale.prompts import Prompt, build_messages, check_conversation, checked_text, invalid
from aistrale.types import REASONING_EFFORTS, EmbedRequest, JSONObject, OutputFormat, Reasoning, Request, ToolChoice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aistrale.core.call import StreamMode, StreamRules
    from aistrale.types import Tool

__all__ = [
    "OPTIONS",
    "CallOptions",
    "EmbedOptions",
    "Options",
    "Prompt",
    "build_embed_request",
    "build_messages",
    "build_request",
    "check_conversation",
    "check_deadline",
    "unknown_option",
]


class CallOptions(TypedDict, total=False):
    """Those of Options that a prompt function takes as they are; the others are its context, or its annotation."""

    model: str | None
    provider: str | None
    system: str | None
    tools: Sequence[Callable[..., object] | Tool | JSONObject] | None
    tool_choice: str | ToolChoice | None
    parallel_tool_calls: bool | None
    max_tool_rounds: int
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
    metadata: Mapping[str, str] | None
    service_tier: str | None
    cache_key: str | None
    streams: StreamMode | StreamRules | Mapping[str, object] | None
    on_unsupported: Literal["error", "drop"]
    on_lossy: Literal["warn", "error"]
    extra: JSONObject | None


class Options(CallOptions, total=False):
    """Keyword options of run and stream; what is not given is not sent.

    Args:
        model: `provider/model`, a name that the catalog knows, or a route's name.
        provider: Takes `model` (or this provider's default model) at this provider.
        route: A route's name; instead of model and provider.
        system: Instructions; becomes the first message.
        tools: Typed functions, Tools, or JSON-Schema tool definitions in any provider's shape.
        tool_choice: "auto", "none", "required", a tool's name, or a ToolChoice.
        parallel_tool_calls: Whether the model may call several tools at once.
        max_tool_rounds: How often the model's tool calls are run and answered before the answer is returned; 0 (the
            default) returns the calls to you.
        output: A pydantic model, dataclass, any type, or a JSON Schema; the answer is validated into
            `completion.output`.
        max_tokens: Most tokens that the answer may have, thinking included.
        temperature: 0 to 2; 0 is the least random.
        top_p: 0 to 1; nucleus sampling.
        top_k: How many tokens are sampled from.
        stop: Text, or several, at which the model stops.
        seed: Makes sampling repeatable, as far as the provider promises it.
        n: How many alternatives are asked for; see `completion.choices`.
        presence_penalty: -2 to 2.
        frequency_penalty: -2 to 2.
        logit_bias: Token ids with -100 to 100.
        logprobs: Number of alternatives per token to report, 0 to 20; 0 reports only the chosen one.
        reasoning: An effort word, a token budget, or a Reasoning.
        user: Whom the provider may hold responsible; an id, not a name.
        metadata: Labels that the provider stores with the request.
        service_tier: In the provider's words.
        cache_key: Groups requests that share a beginning, for the provider's prompt cache.
        deadline: Seconds that it may take in all, tool rounds and the repair turn included; the settings' timeout
            holds for each round besides. What is left of your own time may be given: zero or less has passed.
        streams: How this stream survives a break: a mode, or a table or StreamRules; instead of the setting.
        on_unsupported: "error" or "drop", see Settings.
        on_lossy: "warn" or "error", see Settings.
        extra: Fields merged into the body as they are, for what only this provider knows.
    """

    route: str | None
    output: object
    user: str | None
    deadline: float | None


class EmbedOptions(TypedDict, total=False):
    """Keyword options of embed; those not listed here are as in Options.

    Args:
        dimensions: Length of the vectors, for models that can shorten them.
        task: What the vectors are for, in Gemini's words (RETRIEVAL_QUERY, ...).
    """

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
_EMBED_OPTIONS: Final = tuple(EmbedOptions.__annotations__)
_NAMES: Final = frozenset({"model", "provider", "route"})
_WORDS: Final[Mapping[str, tuple[str, ...]]] = {"on_unsupported": ("error", "drop"), "on_lossy": ("warn", "error")}
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
    _check_names(options, OPTIONS)
    messages = build_messages(prompt, options.get("system"))
    check_conversation(messages)
    request = Request(model=options.get("model") or "", messages=messages, stream=stream)
    for name, (kind, low, high) in _NUMBERS.items():
        if (value := options.get(name)) is not None:
            setattr(request, name, _number(name, value, kind, low, high))
    for name in _TEXTS:
        if (value := options.get(name)) is not None:
            setattr(request, name, checked_text(name, value))
    _structures(request, options)
    return request


def build_embed_request(texts: str | Sequence[str], options: EmbedOptions) -> EmbedRequest:
    """The hub request for embeddings.

    Raises:
        ConfigurationError: There is no option of that name.
        InvalidRequestError: A value is wrong; `param` names it.
    """
    _check_names(options, _EMBED_OPTIONS)
    if not isinstance(texts, Iterable) or isinstance(texts, (bytes, Mapping)):
        raise invalid("texts", "must be text or a list of texts")
    inputs = [texts] if isinstance(texts, str) else list(texts)
    if not inputs:
        raise invalid("texts", "is empty")
    for index, text in enumerate(inputs):
        if not isinstance(text, str) or not text.strip():
            raise invalid(f"texts[{index}]", "must be non-empty text")
    request = EmbedRequest(model=options.get("model") or "", inputs=inputs)
    if (dimensions := options.get("dimensions")) is not None:
        request.dimensions = int(_number("dimensions", dimensions, int, 1, math.inf))
    if (task := options.get("task")) is not None:
        request.task = checked_text("task", task)
    if (user := options.get("user")) is not None:
        request.user = checked_text("user", user)
    request.extra = _extra(options.get("extra"))
    return request


def _check_names(options: Mapping[str, object], known: Sequence[str]) -> None:
    """Refuse names that nothing reads, and values of the options that say where and how, not what."""
    for name, value in options.items():
        if name not in known:
            raise unknown_option(name, known)
        if name in _NAMES and not (value is None or isinstance(value, str)):
            raise ConfigurationError(f"{name} must be text", field=name)
        if name in _WORDS and value not in _WORDS[name]:
            raise ConfigurationError(f"{name} must be one of {', '.join(map(repr, _WORDS[name]))}", field=name)
    check_deadline(options.get("deadline"))


def check_deadline(value: object) -> None:
    """Refuse what is no number of seconds.

    What is left of somebody's time may be nothing: zero and less are a deadline that has passed.

    Raises:
        ConfigurationError: It is no number.
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value)):
        raise ConfigurationError("deadline must be a number of seconds", field="deadline")


def _structures(request: Request, options: Options) -> None:
    if (stop := options.get("stop")) is not None:
        request.stop = _stop(stop)
    if (tools := options.get("tools")) is not None:
        from aistrale.functions import tools_from

        if not isinstance(tools, Iterable):
            raise ConfigurationError("tools must be a list", field="tools")
        request.tools = tools_from(tools)
    if (choice := options.get("tool_choice")) is not None:
        request.tool_choice = _tool_choice(choice, request.tools)
    if (parallel := options.get("parallel_tool_calls")) is not None:
        if not isinstance(parallel, bool):
            raise invalid("parallel_tool_calls", "must be true or false")
        request.parallel_tool_calls = parallel
    if (output := options.get("output")) is not None:
        request.output = _output(output)
    if (reasoning := options.get("reasoning")) is not None:
        request.reasoning = _reasoning(reasoning)
    if (metadata := options.get("metadata")) is not None:
        told = _table("metadata", metadata)
        request.metadata = {checked_text("metadata", key): checked_text(f"metadata.{key}", told[key]) for key in told}
    if (bias := options.get("logit_bias")) is not None:
        table = _table("logit_bias", bias)
        request.logit_bias = {key: _number(f"logit_bias.{key}", table[key], float, -100, 100) for key in table}
    request.extra = _extra(options.get("extra"))


def _stop(stop: object) -> list[str] | None:
    if isinstance(stop, str):
        stop = [stop]
    if not isinstance(stop, (list, tuple)):
        raise invalid("stop", "must be text or a list of texts")
    return [checked_text("stop", item) for item in stop] or None


def _table(name: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise invalid(name, "must be a table")
    return value


def _extra(extra: object) -> JSONObject:
    if extra is None:
        return {}
    if not isinstance(extra, dict) or not all(isinstance(name, str) for name in extra):
        raise invalid("extra", "must be a dict of fields for the body")
    return extra


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
        raise invalid(name, f"must be a {'whole ' if kind is int else ''}number{bounds}")
    return cast("float", value)


def _tool_choice(choice: object, tools: Sequence[Tool]) -> ToolChoice:
    if isinstance(choice, str):
        choice = ToolChoice(choice) if choice in {"auto", "none", "required"} else ToolChoice("tool", [choice])  # type: ignore[arg-type]  # checked here
    if not isinstance(choice, ToolChoice):
        raise invalid("tool_choice", "must be 'auto', 'none', 'required', a tool's name, or a ToolChoice")
    known = {tool.name for tool in tools}
    for name in choice.names:
        if name not in known:
            raise invalid("tool_choice", f"names {name!r}, which is none of the tools")
    if not tools and choice.mode not in {"auto", "none"}:
        raise invalid("tool_choice", "demands a tool, but there are no tools")
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
    raise invalid("reasoning", f"must be one of {', '.join(REASONING_EFFORTS)}, a number of tokens, or a Reasoning")


def unknown_option(name: str, known: Sequence[str]) -> ConfigurationError:
    """The error for an option that nothing reads, with the names that come close."""
    near = get_close_matches(name, known, n=2)
    meant = f"Did you mean {' or '.join(near)}?" if near else "Fields that only one provider knows go into extra={}."
    return ConfigurationError(f"unknown option {name!r}", field=name, hint=meant)
