"""Errors of the OpenAI chat dialect: bodies of an error status, errors inside good answers and inside streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from aistrale.core.sse import SSE
from aistrale.dialects.headers import request_id, retry_after, should_retry
from aistrale.dialects.shape import MalformedBody, dump_json, parse_json
from aistrale.types import ErrorInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aistrale.types import JSON, ErrorKind, JSONObject

# What a status means by itself; the table of codes refines it (OpenAI and Groq documentation, "Error codes").
_BY_STATUS: Final[dict[int, ErrorKind]] = {
    400: "invalid_request",
    401: "authentication",
    402: "quota",
    403: "permission",
    404: "model_not_found",
    405: "invalid_request",
    408: "server",
    409: "server",
    411: "invalid_request",
    413: "invalid_request",
    415: "invalid_request",
    422: "invalid_request",
    424: "server",
    425: "server",
    429: "rate_limit",
    498: "overloaded",
    503: "overloaded",
    529: "overloaded",
}
# Documented codes and types: what they mean, and the status they stand for where none was sent.
_CODES: Final[dict[str, tuple[ErrorKind, int]]] = {
    "invalid_api_key": ("authentication", 401),
    "invalid_authentication": ("authentication", 401),
    "authentication_error": ("authentication", 401),
    "AuthenticationError": ("authentication", 401),
    "account_deactivated": ("authentication", 401),
    "permission_denied": ("permission", 403),
    "permission_error": ("permission", 403),
    "unsupported_country_region_territory": ("permission", 403),
    "insufficient_quota": ("quota", 429),
    "credit_balance_exhausted": ("quota", 429),
    "organization_spend_limit_exceeded": ("quota", 429),
    "organization_usage_limit_exceeded": ("quota", 429),
    "project_spend_limit_exceeded": ("quota", 429),
    "billing_not_active": ("quota", 429),
    "billing_hard_limit_reached": ("quota", 429),
    "credit_balance_too_low": ("quota", 402),
    "rate_limit_exceeded": ("rate_limit", 429),
    "rate_limit_error": ("rate_limit", 429),
    "RateLimitReached": ("rate_limit", 429),
    "too_many_requests": ("rate_limit", 429),
    "context_length_exceeded": ("context_length", 400),
    "exceed_context_size_error": ("context_length", 400),
    "content_filter": ("content_filter", 400),
    "content_policy_violation": ("content_filter", 400),
    "image_content_policy_violation": ("content_filter", 400),
    "ResponsibleAIPolicyViolation": ("content_filter", 400),
    "invalid_prompt": ("content_filter", 400),
    "moderation_blocked": ("content_filter", 400),
    "model_not_found": ("model_not_found", 404),
    "model_decommissioned": ("model_not_found", 404),
    "model_not_supported": ("model_not_found", 400),
    "DeploymentNotFound": ("model_not_found", 404),
    "NotFoundError": ("model_not_found", 404),
    "not_found_error": ("model_not_found", 404),
    "overloaded_error": ("overloaded", 503),
    "overloaded": ("overloaded", 503),
    "engine_overloaded": ("overloaded", 503),
    "service_unavailable": ("overloaded", 503),
    "service_unavailable_error": ("overloaded", 503),
    "unavailable_error": ("overloaded", 503),
    "slow_down": ("rate_limit", 429),
    "server_is_overloaded": ("overloaded", 503),
    "capacity_exceeded": ("overloaded", 503),
    # The model wrote a call or JSON that the server itself refuses: its fault, another try may succeed (Groq).
    "tool_use_failed": ("server", 400),
    "json_validate_failed": ("server", 400),
    "output_parse_failed": ("server", 400),
    "server_error": ("server", 500),
    "internal_server_error": ("server", 500),
    "internal_error": ("server", 500),
    "InternalServerError": ("server", 500),
    "api_error": ("server", 500),
    "generation": ("server", 500),
    "incomplete_generation": ("server", 500),
    "validation": ("invalid_request", 422),
    "invalid_request_error": ("invalid_request", 400),
    "BadRequestError": ("invalid_request", 400),
}
# Statuses that leave open what happened, and the kinds to which a code may refine them.
_OPEN: Final[dict[int, frozenset[str]]] = {
    400: frozenset(
        {"authentication", "permission", "quota", "context_length", "content_filter", "model_not_found", "server"}
    ),
    403: frozenset({"authentication", "quota", "content_filter", "model_not_found"}),
    404: frozenset(),
    413: frozenset({"context_length"}),
    422: frozenset({"context_length", "content_filter", "model_not_found"}),
    429: frozenset({"quota", "overloaded"}),
    500: frozenset({"overloaded"}),
}
_KINDS: Final[dict[str, tuple[int, str, str | None]]] = {
    "authentication": (401, "invalid_request_error", "invalid_api_key"),
    "permission": (403, "invalid_request_error", "permission_denied"),
    "rate_limit": (429, "rate_limit_error", "rate_limit_exceeded"),
    "quota": (429, "insufficient_quota", "insufficient_quota"),
    "invalid_request": (400, "invalid_request_error", None),
    "context_length": (400, "invalid_request_error", "context_length_exceeded"),
    "content_filter": (400, "invalid_request_error", "content_filter"),
    "model_not_found": (404, "invalid_request_error", "model_not_found"),
    "overloaded": (503, "server_error", "overloaded"),
    "server": (500, "server_error", None),
    "unknown": (500, "server_error", None),
}
# Statuses of other families in words that OpenAI's SDKs know.
_STATUSES: Final = {498: 503, 529: 503}
_MAX_TEXT: Final = 1000
_NUMBERS: Final = ("status_code", "http_status_code", "status", "code", "statusCode")


# --- reading ---------------------------------------------------------------------------------------------------------


def is_error_body(body: JSONObject) -> bool:
    """Whether an answer with a success status reports an error all the same."""
    if body.get("object") == "error":
        return True
    choices = body.get("choices")
    if not choices:
        return body.get("error") not in (None, "", [], {}, False)
    return type(choices) is list and any(choice_error(choice, body) is not None for choice in choices)


def choice_error(choice: JSON, body: JSONObject) -> JSONObject | None:
    """The error of an answer that a backend broke off, which OpenRouter tells in the choice or beside it.

    Source: OpenRouter documentation, "Errors" and "API overview" (finish reason "error").
    """
    if type(choice) is not dict or choice.get("finish_reason") != "error":
        return None
    error = choice.get("error") or body.get("error")
    return error if type(error) is dict and error else None


def decode_error(status: int | None, headers: Mapping[str, str], body: bytes) -> ErrorInfo:
    """Read an error body; never raises.

    Args:
        status: The HTTP status; None, or one below 400, when only the body tells of the error.
        headers: The response's headers.
        body: The body, JSON or not.
    """
    try:
        document = parse_json(body)
    except MalformedBody:
        document = None
    info = read_error(document, status if status is None or status >= 400 else None)
    if document is None:
        info.message = _plain_text(body)
    info.request_id = request_id(headers) or info.request_id
    info.should_retry = should_retry(headers)
    told = retry_after(headers)
    if told is not None:
        info.retry_after = told
    return info


def _plain_text(body: bytes) -> str:
    """What a proxy wrote; a page of HTML says nothing that helps."""
    text = body[: 4 * _MAX_TEXT].decode("utf-8", "replace").strip()
    return "" if text.startswith("<") else text[:_MAX_TEXT]


def read_error(document: JSON, status: int | None = None) -> ErrorInfo:
    """What a parsed body says about an error; whatever cannot be read is left out."""
    body = document
    if type(body) is list and body:
        body = body[0]
    outer: JSONObject = body if type(body) is dict else {}
    inner = _inner(outer)
    type_ = _text(inner.get("type")) or _text(outer.get("error_type"))
    code = _code(inner) or _code(outer)
    kind, stands_for = _judge(status, [_nested_code(inner), code, type_])
    if status is None:
        status = _number(inner) or _number(outer) or stands_for
        if status is not None and kind == "unknown":
            kind = _kind_of(status)
    info = ErrorInfo(status, _message(inner, outer), type_, code, _text(inner.get("param")), kind=kind)
    info.body = document
    wait = outer.get("estimated_time")
    if type(wait) in {int, float} and 0 <= cast("float", wait) < float("inf"):
        # A model that Hugging Face is loading tells how long that will take.
        info.retry_after = float(cast("float", wait))
    groq = outer.get("x_groq")
    info.request_id = _text(groq.get("id")) if type(groq) is dict else _text(outer.get("request_id"))
    return info


def _inner(outer: JSONObject) -> JSONObject:
    for key in ("error", "errors"):
        value = outer.get(key)
        if type(value) is list and value and type(value[0]) is dict:
            value = value[0]
        if type(value) is dict:
            return value
        if type(value) is str:
            return {"message": value}
    choices = outer.get("choices")
    broken = (choice_error(choice, outer) for choice in (choices if type(choices) is list else ()))
    return next((error for error in broken if error is not None), outer)


def _message(inner: JSONObject, outer: JSONObject) -> str:
    for body in (inner, outer):
        for key in ("message", "detail", "msg", "error"):
            value = body.get(key)
            if type(value) is str and value:
                return value
            if type(value) is list and value:
                return "; ".join(_entry(item) for item in value[:10])[:_MAX_TEXT]
    return ""


def _entry(item: JSON) -> str:
    if type(item) is not dict:
        return str(item) if type(item) is str else ""
    place = item.get("loc")
    path = ".".join(str(step) for step in place) if type(place) is list else ""
    said = _text(item.get("msg")) or _text(item.get("message")) or ""
    return f"{path}: {said}" if path else said


def _text(value: JSON) -> str | None:
    return value if type(value) is str and value else None


def _code(body: JSONObject) -> str | None:
    code = body.get("code")
    return str(code) if type(code) is int else _text(code)


def _nested_code(inner: JSONObject) -> str | None:
    """Azure's own code stands one level deeper."""
    nested = inner.get("innererror")
    return _text(nested.get("code")) if type(nested) is dict else None


def _number(body: JSONObject) -> int | None:
    for key in _NUMBERS:
        value = body.get(key)
        if type(value) is int and 400 <= value <= 599:
            return value
    return None


def _kind_of(status: int) -> ErrorKind:
    return _BY_STATUS.get(status, "server" if status >= 500 else "unknown")


def _judge(status: int | None, words: list[str | None]) -> tuple[ErrorKind, int | None]:
    """The kind, and the status that a documented word stands for."""
    known = [_CODES[word] for word in words if word in _CODES]
    if status is None:
        return known[0] if known else ("unknown", None)
    refinements = _OPEN.get(status, frozenset())
    for kind, _ in known:
        if kind in refinements:
            return kind, None
    return _kind_of(status), None


# --- writing ---------------------------------------------------------------------------------------------------------


def encode_error(error: ErrorInfo) -> tuple[int, JSONObject]:
    """The status and body by which OpenAI's API reports the error.

    An error of this very dialect keeps everything but the message, which may have been scrubbed; one from elsewhere
    gets OpenAI's words for its kind.
    """
    default, type_, code = _KINDS[error.kind]
    status = error.status if error.status is not None and error.status >= 400 else default
    status = _STATUSES.get(status, status)
    if error.kind == "authentication" and status == 400:
        status = 401
    message = error.message or "The provider reported an error."
    own = _own_fields(error.body)
    if own is not None:
        told = {"message": message, "type": error.type, "param": error.param}
        if str(own.get("code")) != error.code:
            told["code"] = error.code
        return status, {"error": {**own, **{key: value for key, value in told.items() if value is not None}}}
    if error.body is None:
        type_, code = error.type or type_, error.code or code
    return status, {"error": {"message": message, "type": type_, "param": error.param, "code": code}}


def _own_fields(body: JSON) -> JSONObject | None:
    """The error object of a body of this dialect; None for a body of another one."""
    if type(body) is not dict or body.get("type") == "error":
        return None
    inner = body.get("error")
    if type(inner) is not dict or type(inner.get("message")) is not str:
        return None
    # Gemini's errors carry a status word beside a numeric code.
    return None if type(inner.get("status")) is str and type(inner.get("code")) is int else inner


def encode_stream_error(error: ErrorInfo) -> list[SSE]:
    """The event by which an error inside a stream is reported; it ends the stream, no `[DONE]` follows."""
    return [SSE("", dump_json(encode_error(error)[1]))]
