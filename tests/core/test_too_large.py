"""A body beyond the bound costs neither the time to read it nor the memory to keep it."""

from __future__ import annotations

import time

import pytest

from aistrale.core.http import HttpClosed, HttpTooLarge

BOUND = 100_000


def test_a_length_beyond_the_bound_is_refused_with_the_first_byte(drive, serve, post):
    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nx" % (BOUND + 1))
        peer.until_gone()

    server = serve(script)

    async def scenario(client):
        response = await post(client, server.url)
        start = time.monotonic()
        with pytest.raises(HttpTooLarge, match=f"{BOUND} bytes"):
            await response.read(start + 5.0)
        assert time.monotonic() - start < 4.0
        assert client.stats()["active"] == client.stats()["idle"] == 0

    drive(scenario, max_body=BOUND)


def test_a_length_at_the_bound_is_read(drive, serve, fetch):
    def script(peer):
        while peer.request() is not None:
            peer.answer(b"x" * BOUND)

    server = serve(script)

    async def scenario(client):
        for _ in range(2):
            assert len(await fetch(client, server.url)) == BOUND
        assert client.stats()["reused"] == 1

    drive(scenario, max_body=BOUND)


def test_the_error_keeps_nothing_of_what_was_read(drive, serve, post):
    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"2710\r\n%b\r\n" % (b"x" * 10_000) * 20)
        peer.until_gone()

    server = serve(script)

    async def scenario(client):
        response = await post(client, server.url)
        with pytest.raises(HttpTooLarge) as caught:
            await response.read(None)
        assert held_by(caught.value.__traceback__) < BOUND

    drive(scenario, max_body=BOUND)


def test_a_body_that_is_cut_leaves_nothing_in_the_error(drive, serve, post):
    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n" + b"x" * 50_000)

    server = serve(script)

    async def scenario(client):
        response = await post(client, server.url)
        with pytest.raises(HttpClosed) as caught:
            await response.read(time.monotonic() + 5.0)
        assert held_by(caught.value.__traceback__) == 0

    drive(scenario)


def held_by(traceback):
    """How many bytes the local variables of our own frames hold."""
    count = 0
    while traceback is not None:
        frame = traceback.tb_frame
        if "/core/" in frame.f_code.co_filename and "tests" not in frame.f_code.co_filename:
            for value in frame.f_locals.values():
                pieces = value if isinstance(value, list) else [value]
                count += sum(len(piece) for piece in pieces if isinstance(piece, bytes))
        traceback = traceback.tb_next
    return count
