"""A server behind real middlewares, as an application of its own and mounted in FastAPI."""

from __future__ import annotations

from typing import Any

import fastapi
from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, SimpleUser
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse

from socketeer import Server, Socket

io = Server(http_compression=False)


class Tokens(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser]:
        name = conn.query_params.get("user")
        if name is None:
            raise AuthenticationError("who are you?")
        # What is put into the session leaves as a cookie, and comes back with the next request.
        conn.scope["session"]["visits"] = conn.scope["session"].get("visits", 0) + 1
        return AuthCredentials(["chat"]), SimpleUser(name)


class Header:
    """Adds a header to every answer; its state goes with the scope."""

    def __init__(self, app: Any, *, value: str) -> None:
        self.app = app
        self.value = value

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def sent(event: Any) -> None:
            if event["type"] in ("http.response.start", "websocket.accept"):
                added = [(b"x-added", self.value.encode()), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
                event = {**event, "headers": [*event.get("headers", ()), *added]}
            await send(event)

        await self.app({**scope, "added": self.value}, receive, sent)


def failing(app: Any) -> Any:
    async def check(scope: Any, receive: Any, send: Any) -> None:
        if b"fail=1" in scope["query_string"]:
            raise RuntimeError("the middleware\nis broken")
        await app(scope, receive, send)

    return check


io.engine.use(Header, value="outermost")
io.engine.use(GZipMiddleware, minimum_size=500)
io.engine.use(SessionMiddleware, secret_key="of the test")
io.engine.use(
    AuthenticationMiddleware,
    backend=Tokens(),
    on_error=lambda _, error: PlainTextResponse(str(error), status_code=401),
)
io.engine.use(failing)


@io.on("connection")
def connection(socket: Socket) -> None:
    @socket.on("who")
    def who() -> Any:
        scope = socket.request.scope
        return [scope["user"].display_name, scope["session"], scope["added"], socket.conn.transport.name]

    @socket.on("echo")
    def echo(*values: Any) -> tuple[Any, ...]:
        return values

    @socket.on("carrier")
    def carrier() -> str:
        return type(socket.conn.transport.carrier).__name__  # type: ignore[attr-defined]

    @socket.on("large")
    def large(size: int) -> str:
        return "x" * size


app = io.asgi()

mounted = fastapi.FastAPI()
mounted.mount("/ws", io.asgi())
