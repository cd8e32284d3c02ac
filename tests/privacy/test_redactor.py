"""Taking out: what comes back is exactly what was there, in every mode that promises it; nothing more leaves."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import date

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aistrale.errors import ConfigurationError, DecryptionError, VaultFull
from aistrale.privacy import default_scanner
from aistrale.privacy.finding import Finding
from aistrale.privacy.modes import MODES
from aistrale.privacy.redactor import Redactor
from aistrale.privacy.restore import Restorer
from aistrale.privacy.sealed import decrypt, encrypt, key_id
from aistrale.privacy.vault import Vault
from tests.privacy.rough import Anywhere, Rough, nasty, seeds, streamed, texts

KEY = bytes(range(32))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)
cuts = st.lists(st.integers(1, 9), min_size=1, max_size=4)


def redact(text: str, vault: Vault | None = None, **options) -> str:
    return Redactor(Rough(), **options).redact(text, vault or Vault(secret=bytes(16)))


# --- round trips -----------------------------------------------------------------------------------------------------


@given(texts, seeds, cuts, st.sampled_from(["placeholder", "fake"]))
@example("Jane(jo@example.com)", 7, [1], "placeholder")
@example("\\jo@example.com [[jo@example.com]]", 3, [2], "placeholder")
def test_restoring_gives_any_text_back(text: str, seed: int, widths: list[int], mode: str) -> None:
    vault = Vault(secret=bytes(16))
    for scanner in (Rough(), Anywhere(seed)):
        redacted = Redactor(scanner, default_mode=mode).redact(text, vault)
        assert Restorer(vault).restore(redacted) == text
        assert streamed(Restorer(vault), redacted, widths) == text


@given(st.lists(nasty, min_size=2, max_size=4), seeds)
def test_one_vault_serves_many_texts(turns: list[str], seed: int) -> None:
    vault = Vault()
    redactor = Redactor(Anywhere(seed))
    redacted = [redactor.redact(text, vault) for text in turns]
    assert [Restorer(vault).restore(text) for text in redacted] == turns


@settings(deadline=None)
@given(values, seeds, cuts, st.sampled_from(["placeholder", "fake"]), st.booleans())
def test_restoring_gives_any_json_back(value, seed: int, widths: list[int], mode: str, ascii_: bool) -> None:
    vault = Vault(secret=bytes(16))
    redactor = Redactor(Anywhere(seed), default_mode=mode)
    text = json.dumps(value, ensure_ascii=ascii_)
    redacted = redactor.redact(text, vault, kind="json")
    json.loads(redacted)
    restored = Restorer(vault).restore(redacted, json=True)
    assert repr(json.loads(restored)) == repr(value)
    assert streamed(Restorer(vault), redacted, widths, json=True) == restored
    assert repr(Restorer(vault).restore_value(redactor.redact_value(value, vault))) == repr(value)


@given(texts, st.sampled_from(["text", "json", "name"]))
def test_what_holds_nothing_is_the_same_object(text: str, kind) -> None:
    class Nothing:
        def scan(self, text: str) -> list[Finding]:
            return []

    # What was typed like a placeholder is something.
    plain = re.sub(r"[\[\]\uff3b\u3010]", "", text)
    assert Redactor(Nothing()).redact(plain, Vault(), kind=kind) is plain


def test_the_same_history_is_the_same_text_in_every_turn() -> None:
    """Then what a provider cached of a prompt is still its beginning."""
    vault = Vault()
    redactor = Redactor(Rough())
    history: list[str] = []
    sent: list[str] = []
    for turn in range(20):
        history.append(f"turn {turn}: Jane, {turn % 3}{turn}1-09-9998 and jo{turn % 4}@example.com, [[EMAIL_{turn}]]")
        now = [redactor.redact(text, vault) for text in history]
        assert now[: len(sent)] == sent
        sent = now


# --- placeholders ----------------------------------------------------------------------------------------------------


def test_each_value_has_its_placeholder_and_is_counted() -> None:
    seen: Counter[str] = Counter()
    vault = Vault()
    text = "Jane: jo@example.com, JO@example.com, 219-09-9998; jo@example.com"
    redacted = Redactor(Rough()).redact(text, vault, seen=seen)
    assert redacted == "[[PERSON_1]]: [[EMAIL_1]], [[EMAIL_1b]], [[SSN_1]]; [[EMAIL_1]]"
    assert seen == {"EMAIL_ADDRESS": 3, "PERSON": 1, "US_SSN": 1}


def test_types_exceptions_and_allowed_values() -> None:
    text = "Jane jo@example.com 219-09-9998"
    assert redact(text, types=frozenset({"US_SSN"})) == "Jane jo@example.com [[SSN_1]]"
    assert redact(text, types=frozenset()) == text
    assert redact(text, except_types=frozenset({"PERSON"})) == "Jane [[EMAIL_1]] [[SSN_1]]"
    assert redact(text, allow={"jo@example.com"}) == "[[PERSON_1]] jo@example.com [[SSN_1]]"


@pytest.mark.parametrize(
    "typed",
    [
        "[[EMAIL_1]]",
        "[[email 1]]",
        r"\[\[EMAIL\_1\]\]",
        "［［EMAIL_1］］",
        "[EMAIL_1]",
        "[[LITERAL_1]]",
        "[[US_SSN_1]]",
        "[[URL_9b]]",
    ],
)
def test_what_somebody_typed_is_never_taken_for_ours(typed: str) -> None:
    vault = Vault()
    redactor = Redactor(Rough())
    document = redactor.redact(f"The text says {typed} and {typed}.", vault)
    # What the grammar would read is gone, whether or not it exists yet.
    if "US_SSN" not in typed:
        assert document == "The text says [[LITERAL_1]] and [[LITERAL_1]]."
    mine = redactor.redact("jo@example.com 219-09-9998", vault)
    assert (
        Restorer(vault).restore(f"{document} {mine}")
        == f"The text says {typed} and {typed}. jo@example.com 219-09-9998"
    )


def test_a_word_of_ones_own_that_was_typed_before_it_was_found_stays_what_it_was() -> None:
    class Badges:
        def scan(self, text: str) -> list[Finding]:
            return [Finding(match.start(), match.end(), "BADGE", 1.0) for match in re.finditer(r"B-\d+", text)]

    vault = Vault()
    redactor = Redactor(Badges())
    turns = ["see [[BADGE_1]] and [[Chapter 1]]", "mine is B-77", "[[BADGE_1]] [[BADGE_X_1]]"]
    redacted = [redactor.redact(turn, vault) for turn in turns]
    assert redacted[0] == turns[0]
    assert redacted[1] == "mine is [[BADGE_X_1]]"
    assert [Restorer(vault).restore(text) for text in redacted] == turns


def test_findings_that_overlap_become_one() -> None:
    class Overlapping:
        def scan(self, text: str) -> list[Finding]:
            return [Finding(0, 6, "PERSON", 1.0), Finding(4, 9, "LOCATION", 1.0), Finding(4, 9, "ORGANIZATION", 1.0)]

    vault = Vault()
    redacted = Redactor(Overlapping()).redact("abcdefghij", vault)
    assert redacted == "[[PERSON_1]]j"
    assert Restorer(vault).restore(redacted) == "abcdefghij"


def test_an_ambiguous_value_is_replaced_once_and_counted_once() -> None:
    class Ambiguous:
        def scan(self, text: str) -> list[Finding]:
            return [Finding(0, 9, "US_SSN", 0.5), Finding(0, 9, "US_BANK_NUMBER", 0.5)]

    seen: Counter[str] = Counter()
    assert Redactor(Ambiguous()).redact("219099998", Vault(), seen=seen) == "[[SSN_1]]"
    assert seen == {"US_SSN": 1}


# --- links -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("go to https://x.example/u?m=jo@example.com&x=1 now", "go to [[URL_1]] now"),
        ("[her](https://x.example/jo@example.com 'title')", "[her]([[URL_1]] 'title')"),
        ("![](/219-09-9998.png)", "![]([[URL_1]])"),
        ('<img src="/a/219-09-9998 b">', '<img src="[[URL_1]]">'),
        ("<https://jo@example.com/x>", "<[[URL_1]]>"),
        ("[mail](mailto:jo@example.com)", "[mail](mailto:[[EMAIL_1]])"),
        ("[mail](mailto:jo@example.com?cc=x)", "[mail]([[URL_1]])"),
        ("[a](jo@example.com)", "[a]([[URL_1]])"),
        ("https://x.example/a jo@example.com", "https://x.example/a [[EMAIL_1]]"),
        ("Jane(jo@example.com)", "[[PERSON_1]]([[EMAIL_1]])"),
        ("https://x.example/[[EMAIL_1]]", "[[URL_1]]"),
    ],
)
def test_a_link_is_taken_out_whole(text: str, redacted: str) -> None:
    vault = Vault()
    assert Redactor(Rough()).redact(text, vault) == redacted
    assert Restorer(vault).restore(redacted) == text
    assert streamed(Restorer(vault), redacted, [1]) == text


def test_a_link_keeps_its_place_where_nothing_is_put_back() -> None:
    text = "https://x.example/u?m=jo@example.com"
    assert redact(text, default_mode="mask") == "https://x.example/u?m=j***@example.com"


# --- modes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ("4111 1111 1111 1111", "**** **** **** 1111"),
        ("+49 151 1234567", "+** *** ***4567"),
        ("jo@example.com", "j***@example.com"),
        ("Jane Roe", "J*** R***"),
        ("219-09-9998", "********"),
        ("1980-02-03", "********"),
    ],
)
def test_masks_show_what_people_expect(value: str, masked: str) -> None:
    vault = Vault()
    assert Redactor(Rough(), default_mode="mask").redact(value, vault) == masked
    assert len(vault) == 0


def test_hashes_join_conversations_under_one_key() -> None:
    one, other = redact("jo@example.com Jo@Example.com", default_mode="hash", key=KEY).split()
    assert one == other
    assert re.fullmatch(r"\[\[EMAIL#[0-9a-f]{12}\]\]", one)
    assert redact("jo@example.com", default_mode="hash", key=bytes(32)) != one
    # It is no placeholder, whoever writes it.
    assert redact(one) == one


def test_dropped_values_leave_nothing_that_comes_together() -> None:
    assert redact("a jo@example.com b", default_mode="drop") == "a  b"
    vault = Vault()
    vault.placeholder("US_SSN", "219-09-9998")
    forged = Redactor(Rough(), default_mode="drop").redact("[[SSjo@example.comN_1]]", vault)
    assert Restorer(vault).restore(forged) == forged


def test_encrypted_values_can_be_read_by_who_has_the_key() -> None:
    token = redact("jo@example.com", default_mode="encrypt", key=KEY)
    assert token.startswith("aie1.")
    assert "example" not in token
    assert decrypt(token, KEY) == "jo@example.com"
    assert decrypt(token, {key_id(KEY): KEY, "other": bytes(32)}) == "jo@example.com"
    assert redact("jo@example.com", default_mode="encrypt", key=KEY) != token


@given(st.text(max_size=30), st.text(max_size=300))
def test_any_value_of_any_type_can_be_encrypted(value: str, type_: str) -> None:
    assert decrypt(encrypt(value, type_, KEY), KEY) == value


def test_no_token_that_was_changed_opens_and_no_error_tells_why() -> None:
    token = encrypt("jo@example.com", "EMAIL_ADDRESS", KEY)
    messages = set()
    changed = [
        token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :] for place in range(len(token) - 1)
    ]
    for attempt in (*changed, token[:-9], "", "aie1.", "aie1.é", token + "\n", token.replace("aie1", "aie2")):
        with pytest.raises(DecryptionError) as caught:
            decrypt(attempt, KEY)
        messages.add(str(caught.value))
        assert caught.value.__cause__ is None
    with pytest.raises(DecryptionError) as caught:
        decrypt(token, bytes(32))
    messages.add(str(caught.value))
    assert len(messages) == 1


def test_each_type_has_its_mode() -> None:
    text = "Jane jo@example.com 219-09-9998"
    vault = Vault()
    redactor = Redactor(Rough(), modes={"US_SSN": "mask", "PERSON": "drop"})
    assert redactor.redact(text, vault) == " [[EMAIL_1]] ********"


@pytest.mark.parametrize("mode", MODES)
def test_what_somebody_typed_is_escaped_in_every_mode(mode: str) -> None:
    vault = Vault()
    redacted = Redactor(Rough(), default_mode=mode, key=KEY).redact("[[EMAIL_1]] is typed", vault)
    assert redacted == "[[LITERAL_1]] is typed"


def test_wrong_settings_are_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="'hide' is no mode"):
        Redactor(Rough(), modes={"PERSON": "hide"})
    for mode in ("hash", "encrypt"):
        with pytest.raises(ConfigurationError, match="needs a key"):
            Redactor(Rough(), default_mode=mode)
    with pytest.raises(ConfigurationError, match="32 bytes"):
        Redactor(Rough(), key=b"short")


def test_a_full_vault_refuses_and_says_nothing_of_the_value() -> None:
    with pytest.raises(VaultFull) as caught:
        Redactor(Rough()).redact("jo@example.com", Vault(max_entries=0))
    assert "example.com" not in str(caught.value)


# --- fakes -----------------------------------------------------------------------------------------------------------


def luhn(digits: str) -> bool:
    numbers = [int(digit) for digit in reversed(digits)]
    return sum(numbers[::2] + [sum(divmod(2 * number, 10)) for number in numbers[1::2]]) % 10 == 0


def faked(type_: str, value: str, vault: Vault) -> str:
    class All:
        def scan(self, text: str) -> list[Finding]:
            return [Finding(0, len(text), type_, 1.0)]

    made = Redactor(All(), default_mode="fake").redact(value, vault)
    assert Restorer(vault).restore(made) == value
    assert made != value
    return made


@given(st.binary(min_size=16, max_size=16))
def test_fakes_have_the_shape_of_what_they_stand_for(secret: bytes) -> None:
    vault = Vault(secret=secret)
    for number in ("4111 1111 1111 1111", "378282246310005", "5555-5555-5555-4444", "6011111111111117"):
        made = faked("CREDIT_CARD", number, vault)
        assert re.sub(r"\d", "0", made) == re.sub(r"\d", "0", number)
        assert luhn(re.sub(r"\D", "", made))
        assert made[0] == number[0]
    for iban in ("GB33 BUKB 2020 1555 5555 55", "DE75512108001245126199"):
        made = faked("IBAN_CODE", iban, vault)
        plain = made.replace(" ", "")
        assert made[:2] == iban[:2]
        assert int("".join(str(int(character, 36)) for character in plain[4:] + plain[:4])) % 97 == 1
    assert re.fullmatch(r"\+49 \d{3} \d{7}", faked("PHONE_NUMBER", "+49 151 1234567", vault))
    assert re.fullmatch(r"9\d\d-\d\d-\d{4}", faked("US_SSN", "219-09-9998", vault))
    assert re.fullmatch(r"[a-z.]+\d+@example\.(com|org|net)", faked("EMAIL_ADDRESS", "jo@corp.test", vault))
    assert re.fullmatch(r"[A-Z][a-z]+ [A-Z][a-z]+", faked("PERSON", "Jane Roe", vault))
    assert re.fullmatch(r"[A-Z]+", faked("PERSON", "JANE", vault))
    assert faked("IP_ADDRESS", "10.1.2.3", vault).startswith(("192.0.2.", "198.51.100.", "203.0.113."))
    assert faked("IP_ADDRESS", "fe80::1", vault).startswith("2001:db8::")


def test_two_ways_of_writing_a_number_become_two_ways_of_writing_one_fake() -> None:
    vault = Vault()
    spaced, plain = (faked("CREDIT_CARD", number, vault) for number in ("4111 1111 1111 1111", "4111111111111111"))
    assert spaced.replace(" ", "") == plain


def test_dates_keep_their_distance_and_their_format() -> None:
    vault = Vault()
    first, second = (date.fromisoformat(faked("DATE_OF_BIRTH", day, vault)) for day in ("1980-02-03", "1980-03-03"))
    assert (second - first).days == 29
    assert re.fullmatch(r"\d\d\.\d\d\.\d{4}", faked("DATE_TIME", "03.02.1980", vault))
    # What has no format that is known becomes a placeholder.
    assert faked("DATE_TIME", "May", vault) == "[[DATE_1]]"


def test_fakes_are_the_same_for_the_same_and_others_for_others() -> None:
    vault = Vault()
    redactor = Redactor(Rough(), default_mode="fake")
    text = "Jane, jo@example.com; Jane, jo@example.com; al@example.com"
    redacted = redactor.redact(text, vault)
    name, mail, again, other = re.fullmatch(r"(\w+), (\S+); (\w+, \S+); (\S+)", redacted).groups()
    assert again == f"{name}, {mail}"
    assert len({name, mail, other}) == 3
    assert redactor.redact(text, vault) == redacted
    assert Redactor(Rough(), default_mode="fake").redact(text, Vault()) != redacted


def test_no_fake_is_anything_real_even_when_all_are_used_up() -> None:
    vault = Vault()
    originals = {f"Name{number}" for number in range(120)}
    made = [faked("PERSON", name, vault) for name in sorted(originals)]
    assert len(set(made)) == len(made)
    assert originals.isdisjoint(made)
    # There are forty names; then placeholders.
    assert made[-1].startswith("[[PERSON_")


def test_a_fake_that_somebody_types_is_theirs() -> None:
    vault = Vault()
    redactor = Redactor(Rough(), default_mode="fake")
    fake = redactor.redact("jo@example.com", vault)
    text = f"and I am {fake}x, not {fake}."
    assert Restorer(vault).restore(redactor.redact(text, vault)) == text
    name = redactor.redact("Jane", vault)
    typed = redactor.redact(f"{name} was here", vault)
    assert typed == "[[LITERAL_1]] was here"
    assert Restorer(vault).restore(typed) == f"{name} was here"


# --- JSON ------------------------------------------------------------------------------------------------------------


def test_json_stays_as_it_is_but_for_what_was_found() -> None:
    vault = Vault()
    text = '{ "a" : [1.0e5, "jo@example.com\\n\\u00e9"],\t"jo@example.com":null, "n": "caf\\u00e9", "a": 1 }'
    redacted = Redactor(Rough()).redact(text, vault, kind="json")
    assert redacted == '{ "a" : [1.0e5, "[[EMAIL_1]]\\né"],\t"[[EMAIL_1]]":null, "n": "caf\\u00e9", "a": 1 }'
    assert json.loads(Restorer(vault).restore(redacted, json=True)) == json.loads(text)


def test_names_say_what_values_are() -> None:
    redactor = Redactor(default_scanner())
    vault = Vault()
    value = {
        "ssn": 219099998,
        "user": {"password": "hunter2", "apiKey": "abc", "passwordHint": "none", "max_tokens": 100},
        "card": {"number": 4111111111111111},
        "count": 219099998,
    }
    for redacted in (
        redactor.redact_value(value, vault),
        json.loads(redactor.redact(json.dumps(value), vault, kind="json")),
    ):
        assert redacted == {
            "ssn": "[[SSN_1]]",
            "user": {"password": "[[PASSWORD_1]]", "apiKey": "[[SECRET_1]]", "passwordHint": "none", "max_tokens": 100},
            "card": {"number": "[[CARD_1]]"},
            "count": 219099998,
        }
        assert Restorer(vault).restore_value(redacted) == value


def test_a_name_says_nothing_about_the_next_value() -> None:
    redactor = Redactor(default_scanner())
    value = {"ssn": "none", "order": 219099998, "phone": None, "id": 5551234567}
    assert redactor.redact_value(value, Vault()) is value


def test_a_fake_number_stays_a_number() -> None:
    vault = Vault()
    redactor = Redactor(Rough(), default_mode="fake")
    redacted = redactor.redact('{"ssn":219099998}', vault, kind="json")
    assert isinstance(json.loads(redacted)["ssn"], int)
    assert "219099998" not in redacted
    assert Restorer(vault).restore(redacted, json=True) == '{"ssn":219099998}'
    assert Restorer(vault).restore_value(redactor.redact_value({"ssn": 219099998}, vault)) == {"ssn": 219099998}


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "jo@example.com"',
        "jo@example.com",
        "{" * 3000 + "jo@example.com",
        '{"a": ' + "9" * 5000 + ', "b": "jo@example.com"}',
    ],
)
def test_broken_json_is_a_text(text: str) -> None:
    vault = Vault()
    redacted = Redactor(Rough()).redact(text, vault, kind="json")
    assert "jo@" not in redacted
    assert Restorer(vault).restore(redacted) == text


@pytest.mark.parametrize("mode", ["mask", "hash", "drop", "encrypt"])
def test_one_way_modes_keep_json_what_it_is(mode: str) -> None:
    redactor = Redactor(Rough(), default_mode=mode, key=KEY)
    value = {"a": 219099998, "jo@example.com": ["x jo@example.com"]}
    for redacted in (
        json.loads(redactor.redact(json.dumps(value), Vault(), kind="json")),
        redactor.redact_value(value, Vault()),
    ):
        assert isinstance(redacted, dict)
        assert "219099998" not in json.dumps(redacted)
        assert "jo@" not in json.dumps(redacted)


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "redacted"),
    [
        ("jo@example.com.pdf", "[[EMAIL_1]].pdf"),
        ("jo@example.com", "[[EMAIL_1]]"),
        ("cv_Jane_2020.docx", "cv_[[PERSON_1]]_2020.docx"),
        ("Hans_Müller.tar.gz", "[[PERSON_1]].tar.gz"),
        ("report.pdf", "report.pdf"),
        (".pdf", ".pdf"),
    ],
)
def test_names_of_files(name: str, redacted: str) -> None:
    vault = Vault()
    assert Redactor(Rough()).redact(name, vault, kind="name") == redacted
    assert Restorer(vault).restore(redacted) == name
