"""Entries 8 to 15: where a request comes from, how many come, and what else is in its query."""

from __future__ import annotations

import pytest

from socketeer import Cors, Limits
from tests.hostile.arena import Arena, until
from tests.hostile.conftest import Arenas
from tests.hostile.test_handshake import cut_short, no_websocket, refused
from tests.support.peers import WebSocket
from tests.support.raw import CLOSE, POLLING, WEBSOCKET, Headers, Response, Wire, fetch, request

pytestmark = pytest.mark.asyncio(loop_scope="package")

PAGE = "http://localhost:5174"

FOREIGN = {
    "other host": "http://evil.example",
    "null": "null",
    "other port": "http://127.0.0.1:1",
    "ours as prefix": "http://127.0.0.1:{port}.evil.example",
    "ours as user": "http://127.0.0.1:{port}@evil.example",
    "ours as path": "http://evil.example/http://127.0.0.1:{port}",
    "list": "http://127.0.0.1:{port}, http://evil.example",
    "list with spaces": "http://127.0.0.1:{port} http://evil.example",
    "no scheme": "127.0.0.1:{port}",
    "file": "file://",
}


@pytest.mark.parametrize("origin", FOREIGN.values(), ids=FOREIGN)
async def test_origin(arena: Arena, origin: str) -> None:
    """Entry 8: by default only pages of our own origin are served."""
    headers = [("Origin", origin.format(port=arena.port))]
    response = await fetch(arena.port, headers=headers)
    refused(response, 4)
    assert response.header("access-control-allow-origin") is None


@pytest.mark.parametrize("origin", FOREIGN.values(), ids=FOREIGN)
async def test_origin_of_a_websocket_request(arena: Arena, origin: str) -> None:
    """Entry 8: the WebSocket handshake is checked like HTTP."""
    await no_websocket(arena, WEBSOCKET, 403, headers=[("Origin", origin.format(port=arena.port))])


@pytest.mark.parametrize(
    "origin", ["http://a\x01b", "http://a\x7fb", "http://a\r\n b", "http://a\rb", "http://\xe9"], ids=ascii
)
@pytest.mark.parametrize("target", [POLLING, WEBSOCKET], ids=["polling", "websocket"])
async def test_origin_of_strange_characters(arena: Arena, origin: str, target: str) -> None:
    """Entry 8: a control character, a bare CR, a folded line, ISO-8859-1: refused here or by the HTTP parser."""
    _, response = await WebSocket.shake(arena.port, target, headers=[("Origin", origin)])
    assert response.status in (400, 403), response


async def test_origin_of_our_own(arena: Arena) -> None:
    """Entry 8: our own origin, and none at all, are served."""
    for headers in ([], [("Origin", f"http://127.0.0.1:{arena.port}")]):
        polling = await arena.polling(headers=headers)
        assert await polling.echo(8) == [8]
        websocket = await arena.websocket(headers=headers)
        assert await websocket.echo(8) == [8]


async def test_origin_of_our_own_behind_a_proxy(arena: Arena) -> None:
    """Entry 8: a proxy that changes Host says in X-Forwarded-Host what the page's origin is."""
    headers = [("Origin", "https://chat.example"), ("X-Forwarded-Host", "chat.example")]
    headers.append(("X-Forwarded-Proto", "https"))
    peer = await arena.websocket(headers=headers)
    assert await peer.echo(8) == [8]


OTHERS = {
    "other port": "http://localhost:51740",
    "longer": "http://localhost:5174.evil.example",
    "https": "https://localhost:5174",
    "subdomain": "http://a.localhost:5174",
    "null": "null",
    "list": "http://localhost:5174, http://evil.example",
}


@pytest.mark.parametrize("origin", OTHERS.values(), ids=OTHERS)
async def test_origin_beside_the_listed_one(arenas: Arenas, origin: str) -> None:
    """Entry 8: a listed origin is compared exactly, over both transports."""
    async with arenas(cors=Cors(origin=PAGE)) as arena:
        response = await fetch(arena.port, headers=[("Origin", origin)])
        refused(response, 4)
        assert response.header("access-control-allow-origin") in (None, PAGE)
        await no_websocket(arena, WEBSOCKET, 403, headers=[("Origin", origin)])


async def test_listed_origin(arenas: Arenas) -> None:
    """Entry 8: the listed origin itself is served, over both transports."""
    async with arenas(cors=Cors(origin=PAGE)) as arena:
        polling = await arena.polling(headers=[("Origin", PAGE)])
        assert polling.response.header("access-control-allow-origin") == PAGE
        websocket = await arena.websocket(headers=[("Origin", PAGE)])
        assert await websocket.echo(8) == [8]


HOSTS = {
    "two hosts": [("Host", "127.0.0.1"), ("Host", "evil.example")],
    "empty host": [("Host", " ")],
    "half a bracket": [("Host", "[::1")],
    "space in the host": [("Host", "a b")],
    "path in the host": [("Host", "evil.example/socket.io")],
    "user in the host": [("Host", "evil@example")],
    "port too high": [("Host", "127.0.0.1:99999999")],
    "port of letters": [("Host", "127.0.0.1:http")],
    "control character": [("Host", "a\x01b")],
    "host not ASCII": [("Host", "\xe9vil.example")],
}


@pytest.mark.parametrize("headers", HOSTS.values(), ids=HOSTS)
async def test_host(arena: Arena, headers: Headers) -> None:
    """Entry 9: a malformed or repeated Host is refused, over both transports."""
    arena.lines_allowed = 2  # requests
    assert (await fetch(arena.port, headers=headers)).status == 400
    await no_websocket(arena, WEBSOCKET, headers=headers)


async def test_two_origins(arena: Arena) -> None:
    """Entry 9: neither of two Origin headers opens the door."""
    arena.lines_allowed = 6  # requests
    ours, theirs = ("Origin", f"http://127.0.0.1:{arena.port}"), ("Origin", "http://evil.example")
    for headers in ([ours, theirs], [theirs, ours], [ours, ours]):
        assert (await fetch(arena.port, headers=headers)).status in (400, 403)
        _, response = await WebSocket.shake(arena.port, headers=headers)
        assert response.status in (400, 403)


async def test_two_cookies(arena: Arena) -> None:
    """Entry 9: two Cookie headers are joined or refused, and confuse nobody."""
    response = await fetch(arena.port, headers=[("Cookie", "a=1"), ("Cookie", "io=2; b")])
    assert response.status in (200, 400)
    if response.status == 200:
        sid = response.text.split('"')[3]
        await fetch(arena.port, "POST", f"{POLLING}&sid={sid}", body=b"1")


async def test_websockets_without_connect(arenas: Arenas) -> None:
    """Entry 10: sessions that connect to no namespace are dropped after connect_timeout."""
    async with arenas(connect_timeout=0.4) as arena:
        for _ in range(100):
            await arena.websocket(connect=False)
        await until(lambda: arena.sessions == 0, "all idle sessions dropped")


async def test_polling_handshakes_without_connect(arenas: Arenas) -> None:
    """Entry 10: the same for sessions that do not even poll."""
    async with arenas(connect_timeout=0.41) as arena:
        for _ in range(100):
            await arena.polling(connect=False)
        await until(lambda: arena.sessions == 0, "all idle sessions dropped")


async def refused_by_limit(arenas: Arenas, limits: Limits, status: int) -> None:
    """Two sessions are let in and no third, until one leaves."""
    async with arenas(limits=limits, lines=10) as arena:
        first, second = await arena.polling(), await arena.websocket()
        for _ in range(3):
            assert (await fetch(arena.port)).status == status
            await no_websocket(arena, WEBSOCKET, status)
        assert await first.echo(10) == [10]
        await second.bye()
        await until(lambda: arena.sessions == 1, "one session left")
        third = await arena.websocket()
        assert await third.echo(10) == [10]


async def test_more_sessions_than_the_limit(arenas: Arenas) -> None:
    """Entry 10: above the total limit handshakes are answered 503."""
    await refused_by_limit(arenas, Limits(max_sessions=2), 503)


async def test_more_sessions_than_the_limit_of_one_address(arenas: Arenas) -> None:
    """Entry 10: above the limit for one address handshakes are answered 429."""
    await refused_by_limit(arenas, Limits(max_sessions_per_address=2), 429)


async def test_websocket_that_only_pongs(arenas: Arenas) -> None:
    """Entry 11: answering pings does not keep a session that connects to no namespace."""
    async with arenas(connect_timeout=0.4, ping_interval=0.1, ping_timeout=2) as arena:
        peer = await arena.websocket(connect=False)
        pings = 0
        while (frame := await peer.wire.frame()).opcode != CLOSE:
            assert frame.payload == b"2"
            pings += 1
            await peer.send("3")
        assert pings > 1
        await until(lambda: arena.sessions == 0, "session dropped")


async def test_polling_that_only_pongs(arenas: Arenas) -> None:
    """Entry 11: the same over polling."""
    async with arenas(connect_timeout=0.4, ping_interval=0.1, ping_timeout=2) as arena:
        peer = await arena.polling(connect=False)
        pings = 0
        while (response := await peer.get()).status == 200:
            if "2" in response.text:
                pings += 1
                await peer.post("3")
        refused(response, 1)
        assert pings > 1


async def test_query_of_a_megabyte(arena: Arena) -> None:
    """Entry 12: one long parameter."""
    wire = await Wire.open(arena.port)
    await wire.send(request("GET", f"{POLLING}&x={'A' * 1_000_000}", arena.port))
    assert await cut_short(wire) in (0, 400, 414, 431)


async def test_query_of_many_parameters(arena: Arena) -> None:
    """Entry 12: 100,000 parameters."""
    wire = await Wire.open(arena.port)
    await wire.send(request("GET", POLLING + "&a=1" * 100_000, arena.port))
    assert await cut_short(wire) in (0, 400, 414, 431)


PREFLIGHT = [("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "x-a, x-b")]


async def test_storm_of_preflights(arenas: Arenas) -> None:
    """Entry 13: preflights are answered without a session, with and without a sid."""
    async with arenas(cors=Cors(origin=PAGE)) as arena:
        peer = await arena.polling()
        wire = await Wire.open(arena.port)
        for number in range(200):
            target = peer.target if number % 2 else POLLING
            await wire.send(request("OPTIONS", target, arena.port, headers=[("Origin", PAGE), *PREFLIGHT]))
            response = await wire.response()
            assert response.status in (200, 204)
            assert response.header("access-control-allow-origin") == PAGE
        wire.close()
        assert arena.sessions == 1
        assert await peer.echo(13) == [13]


async def test_preflight_of_another_origin(arenas: Arenas) -> None:
    """Entry 13: a foreign page learns nothing that lets it in."""
    async with arenas(cors=Cors(origin=PAGE)) as arena:
        headers = [("Origin", "http://evil.example"), *PREFLIGHT]
        response = await fetch(arena.port, "OPTIONS", headers=headers)
        assert response.status in (200, 204, 403)
        assert response.header("access-control-allow-origin") in (None, PAGE)


async def test_options_without_cors(arena: Arena) -> None:
    """Entry 13: with no cors option, OPTIONS opens nothing and disturbs nobody."""
    peer = await arena.polling()
    for target in (POLLING, peer.target):
        response: Response = await fetch(arena.port, "OPTIONS", target)
        assert response.status in (200, 204, 400, 500)  # 500 as the official server, for the one with a sid
        assert response.header("access-control-allow-origin") is None
    assert arena.sessions == 1
    assert await peer.echo(13) == [13]


@pytest.mark.parametrize("j", ["0", "12", "", "%3Cscript%3E"], ids=["0", "12", "empty", "script"])
async def test_jsonp(arena: Arena, j: str) -> None:
    """Entry 14: no answer is ever a script."""
    response = await fetch(arena.port, target=f"{POLLING}&j={j}")
    assert response.status == 400
    assert b"___eio" not in response.body
    assert b"script" not in response.body
    assert "javascript" not in (response.header("content-type") or "")


async def test_jsonp_of_a_session(arena: Arena) -> None:
    """Entry 14: the same for a session that is open."""
    peer = await arena.polling()
    for method in ("GET", "POST"):
        response = await fetch(
            arena.port, method, f"{peer.target}&j=1", body=b"d=4" if method == "POST" else None
        )
        assert response.status == 400
        assert b"___eio" not in response.body


@pytest.mark.parametrize("query", ["&b64=1", "&t=abc", "&__proto__=1", "&=&&%", "&x=%FF", "&x[]=1&x[]=2"])
async def test_parameters_of_no_meaning(arena: Arena, query: str) -> None:
    """Entry 15: what we do not know is ignored."""
    polling = await arena.polling(query=query)
    assert await polling.echo(15) == [15]
    websocket = await arena.websocket(query=query)
    assert await websocket.echo(15) == [15]
