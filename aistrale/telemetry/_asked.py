"""What somebody waits for while another thread delivers, and which deliveries there are in this process."""

from __future__ import annotations

import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aistrale.telemetry._offering import forget_threads

if TYPE_CHECKING:
    from aistrale.telemetry.delivery import Delivery

EXIT_SECONDS: Final = 2.0
"""Most seconds that the exit of the interpreter, and SIGTERM, wait for all sinks together."""

unsettled: Final[set[Delivery]] = set()
"""Deliveries with something to do: a client that nobody holds any more still delivers what it has."""
_known: Final[weakref.WeakSet[Delivery]] = weakref.WeakSet()
_exited: Final[list[bool]] = []


@dataclass(slots=True, eq=False)
class Asked:
    """A flush, or a close, that a thread waits for and the one that delivers answers.

    Args:
        mark: What has to be delivered.
        until: Moment after which nobody waits any more.
        close: Whether to give up what is left, and let go of the sink.
        tried: Whether a delivery was begun for it, pause or not.
        done: Whether it is answered.
        result: The answer.
    """

    mark: int
    until: float
    close: bool = False
    tried: bool = False
    done: bool = False
    result: bool = False


def remember(delivery: Delivery) -> None:
    """Let it be flushed at exit."""
    _known.add(delivery)


def deliveries() -> list[Delivery]:
    """All of this process."""
    for _ in range(10):
        try:
            return list(_known)
        except RuntimeError:
            # Another thread added one meanwhile.
            continue
    return list(unsettled.copy())


def flush_all(timeout: float, *, seal: bool = False) -> bool:
    """Deliver what waits for any sink of this process, all at once.

    Args:
        timeout: Seconds, for all sinks together.
        seal: Whether this is the end, so that spools are to be left tidy.

    Returns:
        False when something was not delivered in time; it still waits.
    """
    until = time.monotonic() + timeout
    begun = [(delivery, delivery.begin(until, seal=seal)) for delivery in deliveries()]
    return all([delivery.finish(asked) for delivery, asked in begun])  # noqa: C419 - none is to be left out


def flush_at_exit() -> None:
    """Deliver what waits for any sink of this process, once."""
    if not _exited:
        _exited.append(True)
        flush_all(EXIT_SECONDS, seal=True)


def forget_after_fork() -> None:
    """What threads of the parent were doing is none of the child's business."""
    forget_threads()
    unsettled.clear()
    _exited.clear()
