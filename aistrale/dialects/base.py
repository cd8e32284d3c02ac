"""What a dialect is: pure functions and small state machines for one wire format, facing both ways.

A dialect module does no I/O and knows no provider. The same codec is the client of a provider (encode_request,
decode_response, EventDecoder, decode_error) and the provider's face toward a calling SDK (decode_request,
encode_response, EventEncoder, encode_error).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

from aistrale.errors import InvalidRequestError
from aistrale.types import Lossy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aistrale.core.sse import SSE
    from aistrale.types import (
        JSON,
        Completion,
        Embeddings,
        EmbedRequest,
        ErrorInfo,
        Event,
        JSONObject,
        Request,
    )


@dataclass(slots=True, frozen=True, kw_only=True)
class JsonRules:
    """How a target takes structured output, beyond the strongest mode it has.

    Args:
        subset: Name of the JSON Schema subset that it enforces (aistrale.core.schema_subset); "" for any schema.
        beside_tools: Whether it enforces JSON while the request has tools.
        streamed: Whether it enforces a schema in a stream.
        json_mode: Whether it has a mode for any JSON object.
        wants_the_word: Whether that mode refuses a conversation without the word JSON.
        strict: Whether it takes the demand for strict enforcement.
        object_root: Whether the root of a schema must be an object.
        inexpressible: What to do with a schema outside the subset: send it "loose", or through a forced "tool".
        tool_while_thinking: Whether a forced tool call goes with thinking.
    """

    subset: str = ""
    beside_tools: bool = True
    streamed: bool = True
    json_mode: bool = True
    wants_the_word: bool = False
    strict: bool = True
    object_root: bool = True
    inexpressible: Literal["loose", "tool"] = "loose"
    tool_while_thinking: bool = True


@dataclass(slots=True, frozen=True, kw_only=True)
class Profile:
    """What the target model and its server can take; an encoder reads it, a provider and the catalog fill it.

    Args:
        provider: The provider's name, for error messages.
        model: The model's name, for error messages.
        max_tokens_field: Name of the output limit in the OpenAI chat dialect.
        max_output: The model's output limit in tokens; Anthropic needs one in every request.
        sampling: Whether the model takes temperature and top_p (reasoning models refuse them).
        stop: Whether the model takes stop sequences, and how many at most.
        thinking: How reasoning is asked for: "effort" (a word), "budget" (tokens), "adaptive" (Anthropic's newer
            models:
            adaptive thinking plus effort), "level" (Gemini 3), or "none" (the model cannot, or always does the same).
        efforts: The effort words the target takes, lowest first; empty when it takes every one the dialect has.
        structured: Strongest way to enforce a schema: "schema", "tool", "json" or "prompt".
        json: What else there is to know about structured output.
        media: Kinds of media that the target takes.
        media_urls: Whether media may be given by URL.
        tool_media: Whether tool results may carry media.
        stream_usage: Whether usage in a stream must be asked for (`stream_options.include_usage`).
        done_optional: A finish reason is terminal even without `[DONE]` (Hugging Face's backends).
        prefill: Whether the model goes on with an assistant message that ends the conversation.
        unsupported: Further hub options that the target refuses, by field name.
    """

    provider: str = ""
    model: str = ""
    max_tokens_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    max_output: int | None = None
    sampling: bool = True
    stop: int | None = None
    thinking: Literal["effort", "budget", "adaptive", "level", "none"] = "effort"
    efforts: tuple[str, ...] = ()
    structured: Literal["schema", "tool", "json", "prompt"] = "schema"
    json: JsonRules = JsonRules()
    media: frozenset[str] = frozenset({"image", "audio", "document", "video"})
    media_urls: bool = True
    tool_media: bool = True
    stream_usage: bool = True
    done_optional: bool = False
    prefill: bool = False
    unsupported: frozenset[str] = frozenset()


ANY = Profile()


OnUnsupported: TypeAlias = Literal["error", "drop", "soft"]

TUNING: Final = frozenset(
    {
        "temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty", "reasoning", "user",
        "service_tier", "parallel_tool_calls", "cache_key", "metadata",
    }
)  # fmt: skip
"""Options without which an answer is still one to the same question."""


@dataclass(slots=True)
class Loss:
    """Collects what a target's wire format cannot carry; never silent.

    Args:
        on_lossy: "warn" records what is dropped or emulated; "error" refuses the request instead.
        on_unsupported: "error" refuses an option that the target cannot take; "drop" drops and records it; "soft" drops
            those that only tune the answer (`TUNING`) and refuses those that decide what it is.
        profile: Names provider and model in the errors.
        items: What was recorded.
    """

    on_lossy: Literal["warn", "error"] = "warn"
    on_unsupported: OnUnsupported = "error"
    profile: Profile = ANY
    items: list[Lossy] = field(default_factory=list)

    def drop(self, field_: str, detail: str) -> None:
        """Record that something was left out although the answer may depend on it."""
        if self.on_lossy == "error":
            self.refuse(field_, detail)
        self.items.append(Lossy(field_, "dropped", detail))

    def emulate(self, field_: str, detail: str) -> None:
        """Record that something was said in another way."""
        if self.on_lossy == "error":
            self.refuse(field_, detail)
        self.items.append(Lossy(field_, "emulated", detail))

    def unsupported(self, field_: str, detail: str) -> None:
        """An option the caller chose has no counterpart: refuse, or drop and record where that was asked for."""
        soft = self.on_unsupported == "soft" and field_.partition(".")[0] in TUNING
        if self.on_unsupported != "drop" and not soft:
            self.refuse(field_, detail)
        self.items.append(Lossy(field_, "dropped", detail))

    def refuse(self, field_: str, detail: str) -> None:
        """Something cannot be said at all and must not be guessed.

        Raises:
            InvalidRequestError: Always; nothing was sent.
        """
        raise InvalidRequestError(
            f"{field_}: {detail}",
            provider=self.profile.provider or None,
            target=f"{self.profile.provider}/{self.profile.model}" if self.profile.model else None,
            param=field_,
            code="unsupported",
            hint="Remove it, choose a model that takes it, or set on_unsupported='drop'.",
        )


class TextSlot(Protocol):
    """A place in a body where human text stands; redaction reads and replaces it in place."""

    path: str
    """Where, for example `messages[0].content`."""
    kind: Literal["text", "json", "name"]
    """"json": the text is JSON text (tool arguments), only its strings are human text; "name": a name or file name."""

    @property
    def text(self) -> str:
        """The text."""
        ...

    def replace(self, text: str) -> None:
        """Write another text in its place."""
        ...


class EventDecoder(Protocol):
    """Turns the wire events of one reply into hub events (a well-formed sequence, see aistrale.types)."""

    def feed(self, event: SSE) -> list[Event]:
        """Decode one wire event. Raises MalformedBody on a shape that the dialect does not have."""
        ...

    @property
    def whole(self) -> bool:
        """Whether the answer is certainly complete, so that the bytes may end here: no terminal event need come."""
        ...

    def finish(self) -> list[Event]:
        """The bytes ended: ReplyEnd if the dialect's terminal condition was met and not yet told, else nothing.

        The caller reports a stream that ended without ReplyEnd as truncated.
        """
        ...


class EventEncoder(Protocol):
    """Turns hub events into the wire events that a calling SDK of this dialect expects."""

    def feed(self, event: Event) -> list[SSE]:
        """Encode one hub event; may return nothing (held back) or several."""
        ...

    def finish(self) -> list[SSE]:
        """The reply ended: what is still held back, and the dialect's terminator."""
        ...


class Dialect(Protocol):
    """A chat wire format; each module of this package but base, shape, slots and the embedding formats is one."""

    @property
    def NAME(self) -> str:  # noqa: N802 - module constant
        """For example "openai_chat"."""
        ...

    def decode_request(self, body: JSONObject, *, model: str | None = None, stream: bool | None = None) -> Request:
        """Read a caller's body. `model` and `stream` come from the URL where the format has them there (Gemini)."""
        ...

    def encode_request(self, request: Request, profile: Profile, loss: Loss) -> JSONObject:
        """Write a provider's body. Raises InvalidRequestError for what cannot be said (see Loss)."""
        ...

    def decode_response(self, body: JSONObject) -> Completion:
        """Read a provider's answer. Raises MalformedBody."""
        ...

    def encode_response(self, completion: Completion, loss: Loss) -> JSONObject:
        """Write the answer that a calling SDK expects."""
        ...

    def is_error_body(self, body: JSONObject) -> bool:
        """Whether an answer with a success status reports an error all the same."""
        ...

    def event_decoder(self, profile: Profile) -> EventDecoder:
        """A fresh decoder for one streamed reply."""
        ...

    def event_encoder(self, request: Request, loss: Loss) -> EventEncoder:
        """A fresh encoder for one streamed reply to a caller that sent `request`."""
        ...

    def decode_error(self, status: int | None, headers: Mapping[str, str], body: bytes) -> ErrorInfo:
        """Read an error body; never raises: what cannot be read becomes an ErrorInfo of kind "unknown"."""
        ...

    def encode_error(self, error: ErrorInfo) -> tuple[int, JSONObject]:
        """The status and body by which this dialect reports the error."""
        ...

    def encode_stream_error(self, error: ErrorInfo) -> list[SSE]:
        """The events by which this dialect reports an error inside a stream that has begun."""
        ...

    def text_slots(self, body: JSONObject) -> Iterator[TextSlot]:
        """Every place in a request or response body where human text stands, in order."""
        ...


class EmbedDialect(Protocol):
    """A wire format for embeddings."""

    @property
    def NAME(self) -> str:  # noqa: N802 - module constant
        """For example "openai_embeddings"."""
        ...

    def decode_request(self, body: JSONObject, *, model: str | None = None) -> EmbedRequest:
        """Read a caller's body."""
        ...

    def encode_request(self, request: EmbedRequest, loss: Loss) -> JSONObject:
        """Write a provider's body."""
        ...

    def decode_response(self, body: JSON) -> Embeddings:
        """Read a provider's answer. Raises MalformedBody."""
        ...

    def encode_response(self, embeddings: Embeddings) -> JSON:
        """Write the answer that a calling SDK expects."""
        ...

    def text_slots(self, body: JSONObject) -> Iterator[TextSlot]:
        """Every place in a request body where human text stands, in order."""
        ...
