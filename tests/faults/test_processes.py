"""Rows 87, 92, 95, 96, 99 and 100: interrupts, kills, many processes, clocks that jump, few descriptors, all at once."""

from __future__ import annotations

import random
import sys
from collections import Counter
from pathlib import Path

import pytest

from aistrale import Client
from tests.faults.books import check_file
from tests.faults.processes import MODES, QUIET, finish, forks, run, start, told

# --- 87: Ctrl-C -------------------------------------------------------------------------------------------------------

INTERRUPTED = """
rng = random.Random(87)


async def on_loop(caller, thread, over, outcomes):
    thread.start()
    try:
        await caller.awaited()
        outcomes.append("whole")
    finally:
        try:
            over.set()
            # Not into the end of the loop, which asyncio itself does not survive.
            while thread.is_alive():
                await asyncio.sleep(0.001)
        finally:
            await caller.client.as_async().close()


for mode in modes:
    caller, outcomes = Caller(mode), []
    # So that no interrupt comes in the middle of an import.
    caller.ask()
    for _ in range(told["times"]):
        over, after = threading.Event(), rng.uniform(0.0, told["longest"])
        def interrupt():
            over.wait(after)
            os.kill(os.getpid(), signal.SIGINT)
        thread = threading.Thread(target=interrupt)
        try:
            if mode["colour"] == "asyncio":
                asyncio.run(on_loop(caller, thread, over, outcomes))
            else:
                thread.start()
                caller.ask()
                outcomes.append("whole")
                over.set()
                thread.join()
        except KeyboardInterrupt:
            outcomes.append("interrupted")
        thread.join()
    states = caller.client.queues(), caller.client.health(), caller.client.breakers()
    flushed = caller.client.flush(30)
    caller.end()
    say(interrupted=outcomes.count("interrupted"), whole=outcomes.count("whole"), flushed=flushed,
        queues=[[each.in_flight, each.waiting] for each in states[0].values()],
        health=[each.in_flight for each in states[1].values()], probes=[each.probes for each in states[2].values()],
        failures=[each.failure_rate + each.slow_rate for each in states[2].values()])
"""


def test_87_an_interrupted_call_has_its_row(server, tmp_path):
    """Ten interrupts in each mode, whole calls among them; tests/soak has a thousand."""
    what = told(server, tmp_path, fault="ok:delay=0.02,gap=0.002")
    # An interrupt inside the connect of the standard library leaves a socket to the collector, which says so.
    said = run(INTERRUPTED, {**what, "times": 10, "longest": 0.06}, noisy=True)
    for ledger, seen in zip(what["ledgers"], said, strict=True):
        # Python itself drops an interrupt that comes inside a finalizer, and the call goes on.
        assert seen["interrupted"] in {9, 10}
        assert seen["flushed"] is True
        assert (seen["queues"], seen["health"], seen["probes"]) == ([[0, 0]], [0], [0])
        # Who leaves is no sign of the provider's sickness.
        assert seen["failures"] == [0.0]
        check_file(ledger, outcomes={"success", "cancelled", "abandoned"}, most=11)


# --- 92: kill -9 ------------------------------------------------------------------------------------------------------

ENDLESS = """
(mode,) = modes
caller = Caller(mode)
while True:
    say(call=caller.ask().call_id)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills")
def test_92_what_was_acknowledged_outlives_kill_9(server, tmp_path):
    """One kill in each mode, all on one ledger; tests/soak/test_kill.py has a thousand."""
    rng, acknowledged, whats = random.Random(92), [], []
    for mode in MODES:
        what = told(server, tmp_path, modes=[mode], one_ledger=True)
        process = start(ENDLESS, what)
        first = process.stdout.readline()
        assert first, process.communicate()
        process.stdout._CHUNK_SIZE = 1
        for _ in range(rng.randrange(1, 8)):
            first += process.stdout.readline()
        process.kill()
        said = first + process.communicate()[0]
        acknowledged += [line.split('"')[3] for line in said.split("\n")[:-1] if line.endswith("}")]
        whats.append(what)
    with Client(ledger=f"sqlite:///{whats[0]['ledgers'][0]}") as client:
        assert client.flush(30)
        client.ledger.close()
    assert len(set(acknowledged)) == len(acknowledged) >= 2 * len(MODES)
    check_file(whats[0]["ledgers"][0], acknowledged=acknowledged, unsettled=len(MODES))


# --- 95: many processes, one place ------------------------------------------------------------------------------------

SHARING = """
(mode,) = modes
for _ in range(told["times"]):
    caller = Caller(mode)
    for _ in range(5):
        caller.ask()
    caller.client.flush(0.0)
    caller.end()
say(torn=caller.client.ledger.status().shipper.skipped if caller.client.ledger.status().shipper else 0)
"""


def test_95_eight_processes_share_one_ledger(server, tmp_path):
    processes, times = [], 4
    for mode in MODES:
        what = {**told(server, tmp_path, modes=[mode], one_ledger=True), "times": times}
        processes.append(start(SHARING, what))
    assert [finish(process) for process in processes] == [[{"torn": 0}]] * len(MODES)
    with Client(ledger=f"sqlite:///{what['ledgers'][0]}") as client:
        assert client.flush(30)
        assert client.ledger.status().shipper.skipped == 0
        client.ledger.close()
    check_file(what["ledgers"][0], calls={"success": 5 * times * len(MODES)})
    assert not list(Path(what["ledgers"][0]).parent.glob("**/*.seal"))


# --- 96: clocks -------------------------------------------------------------------------------------------------------

# Before the library is loaded: it keeps the functions that it finds.
CLOCKS = """
import time
shift = {"wall": 0.0, "monotonic": 0.0}
real = time.time, time.time_ns, time.monotonic
time.time = lambda: real[0]() + shift["wall"]
time.time_ns = lambda: real[1]() + int(shift["wall"] * 1e9)
time.monotonic = lambda: real[2]() + shift["monotonic"]
"""
JUMPING = """
for mode in modes:
    shift["wall"] = shift["monotonic"] = 0.0
    caller = Caller(mode, limits={"b": {"rpm": 60, "burst": 5}})

    def state():
        return caller.client.breakers()["a/m"].state

    def left():
        return caller.client.queues()["b/m"].left["requests"]

    # Three failures open a's breaker; b has five places and gets one a second.
    for _ in range(3):
        assert caller.ask(model="chat").target == "b/m"
    seen = []
    for hours in (1, -1):
        shift["wall"] = hours * 3600.0
        seen.append([state(), left() < 4, caller.ask(model="chat").target])
    attempts = caller.client.breakers()["a/m"]
    # B6: neither the hour before nor the hour after has closed it; only its own time does.
    opened = attempts.openings
    shift["monotonic"] = 3600.0
    seen.append([state(), left() == 5, caller.ask(model="chat").target])
    caller.client.flush(30)
    caller.end()
    say(seen=seen, opened=opened)
"""


def test_96_clocks_that_jump_open_and_close_nothing(server, tmp_path):
    """The hour by which the monotonic clock jumps is one of sleep: whatever waited has waited long enough."""
    what = told(server, tmp_path, fault="http:status=503")
    for ledger, seen in zip(what["ledgers"], run(JUMPING, what, before=CLOCKS), strict=True):
        assert seen == {"seen": [["open", True, "b/m"]] * 2 + [["half_open", True, "b/m"]], "opened": 1}
        check_file(ledger, calls={"success": 6})


# --- 99: few descriptors ----------------------------------------------------------------------------------------------

CROWDED = """
import resource

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
for mode in modes:
    caller = Caller(mode)
    found = caller.together(told["callers"])
    texts = {getattr(each, "text", repr(each)) for each in found}
    caller.client.flush(30)
    caller.end()
    say(texts=sorted(texts), count=len(found))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_99_two_hundred_callers_with_sixty_four_descriptors_wait_for_their_turn(server, tmp_path):
    what = {**told(server, tmp_path, fault="ok:delay=0.01"), "callers": 200}
    for ledger, seen in zip(what["ledgers"], run(CROWDED, what), strict=True):
        assert len(seen["texts"]) == 1
        assert "quick" in seen["texts"][0]
        assert seen["count"] == 200
        check_file(ledger, calls={"success": 200})


# --- 100: everything at once ------------------------------------------------------------------------------------------

EVERYTHING = """
import trio

caller = {kind: Caller({**modes[0], **kind_of}) for kind, kind_of in {
    "plain": {"colour": "sync", "streamed": False}, "stream": {"colour": "sync", "streamed": True}}.items()}
client = caller["plain"].client
for each in caller.values():
    each.client = client
outcomes, end = [], time.monotonic() + told["seconds"]


def model(number):
    return "chat" if number % 3 else "b/m"


def record(error, kind):
    outcomes.append(type(error).__name__ if error is not None else "success")
    assert error is None or isinstance(error, aistrale.AistraleError), repr(error)


def thread(number):
    while time.monotonic() < end:
        number += 1
        error = None
        try:
            caller["plain" if number % 2 else "stream"].ask(model=model(number))
        except Exception as failed:
            error = failed
        record(error, number)


async def on_loop(number):
    ours = caller["stream" if number % 2 else "plain"]
    while time.monotonic() < end:
        error = None
        try:
            await ours.awaited(model=model(number))
        except Exception as failed:
            error = failed
        record(error, number)
        number += 1


def on_asyncio(count):
    async def main():
        await asyncio.gather(*map(on_loop, range(count)))
        await client.as_async().close()
    asyncio.run(main())


def on_trio(count):
    async def main():
        async with trio.open_nursery() as nursery:
            for number in range(count):
                nursery.start_soon(on_loop, number)
        await client.as_async().close()
    trio.run(main)


threads = [threading.Thread(target=thread, args=(number,)) for number in range(told["threads"])]
threads += [threading.Thread(target=on, args=(told["tasks"],)) for on in (on_asyncio, on_asyncio, on_trio)]
def memory():
    'Megabytes; 0 where the system does not tell.'
    with contextlib.suppress(OSError):
        return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    return 0


# Everything is imported before the fork: a child that is forked in the midst of an import waits for it for ever.
for each in caller.values():
    each.ask(model="b/m")
client.flush(10)
outcomes += ["success", "success"]
for each in threads:
    each.start()
time.sleep(told["seconds"] / 3)
sizes = [memory()]
pid = os.fork()
if pid == 0:
    status = 1
    try:
        outcomes = []
        thread(0)
        client.flush(10)
        os.write(1, (json.dumps({"child": outcomes}) + "\\n").encode())
        status = 0
    finally:
        os._exit(status)
while time.monotonic() < end:
    time.sleep(told["seconds"] / 20)
    sizes.append(memory())
for each in threads:
    each.join()
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
idle = [[each.in_flight, each.waiting] for each in client.queues().values()]
probes = [each.probes for each in client.breakers().values()]
client.flush(60)
client.close()
client.ledger.close()
gc.collect()
say(parent=outcomes, sizes=sizes, status=status, idle=idle, probes=probes, threads=[each.name for each in threading.enumerate()])
"""


@forks
@pytest.mark.parametrize("http", sorted({mode["http"] for mode in MODES}))
def test_100_threads_loops_and_a_fork_at_once(server, tmp_path, http):
    """For one second and a half; tests/soak does it for a minute and watches the memory."""
    modes = [mode for mode in MODES if mode["http"] == http][:1]
    what = told(server, tmp_path, modes=modes, fault="random_fail:p=0.2", second="ok:delay=0.02,gap=0.003")
    child, parent = run(EVERYTHING, {**what, "seconds": 1.5, "threads": 12, "tasks": 5}, before=QUIET)
    assert (parent["status"], parent["threads"]) == (0, ["MainThread"])
    assert {tuple(each) for each in parent["idle"]} == {(0, 0)}
    assert set(parent["probes"]) == {0}
    seen = Counter(parent["parent"]) + Counter(child["child"])
    assert seen["success"] >= 10
    check_file(what["ledgers"][0], calls={"success": seen["success"], "error": seen.total() - seen["success"]})
