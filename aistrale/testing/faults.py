"""Steps of a script: what a provider shall do instead of answering well."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from aistrale.types import JSON, Completion, ErrorKind

Wreck = Literal[
    "reset",  # the connection is reset before the headers
    "stall",  # nothing comes, ever
    "close_early",  # the connection closes in the middle of the body
    "reset_early",  # it is reset there
    "stall_early",  # nothing more comes there
    "truncate",  # the stream ends in good order, but without its terminal event
    "bad_json",
    "bad_gzip",
    "html",  # a page with status 200
    "short",  # fewer bytes than Content-Length says
    "empty",  # an answer without content
    "error_in_200",  # an error object with status 200, or as the first event of a stream
    "error_midway",  # an error event after content
]


@dataclass(slots=True, frozen=True, kw_only=True)
class Fault:
    """A provider's error, in its own shape.

    Args:
        status: HTTP status.
        kind: What it means; decides type and code in the body. Guessed from the status when None.
        message: The provider's text.
        code: The body's code or type, instead of the usual one.
        retry_after: Seconds; goes where the provider puts it (header, or Gemini's body).
        headers: Further response headers.
        body: The whole body instead.
    """

    status: int
    kind: ErrorKind | None = None
    message: str = "a simulated error"
    code: str | None = None
    retry_after: float | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: JSON = None


@dataclass(slots=True, frozen=True, kw_only=True)
class Broken:
    """Something that no provider means to send.

    Args:
        wreck: What happens.
        after: How many pieces of a stream are sent before it does.
    """

    wreck: Wreck
    after: int = 2


@dataclass(slots=True, frozen=True, kw_only=True)
class Slow:
    """A good answer that takes its time.

    Args:
        headers: Seconds before the headers.
        first: Seconds before the first piece of a stream.
        between: Seconds between pieces.
    """

    headers: float = 0.0
    first: float = 0.0
    between: float = 0.0


@dataclass(slots=True, frozen=True, kw_only=True)
class Say:
    """A given answer instead of the usual one."""

    text: str | None = None
    completion: Completion | None = None


@dataclass(slots=True, frozen=True)
class Good:
    """The usual answer; to let some requests pass before a fault."""


Step = Fault | Broken | Slow | Say | Good
GOOD = Good()
