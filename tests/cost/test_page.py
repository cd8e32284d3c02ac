from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aistrale.cost.anomalies.attribution import Spend, explain
from aistrale.cost.charts.chart import legal
from aistrale.cost.charts.page import page
from aistrale.cost.charts.page_style import DARK, LIGHT, STYLE
from tests.cost.outlooks import budget, of_month, outlook, spent
from tests.cost.svg import assert_sound, classed, parsed

TAGS = {
    "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "p", "dl", "div", "dt", "dd", "section",
    "table", "caption", "thead", "tbody", "tr", "th", "td", "details", "summary",
    "svg", "desc", "defs", "pattern", "rect", "line", "path", "circle", "polygon", "text",
}  # fmt: skip
ATTRIBUTES = {
    "lang", "charset", "http-equiv", "content", "name", "id", "class", "role", "aria-label", "aria-labelledby", "tabindex", "scope",
    "viewBox", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "d", "points", "transform", "fill", "width", "height",
    "patternUnits", "text-anchor",
}  # fmt: skip
HOSTILE = st.one_of(
    st.sampled_from(
        [
            "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "]]>", "</title><b>", "</style><script>", "</svg>",
            "<!--", "&lt;script&gt;", "&#60;b&#62;", "javascript:alert(1)", "url(http://evil.example)", "\0<b\0>", "\u202e}gnp.",
            "' onload='x", "{{7*7}}", "<![CDATA[", "<?xml?>", "\ud800", "\r\n\r\n<p>", "",
        ]
    ),
    st.text(max_size=40),
)  # fmt: skip


def shown(look, title="Spending", **more):
    return page(look, title=title, **more)


class Reader(HTMLParser):
    """What a browser's parser sees: tags, and the attributes of each."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.words, self.comments = set(), set(), [], []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.words.append(data)

    def handle_comment(self, data):
        self.comments.append(data)


def read(text):
    reader = Reader()
    reader.feed(text)
    reader.close()
    return reader


def assert_harmless(text):
    tree = parsed(text)
    assert {item.tag for item in tree.iter()} <= TAGS
    assert {name for item in tree.iter() for name in item.attrib} <= ATTRIBUTES
    reader = read(text)
    assert reader.tags <= TAGS
    assert reader.attributes <= {name.lower() for name in ATTRIBUTES}
    assert not reader.comments
    fills = {item.get("fill") for item in tree.iter() if item.get("fill")}
    names = {item.get("id") for item in tree.iter("pattern")}
    assert {fill.removeprefix("url(#").removesuffix(")") for fill in fills} <= names
    return tree


FULL = outlook(spent(60, spike=25, shift=12), models=("openai/a", "anthropic/b", "google/c"), unpriced=12)
FULL = replace(
    FULL,
    budgets=(
        budget(420, of_month(FULL)),
        budget(600, "70", name="shop", scope="project:shop", hard=False),
        budget(
            2, "2.4", name="alice", scope="user:alice", period="rolling:24h", starts=None, resets=None, note="Not sure"
        ),
    ),
)
SAMPLES = {
    "five days": outlook(spent(5)),
    "sixty days": FULL,
    "two years": outlook(spent(730, spike=60, shift=20), models=("openai/a", "b/c", "d/e", "f/g", "h/i", "j/k", "l/m")),
    "thirty models": outlook(spent(90), models=tuple(f"p/m{index}" for index in range(30))),
    "nothing spent": outlook([Decimal(0)] * 20, today=Decimal(0)),
    "nothing at all": outlook([], today=Decimal(0)),
    "today only": outlook([]),
    "tiny": outlook(spent(40, 1e-6), today=Decimal("4e-7")),
    "huge": outlook(spent(40, 2.5e7), today=Decimal("12345678.9")),
    "one day ahead": outlook(spent(60), horizon=1),
    "a year ahead": outlook(spent(60), horizon=365),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_every_page_is_sound_and_needs_nothing_but_itself(name):
    text = shown(SAMPLES[name])
    assert text == shown(SAMPLES[name])
    assert len(text.encode()) < 300_000
    tree = assert_harmless(text)
    for chart in tree.iter("svg"):
        assert_sound(chart)
    ids = [item.get("id") for item in tree.iter() if item.get("id")]
    assert len(ids) == len(set(ids))
    assert not re.search(r"https?:|//|@import|javascript:|src=|href=", text.replace("<!DOCTYPE html>", ""))
    words = " ".join(read(text.replace(STYLE, "")).words)
    assert not re.search(r"\bnan\b|\binf\b|\bNone\b|NaN", words)


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
@settings(max_examples=60)
def test_names_are_text_whatever_they_contain(title, model, project, currency):
    hostile = replace(
        FULL,
        by_model={model: FULL.by_model["openai/a"], f"{model}2": FULL.by_model["anthropic/b"]},
        budgets=(
            budget(420, 70, name=project, scope=f"project:{project}", note=project),
            budget(2, 1, name=project, scope=f"tag:{project}={model}", period=project, starts=None, resets=None),
        ),
        refusal=project,
        anomalies=tuple(replace(each, anomaly=replace(each.anomaly, reason=model)) for each in FULL.anomalies),
    )
    text = page(hostile, title=title, currency=currency)
    tree = assert_harmless(text)
    text.encode()
    heading = " ".join(legal(title).split()) or "(no name)"
    assert tree.find("body/main/h1").text == heading
    assert Counter(item.tag for item in tree.iter()) == Counter(item.tag for item in parsed(plain(hostile)).iter())


def plain(look):
    """The same page with harmless names."""
    first, second = look.by_model.values()
    return page(
        replace(
            look,
            by_model={"a": first, "b": second},
            budgets=tuple(
                replace(each, name="n", scope="user:x", period="p", note=each.note and "n") for each in look.budgets
            ),
        ),
        title="t",
        currency="c",
    )


def test_the_policy_lets_only_the_one_style_in():
    tree = parsed(shown(FULL))
    (policy,) = [item.get("content") for item in tree.iter("meta") if item.get("http-equiv")]
    style = next(tree.iter("style")).text
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.split("; ") == [
        "default-src 'none'", f"style-src 'sha256-{digest}'", "base-uri 'none'", "form-action 'none'",
    ]  # fmt: skip
    assert style == STYLE
    assert not set(STYLE) & set("<&")


def test_what_is_not_in_the_sums_is_said():
    assert "12 attempts of unknown price are not in these sums." in shown(FULL)
    assert "1 attempt of unknown price is not" in shown(replace(FULL, unpriced=1))
    assert "unknown price" not in shown(replace(FULL, unpriced=0))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nothing spent", "Nothing with a known price was spent on any of the 20 days or today"),
        ("nothing at all", "Nothing with a known price was spent today"),
        ("nothing spent", "No model has been paid for in this time"),
        ("today only", "There is no forecast: A forecast takes at least 3 days"),
        ("five days", "Take it with caution."),
        ("five days", "There are no budgets to show."),
        ("two years", "The last 120 days; all of them follow below."),
    ],
)
def test_what_cannot_be_shown_is_said_in_its_place(name, words):
    assert words in shown(SAMPLES[name])


def cells(tree, caption):
    (table,) = [item for item in tree.iter("table") if (item.find("caption").text or "").startswith(caption)]
    return [[cell.text or "" for cell in row] for row in table.find("tbody")]


def test_tables_hold_the_same_numbers_as_charts():
    tree = parsed(shown(FULL))
    rows = cells(tree, "Spend per day")
    assert len(rows) == 60 + 30
    days = {row[0]: row for row in rows}
    charts = {item.get("aria-labelledby"): item for item in tree.iter("svg")}
    spend = charts["spend-title spend-desc"]
    bars = [item.find("title").text for item in classed(spend, "bar") if len(item) and "part" not in item.get("class")]
    assert len(bars) == 60
    for bar in bars:
        day, _, amount = bar.partition(": ")
        assert days[day][1] == amount
    for touch in classed(spend, "touch"):
        day, _, rest = touch.find("title").text.partition(": about ")
        assert days[day][2] == rest.partition(";")[0]
    parts = cells(tree, "Spend by model and day")
    tips = {item.find("title").text for item in classed(charts["models-title models-desc"], "seg") if len(item)}
    assert f"{parts[0][0]}, openai/a: {parts[0][1]}" in tips


def test_totals_by_model_add_up():
    tree = parsed(shown(FULL))
    (table,) = [item for item in tree.iter("table") if item.find("caption").text == "Spend by model"]
    rows = [[cell.text for cell in row] for row in table.find("tbody")]
    assert [row[0] for row in rows] == ["openai/a", "anthropic/b", "google/c", "all"]
    amounts = [Decimal(row[1].strip("$").replace(",", "")) for row in rows]
    assert abs(sum(amounts[:-1]) - amounts[-1]) <= Decimal("0.02")


def test_unusual_days_are_marked_and_explained():
    text = shown(FULL)
    tree = parsed(text)
    rows = cells(tree, "Unusual days")
    assert len(rows) == len(FULL.anomalies) >= 2
    assert [row[-1] for row in rows] == [each.anomaly.reason for each in FULL.anomalies]
    marks = [item for item in classed(tree, "mark") if len(item) and item.find("title").text[0].isdigit()]
    assert [mark.find("title").text.partition(".")[0] for mark in marks] == [row[0] for row in rows]
    before = {("a",): Spend(Decimal(1), 1, 1), ("b",): Spend(Decimal(1), 1, 1)}
    during = {("a",): Spend(Decimal(9), 9, 9), ("b",): Spend(Decimal(1), 1, 1)}
    (explained,) = explain(("model",), before, during)
    first, *others = FULL.anomalies
    named = shown(replace(FULL, anomalies=(replace(first, explanation=explained), *others)))
    assert "a spent 8.00 USD more" in named


def test_budgets_are_drawn_and_told():
    tree = parsed(shown(FULL))
    rows = cells(tree, "Budgets")
    assert [row[0] for row in rows] == ["global per month", "shop", "alice"]
    assert [row[3] for row in rows] == ["hard", "soft", "hard"]
    assert "runs out on" in rows[0][-1]
    assert rows[2][-1] == "It is used up. Not certain: Not sure."
    charts = [item.get("aria-labelledby") for item in tree.iter("svg")]
    assert charts == [f"{key}-title {key}-desc" for key in ("spend", "models", "budget-0", "budget-1", "gauges")]


def test_other_currencies_have_no_dollar_sign():
    text = shown(FULL, currency="euros")
    assert "Amounts are euros." in text
    assert "$" not in text.replace(STYLE, "")


def luminance(colour):
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, two):
    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_contrasts(colours):
    for name in ("ink", "soft"):
        for ground in ("ground", "sheet"):
            assert contrast(colours[name], colours[ground]) >= 4.5
    for name in (
        "bar",
        "median",
        "limit",
        "spike",
        "drop",
        "shift",
        "axis",
        "rest",
        *(f"m{index}" for index in range(6)),
    ):
        assert contrast(colours[name], colours["ground"]) >= 3, name
    assert contrast(colours["median"], colours["inner"]) >= 2.5


# Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency", IEEE
# Transactions on Visualization and Computer Graphics 15 (2009), severity 1.0; for linear RGB.
DEFICIENCIES = {
    "none": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


def oklab(colour, matrix):
    """A colour as Ottosson's Oklab has it, seen through a matrix."""
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    red, green, blue = [min(max(sum(a * b for a, b in zip(row, linear, strict=True)), 0), 1) for row in matrix]
    long = (0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue) ** (1 / 3)
    middle = (0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue) ** (1 / 3)
    small = (0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue) ** (1 / 3)
    return (
        0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * small,
        1.9779984951 * long - 2.4285922050 * middle + 0.4505937099 * small,
        0.0259040371 * long + 0.7827717662 * middle - 0.8086757660 * small,
    )


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_models_are_told_apart_by_eyes_that_lack_a_cone(colours, deficiency):
    seen = [oklab(colours[f"m{index}"], DEFICIENCIES[deficiency]) for index in range(6)]
    for one, two in combinations(seen, 2):
        assert sum((a - b) ** 2 for a, b in zip(one, two, strict=True)) ** 0.5 >= 0.08
