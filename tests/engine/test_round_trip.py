"""Round trips, against our own server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from socketeer import Client, Server
from socketeer.engine.client_session import ClientSession
from socketeer.engine.round_trip import round_trip
from tests.support.serving import serving

READ: list[Any] = []


@pytest.fixture
async def port() -> AsyncIterator[int]:
    READ.clear()
    io = Server()
    io.on("connection", lambda socket: socket.on("note", READ.append))
    async with serving(io) as port:
        yield port


def engine_of(client: Client) -> ClientSession:
    engine = client.io.engine
    assert engine is not None
    return engine


async def test_a_websockets_ping_is_measured_and_what_was_sent_has_been_read(port: int) -> None:
    async with Client(f"http://localhost:{port}", transports=["websocket"]) as client:
        for number in range(20):
            client.emit("note", number)
            took = await round_trip(engine_of(client))
            assert took is not None
            assert 0 < took < 5
            assert len(READ) == number + 1


async def test_polling_waits_for_the_answer_and_measures_nothing(port: int) -> None:
    async with Client(f"http://localhost:{port}", transports=["polling"]) as client:
        client.emit("note", "x" * 100_000)
        assert await round_trip(engine_of(client)) is None
        assert len(READ) == 1


async def test_during_an_upgrade_it_waits_for_its_end() -> None:
    READ.clear()
    io, released = Server(), asyncio.Event()
    io.on("connection", lambda socket: socket.on("note", READ.append))

    @io.engine.use
    def held(app: Any) -> Any:
        async def wait(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "websocket":
                await released.wait()
            await app(scope, receive, send)

        return wait

    async with serving(io) as port, Client(f"http://localhost:{port}") as client:
        engine = engine_of(client)
        assert engine.upgrading is not None
        client.emit("note", 1)
        asked = asyncio.ensure_future(round_trip(engine))
        await asyncio.sleep(0)
        released.set()
        assert await asyncio.wait_for(asked, 5) is not None
        assert READ == [1]


async def test_it_ends_with_the_connection(port: int) -> None:
    client = Client(f"http://localhost:{port}", transports=["websocket"])
    await client.connect()
    asked = asyncio.ensure_future(round_trip(engine_of(client)))
    await asyncio.sleep(0)
    engine_of(client).close(discard=True)
    assert await asyncio.wait_for(asked, 5) is None
    await client.close()
