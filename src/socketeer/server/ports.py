"""What the rooms of this floor need of each other, so that none has to import its user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from socketeer.engine.session import Session
from socketeer.engine.timers import TimerWheel
from socketeer.messaging.acks import AckTable
from socketeer.messaging.connection import Connection
from socketeer.protocol.parser import Parser
from socketeer.server.adapter import Adapter


class Receiver(Protocol):
    """A connected socket, as a broadcast sees it."""

    acks: AckTable
    conn: Session

    async def drained(self) -> None:
        """Wait until the client's queue is below its low-water mark."""
        ...


class BroadcastSite(Protocol):
    """A namespace, as an operator sees it."""

    @property
    def adapter(self) -> Adapter:
        """Who is in which room."""
        ...

    @property
    def parser(self) -> Parser:
        """How packets are encoded."""
        ...

    @property
    def prefix(self) -> bytes:
        """What stands for the namespace in each packet."""
        ...

    @property
    def sockets(self) -> Mapping[str, Receiver]:
        """The connected sockets by id."""
        ...

    @property
    def wheel(self) -> TimerWheel:
        """For time-outs."""
        ...

    def next_ack_id(self) -> int:
        """An acknowledgement id that no socket of the namespace has in use."""
        ...


class Home(BroadcastSite, Protocol):
    """A namespace, as one of its sockets sees it."""

    name: str

    def forget(self, socket_id: str, connection: Connection) -> None:
        """The socket has disconnected."""
        ...

    def report(self, error: Exception, socket: Any, event: Any) -> None:
        """A handler of the socket has raised."""
        ...
