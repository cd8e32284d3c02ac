"""The simulated runtime keeps the promises of the Runtime protocol, in virtual time."""

from __future__ import annotations

import pytest

from aistrale.core.runtime import Runtime
from aistrale.errors import ConfigurationError
from aistrale.simulation import Cancelled, SimRuntime
from aistrale.simulation.runtime import EPOCH


def play(body, seed=0):
    """Run `body(runtime)`; its result and the virtual time that it took."""
    runtime = SimRuntime(seed)
    return runtime.run(body(runtime)), runtime.now()


def test_it_has_every_verb_of_the_protocol():
    runtime = SimRuntime()
    verbs = [name for name in vars(Runtime) if not name.startswith("_")]
    assert {"now", "wall", "sleep", "open", "invoke", "waiter", "race"} <= set(verbs)
    assert [name for name in verbs if not callable(getattr(runtime, name))] == []
    assert runtime.blocking is False


def test_sleeping_takes_virtual_time():
    async def body(runtime):
        await runtime.sleep(0.0)
        await runtime.sleep(-1.0)
        await runtime.sleep(3600)
        return runtime.wall()

    assert play(body) == (EPOCH + 3600.0, 3600.0)


def test_randomness_is_seeded():
    assert SimRuntime(7).random.random() == SimRuntime(7).random.random() != SimRuntime(8).random.random()


def test_functions_are_called_and_coroutines_awaited():
    async def body(runtime):
        async def slow(number):
            await runtime.sleep(2.0)
            return number

        return await runtime.invoke(max, 1, 2), await runtime.invoke(slow, number=3)

    assert play(body) == ((2, 3), 2.0)


def test_there_is_no_wire():
    async def body(runtime):
        await runtime.open(None, connect_until=None, until=None)

    with pytest.raises(ConfigurationError, match="no wire"):
        play(body)


def test_errors_come_through():
    async def body(_runtime):
        raise LookupError("x")

    with pytest.raises(LookupError):
        play(body)


def test_waiting_for_nobody_is_an_error():
    async def body(runtime):
        await runtime.waiter().wait(None)

    with pytest.raises(RuntimeError, match="nobody"):
        play(body)


def test_a_wait_ends_when_it_is_woken():
    async def body(runtime):
        waiter = runtime.waiter()

        async def other():
            await runtime.sleep(1.5)
            waiter.wake()

        runtime.spawn(other())
        return await waiter.wait(10.0), runtime.now(), await waiter.wait(10.0)

    assert play(body) == ((True, 1.5, False), 11.5)


def test_a_wake_before_the_wait_is_not_lost_and_counts_once():
    async def body(runtime):
        waiter = runtime.waiter()
        waiter.wake()
        waiter.wake()
        return await waiter.wait(5.0), await waiter.wait(0.0)

    assert play(body) == ((True, False), 0.0)


def test_a_wake_at_the_very_end_of_the_wait_counts():
    async def body(runtime):
        waiter = runtime.waiter()
        runtime.kernel.at(5.0, lambda *_: waiter.wake(), None, None)
        return await waiter.wait(5.0)

    assert play(body) == (True, 5.0)


def test_a_late_wake_touches_nobody():
    async def body(runtime):
        waiter = runtime.waiter()
        first = await waiter.wait(1.0)
        runtime.kernel.at(2.0, lambda *_: waiter.wake(), None, None)
        await runtime.sleep(5.0)
        return first, runtime.now()

    assert play(body) == ((False, 6.0), 6.0)


def test_waiting_outside_of_a_task_is_an_error():
    waiter = SimRuntime().waiter()
    waiter_wait = waiter.wait(1.0)
    with pytest.raises(RuntimeError, match="outside"):
        waiter_wait.send(None)


# --- races ------------------------------------------------------------------------------------------------------------


def race(*legs, delay=1.0):
    """Run a race of (seconds, result) legs; the winner or error, when each began and how each ended, the surplus."""
    log, surplus = [], []

    async def run(runtime, number):
        seconds, result = legs[number]
        log.append(("start", number, runtime.now()))
        try:
            await runtime.sleep(seconds)
        except Cancelled:
            log.append(("cancelled", number, runtime.now()))
            raise
        if isinstance(result, Exception):
            raise result
        return result

    async def body(runtime):
        def start(number):
            return run(runtime, number) if number < len(legs) else None

        return await runtime.race(start, delay, surplus.append)

    runtime = SimRuntime()
    try:
        outcome = runtime.run(body(runtime))
    except Exception as error:  # noqa: BLE001 - the error is what is looked at
        outcome = error
    return outcome, log, surplus


def test_a_quick_first_leg_runs_alone():
    assert race((0.5, "a"), (0.1, "b")) == ("a", [("start", 0, 0.0)], [])


def test_the_first_to_return_wins_and_the_others_are_cancelled():
    outcome, log, surplus = race((10.0, "a"), (0.5, "b"), (0.1, "c"))
    assert outcome == "b"
    assert log == [("start", 0, 0.0), ("start", 1, 1.0), ("cancelled", 0, 1.5)]
    assert surplus == []


def test_a_failure_decides_nothing_while_another_leg_runs():
    outcome, log, _ = race((1.2, ValueError("a")), (3.0, "b"))
    assert outcome == "b"
    assert log == [("start", 0, 0.0), ("start", 1, 1.0)]


def test_when_all_have_failed_the_first_error_is_raised_and_nobody_else_starts():
    outcome, log, _ = race((1.5, ValueError("a")), (0.1, KeyError("b")), (0.1, "c"))
    assert isinstance(outcome, ValueError)
    assert log == [("start", 0, 0.0), ("start", 1, 1.0)]


def test_a_leg_that_fails_before_the_delay_ends_the_race():
    outcome, log, _ = race((0.2, ValueError("a")), (0.1, "b"))
    assert isinstance(outcome, ValueError)
    assert log == [("start", 0, 0.0)]


def test_of_two_that_are_ready_at_once_the_first_wins():
    outcome, log, surplus = race((2.0, "a"), (1.0, "b"))
    assert (outcome, surplus) == ("a", [])
    assert log[-1] == ("cancelled", 1, 2.0)


def test_a_leg_that_returns_although_it_was_cancelled_is_surplus():
    async def stubborn(runtime):
        try:
            await runtime.sleep(10.0)
        except Cancelled:
            return "late"

    async def quick(runtime):
        await runtime.sleep(0.5)
        return "quick"

    async def body(runtime):
        legs = [stubborn, quick]
        surplus = []
        won = await runtime.race(lambda number: legs[number](runtime), 1.0, surplus.append)
        return won, surplus

    assert play(body) == (("quick", ["late"]), 1.5)


def test_a_cancelled_race_cancels_its_legs_and_waits_for_them():
    runtime, log = SimRuntime(), []

    async def leg():
        try:
            await runtime.sleep(100.0)
        finally:
            await runtime.sleep(1.0)
            log.append(("leg over", runtime.now()))

    async def body():
        try:
            await runtime.race(lambda _: leg(), 1.0, log.append)
        finally:
            log.append(("race over", runtime.now()))

    task = runtime.spawn(body())
    runtime.kernel.at(1.5, lambda *_: task.cancel(), None, None)
    runtime.kernel.run()
    assert log == [("leg over", 2.5), ("leg over", 2.5), ("race over", 2.5)]
    assert isinstance(task.error, Cancelled)


def test_a_leg_that_is_cancelled_before_it_began_leaves_no_warning():
    runtime = SimRuntime()

    async def leg():
        await runtime.sleep(1.0)

    async def body():
        await runtime.race(lambda _: leg(), 5.0, print)

    task = runtime.spawn(body())
    runtime.kernel.at(0.0, lambda *_: task.cancel(), None, None)
    runtime.kernel.run()
    assert isinstance(task.error, Cancelled)
