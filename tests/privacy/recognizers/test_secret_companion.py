"""The other halves of credentials: users, ids, accounts. All values are made up here."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.privacy.recognizers import secret_assignment, secret_companion
from aistrale.privacy.scanner import Scanner

SCANNER = Scanner((*secret_assignment.RECOGNIZERS, *secret_companion.RECOGNIZERS))
UUID = "3fe8a1d9-7c04-4b25-8e6f-1d8a30c7b94e"
HEX = "3fe8a1d97c04b25e6f1d8a30c7b94e52"


def found(text: str) -> list[str]:
    return [text[finding.start : finding.end] for finding in SCANNER.scan(text) if finding.type == "SECRET"]


@pytest.mark.parametrize(
    "text",
    [
        "user = 'otter'\npassword = 'Gr4vel!Moth'",
        '{"username": "otter", "password": "Gr4vel!Moth"}',
        '{\\"username\\": \\"otter\\", \\"password\\": \\"Gr4vel!Moth\\"}',
        "Server=db;User Id=otter;Password=Gr4vel!Moth;",
        "Server=db;Uid=otter;Pwd=Gr4vel!Moth;",
        "machine_name=x\nDB_USERNAME=otter\nDB_PASSWORD=Gr4vel!Moth",
        "$mail->Username = 'otter';   // who\n$mail->Password = 'Gr4vel!Moth';",
        "<username>otter</username>\n<password>Gr4vel!Moth</password>",
        '<add key="SmtpUser" value="otter"/><add key="SmtpPassword" value="Gr4vel!Moth"/>',
        "POST /login username=otter&password=Gr4vel!Moth",
        "Connect-Thing -User otter -Password Gr4vel!Moth",
        "tool --username otter --password Gr4vel!Moth",
        "credentials {\n  username 'otter'\n  password 'Gr4vel!Moth'\n}",
        "the password for user 'otter' is 'Gr4vel!Moth'",
        'new NetworkCredential("otter", "Gr4vel!Moth")',
        "psexec \\\\box -u otter -p Gr4vel!Moth cmd",
        "net use z: \\\\box\\share /user:otter Gr4vel!Moth",
    ],
)
def test_the_user_beside_a_password(text: str) -> None:
    assert found(text) == ["otter", "Gr4vel!Moth"]


def test_the_user_after_a_password() -> None:
    assert found("Password=Gr4vel!Moth;User ID=otter;") == ["Gr4vel!Moth", "otter"]


def test_the_host_and_user_of_a_netrc() -> None:
    text = "machine api.otter.test\n  login otter\n  password Gr4vel!Moth"
    assert found(text) == ["api.otter.test", "otter", "Gr4vel!Moth"]


def test_the_account_beside_a_key() -> None:
    key = "q7Wd2Rk9Zs4Lx8Vb3Nf6Ht5Jc1Mp"
    assert found(f"AccountName=ottershop;AccountKey={key}==;") == ["ottershop", f"{key}=="]
    assert found(f"SharedAccessKeyName=reader;SharedAccessKey={key}=") == ["reader", f"{key}="]


@pytest.mark.parametrize(
    "text",
    [
        "user = 'otter'\npassword = 'password'",
        "Server=db;User Id=otter;Password=secret;",
        "Username=otter\nPassword=password",
        "SHOP_USER=otter",
        "SHOP_USERNAME='otter'",
    ],
)
def test_a_user_in_a_pair_counts_though_the_password_says_nothing(text: str) -> None:
    assert found(text) == ["otter"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("client_id = '{}'", UUID),
        ("clientId: '{}',", HEX[:20]),
        ("tenant_id={}", UUID),
        ('"private_key_id": "{}"', HEX),
        ('shop_app_id = "{}"', "W7RB8YLF2Y"),
        ("SHOP_CLIENT_ID={}", HEX[:20]),
        ("application_id: {}", "294790898041575"),
        ("aws_account_id={}", "480271639548"),
        ('AWSAccountId: "{}"', "480271639548"),
        ("token-id: {}", "07a4b2"),
        ("REPORTER_ID: {}", HEX * 2),
    ],
)
def test_ids_beside_their_names(text: str, value: str) -> None:
    assert found(text.format(value)) == [value]


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:iam::480271639548:user/otter",
        "arn:aws:s3:::otter-shop/*",
        "arn:aws-cn:sns:cn-north-1:480271639548:Alarms",
        f"arn:aws:kms:eu-central-1:480271639548:key/{UUID}",
    ],
)
def test_names_of_an_accounts_resources(arn: str) -> None:
    assert found(f'see "{arn}".') == [arn]
    assert found(f"see {arn}.") == [arn]


@pytest.mark.parametrize(
    "text",
    [
        "connect(user=user, password=password)",
        "user = username\npassword = secret_from(vault)",
        "self.user = args.user\nself.password = args.password",
        '{"username": "Username", "password": "Password"}',
        "The login page asks for a user name and a password.",
        "login failed; the password was wrong",
        "user_id = 4711; request_id = '" + UUID + "'",
        "client_id = get_client_id()",
        'client_id: "your-client-id"',
        "app_id=app.id, key_id=key.id, token_id=50256",
        "if client.id == 17: grid=3",
        "DB_USER=${DB_USER} DB_USERNAME=<name>",
        "docker run -u 1000 -p 8080:80 image",
        "docker run -u root -p 8080:80 image",
        "psexec -u %USER% -p %PASS%",
        "sort -u -p file",
        "arn:aws:iam::aws:policy/ReadOnlyAccess",
        "arn:aws:s3:::${bucket}",
        "arn:aws:iam::{account}:role/x",
        "runas /user:%USERNAME% cmd",
    ],
)
def test_what_belongs_to_no_credential(text: str) -> None:
    assert found(text) == []


@given(st.text(alphabet="userpaswod_ID=;: \"'\\{}<>-/&.1A!\n", max_size=300))
def test_findings_lie_in_the_text_and_apart(text: str) -> None:
    places = [(finding.start, finding.end) for finding in SCANNER.scan(text) if finding.type == "SECRET"]
    assert all(0 <= start < end <= len(text) for start, end in places)
    assert all(one[1] <= other[0] for one, other in pairwise(places))


@pytest.mark.parametrize(
    "unit",
    [
        "user=a;password=Gr4vel!M;",
        "login a ",
        "password='x1!Abcd' ",
        "client_id=",
        "key_id='a1b2c3' ",
        "arn:aws:a:",
        " -u a -p ",
        "/user:a ",
        "_USER=",
        "id=",
        "pass user:",
    ],
)
def test_time_grows_with_the_text_alone(unit: str) -> None:
    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        begun = time.process_time()
        SCANNER.scan(text)
        return time.process_time() - begun

    seconds(1000)
    assert seconds(160_000) < 40 * seconds(20_000) + 0.05
