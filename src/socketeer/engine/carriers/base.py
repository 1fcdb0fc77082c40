"""The seam between an Engine.IO session and whatever moves a WebSocket's bytes.

A carrier delivers whole messages to its :class:`Receiver` and takes whole
:class:`~socketeer.protocol.frame.Message` objects from the session. It owns the WebSocket itself:
frames, fragments, control frames, limits, the closing handshake, and the outgoing queue.
"""

from __future__ import annotations

from typing import Protocol

from socketeer.protocol.frame import Message


class Receiver(Protocol):
    """Who gets what a WebSocket brings: a probe at first, the session after the upgrade."""

    def receive_text(self, data: bytes) -> None:
        """One whole text message, as UTF-8 that nobody has checked yet."""
        ...

    def receive_binary(self, data: bytes) -> None:
        """One whole binary message."""
        ...

    def carrier_lost(self, reason: str, description: str) -> None:
        """The WebSocket has ended; called once, unless :meth:`Carrier.close` or ``abort`` came first.

        ``reason`` is ``transport close`` where the peer ended it, ``transport error`` otherwise.
        """
        ...


class Carrier(Protocol):
    """One WebSocket, already open."""

    receiver: Receiver

    def send(self, message: Message) -> None:
        """Queue a message; it leaves with the others of the same turn of the loop, in order."""
        ...

    def writable(self) -> bool:
        """Whether nothing waits to leave."""
        ...

    def held(self) -> int:
        """Bytes queued and not yet taken by the system."""
        ...

    async def drained(self) -> None:
        """Wait until the queue is below its low-water mark, or the WebSocket has ended."""
        ...

    def close(self) -> None:
        """Send what is queued and a close frame, then end. Nothing more is delivered."""
        ...

    def abort(self) -> None:
        """End at once; what is queued is dropped."""
        ...


class Deaf:
    """The receiver of a WebSocket that is closed as soon as it is open."""

    def receive_text(self, data: bytes) -> None: ...

    def receive_binary(self, data: bytes) -> None: ...

    def carrier_lost(self, reason: str, description: str) -> None: ...
