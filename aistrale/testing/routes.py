"""Which provider, operation and dialect a path means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIXES = ("openai", "anthropic", "gemini", "groq", "huggingface")
Operation = Literal["chat", "embed", "count_tokens", "models"]

_GEMINI = re.compile(r"/models/(?P<model>[^:]+):(?P<verb>\w+)$")
_FEATURES = re.compile(r"(?:/models/(?P<model>.+?))?/pipeline/feature-extraction$")
_DEPLOYMENT = re.compile(r"/openai/deployments/(?P<model>[^/]+)/")


@dataclass(slots=True, frozen=True)
class Route:
    """What a request asks for.

    Args:
        model: Where the path names it; else it stands in the body.
        stream: Where the path says so (Gemini).
        single: Gemini's embedContent with one text.
    """

    provider: str
    operation: Operation
    dialect: str
    model: str | None = None
    stream: bool | None = None
    single: bool = False


def route(method: str, target: str, headers: Mapping[str, str]) -> Route | None:
    """The route of a request; None when nobody serves that path.

    A first path segment that names a provider plays that one; without it the provider is guessed.
    """
    path = unquote(urlsplit(target).path).rstrip("/")
    provider = None
    first, _, rest = path[1:].partition("/")
    # Groq's own paths begin with /openai/v1, hence a prefix counts only where the rest is a path of that provider.
    if first in PREFIXES and not (first == "openai" and rest.startswith("deployments/")):
        provider, path = first, f"/{rest}"
    found = _gemini(path) or _features(path) or _by_ending(path, headers)
    if found is None or (method != "POST" and found.operation != "models"):
        return None
    if provider is None or provider == found.provider:
        return found
    return Route(provider, found.operation, found.dialect, found.model, found.stream, found.single)


def _gemini(path: str) -> Route | None:
    match = _GEMINI.search(path)
    if match is None:
        return None
    model = match["model"]
    match match["verb"]:
        case "generateContent":
            return Route("gemini", "chat", "gemini_generate", model, stream=False)
        case "streamGenerateContent":
            return Route("gemini", "chat", "gemini_generate", model, stream=True)
        case "batchEmbedContents":
            return Route("gemini", "embed", "gemini_embed", model)
        case "embedContent":
            return Route("gemini", "embed", "gemini_embed", model, single=True)
        case "countTokens":
            return Route("gemini", "count_tokens", "gemini_generate", model)
    return None


def _features(path: str) -> Route | None:
    match = _FEATURES.search(path)
    return None if match is None else Route("huggingface", "embed", "hf_features", match["model"])


def _by_ending(path: str, headers: Mapping[str, str]) -> Route | None:
    deployment = _DEPLOYMENT.search(path)
    model = deployment["model"] if deployment else None
    if path.endswith("/chat/completions"):
        return Route(_openai_like(path, headers), "chat", "openai_chat", model)
    if path.endswith("/responses"):
        return Route("openai", "chat", "openai_responses", model)
    if path.endswith("/messages"):
        return Route("anthropic", "chat", "anthropic_messages")
    if path.endswith("/messages/count_tokens"):
        return Route("anthropic", "count_tokens", "anthropic_messages")
    if path.endswith("/embeddings"):
        return Route(_openai_like(path, headers), "embed", "openai_embeddings", model)
    if path.endswith("/models"):
        return Route("openai", "models", "openai_chat")
    return None


def _openai_like(path: str, headers: Mapping[str, str]) -> str:
    agent = headers.get("user-agent", "")
    if path.startswith("/openai/v1/") or agent.startswith(("Groq/", "AsyncGroq/")):
        return "groq"
    return "huggingface" if "hf_hub/" in agent or "huggingface" in agent else "openai"
