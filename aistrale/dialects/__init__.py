"""Wire formats, one a module; loaded by name at first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from aistrale.dialects.base import Dialect, EmbedDialect

CHAT = ("openai_chat", "openai_responses", "anthropic_messages", "gemini_generate")
EMBED = ("openai_embeddings", "gemini_embed", "hf_features")


def chat_dialect(name: str) -> Dialect:
    """The chat dialect of that name. Raises KeyError, naming the known ones, for any other."""
    if name not in CHAT:
        raise KeyError(f"unknown dialect {name!r}; known: {', '.join(CHAT)}")
    return cast("Dialect", import_module(f"aistrale.dialects.{name}"))


def embed_dialect(name: str) -> EmbedDialect:
    """The embedding dialect of that name. Raises KeyError, naming the known ones, for any other."""
    if name not in EMBED:
        raise KeyError(f"unknown embedding dialect {name!r}; known: {', '.join(EMBED)}")
    return cast("EmbedDialect", import_module(f"aistrale.dialects.{name}"))
