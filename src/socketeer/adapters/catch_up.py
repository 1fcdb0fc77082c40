"""What a client has missed that comes back, gathered while it is on its way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from socketeer.adapters.durable import Entry, has_offset
from socketeer.adapters.messages import Broadcast, Message
from socketeer.options import Recovery
from socketeer.protocol.frame import Message as Frame
from socketeer.server.adapter import Room

#: Encodes an event for clients, with its offset.
Encode = Callable[[Any, str], Frame]


class CatchUp:
    """What one client has missed: what was read from the log, and what this node has passed since then."""

    __slots__ = (
        "__weakref__",
        "_bounds",
        "_bytes",
        "_encode",
        "_known",
        "_later",
        "_missed",
        "_rooms",
        "complete",
    )

    def __init__(self, rooms: Iterable[Room], bounds: Recovery, encode: Encode) -> None:
        self._bounds = bounds
        self._encode = encode
        self._rooms = frozenset(rooms)
        self._missed: list[Entry] = []
        self._later: list[Entry] = []
        self._known: set[str] = set()
        self._bytes = 0
        self.complete = True
        """Whether nothing is missing."""

    def read(self, entry: Entry) -> None:
        """The log has it."""
        if self._note(entry, self._missed):
            self._known.add(entry.offset)

    def passed(self, entry: Entry) -> None:
        """This node's clients get it; the log may have had it already."""
        self._note(entry, self._later)

    def _note(self, entry: Entry, where: list[Entry]) -> bool:
        bounds = self._bounds
        if not self.complete or not self._concerns(entry.message):
            return False
        where.append(entry)
        self._bytes += entry.size
        if len(self._missed) + len(self._later) > bounds.max_packets or self._bytes > bounds.max_bytes:
            self.fail()
        return True

    def _concerns(self, message: Message) -> bool:
        data = message.data
        if not isinstance(data, Broadcast) or not has_offset(data):
            return False
        target, rooms = data.opts.target(), self._rooms
        included = not target.rooms or not rooms.isdisjoint(target.rooms)
        return included and rooms.isdisjoint(target.except_rooms)

    def fail(self) -> None:
        """Something is missing, or it is too much."""
        self.complete = False
        self._missed.clear()
        self._later.clear()

    def __call__(self) -> Sequence[tuple[str, Frame]] | None:
        """All of it, with offsets; None if something is missing. Nothing more is noted."""
        if not self.complete:
            return None
        later = [each for each in self._later if each.offset not in self._known]
        encode, found = self._encode, (*self._missed, *later)
        self.fail()
        return [(each.offset, encode(each.message.data, each.offset)) for each in found]
