"""Background work: one daemon thread, started at first need, gone after a fork, bounded at exit.

`Worker` runs a step soon after somebody called `wake`. It costs nothing while nothing happens: no thread
before the first wake, no polling after it. `on_fork` and `check_fork` tell objects that hold locks,
descriptors or threads that they woke up in a child process.

`Worker.wake` may be called from finalisers, signal handlers and any thread: it takes no lock that the
interrupted code could be holding, because SimpleQueue.put is reentrant and a thread start in progress is
never waited for.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
import threading
import time
import weakref
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, Protocol, TypeVar, cast

from aistrale.core.forks import await_imports, end_with_multiprocessing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import MethodType

T = TypeVar("T", bound="Callable[[], object]")


class ForkLock(Protocol):
    """A reentrant lock."""

    def acquire(self, blocking: bool = ..., timeout: float = ...) -> bool:  # noqa: FBT001 - as threading.RLock has it
        """Take it."""
        ...

    def release(self) -> None:
        """Give it back."""
        ...


_log = logging.getLogger("aistrale.worker")

_WAKE: Final = "wake"
_HURRY: Final = "hurry"
_STOP: Final = "stop"
_MAX_PAUSE: Final = 60.0

# How long a fork waits for one lock; longer than any transaction of ours takes.
_FORK_PATIENCE: Final = 2.0
# Seconds; an import comes to its end, however slowly on a busy machine.
_IMPORT_PATIENCE: Final = 30.0

_fork_hooks: dict[int, weakref.WeakMethod[Callable[[], None]]] = {}
_fork_locks: dict[int, weakref.WeakMethod[Callable[[], ForkLock]]] = {}
_held: dict[int, list[ForkLock]] = {}
# Re-entrant, because an import may fork.
_import_lock = threading.RLock()
_workers: weakref.WeakSet[Worker] = weakref.WeakSet()
_pid = os.getpid()
_getpid = os.getpid
_is_finalizing = sys.is_finalizing


def on_fork(method: Callable[[], None]) -> None:
    """Run a bound method in every child process that is forked, for as long as its object lives.

    Args:
        method: A bound method. Only one thread exists when it runs: it may replace locks and must not take
            any.
    """
    _remember(_fork_hooks, method)


def _remember(hooks: dict[int, weakref.WeakMethod[T]], method: T) -> None:
    reference = weakref.WeakMethod(method)
    key = id(reference)
    hooks[key] = reference
    weakref.finalize(cast("MethodType", method).__self__, hooks.pop, key, None).atexit = False


def locked_in_fork(method: Callable[[], ForkLock]) -> None:
    """Hold a lock while the process forks, so that no other thread is inside what it guards.

    For C libraries with locks of their own, of which a child inherits the state: one that another thread held is never
    released there. SQLite is such a library ("How To Corrupt An SQLite Database File", 2.6).

    Args:
        method: A bound method that gives the lock, a reentrant one. The child must replace it (`on_fork`).
    """
    # A fork that is under way would not know of it: what it guards is not begun before that is over.
    with _import_lock:
        _remember(_fork_locks, method)


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Import modules at their first use in such a way that a fork waits until that is done.

    A child that is forked in the midst of another thread's import would wait for that module for ever: the lock of a
    module belongs to a thread that the child does not have.
    """
    with _import_lock:
        yield


def check_fork() -> None:
    """Run the fork hooks if this process is a child that they have not seen.

    `os.fork` runs them by itself; this call is for processes that were forked by C code (uWSGI does so), and
    cheap enough (about 0.2 microseconds) to stand in front of every use of an inherited resource.
    """
    if _getpid() != _pid:
        _run_fork_hooks()


def _hold_locks() -> None:
    held = _held.setdefault(threading.get_ident(), [])
    if _import_lock.acquire(timeout=_IMPORT_PATIENCE):
        held.append(_import_lock)
    for reference in list(_fork_locks.values()):
        method = reference()
        if method is None:
            continue
        lock = method()
        # Whoever does not let go in that time has troubles of its own; the fork is not to be one of them.
        if lock.acquire(timeout=_FORK_PATIENCE):
            held.append(lock)
    await_imports()
    end_with_multiprocessing(_run_exit_hooks)


def _release_locks() -> None:
    for lock in reversed(_held.pop(threading.get_ident(), [])):
        lock.release()


def _run_fork_hooks() -> None:
    global _pid, _import_lock  # noqa: PLW0603 - which process the module state belongs to is a fact of the process
    _pid = os.getpid()
    _import_lock = threading.RLock()
    _held.clear()
    for reference in list(_fork_hooks.values()):
        method = reference()
        if method is not None:
            method()


def _run_exit_hooks() -> None:
    check_fork()
    for worker in list(_workers):
        worker.exit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold_locks, after_in_parent=_release_locks, after_in_child=_run_fork_hooks)
atexit.register(_run_exit_hooks)
end_with_multiprocessing(_run_exit_hooks)


class Worker:
    """A daemon thread that runs a step after it was woken; many wakes within the delay are one step.

    The thread holds the worker weakly while it waits: an owner that is forgotten without `close` leaves no
    thread.

    Args:
        step: The work. Returns None when it is done until the next wake, or seconds until it wants to run
            again; a wake does not bring that moment forward, `hurry` does. An exception is logged and the
            step repeated with growing pauses (at most a minute); it never ends the thread.
        name: Name of the thread.
        delay: Seconds between the first wake and the step.
        at_exit: Called once when the interpreter exits, in the main thread; it must bound its own time.
    """

    def __init__(
        self,
        step: Callable[[], float | None],
        *,
        name: str,
        delay: float = 1.0,
        at_exit: Callable[[], object] | None = None,
    ) -> None:
        self.name = name
        self.last_error: Exception | None = None
        self._step = step
        self.delay = delay
        self._at_exit = at_exit
        self._start_after = 0.0
        self._reset()
        _workers.add(self)
        on_fork(self._reset)

    def _reset(self) -> None:
        self._inbox: SimpleQueue[str] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._signalled = False
        self._closed = False
        self._failures = 0

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    def wake(self) -> None:
        """Ask for a step within `delay` seconds; costs an attribute look-up when one is already due."""
        if not self._signalled:
            self._signal(_WAKE)

    def hurry(self) -> None:
        """Ask for a step at once."""
        self._signal(_HURRY)

    def close(self, timeout: float | None = None) -> None:
        """End the thread after the step that it is in; a later `wake` starts a new one.

        Args:
            timeout: Seconds to wait for it; None waits as long as it takes.
        """
        thread = self._thread
        if thread is None:
            return
        self._inbox.put(_STOP)
        if thread is not threading.current_thread():
            thread.join(timeout)
        self._reset()

    def _signal(self, signal: str) -> None:
        check_fork()
        # Set before put: a wake that is lost to this flag still finds its work done by the step that follows.
        self._signalled = True
        self._inbox.put(signal)
        if not self.alive and not self._start():
            self._signalled = False

    def _start(self) -> bool:
        if not self._starting.acquire(blocking=False):
            return True
        try:
            if self.alive:
                return True
            # Python 3.11 waits for ever for a thread that is started while the interpreter goes down, where finalizers
            # still wake; later versions refuse it.
            if time.monotonic() < self._start_after or _is_finalizing():
                return False
            thread = threading.Thread(target=_loop, args=(weakref.ref(self), self._inbox), name=self.name, daemon=True)
            thread.start()
            self._thread = thread
            weakref.finalize(self, self._inbox.put, _STOP).atexit = False
        except RuntimeError as error:
            # No more threads, or the interpreter is going down: the exit hook does the work then.
            self.last_error = error
            self._start_after = time.monotonic() + 1.0
            return False
        else:
            return True
        finally:
            self._starting.release()

    def exit(self) -> None:
        """What the interpreter calls at its end; an error is logged."""
        if self._at_exit is None:
            return
        try:
            self._at_exit()
        except Exception:  # noqa: BLE001 - the exit of the host must go on
            _log.exception("%s could not finish its work at exit", self.name)

    def run_once(self) -> float | None:
        """One step, in the calling thread; returns the seconds after which it wants to run again unasked."""
        self._signalled = False
        try:
            pause = self._step()
        except Exception as error:  # noqa: BLE001 - the thread must outlive whatever a step does
            self._failures += 1
            if self._failures == 1:
                _log.exception("%s failed and will try again", self.name)
            self.last_error = error
            return float(min(_MAX_PAUSE, max(self.delay, 0.1) * 2 ** min(self._failures, 16)))
        self._failures = 0
        return pause


def _loop(reference: weakref.ref[Worker], inbox: SimpleQueue[str]) -> None:
    pause: float | None = None
    resume = 0.0
    while True:
        try:
            signal = inbox.get(timeout=pause)
        except Empty:
            signal = _HURRY
        worker = reference()
        if worker is None or signal is _STOP or not _coalesce(signal, inbox, worker.delay, resume):
            return
        pause = worker.run_once()
        resume = time.monotonic() + (pause or 0.0)
        del worker


def _coalesce(signal: str, inbox: SimpleQueue[str], delay: float, resume: float) -> bool:
    """Wait until the delay and a pause of the step are over, or somebody is in a hurry; False means stop."""
    due = max(time.monotonic() + delay, resume)
    while signal is _WAKE:
        try:
            signal = inbox.get(timeout=max(0.0, due - time.monotonic()))
        except Empty:
            return True
    return signal is not _STOP
