"""The event stream parser against the rules of the WHATWG standard, and against any way of cutting a stream."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aistrale.core.sse import SSE, SSEParser, SSETooLarge, encode_sse


def parse(*chunks: bytes, **bounds: int) -> list[SSE]:
    parser = SSEParser(**bounds)
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    return events + parser.finish()


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: a\n\n", [SSE("", "a")]),
        (b"data:a\n\n", [SSE("", "a")]),
        (b"data:  a\n\n", [SSE("", " a")]),
        (b"data: a\r\n\r\n", [SSE("", "a")]),
        (b"data: a\r\r", [SSE("", "a")]),
        (b"data: a\n\r\ndata: b\r\n\r", [SSE("", "a"), SSE("", "b")]),
        (b"data: a\r\ndata: b\n\r", [SSE("", "a\nb")]),
        (b"data: a\ndata\ndata: b\n\n", [SSE("", "a\n\nb")]),
        (b"data\n\n", [SSE("", "")]),
        (b"data:\n\n", [SSE("", "")]),
        (b"data: \n\n", [SSE("", "")]),
        (b"\xef\xbb\xbfdata: a\n\n", [SSE("", "a")]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", []),
        (b": comment\n\ndata: a\n: more\n\n", [SSE("", "a")]),
        (b"event: ping\n\ndata: a\n\n", [SSE("", "a")]),
        (b"event: x\ndata: a\n\n", [SSE("x", "a")]),
        (b"data: a\nevent: x\n\n", [SSE("x", "a")]),
        (b"event: x\nevent: y\ndata: a\n\n", [SSE("y", "a")]),
        (b"event: x\ndata: a\ndata: b\n\n", [SSE("x", "a\nb")]),
        (b"event: x\ndata: a\n\n\n\ndata: b\n\n", [SSE("x", "a"), SSE("", "b")]),
        (b"id: 7\nretry: 1500\ndata: a\n\n", [SSE("", "a", "7", 1500)]),
        (b"id: 7\0\nretry: soon\ndata: a\n\n", [SSE("", "a")]),
        (b"DATA: a\nfoo: b\nfoo\n\n", []),
        (b"data: a: b\n\n", [SSE("", "a: b")]),
        (b"data: \xff\n\n", [SSE("", "\ufffd")]),
        (b"data: [DONE]", [SSE("", "[DONE]")]),
        (b"data: a\n\ndata: b\n", [SSE("", "a"), SSE("", "b")]),
        (b"data: a\n\nevent: end\n", [SSE("", "a")]),
        (b"\n\n\n", []),
        (b"\xef\xbb", []),
        (b"", []),
    ],
)
def test_grammar(stream, expected):
    assert parse(stream) == expected
    assert parse(*(stream[i : i + 1] for i in range(len(stream)))) == expected


def test_events_are_delivered_as_soon_as_their_blank_line_is_there():
    parser = SSEParser()
    assert parser.feed(b"data: a\n") == []
    assert parser.feed(b"\n") == [SSE("", "a")]
    assert parser.feed(b"data: b\r") == []
    # A lone CR ends a line by itself, so the event is not held back until the next byte tells CR from CRLF.
    assert parser.feed(b"\n\r") == [SSE("", "b")]
    assert parser.feed(b"\ndata: c\n\n") == [SSE("", "c")]


ALPHABET = st.sampled_from(
    [
        b"data",
        b"event",
        b"id",
        b"retry",
        b":",
        b" ",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"x",
        b"7",
        "é".encode(),
        "😀".encode(),
        b"\xef\xbb\xbf",
        b"\xff",
        b"data: a",
        b"event: b\n",
    ]
)


@given(st.lists(ALPHABET, max_size=40).map(b"".join), st.lists(st.integers(0, 400), max_size=30))
@example(b"\xef\xbb\xbfdata: a\r\n\r\n", [1, 2, 3, 11, 12, 13])
@example(b"data: \xf0\x9f\x98\x80\n\n", [7, 8, 9])
def test_any_chunking_gives_the_same_events(stream, places):
    assert parse(*cut(stream, places)) == parse(stream)


TEXT = st.text(alphabet=st.characters(exclude_categories=("Cs",), exclude_characters="\r\x85\u2028\u2029"), max_size=60)
NAME = st.text(alphabet=st.characters(exclude_categories=("Cs",), exclude_characters="\r\n"), max_size=10)


@given(st.lists(st.tuples(TEXT, NAME), max_size=8), st.lists(st.integers(0, 400), max_size=10))
def test_round_trip(events, places):
    stream = b"".join(encode_sse(data, name) for data, name in events)
    assert parse(*cut(stream, places)) == [SSE(name, data) for data, name in events]


def test_encoding_is_the_form_that_all_clients_take():
    assert encode_sse("{}") == b"data: {}\n\n"
    assert encode_sse("{}", "message_stop") == b"event: message_stop\ndata: {}\n\n"
    assert encode_sse("a\r\nb\rc\n") == b"data: a\ndata: b\ndata: c\ndata: \n\n"


@pytest.mark.parametrize("mark", ["\x85", "\u2028", "\u2029"])
def test_line_separators_that_some_clients_split_at_are_refused(mark):
    with pytest.raises(ValueError, match="escape them"):
        encode_sse(f'"{mark}"')


@pytest.mark.parametrize("name", ["a\nb", "a\rb"])
def test_a_type_with_a_line_break_is_refused(name):
    with pytest.raises(ValueError, match="line breaks"):
        encode_sse("", name)


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b"data: " + b"x" * 60 + b"\n\n", id="one line"),
        pytest.param(b"data: " + b"x" * 60, id="endless line"),
        pytest.param(b"event: y\ndata: " + b"x" * 60 + b"\n\n", id="named"),
        pytest.param(b"data: xx\n" * 8 + b"\n", id="many lines"),
        pytest.param(b": xxxxxx\n" * 8, id="endless comment"),
    ],
)
def test_an_event_beyond_its_bound_is_refused(stream, size):
    chunks = [stream[i : i + size] for i in range(0, len(stream), size)]
    assert parse(*chunks, max_event_bytes=80) is not None
    with pytest.raises(SSETooLarge, match="larger than 50 bytes"):
        parse(*chunks, max_event_bytes=50)


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("head", [b"", b"event: y\n", b"data: \n"])
def test_a_line_beyond_its_bound_is_refused(head, size):
    stream = head + b"data: " + b"x" * 20
    chunks = [stream[i : i + size] for i in range(0, len(stream), size)]
    assert parse(*chunks, max_line_bytes=26) == parse(stream)
    with pytest.raises(SSETooLarge, match="longer than 25 bytes"):
        parse(*chunks, max_line_bytes=25)
    with pytest.raises(SSETooLarge, match="longer than 25 bytes"):
        parse(*chunks, b"\n\n", max_line_bytes=25)


def test_a_stream_of_many_small_events_has_no_bound_in_sum():
    parser = SSEParser(max_event_bytes=20)
    assert sum(len(parser.feed(b"data: 0123456789\n\n: c\n\n" * 100)) for _ in range(10)) == 1000


def test_a_long_event_in_small_pieces_is_kept_in_pieces():
    parser = SSEParser()
    parser.feed(b"data: ")
    for _ in range(5000):
        assert parser.feed(b"x" * 100) == []
    (event,) = parser.feed(b"\n\n")
    assert len(event.data) == 500_000


def test_repr_does_not_show_the_data():
    assert "secret" not in repr(SSE("x", "secret"))
    assert SSE("x", "a") != "a"
    assert len({SSE("x", "a"), SSE("x", "a"), SSE("x", "b")}) == 2
