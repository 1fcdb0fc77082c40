"""Entries 59 to 65: acknowledgements, CONNECT, and packets for namespaces that are not there."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from socketeer import Ack, Limits, Server
from tests.hostile.arena import Arena, until
from tests.hostile.conftest import Arenas
from tests.support.peers import Peer
from tests.support.raw import SEPARATOR, Wire, request

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def asked(peer: Peer) -> tuple[str, list[Any]]:
    """The id and the arguments of the next event that wants an acknowledgement."""
    while True:
        message = await peer.message()
        assert isinstance(message, str)
        if found := re.fullmatch(r"2(\d+)(\[.*\])", message):
            return found[1], json.loads(found[2])


@pytest.mark.parametrize("packet", ["43999[]", "43999[1,2]", "430[]", "43", "431", "461-0[]"], ids=ascii)
async def test_ack_nobody_waits_for(arena: Arena, packet: str) -> None:
    """Entry 59: ignored, as by the official server."""
    peer = await arena.websocket()
    await peer.send(packet)
    if packet.startswith("46"):
        await peer.send(b"x")
    assert await peer.echo(59) == [59]


async def test_ack_twice(arena: Arena) -> None:
    """Entry 59: the first answer counts."""
    peer = await arena.websocket()
    answer = asyncio.ensure_future(arena.socket(peer).timeout(5).emit_with_ack("question"))
    number, _ = await asked(peer)
    await peer.send(f"43{number}[1]", f"43{number}[2]", f"43{number}[3]")
    assert await answer == 1
    assert await peer.echo(59) == [59]


async def test_ack_for_another_client(arena: Arena) -> None:
    """Entries 59 and 61: an answer counts only from the client that was asked."""
    peer, other = await arena.websocket(), await arena.websocket()
    answer = asyncio.ensure_future(arena.socket(peer).timeout(5).emit_with_ack("question"))
    number, _ = await asked(peer)
    await other.send(*(f'43{n}["forged"]' for n in range(50)), f'43{number}["forged"]')
    assert await other.echo(59) == [59]
    assert not answer.done()
    await peer.send(f'43{number}["honest"]')
    assert await answer == "honest"


async def test_ack_for_another_namespace(arena: Arena) -> None:
    """Entry 61: nor from another namespace of the same client."""
    peer = await arena.websocket()
    await peer.connect("/chat")
    answer = asyncio.ensure_future(arena.socket(peer).timeout(5).emit_with_ack("question"))
    number, _ = await asked(peer)
    await peer.send(f'43/chat,{number}["forged"]')
    assert await peer.echo(61) == [61]
    assert not answer.done()
    await peer.send(f'43{number}["honest"]')
    assert await answer == "honest"


async def test_ack_before_connect(arena: Arena) -> None:
    """Entry 59: before CONNECT there is no namespace to answer in: the official server closes."""
    peer = await arena.websocket(connect=False)
    await peer.send("430[]")
    await arena.closes(peer)


@pytest.mark.parametrize("payload", ["{}", '"x"', "null", "true", '{"0":1}', "x"])
@pytest.mark.parametrize("kind", ["3", "61-"], ids=["ack", "binary ack"])
async def test_ack_payload(arena: Arena, kind: str, payload: str) -> None:
    """Entry 60: an acknowledgement is an array."""
    peer = await arena.websocket()
    await peer.send(f"4{kind}0{payload}")
    await arena.closes(peer, "forced close")


def silent(io: Server, arena: Arena) -> None:
    """A handler that keeps the acknowledgement and never sends it."""

    def never(ack: Ack) -> None:
        pass

    @io.on("connection")
    def connection(socket: Any) -> None:
        socket.on("never", never)


async def test_ack_never_sent_by_a_handler(arenas: Arenas) -> None:
    """Entry 60: nothing is kept for a handler that never answers."""
    async with arenas(silent) as arena:
        peer = await arena.websocket()
        await peer.send(*(f'42{n}["never"]' for n in range(1000)))
        assert await peer.echo(60) == [60]


async def test_ack_never_sent_by_the_client(arena: Arena) -> None:
    """Entry 60: the caller's time runs out, and an answer that comes too late is ignored."""
    peer = await arena.websocket()
    with pytest.raises(TimeoutError):
        await arena.socket(peer).timeout(0.1).emit_with_ack("question")
    number, _ = await asked(peer)
    await peer.send(f"43{number}[1]")
    assert await peer.echo(60) == [60]


async def test_ack_of_a_broadcast_sent_twice(arena: Arena) -> None:
    """Entry 61: one client cannot answer a broadcast for another."""
    peer, other = await arena.websocket(), await arena.websocket()
    answers = asyncio.ensure_future(arena.io.timeout(0.4).emit_with_ack("question"))
    number, _ = await asked(peer)
    await peer.send(f'43{number}["mine"]', f'43{number}["forged"]', f'43{number}["forged"]')
    with pytest.raises(TimeoutError) as caught:
        await answers
    assert getattr(caught.value, "responses", None) == ["mine"]
    number, _ = await asked(other)
    await other.send(f'43{number}["late"]')
    assert await other.echo(61) == [61]


AUTHS = {
    "array": "[]",
    "string": '"x"',
    "NaN": "NaN",
    "null": "null",
    "true": "true",
    "cut": '{"a":',
    "not JSON": "{a:1}",
    "deep": '{"a":' * 20_000 + "1" + "}" * 20_000,
}


@pytest.mark.parametrize("auth", AUTHS.values(), ids=AUTHS)
@pytest.mark.parametrize("name", ["", "/chat,"], ids=["main", "chat"])
async def test_auth(arena: Arena, name: str, auth: str) -> None:
    """Entry 62: a CONNECT payload that is no object."""
    peer = await arena.websocket(connect=False)
    await peer.send(f"40{name}{auth}")
    await arena.closes(peer)
    assert arena.record.connected == []


async def test_auth_of_a_megabyte(arena: Arena) -> None:
    """Entry 62: the limit of a message is the limit of auth."""
    peer = await arena.websocket(connect=False)
    await peer.send('40{"token":"' + "x" * 1_000_000 + '"}')
    await arena.closes(peer, code=1009)
    assert arena.record.connected == []


async def test_connect_twice(arena: Arena) -> None:
    """Entry 63: a second CONNECT to a namespace closes the connection; there was one socket."""
    peer = await arena.websocket()
    await peer.send("40")
    await arena.closes(peer, "forced close", "forced server close")
    assert len(arena.record.connected) == 1


async def test_connect_twice_in_one_body(arena: Arena) -> None:
    """Entry 63: the same in one polling body."""
    peer = await arena.polling(connect=False)
    await peer.send("40", "40", '42["echo",1]')
    await peer.closed()
    assert len(arena.record.connected) <= 1


async def test_connect_again_after_disconnect(arena: Arena) -> None:
    """Entry 63: leaving and coming back is two sockets, one after the other."""
    peer = await arena.websocket()
    await peer.send("41")
    again = await peer.connect()
    assert len(arena.record.connected) == 2
    assert arena.record.gone[arena.record.connected[0]] == ["client namespace disconnect"]
    assert arena.record.connected[1] == again
    assert await peer.echo(63) == [63]


GATE = asyncio.Event()


def slow_door(io: Server, arena: Arena) -> None:
    """A middleware that lets nobody into /slow before the gate opens."""
    slow = io.of("/slow")
    arena.listen(slow)

    async def wait(socket: Any) -> None:
        await GATE.wait()

    slow.use(wait)


@pytest.mark.parametrize(
    "packet", ["40/slow,", "41/slow,", '42/slow,["echo",1]'], ids=["CONNECT", "DISCONNECT", "EVENT"]
)
async def test_packet_during_the_middleware(arenas: Arenas, packet: str) -> None:
    """Entry 63: whatever comes while a middleware still thinks, there is at most one socket, and it is told of its end."""
    GATE.clear()
    async with arenas(slow_door) as arena:
        peer = await arena.websocket()
        await peer.send("40/slow,", packet)
        await arena.served()
        GATE.set()
        await peer.closed() if packet[1] != "0" else await arena.served()
        sockets = [s for s in arena.record.sockets.values() if s.nsp.name == "/slow"]
        assert len(sockets) <= 1
        assert ("echo", 1) not in arena.record.events


@pytest.mark.parametrize("how", ["bye", "reset"])
async def test_client_gone_during_the_middleware(arenas: Arenas, how: str) -> None:
    """Entry 63: a client that leaves meanwhile never connects."""
    GATE.clear()
    async with arenas(slow_door) as arena:
        peer = await arena.websocket()
        await peer.send("40/slow,")
        assert await peer.echo(63) == [63]
        if how == "bye":
            await peer.bye()
        else:
            peer.wire.reset()
        await arena.reasons(peer)
        GATE.set()
        await arena.served()
        assert [s for s in arena.record.sockets.values() if s.nsp.name == "/slow"] == []


NAMES = {
    "unknown": "/nope",
    "query": "/chat?token=1",
    "path": "/../chat",
    "slash": "/chat/",
    "double slash": "//chat",
    "NUL": "/a\x00b",
    "capitals": "/Chat",
    "__proto__": "/__proto__",
    "a megabyte": "/" + "n" * 900_000,
    "escape": "/\x1b[31mred",
    "not ASCII": "/é",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
async def test_namespace_name(arena: Arena, name: str) -> None:
    """Entry 64: a namespace that does not exist is refused by name, and the connection goes on."""
    peer = await arena.websocket()
    await peer.send(f"40{name},")
    assert await peer.message() == f'4{name},{{"message":"Invalid namespace"}}'
    assert await peer.echo(64) == [64]


async def test_flood_of_unknown_namespaces(arena: Arena) -> None:
    """Entry 64: each is refused, or the connection closed; nothing is kept of any."""
    peer = await arena.websocket()
    for batch in range(20):
        await peer.send(*(f"40/n{batch}-{n}," for n in range(100)))
        for n in range(100):
            assert await peer.message() == f'4/n{batch}-{n},{{"message":"Invalid namespace"}}'
    assert await peer.echo(64) == [64]


def rooms(io: Server, arena: Arena) -> None:
    for n in range(20):
        arena.listen(io.of(f"/room-{n}"))


async def test_namespaces_over_the_limit(arenas: Arenas) -> None:
    """Entry 64: above max_namespaces a CONNECT is refused or closes the connection; the next client is served."""
    async with arenas(rooms, limits=Limits(max_namespaces=5)) as arena:
        peer = await arena.websocket()
        for n in range(4):
            await peer.connect(f"/room-{n}")
        await peer.send(*(f"40/room-{n}," for n in range(4, 20)))
        await arena.served()
        joined = [s for s in arena.record.sockets.values() if s.nsp.name.startswith("/room")]
        assert len(joined) == 4
        again = await arena.websocket()
        await again.connect("/room-1")


UNCONNECTED = {
    "event": '42/chat,["echo",1]',
    "event with ack": '42/chat,1["echo",1]',
    "ack": "43/chat,1[]",
    "binary event": '451-/chat,["echo",{"_placeholder":true,"num":0}]',
    "binary ack": "461-/chat,1[]",
    "disconnect": "41/chat,",
    "unknown namespace": '42/nope,["echo",1]',
    "unknown namespace, binary": '4510-/nope,["echo",{"_placeholder":true,"num":0}]',
}


@pytest.mark.parametrize("packet", UNCONNECTED.values(), ids=UNCONNECTED)
@pytest.mark.parametrize("left", [False, True], ids=["never connected", "left"])
async def test_packet_for_a_namespace_not_connected(arena: Arena, packet: str, left: bool) -> None:
    """Entry 65: the official server closes the connection; no attachment is waited for."""
    peer = await arena.websocket()
    if left:
        await peer.connect("/chat")
        await peer.send("41/chat,")
        assert await peer.echo("left") == ["left"]
        del peer.ids["/chat"]
    await peer.send(packet)
    await arena.closes(peer, "forced close", "forced server close")
    assert ("echo", 1) not in arena.record.events


async def test_event_before_connect(arena: Arena) -> None:
    """Entry 65: the same when nothing was connected at all."""
    for peer in (await arena.polling(connect=False), await arena.websocket(connect=False)):
        await peer.send('42["echo",1]')
        await arena.closes(peer)
    assert arena.record.events == []


async def test_event_after_disconnect_in_one_body(arena: Arena) -> None:
    """Entry 65: an event that follows DISCONNECT is not handled."""
    peer = await arena.polling()
    wire = await Wire.open(arena.port)
    body = SEPARATOR.join(("41", '42["echo",1]')).encode()
    await wire.send(request("POST", peer.target, arena.port, body=body))
    await wire.response()
    wire.close()
    await until(lambda: bool(arena.record.gone), "disconnect")
    assert arena.record.events == []


async def test_event_in_flight_when_the_server_disconnects(arena: Arena) -> None:
    """Entry 65: an event for a namespace that the server has just left is not handled."""
    peer = await arena.websocket()
    arena.socket(peer).disconnect()
    await peer.send('42["echo",1]')
    await peer.closed()
    assert await arena.reasons(peer) == {"server namespace disconnect"}
    assert arena.record.events == []
