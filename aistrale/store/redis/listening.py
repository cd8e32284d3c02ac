"""The thread that listens for news, and keeps this process known."""

from __future__ import annotations

import contextlib
import threading
import weakref
from typing import TYPE_CHECKING, Final, cast

from aistrale.core.worker import check_fork, on_fork
from aistrale.store.redis.connection import Away

if TYPE_CHECKING:
    from collections.abc import Callable

    import redis.client

    from aistrale.store.redis.fleet import Fleet

# Longest wait for a message, in seconds: whoever closes the client waits for as long.
_GLANCE: Final = 0.2
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
        on_fork(self._reset)

    def _reset(self) -> None:
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._starting = threading.Lock()

    def start(self) -> None:
        """Have it run; never blocks."""
        if self._thread is not None:
            return
        check_fork()
        # Whoever finds it taken need not wait: it is being started.
        if not self._starting.acquire(blocking=False):
            return
        try:
            if self._thread is None:
                self._stop = threading.Event()
                thread = threading.Thread(
                    target=_loop, args=(self._fleet, self._stop), name="aistrale-fleet", daemon=True
                )
                # Not at the end of the interpreter, nor where there are no more threads: nothing depends on it.
                with contextlib.suppress(RuntimeError):
                    thread.start()
                    self._thread = thread
        finally:
            self._starting.release()

    def close(self) -> None:
        """End it, and wait for that."""
        thread, self._thread = self._thread, None
        self._stop.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join()


class _Ear:
    """A subscription, for as long as the connection that it was made in stands."""

    def __init__(self) -> None:
        self._pubsub: redis.client.PubSub | None = None
        self._client: redis.Redis | None = None
        self._era = -1

    def hear(self, fleet: Fleet, seconds: float) -> None:
        """Heed the news of a while."""
        connection = fleet.connection
        if self._pubsub is None or self._era != connection.era:
            self.close()
            self._era = connection.era
            self._client = connection.listener()
            make = cast("Callable[..., redis.client.PubSub]", self._client.pubsub)
            self._pubsub = make(ignore_subscribe_messages=True)
            self._pubsub.subscribe(fleet.news.channel)
            # After that, so that nothing is told in between.
            fleet.news.load()
        message = self._pubsub.get_message(timeout=seconds)
        while message is not None:
            if isinstance(message.get("data"), bytes):
                fleet.news.heard(message["data"])
            message = self._pubsub.get_message(timeout=0.0)

    def close(self) -> None:
        """Let go of the socket."""
        pubsub, self._pubsub = self._pubsub, None
        client, self._client = self._client, None
        with contextlib.suppress(Exception):
            if pubsub is not None:
                pubsub.close()
            if client is not None:
                client.connection_pool.disconnect()


def _loop(reference: weakref.ref[Fleet], stop: threading.Event) -> None:
    ear = _Ear()
    # Not held on to between two rounds, so that one that is forgotten is gone.
    while not stop.is_set() and (fleet := reference()) is not None:
        pause = _round(fleet, ear)
        del fleet
        if pause is not None:
            ear.close()
            stop.wait(pause)
    ear.close()


def _round(fleet: Fleet, ear: _Ear) -> float | None:
    """Do what is due and listen; seconds to wait where there is nothing to listen to."""
    pause = _GLANCE
    try:
        pause = min(max(fleet.tick(), _LEAST), _GLANCE)
        if fleet.connection.joined:
            ear.hear(fleet, pause)
            return None
    except Away:
        return pause
    except Exception as error:  # noqa: BLE001 - whatever a library or a server does, this thread goes on
        fleet.connection.failed(error)
    return pause
