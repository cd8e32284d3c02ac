from __future__ import annotations

import copy
import dataclasses
import logging
import pickle
import traceback

import pytest

from aistrale.errors import ConfigurationError
from aistrale.providers import PROVIDERS, get_provider
from aistrale.providers.openai_compatible import openai_compatible
from aistrale.providers.secret import Secret, as_secret, find_key, require_key

CANARY = "sk-canary-5f1c9b7d2e"


@dataclasses.dataclass
class Holder:
    key: Secret


def test_reveal_gives_the_key_and_nothing_else_does(caplog):
    secret = Secret(CANARY)
    assert secret.reveal() == CANARY
    logging.getLogger("test").warning("key %s %r %s", secret, secret, {"key": secret})
    shown = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret:>30}",
        f"{secret!r}",
        repr([secret]),
        repr(Holder(secret)),
        str(dataclasses.asdict(Holder(secret))),
        caplog.text,
    ]
    assert not [text for text in shown if "canary" in text]


def test_a_traceback_with_locals_does_not_show_the_key():
    def fail():
        secret = Secret(CANARY)
        raise ValueError(f"broken with {secret}")

    try:
        fail()
    except ValueError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "Secret('***')" in shown
    assert "broken with ***" in shown


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickling_is_refused_with_what_to_do_instead(protocol):
    with pytest.raises(TypeError, match="environment"):
        pickle.dumps(Holder(Secret(CANARY)), protocol)


def test_a_copy_is_the_same_secret():
    secret = Secret(CANARY)
    assert copy.copy(secret) is secret
    assert copy.deepcopy({"key": secret})["key"] is secret


def test_secrets_compare_by_value_and_never_with_text():
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert Secret("x")
    assert not Secret("")


@pytest.mark.parametrize("text", [f"  {CANARY}\n", f"{CANARY}\r\n", f"\t{CANARY}"])
def test_white_space_around_a_pasted_key_is_removed(text):
    assert as_secret(text, field="x").reveal() == CANARY


@pytest.mark.parametrize("value", ["", "   ", "sk-a b", "sk-a\nb", "sk-“a”", "sk-\x00a", 7, None, b"sk-a"])
def test_what_cannot_be_a_key_is_refused_without_showing_it(value):
    with pytest.raises(ConfigurationError) as caught:
        as_secret(value, field="providers.openai.api_key", provider="openai")
    assert caught.value.field == "providers.openai.api_key"
    assert "sk-" not in str(caught.value)


def test_a_secret_passes_unchanged():
    secret = Secret(CANARY)
    assert as_secret(secret, field="x") is secret


@pytest.mark.parametrize(
    ("provider", "environ", "expected"),
    [
        ("openai", {"OPENAI_API_KEY": "a"}, "a"),
        ("anthropic", {"ANTHROPIC_API_KEY": "a", "ANTHROPIC_AUTH_TOKEN": "b"}, "a"),
        ("anthropic", {"ANTHROPIC_API_KEY": " ", "ANTHROPIC_AUTH_TOKEN": "b"}, "b"),
        ("gemini", {"GOOGLE_API_KEY": "a", "GEMINI_API_KEY": "b"}, "a"),
        ("gemini", {"GEMINI_API_KEY": "b"}, "b"),
        ("groq", {"GROQ_API_KEY": "a"}, "a"),
        ("huggingface", {"HF_TOKEN": "a", "HUGGING_FACE_HUB_TOKEN": "b"}, "a"),
        ("huggingface", {"HUGGING_FACE_HUB_TOKEN": "b"}, "b"),
    ],
)
def test_the_first_variable_that_is_set_wins(provider, environ, expected):
    found = find_key(get_provider(provider), {"HF_TOKEN_PATH": "/nonexistent", **environ})
    assert found is not None
    assert found.reveal() == expected


def test_the_setting_wins_over_the_environment():
    found = find_key(get_provider("openai"), {"OPENAI_API_KEY": "env"}, "setting")
    assert found == Secret("setting")


def test_a_broken_variable_is_an_error_that_names_it():
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY") as caught:
        find_key(get_provider("openai"), {"OPENAI_API_KEY": "sk-canary broken"})
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_missing_key_says_which_variable_to_set_and_where_to_get_one(name):
    provider = get_provider(name)
    with pytest.raises(ConfigurationError) as caught:
        require_key(provider, {"HF_TOKEN_PATH": "/nonexistent"})
    assert provider.env_keys[0] in str(caught.value)
    assert "https://" in str(caught.value)
    assert caught.value.field == f"providers.{name}.api_key"
    assert caught.value.provider == name


def test_a_server_without_keys_needs_none():
    assert require_key(openai_compatible("local", "http://localhost:8080/v1"), {}) is None


@pytest.mark.parametrize(
    ("variable", "place"),
    [("HF_TOKEN_PATH", "my-token"), ("HF_HOME", "token"), ("XDG_CACHE_HOME", "huggingface/token")],
)
def test_the_login_of_hugging_face_is_found(tmp_path, variable, place):
    file = tmp_path / place
    file.parent.mkdir(exist_ok=True)
    file.write_text("hf_saved\n", encoding="utf-8")
    folder = str(file if variable == "HF_TOKEN_PATH" else tmp_path)
    found = find_key(get_provider("huggingface"), {variable: folder})
    assert found == Secret("hf_saved")


def test_a_login_that_cannot_be_read_counts_as_none(tmp_path):
    provider = get_provider("huggingface")
    assert find_key(provider, {"HF_TOKEN_PATH": str(tmp_path)}) is None
    (tmp_path / "empty").write_text(" \n", encoding="utf-8")
    assert find_key(provider, {"HF_TOKEN_PATH": str(tmp_path / "empty")}) is None
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    assert find_key(provider, {"HF_TOKEN_PATH": str(tmp_path / "binary")}) is None
