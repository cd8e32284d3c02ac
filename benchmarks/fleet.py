"""What shared state costs: a call with `state="redis://..."` beside the same call without, in the same run.

`nothing` shares breakers and health only, which asks Redis nothing per call; `budget` sets money aside in Redis before
every attempt and settles it behind; `rate` leases slices of a limit that is never reached; `cache` looks every answer
up, and finds none. Each is measured blocking and async (ten calls at a time), over loopback to a server in a process of
its own that sends canned answers, with a redis-server on a socket. Rounds of all clients are interleaved, and a ratio
is the median of the ratios within each round.

CPU is `process_time` over all threads of this process, so that the threads which tell Redis are in it; wall is the time
that passed. Microseconds per call, the median of the rounds. What Redis itself spends is not in it.

    python benchmarks/fleet.py [--rounds 7] [--calls 200] [--redis URL] [--strict]

With `--strict` a call that shares nothing but breakers and costs more than 1.1 times the CPU makes the exit status 1.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from server import pin, serving

import aistrale

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

KEY = "sk-000000000000000000000000000000000000"
MODEL = "openai/gpt-5-mini"
PROMPT = "Summarise for a reader in a hurry what the following paragraph says. " * 14
TOGETHER = 10
TARGET = 1.1
"""Times the CPU of a call that shares nothing."""

KINDS: dict[str, dict[str, object]] = {
    "nothing": {},
    "budget": {"budgets": [{"limit": "1000000", "period": "day"}]},
    "rate": {"limits": {"default": {"rpm": 6_000_000}}},
    "cache": {"cache": True},
}
Figures: TypeAlias = "dict[str, list[tuple[float, float]]]"
NUMBERS = count()


@contextlib.contextmanager
def redis_server(given: str | None) -> Iterator[str]:
    """The address of a Redis: the one that was given, or one of our own that keeps nothing."""
    if given is not None:
        yield given
        return
    program = shutil.which("redis-server")
    if program is None:
        raise SystemExit("redis-server is not installed; give --redis URL")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "s"
        command = [program, "--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "no"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=directory) as server:  # noqa: S603
            until = time.monotonic() + 20.0
            while not path.exists() and time.monotonic() < until:
                time.sleep(0.02)
            try:
                yield f"unix://{path}"
            finally:
                server.kill()


def blocking(client: aistrale.Client, calls: int) -> None:
    """One call after the other; no two ask for the same."""
    for _ in range(calls):
        client.run(f"{next(NUMBERS)} {PROMPT}", max_tokens=400)
    client.flush()


async def asynchronous(client: aistrale.AsyncClient, calls: int) -> None:
    """Some calls at a time."""

    async def some() -> None:
        for _ in range(calls // TOGETHER):
            await client.run(f"{next(NUMBERS)} {PROMPT}", max_tokens=400)

    await asyncio.gather(*(some() for _ in range(TOGETHER)))
    client.flush()


def begun() -> tuple[float, float]:
    """CPU and time now, after the garbage of others was collected."""
    gc.collect()
    return time.process_time(), time.perf_counter()


def ended(began: tuple[float, float], calls: int) -> tuple[float, float]:
    """Microseconds of both per call."""
    return (time.process_time() - began[0]) / calls * 1e6, (time.perf_counter() - began[1]) / calls * 1e6


def measure_blocking(made: dict[str, aistrale.Client], rounds: int, calls: int) -> Figures:
    """Every client, round by round."""
    figures: Figures = {name: [] for name in made}
    for client in made.values():
        blocking(client, 20)
    for _ in range(rounds):
        for name, client in made.items():
            began = begun()
            blocking(client, calls)
            figures[name].append(ended(began, calls))
    for client in made.values():
        client.close()
    return figures


async def measure_async(make: Callable[[], dict[str, aistrale.AsyncClient]], rounds: int, calls: int) -> Figures:
    """The same on an event loop."""
    made = make()
    figures: Figures = {name: [] for name in made}
    closing: list[Awaitable[None]] = []
    for client in made.values():
        await asynchronous(client, 20)
    for _ in range(rounds):
        for name, client in made.items():
            began = begun()
            await asynchronous(client, calls)
            figures[name].append(ended(began, calls))
    closing += [client.close() for client in made.values()]
    for each in closing:
        await each
    return figures


def show(title: str, figures: Figures) -> float:
    """Print them; the ratio of the CPU of a call that shares nothing but breakers."""
    print(f"\n{title:10} {'memory':>16} {'redis':>16} {'CPU ratio':>10} {'wall ratio':>11}   (CPU / wall, us)")
    first = 0.0
    for kind in KINDS:
        memory, redis = figures[f"{kind} memory"], figures[f"{kind} redis"]
        cells = [
            f"{statistics.median(cpu for cpu, _ in each):7.0f} /{statistics.median(wall for _, wall in each):7.0f}"
            for each in (memory, redis)
        ]
        cpu, wall = (
            statistics.median(with_[at] / without[at] for with_, without in zip(redis, memory, strict=True))
            for at in (0, 1)
        )
        first = first or cpu
        print(f"{kind:10} {cells[0]:>16} {cells[1]:>16} {cpu:10.2f} {wall:11.2f}")
    return first


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--redis")
    parser.add_argument("--strict", action="store_true")
    options = parser.parse_args(arguments)
    pin(1)
    with redis_server(options.redis) as url, serving() as base:
        common = {
            "providers": {"openai": {"api_key": KEY, "base_url": f"{base}/v1"}},
            "ledger": "off",
            "model": MODEL,
        }
        apart = "&" if "?" in url else "?"
        settings = {
            f"{kind} {state}": {
                **common,
                **own,
                **({"state": f"{url}{apart}prefix=bench-{kind}"} if state == "redis" else {}),
            }
            for kind, own in KINDS.items()
            for state in ("memory", "redis")
        }
        made = {name: aistrale.Client(**own) for name, own in settings.items()}
        ratio = show("blocking", measure_blocking(made, options.rounds, options.calls))
        figures = asyncio.run(
            measure_async(
                lambda: {name: aistrale.AsyncClient(**own) for name, own in settings.items()},
                options.rounds,
                options.calls,
            )
        )
        show("async", figures)
    good = ratio <= TARGET
    print(f"\na call that shares nothing but breakers within {TARGET:g} times the CPU: {'yes' if good else 'no'}")
    return 0 if good or not options.strict else 1


if __name__ == "__main__":
    sys.exit(main())
