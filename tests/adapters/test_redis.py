"""The adapter in the classic format, over the real Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from socketeer.adapters import RedisAdapter
from socketeer.server.server import BaseServer
from socketeer.testing.adapters import AdapterContract
from tests.adapters.redis_nodes import nodes


class TestClassic(AdapterContract):
    nodes = 3

    async def make_servers(self, count: int, **options: Any) -> Sequence[BaseServer]:
        return nodes(RedisAdapter, count, **options)


class TestClassicWithSpecificResponses(AdapterContract):
    nodes = 3

    async def make_servers(self, count: int, **options: Any) -> Sequence[BaseServer]:
        return nodes(
            lambda url, key: RedisAdapter(url, key, publish_on_specific_response_channel=True),
            count,
            **options,
        )
