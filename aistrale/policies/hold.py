"""Hold: a stream is given on only when enough of it is there, and an answer only when nobody objects to it.

What breaks before that is an ordinary failure of the attempt: nobody has seen anything, so retry and failover take
over.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from aistrale.errors import ConfigurationError, ResponseError
from aistrale.types import (
    ArgumentsDelta,
    BlockStart,
    Completion,
    ReasoningDelta,
    ReasoningPart,
    RefusalPart,
    TextDelta,
    TextPart,
    ToolCallPart,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from aistrale.core.accumulate import Accumulator
    from aistrale.core.call import Attempt, Call, StreamRules
    from aistrale.core.pipeline import Next
    from aistrale.core.reply import Reply
    from aistrale.errors import AistraleError
    from aistrale.types import Event

Predicate: TypeAlias = Callable[[Completion], bool]
"""Gets a finished answer; True when it is no good and another target, or the same one again, should be asked."""


_HELD: Final = frozenset({"buffered", "hold_back"})


class Hold:
    """Keeps streams back in the modes "buffered" and "hold_back", and applies the predicates of `fail_if`.

    Predicates are asked about finished answers that nobody has seen: those that are not streamed, and streams in mode
    "buffered". They see the answer as the provider gave it, before anything outside the attempts changes it.

    Args:
        predicates: Those for a call, in the order in which they are asked.
    """

    def __init__(self, predicates: Callable[[Call], Sequence[Predicate]] | None = None) -> None:
        self._predicates = predicates

    def describe(self) -> str:
        """One line."""
        return "keeps streams back where asked to, refuses answers that fail_if names"

    # No coroutine of its own for the calls that it does not concern: they pay for the comparison only.
    def __call__(self, call: Call, call_next: Next, /) -> Coroutine[object, object, Reply]:
        """Give the reply on when it may be seen.

        Raises:
            ResponseError: A predicate rejects the answer (code "rejected"), or more would have to be kept back than
                `max_buffer` allows (code "too_large").
            ConfigurationError: A predicate is broken.
        """
        if self._predicates is None and (call.streaming is None or call.streaming.mode not in _HELD):
            return call_next(call)
        return self._held(call, call_next)

    async def _held(self, call: Call, call_next: Next) -> Reply:
        reply = await call_next(call)
        rules = call.streaming
        if rules is not None and call.stream and rules.mode in _HELD:
            await _gather(call, reply, rules)
        if self._predicates is not None and reply.whole:
            predicates = self._predicates(call)
            if predicates and reply.accumulated.embeddings is None:
                objection = _objection(cast("Attempt", call.attempt), reply.accumulated.result(), predicates)
                if objection is not None:
                    await reply.fail(objection)
                    raise objection
        return reply


async def _gather(call: Call, reply: Reply, rules: StreamRules) -> None:
    """Wait until as much has come as the rules want."""
    weight = Weight()
    reply.tap(weight)
    wanted = rules.hold_back if rules.mode == "hold_back" else None

    def enough(_: Accumulator) -> bool:
        return weight.size > rules.max_buffer or (wanted is not None and weight.text >= wanted)

    await reply.prefetch(enough)
    if weight.size <= rules.max_buffer:
        return
    attempt = cast("Attempt", call.attempt)
    error = ResponseError(
        f"more than {rules.max_buffer} bytes would have to be kept back (max_buffer)",
        status=attempt.status,
        provider=attempt.target.provider.name,
        target=attempt.target.name,
        attempt=attempt.number,
        request_id=attempt.request_id,
        code="too_large",
        hint="Raise streams={'max_buffer': ...}, limit max_tokens, or take another mode.",
    )
    await reply.fail(error)
    raise error


def _objection(attempt: Attempt, answer: Completion, predicates: Sequence[Predicate]) -> AistraleError | None:
    """The error for an answer that a predicate rejects or fails at; None when nobody objects.

    It is made here and raised elsewhere: a traceback's local variables would show the answer.
    """
    answer.provider = attempt.target.provider.name
    answer.target = attempt.target.name
    answer.request_id = attempt.request_id
    for predicate in predicates:
        name = getattr(predicate, "__name__", type(predicate).__name__)
        try:
            rejects = _asked(predicate, answer)
        except Exception as error:  # noqa: BLE001 - the caller's own code; it becomes the cause
            # Neither delivering what was perhaps to be rejected nor asking elsewhere is what the caller wanted.
            broken = ConfigurationError(
                f"fail_if: {name} raised {type(error).__name__}, so the answer of {answer.target} was not judged",
                field="fail_if",
                provider=answer.provider,
                target=answer.target,
                hint="Correct the predicate; it gets a Completion and gives True for an answer that is no good.",
            )
            broken.__cause__ = error
            return broken
        if rejects:
            return ResponseError(
                f"the answer was rejected by {name} (fail_if)",
                status=attempt.status,
                provider=answer.provider,
                target=answer.target,
                attempt=attempt.number,
                request_id=attempt.request_id,
                code="rejected",
                hint="Add a target to the route, or change the prompt or the predicate.",
            )
    return None


def _asked(predicate: Predicate, answer: Completion) -> bool:
    verdict: object = predicate(answer)
    if inspect.isawaitable(verdict):
        # It is true whatever it would have said, and would reject every answer.
        if inspect.iscoroutine(verdict):
            verdict.close()
        raise TypeError("a predicate must not be async")
    return bool(verdict)


class Weight:
    """A tap that changes nothing and counts what goes through it.

    `text`: characters of visible text; `size`: bytes of all content, in UTF-8.
    """

    __slots__ = ("size", "text")

    def __init__(self) -> None:
        self.size = 0
        self.text = 0

    def feed(self, event: Event) -> Iterable[Event]:
        """Count one event."""
        if isinstance(event, TextDelta):
            self._add(event.text, len(event.text))
        elif isinstance(event, ReasoningDelta):
            self._add(event.reasoning)
        elif isinstance(event, ArgumentsDelta):
            self._add(event.arguments)
        elif isinstance(event, BlockStart):
            part = event.part
            if isinstance(part, (TextPart, RefusalPart)):
                self._add(part.text, len(part.text))
            elif isinstance(part, ReasoningPart):
                self._add(part.text)
            elif isinstance(part, ToolCallPart):
                self._add(part.arguments)
        return (event,)

    def _add(self, content: str, visible: int = 0) -> None:
        self.text += visible
        self.size += len(content.encode("utf-8", "surrogatepass"))

    def finish(self) -> Iterable[Event]:
        """Nothing was held back."""
        return ()
