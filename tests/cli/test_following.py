"""Reading on in a file that others write to, put aside and cut off."""

from __future__ import annotations

from aistrale.cli._following import _LOOKS_UNFINISHED, FileTail
from aistrale.telemetry.encoding import encode_line
from tests.telemetry.places import events


def every(event):
    return True


def new(tail):
    return [event.id for event in tail.new(every)]


def add(path, *items):
    with path.open("ab") as file:
        file.writelines(encode_line(item) + b"\n" for item in items)


def test_who_has_the_file_open_while_it_is_put_aside_finishes_his_line(tmp_path):
    path = tmp_path / "x"
    tail = FileTail(path)
    assert new(tail) == []
    first, second, third = events(3)
    add(path, first)
    assert new(tail) == [first.id]
    line = encode_line(second) + b"\n"
    with path.open("ab", buffering=0) as file:
        path.rename(tmp_path / "x.1")
        file.write(line[:9])
        assert new(tail) == []
        assert new(tail) == []
        add(path, third)
        assert new(tail) == []
        file.write(line[9:])
    assert new(tail) == [second.id]
    assert new(tail) == [third.id]
    tail.close()


def test_a_line_that_nobody_finishes_does_not_hold_up_the_next_file(tmp_path):
    path = tmp_path / "x"
    tail = FileTail(path)
    first, second = events(2)
    add(path, first)
    with path.open("ab") as file:
        file.write(b'{"half')
    assert new(tail) == [first.id]
    path.rename(tmp_path / "x.1")
    add(path, second)
    looks = [new(tail) for _ in range(_LOOKS_UNFINISHED + 1)]
    assert looks == [[]] * _LOOKS_UNFINISHED + [[second.id]]
    tail.close()


def test_a_file_that_was_cut_off_is_read_from_its_beginning(tmp_path):
    path = tmp_path / "x"
    tail = FileTail(path)
    first, second, third = events(3)
    add(path, first, second)
    assert new(tail) == [first.id, second.id]
    path.write_bytes(b"")
    add(path, third)
    assert new(tail) == [third.id]
    path.unlink()
    assert new(tail) == []
    tail.close()
