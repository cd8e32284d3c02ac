"""The command line in this process and in one of its own, with all five providers simulated."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from aistrale.cli._app import app
from aistrale.testing import simulator

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-W", "error", "-m", "aistrale"]


@pytest.fixture(scope="session")
def running():
    with simulator() as sim:
        yield sim


@pytest.fixture
def sim(running, monkeypatch, tmp_path):
    """The simulator, led to by the environment and a settings file; nothing is tried again."""
    running.reset()
    for name, value in running.environ().items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    settings = f'retry = false\n[providers.huggingface]\nbase_url = "{running.base_url("huggingface")}"\n'
    (folder / "aistrale.toml").write_text(settings, encoding="utf-8")
    yield running
    running.reset()


@pytest.fixture
def nobody(monkeypatch, tmp_path):
    """No key and no settings, in a folder without anything."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def cli():
    """Runs a command in this process; gives click's Result."""

    def invoke(*arguments, stdin=b""):
        result = CliRunner().invoke(app, [str(item) for item in arguments], input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture
def environment():
    """The environment of a process that uses the checkout, without what decides about buffers and widths."""

    def made():
        own = {
            name: value for name, value in os.environ.items() if name not in {"PYTHONUNBUFFERED", "COLUMNS", "LINES"}
        }
        return {**own, "PYTHONPATH": str(ROOT)}

    return made


@pytest.fixture
def process(environment):
    """Runs a command in a process of its own, through pipes."""

    def run(*arguments, stdin=b"", **more):
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            env=environment(),
            input=stdin,
            capture_output=True,
            timeout=60,
            check=False,
            **more,
        )

    return run
