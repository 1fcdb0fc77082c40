"""The adapter over the real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from socketeer.server.server import BaseServer
from socketeer.testing.adapters import AdapterContract
from tests.adapters.postgres_nodes import drop_table, nodes


@pytest.fixture(scope="module", autouse=True)
def table() -> Iterator[None]:
    yield
    asyncio.run(drop_table())


class TestPostgres(AdapterContract):
    nodes = 3

    async def make_servers(self, count: int, **options: Any) -> Sequence[BaseServer]:
        return nodes(count, options)


class TestEverythingThroughTheTable(AdapterContract):
    nodes = 2

    async def make_servers(self, count: int, **options: Any) -> Sequence[BaseServer]:
        return nodes(count, options, payload_threshold=0)
