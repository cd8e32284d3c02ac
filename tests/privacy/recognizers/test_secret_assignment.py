"""Passwords, tokens and keys that a name gives away, and what merely looks like that. All values are made up here."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.privacy.recognizers.secret_assignment import RECOGNIZERS
from aistrale.privacy.scanner import Scanner

SCANNER = Scanner(RECOGNIZERS)
PASSWORD = "Gr4vel!Moth"
TOKEN = "q7Wd2Rk9Zs4Lx8Vb3Nf6"


def found(text: str, kind: str = "SECRET") -> list[str]:
    return [text[finding.start : finding.end] for finding in SCANNER.scan(text) if finding.type == kind]


@pytest.mark.parametrize(
    "text",
    [
        "password = '{}'",
        'password="{}"',
        '{{"password": "{}"}}',
        '{{\\"password\\": \\"{}\\"}}',
        "DB_PASSWORD={}",
        "export MYSQL_PWD={}",
        "db.password: {}",
        "userPassword := `{}`",
        "'passwd' => '{}',",
        'password: str = "{}"',
        "<password>{}</password>",
        '<add key="AdminPassword" value="{}"/>',
        "set_password('{}')",
        "mysql --password={} shop",
        "mysql --password {} shop",
        "CREATE USER jo WITH PASSWORD '{}';",
        "CREATE USER 'jo'@'%' IDENTIFIED BY '{}'",
        'if password == "{}":',
        "my password is {}, keep it",
        "My password: {}.",
        "log in as jo with password {}.",
        "the user had password '{}' until May",
        "Server=db;User Id=sa;Password={};Encrypt=yes",
        "machine example.com login jo password {}",
        "Passwort: {}",
        "(id/pw: {})",
        "credentials: jo@example.com / {}.",
        'new NetworkCredential("jo", "{}")',
    ],
)  # fmt: skip
def test_passwords_are_reported_as_both_types(text: str) -> None:
    text = text.format(PASSWORD)
    # Before it may stand whose it is.
    assert found(text)[-1] == PASSWORD
    assert found(text, "PASSWORD") == [PASSWORD]


@pytest.mark.parametrize(
    "text",
    [
        "token = '{}'",
        '{{"access_token": "{}"}}',
        "API_KEY={}",
        "x-api-key: {}",
        "Authorization: Bearer {}",
        '-H "Authorization: token {}"',
        "client.secret={}",
        "const apiKey = `{}`;",
        "tool --token {}",
        "acme SECRET {}",
        "https://example.com/v1?token={}&page=2",
        "auth_token: {}",
        "<apiKey>{}</apiKey>",
        'secret_key := "{}"',
    ],
)  # fmt: skip
def test_tokens_and_keys(text: str) -> None:
    text = text.format(TOKEN)
    assert found(text) == [TOKEN]
    assert found(text, "PASSWORD") == []


def test_basic_authorization_holds_a_name_and_a_password() -> None:
    joined = "am86R3I0dmVs"
    assert found(f"Authorization: Basic {joined}") == [joined]
    assert found("Authorization: Basic realm") == []


@pytest.mark.parametrize(
    "text",
    [
        "password = getpass.getpass()",
        "token = get_token()",
        'api_key=os.environ["API_KEY2"]',
        "def login(user: str, password: str, token: str | None = None) -> None:",
        "password=password, token=self.token2",
        "api_key: <your-key>",
        "API_KEY=xxxxxxxxxxxxxxxxxxxx",
        "PASSWORD=${DB_PASSWORD}",
        "password: $DB_PASSWORD1",
        "password = 'changeme'",
        "password: {{ vault_password1 }}",
        'password="%(password)s"',
        'token = "your-token-here"',
        '{"type": "password", "name": "new_password2", "label": "Your password:"}',
        "The password must have 8 characters, and pass 2 tests.",
        "The password is base64 encoded and the token is sha256 hashed.",
        "passwords of 12 characters; pass@10=0.85; compass: N42",
        '{"prompt_tokens": 4096, "max_tokens": 16384, "token_count": "123456789012345678"}',
        'key = "user_profile_v2_cache"',
        "the monkey and the author2 of keyboard3",
        "private_key_path=/etc/ssl/private/key2.pem",
        "secretary: Mary12 Jones34, tokenizer: bert2base",
        "key=rfc3279.DHPublicKey OID_KEY = '1.2.840.113549.1.9.4'",
        'throw new Error("Invalid password")',
        "bypass = 'x9'",
    ],
)
def test_what_is_no_secret(text: str) -> None:
    assert found(text) == []


def test_what_a_configuration_says_is_no_name_of_a_program() -> None:
    assert found("password: hunter2\n") == ["hunter2"]
    assert found("password=hunter2") == ["hunter2"]
    assert found("login(password=hunter2)") == []


@pytest.mark.parametrize("letter", ["é", "İ", "ß", "ﬁ", "😀"])
def test_places_hold_beside_any_letter(letter: str) -> None:
    assert found(f"{letter * 3} PASSWORD: {PASSWORD} {letter}") == [PASSWORD]


@given(st.text(alphabet="pasword=: '\"\\key{}<>-&;,.1A!\n", max_size=300))
def test_findings_lie_in_the_text(text: str) -> None:
    for finding in SCANNER.scan(text):
        assert 0 <= finding.start < finding.end <= len(text)


@pytest.mark.parametrize(
    "unit",
    ["key", "key=", "password='", '"key":{', "token ", "secret-", "pass ", "x" * 9 + "key: ", "bearer ", "&key="],
)
def test_time_grows_with_the_text_alone(unit: str) -> None:
    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        begun = time.process_time()
        SCANNER.scan(text)
        return time.process_time() - begun

    seconds(1000)
    assert seconds(160_000) < 40 * seconds(20_000) + 0.05
