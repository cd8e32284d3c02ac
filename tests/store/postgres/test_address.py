from __future__ import annotations

import itertools

import pytest

from aistrale.errors import ConfigurationError
from aistrale.store.handle import open_ledger
from aistrale.store.postgres.address import Address


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    for name in ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("text", "options", "schema", "shown"),
    [
        ("postgresql://", {}, "aistrale", "postgresql:///?schema=aistrale"),
        ("postgres:///db", {"dbname": "db"}, "aistrale", "postgresql:///db?schema=aistrale"),
        ("POSTGRESQL://h/db?schema=own", {"host": "h", "dbname": "db"}, "own", "postgresql://h/db?schema=own"),
        (
            "postgresql://u:p%40%2F%20w@h:5433/d%20b",
            {"user": "u", "password": "p@/ w", "host": "h", "port": "5433", "dbname": "d b"},
            "aistrale",
            "postgresql://u@h:5433/d%20b?schema=aistrale",
        ),
        ("postgresql://u:a@b@h/d", {"user": "u", "password": "a@b", "host": "h", "dbname": "d"}, "aistrale",
         "postgresql://u@h/d?schema=aistrale"),
        ("postgresql://h1:1,h2/d", {"host": "h1,h2", "port": "1,", "dbname": "d"}, "aistrale",
         "postgresql://h1:1,h2/d?schema=aistrale"),
        ("postgresql://[::1]:99/d", {"host": "::1", "port": "99", "dbname": "d"}, "aistrale",
         "postgresql://[::1]:99/d?schema=aistrale"),
        ("postgresql:///d?host=/run/pg&password=s3cr3t&sslmode=require",
         {"dbname": "d", "host": "/run/pg", "password": "s3cr3t", "sslmode": "require"}, "aistrale",
         "postgresql:///d?schema=aistrale&host=/run/pg"),
        ("postgresql://%2Frun%2Fpg/d", {"dbname": "d", "host": "/run/pg"}, "aistrale",
         "postgresql:///d?schema=aistrale&host=/run/pg"),
        ("postgresql://?service=books&connect_timeout=5", {"service": "books", "connect_timeout": "5"}, "aistrale",
         "postgresql:///?schema=aistrale&service=books"),
        ("postgresql://h/d?password=a+b%2Bc", {"host": "h", "dbname": "d", "password": "a+b+c"}, "aistrale",
         "postgresql://h/d?schema=aistrale"),
    ],
)  # fmt: skip
def test_addresses_are_read_as_libpq_does(text, options, schema, shown):
    address = Address.parse(text)
    assert (dict(address.options), address.schema, address.shown) == (options, schema, shown)
    assert repr(address) == f"Address({shown!r})"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("postgresql:user:hunter2@h/d", "not understood"),
        ("postgresql://u:hunter2@h:port/d", "port"),
        ("postgresql://u:hunter2@h:0/d", "port"),
        ("postgresql://u:hunter2@h:65536/d", "port"),
        ("postgresql://u:hunter2@[::1/d", "host"),
        ("postgresql://u:hunter2@[::1]9/d", "host"),
        ("postgresql://u:hunter2@h/d?schema=A", "schema"),
        ("postgresql://u:hunter2@h/d?schema=x%22;--", "schema"),
        ("postgresql://u:hunter2@h/d?schema=pg_x", "schema"),
        ("postgresql://u:hunter2@h/d?scheme=x", "'scheme' of the address is not known"),
        ("postgresql://u@h/d?hunter2=x", "a parameter of the address"),
        ("postgresql://u:hunter2@h/d?sslmode=a&sslmode=b", "twice"),
        ("postgresql://u:hunter2@h/d?connect_timeout=soon", "connect_timeout"),
        ("postgresql://u:hunter2@h/d e", "blanks"),
        ("postgresql://u:hunter2%00@h/d", "control"),
    ],
)
def test_other_addresses_are_refused_without_quoting_them(text, says):
    with pytest.raises(ConfigurationError, match=says) as caught:
        open_ledger(text)
    assert caught.value.field == "ledger"
    assert "hunter2" not in str(caught.value)
    assert 'postgresql://user:password@host:port/database?schema=name"' in str(caught.value)


def test_a_journal_belongs_to_one_schema_of_one_database_whoever_asks_for_it():
    same = [
        "postgresql://ann:one@db.example/books", "postgres://bob:two@DB.example:5432/books?sslmode=require",
        "postgresql:///books?host=db.example", "postgresql://db.example/books?schema=aistrale",
    ]  # fmt: skip
    assert len({Address.parse(text).identity for text in same}) == 1
    others = [
        "postgresql://db.example/books", "postgresql://db.example/books?schema=other", "postgresql://db.example/Books",
        "postgresql://db2.example/books", "postgresql://db.example:5433/books", "postgresql:///books",
    ]  # fmt: skip
    for first, second in itertools.combinations(others, 2):
        assert Address.parse(first).identity != Address.parse(second).identity


def test_what_the_environment_says_counts_where_the_address_is_silent(monkeypatch):
    before = Address.parse("postgresql:///books").identity
    monkeypatch.setenv("PGHOST", "db.example")
    assert Address.parse("postgresql:///books").identity == Address.parse("postgresql://db.example/books").identity
    assert Address.parse("postgresql:///books").identity != before
    # The database that nobody names is called as its user.
    assert Address.parse("postgresql://ann@h").identity == Address.parse("postgresql://bob@h/ann").identity


def test_secrets_are_taken_out_of_what_the_driver_says(monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "fr0m-env")
    address = Address.parse("postgresql://u:s3cr3t@h/d?sslpassword=k3y")
    assert address.hide("s3cr3t, k3y and fr0m-env of u") == "***, *** and *** of u"
