"""Why a Gemini candidate ended, and when an answer was made.

Source: Gemini API and Vertex AI references, `Candidate.FinishReason`; the numbers are those of Vertex AI's protobuf.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aistrale.dialects.base import Loss
    from aistrale.types import JSON, FinishReason, JSONObject

_NUMBERS = (
    "FINISH_REASON_UNSPECIFIED",
    "STOP",
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "OTHER",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
    "MODEL_ARMOR",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "IMAGE_OTHER",
    "UNEXPECTED_TOOL_CALL",
    "NO_IMAGE",
)
_REASONS: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "pause",
    **dict.fromkeys(
        (
            "SAFETY",
            "RECITATION",
            "LANGUAGE",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "MODEL_ARMOR",
            "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT",
            "IMAGE_RECITATION",
            "IMAGE_OTHER",
        ),
        "content_filter",
    ),
    **dict.fromkeys(
        (
            "OTHER",
            "MALFORMED_FUNCTION_CALL",
            "UNEXPECTED_TOOL_CALL",
            "TOO_MANY_TOOL_CALLS",
            "MISSING_THOUGHT_SIGNATURE",
            "MALFORMED_RESPONSE",
            "NO_IMAGE",
        ),
        "error",
    ),
}
_WORDS: dict[FinishReason, str] = {
    "stop": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "pause": "CONTINUATION",
    "error": "OTHER",
    "unknown": "FINISH_REASON_UNSPECIFIED",
}


def finish_reason(raw: JSON, *, calls: bool) -> FinishReason:
    """The hub's word for a finish reason; a call of a function ends with STOP like everything else.

    Args:
        raw: A name, a number, or None where there was none.
        calls: Whether the answer has function calls.
    """
    if type(raw) is int and 0 <= raw < len(_NUMBERS):
        raw = _NUMBERS[raw]
    reason = _REASONS.get(raw, "unknown") if type(raw) is str else "unknown"
    return "tool_calls" if calls and reason == "stop" else reason


def write_finish(reason: FinishReason, fields: JSONObject, *, mine: bool, calls: bool, where: str, loss: Loss) -> None:
    """Write the finish reason into a candidate's `fields`, which hold the source's own word.

    A word that still stands for the hub's reason is kept; "unknown" writes nothing new over what the source said.

    Args:
        reason: The hub's word.
        fields: The candidate's fields.
        mine: They were decoded from this dialect.
        calls: Whether the answer has function calls.
        where: The field, for the record.
        loss: Takes what cannot be said.
    """
    raw = fields.get("finishReason")
    if mine and finish_reason(raw, calls=calls) == reason:
        return
    if reason == "stop" and calls:
        loss.emulate(where, "an answer with tool calls always waits for their results here")
    fields["finishReason"] = _WORDS[reason]


def unix_seconds(raw: JSON) -> int | None:
    """Seconds since 1970 of an RFC 3339 time; None when it is none."""
    if type(raw) is not str:
        return None
    try:
        return int(datetime.fromisoformat(raw).timestamp())
    except (ValueError, OverflowError):
        return None


def rfc3339(seconds: int) -> str | None:
    """The time in Google's JSON notation; None for a time that no calendar has."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return None
