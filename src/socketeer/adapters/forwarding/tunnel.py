"""A tunnel between two nodes: numbered frames, so that a lost one shows, and records with a window in each direction.

What belongs to one request or one WebSocket goes through one tunnel. A frame that is missing ends it.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from socketeer.adapters.forwarding.frames import (
    MORE,
    RECORD_HEAD,
    Frame,
    Kind,
    encode,
    pack_number,
    record,
    records,
    unpack_number,
)
from socketeer.engine.http.message import Request
from socketeer.engine.request import RequestRefused
from socketeer.engine.server import EngineServer
from socketeer.engine.timers import Timer
from socketeer.errors import PacketError

#: Bytes of records that may be on their way in one direction, about.
WINDOW: Final = 256 * 1024

#: Bytes of records in one frame, at most.
CHUNK: Final = 64 * 1024


class Lines(Protocol):
    """What a tunnel needs of its node."""

    @property
    def node_id(self) -> str:
        """This node's id."""
        ...

    @property
    def chunk(self) -> int:
        """Bytes of a frame's body, at most."""
        ...

    @property
    def engine(self) -> EngineServer:
        """The server whose sessions these are."""
        ...

    def publish(self, peer: str, payload: bytes) -> None:
        """Send a frame to another node."""
        ...

    def adopt(self, tunnel: Opened) -> bool:
        """Give a tunnel that is to be opened at once its id; False says that it cannot be."""
        ...

    def forget(self, tunnel: Tunnel) -> None:
        """The tunnel has ended."""
        ...

    def flush_soon(self, outflow: Outflow) -> None:
        """Flush at the end of the loop's turn."""
        ...

    def doubt(self, tunnel: Opened) -> None:
        """The owner has been silent; perhaps there is none."""
        ...


class Outflow:
    """Records on their way out: they wait while the other side has no room, and those of one turn leave together."""

    __slots__ = ("_pieces", "_room", "_tunnel", "_waiters", "at_end", "dirty", "held")

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel
        self._pieces: deque[bytes] = deque()
        self._room = WINDOW
        """Bytes that the other side would take."""
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self.held = 0
        """Bytes that wait."""
        self.dirty = False
        """Whether the node is to flush it."""
        self.at_end: Callable[[], None] | None = None
        """Called when nothing waits any more."""

    def put(self, flags: int, data: bytes) -> None:
        """Queue one message, or with ``MORE`` a part of one."""
        most = self._tunnel.lines.chunk - RECORD_HEAD
        while len(data) > most:
            self._append(record(flags | MORE, data[:most]))
            data = data[most:]
        self._append(record(flags, data))
        if not self.dirty:
            self.dirty = True
            self._tunnel.lines.flush_soon(self)

    def _append(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self.held += len(piece)

    def flush(self) -> None:
        """Send what the other side has room for."""
        pieces, most = self._pieces, self._tunnel.lines.chunk
        self.dirty = False
        while pieces and self._room > 0 and not self._tunnel.ended:
            batch, size = [pieces.popleft()], 0
            size = len(batch[0])
            while pieces and size + len(pieces[0]) <= most:
                batch.append(pieces.popleft())
                size += len(batch[-1])
            self._room -= size
            self.held -= size
            self._tunnel.tell(Kind.DATA, b"".join(batch))
        if self._waiters:
            self._wake()
        if not pieces and self.at_end is not None and not self._tunnel.ended:
            self.at_end()

    def credit(self, size: int) -> None:
        """The other side has taken so many bytes.

        Raises:
            PacketError: it has not been sent as many.
        """
        if size > WINDOW + self._tunnel.lines.chunk - self._room:
            raise PacketError(f"credit for {size} bytes, which have not been sent")
        self._room += size
        self.flush()

    @property
    def writable(self) -> bool:
        """Whether a message would leave now."""
        return not self._pieces and self._room > 0

    async def below(self, size: int) -> None:
        """Wait until no more than ``size`` bytes wait, or the tunnel has ended."""
        if self.dirty:
            self.flush()
        if self.held > size and not self._tunnel.ended:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append((size, waiter))
            await waiter

    def _wake(self) -> None:
        left = []
        for size, waiter in self._waiters:
            if self.held > size and not self._tunnel.ended:
                left.append((size, waiter))
            elif not waiter.done():
                waiter.set_result(None)
        self._waiters = left

    def drop(self) -> None:
        """The tunnel ends: nothing waits any more."""
        self._pieces.clear()
        self.held = 0
        self._wake()


class Assembler:
    """Messages from the records that they came in."""

    __slots__ = ("_limit", "_parts", "_size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def take(self, body: bytes) -> Iterator[tuple[int, bytes]]:
        """The flags and the bytes of each message that is whole.

        Raises:
            PacketError: there is something else, or a message of more bytes than may be.
        """
        for flags, data in records(body):
            self._size += len(data)
            if self._size > self._limit:
                raise PacketError(f"a message above {self._limit} bytes")
            if flags & MORE:
                self._parts.append(data)
            elif self._parts:
                whole = b"".join([*self._parts, data])
                self._parts, self._size = [], 0
                yield flags, whole
            else:
                self._size = 0
                yield flags, data


class Tunnel(ABC):
    """One side of a tunnel.

    Attributes:
        lines: the node that it belongs to.
        peer: the node at its other end.
        id: unlike all others of the node that has opened it, and higher than those before.
        ended: whether it is over, on this side.
    """

    __slots__ = ("_coming", "_expected", "_owed", "_sent", "ended", "id", "lines", "out", "peer")

    def __init__(self, lines: Lines, peer: str, tunnel: int) -> None:
        self.lines = lines
        self.peer = peer
        self.id = tunnel
        self.ended = False
        self.out = Outflow(self)
        self._sent = 0
        self._expected = 0
        self._coming = 0
        """Bytes of records that have come and have not been credited."""
        self._owed = 0
        """Bytes of records that have been taken, of which the other side does not know."""

    def tell(self, kind: Kind, body: bytes = b"") -> None:
        """Send the next frame."""
        number, self._sent = self._sent, self._sent + 1
        self.lines.publish(self.peer, encode(kind, self.lines.node_id, self.id, number, body))

    def receive(self, frame: Frame) -> None:
        """A frame has come.

        Raises:
            PacketError: it is none that would come here now.
        """
        if frame.number < self._expected:
            raise PacketError(f"a frame has come twice: number {frame.number}")
        if frame.number > self._expected:
            self.fail()
            return
        self._expected += 1
        try:
            self._take(frame)
        except PacketError:
            self.fail()
            raise

    def fail(self) -> None:
        """A frame is missing: both sides end."""
        self.lines.publish(self.peer, encode(Kind.UNKNOWN, self.lines.node_id, self.id, 0))
        self.broken()

    def _take(self, frame: Frame) -> None:
        kind = frame.kind
        if kind is Kind.CREDIT:
            self.out.credit(unpack_number(frame.body))
        elif kind is Kind.SYNC:
            self.tell(Kind.SYNCED)
        elif kind is Kind.DATA:
            self._coming += len(frame.body)
            if self._coming > WINDOW + self.lines.chunk:
                raise PacketError("more than the window holds")
            self.hear(kind, frame.body)
        elif kind is not Kind.SYNCED:
            self.hear(kind, frame.body)

    def taken(self, size: int) -> None:
        """So many bytes of records have found their place: there may come more."""
        self._owed += size
        if self._owed >= WINDOW // 2 and not self.ended:
            owed, self._owed = self._owed, 0
            self._coming -= owed
            self.tell(Kind.CREDIT, pack_number(owed))

    @abstractmethod
    def hear(self, kind: Kind, body: bytes) -> None:
        """The next frame that is this kind of tunnel's business.

        Raises:
            PacketError: it does not belong here.
        """

    @abstractmethod
    def broken(self) -> None:
        """The other node has gone, or a frame is missing: end, and tell whoever is on this side."""

    def end(self) -> None:
        """It is over: nothing more is sent or heard."""
        if not self.ended:
            self.ended = True
            self.out.drop()
            self.lines.forget(self)


class Opened(Tunnel):
    """The end that has opened it: until the owner has said a word, it may be that there is none.

    Attributes:
        accepted: whether it has.
        patience: set by the node; runs out when the owner has said nothing.
        doubts: how often it has run out.
        request: what has landed here.
    """

    __slots__ = ("accepted", "doubts", "patience", "request")

    def __init__(self, lines: Lines, peer: str, request: Request) -> None:
        super().__init__(lines, peer, 0)  # the node gives it its id when it is opened
        self.request = request
        self.accepted = False
        self.doubts = 0
        self.patience = Timer(self._doubt)

    def _doubt(self) -> None:
        self.lines.doubt(self)

    def agreed_to(self) -> None:
        """The owner has said a word."""
        if not self.accepted:
            self.accepted = True
            self.lines.engine.wheel.clear(self.patience)

    @abstractmethod
    def refuse(self, why: RequestRefused) -> None:
        """It leads nowhere: end, and say so."""

    def end(self) -> None:
        """As of every tunnel."""
        if not self.ended:
            self.lines.engine.wheel.clear(self.patience)
        super().end()
