"""Hypothesis strategies for events of every kind, read off the dataclasses."""

from __future__ import annotations

from dataclasses import MISSING, fields

from hypothesis import strategies as st

from aistrale.store.records import AttemptRow, CallRow
from aistrale.telemetry.events import EVENTS, Content

NUMBERS = st.floats(allow_nan=False)
TEXTS = st.text(max_size=12)
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
BY_ANNOTATION = {
    "str": TEXTS,
    "int": st.integers(),
    "bool": st.booleans(),
    "float": NUMBERS,
    "Decimal": st.decimals(allow_nan=False, allow_infinity=False),
    "JSON": JSONS,
    "Outcome": st.sampled_from(["success", "error", "cancelled", "interrupted", "abandoned"]),
    "RunOutcome": st.sampled_from(["success", "error", "cancelled", "incomplete"]),
    "RunType": st.sampled_from(["llm", "tool"]),
    "UsageSource": st.sampled_from(["reported", "estimated"]),
    "tuple[str, ...]": st.lists(TEXTS, max_size=3).map(tuple),
    "tuple[JSON, ...]": st.lists(JSONS, max_size=2).map(tuple),
    "list[str]": st.lists(TEXTS, max_size=3),
    "Mapping[str, str]": st.dictionaries(TEXTS, TEXTS, max_size=3),
    "dict[str, str]": st.dictionaries(TEXTS, TEXTS, max_size=3),
    "Mapping[str, int]": st.dictionaries(TEXTS, st.integers(), max_size=3),
    "dict[str, int]": st.dictionaries(TEXTS, st.integers(), max_size=3),
    "Mapping[str, JSON]": st.dictionaries(TEXTS, JSONS, max_size=3),
    "dict[str, object]": st.dictionaries(TEXTS, JSONS, max_size=3),
}


def of_annotation(annotation: str):
    base = annotation.removesuffix(" | None")
    if base in {"CallRow", "AttemptRow", "Content"}:
        found = st.deferred(lambda: of_class({"CallRow": CallRow, "AttemptRow": AttemptRow, "Content": Content}[base]))
    elif base.startswith("Literal["):
        found = st.sampled_from([word.strip(" '\"") for word in base[8:-1].split(",")])
    else:
        found = BY_ANNOTATION[base]
    return found if base == annotation else st.none() | found


def of_class(cls):
    required, optional = {}, {}
    for item in fields(cls):
        free = item.default is not MISSING or item.default_factory is not MISSING
        (optional if free else required)[item.name] = of_annotation(str(item.type))
    return st.fixed_dictionaries(required, optional=optional).map(lambda values: cls(**values))


def events(*kinds: str):
    """Events of these kinds, of all by default."""
    return st.one_of([of_class(EVENTS[kind]) for kind in kinds or EVENTS])
