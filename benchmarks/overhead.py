"""What a call costs in the caller's process, against raw httpx, raw httpx2 and the official SDKs in the same run.

`aistrale` is the client as it comes: every default policy, and the journal on. Its background shipper runs inside the
measured time (each measurement ends with a flush), so nothing that a call causes is left out. The raw clients do the
least that an application has to: `json.dumps` of the body, POST, status check, `json.loads`, the text.

CPU is `process_time` over all threads of this process, wall the time that passed; both are microseconds per call or
per piece, the median of the rounds. Rounds of all drivers are interleaved, and a ratio is the median of the ratios
within each round, because neighbours on the machine disturb all drivers of a round alike. The server runs in a process
of its own and sends canned bytes.

    python benchmarks/overhead.py [--rounds 7] [--calls 300] [--only sync,async,stream] [--strict]

With `--strict` a figure above its target makes the exit status 1.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import anthropic
import httpx
import httpx2
import openai
from server import PIECES, TEXT, pin, serving

import aistrale

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SENTENCE = "Summarise for a reader in a hurry what the following paragraph says, and say what it leaves out. "
PROMPT = (SENTENCE * 11)[:1000]
MODEL = "gpt-5-mini"
CLAUDE = "claude-haiku-4-5"
KEY = "sk-000000000000000000000000000000000000"
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", "Accept": "application/json"}
STREAM_END = "[DONE]"


@dataclass
class Cost:
    """Microseconds per unit."""

    cpu: float
    wall: float


Measure: TypeAlias = "Callable[[], Cost]"


def body(*, stream: bool) -> bytes:
    """The request of the raw clients, written anew for each call as an application does."""
    request: dict[str, object] = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}]}
    if stream:
        request |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(request).encode()


def text_of(response: httpx.Response | httpx2.Response) -> str:
    """The answer's text from a raw response."""
    assert response.status_code == 200
    text: str = json.loads(response.content)["choices"][0]["message"]["content"]
    return text


def piece_of(line: str) -> str:
    """The text of one line of a raw stream."""
    if not line.startswith("data: ") or line[6:] == STREAM_END:
        return ""
    choices = json.loads(line[6:])["choices"]
    return choices[0]["delta"].get("content") or "" if choices else ""


class Drivers:
    """The clients, each at its defaults but for the address and the key, and one call of each."""

    def __init__(self, base: str, ledger: str) -> None:
        self.base = base
        self.httpx = httpx.Client(headers=HEADERS, timeout=60)
        self.httpx2 = httpx2.Client(headers=HEADERS, timeout=60)
        self.openai = openai.OpenAI(base_url=f"{base}/v1", api_key=KEY)
        self.anthropic = anthropic.Anthropic(base_url=base, api_key=KEY)
        self.own = aistrale.Client(providers=self.providers(""), ledger=f"sqlite:///{ledger}")

    def providers(self, words: str) -> dict[str, dict[str, str]]:
        """Settings for aistrale with the words that change how the server answers."""
        return {
            "openai": {"api_key": KEY, "base_url": f"{self.base}{words}/v1"},
            "anthropic": {"api_key": KEY, "base_url": f"{self.base}{words}"},
        }

    def sync_calls(self) -> dict[str, Callable[[], str]]:
        """One blocking call of each driver; gives the text."""
        url = f"{self.base}/v1/chat/completions"
        messages = [{"role": "user", "content": PROMPT}]
        chat = self.openai.chat.completions
        return {
            "httpx": lambda: text_of(self.httpx.post(url, content=body(stream=False))),
            "httpx2": lambda: text_of(self.httpx2.post(url, content=body(stream=False))),
            "openai": lambda: chat.create(model=MODEL, messages=messages).choices[0].message.content,
            "anthropic": lambda: (
                self.anthropic.messages.create(model=CLAUDE, max_tokens=400, messages=messages).content[0].text
            ),
            "aistrale": lambda: self.own.run(PROMPT, model=f"openai/{MODEL}").text,
            "aistrale anthropic": lambda: self.own.run(PROMPT, model=f"anthropic/{CLAUDE}", max_tokens=400).text,
        }

    def sync_streams(self, words: str, own: aistrale.Client) -> dict[str, Callable[[], int]]:
        """One blocking stream of each driver; gives the number of pieces with text."""
        url = f"{self.base}{words}/v1/chat/completions"

        def raw(client: httpx.Client | httpx2.Client) -> int:
            with client.stream("POST", url, content=body(stream=True)) as response:
                assert response.status_code == 200
                return sum(1 for line in response.iter_lines() if piece_of(line))

        def official() -> int:
            chat = self.openai.with_options(base_url=f"{self.base}{words}/v1").chat.completions
            stream = chat.create(
                model=MODEL,
                messages=[{"role": "user", "content": PROMPT}],
                stream=True,
                stream_options={"include_usage": True},
            )
            return sum(1 for chunk in stream if chunk.choices and chunk.choices[0].delta.content)

        def ours(model: str) -> int:
            with own.stream(PROMPT, model=model) as stream:
                return sum(1 for event in stream if event.text)

        return {
            "httpx": lambda: raw(self.httpx),
            "httpx2": lambda: raw(self.httpx2),
            "openai": official,
            "aistrale": lambda: ours(f"openai/{MODEL}"),
            "aistrale anthropic": lambda: ours(f"anthropic/{CLAUDE}"),
        }


def clocked(work: Callable[[], int]) -> Cost:
    """Run work that gives how many units it did."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    units = work()
    return Cost((time.process_time() - cpu) / units * 1e6, (time.perf_counter() - wall) / units * 1e6)


# --- blocking --------------------------------------------------------------------------------------------------------


def bench_sync(drivers: Drivers, rounds: int, calls: int) -> list[Figure]:
    """One call after the other in one thread."""

    def repeated(name: str, call: Callable[[], str]) -> Measure:
        assert call() == TEXT, name

        def work() -> int:
            for _ in range(calls):
                call()
            drivers.own.flush()
            return calls

        return lambda: clocked(work)

    rows = {name: repeated(name, call) for name, call in drivers.sync_calls().items()}
    # Short rounds, and therefore more of them.
    result = table("sync, one call at a time, per call", rows, ("httpx", "httpx2"), rounds * 3)
    return [Figure("sync call / httpx.Client.post + json.loads", result.ratio("aistrale", "httpx"), 0.75)]


def bench_stream(drivers: Drivers, rounds: int, ledger: str) -> list[Figure]:
    """Streams of 200 pieces, in one go and piece by piece."""
    figures = []
    for words, how in (("", "in one go"), ("/pace0.4", "piece by piece")):
        own = aistrale.Client(providers=drivers.providers(words), ledger=f"sqlite:///{ledger}")
        count = 4 if not words else 1

        def repeated(name: str, stream: Callable[[], int], own: aistrale.Client = own, count: int = count) -> Measure:
            assert stream() == PIECES, name

            def work() -> int:
                pieces = sum(stream() for _ in range(count))
                own.flush()
                return pieces

            return lambda: clocked(work)

        rows = {name: repeated(name, stream) for name, stream in drivers.sync_streams(words, own).items()}
        result = table(f"sync, streams that come {how}, per piece", rows, ("httpx", "httpx2"), rounds)
        figures.append(Figure(f"sync streamed piece, {how} / httpx", result.ratio("aistrale", "httpx"), 1.5))
        figures += async_stream(drivers, own, words, how, rounds)
        own.close()
    return figures


# --- async -----------------------------------------------------------------------------------------------------------


async def load(call: Callable[[], Awaitable[int]], flight: int, calls: int, finish: Callable[[], object]) -> Cost:
    """`flight` workers, each calling in sequence; connections are made before the clock starts."""

    async def worker(count: int) -> int:
        return sum([await call() for _ in range(count)])

    await asyncio.gather(*(worker(1) for _ in range(flight)))
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    units = sum(await asyncio.gather(*(worker(max(1, calls // flight)) for _ in range(flight))))
    finish()
    return Cost((time.process_time() - cpu) / units * 1e6, (time.perf_counter() - wall) / units * 1e6)


def nothing() -> None:
    """What there is to finish for clients that leave nothing behind."""


async def raw_load(module: object, url: str, flight: int, calls: int, *, stream: bool) -> Cost:
    """A library's own client with room for as many connections as there are calls."""
    assert module in (httpx, httpx2)
    library = httpx if module is httpx else httpx2
    limits = library.Limits(max_connections=None, max_keepalive_connections=None)
    async with library.AsyncClient(headers=HEADERS, timeout=60, limits=limits) as client:

        async def call() -> int:
            if stream:
                async with client.stream("POST", url, content=body(stream=True)) as response:
                    assert response.status_code == 200
                    return len([line async for line in response.aiter_lines() if piece_of(line)])
            assert text_of(await client.post(url, content=body(stream=False))) == TEXT
            return 1

        return await load(call, flight, calls, nothing)


async def openai_load(base: str, flight: int, calls: int, *, stream: bool) -> Cost:
    """The official SDK at its defaults."""
    messages = [{"role": "user", "content": PROMPT}]
    async with openai.AsyncOpenAI(base_url=f"{base}/v1", api_key=KEY) as client:

        async def call() -> int:
            if stream:
                chunks = await client.chat.completions.create(
                    model=MODEL, messages=messages, stream=True, stream_options={"include_usage": True}
                )
                return len([chunk async for chunk in chunks if chunk.choices and chunk.choices[0].delta.content])
            answer = await client.chat.completions.create(model=MODEL, messages=messages)
            assert answer.choices[0].message.content == TEXT
            return 1

        return await load(call, flight, calls, nothing)


async def own_load(client: aistrale.AsyncClient, flight: int, calls: int, *, stream: bool) -> Cost:
    """Our client as it comes."""

    async def call() -> int:
        if stream:
            async with client.stream(PROMPT, model=f"openai/{MODEL}") as events:
                return len([event async for event in events if event.text])
        assert (await client.run(PROMPT, model=f"openai/{MODEL}")).text == TEXT
        return 1

    return await load(call, flight, calls, client.flush)


def async_rows(
    drivers: Drivers, own: aistrale.Client, words: str, flight: int, calls: int, *, stream: bool
) -> dict[str, Measure]:
    """One measurement of each async driver, in an event loop of its own."""
    base = f"{drivers.base}{words}"
    url = f"{base}/v1/chat/completions"
    rows: dict[str, Measure] = {
        # Its calls take many times longer with many connections, and a few of them show it.
        "httpx": lambda: asyncio.run(raw_load(httpx, url, flight, min(calls, flight * 2 + 100), stream=stream)),
        "httpx2": lambda: asyncio.run(raw_load(httpx2, url, flight, calls, stream=stream)),
        "openai": lambda: asyncio.run(openai_load(base, flight, calls, stream=stream)),
        "aistrale": lambda: asyncio.run(own_load(own.as_async(), flight, calls, stream=stream)),
    }
    if flight >= 500:
        # httpx takes tens of milliseconds for a call with so many connections: it has its say with fewer.
        del rows["httpx"]
    return rows


def bench_async(drivers: Drivers, rounds: int, calls: int, ledger: str) -> list[Figure]:
    """Calls in flight at the same time, without and with latency of the server."""
    figures = []
    for words, latency in (("", 0), ("/ms20", 20)):
        own = aistrale.Client(providers=drivers.providers(words), ledger=f"sqlite:///{ledger}")
        rows: dict[str, Measure] = {}
        for flight in (1, 50, 500):
            count = max(flight * 2, calls if flight > 1 or not latency else calls // 4)
            for name, measure in async_rows(drivers, own, words, flight, count, stream=False).items():
                rows[f"{name} @{flight}"] = measure
        result = table(f"async, {latency} ms of latency, per call; @ calls in flight", rows, ("httpx2",), rounds)
        if latency:
            half = result.ratio("aistrale @50", "httpx2 @50")
            figures.append(Figure("async, 50 in flight, 20 ms / httpx2", half, 0.5))
        growth = result.ratio("aistrale @500", "aistrale @1")
        figures.append(Figure(f"async, 500 in flight / 1 in flight, {latency} ms", growth, 1.5))
        own.close()
    return figures


def async_stream(drivers: Drivers, own: aistrale.Client, words: str, how: str, rounds: int) -> list[Figure]:
    """Streams on an event loop."""
    rows = async_rows(drivers, own, words, 1, 1 if words else 4, stream=True)
    result = table(f"async, streams that come {how}, per piece", rows, ("httpx", "httpx2"), rounds)
    return [Figure(f"async streamed piece, {how} / httpx", result.ratio("aistrale", "httpx"), 1.5)]


# --- figures ---------------------------------------------------------------------------------------------------------


@dataclass
class Figure:
    """A ratio and what it may be at most."""

    what: str
    ratio: float
    target: float


class Result:
    """The rounds of one table."""

    def __init__(self, rows: dict[str, Measure], rounds: int) -> None:
        self.costs: dict[str, list[Cost]] = {name: [] for name in rows}
        names = list(rows)
        for turn in range(rounds):
            # Rotated, so that nobody always follows the same neighbour.
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                self.costs[name].append(rows[name]())

    def ratio(self, name: str, baseline: str) -> float:
        """Median over the rounds of CPU against the baseline's of the same round."""
        pairs = zip(self.costs[name], self.costs[baseline], strict=True)
        return statistics.median(own.cpu / other.cpu for own, other in pairs)

    def median(self, name: str) -> Cost:
        """Median CPU and wall."""
        costs = self.costs[name]
        return Cost(statistics.median(cost.cpu for cost in costs), statistics.median(cost.wall for cost in costs))


def table(title: str, rows: dict[str, Measure], baselines: tuple[str, ...], rounds: int) -> Result:
    """Measure in turns and print."""
    result = Result(rows, rounds)
    print(f"\n{title}\n  {'':20}{'CPU us':>9}{'wall us':>10}   ratio of CPU")
    for name in rows:
        cost = result.median(name)
        at = name[name.find(" @") :] if " @" in name else ""
        against = [f"{base}{at}" for base in baselines if f"{base}{at}" in rows and f"{base}{at}" != name]
        ratios = "  ".join(f"{result.ratio(name, base):5.2f} x {base.removesuffix(at)}" for base in against)
        print(f"  {name:20}{cost.cpu:9.1f}{cost.wall:10.1f}   {ratios}".rstrip())
    sys.stdout.flush()
    return result


def summary(figures: list[Figure]) -> bool:
    """Print the ratios beside their targets; whether all are met."""
    print("\nratio of CPU against its target")
    for figure in figures:
        met = "" if figure.ratio <= figure.target else "   ABOVE"
        print(f"  {figure.what:46} {figure.ratio:5.2f}   at most {figure.target:.2f}{met}")
    return all(figure.ratio <= figure.target for figure in figures)


def main() -> int:
    """Start the server, run what was asked for, print; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--only", default="sync,async,stream")
    parser.add_argument("--strict", action="store_true")
    options = parser.parse_args()
    wanted = options.only.split(",")
    print(f"Python {sys.version.split()[0]}, httpx {httpx.__version__}, httpx2 {httpx2.__version__}", end=", ")
    print(f"openai {openai.__version__}, anthropic {anthropic.__version__}, aistrale {aistrale.__version__}")
    pin(0)
    figures = []
    with serving() as base, tempfile.TemporaryDirectory() as directory:
        ledger = f"{directory}/ledger.db"
        drivers = Drivers(base, ledger)
        if "sync" in wanted:
            figures += bench_sync(drivers, options.rounds, options.calls)
        if "stream" in wanted:
            figures += bench_stream(drivers, options.rounds, ledger)
        if "async" in wanted:
            figures += bench_async(drivers, options.rounds, options.calls, ledger)
        drivers.own.close()
        drivers.own.ledger.close()
    met = summary(figures)
    return 0 if met or not options.strict else 1


if __name__ == "__main__":
    sys.exit(main())
