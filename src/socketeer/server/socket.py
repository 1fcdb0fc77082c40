"""One client in one namespace (https://socket.io/docs/v4/server-api/#socket)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from enum import Enum
from typing import Any, Final, overload

from socketeer.engine.session import Session
from socketeer.errors import ReservedEventError
from socketeer.messaging.acks import AckTable
from socketeer.messaging.connection import Connection
from socketeer.messaging.dispatch import log_handler_error, run_handler, run_handlers
from socketeer.messaging.handlers import Ack, F, Function, HandlerTable
from socketeer.protocol.packet import ACK, DISCONNECT, EVENT, RESERVED_EVENTS, Packet
from socketeer.server.adapter import Flags, Room, Target
from socketeer.server.handshake import Handshake
from socketeer.server.middleware import Middleware, run_middlewares
from socketeer.server.operators import BroadcastOperator, check_event, room_names
from socketeer.server.ports import Home
from socketeer.server.published import published
from socketeer.server.single import Drained, SocketOperator
from socketeer.server.v2_clients import is_v2

log = logging.getLogger("socketeer")

#: Events that the server itself tells; a client that sends one of these names reaches no listener.
LOCAL_EVENTS = frozenset({"disconnect", "disconnecting", "error"})
_RESERVED_FOR_LISTENERS = frozenset({"connect", "connect_error", "newListener", "removeListener"})
_NO_FLAGS = Flags()


class Life(Enum):
    """Where a socket is in its life."""

    JOINING = "joining"
    """In the middlewares; it may emit, and join rooms."""
    CONNECTED = "connected"
    LEAVING = "leaving"
    """Its ``disconnecting`` listeners are being told; connected still, to them and to everybody."""
    DISCONNECTED = "disconnected"


_DISCONNECTED: Final = Life.DISCONNECTED


class Socket:
    """One client in one namespace.

    Attributes:
        id: 20 characters, the same as ``socket.id`` on the client.
        nsp: the namespace.
        data: a dict of your own.
        handshake: what the client said when it connected.
        conn: the Engine.IO session below, shared with the client's other namespaces.
    """

    __slots__ = (
        "__weakref__",
        "_connection",
        "_data",
        "_drained",
        "_handlers",
        "_life",
        "_middlewares",
        "acks",
        "conn",
        "handshake",
        "id",
        "nsp",
        "recovered",
    )

    def __init__(self, socket_id: str, nsp: Home, connection: Connection, handshake: Handshake) -> None:
        self.id = socket_id
        self.nsp = nsp
        self.handshake = handshake
        self.recovered = False
        self.acks = AckTable()
        self.conn: Session = connection.session
        self._connection = connection
        self._data: dict[str, Any] | None = None
        self._drained = Drained(self.conn)
        self._handlers = HandlerTable()
        self._life = Life.JOINING
        self._middlewares: tuple[Middleware, ...] = ()

    def __repr__(self) -> str:
        return f"<Socket {self.id} {self.nsp.name[:100]!r} {self._life.value}>"

    # --- state ----------------------------------------------------------------------------------

    @property
    def data(self) -> dict[str, Any]:
        """A dict of your own, kept as long as the socket."""
        if self._data is None:
            self._data = {}
        return self._data

    @property
    def connected(self) -> bool:
        """Whether the client is connected to the namespace."""
        return self._life is Life.CONNECTED or self._life is Life.LEAVING

    @property
    def disconnected(self) -> bool:
        """The opposite of :attr:`connected`."""
        return not self.connected

    @property
    def gone(self) -> bool:
        """Whether it has disconnected; a socket still in its middlewares has not."""
        return self._life is Life.DISCONNECTED

    @property
    def rooms(self) -> set[Room]:
        """The rooms it is in; its own id is one of them."""
        return set(self.nsp.adapter.socket_rooms(self.id))

    # --- listening ------------------------------------------------------------------------------

    @overload
    def on(self, event: str) -> Callable[[F], F]: ...
    @overload
    def on(self, event: str, handler: F) -> F: ...
    def on(self, event: str, handler: F | None = None) -> F | Callable[[F], F]:
        """Call ``handler`` at each ``event`` from the client; also a decorator.

        ``disconnecting(reason)``, ``disconnect(reason, description)`` and ``error(exception)`` come
        from the server itself. What a handler returns is its acknowledgement.

        Raises:
            ReservedEventError: nobody can send an event of that name.
        """
        return self._listen(event, handler, False)

    @overload
    def once(self, event: str) -> Callable[[F], F]: ...
    @overload
    def once(self, event: str, handler: F) -> F: ...
    def once(self, event: str, handler: F | None = None) -> F | Callable[[F], F]:
        """As :meth:`on`, for the next time only."""
        return self._listen(event, handler, True)

    def _listen(self, event: str, handler: F | None, once: bool) -> F | Callable[[F], F]:
        if event in _RESERVED_FOR_LISTENERS:
            raise ReservedEventError(f'"{event}" is a reserved event name: no client can send it')
        if handler is None:
            return lambda function: self._listen(event, function, once)  # type: ignore[return-value]
        self._handlers.add(event, handler, once, typed=event not in LOCAL_EVENTS)
        return handler

    def off(self, event: str | None = None, handler: Function | None = None) -> None:
        """Forget a handler, all of an event, or all there are."""
        self._handlers.remove(event, handler)

    def use(self, middleware: Middleware) -> Middleware:
        """Ask ``middleware(args)`` about each event before its handlers; ``args[0]`` is the name.

        It may change the list, and refuses by raising: the event goes no further, ``error``
        listeners get the exception. See https://socket.io/docs/v4/server-api/#socketusefn.
        """
        self._middlewares = (*self._middlewares, middleware)
        return middleware

    # --- sending --------------------------------------------------------------------------------

    def emit(self, event: str, *args: Any) -> Drained:
        """Send an event to this client. It is queued at once, in order; awaiting the result waits for room.

        Raises:
            ReservedEventError: the name belongs to Socket.IO.
            TypeError: an argument cannot be sent.
        """
        if type(event) is not str or event in RESERVED_EVENTS:
            check_event(event)
        if self._life is not _DISCONNECTED:
            nsp = self.nsp
            send = self.conn.send  # a name first: calling a slot's content at once is slow in Python 3.11
            send(nsp.parser.encode_event(nsp.prefix, None, (event, *args)))
        return self._drained

    def send(self, *args: Any) -> Drained:
        """Emit a ``message`` event."""
        return self.emit("message", *args)

    async def emit_with_ack(self, event: str, *args: Any, timeout: float | None = None) -> Any:
        """Send an event and wait for the client's acknowledgement: its value, or a tuple of several.

        Raises:
            AckTimeout: it did not come within ``timeout`` seconds.
            SocketDisconnected: the client has disconnected.
        """
        return await SocketOperator(self, _NO_FLAGS).emit_with_ack(event, *args, timeout=timeout)

    @property
    def volatile(self) -> SocketOperator:
        """Drop the next event if the transport is busy."""
        return SocketOperator(self, Flags(volatile=True))

    def compress(self, compress: bool) -> SocketOperator:
        """Whether the next event may be compressed, over WebSocket, or in a long-polling answer for its sake."""
        return SocketOperator(self, Flags(compress=compress))

    def timeout(self, timeout: float) -> SocketOperator:
        """Wait at most this many seconds for the acknowledgement of the next event."""
        return SocketOperator(self, Flags(timeout=timeout))

    @property
    def broadcast(self) -> BroadcastOperator:
        """Everybody in the namespace but this client."""
        return self._others(_NO_FLAGS)

    @property
    def local(self) -> BroadcastOperator:
        """Everybody on this node but this client."""
        return self._others(Flags(local=True))

    def to(self, room: Room | Iterable[Room]) -> BroadcastOperator:
        """Members of the room, or of any of the rooms, but not this client."""
        return self._others(_NO_FLAGS).to(room)

    def in_(self, room: Room | Iterable[Room]) -> BroadcastOperator:
        """The same as :meth:`to`."""
        return self.to(room)

    def except_(self, room: Room | Iterable[Room]) -> BroadcastOperator:
        """Everybody but this client and the members of the room, or of any of the rooms."""
        return self._others(_NO_FLAGS).except_(room)

    def _others(self, flags: Flags) -> BroadcastOperator:
        return BroadcastOperator(self.nsp, Target((), (self.id,), flags))

    async def drained(self) -> None:
        """Wait until the client's queue is below its low-water mark."""
        await self.conn.transport.drained()

    # --- rooms ----------------------------------------------------------------------------------

    def join(self, rooms: Room | Iterable[Room]) -> Awaitable[None]:
        """Enter a room, or several, at once; awaiting waits until other nodes know, where they need to.

        A socket that has disconnected enters none.
        """
        if self._life is Life.DISCONNECTED:
            return published(None)
        return published(self.nsp.adapter.join(self.id, room_names(rooms)))

    def leave(self, room: Room) -> Awaitable[None]:
        """Leave a room."""
        return published(self.nsp.adapter.leave(self.id, room))

    # --- from the namespace ---------------------------------------------------------------------

    def on_connected(self) -> None:
        """The middlewares have let it in: the CONNECT packet goes out before anything a handler emits."""
        self._life = Life.CONNECTED
        nsp = self.nsp
        nsp.adapter.join(self.id, (self.id,))
        self.conn.send(
            nsp.parser.encode_control(0, nsp.prefix, None if is_v2(self.conn) else {"sid": self.id})
        )
        self._connection.sockets[nsp.name] = self

    def on_refused(self) -> None:
        """A middleware has turned it away, or its connection has gone meanwhile."""
        self._life = Life.DISCONNECTED
        self.nsp.adapter.leave_all(self.id)

    # --- from the connection --------------------------------------------------------------------

    def on_packet(self, packet: Packet) -> None:
        """An EVENT, an ACK or a DISCONNECT has come."""
        kind = packet.type
        if kind == EVENT:
            if self._middlewares:
                self._ask_middlewares(packet)
            else:
                self._dispatch(packet.data, packet.id)
        elif kind == ACK:
            if packet.id is not None:
                self.acks.resolve(packet.id, packet.data)
        elif kind == DISCONNECT:
            self._end("client namespace disconnect", None)

    def _ask_middlewares(self, packet: Packet) -> None:
        def verdict(error: Exception | None) -> None:
            if error is not None:
                self._tell("error", error)
            elif self._life is Life.CONNECTED:
                self._dispatch(packet.data, packet.id)

        run_middlewares(self._middlewares, packet.data, verdict)

    def _dispatch(self, args: list[Any], ack_id: int | None) -> None:
        if not args or args[0] in LOCAL_EVENTS:
            return
        event = args.pop(0)
        handlers = self._handlers.take(event)
        if ack_id is None and len(handlers) == 1:
            run_handler(handlers[0], event, args, None, None, self._handler_failed)
        elif handlers:
            ack = None if ack_id is None else Ack(_AckSender(self, ack_id))
            run_handlers(handlers, event, args, ack, self._handler_failed)

    def send_ack(self, ack_id: int, args: Sequence[Any]) -> None:
        """Acknowledge an event of the client."""
        nsp = self.nsp
        self.conn.send(nsp.parser.encode_ack(nsp.prefix, ack_id, tuple(args)))

    def _handler_failed(self, error: Exception, event: Any) -> None:
        log_handler_error(error, event, repr(self))
        if event != "error":
            self._tell("error", error)
            self.nsp.report(error, self, event)

    def on_transport_error(self, error: Exception) -> None:
        """The client sent what is no packet."""
        self._tell("error", error)

    def on_connection_closed(self, reason: str, description: str | None) -> None:
        """The connection has ended."""
        self._end(reason, description)

    # --- the end --------------------------------------------------------------------------------

    def disconnect(self, close: bool = False) -> Socket:
        """Disconnect the client from this namespace; with ``close``, from all, and end its connection."""
        if self._life is not Life.CONNECTED:
            return self
        connection = self._connection
        if close:
            for socket in list(connection.sockets.values()):
                if isinstance(socket, Socket):
                    socket.disconnect()
            connection.close()
        else:
            nsp = self.nsp
            connection.session.send(nsp.parser.encode_control(DISCONNECT, nsp.prefix))
            self._end("server namespace disconnect", None)
        return self

    def _end(self, reason: str, description: str | None) -> None:
        """Tell the handlers, with the rooms still there, then leave everything."""
        if self._life is not Life.CONNECTED:
            return
        self._life = Life.LEAVING
        self._tell("disconnecting", reason, description)
        self._life = Life.DISCONNECTED
        self.nsp.adapter.leave_all(self.id)
        self.nsp.forget(self.id, self._connection)
        self.acks.fail_all()
        self._tell("disconnect", reason, description)

    def _tell(self, event: str, *args: Any) -> None:
        handlers = self._handlers.take(event)
        if handlers:
            run_handlers(handlers, event, args, None, self._handler_failed)


class _AckSender:
    """Sends one acknowledgement; not a closure, which would hold the packet as well."""

    __slots__ = ("_id", "_socket")

    def __init__(self, socket: Socket, ack_id: int) -> None:
        self._socket = socket
        self._id = ack_id

    def __call__(self, args: Sequence[Any]) -> None:
        self._socket.send_ack(self._id, args)
