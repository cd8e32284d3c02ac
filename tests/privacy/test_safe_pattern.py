"""Patterns that can take more than linear time are refused with the reason; those that pass are linear."""

from __future__ import annotations

import re
import time

import pytest

from aistrale.errors import ConfigurationError
from aistrale.privacy.safe_pattern import check_pattern, compile_pattern

SAFE = [
    r"PRJ-\d+",
    r"\bEMP\d{6}\b",
    r"[A-Z]{2}\d{6,10}[A-Z]?",
    r"\w{1,64}@corp\.example",
    r"(?:\d{1,3}\.){3}\d{1,3}",
    r"(?i)project\s+(?:alpha|beta|gamma)",
    r"\b\w+@corp\.com",
    r".{0,100}secret",
    r"(?<!\d)\d{4}[- ]?\d{4}(?!\d)",
    r"^ID: .*$",
    r"(?m)^ID: .*$",
    r"acct[:=]\s*\d{8,12}",
    r"foo|foobar|fob",
    r"\b[A-Z]+-\d+\b",
    r"x(?:ab)+c",
    r"case (?:no|number)\.? \d{1,8}/\d{2,4}",
    r"[\u0400-\u04ff]{3,20}",
    r"(?P<a>\d{3})-(?P<b>\d{4})(?=;)",
    r"(?:[a-z]{1,10} ){1,5}x",
    r"(?>a|ab)c\d++",
    r"-[^-]+-",
]
UNSAFE = {
    r"(a+)+$": "quantifier inside of an unbounded quantifier",
    r"(?:\w+\s?)+x": "quantifier inside of an unbounded quantifier",
    r"(?:a|a)+b": "alternatives that overlap",
    r"\b(?:a|b|ab)+c": "alternatives that overlap",
    r"\d+\w+x": "after something that it matches itself",
    r"-\d+\d+x": "after something that it matches itself",
    r"-\d+-?\d+x": "after something that it matches itself",
    r"\w+@x": "after something that it matches itself, or at its beginning",
    r"a.*b": "after something that it matches itself",
    r"[^a]+b": "at its beginning",
    r"(?:ab)+c": "at its beginning",
    r"(?s)^a.*b.*c": "after something that it matches itself",
    r"(?ms)^a.*b": "after something that it matches itself",
    r"(?=.*x)y": "after something that it matches itself",
    r"(\w)\1": "back-reference",
    r"(?P<a>x)(?P=a)": "back-reference",
    r"(a)?(?(1)b|c)": "back-reference",
    r"a*": "empty text",
    r"x?|y": "empty text",
    r"": "empty text",
    "x" * 3000: "longer than 2000 characters",
    r"(?<=a+)b": "fixed-width",
    r"[": "unterminated character set",
    r"(?:a?){30}a{30}": "too many ways",
    r"(?:.{0,50}){0,50}x": "too many ways",
    r"(?:a{0,30}){0,30}b": "too many ways",
    r"\w{1,100}\w{1,100}\w{1,100}x": "too many ways",
    r"(?:\d{1,20}[a-f0-9]{1,20}){3}z": "too many ways",
}


@pytest.mark.parametrize("pattern", SAFE)
def test_safe_pattern_passes_and_is_linear(pattern):
    check_pattern("patterns[0]", pattern)
    compiled = re.compile(pattern)
    alphabet = [*"a1A -.@:;=/\nxsб", *"".join(re.findall(r"[a-zA-Z]{2,}", pattern))[:12]]
    seeds = [
        *alphabet,
        "ab",
        "1.",
        "a ",
        "A-",
        "ID: x",
        "PRJ-1",
        "a@",
        "-a",
        "foo",
        "project ",
        "acct:",
        "1111-",
        "xab",
        "aa aa ",
        "case no. 1",
    ]
    begun = time.process_time()
    for seed in seeds:
        for text in (seed * (50_000 // len(seed)), "x" + seed * (50_000 // len(seed)) + "!"):
            for _ in compiled.finditer(text):
                pass
    # A quadratic pattern takes minutes; 2000 steps at each place of 50 texts would take some seconds.
    assert time.process_time() - begun < 20


@pytest.mark.parametrize("pattern", UNSAFE)
def test_unsafe_pattern_is_refused_with_the_reason(pattern):
    with pytest.raises(ConfigurationError) as caught:
        check_pattern("privacy.rules[1].patterns[0]", pattern)
    assert caught.value.field == "privacy.rules[1].patterns[0]"
    assert UNSAFE[pattern] in caught.value.message


def test_parser_that_has_moved_is_not_trusted(monkeypatch):
    def moved(name):
        raise ImportError(name)

    monkeypatch.setattr("aistrale.privacy.safe_pattern.import_module", moved)
    with pytest.raises(ConfigurationError, match="cannot be checked"):
        check_pattern("pattern", "abc")


def test_case_is_ignored_on_demand():
    assert [one.start() for one in compile_pattern("pattern", "abc", ignore_case=True).finditer("ABC")] == [0]
    assert list(compile_pattern("pattern", "abc").finditer("ABC")) == []


def test_re2_names_its_extra():
    try:
        import re2  # noqa: F401
    except ImportError:
        with pytest.raises(ImportError, match=r"aistrale\[re2\]"):
            compile_pattern("pattern", "(a+)+b", engine="re2")
    else:
        compiled = compile_pattern("pattern", r"(a+)+b", engine="re2")
        assert [(one.start(), one.end()) for one in compiled.finditer("öö aab", 1, 6)] == [(3, 6)]
        with pytest.raises(ConfigurationError, match="empty"):
            compile_pattern("pattern", "a*", engine="re2")
        with pytest.raises(ConfigurationError, match="no regular expression of re2"):
            compile_pattern("pattern", r"(a)\1", engine="re2")
