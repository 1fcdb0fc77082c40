"""Broadcasting, written once: what a server, a namespace, a socket and each other operator can do.

Every step gives a new operator and changes nothing, so an operator can be kept and used again.
https://socket.io/docs/v4/server-api/#namespace and #broadcast-operators
"""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Iterable
from typing import Any

from socketeer.errors import ReservedEventError, SocketDisconnected, UsageError
from socketeer.protocol.packet import EVENT, RESERVED_EVENTS, Packet
from socketeer.server.adapter import Room, SocketDetails, Target
from socketeer.server.ports import BroadcastSite
from socketeer.server.published import published

EVERYBODY = Target()


def check_event(event: str) -> None:
    """Refuse what cannot be emitted.

    Raises:
        ReservedEventError: the name belongs to Socket.IO.
        UsageError: it is not a name.
    """
    if event in RESERVED_EVENTS:
        raise ReservedEventError(f'"{event}" is a reserved event name')
    if not isinstance(event, str):
        raise UsageError(f"event: expected a name, got {event!r}")


class Sent:
    """What a broadcast returns; ignore it, and it costs nothing.

    Await it to wait until the other nodes have been told, and the queues of this node's receivers
    are below their low-water marks.
    """

    __slots__ = ("_pending", "_site", "_target")

    def __init__(self, site: BroadcastSite, target: Target, pending: Awaitable[None] | None) -> None:
        self._site = site
        self._target = target
        self._pending = pending

    def __await__(self) -> Generator[Any, None, None]:
        return self._wait().__await__()

    async def _wait(self) -> None:
        if self._pending is not None:
            await self._pending
        for socket_id in self._site.adapter.select(self._target):
            socket = self._site.sockets.get(socket_id)
            if socket is not None:
                await socket.drained()


class Broadcasting:
    """The verbs of a broadcast, for everything that has a target."""

    __slots__ = ()

    def _operator(self) -> BroadcastOperator:
        raise NotImplementedError

    def to(self, room: Room | Iterable[Room]) -> BroadcastOperator:
        """Only to members of this room, or of any of these rooms; repeated calls add rooms."""
        return self._operator().to(room)

    def in_(self, room: Room | Iterable[Room]) -> BroadcastOperator:
        """The same as :meth:`to`."""
        return self._operator().to(room)

    def except_(self, room: Room | Iterable[Room]) -> BroadcastOperator:
        """Not to members of this room, or of any of these rooms."""
        return self._operator().except_(room)

    @property
    def local(self) -> BroadcastOperator:
        """Only to clients of this node."""
        return self._operator().local

    @property
    def volatile(self) -> Any:
        """Drop the event for clients whose transport is busy."""
        return self._operator().volatile

    def compress(self, compress: bool) -> Any:
        """Whether this event may be compressed, over WebSocket, or in long-polling answers for its sake."""
        return self._operator().compress(compress)

    def timeout(self, timeout: float) -> Any:
        """Wait at most this many seconds for acknowledgements."""
        return self._operator().timeout(timeout)

    def emit(self, event: str, *args: Any) -> Any:
        """Send an event to all clients that are meant. Returns at once; see :class:`Sent`.

        Raises:
            ReservedEventError: the name belongs to Socket.IO.
            TypeError: an argument cannot be sent.
        """
        return self._operator().emit(event, *args)

    def send(self, *args: Any) -> Any:
        """Emit a ``message`` event."""
        return self.emit("message", *args)

    async def emit_with_ack(self, event: str, *args: Any, timeout: float | None = None) -> Any:
        """Send an event and wait until every client that is meant has acknowledged it.

        Returns:
            A list with each client's (first) value, in the order in which they came.

        Raises:
            AckTimeout: not all did in time; ``responses`` holds the values that came.
        """
        return await self._operator().emit_with_ack(event, *args, timeout=timeout)

    async def fetch_sockets(self) -> list[SocketDetails]:
        """The connected sockets that are meant, of all nodes: ``Socket`` on this one, :class:`RemoteSocket` elsewhere.

        Both have ``id``, ``handshake``, ``rooms``, ``data``, ``emit``, ``join``, ``leave`` and ``disconnect``
        (https://socket.io/docs/v4/server-api/#serverfetchsockets).

        Raises:
            TimeoutError: not every other node answered.
        """
        return await self._operator().fetch_sockets()

    def sockets_join(self, rooms: Room | Iterable[Room]) -> Awaitable[None]:
        """Make the sockets that are meant join a room, or several; awaiting waits until other nodes are told."""
        return self._operator().sockets_join(rooms)

    def sockets_leave(self, rooms: Room | Iterable[Room]) -> Awaitable[None]:
        """Make the sockets that are meant leave a room, or several."""
        return self._operator().sockets_leave(rooms)

    def disconnect_sockets(self, close: bool = False) -> Awaitable[None]:
        """Disconnect the sockets that are meant from the namespace; with ``close``, end their connections."""
        return self._operator().disconnect_sockets(close)


class BroadcastOperator(Broadcasting):
    """A target that is being described, then emitted to."""

    __slots__ = ("_site", "_target")

    def __init__(self, site: BroadcastSite, target: Target = EVERYBODY) -> None:
        self._site = site
        self._target = target

    def _operator(self) -> BroadcastOperator:
        return self

    def to(self, room: Room | Iterable[Room]) -> BroadcastOperator:
        target = self._target
        rooms = dict.fromkeys((*target.rooms, *room_names(room)))
        return BroadcastOperator(self._site, Target(tuple(rooms), target.except_rooms, target.flags))

    def in_(self, room: Room | Iterable[Room]) -> BroadcastOperator:
        return self.to(room)

    def except_(self, room: Room | Iterable[Room]) -> BroadcastOperator:
        target = self._target
        rooms = dict.fromkeys((*target.except_rooms, *room_names(room)))
        return BroadcastOperator(self._site, Target(target.rooms, tuple(rooms), target.flags))

    @property
    def local(self) -> BroadcastOperator:
        return BroadcastOperator(self._site, self._target.flagged(local=True))

    @property
    def volatile(self) -> BroadcastOperator:
        return BroadcastOperator(self._site, self._target.flagged(volatile=True))

    def compress(self, compress: bool) -> BroadcastOperator:
        return BroadcastOperator(self._site, self._target.flagged(compress=compress))

    def timeout(self, timeout: float) -> BroadcastOperator:
        return BroadcastOperator(self._site, self._target.flagged(timeout=timeout))

    def emit(self, event: str, *args: Any) -> Sent:
        check_event(event)
        site, target = self._site, self._target
        return Sent(site, target, site.adapter.broadcast(Packet(EVENT, site.name, (event, *args)), target))

    async def emit_with_ack(self, event: str, *args: Any, timeout: float | None = None) -> list[Any]:
        check_event(event)
        site, target = self._site, self._target
        packet = Packet(EVENT, site.name, (event, *args), site.next_ack_id())
        wait = target.flags.timeout if timeout is None else timeout
        return await site.adapter.broadcast_with_ack(packet, target, wait)

    async def fetch_sockets(self) -> list[SocketDetails]:
        site = self._site
        found = await site.adapter.fetch_sockets(self._target)
        return [
            each
            if each.id in site.sockets
            else RemoteSocket(BroadcastOperator(site, Target((each.id,))), each)
            for each in found
        ]

    def sockets_join(self, rooms: Room | Iterable[Room]) -> Awaitable[None]:
        return published(self._site.adapter.add_sockets(self._target, room_names(rooms)))

    def sockets_leave(self, rooms: Room | Iterable[Room]) -> Awaitable[None]:
        return published(self._site.adapter.del_sockets(self._target, room_names(rooms)))

    def disconnect_sockets(self, close: bool = False) -> Awaitable[None]:
        return published(self._site.adapter.disconnect_sockets(self._target, close))


class RemoteSocket:
    """A socket of another node, as :meth:`Broadcasting.fetch_sockets` gives it: a snapshot, and ways to act on it.

    Attributes:
        id: ``socket.id``.
        handshake: what the client said when it connected.
        rooms: the rooms it was in.
        data: what its node kept in ``socket.data``; changing it here changes nothing there.
    """

    __slots__ = ("_operator", "data", "handshake", "id", "rooms")

    def __init__(self, operator: BroadcastOperator, details: SocketDetails) -> None:
        self._operator = operator
        self.id = details.id
        self.handshake = details.handshake
        self.rooms = set(details.rooms)
        self.data = details.data

    def __repr__(self) -> str:
        return f"<RemoteSocket {self.id}>"

    def emit(self, event: str, *args: Any) -> Sent:
        """Send an event to this client."""
        return self._operator.emit(event, *args)

    def send(self, *args: Any) -> Sent:
        """Emit a ``message`` event."""
        return self.emit("message", *args)

    async def emit_with_ack(self, event: str, *args: Any, timeout: float | None = None) -> Any:
        """Send an event and wait for the client's acknowledgement: its first value.

        Raises:
            AckTimeout: it did not come within ``timeout`` seconds.
            SocketDisconnected: the client is not there any more.
        """
        responses = await self._operator.emit_with_ack(event, *args, timeout=timeout)
        if not responses:
            raise SocketDisconnected("socket has been disconnected")
        return responses[0]

    def timeout(self, timeout: float) -> RemoteSocket:
        """The same socket; at most this many seconds are waited for its acknowledgements."""
        return RemoteSocket(self._operator.timeout(timeout), self)

    def join(self, rooms: Room | Iterable[Room]) -> Awaitable[None]:
        """Make it join a room, or several."""
        return self._operator.sockets_join(rooms)

    def leave(self, room: Room) -> Awaitable[None]:
        """Make it leave a room."""
        return self._operator.sockets_leave(room)

    def disconnect(self, close: bool = False) -> RemoteSocket:
        """Disconnect it from the namespace; with ``close``, end its connection."""
        self._operator.disconnect_sockets(close)
        return self


def room_names(rooms: Room | Iterable[Room]) -> tuple[Room, ...]:
    """One room, or several.

    Raises:
        UsageError: a room is a str, and one of these is none.
    """
    return (rooms,) if isinstance(rooms, str) else _several(rooms)


def _several(rooms: Iterable[Room]) -> tuple[Room, ...]:
    names = tuple(rooms) if isinstance(rooms, Iterable) else None
    if names is None or not all(isinstance(name, str) for name in names):
        raise UsageError(f"expected a room's name or several, got {rooms!r}")
    return names
