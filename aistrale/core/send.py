"""The innermost step: one exchange with the target, from the encoded request to a reply whose first event is there."""

from __future__ import annotations

from dataclasses import fields
from math import isfinite
from operator import attrgetter
from typing import TYPE_CHECKING, Final, cast

from aistrale.core.faults import malformed, network_error
from aistrale.core.http import HttpError
from aistrale.core.reply import Reply, collect
from aistrale.core.stream import StreamSource, first_instant
from aistrale.dialects import chat_dialect
from aistrale.dialects.headers import request_id, retry_after
from aistrale.dialects.shape import MalformedBody, as_object, parse_json
from aistrale.errors import AistraleError, APIError, ConfigurationError, NetworkError, ResponseError, StreamInterrupted
from aistrale.providers.verdict import api_error
from aistrale.types import Completion, Embedded, EmbedRequest, ProviderPart, TextPart, Usage, Whole

if TYPE_CHECKING:
    from aistrale.core.call import Attempt, Call, Outcome, Prepared
    from aistrale.core.http import HttpResponse
    from aistrale.dialects.base import Dialect, EmbedDialect

_MOST_TOKENS: Final = 10**12
_counts: Final = attrgetter(*(item.name for item in fields(Usage) if item.type == "int | None"))


async def send(call: Call) -> Reply:
    """Exchange with `call.target`; fills in the attempt under way, whatever happens.

    Raises:
        APIError: The provider refused, or sent something that is no answer.
        NetworkError, DeadlineExceeded: The exchange failed below HTTP.
    """
    attempt = cast("Attempt", call.attempt)
    prepared = call.prepared[call.target.name]
    try:
        reply = await _exchange(call, attempt, prepared)
    except BaseException as error:
        settle(call, attempt, _outcome(error), error)
        raise

    def closed(reply: Reply, error: BaseException | None) -> None:
        seen = reply.accumulated
        answer = seen.embeddings or seen.completion
        if answer.usage is not None and not _plausible(answer.usage):
            answer.usage = None
        attempt.usage = answer.usage
        tier = answer.wire.fields.get("service_tier") if answer.wire is not None else None
        if isinstance(tier, str):
            attempt.conditions["service_tier"] = tier
        attempt.response_model = answer.model or None
        settle(call, attempt, reply.outcome or "abandoned", error)

    reply.on_close(closed)
    return reply


def _outcome(error: BaseException) -> Outcome:
    if isinstance(error, StreamInterrupted):
        return "interrupted"
    return "error" if isinstance(error, Exception) else "cancelled"


def settle(call: Call, attempt: Attempt, outcome: Outcome, error: BaseException | None) -> None:
    """Write the end of an exchange into its record."""
    attempt.outcome = outcome
    attempt.latency = call.runtime.now() - attempt.started
    if error is not None:
        attempt.error = type(error).__name__
        # A deadline that passed while the connection was being made is told by its cause.
        broke = error if isinstance(error, NetworkError) else error.__cause__
        if isinstance(broke, (NetworkError, HttpError)):
            attempt.sent = broke.sent
    if isinstance(error, APIError):
        attempt.status = error.status or attempt.status
        attempt.request_id = error.request_id or attempt.request_id
        attempt.retry_after = error.retry_after


async def _exchange(call: Call, attempt: Attempt, prepared: Prepared) -> Reply:
    first_until = first_instant(call, attempt)
    response: HttpResponse | None = None
    try:
        response = await _open(call, attempt, prepared, first_until)
        attempt.status = response.status
        headers = response.headers.lowered
        attempt.request_id = request_id(response.headers)
        attempt.headers = response.headers
        if backend := headers.get("x-inference-provider"):
            attempt.conditions["inference_provider"] = backend
        if response.status == 200 and call.stream and "json" not in headers.get("content-type", ""):
            return await _streamed(call, attempt, prepared, response)
        outcome = _answer(call, attempt, prepared, response, await response.read(first_until))
    except HttpError as error:
        if response is not None:
            await response.close()
        raise network_error(error, call, attempt) from error
    except BaseException:
        if response is not None:
            response.abandon()
        raise
    await response.close()
    # The error is raised here and not where it was found: a traceback's local variables would show the body.
    if isinstance(outcome, AistraleError):
        raise outcome
    return outcome


async def _open(call: Call, attempt: Attempt, prepared: Prepared, until: float | None) -> HttpResponse:
    try:
        connect_until = call.until(call.clocks.connect)
        if connect_until is None or (until is not None and until < connect_until):
            connect_until = until
        return await (prepared.opener or call.runtime.open)(prepared.http, connect_until=connect_until, until=until)
    except ValueError as error:
        # The wire refuses a URL or header before it connects; the message names the field and never shows its value.
        said, target = str(error), attempt.target
        raise ConfigurationError(
            said, field=said.partition(":")[0], provider=target.provider.name, target=target.name
        ) from None


async def _streamed(call: Call, attempt: Attempt, prepared: Prepared, response: HttpResponse) -> Reply:
    codec = cast("Dialect", prepared.codec)
    source = StreamSource(call, attempt, response, codec.event_decoder(prepared.profile))
    try:
        events = await source.first()
        if source.ended and is_empty(collect(events)) and not _may_be_empty(call):
            await source.close()
            raise _empty(attempt)
    except AistraleError as error:
        if call.streaming is None or call.streaming.mode != "raise":
            raise
        # Who wants no second attempt once the provider has begun to answer gets the error that nobody tries again.
        final = source.broken(error, Completion())
        if final is error:
            raise
        raise final from error
    return Reply(events, source)


def _answer(
    call: Call, attempt: Attempt, prepared: Prepared, response: HttpResponse, body: bytes
) -> Reply | AistraleError:
    if not 200 <= response.status < 300:
        return _refused(response, body, attempt)
    attempt.first_token = call.runtime.now() - attempt.started
    try:
        return _whole(call, attempt, prepared, response, body)
    except MalformedBody as error:
        return malformed(error, attempt)


def _whole(
    call: Call, attempt: Attempt, prepared: Prepared, response: HttpResponse, body: bytes
) -> Reply | AistraleError:
    target = attempt.target
    answer = parse_json(body)
    if isinstance(call.request, EmbedRequest):
        if target.provider.is_error_body(answer):
            return _refused(response, body, attempt)
        embeddings = cast("EmbedDialect", prepared.codec).decode_response(answer)
        if len(embeddings.vectors) != len(call.request.inputs):
            raise MalformedBody("embeddings", f"{len(call.request.inputs)} vectors, one per input")
        if not all(map(_finite, embeddings.vectors)):
            raise MalformedBody("embeddings", "finite numbers")
        embeddings.request_id = attempt.request_id
        return Reply([Embedded(embeddings)])
    codec = cast("Dialect", prepared.codec)
    document = as_object(answer, "body")
    if codec.is_error_body(document):
        return _refused(response, body, attempt)
    completion = codec.decode_response(document)
    if is_empty(completion) and not _may_be_empty(call):
        return _empty(attempt)
    completion.raw = document
    completion.request_id = attempt.request_id
    return Reply([Whole(completion)])


def _empty(attempt: Attempt) -> ResponseError:
    return ResponseError(
        "the answer is empty",
        status=attempt.status,
        provider=attempt.target.provider.name,
        target=attempt.target.name,
        attempt=attempt.number,
        request_id=attempt.request_id,
        code="empty_answer",
        hint="The model gave neither text nor a tool call; raise max_tokens or change the prompt.",
    )


def _plausible(usage: Usage) -> bool:
    """Whether counts can be counts: what was processed is neither negative nor beyond what a ledger can sum up."""
    return all(count is None or 0 <= count <= _MOST_TOKENS for count in _counts(usage))


def _finite(vector: list[float]) -> bool:
    # Python reads NaN and Infinity as JSON, and one of them makes every distance to the vector meaningless.
    try:
        return isfinite(sum(vector))
    except OverflowError:
        return False


def _refused(response: HttpResponse, body: bytes, attempt: Attempt) -> AistraleError:
    target = attempt.target
    status = None if 200 <= response.status < 300 else response.status
    info = chat_dialect(target.dialect).decode_error(status, response.headers, body)
    if info.request_id is None:
        info.request_id = attempt.request_id
    if info.status is None:
        # A redirect has no error to read, and is one all the same.
        info.status = status
    if info.retry_after is None:
        # A date without a `Date` beside it is measured against our own clock.
        info.retry_after = retry_after(response.headers, attempt.at)
    return api_error(
        info, target.provider, target=target.name, attempt=attempt.number, secrets=target.secrets, now=attempt.at
    )


def is_empty(completion: Completion) -> bool:
    """Whether an answer says nothing although it claims to be complete."""
    if not completion.choices:
        return True
    if any(choice.finish_reason in {"length", "content_filter", "pause"} for choice in completion.choices):
        return False
    return not any(
        isinstance(part, ProviderPart) or not isinstance(part, TextPart) or part.text
        for choice in completion.choices
        for part in choice.message.parts
    )


def _may_be_empty(call: Call) -> bool:
    """After tool results a model may have nothing to add (Anthropic documents an empty end_turn there).

    An SDK's call with nowhere else to go gets its answer as it is, as it would without us.
    """
    request = call.request
    if call.inbound is not None and not call.others:
        return True
    return not isinstance(request, EmbedRequest) and bool(request.messages) and request.messages[-1].role == "tool"
