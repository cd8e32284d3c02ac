"""A window of the last seconds, cut into slices: how many calls, and how many of them went badly."""

from __future__ import annotations

from typing import Literal, TypeAlias

# One call's end as a window counts it.
Counted: TypeAlias = Literal["success", "failure", "slow"]


class Window:
    """Counts of the slice of now and of the slices before it; a slice leaves as a whole.

    At an instant `t` the window holds what was added in the slices `t // width - slices + 1` to `t // width`, hence
    between `seconds - width` and `seconds` of the past. Memory is three numbers a slice, however many calls there
    are; adding costs no allocation. Not safe between threads: its owner holds the lock.

    Args:
        seconds: Length of the window, in seconds; more than 0.
        slices: How many slices it is cut into; at least 1.
    """

    __slots__ = ("_calls", "_failures", "_newest", "_slices", "_slot", "_slow", "_width", "calls", "failures", "slow")

    def __init__(self, seconds: float, slices: int) -> None:
        self._width = seconds / slices
        self._slices = slices
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.calls = 0
        self.failures = 0
        self.slow = 0
        self._calls = [0] * self._slices
        self._failures = [0] * self._slices
        self._slow = [0] * self._slices
        self._slot = 0
        self._newest: float | None = None

    def add(self, now: float, outcome: Counted) -> None:
        """Count one call that ended at `now` (monotonic seconds)."""
        if now // self._width != self._newest:
            self.advance(now)
        slot = self._slot
        self.calls += 1
        self._calls[slot] += 1
        if outcome == "failure":
            self.failures += 1
            self._failures[slot] += 1
        elif outcome == "slow":
            self.slow += 1
            self._slow[slot] += 1

    def advance(self, now: float) -> None:
        """Let go of the slices that are past at `now`, so that `calls`, `failures` and `slow` hold for that instant.

        An instant a little in the past belongs to the newest slice: threads read the clock before they come here. One
        that lies a whole window back means that the clock was set back: then no time has passed.
        """
        index = now // self._width
        newest = self._newest
        if newest is None or newest - index >= self._slices:
            self._newest = index
        elif index - newest >= self._slices:
            self.clear()
            self._newest = index
        elif index > newest:
            for _ in range(int(index - newest)):
                self._turn()
            self._newest = index

    def _turn(self) -> None:
        slot = self._slot = (self._slot + 1) % self._slices
        self.calls -= self._calls[slot]
        self.failures -= self._failures[slot]
        self.slow -= self._slow[slot]
        self._calls[slot] = self._failures[slot] = self._slow[slot] = 0
