"""Who calls, and under which rules: carried by a context variable through threads' copies, tasks and the engine."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields, replace
from types import NoneType
from typing import TYPE_CHECKING, Final, TypedDict

from aistrale.core.call import NOBODY, Context
from aistrale.errors import ConfigurationError
from aistrale.options import check_deadline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Unpack

    from aistrale.core.call import Priority

_FIELDS: Final = tuple(item.name for item in fields(Context))
_context: ContextVar[Context] = ContextVar("aistrale_context", default=NOBODY)


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


def current() -> Context:
    """The context of the running code."""
    return _context.get()


@contextmanager
def context(**values: Unpack[ContextValues]) -> Iterator[Context]:
    """Set who calls, for all calls inside the block; what is not given is inherited, tags are merged.

    Args:
        **values: See ContextValues: user, workspace, project, session, name, tags, route, deadline, budget, priority,
            capture.

    Raises:
        ConfigurationError: There is no such field, or its value is of a wrong type.
    """
    new = extended(current(), values)
    token = _context.set(new)
    try:
        yield new
    finally:
        _context.reset(token)


def extended(outer: Context, values: ContextValues) -> Context:
    """The outer context with these values over it. Raises ConfigurationError for unknown fields and wrong values."""
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
            raise ConfigurationError(f"{name} must be text", field=name)
    tags = {**outer.tags, **(values.get("tags") or {})}
    return replace(outer, **{**values, "tags": tags})  # type: ignore[arg-type]  # the names were checked


def _check_tags(tags: object) -> None:
    fits = isinstance(tags, Mapping) and all(isinstance(item, str) for pair in tags.items() for item in pair)
    if tags is not None and not fits:
        raise ConfigurationError("tags must be a table of texts", field="tags")
