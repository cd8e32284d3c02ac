"""Virtual time: what happens when, in which order, and what a cancellation does."""

from __future__ import annotations

import random

import pytest

from aistrale.errors import Suspended
from aistrale.simulation.kernel import Cancelled, Kernel, suspend


async def steps(kernel, log, name, *waits):
    for wait in waits:
        await suspend(kernel.now + wait)
        log.append((name, kernel.now))


def test_time_jumps_from_event_to_event():
    kernel, log = Kernel(), []
    kernel.spawn(steps(kernel, log, "a", 3600.0, 86400.0))
    kernel.run()
    assert log == [("a", 3600.0), ("a", 90000.0)]
    assert kernel.now == 90000.0


def test_what_is_due_at_once_happens_in_the_order_in_which_it_was_asked_for():
    kernel, log = Kernel(), []
    for name in "cab":
        kernel.spawn(steps(kernel, log, name, 1.0, 1.0))
    kernel.at(1.0, lambda first, second: log.append((first, second)), "early", None)
    kernel.run()
    assert [name for name, _ in log] == ["early", "c", "a", "b", "c", "a", "b"]


def test_a_run_stops_at_an_instant_and_goes_on():
    kernel, log = Kernel(start=10.0), []
    kernel.spawn(steps(kernel, log, "a", 1.0, 1.0, 1.0))
    kernel.run(12.5)
    assert (log, kernel.now) == ([("a", 11.0), ("a", 12.0)], 12.5)
    kernel.run()
    assert log[-1] == ("a", 13.0)


def test_the_past_is_now():
    kernel, log = Kernel(start=5.0), []
    kernel.at(1.0, lambda first, second: log.append(kernel.now), None, None)
    kernel.run()
    assert log == [5.0]


def test_thousands_of_tasks_are_the_same_in_every_run():
    def play():
        kernel, log, rng = Kernel(), [], random.Random(3)
        for name in range(3000):
            kernel.spawn(steps(kernel, log, name, *(rng.choice((0.0, 0.5, 1.0)) for _ in range(5))))
        kernel.run()
        return log

    first = play()
    assert len(first) == 15000
    assert first == play()
    assert [instant for _, instant in first] == sorted(instant for _, instant in first)


def test_a_woken_task_goes_on_before_its_time_and_once():
    kernel, log = Kernel(), []

    async def sleeper():
        log.append((await suspend(100.0), kernel.now))
        log.append((await suspend(200.0), kernel.now))

    task = kernel.spawn(sleeper())
    kernel.at(1.0, kernel.wake, task, 1)
    kernel.at(2.0, kernel.wake, task, 1)
    kernel.run()
    assert log == [(True, 1.0), (False, 200.0)]


def test_cancelling_throws_at_the_await_and_lets_clean_up():
    kernel, log = Kernel(), []

    async def body():
        try:
            await suspend(100.0)
        except Cancelled:
            log.append(("cancelled", kernel.now))
            await suspend(kernel.now + 1.0)
            log.append(("cleaned", kernel.now))
            raise

    task = kernel.spawn(body())
    kernel.at(5.0, lambda *_: task.cancel(), None, None)
    kernel.run()
    assert log == [("cancelled", 5.0), ("cleaned", 6.0)]
    assert task.done
    assert isinstance(task.error, Cancelled)


def test_a_cancellation_is_no_exception():
    assert not issubclass(Cancelled, Exception)


def test_a_task_that_has_not_begun_is_cancelled_at_its_first_await():
    kernel, log = Kernel(), []

    async def body():
        log.append("begun")
        await suspend(1.0)
        log.append("never")

    task = kernel.spawn(body())
    task.cancel()
    kernel.run()
    assert log == ["begun"]
    assert isinstance(task.error, Cancelled)


def test_a_task_can_cancel_itself_and_swallow_it():
    kernel, log = Kernel(), []

    async def body():
        tasks[0].cancel()
        log.append("still here")
        try:
            await suspend(1.0)
        except Cancelled:
            log.append("cancelled")
        await suspend(2.0)
        return "done"

    tasks = [kernel.spawn(body())]
    kernel.run()
    assert log == ["still here", "cancelled"]
    assert (tasks[0].result, tasks[0].error, kernel.now) == ("done", None, 2.0)


def test_cancelling_what_has_ended_does_nothing():
    kernel = Kernel()
    task = kernel.spawn(steps(kernel, [], "a"))
    kernel.run()
    task.cancel()
    kernel.run()
    assert (task.done, task.error) == (True, None)


def test_an_error_of_a_task_ends_the_run():
    kernel = Kernel()

    async def broken():
        await suspend(1.0)
        raise KeyError("x")

    task = kernel.spawn(broken())
    with pytest.raises(KeyError):
        kernel.run()
    assert isinstance(task.error, KeyError)
    kernel.run()


def test_closing_ends_what_is_left_without_letting_time_pass():
    kernel, log = Kernel(), []

    async def body(name, stubborn):
        while True:
            try:
                await suspend(None)
            except Cancelled:
                log.append(name)
                if not stubborn:
                    raise

    kernel.spawn(body("meek", stubborn=False))
    kernel.spawn(body("stubborn", stubborn=True))
    kernel.run()
    kernel.close()
    assert kernel.now == 0.0
    assert log.count("meek") == 1
    assert log.count("stubborn") > 1
    kernel.close()


def test_what_knows_no_virtual_time_is_refused_by_name():
    class Foreign:
        def __await__(self):
            yield self

    async def body():
        await Foreign()

    kernel = Kernel()
    kernel.spawn(body())
    with pytest.raises(Suspended, match="Foreign"):
        kernel.run()
