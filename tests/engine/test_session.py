"""A session's packets, heartbeat and ends, over a WebSocket unless the transport matters.

How a session closes on long-polling is in `test_session_closing`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from socketeer.engine.session import State
from socketeer.engine.timers import RESOLUTION, grain_of
from socketeer.protocol.frame import Message
from tests.engine.fakes import Desk, FakeCarrier, Listener, settle

INTERVAL = 25.0
TIMEOUT = 20.0
#: A little more than a deadline may be late.
LATE = RESOLUTION * grain_of(TIMEOUT) + 0.001


@pytest.fixture
async def desk() -> Desk:
    return Desk(ping_interval=INTERVAL, ping_timeout=TIMEOUT)


class Peer:
    """A client on WebSocket and the session that it has."""

    def __init__(self, desk: Desk, carrier: FakeCarrier, listener: Listener) -> None:
        self.desk = desk
        self.clock = desk.clock
        self.carrier = carrier
        self.listener = listener
        self.session = listener.session

    def gone(self, reason: str, closed: bool = True) -> None:
        """The session has ended for this reason, has been told so once, and nothing of it is left."""
        assert self.listener.reasons == [reason]
        assert (self.session.state, self.session.ready_state) == (State.CLOSED, "closed")
        assert self.desk.engine.sessions == {}
        assert self.desk.timers == 0
        assert bool(self.carrier.closed) is closed
        heard, sent = list(self.listener.heard), list(self.carrier.sent)
        self.session.send(Message(b"4late"))
        self.session.receive_text(b"4late")
        self.session.receive_binary(b"late")
        self.session.close()
        self.session.close(discard=True)
        self.session.fail("once more")
        self.clock.advance(1000)
        assert self.desk.clock.pending == []
        assert self.listener.reasons == [reason]
        assert (self.listener.heard, self.carrier.sent) == (heard, sent)
        assert not self.session.writable()


@pytest.fixture
async def peer(desk: Desk) -> Peer:
    return Peer(desk, *await desk.websocket())


# --- packets ---------------------------------------------------------------------------------------


async def test_messages_go_up_as_they_come(peer: Peer) -> None:
    peer.carrier.says("4hello", "4", "4\u00e9", b"\x01\x02", b"", "bAQI=", "b")
    assert peer.listener.heard == [b"4hello", b"4", "4\u00e9".encode(), b"\x01\x02", b"", b"\x01\x02", b""]
    assert peer.listener.closed == []


async def test_messages_go_down_as_they_are_sent(peer: Peer) -> None:
    peer.session.send(Message(b"4hello"))
    peer.session.send(Message(b"451-[]", [b"\x01"]))
    assert peer.carrier.sent == ["4hello", "451-[]", b"\x01"]


@pytest.mark.parametrize("packet", ["0", '0{"sid":"x"}', "1", "1x", "3", "3probe", "5", "6", "6x"])
async def test_packets_that_are_passed_over(peer: Peer, packet: str) -> None:
    peer.carrier.says(packet, "4after")
    assert peer.listener.heard == [b"4after"]
    assert peer.carrier.sent == []
    assert peer.listener.closed == []


@pytest.mark.parametrize(
    ("packet", "reason", "words"),
    [
        ("", "parse error", "unknown Engine.IO packet b''"),
        ("7", "parse error", "unknown Engine.IO packet b'7'"),
        ("9" * 100, "parse error", "unknown Engine.IO packet b'99999999'"),
        ("a", "parse error", "unknown Engine.IO packet"),
        (" 4", "parse error", "unknown Engine.IO packet"),
        ("\u0664", "parse error", "unknown Engine.IO packet"),
        ("\x00", "parse error", "unknown Engine.IO packet"),
        ("bA", "parse error", "binary packet: expected base64"),
        ("b*", "parse error", "binary packet: expected base64"),
        ("2", "transport error", "invalid heartbeat direction"),
        ("2probe", "transport error", "invalid heartbeat direction"),
    ],
)
async def test_packets_that_end_the_session(peer: Peer, packet: str, reason: str, words: str) -> None:
    peer.carrier.says("4before", packet, "4after")
    ((told, description),) = peer.listener.closed
    assert (told, (description or "")[: len(words)]) == (reason, words)
    assert peer.listener.heard == [b"4before"]
    peer.gone(reason)


# --- heartbeat -------------------------------------------------------------------------------------


async def test_a_ping_is_sent_when_the_interval_is_over(peer: Peer) -> None:
    peer.clock.advance(INTERVAL - 0.001)
    assert peer.carrier.sent == []
    peer.clock.advance(LATE)
    assert peer.carrier.sent == ["2"]


async def test_after_a_pong_the_interval_begins_again(peer: Peer) -> None:
    beats: list[str] = []
    peer.session.on("heartbeat", lambda: beats.append("heartbeat"))
    peer.clock.advance(INTERVAL + LATE)
    for count in range(1, 4):
        assert peer.carrier.sent == ["2"] * count
        peer.clock.advance(TIMEOUT - 1)
        peer.carrier.says("3")
        assert beats == ["heartbeat"] * count
        peer.clock.advance(INTERVAL - 0.001)
        assert peer.carrier.sent == ["2"] * count
        peer.clock.advance(LATE)
    assert peer.listener.closed == []


async def test_without_a_pong_the_session_ends(peer: Peer) -> None:
    peer.clock.advance(INTERVAL + LATE)
    peer.clock.advance(TIMEOUT - LATE - 0.001)
    assert peer.listener.closed == []
    peer.clock.advance(LATE * 2)
    peer.gone("ping timeout")


async def test_messages_do_not_put_a_ping_off(peer: Peer) -> None:
    for _ in range(10):
        peer.clock.advance(INTERVAL / 10)
        peer.carrier.says("4hello")
    peer.clock.advance(LATE)
    assert peer.carrier.sent == ["2"]


async def test_pongs_that_nobody_asked_for_change_nothing(peer: Peer) -> None:
    beats: list[str] = []
    peer.session.on("heartbeat", lambda: beats.append("heartbeat"))
    peer.clock.advance(INTERVAL - 1)
    peer.carrier.says(*["3"] * 1000)
    peer.clock.advance(1 + LATE)
    assert (peer.carrier.sent, beats) == (["2"], [])
    assert len(peer.clock.pending) == 1


@pytest.mark.parametrize("packet", ["4hello", "6", "0", "bAQI=", b"\x01"])
async def test_the_first_other_packet_after_a_ping_gives_the_pong_more_time(
    peer: Peer, packet: str | bytes
) -> None:
    peer.clock.advance(INTERVAL + LATE)
    assert peer.carrier.sent == ["2"]
    peer.clock.advance(TIMEOUT - 1)
    peer.carrier.says(packet)
    peer.clock.advance(TIMEOUT - 0.001)
    assert peer.listener.closed == []
    peer.clock.advance(LATE)
    peer.gone("ping timeout")


async def test_it_does_so_once(peer: Peer) -> None:
    peer.clock.advance(INTERVAL + LATE)
    for _ in range(100):
        peer.clock.advance(TIMEOUT / 100)
        peer.carrier.says("4hello", b"\x01")
    # The first message came a hundredth of the time-out after the ping.
    assert peer.listener.closed == []
    peer.clock.advance(TIMEOUT / 100 + LATE)
    peer.gone("ping timeout")


async def test_it_does_so_after_each_ping(peer: Peer) -> None:
    for _ in range(3):
        peer.clock.advance(INTERVAL + LATE)
        peer.clock.advance(TIMEOUT - 1)
        peer.carrier.says("4hello")
        peer.clock.advance(TIMEOUT - 1)
        peer.carrier.says("3")
    assert peer.carrier.sent == ["2"] * 3
    assert peer.listener.closed == []


async def test_a_pong_is_good_after_another_packet(peer: Peer) -> None:
    peer.clock.advance(INTERVAL + LATE)
    peer.carrier.says("4hello", "3")
    peer.clock.advance(INTERVAL - 0.001)
    assert peer.carrier.sent == ["2"]
    peer.clock.advance(LATE)
    assert peer.carrier.sent == ["2", "2"]


async def test_a_polling_client_has_the_same_heartbeat(desk: Desk) -> None:
    poller = await desk.polling()
    poll = await poller.begin()
    desk.clock.advance(INTERVAL + LATE)
    assert (await poll).body == b"2"
    assert (await poller.post(b"3")).body == b"ok"
    poll = await poller.begin()
    desk.clock.advance(INTERVAL + LATE)
    assert (await poll).body == b"2"
    desk.clock.advance(TIMEOUT + LATE)
    assert poller.listener.reasons == ["ping timeout"]
    assert desk.clock.pending == []


async def test_a_polling_client_that_never_polls_times_out(desk: Desk) -> None:
    poller = await desk.polling()
    desk.clock.advance(INTERVAL + TIMEOUT + LATE * 2)
    assert poller.listener.reasons == ["ping timeout"]


# --- ends ------------------------------------------------------------------------------------------

ENDS: dict[str, tuple[Callable[[Peer], object], str]] = {
    "the peer closes": (lambda peer: peer.carrier.vanishes("transport close", "bye"), "transport close"),
    "the connection breaks": (
        lambda peer: peer.carrier.vanishes("transport error", "bye"),
        "transport error",
    ),
    "we close": (lambda peer: peer.session.close(), "forced close"),
    "we close at once": (lambda peer: peer.session.close(discard=True), "forced close"),
    "the server closes": (lambda peer: peer.desk.engine.close(), "forced close"),
    "no pong": (lambda peer: peer.clock.advance(INTERVAL + TIMEOUT + LATE * 2), "ping timeout"),
    "no packet": (lambda peer: peer.carrier.says("x"), "parse error"),
}


@pytest.mark.parametrize("name", ENDS)
async def test_an_end_is_told_once_and_frees_everything(peer: Peer, name: str) -> None:
    end, reason = ENDS[name]
    told: list[Any] = []
    peer.session.on("close", lambda *args: told.append(args))
    end(peer)
    assert told == peer.listener.closed
    peer.gone(reason)
    assert told == peer.listener.closed


@pytest.mark.parametrize("name", ENDS)
async def test_who_is_told_may_do_anything(peer: Peer, name: str) -> None:
    """The listener's own calls find a session that has ended."""
    end, reason = ENDS[name]

    def meddle(reason: str, description: str | None) -> None:
        peer.session.send(Message(b"4late"))
        peer.session.close()
        peer.session.fail("late")
        peer.carrier.vanishes()

    peer.session.on("close", meddle)
    end(peer)
    peer.gone(reason)
    assert "4late" not in peer.carrier.sent


async def test_what_is_queued_leaves_before_the_close_frame(peer: Peer) -> None:
    peer.session.send(Message(b"4first"))
    peer.session.send(Message(b"4second"))
    peer.session.close()
    assert peer.carrier.sent == ["4first", "4second"]
    assert peer.carrier.closed[0] == "close"


async def test_a_handler_may_close_in_the_middle_of_a_batch(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[bytes] = []

    def on_text(data: bytes) -> None:
        heard.append(data)
        peer.session.close()

    monkeypatch.setattr(peer.listener, "on_text", on_text)
    peer.session.receive_text(b"4one")
    peer.session.receive_text(b"4two")
    assert heard == [b"4one"]
    peer.gone("forced close")


# --- what users see --------------------------------------------------------------------------------


async def test_what_a_session_tells_of_itself(desk: Desk) -> None:
    poller = await desk.polling(address="192.0.2.9")
    session = poller.session
    assert (session.id, session.ready_state, session.protocol) == (poller.sid, "open", 4)
    assert session.transport.name == "polling"
    assert session.remote_address == session.request.address == "192.0.2.9"


async def test_on_is_a_decorator_too(peer: Peer) -> None:
    told: list[str] = []

    @peer.session.on("close")
    def closed(reason: str, description: str | None) -> None:
        told.append(reason)

    peer.carrier.vanishes()
    closed("called by hand", None)
    assert told == ["transport close", "called by hand"]


async def test_whether_a_message_would_leave_now(peer: Peer) -> None:
    assert peer.session.writable()
    peer.carrier.busy = True
    assert not peer.session.writable()


async def test_a_listener_that_raises_is_logged_and_the_others_go_on(
    peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []

    def fail(reason: str, description: str | None) -> None:
        raise ValueError("of the test")

    def keep(reason: str, description: str | None) -> None:
        told.append(reason)

    assert peer.session.on("close", fail) is fail
    peer.session.on("close", keep)
    peer.carrier.vanishes()
    assert told == ["transport close"]
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "a listener of conn.on('close') failed")
    peer.gone("transport close")


async def test_an_emit_may_be_waited_for(desk: Desk) -> None:
    poller = await desk.polling()
    session = poller.session
    session.send(Message(b"4" * 100_000))
    waiting = asyncio.create_task(session.transport.drained())
    await settle()
    assert not waiting.done()
    assert len((await poller.get()).body) == 100_000
    async with asyncio.timeout(5):
        await waiting
