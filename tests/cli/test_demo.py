from __future__ import annotations

import json
import os
import time
from decimal import Decimal
from pathlib import Path

import pytest

from aistrale.providers import PROVIDERS
from aistrale.testing import Fault

ANSWER = "This is a simulated answer to: Say hello in one short sentence."


def test_without_a_key_it_shows_everything_in_a_few_seconds(process, nobody):
    begun = time.monotonic()
    run = process("demo")
    assert time.monotonic() - begun < 20
    shown = run.stdout.decode()
    assert (run.returncode, run.stderr) == (0, b"")
    assert "\x1b" not in shown
    assert shown.count(ANSWER) == 5
    assert "attempt 1 at groq: 503 OverloadedError" in shown
    assert "What the ledger recorded" in shown
    assert "aistrale doctor" in shown


def test_the_table_holds_five_answers_and_one_failover(process, nobody):
    lines = process("demo").stdout.decode().splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("asked "))
    rows = [line.split() for line in lines[start + 1 : start + 6]]
    assert [row[0].partition("/")[0] for row in rows] == list(PROVIDERS)
    assert [row[2] for row in rows] == ["1", "1", "1", "2", "1"]
    assert [row[1] == row[0] for row in rows] == [True, True, True, False, True]
    assert all(row[5].startswith("$0.0000") for row in rows)


def test_json_says_the_same(process, nobody):
    document = json.loads(process("demo", "--json").stdout)
    assert document["mode"] == "simulator"
    answers = {item["provider"]: item for item in document["answers"]}
    assert list(answers) == list(PROVIDERS)
    assert {item["answer"]["text"] for item in answers.values()} == {ANSWER}
    fallen = answers["groq"]["answer"]
    assert [(item["provider"], item["status"]) for item in fallen["attempts"]] == [("groq", 503), ("huggingface", 200)]
    assert fallen["target"].startswith("huggingface/")
    assert all(0 < item["first_text"] <= item["latency"] for item in answers.values())
    ledger = {row["key"]: row for row in document["ledger"]}
    assert {name: (row["attempts"], row["errors"]) for name, row in ledger.items()} == {
        "openai": (1, 0),
        "anthropic": (1, 0),
        "gemini": (1, 0),
        "groq": (1, 1),
        "huggingface": (2, 0),
    }
    total = sum(Decimal(item["answer"]["cost"]["usd"]) for item in answers.values())
    assert sum(Decimal(row["cost"]) for row in ledger.values()) == total


def test_it_leaves_nothing_behind(cli, nobody, aistrale_home, tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    assert cli("demo").exit_code == 0
    assert list(folder.iterdir()) == []
    assert not aistrale_home.exists()


def test_keys_and_settings_of_the_user_do_not_get_into_the_simulated_one(cli, sim):
    assert cli("demo").exit_code == 0
    assert sim.requests == []


def test_live_asks_the_providers_that_have_keys(cli, sim, monkeypatch):
    for name in ("GEMINI_API_KEY", "GROQ_API_KEY", "HF_TOKEN"):
        monkeypatch.delenv(name)
    result = cli("demo", "--live", "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["mode"]) == (0, "live")
    assert [item["provider"] for item in document["answers"]] == ["openai", "anthropic"]
    assert [item.provider for item in sim.requests] == ["openai", "anthropic"]


def test_live_takes_keys_from_the_settings_too(cli, sim, monkeypatch):
    for name in list(os.environ):
        if name.endswith("_API_KEY") or name == "HF_TOKEN":
            monkeypatch.delenv(name)
    with Path("aistrale.toml").open("a", encoding="utf-8") as file:
        file.write('api_key = "from-the-file"\n')
    assert [item["provider"] for item in json.loads(cli("demo", "--live", "--json").stdout)["answers"]] == [
        "huggingface"
    ]


def test_live_goes_on_when_a_provider_fails(cli, sim):
    sim.outage("openai", Fault(status=401))
    result = cli("demo", "--live")
    assert result.exit_code == 0
    assert "failed: " in result.stdout
    assert result.stdout.count("AuthenticationError") == 1
    assert result.stdout.count(ANSWER) == 4


def test_live_fails_when_all_fail(cli, sim):
    sim.outage(step=Fault(status=401))
    assert cli("demo", "--live", "--json").exit_code == 4


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_live_without_a_key_says_what_to_set(cli, nobody, more):
    result = cli("demo", "--live", *more)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "OPENAI_API_KEY" in result.stderr
