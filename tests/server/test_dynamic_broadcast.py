"""What is emitted on a parent reaches the clients of all its children."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from socketeer.errors import UsageError
from tests.support.dynamic import DYNAMIC, join
from tests.support.inprocess import Lobby


class Houses:
    """Two children of one parent, each with two clients; one client of each is in the room `kitchen`."""

    def __init__(self) -> None:
        lobby = Lobby()
        self.parent = lobby.io.of(DYNAMIC)
        self.clients = {f"{house}{n}": lobby.client() for house in "ab" for n in range(2)}
        self.sockets = {who: join(client, f"/dyn-{who[0]}") for who, client in self.clients.items()}
        self.sockets["a0"].join("kitchen")
        self.sockets["b0"].join("kitchen")
        self.outsider = lobby.client()
        self.outsider.connect()

    def heard(self) -> dict[str, Any]:
        """What each client has heard, without its namespace's name."""
        assert self.outsider.heard() == []
        return {
            who: [str(each).replace(f"/dyn-{who[0]},", "") for each in packets]
            for who, client in self.clients.items()
            if (packets := client.heard())
        }


NEWS = ['42["news",1]']
MESSAGE = ['42["message","hello"]']


async def test_emitting_to_all_children() -> None:
    houses = Houses()
    houses.parent.emit("news", 1)
    assert houses.heard() == dict.fromkeys(houses.clients, NEWS)
    houses.parent.send("hello")
    assert houses.heard() == dict.fromkeys(houses.clients, MESSAGE)


async def test_emitting_to_rooms_of_all_children() -> None:
    houses = Houses()
    for verb in ("to", "in_"):
        getattr(houses.parent, verb)("kitchen").emit("news", 1)
        assert houses.heard() == {"a0": NEWS, "b0": NEWS}
    houses.parent.except_("kitchen").emit("news", 1)
    assert houses.heard() == {"a1": NEWS, "b1": NEWS}
    houses.parent.to(["kitchen", houses.sockets["b1"].id]).except_(houses.sockets["a0"].id).emit("news", 1)
    assert houses.heard() == {"b0": NEWS, "b1": NEWS}


async def test_flags_in_all_children() -> None:
    houses = Houses()
    houses.clients["a1"].carrier.busy = True
    houses.parent.volatile.emit("news", 1)
    assert houses.heard() == {"a0": NEWS, "b0": NEWS, "b1": NEWS}
    houses.parent.local.to("kitchen").volatile.compress(False).emit("news", 1)
    assert houses.heard() == {"a0": NEWS, "b0": NEWS}


async def test_waiting_for_all_children() -> None:
    houses = Houses()
    for client in houses.clients.values():
        client.carrier.room.clear()
    waiting = asyncio.ensure_future(_awaited(houses.parent.to("kitchen").emit("news", 1)))
    for who in ("a0", "b0"):
        await asyncio.sleep(0)
        assert not waiting.done()
        houses.clients[who].carrier.room.set()
    async with asyncio.timeout(5):
        await waiting


async def _awaited(sent: Any) -> None:
    await sent


async def test_emitting_what_cannot_be_sent() -> None:
    lobby = Lobby()
    with pytest.raises(ValueError, match="reserved"):
        lobby.io.of(DYNAMIC).emit("connect")


async def test_what_only_one_namespace_can_do() -> None:
    parent = Houses().parent
    for answer in (
        parent.fetch_sockets(),
        parent.emit_with_ack("x"),
        parent.timeout(1).emit_with_ack("x"),
        parent.to("kitchen").local.emit_with_ack("x"),
        parent.to("kitchen").fetch_sockets(),
        parent.server_side_emit_with_ack("x"),
    ):
        with pytest.raises(UsageError, match=r"parent namespace /_0: .* each of parent\.children"):
            await answer
    with pytest.raises(UsageError, match=r"server_side_emit\(\) on parent namespace /_0"):
        parent.server_side_emit("x")


async def test_moving_the_clients_of_all_children() -> None:
    houses = Houses()
    await houses.parent.except_("kitchen").sockets_join(["garden", "shed"])
    await houses.parent.sockets_leave("shed")
    houses.parent.to("garden").emit("news", 1)
    assert houses.heard() == {"a1": NEWS, "b1": NEWS}
    assert "shed" not in houses.sockets["a1"].rooms
    await houses.parent.in_("kitchen").disconnect_sockets()
    assert [who for who, socket in houses.sockets.items() if socket.connected] == ["a1", "b1"]
    assert houses.heard() == {"a0": ["41"], "b0": ["41"]}
