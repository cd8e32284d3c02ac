"""A fleet whose threads do nothing: the test does, step by step."""

from __future__ import annotations

import time

from aistrale.store.redis.fleet import Fleet


class Clock:
    def __init__(self, now=1_000_000.0):
        self.now = now

    def __call__(self):
        return self.now


class QuietFleet(Fleet):
    """A process that tells, hears and lives when it is told to.

    Args:
        url: The server's.
        wall: Unix seconds; also what Redis' clock is taken to say. None: the machine's, and Redis' own.
    """

    def __init__(self, url, wall=None, clock=time.monotonic):
        self.fixed = wall is not None
        super().__init__(url, clock=clock, wall=wall or time.time)

    def start(self):
        pass

    def poke(self, *, hurry=False):
        pass

    def _lost(self):
        self._next_try = 0.0

    def _sign(self, *, join):
        super()._sign(join=join)
        if self.fixed:
            self.skew = 0.0

    def tell(self):
        """What the thread that tells Redis does."""
        return self._post()

    def back(self):
        """What the thread that listens does about a Redis that is there again; whether it is."""
        self._next_try = 0.0
        self.tick()
        return self.connection.joined

    def drop(self):
        self.connection.close()


def until(fact, seconds=20.0):
    """Wait for something to become true; what it was."""
    end = time.monotonic() + seconds
    while not (value := fact()) and time.monotonic() < end:
        time.sleep(0.005)
    return value
