"""`aistrale advise`: advice from a real ledger, and prompts made shorter."""

from __future__ import annotations

import json
import random
import time
from dataclasses import replace

import pytest

import aistrale
from aistrale.store import open_ledger
from aistrale.store.records import CallRow
from tests.cost.synthetic_ledger import CAUSES, NOW, clean, exchanges

ROWS = json.dumps([{"id": number, "name": f"item {number}"} for number in range(9)], indent=4)


@pytest.fixture
def wasteful(nobody):
    """A ledger in which a long prompt is sent without the provider's cache."""
    planted = CAUSES[0](random.Random(4))
    later = time.time() - NOW.timestamp() - 1
    shots = [replace(shot, at=shot.at + later) for shot in planted.shots + clean(random.Random(4), 500)]
    ledger = open_ledger(None)
    for each in exchanges(shots):
        row = each.attempt
        call = CallRow(
            call_id=row.call_id, at=row.at, latency=row.latency, kind="chat", model_asked=each.model_asked,
            outcome=each.call_outcome, attempts=1, route=each.route, session=each.session, user=each.user,
        )  # fmt: skip
        assert ledger.journal.append(each.intent, row, call)
    ledger.close()
    return planted


def test_advice_comes_from_the_ledger(cli, wasteful):
    found = json.loads(cli("advise", "--json").stdout)
    (advice,) = found["advice"]
    assert (advice["rule"], advice["route"]) == ("prompt_caching", "support")
    assert float(advice["saving"]) == pytest.approx(wasteful.truth, rel=0.2)
    assert float(advice["low"]) <= float(advice["saving"]) <= float(advice["high"])
    assert advice["evidence"]["calls"] > 1000
    assert found["total"] == {"low": advice["low"], "high": advice["high"], "overlapping": False}
    assert found["exchanges"] == len(wasteful.shots) + sum(1 for _ in clean(random.Random(4), 500))
    assert found["book"]


def test_people_read_what_to_do_what_it_saves_and_why(cli, wasteful):
    result = cli("advise", "--since", "20d")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("1. The provider's prompt cache is not used: ")
    labels = [line.split()[0] for line in lines[1:]]
    assert labels == ["where", "do", "saves", "how", "seen", "but", "but"]
    assert any(line.startswith("   seen   calls ") and ", cost $" in line for line in result.stdout.splitlines())
    assert "anthropic/claude-sonnet-5, route support" in lines[1]
    assert "in 30 days" in lines[3]
    assert "together $" in result.stderr


def test_what_saves_less_is_left_out(cli, wasteful):
    result = cli("advise", "--least", "1000000")
    assert result.stdout == ""
    assert "nothing to advise" in result.stderr


def test_an_empty_ledger(cli, nobody):
    result = cli("advise")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing to advise: no saving above the threshold with enough evidence in 0 attempts" in result.stderr


def test_a_ledger_that_is_off_is_an_error(cli, nobody, monkeypatch):
    monkeypatch.setenv("AISTRALE_LEDGER", "off")
    result = cli("advise")
    assert result.exit_code == aistrale.errors.ConfigurationError("x").exit_code
    assert "the ledger is off" in result.stderr


@pytest.mark.parametrize("since", ["tomorrow", "2999-01-01"])
def test_a_wrong_time_is_refused(cli, nobody, since):
    assert cli("advise", "--since", since).exit_code == 2


def test_a_prompt_is_shown_as_a_diff(cli, nobody, tmp_path):
    path = tmp_path / "prompt.txt"
    path.write_text(f"Read this:\n\n{ROWS}\n", encoding="utf-8")
    result = cli("advise", "--prompt", path)
    lines = result.stdout.splitlines()
    assert lines[:2] == [f"--- {path}", f"+++ {path} (compacted)"]
    assert '+[{"id":0,"name":"item 0"},' in result.stdout
    assert "tokens can be left out (json)" in result.stderr


def test_a_prompt_as_json_with_the_way_back(cli, nobody):
    text = f"Read this:\n\n{ROWS}\n"
    found = json.loads(cli("advise", "--prompt", "-", "--json", stdin=text.encode()).stdout)
    from aistrale.cost.optimization.compact import Edit, restore

    edits = [Edit(edit["at"], edit["old"], edit["new"], edit["rule"]) for edit in found["edits"]]
    assert restore(found["text"], edits) == text
    assert 0 < found["tokens_saved"] < found["tokens_before"]


def test_a_prompt_that_is_short_already(cli, nobody):
    result = cli("advise", "--prompt", "-", stdin=b"Say hello.")
    assert result.stdout == ""
    assert "nothing to leave out: about 3 tokens" in result.stderr


@pytest.mark.parametrize(("content", "why"), [(None, "cannot be read"), (b"\xff\xfe\x00", "is not UTF-8 text")])
def test_a_prompt_that_cannot_be_read(cli, nobody, tmp_path, content, why):
    path = tmp_path / "prompt.txt"
    if content is not None:
        path.write_bytes(content)
    result = cli("advise", "--prompt", path)
    assert result.exit_code != 0
    assert why in result.stderr
