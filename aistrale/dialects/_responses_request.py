"""OpenAI Responses: the request, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aistrale.dialects._responses_content import NAME, ContentEncoder, form, node_fields, ours
from aistrale.dialects._responses_input import BARE, INSTRUCTIONS, decode_input, encode_input
from aistrale.dialects._responses_options import (
    decode_output,
    decode_reasoning_options,
    decode_tool,
    decode_tool_choice,
    encode_output,
    encode_reasoning_options,
    encode_tool_choice,
    encode_tools,
)
from aistrale.dialects.shape import (
    as_list,
    get_bool,
    get_int,
    get_list,
    get_number,
    get_object,
    get_str,
    rest,
)
from aistrale.types import Message, Request, TextPart, Wire

if TYPE_CHECKING:
    from aistrale.dialects.base import Loss, Profile
    from aistrale.types import JSON, JSONObject, OutputFormat

STATE: Final = "$state"
"""Key of `Request.wire.fields` under which stored state is listed; see `STATE_FIELDS`."""
STATE_FIELDS: Final = ("previous_response_id", "conversation", "prompt", "background", "store")
"""Fields by which a request leans on what OpenAI has stored, or asks it to store: they cannot move to another provider.

Those that a request uses (that are neither null nor false) are listed by name in `request.wire.fields["$state"]`, and
their values stand beside the list under their own names. The encoder of any other dialect must refuse such a request.
"""

_MODELLED: Final = frozenset(
    {
        "model",
        "input",
        "instructions",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "max_output_tokens",
        "temperature",
        "top_p",
        "reasoning",
        "service_tier",
        "prompt_cache_key",
    }
)
_LOGPROBS: Final = "message.output_text.logprobs"
_ENCRYPTED: Final = "reasoning.encrypted_content"
_TIERS: Final = frozenset({"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"})
# What other providers call the tier that OpenAI calls default.
_STANDARD_TIERS: Final = frozenset({"standard", "standard_only", "on_demand"})
# Fields of the chat format that mean the same here, and those that only say how a stream is told.
_CHAT_FIELDS: Final = frozenset(
    {"store", "moderation", "prompt_cache_options", "prompt_cache_retention", "safety_identifier"}
)
_CHAT_NOISE: Final = frozenset({"stream_options", "stream"})
# State that other providers keep: Anthropic's containers, Gemini's cached contents and interactions.
_FOREIGN_STATE: Final = frozenset(
    {STATE, "container", "cachedContent", "cached_content", "previous_interaction_id", "previousInteractionId"}
)


# --- decoding ------------------------------------------------------------------------------------------------------


def decode_request(body: JSONObject, *, model: str | None = None, stream: bool | None = None) -> Request:
    """Read the body of a `POST /v1/responses`.

    Args:
        body: The parsed body.
        model: Used where the body names none.
        stream: Used where the body does not say.

    Returns:
        The request. `wire.fields` holds what the hub does not model, and under "$state" the names of the stored state
        that the request leans on (see `STATE_FIELDS`).

    Raises:
        MalformedBody: A field has the wrong type.
    """
    fields = rest(body, _MODELLED)
    tools = get_list(body, "tools")
    if body.get("tools") == []:
        fields["tools"] = []
    state: list[JSON] = [name for name in STATE_FIELDS if body.get(name)]
    if state:
        fields[STATE] = state
    messages, notation = _decode_messages(body, fields)
    said = get_bool(body, "stream")
    reasoning, choice = body.get("reasoning"), body.get("tool_choice")
    return Request(
        model=get_str(body, "model") or model or "",
        messages=messages,
        tools=[decode_tool(tool, f"tools[{at}]") for at, tool in enumerate(tools)],
        tool_choice=None if choice is None else decode_tool_choice(choice),
        parallel_tool_calls=get_bool(body, "parallel_tool_calls"),
        max_tokens=get_int(body, "max_output_tokens"),
        temperature=get_number(body, "temperature"),
        top_p=get_number(body, "top_p"),
        logprobs=_decode_logprobs(body),
        output=_decode_text(body, fields),
        reasoning=None if reasoning is None else decode_reasoning_options(reasoning),
        user=get_str(body, "safety_identifier") or get_str(body, "user"),
        metadata=_decode_metadata(body, fields),
        service_tier=get_str(body, "service_tier"),
        cache_key=get_str(body, "prompt_cache_key"),
        stream=bool(stream) if said is None else said,
        source=NAME,
        wire=Wire(NAME, fields, notation),
    )


def _decode_messages(body: JSONObject, fields: JSONObject) -> tuple[list[Message], str]:
    """The conversation, and whether there is none at all (a stored prompt may be the whole request)."""
    messages: list[Message] = []
    if instructions := get_str(body, "instructions"):
        messages.append(Message("system", [TextPart(instructions)], wire=Wire(NAME, {}, INSTRUCTIONS)))
    elif "instructions" in body:
        fields["instructions"] = body["instructions"]
    given = body.get("input")
    if type(given) is str:
        messages.append(Message("user", [TextPart(given)], wire=Wire(NAME, {}, BARE)))
    elif given is None:
        return messages, "no input"
    else:
        messages.extend(decode_input(as_list(given, "input")))
    return messages, ""


def _decode_text(body: JSONObject, fields: JSONObject) -> OutputFormat | None:
    text = get_object(body, "text")
    shape = None if text is None else text.get("format")
    if text is None or shape is None:
        return None
    output = decode_output(shape)
    if output is not None:
        fields["text"] = {key: value for key, value in text.items() if key != "format"}
    return output


def _decode_logprobs(body: JSONObject) -> int | None:
    asked = _LOGPROBS in get_list(body, "include")
    count = get_int(body, "top_logprobs")
    return 0 if asked and count is None else count


def _decode_metadata(body: JSONObject, fields: JSONObject) -> dict[str, str] | None:
    metadata = get_object(body, "metadata")
    if metadata is None:
        return None
    texts = {key: value for key, value in metadata.items() if type(value) is str}
    if len(texts) < len(metadata):
        # The API takes strings only; it, not we, tells the caller so.
        return None
    del fields["metadata"]
    return texts


# --- encoding ------------------------------------------------------------------------------------------------------


def encode_request(request: Request, profile: Profile, loss: Loss) -> JSONObject:
    """Write the body of a `POST /v1/responses`.

    Args:
        request: The request in the hub's words.
        profile: What the target takes.
        loss: Where it is recorded what cannot be said.

    Returns:
        The body; `request.extra` is merged into it last.

    Raises:
        InvalidRequestError: Something cannot be said (see Loss).
    """
    known = ours(request.wire)
    body = node_fields(request.wire) if known else _foreign_fields(request, loss)
    if request.model or not known:
        body["model"] = request.model
    instructions, items = encode_input(request.messages, ContentEncoder(profile, loss))
    if instructions is not None:
        body["instructions"] = instructions
    if items or form(request.wire) != "no input":
        body["input"] = items
    _refuse(request, loss)
    _encode_tools(request, body, profile, loss)
    _encode_sampling(request, body, profile, loss)
    _encode_text(request, body, profile, loss)
    _encode_reasoning(request, body, profile, loss)
    _encode_identity(request, body, profile, loss)
    if request.stream:
        body["stream"] = True
    elif body.get("stream"):
        body["stream"] = False
    body.update(request.extra)
    return body


def _foreign_fields(request: Request, loss: Loss) -> JSONObject:
    """What a request of another dialect has beyond the hub, as far as it can be said here."""
    body: JSONObject = {}
    wire = request.wire
    if wire is None:
        return body
    for name, value in wire.fields.items():
        if value in (None, False, "", [], {}):
            continue
        if name in _FOREIGN_STATE:
            loss.refuse(name, "What another provider has stored cannot be used here; send the content instead.")
        if wire.dialect == "openai_chat" and name in _CHAT_FIELDS:
            body[name] = value
        elif wire.dialect == "openai_chat" and name == "verbosity":
            body["text"] = {"verbosity": value}
        elif name[:1] != "$" and name not in _CHAT_NOISE:
            loss.drop(name, "The field has no counterpart in the OpenAI Responses API.")
    return body


def _refuse(request: Request, loss: Loss) -> None:
    """Options that the API does not have."""
    if request.stop:
        loss.refuse("stop", "The OpenAI Responses API has no stop sequences.")
    if request.n is not None and request.n != 1:
        loss.refuse("n", "The OpenAI Responses API gives one answer a request.")
    if request.logit_bias:
        loss.refuse("logit_bias", "The OpenAI Responses API has no logit bias.")
    for name in ("top_k", "seed"):
        if getattr(request, name) is not None:
            loss.unsupported(name, f"The OpenAI Responses API has no {name}.")
    for name in ("presence_penalty", "frequency_penalty"):
        if getattr(request, name):
            loss.unsupported(name, "The OpenAI Responses API has no penalties.")


def _takes(name: str, profile: Profile, loss: Loss) -> bool:
    if name not in profile.unsupported:
        return True
    loss.unsupported(name, "The target does not take this option.")
    return False


def _encode_tools(request: Request, body: JSONObject, profile: Profile, loss: Loss) -> None:
    if request.tools or body.get("tools") == []:
        body["tools"] = encode_tools(request.tools, loss)
    if request.tool_choice is not None and _takes("tool_choice", profile, loss):
        body["tool_choice"] = encode_tool_choice(request.tool_choice, request.tools)
    if request.parallel_tool_calls is not None and _takes("parallel_tool_calls", profile, loss):
        body["parallel_tool_calls"] = request.parallel_tool_calls


def _encode_sampling(request: Request, body: JSONObject, profile: Profile, loss: Loss) -> None:
    if request.max_tokens is not None:
        body["max_output_tokens"] = request.max_tokens
    for name, value in (("temperature", request.temperature), ("top_p", request.top_p)):
        if value is None or not _takes(name, profile, loss):
            continue
        # 1 is the default, which models without sampling take too.
        if not profile.sampling and value != 1:
            loss.unsupported(name, "The model does its own sampling.")
        else:
            body[name] = value
    _encode_logprobs(request, body, profile, loss)


def _encode_logprobs(request: Request, body: JSONObject, profile: Profile, loss: Loss) -> None:
    include = body.get("include")
    asked = type(include) is list and _LOGPROBS in include
    if request.logprobs is None or not _takes("logprobs", profile, loss):
        if type(include) is list and asked:
            body["include"] = [word for word in include if word != _LOGPROBS]
        if body.get("top_logprobs") is not None:
            del body["top_logprobs"]
        return
    told = body.get("top_logprobs") is not None
    if not asked and not told:
        body["include"] = [*(include if type(include) is list else []), _LOGPROBS]
    if told or request.logprobs > 0:
        body["top_logprobs"] = request.logprobs


def _encode_text(request: Request, body: JSONObject, profile: Profile, loss: Loss) -> None:
    if request.output is None:
        return
    shape = encode_output(request.output, profile, loss)
    if shape is not None:
        text = body.get("text")
        body["text"] = {**(text if type(text) is dict else {}), "format": shape}


def _encode_reasoning(request: Request, body: JSONObject, profile: Profile, loss: Loss) -> None:
    if request.reasoning is None:
        return
    reasoning = encode_reasoning_options(request.reasoning, profile, loss)
    if ours(request.reasoning.wire):
        body["reasoning"] = reasoning
    elif reasoning:
        body["reasoning"] = reasoning
        include = body.get("include")
        words = include if type(include) is list else []
        if reasoning.get("effort") != "none" and _ENCRYPTED not in words:
            # Thoughts go back in the next request; to a server that stored none only their encrypted form says a thing.
            body["include"] = [*words, _ENCRYPTED]


def _encode_identity(request: Request, body: JSONObject, profile: Profile, loss: Loss) -> None:
    key = "safety_identifier" if body.get("safety_identifier") else "user"
    if request.user is not None and _takes("user", profile, loss):
        body[key] = request.user
    elif body.get(key):
        del body[key]
    if request.metadata is not None and _takes("metadata", profile, loss):
        body["metadata"] = {**request.metadata}
    if request.cache_key is not None and _takes("cache_key", profile, loss):
        body["prompt_cache_key"] = request.cache_key
    tier = request.service_tier
    if tier is None or not _takes("service_tier", profile, loss):
        return
    if request.source in {None, NAME, "openai_chat"} or tier in _TIERS:
        body["service_tier"] = tier
    elif tier in _STANDARD_TIERS:
        body["service_tier"] = "default"
    else:
        loss.unsupported("service_tier", f"OpenAI has no tier {tier!r}.")
