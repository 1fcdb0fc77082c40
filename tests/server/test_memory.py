"""Whom a broadcast reaches; what an adapter does where there are no other nodes."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from socketeer.errors import UsageError
from socketeer.protocol.packet import EVENT, Packet
from socketeer.server.adapter import Flags, StoredSession, Target
from socketeer.server.memory import MemoryAdapter
from socketeer.server.server import BaseServer
from tests.support.inprocess import Lobby, soon


def lone_adapter() -> MemoryAdapter:
    """The adapter of a namespace without sockets."""
    return MemoryAdapter(BaseServer().of("/"))


async def test_broadcast() -> None:
    lobby = Lobby()
    adapter = lobby.io.sockets.adapter
    clients = []
    for name in "ab":
        client, socket = lobby.connected()
        socket.join(name)
        clients.append(client)
    adapter.broadcast(Packet(EVENT, "/", ["x"]), Target(("a",)))
    assert [client.heard() for client in clients] == [['42["x"]'], []]


async def test_broadcast_to_a_member_that_is_not_connected() -> None:
    """A client still in its middlewares may be in a room already."""
    lobby = Lobby()
    client, _ = lobby.connected()
    adapter = lobby.io.sockets.adapter
    adapter.join("nobody", ["a"])
    adapter.broadcast(Packet(EVENT, "/", ["x"]), Target())
    assert client.heard() == ['42["x"]']


async def test_volatile_broadcast() -> None:
    lobby = Lobby()
    (busy, _), (idle, _) = lobby.connected(), lobby.connected()
    busy.carrier.busy = True
    lobby.io.sockets.adapter.broadcast(Packet(EVENT, "/", ["x"]), Target(flags=Flags(volatile=True)))
    assert (busy.heard(), idle.heard()) == ([], ['42["x"]'])


# --- the sockets of all nodes, of which there is one ---------------------------------------------


async def test_fetching_joining_leaving_disconnecting() -> None:
    lobby = Lobby()
    (_, one), (_, two) = lobby.connected(), lobby.connected()
    adapter = lobby.io.sockets.adapter
    adapter.join("still in its middlewares", ["a"])
    adapter.add_sockets(Target((one.id,)), ["a", "b"])
    assert (one.rooms, two.rooms) == ({one.id, "a", "b"}, {two.id})
    assert await adapter.fetch_sockets(Target(("a",))) == [one]
    assert await adapter.fetch_sockets(Target((), ("a",))) == [two]
    adapter.del_sockets(Target(), ["a", "never entered"])
    assert one.rooms == {one.id, "b"}
    adapter.disconnect_sockets(Target((), ("b",)), close=False)
    assert (one.connected, two.connected) == (True, False)


async def test_disconnecting_with_the_connection() -> None:
    lobby = Lobby()
    (client, _), (other, _) = lobby.connected(), lobby.connected()
    other.connect("/b")
    lobby.io.of("/b").adapter.disconnect_sockets(Target(), close=True)
    assert (client.ended(), other.ended()) == (False, True)


async def test_acknowledged_broadcast_needs_an_id() -> None:
    with pytest.raises(UsageError, match="a packet with an id"):
        await lone_adapter().broadcast_with_ack(Packet(EVENT, "/", ["x"]), Target(), None)


async def test_a_busy_client_is_not_asked_by_a_volatile_broadcast() -> None:
    lobby = Lobby()
    (busy, _), (idle, _) = lobby.connected(), lobby.connected()
    busy.carrier.busy = True
    asking = asyncio.create_task(lobby.io.volatile.emit_with_ack("x"))
    await soon(idle.carrier.news)
    assert (busy.heard(), idle.asks("430[1]")) == ([], ['420["x"]'])
    assert await asking == [1]


async def test_no_other_nodes() -> None:
    adapter = lone_adapter()
    assert await adapter.server_count() == 1
    assert adapter.server_side_emit(["x"]) is None
    assert await adapter.server_side_emit_with_ack(["x"], None) == []


async def test_nothing_is_kept_of_a_session() -> None:
    adapter = lone_adapter()
    assert adapter.persist_session(StoredSession("sid", "pid", (), {})) is None
    assert await adapter.restore_session("pid", "offset") is None


async def test_closing() -> None:
    await lone_adapter().close()


async def test_only_the_receivers_that_listen_are_told() -> None:
    lobby = Lobby()
    (_, one), (_, two), (_, three) = (lobby.connected() for _ in range(3))
    heard: list[Any] = []
    for socket in (one, two):
        socket.on_any_outgoing(lambda *args, to=socket: heard.append((to, args)))
    two.join("a")
    three.join("a")
    adapter = cast(MemoryAdapter, lobby.io.adapter)
    adapter.broadcast(Packet(EVENT, "/", ("x", 1)), Target(("a",)))
    adapter.broadcast(Packet(EVENT, "/", ("y",)), Target((), ("a",)))
    waiting = asyncio.ensure_future(
        adapter.broadcast_with_ack(Packet(EVENT, "/", ("z",), 7), Target(("a",)), 5)
    )
    await asyncio.sleep(0)
    waiting.cancel()
    assert heard == [(two, ("x", 1)), (one, ("y",)), (two, ("z",))]
