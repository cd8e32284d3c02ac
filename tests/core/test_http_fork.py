"""One blocking client in several threads, and any client on both sides of a fork."""

from __future__ import annotations

import asyncio
import gc
import os
import queue
import threading
import time
import warnings

import pytest

from aistrale.core.http import AsyncHttp, HttpClosed, HttpError, SyncHttp

PROMPT = 5.0

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def in_child(work) -> str:
    """Forks, runs `work` in the child, and gives what it returned or raised, as text."""
    source, sink = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns about forking with threads; that is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        try:
            text = str(work())
        except BaseException as error:  # noqa: BLE001 - the parent sees it
            text = repr(error)
        os.write(sink, text.encode())
        os._exit(0)
    os.close(sink)
    with os.fdopen(source) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return text


def open_files() -> set[int]:
    """What the descriptors of this process lead to; their numbers are taken again at once."""
    found = set()
    for number in range(256):
        try:
            found.add(os.fstat(number).st_ino)
        except OSError:
            continue
    return found


# Threads.


def test_threads_share_a_client_without_mixing_answers(family, echo_server, fetch, run_blocking):
    client = SyncHttp(http=family)
    failures = []

    def work(name):
        try:
            for turn in range(40):
                path = f"/{name}-{turn}"
                if run_blocking(fetch(client, echo_server.url + path)) != path.encode():
                    failures.append(path)
        except BaseException as error:  # noqa: BLE001 - shown by the test
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    stats = client.stats()
    assert stats["opened"] <= 8
    assert stats["opened"] + stats["reused"] == 320
    assert (stats["idle"], stats["active"]) == (stats["opened"], 0)
    run_blocking(client.close())


def test_reading_thread_wakes_up_when_its_response_is_abandoned(family, serve, post, run_blocking):
    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab")
        peer.until_gone()

    server = serve(script)
    client = SyncHttp(http=family)
    response = run_blocking(post(client, server.url))
    assert run_blocking(response.next_chunk(time.monotonic() + PROMPT)) == b"ab"
    outcome = queue.SimpleQueue()

    def read():
        try:
            outcome.put(run_blocking(response.next_chunk(time.monotonic() + 60)))
        except HttpError as error:
            outcome.put(error)

    thread = threading.Thread(target=read)
    thread.start()
    (link,) = client._pools_known()[0]._links
    while not link.wire.busy:
        pass
    response.abandon()
    assert isinstance(outcome.get(timeout=PROMPT), HttpClosed)
    thread.join()
    assert link.wire.sock.fileno() == -1
    run_blocking(client.close())


def test_unread_response_that_is_collected_closes_its_connection(family, serve, post, run_blocking):
    gone = queue.SimpleQueue()

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab")
        gone.put(peer.until_gone())

    server = serve(script)
    client = SyncHttp(http=family)
    response = run_blocking(post(client, server.url))
    cycle = [response]
    cycle.append(cycle)
    del response, cycle
    gc.collect()
    assert gone.get(timeout=PROMPT)
    assert client.stats()["active"] == 0
    del client


def test_interrupt_while_reading_leaves_nothing_behind(family, serve, post, run_blocking, monkeypatch):
    gone = queue.SimpleQueue()

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab")
        gone.put(peer.until_gone())

    server = serve(script)
    client = SyncHttp(http=family)
    response = run_blocking(post(client, server.url))
    run_blocking(response.next_chunk(None))

    def interrupt(*_):
        raise KeyboardInterrupt

    (link,) = client._pools_known()[0]._links
    monkeypatch.setattr(type(link.wire), "_receive", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_blocking(response.next_chunk(None))
    assert gone.get(timeout=PROMPT)
    assert (client.stats()["idle"], client.stats()["active"]) == (0, 0)


# Forks.


@forks
def test_answers_never_cross_between_parent_and_child(family, echo_server, fetch, run_blocking):
    client = SyncHttp(http=family)
    for name in ("warm", "up"):
        run_blocking(fetch(client, f"{echo_server.url}/{name}"))

    def ask(name):
        wrong = 0
        for turn in range(100):
            path = f"/{name}-{turn}"
            wrong += run_blocking(fetch(client, echo_server.url + path)) != path.encode()
        return wrong, client.stats()["opened"]

    answers = queue.SimpleQueue()
    parent = threading.Thread(target=lambda: answers.put(ask("parent")))
    parent.start()
    # A child counts from the parent's beginning: one connection there, one of its own.
    assert [in_child(lambda name=name: ask(name)) for name in ("one", "two")] == ["(0, 2)", "(0, 2)"]
    parent.join()
    assert answers.get() == (0, 1)
    run_blocking(client.close())


@forks
def test_child_closes_only_its_copies(family, serve, fetch, post, run_blocking):
    gate = threading.Event()

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        gate.wait(PROMPT)
        peer.send(b"rest")
        peer.request()
        peer.answer(b"next")

    server = serve(script)
    client = SyncHttp(http=family)
    response = run_blocking(post(client, server.url))
    (link,) = client._pools_known()[0]._links
    file = os.fstat(link.wire.sock.fileno()).st_ino
    assert file in open_files()

    def child():
        with pytest.raises(HttpClosed):
            run_blocking(response.read(time.monotonic() + PROMPT))
        return file in open_files(), client.stats()["idle"], client.stats()["active"]

    assert in_child(child) == "(False, 0, 0)"
    gate.set()
    assert run_blocking(response.read(time.monotonic() + PROMPT)) == b"halfrest"
    assert run_blocking(fetch(client, server.url)) == b"next"
    assert client.stats()["opened"] == 1
    run_blocking(client.close())


@forks
def test_child_does_not_wait_for_a_lock_that_the_parent_held(family, echo_server, fetch, run_blocking):
    client = SyncHttp(http=family)
    run_blocking(fetch(client, echo_server.url))
    pool = client._pools_known()[0]
    with pool._lock:
        assert in_child(lambda: run_blocking(fetch(client, f"{echo_server.url}/child"))) == "b'/child'"
    run_blocking(client.close())


@forks
def test_fork_that_python_did_not_see(family, echo_server, fetch, run_blocking, monkeypatch):
    """As with vfork and in uWSGI: the process id has changed, and no hook has run."""
    client = SyncHttp(http=family)
    run_blocking(fetch(client, echo_server.url))
    monkeypatch.setattr(client, "_pid", -1)
    assert run_blocking(fetch(client, f"{echo_server.url}/x")) == b"/x"
    assert client.stats()["idle"] == 1
    assert client.stats()["opened"] == 2
    run_blocking(client.close())


@forks
@pytest.mark.parametrize("moment", ["idle", "reading"])
def test_async_client_in_a_child(family, echo_server, fetch, post, moment):
    client = AsyncHttp(http=family)

    async def child():
        text = await fetch(client, f"{echo_server.url}/child")
        return text, client.stats()["idle"]

    def work():
        # The loop of the parent is not running here as far as this process is concerned.
        asyncio.events._set_running_loop(None)
        return asyncio.run(child())

    async def main():
        await fetch(client, f"{echo_server.url}/parent")
        response = None if moment == "idle" else await post(client, f"{echo_server.url}/open")
        assert in_child(work) == "(b'/child', 1)"
        if response is not None:
            assert await response.read(None) == b"/open"
        assert await fetch(client, f"{echo_server.url}/again") == b"/again"
        assert client.stats()["opened"] == 1
        await client.close()

    asyncio.run(main())
