"""Dynamic namespaces end with their last client, where the server is told so."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from socketeer.errors import ConnectionRefused
from socketeer.server.socket import Socket
from tests.support.dynamic import DYNAMIC, children, join, names
from tests.support.inprocess import Lobby, soon


async def test_children_stay_by_default() -> None:
    lobby = Lobby()
    parent = lobby.io.of(DYNAMIC)
    socket = join(lobby.client(), "/dyn-1")
    socket.disconnect()
    assert children(parent) == [socket.nsp]
    assert names(lobby.io) == ["/", "/dyn-1"]


@pytest.mark.parametrize("how", ["client", "server", "connection"])
async def test_a_child_ends_with_its_last_client(how: str) -> None:
    lobby = Lobby(cleanup_empty_child_namespaces=True)
    made: list[str] = []
    lobby.io.on("new_namespace", lambda nsp: made.append(nsp.name))
    parent = lobby.io.of(DYNAMIC)
    first, last = join(lobby.client(), "/dyn-1"), join(client := lobby.client(), "/dyn-1")
    first.disconnect()
    assert children(parent) == [last.nsp]
    last.on("disconnect", lambda: made.append(f"{len(parent.children)} at the end"))
    if how == "client":
        client.say("41/dyn-1,")
    elif how == "server":
        last.disconnect()
    else:
        client.vanish()
    assert children(parent) == []
    assert names(lobby.io) == ["/"]
    again = join(lobby.client(), "/dyn-1")
    assert again.nsp is not last.nsp
    assert made == ["/dyn-1", "0 at the end", "/dyn-1"]


async def test_static_namespaces_do_not_end() -> None:
    lobby = Lobby(cleanup_empty_child_namespaces=True)
    lobby.io.of(DYNAMIC)
    static = lobby.io.of("/chat")
    join(lobby.client(), "/chat").disconnect()
    assert lobby.io.of("/chat") is static
    lobby.connected()[1].disconnect()
    assert names(lobby.io) == ["/", "/chat"]


async def test_a_child_that_nobody_could_enter_ends() -> None:
    lobby = Lobby(cleanup_empty_child_namespaces=True)
    parent = lobby.io.of(DYNAMIC)

    @parent.use
    def refuse(socket: Socket) -> None:
        socket.join("room")
        raise ConnectionRefused("no")

    assert lobby.client().asks("40/dyn-1,") == ['44/dyn-1,{"message":"no"}']
    assert children(parent) == []
    assert names(lobby.io) == ["/"]


async def test_a_child_ends_when_who_wanted_in_has_gone() -> None:
    lobby = Lobby(cleanup_empty_child_namespaces=True)
    parent = lobby.io.of(DYNAMIC)
    gate = asyncio.Event()
    judged = asyncio.Event()

    @parent.use
    async def wait(socket: Socket) -> None:
        await gate.wait()
        asyncio.get_running_loop().call_soon(judged.set)

    client = lobby.client()
    client.say("40/dyn-1,")
    client.vanish()
    assert names(lobby.io) == ["/", "/dyn-1"]
    gate.set()
    await soon(judged)
    await asyncio.sleep(0)
    assert names(lobby.io) == ["/"]
    assert children(parent) == []


async def test_a_child_that_somebody_is_entering_stays() -> None:
    """The last client leaves while another is in the middlewares, and one of two is refused there."""
    lobby = Lobby(cleanup_empty_child_namespaces=True)
    parent = lobby.io.of(DYNAMIC)
    gate = asyncio.Event()

    @parent.use
    async def wait(socket: Socket) -> None:
        if socket.handshake.auth:
            await gate.wait()
            if "bad" in socket.handshake.auth:
                raise ConnectionRefused("bad")

    entered = asyncio.Event()

    @parent.on("connection")
    def connection(socket: Socket) -> None:
        if socket.handshake.auth:
            entered.set()

    last = join(lobby.client(), "/dyn-1")
    bad, good = lobby.client(), lobby.client()
    bad.say('40/dyn-1,{"bad":1}')
    good.say('40/dyn-1,{"good":1}')
    last.disconnect()
    assert children(parent) == [last.nsp]
    gate.set()
    await bad.hears('44/dyn-1,{"message":"bad"}')
    assert children(parent) == [last.nsp]
    await soon(entered)
    assert names(lobby.io) == ["/", "/dyn-1"]
    (socket,) = lobby.io.of("/dyn-1").sockets.values()
    assert socket.nsp is last.nsp
    good.vanish()
    assert names(lobby.io) == ["/"]


async def test_a_client_that_its_own_listener_disconnects() -> None:
    lobby = Lobby(cleanup_empty_child_namespaces=True)
    parent = lobby.io.of(DYNAMIC)
    parent.on("connection", lambda socket: socket.disconnect())
    client = lobby.client()
    assert [str(each)[:2] for each in client.asks("40/dyn-1,")] == ["40", "41"]
    assert children(parent) == []
    assert names(lobby.io) == ["/"]


async def test_children_that_end_while_they_are_emitted_to() -> None:
    """Slow clients are given up in the middle of a broadcast, and their namespaces end with them."""
    lobby = Lobby(cleanup_empty_child_namespaces=True)
    parent = lobby.io.of(DYNAMIC)
    clients = [lobby.client() for _ in range(3)]
    for n, client in enumerate(clients):
        join(client, f"/dyn-{n}")
    for client in clients[:2]:
        client.carrier.max_bytes = 10
    parent.emit("large", "x" * 100)
    assert names(lobby.io) == ["/", "/dyn-2"]
    assert len(clients[2].heard()) == 1


class SlowAdapter:
    """Takes its time to close. The rest is the adapter's that was there."""

    def __init__(self, inner: Any, fail: bool) -> None:
        self._inner = inner
        self._fail = fail
        self.gate = asyncio.Event()
        self.closed = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def close(self) -> None:
        await self.gate.wait()
        self.closed += 1
        if self._fail:
            raise OSError("the broker has gone")


@pytest.mark.parametrize("fail", [False, True], ids=["well", "badly"])
async def test_the_adapter_of_a_child_is_closed_once(fail: bool, caplog: pytest.LogCaptureFixture) -> None:
    """And the server's end waits for it."""
    lobby = Lobby(cleanup_empty_child_namespaces=True)
    adapters: list[SlowAdapter] = []

    @lobby.io.on("new_namespace")
    def slow_down(nsp: Any) -> None:
        nsp.adapter = SlowAdapter(nsp.adapter, fail)
        adapters.append(nsp.adapter)

    lobby.io.of(DYNAMIC)
    join(lobby.client(), "/dyn-1").disconnect()
    assert names(lobby.io) == ["/"]
    join(lobby.client(), "/dyn-2")
    closing = asyncio.ensure_future(lobby.io.close())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not closing.done()
    for adapter in adapters:
        adapter.gate.set()
    async with asyncio.timeout(5):
        await closing
    assert [adapter.closed for adapter in adapters] == [1, 1]
    assert lobby.io._parents._closing == set()
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2 * fail
