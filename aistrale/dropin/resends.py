"""What an SDK sends again by itself, although everything that there was to do has been done.

The SDKs of OpenAI, Anthropic and Groq count their attempts in a header. An answer tells them not to send again; an
error of the HTTP library cannot, and they have names of their own for it, so it is raised and, for their further
attempts, raised again without sending.
"""

# ruff: noqa: ANN401 - the objects of httpx and httpx2 have the same shape and no common class

from __future__ import annotations

import time
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_COUNT: Final = "x-stainless-retry-count"
# Seconds; the longest pause that the three SDKs make before they send again by themselves is 8 s.
_REMEMBERED: Final = 30.0
_MOST: Final = 1000

_failures: dict[bytes, tuple[float, int, Exception]] = {}


def remember(request: Any, headers: Mapping[str, str], content: bytes, error: Exception) -> None:
    """Keep the error that the SDK will answer by sending the same again."""
    count = _count(headers)
    if count is None:
        return
    now = time.monotonic()
    for key, (until, _, _) in list(_failures.items()):
        if until < now or len(_failures) >= _MOST:
            _failures.pop(key, None)
    _failures[_key(request, headers, content)] = now + _REMEMBERED, count, error


def remembered(request: Any, headers: Mapping[str, str], content: bytes) -> Exception | None:
    """The error of the attempt before; None for a first attempt, and for one after an answer."""
    count = _count(headers) if _failures else None
    if count is None:
        return None
    key = _key(request, headers, content)
    if count == 0:
        # The application asks anew, and what came of it before is no answer to that.
        _failures.pop(key, None)
        return None
    until, before, error = _failures.get(key, (0.0, 0, None))
    # One more than the attempt before: an application may have put a number of its own there.
    if error is None or count != before + 1 or time.monotonic() >= until:
        return None
    _failures[key] = until, count, error
    return error.with_traceback(None)


def _count(headers: Mapping[str, str]) -> int | None:
    told = headers.get(_COUNT, "")
    return int(told) if told.isdecimal() else None


def _key(request: Any, headers: Mapping[str, str], content: bytes) -> bytes:
    # A digest, because the content is nobody's business any more.
    key = headers.get("authorization", "") + headers.get("x-api-key", "")
    return blake2b(f"{request.url} {key} ".encode() + content, digest_size=16).digest()
