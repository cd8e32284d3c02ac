"""Whether a stream comes fast enough: characters of content against seconds of waiting for them."""

from __future__ import annotations

from collections import deque
from typing import Final

CHARACTERS_PER_TOKEN: Final = 4
"""The rule of thumb of the providers' own guides for English text; a rate of delivery needs no better one."""


class Pace:
    """Averages the delivery of a stream over the last seconds of waiting.

    Time is what was waited for the provider since its first content: a reader that pauses is not the provider's fault.
    Nothing is judged before the first window has passed.

    Args:
        rate: Slowest acceptable average, in tokens per second; above 0.
        window: Seconds of waiting over which the average is taken; above 0.
    """

    __slots__ = ("_arrived", "_needed", "_sum", "_waited", "_window")

    def __init__(self, rate: float, window: float) -> None:
        self._window = window
        self._needed = rate * window * CHARACTERS_PER_TOKEN
        self._waited = 0.0
        # The latest arrivals that together are enough, and no more of them: the oldest decides when they are not.
        self._arrived: deque[tuple[float, int]] = deque()
        self._sum = 0

    def add(self, waited: float, characters: int) -> None:
        """Note what one wait has brought.

        Args:
            waited: Seconds.
            characters: Of content; keep-alives bring none.
        """
        self._waited += waited
        if characters:
            self._arrived.append((self._waited, characters))
            self._sum += characters
            while self._sum - self._arrived[0][1] >= self._needed:
                self._sum -= self._arrived.popleft()[1]

    @property
    def left(self) -> float:
        """Seconds of further waiting without content until the average is below the rate; 0 or less: it is already."""
        end = self._window
        if self._sum >= self._needed:
            end = max(end, self._arrived[0][0] + self._window)
        return end - self._waited
