"""The adapter of one process that keeps sessions and packets, so that a client that comes back misses nothing.

https://socket.io/docs/v4/connection-state-recovery. A client tells the offset of the last event that it
handled. What it has missed is, as in the official adapter, every event after that one which was for
everybody or for one of the rooms that the client was in when it left, and for none of its rooms excepted.

Events are numbered, so an offset says by itself whether all that came after it is still here, even
where the event that it belongs to is not.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Awaitable, Iterable, Sequence
from copy import copy
from functools import partial
from typing import NamedTuple

from socketeer.engine.timers import Timer, TimerWheel
from socketeer.options import Recovery
from socketeer.protocol.frame import Message
from socketeer.protocol.ids import generate_id
from socketeer.protocol.packet import Packet
from socketeer.server.adapter import (
    AdapterHost,
    Capabilities,
    RestoredSession,
    Room,
    StoredSession,
    Target,
)
from socketeer.server.memory import MemoryAdapter
from socketeer.server.reception import RecoverableSocket

#: Characters of an offset in front of its number: so that a string that is no offset of ours, as a
#: client sends it after an event that ends with one, is not taken for one.
_TAG_LENGTH = 4

#: Bytes that keeping one event costs beside the event, and for each room that it names.
_ENTRY_BYTES = 300
_ROOM_BYTES = 250


class Entry(NamedTuple):
    """One event that was sent."""

    number: int
    time: float
    message: Message
    """As it was encoded: what happens to its arguments later changes nothing."""
    rooms: tuple[Room | None, ...]
    """Those it was for; None stands for everybody."""
    except_rooms: tuple[Room, ...]

    def cost(self) -> int:
        """Bytes, about."""
        names = len(self.rooms) + len(self.except_rooms)
        return self.message.size() + _ENTRY_BYTES + _ROOM_BYTES * names


class PacketLog:
    """The events of a namespace, in order, as far back as they are kept.

    Reading costs what is read: each room has its own line, so that a client who comes back does not
    have to be told apart from the thousands of events that were for others.
    """

    __slots__ = ("_entries", "_lines", "_tag", "bytes", "first", "max_bytes", "max_packets", "next")

    def __init__(self, max_packets: int, max_bytes: int) -> None:
        self.max_packets = max_packets
        self.max_bytes = max_bytes
        self.bytes = 0
        """What all of it costs, about."""
        self.first = 0
        """The number of the oldest event that is kept; that of the next, if none is."""
        self.next = 0
        """The number of the next event."""
        self._tag = generate_id()[:_TAG_LENGTH]
        self._entries: deque[Entry] = deque()
        self._lines: dict[Room | None, dict[int, Entry]] = {}
        """The events of each room by number, in order."""

    def __len__(self) -> int:
        return len(self._entries)

    def offset(self, number: int) -> str:
        """The offset of an event."""
        return f"{self._tag}{number}"

    def number(self, offset: str) -> int | None:
        """The number of the event with this offset; None if it is no offset of this log."""
        digits = offset[_TAG_LENGTH:]
        if len(digits) > 20 or not digits.isdecimal():
            return None
        number = int(digits)
        return number if number < self.next and self.offset(number) == offset else None

    def append(self, message: Message, target: Target, time: float) -> None:
        """Keep the event whose number is ``next``; the oldest ones go if there are too many."""
        entry = Entry(self.next, time, message, target.rooms or (None,), target.except_rooms)
        self.next += 1
        self._entries.append(entry)
        self.bytes += entry.cost()
        for room in entry.rooms:
            self._lines.setdefault(room, {})[entry.number] = entry
        while len(self._entries) > self.max_packets or self.bytes > self.max_bytes:
            self._drop_first()

    def drop_before(self, time: float) -> None:
        """Forget what is older."""
        while self._entries and self._entries[0].time < time:
            self._drop_first()

    def clear(self) -> None:
        """Forget everything; the numbers go on."""
        self._entries.clear()
        self._lines.clear()
        self.bytes, self.first = 0, self.next

    def _drop_first(self) -> None:
        entry = self._entries.popleft()
        self.first = entry.number + 1
        self.bytes -= entry.cost()
        for room in dict.fromkeys(entry.rooms):
            line = self._lines[room]
            del line[entry.number]
            if not line:
                del self._lines[room]

    def since(self, number: int, rooms: Iterable[Room]) -> list[tuple[str, Message]]:
        """The events after ``number`` for a client that is in ``rooms``, with their offsets."""
        own = set(rooms)
        found: dict[int, Entry] = {}
        for room in (None, *own):
            for each, entry in reversed(self._lines.get(room, {}).items()):
                if each <= number:
                    break
                if own.isdisjoint(entry.except_rooms):
                    found[each] = entry
        # A copy, because a message that is sent keeps what it was made into for each wire.
        return [(self.offset(each), copy(found[each].message)) for each in sorted(found)]


class Kept(NamedTuple):
    """A session whose client may come back."""

    session: StoredSession
    until: float
    next: int
    """The number of the event that was next when the client went."""


class RecoveringAdapter(MemoryAdapter):
    """The adapter of one process, with sessions and packets kept as the server's :class:`Recovery` says."""

    capabilities = Capabilities(recovery=True)

    def __init__(self, nsp: AdapterHost) -> None:
        super().__init__(nsp)
        self._recovery = nsp.recovery or Recovery()
        self.log = PacketLog(self._recovery.max_packets, self._recovery.max_bytes)
        self.sessions: OrderedDict[str, Kept] = OrderedDict()
        """By private id, those that end first in front."""
        self._timer = Timer(self._sweep)
        self._wheel: TimerWheel | None = None
        """Where the timer is set."""

    def broadcast(self, packet: Packet, target: Target) -> Awaitable[None] | None:
        """Send an event to all that ``target`` means, and keep it; not one that is volatile or to be acknowledged."""
        nsp = self.nsp
        if nsp.recovery is None or packet.id is not None or target.flags.volatile:
            return super().broadcast(packet, target)
        if nsp.overheard:
            self._tell_catch_alls(packet, target)  # which may emit, so it has no number yet
        offset = self.log.offset(self.log.next)
        message = nsp.parser.encode_event(nsp.prefix, None, (*packet.data, offset), target.flags.compress)
        if not self._rooms_of and not self.sessions:
            return None  # nobody is there, and nobody may come back
        self.log.append(copy(message), target, self._now())
        self.deliver(packet, message, offset, target)
        return None

    def deliver(self, packet: Packet, message: Message, offset: str, target: Target) -> None:
        """Send an event that is kept to this node's sockets: ``message`` is ``packet`` with its ``offset``."""
        nsp, plain = self.nsp, None
        for socket in self._selected(target):
            if isinstance(socket, RecoverableSocket):
                socket.offset = offset
                socket.conn.send(message)
            else:  # a client of Socket.IO 2
                if plain is None:
                    plain = nsp.parser.encode_event(nsp.prefix, None, packet.data, target.flags.compress)
                socket.conn.send(plain)

    def persist_session(self, session: StoredSession) -> Awaitable[None] | None:
        """Keep a session for ``max_disconnection_duration`` seconds."""
        self.sessions.pop(session.pid, None)
        until = self._now() + self._recovery.max_disconnection_duration
        self.sessions[session.pid] = Kept(session, until, self.log.next)
        if len(self.sessions) > self._recovery.max_sessions:
            self.sessions.popitem(last=False)
        return None

    def forget_session(self, pid: str) -> Awaitable[None] | None:
        """Drop a session."""
        self.sessions.pop(pid, None)
        return None

    async def restore_session(self, pid: str, offset: str) -> RestoredSession | None:
        """A session that is kept, if nothing is missing of what came after ``offset``. It stays, until its time is up."""
        kept = self.sessions.get(pid)
        number = self.log.number(offset)
        if kept is None or number is None or self._now() > kept.until:
            return None
        if not self._complete(kept, number):
            return None
        return RestoredSession(kept.session, partial(self._missed, kept, number))

    def _complete(self, kept: Kept, number: int) -> bool:
        """Whether all that came after an event is still here, as far as it was for this client.

        One that got everything which was sent to it misses only what came after it went.
        """
        first = self.log.first
        return number + 1 >= first or (self.log.offset(number) == kept.session.offset and kept.next >= first)

    def _missed(self, kept: Kept, number: int) -> Sequence[tuple[str, Message]] | None:
        return self.log.since(number, kept.session.rooms) if self._complete(kept, number) else None

    # --- time -----------------------------------------------------------------------------------

    def _now(self) -> float:
        """The time; something is about to be kept or asked for, so the next sweep is seen to."""
        wheel = self.nsp.wheel
        if self._wheel is not wheel:
            self._wheel = wheel
            wheel.set(self._timer, self._recovery.max_disconnection_duration)
        return wheel.time()

    def _sweep(self) -> None:
        """Forget what nobody can ask for any more. What is kept lives twice as long as it must, at most."""
        self._wheel = None
        now = self.nsp.wheel.time()
        for pid, kept in list(self.sessions.items()):
            if kept.until >= now:
                break
            del self.sessions[pid]
        self.log.drop_before(now - self._recovery.max_disconnection_duration)
        if self.sessions or self.log:
            self._now()

    async def close(self) -> None:
        """Forget everything."""
        self.sessions.clear()
        self.log.clear()
        if self._wheel is not None:
            self._wheel.clear(self._timer)
            self._wheel = None
        await super().close()
