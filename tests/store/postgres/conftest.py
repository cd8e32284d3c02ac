"""A PostgreSQL server of the test run's own, and an empty schema of it for each test."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path

import pytest

psycopg = pytest.importorskip("psycopg")

from aistrale.store.postgres.address import Address  # noqa: E402
from aistrale.store.postgres.installation import Installation  # noqa: E402
from aistrale.store.postgres.ledger import PostgresLedger  # noqa: E402
from tests.servers.postgres import PROGRAMS, REASON, PostgresServer, account  # noqa: E402


@pytest.fixture(scope="session")
def server():
    """One for all tests of the run (of each process, where the run has several)."""
    if PROGRAMS is None or account() is None:
        pytest.skip(REASON)
    # Not pytest's own directory, which is its user's alone; and the path of a socket must be short.
    directory = Path(tempfile.mkdtemp(prefix="aistrale-pg-", dir="/tmp"))
    try:
        server = PostgresServer(directory)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


_numbers = itertools.count()


@pytest.fixture
def schema(server):
    """A name that nobody has used yet."""
    name = f"t{next(_numbers)}"
    yield name
    # Whatever the test did to it.
    server.go_on()
    server.start()
    with server.connect() as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")


@pytest.fixture
def address(server, schema):
    return server.address(schema)


@pytest.fixture
def query(server, schema):
    """Ask the tables behind the back of the ledger."""

    def ask(text, *values):
        with server.connect() as connection:
            connection.execute(f"SET search_path TO {schema}")
            cursor = connection.execute(text, values or None)
            return cursor.fetchall() if cursor.description else []

    return ask


@pytest.fixture
def make_ledger(address, tmp_path):
    """Ledgers of machines by their names."""
    made = []

    def make(machine="here", **more):
        directory = tmp_path / machine
        directory.mkdir(exist_ok=True)
        made.append(PostgresLedger(Address.parse(more.pop("address", address)), Installation(directory), **more))
        return made[-1]

    yield make
    for ledger in made:
        ledger.close()


@pytest.fixture
def ledger(make_ledger):
    return make_ledger()
