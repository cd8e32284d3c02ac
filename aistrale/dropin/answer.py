"""What the calling SDK gets: the provider's own response, one written in its format, or an error it knows."""

# ruff: noqa: ANN401 - the objects of httpx and httpx2 have the same shape and no common class

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from aistrale.core.exchange import HttpConnectError, HttpError, HttpTimeout
from aistrale.core.faults import MALFORMED
from aistrale.core.stream import TRUNCATED
from aistrale.dialects import chat_dialect, openai_chat, openai_responses
from aistrale.dialects.base import Loss
from aistrale.dialects.shape import dump_json
from aistrale.dropin.counts import Hiding
from aistrale.dropin.streams import EncodedBody, RelayedBody, body_stream
from aistrale.dropin.words import telling, told
from aistrale.engine import finish
from aistrale.errors import APIError, AttemptTimeout, DeadlineExceeded, NetworkError
from aistrale.policies.meter import total_cost

if TYPE_CHECKING:
    from aistrale.core.call import Call
    from aistrale.core.reply import Reply
    from aistrale.dialects.base import Dialect, EmbedDialect, EventEncoder
    from aistrale.dropin.inbound import Incoming
    from aistrale.dropin.relay import Answer as Given
    from aistrale.errors import AistraleError
    from aistrale.types import JSON, Completion, Embeddings, Request

_JSON: Final = "application/json"
# Where the SDK looks for the id of an exchange.
_ID_HEADERS: Final = {"anthropic": "request-id", "gemini": "x-request-id"}
_OK: Final = 200
_UNFINISHED: Final = frozenset({TRUNCATED, MALFORMED})
# The body is handed on decoded.
_FRAMING: Final = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})
# Where an SDK that has a word for thoughts looks for them.
_THOUGHTS: Final = {"groq": "reasoning", "huggingface": "reasoning"}


class Answers:
    """Writes responses for one call.

    Args:
        incoming: The call as it came in.
        library: httpx or httpx2: whose request it was.
        request: The library's request.
    """

    __slots__ = ("_incoming", "_library", "_request")

    def __init__(self, incoming: Incoming, library: Any, request: Any) -> None:
        self._incoming = incoming
        self._library = library
        self._request = request

    # --- answers -------------------------------------------------------------------------------------------------

    def relayed(self, call: Call, answer: Completion) -> Any | None:
        """The response of a call that was not streamed, as the SDK's own provider gave it; None if another did."""
        given = self._given(call)
        if given is None:
            return None
        if call.screened and answer.raw is not None:
            # What the policies made of it stands in the answer's copy of the body.
            given.response.take()
            return self._relayed(call, given, dump_json(answer.raw).encode())
        return self._relayed(call, given, given.response.take())

    def whole(self, call: Call, answer: Completion | Embeddings) -> Any:
        """The response of a call that was not streamed, in the SDK's format."""
        data = dump_json(self._body(call, finish(call, cast("Completion", answer)))).encode()
        return self._response(_OK, data, self._headers(call, _JSON))

    def _body(self, call: Call, answer: Completion | Embeddings) -> JSON:
        incoming, codec = self._incoming, self._incoming.codec
        if incoming.endpoint.operation == "embed":
            return cast("EmbedDialect", codec).encode_response(cast("Embeddings", answer))
        completion, hub = cast("Completion", answer), cast("Request", incoming.hub)
        loss = Loss("warn", "drop", call.target.profile)
        if incoming.endpoint.dialect == openai_responses.NAME:
            return openai_responses.encode_response(completion, loss, hub)
        if incoming.endpoint.dialect == openai_chat.NAME:
            thoughts = _THOUGHTS.get(incoming.endpoint.provider)
            return openai_chat.encode_response(completion, loss, reasoning_field=thoughts, request=hub, standard=True)
        return cast("Dialect", codec).encode_response(completion, loss)

    def streamed(self, call: Call, reply: Reply) -> Any:
        """The response of a streamed call; its body is still to come."""
        incoming = self._incoming
        words = chat_dialect(incoming.endpoint.chat)
        given = self._given(call)
        resumes = call.streaming is not None and call.streaming.mode == "resume"
        pump: RelayedBody | EncodedBody
        if given is not None and not resumes:
            if call.screened:
                # What the policies made of it stands in the reply.
                pump = EncodedBody(reply, self._encoder(call), words)
            else:
                pump = RelayedBody(reply, given.response, words, asked=given.asked)
            return self._relayed(call, given, body_stream(self._library, pump, blocking=incoming.blocking))
        pump = EncodedBody(reply, self._encoder(call), words)
        return self._library.Response(
            _OK,
            headers=self._headers(call, "text/event-stream; charset=utf-8"),
            stream=body_stream(self._library, pump, blocking=incoming.blocking),
            request=self._request,
        )

    def _encoder(self, call: Call) -> EventEncoder:
        incoming = self._incoming
        loss, hub = Loss("warn", "drop", call.target.profile), cast("Request", incoming.hub)
        if incoming.endpoint.dialect == openai_chat.NAME:
            provider = incoming.endpoint.provider
            thoughts = _THOUGHTS.get(provider)
            return openai_chat.event_encoder(
                hub, loss, groq=provider == "groq", reasoning_field=thoughts, standard=True
            )
        return chat_dialect(incoming.endpoint.dialect).event_encoder(hub, loss)

    # --- errors --------------------------------------------------------------------------------------------------

    def failed(self, call: Call | None, error: AistraleError) -> Any:
        """The response of a call that failed.

        Raises:
            Exception: One of the library's own, where no answer came from the SDK's provider and it was the only one
                to be asked: the SDK has names of its own for that.
        """
        cause = telling(error)
        given = None if call is None else self._own_words(call, cause)
        if call is not None and given is not None:
            body = given.response.take()
            if given.asked and given.response.status == _OK:
                hiding = Hiding()
                body = hiding.feed(body) + hiding.finish()
            response = self._relayed(call, given, body)
            response.headers["x-should-retry"] = "false"
            return response
        if call is not None and len(call.attempts) > 0 and self._relay_alone(call):
            raised = self._raised(call, cause)
            if raised is not None:
                raise raised
        return self._error(call, cause)

    def _error(self, call: Call | None, error: AistraleError) -> Any:
        info = told(error)
        status, body = chat_dialect(self._incoming.endpoint.chat).encode_error(info)
        headers = self._headers(call, _JSON)
        headers["x-should-retry"] = "false"
        if info.code is not None and info.code.startswith("aistrale_"):
            # Not every format has a field for codes.
            headers["x-aistrale-error"] = info.code
        if info.retry_after is not None:
            headers["retry-after"] = str(max(1, round(info.retry_after)))
        return self._response(status, dump_json(body).encode(), headers)

    def _own_words(self, call: Call, error: AistraleError) -> Given | None:
        """What the SDK's own provider answered, if that is what the call failed with."""
        if not isinstance(error, APIError):
            return None
        for attempt in reversed(call.attempts):
            relay = self._incoming.relay_of(attempt.target)
            given = None if relay is None else relay.answer_of(attempt)
            # An answer that we found wanting (empty, of an unknown shape, an error in spite of its status) is for the
            # SDK to judge; only a stream without its end, which SDKs take for whole, is not handed on.
            if given is not None and given.response.status in {error.status, _OK}:
                broken = call.stream and given.response.status == _OK and error.code in _UNFINISHED
                return None if broken else given
        return None

    def _relay_alone(self, call: Call) -> bool:
        return all(self._incoming.relay_of(attempt.target) is not None for attempt in call.attempts)

    def _raised(self, call: Call, error: AistraleError) -> Exception | None:
        """The library's error for one that came from below HTTP."""
        if not isinstance(error, (NetworkError, DeadlineExceeded)):
            return None
        relay = self._incoming.relay_of(call.attempts[-1].target)
        if relay is not None and relay.raised is not None:
            return relay.raised
        cause: BaseException | None = error if isinstance(error, HttpError) else error.__cause__
        m = self._library
        if isinstance(cause, HttpTimeout) or isinstance(error, (DeadlineExceeded, AttemptTimeout)):
            name = "ConnectTimeout" if getattr(cause, "phase", "") == "connect" else "ReadTimeout"
        else:
            name = "ConnectError" if isinstance(cause, HttpConnectError) else "ReadError"
        made: Exception = getattr(m, name)(str(error), request=self._request)
        return made

    # --- responses -----------------------------------------------------------------------------------------------

    def _given(self, call: Call) -> Given | None:
        """What the answer came in, if it came from the SDK's own provider."""
        if call.attempt is None or call.degraded is not None:
            return None
        relay = self._incoming.relay_of(call.attempt.target)
        return None if relay is None else relay.answer_of(call.attempt)

    def _relayed(self, call: Call, given: Given, body: Any) -> Any:
        """The provider's own response with a body of bytes, or with a stream of the library."""
        kept = given.response
        headers = [(name, value) for name, value in kept.headers.raw if name.lower() not in _FRAMING]
        headers += [(name.encode(), value.encode()) for name, value in self._about(call).items()]
        if isinstance(body, bytes):
            # Of what is handed on; Hugging Face's async SDK reads the body of an error only where its length is told.
            headers.append((b"content-length", str(len(body)).encode()))
            body = self._library.ByteStream(body)
        return self._library.Response(
            kept.status, headers=headers, stream=body, request=self._request, extensions=given.extensions
        )

    def _response(self, status: int, body: bytes, headers: dict[str, str]) -> Any:
        return self._library.Response(status, headers=headers, content=body, request=self._request)

    def _headers(self, call: Call | None, content_type: str) -> dict[str, str]:
        headers = {"content-type": content_type}
        if call is not None:
            name = _ID_HEADERS.get(self._incoming.endpoint.provider, "x-request-id")
            headers[name] = (call.attempt.request_id if call.attempt is not None else None) or f"req_{call.id}"
            headers.update(self._about(call))
        return headers

    def _about(self, call: Call) -> dict[str, str]:
        """What the SDK's response objects show of the call."""
        about = {"x-aistrale-call-id": call.id, "x-aistrale-attempts": str(len(call.attempts))}
        if call.attempt is not None:
            about["x-aistrale-target"] = call.attempt.target.name
        if call.degraded is not None:
            about["x-aistrale-degraded"] = call.degraded
        if call.over and (cost := total_cost(call).usd) is not None:
            about["x-aistrale-cost"] = f"{cost:f}"
        return about
