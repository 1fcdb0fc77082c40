"""Where the connections of a server come in: each has to join a namespace in time, and may join several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from socketeer.engine.session import Session
from socketeer.engine.timers import Patience
from socketeer.errors import PacketError
from socketeer.messaging.connection import Connection, NamespaceSocket
from socketeer.protocol.packet import CONNECT, Packet
from socketeer.protocol.parsers import PacketParser
from socketeer.server.v2_clients import is_v2, parse_address


class Joinable(Protocol):
    """A namespace, as who wants to join it sees it."""

    def connect(self, connection: Connection, auth: dict[str, Any]) -> None:
        """A client asks to join."""
        ...


class Unknown(Protocol):
    """What is asked about namespaces that are not there."""

    def connect(self, connection: Connection, name: str, auth: dict[str, Any]) -> None:
        """A client asks for one."""
        ...


class House(Protocol):
    """The server, as its entrance sees it."""

    started: bool

    @property
    def parser(self) -> PacketParser:
        """How packets are decoded."""
        ...

    def start(self) -> None:
        """The first client has come."""
        ...


class Entrance:
    """The server's side of all its connections: see :class:`~socketeer.messaging.connection.Side`.

    Args:
        house: the server.
        namespaces: those that are there, by name.
        unknown: asked about all others.
        patience: seconds that a connection may be in no namespace.
    """

    __slots__ = ("_house", "_idle", "_namespaces", "_patience", "_unknown")

    gathers_for_all = False
    """Nothing is gathered for who has not joined (CVE-2026-48804)."""

    def __init__(
        self, house: House, namespaces: Mapping[str, Joinable], unknown: Unknown, patience: float
    ) -> None:
        self._house = house
        self._namespaces = namespaces
        self._unknown = unknown
        self._patience = patience
        self._idle: Patience | None = None
        """With connections that have joined no namespace yet."""

    def __len__(self) -> int:
        """How many connections have joined no namespace yet."""
        return 0 if self._idle is None else len(self._idle)

    def take(self, session: Session) -> Connection:
        """A session has begun."""
        house = self._house
        if not house.started:
            house.start()
        connection = Connection(session, house.parser, self)
        idle = self._idle
        if idle is None or idle.wheel is not session.wheel:
            idle = self._idle = Patience(session.wheel, self._patience, _no_namespace)
        idle.begin(connection)
        return connection

    def join_main(self, session: Session) -> None:
        """A client of Socket.IO 2 is in ``/`` without asking."""
        if is_v2(session) and isinstance(session.handler, Connection):
            self._connect(session.handler, "/", None)

    def on_other(self, connection: Connection, packet: Packet, socket: NamespaceSocket | None) -> None:
        """Only a CONNECT of a namespace that is not joined is in order, as for the official server."""
        nsp = packet.nsp
        if packet.type == CONNECT:
            if socket is None and not connection.is_joining(nsp):
                self._connect(connection, nsp, packet.data)
            else:
                connection.violation("a second CONNECT", nsp)
        elif not connection.has_just_left(nsp):
            connection.violation("a packet that is not CONNECT", nsp)

    def on_broken(self, connection: Connection, error: PacketError) -> None:  # noqa: ARG002 - logged already
        """The client sent what is no packet: its session is closed."""
        connection.session.close()

    def _connect(self, connection: Connection, nsp: str, data: Any) -> None:
        if "?" in nsp and is_v2(connection.session):
            try:
                nsp, data = parse_address(nsp)
            except ValueError as error:
                connection.violation(f"a CONNECT whose query is no query ({error})", nsp)
                return
            if nsp in connection.sockets or connection.is_joining(nsp):
                connection.violation("a second CONNECT", nsp)
                return
        limit = connection.session.options.limits.max_namespaces
        if connection.namespaces >= limit:
            connection.violation(f"more than {limit} namespaces (max_namespaces)", nsp)
            return
        namespace = self._namespaces.get(nsp)
        if namespace is None:
            self._unknown.connect(connection, nsp, data or {})
        else:
            namespace.connect(connection, data or {})

    def on_joined(self, connection: Connection) -> None:
        """A connection has joined a namespace: it may stay."""
        if self._idle is not None:
            self._idle.end(connection)

    def on_connection_closed(self, connection: Connection, reason: str, description: str | None) -> None:  # noqa: ARG002
        """A connection has ended."""
        if self._idle is not None:
            self._idle.end(connection)


def _no_namespace(connection: Connection) -> None:
    connection.session.close(discard=True)
