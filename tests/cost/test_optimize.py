"""The optimiser: which calls are changed, what it learns, and what it keeps between processes."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest

from aistrale.cost.optimization.optimizer import OptimizeEvent, Optimizer, OptimizeSettings, check_optimize
from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

MODEL = "model:openai/a>openai/b"


class Clock:
    """Seconds that the test moves."""

    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def _optimizer(directory: Path | None = None, **settings: object) -> tuple[Optimizer, list[OptimizeEvent], Clock]:
    told: list[OptimizeEvent] = []
    clock = Clock()
    made = OptimizeSettings(**{"compact": True, **settings})  # type: ignore[arg-type]  # fields of it
    return Optimizer(made, directory=directory, listener=told.append, clock=clock), told, clock


def _spoil(made: Optimizer, change: str = "compact", calls: int = 400) -> None:
    for index in range(calls):
        made.settle(f"{change}{index}", {change: index % 2 == 0}, succeeded=index % 2 == 1)


def test_about_the_share_of_the_calls_is_changed() -> None:
    made, _, _ = _optimizer(share=0.3)
    chosen = [made.chosen("compact", session=None, call_id=str(index)) for index in range(5000)]
    assert sum(chosen) / 5000 == pytest.approx(0.3, abs=0.03)
    # The same call, asked about again, has the same answer; another change is drawn anew.
    assert chosen == [made.chosen("compact", session=None, call_id=str(index)) for index in range(5000)]
    both = [made.chosen(MODEL, session=None, call_id=str(index)) for index in range(5000)]
    assert sum(one and other for one, other in zip(chosen, both, strict=True)) / 5000 == pytest.approx(0.09, abs=0.03)


def test_a_session_keeps_what_it_began_with_until_it_is_taken_back() -> None:
    made, told, _ = _optimizer(share=0.3, max_share=0.9)
    before = {name: made.chosen("compact", session=name, call_id="1") for name in map(str, range(300))}
    for index in range(4000):
        made.settle(str(index), {"compact": index % 3 == 0}, succeeded=True)
    assert [event.share for event in told if event.what == "ramped"] == [0.6, 0.9]
    assert before == {name: made.chosen("compact", session=name, call_id="2") for name in before}
    new = [made.chosen("compact", session=f"new{index}", call_id="3") for index in range(1000)]
    assert sum(new) / 1000 == pytest.approx(0.9, abs=0.03)
    _spoil(made)
    assert not any(made.chosen("compact", session=name, call_id="4") for name in before)


def test_scores_count_for_the_arm_of_their_call() -> None:
    made, _, _ = _optimizer()
    made.settle("one", {"compact": True, MODEL: False}, succeeded=True)
    made.settle("two", {"compact": False}, succeeded=None)
    assert made.score("one", 0.5)
    assert made.score("two", 0.9)
    assert not made.score("unknown", 1.0)
    status = {each.change: each for each in made.status()}
    assert status["compact"].quality == (0.5, 0.9)
    assert status["compact"].calls == (1, 0)
    assert status[MODEL].quality == (None, 0.5)


def test_what_was_taken_back_is_told_logged_and_stays_so(caplog: pytest.LogCaptureFixture) -> None:
    made, told, _ = _optimizer(share=0.5)
    with caplog.at_level(logging.WARNING, "aistrale.optimize"):
        _spoil(made)
    (event,) = told
    assert (event.what, event.change, event.share) == ("undone", "compact", 0.0)
    assert event.reason is not None
    assert event.at.tzinfo is not None
    assert "compact undone: share 0 %, the success rates fell" in caplog.text
    made.settle("late", {"compact": False}, succeeded=True)
    assert not made.chosen("compact", session=None, call_id="x")
    (status,) = made.status()
    assert (status.share, status.undone) == (0.0, event.reason)


def test_a_listener_that_raises_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: OptimizeEvent) -> None:
        raise RuntimeError("mine")

    made = Optimizer(OptimizeSettings(compact=True), listener=broken)
    made.applied("compact", "1", 30)
    assert "on_event raised RuntimeError" in caplog.text


def test_the_next_process_knows_it_and_running_ones_notice(tmp_path: Path) -> None:
    first, _, _ = _optimizer(tmp_path, share=0.5)
    second, told, clock = _optimizer(tmp_path, share=0.9)
    assert any(second.chosen("compact", session="s", call_id=str(index)) for index in range(10))
    _spoil(first)
    assert [path.name for path in tmp_path.iterdir()] == ["optimize.json"]
    third, _, _ = _optimizer(tmp_path)
    assert not any(third.chosen("compact", session=None, call_id=str(index)) for index in range(100))
    clock.now += 61
    assert not any(second.chosen("compact", session="s", call_id=str(index)) for index in range(10))
    # And that somebody allows it again.
    third.reset("compact")
    clock.now += 61
    assert any(second.chosen("compact", session=None, call_id=str(index)) for index in range(100))
    assert json.loads((tmp_path / "optimize.json").read_text()) == {}
    assert told == []


def test_a_share_that_was_reached_is_not_lost(tmp_path: Path) -> None:
    first, _, _ = _optimizer(tmp_path)
    for index in range(1500):
        first.settle(str(index), {"compact": index % 10 == 0}, succeeded=True)
    reached = first.status()[0].share
    assert reached > 0.1
    second, _, _ = _optimizer(tmp_path)
    assert second.status()[0].share == reached
    third, _, _ = _optimizer(tmp_path, max_share=0.15)
    assert third.status()[0].share == 0.15


def test_reset_allows_everything_again() -> None:
    made, told, _ = _optimizer(share=0.5)
    _spoil(made)
    _spoil(made, MODEL)
    made.reset()
    assert [(event.what, event.change) for event in told[-2:]] == [("reset", "compact"), ("reset", MODEL)]
    assert [(each.share, each.undone, each.calls) for each in made.status()] == [(0.5, None, (0, 0))] * 2


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'{"compact": 3}', b'{"compact": {"share": "x", "undone": 1}}', b"[" * 9999]
)
def test_a_damaged_file_is_no_reason_to_fail(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "optimize.json").write_bytes(content)
    made, _, _ = _optimizer(tmp_path, share=0.5)
    assert any(made.chosen("compact", session=None, call_id=str(index)) for index in range(100))


def test_where_nothing_can_be_written_what_was_taken_back_stays_so_here(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made, _, clock = _optimizer(tmp_path / "none", share=0.5)
    _spoil(made)
    assert "cannot be remembered" in caplog.text
    clock.now += 61
    assert not any(made.chosen("compact", session=None, call_id=str(index)) for index in range(100))


# --- the setting


@pytest.mark.parametrize("value", [None, False, "off", "none"])
def test_it_is_off_unless_it_is_asked_for(value: object) -> None:
    assert check_optimize("optimize", value) is None


def test_a_table_is_checked() -> None:
    found = check_optimize(
        "optimize",
        {
            "compact": "true", "models": {"openai/a": "openai/b"}, "cheaper": ["chat"], "share": "0.2", "max_share": 0.9,
            "min_quality": 1, "min_calls": "80",
        },
    )  # fmt: skip
    assert found == OptimizeSettings(
        compact=True, models={"openai/a": "openai/b"}, cheaper=("chat",), share=0.2, max_share=0.9, min_quality=1.0,
        min_calls=80,
    )  # fmt: skip
    assert check_optimize("optimize", found) == found
    assert check_optimize("optimize", {"cheaper": True}) == OptimizeSettings(cheaper=True)


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (True, "optimize: expected a table"),
        ("compact", "optimize: expected a table"),
        ({"compakt": True}, "optimize.compakt"),
        ({"compact": 1}, "optimize.compact: expected true or false"),
        ({"models": {"a": "openai/b"}}, "optimize.models.a"),
        ({"models": {"openai/a": "openai/a"}}, "optimize.models.openai/a"),
        ({"models": ["a"]}, "optimize.models"),
        ({"cheaper": 3}, "optimize.cheaper"),
        ({"share": 0}, "optimize.share: expected a number above 0 and at most 0.95"),
        ({"share": True}, "optimize.share"),
        ({"share": "nan"}, "optimize.share"),
        ({"max_share": 1}, "optimize.max_share"),
        ({"share": 0.5, "max_share": 0.2}, "optimize.max_share: expected a number of at least share, 0.5"),
        ({"min_quality": 1.5}, "optimize.min_quality"),
        ({"min_calls": 0}, "optimize.min_calls: expected a whole number of at least 1"),
        ({"min_calls": True}, "optimize.min_calls"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_it_is_said(value: object, names: str) -> None:
    with pytest.raises(ConfigurationError, match=names):
        check_optimize("optimize", value)
