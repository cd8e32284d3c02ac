"""Which provider, operation and dialect a path means."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIXES = ("openai", "anthropic", "gemini", "groq", "huggingface")
Operation = Literal["chat", "embed", "count_tokens", "models"]

_GEMINI = re.compile(r"/(?:models|tunedModels)/(?P<model>[^:]+):(?P<verb>\w+)$")
_FEATURES = re.compile(r"(?:/models/(?P<model>.+?))?/pipeline/feature-extraction$")
_DEPLOYMENT = re.compile(r"/openai/deployments/(?P<model>[^/]+)/")
_MODELS = re.compile(r"/models(?:/(?P<model>[^:]+))?$")
# The chat dialect whose errors an embedding dialect shares.
_ERRORS = {"openai_embeddings": "openai_chat", "hf_features": "openai_chat", "gemini_embed": "gemini_generate"}
_GROQ_AGENTS = ("Groq/", "AsyncGroq/")
_GET_ALSO = {"GET", "HEAD"}


@dataclass(slots=True, frozen=True)
class Route:
    """What a request asks for.

    Args:
        model: Where the path names it; else it stands in the body.
        stream: Where the path says so (Gemini).
        single: Gemini's embedContent with one text.
        array: Gemini's stream as one JSON array, without `alt=sse`.
        azure: Played in Azure's way.
    """

    provider: str
    operation: Operation
    dialect: str
    model: str | None = None
    stream: bool | None = None
    single: bool = False
    array: bool = False
    azure: bool = False

    @property
    def chat(self) -> str:
        """The chat dialect, which also words the errors."""
        return _ERRORS.get(self.dialect, self.dialect)

    def allows(self, method: str) -> bool:
        """Whether the path is served for that method."""
        return method in _GET_ALSO if self.operation == "models" else method == "POST"


def route(target: str, headers: Mapping[str, str]) -> Route | None:
    """The route of a request; None when nobody serves that path.

    A first path segment that names a provider plays that one; without it the provider is guessed.
    """
    path, query = split_target(target)
    provider, path = _prefix(re.sub("//+", "/", path).rstrip("/"), headers)
    found = _gemini(path, query) or _features(path, provider) or _by_ending(path, headers)
    if found is None or provider is None or provider == found.provider:
        return found
    if found.operation == "models":
        return _models(provider, found.model)
    return replace(found, provider=provider)


def split_target(target: str) -> tuple[str, str]:
    """The path, unquoted, and the query of a request's target."""
    if target.startswith("/"):
        # Not urlsplit: it takes what stands between two slashes at the beginning for a host.
        path, _, query = target.partition("?")
    else:
        parts = urlsplit(target)
        path, query = parts.path, parts.query
    return unquote(path), query


def _prefix(path: str, headers: Mapping[str, str]) -> tuple[str | None, str]:
    """The provider that the first segment names, and the path without it."""
    first, _, rest = path[1:].partition("/")
    if first not in PREFIXES:
        return None, path
    if first == "openai":
        # Azure's own paths begin with /openai too, and so do Groq's: there the caller tells who is meant.
        if rest.startswith("deployments/") or "api-key" in headers:
            return None, path
        if _is_groq(headers):
            return "groq", path
    return first, f"/{rest}"


def _is_groq(headers: Mapping[str, str]) -> bool:
    agent, key = headers.get("user-agent", ""), headers.get("authorization", "")
    return agent.startswith(_GROQ_AGENTS) or key.startswith("Bearer gsk_")


def _gemini(path: str, query: str) -> Route | None:
    match = _GEMINI.search(path)
    if match is None:
        return None
    model = match["model"]
    match match["verb"]:
        case "generateContent":
            return Route("gemini", "chat", "gemini_generate", model, stream=False)
        case "streamGenerateContent":
            array = "sse" not in parse_qs(query).get("alt", ())
            return Route("gemini", "chat", "gemini_generate", model, stream=True, array=array)
        case "batchEmbedContents":
            return Route("gemini", "embed", "gemini_embed", model)
        case "embedContent":
            return Route("gemini", "embed", "gemini_embed", model, single=True)
        case "countTokens":
            return Route("gemini", "count_tokens", "gemini_generate", model)
    return None


def _features(path: str, provider: str | None) -> Route | None:
    match = _FEATURES.search(path)
    if match is not None:
        return Route("huggingface", "embed", "hf_features", match["model"])
    # A dedicated endpoint serves its one task at its root.
    return Route("huggingface", "embed", "hf_features") if path in {"", "/"} and provider == "huggingface" else None


def _by_ending(path: str, headers: Mapping[str, str]) -> Route | None:
    deployment = _DEPLOYMENT.search(path)
    model = deployment["model"] if deployment else None
    azure = deployment is not None or "api-key" in headers
    if path.endswith("/chat/completions"):
        return Route(_openai_like(path, headers, azure=azure), "chat", "openai_chat", model, azure=azure)
    if path.endswith("/responses"):
        return Route("openai", "chat", "openai_responses", model, azure=azure)
    if path.endswith("/responses/input_tokens"):
        return Route("openai", "count_tokens", "openai_responses", model, azure=azure)
    if path.endswith("/messages"):
        return Route("anthropic", "chat", "anthropic_messages")
    if path.endswith("/messages/count_tokens"):
        return Route("anthropic", "count_tokens", "anthropic_messages")
    if path.endswith("/embeddings"):
        return Route(_openai_like(path, headers, azure=azure), "embed", "openai_embeddings", model, azure=azure)
    models = _MODELS.search(path)
    return None if models is None else _models(_asker(path, headers), models["model"])


def _models(provider: str, model: str | None) -> Route:
    dialects = {"anthropic": "anthropic_messages", "gemini": "gemini_generate"}
    return Route(provider, "models", dialects.get(provider, "openai_chat"), model)


def _asker(path: str, headers: Mapping[str, str]) -> str:
    """Whose models a list at a path without prefix is about."""
    if "anthropic-version" in headers or "x-api-key" in headers:
        return "anthropic"
    return "gemini" if "x-goog-api-key" in headers else _openai_like(path, headers, azure=False)


def _openai_like(path: str, headers: Mapping[str, str], *, azure: bool) -> str:
    if azure:
        return "openai"
    if path.startswith("/openai/v1/") or _is_groq(headers):
        return "groq"
    agent, key = headers.get("user-agent", ""), headers.get("authorization", "")
    return "huggingface" if "hf_hub/" in agent or key.startswith("Bearer hf_") else "openai"
