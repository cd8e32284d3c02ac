"""The scorer of the Numenta Anomaly Benchmark, for detectors that give one score to each sample.

A detection inside a labelled window earns up to 1 for its first sample, the earlier the more; one outside costs, the
more the farther behind the last window; a window without any costs. Sums are scaled so that silence has 0 and a perfect
detector 100, and one threshold serves all files: the best one (Lavin and Ahmad, "Evaluating Real-time Anomaly Detection
Algorithms: the Numenta Anomaly Benchmark", 2015; numenta/NAB, sweeper.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

PROFILES = {
    "standard": (1.0, 0.11, 1.0),
    "low false positives": (1.0, 0.22, 1.0),
    "low false negatives": (1.0, 0.11, 2.0),
}
"""What a found window earns, what a false alarm costs, what a missed window costs."""

THRESHOLDS = 200  # tried, spaced by how many samples lie above them


@dataclass(frozen=True, slots=True)
class Labelled:
    """The labels of one file, as weights.

    Args:
        window: Which window each sample lies in; -1 outside.
        weight: What a detection there earns (inside, at most 1) or costs (outside, at least -1).
        scored: False in the probation at the beginning.
        windows: How many windows there are.
    """

    window: NDArray[np.int64]
    weight: NDArray[np.float64]
    scored: NDArray[np.bool_]
    windows: int


def sigmoid(place: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """From 1 far before the end of a window over 0 at the end to -1 far behind; in units of the window's width."""
    place = np.asarray(place, dtype=float)
    return np.where(place > 3.0, -1.0, 2.0 / (1.0 + np.exp(5.0 * np.minimum(place, 4.0))) - 1.0)


def labels(file: Mapping[str, object]) -> Labelled:
    """Turn the labels of a file into weights.

    Args:
        file: With `n`, `probation` (samples) and `windows` (pairs of first and last index).
    """
    count, windows = int(str(file["n"])), [(int(first), int(last)) for first, last in file["windows"]]  # type: ignore[attr-defined]
    window, weight = np.full(count, -1), np.full(count, -1.0)
    for number, (first, last) in enumerate(windows):
        inside = np.arange(first, last + 1)
        window[inside] = number
        weight[inside] = sigmoid(-(last - inside + 1) / (last - first + 1)) / sigmoid(-1.0)
        behind = np.arange(last + 1, windows[number + 1][0] if number + 1 < len(windows) else count)
        weight[behind] = sigmoid((behind - last) / max(last - first, 1))
    return Labelled(window, weight, np.arange(count) >= int(str(file["probation"])), len(windows))


def score(found: Sequence[NDArray[np.float64]], known: Sequence[Labelled]) -> dict[str, float]:
    """The score of a detector for each profile, 0 for silence to 100.

    Args:
        found: Scores of the samples of each file.
        known: The labels of each file, in the same order.
    """
    values = np.concatenate([one[labelled.scored] for one, labelled in zip(found, known, strict=True)])
    above = 1.0 - np.logspace(-4.5, -1.0, THRESHOLDS)
    total = sum(labelled.windows for labelled in known)
    best = dict.fromkeys(PROFILES, 0.0)  # silence
    for threshold in np.unique(np.quantile(values[values > 0.0], above)):
        earned = costs = hits = 0.0
        for one, labelled in zip(found, known, strict=True):
            alarms = (one >= threshold) & labelled.scored
            costs += float(labelled.weight[alarms & (labelled.window < 0)].sum())
            inside = np.flatnonzero(alarms & (labelled.window >= 0))
            seen, first = np.unique(labelled.window[inside], return_index=True)
            earned, hits = earned + float(labelled.weight[inside[first]].sum()), hits + len(seen)
        for name, (found_weight, alarm_weight, missed_weight) in PROFILES.items():
            raw = found_weight * earned + alarm_weight * costs - missed_weight * (total - hits)
            silent = -missed_weight * total
            best[name] = max(best[name], 100.0 * (raw - silent) / (found_weight * total - silent))
    return best
