"""A simulator of all providers on one loopback port, built on the server side of the same codecs.

It answers deterministically (`brain`), misbehaves when told to (`faults`, through `Simulator.script`), and can replay
recorded exchanges (`replay`).

    python -m aistrale.testing.simulator --port 8080
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self, cast

from aistrale.dialects import chat_dialect, embed_dialect
from aistrale.dialects.shape import MalformedBody, dump_json, parse_object
from aistrale.testing import brain, delivery
from aistrale.testing.faults import GOOD, Broken, Fault, Say, Slow
from aistrale.testing.routes import PREFIXES, route
from aistrale.testing.server import Served, Server
from aistrale.types import Completion, EmbedRequest, ErrorInfo, Request

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from aistrale.dialects.base import Dialect
    from aistrale.testing.faults import Step
    from aistrale.testing.replay import Recording
    from aistrale.testing.routes import Route
    from aistrale.testing.server import Arrived
    from aistrale.types import Embeddings, JSONObject

KEY = "simulated-key-0000"
_ENVIRON = {
    "openai": ("OPENAI_API_KEY", "OPENAI_BASE_URL"),
    "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL"),
    "groq": ("GROQ_API_KEY", "GROQ_BASE_URL"),
    "huggingface": ("HF_TOKEN", "HF_INFERENCE_ENDPOINT"),
}


@dataclass(slots=True)
class Received:
    """A request that arrived, and what was made of it.

    Args:
        request: The hub request; None when the body could not be read.
        answer: What the brain said; None for errors.
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


@dataclass(slots=True)
class _Script:
    steps: list[Step]
    provider: str | None
    model: str | None
    forever: bool = False

    def fits(self, provider: str, model: str) -> bool:
        return bool(self.steps) and self.provider in {None, provider} and self.model in {None, model}


@dataclass(slots=True)
class Simulator:
    """The five providers, simulated.

    Args:
        port: Of the loopback address; 0 takes a free one.
        latency: Seconds before the headers of every answer.
        between: Seconds between the pieces of a stream.
        replay: Recorded exchanges; requests that none of them fits get a 404.
    """

    port: int = 0
    latency: float = 0.0
    between: float = 0.0
    replay: Recording | None = None
    requests: list[Received] = field(default_factory=list)
    keep: int = 10_000
    """How many of the last requests `requests` holds."""
    _scripts: list[_Script] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _server: Server = field(init=False)

    def __post_init__(self) -> None:
        self._server = Server(self._answer, self.port)
        self.port = self._server.port

    # --- where it is ---------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The address, without a provider's prefix."""
        return f"http://127.0.0.1:{self.port}"

    def base_url(self, provider: str) -> str:
        """What to give aistrale or the official SDK as base URL of a provider."""
        return f"{self.url}/{provider}{'/v1' if provider == 'openai' else ''}"

    def settings(self) -> dict[str, object]:
        """Settings that lead all five providers here: `aistrale.Client(**simulator.settings())`."""
        providers = {name: {"base_url": self.base_url(name), "api_key": KEY} for name in PREFIXES}
        return {"providers": providers}

    def environ(self) -> dict[str, str]:
        """Environment variables that lead aistrale and the official SDKs here."""
        return {
            name: value
            for provider, (key, base) in _ENVIRON.items()
            for name, value in ((key, KEY), (base, self.base_url(provider)))
        }

    # --- what it shall do ----------------------------------------------------------------------------------------

    def script(self, *steps: Step, provider: str | None = None, model: str | None = None) -> None:
        """The next requests that fit get these steps, one each; then answers are good again."""
        with self._lock:
            self._scripts.append(_Script(list(steps), provider, model))

    def outage(self, provider: str | None = None, step: Step | None = None, *, model: str | None = None) -> None:
        """Every request that fits gets this step (a 503 by default) until `reset`."""
        with self._lock:
            down = step or Fault(status=503, kind="overloaded", message="The model is overloaded.")
            self._scripts.append(_Script([down], provider, model, forever=True))

    def reset(self) -> None:
        """Forget scripts, outages and received requests."""
        with self._lock:
            self._scripts.clear()
            self.requests.clear()

    @property
    def last(self) -> Received:
        """The request that arrived last."""
        return self.requests[-1]

    def close(self) -> None:
        """Stop serving."""
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    # --- answering -----------------------------------------------------------------------------------------------

    def _step(self, provider: str, model: str) -> Step:
        with self._lock:
            for script in self._scripts:
                if script.fits(provider, model):
                    return script.steps[0] if script.forever else script.steps.pop(0)
        return GOOD

    def _answer(self, arrived: Arrived) -> Served:
        if self.replay is not None:
            return self.replay.answer(arrived)
        if arrived.target.startswith("/__stats"):
            return delivery.document(self._stats())
        found = route(arrived.method, arrived.target, arrived.headers)
        if found is None:
            return delivery.document(
                {"error": {"message": f"nothing is served at {arrived.method} {arrived.target}"}}, 404
            )
        if found.operation == "models":
            return delivery.document({"object": "list", "data": []})
        received = Received(found.provider, found.operation, found.dialect, arrived.target, arrived.headers, {})
        try:
            received.body = parse_object(arrived.body)
            served = self._served(found, received)
        except MalformedBody as error:
            info = ErrorInfo(400, f"Invalid value at {error.field}: expected {error.expected}.", param=error.field)
            info.kind = "invalid_request"
            served = delivery.error(found, info)
        received.status = served.status
        with self._lock:
            self.requests.append(received)
            del self.requests[: -self.keep]
        return served

    def _served(self, found: Route, received: Received) -> Served:
        if not _has_key(received.headers, received.path):
            info = ErrorInfo(401, "No API key was given.", kind="authentication")
            return delivery.error(found, info)
        if found.operation == "embed":
            return self._embedded(found, received)
        chat = chat_dialect(found.dialect)
        request = _chat_request(chat, found, received.body)
        received.request = request
        step = self._step(found.provider, request.model)
        if found.operation == "count_tokens":
            count = brain.answer(request).usage
            return delivery.token_count(found, count.input or 0 if count else 0)
        if isinstance(step, Fault):
            return delivery.fault(found, step)
        completion = brain.answer(request)
        if isinstance(step, Say):
            completion = _said(step, request, completion)
        received.answer = completion
        slow = step if isinstance(step, Slow) else Slow(headers=self.latency, between=self.between)
        broken = step if isinstance(step, Broken) else None
        if request.stream:
            return delivery.stream(found, request, completion, slow, broken)
        return delivery.whole(found, request, completion, slow, broken)

    def _embedded(self, found: Route, received: Received) -> Served:
        codec = embed_dialect(found.dialect)
        request = codec.decode_request(received.body, model=found.model)
        received.request = request
        step = self._step(found.provider, request.model)
        if isinstance(step, Fault):
            return delivery.fault(found, step)
        embeddings = brain.embed(request)
        received.answer = embeddings
        body = delivery.embeddings_body(found, received.body, embeddings)
        headers = [("content-type", "application/json"), *delivery.own_headers(found, received.path)]
        delay = step.headers if isinstance(step, Slow) else self.latency
        return Served(headers=headers, body=dump_json(body).encode(), delay=delay)

    def _stats(self) -> JSONObject:
        with self._lock:
            counts: dict[str, int] = {}
            for received in self.requests:
                name = f"{received.provider} {received.operation} {received.status}"
                counts[name] = counts.get(name, 0) + 1
        return {"requests": sum(counts.values()), "by": cast("JSONObject", counts)}


def _chat_request(chat: Dialect, found: Route, body: JSONObject) -> Request:
    request = chat.decode_request(body, model=found.model, stream=found.stream)
    if not request.messages:
        raise MalformedBody("messages", "at least one message")
    return request


def _said(step: Say, request: Request, usual: Completion) -> Completion:
    if step.completion is not None:
        return step.completion
    usual.choices = usual.choices[:1]
    usual.choices[0].message.parts = [brain.TextPart(step.text or "")]
    usual.choices[0].finish_reason = "stop"
    usual.usage = brain.usage(request, usual.choices)
    return usual


def _has_key(headers: dict[str, str], path: str) -> bool:
    return (
        any(headers.get(name) for name in ("authorization", "x-api-key", "x-goog-api-key", "api-key")) or "key=" in path
    )


class simulator:  # noqa: N801 - used like a function: `with simulator() as sim:`
    """Run a simulator for a block; see Simulator for the arguments.

    Args:
        environ: Also set the environment variables that lead aistrale and the official SDKs here, and restore them.
        replay: Recorded exchanges, or the path of a JSONL file of them.
    """

    def __init__(
        self,
        *,
        environ: bool = False,
        port: int = 0,
        latency: float = 0.0,
        between: float = 0.0,
        replay: str | os.PathLike[str] | Sequence[JSONObject] | None = None,
    ) -> None:
        self._environ = environ
        self._options = (port, latency, between, replay)
        self._saved: dict[str, str | None] = {}
        self._simulator: Simulator | None = None

    def __enter__(self) -> Simulator:
        port, latency, between, replay = self._options
        recording = None
        if replay is not None:
            from aistrale.testing.replay import Recording

            recording = Recording(replay)
        self._simulator = Simulator(port=port, latency=latency, between=between, replay=recording)
        if self._environ:
            for name, value in self._simulator.environ().items():
                self._saved[name] = os.environ.get(name)
                os.environ[name] = value
        return self._simulator

    def __exit__(self, *_: object) -> None:
        for name, value in self._saved.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._saved.clear()
        if self._simulator is not None:
            self._simulator.close()

    async def __aenter__(self) -> Simulator:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()
