"""uvicorn's WebSocket protocol, which hands connections over.

:class:`WebSocketProtocol` offers the application the ASGI extension ``socketeer.take_over``. Routing, mounting and
middleware stay plain ASGI; an application that takes the offer gets the bare connection, a carrier of ours answers the
handshake, and the frames bypass ASGI. WebSockets of other applications are served as uvicorn does.

Where nothing stands between uvicorn and a Socket.IO server (:mod:`.uvicorn_direct`), an ordinary handshake is not
read a second time by the ``websockets`` library and makes no ASGI scope: the engine is asked directly.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from email.utils import formatdate
from functools import partial
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from socketeer.engine.at_once import Admitted, admit_at_once
from socketeer.engine.carriers.base import Carrier
from socketeer.engine.carriers.choice import carrier_name
from socketeer.engine.request import RequestRefused
from socketeer.integrations.asgi import TAKE_OVER, Admission
from socketeer.integrations.handover import HandOver
from socketeer.integrations.http_answer import encode_refusal
from socketeer.integrations.request_head import HeadReader
from socketeer.integrations.uvicorn_direct import Direct, DirectRequest, client_name, direct_of, logged_path
from socketeer.messaging.eager import start
from socketeer.options import EngineOptions
from socketeer.protocol.deflate import Codec

log = logging.getLogger("socketeer")

_log = logging.getLogger("uvicorn.error")

_BAD_REQUEST: Final = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

#: Bytes from a client whose handshake is not answered yet, above which no more are read.
MOST_EARLY = 65_536


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, offering to hand its connection over."""

    handshake_complete = False

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        # uvicorn's own __init__ is called by `_read_again`, where its reader is needed.
        self.config = config
        self.app_state = app_state
        self.connections = server_state.connections
        self.tasks = server_state.tasks
        self.loop = _loop or asyncio.get_running_loop()
        self.transport: asyncio.Transport = None  # type: ignore[assignment]
        self._server_state = server_state
        self._uvicorns = False
        """Whether uvicorn's own reader has the handshake."""
        self._taken = False
        self._shaken = False
        self._early = b""
        self._inner: Any = None

    # --- the connection -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is about to come."""
        self.transport = transport  # type: ignore[assignment]
        self.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        if self._uvicorns:
            super().connection_lost(exc)
        else:
            self.connections.discard(self)

    def pause_writing(self) -> None:
        """The client does not read."""
        if self._uvicorns:
            super().pause_writing()

    def resume_writing(self) -> None:
        """It reads."""
        if self._uvicorns:
            super().resume_writing()

    def shutdown(self) -> None:
        """Called by uvicorn when the server ends: a handshake that is not answered yet is refused."""
        if self._uvicorns:
            super().shutdown()
        elif not self.transport.is_closing():
            self.transport.write(_internal_error())
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """As uvicorn's; the first piece is the handshake, which uvicorn's HTTP parser has read already."""
        if not self._shaken:
            self._shaken = True
            if not self._begin(data):
                self._read_again(data)
        elif self.handshake_complete:
            super().data_received(data)
        else:
            self._early += data  # for whoever gets the connection
            if len(self._early) > MOST_EARLY:
                self.transport.pause_reading()

    # --- the short way --------------------------------------------------------------------------

    def _begin(self, data: bytes) -> bool:
        """Ask the engine directly, if it is a handshake for that; False has done nothing."""
        direct = direct_of(self.config)
        if direct is None or direct.engine.middlewares:
            return False
        head = HeadReader(direct.target).read(data)
        if head is None or not head.fields.upgrade:
            return False
        request = direct.request(head, direct.meet(self.transport, self.app_state), None)
        self._early = data[head.body :]
        # Not before uvicorn, which calls this, has made us the transport's protocol.
        self.loop.call_soon(self.shake, direct, request)
        return True

    def shake(self, direct: Direct, request: DirectRequest, early: bytes = b"") -> None:
        """Answer an ordinary handshake; ``early`` is what has come behind it."""
        self._shaken = True
        self._early += early
        task, _ = start(self._ask(direct, request))
        if task is not None:
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _ask(self, direct: Direct, request: DirectRequest) -> None:
        transport = self.transport
        try:
            admission = await direct.app.admit(request, compresses=True)
            if not transport.is_closing():
                self._hand_over(request, direct, admission)
        except RequestRefused as refused:
            self._refuse(request, refused)
        except Exception:
            log.exception("a WebSocket handshake has failed")
            if not self._taken and not transport.is_closing():
                transport.write(_internal_error())
            transport.close()

    def _hand_over(self, request: DirectRequest, direct: Direct, admission: Admission) -> None:
        self._taken = True
        headers = request.fields
        hand_over = self._handing_over(headers["sec-websocket-key"], headers.get("sec-websocket-protocol"))
        hand_over(
            direct.engine.options,
            list(admission.headers.items()),
            admission.codec,
            lambda carrier: direct.engine.open_websocket(request, admission.session, carrier),
        )

    def _refuse(self, request: DirectRequest, refused: RequestRefused) -> None:
        if not self.transport.is_closing():
            _log.info('%s - "WebSocket %s" %d', client_name(request), logged_path(request), refused.status)
            date = formatdate(usegmt=True)
            self.transport.write(encode_refusal(refused.status, refused.text.encode(), date))
            self.transport.close()

    # --- uvicorn's way --------------------------------------------------------------------------

    def _read_again(self, data: bytes) -> None:
        transport = self.transport
        super().__init__(self.config, self._server_state, self.app_state, self.loop)
        super().connection_made(transport)
        self._uvicorns = True
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
        if not self.transport.is_closing():
            asked = {name: value.decode("latin-1") for name, value in self.scope["headers"]}
            hand_over = self._handing_over(
                asked.get(b"sec-websocket-key", ""), asked.get(b"sec-websocket-protocol")
            )
            hand_over(options, headers, codec, ready)

    # --- both -----------------------------------------------------------------------------------

    def _handing_over(self, key: str, subprotocols: str | None) -> HandOver:
        early, self._early = self._early, b""
        self.connections.discard(self)
        carrier = carrier_name()
        return HandOver(self.transport, self.loop, self.connections, key, subprotocols, early, carrier)


def let_in(direct: Direct, request: DirectRequest) -> Admitted | None:
    """As :func:`admit_at_once`, where the messages need not be compressed."""
    if direct.app.compresses and "sec-websocket-extensions" in request.fields:
        return None
    return admit_at_once(direct.engine, request)


def shake_at_once(
    direct: Direct,
    request: DirectRequest,
    transport: asyncio.Transport,
    loop: asyncio.AbstractEventLoop,
    connections: set[Any],
    early: bytes,
) -> bool:
    """Answer an ordinary handshake that is let in, as :meth:`WebSocketProtocol.shake` does; False has done nothing."""
    engine, fields = direct.engine, request.fields
    admitted = let_in(direct, request)
    if admitted is None:
        return False
    session, headers = admitted
    key, subprotocols = fields["sec-websocket-key"], fields.get("sec-websocket-protocol")
    try:
        hand_over = HandOver(transport, loop, connections, key, subprotocols, early, direct.carrier)
        ready = partial(engine.open_websocket, request, session)
        hand_over(engine.options, list(headers.items()), None, ready)
    except Exception:
        log.exception("a WebSocket handshake has failed")
        transport.close()
    return True


class _NoTransport:
    """Stands for a transport that has been handed over."""

    def close(self) -> None:
        """Nothing of ours to close."""

    def is_closing(self) -> bool:
        return True


_NO_TRANSPORT: Any = _NoTransport()


def _internal_error() -> bytes:
    """As uvicorn answers a handshake that it cannot."""
    body = b"Internal Server Error"
    return (
        b"HTTP/1.1 500 Internal Server Error\r\nDate: %b\r\nConnection: close\r\nContent-Length: %d\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n\r\n%b"
        % (formatdate(usegmt=True).encode(), len(body), body)
    )
