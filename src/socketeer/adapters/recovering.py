"""Connection state recovery across nodes, over any engine that keeps broadcasts in one ordered log.

https://socket.io/docs/v4/connection-state-recovery. An engine (Redis streams, NATS JetStream) brings a
:class:`~socketeer.adapters.durable.DurableWire`; :class:`RecoveringClusterAdapter` does the rest:

- **Offsets.** Each node reads the whole log, its own entries too, and sends an event to its clients when it
  comes by there, with its place in the log as the offset. So all clients of all nodes get events in the order of
  the log, and an offset says exactly what its client has got. An entry of this node is known again by its
  number (``Entry.number``); it goes to those who were meant when it was emitted.
- **Order.** What this node emits directly while some of its entries are still on their way queues behind them.
- **Without the broker** events are sent at once, without an offset. Those that waited for the log at that moment are, too.
- **Restoring.** The session is taken out of the broker, by one node only. What came after the client's offset this
  node remembers (:class:`~socketeer.adapters.tail.Tail`), or reads from the log, once for all. If any of it is
  missing the client starts afresh.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any

from socketeer.adapters.broker import Outgoing
from socketeer.adapters.cluster import ClusterAdapter
from socketeer.adapters.durable import DurableWire, Entry, Place, has_offset, is_id
from socketeer.adapters.messages import Broadcast, EventPacket, Kind, Opts
from socketeer.adapters.tail import Tail, concerns
from socketeer.errors import BrokerUnavailable, MessageTooLarge, PacketError
from socketeer.options import Recovery
from socketeer.protocol.frame import Message as Frame
from socketeer.protocol.packet import EVENT, Packet
from socketeer.server.adapter import (
    AdapterHost,
    Capabilities,
    Member,
    RestoredSession,
    Room,
    StoredSession,
    Target,
)
from socketeer.server.reception import RecoverableSocket
from socketeer.server.replies import Gatherer

log = logging.getLogger("socketeer")

#: Events of this node that wait for the log at the same time, at most; then all are sent without an offset.
_MAX_WAITING = 100_000

#: Sessions that a namespace restores at the same time; others wait for their turn, so that live events are not held up.
_RESTORING = 8


class _Waiting:
    """What queues behind this node's entries, or is one that waits for its place in the log."""

    __slots__ = ("act", "data", "number", "plain", "served", "sockets", "volatile")

    def __init__(
        self,
        number: int,
        sockets: Sequence[Member],
        plain: Frame | None = None,
        *,
        data: Broadcast | None = None,
        volatile: bool = False,
        act: Callable[[], None] | None = None,
    ) -> None:
        self.number = number
        """Its own, or that of the entry that it queues behind."""
        self.sockets = sockets
        self.plain = plain
        """Without an offset; None while there is nobody to get it."""
        self.data = data
        """What gets an offset."""
        self.volatile = volatile
        self.act = act
        self.served: set[str] | None = None
        """Sockets that could not wait."""


class RecoveringClusterAdapter(ClusterAdapter):
    """A node of a cluster whose engine has a log.

    Args:
        nsp: the namespace.
        wire: how messages travel, and the log.
        requests_timeout: seconds to wait for other nodes where the call does not say, and to restore a session at most.
    """

    capabilities = Capabilities(cluster=True, recovery=True)

    def __init__(self, nsp: AdapterHost, wire: DurableWire, requests_timeout: float) -> None:
        super().__init__(nsp, wire, requests_timeout)
        self._durable = wire
        self._number = 0
        """Of the last entry."""
        self._waiting: deque[_Waiting] = deque()
        self._selections: dict[tuple[tuple[Room, ...], tuple[Room, ...]], list[Member]] = {}
        """Who is meant by what waits, as long as nobody joins or leaves."""
        self._tail = Tail(nsp.recovery or Recovery(), self.encode)
        self._links = 0
        """How often the link broke: over a break, no session is restored."""
        self._turns = asyncio.Semaphore(_RESTORING)
        self._reading = asyncio.Lock()

    def start(self) -> None:
        """Join the cluster."""
        if not self._open:
            self._turns, self._reading = asyncio.Semaphore(_RESTORING), asyncio.Lock()
            self._tail.clear()
            super().start()
            self._durable.follow(self.passed, self.away)

    async def close(self) -> None:
        """Leave the cluster."""
        self.away()
        await super().close()

    # --- membership: whoever is meant is noted when something is emitted ----------------------------

    def join(self, socket_id: str, rooms: Iterable[Room]) -> None:
        """Add a socket to rooms."""
        self._selections.clear()
        super().join(socket_id, rooms)

    def leave(self, socket_id: str, room: Room) -> None:
        """Take a socket out of a room."""
        self._selections.clear()
        super().leave(socket_id, room)

    def leave_all(self, socket_id: str) -> None:
        """Take a socket out of all its rooms."""
        self._selections.clear()
        super().leave_all(socket_id)

    def _meant(self, target: Target) -> list[Member]:
        key = (target.rooms, target.except_rooms)
        sockets = self._selections.get(key)
        if sockets is None:
            sockets = self._selections[key] = self._selected(target)
        return sockets

    # --- what this node emits -------------------------------------------------------------------------

    def broadcast(self, packet: Packet, target: Target) -> Awaitable[None] | None:
        """Send an event to all that ``target`` means: to the log, and to this node's clients when it comes by there."""
        nsp, local = self.nsp, target.flags.local
        if nsp.recovery is None or (local and not self._waiting):
            return super().broadcast(packet, target)
        if nsp.overheard:
            self._tell_catch_alls(packet, target)  # which may emit, so it has no number yet
        sockets, flags = self._meant(target), target.flags
        plain = None
        if sockets:
            plain = nsp.parser.encode_event(nsp.prefix, None, packet.data, flags.compress)
        if local:
            self._wait(_Waiting(self._waiting[-1].number, sockets, plain, volatile=flags.volatile))
            return None
        data = Broadcast(opts=Opts.of(target), packet=EventPacket(list(packet.data)))
        told = self._durable.append(self._message(Kind.BROADCAST, data), self._number + 1)
        self._number += 1
        item = _Waiting(self._number, sockets, plain, data=data, volatile=flags.volatile)
        if isinstance(told, Outgoing) and told.refused:  # it will not come by
            item.number, item.data = self._waiting[-1].number if self._waiting else 0, None
        self._wait(item)
        return told

    def _wait(self, item: _Waiting) -> None:
        self._waiting.append(item)
        if not self.health.ok or not self._waiting[0].number or len(self._waiting) > _MAX_WAITING:
            self.away()

    @property
    def behind(self) -> bool:
        """Whether something of this node is on its way to its own clients."""
        return bool(self._waiting)

    def send_behind(self, socket: Member, message: Frame, volatile: bool = False) -> None:
        """Send one client something after all that is on its way."""
        if self._waiting:
            self._wait(_Waiting(self._waiting[-1].number, (socket,), message, volatile=volatile))
        elif not volatile or socket.conn.writable():
            socket.conn.send(message)

    def hurry(self, socket_id: str) -> None:
        """A client is about to be disconnected: what is on its way to it is sent now, without an offset."""
        socket = self._sockets.get(socket_id)
        for item in self._waiting:
            if socket is not None and item.plain is not None and socket in item.sockets:
                if item.served is None:
                    item.served = set()
                if socket_id not in item.served:
                    item.served.add(socket_id)
                    if not item.volatile or socket.conn.writable():
                        socket.conn.send(item.plain)

    async def ask_in_turn(self, packet: Packet, target: Target, replies: Gatherer) -> list[Member]:
        """Ask this node's clients, after all that is on its way to them."""
        if not self._waiting:
            return self.ask(packet, target, replies)
        future: asyncio.Future[list[Member]] = asyncio.get_running_loop().create_future()

        def act() -> None:
            if not future.done():
                try:
                    future.set_result(self.ask(packet, target, replies))
                except Exception as error:  # noqa: BLE001 - for who asks
                    future.set_exception(error)

        self._wait(_Waiting(self._waiting[-1].number, (), None, act=act))
        return await future

    # --- what comes by in the log -----------------------------------------------------------------------

    def passed(self, entry: Entry) -> None:
        """The next entry of the log."""
        message = entry.message
        if message.uid == self.uid:
            self._pass_own(entry)
        elif isinstance(message.data, Broadcast) and message.data.request_id is None:
            self._deliver_at(message.data, entry.offset)
        else:
            self.hear(message)
        recovery, data = self.nsp.recovery, message.data
        if recovery is not None:
            kept = data if isinstance(data, Broadcast) and has_offset(data) else None
            self._tail.append(entry, kept, self.nsp.wheel.time())

    def _pass_own(self, entry: Entry) -> None:
        data, number, waiting = entry.message.data, entry.number, self._waiting
        if number > self._number:
            self.health.reject(PacketError(f"number {number} has not been sent"), self.nsp.name)
            return
        while waiting and waiting[0].number <= number:
            item = waiting.popleft()
            own = item.data is not None and item.number == number and not item.volatile
            if own and isinstance(data, Broadcast):
                self._send_at(item.sockets, item.served or (), data, entry.offset, item.plain)
            else:
                self._send_plain(item)
        if not waiting:
            self._selections.clear()

    def away(self) -> None:
        """The broker is away: nobody here waits for it."""
        self._links += 1
        waiting = self._waiting
        while waiting:
            self._send_plain(waiting.popleft())
        self._selections.clear()

    def _send_plain(self, item: _Waiting) -> None:
        if item.act is not None:
            item.act()
            return
        for socket in self._present(item.sockets, item.served or ()):
            if item.plain is None:
                item.plain = self.encode(item.data)
            if not item.volatile or socket.conn.writable():
                socket.conn.send(item.plain)

    def _deliver_at(self, data: Broadcast, offset: str) -> None:
        if self.nsp.recovery is None or not has_offset(data):
            self.deliver(data)
            return
        target = data.opts.target()
        if self.nsp.overheard:
            self._tell_catch_alls(Packet(EVENT, self.nsp.name, data.packet.data), target)
        self._send_at(self._selected(target), (), data, offset)

    def _send_at(
        self,
        sockets: Iterable[Member],
        served: Iterable[str],
        data: Broadcast,
        offset: str,
        plain: Frame | None = None,
    ) -> None:
        message = None
        for socket in self._present(sockets, served):
            if isinstance(socket, RecoverableSocket):
                if message is None:
                    message = self.encode(data, offset)
                socket.offset = offset
                socket.conn.send(message)
            else:  # a client of Socket.IO 2
                if plain is None:
                    plain = self.encode(data)
                socket.conn.send(plain)

    def _present(self, sockets: Iterable[Member], served: Iterable[str]) -> Iterable[Member]:
        """Those of them that are still here, and have not got it."""
        here = self._sockets
        return [each for each in sockets if here.get(each.id) is each and each.id not in served]

    def encode(self, data: Any, offset: str | None = None) -> Frame:
        """An event as this node's clients get it."""
        nsp, args = self.nsp, data.packet.data
        args = tuple(args) if offset is None else (*args, offset)
        return nsp.parser.encode_event(nsp.prefix, None, args, data.opts.flags.compress is not False)

    # --- sessions -----------------------------------------------------------------------------------------

    def persist_session(self, session: StoredSession) -> Awaitable[None] | None:
        """Keep a session with the broker."""
        recovery = self.nsp.recovery
        if recovery is None:
            return None
        try:
            return self._durable.save(session, recovery.max_disconnection_duration)
        except (TypeError, MessageTooLarge) as error:
            log.error("a session is not kept, so its client will start afresh: %.300s", error)  # noqa: TRY400
            return None

    async def restore_session(self, pid: str, offset: str) -> RestoredSession | None:
        """A session, and what its client has missed on all nodes. It is taken out of the broker."""
        recovery = self.nsp.recovery
        if recovery is None or not self._open or not is_id(pid):
            return None
        try:
            async with asyncio.timeout(self._patience), self._turns:
                return await self._restore(pid, offset, recovery)
        except BrokerUnavailable:
            return None
        except TimeoutError:
            log.warning(
                "a session of %.100r could not be restored within %s s; its client starts afresh",
                self.nsp.name,
                self._patience,
            )
            return None

    async def _restore(self, pid: str, offset: str, recovery: Recovery) -> RestoredSession | None:
        durable, links = self._durable, self._links
        place = durable.place(offset)
        taken = None if place is None else await durable.take(pid, offset)
        if taken is None or place is None:
            return None
        got, offset = offset, taken.start or offset
        place = durable.place(offset) or place
        await durable.reached(taken.end)
        if not self._tail.covers(place):
            await self._read_back(offset, place, recovery)
        if links != self._links or not self._tail.covers(place):
            return None
        missed = partial(self._missed, taken.session, got, place, links)
        return RestoredSession(taken.session, missed, taken=True)

    async def _read_back(self, offset: str, place: Place, recovery: Recovery) -> None:
        """Read what came between ``place`` and what is remembered."""
        durable, tail, found, size, more = self._durable, self._tail, list[Any](), 0, True
        async with self._reading:
            at, reached = offset, place
            while not tail.covers(place) and more:
                page = await durable.read(at)
                for entry in page.entries:
                    data = entry.message.data
                    if isinstance(data, Broadcast) and has_offset(data):
                        found.append((entry, data))
                        size += entry.size
                if len(found) > recovery.max_packets or size > recovery.max_bytes:
                    return
                at, reached = page.last, durable.place(page.last) or reached
                if not page.more:
                    await durable.reached(at)
                more = reached < tail.start if tail.start is not None else page.more
            # Where its entry is still there, nothing that came after it was dropped meanwhile.
            if not tail.covers(place) and await durable.holds(offset):
                tail.extend(place, found, self.nsp.wheel.time())

    def _missed(
        self, session: StoredSession, got: str, place: Place, links: int
    ) -> Sequence[tuple[str, Frame]] | None:
        """What a client has missed that is about to be connected; it gets what is on its way, too."""
        if links != self._links or not self._tail.covers(place):
            return None
        socket = self._sockets.get(session.sid)
        if isinstance(socket, RecoverableSocket):
            socket.offset = got
            for item in self._waiting:
                data = None if item.volatile else item.data
                if data is not None and concerns(data.opts.target(), session.rooms):
                    item.sockets = [*item.sockets, socket]
        return self._tail.since(place, session.rooms)
