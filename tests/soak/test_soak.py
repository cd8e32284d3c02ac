"""50,000 calls and 5,000 streams, a third of them abandoned: nothing may stay behind, and the ledger misses nothing.

Half of it runs in threads, half on an event loop, each in slices. After each slice the world must look as after the one
before: objects, memory, sockets, threads, tasks. The server is that of the benchmarks, in a process of its own.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import gc
import importlib.util
import logging
import os
import sqlite3
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aistrale import AsyncClient, Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aistrale.streams import AsyncStream

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc"),
]

_log = logging.getLogger("soak")  # shown by --log-cli-level=info
SLICES = 10
CALLS = 25_000  # per test
STREAMS = 2_500
CANCELLED_CALLS = 500
PIECES = 200
MODEL = "openai/gpt-5-mini"
# Wide enough for an allocator's rounding and what libraries remember once, far below one object a call.
OBJECTS = 500
MEMORY = 4 << 20


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "server.py"
    spec = importlib.util.spec_from_file_location("benchmark_server", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.serving() as base:
        yield base


def settings(base: str, path: Path) -> dict[str, object]:
    """The server as three providers: at once, piece by piece over 4 seconds, and after 5 seconds."""
    words = {"openai": "", "paced": "/pace20", "slow": "/ms5000"}
    return {
        "providers": {
            name: {"api_key": "k", "base_url": f"{base}{word}/v1"}
            | ({} if name == "openai" else {"compatible": "openai_chat"})
            for name, word in words.items()
        },
        "ledger": f"sqlite:///{path}",
    }


class World:
    """What there is at one moment."""

    def __init__(self) -> None:
        gc.collect()
        self.objects = len(gc.get_objects())
        self.memory = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        self.sockets = open_sockets()
        self.threads = {thread.name for thread in threading.enumerate()}

    def __repr__(self) -> str:
        return f"{self.objects} objects, {self.memory / 2**20:.1f} MiB, {self.sockets} sockets, {len(self.threads)} threads"


def open_sockets() -> int:
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            count += str(entry.readlink()).startswith("socket:")
    return count


def assert_flat(worlds: list[World], sockets: int) -> None:
    """The second half of the run against its own beginning; the first half fills caches and pools."""
    early, late = worlds[SLICES // 2], worlds[-1]
    for world in worlds:
        _log.info("%r", world)
    assert late.objects - early.objects < OBJECTS, worlds
    assert late.memory - early.memory < MEMORY, worlds
    assert all(world.sockets <= sockets for world in worlds), worlds
    assert late.threads == early.threads, worlds


def assert_ledger(path: Path, expected: dict[str, int]) -> None:
    """One row per call and per attempt, each intent settled, every outcome as it was brought about."""
    with contextlib.closing(sqlite3.connect(path)) as ledger:

        def ask(query: str) -> list[tuple[object, ...]]:
            return ledger.execute(query).fetchall()

        total = sum(expected.values())
        assert dict(ask("SELECT outcome, count(*) FROM calls GROUP BY outcome")) == expected
        assert dict(ask("SELECT outcome, count(*) FROM attempts GROUP BY outcome")) == expected
        assert ask("SELECT count(*) FROM intents") == [(total,)]
        assert ask("SELECT count(*) FROM intents WHERE settled = 0") == [(0,)]
        assert ask("SELECT count(*) FROM calls JOIN attempts USING (call_id) WHERE attempts = 1") == [(total,)]
        assert ask("SELECT count(*) FROM rejected") == [(0,)]


# --- threads ---------------------------------------------------------------------------------------------------------


def slice_in_threads(client: Client, pool: ThreadPoolExecutor, begin: int) -> collections.Counter[str]:
    def call(_: int) -> str:
        assert client.run("Hello", model=MODEL).usage.output == 300
        return "success"

    def stream(number: int) -> str:
        kind = ("closed", "whole", "whole", "dropped", "whole", "whole")[number % 6]
        if kind == "whole":
            with client.stream("Hello", model=MODEL) as events:
                assert sum(1 for event in events if event.text) == PIECES
            return "success"
        events = client.stream("Hello", model="paced/gpt-5-mini")
        for _ in range(1 + number % 7):
            next(events)
        if kind == "closed":
            events.close()
        return "abandoned"

    outcomes = collections.Counter(pool.map(call, range(CALLS // SLICES), chunksize=1))
    outcomes.update(pool.map(stream, range(begin, begin + STREAMS // SLICES)))
    return outcomes


def test_threads(server, tmp_path):
    path = tmp_path / "ledger.db"
    before = World()
    expected: collections.Counter[str] = collections.Counter()
    worlds = []
    with Client(**settings(server, path)) as client, ThreadPoolExecutor(8) as pool:
        for begin in range(0, STREAMS, STREAMS // SLICES):
            expected += slice_in_threads(client, pool, begin)
            assert client.flush(30)
            worlds.append(World())
    client.ledger.close()
    # One kept connection for each thread and provider.
    assert_flat(worlds, before.sockets + 16)
    assert open_sockets() == before.sockets
    assert {thread.name for thread in threading.enumerate()} == before.threads
    assert sum(expected.values()) == CALLS + STREAMS
    assert expected["abandoned"] >= STREAMS // 3
    assert_ledger(path, dict(expected))


# --- event loop ------------------------------------------------------------------------------------------------------


async def read_until_cancelled(stream: AsyncStream, begun: asyncio.Event) -> None:
    async with stream as events:
        async for _ in events:
            begun.set()


async def stream_on_loop(client: AsyncClient, number: int) -> str:
    kind = ("closed", "whole", "whole", "dropped", "whole", "whole", "cancelled", "whole", "whole")[number % 9]
    if kind == "whole":
        async with client.stream("Hello", model=MODEL) as events:
            assert len([event async for event in events if event.text]) == PIECES
        return "success"
    events = client.stream("Hello", model="paced/gpt-5-mini")
    if kind == "cancelled":
        begun = asyncio.Event()
        task = asyncio.create_task(read_until_cancelled(events, begun))
        await begun.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()
        return "cancelled"
    for _ in range(1 + number % 7):
        await anext(events)
    if kind == "closed":
        await events.close()
    return "abandoned"


async def slice_on_loop(client: AsyncClient, begin: int) -> collections.Counter[str]:
    jobs = iter(
        [
            *(("call", number) for number in range((CALLS - CANCELLED_CALLS) // SLICES)),
            *(("cancelled call", number) for number in range(CANCELLED_CALLS // SLICES)),
            *(("stream", number) for number in range(begin, begin + STREAMS // SLICES)),
        ]
    )
    outcomes: collections.Counter[str] = collections.Counter()

    async def worker() -> None:
        for kind, number in jobs:
            if kind == "call":
                assert (await client.run("Hello", model=MODEL)).usage.output == 300
                outcomes["success"] += 1
            elif kind == "stream":
                outcomes[await stream_on_loop(client, number)] += 1
            else:
                task = asyncio.create_task(client.run("Hello", model="slow/gpt-5-mini"))
                await asyncio.sleep(0.005)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                assert task.cancelled()
                outcomes["cancelled"] += 1

    await asyncio.gather(*(worker() for _ in range(50)))
    return outcomes


def test_event_loop(server, tmp_path):
    path = tmp_path / "ledger.db"
    before = World()
    expected: collections.Counter[str] = collections.Counter()
    worlds = []

    async def main() -> None:
        async with AsyncClient(**settings(server, path)) as client:
            for begin in range(0, STREAMS, STREAMS // SLICES):
                expected.update(await slice_on_loop(client, begin))
                assert await asyncio.to_thread(client.flush, 30)
                assert asyncio.all_tasks() == {asyncio.current_task()}
                worlds.append(World())
            client.ledger.close()

    asyncio.run(main())
    # A kept connection for each worker and provider, and the loop's own pair.
    assert_flat(worlds, before.sockets + 150 + 2)
    assert open_sockets() == before.sockets
    assert {thread.name for thread in threading.enumerate()} == before.threads
    assert sum(expected.values()) == CALLS + STREAMS
    assert expected["abandoned"] + expected["cancelled"] - CANCELLED_CALLS >= STREAMS // 3
    assert_ledger(path, dict(expected))
