"""The rows of the ledger and their form in the journal.

A row is written as a compact JSON array, `[version, kind, column, column, ...]`, the columns in the order of
the dataclass fields. Plain ASCII, so that the frame marker of the journal can never stand inside a row. No
row has a place for content: prompts, answers and tool arguments are not recorded here.

Changing, adding or reordering a field is a new `SCHEMA_VERSION`: processes of different versions share one
directory, and one that meets a newer row leaves it for the newer process instead of guessing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA_VERSION = 2

Outcome: TypeAlias = Literal["success", "error", "cancelled", "interrupted", "abandoned"]
UsageSource: TypeAlias = Literal["reported", "estimated"]


class NewerRowError(ValueError):
    """The row was written by a newer version of aistrale; it must be kept for that version."""


@dataclass(slots=True, kw_only=True)
class IntentRow:
    """Written before an attempt is sent, so that a request whose process died is known to have been possible.

    Args:
        call_id: Id of the logical call.
        attempt: Number of the attempt within the call, from 1.
        at: When it is sent, epoch seconds (UTC).
        provider: Who is asked.
        model: The provider's name of the model.
        target: The place that is tried, written `provider/model`.
        streamed: Whether a stream was asked for.
        estimated_input_tokens: What we count before sending, tokens.
        max_output_tokens: The limit that the request sets, tokens.
    """

    call_id: str
    attempt: int
    at: float
    provider: str
    model: str
    target: str
    streamed: bool
    estimated_input_tokens: int | None = None
    max_output_tokens: int | None = None


@dataclass(slots=True, kw_only=True)
class UsageColumns:
    """Tokens in disjoint buckets, named as in `aistrale.types.Usage`; None means not told, which is not zero.

    Args:
        input: Text input that no other bucket holds.
        cache_read: Input read from the provider's cache.
        cache_write: Input written to a cache, all lifetimes together.
        output: Visible output.
        reasoning: Thinking, visible or not.
        audio_input: Audio input.
        audio_output: Audio output.
        image_input: Image input.
        image_output: Image output.
        tool_input: Input added by the provider's own tools.
        usage_source: "reported" by the provider, or "estimated" by us.
        cost: US dollars, a decimal number as text; None when unknown.
        cost_reason: Why the cost is unknown or not exact.
    """

    input: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    output: int | None = None
    reasoning: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None
    image_input: int | None = None
    image_output: int | None = None
    tool_input: int | None = None
    usage_source: UsageSource | None = None
    cost: str | None = None
    cost_reason: str | None = None


TOKEN_BUCKETS: tuple[str, ...] = tuple(f.name for f in fields(UsageColumns) if f.type == "int | None")


@dataclass(slots=True, kw_only=True)
class AttemptRow(UsageColumns):
    """One settled HTTP exchange; the token and cost columns are those of `UsageColumns`.

    Args:
        call_id: Id of the logical call.
        attempt: Number of the attempt within the call, from 1.
        at: When it was sent, epoch seconds (UTC).
        latency: Seconds until it was over.
        first_token: Seconds until the first piece of the answer; None if none came.
        provider: Who was asked.
        model: The provider's name of the model.
        response_model: The model that the answer names.
        target: The place that was tried, written `provider/model`.
        region: Where, if the target has a region.
        streamed: Whether a stream was asked for.
        outcome: How it ended.
        error: Class name of the error.
        status: HTTP status.
        request_id: The provider's id of the exchange.
        retry_after: Seconds that the provider asked us to wait.
    """

    call_id: str
    attempt: int
    at: float
    latency: float
    provider: str
    model: str
    target: str
    streamed: bool
    outcome: Outcome
    first_token: float | None = None
    response_model: str | None = None
    region: str | None = None
    error: str | None = None
    status: int | None = None
    request_id: str | None = None
    retry_after: float | None = None


@dataclass(slots=True, kw_only=True)
class CallRow(UsageColumns):
    """One logical call of the application, all its attempts summed.

    Args:
        call_id: Id of the call.
        at: When the application made it, epoch seconds (UTC).
        latency: Seconds until it was over, waiting and retries included.
        kind: "chat" or "embed".
        model_asked: What the application asked for: a model or a route.
        outcome: How it ended.
        attempts: How many attempts were sent; 0 when a policy answered or refused.
        first_token: Seconds until the first piece of the answer.
        route: Name of the route that was used.
        provider: Who served it in the end.
        model: The model that served it.
        error: Class name of the error.
        user: Who it was for, from the context of the call.
        workspace: Its workspace.
        project: Its project.
        session: Its session.
        name: The name that the application gave it.
        tags: Labels of the application.
        degraded: What kind of lesser answer was given, if one was.
        lossy: What a translation between wire formats had to leave out.
        privacy: How many values were found and what was done about them, by `direction.action.type`:
            "out.redact.EMAIL_ADDRESS", "in.block.CREDIT_CARD"; with "dry." before it where it was only reported. Since
            schema version 2.
    """

    call_id: str
    at: float
    latency: float
    kind: Literal["chat", "embed"]
    model_asked: str
    outcome: Outcome
    attempts: int
    first_token: float | None = None
    route: str | None = None
    provider: str | None = None
    model: str | None = None
    error: str | None = None
    user: str | None = None
    workspace: str | None = None
    project: str | None = None
    session: str | None = None
    name: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    degraded: str | None = None
    lossy: list[str] = field(default_factory=list)
    privacy: dict[str, int] = field(default_factory=dict)


Row: TypeAlias = IntentRow | AttemptRow | CallRow
RowType: TypeAlias = type[IntentRow] | type[AttemptRow] | type[CallRow]

_KINDS: dict[str, RowType] = {"i": IntentRow, "a": AttemptRow, "c": CallRow}
COLUMNS: dict[RowType, tuple[str, ...]] = {cls: tuple(f.name for f in fields(cls)) for cls in _KINDS.values()}
_GETTERS: dict[type, tuple[str, Callable[[object], tuple[object, ...]]]] = {
    cls: (kind, cast("Callable[[object], tuple[object, ...]]", attrgetter(*COLUMNS[cls])))
    for kind, cls in _KINDS.items()
}
# One encoder for all rows: json.dumps with separators would build a new one for each.
_to_json = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
# Rows are written without blanks around them, so there are none to look for.
_from_json = json.JSONDecoder().raw_decode


def values(row: Row) -> tuple[object, ...]:
    """The column values of a row, in the order of `COLUMNS`."""
    return _GETTERS[type(row)][1](row)


def encode_row(row: Row) -> bytes:
    """A row as it stands in the journal.

    Args:
        row: The row to write.

    Returns:
        A JSON array in ASCII.

    Raises:
        KeyError: The object is not a row.
        TypeError: A column holds something that JSON cannot say.
        RecursionError: A column is nested too deeply.
    """
    kind, get = _GETTERS[type(row)]
    return _to_json((SCHEMA_VERSION, kind, *get(row))).encode("ascii")


def decode_row(payload: bytes) -> Row:
    """The row of a payload that `encode_row` made.

    Args:
        payload: A JSON array.

    Returns:
        The row.

    Raises:
        NewerRowError: A newer version of aistrale wrote it.
        ValueError: It is not a row.
    """
    try:
        array, end = _from_json(payload.decode("ascii"))
    except RecursionError as error:
        raise ValueError("the row is nested too deeply") from error
    if end != len(payload) or not isinstance(array, list) or len(array) < 2 or not isinstance(array[0], int):
        raise ValueError("the payload is not a row: expected [version, kind, ...]")
    if array[0] > SCHEMA_VERSION:
        raise NewerRowError(f"the row has schema version {array[0]}; this version reads {SCHEMA_VERSION}")
    cls = _KINDS.get(array[1]) if isinstance(array[1], str) else None
    columns = () if cls is None else _columns_of(cls, array[0])
    if cls is None or len(array) != len(columns) + 2:
        raise ValueError(f"the row of kind {array[1]!r} has not the columns of schema version {array[0]}")
    return cls(**dict(zip(columns, array[2:], strict=True)))


def _columns_of(cls: RowType, version: int) -> tuple[str, ...]:
    """The columns that rows of a kind had in a version; new ones were added at the end."""
    return COLUMNS[cls][:-1] if cls is CallRow and version == 1 else COLUMNS[cls]
