"""What an attempt is to set aside in each of its budgets, and what it turns out to have spent there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aistrale.cost.budgets.bound import MILLION, Rates
from aistrale.cost.budgets.store import EXACT, ZERO
from aistrale.types import EmbedRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from aistrale.core.call import Attempt
    from aistrale.cost.budgets.book import Counter
    from aistrale.cost.budgets.bound import Load
    from aistrale.cost.budgets.store import Short
    from aistrale.types import Request, Usage

STEP: Final = 1024
"""Tokens of output that a stream sets aside at a time."""

# Tokens of thought before the first word, where the request asks for it and does not say how many.
_THOUGHT: Final = 4096
# A stream that would be cut sooner is not begun.
_LEAST: Final = 16
# Where a price is assumed and nothing limits the answer.
_ASSUMED_OUTPUT: Final = 32_768


class Quote:
    """The prices of one attempt for each of its counters.

    Args:
        slots: The counters.
        request: What is asked.
        load: What it may use.
        rates: What that costs, or why it is not known.
    """

    __slots__ = ("_bounds", "blocked", "first", "input", "most", "output", "slots", "streams")

    def __init__(self, slots: Sequence[Counter], request: Request | EmbedRequest, load: Load, rates: Rates) -> None:
        self.slots = slots
        self.streams = not isinstance(request, EmbedRequest) and request.stream
        self.most: int | None = load.output
        """Tokens of output that are certain to be enough; None where nothing limits it."""
        self.first = _first(request, load) if self.streams else None
        """Tokens of output to begin with; None where all is set aside at once."""
        self.blocked: tuple[Counter, str] | None = None
        """A counter that lets nothing pass whose price is not known, and why it is not."""
        self.input: list[Decimal] = []
        self.output: list[Decimal] = []
        self._bounds: list[int] = []
        for slot in slots:
            self._add(slot, load, rates)

    def _add(self, slot: Counter, load: Load, rates: Rates) -> None:
        own = slot.rule.settings
        bound = load.output
        if own.output is not None and not load.limited:
            bound = own.output * load.alternatives
        reason = rates.reason
        if reason is None and bound is None and self.first is None:
            reason = "neither the request nor the catalog says how long the answer may be"
        if reason is None:
            self._put(rates, bound or 0)
        elif own.unknown == "assume" and own.assume is not None:
            known = rates if rates.reason is None else _assumed(own.assume, load.input)
            self._put(known, _ASSUMED_OUTPUT * load.alternatives if bound is None else bound)
        else:
            if own.hard and own.unknown == "block" and self.blocked is None:
                self.blocked = (slot, reason)
            self._put(Rates(), 0)

    def _put(self, rates: Rates, bound: int) -> None:
        self.input.append(rates.input)
        self.output.append(rates.output)
        self._bounds.append(bound)

    def amounts(self, tokens: int | None) -> list[Decimal]:
        """US dollars by counter.

        Args:
            tokens: Of output; None for as many as each counter counts on.
        """
        if tokens is None:
            tokened = zip(self.input, self.output, self._bounds, strict=True)
            return [EXACT.add(into, EXACT.multiply(out, bound)) for into, out, bound in tokened]
        return [EXACT.add(into, EXACT.multiply(out, tokens)) for into, out in zip(self.input, self.output, strict=True)]

    def more(self, tokens: int) -> list[Decimal]:
        """US dollars by counter for further tokens of output."""
        return [EXACT.multiply(out, tokens) for out in self.output]

    def fitting(self, short: Short, room: Decimal) -> int:
        """How many tokens of output an amount pays for, the prompt paid first."""
        rest, unit = EXACT.subtract(room, self.input[short.index]), self.output[short.index]
        if rest <= 0:
            return 0
        return int(rest / unit) if unit else MILLION

    def fewer(self, short: Short) -> int | None:
        """How many tokens a stream can begin with where a step is too much; None where it is not worth it.

        An answer that the caller has limited to less than a step is whole or not at all: its price is known, and who is
        cut has paid for nothing.
        """
        if self.first is None or self.first == self.most:
            return None
        tokens = self.fitting(short, short.left)
        return tokens if _LEAST <= tokens < self.first else None

    def actual(self, attempt: Attempt | None, held: Sequence[Decimal], *, complete: bool) -> list[Decimal | None]:
        """US dollars by counter that an attempt has cost; None for what was set aside.

        Args:
            attempt: None where none was begun.
            held: What was set aside.
            complete: Whether the whole answer came, so that its usage is all of it.
        """
        if attempt is None or not attempt.sent:
            return [ZERO] * len(self.slots)
        status = attempt.status
        if status is not None and not 200 <= status < 300:
            # What a provider refuses it does not bill.
            return [ZERO] * len(self.slots)
        usd = None if attempt.cost is None else attempt.cost.usd
        if usd is None:
            return [self._assumed(slot, attempt.usage if complete else None) for slot in self.slots]
        if complete:
            return [usd] * len(self.slots)
        # What a broken exchange is billed nobody tells; what was counted of it is the least.
        return [None if slot.hard and usd < amount else usd for slot, amount in zip(self.slots, held, strict=True)]

    @staticmethod
    def _assumed(slot: Counter, usage: Usage | None) -> Decimal | None:
        assume = slot.rule.settings.assume
        if assume is None or usage is None:
            return None
        return _assumed(assume, usage.input_total or 0).most(usage.output_total or 0)


def _assumed(assume: Mapping[str, Decimal], tokens: int) -> Rates:
    """The rates that settings assume, for a prompt."""
    into = EXACT.scaleb(EXACT.multiply(assume["input"], tokens), -6)
    return Rates(into, EXACT.scaleb(assume["output"], -6))


def _first(request: Request | EmbedRequest, load: Load) -> int:
    """Tokens of output that a stream begins with."""
    step = STEP
    reasoning = None if isinstance(request, EmbedRequest) else request.reasoning
    if reasoning is not None and reasoning.effort != "none":
        step += _THOUGHT if reasoning.budget is None else reasoning.budget
    step *= load.alternatives
    return step if load.output is None else min(step, load.output)
