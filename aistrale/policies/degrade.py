"""Degrade: a lesser answer instead of an error, where one was asked for.

It stands inside the cache, so that calls which share an exchange share its failure too, and outside the route: every
target, attempt and wait that the settings allow has been tried before. Only failures that another answer mends are
mended. A bad request, a bad key, a refusal of a policy or of the provider's safety system stay errors: they are the
caller's to see, and would only be hidden.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from aistrale.core.replay import replay
from aistrale.cost.prices import price_usage
from aistrale.errors import (
    AistraleError,
    AllTargetsFailed,
    CircuitOpen,
    ConfigurationError,
    DeadlineExceeded,
    InvalidRequestError,
    PolicyError,
    QueueFull,
    QueueTimeout,
)
from aistrale.policies.cache import fits_output, serve
from aistrale.policies.substitute import can_serve, usual_price
from aistrale.providers.catalog import catalog
from aistrale.reliability.verdict import judge
from aistrale.types import Choice, Completion, Message, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aistrale.core.call import Call, Target
    from aistrale.core.pipeline import Next
    from aistrale.core.reply import Reply
    from aistrale.policies.cache import AnswerCache
    from aistrale.types import Cost

Step: TypeAlias = Literal["stale_cache", "smaller_model", "canned"]
Canned: TypeAlias = "str | Callable[[Request], str | None]"

STEPS: Final[tuple[Step, ...]] = ("stale_cache", "smaller_model", "canned")

_log = logging.getLogger("aistrale.degrade")
# Least time, in seconds, with which asking another model is worth it.
_MIN_TIME: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class DegradeSettings:
    """Which lesser answers may stand in for an error, in the order in which they are tried.

    Args:
        steps: Without repetitions, from "stale_cache" (a remembered answer past its time; needs `cache.stale`),
            "smaller_model" (a cheaper model, if there is time left) and "canned" (a fixed text). A step that has
            nothing to give is passed over. All three, in this order.
        model: Names (`provider/model`) of what the step "smaller_model" asks; None takes the next cheaper current model
            of the same provider that can do what the request needs, as far as the catalog knows one.
        canned: The text, or a function that gets the (redacted) request and gives the text, or None to give none. It
            should be quick: the call's time may be up. Never used where it is not what was asked for: for embeddings,
            a forced tool call, or structured output that it does not fit.
    """

    steps: tuple[Step, ...] = STEPS
    model: str | tuple[str, ...] | None = None
    canned: Canned | None = None


class Degrade:
    """Serves the first lesser answer of the ladder when a call has failed; each is flagged in `completion.degraded`.

    A stream is mended only before its first content: what has been delivered cannot be taken back.

    Args:
        settings: The ladder.
        answers: The memory of the cache; None where there is none.
        target_of: The target of a `provider/model` name; may raise ConfigurationError.
        price: Says what tokens cost; gets provider, model and usage.
    """

    def __init__(
        self,
        settings: DegradeSettings,
        answers: AnswerCache | None,
        target_of: Callable[[str], Target],
        *,
        price: Callable[..., Cost] = price_usage,
    ) -> None:
        self._settings = settings
        self._price = price
        self._answers = answers
        self._target_of = target_of
        self._warned: set[str] = set()
        self._rungs = {"stale_cache": self._stale, "smaller_model": self._smaller, "canned": self._canned}

    def describe(self) -> str:
        """One line."""
        return f"on failure: {', '.join(self._settings.steps) or 'nothing'}"

    async def __call__(self, call: Call, call_next: Next, /) -> Reply:
        """Run the call; serve a lesser answer when it fails in a way that one mends.

        Raises:
            AistraleError: What the call failed with, where no step had an answer.
        """
        targets = list(call.targets)
        try:
            return await call_next(call)
        except AistraleError as error:
            if not is_mendable(error):
                raise
            failure = error
        # As they were asked for, before the route chose among them: an answer is remembered under these.
        call.targets, call.target = targets, targets[0]
        for step in self._settings.steps:
            reply = await self._rungs[step](call, call_next)
            if reply is not None:
                return reply
        raise failure

    async def _stale(self, call: Call, _: Next) -> Reply | None:
        """A remembered answer, past its time or not."""
        key = None if self._answers is None else self._answers.key(call)
        if self._answers is None or key is None:
            return None
        found = await self._answers.find(call, key, stale=True)
        return None if found is None else serve(call, found)

    async def _smaller(self, call: Call, call_next: Next) -> Reply | None:
        """The answer of a cheaper model, through everything that stands inside: limits, breakers, the ledger."""
        remaining = call.remaining()
        if not isinstance(call.request, Request) or (remaining is not None and remaining < _MIN_TIME):
            return None
        targets = list(self._smaller_targets(call, call.request))
        if not targets:
            return None
        before = call.targets, call.target
        call.targets, call.target, call.others, call.busy = targets, targets[0], [], False
        call.share_until, call.forced = None, False
        try:
            reply = await call_next(call)
        except AistraleError:
            # The first failure is the one that the caller wants to know; this one stands in `call.errors`.
            call.targets, call.target = before
            return None
        call.degraded = "smaller_model"
        return reply

    async def _canned(self, call: Call, _: Next) -> Reply | None:
        """The fixed text."""
        request, canned = call.request, self._settings.canned
        if canned is None or not isinstance(request, Request):
            return None
        if request.tool_choice is not None and request.tool_choice.mode in {"required", "tool"}:
            return None
        text: object = canned
        if not isinstance(canned, str):
            try:
                text = await call.runtime.invoke(canned, request)
            except Exception as error:  # noqa: BLE001 - whatever a user's function raises, the failure is what counts
                self._warn("canned", f"the function for canned answers failed: {type(error).__name__}")
                return None
        if not isinstance(text, str) or not text or not fits_output(request, text):
            return None
        call.degraded, call.attempt = "canned", None
        answer = Completion(
            id=call.id, choices=[Choice(Message.assistant(text), "stop")], created=int(call.runtime.wall())
        )
        return replay(answer, stream=call.stream)

    # --- the smaller model ----------------------------------------------------------------------------------------

    def _smaller_targets(self, call: Call, request: Request) -> Iterator[Target]:
        """The targets to ask, those that have failed already left out."""
        failed = {target.name for target in call.targets}
        model = self._settings.model
        names = (model,) if isinstance(model, str) else model
        if names is None:
            names = tuple(
                dict.fromkeys(name for target in call.targets for name in _next_cheaper(target, request, self._price))
            )
        for name in names:
            try:
                target = self._target_of(name)
            except ConfigurationError as error:
                self._warn(name, f"degrade.model: {name} cannot be used: {error}")
                continue
            if target.name not in failed:
                failed.add(target.name)
                yield target

    def _warn(self, about: str, message: str) -> None:
        if about not in self._warned:
            self._warned.add(about)
            _log.warning(message)


def is_mendable(error: BaseException) -> bool:
    """Whether another answer may stand in for this failure."""
    if isinstance(error, AllTargetsFailed):
        return any(is_mendable(each) for each in error.exceptions)
    if isinstance(error, (DeadlineExceeded, CircuitOpen, QueueFull, QueueTimeout)):
        return True
    if isinstance(error, (PolicyError, InvalidRequestError)):
        return False
    return judge(error).failover in {"yes", "first"}


def _next_cheaper(target: Target, request: Request, price: Callable[..., Cost]) -> Iterator[str]:
    """The dearest of the current models that cost less than the target's and can do what the request needs."""
    facts = target.facts
    own = None if facts is None else usual_price(price, facts.provider, facts.id)
    if facts is None or own is None:
        return
    able = [
        (cost, each.id)
        for each in catalog().models(facts.provider, "chat")
        if each.current
        and not each.deprecated
        and can_serve(each, request, unknown=False)
        and (cost := usual_price(price, each.provider, each.id)) is not None
        and cost < own
    ]
    if able:
        yield f"{target.provider.name}/{max(able)[1]}"
