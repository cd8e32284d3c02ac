"""Several processes, and the ends that processes come to."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from aistrale.telemetry.sinks.webhook import WebhookSink
from aistrale.telemetry.webhooks.log import WebhookLog
from aistrale.webhooks import new_secret, verify
from tests.telemetry.webhooks.receiver import Receiver

ROOT = Path(__file__).resolve().parents[3]
SECRET = new_secret()
SCRIPT = """
import os, sys
from aistrale.telemetry.events import BreakerChanged
from aistrale.telemetry.sinks.webhook import WebhookSink

url, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
sink = WebhookSink(url, allow_private=True)

def events(count):
    return [
        BreakerChanged(id=f"{name}-{number}", target="openai/gpt", change="opened", before="closed", after="open", reason="test")
        for number in range(count)
    ]
"""


def start(script, url, *arguments, home):
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "AISTRALE_HOME": str(home), "AISTRALE_WEBHOOK_SECRET": SECRET}
    command = [sys.executable, "-W", "error", "-c", SCRIPT + script, url, *map(str, arguments)]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process, code=0):
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (code, "")
    return output


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def test_processes_share_the_work_and_each_message_is_sent_once(home):
    with Receiver() as receiver:
        script = "sink.write(events(count)); print(sink.flush(30.0)); sink.close()"
        processes = [start(script, receiver.url(), name, 40, home=home) for name in ("a", "b", "c")]
        for process in processes:
            finish(process)
        # What one had not sent when it ended, another one did.
        sink = WebhookSink(receiver.url(), secret=SECRET, allow_private=True, directory=home)
        assert sink.flush(30.0)
        sink.close()
        counts = Counter(each.id for each in receiver.got)
    assert len(counts) == 120
    assert set(counts.values()) == {1}
    assert {verify(each.body, each.headers, SECRET).type for each in receiver.got} == {"provider.failed"}


def test_a_process_that_is_killed_while_it_sends_loses_nothing(home):
    with Receiver() as receiver:
        # The answer never comes, since the sender is gone before.
        receiver.answers = [lambda handler: setattr(handler, "close_connection", True)]
        script = """
out = sink._deliverer._send
def dying(headers, body, timeout):
    out(headers, body, timeout)
    os._exit(9)
sink._deliverer._send = dying
sink.write(events(count))
sink.flush(30.0)
"""
        finish(start(script, receiver.url(), "a", 3, home=home), code=9)
        first = receiver.wait(1)[0]
        later = WebhookLog(home / "webhooks.sqlite3", clock=lambda: time.time() + 3600)
        sink = WebhookSink(receiver.url(), secret=SECRET, allow_private=True, directory=home)
        sink._deliverer._log = later
        assert sink.flush(30.0)
        sink.close()
        later.close()
        counts = Counter(each.id for each in receiver.got)
    assert set(counts) == {"msg_a-0", "msg_a-1", "msg_a-2"}
    # Only what was under way comes twice, and then it is the same.
    assert counts[first.id] == 2
    assert len({(each.id, each.body) for each in receiver.got}) == 3


def test_what_waits_is_sent_when_the_interpreter_ends(home):
    with Receiver() as receiver:
        finish(start("sink.write(events(count))", receiver.url(), "a", 3, home=home))
        assert sorted(each.id for each in receiver.got) == ["msg_a-0", "msg_a-1", "msg_a-2"]


def test_a_receiver_that_hangs_does_not_keep_the_interpreter(home):
    with Receiver() as receiver:
        receiver.answers = [lambda handler: handler.rfile.read(1)] * 5
        begun = time.monotonic()
        finish(start("sink.write(events(count))", receiver.url(), "a", 2, home=home))
        assert time.monotonic() - begun < 30
    (status,) = WebhookLog(home / "webhooks.sqlite3").status()
    assert (status.pending, status.delivered) == (2, 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_sends_its_own_and_leaves_the_parents_alone(home):
    script = """
sink.write(events(count))
assert sink.flush(30.0)
child = os.fork()
name = "child" if child == 0 else "parent"
sink.write(events(count))
assert sink.flush(30.0)
if child == 0:
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
sink.close()
"""
    with Receiver() as receiver:
        finish(start(script, receiver.url(), "a", 5, home=home))
        counts = Counter(each.id.rpartition("-")[0] for each in receiver.got)
    assert counts == {"msg_a": 5, "msg_parent": 5, "msg_child": 5}
    assert len({each.id for each in receiver.got}) == 15


def test_threads_send_without_being_asked(home):
    with Receiver() as receiver:
        sink = WebhookSink(receiver.url(), secret=SECRET, allow_private=True, directory=home)
        from aistrale.telemetry.webhooks.messages import sample

        sink._deliverer.put([sample("provider.failed", f"e{number}", 1.0) for number in range(20)])
        receiver.wait(20)
        assert sink.flush(30.0)
        sink.close()
        assert not any(worker.alive for worker in sink._deliverer._workers)
        # After that it begins anew.
        sink._deliverer.put([sample("provider.failed", "later", 1.0)])
        receiver.wait(21)
        assert sink.flush(30.0)
        sink.close()
        assert len({each.id for each in receiver.got}) == len(receiver.got) == 21
