"""HTTP clients and transports to hand to an official SDK: `OpenAI(http_client=aistrale.http_client("openai"))`."""

# ruff: noqa: ANN401 - what the SDKs offer differs by version, so it is asked for by name

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal, overload

from aistrale.config import SDKS
from aistrale.config.values import unknown_key
from aistrale.default import get_engine
from aistrale.dropin.cover import cover_client
from aistrale.dropin.transport import Transport
from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    import httpx
    import httpx2

# The distribution and the module of each SDK.
_MODULES: Final = {
    "openai": ("openai", "openai"),
    "anthropic": ("anthropic", "anthropic"),
    "gemini": ("google-genai", "google.genai"),
    "groq": ("groq", "groq"),
    "huggingface": ("huggingface_hub", "huggingface_hub"),
}


def transport() -> Transport:
    """A transport for an httpx or httpx2 client of your own: `httpx.Client(transport=aistrale.transport())`.

    It uses the pipeline of the process-wide client, and sends with a plain transport of the library in which it is
    used. A client that is given a transport does not look at HTTP(S)_PROXY; `http_client` keeps that.
    """
    return Transport(get_engine)


def async_transport() -> Transport:
    """The same for an `AsyncClient`."""
    return Transport(get_engine)


@overload
def http_client(
    provider: Literal["openai", "anthropic", "gemini", "huggingface"],
    *,
    asynchronous: Literal[False] = False,
    **keywords: object,
) -> httpx2.Client: ...
@overload
def http_client(
    provider: Literal["openai", "anthropic", "gemini", "huggingface"],
    *,
    asynchronous: Literal[True],
    **keywords: object,
) -> httpx2.AsyncClient: ...
@overload
def http_client(
    provider: Literal["groq"], *, asynchronous: Literal[False] = False, **keywords: object
) -> httpx.Client: ...
@overload
def http_client(provider: Literal["groq"], *, asynchronous: Literal[True], **keywords: object) -> httpx.AsyncClient: ...
@overload
def http_client(provider: str, *, asynchronous: bool = False, **keywords: object) -> object: ...
def http_client(provider: str, *, asynchronous: bool = False, **keywords: object) -> object:
    """An HTTP client for an official SDK, of the library that the installed version takes, with the SDK's own defaults.

        OpenAI(http_client=aistrale.http_client("openai"))
        AsyncAnthropic(http_client=aistrale.http_client("anthropic", asynchronous=True))
        genai.Client(http_options=HttpOptions(httpx_client=aistrale.http_client("gemini")))
        huggingface_hub.set_client_factory(lambda: aistrale.http_client("huggingface"))

    Its timeouts, limits, redirects, event hooks and proxies from the environment are those that the SDK would have set;
    its requests go through the pipeline of the process-wide client.

    Args:
        provider: "openai", "anthropic", "gemini", "groq" or "huggingface".
        asynchronous: For the SDK's async client.
        **keywords: What httpx.Client takes; replaces the SDK's default of that name.

    Raises:
        ConfigurationError: There is no such provider, or its SDK is not installed or too old.
    """
    if provider not in SDKS:
        raise unknown_key(provider, list(SDKS), "provider")
    distribution, module = _MODULES[provider]
    try:
        sdk = import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            f"http_client({provider!r}): {distribution} cannot be imported",
            field="provider",
            hint=f"pip install {distribution}",
        ) from error
    factory = _google if provider == "gemini" else _hugging if provider == "huggingface" else _stainless
    try:
        make, defaults = factory(sdk, asynchronous=asynchronous)
    except (AttributeError, ImportError) as error:
        raise ConfigurationError(
            f"http_client({provider!r}): the installed {distribution} does not take HTTP clients",
            field="provider",
            hint=f"pip install --upgrade {distribution}",
        ) from error
    client = make(**{**defaults, **keywords})
    cover_client(client)
    return client


# --- what an SDK makes its client of, and with what -------------------------------------------------------------------


def _stainless(sdk: Any, *, asynchronous: bool) -> tuple[Any, dict[str, Any]]:
    return sdk.DefaultAsyncHttpxClient if asynchronous else sdk.DefaultHttpxClient, {}


def _google(sdk: Any, *, asynchronous: bool) -> tuple[Any, dict[str, Any]]:
    api = import_module("google.genai._api_client")
    options = sdk.types.HttpOptions()
    defaults = api.BaseApiClient._ensure_httpx_ssl_ctx(options)[asynchronous]  # noqa: SLF001
    if hasattr(api, "_get_http_client_classes"):
        return api._get_http_client_classes(options)[asynchronous], defaults  # noqa: SLF001
    # Before it could use httpx2.
    return api.AsyncHttpxClient if asynchronous else api.SyncHttpxClient, defaults


def _hugging(sdk: Any, *, asynchronous: bool) -> tuple[Any, dict[str, Any]]:
    http = import_module(f"{sdk.__name__}.utils._http")
    # The factory takes no keywords, so its client shows what they would be. It has opened nothing.
    shown = (http.default_async_client_factory if asynchronous else http.default_client_factory)()
    return type(shown), {name: getattr(shown, name) for name in ("event_hooks", "follow_redirects", "timeout")}
