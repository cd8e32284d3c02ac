"""The repository keeps its word: one test command, two set-up commands, one version, a reason for each exception."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
SHELL_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def set_up_commands() -> list[str]:
    return [block.strip() for block in SHELL_BLOCK.findall((ROOT / "README.md").read_text("utf-8")) if "venv" in block]


def test_readme_sets_up_with_two_commands_of_one_line():
    commands = set_up_commands()
    assert len(commands) == 2
    assert not any("\n" in command for command in commands)
    assert commands[0].endswith("aistrale demo")
    assert commands[1].endswith("nox")


def test_ci_runs_the_test_command_of_the_readme_and_nothing_else():
    script = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    commands = [line for line in script if line and not line.startswith(("#", "set ", "cd "))]
    assert commands == [set_up_commands()[1]]


def test_version_is_written_once():
    assert PYPROJECT["project"]["dynamic"] == ["version"]
    assert PYPROJECT["tool"]["hatch"]["version"]["path"] == "aistrale/_version.py"
    (version,) = re.findall(r'^__version__ = "(.+)"$', (ROOT / "aistrale/_version.py").read_text("utf-8"), re.MULTILINE)
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_dependencies_have_no_upper_pins():
    extras = PYPROJECT["project"]["optional-dependencies"].values()
    every = [*PYPROJECT["project"]["dependencies"], *(name for extra in extras for name in extra)]
    assert not [name for name in every if "<" in name or "==" in name or "~=" in name]


@pytest.mark.parametrize("section", ["ignore = [", '"tests/**" = [', '"benchmarks/**" = ['])
def test_ignored_lint_rules_have_reasons(section):
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    lines = text.partition(f"\n{section}\n")[2].partition("\n]\n")[0].splitlines()
    assert lines
    explained: set[str] = set()
    for line in lines:
        if match := re.match(r'\s+"([A-Z]+)\d*",\s+# \S', line):
            explained.add(match[1])
        elif match := re.match(r'\s+"([A-Z]+)\d*",$', line):
            # A rule without a reason of its own follows one of its family, which has it.
            assert match[1] in explained, line
        else:
            assert line.lstrip().startswith("#"), line
