"""What waits for sinks when the process is told to end: SIGTERM by default ends it at once, without any exit hook."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING

from aistrale.telemetry._asked import EXIT_SECONDS, flush_all

if TYPE_CHECKING:
    from types import FrameType


def install() -> bool:
    """Deliver what waits before SIGTERM ends the process, for at most two seconds; the exit status stays the signal's.

    Only in the main thread, and only where the signal has its default action: a handler of the application's, or of a
    server that it runs in, is left alone, and may call `aistrale.flush()` itself. Python runs handlers between two of
    its own instructions: a main thread that is inside C code for long ends that much later.

    Returns:
        Whether it is installed.
    """
    if threading.current_thread() is not threading.main_thread():
        return False
    now = signal.getsignal(signal.SIGTERM)
    if now is _flush_and_end:
        return True
    if now is not signal.SIG_DFL:
        return False
    try:
        signal.signal(signal.SIGTERM, _flush_and_end)
    except ValueError:
        # A subinterpreter: signals are the main one's.
        return False
    return True


def uninstall() -> None:
    """Give SIGTERM its default action back, if the handler is still ours."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is _flush_and_end:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _flush_and_end(number: int, _frame: FrameType | None) -> None:
    # First of all, so that a second signal ends the process at once.
    signal.signal(number, signal.SIG_DFL)
    with contextlib.suppress(Exception):
        flush_all(EXIT_SECONDS, seal=True)
    os.kill(os.getpid(), number)
