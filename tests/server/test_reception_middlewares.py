"""Recovery and the middlewares of a namespace."""

from __future__ import annotations

import asyncio
from typing import Any

from socketeer.errors import ConnectionRefused
from socketeer.server.socket import Socket
from tests.server.returning import lobby_with, returner
from tests.support.inprocess import soon


async def test_middlewares_are_skipped() -> None:
    lobby = lobby_with()
    asked: list[Socket] = []
    lobby.io.use(asked.append)
    user = returner(lobby)
    user.lose()
    user.connect()
    assert (user.recovered, len(asked)) == (True, 1)
    user.socket.disconnect()
    user.client.heard()
    user.connect()
    assert (user.recovered, len(asked)) == (False, 2)


async def test_middlewares_are_asked() -> None:
    lobby = lobby_with(skip_middlewares=False)
    asked: list[Any] = []
    lobby.io.use(lambda socket: asked.append((socket.recovered, socket.id, "a" in socket.rooms)))
    user = returner(lobby)
    user.socket.join("a")
    user.lose()
    user.connect()
    assert asked == [(False, user.socket.id, False), (True, user.socket.id, True)]


async def test_a_refused_client_gets_nothing_and_may_try_again() -> None:
    lobby = lobby_with(skip_middlewares=False)

    @lobby.io.use
    def check(socket: Socket) -> None:
        if socket.handshake.auth.get("token") == "expired":
            raise ConnectionRefused("not any more")

    user = returner(lobby)
    user.socket.join("a")
    user.lose()
    lobby.io.emit("secret")
    refused = lobby.client()
    assert refused.asks(f'40{{"pid":"{user.pid}","offset":"{user.offset}","token":"expired"}}') == [
        '44{"message":"not any more"}'
    ]
    assert lobby.io.adapter.rooms == {}
    user.connect(token="fresh")
    assert (user.recovered, user.names()) == (True, ["secret"])


async def test_what_is_sent_during_the_middlewares_is_not_lost() -> None:
    """Nor is it doubled, nor out of order; what the middleware itself emits comes before the CONNECT packet."""
    lobby = lobby_with(skip_middlewares=False)
    inside, door = asyncio.Event(), asyncio.Event()

    @lobby.io.use
    async def slow(socket: Socket) -> None:
        if socket.recovered:
            socket.emit("early")
            inside.set()
            await door.wait()

    user = returner(lobby)
    user.lose()
    lobby.io.emit("before")
    client = lobby.client()
    client.say(f'40{{"pid":"{user.pid}","offset":"{user.offset}"}}')
    await soon(inside)
    lobby.io.emit("meanwhile")
    assert client.heard() == ['42["early"]']
    connected = asyncio.Event()
    lobby.io.on("connection", lambda socket: connected.set())
    door.set()
    await soon(connected)
    assert [str(packet)[:7] for packet in client.heard()] == ['42["bef', '42["mea', '40{"sid']


async def test_early_events_of_a_new_client_come_before_its_connect_packet() -> None:
    lobby = lobby_with()
    lobby.io.use(lambda socket: socket.emit("early") and None)
    client = lobby.client()
    heard = client.asks("40")
    assert [str(packet)[:3] for packet in heard] == ["42[", "40{"]


async def test_a_connection_that_ends_in_the_middlewares() -> None:
    lobby = lobby_with(skip_middlewares=False)
    inside, door, told = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @lobby.io.use
    async def slow(socket: Socket) -> None:
        if socket.recovered and not door.is_set():
            inside.set()
            await door.wait()
            asyncio.get_running_loop().call_soon(asyncio.get_running_loop().call_soon, told.set)

    user = returner(lobby)
    user.socket.join("a")
    user.lose()
    client = lobby.client()
    client.say(f'40{{"pid":"{user.pid}","offset":"{user.offset}"}}')
    await soon(inside)
    client.vanish()
    door.set()
    await soon(told)
    assert lobby.io.adapter.rooms == {}
    user.connect()
    assert (user.recovered, user.socket.rooms) == (True, {user.socket.id, "a"})
