"""`@aistrale.llm`: functions whose model calls belong together, and functions that are a prompt."""

from __future__ import annotations

import functools
import sys
from types import FunctionType
from typing import TYPE_CHECKING, Final, ParamSpec, Protocol, TypeVar, cast, overload

from aistrale.decorator.prompt import is_empty, prompt_body, return_annotation
from aistrale.decorator.run import Rules
from aistrale.errors import ConfigurationError
from aistrale.options import CallOptions, Options, build_request, unknown_option
from aistrale.scope import ContextValues, checked
from aistrale.wrapping import Function, check_callable, name_of, wrap

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Unpack

    from aistrale.decorator.prompt import Body

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_WHAT: Final = "aistrale.llm"
_CONTEXT: Final = tuple(ContextValues.__annotations__)
_RUN: Final = tuple(CallOptions.__annotations__)
# Given to every call of a prompt function and checked there: to describe a tool is to load pydantic.
_LATER: Final = frozenset({"tools", "tool_choice"})


class FunctionOptions(ContextValues, CallOptions, total=False):
    """What `llm` may be told: the context of all calls inside, and for prompt functions the options of `run`.

    Two words mean more than they do elsewhere: `name` is the function's own unless it is given, and `deadline` is for
    the function as a whole.
    """


class Decorator(Protocol):
    """Takes a function and gives one of the same type."""

    @overload
    def __call__(self, function: classmethod[T, P, R], /) -> classmethod[T, P, R]: ...
    @overload
    def __call__(self, function: staticmethod[P, R], /) -> staticmethod[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def llm(function: classmethod[T, P, R], /, **options: Unpack[FunctionOptions]) -> classmethod[T, P, R]: ...
@overload
def llm(function: staticmethod[P, R], /, **options: Unpack[FunctionOptions]) -> staticmethod[P, R]: ...
@overload
def llm(function: Callable[P, R], /, **options: Unpack[FunctionOptions]) -> Callable[P, R]: ...
@overload
def llm(function: str | None = None, /, **options: Unpack[FunctionOptions]) -> Decorator: ...
def llm(function: object = None, /, **options: Unpack[FunctionOptions]) -> object:
    """A function whose model calls belong together; or, if it has no body, one that is a prompt.

    All calls made inside have the context that is given, as in `aistrale.context`. Sinks are told when the function is
    over: how long it took, how it ended, which calls it made, and with `capture=True` its arguments and what it
    returned, redacted. Exceptions, results and the signature are the function's own. Functions, async functions,
    generators, methods, class and static methods, and whatever else can be called.

    A function with a docstring, a return annotation and no body is a prompt function: `{name}` in the docstring is an
    argument, those that are not named follow at the end, and the answer is read into the annotated type.

        @aistrale.llm(model="openai/gpt-5-mini")
        def capital(country: str) -> str:
            \"\"\"What is the capital of {country}? Answer with its name only.\"\"\"

    Args:
        function: The function, where the decorator has no arguments; or its name for ledger and sinks.
        **options: Context: name (the function's own by default), user, workspace, project, session, tags, route,
            deadline (seconds for the function as a whole: later calls have less), budget, priority, capture. For prompt
            functions besides: model, provider, temperature, tools and the other options of `aistrale.run`.

    Raises:
        ConfigurationError: An option is unknown or wrong, or does not fit the function; the docstring of a prompt
            function names a parameter that is not there.
    """
    if function is not None and not isinstance(function, str):
        return _Making(options)(function, sys._getframe(1))  # noqa: SLF001 - the caller's names are what its annotations mean
    if function is not None:
        if "name" in options:
            raise ConfigurationError("the name is given twice", field="name")
        options = {**options, "name": function}
    making = _Making(options)

    def decorator(function: object, /) -> object:
        return making(function, sys._getframe(1))  # noqa: SLF001 - as above

    return decorator


class _Making:
    """Makes decorated functions.

    Args:
        options: What `llm` was told.

    Raises:
        ConfigurationError: They are unknown or wrong.
        InvalidRequestError: An option of run has a wrong value; `param` names it.
    """

    def __init__(self, options: FunctionOptions) -> None:
        for name in options:
            if name == "output":
                raise ConfigurationError("output is what the return annotation says", field=name)
            if name not in _CONTEXT and name not in _RUN:
                raise unknown_option(name, (*_CONTEXT, *_RUN))
        self._values = checked(cast("ContextValues", {name: options[name] for name in _CONTEXT if name in options}))  # type: ignore[literal-required]
        self._run = cast("Options", {name: options[name] for name in _RUN if name in options})  # type: ignore[literal-required]
        build_request("-", cast("Options", {name: self._run[name] for name in self._run if name not in _LATER}))  # type: ignore[literal-required]

    def __call__(self, function: object, frame: FrameType) -> object:
        """The function, decorated."""
        if isinstance(function, (classmethod, staticmethod)):
            return type(function)(cast("Function", self(function.__func__, frame)))
        called = check_callable(function, _WHAT)
        rules = Rules(called, self._values)
        body = self._body(called, frame)
        if body is None:
            return wrap(called, rules.start, _WHAT)
        made = wrap(called, rules.start, _WHAT, body=body.function, kind=body.kind)
        return _after_await(called, made) if body.awaited else made

    def _body(self, function: Function, frame: FrameType) -> Body | None:
        """The body of a prompt function; None for a function that has one."""
        name = name_of(function)
        reason = _has_its_own(function)
        if reason is None:
            try:
                return prompt_body(cast("FunctionType", function), self._run, _names(frame))
            except ConfigurationError as error:
                error.message = f"{name}: {error.message}"
                error.args = (error.message,)
                raise
        if self._run:
            raise ConfigurationError(
                f"{name}: {', '.join(self._run)} is for prompt functions, and this is none: {reason}",
                field=next(iter(self._run)),
                hint="A prompt function has a docstring, a return annotation and no body; elsewhere options go to run.",
            )
        return None


def _has_its_own(function: Function) -> str | None:
    """Why a function is no prompt function; None if it is one."""
    # What we made of a generator function says that it is one, and has its code.
    if type(function) is not FunctionType or not is_empty(function):
        return "it has a body"
    if return_annotation(function) is None:
        return "it has no return annotation"
    if function.__doc__ and function.__doc__.strip():
        return None
    if sys.flags.optimize > 1:
        raise ConfigurationError(
            f"{function.__name__} has no docstring", hint="python -OO removes docstrings; prompt functions need them."
        )
    return "it has no docstring"


def _names(frame: FrameType) -> dict[str, object]:
    """What is known where a function is defined: in a class within a function, what is around the class as well."""
    around = frame.f_back
    outer = around.f_locals if around is not None and around.f_globals is frame.f_globals else {}
    return {**outer, **frame.f_locals}


def _after_await(function: Function, made: Function) -> Function:
    """For `async def ... -> AsyncIterator[str]`: who calls it must await the stream before reading it."""

    @functools.wraps(function)
    async def wrapper(*args: object, **kwargs: object) -> object:
        return made(*args, **kwargs)

    return wrapper
