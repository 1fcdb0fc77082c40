"""PostgreSQL: the bus over LISTEN and NOTIFY, and the adapter in the format of ``@socket.io/postgres-adapter``.

https://www.postgresql.org/docs/current/sql-notify.html and https://socket.io/docs/v4/postgres-adapter/.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any, Final, TypeAlias

from socketeer.adapters.broker import BrokerBus, LinkOptions, Outgoing
from socketeer.adapters.bus import Bus, Receive
from socketeer.adapters.heartbeat import Heartbeat, HeartbeatAdapter
from socketeer.adapters.postgres_line import LOCAL, Line, PostgresServer, breaks, plan
from socketeer.adapters.postgres_table import TABLE, Attachments
from socketeer.adapters.postgres_wire import LARGEST, Inbox, PostgresWire, divide, possible, repeated
from socketeer.checks import positive, whole
from socketeer.errors import BrokerUnavailable, PacketError
from socketeer.server.adapter import AdapterHost

log = logging.getLogger("socketeer")

#: Bytes of one message, at most: it goes through the database's write-ahead log.
MAX_MESSAGE = 4 * 1024 * 1024

#: How much larger than ours may be what nodes send that have other limits.
_FOREIGN: Final = 4

#: Notifications whose attachments are fetched at once, at most, and bytes, about: nothing else comes meanwhile.
_AT_ONCE: Final = 64
_BYTES_AT_ONCE: Final = 1024 * 1024

#: A message, what to notify of, and its attachment.
_Part: TypeAlias = tuple[Outgoing, str, bytes | None]


class PostgresBus(BrokerBus):
    """A bus over PostgreSQL: one connection to publish, one that listens and fetches attachments.

    What it publishes itself does not come back. Payloads that begin as a JSON object are notifications in the format
    of :mod:`~socketeer.adapters.postgres_wire`; all others arrive as they are.

    Args:
        server: a URL (``postgresql://``), a pool of asyncpg's, of which it takes two connections, or a
            function that makes a connection of asyncpg's.
        table: of attachments, made where it is missing and may be made.
        cleanup_interval: seconds that attachments are kept, and between looks for old ones.
        payload_threshold: bytes of a notification above which a payload that is no JSON goes through the table.
        link: how the link is looked after.
        max_message_size: bytes of one message.

    Raises:
        OptionError: this is no server, or no name of a table.
        ImportError: asyncpg is missing.
    """

    def __init__(
        self,
        server: PostgresServer = LOCAL,
        *,
        table: str = TABLE,
        cleanup_interval: float = 30.0,
        payload_threshold: int = LARGEST,
        link: LinkOptions | None = None,
        max_message_size: int = MAX_MESSAGE,
    ) -> None:
        whole("max_message_size", max_message_size, 1)
        whole("payload_threshold", payload_threshold, 0)
        self._threshold = payload_threshold
        self._attachments = Attachments(table, cleanup_interval)
        name, self._make = plan(server)
        super().__init__(name, link or LinkOptions(), max_message_size)
        self._interval = cleanup_interval
        self._due = 0.0
        """When to look for old attachments."""
        self._pub: Line | None = None
        self._sub: Line | None = None
        self._stirred = asyncio.Event()
        self._inbox = Inbox(self.received, self.options.max_pending_bytes)
        self._complaint = ""

    # --- the link -----------------------------------------------------------------------------------

    async def _connect(self) -> None:
        self._stirred = asyncio.Event()
        self._pub = await self._open()
        self._sub = await self._open()
        await self._attachments.make(self._pub)
        # Not all nodes of a cluster at the same time.
        self._due = asyncio.get_running_loop().time() + self._interval * random.random()  # noqa: S311

    async def _open(self) -> Line:
        return Line(await self._make(), self._stirred.set)

    async def _disconnect(self) -> None:
        lines, self._pub, self._sub = (self._pub, self._sub), None, None
        self.health.lost += self._inbox.clear()
        there = [each for each in lines if each is not None]
        try:
            await asyncio.gather(*(each.end() for each in there))
        finally:  # cancelled, perhaps, before any of these has begun
            for each in there:
                each.cut()

    async def _ping(self) -> None:
        for line in (self._pub, self._sub):
            await _there(line).fetch("SELECT 1")
        now = asyncio.get_running_loop().time()
        if now >= self._due:
            self._due = now + self._interval
            await self._attachments.clean(_there(self._pub))

    def _complain(self, what: str, why: str) -> None:
        """Log what may be wrong with many messages, once for each reason."""
        if why != self._complaint:
            self._complaint = why
            log.warning("%s: %s: %.300r", self.health.name, what, why)

    # --- for adapters -------------------------------------------------------------------------------

    def publish(self, channel: str, payload: bytes) -> Awaitable[None]:
        """Queue a message."""
        return super().publish(possible(channel), payload)

    def subscribe(self, channel: str, receive: Receive) -> None:
        """Subscribe, from soon on."""
        super().subscribe(possible(channel), receive)

    def unsubscribe(self, channel: str, receive: Receive) -> None:
        """End a subscription."""
        super().unsubscribe(possible(channel), receive)

    # --- what comes ---------------------------------------------------------------------------------

    async def _subscribe(self, add: Sequence[str], remove: Sequence[str]) -> None:
        line = _there(self._sub)
        for channel in add:
            try:
                await line.listen(channel, self._notified)
            except Exception as error:
                if breaks(error):
                    raise
                self._complain(f"cannot listen on {channel[:100]!r}", str(error))
        for channel in remove:
            await line.unlisten(channel, self._notified)

    def _notified(self, _connection: Any, pid: int, channel: str, text: str) -> None:
        if self._pub is not None and pid == self._pub.pid:
            return
        try:
            if not self._inbox.take(channel, text.encode()):
                self.health.lost += 1
                self._complain("a message was dropped", "too many wait for attachments (max_pending_bytes)")
        except PacketError as error:
            self.health.reject(error, channel)
        if self._inbox.waiting:
            self._stirred.set()

    async def _listen(self) -> None:
        pub, sub = _there(self._pub), _there(self._sub)
        while pub.open and sub.open:
            if self._inbox.waiting:
                await self._fetch(sub)
            else:
                self._stirred.clear()
                await self._stirred.wait()
        raise ConnectionError("the connection was closed")

    async def _fetch(self, line: Line) -> None:
        numbers = self._inbox.wanted(_AT_ONCE)
        limit = _FOREIGN * self.max_message_size
        found, reasons = await self._attachments.read(line, numbers, limit, _BYTES_AT_ONCE)
        self._inbox.fetched(found, partial(self._missing, reasons))

    def _missing(self, reasons: Mapping[int, str], channel: str, number: int) -> None:
        self.health.reject(PacketError(f"attachment {number}: {reasons[number]}"), channel)

    # --- what goes ----------------------------------------------------------------------------------

    async def _send(self, batch: Sequence[Outgoing]) -> None:
        parts = [(outgoing, *divide(outgoing.payload, self._threshold)) for outgoing in batch]
        for stored, run in groupby(parts, lambda part: part[2] is not None):
            part = list(run)
            try:
                await (self._store if stored else self._notify)(part)
            except Exception as error:
                if breaks(error):
                    raise
                # The whole transaction is void: one by one, to know which it is.
                await self._send_each(part, self._store if stored else self._notify)

    async def _send_each(
        self, parts: Sequence[_Part], send: Callable[[Sequence[_Part]], Awaitable[None]]
    ) -> None:
        for part in parts:
            try:
                await send([part])
            except Exception as error:
                if breaks(error):
                    raise
                part[0].failed(BrokerUnavailable(f"{self.health.name}: {error}"))

    async def _notify(self, parts: Sequence[_Part]) -> None:
        channels, texts, times = [], [], dict[tuple[str, str], int]()
        for outgoing, text, _ in parts:
            key = (outgoing.channel, text)
            before = times[key] = times.get(key, -1) + 1
            channels.append(outgoing.channel)
            texts.append(repeated(text, before))
        await _there(self._pub).fetch(
            "SELECT pg_notify(channel, text) FROM unnest($1::text[], $2::text[]) AS sent (channel, text)",
            channels,
            texts,
        )

    async def _store(self, parts: Sequence[_Part]) -> None:
        rows = [(outgoing.channel, text, attachment or b"") for outgoing, text, attachment in parts]
        await self._attachments.store(_there(self._pub), rows)

    async def subscribers(self, channel: str) -> int:
        """Nobody can tell."""
        raise BrokerUnavailable(f"{self.health.name}: it does not say who listens on {channel}")


class PostgresAdapter:
    """Reaches other nodes through PostgreSQL, as ``@socket.io/postgres-adapter`` 0.5 does: Python and Node.js form one cluster.

    ``Server(adapter=PostgresAdapter("postgresql://..."))``; one object for each server.

    Args:
        server: a URL; a pool of asyncpg's, of which two connections are taken and which has to be open for longer than
            the server; or a function that makes a connection of asyncpg's. For an emitter no pool: it has a loop of its own.
        table_name: of the table for what is binary or large, made where it is missing and may be made.
        channel_prefix: what the names of all channels begin with.
        payload_threshold: bytes above which a message goes through the table; notifications have no more than 7,983.
        cleanup_interval: seconds that rows of the table are kept.
        requests_timeout: seconds to wait for other nodes where the call does not say.
        heartbeat: how the nodes know that the others live.
        forwarding: whether nodes pass requests of each other's sessions on; False where a proxy keeps clients
            at their node (sticky sessions).
        link: how the link to PostgreSQL is looked after.
        max_message_size: bytes of one message.
    """

    def __init__(
        self,
        server: PostgresServer = LOCAL,
        *,
        table_name: str = TABLE,
        channel_prefix: str = "socket.io",
        payload_threshold: int = 8000,
        cleanup_interval: float = 30.0,
        requests_timeout: float = 5.0,
        heartbeat: Heartbeat | None = None,
        forwarding: bool = True,
        link: LinkOptions | None = None,
        max_message_size: int = MAX_MESSAGE,
    ) -> None:
        positive("requests_timeout", requests_timeout)
        self.bus = PostgresBus(
            server,
            table=table_name,
            cleanup_interval=cleanup_interval,
            payload_threshold=payload_threshold,
            link=link,
            max_message_size=max_message_size,
        )
        self.prefix = channel_prefix
        self.forwarding = forwarding
        self._threshold = payload_threshold
        self._patience = requests_timeout
        self._heartbeat = heartbeat

    def wire(self, nsp: str, bus: Bus) -> PostgresWire:
        """The format of one namespace, over this bus."""
        return PostgresWire(bus, nsp, self.prefix, self._threshold)

    def __call__(self, nsp: AdapterHost) -> HeartbeatAdapter:
        """The adapter of a namespace."""
        return HeartbeatAdapter(nsp, self.wire(nsp.name, self.bus), self._patience, self._heartbeat)


def _there(line: Line | None) -> Line:
    if line is None:
        raise ConnectionError("the connection was closed")
    return line
