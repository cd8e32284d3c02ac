"""What counting tokens costs: loading and counting against `tiktoken` itself, and what stands on the way of calls.

    python benchmarks/tokens.py [--rounds 7]

Loading is measured in fresh processes: seconds, and megabytes of resident memory more than before. tiktoken's own way
reads its rank file from its cache directory, which is filled for it from ours, so that neither downloads anything.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
import timeit
from pathlib import Path
from typing import TYPE_CHECKING

from aistrale.cost.tokens import encodings, foreign
from aistrale.cost.tokens.by_length import StreamCounter, estimate_request
from aistrale.cost.tokens.calibration import Calibration, Sampler
from aistrale.cost.tokens.counters import count_request
from aistrale.cost.tokens.prediction import predict
from aistrale.types import Message, Request, TextDelta

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]
URL = "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken"
MEASURE = """
import time
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6
{before}
size, begin = resident(), time.perf_counter()
{code}
print(time.perf_counter() - begin, resident() - size)
"""
LOADS = {
    "tiktoken.get_encoding": ("import tiktoken", 'tiktoken.get_encoding("o200k_base")'),
    "o200k_base": ("from aistrale.cost.tokens.encodings import encoding; import tiktoken", 'encoding("o200k_base")'),
    "cl100k_base": ("from aistrale.cost.tokens.encodings import encoding; import tiktoken", 'encoding("cl100k_base")'),
    "Claude's and Gemini's": (
        'from aistrale.cost.tokens import foreign, encodings; encodings.encoding("o200k_base")',
        'foreign.count("a", "claude-3"); foreign.count("a", "claude-4.7"); foreign.count("a", "gemini")',
    ),
}


def load(rounds: int) -> None:
    """Print seconds and megabytes of loading."""
    print(f"{'loading':28}{'seconds':>9}{'MB':>7}")
    with tempfile.TemporaryDirectory() as cache:
        lines = b"".join(
            b"%s %d\n" % (base64.b64encode(token), rank) for token, rank in encodings.ranks("o200k_base").items()
        )
        name = hashlib.sha1(URL.encode(), usedforsecurity=False).hexdigest()
        (Path(cache) / name).write_bytes(lines)
        environment = {**os.environ, "TIKTOKEN_CACHE_DIR": cache, "PYTHONPATH": str(ROOT)}
        for title, (before, code) in LOADS.items():
            runs = []
            for _ in range(rounds):
                script = MEASURE.format(before=before, code=code)
                done = subprocess.run(  # noqa: S603 - the code above, in this interpreter
                    [sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True
                )
                runs.append([float(word) for word in done.stdout.split()])
            seconds, size = (statistics.median(column) for column in zip(*runs, strict=True))
            print(f"{title:28}{seconds:9.2f}{size:7.0f}")


def best(code: Callable[[], object], rounds: int, number: int = 1) -> float:
    """Seconds of the median round, for one execution."""
    return statistics.median(timeit.repeat(code, number=number, repeat=rounds)) / number


def speed(rounds: int) -> None:
    """Print characters per second, on this repository's documentation and code."""
    files = [*sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("aistrale/core/*.py"))]
    text = "".join(path.read_text(encoding="utf-8") for path in files)[:1_000_000]
    plain = encodings.encoding("o200k_base").encode_ordinary
    assert encodings.count(text) == len(plain(text))
    print(f"\n{'counting':28}{'million characters a second':>28}")
    for title, code in {
        "tiktoken.encode_ordinary": lambda: plain(text),
        "o200k_base": lambda: encodings.count(text),
        "cl100k_base": lambda: encodings.count(text, "cl100k_base"),
        "claude-4.7": lambda: foreign.count(text, "claude-4.7"),
        "gemini": lambda: foreign.count(text, "gemini"),
    }.items():
        code()
        print(f"{title:28}{len(text) / best(code, rounds) / 1e6:28.1f}")
    print(f"\n{'100,000 characters':28}{'milliseconds':>28}")
    for title, letters in {"one letter": "a", "blanks": " ", "signs": "!", "emoji": "\U0001f600"}.items():
        odd = letters * 100_000
        print(f"{title:28}{best(lambda odd=odd: encodings.count(odd), rounds) * 1e3:28.0f}")


def calls(rounds: int) -> None:
    """Print what stands on the way of a call, microseconds."""
    request = Request(model="gpt-4o", messages=[Message.system("Be brief."), Message.user("word " * 400)])
    counter, event = StreamCounter(), TextDelta("a few words")
    sampler = Sampler(Calibration(), lambda _row: None, now=time.time)
    for _ in range(40):
        sampler.offer(("c", 1), "openai", "gpt-4o", request, 420)
    rows: dict[str, Callable[[], object]] = {
        "StreamCounter.feed": lambda: counter.feed(event),
        "Sampler.offer": lambda: sampler.offer(("c", 1), "openai", "gpt-4o", request, 420),
        "estimate_request": lambda: estimate_request(request),
        "count_request, OpenAI": lambda: count_request(request, "openai", "gpt-4o"),
        "count_request, Claude": lambda: count_request(request, "anthropic", "claude-sonnet-5"),
        "predict, 1,000 answers": lambda: predict(request, "openai", "gpt-4o", history=range(1000)),
    }
    print(f"\n{'one call of':28}{'microseconds':>28}")
    for title, code in rows.items():
        code()
        print(f"{title:28}{best(code, rounds, 1000) * 1e6:28.2f}")
    sampler.close(1.0)


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rounds", type=int, default=7)
    rounds = arguments.parse_args().rounds
    load(rounds)
    speed(rounds)
    calls(rounds)


if __name__ == "__main__":
    main()
