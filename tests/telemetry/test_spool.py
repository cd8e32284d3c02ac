"""Durable delivery: what is on disk comes at least once, with the same ids, whoever dies when."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.cli._following import SpoolTail
from aistrale.store.reader import MAX_PAYLOAD
from aistrale.store.records import NewerRowError
from aistrale.telemetry import _spool_format
from aistrale.telemetry._spool_files import (
    CURSORS,
    read_cursors,
    spool_directories,
    spool_directory,
    spool_status,
    waiting_bytes,
)
from aistrale.telemetry._spool_format import decode, encode, without_content
from aistrale.telemetry.delivery import Delivery
from aistrale.telemetry.encoding import encode_event
from aistrale.telemetry.events import EVENTS, Content, FunctionFinished
from aistrale.telemetry.settings import SinkSettings
from tests.telemetry.events_of import of_class
from tests.telemetry.places import Blocking, Clock, Loud, Place, attempted, delivery, event, events, finished, run

ROOT = Path(__file__).resolve().parents[2]
LONG = 30.0
pytestmark = pytest.mark.skipif(os.name != "posix", reason="spools need flock")


def durable(sink, directory, clock=None, **settings):
    return delivery(sink, clock, directory, guarantee="durable", **settings)


def send(sent, items):
    for item in items:
        sent.put(item)
    return [item.id for item in items]


def place_of(directory, name="place"):
    return spool_directory(directory, name)


# --- the form ---------------------------------------------------------------------------------------------------------


@given(st.one_of([of_class(cls) for cls in EVENTS.values()]))
def test_every_event_survives(item):
    payload = encode(item)
    assert payload.isascii()
    assert encode_event(decode(payload)) == encode_event(item)


def test_what_comes_back_is_what_went_in():
    said = Content(system=("s",), input=({"role": "user", "parts": [{"type": "text", "content": "ü"}]},))
    for item in (event(), attempted(content=said), attempted(), finished()):
        assert decode(encode(item)) == item


def test_what_json_cannot_say_loses_that_and_no_more():
    odd = FunctionFinished(name="f", latency=float("inf"), outcome="success", inputs={"a": b"x"}, output={1: object()})
    found = decode(encode(odd))
    assert (found.name, found.latency, found.id) == ("f", float("inf"), odd.id)


def test_an_event_that_is_too_large_comes_without_what_was_said():
    said = Content(input=({"text": "x" * MAX_PAYLOAD},))
    large = attempted(content=said)
    assert decode(encode(large)) == without_content(large)
    spoken = FunctionFinished(name="f", latency=1.0, outcome="success", output="x" * MAX_PAYLOAD)
    assert decode(encode(spoken)).output is None
    with pytest.raises(ValueError, match="at most"):
        encode(FunctionFinished(name="x" * MAX_PAYLOAD, latency=1.0, outcome="success"))


def test_a_newer_version_is_left_for_it():
    array = json.loads(encode(attempted()))
    for wrong in (
        [2, *array[1:]],
        [1, "of.tomorrow", *array[2:]],
        [*array, "another field"],
        [*array[:5], [99, *array[5][1:]], *array[6:]],
        [*array[:5], [*array[5], "another column"], *array[6:]],
    ):
        with pytest.raises(NewerRowError):
            decode(json.dumps(wrong).encode())


def test_an_older_version_is_read():
    array = json.loads(encode(attempted(content=None)))
    assert decode(json.dumps(array[:-2]).encode()).row.call_id == "c"


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"[1]", b'["1","x"]', b"{}", b'[1,"attempt.finished","i",1,"c",5]', b"nonsense", b"[" * 99_999],
)
def test_what_is_no_event_is_told(payload):
    with pytest.raises(ValueError, match=r"\w"):
        decode(payload)


def test_fields_are_only_added_at_the_end():
    """A spool of an older version must stay readable: a line here may get longer, never be changed otherwise."""
    known = {
        "answer.scored": "id at call_id name score",
        "attempt.finished": "id at call_id row finish_reasons response_id content",
        "attempt.hedged": "id at call_id target delay",
        "attempt.retried": "id at call_id target attempt error status delay",
        "breaker.changed": "id at call_id target change before after reason open_for news",
        "budget.crossed": "id at call_id what budget scope period limit spent reserved hard threshold resets",
        "cache.looked": "id at call_id result",
        "call.failed_over": "id at call_id target next_target error status delay",
        "call.finished": "id at call_id row streamed",
        "call.started": ("id at call_id operation model_asked route streamed user workspace project session name tags"),
        "cost.optimized": "id at call_id what change share reason saved_tokens",
        "data.redacted": "id at call_id types",
        "dlp.verdict": "id at call_id rule action direction types target dry_run",
        "experiment.assigned": "id at call_id experiment variant",
        "experiment.decided": "id at call_id experiment winner reason",
        "function.finished": (
            "id at call_id name latency outcome error user workspace project session tags calls inputs output"
        ),
        "queue.waited": "id at call_id target seconds admitted",
        "run.finished": (
            "id at call_id framework run_id parent_run_id type name latency outcome error provider model streamed "
            "first_token input_tokens output_tokens cache_read_tokens cache_write_tokens reasoning_tokens cost tags "
            "documents content"
        ),
        "translation.lossy": "id at call_id target fields",
        "webhook.sent": "id at call_id webhook type message_id attempts outcome status reason",
    }
    for kind, names in known.items():
        found = _spool_format.NAMES[kind]
        assert found[: len(names.split())] == tuple(names.split()), kind


# --- on disk ----------------------------------------------------------------------------------------------------------


def test_events_go_to_disk_at_once_and_to_the_sink_in_batches(tmp_path):
    sink = Place()
    sent = durable(sink, tmp_path, batch=10)
    assert not list(tmp_path.iterdir())
    ids = send(sent, events(25))
    waiting = SpoolTail(place_of(tmp_path)).new(lambda _: True)
    assert [item.id for item in waiting] == ids
    assert sent.status().waiting == 25
    assert sent.step() is None
    assert sink.ids == ids
    assert [len(batch) for batch in sink.batches] == [10, 10, 5]
    assert (sent.status().waiting, sent.status().delivered, sent.status().dropped) == (0, 25, {})
    sent.close(1.0)
    assert not list(place_of(tmp_path).glob("*.open"))
    assert not list(place_of(tmp_path).glob("*.seal"))
    later = send(sent, events(2))
    sent.step()
    assert sink.ids == ids + later


def test_without_a_directory_given_it_is_in_the_home(aistrale_home):
    sent = durable(Place(), None)
    sent.put(event())
    assert list(spool_directories(aistrale_home)) == ["place"]
    sent.close(1.0)


@pytest.mark.parametrize("name", ["a", "a/b", "..", ".", "webhook: orders", "x" * 500, "ü", "a\0b"])
def test_a_spool_has_the_name_of_its_sink(tmp_path, name):
    path = spool_directory(tmp_path, name)
    assert path.parent == tmp_path / "spool"
    path.mkdir(parents=True)
    found = list(spool_directories(tmp_path))
    assert found == [name] or len(name) > 100


def test_a_file_that_cannot_be_there_keeps_events_in_memory_and_says_so(tmp_path):
    (tmp_path / "spool").write_text("in the way")
    clock = Clock()
    sink = Place()
    sent = durable(sink, tmp_path, clock, queue=2)
    ids = send(sent, events(3))
    status = sent.status()
    assert (status.waiting, sum(status.dropped.values())) == (2, 1)
    assert "Error" in status.last_error
    (tmp_path / "spool").unlink()
    run(sent, clock, 60.0)
    assert sink.ids == ids[:2]
    assert sent.status().last_error is None
    sent.close(1.0)


def test_the_disk_is_bounded(tmp_path):
    clock = Clock()
    sink = Place(*[OSError()] * 3)
    sent = durable(sink, tmp_path, clock, spool_bytes=100_000)
    items = [attempted() for _ in range(600)]
    send(sent, items)
    assert waiting_bytes(place_of(tmp_path)) < 100_000 * 1.1
    lost = sent.status().dropped["spool full"]
    assert lost == 600 - sent.status().waiting > 0
    sent.step()
    run(sent, clock, 60.0)
    assert len(sink.ids) == 600 - lost
    more = send(sent, events(5))
    sent.step()
    assert sink.ids[-5:] == more
    assert sent.status().dropped == {"spool full": lost}
    sent.close(1.0)


def test_a_sink_that_fails_gets_the_same_again_and_leaves_word(tmp_path):
    clock = Clock()
    sink = Place(Loud(7.0))
    sent = durable(sink, tmp_path, clock, batch=2)
    ids = send(sent, events(5))
    assert sent.step() == 7.0
    status = spool_status("place", place_of(tmp_path))
    assert (status.error, status.events) == ("Loud", 5)
    assert status.bytes > 0
    assert status.oldest is not None
    run(sent, clock, 10.0)
    assert sink.offered == [ids[:2], ids[:2], ids[2:4], ids[4:]]
    assert spool_status("place", place_of(tmp_path)).error is None
    sent.close(1.0)


def test_an_event_that_the_sink_never_takes_is_kept_and_one_that_it_refuses_is_not(tmp_path):
    clock = Clock()
    sink = Place(*[TypeError()] * 20, Loud(permanent=True))
    sent = durable(sink, tmp_path, clock, batch=2)
    ids = send(sent, events(4))
    run(sent, clock, 3600.0)
    assert sink.ids == ids[2:]
    assert sent.status().dropped == {"failed permanently": 2}
    sent.close(1.0)


def test_an_hour_of_outage_is_on_disk_and_nowhere_else(tmp_path):
    clock = Clock()
    sink = Place(*[OSError()] * 1000)
    sent = durable(sink, tmp_path, clock)
    ids = []
    steps = 0
    for _ in range(60):
        ids += send(sent, events(20))
        steps += run(sent, clock, 60.0)
    assert steps < 200
    assert len(sink.offered) < 80
    sink.script.clear()
    run(sent, clock, 61.0)
    assert sink.ids == ids
    sent.close(1.0)


def test_damage_costs_what_is_damaged(tmp_path):
    sink = Place()
    sent = durable(sink, tmp_path)
    ids = send(sent, events(9))
    (segment,) = place_of(tmp_path).glob("*.open")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0xFF
    segment.write_bytes(data)
    sent.step()
    assert len(sink.ids) == 8
    assert [each for each in ids if each in sink.ids] == sink.ids
    sent.close(1.0)


@pytest.mark.parametrize("left", ["", "{", "[]", '{"x": "y"}', '{"x": -5}', "[" * 99_999])
def test_a_broken_cursor_means_once_more(tmp_path, left):
    sink = Place()
    sent = durable(sink, tmp_path)
    ids = send(sent, events(3))
    sent.step()
    (place_of(tmp_path) / CURSORS).write_text(left)
    assert read_cursors(place_of(tmp_path)) == {}
    more = send(sent, events(1))
    sent.step()
    assert sink.ids == [*ids, *ids, *more]
    sent.close(1.0)


def test_a_cursor_behind_the_end_is_not_believed(tmp_path):
    sink = Place()
    sent = durable(sink, tmp_path)
    ids = send(sent, events(3))
    (segment,) = place_of(tmp_path).glob("*.open")
    (place_of(tmp_path) / CURSORS).write_text(json.dumps({segment.stem: 10**9}))
    sent.step()
    assert sink.ids == ids
    sent.close(1.0)


def test_where_no_cursor_can_be_stored_it_goes_on_all_the_same(tmp_path):
    sink = Place()
    sent = durable(sink, tmp_path, batch=2)
    in_the_way = place_of(tmp_path) / CURSORS / "x"
    in_the_way.mkdir(parents=True)
    ids = send(sent, events(5))
    sent.step()
    ids += send(sent, events(3))
    sent.step()
    assert sink.ids == ids
    assert "not stored" in sent.status().last_error
    in_the_way.rmdir()
    in_the_way.parent.rmdir()
    ids += send(sent, events(1))
    sent.step()
    assert sink.ids == ids
    assert sent.status().last_error is None
    assert sum(read_cursors(place_of(tmp_path)).values()) == sum(
        path.stat().st_size for path in place_of(tmp_path).glob("*.open")
    )
    sent.close(1.0)


FULL = """
import sys
from pathlib import Path
from tests.telemetry.places import Place, delivery, events

sink = Place(OSError())
sent = delivery(sink, None, Path(sys.argv[1]), guarantee="durable", queue=100, batch=1000)
ids = []
while not sent._spool.dropped():
    for item in events(100):
        ids.append(item.id)
        sent.put(item)
# What did not fit is the last that came, and no more than that.
del ids[-sent.status().dropped["ENOSPC"]:]
sent._sink.retry.succeeded()
sink.script.clear()
assert sent.flush(30.0)
assert sink.ids == ids, (len(sink.ids), len(ids))
assert len(ids) > 3000
assert sum(path.stat().st_size for path in Path(sys.argv[1]).rglob("*.open")) < 100_000
more = events(10)
for item in more:
    sent.put(item)
assert sent.flush(30.0)
assert sink.ids == ids + [item.id for item in more]
assert sent.status().last_error is None
sent.close(1.0)
"""


def test_a_full_disk_is_emptied_by_what_is_delivered_from_it(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = ["unshare", "--mount", "sh", "-c", f"mount -t tmpfs -o size=2m tmpfs '{disk}' && exec \"$@\"", "sh"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*mounted, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no small disk can be mounted here")
    done = subprocess.run(
        [*mounted, sys.executable, "-c", FULL, str(disk)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# --- several ----------------------------------------------------------------------------------------------------------


def test_who_comes_later_delivers_for_who_is_gone(tmp_path):
    first = durable(Place(*[OSError()] * 100), tmp_path)
    ids = send(first, events(5))
    first.close(1.0)
    assert spool_status("place", place_of(tmp_path)).events == 5
    sink = Place()
    second = durable(sink, tmp_path)
    more = send(second, events(1))
    second.step()
    assert sorted(sink.ids) == sorted(ids + more)
    second.close(1.0)


def test_one_at_a_time_delivers(tmp_path):
    stuck = Blocking()
    first = Delivery(stuck, SinkSettings(to=stuck, name="one", guarantee="durable", interval=0.0), tmp_path)
    ids = send(first, events(1))
    assert stuck.entered.wait(LONG)
    sink = Place()
    clock = Clock()
    second = durable(sink, tmp_path, clock, name="one")
    ids += send(second, events(3))
    assert second.step() == 1.0
    assert second.flush(5.0) is False
    assert sink.offered == []
    stuck.release.set()
    assert first.flush(LONG)
    assert second.flush(LONG)
    assert sorted(stuck.ids + sink.ids) == sorted(ids)
    first.close(LONG)
    second.close(LONG)


def test_a_sink_that_blocks_holds_up_neither_put_nor_flush_nor_close(tmp_path):
    sink = Blocking()
    sent = Delivery(sink, SinkSettings(to=sink, guarantee="durable", interval=0.0), tmp_path)
    ids = send(sent, events(1))
    assert sink.entered.wait(LONG)
    ids += send(sent, events(100))
    assert sent.flush(0.05) is False
    sent.close(0.05)
    assert sent.status().waiting == 101
    sink.release.set()
    assert sent.flush(LONG)
    assert sink.ids == ids
    sent.close(LONG)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_has_a_segment_of_its_own(tmp_path):
    sink = Place()
    sent = durable(sink, tmp_path)
    ids = send(sent, events(2))
    pid = os.fork()
    if not pid:
        sent.put(event(id="of the child"))
        os._exit(0)
    os.waitpid(pid, 0)
    ids += send(sent, events(1))
    sent.step()
    assert sorted(sink.ids) == sorted([*ids, "of the child"])
    sent.close(1.0)


# --- crashes ----------------------------------------------------------------------------------------------------------


class Crash(BaseException):
    """The process is gone at this instant."""


class Crashing(Place):
    """Dies at some batches: before it took them, or after it and before anybody could remember."""

    def write(self, batch, /):
        step = self.script.pop(0) if self.script else None
        if step != "before":
            self.batches.append(list(batch))
        if step in {"before", "after"}:
            raise Crash


ACTIONS = st.lists(
    st.one_of(st.integers(1, 9), st.just("ship"), st.just("restart")),
    max_size=25,
)
SCRIPT = st.lists(st.sampled_from([None, None, "before", "after"]), max_size=25)


@given(ACTIONS, SCRIPT, st.integers(1, 5))
def test_at_least_once_whatever_dies(tmp_path_factory, actions, script, batch):
    directory = tmp_path_factory.mktemp("spool")
    sink = Crashing(*script)
    clock = Clock()
    sent = durable(sink, directory, clock, batch=batch)
    ids, crashes = [], 0

    def die(sent):
        # The kernel gives back the lock of a dead process's segment; here its object does so when it goes.
        sent._spool._log._segment = None
        return durable(sink, directory, clock, batch=batch)

    def ship(sent):
        try:
            sent._sink.offer = offer(sent)
            sent.step()
        except Crash:
            return die(sent), 1
        return sent, 0

    def offer(sent):
        def offered(batch):
            sink.write(batch)
            return True

        return offered

    for action in actions:
        if action == "restart":
            sent = die(sent)
        elif action == "ship":
            sent, died = ship(sent)
            crashes += died
        else:
            ids += send(sent, events(action))
    sink.script = []
    sent.put(event(id="last"))
    ship(sent)
    counts = Counter(sink.ids)
    assert set(counts) == {*ids, "last"}
    assert sum(counts.values()) - len(counts) <= crashes * batch
    again = durable(sink, directory, clock)
    assert spool_status("place", place_of(directory)).events == 0
    again.close(1.0)


PROGRAM = """
import os, sys, time
from pathlib import Path
from aistrale.telemetry.delivery import Delivery
from aistrale.telemetry.events import QueueWaited
from aistrale.telemetry.settings import SinkSettings

class Lines:
    name = "lines"
    def write(self, batch):
        fd = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(fd, "".join(f"{item.id}\\n" for item in batch).encode())
        os.close(fd)

sink = Lines()
sent = Delivery(sink, SinkSettings(to=sink, guarantee="durable", interval=0.0, batch=7), Path(sys.argv[1]))

def put(name):
    sent.put(QueueWaited(id=name, call_id="c", target="a/b", seconds=0.1, admitted=True))
"""


def start(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM + code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )


def test_processes_share_a_spool_and_one_that_is_killed_loses_nothing(tmp_path):
    out = tmp_path / "out"
    code = """
number = 0
while True:
    put(f"{sys.argv[3]}-{number}")
    os.write(1, b"%d\\n" % number)
    number += 1
    if number == int(sys.argv[4]):
        break
sys.exit(0 if sent.flush(60) else 1)
"""
    killed = start(code, tmp_path, out, "killed", -1)
    steady = [start(code, tmp_path, out, f"steady{number}", 300) for number in range(2)]
    for _ in range(400):
        killed.stdout.readline()
    killed.send_signal(signal.SIGKILL)
    acknowledged = 400 + len(killed.communicate()[0].splitlines())
    for process in steady:
        process.communicate(timeout=60)
        assert process.returncode == 0
    last = start("put('last')\nsys.exit(0 if sent.flush(60) else 1)", tmp_path, out)
    last.communicate(timeout=60)
    assert last.returncode == 0
    counts = Counter(out.read_text().split())
    wanted = {f"steady{number}-{index}" for number in range(2) for index in range(300)} | {"last"}
    # The killed one may have written one more down than it has told of.
    wanted |= {f"killed-{index}" for index in range(acknowledged - 1)}
    assert wanted - set(counts) == set()
    assert sum(counts.values()) - len(counts) <= 7
    (status,) = [spool_status(name, path) for name, path in spool_directories(tmp_path).items()]
    assert (status.events, status.bytes) == (0, 0)


def test_threads_put_while_another_delivers(tmp_path):
    sink = Place()
    sent = Delivery(sink, SinkSettings(to=sink, guarantee="durable", interval=0.0, batch=50), tmp_path)
    lists = [events(300) for _ in range(4)]
    threads = [threading.Thread(target=send, args=(sent, items)) for items in lists]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sent.flush(LONG)
    assert Counter(sink.ids) == Counter(item.id for items in lists for item in items)
    for items in lists:
        own = {item.id for item in items}
        assert [each for each in sink.ids if each in own] == [item.id for item in items]
    sent.close(LONG)
