"""An engine in one process that keeps broadcasts in a log, under the test's control: what comes by, and what breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from socketeer.adapters.channels import ChannelWire
from socketeer.adapters.codec import decode, encode
from socketeer.adapters.durable import Entry, Page, Passed, Place, Taken, parse_session, plain_session
from socketeer.adapters.messages import Broadcast, Kind, Message, parse
from socketeer.adapters.recovering import RecoveringClusterAdapter
from socketeer.errors import BrokerUnavailable
from socketeer.protocol.msgpack import pack_plain, unpack_plain
from socketeer.server.adapter import AdapterHost, StoredSession
from socketeer.server.published import published
from socketeer.server.server import BaseServer
from tests.adapters.bus import Exchange, LoopBus


class SharedLog:
    """What the nodes have in common."""

    page = 3
    """Entries that are read at once."""

    def __init__(self) -> None:
        self.exchange = Exchange()
        self.entries: list[tuple[bytes, int]] = []
        self.first = 0
        """How many have been dropped."""
        self.sessions: dict[str, bytes] = {}
        self.wires: list[LogWire] = []
        self.reads = 0

    def add(self, message: Message, number: int = 0) -> None:
        self.entries.append((encode(message.plain()), number))
        for wire in self.wires:
            wire.stir()

    def entry(self, at: int) -> Entry:
        payload, number = self.entries[at]
        return Entry(f"e{at}", (at,), parse(decode(payload)), number, len(payload))

    def trim(self) -> None:
        """Drop all that there is."""
        self.first = len(self.entries)


class LogWire(ChannelWire):
    """One namespace of one node."""

    def __init__(self, bus: LoopBus, nsp: str, shared: SharedLog) -> None:
        super().__init__(bus, nsp, "socket.io")
        self.shared = shared
        self.position = 0
        self.paused = False
        """Whether nothing comes by."""
        self.stuck: asyncio.Event | None = None
        """What taking a session waits for."""
        self._passed: Passed | None = None
        self._away: Callable[[], None] | None = None
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    def follow(self, passed: Passed, away: Callable[[], None]) -> None:
        self._passed, self._away = passed, away
        self.position = len(self.shared.entries)
        self.shared.wires.append(self)

    def close(self) -> None:
        super().close()
        self._passed = self._away = None
        self.shared.wires.remove(self)

    def send(self, message: Message) -> Awaitable[None]:
        kept = (Kind.SOCKETS_JOIN, Kind.SOCKETS_LEAVE, Kind.DISCONNECT_SOCKETS)
        data = message.data
        if message.kind in kept or (isinstance(data, Broadcast) and data.request_id is None):
            return self.append(message, 0)
        return super().send(message)

    def append(self, message: Message, number: int) -> Awaitable[None]:
        self.shared.add(message, number)
        return published(None)

    def stir(self) -> None:
        asyncio.get_running_loop().call_soon(self.go)

    def go(self) -> None:
        """Have all come by that is there."""
        while not self.paused and self._passed is not None and self.position < len(self.shared.entries):
            entry = self.shared.entry(self.position)
            self.position += 1
            if entry.message.nsp == self.nsp:
                self._passed(entry)
        for place, future in self._waiters:
            if place < self.position and not future.done():
                future.set_result(None)

    def resume(self) -> None:
        self.paused = False
        self.go()

    def cut(self) -> None:
        """The link breaks."""
        self.bus.health.away("the test")
        assert self._away is not None
        self._away()

    def save(self, session: StoredSession, seconds: float) -> Awaitable[None]:
        self.shared.sessions[session.pid] = pack_plain(plain_session(session))
        asyncio.get_running_loop().call_later(seconds, self.shared.sessions.pop, session.pid, None)
        return published(None)

    def place(self, offset: str) -> Place | None:
        digits = offset[1:]
        return (int(digits),) if offset[:1] == "e" and digits.isdecimal() and len(digits) < 20 else None

    async def take(self, pid: str, offset: str) -> Taken | None:
        if not self.bus.health.ok:
            raise BrokerUnavailable("the test")
        if self.stuck is not None:
            await self.stuck.wait()
        packed = self.shared.sessions.pop(pid, None)
        if packed is None or not await self.holds(offset):
            return None
        return Taken(parse_session(unpack_plain(packed), pid), f"e{len(self.shared.entries) - 1}")

    async def read(self, offset: str) -> Page:
        self.shared.reads += 1
        await asyncio.sleep(0)
        start = max(int(offset[1:]) + 1, self.shared.first)
        end = min(start + self.shared.page, len(self.shared.entries))
        found = [self.shared.entry(at) for at in range(start, end)]
        last = found[-1].offset if found else offset
        own = [each for each in found if each.message.nsp == self.nsp]
        return Page(own, last, end < len(self.shared.entries))

    async def holds(self, offset: str) -> bool:
        return self.shared.first <= int(offset[1:]) < len(self.shared.entries)

    async def reached(self, offset: str) -> None:
        if int(offset[1:]) >= self.position:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append((int(offset[1:]), future))
            await future


def log_nodes(
    count: int, shared: SharedLog | None = None, patience: float = 5.0, **options: Any
) -> list[BaseServer]:
    log = shared or SharedLog()

    def node() -> BaseServer:
        bus = LoopBus(log.exchange)

        def adapter(nsp: AdapterHost) -> RecoveringClusterAdapter:
            return RecoveringClusterAdapter(nsp, LogWire(bus, nsp.name, log), patience)

        return BaseServer(adapter=adapter, **options)

    return [node() for _ in range(count)]
