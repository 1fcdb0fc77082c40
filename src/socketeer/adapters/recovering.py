"""Connection state recovery across nodes, over any engine that keeps broadcasts in one ordered log.

https://socket.io/docs/v4/connection-state-recovery. An engine (Redis streams, NATS JetStream) brings a
:class:`~socketeer.adapters.durable.DurableWire`; :class:`RecoveringClusterAdapter` does the rest:

- **Offsets.** Each node reads the whole log, its own entries too, and sends an event to its clients when it
  comes by there, with its place in the log as the offset. So all clients of all nodes get events in the order of
  the log, and an offset says exactly what its client has got. An entry of this node is known again by its
  number (``Entry.number``); it goes to those who were meant when it was emitted.
- **Order.** What this node emits directly while some of its entries are still on their way queues behind them.
- **Without the broker** events are sent at once, without an offset. Those that waited for the log at that moment are, too.
- **Restoring.** The session is taken out of the broker, by one node only; what came after the client's offset is read
  from the log, and what this node passes from then on is noted until the client is connected. If
  any of it is missing the client starts afresh.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any
from weakref import WeakSet

from socketeer.adapters.broker import Outgoing
from socketeer.adapters.catch_up import CatchUp
from socketeer.adapters.cluster import ClusterAdapter
from socketeer.adapters.durable import DurableWire, Entry, Page, has_offset, is_id
from socketeer.adapters.messages import Broadcast, EventPacket, Kind, Opts
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

    __slots__ = ("act", "kept", "number", "plain", "served", "sockets", "volatile")

    def __init__(
        self,
        number: int,
        sockets: Sequence[Member],
        plain: Frame | None,
        *,
        kept: bool = False,
        volatile: bool = False,
        act: Callable[[], None] | None = None,
    ) -> None:
        self.number = number
        """Its own, or that of the entry that it queues behind."""
        self.sockets = sockets
        self.plain = plain
        """Without an offset."""
        self.kept = kept
        """Whether it gets an offset."""
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
        self.returning: WeakSet[CatchUp] = WeakSet()
        """Clients that are about to come back."""
        self._turns = asyncio.Semaphore(_RESTORING)

    def start(self) -> None:
        """Join the cluster."""
        if not self._open:
            self._turns = asyncio.Semaphore(_RESTORING)
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
        sockets = self._meant(target)
        plain = None
        if sockets:
            plain = nsp.parser.encode_event(nsp.prefix, None, packet.data, target.flags.compress)
        told = None if local else self._append(packet, target)
        if plain is not None:
            on_its_way = told is not None and not (isinstance(told, Outgoing) and told.refused)
            volatile = target.flags.volatile
            kept = on_its_way and not volatile
            number = self._number if on_its_way else self._waiting[-1].number if self._waiting else 0
            self._wait(_Waiting(number, sockets, plain, kept=kept, volatile=volatile))
        return told

    def _append(self, packet: Packet, target: Target) -> Awaitable[None]:
        data = Broadcast(opts=Opts.of(target), packet=EventPacket(list(packet.data)))
        told = self._durable.append(self._message(Kind.BROADCAST, data), self._number + 1)
        self._number += 1
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
        else:
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
        if self.returning:
            for each in list(self.returning):
                each.passed(entry)

    def _pass_own(self, entry: Entry) -> None:
        data, number, waiting = entry.message.data, entry.number, self._waiting
        if number > self._number:
            self.health.reject(PacketError(f"number {number} has not been sent"), self.nsp.name)
            return
        while waiting and waiting[0].number <= number:
            item = waiting.popleft()
            if item.kept and item.number == number and isinstance(data, Broadcast):
                self._send_at(item.sockets, item.served or (), data, entry.offset, item.plain)
            else:
                self._send_plain(item)
        if not waiting:
            self._selections.clear()

    def away(self) -> None:
        """The broker is away: nobody here waits for it."""
        for each in list(self.returning):
            each.fail()
        waiting = self._waiting
        while waiting:
            self._send_plain(waiting.popleft())
        self._selections.clear()

    def _send_plain(self, item: _Waiting) -> None:
        if item.act is not None:
            item.act()
        elif item.plain is not None:
            for socket in self._present(item.sockets, item.served or ()):
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
        durable = self._durable
        session = await durable.take(pid, offset)
        if session is None:
            return None
        missed = CatchUp(session.rooms, recovery, self.encode)
        # From here on this node notes for the client what it passes; what it has passed already is in the log.
        self.returning.add(missed)
        page = Page((), offset, more=True)
        while page.more and missed.complete:
            page = await durable.read(page.last)
            for entry in page.entries:
                missed.read(entry)
        await durable.reached(page.last)
        if not missed.complete or not await durable.holds(offset):
            return None
        return RestoredSession(session, missed, taken=True)
