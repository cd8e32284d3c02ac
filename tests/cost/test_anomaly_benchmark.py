from __future__ import annotations

import gzip
import importlib.util
import json
import sys
from pathlib import Path

import pytest

from aistrale.cost.anomalies.tail import Tail

numpy = pytest.importorskip("numpy")
ROOT = Path(__file__).resolve().parents[2]
SUBSET = ROOT / ".." / "shared" / "anomaly" / "nab_subset.json.gz"


@pytest.fixture(scope="module")
def nab():
    spec = importlib.util.spec_from_file_location("nab_score", ROOT / "tools" / "nab_score.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


FILE = {"n": 1000, "probation": 150, "windows": [[400, 499], [800, 899]]}


def detections(*samples):
    found = numpy.zeros(1000)
    found[list(samples)] = 1.0
    return found


@pytest.mark.parametrize(
    ("samples", "standard"),
    [
        ((400, 800), 100.0),  # at once, in both windows
        ((400, 450, 499, 800), 100.0),  # only the first one counts
        ((400,), 50.0),
        ((100, 400, 800), 100.0),  # nothing counts in the probation
        ((300, 400, 800), 100.0 - 0.11 / 2 * 100 / 2),  # a false alarm before any window costs 0.11, of 2 + 2
    ],
)
def test_the_scorer_counts_as_the_benchmark_does(nab, samples, standard):
    scores = nab.score([detections(*samples)], [nab.labels(FILE)])
    assert scores["standard"] == pytest.approx(standard, abs=1e-6)


def test_a_late_detection_earns_less_and_a_distant_alarm_costs_more(nab):
    weight = nab.labels(FILE).weight
    assert weight[400] == pytest.approx(1.0)
    assert weight[400] > weight[450] > weight[499] > 0.0 > weight[500] > weight[550] > weight[700] > -1.0
    assert weight[799] == -1.0
    assert weight[300] == -1.0


def test_the_tail_scores_above_the_bar(nab):
    if not SUBSET.exists():
        pytest.skip("the subset of the Numenta Anomaly Benchmark is not here: ../shared/anomaly/nab_subset.json.gz")
    with gzip.open(SUBSET, "rt", encoding="utf-8") as lines:
        files = json.load(lines)
    found = [numpy.fromiter(map(Tail().update, file["values"]), float) for file in files]
    scores = nab.score(found, [nab.labels(file) for file in files])
    assert scores["standard"] >= 41.0  # 38 is the bar
    assert scores["low false positives"] >= 34.0
    assert scores["low false negatives"] >= 46.0
