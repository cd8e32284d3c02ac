"""The SIGTERM hook: where it is installed, where it is not, and how processes end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import aistrale
from aistrale.telemetry import sigterm
from aistrale.testing import simulator
from tests.telemetry.places import Place

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGTERM to handle")


@pytest.fixture
def default():
    """SIGTERM with its default action, before and after."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with simulator() as sim:
        yield sim.settings()
    aistrale.shutdown()
    signal.signal(signal.SIGTERM, before)


def handler():
    return signal.getsignal(signal.SIGTERM)


def test_init_installs_it_where_there_are_sinks_and_shutdown_takes_it_back(default):
    aistrale.init(**default, instrument=False)
    assert handler() is signal.SIG_DFL
    aistrale.init(**default, instrument=False, sinks=[Place()])
    assert handler() is sigterm._flush_and_end
    assert sigterm.install()
    aistrale.shutdown()
    assert handler() is signal.SIG_DFL


def test_a_new_init_without_sinks_takes_it_back(default):
    aistrale.init(**default, instrument=False, sinks=[Place()])
    aistrale.init(**default, instrument=False)
    assert handler() is signal.SIG_DFL


def test_a_client_of_ones_own_touches_no_signal(default):
    with aistrale.Client(**default, sinks=[Place()]):
        assert handler() is signal.SIG_DFL


@pytest.mark.parametrize("own", [signal.SIG_IGN, lambda number, frame: None])
def test_a_handler_of_the_application_stays(default, own):
    signal.signal(signal.SIGTERM, own)
    aistrale.init(**default, instrument=False, sinks=[Place()])
    assert handler() is own
    aistrale.shutdown()
    assert handler() is own


def test_one_that_the_application_sets_later_stays_too(default):
    def own(number, frame):
        raise AssertionError

    aistrale.init(**default, instrument=False, sinks=[Place()])
    signal.signal(signal.SIGTERM, own)
    aistrale.shutdown()
    assert handler() is own


def test_in_another_thread_there_is_none(default):
    done = []

    def work():
        aistrale.init(**default, instrument=False, sinks=[Place()])
        done.append(handler())
        aistrale.shutdown()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [signal.SIG_DFL]


PROGRAM = """
import os, signal, sys, threading
from aistrale.telemetry import sigterm
from aistrale.telemetry.delivery import Delivery
from aistrale.telemetry.events import QueueWaited
from aistrale.telemetry.settings import SinkSettings

class Sink:
    name = "own"
    def write(self, batch):
        if sys.argv[1] == "blocks":
            os.write(1, b"stuck ")
            threading.Event().wait()
        os.write(1, b"written ")

sink = Sink()
sent = Delivery(sink, SinkSettings(to=sink, interval=0.0 if sys.argv[1] == "blocks" else 3600.0))
assert sigterm.install()
sent.put(QueueWaited(target="a/b", seconds=0.1, admitted=True))
if sys.argv[1] == "blocks":
    while sent.flush(0.05):
        pass
os.write(1, b"ready ")
lock = threading.Lock()
lock.acquire()
lock.acquire()
"""


def end(how, times=1):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, how],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    seen = b""
    while b"ready" not in seen:
        piece = os.read(process.stdout.fileno(), 100)
        assert piece, process.communicate()[1].decode()
        seen += piece
    for _ in range(times):
        process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert err == b""
    return process.returncode, seen + out


def test_what_waits_is_delivered_and_the_status_is_the_signals():
    assert end("works") == (-signal.SIGTERM, b"ready written ")


def test_a_sink_that_blocks_is_not_waited_for_long():
    assert end("blocks") == (-signal.SIGTERM, b"stuck ready ")
