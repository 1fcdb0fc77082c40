"""Broadcasting, written once: what a server, a namespace, a socket and each other operator can do.

Every step gives a new operator and changes nothing, so an operator can be kept and used again.
https://socket.io/docs/v4/server-api/#namespace and #broadcast-operators
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterable
from typing import Any

from socketeer.engine.timers import Timer
from socketeer.errors import AckTimeout, ReservedEventError, UsageError
from socketeer.protocol.packet import RESERVED_EVENTS
from socketeer.server.adapter import Room, Target
from socketeer.server.ports import BroadcastSite

EVERYBODY = Target()


def check_event(event: str) -> None:
    """Refuse what cannot be emitted.

    Raises:
        ReservedEventError: the name belongs to Socket.IO.
        UsageError: it is not a name.
    """
    if event in RESERVED_EVENTS:
        raise ReservedEventError(f'"{event}" is a reserved event name')
    if not isinstance(event, str):
        raise UsageError(f"event: expected a name, got {event!r}")


class Sent:
    """What a broadcast returns. Await it to wait for the receivers' queues to drain; ignore it, and it costs nothing."""

    __slots__ = ("_site", "_target")

    def __init__(self, site: BroadcastSite, target: Target) -> None:
        self._site = site
        self._target = target

    def __await__(self) -> Generator[Any, None, None]:
        return self._wait().__await__()

    async def _wait(self) -> None:
        for socket_id in self._site.adapter.select(self._target):
            socket = self._site.sockets.get(socket_id)
            if socket is not None:
                await socket.drained()


class Broadcasting:
    """The verbs of a broadcast, for everything that has a target."""

    __slots__ = ()

    def _operator(self) -> BroadcastOperator:
        raise NotImplementedError

    def to(self, room: Room | Iterable[Room]) -> BroadcastOperator:
        """Only to members of this room, or of any of these rooms; repeated calls add rooms."""
        return self._operator().to(room)

    def in_(self, room: Room | Iterable[Room]) -> BroadcastOperator:
        """The same as :meth:`to`."""
        return self._operator().to(room)

    def except_(self, room: Room | Iterable[Room]) -> BroadcastOperator:
        """Not to members of this room, or of any of these rooms."""
        return self._operator().except_(room)

    @property
    def local(self) -> BroadcastOperator:
        """Only to clients of this node."""
        return self._operator().local

    @property
    def volatile(self) -> Any:
        """Drop the event for clients whose transport is busy."""
        return self._operator().volatile

    def compress(self, compress: bool) -> Any:
        """Whether long-polling answers may be compressed for the sake of this event."""
        return self._operator().compress(compress)

    def timeout(self, timeout: float) -> Any:
        """Wait at most this many seconds for acknowledgements."""
        return self._operator().timeout(timeout)

    def emit(self, event: str, *args: Any) -> Any:
        """Send an event to all clients that are meant. Returns at once; see :class:`Sent`.

        Raises:
            ReservedEventError: the name belongs to Socket.IO.
            TypeError: an argument cannot be sent.
        """
        return self._operator().emit(event, *args)

    def send(self, *args: Any) -> Any:
        """Emit a ``message`` event."""
        return self.emit("message", *args)

    async def emit_with_ack(self, event: str, *args: Any, timeout: float | None = None) -> Any:
        """Send an event and wait until every client that is meant has acknowledged it.

        Returns:
            A list with each client's (first) value, in the order in which they came.

        Raises:
            AckTimeout: not all did in time; ``responses`` holds the values that came.
        """
        return await self._operator().emit_with_ack(event, *args, timeout=timeout)


class BroadcastOperator(Broadcasting):
    """A target that is being described, then emitted to."""

    __slots__ = ("_site", "_target")

    def __init__(self, site: BroadcastSite, target: Target = EVERYBODY) -> None:
        self._site = site
        self._target = target

    def _operator(self) -> BroadcastOperator:
        return self

    def to(self, room: Room | Iterable[Room]) -> BroadcastOperator:
        target = self._target
        rooms = dict.fromkeys((*target.rooms, *room_names(room)))
        return BroadcastOperator(self._site, Target(tuple(rooms), target.except_rooms, target.flags))

    def in_(self, room: Room | Iterable[Room]) -> BroadcastOperator:
        return self.to(room)

    def except_(self, room: Room | Iterable[Room]) -> BroadcastOperator:
        target = self._target
        rooms = dict.fromkeys((*target.except_rooms, *room_names(room)))
        return BroadcastOperator(self._site, Target(target.rooms, tuple(rooms), target.flags))

    @property
    def local(self) -> BroadcastOperator:
        return BroadcastOperator(self._site, self._target.flagged(local=True))

    @property
    def volatile(self) -> BroadcastOperator:
        return BroadcastOperator(self._site, self._target.flagged(volatile=True))

    def compress(self, compress: bool) -> BroadcastOperator:
        return BroadcastOperator(self._site, self._target.flagged(compress=compress))

    def timeout(self, timeout: float) -> BroadcastOperator:
        return BroadcastOperator(self._site, self._target.flagged(timeout=timeout))

    def emit(self, event: str, *args: Any) -> Sent:
        check_event(event)
        site, target = self._site, self._target
        message = site.parser.encode_event(site.prefix, None, (event, *args), target.flags.compress)
        site.adapter.broadcast(message, target)
        return Sent(site, target)

    async def emit_with_ack(self, event: str, *args: Any, timeout: float | None = None) -> list[Any]:
        check_event(event)
        site, target = self._site, self._target
        ack_id = site.next_ack_id()
        message = site.parser.encode_event(site.prefix, ack_id, (event, *args), target.flags.compress)
        replies = _Replies()
        asked = []
        for socket_id in list(site.adapter.select(target)):
            socket = site.sockets.get(socket_id)
            if socket is not None:
                asked.append(socket)
                replies.expect()
                socket.acks.add(ack_id, replies)
                socket.conn.send(message)
        try:
            return await replies.wait(site, target.flags.timeout if timeout is None else timeout)
        finally:
            for socket in asked:
                socket.acks.forget(ack_id)


class _Replies:
    """Gathers the acknowledgements of many sockets; only the first value of each counts."""

    __slots__ = ("_future", "_missing", "_waived", "responses")

    def __init__(self) -> None:
        self.responses: list[Any] = []
        self._missing = 1
        """Those who have not answered, and one more until all have been asked: a socket may break meanwhile."""
        self._waived = 0
        self._future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def expect(self) -> None:
        """One more socket is asked."""
        self._missing += 1

    def answered(self, args: list[Any]) -> None:
        """A socket has acknowledged."""
        self.responses.append(args[0] if args else None)
        self._one_less()

    def gone(self) -> None:
        """A socket has disconnected: without a time-out nobody waits for it, with one it counts as late."""
        self._waived += 1
        self._one_less()

    def _one_less(self) -> None:
        self._missing -= 1
        if self._missing == 0 and not self._future.done():
            self._future.set_result(None)

    def _late(self) -> None:
        if not self._future.done():
            self._future.set_exception(AckTimeout(responses=self.responses))

    async def wait(self, site: BroadcastSite, timeout: float | None) -> list[Any]:
        """All have been asked: all the values, or AckTimeout with those that came."""
        self._one_less()
        timer = Timer(self._late)
        if timeout is not None:
            site.wheel.set(timer, timeout)
        try:
            await self._future
        finally:
            if timeout is not None:
                site.wheel.clear(timer)
        if self._waived and timeout is not None:
            raise AckTimeout(responses=self.responses)
        return self.responses


def room_names(rooms: Room | Iterable[Room]) -> tuple[Room, ...]:
    """One room, or several."""
    return (rooms,) if isinstance(rooms, str) else tuple(rooms)
