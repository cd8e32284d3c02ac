"""How long things take: the distributions that a scenario can name."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import random

# The 99th percentile of the standard normal distribution.
_Z99 = 2.3263478740408408


class Distribution(Protocol):
    """Random durations in seconds."""

    @property
    def mean(self) -> float:
        """Their average."""
        ...

    def draw(self, rng: random.Random) -> float:
        """One of them."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """Always the same.

    Args:
        value: Seconds.
    """

    value: float

    @property
    def mean(self) -> float:
        """The value."""
        return self.value

    def draw(self, rng: random.Random) -> float:
        """The value."""
        return self.value


@dataclass(frozen=True, slots=True)
class Exponential:
    """Without memory, as in the textbook models of queues.

    Args:
        mean: Seconds.
    """

    mean: float

    def draw(self, rng: random.Random) -> float:
        """One duration."""
        return -math.log(1.0 - rng.random()) * self.mean


@dataclass(frozen=True, slots=True)
class Lognormal:
    """With a long tail, as answers of language models have.

    Args:
        median: Seconds; half of the durations are shorter.
        p99: Seconds; one in a hundred is longer.
    """

    median: float
    p99: float

    @property
    def sigma(self) -> float:
        """Standard deviation of the logarithm."""
        return math.log(self.p99 / self.median) / _Z99

    @property
    def mean(self) -> float:
        """Median times exp(sigma² / 2)."""
        return self.median * math.exp(self.sigma**2 / 2)

    def draw(self, rng: random.Random) -> float:
        """One duration."""
        return self.median * math.exp(rng.gauss(0.0, self.sigma))


@dataclass(frozen=True, slots=True)
class Empirical:
    """Measured values, drawn with equal chances.

    Args:
        values: Seconds, at least one.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Their average."""
        return math.fsum(self.values) / len(self.values)

    def draw(self, rng: random.Random) -> float:
        """One of the values."""
        return self.values[int(rng.random() * len(self.values))]
