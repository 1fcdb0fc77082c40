"""Entries 62 to 65 and 75 where clients make up the names: dynamic namespaces."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from socketeer import Limits, Server
from tests.hostile.arena import Arena, until
from tests.hostile.conftest import Arenas
from tests.support.peers import WebSocket

pytestmark = pytest.mark.asyncio(loop_scope="package")

GATE = asyncio.Event()
ASKED: list[str] = []


def dynamic(io: Server, arena: Arena) -> None:
    """/dyn-* for everybody; /slow-* once the gate is open, for those who may."""
    arena.listen(io.of(re.compile("^/dyn-")))

    async def slow(name: str, auth: dict[str, Any]) -> bool:
        ASKED.append(name)
        await GATE.wait()
        return name.startswith("/slow-")

    arena.listen(io.of(slow))


def made(arena: Arena) -> list[str]:
    """The namespaces that clients have made and that are there still."""
    return [name for name in arena.io._namespaces if name not in {"/", "/chat"}]


async def gone(arena: Arena) -> None:
    await until(lambda: not made(arena), f"no namespace left over: {made(arena)[:5]}")


async def joined(peer: WebSocket, name: str) -> None:
    reply = await peer.message()
    assert isinstance(reply, str)
    assert reply.startswith(f'0{name},{{"sid":"'), reply


async def test_flood_of_names(arenas: Arenas) -> None:
    """Entry 64: a client has as many of them as max_namespaces says, and they end with it."""
    options = {"limits": Limits(max_namespaces=50), "cleanup_empty_child_namespaces": True}
    async with arenas(dynamic, **options) as arena:
        peer = await arena.websocket()
        await peer.send(*(f"40/dyn-{n}," for n in range(3000)))
        for n in range(49):
            await joined(peer, f"/dyn-{n}")
        await peer.closed()
        assert len(arena.record.connected) == 50
        await gone(arena)


async def test_flood_of_names_while_a_function_thinks(arenas: Arenas) -> None:
    """Entry 64: those that are being thought about count, too; and nothing is made for who has gone."""
    GATE.clear()
    ASKED.clear()
    options = {"limits": Limits(max_namespaces=50), "cleanup_empty_child_namespaces": True}
    async with arenas(dynamic, **options) as arena:
        peer = await arena.websocket()
        await peer.send(*(f"40/slow-{n}," for n in range(3000)))
        await peer.closed()
        assert len(ASKED) == 49
        GATE.set()
        await arena.served()
        assert made(arena) == []


async def test_one_name_after_the_other(arenas: Arenas) -> None:
    """Entry 64: joining and leaving thousands of them leaves nothing."""
    async with arenas(dynamic, cleanup_empty_child_namespaces=True) as arena:
        peer = await arena.websocket()
        for batch in range(20):
            names = [f"/dyn-{batch}-{n}" for n in range(100)]
            await peer.send(*(packet for name in names for packet in (f"40{name},", f"41{name},")))
            for name in names:
                await joined(peer, name)
        assert await peer.echo(64) == [64]
        assert made(arena) == []


NAMES = {
    "__proto__": "/dyn-__proto__",
    "path": "/dyn-/../../chat",
    "query": "/dyn-?x=1",
    "NUL": "/dyn-\x00",
    "escape": "/dyn-\x1b[31mred",
    "line feeds": "/dyn-\r\n\r\n.",
    "not ASCII": "/dyn-é\u202e",
    "as long as may be": "/dyn-" + "n" * 1019,
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
async def test_name(arenas: Arenas, name: str) -> None:
    """Entries 64 and 75: a name is a name, wherever it is written."""
    async with arenas(dynamic, cleanup_empty_child_namespaces=True) as arena:
        peer = await arena.websocket()
        await peer.send(f"40{name},")
        await joined(peer, name)
        await peer.send(f'42{name},1["echo",64]')
        assert await peer.message() == f"3{name},1[64]"
        assert made(arena) == [name]
        await peer.send(f"40{name},")  # the line that says why this is the end
        await peer.closed()
        await gone(arena)


LONG = {"one too many": "/dyn-" + "n" * 1020, "a megabyte": "/dyn-" + "n" * 900_000}


@pytest.mark.parametrize("name", LONG.values(), ids=LONG)
async def test_name_that_is_too_long(arenas: Arenas, name: str) -> None:
    """Entry 64: nobody makes the server keep megabytes by names: 1,000 namespaces times a message is too much."""
    ASKED.clear()
    async with arenas(dynamic, cleanup_empty_child_namespaces=True) as arena:
        peer = await arena.websocket()
        await peer.send(f"40{name},")
        assert await peer.message() == f'4{name},{{"message":"Invalid namespace"}}'
        assert await peer.echo(64) == [64]
        assert made(arena) == ASKED == []


def typed(io: Server, arena: Arena) -> None:
    parent = io.of(re.compile("^/dyn-"))
    arena.listen(parent)

    @parent.on("connection")
    def connection(socket: Any) -> None:
        def number(value: int) -> int:
            return value

        socket.on("number", number)


async def test_name_in_the_log(arenas: Arenas) -> None:
    """Entry 75: what is logged of a socket does not grow with the name that its client has made up."""
    async with arenas(typed, cleanup_empty_child_namespaces=True) as arena:
        peer = await arena.websocket()
        name = "/dyn-\x1b[31m" + "n" * 1000
        await peer.send(f"40{name},", f'42{name},["number","none"]')
        await joined(peer, name)
        assert await peer.echo(75) == [75]


@pytest.mark.parametrize("auth", ["[]", '"x"', "NaN", "true", '{"a":'])
@pytest.mark.parametrize("name", ["/dyn-1", "/slow-1"])
async def test_auth(arenas: Arenas, name: str, auth: str) -> None:
    """Entry 62: a function sees an object or is not asked."""
    ASKED.clear()
    async with arenas(dynamic, cleanup_empty_child_namespaces=True) as arena:
        peer = await arena.websocket(connect=False)
        await peer.send(f"40{name},{auth}")
        await arena.closes(peer)
        assert made(arena) == ASKED == []


PACKETS = {
    "CONNECT": "40/slow-1,",
    "DISCONNECT": "41/slow-1,",
    "EVENT": '42/slow-1,["echo",1]',
    "BINARY_EVENT": '451-/slow-1,["echo",{"_placeholder":true,"num":0}]',
}


@pytest.mark.parametrize("packet", PACKETS.values(), ids=PACKETS)
async def test_packet_while_a_function_thinks(arenas: Arenas, packet: str) -> None:
    """Entries 63 and 65: there is no namespace yet that it could be for, and then there is none at all."""
    GATE.clear()
    async with arenas(dynamic, cleanup_empty_child_namespaces=True) as arena:
        peer = await arena.websocket()
        await peer.send("40/slow-1,", packet)
        await arena.closes(peer, "forced close", "forced server close")
        GATE.set()
        await arena.served()
        assert made(arena) == []
        assert ("echo", 1) not in arena.record.events


@pytest.mark.parametrize("how", ["bye", "reset"])
async def test_client_gone_while_a_function_thinks(arenas: Arenas, how: str) -> None:
    """Entry 63: who leaves meanwhile never connects; who stays, does."""
    GATE.clear()
    async with arenas(dynamic, cleanup_empty_child_namespaces=True) as arena:
        peer, other = await arena.websocket(), await arena.websocket()
        for each in (peer, other):
            await each.send("40/slow-1,")
            assert await each.echo(63) == [63]
        if how == "bye":
            await peer.bye()
        else:
            peer.wire.reset()
        await arena.reasons(peer)
        GATE.set()
        await joined(other, "/slow-1")
        assert [s.nsp.name for s in arena.record.sockets.values()].count("/slow-1") == 1
        await other.bye()
        await gone(arena)
