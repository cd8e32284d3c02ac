"""How many requests and tokens a minute a target gets: four allowances, and what each call takes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from aistrale.reliability.allowance import Allowance
from aistrale.reliability.limits import MINUTE, RATES, TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aistrale.dialects.headers import RateLimits
    from aistrale.reliability.allowance import Mark
    from aistrale.reliability.limits import LimitSettings

Amounts: TypeAlias = tuple[float, float, float, float]
"""Requests, tokens, input tokens, output tokens."""

Marks: TypeAlias = "dict[int, Mark]"
"""What a call took of the allowances that there were, by kind."""

NOTHING: Final[Amounts] = (0.0, 0.0, 0.0, 0.0)
ONE_REQUEST: Final[Amounts] = (1.0, 0.0, 0.0, 0.0)

# The windows of the headers, and what to call them in a message, in the order of Amounts.
_WINDOWS: Final = ("requests", "tokens", "input_tokens", "output_tokens")
_NAMES: Final = ("requests", "tokens", "input tokens", "output tokens")
_TOKENS: Final = (1, 2, 3)
# With this much left, what the provider's headers say is not kept: by default at most 512 calls are under way, and
# their answers bring news before these are used up. It spares large accounts the counting of tokens.
_PLENTY: Final = (1024.0, 2e6, 2e6, 1e6)
# Output tokens that a call is taken to use before one has told, and the weight of the newest call in the average.
_OUTPUT: Final = 256.0
_WEIGHT: Final = 0.2


class Rates:
    """What may be sent in a minute. Not safe between threads: its owner holds the lock.

    A call reserves input and output tokens when it goes, which are settled when it has ended. Of the user's limits it
    reserves the most that it may use, so that they are kept. Of the provider's it reserves what calls to this target
    usually use: recorded headers of OpenAI, Groq and Anthropic do not count `max_tokens`.

    Args:
        settings: The user's limits.
        bucket: Makes the bucket of a limit from its name ("rpm", ...), its rate a second and its capacity; None for one
            of this process alone.
    """

    __slots__ = ("_kinds", "_output", "_reserved", "counts_tokens", "limiting")

    def __init__(
        self, settings: LimitSettings, bucket: Callable[[str, float, float], TokenBucket] | None = None
    ) -> None:
        self._kinds: dict[int, Allowance] = {}
        for kind, name in enumerate(RATES):
            per_minute: float | None = getattr(settings, name)
            if per_minute is not None:
                rate = per_minute / MINUTE
                capacity = max(rate * settings.burst, 1.0)
                own = TokenBucket(rate, capacity) if bucket is None else bucket(name, rate, capacity)
                self._kinds[kind] = Allowance(own)
        self._output = _OUTPUT
        self.forget()
        self._look()

    def forget(self) -> None:
        """Nothing is under way: what was reserved will not come back."""
        self._reserved = list(NOTHING)

    def _look(self) -> None:
        self.limiting = bool(self._kinds)
        """Whether there is any limit."""
        self.counts_tokens = any(kind in self._kinds for kind in _TOKENS)
        """Whether there is one of tokens."""

    def amounts(self, tokens_in: int, tokens_out: int | None) -> tuple[Amounts, Amounts]:
        """The most that a call may use, and what such a call usually uses.

        Args:
            tokens_in: Estimated input tokens.
            tokens_out: Most output tokens; None when the call sets no limit, 0 when it has no output.
        """
        if not self.limiting:
            return ONE_REQUEST, ONE_REQUEST
        out = self._output if tokens_out is None else float(tokens_out)
        usual = min(out, self._output)
        return (1.0, tokens_in + out, float(tokens_in), out), (1.0, tokens_in + usual, float(tokens_in), usual)

    def delay(
        self, most: Amounts, usual: Amounts, now: float, ahead: Sequence[float] = NOTHING, *, refunds: bool = False
    ) -> float:
        """Seconds until every limit has room for a call.

        Args:
            most: The most that it may use.
            usual: What such a call usually uses.
            now: Monotonic seconds.
            ahead: What those before it usually use together.
            refunds: Take it that the calls under way give back all tokens that they have reserved.
        """
        longest = 0.0
        for kind, allowance in self._kinds.items():
            before = ahead[kind]
            if refunds and kind in _TOKENS:
                before -= self._reserved[kind]
            delay = allowance.delay(most[kind], usual[kind], now, before)
            longest = max(longest, delay)
        return longest

    def take(self, most: Amounts, usual: Amounts, now: float) -> Marks:
        """Reserve for a call."""
        marks: Marks = {}
        for kind, allowance in self._kinds.items():
            marks[kind] = allowance.take(most[kind], usual[kind], now)
            self._reserved[kind] += most[kind]
        return marks

    def settle(self, most: Amounts, usual: Amounts, marks: Marks, used: Amounts | None, now: float) -> None:
        """A call has ended.

        Args:
            most: As given to `take`.
            usual: Likewise.
            marks: What `take` gave.
            used: What it used; None when that is not known, which leaves what was reserved.
            now: Monotonic seconds.
        """
        for kind, mark in marks.items():
            self._reserved[kind] -= most[kind]
            allowance = self._kinds.get(kind)
            if used is not None and allowance is not None:
                allowance.settle(most[kind], usual[kind], used[kind], now, mark)

    def learn(self, tokens_out: int) -> None:
        """A successful call used so many output tokens."""
        self._output += _WEIGHT * (tokens_out - self._output)

    def correct(self, limits: RateLimits, marks: Marks | None, now: float) -> None:
        """The provider says what is left.

        Args:
            limits: Its words.
            marks: What `take` gave for the call that brought them.
            now: Monotonic seconds.
        """
        for kind, name in enumerate(_WINDOWS):
            window = getattr(limits, name)
            if not window:
                continue
            allowance = self._kinds.get(kind) or Allowance()
            allowance.correct(window, now, None if marks is None else marks.get(kind), _PLENTY[kind])
            if not allowance.idle:
                self._kinds[kind] = allowance
            elif kind in self._kinds:
                del self._kinds[kind]
        self._look()

    def left(self, now: float) -> dict[str, float]:
        """What may be used at once, of what is limited."""
        return {_WINDOWS[kind]: allowance.level(now) for kind, allowance in self._kinds.items()}

    def spent(self, most: Amounts, usual: Amounts, now: float) -> str | None:
        """Which limit holds up a call, in words; None when none does."""
        for kind, allowance in self._kinds.items():
            if allowance.delay(most[kind], usual[kind], now) > 0.0:
                return f"the limit of {_NAMES[kind]} per minute leaves no room"
        return None
