from __future__ import annotations

import json

import pytest

from aistrale.cli import scan as scanning
from aistrale.cli.scan import shown

MAIL = "ann.smith@example.com"
TEXT = f"First line\nwrite to {MAIL},\r\nor to bob@example.org.\n"


@pytest.fixture
def folder(nobody, tmp_path):
    """Two texts and a picture, in the working directory."""
    (tmp_path / "clean.txt").write_text("Nothing here.\n", encoding="utf-8")
    (tmp_path / "mails.txt").write_text(TEXT, encoding="utf-8", newline="")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR ann.smith@example.com")
    return tmp_path


def test_nothing_found(cli, folder):
    result = cli("scan", "clean.txt")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "0 findings in 1 file\n"


def test_findings_are_listed_with_their_places_and_without_their_values(cli, folder):
    result = cli("scan", "clean.txt", "mails.txt", "picture.png")
    assert result.exit_code == 1
    header, *rows = (line.split() for line in result.stdout.splitlines())
    assert header == ["place", "type", "score", "value"]
    assert [row[:2] for row in rows] == [["mails.txt:2:10", "EMAIL_ADDRESS"], ["mails.txt:3:7", "EMAIL_ADDRESS"]]
    assert MAIL not in result.output
    assert result.stderr == "skipped: picture.png (binary)\n2 findings in 2 files\n"


def test_values_are_shown_on_request(cli, folder):
    assert MAIL in cli("scan", "mails.txt", "--show-values").stdout
    assert json.loads(cli("scan", "mails.txt", "--show-values", "--json").stdout)["findings"][0]["value"] == MAIL


def test_json(cli, folder):
    document = json.loads(cli("scan", "mails.txt", "picture.png", "--format", "json").stdout)
    assert cli("scan", "mails.txt", "picture.png", "--json").stdout == json.dumps(document, indent=2) + "\n"
    assert (document["files"], document["skipped"]) == (1, [{"file": "picture.png", "reason": "binary"}])
    first = document["findings"][0]
    assert {**first, "recognizer": "", "score": 0} == {
        "file": "mails.txt",
        "type": "EMAIL_ADDRESS",
        "score": 0,
        "recognizer": "",
        "line": 2,
        "column": 10,
        "end_line": 2,
        "end_column": 10 + len(MAIL),
        "start": TEXT.index(MAIL),
        "end": TEXT.index(MAIL) + len(MAIL),
        "value": "an***om",
    }


def test_sarif(cli, folder):
    """What OASIS's schema demands of the parts that we write; whole logs were validated against it."""
    (folder / "a b.txt").write_text(TEXT, encoding="utf-8")
    document = json.loads(cli("scan", "a b.txt", "picture.png", "--format", "sarif").stdout)
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["EMAIL_ADDRESS"]
    (skipped,) = run["invocations"][0]["toolExecutionNotifications"]
    assert skipped["message"]["text"] == "skipped: binary"
    first = run["results"][0]
    assert (first["ruleId"], first["ruleIndex"], first["level"]) == ("EMAIL_ADDRESS", 0, "error")
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "a%20b.txt"}
    assert place["region"] == {
        "startLine": 2,
        "startColumn": 10,
        "endLine": 2,
        "endColumn": 10 + len(MAIL),
        "charOffset": TEXT.index(MAIL),
        "charLength": len(MAIL),
    }
    assert run["columnKind"] == "unicodeCodePoints"
    assert MAIL not in json.dumps(document)


def test_an_absolute_path_is_a_file_uri(cli, folder):
    document = json.loads(cli("scan", folder / "mails.txt", "--format", "sarif").stdout)
    place = document["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == (folder / "mails.txt").as_uri()


def test_standard_input(cli, folder):
    result = cli("scan", "-", stdin=TEXT.encode())
    assert result.exit_code == 1
    assert result.stdout.splitlines()[1].startswith("-:2:10")
    document = json.loads(cli("scan", "-", "--format", "sarif", stdin=TEXT.encode()).stdout)
    place = document["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "stdin"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-8-sig", "latin-1"])
def test_texts_in_other_encodings_are_no_binary_files(cli, folder, encoding):
    text = f"Grüße, {MAIL}"
    data = ("\ufeff" + text).encode(encoding) if encoding == "utf-16-be" else text.encode(encoding)
    (folder / "other.txt").write_bytes(data)
    found = json.loads(cli("scan", "other.txt", "--json", "--show-values").stdout)["findings"]
    assert [(each["column"], each["value"]) for each in found] == [(8, MAIL)]


@pytest.mark.parametrize(
    ("options", "findings", "code"),
    [
        (["--types", "email_address"], 2, 1),
        (["--types", "CREDIT_CARD,IBAN_CODE"], 0, 0),
        (["--types", "CREDIT_CARD", "--types", "EMAIL_ADDRESS"], 2, 1),
        (["--fail-on", "CREDIT_CARD"], 2, 0),
        (["--fail-on", "CREDIT_CARD,EMAIL_ADDRESS"], 2, 1),
        (["--fail-on", "any"], 2, 1),
        (["--fail-on", "none"], 2, 0),
    ],
)
def test_what_counts_can_be_chosen(cli, folder, options, findings, code):
    result = cli("scan", "mails.txt", "--json", *options)
    assert (len(json.loads(result.stdout)["findings"]), result.exit_code) == (findings, code)


def test_unsure_findings_are_listed_on_request(cli, folder):
    (folder / "maybe.txt").write_text("The number is 212-555-0143 or so.", encoding="utf-8")
    some = json.loads(cli("scan", "maybe.txt", "--min-score", "0", "--json").stdout)["findings"]
    sure = json.loads(cli("scan", "maybe.txt", "--min-score", "1", "--json").stdout)["findings"]
    assert len(some) > len(sure)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing argument"),
        (["nowhere.txt"], "nowhere.txt cannot be read"),
        (["."], "is a folder"),
        (["clean.txt", "--types", "EMIL_ADDRESS"], "Did you mean EMAIL_ADDRESS"),
        (["clean.txt", "--fail-on", "EMIL_ADDRESS"], "Did you mean EMAIL_ADDRESS"),
        (["clean.txt", "--min-score", "2"], "--min-score"),
        (["clean.txt", "--format", "xml"], "--format"),
    ],
)
def test_wrong_usage(cli, folder, arguments, said):
    result = cli("scan", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


def test_a_file_that_is_too_large_is_an_error_and_no_clean_file(cli, folder, monkeypatch):
    monkeypatch.setattr(scanning, "LIMIT", 100)
    (folder / "large.txt").write_text("x" * 101, encoding="utf-8")
    result = cli("scan", "large.txt")
    assert result.exit_code == 2
    assert "is larger than" in result.stderr


def test_the_settings_say_what_is_allowed(cli, folder):
    (folder / "aistrale.toml").write_text('[privacy]\nallow = ["@example.com"]\n', encoding="utf-8")
    found = json.loads(cli("scan", "mails.txt", "--json", "--show-values").stdout)["findings"]
    assert [each["value"] for each in found] == ["bob@example.org"]
    (folder / "aistrale.toml").write_text('[privacy]\ntypes = ["CREDIT_CARD"]\n', encoding="utf-8")
    assert cli("scan", "mails.txt").exit_code == 0
    assert cli("scan", "mails.txt", "--types", "EMAIL_ADDRESS").exit_code == 1


def test_in_a_process_of_its_own(process, folder):
    result = process("scan", "-", cwd=folder, stdin=TEXT.encode())
    assert (result.returncode, result.stdout.count(b"EMAIL_ADDRESS")) == (1, 2)


@pytest.mark.parametrize("value", ["a", "a@b.c", "4111111111111111", "x" * 300])
def test_at_most_a_quarter_of_a_value_is_shown(value):
    masked = shown(value, clear=False)
    assert len(masked.replace("***", "")) * 4 <= len(value)
    assert shown(value, clear=True) == value
