"""What exchanges used: every trap of the providers' usage objects, on objects of our own."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.cost.meter import BUCKETS, Line, Metered, ledger_form, meter
from aistrale.dialects.shape import MalformedBody
from aistrale.types import Usage


def units(provider, model, usage, **conditions):
    """The units of the only line, without those that are 0."""
    (line,) = meter(provider, model, usage, **conditions).lines
    return {name: count for name, count in line.units.items() if count}


# --- OpenAI and those who count like it --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "total_tokens": 150,
                "prompt_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 20},
                "completion_tokens_details": {"reasoning_tokens": 40, "rejected_prediction_tokens": 5},
            },
            {"input": 50, "cache_read": 30, "cache_write": 20, "output": 50},
        ),
        (
            {
                "input_tokens": 100,
                "output_tokens": 5,
                "input_tokens_details": {
                    "cached_tokens": 10,
                    "cache_write_tokens": 60,
                    "cache_write_tokens_details": {"ttl_30m_tokens": 20, "ttl_12h_tokens": 40},
                },
            },
            {"input": 30, "cache_read": 10, "cache_write": 20, "cache_write_12h": 40, "output": 5},
        ),
        # Sound and images are parts of both sums, and of what was cached.
        (
            {
                "input_tokens": 1000,
                "output_tokens": 300,
                "input_token_details": {
                    "text_tokens": 300,
                    "audio_tokens": 600,
                    "image_tokens": 100,
                    "cached_tokens": 550,
                    "cached_tokens_details": {"text_tokens": 100, "audio_tokens": 400, "image_tokens": 50},
                },
                "output_token_details": {"text_tokens": 50, "audio_tokens": 250},
            },
            {
                "input": 200,
                "cache_read": 100,
                "audio_input": 200,
                "audio_cache_read": 400,
                "image_input": 50,
                "image_cache_read": 50,
                "output": 50,
                "audio_output": 250,
            },
        ),
        # More was cached than there was text: the rest must have been sound.
        (
            {"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 50, "audio_tokens": 80}},
            {"cache_read": 20, "audio_cache_read": 30, "audio_input": 50},
        ),
        # The images API, without and with its output told apart.
        (
            {
                "input_tokens": 50,
                "output_tokens": 400,
                "input_tokens_details": {"text_tokens": 40, "image_tokens": 10},
            },
            {"input": 40, "image_input": 10, "image_output": 400},
        ),
        (
            {
                "input_tokens": 50,
                "output_tokens": 400,
                "input_tokens_details": {"text_tokens": 50, "image_tokens": 0},
                "output_tokens_details": {"image_tokens": 380, "text_tokens": 20},
            },
            {"input": 50, "image_output": 380, "output": 20},
        ),
        # Transcriptions by tokens, and by time.
        (
            {
                "type": "tokens",
                "input_tokens": 14,
                "output_tokens": 45,
                "input_token_details": {"text_tokens": 4, "audio_tokens": 10},
            },
            {"input": 4, "audio_input": 10, "output": 45},
        ),
        ({"type": "duration", "seconds": 9.5}, {"audio_seconds": Decimal("9.5")}),
        ({"prompt_tokens": 8, "total_tokens": 8}, {"input": 8}),
        # Some backends count reasoning beside the answer, or leave it out.
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 22,
                "completion_tokens_details": {"reasoning_tokens": 7},
            },
            {"input": 10, "output": 12},
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "completion_tokens_details": None},
            {"input": 10, "output": 5},
        ),
        # Parts that do not fit into their sum.
        (
            {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 50, "cache_write_tokens": 50}},
            {"cache_read": 10},
        ),
    ],
)
def test_openai(usage, expected):
    assert units("openai", "gpt-x", usage) == expected


def test_groq_and_hugging_face():
    assert units("groq", "whisper-large-v3", {"audio_seconds": 4}) == {"audio_seconds": 4}
    twice = {"x_groq": {"id": "req_1", "usage": {"prompt_tokens": 5, "completion_tokens": 2}}}
    assert units("groq", "m", twice) == {"input": 5, "output": 2}
    assert units("groq", "m", {**twice, "usage": twice["x_groq"]["usage"]}) == {"input": 5, "output": 2}
    cached = {"prompt_tokens": 9, "completion_tokens": 1, "cached_tokens": 4, "prompt_tokens_details": None}
    assert units("huggingface", "m", cached) == {"input": 5, "cache_read": 4, "output": 1}


def test_each_model_of_a_compound_system_has_its_line():
    usage = {"prompt_tokens": 30, "completion_tokens": 6, "total_tokens": 36}
    models = [
        {"model": "a", "usage": {"prompt_tokens": 10, "completion_tokens": 4}},
        {"model": "b", "usage": {"prompt_tokens": 20, "completion_tokens": 2}},
    ]
    expected = (Line("a", 10, {"input": 10, "output": 4}), Line("b", 20, {"input": 20, "output": 2}))
    for told in ({"models": models}, json.dumps({"models": models})):
        assert meter("groq", "groq/compound", usage, usage_breakdown=told).lines == expected
    assert meter("groq", "groq/compound", usage, usage_breakdown={"models": None}).lines[0].units["input"] == 30
    # The fee for searches is that of the system, not of the models behind it.
    searched = meter("groq", "groq/compound", usage, usage_breakdown={"models": models}, web_search_calls=2).lines
    assert searched == (*expected, Line(None, None, {"web_search_calls": 2}))


def test_gemini_s_compatible_endpoint_hides_its_thoughts():
    usage = {"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109}
    for provider in ("gemini", "google", "openai"):
        assert units(provider, "gemini-2.5-pro", usage) == {"input": 35, "output": 74}


# --- Anthropic ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {
                "input_tokens": 4,
                "cache_read_input_tokens": 100,
                "cache_creation_input_tokens": 30,
                "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
                "output_tokens": 50,
                "output_tokens_details": {"thinking_tokens": 40},
            },
            {"input": 4, "cache_read": 100, "cache_write": 10, "cache_write_1h": 20, "output": 50},
        ),
        # Writes without a lifetime were for five minutes, the default.
        ({"input_tokens": 4, "cache_creation_input_tokens": 30}, {"input": 4, "cache_write": 30}),
        (
            {"input_tokens": 4, "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2}},
            {"input": 4, "cache_write": 1, "cache_write_1h": 2},
        ),
        # A split that says more than its sum.
        (
            {"input_tokens": 4, "cache_creation_input_tokens": 3, "cache_creation": {"ephemeral_1h_input_tokens": 9}},
            {"input": 4, "cache_write_1h": 3},
        ),
    ],
)
def test_anthropic(usage, expected):
    assert units("anthropic", "claude-x", usage) == expected
    # The same at another cloud.
    assert units("vertex", "publishers/anthropic/models/claude-x@20250929", usage) == expected


def each(kind, given, made, **more):
    return {"type": kind, "input_tokens": given, "output_tokens": made, **more}


def test_every_pass_is_billed_at_its_own_model():
    usage = {
        "input_tokens": 30,
        "output_tokens": 8,
        "iterations": [
            each("message", 10, 5),
            each("advisor_message", 90, 7, model="claude-opus-x"),
            each("compaction", 500, 9, cache_read_input_tokens=40),
            each("message", 20, 3),
        ],
    }
    assert meter("anthropic", "claude-x", usage).lines == (
        Line(None, 10, {"input": 10, "output": 5}),
        Line("claude-opus-x", 90, {"input": 90, "output": 7}),
        Line(None, 540, {"input": 500, "cache_read": 40, "output": 9}),
        Line(None, 20, {"input": 20, "output": 3}),
    )


def test_passes_that_leave_the_answer_out_stand_beside_it():
    usage = {"input_tokens": 30, "output_tokens": 8, "iterations": [each("compaction", 500, 9)]}
    assert [line.units["input"] for line in meter("anthropic", "claude-x", usage).lines] == [500, 30]
    assert [line.prompt for line in meter("anthropic", "claude-x", {**usage, "iterations": []}).lines] == [30]


def test_a_model_that_declined_before_another_answered_is_not_billed():
    passes = [
        each("message", 408, 0, model="claude-fable-5"),
        each("fallback_message", 412, 264, model="claude-opus-4-8"),
    ]
    usage = {"input_tokens": 412, "output_tokens": 264, "iterations": passes}
    expected = (Line("claude-opus-4-8", 412, {"input": 412, "output": 264}),)
    assert meter("anthropic", "claude-fable-5", usage).lines == expected


def test_a_sum_over_turns_is_no_length_of_a_prompt():
    usage = {"input_tokens": 404_500, "output_tokens": 943, "server_tool_use": {"web_search_requests": 10}}
    (line,) = meter("anthropic", "claude-x", usage).lines
    assert line == Line(None, None, {"input": 404_500, "output": 943, "web_search_calls": 10})
    fetched = {**usage, "server_tool_use": {"web_fetch_requests": 1, "web_search_requests": 0}}
    assert meter("anthropic", "claude-x", fetched).lines == (Line(None, None, {"input": 404_500, "output": 943}),)


def test_what_was_seen_of_a_broken_stream_is_a_lower_bound():
    start = {"input_tokens": 1200, "output_tokens": 1}
    seen = meter("anthropic", "claude-x", {"message_start": start, "received_text_chars": 800}, aborted=True)
    assert seen.lines == (Line(None, 1200, {"input": 1200, "output": 1}),)
    assert seen.estimated
    assert "at least" in seen.reason
    nested = {"message_start": {"message": {"usage": start}}, "message_delta": {"usage": {"output_tokens": 9}}}
    assert meter("anthropic", "claude-x", nested).lines[0].units == {"input": 1200, "output": 9}
    assert meter("openai", "gpt-x", {"prompt_tokens": 1, "completion_tokens": 1}, aborted=True).estimated


# --- Gemini ------------------------------------------------------------------------------------------------------


def kinds(**tokens):
    return [{"modality": kind, "tokenCount": count} for kind, count in tokens.items()]


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 7, "totalTokenCount": 22},
            {"input": 10, "output": 12},
        ),
        (
            {"promptTokenCount": 10, "toolUsePromptTokenCount": 30, "candidatesTokenCount": 5},
            {"input": 40, "output": 5},
        ),
        (
            {
                "promptTokenCount": 100,
                "promptTokensDetails": kinds(TEXT=20, AUDIO=30, VIDEO=40, IMAGE=10),
                "cachedContentTokenCount": 45,
                "cacheTokensDetails": kinds(AUDIO=25, VIDEO=20),
                "candidatesTokenCount": 0,
            },
            {
                "input": 20,
                "audio_input": 5,
                "video_input": 20,
                "image_input": 10,
                "audio_cache_read": 25,
                "video_cache_read": 20,
            },
        ),
        # Details of what was not cached only.
        (
            {
                "promptTokenCount": 100,
                "promptTokensDetails": kinds(TEXT=20, AUDIO=40),
                "cachedContentTokenCount": 40,
                "cacheTokensDetails": kinds(AUDIO=40),
            },
            {"input": 20, "audio_input": 40, "audio_cache_read": 40},
        ),
        # Details that do not sum up: the rest is text; pages are images; a kind may have no count.
        (
            {
                "promptTokenCount": 50,
                "promptTokensDetails": [*kinds(DOCUMENT=30), {"modality": "AUDIO"}],
                "candidatesTokenCount": 1336,
                "candidatesTokensDetails": kinds(IMAGE=1290),
            },
            {"input": 20, "image_input": 30, "output": 46, "image_output": 1290},
        ),
        ({"promptTokenCount": 5, "promptTokensDetails": kinds(AUDIO=9)}, {"audio_input": 5}),
        # An answer that is not counted is what the total has more.
        ({"promptTokenCount": 5, "thoughtsTokenCount": 2, "totalTokenCount": 10}, {"input": 5, "output": 5}),
        ({"promptTokenCount": 5, "promptTokenDetails": kinds(IMAGE=4)}, {"input": 1, "image_input": 4}),
        # The Live API's words, and those of Google's SDK.
        (
            {
                "promptTokenCount": 9,
                "responseTokenCount": 8,
                "responseTokensDetails": kinds(AUDIO=6),
                "totalTokenCount": 17,
            },
            {"input": 9, "output": 2, "audio_output": 6},
        ),
        (
            {
                "prompt_token_count": 9,
                "candidates_token_count": 2,
                "prompt_tokens_details": [{"modality": "AUDIO", "token_count": 4}],
            },
            {"input": 5, "audio_input": 4, "output": 2},
        ),
    ],
)
def test_gemini(usage, expected):
    assert units("gemini", "gemini-x", usage) == expected


def test_the_interactions_api_counts_as_gemini_does():
    usage = {
        "total_input_tokens": 100,
        "input_tokens_by_modality": [{"modality": "text", "tokens": 60}, {"modality": "audio", "tokens": 40}],
        "total_cached_tokens": 30,
        "total_output_tokens": 20,
        "total_thought_tokens": 7,
        "total_tool_use_tokens": 5,
        "total_tokens": 132,
        "grounding_tool_count": [{"type": "google_search", "count": 3}, {"type": "retrieval", "count": 1}],
    }
    assert units("google", "gemini-x", usage) == {
        "input": 35, "audio_input": 40, "cache_read": 30, "output": 27, "web_search_queries": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    "usage",
    [{"output_tokens": 171}, {"completion_tokens": 171}, {"candidatesTokenCount": 71, "thoughtsTokenCount": 100}],
)
def test_an_answer_without_a_prompt_is_a_lower_bound(usage):
    metered = meter("anthropic", "claude-x", usage)
    assert metered.lines == (Line(None, 0, {"output": 171}),)
    assert metered.estimated
    assert "the prompt was not counted" in metered.reason


def test_what_the_total_explains_is_no_lower_bound():
    assert not meter("gemini", "m", {"candidatesTokenCount": 5, "totalTokenCount": 5}).estimated
    assert not meter("anthropic", "m", {"output_tokens": 5, "cache_read_input_tokens": 9}).estimated


# --- conditions --------------------------------------------------------------------------------------------------

CHAT = {"prompt_tokens": 3, "completion_tokens": 2}
CLAUDE = {"input_tokens": 3, "output_tokens": 2}
GEMINI = {"promptTokenCount": 3, "candidatesTokenCount": 2}


@pytest.mark.parametrize(
    ("usage", "conditions", "expected"),
    [
        (CHAT, {"service_tier": "Flex"}, {"service_tier": "flex"}),
        (CHAT, {"service_tier": "auto", "stream": True, "processing": None}, {}),
        # Batches say "default" in their answers.
        (CHAT, {"service_tier": "default", "processing": "batch"}, {"processing": "batch"}),
        ({**CLAUDE, "service_tier": "batch"}, {}, {"processing": "batch"}),
        # A lower tier than was asked for is billed as it was answered.
        ({**CLAUDE, "service_tier": "standard"}, {"service_tier": "priority"}, {}),
        ({**CLAUDE, "speed": "fast"}, {"speed": "standard"}, {"speed": "fast"}),
        ({**CLAUDE, "inference_geo": "us"}, {}, {"inference_geo": "us"}),
        ({**CLAUDE, "inference_geo": "not_available"}, {}, {}),
        ({**GEMINI, "trafficType": "ON_DEMAND_FLEX"}, {}, {"service_tier": "flex"}),
        ({**GEMINI, "trafficType": "ON_DEMAND"}, {"service_tier": "flex"}, {}),
        ({**GEMINI, "trafficType": "ON_DEMAND_PRIORITY"}, {}, {"service_tier": "priority"}),
        # Some clients of Vertex write the number of the word.
        ({**GEMINI, "trafficType": 1}, {"service_tier": "flex"}, {}),
        ({**GEMINI, "trafficType": 9}, {}, {"service_tier": "9"}),
        ({**GEMINI, "serviceTier": "standard"}, {"service_tier": "flex"}, {}),
        ({**GEMINI, "serviceTier": "SERVICE_TIER_FLEX"}, {}, {"service_tier": "flex"}),
        (CHAT, {"batch": True}, {"processing": "batch"}),
        (CHAT, {"batch": False}, {}),
        (CHAT, {"inference_provider": "Together"}, {"inference_provider": "together"}),
        (CHAT, {"data_residency": "EU"}, {"data_residency": "eu"}),
        ({**CLAUDE, "output_tokens": 0}, {"stop_reason": "refusal"}, {"stop_reason": "refusal"}),
        ({**CLAUDE, "output_tokens": 1}, {"stop_reason": "refusal", "empty": "yes"}, {"stop_reason": "refusal"}),
        (CLAUDE, {"stop_reason": "refusal"}, {}),
        (CLAUDE, {"stop_reason": "end_turn"}, {}),
    ],
)
def test_conditions(usage, conditions, expected):
    assert meter("any", "claude-m", usage, **conditions).conditions == expected


def test_only_claude_s_refusals_are_free():
    silent = {"prompt_tokens": 9, "completion_tokens": 0}
    assert meter("openai", "gpt-x", silent, stop_reason="refusal").conditions == {}


def test_what_callers_tell_of_a_cache_and_of_sound():
    written = {"input_tokens": 1, "cache_creation_input_tokens": 9, "output_tokens": 2}
    assert units("anthropic", "claude-x", written, cache_ttl="5m") == {"input": 1, "cache_write": 9, "output": 2}
    assert units("anthropic", "claude-x", written, cache_ttl="1h") == {"input": 1, "cache_write_1h": 9, "output": 2}
    split = {**written, "cache_creation": {"ephemeral_5m_input_tokens": 9}}
    assert units("anthropic", "claude-x", split, cache_ttl="1h") == {"input": 1, "cache_write": 9, "output": 2}
    assert "lives for 3d" in meter("anthropic", "claude-x", written, cache_ttl="3d").reason
    assert units("openai", "hear", None, audio_seconds=7) == {"audio_seconds": 7}
    assert units("openai", "hear", CHAT, audio_seconds=7) == {"input": 3, "output": 2}


def test_a_whole_stream_of_claude_is_no_lower_bound():
    seen = {"message_start": {"input_tokens": 9, "output_tokens": 1}, "message_delta": {"output_tokens": 5}}
    assert not meter("anthropic", "claude-x", seen).estimated
    assert units("anthropic", "claude-x", seen) == {"input": 9, "output": 5}


def test_uses_of_hosted_tools():
    uses = {"web_search_calls": 2.0, "file_search_calls": "3", "maps_grounding": 0, "web_search_queries": 4}
    uses |= {"grounded_prompts": None, "web_fetch_requests": 3}
    assert units("openai", "gpt-x", CHAT, **uses) == {
        "input": 3, "output": 2, "web_search_calls": 2, "file_search": 3, "web_search_queries": 4,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("usage", "conditions", "said"),
    [
        (None, {}, "no usage"),
        ({}, {}, "no usage"),
        ({"trafficType": "ON_DEMAND"}, {}, "no usage"),
        (CHAT, {"weather": "fine"}, "weather"),
        (CHAT, {"web_search_calls": "many"}, "web_search_calls"),
        (CHAT, {"web_search_calls": 1.5}, "web_search_calls"),
        (CHAT, {"web_search_calls": -1}, "web_search_calls"),
        ({**CLAUDE, "server_tool_use": {"web_search_requests": "many"}}, {}, "web_search_calls"),
        ({**GEMINI, "trafficType": "PROVISIONED_THROUGHPUT"}, {}, "provisioned"),
        ({**GEMINI, "trafficType": 2}, {}, "provisioned"),
    ],
)
def test_what_nobody_knows_has_no_line_and_says_why(usage, conditions, said):
    metered = meter("any", "m", usage, **conditions)
    assert metered.lines == ()
    assert said in metered.reason


@pytest.mark.parametrize(
    ("model", "conditions"),
    [("gpt-4o", {"http_status": 429}), ("omni-moderation-latest", {}), ("m", {"http_status": "500"})],
)
def test_what_is_not_billed_is_a_line_without_units(model, conditions):
    metered = meter("openai", model, None, **conditions)
    assert metered.lines == (Line(None, None, {}),)
    assert metered.reason


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": "many"},
        {"prompt_tokens": 1.5},
        {"prompt_tokens": -3, "completion_tokens": 2},
        {"prompt_tokens": 10**30},
        {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": -1}},
        {"seconds": -1},
        {"prompt_tokens": 1, "prompt_tokens_details": []},
        {"input_tokens": 1, "iterations": {}},
        {"promptTokenCount": 1, "promptTokensDetails": 5},
        {"seconds": "long"},
        {"seconds": float("nan")},
        "many",
        ["prompt_tokens"],
        "",
        [],
        0,
    ],
)
def test_objects_of_no_format_are_errors(usage):
    with pytest.raises(MalformedBody):
        meter("any", "m", usage)


@pytest.mark.parametrize(
    "told",
    [
        {"usage_breakdown": {"models": [{"model": "m", "usage": {"prompt_tokens": "many"}}]}},
        {"usage_breakdown": {"models": "many"}},
        {"image_generation": {"model": "m", "usage": {"input_tokens": -1}}},
    ],
)
def test_odd_answers_break_no_call(told):
    metered = meter("groq", "m", Usage(input=3, output=2), **told)
    assert metered.lines == ()
    assert "cannot be read" in metered.reason


def test_a_decoded_usage_whose_details_are_broken_is_counted_by_its_buckets():
    raw = {"prompt_tokens": 5, "prompt_tokens_details": {"audio_tokens": 2, "cached_tokens_details": []}}
    usage = Usage(input=3, audio_input=2, output=1, raw=raw)
    assert units("openai", "m", usage) == {"input": 3, "audio_input": 2, "output": 1}


# --- invariants --------------------------------------------------------------------------------------------------

N = st.one_of(st.none(), st.integers(0, 2000))
TOLD = st.one_of(
    st.none(),
    st.fixed_dictionaries({}, optional=dict.fromkeys(("cached_tokens", "audio_tokens", "image_tokens", "reasoning_tokens",
        "cache_write_tokens", "text_tokens"), N)),
)  # fmt: skip
OPENAI = st.fixed_dictionaries(
    {"prompt_tokens": st.integers(0, 2000), "completion_tokens": st.integers(0, 2000)},
    optional={"prompt_tokens_details": TOLD, "completion_tokens_details": TOLD, "cached_tokens": N},
)
MODAL = st.lists(
    st.fixed_dictionaries({"modality": st.sampled_from(["TEXT", "AUDIO", "VIDEO", "IMAGE", "DOCUMENT"])}, optional={"tokenCount": st.integers(0, 999)}),
    max_size=4,
)  # fmt: skip
GOOGLE = st.fixed_dictionaries(
    {"promptTokenCount": st.integers(0, 2000), "candidatesTokenCount": st.integers(0, 2000)},
    optional={
        "cachedContentTokenCount": st.integers(0, 2000), "thoughtsTokenCount": N, "toolUsePromptTokenCount": N,
        "promptTokensDetails": MODAL, "cacheTokensDetails": MODAL, "candidatesTokensDetails": MODAL,
    },
)  # fmt: skip
CACHES = {"cache_read_input_tokens": N, "cache_creation_input_tokens": N}
PASS = st.fixed_dictionaries(
    {"input_tokens": st.integers(0, 2000), "output_tokens": st.integers(0, 2000)},
    optional={**CACHES, "type": st.sampled_from(["message", "compaction", "advisor_message", "fallback_message"]),
        "cache_creation": st.fixed_dictionaries({}, optional=dict.fromkeys(("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"), N))},
)  # fmt: skip
ANTHROPIC = st.builds(lambda top, passes: {**top, "iterations": passes}, PASS, st.none() | st.lists(PASS, max_size=4))
RAW = st.one_of(OPENAI, GOOGLE, ANTHROPIC)


@given(RAW)
def test_nothing_is_negative_and_all_comes_back_from_json(raw):
    metered = meter("any", "m", raw, service_tier="flex", web_search_calls=1)
    assert all(count >= 0 for line in metered.lines for count in line.units.values())
    assert Metered.from_json(json.loads(json.dumps(metered.to_json()))) == metered


@given(OPENAI)
def test_openai_s_sums_are_kept(raw):
    (line,) = meter("any", "m", raw).lines
    made = sum(line.units.get(unit, 0) for unit in ("output", "audio_output", "image_output"))
    assert made == raw["completion_tokens"]
    assert sum(line.units.values()) == made + raw["prompt_tokens"]


@given(GOOGLE)
def test_gemini_s_sums_are_kept(raw):
    (line,) = meter("any", "m", raw).lines
    parts = [raw["promptTokenCount"], raw["candidatesTokenCount"]]
    parts[0] = max(parts[0], raw.get("cachedContentTokenCount", 0))
    parts += [raw.get(name) or 0 for name in ("thoughtsTokenCount", "toolUsePromptTokenCount")]
    assert sum(line.units.values()) == sum(parts)


@given(st.builds(Usage, **dict.fromkeys(BUCKETS, st.none() | st.integers(0, 10**9))))
def test_the_buckets_of_decoded_usage_are_kept(usage):
    lines = meter("any", "m", usage).lines
    assert bool(lines) == (usage.total is not None)
    assert sum(sum(line.units.values()) for line in lines) == (usage.total or 0)


@pytest.mark.parametrize(
    ("usage", "conditions", "expected"),
    [
        (Usage(input=1, output=2), {}, {}),
        (Usage(input=1, output=2, raw=CHAT), {"service_tier": "default", "stream": True}, {}),
        (Usage(input=1, output=2, raw=CHAT), {"service_tier": "flex"}, {"conditions": {"service_tier": "flex"}}),
        (
            Usage(input=1, cache_write_1h=5, output=2),
            {},
            {"lines": [{"units": {"input": 1, "cache_write_1h": 5, "output": 2}, "prompt": 6}]},
        ),
        (
            Usage(input=3, output=2, raw=CHAT),
            {"web_search_calls": "1"},
            {"lines": [{"units": {"input": 3, "output": 2, "web_search_calls": 1}, "prompt": 3}]},
        ),
    ],
)
def test_the_ledger_keeps_what_its_columns_do_not_say(usage, conditions, expected):
    assert ledger_form("openai", "gpt-x", usage, conditions) == expected


def test_json_of_another_form_is_refused():
    for body in ({"lines": [{}]}, {"lines": 5}, {"lines": [{"units": {"input": "x"}}]}, {"conditions": 5}):
        with pytest.raises(ValueError, match="form"):
            Metered.from_json(body)
