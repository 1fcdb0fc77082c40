"""Sending one event to one client with flags: ``socket.volatile``, ``socket.timeout(5)`` and the like."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any, Protocol

from socketeer.engine.session import Session
from socketeer.errors import SocketDisconnected
from socketeer.messaging.acks import AckTable, Reply
from socketeer.server.adapter import Flags, Room, Target
from socketeer.server.operators import BroadcastOperator, check_event
from socketeer.server.ports import BroadcastSite


class Drained:
    """What ``socket.emit`` returns. Await it to wait until the client's queue is below its low-water mark."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def __await__(self) -> Generator[Any, None, None]:
        return self._session.transport.drained().__await__()


class Single(Protocol):
    """A socket, as its operator sees it."""

    id: str
    conn: Session

    @property
    def acks(self) -> AckTable:
        """The acknowledgements that it owes."""
        ...

    @property
    def nsp(self) -> BroadcastSite:
        """Its namespace."""
        ...

    @property
    def gone(self) -> bool:
        """Whether it has disconnected."""
        ...

    def transmit(self, args: tuple[Any, ...], ack_id: int | None, flags: Flags) -> None:
        """Send an event, its name and its arguments, and tell the outgoing catch-alls."""
        ...


class SocketOperator:
    """One client, and the flags of the next event to it. Every step gives a new operator."""

    __slots__ = ("_flags", "_socket")

    def __init__(self, socket: Single, flags: Flags) -> None:
        self._socket = socket
        self._flags = flags

    def _with(self, **flags: Any) -> SocketOperator:
        return SocketOperator(self._socket, Target(flags=self._flags).flagged(**flags).flags)

    @property
    def volatile(self) -> SocketOperator:
        """Drop the event if the transport is busy."""
        return self._with(volatile=True)

    def compress(self, compress: bool) -> SocketOperator:
        """Whether the event may be compressed, over WebSocket, or in a long-polling answer for its sake."""
        return self._with(compress=compress)

    def timeout(self, timeout: float) -> SocketOperator:
        """Wait at most this many seconds for the acknowledgement."""
        return self._with(timeout=timeout)

    @property
    def broadcast(self) -> BroadcastOperator:
        """Everybody in the namespace but this client."""
        return BroadcastOperator(self._socket.nsp, Target((), (self._socket.id,), self._flags))

    @property
    def local(self) -> BroadcastOperator:
        """Everybody on this node but this client."""
        return self.broadcast.local

    def to(self, room: Room | Iterable[Room]) -> BroadcastOperator:
        """Members of the room, or of any of the rooms, but not this client."""
        return self.broadcast.to(room)

    def in_(self, room: Room | Iterable[Room]) -> BroadcastOperator:
        """The same as :meth:`to`."""
        return self.broadcast.to(room)

    def except_(self, room: Room | Iterable[Room]) -> BroadcastOperator:
        """Everybody but this client and the members of the room, or of any of the rooms."""
        return self.broadcast.except_(room)

    def emit(self, event: str, *args: Any) -> Drained:
        """Send an event to this client, as ``socket.emit`` does, with the flags."""
        self._emit(event, None, args)
        return Drained(self._socket.conn)

    def send(self, *args: Any) -> Drained:
        """Emit a ``message`` event."""
        return self.emit("message", *args)

    async def emit_with_ack(self, event: str, *args: Any, timeout: float | None = None) -> Any:
        """Send an event and wait for the client's acknowledgement: its value, or a tuple of several.

        Raises:
            AckTimeout: it did not come in time.
            SocketDisconnected: the client has disconnected.
        """
        socket = self._socket
        if socket.gone:
            raise SocketDisconnected("socket has been disconnected")
        ack_id = socket.nsp.next_ack_id()
        reply = Reply()
        socket.acks.add(ack_id, reply)
        try:
            self._emit(event, ack_id, args)
            return await reply.wait(socket.nsp.wheel, self._flags.timeout if timeout is None else timeout)
        finally:
            socket.acks.forget(ack_id)

    def _emit(self, event: str, ack_id: int | None, args: tuple[Any, ...]) -> None:
        check_event(event)
        self._socket.transmit((event, *args), ack_id, self._flags)
