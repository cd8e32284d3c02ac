from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import aistrale
from aistrale.core.call import NOBODY
from aistrale.errors import ConfigurationError
from aistrale.scope import SCOPE, Running, Scope, current, extended, note


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    assert current() is NOBODY
    yield
    assert current() is NOBODY


# --- with ------------------------------------------------------------------------------------------------------------


def test_what_is_not_given_is_inherited_and_tags_are_merged():
    with aistrale.context(user="ada", tags={"a": "1"}, deadline=9.0) as outer:
        assert outer is current()
        with aistrale.context(project="p", tags={"b": "2"}, deadline=None):
            assert current() == aistrale.Context(user="ada", project="p", tags={"a": "1", "b": "2"})
        assert current() is outer


def test_an_error_passes_and_the_context_is_left():
    error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt) as caught, aistrale.context(user="ada"):
        raise error
    assert caught.value is error


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"usr": "ada"}, "usr"),
        ({"user": 5}, "user"),
        ({"tags": ["a"]}, "tags"),
        ({"tags": {"a": 1}}, "tags"),
        ({"priority": "urgent"}, "priority"),
        ({"deadline": "soon"}, "deadline"),
        ({"capture": "yes"}, "capture"),
    ],
)
def test_what_is_wrong_is_refused_at_once(values, field):
    with pytest.raises(ConfigurationError) as caught:
        aistrale.context(**values)
    assert caught.value.field == field
    with pytest.raises(ConfigurationError):
        extended(NOBODY, values)


@pytest.mark.parametrize("amount", [0.05, 1, Decimal("0.05")])
def test_money_that_is_no_text_is_refused_with_an_example(amount):
    with pytest.raises(ConfigurationError, match=r"amount of US dollars such as '0\.05'"):
        aistrale.context(budget=amount)


def test_a_context_is_for_one_with():
    block = aistrale.context(user="ada")
    with block, pytest.raises(ConfigurationError, match="entered before"):
        block.__enter__()
    with pytest.raises(ConfigurationError, match="entered before"):
        block.__enter__()


def test_what_was_given_may_be_changed_afterwards():
    tags = {"a": "1"}
    block = aistrale.context(tags=tags)
    tags["a"] = "2"
    with block:
        assert current().tags == {"a": "1"}


def test_it_holds_in_async_code_and_its_tasks_and_in_nobody_elses():
    async def asked():
        await asyncio.sleep(0)
        return current().user

    async def named(name):
        with aistrale.context(user=name):
            await asyncio.sleep(0)
            inner = asyncio.ensure_future(asked())
            await asyncio.sleep(0)
            return current().user, await inner, await asyncio.to_thread(lambda: current().user)

    async def whole():
        found = await asyncio.gather(*(named(str(number)) for number in range(5)), asked())
        return found, current()

    found, after = asyncio.run(whole())
    assert found == [(str(number),) * 3 for number in range(5)] + [None]
    assert after is NOBODY


def test_a_thread_of_a_pool_has_the_context_that_is_copied_into_it():
    with ThreadPoolExecutor(2) as pool, aistrale.context(user="ada"):
        assert pool.submit(current).result() is NOBODY
        assert pool.submit(contextvars.copy_context().run, current).result().user == "ada"
        holds = contextvars.copy_context()
        # A copy for each: two threads cannot be in the same one at once.
        assert [*pool.map(lambda _: holds.copy().run(lambda: current().user), range(8))] == ["ada"] * 8


def test_a_plain_generator_that_is_closed_in_another_thread_raises_nothing():
    def generator():
        with aistrale.context(user="ada"):
            yield current().user

    def read(into):
        into.append(next(into[0]))
        into.append(current().user)

    found = [generator()]
    thread = threading.Thread(target=contextvars.Context().run, args=(read, found))
    thread.start()
    thread.join()
    with aistrale.context(user="here"):
        found[0].close()
        assert current().user == "here"
    # Without the decorator the context is also the reader's, as that of any `with` in a generator is.
    assert found[1:] == ["ada", "ada"]


@given(st.permutations(range(4)))
def test_plain_generators_that_are_closed_in_any_order_leave_nothing_behind(order):
    def generator(name):
        with aistrale.context(user=name):
            yield

    running = [generator(str(number)) for number in range(4)]
    for each in running:
        next(each)
    for number in order:
        running[number].close()
    assert current() is NOBODY


def test_tasks_that_start_their_successors_leave_no_chain_behind():
    """Every step is begun inside the one before: what they hold must not add up."""
    state = contextvars.copy_context()

    def step():
        nonlocal state
        with aistrale.context(user="ada"):
            state = contextvars.copy_context()

    for _ in range(50):
        state.run(step)
    length, each = 0, state.run(SCOPE.get)
    while each is not None:
        length, each = length + 1, each.outer
    assert length <= 3


# --- functions that run ------------------------------------------------------------------------------------------------


def test_calls_belong_to_all_functions_around_them_that_still_run():
    outer = Running(None)
    inner = Running(outer)
    with aistrale.context(user="ada"):
        both = contextvars.copy_context()
        both.run(lambda: SCOPE.set(Scope(current(), inner, SCOPE.get())))
        both.run(note, "1")
        inner.finish()
        both.run(note, "2")
        outer.finish()
        both.run(note, "3")
    assert (inner.calls, outer.calls) == (["1"], ["1", "2"])


def test_only_so_many_calls_are_remembered():
    running = Running(None)
    where = contextvars.copy_context()
    where.run(SCOPE.set, Scope(NOBODY, running))
    for number in range(2000):
        where.run(note, str(number))
    assert running.calls == [str(number) for number in range(1000)]


def test_the_time_of_a_function_runs_out_for_what_is_called_inside():
    running = Running(None)
    running.until = time.monotonic() + 50
    where = contextvars.copy_context()
    where.run(SCOPE.set, Scope(NOBODY, running))
    first = where.run(current).deadline
    assert 0 < first <= 50
    while where.run(current).deadline == first:
        pass  # as fast as the clock ticks
    assert where.run(current).deadline < first
    running.finish()
    assert where.run(current) is NOBODY


def test_the_stricter_of_all_limits_holds():
    now = time.monotonic()
    outer = Running(None)
    outer.until = now + 10
    inner = Running(outer)
    inner.until = now + 500
    where = contextvars.copy_context()
    where.run(SCOPE.set, Scope(aistrale.Context(deadline=100.0), inner))
    assert where.run(current).deadline <= 10
    outer.finish()
    assert where.run(current).deadline == 100.0
    inner.until = now - 1
    assert where.run(current).deadline < 0


# --- as a decorator ----------------------------------------------------------------------------------------------------


def test_as_a_decorator_it_holds_while_a_function_runs():
    @aistrale.context(user="ada")
    def function(number, /, *, more=1):
        """About it."""
        return current().user, number + more

    with aistrale.context(project="p"):
        assert function(1, more=2) == ("ada", 3)
        assert current().user is None
    assert function(2) == ("ada", 3)
    assert (function.__name__, function.__doc__) == ("function", "About it.")
    assert str(inspect.signature(function)) == "(number, /, *, more=1)"


def test_as_a_decorator_it_holds_while_a_coroutine_runs():
    @aistrale.context(user="ada")
    async def function():
        await asyncio.sleep(0)
        return current().user

    async def whole():
        found = await asyncio.gather(function(), function())
        return found, current().user

    assert inspect.iscoroutinefunction(function)
    assert asyncio.run(whole()) == (["ada", "ada"], None)


def test_as_a_decorator_it_is_never_held_across_a_yield():
    @aistrale.context(user="ada")
    def generator():
        for _ in range(3):
            yield current().user

    for found in generator():
        assert (found, current().user) == ("ada", None)


def test_as_a_decorator_of_an_async_generator():
    @aistrale.context(user="ada")
    async def generator():
        for _ in range(3):
            await asyncio.sleep(0)
            yield current().user

    async def whole():
        return [(found, current().user) async for found in generator()]

    assert asyncio.run(whole()) == [("ada", None)] * 3


def test_as_a_decorator_of_methods_in_either_order():
    class Bot:
        @aistrale.context(user="ada")
        @classmethod
        def above(cls):
            return cls, current().user

        @classmethod
        @aistrale.context(user="ada")
        def below(cls):
            return cls, current().user

        @staticmethod
        @aistrale.context(user="ada")
        def static():
            return current().user

    assert Bot.above() == Bot().below() == (Bot, "ada")
    assert Bot.static() == Bot().static() == "ada"


@pytest.mark.parametrize("wrong", [property(lambda _: 1), int, 5, None])
def test_as_a_decorator_it_refuses_what_is_no_function(wrong):
    with pytest.raises(ConfigurationError, match=r"aistrale\.context is (not )?for"):
        aistrale.context(user="ada")(wrong)


def test_a_context_that_is_garbage_is_gone():
    def generator():
        with aistrale.context(user="ada"):
            yield

    running = generator()
    next(running)
    del running
    gc.collect()
    assert current() is NOBODY
