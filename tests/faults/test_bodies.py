"""Rows 45 and 48 to 50: bodies that are coded wrongly, without end, or say nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from aistrale.errors import NetworkError, ResponseError
from tests.faults.matrix import ALL, BOTH, HTTPS, answers, both, fails, params

BAD = (NetworkError, ResponseError)
# Kilobytes of memory that a client and the largest answer that it accepts may take together.
MOST_MEMORY = 150_000
ROOT = Path(__file__).resolve().parents[2]

CODED = [
    *(
        both(48, fault, fails(BAD, a=2), colours=colours)
        for fault, colours in (
            ("garbage_gzip", ALL),
            ("truncated_gzip", ("sync", "asyncio")),
            ("unknown_encoding", ("sync", "asyncio")),
        )
    ),
    *(
        both(48, fault, answers("b", a=1, b=1), name=f"{fault} to b", fallback=True)
        for fault in ("truncated_gzip", "unknown_encoding")
    ),
]
EMPTY = [
    *(
        both(
            50,
            fault,
            fails(ResponseError, a=2),
            provider=provider,
            breaker=counted,
            colours=ALL if provider == "compatible" else BOTH,
        )
        for fault, counted in (("empty_200", "failure"), ("empty_object", None), ("no_choices", "slow"))
        for provider in ("compatible", "openai", "anthropic", "gemini", "groq", "huggingface")
    ),
    *(
        both(50, fault, answers("b", a=1, b=1), name=f"{fault} to b", fallback=True)
        for fault in ("empty_200", "empty_object", "no_choices")
    ),
    both(50, "no_choices", answers("a", a=2), name="no_choices once", script=("no_choices", "ok")),
]


BOMB = both(49, "gzip_bomb:mb=5", fails(BAD, a=2))


@pytest.mark.parametrize(("case", "streamed"), params(*CODED, *EMPTY, BOMB))
def test_row(play, case, streamed):
    play(case, streamed)


# --- 49: more than anybody wants ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "streamed"),
    params(
        both(49, "huge_body:size=70000000", fails(BAD, a=1)),
        both(49, "huge_body:size=70000000", answers("b", a=1, b=1), name="huge_body to b", fallback=True),
    ),
)
def test_49_a_body_beyond_reason_is_refused(play, case, streamed):
    # Each of them takes the server a while to write: one library will do, the reader is ours in both.
    play(case, streamed, http=HTTPS[-1:])


MEASURED = """
import asyncio, json, pathlib, re, sys
import aistrale

told = json.loads(sys.argv[1])


def client(fault):
    url = f"http://127.0.0.1:{told['port']}/f/{fault}/v1"
    provider = {"base_url": url, "api_key": "k", "compatible": "openai_chat"}
    return aistrale.Client(providers={"a": provider}, ledger="off", retry=False, http=told["http"], timeout=60)


def error_of(ask):
    try:
        return f"an answer: {ask()!r}"
    except aistrale.errors.AistraleError as error:
        return type(error).__name__


async def awaited(made, streamed):
    own = made.as_async()
    try:
        if not streamed:
            return await own.run("Hi", model="a/m")
        async with own.stream("Hi", model="a/m") as stream:
            return await stream.result()
    finally:
        await own.close()


seen = []
for fault in told["faults"]:
    for streamed in (False, True):
        made = client(fault)
        if told["colour"] == "asyncio":
            seen.append(error_of(lambda: asyncio.run(awaited(made, streamed))))
        elif streamed:
            seen.append(error_of(lambda: made.stream("Hi", model="a/m").result()))
        else:
            seen.append(error_of(lambda: made.run("Hi", model="a/m")))
        made.close()
# Not ru_maxrss, which begins with what the parent had when it forked.
most = re.search("VmHWM: *\t* *([0-9]+) kB", pathlib.Path("/proc/self/status").read_text())[1]
print(json.dumps({"seen": seen, "memory": int(most)}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much memory a process ever had")
@pytest.mark.parametrize("colour", ["sync", "asyncio"])
@pytest.mark.parametrize("http", HTTPS)
def test_45_and_49_memory_stays_bounded(server, colour, http):
    faults = ["huge_header:size=5000000", "many_headers:n=300000", "gzip_bomb:mb=8", "huge_body:size=70000000"]
    # A body whose length is not told beforehand.
    faults.append("sse_giant_line:mb=70")
    told = {"port": server.ports["http"], "colour": colour, "http": http, "faults": faults}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", MEASURED, json.dumps(told)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    assert set(result["seen"]) <= {"NetworkError", "ResponseError"}, result["seen"]
    assert result["memory"] < MOST_MEMORY, result["memory"]
