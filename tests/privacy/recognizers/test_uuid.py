"""UUIDs, which are not reported by default."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from aistrale.privacy.recognizers.uuid import RECOGNIZERS
from aistrale.privacy.scanner import Scanner

if TYPE_CHECKING:
    import uuid


@given(st.uuids(version=4))
def test_they_are_found_where_asked_for(identifier: uuid.UUID) -> None:
    text = f"trace {identifier}."
    assert Scanner(RECOGNIZERS).scan(text) == []
    (finding,) = Scanner(RECOGNIZERS, min_score=0.3).scan(text)
    assert text[finding.start : finding.end] == str(identifier)


def test_longer_rows_are_none() -> None:
    scanner = Scanner(RECOGNIZERS, min_score=0.3)
    whole = "6fa459ea-ee8a-4ca4-894e-db77e160355e"
    assert scanner.scan(f"{whole}-00") == []
    assert scanner.scan(f"a{whole}") == []
    assert scanner.scan(whole.replace("-4ca4-", "-9ca4-")) == []
