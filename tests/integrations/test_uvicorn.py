"""The same application behind real web servers: uvicorn with our WebSocket class and with its own, and others."""

from __future__ import annotations

import asyncio
import base64
import errno
import gc
import os
from collections.abc import Iterator

import pytest

from socketeer import Server
from socketeer.engine.carriers.lane import BUILT
from socketeer.integrations.uvicorn import WebSocketProtocol
from tests.integrations.served import other
from tests.integrations.servers import SERVERS, listening
from tests.integrations.test_uvicorn_http import upgrade
from tests.support.peers import Peer, Polling, WebSocket
from tests.support.raw import BINARY, CLOSE, POLLING, TEXT, WEBSOCKET, Wire, fetch, frame, request
from tests.support.serving import serving


@pytest.fixture(scope="module", params=SERVERS)
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Where it listens; one process for all tests of this file."""
    with listening(request.param) as (process, port):
        yield port
        assert "Traceback" not in str(process)


async def check(peer: Peer) -> None:
    """Events and acknowledgements, text and binary."""
    assert await peer.echo("text", {"a": [1, None]}) == ["text", {"a": [1, None]}]
    await peer.send('428["later","é \U0001f600"]')
    assert await peer.message() == '38["é \U0001f600"]'
    await send_binary(peer, b"\x00\xff" * 1000)
    assert await peer.message() == '61-9[{"_placeholder":true,"num":0}]'
    assert await peer.message() == b"\x00\xff" * 1000


async def send_binary(peer: Peer, data: bytes) -> None:
    header = '451-9["echo",{"_placeholder":true,"num":0}]'
    if isinstance(peer, WebSocket):
        await peer.send(header, data)
    else:
        await peer.send(header, "b" + base64.b64encode(data).decode())


async def test_polling(port: int) -> None:
    peer = await Polling.open(port)
    assert peer.opened["upgrades"] == ["websocket"]
    await peer.connect()
    await check(peer)
    await peer.bye()


async def test_websocket(port: int) -> None:
    peer = await WebSocket.open(port)
    await peer.connect()
    await check(peer)
    await peer.bye()


async def test_upgrade(port: int) -> None:
    polling = await Polling.open(port)
    await polling.connect()
    websocket = await WebSocket.open(port, sid=polling.sid)
    poll = asyncio.ensure_future(polling.get())
    await websocket.send("2probe")
    assert await websocket.packet() == "3probe"
    assert (await poll).body == b"6"
    await websocket.send("5")
    await check(websocket)
    await websocket.send('426["transport"]')
    assert await websocket.message() == '36["websocket"]'
    assert (await polling.get()).status == 400
    await websocket.bye()


@pytest.mark.parametrize("close", [True, False])
async def test_the_server_disconnects(port: int, close: bool) -> None:
    for peer in (await Polling.open(port), await WebSocket.open(port)):
        await peer.connect()
        await peer.send('42["bye",true]' if close else '42["bye",false]')
        assert await peer.message() == "1"
        if close:
            await peer.closed()
        else:
            await peer.connect()
            await peer.bye()


async def test_the_client_goes_and_comes_again(port: int) -> None:
    for _ in range(3):
        peer = await WebSocket.open(port)
        await peer.connect()
        peer.wire.reset()


async def test_a_large_message_each_way(port: int) -> None:
    peer = await WebSocket.open(port)
    await peer.connect()
    text = "x" * 500_000
    assert await peer.echo(text) == [text]
    await peer.bye()


async def test_many_messages_in_order(port: int) -> None:
    peer = await WebSocket.open(port)
    await peer.connect()
    await peer.send('42["flood",300,1000]')
    for number in range(300):
        assert await peer.message() == f'2["drop",{number},"{"x" * 1000}"]'
    await peer.bye()


async def test_what_is_refused(port: int) -> None:
    response = await fetch(port, target="/socket.io/?EIO=4&transport=polling&sid=unknown")
    assert (response.status, response.code) == (400, 1)
    wire, response = await WebSocket.shake(port, "/socket.io/?EIO=4&transport=websocket&sid=unknown")
    assert response.status in (400, 403)
    wire.close()


async def test_the_other_application(port: int) -> None:
    response = await fetch(port, target="/page")
    assert (response.status, response.body) == (200, b"other")


async def test_the_other_applications_own_websocket(port: int) -> None:
    wire, response = await WebSocket.shake(port, "/capitals")
    assert response.status == 101
    for opcode, sent, expected in ((TEXT, b"text", b"TEXT"), (BINARY, b"\x01\x02", b"\x02\x01")):
        await wire.send(frame(sent, opcode))
        found = await wire.frame()
        assert (found.opcode, found.payload) == (opcode, expected)
    await wire.send(frame(b"close"))
    closing = await wire.frame()
    assert (closing.opcode, closing.close_code) == (CLOSE, 4001)
    await wire.send(frame(closing.payload[:2], CLOSE))
    assert await wire.rest() == b""


async def test_both_at_once(port: int) -> None:
    ours = await WebSocket.open(port)
    await ours.connect()
    wire, _ = await WebSocket.shake(port, "/capitals")
    for number in range(10):
        await wire.send(frame(b"n%d" % number))
        assert await ours.echo(number) == [number]
        assert (await wire.frame()).payload == b"N%d" % number
    wire.close()
    await ours.bye()


@pytest.mark.parametrize("carrier", ["lane", "picows"] if BUILT else ["picows"])
async def test_what_read_the_handshake_goes_with_it(carrier: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is several times what the connection itself holds."""
    monkeypatch.setenv("SOCKETEER_CARRIER", carrier)
    async with serving(Server()) as port:
        peers = [await WebSocket.open(port) for _ in range(3)]
        for peer in peers:
            await peer.connect()
        gc.collect()
        assert [each for each in gc.get_objects() if type(each) is WebSocketProtocol] == []
        for peer in peers:
            await peer.bye()


@pytest.mark.parametrize("carrier", ["lane", "picows"] if BUILT else ["picows"])
@pytest.mark.parametrize("together", [True, False])
async def test_frames_that_come_before_the_answer_are_served(
    carrier: str, together: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOCKETEER_CARRIER", carrier)
    headers = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")]
    headers.append(("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="))
    async with serving(Server()) as port:
        wire = await Wire.open(port)
        pieces = [request("GET", WEBSOCKET, port, headers=headers), frame(b"40"), frame(b"40/x,")[:4]]
        for piece in [b"".join(pieces)] if together else pieces:
            wire.transport.write(piece)
        assert (await wire.response()).status == 101
        assert (await wire.frame()).payload.startswith(b"0{")
        assert (await wire.frame()).payload.startswith(b"40{")
        await wire.send(frame(b"40/x,")[4:])
        assert (await wire.frame()).payload.startswith(b"44/x,")
        wire.close()


@pytest.mark.parametrize("together", [True, False])
async def test_the_other_application_gets_frames_that_come_before_its_answer(together: bool) -> None:
    headers = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")]
    headers.append(("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="))
    async with serving(Server(), app=other) as port:
        wire = await Wire.open(port)
        pieces = [request("GET", "/capitals", port, headers=headers), frame(b"text")]
        for piece in [b"".join(pieces)] if together else pieces:
            wire.transport.write(piece)
        assert (await wire.response()).status == 101
        assert (await wire.frame()).payload == b"TEXT"
        wire.close()


@pytest.mark.skipif(not BUILT, reason="the native lane is not built here")
async def test_without_a_descriptor_to_spare_a_connection_stays_on_picows(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(fd: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    async with serving(Server()) as port:
        with monkeypatch.context() as patch:
            patch.setattr(os, "dup", full)
            wire = await Wire.open(port)  # for a request first, so that the loop has the connection
            await wire.send(request("GET", POLLING, port))
            assert (await wire.response()).status == 200
            await wire.send(upgrade())
            assert (await wire.response()).status == 101
            assert (await wire.frame()).payload.startswith(b"0{")
        assert "stays on picows: [Errno 24] Too many open files" in caplog.text
