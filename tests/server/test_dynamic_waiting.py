"""What happens while a function that makes namespaces is awaited."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from socketeer.options import Limits
from socketeer.server.namespace import Namespace
from tests.support.dynamic import DYNAMIC, children, connection_of, invalid, names
from tests.support.inprocess import Lobby


class Door:
    """An async function that answers for everybody at once, when it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def __call__(self, name: str, auth: dict[str, Any]) -> bool:
        self.asked.append(name)
        return await asyncio.shield(self._answer)

    async def answer(self, answer: bool) -> None:
        """Give the answer and wait until everybody has had it."""
        before = asyncio.all_tasks()
        self._answer.set_result(answer)
        others = before - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=5)
        await asyncio.sleep(0)  # the callbacks of the tasks


async def test_two_clients_at_once() -> None:
    lobby = Lobby()
    door = Door()
    made: list[Namespace] = []
    lobby.io.on("new_namespace", made.append)
    parent = lobby.io.of(door)
    clients = [lobby.client(), lobby.client()]
    for client in clients:
        assert client.asks("40/x,") == []
    assert names(lobby.io) == ["/"]
    await door.answer(True)
    assert [len(client.heard()) for client in clients] == [1, 1]
    assert len(made) == 1
    assert children(parent) == made
    assert len(made[0].sockets) == 2


async def test_a_namespace_made_meanwhile() -> None:
    lobby = Lobby()
    door = Door()
    parent = lobby.io.of(door)
    client = lobby.client()
    client.say("40/x,")
    static = lobby.io.of("/x")
    await door.answer(True)
    assert len(client.heard()) == 1
    assert len(static.sockets) == 1
    assert lobby.io.of("/x") is static
    assert children(parent) == []


async def test_refused_in_the_end() -> None:
    lobby = Lobby()
    door = Door()
    lobby.io.of(door)
    client = lobby.client()
    connection = connection_of(client)
    client.say("40/x,")
    assert connection.namespaces == 1
    await door.answer(False)
    assert client.heard() == invalid("/x")
    assert connection.namespaces == 0
    assert names(lobby.io) == ["/"]


@pytest.mark.parametrize("packet", ["40/x,", "41/x,", '42/x,["x"]'], ids=["CONNECT", "DISCONNECT", "EVENT"])
async def test_what_comes_meanwhile(packet: str, caplog: pytest.LogCaptureFixture) -> None:
    """As while a middleware is awaited: it has no place, and the connection is closed. Nothing is made."""
    lobby = Lobby()
    door = Door()
    lobby.io.of(door)
    client = lobby.client()
    client.say("40/x,", packet)
    assert client.ended()
    await door.answer(True)
    assert door.asked == ["/x"]
    assert names(lobby.io) == ["/"]
    assert len(caplog.records) == 1


@pytest.mark.parametrize("how", ["client", "server", "function"])
async def test_a_connection_that_ends_meanwhile(how: str) -> None:
    lobby = Lobby()
    door = Door()
    client = lobby.client()
    connection = connection_of(client)

    def close(name: str, auth: dict[str, Any]) -> bool:
        if how == "function":
            client.session.close()
        return False

    lobby.io.of(close)
    lobby.io.of(door)
    client.say("40/x,")
    if how == "client":
        client.vanish()
    elif how == "server":
        await lobby.io.close()
    assert client.ended()
    await door.answer(True)
    assert connection.namespaces == 0
    assert names(lobby.io) == ["/"]


async def test_a_listener_that_closes_what_asked() -> None:
    """`new_namespace` listeners come first: one that ends the connection leaves no half-joined socket."""
    lobby = Lobby(cleanup_empty_child_namespaces=True)
    parent = lobby.io.of(DYNAMIC)
    client = lobby.client()
    lobby.io.on("new_namespace", lambda nsp: client.session.close())
    client.say("40/dyn-1,")
    assert client.ended()
    assert children(parent) == []
    assert names(lobby.io) == ["/"]


async def test_who_waits_counts_for_the_limit() -> None:
    lobby = Lobby(limits=Limits(max_namespaces=3))
    door = Door()
    lobby.io.of(door)
    client = lobby.client()
    client.connect()
    client.say("40/x1,", "40/x2,")
    assert not client.ended()
    client.say("40/x3,")
    assert client.ended()
    assert door.asked == ["/x1", "/x2"]
    await door.answer(True)
    assert names(lobby.io) == ["/"]
