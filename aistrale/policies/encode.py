"""Encode: the hub request becomes the target's body, and the attempt begins.

It stands outside the journal, so that a request which the target's wire format cannot say leaves no intent behind.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aistrale.core.call import Attempt, Prepared
from aistrale.core.http import HttpRequest
from aistrale.core.output import UnwrapTap, lower
from aistrale.dialects import chat_dialect, embed_dialect
from aistrale.dialects.base import Loss
from aistrale.dialects.shape import dump_json
from aistrale.errors import AistraleError, ConfigurationError, InvalidRequestError
from aistrale.types import EmbedRequest

if TYPE_CHECKING:
    from aistrale.core.call import Call, Target
    from aistrale.core.pipeline import Next
    from aistrale.core.reply import Reply
    from aistrale.providers.base import Operation
    from aistrale.types import JSONObject, Request


# Beyond what any of the providers takes in one request; a larger one is a mistake that would only cost time.
MAX_REQUEST: Final = 512 * 1024 * 1024


class Encode:
    """Writes the body once per call, target and limit, and records what it could not say."""

    async def __call__(self, call: Call, call_next: Next, /) -> Reply:
        """Prepare and number the attempt."""
        target = call.target
        ready = call.prepared.get(target.name)
        if ready is None or ready.limit != call.limit:
            try:
                ready = call.prepared[target.name] = prepare(call, target)
                if ready.lossy and call.observer is not None:
                    call.observer.lossy(call, target, ready.lossy)
            except AistraleError as error:
                if call.inbound is not None:
                    call.inbound.refused(target, error)
                raise
        runtime = call.runtime
        call.attempt = Attempt(len(call.attempts) + 1, target, runtime.now(), runtime.wall())
        call.attempts.append(call.attempt)
        reply = await call_next(call)
        answer = call.prepared[target.name].answer
        if answer is not None:
            reply.tap(UnwrapTap(answer))
        return reply


def prepare(call: Call, target: Target) -> Prepared:
    """The call's request in the target's words.

    Raises:
        InvalidRequestError: Something in it cannot be said there; `param` names it.
        ConfigurationError: The provider has no such endpoint.
    """
    loss = Loss(call.on_lossy, call.on_unsupported, target.profile)
    request, limit = call.request, call.limit
    if limit is not None:
        loss.emulate("max_tokens", f"limited to {limit}, which is what its budget can pay")
    if call.inbound is not None and (relayed := call.inbound.relay(target, limit)) is not None:
        relayed.lossy, relayed.limit = loss.items, limit
        return relayed
    if request.model != target.model:
        request = replace(request, model=target.model)
    if isinstance(request, EmbedRequest):
        name = target.provider.embed_dialect
        if name is None:
            raise ConfigurationError(
                f"provider {target.provider.name} has no embeddings", field="model", provider=target.provider.name
            )
        codec = embed_dialect(name)
        body = codec.encode_request(request, loss)
        prepared = Prepared(_http(target, body, "embed", request, stream=False), codec, target.profile)
    else:
        chat = chat_dialect(target.dialect)
        if limit is not None:
            request = replace(request, max_tokens=limit)
        lowered, answer = lower(request, target.profile, loss)
        body = chat.encode_request(lowered, target.profile, loss)
        http = _http(target, body, "chat", request, stream=request.stream)
        prepared = Prepared(http, chat, target.profile, answer)
    prepared.lossy, prepared.limit = loss.items, limit
    return prepared


def _http(
    target: Target, body: JSONObject, operation: Operation, request: Request | EmbedRequest, *, stream: bool
) -> HttpRequest:
    if request.extra:
        body = {**body, **request.extra}
    if stream:
        body = target.provider.stream_request(body, target.dialect)
    url = target.provider.url(target.base_url, operation, target.model, stream=stream, dialect=target.dialect)
    accept = "text/event-stream" if stream else "application/json"
    try:
        data = dump_json(body).encode()
    except (TypeError, ValueError, RecursionError):
        raise _unsayable(body, target) from None
    if len(data) > MAX_REQUEST:
        raise InvalidRequestError(
            f"the request has {len(data) / 2**20:.0f} MiB; at most {MAX_REQUEST // 2**20} are sent",
            target=target.name,
            param="messages",
            code="too_large",
            hint="Give large files by URL.",
        )
    return HttpRequest("POST", url, [*target.headers, ("accept", accept)], data)


def _unsayable(body: JSONObject, target: Target) -> InvalidRequestError:
    """The error for a body that holds what JSON cannot say; only a caller's own fields can bring that."""
    wrong = "body"
    for name, value in body.items():
        try:
            dump_json(value)
        except (TypeError, ValueError, RecursionError):
            wrong = name
            break
    return InvalidRequestError(
        f"{wrong} holds something that is no JSON", target=target.name, param=wrong, code="invalid_request"
    )
