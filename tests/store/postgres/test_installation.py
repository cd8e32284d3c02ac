from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("psycopg")

from aistrale.store.postgres.installation import Installation


def test_many_that_ask_at_once_get_one_name(tmp_path):
    for at in range(20):
        (tmp_path / str(at)).mkdir()
        with ThreadPoolExecutor(8) as pool:
            names = set(pool.map(lambda _, at=at: Installation(tmp_path / str(at)).name(create=True), range(8)))
        assert len(names) == 1
        assert [path.name for path in (tmp_path / str(at)).iterdir()] == ["installation"]


@pytest.mark.parametrize("text", ["", "half a na"])
def test_what_is_no_name_is_replaced(tmp_path, text):
    (tmp_path / "installation").write_text(text)
    assert Installation(tmp_path).name() is None
    name = Installation(tmp_path).name(create=True)
    assert name is not None
    assert Installation(tmp_path).name() == name


def test_a_file_system_without_links_will_do(tmp_path, monkeypatch):
    def link(*_):
        raise OSError(errno.EPERM, "not here")

    monkeypatch.setattr(os, "link", link)
    name = Installation(tmp_path).name(create=True)
    assert name is not None
    assert Installation(tmp_path).name() == name
    assert [path.name for path in tmp_path.iterdir()] == ["installation"]
