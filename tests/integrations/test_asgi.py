"""The server as an ASGI application: alone, and beside another one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import starlette.applications
import starlette.responses
import starlette.routing

from socketeer.engine.carriers.base import Carrier
from socketeer.integrations.asgi import TAKE_OVER
from socketeer.protocol.deflate import Codec
from tests.integrations.echo import echo_server, reasons
from tests.support.asgi import AsgiWebSocket, Exchange, begin, http, make_scope, shake
from tests.support.inprocess import FakeCarrier

PATH = "/socket.io/"


# --- alone --------------------------------------------------------------------------------------


async def test_polling() -> None:
    app = echo_server().asgi()
    sid = await shake(app, PATH)
    answer = await http(app, "POST", PATH, sid=sid, body=[b'420["ec', b'ho",1]', b"\x1e421", b'["echo"]'])
    assert (answer.status, answer.body) == (200, b"ok")
    answer = await http(app, "GET", PATH, sid=sid)
    assert answer.headers["content-type"] == "text/plain; charset=UTF-8"
    assert answer.body == b"430[1]\x1e431[]"


async def test_a_poll_that_waits() -> None:
    io = echo_server()
    app = io.asgi()
    sid = await shake(app, PATH)
    poll = begin(app, "GET", PATH, sid=sid)
    await asyncio.sleep(0)
    io.emit("news", b"\x01")
    _, body = await poll.over()
    assert body["body"] == b'451-["news",{"_placeholder":true,"num":0}]\x1ebAQ=='


async def test_the_client_goes_while_its_poll_waits() -> None:
    io = echo_server()
    app = io.asgi()
    sid = await shake(app, PATH)
    poll = begin(app, "GET", PATH, sid=sid)
    poll.give({"type": "http.disconnect"})
    await poll.over()
    assert reasons(io) == ["transport error"]


async def test_the_client_goes_in_the_midst_of_a_body() -> None:
    io = echo_server()
    app = io.asgi()
    sid = await shake(app, PATH)
    scope = make_scope("http", PATH, "polling", sid, method="POST")
    half = {"type": "http.request", "body": b'42["echo', "more_body": True}
    await Exchange(app, scope, half, {"type": "http.disconnect"}).over()
    assert reasons(io) == ["transport error"]


async def test_websocket() -> None:
    app = echo_server().asgi()
    peer = await AsgiWebSocket.open(app, PATH)
    await peer.join()
    peer.say('420["echo","text"]')
    assert await peer.hear() == '430["text"]'
    peer.say('451-1["echo",{"_placeholder":true,"num":0}]')
    peer.say(b"\x00\xff")
    assert await peer.hear() == '461-1[{"_placeholder":true,"num":0}]'
    assert await peer.hear() == b"\x00\xff"


async def test_the_client_closes_the_websocket() -> None:
    io = echo_server()
    peer = await AsgiWebSocket.open(io.asgi(), PATH)
    await peer.join()
    peer.leave()
    assert await peer.exchange.over() == []
    assert reasons(io) == ["transport close"]
    assert io.engine.clients_count == 0


async def test_the_server_closes_the_websocket() -> None:
    io = echo_server()
    peer = await AsgiWebSocket.open(io.asgi(), PATH)
    io.sockets.sockets[await peer.join()].disconnect(close=True)
    assert await peer.hear() == "41"
    (close,) = await peer.exchange.over()
    assert close["type"] == "websocket.close"


async def test_an_upgrade() -> None:
    io = echo_server()
    app = io.asgi()
    sid = await shake(app, PATH)
    peer = await AsgiWebSocket.open(app, PATH, sid)
    poll = begin(app, "GET", PATH, sid=sid)
    peer.say("2probe")
    assert await peer.hear() == "3probe"
    _, body = await poll.over()
    assert body["body"] == b"6"
    peer.say("5")
    peer.say('420["echo",1]')
    assert await peer.hear() == "430[1]"
    (session,) = io.engine.sessions.values()
    assert session.transport.name == "websocket"


async def test_the_first_subprotocol_is_taken() -> None:
    app = echo_server().asgi()
    scope = make_scope("websocket", PATH, "websocket", subprotocols=["one", "two"])
    exchange = Exchange(app, scope, {"type": "websocket.connect"})
    assert (await exchange.next())["subprotocol"] == "one"
    exchange.give({"type": "websocket.disconnect", "code": 1005})
    await exchange.over()


async def test_a_websocket_that_is_refused() -> None:
    app = echo_server(transports=["polling"]).asgi()
    scope = make_scope("websocket", PATH, "websocket", extensions={"websocket.http.response": {}})
    start, body = await Exchange(app, scope, {"type": "websocket.connect"}).over()
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 400)
    assert body["type"] == "websocket.http.response.body"
    assert b"Transport unknown" in body["body"]


async def test_a_websocket_that_is_refused_where_asgi_offers_nothing_more() -> None:
    app = echo_server(transports=["polling"]).asgi()
    scope = make_scope("websocket", PATH, "websocket")
    (close,) = await Exchange(app, scope, {"type": "websocket.connect"}).over()
    assert close["type"] == "websocket.close"


async def test_what_the_scope_says_is_what_the_handshake_holds() -> None:
    io = echo_server()
    app = io.asgi()
    headers = [(b"host", b"localhost"), (b"X-Token", b"caf\xe9")]
    peer = await AsgiWebSocket.open(app, PATH, headers=headers, scheme="wss", client=None)
    handshake = io.sockets.sockets[await peer.join()].handshake
    assert handshake.headers == {"host": "localhost", "x-token": "café"}
    assert handshake.query == {"EIO": "4", "transport": "websocket"}
    assert (handshake.secure, handshake.address) == (True, "")
    assert handshake.request.scope is peer.exchange.scope
    peer.leave()
    await peer.exchange.over()


async def test_a_server_that_hands_the_connection_over() -> None:
    """Then it sends and receives nothing by ASGI."""
    io = echo_server(max_http_buffer_size=77)
    carrier = FakeCarrier()
    offered: list[Any] = []

    def take_over(
        options: Any, headers: list[tuple[str, str]], codec: Codec | None, ready: Callable[[Carrier], None]
    ) -> None:
        assert codec is None  # nothing was offered
        offered.append((options.max_http_buffer_size, headers))
        ready(carrier)

    scope = make_scope("websocket", PATH, "websocket", extensions={TAKE_OVER: take_over})
    assert await Exchange(io.asgi(), scope, {"type": "websocket.connect"}).over() == []
    assert offered == [(77, [])]
    assert str(carrier.sent[0]).startswith('0{"sid":"')
    carrier.receiver.receive_text(b"40")
    carrier.receiver.receive_text(b'420["echo",1]')
    assert carrier.sent[-1] == "430[1]"


async def hand_over(io: Any, offer: bytes | None) -> tuple[dict[str, str], Codec | None]:
    """What a server that takes the connection over is told."""
    told: list[tuple[dict[str, str], Codec | None]] = []

    def take_over(
        options: Any, headers: list[tuple[str, str]], codec: Codec | None, ready: Callable[[Carrier], None]
    ) -> None:
        told.append((dict(headers), codec))
        ready(FakeCarrier())

    headers = [(b"sec-websocket-extensions", offer)] if offer is not None else []
    scope = make_scope("websocket", PATH, "websocket", extensions={TAKE_OVER: take_over}, headers=headers)
    assert await Exchange(io.asgi(), scope, {"type": "websocket.connect"}).over() == []
    ((answer, codec),) = told
    return answer, codec


async def test_compression_is_negotiated_where_both_want_it() -> None:
    answer, codec = await hand_over(echo_server(per_message_deflate=True), b"permessage-deflate")
    assert answer["Sec-WebSocket-Extensions"] == (
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    )
    assert codec is not None
    for io, offer in (
        (echo_server(), b"permessage-deflate"),
        (echo_server(), b",,;="),
        (echo_server(per_message_deflate=True), None),
        (echo_server(per_message_deflate=True), b"other"),
    ):
        assert await hand_over(io, offer) == ({}, None)


async def test_compression_under_another_server_is_that_servers() -> None:
    app = echo_server(per_message_deflate=True).asgi()
    for offer in (b"permessage-deflate", b",,;="):
        headers = [(b"sec-websocket-extensions", offer)]
        scope = make_scope("websocket", PATH, "websocket", headers=headers)
        exchange = Exchange(app, scope, {"type": "websocket.connect"})
        accepted = await exchange.next()
        assert (accepted["type"], accepted["headers"]) == ("websocket.accept", [])
        exchange.give({"type": "websocket.disconnect", "code": 1005})
        await exchange.over()


@pytest.mark.parametrize("path", ["/", "/socket.io", "/socket.iox/", "/other/socket.io/", "/SOCKET.IO/"])
async def test_other_paths(path: str) -> None:
    app = echo_server().asgi()
    answer = await http(app, "GET", path)
    assert (answer.status, answer.body) == (404, b"Not Found")
    scope = make_scope("websocket", path, "websocket")
    (close,) = await Exchange(app, scope, {"type": "websocket.connect"}).over()
    assert close["type"] == "websocket.close"


async def test_a_path_of_ones_own() -> None:
    app = echo_server(path="/chat/").asgi()
    await shake(app, "/chat/")
    assert (await http(app, "GET", PATH)).status == 404


# --- beside another application -----------------------------------------------------------------


class Other:
    """Another application, that writes down what it is asked."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        await receive()
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 418, "headers": []})
            await send({"type": "http.response.body", "body": b"teapot"})
        else:
            await send({"type": "websocket.accept"})


async def test_beside_another_application() -> None:
    other = Other()
    app = echo_server().asgi(other)
    await shake(app, PATH)
    assert other.scopes == []
    for path in ("/", "/socket.io", "/socket.iox/"):
        assert (await http(app, "GET", path)).status == 418
    scope = make_scope("websocket", "/mine", "websocket")
    (accepted,) = await Exchange(app, scope, {"type": "websocket.connect"}).over()
    assert accepted["type"] == "websocket.accept"
    assert other.scopes[-1] is scope, "the scope is handed on as it came"


# --- lifespan -----------------------------------------------------------------------------------

STARTUP, SHUTDOWN = {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}


async def test_lifespan_of_its_own() -> None:
    io = echo_server()
    app = io.asgi()
    lifespan = Exchange(app, {"type": "lifespan"}, STARTUP)
    assert await lifespan.next() == {"type": "lifespan.startup.complete"}
    await shake(app, PATH)
    lifespan.give(SHUTDOWN)
    assert await lifespan.over() == [{"type": "lifespan.shutdown.complete"}]
    assert reasons(io) == ["server shutting down"]
    assert (await http(app, "GET", PATH)).status == 503


async def test_started_again() -> None:
    """Tests of an application start and stop it many times."""
    app = echo_server().asgi()
    for _ in range(2):
        lifespan = Exchange(app, {"type": "lifespan"}, STARTUP)
        await lifespan.next()
        await shake(app, PATH)
        lifespan.give(SHUTDOWN)
        await lifespan.over()


async def test_lifespan_is_passed_on_both_ways() -> None:
    """The other application starts and stops as it likes; our clients are gone before it stops."""
    io = echo_server()
    steps: list[Any] = []

    @contextlib.asynccontextmanager
    async def lifespan(app: starlette.applications.Starlette) -> AsyncIterator[dict[str, str]]:
        steps.append("starts")
        yield {"database": "open"}
        steps.append(("stops", reasons(io)))

    async def state(request: Any) -> starlette.responses.Response:
        return starlette.responses.PlainTextResponse(request.state.database)

    other = starlette.applications.Starlette(routes=[starlette.routing.Route("/", state)], lifespan=lifespan)
    app = io.asgi(other)
    shared: dict[str, str] = {}
    running = Exchange(app, {"type": "lifespan", "state": shared}, STARTUP)
    assert await running.next() == {"type": "lifespan.startup.complete"}
    assert steps == ["starts"]
    assert shared == {"database": "open"}
    assert (await http(app, "GET", "/", state=shared)).body == b"open"
    await shake(app, PATH)
    running.give(SHUTDOWN)
    assert await running.over() == [{"type": "lifespan.shutdown.complete"}]
    assert steps == ["starts", ("stops", ["server shutting down"])]


async def open_database() -> None:
    raise RuntimeError("no database")


async def test_an_application_that_cannot_start() -> None:
    @contextlib.asynccontextmanager
    async def lifespan(app: starlette.applications.Starlette) -> AsyncIterator[None]:
        await open_database()
        yield

    app = echo_server().asgi(starlette.applications.Starlette(lifespan=lifespan))
    running = Exchange(app, {"type": "lifespan"}, STARTUP)
    assert (await running.next())["type"] == "lifespan.startup.failed"
    with pytest.raises(RuntimeError, match="no database"):
        await running.over()


async def asserts(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http", "no such scope"


async def asks_first(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    raise NotImplementedError(scope["type"])


@pytest.mark.parametrize("other", [asserts, asks_first])
async def test_an_application_that_knows_no_lifespan(other: Any) -> None:
    """It says so by raising. Ours is told of the end all the same."""
    io = echo_server()
    app = io.asgi(other)
    running = Exchange(app, {"type": "lifespan"}, STARTUP)
    assert await running.next() == {"type": "lifespan.startup.complete"}
    await shake(app, PATH)
    running.give(SHUTDOWN)
    assert await running.over() == [{"type": "lifespan.shutdown.complete"}]
    assert reasons(io) == ["server shutting down"]
