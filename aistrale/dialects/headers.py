"""Response headers that all dialects share: how long to wait, whether to retry, what to quote, what is left.

Names are looked up without regard to case; values come from outside, so one that makes no sense counts as
absent.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_REQUEST_IDS: Final = ("x-request-id", "request-id", "apim-request-id", "x-ms-request-id", "cf-ray")
_MILLISECONDS: Final = ("retry-after-ms", "x-ms-retry-after-ms")
_UNITS: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
_DURATION: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d)")
_NUMBER: Final = re.compile(r"[-+]?\d{1,30}(?:\.\d{0,30})?")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d")
# A plain number this large is no wait but an instant, in seconds or milliseconds since 1970.
_EPOCH_SECONDS: Final = 1e9
_EPOCH_MILLISECONDS: Final = 1e12
# Longest announced wait that is believed: a month, after which every quota is a new one. Beyond it stand instants in
# the place of waits, slips, and attempts to silence a client for good.
_LONGEST_WAIT: Final = 31 * 86400.0
# Longest header value that is read; a limit header is a few dozen characters.
_MAX_VALUE: Final = 1000


@dataclass(slots=True)
class Window:
    """One limit of a provider.

    Args:
        limit: How many the window allows in all.
        remaining: How many are left.
        reset: Seconds until the window is full again.
    """

    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None

    def __bool__(self) -> bool:
        return self.limit is not None or self.remaining is not None or self.reset is not None


@dataclass(slots=True)
class RateLimits:
    """What a provider says is left; windows that it did not mention are empty (and falsy).

    Where several windows of one kind are told (per minute and per day, own and project's), the one with the
    least remaining counts.

    Args:
        requests: Calls.
        tokens: Tokens in all.
        input_tokens: Input tokens, where they are counted apart (Anthropic).
        output_tokens: Output tokens, likewise.
    """

    requests: Window = field(default_factory=Window)
    tokens: Window = field(default_factory=Window)
    input_tokens: Window = field(default_factory=Window)
    output_tokens: Window = field(default_factory=Window)

    def __bool__(self) -> bool:
        return bool(self.requests or self.tokens or self.input_tokens or self.output_tokens)


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """How many seconds the provider asks us to wait.

    Meaningful on an error only: some providers send the header with good answers too.

    Args:
        headers: The response's headers. `retry-after-ms` wins over `retry-after`, as in the official SDKs, unless it
            is zero: Azure rounds its milliseconds down to that beside a `retry-after` of a second.
        now: Unix seconds; what a date is measured against when the response carries no `Date`.

    Returns:
        Seconds from 0 to a month; None when nothing (credible) was said.
    """
    lowered = _lowered(headers)
    precise = None
    for name in _MILLISECONDS:
        milliseconds = _number(lowered.get(name))
        if milliseconds is not None:
            precise = plausible_wait(milliseconds / 1000)
        if precise:
            return precise
    value = lowered.get("retry-after")
    seconds = _number(value)
    if seconds is None:
        instant = http_date(value)
        reference = http_date(lowered.get("date"))
        if reference is None:
            reference = now
        if instant is not None and reference is not None:
            # A date that has passed allows the next attempt.
            seconds = max(0.0, instant - reference)
    wait = plausible_wait(seconds)
    return precise if wait is None else wait


def plausible_wait(seconds: float | None) -> float | None:
    """An announced wait, or None where it cannot be meant: negative, not a number, or longer than a month."""
    return seconds if seconds is not None and 0.0 <= seconds <= _LONGEST_WAIT else None


def should_retry(headers: Mapping[str, str]) -> bool | None:
    """The provider's own verdict, `x-should-retry`; None when it gave none."""
    value = _lowered(headers).get("x-should-retry", "").strip().lower()
    return {"true": True, "false": False}.get(value)


def request_id(headers: Mapping[str, str]) -> str | None:
    """The provider's id of the exchange, for its support."""
    lowered = _lowered(headers)
    for name in _REQUEST_IDS:
        value = lowered.get(name)
        if value:
            return value
    return None


def rate_limits(headers: Mapping[str, str], now: float) -> RateLimits:
    """What is left of the provider's limits.

    Reads `x-ratelimit-*` (OpenAI, Azure, Groq and many compatible servers), `anthropic-ratelimit-*`, and the
    IETF's `ratelimit` and `ratelimit-policy` in the drafts that are in use.

    Args:
        headers: The response's headers.
        now: Unix seconds; instants (RFC 3339, epoch) are measured against the response's `Date`, else
            against this.
    """
    lowered = _lowered(headers)
    date = http_date(lowered.get("date"))
    reference = now if date is None else date
    found: dict[tuple[str, str], Window] = {}
    for name, value in lowered.items():
        if "ratelimit" in name and len(value) <= _MAX_VALUE:
            _read_limit(name, value, reference, found)
    kinds: dict[str, list[Window]] = {}
    for (kind, _), window in found.items():
        kinds.setdefault(kind, []).append(window)
    kinds.setdefault("requests", []).extend(_ietf(lowered, reference))
    return RateLimits(
        _tightest(kinds["requests"]),
        _tightest(kinds.get("tokens", ())),
        _tightest(kinds.get("input-tokens", ())),
        _tightest(kinds.get("output-tokens", ())),
    )


def _read_limit(name: str, value: str, now: float, found: dict[tuple[str, str], Window]) -> None:
    """Sort one `*-ratelimit-*` header into the window it speaks of; others are passed over."""
    prefix, _, rest = name.partition("ratelimit-")
    words = rest.split("-")
    if prefix == "x-" and words[0] in _READERS:
        what, scope = words[0], words[1:]
    elif prefix == "anthropic-" and words[-1] in _READERS:
        what, scope = words[-1], words[:-1]
    else:
        return
    kind = _kind(scope)
    if kind is None:
        return
    window = found.setdefault((kind, "-".join(scope)), Window())
    if what == "reset":
        window.reset = _until(value, now)
    else:
        setattr(window, what, _count(value))


_READERS: Final = frozenset({"limit", "remaining", "reset"})
_SCOPES: Final = frozenset({"minute", "hour", "day", "project"})


def _kind(scope: list[str]) -> str | None:
    """Which window a header's scope means; None for what is neither requests nor tokens (images, audio)."""
    if "images" in scope or "audio" in scope:
        return None
    words = [word for word in scope if word not in _SCOPES]
    if not words or words == ["requests"]:
        return "requests"
    if words[-1] != "tokens" and words[-1] != "tokens_usage_based":
        return None
    return f"{words[0]}-tokens" if words[0] in {"input", "output"} else "tokens"


def _ietf(headers: Mapping[str, str], now: float) -> Iterable[Window]:
    """The IETF's headers, which count requests: the combined ones, and the three separate ones before."""
    combined = headers.get("ratelimit", "")[:_MAX_VALUE]
    policies = headers.get("ratelimit-policy", "")[:_MAX_VALUE]
    quota = _count(_parameters(policies).get("q"))
    for item in combined.split(",") if "limit=" not in combined else [combined.replace(",", ";")]:
        told = _parameters(item)
        yield Window(
            _count(told.get("limit")) if "limit" in told else quota,
            _count(told.get("r") or told.get("remaining")),
            _until(told.get("t") or told.get("reset") or "", now),
        )
    separate = Window(
        _count(headers.get("ratelimit-limit", "").partition(",")[0].partition(";")[0]),
        _count(headers.get("ratelimit-remaining")),
        _until(headers.get("ratelimit-reset", ""), now),
    )
    yield separate


def _parameters(item: str) -> dict[str, str]:
    pairs = (piece.partition("=") for piece in item.split(";") if "=" in piece)
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


def _tightest(windows: Iterable[Window]) -> Window:
    told = [window for window in windows if window]
    return min(told, key=_room, default=Window())


def _room(window: Window) -> float:
    if window.remaining is not None:
        return window.remaining
    return math.inf if window.limit is None else window.limit


def _until(value: str, now: float) -> float | None:
    """Seconds until a reset told as a Go duration, plain seconds, an epoch instant or an RFC 3339 instant."""
    text = value.strip()
    number = _number(text)
    if number is not None:
        if number >= _EPOCH_MILLISECONDS:
            number = number / 1000 - now
        elif number >= _EPOCH_SECONDS:
            number -= now
        return max(0.0, number)
    seconds = _duration(text)
    if seconds is not None:
        return seconds
    instant = _rfc3339(text)
    return None if instant is None else max(0.0, instant - now)


def _duration(text: str) -> float | None:
    """A Go duration ("7m12.3s", "6ms") in seconds; None when it is none."""
    total, position = 0.0, 0
    while position < len(text):
        match = _DURATION.match(text, position)
        if match is None:
            return None
        total += float(match[1]) * _UNITS[match[2]]
        position = match.end()
    return total if position else None


def _rfc3339(text: str) -> float | None:
    if not _DATE.match(text):
        return None
    try:
        instant = datetime.fromisoformat(text)
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def http_date(text: str | None) -> float | None:
    """A date of a header in Unix seconds; None when it is none."""
    if not text:
        return None
    try:
        instant = parsedate_to_datetime(text)
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    # float() would also take "nan", "inf" and "1e400".
    return float(text) if text is not None and _NUMBER.fullmatch(text := text.strip()) else None


def _count(text: str | None) -> int | None:
    number = _number(text)
    if number is None or text is None:
        return None
    # int() knows fewer blanks than strip().
    text = text.strip()
    return int(number) if "." in text else int(text)


def _lowered(headers: Mapping[str, str]) -> Mapping[str, str]:
    # A mapping that knows its own names in lower case is spared the copy.
    ready: Mapping[str, str] | None = getattr(headers, "lowered", None)
    return {name.lower(): value for name, value in headers.items()} if ready is None else ready
