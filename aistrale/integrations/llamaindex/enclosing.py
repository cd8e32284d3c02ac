"""Whether a model's call happens inside another one, where LlamaIndex tells of both and of no connection.

Its events and callbacks come from wrappers around the methods of models. The wrappers that are on the stack say which
calls are under way: by their own variables, as llama-index-core 0.14 names them. Where these are missing, every call
counts as one by itself.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from llama_index.core.llms import callbacks

if TYPE_CHECKING:
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


def enclosing_call() -> Enclosing | None:
    """The model's call around the one that is told of just now; None where it stands alone."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - nothing else says who calls whom
    own = False
    while frame is not None:
        code = frame.f_code
        if code.co_filename == _FILE and code.co_name in _WRAPPERS:
            if own:
                seen = frame.f_locals
                return Enclosing(_text(seen.get("span_id")), _text(seen.get("event_id")))
            own = True
        frame = frame.f_back
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
