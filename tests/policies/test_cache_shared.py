"""Single flight: calls that ask for the same at the same time, on threads, tasks and several event loops."""

from __future__ import annotations

import asyncio
import copy
import gc
import threading

import anyio
import anyio.lowlevel
import pytest
import trio

from aistrale.core.http import AsyncHttp
from aistrale.errors import DeadlineExceeded, ServerError
from aistrale.policies.cache import AnswerCache, Cache, CacheSettings
from aistrale.types import ReplyEnd
from tests.policies.upstream import (
    DRIVES,
    Awaiting,
    Clocked,
    Desk,
    Upstream,
    blocking,
    drive_sync,
    lesser,
    pulled,
    said,
)


@pytest.fixture(autouse=True)
def clock():
    Clocked.time = 0.0


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    return "memory" if request.param == "memory" else f"sqlite:///{tmp_path}/answers.db"


@pytest.fixture(params=DRIVES)
def drive(request):
    return DRIVES[request.param]


@pytest.fixture
def desk():
    opened = []

    def make(upstream, *, inside=(), **settings):
        answers = AnswerCache(CacheSettings(**settings))
        opened.append(answers)
        return Desk(upstream, Cache(answers), *inside)

    yield make
    for answers in opened:
        answers.close()


def waiting(made):
    flights = made.pipeline.places[0][1]._flights
    return sum(len(flight.waiting) for flight in list(flights._flights.values()))


async def until(condition):
    """Let the other tasks go on until it holds."""
    with anyio.fail_after(10):
        while not condition():
            await anyio.lowlevel.checkpoint()


def in_threads(made, number, *, runtime=None, **options):
    """So many threads that ask; their answers, calls and errors come in with time."""
    found = []
    runtime = runtime or blocking()

    def ask():
        call = made.call(runtime, **options)
        try:
            found.append((drive_sync(lambda _: made.run(call)), call))
        except BaseException as error:  # noqa: BLE001 - what the test looks at
            found.append((error, call))

    threads = [threading.Thread(target=ask) for _ in range(number)]
    for thread in threads:
        thread.start()
    return threads, found


def wait_for(condition):
    pause = threading.Event()
    for _ in range(10_000):
        if condition():
            return
        pause.wait(0.001)
    raise AssertionError("it did not come to that")


def joined(threads):
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)


class Group:
    """Tasks that ask at the same time, on asyncio and on trio."""

    def __init__(self, made, runtime, tasks):
        self.made, self.runtime, self.tasks = made, runtime, tasks
        self.found = []

    def start(self, number=1, **options):
        for _ in range(number):
            self.tasks.start_soon(self._ask, options)

    async def _ask(self, options):
        call = self.made.call(self.runtime, **options)
        try:
            self.found.append((await self.made.run(call), call))
        except Exception as error:  # noqa: BLE001 - what the test looks at
            self.found.append((error, call))

    @property
    def texts(self):
        return [answer.text for answer, _ in self.found]

    @property
    def kinds(self):
        return sorted(type(answer).__name__ for answer, _ in self.found)


@pytest.fixture(params=["asyncio", "trio"])
def together(request):
    """Runs a body with a group of tasks of one loop."""

    def run(made, body):
        async def whole(runtime):
            async with anyio.create_task_group() as tasks:
                group = Group(made, runtime, tasks)
                await body(group)
            return group.found

        return DRIVES[request.param](whole)

    return run


def test_tasks_that_ask_for_the_same_share_one_exchange(desk, together, store):
    upstream = Upstream()
    upstream.holding = True
    made = desk(upstream, store=store)

    async def body(group):
        group.start(20)
        await until(lambda: upstream.held and waiting(made) == 19)
        upstream.release()

    found = together(made, body)
    assert len(upstream.asked) == 1
    assert [answer.text for answer, _ in found] == ["Hello"] * 20
    assert sorted(call.degraded or "" for _, call in found) == ["", *["cache"] * 19]
    assert len({id(answer.choices[0]) for answer, _ in found}) == 20


def test_threads_that_ask_for_the_same_share_one_exchange(desk, store):
    upstream = Upstream()
    upstream.holding = True
    made = desk(upstream, store=store)
    threads, found = in_threads(made, 10)
    wait_for(lambda: upstream.held and waiting(made) == 9)
    upstream.release()
    joined(threads)
    assert len(upstream.asked) == 1
    assert [answer.text for answer, _ in found] == ["Hello"] * 10


def test_event_loops_and_threads_share_one_exchange(desk):
    upstream = Upstream()
    upstream.holding = True
    made = desk(upstream)
    found = []

    def loop(run):
        async def body():
            runtime = Awaiting(AsyncHttp())
            found.append((await made.ask(runtime))[0].text)
            await runtime.http.close()

        run(body)

    threads, more = in_threads(made, 2)
    runs = [lambda body: asyncio.run(body()), trio.run, lambda body: asyncio.run(body()), trio.run]
    loops = [threading.Thread(target=loop, args=(run,)) for run in runs]
    for thread in loops:
        thread.start()
    wait_for(lambda: upstream.held and waiting(made) == 5)
    upstream.release()
    joined([*threads, *loops])
    assert len(upstream.asked) == 1
    assert found + [answer.text for answer, _ in more] == ["Hello"] * 6


def test_a_leader_that_fails_keeps_its_error_and_one_takes_over(desk, together):
    upstream = Upstream(ServerError("down"), said("from the second"))
    upstream.holding = True
    made = desk(upstream)

    async def body(group):
        group.start(5)
        await until(lambda: upstream.held and waiting(made) == 4)
        upstream.release()
        await until(lambda: upstream.held)
        assert waiting(made) == 3
        assert len(upstream.asked) == 2
        upstream.release()

    found = together(made, body)
    assert len(upstream.asked) == 2
    assert sorted(type(answer).__name__ for answer, _ in found) == ["Completion"] * 4 + ["ServerError"]


def test_when_all_fail_each_has_an_error_of_its_own(desk, together):
    upstream = Upstream(lambda call: ServerError("down"))
    upstream.holding = True
    made = desk(upstream)
    crowd = []

    async def body(group):
        group.start(8)
        await until(lambda: upstream.held and waiting(made) == 7)
        while len(group.found) < 8:
            crowd.append(len(upstream.held))
            while upstream.held:
                upstream.release()
            await until(lambda: upstream.held or len(group.found) == 8)
            await until(lambda: len(group.found) + len(upstream.held) + waiting(made) == 8)

    found = together(made, body)
    errors = [answer for answer, _ in found]
    assert {type(error) for error in errors} == {ServerError}
    assert len({id(error) for error in errors}) == 8
    assert crowd == [1, 1, 2, 4]


def test_a_leader_that_is_cancelled_is_replaced(desk, together):
    upstream = Upstream(said("nobody hears it"), said("from the second"))
    upstream.holding = True
    made = desk(upstream)

    async def body(group):
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                leader = Group(made, group.runtime, tasks)
                leader.start()
                await until(lambda: upstream.held)
                group.start(3)
                await until(lambda: waiting(made) == 3)
                scope.cancel()
        assert leader.found == []
        await until(lambda: len(upstream.asked) == 2)
        assert waiting(made) == 2
        upstream.held[1].wake()

    found = together(made, body)
    assert [answer.text for answer, _ in found] == ["from the second"] * 3
    assert len(upstream.asked) == 2


def test_a_leader_whose_thread_is_interrupted_is_replaced(desk):
    upstream = Upstream(KeyboardInterrupt(), said("from the second"))
    upstream.holding = True
    made = desk(upstream)
    threads, found = in_threads(made, 3)
    wait_for(lambda: upstream.held and waiting(made) == 2)
    upstream.release()
    wait_for(lambda: upstream.held)
    upstream.release()
    joined(threads)
    assert sorted(type(answer).__name__ for answer, _ in found) == ["Completion", "Completion", "KeyboardInterrupt"]
    assert len(upstream.asked) == 2


def test_a_leader_whose_coroutine_is_thrown_away_is_replaced(desk, drive):
    """As when a loop is closed under it: nobody awaits it any more, and a finalizer closes it."""
    made = desk(Upstream(said("from the second")))

    class Never:
        def __await__(self):
            yield

    async def stuck(call):
        await Never()

    async def body(runtime):
        policy = made.pipeline.places[0][1]
        leader = policy(made.call(runtime), stuck)
        leader.send(None)
        threads, found = in_threads(made, 1)
        wait_for(lambda: waiting(made) == 1)
        del leader
        gc.collect()
        joined(threads)
        return found[0][0].text

    assert drive(body) == "from the second"


def test_a_follower_that_is_cancelled_leaves_and_is_not_called(desk, together):
    upstream = Upstream(ServerError("down"), said())
    upstream.holding = True
    made = desk(upstream)

    async def body(group):
        group.start()
        await until(lambda: upstream.held)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                Group(made, group.runtime, tasks).start()
                await until(lambda: waiting(made) == 1)
                scope.cancel()
        assert waiting(made) == 0
        group.start()
        await until(lambda: waiting(made) == 1)
        upstream.release()
        await until(lambda: upstream.held)
        upstream.release()

    found = together(made, body)
    assert sorted(type(answer).__name__ for answer, _ in found) == ["Completion", "ServerError"]


def test_a_follower_waits_no_longer_than_its_deadline(desk, together):
    upstream = Upstream()
    upstream.holding = True
    made = desk(upstream, inside=[refuses_when_late])

    async def body(group):
        group.start()
        await until(lambda: upstream.held)
        group.start(total=0.02)
        await until(lambda: group.found)
        assert group.kinds == ["DeadlineExceeded"]
        assert waiting(made) == 0
        upstream.release()

    found = together(made, body)
    assert len(upstream.asked) == 1
    assert sorted(type(answer).__name__ for answer, _ in found) == ["Completion", "DeadlineExceeded"]


async def refuses_when_late(call, call_next, /):
    """What stands inside refuses a call that has no time left."""
    if (call.remaining() or 1.0) <= 0:
        raise DeadlineExceeded("too late")
    return await call_next(call)


def test_a_thread_that_follows_waits_no_longer_than_its_deadline(desk):
    upstream = Upstream()
    upstream.holding = True
    made = desk(upstream, inside=[refuses_when_late])
    threads, found = in_threads(made, 1)
    wait_for(lambda: upstream.held)
    late, errors = in_threads(made, 1, total=0.02)
    joined(late)
    assert type(errors[0][0]) is DeadlineExceeded
    upstream.release()
    joined(threads)
    assert found[0][0].text == "Hello"


def test_an_answer_that_is_not_remembered_sends_the_others_off_at_once(desk, together):
    upstream = Upstream(said("cut", reason="length"))
    upstream.holding = True
    made = desk(upstream)

    async def body(group):
        group.start(5)
        await until(lambda: upstream.held and waiting(made) == 4)
        upstream.release()
        await until(lambda: len(upstream.held) == 4)
        while upstream.held:
            upstream.release()

    found = together(made, body)
    assert len(upstream.asked) == 5
    assert [answer.text for answer, _ in found] == ["cut"] * 5
    assert {call.degraded for _, call in found} == {None}


def test_a_lesser_answer_is_its_callers_own(desk, together):
    upstream = Upstream()
    upstream.holding = True
    made = desk(upstream, inside=[lesser])

    async def body(group):
        group.start(3)
        await until(lambda: upstream.held and waiting(made) == 2)
        upstream.release()
        await until(lambda: upstream.held)
        assert waiting(made) == 1
        upstream.release()
        await until(lambda: upstream.held)
        upstream.release()

    found = together(made, body)
    assert [call.degraded for _, call in found] == ["smaller_model"] * 3


def test_a_streamed_call_gets_the_answer_of_a_plain_one_as_events(desk, together):
    upstream = Upstream()
    upstream.holding = True
    made = desk(upstream)
    events = []

    async def read(runtime):
        reply = await made.pipeline(made.call(runtime, stream=True))
        events.extend(await pulled(reply))

    async def body(group):
        group.start()
        await until(lambda: upstream.held)
        group.tasks.start_soon(read, group.runtime)
        await until(lambda: waiting(made) == 1)
        upstream.release()

    together(made, body)
    assert len(upstream.asked) == 1
    assert [event.text for event in events if event.text] == ["Hello"]
    assert type(events[-1]) is ReplyEnd


def test_nobody_waits_for_a_stream(desk, together):
    upstream = Upstream()
    upstream.holding = True
    made = desk(upstream)

    async def body(group):
        group.start(2, stream=True)
        await until(lambda: len(upstream.held) == 2)
        group.start()
        await until(lambda: len(upstream.held) == 3)
        while upstream.held:
            upstream.release()

    found = together(made, body)
    assert [answer.text for answer, _ in found] == ["Hello"] * 3


def test_a_blocking_call_inside_a_running_loop_does_not_wait_for_a_task_of_that_loop(desk):
    upstream = Upstream()
    upstream.holding = True
    made = desk(upstream)

    async def body():
        runtime = Awaiting(AsyncHttp())
        async with anyio.create_task_group() as tasks:
            group = Group(made, runtime, tasks)
            group.start()
            await until(lambda: upstream.held)
            upstream.holding = False
            call = made.call(blocking())
            answer = drive_sync(lambda _: made.run(call))
            left = call.remaining()
            upstream.release()
        await runtime.http.close()
        return answer.text, left

    text, left = asyncio.run(body())
    assert text == "Hello"
    assert left > 30
    assert len(upstream.asked) == 2


def test_without_single_flight_everybody_asks(desk, together):
    upstream = Upstream()
    upstream.holding = True
    made = desk(upstream, single_flight=False)

    async def body(group):
        group.start(3)
        await until(lambda: len(upstream.held) == 3)
        while upstream.held:
            upstream.release()

    together(made, body)
    assert len(upstream.asked) == 3


def test_other_requests_do_not_wait(desk, together):
    upstream = Upstream()
    upstream.holding = True
    made = desk(upstream)

    async def body(group):
        group.start(text="one")
        group.start(text="two")
        await until(lambda: len(upstream.held) == 2)
        upstream.release()
        upstream.release()

    together(made, body)
    assert len(upstream.asked) == 2


def test_nothing_is_left_of_a_flight(desk, together):
    upstream = Upstream(ServerError("down"), said())
    made = desk(upstream)

    async def body(group):
        group.start(10)

    together(made, body)
    assert len(made.pipeline.places[0][1]._flights) == 0


def test_answers_shared_by_threads_are_asked_for_once_until_they_expire(desk):
    upstream = Upstream(lambda call: said(call.request.messages[0].text))
    made = desk(upstream)
    wrong = []
    runtime = blocking()

    def work():
        for number in range(150):
            text = f"question {number % 5}"
            answer = drive_sync(lambda _, text=text: made.run(made.call(runtime, text)))
            if answer.text != text:
                wrong.append(copy.copy(answer))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    joined(threads)
    assert wrong == []
    assert len(upstream.asked) == 5
