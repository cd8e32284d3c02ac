"""The long rows of the fault matrix in full: 80, 81, 86, 87, 90, 94 and 100. Row 92 is in test_kill.py.

Their short forms, which are the same programs and scenarios, run with all tests: tests/faults.
"""

from __future__ import annotations

import math
import random
import sqlite3
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

import aistrale
from tests.faults.books import check_file, check_rows, play_left
from tests.faults.matrix import answers, both
from tests.faults.processes import QUIET, run, told
from tests.faults.servers import FAULT_SERVER, FaultServer
from tests.faults.test_forks import FORKED
from tests.faults.test_life import POINTS, cancelled_calls
from tests.faults.test_load import crowd, good, statuses
from tests.faults.test_processes import EVERYTHING, INTERRUPTED

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks, kills, and looks at /proc"),
]
# Megabytes by which the memory may differ between the middle of a run and its end.
MEMORY = 8.0


@pytest.fixture(scope="module")
def shared_server():
    if not FAULT_SERVER.exists():
        pytest.skip("../shared/fault_server.py is not there")
    server = FaultServer()
    yield server
    server.close()


@pytest.fixture
def server(shared_server):
    shared_server.reset()
    return shared_server


# --- 80: 10,000 calls in 32 threads -----------------------------------------------------------------------------------

LOADS = [
    pytest.param(0.3, False, {}, id="alone"),
    pytest.param(0.3, True, {}, id="two"),
    pytest.param(0.3, False, {"breaker": False}, id="alone-no breaker"),
    pytest.param(0.3, True, {"breaker": False}, id="two-no breaker"),
    pytest.param(1, False, {}, id="always"),
    pytest.param(1, False, {"breaker": False}, id="always-no breaker"),
]


@pytest.mark.parametrize(("chance", "fallback", "settings"), LOADS)
def test_80_ten_thousand_calls(server, tmp_path, chance, fallback, settings):
    fault = f"random_fail:p={chance}"
    case = both(80, fault, answers("a"), second=fault, fallback=fallback, colours=("sync",), settings=settings)
    for played in play_left(replace(case, scenario=crowd(32, 313)), server, tmp_path, streamed=False):
        calls, answered = len(played.asked), good(played)
        oracle = 1 - chance ** (2 if fallback else 1)
        assert answered == statuses(played, "a")[200] + statuses(played, "b")[200]
        assert answered >= calls * (oracle - 4 * math.sqrt(oracle * (1 - oracle) / calls))
        for target in "ab":
            assert len(played.attempts(target)) <= 1.1 * calls + 10


# --- 81: 30 s of outage, 200 tasks, default settings ------------------------------------------------------------------

DOWN = 30.0
BACK = 10.0


def recovery(after):
    """A scenario: what becomes of the calls of 200 tasks, a call every other second each; `after` gets the end."""

    async def scenario(face, run):
        async def work(number):
            seen = []
            await face.wait(number / 100)
            while not after or time.monotonic() < after[0] + 2 * BACK:
                began = time.monotonic()
                asked = await face.ask()
                seen.append((began, asked))
                await face.wait(2.0)
            return seen

        async def conduct():
            await face.wait(DOWN)
            run.server.script(f"{run.key}-a", ["ok"])
            after.append(time.monotonic())
            return []

        found = await face.together(conduct(), *(work(number) for number in range(200)))
        return [pair for each in found for pair in each]

    return scenario


@pytest.mark.parametrize("colour", ["sync", "asyncio"])
def test_81_after_thirty_seconds_of_outage_everybody_is_back_within_ten(server, tmp_path, colour):
    after = []
    case = both(81, "down", answers("a"), script=("http:status=503",), scenario=recovery(after), colours=(colour,))
    (played, *_) = play_left(case, server, tmp_path, streamed=False)
    late = [asked.error is None for began, asked in played.asked if began > after[0] + BACK]
    assert sum(late) >= 0.95 * len(late)
    during = [began for began, _ in played.asked if began < after[0]]
    sent = [row for row in played.attempts("a") if row.status == 503]
    # Some that were under way together, their retries, and single ones since.
    assert len(sent) <= 0.1 * len(during) + 200


# --- 86 and 87: left and interrupted, a thousand times each -----------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_86_a_thousand_cancellations(server, tmp_path, streamed):
    outcomes, cancelled = Counter(), 0
    rng = random.Random(1086)
    case = both(86, "", answers("a"), script=POINTS, colours=("asyncio", "trio"),
                settings={"limits": {"a": {"concurrency": 8}}}, scenario=cancelled_calls(rng, outcomes))  # fmt: skip
    while cancelled < 1000:
        for played in play_left(case, server, tmp_path, streamed=streamed):
            check_rows(played, outcomes)
            cancelled += outcomes["cancelled"]
            outcomes.clear()


def test_87_a_thousand_interrupts(server, tmp_path):
    what = told(server, tmp_path, fault="ok:delay=0.02,gap=0.002")
    said = run(INTERRUPTED, {**what, "times": 125, "longest": 0.06}, noisy=True)
    for ledger, seen in zip(what["ledgers"], said, strict=True):
        assert (seen["interrupted"], seen["flushed"], seen["failures"]) == (125, True, [0.0])
        assert (seen["queues"], seen["health"], seen["probes"]) == ([[0, 0]], [0], [0])
        check_file(ledger, outcomes={"success", "cancelled", "abandoned"}, most=126)


# --- 90: twenty children with fifty calls -----------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_90_twenty_children_with_fifty_calls_each(server, tmp_path):
    what = {**told(server, tmp_path), "times": 50, "children": 20}
    for ledger, seen in zip(what["ledgers"], run(FORKED, what, before=QUIET), strict=True):
        assert seen == {"parent": True, "children": [0] * 20}
        check_file(ledger, calls={"success": 22 * 50})


SHIPPING = """
caller = Caller(modes[0])
stop = threading.Event()


def ship():
    while not stop.is_set():
        caller.ask()
        caller.client.flush(5)


threads = [threading.Thread(target=ship) for _ in range(3)]
for thread in threads:
    thread.start()
statuses = []
for _ in range(told["times"]):
    pid = os.fork()
    if pid == 0:
        # A child that hangs is ended by this signal.
        signal.alarm(30)
        try:
            caller.ask()
            caller.client.flush(5)
        finally:
            os._exit(0)
    statuses.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
stop.set()
for thread in threads:
    thread.join()
say(hung=sum(status != 0 for status in statuses))
"""


def test_90_children_that_are_forked_while_threads_use_the_ledger(server, tmp_path):
    what = {**told(server, tmp_path, one_ledger=True), "times": 300}
    assert run(SHIPPING, what, before=QUIET, noisy=True) == [{"hung": 0}]


# --- 94: a ledger that is locked for ten minutes ----------------------------------------------------------------------


def megabytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def test_94_ten_minutes_without_the_ledger(server, tmp_path):
    path, end = tmp_path / "ledger.sqlite3", time.monotonic() + 600.0
    provider = {"base_url": f"{server.url('ok')}/v1", "api_key": "k", "compatible": "openai_chat"}
    sizes, calls = [], 1
    with aistrale.Client(providers={"a": provider}, ledger=f"sqlite:///{path}") as client:
        client.run("Hi", model="a/m")
        assert client.flush(30)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            while time.monotonic() < end:
                for _ in range(50):
                    client.run("Hi", model="a/m")
                calls += 50
                sizes.append(megabytes())
                threading.Event().wait(0.5)
            status = client.ledger.status()
            assert status.journal.waiting == 0
            assert "locked" in status.degraded
            other.execute("ROLLBACK")
        assert client.flush(120)
        client.ledger.close()
    assert max(sizes[len(sizes) // 2 :]) - sizes[len(sizes) // 2] < MEMORY
    check_file(path, calls={"success": calls})


# --- 100: fifty threads, three loops and a fork for a minute ----------------------------------------------------------


@pytest.mark.parametrize("http", ["httpx", "httpx2"])
def test_100_a_minute_of_everything(server, tmp_path, http):
    pytest.importorskip(http)
    modes = [{"colour": "sync", "http": http, "streamed": False}]
    what = told(server, tmp_path, modes=modes, fault="random_fail:p=0.2", second="ok:delay=0.02,gap=0.003")
    child, parent = run(EVERYTHING, {**what, "seconds": 60, "threads": 50, "tasks": 20}, before=QUIET)
    assert (parent["status"], parent["threads"]) == (0, ["MainThread"])
    assert {tuple(each) for each in parent["idle"]} == {(0, 0)}
    assert set(parent["probes"]) == {0}
    seen = Counter(parent["parent"]) + Counter(child["child"])
    assert seen["success"] >= 1000
    check_file(what["ledgers"][0], calls={"success": seen["success"], "error": seen.total() - seen["success"]})
    # The first third fills caches and pools.
    assert parent["sizes"][-1] - parent["sizes"][0] < MEMORY
