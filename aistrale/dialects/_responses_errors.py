"""OpenAI Responses: errors as bodies, as failed responses, and as events of a stream.

The API shares the error object of the chat format; what is read and written here beyond it is the `error` of a failed
response and the `error` event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aistrale.core.sse import SSE
from aistrale.dialects import _chat_errors as chat
from aistrale.dialects.shape import dump_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aistrale.types import JSON, ErrorInfo, ErrorKind, JSONObject

# Codes of a failed response that the chat format does not know: what they mean, and the status that they stand for
# (OpenAI API reference, "The response object", error.code).
_CODES: Final[dict[str, tuple[ErrorKind, int]]] = {
    "data_residency_mismatch": ("permission", 403),
    "bio_policy": ("content_filter", 400),
    "misalignment_policy_violation": ("content_filter", 400),
    "vector_store_timeout": ("server", 504),
    "invalid_image": ("invalid_request", 400),
    "invalid_image_format": ("invalid_request", 400),
    "invalid_base64_image": ("invalid_request", 400),
    "invalid_image_url": ("invalid_request", 400),
    "image_too_large": ("invalid_request", 400),
    "image_too_small": ("invalid_request", 400),
    "image_parse_error": ("invalid_request", 400),
    "invalid_image_mode": ("invalid_request", 400),
    "image_file_too_large": ("invalid_request", 400),
    "unsupported_image_media_type": ("invalid_request", 400),
    "empty_image_file": ("invalid_request", 400),
    "failed_to_download_image": ("invalid_request", 400),
    "image_file_not_found": ("invalid_request", 400),
}
_OPEN: Final = frozenset({None, 400, 403, 422})


def decode_error(status: int | None, headers: Mapping[str, str], body: bytes) -> ErrorInfo:
    """Read an error body, or a failed response that came with a success status; never raises.

    Args:
        status: The HTTP status; None, or one below 400, when only the body tells of the error.
        headers: The response's headers.
        body: The body, JSON or not.
    """
    return _refined(chat.decode_error(status, headers, body), status)


def read_stream_error(event: JSONObject) -> ErrorInfo:
    """What an `error` event says; its facts stand in an `error` object, or (as documented) in the event itself."""
    inner = event.get("error")
    facts = inner if type(inner) is dict else {key: event.get(key) for key in ("code", "message", "param")}
    return _refined(chat.read_error({"error": facts}), None)


def _refined(info: ErrorInfo, status: int | None) -> ErrorInfo:
    if status is not None and status < 400:
        status = None
    meaning = _CODES.get(info.code or "")
    if meaning is not None and status in _OPEN:
        info.kind = meaning[0]
        if status is None:
            info.status = meaning[1]
    return info


def encode_error(error: ErrorInfo) -> tuple[int, JSONObject]:
    """The status and body by which OpenAI's API reports the error."""
    return chat.encode_error(error)


def failure(error: ErrorInfo) -> JSONObject:
    """The `error` of a failed response."""
    facts = error_object(error)
    return {"code": facts.get("code") or "server_error", "message": facts.get("message")}


def error_object(error: ErrorInfo) -> JSONObject:
    """The error object: message, type, param and code."""
    facts: JSON = chat.encode_error(error)[1]["error"]
    return facts if type(facts) is dict else {}


def encode_stream_error(error: ErrorInfo, *, sequence_number: int = 0) -> list[SSE]:
    """The event by which an error inside a stream is reported.

    The documented event holds code, message and param itself; the API sends them in an `error` object, by which the
    official SDK tells that it must raise. Both are written.

    Args:
        error: What went wrong.
        sequence_number: Its place in the stream; whoever has sent events before passes the next number.
    """
    facts = error_object(error)
    event: JSONObject = {
        "type": "error",
        "code": facts.get("code"),
        "message": facts.get("message"),
        "param": facts.get("param"),
        "error": facts,
        "sequence_number": sequence_number,
    }
    return [SSE("error", dump_json(event))]
