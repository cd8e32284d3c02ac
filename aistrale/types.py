"""The hub: what a request, an answer and a stream are, whichever provider speaks.

Everything here is a plain slots dataclass of the standard library: the hot path builds thousands of them. Treat them as
immutable once they are part of a request or an answer; nothing in aistrale changes one in place.

A node that was decoded from a wire format keeps what the hub has no word for in its `wire`: fields it does not model,
verbatim, and the notation the source used, so that encoding in the same dialect gives the same body again.

Longer than a file should be, because it is the one vocabulary that every room shares: half of it is documentation.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, TypeAlias, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from dataclasses import Field
    from decimal import Decimal

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"
JSONObject: TypeAlias = dict[str, "JSON"]

Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool"]
FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "pause", "error", "unknown"]
Media: TypeAlias = Literal["image", "audio", "document", "video"]
ErrorKind: TypeAlias = Literal[
    "authentication",
    "permission",
    "rate_limit",
    "quota",
    "invalid_request",
    "context_length",
    "content_filter",
    "model_not_found",
    "overloaded",
    "server",
    "unknown",
]
REASONING_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

# What users and models say; reprs end in logs and bug reports, so they tell only how much of it there is.
_CONTENT = frozenset(
    {
        "arguments", "body", "data", "extra", "fields", "file_id", "filename", "inputs", "message", "metadata",
        "output",
        "reasoning", "text", "url", "user", "vectors",
    }
)  # fmt: skip


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Field[object]]]


def _concise(self: _Dataclass) -> str:
    """A repr without content and without fields at their defaults."""
    shown = []
    for item in fields(self):
        value = getattr(self, item.name)
        if not item.repr or value is None or value == item.default or value in ([], {}):
            continue
        if item.name in _CONTENT and isinstance(value, (str, list, tuple, dict)):
            unit = "characters" if isinstance(value, str) else "items"
            shown.append(f"{item.name}=<{len(value)} {unit}>")
        elif item.name in _CONTENT and not hasattr(value, "__dataclass_fields__"):
            shown.append(f"{item.name}=<{type(value).__name__}>")
        else:
            shown.append(f"{item.name}={value!r}")
    return f"{type(self).__name__}({', '.join(shown)})"


@dataclass(slots=True)
class Wire:
    """What one dialect said about a node and the hub does not model.

    Args:
        dialect: The dialect that may read this; every other one ignores it and reports it where it carries meaning.
        fields: Unmodelled fields, verbatim (including explicit nulls), to be merged back when encoding.
        form: Which of several equal notations the source used, in words of that dialect's module.
    """

    __repr__ = _concise

    dialect: str
    fields: JSONObject = field(default_factory=dict)
    form: str = ""


@dataclass(slots=True)
class CacheHint:
    """Asks the provider to cache the prompt up to here.

    Args:
        ttl: "5m" (default), "30m", "1h" or "12h"; a dialect takes the nearest it has and reports the change.
    """

    ttl: str | None = None


@dataclass(slots=True)
class TextPart:
    """Plain text."""

    __repr__ = _concise

    text: str
    cache: CacheHint | None = None
    wire: Wire | None = None


@dataclass(slots=True)
class RefusalPart:
    """Text in which the model declines (OpenAI's `refusal`)."""

    __repr__ = _concise

    text: str
    wire: Wire | None = None


@dataclass(slots=True)
class MediaPart:
    """An image, sound, document or video, inline, by URL or by the provider's file id.

    Args:
        media: What kind of thing it is.
        data: Base64 text of the content (without a `data:` prefix).
        url: Where the provider may fetch it.
        file_id: The provider's own id of an uploaded file; cannot move to another provider.
        media_type: MIME type, for example `image/png`.
        filename: Name shown to the model, where the dialect has a place for it.
        detail: Resolution hint in OpenAI's words: auto, low, high, original.
    """

    __repr__ = _concise

    media: Media
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    media_type: str | None = None
    filename: str | None = None
    detail: str | None = None
    cache: CacheHint | None = None
    wire: Wire | None = None


@dataclass(slots=True)
class ReasoningPart:
    """What a model thought before it answered.

    The provider's opaque state (signature, encrypted content) stands in `wire` and must be sent back unchanged, in the
    same turn, to the provider it came from; other providers never get it.

    Args:
        text: The readable thought or its summary; may be empty.
        redacted: The provider withheld the text and gave only opaque state.
    """

    __repr__ = _concise

    text: str = ""
    redacted: bool = False
    wire: Wire | None = None


@dataclass(slots=True)
class ToolCallPart:
    """The model asks for a tool.

    Args:
        id: Ties the call to its result. Minted by us where the provider gives none.
        name: The tool's name.
        arguments: The arguments as JSON text, verbatim where the provider sends text; "" means none.
    """

    __repr__ = _concise

    id: str
    name: str
    arguments: str = ""
    cache: CacheHint | None = None
    wire: Wire | None = None

    @property
    def input(self) -> JSON:
        """The arguments, parsed; `{}` when there are none. Raises ValueError when the model wrote broken JSON."""
        return cast("JSON", json.loads(self.arguments)) if self.arguments.strip() else {}


@dataclass(slots=True)
class ToolResultPart:
    """What a tool gave back.

    Args:
        call_id: `ToolCallPart.id` that this answers.
        content: Text and media parts.
        is_error: The tool failed; the content says how.
        name: The tool's name, which Gemini requires; filled from the call where absent.
    """

    __repr__ = _concise

    call_id: str
    content: list[Part] = field(default_factory=list)
    is_error: bool = False
    name: str | None = None
    cache: CacheHint | None = None
    wire: Wire | None = None

    @property
    def text(self) -> str:
        """The text parts, joined."""
        return "".join(part.text for part in self.content if isinstance(part, TextPart))


@dataclass(slots=True)
class ProviderPart:
    """Content that only its own dialect understands: hosted tools, code execution, search results.

    Args:
        dialect: The dialect that can encode it; to any other it is refused or reported, never dropped silently.
        data: The content block or item, verbatim.
    """

    __repr__ = _concise

    dialect: str
    data: JSONObject
    cache: CacheHint | None = None
    wire: Wire | None = None


Part: TypeAlias = "TextPart | RefusalPart | MediaPart | ReasoningPart | ToolCallPart | ToolResultPart | ProviderPart"


@dataclass(slots=True)
class Message:
    """One turn of a conversation.

    Consecutive assistant items of one turn (thoughts, text, tool calls) are one message with several parts, in order.
    Tool results stand in messages of role "tool".
    """

    __repr__ = _concise

    role: Role
    parts: list[Part] = field(default_factory=list)
    name: str | None = None
    wire: Wire | None = None

    @property
    def text(self) -> str:
        """The text parts, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))

    @property
    def tool_calls(self) -> list[ToolCallPart]:
        """The tool calls, in order."""
        return [part for part in self.parts if isinstance(part, ToolCallPart)]

    @classmethod
    def system(cls, text: str) -> Message:
        """An instruction that stands above the conversation."""
        return cls("system", [TextPart(text)])

    @classmethod
    def user(cls, *content: str | Part) -> Message:
        """What the user says: texts and media, in order."""
        return cls("user", [TextPart(item) if isinstance(item, str) else item for item in content])

    @classmethod
    def assistant(cls, *content: str | Part) -> Message:
        """What the model said."""
        return cls("assistant", [TextPart(item) if isinstance(item, str) else item for item in content])

    @classmethod
    def tool(cls, call_id: str, content: str, *, name: str | None = None, is_error: bool = False) -> Message:
        """The result of one tool call."""
        return cls("tool", [ToolResultPart(call_id, [TextPart(content)], is_error=is_error, name=name)])


@dataclass(slots=True)
class Tool:
    """A function that the model may call, or a tool that the provider hosts.

    Args:
        name: At most 64 characters of [A-Za-z0-9_-].
        description: Tells the model when and how to use it.
        parameters: JSON Schema of the arguments (an object schema).
        strict: Ask the provider to enforce the schema.
        function: The Python function behind it, for the tool loop; never sent.
        hosted: The provider's own tool definition, verbatim, with the dialect that understands it in `wire.dialect`.
    """

    name: str
    description: str | None = None
    parameters: JSONObject | None = None
    strict: bool | None = None
    function: Callable[..., object] | None = field(default=None, repr=False, compare=False)
    hosted: JSONObject | None = None
    cache: CacheHint | None = None
    wire: Wire | None = None


@dataclass(slots=True)
class ToolChoice:
    """Whether and which tools the model must call.

    Args:
        mode: "auto", "none", "required" (any tool) or "tool" (those in `names`).
        names: The tools allowed; one name forces it.
    """

    mode: Literal["auto", "none", "required", "tool"]
    names: list[str] = field(default_factory=list)
    wire: Wire | None = None


@dataclass(slots=True)
class OutputFormat:
    """Structured output.

    Args:
        kind: "json_schema" with a schema, "json_object" for any JSON object, "text" for none.
        schema: JSON Schema.
        name: Name of the schema, for dialects that want one.
        strict: Ask the provider to enforce the schema.
    """

    __repr__ = _concise

    kind: Literal["json_schema", "json_object", "text"]
    schema: JSONObject | None = None
    name: str | None = None
    strict: bool | None = None
    description: str | None = None
    wire: Wire | None = None


@dataclass(slots=True)
class Reasoning:
    """How much a model should think.

    Args:
        effort: One of REASONING_EFFORTS.
        budget: Upper bound in tokens, for models that take one instead.
        include: Whether the thoughts (or summaries) should be part of the answer.
    """

    effort: str | None = None
    budget: int | None = None
    include: bool | None = None
    wire: Wire | None = None


@dataclass(slots=True, kw_only=True)
class Request:
    """A chat request in the hub's words.

    Args:
        source: The dialect it was decoded from; None when it was made through the unified interface.
        logprobs: Number of alternatives per token to report; 0 reports only the chosen one; None reports nothing.
        cache_key: Groups requests that share a prompt prefix (OpenAI's `prompt_cache_key`).
        extra: Fields merged into the body of whatever dialect it is sent in, as the caller wrote them.
    """

    __repr__ = _concise

    model: str
    messages: list[Message]
    tools: list[Tool] = field(default_factory=list)
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: list[str] | None = None
    seed: int | None = None
    n: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: int | None = None
    output: OutputFormat | None = None
    reasoning: Reasoning | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    service_tier: str | None = None
    cache_key: str | None = None
    stream: bool = False
    extra: JSONObject = field(default_factory=dict)
    source: str | None = None
    wire: Wire | None = None


@dataclass(slots=True)
class Usage:
    """Tokens of one exchange in disjoint buckets: their sum is what was processed, nothing is counted twice.

    None means that the provider did not say; it is not zero. All counts are tokens.

    Args:
        input: Text input that was neither read from nor written to a cache (and not in a bucket below).
        cache_read: Input read from the provider's cache.
        cache_write: Input written to the cache, lifetime not told; the `_5m`, `_30m`, `_1h`, `_12h` buckets where told.
        output: Visible output, without reasoning, audio and images.
        reasoning: Hidden or visible thinking.
        tool_input: Input that the provider's own tools added (Gemini's `toolUsePromptTokenCount`).
        source: "reported" by the provider or "estimated" by us.
        raw: The provider's usage object, verbatim.
    """

    input: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_5m: int | None = None
    cache_write_30m: int | None = None
    cache_write_1h: int | None = None
    cache_write_12h: int | None = None
    output: int | None = None
    reasoning: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None
    image_input: int | None = None
    image_output: int | None = None
    tool_input: int | None = None
    source: Literal["reported", "estimated"] = "reported"
    raw: JSONObject | None = field(default=None, repr=False, compare=False)
    wire: Wire | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        # The buckets named output and reasoning are counts here, not content.
        shown = [f"{item.name}={value}" for item in fields(self) if item.repr and (value := getattr(self, item.name))]
        return f"Usage({', '.join(shown)})"

    @property
    def cache_write_total(self) -> int | None:
        """All tokens written to a cache, whatever their lifetime."""
        return _total(
            self.cache_write, self.cache_write_5m, self.cache_write_30m, self.cache_write_1h, self.cache_write_12h
        )

    @property
    def input_total(self) -> int | None:
        """All input tokens."""
        return _total(
            self.input, self.cache_read, self.cache_write_total, self.audio_input, self.image_input, self.tool_input
        )

    @property
    def output_total(self) -> int | None:
        """All output tokens, thinking included."""
        return _total(self.output, self.reasoning, self.audio_output, self.image_output)

    @property
    def total(self) -> int | None:
        """All tokens."""
        return _total(self.input_total, self.output_total)


def _total(*counts: int | None) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


@dataclass(slots=True)
class Cost:
    """What something cost.

    Args:
        usd: US dollars; None when unknown, which is not zero.
        reason: Why it is unknown or estimated.
        estimated: Whether what was used had to be estimated: the amount is then our best guess, or a lower bound.
        book: Version and digest of the price book that it was computed with, "2026-11-27+0123456789ab"; None where no
            price was looked up.
    """

    usd: Decimal | None = None
    reason: str | None = None
    estimated: bool = False
    book: str | None = None

    def __str__(self) -> str:
        note = f" ({self.reason})" if self.reason else ""
        return f"unknown{note}" if self.usd is None else f"${self.usd:f}{note}"


@dataclass(slots=True)
class Lossy:
    """One thing that could not be said in the target's wire format.

    Args:
        field: Where, as a path in the hub's words ("tools[0].strict", "messages[2].parts[1]").
        action: "dropped" or "emulated".
        detail: What that means for the caller, one sentence.
    """

    field: str
    action: Literal["dropped", "emulated"]
    detail: str


@dataclass(slots=True)
class Choice:
    """One alternative answer."""

    __repr__ = _concise

    message: Message
    finish_reason: FinishReason = "unknown"
    index: int = 0
    stop_sequence: str | None = None
    wire: Wire | None = None


@dataclass(slots=True)
class AttemptInfo:
    """What one HTTP exchange of a call came to.

    Args:
        latency: Seconds from sending to the last byte.
        outcome: "success", "error", "cancelled", "interrupted" or "abandoned".
        error: Name of the error class, if any.
    """

    number: int
    provider: str
    model: str
    outcome: str
    latency: float
    status: int | None = None
    error: str | None = None
    request_id: str | None = None


@dataclass(slots=True)
class Completion:
    """A finished answer.

    Args:
        id: The provider's id of the answer.
        model: The model that answered, in the provider's words.
        choices: The alternatives; almost always one.
        usage: Tokens, in disjoint buckets.
        provider: Which provider answered.
        target: Which target answered, written `provider/model`.
        request_id: The provider's id of the exchange, for its support.
        call_id: Our id of the call; its ledger rows carry it.
        cost: What the call cost, failed attempts that were billed included.
        attempts: Every exchange of the call, in order.
        output: The validated structured output, when one was asked for.
        output_mode: How the schema was enforced: "schema", "tool", "json" or "prompt".
        lossy: What the target's wire format could not carry.
        raw: The provider's answer, verbatim; None for a stream.
        created: Unix seconds, as the provider said.
        degraded: How the answer is less than what was asked for: "cache", "stale_cache", "smaller_model" or "canned";
            None for a fresh answer of a target that was asked for.
    """

    __repr__ = _concise

    id: str = ""
    model: str = ""
    choices: list[Choice] = field(default_factory=list)
    usage: Usage | None = None
    provider: str = ""
    target: str = ""
    request_id: str | None = None
    call_id: str = ""
    cost: Cost | None = None
    attempts: list[AttemptInfo] = field(default_factory=list)
    output: object = None
    output_mode: str | None = None
    lossy: list[Lossy] = field(default_factory=list)
    raw: JSONObject | None = field(default=None, repr=False)
    created: int | None = None
    source: str | None = None
    degraded: str | None = None
    wire: Wire | None = field(default=None, repr=False)

    @property
    def message(self) -> Message:
        """The first alternative's message; empty when the provider gave none."""
        return self.choices[0].message if self.choices else Message("assistant")

    @property
    def text(self) -> str:
        """The answer's text."""
        return self.message.text

    @property
    def tool_calls(self) -> list[ToolCallPart]:
        """The tools that the model asks for."""
        return self.message.tool_calls

    @property
    def reasoning(self) -> str:
        """The readable thoughts, joined."""
        return "".join(part.text for part in self.message.parts if isinstance(part, ReasoningPart))

    @property
    def finish_reason(self) -> FinishReason:
        """Why the model stopped."""
        return self.choices[0].finish_reason if self.choices else "unknown"

    def __str__(self) -> str:
        return self.text


@dataclass(slots=True, kw_only=True)
class EmbedRequest:
    """A request for embeddings.

    Args:
        inputs: Texts, or lists of token ids where the provider takes them.
        dimensions: Length of the vectors, for models that can shorten them.
        task: What the vectors are for, in Gemini's words (RETRIEVAL_QUERY, ...).
    """

    __repr__ = _concise

    model: str
    inputs: Sequence[str | list[int]]
    dimensions: int | None = None
    task: str | None = None
    user: str | None = None
    extra: JSONObject = field(default_factory=dict)
    source: str | None = None
    wire: Wire | None = None


@dataclass(slots=True)
class Embeddings:
    """Vectors, one per input, in order."""

    __repr__ = _concise

    vectors: list[list[float]] = field(default_factory=list)
    model: str = ""
    usage: Usage | None = None
    provider: str = ""
    target: str = ""
    request_id: str | None = None
    call_id: str = ""
    cost: Cost | None = None
    attempts: list[AttemptInfo] = field(default_factory=list)
    lossy: list[Lossy] = field(default_factory=list)
    raw: JSONObject | None = field(default=None, repr=False)
    source: str | None = None
    degraded: str | None = None
    wire: Wire | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.vectors)


@dataclass(slots=True)
class ErrorInfo:
    """What a provider's error body says, before it is judged.

    Args:
        status: HTTP status that goes with it; for an error inside a 200 stream, the status its type stands for, if
            known.
        type: The body's error type or gRPC status, verbatim.
        code: The body's error code, verbatim.
        message: The provider's text, as sent: may quote the prompt, so it is shortened and scrubbed before it is shown.
        param: The request field that it blames.
        retry_after: Seconds to wait, from headers or body.
        should_retry: The provider's own verdict (`x-should-retry`), if it gave one.
        body: The parsed body, None when it was no JSON.
    """

    __repr__ = _concise

    status: int | None
    message: str = ""
    type: str | None = None
    code: str | None = None
    param: str | None = None
    request_id: str | None = None
    retry_after: float | None = None
    should_retry: bool | None = None
    kind: ErrorKind = "unknown"
    body: JSON = field(default=None, repr=False)


# --- stream events -------------------------------------------------------------------------------------------------
#
# A well-formed stream is: ReplyStart, then for every block BlockStart, deltas, BlockEnd (blocks of one choice are
# numbered from 0 in the order in which they open; several may be open at once), a Finish per choice, ReplyEnd.
# UsageUpdate and Other may come anywhere; StreamError ends it. A plain answer is one Whole.


class Event:
    """Base of the events of a reply; `text` is the visible text that the event adds."""

    __slots__ = ()

    @property
    def text(self) -> str:
        """The visible text that this event adds; empty for everything but TextDelta and Whole."""
        return ""


@dataclass(slots=True)
class ReplyStart(Event):
    """The provider began to answer; comes once, first."""

    id: str = ""
    model: str = ""
    created: int | None = None
    wire: Wire | None = None


@dataclass(slots=True)
class BlockStart(Event):
    """A content block opens; `part` has its kind and what is known at once (a whole part may come with no deltas)."""

    block: int
    part: Part
    choice: int = 0


@dataclass(slots=True)
class TextDelta(Event):
    """Visible text is added to a text or refusal block."""

    __repr__ = _concise

    # The default hides the base's property, which dataclass would take for one.
    text: str = ""  # pyright: ignore[reportIncompatibleMethodOverride] - a slot is as good as a property to read
    block: int = 0
    choice: int = 0
    wire: Wire | None = None


@dataclass(slots=True)
class ReasoningDelta(Event):
    """Thought is added to a reasoning block."""

    __repr__ = _concise

    reasoning: str
    block: int = 0
    choice: int = 0


@dataclass(slots=True)
class ArgumentsDelta(Event):
    """A piece of JSON text is added to a tool call's arguments; pieces are cut anywhere."""

    __repr__ = _concise

    arguments: str
    block: int = 0
    choice: int = 0


@dataclass(slots=True)
class BlockEnd(Event):
    """A content block is complete; `wire` holds opaque state that came last (a signature), merged into the part's."""

    block: int
    choice: int = 0
    wire: Wire | None = None


@dataclass(slots=True)
class UsageUpdate(Event):
    """Tokens so far; cumulative, a later one replaces an earlier one."""

    usage: Usage


@dataclass(slots=True)
class Finish(Event):
    """One choice is complete."""

    reason: FinishReason
    choice: int = 0
    stop_sequence: str | None = None
    wire: Wire | None = None


@dataclass(slots=True)
class ReplyEnd(Event):
    """The terminal event of the dialect was seen: the answer is whole."""

    wire: Wire | None = None


@dataclass(slots=True)
class StreamError(Event):
    """The provider reported an error inside the stream."""

    error: ErrorInfo


@dataclass(slots=True)
class Switched(Event):
    """Another target goes on with the answer from here; only in streams that were allowed to resume.

    The text after it continues the text before it as well as the other model could; nothing promises a seamless joint.

    Args:
        provider: Who goes on.
        target: Which target, written `provider/model`.
        at: How many characters of visible text had been delivered.
        reason: The error that ended the part before, by its class: "StreamInterrupted", "AttemptTimeout", ...
        overlap: How many characters the new part repeated of the old one; they were left out.
    """

    provider: str
    target: str
    at: int
    reason: str
    overlap: int = 0


@dataclass(slots=True)
class Other(Event):
    """An event that the hub has no word for: keep-alives, progress of hosted tools.

    Args:
        dialect: The dialect that can encode it again.
        name: The SSE event name, "" if it had none.
        data: The event, verbatim.
    """

    __repr__ = _concise

    dialect: str
    name: str = ""
    data: JSONObject = field(default_factory=dict)


@dataclass(slots=True)
class Whole(Event):
    """An answer that was not streamed."""

    completion: Completion

    @property
    def text(self) -> str:
        """The answer's text."""
        return self.completion.text


@dataclass(slots=True)
class Embedded(Event):
    """Embeddings; the only event of their reply."""

    embeddings: Embeddings
