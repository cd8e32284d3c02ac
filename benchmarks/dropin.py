"""What the drop-in costs: the same call of an official SDK through aistrale and without, in the same run.

The SDK's client is the same but for `aistrale.wrap`; every default policy and the journal are on, and each measurement
ends with a flush of the ledger. Figures and rounds are those of overhead.py.

    python benchmarks/dropin.py [--rounds 7] [--calls 200] [--only sync,async,stream] [--strict]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from typing import TYPE_CHECKING

import anthropic
import openai
from overhead import CLAUDE, KEY, MODEL, PROMPT, Figure, clocked, load, summary, table
from server import PIECES, TEXT, pin, serving

import aistrale

if TYPE_CHECKING:
    from collections.abc import Callable

    from overhead import Cost, Measure

MESSAGES = [{"role": "user", "content": PROMPT}]
# The share of CPU that the drop-in may add to a plain call.
PLAIN = 1.10
# Pieces of a stream come one by one.
PACED = "/pace0.4"
# A stream should be no dearer than the bare SDK's.
STREAM = 1.00


def openai_whole(client: openai.OpenAI) -> int:
    """One call; gives 1."""
    assert client.chat.completions.create(model=MODEL, messages=MESSAGES).choices[0].message.content == TEXT
    return 1


def anthropic_whole(client: anthropic.Anthropic) -> int:
    """One call; gives 1."""
    assert client.messages.create(model=CLAUDE, max_tokens=400, messages=MESSAGES).content[0].text == TEXT
    return 1


def openai_stream(client: openai.OpenAI) -> int:
    """One stream; gives the number of its pieces."""
    options = {"stream": True, "stream_options": {"include_usage": True}}
    stream = client.chat.completions.create(model=MODEL, messages=MESSAGES, **options)
    return sum(1 for chunk in stream if chunk.choices and chunk.choices[0].delta.content)


def openai_uncounted(client: openai.OpenAI) -> int:
    """One stream that is not asked to count its tokens, which aistrale does; gives the number of its pieces."""
    stream = client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    return sum(1 for chunk in stream if chunk.choices and chunk.choices[0].delta.content)


def anthropic_stream(client: anthropic.Anthropic) -> int:
    """One stream; gives the number of its pieces."""
    with client.messages.stream(model=CLAUDE, max_tokens=400, messages=MESSAGES) as stream:
        return sum(1 for _ in stream.text_stream)


def repeated(call: Callable[[], int], count: int, expected: int) -> Measure:
    """So many calls, and what they leave to be done."""
    assert call() == expected

    def work() -> int:
        units = sum(call() for _ in range(count))
        aistrale.flush()
        return units

    return lambda: clocked(work)


def blocking(base: str, rounds: int, count: int, *, stream: bool, words: str = "") -> list[Figure]:
    """The blocking clients of both SDKs."""
    expected = PIECES if stream else 1
    made = {
        "openai": (openai.OpenAI(base_url=f"{base}{words}/v1", api_key=KEY), openai_stream if stream else openai_whole),
        "anthropic": (
            anthropic.Anthropic(base_url=f"{base}{words}", api_key=KEY),
            anthropic_stream if stream else anthropic_whole,
        ),
    }
    if stream:
        made["openai uncounted"] = made["openai"][0].copy(), openai_uncounted
    rows: dict[str, Measure] = {}
    for name, (client, call) in made.items():
        rows[name] = repeated(lambda client=client, call=call: call(client), count, expected)
        own = aistrale.wrap(client.copy(http_client=type(client._client)(base_url=client.base_url)))  # noqa: SLF001
        rows[f"{name} + aistrale"] = repeated(lambda own=own, call=call: call(own), count, expected)
    what = f"{'stream' if stream else 'call'}{' piece by piece' if words else ''}"
    result = table(f"blocking {what}", rows, tuple(made), rounds)
    limit = STREAM if stream else PLAIN
    return [Figure(f"{name}, blocking {what}", result.ratio(f"{name} + aistrale", name), limit) for name in made]


async def async_load(base: str, calls: int, flight: int, *, covered: bool) -> Cost:
    """OpenAI's async client with so many calls at once."""
    async with openai.AsyncOpenAI(base_url=f"{base}/v1", api_key=KEY) as client:
        if covered:
            aistrale.wrap(client)

        async def call() -> int:
            answer = await client.chat.completions.create(model=MODEL, messages=MESSAGES)
            assert answer.choices[0].message.content == TEXT
            return 1

        return await load(call, flight, calls, aistrale.flush)


def awaiting(base: str, rounds: int, calls: int) -> list[Figure]:
    """OpenAI's async client."""
    rows: dict[str, Measure] = {}
    for flight in (1, 50):
        for name, covered in (("openai", False), ("openai + aistrale", True)):
            rows[f"{name} @{flight}"] = lambda flight=flight, covered=covered: asyncio.run(
                async_load(base, calls, flight, covered=covered)
            )
    result = table("async, per call; @ calls in flight", rows, ("openai",), rounds)
    return [
        Figure(
            f"openai, async, {flight} in flight",
            result.ratio(f"openai + aistrale @{flight}", f"openai @{flight}"),
            PLAIN,
        )
        for flight in (1, 50)
    ]


def main() -> int:
    """Start the server, run what was asked for, print; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--only", default="sync,async,stream")
    parser.add_argument("--strict", action="store_true")
    options = parser.parse_args()
    wanted = options.only.split(",")
    print(f"Python {sys.version.split()[0]}, openai {openai.__version__}, anthropic {anthropic.__version__}", end=", ")
    print(f"aistrale {aistrale.__version__}")
    pin(0)
    figures: list[Figure] = []
    with serving() as base, tempfile.TemporaryDirectory() as directory:
        # Streams are asked to count where the settings name the server.
        named = {"openai": "", "paced": PACED}
        providers = {
            name: {"base_url": f"{base}{words}/v1", "api_key": KEY, "compatible": "openai_chat"}
            for name, words in named.items()
        }
        aistrale.init(ledger=f"sqlite:///{directory}/ledger.db", instrument=False, providers=providers)
        if "sync" in wanted:
            figures += blocking(base, options.rounds * 3, options.calls, stream=False)
        if "stream" in wanted:
            figures += blocking(base, options.rounds, 4, stream=True)
            figures += blocking(base, options.rounds, 1, stream=True, words=PACED)
        if "async" in wanted:
            figures += awaiting(base, options.rounds, options.calls)
        aistrale.shutdown()
    met = summary(figures)
    return 0 if met or not options.strict else 1


if __name__ == "__main__":
    sys.exit(main())
