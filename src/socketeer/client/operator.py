"""Sending one event with flags: ``client.volatile``, ``client.timeout(5)`` and the like."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any, Protocol

from socketeer.client.outgoing import NO_FLAGS, Outgoing, OutgoingFlags
from socketeer.errors import ReservedEventError, UsageError
from socketeer.protocol.packet import RESERVED_EVENTS


def check_event(event: Any) -> None:
    """Refuse what cannot be emitted.

    Raises:
        ReservedEventError: the name belongs to Socket.IO.
        UsageError: it is not a name.
    """
    if not isinstance(event, str):
        raise UsageError(f"event: expected a name, got {event!r}")
    if event in RESERVED_EVENTS:
        raise ReservedEventError(f'"{event}" is a reserved event name')


class Emitting(Protocol):
    """The outgoing side of a namespace, as its operators see it."""

    def deliver(self, outgoing: Outgoing) -> None:
        """Send an event now, or later."""
        ...

    async def ask(self, outgoing: Outgoing) -> Any:
        """Send an event and wait for its acknowledgement."""
        ...

    async def drained(self) -> None:
        """Wait until what was emitted is on its way."""
        ...


class Sent:
    """What ``emit`` returns. Await it to wait until the event is on its way and the queue below its low-water mark."""

    __slots__ = ("_socket",)

    def __init__(self, socket: Emitting) -> None:
        self._socket = socket

    def __await__(self) -> Generator[Any, None, None]:
        return self._socket.drained().__await__()


class Sending:
    """The verbs of emitting, for a socket and for each operator."""

    __slots__ = ()

    def _operator(self) -> SocketOperator:
        raise NotImplementedError

    @property
    def volatile(self) -> SocketOperator:
        """Drop the next event where it cannot leave at once."""
        return self._operator().flagged(volatile=True)

    def compress(self, compress: bool) -> SocketOperator:
        """Whether the next event may be compressed."""
        return self._operator().flagged(compress=compress)

    def timeout(self, timeout: float) -> SocketOperator:
        """Wait at most this many seconds for the acknowledgement of the next event."""
        return self._operator().flagged(timeout=timeout)

    def emit(self, event: str, *args: Any) -> Sent:
        """Send an event; without a connection it is kept, and sent once there is one.

        Awaiting the result waits until it is on its way, and the queue below its low-water mark.

        Raises:
            ReservedEventError: the name belongs to Socket.IO.
            TypeError: an argument cannot be sent.
        """
        return self._operator().emit(event, *args)

    def send(self, *args: Any) -> Sent:
        """Emit a ``message`` event."""
        return self.emit("message", *args)

    async def emit_with_ack(self, event: str, *args: Any, timeout: float | None = None) -> Any:
        """Send an event and wait for the server's acknowledgement: its value, or a tuple of several.

        Raises:
            AckTimeout: it did not come within ``timeout`` seconds (the option ``ack_timeout`` where None).
            SocketDisconnected: the connection broke while it was waited for.
        """
        return await self._operator().emit_with_ack(event, *args, timeout=timeout)


class SocketOperator(Sending):
    """The flags of the next event. Every step gives a new operator."""

    __slots__ = ("_flags", "_socket")

    def __init__(self, socket: Emitting, flags: OutgoingFlags = NO_FLAGS) -> None:
        self._socket = socket
        self._flags = flags

    def _operator(self) -> SocketOperator:
        return self

    def flagged(self, **flags: Any) -> SocketOperator:
        """The same with other flags."""
        return SocketOperator(self._socket, replace(self._flags, **flags))

    def emit(self, event: str, *args: Any) -> Sent:
        check_event(event)
        self._socket.deliver(Outgoing((event, *args), self._flags))
        return Sent(self._socket)

    async def emit_with_ack(self, event: str, *args: Any, timeout: float | None = None) -> Any:
        check_event(event)
        flags = self._flags if timeout is None else replace(self._flags, timeout=timeout)
        return await self._socket.ask(Outgoing((event, *args), flags))
