"""Every recorded chat exchange, said in each other format and back: it keeps what it says, or tells what it lost.

`pytest -s` prints the figures.
"""

from __future__ import annotations

import pytest

from tests.translation import official
from tests.translation.pairs import Result, measure
from tests.translation.recordings import TRAFFIC, chats


@pytest.fixture(scope="module")
def result() -> Result:
    if not chats():
        pytest.skip(f"no recorded traffic at {TRAFFIC}")
    return measure(chats())


def test_no_difference_goes_unrecorded(result: Result) -> None:
    print(f"\n{result.table()}")  # noqa: T201 - the figures are asked for with -s
    assert result.unexplained == []


def test_most_exchanges_come_back_just_as_they_were(result: Result) -> None:
    """Recording a loss is no way out: what both formats can say has to arrive."""
    for (facet, source, target), counts in result.counts.items():
        whole = sum(counts.values()) - counts["refused"]
        assert counts["equal"] >= 0.5 * whole, (facet, source, target, counts)


@pytest.mark.parametrize("sdk", ["openai", "anthropic", "google.genai"])
def test_the_official_sdks_take_what_is_written(result: Result, sdk: str) -> None:
    pytest.importorskip(sdk, reason="the SDK is not installed", exc_type=ImportError)
    judged = [(name, codec, body) for name, codec, body in result.requests if official.package(codec) == sdk]
    problems = {name: told for name, codec, body in judged if (told := official.request_problem(codec, body))}
    assert judged
    assert problems == {}
    judged = [(name, codec, body) for name, codec, body in result.answers if official.package(codec) == sdk]
    problems = {name: told for name, codec, body in judged if (told := official.answer_problem(codec, body))}
    assert judged
    assert problems == {}
