"""The official client loses its server and comes back to another one, in Python or in JavaScript: it misses nothing."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from interop.harness import HERE, Process
from interop.redis_cluster import BINARY, adapter_for, hidden
from socketeer import Server
from tests.support import requirements
from tests.support.serving import serving


class Tour:
    """Two servers of each kind in one cluster, and a client that goes from one to another."""

    def __init__(self, node: str, stack: AsyncExitStack) -> None:
        self._node = node
        self._stack = stack
        self._redis, self._key = requirements.redis(), f"interop-{secrets.token_hex(8)}"
        self.client: Process
        self.pythons: list[Server] = []
        self.nodes: list[Process] = []
        self.addresses: dict[str, str] = {}

    def _process(self, *command: str) -> Process:
        process = Process([self._node, *command], HERE)
        self._stack.callback(process.stop)
        return process

    async def open(self) -> None:
        for number in range(2):
            process = self._process("reference/redis_node.mjs", self._redis, self._key, "recovery")
            await asyncio.to_thread(process.find, lambda each: "answer" in each)
            self.nodes.append(process)
            self.addresses[f"node {number}"] = await self.node(number, "address")
            io = Server(
                adapter=adapter_for("recovery", self._redis, self._key), connection_state_recovery=True
            )
            port = await self._stack.enter_async_context(serving(io))
            io.start()
            await io.adapter.ready()  # type: ignore[attr-defined]
            self.pythons.append(io)
            self.addresses[f"python {number}"] = f"http://127.0.0.1:{port}"

    async def node(self, number: int, *command: Any) -> Any:
        """Have Node.js do it, and wait for what comes of it."""
        self.nodes[number].write(json.dumps([hidden(each) for each in command]))
        document = await asyncio.to_thread(self.nodes[number].find, lambda each: "answer" in each)
        return document["answer"]

    async def told(self, key: str) -> Any:
        document = await asyncio.to_thread(self.client.find, lambda each: key in each)
        return document[key]

    def say(self, *command: Any) -> None:
        self.client.write(json.dumps(command))

    async def emit(self, rooms: list[str], *args: Any) -> None:
        """By each of the servers in turn, one after the other."""
        for number in range(2):
            await self.pythons[number].to(rooms).emit("news", f"python {number}", *args, 0)
            await self.node(number, "emit", rooms, "news", f"node {number}", *args, 0)
            await self.node(number, "count")  # over the same connection: the event is in the stream by then

    async def gets(self, count: int) -> list[Any]:
        return [await self.told("event") for _ in range(count)]


@pytest.fixture
async def tour(node: str) -> AsyncIterator[Tour]:
    async with AsyncExitStack() as stack:
        made = Tour(node, stack)
        await made.open()
        made.client = made._process("reference/wanderer.mjs", made.addresses["python 0"])
        yield made


def expected(*args: Any) -> list[list[Any]]:
    senders = ("python 0", "node 0", "python 1", "node 1")
    return [["news", sender, *map(hidden, args), 0] for sender in senders]


async def test_from_server_to_server(tour: Tour) -> None:
    """Python to JavaScript, JavaScript to Python, and each to its like: rooms, data, and all events in order."""
    me = (await tour.told("connected"))["id"]
    socket = tour.pythons[0].sockets.sockets[me]
    socket.join("mine")
    socket.data["name"] = "Ada"
    await tour.emit([], "first")
    assert await tour.gets(4) == expected("first")
    route = ["node 0", "node 1", "python 1", "python 0", "node 0"]
    for turn, place in enumerate(route):
        tour.say("cut")
        await tour.told("lost")
        await tour.emit(["mine"], turn, BINARY)
        await tour.emit(["nobody"], "not for me")
        await tour.emit([me], "private", {"a": [BINARY, "é"]})
        tour.say("go", tour.addresses[place])
        found = await tour.gets(8)
        assert found[:4] == expected(turn, BINARY), place
        private = {"a": [{"$hex": BINARY.hex()}, "é"]}
        assert found[4:] == [[*each[:2], "private", private, 0] for each in expected(0)], place
        assert await tour.told("connected") == {"id": me, "recovered": True}
        await tour.emit(["mine"], "live")
        assert await tour.gets(4) == expected("live"), place
    seen = {each["id"]: each for each in await tour.node(1, "fetch")}
    assert seen[me]["data"] == {"name": "Ada"}
    assert seen[me]["rooms"] == sorted([me, "mine", "node-room"])


async def test_who_was_disconnected_starts_afresh(tour: Tour) -> None:
    me = (await tour.told("connected"))["id"]
    await tour.emit([], "first")
    assert await tour.gets(4) == expected("first")
    tour.pythons[0].sockets.sockets[me].disconnect()
    assert await tour.told("lost") == "io server disconnect"
    tour.say("go", tour.addresses["node 0"])
    again = await tour.told("connected")
    assert again["recovered"] is False
    assert again["id"] != me
