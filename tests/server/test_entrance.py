"""Time-outs and limits of connections that join namespaces, or none."""

from __future__ import annotations

import asyncio

from socketeer.options import Limits
from tests.support.inprocess import Lobby


async def test_a_connection_that_joins_nothing() -> None:
    lobby = Lobby(connect_timeout=5)
    client = lobby.client()
    lobby.clock.advance(4.9)
    assert not client.ended()
    lobby.clock.advance(0.2)
    assert client.ended()
    assert lobby.io.engine.clients_count == 0


async def test_45_seconds_by_default() -> None:
    lobby = Lobby()
    client = lobby.client()
    for _ in range(2):
        lobby.clock.advance(22.4)
        client.say("3")
    assert not client.ended()
    lobby.clock.advance(0.3)
    assert client.ended()


async def test_a_connection_that_was_refused_everywhere() -> None:
    lobby = Lobby(connect_timeout=5)
    client = lobby.client()
    assert client.asks("40/nope,") == ['44/nope,{"message":"Invalid namespace"}']
    lobby.clock.advance(5.1)
    assert client.ended()


async def test_a_connection_that_has_joined_may_stay() -> None:
    lobby = Lobby(connect_timeout=5)
    client, socket = lobby.connected()
    socket.disconnect()
    lobby.clock.advance(6)
    assert not client.ended()


async def test_a_connection_that_ends_in_time_leaves_no_timer() -> None:
    lobby = Lobby(connect_timeout=5)
    client = lobby.client()
    assert len(lobby.io._entrance) == 1
    client.vanish()
    assert len(lobby.io._entrance) == 0


async def test_a_middleware_that_thinks_too_long() -> None:
    lobby = Lobby(connect_timeout=5)
    gate = asyncio.Event()
    lobby.io.use(lambda socket: gate.wait())
    client = lobby.client()
    client.say("40")
    lobby.clock.advance(5.1)
    assert client.ended()
    gate.set()
    await asyncio.sleep(0)
    assert lobby.io.sockets.sockets == {}


async def test_more_namespaces_than_allowed() -> None:
    lobby = Lobby(limits=Limits(max_namespaces=2))
    for number in range(3):
        lobby.io.of(f"/{number}")
    client = lobby.client()
    one, two = client.connect("/0"), client.connect("/1")
    two.disconnect()
    client.heard()
    client.connect("/1")
    client.say("40/2,")
    assert client.ended()
    assert one.disconnected
    assert lobby.io.of("/2").sockets == {}


async def test_namespaces_that_wait_in_middlewares_count() -> None:
    lobby = Lobby(limits=Limits(max_namespaces=2))
    gate = asyncio.Event()
    for number in range(3):
        lobby.io.of(f"/{number}").use(lambda socket: gate.wait())
    client = lobby.client()
    client.say("40/0,", "40/1,")
    assert not client.ended()
    client.say("40/2,")
    assert client.ended()
