"""The connection below the namespaces: attempts, their order, and what listeners do meanwhile."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from socketeer.client import manager
from socketeer.client.manager import Phase
from socketeer.engine.session import Transport
from socketeer.errors import TransportError, UsageError
from tests.support.client_line import Line, turns

EVENTS = (
    "open",
    "ping",
    "error",
    "close",
    "reconnect_attempt",
    "reconnect",
    "reconnect_error",
    "reconnect_failed",
)


def trace(line: Line) -> list[str]:
    told: list[str] = []

    def listener(event: str) -> Any:
        return lambda *args: told.append(" ".join([event, *(str(each) for each in args[:1])]))

    for event in EVENTS:
        line.client.io.on(event, listener(event))
    return told


async def test_a_life() -> None:
    line = Line()
    told = trace(line)
    await line.connected()
    line.say("2")
    line.wires.refusing = ["first", "second"]
    line.vanish("transport error")
    await turns(20)
    assert told == [
        *("open", "ping", "error transport error", "close transport error"),
        *("reconnect_attempt 1", "error first", "reconnect_error first"),
        *("reconnect_attempt 2", "error second", "reconnect_error second"),
        *("reconnect_attempt 3", "open", "reconnect 3"),
    ]
    line.vanish()
    await turns()
    assert told[-3:] == ["reconnect_attempt 1", "open", "reconnect 1"]


async def test_the_last_attempt() -> None:
    line = Line(reconnection_attempts=1)
    told = trace(line)
    line.wires.refusing = ["first", "second"]
    with pytest.raises(TransportError, match="second"):
        await line.client.connect()
    assert told == [
        "error first",
        "reconnect_attempt 1",
        "error second",
        "reconnect_failed",
        "reconnect_error second",
    ]
    assert line.client.io.phase is Phase.CLOSED
    assert not line.client.active


@pytest.mark.parametrize("options", [{"reconnection": False}, {"reconnection_attempts": 0}])
async def test_no_attempts_at_all(options: dict[str, Any]) -> None:
    line = Line(**options)
    told = trace(line)
    await line.connected()
    line.vanish()
    await turns()
    assert told == ["open", "close transport close"]
    assert not line.client.active


async def test_what_goes_wrong_below_is_a_failed_attempt() -> None:
    line = Line(reconnection=False)

    async def broken(*_: Any) -> Any:
        raise RuntimeError("a bug")

    line.wires.open = broken  # type: ignore[method-assign,assignment]
    with pytest.raises(TransportError, match="a bug"):
        await line.client.connect()


@pytest.mark.parametrize("event", ["reconnect_attempt", "reconnect_error", "error"])
async def test_one_more_namespace_starts_no_second_loop(event: str) -> None:
    line = Line()
    client = await line.connected()
    line.wires.refusing = ["first"]
    client.io.once(event, lambda *_: client.of("/other").connect())
    line.vanish()
    await turns(20)
    assert len(line.wires.carriers) == 2
    assert sorted(line.heard()) == ["40", "40/other,"]


@pytest.mark.parametrize("event", ["open", "reconnect"])
async def test_a_namespace_that_joins_when_it_opens_asks_once(event: str) -> None:
    line = Line()
    client = line.client
    client.io.once(event, lambda *_: client.of("/other").connect())
    line.wires.refusing = ["first"]
    client.connect()
    await turns(20)
    assert line.heard() == ["40", "40/other,"]


async def test_a_namespace_that_joins_when_another_is_cut_off() -> None:
    line = Line(reconnection=False)
    client = await line.connected()

    @client.once("disconnect")
    def join_another() -> None:
        line.reopen()
        client.of("/other").connect()

    line.vanish()
    await turns()
    assert len(line.wires.carriers) == 2
    assert line.heard() == ["40/other,"]


async def test_a_namespace_that_joins_while_the_connection_closes() -> None:
    line = Line()
    client = await line.connected()
    never_finished = SimpleNamespace(name="websocket", finish=lambda ended: None, close=lambda: None)
    line.wires.sessions[0].transport = cast(Transport, never_finished)
    line.wires.sessions[0].close()
    other = client.of("/other")
    failures: list[Exception] = []
    other.on("connect_error", failures.append)
    other.connect()
    line.vanish()
    await turns()
    assert line.heard() == ["40", "40/other,"]
    assert failures == []


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("event", ["reconnect_attempt", "reconnect_error", "error"])
async def test_nothing_is_tried_once_it_is_called_off(event: str, asynchronous: bool) -> None:
    line = Line()
    client = await line.connected()

    async def leave() -> None:
        client.disconnect()

    client.io.on(event, leave if asynchronous else client.disconnect)
    line.wires.refusing = ["first", "second"]
    line.vanish()
    await turns(20)
    assert not client.active
    assert len(line.wires.refusing) == (2 if event == "reconnect_attempt" else 1)
    assert client.io.phase is Phase.CLOSED


async def test_leaving_closes_the_connection_of_the_last_one() -> None:
    line = Line()
    told = trace(line)
    client = await line.connected()
    other = client.of("/other")
    other.connect()
    client.disconnect()
    assert told == ["open"]
    other.disconnect()
    assert told == ["open", "close forced close"]
    assert line.heard() == ["40/other,", "41"]
    assert client.io.engine is None
    assert line.carrier.closed
    line.vanish()
    await client.close()
    assert line.wires.closed
    assert told == ["open", "close forced close"]


async def test_a_connection_that_does_not_end_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socketeer.client.manager.LAST_WORDS", 0.01)
    line = Line()
    client = await line.connected()
    never_finished = SimpleNamespace(name="websocket", finish=lambda ended: None, close=lambda: None)
    line.wires.sessions[0].transport = cast(Transport, never_finished)
    await client.close()
    assert line.wires.closed
    assert line.wires.sessions[0].ready_state == "closed"


async def test_disconnecting_ends_the_waiting_at_once() -> None:
    line = Line(reconnection_delay=1000, reconnection_delay_max=1000)
    told = trace(line)
    line.wires.refusing = ["first"]
    line.client.connect()
    await turns()
    assert line.client.io.reconnecting
    line.client.disconnect()
    await line.client.close()
    assert told == ["error first"]
    assert not line.client.io.reconnecting


async def test_listeners_that_fail(caplog: pytest.LogCaptureFixture) -> None:
    line = Line()

    @line.client.io.on("open")
    def fails() -> None:
        raise LookupError

    @line.client.io.on("open")
    async def fails_later() -> None:
        await asyncio.sleep(0)
        raise KeyError

    client = await line.connected()
    assert client.connected
    assert caplog.text.count("a listener of io.on('open') failed") == 2


def test_a_name_that_is_no_event_of_a_connection() -> None:
    line = Line()
    with pytest.raises(UsageError, match=r"one of close, error, open, .*, got 'reconect'"):
        line.client.io.on("reconect")
    assert set(EVENTS) == manager.EVENTS
