"""Middlewares let a client or an event in, or refuse by raising."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from socketeer.errors import ConnectionRefused
from socketeer.server.middleware import run_middlewares
from socketeer.server.socket import Socket
from tests.support.inprocess import Lobby, Poller, soon

# --- running them -------------------------------------------------------------------------------


class Verdict:
    """What a run of middlewares came to."""

    def __init__(self) -> None:
        self.given: list[Exception | None] = []
        self.done = asyncio.Event()

    def __call__(self, error: Exception | None) -> None:
        self.given.append(error)
        self.done.set()


async def test_one_after_the_other() -> None:
    steps: list[str] = []

    async def slow(subject: list[str]) -> None:
        steps.append("slow starts")
        await asyncio.sleep(0)
        steps.append(f"slow ends: {subject}")

    verdict = Verdict()
    run_middlewares([slow, lambda _: steps.append("quick"), slow], ["subject"], verdict)
    assert steps == ["slow starts"]
    await soon(verdict.done)
    assert steps == [
        "slow starts",
        "slow ends: ['subject']",
        "quick",
        "slow starts",
        "slow ends: ['subject']",
    ]
    assert verdict.given == [None]


async def test_all_at_once_where_none_has_to_wait() -> None:
    async def at_once(_: Any) -> None: ...

    verdict = Verdict()
    run_middlewares([at_once, lambda _: None], None, verdict)
    assert verdict.given == [None]


@pytest.mark.parametrize("turns", [0, 1])
async def test_the_first_that_raises_ends_it(turns: int) -> None:
    refusal = ConnectionRefused("no")

    async def refuses(_: Any) -> None:
        for _turn in range(turns):
            await asyncio.sleep(0)
        raise refusal

    verdict = Verdict()
    run_middlewares([refuses, lambda _: pytest.fail("not asked")], None, verdict)
    await soon(verdict.done)
    assert verdict.given == [refusal]


@pytest.mark.parametrize("turns", [0, 1])
async def test_one_that_is_cancelled_refuses(turns: int) -> None:
    """It awaits what somebody else has cancelled."""
    gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    gone.cancel()

    async def cancelled(_: Any) -> None:
        for _turn in range(turns):
            await asyncio.sleep(0)
        await gone

    verdict = Verdict()
    run_middlewares([cancelled], None, verdict)
    await soon(verdict.done)
    (error,) = verdict.given
    assert isinstance(error, Exception)


async def test_the_list_is_the_one_of_the_beginning() -> None:
    middlewares: list[Any] = [lambda _: middlewares.append(lambda _: pytest.fail("not asked"))]
    verdict = Verdict()
    run_middlewares(middlewares, None, verdict)
    assert verdict.given == [None]


# --- of a namespace -----------------------------------------------------------------------------


async def test_asked_about_each_client_before_it_connects() -> None:
    lobby = Lobby()
    seen: list[Any] = []

    @lobby.io.use
    def middleware(socket: Socket) -> None:
        seen.append((socket.handshake.auth, socket.connected, len(lobby.io.sockets.sockets)))

    lobby.client().connect(auth={"token": "t"})
    lobby.client().connect()
    assert seen == [({"token": "t"}, False, 0), ({}, False, 1)]


@pytest.mark.parametrize("turns", [0, 1])
@pytest.mark.parametrize(
    ("refusal", "wire"),
    [
        (ConnectionRefused("not authorized"), '44{"message":"not authorized"}'),
        (
            ConnectionRefused("no", data={"code": 7, "why": [None]}),
            '44{"message":"no","data":{"code":7,"why":[null]}}',
        ),
        (ConnectionRefused("no", data=0), '44{"message":"no","data":0}'),
        (ConnectionRefused(), '44{"message":"connection refused"}'),
    ],
)
async def test_refused(refusal: Exception, wire: str, turns: int, caplog: pytest.LogCaptureFixture) -> None:
    """The client gets its `connect_error`, nobody connects, and the connection lives on."""
    lobby = Lobby()
    lobby.io.on("connection", lambda socket: pytest.fail("connected"))

    async def middleware(socket: Socket) -> None:
        socket.join("room")
        for _ in range(turns):
            await asyncio.sleep(0)
        raise refusal

    lobby.io.use(middleware)
    client = lobby.client()
    client.say("40")
    await client.hears(wire)
    assert lobby.io.sockets.sockets == {}
    assert not lobby.io.sockets.adapter.rooms
    assert not client.ended()
    assert caplog.records == []
    lobby.io.of("/open")
    client.connect("/open")


@pytest.mark.parametrize("turns", [0, 1])
async def test_any_other_exception_refuses_and_is_not_told(
    turns: int, caplog: pytest.LogCaptureFixture
) -> None:
    lobby = Lobby()

    async def middleware(socket: Socket) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        raise LookupError("the password of the database is 1234")

    lobby.io.use(middleware)
    client = lobby.client()
    client.say("40")
    await client.hears('44{"message":"the server refused the connection"}')
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert not client.ended()


async def test_refused_and_trying_again() -> None:
    lobby = Lobby()

    @lobby.io.use
    def middleware(socket: Socket) -> None:
        if socket.handshake.auth.get("token") != "good":
            raise ConnectionRefused("bad token")

    client = lobby.client()
    assert client.asks('40{"token":"bad"}') == ['44{"message":"bad token"}']
    socket = client.connect(auth={"token": "good"})
    assert socket.connected


async def test_refused_by_one_namespace_alone() -> None:
    lobby = Lobby()

    @lobby.io.of("/admin").use
    def middleware(socket: Socket) -> None:
        raise ConnectionRefused("admins only", data={"nsp": socket.nsp.name})

    client, _ = lobby.connected()
    assert client.asks("40/admin,") == ['44/admin,{"message":"admins only","data":{"nsp":"/admin"}}']
    assert client.asks("40/admin,") == ['44/admin,{"message":"admins only","data":{"nsp":"/admin"}}']
    assert not client.ended()


async def test_what_a_middleware_emits_comes_before_connect() -> None:
    lobby = Lobby()
    lobby.io.use(lambda socket: socket.emit("session", 1))
    lobby.io.on("connection", lambda socket: socket.emit("welcome"))
    client = lobby.client()
    first, connect, last = client.asks("40")
    assert (first, last) == ('42["session",1]', '42["welcome"]')
    assert str(connect).startswith('40{"sid":"')


async def test_a_client_in_the_middlewares_gets_no_broadcast() -> None:
    lobby = Lobby()
    gate = asyncio.Event()

    async def middleware(socket: Socket) -> None:
        socket.join("room")
        await gate.wait()

    lobby.io.use(middleware)
    client = lobby.client()
    assert client.asks("40") == []
    lobby.io.emit("to all")
    lobby.io.to("room").emit("to the room")
    gate.set()
    async with asyncio.timeout(5):
        await client.carrier.news.wait()
    assert len(client.heard()) == 1
    lobby.io.to("room").emit("to the room")
    assert client.heard() == ['42["to the room"]']


@pytest.mark.parametrize("outcome", [None, ConnectionRefused("no")])
async def test_the_connection_goes_meanwhile(outcome: Exception | None) -> None:
    lobby = Lobby()
    lobby.io.on("connection", lambda socket: pytest.fail("connected"))
    gate, over = asyncio.Event(), asyncio.Event()
    sockets: list[Socket] = []

    async def middleware(socket: Socket) -> None:
        sockets.append(socket)
        socket.join("room")
        socket.on("disconnect", lambda reason: pytest.fail("it never connected"))
        await gate.wait()
        socket.join("another")
        over.set()
        if outcome is not None:
            raise outcome

    lobby.io.use(middleware)
    client = lobby.client()
    client.say("40")
    client.vanish()
    gate.set()
    await soon(over)
    await asyncio.sleep(0)
    assert client.heard() == []
    assert sockets[0].disconnected
    assert not lobby.io.sockets.adapter.rooms
    sockets[0].emit("into the void")
    assert client.heard() == []


async def test_the_server_closes_meanwhile() -> None:
    lobby = Lobby()
    lobby.io.on("connection", lambda socket: pytest.fail("connected"))
    gate = asyncio.Event()
    lobby.io.use(lambda socket: gate.wait())
    client = lobby.client()
    client.say("40")
    await lobby.io.close()
    gate.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert client.heard() == []
    assert lobby.io.sockets.sockets == {}


@pytest.mark.parametrize("packet", ["40/slow,", "41/slow,", '42/slow,["x"]'])
async def test_what_the_client_says_meanwhile_closes_the_connection(packet: str) -> None:
    lobby = Lobby()
    gate = asyncio.Event()
    lobby.io.of("/slow").use(lambda socket: gate.wait())
    client, _ = lobby.connected()
    client.say("40/slow,", packet)
    assert client.ended()
    gate.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert lobby.io.of("/slow").sockets == {}


async def test_over_polling() -> None:
    lobby = Lobby()

    @lobby.io.of("/admin").use
    async def middleware(socket: Socket) -> None:
        await asyncio.sleep(0)
        raise ConnectionRefused("no")

    poller = Poller(lobby.io)
    await poller.open()
    assert await poller.post("40/admin,") == 200
    assert await poller.poll() == ['44/admin,{"message":"no"}']
