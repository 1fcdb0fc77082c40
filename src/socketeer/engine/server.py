"""The Engine.IO server: session ids to sessions, handshakes, and which request goes where."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, TypeVar

from socketeer.engine.admission import OriginWarnings, ask_allow_request, check_middleware, check_room
from socketeer.engine.carriers.base import Carrier, Deaf
from socketeer.engine.departed import Departed
from socketeer.engine.emitter import Emitter
from socketeer.engine.http.cookies import session_cookie
from socketeer.engine.http.cors import CorsFailed, cors_policy
from socketeer.engine.http.message import Request, Response
from socketeer.engine.relay import Elsewhere, Passage, Relay
from socketeer.engine.request import (
    BAD_REQUEST,
    FORBIDDEN,
    UNKNOWN_SID,
    RequestRefused,
    check,
    check_version,
    protocol_of,
    with_origin_of_page,
)
from socketeer.engine.session import Session, SessionHandler
from socketeer.engine.session_ids import SessionIds
from socketeer.engine.timers import TimerWheel, loop_wheel
from socketeer.engine.transports.polling import PollingTransport
from socketeer.engine.transports.polling_v3 import polling_v3
from socketeer.engine.transports.websocket import Probe, WebSocketTransport, websocket_transport
from socketeer.options import EngineOptions
from socketeer.protocol.engineio import ERROR_MESSAGES, open_packet
from socketeer.protocol.frame import Message

log = logging.getLogger("socketeer")

Middleware = Callable[..., Any]
M = TypeVar("M", bound=Middleware)


class EngineServer(Emitter):
    """All Engine.IO sessions of one server; ``io.engine``.

    Events, for plain functions: ``connection_error(error)`` with ``error.code .message .context .request``;
    ``initial_headers(headers, request)`` for the first response of a session and
    ``headers(headers, request)`` for each, both of which may change the dict of headers;
    ``connection(session)``; ``flush(session, packets)`` and ``drain(session)`` when what was queued for
    a session is handed over to its transport.

    Attributes:
        addresses: how many sessions each address has.
        generate_id: gives each session its id, from the handshake's request; a plain function or an
            ``async def`` of one's own may be put there. Its ids are text, and each is given once. In a
            cluster they must begin with :attr:`node_id`, or clients need sticky sessions.
        relay: reaches the nodes that own other sessions; None where there are no others.
        middlewares: what :meth:`use` has been given, the outermost first.
        tells_headers: whether somebody listens to ``headers`` or ``initial_headers``.
    """

    events: ClassVar = frozenset(
        {"connection", "connection_error", "drain", "flush", "headers", "initial_headers"}
    )

    __slots__ = (
        "_closing",
        "_cors",
        "_departed",
        "_forgets",
        "_ids",
        "_make_handler",
        "_origins",
        "_watcher",
        "_wheel",
        "_wheel_loop",
        "addresses",
        "generate_id",
        "middlewares",
        "options",
        "relay",
        "sessions",
        "tells_headers",
    )

    def __init__(self, options: EngineOptions, make_handler: Callable[[Session], SessionHandler]) -> None:
        super().__init__()
        self.options = options
        self.sessions: dict[str, Session] = {}
        self._make_handler = make_handler
        self._cors = cors_policy(options.cors)
        self.addresses: dict[str, int] = {}
        self._closing = False
        self._departed = Departed()
        self._forgets = self._forget
        """One bound method for all sessions."""
        self._ids = SessionIds()
        self.generate_id: Callable[[Request], str | Awaitable[str]] = self._ids
        self.relay: Relay | None = None
        self.middlewares: tuple[tuple[Middleware, dict[str, Any]], ...] = ()
        self.tells_headers = False
        self._watcher: Emitter | None = None
        self._origins = OriginWarnings()
        self._wheel: TimerWheel | None = None
        self._wheel_loop: asyncio.AbstractEventLoop | None = None

    @property
    def clients_count(self) -> int:
        """How many sessions are open, on whatever transport."""
        return len(self.sessions)

    @property
    def node_id(self) -> str:
        """What the ids of this server's sessions begin with, 6 characters; empty where it is in no cluster."""
        return self._ids.node_id

    def join_cluster(self, node_id: str, relay: Relay | None) -> None:
        """Name the node in every id from here on, and reach other nodes by ``relay``."""
        self._ids.node_id, self.relay = node_id, relay

    @property
    def closing(self) -> bool:
        """Whether it has been closed, and not been opened again."""
        return self._closing

    @property
    def wheel(self) -> TimerWheel:
        """The timer wheel of the running loop."""
        loop = asyncio.get_running_loop()
        if self._wheel is None or self._wheel_loop is not loop:
            self._wheel, self._wheel_loop = loop_wheel(), loop
        return self._wheel

    def use(self, middleware: M, **options: Any) -> M:
        """Put ASGI middleware around each HTTP request and WebSocket handshake of the engine.

        As in Starlette, ``io.engine.use(SessionMiddleware, secret_key="...")`` calls
        ``SessionMiddleware(app, secret_key="...")``; a function ``(app) -> app`` serves too, also as a
        decorator. The first one is outermost. What it puts into the scope is in ``request.scope``. One
        that raises refuses the request (code 3, ``MIDDLEWARE_FAILURE``); one that answers by itself is
        asked after a browser's preflight, and its answer gets the ``cors`` headers. With a WebSocket
        that uvicorn hands over, it is done when the handshake is.

        https://socket.io/docs/v4/server-api/#engineusemiddleware

        Raises:
            UsageError: it is an ``async def``, so no middleware but an application.
            TypeError: it cannot be called with an application and these options.
        """
        check_middleware(middleware, options)
        self.middlewares = (*self.middlewares, (middleware, options))
        return middleware

    # --- HTTP -----------------------------------------------------------------------------------

    async def preflight(self, request: Request) -> Response | None:
        """The answer to a browser's preflight; None for any other request."""
        return await self._cors.preflight(request) if request.method == "OPTIONS" else None

    async def cors_headers(self, request: Request) -> dict[str, str]:
        """The CORS headers that the answer to this request is to have."""
        return await self._cors.headers(request)

    def cors_at_once(self, request: Request) -> dict[str, str] | None:
        """The same for a request that is let in; None where that cannot be said at once, or it is not."""
        return self._cors.headers_at_once(request)

    def middleware_failed(self, request: Request) -> RequestRefused:
        """A middleware has raised: the refusal, of which listeners have been told."""
        refused = RequestRefused(BAD_REQUEST, {"name": "MIDDLEWARE_FAILURE"}, request)
        self._refuse(refused)
        return refused

    async def handle(self, request: Request) -> Response:
        """Answer one HTTP request under the engine's path."""
        response = await self.preflight(request)
        if response is not None:
            return response
        try:
            response = await self._route(request)
        except RequestRefused as refused:
            response = self._departed.answer(refused, self.wheel.time())
            if response is None:
                self._refuse(refused)
                response = refused.response()
        response.headers.update(await self._cors.headers(request))
        self.emit("headers", response.headers, request)
        request.settle()
        return response

    async def _route(self, request: Request) -> Response:
        session = await self._check(request, websocket=False)
        if session is None:
            return self.open_polling(request)
        if isinstance(session, Elsewhere):
            return await session.relay.request(request)
        return await self._answer(session, request)

    async def answer(self, request: Request) -> Response:
        """Answer a request of a session of ours that another node has checked and passed on.

        Raises:
            RequestRefused: there is no such session, or the request does not fit it.
        """
        try:
            session = self.session_of(request, websocket=False)
        except RequestRefused as refused:
            response = self._departed.answer(refused, self.wheel.time())
            if response is None:
                raise
            return response
        return await self._answer(session, request)

    def session_of(self, request: Request, websocket: bool) -> Session:
        """The session that a request which another node has checked belongs to.

        Raises:
            RequestRefused: there is none, or the request does not fit it.
        """
        session = check(request, self.sessions, self.options, websocket)
        if session is None:
            raise RequestRefused(UNKNOWN_SID, {}, request)
        if websocket:
            self._check_upgrade(request)
        return session

    async def _answer(self, session: Session, request: Request) -> Response:
        transport = session.transport
        if not isinstance(transport, PollingTransport):
            raise RequestRefused(BAD_REQUEST, {"name": "TRANSPORT_MISMATCH"}, request)
        if request.method == "GET":
            return await transport.poll(request)
        if request.method == "POST":
            return await transport.receive(request)
        return Response(500)

    def open_polling(self, request: Request) -> Response:
        """Begin a session on long-polling; the answer to its handshake, which has been let in."""
        session = self._new_session(request)
        polling = PollingTransport(session) if session.protocol == 4 else polling_v3(session)
        self._open(session, polling, self._upgrades())
        response = polling.answer(request)
        if self.options.cookie is not None:
            cookie = session_cookie(self.options.cookie, session.id)
            if cookie is not None:
                response.headers["set-cookie"] = cookie
        self.emit("initial_headers", response.headers, request)
        return response

    def _upgrades(self) -> list[str]:
        return ["websocket"] if self.options.allow_upgrades and "websocket" in self.options.transports else []

    # --- WebSocket ------------------------------------------------------------------------------

    async def admit(self, request: Request) -> tuple[Session | Passage | None, dict[str, str]]:
        """May this WebSocket handshake go on? What it wants to join, if anything, and headers for the answer.

        Raises:
            RequestRefused: it may not.
        """
        try:
            session: Session | Passage | Elsewhere | None = await self._check(request, websocket=True)
            if session is not None:
                self._check_upgrade(request)
            if isinstance(session, Elsewhere):
                session = await session.relay.upgrade(request)
        except RequestRefused as refused:
            if refused.code == FORBIDDEN and refused.status == 403 and "origin" not in refused.context:
                refused.status = 400  # as the official server answers a refused WebSocket
            self._refuse(refused)
            raise
        headers = await self._cors.headers(request)
        if session is None:
            self.emit("initial_headers", headers, request)
        self.emit("headers", headers, request)
        return session, headers

    def _check_upgrade(self, request: Request) -> None:
        if not self.options.allow_upgrades:
            raise RequestRefused(BAD_REQUEST, {"name": "TRANSPORT_MISMATCH"}, request)

    def open_websocket(self, request: Request, session: Session | Passage | None, carrier: Carrier) -> None:
        """The handshake that :meth:`admit` accepted has been answered, and ``carrier`` is open."""
        if session is not None and isinstance(session, Passage):
            session.open(carrier)
            return
        base64 = "b64" in request.params
        if session is None:
            if self._closing:
                carrier.close()
                return
            session = self._new_session(request)
            carrier.receiver = session
            request.settle()
            self._open(session, websocket_transport(carrier, base64, session.protocol), [])
        elif (
            session.id in self.sessions
            and isinstance(session.transport, PollingTransport)
            and session.upgrading is None
        ):
            Probe(session, session.transport, carrier, base64)
        else:
            # The session has ended meanwhile, or has a WebSocket, or is about to have one: this one goes.
            carrier.receiver = Deaf()
            carrier.close()

    # --- both -----------------------------------------------------------------------------------

    async def _check(self, request: Request, websocket: bool) -> Session | Elsewhere | None:
        session: Session | Elsewhere | None
        try:
            session = check(request, self.sessions, self.options, websocket)
        except RequestRefused as refused:
            if refused.code != UNKNOWN_SID or self.relay is None or not self.relay.reaches(request):
                raise
            session = Elsewhere(self.relay)
        except ValueError as error:
            raise RequestRefused(
                BAD_REQUEST, {"name": "INVALID_QUERY", "error": str(error)}, request
            ) from None
        asking = with_origin_of_page(request)
        try:
            allowed = await self._cors.allows(asking)
        except CorsFailed:
            raise RequestRefused(BAD_REQUEST, {"name": "MIDDLEWARE_FAILURE"}, request) from None
        if not allowed:
            origin = asking.fields.get("origin", "")
            raise RequestRefused(FORBIDDEN, {"origin": origin}, request, 403)
        if session is None:
            await ask_allow_request(self.options.allow_request, request)
            check_version(request, self.options.allow_eio3)
            check_room(request, self.options.limits, self._closing, len(self.sessions), self.addresses)
            # Before a WebSocket's handshake is answered: afterwards nobody can be told of a failure.
            await self._ids.choose(self.generate_id, request, self.sessions)
        return session

    def _refuse(self, refused: RequestRefused) -> None:
        log.debug("refused: %s %r", ERROR_MESSAGES[refused.code], refused.context)
        if "origin" in refused.context:
            self._origins.warn(refused.context["origin"])
        self.emit("connection_error", refused)

    def _new_session(self, request: Request) -> Session:
        sid = self._ids.take(request)
        session = Session(sid, request, self.options, self.wheel, self._forgets, protocol_of(request))
        if self._watcher is not None:
            session.watch(self._watcher)
        self.sessions[sid] = session
        address = request.address
        self.addresses[address] = self.addresses.get(address, 0) + 1
        return session

    def _open(
        self, session: Session, transport: PollingTransport | WebSocketTransport, upgrades: list[str]
    ) -> None:
        options = self.options
        handshake = open_packet(
            session.id, upgrades, options.ping_interval, options.ping_timeout, options.max_http_buffer_size
        )
        session.open(transport, handshake, self._make_handler)
        if options.initial_packet is not None:
            session.send(Message(b"4" + options.initial_packet.encode()))
        self.emit("connection", session)

    def _forget(self, session: Session) -> None:
        self.sessions.pop(session.id, None)
        if self.relay is not None:
            self._departed.add(session)
        address = session.request.address
        left = self.addresses.get(address, 0) - 1
        if left > 0:
            self.addresses[address] = left
        else:
            self.addresses.pop(address, None)

    def _listeners_changed(self) -> None:
        self.tells_headers = self.listens("headers", "initial_headers")
        watcher = self if self.listens("drain", "flush") else None
        if watcher is not self._watcher:
            self._watcher = watcher
            for session in self.sessions.values():
                session.watch(watcher)

    def reopen(self) -> None:
        """Take new sessions again, after :meth:`close`."""
        self._closing = False

    def close(self) -> None:
        """Close every session at once; new ones are refused from here on."""
        self._closing = True
        for session in list(self.sessions.values()):
            session.close(discard=True)
