"""Streams that come as one JSON array."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aistrale.core.sse import SSE
from aistrale.dialects import gemini_generate as gemini
from aistrale.dialects.shape import MalformedBody

ELEMENTS = [{"text": 'a"}]\\'}, {"b": [1, {"c": "]"}]}, {}, {"d": "é\u2028"}]


def array(indent=None):
    return json.dumps(ELEMENTS, ensure_ascii=False, indent=indent)


@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_is_split(indent):
    assert [json.loads(element) for element in gemini.array_events(array(indent))] == ELEMENTS


@settings(deadline=None)
@given(st.lists(st.integers(0, 200), max_size=20), st.sampled_from([None, 1]))
def test_an_array_may_be_cut_anywhere(cuts, indent):
    data = array(indent).encode()
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    splitter = gemini.ArraySplitter()
    events = [event for start, end in pairwise(places) for event in splitter.feed(data[start:end])]
    assert [json.loads(event.data) for event in events] == ELEMENTS
    assert all(event.event == "" for event in events)
    assert splitter.complete


def test_elements_come_as_soon_as_they_are_complete():
    splitter = gemini.ArraySplitter()
    assert splitter.feed(b'[{"a": 1}') == [SSE("", '{"a": 1}')]
    assert splitter.feed(b'\n,\n{"b"') == []
    assert not splitter.complete
    assert splitter.feed(b": 2}") == [SSE("", '{"b": 2}')]
    assert splitter.feed(b"]\n") == []
    assert splitter.complete


def test_an_error_may_stand_alone():
    splitter = gemini.ArraySplitter()
    assert [event.data for event in splitter.feed(b'{"error": {}}')] == ['{"error": {}}']
    assert splitter.complete


@pytest.mark.parametrize("data", [b"]", b"}", b"[{}]{}", b"{}{}", b"[}", b'[{"a": "\xff"}]'])
def test_arrays_that_are_none(data):
    with pytest.raises(MalformedBody):
        gemini.ArraySplitter().feed(data)


def test_an_array_that_was_cut_off():
    with pytest.raises(MalformedBody, match="complete"):
        gemini.array_events('[{"a": 1}')


def test_elements_are_bounded():
    splitter = gemini.ArraySplitter(max_element_bytes=100)
    for _ in range(50):
        splitter.feed(b'[{"a": 1}' if _ == 0 else b',{"a": 1}')
    with pytest.raises(MalformedBody, match="at most 100 bytes"):
        splitter.feed(b',{"a": "' + b"x" * 100)
