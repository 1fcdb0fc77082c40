"""A session of Engine.IO 3: its heartbeat, its binary packets, its upgrade."""

from __future__ import annotations

import json

import pytest

from socketeer.engine.session import Session
from socketeer.engine.timers import RESOLUTION, grain_of
from socketeer.engine.transports.websocket import WebSocketTransport
from socketeer.protocol.frame import Message
from tests.engine.fakes import Desk, FakeCarrier, Listener, make_request

INTERVAL = 25.0
TIMEOUT = 20.0
LATE = RESOLUTION * grain_of(TIMEOUT) + 0.001


@pytest.fixture
async def desk() -> Desk:
    return Desk(ping_interval=INTERVAL, ping_timeout=TIMEOUT, allow_eio3=True)


async def connect(desk: Desk, more: str = "", sid: str = "") -> tuple[FakeCarrier, Listener]:
    """A client on WebSocket, or with `sid` its probe."""
    request = make_request(f"EIO=3&transport=websocket{more}" + (f"&sid={sid}" if sid else ""))
    carrier = FakeCarrier()
    session, _ = await desk.engine.admit(request)
    desk.engine.open_websocket(request, session, carrier)
    if sid:
        return carrier, desk.listeners[sid]
    opened = str(carrier.sent.pop(0))
    return carrier, desk.listeners[json.loads(opened[1:])["sid"]]


async def test_protocol(desk: Desk) -> None:
    _, old = await connect(desk)
    _, recent = await desk.websocket()
    assert (old.session.protocol, recent.session.protocol) == (3, 4)


# --- heartbeat -------------------------------------------------------------------------------------


async def test_the_client_pings_and_the_server_answers(desk: Desk) -> None:
    carrier, listener = await connect(desk)
    beats: list[str] = []
    listener.session.on("heartbeat", lambda: beats.append("beat"))
    for _ in range(3):
        desk.clock.advance(INTERVAL + TIMEOUT - 1)
        carrier.says("2")
    assert carrier.sent == ["3", "3", "3"], "and never pings itself"
    assert beats == ["beat"] * 3
    assert listener.closed == []


async def test_a_client_that_does_not_ping(desk: Desk) -> None:
    carrier, listener = await connect(desk)
    desk.clock.advance(INTERVAL + TIMEOUT - 1)
    carrier.says("4alive", b"\x04alive")  # only a ping is a ping
    assert listener.closed == []
    desk.clock.advance(1 + LATE)
    assert listener.closed == [("ping timeout", None)]
    assert carrier.sent == []
    assert desk.timers == 0


async def test_a_client_that_stops_pinging(desk: Desk) -> None:
    carrier, listener = await connect(desk)
    desk.clock.advance(INTERVAL)
    carrier.says("2")
    desk.clock.advance(INTERVAL + TIMEOUT - 1)
    assert listener.closed == []
    desk.clock.advance(1 + LATE)
    assert listener.reasons == ["ping timeout"]


async def test_a_pong_from_the_client(desk: Desk) -> None:
    carrier, listener = await connect(desk)
    carrier.says("3")
    assert listener.closed == [("transport error", "invalid heartbeat direction")]


async def test_a_closing_session_hears_no_ping(desk: Desk) -> None:
    request = make_request("EIO=3&transport=polling")
    await desk.handle(request)
    (listener,) = desk.listeners.values()
    listener.session.close()
    listener.session.receive_text(b"2")
    desk.clock.advance(30 + LATE)
    assert listener.reasons == ["forced close"], "the client's pings do not hold up the end"


async def test_the_heartbeat_goes_on_after_an_upgrade(desk: Desk) -> None:
    """The official server forgets its time-out there."""
    await desk.handle(make_request("EIO=3&transport=polling"))
    (sid,) = desk.listeners
    carrier, listener = await connect(desk, sid=sid)
    carrier.says("2probe", "5")
    assert carrier.sent == ["3probe"]
    assert listener.upgrades == ["websocket"]
    desk.clock.advance(INTERVAL)
    carrier.says("2")
    assert carrier.sent == ["3probe", "3"]
    desk.clock.advance(INTERVAL + TIMEOUT + LATE)
    assert listener.reasons == ["ping timeout"]


# --- binary ----------------------------------------------------------------------------------------


async def test_binary_frames_have_a_type(desk: Desk) -> None:
    carrier, listener = await connect(desk)
    message = Message(b"452-[]", [b"\x01", b""])
    listener.session.send(message)
    listener.session.send(Message(b"4text"))
    assert carrier.sent == ["452-[]", b"\x04\x01", b"\x04", "4text"]
    carrier.says("451-[]", b"\x04\x09", b"\x04", "b4AQI=", "4text")
    assert listener.heard == [b"451-[]", b"\x09", b"", b"\x01\x02", b"4text"]


async def test_binary_as_text(desk: Desk) -> None:
    carrier, listener = await connect(desk, "&b64=1")
    listener.session.send(Message(b"451-[]", [b"\x01\x02"]))
    assert carrier.sent == ["451-[]", "b4AQI="]


@pytest.mark.parametrize("packet", [b"", b"\x02", b"\x0a", b"4\x01", "b", "bAQI=", "b2AQI=", "b4AQI"])
async def test_binary_that_is_no_message(desk: Desk, packet: str | bytes) -> None:
    carrier, listener = await connect(desk)
    carrier.says(packet)
    assert listener.reasons == ["parse error"]
    assert listener.heard == []


async def test_one_message_for_clients_of_both_kinds(desk: Desk) -> None:
    """Each form is made once, whatever the number of receivers."""
    ends = [await connect(desk), await connect(desk), await desk.websocket()]
    message = Message(b"451-[]", [b"\x01"])
    for _, listener in ends:
        listener.session.send(message)
    assert [carrier.sent for carrier, _ in ends] == [["451-[]", b"\x04\x01"]] * 2 + [["451-[]", b"\x01"]]
    first, second = (carrier.sent[1] for carrier, _ in ends[:2])
    assert first is second


async def test_what_was_queued_takes_the_new_form(desk: Desk) -> None:
    await desk.handle(make_request("EIO=3&transport=polling"))
    (sid,) = desk.listeners
    carrier, listener = await connect(desk, sid=sid)
    carrier.says("2probe")
    listener.session.send(Message(b"451-[]", [b"\x01"]))
    carrier.says("5")
    assert carrier.sent == ["3probe", "451-[]", b"\x04\x01"]
    carrier.says(b"\x04\x02")
    assert listener.heard == [b"\x02"]


def sender(session: Session) -> object:
    return session.send


async def test_engine_io_4_pays_nothing(desk: Desk) -> None:
    """Its session still sends by the carrier's own method."""
    carrier, listener = await desk.websocket()
    assert isinstance(listener.session.transport, WebSocketTransport)
    assert sender(listener.session) == carrier.send
    assert sender((await connect(desk))[1].session) != carrier.send
