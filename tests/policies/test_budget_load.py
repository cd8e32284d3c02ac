"""Budgets against a simulated provider that counts for itself: many callers at once, and everything that goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
from decimal import Decimal

import pytest
import trio

from aistrale.client import AsyncClient, Client
from aistrale.cost.prices import price_usage
from aistrale.errors import AistraleError, BudgetExceeded, StreamInterrupted
from aistrale.scope import context
from aistrale.testing import Broken, Fault, Good, Say, Slow, simulator
from aistrale.types import Usage

CAP = Decimal(1)
MODEL = "openai/gpt-5.6"
PROMPT = "word " * 300
"""About 375 tokens, which the simulated model repeats in its answer of at most 400."""


def settings(sim, limit=CAP, **more):
    return {
        **sim.settings(),
        "ledger": "off",
        "limits": False,
        "breaker": False,
        "budgets": [{"limit": str(limit), "period": "day"}],
        "timeout": 120,
        **more,
    }


def billed(sim):
    """What the provider would bill for everything that it was asked, by its own count."""
    answers = [received for received in sim.requests if received.answer is not None]
    prices = [price_usage(each.provider, each.request.model, each.answer.usage).usd for each in answers]
    return sum(prices, Decimal(0))


def check(sim, client, least="0.9"):
    (status,) = client.budgets()
    assert (status.reserved, status.in_flight, status.waiting) == (0, 0, 0)
    assert billed(sim) <= CAP
    assert billed(sim) >= CAP * Decimal(least)
    assert status.spent <= CAP


def until_refused(ask):
    """Ask until there is no money; other errors are part of the game."""
    number = 0
    while True:
        try:
            ask(number)
        except BudgetExceeded:
            return
        except AistraleError:
            pass
        number += 1


async def until_refused_async(ask):
    number = 0
    while True:
        try:
            await ask(number)
        except BudgetExceeded:
            return
        except AistraleError:
            pass
        number += 1


def in_threads(work, count=50):
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("limited", [{"max_tokens": 400}, {}])
@pytest.mark.parametrize("streamed", [False, True])
def test_fifty_threads_spend_the_cap_and_not_a_cent_more(streamed, limited):
    with simulator() as sim, Client(**settings(sim)) as client:

        def ask(who, number):
            if streamed:
                with client.stream(f"{who} {number} {PROMPT}", model=MODEL, **limited) as stream:
                    for _ in stream:
                        pass
            else:
                client.run(f"{who} {number} {PROMPT}", model=MODEL, **limited)

        in_threads(lambda who: until_refused(lambda number: ask(who, number)))
        check(sim, client)


async def a_thousand(sim, gather, *, streamed, count=1000):
    client = AsyncClient(**settings(sim))

    async def ask(who, number):
        if streamed:
            async with client.stream(f"{who} {number} {PROMPT}", model=MODEL, max_tokens=400) as stream:
                async for _ in stream:
                    pass
        else:
            await client.run(f"{who} {number} {PROMPT}", model=MODEL, max_tokens=400)

    async def work(who):
        await until_refused_async(lambda number: ask(who, number))

    await gather([lambda who=who: work(who) for who in range(count)])
    check(sim, client)
    await client.close()


async def gather_asyncio(works):
    await asyncio.gather(*(work() for work in works))


async def gather_trio(works):
    async with trio.open_nursery() as nursery:
        for work in works:
            nursery.start_soon(work)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_thousand_tasks_spend_the_cap_and_not_a_cent_more(streamed):
    with simulator() as sim:
        asyncio.run(a_thousand(sim, gather_asyncio, streamed=streamed))


def test_trio_too():
    with simulator() as sim:
        trio.run(lambda: a_thousand(sim, gather_trio, streamed=False, count=200))


def test_an_upstream_that_fails_costs_what_it_bills_and_the_rest_is_usable():
    with simulator() as sim, Client(**settings(sim, retry={"attempts": 3, "base": 0.001, "cap": 0.001})) as client:
        sim.outage("openai", Fault(status=500), every=3)
        sim.outage("openai", Broken(wreck="close_early"), every=7)
        in_threads(
            lambda who: until_refused(
                lambda number: client.run(f"{who} {number} {PROMPT}", model=MODEL, max_tokens=400)
            ),
            20,
        )
        check(sim, client)


def test_calls_that_are_cancelled_count_what_they_may_cost():
    async def whole(sim):
        client = AsyncClient(**settings(sim))
        sim.latency = 0.02

        async def work(who):
            async def ask(number):
                call = asyncio.create_task(client.run(f"{who} {number} {PROMPT}", model=MODEL, max_tokens=400))
                if number % 2:
                    await asyncio.sleep(0.01)
                    call.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await call

            await until_refused_async(ask)

        await asyncio.gather(*(work(who) for who in range(30)))
        (status,) = client.budgets()
        assert (status.reserved, status.in_flight) == (0, 0)
        assert billed(sim) <= status.spent <= CAP
        assert billed(sim) >= CAP * Decimal("0.6")
        await client.close()

    with simulator() as sim:
        asyncio.run(whole(sim))


def test_streams_that_are_dropped_count_what_they_may_cost():
    with simulator() as sim, Client(**settings(sim)) as client:

        def ask(who, number):
            stream = client.stream(f"{who} {number} {PROMPT}", model=MODEL, max_tokens=400)
            iterator = iter(stream)
            next(iterator)
            del stream, iterator

        in_threads(lambda who: until_refused(lambda number: ask(who, number)), 10)
        gc.collect()
        (status,) = client.budgets()
        assert (status.reserved, status.in_flight) == (0, 0)
        assert billed(sim) <= status.spent <= CAP


def test_a_stream_is_cut_within_one_event_of_the_limit():
    with simulator(between=0.002) as sim, Client(**settings(sim, "0.004")) as client:
        sim.script(Say(text="four " * 4000))
        with pytest.raises(StreamInterrupted) as caught, client.stream("Go", model=MODEL) as stream:
            for _ in stream:
                pass
        error = caught.value
        assert isinstance(error.__cause__, BudgetExceeded)
        delivered = -(-len(error.partial_text) // 4)
        usage = sim.last.answer.usage
        prompt = price_usage("openai", "gpt-5.6", type(usage)(input=usage.input)).usd
        word = price_usage("openai", "gpt-5.6", type(usage)(output=2)).usd
        cost = prompt + price_usage("openai", "gpt-5.6", type(usage)(output=delivered)).usd
        assert cost <= Decimal("0.004")
        # The prompt's upper end is set aside, a few tokens more than it has.
        assert cost + word + Decimal("0.0002") > Decimal("0.004")
        assert len(sim.requests) == 1, "nobody asks again"


def test_a_stream_that_is_written_faster_than_it_is_read_costs_no_more_than_the_limit():
    # It would be an answer as long as the prompt, and there is money for a part of it.
    cap = price_usage("openai", "gpt-5.6", Usage(input=6_000, output=3_000)).usd
    with simulator() as sim, Client(**settings(sim, cap)) as client:
        with pytest.raises(StreamInterrupted) as caught, client.stream("word " * 3_200, model=MODEL) as stream:
            for _ in stream:
                pass
        assert isinstance(caught.value.__cause__, BudgetExceeded)
        assert cap * Decimal("0.8") < billed(sim) <= cap
        assert billed(sim) <= client.budgets()[0].spent <= cap


def test_whoever_waits_is_served_when_money_comes_back():
    with simulator(latency=0.05) as sim, Client(**settings(sim, "0.02")) as client:
        results = []
        in_threads(lambda who: results.append(client.run(f"{who} hi", model=MODEL, max_tokens=500)), 6)
        assert len(results) == 6


def test_an_amount_in_the_context_holds_without_any_budgets():
    with simulator() as sim, Client(**{**settings(sim), "budgets": []}) as client:
        with context(budget="0.0001"), pytest.raises(BudgetExceeded) as caught:
            client.run(PROMPT, model=MODEL, max_tokens=400)
        assert caught.value.limit == Decimal("0.0001")
        assert sim.requests == []
        client.run("hi", model=MODEL, max_tokens=400)


def test_embeddings_count():
    with simulator() as sim, Client(**settings(sim, "0.0000001")) as client:
        with pytest.raises(BudgetExceeded):
            client.embed(["word " * 100], model="openai/text-embedding-3-small")
        assert sim.requests == []


def test_a_remembered_answer_costs_nothing():
    with simulator() as sim, Client(**settings(sim, cache=True)) as client:
        for _ in range(3):
            client.run("hi", model=MODEL, max_tokens=100, temperature=None)
        spent = client.budgets()[0].spent
        client.run("hi", model=MODEL, max_tokens=100)
        assert client.budgets()[0].spent == spent


def test_hedges_set_money_aside_for_each_leg():
    async def whole(sim):
        client = AsyncClient(**settings(sim, hedge={"delay": 0.05, "min_delay": 0.05}, retry_budget={"tokens": 10}))
        sim.script(Slow(headers=0.5), Good())
        await client.run("hi", model=MODEL, max_tokens=100)
        await asyncio.sleep(0)
        (status,) = client.budgets()
        assert (status.reserved, status.in_flight) == (0, 0)
        assert len(sim.requests) >= 1
        assert billed(sim) <= status.spent
        await client.close()

    with simulator() as sim:
        asyncio.run(whole(sim))


def test_the_ledger_remembers_for_the_next_process(tmp_path):
    ledger = f"sqlite:///{tmp_path / 'ledger.db'}"
    with simulator() as sim:
        with Client(**settings(sim, ledger=ledger)) as client:
            client.run(PROMPT, model=MODEL, max_tokens=400)
            spent = client.budgets()[0].spent
        with Client(**settings(sim, ledger=ledger)) as client:
            (status,) = client.budgets()
            assert (status.spent, status.note) == (spent, None)
            client.run(PROMPT, model=MODEL, max_tokens=400)
            assert client.budgets()[0].spent == 2 * spent


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_goes_on_with_what_was_spent():
    with simulator() as sim, Client(**settings(sim)) as client:
        client.run(PROMPT, model=MODEL, max_tokens=400)
        spent = client.budgets()[0].spent
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if client.budgets()[0].spent == spent and client.budgets()[0].reserved == 0 else 1)
            finally:
                os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
