"""The sink "langfuse": spans to Langfuse over OTLP, with tokens and money in Langfuse's own form.

Langfuse takes every attribute below `gen_ai.usage.` for a kind of tokens and adds them up, although some are parts of
others. So tokens and money are given explicitly, in disjoint parts, and none of those attributes is sent.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, Final, Self
from urllib.parse import unquote, urlsplit

from aistrale.errors import ConfigurationError
from aistrale.telemetry.otel.attributes import error_type
from aistrale.telemetry.otel.settings import OTelSettings, read_url
from aistrale.telemetry.sinks.otlp import OTLPSink, endpoint_of
from aistrale.types import EmbedRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aistrale.core.call import Attempt, Call, Context
    from aistrale.telemetry.instrument import Step
    from aistrale.telemetry.otel.attributes import Attributes
    from aistrale.types import Usage

HOST: Final = "https://cloud.langfuse.com"
_INGESTION: Final = "4"
# Our disjoint buckets by names that Langfuse sums up: those with "input" in them as input, with "output" as output.
_BUCKETS: Final = (
    ("input", "input"),
    ("cache_read_input_tokens", "cache_read"),
    ("cache_creation_input_tokens", "cache_write_total"),
    ("input_audio_tokens", "audio_input"),
    ("input_image_tokens", "image_input"),
    ("input_tool_tokens", "tool_input"),
    ("output", "output"),
    ("output_reasoning_tokens", "reasoning"),
    ("output_audio_tokens", "audio_output"),
    ("output_image_tokens", "image_output"),
)

# Its words for the steps of frameworks; a retrieval and a workflow it does not know by their operations.
_STEPS: Final = {"agent": "agent", "tool": "tool", "retriever": "retriever", "chain": "chain", "query": "chain"}


class LangfuseSink(OTLPSink):
    """Sends spans to a Langfuse project.

    Args:
        public_key: Of the project; None for LANGFUSE_PUBLIC_KEY.
        secret_key: Of the project; None for LANGFUSE_SECRET_KEY.
        host: Where Langfuse is; None for LANGFUSE_BASE_URL, LANGFUSE_HOST or LANGFUSE_URL, else Langfuse's cloud in
            Europe.
        settings: How calls are told.

    Raises:
        ImportError: The SDK or its exporter is missing.
        ConfigurationError: There are no keys, or the address is none.
    """

    name: ClassVar[str] = "langfuse"

    def __init__(
        self,
        public_key: str | None = None,
        secret_key: str | None = None,
        *,
        host: str | None = None,
        settings: OTelSettings | None = None,
    ) -> None:
        public = public_key or _variable("LANGFUSE_PUBLIC_KEY")
        secret = secret_key or _variable("LANGFUSE_SECRET_KEY")
        if not public or not secret:
            raise ConfigurationError(
                "the sink langfuse needs the keys of a project",
                field="sinks",
                hint="Set LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY.",
            )
        where = host or _variable("LANGFUSE_BASE_URL", "LANGFUSE_HOST", "LANGFUSE_URL") or HOST
        token = base64.b64encode(f"{public}:{secret}".encode()).decode()
        headers = {"authorization": f"Basic {token}", "x-langfuse-ingestion-version": _INGESTION}
        found = endpoint_of(f"{where.rstrip('/')}/api/public/otel", headers, ("traces",), own=True)
        # Langfuse's own SDK, once it is loaded, sends what it and others count to the same project.
        self._open(
            found,
            settings or OTelSettings(),
            resource=_resource(),
            flavour=LangfuseFlavour(),
            shared=lambda: "langfuse" in sys.modules,
        )

    @classmethod
    def from_url(cls, url: str, /) -> Self:
        """The sink of "langfuse", "langfuse:https://host" or "langfuse:https://PUBLIC:SECRET@host".

        The options behind a question mark are those of OTelSettings.

        Raises:
            ConfigurationError: There are no keys, or the address or an option is wrong.
            ImportError: The SDK or its exporter is missing.
        """
        address, settings, _ = read_url(url)
        public = secret = None
        if "@" in address:
            parts = urlsplit(address)
            public, secret = unquote(parts.username or ""), unquote(parts.password or "")
            address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        return cls(public, secret, host=address or None, settings=settings)


class LangfuseFlavour:
    """What Langfuse reads."""

    usage = False

    def call(self, call: Call, *, rooted: bool, named: bool = False) -> Attributes:
        """The trace: whose it is, and what it is called."""
        found = {**_whose(call.context), "langfuse.observation.type": "span"}
        if not named:
            found["langfuse.trace.name"] = call.context.name or "aistrale"
        return self._first(found, rooted=rooted)

    def step(self, step: Step, *, rooted: bool) -> Attributes:
        """What it is to Langfuse, and the trace of the outermost."""
        found = {**_whose(step.context), "langfuse.observation.type": _STEPS.get(step.type, "span")}
        if step.root:
            found["langfuse.trace.name"] = step.context.name or step.name
        if step.conversation:
            found["langfuse.session.id"] = step.conversation
        return self._first(found, rooted=rooted)

    @staticmethod
    def _first(found: Attributes, *, rooted: bool) -> Attributes:
        if not rooted:
            # The span above goes elsewhere: for Langfuse this one is the first.
            found["langfuse.internal.as_root"] = True
        return found

    def attempt(self, call: Call, attempt: Attempt, *, counted: bool) -> Attributes:
        """The generation: tokens and money in parts that do not overlap."""
        found = _whose(call.context)
        failed = error_type(attempt)
        if failed is not None:
            found["langfuse.observation.level"] = "ERROR"
            found["langfuse.observation.status_message"] = failed
        if not counted:
            found["langfuse.observation.type"] = "span"
            return found
        vectors = isinstance(call.request, EmbedRequest)
        found["langfuse.observation.type"] = "embedding" if vectors else "generation"
        if attempt.usage is not None:
            found["langfuse.observation.usage_details"] = json.dumps(usage_details(attempt.usage))
        if attempt.cost is not None and attempt.cost.usd is not None:
            found["langfuse.observation.cost_details"] = json.dumps({"total": float(attempt.cost.usd)})
        if call.stream and attempt.first_token is not None:
            first = datetime.fromtimestamp(attempt.at + attempt.first_token, UTC)
            found["langfuse.observation.completion_start_time"] = json.dumps(first.isoformat())
        return found


def usage_details(usage: Usage) -> dict[str, int]:
    """Tokens in parts that do not overlap, and their sum."""
    found = {name: count for name, bucket in _BUCKETS if (count := getattr(usage, bucket)) is not None}
    if usage.total is not None:
        found["total"] = usage.total
    return found


def _whose(context: Context) -> Attributes:
    found: Attributes = {}
    if context.session:
        found["langfuse.session.id"] = context.session
    if context.user:
        found["langfuse.user.id"] = context.user
    if context.tags:
        found["langfuse.trace.tags"] = tuple(f"{name}:{value}" for name, value in context.tags.items())
    return found


def _resource() -> Mapping[str, str]:
    found = {
        "langfuse.environment": _variable("LANGFUSE_TRACING_ENVIRONMENT"),
        "langfuse.release": _variable("LANGFUSE_RELEASE"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _variable(*names: str) -> str | None:
    return next((value for name in names if (value := os.environ.get(name, "").strip())), None)
