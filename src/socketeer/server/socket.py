"""One client in one namespace (https://socket.io/docs/v4/server-api/#socket)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Coroutine, Iterable, Sequence
from typing import Any

from socketeer.engine.http.message import Request
from socketeer.engine.session import Session
from socketeer.errors import UsageError
from socketeer.messaging.acks import AckTable
from socketeer.messaging.connection import Connection
from socketeer.messaging.dispatch import (
    log_handler_error,
    make_ack,
    run_catch_alls,
    run_for,
    run_handler,
    run_handlers,
    run_only,
)
from socketeer.messaging.handlers import Ack, HandlerTable, Payload
from socketeer.messaging.listening import M, Watch
from socketeer.protocol.packet import ACK, DISCONNECT, EVENT, RESERVED_EVENTS, Packet
from socketeer.server.adapter import Flags, Room
from socketeer.server.events import LOCAL_EVENTS, check_listenable
from socketeer.server.handshake import Handshake
from socketeer.server.life import CONNECTED, DISCONNECTED, JOINING, LEAVING, Life
from socketeer.server.middleware import run_middlewares
from socketeer.server.operators import check_event, room_names
from socketeer.server.others import Others
from socketeer.server.ports import Home
from socketeer.server.published import published
from socketeer.server.single import Drained, SocketOperator
from socketeer.server.v2_clients import is_v2

log = logging.getLogger("socketeer")

_NO_FLAGS = Flags()


class Socket(Others):
    """One client in one namespace.

    Its events are the client's, and three that come from the server itself:
    ``disconnecting(reason)``, ``disconnect(reason, description)`` and ``error(exception)``. What a
    listener returns is its acknowledgement.

    Attributes:
        id: 20 characters, the same as ``socket.id`` on the client.
        nsp: the namespace.
        data: a dict of your own.
        handshake: what the client said when it connected.
        conn: the Engine.IO session below, shared with the client's other namespaces.
        direct: for the floor: whether an emit has nobody to tell of it, and somebody to go to.
    """

    __slots__ = (
        "__weakref__",
        "_acks",
        "_connection",
        "_data",
        "_drained",
        "_life",
        "conn",
        "direct",
        "handshake",
        "recovered",
    )

    def __init__(self, socket_id: str, nsp: Home, connection: Connection, handshake: Handshake) -> None:
        super().__init__(socket_id, nsp)
        self.handshake = handshake
        self.recovered = False
        self.conn: Session = connection.session
        self.direct = True
        self._connection = connection
        self._acks: AckTable | None = None
        """None until the first is asked for: of most sockets none is."""
        self._data: dict[str, Any] | None = None
        self._drained: Drained | None = None
        self._life: Life = JOINING

    def __repr__(self) -> str:
        return f"<Socket {self.id} {self.nsp.name[:100]!r} {self._life.value}>"

    # --- state ----------------------------------------------------------------------------------

    @property
    def data(self) -> dict[str, Any]:
        """A dict of your own, kept as long as the socket; another one can be assigned.

        Raises:
            UsageError: what is assigned is no dict.
        """
        if self._data is None:
            self._data = {}
        return self._data

    @data.setter
    def data(self, data: dict[str, Any]) -> None:
        if not isinstance(data, dict):
            raise UsageError(f"socket.data: expected a dict, got {data!r}")
        self._data = data

    @property
    def acks(self) -> AckTable:
        """For the floor: the acknowledgements that it owes."""
        if self._acks is None:
            self._acks = AckTable()
        return self._acks

    @property
    def connected(self) -> bool:
        """Whether the client is connected to the namespace."""
        return self._life is CONNECTED or self._life is LEAVING

    @property
    def disconnected(self) -> bool:
        """The opposite of :attr:`connected`."""
        return not self.connected

    @property
    def gone(self) -> bool:
        """Whether it has disconnected; a socket still in its middlewares has not."""
        return self._life is DISCONNECTED

    @property
    def rooms(self) -> set[Room]:
        """The rooms it is in; its own id is one of them."""
        return set(self.nsp.adapter.socket_rooms(self.id))

    @property
    def request(self) -> Request:
        """The handshake's HTTP request; its ``scope`` has what ``io.engine.use`` put there."""
        return self.handshake.request

    # --- listening ------------------------------------------------------------------------------

    def _place(self, event: str) -> tuple[HandlerTable, Payload]:
        check_listenable(event)
        return self._own_handlers(), Payload.NONE if event in LOCAL_EVENTS else Payload.ALL

    def use(self, middleware: M) -> M:
        """Ask ``middleware(args)`` about each event before its handlers; ``args[0]`` is the name.

        It may change the list, and refuses by raising: the event goes no further, ``error``
        listeners get the exception. Also a decorator.
        See https://socket.io/docs/v4/server-api/#socketusefn.
        """
        watch = self._own_watch()
        watch.middlewares = (*watch.middlewares, middleware)
        return middleware

    def _catch_alls_changed(self) -> None:
        overheard = bool(self.listeners_any_outgoing())
        gone = self._life is DISCONNECTED
        self.direct = not overheard and not gone
        self.nsp.overhear(self.id, overheard and not gone)

    # --- sending --------------------------------------------------------------------------------

    def emit(self, event: str, *args: Any) -> Drained:
        """Send an event to this client. It is queued at once, in order; awaiting the result waits for room.

        Raises:
            ReservedEventError: the name belongs to Socket.IO.
            TypeError: an argument cannot be sent.
        """
        if type(event) is not str or event in RESERVED_EVENTS:
            check_event(event)
        if self.direct:
            send = self.conn.send  # a name first: calling a slot's content at once is slow in Python 3.11
            nsp = self.nsp
            packet = (event,) + args  # noqa: RUF005 - compiled, the other way makes a list of it first
            send(nsp.parser.encode_event(nsp.prefix, None, packet))
        else:
            SocketOperator(self, _NO_FLAGS).emit(event, *args)
        if self._drained is None:
            self._drained = Drained(self.conn)
        return self._drained

    def send(self, *args: Any) -> Drained:
        """Emit a ``message`` event."""
        return self.emit("message", *args)

    def emit_with_ack(self, event: str, *args: Any, timeout: float | None = None) -> Coroutine[Any, Any, Any]:
        """Send an event and wait for the client's acknowledgement: its value, or a tuple of several.

        Raises:
            AckTimeout: it did not come within ``timeout`` seconds.
            SocketDisconnected: the client has disconnected.
        """
        # No ``async def``: a compiled one would make a coroutine of the compiler's own kind.
        return SocketOperator(self, _NO_FLAGS).emit_with_ack(event, *args, timeout=timeout)

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

    def transmit(self, args: tuple[Any, ...], ack_id: int | None, flags: Flags) -> None:
        """For the floor: send an event, its name and its arguments, and tell the outgoing catch-alls."""
        if not self.direct:
            self.hear_outgoing(args)
            if self.gone:
                return
        if not flags.volatile or self.conn.writable():
            nsp = self.nsp
            self.conn.send(nsp.parser.encode_event(nsp.prefix, ack_id, args, flags.compress))

    def drained(self) -> Coroutine[Any, Any, None]:
        """Wait until the client's queue is below its low-water mark."""
        return self.conn.transport.drained()

    # --- rooms ----------------------------------------------------------------------------------

    def join(self, rooms: Room | Iterable[Room]) -> Awaitable[None]:
        """Enter a room, or several, at once; awaiting waits until other nodes know, where they need to.

        A socket that has disconnected enters none.

        Raises:
            UsageError: a room is a str, and one of these is none.
        """
        if self._life is DISCONNECTED:
            return published(None)
        return published(self.nsp.adapter.join(self.id, room_names(rooms)))

    def leave(self, room: Room) -> Awaitable[None]:
        """Leave a room."""
        if not isinstance(room, str):
            raise UsageError(f"leave: expected a room's name, got {room!r}")
        return published(self.nsp.adapter.leave(self.id, room))

    # --- from the namespace ---------------------------------------------------------------------

    def on_connected(self) -> None:
        """The middlewares have let it in: the CONNECT packet goes out before anything a handler emits."""
        self._life = CONNECTED
        nsp = self.nsp
        nsp.adapter.join(self.id, (self.id,))
        if self.gone:  # a listener of the adapter's has disconnected it
            return
        welcome = None if is_v2(self.conn) else self._introduction()
        self.conn.send(nsp.parser.encode_control(0, nsp.prefix, welcome))
        self._connection.sockets[nsp.name] = self

    def _introduction(self) -> dict[str, Any]:
        """What the client is told when it is connected."""
        return {"sid": self.id}

    def on_refused(self) -> None:
        """A middleware has turned it away, or its connection has gone meanwhile."""
        self._life = DISCONNECTED
        self._catch_alls_changed()
        self.nsp.adapter.leave_all(self.id)
        self._let_go()

    # --- from the connection --------------------------------------------------------------------

    def on_packet(self, packet: Packet) -> None:
        """An EVENT, an ACK or a DISCONNECT has come."""
        kind = packet.type
        if kind == EVENT:
            self.on_event(list(packet.data), packet.id)  # of a parser of one's own it may be more than a list
        elif kind == ACK:
            if packet.id is not None and self._acks is not None:
                self._acks.resolve(packet.id, packet.data)
        elif kind == DISCONNECT:
            self._end("client namespace disconnect", None)

    def on_event(self, args: list[Any], ack_id: int | None) -> None:
        """An EVENT has come: the name and the arguments."""
        if self._watch is None:
            self._dispatch(args, ack_id, None)
        else:
            self._pass_watch(self._watch, args, ack_id)

    def _pass_watch(self, watch: Watch, args: list[Any], ack_id: int | None) -> None:
        """Catch-alls, then middlewares, then the handlers, as in the official server."""
        ack = make_ack(self, ack_id)

        def verdict(error: Exception | None) -> None:
            if error is not None:
                self._tell("error", error)
            elif self._life is CONNECTED:
                self._dispatch(args, ack_id, ack)

        if args:
            run_catch_alls(watch.incoming, args, ack, self._handler_failed)
        if watch.middlewares:
            run_middlewares(watch.middlewares, args, verdict)
        else:
            verdict(None)

    def _dispatch(self, args: list[Any], ack_id: int | None, ack: Ack | None) -> None:
        if not args or args[0] in LOCAL_EVENTS:
            return
        event = args.pop(0)
        handlers = self._handlers.take(event)
        shared = self.nsp.socket_handlers
        common = None if shared is None else shared.get(event)
        failed = self._handler_failed
        if not common:
            if ack is None and len(handlers) == 1:
                if ack_id is None:  # at once: by far the most
                    run_handler(handlers[0], event, args, None, None, failed)
                else:
                    run_only(self, handlers[0], event, args, ack_id, failed)
            elif handlers:
                run_handlers(handlers, event, args, ack or make_ack(self, ack_id), failed)
        elif ack is None and len(common) == 1 and not handlers:
            run_only(self, common[0], event, (self, *args), ack_id, failed)
        else:
            run_for(self, common, handlers, event, args, ack or make_ack(self, ack_id), failed)

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
        if self._life is not CONNECTED:
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
        if self._life is not CONNECTED:
            return
        self._life = LEAVING
        self._tell("disconnecting", reason, description)
        self._part(reason)
        self._life = DISCONNECTED
        self.direct = False
        if self._watch is not None:
            self._catch_alls_changed()
        self.nsp.adapter.leave_all(self.id)
        self.nsp.forget(self.id, self._connection)
        if self._acks is not None:
            self._acks.fail_all()
        self._tell("disconnect", reason, description)
        self._let_go()

    def _part(self, reason: str) -> None:
        """For :class:`~socketeer.server.reception.RecoverableSocket`: it is about to leave its rooms."""

    def _tell(self, event: str, *args: Any) -> None:
        handlers, shared = self._handlers.take(event), self.nsp.socket_handlers
        if shared is not None or handlers:
            common = () if shared is None else shared.get(event)
            run_for(self, common, handlers, event, args, None, self._handler_failed)
