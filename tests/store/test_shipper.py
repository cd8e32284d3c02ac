# ruff: noqa: PLR0917 - fixtures are asked for by name, not by position
from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import struct
from pathlib import Path
from zlib import crc32

import pytest

from aistrale.store.journal import SEGMENT_SECONDS, Journal
from aistrale.store.ledger import SQLiteLedger
from aistrale.store.reader import MARKER, frame
from aistrale.store.segment import lock_file, segments_in
from aistrale.store.shipper import LOCK_NAME, Shipper
from tests.store.crashing import CrashError, Crashing


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def journal(home, clock):
    journal = Journal(home / "journal", clock=clock)
    yield journal
    journal.close()


@pytest.fixture
def ledger(home):
    ledger = SQLiteLedger(home / "ledger.sqlite3", busy_timeout=0.0)
    yield ledger
    ledger.close()


@pytest.fixture
def shipper(home, ledger, clock):
    return Shipper(home / "journal", ledger, clock=clock, batch_rows=3)


def segments(home):
    return segments_in(str(home / "journal"))


def dead_segment(home, data):
    path = home / "journal" / "00000000-1-1-0000abcd.open"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_an_absent_journal_needs_nothing(home, shipper):
    assert shipper.ship() is True
    assert shipper.step() is None
    assert not home.exists()


def test_rows_of_a_living_writer_are_shipped_and_its_segment_stays(home, journal, ledger, shipper, attempt, call):
    for number in range(7):
        journal.append(attempt(f"c{number}"), call(f"c{number}"))
    assert shipper.ship() is True
    assert len(ledger.calls()) == 7
    assert len(segments(home)) == 1
    journal.append(attempt("late"), call("late"))
    assert shipper.ship() is True
    assert len(ledger.calls()) == 8
    assert shipper.status().shipped == 16
    assert shipper.status().backlog_bytes == 0


def test_a_sealed_segment_is_deleted_and_forgotten_once_it_is_shipped(home, journal, ledger, shipper, clock, call):
    journal.append(call("a"))
    clock.now += SEGMENT_SECONDS
    journal.append(call("b"))
    journal.append(call("c"))
    assert len(segments(home)) == 2
    assert shipper.ship()
    (left,) = segments(home)
    assert str(left) == journal.status().path
    assert set(ledger.cursors()) == {left.stem}
    journal.close()
    assert shipper.ship()
    assert segments(home) == []
    assert ledger.cursors() == {}
    assert len(ledger.calls()) == 3


def test_a_dead_writers_torn_tail_is_counted_and_its_segment_deleted(home, ledger, shipper, call):
    dead_segment(home, frame(call("a")) + frame(call("b"))[:-1])
    assert shipper.ship()
    assert [row.call_id for row in ledger.calls()] == ["a"]
    assert shipper.status().skipped == 1
    assert segments(home) == []


def test_an_unfinished_row_of_a_living_writer_is_waited_for(home, ledger, shipper, call):
    whole, half = frame(call("a")), frame(call("b"))
    path = dead_segment(home, whole + half[:20])
    fd = os.open(path, os.O_RDWR | os.O_APPEND)
    assert lock_file(fd)
    assert shipper.ship()
    assert ledger.cursors() == {path.stem: len(whole)}
    os.write(fd, half[20:])
    assert shipper.ship()
    assert sorted(row.call_id for row in ledger.calls()) == ["a", "b"]
    assert shipper.status().skipped == 0
    os.close(fd)


def test_damage_in_a_living_segment_is_passed_once(home, ledger, shipper, call):
    path = dead_segment(home, b"damage" + frame(call("a")))
    fd = os.open(path, os.O_RDWR)
    assert lock_file(fd)
    assert shipper.ship()
    assert shipper.ship()
    assert shipper.status().skipped == 1
    assert len(ledger.calls()) == 1
    os.close(fd)


def test_rows_of_a_newer_version_are_left_to_it(home, ledger, shipper, call):
    payload = json.dumps([99, "c", "?"]).encode()
    newer = struct.pack(">4sII", MARKER, len(payload), crc32(payload, len(payload))) + payload
    path = dead_segment(home, frame(call("a")) + newer + frame(call("b")))
    assert shipper.ship()
    assert shipper.ship()
    assert [row.call_id for row in ledger.calls()] == ["a"]
    assert path.exists()
    assert shipper.status().held == 1


def test_only_one_ships_at_a_time(home, journal, ledger, shipper, clock, call):
    journal.append(call())
    fd = os.open(home / "journal" / LOCK_NAME, os.O_RDWR | os.O_CREAT)
    assert lock_file(fd)
    assert shipper.ship() is False
    assert shipper.step() == 1.0
    assert ledger.calls() == []
    assert shipper.status().last_error is None
    os.close(fd)
    assert shipper.ship() is True
    assert len(ledger.calls()) == 1


def test_a_locked_database_leaves_the_journal_and_is_tried_again(home, journal, ledger, shipper, call, caplog):
    journal.append(call("a"))
    assert shipper.ship()
    journal.append(call("b"))
    other = sqlite3.connect(home / "ledger.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert [shipper.step() for _ in range(3)] == [2.0, 4.0, 8.0]
    assert shipper.flush(0.0) is False
    status = shipper.status()
    assert status.failures == 3
    assert "locked" in status.last_error
    assert len(caplog.records) == 1
    other.execute("COMMIT")
    assert shipper.step() is None
    assert len(ledger.calls()) == 2
    assert shipper.status().last_error is None
    other.close()


def test_a_broken_database_leaves_the_journal_until_it_is_moved_away(home, journal, ledger, shipper, call):
    journal.append(call("a"))
    (home / "ledger.sqlite3").write_bytes(b"this is no database, " * 100)
    assert shipper.flush(5.0) is False
    assert "not a database" in shipper.status().last_error
    (home / "ledger.sqlite3").unlink()
    assert shipper.flush(5.0) is True
    assert len(ledger.calls()) == 1


def test_a_database_of_a_newer_version_is_not_touched(home, journal, ledger, shipper, call):
    journal.append(call("a"))
    connection = sqlite3.connect(home / "ledger.sqlite3")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert shipper.ship() is False
    assert "newer version" in shipper.status().last_error
    assert len(segments(home)) == 1


def test_a_deleted_database_is_started_again_with_what_the_journal_holds(home, journal, ledger, shipper, call):
    journal.append(call("a"))
    assert shipper.ship()
    for path in home.glob("ledger.sqlite3*"):
        path.unlink()
    journal.append(call("b"))
    assert shipper.ship()
    assert sorted(row.call_id for row in ledger.calls()) == ["a", "b"]


def test_a_deadline_ends_between_batches(home, journal, ledger, clock, call):
    class Slow(SQLiteLedger):
        def write_batch(self, rows, cursor):
            super().write_batch(rows, cursor)
            clock.now += 1

    slow = Slow(home / "ledger.sqlite3")
    shipper = Shipper(home / "journal", slow, clock=clock, batch_rows=3)
    for number in range(10):
        journal.append(call(f"c{number}"))
    assert shipper.flush(1.5) is False
    assert len(slow.calls()) == 6
    assert shipper.status().backlog_bytes > 0
    assert shipper.flush(100.0) is True
    assert len(slow.calls()) == 10
    slow.close()


# -- exactly once -----------------------------------------------------------------------------------------------


class CrashingLedger(Crashing, SQLiteLedger):
    pass


def count_arrivals(home):
    """Make the database count how often each row is inserted or replaced."""
    connection = sqlite3.connect(home / "ledger.sqlite3", isolation_level=None)
    connection.execute("CREATE TABLE arrivals (call_id TEXT)")
    for moment in ("INSERT", "UPDATE"):
        connection.execute(
            "CREATE TRIGGER arrived_? AFTER ? ON calls BEGIN INSERT INTO arrivals VALUES (new.call_id); END".replace(
                "?", moment
            )
        )
    connection.close()


def arrivals(home):
    connection = sqlite3.connect(home / "ledger.sqlite3")
    found = dict(connection.execute("SELECT call_id, count(*) FROM arrivals GROUP BY 1"))
    connection.close()
    return found


def test_rows_arrive_once_however_often_the_shipper_dies(home, journal, ledger, shipper, clock, call, monkeypatch):
    journal.append(call("first"))
    assert shipper.ship()
    count_arrivals(home)
    expected = []
    for crash_at in range(1, 40):
        for number in range(4):
            expected.append(f"{crash_at}-{number}")
            journal.append(call(expected[-1]))
        clock.now += SEGMENT_SECONDS
        crashing = CrashingLedger(home / "ledger.sqlite3")
        crashing.steps_left = crash_at
        with contextlib.suppress(CrashError):
            Shipper(home / "journal", crashing, batch_rows=3).ship()
        crashing.close()
    journal.close()
    assert shipper.ship()
    assert segments(home) == []
    assert ledger.cursors() == {}
    assert arrivals(home) == dict.fromkeys(expected, 1)


def test_rows_arrive_once_when_a_segment_cannot_be_deleted(home, journal, ledger, shipper, call, monkeypatch):
    journal.append(call("first"))
    assert shipper.ship()
    count_arrivals(home)
    journal.append(call("a"))
    journal.close()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda _: (_ for _ in ()).throw(PermissionError("not yours")))
        assert shipper.ship() is False
        assert shipper.ship() is False
    assert "not yours" in shipper.status().last_error
    assert len(segments(home)) == 1
    assert shipper.ship() is True
    assert segments(home) == []
    assert arrivals(home) == {"a": 1}


def test_rows_arrive_once_when_shipping_processes_are_killed(home, journal, ledger, shipper, clock, call, spawn):
    code = """
from aistrale.store.ledger import SQLiteLedger
from aistrale.store.shipper import Shipper
ledger = SQLiteLedger(sys.argv[1] + "/ledger.sqlite3")
os.write(1, b"x")
while True:
    Shipper(sys.argv[1] + "/journal", ledger, batch_rows=2).ship()
"""
    journal.append(call("first"))
    assert shipper.ship()
    count_arrivals(home)
    chance = random.Random(3)
    expected = []
    for number in range(6):
        process = spawn(code, home)
        process.stdout.read(1)
        for count in range(chance.randrange(50, 400)):
            expected.append(f"{number}-{count}")
            journal.append(call(expected[-1]))
            if count % 40 == 0:
                clock.now += SEGMENT_SECONDS
        process.send_signal(signal.SIGKILL)
        process.wait()
    journal.close()
    assert shipper.flush(10.0)
    assert segments(home) == []
    assert arrivals(home) == dict.fromkeys(expected, 1)


def test_a_forked_child_does_not_keep_the_lock_of_its_parent(home, journal, ledger, shipper, call, run_python):
    journal.append(call("a"))
    journal.close()
    out = run_python(
        """
from aistrale.store.ledger import SQLiteLedger
from aistrale.store.shipper import Shipper
from aistrale.store.segment import lock_file

class Forking(SQLiteLedger):
    def cursors(self):
        found = super().cursors()
        self.child = os.fork()
        if self.child == 0:
            os.read(wait, 1)
            os._exit(0)
        return found

wait, go = os.pipe()
ledger = Forking(sys.argv[1] + "/ledger.sqlite3")
assert Shipper(sys.argv[1] + "/journal", ledger).ship()
fd = os.open(sys.argv[1] + "/journal/ship.lock", os.O_RDWR)
print(lock_file(fd))
os.write(go, b"x")
os.waitpid(ledger.child, 0)
""",
        home,
    )
    assert out == "True\n"
    assert len(ledger.calls()) == 1


def test_a_vanished_directory_is_no_trouble(home, journal, ledger, shipper, call):
    journal.append(call("a"))
    assert shipper.ship()
    shutil.rmtree(home / "journal")
    assert shipper.ship() is True
