"""Clients of Socket.IO 2: joined to the main namespace unasked, addressed with queries, refused in few words."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from socketeer.engine.http.message import MAX_QUERY_FIELDS
from socketeer.errors import ConnectionRefused
from socketeer.server.socket import Socket
from socketeer.server.v2_clients import parse_address, refusal
from tests.support.inprocess import FakeCarrier, Lobby, Packet, make_request


class Old:
    """A client of Socket.IO 2 on WebSocket."""

    def __init__(self, lobby: Lobby, query: str = "") -> None:
        self.carrier = FakeCarrier()
        request = make_request(query_string=f"EIO=3&transport=websocket{query}")
        lobby.io.engine.open_websocket(request, None, self.carrier)
        opened = str(self.carrier.sent.pop(0))
        self.sid: str = json.loads(opened[1:])["sid"]

    def heard(self) -> list[Packet]:
        """What has come since."""
        heard, self.carrier.sent = self.carrier.sent, []
        return heard

    def says(self, *packets: str) -> list[Packet]:
        """Send these packets; what the server answers at once."""
        for packet in packets:
            self.carrier.receiver.receive_text(packet.encode())
        return self.heard()


@pytest.fixture
async def lobby() -> Lobby:
    return Lobby(allow_eio3=True)


# --- the main namespace ----------------------------------------------------------------------------


async def test_joined_unasked(lobby: Lobby) -> None:
    sockets: list[Socket] = []

    @lobby.io.on("connection")
    def connection(socket: Socket) -> None:
        sockets.append(socket)
        socket.emit("welcome")

    old = Old(lobby)
    assert old.heard() == ["40", '42["welcome"]']
    (socket,) = sockets
    assert (socket.id, socket.rooms, socket.connected) == (old.sid, {old.sid}, True)
    assert (socket.handshake.auth, socket.handshake.query["EIO"]) == ({}, "3")
    lobby.clock.advance(lobby.io.options.connect_timeout - 1)
    old.says("2")
    lobby.clock.advance(10)
    assert not old.carrier.closed, "it has joined in time"


async def test_clients_of_socket_io_4_are_as_ever(lobby: Lobby) -> None:
    client = lobby.client()
    assert client.heard() == []
    socket = client.connect("/")
    assert socket.id != client.session.id
    client.say("40/chat?token=1,")
    assert client.heard() == ['44/chat?token=1,{"message":"Invalid namespace"}'], (
        "a query is part of the name"
    )


async def test_joined_once(lobby: Lobby) -> None:
    old = Old(lobby)
    old.heard()
    assert old.says("40") == []
    assert old.carrier.closed


async def test_events_and_acknowledgements(lobby: Lobby) -> None:
    @lobby.io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.on("double")
        def double(number: int) -> int:
            return number * 2

    old = Old(lobby)
    old.heard()
    assert old.says('427["double",21]') == ["437[42]"]
    lobby.io.emit("all", b"\x01")
    assert old.heard() == ['451-["all",{"_placeholder":true,"num":0}]', b"\x04\x01"]


async def test_leaving_within_the_connection_handler(lobby: Lobby) -> None:
    """The session is told of its end, although it has only just begun."""
    reasons: list[str] = []

    @lobby.io.on("connection")
    def connection(socket: Socket) -> None:
        socket.on("disconnect", reasons.append)
        socket.disconnect(close=True)

    old = Old(lobby)
    assert old.heard() == ["40", "41"]
    assert old.carrier.closed
    assert reasons == ["server namespace disconnect"]
    assert not lobby.io.engine.sessions


# --- other namespaces ------------------------------------------------------------------------------


async def test_a_query_is_auth(lobby: Lobby) -> None:
    sockets: list[Socket] = []
    lobby.io.of("/chat").on("connection", sockets.append)
    old = Old(lobby)
    old.heard()
    assert old.says("40/chat?token=a+b%26&empty=&token=last,") == ["40/chat,"]
    (socket,) = sockets
    assert socket.id == f"/chat#{old.sid}"
    assert socket.handshake.auth == {"token": "last", "empty": ""}
    assert old.says("41/chat,", "40/chat") == ["40/chat,"], "it can be joined again"
    assert [each.handshake.auth for each in sockets[1:]] == [{}]


@pytest.mark.parametrize("again", ["40/chat", "40/chat,", "40/chat?", "40/chat?token=2,"])
async def test_a_namespace_is_joined_once_whatever_the_query(lobby: Lobby, again: str) -> None:
    lobby.io.of("/chat")
    old = Old(lobby)
    old.says("40/chat?token=1,")
    assert old.says(again) == []
    assert old.carrier.closed


async def test_not_while_middlewares_are_asked(lobby: Lobby) -> None:
    async def slow(_: Any) -> None:
        await asyncio.Event().wait()

    lobby.io.of("/slow").use(slow)
    old = Old(lobby)
    old.says("40/slow?a=1,", "40/slow?a=2,")
    assert old.carrier.closed


async def test_an_unknown_namespace(lobby: Lobby) -> None:
    old = Old(lobby)
    old.heard()
    assert old.says("40/lost?token=1,") == ['44/lost,{"message":"Invalid namespace"}']
    assert not old.carrier.closed


async def test_a_function_that_makes_namespaces_gets_the_query(lobby: Lobby) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    def tenant(name: str, auth: dict[str, Any]) -> bool:
        asked.append((name, auth))
        return auth.get("member") == "yes"

    lobby.io.of(tenant)
    old = Old(lobby)
    old.heard()
    assert old.says("40/one?member=yes,", "40/two?member=no,") == [
        "40/one,",
        '44/two,{"message":"Invalid namespace"}',
    ]
    assert asked == [("/one", {"member": "yes"}), ("/two", {"member": "no"})]


async def test_a_query_of_too_many_fields(lobby: Lobby, caplog: pytest.LogCaptureFixture) -> None:
    lobby.io.of("/chat")
    old = Old(lobby)
    old.heard()
    with caplog.at_level(logging.WARNING):
        assert old.says("40/chat?" + "a=1&" * (MAX_QUERY_FIELDS + 1)) == []
    assert old.carrier.closed
    assert len(caplog.records) == 1


def test_addresses() -> None:
    assert parse_address("/chat?") == ("/chat", {})
    assert parse_address("/chat?a=1&b=%C5%BE&a=2") == ("/chat", {"a": "2", "b": "ž"})
    assert parse_address("/chat?a=b?c&__proto__=x&%FF=%FF") == (
        "/chat",
        {"a": "b?c", "__proto__": "x", "\ufffd": "\ufffd"},
    )
    assert parse_address("/?a") == ("/", {"a": ""})


# --- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (ConnectionRefused("not authorized"), '44"not authorized"'),
        (ConnectionRefused("wrong", data={"code": 1}), '44{"code":1}'),
        (ConnectionRefused("wrong", data="text"), '44"text"'),
        (ConnectionRefused("wrong", data=0), '44"wrong"'),  # as JavaScript's ||
    ],
)
async def test_refusals_are_bare(lobby: Lobby, error: ConnectionRefused, answer: str) -> None:
    @lobby.io.use
    def refuse(_: Socket) -> None:
        raise error

    old = Old(lobby)
    assert old.heard() == [answer]
    assert not old.carrier.closed


async def test_who_is_refused_has_a_while_to_join_elsewhere() -> None:
    lobby = Lobby(allow_eio3=True, connect_timeout=1)

    @lobby.io.use
    def refuse(_: Socket) -> None:
        raise ConnectionRefused("no")

    old = Old(lobby)
    lobby.clock.advance(0.9)
    assert not old.carrier.closed
    lobby.clock.advance(0.2)
    assert old.carrier.closed


def test_the_data_stands_for_the_message_unless_javascript_takes_it_for_nothing() -> None:
    for nothing in (None, False, 0, 0.0, ""):
        assert refusal({"message": "no", "data": nothing}) == "no"
    things: list[Any] = [True, 1, "x", [], {}, [0]]
    for something in things:
        assert refusal({"message": "no", "data": something}) == something


# --- the option ------------------------------------------------------------------------------------


async def test_off_by_default() -> None:
    lobby = Lobby()
    assert lobby.io.engine.options.allow_eio3 is False
