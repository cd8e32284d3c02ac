"""No profile may forbid what a provider was recorded to accept."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from aistrale.providers import get_provider
from aistrale.providers.catalog import lookup

TRAFFIC = Path(__file__).resolve().parents[2] / ".." / "shared" / "traffic"
FILES = {"openai": "openai", "anthropic": "anthropic", "google": "gemini", "groq": "groq", "huggingface": "huggingface"}

# Accepted although the documentation says otherwise; the value was the default or the server ignored it.
TOLERATED = {
    ("openai", "gpt-5-nano", "sampling"),  # temperature 1, the default
}


def accepted():
    """(provider, model, body, endpoint) of every recorded request that was answered."""
    for file, name in FILES.items():
        with gzip.open(TRAFFIC / f"{file}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for record in map(json.loads, lines):
                if record["status"] != 200 or not record["model"] or not isinstance(record["request_body"], str):
                    continue
                if "azure" in record["provider"] or "embed" in record["endpoint"].lower():
                    continue
                try:
                    body = json.loads(record["request_body"])
                except ValueError:
                    continue
                if isinstance(body, dict):
                    yield name, record["model"], body, record


def asked(body):
    """What a request asks for, in the words of a profile."""
    config = body.get("generationConfig") or body.get("generation_config") or {}
    found = set()
    if any(body.get(key) is not None for key in ("temperature", "top_p")):
        found.add("sampling")
    if body.get("stop") or body.get("stop_sequences") or config.get("stopSequences"):
        found.add("stop")
    if any("function" in json.dumps(tool) or "input_schema" in tool for tool in body.get("tools") or ()):
        found.add("tools")
    text = json.dumps(body.get("messages") or body.get("input") or body.get("contents") or [])
    if '"image_url"' in text or '"input_image"' in text or '"type": "image"' in text or '"image/' in text:
        found.add("image")
    if '"application/pdf"' in text:
        found.add("document")
    return found


def effort_of(body):
    reasoning = body.get("reasoning")
    config = body.get("generationConfig") or {}
    thinking = config.get("thinkingConfig") or config.get("thinking_config") or {}
    level = thinking.get("thinkingLevel") or thinking.get("thinking_level")
    output = body.get("output_config")
    return (
        body.get("reasoning_effort")
        or (reasoning.get("effort") if isinstance(reasoning, dict) else None)
        or (output.get("effort") if isinstance(output, dict) else None)
        or (level.lower() if level else None)
    )


@pytest.mark.skipif(not TRAFFIC.exists(), reason="../shared/traffic is not there")
def test_what_was_accepted_is_allowed():
    wrong = set()
    seen = 0
    for name, model, body, _ in accepted():
        provider = get_provider(name)
        # All recordings of Anthropic are of the version before 2026-10-21.
        provider = provider.choose_version({}, "2023-06-01") if name == "anthropic" else provider
        profile = provider.profile(model, lookup(name, model))
        wants = asked(body)
        refused = {"sampling"} if not profile.sampling else set()
        refused |= {"stop"} if profile.stop == 0 else set()
        refused |= {"tools"} if "tools" in profile.unsupported else set()
        refused |= {"image", "document"} - profile.media
        effort = effort_of(body)
        if effort and profile.efforts and effort not in profile.efforts:
            wrong.add((name, model, f"effort {effort}"))
        wrong |= {(name, model, each) for each in wants & refused} - TOLERATED
        seen += 1
    assert seen > 1500
    assert not wrong


@pytest.mark.skipif(not TRAFFIC.exists(), reason="../shared/traffic is not there")
def test_every_recorded_model_is_in_the_catalog_or_judged_by_its_name():
    unknown = {f"{name}/{model}" for name, model, _, _ in accepted() if lookup(name, model) is None}
    recorded = {f"{name}/{model}" for name, model, _, _ in accepted()}
    assert len(unknown) <= 0.05 * len(recorded), sorted(unknown)
