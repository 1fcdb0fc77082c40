"""`socket.use`: functions that are asked about each event before its handlers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.inprocess import Lobby, soon


async def test_asked_about_each_event_before_its_handlers() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    seen: list[Any] = []
    socket.use(lambda args: seen.append(("middleware", *args)))
    socket.on("x", lambda *args: seen.append(("handler", *args)))
    client.say('42["x",1]', '42["y",2]')
    assert seen == [("middleware", "x", 1), ("handler", 1), ("middleware", "y", 2)]


async def test_it_may_change_the_arguments() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()

    @socket.use
    def middleware(args: list[Any]) -> None:
        args[0] = "y"
        args[1:] = [args[1] + 1, "more"]

    socket.on("x", lambda *args: pytest.fail("another name"))
    socket.on("y", lambda *args: list(args))
    assert client.asks('420["x",1]') == ['430[[2,"more"]]']


@pytest.mark.parametrize("left", [[], ["disconnect"], ["error", "forged"]])
async def test_what_it_leaves_may_be_nothing_or_an_event_of_our_own(left: list[Any]) -> None:
    lobby = Lobby()
    client, socket = lobby.connected()

    def middleware(args: list[Any]) -> None:
        args[:] = left

    socket.use(middleware)
    for event in ("x", "disconnect", "error"):
        socket.on(event, lambda *args: pytest.fail("called"))
    assert client.asks('420["x",1]') == []
    socket.off()


@pytest.mark.parametrize("turns", [0, 1])
async def test_an_event_that_is_refused(turns: int) -> None:
    """It goes no further; `error` listeners are told, the client is not; the connection lives on."""
    lobby = Lobby()
    client, socket = lobby.connected()
    told: list[Exception] = []
    done = asyncio.Event()
    refusal = ValueError("not now")

    async def middleware(args: list[Any]) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        if args[0] == "x":
            raise refusal

    def listener(error: Exception) -> None:
        told.append(error)
        done.set()

    socket.use(middleware)
    socket.on("x", lambda: pytest.fail("called"))
    socket.on("y", lambda: "still")
    socket.on("error", listener)
    client.say('420["x"]')
    await soon(done)
    assert told == [refusal]
    client.say('421["y"]')
    await client.hears('431["still"]')


async def test_an_event_of_a_socket_that_goes_meanwhile() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    gate = asyncio.Event()
    over = asyncio.Event()
    calls: list[str] = []

    async def middleware(args: list[Any]) -> None:
        await gate.wait()
        over.set()

    socket.use(middleware)
    socket.on("x", lambda: calls.append("x"))
    client.say('42["x"]')
    client.vanish()
    gate.set()
    await soon(over)
    await asyncio.sleep(0)
    assert calls == []
