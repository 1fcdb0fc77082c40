"""A namespace: who connects to it, in which order things happen then, and what its listeners are told."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from socketeer.errors import UsageError
from socketeer.server.namespace import Namespace
from socketeer.server.socket import Socket
from tests.support.inprocess import Lobby, soon

# --- connecting ---------------------------------------------------------------------------------


async def test_connecting() -> None:
    lobby = Lobby()
    client = lobby.client()
    (connect,) = client.asks("40")
    (socket,) = lobby.io.sockets.sockets.values()
    assert connect == f'40{{"sid":"{socket.id}"}}'
    assert lobby.io.sockets.sockets == {socket.id: socket}
    assert set(lobby.io.sockets.adapter.rooms) == {socket.id}


async def test_connecting_to_another_one() -> None:
    lobby = Lobby()
    chat = lobby.io.of("/chat")
    client = lobby.client()
    (connect,) = client.asks("40/chat,")
    (socket,) = chat.sockets.values()
    assert connect == f'40/chat,{{"sid":"{socket.id}"}}'
    assert lobby.io.sockets.sockets == {}


@pytest.mark.parametrize("name", ["/nope", "/chat/", "/Chat", "/chat?token=1", "/é"])
async def test_a_namespace_that_does_not_exist(name: str) -> None:
    lobby = Lobby()
    lobby.io.of("/chat")
    client = lobby.client()
    assert client.asks(f"40{name},") == [f'44{name},{{"message":"Invalid namespace"}}']
    assert not client.ended()
    client.connect("/chat")


async def test_the_order_of_things() -> None:
    """The CONNECT packet, then `connect`, then `connection`, and what each of them emits in that order."""
    lobby = Lobby()
    seen: list[Any] = []

    @lobby.io.on("connection")
    def connection(socket: Socket) -> None:
        seen.append(("connection", socket.connected, socket.rooms == {socket.id}))
        socket.emit("second")

    @lobby.io.on("connect")
    def connect(socket: Socket) -> None:
        seen.append(("connect", socket.connected, socket.id in lobby.io.sockets.sockets))
        socket.emit("first")

    client = lobby.client()
    packet, *events = client.asks("40")
    assert str(packet).startswith('40{"sid":"')
    assert events == ['42["first"]', '42["second"]']
    assert seen == [("connect", True, True), ("connection", True, True)]


async def test_events_that_come_with_the_connect_packet() -> None:
    """Handlers registered in a plain `connection` listener get them all."""
    lobby = Lobby()

    @lobby.io.on("connection")
    def connection(socket: Socket) -> None:
        socket.on("x", lambda value: value)

    client = lobby.client()
    _, *acks = client.asks("40", '420["x",1]', '421["x",2]')
    assert acks == ["430[1]", "431[2]"]


async def test_an_async_connection_listener() -> None:
    lobby = Lobby()
    over = asyncio.Event()

    @lobby.io.on("connection")
    async def connection(socket: Socket) -> None:
        socket.on("x", lambda value: value)
        await asyncio.sleep(0)
        socket.emit("later")
        over.set()

    client = lobby.client()
    client.connect()
    assert client.asks('420["x",1]') == ["430[1]"]
    await soon(over)
    assert client.heard() == ['42["later"]']


async def test_a_connection_listener_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once, told to `error` listeners of the namespace, and the client stays."""
    lobby = Lobby()
    told: list[Any] = []
    lobby.io.on("connection", lambda socket: 1 / 0)
    lobby.io.on("error", lambda *args: told.append(args))
    _, socket = lobby.connected()
    ((error, whose, event),) = told
    assert isinstance(error, ZeroDivisionError)
    assert (whose, event) == (socket, "connection")
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert socket.id in record.getMessage()
    assert socket.connected


async def test_several_clients() -> None:
    lobby = Lobby()
    sockets = [lobby.connected()[1] for _ in range(3)]
    assert list(lobby.io.sockets.sockets.values()) == sockets
    assert len({socket.id for socket in sockets}) == 3
    sockets[1].disconnect()
    assert list(lobby.io.sockets.sockets.values()) == [sockets[0], sockets[2]]


# --- listening ----------------------------------------------------------------------------------


async def test_listening_in_every_way() -> None:
    lobby = Lobby()
    chat = lobby.io.of("/chat")
    seen: list[str] = []

    @chat.on("connection")
    def always(socket: Socket) -> None:
        seen.append("always")

    @chat.once("connection")
    def first() -> None:
        seen.append("first")

    chat.once("connection", lambda: seen.append("first, called"))
    lobby.connected("/chat")
    lobby.connected("/chat")
    chat.off("connection", always)
    lobby.connected("/chat")
    chat.on("connection", always)
    chat.off("connection")
    chat.off()
    lobby.connected("/chat")
    assert seen == ["always", "first", "first, called", "always"]


async def test_a_listener_of_one_namespace_hears_nothing_of_another() -> None:
    lobby = Lobby()
    seen: list[str] = []
    lobby.io.on("connection", lambda socket: seen.append(socket.nsp.name))
    lobby.io.of("/chat").on("connection", lambda socket: seen.append(socket.nsp.name))
    client = lobby.client()
    client.connect("/chat")
    assert seen == ["/chat"]
    client.connect()
    assert seen == ["/chat", "/"]


async def test_errors_of_a_namespace() -> None:
    """What its handlers let out, with the socket and the event; each namespace its own."""
    lobby = Lobby()
    chat = lobby.io.of("/chat")
    told: list[Any] = []
    chat.on("error", lambda *args: told.append(args))
    lobby.io.on("error", lambda *args: pytest.fail("another namespace"))
    client, socket = lobby.connected("/chat")

    @socket.on("x")
    async def fails() -> None:
        await asyncio.sleep(0)
        over.set()
        raise LookupError("no")

    over = asyncio.Event()
    client.say('42/chat,["x"]')
    await soon(over)
    await asyncio.sleep(0)
    ((error, whose, event),) = told
    assert isinstance(error, LookupError)
    assert (whose, event) == (socket, "x")


async def test_an_error_listener_that_fails_in_its_own_time(caplog: pytest.LogCaptureFixture) -> None:
    lobby = Lobby()
    started = asyncio.Event()

    @lobby.io.on("error")
    async def listener(error: Exception) -> None:
        await asyncio.sleep(0)
        started.set()
        raise RuntimeError("and again")

    client, socket = lobby.connected()
    socket.on("x", lambda: 1 / 0)
    client.say('42["x"]')
    await soon(started)
    await asyncio.sleep(0)
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2


# --- the rest -----------------------------------------------------------------------------------


async def test_what_it_is() -> None:
    lobby = Lobby()
    chat = lobby.io.of("/chat")
    lobby.connected("/chat")
    assert isinstance(chat, Namespace)
    assert chat.name == "/chat"
    assert repr(chat) == "<Namespace '/chat' 1 sockets>"
    assert [chat.next_ack_id(), chat.next_ack_id(), lobby.io.sockets.next_ack_id()] == [0, 1, 0]


async def test_shutting_down_while_listeners_disconnect_others() -> None:
    lobby = Lobby()
    seen: list[str] = []
    (_, one), (_, two) = lobby.connected(), lobby.connected()

    def disconnect(reason: str) -> None:
        seen.append(reason)
        one.disconnect()
        two.disconnect()

    one.on("disconnect", disconnect)
    two.on("disconnect", disconnect)
    lobby.io.sockets.shut_down()
    assert seen == ["server shutting down", "server namespace disconnect"]
    assert lobby.io.sockets.sockets == {}


def test_the_server_of_one_that_has_none() -> None:
    with pytest.raises(UsageError, match=r"<Namespace '/chat' 0 sockets> belongs to no server: io.of"):
        _ = Namespace("/chat").server
