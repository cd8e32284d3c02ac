from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from aistrale.core import worker as worker_module
from aistrale.core.worker import Worker, check_fork, on_fork

ROOT = Path(__file__).resolve().parents[2]


class Steps:
    """A step that says when it ran, and answers what it was told to."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.count = 0
        self.ran = threading.Semaphore(0)

    def __call__(self):
        self.count += 1
        self.ran.release()
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def wait(self):
        assert self.ran.acquire(timeout=20), "the step did not run"


@pytest.fixture
def make():
    made = []

    def build(step, **options):
        made.append(Worker(step, name="test-worker", **({"delay": 0.0} | options)))
        return made[-1]

    yield build
    for worker in made:
        worker.close(timeout=10)


def test_no_thread_before_the_first_wake(make):
    steps = Steps()
    worker = make(steps)
    assert not worker.alive
    worker.wake()
    steps.wait()
    assert worker.alive


def test_many_wakes_within_the_delay_are_one_step(make):
    steps = Steps()
    worker = make(steps, delay=30.0)
    for _ in range(100):
        worker.wake()
    assert steps.count == 0
    worker.hurry()
    steps.wait()
    worker.close(timeout=10)
    assert steps.count == 1


def test_a_wake_during_the_step_is_a_further_step(make):
    inside, go = threading.Event(), threading.Event()
    steps = Steps()

    def step():
        steps()
        inside.set()
        assert go.wait(timeout=20)

    worker = make(step)
    worker.wake()
    steps.wait()
    assert inside.wait(timeout=20)
    worker.wake()
    go.set()
    steps.wait()


def test_a_step_that_wants_to_run_again_does(make):
    steps = Steps(0.001, 0.001, None)
    make(steps).wake()
    for _ in range(3):
        steps.wait()


def test_a_wake_does_not_shorten_a_pause_but_hurry_does(make):
    steps = Steps(30.0, None, None)
    worker = make(steps)
    worker.wake()
    steps.wait()
    worker.wake()
    assert not steps.ran.acquire(timeout=0.05)
    worker.hurry()
    steps.wait()


def test_an_exception_is_logged_once_and_the_step_repeated(make, caplog):
    steps = Steps(ValueError("first"), None)
    worker = make(steps)
    worker.wake()
    steps.wait()
    worker.hurry()
    steps.wait()
    assert worker.alive
    assert str(worker.last_error) == "first"
    assert [record.exc_info[0] for record in caplog.records] == [ValueError]


def test_pauses_after_exceptions_grow_up_to_a_minute():
    worker = Worker(Steps(*[OSError() for _ in range(12)], None, OSError()), name="test-worker", delay=1.0)
    pauses = [worker.run_once() for _ in range(14)]
    assert pauses == [2.0, 4.0, 8.0, 16.0, 32.0, *[60.0] * 7, None, 2.0]


def test_close_ends_the_thread_and_a_wake_starts_another(make):
    steps = Steps()
    worker = make(steps)
    worker.wake()
    steps.wait()
    worker.close(timeout=10)
    assert not worker.alive
    worker.wake()
    steps.wait()


def test_a_forgotten_worker_leaves_no_thread():
    steps = Steps()
    worker = Worker(steps, name="test-forgotten", delay=0.0)
    worker.wake()
    steps.wait()
    thread = worker._thread
    del worker
    gc.collect()
    thread.join(timeout=20)
    assert not thread.is_alive()


def test_where_no_thread_can_be_started_the_caller_is_not_harmed(make, monkeypatch):
    def refuse(_):
        raise RuntimeError("can't start new thread")

    steps = Steps()
    worker = make(steps)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        worker.wake()
        worker.wake()
    assert not worker.alive
    assert "new thread" in str(worker.last_error)
    worker._start_after = 0.0
    worker.wake()
    steps.wait()


def test_fork_hooks_run_in_a_child_that_did_not_tell_and_are_held_weakly(monkeypatch):
    class Resource:
        def __init__(self):
            self.forks = 0
            on_fork(self.forked)

        def forked(self):
            self.forks += 1

    resource, forgotten = Resource(), Resource()
    hooks = len(worker_module._fork_hooks)
    del forgotten
    gc.collect()
    assert len(worker_module._fork_hooks) < hooks
    check_fork()
    assert resource.forks == 0
    # As in a process that C code has forked: os.fork was not called, only the id is another.
    monkeypatch.setattr(worker_module, "_pid", -1)
    check_fork()
    check_fork()
    assert resource.forks == 1
    assert worker_module._pid == os.getpid()


def run(code):
    return subprocess.run(
        [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c", code],
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_a_child_starts_its_own_thread_and_exit_hooks_run_in_both():
    done = run(
        """
import os, threading
from aistrale.core.worker import Worker
ran = threading.Event()
worker = Worker(ran.set, name="w", delay=0.0, at_exit=lambda: os.write(1, b"exit\\n"))
worker.wake()
assert ran.wait(20)
child = os.fork()
if child == 0:
    assert not worker.alive
    ran = threading.Event()
    worker._step = ran.set
    worker.wake()
    assert ran.wait(20)
else:
    assert os.waitpid(child, 0)[1] == 0
"""
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"exit\nexit\n"


def test_a_finalizer_that_wakes_while_the_interpreter_goes_down_holds_nobody_up():
    code = (
        "from aistrale.core.worker import Worker\n"
        "class Owner:\n"
        "    def __init__(self):\n"
        "        self.worker = Worker(lambda: None, name='w')\n"
        "    def __del__(self):\n"
        "        self.worker.wake()\n"
        "        print('woken', self.worker.alive)\n"
        "owner = Owner()\n"
        "owner.itself = owner\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "woken False\n", "")


def test_an_exit_hook_that_fails_is_logged_and_others_run():
    done = run(
        """
import os
from aistrale.core.worker import Worker
first = Worker(lambda: None, name="first", at_exit=lambda: 1 / 0)
second = Worker(lambda: None, name="second", at_exit=lambda: os.write(1, b"exit"))
"""
    )
    assert done.returncode == 0
    assert done.stdout == b"exit"
    assert b"first could not finish its work at exit" in done.stderr


GUARDED = """
import os, sys, threading
from aistrale.core import worker
from aistrale.core.worker import locked_in_fork, on_fork

class Guarded:
    def __init__(self):
        self.lock = threading.RLock()
        on_fork(self.renew)
        locked_in_fork(self.own)
    def renew(self):
        self.lock = threading.RLock()
    def own(self):
        return self.lock

guarded, entered, inside, leave = Guarded(), threading.Event(), [], threading.Event()
def work():
    with guarded.lock:
        inside.append(1)
        entered.set()
        leave.wait(float(sys.argv[1]))
        inside.clear()
worker._FORK_PATIENCE = float(sys.argv[2])
thread = threading.Thread(target=work)
thread.start()
entered.wait()
child = os.fork()
if child == 0:
    with guarded.lock:
        os._exit(2 if inside else 0)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
leave.set()
thread.join()
free = []
other = threading.Thread(target=lambda: free.append(guarded.lock.acquire(timeout=20)))
other.start()
other.join()
print(status, free, worker._held)
"""


def test_a_fork_waits_for_whoever_is_behind_a_lock_but_not_for_ever():
    for seconds, patience, expected in (("0.2", "20", 0), ("60", "0.05", 2)):
        done = subprocess.run(
            [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c", GUARDED, seconds, patience],
            capture_output=True,
            timeout=60,
            check=False,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert (done.stdout, done.stderr) == (f"{expected} [True] {{}}\n", "")


IMPORTING = """
import os, threading
from aistrale.core.worker import importing

began, done = threading.Event(), threading.Event()
def slow():
    with importing():
        began.set()
        threading.Event().wait(0.2)
        done.set()
thread = threading.Thread(target=slow)
thread.start()
began.wait()
child = os.fork()
if child == 0:
    with importing():
        os._exit(0 if done.is_set() else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
thread.join()
with importing():
    print("free")
"""


def test_a_fork_waits_for_an_import():
    done = subprocess.run(
        [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c", IMPORTING],
        capture_output=True,
        timeout=60,
        check=False,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.stdout, done.stderr) == ("0\nfree\n", "")


LATE = """
import os, threading
from aistrale.core import worker
from aistrale.core.worker import locked_in_fork, on_fork

class Guarded:
    def __init__(self):
        self.lock = threading.RLock()
        on_fork(self.renew)
    def renew(self):
        self.lock = threading.RLock()
    def own(self):
        return self.lock

entered, inside, made = threading.Event(), [], []
class Slow(Guarded):
    def own(self):
        # While a fork gathers its locks, another thread begins something that must not be forked.
        entered.set()
        threading.Event().wait(0.2)
        return self.lock
slow = Slow()
locked_in_fork(slow.own)
def work():
    entered.wait()
    late = Guarded()
    locked_in_fork(late.own)
    with late.lock:
        inside.append(1)
        threading.Event().wait(0.3)
        inside.clear()
    made.append(late)
thread = threading.Thread(target=work)
thread.start()
child = os.fork()
if child == 0:
    os._exit(2 if inside else 0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
thread.join()
print(len(made), worker._held)
"""


def test_what_is_guarded_only_since_a_fork_began_waits_for_its_end():
    done = subprocess.run(
        [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c", LATE],
        capture_output=True,
        timeout=60,
        check=False,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.stdout, done.stderr) == ("0\n1 {}\n", "")
