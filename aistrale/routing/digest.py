"""What a process tells others of how a target does: its own outcomes of a while, in five numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aistrale.routing.health import Outcome

GOOD: Final[Mapping[str, float]] = {"success": 1.0, "slow": 0.5, "failure": 0.0}
"""How much of a success each outcome is."""


class Digest:
    """What one process has seen of a target in a while.

    Args:
        good: Successes, slow answers counting half.
        samples: Outcomes.
        errors: Recent errors in a row, by weight.
        whole: Mean seconds of an answer in one piece; None where there was none.
        first: Mean seconds to the first content of a stream; likewise.
    """

    __slots__ = ("_firsts", "_wholes", "errors", "good", "samples")

    def __init__(
        self,
        good: float = 0.0,
        samples: int = 0,
        errors: float = 0.0,
        whole: float | None = None,
        first: float | None = None,
    ) -> None:
        self.good = good
        self.samples = samples
        self.errors = errors
        self._wholes = (0.0, 0) if whole is None else (whole, 1)
        self._firsts = (0.0, 0) if first is None else (first, 1)

    @property
    def whole(self) -> float | None:
        """Mean seconds of an answer in one piece."""
        return self._wholes[0] / self._wholes[1] if self._wholes[1] else None

    @property
    def first(self) -> float | None:
        """Mean seconds to the first content of a stream."""
        return self._firsts[0] / self._firsts[1] if self._firsts[1] else None

    def add(self, outcome: Outcome, latency: float | None, first_token: float | None, errors: float) -> None:
        """An attempt has ended.

        Args:
            outcome: How.
            latency: Seconds; None where it has none.
            first_token: Seconds to the first content of a stream; None for an answer in one piece.
            errors: What the recent errors come to, by weight.
        """
        self.good += GOOD[outcome]
        self.samples += 1
        self.errors = errors
        if outcome != "success":
            return
        if first_token is not None:
            self._firsts = (self._firsts[0] + first_token, self._firsts[1] + 1)
        elif latency is not None:
            self._wholes = (self._wholes[0] + latency, self._wholes[1] + 1)
