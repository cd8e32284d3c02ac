from __future__ import annotations

import time
from itertools import count

import pytest

from aistrale.store.answers import Entry
from tests.store.redis.quiet import QuietFleet

NAMES = count()


def entry(data=b"answer", lasts=100.0, at=None):
    at = time.time() if at is None else at
    return Entry(data, at, at + lasts)


class Processes:
    def __init__(self, server):
        self.server = server
        self.url = f"{server.url}?prefix=a{next(NAMES)}&timeout=2"
        self.fleets = []

    def start(self, max_entries=100, max_bytes=1_000_000):
        fleet = QuietFleet(self.url)
        self.fleets.append(fleet)
        return fleet.answers(max_entries, max_bytes)

    @property
    def client(self):
        return self.fleets[0].connection.client()

    def all_keys(self):
        return self.client.keys(self.fleets[0].key("*"))


def test_what_one_remembers_another_is_served(processes):
    one, two = processes.start(), processes.start()
    kept = entry(b"\n:\x00 bytes\n")
    one.put("k", kept)
    # Its own are served before they are sent.
    assert one.get("k", time.time()) is kept
    assert two.get("k", time.time()) is None
    one.flush()
    assert two.get("k", time.time()) == kept
    assert two.get("k", kept.expires) is None


def test_everything_there_has_an_end(processes):
    one = processes.start()
    one.put("k", entry(lasts=50.0))
    one.put("late", entry(lasts=0.0))
    one.flush()
    for key in processes.all_keys():
        if b"answer" in key:
            assert 0 < processes.client.ttl(key) <= 50
    assert one.get("late", time.time() - 1.0) is None


def test_beyond_the_bounds_those_go_that_end_first(processes):
    one = processes.start(max_entries=3)
    for at, lasts in enumerate((500.0, 100.0, 300.0, 400.0)):
        one.put(str(at), entry(lasts=lasts))
        one.flush()
    assert [at for at in range(4) if one.get(str(at), time.time())] == [0, 2, 3]
    small = processes.start(max_entries=3, max_bytes=2 * entry().size)
    small.put("new", entry(lasts=1000.0))
    small.flush()
    assert [at for at in range(4) if one.get(str(at), time.time())] == [0]
    small.put("large", entry(b"x" * 10_000))
    small.flush()
    assert small.get("large", time.time()) is None


def test_sizes_add_up_also_when_answers_are_replaced(processes):
    one = processes.start()
    for data in (b"x" * 1000, b"y" * 10, b"z" * 500):
        one.put("k", entry(data))
        one.flush()
    assert int(processes.client.hget(processes.fleets[0].key("answers", "sizes"), "")) == entry(b"z" * 500).size
    assert one.get("k", time.time()).data == b"z" * 500


def test_forgetting_is_for_all(processes):
    one, two = processes.start(), processes.start()
    one.put("k", entry())
    one.flush()
    two.clear()
    assert one.get("k", time.time()) is None
    assert not [key for key in processes.all_keys() if b"answer" in key]


def test_without_redis_there_is_a_memory(frail):
    one = frail.start()
    one.put("before", entry())
    one.flush()
    frail.server.kill()
    assert one.get("before", time.time()) is None
    assert not one.slow
    one.put("k", entry())
    assert one.get("k", time.time()).data == b"answer"
    one.clear()
    assert one.get("k", time.time()) is None


def test_what_was_on_its_way_when_redis_went_stays_here(frail):
    one = frail.start()
    one.flush()
    one.get("x", time.time())
    one.put("k", entry())
    frail.server.kill()
    one.flush()
    assert one.get("k", time.time()).data == b"answer"
    assert one.pending == 0


@pytest.mark.parametrize("data", [b"", b"nothing", b"1\nx", b"a b\nx", b"1 2 3\nx"])
def test_what_makes_no_sense_is_no_answer(processes, data):
    one = processes.start()
    one.flush()
    one.get("k", time.time())
    processes.client.set(processes.fleets[0].key("answer", "k"), data)
    assert one.get("k", 0.0) is None
