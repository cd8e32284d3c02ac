"""What an attempt is to set aside in each of its budgets, and what it turns out to have spent there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aistrale.cost.budgets.bound import MILLION, Rates
from aistrale.cost.budgets.store import EXACT, ZERO
from aistrale.dialects.limit import FIELDS
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
"""Tokens of output that a stream without any limit sets aside at a time, and that may be under way when one breaks."""

# Tokens of thought before the first word, where nobody says how many.
_THOUGHT: Final = 4096
# The shortest answer that is begun, of a budget that is no larger.
_LEAST: Final = 16
# Beside others a shortened answer gets so many steps, more than most answers have, or such a part of what is left.
_SHARE: Final = 4
_PART: Final = 16
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

    __slots__ = (
        "_ahead",
        "_bounds",
        "_certain",
        "_limited",
        "_thinking",
        "alternatives",
        "blocked",
        "elastic",
        "input",
        "limit",
        "output",
        "slots",
        "streams",
    )

    def __init__(self, slots: Sequence[Counter], request: Request | EmbedRequest, load: Load, rates: Rates) -> None:
        self.slots = slots
        self.streams = not isinstance(request, EmbedRequest) and request.stream
        self.alternatives = load.alternatives
        self.limit: int | None = None
        """Tokens of output, all alternatives together, to which the answer was shortened; None where it was not."""
        self._thinking = _thinking(request, load)
        self._limited = load.limited
        self._ahead = STEP * load.alternatives + (_THOUGHT if self._thinking is None else self._thinking)
        self.elastic = _elastic(request, load, streams=self.streams)
        """Whether the answer may be shortened."""
        self.blocked: tuple[Counter, str] | None = None
        """A counter that lets nothing pass whose price is not known, and why it is not."""
        self.input: list[Decimal] = []
        self.output: list[Decimal] = []
        self._bounds: list[int] = []
        for slot in slots:
            self._add(slot, load, rates)
        self._certain = load.output is not None and min(self._bounds, default=0) >= load.output

    def _add(self, slot: Counter, load: Load, rates: Rates) -> None:
        own = slot.rule.settings
        bound = load.output
        if own.output is not None and not load.limited:
            bound = own.output * load.alternatives
        reason = rates.reason
        if reason is None and bound is None:
            if self.streams:
                # It pays as it goes.
                bound = self._ahead
            else:
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

    def _tokens(self, index: int) -> int:
        bound = self._bounds[index]
        return bound if self.limit is None else min(bound, self.limit)

    @property
    def tokens(self) -> int:
        """Tokens of output that are set aside in every counter that limits; a million where none of them counts."""
        counted = [self._tokens(at) for at, slot in enumerate(self.slots) if slot.hard and self.output[at]]
        return min(counted, default=MILLION)

    def amounts(self) -> list[Decimal]:
        """US dollars to set aside, by counter."""
        return [
            EXACT.add(into, EXACT.multiply(out, self._tokens(index)))
            for index, (into, out) in enumerate(zip(self.input, self.output, strict=True))
        ]

    def more(self, tokens: int) -> list[Decimal]:
        """US dollars by counter for further tokens of output."""
        return [EXACT.multiply(out, tokens) for out in self.output]

    @property
    def certain(self) -> bool:
        """Whether the provider itself keeps to what is set aside, so that what is counted need not be exact."""
        return self._certain and self.limit is None

    def fitting(self, short: Short, room: Decimal) -> int:
        """How many tokens of output an amount pays for, the prompt paid first."""
        rest, unit = EXACT.subtract(room, self.input[short.index]), self.output[short.index]
        if rest <= 0:
            return 0
        return int(rest / unit) if unit else MILLION

    def shorten(self, short: Short) -> bool:
        """Make do with as long an answer as what is left pays for; whether that is worth sending.

        Who is alone gets all that is left. Beside others it is a share, so that they do not wait for each other's
        longest answers, of which nearly all stay far; who finds less than a step left of what others have spent leaves
        it. What the caller has limited is not shortened for a moment's want.

        Args:
            short: What there is.
        """
        at, several = short.index, self.alternatives
        if not self.elastic or not self.output[at] or (short.passing and self._limited):
            return False
        tokens = self.fitting(short, short.left)
        if short.passing or short.reserved:
            share = (_SHARE - 1) * STEP * several + self._ahead
            tokens = min(tokens, max(share, self.fitting(short, EXACT.divide(short.left, _PART))))
        least = (STEP if short.spent else _LEAST) * several + (self._thinking or 0)
        if not least <= tokens < self._tokens(at):
            return False
        self.limit = tokens // several * several
        return True

    def actual(
        self, attempt: Attempt | None, held: Sequence[Decimal], *, complete: bool, seen: int = 0
    ) -> list[Decimal | None]:
        """US dollars by counter that an attempt has cost; None for what was set aside.

        Args:
            attempt: None where none was begun.
            held: What was set aside.
            complete: Whether the whole answer came, so that its usage is all of it.
            seen: Tokens of output that were counted of a stream.
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
        usage = attempt.usage
        if complete and usage is not None and usage.source == "reported":
            return [usd] * len(self.slots)
        # An answer in one piece is written to its end whether anybody waits for it or not. A stream ends soon after its
        # reader has gone, with what is under way; one that has come to its end has only to be counted.
        tokens = None if not self.streams and not complete else seen + (0 if complete else self._ahead)
        return [
            self._untold(index, usd, amount, tokens) if slot.hard else usd
            for index, (slot, amount) in enumerate(zip(self.slots, held, strict=True))
        ]

    def _untold(self, index: int, counted: Decimal, held: Decimal, tokens: int | None) -> Decimal:
        """What an exchange is charged of which nobody tells what it is billed.

        Args:
            index: Which counter.
            counted: US dollars by the estimate.
            held: US dollars that were set aside.
            tokens: Of output, their upper end; None where nobody knows.
        """
        if tokens is None:
            return max(counted, held)
        most = EXACT.add(self.input[index], EXACT.multiply(self.output[index], tokens))
        return max(counted, min(held, most))

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


def _thinking(request: Request | EmbedRequest, load: Load) -> int | None:
    """Tokens of thought that an answer may begin with; None where nobody says how many."""
    reasoning = None if isinstance(request, EmbedRequest) else request.reasoning
    if reasoning is None:
        return None if load.thinks else 0
    if reasoning.effort == "none":
        return 0
    return reasoning.budget


def _elastic(request: Request | EmbedRequest, load: Load, *, streams: bool) -> bool:
    """Whether an answer may be shorter than it was asked for.

    One that the caller has limited is whole or not at all: its price is known, and who gets a part of it has paid for
    nothing. A long stream is worth its beginning.
    """
    if isinstance(request, EmbedRequest) or any(name in request.extra for name in FIELDS):
        return False
    return not load.limited or (streams and load.output is not None and load.output > STEP * load.alternatives)
