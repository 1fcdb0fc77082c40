"""Redis streams: the adapter in the format of ``@socket.io/redis-streams-adapter``, with recovery across nodes.

https://socket.io/docs/v4/redis-streams-adapter/ and https://socket.io/docs/v4/connection-state-recovery.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from socketeer.adapters.broker import LinkOptions
from socketeer.adapters.bus import Bus
from socketeer.adapters.channels import ChannelWire
from socketeer.adapters.durable import Page, Passed, Place, Taken
from socketeer.adapters.messages import EMITTER, Broadcast, Kind, Message, parse
from socketeer.adapters.recovering import RecoveringClusterAdapter
from socketeer.adapters.redis import LOCAL, MAX_MESSAGE, RedisServer
from socketeer.adapters.redis_log import Aside, Key, RedisLog, Stream
from socketeer.adapters.redis_streams_wire import (
    QUESTIONS,
    entries_of,
    pack_aside,
    pack_entry,
    pack_session,
    parse_aside,
    parse_entry,
    parse_id,
    stream_for,
    stream_names,
    unpack_session,
)
from socketeer.checks import positive, whole
from socketeer.errors import BrokerUnavailable, PacketError
from socketeer.server.adapter import AdapterHost, StoredSession

#: What goes beside the stream; the rest is kept in it.
_ASIDE = frozenset({Kind.FETCH_SOCKETS, Kind.SERVER_SIDE_EMIT})


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """What is called how, and how much is read at once; the same on all nodes, but for the last two."""

    stream_name: str = "socket.io"
    stream_count: int = 1
    channel_prefix: str = "socket.io"
    session_key_prefix: str = "sio:session:"
    only_plaintext: bool = False
    read_count: int = 100


class StreamsWire(ChannelWire):
    """A namespace's messages: entries of a stream, and channels beside it.

    Args:
        bus: what moves the bytes.
        nsp: the namespace.
        options: names.
        log: the same as ``bus`` for who reads; None for who only writes.
    """

    def __init__(self, bus: Bus, nsp: str, options: StreamOptions, log: RedisLog | None = None) -> None:
        super().__init__(bus, nsp, options.channel_prefix)
        self._options = options
        self._log = log
        self._stream = Stream(stream_for(nsp, options.stream_name, options.stream_count))
        self._aside = Aside(self.channel, self._stream)
        self._passed: Passed | None = None
        self._on_away: Callable[[], None] | None = None

    @property
    def log(self) -> RedisLog:
        """Where entries are read."""
        if self._log is None:
            raise BrokerUnavailable("this process only writes")
        return self._log

    # --- life ---------------------------------------------------------------------------------------

    def follow(self, passed: Passed, away: Callable[[], None]) -> None:
        """Tell of entries."""
        self._passed, self._on_away = passed, away
        self.log.follow(self.nsp, self)

    def close(self) -> None:
        """Do not listen any more."""
        super().close()
        self._passed = self._on_away = None
        if self._log is not None:
            self._log.unfollow(self.nsp, self)

    # --- what goes ------------------------------------------------------------------------------------

    def send(self, message: Message) -> Awaitable[None]:
        """Tell all nodes: through the stream, if it is to be kept, or comes from an emitter."""
        data, kind = message.data, message.kind
        asked = kind in _ASIDE or (isinstance(data, Broadcast) and data.request_id is not None)
        if asked and message.uid != EMITTER:
            return self.bus.publish(self._aside, pack_aside(message))
        return self.append(message, 0)

    def append(self, message: Message, number: int) -> Awaitable[None]:
        """Put it into the stream."""
        packed = pack_entry(message, number, only_plaintext=self._options.only_plaintext)
        return self.bus.publish(self._stream, packed)

    def answer(self, requester: str, message: Message) -> Awaitable[None]:
        """Tell the node that asked."""
        return self.bus.publish(self._own(requester), pack_aside(message))

    # --- what comes -----------------------------------------------------------------------------------

    def entry(self, offset: str, fields: dict[bytes, bytes]) -> None:
        """An entry of this namespace."""
        try:
            entry = parse_entry(offset, fields, self.nsp)
        except PacketError as error:
            self.bus.health.reject(error, self._stream)
            return
        if self._passed is not None:
            self._passed(entry)

    def away(self) -> None:
        """The link broke."""
        if self._on_away is not None:
            self._on_away()

    def receive(self, payload: bytes) -> None:
        """A question, which may have to wait for the entry ahead of it, or an answer."""
        try:
            value, after = parse_aside(payload)
            message = parse(value)
        except PacketError as error:
            self.bus.health.reject(error, self.channel)
            return
        if message.nsp != self.nsp or message.uid == self._uid:
            return
        if after is None or message.kind not in QUESTIONS:
            self._hear_late(message)
        else:
            self.log.hold(self._stream, after, partial(self._hear_late, message))

    def _hear_late(self, message: Message, reached: bool = True) -> None:  # noqa: ARG002 - heard in any case
        if self._hear is not None:
            self._hear(message)

    # --- sessions -------------------------------------------------------------------------------------

    def _key(self, pid: str) -> str:
        return f"{self._options.session_key_prefix}{pid}"

    def save(self, session: StoredSession, seconds: float) -> Awaitable[None]:
        """Keep a session."""
        key = Key(self._key(session.pid), max(1, int(seconds * 1000)))
        return self.bus.publish(key, pack_session(session, self.log.position(self._stream)))

    def place(self, offset: str) -> Place | None:
        """Where an entry is."""
        return parse_id(offset)

    async def take(self, pid: str, offset: str) -> Taken | None:
        """Take a session out of Redis."""
        await self.log.flushed()
        key = self._key(pid)
        transaction: list[tuple[Any, ...]] = [("MULTI",), ("GET", key), ("DEL", key), ("EXEC",)]
        questions = (
            ("XRANGE", self._stream, offset, offset),
            ("XREVRANGE", self._stream, "+", "-", "COUNT", 1),
        )
        found, last, *_, taken = await self.log.ask([*questions, *transaction])
        packed = taken[0] if taken else None
        if not last or not isinstance(packed, bytes):
            return None
        try:
            if len(packed) > self.bus.max_message_size:
                raise PacketError(f"a session of {len(packed)} bytes, above max_message_size")
            session, start = unpack_session(packed, pid, offset)
        except PacketError as error:
            self.bus.health.reject(error, self._options.session_key_prefix)
            return None
        if not found and (start is None or not await self.holds(start)):
            return None
        return Taken(session, entries_of(last)[0][0], start)

    async def read(self, offset: str) -> Page:
        """Some of what comes after an entry."""
        count = self._options.read_count
        question = ("XRANGE", self._stream, f"({offset}", "+", "COUNT", count)
        (reply,) = await self.log.ask([question])
        found, entries, nsp = entries_of(reply), [], self.nsp.encode()
        for each, fields in found:
            if fields.get(b"nsp") == nsp:
                with suppress(PacketError):  # counted where it came by
                    entries.append(parse_entry(each, fields, self.nsp))
        return Page(entries, found[-1][0] if found else offset, len(found) >= count)

    async def holds(self, offset: str) -> bool:
        """Whether an entry is still there."""
        (reply,) = await self.log.ask([("XRANGE", self._stream, offset, offset)])
        return bool(reply)

    async def reached(self, offset: str) -> None:
        """Wait until the stream has been read up to there."""
        place = parse_id(offset)
        if place is not None:
            await self.log.reached(self._stream, place)


class RedisStreamsAdapter:
    """Reaches other nodes through a Redis stream, as ``@socket.io/redis-streams-adapter`` 0.3 does; clients that come back
    to any node miss nothing.

    ``Server(adapter=RedisStreamsAdapter("redis://..."), connection_state_recovery=True)``; one object for each server.
    Redis 6.2 or later. Python and Node.js servers form one cluster, and recover each other's clients.

    Args:
        server: a URL, or a ``redis.asyncio.Redis`` whose settings are taken.
        stream_name: of the stream; with several, what their names begin with.
        requests_timeout: seconds to wait for other nodes where the call does not say, and to restore a session at most.
        stream_count: streams among which namespaces are spread.
        channel_prefix: what the names of all channels begin with.
        use_sharded_pub_sub: whether channels are sharded (Redis 7).
        max_len: entries that a stream keeps, about: how far back clients can be recovered.
        read_count: entries that are read at once, at most.
        block_time: seconds that a question for entries waits in Redis.
        session_key_prefix: what the names of the sessions' keys begin with.
        only_plaintext: refuse what is binary.
        forwarding: whether nodes pass requests of each other's sessions on; False where a proxy keeps clients
            at their node (sticky sessions).
        link: how the link to Redis is looked after.
        max_message_size: bytes of one message.

    Raises:
        OptionError: an option has a value that it cannot have.
    """

    def __init__(
        self,
        server: RedisServer = LOCAL,
        stream_name: str = "socket.io",
        requests_timeout: float = 5.0,
        *,
        stream_count: int = 1,
        channel_prefix: str = "socket.io",
        use_sharded_pub_sub: bool = False,
        max_len: int = 10_000,
        read_count: int = 100,
        block_time: float = 5.0,
        session_key_prefix: str = "sio:session:",
        only_plaintext: bool = False,
        forwarding: bool = True,
        link: LinkOptions | None = None,
        max_message_size: int = MAX_MESSAGE,
    ) -> None:
        positive("requests_timeout", requests_timeout)
        positive("block_time", block_time)
        for name, value in (("stream_count", stream_count), ("max_len", max_len), ("read_count", read_count)):
            whole(name, value, 1)
        self.bus = RedisLog(
            server,
            streams=stream_names(stream_name, stream_count),
            max_len=max_len,
            read_count=read_count,
            block_time=block_time,
            sharded=use_sharded_pub_sub,
            link=link,
            max_message_size=max_message_size,
        )
        self.prefix = channel_prefix
        self.forwarding = forwarding
        self._patience = requests_timeout
        self._options = StreamOptions(
            stream_name, stream_count, channel_prefix, session_key_prefix, only_plaintext, read_count
        )

    def wire(self, nsp: str, bus: Bus) -> StreamsWire:
        """The format of one namespace, over this bus."""
        return StreamsWire(bus, nsp, self._options)

    def __call__(self, nsp: AdapterHost) -> RecoveringClusterAdapter:
        """The adapter of a namespace."""
        wire = StreamsWire(self.bus, nsp.name, self._options, self.bus)
        return RecoveringClusterAdapter(nsp, wire, self._patience)
