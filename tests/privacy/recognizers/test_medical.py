"""Numbers of the American health system."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.privacy.checksums import dea, npi
from aistrale.privacy.recognizers.medical import RECOGNIZERS
from aistrale.privacy.scanner import Scanner

SCANNER = Scanner(RECOGNIZERS)
LAST = "0123456789"


def found(text: str) -> list[tuple[str, str]]:
    return [(finding.type, text[finding.start : finding.end]) for finding in SCANNER.scan(text)]


def provider(front: str) -> str:
    return next(front + last for last in LAST if npi(front + last))


def test_providers() -> None:
    number = provider("167890345")
    assert found(f"NPI {number}") == [("US_NPI", number)]
    assert found(number) == [("US_NPI", number)]
    assert found(f"{number} rows") == []
    parted = f"{number[:4]}-{number[4:7]}-{number[7:]}"
    assert found(f"provider {parted}") == [("US_NPI", parted)]
    assert found(f"NPI {provider('367890345')}") == []


@given(st.text(LAST, min_size=8, max_size=8), st.integers(0, 9), st.integers(1, 9))
def test_a_changed_digit_of_a_provider_is_refused(body: str, place: int, by: int) -> None:
    number = provider("1" + body)
    changed = number[:place] + str((int(number[place]) + by) % 10) + number[place + 1 :]
    assert found(f"NPI {changed}") == []


# The example of CMS' page about the format.
@pytest.mark.parametrize("number", ["1EG4-TE5-MK73", "1EG4TE5MK73", "1eg4-te5-mk73", "7AC0-RT1-YY00"])
def test_beneficiaries(number: str) -> None:
    assert found(f"Medicare {number}.") == [("US_MBI", number)]
    assert found(f"it is {number}") == [("US_MBI", number)]


@pytest.mark.parametrize(
    "number",
    [
        "0EG4-TE5-MK73",
        "1SG4-TE5-MK73",
        "1EG4-TE5-MK7",
        "1EG4-TE5-MK734",
        "1EG4-TE5MK73",
        "1eG4-TE5-MK73",
        "X-1EG4-TE5-MK73",
    ],
)
def test_no_beneficiaries(number: str) -> None:
    assert found(f"Medicare {number}") == []


def test_prescribers() -> None:
    digits = next("731842" + last for last in LAST if dea("731842" + last))
    for number in (f"BJ{digits}", f"F9{digits}"):
        assert found(f"DEA registration {number}") == [("MEDICAL_LICENSE", number)]
        assert found(number) == [("MEDICAL_LICENSE", number)]
        assert found(f"part {number} fits") == []
    wrong = digits[:6] + str((int(digits[6]) + 1) % 10)
    assert found(f"DEA BJ{wrong}") == []
