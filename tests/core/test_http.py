"""One exchange over loopback, in every colour and with the connections of either library, and what can go wrong."""

from __future__ import annotations

import gzip
import pickle
import queue
import socket
import threading
import time
import zlib

import pytest

from aistrale.core.http import (
    Headers,
    HttpClosed,
    HttpConnectError,
    HttpDecodeError,
    HttpError,
    HttpProtocolError,
    HttpTimeout,
    HttpTooLarge,
    SyncHttp,
)

PROMPT = 5.0  # Seconds in which something that ends at once has certainly ended, on a busy machine too.


def counts(client):
    stats = client.stats()
    return stats["opened"], stats["reused"], stats["retried"], stats["active"]


# The plain exchange.


def test_request_and_response(drive, serve, post):
    def script(peer):
        peer.request()
        peer.answer(b'{"a":1}', b"X-Request-Id: r1\r\nVary: a\r\nvary: b\r\n", b"201 Created")

    server = serve(script)

    async def scenario(client):
        response = await post(
            client,
            f"{server.url}/v1/x?y=%20",
            headers=[("Authorization", "Bearer k"), ("X-Blank", "  v  "), ("X-Latin", "é"), ("host", "elsewhere")],
            body=b"{}",
        )
        assert response.status == 201
        assert response.http_version == "HTTP/1.1"
        assert response.headers["x-request-ID"] == "r1"
        assert response.headers["VARY"] == "a, b"
        assert (b"X-Request-Id", b"r1") in response.headers.raw
        assert await response.read(None) == b'{"a":1}'
        assert await response.next_chunk(None) == b""
        await response.close()

    drive(scenario)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert body == b"{}"
    assert head.split(b"\r\n") == [
        b"POST /v1/x?y=%20 HTTP/1.1",
        b"Host: 127.0.0.1:%d" % server.port,
        b"Authorization: Bearer k",
        b"X-Blank: v",
        b"X-Latin: \xe9",
        b"Accept-Encoding: gzip, deflate",
        b"Content-Length: 2",
    ]


def test_get_without_body(drive, echo_server, fetch):
    async def scenario(client):
        return await fetch(client, f"{echo_server.url}/m", method="GET", body=b"")

    assert drive(scenario) == b"/m"
    assert b"content-length" not in echo_server.requests[0].lower()


def test_connection_is_kept(drive, echo_server, fetch):
    async def scenario(client):
        for path in ("a", "b", "c"):
            assert await fetch(client, f"{echo_server.url}/{path}") == b"/" + path.encode()
        assert counts(client) == (1, 2, 0, 0)
        assert client.stats()["idle"] == 1

    drive(scenario)
    assert echo_server.connections == 1


def test_connections_with_different_origins_are_not_mixed(drive, serve, fetch):
    def named(name):
        def script(peer):
            while peer.request():
                peer.answer(name)

        return script

    one, two = serve(named(b"one")), serve(named(b"two"))

    async def scenario(client):
        return [await fetch(client, server.url) for server in (one, two, one, two)]

    assert drive(scenario) == [b"one", b"two"] * 2


def test_redirect_is_a_response(drive, serve, post):
    def script(peer):
        peer.request()
        peer.answer(b"", b"Location: http://127.0.0.1:1/\r\n", b"307 Temporary Redirect")

    server = serve(script)

    async def scenario(client):
        response = await post(client, server.url, headers=[("x-api-key", "k")])
        return response.status, response.headers["location"], await response.read(None)

    assert drive(scenario) == (307, "http://127.0.0.1:1/", b"")
    assert len(server.requests) == 1


def test_large_request_body(drive, serve, fetch):
    def script(peer):
        peer.answer(b"%d" % len(peer.request().partition(b"\r\n\r\n")[2]))

    server = serve(script)

    async def scenario(client):
        return await fetch(client, server.url, body=b"x" * 6_000_000)

    assert drive(scenario) == b"6000000"


def test_early_answer_to_a_large_request_is_read(drive, serve, post):
    def script(peer):
        peer.sock.recv(1000)
        peer.answer(b"too large", b"Connection: close\r\n", b"413 Payload Too Large")
        peer.sock.shutdown(socket.SHUT_WR)
        peer.until_gone()

    server = serve(script)

    async def scenario(client):
        response = await post(client, server.url, body=b"x" * 12_000_000, within=PROMPT)
        assert response.status == 413
        assert await response.read(time.monotonic() + PROMPT) == b"too large"
        assert client.stats()["idle"] == 0

    drive(scenario)


def test_informational_responses_are_skipped(drive, serve, fetch):
    def script(peer):
        while peer.request():
            peer.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
            peer.answer(b"done")

    server = serve(script)

    async def scenario(client):
        return [await fetch(client, server.url) for _ in range(2)]

    assert drive(scenario) == [b"done", b"done"]


# Streams.


def test_chunks_come_as_they_are_sent(drive, serve, post):
    def script(peer):
        while peer.request():
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in (b"one", b"two", b"three"):
                peer.send(b"%x\r\n%s\r\n" % (len(piece), piece))
                peer.server.turn.acquire()
            peer.send(b"0\r\n\r\n")

    server = serve(script)
    server.turn = threading.Semaphore(0)

    async def scenario(client):
        for _ in range(2):
            response = await post(client, server.url)
            seen = []
            while piece := await response.next_chunk(time.monotonic() + PROMPT):
                seen.append(piece)
                server.turn.release()
            assert seen == [b"one", b"two", b"three"]
        assert counts(client) == (1, 1, 0, 0)

    drive(scenario)


def test_body_that_ends_with_the_connection(drive, serve, fetch):
    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.0 200 OK\r\n\r\nall of it")

    server = serve(script)

    async def scenario(client):
        assert await fetch(client, server.url) == b"all of it"
        assert await fetch(client, server.url) == b"all of it"
        assert counts(client) == (2, 0, 0, 0)

    drive(scenario)


def test_closing_early_closes_the_connection(drive, serve, post, fetch):
    gone = queue.SimpleQueue()

    def script(peer):
        peer.request()
        if peer.number:
            peer.answer(b"next")
            return
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        gone.put(peer.until_gone())

    server = serve(script)

    async def scenario(client):
        response = await post(client, server.url)
        assert await response.next_chunk(time.monotonic() + PROMPT) == b"one"
        assert client.stats()["active"] == 1
        start = time.monotonic()
        await response.close()
        await response.close()
        assert time.monotonic() - start < PROMPT
        assert (client.stats()["active"], client.stats()["idle"]) == (0, 0)
        with pytest.raises(HttpClosed):
            await response.next_chunk(None)
        assert await fetch(client, server.url) == b"next"

    drive(scenario)
    assert gone.get(timeout=PROMPT)


def test_stopping_right_before_the_last_chunk_keeps_the_connection(drive, serve, post, fetch):
    def script(peer):
        while peer.request():
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n[DONE]\r\n0\r\n\r\n")

    server = serve(script)

    async def scenario(client):
        response = await post(client, server.url)
        assert await response.next_chunk(None) == b"[DONE]"
        await response.close()
        assert client.stats()["idle"] == 1
        assert await fetch(client, server.url) == b"[DONE]"
        assert counts(client) == (1, 1, 0, 0)

    drive(scenario)


def test_abandoned_response_is_closed_at_once(drive, serve, post):
    gone = queue.SimpleQueue()

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab")
        gone.put(peer.until_gone())

    server = serve(script)

    async def scenario(client):
        response = await post(client, server.url)
        response.abandon()
        response.abandon()
        await response.close()
        assert client.stats()["active"] == 0

    drive(scenario)
    assert gone.get(timeout=PROMPT)


# Deadlines.


def stall_before_head(peer):
    peer.request()
    peer.until_gone()


def stall_in_head(peer):
    peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-")
    peer.until_gone()


def drip_head(peer):
    peer.request()
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Pad: y\r\n" * 1000:
        if not peer.send(bytes([byte])):
            return
        peer.pause(0.02)


def flood_with_informational(peer):
    peer.request()
    while peer.send(b"HTTP/1.1 102 Processing\r\n\r\n"):
        peer.pause(0.01)


@pytest.mark.parametrize("script", [stall_before_head, stall_in_head, drip_head, flood_with_informational])
def test_deadline_of_the_head(drive, serve, post, script):
    server = serve(script)

    async def scenario(client):
        start = time.monotonic()
        with pytest.raises(HttpTimeout) as caught:
            await post(client, server.url, within=0.3)
        assert 0.3 <= time.monotonic() - start < PROMPT
        assert (caught.value.phase, caught.value.sent, caught.value.reused) == ("headers", True, False)
        assert f"127.0.0.1:{server.port}" in str(caught.value)
        assert (client.stats()["active"], client.stats()["idle"]) == (0, 0)

    drive(scenario)


def stall_in_body(peer):
    peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nab")
    peer.until_gone()


def drip_body(peer):
    peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while peer.send(b"x"):
        peer.pause(0.02)


def drip_inside_a_chunk_header(peer):
    peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while peer.send(b"0"):
        peer.pause(0.02)


@pytest.mark.parametrize("script", [stall_in_body, drip_body, drip_inside_a_chunk_header])
def test_deadline_of_the_body(drive, serve, post, script):
    server = serve(script)

    async def scenario(client):
        response = await post(client, server.url)
        start = time.monotonic()
        with pytest.raises(HttpTimeout) as caught:
            await response.read(start + 0.3)
        assert 0.3 <= time.monotonic() - start < PROMPT
        assert (caught.value.phase, caught.value.sent) == ("body", True)
        assert (client.stats()["active"], client.stats()["idle"]) == (0, 0)
        await response.close()

    drive(scenario)


def test_each_read_has_the_deadline_it_is_given(drive, serve, post):
    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        peer.pause(0.3)
        peer.send(b"1\r\nb\r\n")
        peer.until_gone()

    server = serve(script)

    async def scenario(client):
        response = await post(client, server.url, within=PROMPT)
        assert await response.next_chunk(time.monotonic() + 0.2) == b"a"
        # Later than the one before, and then earlier: an old timer must neither fire nor be waited for.
        assert await response.next_chunk(time.monotonic() + PROMPT) == b"b"
        start = time.monotonic()
        with pytest.raises(HttpTimeout):
            await response.next_chunk(start + 0.1)
        assert 0.1 <= time.monotonic() - start < PROMPT

    drive(scenario)


def test_deadline_while_sending(drive, serve, post):
    def script(peer):
        peer.server.over.wait()

    server = serve(script)

    async def scenario(client):
        start = time.monotonic()
        with pytest.raises(HttpTimeout) as caught:
            # Long enough to connect on a busy machine.
            await post(client, server.url, body=b"x" * 12_000_000, within=1.2)
        assert 1.2 <= time.monotonic() - start < PROMPT
        assert caught.value.phase == "write"
        assert client.stats()["active"] == 0

    drive(scenario)


@pytest.mark.parametrize("which", ["within", "connect_within"])
def test_deadline_that_has_passed_sends_nothing(drive, echo_server, post, fetch, which):
    async def scenario(client):
        with pytest.raises(HttpTimeout) as caught:
            await post(client, echo_server.url, **{which: -1.0})
        assert not caught.value.sent
        # A kept connection needs no time to connect, but the deadline of the whole step still holds.
        await fetch(client, echo_server.url)
        with pytest.raises(HttpTimeout) as caught:
            await post(client, echo_server.url, within=-1.0)
        assert not caught.value.sent

    drive(scenario)
    assert len(echo_server.requests) == 1


def test_no_deadline_at_all(drive, serve, post):
    def script(peer):
        while peer.request():
            peer.pause(0.1)
            peer.answer()

    server = serve(script)

    async def scenario(client):
        for within in (0.5, float("inf")):
            response = await post(client, server.url, within=within, connect_within=within)
            assert await response.read(None) == b"{}"

    drive(scenario)


# The peer misbehaves.


def test_refused_connection(drive, post):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    async def scenario(client):
        with pytest.raises(HttpConnectError, match=f"127.0.0.1:{port}") as caught:
            await post(client, f"http://127.0.0.1:{port}/")
        assert (caught.value.phase, caught.value.sent) == ("connect", False)
        assert client.stats()["active"] == 0

    drive(scenario)


def test_name_that_does_not_resolve(drive, post, monkeypatch):
    def fail(*_args, **_options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)

    async def scenario(client):
        with pytest.raises(HttpConnectError, match="not known") as caught:
            await post(client, "http://nowhere.invalid/")
        assert (caught.value.phase, caught.value.sent) == ("resolve", False)

    drive(scenario)


def test_stuck_resolver_does_not_outlive_the_deadline(drive, colour, post, monkeypatch):
    release = threading.Event()

    def stuck(_host, _port, _family=0, _type=0, _proto=0, flags=0, **_options):
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not a number")
        release.wait(PROMPT)
        raise socket.gaierror(socket.EAI_AGAIN, "later")

    monkeypatch.setattr(socket, "getaddrinfo", stuck)

    async def scenario(client):
        start = time.monotonic()
        with pytest.raises(HttpTimeout) as caught:
            await post(client, "http://nowhere.invalid/", connect_within=0.2)
        assert time.monotonic() - start < PROMPT / 2
        # trio looks up and connects in one step.
        assert caught.value.phase == ("connect" if colour == "trio" else "resolve")
        release.set()

    drive(scenario)


def test_second_address_is_tried(drive, echo_server, fetch, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", closed)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", echo_server.port)),
    ]
    original = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *args, **kw: found if b"two" in _bytes(host) else original(host, *args, **kw),
    )

    async def scenario(client):
        return await fetch(client, f"http://two.test:{echo_server.port}/x")

    assert drive(scenario) == b"/x"


def _bytes(host):
    return host if isinstance(host, bytes) else str(host).encode()


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        pytest.param(b"", HttpClosed, id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\nConte", HttpClosed, id="half a head"),
        pytest.param(b"SSH-2.0-x\r\n\r\n", HttpProtocolError, id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", HttpProtocolError, id="bad length"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 40_000, HttpProtocolError, id="endless head"),
    ],
)
def test_broken_head(drive, serve, post, sent, error):
    def script(peer):
        peer.request()
        peer.send(sent)
        peer.sock.shutdown(socket.SHUT_WR)
        peer.until_gone()

    server = serve(script)

    async def scenario(client):
        with pytest.raises(error) as caught:
            await post(client, server.url)
        assert (caught.value.phase, caught.value.sent, caught.value.reused) == ("headers", True, False)
        assert "SSH" not in str(caught.value)
        assert client.stats()["active"] == 0

    drive(scenario)
    assert server.connections == 1


@pytest.mark.parametrize("head", [b"Content-Length: 10", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("end", ["close", "reset"])
def test_body_cut_off(drive, serve, post, head, end):
    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n4\r\nabcd")
        peer.server.turn.acquire(timeout=PROMPT)
        getattr(peer, end)()

    server = serve(script)
    server.turn = threading.Semaphore(0)

    async def scenario(client):
        response = await post(client, server.url)
        assert await response.next_chunk(None)
        server.turn.release()
        with pytest.raises(HttpClosed) as caught:
            await response.read(time.monotonic() + PROMPT)
        assert (caught.value.phase, caught.value.sent) == ("body", True)
        assert client.stats()["active"] == 0

    drive(scenario)


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged", id="a whole response"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Le", id="half a response"),
        pytest.param(b"junk", id="junk"),
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_bytes_beyond_the_body_never_reach_the_next_exchange(drive, serve, fetch, rest, together):
    def script(peer):
        peer.request()
        if peer.number:
            peer.answer(b"true")
            return
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" + (rest if together else b""))
        if not together:
            peer.server.turn.acquire(timeout=PROMPT)
            peer.send(rest)
            peer.server.sent.release()
        if peer.request():
            peer.answer(b"late")

    server = serve(script)
    server.turn, server.sent = threading.Semaphore(0), threading.Semaphore(0)

    async def scenario(client):
        assert await fetch(client, server.url) == b"{}"
        if not together:
            server.turn.release()
            server.sent.acquire(timeout=PROMPT)
        assert await fetch(client, server.url) == b"true"
        assert client.stats()["opened"] == 2

    drive(scenario)


# Kept connections.


@pytest.mark.parametrize("end", ["close", "reset"])
def test_connection_closed_by_the_server_while_idle_is_replaced(drive, serve, fetch, end):
    def script(peer):
        peer.request()
        peer.answer(b"first" if peer.number == 0 else b"second")
        if peer.number == 0:
            getattr(peer, end)()
        peer.until_gone()

    server = serve(script)

    async def scenario(client):
        assert await fetch(client, server.url) == b"first"
        assert await fetch(client, server.url) == b"second"
        assert client.stats()["opened"] == 2

    drive(scenario)


def test_connection_closed_in_answer_to_the_second_request_is_replaced(drive, serve, fetch):
    def script(peer):
        peer.request()
        peer.answer(b"%d" % peer.number)
        # The race: the server decides to close when the next request is already on its way.
        if peer.number == 0:
            peer.request()

    server = serve(script)

    async def scenario(client):
        assert await fetch(client, server.url) == b"0"
        assert await fetch(client, server.url) == b"1"
        assert counts(client) == (2, 1, 1, 0)

    drive(scenario)
    assert len(server.requests) == 3


def test_only_one_replacement(drive, serve, fetch):
    def script(peer):
        if peer.number == 0:
            peer.request()
            peer.answer()
        peer.request()

    server = serve(script)

    async def scenario(client):
        await fetch(client, server.url)
        with pytest.raises(HttpClosed) as caught:
            await fetch(client, server.url)
        assert not caught.value.reused
        assert counts(client) == (2, 1, 1, 0)

    drive(scenario)


def test_no_replacement_once_a_byte_of_the_answer_came(drive, serve, fetch):
    def script(peer):
        peer.request()
        peer.answer()
        peer.request()
        peer.send(b"HTTP/1.1 2")

    server = serve(script)

    async def scenario(client):
        await fetch(client, server.url)
        with pytest.raises(HttpClosed) as caught:
            await fetch(client, server.url)
        assert (caught.value.reused, caught.value.sent, caught.value.phase) == (True, True, "headers")
        assert counts(client) == (1, 1, 0, 0)

    drive(scenario)


def test_no_replacement_after_a_deadline(drive, serve, fetch):
    def script(peer):
        peer.request()
        peer.answer()
        peer.until_gone()

    server = serve(script)

    async def scenario(client):
        await fetch(client, server.url)
        with pytest.raises(HttpTimeout) as caught:
            await fetch(client, server.url, within=0.2)
        assert caught.value.reused
        assert counts(client) == (1, 1, 0, 0)

    drive(scenario)


def test_idle_connections_expire(drive, echo_server, fetch):
    async def scenario(client):
        await fetch(client, echo_server.url)
        await fetch(client, echo_server.url)
        assert counts(client) == (2, 0, 0, 0)
        assert client.stats()["idle"] == 1

    drive(scenario, idle_expiry=0.0)


def test_connection_close_is_obeyed(drive, serve, fetch):
    def script(peer):
        peer.request()
        peer.answer(b"{}", b"Connection: close\r\n")
        peer.until_gone()

    server = serve(script)

    async def scenario(client):
        await fetch(client, server.url)
        assert client.stats()["idle"] == 0

    drive(scenario)


# Content coding.


def serve_coded(serve, coding, body):
    def script(peer):
        while peer.request():
            peer.answer(body, b"Content-Encoding: %s\r\n" % coding)

    return serve(script)


PLAIN = b'{"text": "' + b"abcdefgh " * 5000 + b'"}'
RAW_DEFLATE = zlib.compressobj(wbits=-15)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        (b"gzip", gzip.compress(PLAIN, mtime=0)),
        (b"x-gzip", gzip.compress(PLAIN, mtime=0)),
        (b"GZIP", gzip.compress(PLAIN[:100], mtime=0) + gzip.compress(PLAIN[100:], mtime=0)),
        (b"gzip", gzip.compress(PLAIN, mtime=0) + b"\0" * 20),
        (b"deflate", zlib.compress(PLAIN)),
        (b"deflate", RAW_DEFLATE.compress(PLAIN) + RAW_DEFLATE.flush()),
        (b"identity", PLAIN),
        (b"deflate, gzip", gzip.compress(zlib.compress(PLAIN), mtime=0)),
    ],
)
def test_coded_body(drive, serve, fetch, coding, body):
    server = serve_coded(serve, coding, body)

    async def scenario(client):
        assert await fetch(client, server.url) == PLAIN
        assert await fetch(client, server.url) == PLAIN
        assert counts(client) == (1, 1, 0, 0)

    drive(scenario)


def test_empty_coded_body(drive, serve, fetch):
    server = serve_coded(serve, b"gzip", b"")

    async def scenario(client):
        return await fetch(client, server.url)

    assert drive(scenario) == b""


@pytest.mark.parametrize(
    ("coding", "body", "message"),
    [
        (b"gzip", gzip.compress(PLAIN, mtime=0)[:-10], "ends too early"),
        (b"gzip", gzip.compress(PLAIN[:99], mtime=0) + gzip.compress(PLAIN, mtime=0)[:30], "ends too early"),
        (b"gzip", b"not gzip at all", "broken"),
        (b"gzip", gzip.compress(PLAIN, mtime=0)[:-8] + b"\0" * 8, "broken"),
        (b"deflate", b"\xff" * 20, "broken"),
        (b"gzip", gzip.compress(PLAIN, mtime=0) + b"more", "broken"),
        (b"br", b"x", "'br'"),
        (b"gzip", gzip.compress(b"\0" * 20_000_000, mtime=0), "bomb"),
        (b"gzip, gzip", gzip.compress(gzip.compress(b"\0" * 20_000_000, mtime=0)), "bomb"),
    ],
)
def test_bad_coding(drive, serve, post, coding, body, message):  # noqa: PLR0917
    server = serve_coded(serve, coding, body)

    async def scenario(client):
        with pytest.raises(HttpDecodeError, match=message) as caught:
            await (await post(client, server.url)).read(None)
        assert caught.value.phase == "body"
        assert client.stats()["active"] == 0

    drive(scenario)


@pytest.mark.parametrize("head", [b"Content-Length: 3000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nbb8\r\n"])
def test_body_beyond_the_bound(drive, serve, post, head):
    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n" + head + b"x" * 3000)
        peer.until_gone()

    server = serve(script)

    async def scenario(client):
        response = await post(client, server.url)
        with pytest.raises(HttpTooLarge, match="1000 bytes"):
            await response.read(None)
        assert client.stats()["active"] == 0

    drive(scenario, max_body=1000)


def test_expanded_body_beyond_the_bound(drive, serve, fetch):
    server = serve_coded(serve, b"gzip", gzip.compress(PLAIN))

    async def scenario(client):
        with pytest.raises(HttpTooLarge):
            await fetch(client, server.url)

    drive(scenario, max_body=len(PLAIN) - 1)


def test_streamed_pieces_of_an_expanding_body_are_small(drive, serve, post):
    text = b"".join(b"%d " % number for number in range(400_000))
    server = serve_coded(serve, b"gzip", gzip.compress(text))

    async def scenario(client):
        response = await post(client, server.url)
        pieces = []
        while piece := await response.next_chunk(None):
            pieces.append(piece)
        assert b"".join(pieces) == text
        assert max(map(len, pieces)) <= 256 * 1024

    # The bound of read() is none of a stream.
    drive(scenario, max_body=1000)


# What cannot be sent.


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("X-Key", "sk-secret\r\nX-Evil: 1", "X-Key"),
        ("X-Key", "sk-secret\n", "X-Key"),
        ("X-Key", "sk-secret\0", "X-Key"),
        ("X-Key", "sk-secret…", "X-Key"),
        ("X Key", "sk-secret", "X Key"),
        ("X-Key:", "sk-secret", "X-Key:"),
        ("", "sk-secret", "''"),
    ],
)
def test_header_that_cannot_be_sent(drive, echo_server, post, name, value, message):  # noqa: PLR0917
    async def scenario(client):
        with pytest.raises(ValueError, match=message) as caught:
            await post(client, echo_server.url, headers=[(name, value)])
        assert "secret" not in str(caught.value)

    drive(scenario)
    assert echo_server.requests == []


@pytest.mark.parametrize(
    "url",
    ["ftp://x/", "/path", "http://", "http://u:p@h/", "http://127.0.0.1/a b", "http://127.0.0.1/ü", "http://h/\r\nx"],
)
def test_url_that_cannot_be_sent(drive, post, url):
    async def scenario(client):
        with pytest.raises(ValueError, match=r"^url: "):
            await post(client, url)

    drive(scenario)


def test_method_that_cannot_be_sent(drive, echo_server, post):
    async def scenario(client):
        with pytest.raises(ValueError, match=r"^method: "):
            await post(client, echo_server.url, method="GET /x HTTP/1.1\r\n")

    drive(scenario)


def test_closed_client_refuses(drive, echo_server, fetch, post):
    async def scenario(client):
        await fetch(client, echo_server.url)
        await client.close()
        await client.close()
        assert client.stats()["idle"] == 0
        with pytest.raises(RuntimeError, match="closed"):
            await post(client, echo_server.url)

    drive(scenario)


def test_response_in_use_survives_the_closing_of_the_client(drive, echo_server, post):
    async def scenario(client):
        response = await post(client, f"{echo_server.url}/x")
        await client.close()
        assert await response.read(None) == b"/x"
        assert (client.stats()["idle"], client.stats()["active"]) == (0, 0)

    drive(scenario)


def test_unknown_family():
    with pytest.raises(ValueError, match="'auto', 'httpx', 'httpx2'"):
        SyncHttp(http="requests")


# The small classes.


def test_headers_are_a_mapping_that_shows_no_values():
    headers = Headers([(b"Content-Type", b"a/b"), (b"Set-Cookie", b"secret")])
    assert dict(headers) == {"content-type": "a/b", "set-cookie": "secret"}
    assert len(headers) == 2
    assert "CONTENT-type" in headers
    assert headers.get("x") is None
    assert "secret" not in repr(headers)


def test_request_shows_neither_headers_nor_body():
    from aistrale.core.http import HttpRequest

    shown = repr(HttpRequest("POST", "http://x/", [("a", "secret")], b"secret"))
    assert "secret" not in shown


def test_errors_can_be_pickled():
    error = pickle.loads(pickle.dumps(HttpTimeout("late", phase="body", sent=True, reused=True)))  # noqa: S301 - pickled here
    assert isinstance(error, HttpTimeout)
    assert isinstance(error, HttpError)
    assert (str(error), error.phase, error.sent, error.reused) == ("late", "body", True, True)
