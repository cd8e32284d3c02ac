"""Who gets which step, and when: the queue behind `Simulator.script` and `Simulator.outage`."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from aistrale.testing.faults import GOOD

if TYPE_CHECKING:
    from aistrale.testing.faults import Step


@dataclass(slots=True, eq=False)
class Scripted:
    """What a script or an outage shall do; give it up with `end()`, or use it as a context manager.

    Args:
        steps: The steps that are left.
        provider: Whose requests it is about; None means everybody's.
        model: Likewise.
        operation: Likewise: "chat", "embed" or "count_tokens".
        forever: The steps are not used up; they are taken in turn.
        every: Only each N-th request that fits gets a step; the others are answered well.
    """

    steps: list[Step]
    provider: str | None = None
    model: str | None = None
    operation: str | None = None
    forever: bool = False
    every: int = 1
    _seen: int = 0
    _taken: int = 0

    @property
    def left(self) -> int:
        """How many steps have not been taken."""
        return len(self.steps)

    def end(self) -> None:
        """No more of this."""
        self.steps = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def take(self, provider: str, model: str, operation: str) -> Step | None:
        """The step for a request; None when it is not meant, or is let pass."""
        meant = (
            self.steps
            and self.provider in {None, provider}
            and self.model in {None, model}
            and self.operation in {None, operation}
        )
        if not meant:
            return None
        self._seen += 1
        if self._seen % self.every:
            return None
        if not self.forever:
            return self.steps.pop(0)
        self._taken += 1
        return self.steps[(self._taken - 1) % len(self.steps)]


@dataclass(slots=True)
class Queue:
    """All scripts, the oldest first; safe to use from several threads."""

    _scripts: list[Scripted] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, scripted: Scripted) -> Scripted:
        """Append one."""
        with self._lock:
            self._scripts.append(scripted)
        return scripted

    def step(self, provider: str, model: str, operation: str) -> Step:
        """The step for a request: of the first script that has one for it, else the good answer."""
        with self._lock:
            for scripted in self._scripts:
                step = scripted.take(provider, model, operation)
                if step is not None:
                    return step
            if self._scripts:
                self._scripts = [scripted for scripted in self._scripts if scripted.steps]
        return GOOD

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._scripts.clear()
