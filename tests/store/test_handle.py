from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from aistrale.errors import ConfigurationError
from aistrale.store import LedgerHandle, NullLedger, open_ledger
from aistrale.store.handle import LocalLedger, journal_directory


@pytest.fixture
def address(tmp_path):
    return f"sqlite:///{tmp_path}/ledger.sqlite3"


@pytest.fixture
def handle(address):
    handle = open_ledger(address)
    yield handle
    handle.close()


def count(path, table):
    connection = sqlite3.connect(path)
    (number,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - a name of the test
    connection.close()
    return number


def test_off_takes_everything_and_keeps_nothing(call, tmp_path, monkeypatch):
    monkeypatch.setenv("AISTRALE_HOME", str(tmp_path / "home"))
    handle: LedgerHandle = open_ledger("off")
    assert isinstance(handle, NullLedger)
    assert handle.append(call()) is True
    assert handle.flush(1.0) is True
    assert handle.calls() == handle.attempts("x") == handle.open_intents() == handle.summary("model") == []
    assert handle.status().mode == "off"
    handle.close()
    assert not (tmp_path / "home").exists()


def test_rows_are_there_after_a_flush(handle, tmp_path, intent, attempt, call):
    assert list(tmp_path.iterdir()) == []
    assert handle.append(intent()) is True
    assert handle.append(attempt(), call()) is True
    assert handle.flush(5.0) is True
    assert handle.calls() == [call()]
    assert handle.attempts("call-1") == [attempt()]
    status = handle.status()
    assert (status.mode, status.degraded, status.path) == ("sqlite", None, str(tmp_path / "ledger.sqlite3"))
    assert (status.journal.acknowledged, status.shipper.shipped) == (3, 3)


def test_questions_see_what_was_just_written(handle, call):
    handle.append(call())
    assert handle.calls() == [call()]
    assert handle.summary("route")[0].calls == 1


def test_the_worker_ships_by_itself(address, tmp_path, call):
    handle = open_ledger(address)
    shipped = threading.Event()
    step = handle._step
    handle._worker._step = lambda: (step(), shipped.set())[0]
    handle.append(call())
    assert shipped.wait(timeout=20)
    assert count(tmp_path / "ledger.sqlite3", "calls") == 1
    handle.close()


def test_close_leaves_an_empty_journal_and_no_thread_and_a_late_row_is_taken(handle, tmp_path, call):
    handle.append(call("a"))
    handle.close()
    assert not handle._worker.alive
    assert [path.suffix for path in (tmp_path / "journal").iterdir() if path.suffix] == [".lock"]
    assert handle.append(call("b")) is True
    assert len(handle.calls()) == 2


def test_own_intents_are_under_way_and_those_of_the_dead_are_unknown(handle, run_python, tmp_path, intent):
    run_python("assert Journal(sys.argv[1]).append(intent('dead')); os._exit(0)", tmp_path / "journal")
    handle.append(intent("own"))
    assert [found.intent.call_id for found in handle.open_intents()] == ["dead"]
    handle.close()
    assert sorted(found.intent.call_id for found in handle.open_intents()) == ["dead", "own"]


def test_nothing_is_loaded_or_created_before_the_first_row(run_python, tmp_path):
    out = run_python(
        """
from aistrale.store import open_ledger
handle = open_ledger(None)
assert not os.path.exists(os.environ["AISTRALE_HOME"])
before = set(sys.modules)
handle.append(intent("a"))
print({"sqlite3", "platformdirs"} & (set(sys.modules) - before))
""".replace("from aistrale", f"os.environ['AISTRALE_HOME'] = {str(tmp_path / 'home')!r}\nfrom aistrale"),
    )
    assert out == "set()\n"
    assert count(tmp_path / "home" / "ledger.sqlite3", "intents") == 1


def test_rows_of_a_process_that_ends_are_in_the_database(run_python, address, tmp_path):
    run_python("from aistrale.store import open_ledger\nopen_ledger(sys.argv[1]).append(attempt('kept'))\n", address)
    # Dropped without close: the rows are in the journal, and the next process moves them.
    handle = open_ledger(address)
    assert len(handle.attempts("kept")) == 1
    handle.close()
    run_python("from aistrale.store import open_ledger\nh = open_ledger(sys.argv[1])\nh.append(attempt('b'))", address)
    assert count(tmp_path / "ledger.sqlite3", "attempts") == 2
    assert {path.name for path in (tmp_path / "journal").iterdir()} <= {"ship.lock", "reserve"}


def test_a_forked_child_has_its_own_journal_and_the_same_ledger(run_python, address, tmp_path):
    run_python(
        """
from aistrale.store import open_ledger
handle = open_ledger(sys.argv[1])
handle.append(attempt("parent"))
handle.flush(5.0)
child = os.fork()
if child == 0:
    assert handle.append(attempt("child"))
    assert handle.flush(5.0)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert len(handle.attempts("child")) == 1
""",
        address,
    )
    assert count(tmp_path / "ledger.sqlite3", "attempts") == 2


def test_a_child_that_is_forked_while_the_ledger_is_first_opened_can_use_it(run_python, address, tmp_path):
    run_python(
        """
import threading
from aistrale.store import open_ledger

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "aistrale.store.shipper":
            began.set()
            threading.Event().wait(0.3)
        return None

began = threading.Event()
sys.meta_path.insert(0, Slow())
handle = open_ledger(sys.argv[1])
handle.append(attempt("parent"))
thread = threading.Thread(target=handle.flush, args=(10.0,))
thread.start()
began.wait()
child = os.fork()
if child == 0:
    signal.alarm(20)
    assert handle.append(attempt("child"))
    assert handle.flush(10.0)
    os._exit(0)
thread.join()
assert os.waitpid(child, 0)[1] == 0
""",
        address,
    )
    assert count(tmp_path / "ledger.sqlite3", "attempts") == 2


def test_a_child_does_not_inherit_the_lock_of_whoever_ships(run_python, address, tmp_path):
    run_python(
        """
import threading
from aistrale.store import open_ledger, shipper

handle = open_ledger(sys.argv[1])
handle.append(attempt("before"))
assert handle.flush(10.0)
real, opened = os.open, threading.Event()

def slow(path, *args, **more):
    fd = real(path, *args, **more)
    if str(path).endswith(shipper.LOCK_NAME) and not opened.is_set():
        # It is open, and nobody has noted that yet.
        opened.set()
        threading.Event().wait(0.3)
    return fd

os.open = slow
handle.append(attempt("parent"))
thread = threading.Thread(target=handle.flush, args=(10.0,))
thread.start()
opened.wait()
child = os.fork()
if child == 0:
    signal.alarm(20)
    assert handle.append(attempt("child"))
    # By then the parent has locked it, and closed it.
    threading.Event().wait(0.8)
    assert handle.flush(2.0)
    os._exit(0)
thread.join()
assert os.waitpid(child, 0)[1] == 0
""",
        address,
    )
    assert count(tmp_path / "ledger.sqlite3", "attempts") == 3


def test_eight_processes_write_at_the_same_time(spawn, address, tmp_path):
    code = """
from aistrale.store import open_ledger
handle = open_ledger(sys.argv[1])
for n in range(300):
    name = f"{sys.argv[2]}-{n}"
    assert handle.append(intent(name))
    assert handle.append(attempt(name))
    if n % 50 == 0:
        handle.flush(0.5)
if int(sys.argv[2]) % 2:
    os.kill(os.getpid(), signal.SIGKILL)
"""
    processes = [spawn(code, address, number) for number in range(8)]
    for process in processes:
        assert process.communicate(timeout=60)[1] == b""
    handle = open_ledger(address)
    assert handle.flush(10.0)
    (row,) = handle.summary("provider")
    assert (row.calls, row.attempts, str(row.cost)) == (2400, 2400, "240.0")
    assert handle.open_intents() == []
    handle.close()
    assert count(tmp_path / "ledger.sqlite3", "rejected") == 0
    assert count(tmp_path / "ledger.sqlite3", "segments") == 0


def test_an_unusable_place_degrades_and_says_so(tmp_path, intent, caplog):
    (tmp_path / "file").write_text("")
    handle = open_ledger(f"sqlite:///{tmp_path}/file/ledger.sqlite3")
    assert handle.append(intent()) is False
    assert handle.flush(0.1) is False
    assert str(tmp_path / "file") in handle.status().degraded
    assert handle.status().journal.waiting == 1
    assert handle.calls() == []
    handle.close()
    assert handle.status().journal.waiting == 1


def test_an_account_without_a_home_degrades(monkeypatch, intent, caplog):
    import platformdirs

    monkeypatch.delenv("AISTRALE_HOME", raising=False)
    monkeypatch.setattr(platformdirs, "user_data_dir", lambda *_, **__: "~/.local/share/aistrale")
    handle = open_ledger()
    assert handle.append(intent()) is False
    assert handle.flush(0.1) is False
    assert handle.summary("model") == handle.calls() == handle.attempts("x") == handle.open_intents() == []
    assert "no directory" in handle.status().degraded
    handle.close()


def test_the_default_place_is_the_platforms(monkeypatch):
    import platformdirs

    monkeypatch.delenv("AISTRALE_HOME", raising=False)
    handle = open_ledger()
    assert isinstance(handle, LocalLedger)
    assert handle.path == Path(platformdirs.user_data_dir("aistrale", appauthor=False), "ledger.sqlite3")


def test_addresses_are_read_as_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    for address, expected in {
        "sqlite:///some/file.db": tmp_path / "some" / "file.db",
        "sqlite:////var/file.db": Path("/var/file.db"),
        "sqlite:///~/file.db": tmp_path / "me" / "file.db",
    }.items():
        assert open_ledger(address).path == expected


def test_each_database_has_its_own_journal():
    names = {journal_directory(Path("/x") / name).name for name in ("ledger.sqlite3", "a.db", "b.db")}
    assert names == {"journal", "a.db.journal", "b.db.journal"}


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("postgresql://user:hunter2@host:port/db", "port"),
        ("postgresql:user:hunter2@host/db", "not understood"),
        ("mysql://user:hunter2@host/db", "mysql"),
        ("sqlite://", "sqlite"),
        ("sqlite:///", "no file"),
        ("sqlite:///:memory:", "no file"),
        ("sqlite:////tmp", "directory"),
        ("hunter2", "not understood"),
        ("", "not understood"),
        (True, "not understood"),
        ("OFF", "not understood"),
    ],
)
def test_other_settings_are_refused_without_quoting_them(setting, says):
    with pytest.raises(ConfigurationError, match=says) as caught:
        open_ledger(setting)
    assert caught.value.field == "ledger"
    assert "sqlite:///" in str(caught.value)
    assert '"off"' in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_durability_is_checked():
    with pytest.raises(ConfigurationError, match='"group"'):
        open_ledger("off", durability="forever")


@pytest.mark.parametrize("durability", ["group", "each"])
def test_a_durable_ledger_waits_for_the_disk_before_it_deletes_a_segment(address, durability, call):
    handle = open_ledger(address, durability=durability)
    handle.append(call())
    assert len(handle.calls()) == 1
    ((ledger, _),) = handle._opened.values()
    assert ledger._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    handle.close()


def test_a_relative_database_stays_where_it_was_when_the_directory_changes(tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    handle = open_ledger("sqlite:///ledger.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    handle.append(call())
    handle.close()
    assert (tmp_path / "ledger.db").exists()
    assert list((tmp_path / "elsewhere").iterdir()) == []
