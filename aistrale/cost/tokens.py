"""How many tokens a request will need, estimated from its length before it is sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from aistrale.types import EmbedRequest, MediaPart, ProviderPart, TextPart, ToolCallPart, ToolResultPart

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.types import JSON, Part, Request

# Rule of thumb of OpenAI's and Anthropic's documentation for English, and what OpenAI's rate limits count by.
_CHARACTERS: Final = 4
# An image in full resolution (OpenAI's "high" detail, 1024 x 1024); sounds and documents have no usual size.
_MEDIA: Final = 765
# What the format adds for each message: its role and its borders.
_MESSAGE: Final = 4


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has: one for four characters, rounded up.

    Beyond ASCII four bytes of UTF-8 are counted instead, since other scripts have fewer characters to a token.
    """
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return -(-size // _CHARACTERS)


def estimate_request(request: Request | EmbedRequest) -> tuple[int, int | None]:
    """About how many input tokens a request has, and how many output tokens its answer has at most.

    Returns:
        The second number is None where the request sets no limit, and 0 for embeddings, which have no output.
    """
    if isinstance(request, EmbedRequest):
        return sum(estimate_tokens(item) if isinstance(item, str) else len(item) for item in request.inputs), 0
    size = sum(_MESSAGE + _parts(message.parts) for message in request.messages)
    for tool in request.tools:
        size += estimate_tokens(tool.name) + estimate_tokens(tool.description or "")
        size += _document(tool.parameters) + _document(tool.hosted)
    if request.output is not None:
        size += _document(request.output.schema)
    most = request.max_tokens
    return size, None if most is None else most * max(request.n or 1, 1)


def _parts(parts: Iterable[Part]) -> int:
    return sum(_part(part) for part in parts)


def _part(part: Part) -> int:
    if isinstance(part, TextPart):
        return estimate_tokens(part.text)
    if isinstance(part, ToolResultPart):
        return _parts(part.content)
    if isinstance(part, ToolCallPart):
        return estimate_tokens(part.name) + estimate_tokens(part.arguments)
    if isinstance(part, MediaPart):
        return _MEDIA
    if isinstance(part, ProviderPart):
        return _document(part.data)
    return estimate_tokens(part.text)


def _document(value: JSON) -> int:
    if not value:
        return 0
    try:
        return estimate_tokens(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    except (TypeError, ValueError, RecursionError):
        return 0  # what is no JSON is refused with a better message when it is encoded
