"""The exit matrix: how a process may end, and what the ledger and two sinks have of the calls that it had made.

The table in docs/delivery.md says what is asserted here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from aistrale.store import open_ledger
from aistrale.telemetry._spool_files import spool_directory, spool_status
from aistrale.telemetry.delivery import Delivery
from aistrale.telemetry.settings import SinkSettings
from aistrale.testing import simulator
from tests.telemetry.places import Place

ROOT = Path(__file__).resolve().parents[2]
CALLS = 5
pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="signals, forks and spools"),
    # Processes and time limits of the exit itself: a busy machine may need more than one try.
    pytest.mark.flaky(reruns=2),
]

PROGRAM = """
import json, multiprocessing, os, signal, sys
import aistrale

settings, out, way, calls = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])

class Lines:
    def __init__(self, name):
        self.name = name

    def write(self, batch):
        fd = os.open(os.path.join(out, self.name), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, "".join(f"{event.kind} {event.call_id}\\n" for event in batch).encode())
        os.close(fd)

# An hour: what is there was brought by the exit, not by the time that passed before it.
settings["sinks"] = [
    {"to": Lines("best"), "interval": 3600.0},
    {"to": Lines("durable"), "interval": 3600.0, "guarantee": "durable"},
]
make = aistrale.Client if way == "terminated client" else aistrale.init
client = make(**settings)

def ask():
    for _ in range(calls):
        client.run("Hi", model="openai/gpt-5-mini")
        # From here on the call is acknowledged.
        os.write(1, b"done\\n")

def ready():
    os.write(1, b"ready\\n")
    signal.pause()

def main():
    ask()
    if way == "exception":
        raise ZeroDivisionError
    if way == "sys.exit":
        sys.exit(3)
    if way == "os._exit":
        os._exit(4)
    if way in {"SIGTERM", "SIGINT", "SIGKILL", "terminated client"}:
        ready()
    if way == "fork":
        if not os.fork():
            ask()
            sys.exit(0)
        os.wait()
    if way == "multiprocessing":
        process = multiprocessing.get_context("fork").Process(target=ask)
        process.start()
        process.join()

main()
"""


class Left(NamedTuple):
    """What a process has left behind: `kind call_id` of each event, as a sink got it, and the calls of the ledger."""

    status: int
    calls: int
    ledger: Counter[str]
    best: Counter[str]
    durable: Counter[str]
    waiting: int
    recovered: Counter[str]
    err: str = ""


@pytest.fixture(scope="module")
def sim():
    with simulator() as running:
        yield running


def end(sim, tmp_path, home, way):
    settings = {**sim.settings(), "ledger": f"sqlite:///{tmp_path}/ledger.sqlite3", "instrument": False}
    # As a file: with -c an interrupt never ends the interpreter by its signal.
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(program), json.dumps(settings), str(tmp_path), way, str(CALLS)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "AISTRALE_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    number = {"SIGTERM": 15, "SIGINT": 2, "SIGKILL": 9, "terminated client": 15}.get(way)
    seen = 0
    for line in process.stdout:
        seen += line == b"done\n"
        if line == b"ready\n":
            process.send_signal(number)
    process.wait(timeout=60)
    err = process.stderr.read().decode()
    process.stdout.close()
    process.stderr.close()
    assert ("Traceback" in err) == (way in {"exception", "SIGINT"}), err
    return left(tmp_path, home, process.returncode, seen)._replace(err=err)


def left(tmp_path, home, status, calls):
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite3")
    rows = Counter(row.call_id for row in ledger.calls(limit=100))
    ledger.close()
    waiting = spool_status("durable", spool_directory(home, "durable")).events
    # What a later process gets, of the same name and with the same home.
    sink = Place()
    later = Delivery(sink, SinkSettings(to=sink, name="durable", guarantee="durable"), home, background=False)
    later._spool.ship(None)
    later.close(1.0)
    recovered = Counter(f"{item.kind} {item.call_id}" for batch in sink.batches for item in batch)
    return Left(status, calls, rows, lines(tmp_path / "best"), lines(tmp_path / "durable"), waiting, recovered)


def lines(path):
    return Counter(path.read_text().splitlines()) if path.exists() else Counter()


def finished(found):
    return {line.split()[1] for line in found if line.startswith("call.finished ")}


WAYS = {
    "return": 0,
    "exception": 1,
    "sys.exit": 3,
    "SIGTERM": -signal.SIGTERM,
    "SIGINT": None,
    "os._exit": 4,
    "SIGKILL": -signal.SIGKILL,
    "fork": 0,
    "multiprocessing": 0,
    "terminated client": -signal.SIGTERM,
}
PROMISED = {"return", "exception", "sys.exit", "SIGTERM", "SIGINT", "fork", "multiprocessing"}


@pytest.mark.parametrize("way", list(WAYS))
def test_what_is_left(sim, tmp_path, aistrale_home, way):
    found = end(sim, tmp_path, aistrale_home, way)
    calls = 2 * CALLS if way in {"fork", "multiprocessing"} else CALLS
    assert found.calls == calls
    # The ledger may load SQLite while the interpreter exits, for which Python forgets that an interrupt ended it.
    assert found.status in ({-signal.SIGINT, 1} if way == "SIGINT" else {WAYS[way]}), found.err

    assert len(found.ledger) == calls
    assert set(found.ledger.values()) == {1}

    durable = found.durable + found.recovered
    assert finished(durable) == set(found.ledger)
    assert set(durable.values()) == {1}
    assert set(Counter(line.split()[0] for line in durable).values()) == {calls}
    assert (found.waiting > 0) == (way not in PROMISED)

    if way in PROMISED:
        assert found.best == found.durable == durable
    else:
        # Nothing is promised, and with an hour's interval nothing comes: what is told of here is no accident.
        assert not found.best


HOLDING = """
import json, sys
import aistrale

def main():
    global held
    settings = json.loads(sys.argv[1])
    client = aistrale.init(**settings, sinks=[{"to": "jsonl:" + sys.argv[2], "name": "durable", "guarantee": "durable"}])
    held = client.stream("Hi", model="openai/gpt-5-mini")
    next(iter(held))

main()
"""


def test_a_stream_that_is_held_to_the_end_of_the_interpreter_has_its_end_in_the_ledger_and_the_spool(
    sim, tmp_path, aistrale_home
):
    settings = {**sim.settings(), "ledger": f"sqlite:///{tmp_path}/ledger.sqlite3", "instrument": False}
    program = tmp_path / "program.py"
    program.write_text(HOLDING)
    process = subprocess.run(
        [sys.executable, "-W", "ignore", str(program), json.dumps(settings), str(tmp_path / "calls.jsonl")],
        env={**os.environ, "PYTHONPATH": str(ROOT), "AISTRALE_HOME": str(aistrale_home)},
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert process.stderr == b""
    found = left(tmp_path, aistrale_home, 0, 1)
    told = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
    # Exit hooks are over when the module's names go: the rest waits on disk.
    assert [event["kind"] for event in told] == ["call.started"]
    assert found.ledger == {told[0]["call_id"]: 1}
    assert [line.split()[0] for line in found.recovered] == ["attempt.finished", "call.finished"]


def test_a_process_with_sinks_that_block_ends_in_time():
    code = """
import threading, time, sys
from aistrale.telemetry.delivery import Delivery
from aistrale.telemetry.events import QueueWaited
from aistrale.telemetry.settings import SinkSettings

class Stuck:
    def write(self, batch):
        threading.Event().wait()

for name in "abc":
    sink = Stuck()
    Delivery(sink, SinkSettings(to=sink, name=name, interval=0.0)).put(QueueWaited(target="a/b", seconds=0.1, admitted=True))
print(time.monotonic())
"""
    process = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=30,
        check=True,
    )
    taken = time.monotonic() - float(process.stdout)
    # Two seconds for all three together, and what the machine needs to end a process.
    assert 1.5 < taken < 5.0
    assert process.stderr == b""
