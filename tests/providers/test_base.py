from __future__ import annotations

import pytest

from aistrale.dialects import CHAT, EMBED
from aistrale.errors import ConfigurationError
from aistrale.providers import PROVIDERS, get_provider
from aistrale.providers.base import has_error
from aistrale.providers.openai_compatible import openai_compatible


def url(name, operation, model, *, base_url=None, **options):
    provider = get_provider(name)
    return provider.url(provider.endpoint({}, base_url=base_url), operation, model, **options)


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_provider_names_only_dialects_that_exist(name):
    provider = get_provider(name)
    assert set(provider.dialects) <= set(CHAT)
    assert provider.embed_dialect is None or provider.embed_dialect in EMBED
    assert provider.count_dialect is None or provider.count_dialect in provider.dialects
    assert (provider.embed_dialect is None) == ("embed" not in provider.paths)
    assert (provider.count_dialect is None) == ("count_tokens" not in provider.paths)
    assert all(dialect in provider.paths for dialect in provider.dialects)


@pytest.mark.parametrize(
    ("name", "operation", "model", "options", "expected"),
    [
        ("openai", "chat", "gpt-6-sol", {}, "https://api.openai.com/v1/chat/completions"),
        ("openai", "chat", "gpt-6-sol", {"stream": True}, "https://api.openai.com/v1/chat/completions"),
        ("openai", "chat", "o1-pro", {"dialect": "openai_responses"}, "https://api.openai.com/v1/responses"),
        ("openai", "embed", "text-embedding-3-small", {}, "https://api.openai.com/v1/embeddings"),
        ("openai", "count_tokens", "gpt-6-sol", {}, "https://api.openai.com/v1/responses/input_tokens"),
        ("anthropic", "chat", "claude-haiku-5-5", {}, "https://api.anthropic.com/v1/messages"),
        ("anthropic", "count_tokens", "c", {}, "https://api.anthropic.com/v1/messages/count_tokens"),
        (
            "gemini",
            "chat",
            "gemini-3.8-flash",
            {},
            "https://generativelanguage.googleapis.com/v1/models/gemini-3.8-flash:generateContent",
        ),
        (
            "gemini",
            "chat",
            "models/gemini-3.8-flash",
            {"stream": True},
            "https://generativelanguage.googleapis.com/v1/models/gemini-3.8-flash:streamGenerateContent?alt=sse",
        ),
        (
            "gemini",
            "embed",
            "gemini-embedding-001",
            {},
            "https://generativelanguage.googleapis.com/v1/models/gemini-embedding-001:batchEmbedContents",
        ),
        (
            "gemini",
            "count_tokens",
            "tunedModels/mine-1",
            {},
            "https://generativelanguage.googleapis.com/v1/tunedModels/mine-1:countTokens",
        ),
        ("groq", "chat", "openai/gpt-oss-20b", {}, "https://api.groq.com/openai/v1/chat/completions"),
        ("huggingface", "chat", "a/b:novita", {}, "https://router.huggingface.co/v1/chat/completions"),
        (
            "huggingface",
            "embed",
            "BAAI/bge-m3:hf-inference",
            {},
            "https://router.huggingface.co/hf-inference/models/BAAI/bge-m3/pipeline/feature-extraction",
        ),
    ],
)
def test_urls(name, operation, model, options, expected):
    assert url(name, operation, model, **options) == expected


@pytest.mark.parametrize(
    ("name", "base_url", "expected"),
    [
        # The base URLs of the official SDKs, of proxies and of our simulator, with and without their prefix.
        ("openai", "http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1/chat/completions"),
        ("openai", "http://127.0.0.1:9/v1/", "http://127.0.0.1:9/v1/chat/completions"),
        ("anthropic", "http://127.0.0.1:9", "http://127.0.0.1:9/v1/messages"),
        ("anthropic", "http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1/messages"),
        ("anthropic", "https://proxy.test/anthropic", "https://proxy.test/anthropic/v1/messages"),
        ("gemini", "http://127.0.0.1:9", "http://127.0.0.1:9/v1/models/m:generateContent"),
        ("gemini", "http://127.0.0.1:9/v1beta", "http://127.0.0.1:9/v1beta/models/m:generateContent"),
        ("gemini", "http://127.0.0.1:9/g/v1alpha/", "http://127.0.0.1:9/g/v1alpha/models/m:generateContent"),
        ("groq", "http://127.0.0.1:9", "http://127.0.0.1:9/openai/v1/chat/completions"),
        ("groq", "http://127.0.0.1:9/openai/v1", "http://127.0.0.1:9/openai/v1/chat/completions"),
        ("huggingface", "https://router.huggingface.co/v1", "https://router.huggingface.co/v1/chat/completions"),
        ("huggingface", "http://[::1]:9", "http://[::1]:9/v1/chat/completions"),
    ],
)
def test_a_base_url_may_repeat_the_prefix_of_the_path(name, base_url, expected):
    assert url(name, "chat", "m", base_url=base_url) == expected


def test_the_version_of_the_router_is_not_part_of_feature_extraction():
    found = url("huggingface", "embed", "a/b", base_url="http://127.0.0.1:9/v1")
    assert found == "http://127.0.0.1:9/hf-inference/models/a/b/pipeline/feature-extraction"


def test_a_query_in_the_base_url_stays_and_is_merged():
    azure = openai_compatible("azure", "https://x.openai.azure.com/openai/v1?api-version=preview")
    assert azure.url(azure.base_url, "chat", "m") == (
        "https://x.openai.azure.com/openai/v1/chat/completions?api-version=preview"
    )
    found = url("gemini", "chat", "m", base_url="http://127.0.0.1:9/?trace=1", stream=True)
    assert found == "http://127.0.0.1:9/v1/models/m:streamGenerateContent?alt=sse&trace=1"


@pytest.mark.parametrize("model", ["", "..", "../secrets", "a/../../b", "a//b", "./x"])
def test_a_model_cannot_lead_elsewhere(model):
    for name, operation in (("gemini", "chat"), ("huggingface", "embed")):
        with pytest.raises(ConfigurationError) as caught:
            url(name, operation, model)
        assert caught.value.field == "model"


def test_odd_characters_in_a_model_are_quoted():
    found = url("gemini", "chat", "a b?c#d%e")
    assert found.endswith("/v1/models/a%20b%3Fc%23d%25e:generateContent")


def test_embeddings_of_another_backend_are_refused_with_the_way_out():
    with pytest.raises(ConfigurationError, match="openai_compatible") as caught:
        url("huggingface", "embed", "BAAI/bge-m3:nebius")
    assert "nebius" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "operation", "options", "said"),
    [
        ("anthropic", "embed", {}, "embeddings"),
        ("groq", "count_tokens", {}, "token counting"),
        ("anthropic", "chat", {"dialect": "openai_chat"}, "anthropic_messages"),
        ("groq", "chat", {"dialect": "openai_responses"}, "openai_chat"),
    ],
)
def test_what_a_provider_does_not_have_is_said(name, operation, options, said):
    with pytest.raises(ConfigurationError, match=said):
        url(name, operation, "m", **options)


@pytest.mark.parametrize(
    ("environ", "options", "expected"),
    [
        ({}, {}, "https://api.openai.com/v1"),
        ({"OPENAI_BASE_URL": "http://env:1/v1"}, {}, "http://env:1/v1"),
        ({"OPENAI_BASE_URL": "  "}, {}, "https://api.openai.com/v1"),
        ({"OPENAI_BASE_URL": "http://env:1/v1"}, {"base_url": "http://set:1/v1"}, "http://set:1/v1"),
        ({"OPENAI_BASE_URL": "http://env:1/v1"}, {"region": "eu"}, "https://eu.api.openai.com/v1"),
        ({}, {"region": "global"}, "https://api.openai.com/v1"),
    ],
)
def test_settings_win_over_the_environment(environ, options, expected):
    assert get_provider("openai").endpoint(environ, **options) == expected


@pytest.mark.parametrize(
    ("options", "field", "said"),
    [
        ({"region": "mars"}, "providers.openai.region", "eu"),
        ({"region": "eu", "base_url": "http://x"}, "providers.openai.region", "exclude"),
        ({"base_url": "ftp://x"}, "providers.openai.base_url", "http"),
        ({"base_url": "localhost:8080"}, "providers.openai.base_url", "http"),
        ({"base_url": "http://"}, "providers.openai.base_url", "host"),
        ({"base_url": "http://x:99999"}, "providers.openai.base_url", "host"),
        ({"base_url": "http://user:sk-canary@x"}, "providers.openai.base_url", "password"),
        ({"base_url": "http://x/#f"}, "providers.openai.base_url", "fragment"),
    ],
)
def test_a_wrong_address_names_the_setting_and_shows_no_secret(options, field, said):
    with pytest.raises(ConfigurationError, match=said) as caught:
        get_provider("openai").endpoint({}, **options)
    assert caught.value.field == field
    assert "canary" not in str(caught.value)


def test_a_provider_without_regions_says_so():
    with pytest.raises(ConfigurationError, match="none"):
        get_provider("groq").endpoint({}, region="eu")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("openai", [("authorization", "Bearer k")]),
        ("anthropic", [("authorization", "Bearer k")]),
        ("gemini", [("x-goog-api-key", "k")]),
        ("groq", [("authorization", "Bearer k")]),
        ("huggingface", [("authorization", "Bearer k")]),
    ],
)
def test_where_the_key_stands(name, expected):
    assert get_provider(name).auth_headers("k") == expected


def test_versions_of_gemini():
    gemini = get_provider("gemini")
    beta = gemini.choose_version({}, "v1beta")
    assert beta.url(beta.base_url, "chat", "m").endswith("/v1beta/models/m:generateContent")
    assert gemini.choose_version({}) is gemini
    assert beta.choose_version({}, "v1").paths == gemini.paths
    assert gemini.choose_version({"GOOGLE_GENAI_API_VERSION": "beta"}).paths == beta.paths
    assert gemini.choose_version({"GOOGLE_GENAI_API_VERSION": "v1beta"}, "v1").paths == gemini.paths


def test_versions_of_anthropic_change_the_header_and_what_models_take():
    new = get_provider("anthropic")
    old = new.choose_version({}, "2023-06-01")
    assert ("anthropic-version", "2026-10-21") in new.headers
    assert ("anthropic-version", "2023-06-01") in old.headers
    assert new.profile("claude-haiku-4-5", None).sampling is False
    assert old.profile("claude-haiku-4-5", None).sampling is True


@pytest.mark.parametrize("name", PROVIDERS)
def test_an_unknown_version_is_refused(name):
    with pytest.raises(ConfigurationError, match="v99") as caught:
        get_provider(name).choose_version({}, "v99")
    assert caught.value.field == f"providers.{name}.api_version"


@pytest.mark.parametrize("name", ["openai", "huggingface"])
def test_usage_is_asked_for_in_chat_streams(name):
    ask = get_provider(name).stream_request
    body = {"stream": True}
    assert ask(body, "openai_chat") == {"stream": True, "stream_options": {"include_usage": True}}
    assert body == {"stream": True}
    assert ask({"stream_options": {"include_obfuscation": False}}, "openai_chat") == {
        "stream_options": {"include_obfuscation": False, "include_usage": True}
    }
    kept = {"stream_options": {"include_usage": False}}
    assert ask(kept, "openai_chat") == kept
    assert ask({"stream": True}, "openai_responses") == {"stream": True}
    odd = {"stream_options": "x"}
    assert ask(odd, "openai_chat") == odd


def test_groq_gets_no_stream_options():
    body = {"stream": True, "stream_options": {"include_usage": True}}
    assert get_provider("groq").stream_request(body, "openai_chat") == {"stream": True}
    assert "stream_options" in body


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"error": {"message": "x"}}, True),
        ({"error": "overloaded"}, True),
        ([{"error": {"code": 500}}], True),
        ({"type": "error", "error": {"type": "api_error"}}, True),
        ({"error": None, "output": [{"type": "message"}]}, False),
        ({"choices": [{}], "error": None}, False),
        ({"choices": [], "error": {"message": "x"}}, True),
        ({"candidates": [{}]}, False),
        ({}, False),
        ([], False),
        ([[0.1, 0.2]], False),
        ("error", False),
        (None, False),
    ],
)
def test_errors_inside_good_answers(body, expected):
    assert has_error(body) is expected


def test_a_provider_is_frozen_and_can_be_a_key():
    provider = get_provider("openai")
    with pytest.raises(AttributeError):
        provider.base_url = "x"
    assert {provider: 1}[provider] == 1
