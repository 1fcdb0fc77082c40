"""Python's servers and the official ones in one cluster, over the real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from interop.mixed import Mixed, MixedCases, cluster, javascript_emits
from socketeer.adapters import PostgresAdapter
from tests.support import requirements


@pytest.fixture
async def mixed(node: str) -> AsyncIterator[Mixed]:
    url, tables = requirements.postgres(), list[str]()

    def adapter_for(_mode: str, url: str, key: str) -> PostgresAdapter:
        tables[:] = [f"table_{key}"]
        return PostgresAdapter(url, table_name=tables[0], channel_prefix=key)

    async with cluster("postgres", node, url, adapter_for) as made:
        yield made
    connection = await asyncpg.connect(url)
    for table in tables:
        await connection.execute(f"DROP TABLE IF EXISTS {table}")
    await connection.close()


class TestPostgres(MixedCases):
    pass


async def test_the_emitter_of_javascript_is_heard(mixed: Mixed) -> None:
    await javascript_emits(mixed)
