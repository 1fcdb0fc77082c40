"""A WebSocket that this side has opened: what it sends, and what a server may do to it."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable

import pytest

from socketeer.errors import TransportError
from socketeer.options import Backpressure, Limits
from socketeer.protocol.frame import Message
from tests.engine.client_peers import Asked, Line, Opener, Scripted, open_packet, opener, scripted, until
from tests.support.raw import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame, frame

Script = Callable[[Line], Awaitable[None]]


def after_open(script: Script, **handshake: object) -> Callable[..., Awaitable[bool]]:
    async def serve(server: Scripted, line: Line, asked: Asked) -> bool:
        await line.upgrade(asked)
        await line.text(open_packet(**handshake))
        await script(line)
        return False

    return serve


def websocket(server: Scripted, **options: object):  # type: ignore[no-untyped-def]
    return opener(server.url, transports=("websocket",), **options)


@pytest.mark.parametrize("base64", [False, True])
async def test_messages_go_out_masked_in_order_and_gathered(base64: bool) -> None:
    got: list[Frame] = []

    async def script(line: Line) -> None:
        while (found := await line.frame()) is not None:
            got.append(found)
            if found.opcode == CLOSE:
                await line.write(b"\x88\x00")
                return

    async with scripted(after_open(script)) as server, websocket(server, force_base64=base64) as one:
        session = await one.open()
        assert session.writable()
        session.send(Message(b"4one"))
        session.send(Message(b"451-[]", [b"\xfb\xff"]))
        session.send(Message(b"4" + b"x" * 70_000))
        assert not session.writable()
        session.close()
        assert await one.ear.end() == ("forced close", None)
        await until(lambda: got and got[-1].opcode == CLOSE, "the close frame")
        attachment = (TEXT, b"b+/8=") if base64 else (BINARY, b"\xfb\xff")
        assert [(each.opcode, each.payload) for each in got] == [
            (TEXT, b"4one"),
            (TEXT, b"451-[]"),
            attachment,
            (TEXT, b"4" + b"x" * 70_000),
            (CLOSE, b""),
        ]


async def test_pings_of_the_websocket_are_answered_masked() -> None:
    pongs: list[Frame | None] = []

    async def script(line: Line) -> None:
        await line.write(frame(b"hello", PING, mask=None))
        pongs.append(await line.frame())
        await line.close_frames()

    async with scripted(after_open(script)) as server, websocket(server) as one:
        await one.open()
        await until(lambda: pongs, "the pong")
        assert pongs == [Frame(PONG, b"hello")]


VIOLATIONS = {
    "masked": frame(b"4x"),
    "reserved bit": frame(b"4x", rsv=4, mask=None),
    "reserved opcode": frame(b"4x", 3, mask=None),
    "fragmented ping": frame(b"", PING, fin=False, mask=None),
    "long ping": b"\x89\x7e\x00\x7e" + b"x" * 126,
    "continuation of nothing": frame(b"4x", CONTINUATION, mask=None),
    "no UTF-8": frame(b"4\xff", mask=None),
    "a wasteful length": b"\x81\x7e\x00\x024x",
    "too large": frame(b"4" + b"x" * 1000, mask=None),
    "larger than memory": frame(b"4", mask=None, length=1 << 62),
    "endless fragments": frame(b"4", fin=False, mask=None)
    + frame(b"", CONTINUATION, fin=False, mask=None) * 200,
    "too large in fragments": frame(b"4" + b"x" * 600, fin=False, mask=None)
    + frame(b"x" * 600, CONTINUATION, fin=False, mask=None),
    "half a close code": frame(b"\x03", CLOSE, mask=None),
}


@pytest.mark.parametrize("sent", VIOLATIONS.values(), ids=VIOLATIONS.keys())
def test_what_breaks_the_protocol_ends_it(sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

    async def script(line: Line) -> None:
        await line.frame()
        await line.write(sent)
        await line.close_frames()

    async def suffer() -> None:
        limits = Limits(max_fragments=100)
        async with (
            scripted(after_open(script)) as server,
            websocket(server, max_message_size=1_000, limits=limits) as one,
        ):
            session = await one.open()
            session.send(Message(b"4ready"))
            assert (await one.ear.end())[0] == "transport error"
            assert one.ear.messages == []

    asyncio.run(suffer())  # with the loop goes all that holds the connection
    gc.collect()  # a future with an error that nobody asked for says so now
    assert caplog.records == []


@pytest.mark.parametrize(
    ("end", "reason"),
    [(b"\x88\x00", "transport close"), (b"\x88\x02\x03\xe9", "transport close"), (b"", "transport close")],
)
async def test_a_server_that_ends_it(end: bytes, reason: str) -> None:
    async def script(line: Line) -> None:
        await line.write(end)

    async with scripted(after_open(script)) as server, websocket(server) as one:
        await one.open()
        assert (await one.ear.end())[0] == reason


async def test_a_server_that_says_nothing_is_noticed() -> None:
    """Half-open: what is sent goes nowhere, and no ping comes. Closing such a one takes no answer either."""

    async def script(line: Line) -> None:
        await line.gone()

    serve = after_open(script, pingInterval=60, pingTimeout=40)
    async with scripted(serve) as server, websocket(server) as one:
        await one.open()
        assert await one.ear.end() == ("ping timeout", None)
        for carrier in tuple(one.client._carriers):
            carrier.abort()


async def test_a_server_that_does_not_read_is_given_up() -> None:
    hold = asyncio.Event()

    async def script(line: Line) -> None:
        await hold.wait()

    marks = Backpressure(high_water=10_000, low_water=1_000, max_bytes=1_000_000)
    async with scripted(after_open(script)) as server, websocket(server, backpressure=marks) as one:
        session = await one.open()
        for _ in range(10_000):
            if one.ear.closed:
                break
            session.send(Message(b"4" + b"x" * 10_000))
            await asyncio.sleep(0)
        reason, description = await one.ear.end()
        assert reason == "transport error"
        assert "max_bytes" in str(description)
        hold.set()


ANSWERS = {
    "no upgrade": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "a wrong key": b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
    "no headers": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "another protocol": b"HTTP/1.0 101 Switching Protocols\r\n\r\n",
    "no HTTP": b"\x00\x01\x02\r\n\r\n",
    "no status": b"HTTP/1.1 abc\r\n\r\n",
    "a redirect to nowhere": b"HTTP/1.1 302 Found\r\n\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
async def test_what_is_no_websocket(answer: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def script(server: Scripted, line: Line, asked: Asked) -> bool:
        await line.write(answer)
        return False

    async with scripted(script) as server, websocket(server) as one:
        with pytest.raises(TransportError, match=r"^websocket: "):
            await one.open()
        assert one.ear.closed == []
    assert caplog.records == []


async def test_cancelled_in_its_handshake_the_connection_ends() -> None:
    async def script(server: Scripted, line: Line, asked: Asked) -> bool:
        await line.gone()
        return False

    async with scripted(script) as server:
        one: Opener
        async with websocket(server) as one:
            opening = asyncio.ensure_future(one.open())
            await until(lambda: server.asked, "the handshake")
            opening.cancel()
            await asyncio.wait([opening])
            await until(lambda: not server.lines, "the connection's end")
