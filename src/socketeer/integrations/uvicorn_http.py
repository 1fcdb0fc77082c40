"""uvicorn's HTTP protocol with two additions: it does not wait for ever, and it has a short way to the engine.

**Time.** By itself uvicorn waits for a request's headers for ever.

**The short way.** A connection begins without uvicorn's parser. Where the application is a Socket.IO server
(:meth:`SocketeerApp.is_direct`), an ordinary request below its path is read in one go (:mod:`.request_head`) and answered by
the engine directly, without an ASGI scope, ``receive``, ``send`` and a task. Any other request, to another
application or out of the ordinary, is given to uvicorn's parser, whole and unread; when that one has answered it, the
connection is ready for either again. docs/decisions/0014-connect-path.md has the figures.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from socketeer.engine.at_once import handle_at_once, open_at_once, terms_of
from socketeer.engine.http.message import KnownHeaders, Response
from socketeer.integrations.http_answer import encode_answer, encode_known
from socketeer.integrations.request_head import HeadReader, RequestHead
from socketeer.integrations.uvicorn_direct import Direct, DirectRequest, Peer, access_log, write_access
from socketeer.integrations.uvicorn_site import site_of
from socketeer.integrations.uvicorn_websocket import WebSocketProtocol, shake_at_once
from socketeer.messaging.eager import start
from socketeer.options import Limits

log = logging.getLogger("socketeer")

_ERROR: Final = Response(
    500, {"content-type": "text/plain; charset=utf-8", "connection": "close"}, b"Internal Server Error"
)


class Phase(Enum):
    """Who has the connection."""

    READY = "ready"
    """Nobody: the next bytes begin a request."""
    ANSWERING = "answering"
    """The engine: a request that was read here is not answered yet."""
    PARSING = "parsing"
    """uvicorn: its parser has begun a request, and not answered all that it has begun."""


_READY: Final = Phase.READY


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, quicker below the engine's path, and with a time-out for headers."""

    header_timeout = Limits().header_timeout

    # What most connections never change stands here: there is a new one for each WebSocket.
    transport: asyncio.Transport = None  # type: ignore[assignment]
    timeout_keep_alive_task: Any = None
    cycle: Any = None
    _parser_made = False
    _write_paused = False
    _peer: Peer | None = None
    _head: RequestHead | None = None
    """Of the request that is being answered."""
    _body = b""
    _request: DirectRequest | None = None
    _keep_alive = True
    _gone: Callable[[], None] | None = None
    """While a poll waits: to be called if its client goes."""
    _lost: asyncio.Future[None] | None = None
    """While a request waits: resolved when its client goes."""
    _rest = b""
    """What has come behind the request that is being answered."""
    _awaited = True
    """Whether a head has to come in time."""
    _idle_timer: asyncio.TimerHandle | None = None
    _due = 0.0
    """When the next request has to have begun."""
    _messages = 0
    """Requests that uvicorn's parser has begun and not ended."""
    _in_headers = True
    _piece = b""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        # uvicorn's own __init__ is called by `_parse`, where its parser is needed.
        site = site_of(config, self.header_timeout)
        self.config = config
        self.server_state = server_state
        self.app_state = app_state
        self.connections = server_state.connections
        self.loop = _loop or asyncio.get_running_loop()
        self._site = site
        self._direct = site.direct
        self._heads = None if site.direct is None else HeadReader(site.direct.target)
        self._patience = site.patience(self.loop)
        self._phase = _READY

    # --- the connection -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The first request has to come."""
        self.transport = transport  # type: ignore[assignment]
        self.connections.add(self)
        self._patience.begin(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._disarm()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        gone, self._gone = self._gone, None
        if gone is not None:
            gone()
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)
        if self._parser_made:
            super().connection_lost(exc)
        else:
            self.connections.discard(self)
            self._unset_keepalive_if_required()

    def eof_received(self) -> None:
        """The client sends no more: it has gone."""

    def pause_writing(self) -> None:
        """The client does not read: its next request waits until it does."""
        self._write_paused = True
        if self._parser_made:
            super().pause_writing()

    def resume_writing(self) -> None:
        """It reads."""
        self._write_paused = False
        if self._parser_made:
            super().resume_writing()

    def shutdown(self) -> None:
        """Called by uvicorn when the server ends: what is being answered is answered."""
        if self._phase is Phase.ANSWERING:
            self._keep_alive = False
        elif self._parser_made:
            super().shutdown()
        else:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """A request, in most cases a whole one and nothing else."""
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        if self._phase is _READY:
            direct, heads = self._direct, self._heads
            if direct is None or heads is None or not self._begin(direct, heads, data):
                self._parse(data)
        elif self._phase is Phase.PARSING:
            self._parse(data)
        else:
            self._rest += data
            self.transport.pause_reading()

    # --- the short way --------------------------------------------------------------------------

    def _begin(self, direct: Direct, heads: HeadReader, data: bytes) -> bool:
        """Answer a request if it is one of those; False has done nothing."""
        head = heads.read(data)
        if head is None or self._write_paused or direct.engine.middlewares:
            return False
        if self.transport.is_closing():
            return True
        fields = head.fields
        end = head.end
        if len(data) < end:
            return False
        websocket = self._site.websocket
        if fields.upgrade and websocket is None:
            return False
        if self._peer is None:
            self._peer = direct.meet(self.transport, self.app_state)
        if self._awaited:
            self._disarm()
        if fields.upgrade and websocket is not None:
            self._shake(websocket, direct, direct.request(head, self._peer, None), data[end:])
            return True
        self._phase = Phase.ANSWERING
        self._head = head
        self._body = data[head.body : end]
        self._keep_alive = fields.keep_alive
        self._rest = data[end:]
        direct.context().run(self._answer, direct, head)
        return True

    def _answer(self, direct: Direct, head: RequestHead) -> None:
        try:
            terms = head.terms
            if terms is None:
                terms = head.terms = terms_of(direct.engine, self.request())
            if terms is None or not handle_at_once(direct.engine, terms, self._body, self):
                self._handle(direct, self.request())
        except Exception:
            log.exception("a request has failed")
            self.reply(_ERROR)

    def _handle(self, direct: Direct, request: DirectRequest) -> None:
        response = open_at_once(direct.engine, request)
        if response is not None:
            self.reply(response)
            return
        request.disconnected = self._disconnected
        task, response = start(direct.handle(request))
        if task is None:
            self.reply(response)
        else:
            self.server_state.tasks.add(task)
            task.add_done_callback(self._finished)

    def request(self) -> DirectRequest:
        """What is being answered, for who wants to look at it."""
        if self._request is None:
            if self._direct is None or self._head is None or self._peer is None:
                raise RuntimeError("there is no request")
            self._request = self._direct.request(self._head, self._peer, self._body)
        return self._request

    async def _disconnected(self) -> None:
        """Wait until the client has gone."""
        if not self.transport.is_closing():
            self._lost = self.loop.create_future()
            await self._lost

    def _finished(self, task: asyncio.Task[Response]) -> None:
        self.server_state.tasks.discard(task)
        if task.cancelled():
            self.transport.close()
            return
        error = task.exception()
        if error is not None:
            log.error("a request has failed", exc_info=error)
        self.reply(_ERROR if error is not None else task.result())

    def reply(self, response: Response) -> None:
        """Send the answer to the request that was read last."""
        common = self.server_state.default_headers
        try:
            data, keep_alive = encode_answer(response, common, self._keep_alive)
        except ValueError as error:
            log.error("a request is answered 500: %s", error)  # noqa: TRY400 - one line
            response = _ERROR
            data, keep_alive = encode_answer(response, common, False)
        self._send(data, response.status, keep_alive)

    def reply_known(self, known: KnownHeaders, body: bytes) -> None:
        """The same, where the headers are known."""
        try:
            data = encode_known(known, body, self.server_state.default_headers, self._keep_alive)
        except ValueError:
            self.reply(Response(200, known.headers, body))
        else:
            self._send(data, 200, self._keep_alive)

    def _send(self, data: bytes, status: int, keep_alive: bool) -> None:
        transport = self.transport
        answers = self._head is not None and not transport.is_closing()
        if answers and access_log.isEnabledFor(logging.INFO):
            write_access(self.request(), status)
        self._head = self._request = self._gone = None
        self._body = b""
        if not answers:
            return
        transport.write(data)
        self.server_state.total_requests += 1
        self._phase = _READY
        if not keep_alive:
            transport.close()
        elif self._rest:
            self.loop.call_soon(self._go_on)
        else:
            self._due = self.loop.time() + self.config.timeout_keep_alive
            if self._idle_timer is None:
                self._idle_timer = self.loop.call_at(self._due, self._idle)

    def waits(self, gone: Callable[[], None]) -> None:
        """A poll waits; ``gone`` is to be called if its client goes."""
        self._gone = gone

    def _go_on(self) -> None:
        """Read what has come behind the request that is answered now."""
        rest, self._rest = self._rest, b""
        if not self.transport.is_closing():
            self.transport.resume_reading()
            self.data_received(rest)

    def _idle(self) -> None:
        """No request has come for long enough, unless there was one since the timer was set, which does not move it."""
        self._idle_timer = None
        if self._phase is _READY and self.timeout_keep_alive_task is None:
            if self.loop.time() >= self._due:
                self.timeout_keep_alive_handler()
            else:
                self._idle_timer = self.loop.call_at(self._due, self._idle)

    def _shake(
        self, kind: type[WebSocketProtocol], direct: Direct, request: DirectRequest, early: bytes
    ) -> None:
        """A WebSocket handshake: the connection is not ours from here on."""
        self.connections.discard(self)
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        if shake_at_once(direct, request, self.transport, self.loop, self.connections, early):
            return
        protocol = kind(self.config, self.server_state, self.app_state, self.loop)
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        protocol.shake(direct, request, early)

    # --- uvicorn's way --------------------------------------------------------------------------

    def _parse(self, data: bytes) -> None:
        if not self._parser_made:
            self._make_parser()
        self._phase = Phase.PARSING
        self._piece = data
        super().data_received(data)
        self._piece = b""
        if self._in_headers and not self._awaited and not self.transport.is_closing():
            self._awaited = True
            self._patience.begin(self)
        self._parsed()

    def _make_parser(self) -> None:
        transport = self.transport
        super().__init__(self.config, self.server_state, self.app_state, self.loop)
        super().connection_made(transport)
        self._parser_made = True
        if self._write_paused:
            super().pause_writing()

    def _parsed(self) -> None:
        """Whether the parser is between two requests, with all of them answered."""
        if (
            self._phase is Phase.PARSING
            and self._messages == 0
            and not self.pipeline
            and (self.cycle is None or self.cycle.response_complete)
            and not self._in_headers
        ):
            self._phase = _READY

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
        self._messages += 1
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its headers are whole."""
        self._in_headers = False
        self._disarm()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """All of it is here."""
        self._messages -= 1
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """It is answered."""
        super().on_response_complete()
        self._parsed()

    def _disarm(self) -> None:
        self._awaited = False
        self._patience.end(self)
