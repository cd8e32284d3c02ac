from __future__ import annotations

import json
from decimal import Decimal

import pytest

from aistrale.cli.models import as_document, per_million
from aistrale.cost import price
from aistrale.providers.catalog import catalog


def listed(result):
    return [item["name"] for item in json.loads(result.stdout)["models"]]


def test_all_that_can_still_be_asked_is_listed(cli):
    today = catalog().as_of
    names = listed(cli("models", "--json"))
    assert names == [facts.name for facts in catalog() if facts.name in names]
    assert {facts.name for facts in catalog() if not facts.retires} <= set(names)
    assert not {facts.name for facts in catalog() if facts.retired(today)} & set(names)


def test_all_of_them_on_request(cli):
    assert listed(cli("models", "--all", "--json")) == catalog().names()


@pytest.mark.parametrize(("given", "provider"), [("gemini", "gemini"), ("google", "gemini"), ("hf", "huggingface")])
def test_by_provider(cli, given, provider):
    names = listed(cli("models", "--provider", given, "--all", "--json"))
    assert names == [facts.name for facts in catalog().models(provider)]


def test_by_words(cli):
    names = listed(cli("models", "--search", "GPT-OSS 20b", "--json"))
    assert "groq/openai/gpt-oss-20b" in names
    assert all("gpt-oss" in name and "20b" in name for name in names)


def test_an_alias_is_found(cli):
    facts = next(facts for facts in catalog() if facts.aliases and not facts.retires)
    assert facts.name in listed(cli("models", "--search", facts.aliases[0], "--json"))


def test_by_kind_and_currency(cli):
    names = listed(cli("models", "--kind", "embedding", "--current", "--json"))
    assert names == [facts.name for facts in catalog().models(kind="embedding") if facts.current]


def test_nothing_found_is_no_error(cli):
    result = cli("models", "--search", "no such model")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("0 models")
    assert listed(cli("models", "--search", "no such model", "--json")) == []


def test_an_unknown_provider_is_an_error(cli):
    result = cli("models", "--provider", "opnai")
    assert result.exit_code == 2
    assert "Did you mean openai" in result.stderr


def test_a_pipe_gets_whole_lines_of_text(process):
    run = process("models", "--all")
    header, *lines = run.stdout.decode().splitlines()
    assert header.split()[:3] == ["model", "context", "out"]
    assert [line.split()[0] for line in lines] == catalog().names()
    assert b"\x1b" not in run.stdout
    assert not any(line.endswith(" ") for line in lines)


def test_prices_are_those_of_the_catalog():
    for facts in catalog():
        if facts.kind != "chat" or facts.backends:
            continue
        shown = as_document(facts)["price"]
        for bucket, usage in (("input", {"prompt_tokens": 1000}), ("output", {"completion_tokens": 1000})):
            if facts.provider == "openai":
                known = price("openai", facts.id, {"prompt_tokens": 0, "completion_tokens": 0, **usage}).usd
                assert shown[bucket] is None if known is None else Decimal(shown[bucket]) == known * 1000


def test_a_router_has_the_prices_of_its_backends(cli):
    facts = catalog().get("huggingface", "openai/gpt-oss-120b")
    shown = as_document(facts)
    assert shown["price"] == {"input": None, "output": None}
    assert set(shown["backends"]) == set(facts.backends)
    prices = [per_million(facts, "input", backend) for backend in facts.backends]
    line = cli("models", "--search", "gpt-oss-120b", "-p", "huggingface").stdout.splitlines()[1]
    assert f"{min(prices):f}-{max(prices):f}" in line


def test_the_document_is_stable(cli):
    (first, *_) = json.loads(cli("models", "--json").stdout)["models"]
    assert list(first) == [
        "name", "provider", "id", "aliases", "kind", "family", "context", "max_input", "max_output", "input", "output",
        "tools", "parallel_tools", "structured", "reasoning", "efforts", "dimensions", "price", "backends", "retires",
        "deprecated", "successor", "current",
    ]  # fmt: skip


def test_prices_of_the_settings_are_laid_over_the_book(cli, nobody, tmp_path):
    (before,) = [item for item in json.loads(cli("models", "--json").stdout)["models"] if item["id"] == "gpt-5-mini"]
    settings = '[[prices]]\nmodel = "openai/gpt-5-mini"\ninput = "0.125"\noutput = "1"\n'
    (tmp_path / "aistrale.toml").write_text(settings, encoding="utf-8")
    document = json.loads(cli("models", "--json", "--search", "gpt-5-mini").stdout)
    prices = {item["id"]: item["price"] for item in document["models"]}
    assert prices["gpt-5-mini"] == {"input": "0.125", "output": "1"} != before["price"]
    assert document["book"].endswith("+own")
    assert document["book"] in cli("models", "--search", "gpt-5-mini").stderr
