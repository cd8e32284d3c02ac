"""Compaction: fewer tokens, the same meaning, and the way back."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.cost.optimization.compact import RULES, compact, restore

PARAGRAPH = (
    "The warranty covers parts and labour for two years from the day of purchase, as long as the appliance was used "
    "in a household and was installed by somebody who has been trained for it. It does not cover wear and tear."
)


def _after(text: str) -> str:
    found = compact(text)
    assert found.restore() == text
    return found.text


# --- what is removed


def test_json_loses_its_layout_and_nothing_else() -> None:
    value = {"b": [1.50, 1e10, {"x": "two  spaces\n\ttab"}], "a": None, "ä": "[[EMAIL_1]]", "deep": {"q": [True, []]}}
    pretty = json.dumps(value, indent=4, ensure_ascii=False).replace("1.5", "1.50")
    text = f"Here is the data:\n\n{pretty}\n\nSummarise it."
    after = _after(text)
    short = after.removeprefix("Here is the data:\n\n").removesuffix("\n\nSummarise it.")
    assert json.loads(short) == value
    assert "1.50" in short
    assert list(json.loads(short)) == list(value)
    assert "\n" not in short
    assert len(short) < 0.7 * len(pretty)


def test_a_tool_result_that_is_json_is_compacted_whole() -> None:
    rows = [{"id": number, "name": f"item {number}", "price": 9.90} for number in range(20)]
    pretty = json.dumps(rows, indent=2)
    assert _after(pretty) == json.dumps(rows, separators=(",", ":"))


def test_what_a_context_says_twice_is_said_once_and_referred_to() -> None:
    text = f"Document 1:\n\n{PARAGRAPH}\n\nDocument 2:\n\n{PARAGRAPH}\n\nDoes it cover parts?"
    after = _after(text)
    assert after.count(PARAGRAPH) == 1
    assert 'Document 2:\n\n(same text as above: "The warranty covers parts' in after
    assert after.endswith("\n\nDoes it cover parts?")


def test_trailing_blanks_and_empty_lines_go() -> None:
    assert _after("First line. \nSecond line.\t\t\n   \n\n\n\nA new paragraph.\n") == (
        "First line.\nSecond line.\n\nA new paragraph.\n"
    )


def test_spaces_between_the_words_of_a_sentence_become_one() -> None:
    text = "Please   summarise  the following text   in   plain words,  and keep it very   short."
    assert _after(text) == "Please summarise the following text in plain words, and keep it very short."


def test_characters_that_nobody_sees_go() -> None:
    text = "\ufeffPlease trans\u00adlate\u200b this\u2060 into French: the cat sat on the mat." + " More of it." * 3
    assert _after(text) == "Please translate this into French: the cat sat on the mat." + " More of it." * 3


def test_rulers_are_shortened() -> None:
    assert _after(f"One.\n\n{'=' * 80}\n\nTwo.") == f"One.\n\n{'=' * 8}\n\nTwo."


# --- what stays

PYTHON = '''def area(width,  height):
    """Area:   of a   thing, in two   dimensions, rather   plainly   said."""


    if width  <  0:
        raise ValueError("no   negative   width")

    return width * height   # trailing
'''
YAML = """services:
    web:
        image: "nginx:1.27"
        command:   ["run",   "--fast"]


        text: |
            two  spaces   and   more


            kept
"""


@pytest.mark.parametrize(
    "text",
    [
        f"Fix this:\n\n```python\n{PYTHON}\n\n\n\n```\nThanks.",
        f"Fix this:\n\n~~~\n{PYTHON}\n   \n\n\n~~~\nThanks.",
        "1. A list\n\n    ```\n    a   \n\n\n\n    b  c\n    ```\n",
        f"An open fence:\n```\n{PYTHON}\n\n\n\nto the end   \n",
        YAML,
        "A line that breaks  \nhere, and another one.",
        "Name        Age   City\nAnn          7    Rome\nBartholomew  12   New York",
        "the first one costs less,  the other one lasts more.\nthe second is very dear,   the third one is not at all.",
        "New York  Los Angeles  San Francisco  Salt Lake City  Baton Rouge",
        "| a   | b   |\n|-----|-----|\n| one   two   three   four   five   six,   seven. | 2   |",
        'Split the words of this at "a   b" and explain it, please, in plain words.',
        "Call `re.split('   ', text)` and then explain what it gives, in plain words.",
        "See https://example.org/a\u200bb?q=1 for the whole of it, and do read it well.",
        "Dear [[PERSON_1]], your card [[CARD_2]] ends soon.",
        "Heading\n" + "=" * 40 + "\n\nText.",
        "<pre>\na   b\n\n\n\nc   \n</pre>",
        "می\u200cخواهم یک متن فارسی بنویسم که نیم‌فاصله دارد.",
        "A family: \U0001f468\u200d\U0001f469\u200d\U0001f467 and a flag.",
        "ខ្ញុំ\u200bស្រឡាញ់\u200bភាសា\u200bខ្មែរ",
        'Answer as {"a": 1, "b": [2, 3]} and nothing else.',
        "{\n  not json,\n  'single': quotes,\n  trailing: comma,\n}",
        f"{PARAGRAPH}\n\nSomething in between.\n\n{PARAGRAPH}",
        "Twice.\n\nTwice.\n\nTwice.",
        "    >>> print(list(range(30)))\n    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10,\n     11, 12, 13, 14]",
        "# - One: what comes first of all the things,\n#     and what goes on with it in the next line, of course.",
        "-   A list whose items are set in, as some people like them to be.",
        'names = [\n    "one",\n    "two",\n    "three",\n    "four",\n    "five"\n]\ncall({\n    "a": 1,\n    "b": 200000000000000000\n})',
        "\n\n".join(["def f():\n    " + "call(1)\n    " * 40 + "return"] * 2 + ["end"]),
        "\n\n".join([f"```\n{PARAGRAPH}\n```"] * 2 + ["end"]),
        "  leading blanks and trailing ones stay, they join texts  ",
        "",
    ],
)
def test_what_may_carry_meaning_stays_byte_for_byte(text: str) -> None:
    assert _after(text) == text


def test_python_keeps_its_indentation_outside_fences_too() -> None:
    after = _after(PYTHON)
    assert [line.rstrip() for line in after.splitlines()] == [line.rstrip() for line in PYTHON.splitlines()]


# --- what always holds

_bits = st.sampled_from(
    [
        "word", "Two words.", " ", "  ", "   ", "\n", "\n\n", "\n\n\n\n", "\t", "\r\n", "```", "~~~", "`", '"', "'", "\\",
        "{", "}", "[", "]", '{"a": 1,\n "b": [1, 2, {"c": "d  e"}]}', "|", "- ", "1. ", "=" * 30, "-" * 30,
        "\u200b", "\ufeff", "\u00ad", "\u200d", "\u00fc", "\U0001f600", "[[EMAIL_1]]", "https://example.org/a?b=c",
        "<pre>", "</pre>", PARAGRAPH, "This  sentence has   many words, and   some blanks.", ",", ":", "0", "\ud800",
    ]
)  # fmt: skip
_texts = st.lists(_bits, max_size=40).map("".join)


@given(st.one_of(_texts, st.text(max_size=300)))
def test_every_change_can_be_undone_and_saves_something(text: str) -> None:
    found = compact(text)
    assert restore(found.text, found.edits) == text
    assert (found.text == text) == (not found.edits)
    assert len(found.text.encode("utf-8", "surrogatepass")) <= len(text.encode("utf-8", "surrogatepass"))
    assert found.saved_tokens >= (1 if found.edits else 0)


@given(_texts)
def test_nothing_but_blanks_and_what_is_repeated_goes(text: str) -> None:
    found = compact(text, [name for name in RULES if name not in {"repeated", "rulers"}])
    unseen = str.maketrans("", "", " \t\r\n\u200b\u2060\ufeff\u00ad")
    assert found.text.translate(unseen) == text.translate(unseen)


@given(_texts)
def test_placeholders_and_links_stay(text: str) -> None:
    after = compact(text).text
    assert after.count("[[EMAIL_1]]") == text.count("[[EMAIL_1]]")
    assert after.count("https://example.org/a?b=c") == text.count("https://example.org/a?b=c")


_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=20,
)


@given(_json, st.integers(0, 8), st.booleans())
def test_json_is_equal_in_value_and_order(value: object, indent: int, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    after = compact(text).text
    assert json.loads(after, object_pairs_hook=list) == json.loads(text, object_pairs_hook=list)


@given(_texts, st.data())
def test_the_same_text_always_becomes_the_same(text: str, data: st.DataObject) -> None:
    assert compact(text) == compact("".join(list(text)))


def test_a_diff_shows_what_changed() -> None:
    diff = compact("One.   \nTwo.\n\n\n\n\n\nThree.").diff("prompt.txt")
    assert diff.splitlines()[:2] == ["--- prompt.txt", "+++ prompt.txt (compacted)"]
    assert "-One.   " in diff
    assert "+One." in diff
    assert compact("One.").diff() == ""


def test_edits_of_another_text_are_refused() -> None:
    found = compact("One.      \nTwo.\n\n\n\n\n\n\n\nThree.")
    with pytest.raises(ValueError, match="does not belong"):
        restore("x", found.edits)


def test_rules_can_be_chosen() -> None:
    text = "One.          \nTwo.\n\n\n\n\n\n\n\nThree."
    assert compact(text, ["blank_lines"]).text == "One.          \nTwo.\n\nThree."
    with pytest.raises(ValueError, match="no such rule: magic"):
        compact(text, ["magic"])


@pytest.mark.parametrize(
    "bit",
    [
        "`",
        "```\n",
        '"',
        "'",
        "[",
        "{",
        "{[",
        '["',
        " ",
        "  x",
        "\n",
        "\n ",
        "<pre",
        "<pre>",
        "[[",
        "](",
        "://",
        "=",
        "\\",
    ],
)
def test_no_text_takes_more_than_linear_time(bit: str) -> None:
    def seconds(size: int) -> float:
        text = bit * (size // len(bit)) + " end."
        start = time.thread_time()
        compact(text)
        return time.thread_time() - start

    seconds(1000)
    # Quadratic time would be 256 times as much.
    assert min(seconds(160_000) for _ in range(2)) < 64 * max(min(seconds(10_000) for _ in range(3)), 0.002)
