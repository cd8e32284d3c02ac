from __future__ import annotations

import csv
import io
import json
import random
from decimal import Decimal

import pytest

from aistrale.cost.benchmark import benchmark
from aistrale.store import NullLedger
from aistrale.store.ledger import SQLiteLedger
from aistrale.store.records import ScoreRow
from tests.cost.ledgers import AT, CURSOR, attempt, call


@pytest.fixture
def ledger(tmp_path):
    ledger = SQLiteLedger(tmp_path / "ledger.sqlite3")
    yield ledger
    ledger.close()


def fill(ledger, model, n, *, usd, latency, good=1.0, fails=0, route="chat", seed=1):
    source = random.Random(seed)
    rows = []
    for number in range(n):
        name = f"{model}-{number}"
        failed = number < fails
        cost = None if usd is None else f"{usd * source.uniform(0.5, 1.5):.8f}"
        rows += [
            attempt(name, model=model, at=AT + number, cost=cost, latency=latency * source.uniform(0.8, 1.2),
                    outcome="error" if failed else "success", output=100, reasoning=100, first_token=0.1),
            call(name, route=route, outcome="error" if failed else "success"),
        ]  # fmt: skip
        if good is not None and not failed:
            rows.append(ScoreRow(call_id=name, name="quality", at=AT, score=min(1.0, good * source.uniform(0.9, 1.1))))
    ledger.write_batch(rows, CURSOR)


def test_cost_latency_and_quality_with_intervals(ledger):
    fill(ledger, "a", 400, usd=0.01, latency=2.0, good=0.8, fails=20)
    (row,) = benchmark(ledger).models
    assert (row.model, row.calls, row.succeeded, row.scored, row.unpriced) == ("openai/a", 400, 380, 380, 0)
    assert row.success_rate.value == 0.95
    assert row.usd_per_call.low < 0.01 < row.usd_per_call.high
    assert row.usd_per_1k_output.value == pytest.approx(row.usd_per_call.value * 5)
    assert row.latency_p50.low < 2.0 < row.latency_p50.high
    assert row.latency_p95.value == pytest.approx(2.36, abs=0.05)
    assert row.first_token_p50.value == pytest.approx(0.1)
    assert row.score.value == pytest.approx(0.8, abs=0.01)
    assert float(row.usd) == pytest.approx(row.usd_per_call.value * 400)
    assert row.warnings == ()


def test_the_front_and_by_whom_others_are_outdone(ledger):
    fill(ledger, "cheap", 320, usd=0.001, latency=1.0, good=0.7)
    fill(ledger, "good", 320, usd=0.01, latency=1.5, good=0.9)
    fill(ledger, "poor", 320, usd=0.02, latency=3.0, good=0.5)
    fill(ledger, "close", 320, usd=0.0102, latency=1.6, good=0.89, seed=1)
    found = benchmark(ledger)
    assert found.quality == "score"
    assert found.front == ["openai/cheap", "openai/good"]
    rows = {row.model: row for row in found.models}
    assert rows["openai/poor"].dominated_by == ("openai/cheap", "openai/good", "openai/close")
    assert rows["openai/poor"].clearly_by == ("openai/cheap", "openai/good", "openai/close")
    assert rows["openai/close"].dominated_by == ("openai/good",)
    assert rows["openai/close"].clearly_by == ()


def test_without_scores_the_success_rate_stands_in_and_is_named(ledger):
    fill(ledger, "a", 10, usd=0.01, latency=1.0, good=None, fails=5)
    fill(ledger, "b", 10, usd=0.02, latency=2.0, good=0.5)
    found = benchmark(ledger)
    assert found.quality == "success rate"
    assert found.front == ["openai/a", "openai/b"]
    assert "quality is the success rate" in str(found)
    assert "10 calls are few" in str(found)


def test_what_cannot_be_compared_is_on_no_front_and_comes_last(ledger):
    fill(ledger, "a", 5, usd=0.01, latency=1.0)
    fill(ledger, "unknown", 5, usd=None, latency=0.1)
    found = benchmark(ledger)
    assert [(row.model, row.on_front) for row in found.models] == [("openai/a", True), ("openai/unknown", None)]
    assert found.models[1].usd_per_call is None
    assert found.models[1].unpriced == 5
    assert "5 of 5 calls have no known price" in str(found)
    assert "unknown" in str(found)


def test_attempts_of_a_call_are_one_observation(ledger):
    ledger.write_batch(
        [
            attempt("a", outcome="error", cost="0.5"),
            attempt("a", attempt=2, cost="0.25", latency=3.0),
            attempt("a", attempt=3, model="other", cost=None),
            call("a"),
        ],
        CURSOR,
    )
    row, other = benchmark(ledger).models
    assert (row.calls, row.succeeded, row.usd, row.usd_per_call.value) == (1, 1, Decimal("0.75"), 0.75)
    assert row.latency_p50.value == 3.0
    assert (other.model, other.unpriced) == ("openai/other", 1)


def test_within_one_route(ledger):
    fill(ledger, "a", 5, usd=0.01, latency=1.0, route="x")
    fill(ledger, "b", 5, usd=0.01, latency=1.0, route="y")
    assert [row.model for row in benchmark(ledger, where={"route": "y"}).models] == ["openai/b"]


def test_csv_and_json_say_the_same(ledger):
    fill(ledger, "a", 30, usd=0.01, latency=1.0)
    fill(ledger, "=b", 30, usd=0.02, latency=2.0, good=None, fails=30)
    found = benchmark(ledger)
    nodes = json.loads(found.to_json())["models"]
    lines = list(csv.DictReader(io.StringIO(found.to_csv(), newline="")))
    assert [line["model"] for line in lines] == [node["model"] for node in nodes] == ["openai/a", "openai/=b"]
    for line, node in zip(lines, nodes, strict=True):
        assert line["usd"] == node["usd"]
        assert int(line["calls"]) == node["calls"]
        for name in ("success_rate", "usd_per_call", "latency_p95"):
            cells = [line[name], line[f"{name}_low"], line[f"{name}_high"], line[f"{name}_n"]]
            if node[name] is None:
                assert cells == ["", "", "", "0"]
            else:
                assert list(map(float, cells)) == pytest.approx(list(node[name].values()))
    assert lines[1]["latency_p95"] == ""
    assert lines[0]["on_front"] == "true"


def test_nothing_recorded():
    found = benchmark(NullLedger())
    assert (found.models, found.front, str(found)) == ([], [], "nothing is recorded for that time")
    assert found.to_csv().count("\r\n") == 1
