"""The database is away, slow, locked, read-only, or does not let us in: calls go on, and rows wait."""

from __future__ import annotations

import socket
import time

import psycopg
import pytest

from aistrale.store import open_ledger
from aistrale.store.postgres import ledger as ledger_module
from aistrale.store.postgres import session as session_module
from aistrale.store.protocol import Cursor, LedgerUnavailable

CURSOR = Cursor("0badb007-4711-1790000000000000000-00c0ffee", 10)


@pytest.fixture
def handle(address, tmp_path, monkeypatch):
    monkeypatch.setenv("AISTRALE_HOME", str(tmp_path / "home"))
    handle = open_ledger(address)
    yield handle
    handle.close()


def degraded(handle):
    return handle.status().degraded or ""


def test_rows_wait_for_a_server_that_is_away_and_are_shipped_when_it_is_back(handle, server, call, caplog):
    assert handle.append(call("a")) is True
    assert handle.flush(10.0) is True
    server.stop()
    assert handle.append(call("b")) is True
    assert handle.flush(1.0) is False
    assert "cannot be used: connection" in degraded(handle)
    assert "?" not in degraded(handle).partition("cannot be used")[2]
    assert "Check that it can be reached" in degraded(handle)
    assert "Rows wait in the journal" in degraded(handle)
    with pytest.raises(LedgerUnavailable, match="connection"):
        handle.calls()
    status = handle.status()
    assert (status.mode, status.journal.acknowledged, status.shipper.backlog_bytes > 0) == ("postgresql", 2, True)
    server.start()
    assert handle.flush(20.0) is True
    assert len(handle.calls()) == 2
    assert handle.status().degraded is None
    assert len(caplog.records) == 1


def test_a_server_that_was_started_anew_is_not_even_noticed(handle, server, call):
    handle.append(call("a"))
    assert len(handle.calls()) == 1
    server.stop()
    server.start()
    # The connections of both are dead, and each finds out at its first use.
    handle.append(call("b"))
    assert handle.flush(20.0) is True
    assert len(handle.calls()) == 2
    assert handle.status().shipper.failures == 0


def test_a_wrong_password_is_said_and_not_quoted(server, schema, call, tmp_path, monkeypatch):
    monkeypatch.setenv("AISTRALE_HOME", str(tmp_path))
    with server.connect() as connection:
        connection.execute("DROP ROLE IF EXISTS secret")
        connection.execute("CREATE ROLE secret LOGIN PASSWORD 'right-one'")
    wrong = open_ledger(server.address(schema, "secret", password="canary-password"))
    assert wrong.append(call()) is True
    assert wrong.flush(5.0) is False
    assert 'password authentication failed for user "secret"' in degraded(wrong)
    assert "canary" not in degraded(wrong) + str(wrong.status())
    with pytest.raises(LedgerUnavailable) as caught:
        wrong.calls()
    assert "canary" not in repr(caught.value)
    wrong.close()
    with server.connect() as connection:
        connection.execute(f"CREATE SCHEMA {schema} AUTHORIZATION secret")
    # The journal is the database's, not the user's or the password's.
    right = open_ledger(server.address(schema, "secret", password="right-one"))
    assert len(right.calls()) == 1
    right.close()
    with server.connect() as connection:
        connection.execute(f"DROP SCHEMA {schema} CASCADE")
        connection.execute("DROP ROLE secret")


def test_a_database_that_there_is_not_is_said(server, call, tmp_path, monkeypatch):
    monkeypatch.setenv("AISTRALE_HOME", str(tmp_path))
    handle = open_ledger(f"postgresql://owner@/nowhere?host={server.directory}")
    handle.append(call())
    assert handle.flush(5.0) is False
    assert 'database "nowhere" does not exist' in degraded(handle)
    handle.close()


def test_a_database_that_is_read_only_is_said(make_ledger, call, address):
    ledger = make_ledger()
    ledger.write_batch([call()], CURSOR)
    standby = make_ledger("there", address=f"{address}&options=-cdefault_transaction_read_only%3Don")
    with pytest.raises(LedgerUnavailable, match=r"read-only transaction.*name the primary"):
        standby.write_batch([call("b")], CURSOR)
    assert len(standby.calls()) == 1


def test_a_full_server_is_said(ledger, query, call):
    ledger.write_batch([], CURSOR)
    query("""CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE 'no space left on device' USING ERRCODE = 'disk_full'; END $$""")
    query("CREATE TRIGGER full_disk BEFORE INSERT ON calls FOR EACH ROW EXECUTE FUNCTION full_disk()")
    with pytest.raises(LedgerUnavailable, match=r"no space left on device.*Free the disk"):
        ledger.write_batch([call()], CURSOR)
    query("DROP TRIGGER full_disk ON calls")
    ledger.write_batch([call()], CURSOR)


def test_a_lock_of_somebody_else_is_waited_for_only_so_long(ledger, server, schema, call, monkeypatch):
    monkeypatch.setattr(session_module, "_LOCK_SECONDS", 0.05)
    ledger.write_batch([call("a")], CURSOR)
    with psycopg.connect(host=str(server.directory), user="owner", dbname="postgres") as other:
        other.execute(f"LOCK TABLE {schema}.calls IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(LedgerUnavailable, match="lock timeout") as caught:
            ledger.write_batch([call("b")], CURSOR)
        assert caught.value.busy is True
        other.rollback()
    ledger.write_batch([call("b")], CURSOR)
    assert len(ledger.calls()) == 2


def test_a_question_that_takes_too_long_is_ended_by_the_server(make_ledger, address, call, monkeypatch):
    monkeypatch.setattr(ledger_module, "QUESTION_SECONDS", 0.2)
    ledger = make_ledger()
    ledger.write_batch([call()], CURSOR)
    with pytest.raises(LedgerUnavailable, match="statement timeout"):
        ledger._asking.run(lambda cursor: cursor.execute("SELECT pg_sleep(60)"))
    ledger.write_batch([call("b")], CURSOR)


def test_a_server_that_is_frozen_holds_nobody_up_for_long(handle, server, call, monkeypatch):
    monkeypatch.setattr(session_module, "_GRACE_SECONDS", 0.1)
    handle.append(call("a"))
    assert len(handle.calls()) == 1
    server.hang()
    began = time.monotonic()
    assert handle.append(call("b")) is True
    assert handle.flush(0.3) is False
    assert time.monotonic() - began < 2.0
    assert "did not answer in time" in degraded(handle)
    server.go_on()
    assert handle.flush(20.0) is True
    assert len(handle.calls()) == 2


def test_whoever_asks_a_silent_address_waits_once_and_the_next_are_told_at_once(make_ledger, clock, call, monkeypatch):
    """A listening socket that nobody accepts from: the connection is made, and then nothing is ever said."""
    monkeypatch.setattr(session_module, "_CONNECT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        ledger = make_ledger(address=f"postgresql://u@127.0.0.1:{port}/d", clock=clock)
        real = session_module.time.monotonic
        clock.now = real()
        began = real()

        def step():
            with pytest.raises(LedgerUnavailable, match="timeout") as caught:
                ledger.calls()
            return str(caught.value)

        monkeypatch.setattr(ledger._asking, "_clock", real)
        first = step()
        taken = real() - began
        assert 1.5 < taken < 20.0
        began = real()
        assert [step() for _ in range(100)] == [first] * 100
        assert real() - began < 1.0


def test_close_and_exit_do_not_wait_for_a_silent_address(run_python, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        out = run_python(
            """
import time
from aistrale.store import open_ledger
os.environ["AISTRALE_HOME"] = sys.argv[2]
import aistrale.store.local
aistrale.store.local.EXIT_SECONDS = 0.3
import logging
logging.disable()
handle = open_ledger(f"postgresql://u@127.0.0.1:{sys.argv[1]}/d")
assert handle.append(attempt("kept"))
began = time.monotonic()
handle.close()
print(time.monotonic() - began)
assert handle.append(attempt("kept too"))
import atexit
atexit.register(lambda: print(time.monotonic() - began))
began = time.monotonic()
""",
            silent.getsockname()[1],
            tmp_path / "home",
        )
    closing, before_exit = map(float, out.split())
    # The import of the driver included, on a busy machine.
    assert closing < 3.0
    assert before_exit < 3.0
    assert len(list((tmp_path / "home").glob("journal-*/*.seal"))) == 2


def test_whatever_is_wrong_with_a_connection_is_said(ledger, call, monkeypatch):
    def connect(*_):
        raise RuntimeWarning("a library below complains")

    monkeypatch.setattr("aistrale.store.postgres.driver.connect", connect)
    with pytest.raises(LedgerUnavailable, match="a library below complains"):
        ledger.write_batch([call()], CURSOR)


def test_a_mistake_of_ours_is_no_outage(ledger, call):
    ledger.write_batch([call()], CURSOR)
    with pytest.raises(ZeroDivisionError):
        ledger._writing.run(lambda cursor: 1 // 0, write=True)
    assert len(ledger.calls()) == 1


def test_a_driver_that_cannot_be_loaded_leaves_rows_in_the_journal(handle, call, monkeypatch):
    import sys

    for name in [name for name in sys.modules if name.partition(".")[0] == "psycopg"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "aistrale.store.postgres.driver", raising=False)
    monkeypatch.delattr("aistrale.store.postgres.driver", raising=False)
    assert handle.append(call()) is True
    assert handle.flush(5.0) is False
    assert 'pip install "aistrale[postgres]"' in degraded(handle)
