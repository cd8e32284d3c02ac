"""The LLM gateway without the gateway: every policy around a model call, in the caller's own process.

    import aistrale
    print(aistrale.run("Hello").text)

Names load at first use: importing aistrale loads nothing but this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aistrale._version import __version__

if TYPE_CHECKING:
    from aistrale import cost, errors, policies, sinks, testing
    from aistrale.client import AsyncClient, Client
    from aistrale.config import Settings
    from aistrale.conversation import Session
    from aistrale.core.call import Call, Clocks, Context
    from aistrale.core.pipeline import Pipeline, Policy
    from aistrale.core.reply import Reply, Tap
    from aistrale.decorator import llm
    from aistrale.default import (
        embed,
        embed_async,
        flush,
        get_client,
        run,
        run_async,
        session,
        stream,
        stream_async,
    )
    from aistrale.dropin.clients import async_transport, http_client, transport
    from aistrale.dropin.last import LastCall, last_call
    from aistrale.dropin.wrap import wrap
    from aistrale.errors import AistraleError
    from aistrale.media import audio, document, image
    from aistrale.options import EmbedOptions, Options
    from aistrale.policies.retry import Backoff
    from aistrale.providers.openai_compatible import openai_compatible
    from aistrale.scope import context
    from aistrale.start import init, shutdown
    from aistrale.streams import AsyncStream, Stream
    from aistrale.types import Completion, Embeddings, Event, Message, Tool, Usage

_HOMES = {
    "aistrale.config": ("Settings",),
    "aistrale.client": ("AsyncClient", "Client"),
    "aistrale.core.call": ("Call", "Clocks", "Context"),
    "aistrale.core.pipeline": ("Pipeline", "Policy"),
    "aistrale.core.reply": ("Reply", "Tap"),
    "aistrale.decorator": ("llm",),
    "aistrale.default": (
        "embed",
        "embed_async",
        "flush",
        "get_client",
        "run",
        "run_async",
        "session",
        "stream",
        "stream_async",
    ),
    "aistrale.dropin.clients": ("async_transport", "http_client", "transport"),
    "aistrale.dropin.last": ("LastCall", "last_call"),
    "aistrale.dropin.wrap": ("wrap",),
    "aistrale.errors": ("AistraleError",),
    "aistrale.media": ("audio", "document", "image"),
    "aistrale.options": ("EmbedOptions", "Options"),
    "aistrale.policies.retry": ("Backoff",),
    "aistrale.providers.openai_compatible": ("openai_compatible",),
    "aistrale.conversation": ("Session",),
    "aistrale.scope": ("context",),
    "aistrale.start": ("init", "shutdown"),
    "aistrale.streams": ("AsyncStream", "Stream"),
    "aistrale.types": ("Completion", "Embeddings", "Event", "Message", "Tool", "Usage"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}
_NAMESPACES = ("cost", "errors", "policies", "sinks", "testing")

__all__ = [
    "AistraleError",
    "AsyncClient",
    "AsyncStream",
    "Backoff",
    "Call",
    "Client",
    "Clocks",
    "Completion",
    "Context",
    "EmbedOptions",
    "Embeddings",
    "Event",
    "LastCall",
    "Message",
    "Options",
    "Pipeline",
    "Policy",
    "Reply",
    "Session",
    "Settings",
    "Stream",
    "Tap",
    "Tool",
    "Usage",
    "__version__",
    "async_transport",
    "audio",
    "context",
    "cost",
    "document",
    "embed",
    "embed_async",
    "errors",
    "flush",
    "get_client",
    "http_client",
    "image",
    "init",
    "last_call",
    "llm",
    "openai_compatible",
    "policies",
    "run",
    "run_async",
    "session",
    "shutdown",
    "sinks",
    "stream",
    "stream_async",
    "testing",
    "transport",
    "wrap",
]


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _NAMESPACES:
        return import_module(f"aistrale.{name}")
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'aistrale' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
