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
    from aistrale.types import JSONObject, OutputFormat

STATE_FIELDS: Final = ("previous_response_id", "conversation", "prompt", "background", "store")
"""Fields by which a request leans on what OpenAI has stored, or asks it to store: they cannot move to another provider.

They stand in `request.wire.fields` under these names. The encoder of any other dialect must refuse a request where one
of them is neither null nor false; a request that only asks to be stored ("store") may lose that, if it is recorded.
"""

_MODELLED: Final = frozenset(
    {
        "stream",
        "top_logprobs",
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
    {"container", "cachedContent", "cached_content", "previous_interaction_id", "previousInteractionId"}
)


# --- decoding ------------------------------------------------------------------------------------------------------


def decode_request(body: JSONObject, *, model: str | None = None, stream: bool | None = None) -> Request:
    """Read the body of a `POST /v1/responses`.

    Args:
        body: The parsed body.
        model: Used where the body names none.
        stream: Used where the body does not say.

    Returns:
        The request; `wire.fields` holds what the hub does not model, stored state among it (see `STATE_FIELDS`).

    Raises:
        MalformedBody: A field has the wrong type.
    """
    fields = rest(body, _MODELLED)
    # How the caller said what the hub says in one way only.
    words: list[str] = []
    tools = get_list(body, "tools")
    if body.get("tools") == []:
        words.append("tools")
    if body.get("model") == "":
        fields["model"] = ""
    messages = _decode_messages(body, fields, words)
    said = get_bool(body, "stream")
    if said is False:
        words.append("stream")
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
        logprobs=_decode_logprobs(body, fields, words),
        output=_decode_text(body, fields),
        reasoning=None if reasoning is None else decode_reasoning_options(reasoning),
        user=_decode_user(body, fields, words),
        metadata=_decode_metadata(body, fields),
        service_tier=get_str(body, "service_tier"),
        cache_key=get_str(body, "prompt_cache_key"),
        stream=bool(stream) if said is None else said,
        source=NAME,
        wire=Wire(NAME, fields, " ".join(words)),
    )


def _decode_messages(body: JSONObject, fields: JSONObject, words: list[str]) -> list[Message]:
    messages: list[Message] = []
    if instructions := get_str(body, "instructions"):
        messages.append(Message("system", [TextPart(instructions)], wire=Wire(NAME, {}, INSTRUCTIONS)))
    elif "instructions" in body:
        fields["instructions"] = body["instructions"]
    given = body.get("input")
    if type(given) is str:
        messages.append(Message("user", [TextPart(given)], wire=Wire(NAME, {}, BARE)))
    elif given is None:
        # A stored prompt may be the whole request.
        words.append("no_input")
    else:
        messages.extend(decode_input(as_list(given, "input")))
    return messages


def _decode_text(body: JSONObject, fields: JSONObject) -> OutputFormat | None:
    text = get_object(body, "text")
    shape = None if text is None else text.get("format")
    if text is None or shape is None:
        return None
    output = decode_output(shape)
    if output is not None:
        fields["text"] = {key: value for key, value in text.items() if key != "format"}
    return output


def _decode_logprobs(body: JSONObject, fields: JSONObject, words: list[str]) -> int | None:
    include, count = get_list(body, "include"), get_int(body, "top_logprobs")
    asked = include.count(_LOGPROBS) == 1
    if asked:
        words.append(f"include={include.index(_LOGPROBS)}")
        fields["include"] = [item for item in include if item != _LOGPROBS]
    if count is not None:
        words.append("top_logprobs")
    return 0 if asked and count is None else count


def _decode_user(body: JSONObject, fields: JSONObject, words: list[str]) -> str | None:
    for name in ("safety_identifier", "user"):
        user = get_str(body, name)
        if user is not None:
            words.append(name)
            del fields[name]
            return user
    return None


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
    known, words = ours(request.wire), form(request.wire).split(" ")
    body = node_fields(request.wire) if known else _foreign_fields(request, loss)
    if request.model or not known:
        body["model"] = request.model
    instructions, items = encode_input(request.messages, ContentEncoder(profile, loss))
    if instructions is not None:
        body["instructions"] = instructions
    if items or "no_input" not in words:
        body["input"] = items
    _refuse(request, loss)
    if (request.tools and _takes("tools", profile, loss)) or "tools" in words:
        body["tools"] = encode_tools(request.tools, loss)
    _encode_sampling(request, body, profile, loss)
    if request.logprobs is not None and _takes("logprobs", profile, loss):
        _encode_logprobs(request.logprobs, body, words)
    _encode_text(request, body, profile, loss)
    _encode_reasoning(request, body, profile, loss)
    if request.user is not None and _takes("user", profile, loss):
        body["safety_identifier" if "safety_identifier" in words else "user"] = request.user
    _encode_service(request, body, profile, loss)
    if request.stream or "stream" in words:
        body["stream"] = request.stream
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


def _encode_sampling(request: Request, body: JSONObject, profile: Profile, loss: Loss) -> None:
    if request.tool_choice is not None and _takes("tool_choice", profile, loss):
        body["tool_choice"] = encode_tool_choice(request.tool_choice, request.tools)
    if request.parallel_tool_calls is not None and _takes("parallel_tool_calls", profile, loss):
        body["parallel_tool_calls"] = request.parallel_tool_calls
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


def _encode_logprobs(count: int, body: JSONObject, words: list[str]) -> None:
    place = next((int(word.removeprefix("include=")) for word in words if word.startswith("include=")), None)
    told = "top_logprobs" in words
    if place is not None or not told:
        include = body.get("include")
        items = list(include) if type(include) is list else []
        items.insert(len(items) if place is None else place, _LOGPROBS)
        body["include"] = items
    if told or count > 0:
        body["top_logprobs"] = count


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


def _encode_service(request: Request, body: JSONObject, profile: Profile, loss: Loss) -> None:
    if request.metadata is not None and _takes("metadata", profile, loss):
        body["metadata"] = {**request.metadata}
    if request.cache_key is not None and _takes("cache_key", profile, loss):
        body["prompt_cache_key"] = request.cache_key
    tier = request.service_tier
    if tier is None or not _takes("service_tier", profile, loss):
        return
    if request.source not in {None, NAME} and tier in _STANDARD_TIERS:
        body["service_tier"] = "default"
    elif request.source in {None, NAME, "openai_chat"} or tier in _TIERS:
        body["service_tier"] = tier
    else:
        loss.unsupported("service_tier", f"OpenAI has no tier {tier!r}.")
