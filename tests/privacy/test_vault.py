"""The vault: what stands for what, that it stays in memory, and what comes back from a sealed one."""

from __future__ import annotations

import copy
import os
import pickle
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.errors import ConfigurationError, DecryptionError, PolicyError, VaultFull
from aistrale.privacy.placeholder import FULL, PARTIAL, word_of
from aistrale.privacy.vault import Vault

KEY = bytes(range(32))


def filled() -> Vault:
    vault = Vault()
    vault.placeholder("EMAIL_ADDRESS", "jo@example.com")
    vault.placeholder("EMAIL_ADDRESS", "JO@example.com")
    vault.placeholder("US_SSN", "219099998", number=True)
    vault.placeholder("BADGE", "half \ud800 a character")
    vault.add_fake("PERSON", "Jane Roe", "Robin Hill")
    return vault


def test_counts_by_word_and_gives_the_same_for_the_same() -> None:
    vault = Vault()
    assert vault.placeholder("EMAIL_ADDRESS", "a@example.com") == "[[EMAIL_1]]"
    assert vault.placeholder("PERSON", "Jane Roe") == "[[PERSON_1]]"
    assert vault.placeholder("EMAIL_ADDRESS", "b@example.com") == "[[EMAIL_2]]"
    assert vault.placeholder("EMAIL_ADDRESS", "a@example.com") == "[[EMAIL_1]]"
    assert vault.original("[[EMAIL_2]]") == "b@example.com"
    assert vault.original("[[EMAIL_3]]") is None
    assert vault.original("email_2") is None
    assert "[[EMAIL_1]]" in vault
    assert 3 not in vault
    assert len(vault) == 3
    assert vault.originals()["[[PERSON_1]]"] == "Jane Roe"


@pytest.mark.parametrize(
    ("type_", "first", "second"),
    [
        ("EMAIL_ADDRESS", "jo@example.com", "Jo@Example.com"),
        ("CREDIT_CARD", "4111 1111 1111 1111", "4111-1111-1111-1111"),
        ("PERSON", "Jane  Roe", "JANE ROE"),
        ("IBAN_CODE", "GB33 BUKB 2020 1555 5555 55", "GB33BUKB20201555555555"),
        ("PHONE_NUMBER", "０３０ １２３４５６", "030 123456"),
    ],
)
def test_another_way_of_writing_a_value_has_its_number_and_a_letter(type_: str, first: str, second: str) -> None:
    vault = Vault()
    one, other = vault.placeholder(type_, first), vault.placeholder(type_, second)
    assert other == f"{one[:-2]}b]]"
    assert (vault.original(one), vault.original(other)) == (first, second)


def test_the_same_text_as_two_types_is_two_things() -> None:
    vault = Vault()
    assert vault.placeholder("US_SSN", "219-09-9998") != vault.placeholder("US_ITIN", "219-09-9998")


def test_a_thousand_ways_of_writing_a_value_are_all_told_apart() -> None:
    vault = Vault()
    forms = [
        "".join(letter.upper() if bits >> place & 1 else letter for place, letter in enumerate("abcdefghij"))
        for bits in range(1024)
    ]
    placeholders = [vault.placeholder("PERSON", form) for form in forms]
    assert len(set(placeholders)) == len(forms)
    assert [vault.original(placeholder) for placeholder in placeholders] == forms
    assert all(FULL.fullmatch(placeholder) for placeholder in placeholders)


@given(st.text(max_size=40))
def test_any_name_of_a_type_gives_a_word_that_can_be_read_back(type_: str) -> None:
    vault = Vault()
    placeholder = vault.placeholder(type_, "value")
    assert FULL.fullmatch(placeholder)
    assert vault.original(placeholder) == "value"
    assert word_of(type_).isascii()


def test_types_with_the_same_word_share_its_numbers() -> None:
    vault = Vault()
    assert vault.placeholder("US_BANK_NUMBER", "1") == "[[ACCOUNT_1]]"
    assert vault.placeholder("BANK_ACCOUNT", "2") == "[[ACCOUNT_2]]"
    assert vault.placeholder("B2B", "3") == "[[B_B_1]]"
    assert vault.placeholder("B4B", "4") == "[[B_B_2]]"
    assert vault.placeholder("BB", "5") == "[[BB_3]]"


def test_a_word_that_was_typed_before_it_was_ours_is_never_given_out() -> None:
    vault = Vault()
    vault.reserve("BADGE")
    assert vault.placeholder("BADGE", "1") == "[[BADGE_X_1]]"
    assert vault.placeholder("BADGE", "2") == "[[BADGE_X_2]]"


def test_every_beginning_of_a_placeholder_is_seen_as_one() -> None:
    for written in (
        "[[EMAIL_1]]",
        r"\[\[EMAIL\_1b\]\]",
        "［［EMAIL_12］］",
        "[[ us_ssn 3 ]]",
        "[PERSON_1]",
        "【【EMAIL_1】】",
    ):
        assert FULL.fullmatch(written)
        for length in range(1, len(written)):
            assert PARTIAL.match(written[:length]), written[:length]


def test_is_bounded_in_entries_and_bytes() -> None:
    vault = Vault(max_entries=2)
    vault.placeholder("PERSON", "a")
    vault.add_fake("PERSON", "b", "c")
    with pytest.raises(VaultFull) as caught:
        vault.placeholder("PERSON", "somebody else")
    assert isinstance(caught.value, PolicyError)
    assert "somebody" not in str(caught.value)
    assert vault.placeholder("PERSON", "a") == "[[PERSON_1]]"
    small = Vault(max_bytes=1000)
    with pytest.raises(VaultFull):
        small.placeholder("PERSON", "x" * 1000)


def test_shows_counts_only() -> None:
    shown = repr(filled())
    assert shown == "<Vault: 5 values (BADGE 1, EMAIL 1, SSN 1)>"
    assert str(filled()) == shown


@pytest.mark.parametrize("take", [copy.copy, copy.deepcopy, pickle.dumps])
def test_cannot_be_copied_or_pickled(take) -> None:
    with pytest.raises(TypeError, match="seal"):
        take(filled())


def test_threads_agree_on_every_placeholder() -> None:
    vault = Vault()
    barrier = threading.Barrier(4)
    given_out: list[list[str]] = []

    def work() -> None:
        barrier.wait()
        given_out.append([vault.placeholder("PERSON", f"name {number % 50}") for number in range(400)])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(vault) == 50
    assert given_out[0] == given_out[1] == given_out[2] == given_out[3]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_child_does_not_wait_for_a_lock_that_its_parent_held() -> None:
    vault = Vault()
    with vault._lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if vault.placeholder("PERSON", "Jane") == "[[PERSON_1]]" else 1)
        _, status = os.waitpid(child, 0)
    assert status == 0


# --- sealed ----------------------------------------------------------------------------------------------------------


def test_what_was_sealed_goes_on_where_it_was() -> None:
    vault = filled()
    again = Vault.unseal(vault.seal(KEY, "c1"), KEY, "c1")
    assert again.originals() == vault.originals()
    assert repr(again) == repr(vault)
    assert again.placeholder("EMAIL_ADDRESS", "JO@example.com") == "[[EMAIL_1b]]"
    assert again.placeholder("EMAIL_ADDRESS", "jo@EXAMPLE.com") == "[[EMAIL_1c]]"
    assert again.placeholder("EMAIL_ADDRESS", "other@example.com") == "[[EMAIL_2]]"
    assert again.has_numbers
    assert again.fake_of("PERSON", "Jane Roe") == "Robin Hill"
    assert again.secret == vault.secret


def test_a_sealed_vault_shows_nothing() -> None:
    vault = filled()
    one, other = vault.seal(KEY, "c1"), vault.seal(KEY, "c1")
    assert one != other
    for secret in (b"example.com", b"219099998", b"Jane", b"c1"):
        assert secret not in one


def test_no_changed_bit_no_other_key_and_no_other_conversation_opens_it() -> None:
    blob = filled().seal(KEY, "c1")
    for attempt in (
        *((blob[:place] + bytes([blob[place] ^ 1]) + blob[place + 1 :], KEY, "c1") for place in range(len(blob))),
        *((blob[:length], KEY, "c1") for length in range(0, len(blob), 7)),
        (blob, bytes(32), "c1"),
        (blob, KEY, "c2"),
        (blob, KEY, ""),
    ):
        with pytest.raises(DecryptionError) as caught:
            Vault.unseal(*attempt)
        # One message for all, and no cause that would tell more.
        assert (
            str(caught.value)
            == "the sealed vault cannot be opened: its key or conversation is another, or it was changed"
        )
        assert caught.value.__cause__ is None


@pytest.mark.parametrize("key", [b"", b"short", bytes(16), bytes(33)])
def test_a_key_that_is_none_is_refused_by_name(key: bytes) -> None:
    with pytest.raises(ConfigurationError, match="32 bytes"):
        Vault().seal(key, "c1")
    with pytest.raises(ConfigurationError, match="32 bytes"):
        Vault.unseal(b"", key, "c1")
