"""Resume: another target goes on with a stream that broke after content, announced by a `Switched` event.

Only plain text can be put together from the words of two models; whatever else was asked for or has come is
interrupted, as it would be without this policy. The reply that the caller reads stays the same one; what changes is the
reply behind it. Each part is an attempt of its own, with a row of its own.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, cast

from aistrale.core.faults import interrupted
from aistrale.core.reply import Reply
from aistrale.cost.tokens.by_length import estimate_tokens
from aistrale.errors import (
    AistraleError,
    ContextLengthError,
    DeadlineExceeded,
    InvalidRequestError,
    StreamInterrupted,
)
from aistrale.policies.meter import add_usage
from aistrale.reliability.continuation import continuation, may_continue, takes_prefill
from aistrale.reliability.joint import Delivered, Joint
from aistrale.reliability.verdict import judge
from aistrale.types import EmbedRequest, Switched

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from aistrale.core.call import Attempt, Call, StreamRules, Target
    from aistrale.core.pipeline import Next
    from aistrale.reliability.budget import RetryBudget
    from aistrale.types import Completion, Event, Request, Usage

# How a target says that it takes no beginning of its own answer.
_REFUSED = frozenset({400, 422})


class Resume:
    """Lets broken streams go on elsewhere, in the mode "resume".

    Args:
        budgets: The retry budget of a target's provider. Going on at the same target is another attempt there and paid
            from it; another target is asked for the first time, which needs none. None for no budget.
    """

    def __init__(self, budgets: Callable[[Target], RetryBudget] | None = None) -> None:
        self._budgets = budgets

    def describe(self) -> str:
        """One line."""
        return "another target goes on with a broken stream, in mode resume"

    # No coroutine of its own for the calls that it does not concern: they pay for the comparison only.
    def __call__(self, call: Call, call_next: Next, /) -> Coroutine[object, object, Reply]:
        """Give a reply that outlives its first source."""
        rules = call.streaming
        if rules is None or rules.mode != "resume":
            return call_next(call)
        return self._guarded(call, call_next, rules)

    async def _guarded(self, call: Call, call_next: Next, rules: StreamRules) -> Reply:
        reply = await call_next(call)
        if not call.stream or reply.whole:
            return reply
        if isinstance(call.request, EmbedRequest) or not may_continue(call.request):
            return reply
        source = Continued(call, call_next, reply, rules, self._budgets)
        outer = Reply(source.ready(), source)
        outer.on_close(source.sum_up)
        return outer


class Continued:
    """The events of one answer out of several replies, each of which goes on where the one before broke.

    Args:
        call: The call as a whole.
        call_next: Makes another reply.
        reply: The first one.
        rules: How often it may go on.
        budgets: See Resume.
    """

    __slots__ = (
        "_budgets",
        "_call",
        "_call_next",
        "_delivered",
        "_joint",
        "_parts",
        "_reply",
        "_resumes",
    )

    def __init__(
        self,
        call: Call,
        call_next: Next,
        reply: Reply,
        rules: StreamRules,
        budgets: Callable[[Target], RetryBudget] | None,
    ) -> None:
        self._call = call
        self._call_next = call_next
        self._reply = reply
        self._budgets = budgets
        self._delivered = Delivered()
        self._joint: Joint | None = None
        self._resumes = rules.max_resumes
        self._parts: list[Attempt] = [cast("Attempt", call.attempt)]

    def ready(self) -> list[Event]:
        """What can be delivered without waiting."""
        events: list[Event] = []
        while (event := self._reply.take()) is not None:
            events += (event,) if self._joint is None else self._joint.feed(event)
        for event in events:
            self._delivered.feed(event)
        return events

    async def pull(self) -> list[Event] | None:
        """The next events, from whoever answers now; None at the end."""
        while True:
            try:
                event = await self._reply.next()
            except StreamInterrupted as error:
                await self._go_on(error)
                continue
            if event is None:
                return None
            events = [event] if self._joint is None else self._joint.feed(event)
            for each in events:
                self._delivered.feed(each)
            events += self.ready()
            if events:
                return events

    async def _go_on(self, error: StreamInterrupted) -> None:
        """Find a target that goes on.

        Raises:
            StreamInterrupted: The given error: it must not be, or nobody can.
            DeadlineExceeded: The time was up before anybody did.
        """
        if error not in self._call.errors:
            self._call.errors.append(error)
        if self._resumes <= 0 or not self._delivered.plain or judge(error).failover not in {"yes", "first"}:
            raise error
        self._resumes -= 1
        targets = self._candidates(error)
        if not targets:
            raise error
        try:
            await self._start(targets, error)
        except DeadlineExceeded as late:
            raise late from error
        except AistraleError as failed:
            error.add_note(f"Nobody went on with it: {type(failed).__name__}: {failed}")
            raise error from error.__cause__
        # Nobody will see where it came from, and the frames there hold whoever reads the stream (Python 3.13).
        past: BaseException | None = error
        while past is not None:
            past.__traceback__ = None
            past = past.__cause__ or past.__context__

    def _candidates(self, error: StreamInterrupted) -> list[Target]:
        """Who may go on, the most promising first: the route's others, or the same target if there is none."""
        call = self._call
        others = [target for target in call.targets if target.name != call.target.name]
        if others:
            failed = {attempt.target.name for attempt in call.attempts if attempt.outcome != "success"}
            return sorted(others, key=lambda target: target.name in failed)
        if judge(error).breaker == "open":
            return []
        paid = self._budgets is None or self._budgets(call.target).spend()
        return [call.target] if paid else []

    async def _start(self, targets: list[Target], error: StreamInterrupted) -> None:
        """Go on at the first of the targets that can."""
        request, text = cast("Request", self._call.request), self._delivered.text
        # One question goes to all of them, and only that of the user may be put to everybody.
        if all(takes_prefill(request, target.profile, text) for target in targets):
            leg = self._leg(targets, prefill=True)
            try:
                return await self._adopt(leg, error)
            except InvalidRequestError as refused:
                if refused.status not in _REFUSED or isinstance(refused, ContextLengthError):
                    raise
                targets = targets[targets.index(leg.target) :]
        return await self._adopt(self._leg(targets, prefill=False), error)

    def _leg(self, targets: list[Target], *, prefill: bool) -> Call:
        call = self._call
        leg = call.leg(targets[0])
        request = cast("Request", call.request)
        leg.request = continuation(request, self._delivered.text, estimate_tokens, prefill=prefill)
        leg.targets, leg.others, leg.busy = targets, targets[1:], False
        leg.share_until, leg.forced = None, False
        # Bodies are remembered by target, and this is another question; nobody sent it in.
        leg.prepared, leg.inbound = {}, None
        return leg

    async def _adopt(self, leg: Call, error: StreamInterrupted) -> None:
        """Ask, and let the answer be the rest of ours."""
        call, delivered = self._call, self._delivered
        self._reply = await self._call_next(leg)
        used = self._used()
        call.adopt(leg)
        call.prepared.update(leg.prepared)
        attempt = cast("Attempt", leg.attempt)
        self._parts.append(attempt)
        at, reason = len(delivered.text), type(error.__cause__ or error).__name__

        def switched(overlap: int) -> Switched:
            return Switched(attempt.target.provider.name, attempt.target.name, at, reason, overlap)

        self._joint = Joint(delivered, switched, used, add_usage)

    def _used(self) -> Usage | None:
        """The tokens of all parts."""
        return reduce(add_usage, (part.usage for part in self._parts), None)

    def sum_up(self, reply: Reply, error: BaseException | None) -> None:
        """Write what all parts came to onto the answer, or onto the error that ended it."""
        if len(self._parts) == 1:
            return
        answer = reply.accumulated.completion
        answer.usage = self._used()
        if self._joint is not None and self._joint.begun and self._joint.start is not None:
            # An answer names the model that finished it, as its provider and target do.
            answer.id, answer.model = self._joint.start.id, self._joint.start.model
        if isinstance(error, (StreamInterrupted, DeadlineExceeded)):
            error.usage = answer.usage

    async def close(self) -> None:
        """Give up the rest."""
        await self._reply.close()

    def abandon(self) -> None:
        """Give up the rest without waiting."""
        self._reply.abandon()

    def broken(self, error: AistraleError, partial: Completion) -> AistraleError:
        """The error with all that was delivered, by whomever."""
        if isinstance(error, StreamInterrupted):
            error.partial_text = partial.text
            return error
        return interrupted(error, self._parts[-1], partial)
