"""Functions of every kind with something around their execution; they stay of that kind, and look as they did.

What is set for a function is never held across a `yield`: a generator has it each time it runs, and whoever advances it
never does. What its body changes in the meantime (`with aistrale.context(...)` around a `yield`) is its own, too.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from functools import partial
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

from aistrale.errors import ConfigurationError
from aistrale.scope import SCOPE, Scope

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Generator
    from contextvars import Token
    from types import CellType, CodeType

Function: TypeAlias = Callable[..., Any]
Kind: TypeAlias = Literal["plain", "coroutine", "generator", "async generator"]

# What functools.cache gives besides the function, which does not stand in its `__dict__`.
_OF_CACHES: Final = ("cache_info", "cache_clear", "cache_parameters")


class Execution:
    """One execution of a function.

    Args:
        scope: What holds inside.
    """

    __slots__ = ("scope",)

    keeps = False
    """Whether it wants to know what a generator yields."""

    followed = False
    """Whether it wants to know when the body runs and rests."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def began(self) -> None:
        """The body is about to run."""

    def resumed(self) -> None:
        """The body runs (on); must not raise."""

    def paused(self) -> None:
        """A generator rests, or the body is done; maybe in another thread or task, and twice. Must not raise."""

    def yielded(self, item: object) -> None:
        """A generator gave something."""

    def ended(self, error: BaseException | None, value: object = None) -> None:
        """The body is done; must not raise.

        Args:
            error: What it raised; a GeneratorExit where a generator was closed, whatever it made of it.
            value: What it returned.
        """
        self.scope.close()


Start: TypeAlias = Callable[[tuple[object, ...], dict[str, object]], Execution]


def wrap(
    function: object, start: Start, what: str, *, body: Function | None = None, kind: Kind | None = None
) -> Function:
    """A function that does the same with something around it, and looks the same.

    Args:
        function: Any that can be called, or a class or static method that is not bound yet.
        start: Makes an execution of the arguments; must not raise.
        what: Who wraps, for errors.
        body: What runs in its place.
        kind: Of which kind the body is, where that is not to be seen. The body of a generator need not be one itself:
            what it returns is.

    Raises:
        ConfigurationError: It is a class, a property, or nothing that can be called.
    """
    if isinstance(function, (classmethod, staticmethod)):
        return cast("Function", type(function)(wrap(function.__func__, start, what)))
    called = check_callable(function, what)
    body = body or called
    kind = kind or kind_of(body)
    if kind == "generator":
        return LazyFunction(called, body, start, _advanced)
    if kind == "async generator":
        return LazyFunction(called, body, start, _advanced_async)
    wrapper = _plain(body, start) if kind == "plain" else _coroutine(body, start)
    _dress(wrapper, called)
    return wrapper


def check_callable(function: object, what: str) -> Function:
    """It, if it can be wrapped. Raises ConfigurationError."""
    if isinstance(function, type):
        raise ConfigurationError(f"{what} is not for classes", hint="Decorate the methods that are meant.")
    if not callable(function):
        raise ConfigurationError(
            f"{what} is for functions, not for one of {type(function).__name__!r}",
            hint="Put it below @property and its like, nearest to the function.",
        )
    return function


def innermost(function: object) -> object:
    """The function within partials and bound methods; of another callable object its `__call__`."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, MethodType):
            function = function.__func__
        elif callable(function) and not hasattr(function, "__code__") and hasattr(type(function).__call__, "__code__"):
            return type(function).__call__
        else:
            return function


def name_of(function: Function) -> str:
    """How a function is called; of an object that can be called its class."""
    found = getattr(function, "__name__", None)
    if not isinstance(found, str):
        while isinstance(function, functools.partial):
            function = function.func
        found = getattr(function, "__name__", type(function).__name__)
    return cast("str", found)


def kind_of(function: Function) -> Kind:
    """Of which kind a function is: what calling it gives."""
    inner = cast("Function", innermost(function))
    for candidate in (function, inner):
        if inspect.iscoroutinefunction(candidate):
            return "coroutine"
        if inspect.isgeneratorfunction(candidate):
            return "generator"
        if inspect.isasyncgenfunction(candidate):
            return "async generator"
    return "plain"


def _dress(wrapper: Any, function: Function) -> None:  # noqa: ANN401 - anything that takes attributes
    functools.update_wrapper(wrapper, function)
    wrapper.__name__ = name_of(function)
    wrapper.__qualname__ = getattr(function, "__qualname__", wrapper.__name__)
    for name in _OF_CACHES:
        if hasattr(function, name):
            setattr(wrapper, name, getattr(function, name))


# Ctrl-C may come after every call of a function: what is set is set within a `try`, and what is put back is put back by
# the first call after it.


def _plain(body: Function, start: Start) -> Function:
    def wrapper(*args: object, **kwargs: object) -> object:
        run, outer = start(args, kwargs), SCOPE.get()
        run.began()
        try:
            SCOPE.set(run.scope)
            if run.followed:
                run.resumed()
            value = body(*args, **kwargs)
        except BaseException as error:
            run.ended(error)
            raise
        else:
            run.ended(None, value)
        finally:
            try:
                SCOPE.set(outer)
                if run.followed:
                    run.paused()
            except BaseException:
                _interrupted(run)
                raise
        return value

    return wrapper


def _coroutine(body: Function, start: Start) -> Function:
    async def wrapper(*args: object, **kwargs: object) -> object:
        run = start(args, kwargs)
        run.began()
        token = SCOPE.set(SCOPE.get())
        try:
            SCOPE.set(run.scope)
            if run.followed:
                run.resumed()
            value = await body(*args, **kwargs)
        except BaseException as error:
            run.ended(error)
            raise
        else:
            run.ended(None, value)
        finally:
            try:
                try:  # noqa: SIM105 - see above
                    SCOPE.reset(token)
                except ValueError:
                    # It may be closed in another thread or task: what holds there is not ours to change.
                    pass
                if run.followed:
                    run.paused()
            except BaseException:
                _interrupted(run)
                raise
        return value

    return wrapper


def _interrupted(run: Execution) -> None:
    """Ctrl-C came while something was put back: what comes after it is put back all the same."""
    if run.followed:
        run.paused()


class LazyFunction:
    """A generator function with something around it.

    Calling it takes what holds there and then, however much later and wherever the generator is advanced; a function of
    Python's own could not, since nothing of it runs before that. It has what `inspect` knows a function by, and passes
    for one where that is asked with `isinstance`: pydantic takes any other attribute of a model for a field.

    Args:
        function: Whose looks it has.
        body: Gives the generator.
        start: Makes executions.
        drive: Makes the generator that is given out.
    """

    __slots__ = ("__dict__", "__weakref__", "_body", "_drive", "_start")

    __name__: str
    __qualname__: str
    __wrapped__: Function

    def __init__(
        self, function: Function, body: Function, start: Start, drive: Callable[[Any, Execution], Any]
    ) -> None:
        _dress(self, function)
        self._body = body
        self._start = start
        self._drive = drive

    def __call__(self, /, *args: object, **kwargs: object) -> object:
        """The generator."""
        run = self._start(args, kwargs)
        driven = self._drive(self._body(*args, **kwargs), run)
        driven.__name__, driven.__qualname__ = self.__name__, self.__qualname__
        return driven

    def __get__(self, instance: object, owner: type | None = None) -> object:
        return self if instance is None else MethodType(self, instance)

    if not TYPE_CHECKING:  # checkers know of no such property that cannot be set

        @property
        def __class__(self) -> type:
            return FunctionType

    def _of_function(self, name: str) -> object:
        return getattr(innermost(self.__wrapped__), name)

    @property
    def __code__(self) -> CodeType:
        return cast("CodeType", self._of_function("__code__"))

    @property
    def __defaults__(self) -> tuple[object, ...] | None:
        return cast("tuple[object, ...] | None", self._of_function("__defaults__"))

    @property
    def __kwdefaults__(self) -> dict[str, object] | None:
        return cast("dict[str, object] | None", self._of_function("__kwdefaults__"))

    @property
    def __closure__(self) -> tuple[CellType, ...] | None:
        return cast("tuple[CellType, ...] | None", self._of_function("__closure__"))

    @property
    def __globals__(self) -> dict[str, object]:
        return cast("dict[str, object]", self._of_function("__globals__"))

    def __reduce__(self) -> str:
        return self.__qualname__  # by its name, as functions are pickled

    def __repr__(self) -> str:
        return f"<function {self.__qualname__} at {id(self):#x}>"


def _advanced(inner: Generator[object, object, object], run: Execution) -> Generator[object, object, object]:
    """The same generator; every step of it has the execution's scope."""
    run.began()
    scope, keeps = run.scope, run.keeps
    step: Callable[[Any], object] = inner.send
    given: Any = None
    closed: GeneratorExit | None = None
    while True:
        outer = SCOPE.get()
        try:
            SCOPE.set(scope)
            if run.followed:
                run.resumed()
            item = step(given)
        except StopIteration as stop:
            value = stop.value
            run.ended(closed, value)
            break
        except BaseException as error:
            run.ended(closed or error)
            raise
        finally:
            try:
                scope = SCOPE.set(outer).old_value
                if run.followed:
                    run.paused()
            except BaseException:
                _interrupted(run)
                raise
            # An error that it was given must not live in a frame which that error's traceback holds.
            given = closed = None
        if keeps:
            run.yielded(item)
        try:
            given = yield item
            step = inner.send
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is for the generator within
            # As it was thrown in: this frame is to stand in the traceback once.
            step, given = inner.throw, _without_frame(error)
            closed = error if isinstance(error, GeneratorExit) else None
    return value


async def _advanced_async(inner: AsyncGenerator[object, object], run: Execution) -> AsyncGenerator[object, object]:
    """The same async generator; every step of it has the execution's scope."""
    run.began()
    scope, keeps = run.scope, run.keeps
    step: Callable[[Any], Any] = partial(_first, inner)
    given: Any = None
    closed: GeneratorExit | None = None
    while True:
        token = SCOPE.set(SCOPE.get())
        try:
            SCOPE.set(scope)
            if run.followed:
                run.resumed()
            item = await step(given)
        except StopAsyncIteration:
            run.ended(closed)
            break
        except BaseException as error:
            run.ended(closed or error)
            raise
        finally:
            try:
                scope = _left(token, scope)
                if run.followed:
                    run.paused()
            except BaseException:
                _interrupted(run)
                raise
            given = closed = None
        if keeps:
            run.yielded(item)
        try:
            given = yield item
            step = inner.asend
        except BaseException as error:  # noqa: BLE001 - as above
            step, given = inner.athrow, _without_frame(error)
            closed = error if isinstance(error, GeneratorExit) else None


def _left(token: Token[Scope], known: Scope) -> Scope:
    """Put back what was before a step; the scope that it has left, or the known one where that is not to be seen."""
    left = SCOPE.get()
    try:
        SCOPE.reset(token)
    except ValueError:
        return known  # as above
    return left


def _first(inner: AsyncGenerator[object, object], _: object) -> Awaitable[object]:
    """The first step, of which no event loop hears: it would close at its end, or as garbage, what we close."""
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter=None, finalizer=_ours)
    try:
        return inner.asend(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)


def _ours(_: object) -> None: ...


def _without_frame(error: BaseException) -> BaseException:
    trace = error.__traceback__
    return error if trace is None else error.with_traceback(trace.tb_next)
