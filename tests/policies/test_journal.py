from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from aistrale.core.call import Attempt, Call, Clocks, Target
from aistrale.core.reply import Reply
from aistrale.core.runtime import run_sync
from aistrale.cost import price_usage
from aistrale.cost.book.price_book import price_book
from aistrale.cost.pricing import reprice
from aistrale.cost.shape import Shaper
from aistrale.dialects.base import Profile
from aistrale.policies.journal import Journal
from aistrale.providers import get_provider
from aistrale.simulation import SimRuntime
from aistrale.store.records import AttemptRow, IntentRow, decode_row, encode_row
from aistrale.types import Completion, Cost, Message, Request, Usage, Whole, Wire

TARGET = Target(
    name="openai/one",
    provider=get_provider("openai"),
    model="one",
    dialect="openai_chat",
    base_url="http://127.0.0.1",
    profile=Profile(provider="openai", model="one"),
)


class Log:
    """Keeps rows; Ctrl-C comes before or after the first writing."""

    def __init__(self, interrupt=None):
        self.rows = []
        self.interrupt = interrupt

    def append(self, *rows):
        when, self.interrupt = self.interrupt, None
        if when == "before":
            raise KeyboardInterrupt
        self.rows += rows
        if when == "after":
            raise KeyboardInterrupt
        return True


def call_of(runtime):
    call = Call(Request(model="one", messages=[Message.user("Hi")]), [TARGET], runtime, clocks=Clocks())
    call.attempt = Attempt(1, TARGET, runtime.now(), runtime.wall())
    call.attempts.append(call.attempt)
    return call


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interrupt_while_the_intent_is_written_leaves_no_attempt_without_an_outcome(when):
    async def never(call):
        raise AssertionError("nothing may be sent")

    log, call = Log(when), call_of(SimRuntime(1))
    earlier = AttemptRow(
        call_id=call.id, attempt=0, at=0.0, latency=0.0, provider="openai", model="one", target="openai/one",
        streamed=False, outcome="error",
    )  # fmt: skip
    call.rows.append(earlier)
    with pytest.raises(KeyboardInterrupt):
        run_sync(Journal(log, lambda *_, **__: Cost(None))(call, never))
    assert earlier in log.rows
    assert any(isinstance(row, IntentRow) and row.attempt == 1 for row in log.rows)
    (settled,) = [row for row in log.rows if isinstance(row, AttemptRow) and row.attempt == 1]
    assert (settled.outcome, settled.error, settled.cost) == ("cancelled", "KeyboardInterrupt", "0")


def test_an_interrupt_between_the_pipeline_and_the_reader_settles_the_attempt():
    async def answered(call):
        call.attempt.outcome = "success"
        return Reply([])

    log, call = Log(), call_of(SimRuntime(1))
    reply = run_sync(Journal(log, lambda *_, **__: Cost(None))(call, answered))
    del reply
    assert [type(row) for row in call.rows] == [AttemptRow]


def settled(
    usage, *, price=price_usage, conditions=None, attempts=1, model="gpt-6-sol", service_tier=None, shape=None, **answer
):
    """The rows of a call whose attempts all give the same answer."""

    async def answered(call):
        call.attempt.outcome, call.attempt.usage, call.attempt.status = "success", usage, 200
        call.attempt.conditions = dict(conditions or {})
        return Reply([Whole(Completion(usage=usage, **answer))])

    target = replace(TARGET, name=f"openai/{model}", model=model)
    log, runtime = Log(), SimRuntime(1)
    messages = [Message.system("Be brief."), Message.user("Hi")]
    request = Request(model=model, messages=messages, max_tokens=50, service_tier=service_tier)
    call = Call(request, [target], runtime, clocks=Clocks())
    journal = Journal(log, price, shape=shape)

    async def body():
        for number in range(1, attempts + 1):
            call.attempt = Attempt(number, target, runtime.now(), runtime.wall())
            call.attempts.append(call.attempt)
            await (await journal(call, answered)).completion()

    run_sync(body())
    return [row for row in log.rows if isinstance(row, IntentRow)], [
        row for row in [*log.rows, *call.rows] if isinstance(row, AttemptRow)
    ]


def test_the_intent_says_what_the_request_looks_like_and_nothing_of_its_content():
    intents, _ = settled(Usage(input=5, output=5), attempts=2, shape=Shaper(None))
    first, second = intents
    assert (first.estimated_input_tokens, first.max_output_tokens, first.messages) == (12, 50, 2)
    assert (first.prefix_tokens, first.last_tokens) == (7, 5)
    assert len(first.prefix) == 16
    assert (second.attempt, second.prefix, second.estimated_input_tokens) == (2, first.prefix, 12)


def test_where_shapes_are_not_kept_none_is_taken():
    (intent,), _ = settled(Usage(input=5, output=5))
    assert (intent.max_output_tokens, intent.estimated_input_tokens, intent.prefix, intent.messages) == (
        50, None, None, None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("usage", "conditions", "metered"),
    [
        (Usage(input=1000, output=100), {}, {}),
        (Usage(input=1000, output=100), {"service_tier": "default"}, {}),
        (Usage(input=1000, output=100), {"service_tier": "flex"}, {"conditions": {"service_tier": "flex"}}),
        (Usage(input=1000, cache_read=300_000, cache_write=5, output=100), {}, {}),
        (Usage(input=1, cache_write_12h=1000), {}, None),
        (Usage(input=1000, output=100), {"web_search_calls": "3"}, None),
        (Usage(input=1000, output=100), {"data_residency": "eu", "service_tier": "priority"}, None),
        (Usage(input=1000, output=100, source="estimated"), {}, {}),
    ],
)
def test_a_row_says_enough_to_compute_its_bill_again(usage, conditions, metered):
    _, (row,) = settled(usage, conditions=conditions)
    assert row.book == price_book().label
    assert row.metered == metered or (metered is None and row.metered["lines"])
    again = reprice(decode_row(encode_row(row)), price_book())
    assert str(again.usd) == row.cost
    assert again.usd > 0
    assert again.estimated == (usage.source == "estimated")


def test_a_row_without_a_price_names_the_book_that_did_not_know_it():
    _, (row,) = settled(Usage(input=1), model="gpt-none")
    assert (row.cost, row.book) == (None, price_book().label)
    _, (row,) = settled(None)
    assert (row.cost, row.book, row.metered) == (None, None, {})


def test_what_the_answer_says_besides_its_usage_is_priced():
    usage = Usage(input=1000, output=100)
    tier = Wire("openai_chat", {"service_tier": "flex"})
    _, (plain,) = settled(usage)
    _, (flex,) = settled(usage, wire=tier)
    assert Decimal(flex.cost) == Decimal(plain.cost) / 2
    assert flex.metered == {"conditions": {"service_tier": "flex"}}


def test_an_exchange_is_priced_at_the_time_of_its_own_clock():
    seen = []

    def price(provider, model, usage, *, at, **conditions):
        seen.append(at)
        return Cost(Decimal(1))

    settled(Usage(input=1), price=price)
    assert seen == [SimRuntime(1).wall()]


def test_a_tier_that_the_answer_does_not_name_is_the_one_that_was_asked_for():
    usage = Usage(input=1000, output=100)
    _, (asked,) = settled(usage, service_tier="flex")
    assert asked.metered == {"conditions": {"service_tier": "flex"}}
    # The answer was served in a lower one.
    _, (answered,) = settled(usage, service_tier="priority", wire=Wire("openai_chat", {"service_tier": "default"}))
    assert answered.metered == {}
    assert Decimal(answered.cost) == 2 * Decimal(asked.cost)
