"""What metered use costs: tiers, fees, factors, several models; bills computed again."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.core.accumulate import collect
from aistrale.core.sse import SSE, SSEParser
from aistrale.cost import price, price_usage
from aistrale.cost.book.price_book import PriceBook, price_book
from aistrale.cost.meter import BUCKETS, Line, Metered, ledger_form, meter
from aistrale.cost.meter_conditions import plain_conditions
from aistrale.cost.pricing import price_metered, reprice
from aistrale.dialects import chat_dialect, gemini_generate
from aistrale.dialects.base import ANY
from aistrale.policies.journal import fill_usage
from aistrale.store.records import AttemptRow
from aistrale.types import Cost, Usage

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def model(provider, name, rates, **more):
    period = {"rates": rates, "source": 0, "checked_on": "2026-11-22", **more}
    return {"provider": provider, "id": name, "periods": [period]}


TEXT = {"input": "2", "output": "10", "cache_read": "0.2", "cache_write": "2.5", "cache_write_1h": "4"}
LONG = [{"tokens": 1000, "rates": {"input": "4", "cache_read": "0.4", "cache_write": "5", "cache_write_1h": "8"}}]
BOOK = PriceBook.load(
    json.dumps(
        {
            "format": 1,
            "as_of": "2026-11-22",
            "sources": ["these tests"],
            "models": [
                model("anthropic", "claude-a", {**TEXT, "geo_us": "1.1", "web_search": "10"}, above=LONG),
                model("anthropic", "claude-b", {"input": "5", "output": "25"}),
                model("openai", "gpt-a", {**TEXT, "residency": "1.1", "web_search": "10", "file_search": "2.5"}),
                model("openai", "gpt-old", {"input": "1", "output": "1", "audio_input": "8"}),
                model("openai", "talk", {**TEXT, "audio_input": "32", "audio_output": "64", "image_input": "5"}),
                model("openai", "per-request", {"input": "1", "output": "1", "request": "0.005"}),
                model("openai", "hear", {"audio_hours": "0.36"}),
                model("openai", "speak", {"characters": "15"}),
                model("groq", "hear", {"audio_hours": "0.04", "audio_min_seconds": "10"}),
                model("gemini", "gemini-two", {**TEXT, "web_search": "35"}, web_search_per="prompt"),
                model(
                    "gemini",
                    "gemini-three",
                    {**TEXT, "web_search": "14", "maps_grounding": "14"},
                    web_search_per="query",
                ),
            ],
        }
    ).encode()
)


def cost_of(provider, name, usage, **conditions):
    return price_metered(BOOK, provider, name, meter(provider, name, usage, **conditions), NOW)


CHAT = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
CLAUDE = {"input_tokens": 1000, "output_tokens": 100}
GEMINI = {"promptTokenCount": 1000, "candidatesTokenCount": 100}


@pytest.mark.parametrize(
    ("provider", "name", "usage", "conditions", "expected"),
    [
        ("openai", "gpt-a", CHAT, {}, "0.003"),
        ("openai", "gpt-a", CHAT, {"data_residency": "eu"}, "0.0033"),
        ("openai", "gpt-a", CHAT, {"data_residency": "jp", "web_search_calls": 2}, "0.0233"),
        ("openai", "gpt-a", CHAT, {"web_search_calls": 2, "file_search_calls": 4}, "0.033"),
        ("openai", "per-request", CHAT, {}, "0.0061"),
        ("openai", "hear", {"type": "duration", "seconds": 37}, {}, "0.0037"),
        ("openai", "hear", {"type": "duration", "seconds": 0.5}, {}, "0.00005"),
        ("openai", "speak", {"characters": 1000}, {}, "0.015"),
        ("groq", "hear", {"audio_seconds": 90}, {}, "0.001"),
        ("groq", "hear", {"audio_seconds": 1}, {}, "0.000111111111111111"),
        ("anthropic", "claude-a", CLAUDE, {}, "0.003"),
        ("anthropic", "claude-a", {**CLAUDE, "inference_geo": "us"}, {}, "0.0033"),
        ("anthropic", "claude-a", {**CLAUDE, "cache_read_input_tokens": 1}, {}, "0.0050004"),
        (
            "anthropic",
            "claude-a",
            {
                **CLAUDE,
                "iterations": [
                    {"type": "message", "input_tokens": 600, "output_tokens": 60},
                    {"type": "message", "input_tokens": 400, "output_tokens": 40},
                    {"type": "advisor_message", "model": "claude-b", "input_tokens": 2000, "output_tokens": 10},
                    {"type": "compaction", "input_tokens": 3000, "output_tokens": 10},
                ],
            },
            {},
            # The longest prompt of the answer itself is below the limit; the compaction is beyond it.
            "0.02535",
        ),
        # Sound and images that the model's table does not tell apart from text.
        (
            "gemini",
            "gemini-two",
            {
                **GEMINI,
                "promptTokensDetails": [
                    {"modality": "AUDIO", "tokenCount": 300},
                    {"modality": "VIDEO", "tokenCount": 700},
                ],
            },
            {},
            "0.003",
        ),
        ("gemini", "gemini-two", GEMINI, {"web_search_queries": 3, "grounded_prompts": 1}, "0.038"),
        ("gemini", "gemini-two", GEMINI, {"web_search_queries": 3}, "0.038"),
        ("gemini", "gemini-three", GEMINI, {"web_search_queries": 3, "grounded_prompts": 1}, "0.045"),
        ("gemini", "gemini-three", GEMINI, {"web_search_calls": 2}, "0.031"),
        ("gemini", "gemini-three", GEMINI, {"maps_grounding": 1}, "0.017"),
        ("google", "publishers/google/models/gemini-three", GEMINI, {}, "0.003"),
        ("vertex", "models/gemini-three", GEMINI, {}, "0.003"),
        # Claude on Vertex, where the book has no price of Google's own.
        ("google", "anthropic/claude-b@20250929", CLAUDE, {}, "0.0075"),
        ("anthropic", "anthropic/claude-b", CLAUDE, {}, "0.0075"),
        ("openai", "talk", {**CHAT, "prompt_tokens_details": {"audio_tokens": 500, "image_tokens": 100}}, {}, "0.0183"),
        ("openai", "nobody", None, {"http_status": 404}, "0"),
        ("anthropic", "claude-a", {**CLAUDE, "output_tokens": 0}, {"stop_reason": "refusal"}, "0"),
    ],
)
def test_amounts(provider, name, usage, conditions, expected):
    cost = cost_of(provider, name, usage, **conditions)
    assert cost.usd == Decimal(expected)
    assert not cost.estimated


@pytest.mark.parametrize(
    ("provider", "name", "usage", "conditions", "said"),
    [
        ("openai", "gpt-99", CHAT, {}, "no openai/gpt-99"),
        ("anthropic", "claude-b", {**CLAUDE, "cache_creation_input_tokens": 1}, {}, "cache_write tokens of"),
        ("openai", "gpt-old", CHAT, {"web_search_calls": 1}, "searches of openai/gpt-old"),
        ("openai", "gpt-old", CHAT, {"file_search_calls": 1}, "searches of files"),
        ("openai", "gpt-a", {"seconds": 5}, {}, "hours of sound"),
        ("openai", "gpt-a", {**CHAT, "prompt_tokens_details": {"audio_tokens": 1}}, {}, "audio_input"),
        ("anthropic", "claude-b", {**CLAUDE, "inference_geo": "us"}, {}, "geography us"),
        ("anthropic", "claude-a", CLAUDE, {"speed": "fast"}, "speed=fast"),
        (
            "anthropic",
            "claude-a",
            {**CLAUDE, "iterations": [{"type": "advisor_message", "model": "claude-z", "input_tokens": 1}]},
            {},
            "anthropic/claude-z",
        ),
        ("openai", "gpt-a", CHAT, {"image_generation": {"model": None, "usage": CHAT}}, "made the images"),
    ],
)
def test_one_thing_without_a_rate_makes_the_whole_unknown(provider, name, usage, conditions, said):
    cost = cost_of(provider, name, usage, **conditions)
    assert cost.usd is None
    assert said in cost.reason


def test_a_fee_for_each_request_is_charged_once():
    lines = (Line(None, 1, {"input": 1000}), Line(None, 1, {"output": 1000}), Line("gpt-old", 1, {"input": 1000}))
    assert price_metered(BOOK, "openai", "per-request", Metered(lines), NOW).usd == Decimal("0.008")


def test_what_is_a_best_guess_is_marked():
    told = {**CLAUDE, "server_tool_use": {"web_fetch_requests": 2}}
    assert cost_of("anthropic", "claude-a", told) == Cost(Decimal("0.003"), book=BOOK.label)
    summed = cost_of("anthropic", "claude-a", {**told, "input_tokens": 5000})
    assert (summed.usd, summed.estimated) == (Decimal("0.011"), True)
    assert "several prompts" in summed.reason
    some = cost_of("gemini", "gemini-three", GEMINI, grounded_prompts=1)
    assert (some.usd, some.estimated) == (Decimal("0.017"), True)
    broken = cost_of("anthropic", "claude-a", {"message_start": CLAUDE, "received_text_chars": 9})
    assert (broken.usd, broken.estimated) == (Decimal("0.003"), True)


def test_an_old_model_has_no_uplift_for_its_region_and_that_is_said():
    cost = cost_of("openai", "gpt-old", CHAT, data_residency="eu")
    assert (cost.usd, cost.estimated) == (Decimal("0.0011"), False)
    assert "uplift" in cost.reason


def test_images_of_a_hosted_tool_are_billed_at_their_own_model():
    made = {"input_tokens": 10, "output_tokens": 20, "input_tokens_details": {"text_tokens": 10, "image_tokens": 0}}
    told = {**made, "output_tokens_details": {"image_tokens": 0, "text_tokens": 20}}
    cost = cost_of("openai", "gpt-a", CHAT, image_generation=json.dumps({"model": "gpt-old", "usage": told}))
    assert cost.usd == Decimal("0.00303")


def test_refusals_were_billed_before_the_second_of_june_2026():
    metered = meter("anthropic", "claude-a", {**CLAUDE, "output_tokens": 0}, stop_reason="refusal")
    before, since = (datetime(2026, 6, day, tzinfo=UTC) for day in (1, 2))
    assert price_metered(BOOK, "anthropic", "claude-a", metered, before).usd == Decimal("0.002")
    assert price_metered(BOOK, "anthropic", "claude-a", metered, since).usd == 0


def test_the_book_is_named_wherever_it_was_asked():
    assert cost_of("openai", "gpt-a", CHAT).book == BOOK.label
    assert cost_of("openai", "gpt-99", CHAT).book == BOOK.label
    assert cost_of("openai", "gpt-a", None).book is None
    assert cost_of("openai", "gpt-a", None, http_status=500).book is None
    assert price("openai", "gpt-a", CHAT, at=NOW, book=BOOK) == cost_of("openai", "gpt-a", CHAT)


# --- invariants --------------------------------------------------------------------------------------------------

UNITS = ("input", "output", "cache_read", "cache_write", "cache_write_1h")
LINES = st.lists(
    st.builds(
        Line,
        st.sampled_from([None, "claude-a"]),
        st.none() | st.integers(0, 5000),
        st.dictionaries(st.sampled_from(UNITS), st.integers(0, 10**9)),
    ),
    min_size=1,
    max_size=4,
)


def charge(lines, **conditions):
    return price_metered(BOOK, "anthropic", "claude-a", Metered(tuple(lines), conditions), NOW).usd


@given(LINES, st.sampled_from([{}, {"inference_geo": "us"}]))
def test_a_bill_is_the_sum_of_its_lines(lines, conditions):
    whole = charge(lines, **conditions)
    assert whole == sum(charge([line], **conditions) for line in lines)
    assert whole >= 0


@given(LINES, st.sampled_from(UNITS), st.integers(0, 10**6))
def test_more_use_never_costs_less(lines, unit, more):
    first = lines[0]
    grown = replace(first, units={**first.units, unit: first.units.get(unit, 0) + more})
    assert charge([grown, *lines[1:]]) >= charge(lines)
    if first.prompt is not None:
        assert charge([replace(first, prompt=first.prompt + more), *lines[1:]]) >= charge(lines)


USAGES = st.builds(
    Usage,
    **dict.fromkeys(BUCKETS, st.none() | st.integers(0, 10**7)),
    source=st.sampled_from(["reported", "estimated"]),
)
CONDITIONS = st.sampled_from(
    [
        {},
        {"service_tier": "default"},
        {"service_tier": "flex"},
        {"processing": "batch"},
        {"web_search_calls": "2"},
        {"data_residency": "eu"},
    ]
)


@given(USAGES, CONDITIONS, st.sampled_from(["gpt-6-sol", "gpt-5-mini", "gpt-audio", "nobody"]))
def test_a_bill_from_the_ledger_is_the_same_again(usage, conditions, name):
    cost = price_usage("openai", name, usage, at=NOW, **conditions)
    row = AttemptRow(
        call_id="c", attempt=1, at=NOW.timestamp(), latency=1.0, provider="openai", model=name, target=f"openai/{name}",
        streamed=False, outcome="success", cost=None if cost.usd is None else str(cost.usd), cost_reason=cost.reason,
    )  # fmt: skip
    fill_usage(row, usage)
    if cost.book is not None:
        row.book, row.metered = cost.book, json.loads(json.dumps(ledger_form("openai", name, usage, conditions)))
    again = reprice(row, price_book())
    assert (again.usd, again.book) == (cost.usd, cost.book)
    assert again.estimated == cost.estimated or usage.total is None


def test_a_row_without_a_book_costs_what_stands_there():
    row = AttemptRow(
        call_id="c", attempt=1, at=0.0, latency=1.0, provider="openai", model="gpt-a", target="openai/gpt-a",
        streamed=False, outcome="error", status=429, cost="0", cost_reason="refused with status 429",
    )  # fmt: skip
    assert reprice(row, BOOK) == Cost(Decimal(0), "refused with status 429")


def test_a_bill_can_be_computed_with_another_book():
    row = AttemptRow(
        call_id="c", attempt=1, at=NOW.timestamp(), latency=1.0, provider="openai", model="gpt-a", target="openai/gpt-a",
        streamed=False, outcome="success", response_model="gpt-unknown", cost=None, book="another", input=1000, output=100,
    )  # fmt: skip
    assert reprice(row, BOOK) == Cost(Decimal("0.003"), book=BOOK.label)


# --- decoded and verbatim usage, on recorded traffic -------------------------------------------------------------


def exchanges():
    if not SHARED.exists():
        pytest.skip("../shared is not there")
    dialects = {"messages": "anthropic_messages", "chat/completions": "openai_chat", "responses": "openai_responses"}
    for provider, file in (("openai", "openai"), ("anthropic", "anthropic"), ("gemini", "google"), ("groq", "groq")):
        with gzip.open(SHARED / "traffic" / f"{file}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for record in map(json.loads, lines):
                dialect = dialects.get(record["endpoint"], "gemini_generate" if provider == "gemini" else None)
                if record["status"] != 200 or not isinstance(record["response_body"], str) or dialect is None:
                    continue
                if "embed" in record["endpoint"].lower() or not record["model"]:
                    continue
                yield provider, record, chat_dialect(dialect)


def answer_of(record, codec):
    """The decoded answer, and the last usage object of the body, verbatim; None without one."""
    body = record["response_body"]
    if record["sse"]:
        parser, decoder = SSEParser(), codec.event_decoder(ANY)
        frames = [*parser.feed(body.encode()), *parser.finish()]
        events = [event for frame in frames for event in decoder.feed(frame)]
        return collect([*events, *decoder.finish()])
    if body.lstrip().startswith("["):
        decoder = codec.event_decoder(ANY)
        events = [event for text in gemini_generate.array_events(body) for event in decoder.feed(SSE("", text))]
        return collect([*events, *decoder.finish()])
    document = json.loads(body)
    return None if codec.is_error_body(document) else codec.decode_response(document)


def test_recorded_usage_costs_the_same_decoded_and_verbatim():
    seen = plain = 0
    for provider, record, codec in exchanges():
        try:
            answer = answer_of(record, codec)
        except ValueError:
            continue
        usage = None if answer is None else answer.usage
        if usage is None or usage.raw is None or usage.source == "estimated":
            continue
        seen += 1
        plain += plain_conditions(usage, {}) is not None
        decoded = price_usage(provider, record["model"], usage, at=NOW)
        verbatim = price(provider, record["model"], usage.raw, at=NOW)
        assert decoded.usd == verbatim.usd, record["ident"]
    assert seen > 1500
    assert plain > 0.8 * seen
