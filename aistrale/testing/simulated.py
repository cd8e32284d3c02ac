"""A simulator of all providers on one loopback port, built on the server side of the same codecs.

It answers deterministically (`brain`), misbehaves when told to (`faults`, through `Simulator.script`), and can replay
recorded exchanges (`replay`).
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Self

from aistrale.dialects import chat_dialect, embed_dialect
from aistrale.dialects.shape import MalformedBody, dump_json, parse_object
from aistrale.testing import brain, checks, control, delivery
from aistrale.testing.cache import PromptCache
from aistrale.testing.delivery import Manner
from aistrale.testing.faults import Broken, Fault, Say, Slow
from aistrale.testing.routes import PREFIXES, route
from aistrale.testing.script import Queue, Scripted
from aistrale.testing.server import Served, Server
from aistrale.types import Choice, Completion, EmbedRequest, ErrorInfo, Message, Request, TextPart, ToolCallPart

if TYPE_CHECKING:
    from aistrale.testing.faults import Step
    from aistrale.testing.replay import Recording
    from aistrale.testing.routes import Route
    from aistrale.testing.server import Arrived
    from aistrale.types import Embeddings, JSONObject, Part

KEYS: Final = {
    "openai": "sk-simulated-key-0000",
    "anthropic": "sk-ant-simulated-key-0000",
    "gemini": "simulated-key-0000",
    "groq": "gsk_simulated_key_0000",
    "huggingface": "hf_simulated_key_0000",
}
"""Keys that open nothing, in the form of each provider's own."""
_ENVIRON: Final = {
    "openai": ("OPENAI_API_KEY", "OPENAI_BASE_URL"),
    "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL"),
    "groq": ("GROQ_API_KEY", "GROQ_BASE_URL"),
    "huggingface": ("HF_TOKEN", "HF_INFERENCE_ENDPOINT"),
}
DOWN: Final = Fault(status=503, kind="overloaded", message="The model is overloaded.")


@dataclass(slots=True)
class Received:
    """A request that arrived, and what was made of it.

    Args:
        provider: Who was played.
        operation: "chat", "embed", "count_tokens" or "models".
        dialect: The wire format that it was read in.
        path: Path and query, as sent.
        headers: By lower-case name.
        body: The parsed body.
        request: The hub request; None when the body could not be read.
        answer: What the brain said; None for errors, faults and counts.
        status: Of the response.
        request_id: The id by which the response names the exchange, where the provider's responses do.
        tokens: What a request that only counts was told.
    """

    provider: str
    operation: str
    dialect: str
    path: str
    headers: dict[str, str]
    body: JSONObject
    request: Request | EmbedRequest | None = None
    answer: Completion | Embeddings | None = None
    status: int = 200
    request_id: str = ""
    tokens: int | None = None

    def __repr__(self) -> str:
        # Headers hold keys, paths may, and bodies hold prompts.
        return f"<Received {self.provider} {self.operation}: {self.status}>"

    @property
    def completion(self) -> Completion:
        """The answer to a chat request.

        Raises:
            LookupError: There was none: an error, or another kind of request.
        """
        if isinstance(self.answer, Completion):
            return self.answer
        raise LookupError(f"this {self.operation} request got no chat answer but status {self.status}")


@dataclass(slots=True)
class Simulator:
    """The five providers, simulated.

    Args:
        port: Of the loopback address; 0 takes a free one.
        latency: Seconds before the headers of every answer.
        between: Seconds between the pieces of a stream.
        replay: Recorded exchanges; requests that none of them fits get a 404.
        requests: What arrived, the latest last.
        keep: How many of the last requests `requests` holds.

    Raises:
        OSError: The port is taken.
    """

    port: int = 0
    latency: float = 0.0
    between: float = 0.0
    replay: Recording | None = None
    requests: list[Received] = field(default_factory=list)
    keep: int = 10_000
    _queue: Queue = field(default_factory=Queue)
    _cache: PromptCache = field(default_factory=PromptCache)
    _counts: Counter[str] = field(default_factory=Counter)
    _number: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _server: Server = field(init=False)

    def __post_init__(self) -> None:
        self._server = Server(self._answer, self.port)
        self.port = self._server.port

    def __repr__(self) -> str:
        return f"<Simulator at {self.url}: {len(self.requests)} requests held>"

    # --- where it is ---------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The address, without a provider's prefix."""
        return f"http://127.0.0.1:{self.port}"

    def base_url(self, provider: str) -> str:
        """What to give aistrale or the official SDK as base URL of a provider."""
        if provider not in PREFIXES:
            raise ValueError(f"no provider {provider!r} is simulated; known: {', '.join(PREFIXES)}")
        return f"{self.url}/{provider}{'/v1' if provider == 'openai' else ''}"

    def settings(self) -> dict[str, object]:
        """Settings that lead all five providers here: `aistrale.Client(**simulator.settings())`."""
        return {"providers": {name: {"base_url": self.base_url(name), "api_key": KEYS[name]} for name in PREFIXES}}

    def environ(self) -> dict[str, str]:
        """Environment variables that lead aistrale and the official SDKs here.

        Hugging Face's SDK takes its address from no variable: pass `base_url`.
        """
        return {
            name: value
            for provider, (key, base) in _ENVIRON.items()
            for name, value in ((key, KEYS[provider]), (base, self.base_url(provider)))
        }

    # --- what it shall do ----------------------------------------------------------------------------------------

    def script(
        self,
        *steps: Step,
        provider: str | None = None,
        model: str | None = None,
        operation: str | None = None,
    ) -> Scripted:
        """The next requests that fit get these steps, one each; then answers are good again.

        Args:
            *steps: Faults, Broken, Slow, Say or Good, in order.
            provider: Only requests to this provider.
            model: Only requests for this model, as it stands in the request.
            operation: Only "chat", "embed" or "count_tokens".

        Returns:
            A handle: `left` tells how many steps are left, `end()` drops them.
        """
        return self._queue.add(Scripted(list(steps), provider, model, operation))

    def outage(
        self,
        provider: str | None = None,
        step: Step | None = None,
        *,
        model: str | None = None,
        operation: str | None = None,
        every: int = 1,
    ) -> Scripted:
        """Every request that fits gets this step (a 503 by default) until `reset`, or the end of the handle.

        Args:
            provider: Whose outage it is; None is everybody's.
            step: What happens.
            model: Only this model's.
            operation: Only "chat", "embed" or "count_tokens".
            every: Only each N-th request that fits; 3 lets two of three pass.

        Returns:
            A handle, and a context manager: `with simulator.outage("openai"): ...`.
        """
        if every < 1:
            raise ValueError("every: a whole number of at least 1")
        return self._queue.add(Scripted([step or DOWN], provider, model, operation, forever=True, every=every))

    def reset(self) -> None:
        """Forget scripts, outages, received requests, counts and cached prompts."""
        self._queue.clear()
        with self._lock:
            self.requests.clear()
            self._cache.clear()
            self._counts.clear()
            self._number = 0

    @property
    def last(self) -> Received:
        """The request that arrived last.

        Raises:
            LookupError: None has arrived.
        """
        with self._lock:
            if not self.requests:
                raise LookupError("no request has arrived at the simulator")
            return self.requests[-1]

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._server.connections)

    def stats(self) -> JSONObject:
        """How many requests arrived, in all and by provider, operation and status."""
        with self._lock:
            return {"requests": self._counts.total(), "by": dict(sorted(self._counts.items()))}

    def close(self) -> None:
        """Stop serving and cut what is open; may be called twice."""
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    # --- answering -----------------------------------------------------------------------------------------------

    def _answer(self, arrived: Arrived) -> Served:
        if arrived.target.startswith("/__"):
            return control.answer(self, arrived)
        found = route(arrived.target, arrived.headers)
        if self.replay is not None:
            return self._replayed(self.replay, found, arrived)
        if found is None:
            return control.nothing(arrived)
        if not found.allows(arrived.method):
            return control.wrong_method(arrived, found)
        received = Received(found.provider, found.operation, found.dialect, arrived.target, arrived.headers, {})
        with self._lock:
            self._number += 1
            received.request_id = f"req_{self._number:020x}"
        try:
            served = self._served(found, received, arrived.body)
        except MalformedBody as error:
            info = ErrorInfo(400, f"Invalid value at {error.field}: expected {error.expected}.", param=error.field)
            info.kind = "invalid_request"
            served = delivery.error(found, info, received.request_id)
        self._note(received, served)
        return served

    def _note(self, received: Received, served: Served) -> None:
        received.status = served.status
        with self._lock:
            self._counts[f"{received.provider} {received.operation} {served.status}"] += 1
            self.requests.append(received)
            if len(self.requests) > self.keep:
                del self.requests[: -self.keep or None]

    def _replayed(self, recording: Recording, found: Route | None, arrived: Arrived) -> Served:
        served = recording.answer(arrived)
        known = (found.provider, found.operation, found.dialect) if found is not None else ("", "", "")
        received = Received(*known, arrived.target, arrived.headers, {})
        try:
            received.body = parse_object(arrived.body) if arrived.body else {}
        except MalformedBody:
            received.body = {}
        self._note(received, served)
        return served

    def _served(self, found: Route, received: Received, body: bytes) -> Served:
        if not checks.has_key(received.headers, received.path):
            info = ErrorInfo(401, "No API key was given.", kind="authentication")
            return delivery.error(found, info, received.request_id)
        if found.operation == "models":
            return control.models(found, received.request_id)
        received.body = parse_object(body)
        if found.operation == "embed":
            return self._embedded(found, received)
        if found.operation == "count_tokens":
            return self._counted(found, received)
        request = chat_dialect(found.dialect).decode_request(received.body, model=found.model, stream=found.stream)
        received.request = request
        checks.refuse(found, request, received.headers)
        step = self._queue.step(found.provider, request.model, "chat")
        if isinstance(step, Fault):
            return delivery.fault(found, step, received.request_id)
        completion = said(step, request) if isinstance(step, Say) else brain.answer(request)
        if completion.usage is not None and not (isinstance(step, Say) and step.completion is not None):
            with self._lock:
                completion.usage = self._cache.settle(found.provider, request, completion.usage)
        received.answer = completion
        manner = self._manner(step)
        if request.stream:
            return delivery.stream(found, request, completion, received.request_id, manner)
        return delivery.whole(found, request, completion, received.request_id, manner)

    def _manner(self, step: Step) -> Manner:
        slow = step if isinstance(step, Slow) else Slow(headers=self.latency, between=self.between)
        return Manner(slow, step if isinstance(step, Broken) else None)

    def _embedded(self, found: Route, received: Received) -> Served:
        request = embed_dialect(found.dialect).decode_request(received.body, model=found.model)
        received.request = request
        step = self._queue.step(found.provider, request.model, "embed")
        if isinstance(step, Fault):
            return delivery.fault(found, step, received.request_id)
        embeddings = brain.embed(request)
        received.answer = embeddings
        manner = self._manner(step)
        shown = replace(embeddings, vectors=[]) if manner.wreck == "empty" else embeddings
        body = delivery.embeddings_body(found, received.body, shown)
        return delivery.plain(found, body, received.request_id, manner)

    def _counted(self, found: Route, received: Received) -> Served:
        asked = received.body
        # Gemini counts either contents or, in this field, a whole request.
        inner = asked.get("generateContentRequest") if found.dialect == "gemini_generate" else None
        body = inner if isinstance(inner, dict) else asked
        request = chat_dialect(found.dialect).decode_request(body, model=found.model, stream=False)
        received.request = request
        step = self._queue.step(found.provider, request.model, "count_tokens")
        if isinstance(step, Fault):
            return delivery.fault(found, step, received.request_id)
        received.tokens = brain.input_tokens(request)
        answer = delivery.token_count(found, received.tokens)
        return delivery.plain(found, answer, received.request_id, self._manner(step))


def said(step: Say, request: Request) -> Completion:
    """A scripted answer; what it does not say is as usual."""
    usual = brain.answer(request)
    given = step.completion
    if given is not None:
        usage = given.usage or brain.usage(request, given.choices)
        return replace(given, id=given.id or usual.id, model=given.model or usual.model, usage=usage)
    parts: list[Part] = [] if step.text is None and step.tool_calls else [TextPart(step.text or "")]
    for number, call in enumerate(step.tool_calls, 1):
        if isinstance(call, ToolCallPart):
            parts.append(call)
        else:
            name, arguments = call
            parts.append(ToolCallPart(f"call_{usual.id[-8:]}_{number}", name, dump_json(arguments)))
    usual.choices = [Choice(Message("assistant", parts), "tool_calls" if step.tool_calls else "stop")]
    usual.usage = brain.usage(request, usual.choices)
    return usual
