"""The wire: one HTTP/1.1 exchange at a time, blocking or async, on the connections of httpcore2 or httpcore.

The libraries' own pools look at every connection for every request. Here idle connections lie on a stack per origin,
so a call costs the same whether 1 or 500 are in flight. Deadlines are instants that hold for every byte; a stale kept
connection is replaced invisibly once; nothing that a forked child, a dead event loop or an abandoned response leaves
behind can reach a later exchange.

Both clients share one code path, written as coroutines. Those of `SyncHttp` never suspend.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final

from aistrale.core.exchange import (
    Headers,
    HttpClosed,
    HttpConnectError,
    HttpDecodeError,
    HttpError,
    HttpProtocolError,
    HttpRequest,
    HttpTimeout,
    HttpTLSError,
    HttpTooLarge,
    Phase,
)
from aistrale.core.network import current_loop, has_ended, in_trio, one_turn
from aistrale.core.network_sync import SyncWire
from aistrale.core.plain import METHODS, PlainBody, exchange, write_request
from aistrale.core.pool import Link, Pool
from aistrale.core.response import MAX_BODY, Awaiting, Blocking, Body, Colour, HttpResponse, reraise
from aistrale.core.target import HttpFamily, Library, Place, Places, headers_for, library
from aistrale.core.transport import Foreign

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator

    from aistrale.core.network import AsyncWire, Tunnel, Wire

__all__ = [
    "AsyncHttp",
    "Headers",
    "HttpClosed",
    "HttpConnectError",
    "HttpDecodeError",
    "HttpError",
    "HttpFamily",
    "HttpProtocolError",
    "HttpRequest",
    "HttpResponse",
    "HttpTLSError",
    "HttpTimeout",
    "HttpTooLarge",
    "Phase",
    "SyncHttp",
]

# Load balancers commonly end idle connections after 60 s; being first avoids the race between their end and our
# next request. Servers that end them sooner are caught by the look at the socket and the one silent retry.
IDLE_EXPIRY: Final = 50.0
# What a burst has opened is there for the next one; idle connections cost nothing here, they only lie on the stack.
MAX_IDLE: Final = 512


class _Http:
    """What the blocking and the async client share: everything but the five calls that wait."""

    _blocking: bool
    _colour: Colour

    def __init__(
        self,
        *,
        http: HttpFamily = "auto",
        verify: bool | str | ssl.SSLContext = True,
        trust_env: bool = True,
        proxy: str | None = None,
        max_idle: int = MAX_IDLE,
        idle_expiry: float = IDLE_EXPIRY,
        max_body: int = MAX_BODY,
        transport: object | None = None,
    ) -> None:
        if http not in ("auto", "httpx", "httpx2"):
            raise ValueError(f"http: {http!r} is not one of 'auto', 'httpx', 'httpx2'")
        self._family: HttpFamily = http
        self._max_idle = max_idle
        self._idle_expiry = idle_expiry
        self._max_body = max_body
        self._places = Places(http, verify=verify, trust_env=trust_env, proxy=proxy, max_idle=max_idle)
        self._foreign: Foreign | None = None
        if transport is not None:
            self._foreign = Foreign(transport, "httpx" if http == "httpx" else "httpx2", blocking=self._blocking)
        self._library: Library | None = None
        self._pid = os.getpid()
        self._closed = False
        self._past = {"opened": 0, "reused": 0, "retried": 0}
        self._setup()
        _alive.add(self)

    async def open(self, request: HttpRequest, *, connect_until: float | None, until: float | None) -> HttpResponse:
        """Send a request and wait for the head of its response.

        A kept connection that turns out to have been closed before any byte of the response came is replaced by
        a new one, once. Redirects are not followed.

        Args:
            request: What to send.
            connect_until: Instant of `time.monotonic()` by which the connection must stand; None for no limit.
            until: Instant by which the head must have come; None for no limit.

        Returns:
            The response; read it to the end or close it.

        Raises:
            HttpError: By its class; no connection is left over.
            ValueError: The URL or a header cannot be sent.
            RuntimeError: The client is closed.
        """
        if self._closed:
            raise RuntimeError("this HTTP client is closed")
        if self._pid != os.getpid():
            self.forget()
        if self._foreign is not None:
            return await self._open_foreign(self._foreign, request, connect_until, until)
        place = self._places.find(request.url)
        pool = await self._pool()
        if place.detour is not None:
            foreign = pool.foreign.get(place.detour)
            if foreign is None:
                foreign = pool.foreign[place.detour] = self._places.detour(place.detour, blocking=self._blocking)
            return await self._open_foreign(foreign, request, connect_until, until)
        lib = self._library or self._load()
        headers = headers_for(request, place)
        link = pool.take(place.key)
        if link is not None:
            try:
                link.wire.begin(connect_until, until, reused=link.uses > 0)
                if request.method in METHODS:
                    sent = write_request(request.method, place.target, headers, request.body)
                    response = await self._plain(pool, link, sent)
                    if response is not None:
                        return response
                return await self._exchange(pool, link, lib.request(request, place, headers))
            except HttpClosed as error:
                # Only where not one byte of an answer came; the server then has, as far as HTTP can tell, closed
                # an idle connection (RFC 9112 section 9.3.1) at the moment when we wrote to it.
                if link.wire.received or error.phase == "body":
                    raise
                pool.retried += 1
        link = pool.add(place.key, *self._connection(lib, place))
        link.wire.begin(connect_until, until, reused=False)
        return await self._exchange(pool, link, lib.request(request, place, headers))

    async def _plain(self, pool: Pool, link: Link, request: bytes) -> HttpResponse | None:
        """The exchange without httpcore; None where its answer needs httpcore, which then finds it on the wire."""
        try:
            begun = await exchange(self._colour, link, request)
        except BaseException as error:  # noqa: BLE001 - raised again
            pool.discard(link)
            reraise(error, link.wire)
        if begun is None:
            return None
        head, framing, data = begun
        link.uses += 1
        body = PlainBody(self._colour, pool, link, framing, data)
        return HttpResponse(head.status, head.headers, "HTTP/1.1", body, max_body=self._max_body, reason=head.reason)

    async def _exchange(self, pool: Pool, link: Link, native: object) -> HttpResponse:
        wire = link.wire
        try:
            response = await self._colour.send(link.connection, native)
            if link.uses and not wire.received and wire.sock is not None:
                # The answer was there before the question: left over from the previous exchange, and the
                # question has not even been sent (a wire sends when it is first read).
                raise wire.broken(None)  # noqa: TRY301 - cleaned up like any other failure
        except BaseException as error:  # noqa: BLE001 - raised again
            pool.discard(link)
            reraise(error, wire)
        link.uses += 1
        version: bytes = response.extensions.get("http_version", b"HTTP/1.1")
        return HttpResponse(
            response.status,
            Headers(response.headers),
            "HTTP/1.1" if version == b"HTTP/1.1" else version.decode("ascii", "replace"),
            Body(self._colour, pool, link, response),
            max_body=self._max_body,
            reason=response.extensions.get("reason_phrase", b"").decode("latin-1"),
        )

    async def _open_foreign(
        self, foreign: Foreign, request: HttpRequest, connect_until: float | None, until: float | None
    ) -> HttpResponse:
        status, raw, version, body = await foreign.open(request, connect_until, until)
        return HttpResponse(status, Headers(raw), version, body, max_body=self._max_body, decode=not body.decoded)

    def _load(self) -> Library:
        self._library = library(self._family)
        return self._library

    async def _close_here(self, pool: Pool) -> None:
        pool.close()
        while pool.foreign:
            await pool.foreign.popitem()[1].close()

    def forget(self) -> None:
        """Leave every connection to the parent process; called in a forked child."""
        self._pid = os.getpid()
        for pool in self._pools_known():
            pool.forget()

    def stats(self) -> dict[str, int]:
        """Counts of connections.

        Returns:
            `idle` and `active` now; `opened`, `reused` and `retried` (stale ones replaced) since the beginning.
        """
        total = {"idle": 0, "active": 0, **self._past}
        for pool in self._pools_known():
            for name, count in pool.stats().items():
                total[name] += count
        return total

    def __del__(self) -> None:
        for pool in self._pools_known() if hasattr(self, "_pid") and self._pid == os.getpid() else ():
            pool.abandon_idle()

    # The parts that differ.

    def _setup(self) -> None:
        raise NotImplementedError

    def _connection(self, lib: Library, place: Place) -> tuple[Any, Wire]:
        raise NotImplementedError

    async def _pool(self) -> Pool:
        raise NotImplementedError

    def _pools_known(self) -> list[Pool]:
        raise NotImplementedError


class SyncHttp(_Http):
    """Blocking HTTP client; its coroutines never suspend and are driven by one `coro.send(None)`.

    May be used from several threads at once, and on both sides of a fork.

    Args:
        http: Which library: "httpx2", "httpx", or "auto" for the first of them that is installed.
        verify: True for the system's or certifi's authorities, False for none, a path to a CA file or directory, or
            an `ssl.SSLContext` (which also brings client certificates).
        trust_env: Whether proxy variables, SSL_CERT_FILE and SSL_CERT_DIR are honoured.
        proxy: URL of a proxy for all hosts but loopback, in place of the environment's.
        max_idle: How many idle connections are kept per origin.
        idle_expiry: Seconds after which an idle connection is not used any more.
        max_body: Largest body that `HttpResponse.read` accepts, in bytes after decoding.
        transport: An httpx or httpx2 transport object that requests go through instead of our own connections.

    Raises:
        ValueError: An argument is not one of the accepted values.
        TypeError: The transport is not one for blocking use.
    """

    _blocking = True
    _colour = Blocking()

    def _setup(self) -> None:
        self._one = Pool(self._max_idle, self._idle_expiry)

    def _connection(self, lib: Library, place: Place) -> tuple[Any, Wire]:
        wire = self._wire(place.tunnel, tls=place.tls)
        context = self._places.context() if place.tls else None
        return lib.core.HTTPConnection(lib.origin(place), ssl_context=context, network_backend=wire), wire

    def _wire(self, tunnel: Tunnel | None, *, tls: bool) -> SyncWire:
        """A new wire; a subclass may give one that does not connect everywhere."""
        return SyncWire(tunnel)

    async def _pool(self) -> Pool:
        return self._one

    def _pools_known(self) -> list[Pool]:
        return [self._one]

    async def close(self) -> None:
        """Close the idle connections; those in use are closed when their response ends. Idempotent."""
        self._closed = True
        await self._close_here(self._one)


class AsyncHttp(_Http):
    """Async HTTP client for asyncio and trio; may serve several event loops, one after the other or in threads.

    Each running loop has connections of its own. Those of a loop that has ended are dropped.

    Args:
        http: As for `SyncHttp`, like all the others.
        verify: See there.
        trust_env: See there.
        proxy: See there.
        max_idle: How many idle connections are kept per origin and event loop.
        idle_expiry: See there.
        max_body: See there.
        transport: An async httpx or httpx2 transport; its ties to an event loop are its own.

    Raises:
        ValueError: An argument is not one of the accepted values.
        TypeError: The transport is not one for async use.
    """

    _blocking = False
    _colour = Awaiting()

    def _setup(self) -> None:
        self._pools: weakref.WeakKeyDictionary[object, Pool] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def _connection(self, lib: Library, place: Place) -> tuple[Any, Wire]:
        from aistrale.core.network_async import AsyncioWire, TrioWire

        wire: AsyncWire = TrioWire(place.tunnel) if in_trio() else AsyncioWire(place.tunnel)
        context = self._places.context() if place.tls else None
        return lib.core.AsyncHTTPConnection(lib.origin(place), ssl_context=context, network_backend=wire), wire

    async def _pool(self) -> Pool:
        loop = current_loop()
        pool = self._pools.get(loop)
        if pool is None:
            pool = Pool(self._max_idle, self._idle_expiry)
            with self._lock:
                dead = [known for known in self._pools if has_ended(known)]
                for known in dead:
                    ended = self._pools.pop(known)
                    ended.abandon_all()
                    for name in self._past:
                        self._past[name] += ended.stats()[name]
                pool = self._pools.setdefault(loop, pool)
            # Loops close their async generators before they end: the last moment at which asyncio can close
            # connections without complaint. Loops that do not are found dead by the sweep above.
            pool.guard = _until_loop_ends(pool)
            await anext(pool.guard)
        return pool

    def _pools_known(self) -> list[Pool]:
        with self._lock:
            return list(self._pools.values())

    def forget(self) -> None:
        """Leave every connection to the parent process; called in a forked child."""
        self._lock = threading.Lock()
        super().forget()
        self._pools = weakref.WeakKeyDictionary()

    async def close(self) -> None:
        """Close the idle connections of all loops; those in use are closed when their response ends. Idempotent."""
        self._closed = True
        here = self._pools.get(current_loop())
        for pool in self._pools_known():
            if pool is here:
                await self._close_here(pool)
                if pool.guard is not None:
                    await pool.guard.aclose()
            else:
                pool.abandon_idle()
        # asyncio closes a socket one turn after it was told to.
        await one_turn()


async def _until_loop_ends(pool: Pool) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        pool.close()


_alive: weakref.WeakSet[_Http] = weakref.WeakSet()


def _after_fork() -> None:
    for client in list(_alive):
        client.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
