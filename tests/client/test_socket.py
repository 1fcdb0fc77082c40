"""One namespace: what the server may say, and what the socket makes of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from socketeer.client.joining import MOST_EARLY
from socketeer.errors import (
    ConnectionRefused,
    ReservedEventError,
    SocketDisconnected,
    UsageError,
)
from tests.support.client_line import Line, turns


def listen(line: Line, *events: str) -> list[Any]:
    heard: list[Any] = []

    def listener(event: str) -> Any:
        return lambda *args: heard.append((event, *args))

    for event in events:
        line.client.on(event, listener(event))
    return heard


async def test_joining() -> None:
    line = Line("/chat", auth={"token": 1})
    client = line.client
    connecting = asyncio.ensure_future(client.joined())
    with pytest.raises(SocketDisconnected, match="call connect"):
        await connecting
    client.connect()
    client.connect()
    await turns()
    assert line.heard() == ['40/chat,{"token":1}']
    assert (client.active, client.connected, client.disconnected) == (True, False, True)
    line.welcome("abc")
    assert (client.id, client.connected, client.disconnected) == ("abc", True, False)
    await client.connect()


@pytest.mark.parametrize("data", ["", '{"sid":1}', "{}"])
async def test_a_welcome_without_an_id(data: str) -> None:
    line = Line()
    heard = listen(line, "connect_error", "connect")
    waiting = asyncio.ensure_future(_await(line.client.connect()))
    await turns()
    line.say(f"40{data}")
    with pytest.raises(ConnectionRefused, match=r"Socket\.IO 2"):
        await waiting
    assert heard[0][0] == "connect_error"


async def test_refused() -> None:
    line = Line()
    heard = listen(line, "connect_error")
    waiting = asyncio.ensure_future(_await(line.client.connect()))
    await turns()
    line.say('44{"message":"no","data":{"code":1}}')
    with pytest.raises(ConnectionRefused, match="no") as caught:
        await waiting
    assert heard == [("connect_error", caught.value)]
    with pytest.raises(ConnectionRefused):
        await line.client.joined()


async def test_thrown_out_before_it_was_in() -> None:
    line = Line()
    heard = listen(line, "disconnect")
    waiting = asyncio.ensure_future(_await(line.client.connect()))
    await turns()
    line.say("41")
    with pytest.raises(SocketDisconnected):
        await waiting
    assert heard == [("disconnect", "io server disconnect", None)]


async def test_packets_that_mean_nothing_now() -> None:
    line = Line()
    client = await line.connected()
    heard = listen(line, "connect", "connect_error", "disconnect")
    line.say('40{"sid":"other"}', '44{"message":"no"}', "4399[]", '42/other,["a"]', "41/other,")
    assert heard == []
    assert client.id == "id"
    assert line.heard() == []


async def test_events_before_the_welcome() -> None:
    line = Line()
    order: list[Any] = []
    line.client.on("a", order.append)
    line.client.on("connect", lambda: order.append("connect"))
    line.client.connect()
    await turns()
    line.say('42["a",1]', '451-["a",{"_placeholder":true,"num":0}]', b"2")
    assert order == []
    line.welcome()
    assert order == [1, b"2", "connect"]


async def test_more_events_before_the_welcome_than_any_server_has_to_send() -> None:
    line = Line(reconnection=False)
    heard = listen(line, "a")
    line.client.connect()
    await turns()
    line.say(*['42["a"]'] * MOST_EARLY)
    before = line.carrier.closed
    line.say('42["a"]')
    assert [before, line.carrier.closed] == [False, True]
    assert heard == []


async def test_events_before_a_welcome_that_never_came() -> None:
    line = Line()
    heard = listen(line, "a")
    line.client.connect()
    await turns()
    line.say('42["a",1]')
    line.vanish()
    await turns()
    line.welcome()
    assert heard == []


async def test_a_listener_that_disconnects_hears_no_more() -> None:
    line = Line()
    heard = listen(line, "connect", "b")
    line.client.on("a", line.client.disconnect)
    line.client.connect()
    await turns()
    line.say('42["a"]', '42["b"]')
    line.welcome()
    assert heard == []
    line.vanish()


async def test_the_offset_is_the_last_string_of_a_session_that_can_be_recovered() -> None:
    line = Line()
    client = await line.connected()
    line.say('42["a","x"]')
    assert client._offset is None  # without a pid there is nothing to recover
    line.vanish()
    await turns()
    assert line.heard() == ["40"]
    line.welcome(pid="P")
    line.say('42["a",1]', '42["a"]', '425["a","with an ack"]')
    line.vanish()
    await turns()
    assert line.heard() == ['40{"pid":"P"}']
    line.welcome(pid="P")
    assert (client.id, client.recovered) == ("id", True)
    line.say('42["a",1,"offset"]', '451-["a",{"_placeholder":true,"num":0},"offset 2"]', b"x")
    line.vanish()
    await turns()
    assert line.heard() == ['40{"pid":"P","offset":"offset 2"}']
    line.welcome(pid="Q")
    assert (client.id, client.recovered) == ("id", False)
    line.vanish()
    await turns()
    assert line.heard() == ['40{"pid":"Q"}']  # the offset meant an event of P


async def test_auth_may_leave_meanwhile() -> None:
    line = Line()
    client = line.client

    def auth() -> dict[str, Any]:
        client.disconnect()
        return {}

    client.auth = auth
    waiting = asyncio.ensure_future(_await(client.connect()))
    await turns()
    with pytest.raises(SocketDisconnected):
        await waiting
    assert line.heard() == []
    line.vanish()


async def test_auth_may_leave_a_connection_that_others_use() -> None:
    line = Line()
    client = await line.connected()
    other = client.of("/other")

    def auth() -> dict[str, Any]:
        other.disconnect()
        return {}

    other.auth = auth
    other.connect()
    assert line.heard() == []
    assert not other.active


async def test_auth_may_join_another_namespace_anew() -> None:
    line = Line()
    client, other = line.client, line.client.of("/other")

    def auth() -> dict[str, Any]:
        other.disconnect()
        other.connect()
        return {}

    client.auth = auth
    other.auth = None
    client.connect()
    other.connect()
    await turns()
    assert line.heard() == ["40/other,", "40"]


async def test_a_listener_that_joins_another_namespace_anew_as_the_connection_ends() -> None:
    line = Line()
    client = await line.connected()
    other = client.of("/other")
    other.connect()
    line.say('40/other,{"sid":"other"}')
    failures: list[Exception] = []
    other.on("connect_error", failures.append)

    @client.on("disconnect")
    def join_anew() -> None:
        other.disconnect()
        other.connect()

    line.vanish()
    await turns()
    assert failures == []
    assert sorted(line.heard()) == ["40", "40/other,"]


async def test_auth_that_is_asked_when_the_connection_breaks() -> None:
    line = Line()
    client, asked = line.client, []

    async def auth() -> dict[str, Any]:
        asked.append("asked")
        if len(asked) == 1:
            try:
                await asyncio.Event().wait()
            finally:
                asked.append("cancelled")
        return {"asked": asked}

    client.auth = auth
    client.connect()
    await turns()
    line.vanish()
    await turns(10)
    assert line.heard() == ['40{"asked":["asked","cancelled","asked"]}']
    line.welcome()
    assert client.connected
    assert client._asking is None


async def test_auth_that_fails_when_it_is_not_wanted_any_more() -> None:
    line = Line()
    client, asked = line.client, []

    async def auth() -> dict[str, Any]:
        asked.append(1)
        if len(asked) == 1:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise LookupError("too late to matter") from None
        return {}

    client.auth = auth
    client.connect()
    await turns()
    line.vanish()
    await turns(10)
    line.welcome()
    assert client.connected


async def test_why_it_came_to_nothing_is_told_later_too() -> None:
    line = Line(reconnection=False)
    line.wires.refusing = ["no way"]
    line.client.connect()
    await turns()
    assert await line.client.wait() == "no way"


async def test_a_listener_that_connects_again_keeps_the_end_away() -> None:
    line = Line()
    client = await line.connected()
    over = asyncio.create_task(client.wait())

    @client.once("disconnect")
    def again() -> None:
        line.reopen()
        client.connect()

    await turns()
    line.say("41")
    await turns()
    line.welcome()
    assert client.connected
    assert not over.done()
    line.say("41")
    assert await over == "io server disconnect"


async def test_waiting_for_the_end() -> None:
    line = Line()
    client = await line.connected()
    over = asyncio.create_task(client.wait())
    line.vanish()
    await turns()
    assert not over.done()
    line.welcome()
    line.say("41")
    assert await over == await client.wait() == "io server disconnect"


async def test_parse_error() -> None:
    line = Line()
    heard = listen(line, "disconnect")
    await line.connected()
    line.say("4nonsense")
    assert heard[0][:2] == ("disconnect", "parse error")
    await turns()
    assert len(line.wires.carriers) == 2


async def test_silence_is_a_ping_timeout() -> None:
    line = Line()
    heard = listen(line, "disconnect")
    await line.connected()
    line.clock.advance(44)
    assert heard == []
    line.say("2")
    line.clock.advance(44)
    assert heard == []
    line.clock.advance(2)
    assert heard[0][:2] == ("disconnect", "ping timeout")


def test_without_a_loop() -> None:
    from socketeer.client.client import Client

    client = Client("http://localhost")
    client.emit("kept")
    with pytest.raises(UsageError, match="running event loop"):
        client.connect()
    assert not client.active
    assert len(client.send_buffer) == 1


def test_names_that_no_server_sends() -> None:
    from socketeer.client.client import Client

    client = Client("http://localhost")
    for name in ("disconnecting", "newListener", "removeListener"):
        with pytest.raises(ReservedEventError):
            client.on(name, print)


async def _await(awaitable: Any) -> None:
    await awaitable
