"""Rows 86, 88, 89 and 97: calls that are cancelled or left, loops that come and go, servers that move."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import socket
from collections import Counter
from dataclasses import replace

import pytest
import trio

from tests.faults.books import check_rows, play_left
from tests.faults.faces import OnAsyncio, OnTrio
from tests.faults.little import LittleServer
from tests.faults.matrix import ALL, BOTH, answers, both

STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])

# --- 86: cancelled at a random point ----------------------------------------------------------------------------------

# At which of these a call is when it is cancelled: in line, before the headers, in the body, in a wait of its retry.
# Three of the five are never over before, however late a busy machine cancels.
POINTS = (
    "ok:delay=0.02,gap=0.02", "ok:delay=2.0", "drip_body:gap=0.001", "http:status=429,ra_ms=2000", "ok:delay=2.0,gap=0.02",
)  # fmt: skip
CANCELLED = 25
LONGEST = 0.4


def cancelled_calls(rng, outcomes):
    """A scenario: each of many calls at once is cancelled after a random time, unless it is done before."""

    async def on_asyncio(face, _run):
        async def one(seconds):
            task = asyncio.create_task(face.run("Hi", model=face.model) if not face.streamed else read(face))
            await asyncio.sleep(seconds)
            if task.cancel():
                with pytest.raises(asyncio.CancelledError):
                    await task
                outcomes["cancelled"] += 1
            else:
                await task
                outcomes["success"] += 1

        await asyncio.gather(*(one(rng.uniform(0.001, LONGEST)) for _ in range(CANCELLED)))
        return []

    async def on_trio(face, _run):
        async def one(seconds):
            with trio.move_on_after(seconds) as scope:
                await (face.run("Hi", model=face.model) if not face.streamed else read(face))
            outcomes["cancelled" if scope.cancelled_caught else "success"] += 1

        async with trio.open_nursery() as nursery:
            for _ in range(CANCELLED):
                nursery.start_soon(one, rng.uniform(0.001, LONGEST))
        return []

    async def scenario(face, run):
        return await {"asyncio": on_asyncio, "trio": on_trio}[run.colour](face, run)

    return scenario


async def read(face):
    async with face.stream("Hi", model=face.model) as stream:
        async for _ in stream:
            pass


@STREAMED
def test_86_a_call_that_is_cancelled_anywhere_leaves_its_rows_and_nothing_else(server, tmp_path, streamed):
    """Twenty-five cancellations in each mode; tests/soak has a thousand."""
    outcomes = Counter()
    case = both(86, "", answers("a"), script=POINTS, colours=("asyncio", "trio"),
                settings={"limits": {"a": {"concurrency": 8}}},
                scenario=cancelled_calls(random.Random(86), outcomes))  # fmt: skip
    for run in play_left(case, server, tmp_path, streamed=streamed):
        check_rows(run, outcomes)
        assert sum(outcomes.values()) == CANCELLED
        assert outcomes["cancelled"] >= CANCELLED / 3
        # Who leaves is no sign of the provider's sickness.
        (breaker,) = run.breakers.values()
        assert (breaker.failure_rate, breaker.slow_rate) == (0, 0)
        outcomes.clear()


# --- 88: streams that nobody reads to their end -----------------------------------------------------------------------


def stream_of(run):
    """A stream of the run's colour that is not in any `with`."""
    client = run.client if run.colour == "sync" else run.client.as_async()
    return client.stream("Hi", model=run.names["a"])


async def first(stream):
    return next(stream) if hasattr(stream, "__next__") else await anext(stream)


async def dropped(face, run):
    stream = stream_of(run)
    await first(stream)
    del stream


async def in_a_cycle(face, run):
    class Holder:
        pass

    holder = Holder()
    holder.own, holder.stream = holder, stream_of(run)
    await first(holder.stream)
    del holder
    gc.collect()


async def left_by_break(face, run):
    async with face.stream("Hi", model=run.names["a"]) as stream:
        async for _ in stream:
            break


async def closed(face, run):
    stream = stream_of(run)
    await first(stream)
    for _ in range(2):
        if (closing := stream.close()) is not None:
            await closing


async def raised_in(face, run):
    with contextlib.suppress(ZeroDivisionError):
        async with face.stream("Hi", model=run.names["a"]) as stream:
            await anext(stream)
            raise ZeroDivisionError


@pytest.mark.parametrize("leave", [dropped, in_a_cycle, left_by_break, closed, raised_in])
def test_88_a_stream_that_is_left_frees_its_connection_at_once(server, tmp_path, leave):
    """Without a ResourceWarning, which would be an error here: there is nothing that was not closed.

    But for trio, which tells whoever forgets an async generator, as that of httpcore 2 is, that it should be closed.
    """

    async def scenario(face, run):
        for _ in range(3):
            await leave(face, run)
        # While the client is still open: S5.
        for _ in range(1000):
            if run.server.stats()["client_gone"] == 3:
                break
            await face.wait(0.005)
        seen = await face.ask()
        assert seen.error is None
        return [seen]

    # Slow enough that the stream is not at its end before it is left, also on a busy machine.
    case = both(88, "slow_stream:gap=0.3", answers("a"), script=(*("slow_stream:gap=0.3",) * 3, "ok"),
                colours=BOTH if leave in {dropped, in_a_cycle} else ALL, scenario=scenario)  # fmt: skip
    for run in play_left(case, server, tmp_path, streamed=True):
        check_rows(run, {"abandoned": 3, "success": 1})
        assert run.stats["client_gone"] == 3
        assert {row.usage_source for row in run.attempts("a")} == {"estimated", "reported"}


def test_88_streams_that_are_kept_are_in_nobodys_way(server, tmp_path):
    """However many: there is no pool of so many connections that somebody could wait for."""

    async def scenario(face, run):
        kept = [stream_of(run) for _ in range(12)]
        for stream in kept:
            await first(stream)
        seen = [await face.ask() for _ in range(2)]
        assert [each.error for each in seen] == [None, None]
        kept.clear()
        gc.collect()
        return seen

    case = both(88, "", answers("a"), script=(*("slow_stream:gap=0.03",) * 12, "ok"), scenario=scenario)
    for run in play_left(case, server, tmp_path, streamed=True):
        check_rows(run, {"abandoned": 12, "success": 2})


# --- 89: loops --------------------------------------------------------------------------------------------------------


@STREAMED
def test_89_loops_that_are_closed_and_made_anew(play, streamed):
    async def scenario(_, run):
        seen = []
        for number in range(20):
            # The blocking face is driven without a loop, so that loops can run inside.
            on = OnTrio if number % 5 == 4 else OnAsyncio
            face = on(run.client, streamed=streamed, model=run.names["a"])
            seen.append(trio.run(face.ask) if on is OnTrio else asyncio.run(face.ask()))
        return seen

    case = both(89, "ok", answers("a", a=20), scenario=scenario, colours=("sync",))
    play(case, streamed)


# --- 97: the server restarts, or moves --------------------------------------------------------------------------------


def on_little_server(little, scenario, **more):
    """A case whose target a is a server that the test has in its hands."""
    providers = {
        "a": {"base_url": f"{little.url}/v1", "api_key": "sk-canary-7f3a-a", "compatible": "openai_chat"},
        "b": {"base_url": f"{little.url}/v1", "api_key": "sk-canary-7f3a-b", "compatible": "openai_chat"},
    }
    case = both(97, "ok", answers("a", text=little.text, **more), scenario=scenario, arrives=False, colours=ALL)
    return replace(case, settings={"providers": providers})


@STREAMED
def test_97_a_server_that_restarts_between_calls_costs_no_more_than_an_attempt(play, streamed):
    with LittleServer() as little:
        pass

    async def scenario(face, run):
        seen = []
        for _ in range(3):
            with little:
                seen.append(await face.ask())
        return seen

    # At each restart one more, for a kept connection that had been closed without our having heard of it.
    runs = play(on_little_server(little, scenario, a=range(3, 6)), streamed)
    assert little.served == 3 * len(runs)


@STREAMED
def test_97_a_name_that_leads_elsewhere_is_looked_up_again(play, monkeypatch, streamed):
    real = socket.getaddrinfo
    place = []

    def look_up(host, *rest, **more):
        name = host.decode() if isinstance(host, bytes) else host
        return real(place[0] if name == "moving.invalid" else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with LittleServer("127.0.0.1") as before:
        pass
    after = LittleServer("127.0.0.2", port=before.port)

    async def scenario(face, run):
        seen = []
        for server, calls in ((before, 1), (after, 2)):
            place[:] = [server.host]
            with server:
                seen += [await face.ask() for _ in range(calls)]
        return seen

    case = on_little_server(before, scenario, a=range(3, 5))
    for name in "ab":
        case.settings["providers"][name]["base_url"] = f"http://moving.invalid:{before.port}/v1"
    runs = play(case, streamed)
    assert (before.served, after.served) == (len(runs), 2 * len(runs))
