"""What a policy sees of a simulated exchange: clocks, errors, attempts, streams, as core's own send would show them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from aistrale.errors import (
    AttemptTimeout,
    ConnectError,
    DeadlineExceeded,
    NetworkError,
    OverloadedError,
    RateLimitError,
    ServerError,
    StreamInterrupted,
)
from aistrale.simulation import Cancelled
from aistrale.types import Finish, ReplyEnd, TextDelta


def outage(kind, **more):
    return {"kind": kind, "start": 10.0, "end": 20.0, **more}


def test_an_answer_takes_its_time_and_fills_in_the_attempt(stage):
    scene = stage(latency=0.25, price={"input": 1.0, "output": 10.0})
    answer, call = scene.run(at=3.0)
    (attempt,) = call.attempts
    assert answer == "A simulated answer."
    assert scene.runtime.now() == 3.25
    assert call.attempt is attempt
    assert (attempt.number, attempt.outcome, attempt.status) == (1, "success", 200)
    assert (attempt.started, attempt.latency, attempt.first_token) == (3.0, 0.25, 0.25)
    assert (attempt.usage.input, attempt.usage.output) == (500, 200)
    assert attempt.cost.usd == Decimal("0.0025")


@pytest.mark.parametrize(
    ("status", "kind"), [(503, OverloadedError), (500, ServerError), (529, OverloadedError), (429, RateLimitError)]
)
def test_an_error_has_the_class_that_its_status_has_anywhere(stage, status, kind):
    scene = stage(outages=[outage("error", status=status, retry_after=7)])
    error, call = scene.run(at=10.0)
    assert type(error) is kind
    assert (error.status, error.retry_after, error.target, error.attempt) == (status, 7.0, "openai/gpt-5-mini", 1)
    assert (call.attempt.outcome, call.attempt.status, call.attempt.error) == ("error", status, kind.__name__)
    assert scene.runtime.now() == pytest.approx(10.02)


def test_an_outage_has_a_beginning_and_an_end(stage):
    scene = stage(outages=[outage("error")])
    seen = [isinstance(scene.run(at=at)[0], OverloadedError) for at in (9.8, 10.0, 19.9, 20.0)]
    assert seen == [False, True, True, False]


def test_a_share_of_an_outage_hits_that_share(stage):
    scene = stage(outages=[{"kind": "error", "start": 0.0, "end": 1e6, "share": 0.3}])
    failed = sum(isinstance(scene.run(at=float(at))[0], OverloadedError) for at in range(2000))
    assert 540 < failed < 660


def test_a_refused_connection_was_never_sent(stage):
    error, call = stage(outages=[outage("refused")]).run(at=10.0)
    assert isinstance(error, ConnectError)
    assert (error.phase, error.sent, call.attempt.error) == ("connect", False, "ConnectError")


def test_an_unreachable_target_ends_with_the_connect_clock(stage):
    scene = stage(calls={"connect": 1.5}, outages=[outage("unreachable")])
    error, _ = scene.run(at=10.0)
    assert isinstance(error, AttemptTimeout)
    assert (error.phase, error.sent, scene.runtime.now()) == ("connect", False, 11.5)
    assert "connect" in str(error)


def test_a_black_hole_ends_with_the_first_token_clock(stage):
    scene = stage(outages=[outage("black_hole")])
    error, call = scene.run(at=10.0)
    assert isinstance(error, AttemptTimeout)
    assert (error.phase, error.sent, scene.runtime.now()) == ("headers", True, 12.0)
    assert (call.attempt.outcome, call.attempt.latency) == ("error", 2.0)


def test_a_black_hole_without_that_clock_ends_with_the_deadline(stage):
    scene = stage(calls={"first_token": "none"}, outages=[outage("black_hole")])
    error, _ = scene.run(at=10.0)
    assert isinstance(error, DeadlineExceeded)
    assert scene.runtime.now() == 25.0


def test_an_attempt_gives_way_to_other_targets_after_its_share(stage):
    scene = stage(outages=[{"kind": "black_hole", "start": 0.0, "end": 20.0}])
    call = scene.call()
    call.share_until = 1.25
    error, _ = scene.run(call)
    assert isinstance(error, AttemptTimeout)
    assert "share" in str(error)
    assert scene.runtime.now() == 1.25


def test_an_answer_that_comes_too_late_is_left_and_wasted(stage):
    scene = stage(latency=3.0)
    error, _ = scene.run()
    assert isinstance(error, AttemptTimeout)
    scene.runtime.kernel.run()
    tally = scene.world.places["openai/gpt-5-mini"].station.tally
    assert (tally.abandoned, tally.answered, tally.work, tally.wasted) == (1, 0, 3.0, 3.0)


def test_an_error_that_would_come_after_the_deadline_is_not_waited_for(stage):
    scene = stage(calls={"deadline": 1.0}, refusal=5.0, outages=[outage("error")])
    error, _ = scene.run(at=10.0)
    assert isinstance(error, DeadlineExceeded)
    assert scene.runtime.now() == 11.0


def test_what_is_late_before_it_is_sent_is_not_sent(stage):
    scene = stage()
    call = scene.call()
    error, _ = scene.run(call, at=15.0)
    assert isinstance(error, DeadlineExceeded)
    assert (len(call.attempts), len(scene.world.sent)) == (1, 0)
    assert scene.world.places["openai/gpt-5-mini"].station.tally.arrived == 0


def test_a_cancelled_call_is_settled_and_its_work_wasted(stage):
    scene = stage(latency=1.0)
    call = scene.call()
    task = scene.runtime.spawn(scene.ask(call))
    scene.runtime.kernel.at(0.5, lambda *_: task.cancel(), None, None)
    scene.runtime.kernel.run()
    assert isinstance(task.error, Cancelled)
    assert (call.attempt.outcome, call.attempt.latency) == ("cancelled", 0.5)
    assert scene.world.places["openai/gpt-5-mini"].station.tally.wasted == 1.0


def test_a_cut_answer_is_a_network_error_and_its_work_is_wasted(stage):
    scene = stage(latency=1.0, outages=[outage("cut")])
    error, call = scene.run(at=10.0)
    assert type(error) is NetworkError
    assert 10.0 < scene.runtime.now() < 11.0
    assert (error.phase, error.sent, call.attempt.status) == ("body", True, 200)
    scene.runtime.kernel.run()
    tally = scene.world.places["openai/gpt-5-mini"].station.tally
    assert (tally.work, tally.wasted, tally.answered) == (1.0, 1.0, 0)


def test_a_quota_says_when_to_come_back_and_what_is_left(stage):
    scene = stage(quota={"requests": 2, "window": 60})
    seen = [scene.run(at=at) for at in (10.0, 11.0, 12.5, 60.0)]
    assert [type(answer) for answer, _ in seen] == [str, str, RateLimitError, str]
    assert seen[2][0].retry_after == 48.0
    assert [call.attempt.limits.requests.remaining for _, call in seen] == [1, 0, 0, 1]
    assert seen[2][1].attempt.limits.requests.reset == 47.5


def test_a_full_queue_refuses(stage):
    scene = stage(latency=0.5, servers=1, queue=1, full_status=529)
    answers = []

    async def ask():
        try:
            answers.append(await scene.ask(scene.call()))
        except OverloadedError as error:
            answers.append(error.status)

    for _ in range(3):
        scene.runtime.spawn(ask())
    scene.runtime.kernel.run()
    assert answers == [529, "A simulated answer.", "A simulated answer."]
    assert scene.world.places["openai/gpt-5-mini"].station.tally.full == 1


def test_prices_of_the_catalog_hold_where_none_is_given(stage):
    known, _ = stage(name="openai/gpt-5-mini"), None
    assert known.world.price(known.call(), known.world.targets[0]) == Decimal("0.000525")


def test_an_invented_model_has_no_price(stage):
    scene = stage(name="here/invented")
    answer, call = scene.run()
    assert answer == "A simulated answer."
    assert call.attempt.cost.usd is None
    assert scene.world.places["here/invented"].cost() is None


# --- streams ----------------------------------------------------------------------------------------------------------


STREAM = {"stream": True}


def events(scene, at=0.0):
    """The events of one streamed call with their instants, the error if there was one, and the call."""
    seen, call = [], None

    async def body():
        nonlocal call
        await scene.runtime.sleep(at)
        call = scene.call()
        try:
            reply = await scene.pipeline(call)
            while (event := await reply.next()) is not None:
                seen.append((type(event), round(scene.runtime.now() - at, 6)))
        except Exception as error:  # noqa: BLE001 - the error is what is looked at
            return error
        return None

    return seen, scene.runtime.run(body()), call


def test_a_stream_comes_piece_by_piece(stage):
    scene = stage(calls=STREAM, latency=1.9, first_token=0.1, pieces=4)
    seen, error, call = events(scene)
    assert error is None
    assert [at for kind, at in seen if kind is TextDelta] == [0.1, 0.7, 1.3, 1.9]
    assert [at for kind, at in seen if kind in {Finish, ReplyEnd}] == [1.9, 1.9]
    assert (call.attempt.first_token, call.attempt.latency, call.attempt.outcome) == (0.1, 1.9, "success")
    assert call.attempt.usage.output == 200
    assert scene.world.places["openai/gpt-5-mini"].station.tally.answered == 1


def test_a_stream_of_one_piece_is_whole_at_once(stage):
    seen, error, _ = events(stage(calls=STREAM, latency=1.5, pieces=1))
    assert error is None
    assert {at for _, at in seen} == {1.5}


def test_only_the_first_content_is_under_the_first_clock(stage):
    seen, error, _ = events(stage(calls=STREAM, latency=9.0, first_token=1.0, pieces=5))
    assert error is None
    assert seen[-1] == (ReplyEnd, 9.0)


def test_a_stalled_stream_ends_with_the_clock_between_tokens(stage):
    scene = stage(calls={**STREAM, "between_tokens": 0.5}, latency=9.0, first_token=1.0, pieces=5)
    _, error, call = events(scene)
    assert isinstance(error, StreamInterrupted)
    assert "between_tokens" in str(error)
    assert (scene.runtime.now(), len(error.partial_text)) == (1.5, 160)
    assert call.attempt.outcome == "interrupted"
    scene.runtime.kernel.run()
    assert scene.world.places["openai/gpt-5-mini"].station.tally.wasted == 9.0


def test_a_stream_ends_with_the_deadline(stage):
    scene = stage(calls={**STREAM, "deadline": 3.0}, latency=9.0, first_token=1.0, pieces=5)
    _, error, _ = events(scene)
    assert isinstance(error, DeadlineExceeded)
    assert (scene.runtime.now(), bool(error.partial_text)) == (3.0, True)


def test_a_cut_stream_is_interrupted_or_fails_before_its_content(stage):
    scene = stage(calls=STREAM, latency=1.0, first_token=0.5, outages=[{**outage("cut"), "start": 0.0, "end": 1e4}])
    errors = [events(scene, at=2.0)[1] for _ in range(40)]
    assert {type(error) for error in errors} == {NetworkError, StreamInterrupted}


def test_a_stream_that_is_left_early_is_wasted(stage):
    scene = stage(calls=STREAM, latency=1.0, first_token=0.1)

    async def body():
        call = scene.call()
        reply = await scene.pipeline(call)
        await reply.next()
        await reply.close()
        return call

    call = scene.runtime.run(body())
    assert call.attempt.outcome == "abandoned"
    scene.runtime.kernel.run()
    assert scene.world.places["openai/gpt-5-mini"].station.tally.wasted == 1.0
