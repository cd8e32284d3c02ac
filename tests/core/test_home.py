"""Where aistrale keeps its data."""

from pathlib import Path

import platformdirs
import pytest

from aistrale.core.home import absolute, data_directory


def test_the_variable_says_where(aistrale_home):
    assert data_directory() == aistrale_home


@pytest.mark.parametrize("home", ["kept", "~/kept"])
def test_it_stays_where_it_was_when_the_current_directory_changes(monkeypatch, tmp_path, home):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AISTRALE_HOME", home)
    monkeypatch.chdir(tmp_path)
    assert data_directory() == tmp_path / "kept"


def test_without_it_the_platform_says_where(monkeypatch):
    monkeypatch.delenv("AISTRALE_HOME", raising=False)
    assert data_directory() == Path(platformdirs.user_data_dir("aistrale", appauthor=False))


def test_an_account_without_a_home_has_none(monkeypatch):
    monkeypatch.delenv("AISTRALE_HOME", raising=False)
    monkeypatch.setattr(platformdirs, "user_data_dir", lambda *_, **__: "~/.local/share/aistrale")
    assert data_directory() is None
    assert absolute("~nobody-of-that-name/x") is None
