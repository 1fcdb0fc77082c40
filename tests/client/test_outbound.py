"""What is sent, what waits, and what becomes of acknowledgements."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from socketeer.errors import AckTimeout, SocketDisconnected
from tests.support.client_line import Line, turns


async def test_order_is_kept_by_what_is_emitted_while_the_buffer_leaves() -> None:
    line = Line()
    client = line.client
    client.emit("a")
    client.emit("b")
    client.on_any_outgoing(lambda event: client.emit("c") if event == "a" else None)
    client.on("early", lambda: client.emit("d"))
    client.connect()
    await turns()
    line.heard()
    line.say('42["early"]')
    line.welcome()
    assert line.heard() == [f'42["{name}"]' for name in "abdc"]


async def test_volatile_events_go_now_or_never() -> None:
    line = Line()
    client = line.client
    client.volatile.emit("before")
    await line.connected()
    client.volatile.emit("now")
    line.carrier.busy = True
    client.volatile.emit("never")
    client.emit("later")
    assert line.heard() == ['42["now"]', '42["later"]']
    assert not client.send_buffer


async def test_a_volatile_event_before_the_namespace_is_joined_waits_as_in_the_official_client() -> None:
    line = Line()
    line.client.connect()
    await turns()
    line.client.volatile.emit("a")
    assert len(line.client.send_buffer) == 1


async def test_only_what_was_sent_fails_with_the_connection() -> None:
    line = Line()
    client = await line.connected()
    sent = asyncio.create_task(client.emit_with_ack("sent"))
    await turns()
    line.vanish()
    kept = asyncio.create_task(client.emit_with_ack("kept", timeout=5))
    with pytest.raises(SocketDisconnected):
        await sent
    await turns()
    line.welcome()
    assert line.heard()[-1] == '421["kept"]'
    line.say('431["yes"]')
    assert await kept == "yes"


async def test_one_that_waited_too_long_is_never_sent() -> None:
    line = Line(ack_timeout=1)
    client = line.client
    late = asyncio.create_task(client.emit_with_ack("late"))
    client.emit("kept")
    await turns()
    line.clock.advance(1.1)
    with pytest.raises(AckTimeout):
        await late
    client.connect()
    await turns()
    line.welcome()
    assert line.heard() == ["40", '42["kept"]']
    assert len(client._outbound.acks) == 0


async def test_what_is_buffered_survives_a_disconnection_amid_the_sending() -> None:
    line = Line()
    client = line.client
    first = asyncio.create_task(client.emit_with_ack("a"))
    second = asyncio.create_task(client.emit_with_ack("b"))
    await turns()
    client.on_any_outgoing(lambda event: client.disconnect() if event == "a" else None)
    client.connect()
    await turns()
    line.welcome()
    with pytest.raises(SocketDisconnected):
        await first
    assert [each.args for each in client.send_buffer] == [("b",)]
    assert not second.done()
    second.cancel()
    await turns()
    assert not client.send_buffer
    assert len(client._outbound.acks) == 0
    line.vanish()
    await client.close()


async def test_after_a_sleep_nothing_is_sent_into_a_dead_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line()
    client = await line.connected()
    heard: list[Any] = []
    client.on("disconnect", heard.append)
    engine = client.io.engine
    assert engine is not None
    monkeypatch.setattr(type(engine), "overdue", True)
    answer = asyncio.create_task(client.emit_with_ack("a"))
    await turns()
    assert heard == ["ping timeout"]
    monkeypatch.undo()
    await turns()
    line.welcome()
    assert line.heard() == ["40", '420["a"]']
    line.say("430[1]")
    assert await answer == 1


async def test_acknowledgements_go_over_the_connection_that_asked() -> None:
    line = Line()
    client = await line.connected()
    answers: list[Any] = []

    @client.on("ask")
    async def ask() -> str:
        waiting: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        answers.append(waiting)
        return await waiting

    line.say('427["ask"]')
    line.vanish()
    await turns()
    line.welcome()
    line.heard()
    line.say('427["ask"]')
    for answer in answers:
        answer.set_result("yes")
    await turns()
    assert line.heard() == ['437["yes"]']


async def test_none_is_acknowledged_once_the_namespace_is_left() -> None:
    line = Line()
    client = await line.connected()
    client.of("/other").connect()
    line.heard()

    @client.on("ask")
    def ask() -> str:
        client.disconnect()
        return "too late"

    line.say('427["ask"]')
    assert line.heard() == ["41"]


async def test_a_catch_all_that_fails_again_at_what_its_failure_causes() -> None:
    line = Line()
    client = await line.connected()
    failures: list[Any] = []

    def fail(event: str) -> None:
        raise LookupError(event)

    client.on_any_outgoing(fail)

    @client.on("error")
    def error(error: Exception) -> None:
        failures.append(error.args[0])
        client.emit("report")

    client.emit("a")
    assert failures == ["a"]
    assert line.heard() == ['42["report"]', '42["a"]']
