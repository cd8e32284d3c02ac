"""`init` and `shutdown`: the process-wide client and the official SDKs, on and off together."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import aistrale
from aistrale import config
from aistrale.errors import ConfigurationError
from aistrale.testing import simulator

httpx = pytest.importorskip("httpx")
openai = pytest.importorskip("openai")

ROOT = Path(__file__).resolve().parents[1]
ORIGINAL = vars(httpx.HTTPTransport)["handle_request"]


@pytest.fixture
def sim():
    with simulator(environ=True) as running:
        yield running
    aistrale.shutdown()
    assert vars(httpx.HTTPTransport)["handle_request"] is ORIGINAL


def covered():
    return vars(httpx.HTTPTransport)["handle_request"] is not ORIGINAL


def ask(client):
    client.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": "Hi"}])
    aistrale.flush()
    return len(aistrale.get_client().ledger.calls())


def test_init_covers_and_shutdown_leaves(sim):
    with openai.OpenAI() as client:
        assert aistrale.init() is aistrale.init()
        assert covered()
        assert ask(client) == 1
        aistrale.shutdown()
        assert not covered()
        assert ask(client) == 1
        assert aistrale.shutdown() is None


def test_a_new_init_takes_the_calls_over(sim):
    with openai.OpenAI() as client:
        first = aistrale.init(timeout=5)
        assert ask(client) == 1
        second = aistrale.init(timeout=6)
        assert second is not first
        assert ask(client) == 2


def test_instrument_false_covers_nothing_and_takes_back(sim):
    aistrale.init(instrument=False)
    assert not covered()
    aistrale.init()
    assert not covered()
    aistrale.init(instrument=True)
    assert covered()
    aistrale.init(instrument=False)
    assert not covered()


def test_only_those_that_are_named_are_covered(sim):
    with openai.OpenAI() as client:
        aistrale.init(instrument=["anthropic"])
        assert covered()
        assert ask(client) == 0
        aistrale.init(instrument=["openai"])
        assert ask(client) == 1


def test_run_alone_and_clients_of_ones_own_cover_nothing(sim):
    assert aistrale.run("Hi").text
    aistrale.Client(instrument=True).close()
    assert not covered()


def test_a_failed_init_covers_nothing(sim):
    with pytest.raises(ConfigurationError):
        aistrale.init(tiemout=5)
    assert not covered()


@pytest.mark.parametrize(
    ("given", "checked"),
    [
        (True, True),
        (False, False),
        ("off", False),
        ("true", True),
        ([], False),
        (["groq", "openai"], ("groq", "openai")),
        (("gemini",), ("gemini",)),
        ("openai", ("openai",)),
        ("openai, huggingface", ("openai", "huggingface")),
    ],
)
def test_what_instrument_takes(given, checked):
    assert config.check({"instrument": given}).instrument == checked


@pytest.mark.parametrize(
    ("given", "field"),
    [("opanai", "instrument"), (["openai", "cohere"], "instrument[1]"), (["groq", "groq"], "instrument"), (3, "instrument"), (None, "instrument")],
)  # fmt: skip
def test_what_instrument_does_not_take(given, field):
    with pytest.raises(ConfigurationError) as caught:
        config.check({"instrument": given})
    assert caught.value.field == field
    assert "'huggingface'" in str(caught.value)


def test_the_variable_selects_too(tmp_path):
    assert config.load({}, {"AISTRALE_INSTRUMENT": "openai,groq"}, tmp_path).instrument == ("openai", "groq")
    assert config.load({}, {"AISTRALE_INSTRUMENT": "false"}, tmp_path).instrument is False


def test_init_imports_no_sdk_and_no_http_library():
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "import aistrale\n"
        "aistrale.init(ledger='off')\n"
        "heavy = {'httpx', 'httpx2', 'openai', 'anthropic', 'groq', 'huggingface_hub', 'pydantic', 'google'}\n"
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}))\n"
        "aistrale.shutdown()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    # A namespace package that a .pth file of the environment makes is nobody's import.
    assert set(done.stdout.strip("[]\n").replace("'", "").split(", ")) <= {"", "google"}
