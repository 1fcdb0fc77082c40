"""Entries 43 to 48: Engine.IO packets, over both transports."""

from __future__ import annotations

import asyncio
from typing import Literal

import pytest

from tests.hostile.arena import Arena
from tests.hostile.conftest import Arenas
from tests.support.peers import Peer, Polling
from tests.support.raw import CLOSE, SEPARATOR, frame

pytestmark = pytest.mark.asyncio(loop_scope="package")

Transport = Literal["polling", "websocket"]
both = pytest.mark.parametrize("transport", ["polling", "websocket"])


async def peer_over(arena: Arena, transport: Transport) -> Peer:
    return await (arena.polling() if transport == "polling" else arena.websocket())


TYPES = {
    "7": "7",
    "9": "9",
    "letter": "x",
    "minus": "-1",
    "space": " 4",
    "Arabic 2": "٢",
    "superscript 2": "²",
    "full-width 4": "\uff14",
    "NUL": "\x00",
    "BOM": "\ufeff4",
    "bracket": '["echo"]',
}


@both
@pytest.mark.parametrize("packet", TYPES.values(), ids=TYPES)
async def test_type(arena: Arena, transport: Transport, packet: str) -> None:
    """Entry 43: a first character that is no packet type."""
    peer = await peer_over(arena, transport)
    await peer.send(packet)
    await arena.closes(peer, "parse error")


async def test_empty_frame(arena: Arena) -> None:
    """Entry 43: an empty text frame."""
    peer = await arena.websocket()
    await peer.send("")
    await arena.closes(peer, "parse error")


async def test_empty_binary_frame(arena: Arena) -> None:
    """Entry 43: an empty binary frame is an attachment that nobody announced."""
    peer = await arena.websocket()
    await peer.send(b"")
    await arena.closes(peer, "forced close")


@both
@pytest.mark.parametrize("packet", ["0", '0{"sid":"x"}', "5", "5probe", "6", "6x"])
async def test_packet_of_the_other_side(arena: Arena, transport: Transport, packet: str) -> None:
    """Entry 44: open, upgrade and noop are ignored, as by the official server."""
    peer = await peer_over(arena, transport)
    await peer.send(packet)
    assert await peer.echo(44) == [44]


@both
@pytest.mark.parametrize("packet", ["2", "2probe"])
async def test_ping_by_the_client(arena: Arena, transport: Transport, packet: str) -> None:
    """Entry 44: in Engine.IO 4 the server sends the pings."""
    peer = await peer_over(arena, transport)
    await peer.send(packet)
    await arena.closes(peer, "transport error")


@both
@pytest.mark.parametrize("packet", ["3", "3probe", "3" + "x" * 1000])
async def test_pongs_without_a_ping(arena: Arena, transport: Transport, packet: str) -> None:
    """Entry 45: thousands of pongs that nobody asked for are ignored, and cost no task."""
    peer = await peer_over(arena, transport)
    tasks = len(asyncio.all_tasks())
    for _ in range(10):
        await peer.send(*[packet] * 300)
        assert len(asyncio.all_tasks()) <= tasks + 1
    assert await peer.echo(45) == [45]


async def test_pongs_before_connect(arenas: Arenas) -> None:
    """Entry 45: nor do they keep alive a session that has connected to nothing."""
    async with arenas(connect_timeout=0.4) as arena:
        peer = await arena.websocket(connect=False)
        await peer.wire.trickle(frame(b"3") * 100, lambda: bool(peer.wire.received), pace=0.01)
        await arena.closes(peer, code=None)


async def test_pong_withheld(arenas: Arenas) -> None:
    """Entry 46: silence after a ping closes the session at ping_timeout."""
    async with arenas(ping_interval=0.2, ping_timeout=0.2) as arena:
        peer = await arena.websocket()
        assert await peer.packet() == "2"
        await arena.closes(peer, "ping timeout", code=None)


async def test_pong_withheld_while_data_flows(arenas: Arenas) -> None:
    """Entry 46: data is not a pong; the first packet after a ping may extend the time once, no other does."""
    async with arenas(ping_interval=0.2, ping_timeout=0.2) as arena:
        peer = await arena.websocket()
        loop = asyncio.get_running_loop()
        start = loop.time()
        await peer.wire.trickle(frame(b'42["count"]'), lambda: bool(arena.record.gone), pace=0.02)
        assert 0.3 < loop.time() - start < 2
        await arena.closes(peer, "ping timeout", code=None)


async def test_pong_withheld_over_polling(arenas: Arenas) -> None:
    """Entry 46: the same over polling, with polls and posts going on."""
    async with arenas(ping_interval=0.2, ping_timeout=0.2) as arena:
        peer = await arena.polling()
        while (await peer.get()).status == 200:
            await peer.post('42["count"]')
        await arena.closes(peer, "ping timeout")


async def test_close_over_websocket(arena: Arena) -> None:
    """Entry 47: over WebSocket the official server ignores close packets; the close frame is what counts."""
    peer = await arena.websocket()
    await peer.send("1", "1", "1x")
    assert await peer.echo(47) == [47]
    await peer.wire.send(frame(b"", CLOSE))
    await arena.closes(peer, "transport close")


async def test_close_repeated_over_polling(arena: Arena) -> None:
    """Entry 47: the first close packet closes, the rest finds nobody."""
    peer = await arena.polling()
    await peer.send(*["1"] * 50)
    for body in ("1", '42["echo",1]', ""):
        response = await peer.post(body)
        assert (response.status, response.code) == (400, 1)
    await arena.closes(peer, "transport close")
    assert arena.record.events == []


async def test_packets_after_a_parse_error(arena: Arena) -> None:
    """Entry 47: what follows the packet that closed the session is not processed."""
    for peer in (await arena.polling(), await arena.websocket()):
        if isinstance(peer, Polling):
            await peer.post(f'7{SEPARATOR}42["echo",1]')
        else:
            await peer.wire.send(frame(b"7") + frame(b'42["echo",1]') + frame(b"2"))
        await arena.closes(peer, "parse error")
    assert arena.record.events == []


async def test_base64_over_websocket(arena: Arena) -> None:
    """Entry 48: a text frame that begins with `b` is binary, as in the official server."""
    peer = await arena.websocket()
    await peer.send('451-1["echo",{"_placeholder":true,"num":0}]', "bAQID")
    assert await peer.message() == '61-1[{"_placeholder":true,"num":0}]'
    assert await peer.message() == b"\x01\x02\x03"


@pytest.mark.parametrize("packet", ["b!!!!", "bAQI", "bAQ ID", "b-_-_", "b===="])
async def test_bad_base64_over_websocket(arena: Arena, packet: str) -> None:
    """Entry 48: what is no strict base64 closes the session."""
    peer = await arena.websocket()
    await peer.send('451-1["echo",{"_placeholder":true,"num":0}]', packet)
    await arena.closes(peer, "parse error", "forced close")
    assert arena.record.events == []


@pytest.mark.parametrize("packet", ["b", "bAQID", 'b42["echo",48]'])
async def test_base64_nobody_waits_for(arena: Arena, packet: str) -> None:
    """Entry 48: never delivered as text."""
    peer = await arena.websocket()
    await peer.send(packet)
    await arena.closes(peer, "parse error", "forced close")
    assert arena.record.events == []
