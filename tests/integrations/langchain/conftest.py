from __future__ import annotations

import pytest

from aistrale.testing import simulator


@pytest.fixture
def anyio_backend():
    """LangChain's callbacks need asyncio."""
    return "asyncio"


@pytest.fixture
def sim():
    with simulator() as served:
        yield served
