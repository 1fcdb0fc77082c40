"""What every test of this folder needs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.raw import Wire


@pytest.fixture(autouse=True)
async def wires() -> AsyncIterator[None]:
    """Connections that a test has left open end with it."""
    yield
    await Wire.close_all()
