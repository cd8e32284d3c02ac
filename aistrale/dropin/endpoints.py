"""Which model call a request of an official SDK is: provider, wire format, model, stream. Pure, and read off the wire.

Everything else that goes over the same connections (files, models, batches, downloads, websockets) is none of ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Mapping

# The hosts of the providers' own APIs; regional ones of OpenAI have a label in front.
_HOSTS: Final = {
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "gemini",
    "api.groq.com": "groq",
    "router.huggingface.co": "huggingface",
    "api-inference.huggingface.co": "huggingface",
}
_SUFFIXES: Final = {".api.openai.com": "openai", ".endpoints.huggingface.cloud": "huggingface"}
# How the SDKs call themselves. A client with a base URL of its own is still its provider's SDK.
_AGENT: Final = re.compile(
    r"(?:Async)?(?P<sdk>OpenAI|AzureOpenAI|Anthropic|Groq)/Python|(?P<google>google-genai-sdk)/|hf_hub/"
)
_SDKS: Final = {"OpenAI": "openai", "AzureOpenAI": "azure", "Anthropic": "anthropic", "Groq": "groq"}
_VENDORS: Final = frozenset({"api.openai.com", "router.huggingface.co"})
_AZURE: Final = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")

_ENDINGS: Final[tuple[tuple[str, Operation, str], ...]] = (
    ("/chat/completions", "chat", "openai_chat"),
    ("/responses", "chat", "openai_responses"),
    ("/embeddings", "embed", "openai_embeddings"),
    ("/messages", "chat", "anthropic_messages"),
    ("/pipeline/feature-extraction", "embed", "hf_features"),
)
_SPEAKS: Final = {
    "openai": frozenset({"openai_chat", "openai_responses", "openai_embeddings"}),
    "azure": frozenset({"openai_chat", "openai_responses", "openai_embeddings"}),
    "anthropic": frozenset({"anthropic_messages"}),
    "groq": frozenset({"openai_chat", "openai_embeddings"}),
    "huggingface": frozenset({"openai_chat", "hf_features"}),
}
_GEMINI: Final = re.compile(
    r"/(?P<model>(?:models|tunedModels)/[^/:]+):"
    r"(?P<verb>generateContent|streamGenerateContent|embedContent|batchEmbedContents)$"
)
_DEPLOYMENT: Final = re.compile(r"/openai/deployments/(?P<model>[^/]+)/")
_HF_MODEL: Final = re.compile(r"/models/(?P<model>.+?)/(?:v1|pipeline)/")

Operation = Literal["chat", "embed"]
# The chat dialect whose errors an embedding dialect shares.
_ERRORS: Final = {"openai_embeddings": "openai_chat", "hf_features": "openai_chat", "gemini_embed": "gemini_generate"}


@dataclass(slots=True, frozen=True)
class Endpoint:
    """A model call that an SDK makes.

    Args:
        provider: Whose SDK and API: "openai", "azure", "anthropic", "gemini", "groq" or "huggingface".
        operation: What is asked for.
        dialect: The wire format of the request and of the answer that the SDK expects.
        model: Where the URL names it; else it stands in the body.
        stream: Where the URL says so (Gemini); else it stands in the body.
        single: Gemini's `embedContent`, whose answer has one vector.
    """

    provider: str
    operation: Operation
    dialect: str
    model: str | None = None
    stream: bool | None = None
    single: bool = False

    @property
    def chat(self) -> str:
        """The chat dialect, in which errors are worded."""
        return _ERRORS.get(self.dialect, self.dialect)


def recognise(method: str, host: str, path: str, headers: Mapping[str, str]) -> Endpoint | None:
    """The model call that a request is; None for everything else.

    Args:
        method: Upper case.
        host: Lower case, without port.
        path: Without query, percent-encoded.
        headers: Looked up in lower case.
    """
    if method != "POST":
        return None
    provider = provider_of(host, headers)
    if provider is None:
        return None
    path = unquote(path).rstrip("/")
    if provider == "gemini":
        return _gemini(path)
    for ending, operation, dialect in _ENDINGS:
        if path.endswith(ending) and dialect in _SPEAKS[provider]:
            return Endpoint(provider, operation, dialect, model=_model_in(path, provider))
    return None


def provider_of(host: str, headers: Mapping[str, str]) -> str | None:
    """Whose API a request is for: by the host, else by the SDK that sends it; None when neither tells."""
    known = _HOSTS.get(host)
    if known is not None:
        return known
    for suffix, name in _SUFFIXES.items():
        if host.endswith(suffix):
            return name
    if host.endswith(_AZURE):
        return "azure"
    found = _AGENT.search(headers.get("user-agent", ""))
    if found is None:
        return None
    if found["google"]:
        # The same SDK speaks to Vertex AI, whose hosts take other credentials and paths.
        return None if host.endswith("aiplatform.googleapis.com") else "gemini"
    return _SDKS[found["sdk"]] if found["sdk"] else "huggingface"


def is_vendor(host: str) -> bool:
    """Whether a host is OpenAI's, Azure's, or Hugging Face's router: their servers know OpenAI's newer fields.

    What runs behind a dedicated endpoint of Hugging Face is its owner's choice.
    """
    return host in _VENDORS or host.endswith((".api.openai.com", *_AZURE))


def _gemini(path: str) -> Endpoint | None:
    found = _GEMINI.search(path)
    if found is None:
        return None
    model, verb = found["model"].removeprefix("models/"), found["verb"]
    if verb in {"embedContent", "batchEmbedContents"}:
        return Endpoint("gemini", "embed", "gemini_embed", model, single=verb == "embedContent")
    return Endpoint("gemini", "chat", "gemini_generate", model, stream=verb == "streamGenerateContent")


def _model_in(path: str, provider: str) -> str | None:
    pattern = {"azure": _DEPLOYMENT, "huggingface": _HF_MODEL}.get(provider)
    found = None if pattern is None else pattern.search(path)
    return None if found is None else found["model"]
