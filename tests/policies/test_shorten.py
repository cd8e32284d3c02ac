"""Answers that are limited to what the budget can pay: on the wire, where alone that is certain."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from aistrale.config.budgets import check_budgets
from aistrale.core.runtime import run_sync
from aistrale.cost.budgets.book import BudgetBook
from aistrale.cost.budgets.bound import Bounds, load
from aistrale.cost.budgets.quote import Quote
from aistrale.cost.budgets.store import Short
from aistrale.cost.prices import price_usage
from aistrale.errors import BudgetExceeded, NetworkError, OverloadedError, StreamInterrupted
from aistrale.policies.reserve import Reserve
from aistrale.simulation.runtime import SimRuntime
from aistrale.types import Finish, ReplyEnd, TextDelta, Usage, UsageUpdate
from tests.policies.bank import TOKEN, Bank, answer
from tests.policies.streaming import A, B, C, begun
from tests.policies.test_reserve import Sim, ask, refused
from tests.policies.upstream import NOW, Desk, Upstream

FIELD = "max_completion_tokens"
WORD = "four"


def bank(limit, *legs, output=2000, **own):
    return Bank({A: list(legs)}, allowed=[{"limit": limit, "period": "day", "output": output, **own}])


def limits(lab):
    """What each exchange asked for."""
    return [json.loads(body).get(FIELD) for _, _, body in lab.asked]


def free(lab, **options):
    return ask(lab, max_tokens=None, **options)


def test_an_answer_that_fits_is_not_limited():
    lab = bank("2", answer(10))
    _, call = free(lab)
    assert limits(lab) == [None]
    assert call.prepared[A].lossy == []


def test_an_answer_that_does_not_fit_is_limited_to_what_is_left_and_says_so():
    lab = bank("1.5", answer(10))
    _, call = free(lab)
    assert limits(lab) == [1500]
    (lossy,) = call.prepared[A].lossy
    assert (lossy.field, lossy.action) == ("max_tokens", "emulated")
    assert "1500" in lossy.detail
    assert call.request.max_tokens is None, "what the caller asked for stays"
    assert lab.stands == [(10 * TOKEN, 0)]
    assert lab.events == [], "nothing was refused"


def test_alternatives_share_what_is_left():
    lab = bank("1", answer(10))
    free(lab, n=3)
    assert limits(lab) == [333]


def test_who_wants_whole_answers_gets_a_refusal():
    lab = bank("1.5", answer(10), on_unlimited="refuse")
    assert refused(lab, max_tokens=None).needed == 2
    assert lab.asked == []


def test_who_wants_no_losses_gets_a_refusal():
    lab = bank("1.5", answer(10))
    call = lab.call()
    call.on_lossy = "error"
    with pytest.raises(BudgetExceeded):
        run_sync(lab.pipeline()(call))
    assert lab.asked == []


def test_what_the_caller_limits_is_whole_or_refused():
    lab = bank("1.5", answer(10))
    assert refused(lab, max_tokens=1501).needed == Decimal("1.501")
    assert refused(lab, max_tokens=None, extra={FIELD: 1501}).needed == 2, "also in the provider's own words"


def test_what_others_have_left_over_is_not_worth_a_beginning():
    lab = bank("1.5", answer(476), answer(1), answer(1))
    free(lab)
    free(lab)
    assert limits(lab) == [1500, 1024]
    assert "at most 1023" in refused(lab, max_tokens=None).hint


def test_a_budget_that_is_small_from_the_beginning_is_meant_to_be():
    lab = bank("0.016", answer(10))
    free(lab)
    assert limits(lab) == [16]
    assert isinstance(refused(bank("0.015"), max_tokens=None), BudgetExceeded)


def test_another_attempt_gets_what_the_first_has_left():
    lab = bank("3", NetworkError("reset", sent=True), answer(10), output=1500)
    free(lab)
    assert limits(lab) == [None, None]
    lab = bank("2.9", NetworkError("reset", sent=True), answer(10), output=1500)
    _, call = free(lab)
    assert limits(lab) == [None, 1400]
    assert call.prepared[A].lossy


def test_a_target_that_the_budget_is_not_about_gets_the_request_as_it_is():
    lab = Bank(
        {A: [OverloadedError("full", status=503)], B: [answer(10)]},
        allowed=[{"scope": f"model:{A}", "limit": "1", "period": "day", "output": 2000}],
    )
    _, call = free(lab)
    assert limits(lab)[0] == 1000
    assert [call.prepared[name].limit for name in (A, B)] == [1000, None]
    assert call.prepared[B].lossy == []


def test_a_cheaper_target_gives_a_whole_answer_instead():
    lab = Bank({A: [answer(1)], C: [answer(1)]}, allowed=[{"limit": "1.5", "period": "day", "output": 2000}])
    free(lab)
    assert [name for name, _, _ in lab.asked] == [C]
    lab = Bank({A: [answer(1)], B: [answer(1)]}, allowed=[{"limit": "1.5", "period": "day", "output": 2000}])
    free(lab)
    assert [name for name, _, _ in lab.asked] == [A], "at the same price the first one is asked"


def test_beside_others_nobody_waits_for_the_longest_answer():
    sim = Sim({"limit": "30", "period": "day", "output": 20_000})
    log = sim.run(*(sim.one(name, start=name / 100, max_tokens=None) for name in range(4)))
    # The first has 20,000 tokens, two more 4,096 each, and the last waits until there is a share for it.
    assert [entry[:2] for entry in log] == [(0, 1.0), (1, 1.01), (2, 1.02), (3, 2.0)]


def test_what_the_caller_limits_waits_for_its_turn_unchanged():
    sim = Sim({"limit": "3", "period": "day"})
    log = sim.run(*(sim.one(name, start=name / 100, max_tokens=2000) for name in range(2)))
    assert [entry[:2] for entry in log] == [(0, 1.0), (1, 2.0)]


def test_a_wait_that_ends_tells_how_things_stand():
    sim = Sim({"limit": "0.11", "period": "day"})
    log = sim.run(sim.one("first"), sim.one("second", start=0.1), sim.one("third", start=0.2, total=1.3, max_tokens=90))
    (error,) = [entry[2] for entry in log if entry[0] == "third"]
    assert (error.spent, error.reserved) == (Decimal("0.01"), Decimal("0.1"))


# --- streams ----------------------------------------------------------------------------------------------------------


def read(lab, **options):
    _, reply = lab.open("restart_before_first_token", stream=True, **options)
    events = []
    try:
        while (event := run_sync(reply.next())) is not None:
            events.append(event)
    except StreamInterrupted as error:
        return events, error
    return events, None


def ends(count, reason, word=WORD):
    batches = begun(*[word] * count)
    return [*batches, [Finish(reason), UsageUpdate(Usage(input=1, output=count)), ReplyEnd()]]


def said(events):
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def test_a_stream_sets_the_longest_answer_aside_and_is_limited_where_that_does_not_fit():
    lab = bank("2", ends(50, "stop"))
    assert read(lab)[1] is None
    assert limits(lab) == [None]
    lab = bank("1.5", ends(50, "stop"))
    assert read(lab)[1] is None
    assert limits(lab) == [1500]
    assert lab.stands == [(50 * TOKEN, 0)]


def test_a_stream_that_the_limit_ends_is_cut_for_want_of_money_with_what_the_provider_reports():
    # Text of few letters: by its length it has not come to the limit.
    lab = bank("0.1", ends(99, "length", "ab"))
    events, error = read(lab)
    assert said(events) == "ab" * 99
    assert isinstance(error.__cause__, BudgetExceeded)
    assert (error.partial_text, error.usage.output_total, error.usage.source) == ("ab" * 99, 99, "reported")
    assert lab.stands == [(99 * TOKEN, 0)]
    assert [event.what for event in lab.events if event.threshold is None] == ["refused"]
    assert lab.balanced()


def test_a_limit_that_the_caller_set_ends_as_it_always_does():
    lab = bank("1", ends(100, "length"))
    events, error = read(lab, max_tokens=100)
    assert error is None
    assert isinstance(events[-1], ReplyEnd)


def test_a_long_stream_is_limited_below_what_the_caller_wanted():
    lab = bank("1.5", ends(50, "stop"))
    read(lab, max_tokens=5000)
    assert limits(lab) == [1500]


def test_every_piece_is_a_token_however_short():
    lab = bank("0.1", begun(*["a"] * 300))
    events, error = read(lab)
    assert len(said(events)) == 100
    assert isinstance(error.__cause__, BudgetExceeded)


def test_a_paid_answer_of_long_words_is_not_cut_for_its_letters():
    lab = bank("0.1", ends(100, "stop", "sixsix"))
    _, error = read(lab, max_tokens=100)
    assert error is None


def test_a_provider_that_keeps_to_no_limit_is_cut_all_the_same():
    lab = bank("0.1", begun(*[WORD] * 300))
    events, error = read(lab, max_tokens=90)
    # Ten more were to be had.
    assert len(said(events)) == 4 * 100
    assert isinstance(error.__cause__, BudgetExceeded)


def test_a_stream_that_reports_nothing_is_charged_by_its_upper_end():
    lab = bank("2", [*begun(*["ab"] * 100), [Finish("stop"), ReplyEnd()]])
    assert read(lab)[1] is None
    assert lab.stands == [(100 * TOKEN, 0)]


def test_a_stream_that_is_left_is_charged_with_what_was_under_way():
    lab = bank("9", begun(*[WORD] * 100), output=5000)
    _, reply = lab.open("restart_before_first_token", stream=True)
    for _ in range(12):
        run_sync(reply.next())
    seen = lab.stands[0][1]
    assert seen == 5
    run_sync(reply.close())
    spent, reserved = lab.stands[0]
    assert reserved == 0
    assert 1024 * TOKEN < spent <= (1024 + 20) * TOKEN


def test_models_that_think_get_room_for_it():
    book = BudgetBook(check_budgets("budgets", [{"limit": "1", "period": "day"}]))
    desk = Desk(Upstream(), Reserve(book, price_usage))
    call = desk.call(SimRuntime())
    slots = book.counters(call.id, call.context, None, call.target, NOW)
    most = load(call.request, call.target)
    quote = Quote(slots, call.request, most, Bounds(price_usage).rates(call.request, call.target, most.input))
    assert most.thinks
    short = Short(0, slots[0], Decimal(0), Decimal("0.9"), quote.amounts()[0], passing=True)
    assert quote.shorten(short)
    assert quote.limit == max(4 * 1024 + 4096, quote.fitting(short, Decimal(1) / 16))
