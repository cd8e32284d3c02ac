"""Which of LlamaIndex's calls of models are under way just now, the one inside the other.

It tells of each of them and of no connection. Its events and callbacks come from wrappers around the methods of models,
and the wrappers that are on the stack say so: by their own variables, as llama-index-core 0.14 names them. Where these
are missing, every call counts as one by itself.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from llama_index.core.llms import callbacks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_FILE: Final = callbacks.__file__
_WRAPPERS: Final = frozenset(
    {"wrapped_llm_chat", "wrapped_async_llm_chat", "wrapped_llm_predict", "wrapped_async_llm_predict", "wrapped_gen"}
)


class Enclosing(NamedTuple):
    """A call that is under way.

    Args:
        span_id: Of its span.
        event_id: Of its callbacks.
    """

    span_id: str | None
    event_id: str | None


def calls_on_stack() -> Iterator[Enclosing]:
    """The calls of models that are under way in this thread, from the innermost outward."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - nothing else says who calls whom
    while frame is not None:
        code = frame.f_code
        if code.co_filename == _FILE and code.co_name in _WRAPPERS:
            seen = frame.f_locals
            yield Enclosing(_text(seen.get("span_id")), _text(seen.get("event_id")))
        frame = frame.f_back


def enclosing_call() -> Enclosing | None:
    """The model's call around the one that is told of just now; None where it stands alone."""
    calls = calls_on_stack()
    next(calls, None)
    return next(calls, None)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
