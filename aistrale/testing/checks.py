"""What the providers themselves refuse before a model sees it, as far as applications trip over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aistrale.dialects.shape import MalformedBody
from aistrale.types import ToolCallPart, ToolResultPart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aistrale.testing.routes import Route
    from aistrale.types import Request

_KEY_HEADERS = ("authorization", "x-api-key", "x-goog-api-key", "api-key")
# Since this version Anthropic takes no sampling options, whatever their value.
_NO_SAMPLING = "2026-10-21"


def has_key(headers: Mapping[str, str], path: str) -> bool:
    """Whether some key came with the request; any will do."""
    given = any(headers.get(name, "").removeprefix("Bearer").strip() for name in _KEY_HEADERS)
    return given or "?key=" in path or "&key=" in path


def refuse(found: Route, request: Request, headers: Mapping[str, str]) -> None:
    """Refuse what the provider would refuse.

    Raises:
        MalformedBody: With the field, and what is expected there.
    """
    if not request.model:
        raise MalformedBody("model", "the name of a model")
    if not any(message.role not in {"system", "developer"} for message in request.messages) and not _stored(request):
        alone = found.dialect == "openai_chat" and bool(request.messages)
        if not alone:
            raise MalformedBody("messages", "at least one message")
    if found.dialect == "anthropic_messages":
        _refuse_anthropic(request, headers)
    # Gemini's calls have no ids in most requests, and its server pairs them by their order.
    if found.dialect != "gemini_generate" and not _stored(request):
        _refuse_unanswered(request)


def _stored(request: Request) -> bool:
    """Whether the conversation goes on from what the provider keeps, so that this request is only a part of it."""
    fields = request.wire.fields if request.wire is not None else {}
    return any(fields.get(name) is not None for name in ("previous_response_id", "conversation", "prompt"))


def _refuse_anthropic(request: Request, headers: Mapping[str, str]) -> None:
    if request.max_tokens is None:
        raise MalformedBody("max_tokens", "a number of tokens; the field is required")
    if "anthropic-version" not in headers:
        raise MalformedBody("anthropic-version", "this header")
    if headers["anthropic-version"] >= _NO_SAMPLING:
        for name in ("temperature", "top_p", "top_k"):
            if getattr(request, name) is not None:
                raise MalformedBody(name, "nothing: this version of the API has no such field")


def _refuse_unanswered(request: Request) -> None:
    """Every call must have its result before the conversation goes on, and every result its call."""
    called: set[str] = set()
    pending: set[str] = set()
    for index, message in enumerate(request.messages):
        for part in message.parts:
            if isinstance(part, ToolResultPart):
                if part.call_id not in called:
                    raise MalformedBody(f"messages[{index}]", "a result of a tool call that came before it")
                pending.discard(part.call_id)
        if pending and message.role in {"assistant", "user"} and not _has_results(message.parts):
            raise MalformedBody(f"messages[{index}]", f"results of {len(pending)} tool calls first")
        calls = {part.id for part in message.parts if isinstance(part, ToolCallPart)}
        called |= calls
        pending |= calls
    if pending:
        raise MalformedBody("messages", f"results of {len(pending)} tool calls at the end")


def _has_results(parts: Sequence[object]) -> bool:
    return any(isinstance(part, ToolResultPart) for part in parts)
