"""Which of the requests that an SDK sends is one that it sends again."""

from __future__ import annotations

import pytest

from aistrale.dropin import resends

httpx = pytest.importorskip("httpx")

REQUEST = httpx.Request("POST", "https://api.openai.com/v1/chat/completions")
ERROR = ConnectionError("no")


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch):
    monkeypatch.setattr(resends, "_failures", {})


def headers(count, key="k"):
    return {"authorization": key, **({} if count is None else {"x-stainless-retry-count": count})}


def failed(count, content=b"x"):
    resends.remember(REQUEST, headers(count), content, ERROR)


def remembered(count, content=b"x", key="k"):
    return resends.remembered(REQUEST, headers(count, key), content)


def test_each_further_attempt_gets_the_error_of_the_first():
    failed("0")
    assert [remembered("1"), remembered("2"), remembered("3")] == [ERROR, ERROR, ERROR]


@pytest.mark.parametrize("other", [{"content": b"y"}, {"key": "l"}])
def test_another_request_does_not(other):
    failed("0")
    assert remembered("1", **other) is None


@pytest.mark.parametrize(("first", "next_"), [("0", "2"), ("42", "42"), ("0", None), (None, "1"), ("0", "many")])
def test_what_is_not_the_attempt_after_it_is_sent(first, next_):
    failed(first)
    assert remembered(next_) is None


def test_a_failure_is_over_once_the_application_asks_anew():
    failed("0")
    assert remembered("0") is None
    assert remembered("1") is None


def test_a_failure_is_forgotten_in_time(monkeypatch):
    failed("0")
    monkeypatch.setattr(resends, "_REMEMBERED", -1.0)
    failed("0", b"y")
    assert remembered("1", b"y") is None
    assert remembered("1") is ERROR
