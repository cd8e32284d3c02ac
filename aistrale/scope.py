"""Who calls, and under which rules: carried by a context variable through threads' copies, tasks and the engine."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields, replace
from typing import TYPE_CHECKING, TypedDict

from aistrale.core.call import NOBODY, Context
from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Unpack

_context: ContextVar[Context] = ContextVar("aistrale_context", default=NOBODY)


class ContextValues(TypedDict, total=False):
    """What `context` may set; see Context."""

    user: str | None
    workspace: str | None
    project: str | None
    session: str | None
    name: str | None
    tags: Mapping[str, str]
    route: str | None
    deadline: float | None
    budget: str | None
    priority: str | None


def current() -> Context:
    """The context of the running code."""
    return _context.get()


@contextmanager
def context(**values: Unpack[ContextValues]) -> Iterator[Context]:
    """Set who calls, for all calls inside the block; what is not given is inherited, tags are merged.

    Raises:
        ConfigurationError: There is no such field.
    """
    new = extended(current(), values)
    token = _context.set(new)
    try:
        yield new
    finally:
        _context.reset(token)


def extended(outer: Context, values: ContextValues) -> Context:
    """The outer context with these values over it. Raises ConfigurationError for unknown fields."""
    known = [item.name for item in fields(Context)]
    for name in values:
        if name not in known:
            raise ConfigurationError(f"unknown context field {name!r}", field=name, hint=f"Known: {', '.join(known)}.")
    tags = {**outer.tags, **(values.get("tags") or {})}
    return replace(outer, **{**values, "tags": tags})  # type: ignore[arg-type]  # the names were checked
