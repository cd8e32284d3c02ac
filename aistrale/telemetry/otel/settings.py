"""What can be said of OpenTelemetry in a sink's address or class, and what its environment variables say."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from aistrale.errors import ConfigurationError
from aistrale.telemetry.address import flag, read_address
from aistrale.telemetry.otel.conventions import PROFILES, Profile, Semconv

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ContentMode: TypeAlias = Literal["off", "span", "event", "span_and_event"]
CountMode: TypeAlias = Literal["auto", "always", "never"]
CacheTokens: TypeAlias = Literal["auto", "write", "creation", "both"]

CAPTURE_VARIABLE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
EVENT_VARIABLE: Final = "OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT"
_MODES: Final[dict[str, ContentMode]] = {
    "no_content": "off",
    "span_only": "span",
    "event_only": "event",
    "span_and_event": "span_and_event",
}

_log = logging.getLogger("aistrale.telemetry")


@dataclass(slots=True, frozen=True, kw_only=True)
class OTelSettings:
    """How calls are told to OpenTelemetry.

    Args:
        semconv: Version of the conventions for generative AI: "1.37", "1.41", or "latest" with the names that
            OpenTelemetry's own instrumentations use today.
        content: Where prompts and answers stand: "off", "span", "event" (log records), "span_and_event". None for what
            OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT says, else on spans where the client's `capture` or a
            context asks for content, else nowhere. What this or the variable asks for holds for every call whose
            context does not say `capture=False`.
        events: Whether an event `gen_ai.client.inference.operation.details` is emitted for every attempt; None for what
            OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT says, else where `content` says that it stands on events.
        count: "auto": where another instrumentation has made a model's span around a call, ours carry no tokens and no
            metrics, so that they are counted once. "always": they do all the same. "never": they never do.
        cache_tokens: What tokens that were written to a cache are called: "write" or "creation" after the attributes
            `gen_ai.usage.cache_write.input_tokens` and `cache_creation`, "both", or "auto" for what `semconv` says.
            Langfuse's server knows "creation" alone.
        cost: Further attributes that carry the US dollars of an attempt beside `aistrale.cost.usd`: `gen_ai.usage.cost`
            (Langfuse), `operation.cost` (Logfire), `llm.cost.total` (Phoenix).
        propagate: Whether providers get the header `traceparent`.
        suppress: Whether other instrumentations beneath ours, of the HTTP client for example, are told to be silent.
    """

    semconv: Semconv = "latest"
    content: ContentMode | None = None
    events: bool | None = None
    count: CountMode = "auto"
    cache_tokens: CacheTokens = "auto"
    cost: tuple[str, ...] = ()
    propagate: bool = False
    suppress: bool = False

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                known = ", ".join(repr(item) for item in allowed if item is not None)
                raise ConfigurationError(f"{name} of a sink must be one of {known}", field="sinks")

    @property
    def profile(self) -> Profile:
        """The version of the conventions."""
        return PROFILES[self.semconv]

    def content_mode(self) -> ContentMode | None:
        """Where content stands: as the sink says, else as the environment does; None where neither does."""
        if self.content is not None:
            return self.content
        said = os.environ.get(CAPTURE_VARIABLE, "").strip().lower()
        if not said:
            return None
        mode = _MODES.get(said)
        if mode is None:
            _log.warning("%s is none of %s; no content is kept", CAPTURE_VARIABLE, ", ".join(_MODES).upper())
            return "off"
        return mode

    def emits_events(self) -> bool:
        """Whether attempts are told as log records too."""
        if self.events is not None:
            return self.events
        said = os.environ.get(EVENT_VARIABLE, "").strip().lower()
        if said in {"true", "false"}:
            return said == "true"
        # As OpenTelemetry has its variables: the one that asks for content on events does not make any.
        return self.content in {"event", "span_and_event"}


_CHOICES: Final[dict[str, tuple[object, ...]]] = {
    "semconv": get_args(Semconv),
    "content": (None, *get_args(ContentMode)),
    "events": (None, True, False),
    "count": get_args(CountMode),
    "cache_tokens": get_args(CacheTokens),
    "propagate": (True, False),
    "suppress": (True, False),
}


def _word(_: str, text: str) -> str:
    return text.strip().lower()


def names(_: str, text: str) -> tuple[str, ...]:
    """Names with commas between them, as an option of an address has them."""
    return tuple(item.strip() for item in text.split(",") if item.strip())


_OPTIONS: Final[Mapping[str, Callable[[str, str], object]]] = {
    "semconv": _word,
    "content": _word,
    "events": flag,
    "count": _word,
    "cache_tokens": _word,
    "cost": names,
    "propagate": flag,
    "suppress": flag,
}


def read_url(
    url: str, own: Mapping[str, Callable[[str, str], object]] | None = None
) -> tuple[str, OTelSettings, dict[str, object]]:
    """The address of a sink whose options are those of OTelSettings.

    Args:
        url: The address, its scheme included.
        own: Further options, each with what reads it of its name and its text.

    Returns:
        What stands between the scheme and the options; the settings; those of `own` that are there.

    Raises:
        ConfigurationError: An option is unknown or wrong; values are not quoted, since one may be a key.
    """
    place, found = read_address(url, {**_OPTIONS, **(own or {})})
    said = {name: found.pop(name) for name in _OPTIONS if name in found}
    return place, OTelSettings(**said), found  # type: ignore[arg-type]  # checked by __post_init__
