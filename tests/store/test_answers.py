"""Both stores of answers: what is kept, for how long, and what gives way."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.errors import ConfigurationError
from aistrale.store.answers import OVERHEAD, Entry, MemoryAnswers, open_answers
from aistrale.store.answers_sqlite import SQLiteAnswers


def entry(text="x", at=100.0, keep=50.0):
    return Entry(text.encode(), at, at + keep)


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    setting = "memory" if request.param == "memory" else f"sqlite:///{tmp_path}/cache/answers.db"
    made = open_answers(setting, max_entries=100, max_bytes=1_000_000)
    yield made
    made.close()


def test_what_is_put_is_there_until_it_expires(store):
    store.put("k", entry())
    for _ in range(2):
        assert store.get("k", 149.9) == entry()
        assert store.get("other", 120.0) is None
        store.flush()
    assert store.get("k", 150.0) is None


def test_a_later_answer_takes_the_place_of_an_earlier_one_also_when_the_clock_went_back(store):
    store.put("k", entry("one", at=100.0))
    store.flush()
    store.put("k", entry("two", at=90.0))
    assert store.get("k", 100.0) == entry("two", at=90.0)
    store.flush()
    assert store.get("k", 100.0) == entry("two", at=90.0)


def test_all_can_be_forgotten(store):
    store.put("k", entry())
    store.flush()
    store.put("l", entry())
    store.clear()
    assert store.get("k", 110.0) is None
    assert store.get("l", 110.0) is None
    store.put("k", entry())
    assert store.get("k", 110.0) == entry()


def test_an_answer_that_is_too_large_is_not_kept(store):
    store.put("k", entry("x" * 1_000_000))
    store.flush()
    assert store.get("k", 110.0) is None


def test_the_number_of_answers_is_bounded(store):
    for number in range(250):
        store.put(f"k{number}", entry(at=100.0 + number, keep=1000.0))
    store.flush()
    left = [number for number in range(250) if store.get(f"k{number}", 400.0) is not None]
    assert 90 <= len(left) <= 100
    assert left[-1] == 249
    assert left == list(range(250 - len(left), 250))


def test_the_size_of_the_answers_is_bounded(store):
    for number in range(20):
        store.put(f"k{number}", entry("x" * 100_000, at=100.0 + number, keep=1000.0))
    store.flush()
    left = [number for number in range(20) if store.get(f"k{number}", 400.0) is not None]
    assert left == list(range(20 - len(left), 20))
    assert 8 <= len(left) <= 9


def test_a_closed_store_can_be_used_again(store):
    store.put("k", entry())
    store.close()
    store.put("l", entry())
    assert store.get("l", 110.0) == entry()


def test_threads_may_share_a_store(store):
    wrong = []

    def work(name):
        for number in range(100):
            key = f"{name}{number % 7}"
            store.put(key, entry(key))
            found = store.get(key, 110.0)
            if found is not None and found.data != key.encode():
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    "setting", ["", "redis://user:secret@host", "sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///a\0b", None]
)
def test_another_setting_is_an_error_that_shows_no_address(setting):
    with pytest.raises(ConfigurationError, match=r"cache\.store") as caught:
        open_answers(setting, max_entries=1, max_bytes=1)
    assert caught.value.field == "cache.store"
    assert "secret" not in str(caught.value)


def test_a_relative_path_is_that_of_the_directory_in_which_it_was_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = open_answers("sqlite:///a.db", max_entries=1, max_bytes=1)
    assert isinstance(made, SQLiteAnswers)
    monkeypatch.chdir("/")
    assert made.path == tmp_path / "a.db"


# --- memory -----------------------------------------------------------------------------------------------------------


def test_the_least_recently_used_makes_room():
    store = MemoryAnswers(max_entries=3, max_bytes=10_000)
    for key in "abc":
        store.put(key, entry())
    store.get("a", 110.0)
    store.put("d", entry())
    assert [key for key in "abcd" if store.get(key, 110.0)] == ["a", "c", "d"]


def test_what_has_expired_takes_no_room():
    store = MemoryAnswers(max_entries=3, max_bytes=10_000)
    store.put("k", entry())
    assert store.get("k", 1000.0) is None
    assert (len(store), store.size) == (0, 0)


def test_a_finalizer_in_the_middle_of_a_look_up_may_put():
    store = MemoryAnswers(max_entries=3, max_bytes=10_000)
    store._exclusive.run(lambda: store.put("k", entry()))
    assert store.get("k", 110.0) == entry()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_begins_with_an_empty_memory():
    code = """
import os
from aistrale.store.answers import Entry, MemoryAnswers
store = MemoryAnswers(max_entries=9, max_bytes=10**6)
store.put("k", Entry(b"x", 100.0, 150.0))
# A thread of the parent may hold the lock as it forks.
store._exclusive._lock.acquire()
pid = os.fork()
if not pid:
    assert store.get("k", 110.0) is None
    store.put("k", Entry(b"y", 100.0, 150.0))
    assert store.get("k", 110.0).data == b"y" and store.size == 301
    os._exit(0)
store._exclusive._lock.release()
assert os.waitpid(pid, 0)[1] == 0
assert store.get("k", 110.0).data == b"x"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, text=True, check=False)
    assert done.returncode == 0, done.stderr


@given(
    st.lists(
        st.tuples(st.sampled_from(["put", "get"]), st.sampled_from("abcde"), st.integers(0, 400)),
        max_size=40,
    )
)
def test_memory_is_an_lru_table_within_its_bounds(steps):
    store = MemoryAnswers(max_entries=3, max_bytes=1_400)
    model: OrderedDict[str, int] = OrderedDict()
    for verb, key, size in steps:
        if verb == "get":
            found = store.get(key, 110.0)
            assert (found is not None) == (key in model)
            if key in model:
                model.move_to_end(key)
            continue
        store.put(key, entry("x" * size))
        model.pop(key, None)
        model[key] = size + OVERHEAD
        while len(model) > 3 or sum(model.values()) > 1_400:
            model.popitem(last=False)
        assert len(store) == len(model)
        assert store.size == sum(model.values())
