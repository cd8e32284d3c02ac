"""Dates, and the fractions, versions and small words that look like them."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.privacy.recognizers.date import RECOGNIZERS
from aistrale.privacy.scanner import Scanner

SCANNER = Scanner(RECOGNIZERS)


def found(text: str) -> list[str]:
    return [text[finding.start : finding.end] for finding in SCANNER.scan(text)]


@pytest.mark.parametrize(
    ("text", "dates"),
    [
        ("sent 2024-02-29.", ["2024-02-29"]),
        ("2024/02/29 12:30", ["2024/02/29 12:30"]),
        ("at 2024-02-29T12:30:59.123456+02:00 UTC", ["2024-02-29T12:30:59.123456+02:00"]),
        ("2024-02-29 12:30:59 INFO start", ["2024-02-29 12:30:59"]),
        ("seen 2/9/2024, 11:15 pm today", ["2/9/2024, 11:15 pm"]),
        ("am 29.02.2024 war", ["29.02.2024"]),
        ("on 29-2-2024 it", ["29-2-2024"]),
        ("paid 2/29/24", ["2/29/24"]),
        ("Today is 29.2.24", ["29.2.24"]),
        ("due 12/31", ["12/31"]),
        ("expires 05/2027", ["05/2027"]),
        ("February 29, 2024 was", ["February 29, 2024"]),
        ("Feb. 29th, 2024", ["Feb. 29th, 2024"]),
        ("29 February 2024", ["29 February 2024"]),
        ("the 29th of February", ["29th of February"]),
        ("29-FEB-2024", ["29-FEB-2024"]),
        ("29. Februar 2024", ["29. Februar 2024"]),
        ("le 29 février 2024", ["29 février 2024"]),
        ("in March 2024 we", ["March 2024"]),
        ("from 2024-01-01 to 2024-12-31", ["2024-01-01", "2024-12-31"]),
        ("founded in 1987.", ["1987"]),
        ("the Act of 1964 says", ["1964"]),
        ("fiscal year 2024", ["year 2024"]),
        ("a 1999 French film", ["1999"]),
        ("we meet Monday at nine", ["Monday"]),
        ("it was Friday night", ["Friday"]),
    ],
)
def test_the_usual_notations(text: str, dates: list[str]) -> None:
    assert found(text) == dates


@pytest.mark.parametrize(
    "text",
    [
        "version 29.2.24",
        "part 29-02-24",
        "ratio 12/31",
        "one half is 1/2",
        "2024-13-01",
        "2024-02-32",
        "32/13/2024",
        "1/2/3/2024",
        "a2024-02-29",
        "2024-02-29-1",
        "in 2000 bytes",
        "in 1999 steps",
        "port 1987",
        "name.rsplit(sep, 1)",
        "you may 5 times",
        "12:30:59",
        "the last Sunday of a month",
        "Monday is the first",
        "yesterday and today",
        "10.20.30.40",
    ],
)
def test_no_dates(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    "text",
    ["born on 29 February 1984", "DOB: 2/29/1984", "birth date 1984-02-29", "geboren am 29.02.1984", "dob 19840229"],
)
def test_a_birth_is_surer(text: str) -> None:
    (finding,) = SCANNER.scan(text)
    assert (finding.type, finding.score) == ("DATE_TIME", 0.85)


@given(
    st.dates(dt.date(1900, 1, 1), dt.date(2099, 12, 31)),
    st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d %B %Y", "%B %d, %Y", "%d-%b-%Y"]),
)
def test_every_day_is_found_in_every_notation(day: dt.date, notation: str) -> None:
    shown = day.strftime(notation)
    assert found(f"It happened ({shown}) there") == [shown]
