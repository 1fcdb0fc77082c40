"""Where clients are taken in whose sessions may be recovered, and their sockets.

https://socket.io/docs/v4/connection-state-recovery. A client gets a private id with its CONNECT packet. When it comes
back with that and an offset, and the adapter still has its session, it gets its id, rooms and data
again, then what it missed, then its CONNECT packet.

There is never a second socket with the same private id: where the old connection seems to be there
still (it broke, and nobody has noticed yet), it is ended first. Whoever knows a private id is that client.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from socketeer.engine.session import State
from socketeer.messaging.connection import Connection
from socketeer.messaging.eager import start
from socketeer.options import Recovery
from socketeer.protocol.ids import generate_id
from socketeer.protocol.packet import EVENT, Packet
from socketeer.server.adapter import Flags, RestoredSession, StoredSession, Target
from socketeer.server.handshake import Handshake
from socketeer.server.ports import Home
from socketeer.server.socket import Socket

log = logging.getLogger("socketeer")

#: Why a connection may have ended without anybody's wish. What the client or the user ended stays ended.
RECOVERABLE_REASONS = frozenset(
    {
        "transport error",
        "transport close",
        "forced close",
        "ping timeout",
        "server shutting down",
        "forced server close",
    }
)


class QueueingSocket(Socket):
    """A socket whose events may be on their way to it by way of a broker: what is sent directly queues behind them."""

    __slots__ = ()

    def __init__(self, socket_id: str, nsp: Home, connection: Connection, handshake: Handshake) -> None:
        super().__init__(socket_id, nsp, connection, handshake)
        self.direct = False

    def transmit(self, args: tuple[Any, ...], ack_id: int | None, flags: Flags) -> None:
        """After what was emitted before."""
        nsp = self.nsp
        if not nsp.adapter.behind or not self.connected:
            super().transmit(args, ack_id, flags)
            return
        self.hear_outgoing(args)
        message = nsp.parser.encode_event(nsp.prefix, ack_id, args, flags.compress)
        nsp.adapter.send_behind(self, message, flags.volatile)

    def send_ack(self, ack_id: int, args: Sequence[Any]) -> None:
        """Acknowledge an event of the client, after what was emitted before."""
        nsp = self.nsp
        if nsp.adapter.behind:
            nsp.adapter.send_behind(self, nsp.parser.encode_ack(nsp.prefix, ack_id, tuple(args)))
        else:
            super().send_ack(ack_id, args)

    def disconnect(self, close: bool = False) -> Socket:
        """Disconnect the client; what was emitted to it before is sent first."""
        if self.connected:
            self.nsp.adapter.hurry(self.id)
        return super().disconnect(close)

    def _catch_alls_changed(self) -> None:
        super()._catch_alls_changed()
        self.direct = False


class RecoverableSocket(QueueingSocket):
    """A socket whose session is kept when its connection breaks.

    Attributes:
        pid: the private id, which only the client knows.
        offset: that of the last event that was sent to it and kept.
    """

    __slots__ = ("_live", "_restored", "offset", "pid")

    def __init__(
        self,
        nsp: Home,
        connection: Connection,
        handshake: Handshake,
        live: dict[str, RecoverableSocket],
        restored: RestoredSession | None = None,
    ) -> None:
        session = (
            StoredSession(generate_id(), generate_id(), (), {}) if restored is None else restored.session
        )
        super().__init__(session.sid, nsp, connection, handshake)
        self.pid = session.pid
        self.offset = session.offset
        self.recovered = restored is not None
        self._data = session.data
        self._restored = restored
        self._live = live
        live[session.pid] = self
        if restored is not None:
            nsp.adapter.join(session.sid, session.rooms)

    def transmit(self, args: tuple[Any, ...], ack_id: int | None, flags: Flags) -> None:
        """By the adapter, which keeps it for a client that comes back; or as ever, where it is not to be kept.

        What a middleware emits is not: the client does not have its private id yet.
        """
        if ack_id is not None or flags.volatile or not self.connected:
            super().transmit(args, ack_id, flags)
        else:
            nsp = self.nsp
            nsp.adapter.broadcast(Packet(EVENT, nsp.name, args), Target((self.id,), (), flags))

    # --- life -----------------------------------------------------------------------------------

    def on_connected(self) -> None:
        restored, self._restored = self._restored, None
        if restored is not None and not self._catch_up(restored):
            # A client that would only fail again at the next attempt shall start afresh.
            self.nsp.adapter.forget_session(self.pid)
            self.on_refused()
            self.nsp.forget(self.id, self._connection)
            self._connection.close()
            return
        super().on_connected()

    def _catch_up(self, restored: RestoredSession) -> bool:
        """Send what it has missed; False if that is not possible: not all is kept, or it is too much for its queue."""
        missed = restored.missed()
        if missed is None:
            return False
        for offset, message in missed:
            self.offset = offset
            self.conn.send(message)
        return self.conn.state is State.OPEN

    def _introduction(self) -> dict[str, Any]:
        return {**super()._introduction(), "pid": self.pid}

    def on_refused(self) -> None:
        if not self.gone:  # its rooms may be another's by now: see `give_way`
            self._live.pop(self.pid, None)
            super().on_refused()
            restored, self._restored = self._restored, None
            if restored is not None and restored.taken:
                self.nsp.adapter.persist_session(restored.session)

    def _part(self, reason: str) -> None:
        del self._live[self.pid]
        adapter = self.nsp.adapter
        if reason in RECOVERABLE_REASONS:
            rooms = tuple(adapter.socket_rooms(self.id))
            adapter.persist_session(StoredSession(self.id, self.pid, rooms, self.data, self.offset))
        else:
            adapter.forget_session(self.pid)

    def give_way(self) -> None:
        """The client is back over another connection: this one ends, as it would have sooner or later."""
        self._connection.close()
        self.on_refused()  # where it was still in its middlewares, which nobody tells of the end


class Reception:
    """Takes in the clients of one namespace.

    Args:
        nsp: the namespace.
        recovery: the server's option.
        admit: lets a socket in by way of the middlewares.
        welcome: lets it in at once.
        expect: told how many clients more, or less, are being looked for.
    """

    __slots__ = ("_admit", "_expect", "_live", "_nsp", "_recovery", "_welcome")

    def __init__(
        self,
        nsp: Home,
        recovery: Recovery,
        admit: Callable[[Connection, Socket], None],
        welcome: Callable[[Connection, Socket], None],
        expect: Callable[[int], None],
    ) -> None:
        self._nsp = nsp
        self._recovery = recovery
        self._admit = admit
        self._welcome = welcome
        self._expect = expect
        self._live: dict[str, RecoverableSocket] = {}
        """The sockets that are here, or in the middlewares, by private id."""

    def receive(self, connection: Connection, handshake: Handshake) -> None:
        """A client asks to join."""
        pid, offset = handshake.auth.get("pid"), handshake.auth.get("offset")
        if isinstance(pid, str) and isinstance(offset, str):
            connection.begin_joining(self._nsp.name)
            start(self._receive_again(connection, handshake, pid, offset))
        else:
            self._admit(connection, self._socket(connection, handshake))

    async def _receive_again(
        self, connection: Connection, handshake: Handshake, pid: str, offset: str
    ) -> None:
        self._expect(1)
        try:
            live = self._live.get(pid)
            if live is not None:
                live.give_way()
            restored = await self._restore(pid, offset)
            connection.end_joining(self._nsp.name)
            if connection.is_open():
                self._let_in(connection, handshake, restored)
            elif restored is not None and restored.taken:  # the client may try again
                self._nsp.adapter.persist_session(restored.session)
        finally:
            self._expect(-1)

    def _let_in(self, connection: Connection, handshake: Handshake, restored: RestoredSession | None) -> None:
        if restored is not None and (
            restored.session.pid in self._live or restored.session.sid in self._nsp.sockets
        ):
            restored = None  # somebody else with the same private id was quicker
        socket = self._socket(connection, handshake, restored)
        if restored is not None and self._recovery.skip_middlewares:
            self._welcome(connection, socket)
        else:
            self._admit(connection, socket)

    async def _restore(self, pid: str, offset: str) -> RestoredSession | None:
        try:
            return await self._nsp.adapter.restore_session(pid, offset)
        except Exception:
            log.exception("the adapter of %.100r failed to restore a session", self._nsp.name)
            return None

    def _socket(
        self, connection: Connection, handshake: Handshake, restored: RestoredSession | None = None
    ) -> RecoverableSocket:
        return RecoverableSocket(self._nsp, connection, handshake, self._live, restored)
