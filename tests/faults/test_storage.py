"""Rows 93 and 94: the disk is full, a place cannot be written, a file is deleted, the ledger is locked, slow or broken.

Other sinks than the ledger there are none: what is done here to a sink is done to the ledger's database, into which the
shipper brings what the journal holds. In tests/store the journal and the shipper are tested by themselves.
"""

from __future__ import annotations

import sys

import pytest

from tests.faults.books import check_file
from tests.faults.processes import run, told

# `ledger_of(caller)`: its status; `path_of(mode)`: the database's file.
COMMON = """
import shutil, sqlite3
from aistrale.store.handle import journal_directory
from aistrale.store.ledger import SQLiteLedger
from aistrale.store.protocol import LedgerUnavailable


def status_of(caller):
    return caller.client.ledger.status()


def path_of(mode):
    return pathlib.Path(mode["ledger"].removeprefix("sqlite:///"))


def asked(caller, times):
    'The calls go on whatever becomes of their rows.'
    return [caller.ask().text for _ in range(times)]
"""
ANSWER = "The quick brown fox jumps over über the lazy dog."

# --- 93 ---------------------------------------------------------------------------------------------------------------

FULL = """
import resource

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
for mode in modes:
    caller = Caller(mode)
    texts = asked(caller, 1)
    caller.client.flush(30)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        texts += asked(caller, 3)
        status = status_of(caller)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    flushed = caller.client.flush(30)
    after = status_of(caller)
    caller.end()
    say(texts=texts, waiting=status.journal.waiting, degraded=status.degraded is not None,
        error=status.journal.last_error, dropped=after.journal.dropped, flushed=flushed, left=after.journal.waiting)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_93_a_disk_that_takes_no_more_keeps_no_call_from_its_answer(server, tmp_path):
    """A limit on the size of files plays the disk: a row in the middle of which it is reached is torn, as on a disk.

    The rows wait in memory, the ledger says so, and nothing is lost once there is room.
    """
    what = told(server, tmp_path)
    for ledger, seen in zip(what["ledgers"], run(COMMON + FULL, what), strict=True):
        assert seen["texts"] == [ANSWER] * 4
        assert seen["waiting"] >= 3
        assert seen["degraded"]
        assert "File too large" in seen["error"]
        assert (seen["dropped"], seen["flushed"], seen["left"]) == ({}, True, 0)
        check_file(ledger, calls={"success": 4})


BLOCKED = """
for mode in modes:
    path = path_of(mode)
    place = path.parent / f"place-{path.stem}"
    if os.geteuid() == 0 or sys.platform == "win32":
        # Nobody keeps root from writing; where a file is, there can be no directory.
        place.write_text("")
        free = lambda: (place.unlink(), place.mkdir())
    else:
        place.mkdir(mode=0o500)
        free = lambda: place.chmod(0o700)
    caller = Caller({**mode, "ledger": f"sqlite:///{place / path.name}"})
    texts = asked(caller, 3)
    status = status_of(caller)
    free()
    flushed = caller.client.flush(30)
    caller.end()
    shutil.move(place / path.name, path)
    say(texts=texts, waiting=status.journal.waiting, degraded=status.degraded is not None, flushed=flushed)
"""


def test_93_a_directory_that_cannot_be_written_keeps_no_call_from_its_answer(server, tmp_path):
    what = told(server, tmp_path)
    for ledger, seen in zip(what["ledgers"], run(COMMON + BLOCKED, what), strict=True):
        assert seen == {"texts": [ANSWER] * 3, "waiting": 9, "degraded": True, "flushed": True}
        check_file(ledger, calls={"success": 3})


DELETED = """
callers = [Caller(mode) for mode in modes]
texts = [asked(caller, 2) for caller in callers]
for mode in modes:
    shutil.rmtree(journal_directory(path_of(mode)))
texts = [before + asked(caller, 1) for before, caller in zip(texts, callers)]
# The journal looks once a second whether its file is still there.
time.sleep(1.1)
for number, caller in enumerate(callers):
    both = texts[number] + asked(caller, 1)
    flushed = caller.client.flush(30)
    dropped = status_of(caller).journal.dropped
    caller.end()
    say(texts=both, flushed=flushed, dropped=dropped)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="does not let go of files that are open")
def test_93_a_journal_that_is_deleted_under_us_is_written_again(server, tmp_path):
    what = told(server, tmp_path)
    for ledger, seen in zip(what["ledgers"], run(COMMON + DELETED, what), strict=True):
        assert seen == {"texts": [ANSWER] * 4, "flushed": True, "dropped": {}}
        check_file(ledger, calls={"success": 4})


# --- 94 ---------------------------------------------------------------------------------------------------------------

# What each one does to the sink while calls go on: all of it leaves their rows in the journal's file.
DOWN = """
class Hanging:
    'A transaction that does not end: whoever ships waits in it.'

    def __init__(self, caller, mode):
        self.inside, self.over, self.real = threading.Event(), threading.Event(), SQLiteLedger.write_batch
        def write_batch(ledger, rows, cursor):
            self.inside.set()
            self.over.wait(60)
            return self.real(ledger, rows, cursor)
        SQLiteLedger.write_batch = write_batch
        self.thread = threading.Thread(target=caller.client.flush, args=(30,))
        caller.ask()
        self.thread.start()
        self.inside.wait(60)

    def end(self):
        SQLiteLedger.write_batch = self.real
        self.over.set()
        self.thread.join()


class Raising:
    'Every transaction fails; one of them after it was committed, as a server that answers 500 after its work.'

    def __init__(self, caller, mode):
        self.real, tries = SQLiteLedger.write_batch, []
        def write_batch(ledger, rows, cursor):
            tries.append(1)
            if len(tries) == 3:
                self.real(ledger, rows, cursor)
            raise (OSError("it is down"), LedgerUnavailable("status 500"))[len(tries) % 2]
        SQLiteLedger.write_batch = write_batch
        for _ in range(4):
            caller.ask()
            assert not caller.client.flush(0.2)
        self.tries = tries

    def end(self):
        assert len(self.tries) >= 4
        SQLiteLedger.write_batch = self.real


class Locked:
    'Another process has the database and does not let go of it.'

    def __init__(self, caller, mode):
        caller.ask()
        caller.client.flush(30)
        self.connection = sqlite3.connect(path_of(mode), isolation_level=None)
        self.connection.execute("BEGIN EXCLUSIVE")
        caller.ask()
        # Half a second long; once is enough.
        if mode is modes[0]:
            assert not caller.client.flush(0.1)
            assert "locked" in status_of(caller).degraded

    def end(self):
        self.connection.execute("ROLLBACK")
        self.connection.close()


for mode in modes:
    caller = Caller(mode)
    trouble = globals()[told["trouble"]](caller, mode)
    texts = asked(caller, 20)
    status = status_of(caller)
    trouble.end()
    flushed = caller.client.flush(30)
    after = status_of(caller)
    caller.end()
    say(texts=texts, waiting=status.journal.waiting, acknowledged=status.journal.acknowledged, flushed=flushed,
        degraded=after.degraded)
"""
BEFORE = {"Hanging": 1, "Raising": 4, "Locked": 2}


@pytest.mark.parametrize("trouble", BEFORE)
def test_94_a_ledger_that_is_not_to_be_had_holds_nobody_up_and_loses_nothing(server, tmp_path, trouble):
    """Twenty calls; in tests/soak it is ten minutes, and the memory is watched."""
    what = {**told(server, tmp_path), "trouble": trouble}
    calls = 20 + BEFORE[trouble]
    for ledger, seen in zip(what["ledgers"], run(COMMON + DOWN, what), strict=True):
        assert seen["texts"] == [ANSWER] * 20
        # W3, and memory is flat: all of it is in the file, none of it waits.
        assert (seen["waiting"], seen["acknowledged"]) == (0, 3 * calls)
        assert (seen["flushed"], seen["degraded"]) == (True, None)
        check_file(ledger, calls={"success": calls})


DUPLICATES = """
for mode in modes:
    caller = Caller(mode)
    texts = asked(caller, 5)
    (segment,) = [path for path in pathlib.Path(journal_directory(path_of(mode))).iterdir() if path.suffix == ".open"]
    # The same rows under another name, as of another process that has died, before and after they were shipped.
    shutil.copy(segment, segment.with_name("00000000-1-1-0000abcd.open"))
    flushed = [caller.client.flush(30)]
    shutil.copy(segment, segment.with_name("00000000-1-2-0000abce.seal"))
    flushed.append(caller.client.flush(30))
    caller.end()
    say(texts=texts, flushed=flushed)
"""


def test_94_rows_that_come_twice_are_there_once(server, tmp_path):
    what = told(server, tmp_path)
    for ledger, seen in zip(what["ledgers"], run(COMMON + DUPLICATES, what), strict=True):
        assert seen == {"texts": [ANSWER] * 5, "flushed": [True, True]}
        check_file(ledger, calls={"success": 5})
