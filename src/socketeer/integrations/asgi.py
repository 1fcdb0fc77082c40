"""A server as an ASGI 3 application, beside any other one (https://asgi.readthedocs.io/).

Only the scope's own fields are trusted: nothing is routed by a URL rebuilt from headers. Where the
server offers to hand over a WebSocket (:data:`TAKE_OVER`, see :mod:`socketeer.integrations.uvicorn`)
its frames bypass ASGI; anywhere else they go through ``receive`` and ``send``.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from socketeer.engine.carriers.asgi import AsgiCarrier
from socketeer.engine.carriers.base import Carrier
from socketeer.engine.http.message import Request, Response
from socketeer.engine.request import BAD_REQUEST, RequestRefused
from socketeer.protocol.deflate import Codec, Codecs
from socketeer.protocol.extensions import UnacceptableOffer, negotiate
from socketeer.server.server import BaseServer

log = logging.getLogger("socketeer")

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

#: The ASGI extension by which a server hands over a WebSocket connection as it is. Its value is a
#: :data:`TakeOver`: call it with the options, the headers of the 101 response, what compresses the
#: messages, if that is agreed on, and a function that gets the open carrier.
TAKE_OVER = "socketeer.take_over"
TakeOver = Callable[[Any, dict[str, str], Codec | None, Callable[[Carrier], None]], None]


#: The key in a scope's ``state`` under which a server keeps a set of functions to await
#: before it waits for its requests to end: a poll may wait as long as a heartbeat.
CLOSERS = "socketeer.closers"


class SocketeerApp:
    """``io.asgi(other)``: answers below the server's path, and leaves the rest to the other application."""

    def __init__(self, io: BaseServer, other: AsgiApp | None = None) -> None:
        self._io = io
        self._engine = io.engine
        self._prefix = io.engine.options.path + "/"
        self._other = other
        deflate = io.engine.options.per_message_deflate
        self._codecs = None if deflate is None else Codecs(deflate, io.engine.options.max_http_buffer_size)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope: ``lifespan``, ``http`` or ``websocket``."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._lifespan(scope, receive, send)
        elif self._is_ours(scope):
            closers = scope.get("state", {}).get(CLOSERS)
            if closers is not None:
                closers.add(self._io.end_sessions)
            if kind == "http":
                await self._http(scope, receive, send)
            elif kind == "websocket":
                await self._websocket(scope, receive, send)
        elif self._other is not None:
            await self._other(scope, receive, send)
        else:
            await _not_found(scope, receive, send)

    def _is_ours(self, scope: Scope) -> bool:
        """Whether the path is below ours: as the client sees it, or below where we are mounted."""
        path: str = scope["path"]
        if path.startswith(self._prefix):
            return True
        root = scope.get("root_path", "")
        return bool(root) and path.startswith(root) and path[len(root) :].startswith(self._prefix)

    # --- lifespan -------------------------------------------------------------------------------

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = answered = False

        async def watched_receive() -> Event:
            nonlocal asked
            event = await receive()
            asked = True
            if event["type"] == "lifespan.startup":
                self._engine.reopen()
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

    # --- HTTP -----------------------------------------------------------------------------------

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = _Body(receive)
        response = await self._engine.handle(_request(scope, body))
        await _respond(send, "http.response", response)

    # --- WebSocket ------------------------------------------------------------------------------

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = _request(scope, None)
        extensions = scope.get("extensions") or {}
        try:
            session, headers = await self._engine.admit(request)
            take_over: TakeOver | None = extensions.get(TAKE_OVER)
            codec = None if take_over is None else self._compression(request, headers)
        except RequestRefused as refused:
            await self._reject(refused, extensions, receive, send)
            return
        if take_over is not None:
            take_over(
                self._engine.options,
                headers,
                codec,
                lambda carrier: self._engine.open_websocket(request, session, carrier),
            )
            return
        await receive()  # websocket.connect
        # As the official server: of the subprotocols offered, the first.
        subprotocol = next(iter(scope.get("subprotocols") or ()), None)
        await send({"type": "websocket.accept", "headers": _encode(headers), "subprotocol": subprotocol})
        options = self._engine.options
        carrier = AsgiCarrier(receive, send, options.max_http_buffer_size, options.backpressure)
        self._engine.open_websocket(request, session, carrier)
        await carrier.run()

    def _compression(self, request: Request, headers: dict[str, str]) -> Codec | None:
        """What compresses the messages of this WebSocket, if anything; the answer to the client goes into ``headers``.

        Raises:
            RequestRefused: the client's offers are not acceptable.
        """
        offers = request.headers.get("sec-websocket-extensions")
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

    async def _reject(
        self, refused: RequestRefused, extensions: MutableMapping[str, Any], receive: Receive, send: Send
    ) -> None:
        await receive()
        if "websocket.http.response" in extensions:
            headers = {"content-type": "text/html", "connection": "close"}
            await _respond(
                send, "websocket.http.response", Response(refused.status, headers, refused.text.encode())
            )
        else:
            await send({"type": "websocket.close"})  # all that plain ASGI offers: the server answers 403


class _Body:
    """The body of an HTTP request, and the news that its client has gone."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._read = False

    async def pieces(self) -> AsyncIterator[bytes]:
        while not self._read:
            event = await self._receive()
            if event["type"] == "http.disconnect":
                self._read = True
                raise ConnectionResetError("the client went away")
            self._read = not event.get("more_body", False)
            yield event.get("body", b"")

    async def disconnected(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


def _request(scope: Scope, body: _Body | None) -> Request:
    client = scope.get("client")
    return Request(
        method=scope.get("method", "GET"),
        path=scope["path"],
        query_string=scope.get("query_string", b"").decode("latin-1"),
        raw_headers=[
            (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]
        ],
        address=client[0] if client else "",
        secure=scope.get("scheme") in ("https", "wss"),
        body=None if body is None else body.pieces,
        disconnected=None if body is None else body.disconnected,
        scope=scope,
    )


def _encode(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


async def _respond(send: Send, kind: str, response: Response) -> None:
    headers = _encode(response.headers)
    if not response.streamed and response.status != 204:
        headers.append((b"content-length", b"%d" % len(response.body)))
    await send({"type": f"{kind}.start", "status": response.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": response.body})


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
        await _respond(
            send, "http.response", Response(404, {"content-type": "text/plain; charset=utf-8"}, body)
        )
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close"})
