from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.store.records import (
    COLUMNS,
    SCHEMA_VERSION,
    TOKEN_BUCKETS,
    AttemptRow,
    CallRow,
    IntentRow,
    NewerRowError,
    decode_row,
    encode_row,
)

texts = st.text(max_size=20)
numbers = st.floats(allow_nan=False)
counts = st.none() | st.integers(0, 2**62)
usage = dict.fromkeys(TOKEN_BUCKETS, counts) | {
    "usage_source": st.sampled_from([None, "reported", "estimated"]),
    "cost": st.none() | st.decimals(allow_nan=False, allow_infinity=False).map(str),
    "cost_reason": st.none() | texts,
}
outcomes = st.sampled_from(["success", "error", "cancelled", "interrupted", "abandoned"])
intents = st.builds(
    IntentRow, call_id=texts, attempt=st.integers(1), at=numbers, provider=texts, model=texts, target=texts,
    streamed=st.booleans(), estimated_input_tokens=counts, max_output_tokens=counts,
)  # fmt: skip
attempts = st.builds(
    AttemptRow, call_id=texts, attempt=st.integers(1), at=numbers, latency=numbers, provider=texts, model=texts,
    target=texts, streamed=st.booleans(), outcome=outcomes, first_token=st.none() | numbers, error=st.none() | texts,
    status=st.none() | st.integers(100, 599), **usage,
)  # fmt: skip
calls = st.builds(
    CallRow, call_id=texts, at=numbers, latency=numbers, kind=st.sampled_from(["chat", "embed"]), model_asked=texts,
    outcome=outcomes, attempts=st.integers(0), tags=st.dictionaries(texts, texts), lossy=st.lists(texts),
    privacy=st.dictionaries(texts, st.integers(1)), **usage,
)  # fmt: skip


@given(intents | attempts | calls)
def test_a_row_survives_the_journal_form(row):
    payload = encode_row(row)
    assert payload.isascii()
    assert decode_row(payload) == row


def test_half_a_surrogate_pair_from_a_careless_caller_can_be_written(call):
    row = call(user="\ud83d")
    assert decode_row(encode_row(row)) == row


def test_the_columns_of_schema_version_2_stand_as_published():
    usage_columns = (
        "input", "cache_read", "cache_write", "output", "reasoning", "audio_input", "audio_output",
        "image_input", "image_output", "tool_input", "usage_source", "cost", "cost_reason",
    )  # fmt: skip
    assert SCHEMA_VERSION == 2
    assert COLUMNS[IntentRow] == (
        "call_id", "attempt", "at", "provider", "model", "target", "streamed",
        "estimated_input_tokens", "max_output_tokens",
    )  # fmt: skip
    assert COLUMNS[AttemptRow] == (
        *usage_columns,
        "call_id", "attempt", "at", "latency", "provider", "model", "target", "streamed", "outcome",
        "first_token", "response_model", "region", "error", "status", "request_id", "retry_after",
    )  # fmt: skip
    assert COLUMNS[CallRow] == (
        *usage_columns,
        "call_id", "at", "latency", "kind", "model_asked", "outcome", "attempts", "first_token", "route",
        "provider", "model", "error", "user", "workspace", "project", "session", "name", "tags", "degraded", "lossy", "privacy",
    )  # fmt: skip


def test_a_call_that_version_1_wrote_is_read(call):
    array = json.loads(encode_row(call(privacy={"out.redact.EMAIL_ADDRESS": 2}, lossy=["seed"])))
    assert array.pop() == {"out.redact.EMAIL_ADDRESS": 2}
    array[0] = 1
    assert decode_row(json.dumps(array).encode()) == call(lossy=["seed"])


def test_what_version_1_did_not_know_is_no_row_of_it(call):
    array = json.loads(encode_row(call()))
    with pytest.raises(ValueError, match="schema version 1"):
        decode_row(json.dumps([1, *array[1:]]).encode())
    with pytest.raises(ValueError, match="schema version 2"):
        decode_row(json.dumps(array[:-1]).encode())


def test_a_row_of_a_newer_version_is_not_guessed_at(attempt):
    array = json.loads(encode_row(attempt()))
    newer = json.dumps([SCHEMA_VERSION + 1, "something new", *array[2:], "more"]).encode()
    with pytest.raises(NewerRowError, match="schema version 3"):
        decode_row(newer)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"[]",
        b"[1]",
        b'["1","a"]',
        b'[1,"x"]',
        b'[1,"a",1]',
        b"[1,[]]",
        b"\xff",
        b"[1,null]",
        b"[" * 200_000,
    ],
)
def test_what_is_no_row_is_refused(payload):
    with pytest.raises(ValueError, match=r".+"):
        decode_row(payload)
