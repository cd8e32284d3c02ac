"""What differs between blocking, async and simulated execution; policies see only the Runtime.

A policy is a coroutine. An async client awaits it. A synchronous client drives the same coroutine with one `send(None)`
over a SyncRuntime whose awaitables block and never suspend: no event loop, no thread, no second copy of the code.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import math
import random
import threading
import time
from functools import cache, partial
from typing import TYPE_CHECKING, Generic, ParamSpec, Protocol, TypeVar

from aistrale.core.worker import on_fork
from aistrale.errors import ConfigurationError, Suspended

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from anyio import CapacityLimiter
    from anyio.lowlevel import RunVar

    from aistrale.core.http import AsyncHttp, HttpRequest, HttpResponse, SyncHttp

P = ParamSpec("P")
T = TypeVar("T")
# Most threads that block for one event loop at once.
_THREADS = 40
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

    def waiter(self) -> Waiter:
        """Something that the running call can wait on until somebody else wakes it."""
        ...

    async def race(
        self,
        start: Callable[[int], Coroutine[object, object, T] | None],
        delay: float,
        surplus: Callable[[T], None],
    ) -> T:
        """Run `start(0)`, and beside it `start(1)`, `start(2)`, ... as long as none has succeeded.

        The first leg that returns wins; the others are cancelled. A leg that fails decides nothing while another runs.

        Args:
            start: Makes a leg; None starts no further ones. It is not asked for another one once all legs have failed.
            delay: Seconds between two starts.
            surplus: Gets the result of a leg that succeeded too late to win.

        Raises:
            Exception: The first leg's, when all have failed.
        """
        ...


class Waiter(Protocol):
    """A wait of one call, which any thread, loop or finalizer may end."""

    def wake(self) -> None:
        """End the wait, now or when it begins; takes no lock that a waiting thread holds, never raises."""
        ...

    async def wait(self, seconds: float | None) -> bool:
        """Wait until woken.

        Args:
            seconds: For how long at most; None for no limit.

        Returns:
            True when it was woken, False when the time was over.
        """
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

    def waiter(self) -> Waiter:
        """Something that blocks the thread until another one wakes it."""
        return ThreadWaiter()

    async def race(
        self,
        start: Callable[[int], Coroutine[object, object, T] | None],
        delay: float,
        surplus: Callable[[T], None],
    ) -> T:
        """Run the first leg alone: a thread that blocks can do nothing beside it."""
        leg = start(0)
        if leg is None:
            raise RuntimeError("a race needs a first leg")
        return await leg


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
        import anyio.to_thread

        # Threads of our own: those that the loop has for everybody may be busy with the user's work for long.
        call, limiter = partial(function, *args, **kwargs), _threads()
        result: object = await anyio.to_thread.run_sync(call, limiter=limiter, abandon_on_cancel=on_asyncio())
        # An object whose call is async does not look like an async function.
        return await result if inspect.isawaitable(result) else result

    def waiter(self) -> Waiter:
        """Something that suspends the task until anybody wakes it."""
        return AsyncioWaiter() if on_asyncio() else TrioWaiter()

    async def race(
        self,
        start: Callable[[int], Coroutine[object, object, T] | None],
        delay: float,
        surplus: Callable[[T], None],
    ) -> T:
        """Run the legs as tasks of one group; it is left when all of them have ended."""
        import anyio

        race = Race(start, surplus)
        async with anyio.create_task_group() as group:
            race.leave = group.cancel_scope.cancel
            number = 0
            while (leg := race.next_leg()) is not None:
                group.start_soon(race.run, leg, number)
                race.settled = anyio.Event()
                number += 1
                with anyio.move_on_after(delay):
                    await race.settled.wait()
        return race.result()


class Race(Generic[T]):
    """What the legs of a race have in common: who won, and why the others failed.

    Args:
        start: Makes the legs.
        surplus: Gets what a leg brings that was too late.
    """

    def __init__(
        self, start: Callable[[int], Coroutine[object, object, T] | None], surplus: Callable[[T], None]
    ) -> None:
        self._start = start
        self._surplus = surplus
        self._started = 0
        self._won: list[T] = []
        self._errors: dict[int, Exception] = {}
        self.leave: Callable[[], None] = lambda: None
        """Cancels every leg that still runs."""
        self.settled: Signal | None = None
        """Is set when there is no sense in waiting for a further leg's turn."""

    def next_leg(self) -> Coroutine[object, object, T] | None:
        """The next leg to start; None when the race is decided or nobody wants to join."""
        if self._won or (self._started and len(self._errors) == self._started):
            return None
        leg = self._start(self._started)
        if leg is not None:
            self._started += 1
        return leg

    async def run(self, leg: Coroutine[object, object, T], number: int) -> None:
        """Run one leg to its end."""
        try:
            result = await leg
        except Exception as error:  # noqa: BLE001 - raised again by result() when no leg succeeds
            self._errors[number] = error
            if len(self._errors) == self._started and self.settled is not None:
                self.settled.set()
            return
        if self._won:
            self._surplus(result)
            return
        self._won.append(result)
        self.leave()

    def result(self) -> T:
        """What the winner brought. Raises the first leg's error when there is no winner."""
        if self._won:
            # Not kept: the frames of cancelled legs refer to the race, and an answer that the caller lets go must end.
            return self._won.pop()
        raise self._errors[min(self._errors)]


class Signal(Protocol):
    """An event that can be set."""

    def set(self) -> object:
        """Set it."""
        ...


class ThreadWaiter:
    """Blocks a thread."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        # A bare lock, because its release may be called from signal handlers and finalizers.
        self._lock = threading.Lock()
        self._lock.acquire()

    def wake(self) -> None:
        """End the wait."""
        with contextlib.suppress(RuntimeError):
            self._lock.release()

    async def wait(self, seconds: float | None) -> bool:
        """Block the thread until woken."""
        return self._lock.acquire(timeout=-1 if seconds is None else min(max(seconds, 0.0), threading.TIMEOUT_MAX))


class AsyncioWaiter:
    """Suspends a task of the running asyncio loop."""

    __slots__ = ("_future", "_loop")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()

    def wake(self) -> None:
        """End the wait."""
        # A loop that has been closed has no task left to wake.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._set)

    def _set(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self, seconds: float | None) -> bool:
        """Suspend the task until woken."""
        await asyncio.wait((self._future,), timeout=None if seconds is None else max(seconds, 0.0))
        if not self._future.done():
            return False
        self._future = self._loop.create_future()
        return True


class TrioWaiter:
    """Suspends a task of the running trio loop."""

    __slots__ = ("_event", "_token")

    def __init__(self) -> None:
        import trio

        self._event = trio.Event()
        self._token = trio.lowlevel.current_trio_token()

    def wake(self) -> None:
        """End the wait."""
        with contextlib.suppress(RuntimeError):
            self._token.run_sync_soon(self._set)

    def _set(self) -> None:
        self._event.set()

    async def wait(self, seconds: float | None) -> bool:
        """Suspend the task until woken."""
        import trio

        with trio.move_on_after(math.inf if seconds is None else max(seconds, 0.0)):
            await self._event.wait()
        if not self._event.is_set():
            return False
        self._event = trio.Event()
        return True


def on_asyncio() -> bool:
    """Whether an asyncio loop runs in this thread (otherwise an async caller is on trio)."""
    return asyncio._get_running_loop() is not None  # noqa: SLF001 - documented, and get_running_loop raises


@cache
def _limiters() -> RunVar[CapacityLimiter]:
    from anyio.lowlevel import RunVar

    return RunVar("aistrale-threads")


def _threads() -> CapacityLimiter:
    """What bounds the threads that work for the running loop."""
    from anyio import CapacityLimiter

    limiter = _limiters().get(None)
    if limiter is None:
        limiter = CapacityLimiter(_THREADS)
        _limiters().set(limiter)
    return limiter


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
