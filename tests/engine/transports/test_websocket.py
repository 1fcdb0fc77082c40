"""The WebSocket transport, and the probe at each step of an upgrade.

Any order of what both sides do during an upgrade is in `tests/engine/test_upgrade.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from socketeer.engine.session import State
from socketeer.engine.timers import RESOLUTION, grain_of
from socketeer.engine.transports.polling import PollingTransport
from socketeer.engine.transports.websocket import NOOP_INTERVAL, WebSocketTransport, websocket_transport
from socketeer.protocol.frame import Message
from tests.engine.fakes import Desk, FakeCarrier, Packet, Poller, Upload, make_request, settle

UPGRADE_TIMEOUT = 10.0
LATE = RESOLUTION + 0.001
LATE_BEAT = RESOLUTION * grain_of(20.0) + 0.001


# --- the transport ---------------------------------------------------------------------------------


async def test_the_carrier_does_the_work() -> None:
    carrier = FakeCarrier()
    transport = WebSocketTransport(carrier)
    assert transport.name == "websocket"
    assert transport.carrier is carrier
    carrier.bytes_held, carrier.busy = 7, True
    assert (transport.held(), transport.writable()) == (7, False)
    await transport.drained()
    transport.send(Message(b"451-[]", [b"\x01"]))
    assert carrier.sent == ["451-[]", b"\x01"]


async def test_for_a_client_that_asks_for_it_binary_is_text() -> None:
    carrier = FakeCarrier()
    transport = websocket_transport(carrier, base64=True)
    transport.send(Message(b"4hello"))
    transport.send(Message(b"452-[]", [b"\x01\x02\x03\x04", b""]))
    assert carrier.sent == ["4hello", "452-[]", "bAQIDBA==", "b"]


@pytest.mark.parametrize(("query", "binary"), [("", b"\x01"), ("&b64=1", "bAQ=="), ("&b64", "bAQ==")])
async def test_a_client_asks_for_it_in_the_query(query: str, binary: Packet) -> None:
    carrier, listener = await Desk().websocket(query)
    listener.session.send(Message(b"451-[]", [b"\x01"]))
    assert carrier.sent == ["451-[]", binary]


async def test_it_finishes_by_closing_and_tells_so_afterwards() -> None:
    carrier = FakeCarrier()
    told: list[Any] = []
    WebSocketTransport(carrier).finish(lambda: told.append(list(carrier.closed)))
    assert told == [["close"]]


async def test_closing_it_closes_the_websocket() -> None:
    carrier = FakeCarrier()
    WebSocketTransport(carrier).close()
    assert carrier.closed == ["close"]


# --- a probe ---------------------------------------------------------------------------------------


class Upgrade:
    """A session on long-polling and the WebSocket that probes it."""

    def __init__(self, desk: Desk, poller: Poller, probe: FakeCarrier) -> None:
        self.desk = desk
        self.clock = desk.clock
        self.poller = poller
        self.probe = probe
        self.session = poller.session
        self.listener = poller.listener

    def emit(self, text: str) -> None:
        self.session.send(Message(text.encode()))

    @property
    def transport(self) -> str:
        return self.session.transport.name

    async def still_polling(self) -> None:
        """The session goes on as if there had been no probe, and another one is welcome."""
        assert self.listener.closed == []
        assert self.session.upgrading is None
        assert isinstance(self.session.transport, PollingTransport)
        poll = await self.poller.begin()
        self.clock.advance(NOOP_INTERVAL * 3)
        await settle()
        assert not poll.done()
        self.emit("4still here")
        assert (await poll).body == b"4still here"
        assert (await self.poller.post(b"4and you")).body == b"ok"
        assert self.listener.heard[-1] == b"4and you"
        another = await self.poller.probe()
        another.says("2probe", "5")
        self.emit("4over there")
        assert another.sent == ["3probe", "4over there"]
        assert another.closed == []


@pytest.fixture
async def upgrade() -> Upgrade:
    desk = Desk(upgrade_timeout=UPGRADE_TIMEOUT)
    poller = await desk.polling()
    return Upgrade(desk, poller, await poller.probe())


async def test_a_whole_upgrade(upgrade: Upgrade) -> None:
    told: list[Any] = []
    upgrade.session.on("upgrade", lambda transport: told.append(transport.name))
    poll = await upgrade.poller.begin()
    upgrade.probe.says("2probe")
    assert upgrade.probe.sent == ["3probe"]
    assert (await poll).body == b"6"
    assert upgrade.transport == "polling"
    upgrade.probe.says("5")
    assert upgrade.transport == "websocket"
    assert upgrade.session.upgrading is None
    assert (told, upgrade.listener.upgrades) == (["websocket"], ["websocket"])
    upgrade.emit("4down")
    upgrade.probe.says("4up", b"\x01")
    assert upgrade.probe.sent == ["3probe", "4down"]
    assert upgrade.listener.heard == [b"4up", b"\x01"]
    response = await upgrade.poller.get()
    assert (response.status, response.body) == (400, b'{"code":3,"message":"Bad request"}')
    assert (await upgrade.poller.post(b"4late")).status == 400
    assert upgrade.listener.closed == []


async def test_an_upgrade_takes_its_timers_along(upgrade: Upgrade) -> None:
    upgrade.probe.says("2probe", "5")
    upgrade.clock.advance(UPGRADE_TIMEOUT + 1)
    assert upgrade.probe.closed == []
    upgrade.emit("4down")
    assert upgrade.probe.sent == ["3probe", "4down"]


async def test_the_heartbeat_goes_on_over_the_websocket(upgrade: Upgrade) -> None:
    upgrade.clock.advance(24)
    upgrade.probe = await upgrade.poller.probe()
    upgrade.probe.says("2probe", "5")
    upgrade.clock.advance(1 + LATE_BEAT)
    assert upgrade.probe.sent == ["3probe", "2"]
    upgrade.probe.says("3")
    upgrade.clock.advance(25 + LATE_BEAT)
    assert upgrade.probe.sent == ["3probe", "2", "2"]
    upgrade.clock.advance(20 + LATE_BEAT)
    assert upgrade.listener.reasons == ["ping timeout"]
    assert upgrade.probe.closed


async def test_a_websocket_that_is_lost_afterwards_ends_the_session(upgrade: Upgrade) -> None:
    upgrade.probe.says("2probe", "5")
    upgrade.probe.vanishes("transport close", "bye")
    assert upgrade.listener.closed == [("transport close", "bye")]


async def test_polls_that_come_meanwhile_are_answered_after_a_moment(upgrade: Upgrade) -> None:
    """But the first, which was on its way when the probe came: that is the one whose end the client waits for."""
    upgrade.probe.says("2probe")
    assert (await upgrade.poller.get()).body == b"6"
    for _ in range(3):
        poll = await upgrade.poller.begin()
        assert not poll.done()
        upgrade.clock.advance(NOOP_INTERVAL + LATE)
        assert (await poll).body == b"6"
    upgrade.emit("4hello")
    assert (await upgrade.poller.get()).body == b"4hello"
    upgrade.probe.says("5")
    assert upgrade.transport == "websocket"


async def test_a_poll_waits_as_long_as_nothing_was_probed(upgrade: Upgrade) -> None:
    poll = await upgrade.poller.begin()
    upgrade.clock.advance(UPGRADE_TIMEOUT / 2)
    await settle()
    assert not poll.done()
    upgrade.emit("4hello")
    assert (await poll).body == b"4hello"


@pytest.mark.parametrize("before", [[], ["2probe"], ["2probe", "2probe"]], ids=len)
async def test_the_upgrade_may_come_without_a_probe_or_after_several(
    upgrade: Upgrade, before: list[str]
) -> None:
    upgrade.probe.says(*before, "5")
    assert upgrade.probe.sent == ["3probe"] * len(before)
    assert upgrade.transport == "websocket"


# --- messages at each step -------------------------------------------------------------------------


async def test_messages_sent_at_each_step_come_once_and_in_order(upgrade: Upgrade) -> None:
    poll = await upgrade.poller.begin()
    upgrade.emit("4a")
    upgrade.probe.says("2probe")
    upgrade.emit("4b")
    assert (await poll).body == b"4a\x1e4b"
    upgrade.emit("4c")
    upgrade.session.send(Message(b"451-[]", [b"\x01"]))
    upgrade.probe.says("5")
    upgrade.emit("4d")
    assert upgrade.probe.sent == ["3probe", "4c", "451-[]", b"\x01", "4d"]


async def test_a_poll_that_still_waits_gets_a_noop(upgrade: Upgrade) -> None:
    """A client may send its `5` without waiting for its poll."""
    poll = await upgrade.poller.begin()
    upgrade.emit("4a")
    upgrade.probe.says("5")
    upgrade.emit("4b")
    assert upgrade.probe.sent == ["4a", "4b"]
    assert (await poll).body == b"6"


async def test_a_post_under_way_is_not_delivered_after_the_upgrade(upgrade: Upgrade) -> None:
    upload = Upload()
    posting = asyncio.create_task(upgrade.poller.post(upload))
    upload.put(b"4lo")
    await settle()
    upgrade.probe.says("2probe", "5", "4first")
    upload.put(b"st")
    upload.end()
    assert (await posting).status == 400
    assert upgrade.listener.heard == [b"4first"]
    assert upgrade.listener.closed == []


async def test_a_post_before_the_upgrade_is_delivered_before_it(upgrade: Upgrade) -> None:
    upgrade.probe.says("2probe")
    assert (await upgrade.poller.post(b"4one\x1e4two")).body == b"ok"
    upgrade.probe.says("5", "4three")
    assert upgrade.listener.heard == [b"4one", b"4two", b"4three"]


# --- probes that fail ------------------------------------------------------------------------------

STEPS = pytest.mark.parametrize("said", [[], ["2probe"]], ids=["at first", "after 3probe"])


@STEPS
async def test_a_probe_that_does_not_get_on_is_closed(upgrade: Upgrade, said: list[str]) -> None:
    upgrade.probe.says(*said)
    upgrade.clock.advance(UPGRADE_TIMEOUT - 0.001)
    assert upgrade.probe.closed == []
    upgrade.clock.advance(LATE)
    assert upgrade.probe.closed == ["close"]
    await upgrade.still_polling()


@STEPS
@pytest.mark.parametrize("reason", ["transport close", "transport error"])
async def test_a_probe_that_goes_is_forgotten(upgrade: Upgrade, said: list[str], reason: str) -> None:
    upgrade.probe.says(*said)
    upgrade.probe.vanishes(reason)
    await upgrade.still_polling()


@STEPS
@pytest.mark.parametrize(
    "packet", ["4hello", "2", "2prob", "2probe2", "3probe", "3", "1", "0", "6", "", "bAQI=", "x", b"5", b""]
)
async def test_a_probe_that_says_anything_else_is_closed(
    upgrade: Upgrade, said: list[str], packet: Packet
) -> None:
    upgrade.probe.says(*said, packet, "4late", "5")
    assert upgrade.probe.closed == ["close"]
    assert upgrade.listener.heard == []
    await upgrade.still_polling()


@STEPS
async def test_a_second_probe_beside_the_first_is_closed(upgrade: Upgrade, said: list[str]) -> None:
    upgrade.probe.says(*said)
    second = await upgrade.poller.probe()
    assert second.closed == ["close"]
    assert second.sent == []
    upgrade.probe.says("2probe", "5", "4hello")
    assert upgrade.transport == "websocket"
    assert upgrade.listener.heard == [b"4hello"]


async def test_a_second_websocket_after_the_upgrade_is_closed(upgrade: Upgrade) -> None:
    upgrade.probe.says("2probe", "5")
    second = await upgrade.poller.probe()
    second.vanishes()
    assert second.closed == ["close"]
    second.receiver.receive_text(b"4from the wrong one")
    second.receiver.receive_binary(b"from the wrong one")
    second.receiver.carrier_lost("transport close", "bye")
    upgrade.emit("4hello")
    assert upgrade.probe.sent == ["3probe", "4hello"]
    assert (second.sent, upgrade.listener.heard, upgrade.listener.closed) == ([], [], [])


# --- sessions that end meanwhile -------------------------------------------------------------------

ENDS: dict[str, tuple[Callable[[Upgrade], object], str]] = {
    "no pong": (lambda upgrade: upgrade.session.fail("ping timeout"), "ping timeout"),
    "we close at once": (lambda upgrade: upgrade.session.close(discard=True), "forced close"),
    "the client closes": (lambda upgrade: upgrade.session.receive_text(b"1"), "transport close"),
}


@STEPS
@pytest.mark.parametrize("name", ENDS)
async def test_a_session_that_ends_takes_its_probe_along(
    upgrade: Upgrade, said: list[str], name: str
) -> None:
    end, reason = ENDS[name]
    upgrade.probe.says(*said)
    end(upgrade)
    assert upgrade.listener.reasons == [reason]
    assert upgrade.probe.closed == ["close"]
    assert upgrade.desk.timers == 0
    upgrade.clock.advance(1000)
    assert upgrade.clock.pending == []
    assert upgrade.probe.closed == ["close"]


@STEPS
async def test_a_closing_session_closes_over_the_websocket_if_that_comes_first(
    upgrade: Upgrade, said: list[str]
) -> None:
    upgrade.probe.says(*said)
    upgrade.emit("4last")
    upgrade.session.close()
    assert upgrade.session.state is State.CLOSING
    upgrade.probe.says("5")
    assert upgrade.probe.sent[len(said) :] == ["4last"]
    assert upgrade.probe.closed[0] == "close"
    assert upgrade.listener.reasons == ["forced close"]
    assert upgrade.listener.upgrades == []


@STEPS
async def test_a_closing_session_closes_over_a_poll_if_that_comes_first(
    upgrade: Upgrade, said: list[str]
) -> None:
    upgrade.probe.says(*said)
    upgrade.session.close()
    assert (await upgrade.poller.get()).body == b"6\x1e1"
    assert upgrade.listener.reasons == ["forced close"]
    assert upgrade.probe.closed == ["close"]


async def test_a_session_that_ends_while_its_websocket_shakes_hands() -> None:
    desk = Desk()
    poller = await desk.polling()
    request = make_request(f"EIO=4&transport=websocket&sid={poller.sid}")
    session, _ = await desk.engine.admit(request)
    poller.session.fail("ping timeout")
    carrier = FakeCarrier()
    desk.engine.open_websocket(request, session, carrier)
    assert carrier.closed == ["close"]
    assert desk.timers == 0
