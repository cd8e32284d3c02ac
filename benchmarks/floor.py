"""What one exchange costs on the wire, against raw httpx and httpx2 in the same run.

Prints CPU microseconds per call of this process and their ratio to the raw client. The rounds of all drivers are
interleaved, and the figure of each is its best round, because a neighbour on the machine can only make a round slower.
The server runs in a process of its own and sends canned bytes.

    python benchmarks/floor.py [--rounds 5] [--calls 400] [--only sync,async,stream]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import sys
import time
from typing import TYPE_CHECKING, TypeVar

import httpx
import httpx2

from aistrale.core.http import AsyncHttp, HttpRequest, SyncHttp

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from multiprocessing.connection import Connection

ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 400}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 250, "completion_tokens": 400, "total_tokens": 650},
    }
).encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nX-Request-Id: req_123\r\nDate: Sun, 22 Nov 2026 00:00:00 GMT\r\n"
PLAIN = HEAD % b"application/json" + b"Content-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER
EVENT = (
    b'data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"hello "}}],"pad":"' + b"x" * 220 + b'"}\n\n'
)
CHUNK = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)
PIECES = 200
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "word " * 200}]}).encode()
FIELDS = {
    "content-type": "application/json",
    "authorization": "Bearer sk-000000000000000000000000000000000000",
    "user-agent": "benchmark/1",
    "accept": "application/json",
    "x-trace": "0123456789abcdef",
}
T = TypeVar("T")
FAMILIES = ("httpx", "httpx2")
STREAMS = ("/stream", "/burst")


class Server(asyncio.Protocol):
    """Answers a request as soon as its body is complete, after the milliseconds that the path names."""

    def __init__(self) -> None:
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Collects one request and answers it."""
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self.buffer) < end + 4 + length:
            return
        self.buffer = self.buffer[end + 4 + length :]
        path = head.split(b" ", 2)[1]
        loop = asyncio.get_running_loop()
        if path == b"/stream":
            self.transport.write(HEAD % b"text/event-stream" + b"Transfer-Encoding: chunked\r\n\r\n")
            loop.call_soon(self.stream, PIECES)
        elif path == b"/burst":
            head = HEAD % b"text/event-stream" + b"Transfer-Encoding: chunked\r\n\r\n"
            self.transport.write(head + CHUNK * PIECES + b"0\r\n\r\n")
        elif path == b"/0":
            self.transport.write(PLAIN)
        else:
            loop.call_later(int(path[1:]) / 1000, self.transport.write, PLAIN)

    def stream(self, left: int) -> None:
        """Sends the next of the chunks that are left."""
        if left:
            self.transport.write(CHUNK)
            # Far enough apart that the client reads them one by one, as tokens come.
            asyncio.get_running_loop().call_later(0.0004, self.stream, left - 1)
        else:
            self.transport.write(b"0\r\n\r\n")


def pin(core: int) -> None:
    """Keep client and server out of each other's way where the system allows it."""
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setaffinity(0, {core % (os.cpu_count() or 1)})


def serve(pipe: Connection) -> None:
    """Body of the server process."""
    pin(1)

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=2048)
        pipe.send(server.sockets[0].getsockname()[1])
        await asyncio.Event().wait()

    asyncio.run(main())


def run(coro: Coroutine[object, object, T]) -> T:
    """Drive a coroutine that never suspends."""
    try:
        coro.send(None)
    except StopIteration as stop:
        return stop.value
    raise RuntimeError("suspended")


def ours(url: str) -> HttpRequest:
    """The request in our own form."""
    return HttpRequest("POST", url, list(FIELDS.items()), BODY)


def limits() -> tuple[float, float]:
    """Deadlines to connect and to be done, as instants."""
    now = time.monotonic()
    return now + 10, now + 60


class Drivers:
    """One call of each client; all parse the answer."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.sync_raw = {
            "httpx": httpx.Client(timeout=60, headers=FIELDS),
            "httpx2": httpx2.Client(timeout=60, headers=FIELDS),
        }
        self.sync_own = {"httpx": SyncHttp(http="httpx"), "httpx2": SyncHttp(http="httpx2")}

    def raw(self, family: str) -> None:
        """A POST through the library's client."""
        json.loads(self.sync_raw[family].post(self.base + "/0", content=BODY).content)

    def own(self, family: str) -> None:
        """The same through ours."""
        connect, until = limits()

        async def call() -> bytes:
            response = await self.sync_own[family].open(ours(self.base + "/0"), connect_until=connect, until=until)
            return await response.read(until)

        json.loads(run(call()))

    def raw_stream(self, family: str, path: str) -> int:
        """A stream through the library's client; gives its pieces."""
        with self.sync_raw[family].stream("POST", self.base + path, content=BODY) as response:
            return sum(1 for _ in response.iter_bytes())

    def own_stream(self, family: str, path: str) -> int:
        """The same through ours."""

        async def call() -> int:
            connect, until = limits()
            count = 0
            response = await self.sync_own[family].open(ours(self.base + path), connect_until=connect, until=until)
            while await response.next_chunk(until):
                count += 1
            return count

        return run(call())


def cpu(work: Callable[[], int]) -> float:
    """CPU microseconds per unit of work."""
    start = time.process_time()
    units = work()
    return (time.process_time() - start) / units * 1e6


def raw_async(family: str, base: str, flight: int, calls: int, path: str) -> float:
    """CPU per unit of the library's async client, in a loop of its own."""
    module = httpx if family == "httpx" else httpx2

    async def main() -> float:
        bounds = module.Limits(max_connections=None, max_keepalive_connections=None)
        async with module.AsyncClient(timeout=60, headers=FIELDS, limits=bounds) as client:

            async def call() -> int:
                if path in STREAMS:
                    async with client.stream("POST", base + path, content=BODY) as response:
                        return len([1 async for _ in response.aiter_bytes()])
                json.loads((await client.post(base + path, content=BODY)).content)
                return 1

            return await load(call, flight, calls)

    return asyncio.run(main())


def own_async(family: str, base: str, flight: int, calls: int, path: str) -> float:
    """The same of ours."""

    async def main() -> float:
        client = AsyncHttp(http="httpx" if family == "httpx" else "httpx2", max_idle=1000)

        async def call() -> int:
            connect, until = limits()
            response = await client.open(ours(base + path), connect_until=connect, until=until)
            if path in STREAMS:
                count = 0
                while await response.next_chunk(until):
                    count += 1
                return count
            json.loads(await response.read(until))
            return 1

        try:
            return await load(call, flight, calls)
        finally:
            await client.close()

    return asyncio.run(main())


async def load(call: Callable[[], Awaitable[int]], flight: int, calls: int) -> float:
    """CPU per unit with `flight` workers, each calling in sequence; connections are made before the clock starts."""

    async def worker(count: int) -> int:
        return sum([await call() for _ in range(count)])

    await asyncio.gather(*(worker(1) for _ in range(flight)))
    start = time.process_time()
    units = sum(await asyncio.gather(*(worker(max(1, calls // flight)) for _ in range(flight))))
    return (time.process_time() - start) / units * 1e6


def table(title: str, rows: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Measure in turns and print the best of each row, with its ratio to the raw client of the same family."""
    best = dict.fromkeys(rows, float("inf"))
    for _ in range(rounds):
        for name, measure in rows.items():
            best[name] = min(best[name], measure())
    print(f"\n{title}")
    for name, value in best.items():
        family = name.split()[0]
        ratios = "  ".join(
            f"{value / best[f'{other} raw']:5.2f} x raw {other}"
            for other in ("httpx", "httpx2")
            if f"{other} raw" in best
        )
        print(f"  {name:14} {value:9.1f} us   {ratios if 'raw' not in name else ''}".rstrip())
        assert family in ("httpx", "httpx2")
    return best


def bench_sync(drivers: Drivers, rounds: int, calls: int) -> None:
    """One call after the other, blocking."""

    def repeated(call: Callable[[str], object], family: str) -> Callable[[], float]:
        def work() -> int:
            for _ in range(calls):
                call(family)
            return calls

        return lambda: cpu(work)

    rows = {}
    for family in FAMILIES:
        rows[f"{family} raw"] = repeated(drivers.raw, family)
        rows[f"{family} own"] = repeated(drivers.own, family)
    table("sync, one call", rows, rounds)


def bench_stream(drivers: Drivers, rounds: int) -> None:
    """Pieces of a stream as they come, blocking and async."""
    for path, how in (("/stream", "one at a time"), ("/burst", "all at once")):
        rows: dict[str, Callable[[], float]] = {}
        for family in FAMILIES:
            rows[f"{family} raw"] = lambda f=family, p=path: cpu(lambda: drivers.raw_stream(f, p))
            rows[f"{family} own"] = lambda f=family, p=path: cpu(lambda: drivers.own_stream(f, p))
        table(f"sync, per streamed chunk, {how}", rows, rounds)
        rows = {}
        for family in FAMILIES:
            rows[f"{family} raw"] = lambda f=family, p=path: raw_async(f, drivers.base, 1, 4, p)
            rows[f"{family} own"] = lambda f=family, p=path: own_async(f, drivers.base, 1, 4, p)
        table(f"async, per streamed chunk, {how}", rows, rounds)


def bench_async(base: str, rounds: int, calls: int) -> None:
    """Calls in flight at the same time, without and with latency of the server."""
    alone = 0.0
    for flight, path in ((1, "/0"), (50, "/0"), (50, "/20"), (500, "/20")):
        rows: dict[str, Callable[[], float]] = {}
        # httpx takes 24 ms a call with 500 in flight: it has its say with fewer.
        for family in FAMILIES if flight < 500 else ("httpx2",):
            count = max(calls, flight * 2)
            rows[f"{family} raw"] = lambda f=family, n=flight, c=count, p=path: raw_async(f, base, n, c, p)
            rows[f"{family} own"] = lambda f=family, n=flight, c=count, p=path: own_async(f, base, n, c, p)
        best = table(f"async, {flight} in flight, {path[1:]} ms latency", rows, rounds)
        alone = alone or best["httpx2 own"]
        print(f"  httpx2 own against its own cost alone: {best['httpx2 own'] / alone:.2f}")


def main() -> None:
    """Start the server, run what was asked for, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--only", default="sync,async,stream")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there,), daemon=True)
    process.start()
    pin(0)
    drivers = Drivers(f"http://127.0.0.1:{here.recv()}")
    print(f"Python {sys.version.split()[0]}, httpx {httpx.__version__}, httpx2 {httpx2.__version__}")
    wanted = options.only.split(",")
    if "sync" in wanted:
        bench_sync(drivers, options.rounds, options.calls)
    if "stream" in wanted:
        bench_stream(drivers, options.rounds)
    if "async" in wanted:
        bench_async(drivers.base, options.rounds, options.calls)
    process.terminate()


if __name__ == "__main__":
    main()
