"""Servers that share the real Redis; each test has channels of its own."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from socketeer.adapters import RedisStreamsAdapter
from socketeer.server.adapter import AdapterFactory
from socketeer.server.server import BaseServer
from tests.support import requirements


def prefix() -> str:
    return f"test-{secrets.token_hex(8)}"


def nodes(make: Callable[[str, str], AdapterFactory], count: int, **options: Any) -> list[BaseServer]:
    url, key = requirements.redis(), prefix()
    return [BaseServer(adapter=make(url, key), **options) for _ in range(count)]


def streams(url: str, key: str, **options: Any) -> RedisStreamsAdapter:
    """With names of the test's own."""
    return RedisStreamsAdapter(url, key, channel_prefix=key, session_key_prefix=f"{key}:session:", **options)
