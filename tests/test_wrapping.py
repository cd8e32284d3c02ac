"""Decorated functions are what they were: their kind, their looks, and every step that a generator can make."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import gc
import inspect
import pickle
import random
import signal
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import aistrale
from aistrale.errors import ConfigurationError
from aistrale.scope import current


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    yield
    assert current().user is None


def user():
    return current().user


# --- looks ------------------------------------------------------------------------------------------------------------


def plain(a: int, /, b: str = "x", *rest: float, c: bool = True, **more: int) -> tuple[object, ...]:
    """Plain."""
    return (a, b, rest, c, more, user())


async def coroutine(a: int, b: str = "x") -> object:
    """A coroutine."""
    await asyncio.sleep(0)
    return (a, b, user())


def generator(a: int, b: str = "x"):
    """A generator."""
    for _ in range(a):
        yield user()
    return b


async def async_generator(a: int, b: str = "x"):
    """An async generator."""
    for _ in range(a):
        await asyncio.sleep(0)
        yield user()


KINDS = [plain, coroutine, generator, async_generator]
QUESTIONS = [inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction, inspect.isroutine]

llm_plain = aistrale.llm(user="ada")(plain)
llm_coroutine = aistrale.llm(user="ada")(coroutine)
llm_generator = aistrale.llm(user="ada")(generator)
llm_async_generator = aistrale.llm(user="ada")(async_generator)
DECORATED = [llm_plain, llm_coroutine, llm_generator, llm_async_generator]
for _name, _function in [(name, value) for name, value in globals().items() if name.startswith("llm_")]:
    _function.__qualname__ = _name


@pytest.mark.parametrize(("function", "decorated"), list(zip(KINDS, DECORATED, strict=True)), ids=lambda f: f.__name__)
def test_looks_are_kept(function, decorated):
    for question in QUESTIONS:
        assert question(decorated) == question(function)
        assert question(functools.partial(decorated, 1)) == question(functools.partial(function, 1))
    assert inspect.signature(decorated) == inspect.signature(function)
    assert decorated.__wrapped__ is function
    for name in ("__name__", "__doc__", "__module__", "__annotations__"):
        assert getattr(decorated, name) == getattr(function, name)
    assert inspect.getdoc(decorated) == function.__doc__
    assert decorated.__name__ in repr(decorated) or decorated.__qualname__ in repr(decorated)


@pytest.mark.parametrize("decorated", DECORATED, ids=lambda f: f.__qualname__)
def test_functions_are_pickled_by_their_names(decorated):
    assert pickle.loads(pickle.dumps(decorated)) is decorated  # noqa: S301 - our own


def test_attributes_of_a_function_are_kept():
    generator.mark = ["a"]
    try:
        assert aistrale.llm(generator).mark == ["a"]
        twice = aistrale.llm(project="p")(llm_generator)
        assert [*twice(2)] == ["ada", "ada"]
        assert inspect.isgeneratorfunction(twice)
    finally:
        del generator.mark


def test_what_a_generator_function_gives_is_a_generator_of_its_name():
    made = aistrale.llm(generator)(1)
    assert inspect.isgenerator(made)
    assert (made.__name__, made.__qualname__) == ("generator", "generator")
    assert inspect.isasyncgen(llm_async_generator(1))
    made.close()


@pytest.mark.parametrize("decorated", [llm_plain, llm_generator, llm_async_generator], ids=lambda f: f.__qualname__)
def test_wrong_arguments_are_refused_by_the_call(decorated):
    with pytest.raises(TypeError, match="argument"):
        decorated()


def test_every_kind_has_the_context_and_its_callers_do_not():
    assert llm_plain(1, "y", 2.0, c=False, d=4) == (1, "y", (2.0,), False, {"d": 4}, "ada")
    assert [(found, user()) for found in llm_generator(2)] == [("ada", None)] * 2

    async def whole():
        return await llm_coroutine(1), [(found, user()) async for found in llm_async_generator(2)], user()

    expected = ((1, "x", "ada"), [("ada", None)] * 2, None)
    assert asyncio.run(whole()) == expected


def test_on_trio():
    async def asked():
        await trio.lowlevel.checkpoint()
        return user()

    async def items():
        for _ in range(2):
            await trio.lowlevel.checkpoint()
            yield user()

    async def whole():
        generator = aistrale.llm(user="ada")(items)()
        found = [(each, user()) async for each in generator]
        return await aistrale.llm(user="ada")(asked)(), found, user()

    assert trio.run(whole) == ("ada", [("ada", None)] * 2, None)


class Callable:
    """An object that can be called."""

    def __call__(self, a):
        return a, user()


class AsyncCallable:
    """An object whose calls are awaited."""

    async def __call__(self, a):
        return a, user()


class GeneratorCallable:
    """An object whose calls are generators."""

    def __call__(self, a):
        yield a, user()


def test_partials_bound_methods_and_objects_that_can_be_called():
    assert aistrale.llm(user="ada")(Callable())(1) == (1, "ada")
    assert aistrale.llm(user="ada")(Callable().__call__)(1) == (1, "ada")
    assert aistrale.llm(user="ada")(lambda a: (a, user()))(1) == (1, "ada")
    assert aistrale.llm(user="ada")(functools.partial(plain, 1, c=False))("z") == (1, "z", (), False, {}, "ada")
    assert [*aistrale.llm(user="ada")(GeneratorCallable())(1)] == [(1, "ada")]
    assert [*aistrale.llm(user="ada")(functools.partial(generator, 1))()] == ["ada"]
    assert [*aistrale.llm(user="ada")(functools.partial(GeneratorCallable(), 1))()] == [(1, "ada")]
    for function in (AsyncCallable(), functools.partial(coroutine, b="z")):
        decorated = aistrale.llm(user="ada")(function)
        assert inspect.iscoroutinefunction(decorated)
        assert asyncio.run(decorated(1))[-1] == "ada"
    assert aistrale.llm(len)("abc") == 3
    named = aistrale.llm(functools.partial(generator, 1))
    assert (named.__name__, inspect.isgeneratorfunction(named)) == ("generator", True)
    assert aistrale.llm(Callable()).__name__ == "Callable"


class Bot:
    """Methods of every kind, decorated in both orders."""

    name = "bot"

    @aistrale.llm(user="ada")
    def method(self, a):
        return self.name, a, user()

    @aistrale.llm(user="ada")
    async def coroutine(self, a):
        return self.name, a, user()

    @aistrale.llm(user="ada")
    def generator(self, a):
        yield self.name, a, user()

    @aistrale.llm(user="ada")
    async def async_generator(self, a):
        yield self.name, a, user()

    @aistrale.llm(user="ada")
    @classmethod
    def class_above(cls, a):
        return cls.name, a, user()

    @classmethod
    @aistrale.llm(user="ada")
    def class_below(cls, a):
        return cls.name, a, user()

    @aistrale.llm(user="ada")
    @classmethod
    def generator_above(cls, a):
        yield cls.name, a, user()

    @classmethod
    @aistrale.llm(user="ada")
    def generator_below(cls, a):
        yield cls.name, a, user()

    @aistrale.llm(user="ada")
    @staticmethod
    def static_above(a):
        return "bot", a, user()

    @staticmethod
    @aistrale.llm(user="ada")
    def static_below(a):
        return "bot", a, user()

    @property
    @aistrale.llm(user="ada")
    def prop(self):
        return self.name, 1, user()


class Heir(Bot):
    """Calls what it overrides."""

    def generator(self, a):
        yield from super().generator(a)


@pytest.mark.parametrize("bot", [Bot(), Heir()], ids=lambda bot: type(bot).__name__)
def test_methods_of_every_kind(bot):
    expected = ("bot", 1, "ada")
    assert bot.method(1) == type(bot).method(bot, 1) == bot.prop == expected
    assert bot.class_above(1) == bot.class_below(1) == type(bot).class_above(1) == type(bot).class_below(1) == expected
    assert bot.static_above(1) == bot.static_below(1) == type(bot).static_above(1) == expected
    assert [*bot.generator(1), *bot.generator_above(1), *type(bot).generator_below(1)] == [expected] * 3
    assert inspect.isgeneratorfunction(bot.generator)
    assert inspect.isasyncgenfunction(bot.async_generator)
    assert inspect.iscoroutinefunction(bot.coroutine)

    async def whole():
        return await bot.coroutine(1), [each async for each in bot.async_generator(1)]

    assert asyncio.run(whole()) == (expected, [expected])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (int, "not for classes"),
        (property(lambda _: 1), "property"),
        (functools.partialmethod(plain), "partialmethod"),
        (5, "int"),
    ],
)
def test_what_cannot_be_decorated_is_refused(wrong, says):
    with pytest.raises(ConfigurationError, match=says):
        aistrale.llm()(wrong)


# --- errors -----------------------------------------------------------------------------------------------------------


class Boom(Exception):
    """Raised by the functions below."""


def run_sync(decorated, error):
    decorated(error)


def run_coroutine(decorated, error):
    asyncio.run(decorated(error))


def run_generator(decorated, error):
    for _ in decorated(error):
        pass


def run_async_generator(decorated, error):
    async def whole():
        async for _ in decorated(error):
            pass

    asyncio.run(whole())


def raising(error):
    raise error


async def raising_coroutine(error):
    raise error


def raising_generator(error):
    yield 1
    raise error


async def raising_async_generator(error):
    yield 1
    raise error


@pytest.mark.parametrize(
    ("function", "run"),
    [
        (raising, run_sync),
        (raising_coroutine, run_coroutine),
        (raising_generator, run_generator),
        (raising_async_generator, run_async_generator),
    ],
    ids=lambda value: value.__name__,
)
@pytest.mark.parametrize("kind", [Boom, KeyboardInterrupt, SystemExit], ids=lambda kind: kind.__name__)
def test_errors_are_the_same_objects_with_one_frame_more(function, run, kind):
    def raised(function):
        error = kind("why")
        with pytest.raises(kind) as caught:
            run(function, error)
        assert caught.value is error
        assert (error.__context__, error.__cause__) == (None, None)
        return [frame.name for frame in traceback.extract_tb(error.__traceback__)]

    plainly, decorated = raised(function), raised(aistrale.llm(user="ada")(function))
    assert [name for name in decorated if name not in {"wrapper", "_advanced", "_advanced_async"}] == plainly
    assert len(decorated) == len(plainly) + 1


def test_an_error_that_is_thrown_in_passes_one_frame_once():
    def items():
        yield 1

    def frames(function):
        made = function()
        next(made)
        error = Boom()
        with pytest.raises(Boom) as caught:
            made.throw(error)
        assert caught.value is error
        assert error.__context__ is None
        return [frame.name for frame in traceback.extract_tb(error.__traceback__)]

    assert len(frames(aistrale.llm(items))) == len(frames(items)) + 1


def test_an_error_does_not_keep_a_generator_alive():
    class Held:
        pass

    def items(held):
        yield held

    gc.collect()
    gc.disable()
    try:
        seen = []
        made = aistrale.llm(items)(Held())
        seen.append(type(next(made)))
        with contextlib.suppress(Boom):
            made.throw(Boom())
        del made
        assert not [each for each in gc.get_objects() if isinstance(each, Held)]
    finally:
        gc.enable()


# --- every step that a generator can make -----------------------------------------------------------------------------

STEPS = st.lists(st.sampled_from(["next", "send", "throw", "stop", "exit", "interrupt", "close"]), max_size=8)
HABITS = st.sampled_from(["pass", "handle", "return", "yield", "replace"])
THROWN = {"throw": ValueError, "stop": StopIteration, "exit": GeneratorExit, "interrupt": KeyboardInterrupt}


def scripted(habit, log):
    try:
        for number in range(4):
            try:
                log.append((yield number))
            except BaseException as error:
                log.append(type(error))
                if habit == "pass" or log.count(GeneratorExit) > 1:
                    raise
                if habit == "return":
                    return "early"
                if habit == "yield":
                    yield "handled"
                if habit == "replace":
                    raise KeyError("another") from error
    finally:
        log.append("finally")
    return "value"


async def scripted_async(habit, log):
    try:
        for number in range(4):
            try:
                await asyncio.sleep(0)
                log.append((yield number))
            except BaseException as error:
                log.append(type(error))
                if habit == "pass" or log.count(GeneratorExit) > 1:
                    raise
                if habit == "return":
                    return
                if habit == "yield":
                    yield "handled"
                if habit == "replace":
                    raise KeyError("another") from error
    finally:
        log.append("finally")


# What does as it likes when it is closed needs more than one time: none is left to the collector.
def stepped(made, steps):
    for step in [*steps, *["close"] * 6]:
        try:
            if step == "next":
                yield "gave", next(made)
            elif step == "send":
                yield "gave", made.send("sent")
            elif step == "close":
                yield "closed", made.close()
            else:
                yield "gave", made.throw(THROWN[step]("thrown"))
        except BaseException as error:  # noqa: BLE001 - compared
            yield type(error), str(error), getattr(error, "value", None), type(error.__context__), type(error.__cause__)


@given(HABITS, STEPS)
def test_a_generator_does_in_every_step_what_it_did(habit, steps):
    logs = [], []
    plainly = [*stepped(scripted(habit, logs[0]), steps)]
    decorated = [*stepped(aistrale.llm(user="ada")(scripted)(habit, logs[1]), steps)]
    assert decorated == plainly
    assert logs[1] == logs[0]


@given(HABITS, STEPS)
def test_an_async_generator_does_in_every_step_what_it_did(habit, steps):
    async def run(made):
        found = []
        for step in [*steps, *["close"] * 6]:
            try:
                if step == "next":
                    found.append(("gave", await anext(made)))
                elif step == "send":
                    found.append(("gave", await made.asend("sent")))
                elif step == "close":
                    found.append(("closed", await made.aclose()))
                else:
                    found.append(("gave", await made.athrow(THROWN[step]("thrown"))))
            except BaseException as error:  # noqa: BLE001 - compared
                found.append((type(error), str(error), type(error.__context__), type(error.__cause__)))
        return found

    def drive(coroutine):
        while True:
            try:
                coroutine.send(None)
            except StopIteration as done:
                return done.value

    logs = [], []
    plainly = drive(run(scripted_async(habit, logs[0])))
    decorated = drive(run(aistrale.llm(user="ada")(scripted_async)(habit, logs[1])))
    assert decorated == plainly
    assert logs[1] == logs[0]


def test_it_works_within_yield_from_and_as_a_context_manager():
    @aistrale.llm(user="ada")
    def inner():
        got = yield user()
        return got, user()

    def outer():
        return (yield from inner())

    made = outer()
    assert next(made) == "ada"
    with pytest.raises(StopIteration) as done:
        made.send("sent")
    assert done.value.value == ("sent", "ada")

    @contextlib.contextmanager
    @aistrale.llm(user="ada")
    def block():
        with pytest.raises(Boom):
            yield user()

    with block() as found:
        assert (found, user()) == ("ada", None)
        raise Boom


# --- who sees which context ------------------------------------------------------------------------------------------


def test_a_generator_has_the_context_of_its_call_wherever_it_is_advanced():
    @aistrale.llm(project="p")
    def items():
        while True:
            yield current().user, current().project

    with aistrale.context(user="ada"):
        made = items()
    assert next(made) == ("ada", "p")
    with aistrale.context(user="bob"):
        assert next(made) == ("ada", "p")
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(next, made).result() == ("ada", "p")
        pool.submit(made.close).result()


def test_a_with_around_a_yield_is_the_generators_own():
    @aistrale.llm(user="outer")
    def items():
        yield user()
        with aistrale.context(user="inner"):
            yield user()
            yield user()
        yield user()

    assert [(found, user()) for found in items()] == [
        ("outer", None),
        ("inner", None),
        ("inner", None),
        ("outer", None),
    ]
    made = items()
    with ThreadPoolExecutor(1) as pool:
        found = [next(made), pool.submit(next, made).result(), next(made), pool.submit(next, made).result()]
        assert pool.submit(user).result() is None
    assert found == ["outer", "inner", "inner", "outer"]


def nested(name, depth):
    """Generators within generators, each under a name of its own; gives how often it saw a wrong one."""

    @aistrale.llm(user=name)
    def items():
        inner = nested(f"{name}.", depth - 1) if depth else None
        wrong = 0
        for number in range(6):
            wrong += user() != name
            with aistrale.context(user=f"{name}/{number}") if number % 2 else contextlib.nullcontext():
                wrong += user() != (f"{name}/{number}" if number % 2 else name)
                if inner is not None:
                    wrong += next(inner, 0)
                yield wrong
                wrong += user() != (f"{name}/{number}" if number % 2 else name)
            wrong += user() != name
        return wrong

    return items()


@given(st.integers(0, 2**32), st.booleans())
def test_generators_that_are_advanced_in_turns_do_not_see_each_other(seed, threads):
    rng = random.Random(seed)
    running = [nested(str(number), depth) for number, depth in enumerate((0, 1, 2, 2))]
    with ThreadPoolExecutor(2) if threads else contextlib.nullcontext() as pool:
        while running:
            made = rng.choice(running)
            elsewhere = pool is not None and rng.random() < 0.5
            if rng.random() < 0.03:
                pool.submit(made.close).result() if elsewhere else made.close()
                running.remove(made)
                continue
            wrong = pool.submit(next, made, None).result() if elsewhere else next(made, None)
            assert user() is None
            if wrong is None:
                running.remove(made)
            else:
                assert wrong == 0
        if pool is not None:
            assert {*pool.map(lambda _: user(), range(8))} == {None}


@given(st.integers(0, 2**32))
def test_tasks_and_async_generators_in_turns_do_not_see_each_other(seed):  # noqa: C901 - a scenario
    rng = random.Random(seed)

    async def pause():
        for _ in range(rng.randrange(3)):
            await asyncio.sleep(0)

    def items_of(name):
        @aistrale.llm(user=name)
        async def items():
            for _ in range(4):
                await pause()
                seen = user()
                with aistrale.context(user=f"{name}/"):
                    await pause()
                    yield seen == name and user() == f"{name}/"
                    await pause()
                    assert user() == f"{name}/"

        return items()

    def asked_of(name, more):
        @aistrale.llm(user=name)
        async def asked():
            await pause()
            made = items_of(f"{name}-")
            right = [user() == name]
            async for each in made:
                right += [each, user() == name]
                await pause()
                if more and rng.random() < 0.4:
                    right += await asked_of(f"{name}+", False)()
                if rng.random() < 0.1:
                    await made.aclose()
            return [*right, user() == name]

        return asked

    async def whole():
        shared = items_of("shared")
        lock = asyncio.Lock()

        async def reader():
            right = []
            for _ in range(2):
                async with lock:  # an async generator may be advanced by one at a time, but by anyone
                    right.append(await anext(shared, True))
                right.append(user() is None)
            return right

        found = await asyncio.gather(*(asked_of(str(number), True)() for number in range(3)), reader(), reader())
        await shared.aclose()
        assert user() is None
        return found

    assert all(all(right) for right in asyncio.run(whole()))


def test_threads_that_run_the_same_function_at_once_do_not_see_each_other():
    barrier = threading.Barrier(4)

    @aistrale.llm(project="p")
    def asked(name):
        barrier.wait(10)
        found = current().user, current().project
        barrier.wait(10)
        return found == (name, "p")

    def run(name):
        with aistrale.context(user=name):
            return asked(name) and user() == name

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(run, "abcd"))


def test_threads_inside_have_the_context_that_is_copied_into_them():
    @aistrale.llm(user="ada")
    async def asked():
        with ThreadPoolExecutor(2) as pool:
            holds = contextvars.copy_context()
            copied = [*pool.map(lambda _: holds.copy().run(user), range(4))]
        return await asyncio.to_thread(user), copied

    assert asyncio.run(asked()) == ("ada", ["ada"] * 4)


# --- ends -------------------------------------------------------------------------------------------------------------


def test_a_generator_that_is_garbage_has_its_context_when_it_cleans_up():
    seen = []

    @aistrale.llm(user="ada")
    def items():
        try:
            yield 1
        finally:
            seen.append(user())

    made = items()
    next(made)
    del made
    gc.collect()
    assert (seen, user()) == (["ada"], None)
    made = items()
    next(made)
    ring = [made]
    ring.append(ring)
    del made, ring
    gc.collect()
    assert len(seen) == 2


def test_an_async_generator_that_is_left_early_is_closed_by_its_loop():
    seen = []

    @aistrale.llm(user="ada")
    async def items():
        try:
            while True:
                yield 1
        finally:
            await asyncio.sleep(0)
            seen.append(user())

    async def left():
        async for _ in items():
            break
        gc.collect()
        for _ in range(5):
            await asyncio.sleep(0)
        return user()

    assert asyncio.run(left()) is None
    assert seen == ["ada"]


def test_a_loop_that_ends_closes_what_is_left():
    seen, errors = [], []

    @aistrale.llm(user="ada")
    async def items():
        try:
            while True:
                yield 1
        finally:
            await asyncio.sleep(0)
            seen.append("closed")

    async def whole():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        made = items()
        await anext(made)
        return made

    assert asyncio.run(whole()) is not None
    assert (seen, errors) == (["closed"], [])


def test_an_async_generator_without_a_loop_is_closed_with_its_garbage():
    seen = []

    @aistrale.llm(user="ada")
    async def items():
        try:
            yield 1
        finally:
            seen.append(user())

    made = items()
    with pytest.raises(StopIteration) as first:
        made.asend(None).send(None)
    assert first.value.value == 1
    del made, first
    gc.collect()
    assert (seen, user()) == (["ada"], None)


def test_a_cancelled_task_raises_what_it_raised():
    seen = []

    @aistrale.llm(user="ada")
    async def asked():
        try:
            await asyncio.Event().wait()
        finally:
            seen.append(user())

    async def whole():
        task = asyncio.ensure_future(asked())
        await asyncio.sleep(0)
        task.cancel("why")
        with pytest.raises(asyncio.CancelledError, match="why"):
            await task

    asyncio.run(whole())
    assert seen == ["ada"]


def test_a_coroutine_that_is_closed_elsewhere_changes_nothing_there():
    @aistrale.llm(user="ada")
    async def asked():
        await asyncio.sleep(0)

    coroutine = asked()
    contextvars.copy_context().run(coroutine.send, None)
    with aistrale.context(user="here"):
        coroutine.close()
        assert user() == "here"


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers that interrupt")
def test_an_interrupt_at_any_moment_leaves_nothing_behind():
    @aistrale.llm(user="ada")
    def function():
        return user()

    @aistrale.llm(user="ada")
    def items():
        while True:
            yield user()

    def interrupt(*_):
        raise KeyboardInterrupt

    rng = random.Random(5)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(300):
            made = items()
            with contextlib.suppress(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-5, 5e-5))
                while True:
                    function()
                    next(made)
            assert user() is None
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_function_that_leaves_contexts_open_does_not_leave_them_to_its_caller():
    @aistrale.llm(user="ada")
    def careless():
        aistrale.context(user="left").__enter__()
        return user()

    assert (careless(), user()) == ("left", None)


# --- inside of other libraries' classes ---------------------------------------------------------------------------------


def test_models_of_pydantic_take_any_kind_of_method_for_one():
    """Whatever is no function of Python's own in the body of a model is taken for a field without an annotation."""
    pydantic = pytest.importorskip("pydantic")

    class Model(pydantic.BaseModel):
        x: int

        @aistrale.llm
        def plain(self, y: int) -> int:
            return self.x + y

        @aistrale.llm
        def pieces(self):
            yield self.x

        @aistrale.context(user="ada")
        async def pieces_async(self):
            yield self.x, user()

    async def first():
        return [item async for item in Model(x=1).pieces_async()]

    assert list(Model.model_fields) == ["x"]
    assert (Model(x=1).plain(2), list(Model(x=1).pieces()), asyncio.run(first())) == (3, [1], [(1, "ada")])


def test_a_generator_function_passes_for_a_function():
    made = aistrale.llm(generator)
    assert inspect.isfunction(made)
    assert inspect.isgeneratorfunction(made)
    assert inspect.getclosurevars(made).unbound == set()


def test_a_cache_below_can_be_asked_and_cleared():
    @aistrale.llm
    @functools.cache
    def cached(x):
        return x

    cached(1), cached(1)
    assert cached.cache_info().hits == 1
    cached.cache_clear()
    assert cached.cache_info().hits == 0
