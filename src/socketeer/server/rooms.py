"""Who is in which room of this process: the part of every adapter that connecting and leaving go through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from socketeer.engine.emitter import Emitter
from socketeer.server.adapter import ROOM_EVENTS, Room, Target

#: An ordered set: broadcasts reach clients in the order in which they joined. One name is a tuple, which is a third
#: of a dict: each socket has a room to itself, and most have no other.
_Names = dict[str, None] | tuple[str, ...]


def _with(names: _Names, name: str) -> _Names:
    """The set with one more; where it has been a tuple, another one or a dict."""
    if isinstance(names, dict):
        names[name] = None
        return names
    if not names or names[0] == name:
        return names or (name,)
    return {names[0]: None, name: None}


class Rooms(Emitter):
    """Rooms and their members, by id. Joining and leaving cost what they touch.

    It tells ``create-room(room)``, ``join-room(room, id)``, ``leave-room(room, id)`` and ``delete-room(room)``, each when
    it has happened (https://socket.io/docs/v4/rooms/#room-events).
    """

    __slots__ = ("_heard", "_members", "_rooms_of")

    name: ClassVar = "adapter"
    events: ClassVar[frozenset[str]] = ROOM_EVENTS

    def __init__(self) -> None:
        super().__init__()
        self._heard = False
        """Whether anybody listens."""
        self._members: dict[Room, _Names] = {}
        self._rooms_of: dict[str, _Names] = {}

    @property
    def rooms(self) -> Mapping[Room, Iterable[str]]:
        """The ids in each room."""
        return self._members

    def join(self, socket_id: str, rooms: Iterable[Room]) -> None:
        """Add a socket to rooms; to those it is in already, it is not added again."""
        own = self._rooms_of.setdefault(socket_id, ())
        if self._heard:
            self._join_heard(socket_id, rooms)
            return
        table = self._members
        for room in rooms:
            if type(own) is dict:
                own[room] = None
            else:
                own = self._rooms_of[socket_id] = _with(own, room)
            members = table.get(room)
            if type(members) is dict:
                members[socket_id] = None
            elif members is None and type(own) is tuple and room == socket_id:
                table[room] = own  # the room that each socket has to itself: one object says both
            else:
                table[room] = _with(members or (), socket_id)

    def _join_heard(self, socket_id: str, rooms: Iterable[Room]) -> None:
        for room in rooms:
            own = self._rooms_of.get(socket_id)
            if own is None:
                return  # a listener has disconnected it
            if room in own:
                continue
            members = self._members.get(room)
            self._rooms_of[socket_id] = _with(own, room)
            self._members[room] = _with(members or (), socket_id)
            if members is None:
                self.emit("create-room", room)
            self.emit("join-room", room, socket_id)

    def leave(self, socket_id: str, room: Room) -> None:
        """Take a socket out of a room; a room that empties is gone."""
        own = self._rooms_of.get(socket_id)
        if own is not None and room in own:
            if type(own) is dict:
                del own[room]
            else:
                self._rooms_of[socket_id] = ()
            self._drop(socket_id, room)

    def leave_all(self, socket_id: str) -> None:
        """Take a socket out of all its rooms."""
        for room in self._rooms_of.pop(socket_id, ()):
            self._drop(socket_id, room)

    def _drop(self, socket_id: str, room: Room) -> None:
        members = self._members[room]
        if type(members) is dict:
            del members[socket_id]
        else:
            members = self._members[room] = ()
        if self._heard:
            self.emit("leave-room", room, socket_id)
            left = self._members.get(room)
            if left is None or left:
                return  # a listener has let somebody in
            del self._members[room]
            self.emit("delete-room", room)
        elif not members:
            del self._members[room]

    def _listeners_changed(self) -> None:
        self._heard = self.listens(*ROOM_EVENTS)

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
