from __future__ import annotations

import json
import struct
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.store.reader import MARKER, MAX_PAYLOAD, SegmentReader, frame, read_segment, split_frames
from aistrale.store.records import IntentRow


def row(number: int) -> IntentRow:
    return IntentRow(
        call_id=f"call-{number}", attempt=1, at=float(number), provider="p", model="m", target="p/m", streamed=False
    )


def ids(reader: SegmentReader) -> list[str]:
    return [found.call_id for found, _ in reader]


FRAMES = [frame(row(number)) for number in range(3)]
WHOLE = b"".join(FRAMES)


def raw_frame(payload: bytes) -> bytes:
    return struct.pack(">4sII", MARKER, len(payload), crc32(payload, len(payload))) + payload


@pytest.mark.parametrize("final", [True, False])
def test_a_tail_torn_at_any_byte_costs_nothing_but_itself(final):
    start = len(FRAMES[0]) + len(FRAMES[1])
    for end in range(start, len(WHOLE)):
        reader = SegmentReader(WHOLE[:end], final=final)
        assert ids(reader) == ["call-0", "call-1"]
        torn = end - start
        if final:
            assert (reader.skipped, reader.skipped_bytes, reader.next_offset) == (min(torn, 1), torn, end)
        else:
            # It may be a write in progress: the next reading begins with it.
            assert (reader.skipped, reader.next_offset) == (0, start)
    assert ids(SegmentReader(WHOLE, final=final)) == ["call-0", "call-1", "call-2"]


@pytest.mark.parametrize("final", [True, False])
def test_a_frame_torn_at_any_byte_does_not_hide_the_next_one(final):
    for end in range(len(FRAMES[1])):
        reader = SegmentReader(FRAMES[0] + FRAMES[1][:end] + FRAMES[2], final=final)
        assert ids(reader) == ["call-0", "call-2"]
        assert (reader.skipped, reader.skipped_bytes) == (min(end, 1), end)


def test_any_changed_byte_costs_its_own_frame_only():
    for place in range(len(FRAMES[0]), len(FRAMES[0]) + len(FRAMES[1])):
        for change in (0x01, 0x80, 0xFF):
            data = bytearray(WHOLE)
            data[place] ^= change
            reader = SegmentReader(bytes(data))
            assert ids(reader) == ["call-0", "call-2"]
            assert reader.skipped_bytes == len(FRAMES[1])


@given(
    st.lists(st.integers(0, 2) | st.binary(max_size=40) | st.just(MARKER) | st.just(MARKER * 3 + b"\0"), max_size=12)
)
def test_every_whole_frame_is_found_whatever_stands_between(pieces):
    data = b"".join(FRAMES[piece] if isinstance(piece, int) else piece for piece in pieces)
    reader = SegmentReader(data)
    assert ids(reader) == [f"call-{piece}" for piece in pieces if isinstance(piece, int)]
    garbage = sum(len(piece) for piece in pieces if not isinstance(piece, int))
    assert (reader.skipped_bytes, reader.next_offset) == (garbage, len(data))
    assert split_frames(data) == [FRAMES[piece] for piece in pieces if isinstance(piece, int)]


@given(st.integers(0, len(WHOLE)), st.booleans())
def test_reading_goes_on_where_it_ended(cut, final):
    first = SegmentReader(WHOLE[:cut], final=False)
    found = ids(first)
    second = SegmentReader(WHOLE[first.next_offset :], first.next_offset, final=final)
    assert found + ids(second) == ["call-0", "call-1", "call-2"]
    assert first.skipped + second.skipped == 0


def test_offsets_lead_to_the_next_row(tmp_path):
    path = tmp_path / "segment"
    path.write_bytes(WHOLE)
    offsets = [offset for _, offset in read_segment(path)]
    assert offsets == [len(FRAMES[0]), len(FRAMES[0]) + len(FRAMES[1]), len(WHOLE)]
    assert ids(read_segment(path, offsets[0])) == ["call-1", "call-2"]


def test_an_intact_frame_without_a_row_is_counted_and_passed():
    reader = SegmentReader(FRAMES[0] + raw_frame(b'[1,"?",1]') + FRAMES[2])
    assert ids(reader) == ["call-0", "call-2"]
    assert (reader.undecodable, reader.skipped) == (1, 0)


def test_a_row_of_a_newer_version_ends_the_reading_before_it():
    reader = SegmentReader(FRAMES[0] + raw_frame(json.dumps([99, "a"]).encode()) + FRAMES[2])
    assert ids(reader) == ["call-0"]
    assert reader.held
    assert reader.next_offset == len(FRAMES[0])


def test_a_length_beyond_the_limit_is_damage_even_with_a_good_checksum():
    payload = b"x" * (MAX_PAYLOAD + 1)
    assert ids(SegmentReader(raw_frame(payload) + FRAMES[0])) == ["call-0"]
