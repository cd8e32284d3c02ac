"""Forks beside threads that load modules, and children of `multiprocessing`, which end without `atexit`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

# A module that takes its time to be loaded in a thread, while the main thread forks.
LOADING = """
import importlib.abc, importlib.machinery, importlib.util, os, signal, sys, threading
from aistrale.core import forks, worker

name, seconds, forks._OURS_PATIENCE, alarm = sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
entered, leave = threading.Event(), threading.Event()

class Slow(importlib.machinery.SourceFileLoader):
    def exec_module(self, module):
        entered.set()
        leave.wait(seconds)
        super().exec_module(module)

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, found, path, target=None):
        if found != name:
            return None
        origin = importlib.machinery.PathFinder.find_spec(found, path).origin
        return importlib.util.spec_from_file_location(found, origin, loader=Slow(found, origin))

def load():
    if name == "colorsys":
        import colorsys
    else:
        from aistrale.dialects import chat_dialect
        chat_dialect("openai_chat")

sys.meta_path.insert(0, Finder())
thread = threading.Thread(target=load)
thread.start()
entered.wait()
child = os.fork()
if child == 0:
    signal.alarm(alarm)
    if name != "colorsys":
        load()
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
leave.set()
thread.join()
"""


def run(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c", code, *arguments],
        capture_output=True,
        timeout=30,
        check=False,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize(
    ("name", "seconds", "patience", "alarm", "status"),
    [
        ("aistrale.dialects.openai_chat", "0.2", "30", "20", "0"),
        # Not for ever: the child waits in vain then, until its alarm ends it.
        ("aistrale.dialects.openai_chat", "60", "0.05", "1", "-14"),
        # What others load is theirs to wait for.
        ("colorsys", "60", "60", "20", "0"),
    ],
)
def test_a_fork_waits_for_modules_of_ours_that_are_being_loaded(name, seconds, patience, alarm, status):
    assert run(LOADING, name, seconds, patience, alarm) == f"{status}\n"


READING = """
import os, signal, threading
from aistrale.cost.book import price_book as books

entered, leave = threading.Event(), threading.Event()
current = books._current
def slow():
    entered.set()
    leave.wait(60)
    return current()
books._current = slow
thread = threading.Thread(target=books.price_book)
thread.start()
entered.wait()
child = os.fork()
if child == 0:
    books._current = current
    signal.alarm(10)
    os._exit(0 if books.price_book() else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
leave.set()
thread.join()
"""


def test_a_child_reads_the_price_book_that_a_thread_of_its_parent_was_reading():
    assert run(READING) == "0\n"


ENDING = """
import json, multiprocessing, os, sys
import aistrale.core.worker
from aistrale.core.worker import Worker

def end():
    os.write(1, f"{multiprocessing.current_process().name != 'MainProcess'}\\n".encode())

worker = Worker(lambda: None, name="w", at_exit=end)

def work(number):
    return number

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    process = context.Process(target=work, args=(1,))
    process.start()
    process.join()
    with context.Pool(1) as pool:
        assert pool.map(work, [1]) == [1]
        pool.close()
        pool.join()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_exit_hooks_run_in_children_of_multiprocessing(method, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(ENDING)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(program), method],
        capture_output=True,
        timeout=30,
        check=False,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stderr == ""
    lines = done.stdout.split()
    # A process of its own, one of a pool, and the program itself. Who has both kinds of ends runs both.
    assert lines.count("False") == 1
    assert lines.count("True") in ({2} if method == "fork" else {4, 2})
