"""Brings the messages of one endpoint to it: a few threads at most, none while nothing waits."""

from __future__ import annotations

import os
import random
import secrets
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from aistrale.core.worker import Worker, on_fork
from aistrale.telemetry.events import WebhookSent
from aistrale.telemetry.webhooks.schedule import DELAYS, judge
from aistrale.telemetry.webhooks.signature import signature_headers
from aistrale.telemetry.webhooks.tables import Claimed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aistrale.telemetry.events import TelemetryEvent
    from aistrale.telemetry.webhooks.log import WebhookLog
    from aistrale.telemetry.webhooks.messages import Message
    from aistrale.telemetry.webhooks.outbound import Send
    from aistrale.telemetry.webhooks.schedule import Verdict
    from aistrale.telemetry.webhooks.signature import Key

# Messages that a process left behind, and those that somebody has sent again, are found after this.
_LOOK: Final = 60.0
# Beyond the time of a try, for writing down what came of it.
_LEASE: Final = 15.0
_EXIT_SECONDS: Final = 2.0
_CLOSE_SECONDS: Final = 1.0


class Deliverer:
    """Sends what waits for one endpoint, and what other processes have left.

    Args:
        endpoint: Its id in the log.
        name: What people call it.
        log: Where messages are kept.
        send: Sends one once.
        keys: Each signs; none leaves messages unsigned.
        timeout: Seconds for one try.
        queue: Most messages that may wait.
        delays: Seconds before each try.
        threads: Most tries at the same time, at least 1.
        clock: Unix seconds.
        rng: Spreads the waits.
    """

    def __init__(
        self,
        endpoint: str,
        name: str,
        log: WebhookLog,
        send: Send,
        *,
        keys: Sequence[Key],
        timeout: float,
        queue: int,
        delays: Sequence[float] = DELAYS,
        threads: int = 4,
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.name = name
        self.emit: Callable[[TelemetryEvent], None] | None = None
        self._log = log
        self._send = send
        self._keys = keys
        self._timeout = timeout
        self._limit = queue
        self._delays = delays
        self._clock = clock
        self._rng = random.Random() if rng is None else rng  # noqa: S311 - spreads waits, guards nothing
        self._workers = [
            Worker(
                partial(self._step, index),
                name=f"aistrale-webhook-{index}",
                delay=0.0,
                # Once is enough for all of the threads.
                at_exit=None if index else self._exit,
            )
            for index in range(threads)
        ]
        self._after_fork()
        on_fork(self._after_fork)

    def _after_fork(self) -> None:
        # The leases of a parent are the parent's.
        self._owner = f"{os.getpid()}-{secrets.token_hex(6)}"
        self._settled = threading.Condition()
        self._sending = 0
        self._rng.seed()

    def start(self) -> None:
        """Look for what an earlier process has left; starts a thread only where there may be something."""
        if self._log.exists():
            self._workers[0].hurry()

    def put(self, messages: Sequence[Message]) -> int:
        """Take messages; they are on disk when this returns. Gives how many were dropped.

        Raises:
            sqlite3.Error, OSError: They could not be written; none was taken.
        """
        dropped = self._log.add(self.endpoint, self.name, messages, self._limit)
        self._workers[0].hurry()
        return dropped

    def flush(self, timeout: float) -> bool:
        """Send what is due, in this thread too.

        Args:
            timeout: Seconds.

        Returns:
            False where messages still wait, those that are to be tried later included, but not those that another
            process is sending. All of them are safe.
        """
        until = time.monotonic() + timeout
        while (left := until - time.monotonic()) > 0:
            pause = self._once(left)
            if pause == 0:
                continue
            with self._settled:
                if not self._sending:
                    break
                # Another thread of ours has the rest.
                self._settled.wait(max(until - time.monotonic(), 0.0))
        return not self._log.waits(self.endpoint, self._owner)

    def close(self) -> None:
        """End the threads; a later message starts them again."""
        until = time.monotonic() + _CLOSE_SECONDS
        for worker in self._workers:
            worker.close(max(until - time.monotonic(), 0.0))

    def _exit(self) -> None:
        if self._log.exists():
            self.flush(_EXIT_SECONDS)

    def _step(self, index: int) -> float | None:
        pause = self._once(None, helper=index + 1)
        if index:
            # What comes later is the first thread's.
            return 0.0 if pause == 0 else None
        return _LOOK if pause is None else min(pause, _LOOK)

    def _once(self, left: float | None, helper: int = 0) -> float | None:
        """Send one message; seconds until there may be another one, None where none waits.

        Args:
            left: Seconds that there are for it, where that is less than a try may take.
            helper: The thread that is to help where more is due; 0 for none.
        """
        with self._settled:
            self._sending += 1
        try:
            claimed = self._log.claim(self.endpoint, self._owner, self._timeout + _LEASE)
            if not isinstance(claimed, Claimed):
                return claimed
            if claimed.more and 0 < helper < len(self._workers):
                self._workers[helper].hurry()
            self._deliver(claimed, left)
            return 0.0
        finally:
            with self._settled:
                self._sending -= 1
                self._settled.notify_all()

    def _deliver(self, message: Claimed, left: float | None) -> None:
        timeout = self._timeout if left is None else min(self._timeout, left)
        headers = signature_headers(self._keys, message.id, int(self._clock()), message.body)
        answer = self._send(headers, message.body, timeout)
        if timeout < self._timeout and answer.error == "HttpTimeout":
            # Cut short by whoever flushes: nothing that the receiver has to answer for.
            self._log.release(message)
            return
        verdict = judge(answer, message.tries + 1, message.failures, self._rng, self._delays)
        self._log.settle(self.endpoint, message, answer, verdict)
        if verdict.state != "pending":
            self._tell(message, verdict, answer.status)

    def _tell(self, message: Claimed, verdict: Verdict, status: int | None) -> None:
        if self.emit is not None:
            self.emit(
                WebhookSent(
                    webhook=self.name,
                    type=message.type,
                    message_id=message.id,
                    attempts=message.tries + 1,
                    outcome="delivered" if verdict.state == "delivered" else "dead",
                    status=status,
                    reason=verdict.reason,
                )
            )
