"""Every recorded error, from its bytes to the verdict."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from aistrale.providers.openai_compatible import openai_compatible
from aistrale.reliability.verdict import classify

TRAFFIC = Path(__file__).resolve().parents[2] / ".." / "shared" / "traffic"
FILES = {"openai": "openai", "anthropic": "anthropic", "google": "gemini", "groq": "groq", "huggingface": "huggingface"}
AZURE = openai_compatible("azure", "https://x.openai.azure.com/openai/v1", "AZURE_KEY", auth="api-key")
BY_STATUS = {
    400: ("invalid_request", "never", "never", "ignore"),
    401: ("authentication", "never", "never", "open"),
    404: ("model_not_found", "never", "never", "ignore"),
    429: ("rate_limit", "backoff", "yes", "ignore"),
}
FINER = {
    '"API_KEY_INVALID"': ("authentication", "never", "never", "open"),
    '"context_length_exceeded"': ("context_length", "never", "larger", "ignore"),
    '"The input token count (': ("context_length", "never", "larger", "ignore"),
    '"tool_use_failed"': ("model_output", "once", "yes", "ignore"),
    '"retryDelay"': ("rate_limit", "announced", "yes", "ignore"),
    '"RateLimitReached"': ("rate_limit", "announced", "yes", "ignore"),
}
# Streams that began with status 200 and broke off, by identity; one is another's edited by hand.
IN_STREAMS = {
    # Groq refuses what the model wrote after its thoughts have been streamed.
    "63eb84be535c5d25": ("interrupted", "never", "yes", "ignore"),
    "e1d2a6d6ec26925e": ("quota", "never", "yes", "open"),
    "b7eb4407b5b623b5": ("too_large", "never", "yes", "ignore"),
    "b298f156343c949f": ("unknown_error", "once", "yes", "failure"),
}


def recorded():
    if not TRAFFIC.exists():
        return []
    found = []
    for file, name in FILES.items():
        with gzip.open(TRAFFIC / f"{file}.jsonl.gz", "rt", encoding="utf-8") as lines:
            found += [(name, record) for record in map(json.loads, lines) if is_error(record)]
    return found


def is_error(record):
    return (record["status"] or 0) >= 400 or record["ident"] in IN_STREAMS


RECORDED = recorded()
pytestmark = pytest.mark.skipif(not RECORDED, reason="../shared/traffic is not there")


def expected_of(record):
    if record["ident"] in IN_STREAMS:
        return IN_STREAMS[record["ident"]]
    finer = (row for word, row in FINER.items() if word in record["response_body"])
    return next(finer, BY_STATUS[record["status"]])


@pytest.mark.parametrize(("name", "record"), RECORDED, ids=[record["ident"] for _, record in RECORDED])
def test_recorded_errors(name, record):
    headers = {key: values[0] for key, values in (record["response_headers"] or {}).items() if values}
    found = classify(
        AZURE if "azure" in record["provider"] else name,
        dialect="openai_responses" if "responses" in record["endpoint"] else None,
        status=record["status"],
        # The bodies were recorded decoded.
        headers={key: value for key, value in headers.items() if key.lower() != "content-encoding"},
        body=record["response_body"].encode(),
    )
    assert (found.kind, found.retry, found.failover, found.breaker) == expected_of(record)


def test_all_of_them_were_there():
    assert {record["ident"] for _, record in RECORDED} >= set(IN_STREAMS)
    assert len(RECORDED) > 60


def test_recorded_waits():
    waits = [
        classify(
            AZURE if "azure" in record["provider"] else name,
            status=429,
            headers={key: values[0] for key, values in (record["response_headers"] or {}).items() if values},
            body=record["response_body"].encode(),
        ).wait
        for name, record in RECORDED
        if record["status"] == 429
    ]
    # Vertex AI gives none; Azure rounds its milliseconds down to none beside a whole second.
    assert sorted(waits, key=str) == [1.0, 48.0, None, None]
