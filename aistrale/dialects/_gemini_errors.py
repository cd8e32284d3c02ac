"""Errors of the Gemini API and Vertex AI, both ways.

Source: Gemini API, "Troubleshooting"; google.rpc `Status`, `ErrorInfo`, `RetryInfo`, `QuotaFailure`, `BadRequest`. A
wrong key gives 400 with the reason API_KEY_INVALID; how long to wait stands in the body, never in a header.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aistrale.core.sse import SSE
from aistrale.dialects import headers as response_headers
from aistrale.dialects.shape import MalformedBody, dump_json, parse_json
from aistrale.types import ErrorInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aistrale.types import JSON, ErrorKind, JSONObject

_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)s")
_RPC = "type.googleapis.com/google.rpc."
_STATUS_OF = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "DATA_LOSS": 500,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_WORD_OF = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_KINDS: dict[int, ErrorKind] = {
    400: "invalid_request",
    401: "authentication",
    402: "quota",
    403: "permission",
    404: "model_not_found",
    405: "invalid_request",
    409: "invalid_request",
    411: "invalid_request",
    413: "invalid_request",
    415: "invalid_request",
    416: "invalid_request",
    422: "invalid_request",
    429: "rate_limit",
    503: "overloaded",
    529: "overloaded",
}
_REASONS: dict[str, ErrorKind] = {
    "API_KEY_INVALID": "authentication",
    "API_KEY_EXPIRED": "authentication",
    "CREDENTIALS_MISSING": "authentication",
    "ACCESS_TOKEN_EXPIRED": "authentication",
    "API_KEY_SERVICE_BLOCKED": "permission",
    "SERVICE_DISABLED": "permission",
    "BILLING_DISABLED": "quota",
}
_STATUS_OF_KIND: dict[ErrorKind, int] = {
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
# Statuses that only another provider uses: Anthropic's overload, Groq's flex capacity.
_FOREIGN_STATUS = {498: 503, 529: 503}


def is_error_body(body: JSON) -> bool:
    """Whether a body, whatever its status, reports an error; some backends put it into an array."""
    if type(body) is list:
        body = body[0] if body else None
    return type(body) is dict and body.get("error") is not None and "candidates" not in body


def decode_error(status: int | None, headers: Mapping[str, str], body: bytes) -> ErrorInfo:
    """Read an error answer; never raises.

    Args:
        status: The HTTP status; where it is a success, the body's own code counts.
        headers: The response headers.
        body: The response body.
    """
    try:
        parsed: JSON = parse_json(body)
    except MalformedBody:
        parsed = None
    info = decode_error_body(status, parsed)
    if parsed is None:
        info.message = body[:2000].decode("utf-8", "replace").strip()
    waiting = response_headers.retry_after(headers)
    info.retry_after = info.retry_after if waiting is None else waiting
    info.should_retry = response_headers.should_retry(headers)
    info.request_id = response_headers.request_id(headers)
    return info


def decode_error_body(status: int | None, body: JSON) -> ErrorInfo:
    """Read an error that came in a body, with or without an HTTP status of its own."""
    first = body[0] if type(body) is list and body else body
    error = first.get("error") if type(first) is dict else None
    if type(error) is not dict:
        info = ErrorInfo(status, error if type(error) is str else "", body=body)
        info.kind = _kind(status, info, ())
        return info
    code, word, message = error.get("code"), error.get("status"), error.get("message")
    word = word if type(word) is str else None
    if status is None or 200 <= status < 300:
        status = code if type(code) is int and 400 <= code < 600 else _STATUS_OF.get(word or "", status)
    info = ErrorInfo(status, message if type(message) is str else "", word, body=body)
    details = [item for item in _list(error.get("details")) if type(item) is dict]
    reason = next((item["reason"] for item in details if type(item.get("reason")) is str), None)
    info.code = reason if type(reason) is str else None if code is None else str(code)
    info.retry_after = next((wait for item in details if (wait := _wait(item)) is not None), None)
    info.param = next((name for item in details for name in _strings(item, "fieldViolations", "field")), None)
    quotas = tuple(name for item in details for name in _strings(item, "violations", "quotaId"))
    info.kind = _kind(status, info, quotas)
    return info


def _kind(status: int | None, info: ErrorInfo, quotas: tuple[str, ...]) -> ErrorKind:
    kind = _KINDS.get(status or 0)
    if kind is None:
        kind = "server" if status is not None and status >= 500 else "unknown"
    if kind == "rate_limit" and any("PerDay" in quota for quota in quotas):
        return "quota"
    if status is not None and status < 500:
        if info.code in _REASONS:
            return _REASONS[info.code]
        if status == 400 and info.type == "FAILED_PRECONDITION":
            # The documented cause: this account or region may not use the API as it is set up.
            return "permission"
    return kind


def _list(value: JSON) -> list[JSON]:
    return value if type(value) is list else []


def _strings(detail: JSONObject, group: str, key: str) -> Iterator[str]:
    for item in _list(detail.get(group)):
        value = item.get(key) if type(item) is dict else None
        if type(value) is str and value:
            yield value


def _wait(detail: JSONObject) -> float | None:
    delay = detail.get("retryDelay")
    match = _DURATION.fullmatch(delay) if type(delay) is str else None
    return None if match is None else float(match[1])


def encode_error(error: ErrorInfo) -> tuple[int, JSONObject]:
    """The status and body by which Gemini reports the error; one that came from Gemini keeps its details."""
    status = error.status
    status = _FOREIGN_STATUS.get(status, status) if status is not None else None
    if status is None or status < 400:
        status = _STATUS_OF_KIND[error.kind]
    original = error.body[0] if type(error.body) is list and error.body else error.body
    inner = original.get("error") if type(original) is dict else None
    if type(inner) is dict and type(inner.get("code")) is int and type(inner.get("status")) is str:
        return status, {"error": {**inner, "message": error.message}}
    word = _WORD_OF.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
    written: JSONObject = {"code": status, "message": error.message, "status": word}
    if error.retry_after is not None:
        written["details"] = [{"@type": f"{_RPC}RetryInfo", "retryDelay": f"{error.retry_after:g}s"}]
    return status, {"error": written}


def encode_stream_error(error: ErrorInfo) -> list[SSE]:
    """The chunk by which Gemini reports an error in a stream that has begun."""
    return [SSE("", dump_json(encode_error(error)[1]))]
