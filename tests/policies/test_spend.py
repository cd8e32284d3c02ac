"""Streams that pay as they go: how they grow, where they are cut, and what nobody does about it afterwards."""

from __future__ import annotations

import gc
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.core.runtime import run_sync
from aistrale.errors import BudgetExceeded, NetworkError, StreamInterrupted
from aistrale.reliability.verdict import judge
from aistrale.types import BlockStart, Finish, ReplyEnd, ReplyStart, TextDelta, TextPart, Usage, UsageUpdate
from tests.policies.bank import TOKEN, Bank, answer
from tests.policies.streaming import A, B, begun, cut, pull_all, whole

WORD = "four"
"""One token."""


def words(count, size=1):
    return [WORD * size] * count


def ends(count, size=1, **usage):
    """A stream of words that says at its end what it used."""
    return whole(*words(count, size), usage=Usage(input=1, output=count * size, **usage))


def bank(limit, *legs, **options):
    return Bank({A: list(legs)}, allowed=[{"limit": limit, "period": "day"}], **options)


def read(bank, mode="restart_before_first_token", **options):
    """What was delivered, the error that ended it, and the call."""
    call, reply = bank.open(mode, stream=True, **options)
    events = []
    try:
        while (event := run_sync(reply.next())) is not None:
            events.append(event)
    except StreamInterrupted as error:
        return events, error, call
    return events, None, call


def tokens(events):
    return sum(len(event.text) for event in events) / 4


def test_a_stream_that_fits_is_as_it_would_be_without_budgets():
    lab = bank("1", ends(20))
    events, error, _ = read(lab)
    assert error is None
    assert tokens(events) == 20
    assert isinstance(events[-1], ReplyEnd)
    assert lab.stands == [(20 * TOKEN, 0)]


def test_a_stream_begins_with_a_step_and_grows():
    seen = []
    lab = bank("100")
    lab.legs = {A: [[*begun(*words(2500)), *[[Finish("stop"), UsageUpdate(Usage(input=1, output=2500)), ReplyEnd()]]]]}
    _, reply = lab.open("restart_before_first_token", stream=True)
    while run_sync(reply.next()) is not None:
        if not seen or seen[-1] != lab.stands[0][1]:
            seen.append(lab.stands[0][1])
    assert seen == [Decimal("1.024"), Decimal("2.048"), Decimal("3.072")]
    assert lab.stands == [(Decimal("2.5"), 0)]


def test_a_stream_is_cut_before_it_costs_more_than_the_limit():
    lab = bank("0.1", begun(*words(300)))
    events, error, call = read(lab)
    assert tokens(events) == 100
    assert error.partial_text == WORD * 100
    assert isinstance(error.__cause__, BudgetExceeded)
    assert "no room for the rest" in str(error)
    assert "partial_text" in error.hint
    assert error.usage.output_total == 100
    assert error.usage.source == "estimated"
    assert lab.stands == [(Decimal("0.1"), 0)]
    assert (lab.feeds[0].closed, len(lab.asked)) == (1, 1)
    (row,) = lab.attempts
    assert (row.outcome, row.error, row.output, row.usage_source) == ("error", "StreamInterrupted", 100, "estimated")
    assert [row.outcome for row in lab.calls] == ["interrupted"]
    assert lab.balanced()
    assert call.attempts[0].outcome == "error"


@pytest.mark.parametrize("size", [1, 3, 7, 20])
def test_the_next_event_is_expected_to_be_as_large_as_the_largest(size):
    lab = bank("0.1", begun(*words(200, size)))
    events, _, _ = read(lab)
    assert tokens(events) == 100 // size * size


def test_what_comes_in_one_piece_is_cut_within():
    lab = bank("0.1", [begun(WORD)[0], [TextDelta(WORD, 0) for _ in range(500)], [ReplyEnd()]])
    events, error, _ = read(lab)
    assert tokens(events) == 100
    assert error.partial_text == WORD * 100


def test_what_comes_with_the_beginning_is_cut_within():
    lab = bank("0.1", [[*begun(WORD)[0], *(TextDelta(WORD, 0) for _ in range(500)), ReplyEnd()]])
    _, reply = lab.open("restart_before_first_token", stream=True)
    assert lab.feeds[0].closed == 1
    with pytest.raises(StreamInterrupted) as caught:
        pull_all(reply)
    assert caught.value.partial_text == WORD * 100
    assert lab.balanced()


def test_the_connection_is_closed_before_the_reader_asks_for_more():
    lab = bank("0.1", begun(*words(300)))
    _, reply = lab.open("restart_before_first_token", stream=True)
    for _ in range(102):
        run_sync(reply.next())
    assert lab.feeds[0].closed == 1
    run_sync(reply.close())
    assert lab.stands == [(Decimal("0.1"), 0)]
    assert lab.balanced()


def test_an_answer_that_is_complete_is_not_cut_for_its_usage():
    lab = bank("0.1", ends(99, reasoning=50))
    events, error, _ = read(lab)
    assert error is None
    assert isinstance(events[-1], ReplyEnd)
    assert lab.stands == [(Decimal("0.149"), 0)], "it is recorded all the same"


def test_what_a_provider_reports_on_the_way_corrects_the_count():
    batches = begun(*words(50))
    batches.append([UsageUpdate(Usage(input=1, output=95))])
    batches += [[TextDelta(WORD, 0)] for _ in range(50)]
    events, error, _ = read(bank("0.1", batches))
    assert tokens(events) == 55
    assert isinstance(error.__cause__, BudgetExceeded)


def test_a_short_answer_that_the_caller_has_limited_is_whole_or_not_at_all():
    lab = bank("0.1", ends(10))
    with pytest.raises(BudgetExceeded):
        read(lab, max_tokens=101)
    assert lab.asked == []
    _, error, _ = read(lab, max_tokens=100)
    assert error is None
    assert lab.stands == [(10 * TOKEN, 0)]


def test_a_long_answer_that_the_caller_has_limited_is_cut_where_the_money_ends():
    events, error, _ = read(bank("0.1", begun(*words(300))), max_tokens=2000)
    assert tokens(events) == 100
    assert error is not None


def test_a_stream_that_would_be_cut_at_once_is_not_begun():
    lab = bank("0.015", begun(*words(300)))
    with pytest.raises(BudgetExceeded):
        read(lab)
    assert lab.asked == []


@pytest.mark.parametrize("mode", ["restart_before_first_token", "buffered", "hold_back", "resume", "raise"])
def test_nobody_tries_again_what_was_cut(mode):
    lab = Bank({A: [begun(*words(300)), ends(1)], B: [ends(1)]}, allowed=[{"limit": "0.1", "period": "day"}])
    try:
        _, error, _ = read(lab, mode)
    except StreamInterrupted as caught:
        error = caught
    assert isinstance(error.__cause__, BudgetExceeded)
    assert len(lab.asked) == 1
    verdict = judge(error)
    assert (verdict.retry, verdict.failover, verdict.breaker) == ("never", "never", "ignore")
    assert all(budget.tokens == lab.tokens for budget in lab.budgets.values())


def test_a_cut_counts_for_no_breaker():
    lab = bank("0.1", begun(*words(300)))
    _, _, call = read(lab)
    state = lab.states.of(call.target)
    assert state.breaker.state(lab.clock.now()) == "closed"


def test_a_stream_that_breaks_by_itself_breaks_as_it_would_without_budgets():
    lab = bank("1", [*begun(*words(20)), cut()])
    events, error, _ = read(lab)
    assert tokens(events) == 20
    assert error.partial_text == WORD * 20
    assert isinstance(error.__cause__, NetworkError)
    assert lab.stands == [(1, 0)], "what was set aside is spent: nobody knows what was billed"


def test_a_stream_that_breaks_unseen_is_tried_again():
    lab = bank("100", [*begun(*words(20)), cut()], ends(30))
    events, error, _ = read(lab, "buffered")
    assert error is None
    assert tokens(events) == 30
    assert len(lab.asked) == 2


def test_a_stream_that_breaks_is_resumed_within_the_budget():
    lab = Bank({A: [[*begun(*words(20)), cut()]], B: [ends(5)]}, allowed=[{"limit": "10", "period": "day"}])
    _, error, _ = read(lab, "resume", max_tokens=2000)
    assert error is None
    assert len(lab.asked) == 2
    assert lab.stands[0][1] == 0


@pytest.mark.parametrize("how", ["close", "drop"])
def test_streams_that_are_left_give_back_what_they_did_not_use(how):
    lab = bank("10", begun(*words(20)))
    _, reply = lab.open("restart_before_first_token", stream=True)
    for _ in range(5):
        run_sync(reply.next())
    if how == "close":
        run_sync(reply.close())
    del reply, _
    gc.collect()
    spent, reserved = lab.stands[0]
    assert (spent, reserved) == (Decimal("1.024"), 0), "what was set aside counts as spent"
    assert lab.balanced()


def test_soft_budgets_neither_cut_nor_count_ahead():
    lab = Bank({A: [ends(50)]}, allowed=[{"limit": "0.01", "period": "day", "hard": False}])
    _, error, _ = read(lab)
    assert error is None
    assert lab.stands == [(50 * TOKEN, 0)]


def test_a_streamed_request_that_is_answered_whole_settles_what_it_cost():
    lab = bank("2", answer(30))
    _, error, _ = read(lab)
    assert error is None
    assert lab.stands == [(30 * TOKEN, 0)]


def test_two_streams_share_what_is_left():
    lab = bank("2.05", begun(*words(1100)), begun(*words(1100)))
    first, second = (lab.open("restart_before_first_token", stream=True)[1] for _ in range(2))
    for _ in range(60):
        run_sync(first.next())
    with pytest.raises(StreamInterrupted) as caught:
        pull_all(second)
    assert len(caught.value.partial_text) == 4 * 1026
    assert caught.value.__cause__.reserved == Decimal("1.024")
    run_sync(first.close())


@given(
    limit=st.integers(16, 400),
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=60),
    batch=st.integers(1, 20),
)
def test_for_all_streams_no_more_is_delivered_than_the_limit_and_no_event_less_than_it_allows(limit, sizes, batch):
    events = [TextDelta(WORD * size, 0) for size in sizes]
    start = [ReplyStart("r", "m"), BlockStart(0, TextPart(""))]
    batches = [start + events[:1], *(events[at : at + batch] for at in range(1, len(events), batch)), [ReplyEnd()]]
    lab = bank(str(limit * TOKEN), batches)
    given_events, error, _ = read(lab)
    delivered, whole_size = tokens(given_events), sum(sizes)
    # The first event has come before anybody could have known.
    assert delivered <= max(limit, sizes[0])
    assert lab.stands[0][1] == 0
    if error is None:
        assert delivered == whole_size
    else:
        seen = sizes[: len([event for event in given_events if isinstance(event, TextDelta)])]
        assert delivered + max(sizes[: len(seen) + 1]) > limit
