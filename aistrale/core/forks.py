"""What forks and `multiprocessing` need beside locks: imports that are over, and an end that runs exit hooks."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_PACKAGE: Final = __name__.partition(".")[0]
_IMPORTER: Final = "<frozen importlib._bootstrap>"
_WITHIN: Final = frozenset({_IMPORTER, "<frozen importlib._bootstrap_external>"})
# Seconds; an import of ours comes to its end, however slowly on a busy machine. One that somebody else has begun whom
# we have called, or that waits for the thread that forks, may not.
_OURS_PATIENCE: Final = 30.0
_OTHERS_PATIENCE: Final = 2.0
_LOOK_SECONDS: Final = 0.001
# After whatever else a child has to finish, such as what lies in its queues.
_LAST: Final = -100

_joined: list[bool] = []


def await_imports() -> None:
    """Wait until no other thread is inside an import that began in this package; to be called before a fork.

    The child would wait for such a module for ever: its lock belongs to a thread that the child does not have. Most
    modules here are loaded at their first use, so that this may be any thread that makes a call.
    """
    own, begun = threading.get_ident(), time.monotonic()
    longest = _OTHERS_PATIENCE if _patience(sys._getframe(), within="") else _OURS_PATIENCE  # noqa: SLF001 - a look at stacks
    while True:
        frames = [frame for ident, frame in sys._current_frames().items() if ident != own]  # noqa: SLF001 - as above
        patience = max(map(_patience, frames), default=0.0)
        if time.monotonic() - begun >= min(patience, longest):
            return
        threading.Event().wait(_LOOK_SECONDS)


def _patience(innermost: FrameType, within: str = _PACKAGE) -> float:
    """How long a thread is waited for: 0 where it is not inside an import of whoever is `within`, "" for anybody."""
    frame: FrameType | None = innermost
    importing, patience = False, 0.0
    before = ""
    while frame is not None:
        file = frame.f_code.co_filename
        if file == _IMPORTER:
            importing = True
        elif importing and file not in _WITHIN:
            module = str(frame.f_globals.get("__name__", ""))
            if not within:
                return _OURS_PATIENCE
            if module.partition(".")[0] == within:
                if before in _WITHIN:
                    return _OURS_PATIENCE
                patience = _OTHERS_PATIENCE
            # `importlib.import_module` asks in its caller's name.
            file = _IMPORTER if module == "importlib" else file
        before = file
        frame = frame.f_back
    return patience


def end_with_multiprocessing(hook: Callable[[], object]) -> None:
    """Run a hook at the end of child processes of `multiprocessing`, which end without those of `atexit`.

    Nothing is done as long as nobody has loaded `multiprocessing`; to be called again before every fork.

    Args:
        hook: Lives as long as the process.
    """
    util = sys.modules.get("multiprocessing.util")
    if util is None or _joined or not hasattr(util, "_exit_function"):
        # The last: another thread is in the midst of loading it.
        return
    _joined.append(True)
    # What a process that begins to be a child has of finalizers is forgotten, and then these are run.
    util.register_after_fork(hook, lambda own: util.Finalize(None, own, exitpriority=_LAST))
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        util.Finalize(None, hook, exitpriority=_LAST)
