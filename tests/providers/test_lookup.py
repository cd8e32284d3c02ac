from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest

from aistrale import providers
from aistrale.errors import ConfigurationError
from aistrale.providers import PROVIDERS, get_provider, is_provider
from aistrale.providers.openai_compatible import openai_compatible

OUTSIDE = openai_compatible("acme", "https://llm.acme.test/v1", "ACME_KEY")


def make_outside():
    return OUTSIDE


def make_nothing():
    return "no provider"


def make_trouble():
    raise RuntimeError("sk-canary-secret")


@pytest.fixture
def entry_points(monkeypatch):
    """Installs entry points for one test; what a name gave before is forgotten around it."""

    def install(**points):
        made = [
            metadata.EntryPoint(name, f"{__name__}:{value}", providers.ENTRY_POINTS) for name, value in points.items()
        ]
        monkeypatch.setattr(metadata, "entry_points", lambda group: made if group == providers.ENTRY_POINTS else [])

    # pytest imports this file under a name of its own making.
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    monkeypatch.setattr(providers, "_loaded", {})
    providers._entry_points.cache_clear()
    yield install
    providers._entry_points.cache_clear()


@pytest.mark.parametrize("name", PROVIDERS)
def test_each_built_in_provider_carries_its_name(name):
    assert get_provider(name).name == name
    assert get_provider(name) is get_provider(name)
    assert is_provider(name)


@pytest.mark.parametrize(("alias", "name"), [("google", "gemini"), ("hf", "huggingface")])
def test_aliases(alias, name):
    assert get_provider(alias) is get_provider(name)
    assert is_provider(alias)


@pytest.mark.parametrize(("wrong", "near"), [("opanai", "openai"), ("Anthropic", "anthropic"), ("gorq", "groq")])
def test_an_unknown_name_lists_the_known_ones_and_the_close_one(wrong, near):
    with pytest.raises(ConfigurationError) as caught:
        get_provider(wrong)
    assert caught.value.field == "provider"
    assert f"Did you mean {near}" in str(caught.value)
    assert all(name in str(caught.value) for name in PROVIDERS)
    assert not is_provider(wrong)


def test_a_name_far_from_all_leads_to_compatible_servers():
    with pytest.raises(ConfigurationError, match="openai_compatible"):
        get_provider("zzzzzz")


def test_an_entry_point_brings_a_provider_or_a_function_that_makes_one(entry_points):
    entry_points(acme="OUTSIDE", other="make_outside")
    assert is_provider("acme")
    assert get_provider("acme") is OUTSIDE
    assert get_provider("other") is OUTSIDE
    with pytest.raises(ConfigurationError, match="acme"):
        get_provider("acmee")


def test_an_entry_point_cannot_replace_a_built_in_provider(entry_points):
    entry_points(openai="OUTSIDE")
    assert get_provider("openai").base_url == "https://api.openai.com/v1"


@pytest.mark.parametrize(
    ("value", "said"),
    [("make_nothing", "instead of a Provider"), ("make_trouble", "RuntimeError"), ("missing", "AttributeError")],
)
def test_a_broken_entry_point_is_named_and_its_words_are_not_repeated(entry_points, value, said):
    entry_points(acme=value)
    with pytest.raises(ConfigurationError, match=said) as caught:
        get_provider("acme")
    assert "canary" not in str(caught.value)
    assert caught.value.provider == "acme"


def test_a_known_name_does_not_read_the_entry_points():
    code = (
        "import sys\n"
        "from aistrale.providers import get_provider\n"
        "for name in ('openai', 'anthropic', 'gemini', 'groq', 'huggingface'): get_provider(name)\n"
        "assert 'importlib.metadata' not in sys.modules, 'read the metadata of all packages'\n"
        "assert not {'httpx', 'pydantic', 'httpx2'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
