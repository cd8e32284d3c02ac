"""An exchange that was seen on the wire, made into the error that the engine would have raised for it.

The response is played to `core.send` once more, over a runtime that has it already; so there is one way from bytes to
errors, and what is judged here is what a call would have met.
"""

from __future__ import annotations

import json
import socket
import ssl
import zlib
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final, cast

from aistrale.core.call import Attempt, Call, Clocks, Prepared, Target
from aistrale.core.faults import interrupted, malformed, network_error
from aistrale.core.http import Headers, HttpDecodeError, HttpError, HttpRequest, HttpResponse, HttpTimeout
from aistrale.core.network import Wire
from aistrale.core.runtime import run_sync
from aistrale.core.send import send
from aistrale.core.transport import translate
from aistrale.dialects import chat_dialect
from aistrale.dialects.headers import http_date
from aistrale.dialects.shape import MalformedBody
from aistrale.errors import AistraleError, ConfigurationError
from aistrale.providers import get_provider
from aistrale.types import Completion, Message, Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aistrale.core.exchange import Phase
    from aistrale.core.runtime import Runtime
    from aistrale.providers.base import Provider

PHASES: Final = ("resolve", "connect", "tls", "write", "headers", "body", "first_token", "stream", "response")
_BEFORE: Final = frozenset({"resolve", "connect", "tls"})
_STREAMED: Final = frozenset({"first_token", "stream"})
_CONNECTING: Final = (ssl.SSLError, ssl.CertificateError, socket.gaierror, ConnectionRefusedError)


@dataclass(slots=True, frozen=True, kw_only=True)
class Observed:
    """What was seen; see `verdict.classify`."""

    provider: str | Provider
    dialect: str | None = None
    status: int | None = None
    headers: Mapping[str, str]
    body: bytes = b""
    phase: str = "response"
    exception: BaseException | None = None
    now: float | None = None


def outcome_of(seen: Observed) -> BaseException | Completion | None:
    """The error of an exchange, or the answer that it brought; None when there was neither.

    Raises:
        ConfigurationError: There is no such provider, dialect or phase.
    """
    if seen.phase not in PHASES:
        raise ConfigurationError(f"phase {seen.phase!r} is not one of {', '.join(PHASES)}", field="phase")
    call = _call(seen)
    if seen.exception is not None:
        return _raised(seen, seen.exception, call)
    return None if seen.status is None else run_sync(_played(call))


def _call(seen: Observed) -> Call:
    provider = get_provider(seen.provider) if isinstance(seen.provider, str) else seen.provider
    dialect = seen.dialect or provider.dialect
    try:
        codec = chat_dialect(dialect)
    except KeyError as error:
        raise ConfigurationError(str(error.args[0]), field="dialect", provider=provider.name) from None
    profile = provider.profile("observed", None)
    target = Target(
        name=f"{provider.name}/observed",
        provider=provider,
        model="observed",
        dialect=dialect,
        base_url=provider.base_url,
        profile=profile,
    )
    request = Request(model="observed", messages=[Message.user("")], stream=_is_stream(seen))
    call = Call(request, [target], cast("Runtime", _Recording(seen)), clocks=Clocks())
    call.attempt = Attempt(1, target, call.started, call.at)
    call.attempts.append(call.attempt)
    call.prepared[target.name] = Prepared(HttpRequest("POST", provider.base_url, []), codec, profile)
    return call


def _is_stream(seen: Observed) -> bool:
    kind = next((value for name, value in seen.headers.items() if name.lower() == "content-type"), "")
    events = seen.body.lstrip(b"\xef\xbb\xbf\r\n").startswith((b"data:", b"event:", b":"))
    return seen.phase in _STREAMED or "event-stream" in kind or events


def _raised(seen: Observed, exception: BaseException, call: Call) -> BaseException:
    """The error of an exchange that an exception ended; what is none of the network's stays as it is."""
    attempt = cast("Attempt", call.attempt)
    failure = _failure(seen, exception)
    if isinstance(failure, HttpError):
        clock = "between_tokens" if seen.phase == "stream" else "first_token"
        error = network_error(failure, call, attempt, clock=clock)
    elif isinstance(failure, MalformedBody):
        error = malformed(failure, attempt)
    elif isinstance(failure, AistraleError):
        error = failure
    else:
        return failure
    if error is not failure:
        error.__cause__ = failure
    if seen.phase != "stream" or not isinstance(failure, (HttpError, MalformedBody)):
        return error
    cut = interrupted(error, attempt, Completion())
    cut.__cause__ = error
    return cut


def _failure(seen: Observed, exception: BaseException) -> BaseException:
    """An exception of the operating system, a codec or an HTTP library as one of ours."""
    if isinstance(exception, (HttpError, AistraleError, MalformedBody)) or not isinstance(exception, Exception):
        return exception
    phase = cast("Phase", "body" if seen.phase in _STREAMED else "headers" if seen.phase == "response" else seen.phase)
    sent = phase not in _BEFORE
    if isinstance(exception, OSError) and (not sent or isinstance(exception, _CONNECTING)):
        wire = Wire()
        wire.place, wire.phase = "the provider", "connect" if sent else phase
        return wire.unreachable(exception)
    if isinstance(exception, TimeoutError):
        return HttpTimeout("timed out", phase=phase, sent=sent)
    if isinstance(exception, (json.JSONDecodeError, UnicodeDecodeError)):
        return MalformedBody("body", "valid JSON")
    if isinstance(exception, zlib.error):
        return HttpDecodeError("the content coding is broken", phase="body", sent=True)
    return translate(exception, phase=phase, sent=sent, reused=False, place="the provider") or exception


async def _played(call: Call) -> BaseException | Completion:
    try:
        reply = await send(call)
        return await reply.completion()
    except AistraleError as error:
        return error


class _Recording:
    """A runtime whose only exchange has taken place already."""

    blocking = True

    def __init__(self, seen: Observed) -> None:
        self._seen = seen
        self.random = Random(0)  # noqa: S311 - nothing here is random

    def now(self) -> float:
        return 0.0

    def wall(self) -> float:
        """When it was: as told, else as the response says; the epoch makes a date too far away to be a wait."""
        if self._seen.now is not None:
            return self._seen.now
        dates = (value for name, value in self._seen.headers.items() if name.lower() == "date")
        return http_date(next(dates, None)) or 0.0

    async def open(self, request: HttpRequest, *, connect_until: float | None, until: float | None) -> HttpResponse:
        headers = Headers.of_text(list(self._seen.headers.items()))
        return HttpResponse(cast("int", self._seen.status), headers, "HTTP/1.1", _Body(self._seen.body))


class _Body:
    """A body that has come, given line by line, as the events of a stream come one after the other."""

    def __init__(self, data: bytes) -> None:
        self._lines = iter(data.splitlines(keepends=True))

    async def pull(self, until: float | None) -> bytes:
        return next(self._lines, b"")

    async def end(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    def abandon(self) -> None:
        pass
