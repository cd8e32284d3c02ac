"""The process-wide client behind `aistrale.run` and its like."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from aistrale.client import AsyncClient, Client
from aistrale.scope import context, current

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from aistrale.config.values import Setting
    from aistrale.conversation import Session
    from aistrale.engine import Engine
    from aistrale.options import EmbedOptions, Options, Prompt
    from aistrale.scope import ContextValues
    from aistrale.streams import AsyncStream, Stream
    from aistrale.types import Completion, Embeddings

__all__ = [
    "context",
    "current",
    "embed",
    "embed_async",
    "flush",
    "get_client",
    "get_engine",
    "init",
    "run",
    "run_async",
    "session",
    "shutdown",
    "stream",
    "stream_async",
]

_lock = threading.RLock()
_client: Client | None = None
_settings: dict[str, Setting] | None = None


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it when the process forked
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def init(**settings: Setting) -> Client:
    """Set up the process-wide client; `aistrale.init` does this and covers the official SDKs.

    Calling it again with the same settings, or with none, gives the client that is there; with other settings it
    makes a new one and closes the old. Without it, the first `run` sets the client up from the environment and the
    file.

    Args:
        **settings: help(aistrale.Settings) lists them.

    Raises:
        ConfigurationError: A setting is unknown or wrong.
    """
    global _client, _settings
    with _lock:
        if _client is not None and (not settings or settings == _settings):
            return _client
        new, old = Client(**settings), _client
        _client, _settings = new, dict(settings)
    if old is not None:
        old.close()
    return new


def get_client() -> Client:
    """The process-wide client; set up from the environment if nobody called init."""
    return _client or init()


def get_engine(client: Client | AsyncClient | None = None) -> Engine:
    """The engine of a client, by default of the process-wide one; the drop-in asks for that at every request."""
    client = get_client() if client is None else client
    return client._engine  # noqa: SLF001 - a client is its engine's face; the engine is no public name


def engine_there() -> Engine | None:
    """The engine of the process-wide client; None as long as nobody has set one up."""
    return None if _client is None else _client._engine  # noqa: SLF001 - as above


def _async_client() -> AsyncClient:
    return get_client().as_async()


def run(prompt: Prompt, **options: Unpack[Options]) -> Completion:
    """Answer a prompt.

    Args:
        prompt: Text, a Message, or a conversation of Messages and OpenAI-style dicts.
        **options: Model, tools, output, deadline, ...; help(aistrale.Options) lists them.

    Returns:
        The answer with its tokens, cost and attempts; `print` shows its text.

    Raises:
        AistraleError: help(aistrale.errors) shows the tree.
    """
    return get_client().run(prompt, **options)


async def run_async(prompt: Prompt, **options: Unpack[Options]) -> Completion:
    """Answer a prompt on an event loop, asyncio's or trio's; arguments and errors are those of run."""
    return await _async_client().run(prompt, **options)


def stream(prompt: Prompt, **options: Unpack[Options]) -> Stream:
    """Answer a prompt piece by piece; the request is sent when the stream is entered or first iterated.

    Args:
        prompt: As for run.
        **options: As for run, but for `max_tool_rounds`.

    Returns:
        A context manager and iterator of events; print every event's `.text`, then see `.completion`.
    """
    return get_client().stream(prompt, **options)


def stream_async(prompt: Prompt, **options: Unpack[Options]) -> AsyncStream:
    """The same on an event loop: `async with aistrale.stream_async(...) as stream`, without await."""
    return _async_client().stream(prompt, **options)


def embed(texts: str | Sequence[str], **options: Unpack[EmbedOptions]) -> Embeddings:
    """Vectors for texts, in their order.

    Args:
        texts: One text or several.
        **options: help(aistrale.EmbedOptions) lists them.
    """
    return get_client().embed(texts, **options)


async def embed_async(texts: str | Sequence[str], **options: Unpack[EmbedOptions]) -> Embeddings:
    """Vectors for texts on an event loop; arguments and errors are those of embed."""
    return await _async_client().embed(texts, **options)


def session(*, system: str | None = None, **values: Unpack[ContextValues]) -> Session:
    """A conversation that remembers its turns.

    Args:
        system: Instructions that stand above the whole conversation.
        **values: Context of its calls (user, project, tags, ...); help(aistrale.context) says more.

    Returns:
        A Session: `.run`, `.stream`, `.run_async`, `.stream_async`; a context manager, sync and async.
    """
    return get_client().session(system=system, **values)


def flush(timeout: float = 5.0) -> bool:
    """Move what is journalled into the ledger and events to their sinks; whether that was done in `timeout` seconds."""
    return _client.flush(timeout) if _client is not None else True


def shutdown() -> None:
    """Close the process-wide client; the next `run` sets up a new one."""
    global _client, _settings
    with _lock:
        old, _client, _settings = _client, None, None
    if old is not None:
        old.close()
        old.ledger.close()
