"""The wire: one HTTP/1.1 exchange at a time, blocking or async, on the connections of httpcore2 or httpcore.

The libraries' own pools look at every connection for every request. Here idle connections lie on a stack per origin,
so a call costs the same whether 1 or 500 are in flight. Deadlines are instants that hold for every byte; a stale kept
connection is replaced invisibly once; nothing that a forked child, a dead event loop or an abandoned response leaves
behind can reach a later exchange.

Both clients share one code path, written as coroutines. Those of `SyncHttp` never suspend.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol

from aistrale.core.exchange import (
    ContentDecoder,
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
from aistrale.core.network import SyncWire
from aistrale.core.pool import Link, Pool
from aistrale.core.target import HttpFamily, Library, Place, Places, library
from aistrale.core.transport import Foreign, translate

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator

    from aistrale.core.network import Wire
    from aistrale.core.network_async import AsyncWire

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

MAX_BODY: Final = 64 * 1024 * 1024
# Load balancers commonly end idle connections after 60 s; being first avoids the race between their end and our
# next request. Servers that end them sooner are caught by the look at the socket and the one silent retry.
IDLE_EXPIRY: Final = 50.0
MAX_IDLE: Final = 100


class _Source(Protocol):
    async def pull(self, until: float | None) -> bytes: ...
    async def end(self) -> None: ...
    async def stop(self) -> None: ...
    def abandon(self) -> None: ...


class HttpResponse:
    """A response whose head has arrived and whose body is still to be read.

    Args:
        status: Status code; redirects are responses like any other.
        headers: The response headers.
        http_version: Such as "HTTP/1.1".
        source: Where the body comes from.
        max_body: Bound of `read`, in bytes after decoding.
        decode: Whether the content coding is still to be undone.
    """

    __slots__ = ("__weakref__", "_decoder", "_ended", "_max_body", "_source", "headers", "http_version", "status")

    status: int
    headers: Headers
    http_version: str

    def __init__(
        self,
        status: int,
        headers: Headers,
        http_version: str,
        source: _Source,
        *,
        max_body: int = MAX_BODY,
        decode: bool = True,
    ) -> None:
        self.status = status
        self.headers = headers
        self.http_version = http_version
        self._source: _Source | None = source
        self._max_body = max_body
        self._ended = False
        self._decoder: ContentDecoder | None = None
        coding = next((value for name, value in headers.raw if name.lower() == b"content-encoding"), None)
        if coding is not None and decode:
            try:
                self._decoder = ContentDecoder(headers["content-encoding"])
            except ValueError as error:
                self.abandon()
                raise self._undecodable(error) from None

    async def read(self, until: float | None) -> bytes:
        """Read the whole body.

        Args:
            until: Instant of `time.monotonic()` by which it must be complete; None for no limit.

        Returns:
            The body with its content coding undone.

        Raises:
            HttpTooLarge: It exceeds `max_body`; the rest was not read and the connection is closed.
            HttpError: Any other failure, by its class.
        """
        size = 0
        pieces = []
        while data := await self.next_chunk(until):
            size += len(data)
            if size > self._max_body:
                await self.close()
                raise HttpTooLarge(
                    f"the response body is larger than {self._max_body} bytes", phase="body", sent=True
                )
            pieces.append(data)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def next_chunk(self, until: float | None) -> bytes:
        """Read the next piece of the body as soon as there is one.

        Pieces of a compressed body are at most 256 KiB each; the sum over a stream is not bounded.

        Args:
            until: Instant of `time.monotonic()` by which it must have come; None for no limit.

        Returns:
            Decoded bytes; b"" at the end of the body, by when the connection is free for the next exchange.

        Raises:
            HttpError: By its class; the connection is closed then.
        """
        source = self._source
        if source is None:
            if self._ended:
                return b""
            raise HttpClosed("the response was closed before its body was read", phase="body", sent=True)
        decoder = self._decoder
        try:
            while True:
                if decoder is not None and decoder.pending:
                    data = decoder.feed(b"")
                elif raw := await source.pull(until):
                    data = raw if decoder is None else decoder.feed(raw)
                else:
                    break
                if data:
                    return data
            if decoder is not None:
                decoder.finish()
        except ValueError as error:
            await self.close()
            raise self._undecodable(error) from None
        except BaseException:
            self._source = None
            raise
        self._source, self._ended = None, True
        await source.end()
        return b""

    def _undecodable(self, error: ValueError) -> HttpDecodeError:
        return HttpDecodeError(str(error), phase="body", sent=True)

    async def close(self) -> None:
        """Finish with the response; what was not read is not read any more and its connection is closed."""
        source, self._source = self._source, None
        if source is not None:
            await source.stop()

    def abandon(self) -> None:
        """Close at once without waiting; safe from any thread, in finalizers and outside the event loop."""
        source, self._source = self._source, None
        if source is not None:
            source.abandon()

    def __del__(self) -> None:
        # Slots may be missing where __init__ failed.
        if getattr(self, "_source", None) is not None:
            self.abandon()

    def __repr__(self) -> str:
        return f"<HttpResponse {self.status}>"


class _Body:
    """The body of a response on one of our own connections."""

    __slots__ = ("_http", "_iterator", "_link", "_pool", "_response")

    def __init__(self, http: _Http, pool: Pool, link: Link, response: Any) -> None:  # noqa: ANN401 - httpcore's
        self._http = http
        self._pool = pool
        self._link = link
        self._response = response
        self._iterator = http.iterate(response)

    async def pull(self, until: float | None) -> bytes:
        wire = self._link.wire
        wire.until = until
        wire.phase = "body"
        try:
            while True:
                data: bytes | None = await self._http.advance(self._iterator)
                if data is None:
                    return b""
                if data:
                    return data
        except BaseException as error:
            self._pool.discard(self._link)
            _reraise(error, wire)

    async def end(self) -> None:
        try:
            await self._http.finish(self._response)
        except BaseException as error:
            self._pool.discard(self._link)
            _reraise(error, self._link.wire)
        self._pool.release(self._link)

    async def stop(self) -> None:
        self._pool.discard(self._link)
        await self._http.leave(self._iterator)

    def abandon(self) -> None:
        self._pool.abandon(self._link)


def _reraise(error: BaseException, wire: Wire) -> NoReturn:
    if isinstance(error, HttpError) or not isinstance(error, Exception):
        raise error
    if wire.eof:
        raise wire.broken(None) from None
    ours = translate(error, phase=wire.phase, sent=wire.sent, reused=wire.reused, place=wire.place)
    if ours is None:
        raise error
    raise ours from None


class _Http:
    """What the blocking and the async client share: everything but the five calls that wait."""

    _blocking: bool

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
        self._setup()
        _alive.add(self)

    async def open(
        self, request: HttpRequest, *, connect_until: float | None, until: float | None
    ) -> HttpResponse:
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
        native = lib.request(request, place)
        link = pool.take(place.key)
        if link is not None:
            try:
                return await self._exchange(pool, link, native, connect_until, until)
            except HttpClosed as error:
                # Only where not one byte of an answer came; the server then has, as far as HTTP can tell, closed
                # an idle connection (RFC 9112 section 9.3.1) at the moment when we wrote to it.
                if link.wire.received or error.phase == "body":
                    raise
                pool.retried += 1
        link = pool.add(place.key, *self._connection(lib, place))
        return await self._exchange(pool, link, native, connect_until, until)

    async def _exchange(
        self, pool: Pool, link: Link, native: object, connect_until: float | None, until: float | None
    ) -> HttpResponse:
        wire = link.wire
        wire.begin(connect_until, until, reused=link.uses > 0)
        try:
            response = await self.send(link.connection, native)
            if link.uses and not wire.received and wire.sock is not None:
                # The answer was there before the question: left over from the previous exchange, and the
                # question has not even been sent (a wire sends when it is first read).
                raise wire.broken(None)
        except BaseException as error:
            pool.discard(link)
            _reraise(error, wire)
        link.uses += 1
        version: bytes = response.extensions.get("http_version", b"HTTP/1.1")
        return HttpResponse(
            response.status,
            Headers(response.headers),
            "HTTP/1.1" if version == b"HTTP/1.1" else version.decode("ascii", "replace"),
            _Body(self, pool, link, response),
            max_body=self._max_body,
        )

    async def _open_foreign(
        self, foreign: Foreign, request: HttpRequest, connect_until: float | None, until: float | None
    ) -> HttpResponse:
        status, raw, version, body = await foreign.open(request, connect_until, until)
        return HttpResponse(
            status, Headers(raw), version, body, max_body=self._max_body, decode=not body.decoded
        )

    def _load(self) -> Library:
        self._library = library(self._family)
        return self._library

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
        total = {"idle": 0, "active": 0, "opened": 0, "reused": 0, "retried": 0}
        for pool in self._pools_known():
            for name, count in pool.stats().items():
                total[name] += count
        return total

    def __del__(self) -> None:
        for pool in self._pools_known() if hasattr(self, "_pid") and self._pid == os.getpid() else ():
            pool.abandon_all()

    # The parts that differ.

    def _setup(self) -> None:
        raise NotImplementedError

    def _connection(self, lib: Library, place: Place) -> tuple[Any, Wire]:
        raise NotImplementedError

    async def _pool(self) -> Pool:
        raise NotImplementedError

    def _pools_known(self) -> list[Pool]:
        raise NotImplementedError

    async def send(self, connection: Any, native: object) -> Any:  # noqa: ANN401 - httpcore's classes
        """Exchange the request for the head of the response."""
        raise NotImplementedError

    def iterate(self, response: Any) -> Any:  # noqa: ANN401
        """The iterator over the body."""
        raise NotImplementedError

    async def advance(self, iterator: Any) -> bytes | None:  # noqa: ANN401
        """The next raw piece of a body, None at its end."""
        raise NotImplementedError

    async def finish(self, response: Any) -> None:  # noqa: ANN401
        """Tell httpcore that the exchange is over."""
        raise NotImplementedError

    async def leave(self, iterator: Any) -> None:  # noqa: ANN401
        """Give up a body that was not read to its end."""
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

    def _setup(self) -> None:
        self._one = Pool(self._max_idle, self._idle_expiry)

    def _connection(self, lib: Library, place: Place) -> tuple[Any, Wire]:
        wire = SyncWire(place.tunnel)
        context = self._places.context() if place.tls else None
        return lib.core.HTTPConnection(lib.origin(place), ssl_context=context, network_backend=wire), wire

    async def _pool(self) -> Pool:
        return self._one

    def _pools_known(self) -> list[Pool]:
        return [self._one]

    async def send(self, connection: Any, native: object) -> Any:  # noqa: ANN401
        return connection.handle_request(native)

    def iterate(self, response: Any) -> Any:  # noqa: ANN401
        return iter(response.stream)

    async def advance(self, iterator: Any) -> bytes | None:  # noqa: ANN401
        return next(iterator, None)

    async def finish(self, response: Any) -> None:  # noqa: ANN401
        response.close()

    async def leave(self, iterator: Any) -> None:  # noqa: ANN401
        if hasattr(iterator, "close"):
            iterator.close()

    async def close(self) -> None:
        """Close the idle connections; those in use are closed when their response ends. Idempotent."""
        self._closed = True
        self._one.close()


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

    def _setup(self) -> None:
        self._pools: weakref.WeakKeyDictionary[object, Pool] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def _connection(self, lib: Library, place: Place) -> tuple[Any, Wire]:
        from aistrale.core.network_async import AsyncioWire, TrioWire

        wire: AsyncWire = TrioWire(place.tunnel) if _in_trio() else AsyncioWire(place.tunnel)
        context = self._places.context() if place.tls else None
        return lib.core.AsyncHTTPConnection(lib.origin(place), ssl_context=context, network_backend=wire), wire

    async def _pool(self) -> Pool:
        loop = _current_loop()
        pool = self._pools.get(loop)
        if pool is None:
            pool = Pool(self._max_idle, self._idle_expiry)
            with self._lock:
                dead = [known for known in self._pools if _has_ended(known)]
                for known in dead:
                    self._pools.pop(known).abandon_all()
                pool = self._pools.setdefault(loop, pool)
            # Loops close their async generators before they end: the last moment at which asyncio can close
            # connections without complaint. Loops that do not are found dead by the sweep above.
            pool.guard = _until_loop_ends(pool)
            await anext(pool.guard)
        return pool

    def _pools_known(self) -> list[Pool]:
        return list(self._pools.values())

    def forget(self) -> None:
        self._lock = threading.Lock()
        super().forget()
        self._pools = weakref.WeakKeyDictionary()

    async def send(self, connection: Any, native: object) -> Any:  # noqa: ANN401
        return await connection.handle_async_request(native)

    def iterate(self, response: Any) -> Any:  # noqa: ANN401
        return aiter(response.stream)

    async def advance(self, iterator: Any) -> bytes | None:  # noqa: ANN401
        return await anext(iterator, None)

    async def finish(self, response: Any) -> None:  # noqa: ANN401
        await response.aclose()

    async def leave(self, iterator: Any) -> None:  # noqa: ANN401
        if hasattr(iterator, "aclose"):
            await iterator.aclose()

    async def close(self) -> None:
        """Close the idle connections of all loops; those in use are closed when their response ends. Idempotent."""
        self._closed = True
        here = self._pools.get(_current_loop())
        for pool in self._pools_known():
            if pool is here:
                pool.close()
                if pool.guard is not None:
                    await pool.guard.aclose()
            else:
                pool.abandon_all()
        # asyncio closes a socket one turn after it was told to.
        await _one_turn()


async def _until_loop_ends(pool: Pool) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        pool.close()


def _in_trio() -> bool:
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_task())


def _current_loop() -> object:
    if _in_trio():
        import trio

        return trio.lowlevel.current_trio_token()
    import asyncio

    return asyncio.get_running_loop()


async def _one_turn() -> None:
    if _in_trio():
        import trio

        await trio.lowlevel.checkpoint()
    else:
        import asyncio

        await asyncio.sleep(0)


def _has_ended(loop: Any) -> bool:  # noqa: ANN401 - an asyncio loop or a trio token
    if hasattr(loop, "is_closed"):
        return bool(loop.is_closed())
    import trio

    try:
        loop.run_sync_soon(_nothing)
    except trio.RunFinishedError:
        return True
    return False


def _nothing() -> None:
    """Runs in a trio loop only to see whether that loop still takes work."""


_alive: weakref.WeakSet[_Http] = weakref.WeakSet()


def _after_fork() -> None:
    for client in list(_alive):
        client.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
