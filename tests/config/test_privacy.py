"""The setting `privacy`: words, tables, objects, variables, and what is said about each mistake."""

from __future__ import annotations

import base64
import inspect
from dataclasses import fields

import pytest

import aistrale
from aistrale.config import load
from aistrale.config.privacy import _settings  # noqa: F401 - its table of checks is compared with the fields on import
from aistrale.errors import ConfigurationError
from aistrale.privacy.dlp import Rule
from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers
from aistrale.privacy.settings import AllowList, PrivacySettings

KEY = base64.b64encode(bytes(range(32))).decode()


def privacy(value, environ=None):
    return load({} if value is None else {"privacy": value}, environ or {}, None).privacy


@pytest.mark.parametrize("value", ["off", "OFF", "none", "false", False, None])
def test_off(value):
    assert load({"privacy": value}, {}).privacy is None


def test_off_unless_it_is_asked_for():
    assert load({}, {}).privacy is None


@pytest.mark.parametrize("value", ["redact", "Redact", "on", True, {}, PrivacySettings()])
def test_the_defaults(value):
    assert privacy(value) == PrivacySettings()


def test_a_table():
    own = privacy(
        {
            "types": ["EMAIL_ADDRESS", "CREDIT_CARD"],
            "except_types": ["URL"],
            "min_score": 0.85,
            "modes": {"CREDIT_CARD": "mask"},
            "default_mode": "hash",
            "allow": ["@example.com"],
            "key": KEY,
            "restore": False,
            "restore_links": True,
            "media": "block",
            "rules": [
                {"name": "cards", "types": ["CREDIT_CARD"], "action": "block", "at_least": 2, "direction": "both"}
            ],
            "dry_run": True,
            "on_error": "allow",
            "redact": "no",
        }
    )
    assert own == PrivacySettings(
        types=frozenset({"EMAIL_ADDRESS", "CREDIT_CARD"}),
        except_types=frozenset({"URL"}),
        min_score=0.85,
        modes={"CREDIT_CARD": "mask"},
        default_mode="hash",
        allow=("@example.com",),
        key=own.key,
        restore=False,
        restore_links=True,
        media="block",
        rules=(Rule(name="cards", types={"CREDIT_CARD"}, action="block", at_least=2, direction="both"),),
        dry_run=True,
        on_error="allow",
        redact=False,
    )
    assert own.key_bytes() == bytes(range(32))


def test_what_is_redacted_and_how():
    own = privacy({"types": ["EMAIL_ADDRESS", "URL"], "except_types": ["URL"], "modes": {"EMAIL_ADDRESS": "mask"}})
    assert [own.redacts(kind) for kind in ("EMAIL_ADDRESS", "URL", "CREDIT_CARD")] == [True, False, False]
    assert (own.mode_of("EMAIL_ADDRESS"), own.mode_of("URL")) == ("mask", "placeholder")
    assert not privacy({"redact": False}).redacts("EMAIL_ADDRESS")


def test_the_environment():
    assert privacy(None, {"AISTRALE_PRIVACY": "redact"}) == PrivacySettings()
    assert privacy(None, {"AISTRALE_PRIVACY": "off"}) is None
    assert privacy("off", {"AISTRALE_PRIVACY": "redact"}) is None
    with pytest.raises(ConfigurationError, match="'off', 'redact' or a table"):
        privacy(None, {"AISTRALE_PRIVACY": "redcat"})


def test_the_key_of_the_environment():
    environ = {"AISTRALE_PRIVACY_KEY": KEY}
    assert privacy(None, environ) is None
    assert privacy("off", environ) is None
    own = PrivacySettings(redact=False)
    for value in ("redact", {"default_mode": "hash"}, {}, True, own):
        assert privacy(value, environ).key_bytes() == bytes(range(32))
    assert own.key is None
    other = base64.b64encode(b"x" * 32).decode()
    assert privacy({"key": other}, environ).key_bytes() == b"x" * 32
    assert KEY not in repr(load({"privacy": "redact"}, environ))


def test_a_file(tmp_path):
    (tmp_path / "aistrale.toml").write_text(
        '[privacy]\nallow = ["a"]\n\n[[privacy.rules]]\nname = "n"\nwords = ["Nightjar"]\naction = "warn"\n'
    )
    own = load({}, {}, tmp_path).privacy
    assert own.allow == ("a",)
    assert [(rule.name, rule.action, rule.words) for rule in own.rules] == [("n", "warn", ("Nightjar",))]


RULE = {"name": "r", "action": "block", "types": ["EMAIL_ADDRESS"]}


@pytest.mark.parametrize(
    ("value", "field", "said"),
    [
        ("sometimes", "privacy", "'off', 'redact' or a table"),
        (["redact"], "privacy", "a table"),
        ({"redakt": True}, "privacy.redakt", "Did you mean privacy.redact"),
        ({"types": ["EMAIL"]}, "privacy.types", "EMAIL_ADDRESS"),
        ({"types": 5}, "privacy.types", "a list"),
        ({"except_types": ["EMAIL_ADRESS"]}, "privacy.except_types", "Did you mean EMAIL_ADDRESS"),
        ({"modes": {"EMAIL_ADRESS": "mask"}}, "privacy.modes.EMAIL_ADRESS", "Did you mean EMAIL_ADDRESS"),
        ({"modes": {"EMAIL_ADDRESS": "shred"}}, "privacy.modes.EMAIL_ADDRESS", "'placeholder', 'mask', 'hash'"),
        ({"default_mode": "shred"}, "privacy.default_mode", "'placeholder', 'mask', 'hash'"),
        ({"default_mode": "encrypt"}, "privacy.key", "AISTRALE_PRIVACY_KEY"),
        ({"modes": {"EMAIL_ADDRESS": "hash"}}, "privacy.key", "'hash'"),
        ({"rules": [{**RULE, "action": "encrypt"}]}, "privacy.key", "encrypts"),
        ({"key": "c2hvcnQ="}, "privacy.key", "32 bytes"),
        ({"key": "!" * 44}, "privacy.key", "32 bytes"),
        ({"min_score": 2}, "privacy.min_score", "at most 1"),
        ({"media": "drop"}, "privacy.media", "'allow', 'warn', 'block'"),
        ({"on_error": "pass"}, "privacy.on_error", "'block', 'allow'"),
        ({"allow": [""]}, "privacy.allow[0]", "non-empty"),
        ({"recognizers": {"name": "x"}}, "privacy.recognizers", "a list"),
        ({"recognizers": [5]}, "privacy.recognizers[0]", "recognizer"),
        ({"recognizers": [Finding]}, "privacy.recognizers[0]", "recognizer"),
        ({"recognizers": ["no such package"]}, "recognizers", "no such package"),
        ({"recognizers": [{"name": "x", "kind": "y"}]}, "privacy.recognizers[0].kind", "unknown field"),
        ({"rules": RULE}, "privacy.rules", "a list"),
        ({"rules": [5]}, "privacy.rules[0]", "a table"),
        ({"rules": [{"action": "block"}]}, "privacy.rules[0].name", "given"),
        ({"rules": [{"name": "r"}]}, "privacy.rules[0].action", "given"),
        ({"rules": [{"name": "r", "action": "block"}]}, "privacy.rules[0].types", "says nothing"),
        ({"rules": [{**RULE, "action": "stop"}]}, "privacy.rules[0].action", "'allow', 'warn', 'redact'"),
        ({"rules": [{**RULE, "types": ["EMAIL_ADRESS"]}]}, "privacy.rules[0].types", "Did you mean EMAIL_ADDRESS"),
        ({"rules": [{**RULE, "patterns": ["("]}]}, "privacy.rules[0].patterns[0]", "no regular expression"),
        ({"rules": [{**RULE, "at_least": 0}]}, "privacy.rules[0].at_least", "at least 1"),
        ({"rules": [{**RULE, "direction": "up"}]}, "privacy.rules[0].direction", "'out', 'in', 'both'"),
        ({"rules": [{**RULE, "who": "ann"}]}, "privacy.rules[0].who", "unknown setting"),
        ({"rules": [RULE, RULE]}, "privacy.rules[1].name", "no other rule"),
        (
            {"rules": [{"name": "Credit card", "words": ["x"], "action": "warn"}]},
            "privacy.rules[0].name",
            "CREDIT_CARD",
        ),
        (
            {"rules": [{"name": name, "words": ["x"], "action": "warn"} for name in ("a b", "a-b")]},
            "privacy.rules[1].name",
            "A_B",
        ),
    ],
)
def test_mistakes_are_named(value, field, said):
    with pytest.raises(ConfigurationError) as caught:
        privacy(value)
    assert caught.value.field == field
    assert said in str(caught.value)


def test_the_modes_of_a_rules_own_words_can_be_chosen():
    rules = [{"name": "project names", "words": ["Nightjar"], "action": "redact"}]
    assert privacy({"rules": rules, "modes": {"PROJECT_NAMES": "drop"}}).mode_of("PROJECT_NAMES") == "drop"


class Tickets:
    """Finds nothing, but has a type."""

    name = "tickets"
    types = ("TICKET",)
    triggers = Triggers(literals=("TKT-",))

    def recognize(self, candidate):
        return [Finding(candidate.start, candidate.end, "TICKET", 1.0)]


def test_a_recognizer_in_a_table():
    own = privacy({"recognizers": [{"name": "staff", "type": "EMPLOYEE_ID", "pattern": r"\\bE-\\d{6}\\b"}]}).recognizers
    assert [each.types for each in own] == [("EMPLOYEE_ID",)]


def test_the_types_of_own_recognizers_are_known():
    own = privacy({"recognizers": [Tickets()], "types": ["TICKET"], "modes": {"TICKET": "drop"}})
    assert own.redacts("TICKET")


def test_every_field_is_described():
    # Python 3.13 takes the indentation away by itself.
    for owner in (PrivacySettings, Rule):
        described = inspect.cleandoc(owner.__doc__)
        for field in fields(owner):
            assert not field.init or f"\n    {field.name}: " in described
    assert "privacy: " in aistrale.Settings.__doc__


def test_what_may_be_sensitive_does_not_show():
    own = privacy({"allow": ["ann@example.com"], "rules": [{"name": "n", "words": ["Nightjar"], "action": "warn"}]})
    assert "ann@" not in repr(own)
    assert "Nightjar" not in repr(own)


@pytest.mark.parametrize(
    ("value", "inside"),
    [
        ("ann@example.com", True),
        ("Ann@Example.com", False),
        ("bob@corp.example", True),
        ("BOB@CORP.example", True),
        ("bob@notcorp.example", False),
        ("bob@corp.example.org", False),
    ],
)
def test_the_list_of_allowed_values(value, inside):
    assert (value in AllowList(["ann@example.com", "@corp.example"])) is inside
