"""The providers' prompt caches: which part of a prompt was seen before."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from aistrale.testing.brain import MEDIA_TOKENS, message_text, tokens, tools_text
from aistrale.types import CacheHint, MediaPart

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aistrale.types import Message, Request, Usage

MINIMUM: Final = 1024
"""Tokens of the shortest prefix that is cached (OpenAI: Prompt caching; Anthropic: Prompt caching)."""
_KEPT: Final = 10_000
_BUCKETS: Final = {"1h": "cache_write_1h", "30m": "cache_write_30m", "12h": "cache_write_12h"}


@dataclass(slots=True)
class PromptCache:
    """Remembers prefixes of prompts, per provider and model.

    Most providers cache by themselves; Anthropic caches up to the last mark in the request, and counts what it writes.
    """

    _seen: dict[bytes, None] = field(default_factory=dict)

    def settle(self, provider: str, request: Request, usage: Usage) -> Usage:
        """The usage with the part that was read from the cache, or written to it, in its own bucket."""
        total = usage.input or 0
        if total < MINIMUM:
            return usage
        prefixes = list(_prefixes(provider, request))
        read = min(max((size for key, size, _ in prefixes if key in self._seen), default=0), total)
        if provider != "anthropic":
            self._remember(key for key, _, _ in prefixes)
            read = read if read >= MINIMUM else 0
            return replace(usage, input=total - read, cache_read=read)
        marked = [(size, hint) for _, size, hint in prefixes if hint is not None]
        last = min(marked[-1][0], total) if marked else 0
        if last < MINIMUM:
            return usage
        # What is marked last, and all before it, is kept; what comes after is not.
        self._remember(key for key, size, _ in prefixes if size <= marked[-1][0])
        read = min(read, last) if read >= MINIMUM else 0
        settled = replace(usage, input=total - last, cache_read=read)
        setattr(settled, _BUCKETS.get(marked[-1][1].ttl or "5m", "cache_write_5m"), last - read)
        return settled

    def _remember(self, keys: Iterator[bytes]) -> None:
        for key in keys:
            self._seen.pop(key, None)
            self._seen[key] = None
        while len(self._seen) > _KEPT:
            del self._seen[next(iter(self._seen))]

    def clear(self) -> None:
        """Forget everything."""
        self._seen.clear()


def _prefixes(provider: str, request: Request) -> Iterator[tuple[bytes, int, CacheHint | None]]:
    """A key for each beginning of the prompt that ends with a turn, its tokens, and the mark at its end."""
    running = sha256(f"{provider}/{request.model}".encode())
    size = 0
    if request.tools:
        text = tools_text(request.tools)
        running.update(text.encode("utf-8", "surrogatepass"))
        size = tokens(text)
        yield running.digest(), size, next((tool.cache for tool in reversed(request.tools) if tool.cache), None)
    # Anthropic's mark on the whole request stands for one on its last block.
    whole = request.wire is not None and request.wire.fields.get("cache_control") is not None
    for index, message in enumerate(request.messages, 1):
        text = message_text(message)
        running.update(f"\0{message.role}\0{text}".encode("utf-8", "surrogatepass"))
        media = [part for part in message.parts if isinstance(part, MediaPart)]
        for part in media:
            running.update(repr((part.data, part.url, part.file_id)).encode())
        size += tokens(text) + MEDIA_TOKENS * len(media)
        yield (
            running.digest(),
            size,
            _mark(message) or (CacheHint() if whole and index == len(request.messages) else None),
        )


def _mark(message: Message) -> CacheHint | None:
    return next((hint for part in reversed(message.parts) if (hint := getattr(part, "cache", None)) is not None), None)
