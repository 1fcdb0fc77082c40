"""When there is a short way, and what a request is that has come by it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import pytest
from uvicorn.config import Config

from socketeer import Server, Socket
from socketeer.integrations.asgi import SocketeerApp
from socketeer.integrations.uvicorn_direct import direct_of
from tests.integrations.served import other
from tests.support.peers import Polling
from tests.support.raw import POLLING, fetch
from tests.support.serving import serving


def found(app: Any, **settings: Any) -> bool:
    config = Config(app, log_config=None, **settings)
    config.load()
    direct = direct_of(config)
    assert direct_of(config) is direct
    return direct is not None


def test_where_nothing_stands_between() -> None:
    assert found(Server().asgi())
    assert found(Server().asgi(other))
    assert found(Server().asgi(), proxy_headers=False)
    assert found(Server(path="/my/chat").asgi())


def test_where_something_does() -> None:
    class Mine(SocketeerApp):
        """What it does is not known."""

    async def outer(scope: Any, receive: Any, send: Any) -> None: ...

    assert not found(outer)
    assert not found(Mine(Server()))
    assert not found(Server().asgi(), root_path="/below")
    assert not found(Server().asgi(), limit_concurrency=10)
    assert not found(Server().asgi(), log_level="trace")
    assert not found(Server(path="/caf\u00e9").asgi())


FORWARDED = [("X-Forwarded-For", "203.0.113.7, 127.0.0.1"), ("X-Forwarded-Proto", "https")]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({}, ("203.0.113.7", True)), ({"forwarded_allow_ips": "10.0.0.1"}, ("127.0.0.1", False))],
)
async def test_whom_a_proxy_speaks_for(settings: dict[str, Any], expected: tuple[str, bool]) -> None:
    seen: list[tuple[str, bool, Any, Any]] = []
    io = Server()

    @io.engine.on("headers")
    def headers(_: object, request: Any) -> None:
        scope = request.scope
        seen.append((request.address, request.secure, scope["client"][0], scope["scheme"]))

    async with serving(io, **settings) as port:
        await fetch(port, target=POLLING, headers=FORWARDED)
        await Polling.open(port, headers=FORWARDED)
    address, secure = expected
    assert set(seen) == {(address, secure, address, "https" if secure else "http")}


async def test_the_scope_is_there_for_who_looks() -> None:
    scopes: list[Any] = []

    def allow(request: Any) -> bool:
        scopes.append(request.scope)
        return True

    io = Server(allow_request=allow)
    async with serving(io) as port:
        await fetch(port, target=POLLING + "&a=b", headers=[("X-One", "1")])
    (scope,) = scopes
    assert scope["type"] == "http"
    assert scope["path"] == "/socket.io/"
    assert scope["query_string"] == b"EIO=4&transport=polling&a=b"
    assert (b"x-one", b"1") in scope["headers"]
    assert len(scope) == len(list(scope)) == len(dict(scope))


async def test_an_access_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "uvicorn.access")
    async with serving(Server(), access_log=True) as port:
        await fetch(port, target=POLLING)
    assert f'"GET {POLLING} HTTP/1.1" 200' in caplog.text


LEVEL: ContextVar[str] = ContextVar("LEVEL", default="outer")


@pytest.mark.parametrize("reset", [False, True])
async def test_context_variables_do_not_outlive_a_request(reset: bool) -> None:
    seen: list[str] = []
    io = Server()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.on("set")
        def on_set() -> None:
            seen.append(LEVEL.get())
            LEVEL.set("inner")

    async with serving(io, reset_contextvars=reset) as port:
        peer = await Polling.open(port)
        await peer.connect()
        for _ in range(3):
            await peer.send('421["set"]')
            assert await peer.message() == "31[]"
        await peer.bye()
    assert seen == ["outer"] * 3
    assert LEVEL.get() == "outer"
