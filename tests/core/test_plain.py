"""Exchanges on kept connections without httpcore: never another reading than h11's, and h11's wherever in doubt."""

from __future__ import annotations

import itertools

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.core.exchange import encode_headers
from aistrale.core.http import HttpClosed, HttpProtocolError
from aistrale.core.plain import MAX_LINE, Chunked, Sized, read_head, write_request

REQUEST = h11.Request(method="POST", target="/", headers=[("Host", "x"), ("Content-Length", "0")])


def asked() -> h11.Connection:
    """h11 in the moment in which it waits for the answer to a POST."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(REQUEST)
    connection.send(h11.EndOfMessage())
    return connection


def read_all(connection: h11.Connection, data: bytes) -> tuple[h11.Response, bytes, bytes]:
    """h11's reading of a response that is complete in itself: head, body, and what came behind it."""
    connection.receive_data(data)
    response = connection.next_event()
    assert type(response) is h11.Response
    body = b""
    while isinstance(event := connection.next_event(), h11.Data):
        body += event.data
    assert type(event) is h11.EndOfMessage
    return response, body, connection.trailing_data[0]


STATUS_LINES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 ",
        b"HTTP/1.1 429 Too Many Requests",
        b"HTTP/1.1 200 gr\xfc\xdf",
        b"HTTP/1.1 204 No Content",
        b"HTTP/1.1 304 Not Modified",
        b"HTTP/1.1 100 Continue",
        b"HTTP/1.1 600 Beyond",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.0 200 OK",
        b"HTTP/2 200",
        b"http/1.1 200 OK",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 200 O\x00K",
    ]
)
FIELD_LINES = st.sampled_from(
    [
        b"Content-Length: 5",
        b"content-length:5",
        b"Content-Length: \t5 ",
        b"Content-Length: 05",
        b"Content-Length: +5",
        b"Content-Length: 5, 5",
        b"Content-Length: 0",
        b"Content-Length: 99999999999999999999999",
        b"Content-Length:",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: Chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: identity",
        b"Connection: keep-alive",
        b"Connection: Keep-Alive",
        b"Connection: close",
        b"Connection: upgrade, close",
        b"X-Empty:",
        b"X-A: b",
        b"X-A:  two  words\t",
        b"x-latin: \xfc",
        b"X-Control: a\x01b",
        b"X-Zero: a\x00b",
        b"X-Return: a\rb",
        b"Bad Name: 1",
        b"Bad : 1",
        b": nameless",
        b"no colon",
        b" folded",
        b"\tfolded",
        b"",
    ]
)
LINE_ENDS = st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r", b"\r\r\n", b"\n\n"])


@st.composite
def heads(draw):
    lines = [draw(STATUS_LINES), *draw(st.lists(FIELD_LINES, max_size=5))]
    return b"".join(line + draw(LINE_ENDS) for line in lines[:-1]) + lines[-1] + b"\r\n"


@given(heads())
def test_a_head_that_is_taken_apart_here_is_read_the_same_by_h11(head):
    ours = read_head(head)
    if ours is None:
        return
    body = b"5\r\nhello\r\n0\r\n\r\n" if ours.length is None else b"h" * ours.length
    if ours.length is not None and ours.length > 100:
        return
    response, content, behind = read_all(asked(), head + b"\r\n" + body)
    assert response.status_code == ours.status
    assert response.headers.raw_items() == ours.headers.raw
    assert response.reason.decode("latin-1") == ours.reason
    assert (content, behind) == (b"hello" if ours.length is None else body, b"")


@pytest.mark.parametrize(
    ("head", "length"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", 5),
        (b"HTTP/1.1 529 \r\ncontent-length:0\r\nConnection: Keep-Alive\r\nVary: a\r\nVary: b\r\n", 0),
        (b"HTTP/1.1 200 OK\r\nX-Empty:\r\nTransfer-Encoding: chunked\r\n", None),
    ],
)
def test_what_servers_usually_send_is_plain(head, length):
    assert read_head(head).length == length


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n",
        b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: x\r\nConnection: close\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: b\nContent-Length: 5\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: b\r\n  folded\r\nContent-Length: 5\r\n",
        b"HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length: 5\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: b\x00\r\nContent-Length: 5\r\n",
    ],
)
def test_what_is_in_doubt_is_left_to_h11(head):
    assert read_head(head) is None


def test_a_long_line_of_blanks_takes_no_time():
    # Quadratic matching would take minutes here.
    assert read_head(b"HTTP/1.1 200 OK\r\nX: " + b" " * 60_000 + b"\x00\r\nContent-Length: 5\r\n") is None


# --- bodies ----------------------------------------------------------------------------------------------------------


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


CUTS = st.lists(st.integers(0, 1 << 16), max_size=8)
EXTENSIONS = st.sampled_from([b"", b";a=b", b'; name="v" ', b" "])
TRAILERS = st.sampled_from([b"", b"X-Sum: 1\r\n", b"X-Sum: 1\r\nY:\r\n"])


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=300), EXTENSIONS)), TRAILERS, st.binary(max_size=9), CUTS)
def test_chunks_are_read_as_h11_reads_them_however_they_arrive(chunks, trailers, behind, cuts):
    wire = b"".join(b"%X%s\r\n%s\r\n" % (len(data), extension, data) for data, extension in chunks)
    wire += b"0\r\n" + trailers + b"\r\n" + behind
    body = Chunked()
    read = []
    for piece in split(wire, cuts):
        if body.done:
            body.extra += piece
        else:
            read.append(body.feed(piece))
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    _, content, trailing = read_all(asked(), head + wire)
    assert (b"".join(read), body.done, body.extra) == (content, True, trailing) == (content, True, behind)


@given(
    st.lists(
        st.sampled_from(
            [b"3\r\n", b"abc", b"\r\n", b"0\r\n", b"\n", b"g\r\n", b"-1\r\n", b"0x3\r\n", b"X: y\r\n", b" :\r\n"]
        )
    )
)
def test_chunks_that_are_accepted_here_are_accepted_by_h11(pieces):
    body, wire = Chunked(), b"".join(pieces)
    try:
        content = body.feed(wire) if wire else b""
    except ValueError:
        return
    if body.done:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert read_all(asked(), head + wire)[1:] == (content, body.extra)


def test_lines_and_trailers_without_end_are_refused():
    with pytest.raises(ValueError, match="does not end"):
        Chunked().feed(b"1" * (MAX_LINE + 1))
    body = Chunked()
    body.feed(b"0\r\n")
    with pytest.raises(ValueError, match="not trailers"):
        body.feed(b"X: y\r\n" * MAX_LINE)


@given(st.binary(max_size=300), st.binary(max_size=9), CUTS)
def test_a_body_of_known_length_ends_where_it_was_told(content, behind, cuts):
    body = Sized(len(content))
    read = []
    for piece in split(content + behind, cuts):
        if body.done:
            body.extra += piece
        else:
            read.append(body.feed(piece))
    assert (b"".join(read), body.done, body.extra) == (content, True, behind)


def test_the_request_is_written_as_h11_writes_it():
    headers = encode_headers([("X-Name", "value"), ("authorization", "Bearer k"), ("X-Latin", "é")])
    pairs = [(b"Host", b"h"), *((name, value) for name, _, value in headers), (b"Content-Length", b"2")]
    connection = h11.Connection(h11.CLIENT)
    expected = connection.send(h11.Request(method="POST", target="/v1?x=y", headers=pairs))
    expected += connection.send(h11.Data(data=b"{}"))
    triples = [(name, name.lower(), value) for name, value in pairs]
    assert write_request("POST", b"/v1?x=y", triples, b"{}") == expected


# --- on the wire -----------------------------------------------------------------------------------------------------

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwarm"
ODD = {
    "no body": (b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n", (204, b"")),
    "until the end": (b"HTTP/1.1 200 OK\r\nX-A: b\r\n\r\nrest", (200, b"rest")),
    "the last one": (
        b"HTTP/1.1 200 OK\r\nX-A: b\r\nConnection: close\r\nContent-Length: 4\r\n\r\nlast",
        (200, b"last"),
    ),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nX-A: b\r\n\r\nold", (200, b"old")),
    "hints before it": (
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 2\r\n\r\nok",
        (200, b"ok"),
    ),
    "a folded line": (b"HTTP/1.1 200 OK\r\nX-B: a\r\n b\r\nX-A: b\r\nContent-Length: 2\r\n\r\nok", (200, b"ok")),
    "bare line feeds": (b"HTTP/1.1 200 OK\nX-A: b\nContent-Length: 2\n\nok", (200, b"ok")),
    "the length twice": (
        b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        (200, b"ok"),
    ),
    "trailers": (
        b"HTTP/1.1 200 OK\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n2;e=1\r\nok\r\n0\r\nX-T: 1\r\n\r\n",
        (200, b"ok"),
    ),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "in pieces"])
def test_any_answer_reads_the_same_on_a_kept_connection(name, whole, drive, serve, post):
    data, expected = ODD[name]

    def script(peer):
        while peer.request():
            if len(server.requests) != 2:
                peer.send(PLAIN)
                continue
            for piece in [data] if whole else [data[:7], data[7:30], data[30:]]:
                peer.send(piece)
                peer.pause(0 if whole else 0.01)
            if name in {"until the end", "HTTP/1.0", "the last one"}:
                peer.close()

    server = serve(script)

    async def scenario(client):
        assert await (await post(client, server.url)).read(None) == b"warm"
        response = await post(client, server.url)
        assert response.headers["x-a"] == "b"
        assert (response.status, await response.read(None)) == expected
        assert await (await post(client, server.url)).read(None) == b"warm"

    drive(scenario)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", HttpProtocolError),
        (b"HTTP/1.1 200 OK\r\nbroken\r\n\r\n", HttpProtocolError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", HttpProtocolError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokok", HttpProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Le", HttpClosed),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", HttpClosed),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000, HttpProtocolError),
    ],
)
def test_broken_answers_on_a_kept_connection(data, error, drive, serve, post):
    def script(peer):
        peer.request()
        peer.send(PLAIN)
        peer.request()
        peer.send(data)
        if error is HttpClosed:
            peer.close()
        else:
            peer.until_gone()

    server = serve(script)

    async def scenario(client):
        assert await (await post(client, server.url)).read(None) == b"warm"
        with pytest.raises(error) as caught:
            await (await post(client, server.url)).read(None)
        assert caught.value.sent
        assert caught.value.reused
        assert client.stats()["active"] == client.stats()["idle"] == 0

    drive(scenario)


def test_bytes_behind_an_answer_are_not_the_next_one(drive, serve, fetch):
    def script(peer):
        while peer.request():
            peer.send(PLAIN + (b"HTTP/1.1 500 Old\r\nContent-Length: 0\r\n\r\n" if len(server.requests) == 2 else b""))

    server = serve(script)

    async def scenario(client):
        for _ in range(4):
            assert await fetch(client, server.url) == b"warm"

    drive(scenario)
    assert server.connections == 2


@pytest.mark.parametrize("there", [True, False], ids=["is there", "is not there"])
def test_a_stream_that_is_given_up_keeps_its_connection_only_if_the_rest(there, drive, serve, post, fetch):
    def script(peer):
        while peer.request():
            if len(server.requests) != 2:
                peer.send(PLAIN)
                continue
            end = b"0\r\n\r\n" if there else b""
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n" + end)

    server = serve(script)

    async def scenario(client):
        assert await fetch(client, server.url) == b"warm"
        response = await post(client, server.url)
        assert await response.next_chunk(None) == b"ok"
        await response.close()
        assert await fetch(client, server.url) == b"warm"

    drive(scenario)
    assert server.connections == (1 if there else 2)
