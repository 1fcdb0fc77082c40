"""The connecting side of an Engine.IO session: the server pings, the client answers and watches the clock.

https://socket.io/docs/v4/engine-io-protocol/#heartbeat
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar

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


class ClientSession(Session):
    """A session that this side has opened; ``client.io.engine``.

    Attributes:
        max_payload: bytes of one long-polling body that the server takes.
        upgrades: the transports that the server offers to move to.
    """

    events: ClassVar = Session.events | {"upgrade_error"}

    __slots__ = ("_clock", "_deadline", "_patience", "max_payload", "upgrades")

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
        self.wheel.set(self._timer, self._patience)

    @property
    def overdue(self) -> bool:
        """Whether the server's ping is late by the clock on the wall, as after the machine has slept."""
        return self._clock() > self._deadline

    def fail(self, reason: str, description: str | None = None) -> None:
        """The session has ended; once this side has closed it, whatever breaks is part of that."""
        if self.state is State.CLOSING:
            reason, description = "forced close", None
        super().fail(reason, description)

    def upgrade_failed(self, error: Exception) -> None:
        """The WebSocket that was to take over did not get through; the session goes on polling."""
        self.emit("upgrade_error", error)

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
