"""From an answer to bytes on the wire, in the words and with the habits of the provider that is played."""

from __future__ import annotations

import gzip
import hashlib
from typing import TYPE_CHECKING

from aistrale.core.sse import encode_sse
from aistrale.dialects import chat_dialect, embed_dialect
from aistrale.dialects.base import Loss
from aistrale.dialects.shape import dump_json
from aistrale.testing.brain import pieces
from aistrale.testing.server import Served
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Choice,
    Completion,
    ErrorInfo,
    Finish,
    Message,
    ReasoningDelta,
    ReasoningPart,
    ReplyEnd,
    ReplyStart,
    TextDelta,
    TextPart,
    ToolCallPart,
    UsageUpdate,
)

if TYPE_CHECKING:
    from aistrale.core.sse import SSE
    from aistrale.dialects.base import EventEncoder
    from aistrale.testing.faults import Broken, Fault, Slow
    from aistrale.testing.routes import Route
    from aistrale.types import JSON, Embeddings, ErrorKind, Event, JSONObject, Request

_KINDS: dict[int, ErrorKind] = {
    400: "invalid_request",
    401: "authentication",
    402: "quota",
    403: "permission",
    404: "model_not_found",
    413: "invalid_request",
    422: "invalid_request",
    429: "rate_limit",
    498: "overloaded",
    500: "server",
    502: "server",
    503: "overloaded",
    504: "server",
    529: "overloaded",
}
_HTML = b"<!doctype html><title>Bad gateway</title><h1>502</h1>"


def document(body: JSON, status: int = 200) -> Served:
    """A JSON answer."""
    return Served(status, [("content-type", "application/json")], dump_json(body).encode())


def own_headers(found: Route, seed: str) -> list[tuple[str, str]]:
    """The headers by which the provider names the exchange and its limits."""
    request_id = f"req_{hashlib.sha256(seed.encode()).hexdigest()[:20]}"
    if found.provider == "anthropic":
        limits = [("anthropic-ratelimit-requests-limit", "1000"), ("anthropic-ratelimit-requests-remaining", "999")]
        return [("request-id", request_id), *limits]
    if found.provider == "gemini":
        return [("server-timing", "gfet4t7; dur=100")]
    limits = [("x-ratelimit-limit-requests", "1000"), ("x-ratelimit-remaining-requests", "999")]
    return [("x-request-id", request_id), *limits]


def error(found: Route, info: ErrorInfo) -> Served:
    """An error in the provider's shape."""
    status, body = chat_dialect(_chat_of(found)).encode_error(info)
    served = document(body, status)
    served.headers += own_headers(found, dump_json(body))
    return served


def fault(found: Route, step: Fault) -> Served:
    """A scripted error."""
    info = ErrorInfo(
        step.status,
        step.message,
        code=step.code,
        retry_after=step.retry_after,
        kind=step.kind or _KINDS.get(step.status, "unknown"),
    )
    served = error(found, info)
    served.status = step.status
    if step.body is not None:
        served.body = dump_json(step.body).encode()
    if step.retry_after is not None and found.provider != "gemini":
        served.headers.append(("retry-after", f"{step.retry_after:g}"))
    served.headers += step.headers.items()
    return served


def _chat_of(found: Route) -> str:
    return {"openai_embeddings": "openai_chat", "hf_features": "openai_chat", "gemini_embed": "gemini_generate"}.get(
        found.dialect, found.dialect
    )


def token_count(found: Route, count: int) -> Served:
    """The answer to a request that only counts."""
    if found.provider == "gemini":
        return document({"totalTokens": count})
    return document({"input_tokens": count})


def embeddings_body(found: Route, asked: JSONObject, embeddings: Embeddings) -> JSON:
    """Embeddings in the provider's shape."""
    if found.dialect == "openai_embeddings":
        from aistrale.dialects import openai_embeddings

        wanted = asked.get("encoding_format")
        return openai_embeddings.encode_response(
            embeddings, encoding_format="base64" if wanted == "base64" else "float"
        )
    body = embed_dialect(found.dialect).encode_response(embeddings)
    if found.single and isinstance(body, dict) and isinstance(body.get("embeddings"), list):
        vectors = body["embeddings"]
        return {"embedding": vectors[0]} if isinstance(vectors, list) and vectors else {}
    return body


def whole(found: Route, request: Request, completion: Completion, slow: Slow, broken: Broken | None) -> Served:
    """An answer that is not streamed."""
    if broken is not None and broken.wreck == "empty":
        completion = Completion(
            completion.id, completion.model, [Choice(Message("assistant"), "stop")], completion.usage
        )
    body = chat_dialect(found.dialect).encode_response(completion, Loss())
    served = document(body)
    served.headers += own_headers(found, completion.id)
    served.delay = slow.headers
    if broken is not None:
        _break_body(served, broken, found)
    return served


def _break_body(served: Served, broken: Broken, found: Route) -> None:
    match broken.wreck:
        case "reset":
            served.ending = "reset"
            served.pieces = []
        case "stall":
            served.ending, served.body = "stall", b""
        case "bad_json":
            served.body = served.body[:-2] + b",,"
        case "bad_gzip":
            served.headers.append(("content-encoding", "gzip"))
            served.body = gzip.compress(served.body)[:-12]
        case "html":
            served.headers = [("content-type", "text/html")]
            served.body = _HTML
        case "error_in_200":
            _, body = chat_dialect(found.dialect).encode_error(_midway())
            served.body = dump_json(body).encode()
        case "empty":
            pass
        case _:
            served.length, served.body, served.ending = len(served.body), served.body[: len(served.body) // 2], "close"
            if broken.wreck == "stall_early":
                served.ending = "stall"
            elif broken.wreck == "reset_early":
                served.ending = "reset"


def stream(found: Route, request: Request, completion: Completion, slow: Slow, broken: Broken | None) -> Served:
    """A streamed answer, frame by frame."""
    if broken is not None and broken.wreck in {"reset", "stall", "html", "bad_gzip"}:
        served = whole(found, request, completion, slow, broken)
        return served
    encoder = _encoder(found, request)
    events = [] if broken is not None and broken.wreck == "empty" else unfold(completion)
    frames = [frame for event in events for frame in encoder.feed(event)]
    if broken is None or broken.wreck in {"bad_json"}:
        frames += encoder.finish()
    served = Served(headers=[("content-type", "text/event-stream; charset=utf-8"), *own_headers(found, completion.id)])
    served.delay, served.first, served.between = slow.headers, slow.first, slow.between
    sent = [_frame(frame, found) for frame in frames]
    if found.provider == "huggingface" and broken is None:
        # Most of its backends end without a sentinel.
        sent = [piece for piece in sent if piece != b"data: [DONE]\n\n"]
    if broken is not None:
        sent = _break_frames(sent, served, broken, found)
    served.pieces = sent
    return served


def _break_frames(sent: list[bytes], served: Served, broken: Broken, found: Route) -> list[bytes]:
    error_frames = [_frame(frame, found) for frame in chat_dialect(found.dialect).encode_stream_error(_midway())]
    # The last frame of what is there would already end the stream in some dialects.
    cut = sent[: min(broken.after + 1, max(len(sent) - 1, 0))]
    match broken.wreck:
        case "error_in_200":
            return error_frames
        case "error_midway":
            return [*cut, *error_frames]
        case "truncate":
            return cut
        case "bad_json":
            return [*cut, b'data: {"broken":\n\n', *sent[len(cut) :]]
        case "close_early" | "short":
            served.ending = "close"
        case "reset_early":
            served.ending = "reset"
            served.between = served.between or 0.001
        case "stall_early":
            served.ending = "stall"
        case _:
            return sent
    return cut


def _midway() -> ErrorInfo:
    return ErrorInfo(500, "The server had an error while processing the request.", kind="server")


def _encoder(found: Route, request: Request) -> EventEncoder:
    if found.dialect == "openai_chat":
        from aistrale.dialects import openai_chat

        return openai_chat.event_encoder(
            request, Loss(), groq=found.provider == "groq", reasoning_field=_reasoning_field(found)
        )
    return chat_dialect(found.dialect).event_encoder(request, Loss())


def _reasoning_field(found: Route) -> str | None:
    return "reasoning" if found.provider in {"groq", "huggingface"} else None


def _frame(frame: SSE, found: Route) -> bytes:
    named = found.dialect in {"anthropic_messages", "openai_responses"}
    return encode_sse(frame.data, frame.event if named or frame.event == "error" else "")


def unfold(completion: Completion) -> list[Event]:
    """A whole answer as the events of a stream, text word by word."""
    events: list[Event] = [ReplyStart(completion.id, completion.model, completion.created)]
    for choice in completion.choices:
        for block, part in enumerate(choice.message.parts):
            events += _block(part, block, choice.index)
        events.append(Finish(choice.finish_reason, choice.index, choice.stop_sequence))
    if completion.usage is not None:
        events.append(UsageUpdate(completion.usage))
    return [*events, ReplyEnd()]


def _block(part: object, block: int, choice: int) -> list[Event]:
    if isinstance(part, TextPart):
        deltas: list[Event] = [TextDelta(piece, block, choice) for piece in pieces(part.text)]
        return [BlockStart(block, TextPart("", wire=part.wire), choice), *deltas, BlockEnd(block, choice)]
    if isinstance(part, ReasoningPart):
        thoughts: list[Event] = [ReasoningDelta(piece, block, choice) for piece in pieces(part.text)]
        start = BlockStart(block, ReasoningPart("", redacted=part.redacted), choice)
        return [start, *thoughts, BlockEnd(block, choice, part.wire)]
    if isinstance(part, ToolCallPart):
        half = len(part.arguments) // 2
        slices = [text for text in (part.arguments[:half], part.arguments[half:]) if text]
        start = BlockStart(block, ToolCallPart(part.id, part.name), choice)
        return [start, *[ArgumentsDelta(text, block, choice) for text in slices], BlockEnd(block, choice)]
    return [BlockStart(block, part, choice), BlockEnd(block, choice)]  # type: ignore[arg-type]  # any other part is whole
