"""Issuers' formats, and random values beside the words or names that give them away. All tokens are made up here."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.privacy.recognizers.secret_formats import CLASSES, PREFIXED
from aistrale.privacy.recognizers.secret_vendors import RECOGNIZERS
from aistrale.privacy.scanner import Scanner

SCANNER = Scanner(RECOGNIZERS)
MIXED = "q7Wd2Rk9Zs4Lx8Vb3Nf6Ht5Jc1MpYgTuE"
LOWER = "q7wd2rk9zs4lx8vb3nf6ht5jc1mpygtue"
UPPER = LOWER.upper()
HEX = "3fe8a1d97c04b25e6f1d8a30c7b94e52"
UUID = "3fe8a1d9-7c04-4b25-8e6f-1d8a30c7b94e"
FILLING = {"h": HEX, "g": UUID, "n": "4802716395", "u": UPPER, "l": LOWER}


def found(text: str) -> list[str]:
    return [text[finding.start : finding.end] for finding in SCANNER.scan(text)]


def rows() -> list[tuple[str, str]]:
    """Every prefix of the table with a value as the row asks for."""
    made = []
    for row in PREFIXED.splitlines():
        *prefixes, rest = row.partition("#")[0].split() or [""]
        made += [(prefix, (FILLING.get(rest[0], MIXED) * 20)[: int(rest[1:])]) for prefix in prefixes]
    return made


@pytest.mark.parametrize(("prefix", "body"), rows())
def test_every_row_of_the_table_finds_its_own_tokens(prefix: str, body: str) -> None:
    token = prefix + body
    assert found(f"we use {token} there") == [token]


def test_rows_name_a_class_and_a_length() -> None:
    for row in PREFIXED.splitlines():
        fields = row.partition("#")[0].split()
        assert not fields or (len(fields) > 1 and fields[-1][0] in CLASSES and int(fields[-1][1:]) > 9), row


@pytest.mark.parametrize(
    "token",
    [
        "480271639:" + "AA" + MIXED,
        "1402716395480:".replace(":", "|") + MIXED[:27],
        "1/1402716395480271:" + HEX,
        "1000." + HEX + "." + HEX,
        "402716395480-" + LOWER[:32] + ".apps.googleusercontent.com",
        "access_token$" + "production$" + LOWER[:16] + "$" + HEX,
        HEX + "-us14",
        MIXED[:14] + ".atlasv1." + MIXED * 2,
        MIXED[:3] + "8Q~" + MIXED[:31],
        "https://hooks.slack.com/services/" + "T" + UPPER[:8] + "/B" + UPPER[:8] + "/" + MIXED[:24],
        "https://discord.com/api/webhooks/140271639548027163/" + MIXED * 2,
        "M" + MIXED[:23] + "." + MIXED[:6] + "." + MIXED[:27],
    ],
)
def test_formats_that_are_no_mere_prefix(token: str) -> None:
    assert found(f"now {token} is it") == [token]


@pytest.mark.parametrize(
    "token",
    [
        "AKIA" + "Q7WDEXAMPLE2RK9Z",
        "ghp_" + "EXAMPLE" * 5 + "00",
        "xoxb-" + "0000-00000-NOTAREALEXAMPLETOKEN",
        "glpat-" + "ThisIsAnExample" + "00000",
    ],
)
def test_examples_in_an_issuers_format_count_a_little(token: str) -> None:
    assert [(finding.end - finding.start, finding.score) for finding in SCANNER.scan(f"use {token} here")] == [
        (len(token), 0.6)
    ]


@pytest.mark.parametrize(
    "token",
    [
        "AKIA" + "QWDRKZSLXVBNFHTJ",
        "A3T" + "0QWDRKZSLXVBNFHTJ",
        "xoxb-" + "12-345-" + MIXED[:12],
        "3-" + MIXED + MIXED[:31],
        "s-s4t2" + "ud-" + HEX + HEX,
        "EAA" + "M" + MIXED * 2,
    ],
)
def test_formats_with_few_digits_or_none(token: str) -> None:
    assert found(f"use {token} here") == [token]


def test_the_token_of_a_device_in_an_address() -> None:
    assert found(f"https://things.example/api/v1/{MIXED[:20]}/telemetry") == [MIXED[:20]]


def test_a_password_in_a_line_of_its_own_after_one_that_says_so() -> None:
    assert found(f"Please use the following password to go on with the setup:\n\n{HEX}\n\nGood luck.") == [HEX]


@pytest.mark.parametrize(
    "around", ['"{}"', "({})", "x={},", "https://{}@github.com/a/b", "<k>{}</k>", "key: {}\n", "{}."]
)
def test_what_stands_around_a_token_is_no_part_of_it(around: str) -> None:
    token = "ghp" + "_" + MIXED + "a1"
    assert found(around.format(token)) == [token]


@pytest.mark.parametrize(
    "text",
    [
        "twilio_auth_token = {}",
        "datadog api key: {}",
        "const STRIPE_SECRET = '{}';",
        "openweathermap {}",
        "export NEWRELIC_KEY={}",
        "acme-secret-key-{}",
        "https://acme.example/webhook/{}",
    ],
)
@pytest.mark.parametrize("value", [HEX, UUID, MIXED[:24]])
def test_a_word_or_a_service_directly_before_a_random_value(text: str, value: str) -> None:
    assert found(text.format(value)) == [value]


@pytest.mark.parametrize("text", ["zorblax = '{}'", '{{"zorblax": "{}"}}'])
def test_nothing_but_random_in_quotes_needs_no_word(text: str) -> None:
    assert found(text.format(MIXED)) == [MIXED]


@pytest.mark.parametrize(
    "text",
    [
        f"commit {HEX}a1b2c3d4",
        f"sha256: {HEX}{HEX}",
        f'"integrity": "sha512-{MIXED}{MIXED}=="',
        f"the token service refused request {UUID} again",
        f"https://registry.example/js-tokens/-/js-tokens-4.0.0.tgz#{HEX}a1b2c3d4",
        f"src/{HEX}/index.js",
        f"user {UUID} signed in",
        f'request_id = "{UUID}"',
        f'"content": "{HEX}{HEX}"',
        f"data:image/png;base64,iVBORw0KGgo{MIXED * 12}",
        "def test_secret_key_of_python3_and_utf8_names(): ...",
        "the-secret-of-section-42-b-and-other-stories",
        "ghp" + "_" + "x" * 36,
        "sk-" + "your-api-key-goes-in-here-2024",
        "AKIA" + "X" * 16,
        "tvly-" + "x" * 32,
        "xoxb-" + "0" * 10 + "-" + "0" * 12 + "-" + "x" * 24,
        "sk-proj-" + "x" * 40,
        f"gpg --recv-keys {HEX}a1b2c3d4",
        "sk-chasing-dots-are-fun2-see-how-they-go",
    ],
)
def test_what_is_no_secret(text: str) -> None:
    assert found(text) == []


@given(st.text(alphabet="aZ09_-./+=:|$%!~ \n'\"", max_size=400))
def test_findings_lie_in_the_text_and_do_not_end_in_a_full_stop(text: str) -> None:
    for finding in SCANNER.scan(text):
        assert 0 <= finding.start < finding.end <= len(text)
        assert text[finding.end - 1] != "."


@pytest.mark.parametrize("unit", ["1a", "a1a1a1a1a1a1a1a1a1 ", "a1-", "a/1b", "ghp_1a", "1_", "sk-", "key-1a"])
def test_time_grows_with_the_text_alone(unit: str) -> None:
    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        begun = time.process_time()
        SCANNER.scan(text)
        return time.process_time() - begun

    seconds(1000)
    assert seconds(160_000) < 40 * seconds(20_000) + 0.05
