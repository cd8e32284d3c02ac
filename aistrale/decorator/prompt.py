"""Functions without a body: the docstring is the prompt, the arguments fill it in, the answer is what they return."""

from __future__ import annotations

import ast
import dis
import inspect
import textwrap
import typing
from collections import abc
from dataclasses import dataclass
from types import FunctionType, NoneType, SimpleNamespace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast, get_args, get_origin

from aistrale.decorator.template import Template
from aistrale.errors import AistraleError, ConfigurationError
from aistrale.types import Completion

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from aistrale.options import Options, Prompt
    from aistrale.wrapping import Function, Kind

Colour: TypeAlias = Literal["blocking", "async"]

_STREAMS: Final[Mapping[object, Colour]] = {
    **dict.fromkeys((abc.Iterator, abc.Iterable, abc.Generator), "blocking"),
    **dict.fromkeys((abc.AsyncIterator, abc.AsyncIterable, abc.AsyncGenerator), "async"),
}
# Known without an import: linters move what only annotations need below TYPE_CHECKING.
_NAMES: Final[Mapping[str, object]] = {
    **{kind.__name__: kind for kind in _STREAMS if isinstance(kind, type)},
    "Completion": Completion,
    "typing": typing,
}
_IGNORED: Final = frozenset({"NOP", "RESUME", "CACHE"})
# Bytes of code; an empty function has a few, and one NOP for every line with `...` or `pass`.
_SMALL: Final = 256
_UNKNOWN: Final = object()


def _nothing() -> None: ...


async def _nothing_async() -> None: ...


# --- which functions --------------------------------------------------------------------------------------------------


def is_empty(function: FunctionType) -> bool:
    """Whether the body of a function is a docstring, `...`, `pass`, or some of these."""
    if len(function.__code__.co_code) > _SMALL:
        return False
    blank = _nothing_async if inspect.iscoroutinefunction(function) else _nothing
    return _steps(function) == _steps(blank) and not _has_return(function)


def _steps(function: Callable[..., object]) -> list[tuple[str, object]]:
    return [(step.opname, step.argval) for step in dis.get_instructions(function) if step.opname not in _IGNORED]


def _has_return(function: FunctionType) -> bool:
    """Whether the source says `return`, as the code of every function does; False where there is no source."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except Exception:  # noqa: BLE001 - consoles and frozen programs have none, or that of something else, which is no Python
        return False
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == function.__name__:
            return any(isinstance(statement, ast.Return) for statement in node.body)
    return False


def return_annotation(function: FunctionType) -> object:
    """What stands behind the arrow; None where nothing does, or `None`."""
    found = function.__annotations__.get("return")
    return None if found is NoneType or (isinstance(found, str) and found in {"None", "NoneType"}) else found


# --- what takes the place of the body ---------------------------------------------------------------------------------


@dataclass(slots=True, frozen=True)
class Body:
    """What takes the place of an empty body.

    Args:
        function: Takes the function's arguments.
        kind: What it gives.
        awaited: Whether the stream is awaited first, as the annotation of an `async def` says.
    """

    function: Function
    kind: Kind
    awaited: bool = False


def prompt_body(function: FunctionType, options: Options, names: Mapping[str, object]) -> Body:
    """Make a body for an empty function.

    Args:
        function: Has a docstring and a return annotation.
        options: For run and stream.
        names: What is known where the function stands, for its annotation.

    Raises:
        ConfigurationError: The docstring names a parameter that is not there, or the annotation asks for a stream that
            cannot be had.
    """
    asynchronous = inspect.iscoroutinefunction(function)
    signature = inspect.signature(function)
    template = Template(inspect.cleandoc(function.__doc__ or ""), signature.parameters)
    answer = _Answer(function, options, names)

    def prompt_of(args: tuple[object, ...], kwargs: dict[str, object]) -> Prompt:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return template.fill(bound.arguments)

    if answer.colour is None:
        return (
            Body(_whole_async(prompt_of, answer), "coroutine")
            if asynchronous
            else Body(_whole(prompt_of, answer), "plain")
        )
    if answer.colour == "blocking":
        if asynchronous:
            raise ConfigurationError("an async function cannot return an Iterator", hint="Annotate AsyncIterator[str].")
        return Body(lambda *args, **kwargs: _texts(prompt_of(args, kwargs), answer), "generator")
    return Body(lambda *args, **kwargs: _texts_async(prompt_of(args, kwargs), answer), "async generator", asynchronous)


Filler: TypeAlias = "Callable[[tuple[object, ...], dict[str, object]], Prompt]"


def _whole(prompt_of: Filler, answer: _Answer) -> Function:
    def body(*args: object, **kwargs: object) -> object:
        from aistrale import default

        return answer.read(default.run(prompt_of(args, kwargs), **answer.options()))

    return body


def _whole_async(prompt_of: Filler, answer: _Answer) -> Function:
    async def body(*args: object, **kwargs: object) -> object:
        from aistrale import default

        return answer.read(await default.run_async(prompt_of(args, kwargs), **answer.options()))

    return body


def _texts(prompt: Prompt, answer: _Answer) -> Iterator[str]:
    from aistrale import default

    with default.stream(prompt, **answer.options()) as stream:
        for event in stream:
            if event.text:
                yield event.text
        answer.read(stream.completion)


async def _texts_async(prompt: Prompt, answer: _Answer) -> AsyncIterator[str]:
    from aistrale import default

    async with default.stream_async(prompt, **answer.options()) as stream:
        async for event in stream:
            if event.text:
                yield event.text
        answer.read(stream.completion)


# --- what is returned -------------------------------------------------------------------------------------------------


class _Answer:
    """What the annotation makes of an answer.

    Args:
        function: Whose annotation.
        options: For run and stream.
        names: What is known where the function stands.
    """

    def __init__(self, function: FunctionType, options: Options, names: Mapping[str, object]) -> None:
        self._function = function
        self._options = options
        self._type: object = _UNKNOWN
        try:
            self._type = self._evaluated(names)
        except Exception:  # noqa: BLE001 - annotations may raise anything; a class that comes later is known at the first call
            self.colour: Colour | None = None
        else:
            self.colour = self._colour()

    def _evaluated(self, names: Mapping[str, object]) -> object:
        holder = SimpleNamespace(__annotations__={"return": self._function.__annotations__["return"]})
        known = {**_NAMES, **self._function.__globals__}
        # Its stubs ask for a function, itself it asks for annotations.
        return typing.get_type_hints(cast("type", holder), known, dict(names), include_extras=True)["return"]

    def _colour(self) -> Colour | None:
        origin = get_origin(self._type) or self._type
        colour = _STREAMS.get(origin) if isinstance(origin, type) else None
        if colour is not None:
            items = get_args(self._type)
            if items and items[0] is not str:
                raise ConfigurationError(
                    "only text can be streamed", hint="Annotate Iterator[str] or AsyncIterator[str]."
                )
            if self._options.get("max_tool_rounds"):
                raise ConfigurationError("max_tool_rounds does not go with a stream", field="max_tool_rounds")
        return colour

    def options(self) -> Options:
        """What run or stream is called with."""
        if self._type is _UNKNOWN:
            try:
                self._type = self._evaluated({})
            except Exception as error:
                raise ConfigurationError(
                    f"the return annotation of {self._function.__qualname__} cannot be read",
                    hint=f"{type(error).__name__}: {error}",
                ) from error
        if self.colour is not None or self._type is str or self._type is Completion:
            return self._options
        return {**self._options, "output": self._type}

    def read(self, completion: Completion) -> object:
        """What the function returns. Raises AistraleError where the model wants to call tools instead."""
        if self._type is Completion:
            return completion
        if completion.tool_calls:
            raise AistraleError(
                f"the model calls tools, and {self._function.__qualname__} returns no calls",
                provider=completion.provider,
                target=completion.target,
                hint="Let them be run with max_tool_rounds=, or annotate aistrale.Completion and run them yourself.",
            )
        return completion.text if self._type is str or self.colour is not None else completion.output
