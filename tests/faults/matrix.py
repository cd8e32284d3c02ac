"""What a row of the fault matrix says: which fault, in which manner of calling, and what it must come to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

import pytest

from aistrale.errors import AllTargetsFailed

if TYPE_CHECKING:
    from tests.faults.faces import Asked, Face
    from tests.faults.play import Run

GOOD = "The quick brown fox jumps over \u00fcber the lazy dog."
"""What the fault server answers when it answers well."""
BEGUN = "The quick brown"
"""What of it has come after four events of a stream."""
KEY = "sk-canary-7f3a"
"""Begins every key that is configured, and nothing else."""
HTTPS = tuple(name for name in ("httpx", "httpx2") if find_spec(name))
BOTH = ("sync", "asyncio")
ALL = ("sync", "asyncio", "trio")
SLACK = 0.05
"""How much longer than its deadline a call may take, in seconds."""

COUNTED: Mapping[int, str] = {
    **dict.fromkeys((1, 2, 4, 6, 11, 12, 14, 15, 18, 19, 20, 21, 22, 34, 37, 39, 41, 44, 45, 48, 49), "failure"),
    **dict.fromkeys((3, 25, 28, 29, 35), "slow"),
    **dict.fromkeys((30, 31, 36), "failure"),
    **dict.fromkeys((8, 9, 10, 13), "ignored"),
}
"""As what the breaker of target a counts each failure of a row, unless a case says something else (I6)."""

Provider: TypeAlias = Literal["compatible", "openai", "anthropic", "gemini", "groq", "huggingface"]
Count: TypeAlias = int | Collection[int]
"""How many attempts; where the specification leaves room, a range."""
Scenario: TypeAlias = "Callable[[Face, Run], Awaitable[list[Asked]]]"


@dataclass(frozen=True, kw_only=True)
class Expect:
    """What the calls of a case must come to, each of them.

    Args:
        answer: The target that answers, "a" or "b"; None where an error is raised.
        text: The answer's text.
        error: The class of the error, exactly; a tuple where several are right.
        partial: The text that the error of a stream carries.
        attempts: How many exchanges each target has seen in all calls together.
        breaker: As what target a's breaker must have counted each failed attempt: "failure", "slow" or "ignored";
            "open": it was opened at once, or nothing more is sent with the key. None leaves it to the case.
            The caller's own deadline is never counted.
        inner: Where all targets failed: the classes of what the error holds, in order.
        each: What every single call must come to, where they differ; their attempts are not looked at.
    """

    answer: str | None = None
    text: str = GOOD
    error: type[BaseException] | tuple[type[BaseException], ...] | None = None
    partial: str | None = None
    attempts: Mapping[str, Count] = field(default_factory=dict)
    breaker: str | None = None
    inner: tuple[type[BaseException], ...] | None = None
    each: tuple[Expect, ...] = ()


def answers(target: str, *, text: str = GOOD, breaker: str | None = None, **attempts: Count) -> Expect:
    """A good answer from a target, after so many attempts on each."""
    return Expect(answer=target, text=text, attempts=attempts, breaker=breaker)


def fails(
    error: type[BaseException] | tuple[type[BaseException], ...],
    *,
    partial: str | None = None,
    breaker: str | None = None,
    **attempts: Count,
) -> Expect:
    """An error, after so many attempts on each target."""
    return Expect(error=error, partial=partial, attempts=attempts, breaker=breaker)


def all_fail(*inner: type[BaseException], **attempts: Count) -> Expect:
    """AllTargetsFailed, holding errors of these classes."""
    return Expect(error=AllTargetsFailed, inner=inner, attempts=attempts)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One fault of a row, and how it is met.

    Args:
        row: The row's number.
        fault: `NAME:arg=value` of the fault server, or `port/NAME` for one of its listeners (`tls_*` are https),
            `host/NAME` for a host of that name.
        plain: What a plain call must come to; None where the fault is one of streams.
        stream: The same for a streamed call.
        name: Told in the test's id, where the fault alone is not enough.
        script: Faults of the successive requests to target a, in place of `fault`; the last one stays.
        fallback: Whether the call goes along the route a, b; b's server is well.
        second: The fault of b, where it is not well.
        provider: Who target a is: an OpenAI-compatible server, or one of the five providers.
        second_provider: The same for b.
        path: What stands before target a's paths, where it decides how the server answers.
        settings: Of the client, over the harness' own.
        options: Of the call.
        prompt: The prompt.
        arrives: Whether the server counts the requests: not those to a listener, nor those that are cut off.
        colours: Which runtimes.
        breaker: As in Expect, for plain and streamed calls alike; None takes what the row says.
        within: Most seconds that a call may take; its deadline when None.
        least: Fewest seconds.
        lingers: Whether the server cannot know at once that we are gone.
        timed: Whether how far a call gets is a matter of time, so that texts may differ between modes.
        scenario: What is asked instead of one call.
        check: Looks at the whole run when all else is right.
    """

    row: int
    fault: str = "ok"
    plain: Expect | None = None
    stream: Expect | None = None
    name: str = ""
    script: tuple[str, ...] = ()
    fallback: bool = False
    second: str = "ok"
    provider: Provider = "compatible"
    second_provider: Provider = "compatible"
    path: str | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=dict)
    prompt: str = "Hi"
    arrives: bool = True
    colours: tuple[str, ...] = BOTH
    breaker: str | None = None
    within: float | None = None
    least: float = 0.0
    lingers: bool = False
    timed: bool = False
    scenario: Scenario | None = None
    check: Callable[[Run], None] | None = None

    @property
    def hurried(self) -> bool:
        """Whether it is a matter of fractions of a second what happens."""
        clocks = cast("Mapping[str, float]", self.settings.get("clocks", {}))
        limits = [*clocks.values(), self.settings.get("timeout"), self.options.get("deadline"), self.within]
        return any(isinstance(limit, float) and limit < 2.0 for limit in limits)

    def id(self, *, streamed: bool) -> str:
        """The test's id."""
        parts = [f"{self.row:03d}", self.name or self.fault, self.provider if self.provider != "compatible" else ""]
        return "-".join(part for part in (*parts, "stream" if streamed else "plain") if part)


def in_turn(*each: Expect, **attempts: Count) -> Expect:
    """Calls that come to different things."""
    return Expect(each=each, attempts=attempts)


def errors_of(*names: str, target: str = "a") -> Callable[[Run], None]:
    """A check: the attempts on a target have failed with errors of these classes; "" for one that succeeded."""

    def check(run: Run) -> None:
        assert [row.error or "" for row in run.attempts(target)] == list(names)

    return check


def unbilled(run: Run) -> None:
    """A check: what target a never received has cost nothing, and the ledger says so."""
    failed = [row for row in run.attempts("a") if row.outcome != "success"]
    assert failed
    assert {(row.cost, row.cost_reason) for row in failed} == {("0", "never sent")}


def uncertain(run: Run) -> None:
    """A check: what target a received and did not answer may have been billed; the ledger claims no amount."""
    failed = [row for row in run.attempts("a") if row.outcome != "success"]
    assert failed
    for row in failed:
        assert row.cost is None
        assert row.cost_reason
        # Where text has come, it has been counted.
        assert row.usage_source == ("estimated" if row.outcome == "interrupted" else None)


def gone(run: Run) -> None:
    """A check: the server saw us leave, once."""
    assert run.stats["client_gone"] == 1, run.stats


def both(row: int, fault: str, expect: Expect, **more: object) -> Case:
    """A case in which plain and streamed calls come to the same."""
    return replace(Case(row=row, fault=fault, plain=expect, stream=expect), **more)  # type: ignore[arg-type]


def params(*cases: Case) -> list[object]:
    """The parameters (case, streamed) of a test over some cases."""
    return [
        pytest.param(case, streamed, id=case.id(streamed=streamed))
        for case in cases
        for streamed in (False, True)
        if (case.stream if streamed else case.plain) is not None
    ]
