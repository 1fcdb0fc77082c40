"""Servers that share the real PostgreSQL; each test has channels of its own, each run a table."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg

from socketeer.adapters import PostgresAdapter
from socketeer.server.server import BaseServer
from tests.adapters.redis_nodes import prefix
from tests.support import requirements

TABLE = f"test_{secrets.token_hex(8)}"

_used: set[str] = set()
"""The database, once it has been asked for."""


def database() -> str:
    """The URL of the real PostgreSQL."""
    url = requirements.postgres()
    _used.add(url)
    return url


def adapter(channels: str, **options: Any) -> PostgresAdapter:
    return PostgresAdapter(database(), table_name=TABLE, channel_prefix=channels, **options)


def nodes(count: int, options: dict[str, Any], **adapters: Any) -> list[BaseServer]:
    channels = prefix()
    return [BaseServer(adapter=adapter(channels, **adapters), **options) for _ in range(count)]


async def query(text: str, *args: Any) -> list[Any]:
    """Ask the real PostgreSQL."""
    connection = await asyncpg.connect(database())
    try:
        rows: list[Any] = await connection.fetch(text, *args)
        return rows
    finally:
        await connection.close()


@contextmanager
def dropping(table: str = TABLE) -> Iterator[None]:
    """Nothing is left of the table at the end, if anybody has used the database."""
    yield
    if _used:
        asyncio.run(_drop(table))


async def _drop(table: str) -> None:
    await query(f"DROP TABLE IF EXISTS {table}")
