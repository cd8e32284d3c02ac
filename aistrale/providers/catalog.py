"""Which models there are and what they can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(slots=True, frozen=True, kw_only=True, eq=False)
class ModelFacts:
    """What is known about a model; None is unknown, not no."""

    provider: str
    id: str
    input: tuple[str, ...] | None = None
    max_output: int | None = None
    tools: bool | None = None
    parallel_tools: bool | None = None
    structured: Literal["schema", "tool", "json", "prompt"] | None = None
    reasoning: Literal["effort", "budget", "adaptive", "level", "none"] | None = None
    efforts: tuple[str, ...] = ()
    sampling: bool | None = None
    stop: bool | None = None
