"""When a client is not recovered; that there are never two of it; recovery with other features."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from typing import Any

import pytest

from socketeer.protocol.ids import generate_id
from socketeer.protocol.msgpack import MsgpackParser
from socketeer.protocol.packet import Packet
from socketeer.server.adapter import AdapterHost, Capabilities, RestoredSession
from socketeer.server.memory import MemoryAdapter
from socketeer.server.recovery import RecoveringAdapter
from socketeer.server.socket import Socket
from tests.server.returning import Returner, adapter_of, lobby_with, returner
from tests.support.inprocess import Lobby, soon

# --- never two ---


async def test_the_old_connection_seems_to_be_there_still() -> None:
    """The network broke and the client is back before the server noticed."""
    lobby = lobby_with()
    user = returner(lobby)
    first, old = user.socket, user.client
    first.join("a")
    other = old.connect("/other")
    story: list[Any] = []
    first.on("disconnect", story.append)
    lobby.io.on("connection", lambda socket: story.append("connection"))
    lobby.io.to("a").emit("lost on the way")
    user.connect()
    assert story == ["forced close", "connection"]
    assert (user.recovered, user.names()) == (True, ["lost on the way"])
    assert (first.connected, other.connected, old.ended()) == (False, False, True)
    assert lobby.io.sockets.sockets == {first.id: user.socket}
    assert user.socket.rooms == {first.id, "a"}
    lobby.io.to("a").emit("live")
    user.handle()
    assert user.names() == ["live"]


async def test_two_come_back_at_once() -> None:
    """The second finds the first in the middlewares."""
    lobby = lobby_with(skip_middlewares=False)
    inside, door = asyncio.Event(), asyncio.Event()

    @lobby.io.use
    async def slow(socket: Socket) -> None:
        if socket.recovered and not inside.is_set():
            inside.set()
            await door.wait()

    user = returner(lobby)
    user.socket.join("a")
    user.lose()
    first = lobby.client()
    first.say(f'40{{"pid":"{user.pid}","offset":"{user.offset}"}}')
    await soon(inside)
    user.connect()
    door.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert user.recovered
    assert first.ended()
    assert lobby.io.sockets.sockets == {user.socket.id: user.socket}
    assert user.socket.rooms == {user.socket.id, "a"}, "the end of the first takes nothing from the second"


async def test_two_ask_an_adapter_that_takes_its_time() -> None:
    class Slow(RecoveringAdapter):
        async def restore_session(self, pid: str, offset: str) -> RestoredSession | None:
            restored = await super().restore_session(pid, offset)
            await asyncio.sleep(0)
            return restored

    lobby = Lobby(adapter=Slow, connection_state_recovery=True)
    user = returner(lobby)
    user.lose()
    lobby.io.emit("missed")
    clients = [lobby.client(), lobby.client(), lobby.client()]
    clients[2].say(f'40{{"pid":"{user.pid}","offset":"{user.offset}"}}')
    clients[2].vanish()
    for client in clients[:2]:
        client.say(f'40{{"pid":"{user.pid}","offset":"{user.offset}"}}')
    for _ in range(5):
        await asyncio.sleep(0)
    assert [len(client.heard()) for client in clients] == [2, 1, 0]
    assert len(lobby.io.sockets.sockets) == 2
    assert len({socket.id for socket in lobby.io.sockets.sockets.values()}) == 2


# --- not recovered ---


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"pid": None},
        {"offset": "PID"},
        {"pid": "PID"},
        {"pid": "PID", "offset": None},
        {"pid": "PID", "offset": 5},
        {"pid": ["PID"], "offset": "OFFSET"},
        {"pid": {"PID": 1}, "offset": "OFFSET"},
        {"pid": True, "offset": "OFFSET"},
        {"pid": "PID", "offset": ["OFFSET"]},
        {"pid": "PID", "offset": ""},
        {"pid": "", "offset": "OFFSET"},
        {"pid": "PIDx", "offset": "OFFSET"},
        {"pid": "__proto__", "offset": "OFFSET"},
        {"pid": "SID", "offset": "OFFSET"},
        {"pid": "x" * 100_000, "offset": "OFFSET"},
        {"pid": "PID", "offset": "x" * 100_000},
        {"pid": "PID", "offset": "9" * 100_000},
        {"pid": "PID", "offset": "OFFSET0"},
        {"pid": "PID", "offset": "\u0661\u0662"},
        {"pid": "PID", "offset": "TAG" + "9" * 5_000},
        {"pid": "PID", "offset": "TAG99999999999999999999"},
        {"pid": "PID", "offset": "TAG-1"},
        {"pid": "PID", "offset": "TAG00"},
        {"pid": "PID", "offset": "TAG+0"},
        {"pid": "PID", "offset": "TAG\u0660"},
        {"pid": "PID", "offset": "TAG1"},
        {"pid": "PID", "offset": "TAG"},
    ],
)
async def test_anything_else_is_a_new_session(payload: dict[str, Any]) -> None:
    lobby = lobby_with()
    user = returner(lobby)
    user.lose()
    words = {"PID": user.pid, "SID": user.socket.id, "OFFSET": user.offset, "TAG": str(user.offset)[:4]}
    text = json.dumps(payload)
    for word, value in words.items():
        text = text.replace(word, str(value))
    client = lobby.client()
    socket = client.connect("/", json.loads(text))
    assert not socket.recovered
    assert socket.id != user.socket.id
    assert client.welcome["pid"] != user.pid
    assert client.heard() == []
    user.connect()
    assert user.recovered, "whoever guesses takes nothing away"


async def test_guesses_take_nothing_from_a_live_connection_either() -> None:
    lobby = lobby_with()
    user = returner(lobby)
    for _ in range(1_000):
        lobby.client().connect("/", {"pid": generate_id(), "offset": user.offset})
    assert user.socket.connected
    assert len(adapter_of(lobby).sessions) == 0


async def test_before_the_first_event_there_is_no_offset() -> None:
    lobby = lobby_with()
    user = Returner(lobby)
    user.connect()
    user.lose()
    user.connect()
    assert not user.recovered


async def test_too_late() -> None:
    lobby = lobby_with(max_disconnection_duration=10)
    user = returner(lobby)
    user.lose()
    lobby.clock.advance(9.9)
    user.connect()
    assert user.recovered
    user.lose()
    lobby.clock.advance(10.1)
    user.connect()
    assert not user.recovered


async def test_a_client_that_heard_nothing_for_long() -> None:
    """Its last event is forgotten, but it missed nothing since: it is recovered all the same."""
    lobby = lobby_with(max_disconnection_duration=10)
    user, other = returner(lobby), returner(lobby)
    for _ in range(50):
        lobby.clock.advance(1)
        other.socket.emit("to another")
    assert adapter_of(lobby).log.first > 1
    user.lose()
    lobby.io.emit("missed")
    user.connect()
    assert (user.recovered, user.names()) == (True, ["missed"])


async def test_what_is_needed_has_been_pushed_out() -> None:
    lobby = lobby_with(max_packets=5)
    user = returner(lobby)
    user.lose()
    for number in range(5):
        lobby.io.emit(f"missed {number}")
    user.connect()
    assert (user.recovered, len(user.names())) == (True, 5)
    user.lose()
    for _ in range(6):
        lobby.io.emit("missed")
    user.connect()
    assert (user.recovered, user.names()) == (False, [])


async def test_what_is_needed_is_pushed_out_during_the_middlewares() -> None:
    """The connection ends, since the client has been told nothing yet, and the next attempt starts afresh."""
    lobby = lobby_with(max_packets=5, skip_middlewares=False)
    inside, door = asyncio.Event(), asyncio.Event()

    @lobby.io.use
    async def slow(socket: Socket) -> None:
        if socket.recovered:
            inside.set()
            await door.wait()

    welcomed: list[Socket] = []
    user = returner(lobby)
    user.lose()
    lobby.io.on("connection", welcomed.append)
    client = lobby.client()
    client.say(f'40{{"pid":"{user.pid}","offset":"{user.offset}"}}')
    await soon(inside)
    for _ in range(6):
        lobby.io.emit("missed")
    door.set()
    await soon(client.carrier.news)
    assert client.ended()
    assert (client.heard(), welcomed, lobby.io.sockets.sockets) == ([], [], {})
    assert lobby.io.adapter.rooms == {}
    user.connect()
    assert not user.recovered


async def test_more_was_missed_than_a_client_can_take() -> None:
    lobby = lobby_with()
    user = returner(lobby)
    user.lose()
    lobby.io.emit("missed", "x" * 1_000)
    welcomed: list[Socket] = []
    lobby.io.on("connection", welcomed.append)
    client = lobby.client()
    client.carrier.max_bytes = 500
    client.say(f'40{{"pid":"{user.pid}","offset":"{user.offset}"}}')
    assert client.ended()
    assert (welcomed, lobby.io.sockets.sockets, lobby.io.adapter.rooms) == ([], {}, {})
    user.connect()
    assert not user.recovered, "or it would fail for ever"


async def test_an_adapter_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(MemoryAdapter):
        capabilities = Capabilities(recovery=True)

        async def restore_session(self, pid: str, offset: str) -> RestoredSession | None:
            raise OSError("the broker is gone")

    lobby = Lobby(adapter=Broken, connection_state_recovery=True)
    client = lobby.client()
    with caplog.at_level(logging.ERROR, "socketeer"):
        assert not client.connect("/", {"pid": "a", "offset": "b"}).recovered
    assert "the broker is gone" in caplog.text


async def test_an_adapter_that_gives_a_session_twice() -> None:
    """The id of a socket that is there is not given to another."""
    kept: list[RestoredSession] = []

    class Generous(RecoveringAdapter):
        def __init__(self, nsp: AdapterHost) -> None:
            super().__init__(nsp)

        async def restore_session(self, pid: str, offset: str) -> RestoredSession | None:
            restored = await super().restore_session(pid, offset)
            if restored is not None:
                kept.append(restored)
            return restored or (kept[0] if kept else None)

    lobby = Lobby(adapter=Generous, connection_state_recovery=True)
    user = returner(lobby)
    user.lose()
    user.connect()
    thief = lobby.client().connect("/", {"pid": "another", "offset": "b"})
    assert not thief.recovered
    assert thief.id != user.socket.id


async def test_a_client_that_joins_twice_while_it_is_looked_for() -> None:
    class Slow(RecoveringAdapter):
        async def restore_session(self, pid: str, offset: str) -> RestoredSession | None:
            await asyncio.sleep(0)
            return None

    lobby = Lobby(adapter=Slow, connection_state_recovery=True)
    client = lobby.client()
    client.say('40{"pid":"a","offset":"b"}', '40{"pid":"a","offset":"b"}')
    assert client.ended()
    await asyncio.sleep(0)
    assert lobby.io.sockets.sockets == {}


async def test_the_servers_end() -> None:
    lobby = lobby_with()
    user = returner(lobby)
    await lobby.io.close()
    adapter = adapter_of(lobby)
    assert (len(adapter.log), adapter.sessions) == (0, {})
    lobby.clock.advance(1_000)
    assert lobby.clock.pending == []
    assert not user.socket.connected


# --- with other features ---


async def test_with_another_parser() -> None:
    """What is kept is what was encoded, whatever encoded it."""
    lobby = Lobby(connection_state_recovery=True, parser="msgpack")
    parser = MsgpackParser()

    def connect(auth: dict[str, Any]) -> tuple[Any, list[Packet]]:
        client = lobby.client()
        (said,) = parser.encode_control(0, parser.namespace_prefix("/"), auth).attachments
        return client, [
            parser.decode_binary(each) for each in client.asks(bytes(said)) if isinstance(each, bytes)
        ]

    client, (welcome,) = connect({})
    lobby.io.emit("first")
    (first,) = (parser.decode_binary(each) for each in client.heard())
    client.vanish()
    lobby.io.emit("missed", b"\x01")
    client, (missed, again) = connect({"pid": welcome.data["pid"], "offset": first.data[-1]})
    assert missed.data[:2] == ["missed", b"\x01"]
    assert again.data == welcome.data


async def test_a_dynamic_namespace_stays_while_a_session_is_looked_for() -> None:
    class Slow(RecoveringAdapter):
        async def restore_session(self, pid: str, offset: str) -> RestoredSession | None:
            await asyncio.sleep(0)
            return await super().restore_session(pid, offset)

    lobby = Lobby(adapter=Slow, connection_state_recovery=True, cleanup_empty_child_namespaces=True)
    lobby.io.of(re.compile("^/dynamic-"))
    stays, goes = returner(lobby, "/dynamic-1"), returner(lobby, "/dynamic-1")
    goes.lose()
    child = lobby.io.of("/dynamic-1")
    client = lobby.client()
    client.say(f'40/dynamic-1,{{"pid":"{goes.pid}","offset":"{goes.offset}"}}')
    stays.client.say("41/dynamic-1,")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert client.heard() == [f'40/dynamic-1,{{"sid":"{goes.socket.id}","pid":"{goes.pid}"}}']
    assert lobby.io.of("/dynamic-1") is child
    client.say("41/dynamic-1,")
    assert lobby.io.of("/dynamic-1") is not child
