from __future__ import annotations

import pytest

from aistrale.testing.routes import Route, route

GROQ = {"user-agent": "Groq/Python 1.7.0"}
HF = {"authorization": "Bearer hf_x"}
AZURE = {"api-key": "x"}


@pytest.mark.parametrize(
    ("target", "headers", "expected"),
    [
        ("/openai/v1/chat/completions", {}, ("openai", "chat", "openai_chat", None)),
        ("/v1/chat/completions", {}, ("openai", "chat", "openai_chat", None)),
        ("/v1/chat/completions/", {}, ("openai", "chat", "openai_chat", None)),
        ("/v1/chat/completions", GROQ, ("groq", "chat", "openai_chat", None)),
        ("/v1/chat/completions", HF, ("huggingface", "chat", "openai_chat", None)),
        (
            "/v1/chat/completions",
            {"user-agent": "unknown/None; hf_hub/2.4.0"},
            ("huggingface", "chat", "openai_chat", None),
        ),
        ("/groq/openai/v1/chat/completions", {}, ("groq", "chat", "openai_chat", None)),
        ("/openai/v1/chat/completions", GROQ, ("groq", "chat", "openai_chat", None)),
        ("/openai/v1/chat/completions", {"authorization": "Bearer gsk_x"}, ("groq", "chat", "openai_chat", None)),
        ("/openai/v1/chat/completions", AZURE, ("openai", "chat", "openai_chat", None)),
        ("/huggingface/v1/chat/completions", {}, ("huggingface", "chat", "openai_chat", None)),
        ("/together/v1/chat/completions", HF, ("huggingface", "chat", "openai_chat", None)),
        ("/openai/deployments/d/chat/completions?api-version=1", {}, ("openai", "chat", "openai_chat", "d")),
        ("/openai/deployments/d/embeddings?api-version=1", AZURE, ("openai", "embed", "openai_embeddings", "d")),
        ("//openai/deployments/d/chat/completions", {}, ("openai", "chat", "openai_chat", "d")),
        ("http://127.0.0.1:1/openai/v1/responses?x=1", {}, ("openai", "chat", "openai_responses", None)),
        ("/openai/v1/responses", {}, ("openai", "chat", "openai_responses", None)),
        ("/v1/responses/input_tokens", {}, ("openai", "count_tokens", "openai_responses", None)),
        ("/v1/messages?beta=true", {}, ("anthropic", "chat", "anthropic_messages", None)),
        ("/anthropic/v1/messages/count_tokens", {}, ("anthropic", "count_tokens", "anthropic_messages", None)),
        ("/v1beta/models/g:generateContent", {}, ("gemini", "chat", "gemini_generate", "g")),
        ("/gemini/v1/models/g%3AgenerateContent", {}, ("gemini", "chat", "gemini_generate", "g")),
        ("/v1/tunedModels/g:streamGenerateContent?alt=sse", {}, ("gemini", "chat", "gemini_generate", "g")),
        (
            "/v1beta1/projects/p/locations/l/publishers/google/models/g:countTokens",
            {},
            ("gemini", "count_tokens", "gemini_generate", "g"),
        ),
        ("/v1/models/g:batchEmbedContents", {}, ("gemini", "embed", "gemini_embed", "g")),
        ("/v1/models/g:embedContent", {}, ("gemini", "embed", "gemini_embed", "g")),
        ("/hf-inference/models/o/n/pipeline/feature-extraction", {}, ("huggingface", "embed", "hf_features", "o/n")),
        ("/huggingface", {}, ("huggingface", "embed", "hf_features", None)),
        ("/v1/embeddings", {}, ("openai", "embed", "openai_embeddings", None)),
        ("/groq/openai/v1/embeddings", {}, ("groq", "embed", "openai_embeddings", None)),
        ("/v1/models", {}, ("openai", "models", "openai_chat", None)),
        ("/v1/models/x", {"anthropic-version": "1"}, ("anthropic", "models", "anthropic_messages", "x")),
        ("/v1/models", {"x-goog-api-key": "k"}, ("gemini", "models", "gemini_generate", None)),
        ("/gemini/v1/models", {}, ("gemini", "models", "gemini_generate", None)),
    ],
)
def test_paths(target, headers, expected):
    found = route(target, headers)
    assert (found.provider, found.operation, found.dialect, found.model) == expected


@pytest.mark.parametrize(
    "target", ["/", "", "/v1", "/openai", "/v1/audio/speech", "/v1/models/g:predictLongRunning", "/x"]
)
def test_what_nobody_serves(target):
    assert route(target, {}) is None


def test_how_gemini_streams_and_azure_is_told_apart():
    assert route("/v1/models/g:streamGenerateContent?alt=sse&x=1", {}).array is False
    assert route("/v1/models/g:streamGenerateContent", {}).array is True
    assert route("/v1/models/g:streamGenerateContent", {}).stream is True
    assert route("/v1/models/g:generateContent", {}).stream is False
    assert route("/openai/deployments/d/chat/completions", {}).azure is True
    assert route("/openai/v1/chat/completions", AZURE).azure is True
    assert route("/openai/v1/chat/completions", {}).azure is False


def test_methods():
    chat, models = (Route("openai", operation, "openai_chat") for operation in ("chat", "models"))
    assert [chat.allows(method) for method in ("POST", "GET", "HEAD")] == [True, False, False]
    assert [models.allows(method) for method in ("POST", "GET", "HEAD")] == [False, True, True]
