"""What the decorator costs: a function that does nothing, with it and without; a generator's item; an event at the end.

    python benchmarks/decorator.py [--rounds 9] [--calls 20000]

Rounds of all candidates are interleaved; the median and the best round are printed, in microseconds of the calling
thread.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from typing import TYPE_CHECKING

import aistrale

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


def nothing(value: int) -> int:
    """The least that a function does."""
    return value


async def nothing_async(value: int) -> int:
    """Likewise."""
    return value


def items(count: int) -> Iterator[int]:
    """The least that a generator does."""
    yield from range(count)


async def items_async(count: int) -> AsyncIterator[int]:
    """Likewise."""
    for number in range(count):
        yield number


class Nowhere:
    """A sink that takes everything and keeps nothing."""

    name = "nowhere"

    def write(self, batch: object) -> None:
        """Let go of it."""


async def _awaited(count: int) -> None:
    decorated = aistrale.llm(nothing_async)
    for number in range(count):
        await decorated(number)


async def _read(count: int) -> None:
    async for _ in aistrale.llm(items_async)(count):
        pass


def _called(function: Callable[[int], object]) -> Callable[[int], None]:
    def run(count: int) -> None:
        for number in range(count):
            function(number)

    return run


def _consumed(function: Callable[[int], Iterator[int]]) -> Callable[[int], None]:
    def run(count: int) -> None:
        for _ in function(count):
            pass

    return run


def _blocks(count: int) -> None:
    for _ in range(count):
        with aistrale.context(user="ada"):
            pass


def measured(candidates: dict[str, Callable[[int], None]], rounds: int, calls: int) -> None:
    """Print a line for each."""
    found: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, run in candidates.items():
            begun = time.thread_time()
            run(calls)
            found[name].append((time.thread_time() - begun) / calls * 1e6)
    for name, times in found.items():
        print(f"{name:44} median {statistics.median(times):7.3f} us   best {min(times):7.3f} us")


def main() -> None:
    """Measure without sinks, then with one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=20_000)
    given = parser.parse_args()
    measured(
        {
            "a call without": _called(nothing),
            "a call": _called(aistrale.llm(nothing)),
            "a call with values and a deadline": _called(
                aistrale.llm(user="ada", tags={"a": "b"}, deadline=5.0)(nothing)
            ),
            "an await": lambda count: asyncio.run(_awaited(count)),
            "an item without": _consumed(items),
            "an item": _consumed(aistrale.llm(items)),
            "an item of an async generator": lambda count: asyncio.run(_read(count)),
            "a with aistrale.context(...)": _blocks,
        },
        given.rounds,
        given.calls,
    )
    with aistrale.init(sinks=[Nowhere()], ledger="off"):
        measured({"a call, with a sink": _called(aistrale.llm(nothing))}, given.rounds, given.calls)
    aistrale.shutdown()


if __name__ == "__main__":
    main()
