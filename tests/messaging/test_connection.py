"""Many namespaces over one session: what goes where, and what ends the connection."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from socketeer.errors import PacketError
from socketeer.options import Limits
from socketeer.protocol.msgpack import MsgpackParser
from socketeer.protocol.packet import CONNECT, EVENT
from socketeer.protocol.packet import Packet as SentPacket
from socketeer.server.socket import Socket
from tests.support.inprocess import Client, Lobby, Packet

Told = list[tuple[Any, ...]]


def listen(socket: Socket) -> Told:
    """What a socket is told, in order."""
    told: Told = []
    socket.on("x", lambda *args: told.append(("x", *args)))
    for event in ("disconnecting", "disconnect", "error"):
        socket.on(event, lambda *args, name=event: told.append((name, *args)))
    return told


def ends(told: Told) -> list[Any]:
    """Why the socket was told that it has ended."""
    return [args[1] for args in told if args[0] == "disconnect"]


async def two_namespaces() -> tuple[Client, Told, Told]:
    lobby = Lobby()
    lobby.io.of("/chat")
    client = lobby.client()
    return client, listen(client.connect()), listen(client.connect("/chat"))


# --- what goes where ----------------------------------------------------------------------------


async def test_each_namespace_gets_its_own() -> None:
    client, main, chat = await two_namespaces()
    client.say('42["x",1]', '42/chat,["x",2]', '42["x",3]')
    assert (main, chat) == ([("x", 1), ("x", 3)], [("x", 2)])


async def test_leaving_one_namespace_leaves_the_other_alone() -> None:
    client, main, chat = await two_namespaces()
    client.say("41/chat,", '42["x",1]')
    assert ends(chat) == ["client namespace disconnect"]
    assert main == [("x", 1)]
    assert not client.ended()


async def test_the_end_of_the_connection_reaches_every_namespace_once() -> None:
    client, main, chat = await two_namespaces()
    client.vanish("transport close", "connection lost")
    for told in (main, chat):
        assert told == [
            ("disconnecting", "transport close", "connection lost"),
            ("disconnect", "transport close", "connection lost"),
        ]
    assert client.io.engine.clients_count == 0


async def test_a_handler_that_closes_the_connection_is_the_last_to_run() -> None:
    client, main, chat = await two_namespaces()
    socket = next(iter(client.io.sockets.sockets.values()))
    socket.on("bye", lambda: socket.disconnect(close=True))
    client.say('42["bye"]', '42["x",1]', '42/chat,["x",1]')
    assert (ends(main), ends(chat)) == (["server namespace disconnect"],) * 2
    assert ("x", 1) not in main + chat


# --- attachments --------------------------------------------------------------------------------

HALF = '451-["x",{"_placeholder":true,"num":0}]'
"""A binary event whose attachment has yet to come."""


async def test_attachments_are_put_in_their_places() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    told = listen(socket)
    one, zero = '{"_placeholder":true,"num":1}', '{"_placeholder":true,"num":0}'
    client.say(f'452-["x",{{"a":[{one},{{"b":{zero}}}],"c":{zero}}},7]', b"first", b"second")
    assert told == [("x", {"a": [b"second", {"b": b"first"}], "c": b"first"}, 7)]


async def test_nothing_happens_before_the_last_attachment() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    told = listen(socket)
    client.say('452-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', b"1")
    assert told == []
    client.say(b"2")
    assert told == [("x", b"1", b"2")]


async def test_attachments_as_text() -> None:
    """A client without binary frames sends base64."""
    lobby = Lobby()
    client, socket = lobby.connected()
    told = listen(socket)
    client.say(HALF, "bAP8=")
    assert told == [("x", b"\x00\xff")]


async def test_attachments_of_an_acknowledgement() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    waiting = asyncio.ensure_future(socket.emit_with_ack("x"))
    await client.hears('420["x"]')
    client.say('461-0[{"_placeholder":true,"num":0}]', b"\x01")
    assert await waiting == b"\x01"


async def test_heartbeat_between_packet_and_attachment() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    told = listen(socket)
    lobby.clock.advance(25.5)
    assert client.heard() == ["2"]
    client.say(HALF, "3", b"1")
    assert told == [("x", b"1")]


async def test_attachments_that_are_late() -> None:
    lobby = Lobby(limits=Limits(attachment_timeout=3))
    client, socket = lobby.connected()
    told = listen(socket)
    client.say(HALF)
    lobby.clock.advance(2.9)
    assert not client.ended()
    lobby.clock.advance(0.2)
    assert client.ended()
    assert [args[0] for args in told] == ["error", "disconnecting", "disconnect"]
    assert "attachment_timeout" in str(told[0][1])


async def test_attachments_that_are_there_are_not_late() -> None:
    lobby = Lobby(limits=Limits(attachment_timeout=3))
    client, socket = lobby.connected()
    told = listen(socket)
    for _ in range(3):
        client.say(HALF, b"1")
        lobby.clock.advance(5)
    assert told == [("x", b"1")] * 3
    assert not client.ended()


async def test_nothing_is_gathered_for_a_namespace_that_is_not_joined() -> None:
    """CVE-2026-48804: the connection is closed by the packet itself, whatever follows."""
    lobby = Lobby()
    client, socket = lobby.connected()
    told = listen(socket)
    client.say('451-/chat,["x",{"_placeholder":true,"num":0}]')
    assert client.ended()
    assert ends(told) == ["forced close"]


async def test_the_connection_ends_while_attachments_are_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lobby = Lobby(limits=Limits(attachment_timeout=3))
    client, socket = lobby.connected()
    told = listen(socket)
    client.say(HALF)
    client.vanish()
    lobby.clock.advance(10)
    assert [args[0] for args in told] == ["disconnecting", "disconnect"]
    assert caplog.records == []


# --- bytes that are no packet -------------------------------------------------------------------

BROKEN: dict[str, list[Packet]] = {
    "unknown type": ["49"],
    "no type": ["4"],
    "no JSON": ["42[x"],
    "no array": ['42{"x":1}'],
    "no name": ["42[]"],
    "reserved name": ['42["disconnect"]'],
    "connect with text": ['40/chat,"text"'],
    "disconnect with payload": ["41{}"],
    "ack that is no array": ["431{}"],
    "no attachments": ['450-["x"]'],
    "text instead of an attachment": [HALF, '42["x",1]'],
    "attachment without a packet": [b"1"],
    "attachment that there is not": ['451-["x",{"_placeholder":true,"num":1}]', b"1"],
    "attachment that is no number": ['451-["x",{"_placeholder":true,"num":"0"}]', b"1"],
}


@pytest.mark.parametrize("packets", BROKEN.values(), ids=BROKEN)
async def test_what_is_no_packet(packets: list[Packet], caplog: pytest.LogCaptureFixture) -> None:
    """Every socket of the connection hears of it, then the connection is closed: reason `forced close`."""
    client, main, chat = await two_namespaces()
    client.say(*packets, '42["x","after"]')
    assert client.ended()
    for told in (main, chat):
        assert [args[0] for args in told] == ["error", "disconnecting", "disconnect"]
        assert isinstance(told[0][1], PacketError)
        assert ends(told) == ["forced close"]
    assert client.heard() == []
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.exc_info is None
    assert client.session.id in record.getMessage()


async def test_the_line_in_the_log_is_escaped_and_short(caplog: pytest.LogCaptureFixture) -> None:
    lobby = Lobby()
    client, _ = lobby.connected()
    client.say("42/" + "\x1b\n" * 10_000 + ',["x"]')
    (record,) = caplog.records
    assert record.getMessage().isprintable()
    assert len(record.getMessage()) < 400


# --- packets that have no place -----------------------------------------------------------------

MISPLACED = {
    "a second CONNECT": "40",
    "CONNECT_ERROR": '44{"message":"no"}',
    "EVENT": '42/chat,["x"]',
    "EVENT of nowhere": '42/nope,["x"]',
    "ACK": "43/chat,1[]",
    "DISCONNECT": "41/chat,",
}


@pytest.mark.parametrize("packet", MISPLACED.values(), ids=MISPLACED)
async def test_packet_that_has_no_place(packet: str, caplog: pytest.LogCaptureFixture) -> None:
    lobby = Lobby()
    lobby.io.of("/chat")
    client, socket = lobby.connected()
    told = listen(socket)
    client.say(packet, '42["x","after"]')
    assert client.ended()
    assert [args[0] for args in told] == ["disconnecting", "disconnect"]
    assert ends(told) == ["forced close"]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING


@pytest.mark.parametrize("packet", ['42["x"]', "430[]", "41", HALF])
async def test_anything_before_connect(packet: str) -> None:
    lobby = Lobby()
    client = lobby.client()
    client.say(packet)
    assert client.ended()
    assert lobby.io.engine.clients_count == 0


async def test_what_came_together_with_the_leaving_is_passed_over() -> None:
    """As in one polling body at the official server: it knew nothing of it yet."""
    client, main, chat = await two_namespaces()
    client.say("41/chat,", '42/chat,["x",1]', '42["x",2]')
    assert not client.ended()
    assert main == [("x", 2)]
    assert ("x", 1) not in chat


async def test_what_comes_after_the_leaving_closes_the_connection() -> None:
    client, main, _ = await two_namespaces()
    client.say("41/chat,")
    await asyncio.sleep(0)
    client.say('42/chat,["x",1]')
    assert client.ended()
    assert ends(main) == ["forced close"]


async def test_coming_back_at_once() -> None:
    client, _, chat = await two_namespaces()
    client.say("41/chat,")
    again = listen(client.connect("/chat"))
    client.say('42/chat,["x",1]')
    assert ends(chat) == ["client namespace disconnect"]
    assert again == [("x", 1)]


# --- things that are ignored --------------------------------------------------------------------


@pytest.mark.parametrize("packet", ["42", "43", "431", "4399[]", '42["connection"]', "42[7,1]", "42[1.5]"])
async def test_what_the_official_server_passes_over(packet: str) -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    told = listen(socket)
    assert client.asks(packet) == []
    client.say('42["x",1]')
    assert told == [("x", 1)]


async def test_numbers_are_event_names() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    told: Told = []
    name: Any = 7
    socket.on(name, lambda *args: told.append(args))
    client.say("42[7,1]")
    assert told == [(1,)]


# --- other parsers ------------------------------------------------------------------------------


class _Halves:
    """A packet in two binary messages, of which only the first says whose it is."""

    def __init__(self, packet: SentPacket) -> None:
        self.packet = packet

    def add(self, data: bytes) -> SentPacket:
        if not data:
            raise PacketError("the second half is empty")
        self.packet.data.append(data)
        return self.packet


class _InHalves(MsgpackParser):
    def decode_binary(self, data: bytes) -> Any:
        packet = super().decode_binary(data)
        return _Halves(packet) if packet.type == EVENT else packet


def _packed(nsp: str, *args: Any) -> bytes:
    parser = MsgpackParser()
    return bytes(parser.encode_event(parser.namespace_prefix(nsp), None, args).attachments[0])


def _join(lobby: Lobby) -> tuple[Client, Socket]:
    """Somebody who speaks msgpack, in the main namespace."""
    client = lobby.client()
    parser = MsgpackParser()
    client.say(bytes(parser.encode_control(CONNECT, parser.namespace_prefix("/"), None).attachments[0]))
    (socket,) = lobby.io.sockets.sockets.values()
    (welcome,) = client.heard()
    assert isinstance(welcome, bytes)
    assert parser.decode_binary(welcome) == SentPacket(CONNECT, "/", {"sid": socket.id})
    return client, socket


async def test_a_packet_may_be_one_binary_message() -> None:
    client, socket = _join(Lobby(parser="msgpack"))
    told = listen(socket)
    client.say(_packed("/", "x", b"1", [2]), _packed("/", "x"))
    assert told == [("x", b"1", [2]), ("x",)]
    socket.emit("y", b"3")
    assert client.heard() == [_packed("/", "y", b"3")]


@pytest.mark.parametrize(
    "message", ['42["x"]', b"", b"\xc1", _packed("/", "connect"), _packed("/", "x") + b"\0"]
)
async def test_what_the_parser_refuses_ends_the_connection(message: str | bytes) -> None:
    client, socket = _join(Lobby(parser="msgpack"))
    told = listen(socket)
    client.say(message, _packed("/", "x"))
    assert [args[0] for args in told] == ["error", "disconnecting", "disconnect"]
    assert isinstance(told[0][1], PacketError)
    assert client.ended()


async def test_a_parser_may_need_more_binary_for_a_packet() -> None:
    lobby = Lobby(parser=_InHalves(), limits=Limits(attachment_timeout=3))
    client, socket = _join(lobby)
    told = listen(socket)
    client.say(_packed("/", "x", 1))
    assert told == []
    client.say(b"the rest")
    client.say(_packed("/", "x", 2), b"and again")
    assert told == [("x", 1, b"the rest"), ("x", 2, b"and again")]
    lobby.clock.advance(5)
    assert not client.ended()


@pytest.mark.parametrize("message", ["42", b""])
async def test_the_rest_of_a_packet_is_checked_too(message: str | bytes) -> None:
    client, socket = _join(Lobby(parser=_InHalves()))
    told = listen(socket)
    client.say(_packed("/", "x", 1), message)
    assert ends(told) == ["forced close"]
    assert client.ended()


async def test_nobody_is_waited_for_whose_packet_has_no_place() -> None:
    client, socket = _join(Lobby(parser=_InHalves()))
    told = listen(socket)
    client.say(_packed("/elsewhere", "x", 1))
    assert ends(told) == ["forced close"]
    assert client.ended()
