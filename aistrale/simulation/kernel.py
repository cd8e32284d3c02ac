"""Virtual time: thousands of coroutines in one thread, one heap of what happens when, and a clock that jumps.

Time passes only between events, never during one. What is due at the same instant happens in the order in which it was
asked for, so a run depends on nothing but its input.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from types import coroutine
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from aistrale.errors import Suspended

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")

# How often a task that goes on waiting is cancelled before it is closed.
_PATIENCE = 10


class Cancelled(BaseException):
    """Thrown into a simulated task at its await when somebody cancels it.

    No Exception, like the cancellations of event loops: a policy that lets those pass lets this one pass.
    """


@coroutine
def suspend(until: float | None) -> Generator[float | None, bool, bool]:
    """Give control to the kernel, the one way in which a simulated coroutine waits.

    Args:
        until: When to go on at the latest, in virtual seconds; None for no limit.

    Returns:
        True when somebody woke the task, False when `until` came first.
    """
    return (yield until)


class Task(Generic[T_co]):
    """A coroutine that the kernel runs; made by `Kernel.spawn`.

    Args:
        kernel: Runs it.
        body: The coroutine.
    """

    __slots__ = ("_kernel", "body", "cancelling", "done", "error", "result", "started", "turn")

    def __init__(self, kernel: Kernel, body: Coroutine[object, object, T_co]) -> None:
        self._kernel = kernel
        self.body = body
        self.turn = 0
        """Counts how often it went on; what was meant for an earlier turn comes too late."""
        self.started = False
        self.cancelling = False
        """A cancellation is on its way to the next await."""
        self.done = False
        self.result: T_co | None = None
        self.error: BaseException | None = None
        """What ended it, a cancellation included; None when it returned."""

    def cancel(self) -> None:
        """Throw Cancelled into the task at the await where it stands, or at its first one; once."""
        if self.done or self.cancelling:
            return
        self.cancelling = True
        if self.started and self._kernel.current is not self:
            self._kernel.wake(self, self.turn)


class Kernel:
    """The clock, the heap and the tasks.

    Args:
        start: What the clock shows first, in seconds.
    """

    __slots__ = ("_heap", "_ready", "_sequence", "_tasks", "current", "now")

    def __init__(self, start: float = 0.0) -> None:
        self.now = start
        """Virtual seconds."""
        self.current: Task[object] | None = None
        """The task that runs at this moment."""
        self._heap: list[tuple[float, int, Callable[[object, object], None], object, object]] = []
        self._ready: deque[tuple[Task[object], int, bool]] = deque()
        self._sequence = 0
        # A dict, since a set has no order that is the same in every process.
        self._tasks: dict[Task[object], None] = {}

    def spawn(self, body: Coroutine[object, object, T]) -> Task[T]:
        """Run a coroutine beside the others; it begins after what is ready already."""
        task = Task(self, body)
        self._tasks[task] = None
        self._ready.append((task, 0, True))
        return task

    def at(self, instant: float, function: Callable[[A, B], None], first: A, second: B) -> None:
        """Call `function(first, second)` at an instant; one in the past is now."""
        self._sequence += 1
        call = cast("Callable[[object, object], None]", function)
        heappush(self._heap, (max(instant, self.now), self._sequence, call, first, second))

    def wake(self, task: Task[object], turn: int) -> None:
        """Let a task go on that was suspended in its given turn; without effect when it has gone on already."""
        if task.turn == turn:
            self._ready.append((task, turn, True))

    def run(self, until: float | None = None, *, task: Task[object] | None = None) -> None:
        """Let time pass until nothing is left to do.

        Args:
            until: Stop at this instant; the clock then shows it.
            task: Stop when this task has ended.

        Raises:
            Exception: What a task raised and nobody caught.
        """
        heap, ready, step = self._heap, self._ready, self._step
        while task is None or not task.done:
            if ready:
                step(*ready.popleft())
                continue
            if not heap or (until is not None and heap[0][0] > until):
                break
            self.now, _, function, first, second = heappop(heap)
            function(first, second)
        if until is not None and not ready and self.now < until and (task is None or not task.done):
            self.now = until

    def close(self) -> None:
        """Cancel every task that is left and let it end; the clock stands still."""
        for _ in range(_PATIENCE):
            if not self._tasks:
                return
            for task in list(self._tasks):
                task.cancel()
            self.run(self.now)
        for task in list(self._tasks):
            self._end(task, Cancelled())
            task.body.close()

    def _expire(self, task: Task[object], turn: int) -> None:
        if task.turn == turn:
            self._step(task, turn, woken=False)

    def _step(self, task: Task[object], turn: int, woken: bool) -> None:  # noqa: FBT001 - a coroutine's send has no names
        if task.turn != turn:
            return
        task.turn = turn = turn + 1
        self.current = task
        body = task.body
        try:
            if task.cancelling and task.started:
                task.cancelling = False
                until = body.throw(Cancelled())
            else:
                until = body.send(woken if task.started else None)
                task.started = True
        except StopIteration as end:
            task.result = end.value
            self._end(task, None)
            return
        except Cancelled as error:
            self._end(task, error)
            return
        except BaseException as error:
            self._end(task, error)
            raise
        finally:
            self.current = None
        if until is not None:
            if type(until) is not float:
                self._foreign(task, until)
                return
            self._sequence += 1
            expire = cast("Callable[[object, object], None]", self._expire)
            heappush(self._heap, (until, self._sequence, expire, task, turn))
        if task.cancelling:
            self._ready.append((task, turn, True))

    def _end(self, task: Task[object], error: BaseException | None) -> None:
        task.done = True
        task.turn += 1
        task.error = error
        self._tasks.pop(task, None)

    def _foreign(self, task: Task[object], awaited: object) -> None:
        """Refuse what only a real event loop could wait for."""
        task.body.close()
        error = Suspended(
            f"a simulated call waited for {type(awaited).__name__}, which knows no virtual time",
            hint="A policy waits with call.runtime.sleep, call.runtime.waiter and call.runtime.race only.",
        )
        self._end(task, error)
        raise error
