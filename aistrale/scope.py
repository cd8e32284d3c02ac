"""Who calls, and under which rules: carried by a context variable through threads' copies, tasks and the engine."""

from __future__ import annotations

import time
import weakref
from collections.abc import Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import fields, replace
from types import NoneType
from typing import TYPE_CHECKING, Final, ParamSpec, Protocol, TypedDict, TypeVar, cast, overload

from aistrale.core.call import NOBODY, Context
from aistrale.errors import ConfigurationError
from aistrale.options import check_deadline

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Unpack

    from aistrale.core.call import Priority

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_FIELDS: Final = tuple(item.name for item in fields(Context))
# A function that runs for days must not grow for it; what is beyond that is in the ledger.
_MOST_CALLS: Final = 1000


class ContextValues(TypedDict, total=False):
    """What `context` and a session may set.

    Args:
        user: Whom the call is for; like the other names, it stands in the ledger's rows.
        workspace: A name.
        project: A name.
        session: A name; a session gives its calls its own.
        name: What the application calls this kind of call.
        tags: Free labels.
        route: Taken by calls that name neither model nor route.
        deadline: Seconds that a call may take; the stricter of this and the settings holds.
        budget: A name, which budgets of the settings may be about ("budget:NAME"), or an amount of US dollars ("0.05"):
            a hard limit of each call by itself, attempts and all.
        priority: "high", "normal" or "low": who goes first where calls have to wait for a target.
        capture: Whether sinks get what is said, redacted; None for what the settings say.
    """

    user: str | None
    workspace: str | None
    project: str | None
    session: str | None
    name: str | None
    tags: Mapping[str, str]
    route: str | None
    deadline: float | None
    budget: str | None
    priority: Priority | None
    capture: bool | None


class Running:
    """A decorated function that runs: the calls made inside belong to it, and its time is theirs.

    Args:
        parent: The one around it.
    """

    __slots__ = ("calls", "over", "parent", "surrounds", "until")

    def __init__(self, parent: Running | None) -> None:
        self.parent = live(parent)
        self.until: float | None = None
        """Monotonic instant by which it must be done; None for no limit of its own."""
        self.calls: list[str] = []
        """Ids of the calls made inside, the first thousand."""
        self.surrounds: Callable[[str], None] | None = None
        """Is told of the calls made inside, and in no function within; must not raise."""
        self.over = False

    def finish(self) -> None:
        """It is over: what a task goes on doing that was begun inside is no longer its concern."""
        self.over = True
        self.surrounds = None
        # A task that starts its successor, which starts its own, must not leave a chain that grows for ever.
        self.parent = live(self.parent)


def live(running: Running | None) -> Running | None:
    """The innermost function that still runs, from this one outward."""
    while running is not None and running.over:
        running = running.parent
    return running


class Scope:
    """What the context variable holds.

    Args:
        context: Who calls.
        running: The innermost decorated function.
        outer: What held before.
    """

    __slots__ = ("closed", "context", "outer", "running")

    def __init__(self, context: Context, running: Running | None = None, outer: Scope | None = None) -> None:
        self.context = context
        self.running = running
        self.outer = outer
        self.closed = False

    def close(self) -> Scope:
        """It holds no longer; the next one outward that still does."""
        self.closed = True
        outer = self.outer
        while outer is not None and outer.closed:
            outer = outer.outer
        # As above: no chain that grows for ever.
        self.outer = outer
        return outer or _BASE


_BASE: Final = Scope(NOBODY)
SCOPE: Final[ContextVar[Scope]] = ContextVar("aistrale_scope", default=_BASE)
"""What holds for the running code."""


def current() -> Context:
    """The context of the running code; its deadline is no more than what is left to the functions around it."""
    holds = SCOPE.get()
    context, running = holds.context, holds.running
    until: float | None = None
    while running is not None:
        if not running.over and running.until is not None and (until is None or running.until < until):
            until = running.until
        running = running.parent
    if until is None:
        return context
    left = until - time.monotonic()
    return context if context.deadline is not None and context.deadline <= left else replace(context, deadline=left)


class Witness(Protocol):
    """Who wants to know of every call while it is made: in its thread and context, with its callers on the stack."""

    def called(self, call_id: str) -> None:
        """A call is made; must not raise."""
        ...

    def entered(self, function_id: str) -> None:
        """A decorated function is called, of which spans are made; must not raise."""
        ...


# Changed by single operations only, so that no thread needs a lock.
_witnesses: Final[dict[int, weakref.ref[Witness]]] = {}


def add_witness(witness: Witness) -> None:
    """Tell it of all calls from now on, for as long as it lives."""
    key = id(witness)
    _witnesses[key] = weakref.ref(witness, lambda _: _witnesses.pop(key, None))


def _living() -> list[Witness]:
    return [witness for reference in list(_witnesses.values()) if (witness := reference()) is not None]


def enter(function_id: str) -> None:
    """A decorated function is called here: the witnesses are told."""
    for witness in _living():
        witness.entered(function_id)


def note(call_id: str) -> None:
    """A call is made here: the functions around it are told, and the witnesses."""
    if _witnesses:
        for witness in _living():
            witness.called(call_id)
    running = SCOPE.get().running
    if (inner := live(running)) is not None and (surrounds := inner.surrounds) is not None:
        surrounds(call_id)
    while running is not None:
        if not running.over and len(running.calls) < _MOST_CALLS:
            running.calls.append(call_id)
        running = running.parent


class Block(AbstractContextManager[Context]):
    """What `aistrale.context` gives: a context manager for one `with`, and a decorator.

    Args:
        values: What it sets.
    """

    def __init__(self, values: ContextValues) -> None:
        self.values = checked(values)
        self._scope: Scope | None = None

    def __enter__(self) -> Context:
        if self._scope is not None:
            raise ConfigurationError("this context was entered before", hint="Write aistrale.context(...) again.")
        outer = SCOPE.get()
        self._scope = Scope(over(outer.context, self.values), outer.running, outer)
        SCOPE.set(self._scope)
        return self._scope.context

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        own = self._scope
        if own is None:
            return
        outer = own.close()
        # A generator may have been closed in another thread or task than it was entered in.
        if SCOPE.get() is own:
            SCOPE.set(outer)

    @overload
    def __call__(self, function: classmethod[T, P, R], /) -> classmethod[T, P, R]: ...
    @overload
    def __call__(self, function: staticmethod[P, R], /) -> staticmethod[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]: ...
    def __call__(self, function: object, /) -> object:
        """The function with the context set while it runs, of a generator too; it may be called as often as you like.

        Raises:
            ConfigurationError: It is a class, a property, or nothing that can be called.
        """
        from aistrale.wrapping import Execution, wrap

        def start(*_: object) -> Execution:
            outer = SCOPE.get()
            return Execution(Scope(over(outer.context, self.values), outer.running, outer))

        return wrap(function, start, "aistrale.context")


def context(**values: Unpack[ContextValues]) -> Block:
    """Set who calls, for all calls inside the block; what is not given is inherited, tags are merged.

    A decorator too: `@aistrale.context(user="ada")` sets it while the function runs, be it plain, async or a generator.

    Args:
        **values: See ContextValues: user, workspace, project, session, name, tags, route, deadline, budget, priority,
            capture.

    Returns:
        A context manager for one `with` (in async code too), which gives the new context; and a decorator.

    Raises:
        ConfigurationError: There is no such field, or its value is of a wrong type.
    """
    return Block(values)


def extended(outer: Context, values: ContextValues) -> Context:
    """The outer context with these values over it. Raises ConfigurationError for unknown fields and wrong values."""
    return over(outer, checked(values))


def over(outer: Context, values: ContextValues) -> Context:
    """The outer context with values over it that were checked."""
    tags = {**outer.tags, **(values.get("tags") or {})}
    return replace(outer, **{**values, "tags": tags})  # type: ignore[arg-type]  # the names were checked


def checked(values: ContextValues) -> ContextValues:
    """A copy of these values. Raises ConfigurationError for unknown fields and wrong values."""
    for name, value in values.items():
        if name not in _FIELDS:
            raise ConfigurationError(
                f"unknown context field {name!r}", field=name, hint=f"Known: {', '.join(_FIELDS)}."
            )
        if name == "deadline":
            check_deadline(value)
        elif name == "tags":
            _check_tags(value)
        elif name == "priority":
            if value is not None and value not in ("high", "normal", "low"):
                raise ConfigurationError("priority must be 'high', 'normal' or 'low'", field="priority")
        elif name == "capture":
            if value is not None and not isinstance(value, bool):
                raise ConfigurationError("capture must be true or false", field="capture")
        elif not isinstance(value, (str, NoneType)):
            # Floats are no money, and it would be odd if some numbers were taken and others not.
            what = "text: a name, or an amount of US dollars such as '0.05'" if name == "budget" else "text"
            raise ConfigurationError(f"{name} must be {what}", field=name)
    copy = dict(values)
    if (tags := values.get("tags")) is not None:
        copy["tags"] = dict(tags)
    return cast("ContextValues", copy)


def _check_tags(tags: object) -> None:
    fits = isinstance(tags, Mapping) and all(isinstance(item, str) for pair in tags.items() for item in pair)
    if tags is not None and not fits:
        raise ConfigurationError("tags must be a table of texts", field="tags")
