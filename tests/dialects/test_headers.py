from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.dialects.headers import (
    RateLimits,
    Window,
    rate_limits,
    request_id,
    retry_after,
    should_retry,
)

TRAFFIC = Path(__file__).resolve().parents[2] / ".." / "shared" / "traffic"
NOW = 1_800_000_000.0
EMPTY = Window()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"Retry-After": " 1.5 "}, 1.5),
        ({"RETRY-AFTER-MS": "250"}, 0.25),
        ({"x-ms-retry-after-ms": "1500"}, 1.5),
        # As Azure has been recorded to send it.
        ({"retry-after-ms": "0", "retry-after": "1"}, 1.0),
        ({"retry-after-ms": "0"}, 0.0),
        ({"retry-after-ms": "-5", "retry-after": "1"}, 1.0),
        ({"retry-after-ms": "1e9", "retry-after": "1"}, 1.0),
        ({"retry-after-ms": "soon", "retry-after": "1"}, 1.0),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "1000000000"}, None),
        ({"retry-after": "2678400"}, 2_678_400.0),
        ({"retry-after": "2678401"}, None),
        ({"retry-after": "Wed, 22 Nov 2028 10:00:30 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e99"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "9" * 40}, None),
        ({"retry-after": "Sun, 22 Nov 2026 10:00:30 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 09:59:00 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 0.0),
        ({"retry-after": "Sun, 22 Nov 2026 10:00:30 GMT"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_a_date_without_the_responses_own_date_is_measured_against_now() -> None:
    assert retry_after({"retry-after": "Fri, 15 Jan 2027 08:00:45 GMT"}, now=NOW) == 45.0


@pytest.mark.parametrize(
    ("headers", "verdict"),
    [
        ({}, None),
        ({"X-Should-Retry": "true"}, True),
        ({"x-should-retry": " False"}, False),
        ({"x-should-retry": "maybe"}, None),
    ],
)
def test_should_retry(headers: dict[str, str], verdict: bool | None) -> None:
    assert should_retry(headers) is verdict


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"X-Request-Id": "req_1", "cf-ray": "ray"}, "req_1"),
        ({"request-id": "req_2"}, "req_2"),
        ({"apim-request-id": "azure", "x-ms-request-id": "other"}, "azure"),
        ({"x-request-id": "", "cf-ray": "ray"}, "ray"),
    ],
)
def test_request_id(headers: dict[str, str], expected: str | None) -> None:
    assert request_id(headers) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, RateLimits()),
        (
            {
                "x-ratelimit-limit-requests": "10000",
                "x-ratelimit-remaining-requests": "9999",
                "x-ratelimit-reset-requests": "8.64s",
                "x-ratelimit-limit-tokens": "200000",
                "x-ratelimit-remaining-tokens": "199973",
                "x-ratelimit-reset-tokens": "7m12.3s",
            },
            RateLimits(Window(10000, 9999, 8.64), Window(200000, 199973, 432.3)),
        ),
        ({"X-RateLimit-Reset-Tokens": "6ms"}, RateLimits(tokens=Window(reset=0.006))),
        ({"x-ratelimit-reset-requests": "1h0m1s"}, RateLimits(Window(reset=3601.0))),
        ({"x-ratelimit-reset-requests": "250µs"}, RateLimits(Window(reset=0.00025))),
        # Azure tells plain seconds.
        ({"x-ratelimit-reset-tokens": "42"}, RateLimits(tokens=Window(reset=42.0))),
        # OpenRouter tells an instant in milliseconds, others one in seconds.
        (
            {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1800000012000"},
            RateLimits(Window(20, 0, 12.0)),
        ),
        ({"x-ratelimit-reset": "1800000060"}, RateLimits(Window(reset=60.0))),
        # The tighter of two windows counts.
        (
            {
                "x-ratelimit-limit-tokens": "1000",
                "x-ratelimit-remaining-tokens": "900",
                "x-ratelimit-limit-project-tokens": "5000",
                "x-ratelimit-remaining-project-tokens": "12",
                "x-ratelimit-reset-project-tokens": "2s",
            },
            RateLimits(tokens=Window(5000, 12, 2.0)),
        ),
        (
            {
                "x-ratelimit-remaining-requests-day": "2879999",
                "x-ratelimit-remaining-requests-hour": "119999",
                "x-ratelimit-remaining-requests-minute": "1999",
                "x-ratelimit-remaining-tokens-minute": "9223372036854767616",
            },
            RateLimits(Window(remaining=1999), Window(remaining=9223372036854767616)),
        ),
        (
            {"x-ratelimit-limit-minute": "400", "x-ratelimit-remaining-minute": "399"},
            RateLimits(Window(400, 399)),
        ),
        # Images are another unit, and a broken value is no value.
        ({"x-ratelimit-remaining-input-images": "1", "x-ratelimit-remaining-tokens": "many"}, RateLimits()),
        (
            {
                "anthropic-ratelimit-requests-limit": "50",
                "anthropic-ratelimit-requests-remaining": "49",
                "anthropic-ratelimit-requests-reset": "2027-01-15T08:00:09Z",
                "anthropic-ratelimit-input-tokens-remaining": "7",
                "anthropic-ratelimit-output-tokens-reset": "2027-01-15T08:00:01.5+00:00",
            },
            RateLimits(Window(50, 49, 9.0), input_tokens=Window(remaining=7), output_tokens=Window(reset=1.5)),
        ),
        ({"anthropic-ratelimit-requests-reset": "2027-99-99T08:00:09Z"}, RateLimits()),
        # The IETF draft as the Hugging Face hub sends it.
        (
            {
                "ratelimit": '"api";r=999;t=295',
                "ratelimit-policy": '"fixed window";"api";q=1000;w=300',
            },
            RateLimits(Window(1000, 999, 295.0)),
        ),
        ({"ratelimit": "limit=100, remaining=50, reset=5"}, RateLimits(Window(100, 50, 5.0))),
        (
            {"ratelimit-limit": "100, 100;w=60", "ratelimit-remaining": "3", "ratelimit-reset": "9"},
            RateLimits(Window(100, 3, 9.0)),
        ),
    ],
)
def test_rate_limits(headers: dict[str, str], expected: RateLimits) -> None:
    found = rate_limits(headers, NOW)
    for name in ("requests", "tokens", "input_tokens", "output_tokens"):
        window, wanted = getattr(found, name), getattr(expected, name)
        assert (window.limit, window.remaining) == (wanted.limit, wanted.remaining), name
        assert window.reset == pytest.approx(wanted.reset), name
    assert bool(found) is bool(expected)


def test_instants_are_measured_against_the_responses_own_date() -> None:
    headers = {
        "date": "Thu, 01 Jan 2026 00:00:00 GMT",
        "anthropic-ratelimit-tokens-reset": "2026-01-01T00:00:30Z",
    }
    assert rate_limits(headers, NOW).tokens.reset == 30.0


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "retry-after",
                "retry-after-ms",
                "date",
                "x-ratelimit-reset-tokens",
                "x-ratelimit-limit-requests",
                "anthropic-ratelimit-tokens-reset",
                "ratelimit",
                "ratelimit-policy",
                "ratelimit-limit",
            ]
        ),
        st.text(st.characters(codec="latin-1"), max_size=40)
        | st.sampled_from(["1s", "١٢", "0\x1f", "1_0", "0001-01-01T00:00:00Z", "Mon, 99"]),
    )
)
def test_no_value_breaks_the_readers(headers: dict[str, str]) -> None:
    wait = retry_after(headers)
    assert wait is None or 0 <= wait <= 31 * 86400
    limits = rate_limits(headers, NOW)
    assert limits.tokens.reset is None or limits.tokens.reset >= 0


def test_recorded_headers_are_all_understood() -> None:
    if not TRAFFIC.is_dir():
        pytest.skip("recorded traffic is not part of this checkout")
    told = 0
    for family in ("openai", "anthropic", "groq"):
        with gzip.open(TRAFFIC / f"{family}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for line in lines:
                record = json.loads(line)
                headers = {
                    name: (value[0] if isinstance(value, list) else value)
                    for name, value in record["response_headers"].items()
                }
                if any(mask in str(headers.values()) for mask in ("XXX", "REDACTED")):
                    continue
                limits = rate_limits(headers, NOW)
                for name in ("requests", "tokens"):
                    prefix = "anthropic-ratelimit-{name}-{what}"
                    prefix = prefix if family == "anthropic" else "x-ratelimit-{what}-{name}"
                    for what in ("limit", "remaining", "reset"):
                        if prefix.format(name=name, what=what) in headers:
                            told += 1
                            assert getattr(getattr(limits, name), what) is not None, record["ident"]
    assert told > 3000
