from __future__ import annotations

import errno
import logging
import os
import shutil
import signal
import stat
import subprocess
import threading

import pytest

from aistrale.store import journal as journal_module
from aistrale.store.journal import SEGMENT_BYTES, SEGMENT_SECONDS, Journal
from aistrale.store.reader import read_segment
from aistrale.store.records import CallRow
from aistrale.store.segment import RESERVE, RESERVE_SIZE, lock_file, segments_in


def rows_in(directory):
    return [row for path in segments_in(str(directory)) for row, _ in read_segment(path)]


def ids_in(directory):
    return sorted(row.call_id for row in rows_in(directory))


def is_alive(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        return not lock_file(fd)
    finally:
        os.close(fd)


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "home" / "journal"


@pytest.fixture
def journal(directory, clock):
    journal = Journal(directory, clock=clock)
    yield journal
    journal.close()


def test_nothing_is_created_before_the_first_row(directory, journal):
    assert journal.status().path is None
    assert not directory.parent.exists()


def test_acknowledged_rows_are_in_a_file_that_only_the_owner_reads(directory, journal, intent, attempt, call):
    assert journal.append(intent()) is True
    assert journal.append(attempt(), call()) is True
    assert rows_in(directory) == [intent(), attempt(), call()]
    (path,) = segments_in(str(directory))
    assert str(path) == journal.status().path
    assert path.suffix == ".open"
    assert is_alive(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(directory.parent.stat().st_mode) == 0o700
    status = journal.status()
    assert (status.acknowledged, status.waiting, status.recovered, status.dropped) == (3, 0, 0, {})


def test_several_rows_are_one_write(directory, journal, attempt, call, monkeypatch):
    writes = []
    monkeypatch.setattr(journal_module, "_write", lambda fd, data: writes.append(len(data)) or os.write(fd, data))
    journal.append(attempt(), call())
    assert len(writes) == 1
    assert len(rows_in(directory)) == 2


def test_an_old_segment_is_sealed_and_let_go(directory, journal, clock, intent):
    journal.append(intent("a"))
    clock.now += SEGMENT_SECONDS
    journal.append(intent("b"))
    journal.append(intent("c"))
    old, new = segments_in(str(directory))
    if old.suffix == ".open":
        old, new = new, old
    assert (old.suffix, new.suffix) == (".seal", ".open")
    assert [row.call_id for row, _ in read_segment(old)] == ["a", "b"]
    assert (is_alive(old), is_alive(new)) == (False, True)


def test_a_full_segment_is_sealed(directory, journal, call):
    row = call(tags={"long": "x" * 500_000})
    for _ in range(SEGMENT_BYTES // 500_000 + 2):
        assert journal.append(row)
    assert sorted(path.suffix for path in segments_in(str(directory))) == [".open", ".seal"]


def test_close_seals_and_a_late_row_starts_a_new_segment(directory, journal, intent):
    journal.append(intent("a"))
    journal.close()
    assert [path.suffix for path in segments_in(str(directory))] == [".seal"]
    assert journal.append(intent("b"))
    assert ids_in(directory) == ["a", "b"]


def test_threads_lose_nothing_while_segments_roll_over(directory, journal, clock, intent):
    def work(number):
        for count in range(300):
            assert journal.append(intent(f"{number}-{count:03}"))
            if count % 50 == 0:
                clock.now += SEGMENT_SECONDS

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ids_in(directory) == sorted(f"{number}-{count:03}" for number in range(8) for count in range(300))
    assert len(segments_in(str(directory))) > 8
    assert sum(is_alive(path) for path in segments_in(str(directory))) == 1
    assert journal.status().acknowledged == 2400


def test_a_signal_handler_may_append_in_the_middle_of_an_append(directory, journal, clock, intent):
    handled = []

    def handler(*_):
        name = f"signal-{len(handled)}"
        handled.append(name)
        assert journal.append(intent(name))
        # Armed here, so that a slow machine is not interrupted by the next one inside this one, without end.
        signal.setitimer(signal.ITIMER_REAL, 0.0005)

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0005)
        names = []
        while len(handled) < 100:
            names.append(f"main-{len(names)}")
            clock.now += 7
            assert journal.append(intent(names[-1]))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert ids_in(directory) == sorted(names + handled)


# -- rows that cannot be written --------------------------------------------------------------------------------


def test_a_row_that_json_cannot_say_is_counted_and_harms_no_other(directory, journal, intent, caplog):
    broken = intent("broken", model=object())
    assert journal.append(intent("a"), broken, intent("b")) is False
    assert journal.append(broken) is False
    assert ids_in(directory) == ["a", "b"]
    assert journal.status().dropped == {"unencodable": 2}
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_an_oversized_row_and_a_foreign_object_are_counted(directory, journal, call):
    assert journal.append(call(tags={"long": "x" * (2 << 20)})) is False
    assert journal.append("a string") is False
    nested = []
    for _ in range(100_000):
        nested = [nested]
    assert journal.append(call(lossy=nested)) is False
    assert journal.status().dropped == {"unencodable": 3}
    while nested:
        nested = nested[0]


def test_where_no_directory_can_be_rows_wait_and_then_are_counted(tmp_path, clock, intent, caplog):
    blocker = tmp_path / "file"
    blocker.write_text("not a directory")
    journal = Journal(blocker / "journal", clock=clock, memory_limit=5)
    assert [journal.append(intent(str(number))) for number in range(8)] == [False] * 8
    status = journal.status()
    assert (status.acknowledged, status.waiting, status.dropped) == (0, 5, {"EEXIST": 3})
    assert str(blocker) in status.last_error
    assert len(caplog.records) == 2  # trouble, once; loss, once

    blocker.unlink()
    clock.now += 1
    assert journal.append(intent("last")) is True
    assert ids_in(blocker / "journal") == ["0", "1", "2", "3", "4", "last"]
    status = journal.status()
    assert (status.acknowledged, status.waiting, status.recovered, status.dropped) == (6, 0, 5, {"EEXIST": 3})
    journal.close()


def test_without_any_directory_rows_stay_in_memory(intent, caplog):
    journal = Journal(None, memory_limit=2)
    assert [journal.append(intent(str(number))) for number in range(3)] == [False] * 3
    status = journal.status()
    assert (status.waiting, status.dropped, status.directory) == (2, {"no directory": 1}, None)
    journal.close()


def test_a_pause_separates_attempts_to_open(tmp_path, clock, intent):
    blocker = tmp_path / "file"
    blocker.write_text("")
    journal = Journal(blocker / "journal", clock=clock)
    journal.append(intent("a"))
    blocker.unlink()
    assert journal.append(intent("b")) is False
    clock.now += 1
    assert journal.append(intent("c")) is True
    assert ids_in(blocker / "journal") == ["a", "b", "c"]
    journal.close()


@pytest.fixture
def small_disk(tmp_path):
    mount = tmp_path / "disk"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(mount)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can only be mounted by root with the right to mount")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=True)  # noqa: S607 - as above, wherever it is


def test_a_full_disk_loses_nothing_and_is_used_again_when_it_has_room(small_disk, clock, call):
    directory = small_disk / "journal"
    journal = Journal(directory, clock=clock, memory_limit=40)
    row = call(tags={"filler": "x" * 20_000})

    assert journal.append(call("0", tags=row.tags))
    assert (directory / RESERVE).stat().st_size == RESERVE_SIZE
    answers = [journal.append(call(str(number), tags=row.tags)) for number in range(1, 150)]
    assert answers == sorted(answers, reverse=True)
    acknowledged = answers.count(True) + 1
    # More than what was free beside the reserve: it was released.
    assert acknowledged * 20_000 > (1 << 20)
    assert not (directory / RESERVE).exists()
    status = journal.status()
    assert (status.acknowledged, status.waiting) == (acknowledged, 40)
    assert status.dropped == {"ENOSPC": 150 - acknowledged - 40}
    assert len(rows_in(directory)) == acknowledged

    os.truncate(next(path for path in segments_in(str(directory))), 0)
    assert journal.retry() is True
    status = journal.status()
    assert (status.waiting, status.recovered) == (0, 40)
    names = [row.call_id for row in rows_in(directory)]
    assert names == [str(number) for number in range(acknowledged, acknowledged + 40)]
    journal.close()


def test_a_short_write_acknowledges_its_whole_frames_only(directory, clock, intent, monkeypatch):
    journal = Journal(directory, clock=clock)
    journal.append(intent("a"))
    room = []

    def write(fd, data):
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.write(fd, data[: room.pop()])

    monkeypatch.setattr(journal_module, "_write", write)
    monkeypatch.setattr(journal_module, "release_reserve", lambda _: False)
    size = (directory / journal.status().path).stat().st_size
    room.append(size + 8)
    assert journal.append(intent("b"), intent("c")) is False
    assert journal.status().acknowledged == 2
    assert journal.status().waiting == 1
    room += [1 << 20]
    assert journal.retry() is True
    assert ids_in(directory) == ["a", "b", "c"]
    assert journal.status().acknowledged == 3
    journal.close()


def test_an_interrupt_while_waiting_rows_are_written_loses_none(directory, clock, intent, monkeypatch):
    journal = Journal(None, clock=clock)
    journal.append(intent("a"), intent("b"))
    journal.directory = str(directory)

    def interrupted(fd, data):
        raise KeyboardInterrupt

    monkeypatch.setattr(journal_module, "_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        journal.retry()
    monkeypatch.undo()
    assert journal.status().waiting == 2
    assert journal.retry()
    assert ids_in(directory) == ["a", "b"]
    journal.close()


def test_a_limit_on_the_size_of_files_only_means_another_file(run_python, directory):
    run_python(
        """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
journal = Journal(sys.argv[1])
journal.append(intent("0"))
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 1 << 20))
assert all([journal.append(intent(str(number))) for number in range(1, 200)])
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
""".replace('journal.append(intent("0"))', 'import logging; logging.disable(); journal.append(intent("0"))'),
        directory,
    )
    assert ids_in(directory) == sorted(str(number) for number in range(200))
    assert len(segments_in(str(directory))) > 2


def test_rows_of_a_deleted_directory_are_written_again(directory, journal, clock, intent, caplog):
    journal.append(intent("a"), intent("b"))
    shutil.rmtree(directory)
    assert journal.append(intent("c"))
    clock.now += 2
    assert journal.append(intent("d"))
    assert ids_in(directory) == ["a", "b", "c", "d"]
    assert journal.status().acknowledged == 4
    assert "deleted" in caplog.text


def test_a_descriptor_that_was_closed_by_someone_is_replaced(directory, journal, clock, intent):
    journal.append(intent("a"))
    os.close(journal._segment.fd)
    assert journal.append(intent("b"))
    assert ids_in(directory) == ["a", "b"]


def test_a_descriptor_that_was_taken_by_someone_is_left_to_him(directory, journal, clock, intent, tmp_path):
    journal.append(intent("a"))
    number = journal._segment.fd
    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    os.dup2(other, number)
    clock.now += 2
    journal.append(intent("b"))
    assert journal.append(intent("c"))
    assert os.fstat(number).st_ino == os.fstat(other).st_ino
    assert ids_in(directory) == ["a", "c"]
    os.close(number)
    os.close(other)


# -- processes --------------------------------------------------------------------------------------------------

CRASH_ROUNDS = int(os.environ.get("LEDGER_CRASH_ROUNDS", "50"))
_ACKNOWLEDGE = """
journal = Journal(sys.argv[1])
number = 0
while True:
    if journal.append(intent(f"{sys.argv[2]}-{number}"), attempt(f"{sys.argv[2]}-{number}")):
        os.write(1, b"%d\\n" % number)
    number += 1
"""


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # threads of other tests
def test_what_was_acknowledged_survives_kill_9(directory):
    """A child says over a pipe what was acknowledged to it, and is killed at a moment of no one's choosing."""
    import random

    chance = random.Random(7)
    for number in range(CRASH_ROUNDS):
        reading, writing = os.pipe()
        child = _forked_writer(directory, number, writing)
        os.close(writing)
        said = b""
        enough = chance.randrange(1, 4000)
        while len(said) < enough:
            said += os.read(reading, 65536)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while piece := os.read(reading, 65536):
            said += piece
        os.close(reading)
        # The last line may be torn: then it was not said.
        acknowledged = {f"{number}-{line.decode()}" for line in said.split(b"\n")[:-1]}
        rows = rows_in(directory)
        assert acknowledged <= {row.call_id for row in rows if not isinstance(row, CallRow)}
        names = [row.call_id for row in rows]
        assert all(names.count(name) == 2 for name in sorted(acknowledged)[:20])
        # One row more at most: written, and killed before it could say so.
        assert len(rows) <= 2 * len(acknowledged) + 2
        for path in segments_in(str(directory)):
            assert not is_alive(path)
            path.unlink()


def _forked_writer(directory, number, writing):
    from aistrale.store.records import IntentRow

    child = os.fork()
    if child:
        return child
    try:
        journal = Journal(directory)
        count = 0
        while True:
            rows = [
                IntentRow(call_id=f"{number}-{count}", attempt=attempt, at=0.0, provider="p", model="m",
                          target="p/m", streamed=False)
                for attempt in (1, 2)
            ]  # fmt: skip
            if journal.append(*rows):
                os.write(writing, b"%d\n" % count)
            count += 1
    finally:
        os._exit(1)


@pytest.mark.parametrize(
    "death",
    [
        "os._exit(0)",
        "os.kill(os.getpid(), signal.SIGKILL)",
        "os.kill(os.getpid(), signal.SIGSEGV)",
        "os.abort()",
        "1/0",
    ],
)
def test_every_death_leaves_the_acknowledged_rows(spawn, directory, death):
    process = spawn(
        f"journal = Journal(sys.argv[1])\nassert journal.append(intent('a'), attempt('a'))\n{death}", directory
    )
    process.communicate(timeout=60)
    assert ids_in(directory) == ["a", "a"]
    assert not any(is_alive(path) for path in segments_in(str(directory)))


def test_a_forked_child_writes_to_its_own_segment(run_python, directory):
    run_python(
        """
journal = Journal(sys.argv[1])
journal.append(intent("parent before"))
journal._backlog.add([b"waits in the parent"])
child = os.fork()
if child == 0:
    assert journal.status().waiting == 0
    assert journal.append(intent("child"))
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
journal._backlog.take(1)
journal.append(intent("parent after"))
os._exit(0)
""",
        directory,
    )
    assert sorted([row.call_id for row, _ in read_segment(path)] for path in segments_in(str(directory))) == [
        ["child"],
        ["parent before", "parent after"],
    ]


def test_a_child_that_never_writes_does_not_keep_the_parents_segment_alive(spawn, directory):
    process = spawn(
        """
journal = Journal(sys.argv[1])
journal.append(intent("parent"))
if os.fork() == 0:
    os.write(1, b"%8d" % os.getpid())
    signal.pause()
signal.pause()
""",
        directory,
    )
    child = int(process.stdout.read(8))
    try:
        (path,) = segments_in(str(directory))
        assert is_alive(path)
        process.kill()
        process.wait()
        assert not is_alive(path)
    finally:
        os.kill(child, signal.SIGKILL)


def test_eight_processes_share_a_directory(spawn, directory):
    code = "journal = Journal(sys.argv[1])\nfor n in range(500): assert journal.append(intent(f'{sys.argv[2]}-{n}'))"
    processes = [spawn(code, directory, number) for number in range(8)]
    for process in processes:
        assert process.communicate(timeout=60)[1] == b""
    assert ids_in(directory) == sorted(f"{number}-{count}" for number in range(8) for count in range(500))
    assert len(segments_in(str(directory))) == 8


# -- power loss -------------------------------------------------------------------------------------------------


def test_each_syncs_before_it_acknowledges(directory, clock, intent, monkeypatch):
    synced = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: synced.append(fd) or real(fd))
    journal = Journal(directory, durability="each", clock=clock)
    for count in range(1, 4):
        assert journal.append(intent(str(count)))
        assert len(synced) == count
    journal.close()


def test_each_writes_elsewhere_what_could_not_be_synced(directory, clock, intent, monkeypatch):
    journal = Journal(directory, durability="each", clock=clock)
    assert journal.append(intent("a"))
    first = journal.status().path
    real, failures = os.fdatasync, [1]

    def fdatasync(fd):
        if failures:
            raise OSError(errno.EIO, os.strerror(errno.EIO) + str(failures.pop()))
        real(fd)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    assert journal.append(intent("b")) is True
    assert journal.status().path != first
    assert journal.status().acknowledged == 2
    assert [row.call_id for row, _ in read_segment(journal.status().path)] == ["b"]
    journal.close()


def test_group_syncs_soon_and_sync_waits_for_it(directory, intent, monkeypatch):
    synced = threading.Semaphore(0)
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (real(fd), synced.release()))
    journal = Journal(directory, durability="group")
    assert journal.append(intent("a"))
    assert synced.acquire(timeout=10)
    journal.append(intent("b"))
    journal.sync()
    assert synced.acquire(blocking=False)
    for number in range(journal_module.GROUP_ROWS):
        journal.append(intent(str(number)))
    assert synced.acquire(timeout=10)
    journal.close()


def test_group_writes_a_segment_again_that_could_not_be_synced(directory, clock, intent, monkeypatch):
    journal = Journal(directory, durability="group", clock=clock)
    monkeypatch.setattr(journal._syncer, "wake", lambda: None)
    journal.append(intent("a"), intent("b"))
    real, failures = os.fdatasync, [1]

    def fdatasync(fd):
        if failures:
            raise OSError(errno.EIO, os.strerror(errno.EIO) + str(failures.pop()))
        real(fd)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    before = journal.status().path
    journal.sync()
    assert journal.status().path != before
    assert [row.call_id for row, _ in read_segment(journal.status().path)] == ["a", "b"]
    assert journal.status().acknowledged == 2
    journal.close()
