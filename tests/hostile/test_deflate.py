"""Entries 36 to 38 where compression is agreed on: bombs, garbage, reserved bits, and what is offered."""

from __future__ import annotations

import tracemalloc

import pytest

from socketeer import PerMessageDeflate
from tests.hostile.arena import Arena, until
from tests.hostile.conftest import Arenas
from tests.support.deflate import Zipper, bomb, compressed, deflated, opened, pieces
from tests.support.peers import WebSocket
from tests.support.raw import BINARY, CLOSE, CONTINUATION, PING, TEXT, fetch, frame

pytestmark = pytest.mark.asyncio(loop_scope="package")

OFFER = [("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")]
CONTEXT = PerMessageDeflate(server_no_context_takeover=False, client_no_context_takeover=False)


async def agreed(arena: Arena) -> WebSocket:
    """A client with which compression is agreed on."""
    peer = await arena.websocket(headers=OFFER)
    assert (peer.response.header("sec-websocket-extensions") or "").startswith("permessage-deflate")
    peer.wire.deflate = True
    return peer


@pytest.mark.parametrize("options", [True, CONTEXT], ids=["alone", "context"])
@pytest.mark.parametrize("size", [1_000_001, 300_000_000])
async def test_bomb(arenas: Arenas, options: object, size: int) -> None:
    """Entry 38: what inflates to more than max_http_buffer_size is not inflated any further."""
    async with arenas(per_message_deflate=options) as arena:
        peer, sent = await agreed(arena), bomb(size)
        tracemalloc.start()
        try:
            await peer.wire.send(frame(sent, BINARY, rsv=4))
            await arena.closes(peer, "transport error", code=1009)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 3_500_000 + 6 * len(sent)
        assert arena.record.events == []


async def test_bomb_at_the_limit(arenas: Arenas) -> None:
    """Entry 38: a ratio of a thousand alone is no crime."""
    async with arenas(per_message_deflate=True) as arena:
        peer = await agreed(arena)
        text = b'421["echo","' + b"x" * (1_000_000 - 14) + b'"]'
        assert len(text) == 1_000_000
        payload = deflated(text, 9)
        assert len(payload) < 1100
        await peer.wire.send(frame(payload, rsv=4) + pieces(payload, 100))
        for _ in range(2):
            found = await peer.wire.frame()
            assert found.rsv1
            assert opened(found) == b'431["' + text[12:]


async def test_bomb_in_fragments(arenas: Arenas) -> None:
    """Entry 38: a bomb in a thousand fragments."""
    async with arenas(per_message_deflate=True) as arena:
        peer = await agreed(arena)
        await peer.wire.send(pieces(bomb(2_000_000), 2))
        await arena.closes(peer, "transport error", code=1009)


async def test_bomb_within_a_probe(arenas: Arenas) -> None:
    """Entry 38: a bomb before the upgrade is done ends the probe, and polling goes on."""
    async with arenas(per_message_deflate=True) as arena:
        polling = await arena.polling()
        probe = await WebSocket.open(arena.port, sid=polling.sid, headers=OFFER)
        await probe.wire.send(frame(bomb(2_000_000), rsv=4))
        assert await probe.closed() == 1009
        assert await polling.echo(38) == [38]


async def test_upgrade(arenas: Arenas) -> None:
    """Entry 38: all of an upgrade's packets may be compressed."""
    async with arenas(per_message_deflate=True) as arena:
        polling = await arena.polling()
        probe = await arena._seat(await WebSocket.open(arena.port, sid=polling.sid, headers=OFFER), False)
        await probe.wire.send(compressed(b"2probe"))
        assert await probe.packet() == "3probe"
        await probe.wire.send(compressed(b"5") + compressed(b'421["echo",38]'))
        assert await probe.message() == "31[38]"


GARBAGE = {
    "ff": frame(b"\xff" * 40, rsv=4),
    "plain text": frame(b'42["echo",1]', rsv=4),
    "cut": frame(deflated(b'42["echo",1234567890]')[:-3], rsv=4),
    "behind the end": frame(b"\xf3\x48\xcd\xc9\xc9\x07\x00" + deflated(b"4"), rsv=4),
    "a window never sent": frame(b"\xf2\x00\x11\x00\x00", rsv=4),
    "not UTF-8": compressed(b'42["echo","\xff"]'),
}


@pytest.mark.parametrize("options", [True, CONTEXT], ids=["alone", "context"])
@pytest.mark.parametrize("sent", GARBAGE.values(), ids=GARBAGE)
async def test_garbage(arenas: Arenas, sent: bytes, options: object) -> None:
    """Entries 36 and 38: what does not inflate, or not to UTF-8, is answered by a close frame of 1007."""
    async with arenas(per_message_deflate=options) as arena:
        peer = await agreed(arena)
        await peer.wire.send(sent)
        await arena.closes(peer, "transport error", code=1007)
        assert arena.record.events == []


RESERVED = {
    "on a continuation": frame(deflated(b"4"), rsv=4, fin=False) + frame(b"", CONTINUATION, rsv=4),
    "on a ping": frame(b"", PING, rsv=4),
    "on a close frame": frame(b"\x03\xe8", CLOSE, rsv=4),
    "within a message": frame(b"4", fin=False) + compressed(b"4"),
    "and RSV2": frame(deflated(b"4"), rsv=6),
}


@pytest.mark.parametrize("sent", RESERVED.values(), ids=RESERVED)
async def test_reserved_bits(arenas: Arenas, sent: bytes) -> None:
    """Entry 36: RSV1 belongs to the first frame of a message and to no other."""
    async with arenas(per_message_deflate=True) as arena:
        peer = await agreed(arena)
        await peer.wire.send(sent)
        await arena.closes(peer, "transport error", code=1002)


async def test_a_client_that_has_not_offered_it(arenas: Arenas) -> None:
    """Entry 36: that the server could is not that it was agreed on."""
    async with arenas(per_message_deflate=PerMessageDeflate(threshold=0)) as arena:
        peer = await arena.websocket()
        assert peer.response.header("sec-websocket-extensions") is None
        assert await peer.echo("x" * 5000) == ["x" * 5000]  # nothing compressed comes: `frame` looks
        await peer.wire.send(compressed(b"3"))
        await arena.closes(peer, "transport error", code=1002)


@pytest.mark.parametrize(
    "offer",
    [
        "permessage-deflate; " * 100 + "x",
        "permessage-deflate; unknown",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate, permessage-deflate; unknown",
        'x; y="' + "z" * 1000,
        ",,;=",
        "\xff",
        "permessage-deflate," * 400 + "permessage-deflate; x",
    ],
)
async def test_bad_offer(arenas: Arenas, offer: str) -> None:
    """Entry 38: refused as ws refuses it, before there is a session."""
    async with arenas(per_message_deflate=True) as arena:
        wire, response = await WebSocket.shake(arena.port, headers=[("Sec-WebSocket-Extensions", offer)])
        assert response.status == 400
        assert response.text == "Invalid or unacceptable Sec-WebSocket-Extensions header"
        assert await wire.rest() == b""
        assert arena.sessions == 0


async def test_offers_in_several_lines(arenas: Arenas) -> None:
    """Entry 38: lines of one name are one list."""
    async with arenas(per_message_deflate=True) as arena:
        offers = ["other; x", "permessage-deflate; server_max_window_bits=9", "permessage-deflate"]
        peer = await arena.websocket(headers=[("Sec-WebSocket-Extensions", each) for each in offers])
        assert peer.response.header("sec-websocket-extensions") == (
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9"
        )


async def test_client_that_never_reads(arenas: Arenas) -> None:
    """Entry 41: what is compressed for a client that does not read is bounded too."""
    async with arenas(per_message_deflate=CONTEXT) as arena:
        peer = await agreed(arena)
        peer.wire.transport.pause_reading()
        socket, zipper = arena.socket(peer), Zipper()
        for n in range(50):
            socket.emit("n", n, "x" * 100_000)
        await peer.wire.send(frame(zipper.deflated(b'421["echo",1]'), rsv=4))
        await until(lambda: bool(arena.record.events), "echo")
        held = socket.conn.transport.held()
        assert held < 50_000
        peer.wire.transport.resume_reading()
        assert (await peer.wire.frame()).opcode == TEXT


async def test_polling_is_not_concerned(arenas: Arenas) -> None:
    """Entry 38: the header means nothing to a poll."""
    async with arenas(per_message_deflate=True) as arena:
        response = await fetch(arena.port, headers=[("Sec-WebSocket-Extensions", ",,;=")])
        assert response.status == 200
        await until(lambda: arena.sessions == 1, "session")
        for session in list(arena.io.engine.sessions.values()):
            session.close(discard=True)
