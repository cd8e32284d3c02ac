"""The third runtime: virtual time for the very policies that run in production."""

from __future__ import annotations

import inspect
import random
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from aistrale.core.runtime import Race
from aistrale.errors import ConfigurationError
from aistrale.simulation.kernel import Kernel, suspend

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import NoReturn

    from aistrale.core.http import HttpRequest
    from aistrale.simulation.kernel import Task

P = ParamSpec("P")
T = TypeVar("T")

EPOCH = 1_798_761_600.0
"""What the wall clock shows at virtual second 0: the first of January 2027, UTC, in Unix seconds."""


class SimRuntime:
    """A Runtime whose time is virtual and whose randomness is seeded: same seed, same run.

    Args:
        seed: Of `random`, from which policies take their jitter.
        start: What the monotonic clock shows first, in seconds.
        kernel: An existing kernel to run on instead.
    """

    blocking = False

    def __init__(self, seed: int | str = 0, *, start: float = 0.0, kernel: Kernel | None = None) -> None:
        self.kernel = kernel or Kernel(start)
        self.random = random.Random(seed)  # noqa: S311 - repeatable by intention

    def run(self, body: Coroutine[object, object, T]) -> T:
        """Run a coroutine to its end, with all that it starts; time passes as far as that takes.

        Raises:
            BaseException: What the coroutine raised.
            RuntimeError: It waits for something that will never happen.
        """
        task = self.kernel.spawn(body)
        self.kernel.run(task=task)
        if not task.done:
            self.kernel.close()
            raise RuntimeError(f"{getattr(body, '__qualname__', body)} waits for something that nobody will do")
        if task.error is not None:
            raise task.error
        return task.result  # type: ignore[return-value]  # a task that ended without an error has a result of its type

    def spawn(self, body: Coroutine[object, object, T]) -> Task[T]:
        """Run a coroutine beside the others."""
        return self.kernel.spawn(body)

    def now(self) -> float:
        """Virtual seconds."""
        return self.kernel.now

    def wall(self) -> float:
        """Unix seconds, as if the simulation had begun at EPOCH."""
        return EPOCH + self.kernel.now

    async def sleep(self, seconds: float) -> None:
        """Suspend the task; others run, even when the time is zero."""
        await suspend(self.kernel.now + max(seconds, 0.0))

    async def open(self, request: HttpRequest, *, connect_until: float | None, until: float | None) -> NoReturn:
        """Refuse: a simulated target is asked through the pipeline's innermost step and needs no wire.

        Raises:
            ConfigurationError: Always.
        """
        raise ConfigurationError(
            "a simulation has no wire",
            field="send_step",
            hint="Build the pipeline with a World's send as its send_step.",
        )

    async def invoke(self, function: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> object:
        """Call a function; an async one may wait for virtual time only."""
        result = function(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    def waiter(self) -> SimWaiter:
        """Something that suspends the task until anybody wakes it."""
        return SimWaiter(self.kernel)

    async def race(
        self,
        start: Callable[[int], Coroutine[object, object, T] | None],
        delay: float,
        surplus: Callable[[T], None],
    ) -> T:
        """Run the legs as tasks; the race is left when all of them have ended."""
        kernel = self.kernel
        race = Race(start, surplus)
        legs: list[Task[None]] = []
        settled, left = SimWaiter(kernel), SimWaiter(kernel)

        def leave() -> None:
            for task in legs:
                if task is not kernel.current:
                    task.cancel()
            settled.wake()

        async def run(leg: Coroutine[object, object, T], number: int) -> None:
            try:
                await race.run(leg, number)
            finally:
                running[0] -= 1
                if not running[0]:
                    left.wake()

        running = [0]
        race.leave, race.settled = leave, settled
        try:
            while (leg := race.next_leg()) is not None:
                running[0] += 1
                legs.append(kernel.spawn(run(leg, len(legs))))
                await settled.wait(delay)
            await _all_ended(running, left)
        except BaseException:
            leave()
            await _all_ended(running, left)
            raise
        return race.result()


async def _all_ended(running: list[int], left: SimWaiter) -> None:
    while running[0]:
        await left.wait(None)


class SimWaiter:
    """Suspends a simulated task until somebody wakes it.

    Args:
        kernel: Runs the task.
    """

    __slots__ = ("_kernel", "_task", "_turn", "_woken")

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._woken = False
        self._task: Task[object] | None = None
        self._turn = 0

    def wake(self) -> None:
        """End the wait, now or when it begins."""
        self._woken = True
        if self._task is not None:
            self._kernel.wake(self._task, self._turn)

    set = wake

    async def wait(self, seconds: float | None) -> bool:
        """Suspend the task until woken, for at most `seconds`; whether it was woken."""
        kernel = self._kernel
        return await self.wait_until(None if seconds is None else kernel.now + max(seconds, 0.0))

    async def wait_until(self, instant: float | None) -> bool:
        """The same with an instant in virtual seconds."""
        if not self._woken:
            task = self._kernel.current
            if task is None:
                raise RuntimeError("a simulated wait outside of a simulated task")
            self._task, self._turn = task, task.turn
            try:
                await suspend(instant)
            finally:
                self._task = None
        woken, self._woken = self._woken, False
        return woken
