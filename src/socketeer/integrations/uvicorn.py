"""The fast WebSocket path under uvicorn: everything about uvicorn and nothing else.

:class:`WebSocketProtocol` is uvicorn's own WebSocket class with one addition: it offers the
application the ASGI extension ``socketeer.take_over``. Routing, mounting and middleware stay plain
ASGI; an application that takes the offer gets the bare connection, picows answers the handshake,
and the frames bypass ASGI. WebSockets of other applications are served as uvicorn does.

Use it by ``io.run``, ``io.serve``, ``socketeer run``, or ``uvicorn app:app --ws
socketeer.integrations.uvicorn:WebSocketProtocol``.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import weakref
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from socketeer.engine.carriers.base import Carrier
from socketeer.engine.carriers.choice import carrier_name
from socketeer.engine.carriers.deflate import DeflateCarrier
from socketeer.engine.carriers.lane import BUILT
from socketeer.engine.carriers.picows import Flusher, PicowsCarrier, feed, take_over
from socketeer.integrations.asgi import CLOSERS, TAKE_OVER
from socketeer.options import EngineOptions, Limits
from socketeer.protocol.deflate import Codec

log = logging.getLogger("socketeer")

_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

_flushers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Flusher] = weakref.WeakKeyDictionary()


def _flusher(loop: asyncio.AbstractEventLoop) -> Flusher:
    flusher = _flushers.get(loop)
    if flusher is None:
        flusher = _flushers[loop] = Flusher(loop)
    return flusher


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which by itself waits for a request's headers for ever."""

    header_timeout = Limits().header_timeout
    _timer: asyncio.TimerHandle | None = None
    _in_headers = True
    _piece = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As uvicorn's; the first request has to come."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._timer = self.loop.call_later(self.header_timeout, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        """As uvicorn's; headers that are not whole by now get their time."""
        self._piece = data
        super().data_received(data)
        self._piece = b""
        if self._in_headers and self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(self.header_timeout, self.transport.abort)

    def handle_websocket_upgrade(self) -> None:
        """As uvicorn's, which drops what has come behind the request in the same piece."""
        super().handle_websocket_upgrade()
        reason = sys.exc_info()[1]
        if isinstance(reason, httptools.HttpParserUpgrade):
            early = self._piece[reason.args[0] :]
            if early and not self.transport.is_closing():
                protocol: Any = self.transport.get_protocol()
                protocol.data_received(early)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_headers = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its headers are whole."""
        self._in_headers = False
        self._disarm()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._disarm()
        super().connection_lost(exc)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


#: Bytes from a client whose handshake is not answered yet, above which no more are read.
MOST_EARLY = 65_536

#: Seconds that a peer may take to answer a close frame when the server ends.
LAST_WORDS = 0.2


class _Counted(PicowsCarrier):
    """A carrier that uvicorn counts among its connections: it is told of the server's end, and waited for.

    From Python 3.12 on the loop's server waits for every connection that it has accepted, so one that
    nobody closes would hold the end up for ever.
    """

    __slots__ = ()
    _connections: set[Any]

    def on_ws_connected(self, transport: Any) -> None:
        super().on_ws_connected(transport)
        self._connections.add(self)

    def on_ws_disconnected(self, transport: Any) -> None:
        self._connections.discard(self)
        super().on_ws_disconnected(transport)

    def shutdown(self) -> None:
        """Called by uvicorn, once, when the server ends: a peer that does not answer now is not waited for."""
        if not self._closing:
            self.close()
            self.receiver.carrier_lost("server shutting down", "the web server ends")
        asyncio.get_running_loop().call_later(LAST_WORDS, self.abort)


class TakenOver(_Counted):
    """A connection of uvicorn's that picows serves."""

    __slots__ = ("_connections",)

    def __init__(
        self, options: EngineOptions, loop: asyncio.AbstractEventLoop, connections: set[Any]
    ) -> None:
        super().__init__(options.max_http_buffer_size, options.limits, options.backpressure, _flusher(loop))
        self._connections = connections


class TakenOverDeflate(_Counted, DeflateCarrier):
    """The same for a client with which permessage-deflate is agreed on."""

    __slots__ = ("_connections",)

    def __init__(
        self, options: EngineOptions, loop: asyncio.AbstractEventLoop, connections: set[Any], codec: Codec
    ) -> None:
        DeflateCarrier.__init__(
            self,
            options.max_http_buffer_size,
            options.limits,
            options.backpressure,
            _flusher(loop),
            codec,
        )
        self._connections = connections


if BUILT or TYPE_CHECKING:
    from socketeer.engine.carriers.lane import carrier as lane

    class TakenOverLane(lane.LaneCarrier):
        """A connection of uvicorn's that the native lane serves, counted as the others are."""

        __slots__ = ("_connections",)

        def __init__(
            self, options: EngineOptions, loop: asyncio.AbstractEventLoop, connections: set[Any]
        ) -> None:
            super().__init__(
                lane.lane_of(loop), options.max_http_buffer_size, options.limits, options.backpressure
            )
            self._connections = connections
            connections.add(self)

        def _gone(self) -> None:
            self._connections.discard(self)

        def shutdown(self) -> None:
            """As :meth:`_Counted.shutdown`."""
            if self.is_open:
                self.close()
                self.receiver.carrier_lost("server shutting down", "the web server ends")
            asyncio.get_running_loop().call_later(LAST_WORDS, self.abort)


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, offering to hand its connection over."""

    _taken = False
    _shaken = False
    _early = b""
    _inner: Any = None

    def data_received(self, data: bytes) -> None:
        """As uvicorn's; the first piece is the handshake, which uvicorn's HTTP parser has read already."""
        if self._shaken and not self.handshake_complete:
            self._early += data  # for whoever gets the connection
            if len(self._early) > MOST_EARLY:
                self.transport.pause_reading()
            return
        self._shaken = True
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.close_sent:
            self._refuse_handshake(self.conn.handshake_exc)

    async def send(self, message: Any) -> None:
        """As uvicorn's; behind the handshake's answer comes what the client did not wait with."""
        await super().send(message)
        if self._early and self.handshake_complete and not self.transport.is_closing():
            early, self._early = self._early, b""
            self.transport.resume_reading()
            super().data_received(early)

    def _refuse_handshake(self, reason: Exception) -> None:
        """Answer a handshake that the websockets library cannot read, which uvicorn leaves waiting for ever.

        HTTP's parser has taken it, but a line of more than 8 KiB, or more than 128 headers, are too much for
        this second one. For these it has its own answer ready (431, 414); for anything else it has none.
        """
        log.info("a WebSocket handshake is refused: %s", reason)
        self.transport.write(b"".join(self.conn.data_to_send()) or _BAD_REQUEST)
        self.close_sent = True  # all that is to be said: uvicorn's shutdown would answer a second time
        self.transport.close()

    async def run_asgi(self) -> None:
        """Run the application; if it has taken the connection over, leave it alone afterwards."""
        extensions: dict[str, Any] = {**(self.scope.get("extensions") or {}), TAKE_OVER: self._take_over}
        self.scope["extensions"] = extensions
        self._inner, self.app = self.app, self._until_taken
        await super().run_asgi()

    async def _until_taken(self, scope: Any, receive: Any, send: Any) -> None:
        await self._inner(scope, receive, send)
        if self.initial_response is not None:
            self.handshake_complete = True  # uvicorn takes a refusal for a missing handshake
        if self._taken:
            # uvicorn would close a connection whose application has returned.
            self.handshake_complete = True
            self.transport = _NO_TRANSPORT
            # The session keeps the scope, and would keep us and the handshake's parsers by it.
            scope["extensions"].pop(TAKE_OVER, None)

    def _take_over(
        self,
        options: EngineOptions,
        headers: list[tuple[str, str]],
        codec: Codec | None,
        ready: Callable[[Carrier], None],
    ) -> None:
        self._taken = True
        if self.transport.is_closing():
            return
        early, self._early = self._early, b""
        key = dict(self.scope["headers"]).get(b"sec-websocket-key", b"").decode("latin-1")
        offered = dict(self.scope["headers"]).get(b"sec-websocket-protocol")
        answer = list(headers)
        if offered is not None:
            answer.append(("Sec-WebSocket-Protocol", offered.decode("latin-1").split(",")[0].strip()))
        self.connections.discard(self)
        if codec is None and carrier_name() == "lane" and lane.can_take_over(self.transport):
            taken = self._take_lane(options, key, answer, early)
            if taken is not None:
                ready(taken)
                return
        carrier: PicowsCarrier
        if codec is None:
            carrier = TakenOver(options, self.loop, self.connections)
        else:
            carrier = TakenOverDeflate(options, self.loop, self.connections, codec)
        protocol = take_over(self.transport, carrier, key, answer, options.max_http_buffer_size)
        ready(carrier)
        if early:
            feed(protocol, early)
            self.transport.resume_reading()

    def _take_lane(
        self, options: EngineOptions, key: str, headers: list[tuple[str, str]], early: bytes
    ) -> TakenOverLane | None:
        """The lane's carrier for this connection; None where the system has no descriptor left for it."""
        carrier = TakenOverLane(options, self.loop, self.connections)
        try:
            lane.take_over(self.transport, carrier, key, headers, early)
        except OSError as error:
            self.connections.discard(carrier)
            log.warning("a connection stays on picows: %s", error)
            return None
        return carrier


class _NoTransport:
    """Stands for a transport that has been handed over."""

    def close(self) -> None:
        """Nothing of ours to close."""

    def is_closing(self) -> bool:
        return True


_NO_TRANSPORT: Any = _NoTransport()


class Server(uvicorn.Server):
    """A uvicorn server that tells when it listens and closes the Socket.IO sessions before it waits for requests."""

    def __init__(self, config: uvicorn.Config, on_listening: Callable[[list[str]], None]) -> None:
        super().__init__(config)
        self._on_listening = on_listening
        self._closers: set[Callable[[], Awaitable[None]]] = set()
        """Of the Socket.IO servers that have been asked for, wherever in the application they are."""

    async def startup(self, sockets: Any = None) -> None:
        """As uvicorn's; then the addresses are known."""
        self.lifespan.state[CLOSERS] = self._closers
        await super().startup(sockets)
        if self.started:
            self._on_listening(self._urls())

    def _urls(self) -> list[str]:
        scheme = "https" if self.config.is_ssl else "http"
        urls = []
        for server in self.servers:
            for sock in server.sockets:
                name = sock.getsockname()
                if isinstance(name, tuple):
                    host = f"[{name[0]}]" if ":" in name[0] else name[0]
                    urls.append(f"{scheme}://{host}:{name[1]}")
                else:
                    urls.append(f"unix:{name}")
        return urls

    async def main_loop(self) -> None:
        """As uvicorn's; but who cancels it wants a server that has ended, not one that still listens."""
        try:
            await super().main_loop()
        except asyncio.CancelledError:
            await self.shutdown()
            raise

    async def shutdown(self, sockets: Any = None) -> None:
        """Polls that wait would hold the shutdown up for as long as a heartbeat."""
        self.should_exit = True
        for close in tuple(self._closers):
            await close()
        await super().shutdown(sockets)


def make_config(
    app: Any,
    host: str,
    port: int,
    access_log: bool,
    header_timeout: float = HttpProtocol.header_timeout,
    **settings: Any,
) -> uvicorn.Config:
    """Uvicorn's configuration with what Socketeer needs; ``settings`` are uvicorn's own and win."""
    carrier_name()  # what the environment asks for and is not there is said before anybody connects
    merged: dict[str, Any] = {
        "host": host,
        "port": port,
        "ws": WebSocketProtocol,
        "http": type("HttpProtocol", (HttpProtocol,), {"header_timeout": header_timeout}),
        "ws_per_message_deflate": False,
        "log_config": None,
        "log_level": "warning",
        "access_log": access_log,
        "timeout_graceful_shutdown": 0.5,  # together with what uvicorn takes anyway, less than a second
        "lifespan": "auto",
    }
    merged.update(settings)
    config = uvicorn.Config(app, **merged)
    if access_log:
        # The level that is set above for uvicorn's own news would keep these lines back too.
        logging.getLogger("uvicorn.access").setLevel(logging.INFO)
    return config
