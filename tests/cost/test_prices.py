from __future__ import annotations

import decimal
import gzip
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.cost import price, price_usage
from aistrale.cost.book.price_book import price_book
from aistrale.cost.meter import BUCKETS
from aistrale.dialects.shape import MalformedBody
from aistrale.types import Usage

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def usd(text):
    return Decimal(text)


@pytest.mark.parametrize(
    ("provider", "model", "usage", "expected"),
    [
        # Worked out by hand from the providers' price lists of November 2026: tokens times dollars per million.
        ("openai", "gpt-5-mini", Usage(input=1000, output=200), usd("0.00065")),  # 1000 * .25 + 200 * 2
        ("openai", "gpt-5-mini", Usage(input=1000, cache_read=9000, output=0), usd("0.000475")),
        ("openai", "gpt-5-mini", Usage(input=0, output=10, reasoning=90), usd("0.0002")),
        ("openai", "gpt-5.6", Usage(input=8, cache_write=4012, output=4), usd("0.020172")),
        ("openai", "gpt-5.6-sol", Usage(input=0, cache_write_30m=100, cache_write_12h=100), usd("0.0015")),
        ("openai", "gpt-audio", Usage(input=20, audio_input=44, output=30, audio_output=120), usd("0.009438")),
        ("openai", "text-embedding-3-small", Usage(input=1000), usd("0.00002")),
        (
            "anthropic",
            "claude-opus-4-8",
            Usage(input=100, cache_read=5000, cache_write_5m=2000, cache_write_1h=3000, output=400),
            usd("0.0555"),
        ),
        ("gemini", "gemini-2.5-flash", Usage(input=85, audio_input=144, output=17), usd("0.000212")),
        ("google", "gemini-2.5-flash", Usage(input=85, audio_input=144, output=17), usd("0.000212")),
        ("gemini", "gemini-3.8-flash", Usage(input=100, image_input=100, tool_input=100), usd("0.000225")),
        ("groq", "openai/gpt-oss-120b", Usage(input=80, cache_read=256, output=96), usd("0.0000888")),
        ("huggingface", "meta-llama/Llama-3.3-70B-Instruct:nebius", Usage(input=1000, output=500), usd("0.000625")),
        ("openai", "gpt-5-mini", Usage(input=0, output=0), usd(0)),
    ],
)
def test_prices(provider, model, usage, expected):
    cost = price_usage(provider, model, usage, at=NOW)
    assert cost.usd == expected
    assert cost.reason is None


@pytest.mark.parametrize(
    ("model", "prompt", "expected"),
    [
        # More than 272,000 tokens of prompt, cached ones included: everything at the higher rate.
        ("gpt-6-sol", Usage(input=272_000, output=1000), usd("0.554")),
        ("gpt-6-sol", Usage(input=272_001, output=1000), usd("1.103004")),
        ("gpt-6-sol", Usage(input=200_000, cache_read=100_000, output=2000), usd("0.87")),
    ],
)
def test_long_prompts_cost_more_beyond_the_limit(model, prompt, expected):
    assert price_usage("openai", model, prompt, at=NOW).usd == expected


@pytest.mark.parametrize(
    ("provider", "model", "day", "usage", "expected"),
    [
        ("openai", "gpt-5.6-sol", "2026-08-20", Usage(input=8, cache_read=4012, output=4), usd("0.002166")),
        ("openai", "gpt-5.6-sol", "2026-08-21", Usage(input=8, cache_read=4012, output=4), usd("0.0017168")),
        ("openai", "o3", "2025-06-01", Usage(input=10_000, output=1000), usd("0.14")),
        ("gemini", "gemini-4-argon", "2026-11-30", Usage(input=10_000, output=1000), usd("0.03")),
        ("gemini", "gemini-4-argon", "2026-12-01", Usage(input=10_000, output=1000), usd("0.06")),
        ("anthropic", "claude-sonnet-4-5", "2026-03-01", Usage(input=300_000, output=1000), usd("1.8225")),
        ("anthropic", "claude-sonnet-4-5", "2026-11-22", Usage(input=300_000, output=1000), usd("0.915")),
    ],
)
def test_the_price_of_the_day_counts(provider, model, day, usage, expected):
    at = datetime.fromisoformat(f"{day}T00:00:00+00:00")
    assert price_usage(provider, model, usage, at=at).usd == expected


def test_the_day_is_that_of_utc():
    usage = Usage(input=10_000, output=1000)
    evening = datetime.fromisoformat("2026-11-30T20:00:00-05:00")
    assert price_usage("gemini", "gemini-4-argon", usage, at=evening).usd == usd("0.06")
    with pytest.raises(ValueError, match="time zone"):
        price_usage("gemini", "gemini-4-argon", usage, at=datetime(2026, 11, 30))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("provider", "model", "conditions", "usage", "expected"),
    [
        ("openai", "gpt-6-sol", {"processing": "batch"}, Usage(input=6000, cache_read=4000, output=1000), "0.0114"),
        ("openai", "gpt-6-sol", {"service_tier": "flex"}, Usage(input=10_000, output=1000), "0.015"),
        ("openai", "gpt-6-sol", {"service_tier": "priority"}, Usage(input=10_000, output=1000), "0.06"),
        ("openai", "gpt-6-sol", {"service_tier": "default"}, Usage(input=10_000, output=1000), "0.03"),
        ("openai", "gpt-6-sol", {"service_tier": "flex"}, Usage(input=300_000), "0.6"),
        ("openai", "gpt-4o-mini", {"processing": "batch"}, Usage(input=3000, cache_read=2000, output=500), "0.000525"),
        ("anthropic", "claude-opus-4-8", {"speed": "fast"}, Usage(input=2000, cache_read=10_000, output=1000), "0.08"),
        ("anthropic", "claude-haiku-4-5", {"service_tier": "batch"}, Usage(input=1000, output=500), "0.00175"),
        ("openai", "gpt-5", {"web_search_calls": 2, "stream": True}, Usage(input=1000, output=0), "0.02125"),
        ("gemini", "gemini-3.5-flash-lite", {"web_search_queries": 3}, Usage(input=100, output=200), "0.04253"),
        (
            "huggingface",
            "meta-llama/Llama-3.3-70B-Instruct",
            {"inference_provider": "together"},
            Usage(input=1000, output=500),
            "0.00156",
        ),
    ],
)
def test_conditions(provider, model, conditions, usage, expected):
    assert price_usage(provider, model, usage, at=NOW, **conditions).usd == usd(expected)


@pytest.mark.parametrize(
    ("provider", "model", "usage", "conditions", "said"),
    [
        ("openai", "gpt-99", Usage(input=1), {}, "the price book has no openai/gpt-99"),
        ("local", "llama", Usage(input=1), {}, "the price book has no local/llama"),
        ("openai", "gpt-6.2-astra", Usage(input=1), {}, "no openai/gpt-6.2-astra"),
        ("gemini", "gemma-9-31b-it", Usage(input=1), {}, "no gemini/gemma-9-31b-it"),
        ("huggingface", "deepseek-ai/DeepSeek-R1", Usage(input=1), {}, "backend"),
        ("huggingface", "deepseek-ai/DeepSeek-R1:nobody", Usage(input=1), {}, "no price"),
        ("openai", "gpt-5-mini", Usage(), {}, "no usage"),
        ("openai", "gpt-5-mini", None, {}, "no usage"),
        ("openai", "gpt-5-mini", Usage(input=5, audio_output=1), {}, "audio_output"),
        ("anthropic", "claude-2.1", Usage(input=5, cache_write=1), {}, "cache_write"),
        ("openai", "gpt-5-mini", Usage(input=5), {"weather": "fine"}, "the condition weather"),
        ("openai", "gpt-5-mini", Usage(input=5), {"web_search_calls": "some"}, "web_search_calls"),
        ("openai", "gpt-5-mini", Usage(input=5), {"service_tier": "gold"}, "service_tier=gold"),
        ("openai", "gpt-5.6-sol", Usage(input=5), {"service_tier": "flex"}, None),
        ("openai", "gpt-5-mini", Usage(input=5), {"speed": "fast"}, "speed=fast"),
        ("groq", "llama-3.1-8b-instant", Usage(input=5), {"web_search_calls": 1}, "searches"),
        ("anthropic", "claude-sonnet-4-6", Usage(input=5, raw={"inference_geo": "mars"}), {}, "geography mars"),
        ("anthropic", "claude-haiku-4-5", {"input_tokens": 5, "service_tier": "priority"}, {}, "service_tier=priority"),
        (
            "gemini",
            "gemini-2.5-flash",
            {"promptTokenCount": 5, "trafficType": "PROVISIONED_THROUGHPUT"},
            {},
            "reserved",
        ),
        ("gemini", "gemini-2.5-flash", {"trafficType": "ON_DEMAND"}, {}, "no usage"),
        ("openai", "gpt-5-mini", {"received_text_chars": 800}, {"aborted": True}, "no usage"),
    ],
)
def test_what_is_not_known_stays_unknown_and_says_why(provider, model, usage, conditions, said):
    cost = price(provider, model, usage, at=NOW, **conditions)
    if said is None:
        assert cost.usd is not None
    else:
        assert cost.usd is None
        assert said in cost.reason


def test_a_variant_has_a_price_in_the_past_where_it_halves_prices():
    usage = Usage(input=1000)
    before = datetime(2026, 8, 1, tzinfo=UTC)
    assert price_usage("openai", "gpt-5.6-sol", usage, at=before).usd == usd("0.005")
    assert price_usage("openai", "gpt-5.6-sol", usage, at=before, service_tier="flex").usd == usd("0.0025")
    before = datetime(2025, 6, 1, tzinfo=UTC)
    assert price_usage("openai", "o3", usage, at=before, processing="batch").usd == usd("0.005")
    assert price_usage("openai", "o3", usage, at=before, service_tier="priority").usd is None


@pytest.mark.parametrize(
    ("provider", "model", "usage", "expected"),
    [
        # No price list has a column for these: they cost what any tokens of their kind do.
        ("openai", "gpt-4-turbo", Usage(input=500, cache_read=500), usd("0.01")),
        ("openai", "gpt-5", Usage(input=500, cache_write=500), usd("0.00125")),
        ("huggingface", "openai/gpt-oss-120b:novita", Usage(input=500, cache_read=500), usd("0.00005")),
        ("groq", "llama-3.3-70b-versatile", Usage(input=500, cache_read=500), usd("0.00059")),
    ],
)
def test_cached_tokens_without_a_discount_cost_what_others_do(provider, model, usage, expected):
    assert price_usage(provider, model, usage, at=NOW).usd == expected


def test_estimated_tokens_are_marked():
    cost = price_usage("openai", "gpt-5-mini", Usage(input=1000, source="estimated"), at=NOW)
    assert cost.usd == usd("0.00025")
    assert "estimated" in cost.reason


RAW = [
    ("openai", "gpt-4o", {"prompt_tokens": 48, "completion_tokens": 14, "total_tokens": 62}, "0.00026"),
    (
        "openai",
        "gpt-5",
        {
            "input_tokens": 33151,
            "input_tokens_details": {"cached_tokens": 4352},
            "output_tokens": 3367,
            "output_tokens_details": {"reasoning_tokens": 2624},
            "total_tokens": 36518,
        },
        "0.07021275",
    ),
    (
        "anthropic",
        "claude-sonnet-4-6",
        {
            "input_tokens": 4,
            "cache_read_input_tokens": 8845,
            "cache_creation_input_tokens": 6,
            "cache_creation": {"ephemeral_5m_input_tokens": 6, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 193,
        },
        "0.005583",
    ),
    (
        "anthropic",
        "claude-sonnet-4-5",
        {"input_tokens": 7744, "output_tokens": 353, "server_tool_use": {"web_search_requests": 1}},
        "0.038527",
    ),
    ("anthropic", "claude-haiku-4-5", {"input_tokens": 1000, "output_tokens": 500, "service_tier": "batch"}, "0.00175"),
    (
        "google",
        "gemini-2.5-flash",
        {"promptTokenCount": 154, "candidatesTokenCount": 34, "thoughtsTokenCount": 117, "totalTokenCount": 305},
        "0.0004237",
    ),
    (
        "gemini",
        "gemini-2.5-flash",
        {
            "promptTokenCount": 100,
            "cachedContentTokenCount": 60,
            "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 10}, {"modality": "TEXT", "tokenCount": 50}],
            "candidatesTokenCount": 0,
        },
        "0.0000145",
    ),
    (
        "groq",
        "llama-3.3-70b-versatile",
        {"prompt_tokens": 48, "completion_tokens": 8, "total_time": 0.03},
        "0.00003464",
    ),
]


@pytest.mark.parametrize(("provider", "model", "raw", "expected"), RAW)
def test_a_provider_s_own_usage_object(provider, model, raw, expected):
    before = json.dumps(raw)
    assert price(provider, model, raw, at=NOW).usd == usd(expected)
    assert json.dumps(raw) == before


def test_a_usage_object_of_a_wrong_shape_is_an_error():
    with pytest.raises(MalformedBody):
        price("openai", "gpt-4o", {"prompt_tokens": "many"})


COUNTS = st.one_of(st.none(), st.integers(0, 10**7))
USAGES = st.builds(Usage, **dict.fromkeys(BUCKETS, COUNTS))


@given(USAGES)
def test_the_price_is_a_sum_over_the_buckets(usage):
    # A table with nearly every rate: each bucket alone must add up to the whole.
    whole = price_usage("openai", "gpt-5.6-sol", usage, at=NOW)
    rates = price_book().rates("openai", "gpt-5.6-sol", {})[0]
    table = rates.tiers[0].rates if (usage.input_total or 0) > 272_000 else rates.rates
    known = all(table.get(unit) for bucket, unit in BUCKETS.items() if getattr(usage, bucket))
    if usage.total is None or not known:
        assert whole.usd is None
        assert whole.reason
    else:
        parts = (table.get(unit, 0) * (getattr(usage, bucket) or 0) for bucket, unit in BUCKETS.items())
        assert whole.usd == sum(parts) / 1_000_000


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_the_sum_is_exact_whatever_precision_the_application_chose(prompt, answer):
    usage = Usage(input=prompt, output=answer)
    exact = price_usage("openai", "gpt-4o", usage, at=NOW).usd
    with decimal.localcontext() as context:
        context.prec = 3
        assert price_usage("openai", "gpt-4o", usage, at=NOW).usd == exact


def test_every_model_with_a_price_of_text_gives_one():
    for model in price_book().models():
        current = next((row for row in reversed(model.rows) if not row.when), None)
        if current is None or not current.rates.get("input") or (current.end or NOW.date()) < NOW.date():
            continue
        name = model.id if model.backend is None else f"{model.id}:{model.backend}"
        cost = price_usage(model.provider, name, Usage(input=1_000_000), at=NOW)
        assert cost.usd is not None, (name, cost.reason)
        assert cost.usd > 0, name
        assert cost.book == price_book().label


def test_recorded_usage_of_known_models_is_priced():
    if not SHARED.exists():
        pytest.skip("../shared is not there")
    seen = priced = 0
    unpriced = set()
    for name, file in (("openai", "openai"), ("anthropic", "anthropic"), ("gemini", "google"), ("groq", "groq")):
        with gzip.open(SHARED / "traffic" / f"{file}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for record in map(json.loads, lines):
                raw = usage_of(record)
                if raw is None or "azure" in record["provider"] or not record["model"]:
                    continue
                seen += 1
                cost = price(name, record["model"], raw, at=NOW)
                if cost.usd is not None:
                    priced += 1
                else:
                    unpriced.add(f"{name}/{record['model']}: {cost.reason}")
    print(f"{priced} of {seen} recorded usages priced; not: {sorted(unpriced)}")  # noqa: T201 - shown with -s
    assert seen > 1000
    assert priced / seen > 0.97


def usage_of(record):
    if record["sse"] or record["status"] != 200 or not isinstance(record["response_body"], str):
        return None
    try:
        body = json.loads(record["response_body"])
    except ValueError:
        return None
    if not isinstance(body, dict):
        return None
    return body.get("usage") or body.get("usageMetadata")


def test_vectors():
    file = SHARED / "cost_vectors.json"
    if not file.exists():
        pytest.skip("../shared is not there")
    wrong = set()
    for vector in json.loads(file.read_text(encoding="utf-8"))["vectors"]:
        at = datetime.fromisoformat(vector["request_timestamp"])
        cost = price(vector["provider"], vector["model"], vector["usage"], at=at, **vector["context"])
        expected = vector["expected_usd"]
        if expected is None or cost.usd is None:
            exact = expected is None and cost.usd is None and bool(cost.reason)
        else:
            exact = abs(cost.usd - Decimal(expected)) <= Decimal(vector.get("tolerance", 0))
        if not exact:
            wrong.add(vector["id"])
    assert not wrong
