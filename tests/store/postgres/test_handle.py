# ruff: noqa: PLR0917 - fixtures are asked for by name, not by position
"""The ledger in PostgreSQL as everybody else uses it: through `open_ledger`, the settings, and the command line."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

import aistrale
from aistrale import Client
from aistrale.cli._app import app
from aistrale.cost.series import daily_spend
from aistrale.errors import ConfigurationError
from aistrale.store import open_ledger
from aistrale.store.handle import LocalLedger
from aistrale.telemetry.events import AttemptFinished, CallFinished
from aistrale.telemetry.sinks import open_sink
from aistrale.testing import check_sink, simulator
from tests.telemetry.rows import attempt_row, call_row


@pytest.fixture
def handle(address, aistrale_home):
    handle = open_ledger(address)
    yield handle
    handle.close()


def journals(home):
    return [path for path in home.glob("journal-*") if path.is_dir()]


def test_rows_are_there_after_a_flush(handle, aistrale_home, address, intent, attempt, call):
    assert not aistrale_home.exists()
    assert handle.append(intent()) is True
    assert handle.append(attempt(), call()) is True
    assert handle.flush(10.0) is True
    assert handle.calls() == [call()]
    assert handle.attempts("call-1") == [attempt()]
    status = handle.status()
    assert (status.mode, status.degraded, handle.path) == ("postgresql", None, None)
    assert status.path.startswith("postgresql://owner@/postgres?schema=")
    assert (status.journal.acknowledged, status.shipper.shipped) == (3, 3)
    assert [str(path) for path in journals(aistrale_home)] == [status.journal.directory]


def test_every_question_passes_through_the_handle(handle, intent, attempt, call):
    handle.append(intent(), attempt(cache_read=1), call(avoided="0.5", user="ann"))
    assert handle.summary("user")[0].key == "ann"
    assert handle.spend(["provider"])[0].key == ("openai",)
    assert [exchange.user for exchange in handle.exchanges(limit=5)] == ["ann"]
    assert len(list(handle.samples())) == len(list(handle.cached())) == 1
    assert (handle.counts(), handle.scores("call-1"), str(handle.avoided())) == ([], [], "0.5")
    assert handle.open_intents() == []


def test_the_worker_ships_by_itself(handle, call, query):
    shipped = threading.Event()
    step = handle._step
    handle._worker._step = lambda: (step(), shipped.set())[0]
    handle.append(call())
    assert shipped.wait(timeout=20)
    assert query("SELECT count(*) FROM calls") == [(1,)]


def test_close_leaves_an_empty_journal_and_no_thread_and_a_late_row_is_taken(handle, aistrale_home, call, query):
    handle.append(call("a"))
    handle.close()
    assert not handle._worker.alive
    ((ledger, _),) = handle._opened.values()
    (journal,) = journals(aistrale_home)
    assert {path.name for path in journal.iterdir()} == {"installation", "ship.lock", "reserve"}
    assert query("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'aistrale'") == [(0,)]
    # Nor does the end of the process look for the server once more.
    handle._exit()
    assert all(part._connection is None for part in (ledger._writing, ledger._asking))
    assert handle.append(call("b")) is True
    assert len(handle.calls()) == 2


def test_own_intents_are_under_way_and_those_of_the_dead_are_unknown(handle, run_python, aistrale_home, intent):
    handle.append(intent("own"))
    (journal,) = journals(aistrale_home)
    run_python("assert Journal(sys.argv[1]).append(intent('dead')); os._exit(0)", journal)
    assert [found.intent.call_id for found in handle.open_intents()] == ["dead"]
    handle.close()
    assert sorted(found.intent.call_id for found in handle.open_intents()) == ["dead", "own"]


def test_two_ledgers_never_share_a_journal(server, schema, address, aistrale_home, call, query):
    other_schema = f"{schema}_other"
    first, second = open_ledger(address), open_ledger(server.address(other_schema))
    first.append(call("a"))
    second.append(call("b"))
    assert [row.call_id for row in first.calls()] == ["a"]
    assert [row.call_id for row in second.calls()] == ["b"]
    assert len(journals(aistrale_home)) == 2
    for each in (first, second):
        each.close()
    query(f"DROP SCHEMA {other_schema} CASCADE")


def test_rows_of_a_process_that_ends_are_in_the_database(run_python, address, aistrale_home, query):
    """And its exit is what brings them there: no worker has been at work for a second yet."""
    run_python("from aistrale.store import open_ledger\nh = open_ledger(sys.argv[1])\nh.append(attempt('b'))", address)
    assert query("SELECT call_id FROM attempts") == [("b",)]
    (journal,) = journals(aistrale_home)
    assert {path.name for path in journal.iterdir()} == {"installation", "ship.lock", "reserve"}


def test_the_driver_is_loaded_by_the_first_shipping_and_not_by_a_call(run_python, address, aistrale_home):
    out = run_python(
        """
from aistrale.store import open_ledger
handle = open_ledger(sys.argv[1])
handle.append(intent("a"))
print(os.path.exists(os.environ["AISTRALE_HOME"]), "psycopg" in sys.modules)
handle.flush(20.0)
print("psycopg" in sys.modules, "sqlite3" in sys.modules)
""",
        address,
    )
    assert out == "True False\nTrue False\n"


def test_a_forked_child_has_its_own_journal_and_the_same_ledger(run_python, address, aistrale_home, query):
    run_python(
        """
from aistrale.store import open_ledger
handle = open_ledger(sys.argv[1])
handle.append(attempt("parent"))
assert handle.flush(20.0)
child = os.fork()
if child == 0:
    signal.alarm(30)
    assert handle.append(attempt("child"))
    assert handle.flush(20.0)
    handle.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert len(handle.attempts("child")) == 1
""",
        address,
    )
    assert query("SELECT count(*) FROM attempts") == [(2,)]


def test_many_processes_write_at_the_same_time_and_some_are_killed(spawn, address, aistrale_home, query):
    code = """
from aistrale.store import open_ledger
handle = open_ledger(sys.argv[1])
for n in range(100):
    name = f"{sys.argv[2]}-{n}"
    assert handle.append(intent(name))
    assert handle.append(attempt(name))
    if n % 50 == 0:
        handle.flush(2.0)
if int(sys.argv[2]) % 2:
    os.kill(os.getpid(), signal.SIGKILL)
"""
    processes = [spawn(code, address, number) for number in range(4)]
    for process in processes:
        assert process.communicate(timeout=60)[1] == b""
    handle = open_ledger(address)
    assert handle.flush(20.0)
    (row,) = handle.summary("provider")
    assert (row.calls, row.attempts, str(row.cost)) == (400, 400, "40.0")
    assert handle.open_intents() == []
    handle.close()
    assert query("SELECT (SELECT count(*) FROM rejected), (SELECT count(*) FROM segments)") == [(0, 0)]


def test_an_account_without_a_home_keeps_rows_in_memory_and_says_so(address, monkeypatch, call, caplog):
    import platformdirs

    monkeypatch.delenv("AISTRALE_HOME", raising=False)
    monkeypatch.setattr(platformdirs, "user_data_dir", lambda *_, **__: "~/.local/share/aistrale")
    handle = open_ledger(address)
    assert handle.append(call()) is False
    assert (handle.flush(0.1), handle.calls(), handle.open_intents()) == (False, [], [])
    assert "no directory" in handle.status().degraded
    handle.close()


@pytest.mark.parametrize("durability", ["group", "each"])
def test_a_durable_ledger_waits_for_the_servers_disk(address, aistrale_home, durability, call):
    handle = open_ledger(address, durability=durability)
    assert isinstance(handle, LocalLedger)
    handle.append(call())
    assert len(handle.calls()) == 1
    ((ledger, _),) = handle._opened.values()
    asked = "SELECT current_setting('synchronous_commit')"
    for connection in (ledger._writing, ledger._asking):
        connection._connection.execute("SET synchronous_commit TO off")
    assert ledger._writing.run(lambda cursor: cursor.execute(asked).fetchone(), write=True) == ("on",)
    handle.close()


def test_a_missing_driver_is_said_when_the_client_is_made(address, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for make in (open_ledger, lambda text: Client(ledger=text), open_sink):
        with pytest.raises(ImportError, match=r'pip install "aistrale\[postgres\]"'):
            make(address)
    monkeypatch.setenv("AISTRALE_LEDGER", address)
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert any("aistrale[postgres]" in problem for problem in json.loads(result.stdout)["problems"])


# -- with the rest of aistrale ----------------------------------------------------------------------------------------


def test_a_client_a_second_process_and_the_command_line_see_the_same_calls(address, aistrale_home, monkeypatch):
    with simulator() as sim:
        settings = {**sim.settings(), "ledger": address}
        with Client(**settings) as client, aistrale.context(user="ann", tags={"team": "x"}):
            done = client.run("Hello", model="openai/gpt-5-mini")
            client.score(done.id, 0.5)
            assert client.flush()
            assert client.ledger.scores(done.id)[0].score == 0.5
            assert client.costs(by=["user"]).rows[0].key == ("ann",)
    monkeypatch.setenv("AISTRALE_LEDGER", address)
    shown = CliRunner().invoke(app, ["cost", "--by", "user", "--json"])
    assert shown.exit_code == 0, shown.output
    assert "ann" in shown.stdout
    doctor = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)
    assert {name: doctor["ledger"][name] for name in ("mode", "calls", "attempts", "unsettled", "degraded")} == {
        "mode": "postgresql", "calls": 1, "attempts": 1, "unsettled": 0, "degraded": None,
    }  # fmt: skip
    assert not [problem for problem in doctor["problems"] if "ledger" in problem]
    assert doctor["ledger"]["path"].startswith("postgresql://owner@/")
    assert doctor["ledger"]["journal"]["directory"].startswith(str(aistrale_home / "journal-"))


def test_doctor_says_what_is_wrong_with_the_database(server, monkeypatch, aistrale_home):
    monkeypatch.setenv("AISTRALE_LEDGER", f"postgresql://owner:canary-password@/nowhere?host={server.directory}")
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert any('database "nowhere" does not exist' in problem for problem in json.loads(result.stdout)["problems"])
    assert "canary" not in result.output


def test_a_budget_knows_what_other_processes_spent(address, aistrale_home):
    with simulator() as sim:
        settings = {**sim.settings(), "ledger": address, "budgets": [{"limit": 5, "period": "month"}]}
        with Client(**settings) as client:
            client.run("Hello there, how are you?", model="openai/gpt-5-mini")
            spent = client.budgets()[0].spent
        assert spent > 0
        with Client(**settings) as client:
            (status,) = client.budgets()
            assert (status.spent, status.note) == (spent, None)
            assert daily_spend(client.ledger).today == spent


def test_the_sink_of_a_second_ledger(address, aistrale_home):
    for url in (address, address.replace("postgresql:", "postgres:")):
        sink = open_sink(url)
        for _ in range(2):
            sink.write([AttemptFinished(row=attempt_row()), CallFinished(row=call_row())])
        assert sink.flush(10.0) is True
        assert sink.ledger.calls() == [call_row()]
        assert sink.ledger.attempts("c") == [attempt_row()]
        sink.close()
    with simulator() as sim, Client(**sim.settings(), ledger="off", sinks=[address]) as client:
        client.run("Hello", model="openai/gpt-5-mini")
        assert client.flush()
    handle = open_ledger(address)
    assert len(handle.calls()) == 2
    handle.close()


def test_the_sink_keeps_the_contract(address, aistrale_home):
    check_sink(open_sink(address))


def test_a_wrong_address_of_a_sink_is_told_in_the_words_of_its_setting():
    with pytest.raises(ConfigurationError) as caught:
        open_sink("postgresql://user:canary-password@host/db?scheme=x")
    assert (caught.value.field, "canary" in str(caught.value)) == ("sinks", False)


def test_paths_of_the_journal_are_under_the_home(address, aistrale_home):
    handle = open_ledger(address)
    assert isinstance(handle, LocalLedger)
    assert Path(handle.journal.directory).parent == aistrale_home
