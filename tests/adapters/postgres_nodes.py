"""Servers that share the real PostgreSQL; each test has channels of its own, each run a table."""

from __future__ import annotations

import secrets
from typing import Any

import asyncpg

from socketeer.adapters import PostgresAdapter
from socketeer.server.server import BaseServer
from tests.adapters.redis_nodes import prefix
from tests.support import requirements

TABLE = f"test_{secrets.token_hex(8)}"


def nodes(count: int, options: dict[str, Any], **adapter: Any) -> list[BaseServer]:
    url, channels = requirements.postgres(), prefix()
    return [
        BaseServer(
            adapter=PostgresAdapter(url, table_name=TABLE, channel_prefix=channels, **adapter), **options
        )
        for _ in range(count)
    ]


async def query(text: str, *args: Any) -> list[Any]:
    """Ask the real PostgreSQL."""
    connection = await asyncpg.connect(requirements.postgres())
    try:
        rows: list[Any] = await connection.fetch(text, *args)
        return rows
    finally:
        await connection.close()


async def drop_table() -> None:
    await query(f"DROP TABLE IF EXISTS {TABLE}")
