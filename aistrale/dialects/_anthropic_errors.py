"""Errors of the Anthropic API: `{"type": "error", "error": {"type", "message", "details"}, "request_id"}`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aistrale.dialects.headers import request_id, retry_after, should_retry
from aistrale.dialects.shape import MalformedBody, parse_json
from aistrale.types import ErrorInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aistrale.types import JSON, ErrorKind, JSONObject

# The documented types and the status of each (Anthropic API reference, "Errors").
_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "timeout_error": 504,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "overloaded_error": 529,
}
_TYPE = {status: type_ for type_, status in _STATUS.items()} | {408: "timeout_error", 503: "overloaded_error"}

_KIND: dict[int, ErrorKind] = {
    400: "invalid_request",
    401: "authentication",
    402: "quota",
    403: "permission",
    408: "server",
    413: "invalid_request",
    422: "invalid_request",
    429: "rate_limit",
    503: "overloaded",
    529: "overloaded",
}
# `details.error_code`s of money that is used up; the server sends no retry-after with them, and waiting does not help.
_SPENT = frozenset(
    {
        "contract_spend_limit_reached",
        "enforced_spend_limit_reached",
        "ramp_limit_exceeded",
        "linked_organization_billing_unavailable",
        "linked_organization_spend_limit_reached",
    }
)
# The status by which this API reports each kind, for errors that bring none or one that means something else here.
_STATUS_OF: dict[ErrorKind, int] = {
    "authentication": 401,
    "permission": 403,
    "rate_limit": 429,
    "quota": 402,
    "invalid_request": 400,
    "context_length": 400,
    "content_filter": 400,
    "model_not_found": 404,
    "overloaded": 529,
    "server": 500,
    "unknown": 500,
}


def is_error_body(body: JSON) -> bool:
    """Whether a parsed body is an error, also one that came with status 200."""
    return type(body) is dict and type(body.get("error")) is dict and body.get("type", "error") == "error"


def decode_error(status: int | None, headers: Mapping[str, str], body: bytes) -> ErrorInfo:
    """Read an error; never raises.

    Args:
        status: HTTP status; None, or one below 400, for an error inside an answer: then its type stands for one.
        headers: The response's headers.
        body: Its body; whatever cannot be read leaves the fields empty.
    """
    try:
        parsed = parse_json(body)
    except MalformedBody:
        parsed = None
    info = error_info(status, parsed)
    info.request_id = info.request_id or request_id(headers)
    info.retry_after = retry_after(headers)
    info.should_retry = should_retry(headers)
    return info


def error_info(status: int | None, body: JSON) -> ErrorInfo:
    """Read a parsed error body, without headers."""
    outer = body if type(body) is dict else {}
    error = outer.get("error")
    if type(error) is not dict:
        # Proxies and cloud platforms before the API answer in shapes of their own.
        error = {"message": error if type(error) is str else outer.get("message")}
    details = error.get("details")
    code = _text(details.get("error_code")) if type(details) is dict else None
    type_ = _text(error.get("type"))
    if status is None or status < 400:
        status = _STATUS.get(type_ or "")
    return ErrorInfo(
        status=status,
        message=_text(error.get("message")) or "",
        type=type_,
        code=code,
        request_id=_text(outer.get("request_id")),
        kind=_kind(status, type_, code),
        body=body,
    )


def _kind(status: int | None, type_: str | None, code: str | None) -> ErrorKind:
    if code in _SPENT:
        return "quota"
    if status is None:
        return "unknown"
    if status == 404:
        # Codes are given for other things than models: files, threads, environments.
        return "model_not_found" if type_ == "not_found_error" and code is None else "unknown"
    return _KIND.get(status, "server" if status >= 500 else "unknown")


def _text(value: JSON) -> str | None:
    return value if type(value) is str else None


def encode_error(error: ErrorInfo) -> tuple[int, JSONObject]:
    """The status and body by which this API would report the error.

    The status keeps its meaning; where another provider's says something else (Gemini's 400 for a bad key, Groq's 498
    for no capacity), the one of the error's kind is told.
    """
    native = is_error_body(error.body)
    status = error.status if native and error.status is not None else _status(error)
    type_ = error.type if native and error.type is not None else _TYPE.get(status)
    if type_ is None:
        type_ = "api_error" if status >= 500 else "invalid_request_error"
    inner: JSONObject = {"type": type_, "message": error.message or "The provider reported an error."}
    body: JSONObject = {"type": "error", "error": inner}
    if native and type(error.body) is dict:
        own = error.body.get("error")
        if type(own) is dict:
            inner.update({key: value for key, value in own.items() if key not in inner})
        body.update({key: value for key, value in error.body.items() if key not in body})
    if error.request_id is not None and ("request_id" in body or not native):
        body["request_id"] = error.request_id
    elif not native:
        body["request_id"] = None
    return status, body


def _status(error: ErrorInfo) -> int:
    status = error.status
    if status is None or status < 400 or status == 498:
        return _STATUS_OF[error.kind]
    if error.kind in ("authentication", "permission", "model_not_found") and status == 400:
        return _STATUS_OF[error.kind]
    return status
