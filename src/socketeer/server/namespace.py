"""A namespace: its sockets, its rooms, its middlewares (https://socket.io/docs/v4/namespaces/)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, overload

from socketeer.engine.session import State
from socketeer.engine.timers import TimerWheel
from socketeer.errors import ConnectionRefused
from socketeer.messaging.connection import Connection
from socketeer.messaging.dispatch import log_handler_error, run_handlers
from socketeer.messaging.handlers import F, Function, HandlerTable
from socketeer.protocol.ids import generate_id
from socketeer.protocol.packet import CONNECT_ERROR
from socketeer.protocol.parser import Parser, namespace_prefix
from socketeer.server.adapter import MemoryAdapter
from socketeer.server.handshake import Handshake
from socketeer.server.middleware import Middleware, run_middlewares
from socketeer.server.operators import Broadcasting, BroadcastOperator
from socketeer.server.socket import Socket

log = logging.getLogger("socketeer")


class NamespaceHost(Protocol):
    """What a namespace needs of its server."""

    @property
    def parser(self) -> Parser:
        """How packets are encoded."""
        ...

    @property
    def wheel(self) -> TimerWheel:
        """For time-outs."""
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
        self.prefix = namespace_prefix(name)
        self.sockets: dict[str, Socket] = {}
        self.adapter = MemoryAdapter(self.sockets)
        self.parser = host.parser
        self._host = host
        self._handlers = HandlerTable()
        self._middlewares: tuple[Middleware, ...] = ()
        self._ack_ids = 0

    def __repr__(self) -> str:
        return f"<Namespace {self.name!r} {len(self.sockets)} sockets>"

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
        self._handlers.add(event, handler, once, typed=False)
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

    # --- for the floor --------------------------------------------------------------------------

    @property
    def wheel(self) -> TimerWheel:
        """The server's timer wheel."""
        return self._host.wheel

    def next_ack_id(self) -> int:
        """One counter for all sockets, as in the official server."""
        self._ack_ids += 1
        return self._ack_ids - 1

    def connect(self, connection: Connection, auth: dict[str, Any]) -> None:
        """A client asks to join: through the middlewares, then in."""
        socket = Socket(generate_id(), self, connection, Handshake(connection.session.request, auth))
        if not self._middlewares:
            self._welcome(connection, socket)
            return
        connection.joining[self.name] = socket
        run_middlewares(self._middlewares, socket, partial(self._judge, connection, socket))

    def _judge(self, connection: Connection, socket: Socket, error: Exception | None) -> None:
        connection.joining.pop(self.name, None)
        if connection.closed or connection.session.state is not State.OPEN:
            socket.on_refused()
        elif error is None:
            self._welcome(connection, socket)
        else:
            socket.on_refused()
            connection.session.send(
                self.parser.encode_control(CONNECT_ERROR, self.prefix, _refusal(error, self.name))
            )

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
