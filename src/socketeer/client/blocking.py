"""``BlockingClient``: the same client for ordinary threads, over one loop that runs in the background.

A facade: everything is done by the asynchronous client, in a thread that all blocking clients of the
process share. Handlers run in a thread of their client's own, one at a time and in order, so they
may block, and may call the client.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, overload

from socketeer.client.client import Client
from socketeer.client.crossing import Bridge, CrossingAck, Threaded, ThreadedCatchAlls, ThreadedListening
from socketeer.client.events import Event, EventStream, Overflow
from socketeer.client.manager import Manager
from socketeer.client.operator import Sending, SocketOperator
from socketeer.client.socket import ClientSocket
from socketeer.client_options import Auth
from socketeer.engine.client_session import ClientSession
from socketeer.engine.session import Transport
from socketeer.messaging.handlers import F

P = ParamSpec("P")


class BlockingSending:
    """The verbs of emitting, for a socket and for each operator."""

    _bridge: Bridge
    _socket: ClientSocket
    _waits = True
    """Whether a server that does not read is waited for."""

    def _sender(self) -> Sending:
        """Who emits."""
        raise NotImplementedError

    @property
    def volatile(self) -> BlockingOperator:
        """Drop the next event where it cannot leave at once."""
        return BlockingOperator(self._bridge, self._socket, self._sender().volatile, waits=False)

    def compress(self, compress: bool) -> BlockingOperator:
        """Whether the next event may be compressed."""
        return BlockingOperator(
            self._bridge, self._socket, self._sender().compress(compress), waits=self._waits
        )

    def timeout(self, timeout: float) -> BlockingOperator:
        """Wait at most this many seconds for the acknowledgement of the next event."""
        return BlockingOperator(
            self._bridge, self._socket, self._sender().timeout(timeout), waits=self._waits
        )

    def emit(self, event: str, *args: Any) -> None:
        """Send an event; without a connection it is kept, and sent once there is one.

        It has left when this returns, or stands in a queue below its high-water mark: a server that
        does not read is waited for, except with ``volatile``.

        Raises:
            ReservedEventError: the name belongs to Socket.IO.
            TypeError: an argument cannot be sent.
        """
        self._bridge.run(self._emit, event, args)

    async def _emit(self, event: str, args: tuple[Any, ...]) -> None:
        sent = self._sender().emit(event, *args)
        if self._waits and self._socket.connected:
            await sent

    def send(self, *args: Any) -> None:
        """Emit a ``message`` event."""
        self.emit("message", *args)

    def emit_with_ack(self, event: str, *args: Any, timeout: float | None = None) -> Any:
        """Send an event and wait for the server's acknowledgement: its value, or a tuple of several.

        Raises:
            AckTimeout: it did not come within ``timeout`` seconds (the option ``ack_timeout`` where None).
            SocketDisconnected: the connection broke while it was waited for.
        """
        return self._bridge.run(self._sender().emit_with_ack, event, *args, timeout=timeout)


class BlockingOperator(BlockingSending):
    """One event with flags, for ordinary threads. Every step gives a new operator."""

    def __init__(
        self, bridge: Bridge, socket: ClientSocket, operator: SocketOperator, *, waits: bool
    ) -> None:
        self._bridge = bridge
        self._socket = socket
        self._operator = operator
        self._waits = waits

    def _sender(self) -> Sending:
        return self._operator


class BlockingEngine:
    """The Engine.IO session of a connection, for ordinary threads; ``client.io.engine``."""

    def __init__(self, bridge: Bridge, session: ClientSession) -> None:
        self._bridge = bridge
        self._session = session

    @property
    def id(self) -> str:
        """The session's id; that of a socket is another one."""
        return self._session.id

    @property
    def transport(self) -> Transport:
        """To look at its ``name``: ``polling`` or ``websocket``."""
        return self._session.transport

    @overload
    def on(self, event: str) -> Callable[[F], F]: ...
    @overload
    def on(self, event: str, listener: F) -> F: ...
    def on(self, event: str, listener: F | None = None) -> F | Callable[[F], F]:
        """Call ``listener`` at each ``event`` of the session, in the client's thread; also a decorator."""
        if listener is None:
            return lambda function: self.on(event, function)
        self._bridge.run(self._session.on, event, Threaded(listener, self._bridge).tell)
        return listener

    def close(self, discard: bool = False) -> None:
        """Close the connection; it is made again if the client reconnects."""
        self._bridge.run(self._session.close, discard)


class BlockingManager(ThreadedListening):
    """The connection below a client's namespaces, for ordinary threads; ``client.io``.

    Its events are those of :class:`~socketeer.client.manager.Manager`: ``reconnect`` and the like.
    """

    def __init__(self, bridge: Bridge, manager: Manager) -> None:
        self._bridge = bridge
        self._manager = manager

    def __repr__(self) -> str:
        return f"<Blocking{repr(self._manager)[1:]}"

    def _listened(self) -> Manager:
        return self._manager

    @property
    def engine(self) -> BlockingEngine | None:
        """The Engine.IO session, with ``transport.name`` and ``close()``; None while there is none."""
        session = self._manager.engine
        return None if session is None else BlockingEngine(self._bridge, session)

    @property
    def reconnecting(self) -> bool:
        """Whether a broken connection is being made again."""
        return self._manager.reconnecting


class BlockingEvents:
    """The events of a socket: ``for`` ends when it is disconnected for good."""

    def __init__(self, bridge: Bridge, stream: EventStream) -> None:
        self._bridge = bridge
        self._stream = stream

    @property
    def dropped(self) -> int:
        """How many events were given up, because the queue was full."""
        return self._stream.dropped

    def close(self) -> None:
        """Take no more; what is queued is given up."""
        self._bridge.run(self._stream.aclose)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        event: Event | None = self._bridge.run(self._next)
        if event is None:
            raise StopIteration
        return Event(event.name, event.args, CrossingAck(event.ack, self._bridge))

    async def _next(self) -> Event | None:
        return await anext(self._stream, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class BlockingSocket(ThreadedCatchAlls, BlockingSending):
    """One namespace of a :class:`BlockingClient`: what :class:`ClientSocket` has, for ordinary threads.

    Handlers are plain functions. What they return is the acknowledgement; a parameter annotated
    :class:`Ack` gives it by hand, from any thread; annotations check the payload.
    """

    def __init__(self, bridge: Bridge, socket: ClientSocket, client: Client, io: BlockingManager) -> None:
        self._bridge = bridge
        self._socket = socket
        self._client = client
        self.io = io

    def __repr__(self) -> str:
        return f"<Blocking{repr(self._socket)[1:]}"

    def _listened(self) -> ClientSocket:
        return self._socket

    def _sender(self) -> Sending:
        return self._socket

    # --- state ----------------------------------------------------------------------------------

    @property
    def id(self) -> str | None:
        """20 characters, the same as ``socket.id`` on the server; None while it is not connected."""
        return self._socket.id

    @property
    def nsp(self) -> str:
        """The namespace's name."""
        return self._socket.nsp

    @property
    def connected(self) -> bool:
        """Whether the namespace is joined."""
        return self._socket.connected

    @property
    def disconnected(self) -> bool:
        """The opposite of :attr:`connected`."""
        return self._socket.disconnected

    @property
    def active(self) -> bool:
        """Whether it is connected, or will be as soon as there is a connection."""
        return self._socket.active

    @property
    def recovered(self) -> bool:
        """Whether the last connection went on where the one before had broken off."""
        return self._socket.recovered

    @property
    def auth(self) -> Auth | None:
        """What the server gets as ``handshake.auth``; a function is called in a thread of its own."""
        given: Auth | None = getattr(self._socket.auth, "__wrapped__", self._socket.auth)
        return given

    @auth.setter
    def auth(self, auth: Auth | None) -> None:
        self._socket.auth = _auth_in_thread(auth)

    # --- connecting -----------------------------------------------------------------------------

    def connect(self, *, timeout: float | None = None) -> Self:
        """Join the namespace, and wait until that is done, also over failed attempts where there are others.

        Args:
            timeout: seconds to wait; None for as long as it takes. ``disconnect`` ends the attempts.

        Raises:
            ConnectionRefused: the server refused; ``message`` and ``data`` are what it said.
            TransportError: there is no connection to be had, and no further attempt will be made.
            SocketDisconnected: ``disconnect`` was called meanwhile.
            TimeoutError: it was not done within ``timeout`` seconds; it is still being tried.
        """
        self._bridge.settle(self._client)
        self._bridge.run(self._connect, timeout)
        return self

    async def _connect(self, timeout: float | None) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._socket.connect()
        except TimeoutError:
            raise TimeoutError(f"{self!r}: not connected within {timeout} s") from None

    def disconnect(self) -> Self:
        """As :meth:`ClientSocket.disconnect`, and wait until the server has been told: two seconds at most."""
        self._bridge.run(self._socket.disconnect)
        self._bridge.run(self._socket.io.parted)
        return self

    def wait(self, *, timeout: float | None = None) -> str:
        """Wait until it is over: disconnected, and not to be connected again. Gives the reason.

        Raises:
            TimeoutError: it was not over within ``timeout`` seconds.
        """
        return str(self._bridge.run(self._wait, timeout))

    async def _wait(self, timeout: float | None) -> str:
        try:
            async with asyncio.timeout(timeout):
                return await self._socket.wait()
        except TimeoutError:
            raise TimeoutError(f"{self!r}: not over within {timeout} s") from None

    def events(
        self, *names: str, max_queued: int = 1000, overflow: Overflow = Overflow.DROP_OLDEST
    ) -> BlockingEvents:
        """The events from now on, one after the other, until the socket is disconnected for good.

        ``for event in client.events(): print(event.name, event.args)``; see :meth:`ClientSocket.events`.
        A thread that takes them so needs no handlers.
        """
        stream = self._bridge.run(self._socket.events, *names, max_queued=max_queued, overflow=overflow)
        return BlockingEvents(self._bridge, stream)


def _same_options(
    _: Callable[Concatenate[Any, P], None],
) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, P], None]]:
    """Whoever takes the very options of another, takes them in the eyes of type checkers and of ``help``, too."""

    def typed(function: Callable[..., None]) -> Callable[Concatenate[Any, P], None]:
        function.__signature__ = inspect.signature(_)  # type: ignore[attr-defined]
        return function

    return typed


class BlockingClient(BlockingSocket):
    """:class:`Client` for ordinary threads: the same options, and methods that return when they are done.

    ::

        with BlockingClient("http://localhost:3004") as client:
            print(client.emit_with_ack("chat message", "hello", timeout=5))

    Any number of threads may use it. Handlers run in a thread of the client's own, one at a time and in
    order; they may block, and may call the client. A program that ends while it is connected says
    goodbye. After a fork, a client that was connected belongs to the parent.
    """

    @_same_options(Client.__init__)
    def __init__(self, *args: Any, **options: Any) -> None:
        """Make a client; nothing is connected yet. The options are those of :class:`Client`.

        Raises:
            TypeError: there is no option of that name.
            OptionError: an option is out of its range.
        """
        if "auth" in options:
            options["auth"] = _auth_in_thread(options["auth"])
        client = Client(*args, **options)
        bridge = Bridge()
        super().__init__(bridge, client, client, BlockingManager(bridge, client.io))
        self._spaces: dict[str, BlockingSocket] = {client.nsp: self}

    def of(self, namespace: str, *, auth: Auth | None = None) -> BlockingSocket:
        """The socket of another namespace over the same connection; asked again, the same one."""
        socket = self._bridge.run(self._client.of, namespace, auth=_auth_in_thread(auth))
        if socket.nsp not in self._spaces:
            self._spaces.setdefault(socket.nsp, BlockingSocket(self._bridge, socket, self._client, self.io))
        return self._spaces[socket.nsp]

    def close(self) -> None:
        """Leave all namespaces and end the connection; handlers that are queued have a moment to run."""
        self._bridge.close(self._client)

    def __enter__(self) -> Self:
        try:
            return self.connect()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _auth_in_thread(auth: Any) -> Any:
    """A plain function may block, so it is called in a thread of its own."""
    if not callable(auth) or inspect.iscoroutinefunction(auth):
        return auth

    async def in_thread() -> Any:
        return await asyncio.to_thread(auth)

    in_thread.__wrapped__ = auth  # type: ignore[attr-defined]
    return in_thread
