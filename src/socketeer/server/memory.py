"""The adapter of one process: everything is kept in memory, and there are no other nodes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any

from socketeer.errors import UsageError
from socketeer.protocol.frame import Message
from socketeer.protocol.packet import Packet
from socketeer.server.adapter import (
    AdapterHost,
    Capabilities,
    Member,
    RestoredSession,
    Room,
    SocketDetails,
    StoredSession,
    Target,
)
from socketeer.server.replies import Gatherer, Replies
from socketeer.server.rooms import Rooms

log = logging.getLogger("socketeer")


class MemoryAdapter(Rooms):
    """Rooms of one process. Joining and leaving cost what they touch; a broadcast costs its receivers.

    It tells of the rooms of this node: ``create-room(room)``, ``join-room(room, id)``, ``leave-room(room, id)``
    and ``delete-room(room)``, each when it has happened (https://socket.io/docs/v4/rooms/#room-events).
    Adapters that reach other nodes extend it: what is here does their part on this node.
    """

    capabilities = Capabilities()

    def __init__(self, nsp: AdapterHost) -> None:
        super().__init__()
        self.nsp = nsp
        self._sockets = nsp.sockets

    def start(self) -> None:
        """Nothing to begin here."""

    # --- packets --------------------------------------------------------------------------------

    def broadcast(self, packet: Packet, target: Target) -> Awaitable[None] | None:
        """Send an event to all that ``target`` means."""
        nsp, volatile = self.nsp, target.flags.volatile
        if nsp.overheard:
            self._tell_catch_alls(packet, target)
        message = nsp.parser.encode_event(nsp.prefix, packet.id, packet.data, target.flags.compress)
        for socket in map(self._sockets.get, self.select(target)):
            if socket is not None and (not volatile or socket.conn.writable()):
                send = socket.conn.send  # a name first, for Python 3.11: see Socket.emit
                send(message)
        return None

    async def broadcast_with_ack(self, packet: Packet, target: Target, timeout: float | None) -> list[Any]:
        """Send an event with an id to all that ``target`` means, and wait for them."""
        replies = Replies()
        asked = await self.ask_in_turn(packet, target, replies)
        try:
            return await replies.wait(self.nsp.wheel, timeout)
        finally:
            self.forget(packet, asked)

    async def ask_in_turn(self, packet: Packet, target: Target, replies: Gatherer) -> list[Member]:
        """As :meth:`ask`, after what was emitted before."""
        return self.ask(packet, target, replies)

    def ask(self, packet: Packet, target: Target, replies: Gatherer) -> list[Member]:
        """Send an event with an id to this node's sockets; ``replies`` gets what they answer."""
        nsp, volatile, ack_id = self.nsp, target.flags.volatile, _id_of(packet)
        if nsp.overheard:
            self._tell_catch_alls(packet, target)
        message = nsp.parser.encode_event(nsp.prefix, ack_id, packet.data, target.flags.compress)
        asked = []
        for socket in self._selected(target):
            if not volatile or socket.conn.writable():
                asked.append(socket)
                replies.expect()
                socket.acks.add(ack_id, replies)
                socket.conn.send(message)
        return asked

    def _tell_catch_alls(self, packet: Packet, target: Target) -> None:
        """Before it is sent, to those that have catch-alls for outgoing events, as in the official adapter."""
        overheard = self.nsp.overheard
        for socket in map(self._sockets.get, [each for each in self.select(target) if each in overheard]):
            if socket is not None:
                socket.hear_outgoing(packet.data)

    def forget(self, packet: Packet, asked: Iterable[Member]) -> None:
        """Nobody waits for these sockets any more."""
        for socket in asked:
            socket.acks.forget(_id_of(packet))

    @property
    def behind(self) -> bool:
        """Nothing is ever on its way here."""
        return False

    def send_behind(self, socket: Member, message: Message, volatile: bool = False) -> None:
        """Send it."""
        if not volatile or socket.conn.writable():
            socket.conn.send(message)

    def hurry(self, socket_id: str) -> None:
        """Nothing is on its way."""

    # --- sockets --------------------------------------------------------------------------------

    def _selected(self, target: Target) -> list[Member]:
        """The sockets that ``target`` means, as of now; one that is still in its middlewares is none yet."""
        found = map(self._sockets.get, self.select(target))
        return [socket for socket in found if socket is not None]

    async def fetch_sockets(self, target: Target) -> Sequence[SocketDetails]:
        """The sockets that ``target`` means."""
        return self._selected(target)

    def add_sockets(self, target: Target, rooms: Sequence[Room]) -> Awaitable[None] | None:
        """Make the sockets that ``target`` means join rooms."""
        for socket in self._selected(target):
            socket.join(rooms)
        return None

    def del_sockets(self, target: Target, rooms: Sequence[Room]) -> Awaitable[None] | None:
        """Make the sockets that ``target`` means leave rooms."""
        for socket in self._selected(target):
            for room in rooms:
                socket.leave(room)
        return None

    def disconnect_sockets(self, target: Target, close: bool) -> Awaitable[None] | None:
        """Disconnect the sockets that ``target`` means."""
        for socket in self._selected(target):
            socket.disconnect(close)
        return None

    # --- other nodes, of which there are none ----------------------------------------------------

    def server_side_emit(self, args: Sequence[Any]) -> Awaitable[None] | None:
        """Nobody to tell."""
        log.debug("server_side_emit(%.100r) reaches nobody: the adapter knows no other node", args[0])
        return None

    async def server_side_emit_with_ack(self, args: Sequence[Any], timeout: float | None) -> list[Any]:  # noqa: ARG002
        """Nobody to answer."""
        self.server_side_emit(args)
        return []

    async def server_count(self) -> int:
        """This one."""
        return 1

    # --- recovery -------------------------------------------------------------------------------

    def persist_session(self, session: StoredSession) -> Awaitable[None] | None:  # noqa: ARG002
        """Nothing is kept."""
        return None

    def forget_session(self, pid: str) -> Awaitable[None] | None:  # noqa: ARG002
        """Nothing was kept."""
        return None

    async def restore_session(self, pid: str, offset: str) -> RestoredSession | None:  # noqa: ARG002
        """Nothing was kept."""
        return None

    async def close(self) -> None:
        """Nothing to end here."""


def _id_of(packet: Packet) -> int:
    if packet.id is None:
        raise UsageError("broadcast_with_ack: expected a packet with an id, got one without")
    return packet.id
