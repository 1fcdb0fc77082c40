"""The format on NATS, ours: ``docs/reference/nats-format.md``. With JetStream broadcasts are kept, and sessions.

All that a node tells all others goes through the log, but its heartbeats: so whatever it says is heard in the order in which it
was said. What is for one node does not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from socketeer.adapters.bus import Bus
from socketeer.adapters.channels import ChannelWire
from socketeer.adapters.codec import decode, encode
from socketeer.adapters.durable import (
    Entry,
    Page,
    Passed,
    Place,
    Taken,
    parse_session,
    plain_session,
    start_of,
)
from socketeer.adapters.messages import Kind, Message, parse
from socketeer.adapters.nats_bus import token
from socketeer.adapters.nats_follower import Follower
from socketeer.adapters.nats_jetstream import JetStreamBus
from socketeer.errors import BrokerUnavailable, PacketError
from socketeer.server.adapter import StoredSession

#: What goes past the log: everything else that is for all nodes has to stay in order.
_PASSING: Final = frozenset({Kind.INITIAL_HEARTBEAT, Kind.HEARTBEAT})

#: Digits of a place in a stream: they are 64 bits.
_DIGITS: Final = 19


class NatsWire(ChannelWire):
    """One namespace's messages on ``<prefix>.all.<namespace>`` and ``<prefix>.node.<namespace>.<node>``.

    Args:
        bus: what moves the bytes.
        nsp: the namespace.
        prefix: of all subjects.
    """

    def __init__(self, bus: Bus, nsp: str, prefix: str) -> None:
        super().__init__(bus, nsp, prefix)
        self.channel = f"{prefix}.all.{token(nsp)}"
        self._nodes = f"{prefix}.node.{token(nsp)}"

    def _own(self, uid: str) -> str:
        return f"{self._nodes}.{token(uid)}"


class JetStreamWire(NatsWire):
    """The same with a log: a :class:`~socketeer.adapters.durable.DurableWire`.

    Args:
        bus: what moves the bytes of those who publish only; else it is ``log``.
        nsp: the namespace.
        log: what keeps them.
    """

    def __init__(self, bus: Bus, nsp: str, log: JetStreamBus) -> None:
        super().__init__(bus, nsp, log.prefix)
        self._log = log
        self._name = token(nsp)
        self._logged = f"{log.prefix}.log.{self._name}"
        self._follower: Follower | None = None

    def close(self) -> None:
        """Do not listen any more."""
        if self._follower is not None:
            self._follower = None
            self._log.unfollow(self._name)
        super().close()

    def route(self, message: Message) -> str:
        """The log, or the subject of all nodes."""
        return self.channel if message.kind in _PASSING else self._logged

    # --- the log ------------------------------------------------------------------------------------

    def follow(self, passed: Passed, away: Callable[[], None]) -> None:
        """Give on what is in the log."""

        def came(place: int, payload: bytes) -> None:
            try:
                entry = self._entry(place, payload)
            except PacketError as error:
                self.bus.health.reject(error, self._logged)
            else:
                passed(entry)

        self._follower = self._log.follow(self._name, came, away)

    def _entry(self, place: int, payload: bytes) -> Entry:
        """What stands there.

        Raises:
            PacketError: it is nothing of this namespace's.
        """
        value = decode(payload)
        message = parse(value)
        number = value.get("number", 0)
        if message.nsp != self.nsp or message.kind in _PASSING or not isinstance(number, int):
            raise PacketError(f"expected what is kept for {self.nsp!r:.100}, got {message.kind.name}")
        return Entry(self._offset(place), (self._log.generation, place), message, number, len(payload))

    def append(self, message: Message, number: int) -> Awaitable[None]:
        """Put a broadcast into the log."""
        return self.bus.publish(self._logged, encode({**message.plain(), "number": number}))

    async def read(self, offset: str) -> Page:
        """Some of what comes after an offset."""
        place = self._place(offset)
        if place is None:
            raise BrokerUnavailable(f"{self.bus.health.name}: the log is another one by now")
        reading = await self._log.read(self._logged, place + 1)
        entries = []
        for each in reading.found:
            with suppress(PacketError):  # counted where it came by
                entries.append(self._entry(*each))
        last = reading.found[-1][0] if reading.found else place
        return Page(entries, self._offset(last), reading.more)

    async def holds(self, offset: str) -> bool:
        """Whether all that came after an offset is still there."""
        place = self._place(offset)
        return place is not None and await self._log.holds(place)

    async def reached(self, offset: str) -> None:
        """Wait until what is there up to an offset has been given on."""
        place = self._place(offset)
        if place is None or self._follower is None:
            raise BrokerUnavailable(f"{self.bus.health.name}: nobody follows the log")
        await self._follower.reached(place)

    def place(self, offset: str) -> Place | None:
        """Where an offset is: first which log it is, because one that is made again counts from 1 again."""
        place = self._place(offset)
        return None if place is None else (self._log.generation, place)

    def _offset(self, place: int) -> str:
        return f"{self._log.tag}-{place}"

    def _place(self, offset: str) -> int | None:
        """What :meth:`_offset` has made; None for any other string, and for offsets of a log before this one."""
        tag, _, digits = offset[:64].partition("-")
        if tag != self._log.tag or len(offset) > 64 or not digits.isdecimal() or len(digits) > _DIGITS:
            return None
        place = int(digits)
        return place if place and offset == self._offset(place) else None

    # --- sessions -----------------------------------------------------------------------------------

    def _session(self, pid: str) -> str:
        return f"{self._log.prefix}.session.{self._name}.{token(pid)}"

    def save(self, session: StoredSession, seconds: float) -> Awaitable[None]:
        """Keep a session for so long."""
        position = None if self._follower is None else self._follower.position
        plain = plain_session(session, self._offset(position) if position else None)
        until = int((time.time() + seconds) * 1000)
        return self.bus.publish(self._session(session.pid), encode({**plain, "until": until}))

    async def take(self, pid: str, offset: str) -> Taken | None:
        """Take a session out, if it is there and the log has all that its client may have missed."""
        if self._place(offset) is None:
            return None
        log, channel = self._log, self._session(pid)
        await log.flushed()
        found, end = await asyncio.gather(log.session(channel), log.last(self._logged))
        if found is None or end is None:
            return None
        try:
            value = decode(found.payload)
            session, start = self._unpacked(value, pid), start_of(value, offset)
        except PacketError as error:
            self.bus.health.reject(error, channel)
            await log.take_out(found.place)
            return None
        if session is None or not (await self.holds(offset) or (start and await self.holds(start))):
            return None
        taken = await log.take_out(found.place)
        return Taken(session, self._offset(end.place), start) if taken else None

    def _unpacked(self, value: Any, pid: str) -> StoredSession | None:
        """The session, if its time is not up."""
        until = value.get("until") if isinstance(value, dict) else None
        if not isinstance(until, int):
            raise PacketError("expected a session with its time")
        session = parse_session(value, pid)
        return session if time.time() * 1000 <= until else None
