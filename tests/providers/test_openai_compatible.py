from __future__ import annotations

import pytest

from aistrale.errors import (
    ConfigurationError,
    ContextLengthError,
    InvalidRequestError,
    ModelNotFoundError,
    OverloadedError,
    RateLimitError,
)
from aistrale.providers.openai_compatible import openai_compatible
from aistrale.providers.secret import Secret, find_key
from aistrale.types import ErrorInfo


@pytest.mark.parametrize(
    ("base_url", "dialect", "expected"),
    [
        ("http://localhost:8000/v1", "openai_chat", "http://localhost:8000/v1/chat/completions"),
        ("http://localhost:11434/v1", "openai_responses", "http://localhost:11434/v1/responses"),
        ("http://localhost:8080", "anthropic_messages", "http://localhost:8080/v1/messages"),
        ("http://localhost:8080/v1", "anthropic_messages", "http://localhost:8080/v1/messages"),
        ("http://localhost:8080", "gemini_generate", "http://localhost:8080/v1/models/m:generateContent"),
    ],
)
def test_any_dialect_at_any_address(base_url, dialect, expected):
    provider = openai_compatible("local", base_url, dialect=dialect)
    assert provider.dialect == dialect
    assert provider.url(provider.endpoint({}), "chat", "m") == expected


def test_a_server_with_several_faces():
    llama = openai_compatible("llama", "http://localhost:8080/v1", dialects=["openai_responses", "anthropic_messages"])
    assert llama.dialects == ("openai_chat", "openai_responses", "anthropic_messages")
    assert llama.url(llama.base_url, "chat", "m", dialect="anthropic_messages") == "http://localhost:8080/v1/messages"
    assert llama.url(llama.base_url, "chat", "m", dialect="openai_responses") == "http://localhost:8080/v1/responses"
    assert llama.url(llama.base_url, "embed", "m") == "http://localhost:8080/v1/embeddings"
    assert llama.count_dialect == "anthropic_messages"
    assert ("anthropic-version", "2023-06-01") in llama.headers


def test_keys_come_from_the_named_variable_in_the_named_header():
    azure = openai_compatible("azure", "https://x.openai.azure.com/openai/v1", "AZURE_KEY", auth="api-key")
    assert azure.needs_key
    assert find_key(azure, {"AZURE_KEY": "k"}) == Secret("k")
    assert azure.auth_headers("k") == [("api-key", "k")]
    assert openai_compatible("x", "http://x", "K").auth_headers("k") == [("authorization", "Bearer k")]


def test_what_such_servers_take():
    provider = openai_compatible("local", "http://x/v1")
    profile = provider.profile("qwen3", None)
    assert (profile.provider, profile.model) == ("local", "qwen3")
    assert profile.max_tokens_field == "max_tokens"
    assert profile.done_optional
    assert profile.stream_usage
    assert provider.stream_request({}, "openai_chat") == {"stream_options": {"include_usage": True}}
    old = openai_compatible("old", "http://x/v1", stream_usage=False, max_tokens_field="max_completion_tokens")
    assert old.stream_request({}, "openai_chat") == {}
    assert not old.profile("m", None).stream_usage
    assert old.profile("m", None).max_tokens_field == "max_completion_tokens"


def test_without_embeddings():
    provider = openai_compatible("local", "http://x/v1", embeddings=False)
    assert provider.embed_dialect is None
    with pytest.raises(ConfigurationError, match="no embeddings"):
        provider.url(provider.base_url, "embed", "m")


@pytest.mark.parametrize(
    ("arguments", "options", "field"),
    [
        (("My Server", "http://x"), {}, "name"),
        (("a/b", "http://x"), {}, "name"),
        (("", "http://x"), {}, "name"),
        (("x", "localhost"), {}, "base_url"),
        (("x", "http://x"), {"dialect": "soap"}, "dialect"),
        (("x", "http://x"), {"dialects": ["openai_chat", "soap"]}, "dialect"),
        (("x", "http://x"), {"headers": {"a b": "c"}}, "headers"),
        (("x", "http://x"), {"headers": {"a": "c\r\nd: e"}}, "headers"),
    ],
)
def test_wrong_arguments_name_the_field(arguments, options, field):
    with pytest.raises(ConfigurationError) as caught:
        openai_compatible(*arguments, **options)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("status", "type_", "code", "expected"),
    [
        # vLLM, llama.cpp's server and Azure, from their documentation and sources: synthetic.
        (400, "BadRequestError", "400", InvalidRequestError),
        (404, "NotFoundError", "NotFoundError", ModelNotFoundError),
        (404, "NotFoundError", "404", ModelNotFoundError),
        (404, None, "404", ModelNotFoundError),
        (400, "exceed_context_size_error", "400", ContextLengthError),
        (503, "unavailable_error", "503", OverloadedError),
        (404, "invalid_request_error", "DeploymentNotFound", ModelNotFoundError),
        (429, None, "RateLimitReached", RateLimitError),
    ],
)
def test_errors_of_such_servers(status, type_, code, expected):
    provider = openai_compatible("local", "http://x")
    assert provider.classify(ErrorInfo(status, type=type_, code=code)) is expected
