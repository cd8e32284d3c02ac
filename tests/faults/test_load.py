"""Rows 80 to 85: many calls at once, on providers that fail now and then, are down, or take only so much."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import replace
from itertools import groupby, pairwise

import pytest

import aistrale
from aistrale.errors import AllTargetsFailed, CircuitOpen, OverloadedError, ServerError
from aistrale.reliability.breaker import BreakerSettings
from aistrale.store.records import CallRow
from tests.faults.books import check_rows, play_left
from tests.faults.matrix import ALL, all_fail, answers, both, fails, in_turn, params

STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
# Attempts that end together may stand in the journal in another order than the breaker heard of them.
LEAPT = 3


def crowd(workers, calls, *, pause=0.0):
    """A scenario: so many workers with so many calls each, one after the other."""

    async def scenario(face, run):
        async def work():
            seen = []
            for _ in range(calls):
                seen.append(await face.ask())
                if pause:
                    await face.wait(pause)
            return seen

        return [seen for each in await face.together(*(work() for _ in range(workers))) for seen in each]

    return scenario


def good(run):
    """How many calls were answered, after checking that the books say the same."""
    outcomes = Counter("error" if seen.error is not None else "success" for seen in run.asked)
    check_rows(run, outcomes)
    for seen in run.asked:
        if seen.error is None:
            assert seen.text
    return outcomes["success"]


def statuses(run, target):
    return Counter(row.status for row in run.attempts(target))


def longest_failure(rows):
    """The most failed attempts in a row."""
    runs = groupby(row.status == 200 for row in rows)
    return max((len(list(run)) for ok, run in runs if not ok), default=0)


async def until(face, is_so, seconds=20.0):
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it never came to it"
        await face.wait(0.002)


# --- 80: a provider that fails at random ------------------------------------------------------------------------------


@STREAMED
@pytest.mark.parametrize("breaker", [True, False], ids=["breaker", "none"])
@pytest.mark.parametrize("fallback", [False, True], ids=["alone", "two"])
def test_80_no_answer_of_a_provider_that_fails_at_random_is_lost(server, tmp_path, streamed, fallback, breaker):
    """The oracle makes one attempt at each target that the breaker lets through, and no further ones.

    By chance a breaker opens for such a provider too: with no other target after eight failures in a row, in one run of
    a hundred. What it refuses then is its work and no lost answer.
    """
    case = both(80, "random_fail:p=0.3", answers("a"), second="random_fail:p=0.3", fallback=fallback,
                scenario=crowd(16, 12), settings={"breaker": breaker})  # fmt: skip
    for run in play_left(case, server, tmp_path, streamed=streamed):
        calls, answered = len(run.asked), good(run)
        assert answered == statuses(run, "a")[200] + statuses(run, "b")[200]
        refused = min(run.breakers[run.names["a"]].rejected, calls) if breaker else 0
        if refused and not fallback:
            assert longest_failure(run.attempts("a")) >= BreakerSettings().last_in_a_row - LEAPT
        chances = [0.91] * (calls - refused) + [0.7] * refused if fallback else [0.7] * (calls - refused)
        assert answered >= sum(chances) - 4 * math.sqrt(sum(each * (1 - each) for each in chances))
        # Q2, of each provider: who succeeds in seven of ten cannot earn many retries.
        assert len(run.attempts("a")) <= 1.1 * calls + 10
        assert len(run.attempts("b")) <= 1.1 * calls + 10


@STREAMED
@pytest.mark.parametrize("breaker", [True, False], ids=["breaker", "none"])
def test_80_a_provider_that_always_fails_is_not_stormed(server, tmp_path, streamed, breaker):
    case = both(80, "random_fail:p=1", fails(OverloadedError), scenario=crowd(16, 6), settings={"breaker": breaker})
    for run in play_left(case, server, tmp_path, streamed=streamed):
        calls = len(run.asked)
        assert good(run) == 0
        assert len(run.attempts("a")) <= 1.1 * calls + 10
        if breaker:
            # Those that were under way together when it opened, a few retries, and hardly a probe.
            assert len(run.attempts("a")) <= 16 + 10
            assert run.breakers[run.names["a"]].rejected >= calls / 2


# --- 81: an outage and its end ----------------------------------------------------------------------------------------

# The default breaker ten times as fast, for an outage of a moment.
BRISK = {"base": 0.5, "trickle": 0.3}
OUTAGE = 0.7
# Calls that were let through before a breaker opened may begin so much later on a busy machine.
LATE = 0.3


def outage(events):
    """A scenario: a provider is down for a while; calls go on until nearly all succeed, or for ten seconds."""

    async def scenario(face, run):
        over, recent = [], []

        async def work():
            seen = []
            while not over or (time.monotonic() - over[0] < 10.0 and sum(recent[-40:]) < 38):
                seen.append(await face.ask())
                if over:
                    recent.append(seen[-1].error is None)
                await face.wait(0.03)
            return seen

        async def conduct():
            await face.wait(OUTAGE)
            run.server.script(f"{run.key}-a", ["ok"])
            over.append(time.monotonic())
            return []

        found = await face.together(conduct(), *(work() for _ in range(12)))
        assert sum(recent[-40:]) >= 38, "it has not come back within ten seconds"
        return [seen for each in found for seen in each]

    return scenario


@STREAMED
def test_81_after_an_outage_everybody_is_back_and_probes_go_one_by_one(server, tmp_path, streamed):
    events = []
    case = both(81, "down", answers("a"), script=("http:status=503",), scenario=outage(events),
                settings={"breaker": BRISK, "on_event": events.append, "timeout": 2.0})  # fmt: skip
    for run in play_left(case, server, tmp_path, streamed=streamed):
        good(run)
        assert run.breakers[run.names["a"]].state == "closed"
        # The ledger tells Unix seconds, events tell monotonic ones.
        shift = time.time() - time.monotonic()
        opened = next(event.at for event in events if event.after == "open") + shift + LATE
        closed = next(event.at for event in reversed(events) if event.after == "closed") + shift
        probes = sorted((row.at, row.at + row.latency) for row in run.attempts("a") if opened < row.at < closed)
        assert all(end <= begin for (_, end), (begin, _) in pairwise(probes))
        events.clear()


# --- 82: whoever stands in is not overrun -----------------------------------------------------------------------------


@STREAMED
def test_82_a_stand_in_whose_limit_is_known_is_kept_within_it(server, tmp_path, streamed):
    events = []
    case = both(82, "http:status=503", answers("b"), second="capacity:rps=30", fallback=True, scenario=crowd(10, 4),
                settings={"limits": {"b": {"rpm": 1740, "burst": 0}}, "on_event": events.append})  # fmt: skip
    for run in play_left(case, server, tmp_path, streamed=streamed):
        assert good(run) == 40
        assert statuses(run, "b") == {200: 40}
        # Five failures open the breaker, while the nine other callers may be under way; nobody sets out later.
        assert len(run.attempts("a")) <= 5 + 9
        opened = next(event.at for event in events if event.after == "open") + time.time() - time.monotonic()
        assert all(row.at < opened + LATE for row in run.attempts("a"))
        events.clear()


@pytest.mark.parametrize(("colour", "streamed"), [("sync", False), ("asyncio", True)])
def test_82_a_stand_in_whose_limit_is_not_known_is_left_alone_when_it_says_so(server, tmp_path, colour, streamed):
    # Some seconds long, for the provider asks for one each time; hence not in all modes.
    case = both(82, "http:status=503", answers("b"), second="capacity:rps=30", fallback=True, colours=(colour,),
                scenario=crowd(16, 4, pause=0.02))  # fmt: skip
    for run in play_left(case, server, tmp_path, streamed=streamed):
        assert good(run) == 64
        seen = statuses(run, "b")
        assert seen[200] == 64
        # What was under way when it said so the first time, and hardly more.
        assert seen[429] <= 64 / 2
        assert len(run.attempts("a")) <= 16 + 10


# --- 83: nobody is there ----------------------------------------------------------------------------------------------

DOWN = {"fault": "http:status=503", "second": "http:status=500", "fallback": True}


def all_listed(run):
    """A check: the one error holds one for each attempt, in order, and all attempts are told."""
    (seen,) = run.asked
    assert [error.target for error in seen.error.exceptions] == [row.target for row in run.attempts()]
    assert [type(error) for error in seen.error.exceptions][:2] == [OverloadedError, ServerError]
    assert len(seen.error.attempts) == len(run.attempts())
    assert str(len(run.attempts())) in seen.error.message


async def before_and_after(face, run):
    """A good answer, then the outage of everybody."""
    seen = [await face.ask()]
    for target in "ab":
        run.server.script(f"{run.key}-{target}", ["http:status=503"])
    return [*seen, await face.ask()]


def flagged(run):
    """A check: the second answer says that it is a remembered one, in the ledger too."""
    fresh, stale = run.asked
    assert (fresh.completion.degraded, stale.completion.degraded) == (None, "stale_cache")
    assert [row.degraded for row in run.rows_of(CallRow)] == [None, "stale_cache"]


@pytest.mark.parametrize(
    ("case", "streamed"),
    params(
        both(83, "", fails(AllTargetsFailed, a=3, b=3), name="all down", breaker="failure",
             colours=ALL, check=all_listed, settings={"retry": {"base": 0.1, "cap": 0.1}}),
        both(83, "", all_fail(OverloadedError, ServerError, a=1, b=1), name="all down, no waiting", breaker="failure",
             check=all_listed,
             settings={"routes": {"chat": {"targets": ["a/m", "b/m"], "when_all_down": "fail"}}}),
        both(83, "", answers("a", a=range(2, 5), b=range(1, 4)), name="all down, remembered", breaker="failure",
             scenario=before_and_after, check=flagged, settings={"cache": {"ttl": 0, "stale": 600}}),
    ),
)  # fmt: skip
def test_83_all_providers_are_down(play, case, streamed):
    if case.scenario is None:
        case = replace(case, **DOWN)
    play(replace(case, fault=case.fault or "ok", fallback=True), streamed)


@STREAMED
def test_83_while_all_breakers_are_open_nothing_is_sent(play, streamed):
    async def scenario(face, run):
        for target in "ab":
            run.client.force_breaker(run.names[target], "open")
        return [await face.ask()]

    case = replace(both(83, "ok", all_fail(CircuitOpen, CircuitOpen), name="open", scenario=scenario), fallback=True)
    play(case, streamed)


# --- 84: who goes first -----------------------------------------------------------------------------------------------


def lined_up(order, *, pause_after=None, pause=0.0):
    """A scenario: calls of these priorities come one after the other while none may go; then they may.

    Args:
        order: The priorities.
        pause_after: After how many of them a pause comes.
        pause: How long it is.
    """

    async def scenario(face, run):
        def waiting():
            return run.client.queues()[run.names["a"]].waiting

        async def call(number, priority):
            await until(face, lambda: waiting() == number)
            if number == pause_after:
                await face.wait(pause)
            with aistrale.context(priority=priority, name=f"{number}-{priority}"):
                return await face.ask()

        async with face.stream("Hi", model=run.names["a"]) as stream:
            await anext(stream)

            async def release():
                await until(face, lambda: waiting() == len(order))
                # The blocking face gives nothing to await.
                if (closing := stream.close()) is not None:
                    await closing

            calls = (call(number, priority) for number, priority in enumerate(order))
            found = await face.together(release(), *calls)
        return found[1:]

    return scenario


def sent(run):
    """The names of the calls, in the order in which they were sent."""
    names = {row.call_id: row.name for row in run.rows_of(CallRow)}
    return [names[row.call_id] for row in sorted(run.attempts("a"), key=lambda row: row.at) if names[row.call_id]]


@STREAMED
def test_84_calls_go_by_priority_and_in_their_order(server, tmp_path, streamed):
    """Of five priorities there are three: high, normal, low."""
    order = ["low"] * 4 + ["normal"] * 4 + ["high"] * 4 + ["normal", "low", "high"] * 2
    case = both(84, "", answers("a"), script=("slow_stream:gap=0.05", "capacity:rps=14"), scenario=lined_up(order),
                settings={"limits": {"a": {"concurrency": 1, "rpm": 780, "burst": 0}}})  # fmt: skip
    for run in play_left(case, server, tmp_path, streamed=streamed):
        check_rows(run, {"success": len(order), "abandoned": 1})
        names = [f"{number}-{priority}" for number, priority in enumerate(order)]
        ranks = ("high", "normal", "low")
        assert sent(run) == sorted(names, key=lambda name: ranks.index(name.partition("-")[2]))
        # T1: the provider never had to say that it was too much.
        assert statuses(run, "a") == {200: len(order) + 1}


@STREAMED
def test_84_who_has_waited_long_goes_before_those_that_come_with_a_higher_priority(server, tmp_path, streamed):
    order = ["low", "normal", "high", "high", "high"]
    case = both(84, "", answers("a"), script=("slow_stream:gap=0.05", "ok"),
                scenario=lined_up(order, pause_after=2, pause=0.1),
                settings={"limits": {"a": {"concurrency": 1, "ageing": 0.02}}})  # fmt: skip
    for run in play_left(case, server, tmp_path, streamed=streamed):
        check_rows(run, {"success": len(order), "abandoned": 1})
        assert set(sent(run)[:2]) == {"0-low", "1-normal"}
        assert sent(run)[2:] == ["2-high", "3-high", "4-high"]


# --- 85: a second attempt beside a slow one ---------------------------------------------------------------------------

HEDGED = {"hedge": {"delay": 0.1}}


def loser_is_settled(run):
    """A check: the slow leg was cancelled, its provider knows, and both have their row."""
    assert {row.target: row.outcome for row in run.attempts()} == {
        run.names["a"]: "cancelled",
        run.names["b"]: "success",
    }
    assert run.stats["client_gone"] == 1


def later_is_better(run):
    """A check: the leg that failed has its row, and has decided nothing."""
    assert Counter(row.outcome for row in run.attempts()) == {"success": 1, "error": 1}


@pytest.mark.parametrize(
    ("case", "streamed"),
    params(
        both(85, "ok:delay=2", answers("b", a=1, b=1), fallback=True, settings=HEDGED, breaker="ignored",
             colours=("asyncio", "trio"), within=1.5, check=loser_is_settled),
        # H4: an error does not beat an answer that is still to come.
        both(85, "ok:delay=1.2", answers("a", a=1, b=1), name="the second fails", second="http:status=500",
             fallback=True, settings=HEDGED, colours=("asyncio", "trio"), check=later_is_better),
        # A thread that blocks can do nothing beside it.
        both(85, "ok:delay=0.3", answers("a", a=1), name="blocking", fallback=True, settings=HEDGED,
             colours=("sync",), least=0.3),
    ),
)  # fmt: skip
def test_85_hedging(play, case, streamed):
    play(case, streamed)


@STREAMED
def test_85_hedges_are_paid_from_the_retry_budget(play, streamed):
    """H5: an outage that makes everything slow does not double the load."""

    async def scenario(face, run):
        return [await face.ask() for _ in range(8)]

    # Of ten tokens those beyond five may be spent, and a success earns a tenth.
    expect = in_turn(*(answers("b"),) * 6, *(answers("a"),) * 2, a=8, b=6)
    case = replace(both(85, "ok:delay=0.2", expect, name="budget", scenario=scenario, settings=HEDGED), fallback=True)
    play(replace(case, colours=("asyncio",), breaker="ignored"), streamed)
