"""A call that goes on to the provider it was made for: the SDK's own request, over the SDK's own connections."""

# ruff: noqa: ANN401 - the objects of httpx and httpx2 have the same shape and no common class

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aistrale.core.exchange import Headers, HttpRequest
from aistrale.core.response import HttpResponse
from aistrale.core.transport import OWN, Foreign
from aistrale.dropin.shortcut import shortcut

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


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

    __slots__ = ("_foreign", "_limits", "_request", "_send", "answer", "extensions", "raised")

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
        self.answer: HttpResponse | None = None
        """What came back last; it keeps its body."""
        self.extensions: dict[str, object] = {}
        """What the library says of it beside: HTTP version, network stream."""
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
        own = shortcut(self._send, blocking=self._foreign.blocking)
        if own is not None:
            sent = self._request
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in sent.headers.raw]
            said = HttpRequest(sent.method, str(sent.url), headers, sent.content)
            answer = await own.open(said, connect_until=connect_until, until=until)
            self.extensions = {"http_version": answer.http_version.encode()}
        else:
            self._request.extensions = {**self._request.extensions, OWN: True}
            body = await self._foreign.exchange(self._request, connect_until, until, self._limits)
            given = body.response
            answer = HttpResponse(
                given.status_code, Headers(list(given.headers.raw)), "HTTP/1.1", body, decode=not body.decoded
            )
            self.extensions = given.extensions
        answer.keep()
        self.answer = answer
        return answer

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
