"""Waiters and races, on every runtime that has them."""

from __future__ import annotations

import asyncio
import threading

import anyio
import pytest
import trio

from aistrale.core.http import AsyncHttp, SyncHttp
from aistrale.core.runtime import AsyncRuntime, SyncRuntime, run_sync

LOOPS = {"asyncio": lambda body: asyncio.run(body()), "trio": trio.run}


@pytest.fixture(params=LOOPS)
def drive(request):
    def run(body):
        async def whole():
            runtime = AsyncRuntime(AsyncHttp())
            try:
                return await body(runtime)
            finally:
                await runtime.http.close()

        return LOOPS[request.param](whole)

    return run


def test_a_thread_is_woken_by_another_thread():
    waiter = SyncRuntime(SyncHttp()).waiter()
    threading.Timer(0.01, waiter.wake).start()
    assert run_sync(waiter.wait(None)) is True


def test_a_wake_before_the_wait_is_not_lost():
    waiter = SyncRuntime(SyncHttp()).waiter()
    waiter.wake()
    waiter.wake()
    assert run_sync(waiter.wait(0.0)) is True
    assert run_sync(waiter.wait(0.0)) is False


def test_a_task_is_woken_by_a_thread_before_and_during_its_wait(drive):
    async def body(runtime):
        waiter = runtime.waiter()
        threading.Timer(0.01, waiter.wake).start()
        during = await waiter.wait(None)
        early = runtime.waiter()
        early.wake()
        return during, await early.wait(5.0), await early.wait(0.0)

    assert drive(body) == (True, True, False)


def test_a_waiter_of_a_loop_that_has_ended_can_be_woken(drive):
    async def body(runtime):
        return runtime.waiter()

    drive(body).wake()


def test_a_wait_can_be_cancelled_and_leaves_nothing(drive):
    async def body(runtime):
        waiter = runtime.waiter()
        with anyio.move_on_after(0.01) as scope:
            await waiter.wait(None)
        waiter.wake()
        return scope.cancelled_caught

    assert drive(body)


async def _answer(log, name, seconds, result):
    try:
        await anyio.sleep(seconds)
    except BaseException:
        log.append(f"{name} cancelled")
        raise
    if isinstance(result, Exception):
        raise result
    return result


def test_the_first_leg_wins_alone_when_it_is_quick(drive):
    started = []

    async def body(runtime):
        def start(number):
            started.append(number)
            return _answer([], number, 0.0, f"leg {number}")

        return await runtime.race(start, 5.0, pytest.fail)

    assert drive(body) == "leg 0"
    assert started == [0]


def test_a_second_leg_overtakes_and_the_first_is_cancelled(drive):
    log = []

    async def body(runtime):
        legs = [(30.0, "slow"), (0.0, "fast")]

        def start(number):
            return _answer(log, number, *legs[number]) if number < len(legs) else None

        return await runtime.race(start, 0.01, pytest.fail)

    assert drive(body) == "fast"
    assert log == ["0 cancelled"]


def test_an_error_never_beats_a_pending_success(drive):
    async def body(runtime):
        legs = [(0.03, ValueError("first")), (0.06, "second")]

        def start(number):
            return _answer([], number, *legs[number]) if number < len(legs) else None

        return await runtime.race(start, 0.01, pytest.fail)

    assert drive(body) == "second"


def test_a_leg_that_fails_before_anybody_else_started_ends_the_race(drive):
    async def body(runtime):
        started = []

        def start(number):
            started.append(number)
            return _answer([], number, 0.0, ValueError("first"))

        with pytest.raises(ValueError, match="first"):
            await runtime.race(start, 5.0, pytest.fail)
        return started

    assert drive(body) == [0]


def test_when_all_fail_the_first_legs_error_is_raised(drive):
    async def body(runtime):
        legs = [(0.05, ValueError("first")), (0.0, KeyError("second"))]

        def start(number):
            return _answer([], number, *legs[number]) if number < len(legs) else None

        with pytest.raises(ValueError, match="first"):
            await runtime.race(start, 0.01, pytest.fail)

    drive(body)


def test_cancelling_a_race_cancels_every_leg(drive):
    log = []

    async def body(runtime):
        with anyio.move_on_after(0.05) as scope:
            await runtime.race(lambda number: _answer(log, number, 30.0, "never"), 0.01, pytest.fail)
        return scope.cancelled_caught

    assert drive(body)
    assert len(log) >= 2


def test_a_result_that_comes_too_late_is_handed_over(drive):
    late = []

    async def body(runtime):
        async def stubborn(name):
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.03)
            return name

        def start(number):
            if number == 0:
                return stubborn("late")
            return _answer([], 1, 0.0, "in time") if number == 1 else None

        return await runtime.race(start, 0.01, late.append)

    assert drive(body) == "in time"
    assert late == ["late"]


def test_a_blocking_runtime_runs_the_first_leg_only():
    async def leg(number):
        return number

    assert run_sync(SyncRuntime(SyncHttp()).race(leg, 0.0, pytest.fail)) == 0
