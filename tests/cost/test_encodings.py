"""OpenAI's encodings out of the shipped files."""

from __future__ import annotations

import base64
import hashlib
import inspect
import os
import socket
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.cost.tokens import encodings
from aistrale.cost.tokens.encodings import Encodings, count, encode, encoding, ranks

NAMES = ("o200k_base", "cl100k_base")


@pytest.mark.parametrize("name", NAMES)
def test_the_files_are_those_that_tiktoken_expects(name):
    lines = b"".join(b"%s %d\n" % (base64.b64encode(token), rank) for token, rank in ranks(name).items())
    assert hashlib.sha256(lines).hexdigest() == encodings.SOURCES[name]
    openai_public = pytest.importorskip("tiktoken_ext.openai_public")
    assert encodings.SOURCES[name] in inspect.getsource(getattr(openai_public, name))


@pytest.mark.parametrize("name", NAMES)
def test_patterns_and_special_tokens_are_those_of_tiktoken(name, monkeypatch):
    openai_public = pytest.importorskip("tiktoken_ext.openai_public")
    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", lambda *_args, **_named: ranks(name))
    theirs = getattr(openai_public, name)()
    built = encoding(name)
    assert built._special_tokens == theirs["special_tokens"]
    if built._pat_str != theirs["pat_str"]:
        # Other releases of tiktoken write the same pattern in other words.
        other = type(built)(**{key: value for key, value in theirs.items() if key != "explicit_n_vocab"})
        text = "It's 1,234 o'clock, IT'LL be\r\n\n  fine… d'accord: naïve 数字 \u0e20\u0e32 $x = {'a': [1]};\t\n   "
        assert built.encode_ordinary(text) == other.encode_ordinary(text)


@pytest.mark.parametrize(
    ("text", "name", "ids"),
    [
        # As the tokenizer on OpenAI's site shows them.
        ("hello world", "cl100k_base", [15339, 1917]),
        ("hello world", "o200k_base", [24912, 2375]),
        ("", "o200k_base", []),
        # Specials are ordinary text.
        ("<|endoftext|>", "cl100k_base", [27, 91, 8862, 728, 428, 91, 29]),
    ],
)
def test_known_tokens(text, name, ids):
    assert [token for piece in encode(text, name) for token in piece] == ids


@given(st.text())
def test_what_is_encoded_can_be_decoded(text):
    ids = [token for piece in encode(text) for token in piece]
    assert encoding("o200k_base").decode(ids) == text


@given(st.text(max_size=60), st.text(max_size=60))
def test_joining_two_texts_changes_little(one, other):
    # Tokens at the seam may merge or be cut in another way; no more than the words beside it.
    assert 0 <= count(one + other) <= count(one) + count(other) + 6


def test_half_a_surrogate_pair_is_counted_as_something():
    assert count("a\ud800b") >= 2


@pytest.mark.parametrize(
    "text",
    [
        "The answer, as everybody knows, is 42. " * 9_000,
        '{"key":"value","list":[1,2,3],"nested":{"a":null}},' * 4_000,
        "先生は、学生に本を読ませた。" * 6_000,
    ],
)
def test_cuts_do_not_change_the_count_of_text_that_has_breaks(text):
    whole = len(encoding("o200k_base").encode_ordinary(text))
    assert whole <= count(text) <= whole * 1.0005 + 1


@pytest.mark.parametrize("letter", ["a", " ", "!", "é", "\n", "漢", "\u0301", "aB1!", "\U0001f600"])
def test_endless_words_take_time_in_proportion_to_their_length(letter):
    text = letter * (100_000 // len(letter))
    count(text[:1000])
    begin = time.thread_time()
    assert count(text) > 100
    assert time.thread_time() - begin < 5.0
    assert all(len(piece) <= encodings.RUN for piece in encodings._pieces(text))
    assert "".join(encodings._pieces(text)) == text


@given(st.text(st.sampled_from("ab1 .,\n漢\u0301"), min_size=300, max_size=3000))
def test_pieces_are_the_text_and_no_run_is_longer_than_allowed(text):
    pieces = list(encodings._pieces(text))
    assert "".join(pieces) == text
    for piece in pieces:
        assert max((len(run) for run in piece.split()), default=0) <= encodings.RUN


def test_an_encoding_is_built_once_however_many_threads_ask(monkeypatch):
    built = []

    def build(name):
        time.sleep(0.01)
        built.append(name)
        return object()

    monkeypatch.setattr(encodings, "_build", build)
    own = Encodings()
    assert not own.loaded("o200k_base")
    found = []
    threads = [threading.Thread(target=lambda: found.append(own.get("o200k_base"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert built == ["o200k_base"]
    assert len(set(map(id, found))) == 1
    assert own.loaded("o200k_base")


def test_nothing_is_loaded_by_asking_whether_it_is():
    code = (
        "import sys; from aistrale.cost.tokens import encodings; "
        "assert not encodings.loaded('o200k_base'); assert 'tiktoken' not in sys.modules and 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nothing_is_fetched_and_no_cache_directory_is_used(monkeypatch, tmp_path):
    def refuse(*_args, **_named):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    assert Encodings().get("cl100k_base").encode_ordinary("hello world") == [15339, 1917]
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_forked_while_another_thread_builds_can_build_its_own(monkeypatch):
    own = Encodings()
    begun, go_on = threading.Event(), threading.Event()

    def slow(_name):
        begun.set()
        go_on.wait(10)
        return object()

    monkeypatch.setattr(encodings, "_build", slow)
    thread = threading.Thread(target=own.get, args=("o200k_base",))
    thread.start()
    begun.wait(10)
    code = "the lock of the parent's thread is not inherited"
    child = os.fork()
    if child == 0:
        encodings._build = lambda _name: code
        os._exit(0 if own.get("o200k_base") is code else 1)
    go_on.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
    assert own.loaded("o200k_base")
