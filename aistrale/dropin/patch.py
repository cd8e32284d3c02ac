"""All official SDKs at once: the methods at which their requests leave are replaced, in httpx, httpx2 and aiohttp's.

The methods belong to classes, so clients that exist already are covered, and copies and pickles of clients, which carry
no trace of it. What is imported later is covered after its import; nothing is imported for it.

Not covered: transports that an application has written itself (`aistrale.wrap` or `aistrale.transport` cover those),
websockets (OpenAI Realtime, Gemini Live), and clients that speak through other libraries: huggingface_hub below 1.0
(requests), google-genai with an `aiohttp_client` of its own. A warning names the last two when they are seen.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial, wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal
from weakref import WeakValueDictionary

from aistrale.core.transport import OWN
from aistrale.dropin.imports import AfterImport, wait_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator
    from types import ModuleType

    from aistrale.engine import Engine

_log = logging.getLogger("aistrale.dropin")
# AzureOpenAI is a client of OpenAI's SDK.
_PROVIDERS_OF: Final = {"openai": ("openai", "azure")}
# How far a search goes through the functions that others have put around ours.
_SEARCHED: Final = 64


@dataclass(slots=True, frozen=True)
class _Active:
    """What an installed patch does with a request."""

    engine: Callable[[], Engine]
    only: frozenset[str] | None
    through: Callable[..., Any]
    through_async: Callable[..., Awaitable[Any]]

    def instruments(self, provider: str) -> bool:
        return self.only is None or provider in self.only


class _Layer:
    """One replaced method: what was there, what stands there now, and whether that still does anything."""

    __slots__ = ("__weakref__", "function", "live", "method", "original", "owner")

    def __init__(self, owner: type, method: str, original: Any, make: Callable[[_Layer], Callable[..., Any]]) -> None:  # noqa: ANN401
        self.owner = owner
        self.method = method
        self.original = original
        self.live = True
        self.function = make(self)
        _ours[id(self.function)] = self

    def bound(self, owner: object) -> Any:  # noqa: ANN401
        """What was there, as a method of an object. It need not be a function: tests put mocks on classes."""
        bind = getattr(self.original, "__get__", None)
        return self.original if bind is None else bind(owner, type(owner))


_lock = threading.RLock()
_active: _Active | None = None
_layers: dict[tuple[type, str], _Layer] = {}
# Every layer that still stands somewhere, by the identity of its function: a recorder may put one back much later.
_ours: WeakValueDictionary[int, _Layer] = WeakValueDictionary()
_warned: set[str] = set()


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it when the process forked
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


@cache
def _transport() -> ModuleType:
    # At the first request, so that init stays light; and kept, since every request comes by here.
    return import_module("aistrale.dropin.transport")


def _through(engine: Engine, send: Callable[[Any], Any], request: Any, only: frozenset[str] | None) -> Any:  # noqa: ANN401
    return _transport().through(engine, send, request, only)


async def _through_async(
    engine: Engine,
    send: Callable[[Any], Awaitable[Any]],
    request: Any,  # noqa: ANN401
    only: frozenset[str] | None,
) -> Any:  # noqa: ANN401
    return await _transport().through_async(engine, send, request, only)


def install(
    engine: Callable[[], Engine],
    instrument: Literal[True] | Collection[str],
    *,
    through: Callable[..., object] = _through,
    through_async: Callable[..., Awaitable[object]] = _through_async,
) -> None:
    """Lead the requests of the official SDKs through an engine, also of SDKs and clients that come later.

    Calling it again replaces the engine and the selection.

    Args:
        engine: Gives the engine; asked for every request.
        instrument: Providers whose calls are ours ("openai", "anthropic", "gemini", "groq", "huggingface"), whichever
            SDK makes them; True for all. Azure belongs to "openai".
        through: What a blocking request goes through: takes the engine, the original method, the request and the names
            of the providers whose calls are ours (None for all).
        through_async: The same for async requests.
    """
    global _active  # noqa: PLW0603
    only = None
    if instrument is not True:
        only = frozenset(provider for name in instrument for provider in _PROVIDERS_OF.get(name, (name,)))
    with _lock:
        _active = _Active(engine, only, through, through_async)
        _hook.install()
    for name in _PLACES:
        # Outside the lock: the thread that is waited for comes for it when its import is done.
        wait_for(name)
        _cover(name)


def uninstall() -> None:
    """Put back what was there.

    Where somebody else has put a function around ours meanwhile (a recorder of tests), ours stays and lets all through.
    """
    global _active  # noqa: PLW0603
    with _lock:
        _active = None
        _hook.remove()
        for layer in list(_ours.values()):
            current = vars(layer.owner).get(layer.method)
            if (below := _below_ours(current)) is not current:
                setattr(layer.owner, layer.method, below)
        for (owner, method), layer in list(_layers.items()):
            if not _stands_in(vars(owner).get(method), layer.function):
                layer.live = False
                del _layers[owner, method]


def warn_once(subject: str, message: str) -> None:
    """Log a warning about something that is not covered, once in a process."""
    if subject not in _warned:
        _warned.add(subject)
        _log.warning("%s: %s", subject, message)


def needs_aiohttp(api_client: Any) -> bool:  # noqa: ANN401 - google-genai's BaseApiClient
    """Whether an API client of google-genai that would use aiohttp has to: it cannot or must not use httpx instead.

    Args:
        api_client: A client that found aiohttp installed.
    """
    attributes = vars(api_client)
    if "_async_client_session_request_args" not in attributes or attributes.get("vertexai"):
        # One that is being built gets all that it needs for aiohttp, for the time after shutdown. Vertex AI's requests
        # are bound to Google's credentials, and pass untouched anyway.
        return True
    options = attributes.get("_http_options")
    if getattr(options, "aiohttp_client", None) is None and attributes.get("_async_httpx_client") is not None:
        return False
    warn_once(
        "google.genai.Client(http_options=HttpOptions(aiohttp_client=...))",
        "async calls through an aiohttp session of your own are not covered; leave it out, and httpx is used",
    )
    return True


def _cover(name: str) -> None:
    with _lock:
        module = sys.modules.get(name)
        if module is None or _active is None:
            return
        for owner_name, method, make in _PLACES[name]:
            owner = getattr(module, owner_name, None)
            current = vars(owner).get(method) if isinstance(owner, type) else None
            if not isinstance(owner, type) or current is None:
                continue
            layer = _layers.get((owner, method))
            if layer is not None:
                if _stands_in(current, layer.function):
                    continue
                # Somebody has put back what had been there before us. Should ours return, it must not act twice.
                layer.live = False
            layer = _layers[owner, method] = _Layer(owner, method, _below_ours(current), make)
            setattr(owner, method, layer.function)
    _look_at(name)


def _look_at(name: str) -> None:
    """Warn about an SDK whose requests take another way."""
    if name == _HF_CLIENT and _active is not None and _active.instruments("huggingface"):
        http = sys.modules.get("huggingface_hub.utils._http")
        if hasattr(http, "requests"):
            warn_once(
                "huggingface_hub below 1.0",
                "its clients use requests and aiohttp and are not covered; install huggingface_hub 1.0 or newer",
            )


def _below_ours(current: Any) -> Any:  # noqa: ANN401
    """What a function of ours stands on; any other as it is."""
    while (layer := _ours.get(id(current))) is not None and layer.function is current:
        current = layer.original
    return current


def _stands_in(current: object, wanted: object) -> bool:
    """Whether a function is another one or has it inside: wrapped, in a closure, in a partial, as a default."""
    seen: set[int] = set()
    waiting: list[object] = [current]
    while waiting and len(seen) < _SEARCHED:
        found = waiting.pop(0)
        if found is wanted:
            return True
        if id(found) not in seen:
            seen.add(id(found))
            # What lies in a closure may be anything, also a proxy that raises when it is looked at.
            with suppress(Exception):
                waiting.extend(_inside(found))
    return False


def _inside(function: object) -> Iterator[object]:
    if isinstance(function, partial):
        yield from (function.func, *function.args)
    yield from (part for name in ("__wrapped__", "__func__") if (part := getattr(function, name, None)) is not None)
    for cell in getattr(function, "__closure__", None) or ():
        try:
            yield cell.cell_contents
        except ValueError:
            continue
    yield from getattr(function, "__defaults__", None) or ()


def _blocking(layer: _Layer) -> Callable[..., Any]:
    @wraps(layer.original)
    def handle_request(self: object, request: Any) -> Any:  # noqa: ANN401
        active = _active
        if active is None or not layer.live or OWN in request.extensions:
            return layer.bound(self)(request)
        return active.through(active.engine(), layer.bound(self), request, active.only)

    return handle_request


def _awaiting(layer: _Layer) -> Callable[..., Any]:
    @wraps(layer.original)
    async def handle_async_request(self: object, request: Any) -> Any:  # noqa: ANN401
        active = _active
        if active is None or not layer.live or OWN in request.extensions:
            return await layer.bound(self)(request)
        return await active.through_async(active.engine(), layer.bound(self), request, active.only)

    return handle_async_request


def _choosing(layer: _Layer) -> Callable[..., Any]:
    @wraps(layer.original)
    def use_aiohttp(self: object) -> bool:
        active = _active
        wanted = bool(layer.bound(self)())
        if not wanted or active is None or not layer.live or not active.instruments("gemini"):
            return wanted
        return needs_aiohttp(self)

    return use_aiohttp


_HF_CLIENT: Final = "huggingface_hub.inference._client"
_HTTPX: Final = (
    ("HTTPTransport", "handle_request", _blocking),
    ("AsyncHTTPTransport", "handle_async_request", _awaiting),
)
_AIOHTTP: Final = (("AiohttpTransport", "handle_async_request", _awaiting),)
# Modules, and in each the classes and methods that are replaced.
_PLACES: Final[dict[str, tuple[tuple[str, str, Callable[[_Layer], Callable[..., Any]]], ...]]] = {
    "httpx": _HTTPX,
    "httpx2": _HTTPX,
    # What `DefaultAioHttpClient` of the SDKs stands on.
    "httpx_aiohttp.transport": _AIOHTTP,
    "httpx_aiohttp.httpx2.transport": _AIOHTTP,
    "openai._vendor.httpx_aiohttp.transport": _AIOHTTP,
    "anthropic._vendor.httpx_aiohttp.transport": _AIOHTTP,
    "google.genai._api_client": (("BaseApiClient", "_use_aiohttp", _choosing),),
    _HF_CLIENT: (),
}


def _imported(name: str) -> None:
    # An application must not fail to import a library because of us.
    try:
        _cover(name)
    except Exception:  # noqa: BLE001 - see above; whatever it was is logged
        _log.exception("%s could not be covered", name)


_hook: Final = AfterImport(frozenset(_PLACES), _imported)
