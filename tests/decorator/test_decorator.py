"""`aistrale.llm`: the context of the calls inside, the time of the function, and what sinks are told."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trio

import aistrale
from aistrale import default
from aistrale.errors import AuthenticationError, ConfigurationError, DeadlineExceeded, InvalidRequestError
from aistrale.privacy import Triggers
from aistrale.scope import current
from aistrale.telemetry import MemorySink
from aistrale.testing import Fault, simulator

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def sim():
    with simulator() as running:
        yield running


@pytest.fixture
def sink(sim):
    """The process-wide client tells this one."""
    aistrale.shutdown()
    sim.reset()
    memory = MemorySink()
    default.init(**sim.settings(), ledger="off", sinks=[memory])
    yield memory
    aistrale.shutdown()


def finished(sink):
    return sink.of("function.finished")


# --- options ----------------------------------------------------------------------------------------------------------


def test_the_context_of_all_calls_inside_is_set():
    @aistrale.llm(
        user="u",
        workspace="w",
        project="p",
        session="s",
        tags={"b": "2"},
        route="r",
        budget="0.05",
        priority="low",
        capture=False,
    )
    def function():
        return current()

    with aistrale.context(user="outer", tags={"a": "1"}):
        found = function()
    assert found == aistrale.Context(
        user="u", workspace="w", project="p", session="s", name=f"{function.__name__}", tags={"a": "1", "b": "2"},
        route="r", budget="0.05", priority="low", capture=False,
    )  # fmt: skip


def test_the_name_is_the_functions_own_unless_it_is_given():
    class Bot:
        @aistrale.llm
        def ask(self):
            return current().name

    names = [
        aistrale.llm(lambda: current().name)(),
        Bot().ask(),
        aistrale.llm(name="mine")(lambda: current().name)(),
        aistrale.llm("mine")(lambda: current().name)(),
        aistrale.llm(lambda: current().name, name="mine")(),
    ]
    assert names == ["<lambda>", "Bot.ask", "mine", "mine", "mine"]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"modle": "x"}, "modle"),
        ({"output": str}, "output"),
        ({"user": 5}, "user"),
        ({"deadline": "soon"}, "deadline"),
        ({"tags": 1}, "tags"),
    ],
)
def test_options_are_checked_at_once(options, field):
    with pytest.raises(ConfigurationError) as caught:
        aistrale.llm(**options)
    assert caught.value.field == field


def test_values_of_options_for_run_are_checked_at_once():
    with pytest.raises(InvalidRequestError) as caught:
        aistrale.llm(temperature=5)
    assert caught.value.param == "temperature"


def test_a_name_is_not_given_twice():
    with pytest.raises(ConfigurationError, match="twice"):
        aistrale.llm("one", name="two")


def test_options_for_run_are_refused_where_a_function_has_a_body():
    with pytest.raises(ConfigurationError, match="it has a body") as caught:

        @aistrale.llm(temperature=1.0)
        def function() -> str:
            """A prompt."""
            return "not"

    assert caught.value.field == "temperature"


def test_decorating_and_calling_sets_up_no_client_and_loads_nothing():
    source = """
import sys, aistrale
@aistrale.llm(user="ada", deadline=5.0, capture=True)
def function(a):
    return a
assert function(1) == 1
assert not any(name in sys.modules for name in ("aistrale.client", "aistrale.telemetry", "httpx", "pydantic", "asyncio"))
"""
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_without_a_client_none_is_made():
    aistrale.shutdown()
    assert aistrale.llm(capture=True)(lambda text: text)("x") == "x"
    assert default.engine_there() is None


# --- calls and time ---------------------------------------------------------------------------------------------------


def test_calls_inside_are_made_in_the_context(sink):
    @aistrale.llm(user="ada", tags={"a": "b"})
    def function():
        return aistrale.run("Hello").text

    assert function() == "This is a simulated answer to: Hello"
    (call,) = sink.of("call.finished")
    assert (call.row.user, call.row.name, call.row.tags) == ("ada", "function", {"a": "b"})


def test_the_time_is_the_functions_and_not_each_calls(sink):
    @aistrale.llm(deadline=0.0)
    def late():
        aistrale.run("Hello")

    @aistrale.llm(deadline=100.0)
    def inner():
        return current().deadline

    @aistrale.llm(deadline=50.0)
    def outer():
        with aistrale.context(deadline=70.0):
            first = inner()
        return first, current().deadline

    with pytest.raises(DeadlineExceeded, match="had passed before the call"):
        late()
    with aistrale.context(deadline=60.0):
        first, then = outer()
    assert 49 < then <= first <= 50
    with aistrale.context(deadline=20.0):
        assert outer()[1] == 20.0
    assert finished(sink)[0].error == "DeadlineExceeded"


def test_the_time_of_a_generator_runs_from_its_first_step():
    @aistrale.llm(deadline=30.0)
    def items():
        while True:
            yield current().deadline

    made = items()
    first = next(made)
    while (later := next(made)) == first:
        pass  # as fast as the clock ticks
    assert 29 < later < first <= 30


def test_work_that_goes_on_afterwards_is_out_of_its_time():
    @aistrale.llm(deadline=5.0, user="ada")
    def function():
        return contextvars.copy_context()

    assert function().run(current) == aistrale.Context(user="ada", name="function")


# --- what sinks are told ---------------------------------------------------------------------------------------------


def test_a_function_and_the_calls_inside(sink):
    @aistrale.llm(name="inner", project="p")
    def inner():
        return aistrale.run("one").call_id

    @aistrale.llm(user="ada", tags={"a": "b"})
    def outer():
        with ThreadPoolExecutor(1) as pool:
            there = pool.submit(contextvars.copy_context().run, inner).result()
        return [inner(), aistrale.embed("x") and there]

    ids = outer()
    told = finished(sink)
    assert [event.name for event in told] == ["inner", "inner", "outer"]
    assert [event.outcome for event in told] == ["success"] * 3
    assert told[0].calls == (ids[1],)
    assert told[1].calls == (ids[0],)
    assert told[2].calls[:2] == (ids[1], ids[0])
    assert {*told[2].calls} == {event.row.call_id for event in sink.of("call.finished")}
    assert (told[0].project, told[0].user, told[2].project, told[2].user) == ("p", "ada", None, "ada")
    assert told[2].tags == {"a": "b"}
    assert told[2].latency >= told[1].latency >= 0
    assert all(event.inputs is None and event.output is None for event in told)


def test_a_refused_call_belongs_to_it_too(sink):
    @aistrale.llm
    def function():
        aistrale.run("Hello", temperature=99)

    with pytest.raises(InvalidRequestError):
        function()
    (event,) = finished(sink)
    assert (event.outcome, event.error) == ("error", "InvalidRequestError")
    assert event.calls == tuple(told.row.call_id for told in sink.of("call.finished"))
    assert len(event.calls) == 1


def test_an_error_of_a_provider_is_untouched(sim, sink):
    sim.script(Fault(kind="authentication"))

    @aistrale.llm
    def function():
        aistrale.run("Hello")

    with pytest.raises(AuthenticationError):
        function()
    (event,) = finished(sink)
    assert (event.outcome, event.error) == ("error", "AuthenticationError")


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_what_is_no_exception_is_a_cancellation(sink, kind):
    error = kind()

    @aistrale.llm(user="ada")
    def function():
        raise error

    with pytest.raises(kind) as caught:
        function()
    assert caught.value is error
    assert [(event.outcome, event.error) for event in finished(sink)] == [("cancelled", kind.__name__)]
    assert current().user is None


def test_coroutines_and_cancelled_tasks(sink):
    @aistrale.llm
    async def asked(forever):
        if forever:
            await asyncio.Event().wait()
        return (await aistrale.run_async("Hello")).call_id

    async def whole():
        task = asyncio.ensure_future(asked(True))
        found = await asyncio.gather(asked(False), asked(False))
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return found

    ids = asyncio.run(whole())
    told = finished(sink)
    assert sorted(event.calls for event in told) == [(), *sorted((each,) for each in ids)]
    assert [event.outcome for event in told] == ["success", "success", "cancelled"]


def test_on_trio(sink):
    @aistrale.llm
    async def asked():
        with trio.CancelScope() as own:
            own.cancel()
            await trio.lowlevel.checkpoint()
        await trio.sleep_forever()

    async def whole():
        with trio.move_on_after(0):
            await asked()

    trio.run(whole)
    assert [(event.outcome, event.error) for event in finished(sink)] == [("cancelled", "Cancelled")]


def test_a_generator_is_over_when_it_is(sink):
    @aistrale.llm
    def items():
        for _ in range(2):
            yield aistrale.run("Hello").call_id

    made = items()
    ids = [next(made), next(made)]
    assert finished(sink) == []
    assert next(made, None) is None
    (event,) = finished(sink)
    assert (event.calls, event.outcome, event.error) == (tuple(ids), "success", None)
    items().close()
    assert len(finished(sink)) == 1, "one that never ran has nothing to tell"


def test_a_generator_that_is_left_early_is_cancelled(sink):
    @aistrale.llm
    def items(swallow=False):
        try:
            yield 1
            yield 2
        except GeneratorExit:
            if not swallow:
                raise

    for made in (items(), items(True)):
        next(made)
        made.close()
    made = items()
    next(made)
    del made
    gc.collect()
    made = items()
    next(made)
    with pytest.raises(KeyError):
        made.throw(KeyError())
    told = [(event.outcome, event.error) for event in finished(sink)]
    assert told == [("cancelled", None)] * 3 + [("error", "KeyError")]


def test_an_async_generator_that_is_left_early_is_cancelled(sink):
    @aistrale.llm
    async def items():
        for _ in range(2):
            yield (await aistrale.run_async("Hello")).call_id

    async def whole():
        whole = [each async for each in items()]
        made = items()
        await anext(made)
        await made.aclose()
        async for _ in items():
            break
        gc.collect()
        for _ in range(5):
            await asyncio.sleep(0)
        return tuple(whole)

    ids = asyncio.run(whole())
    told = finished(sink)
    assert [event.outcome for event in told] == ["success", "cancelled", "cancelled"]
    assert told[0].calls == ids


# --- capture ----------------------------------------------------------------------------------------------------------


class Account:
    """Nobody knows what its repr says."""

    def __repr__(self):
        raise AssertionError("nobody asked")


def test_arguments_and_results_are_kept_when_that_is_asked_for_and_redacted(sink):
    @aistrale.llm(capture=True)
    def function(account, text, *rest, mail="none", **more):
        return {"said": text, "by": [mail, account]}

    account = Account()
    assert function(account, "I am joe@example.com", 4111111111111111, mail="joe@example.com", password="hunter2!x")[
        "by"
    ]
    (event,) = finished(sink)
    assert event.inputs == {
        "account": "<Account>",
        "text": "I am [[EMAIL_1]]",
        "rest": ["[[CARD_1]]"],
        "mail": "[[EMAIL_1]]",
        "more": {"password": "[[PASSWORD_1]]"},
    }
    assert event.output == {"said": "I am [[EMAIL_1]]", "by": ["[[EMAIL_1]]", "<Account>"]}


def test_arguments_are_kept_as_they_were(sink):
    @aistrale.llm(capture=True)
    def function(items):
        items.clear()

    function([1, 2])
    assert finished(sink)[0].inputs == {"items": [1, 2]}


def test_pieces_of_a_text_are_redacted_as_a_whole(sink):
    @aistrale.llm(capture=True)
    def pieces():
        yield "Write to joe.d"
        yield "oe@example.com"

    @aistrale.llm(capture=True)
    async def things():
        yield "a"
        yield {"b": 1}
        yield Account()

    async def whole():
        return [each async for each in things()]

    assert [*pieces()] == ["Write to joe.d", "oe@example.com"]
    assert asyncio.run(whole())[:2] == ["a", {"b": 1}]
    assert [event.output for event in finished(sink)] == ["Write to [[EMAIL_1]]", ["a", {"b": 1}, "<Account>"]]


def test_what_a_generator_gives_is_kept_within_bounds(sink):
    @aistrale.llm(capture=True)
    def texts():
        for _ in range(100):
            yield "word " * 1000

    @aistrale.llm(capture=True)
    def tables():
        for _ in range(10_000):
            yield {"a": "b"}

    assert len([*texts()]) == 100
    assert len([*tables()]) == 10_000
    first, second = (event.output for event in finished(sink))
    assert len(first) < 10_000
    assert len(second) < 200


def test_the_settings_decide_where_the_decorator_does_not_say(sim):
    aistrale.shutdown()
    memory = MemorySink()
    default.init(**sim.settings(), ledger="off", sinks=[memory], capture=True)
    try:
        assert aistrale.llm(lambda a: a)(5) == 5
        assert aistrale.llm(lambda a: a, capture=False)(5) == 5
        with aistrale.context(capture=False):
            assert aistrale.llm(lambda a: a)(5) == 5
    finally:
        aistrale.shutdown()
    assert [(event.inputs, event.output) for event in finished(memory)] == [({"a": 5}, 5), (None, None), (None, None)]


def test_what_cannot_be_looked_at_harms_nobody(sink):
    class Trap(dict):
        def __iter__(self):
            raise RuntimeError

    class Worse:
        @property
        def __class__(self):
            raise RuntimeError

    @aistrale.llm(capture=True)
    def function(value):
        return value

    trap, worse = Trap(a=1), Worse()
    assert function(trap) is trap
    assert function(worse) is worse
    assert finished(sink)[0].outcome == "success"


def test_what_cannot_be_redacted_is_not_kept(sim):
    class Broken:
        name, types = "broken", ("X",)
        triggers = Triggers(literals=("secret",))

        def recognize(self, candidate):
            raise RuntimeError

    @aistrale.llm(capture=True)
    def function(text):
        return text

    aistrale.shutdown()
    memory = MemorySink()
    default.init(**sim.settings(), ledger="off", sinks=[memory], privacy={"recognizers": [Broken()]})
    try:
        assert function("a secret") == "a secret"
        assert function("another") == "another"
    finally:
        aistrale.shutdown()
    assert [(event.outcome, event.inputs, event.output) for event in finished(memory)] == [
        ("success", None, None),
        ("success", {"text": "another"}, "another"),
    ]


def test_sinks_that_raise_harm_nobody(sim):
    class Broken:
        name = "broken"
        inline = True

        def write(self, batch):
            raise RuntimeError

    aistrale.shutdown()
    default.init(**sim.settings(), ledger="off", sinks=[Broken()])
    try:
        assert aistrale.llm(lambda: 5)() == 5
    finally:
        aistrale.shutdown()
