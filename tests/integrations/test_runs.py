from __future__ import annotations

import gc
import os
import threading
import weakref

import pytest

from aistrale.integrations.runs import Run, RunMap


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def run(name, parent=None):
    return Run(id=name, type="chain", name=name, started=0.0, at=0.0, parent=parent)


def followed(**bounds):
    lost: list[str] = []
    clock = Clock()
    return RunMap(lambda each: lost.append(each.id), clock=clock, **bounds), lost, clock


def test_a_run_ends_once():
    runs, lost, _ = followed()
    first = run("a")
    assert runs.start(first)
    assert not runs.start(run("a"))
    assert runs.get("a") is first
    assert runs.pop("a") is first
    assert runs.pop("a") is None
    assert (len(runs), lost) == (0, [])


def test_a_run_without_a_sign_of_life_is_given_up():
    runs, lost, clock = followed(ttl=60)
    runs.start(run("quiet"))
    runs.start(run("busy"))
    clock.now += 59
    runs.get("busy")
    assert runs.reap() == 0
    clock.now += 1
    assert runs.reap() == 1
    assert lost == ["quiet"]
    assert runs.pop("quiet") is None


def test_a_run_lives_as_long_as_what_stands_below_it():
    runs, lost, clock = followed(ttl=60)
    runs.start(run("agent"))
    runs.start(run("step", "agent"))
    for number in range(5):
        clock.now += 50
        runs.start(run(f"tool{number}", "step"))
        runs.reap()
        clock.now += 5
        runs.pop(f"tool{number}")
    assert lost == []
    clock.now += 60
    runs.reap()
    assert sorted(lost) == ["agent", "step"]


def test_a_loop_of_parents_is_no_loop_here():
    runs, _, _ = followed()
    runs.start(run("a", "b"))
    runs.start(run("b", "a"))
    runs.start(run("c", "c"))
    assert len(runs) == 3


def test_runs_that_never_end_leave_memory_flat():
    runs, lost, _ = followed(limit=100)
    for number in range(5000):
        runs.start(run(str(number)))
        assert len(runs) <= 100
    assert lost == [str(number) for number in range(5000 - len(runs))]


def test_everything_under_way_is_given_up_at_the_end():
    runs, lost, _ = followed()
    runs.start(run("a"))
    runs.start(run("b"))
    assert runs.clear() == 2
    assert (lost, len(runs)) == (["a", "b"], 0)


def test_ends_in_several_threads_are_one():
    runs, _, _ = followed()
    for number in range(500):
        runs.start(run(str(number)))
    got: list[list[str]] = [[], [], [], []]

    def end(mine):
        mine.extend(str(number) for number in range(500) if runs.pop(str(number)) is not None)

    threads = [threading.Thread(target=end, args=(mine,)) for mine in got]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number for mine in got for number in mine) == sorted(map(str, range(500)))


def test_the_thread_that_looks_gives_up_by_itself():
    done = threading.Event()
    runs = RunMap(lambda _: done.set(), ttl=0.01)
    runs.start(run("a"))
    assert done.wait(10)


def test_maps_without_end_have_one_thread_and_leave_nothing():
    """Applications make a handler for every request."""
    given_up: list[str] = []
    references = []
    for number in range(200):
        runs = RunMap(lambda each: given_up.append(each.id), ttl=60)
        runs.start(run(str(number)))
        if number:
            runs.pop(str(number))
        references.append(weakref.ref(runs))
    del runs
    gc.collect()
    # What has runs under way is kept until they end or are given up.
    assert [reference() is not None for reference in references] == [True] + [False] * 199
    assert len([thread for thread in threading.enumerate() if thread.name == "aistrale-runs"]) == 1
    references[0]().clear()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_has_none_of_its_parents_runs():
    runs, lost, _ = followed()
    runs.start(run("a"))
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, f"{len(runs)} {lost}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b"0 []"
    assert len(runs) == 1


@pytest.mark.parametrize("bounds", [{"ttl": 0}, {"limit": 0}])
def test_bounds_are_positive(bounds):
    with pytest.raises(ValueError, match="ttl must be above 0"):
        RunMap(print, **bounds)
