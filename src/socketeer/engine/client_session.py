"""The connecting side of an Engine.IO session: the server pings, the client answers and watches the clock.

https://socket.io/docs/v4/engine-io-protocol/#heartbeat
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar, Protocol

from socketeer.client_options import ConnectOptions
from socketeer.engine.http.message import Request
from socketeer.engine.session import Session, SessionHandler, State, Transport
from socketeer.engine.timers import TimerWheel
from socketeer.options import EngineOptions
from socketeer.protocol.engineio import (
    BASE64,
    CLOSE,
    MESSAGE,
    NOOP,
    OPEN,
    PING,
    PONG,
    UPGRADE,
    Handshake,
    decode_base64,
)
from socketeer.protocol.frame import Message

_PONG_PACKET = Message(b"3")


class HoldingBack(Protocol):
    """What is held back until the server has read what was sent before."""

    closing: bool

    def say_goodbye(self, message: Message) -> None:
        """Hold a goodbye back."""
        ...

    def hold(self, message: Message) -> None:
        """Hold back what is sent behind a goodbye."""
        ...

    def cancel(self) -> None:
        """The session has ended."""
        ...

    async def wait(self) -> None:
        """Wait until everything has left."""
        ...


class ClientSession(Session):
    """A session that this side has opened; ``client.io.engine``.

    Attributes:
        max_payload: bytes of one long-polling body that the server takes.
        upgrades: the transports that the server offers to move to.
        parting: what is held back behind a goodbye, or None.
    """

    events: ClassVar = Session.events | {"upgrade_error"}

    __slots__ = ("_clock", "_deadline", "_patience", "max_payload", "parting", "upgrades")

    def __init__(
        self,
        handshake: Handshake,
        request: Request,
        options: ConnectOptions,
        wheel: TimerWheel,
        on_closed: Callable[[Session], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        engine = EngineOptions(
            ping_interval=handshake.ping_interval,
            ping_timeout=handshake.ping_timeout,
            backpressure=options.backpressure,
            limits=options.limits,
        )
        super().__init__(handshake.sid, request, engine, wheel, on_closed)
        self.max_payload = handshake.max_payload
        self.upgrades = handshake.upgrades
        self.parting: HoldingBack | None = None
        self._patience = handshake.ping_interval + handshake.ping_timeout
        self._clock = clock
        self._deadline = 0.0
        """The time of day by which the next ping is due: a machine that slept is late by this clock alone."""

    def begin(self, transport: Transport, make_handler: Callable[[Session], SessionHandler]) -> None:
        """The handshake is through: go on over ``transport``."""
        self.transport = transport
        self.send = self._sender()
        self._await_ping()
        self.handler = make_handler(self)

    def _await_ping(self) -> None:
        self._deadline = self._clock() + self._patience
        self.wheel.set(self, self._patience)

    @property
    def overdue(self) -> bool:
        """Whether the server's ping is late by the clock on the wall, as after the machine has slept."""
        return self._clock() > self._deadline

    # --- goodbyes: see engine/parting.py ----------------------------------------------------------

    def part(self, parting: HoldingBack) -> None:
        """Hold back what is sent from now on, until :meth:`parted`."""
        self.parting = parting
        self.send = parting.hold

    def send_now(self, message: Message) -> None:
        """Send what was held back."""
        if self.state is State.OPEN:
            super()._sender()(message)

    def parted(self) -> None:
        """Nothing is held back any more."""
        parting, self.parting = self.parting, None
        if self.state is State.OPEN:
            self.send = self._sender()
            if parting is not None and parting.closing:
                self.close()

    def _sender(self) -> Callable[[Message], None]:
        return super()._sender() if self.parting is None else self.parting.hold

    def close(self, discard: bool = False) -> None:
        """Close from this side: reason ``forced close``. What is queued is sent first, or dropped with ``discard``."""
        if self.parting is not None and not discard:
            self.parting.closing = True
        else:
            super().close(discard)

    def fail(self, reason: str, description: str | None = None) -> None:
        """The session has ended; once this side has closed it, whatever breaks is part of that."""
        if self.state is State.CLOSING or (self.parting is not None and self.parting.closing):
            reason, description = "forced close", None
        super().fail(reason, description)
        if self.parting is not None:
            self.parting.cancel()

    def upgrade_failed(self, error: Exception) -> None:
        """The WebSocket that was to take over did not get through; the session goes on polling."""
        self.emit("upgrade_error", error)

    def _let_go(self) -> None:
        """A client has one session at a time, and asks it for more after its end."""

    def _beat(self) -> None:
        self.fail("ping timeout")

    def _receive_other(self, kind: int, data: bytes) -> None:
        if kind == PING:
            self._await_ping()
            self.send(_PONG_PACKET if len(data) == 1 else Message(b"3" + data[1:]))
            self.emit("heartbeat")
        elif kind == BASE64:
            self._receive_typed(decode_base64, data)
        elif kind == CLOSE:
            if self.transport.name == "polling":
                self.fail("transport close", "closed by the server")
        elif kind not in (OPEN, PONG, UPGRADE, NOOP, MESSAGE):
            # The official client's reason, where the official server says "parse error".
            self.fail("transport error", f"unknown Engine.IO packet {data[:8]!r}")
