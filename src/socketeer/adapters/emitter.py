"""Emit from processes that serve nobody: Celery's workers, Django's views, a script.

https://socket.io/docs/v4/redis-adapter/#emitter
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Any, NoReturn, Protocol, Self, cast

from socketeer.adapters.bus import Bus
from socketeer.adapters.messages import (
    EMITTER,
    Broadcast,
    Disconnection,
    EventPacket,
    Kind,
    Membership,
    Message,
    Opts,
    ServerSideEmit,
)
from socketeer.adapters.postbox import Postbox, Told
from socketeer.adapters.wire import Wire
from socketeer.checks import positive
from socketeer.errors import OptionError, ReservedEventError, UsageError
from socketeer.server.adapter import Room, Target
from socketeer.server.namespace import SERVER_EVENTS
from socketeer.server.operators import check_event, room_names

EVERYBODY = Target()


class Engine(Protocol):
    """What ``Server(adapter=...)`` takes for an engine that an emitter can use, too."""

    @property
    def bus(self) -> Bus:
        """What moves the bytes."""
        ...

    def wire(self, nsp: str, bus: Bus) -> Wire:
        """The engine's format for one namespace, over this bus."""
        ...


class EmitterOperator:
    """Whom an emitter means; each call gives another one."""

    def __init__(self, emitter: Emitter, nsp: str, target: Target = EVERYBODY) -> None:
        self._emitter = emitter
        self._nsp = nsp
        self._target = target

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._nsp!r}>"

    def _aim(self, target: Target) -> EmitterOperator:
        return EmitterOperator(self._emitter, self._nsp, target)

    def to(self, room: Room | Iterable[Room]) -> EmitterOperator:
        """Only to members of this room, or of any of these rooms; repeated calls add rooms."""
        target = self._target
        rooms = dict.fromkeys((*target.rooms, *room_names(room)))
        return self._aim(Target(tuple(rooms), target.except_rooms, target.flags))

    def in_(self, room: Room | Iterable[Room]) -> EmitterOperator:
        """The same as :meth:`to`."""
        return self.to(room)

    def except_(self, room: Room | Iterable[Room]) -> EmitterOperator:
        """But not to members of this room, or of any of these."""
        target = self._target
        rooms = dict.fromkeys((*target.except_rooms, *room_names(room)))
        return self._aim(Target(target.rooms, tuple(rooms), target.flags))

    @property
    def volatile(self) -> EmitterOperator:
        """Dropped for clients whose transport is busy."""
        return self._aim(self._target.flagged(volatile=True))

    def compress(self, compress: bool) -> EmitterOperator:
        """Whether it may be compressed."""
        return self._aim(self._target.flagged(compress=compress))

    def emit(self, event: str, *args: Any) -> Told:
        """Send an event to clients.

        Where a loop runs in this thread it returns at once, and may be awaited; elsewhere it waits until the
        broker has accepted the event.

        Raises:
            ReservedEventError: the name belongs to Socket.IO.
            UsageError: a function is among the arguments: nobody acknowledges to an emitter.
            TypeError: an argument cannot be sent.
            MessageTooLarge: it is too large for the broker.
            BrokerUnavailable: the broker did not accept it.
            TimeoutError: it did not in time.
        """
        check_event(event)
        if any(callable(each) for each in args):
            raise UsageError("emit: expected values, got a function; acknowledgements are not supported here")
        data = Broadcast(opts=Opts.of(self._target), packet=EventPacket([event, *args]))
        return self._tell(Kind.BROADCAST, data)

    def send(self, *args: Any) -> Told:
        """Emit a ``message`` event."""
        return self.emit("message", *args)

    def sockets_join(self, rooms: Room | Iterable[Room]) -> Told:
        """Make sockets join rooms."""
        return self._tell_membership(Kind.SOCKETS_JOIN, rooms)

    def sockets_leave(self, rooms: Room | Iterable[Room]) -> Told:
        """Make sockets leave rooms."""
        return self._tell_membership(Kind.SOCKETS_LEAVE, rooms)

    def _tell_membership(self, kind: Kind, rooms: Room | Iterable[Room]) -> Told:
        return self._tell(kind, Membership(opts=Opts.of(self._target), rooms=list(room_names(rooms))))

    def disconnect_sockets(self, close: bool = False) -> Told:
        """Disconnect sockets; with ``close``, their connections too."""
        return self._tell(Kind.DISCONNECT_SOCKETS, Disconnection(opts=Opts.of(self._target), close=close))

    def server_side_emit(self, event: str, *args: Any) -> Told:
        """Emit an event to the servers; ``nsp.on(event)`` listens there.

        Raises:
            ReservedEventError: the name belongs to the server itself.
        """
        if event in SERVER_EVENTS:
            raise ReservedEventError(f'"{event}" is a reserved event name')
        return self._tell(Kind.SERVER_SIDE_EMIT, ServerSideEmit(packet=[event, *args]))

    async def emit_with_ack(self, event: str, *args: Any) -> NoReturn:  # noqa: ARG002
        """Refused: who emits from here hears nothing."""
        raise UsageError(f"emit_with_ack({event!r}): acknowledgements are not supported by emitters")

    def _tell(self, kind: Kind, data: Any) -> Told:
        return self._emitter.tell(Message(kind, self._nsp, EMITTER, data))


class Emitter(EmitterOperator):
    """Tells the servers of a cluster what to send, from a process that serves nobody.

    ::

        emitter = Emitter(RedisAdapter("redis://localhost:6379"))
        emitter.to("room").emit("news", {"a": 1})

    It may be used from any thread, and from any event loop; one connection in the background serves all of them.

    Args:
        engine: as for ``Server(adapter=...)``, with the same options as the servers have; an object of its own.
        timeout: seconds that a call waits for the broker where no loop runs.

    Raises:
        OptionError: this is no engine.
    """

    def __init__(self, engine: Engine, *, timeout: float = 5.0) -> None:
        positive("timeout", timeout)
        if not hasattr(engine, "wire") or not hasattr(engine, "bus"):
            raise OptionError(
                f"engine: expected an object such as RedisAdapter('redis://...'), got {engine!r:.100}"
            )
        super().__init__(self, "/")
        self._engine = engine
        self._timeout = timeout
        self._postbox = Postbox(engine.bus)
        self._wires: dict[str, Wire] = {}

    def of(self, nsp: str) -> EmitterOperator:
        """The same for another namespace."""
        return EmitterOperator(self, nsp if nsp.startswith("/") else f"/{nsp}")

    def tell(self, message: Message) -> Told:
        """For operators: tell the servers."""
        wire = self._wires.get(message.nsp)
        if wire is None:
            wire = self._wires[message.nsp] = self._engine.wire(message.nsp, self._postbox)
        told = cast(Told, wire.send(message))
        if not _in_a_loop():
            told.wait(self._timeout)
        return told

    def close(self) -> None:
        """Send what is queued, and end the connection; it blocks for a second at most."""
        self._postbox.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
