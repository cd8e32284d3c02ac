"""One change on trial: how large a share of the calls it may have, and when it is taken back.

Two arms, the calls with the change and those without it, are compared by what the application scored and by whether
calls succeeded. The comparison may be looked at after every call: it is a test by betting (Waudby-Smith and Ramdas,
"Estimating means of bounded random variables by betting", 2024; Shafer and Vovk, "Game-Theoretic Foundations for
Probability and Finance", 2019). Somebody who bets against "the change is good enough" with fair odds can only grow rich
if it is not: by Ville's inequality his wealth ever reaches 1/alpha with probability alpha at most.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import pi
from typing import Final

# Stakes; their mean is a bet too, and one of them is right for any difference.
_STAKES: Final = (0.05, 0.15, 0.35, 0.65, 0.95)
# A new bettor begins after so many pairs, so that what went well long ago does not hide what goes wrong now.
_FRESH: Final = 100
_BETTORS: Final = 12
ALPHA: Final = 0.05
"""Most that a change which does no harm is taken back with, in its whole life: over both comparisons together."""


class Betting:
    """Evidence that treated values lie below a share of untreated ones on average; both are of 0 to 1.

    Values need not come in pairs: what has come in of the one arm since the last pair is averaged. Within an arm they
    need to be independent given the past; calls of one conversation are not quite, which makes it a little too quick.

    Args:
        margin: Which share of the untreated mean is good enough.
    """

    __slots__ = ("_bettors", "_margin", "_pairs", "_rest", "_waiting")

    def __init__(self, margin: float) -> None:
        self._margin = margin
        self._pairs = 0
        # The wealth of those who have not begun yet; and of each bettor who has, what became of each stake. Who is let
        # go takes his wealth along, which only makes the test more careful.
        self._rest = 1.0
        self._bettors: deque[list[float]] = deque(maxlen=_BETTORS)
        self._waiting = [[0.0, 0.0], [0.0, 0.0]]

    def add(self, value: float, *, treated: bool) -> None:
        """Take note of a value."""
        mine, other = self._waiting[treated], self._waiting[not treated]
        mine[0] += value
        mine[1] += 1
        if not other[1]:
            return
        (untreated, many), (changed, few) = self._waiting
        self._bet(self._margin * untreated / many - changed / few)
        self._waiting = [[0.0, 0.0], [0.0, 0.0]]

    def _bet(self, gain: float) -> None:
        if self._pairs % _FRESH == 0:
            # Parts that sum to one, however many bettors come: 6 / pi^2 of 1, 1/4, 1/9, ...
            part = 6 / (pi * (self._pairs // _FRESH + 1)) ** 2
            self._rest -= part
            self._bettors.append([part / len(_STAKES)] * len(_STAKES))
        self._pairs += 1
        for stakes in self._bettors:
            for index, stake in enumerate(_STAKES):
                # Bounded, so that it stays a number; the bound is far beyond any threshold.
                stakes[index] = min(stakes[index] * (1 + stake * gain), 1e100)

    @property
    def evidence(self) -> float:
        """The wealth, of 1 at the beginning; 20 or more is significant at 5 %."""
        return self._rest + sum(map(sum, self._bettors))


@dataclass(slots=True)
class Arm:
    """The calls with a change, or those without.

    Args:
        calls: How many ended in an answer or an error.
        succeeded: How many of them in an answer.
        scored: How many were scored.
        score: Sum of the scores.
    """

    calls: int = 0
    succeeded: int = 0
    scored: int = 0
    score: float = 0.0

    @property
    def success(self) -> float | None:
        """Share of the calls that succeeded."""
        return self.succeeded / self.calls if self.calls else None

    @property
    def quality(self) -> float | None:
        """Mean score."""
        return self.score / self.scored if self.scored else None


@dataclass(slots=True)
class Rules:
    """What a trial is run by.

    Args:
        share: Of the calls that have the change at first.
        max_share: The most that ever have it.
        min_quality: Share of the untreated arm's mean score that is good enough.
        min_success: Share of its success rate that is.
        min_calls: Calls of each arm before anything is decided.
        needs_scores: Whether the share stays where it is as long as nobody scores answers.
    """

    share: float = 0.1
    max_share: float = 0.5
    min_quality: float = 0.95
    min_success: float = 0.98
    min_calls: int = 50
    needs_scores: bool = False


@dataclass(slots=True)
class Trial:
    """One change on trial; not safe for threads by itself.

    Args:
        rules: See Rules.
        share: Share of the calls that have the change now.
        undone: Why it was taken back; None while it runs. It then stays so until it is reset.
    """

    rules: Rules
    share: float = 0.0
    undone: str | None = None
    treated: Arm = field(default_factory=Arm)
    untreated: Arm = field(default_factory=Arm)
    _score: Betting = field(init=False)
    _success: Betting = field(init=False)
    _since: tuple[int, int, int, int] = (0, 0, 0, 0)

    def __post_init__(self) -> None:
        self._score = Betting(self.rules.min_quality)
        self._success = Betting(self.rules.min_success)
        if self.undone is None:
            self.share = self.share or self.rules.share

    def settle(self, *, treated: bool, succeeded: bool) -> str | None:
        """A call has ended.

        Returns:
            "undone" or "ramped" where that decided something, else None.
        """
        arm = self.treated if treated else self.untreated
        arm.calls += 1
        arm.succeeded += succeeded
        self._success.add(float(succeeded), treated=treated)
        return self._decide()

    def scored(self, score: float, *, treated: bool) -> str | None:
        """An answer was scored, 0 to 1; returns as `settle` does."""
        arm = self.treated if treated else self.untreated
        arm.scored += 1
        arm.score += score
        self._score.add(score, treated=treated)
        return self._decide()

    @property
    def evidence(self) -> tuple[float, float]:
        """Evidence against the change, by scores and by successes; it is taken back at 2 / ALPHA of either."""
        return self._score.evidence, self._success.evidence

    def _decide(self) -> str | None:
        if self.undone is not None:
            return None
        least = self.rules.min_calls
        one, other = self.treated, self.untreated
        score, success = self.evidence
        # Two tests of one change share the error.
        enough = 2 / ALPHA
        if score >= enough and min(one.scored, other.scored) >= least:
            return self._undo("scores", one.quality, other.quality, one.scored, other.scored, score)
        if success >= enough and min(one.calls, other.calls) >= least:
            return self._undo("success rates", one.success, other.success, one.calls, other.calls, success)
        return self._ramp(score, success)

    def _undo(  # noqa: PLR0917 - both sides of a comparison
        self, what: str, mine: float | None, theirs: float | None, many: int, few: int, evidence: float
    ) -> str:
        self.undone = (
            f"the {what} fell: {mine:.3f} in {many:,} calls with the change, {theirs:.3f} in {few:,} without "
            f"(evidence {evidence:,.0f} to 1)"
        )
        self.share = 0.0
        return "undone"

    def _ramp(self, score: float, success: float) -> str | None:
        """Double the share once both arms have seen enough at the present one, with nothing against it."""
        rules, one, other = self.rules, self.treated, self.untreated
        if self.share >= rules.max_share:
            return None
        since = self._since
        calls = min(one.calls - since[0], other.calls - since[1])
        scored = min(one.scored - since[2], other.scored - since[3])
        judged = one.scored > 0 or other.scored > 0 or rules.needs_scores
        if calls < rules.min_calls or (judged and scored < rules.min_calls) or max(score, success) > 1:
            return None
        if judged and (one.quality or 0.0) < rules.min_quality * (other.quality or 0.0):
            return None
        self.share = min(2 * self.share, rules.max_share)
        self._since = one.calls, other.calls, one.scored, other.scored
        return "ramped"
