"""One connection, shared by the namespaces of a client, that is made again when it breaks.

https://socket.io/docs/v4/client-api/#manager
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from enum import Enum
from typing import Any, Final, Protocol

from socketeer.client.joining import Waiters
from socketeer.client.reconnect import Backoff
from socketeer.client_options import ConnectOptions, ReconnectOptions
from socketeer.engine.client import EngineClient
from socketeer.engine.client_session import ClientSession
from socketeer.engine.parting import say_goodbye
from socketeer.engine.session import Session
from socketeer.engine.timers import TimerWheel, loop_wheel
from socketeer.errors import PacketError, TransportError, UsageError
from socketeer.messaging.connection import Connection, NamespaceSocket
from socketeer.messaging.dispatch import run_handlers
from socketeer.messaging.handlers import HandlerTable, Payload
from socketeer.messaging.listening import Listening
from socketeer.protocol.frame import Message
from socketeer.protocol.packet import Packet
from socketeer.protocol.parsers import PacketParser

log = logging.getLogger("socketeer")

#: Seconds that a connection which is being closed may take to send what is queued.
LAST_WORDS = 3.0


class Phase(Enum):
    """Where a manager is."""

    CLOSED = "closed"
    OPENING = "opening"
    """An attempt to connect runs, or is about to."""
    WAITING = "waiting"
    """For the next attempt."""
    OPEN = "open"


class Member(NamespaceSocket, Protocol):
    """One namespace's socket, as its manager sees it."""

    def on_open(self, connection: Connection) -> None:
        """The connection stands: join."""
        ...

    def on_unreachable(self, error: TransportError, final: bool) -> None:
        """An attempt to connect has failed; ``final`` says that there will be no other."""
        ...


#: What a manager tells of.
EVENTS: Final = frozenset(
    {
        "open",
        "ping",
        "error",
        "close",
        "reconnect",
        "reconnect_attempt",
        "reconnect_error",
        "reconnect_failed",
    }
)


class Manager(Listening):
    """The connection below a client's namespaces; ``client.io``.

    Its events, in their order: ``open()``, ``ping()``, ``error(exception)``,
    ``close(reason, description)``; and for each attempt to connect again ``reconnect_attempt(attempt)``,
    then ``open()`` and ``reconnect(attempt)``, or ``error(exception)`` and
    ``reconnect_error(exception)``, with ``reconnect_failed()`` before the last one.

    Attributes:
        engine: the Engine.IO session, with ``transport.name`` and ``close()``; None while there is none.
        next_attempt: the loop's time at which it will try again to connect; None while it does not wait for that.
    """

    def __init__(
        self, url: str, connect: ConnectOptions, reconnect: ReconnectOptions, parser: PacketParser
    ) -> None:
        self.url = url
        self.options = connect
        self.reconnect_options = reconnect
        self.parser = parser
        self.engine: ClientSession | None = None
        self.connection: Connection | None = None
        self.phase = Phase.CLOSED
        self.next_attempt: float | None = None
        self._members: dict[str, Member] = {}
        self._handlers = HandlerTable()
        self._backoff = Backoff(reconnect)
        self._wheel: TimerWheel | None = None
        self._engines: EngineClient | None = None
        self._upgraded_before = False
        """What an earlier ``_engines`` knew, for ``remember_upgrade``."""
        self._attempts: asyncio.Task[None] | None = None
        """The task that connects; whoever sees another one here has been told to stop."""
        self._tasks: set[asyncio.Task[None]] = set()
        """All that has not ended yet."""
        self._sessions: set[Session] = set()
        """Those that have not ended: the one in use, and any that still says its last words."""
        self._silence: Waiters[None] = Waiters()
        """Those who wait for the last session's end."""

    def __repr__(self) -> str:
        return f"<Manager {self.url} {self.phase.value}>"

    def _tables(self) -> tuple[HandlerTable, ...]:
        return (self._handlers,)

    def _place(self, event: str) -> tuple[HandlerTable, Payload]:
        if event not in EVENTS:
            raise UsageError(f"client.io.on: expected one of {', '.join(sorted(EVENTS))}, got {event!r:.100}")
        return self._handlers, Payload.NONE

    def _emit(self, event: str, *args: Any) -> None:
        handlers = self._handlers.take(event)
        if handlers:
            run_handlers(handlers, event, args, None, _listener_failed)

    @property
    def wheel(self) -> TimerWheel:
        """The timer wheel of the loop that the client runs on."""
        if self._wheel is None:
            self._wheel = loop_wheel()
        return self._wheel

    @property
    def reconnects(self) -> bool:
        """Whether a connection that breaks is made again."""
        return self.reconnect_options.reconnection and self.reconnect_options.reconnection_attempts > 0

    @property
    def reconnecting(self) -> bool:
        """Whether a broken connection is being made again."""
        return self.phase is Phase.WAITING or (self.phase is Phase.OPENING and self._backoff.attempts > 0)

    # --- for the namespaces ---------------------------------------------------------------------

    def attach(self, nsp: str, member: Member) -> None:
        """A namespace wants to be joined, now and after each reconnection.

        Raises:
            UsageError: no event loop runs here.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise UsageError(
                "connect() needs a running event loop: call it in an async function, or use BlockingClient"
            ) from None
        self._members[nsp] = member
        if self.phase is Phase.CLOSED:
            self._connect(again=False)
        elif self.connection is not None and self.phase is Phase.OPEN and self.connection.is_open():
            member.on_open(self.connection)

    def detach(self, nsp: str, member: Member) -> None:
        """A namespace wants nothing more; the connection of the last one is closed."""
        if self._members.get(nsp) is member:
            del self._members[nsp]
            if not self._members:
                self._close()

    def say_goodbye(self, message: Message, *, unread: bool) -> None:
        """Send a namespace's DISCONNECT; with ``unread`` once the server has read what was sent before."""
        engine = self.engine
        if engine is not None:
            if unread:
                say_goodbye(engine, message)
            else:
                engine.send(message)

    async def parted(self) -> None:
        """Wait until the goodbyes have left, and with the last one nothing is left of the connection."""
        parting = None if self.engine is None else self.engine.parting
        if parting is not None:
            await parting.wait()
        elif self.engine is None:
            await self.closed()

    def _close(self) -> None:
        """End the connection, or whatever is done to get one; what is queued leaves first."""
        attempts, self._attempts = self._attempts, None
        if attempts is not None and attempts is not asyncio.current_task():
            attempts.cancel()
        self._backoff.reset()
        engines, self._engines = self._engines, None
        if engines is not None:
            self._upgraded_before = engines.upgraded_before
            self._start(self._let_go(engines, set(self._sessions)))
        connection = self.connection
        if connection is None:
            self.phase = Phase.CLOSED
        else:
            connection.session.close()
            connection.on_close("forced close", None)

    async def _let_go(self, engines: EngineClient, sessions: set[Session]) -> None:
        """Let these sessions say their last words, then end what was kept for further ones."""
        try:
            async with asyncio.timeout(LAST_WORDS):
                while not sessions.isdisjoint(self._sessions):
                    await self._silence.wait()
        except TimeoutError:
            for session in sessions:
                session.fail("forced close")
        finally:
            await engines.close()

    async def closed(self) -> None:
        """Wait until nothing is left of a connection that has been closed."""
        here = asyncio.current_task()
        while others := [each for each in self._tasks if each is not here and each is not self._attempts]:
            await asyncio.wait(others)
        if self.phase is Phase.CLOSED:
            self._wheel = None  # the next connection may be made in another loop

    # --- connecting -----------------------------------------------------------------------------

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name="socketeer client")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _connect(self, *, again: bool) -> None:
        self.phase = Phase.WAITING if again else Phase.OPENING
        self._attempts = self._start(self._try(again))

    def _called_off(self) -> bool:
        return self._attempts is not asyncio.current_task()

    async def _try(self, again: bool) -> None:
        """Attempts, until one succeeds, or none is left; ``again`` says that the first one waits, too."""
        options, backoff, attempt = self.reconnect_options, self._backoff, 0
        while True:
            if again:
                wait = backoff.duration()
                self.next_attempt = asyncio.get_running_loop().time() + wait
                try:
                    await asyncio.sleep(wait)
                finally:
                    self.next_attempt = None
                attempt = backoff.attempts
                self._emit("reconnect_attempt", attempt)
                if self._called_off():
                    return
            self.phase = Phase.OPENING
            error = await self._attempt()
            if error is None:
                self._opened(attempt)
                return
            again = self.reconnects and attempt < options.reconnection_attempts
            self._failed(error, attempt, final=not again)
            if not again or self._called_off():
                return

    async def _attempt(self) -> TransportError | None:
        """Try once to connect; why it failed, if it did."""
        timeout = self.reconnect_options.timeout
        try:
            if self._engines is None:
                self._engines = EngineClient(self.url, self.options, self.wheel)
                self._engines.upgraded_before = self._upgraded_before
            async with asyncio.timeout(timeout):
                self.engine = await self._engines.open(self._make_connection, self._session_over)
        except TimeoutError as error:
            return TransportError(f"timeout: no connection within {timeout} s", error)
        except TransportError as error:
            return error
        except Exception as error:
            log.debug("unexpected while connecting to %s", self.url, exc_info=True)
            return TransportError(f"cannot connect: {error!r}", error)
        if self.connection is None:
            self.engine = None
            return TransportError("the connection closed at once")
        return None

    def _make_connection(self, session: Session) -> Connection:
        self._sessions.add(session)
        self.connection = Connection(session, self.parser, self)
        return self.connection

    def _session_over(self, session: Session) -> None:
        self._sessions.discard(session)
        self._silence.resolve(None)

    def _opened(self, attempt: int) -> None:
        """There is a connection, at the first attempt (0) or when it was made again."""
        self._attempts = None
        self._backoff.reset()
        self.phase = Phase.OPEN
        connection, engine = self.connection, self.engine
        if engine is not None:
            engine.on("heartbeat", self._on_heartbeat)
        for member in list(self._members.values()):
            if connection is not None and connection.is_open():
                member.on_open(connection)
        self._emit("open")
        if attempt:
            self._emit("reconnect", attempt)

    def _on_heartbeat(self) -> None:
        self._emit("ping")

    def _failed(self, error: TransportError, attempt: int, *, final: bool) -> None:
        """An attempt has failed. ``reconnect_failed`` comes before ``reconnect_error``, as from the official client."""
        self.phase = Phase.CLOSED if final else Phase.WAITING
        for member in list(self._members.values()):
            member.on_unreachable(error, final)
        self._emit("error", error)
        if final and self.reconnects:
            self._emit("reconnect_failed")
        if attempt:
            self._emit("reconnect_error", error)

    # --- from the connection --------------------------------------------------------------------

    @property
    def gathers_for_all(self) -> bool:
        """What comes late for a namespace that was left must not break the others."""
        return True

    def on_other(self, connection: Connection, packet: Packet, socket: NamespaceSocket | None) -> None:  # noqa: ARG002
        """Any packet but an event; one for a namespace that nobody asked for is passed over."""
        if socket is not None:
            socket.on_packet(packet)

    def on_broken(self, connection: Connection, error: PacketError) -> None:
        """The server sent what is no packet: end, and try again."""
        connection.session.fail("parse error", str(error))

    def on_connection_closed(self, connection: Connection, reason: str, description: str | None) -> None:
        """The connection has ended, and the namespaces know."""
        if connection is not self.connection:
            return
        self.connection = self.engine = None
        if self.phase is not Phase.OPEN:
            return  # before the attempt was through: it tells
        self.phase = Phase.CLOSED
        if reason == "transport error":
            self._emit("error", TransportError(reason, description))
        self._emit("close", reason, description)
        if self._members and self.phase is Phase.CLOSED:
            # Without reconnection only those are left who asked for a connection while they heard of this end.
            self._connect(again=self.reconnects)


def _listener_failed(error: Exception, event: Any) -> None:
    log.error("a listener of io.on(%.100r) failed", event, exc_info=error)
