"""At least once: in order, one under way, counted over time-outs and disconnections as the official client counts."""

from __future__ import annotations

import asyncio

import pytest

from socketeer.errors import AckTimeout, SocketDisconnected
from tests.support.client_line import Line, turns


async def test_one_after_the_other() -> None:
    line = Line(retries=1, ack_timeout=1)
    client = await line.connected()
    for name in "abc":
        client.emit(name)
    assert line.heard() == ['420["a"]']
    line.say("431[]", "432[]")  # of events that have not been sent
    assert line.heard() == []
    line.say("430[]")
    assert line.heard() == ['421["b"]']
    line.say("431[]", "432[]")
    assert line.heard() == ['422["c"]']


async def test_the_same_event_again_after_a_time_out() -> None:
    line = Line(retries=2, ack_timeout=1)
    client = await line.connected()
    answer = asyncio.create_task(client.emit_with_ack("a", b"x"))
    await turns()
    sent = line.heard()
    assert sent == ['451-0["a",{"_placeholder":true,"num":0}]', b"x"]
    for _ in range(2):
        line.clock.advance(1.1)
        assert line.heard() == sent
    line.clock.advance(1.1)
    with pytest.raises(AckTimeout):
        await answer
    client.emit("b")
    assert line.heard() == ['421["b"]']
    line.clock.advance(1.1)
    line.clock.advance(1.1)
    assert line.heard() == ['421["b"]', '421["b"]']  # it has as many tries as the first


async def test_the_acknowledgement_of_an_earlier_try_counts() -> None:
    line = Line(retries=2, ack_timeout=1)
    client = await line.connected()
    answer = asyncio.create_task(client.emit_with_ack("a"))
    await turns()
    line.clock.advance(1.1)
    line.say('430["late"]', '430["later"]')
    assert await answer == "late"


async def test_a_call_has_its_own_time_out() -> None:
    line = Line(retries=2, ack_timeout=1)
    client = await line.connected()
    client.timeout(5).emit("a")
    line.heard()
    line.clock.advance(3)
    assert line.heard() == []
    line.clock.advance(3)
    assert line.heard() == ['420["a"]']


async def test_disconnections_and_time_outs_are_counted_together() -> None:
    line = Line(retries=2, ack_timeout=1)
    client = await line.connected()
    answer = asyncio.create_task(client.emit_with_ack("a"))
    await turns()
    line.clock.advance(1.1)
    assert line.heard() == ['420["a"]', '420["a"]']
    line.vanish()
    await turns()
    line.welcome()
    assert line.heard() == ["40", '420["a"]']
    line.vanish()
    with pytest.raises(SocketDisconnected):
        await answer
    assert not client._outbound.retries


async def test_nothing_is_counted_while_there_is_no_connection() -> None:
    line = Line(retries=1, ack_timeout=1)
    line.client.emit("a")
    line.clock.advance(10)
    await line.connected()
    assert line.client._outbound.retries is not None
    assert len(line.client._outbound.retries) == 1
    line.say("430[]")
    assert len(line.client._outbound.retries) == 0


async def test_nobody_waits_any_more(caplog: pytest.LogCaptureFixture) -> None:
    line = Line(retries=1, ack_timeout=1)
    client = await line.connected()
    waiting = asyncio.create_task(client.emit_with_ack("a"))
    await turns()
    waiting.cancel()
    await turns()
    client.emit("b")
    line.heard()
    line.say("430[]")
    assert line.heard() == ['421["b"]']
    line.clock.advance(1.1)
    line.clock.advance(1.1)
    assert "event 'b' is given up after 2 tries" in caplog.text


async def test_volatile_events_do_not_queue() -> None:
    line = Line(retries=1)
    client = await line.connected()
    client.emit("a")
    client.volatile.emit("b")
    assert line.heard() == ['420["a"]', '42["b"]']


async def test_what_cannot_be_sent_is_told_by_emit() -> None:
    line = Line(retries=1)
    client = await line.connected()
    client.emit("a")
    with pytest.raises(TypeError):
        client.emit("b", object())
    value = [1]
    client.emit("c", value)
    value.append(2)
    line.heard()
    line.say("430[]")
    assert line.heard() == ['422["c",[1]]']


async def test_zero_retries_are_none() -> None:
    assert Line(retries=0).client._outbound.retries is None
