"""What is kept of runs of capitalised words changes nothing of what is found."""

from __future__ import annotations

import threading
from dataclasses import astuple

import pytest

from aistrale.privacy import default_scanner
from aistrale.privacy.recognizers import _beside, _plan
from aistrale.privacy.recognizers._beside import Memo

# The same runs with neighbours that make something else of them.
TEXTS = [
    "Kevin, please call Maria Lopez in Lisbon. Kevin left.",
    "kevin = Kevin(Lisbon); Lopez = 1",
    "He lives at 12 Lopez Street, Lisbon; Lopez Inc. is his firm.",
    "Dear Mr. Lopez, Lisbon is nice. Regards, Kevin",
    "Lopez Lopez Lopez, 4 Kevin Road, Springfield, IL 62704",
    "said Zorbifax. Dr. Zorbifax and Zorbifax Ltd in Zorbifax",
    "KEVIN LOPEZ\n12 Elm Street\nLISBON",
    "Kevin's sister and Lopez's bank, the University of Lisbon",
]


def memos():
    return [each for module in (_beside, _plan) for each in vars(module).values() if isinstance(each, Memo)]


def found(text):
    return [astuple(finding) for finding in default_scanner().scan(text)]


def forget():
    for each in memos():
        each.clear()


def test_a_memo_is_bounded_and_keeps_nothing_long():
    memo = Memo(len, 3)
    assert [memo.make("x" * size) for size in range(1, 11)] == list(range(1, 11))
    assert memo.get("x" * 10) == 10
    assert sum(memo.get("x" * size) is not None for size in range(1, 11)) <= 3
    assert memo.make("y" * 65) == 65
    assert memo.get("y" * 65) is None
    memo.clear()
    assert memo.get("x" * 10) is None


def test_there_are_memos():
    assert _plan.PLANS in memos()


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_known_changes_nothing(text):
    forget()
    cold = found(text)
    assert cold
    assert found(text) == cold
    for other in TEXTS:
        found(other)
    assert found(text) == cold


def test_several_threads_that_begin_with_nothing():
    forget()
    cold = [found(text) for text in TEXTS]
    forget()
    results = []
    start = threading.Barrier(4)

    def run():
        start.wait()
        results.append([found(text) for _ in range(3) for text in TEXTS])

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [cold * 3] * 4
