"""kill -9 at 1,000 random moments under load: what was acknowledged is in the ledger, and nothing is there twice.

Each round is a process with two threads that call and stream; it says on a pipe which calls have returned to it. The
next rounds, and every hundredth time the parent, adopt what the dead have left.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import random
import signal
import sqlite3
import sys
import threading
from pathlib import Path

import pytest

from aistrale import Client

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks and kills"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

ROUNDS = int(os.environ.get("KILL_ROUNDS", "1000"))
LONGEST = 0.12  # seconds after the first acknowledged call
ID = 33  # hex digits of a call's id, and a newline


@pytest.fixture(scope="module")
def server():
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "server.py"
    spec = importlib.util.spec_from_file_location("benchmark_server", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.serving() as base:
        yield base


def work(settings, pipe):
    """Call for ever from two threads; a call's id goes down the pipe when the call has returned."""
    client = Client(**settings)

    def calls():
        while True:
            answer = client.run("Hello", model="openai/gpt-5-mini")
            os.write(pipe, answer.call_id.encode() + b"\n")

    def streams():
        while True:
            with client.stream("Hello", model="openai/gpt-5-mini") as events:
                for _ in events:
                    pass
            os.write(pipe, events.call_id.encode() + b"\n")

    threads = [threading.Thread(target=target, daemon=True) for target in (calls, streams)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def killed_round(settings, wait):
    """The ids of the calls that a process had acknowledged when it was killed."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            work(settings, writer)
        finally:
            os._exit(1)
    os.close(writer)
    try:
        said = os.read(reader, 1)
        threading.Event().wait(wait)
    finally:
        os.kill(pid, signal.SIGKILL)
    while piece := os.read(reader, 65536):
        said += piece
    os.close(reader)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    # The last id may have been cut off in the pipe; the pipe, not the ledger, lost it.
    return [said[at : at + ID - 1].decode() for at in range(0, len(said) - len(said) % ID, ID)]


def test_no_acknowledged_row_is_lost_and_none_is_there_twice(server, tmp_path):
    path = tmp_path / "ledger.db"
    settings = {"providers": {"openai": {"api_key": "k", "base_url": f"{server}/v1"}}, "ledger": f"sqlite:///{path}"}
    rng = random.Random(3)
    acknowledged = []
    for number in range(ROUNDS):
        acknowledged += killed_round(settings, rng.uniform(0.0, LONGEST))
        if number % 100 == 99:
            with Client(**settings) as client:
                assert client.flush(60)
                client.ledger.close()
    with Client(**settings) as client:
        assert client.flush(60)
        client.ledger.close()
    assert len(set(acknowledged)) == len(acknowledged) >= ROUNDS
    with contextlib.closing(sqlite3.connect(path)) as ledger:

        def ask(query):
            return ledger.execute(query).fetchall()

        attempts = dict(ask("SELECT call_id, count(*) FROM attempts WHERE outcome = 'success' GROUP BY call_id"))
        calls = dict(ask("SELECT call_id, count(*) FROM calls GROUP BY call_id"))
        assert ask("SELECT count(*) FROM rejected") == [(0,)]
        # What was killed between intent and outcome is known as such, at most one call of each of the two threads.
        assert ask("SELECT count(*) FROM intents WHERE settled = 0")[0][0] <= 2 * ROUNDS
    lost = [call for call in acknowledged if attempts.get(call) != 1 or calls.get(call) != 1]
    assert lost == []
    assert max(attempts.values()) == max(calls.values()) == 1
    print(f"\n{ROUNDS} kills, {len(acknowledged)} acknowledged calls, {len(calls)} in the ledger")  # noqa: T201
