"""A namespace: its sockets, its rooms, its middlewares (https://socket.io/docs/v4/namespaces/)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, NoReturn, cast, final

from socketeer.engine.timers import TimerWheel
from socketeer.errors import ConnectionRefused, ReservedEventError, UsageError
from socketeer.messaging.connection import Connection
from socketeer.messaging.dispatch import log_handler_error, run_handlers
from socketeer.messaging.eager import start
from socketeer.messaging.handlers import Ack, HandlerTable, Payload
from socketeer.messaging.listening import M
from socketeer.options import Recovery
from socketeer.protocol.ids import generate_id
from socketeer.protocol.packet import CONNECT_ERROR
from socketeer.protocol.parsers import PacketParser
from socketeer.server.adapter import Adapter
from socketeer.server.events import (
    LOCAL_EVENTS,
    WELCOME_EVENTS,
    SharedListening,
    check_listenable,
    handler_methods,
)
from socketeer.server.handshake import Handshake
from socketeer.server.middleware import Middleware, run_middlewares
from socketeer.server.operators import Broadcasting, BroadcastOperator
from socketeer.server.ports import NamespaceHost
from socketeer.server.published import published
from socketeer.server.reception import QueueingSocket, Reception
from socketeer.server.socket import Socket
from socketeer.server.v2_clients import is_v2, refusal, socket_id

log = logging.getLogger("socketeer")


class _Nobody:
    """Stands for the server of a namespace that has none yet, and for its adapter and parser."""

    def __init__(self, nsp: Namespace) -> None:
        self._nsp = nsp

    def error(self) -> UsageError:
        """What to do about it."""
        return UsageError(f"{self._nsp!r} belongs to no server: io.of(namespace) attaches it")

    def __getattr__(self, name: str) -> NoReturn:
        raise self.error()


class Namespace(Broadcasting, SharedListening):
    """One namespace of a server, from ``io.of(name)``; or a class of your own with its handlers as methods.

    Its events are ``connection(socket)``, ``connect(socket)``, what other nodes send by
    ``server_side_emit``, and ``error(exception, socket, event)`` with what its handlers let out; the main
    namespace also tells ``new_namespace(namespace)``. For the events of its sockets there is :meth:`event`.

    ::

        class Chat(Namespace):
            def on_connection(self, socket): ...

            def on_disconnect(self, socket, reason): ...

            async def on_typing(self, socket, who: str): ...

            @event("chat message")  # a name that is no identifier
            async def say(self, socket, text: str): ...

        chat = io.of(Chat("/chat"))

    Attributes:
        name: as in ``io("http://host/name")`` on the client, with the slash.
        sockets: the connected sockets by id.
        adapter: who is in which room.

    Raises:
        UsageError: when such a class is defined: a handler is misspelt, or stands where the server needs
            a method of its own. Also when a namespace is used that no server has yet.
    """

    name = ""
    __handlers__: tuple[tuple[str, str], ...] = ()
    """The handlers of the class: each event and the method's name."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.__handlers__ = handler_methods(cls, Namespace)

    def __init__(self, name: str) -> None:
        """Make a namespace that no server has yet; ``io.of(namespace)`` gives it one."""
        self.name = name if name.startswith("/") else f"/{name}"
        self.sockets: dict[str, Socket] = {}
        self.socket_handlers: HandlerTable | None = None
        self.overheard: set[str] = set()
        self._handlers = HandlerTable()
        self._middlewares: tuple[Middleware, ...] = ()
        self._ack_ids = 0
        self._joining = 0
        """Sockets in the middlewares, and those whose session is looked for."""
        self.when_vacant: Callable[[], None] | None = None
        """Called when the last socket has gone and none is in the middlewares."""
        self._detach()
        for event, method in self.__handlers__:
            self.event(event, getattr(self, method))

    def _detach(self) -> None:
        nobody: Any = _Nobody(self)
        self._host = cast(NamespaceHost, nobody)
        self.parser = cast(PacketParser, nobody)
        self.prefix: bytes = nobody
        self.adapter = cast(Adapter, nobody)
        self._reception: Reception | None = None

    @final
    def attach(self, host: NamespaceHost, predecessor: Namespace | None = None) -> None:
        """For the server: this is its namespace from now on, in the place of one that nobody has used yet.

        Raises:
            UsageError: it is a server's already, or the other one has been used.
        """
        if not self.name:
            raise UsageError(f"{type(self).__name__}.__init__: expected it to call super().__init__(name)")
        if not isinstance(self._host, _Nobody):
            raise UsageError(f"{self!r} belongs to a server already; each has its own")
        if predecessor is not None:
            predecessor.give_way(self)
        self._host = host
        self.parser = host.parser
        self.prefix = host.parser.namespace_prefix(self.name)
        self.adapter = self._make_adapter()
        if host.started:
            self.adapter.start()
        if host.recovery is not None:
            self._reception = Reception(self, host.recovery, self._admit, self._welcome, self._expect)

    @final
    def give_way(self, successor: Namespace) -> None:
        """For the server: ``successor`` takes this one's place.

        Raises:
            UsageError: this one has been used.
        """
        if self.sockets or self._middlewares or self.event_names():
            raise UsageError(
                f"{successor!r}: there is a namespace {self.name!r} with listeners, middlewares or clients "
                f"already; attach the class before anything is registered under that name"
            )
        adapter = self.adapter
        self._detach()
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # where no loop runs, an adapter has begun nothing that had to end
            return
        start(adapter.close())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name[:100]!r} {len(self.sockets)} sockets>"

    # --- for users ------------------------------------------------------------------------------

    @property
    @final
    def server(self) -> Any:
        """The :class:`~socketeer.Server` that it belongs to.

        Raises:
            UsageError: no server has it yet.
        """
        host = self._host
        if isinstance(host, _Nobody):
            raise host.error()
        return host

    def _tables(self) -> tuple[HandlerTable, ...]:
        shared = self.socket_handlers
        return (self._handlers,) if shared is None else (self._handlers, shared)

    def _place(self, event: str) -> tuple[HandlerTable, Payload]:
        return self._handlers, Payload.NONE if event in SERVER_EVENTS else Payload.ALL

    def _shared_place(self, event: str) -> tuple[HandlerTable, Payload]:
        if event in WELCOME_EVENTS:
            return self._place(event)
        check_listenable(event)
        if self.socket_handlers is None:
            self.socket_handlers = HandlerTable()
        return self.socket_handlers, Payload.NONE if event in LOCAL_EVENTS else Payload.REST

    def use(self, middleware: M) -> M:
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

    @final
    def on_server_side_emit(
        self, args: Sequence[Any], ack: Callable[[tuple[Any, ...]], None] | None = None
    ) -> None:
        """Another node has emitted ``args[0]``; for the adapter."""
        event, *rest = args
        handlers = () if event in SERVER_EVENTS else self._handlers.take(event)
        if handlers:
            run_handlers(handlers, event, rest, None if ack is None else Ack(ack), _listener_failed)

    # --- for the floor --------------------------------------------------------------------------

    @property
    @final
    def wheel(self) -> TimerWheel:
        """The server's timer wheel."""
        return self._host.wheel

    @property
    @final
    def recovery(self) -> Recovery | None:
        """The server's option."""
        return self._host.recovery

    @final
    def next_ack_id(self) -> int:
        """One counter for all sockets, as in the official server."""
        self._ack_ids += 1
        return self._ack_ids - 1

    @final
    def inherit(self, parent: Namespace) -> None:
        """Take over the middlewares and listeners that ``parent`` has now."""
        self._handlers = parent._handlers.copy()
        if parent.socket_handlers is not None:
            self.socket_handlers = parent.socket_handlers.copy()
        self._middlewares = parent._middlewares

    @final
    def connect(self, connection: Connection, auth: dict[str, Any]) -> None:
        """A client asks to join: through the middlewares, then in."""
        session = connection.session
        handshake = Handshake(session.request, auth)
        if is_v2(session):
            kind = Socket if self._reception is None else QueueingSocket
            self._admit(connection, kind(socket_id(self.name, session), self, connection, handshake))
        elif self._reception is not None:
            self._reception.receive(connection, handshake)
        else:
            self._admit(connection, Socket(generate_id(), self, connection, handshake))

    def _admit(self, connection: Connection, socket: Socket) -> None:
        if not self._middlewares:
            self._welcome(connection, socket)
            return
        connection.begin_joining(self.name)
        self._joining += 1
        run_middlewares(self._middlewares, socket, partial(self._judge, connection, socket))

    def _judge(self, connection: Connection, socket: Socket, error: Exception | None) -> None:
        connection.end_joining(self.name)
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
        if socket.gone:
            return
        self._host.on_joined(connection)
        for event in WELCOME_EVENTS:
            handlers = self._handlers.take(event)
            if handlers:
                run_handlers(handlers, event, (socket,), None, partial(self._handler_failed, socket))

    @final
    def announce(self, event: str, *args: Any) -> None:
        """Tell the listeners of this namespace, not its clients."""
        handlers = self._handlers.take(event)
        if handlers:
            run_handlers(handlers, event, args, None, _listener_failed)

    @final
    def forget(self, socket_id: str, connection: Connection) -> None:
        """A socket has disconnected."""
        self.sockets.pop(socket_id, None)
        connection.left(self.name)
        if self.when_vacant is not None:
            self.check_vacancy()

    def _expect(self, more: int) -> None:
        """So many more clients (less, below 0) are looked for before they come in: the namespace is not vacant."""
        self._joining += more
        self.check_vacancy()

    @final
    def check_vacancy(self) -> None:
        """Somebody has gone, or did not come in after all."""
        if self.when_vacant is not None and not self.sockets and not self._joining:
            self.when_vacant()

    @final
    def overhear(self, socket_id: str, overheard: bool) -> None:
        """Whether a socket's outgoing catch-alls want to hear of broadcasts."""
        if overheard:
            self.overheard.add(socket_id)
        else:
            self.overheard.discard(socket_id)

    def _handler_failed(self, socket: Socket, error: Exception, event: Any) -> None:
        log_handler_error(error, event, repr(socket))
        self.report(error, socket, event)

    @final
    def report(self, error: Exception, socket: Any, event: Any) -> None:
        """Tell the ``error`` listeners what a handler has let out."""
        self.announce("error", error, socket, event)

    @final
    def shut_down(self) -> None:
        """The server ends: every socket hears ``server shutting down``; nothing is sent."""
        for socket in list(self.sockets.values()):
            socket.on_connection_closed("server shutting down", None)


#: Events that a server tells itself; no other node may.
SERVER_EVENTS = frozenset({"connect", "connection", "new_namespace", "error"})


def _check_server_event(event: str) -> None:
    if event in SERVER_EVENTS:
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
