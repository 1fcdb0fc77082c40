"""The short way answers as uvicorn's: each exchange is held with a server that has it and with one that has not."""

from __future__ import annotations

import asyncio
import gc
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from socketeer import Cors, Server, Socket
from socketeer.engine import at_once
from socketeer.integrations import uvicorn_http, uvicorn_site, uvicorn_websocket
from socketeer.integrations.uvicorn_direct import direct_of
from socketeer.integrations.uvicorn_http import HttpProtocol
from tests.integrations.served import other
from tests.support.peers import Polling, WebSocket
from tests.support.raw import CLOSE, POLLING, WEBSOCKET, Wire, fetch, frame, request
from tests.support.serving import serving

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HOST = b"Host: localhost\r\n"
END = b"GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
"""Goes to the other application, and ends the connection."""


def get(query: str = "", *lines: bytes, version: bytes = b"HTTP/1.1", method: bytes = b"GET") -> bytes:
    head = b"%b %b %b\r\n" % (method, (POLLING + query).encode("latin-1"), version)
    return head + HOST + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def post(query: str, body: bytes, *lines: bytes, length: bool = True) -> bytes:
    lines = (*lines, b"Content-Length: %d" % len(body)) if length else lines
    return get(query, *lines, method=b"POST") + body


def upgrade(query: str = "", *lines: bytes, **without: str) -> bytes:
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    headers["Sec-WebSocket-Key"] = KEY
    headers |= {name.replace("_", "-"): value for name, value in without.items()}
    made = [f"{name}: {value}".encode() for name, value in headers.items() if value]
    target = (WEBSOCKET + query).encode()
    return b"GET %b HTTP/1.1\r\n" % target + HOST + b"\r\n".join([*made, *lines]) + b"\r\n\r\n"


CASES: dict[str, bytes] = {
    "handshake": get(),
    "handshake of HTTP/1.0": get(version=b"HTTP/1.0"),
    "handshake, then no more": get("", b"Connection: close"),
    "handshake, kept alive by name": get("", b"Connection: keep-alive"),
    "handshake from an allowed page": get("", b"Origin: http://friend"),
    "handshake from another page": get("", b"Origin: http://foe"),
    "handshake from an old browser": get("", b"User-Agent: Mozilla/5.0 (Trident/7.0)"),
    "unreadable origin": get("", b"Origin: \xe9"),
    "headers in capitals": get().replace(b"Host", b"HOST"),
    "unknown transport": get().replace(b"polling", b"pigeon"),
    "transport given twice": get("&transport=polling"),
    "unknown session": get("&sid=unknown"),
    "unknown session, POST": post("&sid=unknown", b"40"),
    "old protocol": get().replace(b"EIO=4", b"EIO=3"),
    "too many parameters": get("&a=1" * 300),
    "escaped parameters": get("&a=%20+b"),
    "POST without a session": post("", b"40"),
    "a POST, then a poll, at once": post("&sid={sid}", b"40") + get("&sid={sid}"),
    "three POSTs at once": post("&sid={sid}", b"40")
    + 2 * post("&sid={sid}", b'42["echo",1]')
    + get("&sid={sid}"),
    "a POST in chunks": get("&sid={sid}", b"Transfer-Encoding: chunked", method=b"POST")
    + b"2\r\n40\r\n0\r\n\r\n",
    "a POST that asks first": post("&sid={sid}", b"40", b"Expect: 100-continue"),
    "a POST of nothing": post("&sid={sid}", b""),
    "a POST without a length": post("&sid={sid}", b"", length=False),
    "a POST with two lengths": post("&sid={sid}", b"40", b"Content-Length: 3"),
    "a POST with a signed length": post("&sid={sid}", b"40", b"Content-Length: +2", length=False),
    "a POST with a list of lengths": post("&sid={sid}", b"40", b"Content-Length: 2, 2", length=False),
    "a POST with a length and in chunks": post(
        "&sid={sid}", b"2\r\n40\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"
    ),
    "a POST that is too long": post("&sid={sid}", b"4" * 2000),
    "a POST of many pieces": post("&sid={sid}", b'40/x,{"a":"' + b"x" * 500 + b'"}'),
    "a compressed POST": post("&sid={sid}", b"40", b"Content-Encoding: gzip"),
    "a binary POST": post("&sid={sid}", b"40", b"Content-Type: application/octet-stream"),
    "a POST that is no payload": post("&sid={sid}", b"\x1e\x1e"),
    "a POST that is no text": post("&sid={sid}", b"4\xff"),
    "a goodbye, then a poll": post("&sid={sid}", b"1") + get("&sid={sid}"),
    "a GET with a body": get("", b"Content-Length: 3") + b"abc",
    "a GET with a length of nothing": get("", b"Content-Length: 0"),
    "HEAD": get(method=b"HEAD"),
    "OPTIONS": get(method=b"OPTIONS"),
    "preflight": get("", b"Origin: http://friend", b"Access-Control-Request-Method: POST", method=b"OPTIONS"),
    "PUT": get("&sid={sid}", method=b"PUT"),
    "no such method": get(method=b"JUMP"),
    "two hosts": get("", b"Host: other"),
    "no host": get().replace(HOST, b""),
    "no headers at all": get().replace(HOST, b"").replace(b"\r\n\r\n", b"\r\n\r\n"),
    "a strange host": get().replace(b"localhost", b"local host"),
    "a folded header": get("", b"X-Long: a", b" b"),
    "a header that ends in blanks": get("", b"X-Blank: a  "),
    "a header with a tab": get("", b"X-Tab:\ta\tb"),
    "a header without a value": get("", b"X-Nothing:"),
    "a header without a name": get("", b": value"),
    "a header without a colon": get("", b"nonsense"),
    "a blank before the colon": get("", b"X-Blank : a"),
    "a header in Latin": get("", b"X-Latin: \xe9t\xe9"),
    "a header with a zero": get("", b"X-Zero: \x00"),
    "a lone line feed": get("", b"X-Line: a\nX-Other: b"),
    "a lone carriage return": get("", b"X-Line: a\rb"),
    "a huge header": get("", b"X-Huge: " + b"x" * 20_000),
    "many headers": get("", *(b"X-%d: 1" % number for number in range(100))),
    "a fragment": get("#fragment"),
    "a blank in the target": get(" x"),
    "Latin in the target": get("&x=\xe9"),
    "an escaped path": get().replace(b"/socket.io/", b"/socket%2Eio/"),
    "the whole URL": get().replace(b"GET /", b"GET http://localhost/"),
    "HTTP/1.2": get(version=b"HTTP/1.2"),
    "HTTP/2.0": get(version=b"HTTP/2.0"),
    "no version": get().replace(b" HTTP/1.1", b""),
    "two blanks": get().replace(b" HTTP", b"  HTTP"),
    "empty lines first": b"\r\n\r\n" + get(),
    "no slash": get().replace(b"/socket.io/", b"/socket.io"),
    "another path": get().replace(b"/socket.io/", b"/socket.io/x/"),
    "the browser's client": b"GET /socket.io/nothing.js HTTP/1.1\r\n" + HOST + b"\r\n",
    "the other application": b"GET /page HTTP/1.1\r\n" + HOST + b"\r\n",
    "ours, the other's, ours": get() + b"GET /page HTTP/1.1\r\n" + HOST + b"\r\n" + get(),
    "the other's, ours, the other's": (b"GET /page HTTP/1.1\r\n" + HOST + b"\r\n" + get()) * 2,
    "behind a proxy": get("", b"X-Forwarded-For: 203.0.113.7", b"X-Forwarded-Proto: https"),
    "an upgrade that names no protocol": get("", b"Connection: Upgrade"),
    "a proxy's connection": get("", b"Proxy-Connection: close"),
    "connection: several": get("", b"Connection: keep-alive, x"),
    "WebSocket, unknown session": upgrade("&sid=unknown"),
    "WebSocket, old version": upgrade(Sec_WebSocket_Version="12"),
    "WebSocket, no version": upgrade(Sec_WebSocket_Version=""),
    "WebSocket, no key": upgrade(Sec_WebSocket_Key=""),
    "WebSocket, short key": upgrade(Sec_WebSocket_Key="AAAA"),
    "WebSocket, odd key": upgrade(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ=*"),
    "WebSocket, two keys": upgrade("", b"Sec-WebSocket-Key: " + KEY.encode()),
    "WebSocket from another page": upgrade("", b"Origin: http://foe"),
    "WebSocket by POST": upgrade().replace(b"GET", b"POST"),
    "WebSocket on a polling query": upgrade().replace(b"transport=websocket", b"transport=polling"),
}

#: These are answered 101; the close frame ends them.
OPENED: dict[str, bytes] = {
    "as browsers": upgrade(),
    "as Firefox": upgrade(Connection="keep-alive, Upgrade"),
    "capitals": upgrade(Upgrade="WebSocket", Connection="UPGRADE"),
    "subprotocols": upgrade("", b"Sec-WebSocket-Protocol: one, two"),
    "another list": upgrade(Connection="Upgrade, keep-alive"),
    "with a length": upgrade("", b"Content-Length: 0"),
    "compressed": upgrade("", b"Sec-WebSocket-Extensions: permessage-deflate"),
    "an allowed page": upgrade("", b"Origin: http://friend"),
    "behind a proxy": upgrade("", b"X-Forwarded-For: 203.0.113.7", b"X-Forwarded-Proto: https"),
}


def make_server(listens: bool = True, **options: Any) -> Server:
    io = Server(cors=Cors(origin="http://friend", credentials=True), max_http_buffer_size=1000, **options)

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.on("echo")
        def echo(*values: Any) -> None:
            socket.emit("echo", *values)

    def headers(found: dict[str, str], request: Any) -> None:
        found["x-seen"] = f"{request.method} {request.address} {request.secure} {request.scope['type']}"

    if listens:
        io.engine.on("headers", headers)
    return io


@asynccontextmanager
async def both(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], Server] = make_server, **settings: Any
) -> AsyncIterator[tuple[int, int]]:
    """The ports of two servers: one with the short way, one without."""
    real = direct_of
    with monkeypatch.context() as patch:
        # Asked when a server begins, and at handshakes.
        for module in (uvicorn_site, uvicorn_websocket):
            patch.setattr(module, "direct_of", lambda c: None if c.timeout_keep_alive == 7 else real(c))
        async with (
            serving(make(), app=other, **settings) as short,
            serving(make(), app=other, timeout_keep_alive=7, **settings) as long,
        ):
            yield short, long


async def end(wire: Wire) -> None:
    """Wait until the server has ended the connection."""
    async with asyncio.timeout(20):
        while not wire.ended:
            wire._news.clear()
            await wire._news.wait()


async def poll_waits(io: Server, sid: str) -> None:
    """Wait until a poll of this session does."""
    async with asyncio.timeout(10):
        while not io.engine.sessions[sid].transport.writable():  # noqa: ASYNC110 - nobody is told of it
            await asyncio.sleep(0.01)


async def exchange(port: int, data: bytes, pieces: int = 1) -> bytes:
    """What is answered, to its end, without what differs each time."""
    if b"{sid}" in data:
        sid = (await Polling.open(port)).sid
        data = data.replace(b"{sid}", sid.encode())
    wire = await Wire.open(port, deadline=10)
    size = -(-len(data) // pieces)
    for at in range(0, len(data), size):
        wire.transport.write(data[at : at + size])
        for _ in range(3):
            await asyncio.sleep(0)
    await end(wire)
    wire.close()
    found = re.sub(rb"(?i)date: [^\r]+", b"date: -", bytes(wire.received))
    return re.sub(rb'"sid":"[^"]{20}"', b'"sid":"-"', found)


@pytest.mark.parametrize("pieces", [1, 2, 7])
async def test_the_same_answers(monkeypatch: pytest.MonkeyPatch, pieces: int) -> None:
    async with both(monkeypatch) as (short, long):
        for name, data in CASES.items():
            found = await exchange(short, data + END, pieces)
            expected = await exchange(long, data + END, pieces)
            assert (name, found) == (name, expected)
            assert expected.startswith(b"HTTP/1.1 "), name


async def test_the_same_answers_where_nobody_changes_their_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    poll = get("&sid={sid}", b"Origin: http://friend", b"User-Agent: MSIE Trident/7.0")
    cases = {
        "a goodbye, then polls": post("&sid={sid}", b"1") + poll + poll,
        "POSTs, polls": post("&sid={sid}", b"40", b"Origin: http://friend")
        + poll
        + post("&sid={sid}", b"40/x")
        + poll,
        "with stamps": post("&t=1&sid={sid}", b"40")
        + get("&t=1&sid={sid}")
        + post("&t=2&sid={sid}", b"40")
        + get("&t=a.b-c_d&sid={sid}"),
        "with odd stamps": post("&t=&sid={sid}", b"40")
        + get("&t=%41&sid={sid}")
        + post("&sid={sid}&t=2", b"40")
        + get("&sid={sid}&t=3&t=4"),
    }
    async with both(monkeypatch, lambda: make_server(listens=False)) as (short, long):
        for name, data in (cases | CASES).items():
            found = await exchange(short, data + END)
            expected = await exchange(long, data + END)
            assert (name, found) == (name, expected)


@pytest.mark.parametrize("deflate", [False, True])
async def test_the_same_handshakes(monkeypatch: pytest.MonkeyPatch, deflate: bool) -> None:
    closing = frame(b"\x03\xe8", CLOSE)
    async with both(monkeypatch, lambda: make_server(per_message_deflate=deflate)) as (short, long):
        for name, data in OPENED.items():
            found = await exchange(short, data + closing)
            expected = await exchange(long, data + closing)
            assert (name, found) == (name, expected)
            assert expected.startswith(b"HTTP/1.1 101 "), name


async def test_ordinary_requests_do_go_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    answered: list[str] = []
    real = at_once.handle_at_once

    def counting(engine: Any, terms: Any, body: bytes, exchange: Any) -> bool:
        done = real(engine, terms, body, exchange)
        answered.append(f"{'GET' if terms.polls else 'POST'} {done}")
        return done

    monkeypatch.setattr(uvicorn_http, "handle_at_once", counting)
    async with serving(Server()) as port:
        peer = await Polling.open(port)
        assert answered == []  # the handshake
        await peer.connect()
        await peer.bye()
    assert set(answered) == {"GET True", "POST True"}


@pytest.mark.parametrize("rule", [lambda origin: True, "asynchronous"])
async def test_what_an_application_decides(rule: Any) -> None:
    """An origin that a function allows: sessions over both transports, with polls that wait and clients that go."""

    async def allow(origin: str) -> bool:
        await asyncio.sleep(0)
        return True

    gone: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    io = Server(cors=Cors(origin=allow if rule == "asynchronous" else rule))
    io.on("connection", lambda socket: socket.on("disconnect", gone.set_result))
    headers = [("Origin", "http://friend")]
    async with serving(io) as port:
        polling = await Polling.open(port, headers=headers)
        await polling.connect()
        websocket = await WebSocket.open(port, headers=headers)
        await websocket.connect()
        wire = await Wire.open(port)
        await wire.send(request("GET", f"{POLLING}&sid={polling.sid}", port, headers=headers))
        await poll_waits(io, polling.sid)
        wire.close()
        async with asyncio.timeout(10):
            assert await gone == "transport error"


async def test_a_client_that_goes_while_its_poll_waits() -> None:
    gone: asyncio.Future[tuple[str, str]] = asyncio.get_running_loop().create_future()
    io = Server()
    io.on("connection", lambda socket: socket.on("disconnect", lambda *why: gone.set_result(why)))
    async with serving(io) as port:
        peer = await Polling.open(port)
        await peer.connect()
        wire = await Wire.open(port)
        await wire.send(request("GET", f"{POLLING}&sid={peer.sid}", port))
        await poll_waits(io, peer.sid)
        wire.close()
        async with asyncio.timeout(10):
            assert await gone == ("transport error", "poll connection closed prematurely")


async def test_a_middleware_takes_the_requests_that_come_after_it() -> None:
    seen: list[str] = []
    io = Server()

    def middleware(app: Any) -> Any:
        async def inner(scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope["type"])
            await app(scope, receive, send)

        return inner

    async with serving(io) as port:
        await fetch(port, target=POLLING)
        assert seen == []
        io.engine.use(middleware)
        await fetch(port, target=POLLING)
        await (await WebSocket.open(port)).bye()
        assert seen == ["http", "websocket"]


@pytest.mark.parametrize("silent_after", [b"", get()[:20], b"GET /page HT", get(), get() + get()[:20]])
async def test_who_says_no_more_is_let_go(silent_after: bytes) -> None:
    """Before, within and after a request: the one by `header_timeout`, the other by uvicorn's `timeout_keep_alive`."""
    io = Server()
    async with serving(
        io, timeout_keep_alive=1, http=type("Quick", (HttpProtocol,), {"header_timeout": 0.5})
    ) as port:
        wire = await Wire.open(port, deadline=20)
        wire.transport.write(silent_after)
        await end(wire)
        assert bytes(wire.received).count(b"HTTP/1.1 200") == (silent_after.count(b"\r\n\r\n"))


async def test_the_end_of_the_server_answers_a_poll_that_waits() -> None:
    io = Server()
    async with serving(io) as port:
        peer = await Polling.open(port)
        await peer.connect()
        wire = await Wire.open(port, deadline=10)
        await wire.send(request("GET", f"{POLLING}&sid={peer.sid}", port))
        await poll_waits(io, peer.sid)
    response = await wire.response()
    assert response.status == 200
    assert response.body == b"1"


async def test_a_header_that_cannot_be_sent_is_not() -> None:
    io = Server()

    @io.engine.on("headers")
    def headers(found: dict[str, str], request: Any) -> None:
        found["x-bad"] = "a\r\nset-cookie: b"

    async with serving(io) as port:
        assert (await fetch(port, target=POLLING)).status == 500


def protocols() -> list[HttpProtocol]:
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, HttpProtocol)]


async def test_a_connection_that_has_ended_leaves_no_protocol() -> None:
    before = protocols()  # what other tests have left
    async with serving(Server()) as port:
        peer = await Polling.open(port)
        await peer.connect()
        await peer.bye()
        await Wire.close_all()
        await asyncio.sleep(0.05)
        assert [each for each in protocols() if not any(each is other for other in before)] == []
