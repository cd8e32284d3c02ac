"""What one recorded exchange comes to in its own dialect: decoded, and written again as it was."""

from __future__ import annotations

import copy
import json
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Literal, TypeAlias
from zlib import crc32

from aistrale.core.accumulate import collect
from aistrale.dialects import gemini_embed, gemini_generate, openai_chat, openai_embeddings
from aistrale.dialects.base import ANY, Loss
from aistrale.dialects.shape import MalformedBody
from aistrale.types import ErrorInfo, Event, ReplyEnd, ReplyStart, Request, StreamError
from tests.translation.recordings import Exchange, decode, frames, read_request, replies

if TYPE_CHECKING:
    from collections.abc import Iterable

Facet: TypeAlias = Literal["request", "response", "error", "stream", "tokens"]

EXCEPTIONS: dict[tuple[str, Facet], str] = {
    ("6ccd04498f06ab3c", "request"): "a message is a string instead of an object; the server answered 400 too",
    ("3a731d3e14409194", "stream"): "two replies were spliced into one by the fixture's author; read as a server error",
    ("1bc783542ca95689", "stream"): "the server renames its items in every event; the name announced first is kept",
    ("1096233704449a7d", "response"): "status 200 without a byte in the body",
    ("085648ab1c31abf1", "response"): "status 200 without a byte in the body",
    ("d00f3b96343fc46c", "response"): "status 200 without a byte in the body",
    ("0ae44f6e83898521", "stream"): "status 200 without a byte in the body",
    ("6fc8b99804c7e327", "stream"): "its last chunk counts no candidates; those of its turns are added up, not written",
}
"""What is not reproduced, and why."""
EMBED = (gemini_embed, openai_embeddings)
_SHORT = 20_000


@dataclass(slots=True, frozen=True)
class Finding:
    """What became of one body.

    Args:
        facet: Which body of the exchange.
        decoded: It was read without an error.
        equal: Encoding gives the same JSON again; of a stream, another stream that spells the same answer.
        detail: What went wrong.
    """

    facet: Facet
    decoded: bool
    equal: bool
    detail: str = ""


def examine(each: Exchange) -> list[Finding]:
    """Every body of the exchange, read and written again."""
    found = []
    if each.request:
        found.append(_try("request", each))
    if each.status >= 400 or not each.status:
        found.append(_try("error", each))
    elif each.streamed:
        found.append(_try("stream", each))
    elif each.counts_tokens:
        found.append(_try("tokens", each))
    else:
        found.append(_try("response", each))
    return found


def _try(facet: Facet, each: Exchange) -> Finding:
    try:
        problem = _CHECKS[facet](each)
    except MalformedBody as error:
        return Finding(facet, decoded=False, equal=False, detail=str(error))
    return Finding(facet, decoded=True, equal=not problem, detail=problem)


def _request(each: Exchange) -> str:
    body = json.loads(each.request)
    if each.codec in EMBED:
        request = each.codec.decode_request(copy.deepcopy(body))
        return differs(each.codec.encode_request(request, Loss(on_lossy="error")), body)
    if each.endpoint == "countTokens":
        body = body.get("generateContentRequest", body)
    request = each.codec.decode_request(copy.deepcopy(body), model=each.model or None)
    loss = Loss(on_lossy="error")
    return differs(each.codec.encode_request(request, ANY, loss), body) or _losses(loss)


def _response(each: Exchange) -> str:
    if not each.response:
        raise MalformedBody("body", "a JSON object")
    body = json.loads(each.response)
    decoded = each.codec.decode_response(copy.deepcopy(body))
    if each.codec in EMBED:
        return differs(each.codec.encode_response(decoded), body)
    loss = Loss(on_lossy="error")
    return differs(each.codec.encode_response(decoded, loss), body) or _losses(loss)


def _error(each: Exchange) -> str:
    codec = {gemini_embed: gemini_generate, openai_embeddings: openai_chat}.get(each.codec, each.codec)
    status = each.status or None
    error = codec.decode_error(status, each.headers, each.response.encode())
    if error.kind == "unknown" or not error.message:
        return f"the error was not understood: {error}"
    told, body = codec.encode_error(error)
    return differs(body, json.loads(each.response)) or ("" if status in (told, None) else f"status {told}")


def _tokens(each: Exchange) -> str:
    count = each.codec.decode_token_count(json.loads(each.response))
    return "" if count > 0 else f"{count} tokens"


def _stream(each: Exchange) -> str:
    if not each.response:
        raise MalformedBody("body", "events")
    whole = frames(each)
    random = Random(crc32(each.ident.encode()))
    cuts = [[random.randint(1, 400) for _ in range(50)], *([[1]] if len(each.response) < _SHORT else [])]
    for cut in cuts:
        if frames(each, cut) != whole:
            return f"other events when cut into pieces of {cut[:4]}"
    for reply in replies(whole):
        problem = _reply(each, decode(each.codec, reply))
        if problem:
            return problem
    return ""


def _reply(each: Exchange, events: list[Event]) -> str:
    if not isinstance(events[0], ReplyStart):
        return f"begins with {events[0]}"
    loss = Loss(on_lossy="error")
    encoder = each.codec.event_encoder(caller(each), loss)
    wire = [frame for event in events for frame in encoder.feed(event)] + encoder.finish()
    again, last = decode(each.codec, wire), events[-1]
    if isinstance(last, StreamError):
        return _inner_error(each, last.error, again[-1])
    if not isinstance(last, ReplyEnd):
        return "the end of the answer is missing"
    first, second = collect(events), collect(again)
    if first.choices != second.choices or first.id != second.id or first.model != second.model:
        return "another answer after encoding"
    if (first.usage and first.usage.raw) != (second.usage and second.usage.raw) or first.usage != second.usage:
        return "other token counts after encoding"
    return _losses(loss)


def _inner_error(each: Exchange, told: ErrorInfo, again: Event) -> str:
    """An error that the provider reported inside the stream has to arrive as the same one."""
    if json.dumps(told.message)[1:-1] not in each.response:
        return f"an error that the provider did not report: {told.type}"
    if not isinstance(again, StreamError):
        return "the error is gone after encoding"
    same = (again.error.message, again.error.type, again.error.code) == (told.message, told.type, told.code)
    return "" if same else f"another error after encoding: {again.error}"


def caller(each: Exchange) -> Request:
    """The request that the encoded stream answers: the recorded one, asking for the counts that the answer has."""
    if each.codec is openai_chat:
        asked = {"model": each.model, "messages": [], "stream": True, "stream_options": {"include_usage": True}}
        return openai_chat.decode_request(asked)
    return read_request(each) if each.request else Request(model=each.model, messages=[])


def _losses(loss: Loss) -> str:
    return f"recorded as lost: {[item.field for item in loss.items]}" if loss.items else ""


def differs(again: object, body: object, path: str = "") -> str:
    """Where two JSON values differ first, "" if they are equal; 1 and 1.0 are one number, true is none."""
    numbers = {type(again), type(body)} == {int, float}
    if type(again) is not type(body) and not numbers:
        return f"{path or 'body'}: {type(body).__name__} became {type(again).__name__}"
    if isinstance(body, dict) and isinstance(again, dict):
        if body.keys() != again.keys():
            return f"{path or 'body'}: fields {sorted(body.keys() ^ again.keys())}"
        return next((found for key in body if (found := differs(again[key], body[key], f"{path}.{key}"))), "")
    if isinstance(body, list) and isinstance(again, list):
        if len(body) != len(again):
            return f"{path}: {len(body)} items became {len(again)}"
        pairs = enumerate(zip(again, body, strict=True))
        return next((found for n, (new, old) in pairs if (found := differs(new, old, f"{path}[{n}]"))), "")
    return "" if again == body else f"{path}: another value"


_CHECKS = {"request": _request, "response": _response, "error": _error, "stream": _stream, "tokens": _tokens}


@dataclass(slots=True)
class Row:
    """The figures of one provider's endpoint."""

    exchanges: int = 0
    bodies: int = 0
    decoded: int = 0
    equal: int = 0


@dataclass(slots=True, frozen=True)
class Result:
    """The gate's figures.

    Args:
        rows: By provider and endpoint.
        apart: Exchanges of endpoints that are none of the formats, by provider and endpoint.
        odd: The bodies that are not reproduced: ident, which body, and what differs.
    """

    rows: dict[tuple[str, str], Row]
    apart: Counter[tuple[str, str]]
    odd: dict[tuple[str, Facet], str]

    @property
    def share(self) -> float:
        """Of all bodies, how many come back as they were."""
        return sum(row.equal for row in self.rows.values()) / sum(row.bodies for row in self.rows.values())

    def table(self) -> str:
        """The figures, to be read."""
        lines = [f"{'provider':<14}{'endpoint':<23}{'exchanges':>10}{'bodies':>8}{'decoded':>9}{'equal':>7}"]
        total = Row()
        for (provider, endpoint), row in sorted(self.rows.items()):
            lines.append(f"{provider:<14}{endpoint:<23}{_figures(row)}")
            total = Row(*(getattr(total, name) + getattr(row, name) for name in Row.__slots__))
        lines.append(f"{'all':<37}{_figures(total)}   {self.share:.2%}")
        lines += [f"{ident} {facet}: {EXCEPTIONS.get((ident, facet), why)}" for (ident, facet), why in self.odd.items()]
        lines += [f"none of the formats: {count} x {' '.join(group)}" for group, count in self.apart.items()]
        return "\n".join(lines)


def _figures(row: Row) -> str:
    return f"{row.exchanges:>10}{row.bodies:>8}{row.decoded:>9}{row.equal:>7}"


def measure(recorded: Iterable[Exchange]) -> Result:
    """Every body of the exchanges, through its own codec."""
    result = Result({}, Counter(), {})
    for each in recorded:
        if each.codec is None:
            result.apart[each.group] += 1
            continue
        row = result.rows.setdefault(each.group, Row())
        row.exchanges += 1
        for finding in examine(each):
            row.bodies += 1
            row.decoded += finding.decoded
            row.equal += finding.equal
            if not finding.equal:
                result.odd[each.ident, finding.facet] = finding.detail
    return result
