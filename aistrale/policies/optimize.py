"""Optimize: on a share of the calls a shorter prompt or a cheaper model, as far as that has been found to do no harm.

It stands inside redaction and outside the cache, see the list of places. What it cannot change without doubt it leaves
alone: embeddings, what models said, thoughts, tools, prefixes that the application has marked for the provider's cache,
requests that their SDK has signed. Which calls are changed, and for how long, is decided by
`aistrale.cost.optimization.optimizer`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aistrale.cost.optimization.compact import compact
from aistrale.cost.optimization.optimizer import COMPACT
from aistrale.cost.prices import price_usage
from aistrale.errors import AistraleError, ConfigurationError, PolicyError
from aistrale.policies.substitute import can_serve, usual_price
from aistrale.policies.texts import is_large, rewrite
from aistrale.types import EmbedRequest, TextPart, ToolResultPart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from decimal import Decimal

    from aistrale.core.call import Call, Target
    from aistrale.core.pipeline import Next
    from aistrale.core.reply import Reply
    from aistrale.cost.optimization.optimizer import Optimizer
    from aistrale.policies.texts import Kind
    from aistrale.routing.strategies import RouteRule
    from aistrale.types import Cost, Part, Request

_log = logging.getLogger("aistrale.optimize")
# What saves less is not worth another prompt.
_LEAST_TOKENS: Final = 16
# A target that costs more than this share of the first one's price is no cheaper one.
_CHEAPER: Final = 0.9
_COMPACTED: Final = frozenset({"system", "developer", "user", "tool"})
# Where no text of a conversation stands, in the hub's words and in the wire formats'.
_NOT_PROSE: Final = ("tools", "functions", "output", "response_format", "text.format", "generationConfig", "config")
_UNCHANGED: Final = 4096


@dataclass(slots=True)
class _Plan:
    """What could be changed in a call.

    Args:
        texts: Shorter texts, by what they stand for.
        saved: About how many tokens they save.
        targets: By change, the targets in another order or with another one.
    """

    texts: dict[str, str] = field(default_factory=dict)
    saved: int = 0
    targets: dict[str, list[Target]] = field(default_factory=dict)


class Optimize:
    """Changes the calls that the optimiser chooses, and tells it how they ended.

    Args:
        optimizer: Decides and learns.
        target_of: The target of a `provider/model` name; may raise ConfigurationError.
        routes: The rule of each route, by its name. Targets are exchanged only where a route takes them in order.
        price: Says what tokens cost; gets provider, model and usage.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        target_of: Callable[[str], Target],
        routes: Mapping[str, RouteRule] | None = None,
        *,
        price: Callable[..., Cost] = price_usage,
    ) -> None:
        self._optimizer = optimizer
        self._target_of = target_of
        self._ordered = {name for name, rule in (routes or {}).items() if rule.strategy == "priority"}
        self._price_usage = price
        self._warned: set[str] = set()
        self._prices: dict[str, Decimal | None] = {}
        # Texts that compaction leaves as they are, by hash and length: system texts come again with every call.
        self._unchanged: set[tuple[int, int]] = set()

    def describe(self) -> str:
        """One line."""
        own = self._optimizer.settings
        parts = ["compacts prompts"] if own.compact else []
        parts += [f"{old} to {new}" for old, new in own.models.items()]
        if own.cheaper:
            where = "all routes" if isinstance(own.cheaper, bool) else ", ".join(own.cheaper)
            parts.append(f"cheaper targets first ({where})")
        return f"{'; '.join(parts) or 'nothing'}: {own.share:.0%} to {own.max_share:.0%} of the calls"

    async def __call__(self, call: Call, call_next: Next, /) -> Reply:
        """Change the call, ask, and tell how it ended."""
        if isinstance(call.request, EmbedRequest):
            # Vectors of a changed text, or of another model, are other vectors.
            return await call_next(call)
        changes = await self._change(call, call.request)
        if not changes:
            return await call_next(call)
        settled = False

        def settle(succeeded: bool | None) -> None:  # noqa: FBT001 - a callback's own
            nonlocal settled
            if not settled:
                settled = True
                self._optimizer.settle(call.id, changes, succeeded=None if call.degraded is not None else succeeded)

        try:
            reply = await call_next(call)
        except Exception as error:
            settle(_verdict(error))
            raise
        reply.on_close(lambda closed, _: settle(_SUCCEEDED.get(closed.outcome or "")))
        return reply

    async def _change(self, call: Call, request: Request) -> dict[str, bool]:
        """What the call could have had, and whether it has it now."""
        try:
            plan = _Plan()
            if self._optimizer.settings.compact:
                if not call.runtime.blocking and is_large(request):
                    await call.runtime.invoke(self._shorten, request, plan)
                else:
                    self._shorten(request, plan)
            self._exchange(call, request, plan)
            return self._apply(call, plan)
        except Exception as error:  # noqa: BLE001 - whatever it is, the call can be made as it is
            _log.warning("call %s is not optimised: %s", call.id, type(error).__name__)
            return {}

    def _apply(self, call: Call, plan: _Plan) -> dict[str, bool]:
        optimizer, session = self._optimizer, call.context.session
        changes: dict[str, bool] = {}
        if plan.texts:
            chosen = optimizer.chosen(COMPACT, session=session, call_id=call.id)
            if not chosen:
                changes[COMPACT] = False
            elif _rewrite(call, plan.texts):
                changes[COMPACT] = True
                optimizer.applied(COMPACT, call.id, plan.saved)
        for change, targets in plan.targets.items():
            changes[change] = optimizer.chosen(change, session=session, call_id=call.id)
            if changes[change]:
                call.targets, call.target = targets, targets[0]
                optimizer.applied(change, call.id)
                break
        call.optimized = tuple(change for change, done in changes.items() if done)
        return changes

    # --- shorter prompts ----------------------------------------------------------------------------------------------

    def _shorten(self, request: Request, plan: _Plan) -> None:
        free, kept = _texts(request)
        for text in free - kept:
            key = hash(text), len(text)
            if key in self._unchanged:
                continue
            found = compact(text)
            if found.saved_tokens:
                plan.texts[text] = found.text
                plan.saved += found.saved_tokens
            elif len(self._unchanged) < _UNCHANGED:
                self._unchanged.add(key)
        if plan.saved < _LEAST_TOKENS:
            plan.texts.clear()

    # --- cheaper models -----------------------------------------------------------------------------------------------

    def _exchange(self, call: Call, request: Request, plan: _Plan) -> None:
        own, first = self._optimizer.settings, call.targets[0]
        if call.route is not None and call.route not in self._ordered:
            return
        name = own.models.get(first.name)
        if name is not None and (call.inbound is None or not first.account):
            other = self._target(name)
            if other is not None and can_serve(other.facts, request, unknown=True):
                rest = [target for target in call.targets if target.name != other.name]
                # The one that was asked for stays the next to be tried.
                plan.targets[f"model:{first.name}>{other.name}"] = [other, *rest]
        wanted = own.cheaper if isinstance(own.cheaper, bool) else call.route in own.cheaper
        if call.route is not None and wanted and len(call.targets) > 1:
            better = self._cheapest(call, request)
            if better is not None:
                rest = [target for target in call.targets if target is not better]
                plan.targets[f"cheaper:{call.route}"] = [better, *rest]

    def _target(self, name: str) -> Target | None:
        try:
            return self._target_of(name)
        except ConfigurationError as error:
            if name not in self._warned:
                self._warned.add(name)
                _log.warning("optimize.models: %s cannot be used: %s", name, error)
            return None

    def _cheapest(self, call: Call, request: Request) -> Target | None:
        """The cheapest of the route's other targets, if it is cheaper than the first."""
        usual = self._price(call.targets[0])
        if usual is None:
            return None
        priced = [
            (price, index)
            for index, target in enumerate(call.targets)
            if index and can_serve(target.facts, request, unknown=True) and (price := self._price(target)) is not None
        ]
        if not priced or float(min(priced)[0]) > _CHEAPER * float(usual):
            return None
        return call.targets[min(priced)[1]]

    def _price(self, target: Target) -> Decimal | None:
        if target.name not in self._prices:
            self._prices[target.name] = usual_price(self._price_usage, target.provider.name, target.model)
        return self._prices[target.name]


_SUCCEEDED: Final = {"success": True, "error": False, "interrupted": False}


def _verdict(error: Exception) -> bool | None:
    """Whether an error says something about what was sent; a refusal of our own, or somebody's bug, does not."""
    return None if isinstance(error, PolicyError) or not isinstance(error, AistraleError) else False


def _texts(request: Request) -> tuple[set[str], set[str]]:
    """Texts that may be shortened, and texts that must stay: of models, and before the last mark for a cache."""
    free: set[str] = set()
    kept: set[str] = set()
    for message in request.messages:
        for part in message.parts:
            mine = free if message.role in _COMPACTED else kept
            mine.update(_said(part))
            if _is_marked(part):
                kept |= free
    return free, kept


def _said(part: Part) -> Iterator[str]:
    if isinstance(part, TextPart):
        yield part.text
    elif isinstance(part, ToolResultPart):
        for inner in part.content:
            yield from _said(inner)
    elif (text := getattr(part, "text", None)) is not None:
        yield text


def _is_marked(part: Part) -> bool:
    if getattr(part, "cache", None) is not None:
        return True
    return isinstance(part, ToolResultPart) and any(map(_is_marked, part.content))


def _rewrite(call: Call, texts: Mapping[str, str]) -> bool:
    """Put the shorter texts in; whether that changed anything."""
    changed = False

    def change(path: str, kind: Kind, text: str, /) -> str:
        nonlocal changed
        if kind != "text" or path.startswith(_NOT_PROSE):
            return text
        shorter = texts.get(text)
        if shorter is None:
            return text
        changed = True
        return shorter

    if call.inbound is None:
        call.request = rewrite(call.request, change)
        return changed
    try:
        after = call.inbound.rewrite(change)
    except AistraleError:
        # It is signed as it is.
        return False
    if changed:
        # Else it would be the request as it came, before it was redacted.
        call.request = after
    return changed
