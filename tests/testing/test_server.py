from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import threading

import pytest

from aistrale.testing import Broken, Slow, server, simulator
from tests.testing.wire import CHAT, question

BODY = json.dumps(CHAT).encode()
PATH = b"/openai/v1/chat/completions"
HEAD = b"POST " + PATH + b" HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\n"
REQUEST = HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY


@pytest.fixture
def dial(sim):
    """A plain connection."""
    opened = []

    def connect():
        sock = socket.create_connection(("127.0.0.1", sim.port), timeout=10)
        opened.append(sock)
        return sock

    yield connect
    for sock in opened:
        sock.close()


def responses(sock, count):
    """So many responses of known length from one connection: status, headers, body."""
    read = []
    with sock.makefile("rb") as reader:
        for _ in range(count):
            status = int(reader.readline().split(b" ")[1])
            headers = http.client.parse_headers(reader)
            read.append((status, headers, reader.read(int(headers["content-length"]))))
    return read


def rest(sock):
    """All that comes until the other side closes."""
    received = b""
    while data := sock.recv(65536):
        received += data
    return received


def settle(sim, ask, count):
    """Ask until so many connections are left open: the server notices on its own loop who left."""
    for _ in range(200):
        ask("/__stats", method="GET", headers={"connection": "close"})
        if sim.connections <= count:
            return True
    return False


def test_a_connection_serves_one_request_after_the_other(sim, dial):
    sock = dial()
    for _ in range(3):
        sock.sendall(REQUEST)
        ((status, _, body),) = responses(sock, 1)
        assert status == 200
        assert json.loads(body)["object"] == "chat.completion"
    assert sim.connections == 1


def test_requests_may_come_all_at_once_and_byte_by_byte(sim, dial):
    sim.script(Slow(headers=0.01))
    sock = dial()
    sock.sendall(REQUEST * 3)
    assert [status for status, _, _ in responses(sock, 3)] == [200, 200, 200]
    sock = dial()
    for byte in REQUEST:
        sock.sendall(bytes([byte]))
    assert responses(sock, 1)[0][0] == 200


def test_a_body_may_come_in_chunks_and_wait_for_a_go_ahead(sim, dial):
    sock = dial()
    sock.sendall(HEAD + b"transfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n")
    assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    sock.sendall(b"5\r\n" + BODY[:5] + b"\r\n%x\r\n" % len(BODY[5:]) + BODY[5:] + b"\r\n0\r\n\r\n")
    assert responses(sock, 1)[0][0] == 200


@pytest.mark.parametrize(
    "request_",
    [
        HEAD + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY,
        b"POST " + PATH + b" HTTP/1.0\r\nauthorization: Bearer k\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY,
    ],
)
@pytest.mark.parametrize("slow", [False, True])
def test_a_client_that_wants_one_answer_only_is_left(sim, dial, request_, slow):
    if slow:
        sim.script(Slow(headers=0.01))
    sock = dial()
    sock.sendall(request_)
    assert rest(sock).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    "sent", [b"rubbish\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"]
)
def test_what_is_not_http_is_told_so(sim, dial, sent):
    sock = dial()
    sock.sendall(sent)
    sock.shutdown(socket.SHUT_WR)
    assert rest(sock).startswith(b"HTTP/1.1 400 Bad Request") or sent[:1] == b"\x16"


def test_a_head_without_an_end_is_refused(sim, dial):
    sock = dial()
    sock.sendall(b"GET /v1/models HTTP/1.1\r\nhost: x\r\nlong: " + b"x" * 200_000)
    assert rest(sock).startswith(b"HTTP/1.1 431")


def test_bodies_have_a_limit(sim, dial, monkeypatch):
    monkeypatch.setattr(server, "MAX_BODY", 100)
    announced = dial()
    announced.sendall(HEAD + b"content-length: 101\r\n\r\n")
    assert rest(announced).startswith(b"HTTP/1.1 413")
    found_out = dial()
    found_out.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n65\r\n" + b"x" * 101 + b"\r\n")
    assert rest(found_out).startswith(b"HTTP/1.1 413")
    # More of the body does not become a request.
    found_out.sendall(REQUEST)
    assert sim.requests == []
    fits = dial()
    fits.sendall(REQUEST)
    assert responses(fits, 1)[0][0] == 200


def test_a_defect_is_answered_and_does_not_end_the_server():
    def answer(arrived):
        raise KeyError("secret of the caller") if arrived.target == "/bad" else RuntimeError

    running = server.Server(answer)
    try:
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
        for _ in range(2):
            connection.request("GET", "/bad")
            response = connection.getresponse()
            assert (response.status, json.loads(response.read())["error"]["type"]) == (500, "simulator")
        connection.close()
    finally:
        running.close()


@pytest.mark.parametrize(
    "step",
    [Broken(wreck="stall"), Broken(wreck="stall_early"), Slow(headers=600), Slow(first=600), Slow(between=600)],
)
def test_the_server_notices_who_left(sim, ask, dial, step):
    settle(sim, ask, 0)
    sim.outage(step=step)
    path, body = question("openai", stream=True)
    data = json.dumps(body).encode()
    waiting = [dial() for _ in range(3)]
    for sock in waiting:
        sock.sendall(
            b"POST %b HTTP/1.1\r\nhost: x\r\nauthorization: k\r\ncontent-length: %d\r\n\r\n"
            % (path.encode(), len(data))
            + data
        )
    assert not settle(sim, ask, 2)
    for sock in waiting:
        sock.close()
    assert settle(sim, ask, 0)


def test_closing_cuts_what_is_under_way():
    with simulator() as sim:
        sim.outage(step=Broken(wreck="stall"))
        socks = [socket.create_connection(("127.0.0.1", sim.port), timeout=10) for _ in range(3)]
        for sock in socks:
            sock.sendall(REQUEST)
        idle = socket.create_connection(("127.0.0.1", sim.port), timeout=10)
        while len(sim.requests) < 3:
            pass
    for sock in [*socks, idle]:
        # With a reset, or in good order, as the moment has it.
        with contextlib.suppress(ConnectionError):
            assert sock.recv(10) == b""
        sock.close()


def test_many_connections_at_once(sim):
    async def one():
        reader, writer = await asyncio.open_connection("127.0.0.1", sim.port)
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
        return head.split(b" ", 2)[1]

    async def body():
        return await asyncio.gather(*[one() for _ in range(200)])

    assert set(asyncio.run(body())) == {b"200"}
    assert len(sim.requests) == 200


def test_it_leaves_no_thread():
    before = threading.active_count()
    for _ in range(5):
        with simulator():
            assert threading.active_count() == before + 1
    assert threading.active_count() == before
