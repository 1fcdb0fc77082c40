"""A namespace: its sockets, its rooms, its middlewares (https://socket.io/docs/v4/namespaces/)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Protocol, overload

from socketeer.engine.timers import TimerWheel
from socketeer.errors import ConnectionRefused, ReservedEventError
from socketeer.messaging.connection import Connection
from socketeer.messaging.dispatch import log_handler_error, run_handlers
from socketeer.messaging.handlers import Ack, F, Function, HandlerTable
from socketeer.protocol.ids import generate_id
from socketeer.protocol.packet import CONNECT_ERROR
from socketeer.protocol.parsers import PacketParser
from socketeer.server.adapter import Adapter, AdapterHost
from socketeer.server.handshake import Handshake
from socketeer.server.middleware import Middleware, run_middlewares
from socketeer.server.operators import Broadcasting, BroadcastOperator
from socketeer.server.published import published
from socketeer.server.socket import Socket
from socketeer.server.v2_clients import is_v2, refusal, socket_id

log = logging.getLogger("socketeer")


class NamespaceHost(Protocol):
    """What a namespace needs of its server."""

    @property
    def parser(self) -> PacketParser:
        """How packets are encoded."""
        ...

    @property
    def wheel(self) -> TimerWheel:
        """For time-outs."""
        ...

    @property
    def make_adapter(self) -> Callable[[AdapterHost], Adapter]:
        """Makes the adapter of a namespace."""
        ...

    def on_joined(self, connection: Connection) -> None:
        """A connection has joined a namespace."""
        ...


class Namespace(Broadcasting):
    """One namespace of a server.

    Attributes:
        name: as in ``io("http://host/name")`` on the client, with the slash.
        sockets: the connected sockets by id.
        adapter: who is in which room.
    """

    def __init__(self, name: str, host: NamespaceHost) -> None:
        self.name = name
        self.sockets: dict[str, Socket] = {}
        self.parser = host.parser
        self.prefix = host.parser.namespace_prefix(name)
        self._host = host
        self._handlers = HandlerTable()
        self._middlewares: tuple[Middleware, ...] = ()
        self._ack_ids = 0
        self._joining = 0
        """Sockets in the middlewares."""
        self.on_vacant: Callable[[], None] | None = None
        """Called when the last socket has gone and none is in the middlewares."""
        self.adapter: Adapter = self._make_adapter()

    def __repr__(self) -> str:
        return f"<Namespace {self.name[:100]!r} {len(self.sockets)} sockets>"

    # --- for users ------------------------------------------------------------------------------

    @overload
    def on(self, event: str) -> Callable[[F], F]: ...
    @overload
    def on(self, event: str, handler: F) -> F: ...
    def on(self, event: str, handler: F | None = None) -> F | Callable[[F], F]:
        """Call ``handler`` at ``connection(socket)``, ``connect(socket)`` or ``error(exception, socket, event)``.

        Also a decorator. ``error`` is told what the handlers of this namespace let out.
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
        if handler is None:
            return lambda function: self._listen(event, function, once)  # type: ignore[return-value]
        self._handlers.add(event, handler, once, typed=event not in _SERVER_EVENTS)
        return handler

    def off(self, event: str | None = None, handler: Function | None = None) -> None:
        """Forget a handler, all of an event, or all there are."""
        self._handlers.remove(event, handler)

    def use(self, middleware: Middleware) -> Middleware:
        """Ask ``middleware(socket)`` about each client before it connects; it refuses by raising.

        ``raise ConnectionRefused("not authorized", data={...})`` gives the client its ``connect_error``.
        Any other exception refuses too; what it says is logged and not sent. Also a decorator.
        """
        self._middlewares = (*self._middlewares, middleware)
        return middleware

    def _operator(self) -> BroadcastOperator:
        return BroadcastOperator(self)

    def _make_adapter(self) -> Adapter:
        return self._host.make_adapter(self)

    def server_side_emit(self, event: str, *args: Any) -> Awaitable[None]:
        """Emit an event to this namespace on every other node: to the servers there, not to clients.

        ``nsp.on(event)`` listens there. Awaiting waits until the other nodes have been told.
        https://socket.io/docs/v4/server-api/#namespaceserversideemiteventname-args

        Raises:
            ReservedEventError: the name belongs to the server itself.
        """
        _check_server_event(event)
        return published(self.adapter.server_side_emit((event, *args)))

    async def server_side_emit_with_ack(
        self, event: str, *args: Any, timeout: float | None = None
    ) -> list[Any]:
        """As :meth:`server_side_emit`, and wait for what every other node's listeners return.

        Raises:
            ReservedEventError: the name belongs to the server itself.
            AckTimeout: not all came within ``timeout`` seconds (None: the adapter's own patience);
                ``responses`` holds those that did.
        """
        _check_server_event(event)
        return await self.adapter.server_side_emit_with_ack((event, *args), timeout)

    def on_server_side_emit(
        self, args: Sequence[Any], ack: Callable[[tuple[Any, ...]], None] | None = None
    ) -> None:
        """Another node has emitted ``args[0]``; for the adapter."""
        event, *rest = args
        handlers = () if event in _SERVER_EVENTS else self._handlers.take(event)
        if handlers:
            run_handlers(handlers, event, rest, None if ack is None else Ack(ack), _listener_failed)

    # --- for the floor --------------------------------------------------------------------------

    @property
    def wheel(self) -> TimerWheel:
        """The server's timer wheel."""
        return self._host.wheel

    def next_ack_id(self) -> int:
        """One counter for all sockets, as in the official server."""
        self._ack_ids += 1
        return self._ack_ids - 1

    def inherit(self, parent: Namespace) -> None:
        """Take over the middlewares and listeners that ``parent`` has now."""
        self._handlers = parent._handlers.copy()
        self._middlewares = parent._middlewares

    def connect(self, connection: Connection, auth: dict[str, Any]) -> None:
        """A client asks to join: through the middlewares, then in."""
        session = connection.session
        name = socket_id(self.name, session) if is_v2(session) else generate_id()
        socket = Socket(name, self, connection, Handshake(session.request, auth))
        if not self._middlewares:
            self._welcome(connection, socket)
            return
        connection.joining[self.name] = socket
        self._joining += 1
        run_middlewares(self._middlewares, socket, partial(self._judge, connection, socket))

    def _judge(self, connection: Connection, socket: Socket, error: Exception | None) -> None:
        connection.joining.pop(self.name, None)
        self._joining -= 1
        if not connection.is_open():
            socket.on_refused()
            self.check_vacancy()
        elif error is None:
            self._welcome(connection, socket)
        else:
            socket.on_refused()
            reason = _refusal(error, self.name)
            data = refusal(reason) if is_v2(connection.session) else reason
            connection.session.send(self.parser.encode_control(CONNECT_ERROR, self.prefix, data))
            self.check_vacancy()

    def _welcome(self, connection: Connection, socket: Socket) -> None:
        self.sockets[socket.id] = socket
        socket.on_connected()
        self._host.on_joined(connection)
        for event in ("connect", "connection"):
            handlers = self._handlers.take(event)
            if handlers:
                run_handlers(handlers, event, (socket,), None, partial(self._handler_failed, socket))

    def announce(self, event: str, *args: Any) -> None:
        """Tell the listeners of this namespace, not its clients."""
        handlers = self._handlers.take(event)
        if handlers:
            run_handlers(handlers, event, args, None, _listener_failed)

    def forget(self, socket_id: str, connection: Connection) -> None:
        """A socket has disconnected."""
        self.sockets.pop(socket_id, None)
        connection.left(self.name)
        self.check_vacancy()

    def check_vacancy(self) -> None:
        """Somebody has gone, or did not come in after all."""
        if self.on_vacant is not None and not self.sockets and not self._joining:
            self.on_vacant()

    def _handler_failed(self, socket: Socket, error: Exception, event: Any) -> None:
        log_handler_error(error, event, repr(socket))
        self.report(error, socket, event)

    def report(self, error: Exception, socket: Any, event: Any) -> None:
        """Tell the ``error`` listeners what a handler has let out."""
        self.announce("error", error, socket, event)

    def shut_down(self) -> None:
        """The server ends: every socket hears ``server shutting down``; nothing is sent."""
        for socket in list(self.sockets.values()):
            socket.on_connection_closed("server shutting down", None)


#: Events that a server tells itself; no other node may.
_SERVER_EVENTS = frozenset({"connect", "connection", "new_namespace", "error"})


def _check_server_event(event: str) -> None:
    if event in _SERVER_EVENTS:
        raise ReservedEventError(f'"{event}" is a reserved event name')


def _refusal(error: Exception, name: str) -> dict[str, Any]:
    if isinstance(error, ConnectionRefused):
        refusal: dict[str, Any] = {"message": error.message}
        if error.data is not None:
            refusal["data"] = error.data
        return refusal
    log.error("a middleware of namespace %.100r failed; the client is refused", name, exc_info=error)
    return {"message": "the server refused the connection"}


def _listener_failed(error: Exception, event: Any) -> None:
    log.error("a listener of %.100r failed", event, exc_info=error)
