"""Where requests go and what they are built with: parsed URLs, TLS settings, and the HTTP library itself.

Everything here is worked out once and remembered: the parts of a URL per URL, TLS settings per `verify`, the library
per process.
"""

from __future__ import annotations

import importlib
import os
import re
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from aistrale.core.exchange import ACCEPT_ENCODING, EncodedHeader, EncodedHeaders, HttpRequest, encode_headers
from aistrale.core.network import Tunnel
from aistrale.core.proxy import ProxyRules, basic_authorization
from aistrale.core.transport import Foreign
from aistrale.core.worker import importing
from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

HttpFamily = Literal["auto", "httpx", "httpx2"]

_CANDIDATES: Final[dict[HttpFamily, tuple[str, ...]]] = {
    "auto": ("httpx2", "httpx"),
    "httpx2": ("httpx2",),
    "httpx": ("httpx",),
}
_CORES: Final = {"httpx": "httpcore", "httpx2": "httpcore2"}
_METHOD: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BLANK: Final = re.compile(r"[\x00-\x20\x7f]")
_TARGET: Final = re.compile(r"[\x21-\x7e]+")
_REMEMBERED_URLS: Final = 512
_ACCEPT: Final = (b"Accept-Encoding", b"accept-encoding", ACCEPT_ENCODING)


class Place:
    """Where one URL leads, taken apart."""

    __slots__ = (
        "authorization",
        "connect_host",
        "connect_port",
        "connect_scheme",
        "detour",
        "host_header",
        "key",
        "native",
        "target",
        "tls",
        "tunnel",
    )

    def __init__(self, url: str, rules: ProxyRules) -> None:
        if _BLANK.search(url):
            # urlsplit would silently drop some of these.
            raise ValueError("url: blanks and control characters must be percent-encoded")
        parts = urlsplit(url)
        scheme, host = parts.scheme, parts.hostname
        if scheme not in ("http", "https") or not host:
            raise ValueError("url: not an absolute http or https URL")
        if parts.username is not None:
            raise ValueError("url: credentials do not belong in the URL; send them as a header")
        if not host.isascii():
            host = host.encode("idna").decode("ascii")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if not _TARGET.fullmatch(target):
            raise ValueError("url: path or query has characters that must be percent-encoded")
        default = 443 if scheme == "https" else 80
        port = parts.port or default
        shown = f"[{host}]" if ":" in host else host
        shown_port = shown if port == default else f"{shown}:{port}"
        self.host_header = (b"Host", b"host", shown_port.encode("ascii"))
        self.tls = scheme == "https"
        self.target = target.encode("ascii")
        self.connect_scheme, self.connect_host, self.connect_port = scheme, host, port
        self.tunnel: Tunnel | None = None
        self.authorization: bytes | None = None
        self.detour: str | None = None
        self.native: Any = None
        proxy = rules.proxy_for(scheme, host)
        self.key: object = (scheme, host, port, proxy)
        if proxy is not None:
            self._lead_through(proxy, f"{scheme}://{shown}:{port}")

    def _lead_through(self, proxy: str, origin: str) -> None:
        parts = urlsplit(proxy)
        if parts.scheme != "http":
            # TLS inside TLS and SOCKS are left to the library's own transports.
            self.detour = proxy
            return
        host, port = parts.hostname or "", parts.port or 80
        if self.tls:
            self.tunnel = Tunnel(host, port, basic_authorization(parts))
        else:
            # RFC 9112 section 3.2.2: a proxy is given the absolute form.
            self.target = origin.encode("ascii") + self.target
            self.connect_host, self.connect_port = host, port
            self.authorization = basic_authorization(parts)
            self.key = ("proxy", host, port, self.authorization)


class Places:
    """The URLs of one client, with its proxies and TLS settings.

    Args:
        family: Which library.
        verify: As for `SyncHttp`.
        trust_env: As for `SyncHttp`.
        proxy: As for `SyncHttp`.
        max_idle: Idle connections that a library's transport may keep where one is used.
    """

    def __init__(
        self,
        family: HttpFamily,
        *,
        verify: bool | str | ssl.SSLContext,
        trust_env: bool,
        proxy: str | None,
        max_idle: int,
    ) -> None:
        self._family: HttpFamily = family
        self._verify = verify
        self._trust_env = trust_env
        self._max_idle = max_idle
        self._rules = ProxyRules(proxy, trust_env=trust_env)
        self._known: dict[str, Place] = {}

    def find(self, url: str) -> Place:
        """Where a URL leads.

        Raises:
            ValueError: It is no absolute http or https URL in sendable form; the message does not repeat it.
        """
        place = self._known.get(url)
        if place is None:
            place = Place(url, self._rules)
            if len(self._known) >= _REMEMBERED_URLS:
                self._known.clear()
            self._known[url] = place
        return place

    def context(self) -> ssl.SSLContext:
        """The TLS settings, shared by all clients with the same `verify`."""
        if isinstance(self._verify, ssl.SSLContext):
            return self._verify
        return _context(library(self._family), verify=self._verify, trust_env=self._trust_env)

    def detour(self, proxy: str, *, blocking: bool) -> Foreign:
        """A transport of the library, through a proxy that only it can use.

        Raises:
            ConfigurationError: The library needs another package for this proxy.
        """
        name = library(self._family).name
        m = importlib.import_module(name)
        kind = m.HTTPTransport if blocking else m.AsyncHTTPTransport
        limits = m.Limits(max_connections=None, max_keepalive_connections=self._max_idle)
        context = self.context()
        # The same authorities vouch for the proxy, where that is spoken to over TLS.
        through = m.Proxy(proxy, ssl_context=context if proxy.startswith("https:") else None)
        try:
            transport = kind(verify=context, trust_env=self._trust_env, proxy=through, limits=limits)
        except ImportError:
            raise ConfigurationError(
                "a SOCKS proxy needs the package socksio", field="proxy", hint=f"pip install '{name}[socks]'"
            ) from None
        return Foreign(transport, name, blocking=blocking)


class _RequestBody:
    """A body that httpcore can iterate in either colour, as often as it likes."""

    __slots__ = ("_content",)

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        return iter((self._content,) if self._content else ())

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Once(self._content)


class _Once:
    __slots__ = ("_content",)

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __aiter__(self) -> _Once:
        return self

    async def __anext__(self) -> bytes:
        content, self._content = self._content, b""
        if not content:
            raise StopAsyncIteration
        return content


class Library:
    """httpcore or httpcore2, with the objects that requests need."""

    __slots__ = ("_headers", "core", "name")

    def __init__(self, name: str, core: Any) -> None:  # noqa: ANN401 - two modules of the same shape
        self.name = name
        self.core = core
        self._headers = _checked_headers()

    def origin(self, place: Place) -> Any:  # noqa: ANN401
        """The origin that a connection is made to."""
        return self.url(place).origin

    def url(self, place: Place) -> Any:  # noqa: ANN401
        """The library's URL object for a place, made once."""
        url = place.native
        if url is None:
            url = place.native = self.core.URL(
                scheme=place.connect_scheme,
                host=place.connect_host,
                port=place.connect_port,
                target=place.target,
            )
        return url

    def request(self, request: HttpRequest, place: Place, headers: list[EncodedHeader]) -> Any:  # noqa: ANN401
        """The library's request, built from its raw parts; the headers are those of `headers_for`."""
        native = self.core.Request(request.method, self.url(place), content=_RequestBody(request.body))
        native.headers = self._headers(headers)
        return native


def headers_for(request: HttpRequest, place: Place) -> EncodedHeaders:
    """All headers of a request.

    Raises:
        ValueError: The method or a header cannot be sent.
    """
    if not _METHOD.fullmatch(request.method):
        raise ValueError(f"method: {request.method!r} is not an HTTP method")
    body = request.body
    headers = EncodedHeaders((place.host_header, *encode_headers(request.headers), _ACCEPT))
    if body or request.method in ("POST", "PUT", "PATCH"):
        headers.append((b"Content-Length", b"content-length", b"%d" % len(body)))
    if place.authorization is not None:
        headers.append((b"Proxy-Authorization", b"proxy-authorization", place.authorization))
    return headers


def _plain_headers(headers: list[EncodedHeader]) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, _, value in headers]


def _checked_headers() -> Callable[[list[EncodedHeader]], Any]:
    """How to hand over headers that were checked already.

    h11 checks each header of each request with regular expressions, a tenth of the cost of a call, unless it gets an
    object of its own class. That class has no public name, so it is taken from a request and tried out.
    """
    try:
        h11 = importlib.import_module("h11")
        sample = [(b"Host", b"host", b"x"), (b"X-Case", b"x-case", b"y")]
        make: Callable[[list[EncodedHeader]], Any] = type(
            h11.Request(method="GET", target="/", headers=[("Host", "x")]).headers
        )
        sent = h11.Connection(h11.CLIENT).send(h11.Request(method="GET", target="/", headers=make(sample)))
    except Exception:  # noqa: BLE001 - whatever another version does differently, the plain way works
        return _plain_headers
    return make if sent == b"GET / HTTP/1.1\r\nHost: x\r\nX-Case: y\r\n\r\n" else _plain_headers


_lock = threading.Lock()
_libraries: dict[HttpFamily, Library] = {}
_contexts: dict[tuple[str, bool | str, bool], ssl.SSLContext] = {}


def library(family: HttpFamily) -> Library:
    """Load the HTTP library of a family at its first use.

    Raises:
        ConfigurationError: None of the family is installed.
    """
    found = _libraries.get(family)
    if found is not None:
        return found
    with importing():
        for name in _CANDIDATES[family]:
            try:
                core = importlib.import_module(_CORES[name])
            except ModuleNotFoundError:
                continue
            return _libraries.setdefault(family, Library(name, core))
    wanted = " or ".join(_CANDIDATES[family])
    raise ConfigurationError(
        f"http={family!r}: {wanted} is not installed", field="http", hint=f"pip install {_CANDIDATES[family][0]}"
    )


def _context(lib: Library, *, verify: bool | str, trust_env: bool) -> ssl.SSLContext:
    key = (lib.name, verify, trust_env)
    with _lock:
        context = _contexts.get(key)
        if context is None:
            try:
                context = _make_context(lib, verify=verify, trust_env=trust_env)
            except OSError as error:  # what ssl raises is one too
                raise ValueError(
                    f"verify: the certificate authorities cannot be read ({type(error).__name__})"
                ) from error
            _contexts[key] = context
    return context


def _make_context(lib: Library, *, verify: bool | str, trust_env: bool) -> ssl.SSLContext:
    if isinstance(verify, str):
        if Path(verify).is_dir():
            return ssl.create_default_context(capath=verify)
        return ssl.create_default_context(cafile=verify)
    if verify and trust_env and lib.name == "httpx2":
        # What httpx2.create_ssl_context does, without the 70 ms that importing httpx2 takes.
        context: ssl.SSLContext = lib.core.default_ssl_context()
        return context
    module = importlib.import_module(lib.name)
    made: ssl.SSLContext = module.create_ssl_context(verify=verify, trust_env=trust_env)
    return made


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it when the process forked
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
