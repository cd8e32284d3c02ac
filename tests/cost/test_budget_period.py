from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.cost.budgets.period import ALWAYS, Period, zone_of

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia")


def at(text, zone="UTC"):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def bounds(kind, instant, zone="UTC"):
    span = Period(kind, zone_of(zone)).span(instant)
    local = ZoneInfo(zone)
    return tuple(
        datetime.fromtimestamp(each, local).replace(tzinfo=None).isoformat(" ") for each in (span.start, span.end)
    )


@pytest.mark.parametrize(
    ("kind", "instant", "expected"),
    [
        ("day", "2026-11-27 10:00", ("2026-11-27 00:00:00", "2026-11-28 00:00:00")),
        ("day", "2026-12-31 23:59:59", ("2026-12-31 00:00:00", "2027-01-01 00:00:00")),
        ("week", "2026-11-27 10:00", ("2026-11-23 00:00:00", "2026-11-30 00:00:00")),
        ("week", "2026-11-29 23:59", ("2026-11-23 00:00:00", "2026-11-30 00:00:00")),
        ("week", "2026-11-30 00:00", ("2026-11-30 00:00:00", "2026-12-07 00:00:00")),
        ("week", "2027-01-01 12:00", ("2026-12-28 00:00:00", "2027-01-04 00:00:00")),
        ("month", "2026-11-27 10:00", ("2026-11-01 00:00:00", "2026-12-01 00:00:00")),
        ("month", "2028-02-29 10:00", ("2028-02-01 00:00:00", "2028-03-01 00:00:00")),
        ("month", "2026-12-31 10:00", ("2026-12-01 00:00:00", "2027-01-01 00:00:00")),
    ],
)
def test_calendar_periods(kind, instant, expected):
    assert bounds(kind, at(instant)) == expected


def test_a_day_of_a_time_zone_is_not_a_day_of_utc():
    instant = at("2026-07-01 23:30")
    assert bounds("day", instant, "Europe/Berlin") == ("2026-07-02 00:00:00", "2026-07-03 00:00:00")
    assert bounds("month", at("2026-12-31 23:30"), "Europe/Berlin")[0] == "2027-01-01 00:00:00"


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)])
def test_days_on_which_clocks_are_changed_are_shorter_or_longer(day, hours):
    span = Period("day", zone_of("Europe/Berlin")).span(at(f"{day} 12:00", "Europe/Berlin"))
    assert span.end - span.start == hours * 3600


def test_a_day_without_a_midnight_begins_when_clocks_are_set_forward():
    # Brazil's clocks went from 23:59:59 on the 3rd of November 2018 to 01:00 on the 4th.
    period = Period("day", zone_of("America/Sao_Paulo"))
    before, after = (
        period.span(at("2018-11-03 12:00", "America/Sao_Paulo")),
        period.span(at("2018-11-04 12:00", "America/Sao_Paulo")),
    )
    assert before.end == after.start
    assert datetime.fromtimestamp(after.start, UTC) == datetime(2018, 11, 4, 3, tzinfo=UTC)


@given(
    instant=st.floats(0, 4_000_000_000),
    kind=st.sampled_from(["day", "week", "month"]),
    zone=st.sampled_from(ZONES),
)
def test_periods_cover_time_without_gaps(instant, kind, zone):
    period = Period(kind, zone_of(zone))
    span = period.span(instant)
    assert span.start <= instant < span.end
    assert period.span(span.end).start == span.end
    assert Period(kind, zone_of(zone)).span(span.start) == span
    assert Period(kind, zone_of(zone)).span(math.nextafter(span.end, 0)) == span


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("rolling:24h", timedelta(hours=24)),
        ("rolling:7d", timedelta(days=7)),
        ("rolling:90m", timedelta(minutes=90)),
        ("rolling:2w", timedelta(weeks=2)),
    ],
)
def test_rolling_windows(text, length):
    period = Period(text)
    assert (period.kind, period.seconds) == ("rolling", length.total_seconds())
    assert period.span(5.0) is ALWAYS
    assert period.step * 60 == period.seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "year",
        "Day",
        "rolling",
        "rolling:",
        "rolling:0h",
        "rolling:1.5h",
        "rolling:24",
        "rolling:367d",
        "rolling:-1h",
        "rolling:99999w",
        "daily",
    ],
)
def test_other_periods_are_refused_with_a_list(text):
    with pytest.raises(ValueError, match="'call', 'session', 'day'"):
        Period(text)


@pytest.mark.parametrize("kind", ["call", "session"])
def test_calls_and_sessions_have_no_bounds(kind):
    assert Period(kind).span(5.0) is ALWAYS
