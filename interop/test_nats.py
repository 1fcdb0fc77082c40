"""The official client with two servers in Python, over the real NATS."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from interop.harness import HERE, Process
from socketeer import Server, Socket
from socketeer.adapters import JetStream, NatsAdapter
from tests.adapters.nats_streams import SMALL, remove_streams
from tests.support import requirements
from tests.support.serving import serving

OFFSET = re.compile(r"[0-9a-f]{8}-\d+")
BINARY = b"\x00\xff\x7b"
HEX = {"$hex": BINARY.hex()}


def attach(io: Server) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.join("everybody")

        @socket.on("say")
        def say(*args: Any) -> str:
            socket.to("everybody").emit("said", *args)
            return "told"

        @socket.on("ask others")
        async def ask(value: Any) -> Any:
            return await io.except_(socket.id).timeout(10).emit_with_ack("question", value)

        @socket.on("who")
        async def who() -> list[str]:
            return sorted([each.id for each in await io.fetch_sockets()])


class Pair:
    """Two servers, and the process of the clients."""

    def __init__(self, servers: list[Server], urls: list[str], process: Process) -> None:
        self.servers, self.urls, self.process = servers, urls, process
        self.kept: list[dict[str, Any]] = []

    async def node(self, *command: Any) -> Any:
        self.process.write(json.dumps(command))
        return await self.find("answer")

    async def event(self) -> Any:
        """The next event of any client, without its offset."""
        found = await self.find("event")
        return found[:-1] if OFFSET.fullmatch(str(found[-1])) else found

    async def find(self, key: str) -> Any:
        """The next document of this kind; others are kept."""
        while True:
            for each in self.kept:
                assert "error" not in each, each
                if key in each:
                    self.kept.remove(each)
                    return each[key]
            self.kept.append(await asyncio.to_thread(self.process.read))


@asynccontextmanager
async def pair(node: str, kept: JetStream | None = None) -> AsyncIterator[Pair]:
    url, prefix = requirements.nats(), f"interop-{secrets.token_hex(8)}"
    servers = [
        Server(
            adapter=NatsAdapter(url, prefix, jetstream=kept or False), connection_state_recovery=bool(kept)
        )
        for _ in range(2)
    ]
    process = Process([node, "cluster_clients.mjs"], HERE)
    try:
        async with serving(servers[0]) as one, serving(servers[1]) as two:
            for io in servers:
                attach(io)
                async with asyncio.timeout(20):
                    while await io.adapter.server_count() < 2:  # noqa: ASYNC110 - NATS tells
                        await asyncio.sleep(0.01)
            yield Pair(servers, [f"http://127.0.0.1:{port}" for port in (one, two)], process)
    finally:
        process.stop()
        if kept is not None:
            await remove_streams(prefix)


@pytest.mark.parametrize("kept", [None, SMALL], ids=["core", "jetstream"])
@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_clients_of_two_servers_are_together(node: str, transport: str, kept: JetStream | None) -> None:
    async with pair(node, kept) as cluster:
        ann = await cluster.node("connect", "ann", cluster.urls[0], [transport])
        bob = await cluster.node("connect", "bob", cluster.urls[1], ["websocket"])
        assert await cluster.node("emit", "bob", "who") == sorted([ann, bob])
        cluster.process.write(json.dumps(["emit", "ann", "say", "hello", HEX, {"é": [HEX]}]))
        assert await cluster.event() == ["bob", "said", "hello", HEX, {"é": [HEX]}]
        assert await cluster.find("answer") == "told"
        assert await cluster.node("emit", "bob", "ask others", HEX) == [{"by": "ann", "of": HEX}]
        assert await cluster.event() == ["ann", "question", HEX]
        cluster.process.write(json.dumps(["emit", "bob", "say", "hello"]))
        assert await cluster.event() == ["ann", "said", "hello"]
        cluster.servers[0].in_(bob).disconnect_sockets(close=True)
        async with asyncio.timeout(20):
            while cluster.servers[1].of("/").sockets:  # noqa: ASYNC110 - NATS tells
                await asyncio.sleep(0.01)
        assert len(cluster.servers[0].of("/").sockets) == 1


async def test_a_client_comes_back_to_the_other_server_and_has_missed_nothing(node: str) -> None:
    async with pair(node, SMALL) as cluster:
        first, second = cluster.servers
        ann = await cluster.node("connect", "ann", cluster.urls[0], ["websocket"])
        second.to(ann).emit("news", 0)
        assert await cluster.event() == ["ann", "news", 0]
        for turn, (here, there) in enumerate([(first, second), (second, first)]):
            await cluster.node("cut", "ann")
            async with asyncio.timeout(20):
                while here.of("/").sockets:  # noqa: ASYNC110 - the client tells
                    await asyncio.sleep(0.01)
            missed = [[turn, number] for number in range(20)]
            for number, each in enumerate(missed):
                io = (first, second)[number % 2]
                io.to(("everybody", ann)[number % 3 == 0]).emit("missed", each, BINARY, {})
                await io.to("nobody").emit("missed")  # so that it is known which was first
            assert await cluster.node("back", "ann", cluster.urls[1 - turn]) == [ann, True]
            for each in missed:
                assert await cluster.event() == ["ann", "missed", each, HEX, {}]
            there.emit("live", turn)
            assert await cluster.event() == ["ann", "live", turn]
            assert there.of("/").sockets[ann].recovered
            assert await cluster.node("emit", "ann", "who") == [ann]
