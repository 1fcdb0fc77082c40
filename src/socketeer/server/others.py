"""What a socket sends to others: its broadcasts reach everybody in its namespace but its own client."""

from __future__ import annotations

from collections.abc import Iterable

from socketeer.messaging.listening import SocketListening
from socketeer.server.adapter import Flags, Room, Target
from socketeer.server.operators import BroadcastOperator
from socketeer.server.ports import Home

_NO_FLAGS = Flags()


class Others(SocketListening):
    """The ways to reach all others, of a socket with an ``id`` in a namespace ``nsp``."""

    __slots__ = ("id", "nsp")

    def __init__(self, socket_id: str, nsp: Home) -> None:
        super().__init__()
        self.id = socket_id
        self.nsp = nsp

    @property
    def broadcast(self) -> BroadcastOperator:
        """Everybody in the namespace but this client."""
        return self._others()

    @property
    def local(self) -> BroadcastOperator:
        """Everybody on this node but this client."""
        return self._others(Flags(local=True))

    def to(self, room: Room | Iterable[Room]) -> BroadcastOperator:
        """Members of the room, or of any of the rooms, but not this client."""
        return self._others().to(room)

    def in_(self, room: Room | Iterable[Room]) -> BroadcastOperator:
        """The same as :meth:`to`."""
        return self.to(room)

    def except_(self, room: Room | Iterable[Room]) -> BroadcastOperator:
        """Everybody but this client and the members of the room, or of any of the rooms."""
        return self._others().except_(room)

    def _others(self, flags: Flags = _NO_FLAGS) -> BroadcastOperator:
        return BroadcastOperator(self.nsp, Target((), (self.id,), flags))
