"""The middlewares of ``io.engine.use``, around each request and each WebSocket handshake.

A WebSocket that its server hands over (``TAKE_OVER`` in the module ``asgi``) never answers by ``send``. With middlewares
it seems to: its ``websocket.accept`` goes out through them, so that they may add headers, and the
connection is taken over with what comes out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from socketeer.engine.server import EngineServer
from socketeer.integrations.scope import (
    AsgiApp,
    Event,
    Receive,
    Scope,
    Send,
    decode,
    encode,
    make_request,
    reject,
    respond,
)

log = logging.getLogger("socketeer")

#: Where a scope carries its exchange on the way in.
_EXCHANGE: Final = "socketeer.exchange"


class Exchange:
    """One request on its way through the middlewares: what the outermost one receives and sends."""

    __slots__ = (
        "_cors",
        "_engine",
        "_receive",
        "_send",
        "arrived",
        "connected",
        "failure",
        "hand_over",
        "started",
    )

    def __init__(self, engine: EngineServer, receive: Receive, send: Send, cors: dict[str, str]) -> None:
        self._engine = engine
        self._receive = receive
        self._send = send
        self._cors = cors
        self.hand_over: Callable[[list[tuple[str, str]]], None] | None = None
        """Set when the engine has let a WebSocket in that it takes over: wants the answer's headers."""
        self.arrived = False
        """Whether the middlewares have let it through to the engine."""
        self.connected = False
        """Whether ``websocket.connect`` has been received."""
        self.started = False
        """Whether an answer has begun."""
        self.failure: Exception | None = None
        """What the engine itself has let out: no middleware's."""

    @classmethod
    def of(cls, scope: Scope) -> Exchange | None:
        """The exchange that a scope has brought here, taken out of it; None without middlewares."""
        exchange: Exchange | None = scope.pop(_EXCHANGE, None)
        if exchange is not None:
            exchange.arrived = True
        return exchange

    async def receive(self) -> Event:
        """As the server's."""
        event = await self._receive()
        self.connected = self.connected or event["type"] == "websocket.connect"
        return event

    async def send(self, event: Event) -> None:
        """As the server's, but a WebSocket that can be taken over is."""
        self.started = True
        if event["type"] == "websocket.accept" and self.hand_over is not None:
            self.hand_over(decode(event.get("headers", ())))
        elif event["type"] == "http.response.start" and self._cors and not self.arrived:
            # A middleware's own answer: a page of another origin may read it, as it may read ours.
            headers = list(event.get("headers", ()))
            known = {bytes(name).lower() for name, _ in headers} - {b"vary"}
            headers += [pair for pair in encode(self._cors) if pair[0] not in known]
            await self._send({**event, "headers": headers})
        else:
            await self._send(event)

    async def refuse(self, scope: Scope) -> None:
        """A middleware has failed before anything was answered."""
        refused = self._engine.middleware_failed(make_request(scope, None))
        if scope["type"] == "websocket":
            if not self.connected:
                await self.receive()
            await reject(scope, self._send, refused)
        else:
            response = refused.response()
            response.headers.update(self._cors)
            await respond(self._send, "http.response", response)


class Guarded:
    """An application behind the engine's middlewares, of which there is at least one."""

    def __init__(self, engine: EngineServer, inner: AsgiApp) -> None:
        self._engine = engine
        self._inner = inner
        self._built_from: object = None
        self._outermost: AsgiApp = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ``http`` or ``websocket`` scope."""
        cors: dict[str, str] = {}
        if scope["type"] == "http":
            request = make_request(scope, None)
            preflight = await self._engine.preflight(request)
            if preflight is not None:  # browsers send it without whatever a middleware asks for
                await respond(send, "http.response", preflight)
                return
            cors = await self._engine.cors_headers(request)
        exchange = Exchange(self._engine, receive, send, cors)
        try:
            await self._chain()({**scope, _EXCHANGE: exchange}, exchange.receive, exchange.send)
        except Exception as error:
            if error is exchange.failure:
                raise
            log.error("a middleware of engine.use failed %s: %.300r", _where(error), error)  # noqa: TRY400 - one line
            if not exchange.started:
                await exchange.refuse(scope)

    def _chain(self) -> AsgiApp:
        middlewares = self._engine.middlewares
        if self._built_from is not middlewares:
            app: AsgiApp = self._engine_last
            for middleware, options in reversed(middlewares):
                app = middleware(app, **options)
            self._outermost, self._built_from = app, middlewares
        return self._outermost

    async def _engine_last(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = scope.get(_EXCHANGE)
        try:
            await self._inner(scope, receive, send)
        except Exception as error:
            if isinstance(exchange, Exchange):
                exchange.failure = error
            raise


def _where(error: Exception) -> str:
    """The line that raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"in {trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno}"
