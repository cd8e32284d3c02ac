from __future__ import annotations

import asyncio
import os
import random

import pytest
import trio

from aistrale.core.runtime import AsyncRuntime, SyncRuntime, on_asyncio, run_sync
from aistrale.errors import ConfigurationError

COLOURS = {
    "sync": (SyncRuntime, run_sync),
    "asyncio": (AsyncRuntime, asyncio.run),
    "trio": (AsyncRuntime, lambda coroutine: trio.run(lambda: coroutine)),
}


@pytest.fixture(params=COLOURS)
def colour(request):
    make, drive = COLOURS[request.param]
    return make(None, random.Random(1)), drive


def test_sleeping_takes_at_least_the_time(colour):
    runtime, drive = colour
    begin = runtime.now()
    drive(runtime.sleep(0.01))
    assert runtime.now() - begin >= 0.01


def test_sleeping_for_no_time_is_no_error(colour):
    runtime, drive = colour
    drive(runtime.sleep(0))


def test_plain_functions_run_in_every_colour(colour):
    runtime, drive = colour
    assert drive(runtime.invoke(lambda a, b: a + b, 1, b=2)) == 3


def test_errors_of_functions_come_through(colour):
    runtime, drive = colour

    def bad():
        raise KeyError("x")

    with pytest.raises(KeyError):
        drive(runtime.invoke(bad))


async def twice(number):
    return number * 2


def test_async_functions_run_where_they_can(colour):
    runtime, drive = colour
    if isinstance(runtime, SyncRuntime):
        with pytest.raises(ConfigurationError, match="twice"):
            drive(runtime.invoke(twice, 2))
    else:
        assert drive(runtime.invoke(twice, 2)) == 4


def test_which_loop_runs_is_known():
    assert not on_asyncio()

    async def inside():
        return on_asyncio()

    assert asyncio.run(inside()) is True
    assert trio.run(inside) is False


def test_a_result_comes_back_without_a_loop():
    assert run_sync(twice(4)) == 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_child_draws_its_own_jitter():
    runtime = SyncRuntime(None)
    state = runtime.random.getstate()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, b"same" if runtime.random.getstate() == state else b"other")
        os._exit(0)
    os.close(writer)
    assert os.read(reader, 10) == b"other"
    os.close(reader)
    os.waitpid(child, 0)
    assert runtime.random.getstate() == state
