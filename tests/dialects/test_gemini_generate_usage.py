"""Gemini's overlapping counts and the hub's disjoint buckets."""

from __future__ import annotations

import copy

from hypothesis import given, settings
from hypothesis import strategies as st

from aistrale.dialects import gemini_generate as gemini
from aistrale.dialects.base import Loss
from aistrale.types import (
    Completion,
    Usage,
)


def round_trip(body):
    return gemini.encode_response(gemini.decode_response(copy.deepcopy(body)), Loss(on_lossy="error"))


def usage_of(**counts):
    return gemini.decode_response({"usageMetadata": counts}).usage


def details(**tokens):
    return [{"modality": kind, "tokenCount": count} for kind, count in tokens.items()]


def test_buckets_are_disjoint():
    usage = usage_of(
        promptTokenCount=100,
        cachedContentTokenCount=40,
        candidatesTokenCount=20,
        thoughtsTokenCount=7,
        toolUsePromptTokenCount=5,
        totalTokenCount=132,
    )
    assert (usage.input, usage.cache_read, usage.output, usage.reasoning, usage.tool_input) == (60, 40, 20, 7, 5)
    assert usage.total == 132


def test_what_is_not_told_is_unknown():
    usage = usage_of(trafficType="ON_DEMAND")
    assert usage == Usage()
    assert usage_of(promptTokenCount=3) == Usage(input=3)
    assert usage_of(candidatesTokenCount=0) == Usage(output=0)


def test_modalities_become_buckets_without_counting_the_cache_twice():
    usage = usage_of(
        promptTokenCount=424,
        cachedContentTokenCount=287,
        promptTokensDetails=details(TEXT=166, IMAGE=258),
        cacheTokensDetails=details(IMAGE=175, TEXT=112),
    )
    assert (usage.input, usage.image_input, usage.cache_read, usage.input_total) == (54, 83, 287, 424)


def test_details_that_leave_the_cache_out_are_not_reduced():
    usage = usage_of(promptTokenCount=1000, cachedContentTokenCount=900, promptTokensDetails=details(TEXT=60, AUDIO=40))
    assert (usage.input, usage.audio_input, usage.cache_read) == (60, 40, 900)


def test_details_never_exceed_the_whole():
    usage = usage_of(promptTokenCount=100, cachedContentTokenCount=90, promptTokensDetails=details(TEXT=20, AUDIO=80))
    assert (usage.input, usage.audio_input, usage.cache_read, usage.input_total) == (0, 10, 90, 100)


def test_output_modalities():
    usage = usage_of(candidatesTokenCount=1300, candidatesTokensDetails=details(IMAGE=1290, VIDEO=2))
    assert (usage.output, usage.image_output, usage.output_total) == (10, 1290, 1300)


COUNT = st.none() | st.integers(0, 2000)
DETAILS = st.none() | st.lists(
    st.fixed_dictionaries(
        {
            "modality": st.sampled_from(["TEXT", "AUDIO", "IMAGE", "VIDEO", "NEW", 1, 2, 4]),
            "tokenCount": st.integers(0, 2000),
        }
    ),
    max_size=3,
)


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "promptTokenCount": COUNT,
            "cachedContentTokenCount": COUNT,
            "candidatesTokenCount": COUNT,
            "thoughtsTokenCount": COUNT,
            "toolUsePromptTokenCount": COUNT,
            "totalTokenCount": COUNT,
            "promptTokensDetails": DETAILS,
            "cacheTokensDetails": DETAILS,
            "candidatesTokensDetails": DETAILS,
            "trafficType": st.just("ON_DEMAND"),
        },
    )
)
def test_usage_round_trips_and_no_bucket_is_negative(counts):
    body = {"usageMetadata": counts}
    assert round_trip(body) == body
    usage = gemini.decode_response(body).usage
    buckets = [usage.input, usage.cache_read, usage.output, usage.audio_input, usage.image_input, usage.image_output]
    assert all(bucket is None or bucket >= 0 for bucket in buckets)
    if counts.get("promptTokenCount") is not None and counts["promptTokenCount"] >= (
        counts.get("cachedContentTokenCount") or 0
    ):
        assert usage.input_total - (usage.tool_input or 0) == counts["promptTokenCount"]


@settings(deadline=None)
@given(
    st.builds(
        Usage,
        input=COUNT,
        cache_read=COUNT,
        output=COUNT,
        reasoning=COUNT,
        tool_input=COUNT,
        audio_input=COUNT,
        image_input=COUNT,
        audio_output=COUNT,
        image_output=COUNT,
    )
)
def test_usage_from_elsewhere_keeps_its_totals(usage):
    written = gemini.encode_response(Completion(usage=usage), Loss())["usageMetadata"]
    read = gemini.decode_response({"usageMetadata": written}).usage
    for total in ("input_total", "output_total", "total"):
        assert (getattr(read, total) or 0) == (getattr(usage, total) or 0)
    assert read.cache_read == usage.cache_read
    assert (read.audio_input or 0) == (usage.audio_input or 0)
