"""Sending through somebody else's transport object: httpx's or httpx2's, real or mocked, blocking or async.

Used for `transport=` (tests, mutual TLS, recording) and for proxies that only those libraries speak to (SOCKS, TLS to
the proxy). The library is recognised by the object's class, so nothing is imported that is not loaded already.
"""

from __future__ import annotations

import importlib
import socket
import ssl
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NoReturn

from aistrale.core.exchange import (
    ACCEPT_ENCODING,
    HttpClosed,
    HttpConnectError,
    HttpError,
    HttpProtocolError,
    HttpProxyDenied,
    HttpRequest,
    HttpTimeout,
    HttpTLSError,
    Phase,
    encode_headers,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OWN: Final = "aistrale"
"""Key of the extension by which a request is known as one that we send ourselves."""

# A deadline that began a moment before the step is no shorter limit than the step's own.
_ABOUT: Final = 1.01

LIBRARIES: Final = ("httpx", "httpx2", "httpcore", "httpcore2", "h11")


def translate(error: BaseException, *, phase: Phase, sent: bool, reused: bool, place: str) -> HttpError | None:
    """Turn an error of one of the HTTP libraries into ours.

    Args:
        error: What was raised.
        phase: The phase in which it was raised; kept unless the error itself says another.
        sent: Whether the request may have reached the peer, as far as the caller knows.
        reused: Whether the connection was a kept one.
        place: Host and port, for the message.

    Returns:
        Our error, or None where the exception is none of theirs and should go on untouched.
    """
    if isinstance(error, HttpError):
        return error
    names = {kind.__name__ for kind in type(error).__mro__ if kind.__module__.partition(".")[0] in LIBRARIES}
    if not names:
        if isinstance(error, OSError):
            return HttpClosed(f"lost {place} ({type(error).__name__})", phase=phase, sent=sent, reused=reused)
        return None
    if names & {"ConnectError", "ConnectTimeout", "ProxyError", "PoolTimeout", "UnsupportedProtocol"}:
        return _not_connected(error, names, place)
    if names & {"TimeoutException"}:
        phase = "write" if "WriteTimeout" in names else phase
        return HttpTimeout(f"timed out exchanging with {place}", phase=phase, sent=sent, reused=reused)
    closed = "disconnected" in str(error) or "closed" in str(error) or "NetworkError" in names
    if closed or "StreamError" in names or "ConnectionNotAvailable" in names:
        return HttpClosed(f"{place} closed the connection", phase=phase, sent=sent, reused=reused)
    # The libraries quote what they could not parse, which may be part of an answer: not repeated here.
    return HttpProtocolError(f"{place} did not answer in valid HTTP/1.1", phase=phase, sent=sent, reused=reused)


def _not_connected(error: BaseException, names: set[str], place: str) -> HttpError:
    if names & {"ConnectTimeout", "PoolTimeout"}:
        return HttpTimeout(f"timed out connecting to {place}", phase="connect")
    if "ProxyError" in names and str(error).startswith("407"):
        return HttpProxyDenied(f"the proxy for {place} answered with status 407", phase="connect")
    cause: BaseException | None = error
    seen: set[int] = set()
    # Recorders raise an error from one that was raised from it, so that the chain has no end.
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        # A connection that was cut during the handshake says nothing about the certificate.
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
            reason = getattr(cause, "verify_message", None) or getattr(cause, "reason", None) or "handshake failed"
            return HttpTLSError(f"TLS with {place} failed: {reason}", phase="tls")
        if isinstance(cause, socket.gaierror):
            return HttpConnectError(f"the name of {place} does not resolve", phase="resolve")
        cause = cause.__cause__ or cause.__context__
    return HttpConnectError(f"failed connecting to {place} ({type(error).__name__})", phase="connect")


def module_of(transport: object, default: str) -> Any:  # noqa: ANN401 - one of two libraries of the same shape
    """The httpx-like module whose requests a transport takes, found by the class of the object."""
    for kind in type(transport).__mro__:
        root = kind.__module__.partition(".")[0]
        if root in ("httpx", "httpx2"):
            return importlib.import_module(root)
    return importlib.import_module(default)


class Foreign:
    """A transport object, with requests built in its library's own classes.

    Args:
        transport: An httpx or httpx2 transport.
        default: Which library to use where the class does not tell ("httpx" or "httpx2").
        blocking: Whether it is to be used without an event loop.

    Raises:
        TypeError: The object has no method to handle requests of the wanted colour.
    """

    __slots__ = ("blocking", "library", "transport")

    def __init__(self, transport: object, default: str, *, blocking: bool) -> None:
        wanted = "handle_request" if blocking else "handle_async_request"
        if not callable(getattr(transport, wanted, None)):
            raise TypeError(f"transport: {type(transport).__name__} has no method {wanted}()")
        self.transport: Any = transport
        self.library = module_of(transport, default)
        self.blocking = blocking

    async def open(
        self, request: HttpRequest, connect_until: float | None, until: float | None
    ) -> tuple[int, list[tuple[bytes, bytes]], str, ForeignBody]:
        """Send a request and wait for the response head.

        A blocking transport cannot be interrupted, so there the deadline is handed to it as its timeouts, and
        checked again when it returns. An async one is cancelled at the deadline.

        Returns:
            Status, raw headers, HTTP version, and the body to be read.
        """
        foreign = self.library.Request(
            request.method,
            request.url,
            headers=[(name, value) for name, _, value in encode_headers(request.headers)]
            + [(b"Accept-Encoding", ACCEPT_ENCODING)],
            content=request.body if request.body or request.method not in ("GET", "HEAD") else None,
            extensions={OWN: True},
        )
        body = await self.exchange(foreign, connect_until, until, {})
        response = body.response
        version = response.extensions.get("http_version", b"HTTP/1.1")
        text = version.decode("ascii", "replace") if isinstance(version, bytes) else str(version)
        return response.status_code, list(response.headers.raw), text, body

    async def exchange(
        self,
        foreign: Any,  # noqa: ANN401 - the library's Request
        connect_until: float | None,
        until: float | None,
        limits: Mapping[str, float | None],
    ) -> ForeignBody:
        """Send a request of the library's own and wait for the response head.

        Args:
            foreign: The request; its `timeout` extension is set.
            connect_until: As for `open`.
            until: As for `open`.
            limits: Seconds that every single step may take whatever the deadline: connect, read, write, pool.

        Returns:
            The body to be read; its `response` has the head.
        """
        timeouts = _timeouts(until, connect_until, limits)
        foreign.extensions = {**foreign.extensions, "timeout": timeouts}
        place = foreign.url.netloc.decode("ascii", "replace")
        deadline = _Deadline(until, place, "headers")
        try:
            if self.blocking:
                response = self.transport.handle_request(foreign)
            else:
                response = await deadline.guard(self.transport.handle_async_request(foreign))
        except Exception as error:  # noqa: BLE001 - raised again
            _raise(error, "headers", place)
        body = ForeignBody(self, response, timeouts, limits, place)
        if until is not None and monotonic() >= until:
            await body.stop()
            raise deadline.passed()
        return body

    async def close(self) -> None:
        """Close the transport, where it is one that we made."""
        if self.blocking:
            self.transport.close()
        else:
            await self.transport.aclose()


class ForeignBody:
    """The body of a foreign response, still in its content coding unless `decoded` says otherwise."""

    __slots__ = ("_async", "_limits", "_owner", "_parts", "_place", "_timeouts", "decoded", "response")

    def __init__(
        self,
        owner: Foreign,
        response: Any,  # noqa: ANN401 - the library's Response
        timeouts: dict[str, float | None],
        limits: Mapping[str, float | None],
        place: str,
    ) -> None:
        self._owner = owner
        self._limits = limits
        self.response = response
        self._timeouts = timeouts
        self._place = place
        self._parts: Iterator[bytes] | None = None
        self._async: Any = None
        stream = response.stream
        # A mock may hand over a response that it has read itself; then the stream is used up, and what is left is
        # the text as its library decoded it.
        self.decoded = bool(response.is_stream_consumed) and not isinstance(stream, owner.library.ByteStream)
        if self.decoded:
            self._parts = iter((response.content,))
        elif owner.blocking:
            self._parts = iter(stream)
        else:
            self._async = stream.__aiter__()

    async def pull(self, until: float | None) -> bytes:
        """The next piece, b"" at the end."""
        deadline = _Deadline(until, self._place, "body")
        self._timeouts.update(_timeouts(until, until, self._limits))
        try:
            if self._async is None:
                data = next(self._parts or iter(()), None)
                while data == b"":
                    data = next(self._parts or iter(()), None)
            else:
                data = await deadline.guard(anext(self._async, None))
                while data == b"":
                    data = await deadline.guard(anext(self._async, None))
            if until is not None and monotonic() >= until:
                raise deadline.passed()  # noqa: TRY301 - closed like after any other failure
        except BaseException as error:
            await self.stop()
            if isinstance(error, Exception):
                _raise(error, "body", self._place)
            raise
        return data or b""

    async def end(self) -> None:
        """The body was read; let the transport have its connection back."""
        await self.stop()

    async def stop(self) -> None:
        """Close the response."""
        try:
            if self._owner.blocking:
                self.response.close()
            else:
                if hasattr(self._async, "aclose"):
                    await self._async.aclose()
                await self.response.aclose()
        except Exception as error:
            if translate(error, phase="body", sent=True, reused=False, place=self._place) is None:
                raise

    def abandon(self) -> None:
        """Close without waiting: possible for a blocking response; an async one is left to its library."""
        if self._owner.blocking:
            self.response.close()


class _Deadline:
    __slots__ = ("_phase", "_place", "_until")

    def __init__(self, until: float | None, place: str, phase: Phase) -> None:
        self._until = until
        self._place = place
        self._phase: Phase = phase

    def passed(self) -> HttpTimeout:
        return HttpTimeout(f"timed out exchanging with {self._place}", phase=self._phase, sent=True)

    async def guard(self, awaitable: Any) -> Any:  # noqa: ANN401 - whatever the foreign coroutine gives
        if self._until is None:
            return await awaitable
        import anyio

        with anyio.move_on_after(self._until - monotonic()):
            return await awaitable
        raise self.passed()


def _timeouts(
    until: float | None, connect_until: float | None, limits: Mapping[str, float | None]
) -> dict[str, float | None]:
    now = monotonic()
    rest = None if until is None else max(until - now, 0.001)
    connect = rest if connect_until is None else max(connect_until - now, 0.001)
    timeouts = {"connect": connect, "read": rest, "write": rest, "pool": rest if "pool" in limits else connect}
    for name, limit in limits.items():
        own = timeouts.get(name)
        # The caller's own value goes on unchanged unless it is really longer than what is left.
        if limit is not None and (own is None or limit < own * _ABOUT):
            timeouts[name] = limit
    return timeouts


def _raise(error: Exception, phase: Phase, place: str) -> NoReturn:
    ours = translate(error, phase=phase, sent=True, reused=False, place=place)
    if ours is None or ours is error:
        raise error
    raise ours from None
