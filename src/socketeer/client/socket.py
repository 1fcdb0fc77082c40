"""One namespace of a client (https://socket.io/docs/v4/client-api/#socket)."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Mapping, Sequence
from enum import Enum
from typing import Any

from socketeer.client.events import Streaming
from socketeer.client.joining import MOST_EARLY, Connecting, Disconnecting, Waiters, auth_failed, refusal_of
from socketeer.client.manager import Manager
from socketeer.client.operator import Sending, SocketOperator
from socketeer.client.outbound import Answers, Outbound
from socketeer.client.outgoing import Outgoing
from socketeer.client_options import SocketOptions
from socketeer.errors import (
    ConnectionRefused,
    ReservedEventError,
    SocketDisconnected,
    SocketeerError,
    TransportError,
)
from socketeer.messaging.connection import Connection
from socketeer.messaging.dispatch import (
    log_handler_error,
    make_ack,
    run_catch_alls,
    run_handler,
    run_handlers,
)
from socketeer.messaging.handlers import HandlerTable, Payload
from socketeer.protocol.packet import ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, RESERVED_EVENTS, Packet

log = logging.getLogger("socketeer")

#: Events that the client itself tells. All but ``error`` are reserved: no parser lets them in from a server.
LOCAL_EVENTS = frozenset({"connect", "connect_error", "disconnect", "error"})


class Life(Enum):
    """Where a namespace's socket is."""

    IDLE = "idle"
    """Not connected, and nothing is done about it."""
    CONNECTING = "connecting"
    """Wanted: it is joined as soon as there is a connection."""
    CONNECTED = "connected"


#: Looked up for each event: a member of an enum costs more than a name.
_CONNECTED = Life.CONNECTED


class ClientSocket(Streaming, Sending):
    """One namespace over a client's connection.

    Its events are the server's, and four of its own: ``connect()``, ``connect_error(exception)``,
    ``disconnect(reason, description)`` and ``error(exception)``, the last for what listeners let out.

    Attributes:
        id: 20 characters, the same as ``socket.id`` on the server; None while it is not connected.
        nsp: the namespace's name.
        io: the manager: the connection, with its own events.
        auth: what the server gets as ``handshake.auth``: a mapping, or a function (also async) asked each time.
        recovered: whether the last connection went on where the one before had broken off.
        connection: what the namespace is joined over, or about to be; None while there is none.
    """

    def __init__(self, io: Manager, nsp: str, options: SocketOptions) -> None:
        super().__init__()
        self.io = io
        self.nsp = nsp
        self.auth = options.auth
        self.id: str | None = None
        self.recovered = False
        self.connection: Connection | None = None
        self._life = Life.IDLE
        self._prefix = io.parser.namespace_prefix(nsp)
        self._outbound = Outbound(self, io, nsp, options)
        self._plain = SocketOperator(self._outbound)
        self._answers: Answers | None = None
        self._received: list[Packet] = []
        """Events that came before the namespace was joined."""
        self._pid: str | None = None
        """The server's private id of this session, and below it the last event's: what recovery needs."""
        self._offset: str | None = None
        self._joining: Waiters[None] = Waiters()
        self._ending: Waiters[str] = Waiters()
        self._failure: SocketeerError | None = None
        """Why the last call of ``connect`` came to nothing."""
        self._last_reason = "io client disconnect"
        self._asking: asyncio.Task[None] | None = None
        """Waits for what ``auth`` says."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.io.url} {self.nsp!r} {self._life.value}>"

    # --- state ----------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether the namespace is joined."""
        return self._life is _CONNECTED

    @property
    def disconnected(self) -> bool:
        """The opposite of :attr:`connected`."""
        return self._life is not Life.CONNECTED

    @property
    def active(self) -> bool:
        """Whether it is connected, or will be as soon as there is a connection."""
        return self._life is not Life.IDLE

    @property
    def send_buffer(self) -> Sequence[Outgoing]:
        """Events that wait for a connection, the oldest first."""
        return self._outbound.buffer

    # --- listening ------------------------------------------------------------------------------

    def _place(self, event: str) -> tuple[HandlerTable, Payload]:
        if event in RESERVED_EVENTS and event not in LOCAL_EVENTS:
            raise ReservedEventError(f'"{event}" is a reserved event name: no server can send it')
        return self._own_handlers(), Payload.NONE if event in LOCAL_EVENTS else Payload.ALL

    # --- connecting -----------------------------------------------------------------------------

    def connect(self) -> Connecting:
        """Join the namespace, over the connection that there is or a new one. Await it to know how that went.

        Cancelling the wait (``asyncio.timeout``, say) ends nothing but the wait: the client goes on
        connecting until :meth:`disconnect`.

        Raises:
            UsageError: no event loop runs here.
            ConnectionRefused: (awaited) the server refused; ``message`` and ``data`` are what it said.
            TransportError: (awaited) there is no connection, and no further attempt will be made.
            SocketDisconnected: (awaited) ``disconnect`` was called meanwhile.
        """
        if self._life is Life.IDLE:
            self._life = Life.CONNECTING
            try:
                self.io.attach(self.nsp, self)
            except BaseException:
                self._life = Life.IDLE
                raise
        return Connecting(self)

    async def joined(self) -> None:
        """Wait until the namespace is joined; see :meth:`connect`."""
        if self._life is Life.IDLE:
            raise self._failure or SocketDisconnected("not connecting: call connect()")
        if self._life is Life.CONNECTING:
            await self._joining.wait()

    def on_open(self, connection: Connection) -> None:
        """There is a connection: ask to join."""
        if self._life is not Life.CONNECTING or self.connection is connection:
            return
        self.connection = connection
        connection.sockets[self.nsp] = self
        self._answers = Answers(self, connection, self._prefix)
        try:
            auth: Any = self.auth() if callable(self.auth) else self.auth
        except Exception as error:  # noqa: BLE001 - whatever a user's function lets out
            self._refused(auth_failed(error))
            return
        if inspect.isawaitable(auth):
            self._asking = asyncio.ensure_future(self._join_later(connection, auth))
        else:
            self._join(connection, auth)

    async def _join_later(self, connection: Connection, auth: Awaitable[Any]) -> None:
        try:
            payload = await auth
        except Exception as error:  # noqa: BLE001 - whatever a user's function lets out
            if self.connection is connection:
                self._asking = None
                self._refused(auth_failed(error))
        else:
            if self.connection is connection:
                self._asking = None
                self._join(connection, payload)

    def _join(self, connection: Connection, auth: Mapping[str, Any] | None) -> None:
        if self.connection is not connection:  # the function that gave `auth` has disconnected
            return
        payload: dict[str, Any] = {}
        if self._pid is not None:
            payload["pid"] = self._pid
            if self._offset is not None:
                payload["offset"] = self._offset
        try:
            payload.update(auth or {})
            message = self.io.parser.encode_control(CONNECT, self._prefix, payload or None)
        except (TypeError, ValueError) as error:
            self._refused(auth_failed(error))
        else:
            connection.session.send(message)

    def _welcomed(self, connection: Connection | None, data: Any) -> None:
        sid = data.get("sid") if isinstance(data, dict) else None
        if not isinstance(sid, str):
            self._refused(
                ConnectionRefused(
                    "expected a session id in the CONNECT packet: is this a server of Socket.IO 2, which speaks "
                    "another protocol?"
                )
            )
            return
        pid = data.get("pid")
        pid = pid if isinstance(pid, str) else None
        self.recovered = pid is not None and pid == self._pid
        if not self.recovered:
            self._offset = None  # it meant an event of another session
        self._pid = pid
        self.id = sid
        self._life = Life.CONNECTED
        received, self._received = self._received, []
        for packet in received:
            if self.connection is connection:  # a listener may disconnect
                self.on_packet(packet)
        self._outbound.joined()
        self._joining.resolve(None)
        if self.connection is connection:
            self._tell("connect")

    def _refused(self, error: ConnectionRefused) -> None:
        self._give_up(error)
        self._tell("connect_error", error)

    def _give_up(self, error: SocketeerError) -> None:
        """Nothing more is done about connecting."""
        self._life = Life.IDLE
        self._failure, self._last_reason = error, str(error)
        self._leave_connection()
        self.io.detach(self.nsp, self)
        self._joining.fail(error)
        self._ending.resolve(self._last_reason)

    def on_unreachable(self, error: TransportError, final: bool) -> None:
        """An attempt to connect has failed."""
        if self._life is Life.CONNECTING:
            if final:
                self._give_up(error)
            self._tell("connect_error", error)

    # --- disconnecting --------------------------------------------------------------------------

    def disconnect(self) -> Disconnecting:
        """Leave the namespace; the connection of the last one is closed. No reconnection follows.

        That holds at once. What was emitted before leaves first, and the server is told once it has read that,
        for which it has two seconds; await the result to wait until it has been told. What waits for a connection,
        or with ``retries`` for its acknowledgement, is kept for the next :meth:`connect`.
        """
        if self._life is Life.CONNECTED:
            goodbye = self.io.parser.encode_control(DISCONNECT, self._prefix)
            self.io.say_goodbye(goodbye, unread=self._outbound.unread is not None)
            self._over("io client disconnect", None, again=False)
        elif self._life is Life.CONNECTING:
            self._give_up(SocketDisconnected("disconnect() was called before the namespace was joined"))
        return Disconnecting(self.io)

    def _leave_connection(self) -> None:
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.cancel()
        self._received.clear()
        connection, self.connection = self.connection, None
        if connection is not None and connection.sockets.get(self.nsp) is self:
            connection.left(self.nsp)

    def on_connection_closed(self, reason: str, description: str | None) -> None:
        """The connection has ended."""
        if self.connection is None:  # left meanwhile, by a listener of another namespace
            return
        again = self.io.reconnects
        if self._life is Life.CONNECTED:
            self._over(reason, description, again=again)
        else:
            # The official client tells `disconnect` of a namespace that was never joined; here it is an error.
            self._leave_connection()
            error = TransportError(
                f"the connection ended before the namespace was joined: {reason}", description
            )
            self.on_unreachable(error, final=not again)

    def _over(self, reason: str, description: str | None, *, again: bool) -> None:
        """Connected no more; ``again`` says that the connection will be made again."""
        self._life = Life.CONNECTING if again else Life.IDLE
        self.id = None
        self._last_reason = reason
        self._failure = None
        self._leave_connection()
        self._outbound.interrupted()
        if not again:
            self.io.detach(self.nsp, self)
        self._tell("disconnect", reason, description)
        if not self.active:  # a listener may have connected again
            self._ending.resolve(reason)

    async def wait(self) -> str:
        """Wait until it is over: disconnected, and not to be connected again. Gives the reason."""
        return self._last_reason if self._life is Life.IDLE else await self.ended()

    async def ended(self) -> str:
        """Wait for the next time that it is over."""
        return await self._ending.wait()

    # --- sending --------------------------------------------------------------------------------

    def _operator(self) -> SocketOperator:
        return self._plain

    async def drained(self) -> None:
        """Wait until what was emitted is on its way, and the queue below its low-water mark."""
        if self._life is Life.CONNECTING:
            await self.joined()
        if self.connection is not None and self._life is Life.CONNECTED:
            await self.connection.session.transport.drained()

    async def delivered(self) -> None:
        """With ``retries``: wait until what was emitted has been acknowledged, or given up."""
        await self._outbound.delivered()

    # --- from the connection --------------------------------------------------------------------

    def on_packet(self, packet: Packet) -> None:
        """A packet for this namespace."""
        if packet.type == EVENT:
            self.on_event(packet.data, packet.id)
        else:
            self._on_other(packet)

    def on_event(self, args: list[Any], ack_id: int | None) -> None:
        """An EVENT has come: the name and the arguments."""
        if self._life is not _CONNECTED:
            self._on_early(Packet(EVENT, self.nsp, args, ack_id))
            return
        if not args:
            return
        watch = self._watch
        if self._pid is not None and ack_id is None and len(args) > 1 and isinstance(args[-1], str):
            self._offset = args[-1]
        ack = None if ack_id is None or self._answers is None else make_ack(self._answers, ack_id)
        if watch is None:
            event = args.pop(0)
        else:
            run_catch_alls(watch.incoming, args, ack, self._handler_failed)
            for tap in watch.taps:
                tap(args, ack)
            event, *args = args  # whoever has tapped them keeps the list
        handlers = self._handlers.take(event)
        if ack is None and len(handlers) == 1:
            run_handler(handlers[0], event, args, None, None, self._handler_failed)
        elif handlers:
            run_handlers(handlers, event, args, ack, self._handler_failed)

    def _on_early(self, packet: Packet) -> None:
        if len(self._received) < MOST_EARLY:
            self._received.append(packet)
        elif self.connection is not None:
            self.connection.violation(f"more than {MOST_EARLY} events before CONNECT", self.nsp)

    def _on_other(self, packet: Packet) -> None:
        kind = packet.type
        if kind == ACK:
            self._outbound.acknowledged(packet)
        elif kind == DISCONNECT:
            self._joining.fail(SocketDisconnected("io server disconnect"))
            self._over("io server disconnect", None, again=False)
        elif self._life is _CONNECTED:
            log.debug("passing over a packet of type %d for %r, which is joined", kind, self)
        elif kind == CONNECT:
            self._welcomed(self.connection, packet.data)
        elif kind == CONNECT_ERROR:
            self._refused(refusal_of(packet.data))

    def on_transport_error(self, error: Exception) -> None:
        """The server sent what is no packet; the connection is about to close."""

    def _tell(self, event: str, *args: Any) -> None:
        handlers = self._handlers.take(event)
        if handlers:
            run_handlers(handlers, event, args, None, self._handler_failed)

    def _handler_failed(self, error: Exception, event: Any) -> None:
        log_handler_error(error, event, repr(self))
        if event != "error":
            self._tell("error", error)
