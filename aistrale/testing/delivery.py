"""From an answer to bytes on the wire, in the words and with the habits of the provider that is played."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from aistrale.core.sse import SSE, encode_sse
from aistrale.dialects import chat_dialect, embed_dialect
from aistrale.dialects.base import Loss
from aistrale.dialects.shape import dump_json, kept
from aistrale.testing.brain import pieces
from aistrale.testing.errors import error_body, error_frames, error_headers, fault_info
from aistrale.testing.server import Served
from aistrale.testing.wrecks import emptied, wreck_body, wreck_frames
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Finish,
    ReasoningDelta,
    ReasoningPart,
    RefusalPart,
    ReplyEnd,
    ReplyStart,
    TextDelta,
    TextPart,
    ToolCallPart,
    UsageUpdate,
    Wire,
)

if TYPE_CHECKING:
    from aistrale.dialects.base import EventEncoder
    from aistrale.testing.faults import Broken, Fault, Slow
    from aistrale.testing.routes import Route
    from aistrale.types import JSON, Completion, Embeddings, ErrorInfo, Event, JSONObject, Part, Request

_JSON: Final = ("content-type", "application/json")
_DONE: Final = b"data: [DONE]\n\n"
# Wrecks that happen to the exchange as a whole, whether its answer is streamed or not.
_WHOLESALE: Final = frozenset({"reset", "stall", "close", "html", "bad_gzip"})
# A minute's worth of a large account: clients that keep to what headers say must not have to wait for it.
_LIMITS: Final = {"requests": 30_000, "tokens": 30_000_000}


@dataclass(slots=True, frozen=True)
class Manner:
    """How an answer goes out.

    Args:
        slow: How fast.
        broken: What goes wrong with it.
    """

    slow: Slow
    broken: Broken | None = None

    @property
    def wreck(self) -> str | None:
        """What goes wrong with it."""
        return None if self.broken is None else self.broken.wreck


def document(body: JSON, status: int = 200) -> Served:
    """A JSON answer."""
    return Served(status, [_JSON], dump_json(body).encode())


def own_headers(found: Route, request_id: str, *, spent: bool = False) -> list[tuple[str, str]]:
    """The headers by which the provider names the exchange and its limits.

    Args:
        found: Who is played.
        request_id: The exchange's id.
        spent: Nothing is left of the limits.
    """
    if found.provider == "anthropic":
        limits = [
            (f"anthropic-ratelimit-{what}-{name}", value)
            for what, most in _LIMITS.items()
            for name, value in _window(most, "2026-01-31T12:01:00Z", spent=spent)
        ]
        return [("request-id", request_id), *limits]
    if found.provider == "gemini":
        return [("server-timing", "gfet4t7; dur=100")]
    if found.provider == "huggingface":
        return [("x-request-id", f"Root=1-{request_id}")]
    reset = "60" if found.azure else "1m0s"
    limits = [
        (f"x-ratelimit-{name}-{what}", value)
        for what, most in _LIMITS.items()
        for name, value in _window(most, reset, spent=spent)
    ]
    named = [("openai-processing-ms", "100")] if found.provider == "openai" else [("x-groq-region", "simulated")]
    return [("x-request-id", request_id), *named, *limits]


def _window(most: int, reset: str, *, spent: bool) -> tuple[tuple[str, str], ...]:
    return ("limit", str(most)), ("remaining", "0" if spent else str(most - 1)), ("reset", reset)


def error(found: Route, info: ErrorInfo, request_id: str) -> Served:
    """An error in the provider's shape."""
    status = info.status or 500
    body = error_body(found, info)
    if found.provider == "anthropic" and "request_id" in body:
        body["request_id"] = request_id
    served = document(body, status)
    served.headers += own_headers(found, request_id, spent=status == 429)
    served.headers += error_headers(found, info, status)
    return served


def fault(found: Route, step: Fault, request_id: str) -> Served:
    """A scripted error."""
    served = error(found, fault_info(found, step), request_id)
    if step.body is not None:
        served.body = step.body if isinstance(step.body, bytes) else dump_json(step.body).encode()
    given = {name.lower(): value for name, value in step.headers.items()}
    served.headers = [header for header in served.headers if header[0] not in given] + [*given.items()]
    return served


def token_count(found: Route, count: int) -> JSONObject:
    """The answer to a request that only counts."""
    if found.dialect == "gemini_generate":
        return {"totalTokens": count, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": count}]}
    if found.dialect == "openai_responses":
        return {"object": "response.input_tokens", "input_tokens": count}
    return {"input_tokens": count}


def embeddings_body(found: Route, asked: JSONObject, embeddings: Embeddings) -> JSON:
    """Embeddings in the provider's shape."""
    if found.dialect == "openai_embeddings":
        from aistrale.dialects import openai_embeddings

        packed: Literal["base64", "float"] = "base64" if asked.get("encoding_format") == "base64" else "float"
        return openai_embeddings.encode_response(embeddings, encoding_format=packed)
    body = embed_dialect(found.dialect).encode_response(embeddings)
    vectors = body.pop("embeddings", None) if found.single and isinstance(body, dict) else None
    return {**body, "embedding": vectors[0]} if isinstance(body, dict) and isinstance(vectors, list) else body


def model_list(found: Route, models: list[str]) -> JSONObject | None:
    """The provider's models, or the one that the path names; None where there is no such model."""
    entries = [_model(found, name) for name in models if found.model in {None, name, f"models/{name}"}]
    if found.model is not None:
        return entries[0] if entries else None
    if found.provider == "gemini":
        return {"models": [*entries]}
    if found.provider == "anthropic":
        ends: JSONObject = {"first_id": models[0], "last_id": models[-1]} if models else {}
        return {"data": [*entries], "has_more": False, **ends}
    return {"object": "list", "data": [*entries]}


def _model(found: Route, name: str) -> JSONObject:
    if found.provider == "gemini":
        methods: list[JSON] = ["generateContent", "countTokens", "embedContent"]
        return {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": methods}
    if found.provider == "anthropic":
        told: JSONObject = {"display_name": name, "created_at": "2026-01-31T12:00:00Z", "lifecycle": "active"}
        return {"type": "model", "id": name, **told}
    return {"id": name, "object": "model", "created": 1_790_000_000, "owned_by": found.provider}


# --- good answers, and what becomes of them ---------------------------------------------------------------------------


def plain(found: Route, body: JSON, request_id: str, manner: Manner) -> Served:
    """A body that is sent in one go."""
    served = document(body)
    served.headers += own_headers(found, request_id)
    served.delay = manner.slow.headers
    if manner.broken is not None:
        wreck_body(served, manner.broken, found)
    elif manner.slow.drip:
        _drip(served, manner.slow, served.body)
    return served


def whole(found: Route, request: Request, completion: Completion, request_id: str, manner: Manner) -> Served:
    """An answer that is not streamed."""
    if manner.wreck == "empty":
        completion = emptied(completion)
    return plain(found, _encoded(found, request, completion), request_id, manner)


def _encoded(found: Route, request: Request, completion: Completion) -> JSONObject:
    if found.dialect == "openai_chat":
        from aistrale.dialects import openai_chat

        return openai_chat.encode_response(completion, Loss(), reasoning_field=_reasoning_field(found))
    if found.dialect == "openai_responses":
        from aistrale.dialects import openai_responses

        return openai_responses.encode_response(completion, Loss(), request)
    return chat_dialect(found.dialect).encode_response(completion, Loss())


def stream(found: Route, request: Request, completion: Completion, request_id: str, manner: Manner) -> Served:
    """A streamed answer, frame by frame."""
    if manner.wreck in _WHOLESALE:
        return whole(found, request, completion, request_id, manner)
    encoder = _encoder(found, request)
    events = unfold(completion, early_usage=found.dialect == "anthropic_messages")
    frames: list[SSE] = []
    content = None
    for event in events:
        if content is None and isinstance(event, Finish):
            content = len(frames)
        frames += encoder.feed(event)
    frames += encoder.finish()
    if found.provider == "openai" and found.dialect == "openai_chat" and _asks_for_counts(request):
        frames = [_uncounted(frame) for frame in frames]
    sent = [_framed(frame, found) for frame in frames]
    if found.provider == "huggingface" and manner.wreck in {None, "bad_json"}:
        # Most of its backends end without a sentinel.
        sent = [piece for piece in sent if piece != _DONE]
    kind = "application/json" if found.array else "text/event-stream; charset=utf-8"
    served = Served(headers=[("content-type", kind), *own_headers(found, request_id)])
    slow = manner.slow
    served.delay, served.first, served.between = slow.headers, slow.first, slow.between
    if manner.broken is not None:
        unfinished = sent[:content]
        sent = wreck_frames(sent, unfinished, served, manner.broken, lambda error: _errors(found, error))
    if found.array:
        sent = _in_array(sent, closed=served.ending == "ok")
    served.pieces = sent
    if slow.drip:
        _drip(served, slow, b"".join(sent))
    return served


def _asks_for_counts(request: Request) -> bool:
    options = kept(request.wire, "openai_chat").get("stream_options")
    return type(options) is dict and options.get("include_usage") is True


def _uncounted(frame: SSE) -> SSE:
    """A chunk as OpenAI writes it where counts are asked for: each has them, and they are null in all but one."""
    # Quotes in strings are escaped, so that these are names.
    if '"choices":[' not in frame.data or ',"usage":' in frame.data:
        return frame
    return SSE(frame.event, f'{frame.data[:-1]},"usage":null}}')


def _drip(served: Served, slow: Slow, body: bytes) -> None:
    size = slow.drip or len(body)
    served.pieces = [body[start : start + size] for start in range(0, len(body), size)]
    served.first, served.between = slow.first, slow.between


def _encoder(found: Route, request: Request) -> EventEncoder:
    if found.dialect == "openai_chat":
        from aistrale.dialects import openai_chat

        return openai_chat.event_encoder(
            request, Loss(), groq=found.provider == "groq", reasoning_field=_reasoning_field(found)
        )
    return chat_dialect(found.dialect).event_encoder(request, Loss())


def _reasoning_field(found: Route) -> str | None:
    return "reasoning" if found.provider in {"groq", "huggingface"} else None


def _framed(frame: SSE, found: Route) -> bytes:
    if found.array:
        return frame.data.encode()
    named = found.dialect in {"anthropic_messages", "openai_responses"}
    return encode_sse(frame.data, frame.event if named or frame.event == "error" else "")


def _errors(found: Route, error: Fault) -> list[bytes]:
    return [_framed(frame, found) for frame in error_frames(found, fault_info(found, error))]


def _in_array(elements: list[bytes], *, closed: bool) -> list[bytes]:
    """The chunks as elements of one JSON array, which is what a Gemini stream without `alt=sse` is."""
    sent = [(b",\r\n" if index else b"[") + element for index, element in enumerate(elements)] or [b"["]
    return [*sent, b"]"] if closed else sent


def unfold(completion: Completion, *, early_usage: bool = False) -> list[Event]:
    """A whole answer as the events of a stream, text word by word.

    Args:
        completion: The answer.
        early_usage: What the input came to is told at once, as Anthropic does.
    """
    events: list[Event] = [ReplyStart(completion.id, completion.model, completion.created)]
    if early_usage and completion.usage is not None:
        events.append(UsageUpdate(replace(completion.usage, output=1, reasoning=None)))
    for choice in completion.choices:
        for block, part in enumerate(choice.message.parts):
            events += _block(part, block, choice.index)
        events.append(Finish(choice.finish_reason, choice.index, choice.stop_sequence))
    if completion.usage is not None:
        events.append(UsageUpdate(completion.usage))
    return [*events, ReplyEnd()]


def _block(part: Part, block: int, choice: int) -> list[Event]:
    start: Part = part
    deltas: list[Event] = []
    late: Wire | None = None
    if isinstance(part, (TextPart, RefusalPart)):
        deltas = [TextDelta(piece, block, choice) for piece in pieces(part.text)]
        start = type(part)("", wire=part.wire)
    elif isinstance(part, ReasoningPart) and not part.redacted:
        deltas = [ReasoningDelta(piece, block, choice) for piece in pieces(part.text)]
        start = ReasoningPart("", wire=part.wire)
        if part.wire is not None and "signature" in part.wire.fields:
            # A signature comes last.
            start, late = ReasoningPart("", wire=Wire(part.wire.dialect, {}, part.wire.form)), part.wire
    elif isinstance(part, ToolCallPart):
        half = len(part.arguments) // 2
        slices = [text for text in (part.arguments[:half], part.arguments[half:]) if text]
        deltas = [ArgumentsDelta(text, block, choice) for text in slices]
        start = ToolCallPart(part.id, part.name, wire=part.wire)
    return [BlockStart(block, start, choice), *deltas, BlockEnd(block, choice, late)]
