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
    CountRow,
    IntentRow,
    NewerRowError,
    ScoreRow,
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
    streamed=st.booleans(), estimated_input_tokens=counts, max_output_tokens=counts, messages=counts,
    prefix=st.none() | texts, prefix_tokens=counts, last_tokens=counts,
)  # fmt: skip
attempts = st.builds(
    AttemptRow, call_id=texts, attempt=st.integers(1), at=numbers, latency=numbers, provider=texts, model=texts,
    target=texts, streamed=st.booleans(), outcome=outcomes, first_token=st.none() | numbers, error=st.none() | texts,
    status=st.none() | st.integers(100, 599), book=st.none() | texts,
    metered=st.dictionaries(texts, st.none() | texts | st.integers() | st.lists(texts)), **usage,
)  # fmt: skip
calls = st.builds(
    CallRow, call_id=texts, at=numbers, latency=numbers, kind=st.sampled_from(["chat", "embed"]), model_asked=texts,
    outcome=outcomes, attempts=st.integers(0), tags=st.dictionaries(texts, texts), lossy=st.lists(texts),
    privacy=st.dictionaries(texts, st.integers(1)), avoided=st.none() | texts, optimized=st.lists(texts), **usage,
)  # fmt: skip
scores = st.builds(ScoreRow, call_id=texts, name=texts, at=numbers, score=numbers)
token_counts = st.builds(
    CountRow, call_id=texts, attempt=st.integers(1), at=numbers, provider=texts, model=texts,
    counted=st.integers(0), actual=st.integers(0),
)  # fmt: skip


@given(intents | attempts | calls | scores | token_counts)
def test_a_row_survives_the_journal_form(row):
    payload = encode_row(row)
    assert payload.isascii()
    assert decode_row(payload) == row


def test_half_a_surrogate_pair_from_a_careless_caller_can_be_written(call):
    row = call(user="\ud83d")
    assert decode_row(encode_row(row)) == row


USAGE = (
    "input", "cache_read", "cache_write", "output", "reasoning", "audio_input", "audio_output",
    "image_input", "image_output", "tool_input", "usage_source", "cost", "cost_reason",
)  # fmt: skip
# As published: what a version wrote is read for ever.
PUBLISHED = {
    1: {
        "i": (
            "call_id", "attempt", "at", "provider", "model", "target", "streamed",
            "estimated_input_tokens", "max_output_tokens",
        ),
        "a": (
            *USAGE,
            "call_id", "attempt", "at", "latency", "provider", "model", "target", "streamed", "outcome",
            "first_token", "response_model", "region", "error", "status", "request_id", "retry_after",
        ),
        "c": (
            *USAGE,
            "call_id", "at", "latency", "kind", "model_asked", "outcome", "attempts", "first_token", "route",
            "provider", "model", "error", "user", "workspace", "project", "session", "name", "tags", "degraded", "lossy",
        ),
    },
}  # fmt: skip
PUBLISHED[2] = {**PUBLISHED[1], "c": (*PUBLISHED[1]["c"], "privacy")}
PUBLISHED[3] = {
    "i": (*PUBLISHED[2]["i"], "messages", "prefix", "prefix_tokens", "last_tokens"),
    "a": (*PUBLISHED[2]["a"], "book", "metered"),
    "c": (*PUBLISHED[2]["c"], "avoided", "optimized"),
    "s": ("call_id", "name", "at", "score"),
    "t": ("call_id", "attempt", "at", "provider", "model", "counted", "actual"),
}
KINDS = {"i": IntentRow, "a": AttemptRow, "c": CallRow, "s": ScoreRow, "t": CountRow}
KINDS_AND_VERSIONS = [(version, kind) for version, kinds in PUBLISHED.items() for kind in kinds]


def test_the_columns_of_the_schema_version_stand_as_published():
    assert max(PUBLISHED) == SCHEMA_VERSION
    assert {kind: COLUMNS[cls] for kind, cls in KINDS.items()} == PUBLISHED[SCHEMA_VERSION]


@pytest.mark.parametrize(("version", "kind"), KINDS_AND_VERSIONS)
def test_a_row_of_each_published_version_is_read(version, kind):
    columns = PUBLISHED[version][kind]
    values = [f"value of {column}" for column in columns]
    row = decode_row(json.dumps([version, kind, *values]).encode())
    assert type(row) is KINDS[kind]
    for column, value in zip(columns, values, strict=True):
        assert getattr(row, column) == value
    newer = set(COLUMNS[type(row)]) - set(columns)
    assert all(getattr(row, column) in (None, {}, []) for column in newer)


@pytest.mark.parametrize(("version", "kind"), KINDS_AND_VERSIONS)
def test_a_row_with_more_or_fewer_columns_than_its_version_had_is_none(version, kind):
    values = [0] * len(PUBLISHED[version][kind])
    for wrong in (values[:-1], [*values, 0]):
        with pytest.raises(ValueError, match=f"schema version {version}"):
            decode_row(json.dumps([version, kind, *wrong]).encode())


@pytest.mark.parametrize("kind", ["s", "t"])
@pytest.mark.parametrize("version", [1, 2])
def test_kinds_that_a_version_did_not_have_are_no_rows_of_it(version, kind):
    with pytest.raises(ValueError, match=f"schema version {version}"):
        decode_row(json.dumps([version, kind, *PUBLISHED[3][kind]]).encode())


def test_a_row_of_a_newer_version_is_not_guessed_at(attempt):
    array = json.loads(encode_row(attempt()))
    newer = json.dumps([SCHEMA_VERSION + 1, "something new", *array[2:], "more"]).encode()
    with pytest.raises(NewerRowError, match=f"schema version {SCHEMA_VERSION + 1}"):
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
        b'[0,"s","c","n",1,1]',
        b'[true,"s","c","n",1,1]',
    ],
)
def test_what_is_no_row_is_refused(payload):
    with pytest.raises(ValueError, match=r".+"):
        decode_row(payload)
