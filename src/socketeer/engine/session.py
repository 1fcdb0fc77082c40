"""One Engine.IO session: its state, its heartbeat, its transport.

A synchronous machine: bytes come in from a transport, packets go out through it, and time comes from the timer
wheel. Nothing here waits. What the packets mean is the business of the :class:`SessionHandler` above.

https://socket.io/docs/v4/engine-io-protocol/
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from enum import Enum
from typing import Any, Final, Protocol

from socketeer.engine.emitter import NOBODY
from socketeer.engine.ended import NO_HANDLER, ended_transport
from socketeer.engine.http.message import Request
from socketeer.engine.taps import EnginePacket, OutgoingTap, Tappable, tap_incoming
from socketeer.engine.timers import TimerWheel, grain_of
from socketeer.errors import PacketError
from socketeer.options import EngineOptions
from socketeer.protocol import engineio_v3
from socketeer.protocol.engineio import (
    BASE64,
    CLOSE,
    MESSAGE,
    NOOP,
    OPEN,
    PING,
    PING_PACKET,
    PONG,
    UPGRADE,
    decode_base64,
)
from socketeer.protocol.frame import Message

log = logging.getLogger("socketeer")

#: Seconds that a closing session waits for the client's next poll, to tell it.
CLOSE_TIMEOUT: Final = 30.0


class State(Enum):
    """Where a session is in its life."""

    OPEN = "open"
    CLOSING = "closing"
    """Closed by us, with something still to send."""
    CLOSED = "closed"


class Heartbeat(Enum):
    """What the session's timer means when it fires."""

    RESTING = "resting"
    """A ping is due."""
    AWAITING = "awaiting"
    """The pong is late, and nothing else has come since the ping."""
    AWAITING_REFRESHED = "awaiting, refreshed"
    """The pong is late; something else has come and given it more time, once."""
    LISTENING = "listening"
    """Engine.IO 3, where the client pings: its next ping is late."""


# Names of this module: looking a member up on its class costs as much as the rest of the check.
_OPEN, _CLOSING, _CLOSED = State
_RESTING, _AWAITING, _AWAITING_REFRESHED, _LISTENING = Heartbeat
_NOWHERE: Final = ended_transport("")


class SessionHandler(Protocol):
    """Who gets a session's messages: the floor above."""

    def on_text(self, data: bytes) -> None:
        """A text message, with its Engine.IO type in front."""
        ...

    def on_binary(self, data: bytes) -> None:
        """A binary message."""
        ...

    def on_upgrade(self) -> None:
        """The session has moved to its WebSocket."""
        ...

    def on_close(self, reason: str, description: str | None) -> None:
        """The session has ended; called once."""
        ...


class Transport(Protocol):
    """The outgoing side of whatever carries a session at the moment."""

    @property
    def name(self) -> str:
        """``polling`` or ``websocket``."""
        ...

    @property
    def send(self) -> Callable[[Message], None]:
        """Queue a message. The session keeps this function, so that a message costs one call less."""
        ...

    def writable(self) -> bool:
        """Whether a message would leave now: the question that volatile messages ask."""
        ...

    def held(self) -> int:
        """Bytes queued."""
        ...

    def drained(self) -> Coroutine[Any, Any, None]:
        """Wait until the queue is below its low-water mark."""
        ...

    def finish(self, ended: Callable[[], None]) -> None:
        """Send what is queued, tell the peer that this is the end, then call ``ended``, perhaps at once."""
        ...

    def close(self) -> None:
        """End at once, telling the peer where that costs no waiting."""
        ...


class Upgrading(Protocol):
    """A WebSocket that is about to take over a polling session."""

    def cancel(self) -> None:
        """Give up; the session goes on, or has ended."""
        ...


class Session(Tappable):
    """One client's Engine.IO connection; ``socket.conn`` of the layer above.

    Events, for plain functions (https://socket.io/docs/v4/server-api/#socketconn): ``packet(packet)`` for
    each packet that comes, ``data(data)`` and ``message(data)`` for each message, ``packet_create(packet)``
    for each packet that is to be sent, ``flush(packets)`` and ``drain()`` when what was queued is handed
    over to the transport, ``upgrading(transport)``, ``upgrade(transport)``, ``heartbeat()`` and
    ``close(reason, description)``. A packet has a ``type`` and ``data``.

    Attributes:
        id: 20 characters, the query parameter ``sid``.
        protocol: the revision of Engine.IO that the client speaks: 4, or 3 with ``allow_eio3``.
        transport: what carries it now; ``transport.name`` is ``polling`` or ``websocket``.
        request: the handshake's HTTP request.
        upgrading: the WebSocket that asks to take over, or None.
        tick: for the timer wheel: a session is its own and only timer.
    """

    __slots__ = (
        "__weakref__",
        "_grain",
        "_heartbeat",
        "_on_closed",
        "handler",
        "id",
        "options",
        "protocol",
        "request",
        "send",
        "state",
        "tick",
        "transport",
        "upgrading",
        "wheel",
    )

    def __init__(
        self,
        sid: str,
        request: Request,
        options: EngineOptions,
        wheel: TimerWheel,
        on_closed: Callable[[Session], None],
        protocol: int = 4,
    ) -> None:
        super().__init__()
        self.id = sid
        self.protocol = protocol
        self.request = request
        self.options = options
        self.wheel = wheel
        self.state = _OPEN
        self.transport: Transport = _NOWHERE  # before it is opened
        self.handler: SessionHandler = NO_HANDLER
        self.upgrading: Upgrading | None = None
        self._on_closed = on_closed
        self._heartbeat = _RESTING
        self._grain = grain_of(min(options.ping_interval, options.ping_timeout))  # so that many ping together
        self.tick = -1
        self.send: Callable[[Message], None] = _discard
        """Queue a message. It is the transport's own method, so that a message costs one call less."""

    # --- life -----------------------------------------------------------------------------------

    def open(
        self, transport: Transport, handshake: Message, make_handler: Callable[[Session], SessionHandler]
    ) -> None:
        """Begin on ``transport``: the open packet leaves first, then the heartbeat starts."""
        self.transport = transport
        self.send = self._sender()
        self.send(handshake)
        if self.protocol == 3:
            self._heartbeat = _LISTENING
            self._listen()
        else:
            self.wheel.set(self, self.options.ping_interval, self._grain)
        self.handler = make_handler(self)

    def move_to(self, transport: Transport, queued: list[Message]) -> None:
        """Go on over ``transport``, the end of an upgrade; ``queued`` are messages the old one still held."""
        self.transport = transport
        self.upgrading = None
        forward = transport.send if self.outgoing is None else self.outgoing.forward
        for message in queued:
            forward(message)
        if self.state is _CLOSING:
            transport.finish(self._forced_close)
        elif self.state is _OPEN:
            self.send = self._sender()
            self.emit("upgrade", transport)
            self.handler.on_upgrade()

    def close(self, discard: bool = False) -> None:
        """Close from this side: reason ``forced close``. What is queued is sent first, or dropped with ``discard``."""
        if self.state is not _OPEN:
            return
        if discard:
            self.fail("forced close")
            return
        self.state = _CLOSING
        self.send = _discard
        self._heartbeat = _AWAITING_REFRESHED
        self.wheel.set(self, CLOSE_TIMEOUT)
        self.transport.finish(self._forced_close)

    def _forced_close(self) -> None:
        self.fail("forced close")

    def fail(self, reason: str, description: str | None = None) -> None:
        """The session has ended for ``reason``, one of Socket.IO's words. Everything is freed; twice does nothing."""
        if self.state is _CLOSED:
            return
        self.state = _CLOSED
        self.send = _discard
        self.wheel.clear(self)
        if self.upgrading is not None:
            self.upgrading.cancel()
            self.upgrading = None
        self.transport.close()
        self._on_closed(self)
        self.emit("close", reason, description)
        self.handler.on_close(reason, description)
        self._let_go()

    def _let_go(self) -> None:
        """Whatever points back here is left, so that all of it is freed at once and not by a collection."""
        self.transport = ended_transport(self.transport.name)
        self.handler = NO_HANDLER
        self.outgoing = None
        self._listeners = NOBODY

    def callback(self) -> None:
        """For the timer wheel: the time has come."""
        self._beat()

    def _beat(self) -> None:
        """The timer has fired."""
        if self.state is _CLOSING:
            self.fail("forced close")
        elif self._heartbeat is _RESTING:
            self._heartbeat = _AWAITING
            self.wheel.set(self, self.options.ping_timeout, self._grain)
            self.send(PING_PACKET)
        else:
            self.fail("ping timeout")

    # --- incoming -------------------------------------------------------------------------------

    def receive_text(self, data: bytes) -> None:
        """One packet in text form, from whatever transport."""
        if self.state is not _OPEN:
            return
        kind = data[0] if data else -1
        if self._heartbeat is _AWAITING and kind != PONG:
            self._refresh()
        if kind == MESSAGE:
            self.handler.on_text(data)
        else:
            self._receive_other(kind, data)

    def _refresh(self) -> None:
        """engine.io 6.6.12: the first other packet after a ping gives the pong more time, once."""
        self._heartbeat = _AWAITING_REFRESHED
        self.wheel.set(self, self.options.ping_timeout, self._grain)

    def _receive_other(self, kind: int, data: bytes) -> None:
        heard = self._listeners  # none, for most
        if heard and kind != BASE64 and self.listens("packet"):
            self.emit("packet", EnginePacket.of(data))
        if self.protocol == 3 and kind in (PING, PONG, BASE64):
            self._receive_v3(kind, data)
        elif kind == PONG:
            if self._heartbeat is not _RESTING:
                self._heartbeat = _RESTING
                self.wheel.set(self, self.options.ping_interval, self._grain)
                if heard:
                    self.emit("heartbeat")
        elif kind == BASE64:
            self._receive_typed(decode_base64, data)
        elif kind == PING:
            self.fail("transport error", "invalid heartbeat direction")
        elif kind == CLOSE:
            if self.transport.name == "polling":
                self.fail("transport close", "closed by the peer")
        elif kind not in (OPEN, UPGRADE, NOOP):  # the official server passes over these three
            self.fail("parse error", f"unknown Engine.IO packet {data[:8]!r}")

    def _receive_v3(self, kind: int, data: bytes) -> None:
        """What Engine.IO 3 has otherwise: the client pings, and a binary packet has its type in front."""
        if kind == PING:
            self._listen()
            self.send(engineio_v3.PONG_PACKET)
            self.emit("heartbeat")
        elif kind == PONG:
            self.fail("transport error", "invalid heartbeat direction")
        else:
            self._receive_typed(engineio_v3.decode_text_binary, data)

    def _receive_typed(self, decode: Callable[[bytes], bytes], data: bytes) -> None:
        try:
            binary = decode(data)
        except PacketError as error:
            self.fail("parse error", str(error))
        else:
            self.handler.on_binary(binary)

    def _listen(self) -> None:
        """The client's next ping has this long to come."""
        self.wheel.set(self, self.options.ping_interval + self.options.ping_timeout, self._grain)

    def receive_binary(self, data: bytes) -> None:
        """One binary message."""
        if self.state is not _OPEN:
            return
        if self.protocol == 3:
            self._receive_typed(engineio_v3.decode_binary, data)
            return
        if self._heartbeat is _AWAITING:
            self._refresh()
        self.handler.on_binary(data)

    def carrier_lost(self, reason: str, description: str) -> None:
        """The WebSocket that carried the session has ended."""
        self.fail(reason, description)

    # --- for the floor above and for users ------------------------------------------------------

    @property
    def ready_state(self) -> str:
        """``open``, ``closing`` or ``closed``."""
        return self.state.value

    @property
    def remote_address(self) -> str:
        """The client's address, without the port."""
        return self.request.address

    @property
    def upgraded(self) -> bool:
        """Whether it has moved from long-polling to another transport."""
        return self.transport.name != "polling" and self.request.params.get("transport") == "polling"

    def is_open(self) -> bool:
        """Whether messages come and go."""
        return self.state is _OPEN

    def writable(self) -> bool:
        """Whether a message would leave now."""
        return self.state is _OPEN and self.transport.writable()

    # --- taps: see engine/taps.py -----------------------------------------------------------------

    def _sender(self) -> Callable[[Message], None]:
        return self.transport.send if self.outgoing is None else self.outgoing.send

    def _place_taps(self, incoming: bool, outgoing: bool) -> None:
        if outgoing is not (self.outgoing is not None):
            self.outgoing = OutgoingTap(self) if outgoing else None
            if self.send is not _discard:
                self.send = self._sender()
        if self.handler is not NO_HANDLER:  # as before the session is open
            self.handler = tap_incoming(self, self.handler, incoming)


def _discard(message: Message) -> None:
    """Stands for ``transport.send`` once the session is over: emitting to a client that has gone is no error."""
