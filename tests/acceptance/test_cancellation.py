"""A task is cancelled at every point where it waits: one row that says so, no connection and no task left over."""

from __future__ import annotations

import asyncio
import gc

import pytest
import trio

import aistrale
from aistrale.testing import Fault, Slow

MODEL = "openai/gpt-5-mini"
ROUTE = {"routes": {"chat": [MODEL, "anthropic/claude-haiku-4-5"]}}
# More waits than any of these calls has.
ENDLESS = 100


class Counted:
    """Awaits a coroutine and calls back at its k-th suspension, before it is handed to the event loop."""

    def __init__(self, coroutine, step, callback):
        self.coroutine = coroutine
        self.step = step
        self.callback = callback
        self.seen = 0

    def __await__(self):
        inner = self.coroutine.__await__()
        value = error = None
        while True:
            try:
                waited = inner.send(value) if error is None else inner.throw(error)
            except StopIteration as done:
                return done.value
            self.seen += 1
            if self.seen == self.step:
                self.callback()
            value = error = None
            try:
                value = yield waited
            except BaseException as raised:  # noqa: BLE001 - thrown into the coroutine
                error = raised


async def on_asyncio(work, step, client):
    """The outcome of the work when its task is cancelled at a step, and whether it had that many."""
    task = asyncio.current_task()
    counted = Counted(work, step, task.cancel)
    try:
        await counted
        outcome = "success"
    except asyncio.CancelledError:
        task.uncancel()
        outcome = "cancelled"
    assert asyncio.all_tasks() == {task}
    await client.close()
    return outcome, counted.seen >= step


async def on_trio(work, step, client):
    with trio.CancelScope() as scope:
        counted = Counted(work, step, scope.cancel)
        await counted
    await client.close()
    return "cancelled" if scope.cancelled_caught else "success", counted.seen >= step


async def plain(client, options):
    await client.run("one two three", **options)


async def streamed(client, options):
    async with client.stream("one two three", **options) as stream:
        async for _event in stream:
            pass


async def embedded(client, options):
    await client.embed("one", model="openai/text-embedding-3-small")


SCENARIOS = {
    "plain": (plain, (), {"model": MODEL}),
    "stream": (streamed, (Slow(between=0.002),), {"model": MODEL}),
    "embed": (embedded, (), {}),
    "retry": (plain, (Fault(status=500), Fault(status=500)), {"model": MODEL}),
    "failover": (streamed, (Fault(status=503),), {"route": "chat"}),
    "late headers": (plain, (Slow(headers=0.02),), {"model": MODEL}),
}


@pytest.mark.parametrize("colour", ["asyncio", "trio"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_wait_of_a_call_can_be_cancelled(sim, balance, no_leak, scenario, colour, aistrale_home):  # noqa: PLR0917
    work, steps, options = SCENARIOS[scenario]
    outcomes = []
    with no_leak():
        for step in range(1, ENDLESS):
            sim.reset()
            sim.script(*steps)
            settings = {
                **ROUTE,
                "retry": {"base": 0.001, "cap": 0.001},
                "ledger": f"sqlite:///{aistrale_home}/{step}.db",
            }
            client = aistrale.Client(**sim.settings(), **settings)
            ours = client.as_async()
            body = work(ours, options)
            if colour == "asyncio":
                outcome, reached = asyncio.run(on_asyncio(body, step, ours))
            else:
                outcome, reached = trio.run(on_trio, body, step, ours)
            (call,), (attempts,) = balance(client)
            assert call.outcome == outcome
            assert not attempts or attempts[-1].outcome in {outcome, "error"}
            client.close()
            client.ledger.close()
            outcomes.append(outcome)
            if not reached:
                break
        gc.collect()
    assert outcomes[0] == "cancelled"
    assert outcomes[-1] == "success"
    assert len(outcomes) < ENDLESS - 1


def test_a_cancelled_group_of_calls_leaves_one_row_each(sim, balance, no_leak):
    sim.outage("openai", Slow(headers=5.0))

    async def main(client):
        tasks = [asyncio.create_task(client.run(f"call {number}", model=MODEL)) for number in range(20)]
        while len(sim.requests) < 10:  # noqa: ASYNC110 - the server runs in a thread
            await asyncio.sleep(0.001)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        await client.close()

    with no_leak():
        client = aistrale.Client(**sim.settings())
        asyncio.run(main(client.as_async()))
        calls, attempts = balance(client, 20)
        client.close()
    assert {call.outcome for call in calls} == {"cancelled"}
    assert {each.outcome for own in attempts for each in own} == {"cancelled"}
    client.ledger.close()


def test_a_timeout_of_the_callers_own_is_a_cancellation(sim, balance):
    sim.outage("openai", Slow(headers=5.0))
    client = aistrale.Client(**sim.settings())

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.as_async().run("Hi", model=MODEL)
        await client.as_async().close()

    asyncio.run(main())
    (call,), _ = balance(client)
    assert call.outcome == "cancelled"
    client.close()
    client.ledger.close()
