from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from aistrale.config import load
from aistrale.core.call import Clocks
from aistrale.errors import ConfigurationError
from aistrale.policies.retry import Backoff

CANARY = "sk-canary-0123456789abcdef"


def read(tmp_path, environ=None, **keywords):
    return load(keywords, environ or {}, tmp_path)


def test_defaults(tmp_path):
    settings = read(tmp_path)
    assert settings.timeout == 60.0
    assert settings.retry == Backoff()
    assert settings.http == "auto"
    assert settings.on_unsupported == "error"


def test_keywords_win_over_environment_and_environment_over_file(tmp_path):
    (tmp_path / "aistrale.toml").write_text('model = "file"\nledger = "off"\ntimeout = 5\n')
    environ = {"AISTRALE_MODEL": "environment", "AISTRALE_TIMEOUT": "7"}
    settings = read(tmp_path, environ, model="keyword")
    assert (settings.model, settings.timeout, settings.ledger) == ("keyword", 7.0, "off")


def test_the_file_is_looked_for_upwards_and_pyproject_counts(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.aistrale]\nmodel = "from-pyproject"\n')
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert read(below).model == "from-pyproject"


def test_a_pyproject_without_our_table_is_passed_over(tmp_path):
    (tmp_path / "aistrale.toml").write_text('model = "above"\n')
    below = tmp_path / "a"
    below.mkdir()
    (below / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert read(below).model == "above"


def test_a_named_file_must_exist(tmp_path):
    with pytest.raises(ConfigurationError, match="AISTRALE_CONFIG"):
        read(tmp_path, {"AISTRALE_CONFIG": str(tmp_path / "none.toml")})


def test_broken_toml_is_named(tmp_path):
    (tmp_path / "aistrale.toml").write_text("model = \n")
    with pytest.raises(ConfigurationError, match=r"aistrale\.toml"):
        read(tmp_path)


def test_providers_are_merged_by_name_and_keys_are_hidden(tmp_path):
    (tmp_path / "aistrale.toml").write_text('[providers.groq]\nregion = "x"\n')
    settings = read(tmp_path, providers={"openai": {"api_key": CANARY}})
    assert set(settings.providers) == {"groq", "openai"}
    assert settings.providers["openai"].api_key.reveal() == CANARY
    assert CANARY not in repr(settings)
    with pytest.raises(TypeError):
        pickle.dumps(settings)


def test_a_route_may_be_a_plain_list(tmp_path):
    settings = read(tmp_path, routes={"chat": ["openai/a", "groq/b"]}, default_route="chat")
    assert settings.routes["chat"].targets == ("openai/a", "groq/b")


def test_timeout_is_short_for_the_total_clock(tmp_path):
    settings = read(tmp_path, timeout=3, clocks={"first_token": 1})
    assert settings.clocks == Clocks(first_token=1.0, total=3.0)
    assert read(tmp_path, timeout="none").clocks.total is None


@pytest.mark.parametrize(
    ("keywords", "field"),
    [
        ({"modle": "x"}, "modle"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"http": "aiohttp"}, "http"),
        ({"trust_env": "maybe"}, "trust_env"),
        ({"verify": "/no/such/bundle.pem"}, "verify"),
        ({"clocks": {"second_token": 1}}, "clocks.second_token"),
        ({"clocks": 5}, "clocks"),
        ({"retry": {"attempts": 0}}, "retry.attempts"),
        ({"retry": {"cap": "soon"}}, "retry.cap"),
        ({"retry": {"wait": 5}}, "retry.wait"),
        ({"retry": {"atempts": 5}}, "retry.atempts"),
        ({"providers": ["openai"]}, "providers"),
        ({"providers": {"openai": {"api_kye": CANARY}}}, "providers.openai.api_kye"),
        ({"providers": {"openai": {"api_key": CANARY + "\nx"}}}, "providers.openai.api_key"),
        ({"providers": {"openai": {"headers": {"x": 5}}}}, "providers.openai.headers.x"),
        ({"routes": {"chat": []}}, "routes.chat.targets"),
        ({"routes": {"chat": ["a/b", "a/b"]}}, "routes.chat.targets"),
        ({"routes": {"chat": {"targets": ["a/b"], "strategy": "fastest"}}}, "routes.chat.strategy"),
        ({"default_route": "chat"}, "default_route"),
        ({"model": ""}, "model"),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_is_not_shown(tmp_path, keywords, field):
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, **keywords)
    assert caught.value.field == field
    assert field in str(caught.value)
    assert CANARY not in str(caught.value)
    assert caught.value.exit_code == 2


def test_close_names_are_suggested(tmp_path):
    with pytest.raises(ConfigurationError, match="Did you mean model"):
        read(tmp_path, modell="x")


@pytest.mark.parametrize("value", [False, None])
def test_retry_can_be_switched_off(tmp_path, value):
    assert read(tmp_path, retry=value).retry is None


def test_retry_takes_a_number(tmp_path):
    assert read(tmp_path, retry=5).retry == Backoff(attempts=5)


def test_a_directory_that_is_gone_is_no_error(monkeypatch):
    def gone():
        raise FileNotFoundError

    monkeypatch.setattr(Path, "cwd", gone)
    assert load({}, {}).model is None


@pytest.mark.parametrize("how", ["keyword", "environment"])
def test_the_switch_for_emergencies_takes_sinks_and_interception_away(tmp_path, how):
    environ = {"AISTRALE_DISABLED": "1"} if how == "environment" else {}
    keywords = {"disabled": True} if how == "keyword" else {}
    settings = read(tmp_path, environ, sinks=["console"], instrument=["openai"], model="openai/gpt-5-mini", **keywords)
    assert (settings.sinks, settings.instrument) == ((), False)
    assert settings.model == "openai/gpt-5-mini"
    assert read(tmp_path, {"AISTRALE_DISABLED": "0"}, sinks=["console"]).sinks
