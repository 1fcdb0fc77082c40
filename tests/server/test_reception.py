"""Connection state recovery as clients see it (https://socket.io/docs/v4/connection-state-recovery)."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable
from typing import Any

import pytest

from socketeer.errors import ConnectionRefused, OptionError
from socketeer.options import Recovery
from socketeer.protocol.ids import generate_id
from socketeer.server.adapter import AdapterHost, Capabilities, RestoredSession
from socketeer.server.memory import MemoryAdapter
from socketeer.server.reception import RecoverableSocket
from socketeer.server.recovery import RecoveringAdapter
from socketeer.server.socket import Socket
from tests.server.returning import Returner
from tests.support.inprocess import Lobby, soon


def lobby_with(**recovery: Any) -> Lobby:
    return Lobby(connection_state_recovery=Recovery(**recovery))


def returner(lobby: Lobby, namespace: str = "/") -> Returner:
    """A client that has got one event, so that it can come back."""
    user = Returner(lobby, namespace)
    user.connect()
    user.socket.emit("first")
    user.handle()
    assert user.names() == ["first"]
    return user


def adapter_of(lobby: Lobby, namespace: str = "/") -> RecoveringAdapter:
    adapter = lobby.io.of(namespace).adapter
    assert isinstance(adapter, RecoveringAdapter)
    return adapter


# --- the option ----------------------------------------------------------------------------------


async def test_off_by_default() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    assert client.welcome == {"sid": socket.id}
    assert type(socket) is Socket
    socket.emit("x")
    lobby.io.emit("y")
    assert client.heard() == ['42["x"]', '42["y"]']
    assert type(lobby.io.adapter) is MemoryAdapter


async def test_a_recovering_adapter_without_the_option_adds_nothing() -> None:
    lobby = Lobby(adapter=RecoveringAdapter)
    client, socket = lobby.connected()
    lobby.io.emit("y")
    assert (client.welcome, client.heard()) == ({"sid": socket.id}, ['42["y"]'])


class Forgetful(MemoryAdapter):
    """An adapter that keeps nothing."""


def test_an_adapter_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(OptionError, match=r"connection_state_recovery: expected an adapter .*Forgetful"):
        Lobby(adapter=Forgetful, connection_state_recovery=True)


def test_a_value_that_is_no_option() -> None:
    with pytest.raises(OptionError, match=re.escape("connection_state_recovery: expected Recovery(...)")):
        Lobby(connection_state_recovery="yes")


# --- coming back ---------------------------------------------------------------------------------


async def test_the_connect_packet() -> None:
    lobby = lobby_with()
    client, socket = lobby.connected()
    assert isinstance(socket, RecoverableSocket)
    assert client.welcome == {"sid": socket.id, "pid": socket.pid}
    assert len(socket.pid) == 20
    assert socket.pid != socket.id
    assert socket.pid not in repr(socket)


async def test_id_rooms_data_and_events() -> None:
    lobby = lobby_with()
    user = returner(lobby)
    first = user.socket
    first.join(["a", "b"])
    first.data["name"] = "Ada"
    first.leave("b")
    user.lose()
    lobby.io.emit("to all")
    lobby.io.to("a").emit("to a")
    lobby.io.to("b").emit("to b, which it left")
    lobby.io.except_("a").emit("not to a")
    lobby.io.to(["b", first.id]).emit("to itself")
    known: list[Any] = []
    lobby.io.on(
        "connection", lambda socket: known.append((socket.recovered, socket.id, socket.rooms, socket.data))
    )
    again = user.connect()
    assert user.recovered
    assert again is not first
    assert again.id == first.id
    assert known == [(True, first.id, {first.id, "a"}, {"name": "Ada"})]
    assert user.names() == ["to all", "to a", "to itself"]
    lobby.io.to("a").emit("live")
    user.handle()
    assert user.names() == ["live"]


async def test_the_wire() -> None:
    """Missed events come before the CONNECT packet, each with its offset, and nothing else does."""
    lobby = lobby_with()
    user = returner(lobby)
    user.lose()
    lobby.io.emit("missed", 1)
    lobby.io.emit("binary", b"\x01")
    client = lobby.client()
    heard = client.asks(f'40{{"pid":"{user.pid}","offset":"{user.offset}","token":"t"}}')
    offsets = [adapter_of(lobby).log.offset(number) for number in (1, 2)]
    assert heard == [
        f'42["missed",1,"{offsets[0]}"]',
        f'451-["binary",{{"_placeholder":true,"num":0}},"{offsets[1]}"]',
        b"\x01",
        f'40{{"sid":"{user.socket.id}","pid":"{user.pid}"}}',
    ]
    handshake = lobby.io.sockets.sockets[user.socket.id].handshake
    assert handshake.auth["token"] == "t"


async def test_again_and_again() -> None:
    lobby = lobby_with()
    user = returner(lobby)
    for number in range(5):
        user.lose()
        lobby.io.emit(f"missed {number}")
        user.connect()
        assert (user.recovered, user.names()) == (True, [f"missed {number}"])


async def test_what_is_lost_on_the_way_back_is_sent_again() -> None:
    lobby = lobby_with()
    user = returner(lobby)
    user.lose()
    lobby.io.emit("missed")
    offset = user.offset
    for _ in range(3):
        user.connect()
        assert user.names() == ["missed"]
        user.offset = offset  # it has handled nothing
        user.lose()


async def test_what_was_on_its_way_when_the_connection_broke() -> None:
    lobby = lobby_with()
    user = returner(lobby)
    for number in range(3):
        lobby.io.emit(f"on its way {number}")
    user.lose()
    lobby.io.emit("later")
    user.connect()
    assert user.names() == ["on its way 0", "on its way 1", "on its way 2", "later"]


@pytest.mark.parametrize("reason", ["transport error", "transport close", "ping timeout", "forced close"])
async def test_reasons_that_are_recoverable(reason: str) -> None:
    lobby = lobby_with()
    user = returner(lobby)
    told: list[Any] = []
    user.socket.on("disconnecting", lambda why: told.append(("disconnecting", why, user.socket.rooms)))
    user.socket.on("disconnect", lambda why: told.append(("disconnect", why, user.socket.rooms)))
    user.lose(reason)
    assert told == [("disconnecting", reason, {user.socket.id}), ("disconnect", reason, set())]
    user.connect()
    assert user.recovered


async def test_who_leaves_or_is_sent_away_does_not_come_back() -> None:
    ends: tuple[Callable[[Returner], Any], ...] = (
        lambda user: user.client.say("41"),
        lambda user: user.socket.disconnect(),
        lambda user: user.socket.disconnect(close=True),
        lambda user: user.lobby.io.disconnect_sockets(),
    )
    for end in ends:
        lobby = lobby_with()
        user = returner(lobby)
        user.lose()
        user.connect()  # a session that has been recovered once is not kept either
        assert user.recovered
        end(user)
        assert adapter_of(lobby).sessions == {}
        user.client.heard()
        user.connect()
        assert (user.recovered, user.socket.recovered) == (False, False)


async def test_leaving_and_joining_over_one_connection() -> None:
    lobby = lobby_with()
    user = returner(lobby)
    user.client.say("41")
    await asyncio.sleep(0)
    again = user.client.connect("/", {"pid": user.pid, "offset": user.offset})
    assert not again.recovered
    assert user.client.welcome["pid"] != user.pid


async def test_each_namespace_has_its_own() -> None:
    lobby = lobby_with()
    client = lobby.client()
    sockets = {name: client.connect(name) for name in ("/", "/a")}
    pids, offsets = {}, {}
    for name, socket in sockets.items():
        socket.emit("x")
        pids[name] = socket.pid  # type: ignore[attr-defined]
        offsets[name] = json.loads(str(client.heard()[0]).partition("[")[2].join("[]")[:-1])[-1]
    assert pids["/"] != pids["/a"]
    client.vanish()
    lobby.io.of("/a").emit("missed")
    again = lobby.client()
    assert not again.connect("/a", {"pid": pids["/"], "offset": offsets["/"]}).recovered
    third = lobby.client()
    assert third.connect("/a", {"pid": pids["/a"], "offset": offsets["/a"]}).id == sockets["/a"].id
    assert third.connect("/", {"pid": pids["/"], "offset": offsets["/"]}).id == sockets["/"].id
    assert [str(packet)[:15] for packet in third.heard()] == ['42/a,["missed",']


# --- what is stored -------------------------------------------------------------------------------


async def test_offsets_go_with_what_is_kept_only() -> None:
    lobby = lobby_with()
    client, socket = lobby.connected()
    socket.emit("kept")
    socket.compress(False).emit("kept")
    socket.volatile.emit("volatile")
    lobby.io.volatile.emit("volatile")
    asking = [
        asyncio.create_task(socket.emit_with_ack("ack")),
        asyncio.create_task(lobby.io.emit_with_ack("ack")),
    ]
    lobby.io.emit("kept")
    lobby.io.local.emit("kept")
    await asyncio.sleep(0)
    heard = [packet[packet.index("[") :] for packet in map(str, client.heard())]
    lengths = {(json.loads(each)[0], len(json.loads(each))) for each in heard}
    assert lengths == {("kept", 2), ("volatile", 1), ("ack", 1)}
    assert len(heard) == 8
    client.vanish()
    with pytest.raises(ConnectionError):
        await asking[0]
    assert await asking[1] == []
    assert len(adapter_of(lobby).log) == 4


async def test_volatile_and_acknowledged_events_are_not_sent_again() -> None:
    lobby = lobby_with()
    user = returner(lobby)
    user.lose()
    lobby.io.volatile.emit("volatile")
    asking = asyncio.create_task(lobby.io.emit_with_ack("ack"))
    lobby.io.emit("kept")
    await asking
    user.connect()
    assert user.names() == ["kept"]


async def test_what_changes_later_does_not_change_what_was_sent() -> None:
    lobby = lobby_with()
    user = returner(lobby)
    user.lose()
    payload = {"n": 1}
    lobby.io.emit("x", payload)
    payload["n"] = 2
    user.connect()
    assert user.events == [["x", {"n": 1}]]


async def test_what_cannot_be_sent_raises_and_is_not_kept() -> None:
    lobby = lobby_with()
    _, socket = lobby.connected()
    with pytest.raises(TypeError):
        socket.emit("x", object())
    assert len(adapter_of(lobby).log) == 0


async def test_disconnected_sockets_send_nothing() -> None:
    lobby = lobby_with()
    client, socket = lobby.connected()
    client.vanish()
    socket.emit("x")
    assert len(adapter_of(lobby).log) == 0


async def test_clients_of_version_2_get_neither_private_id_nor_offsets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lobby = lobby_with()
    other, _ = lobby.connected()
    monkeypatch.setattr(type(other.session), "protocol", property(lambda session: 3))
    old, _ = lobby.client(), None
    old.say("40")
    assert "pid" not in str(old.heard())
    monkeypatch.undo()
    lobby.io.emit("x")
    assert old.heard() == ['42["x"]']
    assert len(json.loads(str(other.heard()[0])[2:])) == 2


# --- middlewares ----------------------------------------------------------------------------------


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


# --- never two --------------------------------------------------------------------------------------


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


# --- not recovered ----------------------------------------------------------------------------------


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
