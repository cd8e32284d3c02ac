"""Steps of a script: what a provider shall do instead of answering well."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.types import JSON, Completion, ErrorKind, JSONObject, ToolCallPart

Wreck = Literal[
    "reset",  # the connection is reset before the headers
    "stall",  # nothing comes, ever
    "close",  # the connection closes in good order, before the headers
    "close_early",  # the connection closes in the middle of the body
    "reset_early",  # it is reset there
    "stall_early",  # nothing more comes there
    "truncate",  # the stream ends in good order, but without its terminal event
    "bad_json",
    "bad_gzip",
    "html",  # a page with status 200
    "short",  # fewer bytes than Content-Length says
    "empty",  # an answer without content, a stream without events
    "error_in_200",  # an error object with status 200, or as the first event of a stream
    "error_midway",  # an error event after content
]


@dataclass(slots=True, frozen=True, kw_only=True)
class Fault:
    """A provider's error, in its own shape.

    Args:
        status: HTTP status; None takes the one by which the provider reports `kind`.
        kind: What it means; decides type and code in the body. Guessed from the status when None.
        message: The provider's text.
        code: The body's code, instead of the usual one.
        type: The body's type (Gemini: its status word), instead of the usual one.
        retry_after: Seconds; goes where the provider puts it: a header, or the body (Gemini; Hugging Face with 503).
        headers: Further response headers, or others instead of the usual ones of the same name.
        body: The whole body instead: JSON, or bytes as they are.

    Raises:
        ValueError: Neither status nor kind says what it is, or the status is none of an error.
    """

    status: int | None = None
    kind: ErrorKind | None = None
    message: str = "a simulated error"
    code: str | None = None
    type: str | None = None
    retry_after: float | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: JSON | bytes = None

    def __post_init__(self) -> None:
        if self.status is None and self.kind is None:
            raise ValueError("Fault: give a status, for example 503, or a kind, for example 'overloaded'")
        if self.status is not None and not 300 <= self.status <= 599:
            raise ValueError("Fault.status: a number from 300 to 599; for an error with status 200 use Broken")


@dataclass(slots=True, frozen=True, kw_only=True)
class Broken:
    """Something that no provider means to send.

    Args:
        wreck: What happens.
        after: How many pieces of a stream come after the first before it does; -1 sends none at all.
        error: The error inside a good answer, for `error_in_200` and `error_midway`; a 500 by default.
    """

    wreck: Wreck
    after: int = 2
    error: Fault | None = None


@dataclass(slots=True, frozen=True, kw_only=True)
class Slow:
    """A good answer that takes its time.

    Args:
        headers: Seconds before the headers.
        first: Seconds before the first piece of a stream.
        between: Seconds between pieces.
        drip: Bytes of each piece, however the answer is framed; None sends event by event, or the whole body.
    """

    headers: float = 0.0
    first: float = 0.0
    between: float = 0.0
    drip: int | None = None


@dataclass(slots=True, frozen=True, kw_only=True)
class Say:
    """A given answer instead of the usual one.

    Args:
        text: What the model says.
        tool_calls: What it calls: names with their arguments, or whole parts.
        completion: The whole answer instead, as it is; an id, a model and a usage are filled in where it has none.
    """

    text: str | None = None
    tool_calls: Sequence[tuple[str, JSONObject] | ToolCallPart] = ()
    completion: Completion | None = None


@dataclass(slots=True, frozen=True)
class Good:
    """The usual answer; to let some requests pass before a fault."""


Step = Fault | Broken | Slow | Say | Good
GOOD = Good()
