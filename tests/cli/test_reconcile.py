from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

import aistrale

HEADER = "date,model,cost\n"


@pytest.fixture
def spent(sim):
    """Two calls, whose day and dollars are given back."""
    with aistrale.Client(providers=sim.settings()["providers"]) as client:
        answers = [client.run("Hi", model="openai/gpt-5-mini") for _ in range(2)]
    return datetime.now(UTC).date().isoformat(), sum(answer.cost.usd for answer in answers)


def test_an_invoice_that_agrees(cli, spent, tmp_path):
    day, usd = spent
    file = tmp_path / "bill.csv"
    file.write_text(f"{HEADER}{day},gpt-5-mini-2025-08-07,{usd:f}\n")
    result = cli("reconcile", file, "--provider", "openai", "--least", "0")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "1 of 1 lines agree" in result.stderr
    result = cli("reconcile", file, "--provider", "openai", "--all")
    assert "gpt-5-mini" in result.stdout


def test_an_invoice_that_differs_says_where_and_why(cli, spent):
    day, usd = spent
    text = f"{HEADER}{day},gpt-5-mini,{usd + 1:f}\n{day},gpt-5,2\n".encode()
    result = cli("reconcile", "-", "--provider", "openai", stdin=text)
    assert result.exit_code == 1
    assert "did not go through here" in result.stdout
    assert "difference $3.000000" in result.stderr
    document = json.loads(cli("reconcile", "-", "--provider", "openai", "--json", stdin=text).stdout)
    assert (document["agrees"], document["difference"], document["format"]) == (False, "3", "generic")
    assert Decimal(document["ours"]) == usd
    lines = list(csv.DictReader(io.StringIO(cli("reconcile", "-", "--provider", "openai", "--csv", stdin=text).stdout)))
    assert [line["model"] for line in lines] == ["gpt-5", "gpt-5-mini"]
    assert cli("reconcile", "-", "--provider", "openai", "--least", "5", stdin=text).exit_code == 0


def test_columns_marks_and_currencies_can_be_told(cli, spent):
    day, usd = spent
    euros = f"{usd / 2:f}".replace(".", ",")
    text = f"when;which;what\n{day};gpt-5-mini;{euros} EUR\n".encode()
    told = ("--date", "when", "--model", "which", "--amount", "what", "--decimal", ",", "--rate", "0.5")
    assert cli("reconcile", "-", "--provider", "openai", *told, "--least", "0", stdin=text).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "data", "word"),
    [
        (["missing.csv"], b"", "missing.csv cannot be read"),
        (["-"], b"a,b\n1,2\n", "its columns are"),
        (["-"], b"date,model,cost\n2026-11-02,gpt-5,cheap\n", "row 2, column 'cost'"),
        (["-", "--format", "excel"], b"", "excel"),
        (["-", "--rate", "much"], b"", "much"),
        (["-", "--rate", "0"], b"", "'0' is no rate"),
        (["-", "--provider", "nobody"], b"", "known are openai, anthropic"),
        (["-", "--json", "--csv"], b"", "--csv"),
        (["-", "--tolerance", "100"], b"", "100"),
        (["-", "--zone", "Mars"], b"date,model,cost\n2026-11-02,gpt-5,1\n", "Mars"),
    ],
)
def test_mistakes_end_with_2_and_are_named(cli, nobody, arguments, data, word):
    result = cli("reconcile", *arguments, stdin=data)
    assert (result.exit_code, result.stdout) == (2, "")
    assert word in result.stderr


def test_it_explains_itself(cli):
    result = cli("reconcile", "--help")
    assert result.exit_code == 0
    assert "--json" in result.stdout
