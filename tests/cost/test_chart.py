from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.cost.charts.chart import Entry, element, legal, legend, number, short, text_width
from tests.cost.svg import parsed

ANY = st.text(st.characters(codec=None, exclude_categories=()), max_size=60)


@given(ANY, ANY)
def test_text_and_attributes_come_back_and_nothing_else(words, value):
    item = element("p", words, element("title", words), aria_label=value, class_="x")
    read = parsed(item.write())
    assert [each.tag for each in read.iter()] == ["p", "title"]
    assert (read.text or "") == legal(words)
    assert set(read.attrib) == {"aria-label", "class"}
    # White space in attributes is a space to every reader of XML.
    assert read.get("aria-label") == legal(value).replace("\n", " ").replace("\t", " ")
    item.write().encode()


@given(ANY)
def test_what_cannot_stand_in_a_page_is_shown_to_be_missing(words):
    told = legal(words)
    assert len(told) == len(words)
    assert not set(told) & set("\0\x0b\r\x1b\x7f\x85\u202e\u2066\ud800\ufffe\uffff")
    assert legal("Ürgüp العربية 東京 🦆") == "Ürgüp العربية 東京 🦆"


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e9, max_value=1e9))
def test_coordinates_are_short_and_near(value):
    assert abs(float(number(value)) - value) <= 0.0051
    assert "e" not in number(value)
    assert number(value) != "-0"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nothing_stands_nowhere(value):
    with pytest.raises(ValueError, match="no place"):
        element("rect", x=value)


@given(ANY, st.integers(10, 60))
def test_long_names_keep_their_ends(name, most):
    told = short(name, most)
    line = " ".join(legal(name).split()) or "(no name)"
    assert len(told) <= max(most, 1)
    assert told == line if len(line) <= most else told.startswith(line[:2]) and told.endswith(line[-2:])


def test_wide_characters_are_wide():
    assert text_width("東京") > text_width("ab") > text_width("il")
    assert text_width("e\N{COMBINING ACUTE ACCENT}") == text_width("e")


@given(st.lists(ANY.map(short), max_size=9))
def test_legends_break_into_rows(names):
    parts, bottom = legend([Entry(name, "box", "bar") for name in names])
    rows = {}
    for item in parts:
        if item.name == "text":
            x = float(item.attributes["x"])
            assert x + text_width(item.children[0]) <= 960
            rows.setdefault(item.attributes["y"], []).append((x, x + text_width(item.children[0])))
    assert all(one[1] < two[0] for row in rows.values() for one, two in pairwise(row))
    assert all(float(y) < bottom for y in rows)


def test_what_is_written():
    tree = element("g", element("rect"), element("g", element("rect", element("title", "a & <b>"))))
    assert tree.write() == "<g><rect/><g><rect><title>a &amp; &lt;b&gt;</title></rect></g></g>"
