"""A call that goes on to the provider it was made for: the SDK's own request, over the SDK's own connections."""

# ruff: noqa: ANN401 - the objects of httpx and httpx2 have the same shape and no common class

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from aistrale.core.exchange import Headers, HttpRequest
from aistrale.core.response import HttpResponse
from aistrale.core.transport import OWN, Foreign
from aistrale.dropin.counts import REFUSALS, is_refusal
from aistrale.dropin.shortcut import shortcut

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aistrale.core.call import Attempt
    from aistrale.core.http import AsyncHttp, SyncHttp


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

    __slots__ = ("_answers", "_blocking", "_limits", "_refused", "_request", "_send", "_unasked", "raised")

    def __init__(
        self,
        request: Any,
        send: Callable[[Any], Any],
        *,
        blocking: bool,
        limits: Mapping[str, float | None],
    ) -> None:
        self._send = send
        self._blocking = blocking
        self._request = request
        self._limits = limits
        self._answers: list[Answer] = []
        self._unasked: Relay | None = None
        self._refused: Callable[[], None] = _nothing
        self.raised: Exception | None = None
        """What the transport raised last."""

    @property
    def content(self) -> bytes:
        """The body that is sent."""
        content: bytes = self._request.content
        return content

    def answer_of(self, attempt: Attempt | None) -> Answer | None:
        """What came back for an attempt; two may be under way at once."""
        if attempt is not None:
            for answer in self._answers:
                if answer.response.headers is attempt.headers:
                    return answer
        return None

    def instead(self, url: str, body: bytes) -> Relay:
        """The same with another URL and body."""
        before = self._request
        headers = [item for item in before.headers.raw if item[0].decode("latin-1").lower() not in _FRAMING]
        request = type(before)(before.method, url, headers=headers, content=body, extensions=dict(before.extensions))
        return Relay(request, self._send, blocking=self._blocking, limits=self._limits)

    def asking(self, body: bytes, refused: Callable[[], None]) -> Relay:
        """The same with a question put into the body; a server that refuses it is asked again without.

        Args:
            body: The one with the question in it.
            refused: Is told that the server does not know the question.
        """
        relay = self.instead(str(self._request.url), body)
        relay._unasked, relay._refused = self, refused  # noqa: SLF001 - of the same class
        return relay

    async def __call__(
        self,
        request: HttpRequest,
        *,
        connect_until: float | None,
        until: float | None,
    ) -> HttpResponse:
        """Send it; see Opener."""
        answer = await self._exchange(connect_until, until)
        if self._unasked is not None:
            answer = replace(answer, asked=True)
            if answer.response.status in REFUSALS:
                answer = await self._judged(answer, self._unasked, connect_until, until)
        answer.response.keep()
        self._answers.append(answer)
        return answer.response

    async def _judged(self, answer: Answer, unasked: Relay, connect_until: float | None, until: float | None) -> Answer:
        """A refusal, or what comes without the question where that is what is refused."""
        body = await answer.response.read(until)
        if not is_refusal(body):
            return replace(answer, response=_again(answer.response, body))
        try:
            again = await unasked._exchange(connect_until, until)
        finally:
            self.raised = unasked.raised
        # Some servers repeat the whole request in the refusal of something else.
        if again.response.status not in REFUSALS:
            self._refused()
        return again

    async def _exchange(self, connect_until: float | None, until: float | None) -> Answer:
        self.raised = None
        http = shortcut(self._send, blocking=self._blocking)
        if http is None:
            return await self._over_its_own(connect_until, until)
        return await self._over_ours(http, connect_until, until)

    async def _over_ours(self, http: SyncHttp | AsyncHttp, connect_until: float | None, until: float | None) -> Answer:
        sent = self._request
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in sent.headers.raw]
        said = HttpRequest(sent.method, str(sent.url), headers, sent.content)
        response = await http.open(said, connect_until=connect_until, until=until)
        version, reason = response.http_version.encode(), response.reason.encode("latin-1")
        return Answer(response, {"http_version": version, "reason_phrase": reason})

    async def _over_its_own(self, connect_until: float | None, until: float | None) -> Answer:
        family = type(self._request).__module__.partition(".")[0]
        sender = _Sender(self._sent if self._blocking else self._sent_async)
        self._request.extensions = {**self._request.extensions, OWN: True}
        foreign = Foreign(sender, family, blocking=self._blocking)
        body = await foreign.exchange(self._request, connect_until, until, self._limits)
        given = body.response
        headers = Headers(list(given.headers.raw))
        response = HttpResponse(given.status_code, headers, "HTTP/1.1", body, decode=not body.decoded)
        return Answer(response, given.extensions)

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


@dataclass(slots=True, frozen=True)
class Answer:
    """What came back for one attempt.

    Args:
        response: Keeps its body, decoded, as it is read.
        extensions: What the library says of it beside: HTTP version, network stream.
        asked: Whether token counts were asked for that the caller does not expect.
    """

    response: HttpResponse
    extensions: dict[str, object]
    asked: bool = False


class _Sender:
    """A transport object that is one function."""

    __slots__ = ("handle_async_request", "handle_request")

    def __init__(self, send: Callable[[Any], Any]) -> None:
        self.handle_request = self.handle_async_request = send


class _Read:
    """A body that has been read already."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def pull(self, until: float | None) -> bytes:
        """Give it, then the end."""
        data, self._data = self._data, b""
        return data

    async def end(self) -> None:
        """The connection is free already."""

    async def stop(self) -> None:
        """The connection is free already."""

    def abandon(self) -> None:
        """The connection is free already."""


def _again(response: HttpResponse, body: bytes) -> HttpResponse:
    """The response to be read once more."""
    known = response.headers, response.http_version, _Read(body)
    return HttpResponse(response.status, *known, decode=False, reason=response.reason)


def _nothing() -> None:
    """Nobody is to be told."""
