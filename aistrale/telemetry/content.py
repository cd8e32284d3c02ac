"""What was said, for sinks: in the form of the GenAI semantic conventions, and redacted."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistrale.core.call import Call
    from aistrale.core.reply import Reply
    from aistrale.telemetry.events import Content


class Capture:
    """Decides whether content is kept, and makes it.

    Args:
        always: Whether it is kept where a call's context does not say.
        redact: Makes a text harmless; None where requests are redacted already.
    """

    def __init__(self, *, always: bool, redact: Callable[[str], str] | None) -> None:
        self._always = always
        self._redact = redact

    def __call__(self, call: Call, reply: Reply | None) -> Content | None:
        """The content of an exchange; None where none is wanted."""
        wanted = self._always if call.context.capture is None else call.context.capture
        if not wanted:
            return None
        raise NotImplementedError
