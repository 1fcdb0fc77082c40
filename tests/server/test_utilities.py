"""`fetch_sockets`, `sockets_join`, `sockets_leave`, `disconnect_sockets`, `server_side_emit`; sockets of other nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from socketeer.errors import AckTimeout, ReservedEventError, SocketDisconnected
from socketeer.messaging.handlers import Ack
from socketeer.server.adapter import AdapterHost, SocketDetails, Target
from socketeer.server.memory import MemoryAdapter
from socketeer.server.operators import RemoteSocket
from socketeer.server.socket import Socket
from tests.support.inprocess import Client, Lobby, soon


def three(lobby: Lobby) -> tuple[list[Client], list[Socket]]:
    """Clients in the rooms a, b, and a with b."""
    clients, sockets = zip(*(lobby.connected() for _ in range(3)), strict=True)
    for socket, rooms in zip(sockets, ("a", "b", "ab"), strict=True):
        socket.join(list(rooms))
    return list(clients), list(sockets)


async def test_fetching() -> None:
    lobby = Lobby()
    _, (a, b, ab) = three(lobby)
    assert await lobby.io.fetch_sockets() == [a, b, ab]
    assert await lobby.io.sockets.fetch_sockets() == [a, b, ab]
    assert await lobby.io.in_("a").fetch_sockets() == [a, ab]
    assert await lobby.io.in_("a").except_("b").fetch_sockets() == [a]
    assert await lobby.io.local.fetch_sockets() == [a, b, ab]
    assert await a.broadcast.fetch_sockets() == [b, ab]
    assert await lobby.io.of("/empty").fetch_sockets() == []


async def test_joining_and_leaving() -> None:
    lobby = Lobby()
    _, (a, b, ab) = three(lobby)
    lobby.io.in_("a").sockets_join(["c", "d"])
    await lobby.io.in_("b").sockets_join("e")
    assert (a.rooms, b.rooms, ab.rooms) == (
        {a.id, "a", "c", "d"},
        {b.id, "b", "e"},
        {ab.id, "a", "b", "c", "d", "e"},
    )
    lobby.io.except_("b").sockets_leave("a")
    await lobby.io.sockets_leave(["c", "e", "nowhere"])
    assert (a.rooms, b.rooms, ab.rooms) == ({a.id, "d"}, {b.id, "b"}, {ab.id, "a", "b", "d"})


async def test_disconnecting() -> None:
    lobby = Lobby()
    clients, (a, b, ab) = three(lobby)
    reasons: list[Any] = []
    a.on("disconnect", reasons.append)
    await lobby.io.in_("a").disconnect_sockets()
    assert [each.connected for each in (a, b, ab)] == [False, True, False]
    assert reasons == ["server namespace disconnect"]
    assert [client.heard() for client in clients] == [["41"], [], ["41"]]
    assert not any(client.ended() for client in clients)
    lobby.io.disconnect_sockets(close=True)
    assert [client.ended() for client in clients] == [False, True, False]


# --- the servers --------------------------------------------------------------------------------


class Neighbours(MemoryAdapter):
    """Every adapter of the same namespace is told what one emits to the servers."""

    def __init__(self, nsp: AdapterHost, others: list[Neighbours]) -> None:
        super().__init__(nsp)
        self.others = others
        others.append(self)

    def server_side_emit(self, args: Sequence[Any]) -> None:
        for other in self.others:
            if other is not self:
                other.nsp.on_server_side_emit(args)

    async def server_side_emit_with_ack(self, args: Sequence[Any], timeout: float | None) -> list[Any]:
        answers: list[Any] = []
        for other in self.others:
            if other is not self:
                other.nsp.on_server_side_emit(args, lambda values: answers.append(values[0]))
        return answers

    async def fetch_sockets(self, target: Target) -> Sequence[SocketDetails]:
        return [socket for each in self.others for socket in each.nsp.sockets.values()]


def neighbours() -> tuple[Lobby, Lobby]:
    """Two servers whose main namespaces know each other."""
    adapters: dict[str, list[Neighbours]] = {}

    def make(nsp: AdapterHost) -> Neighbours:
        return Neighbours(nsp, adapters.setdefault(nsp.name, []))

    return Lobby(adapter=make), Lobby(adapter=make)


async def test_server_side_emit() -> None:
    here, there = neighbours()
    heard: list[Any] = []
    here.io.on("hello", lambda *args: heard.append(("here", *args)))
    there.io.on("hello", lambda *args: heard.append(("there", *args)))
    there.io.of("/b").on("hello", lambda *args: heard.append(("b", *args)))
    here.io.of("/b")
    await here.io.server_side_emit("hello", 1, {"two": b"3"})
    here.io.of("/b").server_side_emit("hello")
    assert heard == [("there", 1, {"two": b"3"}), ("b",)]


async def test_server_side_emit_with_ack() -> None:
    here, there = neighbours()

    @there.io.on("add")
    def add(a: int, b: int) -> int:
        return a + b

    @there.io.on("by hand")
    def by_hand(ack: Ack) -> None:
        ack("by hand")

    assert await here.io.server_side_emit_with_ack("add", 1, 2, timeout=5) == [3]
    assert await here.io.sockets.server_side_emit_with_ack("by hand") == ["by hand"]


@pytest.mark.parametrize("event", ["connect", "connection", "new_namespace"])
async def test_reserved_names(event: str) -> None:
    here, there = neighbours()
    with pytest.raises(ReservedEventError, match=f'"{event}" is a reserved event name'):
        here.io.server_side_emit(event)
    with pytest.raises(ReservedEventError):
        await here.io.server_side_emit_with_ack(event)
    heard: list[Any] = []
    there.io.on(event, heard.append)
    there.io.sockets.on_server_side_emit([event, "forged"])
    assert heard == []


# --- sockets of other nodes -----------------------------------------------------------------------


async def test_a_remote_socket() -> None:
    here, there = neighbours()
    (mine, own), (client, socket) = here.connected(), there.connected()
    socket.data["name"] = "far"
    socket.join("a")
    found = await here.io.fetch_sockets()
    assert found[0] is own
    remote = found[1]
    assert isinstance(remote, RemoteSocket)
    assert (remote.id, remote.rooms, remote.data) == (socket.id, {socket.id, "a"}, {"name": "far"})
    assert remote.handshake.address == "192.0.2.7"
    assert (mine.heard(), client.heard()) == ([], [])


async def test_acting_on_one() -> None:
    """Through the operator of its own room: here of a node that has it."""
    lobby = Lobby()
    (client, socket), (other, _) = lobby.connected(), lobby.connected()
    remote = RemoteSocket(lobby.io.to(socket.id), socket)
    await remote.emit("x", 1)
    remote.send("y")
    await remote.join(["a", "b"])
    remote.leave("b")
    assert socket.rooms == {socket.id, "a"}
    assert client.heard() == ['42["x",1]', '42["message","y"]']
    asking = asyncio.create_task(remote.emit_with_ack("z", timeout=5))
    await soon(client.carrier.news)
    client.say('430["first","second"]')
    assert await asking == "first"
    client.heard()
    assert remote.disconnect() is remote
    assert (client.heard(), client.ended(), other.heard()) == (["41"], False, [])
    with pytest.raises(SocketDisconnected):
        await remote.emit_with_ack("anybody?")


async def test_one_that_does_not_answer() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    remote = RemoteSocket(lobby.io.to(socket.id), socket).timeout(3)
    asking = asyncio.create_task(remote.emit_with_ack("x"))
    await soon(client.carrier.news)
    lobby.clock.advance(3.1)
    with pytest.raises(AckTimeout):
        await asking
