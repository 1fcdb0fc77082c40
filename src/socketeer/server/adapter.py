"""The adapter of a namespace: who is in which room, and how a packet reaches them.

:class:`Adapter` is the interface; :class:`MemoryAdapter` keeps everything in this process. The
names follow socket.io-adapter 2.5 (https://socket.io/docs/v4/rooms/).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from socketeer.engine.session import Session
from socketeer.protocol.frame import Message

Room = str


@dataclass(frozen=True, slots=True)
class Flags:
    """How a packet is sent."""

    volatile: bool = False
    """Drop it for clients whose transport is busy."""
    compress: bool = True
    """Whether a long-polling answer may be compressed for it."""
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


class Member(Protocol):
    """What an adapter needs of a socket."""

    conn: Session


class Adapter(Protocol):
    """What a namespace needs of its adapter."""

    @property
    def rooms(self) -> Mapping[Room, Iterable[str]]:
        """The ids in each room of this node."""
        ...

    def join(self, socket_id: str, rooms: Iterable[Room]) -> None:
        """Add a socket to rooms."""
        ...

    def leave(self, socket_id: str, room: Room) -> None:
        """Take a socket out of a room."""
        ...

    def leave_all(self, socket_id: str) -> None:
        """Take a socket out of all its rooms."""
        ...

    def socket_rooms(self, socket_id: str) -> Iterable[Room]:
        """The rooms of a socket, its own included; none if it is not there."""
        ...

    def select(self, target: Target) -> Iterator[str]:
        """The ids of this node's sockets that ``target`` means, each once."""
        ...

    def broadcast(self, message: Message, target: Target) -> None:
        """Send an encoded packet to all that ``target`` means."""
        ...

    async def close(self) -> None:
        """The namespace has ended."""
        ...


class MemoryAdapter:
    """Rooms of one process. Joining and leaving cost what they touch; a broadcast costs its receivers."""

    __slots__ = ("_members", "_rooms_of", "_sockets")

    def __init__(self, sockets: Mapping[str, Member]) -> None:
        self._sockets = sockets
        # Dictionaries as ordered sets: broadcasts reach clients in the order in which they joined.
        self._members: dict[Room, dict[str, None]] = {}
        self._rooms_of: dict[str, dict[Room, None]] = {}

    @property
    def rooms(self) -> Mapping[Room, Iterable[str]]:
        """The ids in each room."""
        return self._members

    def join(self, socket_id: str, rooms: Iterable[Room]) -> None:
        """Add a socket to rooms; to those it is in already, it is not added again."""
        own = self._rooms_of.setdefault(socket_id, {})
        for room in rooms:
            own[room] = None
            self._members.setdefault(room, {})[socket_id] = None

    def leave(self, socket_id: str, room: Room) -> None:
        """Take a socket out of a room; a room that empties is gone."""
        own = self._rooms_of.get(socket_id)
        if own is not None and room in own:
            del own[room]
            self._drop(socket_id, room)

    def leave_all(self, socket_id: str) -> None:
        """Take a socket out of all its rooms."""
        for room in self._rooms_of.pop(socket_id, ()):
            self._drop(socket_id, room)

    def _drop(self, socket_id: str, room: Room) -> None:
        members = self._members[room]
        del members[socket_id]
        if not members:
            del self._members[room]

    def socket_rooms(self, socket_id: str) -> Iterable[Room]:
        """The rooms of a socket; none if it is not there."""
        return self._rooms_of.get(socket_id, ())

    def select(self, target: Target) -> Iterator[str]:
        """The ids that ``target`` means, each once, as of now: what a receiver does meanwhile changes nothing."""
        rooms, excepted = target.rooms, target.except_rooms
        ids: Iterable[str]
        if not rooms:
            ids = list(self._rooms_of)
        elif len(rooms) == 1:
            ids = list(self._members.get(rooms[0], ()))
        else:
            ids = dict.fromkeys(each for room in rooms for each in self._members.get(room, ()))
        if not excepted:
            return iter(ids)
        if len(excepted) == 1:
            banned: Iterable[str] = self._members.get(excepted[0], {})
        else:
            banned = {each for room in excepted for each in self._members.get(room, ())}
        return (each for each in ids if each not in banned)

    def broadcast(self, message: Message, target: Target) -> None:
        """Send an encoded packet to all that ``target`` means."""
        volatile = target.flags.volatile
        for socket in map(self._sockets.get, self.select(target)):
            if socket is not None and (not volatile or socket.conn.writable()):
                send = socket.conn.send  # a name first, for Python 3.11: see Socket.emit
                send(message)

    async def close(self) -> None:
        """Nothing to end here."""
