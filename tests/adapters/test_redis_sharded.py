"""The adapter with sharded channels, over the real Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from socketeer.adapters import ShardedRedisAdapter
from socketeer.server.server import BaseServer
from socketeer.testing.adapters import AdapterContract
from tests.adapters.redis_nodes import nodes


class TestStatic(AdapterContract):
    nodes = 3
    mode = "static"

    async def make_servers(self, count: int, **options: Any) -> Sequence[BaseServer]:
        return nodes(lambda url, key: ShardedRedisAdapter(url, key, self.mode), count, **options)


class TestDynamic(TestStatic):
    mode = "dynamic"


class TestDynamicPrivate(TestStatic):
    mode = "dynamic-private"
