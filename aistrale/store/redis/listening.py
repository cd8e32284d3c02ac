"""The thread that listens for news, and keeps this process known."""

from __future__ import annotations

import contextlib
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Final, cast

from aistrale.core.worker import check_fork, on_fork
from aistrale.store.redis.connection import Away

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    import redis.client

    from aistrale.store.redis.fleet import Fleet

# Longest wait for a message, in seconds: whoever closes the client waits for as long.
_GLANCE: Final = 0.2
# Most seconds to wait for the end of the thread.
_END: Final = 1.0
# Shortest, so that nothing that is due at once makes the thread spin.
_LEAST: Final = 0.002


class Listener:
    """Runs from the first need on until it is closed, or its fleet is forgotten.

    Args:
        fleet: Whose news, and what is to be done in between.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = weakref.ref(fleet)
        self._reset()
        self._ear = _Ear()
        on_fork(self._after_fork)

    def _reset(self) -> None:
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._starting = threading.Lock()

    def _after_fork(self) -> None:
        # Or the child would hold the parent's subscription open, and never read it.
        self._ear.abandon()
        self._reset()

    def start(self) -> None:
        """Have it run; never blocks."""
        if self._thread is not None or sys.is_finalizing():
            return
        check_fork()
        # Whoever finds it taken need not wait: it is being started.
        if not self._starting.acquire(blocking=False):
            return
        try:
            if self._thread is None:
                self._stop, self._ear = threading.Event(), _Ear()
                work = (self._fleet, self._ear, self._stop)
                thread = threading.Thread(target=_loop, args=work, name="aistrale-fleet", daemon=True)
                # Not at the end of the interpreter, nor where there are no more threads: nothing depends on it.
                with contextlib.suppress(RuntimeError):
                    thread.start()
                    self._thread = thread
        finally:
            self._starting.release()

    def close(self) -> None:
        """End it, and wait for that; for a moment only, should it be held up where nothing can be ended."""
        thread = self._thread
        self._stop.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(_END)
        # Not before: what it does last would start another one.
        self._thread = None


class _Ear:
    """A subscription, for as long as the connection that it was made in stands."""

    def __init__(self) -> None:
        self._pubsub: redis.client.PubSub | None = None
        self._client: redis.Redis | None = None
        self._era = -1

    def open(self, fleet: Fleet) -> None:
        """Subscribe, where it is not yet or no more. Raises the client library's errors."""
        connection = fleet.connection
        if self._pubsub is not None and self._era == connection.era:
            return
        self.close()
        self._era = connection.era
        self._client = connection.listener()
        make = cast("Callable[..., redis.client.PubSub]", self._client.pubsub)
        self._pubsub = make(ignore_subscribe_messages=True)
        self._pubsub.subscribe(fleet.news.channel)
        # After that, so that nothing is told in between.
        fleet.news.load()
        fleet.count()

    def hear(self, seconds: float) -> list[bytes]:
        """Wait for news; what there is of it. Raises the client library's errors."""
        heard: list[bytes] = []
        pubsub = cast("redis.client.PubSub", self._pubsub)
        message = pubsub.get_message(timeout=seconds)
        while message is not None:
            if isinstance(message.get("data"), bytes):
                heard.append(message["data"])
            message = pubsub.get_message(timeout=0.0)
        return heard

    def abandon(self) -> None:
        """Close the socket in a child that has inherited it; takes no lock, and tells Redis nothing."""
        with contextlib.suppress(Exception):
            connection = getattr(self._pubsub, "connection", None)
            # Any other way takes locks.
            cast("socket.socket", getattr(connection, "_sock", None)).close()

    def close(self) -> None:
        """Let go of the socket."""
        pubsub, self._pubsub = self._pubsub, None
        client, self._client = self._client, None
        with contextlib.suppress(Exception):
            if pubsub is not None:
                pubsub.close()
            if client is not None:
                client.connection_pool.disconnect()


def _loop(reference: weakref.ref[Fleet], ear: _Ear, stop: threading.Event) -> None:
    # While it waits it holds on to nothing, so that a fleet that is forgotten is gone.
    while not stop.is_set() and (pause := _due(reference, ear)) is not None:
        if pause < 0.0:
            ear.close()
            stop.wait(-pause)
            continue
        try:
            heard, failure = ear.hear(pause), None
        except Exception as error:  # noqa: BLE001 - whatever a library or a server does, this thread goes on
            heard, failure = [], error
            ear.close()
        if heard or failure is not None:
            _heed(reference, heard, failure)
    ear.close()


def _due(reference: weakref.ref[Fleet], ear: _Ear) -> float | None:
    """Do what is due; seconds to listen, the negative of them to wait where nobody can be heard, None at the end."""
    fleet = reference()
    if fleet is None:
        return None
    pause = _GLANCE
    try:
        pause = min(max(fleet.tick(), _LEAST), _GLANCE)
        if fleet.connection.joined:
            ear.open(fleet)
            return pause
    except Away:
        return -pause
    except Exception as error:  # noqa: BLE001 - as above
        fleet.connection.failed(error)
    return -pause


def _heed(reference: weakref.ref[Fleet], heard: list[bytes], failure: Exception | None) -> None:
    fleet = reference()
    if fleet is None:
        return
    for text in heard:
        fleet.news.heard(text)
    if failure is not None:
        fleet.connection.failed(failure)
