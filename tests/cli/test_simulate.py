from __future__ import annotations

import json
from pathlib import Path

import pytest

SCENARIO = """
title = "A small outage"
duration = 60

[clients]
count = 10
rate = 1.0

[calls]
deadline = 10
first_token = 2

[[targets]]
name = "openai/gpt-5-mini"
latency = 0.1

[[targets.outages]]
kind = "error"
start = 20
end = 30

[policies.brisk]
retry = { attempts = 2, base = 0.1, cap = 0.1 }
breaker = false
"""


@pytest.fixture
def file(tmp_path, nobody):
    path = Path(tmp_path, "scenario.toml")
    path.write_text(SCENARIO, encoding="utf-8")
    return path


def test_policies_are_compared_in_tables(cli, file):
    result = cli("simulate", file, "--policy", "none", "--policy", "full_jitter")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "A small outage"
    assert lines[1].split() == ["policy", "answered", "sent/call", "p50", "p99", "peak/s", "wasted", "cost"]
    assert [line.split()[0] for line in lines[2:4]] == ["none", "full_jitter"]
    assert "Outages and surges" in lines
    rows = [line.split() for line in lines if " 20 s " in line]
    assert [row[0] for row in rows] == ["none", "full_jitter"]
    assert rows[0][5:8] == ["0.0", "%", "1.00"]
    assert "calls simulated in" in result.stderr


def test_targets_on_request(cli, file):
    assert "Targets" not in cli("simulate", file, "--policy", "none").stdout
    shown = cli("simulate", file, "--policy", "none", "--targets").stdout
    assert "openai/gpt-5-mini" in shown.partition("Targets")[2]


def test_json_is_one_document_with_time_lines(cli, file):
    result = cli("simulate", file, "--json", "--policy", "none", "--policy", "brisk")
    document = json.loads(result.stdout)
    assert document["scenario"] == "A small outage"
    none, brisk = document["reports"]
    assert (none["policy"], none["seed"], none["amplification"]) == ("none", 1, 1.0)
    assert none["errors"] == {"OverloadedError": none["offered"] - none["ok"]}
    assert none["episodes"][0]["back_after"] == 0.0
    assert sum(bucket["offered"] for bucket in none["buckets"]) == none["offered"] == brisk["offered"]
    assert brisk["amplification"] > 1.0


def test_everything_that_a_scenario_names_is_run_by_default(cli, file):
    file.write_text(SCENARIO.replace("duration = 60", 'duration = 60\ncompare = ["none", "brisk"]'), encoding="utf-8")
    document = json.loads(cli("simulate", file, "--json").stdout)
    assert [report["policy"] for report in document["reports"]] == ["none", "brisk"]


def test_a_seed_repeats_a_run(cli, file):
    first, again, other = (
        cli("simulate", file, "--json", "--policy", "none", "--seed", seed).stdout for seed in (5, 5, 6)
    )
    assert first == again != other
    assert json.loads(first)["reports"][0]["seed"] == 5


def test_fields_can_be_changed(cli, file):
    result = cli(
        "simulate", file, "--json", "--policy", "none",
        "--set", "targets[0].outages[0].end=40", "--set", "title=longer", "--set", "targets[0].latency={kind='exponential', mean=0.2}",
    )  # fmt: skip
    document = json.loads(result.stdout)
    assert document["scenario"] == "longer"
    assert document["reports"][0]["episodes"][0]["end"] == 40.0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--policy", "nnoe"], "Did you mean none"),
        (["--set", "targets[0].latency=fast"], "scenario.targets[0].latency must be"),
        (["--set", "targets[0].colour=1"], "scenario.targets[0].colour"),
        (["--set", "targets[9].latency=1"], "no such field"),
        (["--set", "latency"], "no FIELD=VALUE"),
        (["--seed", "x"], "--seed"),
    ],
)
def test_mistakes_are_named_before_anything_runs(cli, file, arguments, said):
    result = cli("simulate", file, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert "simulated in" not in result.stderr


def test_a_broken_file_is_named(cli, file):
    file.write_text("title =", encoding="utf-8")
    result = cli("simulate", file)
    assert result.exit_code == 2
    assert "scenario.toml is no valid TOML" in result.stderr


def test_a_missing_file_is_named(cli, file):
    result = cli("simulate", "missing.toml")
    assert result.exit_code == 2
    assert "missing.toml" in result.stderr


def test_nothing_is_left_behind(cli, file):
    before = sorted(file.parent.rglob("*"))
    cli("simulate", file, "--policy", "default")
    assert sorted(file.parent.rglob("*")) == before
