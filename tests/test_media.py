from __future__ import annotations

import base64

import pytest

from aistrale.errors import InvalidRequestError
from aistrale.media import audio, check_media, document, image, sniff
from aistrale.types import MediaPart

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 40


def test_bytes_paths_and_urls(tmp_path):
    path = tmp_path / "dot.png"
    path.write_bytes(PNG)
    for part in (image(PNG), image(path), image(str(path))):
        assert part.media_type == "image/png"
        assert base64.b64decode(part.data) == PNG
    assert image(path).filename == "dot.png"
    assert image("https://example.org/a.png", detail="low").url == "https://example.org/a.png"
    assert image("data:image/png;base64," + base64.b64encode(PNG).decode()).media_type == "image/png"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "audio/wav"),
        (b"%PDF-1.7", "application/pdf"),
        (b"\x00\x00\x00\x18ftypheic", "image/heic"),
        (b"\x00\x00\x00\x18ftypM4A ", "audio/mp4"),
        (b"\x00\x00\x00\x18ftypisom", "video/mp4"),
        (b"ID3\x04", "audio/mpeg"),
        (b"hello world, this is text", None),
        (b"", None),
    ],
)
def test_the_first_bytes_tell_the_type(head, expected):
    assert sniff(head) == expected


def test_text_files_are_known_by_their_names(tmp_path):
    path = tmp_path / "notes.md"
    path.write_text("# Notes")
    part = document(path)
    assert (part.media_type, part.filename) == ("text/markdown", "notes.md")


@pytest.mark.parametrize(
    "make",
    [
        lambda tmp: image(b"no image at all"),
        lambda tmp: image(tmp / "missing.png"),
        lambda tmp: image("data:image/png,notbase64"),
        lambda tmp: image(b"%PDF-1.7 a document"),
        lambda tmp: audio(PNG),
        lambda tmp: document(b"unknown bytes"),
        image,
    ],
)
def test_what_cannot_be_used_is_refused_before_sending(tmp_path, make):
    with pytest.raises(InvalidRequestError) as caught:
        make(tmp_path)
    assert caught.value.param
    assert caught.value.status is None


@pytest.mark.parametrize(
    "part",
    [
        MediaPart("image"),
        MediaPart("image", data="aGk=", url="https://example.org"),
        MediaPart("image", data="***", media_type="image/png"),
        MediaPart("image", data=base64.b64encode(PNG).decode(), media_type="image/tiff"),
    ],
)
def test_parts_are_checked(part):
    with pytest.raises(InvalidRequestError, match=r"messages\[0\]"):
        check_media(part, "messages[0].parts[0]")


def test_a_missing_media_type_is_read_from_the_bytes():
    part = MediaPart("image", data=base64.b64encode(PNG).decode())
    assert check_media(part, "x").media_type == "image/png"
    assert part.media_type is None
