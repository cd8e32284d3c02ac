"""Every recorded error answer, through its dialect and its provider's table."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from aistrale.dialects import chat_dialect
from aistrale.errors import (
    AuthenticationError,
    ContextLengthError,
    InvalidRequestError,
    ModelNotFoundError,
    QuotaExceededError,
    RateLimitError,
    ResponseError,
)
from aistrale.providers import get_provider
from aistrale.providers.openai_compatible import openai_compatible
from aistrale.providers.verdict import api_error

TRAFFIC = Path(__file__).resolve().parents[2] / ".." / "shared" / "traffic"
FILES = {"openai": "openai", "anthropic": "anthropic", "google": "gemini", "groq": "groq", "huggingface": "huggingface"}
EXPECTED = {
    400: {InvalidRequestError},
    401: {AuthenticationError},
    402: {QuotaExceededError},
    404: {ModelNotFoundError},
    429: {RateLimitError, QuotaExceededError},
}
# What the body says more than the status.
FINER = {
    "API_KEY_INVALID": {AuthenticationError},
    "context_length_exceeded": {ContextLengthError},
    "The input token count (": {ContextLengthError},
    "tool_use_failed": {ResponseError},
}


def recorded():
    if not TRAFFIC.exists():
        return []
    found = []
    for file, name in FILES.items():
        with gzip.open(TRAFFIC / f"{file}.jsonl.gz", "rt", encoding="utf-8") as lines:
            found += [(name, record) for record in map(json.loads, lines) if (record["status"] or 0) >= 400]
    return found


RECORDED = recorded()
pytestmark = pytest.mark.skipif(not RECORDED, reason="../shared/traffic is not there")


def expected_of(record, text):
    for word, classes in FINER.items():
        if word in text:
            return classes
    return EXPECTED[record["status"]]


def provider_of(name, record):
    if "azure" in record["provider"]:
        return openai_compatible("azure", "https://x.openai.azure.com/openai/v1", "AZURE_KEY", auth="api-key")
    return get_provider(name)


@pytest.mark.parametrize(("name", "record"), RECORDED, ids=[record["ident"] for _, record in RECORDED])
def test_recorded_errors(name, record):
    provider = provider_of(name, record)
    dialect = "openai_responses" if "responses" in record["endpoint"] else provider.dialect
    body = record["response_body"]
    headers = {key: values[0] for key, values in (record["response_headers"] or {}).items() if values}
    info = chat_dialect(dialect).decode_error(record["status"], headers, body.encode())
    assert provider.classify(info) in expected_of(record, body)
    error = api_error(info, provider, target=f"{provider.name}/{record['model']}", attempt=1)
    assert error.status == record["status"]
    assert "[key]" in error.message or "provided:" not in error.message
