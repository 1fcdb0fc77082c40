"""How it ends: the reasons, in the official server's words, and what a socket is told and may still do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from socketeer.server.socket import Socket
from tests.support.inprocess import Client, Lobby, Poller, soon


class Witness:
    """Writes down what a socket is told, and in which rooms it was then."""

    def __init__(self, socket: Socket) -> None:
        self.told: list[Any] = []
        self.over = asyncio.Event()

        def disconnecting(reason: str, description: str | None) -> None:
            self.told.append(
                ("disconnecting", reason, description, socket.rooms - {socket.id}, socket.connected)
            )

        def disconnect(reason: str, description: str | None) -> None:
            self.told.append(("disconnect", reason, description, socket.rooms, socket.connected))
            self.over.set()

        socket.join("room")
        socket.on("disconnecting", disconnecting)
        socket.on("disconnect", disconnect)

    def saw(self, reason: str, description: str | None = None) -> bool:
        """Whether it ended once, for that reason, with the rooms still there at first."""
        expected = [
            ("disconnecting", reason, description, {"room"}, True),
            ("disconnect", reason, description, set(), False),
        ]
        assert self.told == expected
        return True


REASONS: dict[str, tuple[Callable[[Lobby, Client, Socket], Any], str, str | None]] = {
    "the client leaves the namespace": (
        lambda lobby, client, socket: client.say("41"),
        "client namespace disconnect",
        None,
    ),
    "the server disconnects it": (
        lambda lobby, client, socket: socket.disconnect(),
        "server namespace disconnect",
        None,
    ),
    "the server closes the connection": (
        lambda lobby, client, socket: socket.disconnect(close=True),
        "server namespace disconnect",
        None,
    ),
    "the connection below is closed": (
        lambda lobby, client, socket: socket.conn.close(),
        "forced close",
        None,
    ),
    "the client closes the WebSocket": (
        lambda lobby, client, socket: client.vanish("transport close", "closed by the peer"),
        "transport close",
        "closed by the peer",
    ),
    "the WebSocket breaks": (
        lambda lobby, client, socket: client.vanish("transport error", "message above 5 bytes"),
        "transport error",
        "message above 5 bytes",
    ),
    "no pong": (
        lambda lobby, client, socket: lobby.clock.advance(46),
        "ping timeout",
        None,
    ),
    "a ping from the client": (
        lambda lobby, client, socket: client.say("2"),
        "transport error",
        "invalid heartbeat direction",
    ),
    "an unknown Engine.IO packet": (
        lambda lobby, client, socket: client.say("9"),
        "parse error",
        "unknown Engine.IO packet b'9'",
    ),
    "an empty Engine.IO packet": (
        lambda lobby, client, socket: client.say(""),
        "parse error",
        "unknown Engine.IO packet b''",
    ),
    "no Socket.IO packet": (
        lambda lobby, client, socket: client.say("4nonsense"),
        "forced close",
        None,
    ),
    "a second CONNECT": (
        lambda lobby, client, socket: client.say("40"),
        "forced close",
        None,
    ),
}


@pytest.mark.parametrize(("how", "reason", "description"), REASONS.values(), ids=REASONS)
async def test_reason(
    how: Callable[[Lobby, Client, Socket], Any], reason: str, description: str | None
) -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    witness = Witness(socket)
    how(lobby, client, socket)
    assert witness.saw(reason, description)
    assert socket.disconnected
    assert lobby.io.sockets.sockets == {}
    assert not lobby.io.sockets.adapter.rooms


async def test_server_shutting_down() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    witness = Witness(socket)
    chat = Witness(client.connect("/chat"))
    await lobby.io.close()
    assert witness.saw("server shutting down")
    assert chat.saw("server shutting down")
    assert client.heard() == [], "no packet says so: the connection just ends"
    assert client.ended()


async def test_closed_over_polling_by_the_client() -> None:
    lobby = Lobby()
    poller = Poller(lobby.io)
    witness = Witness(await poller.open())
    await poller.post("1")
    assert witness.saw("transport close", "closed by the peer")


async def test_a_violation_over_polling_with_something_still_to_send() -> None:
    """The official server's words differ where the connection cannot be closed at once."""
    lobby = Lobby()
    poller = Poller(lobby.io)
    socket = await poller.open()
    witness = Witness(socket)
    socket.emit("last words")
    await poller.post("40")
    assert witness.saw("forced server close")
    packets = await poller.poll()
    while packets[-1] != "1":
        packets += await poller.poll()
    assert packets[0] == '42["last words"]'
    assert lobby.io.engine.clients_count == 0


async def test_a_violation_over_polling_with_a_poll_waiting() -> None:
    lobby = Lobby()
    poller = Poller(lobby.io)
    socket = await poller.open()
    witness = Witness(socket)
    poll = asyncio.ensure_future(poller.poll())
    await asyncio.sleep(0)
    await poller.post("40")
    assert witness.saw("forced close")
    assert await poll == ["1"]


async def test_two_polls_at_once() -> None:
    lobby = Lobby()
    poller = Poller(lobby.io)
    witness = Witness(await poller.open())
    poll = asyncio.ensure_future(poller.poll())
    await asyncio.sleep(0)
    assert (await poller.get()).status == 400
    assert witness.saw("transport error", "overlap from client")
    await poll


async def test_a_client_that_is_not_read_to() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    witness = Witness(socket)
    client.carrier.max_bytes = 100
    socket.emit("x", "y" * 200)
    socket.emit("x", "into the void")
    assert witness.saw("transport error", "more than max_bytes queued")


# --- what is sent, and to whom ------------------------------------------------------------------


async def test_disconnect_is_told_to_the_client() -> None:
    lobby = Lobby()
    client, socket = lobby.connected("/chat")
    main = client.connect()
    assert socket.disconnect() is socket
    assert client.heard() == ["41/chat,"]
    assert not client.ended()
    assert main.connected


async def test_disconnect_and_close() -> None:
    """Each namespace is told by a packet of its own, then the connection ends."""
    lobby = Lobby()
    client, socket = lobby.connected()
    main, chat = Witness(socket), Witness(client.connect("/chat"))
    socket.disconnect(close=True)
    assert sorted(map(str, client.heard())) == ["41", "41/chat,"]
    assert client.ended()
    assert main.saw("server namespace disconnect")
    assert chat.saw("server namespace disconnect")
    assert lobby.io.engine.clients_count == 0


async def test_disconnect_twice() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    witness = Witness(socket)
    socket.disconnect()
    socket.disconnect()
    socket.disconnect(close=True)
    assert client.heard() == ["41"]
    assert not client.ended()
    assert witness.saw("server namespace disconnect")


async def test_disconnect_in_the_connection_handler() -> None:
    lobby = Lobby()
    lobby.io.on("connection", lambda socket: socket.disconnect())
    client = lobby.client()
    connect, disconnect = client.asks("40")
    assert str(connect).startswith('40{"sid":"')
    assert disconnect == "41"
    assert lobby.io.sockets.sockets == {}


async def test_last_words() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    other, _ = lobby.connected()

    @socket.on("disconnecting")
    def disconnecting(reason: str) -> None:
        socket.emit("bye")
        for room in socket.rooms:
            socket.to(room).emit("left", reason)
        socket.broadcast.emit("one less")

    client.say("41")
    assert client.heard() == ['42["bye"]']
    assert other.heard() == ['42["one less"]']


async def test_the_others_in_its_rooms_hear_of_it() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    other, friend = lobby.connected()
    stranger, _ = lobby.connected()
    socket.join("game")
    friend.join("game")

    @socket.on("disconnecting")
    def disconnecting(reason: str) -> None:
        socket.to([*socket.rooms]).emit("left", reason)

    client.vanish()
    assert other.heard() == ['42["left","transport close"]']
    assert stranger.heard() == []


@pytest.mark.parametrize("event", ["disconnecting", "disconnect"])
async def test_a_listener_that_disconnects(event: str, caplog: pytest.LogCaptureFixture) -> None:
    """It ends once, whatever the listener does."""
    lobby = Lobby()
    client, socket = lobby.connected()
    witness = Witness(socket)
    socket.on(event, lambda *args: socket.disconnect())
    socket.on(event, lambda *args: socket.disconnect(close=True))
    client.say("41")
    assert witness.saw("client namespace disconnect")
    assert caplog.records == []
    assert lobby.io.sockets.sockets == {}


async def test_a_listener_of_one_namespace_that_ends_the_connection() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    main, chat = Witness(socket), Witness(client.connect("/chat"))
    socket.on("disconnect", lambda *args: socket.conn.close())
    client.say("41")
    assert main.saw("client namespace disconnect")
    assert chat.saw("forced close")


async def test_coming_back_is_another_socket() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    client.say("41")
    again = client.connect()
    assert again.id != socket.id
    assert (socket.connected, again.connected) == (False, True)


async def test_async_listeners_are_started_in_time() -> None:
    """What stands before their first `await` still sees the rooms."""
    lobby = Lobby()
    client, socket = lobby.connected()
    socket.join("room")
    seen: list[Any] = []
    over = asyncio.Event()

    @socket.on("disconnecting")
    async def disconnecting(reason: str) -> None:
        seen.append(socket.rooms)
        await asyncio.sleep(0)
        seen.append(socket.rooms)
        over.set()

    client.vanish()
    await soon(over)
    assert seen == [{socket.id, "room"}, set()]
