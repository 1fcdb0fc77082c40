"""Python's servers and the official ones in one cluster, over the real Redis and in each of the adapter's formats."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from interop.redis_cluster import BINARY, CLASSIC, MODES, Mixed, adapter_for, cluster, hidden
from socketeer import Emitter
from tests.support import requirements


@pytest.fixture(params=MODES)
async def mixed(request: pytest.FixtureRequest, node: str) -> AsyncIterator[Mixed]:
    async with cluster(request.param, node) as made:
        yield made


@pytest.fixture(params=CLASSIC)
async def classic(request: pytest.FixtureRequest, node: str) -> AsyncIterator[Mixed]:
    async with cluster(request.param, node) as made:
        yield made


async def test_events_reach_the_other_side(mixed: Mixed) -> None:
    for rooms in ([], ["node-room"], ["node-room", "python-room"]):
        mixed.io.to(rooms).emit("news", 1, BINARY, {"a": [BINARY, "é"]})
        expected = ["news", 1, {"$hex": BINARY.hex()}, {"a": [{"$hex": BINARY.hex()}, "é"]}]
        assert await mixed.find("event") == expected
    mixed.client.listen()
    mixed.client.events.clear()
    for rooms in ([], ["python-room"], ["node-room", "python-room"], [mixed.client.id]):
        await mixed.node("emit", rooms, "news", 2, BINARY, "é")
        assert await mixed.heard() == ["news", 2, BINARY, "é"]


async def test_acknowledgements_come_back(mixed: Mixed) -> None:
    asking = asyncio.ensure_future(mixed.io.timeout(10).emit_with_ack("sum", BINARY))
    await mixed.stage.answers(mixed.client)
    assert sorted(map(str, await asking)) == sorted(map(str, [0, {"client": BINARY}]))
    mixed.process.write(json.dumps(["ask", "sum", hidden(BINARY)]))
    await mixed.stage.until(lambda: mixed.client.answer(BINARY), "Python's client is asked")
    answers = await mixed.find("answer")
    assert sorted(map(str, answers)) == sorted(map(str, [hidden(BINARY), {"client": hidden(BINARY)}]))


async def test_sockets_are_found_moved_and_disconnected(mixed: Mixed) -> None:
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


async def test_servers_tell_and_ask_each_other(mixed: Mixed) -> None:
    told: list[Any] = []

    @mixed.io.on("question")
    def question(value: Any) -> Any:
        told.append(value)
        return {"python": value}

    mixed.io.server_side_emit("question", 1)
    assert await mixed.find("told") == 1
    (answer,) = await mixed.io.server_side_emit_with_ack("question", BINARY)
    assert await mixed.find("told") == {"$hex": BINARY.hex()}
    # The official classic adapter writes what servers tell each other as JSON, binary or not.
    in_json = {"type": "Buffer", "data": list(BINARY)}
    assert answer == {"node": in_json if mixed.mode in CLASSIC else BINARY}
    await mixed.node("tell", "question", 2)
    assert await mixed.node("inquire", "question", 3) == [{"python": 3}]
    await mixed.node("tell", "question", BINARY)
    await mixed.stage.until(lambda: len(told) == 3, "Python's server is told")
    assert told == [2, 3, in_json if mixed.mode in CLASSIC else BINARY]


async def test_nodes_of_javascript_are_told_the_rooms(classic: Mixed) -> None:
    rooms = await classic.node("allRooms")
    assert {"node-room", "python-room", classic.client.id} <= set(rooms)


async def test_the_emitter_of_javascript_is_heard(classic: Mixed) -> None:
    await classic.node("emitter", ["python-room"], "news", BINARY)
    assert await classic.heard() == ["news", BINARY]
    await classic.node("emitterJoin", ["python-room"], "moved")
    await classic.stage.until(lambda: "moved" in classic.client.socket.rooms, "Python's socket joins")


async def test_our_emitter_is_heard_by_javascript(mixed: Mixed) -> None:
    adapter = adapter_for(mixed.mode, requirements.redis(), mixed.key)
    async with Emitter(cast(Any, adapter)) as emitter:
        await emitter.to("node-room").except_("python-room").emit("news", 1, BINARY)
        assert await mixed.find("event") == ["news", 1, hidden(BINARY)]
        await emitter.in_("node-room").sockets_join("new")
        await emitter.to(["new", "nowhere"]).emit("news", 2)  # a new room has no channel yet
        assert await mixed.find("event") == ["news", 2]
        await emitter.server_side_emit("question", 3)
        assert await mixed.find("told") == 3
        await emitter.in_("new").disconnect_sockets()
        assert await mixed.find("event") == ["disconnect", "io server disconnect"]
