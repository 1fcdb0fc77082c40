"""The connecting side of a session: it answers pings, and notices when none comes."""

from __future__ import annotations

import pytest

from socketeer.client_options import ConnectOptions
from socketeer.engine.client_session import ClientSession
from socketeer.engine.session import Session
from socketeer.engine.timers import RESOLUTION, TimerWheel
from socketeer.protocol.engineio import Handshake
from socketeer.protocol.frame import Message
from tests.engine.client_peers import Ear
from tests.engine.fakes import make_request
from tests.support.clock import FakeClock


class Wire:
    """A transport that keeps what it is given."""

    def __init__(self, name: str = "websocket") -> None:
        self.name = name
        self.sent: list[bytes] = []
        self.ended = 0

    def send(self, message: Message) -> None:
        self.sent.append(message.payload())

    def writable(self) -> bool:
        return True

    def held(self) -> int:
        return 0

    async def drained(self) -> None:
        pass

    def finish(self, ended: object) -> None:
        pass

    def close(self) -> None:
        self.ended += 1


class Stand:
    """A session between a wire and an ear, its clocks standing still."""

    def __init__(self, transport: str = "websocket") -> None:
        self.clock = FakeClock()
        self.day = 1_000_000.0
        self.wire = Wire(transport)
        self.ear = Ear()
        self.ended: list[Session] = []
        self.session = ClientSession(
            Handshake("sid", ("websocket",), 25.0, 20.0, 1000),
            make_request(),
            ConnectOptions(),
            TimerWheel(self.clock),
            self.ended.append,
            lambda: self.day,
        )
        self.session.begin(self.wire, self.ear)


def test_a_ping_is_answered_with_what_it_said() -> None:
    stand = Stand()
    heard: list[str] = []
    stand.session.on("heartbeat", lambda: heard.append("ping"))
    stand.session.receive_text(b"2")
    stand.session.receive_text(b"2probe")
    assert stand.wire.sent == [b"3", b"3probe"]
    assert heard == ["ping"] * 2


def test_a_dead_server_is_noticed_after_interval_and_timeout() -> None:
    stand = Stand()
    stand.clock.advance(44.9)
    assert stand.ear.closed == []
    stand.clock.advance(0.1 + RESOLUTION)
    assert stand.ear.closed == [("ping timeout", None)]
    assert (stand.wire.ended, stand.ended) == (1, [stand.session])
    assert stand.clock.pending == []


def test_each_ping_gives_as_much_time_again_and_messages_give_none() -> None:
    stand = Stand()
    stand.clock.advance(44)
    stand.session.receive_text(b"2")
    stand.clock.advance(44)
    stand.session.receive_text(b"4hello")
    stand.session.receive_binary(b"\x00")
    assert stand.ear.closed == []
    stand.clock.advance(1 + RESOLUTION)
    assert stand.ear.closed == [("ping timeout", None)]


def test_a_machine_that_slept_knows_by_the_time_of_day() -> None:
    """The loop's clock stood still meanwhile; the session has only to be asked."""
    stand = Stand()
    overdue = []
    for seconds in (44, 2):
        stand.day += seconds
        overdue.append(stand.session.overdue)
    stand.session.receive_text(b"2")
    overdue.append(stand.session.overdue)
    assert overdue == [False, True, False]


def test_messages_are_delivered() -> None:
    stand = Stand()
    stand.session.receive_text(b"4hello")
    stand.session.receive_binary(b"\x00\xff")
    stand.session.receive_text(b"bAP8=")
    assert stand.ear.messages == ["hello", b"\x00\xff", b"\x00\xff"]


@pytest.mark.parametrize("packet", [b"0{}", b"3", b"3probe", b"5", b"6"])
def test_what_has_no_meaning_is_passed_over(packet: bytes) -> None:
    stand = Stand()
    stand.session.receive_text(packet)
    assert (stand.ear.closed, stand.ear.messages, stand.wire.sent) == ([], [], [])


@pytest.mark.parametrize("packet", [b"", b"7", b"x", b"\xd9\xa2", b"\x00"])
def test_what_is_no_packet_ends_it(packet: bytes) -> None:
    stand = Stand()
    stand.session.receive_text(packet)
    assert [reason for reason, _ in stand.ear.closed] == ["transport error"]
    stand.session.receive_text(b"4late")
    assert stand.ear.messages == []


def test_bad_base64_ends_it() -> None:
    stand = Stand()
    stand.session.receive_text(b"b***")
    assert [reason for reason, _ in stand.ear.closed] == ["parse error"]


@pytest.mark.parametrize(("transport", "closed"), [("polling", 1), ("websocket", 0)])
def test_a_close_packet_counts_over_polling_alone(transport: str, closed: int) -> None:
    """As in the official client: over WebSocket the close frame says it."""
    stand = Stand(transport)
    stand.session.receive_text(b"1")
    assert stand.ear.closed == [("transport close", "closed by the server")] * closed


def test_the_timer_ends_with_the_session() -> None:
    stand = Stand()
    stand.session.fail("transport close")
    stand.clock.advance(100)
    assert len(stand.ear.closed) == 1
