from __future__ import annotations

from aistrale.telemetry.events import CacheLooked, Retried
from aistrale.telemetry.gathered import Gathered


def retried(call_id: str | None, number: int = 1) -> Retried:
    return Retried(call_id=call_id, target="a/b", attempt=number, error="E", delay=0.1)


def test_what_is_wanted_is_kept_by_call_and_once():
    gathered = Gathered({"attempt.retried"})
    first, second, other = retried("a"), retried("a", 2), retried("b")
    gathered.add([first, CacheLooked(call_id="a", result="hit"), second, other, retried(None)])
    gathered.add([second, first])
    assert gathered.of("a") == [first, second]
    assert gathered.of("b") == [other]
    assert gathered.of("c") == gathered.of(None) == []
    gathered.forget(["a", "c", None])
    assert gathered.of("a") == []
    assert gathered.of("b") == [other]


def test_memory_is_bounded_by_calls_and_within_a_call():
    gathered = Gathered({"attempt.retried"}, limit=3)
    gathered.add([retried(name) for name in "abcde"])
    assert [name for name in "abcde" if gathered.of(name)] == ["c", "d", "e"]
    gathered.add([retried("e", number) for number in range(1000)])
    assert len(gathered.of("e")) == 200
