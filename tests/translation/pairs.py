"""Recorded exchanges of one format, said in another one and back."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from aistrale.core.accumulate import collect
from aistrale.dialects import anthropic_messages, gemini_generate, openai_chat
from aistrale.dialects.base import ANY, Loss
from aistrale.errors import InvalidRequestError
from aistrale.types import Completion, JSONObject, Lossy, Request, StreamError
from tests.translation.compare import answer_differences, request_differences
from tests.translation.recordings import CHATS, Exchange, decode, frames, read_request, replies

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

Facet: TypeAlias = Literal["request", "answer", "stream"]
Verdict: TypeAlias = Literal["equal", "lossy", "refused", "unexplained"]


@dataclass(slots=True)
class Trip:
    """One body, said in another format and back.

    Args:
        verdict: "equal" when all comes back; "lossy" when every difference was recorded; "refused" when the request
            cannot be said; "unexplained" otherwise.
        detail: The differences that nothing explains, or the rule that refused.
        items: What was recorded.
        body: The body in the other format.
    """

    verdict: Verdict
    detail: list[str] = field(default_factory=list)
    items: list[Lossy] = field(default_factory=list)
    body: JSONObject | None = None


def loss() -> Loss:
    """Records everything and refuses only what cannot be left out."""
    return Loss(on_lossy="warn", on_unsupported="drop")


def request_trip(each: Exchange, target: ModuleType) -> Trip:
    """The request there and back."""
    source = each.codec
    original = read_request(each)
    there, back = loss(), loss()
    try:
        body = target.encode_request(original, ANY, there)
    except InvalidRequestError as error:
        return Trip("refused", [f"{error.param}"])
    other = _reread(target, body, original)
    try:
        returned = _reread(source, source.encode_request(other, ANY, back), original)
    except InvalidRequestError as error:
        return Trip("unexplained", [f"refused on the way back: {error}"], there.items, body)
    limited = target is anthropic_messages
    problems = [f"there: {text}" for text in request_differences(original, other, there.items, limited=limited)]
    problems += [f"back: {text}" for text in request_differences(other, returned, back.items)]
    items = there.items + back.items
    if problems:
        return Trip("unexplained", problems, items, body)
    lossy = request_differences(original, returned, [], limited=limited)
    return Trip("lossy" if lossy else "equal", [], items, body)


def _reread(codec: ModuleType, body: JSONObject, original: Request) -> Request:
    text = json.loads(json.dumps(body))
    if codec is gemini_generate:
        return codec.decode_request(text, model=original.model, stream=original.stream)
    return codec.decode_request(text)


def answer_trip(each: Exchange, target: ModuleType) -> Trip:
    """The answer there and back."""
    source = each.codec
    original = source.decode_response(json.loads(each.response))
    there, back = loss(), loss()
    body = target.encode_response(original, there)
    other = target.decode_response(json.loads(json.dumps(body)))
    returned = source.decode_response(json.loads(json.dumps(source.encode_response(other, back))))
    return _judge((original, other, returned), there, back, body)


def stream_trips(each: Exchange, target: ModuleType) -> list[Trip]:
    """The replies of the stream there and back, as streams."""
    return [_stream_trip(each, reply, target) for reply in replies(frames(each))]


def _stream_trip(each: Exchange, reply: list, target: ModuleType) -> Trip:
    source = each.codec
    events = decode(source, reply)
    there, back = loss(), loss()
    wire = encode_stream(target, events, there)
    again = decode(target, wire)
    if isinstance(events[-1], StreamError):
        kept = isinstance(again[-1], StreamError) and again[-1].error.message == events[-1].error.message
        return Trip("equal") if kept else Trip("unexplained", [f"the error became {again[-1]}"])
    returned = decode(source, encode_stream(source, again, back))
    return _judge((collect(events), collect(again), collect(returned)), there, back, None)


def encode_stream(codec: ModuleType, events: list, record: Loss) -> list:
    """The events as a caller of this format gets them, who asked for the token counts."""
    encoder = codec.event_encoder(asking(codec), record)
    return [frame for event in events for frame in encoder.feed(event)] + encoder.finish()


def asking(codec: ModuleType) -> Request:
    """A caller's streamed request."""
    if codec is openai_chat:
        asked = {"model": "m", "messages": [], "stream": True, "stream_options": {"include_usage": True}}
        return openai_chat.decode_request(asked)
    return Request(model="m", messages=[], stream=True)


def _judge(
    answers: tuple[Completion, Completion, Completion], there: Loss, back: Loss, body: JSONObject | None
) -> Trip:
    """Compare the answer with what it became in the other format, and that with what came back."""
    original, other, returned = answers
    problems = [f"there: {text}" for text in answer_differences(original, other, there.items)]
    problems += [f"back: {text}" for text in answer_differences(other, returned, back.items)]
    items = there.items + back.items
    if problems:
        return Trip("unexplained", problems, items, body)
    lossy = bool(answer_differences(original, returned, []))
    return Trip("lossy" if lossy else "equal", [], items, body)


@dataclass(slots=True)
class Result:
    """What became of the exchanges.

    Args:
        counts: Verdicts by body, source and target.
        refusals: How often a rule refused a request, by source, target and the field that it names.
        losses: How often a field was recorded as lost or emulated.
        unexplained: The differences that nothing explains.
        requests: The requests written in another format: a name, the codec, the body.
        answers: The answers likewise.
    """

    counts: dict[tuple[str, str, str], Counter[Verdict]] = field(default_factory=dict)
    refusals: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    losses: Counter[str] = field(default_factory=Counter)
    unexplained: list[str] = field(default_factory=list)
    requests: list[tuple[str, ModuleType, JSONObject]] = field(default_factory=list)
    answers: list[tuple[str, ModuleType, JSONObject]] = field(default_factory=list)

    def add(self, each: Exchange, facet: Facet, target: ModuleType, trip: Trip) -> None:
        """Count one trip."""
        source = each.codec.NAME
        self.counts.setdefault((facet, source, target.NAME), Counter())[trip.verdict] += 1
        self.losses.update({_general(item.field) for item in trip.items})
        name = f"{each.ident} {facet} {source} -> {target.NAME}"
        if trip.verdict == "refused":
            self.refusals[source, target.NAME, _general(trip.detail[0])] += 1
        elif trip.verdict == "unexplained":
            self.unexplained += [f"{name}: {text}" for text in trip.detail]
        if trip.body is not None:
            (self.requests if facet == "request" else self.answers).append((name, target, trip.body))

    def table(self) -> str:
        """The figures, to be read."""
        verdicts = ("equal", "lossy", "refused", "unexplained")
        lines = [f"{'body':<9}{'from':<20}{'to':<20}{'all':>6}" + "".join(f"{name:>12}" for name in verdicts)]
        total: Counter[Verdict] = Counter()
        for (facet, source, target), counts in sorted(self.counts.items()):
            total.update(counts)
            figures = "".join(f"{counts[name]:>12}" for name in verdicts)
            lines.append(f"{facet:<9}{source:<20}{target:<20}{counts.total():>6}{figures}")
        lines.append(f"{'all':<49}{total.total():>6}" + "".join(f"{total[name]:>12}" for name in verdicts))
        lines.append("refused because of:")
        lines += [
            f"{count:>6}  {source} -> {target}: {rule}"
            for (source, target, rule), count in sorted(self.refusals.items())
        ]
        lines.append("recorded most often:")
        lines += [f"{count:>6}  {name}" for name, count in self.losses.most_common(25)]
        return "\n".join(lines)


def _general(path: str) -> str:
    return re.sub(r"\d+", "#", path)


def measure(recorded: Iterable[Exchange]) -> Result:
    """The successful exchanges, in each other format and back."""
    result = Result()
    for each in recorded:
        if not each.succeeded:
            continue
        for target in CHATS:
            if target is each.codec:
                continue
            if each.request:
                result.add(each, "request", target, request_trip(each, target))
            if not each.streamed:
                result.add(each, "answer", target, answer_trip(each, target))
                continue
            for trip in stream_trips(each, target):
                result.add(each, "stream", target, trip)
    return result
