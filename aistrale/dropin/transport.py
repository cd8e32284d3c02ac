"""The transports under the official SDKs: each model call runs through the pipeline, everything else goes by untouched.

One class serves httpx and httpx2, blocking and async: their clients ask a transport for methods, not for a base class.
"""

# ruff: noqa: ANN401 - the objects of httpx and httpx2 have the same shape and no common class

from __future__ import annotations

import sys
from collections import Counter
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

from aistrale.core.runtime import run_sync
from aistrale.core.transport import OWN
from aistrale.dialects import chat_dialect
from aistrale.dialects.shape import MalformedBody
from aistrale.dropin.answer import Answers
from aistrale.dropin.endpoints import Endpoint, provider_of, recognise
from aistrale.dropin.inbound import ROUTE_HEADER, Incoming, read
from aistrale.dropin.last import LastCall, begin
from aistrale.dropin.resends import remember, remembered
from aistrale.dropin.words import told
from aistrale.errors import AistraleError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from aistrale.core.call import Call
    from aistrale.core.reply import OnClose, Reply
    from aistrale.core.runtime import Runtime
    from aistrale.engine import Engine

passed: Counter[str] = Counter()
"""Requests to a provider that are no model calls and went by untouched, by provider; for diagnosis."""


def through(
    engine: Engine,
    send: Callable[[Any], Any],
    request: Any,
    only: frozenset[str] | None = None,
) -> Any:
    """Answer a request of a blocking client.

    Args:
        engine: Whose settings hold.
        send: The transport's own method: everything that is sent to the SDK's provider goes through it.
        request: httpx's or httpx2's.
        only: Providers whose calls are ours; None for all.

    Returns:
        A response of the same library.

    Raises:
        Exception: Whatever `send` raises where that is all there is to say.
    """
    exchange = Exchange.of(engine, send, request, only, blocking=True)
    return send(request) if exchange is None else run_sync(exchange.answer(engine.sync_runtime()))


async def through_async(
    engine: Engine,
    send: Callable[[Any], Awaitable[Any]],
    request: Any,
    only: frozenset[str] | None = None,
) -> Any:
    """Answer a request of an async client; arguments and results are those of `through`."""
    exchange = Exchange.of(engine, send, request, only, blocking=False)
    return await send(request) if exchange is None else await exchange.answer(engine.async_runtime())


class Exchange:
    """One model call of an SDK: a request in, a response out."""

    __slots__ = ("_answers", "_content", "_engine", "_incoming", "_request")

    def __init__(self, engine: Engine, incoming: Incoming, request: Any, content: bytes) -> None:
        self._engine = engine
        self._incoming = incoming
        self._request = request
        self._content = content
        self._answers = Answers(incoming, library_of(request), request)

    @classmethod
    def of(
        cls,
        engine: Engine,
        send: Callable[[Any], Any],
        request: Any,
        only: frozenset[str] | None,
        *,
        blocking: bool,
    ) -> Self | None:
        """The exchange for a request; None where it is none of ours."""
        if OWN in request.extensions or engine.settings.disabled:
            return None
        endpoint = _endpoint(request)
        if endpoint is None or (only is not None and endpoint.provider not in only):
            return None
        try:
            content = request.content
        except Exception:  # noqa: BLE001 - each library has its own class for a body that is still to be produced
            passed[endpoint.provider] += 1
            return None
        document = read(content)
        if document is None:
            passed[endpoint.provider] += 1
            return None
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in request.headers.raw}
        if ROUTE_HEADER in headers:
            # Ours, and nobody else's business.
            del request.headers[ROUTE_HEADER]
        try:
            incoming = Incoming(engine, endpoint, request, headers, document, send=send, blocking=blocking)
        except (MalformedBody, AistraleError):
            # Whoever it is for will say better what is wrong with it.
            passed[endpoint.provider] += 1
            return None
        return cls(engine, incoming, request, content)

    async def answer(self, runtime: Runtime) -> Any:
        """Run the call; the response for the SDK."""
        again = remembered(self._request, self._incoming.headers, self._content)
        if again is not None:
            raise again
        engine, incoming, answers = self._engine, self._incoming, self._answers
        last = begin(incoming.skipped)
        call: Call | None = None
        try:
            call = incoming.call(runtime, self._request)
            last.begun(call)
            reply = await engine.open(call)
            if call.stream:
                reply.on_close(_teller(last))
                return answers.streamed(call, reply)
            completion = await reply.completion()
            relayed = answers.relayed(call, completion)
            if relayed is not None:
                return relayed
            return answers.whole(call, reply.accumulated.embeddings or completion)
        except AistraleError as error:
            failure = error
        try:
            last.error = type(failure).__name__
            return answers.failed(call, failure)
        except Exception as error:
            remember(self._request, self._incoming.headers, self._content, error)
            raise
        finally:
            # An error that its own traceback holds would be left to the garbage collector.
            del failure


def _endpoint(request: Any) -> Endpoint | None:
    url, headers = request.url, request.headers
    host, path = url.host, url.path
    found = recognise(request.method, host, path, headers)
    # Gemini's stream as one JSON array is what none of the SDKs asks for.
    if found is not None and not (found.stream and b"alt=sse" not in url.query):
        return found
    provider = provider_of(host, headers)
    if provider is not None:
        passed[provider] += 1
    return None


def _teller(last: LastCall) -> OnClose:
    def tell(_: Reply, error: BaseException | None) -> None:
        last.error = None if error is None else type(error).__name__

    return tell


def library_of(request: object) -> Any:
    """The library whose request it is: responses and streams must be of the same one."""
    name = type(request).__module__.partition(".")[0]
    return sys.modules.get(name) or import_module(name)


def _unset(request: Any, error: AistraleError) -> Any:
    """The answer to a request where the settings are wrong: an exception of ours would be tried again by some SDKs."""
    endpoint = _endpoint(request)
    library = library_of(request)
    words = chat_dialect(endpoint.chat if endpoint is not None else "openai_chat")
    status, body = words.encode_error(told(error))
    return library.Response(status, headers={"x-should-retry": "false"}, json=body, request=request)


# --- a transport object ---------------------------------------------------------------------------------------------


def _seen(request: Any) -> Any:
    """A request that was looked at, so that no further transport of ours, or the patch, does it again."""
    request.extensions = {**request.extensions, OWN: True}
    return request


class Transport:
    """A transport for `OpenAI(http_client=httpx.Client(transport=...))` and its like: blocking, async, either library.

    Args:
        engine: Gives the engine; asked at each request.
        inner: Sends; None for a plain one of the request's own library, made at first use.
    """

    def __init__(self, engine: Callable[[], Engine], inner: object | None = None) -> None:
        self._engine = engine
        self._inner: Any = inner
        self._made: dict[str, Any] = {}

    def _sender(self, request: Any, kind: str) -> Any:
        if self._inner is not None:
            return self._inner
        library = library_of(request)
        key = f"{library.__name__}.{kind}"
        if key not in self._made:
            self._made[key] = getattr(library, kind)()
        return self._made[key]

    def handle_request(self, request: Any) -> Any:
        """Answer a request of a blocking client."""
        try:
            engine = self._engine()
        except AistraleError as error:
            return _unset(request, error)
        send = self._sender(request, "HTTPTransport").handle_request
        exchange = Exchange.of(engine, send, request, None, blocking=True)
        return send(_seen(request)) if exchange is None else run_sync(exchange.answer(engine.sync_runtime()))

    async def handle_async_request(self, request: Any) -> Any:
        """Answer a request of an async client."""
        try:
            engine = self._engine()
        except AistraleError as error:
            return _unset(request, error)
        send = self._sender(request, "AsyncHTTPTransport").handle_async_request
        exchange = Exchange.of(engine, send, request, None, blocking=False)
        return await send(_seen(request)) if exchange is None else await exchange.answer(engine.async_runtime())

    def close(self) -> None:
        """Close what sends."""
        for inner in (self._inner, *self._made.values()):
            if hasattr(inner, "close"):
                inner.close()

    async def aclose(self) -> None:
        """Close what sends."""
        for inner in (self._inner, *self._made.values()):
            if hasattr(inner, "aclose"):
                await inner.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
