"""The store in a file: shared, private, and never a reason to fail."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from aistrale.store.answers import Entry
from aistrale.store.answers_sqlite import APPLICATION, SQLiteAnswers

LOGGER = "aistrale.answers"


def entry(text="x", at=100.0, keep=50.0):
    return Entry(text.encode(), at, at + keep)


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "answers.db"


@pytest.fixture
def make(path):
    made = []

    def new(where=path, **options):
        store = SQLiteAnswers(where, **{"max_entries": 100, "max_bytes": 1_000_000, **options})
        made.append(store)
        return store

    yield new
    for store in made:
        store.close()


def warnings_in(caplog):
    return [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_nothing_is_created_before_something_is_kept(make, path):
    store = make()
    assert store.get("k", 0.0) is None
    store.clear()
    store.flush()
    assert not path.parent.exists()


def test_another_store_and_another_process_find_what_was_kept(make, path):
    first, second = make(), make()
    first.put("l", entry("ünïcode ☃"))
    first.flush()
    assert second.get("l", 110.0) == entry("ünïcode ☃")
    code = (
        "import sys; from pathlib import Path; from aistrale.store.answers_sqlite import SQLiteAnswers;"
        "s = SQLiteAnswers(Path(sys.argv[1]), max_entries=9, max_bytes=10**6);"
        "print(s.get('l', 110.0).data.decode('utf-8')); from aistrale.store.answers import Entry;"
        "s.put('m', Entry(b'theirs', 100.0, 150.0))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True, check=True, timeout=60, encoding="utf-8", env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert done.stdout.strip() == "ünïcode ☃"
    assert second.get("m", 110.0) == entry("theirs")


def test_the_file_and_its_companions_are_private(make, path):
    old = os.umask(0)
    try:
        store = make()
        store.put("k", entry())
        store.flush()
    finally:
        os.umask(old)
    assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}
    assert len(list(path.parent.iterdir())) > 1
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_what_was_put_is_found_before_it_is_written(make, path):
    store = make()
    store._worker.wake = lambda: None
    store.put("k", entry())
    assert store.get("k", 110.0) == entry()
    assert not path.exists()


def test_deleted_answers_are_overwritten_in_the_file(make, path):
    store = make()
    store.put("k", entry("the canary sings" * 100))
    store.close()
    assert b"the canary sings" in path.read_bytes()
    store.clear()
    store.close()
    everything = b"".join(each.read_bytes() for each in path.parent.iterdir())
    assert b"the canary sings" not in everything


def test_expired_answers_leave_the_file(make, path):
    store = make()
    store.put("k", entry(keep=5.0))
    store.flush()
    store.put("l", entry(at=105.0))
    store.close()
    with sqlite3.connect(path) as connection:
        assert [key for (key,) in connection.execute("SELECT key FROM answers")] == ["l"]
    connection.close()


def damaged(path, how):
    path.parent.mkdir(parents=True, exist_ok=True)
    if how == "text":
        path.write_bytes(b"this is no database " * 500)
    elif how == "directory":
        path.mkdir()
    elif how == "no directory":
        path.parent.rmdir()
        path.parent.write_text("a file is in the way")
    else:
        connection = sqlite3.connect(path)
        if how == "of another program":
            connection.execute("CREATE TABLE answers (mine TEXT)")
        elif how == "of another program, empty":
            connection.execute("PRAGMA application_id = 77")
        elif how == "like a ledger":
            connection.execute("PRAGMA user_version = 1")
        elif how == "newer":
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute("PRAGMA user_version = 99")
        connection.commit()
        connection.close()


@pytest.mark.parametrize(
    "how",
    ["text", "directory", "no directory", "of another program", "of another program, empty", "like a ledger", "newer"],
)
@pytest.mark.parametrize("first", ["get", "put"])
def test_a_file_that_cannot_be_used_is_an_empty_cache_and_one_warning(make, path, how, first, caplog):
    damaged(path, how)
    before = path.read_bytes() if path.is_file() else None
    store = make(clock=Clock())
    if first == "get":
        assert store.get("k", 110.0) is None
    for key in "kl":
        store.put(key, entry())
        store.flush()
    store._step()
    assert store.get("k", 110.0) is None
    store.clear()
    assert len(warnings_in(caplog)) == 1
    assert "answers.db" in warnings_in(caplog)[0].getMessage()
    assert (path.read_bytes() if path.is_file() else None) == before


def test_a_damaged_page_is_no_answer_and_no_error(make, path, caplog):
    store = make(clock=Clock())
    for number in range(50):
        store.put(f"k{number}", entry("x" * 3000, keep=500.0))
    store.close()
    data = bytearray(path.read_bytes())
    for at in range(4096, len(data), 512):
        data[at : at + 256] = b"\xa5" * 256
    path.write_bytes(data)
    again = make(clock=Clock())
    for number in range(50):
        again.get(f"k{number}", 110.0)
    again.put("k1", entry())
    again.flush()
    assert len(warnings_in(caplog)) <= 1


def test_it_looks_again_after_a_minute(make, path, caplog):
    damaged(path, "text")
    clock = Clock()
    store = make(clock=clock)
    assert store.get("k", 110.0) is None
    path.unlink()
    store.put("k", entry())
    store._step()
    assert not path.exists()
    clock.now = 61.0
    store.put("k", entry())
    store.flush()
    assert make().get("k", 110.0) == entry()
    damaged(path, "text")
    store.close()
    assert len(warnings_in(caplog)) == 1


def test_a_file_of_an_older_version_is_begun_anew(make, path):
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute("CREATE TABLE answers (key TEXT, other TEXT)")
    connection.execute("INSERT INTO answers VALUES ('k', 'what it meant then')")
    connection.commit()
    connection.close()
    store = make()
    assert store.get("k", 110.0) is None
    store.put("k", entry())
    store.flush()
    assert make().get("k", 110.0) == entry()


def test_a_deleted_file_is_begun_anew(make, path):
    store = make()
    store.put("k", entry())
    store.flush()
    for each in list(path.parent.iterdir()):
        each.unlink()
    assert store.get("k", 110.0) is None
    store.put("l", entry())
    store.flush()
    assert make().get("l", 110.0) == entry()


def test_a_locked_file_delays_writing_and_is_no_failure(make, path, caplog):
    store = make()
    store.put("k", entry())
    store.flush()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store.put("l", entry())
    assert store._step() == pytest.approx(0.2)
    assert store.get("k", 110.0) == entry()
    assert store.get("l", 110.0) == entry()
    other.execute("ROLLBACK")
    other.close()
    store.flush()
    assert make().get("l", 110.0) == entry()
    assert warnings_in(caplog) == []


def test_what_was_about_to_be_written_when_all_was_forgotten_stays_forgotten(make):
    store = make()
    store._worker.wake = lambda: None
    store.put("k", entry("one"))
    store.flush()
    store.put("k", entry("two"))
    with store._writing._lock:
        writer = threading.Thread(target=store._step)
        writer.start()
        writer.join(0.2)
        assert writer.is_alive()
        store.clear()
    writer.join()
    assert make().get("k", 110.0) is None


def test_the_background_thread_writes_by_itself(make):
    store = make()
    store.put("k", entry())
    written = threading.Event()
    for _ in range(500):
        if make().get("k", 110.0) is not None:
            written.set()
            break
        written.wait(0.01)
    assert written.is_set()


def test_an_answer_that_comes_while_an_older_one_is_written_is_written_next(make):
    store = make()
    store._worker.wake = lambda: None
    store.put("k", entry("old"))
    older = store._waiting.first(9)
    store.put("k", entry("new"))
    store._waiting.done(older)
    store.flush()
    assert make().get("k", 110.0) == entry("new")


def test_what_waits_is_bounded(make, path):
    damaged(path, "text")
    store = make(max_bytes=10**9, clock=Clock())
    block = "x" * (8 * 1024 * 1024)
    store._worker.wake = lambda: None
    for number in range(10):
        store.put(f"k{number}", entry(block))
    waiting = store._waiting
    assert waiting.bytes <= 32 * 1024 * 1024
    assert waiting.bytes == sum(each.size for _, each in waiting.first(10))
    assert waiting.get("k9") is not None
    waiting.clear()
    assert waiting.bytes == len(waiting) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_uses_the_file_and_leaves_the_parents_work_alone(path):
    code = """
import os, sys
from pathlib import Path
from aistrale.store.answers import Entry
from aistrale.store.answers_sqlite import SQLiteAnswers
store = SQLiteAnswers(Path(sys.argv[1]), max_entries=99, max_bytes=10**6)
store._worker.wake = lambda: None
store.put("before", Entry(b"b", 100.0, 150.0))
store.flush()
store.put("waiting", Entry(b"w", 100.0, 150.0))
pid = os.fork()
if not pid:
    assert store.get("before", 110.0).data == b"b"
    assert store.get("waiting", 110.0) is None
    store.put("child", Entry(b"c", 100.0, 150.0))
    store.flush()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
store.flush()
print(sorted(key for key in ("before", "waiting", "child") if store.get(key, 110.0)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, timeout=60, text=True, check=False
    )
    assert done.stdout.strip() == "['before', 'child', 'waiting']", done.stderr


READ_ONLY = """
import os, sys, logging, sqlite3
from pathlib import Path
from aistrale.store.answers import Entry
from aistrale.store.answers_sqlite import SQLiteAnswers
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
logging.basicConfig(stream=sys.stdout, format="%(name)s %(message)s")
store = SQLiteAnswers(Path(sys.argv[1]), max_entries=99, max_bytes=10**6)
for key in "kl":
    store.put(key, Entry(b"x", 100.0, 150.0))
    store.flush()
    store.get(key, 110.0)
store.close()
"""


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs POSIX modes")
@pytest.mark.parametrize("mode", [0o555, 0o777])
def test_a_read_only_file_is_one_warning(make, mode):
    # Not pytest's own directory, which is closed to the user that the test becomes where it runs as root.
    folder = Path(tempfile.mkdtemp())
    try:
        path = folder / "answers.db"
        store = make(path)
        store.put("k", entry())
        store.close()
        path.chmod(0o444)
        folder.chmod(mode)
        done = subprocess.run(
            [sys.executable, "-c", READ_ONLY, str(path)], capture_output=True, timeout=60, text=True, check=False
        )
    finally:
        folder.chmod(0o700)
        shutil.rmtree(folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("cannot be used and is off") == 1, done.stdout + done.stderr
