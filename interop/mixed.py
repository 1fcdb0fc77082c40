"""A cluster of one Python and one official server, and what each must see of the other, whatever the engine."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from interop.harness import HERE, Process
from socketeer.adapters.emitter import Emitter, Engine
from socketeer.server.server import BaseServer
from socketeer.testing.stage import Stage

BINARY = b"\x00\xff\x7b"

#: What cannot travel in one notification of PostgreSQL's, and is large for others.
LONG = "é" * 20_000


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

    def __init__(self, mode: str, make: Callable[[], Any], io: BaseServer, process: Process) -> None:
        self.mode, self.make, self.io, self.process = mode, make, io, process
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

    async def both(self) -> bool:
        """Whether each node knows of the other."""
        here, there = await self.io.adapter.server_count(), await self.node("count")
        return (here, there) == (2, 2)


@asynccontextmanager
async def cluster(
    mode: str, node: str, url: str, engine: Callable[[str, str, str], Any]
) -> AsyncIterator[Mixed]:
    """The two servers, once they know each other.

    Args:
        mode: the engine's, for Node.js.
        node: the path of Node.js.
        url: of the broker.
        engine: makes the adapter of Python for a mode, a URL and what names begin with.
    """
    key = f"interop_{secrets.token_hex(8)}"
    process = Process([node, "reference/cluster_node.mjs", url, key, mode], HERE)
    io = BaseServer(adapter=engine(mode, url, key))
    try:
        await asyncio.to_thread(process.find, lambda each: "answer" in each)
        io.start()
        mixed = Mixed(mode, lambda: engine(mode, url, key), io, process)
        await io.adapter.ready()  # type: ignore[attr-defined]
        await mixed.stage.until(mixed.both, "each node knows of the other")
        yield mixed
    finally:
        await io.close()
        process.stop()


class MixedCases:
    """For each engine: a subclass, with a fixture ``mixed`` beside it."""

    plain: tuple[str, ...] = ()
    """Modes whose official adapter writes what servers tell each other as JSON, binary or not."""

    async def test_events_reach_the_other_side(self, mixed: Mixed) -> None:
        for rooms in ([], ["node-room"], ["node-room", "python-room"]):
            mixed.io.to(rooms).emit("news", 1, BINARY, {"a": [BINARY, "é"]})
            expected = ["news", 1, {"$hex": BINARY.hex()}, {"a": [{"$hex": BINARY.hex()}, "é"]}]
            assert await mixed.find("event") == expected
        mixed.client.listen()
        mixed.client.events.clear()
        for rooms in ([], ["python-room"], ["node-room", "python-room"], [mixed.client.id]):
            await mixed.node("emit", rooms, "news", 2, BINARY, "é")
            assert await mixed.heard() == ["news", 2, BINARY, "é"]

    async def test_long_ones_reach_the_other_side(self, mixed: Mixed) -> None:
        for payload in (LONG, BINARY * 100_000):
            mixed.io.to("node-room").emit("news", payload)
            assert await mixed.find("event") == ["news", hidden(payload)]
            await mixed.node("emit", ["python-room"], "news", payload)
            assert await mixed.heard() == ["news", payload]

    async def test_acknowledgements_come_back(self, mixed: Mixed) -> None:
        asking = asyncio.ensure_future(mixed.io.timeout(10).emit_with_ack("sum", BINARY))
        await mixed.stage.answers(mixed.client)
        assert sorted(map(str, await asking)) == sorted(map(str, [0, {"client": BINARY}]))
        mixed.process.write(json.dumps(["ask", "sum", hidden(BINARY)]))
        await mixed.stage.until(lambda: mixed.client.answer(BINARY), "Python's client is asked")
        answers = await mixed.find("answer")
        assert sorted(map(str, answers)) == sorted(map(str, [hidden(BINARY), {"client": hidden(BINARY)}]))

    async def test_sockets_are_found_moved_and_disconnected(self, mixed: Mixed) -> None:
        mixed.client.socket.data["name"] = "snake"
        found = {socket.id: socket for socket in await mixed.io.fetch_sockets()}
        (other,) = found.keys() - {mixed.client.id}
        assert found[other].rooms == {other, "node-room"}
        seen = {each["id"]: each for each in await mixed.node("fetch")}
        assert seen.keys() == found.keys()
        assert seen[mixed.client.id]["data"] == {"name": "snake"}
        assert seen[mixed.client.id]["rooms"] == sorted([mixed.client.id, "python-room"])
        await mixed.node("join", ["python-room"], "moved")
        await mixed.stage.until(lambda: "moved" in mixed.client.socket.rooms, "Python's socket joins")
        await mixed.node("leave", ["moved"], "moved")
        await mixed.stage.until(lambda: "moved" not in mixed.client.socket.rooms, "Python's socket leaves")
        mixed.io.in_("node-room").sockets_join("new")

        async def joined() -> bool:
            return any("new" in each["rooms"] for each in await mixed.node("fetch"))

        await mixed.stage.until(joined, "Node's socket joins")
        await mixed.node("disconnect", ["python-room"])
        await mixed.stage.until(lambda: not mixed.client.socket.connected, "Python's socket is disconnected")
        mixed.io.in_("new").disconnect_sockets()
        assert await mixed.find("event") == ["disconnect", "io server disconnect"]

    async def test_much_data_of_sockets_is_told(self, mixed: Mixed) -> None:
        mixed.client.socket.data["value"] = LONG
        await mixed.node("data", [LONG])
        found = await mixed.io.fetch_sockets()
        assert sorted((socket.data["value"] for socket in found), key=str) == [[LONG], LONG]
        seen = {each["id"]: each["data"] for each in await mixed.node("fetch")}
        assert seen[mixed.client.id] == {"value": LONG}

    async def test_servers_tell_and_ask_each_other(self, mixed: Mixed) -> None:
        told: list[Any] = []

        @mixed.io.on("question")
        def question(value: Any) -> Any:
            told.append(value)
            return {"python": value}

        mixed.io.server_side_emit("question", 1)
        assert await mixed.find("told") == 1
        (answer,) = await mixed.io.server_side_emit_with_ack("question", BINARY)
        assert await mixed.find("told") == {"$hex": BINARY.hex()}
        in_json = {"type": "Buffer", "data": list(BINARY)}
        seen = in_json if mixed.mode in self.plain else BINARY
        assert answer == {"node": seen}
        await mixed.node("tell", "question", 2)
        assert await mixed.node("inquire", "question", 3) == [{"python": 3}]
        await mixed.node("tell", "question", BINARY)
        await mixed.stage.until(lambda: len(told) == 3, "Python's server is told")
        assert told == [2, 3, seen]

    async def test_our_emitter_is_heard_by_javascript(self, mixed: Mixed) -> None:
        engine: Engine = mixed.make()
        async with Emitter(engine) as emitter:
            await emitter.to("node-room").except_("python-room").emit("news", 1, BINARY)
            assert await mixed.find("event") == ["news", 1, hidden(BINARY)]
            await emitter.in_("node-room").sockets_join("new")
            await emitter.to(["new", "nowhere"]).emit("news", 2)  # a new room has no channel yet
            assert await mixed.find("event") == ["news", 2]
            await emitter.to("new").emit("news", LONG)
            assert await mixed.find("event") == ["news", LONG]
            await emitter.server_side_emit("question", 3)
            assert await mixed.find("told") == 3
            await emitter.in_("new").disconnect_sockets()
            assert await mixed.find("event") == ["disconnect", "io server disconnect"]


async def javascript_emits(mixed: Mixed) -> None:
    """For modes with an official emitter: Python's node hears it."""
    told: list[Any] = []
    mixed.io.on("question", told.append)
    for payload in (BINARY, "é", LONG):
        await mixed.node("emitter", ["python-room"], "news", payload)
        assert await mixed.heard() == ["news", payload]
    await mixed.node("emitterJoin", ["python-room"], "moved")
    await mixed.stage.until(lambda: "moved" in mixed.client.socket.rooms, "Python's socket joins")
    await mixed.node("emitterLeave", ["moved"], "moved")
    await mixed.stage.until(lambda: "moved" not in mixed.client.socket.rooms, "Python's socket leaves")
    await mixed.node("emitterTell", "question", 4)
    await mixed.stage.until(lambda: told == [4], "Python's server is told")
    assert await mixed.io.adapter.server_count() == 2
    await mixed.node("emitterDisconnect", ["python-room"])
    await mixed.stage.until(lambda: not mixed.client.socket.connected, "Python's socket is disconnected")
