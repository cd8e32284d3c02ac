"""Shapes: what the ledger keeps of a request says how long it is and whether its head is the same, and nothing else."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.cost.shape import KEY_FILE, Shaper
from aistrale.cost.tokens.by_length import estimate_request
from aistrale.types import EmbedRequest, MediaPart, Message, OutputFormat, Request, TextPart, Tool, ToolCallPart

WEATHER = Tool("weather", "Tells the weather.", {"type": "object", "properties": {"place": {"type": "string"}}})


def _chat(*messages: Message, **options: object) -> Request:
    return Request(model="m", messages=list(messages), **options)  # type: ignore[arg-type]


def _in_memory() -> Shaper:
    return Shaper(None)


def test_a_chat_has_the_size_of_its_parts() -> None:
    request = _chat(
        Message.system("a" * 40), Message.user("b" * 400), Message.assistant("c" * 4), Message.user("d" * 80)
    )
    found = _in_memory()(request)
    assert (found.messages, found.prefix_tokens, found.last_tokens) == (4, 14, 24)
    assert found.input_tokens == 14 + 104 + 5 + 24
    assert found.prefix is not None
    assert len(found.prefix) == 16


def test_without_a_head_there_is_no_prefix() -> None:
    found = _in_memory()(_chat(Message.user("hello")))
    assert (found.prefix, found.prefix_tokens) == (None, None)


def test_an_empty_request_has_a_shape() -> None:
    assert _in_memory()(_chat()) == (0, 0, None, None, None)


def test_embeddings_are_counted_by_inputs() -> None:
    found = _in_memory()(EmbedRequest(model="m", inputs=["a" * 40, [1, 2, 3]]))
    assert found == (13, 2, None, None, 3)


_text = st.text(max_size=60)
_part = st.one_of(
    st.builds(TextPart, _text),
    st.builds(ToolCallPart, st.just("1"), _text, _text),
    st.builds(MediaPart, st.just("image"), url=st.just("https://example.org/a.png")),
)
_message = st.builds(
    Message, st.sampled_from(["system", "developer", "user", "assistant"]), st.lists(_part, max_size=3)
)
_request = st.builds(
    Request,
    model=st.just("m"),
    messages=st.lists(_message, max_size=6),
    tools=st.lists(st.builds(Tool, _text, _text, st.just({"type": "object", "title": "\u00fc"})), max_size=2),
    output=st.one_of(st.none(), st.just(OutputFormat("json_schema", {"type": "object"}))),
)


@given(_request)
def test_the_tokens_are_those_of_the_cheap_estimator(request: Request) -> None:
    assert _in_memory()(request).input_tokens == estimate_request(request)[0]


@pytest.mark.parametrize(
    "other",
    [
        _chat(Message.system("Be kind! "), Message.user("x"), tools=[WEATHER]),
        _chat(Message.system("Be kind."), Message.user("x")),
        _chat(Message.system("Be kind."), Message.user("x"), tools=[WEATHER, WEATHER]),
        _chat(Message.system("Be"), Message.system(" kind."), Message.user("x"), tools=[WEATHER]),
        _chat(Message("system", [TextPart("Be"), TextPart(" kind.")]), Message.user("x"), tools=[WEATHER]),
        _chat(Message.system("Be kind."), tools=[WEATHER], output=OutputFormat("json_schema", {"type": "object"})),
    ],
)
def test_another_head_has_another_fingerprint(other: Request) -> None:
    shape = _in_memory()
    one = shape(_chat(Message.system("Be kind."), Message.user("x"), tools=[WEATHER]))
    assert shape(other).prefix != one.prefix


def test_the_same_head_has_the_same_fingerprint_whatever_follows() -> None:
    shape = _in_memory()
    heads = [_chat(Message.system("Be " + "kind."), Message.user(text), tools=[WEATHER]) for text in "xyz"]
    plain = [_chat(Message.system(f"Be {kind}"), Message.user(kind)) for kind in ["kind."] * 3]
    assert len({shape(each).prefix for each in heads}) == 1
    assert len({shape(each).prefix for each in plain}) == 1


def test_the_key_is_written_beside_the_ledger_for_its_owner_only_and_read_by_the_next_process(tmp_path: Path) -> None:
    request = _chat(Message.system("Be kind."), Message.user("x"))
    first, second, alien = Shaper(tmp_path), Shaper(tmp_path), _in_memory()
    assert first(request) == second(request)
    assert alien(request).prefix != first(request).prefix
    files = list(tmp_path.iterdir())
    assert [file.name for file in files] == [KEY_FILE]
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o600


def test_a_directory_is_never_made_and_found_once_the_ledger_has_made_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    shape = Shaper(home)
    request = _chat(Message.system("Be kind."), Message.user("x"))
    before = shape(request)
    assert not home.exists()
    home.mkdir()
    for _ in range(3):
        after = shape(request)
    assert (home / KEY_FILE).exists()
    # What was recorded before still matches what is recorded after, and what other processes record.
    assert before == after == Shaper(home)(request)


def test_a_key_that_came_in_the_meantime_is_taken_over(tmp_path: Path) -> None:
    home = tmp_path / "home"
    late = Shaper(home)
    request = _chat(Message.system("Be kind."), Message.user("x"))
    late(request)
    home.mkdir()
    other = Shaper(home)(request)
    late(request)
    assert late(request) == other


def test_where_nothing_is_there_the_disk_is_left_in_peace(tmp_path: Path) -> None:
    asked = []

    class Watched(type(tmp_path)):  # type: ignore[misc]  # a path of this system
        def __truediv__(self, name: str) -> Path:
            asked.append(name)
            return Path(self).joinpath(name)

    shape = Shaper(Watched(tmp_path / "none"))
    for _ in range(1000):
        shape(_chat(Message.user("x")))
    # A look is a read, and a try to write.
    assert len(asked) == 2 * 10


def test_a_broken_key_file_is_not_used_and_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_bytes(b"short")
    found = Shaper(tmp_path)(_chat(Message.system("Be kind.")))
    assert found.prefix is not None
    assert (tmp_path / KEY_FILE).read_bytes() == b"short"
    assert os.listdir(tmp_path) == [KEY_FILE]  # noqa: PTH208 - what a person would look at


def test_threads_that_begin_together_agree(tmp_path: Path) -> None:
    shape = Shaper(tmp_path)
    request = _chat(Message.system("Be kind."), Message.user("x"))
    seen: list[str | None] = []
    threads = [threading.Thread(target=lambda: seen.append(shape(request).prefix)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # The key that is written is the one that all of them had.
    assert set(seen) == {Shaper(tmp_path)(request).prefix}
