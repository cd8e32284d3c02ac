"""A watch over any evenly sampled figure, without a calendar: how far out in the Gaussian tail of its own past it lies.

Two memories, of about 200 and 1,000 samples, and the smaller of the two distances: what is unusual for the one and
ordinary for the other is a change of the time of day or an old burst. An episode scores once, at its beginning; what
follows must exceed a slowly fading memory of it. On the Numenta Anomaly Benchmark (Lavin and Ahmad, "Evaluating
Real-time Anomaly Detection Algorithms", 2015) running Gaussians beat the robust median and quartile rules by far, and
one alert for each episode helps further (`tools/anomaly_report.py` measures both).
"""

from __future__ import annotations

import math

from aistrale.errors import ConfigurationError

MEMORIES = (0.995, 0.999)  # what each keeps of the past at each sample
FADE = 0.995  # what the memory of an episode keeps at each sample
FIRST = 50  # samples before the first score
STILL = 1e-6  # the spread is at least this part of the level, or a constant series would alert at its first rounding
LARGEST = 1e6  # scores end here


class Tail:
    """Judges one sample after the other, each by those before it.

    Args:
        memories: What each memory keeps of the past at each sample, between 0 and 1.
        fade: What is kept at each sample of the score that a new one must exceed within an episode; 0 scores all.

    Raises:
        ConfigurationError: A memory or `fade` is out of range.
    """

    __slots__ = ("_count", "_means", "_memories", "_peak", "_variances", "fade")

    def __init__(self, memories: tuple[float, ...] = MEMORIES, *, fade: float = FADE) -> None:
        if not memories or not all(0.0 < memory < 1.0 for memory in memories):
            raise ConfigurationError("memories must be numbers between 0 and 1.", field="memories")
        if not 0.0 <= fade < 1.0:
            raise ConfigurationError("fade must be a number from 0 to below 1.", field="fade")
        self.fade = fade
        self._memories = memories
        self._means = [0.0] * len(memories)
        self._variances = [0.0] * len(memories)
        self._count = 0
        self._peak = 0.0

    @property
    def level(self) -> float:
        """The largest of the remembered means."""
        return max(self._means)

    def distance(self, value: float) -> float:
        """How far a value lies from the past: the smallest distance over the memories. Nothing is learned.

        Args:
            value: The figure, in the unit of all others.

        Returns:
            Standard deviations, at least 0; 0 before there are 50 samples.
        """
        if self._count < FIRST:
            return 0.0
        least = LARGEST
        for mean, variance in zip(self._means, self._variances, strict=True):
            least = min(least, abs(value - mean) / (math.sqrt(variance) + STILL * abs(mean) + 1e-9))
        return least

    def update(self, value: float) -> float:
        """Judge the next sample, then learn from it.

        Args:
            value: The figure, in the unit of all others.

        Returns:
            Standard deviations from the past, or 0 where the sample adds nothing to an episode that has scored.

        Raises:
            ConfigurationError: The value is not a finite number. The state is as before.
        """
        value = float(value)
        if not math.isfinite(value):
            raise ConfigurationError(f"Sample {self._count} is {value}: a finite number is needed.", field="value")
        distance = self.distance(value)
        for place, memory in enumerate(self._memories):
            # A running mean until the memory is full, so that the first samples do not count more than others.
            gain = max(1.0 - memory, 1.0 / (self._count + 1.0))
            error = value - self._means[place]
            self._means[place] += gain * error
            self._variances[place] = (1.0 - gain) * (self._variances[place] + gain * error * error)
        self._count += 1
        if distance > self._peak:
            self._peak = distance
            return distance
        self._peak *= self.fade
        return 0.0
