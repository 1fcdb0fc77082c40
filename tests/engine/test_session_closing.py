"""How a session closes on long-polling, where the client may have to come back to hear of it."""

from __future__ import annotations

import pytest

from socketeer.engine.session import CLOSE_TIMEOUT, Session, State
from socketeer.engine.timers import RESOLUTION, grain_of
from socketeer.protocol.frame import Message
from tests.engine.fakes import Desk, Poller

INTERVAL = 25.0
#: A little more than a deadline may be late.
LATE = RESOLUTION * grain_of(20.0) + 0.001


@pytest.fixture
async def desk() -> Desk:
    return Desk(ping_interval=INTERVAL)


async def polling(desk: Desk) -> tuple[Poller, Session]:
    poller = await desk.polling()
    return poller, poller.session


async def test_a_poll_that_waits_is_told_at_once(desk: Desk) -> None:
    poller, session = await polling(desk)
    poll = await poller.begin()
    session.close()
    assert poller.listener.reasons == ["forced close"]
    assert (await poll).body == b"1"
    assert desk.timers == 0


async def test_without_a_poll_the_session_waits_for_one(desk: Desk) -> None:
    poller, session = await polling(desk)
    session.close()
    assert (session.state, session.ready_state) == (State.CLOSING, "closing")
    assert poller.listener.closed == []
    assert not session.writable()
    assert (await poller.get()).body == b"6\x1e1"
    assert poller.listener.reasons == ["forced close"]
    assert (await poller.get()).status == 400


async def test_queued_messages_leave_before_the_close_packet(desk: Desk) -> None:
    poller, session = await polling(desk)
    session.send(Message(b"4one"))
    session.send(Message(b"4two"))
    session.close()
    session.send(Message(b"4late"))
    assert (await poller.get()).body == b"4one\x1e4two"
    assert session.state is State.CLOSING
    assert (await poller.get()).body == b"6\x1e1"
    assert poller.listener.reasons == ["forced close"]


async def test_messages_on_their_way_to_a_poll_are_not_lost(desk: Desk) -> None:
    poller, session = await polling(desk)
    poll = await poller.begin()
    session.send(Message(b"4one"))
    session.close()
    assert (await poll).body == b"4one"
    assert (await poller.get()).body == b"6\x1e1"
    assert poller.listener.reasons == ["forced close"]


async def test_a_client_that_does_not_come_back_is_not_waited_for_long(desk: Desk) -> None:
    assert CLOSE_TIMEOUT == 30.0, "as the official server"
    poller, session = await polling(desk)
    session.close()
    desk.clock.advance(CLOSE_TIMEOUT - 0.001)
    assert poller.listener.closed == []
    desk.clock.advance(LATE)
    assert poller.listener.reasons == ["forced close"]
    assert (await poller.get()).status == 400
    desk.clock.advance(INTERVAL)
    assert desk.clock.pending == []


async def test_a_closing_session_hears_nothing_and_sends_no_ping(desk: Desk) -> None:
    poller, session = await polling(desk)
    session.close()
    session.close()
    assert (await poller.post(b"4hello\x1ebAQI=\x1e2\x1e1\x1ex")).body == b"ok"
    assert poller.listener.heard == []
    assert session.state is State.CLOSING
    desk.clock.advance(INTERVAL + LATE)
    assert session.transport.held() == 0
    session.close(discard=True)
    assert poller.listener.closed == []


async def test_discarding_does_not_wait_for_a_poll(desk: Desk) -> None:
    poller, session = await polling(desk)
    session.send(Message(b"4lost"))
    session.close(discard=True)
    assert poller.listener.reasons == ["forced close"]
    session.send(Message(b"4late"))
    assert session.transport.held() == 0
    assert desk.timers == 0
    assert (await poller.get()).status == 400


async def test_a_client_that_closes_gets_a_noop(desk: Desk) -> None:
    poller, _ = await polling(desk)
    poll = await poller.begin()
    assert (await poller.post(b"4one\x1e1\x1e4two")).body == b"ok"
    assert poller.listener.closed == [("transport close", "closed by the peer")]
    assert poller.listener.heard == [b"4one"]
    assert (await poll).body == b"6"
