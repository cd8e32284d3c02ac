"""Whose call it is that is made just now: LangChain hands every run its manager, which stands on the stack.

Contexts do not tell: all of several prompts begin before the first is sent, and a stream shares its context with
whoever reads it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import FrameType

    from aistrale.integrations.runs import Run, RunMap

# The name of the argument by BaseChatModel's contract for subclasses, and of the variable in LangChain's own runners.
_MANAGER: Final = "run_manager"


def run_on_stack(runs: RunMap) -> Run | None:
    """The innermost of these runs whose code is being run; None where none of them is on the stack."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - nothing else says who calls whom
    while frame is not None:
        code = frame.f_code
        if _MANAGER in code.co_varnames or _MANAGER in code.co_cellvars:
            run_id = getattr(frame.f_locals.get(_MANAGER), "run_id", None)
            run = None if run_id is None else runs.get(str(run_id))
            if run is not None:
                return run
        frame = frame.f_back
    return None
