"""A server as an ASGI 3 application, beside any other one (https://asgi.readthedocs.io/).

Only the scope's own fields are trusted: nothing is routed by a URL rebuilt from headers. Where the
server offers to hand over a WebSocket (:data:`TAKE_OVER`, see :mod:`socketeer.integrations.uvicorn`)
its frames bypass ASGI; anywhere else they go through ``receive`` and ``send``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from socketeer.engine.carriers.asgi import AsgiCarrier
from socketeer.engine.carriers.base import Carrier
from socketeer.engine.http.message import Request, Response
from socketeer.engine.relay import Passage
from socketeer.engine.request import BAD_REQUEST, RequestRefused
from socketeer.engine.server import EngineServer
from socketeer.engine.session import Session
from socketeer.integrations.client_files import ServedClient, served_client
from socketeer.integrations.client_package import FILES
from socketeer.integrations.middleware import Exchange, Guarded
from socketeer.integrations.scope import (
    AsgiApp,
    Body,
    Event,
    Receive,
    Scope,
    Send,
    encode,
    make_request,
    reject,
    respond,
)
from socketeer.protocol.deflate import Codec, Codecs
from socketeer.protocol.extensions import UnacceptableOffer, negotiate
from socketeer.server.server import BaseServer

__all__ = ["CLOSERS", "TAKE_OVER", "AsgiApp", "Receive", "Scope", "Send", "SocketeerApp", "TakeOver"]

log = logging.getLogger("socketeer")

#: The ASGI extension by which a server hands over a WebSocket connection as it is. Its value is a
#: :data:`TakeOver`: call it with the options, the headers of the 101 response, what compresses the
#: messages, if that is agreed on, and a function that gets the open carrier.
TAKE_OVER: Final = "socketeer.take_over"
TakeOver = Callable[[Any, list[tuple[str, str]], Codec | None, Callable[[Carrier], None]], None]


#: The key in a scope's ``state`` under which a server keeps a set of functions to await
#: before it waits for its requests to end: a poll may wait as long as a heartbeat.
CLOSERS: Final = "socketeer.closers"


class Admission(NamedTuple):
    """What a WebSocket handshake is answered with that is let in."""

    session: Session | Passage | None
    """The session that it wants to join, here or on another node."""
    headers: dict[str, str]
    codec: Codec | None
    """What compresses its messages, if anything."""


class SocketeerApp:
    """``io.asgi(other)``: answers below the server's path, and leaves the rest to the other application."""

    def __init__(self, io: BaseServer, other: AsgiApp | None = None) -> None:
        self._io = io
        self._engine = io.engine
        self._path = io.engine.options.path
        self._slash = io.engine.options.add_trailing_slash
        self._client = served_client(io.options.serve_client, io.engine.options.cors)
        self._guarded = Guarded(io.engine, self._serve)
        self._other = other
        deflate = io.engine.options.per_message_deflate
        self._codecs = None if deflate is None else Codecs(deflate, io.engine.options.max_http_buffer_size)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope: ``lifespan``, ``http`` or ``websocket``."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._lifespan(scope, receive, send)
        elif (name := self._below(scope)) is not None:
            if not self._io.started and not self._engine.closing:
                self._io.start()  # a server without a lifespan: ids are to name their node from the first on
            closers = scope.get("state", {}).get(CLOSERS)
            if closers is not None:
                closers.add(self._io.end_sessions)
            if self._client is not None and name in FILES and kind == "http":
                await self._file(self._client, name, scope, send)
            elif self._engine.middlewares:
                await self._guarded(scope, receive, send)
            else:
                await self._serve(scope, receive, send)
        elif self._other is not None:
            await self._other(scope, receive, send)
        else:
            await _not_found(scope, receive, send)

    # --- without ASGI: see uvicorn_direct.py -------------------------------------------------------

    @property
    def engine(self) -> EngineServer:
        """The engine that answers below :attr:`path`."""
        return self._engine

    @property
    def path(self) -> str:
        """The server's path, without a slash at its end."""
        return self._path

    @property
    def compresses(self) -> bool:
        """Whether WebSocket messages may be compressed, where a client offers it."""
        return self._codecs is not None

    async def end_sessions(self) -> None:
        """For a web server, before it waits for its requests to end: a poll may wait as long as a heartbeat."""
        await self._io.end_sessions()

    def _below(self, scope: Scope) -> str | None:
        """What the path names below ours: as the client sees it, or below where we are mounted.

        None where the path is not ours.
        """
        path: str = scope["path"]
        name = self._behind_path(path)
        root = scope.get("root_path", "")
        if name is None and root and path.startswith(root):
            name = self._behind_path(path[len(root) :])
        return name

    def _behind_path(self, path: str) -> str | None:
        if not path.startswith(self._path):
            return None
        rest = path[len(self._path) :]
        if rest[:1] == "/":
            return rest[1:]
        return None if rest or self._slash else ""

    # --- lifespan -------------------------------------------------------------------------------

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = answered = False

        async def watched_receive() -> Event:
            nonlocal asked
            event = await receive()
            asked = True
            if event["type"] == "lifespan.startup":
                self._io.start()
            elif event["type"] == "lifespan.shutdown":
                await self._io.end_sessions()
            return event

        async def watched_send(event: Event) -> None:
            nonlocal answered
            answered = True
            await send(event)

        try:
            await (self._other or _lifespan)(scope, watched_receive, watched_send)
        except Exception as error:
            if answered:
                raise
            # An application without a lifespan says so by raising; ours goes on.
            log.debug("no lifespan in %r: %r", self._other, error)
            if not asked:
                await watched_receive()
            await send({"type": "lifespan.startup.complete"})
            await _lifespan(scope, watched_receive, send)

    # --- HTTP and WebSocket ---------------------------------------------------------------------

    async def _file(self, client: ServedClient, name: str, scope: Scope, send: Send) -> None:
        await respond(send, "http.response", await client.answer(name, make_request(scope, None)))

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        if scope["type"] == "http":
            response = await self._engine.handle(make_request(scope, Body(receive)))
            await respond(send, "http.response", response)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send, exchange)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send, exchange: Exchange | None) -> None:
        engine = self._engine
        request = make_request(scope, None)
        take_over: TakeOver | None = (scope.get("extensions") or {}).get(TAKE_OVER)
        try:
            session, headers, codec = await self.admit(request, compresses=take_over is not None)
        except RequestRefused as refused:
            await receive()
            await reject(scope, send, refused)
            return
        if take_over is not None:

            def hand_over(headers: list[tuple[str, str]]) -> None:
                take_over(
                    engine.options,
                    headers,
                    codec,
                    lambda carrier: engine.open_websocket(request, session, carrier),
                )

            if exchange is None:
                hand_over(list(headers.items()))
                return
            exchange.hand_over = hand_over
        await receive()  # websocket.connect
        # As the official server: of the subprotocols offered, the first.
        subprotocol = next(iter(scope.get("subprotocols") or ()), None)
        await send({"type": "websocket.accept", "headers": encode(headers), "subprotocol": subprotocol})
        if take_over is not None:
            return
        options = engine.options
        carrier = AsgiCarrier(receive, send, options.max_http_buffer_size, options.backpressure)
        engine.open_websocket(request, session, carrier)
        await carrier.run()

    async def admit(self, request: Request, *, compresses: bool) -> Admission:
        """May this WebSocket handshake go on? With compression, where that can be had and the client offers it.

        Raises:
            RequestRefused: it may not.
        """
        session, headers = await self._engine.admit(request)
        return Admission(session, headers, self._compression(request, headers) if compresses else None)

    def _compression(self, request: Request, headers: dict[str, str]) -> Codec | None:
        """What compresses the messages of this WebSocket, if anything; the answer to the client goes into ``headers``.

        Raises:
            RequestRefused: the client's offers are not acceptable.
        """
        offers = request.fields.get("sec-websocket-extensions")
        if self._codecs is None or offers is None:
            return None
        try:
            agreement = negotiate(offers, self._codecs.options)
        except UnacceptableOffer as error:
            # In the words of ws, which the client of an official server would read.
            message = "Invalid or unacceptable Sec-WebSocket-Extensions header"
            log.debug("refused: %s: %s", message, error)
            raise RequestRefused(BAD_REQUEST, {"message": message}, request) from None
        if agreement is None:
            return None
        headers["Sec-WebSocket-Extensions"] = agreement.header()
        return self._codecs.codec(agreement)


async def _lifespan(_scope: Scope, receive: Receive, send: Send) -> None:
    """An application with nothing to start and nothing to end."""
    while True:
        event = await receive()
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        body = b"Not Found"
        await respond(
            send, "http.response", Response(404, {"content-type": "text/plain; charset=utf-8"}, body)
        )
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close"})
