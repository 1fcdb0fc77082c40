"""What the short way to the engine has to know of uvicorn: whether there is one, and who a request is from.

There is one where nothing stands between uvicorn and a Socket.IO server but uvicorn's own reader of proxies' headers: no
``root_path``, no ``limit_concurrency``, no other application around ours, no middleware of ``io.engine.use``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context, copy_context
from typing import Any, Final
from urllib.parse import quote

from uvicorn.config import Config
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.utils import get_remote_addr

from socketeer.engine.carriers.choice import CarrierName, carrier_name
from socketeer.engine.http.message import Request, Response
from socketeer.integrations.asgi import CLOSERS, SocketeerApp
from socketeer.integrations.request_head import RequestHead, Target, is_plain

access_log: Final = logging.getLogger("uvicorn.access")

Address = tuple[str, int]

_KEY: Final = "socketeer.direct"


def direct_of(config: Config) -> Direct | None:
    """The short way for what a uvicorn serves, kept with its configuration; None where there is none."""
    kept: dict[str, Any] = vars(config)
    if _KEY not in kept:
        kept[_KEY] = _find(config)
    direct: Direct | None = kept[_KEY]
    return direct


def _find(config: Config) -> Direct | None:
    app: Any = config.loaded_app
    proxied = None
    if type(app) is ProxyHeadersMiddleware:
        proxied, app = app, app.app
    if type(app) is not SocketeerApp or config.root_path or config.limit_concurrency is not None:
        return None
    return Direct(app, proxied, config.reset_contextvars) if is_plain(app.path) else None


class Peer:
    """Whom a connection is from."""

    __slots__ = ("client", "secure")

    def __init__(self, client: Address | None, secure: bool) -> None:
        self.client = client
        self.secure = secure


def _peer_of(transport: asyncio.Transport) -> Peer:
    # What loops remember anyway: uvicorn's own function asks the system.
    name: Any = transport.get_extra_info("peername")
    known = type(name) is tuple and type(name[0]) is str
    client = (name[0], int(name[1])) if known else get_remote_addr(transport)
    return Peer(client, transport.get_extra_info("sslcontext") is not None)


class Direct:
    """The short way to one Socket.IO server."""

    def __init__(self, app: SocketeerApp, proxied: ProxyHeadersMiddleware | None, fresh: bool) -> None:
        self.app = app
        self.engine = app.engine
        self.target = Target(app.path)
        self.handle: Callable[[Request], Coroutine[Any, Any, Response]] = app.engine.handle
        self._carrier: CarrierName | None = None
        self._path = f"{app.path}/"
        self._proxied = None if proxied is None else _Proxied(proxied)
        self.context: Callable[[], Context] = Context if fresh else copy_context
        """In which context a request is handled: uvicorn's ``reset_contextvars`` asks for an empty one."""

    @property
    def carrier(self) -> CarrierName:
        """What serves its WebSockets: the environment is asked once, for it takes as long as much of a handshake.

        Raises:
            OptionError: the environment asks for one that there is not.
        """
        if self._carrier is None:
            self._carrier = carrier_name()
        return self._carrier

    def meet(self, transport: asyncio.Transport, state: dict[str, Any]) -> Peer:
        """The first request of a connection has come."""
        self.asked_for(state)
        return _peer_of(transport)

    def asked_for(self, state: dict[str, Any]) -> None:
        """The web server ends our sessions before it ends itself."""
        closers = state.get(CLOSERS)
        if closers is not None:
            closers.add(self.app.end_sessions)

    def request(self, head: RequestHead, peer: Peer, body: bytes | None) -> DirectRequest:
        """What the engine is asked; ``body`` is None for a WebSocket handshake."""
        fields = head.fields
        client, secure = peer.client, peer.secure
        if fields.forwarded and self._proxied is not None:
            client, secure = self._proxied.origin(client, secure, fields.pairs)
        return DirectRequest(self._path, head, client, secure, body)


class _Proxied:
    """Asks uvicorn's own middleware whom a proxy speaks for."""

    def __init__(self, middleware: ProxyHeadersMiddleware) -> None:
        self._middleware = ProxyHeadersMiddleware(_nothing)
        self._middleware.trusted_hosts = middleware.trusted_hosts

    def origin(
        self, client: Address | None, secure: bool, pairs: Sequence[tuple[str, str]]
    ) -> tuple[Address | None, bool]:
        scope: Any = {
            "type": "http",
            "client": client,
            "scheme": "https" if secure else "http",
            "headers": [(name.encode(), value.encode()) for name, value in pairs],
        }
        asked = self._middleware(scope, None, None)  # type: ignore[arg-type]
        try:
            asked.send(None)
        except StopIteration:
            pass
        else:
            raise RuntimeError("uvicorn's middleware for proxies waits for something")
        return scope["client"], scope["scheme"] in ("https", "wss")


async def _nothing(_scope: object, _receive: object, _send: object) -> None:
    pass


class DirectRequest(Request):
    """A request that went without an ASGI scope, which is made when somebody looks; ``server`` is not told there.

    (To ask the system for it costs a call for each connection, and nobody asks us.) A session keeps this object, so
    it holds only what can be made into nothing else, and shares what is equal for most.
    """

    __slots__ = ("_port",)

    def __init__(
        self, path: str, head: RequestHead, client: Address | None, secure: bool, body: bytes | None
    ) -> None:
        fields = head.fields
        super().__init__(
            head.method, path, head.query, fields.pairs, client[0] if client else "", secure, whole=body
        )
        self._fields = fields.headers
        self._port = client[1] if client else None

    @property
    def client(self) -> Address | None:
        """Whom it is from; None where the server does not tell."""
        return None if self._port is None else (self.address, self._port)

    def _make_scope(self) -> dict[str, Any]:
        websocket = any(name == "upgrade" for name, _ in self.raw_headers)
        scheme = "ws" if websocket else "http"
        scope: dict[str, Any] = {
            "type": "websocket" if websocket else "http",
            "asgi": {"version": "3.0", "spec_version": "2.4" if websocket else "2.3"},
            "http_version": "1.1",
            "scheme": scheme + "s" * self.secure,
            "server": None,
            "client": self.client,
            "root_path": "",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": self.query_string.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in self.raw_headers],
            "extensions": {},
        }
        if not websocket:
            scope["method"] = self.method
        return scope


def client_name(request: DirectRequest) -> str:
    """As uvicorn names a client in its log."""
    client = request.client
    return f"{client[0]}:{client[1]}" if client else ""


def logged_path(request: DirectRequest) -> str:
    """As uvicorn names what a client asks for in its log."""
    query = request.query_string
    return f"{quote(request.path)}?{query}" if query else quote(request.path)


def write_access(request: DirectRequest, status: int) -> None:
    """A line of the access log, where there is one."""
    if access_log.hasHandlers():
        access_log.info(
            '%s - "%s %s HTTP/%s" %d',
            client_name(request),
            request.method,
            logged_path(request),
            "1.1",
            status,
        )
