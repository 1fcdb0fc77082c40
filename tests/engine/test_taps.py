"""Packets told of on a session: what is heard, over which transport, and that nothing stays behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from socketeer.engine.session import Session
from socketeer.engine.taps import EnginePacket, IncomingTap, packets_of
from socketeer.errors import UsageError
from socketeer.protocol.frame import Message
from tests.engine.fakes import Desk, FakeCarrier, make_request, settle

Told = list[tuple[Any, ...]]


@pytest.fixture
async def desk() -> Desk:
    return Desk()


def listen(session: Session, *events: str) -> Told:
    """What a session tells of these events from now on."""
    told: Told = []
    for event in events:
        session.on(event, lambda *args, event=event: told.append((event, *args)))
    return told


def is_bare(session: Session) -> bool:
    """Whether nothing stands between the session and its messages."""
    return (
        session.outgoing is None
        and session.send == session.transport.send
        and not isinstance(session.handler, IncomingTap)
    )


def text(data: str | None) -> EnginePacket:
    return EnginePacket("message", data)


# --- packets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoded", "kind", "data"),
    [
        (b"0{}", "open", "{}"),
        (b"1", "close", None),
        (b"2probe", "ping", "probe"),
        (b"3", "pong", None),
        (b"4\xc3\xa9", "message", "é"),
        (b"5", "upgrade", None),
        (b"6", "noop", None),
        (b"7", "error", "parser error"),
        (b"", "error", "parser error"),
        ("٤".encode(), "error", "parser error"),
    ],
)
def test_a_packet(encoded: bytes, kind: str, data: str | None) -> None:
    assert EnginePacket.of(encoded) == EnginePacket(kind, data)


def test_the_packets_of_a_message() -> None:
    found = packets_of(Message(b"451-[]", [b"\x01", b"\x02"]))
    assert found == [text("51-[]"), EnginePacket("message", b"\x01"), EnginePacket("message", b"\x02")]
    # Of a parser such as msgpack: there is no text.
    assert packets_of(Message(b"", [b"\x81"])) == [EnginePacket("message", b"\x81")]


# --- incoming -------------------------------------------------------------------------------------


async def test_packets_that_come(desk: Desk) -> None:
    carrier, listener = await desk.websocket()
    told = listen(listener.session, "packet", "data", "message")
    carrier.says("4hello", b"\x01", "bAg==", "3", "4")
    assert [args for event, *args in told if event == "packet"] == [
        [text("hello")],
        [EnginePacket("message", b"\x01")],
        [EnginePacket("message", b"\x02")],
        [EnginePacket("pong")],
        [text(None)],
    ]
    for name in ("data", "message"):
        assert [args for event, *args in told if event == name] == [["hello"], [b"\x01"], [b"\x02"], [None]]
    assert listener.heard == [b"4hello", b"\x01", b"\x02", b"4"]


async def test_a_packet_that_is_none(desk: Desk) -> None:
    carrier, listener = await desk.websocket()
    told = listen(listener.session, "packet", "close")
    carrier.says("x")
    assert told == [
        ("packet", EnginePacket("error", "parser error")),
        ("close", "parse error", "unknown Engine.IO packet b'x'"),
    ]


async def test_packets_that_come_by_polling(desk: Desk) -> None:
    poller = await desk.polling()
    told = listen(poller.session, "packet")
    await poller.post(b"4a\x1ebAQ==\x1e3")
    assert told == [
        ("packet", text("a")),
        ("packet", EnginePacket("message", b"\x01")),
        ("packet", EnginePacket("pong")),
    ]


async def test_packets_of_a_client_of_engine_io_3() -> None:
    """It pings itself, and binary comes with its type, of which a listener sees nothing."""
    desk = Desk(allow_eio3=True)
    carrier = FakeCarrier()
    request = make_request("EIO=3&transport=websocket")
    await desk.engine.admit(request)
    desk.engine.open_websocket(request, None, carrier)
    (session,) = desk.engine.sessions.values()
    told = listen(session, "packet", "packet_create", "heartbeat")
    carrier.says("4a", b"\x04\x01", "b4AQ==", "2probe")
    session.send(Message(b"451-[]", [b"\x07"]))
    assert told == [
        ("packet", text("a")),
        ("packet", EnginePacket("message", b"\x01")),
        ("packet", EnginePacket("message", b"\x01")),
        ("packet", EnginePacket("ping", "probe")),
        ("packet_create", EnginePacket("pong")),
        ("heartbeat",),
        ("packet_create", text("51-[]")),
        ("packet_create", EnginePacket("message", b"\x07")),
    ]
    assert carrier.sent[1:] == ["3", "451-[]", b"\x04\x07"]
    await settle()


@pytest.mark.parametrize("event", ["packet", "data", "message"])
async def test_a_listener_that_closes(event: str, desk: Desk) -> None:
    """The message that it was told of goes no further."""
    carrier, listener = await desk.websocket()
    listener.session.on(event, lambda _: listener.session.close(discard=True))
    carrier.says("4hello")
    assert (listener.heard, listener.reasons) == ([], ["forced close"])


# --- outgoing -------------------------------------------------------------------------------------


async def test_packets_that_are_sent(desk: Desk) -> None:
    carrier, listener = await desk.websocket()
    told = listen(listener.session, "packet_create", "flush", "drain")
    listener.session.send(Message(b"4one"))
    listener.session.send(Message(b"451-[]", [b"\x01"]))
    assert told == [
        ("packet_create", text("one")),
        ("flush", [text("one")]),
        ("packet_create", text("51-[]")),
        ("packet_create", EnginePacket("message", b"\x01")),
        ("flush", [text("51-[]"), EnginePacket("message", b"\x01")]),
    ]
    assert carrier.sent == ["4one", "451-[]", b"\x01"]
    told.clear()
    await settle()
    assert told == [("drain",)]


async def test_a_ping_is_a_packet(desk: Desk) -> None:
    _, listener = await desk.websocket()
    told = listen(listener.session, "packet_create")
    desk.clock.advance(26)
    assert told == [("packet_create", EnginePacket("ping"))]


async def test_a_slow_client_drains_later(desk: Desk) -> None:
    room = asyncio.Event()

    class Slow(FakeCarrier):
        async def drained(self) -> None:
            await room.wait()

    carrier, (_, listener) = Slow(), await desk.websocket()
    listener.session.transport = type(listener.session.transport)(carrier)  # type: ignore[call-arg]
    told = listen(listener.session, "drain")
    carrier.bytes_held = 100_000
    listener.session.send(Message(b"4one"))
    listener.session.send(Message(b"4two"))
    await settle()
    assert told == []
    room.set()
    await settle()
    assert told == [("drain",)]


async def test_polling_drains_with_the_poll(desk: Desk) -> None:
    poller = await desk.polling()
    told = listen(poller.session, "packet_create", "flush", "drain")
    poller.session.send(Message(b"4one"))
    poller.session.send(Message(b"4two"))
    await settle()
    assert told == [("packet_create", text("one")), ("packet_create", text("two"))]
    told.clear()
    assert (await poller.get()).body == b"4one\x1e4two"
    assert told == [("flush", [text("one"), text("two")]), ("drain",)]


async def test_a_listener_that_closes_before_a_packet_is_sent(desk: Desk) -> None:
    carrier, listener = await desk.websocket()
    listener.session.on("packet_create", lambda _: listener.session.close(discard=True))
    listener.session.send(Message(b"4one"))
    assert (carrier.sent, listener.reasons) == ([], ["forced close"])
    await settle()


# --- the upgrade ----------------------------------------------------------------------------------


async def test_across_an_upgrade(desk: Desk) -> None:
    poller = await desk.polling()
    session = poller.session
    told = listen(session, *(Session.events - {"heartbeat", "data", "message"}))
    assert not session.upgraded
    carrier = await poller.probe()
    carrier.says("2probe")
    (upgrading,) = told
    session.send(Message(b"4queued"))
    carrier.says("5", "4after")
    session.send(Message(b"4over"))
    await settle()
    assert (upgrading[0], upgrading[1]) == ("upgrading", session.transport)
    assert told[1:] == [
        ("packet_create", text("queued")),
        ("flush", [text("queued")]),
        ("upgrade", session.transport),
        ("packet", text("after")),
        ("packet_create", text("over")),
        ("flush", [text("over")]),
        ("drain",),
    ]
    assert carrier.sent == ["3probe", "4queued", "4over"]
    assert session.upgraded


async def test_begun_on_websocket_is_not_upgraded(desk: Desk) -> None:
    _, listener = await desk.websocket()
    assert not listener.session.upgraded


# --- nothing stays behind ---------------------------------------------------------------------------


@pytest.mark.parametrize("event", sorted(Session.events))
async def test_nobody_listens_any_more(event: str, desk: Desk) -> None:
    _, listener = await desk.websocket()
    session = listener.session
    assert is_bare(session)
    told = listen(session, event, event)
    tapped = event in ("packet", "data", "message", "packet_create", "flush", "drain")
    assert is_bare(session) is not tapped
    session.off(event)
    assert is_bare(session)
    assert session.handler is listener
    assert told == []


async def test_once(desk: Desk) -> None:
    carrier, listener = await desk.websocket()
    heard: list[Any] = []
    listener.session.once("message", heard.append)
    carrier.says("4a", "4b")
    assert heard == ["a"]
    assert is_bare(listener.session)
    assert listener.heard == [b"4a", b"4b"]


async def test_an_event_that_there_is_not(desk: Desk) -> None:
    _, listener = await desk.websocket()
    with pytest.raises(
        UsageError, match=r"conn.on: there is no event 'packetCreate', but close, data, drain"
    ):
        listener.session.on("packetCreate", print)


async def test_listening_to_a_session_that_has_gone(desk: Desk) -> None:
    carrier, listener = await desk.websocket()
    carrier.vanishes()
    told = listen(listener.session, "packet_create", "packet", "drain")
    listener.session.send(Message(b"4late"))
    await settle()
    assert (told, carrier.sent) == ([], [])


# --- the whole engine -------------------------------------------------------------------------------


async def test_all_sessions_of_the_engine(desk: Desk) -> None:
    _, first = await desk.websocket()
    told: Told = []
    engine = desk.engine
    engine.on("flush", lambda session, packets: told.append((session, packets)))
    drained = engine.on("drain", lambda session: told.append((session,)))
    _, second = await desk.websocket()
    assert [session for session, *_ in told] == [second.session]
    assert [packet.type for packet in told[0][1]] == ["open"]
    await settle()
    told.clear()
    for listener in (first, second):
        listener.session.send(Message(b"4x"))
        await settle()
        assert told == [(listener.session, [text("x")]), (listener.session,)]
        told.clear()
    poller = await desk.polling()
    assert [session for session, *_ in told] == [poller.session, poller.session]
    first.session.off("flush")  # its own listeners, of which there are none
    first.session.send(Message(b"4y"))
    assert (first.session, [text("y")]) in told
    engine.off("flush")
    assert not is_bare(first.session)
    engine.off("drain", drained)
    assert all(map(is_bare, engine.sessions.values()))
    told.clear()
    _, third = await desk.websocket()
    await settle()
    assert is_bare(third.session)
    assert told == []
