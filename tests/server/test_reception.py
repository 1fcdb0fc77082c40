"""Connection state recovery as clients see it (https://socket.io/docs/v4/connection-state-recovery)."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from socketeer.errors import OptionError
from socketeer.server.memory import MemoryAdapter
from socketeer.server.reception import RecoverableSocket
from socketeer.server.recovery import RecoveringAdapter
from socketeer.server.socket import Socket
from tests.server.returning import Returner, adapter_of, lobby_with, returner
from tests.support.inprocess import FakeCarrier, Lobby, make_request

# --- the option ---


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


# --- coming back ---


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


# --- what is stored ---


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


async def test_clients_of_version_2_get_neither_private_id_nor_offsets() -> None:
    lobby = Lobby(connection_state_recovery=True, allow_eio3=True)
    old = FakeCarrier()
    lobby.io.engine.open_websocket(make_request(query_string="EIO=3&transport=websocket"), None, old)
    assert old.sent[1:] == ["40"]
    client, _ = lobby.connected()
    lobby.io.emit("x")
    for socket in lobby.io.sockets.sockets.values():
        socket.emit("y")
    assert old.sent[2:] == ['42["x"]', '42["y"]']
    assert [len(json.loads(str(packet)[2:])) for packet in client.heard()] == [2, 2]


async def test_outgoing_catch_alls_hear_of_each_event_once() -> None:
    lobby = lobby_with()
    user = returner(lobby)
    other = returner(lobby)
    heard: list[Any] = []
    user.socket.on_any_outgoing(lambda *args: heard.append(args))
    user.socket.emit("direct", 1)
    user.socket.compress(False).emit("flagged")
    user.socket.volatile.emit("volatile", 2)
    lobby.io.emit("to all")
    other.socket.emit("to another")
    user.handle()
    assert heard == [("direct", 1), ("flagged",), ("volatile", 2), ("to all",)]
    assert user.names() == ["direct", "flagged", "volatile", "to all"]
    user.socket.off_any_outgoing()
    user.lose()
    lobby.io.emit("missed")
    user.connect()
    assert (user.recovered, user.names(), len(heard)) == (True, ["missed"], 4)


async def test_a_catch_all_that_emits_keeps_the_order_of_the_offsets() -> None:
    lobby = lobby_with()
    user = returner(lobby)

    @user.socket.on_any_outgoing
    def also(name: str) -> None:
        if name == "outer":
            user.socket.emit("inner")

    user.socket.emit("outer")
    lobby.io.emit("outer")
    user.handle()
    assert user.names() == ["inner", "outer", "inner", "outer"]
    assert user.offset == adapter_of(lobby).log.offset(4)
