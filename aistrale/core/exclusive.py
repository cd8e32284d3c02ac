"""One piece of work at a time on shared state, also from finalizers, which must never wait for a lock."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_NOT_WAITING: Final = (False,)


class Exclusive:
    """Runs short pieces of work one after the other, whichever thread brings them.

    A finalizer may run in the middle of anything, also while its own thread holds the lock: it must neither wait for
    the lock nor pass it. What it posts is then done by whoever holds the lock, before that one lets go.

    The work must be short, must not raise (from `post`), and must not use the same object again.
    """

    __slots__ = ("_inbox", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inbox: deque[Callable[[], object]] = deque()

    def run(self, work: Callable[[], T]) -> T:
        """Do it now and give its result; waits for the work of other threads. Not for finalizers."""
        with self._lock:
            self._work_off()
            result = work()
        self._settle()
        return result

    def post(self, work: Callable[[], object]) -> None:
        """Have it done, now or by whoever holds the lock; from any thread, loop, finalizer or signal handler."""
        self._inbox.append(work)
        self._settle()

    def _settle(self) -> None:
        # Looked at again after each release: what was posted while the lock was held has nobody else.
        while self._inbox:
            # Ctrl-C comes between two calls, so that taking the lock and knowing of it must be one: else it could stay
            # locked for ever.
            held: list[bool] = []
            try:
                held.extend(map(self._lock.acquire, _NOT_WAITING))
                if not held[0]:
                    return
                self._work_off()
            finally:
                if held and held[0]:
                    self._lock.release()

    def _work_off(self) -> None:
        while self._inbox:
            self._inbox.popleft()()
