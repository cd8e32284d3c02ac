"""One encoder for many values says the same as `json.dumps`."""

from __future__ import annotations

import json
import json.encoder
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.core.compact import compact_encoder

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(VALUES)
def test_it_writes_what_json_writes(value):
    text = compact_encoder()(value)
    assert text == json.dumps(value, separators=(",", ":"))
    assert text.isascii()


@pytest.mark.parametrize("inner", [None, lambda: None, lambda *_: print])
def test_where_python_has_no_such_encoder_or_another_one_its_own_encode_is_taken(monkeypatch, inner):
    with monkeypatch.context() as patched:
        patched.setattr(json.encoder, "c_make_encoder", inner)
        encode = compact_encoder(str)
    assert encode(["é", Decimal("0.10")]) == '["\\u00e9","0.10"]'


def test_what_json_cannot_say_is_asked_for_or_refused():
    assert compact_encoder(str)({"cost": Decimal("0.10")}) == '{"cost":"0.10"}'
    with pytest.raises(TypeError):
        compact_encoder()({1j: object()})
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(RecursionError):
        compact_encoder()(deep)
