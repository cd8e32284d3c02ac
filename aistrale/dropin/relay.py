"""A call that goes on to the provider it was made for: the SDK's own request, over the SDK's own connections."""

# ruff: noqa: ANN401 - the objects of httpx and httpx2 have the same shape and no common class

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aistrale.core.exchange import Headers
from aistrale.core.response import HttpResponse
from aistrale.core.transport import OWN, Foreign

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aistrale.core.exchange import HttpRequest
    from aistrale.core.transport import ForeignBody

# What belongs to one body and its coding.
_FRAMING: Final = frozenset({"content-length", "transfer-encoding", "content-encoding"})


class Relay:
    """Sends an SDK's request, once per attempt, and keeps what came back as it came.

    Args:
        request: The httpx or httpx2 request; its body has been read.
        send: The method of the SDK's transport that takes it.
        blocking: Whether that is the blocking one.
        limits: The caller's own timeouts in seconds: connect, read, write, pool.
    """

    __slots__ = ("_foreign", "_limits", "_request", "_send", "answer", "raised")

    def __init__(
        self,
        request: Any,
        send: Callable[[Any], Any],
        *,
        blocking: bool,
        limits: Mapping[str, float | None],
    ) -> None:
        family = type(request).__module__.partition(".")[0]
        self._send = send
        self._foreign = Foreign(_Sender(self._sent if blocking else self._sent_async), family, blocking=blocking)
        self._request = request
        self._limits = limits
        self.answer: Kept | None = None
        """What came back last."""
        self.raised: Exception | None = None
        """What the transport raised last."""

    def instead(self, url: str, body: bytes) -> Relay:
        """The same with another URL and body."""
        before = self._request
        headers = [item for item in before.headers.raw if item[0].decode("latin-1").lower() not in _FRAMING]
        request = self._foreign.library.Request(
            before.method, url, headers=headers, content=body, extensions=dict(before.extensions)
        )
        return Relay(request, self._send, blocking=self._foreign.blocking, limits=self._limits)

    async def __call__(
        self,
        request: HttpRequest,
        *,
        connect_until: float | None,
        until: float | None,
    ) -> HttpResponse:
        """Send it; see Opener."""
        self.answer = self.raised = None
        self._request.extensions = {**self._request.extensions, OWN: True}
        self.answer = Kept(await self._foreign.exchange(self._request, connect_until, until, self._limits))
        return self.answer

    def _sent(self, request: Any) -> Any:
        try:
            return self._send(request)
        except Exception as error:
            self.raised = error
            raise

    async def _sent_async(self, request: Any) -> Any:
        try:
            return await self._send(request)
        except Exception as error:
            self.raised = error
            raise


class _Sender:
    """A transport object that is one function."""

    __slots__ = ("handle_async_request", "handle_request")

    def __init__(self, send: Callable[[Any], Any]) -> None:
        self.handle_request = self.handle_async_request = send


class Kept(HttpResponse):
    """A response whose body is kept, decoded, as it is read.

    Args:
        body: Where it comes from.
    """

    __slots__ = ("chunks", "extensions")

    def __init__(self, body: ForeignBody) -> None:
        foreign = body.response
        super().__init__(
            foreign.status_code, Headers(list(foreign.headers.raw)), "HTTP/1.1", body, decode=not body.decoded
        )
        self.extensions: dict[str, object] = foreign.extensions
        """The library's own: HTTP version, network stream."""
        self.chunks: list[bytes] = []
        """What was read and not taken."""

    async def next_chunk(self, until: float | None) -> bytes:
        """The next piece; kept for the caller."""
        data = await super().next_chunk(until)
        if data:
            self.chunks.append(data)
        return data

    def take(self) -> bytes:
        """What has been read since the last time."""
        chunks = self.chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        return data
