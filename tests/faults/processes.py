"""Programs that make calls in processes of their own, in every mode one after the other, and what they must print."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.matrix import BOTH, HTTPS, KEY

ROOT = Path(__file__).resolve().parents[2]
MODES = [
    {"colour": colour, "http": http, "streamed": streamed}
    for colour, http, streamed in itertools.product(BOTH, HTTPS, (False, True))
]
"""All that the rows ask for: eight modes."""

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
# What Python 3.12 has to say about forks in processes with threads, which is what some rows are about.
QUIET = "import warnings; warnings.filterwarnings('ignore', 'This process .* is multi-threaded')\n"
# Far more than any program takes.
LONGEST = 120

# `settings` of a mode, a `Caller` of a mode, and `modes`. A program may go on from here with whatever it likes.
PRELUDE = f"""
import asyncio, contextlib, gc, json, os, pathlib, random, signal, sys, threading, time
sys.path.insert(0, {str(ROOT)!r})
told = json.loads(sys.argv[1])
import aistrale

modes = told["modes"]


def settings(mode, **more):
    return {{**told["settings"], "http": mode["http"], "ledger": mode["ledger"], **more}}


class Caller:
    def __init__(self, mode, client=None, **more):
        self.mode, self.client = mode, client or aistrale.Client(**settings(mode, **more))

    def ask(self, **options):
        options.setdefault("model", "a/m")
        if self.mode["colour"] == "asyncio":
            return asyncio.run(self.awaited(**options))
        if not self.mode["streamed"]:
            return self.client.run("Hi", **options)
        with self.client.stream("Hi", **options) as stream:
            return stream.result()

    async def awaited(self, **options):
        options.setdefault("model", "a/m")
        client = self.client.as_async()
        if not self.mode["streamed"]:
            return await client.run("Hi", **options)
        async with client.stream("Hi", **options) as stream:
            return await stream.result()

    def together(self, count, **options):
        '''So many calls at once: their answers and errors.'''
        if self.mode["colour"] == "asyncio":
            async def all_of_them():
                calls = (self.awaited(**options) for _ in range(count))
                return await asyncio.gather(*calls, return_exceptions=True)
            return asyncio.run(all_of_them())
        found = []
        def work():
            try:
                found.append(self.ask(**options))
            except Exception as error:
                found.append(error)
        threads = [threading.Thread(target=work) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    def end(self):
        self.client.close()
        self.client.ledger.close()


def say(**what):
    print(json.dumps(what), flush=True)
"""


def told(server, tmp_path, *, fault="ok", second="ok", modes=MODES, one_ledger=False, **settings):
    """What a program is told: settings of a client with the targets a and b, and a ledger for every mode.

    Args:
        server: The fault server.
        tmp_path: Where the ledgers are.
        fault: Of target a.
        second: Of target b.
        modes: Which modes.
        one_ledger: Whether all modes share one.
        **settings: Further ones, or instead of those given here.
    """
    providers = {
        target: {"base_url": f"{server.url(name)}/v1", "api_key": f"{KEY}-{target}", "compatible": "openai_chat"}
        for target, name in (("a", fault), ("b", second))
    }
    common = {
        "providers": providers,
        "routes": {"chat": ["a/m", "b/m"]},
        "timeout": 20.0,
        "retry": {"base": 0.001, "cap": 0.002},
        "trust_env": False,
    }
    ledgers = [tmp_path / f"ledger-{0 if one_ledger else number}.sqlite3" for number, _ in enumerate(modes)]
    return {
        "settings": {**common, **settings},
        "modes": [{**mode, "ledger": f"sqlite:///{path}"} for mode, path in zip(modes, ledgers, strict=True)],
        "ledgers": [str(path) for path in ledgers],
    }


def start(program, what, *, before="", file=None):
    """Start a program; it has read what it is told and made nothing yet.

    Args:
        program: Its text, after the prelude.
        what: From `told`.
        before: Its text before the library is loaded.
        file: Where the text is to stand, for those whose children look for it.
    """
    text = before + PRELUDE + program
    where = ["-c", text]
    if file is not None:
        file.write_text(text)
        where = [str(file)]
    return subprocess.Popen(
        [sys.executable, "-W", "error", *where, json.dumps(what)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Away from any settings file, and from what the tests' own process may write.
        cwd=Path(what["ledgers"][0]).parent,
        # A group of its own, so that a child which hangs can be ended with it: it would hold the pipes open.
        start_new_session=True,
    )


def finish(process, *, noisy=False):
    """What a program has said, after it ended well; without complaints of the interpreter, unless it may be noisy."""
    try:
        printed, errors = process.communicate(timeout=LONGEST)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError(f"the program hangs: {process.communicate()[1][-3000:]}") from None
    assert process.returncode == 0, errors[-3000:]
    assert KEY not in errors, "I7: a key was printed"
    assert noisy or "Traceback" not in errors, errors[-3000:]
    return [json.loads(line) for line in printed.splitlines()]


def run(program, what, *, noisy=False, **more):
    """Run a program to its end; what it has said."""
    return finish(start(program, what, **more), noisy=noisy)
