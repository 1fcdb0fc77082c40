"""Entries 36 to 42: WebSocket frames, floods and readers that do not read."""

from __future__ import annotations

import asyncio
import zlib

import pytest

from socketeer import Backpressure, Limits
from socketeer.engine.carriers.lane import BUILT
from tests.hostile.arena import Arena, until
from tests.hostile.conftest import Arenas
from tests.support.peers import WebSocket
from tests.support.raw import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    WEBSOCKET,
    ConnectionEnded,
    Wire,
    frame,
    request,
)

pytestmark = pytest.mark.asyncio(loop_scope="package")


@pytest.fixture(params=["lane", "picows"] if BUILT else ["picows"], autouse=True)
def carrier(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attack meets every carrier that there is here."""
    monkeypatch.setenv("SOCKETEER_CARRIER", request.param)


VIOLATIONS = {
    "RSV1": frame(b"3", rsv=4),
    "RSV2": frame(b"3", rsv=2),
    "RSV3": frame(b"3", rsv=1),
    "RSV1 on a ping": frame(b"", PING, rsv=4),
    "all RSV": frame(b"3", rsv=7),
    "opcode 3": frame(b"3", 0x3),
    "opcode 7": frame(b"3", 0x7),
    "opcode 11": frame(b"", 0xB),
    "opcode 15": frame(b"", 0xF),
    "unmasked text": frame(b"3", mask=None),
    "unmasked ping": frame(b"", PING, mask=None),
    "fragmented ping": frame(b"", PING, fin=False),
    "fragmented close": frame(b"", CLOSE, fin=False),
    "ping of 126 bytes": frame(b"x" * 126, PING),
    "close of 126 bytes": frame(b"\x03\xe8" + b"x" * 124, CLOSE),
    "continuation of nothing": frame(b"3", CONTINUATION),
    "text within a text": frame(b"4", fin=False) + frame(b"3"),
    "binary within a text": frame(b"4", fin=False) + frame(b"3", BINARY),
    "half a close code": frame(b"\x03", CLOSE),
}


@pytest.mark.parametrize("sent", VIOLATIONS.values(), ids=VIOLATIONS)
async def test_violation(arena: Arena, sent: bytes) -> None:
    """Entry 36: what RFC 6455 forbids is answered by a close frame of 1002."""
    peer = await arena.websocket()
    await peer.wire.send(sent)
    await arena.closes(peer, "transport error", code=1002)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
async def test_close_code(arena: Arena, code: int) -> None:
    """Entry 36: codes that no peer may send."""
    peer = await arena.websocket()
    await peer.wire.send(frame(code.to_bytes(2), CLOSE))
    await arena.closes(peer, "transport error", code=1002)


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
async def test_close_code_of_a_good_client(arena: Arena, code: int) -> None:
    """Entry 36: codes that a peer may send are echoed."""
    peer = await arena.websocket()
    await peer.wire.send(frame(code.to_bytes(2) + "bye é".encode(), CLOSE))
    await arena.closes(peer, "transport close", code=code)


NOT_UTF8 = {
    "ff": frame(b'42["echo","\xff"]'),
    "lone surrogate": frame(b'42["echo","\xed\xa0\x80"]'),
    "overlong": frame(b'42["echo","\xc0\x80"]'),
    "cut": frame(b"4\xe2\x82"),
    "in the second fragment": frame(b'42["', fin=False) + frame(b'\xff"]', CONTINUATION),
    "close reason": frame(b"\x03\xe8\xff", CLOSE),
}


@pytest.mark.parametrize("sent", NOT_UTF8.values(), ids=NOT_UTF8)
async def test_not_utf8(arena: Arena, sent: bytes) -> None:
    """Entry 36: text that is not UTF-8 is answered by a close frame of 1007."""
    peer = await arena.websocket()
    await peer.wire.send(sent)
    await arena.closes(peer, "transport error", code=1007)
    assert arena.record.events == []


async def test_character_cut_by_a_fragment(arena: Arena) -> None:
    """Entry 36: a character may be cut where fragments meet, and control frames come between them."""
    peer = await arena.websocket()
    text = '421["echo","é€😀"]'.encode()
    *fragments, last = [bytes([byte]) for byte in text]
    for number, fragment in enumerate(fragments):
        await peer.wire.send(frame(fragment, TEXT if not number else CONTINUATION, fin=False))
        await peer.wire.send(frame(b"", PING))
    await peer.wire.send(frame(last, CONTINUATION))
    assert await peer.message() == '31["é€😀"]'


OVER = {
    "one frame": frame(b"4" * 1001),
    "declared": frame(b"", length=1001),
    "declared, a terabyte": frame(b"", length=1 << 40),
    "binary": frame(b"4" * 1001, BINARY),
    "two fragments": frame(b"4" * 600, fin=False) + frame(b"4" * 401, CONTINUATION),
}


@pytest.mark.parametrize("sent", OVER.values(), ids=OVER)
async def test_over_the_limit(arenas: Arenas, sent: bytes) -> None:
    """Entry 37: the byte above max_http_buffer_size is answered by a close frame of 1009, before it is read."""
    async with arenas(max_http_buffer_size=1000) as arena:
        peer = await arena.websocket()
        await peer.wire.send(sent)
        await arena.closes(peer, "transport error", code=1009)


async def test_length_beyond_counting(arena: Arena) -> None:
    """Entry 37: a length with its highest bit set."""
    peer = await arena.websocket()
    await peer.wire.send(frame(b"", length=1 << 63))
    await arena.closes(peer, "transport error", code=None)


@pytest.mark.parametrize("size", [1000, 999])
async def test_at_the_limit(arenas: Arenas, size: int) -> None:
    """Entry 37: the limit itself is allowed, in one frame or in many."""
    async with arenas(max_http_buffer_size=1000) as arena:
        peer = await arena.websocket()
        text = '421["echo","' + "x" * (size - 14) + '"]'
        assert len(text) == size
        await peer.send(text)
        assert await peer.message() == "3" + text[2:].replace('"echo",', "")
        await peer.wire.send(frame(text[:500].encode(), fin=False) + frame(text[500:].encode(), CONTINUATION))
        assert await peer.message() == "3" + text[2:].replace('"echo",', "")


@pytest.mark.parametrize("size", [0, 1])
async def test_endless_fragments(arena: Arena, size: int) -> None:
    """Entry 37: a message in endless fragments, even empty ones, ends at max_fragments with 1008 or 1009."""
    peer = await arena.websocket()
    await peer.wire.send(frame(b"4", fin=False))
    batch = frame(b"x" * size, CONTINUATION, fin=False) * 1000
    for _ in range(100):
        await peer.wire.send(batch)
    with_code = await peer.closed()
    assert with_code in (1008, 1009, 1006), with_code  # 1006 when the flood outran the close frame
    assert await arena.reasons(peer) == {"transport error"}


async def test_fragments_at_the_limit(arenas: Arenas) -> None:
    """Entry 37: max_fragments itself is allowed, one more is not."""
    async with arenas(limits=Limits(max_fragments=8)) as arena:
        peer = await arena.websocket()
        text = b'421["echo","12345678"]'
        pieces = [text[n * 3 : n * 3 + 3] for n in range(8)]
        good = frame(pieces[0], fin=False)
        good += b"".join(frame(each, CONTINUATION, fin=False) for each in pieces[1:7])
        await peer.wire.send(good + frame(pieces[7], CONTINUATION))
        assert await peer.message() == '31["12345678"]'
        await peer.wire.send(good + frame(b"", CONTINUATION, fin=False) * 2)
        assert await peer.closed() in (1008, 1009)
        assert await arena.reasons(peer) == {"transport error"}


async def test_compression_bomb(arena: Arena) -> None:
    """Entry 38: a few bytes that inflate to 50 MB are never inflated: compression is not agreed on."""
    peer = await arena.websocket(headers=[("Sec-WebSocket-Extensions", "permessage-deflate")])
    assert peer.response.header("sec-websocket-extensions") is None
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = deflate.compress(b"4" * 50_000_000) + deflate.flush(zlib.Z_SYNC_FLUSH)
    await peer.wire.send(frame(bomb[:-4], rsv=4))
    await arena.closes(peer, "transport error", code=1002)


async def test_compression_nobody_agreed_on(arena: Arena) -> None:
    """Entry 38: compression is never agreed on, whatever the client offers."""
    for offer in (
        "permessage-deflate",
        "permessage-deflate; " * 100 + "x",
        'x; y="' + "z" * 1000,
        ",,;=",
        "\xff",
    ):
        wire, response = await WebSocket.shake(arena.port, headers=[("Sec-WebSocket-Extensions", offer)])
        assert response.status in (101, 400)
        assert response.header("sec-websocket-extensions") is None
        if response.status == 101:
            assert (await wire.frame()).payload[:1] == b"0"
            await wire.send(frame(b"", CLOSE))
        wire.close()
    await until(lambda: arena.sessions == 0, "sessions gone")


@pytest.mark.parametrize("opcode", [PING, PONG], ids=["pings", "pongs"])
async def test_flood_of_control_frames(arena: Arena, opcode: int) -> None:
    """Entry 39: no task for a ping; the flood is answered or the session closed, and others are served."""
    peer = await arena.websocket()
    tasks = len(asyncio.all_tasks())
    for _ in range(20):
        await peer.wire.send(frame(b"p" * 8, opcode) * 500)
        assert len(asyncio.all_tasks()) <= tasks
    await arena.served()
    try:
        await peer.echo(39)
    except (ConnectionEnded, AssertionError):
        assert await arena.reasons(peer) <= {"transport error", "transport close"}


async def test_handshake_of_a_byte_at_a_time(arenas: Arenas) -> None:
    """Entry 40: a request whose headers trickle is ended; it holds no session."""
    async with arenas(limits=Limits(header_timeout=0.4)) as arena:
        wire = await Wire.open(arena.port)
        await wire.send(f"GET {WEBSOCKET} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ".encode())
        await wire.trickle(b"x", lambda: wire.ended)
        assert arena.sessions == 0
        wire.close()


async def test_frame_of_a_byte_at_a_time(arenas: Arenas) -> None:
    """Entry 40: a frame that trickles does not count as a pong."""
    async with arenas(ping_interval=0.2, ping_timeout=0.2) as arena:
        peer = await arena.websocket()
        await peer.wire.send(frame(b"4", length=5000))
        await peer.wire.trickle(b"x", lambda: bool(arena.record.gone))
        assert await arena.reasons(peer) == {"ping timeout"}


async def test_client_that_never_reads(arenas: Arenas) -> None:
    """Entry 41: above Backpressure.max_bytes it is disconnected; the others get every message."""
    async with arenas(backpressure=Backpressure(max_bytes=2_000_000)) as arena:
        peer = await arena.websocket(receive_buffer=4096)
        other = await arena.websocket()
        peer.wire.transport.pause_reading()
        for n in range(200):
            arena.io.emit("n", n, "x" * 100_000)
            message = await other.message()
            assert isinstance(message, str)
            assert message.startswith(f'2["n",{n},')
        assert await arena.reasons(peer) == {"transport error"}
        await until(lambda: arena.sessions == 1, "its session gone")


async def test_client_that_never_reads_volatile_messages(arenas: Arenas) -> None:
    """Entry 41: volatile messages are dropped for a client that does not read; it stays."""
    async with arenas(backpressure=Backpressure(max_bytes=2_000_000)) as arena:
        peer = await arena.websocket(receive_buffer=4096)
        other = await arena.websocket()
        peer.wire.transport.pause_reading()
        for _ in range(200):
            arena.io.volatile.emit("n", "x" * 100_000)
            await other.echo(41)
        assert arena.sessions == 2
        peer.wire.transport.resume_reading()
        assert await peer.echo(41) == [41]


async def test_client_that_never_reads_is_silent(arenas: Arenas) -> None:
    """Entry 41: the heartbeat detects a client that does not read, whatever is queued."""
    async with arenas(ping_interval=0.2, ping_timeout=0.3) as arena:
        peer = await arena.websocket(receive_buffer=4096)
        peer.wire.transport.pause_reading()
        arena.socket(peer).emit("n", "x" * 12_000_000)
        assert await arena.reasons(peer) == {"ping timeout"}
        await until(lambda: arena.sessions == 0, "its session gone")


async def test_reset_while_sending(arena: Arena) -> None:
    """Entry 42: a reset in the middle of a send is swallowed, and told once."""
    peer = await arena.websocket()
    socket = arena.socket(peer)
    socket.emit("n", "x" * 5_000_000)
    peer.wire.reset()
    socket.emit("n", "x" * 1_000_000)
    assert await arena.reasons(peer) <= {"transport error", "transport close"}
    socket.emit("n", "to nobody")


async def test_reset_while_closing(arena: Arena) -> None:
    """Entry 42: a reset that meets the server's own close."""
    peer = await arena.websocket()
    arena.socket(peer).disconnect(True)
    peer.wire.reset()
    assert await arena.reasons(peer) == {"server namespace disconnect"}


async def test_reset_within_a_frame(arena: Arena) -> None:
    """Entry 42: a reset with half a frame sent."""
    peer = await arena.websocket()
    await peer.wire.send(frame(b'42["echo",1]')[:7])
    peer.wire.reset()
    assert await arena.reasons(peer) <= {"transport error", "transport close"}
    assert arena.record.events == []


@pytest.mark.parametrize("together", [True, False])
async def test_frames_before_the_answer(arenas: Arenas, together: bool) -> None:
    """Entry 42: frames sent before the handshake is answered are served, cut off or lost; no session hangs on."""
    async with arenas(connect_timeout=0.4) as arena:
        headers = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")]
        headers.append(("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="))
        wire = await Wire.open(arena.port)
        pieces = [request("GET", WEBSOCKET, arena.port, headers=headers), frame(b"2"), frame(b"", CLOSE)]
        for piece in [b"".join(pieces)] if together else pieces:
            await wire.send(piece)
        await until(lambda: bool(wire.received) or wire.ended, "an answer")
        await until(lambda: arena.sessions == 0, "session gone")
        wire.close()


async def test_bytes_after_the_close_frame(arena: Arena) -> None:
    """Entry 42: nothing is processed that comes after a close frame."""
    peer = await arena.websocket()
    await peer.wire.send(frame(b"\x03\xe8", CLOSE) + frame(b'42["echo",1]'))
    await arena.closes(peer, "transport close", code=1000)
    assert arena.record.events == []
