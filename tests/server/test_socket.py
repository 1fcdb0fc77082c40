"""One client in one namespace: its state, its listeners, what it sends, its rooms."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from socketeer.errors import AckTimeout, ReservedEventError, SocketDisconnected, UsageError
from tests.support.inprocess import Lobby, Poller, make_request

PLACE = '{"_placeholder":true,"num":%d}'
"""Where an attachment belongs."""

# --- state --------------------------------------------------------------------------------------


async def test_it_knows_who_it_is() -> None:
    lobby = Lobby()
    client, socket = lobby.connected("/chat")
    assert re.fullmatch(r"[A-Za-z0-9_-]{20}", socket.id)
    assert socket.id != client.session.id
    assert socket.nsp is lobby.io.of("/chat")
    assert socket.nsp.name == "/chat"
    assert socket.conn is client.session
    assert socket.conn.transport.name == "websocket"
    assert (socket.connected, socket.disconnected, socket.recovered) == (True, False, False)
    assert socket.id in repr(socket)
    assert "/chat" in repr(socket)


async def test_one_connection_many_sockets() -> None:
    lobby = Lobby()
    client, main = lobby.connected()
    chat = client.connect("/chat")
    assert main.id != chat.id
    assert main.conn is chat.conn
    assert main.data is not chat.data


async def test_disconnected_by_a_listener_of_room_events() -> None:
    """It is not told that it is connected any more, and nothing of it stays."""
    lobby = Lobby()
    client = lobby.client()
    main = lobby.io.of("/")
    main.adapter.once("join-room", lambda _, socket_id: main.sockets[socket_id].disconnect())
    client.say("40")
    assert client.heard() == ["41"]
    assert (dict(main.sockets), dict(main.adapter.rooms)) == ({}, {})
    assert client.connect().connected, "and it may come again"


async def test_data_is_a_dict_of_your_own() -> None:
    lobby = Lobby()
    _, socket = lobby.connected()
    assert socket.data == {}
    socket.data["name"] = "Ada"
    assert socket.data == {"name": "Ada"}
    socket.disconnect()
    assert socket.data == {"name": "Ada"}


async def test_data_may_be_replaced() -> None:
    _, socket = Lobby().connected()
    mine = {"name": "Ada"}
    socket.data = mine
    assert socket.data is mine
    for wrong in (None, "Ada", ["name"]):
        with pytest.raises(UsageError, match=r"socket\.data: expected a dict, got"):
            socket.data = wrong  # type: ignore[assignment]
    assert socket.data is mine


async def test_handshake() -> None:
    lobby = Lobby()
    request = make_request("&room=7", [("x-token", "t")])
    client = lobby.client(request)
    socket = client.connect(auth={"token": [1]})
    assert socket.handshake.auth == {"token": [1]}
    assert socket.handshake.query == {"EIO": "4", "transport": "websocket", "room": "7"}
    assert socket.handshake.headers["x-token"] == "t"
    assert socket.handshake.address == "192.0.2.7"


async def test_over_polling() -> None:
    lobby = Lobby()
    poller = Poller(lobby.io)
    socket = await poller.open()
    assert socket.conn.transport.name == "polling"
    socket.on("x", lambda *args: list(args))
    assert await poller.post('420["x",1]', '451-1["x",{"_placeholder":true,"num":0}]', "bAQI=") == 200
    assert await poller.poll() == [
        "430[[1]]",
        '461-1[[{"_placeholder":true,"num":0}]]',
        "bAQI=",
    ]


# --- sending ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "wire"),
    [
        ((), ['42["x"]']),
        ((1, "two", None, True, 4.5), ['42["x",1,"two",null,true,4.5]']),
        (({"a": [{}]}, []), ['42["x",{"a":[{}]},[]]']),
        (("é \u2028 \U0001f600",), ['42["x","é \u2028 \U0001f600"]']),
        ((b"\x01",), ['451-["x",{"_placeholder":true,"num":0}]', b"\x01"]),
        (
            ([{"b": b"\x01"}, bytearray(b"\x02")], memoryview(b"\x03")),
            [
                f'453-["x",[{{"b":{PLACE % 0}}},{PLACE % 1}],{PLACE % 2}]',
                b"\x01",
                b"\x02",
                b"\x03",
            ],
        ),
    ],
)
async def test_emit(args: tuple[Any, ...], wire: list[str | bytes]) -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    socket.emit("x", *args)
    assert client.heard() == wire


async def test_emit_in_a_namespace() -> None:
    lobby = Lobby()
    client, socket = lobby.connected("/chat")
    socket.emit("x", 1)
    socket.send("hello", 2)
    assert client.heard() == ['42/chat,["x",1]', '42/chat,["message","hello",2]']


@pytest.mark.parametrize(
    "event", ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]
)
async def test_reserved_names(event: str) -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    with pytest.raises(ReservedEventError, match=f'"{event}" is a reserved event name'):
        socket.emit(event)
    with pytest.raises(ReservedEventError):
        await socket.emit_with_ack(event)
    assert len(socket.acks) == 0
    assert client.heard() == []


@pytest.mark.parametrize("event", ["connect", "connect_error", "newListener", "removeListener"])
async def test_names_that_nobody_can_listen_to(event: str) -> None:
    lobby = Lobby()
    _, socket = lobby.connected()
    with pytest.raises(ReservedEventError):
        socket.on(event, lambda: None)
    with pytest.raises(ReservedEventError):
        socket.once(event)


@pytest.mark.parametrize("event", [7, None, b"x"])
async def test_a_name_that_is_none(event: Any) -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    with pytest.raises(Exception, match="expected a name"):
        socket.emit(event)
    assert client.heard() == []


async def test_what_cannot_be_sent() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    with pytest.raises(TypeError):
        socket.emit("x", object(), b"binary before it")
    with pytest.raises(TypeError):
        await socket.emit_with_ack("x", object())
    assert len(socket.acks) == 0
    socket.emit("x", 1)
    assert client.heard() == ['42["x",1]'], "nothing of it is left over in the next packet"


async def test_awaiting_an_emit_waits_for_room() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    client.carrier.room.clear()
    waiting = asyncio.ensure_future(wait_for(socket.emit("x")))
    await asyncio.sleep(0)
    assert client.heard() == ['42["x"]']
    assert not waiting.done()
    client.carrier.room.set()
    async with asyncio.timeout(5):
        await waiting


async def wait_for(drained: Any) -> None:
    await drained


async def test_emitting_after_the_end_does_nothing() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    client.connect("/chat")
    socket.disconnect()
    client.heard()
    socket.emit("x")
    socket.send("x")
    socket.volatile.emit("x")
    await socket.emit("x")
    assert client.heard() == []


# --- acknowledgements of the client -------------------------------------------------------------


@pytest.mark.parametrize(
    ("ack", "value"),
    [
        ("430[]", None),
        ('430["ok"]', "ok"),
        ("430[[1]]", [1]),
        ('430[1,"two"]', (1, "two")),
        ("430[null]", None),
    ],
)
async def test_emit_with_ack(ack: str, value: Any) -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    waiting = asyncio.ensure_future(socket.emit_with_ack("x", 1))
    await client.hears('420["x",1]')
    client.say(ack)
    assert await waiting == value
    assert len(socket.acks) == 0


async def test_ids_count_up_in_a_namespace() -> None:
    lobby = Lobby()
    first, one = lobby.connected()
    second, two = lobby.connected()
    waiting = [
        asyncio.ensure_future(one.emit_with_ack("x")),
        asyncio.ensure_future(two.emit_with_ack("x")),
        asyncio.ensure_future(one.emit_with_ack("x")),
    ]
    await first.hears('420["x"]', '422["x"]')
    await second.hears('421["x"]')
    second.say('430["forged"]', '431["second"]')
    first.say('432["third"]', '430["first"]')
    assert await asyncio.gather(*waiting) == ["first", "second", "third"]


async def test_ack_that_is_late() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    waiting = asyncio.ensure_future(socket.emit_with_ack("x", timeout=5))
    await client.hears('420["x"]')
    lobby.clock.advance(4.9)
    await asyncio.sleep(0)
    assert not waiting.done()
    lobby.clock.advance(0.2)
    with pytest.raises(AckTimeout, match="operation has timed out"):
        await waiting
    client.say('430["too late"]')
    assert len(socket.acks) == 0
    assert not client.ended()


async def test_the_client_goes_without_an_answer() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    waiting = asyncio.ensure_future(socket.emit_with_ack("x"))
    await client.hears('420["x"]')
    client.vanish()
    with pytest.raises(SocketDisconnected):
        await waiting
    with pytest.raises(SocketDisconnected):
        await socket.emit_with_ack("x", timeout=5)


async def test_asking_within_a_handler() -> None:
    """The client answers while its own event is still being handled."""
    lobby = Lobby()
    client, socket = lobby.connected()

    @socket.on("x")
    async def handler() -> str:
        answer: str = await socket.emit_with_ack("and you?", timeout=5)
        return f"you: {answer}"

    client.say('427["x"]')
    await client.hears('420["and you?"]')
    client.say('430["fine"]')
    await client.hears('437["you: fine"]')


# --- listening ----------------------------------------------------------------------------------


async def test_off() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    seen: list[str] = []

    def first() -> None:
        seen.append("first")

    def second() -> None:
        seen.append("second")

    for event in ("x", "y"):
        socket.on(event, first)
        socket.on(event, second)
    socket.off("x", first)
    client.say('42["x"]')
    socket.off("x")
    client.say('42["x"]', '42["y"]')
    socket.off()
    client.say('42["y"]')
    assert seen == ["second", "first", "second"]


@pytest.mark.parametrize("event", ["disconnect", "disconnecting", "error"])
async def test_events_of_our_own_cannot_be_forged(event: str) -> None:
    """The first two are reserved and close the connection; `error` is passed over."""
    lobby = Lobby()
    client, socket = lobby.connected()
    seen: list[Any] = []
    socket.on(event, lambda *args: seen.append(args))
    assert client.asks(f'42["{event}","forged"]') == []
    assert ("forged",) not in seen
    assert client.ended() is (event != "error")


# --- rooms --------------------------------------------------------------------------------------


async def test_rooms() -> None:
    lobby = Lobby()
    _, socket = lobby.connected()
    assert socket.rooms == {socket.id}
    socket.join("a")
    socket.join(["b", "c"])
    socket.join("a")
    assert socket.rooms == {socket.id, "a", "b", "c"}
    socket.leave("b")
    socket.leave("never entered")
    assert socket.rooms == {socket.id, "a", "c"}
    socket.rooms.clear()
    assert socket.rooms == {socket.id, "a", "c"}, "a copy, that may be kept"


async def test_rooms_may_be_awaited() -> None:
    lobby = Lobby()
    _, socket = lobby.connected()
    await socket.join("a")
    await socket.leave("a")
    assert socket.rooms == {socket.id}


async def test_no_rooms_after_the_end() -> None:
    lobby = Lobby()
    _, socket = lobby.connected()
    socket.join("a")
    socket.disconnect()
    socket.join("b")
    assert socket.rooms == set()
    assert not lobby.io.sockets.adapter.rooms


# --- the same, compiled and interpreted (engine/build.py) -----------------------------------------


async def test_what_a_plain_listener_returns_of_its_socket_is_awaited() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    socket.on("x", lambda: socket.emit_with_ack("q", timeout=10))
    assert client.asks('421["x"]') == ['420["q"]']
    client.say('430["an answer"]')
    await client.hears('431["an answer"]')


async def test_without_a_connection_it_is_an_error_and_no_crash() -> None:
    _, socket = Lobby().connected()
    socket.conn = None  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        socket.emit("x")


async def test_its_methods_can_be_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    client, socket = Lobby().connected()
    monkeypatch.setattr(type(socket), "send", lambda self, *args: self.emit("instead", *args))
    socket.send(1)
    assert client.heard() == ['42["instead",1]']
