"""Exchanges that look like one a moment ago.

The ledger has no content, so what looks the same are the sizes. How often sizes nearly agree says how often they agree
by chance: two prompts of 812 tokens are the same question only if prompts of 811 and 813 are much rarer.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Final, TypeAlias

from aistrale.cost.advice.prices import LIFETIME

if TYPE_CHECKING:
    from aistrale.store.records import AttemptRow, IntentRow

    Head: TypeAlias = tuple[str | None, int | None]
    Key: TypeAlias = tuple[int, int | None, int]

# A prompt beside its prefix must be this long, in tokens, to be told from others by its length.
_TELLING: Final = 200
_NEAR: Final = 8
_STEPS: Final = tuple(step for step in range(-_NEAR, _NEAR + 1) if step)


class Twins:
    """Counts exchanges that look like one within the last minutes, and those that do so by chance.

    Attributes:
        count: How many look like one.
        cost: What they cost, US dollars.
        chance: How many of them would do so by chance.
    """

    __slots__ = ("_recent", "_window", "chance", "cost", "count")

    def __init__(self) -> None:
        self.count = 0
        self.cost = 0.0
        self.chance = 0.0
        self._window: deque[tuple[float, Head, Key, str]] = deque()
        # By what stands before the last message: how many there are of each key, and of each size.
        self._recent: dict[Head, tuple[Counter[Key], Counter[int]]] = {}

    def add(self, row: AttemptRow, intent: IntentRow, prompt: int, cost: float) -> None:
        """Add an exchange; they come oldest first."""
        self._forget(row.at)
        guessed = intent.estimated_input_tokens or 0
        if guessed - (intent.prefix_tokens or 0) < _TELLING or (self._window and self._window[-1][3] == row.call_id):
            return
        head, key = (intent.prefix, intent.messages), (guessed, intent.last_tokens, prompt)
        recent = self._recent.get(head)
        if recent is None:
            recent = self._recent[head] = Counter(), Counter()
        keys, sizes = recent
        if key in keys:
            self.count += 1
            self.cost += cost
        if sizes:
            self.chance += sum(guessed + step in sizes for step in _STEPS) / len(_STEPS)
        keys[key] += 1
        sizes[guessed] += 1
        self._window.append((row.at, head, key, row.call_id))

    def _forget(self, now: float) -> None:
        """Let go of those that a remembered answer would have outlived."""
        while self._window and now - self._window[0][0] > LIFETIME:
            _, head, key, _ = self._window.popleft()
            keys, sizes = self._recent[head]
            keys[key] -= 1
            sizes[key[0]] -= 1
            if not keys[key]:
                del keys[key]
            if not sizes[key[0]]:
                del sizes[key[0]]
            if not keys:
                del self._recent[head]
