"""What stands between a session and its messages while somebody listens to packets, and only then.

A message costs what it costs because there is nothing between the transport and the handler
(docs/decisions/0005-what-a-message-costs.md). So there is no check whether anybody listens: whoever
begins to listen puts a tap there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol

from socketeer.engine.emitter import Emitter
from socketeer.protocol.frame import Message

#: Events that need a tap before the session's handler, and those that need one before its ``send``.
INCOMING: Final = ("packet", "data", "message")
OUTGOING: Final = ("packet_create", "flush", "drain")

_NAMES: Final = ("open", "close", "ping", "pong", "message", "upgrade", "noop")


@dataclass(frozen=True, slots=True)
class EnginePacket:
    """One Engine.IO packet, as a listener sees it (https://socket.io/docs/v4/engine-io-protocol/#protocol)."""

    type: str
    """``message``, ``ping``, ``pong``, ...; ``error`` is what is none."""
    data: str | bytes | None = None
    """Text or binary; None where there is none."""

    @classmethod
    def of(cls, text: bytes) -> EnginePacket:
        """From its text form: the type's digit, and the data."""
        kind = text[:1]
        if not b"0" <= kind <= b"6":
            return cls("error", "parser error")
        return cls(_NAMES[int(kind)], text[1:].decode(errors="replace") or None)


def packets_of(message: Message) -> list[EnginePacket]:
    """The packets that a message is made of: the text, and the attachments that follow it."""
    packets = [EnginePacket.of(message.text)] if message.text else []
    return packets + [EnginePacket("message", bytes(each)) for each in message.attachments]


class Handler(Protocol):
    """Who gets the messages: what the tap stands before."""

    def on_text(self, data: bytes) -> None: ...

    def on_binary(self, data: bytes) -> None: ...

    def on_upgrade(self) -> None: ...

    def on_close(self, reason: str, description: str | None) -> None: ...


class Carrying(Protocol):
    """What a tap needs of a transport."""

    @property
    def name(self) -> str: ...

    @property
    def send(self) -> Callable[[Message], None]: ...

    def held(self) -> int: ...

    def drained(self) -> Coroutine[Any, Any, None]: ...


class Tapped(Protocol):
    """What a tap needs of a session."""

    @property
    def transport(self) -> Carrying: ...

    def is_open(self) -> bool: ...

    def tell(self, event: str, *args: Any) -> None: ...


class Tappable(Emitter):
    """The listening side of a session: where somebody listens to messages there is a tap, and nowhere else."""

    __slots__ = ("_watcher", "outgoing")

    name: ClassVar = "conn"
    events: ClassVar = frozenset((*INCOMING, *OUTGOING, "upgrading", "upgrade", "heartbeat", "close"))

    def __init__(self) -> None:
        super().__init__()
        self.outgoing: OutgoingTap | None = None
        """Stands before ``send`` while somebody listens to what is sent."""
        self._watcher: Emitter | None = None

    def watch(self, watcher: Emitter | None) -> None:
        """Tell ``watcher`` of ``flush(session, packets)`` and ``drain(session)``; None for nobody."""
        self._watcher = watcher
        self._listeners_changed()

    def tell(self, event: str, *args: Any) -> None:
        """Emit an event here, and with the session in front where the whole engine is listened to."""
        self.emit(event, *args)
        if self._watcher is not None and event in ("flush", "drain"):
            self._watcher.emit(event, self, *args)

    def _listeners_changed(self) -> None:
        self._place_taps(self.listens(*INCOMING), self._watcher is not None or self.listens(*OUTGOING))

    def _place_taps(self, incoming: bool, outgoing: bool) -> None:
        """Put taps where they are wanted, and take away those that are not."""
        raise NotImplementedError


class IncomingTap:
    """Tells of each message before its handler gets it. It is the session's handler meanwhile."""

    __slots__ = ("_session", "handler")

    def __init__(self, session: Tapped, handler: Handler) -> None:
        self._session = session
        self.handler = handler

    def on_text(self, data: bytes) -> None:
        self._told(EnginePacket.of(data))
        if self._session.is_open():  # a listener may have closed it
            self.handler.on_text(data)

    def on_binary(self, data: bytes) -> None:
        self._told(EnginePacket("message", data))
        if self._session.is_open():
            self.handler.on_binary(data)

    def _told(self, packet: EnginePacket) -> None:
        tell = self._session.tell
        tell("packet", packet)
        tell("data", packet.data)
        tell("message", packet.data)

    def on_upgrade(self) -> None:
        self.handler.on_upgrade()

    def on_close(self, reason: str, description: str | None) -> None:
        self.handler.on_close(reason, description)


def tap_incoming(session: Tapped, handler: Handler, wanted: bool) -> Handler:
    """The handler with a tap before it, or without."""
    if isinstance(handler, IncomingTap):
        return handler if wanted else handler.handler
    return IncomingTap(session, handler) if wanted else handler


class OutgoingTap:
    """Tells of each packet before it is queued, and of the queue when it is handed over.

    A WebSocket takes each message at once, so ``flush`` comes with each, and ``drain`` at the end of the
    loop's turn, or later where the client is slow to read. Long-polling says itself when a poll has
    taken its queue, by :meth:`taken`.
    """

    __slots__ = ("_draining", "_session")

    def __init__(self, session: Tapped) -> None:
        self._session = session
        self._draining: asyncio.Handle | asyncio.Task[None] | None = None
        """What waits for the end of this turn, or for a slow client."""

    def send(self, message: Message) -> None:
        """Stands in for the transport's own."""
        session = self._session
        for packet in packets_of(message):
            session.tell("packet_create", packet)
        if session.is_open():  # a listener may have closed it
            self.forward(message)

    def forward(self, message: Message) -> None:
        """Hand over a message that has been told of when it was created."""
        transport = self._session.transport
        if transport.name == "polling":
            transport.send(message)
            return
        self._session.tell("flush", packets_of(message))
        transport.send(message)
        if self._draining is None:
            # Behind the carrier's own call, which writes what it has gathered.
            self._draining = asyncio.get_running_loop().call_soon(self._turn_over)

    def _turn_over(self) -> None:
        if self._session.transport.held():
            self._draining = asyncio.get_running_loop().create_task(self._wait())
        else:
            self._drained()

    async def _wait(self) -> None:
        await self._session.transport.drained()
        self._drained()

    def _drained(self) -> None:
        self._draining = None
        if self._session.is_open():
            self._session.tell("drain")

    def taken(self, messages: Iterable[Message]) -> None:
        """A poll has taken the queue, which held these messages."""
        packets = [packet for message in messages for packet in packets_of(message)]
        if packets:
            self._session.tell("flush", packets)
            self._session.tell("drain")
