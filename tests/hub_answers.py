"""Hypothesis strategies for answers in the hub's words."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st

from aistrale.types import (
    AttemptInfo,
    CacheHint,
    Choice,
    Completion,
    Cost,
    Embeddings,
    Lossy,
    MediaPart,
    Message,
    ProviderPart,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Usage,
    Wire,
)

# Most values come from short lists, so that an example has room for several parts and still all their fields.
texts = st.sampled_from(["", "a", "été ☃ 😀", "\x00\u2028"]) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=6
)
words = st.sampled_from(["", "a", "openai_chat", "stop"])
numbers = st.floats(allow_nan=False) | st.integers(-(2**70), 2**70)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
objects = st.sampled_from(
    [{}, {"a": None}, {"#": "text", "text": "x"}, {"usd": "1", "list": [1, 1.0, True, {"b": []}]}]
) | st.dictionaries(texts, json_values, max_size=2)
wires = st.none() | st.builds(Wire, words, objects, words)
hints = st.none() | st.builds(CacheHint, st.none() | st.just("1h"))
maybe = st.none() | texts
counts = st.sampled_from([None, 0, 7]) | st.integers(0, 10**12)

deltas = st.one_of(
    st.builds(TextPart, texts, hints, wires),
    st.builds(RefusalPart, texts, wires),
    st.builds(ReasoningPart, texts, st.booleans(), wires),
    st.builds(ToolCallPart, texts, texts, texts, hints, wires),
)
wholes = st.one_of(
    st.builds(MediaPart, st.sampled_from(["image", "audio"]), maybe, maybe, maybe, maybe, maybe, maybe, hints, wires),
    st.builds(ProviderPart, words, objects, hints, wires),
)
results = st.builds(ToolResultPart, texts, st.lists(deltas | wholes, max_size=2), st.booleans(), maybe, hints, wires)
parts = deltas | deltas | wholes | results
reasons = st.sampled_from(["stop", "length", "tool_calls", "content_filter", "pause", "error", "unknown"])
usages = st.builds(
    Usage,
    *[counts] * 14,
    source=st.sampled_from(["reported", "estimated"]),
    raw=st.none() | objects,
    wire=wires,
)
decimals = st.decimals(allow_nan=False, allow_infinity=False) | st.just(Decimal("1E-9"))
costs = st.builds(Cost, st.none() | decimals, maybe)
attempts = st.builds(AttemptInfo, st.integers(1, 9), texts, texts, words, st.floats(0, 1e6), counts, maybe, maybe)
losses = st.builds(Lossy, texts, st.sampled_from(["dropped", "emulated"]), texts)


def choices(message_wires=wires, names=maybe):
    made = st.builds(
        Choice,
        st.builds(
            Message, st.just("assistant"), st.lists(parts, min_size=1, max_size=3) | st.just([]), names, message_wires
        ),
        reasons,
        st.integers(0, 5),
        maybe,
        wires,
    )
    # In their order, each index once, as the events of a stream have them.
    found = st.lists(made, min_size=1, max_size=3, unique_by=lambda choice: choice.index)
    return (found | found | found | st.just([])).map(lambda found: sorted(found, key=lambda choice: choice.index))


completions = st.builds(
    Completion,
    id=texts,
    model=texts,
    choices=choices(),
    usage=st.none() | usages,
    provider=texts,
    target=texts,
    request_id=maybe,
    call_id=texts,
    cost=st.none() | costs,
    attempts=st.lists(attempts, max_size=2),
    output_mode=maybe,
    lossy=st.lists(losses, max_size=2),
    raw=st.none() | objects,
    created=st.none() | st.integers(0, 2**40),
    source=maybe,
    degraded=maybe,
    wire=wires,
)
streamed = st.builds(
    Completion,
    id=texts,
    model=texts,
    choices=choices(st.none(), st.none()),
    usage=st.none() | usages,
    created=st.none() | st.integers(0, 2**40),
    wire=wires,
)
embeddings = st.builds(
    Embeddings,
    vectors=st.lists(st.lists(numbers, max_size=4), max_size=3),
    model=texts,
    usage=st.none() | usages,
    provider=texts,
    target=texts,
    request_id=maybe,
    cost=st.none() | costs,
    attempts=st.lists(attempts, max_size=1),
    lossy=st.lists(losses, max_size=1),
    raw=st.none() | objects,
    source=maybe,
    wire=wires,
)
