"""`io.engine.use`: real middlewares around the engine, under real servers, and what happens when one fails."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import fastapi
import pytest
from starlette.middleware.cors import CORSMiddleware

from socketeer import Cors, Server, UsageError
from socketeer.engine.carriers.lane import BUILT
from socketeer.integrations.asgi import TAKE_OVER
from tests.integrations.echo import echo_server
from tests.integrations.servers import listening
from tests.support.asgi import AsgiWebSocket, Exchange, begin, http, make_scope, shake
from tests.support.inprocess import FakeCarrier
from tests.support.peers import Polling, WebSocket
from tests.support.raw import CLOSE, POLLING, WEBSOCKET, Response, fetch, frame

PATH = "/socket.io/"
GUARDED = "tests.integrations.guarded"


# --- under real servers -----------------------------------------------------------------------------


@pytest.fixture(
    scope="module",
    params=["uvicorn with our class", "uvicorn with its own class", "hypercorn"],
)
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, int, Any]]:
    with listening(request.param, f"{GUARDED}:app") as (process, port):
        yield request.param, port, process


@pytest.fixture
def port(server: tuple[str, int, Any]) -> int:
    return server[1]


def values(response: Response, name: str) -> list[str]:
    return [value for key, value in response.headers if key.lower() == name]


def cookie_of(response: Response) -> tuple[str, str]:
    """The session's cookie, to be sent back."""
    (found,) = [value for value in values(response, "set-cookie") if value.startswith("session=")]
    return "Cookie", found.partition(";")[0]


async def test_polling(port: int) -> None:
    first = await fetch(port, target=f"{POLLING}&user=ann")
    assert (first.status, values(first, "x-added")) == (200, ["outermost"])
    assert {"a=1", "b=2"} <= set(values(first, "set-cookie"))
    peer = await Polling.open(port, query="&user=ann", headers=[cookie_of(first)])
    peer.target += "&user=ann"
    await peer.connect()
    await peer.send('425["who"]')
    assert await peer.message() == '35[["ann",{"visits":2},"outermost","polling"]]'
    await peer.send('426["large",2000]')
    response = await fetch(port, target=peer.target, headers=[("Accept-Encoding", "gzip")])
    assert values(response, "content-encoding") == ["gzip"]
    assert gzip.decompress(response.body) == b'436["' + b"x" * 2000 + b'"]'
    await peer.bye()


async def test_websocket(server: tuple[str, int, Any]) -> None:
    name, port, _ = server
    first = await fetch(port, target=f"{POLLING}&user=bob")
    wire, response = await WebSocket.shake(port, f"{WEBSOCKET}&user=bob", headers=[cookie_of(first)])
    assert (response.status, values(response, "x-added")) == (101, ["outermost"])
    assert {"a=1", "b=2"} <= set(values(response, "set-cookie"))
    wire.close()
    peer = await WebSocket.open(port, query="&user=bob", headers=[cookie_of(first)])
    await peer.connect()
    await peer.send('425["who"]')
    assert await peer.message() == '35[["bob",{"visits":2},"outermost","websocket"]]'
    await peer.send('426["carrier"]')
    ours = "TakenOverLane" if BUILT else "TakenOver"
    carrier = ours if name == "uvicorn with our class" else "AsgiCarrier"
    assert await peer.message() == f'36["{carrier}"]'
    assert await peer.echo("x" * 100_000) == ["x" * 100_000]
    await peer.bye()


async def test_an_upgrade(port: int) -> None:
    polling = await Polling.open(port, query="&user=eve")
    polling.target += "&user=eve"
    await polling.connect()
    wire, response = await WebSocket.shake(port, f"{WEBSOCKET}&user=eve&sid={polling.sid}")
    assert (response.status, values(response, "x-added")) == (101, ["outermost"])
    wire.close()


async def test_one_that_answers_itself(port: int) -> None:
    response = await fetch(port, target=POLLING)
    assert (response.status, response.body) == (401, b"who are you?")
    assert values(response, "x-added") == ["outermost"]
    wire, response = await WebSocket.shake(port, WEBSOCKET)
    assert response.status == 403  # Starlette closes before it accepts, for which servers answer so
    wire.close()


async def test_one_that_fails(server: tuple[str, int, Any]) -> None:
    _, port, process = server
    response = await fetch(port, target=f"{POLLING}&user=ann&fail=1")
    assert (response.status, json.loads(response.body)) == (400, {"code": 3, "message": "Bad request"})
    wire, response = await WebSocket.shake(port, f"{WEBSOCKET}&user=ann&fail=1")
    assert (response.status, response.body) == (400, b"Bad request")
    wire.close()
    peer = await WebSocket.open(port, query="&user=ann")
    await peer.connect()
    await peer.bye()
    process.wait_for("the middleware")  # by a pipe, which on a busy machine is behind the answer
    told = [line for line in process.err if "the middleware" in line]
    assert all("the middleware\\nis broken" in line and "guarded.py, line" in line for line in told)
    assert not any("Traceback" in line for line in process.err)


@pytest.mark.parametrize("name", ["uvicorn with our class", "hypercorn"])
async def test_mounted_in_fastapi(name: str) -> None:
    with listening(name, f"{GUARDED}:mounted") as (_, port):
        at = "/ws" + POLLING
        assert (await fetch(port, target=at)).status == 401
        response = await fetch(port, target=f"{at}&user=ann")
        assert (response.status, values(response, "x-added")) == (200, ["outermost"])
        wire, response = await WebSocket.shake(port, f"/ws{WEBSOCKET}&user=ann")
        assert (response.status, values(response, "x-added")) == (101, ["outermost"])
        # In order: from Python 3.12 on hypercorn waits at its end for WebSockets that were cut off.
        await wire.send(frame(b"\x03\xe8", CLOSE))
        wire.close()


# --- order, forms, failures -------------------------------------------------------------------------


def passing(told: list[str], name: str) -> Any:
    """A middleware that writes down that it was passed."""

    def middleware(app: Any) -> Any:
        async def passed(scope: Any, receive: Any, send: Any) -> None:
            told.append(f"{name} {scope['type']}")
            await app(scope, receive, send)

        return passed

    return middleware


async def test_the_first_is_outermost() -> None:
    io, told = echo_server(), list[str]()
    io.engine.use(passing(told, "first"))
    io.engine.use(passing(told, "second"))
    app = io.asgi()
    await http(app, "GET", PATH)
    assert told == ["first http", "second http"]
    told.clear()
    io.engine.use(passing(told, "late"))
    peer = await AsgiWebSocket.open(app, PATH)
    assert told == ["first websocket", "second websocket", "late websocket"]
    peer.leave()
    await peer.exchange.over()


async def test_other_paths_files_and_the_lifespan_pass_by() -> None:
    io, told = echo_server(serve_client=True), list[str]()
    io.engine.use(passing(told, "never"))
    app = io.asgi(fastapi.FastAPI())
    await http(app, "GET", "/other")
    await http(app, "GET", f"{PATH}socket.io.js")
    events = ({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    await Exchange(app, {"type": "lifespan", "state": {}}, *events).over()
    assert told == []


def test_what_is_no_middleware() -> None:
    engine = Server().engine

    async def for_fastapi(request: Any, call_next: Any) -> Any: ...

    with pytest.raises(UsageError, match=r"for_fastapi.*BaseHTTPMiddleware"):
        engine.use(for_fastapi)
    with pytest.raises(TypeError, match="missing a required argument"):
        engine.use(lambda request, response, following: None)
    with pytest.raises(TypeError, match="unexpected keyword argument 'allow_origin'"):
        engine.use(CORSMiddleware, allow_origin=["*"])
    assert engine.middlewares == ()


def test_as_a_decorator() -> None:
    engine = Server().engine

    @engine.use
    def middleware(app: Any) -> Any:
        return app

    assert engine.middlewares == ((middleware, {}),)


def raising(app: Any) -> Any:
    async def fail(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("of the test")

    return fail


async def test_a_failure_is_told_of_and_logged_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    io = echo_server(cors=Cors(origin="http://here.example"))
    io.engine.use(raising)
    errors: list[Any] = []
    io.engine.on("connection_error", errors.append)
    headers = [(b"host", b"localhost"), (b"origin", b"http://here.example")]
    answer = await http(io.asgi(), "GET", PATH, headers=headers)
    assert (answer.status, json.loads(answer.body)) == (400, {"code": 3, "message": "Bad request"})
    assert answer.headers["access-control-allow-origin"] == "http://here.example"
    assert [(error.code, error.context) for error in errors] == [(3, {"name": "MIDDLEWARE_FAILURE"})]
    (record,) = caplog.records
    assert "ValueError('of the test')" in record.getMessage()
    assert record.exc_info is None


@pytest.mark.parametrize(
    ("extensions", "answer"),
    [
        ({}, ["websocket.close"]),
        ({"websocket.http.response": {}}, ["websocket.http.response.start", "websocket.http.response.body"]),
    ],
)
async def test_a_failure_before_a_websocket(extensions: Any, answer: list[str]) -> None:
    io = echo_server()
    io.engine.use(raising)
    scope = make_scope("websocket", PATH, "websocket", extensions=extensions)
    sent = await Exchange(io.asgi(), scope, {"type": "websocket.connect"}).over()
    assert [event["type"] for event in sent] == answer


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_a_failure_after_the_answer(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """It has been given: nothing more is sent, and the line is logged."""
    io = echo_server()

    @io.engine.use
    def late(app: Any) -> Any:
        async def fail(scope: Any, receive: Any, send: Any) -> None:
            await app(scope, receive, send)
            raise ValueError("late")

        return fail

    if kind == "http":
        assert (await http(io.asgi(), "GET", PATH)).status == 200
    else:
        peer = await AsgiWebSocket.open(io.asgi(), PATH)
        await peer.join()
        peer.leave()
        await peer.exchange.over()
    (record,) = caplog.records
    assert "ValueError('late')" in record.getMessage()


async def test_a_middleware_that_cannot_be_made(caplog: pytest.LogCaptureFixture) -> None:
    def broken(app: Any) -> Any:
        raise RuntimeError("no database")

    io = echo_server()
    io.engine.use(broken)
    assert (await http(io.asgi(), "GET", PATH)).status == 400
    assert "no database" in caplog.text


async def test_an_error_of_the_engine_is_no_middlewares(monkeypatch: pytest.MonkeyPatch) -> None:
    io = echo_server()
    io.engine.use(passing([], "any"))

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    io.engine.on("headers", print)
    monkeypatch.setattr(type(io.engine), "emit", broken)
    with pytest.raises(ZeroDivisionError):
        await begin(io.asgi(), "GET", PATH).over()


async def test_a_connection_that_is_taken_over_keeps_its_compression() -> None:
    io = echo_server(per_message_deflate=True)

    @io.engine.use
    def adding(app: Any) -> Any:
        async def add(scope: Any, receive: Any, send: Any) -> None:
            async def sent(event: Any) -> None:
                await send({**event, "headers": [*event["headers"], (b"x-added", b"yes")]})

            await app(scope, receive, sent)

        return add

    told: list[Any] = []

    def take_over(options: Any, headers: Any, codec: Any, ready: Any) -> None:
        told.append((dict(headers), codec))
        ready(FakeCarrier())

    offer = [(b"sec-websocket-extensions", b"permessage-deflate")]
    scope = make_scope("websocket", PATH, "websocket", extensions={TAKE_OVER: take_over}, headers=offer)
    assert await Exchange(io.asgi(), scope, {"type": "websocket.connect"}).over() == []
    ((headers, codec),) = told
    assert headers["x-added"] == "yes"
    assert headers["sec-websocket-extensions"].startswith("permessage-deflate")
    assert codec is not None
    assert len(io.engine.sessions) == 1


# --- other origins ----------------------------------------------------------------------------------


def refusing(app: Any) -> Any:
    async def refuse(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": [(b"vary", b"Cookie")]})
        await send({"type": "http.response.body", "body": b"no"})

    return refuse


async def test_a_preflight_is_answered_before_them() -> None:
    """It comes without the cookie or the header that a middleware asks for."""
    io = echo_server(cors=Cors(origin="http://here.example"))
    io.engine.use(refusing)
    headers = [(b"host", b"localhost"), (b"origin", b"http://here.example")]
    assert (await http(io.asgi(), "OPTIONS", PATH, headers=headers)).status == 204
    events = await begin(io.asgi(), "GET", PATH, headers=headers).over()
    assert events[0]["status"] == 401
    assert sorted(events[0]["headers"]) == [
        (b"access-control-allow-origin", b"http://here.example"),
        (b"vary", b"Cookie"),
        (b"vary", b"Origin"),
    ]


async def test_answers_of_middlewares_follow_a_cors_function() -> None:
    io = echo_server(cors=lambda request: {"origin": f"http://{request.headers['host']}.example"})
    io.engine.use(refusing)
    headers = [(b"host", b"localhost"), (b"origin", b"http://localhost.example")]
    answer = await http(io.asgi(), "GET", PATH, headers=headers)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (401, "http://localhost.example")
    answer = await http(io.asgi(), "OPTIONS", PATH, headers=headers)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (204, "http://localhost.example")


async def test_what_the_engine_answers_has_its_headers_once() -> None:
    io = echo_server(cors=Cors(origin="http://here.example"))
    io.engine.use(passing([], "any"))
    headers = [(b"host", b"localhost"), (b"origin", b"http://here.example")]
    (start, _) = await begin(io.asgi(), "GET", PATH, headers=headers).over()
    names = [name for name, _ in start["headers"]]
    assert len(names) == len(set(names))


async def test_nothing_of_the_exchange_stays_in_the_scope() -> None:
    io = echo_server()
    io.engine.use(passing([], "any"))
    await shake(io.asgi(), PATH)
    (session,) = io.engine.sessions.values()
    assert [key for key in session.request.scope if key.startswith("socketeer")] == []
