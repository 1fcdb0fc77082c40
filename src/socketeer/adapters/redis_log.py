"""Redis as a log: the bus of :mod:`~socketeer.adapters.redis`, and streams that are read from where they were left.

https://redis.io/docs/latest/develop/data-types/streams/. One connection more than for channels waits for entries.
Where the link has been broken, reading goes on behind the last entry.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any, NamedTuple, Protocol, Self

from socketeer.adapters.broker import LinkOptions, Outgoing
from socketeer.adapters.redis import LOCAL, MAX_MESSAGE, Link, RedisBus, RedisServer
from socketeer.adapters.redis_streams_wire import Id, entries_of, fields_of, parse_id, stamped
from socketeer.adapters.together import until_one_ends
from socketeer.client.reconnect import Backoff
from socketeer.errors import BrokerUnavailable

#: Seconds that a question waits at most for the entry that went before it, and how many do so at the same time.
_PATIENCE = 2.0
_MAX_HELD = 10_000

#: Messages that go to Redis at once, at most: where questions and entries take turns, each is a way of its own.
_BATCH = 250

#: How much larger than ours may be what nodes send that have other limits.
_FOREIGN = 4


class Stream(str):
    """Where a channel is asked for: what is published goes into a stream."""

    __slots__ = ()


class Aside(str):
    """A channel whose messages are not to be heard before what went into a stream ahead of them."""

    __slots__ = ("stream",)
    stream: str

    def __new__(cls, channel: str, stream: str) -> Self:
        self = super().__new__(cls, channel)
        self.stream = stream
        return self


class Key(str):
    """Where a channel is asked for: what is published is the value of a key, for a time."""

    __slots__ = ("milliseconds",)
    milliseconds: int

    def __new__(cls, key: str, milliseconds: int) -> Self:
        self = super().__new__(cls, key)
        self.milliseconds = milliseconds
        return self


class Follower(Protocol):
    """Who hears of the entries of a namespace."""

    def entry(self, offset: str, fields: dict[bytes, bytes]) -> None:
        """The next one."""
        ...

    def away(self) -> None:
        """The link broke."""
        ...


class _Held(NamedTuple):
    after: Id
    turn: int
    deadline: float
    act: Callable[[bool], None]
    """Told whether it has been reached."""


class RedisLog(RedisBus):
    """A bus over Redis that knows streams.

    Args:
        server: as for :class:`~socketeer.adapters.redis.RedisBus`.
        streams: the names of those that are read.
        max_len: entries that a stream keeps, about.
        read_count: entries that are read at once, at most.
        block_time: seconds that a question for entries waits in Redis.
        sharded: whether channels are sharded.
        link: how the link is looked after.
        max_message_size: bytes of one message.
    """

    def __init__(
        self,
        server: RedisServer = LOCAL,
        *,
        streams: Sequence[str],
        max_len: int,
        read_count: int,
        block_time: float,
        sharded: bool = False,
        link: LinkOptions | None = None,
        max_message_size: int = MAX_MESSAGE,
    ) -> None:
        super().__init__(server, sharded=sharded, link=link, max_message_size=max_message_size)
        self._streams = tuple(streams)
        self._max_len = max_len
        self.batch_length = max(1, min(_BATCH, max_len // 4))
        self._read_count = read_count
        self._block = block_time
        self._reader: Link | None = None
        self._positions: dict[str, Id] = {}
        """What has been read of each stream."""
        self._written: dict[str, str] = {}
        """This node's last entry in each."""
        self._followers: dict[str, Follower] = {}
        """By namespace."""
        self._followed = asyncio.Event()
        """Whether anybody follows: who only writes does not read."""
        self._ahead = 0
        """Entries that may not have been read here since they were written."""
        self._held: dict[str, list[_Held]] = {}
        """What waits for an entry of a stream, as heaps."""
        self._turns = 0
        self._timer: asyncio.TimerHandle | None = None

    # --- for the wire -------------------------------------------------------------------------------

    def follow(self, nsp: str, follower: Follower) -> None:
        """Tell it each entry of a namespace."""
        self._followers[nsp] = follower
        self._followed.set()

    def unfollow(self, nsp: str, follower: Follower) -> None:
        """Do not tell it any more."""
        if self._followers.get(nsp) is follower:
            del self._followers[nsp]

    def hold(self, stream: str, after: Id, act: Callable[[bool], None]) -> None:
        """Do something when a stream has been read up to there, or the wait for that has been too long."""
        if after <= self._positions.get(stream, after):
            act(True)
            return
        held = self._held.setdefault(stream, [])
        self._turns += 1
        loop = asyncio.get_running_loop()
        heapq.heappush(held, _Held(after, self._turns, loop.time() + _PATIENCE, act))
        if len(held) > _MAX_HELD:
            heapq.heappop(held).act(False)
        if self._timer is None:
            self._timer = loop.call_later(_PATIENCE, self._give_up)

    async def reached(self, stream: str, place: Id) -> None:
        """Wait until a stream has been read up to there.

        Raises:
            BrokerUnavailable: the link broke, or it takes too long.
        """
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def act(reached: bool) -> None:
            if not future.done():
                future.set_result(reached)

        self.hold(stream, place, act)
        if not await future:
            raise BrokerUnavailable(f"{self.health.name}: {stream} could not be read up to {place}")

    def position(self, stream: str) -> str | None:
        """The id of the last entry that has been read of a stream."""
        place = self._positions.get(stream)
        return None if place is None else _text(place)

    async def flushed(self) -> None:
        """Wait until what has been published before has reached Redis, or is lost."""
        last = self._last
        if last is not None and self.health.ok:
            with suppress(BrokerUnavailable):
                await last

    # --- the link -------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        await super()._connect()
        self._reader = self._make()
        await self._reader.connect()  # type: ignore[no-untyped-call]
        self._written.clear()  # it may be another stream by now
        self._ahead, self._followed = 0, asyncio.Event()
        if self._followers:
            self._followed.set()
        ends = await self._exchange([("XREVRANGE", name, "+", "-", "COUNT", 1) for name in self._streams])
        for name, reply in zip(self._streams, ends, strict=True):
            if isinstance(reply, Exception):
                raise reply
            last = entries_of(reply)
            end = (parse_id(last[0][0]) if last else None) or (0, 0)
            # Where it ends before what has been read it is another stream of that name.
            self._positions[name] = min(self._positions.get(name, end), end)

    async def _disconnect(self) -> None:
        reader, self._reader = self._reader, None
        await super()._disconnect()
        if reader is not None:
            await reader.disconnect(nowait=True)

    def _broke(self, error: Exception, backoff: Backoff) -> None:
        super()._broke(error, backoff)
        self._release_all()
        for follower in list(self._followers.values()):
            follower.away()

    async def close(self) -> None:
        """Give it back."""
        await super().close()
        if self._task is None:  # whoever uses it again hears what comes from then on
            self._positions.clear()
            self._written.clear()
            self._release_all()

    # --- what goes ------------------------------------------------------------------------------------

    async def _send(self, batch: Sequence[Outgoing]) -> None:
        # What was put into a stream is there before a question is published that says so; and a
        # question has gone out before what comes after it is put into the stream.
        for kept, run in groupby(batch, lambda each: isinstance(each.channel, (Stream, Key))):
            part = list(run)
            replies = await self._exchange(list(map(self._keep if kept else self._tell, part)))
            for outgoing, reply in zip(part, replies, strict=True):
                self._sent(outgoing, reply)

    async def _send_some(self) -> None:
        if self._ahead > self._max_len // 2 and self._followers:
            # What is trimmed before it is read is lost: nodes that are as quick as this one shall keep up.
            self._ahead = 0
            for stream, last in list(self._written.items()):
                with suppress(BrokerUnavailable):
                    await self.reached(stream, parse_id(last) or (0, 0))
        await super()._send_some()

    def _keep(self, outgoing: Outgoing) -> tuple[Any, ...]:
        channel = outgoing.channel
        if isinstance(channel, Key):
            return ("SET", channel, outgoing.payload, "PX", channel.milliseconds)
        return ("XADD", channel, "MAXLEN", "~", self._max_len, "*", *fields_of(outgoing.payload))

    def _tell(self, outgoing: Outgoing) -> tuple[Any, ...]:
        channel, payload = outgoing.channel, outgoing.payload
        after = self._written.get(channel.stream) if isinstance(channel, Aside) else None
        return (self._publish, channel, payload if after is None else stamped(payload, after))

    def _sent(self, outgoing: Outgoing, reply: Any) -> None:
        if not isinstance(reply, Exception):
            outgoing.accepted()
            if isinstance(outgoing.channel, Stream):
                self._written[outgoing.channel] = reply.decode()
                self._ahead += 1
            return
        outgoing.failed(BrokerUnavailable(f"{self.health.name}: {reply}"))
        if isinstance(outgoing.channel, Stream):  # nobody shall wait for it
            raise ConnectionError(f"cannot write to the stream: {reply}")

    # --- what comes -----------------------------------------------------------------------------------

    async def _listen(self) -> None:
        await until_one_ends(super()._listen(), self._read())

    async def _read(self) -> None:
        reader, milliseconds = self._reader, int(self._block * 1000)
        await self._followed.wait()
        head: tuple[str | int, ...]
        head = ("XREAD", "COUNT", self._read_count, "BLOCK", milliseconds, "STREAMS", *self._streams)
        while reader is not None:
            places = [_text(self._positions[name]) for name in self._streams]
            await reader.send_packed_command(reader.pack_commands([(*head, *places)]), check_health=False)
            async with asyncio.timeout(self._block + self.options.ping_timeout):
                reply: Any = await reader.read_response(disable_decoding=True)
            # What was published before these were written has come on the other connection: that first.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            for name, entries in reply or ():
                for offset, fields in entries_of(entries):
                    self._pass(name.decode(), offset, fields)

    def _pass(self, stream: str, offset: str, fields: dict[bytes, bytes]) -> None:
        place = parse_id(offset)
        if place is None:
            raise ConnectionError(f"expected the id of an entry, got {offset!r:.100}")
        self.health.received += 1
        follower = self._followers.get(fields.get(b"nsp", b"").decode(errors="replace"))
        if sum(map(len, fields.values())) > _FOREIGN * self.max_message_size:
            self.health.reject(ValueError("an entry far above max_message_size"), stream)
        elif follower is not None:
            follower.entry(offset, fields)
        self._positions[stream] = place
        if self._held:
            self._release(stream, place)

    # --- what waits for it ----------------------------------------------------------------------------

    def _release(self, stream: str, place: Id) -> None:
        held = self._held.get(stream)
        while held and held[0].after <= place:
            heapq.heappop(held).act(True)
        if not held:
            self._held.pop(stream, None)

    def _release_all(self) -> None:
        held, self._held = self._held, {}
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for each in held.values():
            for item in sorted(each):
                item.act(False)

    def _give_up(self) -> None:
        loop, self._timer = asyncio.get_running_loop(), None
        now = loop.time()
        for stream, held in list(self._held.items()):
            late = sorted(each for each in held if each.deadline <= now)
            self._held[stream] = [each for each in held if each.deadline > now]
            heapq.heapify(self._held[stream])
            for item in late:
                item.act(False)
            if not self._held[stream]:
                del self._held[stream]
        if self._held and self._timer is None:
            self._timer = loop.call_later(_PATIENCE / 4, self._give_up)


def _text(place: Id) -> str:
    return f"{place[0]}-{place[1]}"
