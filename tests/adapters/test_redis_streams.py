"""The adapter over a Redis stream, with the real Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from socketeer.server.server import BaseServer
from socketeer.testing.adapters import AdapterContract
from tests.adapters.redis_nodes import nodes, streams


class TestStreams(AdapterContract):
    nodes = 3

    async def make_servers(self, count: int, **options: Any) -> Sequence[BaseServer]:
        return nodes(streams, count, **options)


class TestSeveralStreamsAndShardedChannels(AdapterContract):
    nodes = 3

    async def make_servers(self, count: int, **options: Any) -> Sequence[BaseServer]:
        return nodes(
            lambda url, key: streams(url, key, stream_count=3, use_sharded_pub_sub=True), count, **options
        )
