"""Rules about data: which one holds, and what the rules look at."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.errors import ConfigurationError
from aistrale.privacy import default_scanner
from aistrale.privacy.dlp import ACTIONS, Rule, Seen, Where, judge
from aistrale.privacy.finding import Finding
from aistrale.privacy.look import RuledScanner, look, same_value, united
from aistrale.privacy.matcher import label_of

MAIL = Seen("text", 0, 10, ("EMAIL_ADDRESS",), "jo@example.com")
CARD = Seen("text", 20, 36, ("CREDIT_CARD",), "4111111111111111")


def rule(action, name="rule", **fields):
    given = fields or {"types": {"EMAIL_ADDRESS"}}
    return Rule(name=name, action=action, **{"types": {"EMAIL_ADDRESS"}, **given} if "words" not in given else given)


def decided(rules, seen=(MAIL,), where=None, direction="out"):
    return [decision.action for decision in judge(rules, seen, where or Where(), direction).decisions]


# --- which rule holds --------------------------------------------------------------------------------------------


def test_no_rule_no_verdict():
    verdict = judge([], [MAIL], Where(), "out")
    assert (verdict.decisions, verdict.hits, verdict.action, verdict.blocking) == ((), (), "allow", ())


@pytest.mark.parametrize("actions", [ACTIONS, ACTIONS[::-1], ("warn", "redact"), ("redact", "encrypt"), ("block",)])
def test_the_strongest_action_wins_in_whatever_order_the_rules_stand(actions):
    rules = [rule(action, name=action) for action in actions]
    (decision,) = judge(rules, [MAIL], Where(), "out").decisions
    strongest = max(actions, key=ACTIONS.index)
    assert (decision.action, decision.rule) == (strongest, strongest)


SCOPES = st.fixed_dictionaries(
    {}, optional={"user": st.sampled_from(["ann", "a*"]), "project": st.sampled_from(["p", "*"]), "route": st.just("r")}
)
RULES = st.lists(st.builds(lambda action, scope: (action, scope), st.sampled_from(ACTIONS), SCOPES), max_size=6)


def made(drawn):
    return [rule(action, name=f"rule {index}", **scope) for index, (action, scope) in enumerate(drawn)]


@given(RULES)
def test_the_order_of_rules_decides_nothing(drawn):
    rules = made(drawn)
    where = Where("ann", "p", "r")
    assert decided(rules, where=where) == decided(rules[::-1], where=where)


@given(RULES, st.sampled_from(ACTIONS[1:]), SCOPES)
def test_a_further_rule_that_denies_never_makes_anything_weaker(drawn, action, scope):
    rules, where = made(drawn), Where("ann", "p", "r")
    before = decided(rules, where=where) or ["allow"]
    after = decided([*rules, rule(action, name="further", **scope)], where=where) or ["allow"]
    assert ACTIONS.index(after[0]) >= ACTIONS.index(before[0])


@given(RULES)
def test_an_allow_rule_without_a_scope_beats_no_rule(drawn):
    rules, where = made(drawn), Where("ann", "p", "r")
    denied = [each for each in rules if each.action != "allow"]
    allowed = decided([*denied, rule("allow", name="everybody")], where=where)
    assert allowed == (decided(denied, where=where) or ["allow"])


@pytest.mark.parametrize(
    ("allow", "block", "expected"),
    [
        ({}, {}, "block"),
        ({"project": "p"}, {}, "allow"),
        ({}, {"project": "p"}, "block"),
        ({"project": "p"}, {"project": "p"}, "block"),
        ({"project": "p"}, {"project": "*"}, "allow"),
        ({"project": "*"}, {"project": "p"}, "block"),
        ({"project": "*"}, {}, "allow"),
        ({"user": "ann"}, {"project": "p"}, "block"),
        ({"user": "ann", "project": "p"}, {"project": "p"}, "allow"),
        ({"user": "ann", "project": "*"}, {"project": "p"}, "block"),
        ({"user": "ann", "route": "r"}, {"user": "a*"}, "allow"),
    ],
)
def test_an_exception_holds_only_where_its_scope_is_narrower(allow, block, expected):
    rules = [rule("block", name="no", **block), rule("allow", name="yes", **allow)]
    assert decided(rules, where=Where("ann", "p", "r")) == [expected]


def test_an_exception_is_for_what_it_names_only():
    rules = [
        Rule(name="no", types={"EMAIL_ADDRESS", "CREDIT_CARD"}, action="block"),
        Rule(name="yes", types={"EMAIL_ADDRESS"}, project="p", action="allow"),
    ]
    assert decided(rules, [MAIL, CARD], Where(project="p")) == ["allow", "block"]
    assert decided(rules, [MAIL, CARD], Where(project="q")) == ["block", "block"]


def test_a_value_inside_an_allowed_phrase_is_allowed():
    rules = [
        Rule(name="no", patterns=("Nightjar",), action="block"),
        Rule(name="yes", words=("Nightjar Street",), project="*", action="allow"),
    ]
    seen = look([("a", "The Nightjar lives in Nightjar Street.")], default_scanner(), rules)
    verdict = judge(rules, seen, Where(project="p"), "out")
    assert [(each.seen.start, each.action) for each in verdict.decisions if each.seen.rule == "no"] == [
        (4, "block"),
        (22, "allow"),
    ]


@pytest.mark.parametrize(
    ("scope", "where", "speaks"),
    [
        ({}, Where(), True),
        ({"user": "ann"}, Where(user="ann"), True),
        ({"user": "ann"}, Where(user="Ann"), False),
        ({"user": "ann"}, Where(), False),
        ({"user": "*"}, Where(), True),
        ({"user": "?*"}, Where(), False),
        ({"project": "eu-*"}, Where(project="eu-west"), True),
        ({"project": "eu-*"}, Where(project="us"), False),
        ({"route": "r", "user": "ann"}, Where(user="ann", route="s"), False),
    ],
)
def test_scopes(scope, where, speaks):
    assert rule("block", **scope).covers("out", where) is speaks


@pytest.mark.parametrize(("direction", "out", "back"), [("out", 1, 0), ("in", 0, 1), ("both", 1, 1)])
def test_directions(direction, out, back):
    rules = [rule("block", direction=direction)]
    assert (len(decided(rules)), len(decided(rules, direction="in"))) == (out, back)


def test_a_threshold_counts_distinct_values_over_all_texts():
    rules = [rule("block", at_least=3)]
    same = [Seen(path, 0, 5, ("EMAIL_ADDRESS",), "a@example.com") for path in "abcde"]
    other = [Seen("z", 0, 5, ("EMAIL_ADDRESS",), f"{name}@example.com") for name in "bc"]
    assert decided(rules, same) == []
    assert decided(rules, [*same, other[0]]) == []
    assert decided(rules, [*same, *other]) == ["block"] * 7
    (hit,) = judge(rules, [*same, *other], Where(), "out").hits
    assert hit.types == {"EMAIL_ADDRESS": 3}
    assert hit.places == tuple("abcdez")


def test_what_was_judged_before_counts_and_is_not_told_again():
    rules = [rule("redact", at_least=2)]
    verdict = judge(rules, [MAIL, CARD], Where(), "in", earlier=[Seen("text", 0, 3, ("EMAIL_ADDRESS",), "b@x.org")])
    assert verdict.hits == ()
    rules = [rule("redact", at_least=2, direction="in")]
    verdict = judge(rules, [MAIL], Where(), "in", earlier=[Seen("text", 0, 3, ("EMAIL_ADDRESS",), "b@x.org")])
    assert [hit.types for hit in verdict.hits] == [{"EMAIL_ADDRESS": 1}]
    again = judge(rules, [MAIL], Where(), "in", earlier=[MAIL, Seen("text", 0, 3, ("EMAIL_ADDRESS",), "b@x.org")])
    assert ([each.action for each in again.decisions], again.hits) == (["redact"], ())


def test_what_cannot_be_replaced_where_it_stands_is_blocked():
    fixed = Seen("link", 0, 5, ("EMAIL_ADDRESS",), "a@example.com", fixed=True)
    assert decided([rule("redact")], [fixed, MAIL]) == ["block", "redact"]
    assert decided([rule("encrypt")], [fixed]) == ["block"]
    assert decided([rule("warn")], [fixed]) == ["warn"]


def test_any_type():
    assert decided([Rule(name="all", types=["*"], action="warn")], [MAIL, CARD]) == ["warn", "warn"]


def test_a_value_that_may_be_several_types_is_one_of_them():
    seen = Seen("t", 0, 9, ("US_SSN", "US_ITIN"), "123456789")
    assert decided([Rule(name="itin", types={"US_ITIN"}, action="block")], [seen]) == ["block"]


def test_hits_are_told_by_rule_and_action_without_values():
    rules = [rule("block", name="mails"), Rule(name="cards", types={"CREDIT_CARD"}, action="warn")]
    verdict = judge(rules, [CARD, MAIL, MAIL], Where(), "out")
    assert [(hit.rule, hit.action, dict(hit.types), hit.places) for hit in verdict.hits] == [
        ("mails", "block", {"EMAIL_ADDRESS": 1}, ("text",)),
        ("cards", "warn", {"CREDIT_CARD": 1}, ("text",)),
    ]
    assert verdict.action == "block"
    assert [hit.rule for hit in verdict.blocking] == ["mails"]
    assert "jo@" not in repr(verdict)
    assert "4111" not in repr(verdict)


# --- rules -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "types"),
        ({"types": "EMAIL_ADDRESS"}, "types"),
        ({"words": "secret"}, "words"),
        ({"words": ("",)}, "words"),
        ({"words": ("  ",)}, "words[0]"),
        ({"patterns": ("(",)}, "patterns[0]"),
        ({"types": {"A"}, "at_least": 0}, "at_least"),
        ({"types": {"A"}, "at_least": True}, "at_least"),
        ({"types": {"A"}, "action": "delete"}, "action"),
        ({"types": {"A"}, "direction": "up"}, "direction"),
        ({"types": {"A"}, "action": "allow", "at_least": 2}, "at_least"),
        ({"types": {"A"}, "name": "--"}, "name"),
    ],
)
def test_a_rule_that_cannot_work_is_refused(fields, field):
    with pytest.raises(ConfigurationError) as caught:
        Rule(**{"name": "rule", "action": "block", **fields})
    assert caught.value.field == field


@pytest.mark.parametrize(("name", "label"), [("project names", "PROJECT_NAMES"), (" a-b.C ", "A_B_C"), ("ü", "")])
def test_labels(name, label):
    assert label_of(name) == label


# --- what they look at -------------------------------------------------------------------------------------------


def values(text, *rules):
    return [text[seen.start : seen.end] for seen in look([("t", text)], default_scanner(), rules)]


@pytest.mark.parametrize(
    ("words", "text", "found"),
    [
        (["Nightjar"], "NIGHTJAR, nightjars and Nightjar.", ["NIGHTJAR", "Nightjar"]),
        (
            ["Project Nightjar"],
            "project\nnightjar; project-nightjar; projectnightjar",
            ["project\nnightjar", "project-nightjar"],
        ),
        (["Nightjar", "Nightjar Street"], "In Nightjar Street", ["Nightjar Street"]),
        (["C++"], "c++ and C, c++11", ["c++"]),
        (["R&D"], "our r&d, R & D", ["r&d"]),
        (["Straße"], "in der STRASSE, in der Straße", ["Straße"]),
        (["日本"], "日本 and 日本語", ["日本"]),
    ],
)
def test_words(words, text, found):
    assert values(text, Rule(name="w", words=words, action="warn")) == found


def test_patterns():
    patterns = Rule(name="p", patterns=(r"\bPRJ-\d{4}\b", r"(?i)\bprj #\d{1,4}"), action="warn")
    assert values("PRJ-1234, prj-1234, PRJ-12345, Prj #12", patterns) == ["PRJ-1234", "Prj #12"]


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"x*", r"\d+-ORDER"])
def test_patterns_that_can_take_long_are_refused(pattern):
    with pytest.raises(ConfigurationError) as caught:
        Rule(name="p", patterns=(pattern,), action="warn")
    assert caught.value.field == "patterns[0]"


def test_words_and_patterns_are_found_in_disguise():
    soft = "Night\u00adjar"
    found = values(f"The {soft} flies", Rule(name="w", words=("Nightjar",), action="warn"))
    assert found in ([soft], [])


def test_rules_do_not_hide_each_others_values():
    text = "Ask nightjar@example.com"
    rules = [Rule(name="w", words=("Nightjar",), action="warn"), rule("block", name="mails")]
    assert sorted(values(text, *rules)) == ["nightjar", "nightjar@example.com"]


def test_values_that_are_allowed_are_not_seen():
    text = "jo@example.com and jo@example.org"
    seen = look([("t", text)], default_scanner(), [rule("block")], allowed=lambda _, value: value.endswith(".org"))
    assert [each.value for each in seen] == ["jo@example.com"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("4111 1111 1111 1111", "4111-1111-1111-1111"),
        ("Jo@Example.com", "jo@example.com"),
        ("DE89 3704 0044 0532 0130 00", "DE89370400440532013000"),
    ],
)
def test_two_spellings_of_one_value(one, other):
    assert same_value(one) == same_value(other)


def test_other_values_stay_apart():
    assert same_value("jo.e@example.com") != same_value("joe@example.com")


CARDS = [Rule(name="cards", types={"CREDIT_CARD"}, action="block")]


@pytest.mark.parametrize(
    "run",
    [
        ["card 4111 1111", "1111 1111 thanks"],
        ["card 4111 11", "11 1111 1111"],
        ["card 4111", "1111", "1111", "1111"],
        ["card 4111-1111-", "1111-1111"],
        ["hello", "4111 1111 1111", "1111", "bye"],
    ],
)
def test_a_number_that_is_split_over_texts_is_found_once(run):
    texts = [(f"m{index}", text) for index, text in enumerate(run)]
    (seen,) = look(texts, default_scanner(), CARDS, runs=[texts])
    assert (seen.value, seen.fixed) == ("4111111111111111", True)


@pytest.mark.parametrize(
    "run",
    [
        ["4111 1111 1111 1111", "and 5555 5555 5555 4444"],
        ["in 2024", "2025 and later"],
        ["4111 1111", "no number", "1111 1111"],
        ["call me", "4111 1111 1111 1111"],
    ],
)
def test_what_each_text_shows_by_itself_is_not_found_twice(run):
    texts = [(f"m{index}", text) for index, text in enumerate(run)]
    assert all(not seen.fixed for seen in look(texts, default_scanner(), CARDS, runs=[texts]))


def test_many_short_texts_take_linear_time():
    def taken(count):
        texts = [(str(index), "4111 11") for index in range(count)]
        best = float("inf")
        for _ in range(3):
            started = time.process_time()
            look(texts, default_scanner(), CARDS, runs=[texts])
            best = min(best, time.process_time() - started)
        return best

    assert taken(400) < 9 * taken(100)


# --- what redaction is told --------------------------------------------------------------------------------------


def ruled(text, modes, *rules, wanted=()):
    scanner = RuledScanner(default_scanner(), rules, lambda kind: kind in wanted, modes)
    return [(text[each.start : each.end], each.type) for each in scanner.scan(text)]


NAMES = Rule(name="names", words=("Nightjar",), action="redact")


def test_what_rules_ask_for_goes_besides_what_the_settings_redact():
    text = "Nightjar, jo@example.com"
    assert ruled(text, {"NAMES": "placeholder"}, NAMES, wanted={"EMAIL_ADDRESS"}) == [
        ("Nightjar", "NAMES"),
        ("jo@example.com", "EMAIL_ADDRESS"),
    ]
    assert ruled(text, {"EMAIL_ADDRESS": "mask"}, NAMES) == [("jo@example.com", "EMAIL_ADDRESS")]
    assert ruled(text, {}, NAMES) == []


def test_what_is_allowed_stays():
    text = "jo@example.com, Nightjar jo@example.com"
    rules = [Rule(name="kept", patterns=(r"Nightjar \S+",), action="allow")]
    assert ruled(text, {"EMAIL_ADDRESS": "allow"}, wanted={"EMAIL_ADDRESS"}) == []
    assert ruled(text, {"KEPT": "allow"}, *rules, wanted={"EMAIL_ADDRESS"}) == [("jo@example.com", "EMAIL_ADDRESS")]


def test_what_overlaps_goes_together():
    text = "nightjar@example.com Nightjar"
    found = ruled(text, {"NAMES": "placeholder"}, NAMES, wanted={"EMAIL_ADDRESS"})
    assert [value for value, _ in found] == ["nightjar@example.com", "Nightjar"]


SPANS = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 10)).map(lambda pair: (pair[0], sum(pair))), max_size=8)


@given(SPANS)
def test_united_findings_cover_the_same_and_do_not_overlap(spans):
    found = united([Finding(start, end, "A", 1.0) for start, end in spans])
    covered = {at for start, end in spans for at in range(start, end)}
    assert {at for each in found for at in range(each.start, each.end)} == covered
    assert all(one.end <= other.start for one, other in pairwise(found))
