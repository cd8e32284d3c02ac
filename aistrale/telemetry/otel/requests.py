"""From a request to the attributes of the span of the exchange that it was sent in.

They say what was sent. A target that takes no seed was sent none, whatever the application asked for: what a
translation left out or said otherwise is left out here too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aistrale.telemetry.otel import conventions as words
from aistrale.telemetry.otel.attributes import speaks_openai
from aistrale.types import EmbedRequest

if TYPE_CHECKING:
    from aistrale.core.call import Call, Target
    from aistrale.telemetry.otel.attributes import Attributes
    from aistrale.telemetry.otel.conventions import Profile
    from aistrale.types import JSON, Request

_CHAT_APIS: Final = {"openai_chat": "chat_completions", "openai_responses": "responses"}
_MODALITIES: Final = {"audio": "speech", "image": "image"}
# Attributes by the field of the hub that they come from, which is what a translation names when it loses one.
_FIELDS: Final = {
    "seed": words.SEED,
    "temperature": words.TEMPERATURE,
    "top_p": words.TOP_P,
    "top_k": words.TOP_K,
    "frequency_penalty": words.FREQUENCY_PENALTY,
    "presence_penalty": words.PRESENCE_PENALTY,
    "stop": words.STOP_SEQUENCES,
    "n": words.CHOICE_COUNT,
    "reasoning": words.REASONING_LEVEL,
    "service_tier": words.OPENAI_REQUEST_TIER,
    "previous_response_id": words.PREVIOUS_RESPONSE,
    "previous_interaction_id": words.PREVIOUS_RESPONSE,
    "dimensions": words.DIMENSIONS,
    "encoding_format": words.ENCODING_FORMATS,
}


def request_attributes(call: Call, target: Target, profile: Profile) -> Attributes:
    """What the request asks for."""
    request = call.request
    prepared = call.prepared.get(target.name)
    lost = [] if prepared is None else prepared.lossy
    if isinstance(request, EmbedRequest):
        found = _vector_request(request)
    else:
        found = _chat_request(call, request, target, profile)
    for item in lost:
        found.pop(_FIELDS.get(item.field.partition(".")[0], ""), None)
        # What is asked for in other words, in the prompt for example, is asked for.
        if item.field == "output" and item.action == "dropped":
            found.pop(words.OUTPUT_TYPE, None)
    return found


def _chat_request(call: Call, request: Request, target: Target, profile: Profile) -> Attributes:
    found: Attributes = {}
    if call.context.session:
        found[words.CONVERSATION] = call.context.session
    if (limit := _limit(call, request, target)) is not None:
        found[words.MAX_TOKENS] = limit
    if request.seed is not None:
        found[words.SEED] = request.seed
    _sampling(request, profile, found)
    if request.stop:
        found[words.STOP_SEQUENCES] = tuple(request.stop)
    if request.n is not None and request.n != 1:
        found[words.CHOICE_COUNT] = request.n
    if request.stream and profile.details:
        found[words.STREAM] = True
    if (kind := _output_type(request)) is not None:
        found[words.OUTPUT_TYPE] = kind
    if profile.renamed:
        _newer(request, found)
    _openai_request(request, target, found)
    return found


def _limit(call: Call, request: Request, target: Target) -> int | None:
    """Most tokens of the answer, as they are sent."""
    limit = call.limit if call.limit is not None else request.max_tokens
    prepared = call.prepared.get(target.name)
    if prepared is None:
        return limit
    most = prepared.profile.max_output
    if limit is None:
        # Anthropic takes no request without one.
        return most if target.dialect == "anthropic_messages" != request.source else None
    clamped = most is not None and any(item.field == "max_tokens" for item in prepared.lossy)
    return min(limit, most) if clamped and most is not None else limit


def _vector_request(request: EmbedRequest) -> Attributes:
    found: Attributes = {}
    if request.dimensions is not None:
        found[words.DIMENSIONS] = request.dimensions
    if isinstance(form := _field(request, "encoding_format"), str):
        found[words.ENCODING_FORMATS] = (form,)
    return found


def _sampling(request: Request, profile: Profile, found: Attributes) -> None:
    for name, number in (
        (words.TEMPERATURE, request.temperature),
        (words.TOP_P, request.top_p),
        (words.FREQUENCY_PENALTY, request.frequency_penalty),
        (words.PRESENCE_PENALTY, request.presence_penalty),
    ):
        if number is not None:
            found[name] = float(number)
    if request.top_k is not None:
        # A number until 1.41, a count since.
        found[words.TOP_K] = int(request.top_k) if profile.renamed else float(request.top_k)


def _newer(request: Request, found: Attributes) -> None:
    if request.reasoning is not None and request.reasoning.effort:
        found[words.REASONING_LEVEL] = request.reasoning.effort
    before = _field(request, "previous_response_id") or _field(request, "previous_interaction_id")
    if isinstance(before, str):
        found[words.PREVIOUS_RESPONSE] = before
    # A template that is kept with OpenAI, in its Responses API.
    template = _field(request, "prompt")
    if isinstance(template, dict) and isinstance(name := template.get("id"), str):
        found[words.PROMPT_NAME] = name
        if isinstance(version := template.get("version"), str):
            found[words.PROMPT_VERSION] = version


def _output_type(request: Request) -> str | None:
    """The kind of output that was asked for; None where the request leaves it open."""
    if request.output is not None:
        return "text" if request.output.kind == "text" else "json"
    asked = _field(request, "modalities")
    for kind in asked if isinstance(asked, list) else ():
        if isinstance(kind, str) and kind.lower() in _MODALITIES:
            return _MODALITIES[kind.lower()]
    return None


def _openai_request(request: Request, target: Target, found: Attributes) -> None:
    if not speaks_openai(target):
        return
    if (api := _CHAT_APIS.get(target.dialect)) is not None:
        found[words.OPENAI_API] = api
    if request.service_tier and request.service_tier != "auto":
        found[words.OPENAI_REQUEST_TIER] = request.service_tier


def _field(request: Request | EmbedRequest, name: str) -> JSON:
    """A field that the hub has no word for, as the caller wrote it."""
    if name in request.extra:
        return request.extra[name]
    return None if request.wire is None else request.wire.fields.get(name)
