"""OpenAI Responses: whatever comes is read and written again unchanged, or refused as malformed; nothing else happens."""

from __future__ import annotations

import copy
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aistrale.core.sse import SSE
from aistrale.dialects import openai_responses as dialect
from aistrale.dialects.base import ANY, Loss
from aistrale.dialects.shape import MalformedBody
from tests.dialects.openai_responses_cases import BODY, RESPONSE, foreign
from tests.dialects.test_openai_responses_stream import (
    CALL,
    CREATED,
    CUSTOM_CALL,
    MESSAGE,
    PROGRESS,
    SEARCH,
    SILENT_THOUGHT,
    THOUGHT,
    added,
    call_frames,
    completed,
    done,
    text_frames,
    thought_frames,
)

json_values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-3, 3), st.floats(-1, 1), st.sampled_from(["", "x", "auto", "message"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.sampled_from(["type", "role", "content", "id", "text", "name", "x"]), inner, max_size=3),
    ),
    max_leaves=4,
)
STREAM = [
    CREATED,
    PROGRESS,
    *thought_frames(0, THOUGHT),
    added(1, SEARCH),
    done(1, SEARCH),
    *text_frames(2, "High at", " six."),
    *call_frames(3, CALL, '{"port"', ': "Brest"}'),
    *call_frames(4, CUSTOM_CALL, 'select "a"', "\nfrom b", name="custom_tool_call_input", key="input"),
    *thought_frames(5, SILENT_THOUGHT),
    completed(THOUGHT, SEARCH, MESSAGE, CALL, CUSTOM_CALL, SILENT_THOUGHT),
]


def places(value, path=()):
    """The paths of everything inside a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield (*path, key)
        yield from places(item, (*path, key))


def spoiled(value, data, seed: int):
    """The value with something in it replaced or removed."""
    value = copy.deepcopy(value)
    path = random.Random(seed).choice(list(places(value)))
    node = value
    for key in path[:-1]:
        node = node[key]
    if data.draw(st.booleans()):
        node[path[-1]] = data.draw(json_values)
    else:
        del node[path[-1]]
    return value


@settings(max_examples=400)
@given(st.data(), st.integers(0, 10_000))
def test_requests(data, seed):
    body = spoiled(BODY, data, seed)
    before = copy.deepcopy(body)
    list(dialect.text_slots(body))
    try:
        request = dialect.decode_request(body)
    except MalformedBody:
        return
    assert dialect.encode_request(request, ANY, Loss(on_lossy="error")) == before
    assert body == before


@settings(max_examples=400)
@given(st.data(), st.integers(0, 10_000))
def test_answers(data, seed):
    body = spoiled(RESPONSE, data, seed)
    before = copy.deepcopy(body)
    list(dialect.text_slots(body))
    dialect.is_error_body(body)
    try:
        completion = dialect.decode_response(body)
    except MalformedBody:
        return
    assert dialect.encode_response(completion, Loss(on_lossy="error")) == before
    assert body == before


@settings(max_examples=400)
@given(st.data(), st.integers(0, 10_000))
def test_streams(data, seed):
    frames = spoiled(STREAM, data, seed)
    decoder = dialect.event_decoder(ANY)
    encoder = dialect.event_encoder(foreign(), Loss())
    numbers = []
    try:
        for frame in frames:
            for event in decoder.feed(SSE("", json.dumps(frame))):
                numbers += [json.loads(told.data)["sequence_number"] for told in encoder.feed(event)]
    except MalformedBody:
        return
    numbers += [json.loads(told.data)["sequence_number"] for told in encoder.finish()]
    assert numbers == list(range(len(numbers)))


@given(json_values)
def test_errors(value):
    body = json.dumps({"error": value}).encode()
    for status in (None, 200, 400, 429, 500):
        info = dialect.decode_error(status, {}, body)
        told, written = dialect.encode_error(info)
        assert told >= 400
        assert isinstance(written["error"]["message"], str)
        json.loads(dialect.encode_stream_error(info)[0].data)


def test_a_request_that_nests_without_end():
    deep = value = []
    for _ in range(3000):
        value.append([])
        value = value[0]
    with pytest.raises(MalformedBody):
        dialect.decode_request({"model": "m", "input": [{"role": "user", "content": {"x": deep}}]})
