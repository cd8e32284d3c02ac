"""An error of an HTTP library whose chain of causes leads back to itself, as recorders of tests make them."""

from __future__ import annotations

import pytest

from aistrale.core.transport import translate

httpx = pytest.importorskip("httpx")


def test_a_chain_of_causes_without_an_end_is_read_once():
    error, around = httpx.ConnectError("oops"), RuntimeError("around")
    error.__cause__, around.__cause__ = around, error
    told = translate(error, phase="connect", sent=False, reused=False, place="example")
    assert (type(told).__name__, told.phase) == ("HttpConnectError", "connect")
