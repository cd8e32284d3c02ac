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

from aistrale.core.compact import compact_encoder

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA_VERSION = 3

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
        messages: How many messages the request holds.
        prefix: Fingerprint of what stands before the conversation (tools and system text), keyed with a secret of this
            installation; the same prefix has the same fingerprint, and nothing else can be learned from it.
        prefix_tokens: What we count for that prefix, tokens.
        last_tokens: What we count for the last message, tokens. The last four: since schema version 3.
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
    messages: int | None = None
    prefix: str | None = None
    prefix_tokens: int | None = None
    last_tokens: int | None = None


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
        book: Version and digest of the price book that the cost was computed with; None where no price was looked up.
        metered: What was priced, where the columns of tokens do not say it all: see `aistrale.cost.meter`. With it and
            the book a bill can be computed again. The last two: since schema version 3.
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
    book: str | None = None
    metered: dict[str, object] = field(default_factory=dict)


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
        avoided: US dollars, as text, that a remembered answer had cost when it was asked for; None where a provider was
            asked.
        optimized: What automatic optimisation changed in the request, by the names of
            `aistrale.cost.optimization.optimizer`. The last two: since schema version 3.
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
    avoided: str | None = None
    optimized: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class ScoreRow:
    """How good an answer was, as the application judged it; a later score of the same name replaces an earlier one.

    Since schema version 3.

    Args:
        call_id: Id of the call.
        name: What was judged: "quality" by default.
        at: When, epoch seconds (UTC).
        score: 0 (useless) to 1 (perfect).
    """

    call_id: str
    name: str
    at: float
    score: float


@dataclass(slots=True, kw_only=True)
class CountRow:
    """What we counted for a prompt beside what its provider reported: counters are calibrated with it.

    Since schema version 3.

    Args:
        call_id: Id of the call.
        attempt: Number of the attempt within the call.
        at: When, epoch seconds (UTC).
        provider: Who counted.
        model: The provider's name of the model.
        counted: Tokens by our counter, before any calibration.
        actual: Tokens that the provider reported.
    """

    call_id: str
    attempt: int
    at: float
    provider: str
    model: str
    counted: int
    actual: int


Row: TypeAlias = IntentRow | AttemptRow | CallRow | ScoreRow | CountRow
RowType: TypeAlias = type[IntentRow] | type[AttemptRow] | type[CallRow] | type[ScoreRow] | type[CountRow]

_KINDS: dict[str, RowType] = {"i": IntentRow, "a": AttemptRow, "c": CallRow, "s": ScoreRow, "t": CountRow}
COLUMNS: dict[RowType, tuple[str, ...]] = {cls: tuple(f.name for f in fields(cls)) for cls in _KINDS.values()}
_GETTERS: dict[type, tuple[str, Callable[[object], tuple[object, ...]]]] = {
    cls: (kind, cast("Callable[[object], tuple[object, ...]]", attrgetter(*COLUMNS[cls])))
    for kind, cls in _KINDS.items()
}
_to_json = compact_encoder()
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
    if array[0] is True or array[0] < 1:
        raise ValueError("the payload is not a row: versions begin with 1")
    if array[0] > SCHEMA_VERSION:
        raise NewerRowError(f"the row has schema version {array[0]}; this version reads {SCHEMA_VERSION}")
    cls = _KINDS.get(array[1]) if isinstance(array[1], str) else None
    columns = () if cls is None else _columns_of(cls, array[0])
    if cls is None or len(array) != len(columns) + 2:
        raise ValueError(f"the row of kind {array[1]!r} has not the columns of schema version {array[0]}")
    return cls(**dict(zip(columns, array[2:], strict=True)))


# How many columns, at the end, came after a version: all of them where the kind of row did.
_NEWER: dict[int, dict[RowType, int]] = {
    1: {IntentRow: 4, AttemptRow: 2, CallRow: 3, ScoreRow: len(COLUMNS[ScoreRow]), CountRow: len(COLUMNS[CountRow])}
}
_NEWER[2] = {**_NEWER[1], CallRow: 2}


def _columns_of(cls: RowType, version: int) -> tuple[str, ...]:
    """The columns that rows of a kind had in a version; new ones were added at the end."""
    newer = _NEWER.get(version, {}).get(cls, 0)
    return COLUMNS[cls][: len(COLUMNS[cls]) - newer]
