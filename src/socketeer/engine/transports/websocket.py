"""The WebSocket transport, and the probe that brings a polling session onto it.

https://socket.io/docs/v4/engine-io-protocol/#upgrade
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from socketeer.engine.carriers.base import Carrier, Deaf
from socketeer.engine.session import Session, State
from socketeer.engine.timers import Timer
from socketeer.engine.transports.polling import PollingTransport
from socketeer.protocol import engineio_v3
from socketeer.protocol.engineio import PROBE_PING, PROBE_PONG, UPGRADE
from socketeer.protocol.frame import RECORD_SEPARATOR, Message

#: Seconds between the empty answers to polls that come while an upgrade runs.
NOOP_INTERVAL: Final = 0.1


class WebSocketTransport:
    """Sends a session's messages over a carrier; what comes in goes from the carrier to the session."""

    __slots__ = ("carrier",)

    name: str = "websocket"

    def __init__(self, carrier: Carrier) -> None:
        self.carrier = carrier

    @property
    def send(self) -> Callable[[Message], None]:
        """The carrier's own method, unless the client wants binary otherwise than as it is."""
        return self.carrier.send

    def writable(self) -> bool:
        """Whether a message would leave now."""
        return self.carrier.writable()

    def held(self) -> int:
        """Bytes queued."""
        return self.carrier.held()

    async def drained(self) -> None:
        """Wait until the queue is below its low-water mark."""
        await self.carrier.drained()

    def finish(self, ended: Callable[[], None]) -> None:
        """The close frame follows what is queued; the official server does not wait for its answer either."""
        self.carrier.close()
        ended()

    def close(self) -> None:
        """Close the WebSocket, if it is not closed yet."""
        self.carrier.close()


class _Base64(WebSocketTransport):
    """For clients that asked for ``b64``: binary as text."""

    __slots__ = ()

    @property
    def send(self) -> Callable[[Message], None]:
        return self._encode

    def _encode(self, message: Message) -> None:
        for part in message.payload().split(RECORD_SEPARATOR):
            self.carrier.send(Message(part))


class _Typed(WebSocketTransport):
    """For clients of Engine.IO 3: binary with its type byte."""

    __slots__ = ()

    @property
    def send(self) -> Callable[[Message], None]:
        return self._encode

    def _encode(self, message: Message) -> None:
        self.carrier.send(engineio_v3.typed(message))


class _TypedBase64(WebSocketTransport):
    """For those of them that asked for ``b64``."""

    __slots__ = ()

    @property
    def send(self) -> Callable[[Message], None]:
        return self._encode

    def _encode(self, message: Message) -> None:
        for packet in engineio_v3.base64_packets(message):
            self.carrier.send(Message(packet))


def websocket_transport(carrier: Carrier, base64: bool = False, protocol: int = 4) -> WebSocketTransport:
    """The transport for a client that speaks this revision, and wants binary as base64 or as it is."""
    if protocol == 3:
        return _TypedBase64(carrier) if base64 else _Typed(carrier)
    return _Base64(carrier) if base64 else WebSocketTransport(carrier)


class Probe:
    """A WebSocket that asks to take over a polling session.

    The client sends ``2probe`` and gets ``3probe``; it lets its last poll end, for which we answer
    the waiting one, or the one that is on its way; then it sends ``5``, and everything goes over the
    WebSocket from there on. Until then the session stays on polling, whatever happens here.
    """

    __slots__ = ("_carrier", "_noop", "_polling", "_session", "_timeout", "_transport")

    def __init__(self, session: Session, polling: PollingTransport, carrier: Carrier, base64: bool) -> None:
        self._session = session
        self._polling = polling
        self._carrier = carrier
        self._transport = websocket_transport(carrier, base64, session.protocol)
        self._noop = Timer(self._release_poll)
        self._timeout = Timer(self.cancel)
        session.upgrading = self
        carrier.receiver = self
        session.wheel.set(self._timeout, session.options.upgrade_timeout)

    def receive_text(self, data: bytes) -> None:
        """``2probe`` and ``5`` are all that may come."""
        if data == PROBE_PING:
            self._carrier.send(PROBE_PONG)
            self._session.emit("upgrading", self._transport)
            self._polling.hurry()
            self._session.wheel.set(self._noop, NOOP_INTERVAL)
        elif data[:1] == bytes((UPGRADE,)) and self._session.state is not State.CLOSED:
            self._complete()
        else:
            self.cancel()

    def receive_binary(self, data: bytes) -> None:  # noqa: ARG002
        """No binary belongs into a probe."""
        self.cancel()

    def carrier_lost(self, reason: str, description: str) -> None:  # noqa: ARG002
        """The probe's WebSocket has gone: the session goes on polling."""
        self._forget()
        self._carrier.receiver = Deaf()

    def _release_poll(self) -> None:
        self._polling.release()
        self._session.wheel.set(self._noop, NOOP_INTERVAL)

    def _complete(self) -> None:
        self._forget()
        self._carrier.receiver = self._session
        self._session.move_to(self._transport, self._polling.retire())

    def cancel(self) -> None:
        """Give up this WebSocket; the session is not touched."""
        self._forget()
        self._carrier.close()
        self._carrier.receiver = Deaf()

    def _forget(self) -> None:
        self._session.wheel.clear(self._noop)
        self._session.wheel.clear(self._timeout)
        self._noop.retire()
        self._timeout.retire()
        self._polling.hurried = False
        if self._session.upgrading is self:
            self._session.upgrading = None
