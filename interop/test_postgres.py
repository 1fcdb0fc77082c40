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


async def test_bytes_that_python_nodes_tell_each_other_are_passed_over_by_javascript(mixed: Mixed) -> None:
    """They have channels of their own; even on a namespace's they do the official server no harm."""
    engine = mixed.make()
    engine.bus.start()
    await engine.bus.settled()
    rejected = mixed.io.adapter.health.rejected  # type: ignore[attr-defined]
    for payload in (b"\xf1\x10", b"\xf1" * 50_000):
        await engine.bus.publish(f"{engine.prefix}#/", payload)
    mixed.io.emit("news", 1)
    assert await mixed.find("event") == ["news", 1]
    await mixed.node("emit", [], "news", 2)
    assert await mixed.heard() == ["news", 1]
    assert await mixed.heard() == ["news", 2]
    assert mixed.io.adapter.health.rejected == rejected + 2  # type: ignore[attr-defined]
    await engine.bus.close()
