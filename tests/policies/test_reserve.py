"""Money that is set aside for attempts: how much, when it is settled, and who is refused."""

from __future__ import annotations

import asyncio
import gc
import threading
from decimal import Decimal
from types import SimpleNamespace

import pytest

from aistrale.config.budgets import check_budgets
from aistrale.core.call import Context
from aistrale.core.http import AsyncHttp
from aistrale.core.runtime import run_sync
from aistrale.cost.budgets.book import BudgetBook
from aistrale.cost.prices import price_usage
from aistrale.errors import (
    AllTargetsFailed,
    AttemptTimeout,
    BudgetExceeded,
    ConfigurationError,
    ConnectError,
    InvalidRequestError,
    NetworkError,
    OverloadedError,
    ServerError,
)
from aistrale.policies.reserve import Reserve
from aistrale.simulation.runtime import SimRuntime
from aistrale.store.records import AttemptRow
from aistrale.types import Embeddings, Usage
from tests.policies.bank import TOKEN, Bank, answer, price, unknown
from tests.policies.streaming import A, B, C
from tests.policies.upstream import DRIVES, NOW, Awaiting, Desk, Upstream, drive_sync


def ask(bank, **options):
    """The answer of a call."""
    call, reply = bank.open(**{"mode": "restart_before_first_token", "stream": False, "max_tokens": 100, **options})
    return run_sync(reply.completion()), call


def refused(bank, **options):
    with pytest.raises(BudgetExceeded) as caught:
        ask(bank, **options)
    return caught.value


def sent(bank):
    return [name for name, _, _ in bank.asked]


# --- setting aside and settling ---------------------------------------------------------------------------------------


def test_an_attempt_sets_its_bound_aside_and_settles_what_it_cost():
    seen = []
    bank = Bank({A: [answer(40)]})
    send = bank.send

    async def watch(call):
        seen.append(bank.stands)
        return await send(call)

    bank.send = watch
    ask(bank)
    assert seen == [[(0, 100 * TOKEN)]]
    assert bank.stands == [(40 * TOKEN, 0)]


@pytest.mark.parametrize(
    ("error", "spent"),
    [
        (InvalidRequestError("no", status=400), 0),
        (ServerError("no", status=500), 0),
        (OverloadedError("no", status=503), 0),
        (ConnectError("no", sent=False), 0),
        (NetworkError("reset", sent=True), 100),
        (AttemptTimeout("late", sent=True, clock="first_token"), 100),
    ],
)
def test_what_a_failed_attempt_settles(error, spent):
    bank = Bank({A: [error] * 3})
    with pytest.raises(type(error)):
        ask(bank)
    tries = len(bank.asked)
    assert bank.stands == [(spent * tries * TOKEN, 0)]


def test_every_attempt_sets_money_aside_again():
    bank = Bank({A: [NetworkError("reset", sent=True), answer(10)]}, allowed=[{"limit": "0.25", "period": "day"}])
    ask(bank)
    assert bank.stands == [(110 * TOKEN, 0)]
    assert isinstance(refused(bank, max_tokens=141), BudgetExceeded)


def test_a_cancelled_attempt_spends_what_was_set_aside():
    bank = Bank({A: [KeyboardInterrupt()]})
    with pytest.raises(KeyboardInterrupt):
        ask(bank)
    assert bank.stands == [(100 * TOKEN, 0)]


def test_an_attempt_that_cost_more_than_its_bound_is_recorded_and_blocks_what_follows():
    bank = Bank({A: [answer(1500)]})
    ask(bank)
    assert bank.stands == [(Decimal("1.5"), 0)]
    error = refused(bank)
    assert (error.spent, error.limit, error.needed) == (Decimal("1.5"), 1, None)


def test_several_alternatives_cost_as_often():
    bank = Bank({A: [answer(10)]}, allowed=[{"limit": "0.299", "period": "day"}])
    error = refused(bank, n=3)
    assert error.needed == Decimal("0.300")
    assert error.hint.startswith("Set max_tokens to at most 99")


def test_embeddings_cost_their_input():
    book = BudgetBook(check_budgets("budgets", [{"limit": "1", "period": "day"}]))
    seen = []

    def embed(call):
        seen.append(book.status(NOW)[0].reserved)
        return Embeddings([[1.0]], "m", Usage(input=100))

    desk = Desk(Upstream(embed), Reserve(book, price_usage), targets=("openai/text-embedding-3-small",))
    drive_sync(lambda runtime: desk.ask(runtime, embed=["word " * 80]))
    assert seen[0] >= price_usage("openai", "text-embedding-3-small", Usage(input=100)).usd


def test_without_budgets_the_policies_are_a_comparison():
    bank = Bank({A: [answer(10)]}, allowed=[])
    ask(bank)
    assert bank.stands == []
    assert bank.book.store.slots() == []


# --- refusing ---------------------------------------------------------------------------------------------------------


def test_what_does_not_fit_is_refused_and_nothing_is_sent():
    bank = Bank({A: [answer(10)]}, allowed=[{"limit": "0.05", "period": "day", "name": "small"}])
    error = refused(bank)
    assert sent(bank) == []
    assert bank.attempts == []
    assert (error.budget, error.scope) == ("small", "global")
    assert (error.limit, error.spent, error.reserved, error.needed) == (Decimal("0.05"), 0, 0, Decimal("0.1"))
    assert error.resets_at is None, "no day has room for it"
    assert error.hint == "Set max_tokens to at most 50, or raise the limit."
    assert error.target == A
    assert [row.outcome for row in bank.calls] == ["error"]
    assert bank.stands == [(0, 0)]


def test_a_refusal_says_when_there_will_be_room():
    bank = Bank({A: [answer(95), answer(1)]}, allowed=[{"limit": "0.1", "period": "day"}])
    ask(bank)
    error = refused(bank)
    assert error.resets_at.timestamp() == 86_400
    assert error.hint == "Set max_tokens to at most 5, or raise the limit."


def test_a_budget_that_is_spent_refuses_before_anything_else():
    bank = Bank({A: [answer(100), answer(1)]}, allowed=[{"limit": "0.1", "period": "day"}])
    ask(bank)
    error = refused(bank)
    assert (error.needed, error.target) == (None, None)
    assert "is spent" in str(error)
    assert "1970-01-02 00:00 UTC" in error.hint


def test_a_soft_budget_refuses_nothing_and_tells():
    bank = Bank({A: [answer(90), answer(90)]}, allowed=[{"limit": "0.1", "period": "day", "hard": False}])
    ask(bank)
    ask(bank)
    assert bank.stands == [(180 * TOKEN, 0)]
    assert [event.threshold for event in bank.events] == [Decimal("0.5"), Decimal("0.8"), Decimal(1)]


def test_a_spent_budget_of_somebody_else_is_nobodys_concern():
    bank = Bank(
        {A: [answer(100), answer(1), answer(1)]}, allowed=[{"scope": "user:*", "limit": "0.1", "period": "day"}]
    )
    bank.context = Context(user="alice")
    ask(bank)
    refused(bank)
    bank.context = Context(user="bob")
    ask(bank)
    bank.context = Context()
    ask(bank)


def test_all_budgets_are_taken_or_none():
    bank = Bank(
        {A: [answer(10)]},
        allowed=[{"limit": "1", "period": "day"}, {"scope": "user:*", "limit": "0.05", "period": "month"}],
        context=Context(user="alice"),
    )
    assert refused(bank).scope == "user:alice"
    assert bank.stands == [(0, 0), (0, 0)]


def test_an_amount_in_the_context_limits_one_call_with_all_of_its_attempts():
    bank = Bank({A: [NetworkError("reset", sent=True), answer(10)]}, allowed=[], context=Context(budget="0.15"))
    error = refused(bank)
    assert len(bank.asked) == 1
    assert error.limit == Decimal("0.15")
    bank.legs = {A: [answer(10)]}
    ask(bank)
    assert bank.book.store.slots() == [], "nothing of it is kept"


def test_a_context_that_looks_like_an_amount_and_is_none_is_an_error():
    bank = Bank({A: [answer(10)]}, allowed=[], context=Context(budget="5,00"))
    with pytest.raises(ConfigurationError):
        ask(bank)


def test_budgets_of_calls_are_forgotten_with_their_calls():
    bank = Bank({A: [answer(10)] * 3}, allowed=[{"scope": "model:*", "limit": "1", "period": "call"}])
    for _ in range(3):
        ask(bank)
    assert bank.book.store.slots() == []


# --- unknown prices ---------------------------------------------------------------------------------------------------


def test_a_hard_budget_lets_nothing_pass_of_unknown_price():
    bank = Bank({A: [answer(10)]}, price=unknown)
    error = refused(bank)
    assert "nobody knows" in str(error)
    assert "on_unknown" in error.hint
    assert sent(bank) == []


def test_an_answer_that_nothing_limits_has_no_known_price():
    bank = Bank({A: [answer(10)]})
    assert "how long the answer may be" in str(refused(bank, max_tokens=None))


def test_a_soft_budget_lets_what_is_unknown_pass_uncounted():
    bank = Bank({A: [answer(10)]}, allowed=[{"limit": "1", "period": "day", "hard": False}], price=unknown)
    ask(bank)
    assert bank.stands == [(0, 0)]


def test_an_assumed_price_is_set_aside_and_settled():
    assume = {"on_unknown": "assume", "assume": {"input": "0", "output": "2000"}}
    bank = Bank({A: [answer(10)]}, allowed=[{"limit": "1", "period": "day", **assume}], price=unknown)
    assert refused(bank, max_tokens=501).needed == Decimal("1.002")
    ask(bank)
    assert bank.stands == [(Decimal("0.02"), 0)]


def test_an_answer_of_unknown_length_counts_as_many_tokens_as_the_budget_says():
    more = {"output": 1001, "on_unlimited": "refuse"}
    bank = Bank({A: [answer(10)]}, allowed=[{"limit": "1", "period": "day", **more}])
    assert refused(bank, max_tokens=None).needed == Decimal("1.001")
    bank = Bank({A: [answer(10)]}, allowed=[{"limit": "1", "period": "day", "output": 500}])
    ask(bank, max_tokens=None)
    assert refused(bank, max_tokens=2000).needed == 2, "what the caller says counts more"


# --- several targets --------------------------------------------------------------------------------------------------


def test_a_cheaper_target_takes_over():
    bank = Bank({A: [answer(1)], C: [answer(1)]}, allowed=[{"limit": "0.06", "period": "day"}])
    ask(bank)
    assert sent(bank) == [C]


def test_a_budget_of_a_model_sends_calls_to_the_next_one():
    bank = Bank(
        {A: [answer(100), answer(1)], B: [answer(1)]},
        allowed=[{"scope": f"model:{A}", "limit": "0.1", "period": "day"}],
    )
    ask(bank)
    ask(bank)
    assert sent(bank) == [A, B]


@pytest.mark.parametrize("when", ["wait", "fail", "last_resort"])
def test_where_money_is_the_only_reason_the_caller_gets_it(when):
    bank = Bank({A: [], C: []}, allowed=[{"limit": "0.04", "period": "day"}], when_all_down=when)
    error = refused(bank)
    assert (error.target, error.needed) == (C, Decimal("0.05")), "the cheapest one's"
    assert bank.clock.time == 1000.0, "nobody waits for what will not come"


def test_where_money_is_one_reason_of_several_all_are_told():
    bank = Bank(
        {A: [OverloadedError("full", status=503)], B: []},
        allowed=[{"scope": f"model:{B}", "limit": "0", "period": "day"}],
    )
    with pytest.raises(AllTargetsFailed) as caught:
        ask(bank)
    assert [type(error) for error in caught.value.exceptions] == [OverloadedError, BudgetExceeded]


@pytest.mark.parametrize("when", ["wait", "last_resort"])
def test_one_target_is_not_asked_again_for_what_it_cannot_have(when):
    bank = Bank({A: []}, allowed=[{"limit": "0.04", "period": "day"}], when_all_down=when)
    refused(bank)
    assert [event.what for event in bank.events] == ["refused"]


# --- waiting for others -----------------------------------------------------------------------------------------------


class _Wall:
    """A lab's clock that is a simulated runtime's."""

    def __init__(self, runtime):
        self.runtime = runtime
        self.random = runtime.random

    def __getattr__(self, name):
        return getattr(self.runtime, name)


class Sim:
    """Calls beside each other in virtual time; each answer takes a second and ten tokens."""

    def __init__(self, *budgets, targets=(A,)):
        self.runtime = SimRuntime()
        self.bank = Bank({name: [] for name in targets}, allowed=list(budgets), clock=_Wall(self.runtime))
        self.bank.send = self.send
        self.log = []

    async def send(self, call):
        attempt = call.attempt
        await self.runtime.sleep(1.0)
        attempt.status = 200
        reply = Upstream().reply(call, answer(10))

        def closed(reply, error):
            attempt.usage, attempt.outcome = reply.accumulated.completion.usage, reply.outcome

        reply.on_close(closed)
        return reply

    async def one(self, name, *, start=0.0, total=60.0, **options):
        await self.runtime.sleep(start)
        call = self.bank.call(total=total, **{"max_tokens": 100, **options})
        try:
            reply = await self.bank.pipeline()(call)
            await reply.completion()
            self.log.append((name, round(self.runtime.now(), 3)))
        except BudgetExceeded as error:
            self.log.append((name, round(self.runtime.now(), 3), error))

    def run(self, *calls):
        async def whole():
            tasks = [self.runtime.spawn(call) for call in calls]
            while not all(task.done for task in tasks):
                await self.runtime.sleep(0.5)

        self.runtime.run(whole())
        return self.log


def test_what_does_not_fit_for_a_moment_waits_in_order():
    sim = Sim({"limit": "0.15", "period": "day"})
    log = sim.run(*(sim.one(name, start=name / 100) for name in range(4)))
    assert [entry[:2] for entry in log] == [(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0)]
    assert sim.bank.stands == [(40 * TOKEN, 0)]


def test_several_go_at_once_where_there_is_room_for_them():
    sim = Sim({"limit": "0.25", "period": "day"})
    log = sim.run(*(sim.one(name, start=name / 100) for name in range(4)))
    assert [entry[:2] for entry in log] == [(0, 1.0), (1, 1.01), (2, 2.0), (3, 2.01)]


def test_the_wait_ends_with_the_deadline():
    sim = Sim({"limit": "0.1", "period": "day"})
    log = sim.run(sim.one("first"), sim.one("second", start=0.1, total=0.5))
    name, at, error = log[0]
    assert (name, at) == ("second", 0.6)
    assert error.passing
    assert (error.reserved, error.spent) == (Decimal("0.1"), 0)
    assert "after 0.5 s of waiting" in str(error)


def test_the_wait_ends_with_the_budgets_own_patience():
    sim = Sim({"limit": "0.1", "period": "day", "wait": 0.25})
    log = sim.run(sim.one("first"), sim.one("second", start=0.1))
    assert log[0][:2] == ("second", 0.35)
    patient = Sim({"limit": "0.1", "period": "day", "wait": 0})
    assert patient.run(patient.one("first"), patient.one("second", start=0.1))[0][:2] == ("second", 0.1)


def test_who_finds_out_that_it_will_never_fit_stops_waiting():
    sim = Sim({"limit": "0.105", "period": "day"})
    log = sim.run(sim.one("first"), sim.one("second", start=0.1))
    assert [entry[:2] for entry in log] == [("first", 1.0), ("second", 1.0)]
    assert not log[1][2].passing


def test_a_period_that_ends_meanwhile_lets_those_pass_who_wait():
    sim = Sim({"limit": "0.1", "period": "day"})
    almost = 86_400 - 0.5
    log = sim.run(sim.one("first", start=almost), sim.one("second", start=almost + 0.1))
    assert [entry[:2] for entry in log] == [("first", 86_400.5), ("second", 86_401.0)]


def test_nobody_waits_while_another_target_is_untried():
    sim = Sim({"scope": f"model:{A}", "limit": "0.1", "period": "day"}, targets=(A, B))
    log = sim.run(sim.one("first"), sim.one("second", start=0.1))
    assert [entry[:2] for entry in log] == [("first", 1.0), ("second", 1.1)]


def test_when_all_others_have_failed_the_one_without_money_is_waited_for():
    sim = Sim(
        {"scope": f"model:{A}", "limit": "0.15", "period": "day"},
        {"scope": f"model:{B}", "limit": "0", "period": "day"},
        targets=(A, B),
    )
    sim.bank.when_all_down = "wait"
    log = sim.run(sim.one("first"), sim.one("second", start=0.1))
    assert [entry[:2] for entry in log] == [("first", 1.0), ("second", 2.0)]


def test_a_wait_that_is_cancelled_leaves_nothing_behind():
    async def whole():
        upstream = Upstream(answer(10))
        upstream.holding = True
        book = BudgetBook(check_budgets("budgets", [{"limit": "0.1", "period": "day"}]))
        desk, runtime = Desk(upstream, Reserve(book, price)), Awaiting(AsyncHttp())
        first, second = (asyncio.create_task(desk.ask(runtime, max_tokens=100)) for _ in range(2))
        while not book.status(NOW)[0].waiting:
            await runtime.sleep(0.001)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        assert book.status(NOW)[0].waiting == 0
        upstream.release()
        await first
        await runtime.http.close()
        return book.status(NOW)[0]

    status = asyncio.run(whole())
    assert (status.reserved, status.waiting, status.in_flight) == (0, 0, 0)


# --- what was spent before --------------------------------------------------------------------------------------------


class Past:
    def __init__(self, *rows):
        self.rows = rows
        self.asked = 0

    def spend(self, by=(), since=None, until=None, *, where=None):
        self.asked += 1
        return self.rows


def test_what_was_spent_before_counts_from_the_first_call_on():
    past = Past(SimpleNamespace(key=(), cost=Decimal("0.95")))
    bank = Bank({A: [answer(10)] * 2}, ledger=past)
    assert refused(bank).spent == Decimal("0.95")
    ask(bank, max_tokens=50)
    assert past.asked == 1


@pytest.mark.parametrize("drive", ["sync", "asyncio", "trio"])
def test_the_past_is_asked_for_once_and_not_on_an_event_loop(drive):
    loops = []

    class Ledger(Past):
        def spend(self, *asked, **options):
            loops.append(threading.current_thread() is threading.main_thread())
            return super().spend(*asked, **options)

    past = Ledger(SimpleNamespace(key=(), cost=Decimal("0.95")))
    book = BudgetBook(check_budgets("budgets", [{"limit": "1", "period": "day"}]), ledger=past, clock=lambda: NOW)
    desk = Desk(Upstream(answer(10)), Reserve(book, price))

    async def body(runtime):
        await desk.ask(runtime, max_tokens=30)
        with pytest.raises(BudgetExceeded):
            await desk.ask(runtime, max_tokens=21)
        await desk.ask(runtime, max_tokens=20)

    DRIVES[drive](body)
    assert past.asked == 1
    assert loops == [drive == "sync"]


def test_tasks_that_come_together_wait_for_the_past():
    past = Past(SimpleNamespace(key=(), cost=Decimal("0.95")))
    book = BudgetBook(check_budgets("budgets", [{"limit": "1", "period": "day"}]), ledger=past, clock=lambda: NOW)
    desk = Desk(Upstream(answer(50)), Reserve(book, price))

    async def whole():
        runtime = Awaiting(AsyncHttp())
        asked = [desk.ask(runtime, max_tokens=50) for _ in range(30)]
        results = await asyncio.gather(*asked, return_exceptions=True)
        await runtime.http.close()
        return results

    results = asyncio.run(whole())
    assert past.asked == 1
    # Nobody journals here, so that what was set aside is what was spent.
    assert sum(not isinstance(result, Exception) for result in results) == 1


def test_nothing_stays_reserved_of_calls_that_are_dropped():
    bank = Bank({A: [answer(10)] * 5})
    for _ in range(5):
        call, reply = bank.open("restart_before_first_token", stream=False, max_tokens=100)
        del call, reply
        gc.collect()
    assert bank.stands[0][1] == 0
    assert len([row for row in bank.rows if isinstance(row, AttemptRow)]) == 5
