"""One client of an official SDK behind the pipeline; every other client stays as it is."""

# ruff: noqa: ANN401 - the SDKs are not imported for this: a client is known by the names of its classes

from __future__ import annotations

from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar
from weakref import WeakSet

from aistrale.dropin.cover import cover_client, covered
from aistrale.dropin.patch import needs_aiohttp
from aistrale.dropin.transport import Transport
from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

SdkClient = TypeVar("SdkClient")

_SUPPORTED: Final = (
    "openai.OpenAI, AsyncOpenAI, AzureOpenAI, AsyncAzureOpenAI; anthropic.Anthropic, AsyncAnthropic; "
    "groq.Groq, AsyncGroq; google.genai.Client; huggingface_hub.InferenceClient, AsyncInferenceClient"
)


def wrap(client: SdkClient) -> SdkClient:
    """Lead the calls of one client of an official SDK through the pipeline of the process-wide client.

        client = aistrale.wrap(openai.OpenAI())

    The client is changed in place, in its HTTP client only: what sends stays its own, with its proxies, certificates
    and timeouts. Copies (`with_options`, `copy`) share it, so they are covered too; so is whatever else uses an HTTP
    client that was passed in as `http_client=`. Wrapping again changes nothing. It cannot be undone; make a new client
    instead.

    Args:
        client: openai.OpenAI, AsyncOpenAI and their Azure variants; anthropic.Anthropic, AsyncAnthropic; groq.Groq,
            AsyncGroq; google.genai.Client, both its sides; huggingface_hub.InferenceClient, AsyncInferenceClient (from
            1.0). Subclasses too.

    Returns:
        The same object.

    Raises:
        ConfigurationError: It is something else. Clients of Amazon Bedrock and Vertex AI send signed requests, or ones
            that are bound to other credentials, which pass unaltered; wrapping them would do nothing.
    """
    kind = _kind(client)
    if kind is None:
        raise ConfigurationError(
            f"a {type(client).__module__}.{type(client).__qualname__} cannot be wrapped",
            field="client",
            hint=f"Supported: {_SUPPORTED}.",
        )
    kind(client)
    return client


def _kind(client: object) -> Callable[[Any], None] | None:
    for base in type(client).__mro__:
        for package, names, kind in _KINDS:
            if base.__name__ in names and f"{base.__module__}.".startswith(f"{package}."):
                return kind
    return None


def _stainless(client: Any) -> None:
    cover_client(client._client)  # noqa: SLF001 - openai, anthropic and groq are generated alike


def _google(client: Any) -> None:
    api_client = client._api_client  # noqa: SLF001
    if getattr(api_client, "vertexai", False):
        raise ConfigurationError(
            "a google.genai client of Vertex AI cannot be wrapped",
            field="client",
            hint="Its requests are bound to Google Cloud's credentials; use one with an API key.",
        )
    for name in ("_httpx_client", "_async_httpx_client"):
        http_client = getattr(api_client, name, None)
        if http_client is not None:
            cover_client(http_client)
    uses_aiohttp = getattr(api_client, "_use_aiohttp", None)
    if uses_aiohttp is not None and uses_aiohttp() and not needs_aiohttp(api_client):
        api_client._use_aiohttp = lambda: False  # noqa: SLF001 - so that its async side uses httpx


# --- Hugging Face ----------------------------------------------------------------------------------------------------

_wrapped: WeakSet[object] = WeakSet()
_of_wrapped: ContextVar[bool] = ContextVar("aistrale_of_wrapped", default=False)


class _Shared:
    """A transport of Hugging Face's session, which all clients and downloads of the process share.

    Requests of wrapped clients go through ours; all others straight to what was there.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._ours = covered(inner)

    def handle_request(self, request: Any) -> Any:
        return (self._ours if _of_wrapped.get() else self._inner).handle_request(request)

    def close(self) -> None:
        self._inner.close()

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._inner.__exit__(*error)


def _shared(inner: Any) -> Any:
    return inner if isinstance(inner, (_Shared, Transport)) else _Shared(inner)


def _hugging(client: Any) -> None:
    _check_hugging(client, "_inner_post")
    if client in _wrapped:
        return
    utils = import_module("huggingface_hub.utils")
    post = client._inner_post  # noqa: SLF001

    def posting(*arguments: Any, **keywords: Any) -> Any:
        # At each call: the session is replaced after a failed connection, by set_client_factory and in a fork.
        cover_client(utils.get_session(), _shared)
        token = _of_wrapped.set(True)
        try:
            return post(*arguments, **keywords)
        finally:
            _of_wrapped.reset(token)

    client._inner_post = posting  # noqa: SLF001
    _wrapped.add(client)


def _hugging_async(client: Any) -> None:
    _check_hugging(client, "_get_async_client")
    if client in _wrapped:
        return
    get = client._get_async_client  # noqa: SLF001

    async def getting() -> Any:
        http_client = await get()
        cover_client(http_client)
        return http_client

    client._get_async_client = getting  # noqa: SLF001
    _wrapped.add(client)


def _check_hugging(client: Any, method: str) -> None:
    version = import_module("huggingface_hub").__version__
    # Below 1.0 it used requests and aiohttp.
    if not hasattr(client, method) or version.startswith("0."):
        raise ConfigurationError(
            f"a client of huggingface_hub {version} cannot be wrapped",
            field="client",
            hint="Install huggingface_hub 1.0 or newer.",
        )


_KINDS: Final = (
    ("openai", {"OpenAI", "AsyncOpenAI"}, _stainless),
    ("anthropic", {"Anthropic", "AsyncAnthropic"}, _stainless),
    ("groq", {"Groq", "AsyncGroq"}, _stainless),
    ("google.genai", {"Client", "AsyncClient"}, _google),
    ("huggingface_hub", {"InferenceClient"}, _hugging),
    ("huggingface_hub", {"AsyncInferenceClient"}, _hugging_async),
)
