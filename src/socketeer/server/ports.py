"""What the rooms of this floor need of each other, so that none has to import its user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from socketeer.engine.timers import TimerWheel
from socketeer.messaging.connection import Connection
from socketeer.messaging.handlers import HandlerTable
from socketeer.options import Recovery
from socketeer.protocol.parsers import PacketParser
from socketeer.server.adapter import Adapter, AdapterHost


class BroadcastSite(AdapterHost, Protocol):
    """A namespace, as an operator sees it."""

    @property
    def adapter(self) -> Adapter:
        """Who is in which room."""
        ...


class Home(BroadcastSite, Protocol):
    """A namespace, as one of its sockets sees it."""

    @property
    def socket_handlers(self) -> HandlerTable | None:
        """Handlers of the events of all its sockets; None if there never were any."""
        ...

    def overhear(self, socket_id: str, overheard: bool) -> None:
        """Whether a socket's outgoing catch-alls want to hear of broadcasts."""
        ...

    def forget(self, socket_id: str, connection: Connection) -> None:
        """The socket has disconnected."""
        ...

    def report(self, error: Exception, socket: Any, event: Any) -> None:
        """A handler of the socket has raised."""
        ...


class NamespaceHost(Protocol):
    """What a namespace needs of its server."""

    @property
    def parser(self) -> PacketParser:
        """How packets are encoded."""
        ...

    @property
    def wheel(self) -> TimerWheel:
        """For time-outs."""
        ...

    @property
    def make_adapter(self) -> Callable[[AdapterHost], Adapter]:
        """Makes the adapter of a namespace."""
        ...

    @property
    def recovery(self) -> Recovery | None:
        """What is kept of clients whose connection broke."""
        ...

    @property
    def started(self) -> bool:
        """Whether a loop runs and adapters may work."""
        ...

    @property
    def on_joined(self) -> Callable[[Connection], None]:
        """To be called when a connection has joined a namespace."""
        ...
