"""Forks, spawned processes, threads, loops, and every way in which an interpreter ends."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import trio

import aistrale
from aistrale import default, errors
from aistrale.core.runtime import run_sync
from aistrale.testing import Slow
from aistrale.types import Cost, Request, Tool, Usage

ROOT = Path(__file__).resolve().parents[2]
MODEL = "openai/gpt-5-mini"
ECHO = "This is a simulated answer to: "
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.fixture
def client(sim):
    with aistrale.Client(**sim.settings()) as made:
        yield made
    made.ledger.close()


def ask_all(client, who, count):
    """Whether every answer was the one to its own question."""
    for number in range(count):
        text = f"{who} {number}"
        if client.run(text, model=MODEL).text != ECHO + text:
            return False
        if client.stream(text, model=MODEL).result().text != ECHO + text:
            return False
    return True


def in_child(work):
    """Run work in a forked child; its exit status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if work() else 2
        finally:
            os._exit(status)
    return pid


@forks
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_both_sides_of_a_fork_go_on_with_their_own_answers(client, balance):
    client.run("before", model=MODEL)
    open_stream = client.stream("one two three", model=MODEL)
    next(open_stream)
    children = [in_child(lambda who=f"child {number}": ask_all(client, who, 5)) for number in range(4)]
    assert ask_all(client, "parent", 10)
    assert open_stream.result().text == ECHO + "one two three"
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0, 0]
    # The children ended without any clean-up; their rows are in their journals, which the next process adopts.
    assert client.flush()
    balance(client, 2 + 2 * 10 + 4 * 2 * 5)


@forks
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_in_the_middle_of_setting_up_does_not_deadlock(sim):
    client = aistrale.Client(**sim.settings())
    with client._engine._lock, default._lock:
        pid = in_child(lambda: ask_all(client, "child", 2) and aistrale.init(**sim.settings()).run("Hi", model=MODEL))
    watchdog = threading.Timer(20, os.kill, (pid, signal.SIGKILL))
    watchdog.start()
    assert os.waitpid(pid, 0)[1] == 0
    watchdog.cancel()
    client.close()


def spawned_worker(settings, number):
    """Runs in another process; module level, so that it can be found there."""
    with aistrale.Client(**settings) as client:
        answer = client.run(f"worker {number}", model=MODEL)
        try:
            client.run("Hi", model=MODEL, temperature=99)
        except errors.InvalidRequestError as error:
            return answer, error
    return answer, None


def test_spawned_processes_share_the_ledger_and_send_answers_and_errors_home(sim, client, balance):
    script = textwrap.dedent(
        f"""
        import json, pickle, sys
        sys.path.insert(0, {str(ROOT)!r})
        import aistrale
        client = aistrale.Client(**json.loads(sys.argv[1]))
        answer = client.run("worker", model={MODEL!r})
        try:
            client.run("Hi", model={MODEL!r}, temperature=99)
        except aistrale.AistraleError as error:
            sys.stdout.buffer.write(pickle.dumps((answer, answer.message, error)))
        """
    )
    argument = json.dumps(sim.settings())
    children = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", script, argument], stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    for child in children:
        answer, message, error = pickle.loads(child.communicate(timeout=60)[0])  # noqa: S301 - written by our own child
        assert child.returncode == 0
        assert (answer.text, answer.message, answer.output) == (ECHO + "worker", message, None)
        assert isinstance(answer.usage, Usage)
        assert isinstance(answer.cost, Cost)
        assert (error.param, error.status) == ("temperature", None)
    balance(client, 6)


def test_a_pool_of_processes(sim):
    context = multiprocessing.get_context("spawn")
    # What is pickled by reference must be importable there, which tests are not.
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        answer = pool.submit(copy.deepcopy, aistrale.Message.user("Hi")).result(60)
    assert answer == aistrale.Message.user("Hi")


@pytest.mark.parametrize(
    "error",
    [
        errors.ConfigurationError("m", field="f", provider="p", target="t", hint="h"),
        errors.RateLimitError("m", status=429, provider="p", target="t", attempt=2, request_id="r", retry_after=1.5),
        errors.OutputValidationError("m", code="c", param="p"),
        errors.ConnectError("m", phase="connect", sent=False, hint="h"),
        errors.StreamInterrupted("m", partial_text="x", usage=Usage(input=3), request_id="r"),
        errors.AttemptTimeout("m", provider="p", phase="body", sent=True),
        errors.DeadlineExceeded("m", provider="p", attempt=1),
        errors.AllTargetsFailed("m", [errors.ServerError("a", status=500), errors.ConnectError("b")]),
        errors.Suspended("m"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("way", ["pickle", "copy", "deepcopy"])
def test_errors_keep_their_facts_on_the_way_to_another_process(error, way):
    made = {"pickle": lambda: pickle.loads(pickle.dumps(error)), "copy": lambda: copy.copy(error)}.get(  # noqa: S301
        way, lambda: copy.deepcopy(error)
    )()
    assert type(made) is type(error)
    assert str(made) == str(error)

    def facts(of):
        return {name: value for name, value in vars(of).items() if name != "__notes__"}

    assert facts(made) == facts(error)
    if isinstance(error, errors.AllTargetsFailed):
        assert [str(each) for each in made.exceptions] == [str(each) for each in error.exceptions]


def test_requests_and_answers_are_copied_whole(client):
    request = Request(
        model="m",
        messages=[aistrale.Message.user("Hi", aistrale.image(b"\x89PNG\r\n\x1a\n"))],
        tools=[Tool("f", parameters={"type": "object"}, function=len)],
        extra={"x": [1]},
    )
    answer = client.run("Hi", model=MODEL)
    for thing in (request, answer, answer.message, answer.usage):
        for made in (copy.copy(thing), copy.deepcopy(thing), pickle.loads(pickle.dumps(thing))):  # noqa: S301
            assert made == thing
            assert made is not thing
    copied = copy.deepcopy(request)
    copied.extra["x"].append(2)
    copied.messages[0].parts.clear()
    assert request.extra == {"x": [1]}
    assert len(request.messages[0].parts) == 2


def test_sixteen_threads_and_three_loops_share_one_client(client, balance):
    failures = []

    def blocking(number):
        if not ask_all(client, f"thread {number}", 5):
            failures.append(number)

    async def awaiting(number):
        ours = client.as_async()
        texts = [f"loop {number} {index}" for index in range(10)]
        answers = [None] * len(texts)

        async def one(index):
            answers[index] = (await ours.run(texts[index], model=MODEL)).text

        if number == "trio":
            async with trio.open_nursery() as nursery:
                for index in range(len(texts)):
                    nursery.start_soon(one, index)
        else:
            await asyncio.gather(*map(one, range(len(texts))))
        if answers != [ECHO + text for text in texts]:
            failures.append(number)

    threads = [threading.Thread(target=blocking, args=(number,)) for number in range(16)]
    threads += [threading.Thread(target=lambda n=number: asyncio.run(awaiting(n))) for number in range(2)]
    threads += [threading.Thread(target=lambda: trio.run(awaiting, "trio"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    balance(client, 16 * 10 + 3 * 10)


def test_many_loops_one_after_the_other(client, balance, no_leak):
    async def ask(number):
        assert (await client.as_async().run(f"{number}", model=MODEL)).text == f"{ECHO}{number}"
        async with client.as_async().stream(f"{number}", model=MODEL) as stream:
            assert (await stream.result()).text == f"{ECHO}{number}"

    with no_leak():
        for number in range(10):
            asyncio.run(ask(number))
            trio.run(ask, number)
        asyncio.run(client.as_async().close())
    balance(client, 40)


def test_cells_of_a_notebook(client, balance):
    """One loop runs for ever; each cell is a coroutine in it, and may use the blocking names as well."""
    cells = [
        "answer = client.run('one', model=MODEL)",
        "answer2 = await client.as_async().run('two', model=MODEL)",
        "text = ''.join(client.stream('three', model=MODEL).texts())",
        "async with client.as_async().stream('four', model=MODEL) as stream:\n    last = await stream.result()",
        "import asyncio\nboth = await asyncio.gather(*(client.as_async().run('five', model=MODEL) for _ in range(3)))",
        "client.run('six', model=MODEL)",
    ]
    space = {"client": client, "MODEL": MODEL}

    async def kernel():
        for cell in cells:
            code = compile(cell, "<cell>", "exec", flags=__import__("ast").PyCF_ALLOW_TOP_LEVEL_AWAIT)
            result = eval(code, space)  # noqa: S307 - what a notebook does
            if asyncio.iscoroutine(result):
                await result
            await asyncio.sleep(0)
        await client.as_async().close()

    asyncio.run(kernel())
    assert [space["answer"].text, space["answer2"].text, space["text"]] == [
        ECHO + name for name in ("one", "two", "three")
    ]
    assert space["last"].text == ECHO + "four"
    assert len(space["both"]) == 3
    balance(client, 8)


# --- how an interpreter ends ------------------------------------------------------------------------------------------

PRELUDE = f"""
import json, os, signal, sys, threading, asyncio, gc
sys.path.insert(0, {str(ROOT)!r})
import aistrale
client = aistrale.Client(**json.loads(sys.argv[1]))
client.run("one", model={MODEL!r})
stream = client.stream("one two three four", model={MODEL!r})
next(stream)
def ready():
    print("ready", flush=True)
"""
ENDS = {
    "end of the script": ("ready()", 0),
    "sys.exit": ("ready()\nsys.exit(0)", 0),
    "an exception": ("ready()\nraise SystemExit(3)", 3),
    "os._exit": ("ready()\nos._exit(0)", 0),
    "SIGTERM": ("ready()\nos.kill(os.getpid(), signal.SIGTERM)\nthreading.Event().wait()", -signal.SIGTERM),
    "SIGKILL": ("ready()\nos.kill(os.getpid(), signal.SIGKILL)\nthreading.Event().wait()", -signal.SIGKILL),
    "a stream in a cycle": ("class A: pass\na = A(); a.a = a; a.s = stream; del stream, a\nready()", 0),
    "a daemon thread in a call": (
        f"threading.Thread(target=lambda: client.run('slow', model={MODEL!r}), daemon=True).start()\nready()",
        0,
    ),
    "an async stream that nobody closed": (
        f"""
async def main():
    kept = client.as_async().stream("one two three", model={MODEL!r})
    await anext(kept)
    return kept
kept = asyncio.run(main())
ready()
""",
        0,
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_no_row_is_lost_however_the_interpreter_ends(sim, client, end):
    code, status = ENDS[end]
    sim.script(*[aistrale.testing.GOOD] * 1, *[Slow(between=0.05)] * 5)
    child = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", PRELUDE + code, json.dumps(sim.settings())],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert child.returncode == status, child.stderr
    assert "ready" in child.stdout
    assert "Traceback" not in child.stderr
    assert "canary" not in child.stderr
    assert client.flush()
    calls = client.ledger.calls(10)
    assert [call.outcome for call in calls].count("success") >= 1
    # A stream that was cut off with its process has at least its intent.
    unsettled = client.ledger.open_intents()
    streams = [call for call in calls if call.outcome != "success"]
    assert len(streams) + len(unsettled) >= 1


def test_a_client_that_is_replaced_while_it_is_used_fails_nobody(sim):
    """`init` with other settings closes the client that other threads are using."""
    stop = threading.Event()
    failures = []

    def use():
        while not stop.is_set():
            try:
                aistrale.run("Hi", model=MODEL)
            except Exception as error:  # noqa: BLE001 - collected
                failures.append(error)

    aistrale.init(**sim.settings())
    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(30):
        aistrale.init(**sim.settings(), timeout=30.0 + number)
    stop.set()
    for thread in threads:
        thread.join(30)
    aistrale.shutdown()
    assert failures == []


def test_a_client_can_be_closed_and_used_again(sim, client, balance):
    async def ask():
        await client.as_async().run("Hi", model=MODEL)
        await client.as_async().close()
        await client.as_async().run("Hi", model=MODEL)
        await client.as_async().close()

    for _ in range(2):
        client.run("Hi", model=MODEL)
        client.close()
        asyncio.run(ask())
    with contextlib.suppress(StopIteration):
        next(client.stream("Hi", model=MODEL))
    assert run_sync(client._engine.sync_runtime().sleep(0)) is None
    balance(client, 7)
