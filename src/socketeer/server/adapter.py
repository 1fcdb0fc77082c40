"""The adapter of a namespace: who is in which room, and how a packet reaches them, on this node and on others.

:class:`Adapter` is the contract. ``Server(adapter=...)`` takes anything that makes one from a namespace:
a class such as :class:`~socketeer.server.memory.MemoryAdapter`, or an object that holds a connection to
a broker and is called once for each namespace. The names follow socket.io-adapter 2.5
(https://socket.io/docs/v4/adapter/).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar, overload

from socketeer.engine.emitter import Listener
from socketeer.engine.session import Session
from socketeer.engine.timers import TimerWheel
from socketeer.messaging.acks import AckTable
from socketeer.options import Recovery
from socketeer.protocol.frame import Message
from socketeer.protocol.packet import Packet
from socketeer.protocol.parsers import PacketParser

Room = str

L = TypeVar("L", bound=Listener)

#: What an adapter tells of the rooms of its node.
ROOM_EVENTS = frozenset({"create-room", "join-room", "leave-room", "delete-room"})


@dataclass(frozen=True, slots=True)
class Flags:
    """How a packet is sent."""

    volatile: bool = False
    """Drop it for clients whose transport is busy."""
    compress: bool = True
    """Whether it may be compressed over WebSocket, or a long-polling answer for it."""
    local: bool = False
    """Only to clients of this node."""
    timeout: float | None = None
    """Seconds to wait for acknowledgements."""


@dataclass(frozen=True, slots=True)
class Target:
    """Who a broadcast is for: members of ``rooms`` (everybody, if there are none) but not of ``except_rooms``."""

    rooms: tuple[Room, ...] = ()
    except_rooms: tuple[Room, ...] = ()
    flags: Flags = Flags()

    def flagged(self, **flags: Any) -> Target:
        """The same with other flags."""
        return replace(self, flags=replace(self.flags, **flags))


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an adapter can do beyond rooms and broadcasts on one node."""

    cluster: bool = False
    """Whether it reaches other nodes."""
    recovery: bool = False
    """Whether it keeps sessions and packets, so that a client that comes back misses nothing."""


@dataclass(frozen=True, slots=True)
class StoredSession:
    """What is kept of a client that may come back (https://socket.io/docs/v4/connection-state-recovery)."""

    sid: str
    """``socket.id``."""
    pid: str = field(repr=False)
    """The private id, which only this client knows."""
    rooms: tuple[Room, ...]
    data: dict[str, Any] = field(repr=False)
    """``socket.data`` itself, not a copy: what ends after the connection did may still change it."""
    offset: str | None = None
    """The offset of the last event that was sent to it; None if there was none."""


@dataclass(frozen=True, slots=True)
class RestoredSession:
    """A session that was kept, and what its client has missed since."""

    session: StoredSession
    missed: Callable[[], Sequence[tuple[str, Message]] | None]
    """What the client has missed until now, in order: each event's offset, and the event itself with the
    offset as its last argument. None if some of it is not kept any more: then the client is not recovered.

    Called once, when the client has passed the middlewares and is about to be connected: so that nobody
    gets an event before that, and none falls between asking and being connected.
    """
    taken: bool = False
    """Whether the adapter does not keep it any more: if the client is not let in after all,
    :meth:`Adapter.persist_session` gives it back."""


class SocketDetails(Protocol):
    """What is told of a socket, on whichever node it is."""

    @property
    def id(self) -> str:
        """20 characters."""
        ...

    @property
    def rooms(self) -> set[Room]:
        """The rooms it is in; its own id is one of them."""
        ...

    @property
    def data(self) -> dict[str, Any]:
        """Its dict of the user's own."""
        ...

    @property
    def handshake(self) -> Any:
        """What the client said when it connected."""
        ...


class Member(SocketDetails, Protocol):
    """A socket of this node, as its adapter sees it."""

    conn: Session

    @property
    def acks(self) -> AckTable:
        """The acknowledgements that it owes."""
        ...

    def join(self, rooms: Room | Iterable[Room]) -> Any:
        """Enter rooms."""
        ...

    def leave(self, room: Room) -> Any:
        """Leave a room."""
        ...

    def disconnect(self, close: bool = False) -> Any:
        """Disconnect the client."""
        ...

    def hear_outgoing(self, args: Sequence[Any]) -> None:
        """Tell the outgoing catch-alls of an event: its name and its arguments."""
        ...

    def drained(self) -> Coroutine[Any, Any, None]:
        """Wait until the client's queue is below its low-water mark."""
        ...


class AdapterHost(Protocol):
    """A namespace, as its adapter sees it."""

    @property
    def name(self) -> str:
        """With the slash in front."""
        ...

    @property
    def sockets(self) -> Mapping[str, Member]:
        """The connected sockets of this node by id."""
        ...

    @property
    def overheard(self) -> Collection[str]:
        """The ids of those sockets whose outgoing catch-alls want to hear what is sent to them."""
        ...

    @property
    def parser(self) -> PacketParser:
        """How packets are encoded."""
        ...

    @property
    def prefix(self) -> bytes:
        """What stands for the namespace in each packet."""
        ...

    @property
    def wheel(self) -> TimerWheel:
        """For time-outs."""
        ...

    @property
    def recovery(self) -> Recovery | None:
        """What is to be kept of clients whose connection broke; None: nothing, and no event gets an offset."""
        ...

    def next_ack_id(self) -> int:
        """An acknowledgement id that no socket of the namespace has in use on this node.

        What another node asks gets one of this node's: its own may be in use here.
        """
        ...

    def on_server_side_emit(
        self, args: Sequence[Any], ack: Callable[[tuple[Any, ...]], None] | None = None
    ) -> None:
        """Another node has emitted ``args[0]`` to the servers, and waits for ``ack`` if there is one."""
        ...


class Adapter(Protocol):
    """What a namespace needs of its adapter.

    What acts on this node acts at once. A method that returns ``Awaitable | None`` may return
    something to wait for: until then other nodes may not know.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    @property
    def rooms(self) -> Mapping[Room, Iterable[str]]:
        """The ids in each room of this node."""
        ...

    def start(self) -> None:
        """A loop runs, and the namespace is used from here on; after :meth:`close`, again. More calls change nothing."""
        ...

    # --- membership, on this node ---------------------------------------------------------------

    def join(self, socket_id: str, rooms: Iterable[Room]) -> Awaitable[None] | None:
        """Add a socket to rooms."""
        ...

    def leave(self, socket_id: str, room: Room) -> Awaitable[None] | None:
        """Take a socket out of a room."""
        ...

    def leave_all(self, socket_id: str) -> Awaitable[None] | None:
        """Take a socket out of all its rooms."""
        ...

    def socket_rooms(self, socket_id: str) -> Iterable[Room]:
        """The rooms of a socket, its own included; none if it is not there."""
        ...

    def select(self, target: Target) -> Iterator[str]:
        """The ids of this node's sockets that ``target`` means, each once, as of now."""
        ...

    # --- room events, of this node --------------------------------------------------------------

    @overload
    def on(self, event: str) -> Callable[[L], L]: ...
    @overload
    def on(self, event: str, listener: L) -> L: ...
    def on(self, event: str, listener: L | None = None) -> L | Callable[[L], L]:
        """Call a plain function at each ``event``; also a decorator.

        They are ``create-room(room)`` and then ``join-room(room, id)``, ``leave-room(room, id)`` and then, when
        the room has emptied, ``delete-room(room)``; a socket's own room among them. Each is told after it has
        happened, and none where nothing changes (https://socket.io/docs/v4/rooms/#room-events).

        Raises:
            UsageError: there is no such event, or the listener is an ``async def``.
        """
        ...

    @overload
    def once(self, event: str) -> Callable[[L], L]: ...
    @overload
    def once(self, event: str, listener: L) -> L: ...
    def once(self, event: str, listener: L | None = None) -> L | Callable[[L], L]:
        """As :meth:`on`, for the next time only."""
        ...

    def off(self, event: str, listener: Listener | None = None) -> None:
        """Forget ``listener``, or all of that event."""
        ...

    # --- packets --------------------------------------------------------------------------------

    def broadcast(self, packet: Packet, target: Target) -> Awaitable[None] | None:
        """Send an event to all that ``target`` means, on all nodes unless its flags say ``local``."""
        ...

    async def broadcast_with_ack(self, packet: Packet, target: Target, timeout: float | None) -> list[Any]:
        """Send an event with an ``id`` and wait for the acknowledgements.

        Returns:
            Each client's (first) value, in the order in which they came.

        Raises:
            AckTimeout: not all came within ``timeout`` seconds; ``responses`` holds those that did.
        """
        ...

    # --- order on this node, where events get their offsets from a broker ------------------------------

    @property
    def behind(self) -> bool:
        """Whether events of this node are still on their way to its own clients: what is sent to one of them
        directly, then, goes by :meth:`send_behind`.
        """
        ...

    def send_behind(self, socket: Member, message: Message, volatile: bool = False) -> None:
        """Send a client something after all that is on its way."""
        ...

    def hurry(self, socket_id: str) -> None:
        """A client is about to be disconnected on purpose: what is on its way to it is sent now."""
        ...

    # --- the sockets of all nodes ---------------------------------------------------------------

    async def fetch_sockets(self, target: Target) -> Sequence[SocketDetails]:
        """The sockets that ``target`` means.

        Raises:
            TimeoutError: not every other node answered.
        """
        ...

    def add_sockets(self, target: Target, rooms: Sequence[Room]) -> Awaitable[None] | None:
        """Make the sockets that ``target`` means join rooms."""
        ...

    def del_sockets(self, target: Target, rooms: Sequence[Room]) -> Awaitable[None] | None:
        """Make the sockets that ``target`` means leave rooms."""
        ...

    def disconnect_sockets(self, target: Target, close: bool) -> Awaitable[None] | None:
        """Disconnect the sockets that ``target`` means; with ``close``, their connections too."""
        ...

    # --- the servers ----------------------------------------------------------------------------

    def server_side_emit(self, args: Sequence[Any]) -> Awaitable[None] | None:
        """Emit an event to the namespace on every other node."""
        ...

    async def server_side_emit_with_ack(self, args: Sequence[Any], timeout: float | None) -> list[Any]:
        """The same, and wait for the answer of every other node.

        Raises:
            AckTimeout: not all came in time; ``responses`` holds those that did.
        """
        ...

    async def server_count(self) -> int:
        """How many nodes there are, this one included."""
        ...

    # --- recovery -------------------------------------------------------------------------------

    def persist_session(self, session: StoredSession) -> Awaitable[None] | None:
        """Keep a session whose client may come back, in the place of an older one with its ``pid``."""
        ...

    def forget_session(self, pid: str) -> Awaitable[None] | None:
        """Drop what is still kept under ``pid``, if anything: the client has been disconnected on purpose."""
        ...

    async def restore_session(self, pid: str, offset: str) -> RestoredSession | None:
        """What was kept under ``pid``, and what came after ``offset``; None if either is not known (any more).

        Both come from the client: any string. Whether the session can be restored again is the
        adapter's choice; the caller sees to it that two sockets never share one.
        """
        ...

    async def close(self) -> None:
        """The namespace has ended."""
        ...


#: Makes the adapter of a namespace.
AdapterFactory = Callable[[AdapterHost], Adapter]
