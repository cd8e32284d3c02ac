"""Recorded answers of one provider, given to another provider's SDK in the format that it expects.

Each recorded answer is decoded with its own dialect; the caller's real request is decoded with the caller's; and the
answer to it is encoded with the caller's, as a drop-in answers when it has failed over to another vendor. What then
counts is what the SDK tells its application.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aistrale.core.accumulate import collect
from aistrale.core.sse import encode_sse
from aistrale.dialects import gemini_generate, openai_chat, openai_responses
from aistrale.dialects.base import Loss
from aistrale.dialects.shape import dump_json
from aistrale.types import Completion, ErrorInfo, Event, Message, RefusalPart, ReplyEnd, StreamError
from tests.dropin.official_callers import Alternative, Caller, Said
from tests.translation.compare import arguments_of
from tests.translation.recordings import Exchange, chats, decode, frames, replies

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aistrale.types import Choice, Request
    from tests.sdks.judging import Judge

_OURS = {
    ("openai", "openai_chat"): "openai chat",
    ("openai-azure", "openai_chat"): "azure chat",
    ("openai", "openai_responses"): "openai responses",
    ("openai-azure", "openai_responses"): "azure responses",
    ("anthropic", "anthropic_messages"): "anthropic",
    ("google", "gemini_generate"): "gemini",
    ("google-vertex", "gemini_generate"): "gemini",
    ("groq", "openai_chat"): "groq",
    ("huggingface", "openai_chat"): "hugging face",
}
_CUT = ErrorInfo(502, "The stream ended before the answer was complete.", kind="server")
# The reasons that an application acts on, and that every format has a word for.
_TOLD_BY_ALL = ("tool_calls", "length", "content_filter")
_NAMED_EVENTS = ("anthropic_messages", "openai_responses")


@dataclass(slots=True)
class Case:
    """One recorded answer in the hub's words.

    Args:
        ident: Of the recording; a stream that holds several replies has them numbered.
        source: Whose answer, in the names of the callers; "compatible chat" for another vendor's OpenAI-like endpoint.
        events: What a streamed answer consists of; None for a plain one.
        completion: The answer as the hub itself accumulates it.
        error: What it reports although its status was 200.
        recorded: The answer as its provider sent it; "" for one of several replies in a recording, and for a Gemini
            stream that is one JSON array, which its SDK never asks for.
    """

    ident: str
    source: str
    events: list[Event] | None
    completion: Completion
    error: ErrorInfo | None = None
    recorded: str = ""

    @property
    def kind(self) -> str:
        return "plain" if self.events is None else "stream"

    @property
    def fails(self) -> bool:
        """Whether a caller has to be told of a failure: one that was reported, or an answer without its end."""
        if self.events is None:
            return self.error is not None or self.completion.choices[:1] == []
        return not isinstance(self.events[-1] if self.events else None, ReplyEnd)


def cases() -> Iterator[Case]:
    """Every recorded answer with status 200."""
    for each in chats():
        if each.succeeded:
            yield from _streamed(each) if each.streamed else [_plain(each)]


def _source(each: Exchange) -> str:
    assert each.codec is not None
    return _OURS.get((each.provider, each.codec.NAME), "compatible chat")


def _plain(each: Exchange) -> Case:
    assert each.codec is not None
    body = json.loads(each.response)
    if each.codec.is_error_body(body):
        error = each.codec.decode_error(each.status, each.headers, each.response.encode())
        return Case(each.ident, _source(each), None, Completion(), error, each.response)
    return Case(each.ident, _source(each), None, each.codec.decode_response(body), None, each.response)


def _streamed(each: Exchange) -> Iterator[Case]:
    found = replies(frames(each))
    for place, reply in enumerate(found):
        assert each.codec is not None
        events = decode(each.codec, reply)
        ident = each.ident if len(found) == 1 else f"{each.ident}#{place + 1}"
        error = next((event.error for event in events if isinstance(event, StreamError)), None)
        recorded = "" if len(found) > 1 or each.response.lstrip().startswith("[") else each.response
        yield Case(ident, _source(each), events, collect(events), error, recorded)


class Desk:
    """Answers what one SDK sends with the case that was laid out last, in that SDK's format.

    Args:
        caller: The SDK.
    """

    def __init__(self, caller: type[Caller]) -> None:
        self.caller = caller
        self.case: Case | None = None

    def __call__(self, request):
        http = sys.modules[type(request).__module__.partition(".")[0]]
        assert self.case is not None
        asked = self._asked(request)
        # A stream is answered to a stream, and a whole answer to a plain call.
        assert asked.stream == (self.case.events is not None)
        if self.case.source == self.caller.name:
            status, content = 200, self.case.recorded.encode()
        else:
            status, content = self._streamed(asked) if asked.stream else self._whole(asked)
        kind = "text/event-stream" if asked.stream else "application/json"
        return http.Response(status, headers={"content-type": kind, "x-request-id": "req_1"}, content=content)

    def _asked(self, request) -> Request:
        body = json.loads(request.content)
        if self.caller.codec is gemini_generate:
            streamed = request.url.path.endswith("streamGenerateContent")
            return gemini_generate.decode_request(body, model="gemini-2.5-flash", stream=streamed)
        return self.caller.codec.decode_request(body)

    def _reasoning(self) -> str | None:
        return "reasoning" if self.caller.name in {"groq", "hugging face"} else None

    def _whole(self, asked: Request) -> tuple[int, bytes]:
        codec, case = self.caller.codec, self.case
        assert case is not None
        status = 200
        if case.error is not None:
            status, body = codec.encode_error(case.error)
        elif codec is openai_chat:
            field = self._reasoning()
            body = codec.encode_response(case.completion, _loss(), reasoning_field=field, request=asked, standard=True)
        elif codec is openai_responses:
            body = codec.encode_response(case.completion, _loss(), asked)
        else:
            body = codec.encode_response(case.completion, _loss())
        return status, dump_json(body).encode()

    def _streamed(self, asked: Request) -> tuple[int, bytes]:
        codec, case = self.caller.codec, self.case
        assert case is not None
        assert case.events is not None
        if codec is openai_chat:
            groq = self.caller.name == "groq"
            field = self._reasoning()
            encoder = codec.event_encoder(asked, _loss(), groq=groq, reasoning_field=field, standard=True)
        else:
            encoder = codec.event_encoder(asked, _loss())
        wire = [frame for event in case.events if type(event) is not StreamError for frame in encoder.feed(event)]
        # What breaks is told in the caller's words by the drop-in itself, which sees the reply fail.
        wire += codec.encode_stream_error(case.error or _CUT) if case.fails else encoder.finish()
        named = codec.NAME in _NAMED_EVENTS
        # The clients of the other formats break on named events, and on characters at which lines may end.
        assert all(frame.data.isascii() and (named or frame.event in {"", "error"}) for frame in wire)
        return 200, b"".join(encode_sse(frame.data, frame.event) for frame in wire)


def _loss() -> Loss:
    """As a drop-in keeps it: what a format has no room for is recorded, and the rest is told."""
    return Loss(on_lossy="warn", on_unsupported="drop")


def misses(case: Case, caller: type[Caller], said: Said) -> list[str]:
    """What the SDK told otherwise than the hub: a text, a call, a count, or a failure.

    Of an answer in its own format, only what counts: ids that we mint and words for the end are ours.
    """
    crossed = case.source != caller.name
    found = [said.odd] if said.odd else []
    choices = case.completion.choices if caller.alternatives else case.completion.choices[:1]
    # A model that could not finish is an answer in most formats, and a failed response in one.
    if bool(said.failure) != case.fails and not any(choice.finish_reason == "error" for choice in choices):
        found.append(f"failure: {said.failure!r}")
    indices = {choice.index for choice in choices} | said.alternatives.keys()
    for index in sorted(indices):
        choice = next((choice for choice in choices if choice.index == index), None)
        found += _choice_misses(choice, said.at(index), index, whole=not case.fails)
        found += _use_misses(choice, said.at(index), index) if crossed and choice and not case.fails else []
    usage = case.completion.usage
    wanted = ((usage.input_total or 0), (usage.output_total or 0)) if usage else (0, 0)
    if wanted != (said.input, said.output) and not case.fails:
        found.append(f"tokens: {wanted} became {(said.input, said.output)}")
    return found


def _choice_misses(choice: Choice | None, told: Alternative, index: int, *, whole: bool) -> list[str]:
    message = choice.message if choice else Message("assistant")
    text = message.text + "".join(part.text for part in message.parts if isinstance(part, RefusalPart))
    calls = [(call.name, arguments_of(call)) for call in message.tool_calls]
    found = []
    if text != told.text + told.refusal:
        found.append(f"text {index}: {_shown(text)} became {_shown(told.text + told.refusal)}")
    # Of an answer that broke off, the last call may be any part of itself.
    if calls != told.calls and whole:
        found.append(f"calls {index}: {_shown(calls)} became {_shown(told.calls)}")
    return found


def _use_misses(choice: Choice, told: Alternative, index: int) -> list[str]:
    """What an application needs to go on: the ids that bring results back to their calls, and why the answer ended."""
    ids = [call.id for call in choice.message.tool_calls]
    found = [] if ids == told.ids else [f"ids {index}: {_shown(ids)} became {_shown(told.ids)}"]
    reason = choice.finish_reason
    if reason in _TOLD_BY_ALL and told.finish != reason:
        found.append(f"finish {index}: {reason} became {told.finish}")
    return found


def _shown(value: object) -> str:
    told = repr(value)
    return told if len(told) < 160 else f"{told[:100]}...{told[-50:]}"


@dataclass(slots=True)
class Figures:
    """What came of it, by source and kind; the misses by ident; and how many of the cases had what."""

    equal: Counter[tuple[str, str]] = field(default_factory=Counter)
    all: Counter[tuple[str, str]] = field(default_factory=Counter)
    odd: dict[str, list[str]] = field(default_factory=dict)
    had: Counter[str] = field(default_factory=Counter)

    @property
    def share(self) -> float:
        """Of all cases, the part that arrived."""
        return self.equal.total() / self.all.total()

    def table(self, caller: str) -> str:
        """The figures, to be read."""
        lines = [f"{'answers of':<18}{'given to':<18}{'plain':>14}{'stream':>14}"]
        for source in sorted({source for source, _ in self.all}):
            keys = [(source, kind) for kind in ("plain", "stream")]
            figures = [f"{self.equal[key]} / {self.all[key]}" if self.all[key] else "-" for key in keys]
            lines.append(f"{source:<18}{caller:<18}{figures[0]:>14}{figures[1]:>14}")
        lines.append(f"{'all':<18}{caller:<18}{self.equal.total()} / {self.all.total()} = {self.share:.3%}")
        lines.append(", ".join(f"{count} with {what}" for what, count in self.had.most_common()))
        return "\n".join(lines)

    def add(self, case: Case, found: list[str]) -> None:
        """Count one case."""
        self.all[case.source, case.kind] += 1
        if found:
            self.odd[case.ident] = found
        else:
            self.equal[case.source, case.kind] += 1
        answer = case.completion
        had = {"text": answer.text, "calls": answer.tool_calls, "token counts": answer.usage, "failure": case.fails}
        self.had.update(what for what, there in had.items() if there)


async def sweep(caller: type[Caller], laid_out: Iterable[Case], judge: Judge) -> Figures:
    """Give the cases to one SDK: those of its own source as they were recorded, all others in its format."""
    figures, desk = Figures(), Desk(caller)
    asking = caller(judge, desk)
    try:
        for case in laid_out:
            desk.case, said = case, Said()
            try:
                await (asking.ask(said) if case.events is None else asking.ask_streamed(said))
            except Exception as error:  # noqa: BLE001 - each SDK has its own, and a defect of ours is a miss
                said.failure = f"{type(error).__name__}: {error}"
                if error.__cause__ is not None:
                    said.failure += f" <- {type(error.__cause__).__name__}: {error.__cause__}"
            figures.add(case, misses(case, caller, said))
    finally:
        await asking.close()
    return figures
