"""Errors as each provider words them: status, body and headers.

Sources: the providers' API references ("Error codes", "Errors", "Troubleshooting"), google.rpc's `ErrorInfo`,
`QuotaFailure` and `RetryInfo`, Groq's "API error codes", and the bodies of Text Generation Inference.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aistrale.dialects import chat_dialect
from aistrale.types import ErrorInfo

if TYPE_CHECKING:
    from aistrale.core.sse import SSE
    from aistrale.testing.faults import Fault
    from aistrale.testing.routes import Route
    from aistrale.types import JSON, ErrorKind, JSONObject

_BY_STATUS: Final[dict[int, ErrorKind]] = {
    400: "invalid_request",
    401: "authentication",
    402: "quota",
    403: "permission",
    404: "model_not_found",
    413: "invalid_request",
    422: "invalid_request",
    429: "rate_limit",
    498: "overloaded",
    503: "overloaded",
    529: "overloaded",
}
_COMMON: Final[dict[ErrorKind, int]] = {
    "authentication": 401,
    "permission": 403,
    "rate_limit": 429,
    "quota": 429,
    "invalid_request": 400,
    "context_length": 400,
    "content_filter": 400,
    "model_not_found": 404,
    "overloaded": 503,
    "server": 500,
    "unknown": 500,
}
# Where a provider reports a kind by another status.
_OWN: Final[dict[str, dict[ErrorKind, int]]] = {
    "anthropic": {"quota": 402, "overloaded": 529},
    "gemini": {"authentication": 400},
    "groq": {"overloaded": 498},
    "huggingface": {"quota": 402, "invalid_request": 422, "context_length": 422},
}
# Type and code where they differ from those by which OpenAI's dialect words the kind.
_WORDS: Final[dict[tuple[str, ErrorKind], tuple[str, str]]] = {
    ("openai", "rate_limit"): ("tokens", "rate_limit_exceeded"),
    ("groq", "rate_limit"): ("tokens", "rate_limit_exceeded"),
    ("groq", "overloaded"): ("server_error", "capacity_exceeded"),
    ("groq", "permission"): ("permissions_error", "model_permission_blocked_project"),
}
_RPC: Final = "type.googleapis.com/google.rpc."
_RETRIED: Final = frozenset({408, 409, 429})


def fault_info(found: Route, step: Fault) -> ErrorInfo:
    """A scripted error before it is worded; its status is the one that is sent."""
    kind = step.kind
    if kind is None:
        kind = _BY_STATUS.get(step.status or 0, "server" if (step.status or 0) >= 500 else "unknown")
    status = step.status or _OWN.get(found.provider, {}).get(kind) or _COMMON[kind]
    return ErrorInfo(status, step.message, step.type, step.code, retry_after=step.retry_after, kind=kind)


def error_body(found: Route, info: ErrorInfo) -> JSONObject:
    """The body by which the provider reports the error."""
    if found.provider == "huggingface":
        return _hugging_face(info)
    if found.azure and info.kind == "rate_limit" and info.code is None:
        return {"error": {"code": "RateLimitReached", "message": info.message}}
    type_, code = _WORDS.get((found.provider, info.kind), (None, None))
    worded = replace(info, type=info.type or type_, code=info.code or code)
    _, body = chat_dialect(found.chat).encode_error(worded)
    error = body.get("error")
    if isinstance(error, dict):
        _details(found, info, error)
    return body


def error_frames(found: Route, info: ErrorInfo) -> list[SSE]:
    """The events by which the provider reports the error in a stream that has begun."""
    from aistrale.core.sse import SSE
    from aistrale.dialects.shape import dump_json

    if found.chat in {"anthropic_messages", "openai_responses"}:
        return chat_dialect(found.chat).encode_stream_error(info)
    body = error_body(found, info)
    error = body.get("error")
    if found.provider != "groq" or not isinstance(error, dict):
        return [SSE("", dump_json(body))]
    return [SSE("error", dump_json({"error": {**error, "status_code": info.status}}))]


def error_headers(found: Route, info: ErrorInfo, status: int) -> list[tuple[str, str]]:
    """The headers that come with an error beside those that come with every answer."""
    headers: list[tuple[str, str]] = []
    wait = info.retry_after
    in_body = found.chat == "gemini_generate" or (found.provider == "huggingface" and status == 503)
    if wait is not None and not in_body:
        headers.append(("retry-after", f"{wait:g}"))
        if found.provider == "openai":
            headers.append(("retry-after-ms", f"{wait * 1000:g}"))
    if found.provider == "anthropic" and 400 <= status < 500 and status not in _RETRIED:
        headers.append(("x-should-retry", "false"))
    return headers


def _details(found: Route, info: ErrorInfo, error: JSONObject) -> None:
    """What the provider says beyond message, type and code."""
    if found.provider == "groq" and info.code in {"tool_use_failed", "json_validate_failed"}:
        error["failed_generation"] = ""
    if found.chat == "openai_chat" and info.kind in {"model_not_found", "context_length"} and info.param is None:
        error["param"] = "model" if info.kind == "model_not_found" else "messages"
    if found.chat != "gemini_generate":
        return
    if info.type is not None:
        error["status"] = info.type
    details: list[JSON] = []
    if info.kind == "authentication":
        details.append(
            {"@type": f"{_RPC}ErrorInfo", "reason": info.code or "API_KEY_INVALID", "domain": "googleapis.com"}
        )
    elif info.kind in {"rate_limit", "quota"} and info.status == 429:
        period = "PerDay" if info.kind == "quota" else "PerMinute"
        quota: JSONObject = {"quotaId": f"GenerateRequests{period}PerProjectPerModel-FreeTier"}
        details.append({"@type": f"{_RPC}QuotaFailure", "violations": [quota]})
    if info.retry_after is not None:
        details.append({"@type": f"{_RPC}RetryInfo", "retryDelay": f"{info.retry_after:g}s"})
    if details:
        error["details"] = details


def _hugging_face(info: ErrorInfo) -> JSONObject:
    """The router's own errors are plain text; those of a backend are worded like OpenAI's, or as TGI does."""
    if info.code is not None or info.type is not None:
        return chat_dialect("openai_chat").encode_error(info)[1]
    if info.kind == "model_not_found":
        told: JSONObject = {"message": info.message, "type": "invalid_request_error", "param": "model"}
        return {"error": {**told, "code": "model_not_found"}}
    if info.kind == "overloaded" and info.retry_after is not None:
        return {"error": info.message, "estimated_time": info.retry_after}
    types: dict[ErrorKind, str] = {"overloaded": "overloaded", "server": "generation", "invalid_request": "validation"}
    word = types.get(info.kind)
    return {"error": info.message} if word is None else {"error": info.message, "error_type": word}
