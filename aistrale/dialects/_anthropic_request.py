"""Requests of the Anthropic Messages format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aistrale.dialects._anthropic_blocks import NAME, Out, merge_kept
from aistrale.dialects._anthropic_thinking import decode_reasoning, encode_reasoning
from aistrale.dialects._anthropic_tools import decode_choice, decode_tools, encode_choice, encode_tools
from aistrale.dialects._anthropic_turns import decode_system, decode_turns, encode_turns, lacks_thinking
from aistrale.dialects.base import ANY, Loss, Profile
from aistrale.dialects.shape import (
    MalformedBody,
    as_list,
    as_object,
    as_str,
    form_of,
    get_bool,
    get_int,
    get_list,
    get_number,
    get_object,
    get_str,
    kept,
    leftover,
    rest,
)
from aistrale.types import OutputFormat, Request, Wire

if TYPE_CHECKING:
    from aistrale.types import JSONObject

# What is sent where neither the request nor the catalog names an output limit; the API demands one.
DEFAULT_MAX_TOKENS = 4096

_MODELLED = frozenset(
    {
        "model",
        "messages",
        "system",
        "max_tokens",
        "stop_sequences",
        "stream",
        "temperature",
        "top_p",
        "top_k",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "output_format",
        "metadata",
        "service_tier",
    }
)

# Service tiers of other providers, where Anthropic has one that means the same.
_TIERS = {"default": "standard_only", "standard": "standard_only", "on_demand": "standard_only", "priority": "auto"}
_OWN_TIERS = frozenset({"auto", "standard_only"})

# Options of other formats that the answer does not depend on.
_HARMLESS = frozenset(
    {
        "stream",
        "stream_options",
        "store",
        "include",
        "include_reasoning",
        "reasoning_format",
        "prompt_cache_options",
        "prompt_cache_retention",
    }
)
# Options that point to what lives with another provider, or run there.
_STATE = frozenset(
    {
        "previous_response_id",
        "conversation",
        "prompt",
        "background",
        "cachedContent",
        "continuationToken",
        "web_search_options",
        "audio",
        "documents",
        "search_settings",
    }
)


# --- decoding ----------------------------------------------------------------------------


def decode_request(body: JSONObject, *, model: str | None = None, stream: bool | None = None) -> Request:
    """Read a caller's body, of `/v1/messages` or of `/v1/messages/count_tokens` (which has no `max_tokens`).

    Args:
        body: The parsed body.
        model: The model from the URL, where the body has none (Vertex AI, Bedrock).
        stream: Whether the URL asks for a stream, likewise.

    Raises:
        MalformedBody: A field has the wrong shape.
    """
    fields = rest(body, _MODELLED)
    form = "" if "model" in body else "no_model"
    asked = get_bool(body, "stream")
    if asked is False:
        fields["stream"] = False
    config = dict(get_object(body, "output_config") or {})
    reasoning = decode_reasoning(body.get("thinking"), config, fields)
    output = _decode_output(body, config)
    if config or body.get("output_config") == {}:
        fields["output_config"] = config
    choice, parallel = decode_choice(get_object(body, "tool_choice"), fields)
    tools = get_list(body, "tools")
    if body.get("tools") == []:
        fields["tools"] = []
    metadata = get_object(body, "metadata")
    if metadata is not None and (not metadata or rest(metadata, ("user_id",))):
        fields["metadata"] = rest(metadata, ("user_id",))
    stop = body.get("stop_sequences")
    return Request(
        model=as_str(body["model"], "model") if not form else model or "",
        messages=[*decode_system(body.get("system")), *decode_turns(as_list(body.get("messages"), "messages"))],
        tools=decode_tools(tools),
        tool_choice=choice,
        parallel_tool_calls=parallel,
        max_tokens=get_int(body, "max_tokens"),
        temperature=get_number(body, "temperature"),
        top_p=get_number(body, "top_p"),
        top_k=get_int(body, "top_k"),
        stop=None if stop is None else [as_str(word, "stop_sequences") for word in as_list(stop, "stop_sequences")],
        output=output,
        reasoning=reasoning,
        user=None if metadata is None else get_str(metadata, "user_id"),
        service_tier=get_str(body, "service_tier"),
        stream=bool(asked) if stream is None else stream,
        source=NAME,
        wire=leftover(NAME, fields, form),
    )


def _decode_output(body: JSONObject, config: JSONObject) -> OutputFormat | None:
    """The schema of `output_config.format`, or of `output_format`, as it was called in its beta."""
    for holder, key, form in ((config, "format", ""), (body, "output_format", "output_format")):
        value = holder.get(key)
        if value is None:
            continue
        path = f"output_config.{key}" if holder is config else key
        format_ = as_object(value, path)
        if format_.get("type") != "json_schema":
            raise MalformedBody(f"{path}.type", '"json_schema"')
        schema = as_object(format_.get("schema"), f"{path}.schema")
        if holder is config:
            del config[key]
        return OutputFormat("json_schema", schema, wire=Wire(NAME, rest(format_, ("type", "schema")), form))
    return None


# --- encoding ----------------------------------------------------------------------------


def encode_request(request: Request, profile: Profile, loss: Loss) -> JSONObject:
    """Write a body for the API.

    `max_tokens`, which the API demands, is the profile's `max_output`, else 4096, where a request from elsewhere names
    none; that is no loss, and is not recorded as one.

    Raises:
        InvalidRequestError: Something cannot be said in this format (see Loss).
    """
    native = request.source == NAME
    out = Out(
        loss,
        profile,
        native=native,
        lenient=native and profile == ANY,
        foreign=request.source not in (None, NAME),
    )
    body: JSONObject = {}
    if form_of(request.wire, NAME) != "no_model":
        body["model"] = request.model
    system, turns = encode_turns(request.messages, out)
    if system is not None:
        body["system"] = system
    body["messages"] = [*turns]
    if request.tools:
        body["tools"] = [*encode_tools(request.tools, out)]
    encode_choice(request, body, out)
    _encode_limits(request, body, out)
    _encode_thinking(request, body, turns, out)
    _encode_output(request, body, out)
    _encode_sampling(request, body, out)
    _encode_caller(request, body, out)
    _refuse_the_rest(request, out)
    _report_foreign(request, out)
    if request.stream:
        body["stream"] = True
    merge_kept(body, kept(request.wire, NAME))
    body.update(request.extra)
    return body


def _takes(name: str, value: object, out: Out) -> bool:
    """Whether an option is to be written: it was given, and the target is not known to refuse it."""
    if value is None:
        return False
    if name in out.profile.unsupported and not out.lenient:
        out.loss.unsupported(name, "this model does not take it")
        return False
    return True


def _encode_limits(request: Request, body: JSONObject, out: Out) -> None:
    limit = request.max_tokens
    ceiling = out.profile.max_output
    if limit is None:
        if not out.native:
            body["max_tokens"] = ceiling if ceiling is not None else DEFAULT_MAX_TOKENS
    else:
        if ceiling is not None and limit > ceiling:
            out.loss.emulate("max_tokens", f"the model writes at most {ceiling} tokens")
            limit = ceiling
        body["max_tokens"] = limit
    stop = request.stop
    if stop is not None and (stop or out.native) and _takes("stop", stop, out):
        most = out.profile.stop
        if most is not None and len(stop) > most:
            out.loss.unsupported("stop", f"this model takes at most {most} stop sequences")
            stop = stop[:most]
        if stop or out.native:
            body["stop_sequences"] = [*stop]


def _encode_thinking(request: Request, body: JSONObject, turns: list[JSONObject], out: Out) -> None:
    if request.reasoning is None or not _takes("reasoning", request.reasoning, out):
        return
    thinking, effort = encode_reasoning(request.reasoning, request.max_tokens, out)
    if effort is not None:
        body["output_config"] = {"effort": effort}
    if thinking is None:
        return
    budget = thinking.get("budget_tokens")
    if thinking["type"] == "enabled" and (not out.native or out.dropped_reasoning):
        reason = _why_not_think(body, turns)
        if reason:
            out.loss.drop("reasoning", f"thinking is switched off for this request: {reason}")
            thinking.clear()
            thinking["type"] = "disabled"
        elif request.max_tokens is None and out.profile.max_output is None and type(budget) is int:
            # Thoughts count toward the limit: one that we chose must leave room for the answer.
            body["max_tokens"] = budget + DEFAULT_MAX_TOKENS
    body["thinking"] = thinking


def _why_not_think(body: JSONObject, turns: list[JSONObject]) -> str:
    """What forbids a thinking budget here; adaptive thinking has no such rules (Anthropic's guide to thinking)."""
    if lacks_thinking(turns):
        return "the open tool call was made without thoughts of this model"
    choice = body.get("tool_choice")
    if type(choice) is dict and choice.get("type") in ("any", "tool"):
        return "a forced tool call excludes it"
    return ""


def _encode_output(request: Request, body: JSONObject, out: Out) -> None:
    output = request.output
    if output is None or output.kind == "text" or not _takes("output", output, out):
        return
    if output.kind == "json_object" or output.schema is None:
        out.loss.refuse("output", "JSON without a schema cannot be asked for in this format")
    if not out.lenient and out.profile.structured != "schema":
        out.loss.unsupported("output", "this model does not enforce schemas")
        return
    format_: JSONObject = {"type": "json_schema", "schema": output.schema}
    merge_kept(format_, kept(output.wire, NAME))
    if form_of(output.wire, NAME) == "output_format":
        body["output_format"] = format_
        return
    config = body.setdefault("output_config", {})
    if type(config) is dict:
        config["format"] = format_


def _encode_sampling(request: Request, body: JSONObject, out: Out) -> None:
    thinking = body.get("thinking")
    thinks = type(thinking) is dict and thinking.get("type") in ("enabled", "adaptive") and not out.native
    for name, value in (("temperature", request.temperature), ("top_p", request.top_p), ("top_k", request.top_k)):
        if not _takes(name, value, out):
            continue
        if not out.profile.sampling and not out.lenient:
            out.loss.unsupported(name, "this model chooses its own sampling")
        elif thinks and not _fits_thinking(name, value):
            out.loss.unsupported(name, "a model that thinks takes no other sampling than its own")
        else:
            body[name] = value


def _fits_thinking(name: str, value: float | None) -> bool:
    """Sampling that goes together with thinking (Anthropic's guide to extended thinking)."""
    if name == "temperature":
        return value == 1
    return name == "top_p" and value is not None and value >= 0.95


def _encode_caller(request: Request, body: JSONObject, out: Out) -> None:
    if request.user is not None and _takes("user", request.user, out):
        body["metadata"] = {"user_id": request.user}
    if request.metadata:
        out.loss.drop("metadata", "this format keeps no metadata but the user's id")
    if request.cache_key is not None:
        out.loss.drop("cache_key", "caching is asked for with cache hints in this format")
    tier = request.service_tier
    if tier is None or not _takes("service_tier", tier, out):
        return
    if out.native or tier in _OWN_TIERS:
        body["service_tier"] = tier
    elif tier in _TIERS:
        body["service_tier"] = _TIERS[tier]
        out.loss.emulate("service_tier", f"tier {tier!r} becomes {_TIERS[tier]!r}")
    else:
        out.loss.drop("service_tier", f"there is no tier {tier!r} here")


def _refuse_the_rest(request: Request, out: Out) -> None:
    """Options that this format has no words for."""
    if request.n is not None and request.n > 1:
        out.loss.refuse("n", "this provider gives one answer a request")
    if request.logprobs is not None:
        out.loss.refuse("logprobs", "this provider reports no probabilities")
    if request.logit_bias:
        out.loss.refuse("logit_bias", "this provider takes no biases")
    if request.seed is not None:
        out.loss.unsupported("seed", "this provider takes no seed")
    # A penalty of 0 is none.
    if request.presence_penalty:
        out.loss.unsupported("presence_penalty", "this provider takes no penalties")
    if request.frequency_penalty:
        out.loss.unsupported("frequency_penalty", "this provider takes no penalties")


def _report_foreign(request: Request, out: Out) -> None:
    """What another format said about the whole request, and the hub does not model."""
    wire = request.wire
    if not out.foreign or wire is None or wire.dialect == NAME:
        return
    fields = dict(wire.fields)
    for group in ("generationConfig", "text"):
        nested = fields.pop(group, None)
        if type(nested) is dict:
            fields.update(nested)
    for key, value in fields.items():
        if key in _HARMLESS or value in (None, False, "", [], {}):
            continue
        if key in ("modalities", "responseModalities"):
            if type(value) is list and any(str(kind).lower() != "text" for kind in value):
                out.loss.refuse(key, "this provider answers in text only")
            continue
        if key in _STATE:
            out.loss.refuse(key, "what another provider stores or hosts cannot be used here")
        out.loss.drop(key, f"{wire.dialect} has this option, this format has not")
