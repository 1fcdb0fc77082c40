"""A server in Python and an official one in one cluster over Redis, with a client each."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from interop.harness import HERE, Process
from socketeer.adapters import RedisAdapter, RedisStreamsAdapter, ShardedRedisAdapter
from socketeer.server.adapter import AdapterFactory
from socketeer.server.server import BaseServer
from socketeer.testing.stage import Stage
from tests.support import requirements

CLASSIC = ("classic", "classic-specific")
STREAMS = ("streams", "streams-sharded")
MODES = (*CLASSIC, "static", "dynamic", "dynamic-private", *STREAMS)
BINARY = b"\x00\xff\x7b"


def adapter_for(mode: str, url: str, key: str) -> AdapterFactory:
    if mode in CLASSIC:
        return RedisAdapter(url, key, publish_on_specific_response_channel=mode == "classic-specific")
    if mode in STREAMS or mode == "recovery":
        return RedisStreamsAdapter(
            url,
            key,
            channel_prefix=key,
            session_key_prefix=f"{key}:session:",
            use_sharded_pub_sub=mode == "streams-sharded",
        )
    return ShardedRedisAdapter(url, key, mode)


def hidden(value: Any) -> Any:
    """Binary as the process on the other side reads and writes it."""
    if isinstance(value, bytes):
        return {"$hex": value.hex()}
    if isinstance(value, list):
        return [hidden(each) for each in value]
    if isinstance(value, dict):
        return {name: hidden(each) for name, each in value.items()}
    return value


class Mixed:
    """One server of each kind, with one client each."""

    def __init__(self, mode: str, key: str, io: BaseServer, process: Process) -> None:
        self.mode, self.key, self.io, self.process = mode, key, io, process
        self.stage = Stage([io], 10.0)
        self.client = self.stage.enter(0)
        self.client.socket.join("python-room")

    async def find(self, key: str) -> Any:
        document = await asyncio.to_thread(self.process.find, lambda each: key in each)
        return document[key]

    async def node(self, *command: Any) -> Any:
        """Have Node.js do it, and wait for what comes of it."""
        self.process.write(json.dumps([hidden(each) for each in command]))
        return await self.find("answer")

    async def heard(self) -> list[Any]:
        """The next event of Python's client."""

        def told() -> bool:
            self.client.listen()
            return bool(self.client.events)

        await self.stage.until(told, "Python's client gets an event")
        return self.client.events.pop(0)


@asynccontextmanager
async def cluster(mode: str, node: str) -> AsyncIterator[Mixed]:
    url, key = requirements.redis(), f"interop-{secrets.token_hex(8)}"
    process = Process([node, "reference/redis_node.mjs", url, key, mode], HERE)
    io = BaseServer(adapter=adapter_for(mode, url, key))
    try:
        await asyncio.to_thread(process.find, lambda each: "answer" in each)
        io.start()
        mixed = Mixed(mode, key, io, process)
        await io.adapter.ready()  # type: ignore[attr-defined]
        assert await io.adapter.server_count() == await mixed.node("count") == 2
        yield mixed
    finally:
        await io.close()
        process.stop()
