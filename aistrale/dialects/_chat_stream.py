"""Reading streams of the OpenAI chat dialect."""

from __future__ import annotations

import json
from math import isfinite
from typing import TYPE_CHECKING, Final, cast

from aistrale.dialects._chat_blocks import ChoiceBlocks
from aistrale.dialects._chat_errors import choice_error, read_error
from aistrale.dialects._chat_response import read_finish
from aistrale.dialects._chat_usage import decode_usage
from aistrale.dialects._chat_wire import NAME, note
from aistrale.dialects.shape import MalformedBody, as_object, as_str, get_int, get_str
from aistrale.types import (
    ErrorInfo,
    Finish,
    Other,
    ReplyEnd,
    ReplyStart,
    StreamError,
    TextDelta,
    UsageUpdate,
)

if TYPE_CHECKING:
    from aistrale.core.sse import SSE
    from aistrale.types import JSON, Event, JSONObject

_DONE: Final = "[DONE]"
# `obfuscation` is padding against traffic analysis; it says nothing.
_KNOWN: Final = frozenset({"id", "object", "created", "model", "choices", "usage", "obfuscation"})
_CHOICE: Final = frozenset({"index", "delta", "finish_reason", "logprobs", "message", "text", "usage"})
# Groq's place for the counts may also hold what its hardware caches kept.
_TOKENS: Final = frozenset({"prompt_tokens", "completion_tokens", "total_tokens"})
_NOTHING: Final[tuple[JSON, ...]] = (None, "", [], {}, False)


class Decoder:
    """One streamed reply.

    The answer is whole when every choice that began has its finish reason and the stream ended, with `[DONE]` or with
    its last byte; some servers never send `[DONE]`. One exception: OpenRouter leaves the finish reason out for some
    backends. When `[DONE]` comes after the token counts, which exist only once generation is over, such a choice is
    complete too.
    """

    __slots__ = ("_choices", "_early", "_ended", "_groq", "_late", "_open", "_seen", "_started", "_usage")

    def __init__(self) -> None:
        self._choices: dict[int, ChoiceBlocks] = {}
        self._early: JSONObject = {}
        self._late: JSONObject = {}
        self._groq: JSONObject = {}
        self._seen: set[str] = set(_KNOWN)
        self._started = False
        self._ended = False
        self._usage = False
        self._open = 0

    def feed(self, event: SSE) -> list[Event]:
        """Decode one wire event. Raises MalformedBody on a shape that the dialect does not have."""
        if self._ended:
            return []
        data = event.data
        if data == _DONE or data.strip() in {_DONE, ""}:
            return self._done() if data.strip() else []
        try:
            chunk = json.loads(data)
        except (ValueError, RecursionError) as error:
            if event.event == "error":
                return self._fail(ErrorInfo(None, data[:1000]))
            raise MalformedBody("data", "valid JSON") from error
        if type(chunk) is not dict:
            raise MalformedBody("data", "an object")
        if event.event == "error" or "error" in chunk or chunk.get("object") == "error":
            failed = chunk.get("error") not in _NOTHING or chunk.get("object") == "error"
            if failed or event.event == "error":
                return self._fail(read_error(chunk))
        choices = chunk.get("choices")
        if type(choices) is not list:
            if choices is not None:
                raise MalformedBody("choices", "an array")
            if not chunk.get("usage") and "x_groq" not in chunk:
                return [Other(NAME, event.event, chunk)] if self._started else []
            choices = []
        return self._read(chunk, choices)

    def _read(self, chunk: JSONObject, choices: list[JSON]) -> list[Event]:
        events: list[Event] = []
        if not self._started:
            self._start(chunk, choices, events)
        elif not chunk.keys() <= self._seen:
            self._note_late(chunk)
        for choice in choices:
            broken = choice_error(choice, chunk)
            if broken is not None:
                return [*events, *self._fail(read_error({"error": broken}))]
            self._choice(choice, events)
        usage = chunk.get("usage")
        if usage or "x_groq" in chunk:
            self._count(usage, chunk, events)
        return events

    @property
    def whole(self) -> bool:
        """Whether every choice that began is complete; the token counts and `[DONE]` may still come."""
        return bool(self._choices) and not (self._open or self._ended)

    def finish(self) -> list[Event]:
        """The bytes ended: ReplyEnd, if every choice that began is complete."""
        return self._end([]) if self.whole else []

    # --- the reply -----------------------------------------------------------------------------------------------

    def _start(self, chunk: JSONObject, choices: list[JSON], events: list[Event]) -> None:
        fields = {name: value for name, value in chunk.items() if name not in _KNOWN and value is not None}
        self._seen.update(chunk)
        self._early.update(fields)
        if not choices and not chunk.get("id"):
            # Azure judges the prompt before the answer has a name.
            return
        self._started = True
        groq = self._early.get("x_groq")
        if type(groq) is dict:
            self._groq = {name: value for name, value in groq.items() if name != "usage"}
            self._early["x_groq"] = self._groq
        created = chunk.get("created")
        events.append(
            ReplyStart(
                get_str(chunk, "id") or "",
                get_str(chunk, "model") or "",
                int(created) if type(created) is float and isfinite(created) else get_int(chunk, "created"),
                note(self._early),
            )
        )

    def _note_late(self, chunk: JSONObject) -> None:
        """Keep what only a later chunk says about the reply (moderation, timings)."""
        for name, value in chunk.items():
            if name not in self._seen and value is not None and name != "x_groq":
                self._late[name] = value

    def _count(self, usage: JSON, chunk: JSONObject, events: list[Event]) -> None:
        groq = chunk.get("x_groq")
        if type(groq) is dict:
            if groq.get("error") not in _NOTHING:
                events += self._fail(read_error({"error": groq["error"]}))
                return
            told_twice = groq.get("usage")
            if not usage and type(told_twice) is dict and not _TOKENS.isdisjoint(told_twice):
                usage = told_twice
            told = {name: value for name, value in groq.items() if name != "usage" and value is not None}
            if not told.keys() <= self._groq.keys():
                self._groq = {**self._groq, **told}
                self._late["x_groq"] = self._groq
        if usage:
            self._usage = True
            events.append(UsageUpdate(decode_usage(as_object(usage, "usage"))))

    def _fail(self, error: ErrorInfo) -> list[Event]:
        self._ended = True
        return [StreamError(error)]

    def _done(self) -> list[Event]:
        events: list[Event] = []
        if self._open and self._usage:
            for index, blocks in self._choices.items():
                if not blocks.finished:
                    self._complete(blocks, index, None, events)
        if self._open or not self._choices:
            # The terminator without an answer before it: nothing more can come, and the answer is not whole.
            self._ended = True
            return []
        return self._end(events)

    def _end(self, events: list[Event]) -> list[Event]:
        self._ended = True
        events.append(ReplyEnd(note(self._late)))
        return events

    # --- one choice ----------------------------------------------------------------------------------------------

    def _choice(self, choice: JSON, events: list[Event]) -> None:
        if type(choice) is not dict:
            raise MalformedBody("choices", "objects")
        index = choice.get("index")
        blocks = self._choices.get(index) if type(index) is int else None
        if blocks is None:
            blocks = self._begin(index)
        if blocks.finished:
            # Some servers repeat the reason with the token counts.
            return
        delta = choice.get("delta")
        if type(delta) is not dict:
            delta = _other_delta(choice, delta, blocks.index)
        if choice.get("logprobs") is not None:
            blocks.add_logprobs(choice["logprobs"])
        for name, value in delta.items():
            if value is None or value == "":
                continue
            if name == "content" and blocks.kind == "content" and type(value) is str and not blocks.logprobs:
                events.append(TextDelta(value, blocks.block, blocks.index))
            else:
                blocks.add(name, value, delta, events)
        if not choice.keys() <= _CHOICE:
            fresh = {key: item for key, item in choice.items() if key not in _CHOICE and item not in _NOTHING}
            blocks.fields.update(fresh)
        # Some servers send an empty reason until there is one.
        if choice.get("finish_reason") not in (None, ""):
            reason = as_str(choice["finish_reason"], f"choices[{blocks.index}].finish_reason")
            self._complete(blocks, blocks.index, reason, events)
            if choice.get("usage"):
                # Moonshot's place for the token counts.
                self._count(choice["usage"], {}, events)

    def _begin(self, index: JSON) -> ChoiceBlocks:
        if index is None:
            index = 0
        if type(index) is not int:
            raise MalformedBody("choices[0].index", "a whole number")
        if index not in self._choices:
            self._choices[index] = ChoiceBlocks(index)
            self._open += 1
        return self._choices[index]

    def _complete(self, blocks: ChoiceBlocks, index: int, said: str | None, events: list[Event]) -> None:
        blocks.close(events)
        self._open -= 1
        calls = blocks.called
        reason = read_finish(said, calls=calls) if said is not None else "tool_calls" if calls else "unknown"
        words = [] if said in {None, reason} else [f"said={said}"]
        events.append(Finish(reason, index, wire=note(blocks.fields, words)))


def _other_delta(choice: JSONObject, delta: JSON, index: int) -> JSONObject:
    """The delta of a choice that has none: a whole message, a text completion, or nothing (Azure)."""
    if delta is not None:
        raise MalformedBody(f"choices[{index}].delta", "an object")
    message = choice.get("message")
    if type(message) is dict:
        return message
    return {"content": cast("str", choice["text"])} if type(choice.get("text")) is str else {}
