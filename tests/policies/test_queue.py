from __future__ import annotations

import asyncio
import gc
import random
import threading
from types import coroutine

import pytest

from aistrale.core.call import Attempt, Call, Clocks, Context, Target
from aistrale.core.http import AsyncHttp, SyncHttp
from aistrale.core.reply import Reply
from aistrale.core.runtime import AsyncRuntime, SyncRuntime, run_sync
from aistrale.cost.tokens.by_length import estimate_request, estimate_tokens
from aistrale.dialects.base import Profile
from aistrale.dialects.headers import RateLimits, Window
from aistrale.errors import (
    AttemptTimeout,
    BudgetExceeded,
    ConfigurationError,
    ConnectError,
    DeadlineExceeded,
    InvalidRequestError,
    NetworkError,
    OverloadedError,
    QueueFull,
    QueueTimeout,
    RateLimitError,
    ServerError,
)
from aistrale.policies.queue import Queue
from aistrale.providers import get_provider
from aistrale.reliability.gate import Gate
from aistrale.reliability.limits import LimitSettings
from aistrale.simulation import Cancelled, SimRuntime
from aistrale.types import Choice, Completion, EmbedRequest, Message, Request, TextDelta, Tool, Usage, Whole

ONE, TWO = (
    Target(
        name=f"openai/{model}",
        provider=get_provider("openai"),
        model=model,
        dialect="openai_chat",
        base_url="http://127.0.0.1",
        profile=Profile(provider="openai", model=model),
    )
    for model in ("one", "two")
)


def call_of(runtime, *, total=60.0, priority=None, others=(), **request):
    asked = Request(model="one", messages=[Message.user("x" * 400)], **request)
    call = Call(asked, [ONE, *others], runtime, clocks=Clocks(total=total), context=Context(priority=priority))
    call.others = list(others)
    return call


class Server:
    """The rest of the pipeline: begins an attempt, answers after a while with the next thing of its script."""

    def __init__(self, runtime, script=None, *, took=1.0, limits=None, usage=None):
        self.runtime = runtime
        self.script = script
        self.took = took
        self.limits = limits
        self.usage = usage
        self.began = []
        self.under_way = self.most = 0

    async def send(self, call):
        call.attempt = Attempt(len(call.attempts) + 1, call.target, self.runtime.now(), self.runtime.wall())
        attempt = call.attempt
        self.began.append((self.runtime.now(), call))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.runtime.sleep(self.took)
        finally:
            self.under_way -= 1
        attempt.limits = self.limits
        step = self.script.pop(0) if self.script else "fine"
        if isinstance(step, BaseException):
            attempt.status = getattr(step, "status", None)
            if isinstance(step, ServerError):
                attempt.status = step.status or 200  # told in an event of the stream
            raise step
        attempt.status = 200
        attempt.usage = self.usage
        if isinstance(step, Reply):
            return step
        return Reply([Whole(Completion(choices=[Choice(Message.assistant(step), "stop")]))])


class House:
    """A gate, the policy before it and a server behind it, in virtual time."""

    def __init__(self, script=None, *, took=1.0, limits=None, usage=None, **settings):
        self.runtime = SimRuntime(7)
        self.gate = Gate(ONE.name, LimitSettings(**settings))
        self.server = Server(self.runtime, script, took=took, limits=limits, usage=usage)
        self.policy = Queue(lambda target: self.gate)

    async def ask(self, call):
        reply = await self.policy(call, self.server.send)
        return (await reply.completion()).text

    def start(self, **options):
        return self.runtime.spawn(self.ask(call_of(self.runtime, **options)))

    def outcome(self, **options):
        """One call from beginning to end: its text or its error."""
        try:
            return self.runtime.run(self.ask(call_of(self.runtime, **options)))
        except Exception as error:  # noqa: BLE001 - what the test looks at
            return error

    def run(self):
        self.runtime.kernel.run()

    def is_idle(self):
        return (self.gate.in_flight, self.gate.waiting) == (0, 0)


# --- places ----------------------------------------------------------------------------------------------------------


def test_a_call_that_nothing_limits_passes_without_a_wait():
    house = House(took=0.0)
    assert house.outcome() == "fine"
    assert house.runtime.now() == 0.0
    assert house.is_idle()


def test_a_place_is_held_until_the_reply_is_closed():
    house = House(concurrency=1)
    held = house.runtime.run(house.policy(call_of(house.runtime), house.server.send))
    assert house.gate.in_flight == 1
    waiting = house.start()
    house.runtime.kernel.run(until=5.0)
    assert not waiting.done
    house.runtime.run(held.close())
    house.run()
    assert waiting.result == "fine"
    assert [instant for instant, _ in house.server.began] == [0.0, 5.0]
    assert house.is_idle()


def test_200_callers_share_the_places_that_there_are():
    house = House(concurrency=16)
    tasks = [house.start() for _ in range(200)]
    house.run()
    assert [task.result for task in tasks] == ["fine"] * 200
    assert house.server.most == 16
    assert house.server.began[-1][0] == 12.0
    assert house.is_idle()


@pytest.mark.parametrize(
    "error",
    [
        ServerError("down", status=500),
        ConnectError("refused"),
        InvalidRequestError("cannot be said"),
        ValueError("a bug"),
        KeyboardInterrupt(),
        SystemExit(1),
        GeneratorExit(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_way_out_gives_the_place_back(error):
    house = House([error], concurrency=1, took=0.0)
    runtime = SyncRuntime(SyncHttp())
    house.server.runtime = runtime
    with pytest.raises(type(error)):
        run_sync(house.policy(call_of(runtime), house.server.send))
    assert house.is_idle()


def test_a_pause_that_fits_into_the_deadline_of_a_call_is_over_before_it():
    for seed in range(20):
        house = House([RateLimitError("slow down", status=429, retry_after=1.0)], took=0.0)
        house.runtime.random.seed(seed)
        assert isinstance(house.outcome(total=1.4), RateLimitError)
        # Its retry comes within 1.35 s, and must not find the gate closed for longer than that.
        assert 1.0 <= house.gate.snapshot(house.runtime.now()).blocked <= 1.35


def test_a_reply_that_is_forgotten_gives_its_place_back():
    house = House([Reply([TextDelta("half")], Endless())], concurrency=1)
    reply = house.runtime.run(house.policy(call_of(house.runtime), house.server.send))
    assert house.gate.in_flight == 1
    del reply
    gc.collect()
    assert house.is_idle()
    # It tells nothing of how long a whole answer takes.
    holder = house.gate.admit(now=1.0)
    assert holder
    assert house.gate.expected_wait(1.0) is None


def test_a_coroutine_that_is_dropped_in_the_middle_gives_its_place_back():
    house = House(concurrency=1)
    runtime = house.server.runtime = Stuck()
    house.gate.throttled(5.0, 0.0)
    waits = house.policy(call_of(runtime), house.server.send)
    waits.send(None)
    assert house.gate.waiting == 1
    waits.close()
    assert house.is_idle()
    runtime.kernel.now = 5.0
    sends = house.policy(call_of(runtime), house.server.send)
    sends.send(None)
    assert house.gate.in_flight == 1
    sends.close()
    assert house.is_idle()


class Stuck(SimRuntime):
    """Whoever waits here is left alone."""

    def waiter(self):
        return self

    @coroutine
    def wait(self, seconds):
        yield

    sleep = wait

    def wake(self):
        pass


class Endless:
    """A stream that goes on as long as somebody reads."""

    async def pull(self):
        return [TextDelta("more")]

    async def close(self):
        pass

    def abandon(self):
        pass

    def broken(self, error, partial):
        return error


class Breaking(Endless):
    """A stream that breaks before it has said anything."""

    def __init__(self, error):
        self.error = error

    async def pull(self):
        raise self.error


# --- waiting ---------------------------------------------------------------------------------------------------------


def test_with_another_target_to_try_nothing_waits():
    house = House(concurrency=1)
    first = house.start()
    house.runtime.kernel.run(until=0.5)
    error = house.outcome(others=[TWO])
    assert isinstance(error, QueueTimeout)
    assert house.runtime.now() == 0.5
    assert (error.provider, error.target) == ("openai", ONE.name)
    house.run()
    assert first.result == "fine"


def test_an_announced_pause_is_not_waited_for_with_another_target_to_try():
    house = House([RateLimitError("slow down", status=429, retry_after=5.0)])
    assert isinstance(house.outcome(), RateLimitError)
    error = house.outcome(others=[TWO])
    assert isinstance(error, QueueTimeout)
    assert 5.0 <= error.expected_wait <= 6.5
    assert house.runtime.now() == 1.0
    assert len(house.server.began) == 1


def test_the_wait_ends_with_the_deadline():
    house = House(concurrency=1, took=30.0)
    first = house.start()
    house.runtime.kernel.run(until=1.0)
    error = house.outcome(total=4.0)
    assert isinstance(error, QueueTimeout)
    assert "waited 4 s, position 1 of 1" in str(error)
    assert house.runtime.now() == pytest.approx(5.0, abs=0.002)
    assert len(house.server.began) == 1
    house.run()
    assert first.result == "fine"


def test_the_wait_ends_with_the_timeout_of_the_queue():
    house = House(concurrency=1, took=30.0, queue_timeout=2.0)
    house.start()
    house.runtime.kernel.run(until=1.0)
    assert isinstance(house.outcome(total=None), QueueTimeout)
    assert house.runtime.now() == pytest.approx(3.0, abs=0.002)


def test_without_deadline_and_timeout_it_takes_as_long_as_it_takes():
    house = House(concurrency=1, took=500.0)
    tasks = [house.start(total=None) for _ in range(3)]
    house.run()
    assert [task.result for task in tasks] == ["fine"] * 3


def test_a_wait_beyond_the_deadline_is_refused_at_once():
    house = House(rpm=60, burst=0, concurrency=None, took=0.0)
    tasks = [house.start() for _ in range(4)]
    house.runtime.kernel.run(until=0.0)
    error = house.outcome(total=2.0)
    assert isinstance(error, QueueTimeout)
    assert error.expected_wait == pytest.approx(4.0)
    assert "expected wait: 4 s" in str(error)
    assert house.runtime.now() == 0.0
    house.run()
    assert [task.result for task in tasks] == ["fine"] * 4
    assert [instant for instant, _ in house.server.began] == pytest.approx([0.0, 1.0, 2.0, 3.0], abs=0.005)


def test_a_deadline_that_has_passed_is_refused():
    house = House(concurrency=1)
    house.start()
    house.runtime.kernel.run(until=0.1)
    call = call_of(house.runtime, total=1.0)
    house.runtime.kernel.now = 0.9
    call.deadline = 0.5
    with pytest.raises(QueueTimeout):
        house.runtime.run(house.ask(call))


def test_the_queue_is_of_limited_size():
    house = House(concurrency=1, queue=2)
    tasks = [house.start() for _ in range(3)]
    house.runtime.kernel.run(until=0.0)
    assert isinstance(house.outcome(), QueueFull)
    house.run()
    assert [task.result for task in tasks] == ["fine"] * 3


def test_a_target_of_20_calls_a_second_serves_high_first_and_starves_nobody():
    house = House(rpm=1200, burst=0, concurrency=None, took=0.1, queue=1000, ageing=2.0)
    rng = random.Random(3)
    tasks = []
    for number in range(400):
        priority = rng.choice(["high", "normal", "low"])
        tasks.append((priority, house.start(priority=priority, total=None)))
        house.runtime.kernel.run(until=0.03 * (number + 1))
    house.run()
    assert all(task.result == "fine" for _, task in tasks)
    instants = [instant for instant, _ in house.server.began]
    for first, later in zip(instants, instants[20:], strict=False):
        assert later - first >= 1.0 - 0.01
    waits = {name: [] for name in ("high", "normal", "low")}
    for instant, call in house.server.began:
        waits[call.priority].append(instant - call.started)
    means = {name: sum(values) / len(values) for name, values in waits.items()}
    assert means["high"] < means["normal"] < means["low"]
    # The backlog grows to 8 s, and a low call can be passed by what comes up to 4 s after it.
    assert max(waits["low"]) < 8.0 + 4.0
    for name in waits:
        order = [call.started for _, call in house.server.began if call.priority == name]
        assert order == sorted(order)


def test_a_call_may_be_cancelled_at_any_moment():
    count = 0
    for seed in range(40):
        rng = random.Random(seed)
        house = House(
            concurrency=2, rpm=rng.choice([None, 120]), tpm=rng.choice([None, 1e6]), burst=1, took=0.4, queue=50
        )
        tasks = []
        for _ in range(20):
            tasks.append(house.start(priority=rng.choice(["high", "normal", "low"])))
            house.runtime.kernel.run(until=house.runtime.now() + rng.choice([0.0, 0.1, 0.4]))
            if rng.random() < 0.5:
                rng.choice(tasks).cancel()
        house.run()
        assert house.is_idle()
        assert house.server.most <= 2
        cancelled = [task for task in tasks if isinstance(task.error, Cancelled)]
        count += len(cancelled)
        assert all(task.result == "fine" for task in tasks if task not in cancelled)
        house.runtime.kernel.now += 100.0
        left = house.gate.snapshot(house.runtime.now()).left
        assert left.get("tokens", 1e6 / 60) == pytest.approx(1e6 / 60)
    assert count > 100


# --- what the provider says ------------------------------------------------------------------------------------------


def test_after_a_429_nothing_is_sent_before_the_announced_instant():
    house = House([RateLimitError("slow down", status=429, retry_after=3.0)], took=0.0)
    assert isinstance(house.outcome(), RateLimitError)
    tasks = [house.start() for _ in range(5)]
    house.run()
    assert [task.result for task in tasks] == ["fine"] * 5
    later = [instant for instant, _ in house.server.began[1:]]
    assert min(later) >= 3.0
    assert max(later) <= 4.0
    assert house.gate.limit == 9


@pytest.mark.parametrize(
    ("error", "limit"),
    [
        (RateLimitError("slow down", status=429), 9),
        (OverloadedError("busy", status=529), 9),
        (AttemptTimeout("no content", clock="first_token", phase="headers", sent=True), 9),
        (AttemptTimeout("no connection", clock="connect", phase="connect"), 100),
        (ServerError("down", status=500), 100),
        (NetworkError("reset", sent=True), 100),
        (InvalidRequestError("odd", status=400), 100),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_throttling_and_timeouts_cut_the_concurrency(error, limit):
    house = House([error], max_concurrency=100)
    assert house.outcome() is error
    assert house.gate.limit == limit


def test_an_error_before_the_first_content_of_a_stream_counts_as_well():
    error = OverloadedError("busy", status=529, retry_after=4.0)
    house = House([Reply([], Breaking(error))], max_concurrency=100)

    async def ask():
        reply = await house.policy(call_of(house.runtime), house.server.send)
        await reply.prefetch(lambda seen: bool(seen.completion.text))

    with pytest.raises(OverloadedError):
        house.runtime.run(ask())
    assert house.gate.limit == 9
    assert house.gate.snapshot(house.runtime.now()).blocked >= 4.0
    assert house.is_idle()


@pytest.mark.parametrize("fails", [False, True])
def test_rate_limit_headers_are_heeded(fails):
    limits = RateLimits(requests=Window(60, 0, 60.0))
    house = House([ServerError("down", status=500)] if fails else [], took=0.0, limits=limits)
    house.outcome()
    assert house.gate.snapshot(0.0).left == {"requests": 0.0}
    second = house.start()
    house.run()
    assert second.result == "fine"
    assert house.server.began[1][0] == pytest.approx(1.0, abs=0.002)


# --- tokens ----------------------------------------------------------------------------------------------------------


def test_tokens_are_reserved_and_settled_with_the_usage():
    usage = Usage(input=1070, cache_read=3000, output=511, reasoning=9)
    house = House(tpm=6000, itpm=6000, otpm=6000, usage=usage)
    task = house.start(max_tokens=1000)
    house.runtime.kernel.run(until=0.5)
    reserved = house.gate.snapshot(0.5).left
    assert reserved == {"tokens": 6000 - 1104 + 50, "input_tokens": 6000 - 104 + 50, "output_tokens": 5000 + 50}
    house.run()
    assert task.result == "fine"
    left = house.gate.snapshot(house.runtime.now()).left
    assert left == {"tokens": 6100 - 4590, "input_tokens": 6100 - 1070, "output_tokens": 6100 - 520}


@pytest.mark.parametrize(
    ("error", "left"),
    [
        (RateLimitError("slow down", status=429), (9, 6000)),
        (InvalidRequestError("odd", status=400), (9, 6000)),
        (ConnectError("refused"), (10, 6000)),
        (NetworkError("reset", sent=True), (9, 5896)),
        (ServerError("down", status=None), (9, 5896)),
        (DeadlineExceeded("too late"), (9, 5896)),
        (BudgetExceeded("spent"), (10, 6000)),
        (InvalidRequestError("cannot be said"), (10, 6000)),
        (ConfigurationError("no such header"), (10, 6000)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_a_failed_attempt_gives_back_what_it_cannot_have_used(error, left):
    house = House([error], took=0.0, rpm=10, tpm=6000)
    house.outcome(max_tokens=1000)
    assert tuple(house.gate.snapshot(0.0).left.values()) == left


def test_a_call_that_is_cancelled_under_way_has_used_its_request_and_its_input():
    house = House(rpm=10, tpm=6000)
    task = house.start(max_tokens=1000)
    house.runtime.kernel.run(until=0.0)
    task.cancel()
    house.runtime.kernel.run(until=0.0)
    assert isinstance(task.error, Cancelled)
    assert house.gate.snapshot(0.0).left == {"requests": 9, "tokens": 5896}


def test_a_call_that_fails_before_its_attempt_uses_nothing():
    house = House(rpm=10, tpm=6000)

    async def refuse(call):
        raise InvalidRequestError("cannot be said")

    with pytest.raises(InvalidRequestError):
        house.runtime.run(house.policy(call_of(house.runtime, max_tokens=1000), refuse))
    assert house.gate.snapshot(0.0).left == {"requests": 10, "tokens": 6000}


def test_the_attempt_before_is_not_taken_for_one_that_was_not_begun():
    house = House(rpm=10)
    call = call_of(house.runtime)
    call.attempt = Attempt(1, ONE, 0.0, 0.0, status=429)

    async def interrupt(call):
        raise Cancelled

    with pytest.raises(Cancelled):
        house.runtime.run(house.policy(call, interrupt))
    assert house.gate.snapshot(0.0).left == {"requests": 10}


def test_without_a_limit_of_tokens_nothing_is_estimated(monkeypatch):
    monkeypatch.setattr("aistrale.policies.queue.estimate_request", None)
    house = House(rpm=60)
    assert house.outcome() == "fine"


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("日本語", 3), ("\ud800", 1), ("é" * 8, 4)]
)
def test_four_characters_are_about_a_token(text, tokens):
    assert estimate_tokens(text) == tokens


def test_all_of_a_request_is_estimated():
    tool = Tool("look", "Looks up a word.", {"type": "object"})
    plain = Request(model="m", messages=[Message.user("x" * 40), Message.tool("call_1", "y" * 400)])
    assert estimate_request(plain) == (10 + 100 + 2 * 4, None)
    rich = Request(model="m", messages=plain.messages, tools=[tool], max_tokens=50, n=3)
    assert estimate_request(rich) == (118 + 1 + 4 + 5, 150)
    assert estimate_request(EmbedRequest(model="m", inputs=["x" * 40, [1, 2, 3]])) == (13, 0)


# --- on real threads and loops ---------------------------------------------------------------------------------------


def test_threads_wait_for_each_other():
    runtime = SyncRuntime(SyncHttp())
    gate = Gate(ONE.name, LimitSettings(concurrency=3))
    policy = Queue(lambda target: gate)
    under_way, most, texts = [], [], []
    three = threading.Barrier(3)

    async def send(call):
        under_way.append(call)
        most.append(len(under_way))
        three.wait(timeout=30.0)
        under_way.remove(call)
        return Reply([Whole(Completion(choices=[Choice(Message.assistant("fine"), "stop")]))])

    async def ask():
        reply = await policy(call_of(runtime), send)
        return (await reply.completion()).text

    threads = [threading.Thread(target=lambda: texts.append(run_sync(ask())), daemon=True) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
    assert texts == ["fine"] * 24
    assert max(most) == 3
    assert (gate.in_flight, gate.waiting) == (0, 0)


def test_tasks_are_cancelled_while_they_wait():
    gate = Gate(ONE.name, LimitSettings(concurrency=2))
    policy = Queue(lambda target: gate)

    async def body():
        runtime = AsyncRuntime(AsyncHttp())
        rng = random.Random(5)
        most = []

        async def send(call):
            most.append(gate.in_flight)
            for _ in range(rng.randrange(5)):
                await asyncio.sleep(0)
            return Reply([Whole(Completion(choices=[Choice(Message.assistant("fine"), "stop")]))])

        async def ask():
            reply = await policy(call_of(runtime), send)
            return (await reply.completion()).text

        tasks = [asyncio.create_task(ask()) for _ in range(200)]
        for _ in range(100):
            await asyncio.sleep(0)
            rng.choice(tasks).cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await runtime.http.close()
        return results, most

    results, most = asyncio.run(body())
    assert max(most) <= 2
    assert {result for result in results if isinstance(result, str)} == {"fine"}
    assert any(isinstance(result, asyncio.CancelledError) for result in results)
    assert all(isinstance(result, (str, asyncio.CancelledError)) for result in results)
    assert (gate.in_flight, gate.waiting) == (0, 0)


def test_a_thread_is_woken_by_a_task_of_a_loop():
    gate = Gate(ONE.name, LimitSettings(concurrency=1))
    policy = Queue(lambda target: gate)
    texts = []

    async def send(call):
        return Reply([Whole(Completion(choices=[Choice(Message.assistant("fine"), "stop")]))])

    async def from_loop():
        runtime = AsyncRuntime(AsyncHttp())
        reply = await policy(call_of(runtime), send)
        thread = threading.Thread(target=from_thread, daemon=True)
        thread.start()
        while not gate.waiting:  # noqa: ASYNC110 - another thread brings that about
            await asyncio.sleep(0)
        await reply.completion()
        await asyncio.to_thread(thread.join, 30.0)
        await runtime.http.close()

    async def ask():
        reply = await policy(call_of(SyncRuntime(SyncHttp())), send)
        return (await reply.completion()).text

    def from_thread():
        texts.append(run_sync(ask()))

    asyncio.run(from_loop())
    assert texts == ["fine"]


def test_it_describes_itself():
    assert "per minute" in Queue(lambda target: Gate(target.name)).describe()
