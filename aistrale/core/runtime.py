"""What differs between blocking, async and simulated execution; policies see only the Runtime.

A policy is a coroutine. An async client awaits it. A synchronous client drives the same coroutine with one `send(None)`
over a SyncRuntime whose awaitables block and never suspend: no event loop, no thread, no second copy of the code.
"""

from __future__ import annotations

import asyncio
import inspect
import random
import time
from typing import TYPE_CHECKING, Generic, ParamSpec, Protocol, TypeVar

from aistrale.core.worker import on_fork
from aistrale.errors import ConfigurationError, Suspended

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from aistrale.core.http import AsyncHttp, HttpRequest, HttpResponse, SyncHttp

P = ParamSpec("P")
T = TypeVar("T")
Http = TypeVar("Http", bound="SyncHttp | AsyncHttp")


class Runtime(Protocol):
    """The verbs through which the engine touches time, randomness and the network."""

    random: random.Random
    blocking: bool
    """Whether its awaitables block and never suspend; no async function can run on it."""

    def now(self) -> float:
        """Monotonic seconds."""
        ...

    def wall(self) -> float:
        """Unix seconds."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    async def open(self, request: HttpRequest, *, connect_until: float | None, until: float | None) -> HttpResponse:
        """Send a request and return the response when its headers have arrived; instants are monotonic seconds."""
        ...

    async def invoke(self, function: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> object:
        """Call a user's function, sync or async, without blocking an event loop."""
        ...


class _System(Generic[Http]):
    """The system's clocks, jitter that a forked child does not share with its parent, and connections.

    Args:
        http: The connections.
        rng: Source of jitter; injected by tests.
    """

    now = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    def __init__(self, http: Http, rng: random.Random | None = None) -> None:
        self.http = http
        self.random = rng or random.Random()  # noqa: S311 - jitter, not secrets
        on_fork(self._reseed)

    def _reseed(self) -> None:
        self.random.seed()

    def renew(self, http: Http) -> Http:
        """Go on with other connections; the old ones, to be closed."""
        old, self.http = self.http, http
        return old

    async def open(self, request: HttpRequest, *, connect_until: float | None, until: float | None) -> HttpResponse:
        """Send a request over the connections and return the response when its headers have arrived."""
        http = self.http
        try:
            return await http.open(request, connect_until=connect_until, until=until)
        except RuntimeError:
            # Another thread closed the client under our hands, before anything was sent.
            if self.http is http:
                raise
        return await self.http.open(request, connect_until=connect_until, until=until)


class SyncRuntime(_System["SyncHttp"]):
    """Blocking execution; its coroutines complete without suspending."""

    blocking = True

    async def sleep(self, seconds: float) -> None:
        """Block the thread."""
        if seconds > 0:
            time.sleep(seconds)

    async def invoke(self, function: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> object:
        """Call a plain function; an async one cannot run here."""
        result = function(*args, **kwargs)
        if inspect.iscoroutine(result):
            result.close()
            raise ConfigurationError(
                f"tool {getattr(function, '__name__', function)!r} is async",
                field="tools",
                hint="Use AsyncClient (run_async) for async tools.",
            )
        return result


class AsyncRuntime(_System["AsyncHttp"]):
    """Execution on asyncio or trio, whichever runs; its connections are one pool per running loop."""

    blocking = False

    async def sleep(self, seconds: float) -> None:
        """Suspend the task."""
        if on_asyncio():
            await asyncio.sleep(seconds)
        else:
            import anyio

            await anyio.sleep(seconds)

    async def invoke(self, function: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> object:
        """Await an async function; run a plain one in a worker thread."""
        if inspect.iscoroutinefunction(function):
            return await function(*args, **kwargs)
        if on_asyncio():
            result: object = await asyncio.to_thread(function, *args, **kwargs)
        else:
            import anyio.to_thread

            result = await anyio.to_thread.run_sync(lambda: function(*args, **kwargs))
        # An object whose call is async does not look like an async function.
        return await result if inspect.isawaitable(result) else result


def on_asyncio() -> bool:
    """Whether an asyncio loop runs in this thread (otherwise an async caller is on trio)."""
    return asyncio._get_running_loop() is not None  # noqa: SLF001 - documented, and get_running_loop raises


def run_sync(coroutine: Coroutine[object, object, T]) -> T:
    """Run a coroutine that never suspends, without an event loop.

    Raises:
        Suspended: It reached real async I/O; the message names the chain of frames, and the coroutine was closed.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]  # StopIteration is not generic
    chain = _await_chain(coroutine)
    coroutine.close()
    raise Suspended(
        f"async I/O inside a synchronous client: {chain}",
        hint="A policy waits with call.runtime.sleep only; for async code use AsyncClient.",
    )


def _await_chain(coroutine: object) -> str:
    names = []
    while coroutine is not None:
        code = getattr(coroutine, "cr_code", None) or getattr(coroutine, "gi_code", None)
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if code is None:
            names.append(type(coroutine).__name__)
            break
        line = frame.f_lineno if frame is not None else code.co_firstlineno
        names.append(f"{code.co_qualname} ({code.co_filename}:{line})")
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return " -> ".join(names)
