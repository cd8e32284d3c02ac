from __future__ import annotations

import contextlib
import signal
import threading

import pytest

from aistrale.core.exclusive import Exclusive


def test_what_a_finalizer_posts_in_the_middle_of_work_is_done_after_it():
    exclusive = Exclusive()
    done = []

    def work():
        exclusive.post(lambda: done.append("posted"))
        done.append("work")
        return 7

    assert exclusive.run(work) == 7
    assert done == ["work", "posted"]


def test_what_was_posted_is_done_before_later_work():
    exclusive = Exclusive()
    done = []
    exclusive.post(lambda: exclusive.post(lambda: done.append("inner")))
    exclusive.run(lambda: done.append("later"))
    assert done == ["inner", "later"]


def test_work_that_fails_lets_go():
    exclusive = Exclusive()
    with pytest.raises(ZeroDivisionError):
        exclusive.run(lambda: 1 / 0)
    assert exclusive.run(lambda: "goes on") == "goes on"


class Interrupted(BaseException):
    pass


def interrupt(*_):
    raise Interrupted


def post_for_ever(exclusive):
    while True:
        exclusive.post(int)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="interrupts by the clock")
def test_an_interrupt_at_any_moment_leaves_nothing_locked():
    exclusive = Exclusive()
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for number in range(1500):
            with contextlib.suppress(Interrupted):
                signal.setitimer(signal.ITIMER_REAL, 50e-6 + number % 89 * 1e-6)
                post_for_ever(exclusive)
            assert not exclusive._lock.locked()
    finally:
        signal.signal(signal.SIGALRM, before)


def test_what_another_thread_posts_meanwhile_is_not_lost():
    exclusive = Exclusive()
    inside, posted = threading.Event(), threading.Event()
    done = []

    def work():
        inside.set()
        assert posted.wait(5)

    def poster():
        assert inside.wait(5)
        exclusive.post(lambda: done.append(threading.current_thread().name))
        posted.set()

    holder = threading.Thread(target=exclusive.run, args=(work,), name="holder")
    other = threading.Thread(target=poster, name="poster")
    holder.start()
    other.start()
    other.join()
    holder.join()
    assert done == ["holder"]


def test_what_is_posted_just_before_the_lock_is_let_go_is_not_lost():
    exclusive = Exclusive()
    done = []
    held = exclusive._lock

    class Late:
        """As if another thread had posted, and had not got the lock, at the last moment."""

        def __init__(self):
            self.late = [lambda: done.append("late")]

        def acquire(self, blocking=True):
            return held.acquire(blocking)

        def release(self):
            if self.late:
                exclusive._inbox.append(self.late.pop())
            held.release()

    exclusive._lock = Late()
    exclusive.post(lambda: done.append("posted"))
    assert done == ["posted", "late"]


def test_nothing_is_lost_and_nothing_done_twice_among_threads():
    exclusive = Exclusive()
    count = 0

    def add():
        nonlocal count
        count += 1

    def many():
        for _ in range(2000):
            exclusive.post(add)
            exclusive.run(add)

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count == 16_000
