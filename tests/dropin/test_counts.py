"""Token counts of streams whose callers did not ask for them: the question in the body, and the answer without them."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.dropin.counts import Hiding, asking, is_refusal
from aistrale.dropin.endpoints import is_vendor
from aistrale.providers.base import ask_for_usage
from tests.translation import recordings

SAID = b'"include_usage":true,'
MEMBER = b'"stream_options":{"include_usage":true}'

# --- the question -----------------------------------------------------------------------------------------------------


def asked(content):
    return asking(content, json.loads(content))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"model":"m","stream":true}', b'{"model":"m","stream":true,%b}' % MEMBER),
        (b' {"a": 1.50, "b": 1e2 }\r\n ', b' {"a": 1.50, "b": 1e2 ,%b}\r\n ' % MEMBER),
        (b'{"a":"}","a":"\xc3\xa9\\u00e9"}', b'{"a":"}","a":"\xc3\xa9\\u00e9",%b}' % MEMBER),
        (b'{"stream_options":null,"x":[]}', b'{"stream_options":{"include_usage":true},"x":[]}'),
        (b'{"stream_options" : { } ,"x":1}', b'{"stream_options" : { "include_usage":true} ,"x":1}'),
        (
            b'{"x":1,"stream_options": {"include_obfuscation": false}}',
            b'{"x":1,"stream_options": {"include_usage":true,"include_obfuscation": false}}',
        ),
        (
            b'{"tools":[{"stream_options":{}}],"t":"\\"stream_options\\":{}","stream_options":{"a":1}}',
            b'{"tools":[{"stream_options":{}}],"t":"\\"stream_options\\":{}","stream_options":{%b"a":1}}' % SAID,
        ),
        (
            b'{"tools":[{"stream_options":{"b":{}}}],"x":2}',
            b'{"tools":[{"stream_options":{"b":{}}}],"x":2,%b}' % MEMBER,
        ),
    ],
)
def test_the_question_is_all_that_is_added(content, expected):
    assert asked(content) == expected
    assert json.loads(expected) == ask_for_usage(json.loads(content), "openai_chat")


@pytest.mark.parametrize(
    "content",
    [
        b'{"stream_options":{"include_usage":false}}',
        b'{"stream_options":{"include_usage":true}}',
        b'{"stream_options":{"include_usage":null}}',
        b'{"stream_options":"all"}',
        b'{"stream_options":[]}',
        # No safe place: the name is spelled otherwise, or the text is in another coding.
        b'{"stream\\u005foptions":{}}',
        '{"a":1}'.encode("utf-16"),
        '{"a":1}'.encode("utf-16-le"),
        b'\xef\xbb\xbf{"a":1}',
    ],
)
def test_what_the_caller_said_stands_and_what_is_not_safe_is_left(content):
    assert asked(content) is None


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.just("stream_options"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.just("stream_options"), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSONS, min_size=1), JSONS, st.booleans(), st.booleans(), st.sampled_from([None, 1]))
def test_any_body_says_the_same_and_asks(document, options, given_, ascii_, indent):
    if given_:
        document["stream_options"] = options
    content = json.dumps(document, ensure_ascii=ascii_, indent=indent).encode("utf-8", "surrogatepass")
    try:
        document = json.loads(content)
    except UnicodeDecodeError:
        return
    changed = asking(content, document)
    meant = ask_for_usage(document, "openai_chat")
    if changed is None:
        assert meant == document or content.count(b'"stream_options"') > 4
    else:
        assert json.loads(changed) == meant != document


@pytest.mark.parametrize(
    ("host", "vendor"),
    [
        ("api.openai.com", True),
        ("eu.api.openai.com", True),
        ("x.openai.azure.com", True),
        ("x.services.ai.azure.com", True),
        ("router.huggingface.co", True),
        ("x.endpoints.huggingface.cloud", False),
        ("api.openai.com.example.org", False),
        ("openai.azure.com.example.org", False),
        ("localhost", False),
        ("api.groq.com", False),
    ],
)
def test_whose_servers_know_the_field(host, vendor):
    assert is_vendor(host) is vendor


def test_a_refusal_names_the_field():
    assert is_refusal(b'{"error":{"message":"Unrecognized request argument supplied: stream_options"}}')
    assert is_refusal(b'{"detail":[{"loc":["body","include_usage"]}]}')
    assert not is_refusal(b'{"error":{"message":"max_tokens is too large"}}')


# --- the answer -------------------------------------------------------------------------------------------------------

AZURE = '{"choices":[],"id":"","model":"","prompt_filter_results":[{"prompt_index":0}]%s}'
CHUNK = '{"id":"c","model":"m"%s,"choices":[{"index":%d,"delta":{"content":%s},"finish_reason":null}]}'
QUOTED = json.dumps('says ,"usage":null and "choices":[] — 年', ensure_ascii=False)
COUNTED = (
    '{"id":"c","choices":[],"usage":{"prompt_tokens":1,"completion_tokens_details":{"reasoning_tokens":3}},"o":"x"}'
)
LATE = '{"id":"c","choices":[],"moderation":{"a":1}%s}'
NULL = ',"usage":null'


def stream(end, null=NULL, counted=COUNTED):
    """A stream with counts or, without `null` and `counted`, as it would have come without."""
    chunks = [AZURE % null, CHUNK % (null, 0, QUOTED), CHUNK % (null, 1, '"b"'), *([counted] if counted else [])]
    chunks += [LATE % null, "[DONE]"]
    return "".join(f"data: {chunk}{end}{end}" for chunk in chunks).encode()


def hidden(pieces):
    hiding = Hiding()
    given_ = [hiding.feed(piece) for piece in pieces]
    return [*given_, hiding.finish()]


def cut(data, places):
    ends = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:stop] for start, stop in pairwise(ends)]


@given(st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(0, 2000), max_size=12))
def test_wherever_the_pieces_end_the_stream_is_the_one_without(end, places):
    assert b"".join(hidden(cut(stream(end), places))) == stream(end, "", "")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_byte_by_byte(end):
    data = stream(end)
    assert b"".join(hidden([data[at : at + 1] for at in range(len(data))])) == stream(end, "", "")


def test_an_event_is_handed_on_with_its_own_piece():
    for end in ("\n", "\r\n"):
        events = [f"data: {CHUNK % (NULL, 0, number)}{end}{end}".encode() for number in range(3)]
        given_ = hidden(events)
        assert all(given_[:3])
        assert given_[3] == b""


@pytest.mark.parametrize(
    "null", [',"usage": null', ' , "usage" : null', ',\t"usage":null'], ids=["space", "spaces", "tab"]
)
def test_null_may_be_spaced_and_stand_anywhere(null):
    counted = COUNTED.replace(",", " , ").replace(":", " : ")
    assert b"".join(hidden([stream("\n", null, counted)])) == stream("\n", "", "")
    first = b'data: {"usage":null,"choices":[{"index":0}]}\n\n'
    assert b"".join(hidden([first])) == b'data: {"choices":[{"index":0}]}\n\n'
    last = b'data: {"choices":[{"index":0}],"usage":null}\n\n'
    assert b"".join(hidden([last])) == b'data: {"choices":[{"index":0}]}\n\n'


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"choices":[{"index":0,"delta":{}}],"usage":{"prompt_tokens":1}}\n\n',
        b'data: {"error":{"usage":1}}\n\n',
        b'data: {"choices":[],"x":{"usage":{"prompt_tokens":1}}}\n\n',
        b'data: "usage"\n\n',
        b'data: {"usage": no json\n\n',
        b': "usage"\n\n',
        b'event: error\ndata: {"message":"x"}\n\n',
        b'{"id":"whole","usage":{"prompt_tokens":1},"choices":[{"index":0}]}',
    ],
)
def test_everything_else_stays(event):
    assert b"".join(hidden([event])) == event


def test_the_last_event_may_lack_its_blank_line():
    data = f"data: {CHUNK % (NULL, 0, 1)}\n\ndata: {COUNTED}".encode()
    assert b"".join(hidden([data])) == f"data: {CHUNK % ('', 0, 1)}\n\n".encode()
    assert b"".join(hidden([b"data: [DONE]"])) == b"data: [DONE]"


def test_a_long_event_comes_once_it_is_whole():
    hiding = Hiding()
    whole = b'data: {"choices":[{"index":0,"delta":{"audio":"' + b"a" * 2_000_000 + b'"}}]}\n\n'
    given_ = [hiding.feed(whole[at : at + 1000]) for at in range(0, len(whole), 1000)]
    assert [piece for piece in given_ if piece] == [whole]


def test_recorded_streams_with_counts_are_read_as_those_without():
    seen = 0
    for one in recordings.exchanges():
        if (
            not one.streamed
            or one.status != 200
            or '"usage":null' not in one.response
            or '"choices"' not in one.response
        ):
            continue
        seen += 1
        events = one.response.split("\n\n")
        expected = [
            event.replace(',"usage":null', "")
            for event in events
            if not ('"choices":[]' in event and '"usage":{' in event)
        ]
        data = one.response.encode()
        for size in (len(data), 1400, 37):
            got = b"".join(hidden([data[at : at + size] for at in range(0, len(data), size)]))
            assert got == "\n\n".join(expected).encode(), one.ident
    if not seen:
        pytest.skip(f"no recorded traffic at {recordings.TRAFFIC}")
    assert seen > 100
