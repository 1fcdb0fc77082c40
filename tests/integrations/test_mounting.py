"""The server mounted in another application, under a path of that application's choice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import fastapi
import pytest
import starlette.applications
import starlette.routing

from tests.integrations.echo import echo_server
from tests.support.asgi import App, AsgiWebSocket, http, shake
from tests.support.inprocess import soon


def in_starlette(path: str, app: App) -> App:
    return starlette.applications.Starlette(routes=[starlette.routing.Mount(path, app=app)])


def in_fastapi(path: str, app: App) -> App:
    outer = fastapi.FastAPI()
    outer.mount(path, app)
    return outer


def in_fastapi_in_fastapi(path: str, app: App) -> App:
    inner, outer = fastapi.FastAPI(), fastapi.FastAPI()
    inner.mount(path, app)
    outer.mount("/outer", inner)
    return outer


MOUNTS = [
    (in_starlette, "/ws", "/ws/socket.io/"),
    (in_starlette, "/socket.io", "/socket.io/"),
    (in_starlette, "/", "/socket.io/"),
    (in_starlette, "/{tenant}/live", "/acme/live/socket.io/"),
    (in_fastapi, "/ws", "/ws/socket.io/"),
    (in_fastapi, "/socket.io", "/socket.io/"),
    (in_fastapi_in_fastapi, "/ws", "/outer/ws/socket.io/"),
]


@pytest.mark.parametrize(("mount", "at", "path"), MOUNTS)
async def test_mounted(mount: Callable[[str, App], App], at: str, path: str) -> None:
    app = mount(at, echo_server().asgi())
    sid = await shake(app, path)
    await http(app, "POST", path, sid=sid, body=[b'420["echo",1]'])
    assert (await http(app, "GET", path, sid=sid)).body == b"430[1]"
    peer = await AsgiWebSocket.open(app, path)
    await peer.join()
    peer.say('420["echo",2]')
    assert await peer.hear() == "430[2]"
    peer.leave()
    await peer.exchange.over()


async def test_mounted_beside_routes() -> None:
    outer = fastapi.FastAPI()

    @outer.get("/hello")
    def hello() -> str:
        return "hi"

    outer.mount("/ws", echo_server().asgi())
    assert (await http(outer, "GET", "/hello")).body == b'"hi"'
    assert (await http(outer, "GET", "/ws/other")).status == 404
    await shake(outer, "/ws/socket.io/")


@pytest.mark.parametrize(
    ("root_path", "path", "ours"),
    [
        ("", "/socket.io/", True),
        ("/api", "/api/socket.io/", True),
        ("/api", "/socket.io/", True),
        ("/api", "/apis/socket.io/", False),
        ("/api", "/other/socket.io/", False),
        ("", "/api/socket.io/", False),
    ],
)
async def test_below_the_root_path(root_path: str, path: str, ours: bool) -> None:
    """Servers differ in whether the path holds the root path, which a proxy has taken off."""
    answer = await http(echo_server().asgi(), "GET", path, root_path=root_path)
    assert answer.status == (200 if ours else 404)


async def test_a_middleware_around_us() -> None:
    """What it asks of HTTP works; the WebSocket passes it by."""
    outer = fastapi.FastAPI()
    seen = asyncio.Event()

    @outer.middleware("http")
    async def middleware(request: Any, call_next: Any) -> Any:
        seen.set()
        response = await call_next(request)
        response.headers["x-seen"] = "yes"
        return response

    outer.mount("/ws", echo_server().asgi())
    answer = await http(outer, "GET", "/ws/socket.io/")
    await soon(seen)
    assert answer.headers["x-seen"] == "yes"
    assert answer.body.startswith(b'0{"sid":"')
