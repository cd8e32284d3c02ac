from __future__ import annotations

import json
import os
import socket
import sys
import tomllib
from pathlib import Path

import pytest

import aistrale
from aistrale.cli import _checks
from aistrale.cli._checks import unwritable, without_secrets
from aistrale.cost.book.price_book import shipped_book, stored_path
from aistrale.testing import Fault

ROOT = Path(__file__).resolve().parents[2]


def examined(cli, *arguments):
    result = cli("doctor", "--json", *arguments)
    return result.exit_code, json.loads(result.stdout)


def test_a_fresh_machine_is_usable_and_stays_fresh(cli, nobody, aistrale_home):
    code, report = examined(cli)
    assert (code, report["usable"], report["problems"]) == (0, True, [])
    assert any("aistrale demo" in note for note in report["notes"])
    assert report["ledger"]["writable"] is True
    assert report["ledger"]["path"] == str(aistrale_home / "ledger.sqlite3")
    assert not aistrale_home.exists()


def test_what_it_runs_on(cli, nobody):
    system = examined(cli)[1]["system"]
    assert system["aistrale"] == aistrale.__version__
    assert system["python"].split(".")[:2] == [str(number) for number in sys.version_info[:2]]
    assert system["http"].split()[0] in {"httpx", "httpx2"}


def test_the_text_says_the_same(process, nobody):
    run = process("doctor")
    shown = run.stdout.decode()
    assert (run.returncode, run.stderr) == (0, b"")
    assert "\x1b" not in shown
    for title in ("System", "Settings", "Providers", "Vendors' SDKs", "Libraries", "Money", "Ledger", "Proxies"):
        assert f"{title}\n" in shown
    assert shown.endswith("aistrale can be used.\n")


def test_keys_are_named_by_their_variable(cli, sim, tmp_path, monkeypatch):
    monkeypatch.delenv("GROQ_API_KEY")
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.delenv("GEMINI_API_KEY")
    monkeypatch.setenv("GOOGLE_API_KEY", "another")
    home = Path(os.environ["HF_HOME"])
    home.mkdir()
    (home / "token").write_text("hf_saved", encoding="utf-8")
    with Path("aistrale.toml").open("a", encoding="utf-8") as file:
        file.write('[providers.openai]\napi_key = "from-the-file"\n')
    code, report = examined(cli)
    assert code == 0
    assert {row["name"]: row["key"] for row in report["providers"]} == {
        "openai": "settings",
        "anthropic": "ANTHROPIC_API_KEY",
        "gemini": "GOOGLE_API_KEY",
        "groq": None,
        "huggingface": "saved login",
    }


def test_providers_of_the_settings_are_shown(cli, sim):
    with Path("aistrale.toml").open("a", encoding="utf-8") as file:
        file.write(
            '[providers.local]\ncompatible = "openai_chat"\nbase_url = "http://127.0.0.1:8080/v1?token=secret"\n'
        )
    row = examined(cli)[1]["providers"][-1]
    assert (row["name"], row["endpoint"]) == ("local", "http://127.0.0.1:8080/v1")


def test_the_settings_file_and_its_names_are_shown_without_values(cli, sim):
    code, report = examined(cli)
    assert code == 0
    assert report["settings"]["file"] == str(Path("aistrale.toml").resolve())
    assert report["settings"]["keys"] == ["providers.huggingface.base_url", "retry"]


@pytest.mark.parametrize("name", ["aistrale.toml", "pyproject.toml"])
def test_the_settings_file_of_a_folder_above_is_found(cli, nobody, tmp_path, monkeypatch, name):
    table = "[tool.aistrale]\n" if name == "pyproject.toml" else ""
    (tmp_path / name).write_text(f'{table}model = "openai/gpt-5-mini"\n', encoding="utf-8")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert examined(cli)[1]["settings"] == {
        "file": str(tmp_path / name),
        "keys": ["model"],
        "environment": ["AISTRALE_HOME"],
    }


def test_the_file_of_the_environment_comes_first(cli, sim, tmp_path, monkeypatch):
    named = tmp_path / "named.toml"
    named.write_text("timeout = 5\n", encoding="utf-8")
    monkeypatch.setenv("AISTRALE_CONFIG", str(named))
    settings = examined(cli)[1]["settings"]
    assert (settings["file"], settings["keys"]) == (str(named), ["timeout"])


def test_a_variable_that_nothing_reads_is_noted(cli, nobody, monkeypatch):
    monkeypatch.setenv("AISTRALE_MODLE", "x")
    assert any("AISTRALE_MODLE" in note for note in examined(cli)[1]["notes"])


@pytest.mark.parametrize(
    ("variable", "word"),
    [
        ("AISTRALE_TIMEOUT=soon", "timeout"),
        ("AISTRALE_LEDGER=mysql://x", "ledger"),
        ("AISTRALE_CONFIG=/nowhere/x.toml", "AISTRALE_CONFIG"),
        ("AISTRALE_HOME=/dev/null/x", "cannot be written"),
        ("OPENAI_BASE_URL=ftp://x", "OPENAI_BASE_URL"),
        ("OPENAI_API_KEY=two words", "OPENAI_API_KEY"),
        ("HTTPS_PROXY=gopher://x", "HTTPS_PROXY"),
    ],
)
def test_what_is_broken_is_said_and_ends_with_2(cli, nobody, monkeypatch, variable, word):
    monkeypatch.setenv(*variable.split("="))
    code, report = examined(cli)
    assert (code, report["usable"]) == (2, False)
    assert any(word in problem for problem in report["problems"])
    result = cli("doctor")
    assert result.exit_code == 2
    assert "Something is broken" in result.stdout


def test_proxies_are_shown_without_their_passwords(cli, nobody, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://me:secret@proxy.example:3128/?x=secret")
    monkeypatch.setenv("NO_PROXY", "localhost")
    report = examined(cli)[1]
    assert report["proxies"] == {"https": "http://proxy.example:3128", "no": "localhost"}
    monkeypatch.setenv("AISTRALE_TRUST_ENV", "off")
    report = examined(cli)[1]
    assert report["proxies"] == {}
    assert any("trust_env" in note for note in report["notes"])
    monkeypatch.setenv("AISTRALE_PROXY", "socks5://me:secret@[::1]:1080")
    assert examined(cli)[1]["proxies"] == {"setting": "socks5://[::1]:1080"}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://api.example/v1/", "https://api.example/v1"),
        ("https://u:p@api.example:99/v1?key=s#f", "https://api.example:99/v1"),
        ("proxy.example:8080", "http://proxy.example:8080"),
        ("http://user:pass/word@x:y", "(not a URL)"),
    ],
)
def test_urls_lose_their_secrets(url, shown):
    assert without_secrets(url) == shown


def test_the_ledger_is_counted(cli, sim):
    for _ in range(2):
        assert cli("run", "Hi", "-m", "openai/gpt-5-mini").exit_code == 0
    ledger = examined(cli)[1]["ledger"]
    assert (ledger["calls"], ledger["attempts"], ledger["unsettled"]) == (2, 2, 0)
    assert (ledger["degraded"], ledger["journal"]["waiting_bytes"]) == (None, 0)


def test_a_damaged_ledger_is_a_problem(cli, nobody, aistrale_home):
    aistrale_home.mkdir()
    (aistrale_home / "ledger.sqlite3").write_bytes(b"no database at all" * 100)
    code, report = examined(cli)
    assert code == 2
    assert any("ledger" in problem.lower() for problem in report["problems"])


def test_a_ledger_that_is_off_is_noted(cli, nobody, monkeypatch):
    monkeypatch.setenv("AISTRALE_LEDGER", "off")
    code, report = examined(cli)
    assert (code, report["ledger"]) == (0, {"mode": "off", "path": None})


def test_whether_a_folder_can_be_written(tmp_path):
    assert unwritable(tmp_path / "a" / "b") is None
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_bytes(b"")
    assert unwritable(tmp_path / "file" / "b") == "Not a directory"
    assert unwritable(tmp_path / "file") == "Not a directory"


def test_what_it_looks_for_is_what_the_project_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    def bare(names):
        return {name.partition(">=")[0] for name in names}

    assert set(_checks.LIBRARIES) == bare(project["dependencies"])
    extras = project["optional-dependencies"]
    assert set(_checks.SDKS.values()) == {name for sdk in _checks.SDKS for name in bare(extras[sdk])}
    named = ("httpx2", "trio", "otel", "prometheus", "sentry", "langchain", "llamaindex", "redis", "postgres")
    assert set(_checks.EXTRAS) == {name.partition("[")[0] for extra in named for name in bare(extras[extra])}


# --- probes -----------------------------------------------------------------------------------------------------------


def test_each_provider_with_a_key_is_asked_once(cli, sim, monkeypatch):
    monkeypatch.delenv("GROQ_API_KEY")
    code, report = examined(cli, "--probe")
    assert code == 0
    assert [(row["provider"], row["ok"]) for row in report["probes"]] == [
        ("openai", True),
        ("anthropic", True),
        ("gemini", True),
        ("huggingface", True),
    ]
    assert [item.provider for item in sim.requests] == ["openai", "anthropic", "gemini", "huggingface"]


def test_a_failed_probe_says_what_to_do_and_ends_with_2(cli, sim):
    sim.outage("anthropic", Fault(status=401))
    code, report = examined(cli, "--probe")
    assert code == 2
    (failed,) = [row for row in report["probes"] if not row["ok"]]
    assert failed["provider"] == "anthropic"
    assert failed["result"].startswith("AuthenticationError: ")
    assert any(problem.startswith("anthropic: ") for problem in report["problems"])
    # Asked once, although such an error might pass.
    assert len([item for item in sim.requests if item.provider == "anthropic"]) == 1


def test_nothing_is_sent_without_being_asked_to(cli, sim):
    assert examined(cli)[0] == 0
    assert sim.requests == []


def test_a_probe_without_keys_sends_nothing(cli, nobody):
    code, report = examined(cli, "--probe")
    assert (code, report["probes"]) == (0, [])


def test_a_probe_with_broken_settings_does_not_hide_them(cli, sim, monkeypatch):
    monkeypatch.setenv("AISTRALE_TIMEOUT", "soon")
    code, report = examined(cli, "--probe")
    assert (code, report["probes"]) == (2, [])
    assert len(report["problems"]) == len(set(report["problems"]))


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps the folder that a process works in")
def test_sinks_are_named_without_their_addresses(cli, nobody, monkeypatch, tmp_path):
    monkeypatch.setenv("AISTRALE_SINKS", f"console,jsonl:{tmp_path}/canary.jsonl")
    report = examined(cli)[1]
    assert report["sinks"] == {"console": "ConsoleSink, best effort", "jsonl": "JSONLinesSink, best effort"}
    assert "canary" not in json.dumps(report["sinks"])
    assert report["state"] == {"kind": "memory"}


def test_a_shared_state_that_does_not_answer_is_a_problem(cli, nobody, monkeypatch):
    pytest.importorskip("redis")
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        monkeypatch.setenv("AISTRALE_STATE", f"redis://:canary@127.0.0.1:{port}/0?prefix=shop")
        code, report = examined(cli)
    assert code == 2
    assert report["state"]["answers"] is False
    assert "does not answer" in report["problems"][0]
    assert "canary" not in json.dumps(report)


def test_a_working_directory_that_is_gone_is_survived(cli, nobody, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    code, report = examined(cli)
    assert (code, report["settings"]["file"]) == (0, None)


def test_prices_and_budgets_are_counted(cli, nobody, aistrale_home, tmp_path):
    label = shipped_book().label
    assert examined(cli)[1]["money"] == {"price book": label, "stored": None, "own prices": 0, "budgets": 0}
    settings = '[[prices]]\nmodel = "openai/*"\ndiscount = "0.1"\n[[budgets]]\nlimit = "1"\nperiod = "day"\n'
    (tmp_path / "aistrale.toml").write_text(settings, encoding="utf-8")
    code, report = examined(cli)
    assert (code, report["money"]["own prices"], report["money"]["budgets"]) == (0, 1, 1)
    assert report["money"]["price book"].endswith("+own")


def test_a_stored_price_book_that_cannot_be_read_is_no_reason_to_stop(cli, nobody, aistrale_home):
    aistrale_home.mkdir(parents=True)
    stored_path().write_bytes(b"no book")
    code, report = examined(cli)
    assert (code, report["money"]["stored"]) == (0, str(stored_path()))
    assert report["money"]["price book"] == shipped_book().label
    assert any("prices update --undo" in note for note in report["notes"])
