"""Every recorded exchange decodes, and comes back as it was; `pytest -s` prints the figures."""

from __future__ import annotations

import pytest

from tests.translation.gate import EXCEPTIONS, Result, measure
from tests.translation.recordings import TRAFFIC, exchanges


@pytest.fixture(scope="module")
def result() -> Result:
    if not exchanges():
        pytest.skip(f"no recorded traffic at {TRAFFIC}")
    return measure(exchanges())


def test_every_body_comes_back_but_for_the_known_exceptions(result: Result) -> None:
    print(f"\n{result.table()}")  # noqa: T201 - the figures are asked for with -s
    unexplained = {key: detail for key, detail in result.odd.items() if key not in EXCEPTIONS}
    assert unexplained == {}
    assert result.share >= 0.995


def test_every_exception_still_is_one(result: Result) -> None:
    known = {each.ident for each in exchanges()}
    stale = [key for key in EXCEPTIONS if key[0] in known and key not in result.odd]
    assert stale == []


def test_nothing_is_left_out(result: Result) -> None:
    """Only the stored objects of the Assistants API are none of the formats."""
    apart = [each for each in exchanges() if each.codec is None]
    assert sum(row.exchanges for row in result.rows.values()) + len(apart) == len(exchanges())
    assert all("/threads/" in each.url for each in apart)
