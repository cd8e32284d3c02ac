"""Programs under `init()`, in processes of their own: with threads, on an event loop, and forking like gunicorn.

Each asks tagged questions through the official SDKs, plain and streamed; some streams are left early, and some answers
are errors or come from the fallback. A program prints what became of its calls, and how its process looks after each
slice of them.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

from aistrale.testing import Broken, Fault, Slow, simulator

ROOT = Path(__file__).resolve().parents[2]
SLICES = 10
# Far more than any program takes.
LONGEST = 1800
OUTCOMES = {"answered": "success", "left": "abandoned", "refused": "error", "broken": "interrupted"}
"""What a program counts, and what the ledger calls it."""

# `told`, `say`, the questions and what is checked of the answers.
PRELUDE = f"""
import asyncio, contextlib, gc, json, os, sys, threading, warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
sys.path.insert(0, {str(ROOT)!r})
told = json.loads(sys.argv[1])
import aistrale, openai
from tests.dropin.worlds import World

GPT, SLOW, CLAUDE = "gpt-5-mini", "gpt-5-nano", "claude-haiku-4-5"
counts = Counter()


def start(**more):
    return aistrale.init(**told["settings"], **more)


def asked(number):
    '''A question that no other call asks, and how its answer must read.'''
    question = f"Repeat tag-{{told['name']}}-{{os.getpid()}}-{{number}}-end, please."
    return question, f"This is a simulated answer to: {{question}}"


def messages(question):
    return [{{"role": "user", "content": question}}]


def check(text, expected, model, *, whole=True):
    '''Count an answer; one that belongs to another question is what this is all about.'''
    crossed = text != expected if whole else not expected.startswith(text)
    last = aistrale.last_call()
    counts["crossed"] += crossed
    counts["fallback"] += not last.target.endswith(f"/{{model}}")
    counts["answered" if whole else "left"] += 1


def check_id(headers):
    '''What is told about the last call must be about this one.'''
    counts["misattributed"] += headers["x-aistrale-call-id"] != aistrale.last_call().call_id


def failed(error):
    '''An error that the simulator was told to make.'''
    if getattr(error, "status_code", None) == 400:
        counts["refused"] += 1
    elif type(error) is openai.APIError:
        # The event by which a stream tells that it broke.
        counts["broken"] += 1
    else:
        counts[f"unexpected {{error!r}}"[:300]] += 1


def world():
    return World().told()


def say(**what):
    sys.stdout.write(json.dumps(what) + "\\n")
    sys.stdout.flush()
"""

ASKING = """
def deltas(chunk):
    return (chunk.choices[0].delta.content or "") if chunk.choices else ""


def ask(client, number):
    '''One call of OpenAI's SDK: every second streamed, every tenth left early, in one of two ways.'''
    question, expected = asked(number)
    completions, given = client.chat.completions, {"model": GPT, "messages": messages(question)}
    try:
        if number % 2:
            raw = completions.with_raw_response.create(**given)
            check_id(raw.headers)
            check(raw.parse().choices[0].message.content, expected, GPT)
        elif number % 10:
            check("".join(map(deltas, completions.create(**given, stream=True))), expected, GPT)
        else:
            stream = completions.create(**{**given, "model": SLOW}, stream=True)
            text = "".join(deltas(next(stream)) for _ in range(2 + number // 10 % 3))
            if number % 20:
                stream.close()
            del stream
            check(text, expected, SLOW, whole=False)
    except openai.APIError as error:
        failed(error)
"""

THREADED = (
    PRELUDE
    + ASKING
    + """
import anthropic


def ask_claude(client, number):
    question, expected = asked(number)
    given = {"model": CLAUDE, "max_tokens": 100, "messages": messages(question)}
    try:
        if number % 4 == 3:
            with client.messages.stream(**given) as stream:
                check("".join(stream.text_stream), expected, CLAUDE)
        else:
            check(client.messages.create(**given).content[0].text, expected, CLAUDE)
    except anthropic.APIError as error:
        failed(error)


def work(number):
    # A number of its own for each SDK, so that both do all that they can do.
    if number % 3:
        ask(openai_client, number - number // 3)
    else:
        ask_claude(claude_client, -number // 3)


def numbered(number):
    try:
        work(number)
    except Exception as error:
        counts[f"unexpected {error!r}"[:300]] += 1


start()
openai_client = openai.OpenAI(**told["openai"])
claude_client = anthropic.Anthropic(**told["anthropic"])
before = World()
worlds = []
size = told["calls"] // told["slices"]
lock = threading.Lock()
with ThreadPoolExecutor(8) as pool:
    for begin in range(0, told["calls"], size):
        list(pool.map(numbered, range(begin, begin + size)))
        assert aistrale.flush(60)
        worlds.append(world())
openai_client.close()
claude_client.close()
aistrale.shutdown()
say(counts=counts, worlds=worlds, before=before.told(), after=world())
"""
)

ASYNCIO = (
    PRELUDE
    + """
def deltas(chunk):
    return (chunk.choices[0].delta.content or "") if chunk.choices else ""


async def ask(client, number):
    question, expected = asked(number)
    completions, given = client.chat.completions, {"model": GPT, "messages": messages(question)}
    try:
        if number % 2:
            raw = await completions.with_raw_response.create(**given)
            check_id(raw.headers)
            check(raw.parse().choices[0].message.content, expected, GPT)
        elif number % 10:
            text = "".join([deltas(chunk) async for chunk in await completions.create(**given, stream=True)])
            check(text, expected, GPT)
        else:
            text = ""
            async with await completions.create(**{**given, "model": SLOW}, stream=True) as stream:
                for _ in range(2 + number // 10 % 3):
                    text += deltas(await anext(stream))
            check(text, expected, SLOW, whole=False)
    except openai.APIError as error:
        failed(error)


async def main():
    # Kept for the whole program, as an application would.
    client = openai.AsyncOpenAI(**told["openai"])
    size, worlds = told["calls"] // told["slices"], []
    for begin in range(0, told["calls"], size):
        numbers = iter(range(begin, begin + size))

        async def worker():
            for number in numbers:
                try:
                    await ask(client, number)
                except Exception as error:
                    counts[f"unexpected {error!r}"[:300]] += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(worker())
        assert await asyncio.to_thread(aistrale.flush, 60)
        # The SDK leaves the generators of streams that were left to the loop, which closes each in a task of one turn.
        gc.collect()
        for _ in range(5):
            await asyncio.sleep(0)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            counts[f"unexpected {task!r}"[:300]] += 1
        worlds.append(world())
    await client.close()
    return worlds


start()
before = World()
worlds = asyncio.run(main())
aistrale.shutdown()
say(counts=counts, worlds=worlds, before=before.told(), after=world())
"""
)

FORKING = (
    PRELUDE
    + ASKING
    + """
# What the workers inherit: an application that is loaded, set up, and has asked already.
start()
client = openai.OpenAI(**told["openai"])
with openai.OpenAI(**told["openai"]) as once:
    ask(once, 1)
aistrale.run("Hello", model="groq/openai/gpt-oss-20b")
counts["direct"] += 1
say(counts=counts)
WORKERS = 4


def serve(number):
    counts.clear()
    worlds, before = [], World()
    share = told["calls"] // WORKERS
    size = share // told["slices"]

    def numbered(number):
        try:
            ask(client, number)
        except Exception as error:
            counts[f"unexpected {error!r}"[:300]] += 1

    with ThreadPoolExecutor(2) as pool:
        for begin in range(0, share, size):
            list(pool.map(numbered, range(begin, begin + size)))
            aistrale.flush(60)
            worlds.append(world())
    say(counts=counts, worlds=worlds, before=before.told())
    if number % 2:
        aistrale.shutdown()
    # The others end as if they had been killed.


workers = []
for number in range(WORKERS):
    pid = os.fork()
    if not pid:
        code = 1
        try:
            serve(number)
            code = 0
        finally:
            os._exit(code)
    workers.append(pid)
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in workers]
counts.clear()
ask(client, 1)
client.close()
aistrale.shutdown()
say(counts=counts, codes=codes)
"""
)


class Report:
    """What a program said.

    Args:
        lines: What it printed, parsed.
        ledger: Its ledger.
        requests: How many requests arrived at the simulator, by provider, operation and status.
    """

    def __init__(self, lines, ledger, requests):
        self.lines = lines
        self.counts = sum((Counter(line["counts"]) for line in lines), Counter())
        self.ledger = ledger
        self.requests = requests

    @property
    def calls(self):
        """How many calls ended somehow."""
        return sum(self.counts[name] for name in (*OUTCOMES, "direct"))

    def outcomes(self):
        """What the ledger should hold."""
        outcomes: Counter[str] = Counter({"success": self.counts["direct"]})
        for name, outcome in OUTCOMES.items():
            outcomes[outcome] += self.counts[name]
        return +outcomes

    def check(self, calls):
        """No crossed answer, nothing unexpected, and a row for every call."""
        counts = self.counts
        assert self.calls == calls, counts
        assert counts["crossed"] == counts["misattributed"] == 0, counts
        assert not [name for name in counts if name.startswith("unexpected")], counts
        # All that was to happen has happened.
        assert all(counts[name] for name in ("answered", "left", "fallback", "refused", "broken")), counts
        with contextlib.closing(sqlite3.connect(self.ledger)) as ledger:

            def ask(query):
                return ledger.execute(query).fetchall()

            assert ask("SELECT count(*), count(DISTINCT call_id) FROM calls") == [(calls, calls)]
            told = Counter(dict(ask("SELECT outcome, count(*) FROM calls GROUP BY outcome")))
            # On a busy machine a stream may have arrived whole before it is left, which is a success.
            late = self.outcomes()["abandoned"] - told["abandoned"]
            assert 0 <= late <= counts["left"] * 3 // 4, (told, counts)
            assert told + Counter(abandoned=late) - Counter(success=late) == self.outcomes(), (told, counts)
            assert ask("SELECT count(*) FROM intents WHERE settled = 0") == [(0,)]
            # Every request that arrived is in the books.
            arrived = sum(self.requests.values())
            assert ask("SELECT count(*) FROM attempts") == [(arrived,)], self.requests
            assert ask("SELECT count(*) FROM rejected") == [(0,)]


def run(name, program, tmp_path, calls, *, slices=SLICES):
    """Run a program to its end.

    Args:
        name: Of the program; a part of its tags.
        program: Its text.
        tmp_path: Where its ledger is.
        calls: How many it is to make; a forking one makes three more.
        slices: After how many parts of them it looks at itself.
    """
    ledger = tmp_path / "ledger.sqlite3"
    with simulator(keep=10) as sim:
        # Streams that are left early must still be on their way then.
        sim.outage("openai", model="gpt-5-nano", every=3)
        sim.outage("openai", Slow(between=0.03), model="gpt-5-nano")
        sim.outage("groq", Slow(between=0.03), model="openai/gpt-oss-120b")
        sim.outage("openai", every=23)
        sim.outage("anthropic", Fault(status=529), every=13)
        sim.outage("openai", Broken(wreck="html"), every=31)
        sim.outage("openai", Fault(status=400), every=43)
        # A stream that ends early; what is not streamed comes cut short, and is asked for elsewhere.
        # Often enough that a short run sees one too.
        sim.outage("openai", Broken(wreck="truncate", after=4), every=29 if calls >= 1000 else 13)
        told = {
            "name": name,
            "calls": calls,
            "slices": slices,
            "openai": {"base_url": sim.base_url("openai"), "api_key": "k"},
            "anthropic": {"base_url": sim.base_url("anthropic"), "api_key": "k"},
            "settings": {
                **sim.settings(),
                "ledger": f"sqlite:///{ledger}",
                "routes": {
                    "gpt-5-mini": ["openai/gpt-5-mini", "groq/openai/gpt-oss-20b"],
                    "gpt-5-nano": ["openai/gpt-5-nano", "groq/openai/gpt-oss-120b"],
                    "claude-*": ["anthropic/claude-haiku-4-5", "gemini/gemini-2.5-flash"],
                },
            },
        }
        done = subprocess.run(
            [
                sys.executable,
                "-W",
                "error",
                "-W",
                "ignore:This process:DeprecationWarning",
                "-c",
                program,
                json.dumps(told),
            ],
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
            cwd=tmp_path,
        )
        requests = sim.stats()["by"]
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
    return Report([json.loads(line) for line in done.stdout.splitlines()], ledger, requests)
