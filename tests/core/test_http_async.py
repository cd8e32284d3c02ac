"""What only an async client can meet: cancellation, several event loops, loops that end, responses left to the collector."""

from __future__ import annotations

import asyncio
import gc
import queue
import threading
import time
import weakref

import pytest
import trio

from aistrale.core.http import AsyncHttp, HttpClosed, HttpTimeout

PROMPT = 5.0


def stall(gone):
    """A script that never answers and notes when the client has gone."""

    def script(peer):
        peer.request()
        gone.put(peer.until_gone())

    return script


def half(gone):
    """A script that sends half a body and notes when the client has gone."""

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabcde")
        gone.put(peer.until_gone())

    return script


# Cancellation.


@pytest.mark.parametrize("moment", [0, 1, 2, 3, 5, 8, 20])
def test_cancelled_while_opening(family, serve, post, moment):
    gone = queue.SimpleQueue()
    server = serve(stall(gone))

    async def main():
        client = AsyncHttp(http=family)
        task = asyncio.create_task(post(client, server.url))
        for _ in range(moment):
            await asyncio.sleep(0)
        if moment == 20:
            while not server.requests:  # noqa: ASYNC110 - another thread fills it
                await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (client.stats()["active"], client.stats()["idle"]) == (0, 0)
        await client.close()

    asyncio.run(main())
    if server.requests:
        assert gone.get(timeout=PROMPT)


def test_cancelled_while_reading(family, serve, post):
    gone = queue.SimpleQueue()
    server = serve(half(gone))

    async def main():
        client = AsyncHttp(http=family)
        response = await post(client, server.url)
        task = asyncio.create_task(response.read(None))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (client.stats()["active"], client.stats()["idle"]) == (0, 0)
        assert await asyncio.to_thread(gone.get, timeout=PROMPT)
        with pytest.raises(HttpClosed):
            await response.next_chunk(None)
        await client.close()

    asyncio.run(main())


def test_cancelled_in_trio(family, serve, post):
    gone = queue.SimpleQueue()
    server = serve(stall(gone))

    async def main():
        client = AsyncHttp(http=family)
        with trio.move_on_after(0.1) as scope:
            await post(client, server.url)
        assert scope.cancelled_caught
        assert (client.stats()["active"], client.stats()["idle"]) == (0, 0)
        assert await trio.to_thread.run_sync(lambda: gone.get(timeout=PROMPT))
        await client.close()

    trio.run(main)


def test_timeout_around_an_exchange_belongs_to_whoever_set_it(family, serve, post):
    server = serve(stall(queue.SimpleQueue()))

    async def main():
        client = AsyncHttp(http=family)
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.1):
                await post(client, server.url)
        assert not isinstance(caught.value, HttpTimeout)
        await client.close()

    asyncio.run(main())


# Many at once.


def test_many_in_flight_are_not_mixed_and_connections_are_reused(family, echo_server, fetch):
    async def main():
        client = AsyncHttp(http=family)

        async def worker(name):
            for turn in range(5):
                path = f"/{name}-{turn}"
                assert await fetch(client, echo_server.url + path) == path.encode()

        await asyncio.gather(*(worker(name) for name in range(60)))
        assert client.stats() == {"idle": 60, "active": 0, "opened": 60, "reused": 240, "retried": 0}
        await client.close()
        assert client.stats()["idle"] == 0

    asyncio.run(main())
    assert echo_server.connections == 60


def test_idle_connections_are_bounded(family, echo_server, fetch):
    async def main():
        client = AsyncHttp(http=family, max_idle=3)
        await asyncio.gather(*(fetch(client, echo_server.url) for _ in range(10)))
        assert client.stats()["idle"] == 3
        await client.close()

    asyncio.run(main())


def test_idle_connection_that_the_server_ends_is_noticed(family, serve, fetch):
    gate = threading.Event()

    def script(peer):
        peer.request()
        peer.answer()
        gate.wait(PROMPT)

    server = serve(script)

    async def main():
        client = AsyncHttp(http=family)
        await fetch(client, server.url)
        gate.set()
        (link,) = client._pools_known()[0]._links
        while not link.wire.stale():  # noqa: ASYNC110 - the loop itself brings it about
            await asyncio.sleep(0)
        assert await fetch(client, server.url) == b"{}"
        assert (client.stats()["opened"], client.stats()["retried"]) == (2, 0)
        await client.close()

    asyncio.run(main())


# Several loops.


@pytest.mark.parametrize("run", [asyncio.run, trio.run])
def test_one_client_in_loops_one_after_the_other(family, echo_server, fetch, run):
    client = AsyncHttp(http=family)

    async def main():
        for path in ("/a", "/b"):
            assert await fetch(client, echo_server.url + path) == path.encode()

    for turn in range(1, 5):
        run(main) if run is trio.run else run(main())
        assert (client.stats()["opened"], client.stats()["reused"]) == (turn, turn)
    run(client.close) if run is trio.run else run(client.close())
    assert (client.stats()["idle"], client.stats()["active"]) == (0, 0)


def test_loop_that_is_closed_without_ceremony(family, echo_server, fetch):
    client = AsyncHttp(http=family)
    for path in ("/a", "/b", "/c"):
        loop = asyncio.new_event_loop()
        assert loop.run_until_complete(fetch(client, echo_server.url + path)) == path.encode()
        # No shutdown of the generators here, as in much hand-written code. asyncio then complains about the open
        # transport when it is collected; that is its right, and nothing else must go wrong.
        with _quiet():
            loop.close()
            del loop
            gc.collect()
    assert client.stats()["opened"] == 3
    with _quiet():
        asyncio.run(client.close())
        gc.collect()
    assert client.stats()["idle"] == 0


class _quiet:  # noqa: N801
    """Ignores warnings of transports that are collected."""

    def __enter__(self):
        import warnings

        self._catch = warnings.catch_warnings()
        self._catch.__enter__()
        warnings.simplefilter("ignore", ResourceWarning)

    def __exit__(self, *exc):
        return self._catch.__exit__(*exc)


def test_loops_in_threads_at_the_same_time(family, echo_server, fetch):
    client = AsyncHttp(http=family)
    failures = []

    def work(name):
        async def main():
            for turn in range(20):
                path = f"/{name}-{turn}"
                if await fetch(client, echo_server.url + path) != path.encode():
                    failures.append(path)

        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - shown by the test
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert client.stats()["opened"] == 6
    asyncio.run(client.close())


def test_closing_from_another_loop_ends_all_connections(family, echo_server, fetch):
    client = AsyncHttp(http=family)
    ready, done = threading.Event(), threading.Event()

    def work():
        async def main():
            await fetch(client, echo_server.url)
            ready.set()
            await asyncio.to_thread(done.wait, PROMPT)

        asyncio.run(main())

    thread = threading.Thread(target=work)
    thread.start()
    assert ready.wait(PROMPT)
    asyncio.run(client.close())
    assert (client.stats()["idle"], client.stats()["active"]) == (0, 0)
    done.set()
    thread.join()


# Left to the collector.


def test_unread_response_that_is_collected_closes_its_connection(family, serve, post):
    gone = queue.SimpleQueue()
    server = serve(half(gone))

    async def main():
        client = AsyncHttp(http=family)
        response = await post(client, server.url)
        await response.next_chunk(time.monotonic() + PROMPT)
        cycle = [response]
        cycle.append(cycle)
        del response, cycle
        gc.collect()
        assert client.stats()["active"] == 0
        assert await asyncio.to_thread(gone.get, timeout=PROMPT)
        await client.close()

    asyncio.run(main())


def test_response_abandoned_in_another_thread(family, serve, post):
    gone = queue.SimpleQueue()
    server = serve(half(gone))

    async def main():
        client = AsyncHttp(http=family)
        response = await post(client, server.url)
        reading = asyncio.create_task(response.read(time.monotonic() + PROMPT))
        await asyncio.sleep(0)
        await asyncio.to_thread(response.abandon)
        with pytest.raises(HttpClosed):
            await reading
        assert await asyncio.to_thread(gone.get, timeout=PROMPT)
        assert client.stats()["active"] == 0
        await client.close()

    asyncio.run(main())


def test_response_abandoned_after_its_loop_has_ended(family, serve, post):
    gone = queue.SimpleQueue()
    server = serve(half(gone))
    client = AsyncHttp(http=family)

    async def main():
        return await post(client, server.url)

    with _quiet():
        response = asyncio.run(main())
        response.abandon()
        assert gone.get(timeout=PROMPT)
        del response
        gc.collect()
    asyncio.run(client.close())


def test_collected_client_closes_its_connections(family, serve, fetch):
    gone = queue.SimpleQueue()

    def script(peer):
        peer.request()
        peer.answer()
        gone.put(peer.until_gone())

    server = serve(script)

    async def main():
        client = AsyncHttp(http=family)
        await fetch(client, server.url)
        seen = weakref.ref(client)
        del client
        gc.collect()
        assert seen() is None
        assert await asyncio.to_thread(gone.get, timeout=PROMPT)

    asyncio.run(main())


def test_response_outlives_a_collected_client(family, serve, post):
    gate = threading.Event()

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        gate.wait(PROMPT)
        peer.send(b"rest")

    server = serve(script)

    async def main():
        response = await post(AsyncHttp(http=family), server.url)
        gc.collect()
        gate.set()
        assert await response.read(time.monotonic() + PROMPT) == b"halfrest"

    asyncio.run(main())


def test_no_timer_and_no_task_is_left_behind(family, echo_server, fetch):
    async def main():
        client = AsyncHttp(http=family)
        await fetch(client, echo_server.url, within=3600.0)
        await client.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert not [handle for handle in asyncio.get_running_loop()._scheduled if not handle.cancelled()]

    asyncio.run(main())


def test_outside_of_a_loop(family, echo_server, post):
    client = AsyncHttp(http=family)
    sending = post(client, echo_server.url)
    with pytest.raises(RuntimeError, match="loop"):
        sending.send(None)
