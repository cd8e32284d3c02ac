"""Writing streams of the OpenAI chat dialect."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Final

from aistrale.core.sse import SSE
from aistrale.dialects._chat_caller import Standard, standard_for
from aistrale.dialects._chat_errors import encode_stream_error
from aistrale.dialects._chat_messages import custom_input
from aistrale.dialects._chat_request import includes_usage
from aistrale.dialects._chat_response import write_finish
from aistrale.dialects._chat_usage import encode_usage
from aistrale.dialects._chat_wire import NAME, REASONING_FIELDS, note, words_of
from aistrale.dialects.foreign import report_block, report_finish
from aistrale.dialects.shape import dump_json, kept
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    ErrorInfo,
    Finish,
    MediaPart,
    Other,
    ReasoningDelta,
    ReasoningPart,
    RefusalPart,
    ReplyEnd,
    ReplyStart,
    StreamError,
    TextDelta,
    TextPart,
    ToolCallPart,
    UsageUpdate,
    Whole,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistrale.dialects.base import Loss
    from aistrale.types import JSON, Completion, Event, JSONObject, Part, Request, Usage

# Said in every chunk of a stream; everything else that a reply says about itself stands in the first.
_EVERYWHERE: Final = ("service_tier", "system_fingerprint", "provider")
# The events after which a finish chunk that was held back is no longer the last one.
_CONTENT: Final = frozenset({BlockStart, TextDelta, ReasoningDelta, ArgumentsDelta, Finish})
_NOT_IN_CHUNKS: Final = frozenset({"object", "usage", "choices", "id", "created", "model"})


@dataclass(slots=True)
class _Block:
    """A block that is being written: the delta's member it goes to, and what is held back.

    Args:
        kind: Member of the delta ("content", "refusal", ...), "call", "custom", "function_call", or "" for nothing.
        names: Members that thoughts go to.
        position: Index of a tool call.
        pieces: Arguments held back (of custom tools, whose free text is cut out of JSON, and for Groq's SDK of all).
    """

    kind: str
    part: Part
    names: tuple[str, ...] = ()
    position: int = 0
    pieces: list[str] = field(default_factory=list)
    empty: bool = True


class Encoder:
    """One streamed reply for a calling SDK.

    Args:
        request: The caller's request; tells whether it asked for a usage chunk.
        loss: Takes what this dialect cannot say.
        groq: Write for Groq's SDK: the counts stand in the last chunk, at its top and in `x_groq`, unasked.
        reasoning_field: Where thoughts from another dialect go; None leaves them out (recorded).
        standard: The answer is another server's than the one that the caller asked: its notation is not kept.
    """

    __slots__ = (
        "_base", "_blocks", "_called", "_ended", "_first", "_groq", "_held", "_loss", "_model", "_open", "_prefix",
        "_reasoning_field", "_roles", "_standard", "_usage", "_wants_usage",
    )  # fmt: skip

    def __init__(
        self,
        request: Request,
        loss: Loss,
        *,
        groq: bool = False,
        reasoning_field: str | None = None,
        standard: bool = False,
    ) -> None:
        self._loss = loss
        self._standard: Standard | None = standard_for(request, reasoning_field) if standard else None
        self._groq = groq
        self._reasoning_field = reasoning_field
        self._wants_usage = includes_usage(request)
        self._model = request.model
        self._base: JSONObject = {}
        self._prefix = ""
        self._first: JSONObject = {}
        self._blocks: dict[tuple[int, int], _Block] = {}
        self._roles: set[int] = set()
        self._open: set[int] = set()
        self._called: dict[int, int] = {}
        self._held: tuple[int, JSONObject] | None = None
        self._usage: Usage | None = None
        self._ended = False
        self._begin(ReplyStart())

    def feed(self, event: Event) -> list[SSE]:
        """Encode one hub event; may return nothing or several chunks."""
        if self._ended:
            return []
        if type(event) is TextDelta:
            block = self._blocks.get((event.choice, event.block))
            if block is not None and block.kind == "content" and event.wire is None and self._held is None:
                return [self._text_chunk(event.text, event.choice)]
        if self._standard is not None:
            event = self._standard.event(event)
        writer = _WRITERS.get(type(event))
        chunks: list[SSE] = []
        if writer is not None:
            if self._held is not None and type(event) in _CONTENT:
                self._release(chunks)
            writer(self, event, chunks)
        return chunks

    def finish(self) -> list[SSE]:
        """The reply ended: `[DONE]`, or an error if it is not whole, so that nobody takes a part for all of it."""
        chunks: list[SSE] = []
        if self._ended:
            return chunks
        if self._roles and not self._open:
            self._end(ReplyEnd(), chunks)
        else:
            error = ErrorInfo(502, "The answer was cut off.", "server_error", "stream_truncated", kind="server")
            self._fail(StreamError(error), chunks)
        return chunks

    # --- chunks --------------------------------------------------------------------------------------------------

    def _text_chunk(self, text: str, choice: int) -> SSE:
        """The chunk that makes up nearly all of a stream, put together by hand for speed."""
        said = encode_basestring_ascii(text)
        return SSE(
            "",
            f'{self._prefix}{{"index":{choice},"delta":{{"content":{said}}},"logprobs":null,"finish_reason":null}}]}}',
        )

    def _chunk(self, choices: list[JSON], fields: JSONObject | None = None) -> SSE:
        body: JSONObject = {**self._base, "choices": choices, **self._first, **(fields or {})}
        self._first = {}
        return SSE("", dump_json(body))

    def _delta(self, choice: int, delta: JSONObject, chunks: list[SSE], fields: JSONObject | None = None) -> None:
        body: JSONObject = {"index": choice, "delta": delta, "logprobs": None, "finish_reason": None}
        chunks.append(self._chunk([{**body, **(fields or {})}]))

    def _say_role(self, choice: int, kind: str, chunks: list[SSE]) -> None:
        self._roles.add(choice)
        content = "" if kind in {"content", "reasoning", ""} else None
        self._delta(choice, {"role": "assistant", "content": content}, chunks)

    # --- the reply -----------------------------------------------------------------------------------------------

    def _begin(self, event: ReplyStart, chunks: list[SSE] | None = None) -> None:
        fields = {name: value for name, value in kept(event.wire, NAME).items() if name not in _NOT_IN_CHUNKS}
        reply_id = event.id or "chatcmpl-1"
        self._base = {
            "id": reply_id,
            "object": "chat.completion.chunk",
            "created": event.created or 0,
            "model": event.model or self._model,
        }
        self._base.update({name: fields.pop(name) for name in _EVERYWHERE if name in fields})
        self._prefix = dump_json(self._base)[:-1] + ',"choices":['
        if self._groq:
            fields.setdefault("x_groq", {"id": f"req_{reply_id}"})
        self._first = fields

    def _count(self, event: UsageUpdate, chunks: list[SSE]) -> None:
        self._usage = event.usage

    def _end(self, event: ReplyEnd, chunks: list[SSE]) -> None:
        self._ended = True
        late = {name: value for name, value in kept(event.wire, NAME).items() if name not in _NOT_IN_CHUNKS}
        usage = None if self._usage is None else encode_usage(self._usage, self._loss)
        if self._groq:
            noted = late.pop("x_groq", None)
            groq: JSONObject = {"id": f"req_{self._base['id']}", **(noted if type(noted) is dict else {})}
            if usage is not None:
                groq["usage"] = usage
                late["usage"] = usage
            late["x_groq"] = groq
            if self._held is None:
                chunks.append(self._chunk([], late))
            self._release(chunks, late)
        else:
            if usage is not None and self._wants_usage:
                late["usage"] = usage
            if late:
                chunks.append(self._chunk([], late))
        chunks.append(SSE("", "[DONE]"))

    def _fail(self, event: StreamError, chunks: list[SSE]) -> None:
        self._ended = True
        chunks.extend(encode_stream_error(event.error))

    def _pass(self, event: Other, chunks: list[SSE]) -> None:
        if event.dialect == NAME:
            chunks.append(SSE("", dump_json(event.data)))

    def _whole(self, event: Whole, chunks: list[SSE]) -> None:
        for item in events_of(event.completion):
            chunks.extend(self.feed(item))

    def _release(self, chunks: list[SSE], fields: JSONObject | None = None) -> None:
        """Write the finish chunk that waited for the counts."""
        if self._held is not None:
            choice, body = self._held
            self._held = None
            chunks.append(self._chunk([{"index": choice, **body}], fields))

    # --- blocks --------------------------------------------------------------------------------------------------

    def _start(self, event: BlockStart, chunks: list[SSE]) -> None:
        self._open.add(event.choice)
        part = event.part
        block = self._block_for(part, event.choice)
        self._blocks[event.choice, event.block] = block
        if block.kind and event.choice not in self._roles:
            self._say_role(event.choice, block.kind, chunks)
        if block.kind in {"call", "function_call"} and not self._holds(block):
            block.empty = not (isinstance(part, ToolCallPart) and part.arguments)
            self._start_call(block, part, event.choice, chunks)
        elif isinstance(part, ToolCallPart):
            block.pieces.append(part.arguments)
        elif isinstance(part, (TextPart, RefusalPart, ReasoningPart)):
            if part.text:
                self._say(block, part.text, event.choice, chunks)
        elif isinstance(part, MediaPart) and block.kind == "audio":
            sound = {"id": part.file_id, "data": part.data, **kept(part.wire, NAME)}
            told: JSONObject = {name: value for name, value in sound.items() if value is not None}
            self._delta(event.choice, {"audio": told}, chunks)
        if not block.kind:
            where = f"choices[{event.choice}].message.parts[{event.block}]"
            self._loss.drop(where, "content that the OpenAI chat format has no place for in an answer")

    def _block_for(self, part: Part, choice: int) -> _Block:
        words = words_of(part.wire)
        if isinstance(part, TextPart):
            return _Block("transcript" if "transcript" in words else "content", part)
        if isinstance(part, RefusalPart):
            return _Block("refusal", part)
        if isinstance(part, ReasoningPart):
            names: tuple[str, ...] = tuple(name for name in REASONING_FIELDS if name in words)
            if not names and self._reasoning_field:
                names = (self._reasoning_field,)
            return _Block("reasoning" if names else "", part, names)
        if isinstance(part, ToolCallPart):
            if "function_call" in words:
                return _Block("function_call", part)
            position = self._called.get(choice, 0)
            self._called[choice] = position + 1
            return _Block("custom" if "custom" in words else "call", part, position=position)
        return _Block("audio" if isinstance(part, MediaPart) and "audio" in words else "", part)

    def _holds(self, block: _Block) -> bool:
        """Whether a call is written only when it is complete; Groq sends each in one chunk, on which callers rely."""
        return block.kind == "custom" or (self._groq and block.kind == "call")

    def _start_call(self, block: _Block, part: Part, choice: int, chunks: list[SSE]) -> None:
        if not isinstance(part, ToolCallPart):
            return
        function: JSONObject = {"name": part.name, "arguments": part.arguments}
        if block.kind == "function_call":
            self._delta(choice, {"function_call": function}, chunks)
            return
        call: JSONObject = {"index": block.position, "id": part.id, "type": "function", "function": function}
        fields = kept(part.wire, NAME)
        fields.pop("function", None)
        self._delta(choice, {"tool_calls": [{**fields, **call}]}, chunks)

    def _text(self, event: TextDelta, chunks: list[SSE]) -> None:
        block = self._blocks.get((event.choice, event.block)) or _Block("content", TextPart(""))
        logprobs = kept(event.wire, NAME).get("logprobs")
        fields: JSONObject | None = None if logprobs is None else {"logprobs": logprobs}
        if event.text or fields:
            self._say(block, event.text, event.choice, chunks, fields)

    def _say(self, block: _Block, text: str, choice: int, chunks: list[SSE], fields: JSONObject | None = None) -> None:
        if block.kind == "transcript":
            self._delta(choice, {"audio": {"transcript": text}}, chunks, fields)
        elif block.kind == "reasoning":
            self._delta(choice, dict.fromkeys(block.names, text), chunks)
        elif block.kind:
            self._delta(choice, {block.kind: text}, chunks, fields)

    def _think(self, event: ReasoningDelta, chunks: list[SSE]) -> None:
        block = self._blocks.get((event.choice, event.block))
        if block is not None and event.reasoning:
            self._say(block, event.reasoning, event.choice, chunks)

    def _arguments(self, event: ArgumentsDelta, chunks: list[SSE]) -> None:
        block = self._blocks.get((event.choice, event.block))
        if block is None or not event.arguments:
            return
        block.empty = False
        if self._holds(block):
            block.pieces.append(event.arguments)
        else:
            self._say_arguments(block, event.arguments, event.choice, chunks)

    def _say_arguments(self, block: _Block, piece: str, choice: int, chunks: list[SSE]) -> None:
        if block.kind == "function_call":
            self._delta(choice, {"function_call": {"arguments": piece}}, chunks)
        elif block.kind == "call":
            call: JSONObject = {"index": block.position, "function": {"arguments": piece}}
            self._delta(choice, {"tool_calls": [call]}, chunks)

    def _close(self, event: BlockEnd, chunks: list[SSE]) -> None:
        block = self._blocks.get((event.choice, event.block))
        if block is not None:
            report_block(block.part, event, NAME, self._loss)
        if block is None or not isinstance(block.part, ToolCallPart):
            return
        part = block.part
        if block.kind == "custom":
            custom: JSONObject = {"name": part.name, "input": custom_input("".join(block.pieces))}
            call: JSONObject = {"index": block.position, "id": part.id, "type": "custom", "custom": custom}
            self._delta(event.choice, {"tool_calls": [{**kept(part.wire, NAME), **call}]}, chunks)
        elif self._holds(block):
            arguments = "".join(block.pieces) or ("" if "blank" in words_of(part.wire) else "{}")
            self._start_call(block, replace(part, arguments=arguments), event.choice, chunks)
        elif block.empty and "blank" not in words_of(part.wire):
            # Callers parse the text; a call without arguments is an empty object.
            self._say_arguments(block, "{}", event.choice, chunks)

    def _finish(self, event: Finish, chunks: list[SSE]) -> None:
        report_finish(event, NAME, self._loss)
        fields = kept(event.wire, NAME)
        delta = fields.pop("delta", None)
        if event.choice not in self._roles:
            self._say_role(event.choice, "", chunks)
        self._open.discard(event.choice)
        called = any(
            isinstance(block.part, ToolCallPart)
            for (choice, _), block in self._blocks.items()
            if choice == event.choice
        )
        said = next((word[5:] for word in words_of(event.wire) if word.startswith("said=")), None)
        where = f"choices[{event.choice}].finish_reason"
        reason = write_finish(event.reason, said, calls=called, where=where, loss=self._loss)
        last: JSONObject = delta if type(delta) is dict else {}
        told: JSONObject = {"delta": last, "logprobs": None, **fields, "finish_reason": reason}
        self._held = (event.choice, told)
        if not self._groq:
            self._release(chunks)


_WRITERS: Final[dict[type[Event], Callable[..., None]]] = {
    ReplyStart: Encoder._begin,  # noqa: SLF001 - the table of this very class
    BlockStart: Encoder._start,  # noqa: SLF001
    TextDelta: Encoder._text,  # noqa: SLF001
    ReasoningDelta: Encoder._think,  # noqa: SLF001
    ArgumentsDelta: Encoder._arguments,  # noqa: SLF001
    BlockEnd: Encoder._close,  # noqa: SLF001
    UsageUpdate: Encoder._count,  # noqa: SLF001
    Finish: Encoder._finish,  # noqa: SLF001
    ReplyEnd: Encoder._end,  # noqa: SLF001
    StreamError: Encoder._fail,  # noqa: SLF001
    Other: Encoder._pass,  # noqa: SLF001
    Whole: Encoder._whole,  # noqa: SLF001
}


def events_of(completion: Completion) -> list[Event]:
    """A whole answer as the events of a stream."""
    events: list[Event] = [ReplyStart(completion.id, completion.model, completion.created, completion.wire)]
    for choice in completion.choices:
        for number, part in enumerate(choice.message.parts):
            events += [BlockStart(number, part, choice.index), BlockEnd(number, choice.index)]
        fields = kept(choice.wire, NAME)
        noted = kept(choice.message.wire, NAME)
        message: JSONObject = {name: value for name, value in noted.items() if value is not None}
        if message:
            fields["delta"] = message
        wire = note(fields, words_of(choice.wire))
        events.append(Finish(choice.finish_reason, choice.index, choice.stop_sequence, wire))
    if completion.usage is not None:
        events.append(UsageUpdate(completion.usage))
    events.append(ReplyEnd())
    return events
