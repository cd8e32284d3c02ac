"""Check digits against the examples of their publishers, and against changed ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.privacy import checksums


@pytest.mark.parametrize(
    ("check", "value"),
    [
        # ISO/IEC 7812-1 annex B; SWIFT's IBAN registry; the ABA's example; CMS' document on the NPI check digit;
        # 49 CFR 565.15.
        (checksums.luhn, "17893729974"),
        (checksums.iban, "GB82WEST12345698765432"),
        (checksums.aba, "111000025"),
        (checksums.npi, "1234567893"),
        (checksums.vin, "1M8GDM9AXKP042788"),
        (checksums.dea, "1234563"),
    ],
)
def test_published_examples(check: object, value: str) -> None:
    assert callable(check)
    assert check(value)


def test_modulo_97_counts_letters_in_either_case() -> None:
    assert checksums.mod97("1D1") == checksums.mod97("1d1")
    assert checksums.mod97("98")
    assert not checksums.mod97("97")


def test_weights_must_be_as_many_as_digits() -> None:
    assert checksums.weighted("123", (1, 2, 3)) == 14
    with pytest.raises(ValueError, match="zip"):
        checksums.weighted("123", (1, 2))


@given(st.text("0123456789", min_size=1, max_size=20), st.data())
def test_one_last_digit_of_ten_is_right_and_a_changed_one_is_not(body: str, data: st.DataObject) -> None:
    right = [body + last for last in "0123456789" if checksums.luhn(body + last)]
    assert len(right) == 1
    place, by = data.draw(st.integers(0, len(body))), data.draw(st.integers(1, 9))
    changed = right[0][:place] + str((int(right[0][place]) + by) % 10) + right[0][place + 1 :]
    assert not checksums.luhn(changed)
