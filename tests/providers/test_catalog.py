from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import get_args

import pytest

from aistrale.dialects import CHAT
from aistrale.errors import ConfigurationError
from aistrale.providers import PROVIDERS
from aistrale.providers.catalog import Kind, catalog, default_model, equivalents, lookup, resolve
from aistrale.types import REASONING_EFFORTS

FILE = Path(__file__).resolve().parents[2] / "aistrale" / "providers" / "catalog.json"


@pytest.mark.parametrize(
    ("name", "provider", "model", "facts"),
    [
        ("openai/gpt-5-mini", "openai", "gpt-5-mini", "gpt-5-mini"),
        ("gpt-5-mini", "openai", "gpt-5-mini", "gpt-5-mini"),
        (" gpt-5-mini ", "openai", "gpt-5-mini", "gpt-5-mini"),
        ("OpenAI/gpt-5-mini", "openai", "gpt-5-mini", "gpt-5-mini"),
        ("gpt-5-mini-2025-08-07", "openai", "gpt-5-mini-2025-08-07", "gpt-5-mini"),
        ("gpt-5.6-sol-2027-01-31", "openai", "gpt-5.6-sol-2027-01-31", "gpt-5.6-sol"),
        ("gpt-5.6", "openai", "gpt-5.6", "gpt-5.6-sol"),
        (
            "ft:gpt-4o-mini-2024-07-18:acme:x:1",
            "openai",
            "ft:gpt-4o-mini-2024-07-18:acme:x:1",
            "ft:gpt-4o-mini-2024-07-18",
        ),
        ("claude-haiku-4-5", "anthropic", "claude-haiku-4-5", "claude-haiku-4-5"),
        ("claude-3-5-sonnet-latest", "anthropic", "claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022"),
        ("gemini-2.5-pro", "gemini", "gemini-2.5-pro", "gemini-2.5-pro"),
        ("models/gemini-2.5-pro", "gemini", "gemini-2.5-pro", "gemini-2.5-pro"),
        ("google/gemini-2.5-pro", "gemini", "gemini-2.5-pro", "gemini-2.5-pro"),
        ("gemini-2.5-flash-preview-05-20", "gemini", "gemini-2.5-flash-preview-05-20", "gemini-2.5-flash"),
        ("llama-3.3-70b-versatile", "groq", "llama-3.3-70b-versatile", "llama-3.3-70b-versatile"),
        ("groq/openai/gpt-oss-120b", "groq", "openai/gpt-oss-120b", "openai/gpt-oss-120b"),
        ("qwen/qwen3-32b", "groq", "qwen/qwen3-32b", "qwen/qwen3-32b"),
        (
            "huggingface/meta-llama/Llama-3.3-70B-Instruct",
            "huggingface",
            "meta-llama/Llama-3.3-70B-Instruct",
            "meta-llama/Llama-3.3-70B-Instruct",
        ),
        (
            "hf/meta-llama/llama-3.3-70b-instruct:together",
            "huggingface",
            "meta-llama/llama-3.3-70b-instruct:together",
            "meta-llama/Llama-3.3-70B-Instruct",
        ),
        ("deepseek-ai/DeepSeek-R1", "huggingface", "deepseek-ai/DeepSeek-R1", "deepseek-ai/DeepSeek-R1"),
        ("openai/gpt-99", "openai", "gpt-99", None),
        ("anthropic/claude-opus-9", "anthropic", "claude-opus-9", None),
        ("huggingface/some/new-model:novita", "huggingface", "some/new-model:novita", None),
    ],
)
def test_names_and_what_they_mean(name, provider, model, facts):
    found = resolve(name)
    assert found[:2] == (provider, model)
    assert (found[2].id if found[2] else None) == facts


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gpt-5-minni", "openai/gpt-5-mini"),
        ("claud-haiku-4-5", "anthropic/claude-haiku-4-5"),
        ("gemini-2.5-prro", "gemini/gemini-2.5-pro"),
        ("gpt-5-mini/", "provider/model"),
        ("models/nothing", "provider/model"),
        ("zzz", "provider/model"),
        ("opnai/gpt-5", "Did you mean openai"),
        ("nobody/knows", "openai, anthropic, gemini, groq, huggingface"),
        ("", "empty"),
        ("   ", "empty"),
        ("/", "provider/model"),
    ],
)
def test_unknown_names_say_what_is_close_and_how_to_write_it(name, said):
    with pytest.raises(ConfigurationError) as caught:
        resolve(name)
    assert caught.value.field == "model"
    assert said in str(caught.value)


def test_providers_of_the_settings_are_known():
    assert resolve("local/llama-3/8b", known=("local",)) == ("local", "llama-3/8b", None)
    with pytest.raises(ConfigurationError, match="local"):
        resolve("loca/llama", known=("local",))


def test_facts_checked_against_the_providers_own_pages():
    # A sample, read by hand: model pages of the five providers, November 2026.
    mini = lookup("openai", "gpt-5-mini")
    assert (mini.context, mini.max_output, mini.retires) == (400_000, 128_000, date(2026, 12, 11))
    assert mini.retired(date(2026, 12, 11))
    assert not mini.retired(date(2026, 12, 10))
    assert lookup("openai", "o1-pro").dialects == ("openai_responses",)
    assert lookup("openai", "gpt-6-sol").context == 1_050_000
    assert lookup("openai", "text-embedding-3-large").dimensions == 3072
    assert lookup("openai", "text-embedding-3-large").shortens is True
    haiku = lookup("anthropic", "claude-haiku-4-5")
    assert (haiku.context, haiku.max_output, haiku.reasoning) == (200_000, 64_000, "budget")
    assert lookup("anthropic", "claude-opus-4-8").context == 1_000_000
    assert lookup("anthropic", "claude-sonnet-4-5").successor == "claude-sonnet-5-5"
    flash = lookup("gemini", "gemini-3.8-flash")
    assert set(flash.input) == {"text", "image", "audio", "document", "video"}
    assert flash.max_output == 65_536
    assert lookup("gemini", "gemini-embedding-001").dimensions == 3072
    oss = lookup("groq", "openai/gpt-oss-120b")
    assert (oss.context, oss.max_output, oss.tools) == (131_072, 65_536, True)
    assert lookup("groq", "compound-beta").id == "groq/compound"
    assert {"together", "nebius"} <= set(lookup("huggingface", "meta-llama/Llama-3.3-70B-Instruct").backends)
    assert lookup("nobody", "gpt-5-mini") is None


def test_the_data_is_well_formed():
    every = catalog()
    assert every.as_of >= date(2026, 11, 26)
    assert all(any(name in source for source in every.sources) for name in ("genai-prices", "litellm"))
    names = set()
    for facts in every:
        assert facts.provider in PROVIDERS
        assert facts.kind in get_args(Kind)
        assert set(facts.dialects) <= set(CHAT)
        assert set(facts.efforts) <= {*REASONING_EFFORTS, "default"}
        assert (facts.context or 1) > 0
        assert facts.as_of == every.as_of
        assert facts.structured in {None, "schema", "tool", "json", "prompt"}
        assert facts.reasoning in {None, "effort", "budget", "adaptive", "level", "none"}
        if facts.efforts and "default" not in facts.efforts:
            assert list(facts.efforts) == sorted(facts.efforts, key=REASONING_EFFORTS.index), facts.name
        if facts.kind == "embedding":
            assert facts.dimensions or facts.provider == "gemini", facts.name
        for name in (facts.id, *facts.aliases):
            assert (facts.provider, name.lower()) not in names, f"{facts.provider}/{name} twice"
            names.add((facts.provider, name.lower()))


def test_the_blended_price_is_that_of_the_price_book():
    from aistrale.cost.book.price_book import shipped_book
    from aistrale.cost.book.rows import EPOCH

    book = shipped_book()
    for facts in catalog():
        name = f"{facts.id}:{facts.backends[0]}" if facts.backends else facts.id
        found = book.rates(facts.provider, name, {})
        day = facts.as_of.toordinal() - EPOCH
        now = {} if isinstance(found, str) else next(each.rates for each in found if each.start <= day)
        if "input" in now and "output" in now and now["input"]:
            assert facts.blended == pytest.approx(float(3 * now["input"] + now["output"]) / 4), facts.name
        else:
            assert facts.blended is None, facts.name
    assert lookup("openai", "gpt-5-mini").blended == pytest.approx(0.6875)


def test_the_four_vendors_and_the_router_are_covered():
    counts = {name: len(catalog().models(name, "chat")) for name in PROVIDERS}
    assert counts["openai"] > 80
    assert counts["anthropic"] > 30
    assert counts["gemini"] > 35
    assert counts["groq"] > 25
    assert counts["huggingface"] > 120
    assert catalog().models("google", "embedding") == catalog().models("gemini", "embedding")
    assert {facts.provider for facts in catalog().models(kind="embedding")} == {"openai", "gemini", "huggingface"}
    assert len(catalog()) == len(list(catalog())) == len(catalog().names())


def literal_names(package, file):
    source = Path(package.__file__).parent / file
    return re.findall(r'^\s+"([a-z][^"\s]*)",$', source.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize(
    ("provider", "module", "file"),
    [
        ("openai", "openai", "types/shared/chat_model.py"),
        ("openai", "openai", "types/shared/responses_model.py"),
        ("anthropic", "anthropic", "types/model.py"),
    ],
)
def test_every_model_in_the_types_of_the_installed_sdk_is_known(provider, module, file):
    package = pytest.importorskip(module, reason=f"the SDK of {provider} is not installed")
    names = literal_names(package, file)
    assert len(names) > 10
    # "Not a supported model ID. Retained for SDK compatibility."
    assert [name for name in names if lookup(provider, name) is None] in ([], ["gpt-5.1-mini"])


@pytest.mark.parametrize("provider", PROVIDERS)
def test_defaults_are_current(provider):
    model = default_model(provider)
    facts = lookup(provider, model)
    assert facts.current
    assert facts.id == model
    assert facts.retires is None
    assert facts.tools
    embedding = default_model(provider, "embedding")
    assert embedding is None or lookup(provider, embedding).kind == "embedding"
    assert default_model("nobody") is None


def test_equivalents_are_elsewhere_and_the_same_weights_come_first():
    found = equivalents("groq/openai/gpt-oss-120b")
    assert found[0] == "huggingface/openai/gpt-oss-120b"
    assert {name.partition("/")[0] for name in found} == {"openai", "anthropic", "gemini", "huggingface"}
    assert all(resolve(name)[2] is not None for name in found)


@pytest.mark.parametrize("model", ["gpt-6-sol", "claude-haiku-5-5", "gemini-3.8-flash", "openai/gpt-5-mini"])
def test_equivalents_can_do_the_same_and_are_current(model):
    own = resolve(model)[2]
    found = [resolve(name)[2] for name in equivalents(model)]
    assert len(found) == 4
    assert own.provider not in {facts.provider for facts in found}
    assert all(facts.current and facts.tools for facts in found)


def test_cheap_models_stand_for_cheap_ones():
    assert "anthropic/claude-haiku-5-5" in equivalents("openai/gpt-6-luna")
    assert "anthropic/claude-fable-5-2" not in equivalents("openai/gpt-6-luna")


def test_no_embedding_model_stands_for_another_and_unknown_models_have_no_equivalents():
    assert equivalents("text-embedding-3-small") == []
    assert equivalents("openai/gpt-99") == []
    with pytest.raises(ConfigurationError):
        equivalents("gpt-99")


def test_the_catalog_is_read_at_the_first_question_and_quickly():
    code = (
        "import time\n"
        "import aistrale.providers.catalog as catalog\n"
        "assert catalog.catalog.cache_info().currsize == 0\n"
        "best = 1.0\n"
        "for _ in range(5):\n"
        "    catalog.catalog.cache_clear()\n"
        "    start = time.perf_counter()\n"
        "    catalog.catalog()\n"
        "    best = min(best, time.perf_counter() - start)\n"
        "assert best < 0.05, best\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_file_has_one_model_a_line():
    lines = FILE.read_text(encoding="utf-8").splitlines()
    rows = [line.rstrip(",") for line in lines if line.startswith('{"provider"')]
    assert len(rows) == len(catalog())
    assert all(json.loads(row)["id"] for row in rows)
