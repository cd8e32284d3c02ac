"""Checks that what you wrote keeps the contract of what it plugs into."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from aistrale.privacy.recognizer import Triggers
from aistrale.privacy.scanner import Scanner

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aistrale.privacy.finding import Finding
    from aistrale.privacy.recognizer import Recognizer

_TYPE: Final = re.compile(r"[A-Z][A-Z0-9_]*")
_FILLER: Final = ("", "The quick brown fox.", "\ud800 \x00 \u202e \U0001f600", "1234 5678 9012", "a" * 600)
_THREADS: Final = 8
# Four times the text may take four times as long; the rest is for machines that do other things as well.
_SHORT: Final = 2_000
_TIMES: Final = 4
_SLOWER: Final = 10.0
_UNHEARD: Final = 0.02
_TRIES: Final = 4


def check_recognizer(recognizer: Recognizer, examples: Iterable[str] = ()) -> None:
    """Check that a recognizer of your own is one: what it declares, that it keeps no state, and that it is linear.

    It is asked from several threads, about your examples, about parts and repetitions of them, and about odd texts.
    Takes a second or two.

    Args:
        recognizer: The recognizer.
        examples: Texts in each of which it finds something. With none its findings cannot be looked at.

    Raises:
        AssertionError: It breaks the contract; it says how. Examples are shown.
    """
    texts = list(examples)
    _check_declared(recognizer)
    scanner = Scanner((recognizer,), min_score=0.0)
    for text in texts:
        _expect(bool(scanner.scan(text)), f"finds nothing in the example {text!r}")
    odd = [*texts, *_FILLER, *(text[:cut] for text in texts for cut in range(1, len(text)))]
    first = [_found(scanner, text) for text in odd]
    for text, found in zip(odd, first, strict=True):
        _check_findings(recognizer, text, found)
    again = [_found(scanner, text) for text in reversed(odd)][::-1]
    _expect(first == again, "finds something else when it is asked again, in another order: it keeps state")
    with ThreadPoolExecutor(_THREADS) as pool:
        for seen in pool.map(lambda _: [_found(scanner, text) for text in odd], range(_THREADS)):
            _expect(seen == first, "finds something else when several threads ask: it is not thread-safe")
    for unit in _units(recognizer, texts):
        _check_linear(scanner, unit)


def _expect(kept: bool, what: str) -> None:  # noqa: FBT001 - the condition of an assertion
    if not kept:
        raise AssertionError(f"the recognizer {what}")


def _check_declared(recognizer: Recognizer) -> None:
    for field in ("name", "types", "triggers", "recognize"):
        _expect(hasattr(recognizer, field), f"has no {field!r} (see aistrale.privacy.Recognizer)")
    name, types, triggers = recognizer.name, recognizer.types, recognizer.triggers
    _expect(isinstance(name, str) and bool(name), "has a name that is no text")
    _expect(isinstance(types, tuple) and bool(types), f"{name!r} declares no types; they are a tuple of texts")
    for kind in types:
        _expect(
            isinstance(kind, str) and _TYPE.fullmatch(kind) is not None,
            f"{name!r} declares the type {kind!r}; types are capitals, digits and '_'",
        )
    _expect(isinstance(triggers, Triggers), f"{name!r} has triggers that are no Triggers")
    counts = (*triggers.digits, *triggers.groups, *triggers.tokens)
    _expect(triggers.whole or bool(triggers.literals or counts), f"{name!r} has no trigger, so nobody ever asks it")
    again = (*triggers.digits, *triggers.groups, *triggers.tokens)
    _expect(counts == again, f"{name!r} has triggers that can be read once only")


def _found(scanner: Scanner, text: str) -> list[Finding]:
    return scanner.scan(text)


def _check_findings(recognizer: Recognizer, text: str, found: list[Finding]) -> None:
    for one in found:
        _expect(0 <= one.start < one.end <= len(text), f"finds something at {one.start} to {one.end} of {text!r}")
        _expect(one.type in recognizer.types, f"finds the type {one.type!r}, which it does not declare")
        _expect(0.0 <= one.score <= 1.0, f"gives the score {one.score!r}; scores are 0 to 1")


def _units(recognizer: Recognizer, texts: list[str]) -> Iterator[str]:
    """What is repeated to see how the time grows."""
    yield from ("1", "1 ", "1.", "a1", "a.", "@", "=")
    yield from recognizer.triggers.literals[:8]
    for text in texts[:8]:
        yield text
        yield text + " "
        yield text[: max(1, len(text) // 2)]
        yield text[0]


def _check_linear(scanner: Scanner, unit: str) -> None:
    short = long = 0.0
    for _ in range(_TRIES):
        short = _seconds(scanner, (unit * (_SHORT // len(unit) + 1))[:_SHORT])
        long = _seconds(scanner, (unit * (_SHORT * _TIMES // len(unit) + 1))[: _SHORT * _TIMES])
        if long <= _UNHEARD or long <= short * _SLOWER:
            return
    _expect(
        kept=False, what=f"takes more than linear time on repetitions of {unit!r}: {short:.3f} s, then {long:.3f} s"
    )


def _seconds(scanner: Scanner, text: str) -> float:
    begun = time.process_time()
    scanner.scan(text)
    return time.process_time() - begun
