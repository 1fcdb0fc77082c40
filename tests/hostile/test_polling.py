"""Entries 16 to 30: long-polling."""

from __future__ import annotations

import asyncio
import gzip
import json

import pytest

from socketeer import Limits
from tests.hostile.arena import Arena, until
from tests.hostile.conftest import Arenas
from tests.support.peers import Polling
from tests.support.raw import SEPARATOR, ConnectionEnded, Headers, Wire, chunk, request

pytestmark = pytest.mark.asyncio(loop_scope="package")

BINARY_ECHO = '451-["echo",{"_placeholder":true,"num":0}]'


async def answered(wire: Wire, *statuses: int) -> None:
    """One of these answers comes, or with 0 among them the connection is ended instead."""
    try:
        status = (await wire.response()).status
    except ConnectionEnded:
        status = 0
    assert status in statuses
    wire.close()


async def test_two_gets_at_once(arena: Arena) -> None:
    """Entry 16: the second is answered 400, the first with a close packet, and the session is closed."""
    peer = await arena.polling()
    first = await peer.begin()
    second = await peer.begin()
    assert (await second.response()).status == 400
    response = await first.response()
    assert (response.status, response.body) == (200, b"1")
    await arena.closes(peer, "transport error")


async def test_two_posts_at_once(arena: Arena) -> None:
    """Entry 17: the second is answered 400, the first is cut off, and the session is closed."""
    peer = await arena.polling()
    first = await peer.begin("POST", headers=[("Content-Length", "30")])
    await first.send(b'42["echo",')
    assert (await peer.post('42["echo",2]')).status == 400
    await answered(first, 0, 400)
    await arena.closes(peer, "transport error")
    assert arena.record.named("echo") == []


@pytest.mark.parametrize("how", ["close", "finish", "reset"])
async def test_get_aborted(arena: Arena, how: str) -> None:
    """Entry 18: a poll that is dropped while it waits closes the session, as the official test suite asks."""
    peer = await arena.polling()
    wire = await peer.begin()
    await peer.send("3")  # a full round trip later the server has the GET in hand
    getattr(wire, how)()
    await arena.closes(peer, "transport error")
    wire.close()


async def test_post_of_a_byte_at_a_time(arenas: Arenas) -> None:
    """Entry 19: a body that does not come within body_timeout closes the session; others are served meanwhile."""
    async with arenas(limits=Limits(body_timeout=0.4)) as arena:
        peer = await arena.polling()
        wire = await peer.begin("POST", headers=[("Content-Length", "1000")])
        await wire.trickle(b"4", lambda: wire.ended or bool(wire.received))
        await answered(wire, 0, 408)
        await arena.closes(peer, "transport error", "transport close")


async def test_post_of_a_byte_at_a_time_without_pongs(arenas: Arenas) -> None:
    """Entry 19: the heartbeat closes the session under a body that trickles, and ends the request with it."""
    async with arenas(ping_interval=0.2, ping_timeout=0.2) as arena:
        peer = await arena.polling()
        wire = await peer.begin("POST", headers=[("Content-Length", "1000")])
        await wire.trickle(b"4", lambda: wire.ended or bool(wire.received))
        wire.close()
        await arena.closes(peer, "ping timeout")


async def test_post_of_nothing(arena: Arena) -> None:
    """Entry 20: an empty body is answered and closes the session, as in the official server."""
    peer = await arena.polling()
    response = await peer.post(b"")
    assert (response.status, response.body) == (200, b"ok")
    await arena.closes(peer, "parse error")


async def test_post_without_length(arena: Arena) -> None:
    """Entry 20: no Content-Length is an empty body."""
    peer = await arena.polling()
    wire = await peer.begin("POST")
    assert (await wire.response()).status == 200
    await arena.closes(peer, "parse error")


LENGTHS = {
    "negative": [("Content-Length", "-1")],
    "word": [("Content-Length", "many")],
    "float": [("Content-Length", "1e3")],
    "hexadecimal": [("Content-Length", "0x10")],
    "two in one": [("Content-Length", "1, 2")],
    "two headers": [("Content-Length", "1"), ("Content-Length", "2")],
    "length and chunks": [("Content-Length", "1"), ("Transfer-Encoding", "chunked")],
}


@pytest.mark.parametrize("headers", LENGTHS.values(), ids=LENGTHS)
async def test_content_length(arena: Arena, headers: Headers) -> None:
    """Entry 20: a length that is none is refused before a byte of the body is read; the session lives on."""
    peer = await arena.polling()
    await answered(await peer.begin("POST", headers=headers), 400)
    assert await peer.echo(20) == [20]


@pytest.mark.parametrize("length", [1_000_001, 10**12], ids=["a byte too long", "10 to the 12th"])
async def test_content_length_over_the_limit(arena: Arena, length: int) -> None:
    """Entry 20: answered 413 before a byte of the body is read; the session lives on."""
    peer = await arena.polling()
    await answered(await peer.begin("POST", headers=[("Content-Length", str(length))]), 413)
    assert await peer.echo(20) == [20]


async def test_content_length_beyond_counting(arena: Arena) -> None:
    """Entry 20: a length that overflows every integer."""
    peer = await arena.polling()
    await answered(await peer.begin("POST", headers=[("Content-Length", "9" * 40)]), 400, 413)
    assert await peer.echo(20) == [20]


CHUNKED = [("Transfer-Encoding", "chunked")]


async def test_chunks_over_the_limit(arenas: Arenas) -> None:
    """Entry 21: answered 413 at the first byte over, with the body unfinished; the session lives on."""
    async with arenas(max_http_buffer_size=1000) as arena:
        peer = await arena.polling()
        wire = await peer.begin("POST", headers=CHUNKED)
        await wire.send(chunk(b"4" * 600) + chunk(b"4" * 400))
        await arena.served()
        assert not wire.received  # at the limit nothing is wrong yet
        await wire.send(chunk(b"4"))
        await answered(wire, 413)
        assert await peer.echo(21) == [21]


async def test_chunks_within_the_limit(arenas: Arenas) -> None:
    """Entry 21: a chunked body within the limit is parsed, wherever it is cut."""
    async with arenas(max_http_buffer_size=1000) as arena:
        peer = await arena.polling()
        body = f'42["count","é"]{SEPARATOR}421["echo","{"x" * 900}"]'.encode()
        wire = await peer.begin("POST", headers=CHUNKED)
        for byte in body:
            await wire.send(chunk(bytes([byte])))
        await wire.send(chunk(b""))
        assert (await wire.response()).body == b"ok"
        wire.close()
        assert await peer.message() == f'31["{"x" * 900}"]'
        assert arena.record.named("count") == [("count", "é")]


async def test_chunk_of_no_size(arena: Arena) -> None:
    """Entry 21: a chunk whose size is no number."""
    peer = await arena.polling()
    wire = await peer.begin("POST", headers=CHUNKED)
    await wire.send(b"pigeon\r\n4\r\n")
    await answered(wire, 400, 0)


@pytest.mark.parametrize("how", ["close", "finish", "reset"])
async def test_body_cut_short(arena: Arena, how: str) -> None:
    """Entry 22: a body shorter than its length is an abort, and nothing of it is processed."""
    peer = await arena.polling()
    wire = await peer.begin("POST", headers=[("Content-Length", "100")], body=b'42["echo",22]')
    await arena.served()  # the server has the half body in hand
    getattr(wire, how)()
    await arena.closes(peer, "transport error")
    wire.close()
    assert ("echo", 22) not in arena.record.events


async def test_body_longer_than_its_length(arena: Arena) -> None:
    """Entry 22: what is left over is not a request, and not part of the body."""
    peer = await arena.polling()
    wire = await peer.begin("POST", headers=[("Content-Length", "1")], body=b'342["echo",22]')
    await answered(wire, 200, 400)
    assert ("echo", 22) not in arena.record.events


async def test_unknown_transfer_encoding(arena: Arena) -> None:
    """Entry 22: a body whose end nobody can tell."""
    peer = await arena.polling()
    wire = await peer.begin("POST", headers=[("Transfer-Encoding", "pigeon")], body=b'42["echo",22]')
    await answered(wire, 0, 400, 501)
    assert ("echo", 22) not in arena.record.events


async def test_gzip_bomb(arena: Arena) -> None:
    """Entry 23: a compressed body is not decoded."""
    peer = await arena.polling()
    bomb = gzip.compress(b"4" * 50_000_000)
    assert (await peer.post(bomb, headers=[("Content-Encoding", "gzip")])).status == 415
    assert arena.record.events == []


async def test_octet_stream(arena: Arena) -> None:
    """Entry 24: binary bodies were Engine.IO 3: answered 400, and the session is closed."""
    peer = await arena.polling()
    response = await peer.post(b'42["echo"]', headers=[("Content-Type", "application/octet-stream")])
    assert response.status == 400
    await arena.closes(peer, "transport error")
    assert arena.record.events == []


BAD_UTF8 = {
    "ff": b'42["echo","\xff"]',
    "lone surrogate": b'42["echo","\xed\xa0\x80"]',
    "overlong": b'42["echo","\xc0\x80"]',
    "above 10ffff": b'42["echo","\xf4\x90\x80\x80"]',
    "cut": b'42["echo","\xe2\x82',
    "UTF-16": '42["echo"]'.encode("utf-16"),
}


@pytest.mark.parametrize("body", BAD_UTF8.values(), ids=BAD_UTF8)
async def test_body_not_utf8(arena: Arena, body: bytes) -> None:
    """Entry 25: answered 400, and the session is closed."""
    peer = await arena.polling()
    assert (await peer.post(body)).status == 400
    await arena.closes(peer, "parse error", "transport error")
    assert arena.record.events == []


EMPTY = {
    "three separators": f"{SEPARATOR}{SEPARATOR}{SEPARATOR}",
    "leading separator": f'{SEPARATOR}42["echo",1]',
    "trailing separator": f"3{SEPARATOR}",
    "empty in the middle": f'3{SEPARATOR}{SEPARATOR}42["echo",1]',
}


@pytest.mark.parametrize("body", EMPTY.values(), ids=EMPTY)
async def test_empty_packet(arena: Arena, body: str) -> None:
    """Entry 26: the POST is answered as in the official server, and the session is closed at the empty packet."""
    peer = await arena.polling()
    response = await peer.post(body)
    assert (response.status, response.body) == (200, b"ok")
    await arena.closes(peer, "parse error")
    assert arena.record.events == []


async def test_half_a_million_packets(arena: Arena) -> None:
    """Entry 27: more packets than max_payload_packets in one body close the session."""
    peer = await arena.polling()
    wire = await peer.begin("POST", body=SEPARATOR.join("6" * 500_000).encode())
    await answered(wire, 0, 200, 400, 413)
    await arena.closes(peer, "parse error", "transport error")


async def test_burst_of_an_ordinary_client(arena: Arena) -> None:
    """Entry 27: hundreds of events in one body are handled, in order."""
    peer = await arena.polling()
    await peer.send(*(f'42{n}["echo",{n}]' for n in range(800)))
    assert [await peer.message() for _ in range(800)] == [f"3{n}[{n}]" for n in range(800)]


async def test_packets_at_the_limit(arenas: Arenas) -> None:
    """Entry 27: the limit itself is allowed, one more is not."""
    async with arenas(limits=Limits(max_payload_packets=10)) as arena:
        peer = await arena.polling()
        await peer.send(*['42["echo"]'] * 10)
        assert len(arena.record.named("echo")) == 10
        await answered(await peer.begin("POST", body=SEPARATOR.join("6" * 11).encode()), 0, 200, 400, 413)
        await arena.closes(peer, "parse error", "transport error")


BASE64 = {
    "no base64": "b!!!!",
    "unpadded": "bAQI",
    "too much padding": "bAQI==",
    "padding only": "b====",
    "padding inside": "bAQ==AQ==",
    "one character": "bA",
    "space": "bAQ ID",
    "newline": "bAQID\n",
    "URL alphabet": "b-_-_",
    "not ASCII": "bAQIé",
}


@pytest.mark.parametrize("packet", BASE64.values(), ids=BASE64)
async def test_base64(arena: Arena, packet: str) -> None:
    """Entry 28: an attachment that is no strict base64 closes the session."""
    peer = await arena.polling()
    await peer.post(BINARY_ECHO + SEPARATOR + packet)
    await arena.closes(peer, "parse error", "forced close")
    assert arena.record.named("echo") == []


async def test_base64_nobody_waits_for(arena: Arena) -> None:
    """Entry 28: `b` alone, with no packet that announced it."""
    peer = await arena.polling()
    await peer.post("b")
    await arena.closes(peer, "parse error", "forced close")


async def test_base64_of_an_empty_attachment(arena: Arena) -> None:
    """Entry 28: `b` alone is how the official client sends an attachment of no bytes: that much is served."""
    peer = await arena.polling()
    await peer.send(BINARY_ECHO.replace("[", "3[", 1), "b")
    assert await peer.message() == '61-3[{"_placeholder":true,"num":0}]'
    assert await peer.message() == b""


async def test_base64_over_the_limit(arenas: Arenas) -> None:
    """Entry 28: base64 is counted as it comes, like any body."""
    async with arenas(max_http_buffer_size=1000) as arena:
        peer = await arena.polling()
        response = await peer.post(BINARY_ECHO + SEPARATOR + "b" + "A" * 1200)
        assert response.status == 413
        assert arena.record.events == []


async def test_packets_after_close(arena: Arena) -> None:
    """Entry 29: what follows a close packet is ignored; the POST is answered."""
    peer = await arena.polling()
    response = await peer.post(SEPARATOR.join(('42["echo",1]', "1", '42["echo",2]', "1", "garbage")))
    assert (response.status, response.body) == (200, b"ok")
    await arena.closes(peer, "transport close")
    assert arena.record.named("echo") == [("echo", 1)]


async def test_close_with_a_poll_waiting(arena: Arena) -> None:
    """Entry 29: the waiting poll is answered with a noop, as in the official server."""
    peer = await arena.polling()
    wire = await peer.begin()
    await peer.send("3")
    await peer.send("1")
    response = await wire.response()
    assert (response.status, response.body) == (200, b"6")
    await arena.closes(peer, "transport close")


async def test_poll_never_read(arenas: Arenas) -> None:
    """Entry 30: a client that does not read its answer is closed by the heartbeat, and the answer let go."""
    async with arenas(ping_interval=0.2, ping_timeout=0.3) as arena:
        peer = await arena.polling()
        tasks = asyncio.all_tasks()
        arena.socket(peer).emit("news", "x" * 12_000_000)
        wire = await Wire.open(arena.port, receive_buffer=4096)
        wire.transport.pause_reading()
        await wire.send(request("GET", peer.target, arena.port))
        assert await arena.reasons(peer) <= {"ping timeout", "transport error"}
        await arena.idle(tasks)  # while the client still holds its connection
        wire.close()


async def test_poll_of_a_large_answer(arena: Arena) -> None:
    """Entry 30: a client that does read gets all of it."""
    peer = await arena.polling()
    arena.socket(peer).emit("news", "x" * 3_000_000)
    message = await peer.message()
    assert isinstance(message, str)
    assert json.loads(message[1:]) == ["news", "x" * 3_000_000]


async def test_unknown_method_of_a_session(arena: Arena) -> None:
    """Entry 16: a method that polling does not have disturbs nobody."""
    peer = await arena.polling()
    for method in ("PUT", "DELETE", "HEAD", "TRACE"):
        wire = await peer.begin(method)
        assert (await wire.response(head=method == "HEAD")).status >= 400
        wire.close()
    assert await peer.echo(16) == [16]


async def test_sessions_of_two_clients_mixed(arena: Arena) -> None:
    """Entry 16: what closes one session leaves the next one alone, on the same connection."""
    one, two = await arena.polling(), await arena.polling()
    wire: Wire = await Wire.open(arena.port)

    async def post(peer: Polling, body: bytes) -> None:
        await wire.send(request("POST", peer.target, arena.port, body=body))
        assert (await wire.response()).body == b"ok"

    await post(one, b"")
    await post(two, b'42["echo","two"]')
    wire.close()
    await arena.closes(one, "parse error")
    await until(lambda: arena.record.named("echo") == [("echo", "two")], "the event of the other")
    assert await two.echo(16) == [16]
