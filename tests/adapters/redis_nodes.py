"""Servers that share the real Redis; each test has channels of its own."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from socketeer.server.adapter import AdapterFactory
from socketeer.server.server import BaseServer
from tests.support import requirements


def prefix() -> str:
    return f"test-{secrets.token_hex(8)}"


def nodes(make: Callable[[str, str], AdapterFactory], count: int, **options: Any) -> list[BaseServer]:
    url, key = requirements.redis(), prefix()
    return [BaseServer(adapter=make(url, key), **options) for _ in range(count)]
