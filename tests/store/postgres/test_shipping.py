"""Rows arrive exactly once, whoever dies when."""

# ruff: noqa: PLR0917 - fixtures are asked for by name, not by position
from __future__ import annotations

import contextlib
import random
import signal
import threading

import pytest

from aistrale.store.journal import SEGMENT_SECONDS, Journal
from aistrale.store.postgres.address import Address
from aistrale.store.postgres.installation import Installation
from aistrale.store.postgres.ledger import PostgresLedger
from aistrale.store.protocol import Cursor
from aistrale.store.segment import segments_in
from aistrale.store.shipper import Shipper
from tests.store.crashing import CrashError, Crashing

CURSOR = Cursor("boot-1-1-1", 0)


@pytest.fixture
def home(tmp_path):
    return tmp_path / "machine"


@pytest.fixture
def journal(home, clock):
    journal = Journal(home, clock=clock)
    yield journal
    journal.close()


@pytest.fixture
def shipper(home, ledger, clock):
    ledger._installation = Installation(home)
    return Shipper(home, ledger, clock=clock, batch_rows=3)


@pytest.fixture
def counting(make_ledger, query):
    """Make the database count how often each call is inserted or replaced."""
    make_ledger("first").write_batch([], CURSOR)
    query("CREATE TABLE arrivals (call_id TEXT)")
    query("""CREATE FUNCTION arrived() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO arrivals VALUES (new.call_id); RETURN new; END $$""")
    query("CREATE TRIGGER arrived AFTER INSERT OR UPDATE ON calls FOR EACH ROW EXECUTE FUNCTION arrived()")
    return lambda: dict(query("SELECT call_id, count(*) FROM arrivals GROUP BY 1"))


def left(home):
    return segments_in(str(home))


def test_rows_of_a_living_writer_are_shipped_and_its_segment_stays(home, journal, ledger, shipper, attempt, call):
    for number in range(7):
        journal.append(attempt(f"c{number}"), call(f"c{number}"))
    assert shipper.ship() is True
    assert len(ledger.calls()) == 7
    assert len(left(home)) == 1
    journal.append(call("late"))
    assert shipper.ship() is True
    assert (len(ledger.calls()), shipper.status().shipped, shipper.status().backlog_bytes) == (8, 15, 0)


def test_a_sealed_segment_is_deleted_and_forgotten_once_it_is_shipped(home, journal, ledger, shipper, clock, call):
    journal.append(call("a"))
    clock.now += SEGMENT_SECONDS
    journal.append(call("b"))
    journal.append(call("c"))
    assert shipper.ship()
    (open_one,) = left(home)
    assert set(ledger.cursors()) == {open_one.stem}
    journal.close()
    assert shipper.ship()
    assert (left(home), ledger.cursors(), len(ledger.calls())) == ([], {}, 3)


class CrashingLedger(Crashing, PostgresLedger):
    pass


def test_rows_arrive_once_however_often_the_shipper_dies(
    home, journal, ledger, shipper, clock, call, counting, address
):
    journal.append(call("first"))
    assert shipper.ship()
    expected = ["first"]
    for crash_at in range(1, 30):
        for number in range(4):
            expected.append(f"{crash_at}-{number}")
            journal.append(call(expected[-1]))
        clock.now += SEGMENT_SECONDS
        crashing = CrashingLedger(Address.parse(address), Installation(home))
        crashing.steps_left = crash_at
        with contextlib.suppress(CrashError):
            Shipper(home, crashing, batch_rows=3).ship()
        crashing.close()
    journal.close()
    assert shipper.ship()
    assert (left(home), ledger.cursors()) == ([], {})
    assert counting() == dict.fromkeys(expected, 1)


def test_rows_arrive_once_when_shipping_processes_are_killed(
    home, journal, ledger, shipper, clock, call, spawn, counting, address
):
    code = """
from aistrale.store.postgres.address import Address
from aistrale.store.postgres.installation import Installation
from aistrale.store.postgres.ledger import PostgresLedger
from aistrale.store.shipper import Shipper
ledger = PostgresLedger(Address.parse(sys.argv[2]), Installation(sys.argv[1]))
ledger.calls()
os.write(1, b"x")
while True:
    Shipper(sys.argv[1], ledger, batch_rows=2).ship()
"""
    chance = random.Random(3)
    expected = []
    journal.append(call("first"))
    assert shipper.ship()
    for number in range(4):
        process = spawn(code, home, address)
        process.stdout.read(1)
        for count in range(chance.randrange(50, 300)):
            expected.append(f"{number}-{count}")
            journal.append(call(expected[-1]))
            if count % 40 == 0:
                clock.now += SEGMENT_SECONDS
        process.send_signal(signal.SIGKILL)
        process.wait()
    journal.close()
    assert shipper.flush(20.0)
    assert left(home) == []
    assert counting() == dict.fromkeys([*expected, "first"], 1)


def test_rows_arrive_once_when_the_server_is_killed_in_the_midst(
    home, journal, ledger, shipper, call, counting, server, query
):
    """Its last commits may have been made though nobody was told: then rows come again, and change nothing."""
    stop, failures = threading.Event(), []

    def work():
        while not stop.is_set():
            failures.append(shipper.ship() is False)

    thread = threading.Thread(target=work)
    thread.start()
    expected = []
    for number in range(3):
        for count in range(150):
            expected.append(f"{number}-{count}")
            journal.append(call(expected[-1], user=str(number)))
        while len(failures) < 2:
            stop.wait(0.001)
        server.stop(signal.SIGKILL)
        failures.clear()
        while not any(failures):
            stop.wait(0.001)
        server.start()
        while failures[-1]:
            stop.wait(0.001)
    stop.set()
    thread.join()
    journal.close()
    assert shipper.flush(20.0)
    assert (left(home), ledger.cursors()) == ([], {})
    assert {row.call_id for row in ledger.calls(-1)} == set(expected)
    assert sum(row.calls for row in ledger.summary("user")) == len(expected)
    assert set(counting()) == set(expected)


def test_two_machines_ship_at_once_and_neither_forgets_the_others_segments(
    tmp_path, make_ledger, clock, call, intent, attempt, counting
):
    machines = {}
    for name in ("here", "there"):
        journal = Journal(tmp_path / name, clock=clock)
        ledger = make_ledger(name)
        machines[name] = journal, ledger, Shipper(tmp_path / name, ledger, batch_rows=5)

    def work(name):
        journal, _, shipper = machines[name]
        for number in range(120):
            call_id = f"{name}-{number}"
            journal.append(intent(call_id), attempt(call_id), call(call_id))
            if number % 10 == 0:
                assert shipper.ship()
                clock.now += SEGMENT_SECONDS

    threads = [threading.Thread(target=work, args=(name,)) for name in machines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, (journal, ledger, shipper) in machines.items():
        journal.close()
        assert shipper.ship()
        assert (left(tmp_path / name), ledger.cursors(), ledger.open_intents()) == ([], {}, [])
    assert counting() == {f"{name}-{number}": 1 for name in machines for number in range(120)}
    assert machines["here"][1].spend()[0].attempts == 240


def test_an_installation_that_lost_its_name_ships_again_and_changes_nothing(
    home, journal, ledger, shipper, call, query, attempt
):
    for number in range(5):
        journal.append(attempt(f"c{number}"), call(f"c{number}"))
    assert shipper.ship()
    before = query("SELECT * FROM calls ORDER BY call_id"), query("SELECT * FROM attempts ORDER BY call_id")
    name = Installation(home).name()
    (home / "installation").unlink()
    assert shipper.ship()
    assert Installation(home).name() not in {None, name}
    assert (query("SELECT * FROM calls ORDER BY call_id"), query("SELECT * FROM attempts ORDER BY call_id")) == before


def test_the_name_of_an_installation_is_made_once_and_whole(tmp_path):
    installation = Installation(tmp_path)
    assert installation.name() is None
    name = installation.name(create=True)
    assert installation.name() == installation.name(create=True) == Installation(tmp_path).name() == name
    (tmp_path / "installation").write_text("half a na")
    assert installation.name() is None
    assert installation.name(create=True) not in {None, name}
    assert [path.name for path in tmp_path.iterdir()] == ["installation"]
