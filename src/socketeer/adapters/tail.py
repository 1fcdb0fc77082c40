"""The end of a log as one node remembers it, so that clients that come back seldom make it read the log again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from typing import Any

from socketeer.adapters.durable import Entry, Place
from socketeer.adapters.messages import Broadcast
from socketeer.options import Recovery
from socketeer.protocol.frame import Message as Frame
from socketeer.server.adapter import Room, Target

#: Encodes an event for clients, with its offset.
Encode = Callable[[Any, str], Frame]

#: Bytes that remembering one event costs beside the event, and for each room that it names.
_ITEM_BYTES = 600
_ROOM_BYTES = 150

#: How much more an event takes that is not encoded yet.
_DECODED = 4


class _Item:
    """One event."""

    __slots__ = ("cost", "data", "except_rooms", "frame", "offset", "place", "rooms", "time")

    def __init__(self, entry: Entry, data: Broadcast, time: float) -> None:
        target = data.opts.target()
        self.offset = entry.offset
        self.place = entry.place
        self.rooms: tuple[Room | None, ...] = tuple(dict.fromkeys(target.rooms)) or (None,)
        self.except_rooms = target.except_rooms
        self.data: Broadcast | None = data
        self.frame: Frame | None = None
        self.time = time
        names = len(self.rooms) + len(self.except_rooms)
        self.cost = entry.size * _DECODED + _ITEM_BYTES + _ROOM_BYTES * names

    def encoded(self, encode: Encode) -> Frame:
        """As clients get it; a copy, because a message that is sent keeps what it was made into for each wire."""
        if self.frame is None:
            self.frame, self.data = encode(self.data, self.offset), None
        return copy(self.frame)


class Tail:
    """The events of a namespace that have come by last, by room.

    Args:
        bounds: how many, how large and how old they are at most.
        encode: makes them what clients get.
    """

    def __init__(self, bounds: Recovery, encode: Encode) -> None:
        self._bounds = bounds
        self._encode = encode
        self._items: deque[_Item] = deque()
        self._lines: dict[Room | None, deque[_Item]] = {}
        self.bytes = 0
        """What all of it costs, about."""
        self.start: Place | None = None
        """All that came after this place is here; None where nothing is known."""

    def __len__(self) -> int:
        return len(self._items)

    def clear(self) -> None:
        """Forget everything."""
        self._items.clear()
        self._lines.clear()
        self.bytes, self.start = 0, None

    def append(self, entry: Entry, data: Broadcast | None, now: float) -> None:
        """An entry has come by; without data it is nothing that is kept for clients."""
        last = self._items[-1].place if self._items else self.start
        if last is None or entry.place <= last:
            # The first, or that of another log of the same name: what was before is not known.
            self.clear()
            self.start = entry.place
        elif data is not None:
            self._add(_Item(entry, data, now))
            self._trim(now - self._bounds.max_disconnection_duration)

    def extend(self, start: Place, entries: Sequence[tuple[Entry, Broadcast]], now: float) -> None:
        """Something older has been read: all that came after ``start``, up to what is here, and perhaps more."""
        until, items = self.start, list(self._items)
        older = [_Item(entry, data, now) for entry, data in entries if until is None or entry.place <= until]
        self.clear()
        self.start = start
        for item in (*older, *items):
            self._add(item)
        self._trim(now - self._bounds.max_disconnection_duration)

    def _add(self, item: _Item) -> None:
        self._items.append(item)
        self.bytes += item.cost
        for room in item.rooms:
            self._lines.setdefault(room, deque()).append(item)

    def _trim(self, oldest: float) -> None:
        bounds, items = self._bounds, self._items
        while items and (
            len(items) > bounds.max_packets or self.bytes > bounds.max_bytes or items[0].time < oldest
        ):
            self._drop_first()

    def _drop_first(self) -> None:
        item = self._items.popleft()
        self.start = item.place
        self.bytes -= item.cost
        for room in item.rooms:
            line = self._lines[room]
            line.popleft()
            if not line:
                del self._lines[room]

    def covers(self, place: Place) -> bool:
        """Whether all that came after ``place`` is here."""
        return self.start is not None and self.start <= place

    def since(self, place: Place, rooms: Iterable[Room]) -> list[tuple[str, Frame]]:
        """The events after ``place`` for a client that is in ``rooms``, with their offsets."""
        own = set(rooms)
        found: dict[Place, _Item] = {}
        for room in (None, *own):
            for item in reversed(self._lines.get(room, ())):
                if item.place <= place:
                    break
                if own.isdisjoint(item.except_rooms):
                    found[item.place] = item
        return [(found[each].offset, found[each].encoded(self._encode)) for each in sorted(found)]


def concerns(target: Target, rooms: Iterable[Room]) -> bool:
    """Whether an event is for a client that is in ``rooms``."""
    own = set(rooms)
    return (not target.rooms or not own.isdisjoint(target.rooms)) and own.isdisjoint(target.except_rooms)
