"""What recovery across nodes needs of an engine: an ordered log of broadcasts, and a place for sessions.

:class:`~socketeer.adapters.recovering.RecoveringClusterAdapter` works over anything that is a :class:`DurableWire`.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from socketeer.adapters.messages import Broadcast, KeptSession, Message, convert
from socketeer.adapters.wire import Wire
from socketeer.errors import PacketError
from socketeer.server.adapter import StoredSession

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


#: Where something is in a log; those of one log can be compared.
Place: TypeAlias = tuple[int, ...]


class Entry(NamedTuple):
    """One message in the log."""

    offset: str
    """Its place, as clients are told."""
    place: Place
    message: Message
    number: int = 0
    """What its node has numbered it by in :meth:`DurableWire.append`; 0 where it has not."""
    size: int = 0
    """Bytes, about."""


class Page(NamedTuple):
    """A part of the log."""

    entries: Sequence[Entry]
    """Those of the namespace."""
    last: str
    """The offset to go on from, whichever namespace the last entry was of."""
    more: bool
    """Whether there may be more at the moment."""


class Taken(NamedTuple):
    """A session that has been taken out of the broker."""

    session: StoredSession
    end: str
    """The offset of the last entry of the log at that moment, of whichever namespace."""
    start: str | None = None
    """After which entry the client may have missed something, where that is later than its offset: see :func:`start_of`."""


#: Gets each entry of a namespace in the order of the log, once; it must not raise.
Passed = Callable[[Entry], None]


class DurableWire(Wire, Protocol):
    """A wire whose broadcasts and memberships go through an ordered log that the broker keeps for a while.

    :meth:`~socketeer.adapters.wire.Wire.send` puts them there, too. What is not kept (questions and answers) goes
    to ``hear`` of :meth:`~socketeer.adapters.wire.Wire.open`.
    """

    def follow(self, passed: Passed, away: Callable[[], None]) -> None:
        """Called after ``open``, until ``close``.

        Args:
            passed: gets each entry of the namespace, those of this node included, over all
                reconnections: reading goes on behind the last entry.
            away: called when the link to the broker breaks. What was on its way may or may not come by later.
        """
        ...

    def append(self, message: Message, number: int) -> Awaitable[None]:
        """Put a broadcast into the log. ``number`` comes back as :attr:`Entry.number`, and grows with each call.

        Entries are in the log in the order of the calls. One that the broker refuses by itself breaks the
        link, so that nobody waits for it. Raises what ``send`` raises.
        """
        ...

    def save(self, session: StoredSession, seconds: float) -> Awaitable[None]:
        """Keep a session with the broker for so long, in order with what is appended. Raises what ``send`` raises."""
        ...

    def place(self, offset: str) -> Place | None:
        """Where an offset is, which may be any string; None if it is none."""
        ...

    async def take(self, pid: str, offset: str) -> Taken | None:
        """Take a session out of the broker, if it is there and the log has all that came after ``offset``, or after
        :func:`start_of` it.

        ``pid`` may be any id. Of all who ask at once, on all nodes, one gets it. What this node has saved before is
        there by then.

        Raises:
            BrokerUnavailable: the broker cannot be asked.
        """
        ...

    async def read(self, offset: str) -> Page:
        """Some of what comes after ``offset``. Raises what :meth:`take` raises."""
        ...

    async def holds(self, offset: str) -> bool:
        """Whether the entry at ``offset`` is still there, and so all that came after it."""
        ...

    async def reached(self, offset: str) -> None:
        """Wait until ``passed`` has got all up to ``offset``. Raises what :meth:`take` raises."""
        ...


def is_id(text: str) -> bool:
    """Whether it may be the id of a socket or a session."""
    return _ID.fullmatch(text) is not None


def has_offset(data: Broadcast) -> bool:
    """Whether an event is kept for clients that come back, as in the official adapters."""
    return data.request_id is None and not data.opts.flags.volatile


def plain_session(session: StoredSession, position: str | None = None) -> dict[str, Any]:
    """A session as the official adapters write it; with what its node has passed, two things that they do not know."""
    plain = {"sid": session.sid, "pid": session.pid, "rooms": list(session.rooms), "data": session.data}
    if position is not None and session.offset is not None:
        plain |= {"offset": session.offset, "position": position}
    return plain


def start_of(value: Any, offset: str) -> str | None:
    """Where a client with this offset begins to miss something, as far as its session says.

    One that got the last event which was sent to it has missed nothing until it left, however long ago that event was.

    Raises:
        PacketError: it is no session.
    """
    kept: KeptSession = convert(value, KeptSession)
    return kept.position if kept.offset == offset else None


def parse_session(value: Any, pid: str) -> StoredSession:
    """What :func:`plain_session` has made, here or in JavaScript.

    Raises:
        PacketError: it is no session, or another client's.
    """
    kept: KeptSession = convert(value, KeptSession)
    if kept.pid != pid or not _ID.fullmatch(kept.sid):
        raise PacketError("expected the session that was asked for")
    data = kept.data if isinstance(kept.data, dict) else {}
    return StoredSession(kept.sid, pid, tuple(map(str, kept.rooms)), data)
