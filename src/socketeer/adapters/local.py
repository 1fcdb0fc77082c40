"""Nodes of one machine: the bus over a hub's Unix socket, and the adapter that uses it. Nothing has to be installed.

The hub is :class:`~socketeer.adapters.local_hub.Hub`; the parent of ``--workers`` has one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Final, cast

from socketeer.adapters.broker import BrokerBus, LinkOptions, Outgoing
from socketeer.adapters.bus import Bus
from socketeer.adapters.channels import ChannelWire
from socketeer.adapters.cluster import ClusterAdapter
from socketeer.adapters.local_frames import MAX_MESSAGE, VERSION, Frame, Kind, Splitter, encode, wire_name
from socketeer.checks import positive
from socketeer.errors import BrokerUnavailable, OptionError, PacketError
from socketeer.server.adapter import AdapterHost

#: The hub is near and comes back soon; on a busy machine it may be slow to answer.
LINK: Final = LinkOptions(
    connect_timeout=10.0,
    ping_interval=10.0,
    ping_timeout=10.0,
    reconnection_delay=0.05,
    reconnection_delay_max=1.0,
    max_pending_bytes=4 * MAX_MESSAGE,
)

#: Bytes on their way to the hub from which on the next ones wait in the queue.
_HIGH_WATER: Final = 1024 * 1024

_NUMBER = Struct("!Q")
_COUNTED = Struct("!QI")


class LocalBus(BrokerBus):
    """A bus over a hub. What a node publishes does not come back to it.

    A message is accepted when it is on its way to the hub and less than a mebibyte is before it.

    Args:
        path: of the hub's Unix socket.
        link: how the link is looked after.
    """

    def __init__(self, path: str, *, link: LinkOptions = LINK) -> None:
        super().__init__(f"the hub at {path}", link, MAX_MESSAGE)
        self._path = path
        self._line: _Line | None = None
        self._names: dict[bytes, str] = {}
        """Channels by what the hub calls them."""
        self._last_question = 0
        self._asked: dict[int, asyncio.Future[int]] = {}

    async def _connect(self) -> None:
        self._names.clear()
        loop = asyncio.get_running_loop()
        _, self._line = await loop.create_unix_connection(lambda: _Line(self._on_frame), self._path)
        self._line.send(encode(Kind.HELLO, body=VERSION))
        await self._line.greeted

    async def _disconnect(self) -> None:
        asked, self._asked = self._asked, {}
        for future in asked.values():
            if not future.done():
                future.set_exception(ConnectionError("the connection was closed"))
                future.exception()  # who asked sees it; if nobody does any more, that is no news
        line, self._line = self._line, None
        if line is not None:
            await line.close()

    async def _listen(self) -> None:
        await self._there().ended

    def _there(self) -> _Line:
        if self._line is None:
            raise ConnectionError("the connection was closed")
        return self._line

    def _on_frame(self, frame: Frame) -> None:
        if frame.kind == Kind.MESSAGE:
            channel = self._names.get(frame.name)
            if channel is not None:  # else it has just been unsubscribed from
                self.received(channel, frame.body)
        elif frame.kind == Kind.PONG and len(frame.body) == _NUMBER.size:
            self._answered(int.from_bytes(frame.body, "big"), 0)
        elif frame.kind == Kind.COUNTED and len(frame.body) == _COUNTED.size:
            question, number = _COUNTED.unpack(frame.body)
            self._answered(question, number)
        else:
            error = PacketError(f"no frame of a hub: {frame!r:.100}")
            self.health.reject(error, self._path)
            raise error

    def _answered(self, question: int, number: int) -> None:
        future = self._asked.pop(question, None)
        if future is not None and not future.done():
            future.set_result(number)

    async def _ask(self, kind: Kind, name: bytes = b"") -> int:
        line = self._there()
        self._last_question += 1
        question = self._last_question
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._asked[question] = future
        line.send(encode(kind, name, _NUMBER.pack(question)))
        try:
            return await future
        finally:
            self._asked.pop(question, None)

    async def _subscribe(self, add: Sequence[str], remove: Sequence[str]) -> None:
        added = {wire_name(each): each for each in add}
        removed = [wire_name(each) for each in remove]
        self._names.update(added)
        for name in removed:
            self._names.pop(name, None)
        frames = [encode(Kind.SUBSCRIBE, name) for name in added]
        frames += [encode(Kind.UNSUBSCRIBE, name) for name in removed]
        self._there().send(b"".join(frames))
        await self._ping()

    async def _send(self, batch: Sequence[Outgoing]) -> None:
        line = self._there()
        line.send(b"".join([encode(Kind.MESSAGE, wire_name(each.channel), each.payload) for each in batch]))
        await line.drained()

    async def _ping(self) -> None:
        await self._ask(Kind.PING)

    async def subscribers(self, channel: str) -> int:
        """How many nodes have subscribed: each is one connection."""
        try:
            async with asyncio.timeout(self.options.ping_timeout):
                await self.settled()
                return await self._ask(Kind.COUNT, wire_name(channel))
        except BrokerUnavailable:
            raise
        except Exception as error:
            raise BrokerUnavailable(f"{self.health.name}: {str(error) or 'no answer in time'}") from error


class _Line(asyncio.Protocol):
    """A connection to the hub."""

    def __init__(self, on_frame: Callable[[Frame], None]) -> None:
        loop = asyncio.get_running_loop()
        self.greeted: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        """It fails with the reason."""
        self._on_frame = on_frame
        self._splitter = Splitter()
        self._transport: asyncio.Transport | None = None
        self._room: asyncio.Future[None] | None = None
        """Whoever waits until there is less on its way."""

    def send(self, data: bytes) -> None:
        """Send frames."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionError("the connection was closed")
        self._transport.write(data)

    async def drained(self) -> None:
        """Wait until little is on its way."""
        if self._room is not None:
            await self._room

    async def close(self) -> None:
        """End the connection, whatever is on its way."""
        if self._transport is not None:
            self._transport.abort()
        await asyncio.wait({self.ended})

    # --- for the loop ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of asyncio's
        self._transport.set_write_buffer_limits(_HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        try:
            for frame, _ in self._splitter.feed(data):
                if self.greeted.done():
                    self._on_frame(frame)
                elif frame == (Kind.HELLO, b"", VERSION):
                    self.greeted.set_result(None)
                else:
                    raise PacketError("the hub speaks another version; start the workers' parent anew")
        except PacketError as error:
            self._end(error)
            if self._transport is not None:
                self._transport.abort()

    def pause_writing(self) -> None:
        self._room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._end(exc or ConnectionError("the hub closed the connection"))

    def _end(self, error: Exception) -> None:
        room, self._room = self._room, None
        for future in (self.greeted, self.ended, room):
            if future is not None and not future.done():
                future.set_exception(error)
                future.exception()  # seen by whoever waits, or by nobody


class LocalAdapter:
    """Reaches other nodes of this machine, through a hub.

    ``Server(adapter=LocalAdapter(path))``; one object for each server. The workers of ``io.run(workers=...)`` and
    ``socketeer run --workers`` use it by themselves.

    Args:
        path: of the hub's Unix socket.
        prefix: what the names of all channels begin with: servers with different ones do not hear each other.
        requests_timeout: seconds to wait for other nodes where the call does not say.
        forwarding: whether nodes pass requests of each other's sessions on.
        link: how the link to the hub is looked after.
    """

    def __init__(
        self,
        path: str,
        prefix: str = "socket.io",
        requests_timeout: float = 5.0,
        *,
        forwarding: bool = True,
        link: LinkOptions = LINK,
    ) -> None:
        positive("requests_timeout", requests_timeout)
        if not isinstance(path, str) or not path:
            raise OptionError(f"path: expected that of a hub's Unix socket, got {path!r}")
        self.bus = LocalBus(path, link=link)
        self.prefix = prefix
        self.forwarding = forwarding
        self._patience = requests_timeout

    def wire(self, nsp: str, bus: Bus) -> ChannelWire:
        """The format of one namespace, over this bus."""
        return ChannelWire(bus, nsp, self.prefix)

    def __call__(self, nsp: AdapterHost) -> ClusterAdapter:
        """The adapter of a namespace."""
        return ClusterAdapter(nsp, self.wire(nsp.name, self.bus), self._patience)
