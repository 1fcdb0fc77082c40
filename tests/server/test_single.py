"""One event to one client, with flags."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest

from socketeer.errors import AckTimeout, ReservedEventError, SocketDisconnected
from socketeer.server.single import SocketOperator
from tests.support.inprocess import Lobby, Poller

# --- volatile -----------------------------------------------------------------------------------


async def test_volatile_to_a_client_that_is_busy() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    socket.volatile.emit("now")
    client.carrier.busy = True
    socket.volatile.emit("dropped", b"with binary")
    socket.emit("not dropped")
    client.carrier.busy = False
    socket.volatile.emit("now again", b"\x01")
    assert client.heard() == [
        '42["now"]',
        '42["not dropped"]',
        '451-["now again",{"_placeholder":true,"num":0}]',
        b"\x01",
    ]


async def test_volatile_over_polling() -> None:
    """Dropped where no poll waits, and where one has been given something in this turn already."""
    lobby = Lobby()
    poller = Poller(lobby.io)
    socket = await poller.open()
    socket.volatile.emit("no poll waits")
    poll = asyncio.ensure_future(poller.poll())
    await asyncio.sleep(0)
    socket.volatile.emit("first")
    socket.volatile.emit("second")
    assert await poll == ['42["first"]']


async def test_volatile_with_an_acknowledgement() -> None:
    """As at the official server: the packet is dropped, and its acknowledgement is late."""
    lobby = Lobby()
    client, socket = lobby.connected()
    client.carrier.busy = True
    waiting = asyncio.ensure_future(socket.volatile.timeout(1).emit_with_ack("x"))
    await asyncio.sleep(0)
    lobby.clock.advance(1.1)
    with pytest.raises(AckTimeout):
        await waiting
    assert client.heard() == []


# --- compress -----------------------------------------------------------------------------------


@pytest.mark.parametrize("compressed", [True, False])
async def test_compress_over_polling(compressed: bool) -> None:
    lobby = Lobby(http_compression={"threshold": 10})
    poller = Poller(lobby.io)
    socket = await poller.open()
    poller.headers = [("accept-encoding", "gzip")]
    socket.compress(compressed).emit("x", "y" * 100)
    response = await poller.get()
    assert response.headers.get("content-encoding") == ("gzip" if compressed else None)
    body = gzip.decompress(response.body) if compressed else response.body
    assert body == b'42["x","' + b"y" * 100 + b'"]'


# --- timeout ------------------------------------------------------------------------------------


async def test_timeout() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    waiting = asyncio.ensure_future(socket.timeout(5).emit_with_ack("x", 1))
    await client.hears('420["x",1]')
    lobby.clock.advance(4.9)
    await asyncio.sleep(0)
    assert not waiting.done()
    lobby.clock.advance(0.2)
    with pytest.raises(AckTimeout):
        await waiting


async def test_the_nearer_timeout_wins() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    waiting = asyncio.ensure_future(socket.timeout(50).emit_with_ack("x", timeout=5))
    await client.hears('420["x"]')
    lobby.clock.advance(5.1)
    with pytest.raises(AckTimeout):
        await waiting


async def test_in_time() -> None:
    lobby = Lobby()
    client, socket = lobby.connected("/chat")
    waiting = asyncio.ensure_future(socket.timeout(5).emit_with_ack("x"))
    await client.hears('42/chat,0["x"]')
    lobby.clock.advance(4)
    client.say("43/chat,0[1,2]")
    assert await waiting == (1, 2)
    lobby.clock.advance(10)
    assert not client.ended()


async def test_cancelled_while_it_waits() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    waiting = asyncio.ensure_future(socket.timeout(5).emit_with_ack("x"))
    await client.hears('420["x"]')
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(socket.acks) == 0
    client.say('430["nobody waits"]')
    lobby.clock.advance(6)


async def test_timeout_without_an_acknowledgement() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    socket.timeout(5).emit("x")
    socket.timeout(5).send("x")
    assert client.heard() == ['42["x"]', '42["message","x"]']
    lobby.clock.advance(6)


# --- all of it ----------------------------------------------------------------------------------


async def test_flags_add_up_and_change_nothing_behind() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    patient = socket.timeout(50)
    hasty: SocketOperator = patient.compress(False).volatile.timeout(1)
    client.carrier.busy = True
    hasty.emit("dropped")
    patient.emit("not dropped")
    assert client.heard() == ['42["not dropped"]']


async def test_from_one_to_the_others() -> None:
    lobby = Lobby()
    heard: dict[str, list[Any]] = {}
    clients = {}
    for name in ("me", "a", "b"):
        client, socket = lobby.connected()
        socket.join([name, "all"])
        clients[name] = client, socket
    me = clients["me"][1]
    clients["b"][0].carrier.busy = True
    me.volatile.broadcast.emit("1")
    me.volatile.to("all").emit("2")
    me.volatile.in_(["a", "b"]).emit("3")
    me.volatile.except_("a").emit("4")
    me.compress(False).local.emit("5")
    heard = {name: [str(each)[4] for each in client.heard()] for name, (client, _) in clients.items()}
    assert heard == {"me": [], "a": ["1", "2", "3", "5"], "b": ["5"]}


async def test_after_the_end() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    operator = socket.timeout(5)
    socket.disconnect()
    client.heard()
    await operator.emit("x")
    with pytest.raises(SocketDisconnected):
        await operator.emit_with_ack("x")
    assert client.heard() == []


async def test_reserved_names() -> None:
    lobby = Lobby()
    _, socket = lobby.connected()
    with pytest.raises(ReservedEventError):
        socket.volatile.emit("disconnect")
    with pytest.raises(ReservedEventError):
        await socket.timeout(5).emit_with_ack("connect")
    assert len(socket.acks) == 0


async def test_awaiting_waits_for_room() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    client.carrier.room.clear()

    async def emit() -> None:
        await socket.compress(True).emit("x")

    waiting = asyncio.ensure_future(emit())
    await client.hears('42["x"]')
    assert not waiting.done()
    client.carrier.room.set()
    async with asyncio.timeout(5):
        await waiting
