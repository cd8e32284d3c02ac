# ruff: noqa: PLR0917 - fixtures are asked for by name, not by position
from __future__ import annotations

import threading

import psycopg
import pytest

from aistrale.store.postgres import schema as schema_module
from aistrale.store.postgres.schema import MIGRATIONS
from aistrale.store.protocol import Cursor, LedgerUnavailable

CURSOR = Cursor("0badb007-4711-1790000000000000000-00c0ffee", 10)


def version(query):
    return query("SELECT version FROM schema_version")


def test_the_tables_are_made_by_the_first_row(ledger, query, call):
    ledger.write_batch([call()], CURSOR)
    assert version(query) == [(len(MIGRATIONS),)]


def test_many_processes_may_start_at_once(make_ledger, query, call):
    ledgers = [make_ledger(f"m{number}") for number in range(8)]
    barrier, failures = threading.Barrier(len(ledgers)), []

    def work(number):
        barrier.wait()
        try:
            ledgers[number].write_batch([call(str(number))], CURSOR)
        except LedgerUnavailable as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(ledgers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert query("SELECT count(*) FROM calls") == [(8,)]
    assert version(query) == [(len(MIGRATIONS),)]


def test_an_older_schema_is_brought_up_to_date_with_its_rows(make_ledger, query, call, monkeypatch):
    make_ledger().write_batch([call("old")], CURSOR)
    newer = (*MIGRATIONS, ("ALTER TABLE calls ADD COLUMN mood TEXT DEFAULT 'good'",))
    monkeypatch.setattr(schema_module, "MIGRATIONS", newer)
    # Already a question does it.
    assert [row.call_id for row in make_ledger("there").calls()] == ["old"]
    assert version(query) == [(len(newer),)]
    assert query("SELECT mood FROM calls") == [("good",)]


def test_a_migration_that_fails_leaves_the_old_schema(make_ledger, query, call, monkeypatch):
    make_ledger().write_batch([call("old")], CURSOR)
    with monkeypatch.context() as patch:
        patch.setattr(schema_module, "MIGRATIONS", (*MIGRATIONS, ("ALTER TABLE calls ADD COLUMN mood TEXT", "oops")))
        with pytest.raises(LedgerUnavailable, match="syntax error"):
            make_ledger("there").calls()
    assert version(query) == [(len(MIGRATIONS),)]
    assert len(make_ledger("there").calls()) == 1


def test_a_newer_schema_is_left_alone_and_said(make_ledger, query, call):
    ledger = make_ledger()
    ledger.write_batch([call()], CURSOR)
    query("UPDATE schema_version SET version = 99")
    newcomer = make_ledger("there")
    for use in (newcomer.calls, lambda: newcomer.write_batch([call("b")], CURSOR)):
        with pytest.raises(LedgerUnavailable, match=r"schema 99 is of a newer version.*Update aistrale"):
            use()
    assert query("SELECT count(*) FROM calls") == [(1,)]


def test_a_schema_that_is_dropped_is_made_anew_by_the_same_process(ledger, query, schema, call):
    ledger.write_batch([call("a")], CURSOR)
    assert len(ledger.calls()) == 1
    query(f"DROP SCHEMA {schema} CASCADE")
    assert ledger.calls() == []
    assert ledger.cursors() == {}
    ledger.write_batch([call("b")], CURSOR)
    assert [row.call_id for row in ledger.calls()] == ["b"]


def test_a_migration_waits_for_another_only_so_long(make_ledger, server, schema, call, monkeypatch):
    monkeypatch.setattr(schema_module, "_LOCK_MILLISECONDS", 50)
    ledger = make_ledger()
    with server.connect() as other:
        other.execute("SELECT pg_advisory_lock(%s)", (schema_module._lock_number(schema),))
        with pytest.raises(LedgerUnavailable, match="lock timeout") as caught:
            ledger.write_batch([call()], CURSOR)
    assert caught.value.busy is True
    ledger.write_batch([call()], CURSOR)


# -- privileges -------------------------------------------------------------------------------------------------------


@pytest.fixture
def role(server, schema):
    """Users who may do nothing yet."""
    made = []

    def make(name):
        made.append(f"{schema}_{name}")
        with server.connect() as connection:
            connection.execute(f"CREATE ROLE {made[-1]} LOGIN")
        return made[-1]

    yield make
    with server.connect() as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        for name in made:
            connection.execute(f"DROP OWNED BY {name}")
            connection.execute(f"DROP ROLE {name}")


def test_the_privileges_of_the_documentation_are_enough(
    server, make_ledger, schema, role, query, intent, attempt, call
):
    writer, reader = role("writer"), role("reader")
    as_writer = make_ledger("w", address=server.address(schema, writer))
    with pytest.raises(LedgerUnavailable, match=r"permission denied for database.*Grant the user"):
        as_writer.write_batch([call()], CURSOR)
    with server.connect() as owner:
        owner.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {writer}")
    as_writer.write_batch([call()], CURSOR)
    # Where somebody else brings the tables up to date, who ships needs less.
    shipper = role("shipper")
    with psycopg.connect(host=str(server.directory), user=writer, dbname="postgres") as granting:
        granting.execute(f"GRANT USAGE ON SCHEMA {schema} TO {shipper}, {reader}")
        granting.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {shipper}, {reader}")
        granting.execute(f"GRANT INSERT, UPDATE ON ALL TABLES IN SCHEMA {schema} TO {shipper}")
        granting.execute(f"GRANT DELETE ON {schema}.segments TO {shipper}")
    as_shipper = make_ledger("s", address=server.address(schema, shipper))
    for _ in range(2):
        as_shipper.write_batch([call("b", input=1 << 70), intent(), attempt(), call("c")], CURSOR)
    as_shipper.forget([CURSOR.segment])
    assert query("SELECT count(*) FROM rejected") == [(2,)]
    as_reader = make_ledger("r", address=server.address(schema, reader))
    assert sorted(row.call_id for row in as_reader.calls()) == ["c", "call-1"]
    with pytest.raises(LedgerUnavailable, match="permission denied"):
        as_reader.write_batch([call()], CURSOR)


def test_a_user_whose_statements_have_to_be_short_waits_its_turn_all_the_same(server, make_ledger, query, call, schema):
    hurried = server.address(schema, options="-c%20statement_timeout%3D150")
    with server.connect() as other:
        other.execute("BEGIN")
        other.execute("SELECT pg_advisory_xact_lock(%s)", (schema_module._lock_number(schema),))
        timer = threading.Timer(0.6, other.execute, ("ROLLBACK",))
        timer.start()
        make_ledger(address=hurried).write_batch([call()], CURSOR)
        timer.join()
    assert version(query) == [(len(MIGRATIONS),)]
