from __future__ import annotations

import pytest

from aistrale.core.pipeline import Pipeline
from aistrale.core.runtime import run_sync
from aistrale.errors import Suspended
from aistrale.policies import ORDER, build


class Named:
    def __init__(self, name, log):
        self.name = name
        self.log = log

    def describe(self):
        return f"is {self.name}"

    async def __call__(self, call, call_next, /):
        self.log.append(f"{self.name} in")
        try:
            return await call_next(call)
        finally:
            self.log.append(f"{self.name} out")


async def leaf(call):
    return call


def test_policies_run_outer_to_inner():
    log = []
    pipeline = Pipeline([("one", Named("a", log)), ("two", None), ("three", Named("b", log))], leaf)
    assert run_sync(pipeline("call")) == "call"
    assert log == ["a in", "b in", "b out", "a out"]
    assert [policy.name for policy in pipeline.policies] == ["a", "b"]


def test_describe_shows_every_place_in_order():
    pipeline = build({"retry": Named("r", [])}, leaf)
    lines = pipeline.describe().splitlines()
    assert [line.split()[0] for line in lines] == [*ORDER, "send"]
    assert "Named: is r" in lines[ORDER.index("retry")]
    assert lines[ORDER.index("cache")].endswith("-")


def test_a_place_that_does_not_exist_is_an_error():
    with pytest.raises(KeyError, match="no such place"):
        build({"retries": Named("r", [])}, leaf)


class Sleepy:
    async def __call__(self, call, call_next, /):
        await self.nap()
        return await call_next(call)

    async def nap(self):
        import asyncio

        await asyncio.sleep(0)


def test_real_async_io_in_a_synchronous_client_fails_loudly_and_names_the_chain():
    pipeline = Pipeline([("one", Sleepy())], leaf)
    with pytest.raises(Suspended) as caught:
        run_sync(pipeline("call"))
    text = str(caught.value)
    assert "Sleepy.__call__" in text
    assert "Sleepy.nap" in text
    assert "test_pipeline.py:" in text


def test_a_suspended_coroutine_is_closed():
    closed = []

    async def policy(call, call_next):
        try:
            await Sleepy().nap()
        finally:
            closed.append(True)

    with pytest.raises(Suspended):
        run_sync(Pipeline([("one", policy)], leaf)("call"))
    assert closed == [True]
