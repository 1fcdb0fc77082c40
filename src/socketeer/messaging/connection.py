"""Many namespaces over one session: packets in, routed; binary packets put together.

https://socket.io/docs/v4/socket-io-protocol/
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Protocol

from socketeer.engine.session import Session, State
from socketeer.engine.timers import Timer
from socketeer.errors import PacketError
from socketeer.protocol.packet import CONNECT, CONNECT_ERROR, EVENT, Packet
from socketeer.protocol.parser import Parser, event_at, event_payload
from socketeer.protocol.parsers import PacketParser, PartialPacket

log = logging.getLogger("socketeer")


class NamespaceSocket(Protocol):
    """One namespace's socket on the connection."""

    def on_packet(self, packet: Packet) -> None:
        """An EVENT, an ACK or a DISCONNECT has come."""
        ...

    def on_event(self, args: list[Any], ack_id: int | None) -> None:
        """An EVENT has come: the name and the arguments."""
        ...

    def on_transport_error(self, error: Exception) -> None:
        """The peer sent what is no packet; the connection is about to close."""
        ...

    def on_connection_closed(self, reason: str, description: str | None) -> None:
        """The connection has ended."""
        ...


class Side(Protocol):
    """What differs between a server and a client."""

    @property
    def gathers_for_all(self) -> bool:
        """Whether attachments are gathered for namespaces that are not joined, too."""
        ...

    def on_other(self, connection: Connection, packet: Packet, socket: NamespaceSocket | None) -> None:
        """A CONNECT or a CONNECT_ERROR, or any packet for a namespace that is not joined."""
        ...

    def on_broken(self, connection: Connection, error: PacketError) -> None:
        """The peer sent what is no packet, and its sockets know."""
        ...

    def on_connection_closed(self, connection: Connection, reason: str, description: str | None) -> None:
        """The connection has ended, and its sockets know."""
        ...


class Connection:
    """The Socket.IO side of one session. It is the session's handler."""

    __slots__ = (
        "_common",
        "_joining",
        "_left",
        "_partial",
        "_partial_timer",
        "_side",
        "closed",
        "parser",
        "session",
        "sockets",
    )

    def __init__(self, session: Session, parser: PacketParser, side: Side) -> None:
        self.session = session
        self.parser = parser
        self._common = type(parser) is Parser
        """Whether the parser is the default one, so that an event can be had without a packet around it."""
        self._side = side
        self.sockets: dict[str, NamespaceSocket] = {}
        self._joining: set[str] | None = None
        """Namespaces whose CONNECT waits in middlewares; None for none, as with most connections most of the time."""
        self.closed = False
        self._partial: PartialPacket | None = None
        self._partial_timer: Timer | None = None
        self._left: set[str] | None = None
        """Namespaces left in this turn of the loop: what came in together with the leaving is passed over."""

    def is_open(self) -> bool:
        """Whether packets can be sent still: nobody has begun to close it."""
        return not self.closed and self.session.state is State.OPEN

    # --- namespaces that are about to be joined, for the server ----------------------------------

    def is_joining(self, nsp: str) -> bool:
        """Whether a CONNECT of this namespace waits for its answer."""
        return self._joining is not None and nsp in self._joining

    def begin_joining(self, nsp: str) -> None:
        """A CONNECT waits for its answer."""
        if self._joining is None:
            self._joining = set()
        self._joining.add(nsp)

    def end_joining(self, nsp: str) -> None:
        """It has been answered, or will not be."""
        if self._joining is not None:
            self._joining.discard(nsp)
            if not self._joining:
                self._joining = None

    @property
    def namespaces(self) -> int:
        """How many are joined, or about to be."""
        return len(self.sockets) + (0 if self._joining is None else len(self._joining))

    # --- from the session -----------------------------------------------------------------------

    def on_text(self, data: bytes) -> None:
        """A text message: a packet, or the first part of one."""
        packet: Packet | PartialPacket | None = None
        args: list[Any] | None = None
        ack_id: int | None = None
        try:
            if self._partial is not None:
                raise PacketError("got plaintext data when reconstructing a packet")
            at = event_at(data, 1) if self._common else 0
            if at:  # an event of the main namespace: by far the most
                args = event_payload(data, at)
                ack_id = int(data[2:at]) if at > 2 else None
            else:
                packet = self.parser.decode(data)
        except PacketError as error:
            self._broken(error)
            return
        if args is not None and (socket := self.sockets.get("/")) is not None:
            socket.on_event(args, ack_id)
        elif args is not None:
            self._route(Packet(EVENT, "/", args, ack_id))
        elif isinstance(packet, Packet):
            self._route(packet)
        elif packet is not None:
            self._expect_attachments(packet)

    def on_binary(self, data: bytes) -> None:
        """A binary message: the next attachment of the packet before it, or with some parsers a packet."""
        packet: Packet | PartialPacket | None
        if self.closed:
            return  # the session still says its last words
        try:
            partial = self._partial
            packet = self.parser.decode_binary(data) if partial is None else partial.add(data)
        except PacketError as error:
            self._broken(error)
            return
        if isinstance(packet, Packet):
            if partial is not None:
                self._drop_partial()
            self._route(packet)
        elif packet is not None:
            self._expect_attachments(packet)

    def on_upgrade(self) -> None:
        """Nothing depends on the transport here."""

    def on_close(self, reason: str, description: str | None) -> None:
        """The session has ended."""
        if self.closed:
            return
        self.closed = True
        self._drop_partial()
        self._partial_timer = None
        for socket in list(self.sockets.values()):
            socket.on_connection_closed(reason, description)
        self.sockets.clear()
        self._side.on_connection_closed(self, reason, description)

    # --- routing --------------------------------------------------------------------------------

    def _route(self, packet: Packet) -> None:
        socket = self.sockets.get(packet.nsp)
        if socket is not None and packet.type != CONNECT and packet.type != CONNECT_ERROR:
            socket.on_packet(packet)
        else:
            self._side.on_other(self, packet, socket)

    def has_just_left(self, nsp: str) -> bool:
        """Whether the namespace was left in this turn of the loop."""
        return self._left is not None and nsp in self._left

    def _expect_attachments(self, partial: PartialPacket) -> None:
        if self.closed:
            return
        if partial.packet.nsp not in self.sockets and not self._side.gathers_for_all:
            # Nothing is gathered for a namespace that is not joined (CVE-2026-48804).
            self._route(partial.packet)
            return
        self._partial = partial
        if self._partial_timer is None:
            self._partial_timer = Timer(self._attachments_late)
        self.session.wheel.set(self._partial_timer, self.session.options.limits.attachment_timeout)

    def _attachments_late(self) -> None:
        self._broken(PacketError("attachments not received within attachment_timeout"))

    def _drop_partial(self) -> None:
        self._partial = None
        if self._partial_timer is not None:
            self.session.wheel.clear(self._partial_timer)

    def left(self, nsp: str) -> None:
        """The namespace's socket has gone."""
        self.sockets.pop(nsp, None)
        if self.closed:
            return
        if self._left is None:
            self._left = set()
            asyncio.get_running_loop().call_soon(self._forget_left)
        self._left.add(nsp)

    def _forget_left(self) -> None:
        self._left = None

    # --- the end --------------------------------------------------------------------------------

    def _broken(self, error: PacketError) -> None:
        """Bytes that are no packet: every socket hears of it, and the side says what follows."""
        log.warning("closing session %s: %.300r", self.session.id, str(error))
        self._drop_partial()
        for socket in list(self.sockets.values()):
            socket.on_transport_error(error)
        self._side.on_broken(self, error)

    def violation(self, what: str, nsp: str) -> None:
        """A packet that has no place here: the whole connection is closed, as by the official server."""
        log.warning("closing session %s: %s for namespace %.100r", self.session.id, what, nsp)
        self.close()

    def close(self) -> None:
        """Close the session from this side."""
        self.session.close()
        self.on_close("forced server close", None)
