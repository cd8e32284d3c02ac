"""Where links stand: the same whether a text comes whole or in pieces."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.privacy.links import LinkTracker, links
from tests.privacy.rough import texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see https://example.com/a?b=c and on", ["https://example.com/a?b=c"]),
        ("HTTPS://EXAMPLE.COM/A on", ["HTTPS://EXAMPLE.COM/A"]),
        ("git+ssh://host/x", ["git+ssh://host/x"]),
        ("www.example.com/x, WWW.example.com", ["www.example.com/x,", "WWW.example.com"]),
        ("write to mailto:a@example.com now", ["mailto:a@example.com"]),
        ("[text](https://example.com/x) after", ["https://example.com/x"]),
        ("![image](//example.com/x.png 'title') after", ["//example.com/x.png"]),
        ("[a](  /path(with)(brackets)x)", ["/path(with)(brackets)x"]),
        ("[a](<with space here>) x", ["with space here"]),
        ("[a]: //example.com/x", ["//example.com/x"]),
        ("[a]: https://example.com/x", ["https://example.com/x"]),
        ('<img src="//example.com/a b" alt="x">', ["//example.com/a b"]),
        ("<a HREF = '/x?y'>z</a>", ["/x?y"]),
        ("<img srcset=/x>", ["/x"]),
        ("background: url(//example.com/x) no", ["//example.com/x"]),
        ("background: url( '//example.com/x y' ) no", ["//example.com/x y"]),
        ('{"url":"https://example.com/x","mail":"y"}', ["https://example.com/x"]),
        ("1,https://example.com/x,y", ["https://example.com/x"]),
        ("|https://example.com/x|y|", ["https://example.com/x"]),
        ("<https://example.com/x>y", ["https://example.com/x"]),
        ("`https://example.com/x`y", ["https://example.com/x"]),
        ("网址是https://example.com/x，邮箱是", ["https://example.com/x"]),
        # Some readers take a pair of quotes for a part of a link.
        ('https://example.com/?d="y" z', ['https://example.com/?d="y"']),
        ("https://example.com/)x y", ["https://example.com/)x"]),
    ],
)
def test_finds_links_up_to_their_latest_end(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end, _ in links(text)] == expected


@pytest.mark.parametrize(
    "text",
    [
        "a // comment", "x = y", "f(x)[1](", "awww.x", "https: //x", "//x", "/path/to", "a]: b", "my-src-set = 3",
        "xhref=1", "curl(1)", "ratio 3://4", "[a]: text", "",
    ],
)  # fmt: skip
def test_what_is_no_link_is_none(text: str) -> None:
    assert [text[start:end] for start, end, _ in links(text)] == []


def test_says_what_is_the_target_of_something() -> None:
    assert [target for _, _, target in links('https://a.example [x](/y) <a href="z">')] == [False, True, True]


@given(texts, st.lists(st.integers(1, 7), min_size=1, max_size=5))
def test_pieces_make_no_difference(text: str, cuts: list[int]) -> None:
    whole, pieces = LinkTracker(), LinkTracker()
    whole.feed(text)
    at, turn = 0, 0
    while at < len(text):
        length = cuts[turn % len(cuts)]
        pieces.feed(text[at : at + length])
        at, turn = at + length, turn + 1
    assert (pieces.inside, pieces.head) == (whole.inside, whole.head)


@given(texts)
def test_every_place_inside_a_link_is_known_as_one_when_it_comes(text: str) -> None:
    for start, end, target in links(text):
        tracker = LinkTracker()
        tracker.feed(text[: end - 1])
        # A scheme is only known for one at its end.
        beginning = text[start:end].lower().find("//") + 2 if not target else 0
        if end - 1 >= start + max(beginning, 7):
            assert tracker.inside


@pytest.mark.parametrize(
    "piece",
    ["/", "://", "a://", "](", "](a", "=", "src=", "href", "www.", "url(", "(", "[", "]: //", "a:// ", "mailto:"],
)
def test_takes_time_in_proportion(piece: str) -> None:
    def spent(count: int) -> float:
        text = piece * (count // len(piece))
        began = time.process_time()
        links(text)
        return time.process_time() - began

    spent(1000)
    small = min(spent(10_000) for _ in range(3))
    assert spent(80_000) < 40 * max(small, 0.0005)
