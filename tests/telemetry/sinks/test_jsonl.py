from __future__ import annotations

import errno
import fcntl
import gc
import gzip
import json
import os
import resource
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aistrale.errors import ConfigurationError
from aistrale.telemetry.encoding import decode_line, encode_line
from aistrale.telemetry.events import CacheLooked
from aistrale.telemetry.sinks import open_sink
from aistrale.telemetry.sinks.jsonl import JSONLinesSink
from aistrale.testing import check_sink
from aistrale.testing.sink_contract import sample_events

ROOT = Path(__file__).resolve().parents[3]
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()


def event(number: int = 0) -> CacheLooked:
    return CacheLooked(id=f"{number:032x}", at=NOON, result="miss")


SIZE = len(encode_line(event())) + 1


def read(path) -> list[dict]:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="ascii") as file:
        return [json.loads(line) for line in file]


def numbers(*paths) -> list[int]:
    return [int(line["id"], 16) for path in paths for line in read(path)]


def put_aside(folder) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name != "calls.jsonl")


def is_open(fd, path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except OSError:
        return False


def test_events_are_lines_that_can_be_read_back(tmp_path):
    path = tmp_path / "new" / "folder" / "calls.jsonl"
    sink = JSONLinesSink(path)
    assert not path.parent.exists(), "nothing is made before the first event"
    events = sample_events()
    sink.write(events[:5])
    sink.write([])
    sink.write(events[5:])
    sink.close()
    assert [decode_line(line) for line in path.read_bytes().splitlines()] == events
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0


def test_a_batch_is_one_write(tmp_path, monkeypatch):
    calls = []
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: calls.append(bytes(data)) or real(fd, data))
    sink = JSONLinesSink(tmp_path / "calls.jsonl")
    sink.write([event(number) for number in range(100)])
    sink.close()
    assert len(calls) == 1
    assert calls[0].count(b"\n") == 100
    assert len(calls[0]) == 100 * SIZE


def test_a_file_that_is_full_is_put_aside_and_the_oldest_go(tmp_path):
    times = iter(range(100))
    sink = JSONLinesSink(tmp_path / "calls.jsonl", max_bytes=3 * SIZE, backups=2, clock=lambda: NOON + next(times))
    for number in range(12):
        sink.write([event(number)])
    sink.close()
    older, old = put_aside(tmp_path)
    assert (older.name, old.name) == ("calls.20261122T120001.000000Z.jsonl", "calls.20261122T120002.000000Z.jsonl")
    assert (numbers(older), numbers(old), numbers(sink.path)) == ([3, 4, 5], [6, 7, 8], [9, 10, 11])


def test_a_batch_that_is_bigger_than_a_file_may_be_has_a_file_of_its_own(tmp_path):
    sink = JSONLinesSink(tmp_path / "calls.jsonl", max_bytes=2 * SIZE, clock=lambda: NOON)
    sink.write([event(number) for number in range(5)])
    sink.write([event(5)])
    sink.close()
    assert [numbers(path) for path in put_aside(tmp_path)] == [[0, 1, 2, 3, 4]]
    assert numbers(sink.path) == [5]


def test_nothing_is_overwritten_where_the_clock_stands_still(tmp_path):
    sink = JSONLinesSink(tmp_path / "calls.jsonl", max_bytes=SIZE, gzip=True, clock=lambda: NOON)
    for number in range(6):
        sink.write([event(number)])
    sink.close()
    files = put_aside(tmp_path)
    assert [path.name[-12:] for path in files] == [f"0000{n}Z.jsonl.gz"[-12:] for n in range(5)]
    assert numbers(*files, sink.path) == [0, 1, 2, 3, 4, 5]


def test_old_files_are_compressed_and_those_that_were_left_behind_too(tmp_path):
    path = tmp_path / "calls.jsonl"
    left = tmp_path / "calls.20261101T000000.000000Z.jsonl"
    left.write_bytes(b'{"id": "ff"}\n')
    (tmp_path / "calls.20261101T000000.000000Z.jsonl.gz.part").write_bytes(b"half")
    other = tmp_path / "calls.old.jsonl"
    other.write_text("mine")
    sink = JSONLinesSink(path, max_bytes=SIZE, gzip=True, backups=3, clock=lambda: NOON)
    sink.write([event(1)])
    sink.write([event(2)])
    sink.close()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        "calls.20261101T000000.000000Z.jsonl.gz", "calls.20261122T120000.000000Z.jsonl.gz", "calls.jsonl",
        "calls.old.jsonl",
    ]  # fmt: skip
    assert numbers(tmp_path / "calls.20261101T000000.000000Z.jsonl.gz") == [255]
    assert (tmp_path / "calls.20261122T120000.000000Z.jsonl.gz").stat().st_mode & 0o777 == 0o600


def test_a_file_of_yesterday_is_put_aside(tmp_path):
    now = [NOON]
    sink = JSONLinesSink(tmp_path / "calls.jsonl", when="day", clock=lambda: now[0])

    def write(number):
        sink.write([event(number)])
        os.utime(sink.path, (now[0], now[0]))

    write(0)
    now[0] += 11.9 * 3600
    write(1)
    assert put_aside(tmp_path) == []
    now[0] += 3600
    write(2)
    sink.close()
    assert [numbers(path) for path in put_aside(tmp_path)] == [[0, 1]]
    assert numbers(sink.path) == [2]


def test_a_file_that_was_moved_away_is_made_anew(tmp_path):
    sink = JSONLinesSink(tmp_path / "calls.jsonl")
    sink.write([event(0)])
    sink.path.rename(tmp_path / "moved.jsonl")
    sink.write([event(1)])
    sink.path.unlink()
    sink.write([event(2)])
    sink.close()
    sink.write([event(3)])
    sink.close()
    assert numbers(tmp_path / "moved.jsonl") == [0]
    assert numbers(sink.path) == [2, 3]


def test_a_line_that_somebody_left_unfinished_is_ended(tmp_path):
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b'{"kind": "call.fin')
    sink = JSONLinesSink(path)
    sink.write([event(1)])
    sink.close()
    torn, whole = path.read_bytes().splitlines()
    assert torn == b'{"kind": "call.fin'
    assert decode_line(whole) == event(1)


def test_a_full_disk_takes_all_of_a_batch_or_nothing(tmp_path):
    """The size limit of the process stands for the disk: the kernel writes what fits and refuses the rest."""
    path = tmp_path / "calls.jsonl"
    sink = JSONLinesSink(path)
    sink.write([event(0)])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3 * SIZE + 10, limits[1]))
        with pytest.raises(OSError, match=r".") as caught:
            sink.write([event(number) for number in range(1, 8)])
        assert caught.value.errno == errno.EFBIG
        assert numbers(path) == [0]
        sink.write([event(8)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    sink.write([event(9)])
    sink.close()
    assert numbers(path) == [0, 8, 9]


def test_a_folder_that_cannot_be_written_raises_and_goes_on_later(tmp_path):
    blocker = tmp_path / "folder"
    blocker.write_text("a file where a folder should be")
    sink = JSONLinesSink(blocker / "calls.jsonl")
    for _ in range(2):
        with pytest.raises(OSError, match=r"."):
            sink.write([event(0)])
    blocker.unlink()
    sink.write([event(0)])
    sink.close()
    assert numbers(sink.path) == [0]


def test_old_files_that_cannot_be_tidied_stop_nothing(tmp_path, caplog):
    sink = JSONLinesSink(tmp_path / "calls.jsonl", max_bytes=SIZE, gzip=True, clock=lambda: NOON)
    (tmp_path / "calls.20261122T120000.000000Z.jsonl.gz.part").mkdir()
    for number in range(4):
        sink.write([event(number)])
    sink.close()
    assert numbers(sink.path) == [3]
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_fsync_is_asked_for_where_it_is_wanted(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    for wanted in (False, True):
        sink = JSONLinesSink(tmp_path / "calls.jsonl", fsync=wanted)
        sink.write([event(0)])
        sink.close()
    assert len(synced) == 1


WRITER = """
import sys
from aistrale.telemetry.events import CacheLooked
from aistrale.telemetry.sinks.jsonl import JSONLinesSink
path, number = sys.argv[1], int(sys.argv[2])
sink = JSONLinesSink(path, max_bytes=20_000, gzip=True)
print("ready", flush=True)
sys.stdin.readline()
for batch in range(60):
    sink.write([CacheLooked(id=f"{number * 1_000_000 + batch * 100 + n:032x}", result="miss") for n in range(7)])
"""


def test_processes_share_a_file_and_lose_and_tear_nothing(tmp_path):
    path = tmp_path / "calls.jsonl"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(number)], cwd=ROOT,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for number in range(4)
    ]  # fmt: skip
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        _, errors = writer.communicate(timeout=60)
        assert writer.returncode == 0, errors
        assert errors == ""
    files = [*put_aside(tmp_path), path]
    assert len(files) > 5
    assert all(file.suffix == ".gz" for file in files[:-1])
    found = numbers(*files)
    assert len(found) == len(set(found))
    assert set(found) == {w * 1_000_000 + b * 100 + n for w in range(4) for b in range(60) for n in range(7)}
    for number in range(4):
        own = [each for each in found if each // 1_000_000 == number]
        assert own == sorted(own)


def test_a_child_process_opens_the_file_itself(tmp_path):
    sink = JSONLinesSink(tmp_path / "calls.jsonl")
    sink.write([event(0)])
    inherited = sink._fd
    # As in a child: the parent holds the lock of the shared descriptor meanwhile.
    held = os.dup(inherited)
    fcntl.flock(held, fcntl.LOCK_EX)
    sink.after_fork()
    with pytest.raises(OSError, match=r".") as caught:
        os.fstat(inherited)
    assert caught.value.errno == errno.EBADF
    fcntl.flock(held, fcntl.LOCK_UN)
    os.close(held)
    sink.write([event(1)])
    sink.close()
    assert numbers(sink.path) == [0, 1]


def test_a_sink_that_is_forgotten_keeps_no_descriptor(tmp_path):
    path = tmp_path / "calls.jsonl"
    for _ in range(3):
        JSONLinesSink(path).write([event()])
    gc.collect()
    assert len(read(path)) == 3
    assert not any(is_open(fd, path) for fd in range(1000))


def test_an_address_says_everything(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sink = open_sink(
        "jsonl:logs/calls.jsonl?max_bytes=1.5MB&backups=3&when=hour&gzip&fsync=no&kinds=cache.looked+call.finished"
    )
    assert sink.path == tmp_path / "logs" / "calls.jsonl"
    assert sink.kinds == {"cache.looked", "call.finished"}
    assert (sink._max_bytes, sink._rotated._keep, sink._rotated._compress, sink._fsync) == (1_500_000, 3, True, False)
    assert open_sink(f"jsonl:{tmp_path}/a.jsonl").path == open_sink(f"jsonl://{tmp_path}/a.jsonl").path
    monkeypatch.setenv("HOME", "/home/somebody")
    assert open_sink("jsonl:~/a.jsonl").path == Path("/home/somebody/a.jsonl")
    monkeypatch.chdir("/")
    assert sink.path == tmp_path / "logs" / "calls.jsonl", "the current directory may change"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("jsonl", "path of a file"),
        ("jsonl:", "path of a file"),
        ("jsonl:\0", "path of a file"),
        ("jsonl:/", "is a directory"),
        ("jsonl://host/calls.jsonl", "names a host"),
        ("jsonl:a?max_bytes=many", "max_bytes must be a number of bytes"),
        ("jsonl:a?max_bytes=inf", "max_bytes must be a number of bytes"),
        ("jsonl:a?max_bytes=0", "max_bytes must be at least 1"),
        ("jsonl:a?backups=-1", "backups must be at least 0"),
        ("jsonl:a?backups=x", "backups must be a whole number"),
        ("jsonl:a?when=month", "when must be"),
        ("jsonl:a?gzip=maybe", "gzip must be true or false"),
        ("jsonl:a?kinds=call.invented", "no such kind of event"),
        ("jsonl:a?kinds=", "must be kinds of events"),
        ("jsonl:a?size=5", "no option of that name"),
        ("jsonl:a?gzip=1&gzip=0", "twice"),
    ],
)
def test_what_is_wrong_is_named(url, told):
    with pytest.raises(ConfigurationError, match=told) as caught:
        open_sink(url)
    assert caught.value.field == "sinks"


def test_it_keeps_the_contract(tmp_path):
    check_sink(JSONLinesSink(tmp_path / "calls.jsonl", max_bytes=10_000, backups=2, gzip=True))
    check_sink(JSONLinesSink(tmp_path / "some.jsonl", kinds={"call.finished"}))
