"""Requests of the OpenAI chat dialect, both directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from aistrale.dialects._chat_history import encode_messages
from aistrale.dialects._chat_messages import decode_messages
from aistrale.dialects._chat_options import encode_options
from aistrale.dialects._chat_tools import (
    decode_output,
    decode_tool_choice,
    decode_tools,
    encode_output,
    encode_tool_choice,
    encode_tools,
)
from aistrale.dialects._chat_wire import NAME, Context, note, words_of
from aistrale.dialects.shape import (
    MalformedBody,
    as_list,
    as_number,
    as_object,
    as_str,
    get_bool,
    get_int,
    get_list,
    get_number,
    get_str,
    kept,
    rest,
)
from aistrale.types import REASONING_EFFORTS, Reasoning, Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistrale.dialects.base import Loss, Profile
    from aistrale.types import JSON, JSONObject

# Read and written under the same name and in the same shape.
_PLAIN: Final[dict[str, Callable[[JSONObject, str], object]]] = {
    "parallel_tool_calls": get_bool,
    "temperature": get_number,
    "top_p": get_number,
    "top_k": get_int,
    "seed": get_int,
    "n": get_int,
    "presence_penalty": get_number,
    "frequency_penalty": get_number,
    "service_tier": get_str,
}


def decode_request(body: JSONObject, *, model: str | None = None, stream: bool | None = None) -> Request:
    """Read a caller's body.

    Args:
        body: The body.
        model: The model of the URL, for bodies without one (Azure's deployments).
        stream: Overrides the body's `stream`.

    Raises:
        MalformedBody: Something in it has the wrong shape.
    """
    words: list[str] = []
    modelled: set[str] = {"messages", "model", "stream", *_PLAIN}
    request = Request(
        model=get_str(body, "model") or model or "",
        messages=decode_messages(as_list(body.get("messages"), "messages")),
        source=NAME,
    )
    for name, read in _PLAIN.items():
        setattr(request, name, read(body, name))
    asked = get_bool(body, "stream")
    request.stream = bool(asked) if stream is None else stream
    if asked is False:
        words.append("stream")
    if body.get("model") == "":
        words.append("model")
    _read_limit(body, request, modelled, words)
    _read_user(body, request, modelled, words)
    _read_stop(body, request, modelled, words)
    _read_logprobs(body, request, modelled, words)
    _read_maps(body, request, modelled)
    _read_tools(body, request, modelled, words)
    _read_reasoning(body, request, modelled)
    request.cache_key = get_str(body, "prompt_cache_key")
    modelled.add("prompt_cache_key")
    request.wire = note(rest(body, modelled), words)
    return request


def _read_limit(body: JSONObject, request: Request, modelled: set[str], words: list[str]) -> None:
    for name in ("max_completion_tokens", "max_tokens"):
        limit = get_int(body, name)
        if limit is not None:
            request.max_tokens = limit
            modelled.add(name)
            words.extend(["max_tokens"] if name == "max_tokens" else [])
            return


def _read_user(body: JSONObject, request: Request, modelled: set[str], words: list[str]) -> None:
    for name in ("user", "safety_identifier"):
        user = get_str(body, name)
        if user is not None:
            request.user = user
            modelled.add(name)
            words.extend(["safety_identifier"] if name == "safety_identifier" else [])
            return


def _read_stop(body: JSONObject, request: Request, modelled: set[str], words: list[str]) -> None:
    stop = body.get("stop")
    if stop is None:
        return
    modelled.add("stop")
    if type(stop) is str:
        request.stop = [stop]
        words.append("stop")
    elif type(stop) is list:
        request.stop = [as_str(item, f"stop[{index}]") for index, item in enumerate(stop)]
    else:
        raise MalformedBody("stop", "a string or a list of strings")


def _read_logprobs(body: JSONObject, request: Request, modelled: set[str], words: list[str]) -> None:
    wanted = get_bool(body, "logprobs")
    top = get_int(body, "top_logprobs")
    if wanted is None:
        return
    modelled.add("logprobs")
    if not wanted:
        words.append("logprobs")
        return
    request.logprobs = top or 0
    modelled.add("top_logprobs")
    if top == 0:
        words.append("top_logprobs")


def _read_maps(body: JSONObject, request: Request, modelled: set[str]) -> None:
    if body.get("logit_bias") is not None:
        bias = as_object(body["logit_bias"], "logit_bias")
        request.logit_bias = {key: as_number(value, f"logit_bias.{key}") for key, value in bias.items()}
        modelled.add("logit_bias")
    metadata = body.get("metadata")
    if type(metadata) is dict and all(type(value) is str for value in metadata.values()):
        request.metadata = cast("dict[str, str]", dict(metadata))
        modelled.add("metadata")


def _read_tools(body: JSONObject, request: Request, modelled: set[str], words: list[str]) -> None:
    for name, word in (("tools", "no_tools"), ("functions", "no_functions")):
        if body.get(name) is not None:
            modelled.add(name)
            if not get_list(body, name):
                words.append(word)
    request.tools = decode_tools(body)
    request.tool_choice = decode_tool_choice(body)
    if request.tool_choice is not None:
        legacy = "function_call" in words_of(request.tool_choice.wire)
        modelled.add("function_call" if legacy else "tool_choice")
    request.output = decode_output(body)
    if request.output is not None:
        modelled.add("response_format")


def _read_reasoning(body: JSONObject, request: Request, modelled: set[str]) -> None:
    effort = get_str(body, "reasoning_effort")
    if effort in REASONING_EFFORTS:
        request.reasoning = Reasoning(effort)
        modelled.add("reasoning_effort")
    elif effort == "default":
        # Groq's word for what the hub says by saying nothing.
        request.reasoning = Reasoning(wire=note({}, ["default"]))
        modelled.add("reasoning_effort")


def encode_request(request: Request, profile: Profile, loss: Loss) -> JSONObject:
    """Write a provider's body.

    A request of this dialect is written as its caller wrote it; the profile still decides the name of the output limit
    and what the target refuses.

    Raises:
        InvalidRequestError: Something cannot be said, or the target does not take it (see Loss).
    """
    context = Context(profile, loss, own=request.source == NAME)
    words = words_of(request.wire)
    body = kept(request.wire, NAME)
    if request.model or "model" in words:
        body["model"] = request.model
    body["messages"] = encode_messages(request.messages, context)
    if request.tools and "tools" in profile.unsupported:
        loss.unsupported("tools", "the target takes no tools")
    else:
        body.update(encode_tools(request.tools, words, context))
        if request.tool_choice is not None and _says_something(request, context):
            if "tool_choice" in profile.unsupported:
                loss.unsupported("tool_choice", "the target takes no tool choice")
            else:
                body.update(encode_tool_choice(request.tool_choice))
    if request.output is not None:
        body.update(encode_output(request.output, context))
    body.update(encode_options(request, words, context))
    if request.stream or "stream" in words:
        body["stream"] = request.stream
    if request.stream and not context.own and profile.stream_usage:
        body["stream_options"] = {"include_usage": True}
    body.update(request.extra)
    return body


def _says_something(request: Request, context: Context) -> bool:
    """A choice without tools is refused by OpenAI; from elsewhere it says nothing and is left out."""
    return context.own or bool(request.tools)


def includes_usage(request: Request) -> bool:
    """Whether the caller of this dialect asked for a usage chunk at the end of the stream."""
    options: JSON = kept(request.wire, NAME).get("stream_options")
    return type(options) is dict and options.get("include_usage") is True
