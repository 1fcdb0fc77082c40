"""Events as an asynchronous iterator, for those who prefer ``async for`` to listeners."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Any, Self

from socketeer.errors import OptionError
from socketeer.messaging.handlers import Ack
from socketeer.messaging.listening import SocketListening, Watch


class Overflow(Enum):
    """What is given up when the queue is full."""

    DROP_OLDEST = "drop oldest"
    DROP_NEWEST = "drop newest"
    DISCONNECT = "disconnect"
    """Disconnect, and end once what is queued has been taken."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event from the server."""

    name: str
    args: tuple[Any, ...]
    ack: Ack
    """Acknowledges it, where ``ack.wanted``."""


class Streaming(SocketListening):
    """A socket whose events can be iterated over."""

    async def ended(self) -> str:
        """Wait until the socket is disconnected for good, and get the reason."""
        raise NotImplementedError

    def disconnect(self) -> Any:
        """Disconnect for good."""
        raise NotImplementedError

    def events(
        self, *names: str, max_queued: int = 1000, overflow: Overflow = Overflow.DROP_OLDEST
    ) -> EventStream:
        """The events from now on, one after the other, until the socket is disconnected for good.

        ``async for event in client.events(): print(event.name, event.args)``. With ``names``, only
        those events. Made before ``connect`` it misses nothing; it goes on over reconnections. What
        comes while nobody asks for the next is kept, up to ``max_queued`` events; then ``overflow``
        says what is given up, and ``dropped`` counts it. There may be several streams at once; each
        gets every event, after the catch-alls and before the listeners.

        Raises:
            OptionError: ``max_queued`` is no whole number above 0.
        """
        if isinstance(max_queued, bool) or not isinstance(max_queued, int) or max_queued < 1:
            raise OptionError(f"max_queued: expected a whole number, 1 or more, got {max_queued!r}")
        overflow = Overflow(overflow)
        return EventStream(_Tap(self, self._own_watch(), frozenset(names), max_queued, overflow))


class _Tap:
    """The socket's end of a stream. It does not know the stream: one that nobody holds can be collected."""

    def __init__(
        self, socket: Streaming, watch: Watch, names: frozenset[str], max_queued: int, overflow: Overflow
    ) -> None:
        self.queue: deque[Event] = deque()
        self.dropped = 0
        self._socket = socket
        self._watch = watch
        self._names = names
        self._max_queued = max_queued
        self._overflow = overflow
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._open = True
        self._ending = asyncio.ensure_future(socket.ended())
        self._ending.add_done_callback(lambda _: self.close())
        watch.taps = (*watch.taps, self.put)

    def put(self, args: Sequence[Any], ack: Ack | None) -> None:
        """An event has come: its name and its arguments."""
        if self._names and args[0] not in self._names:
            return
        if len(self.queue) >= self._max_queued:
            self.dropped += 1
            if self._overflow is Overflow.DISCONNECT:
                self._socket.disconnect()
            if self._overflow is not Overflow.DROP_OLDEST:
                return
            self.queue.popleft()
        self.queue.append(Event(args[0], tuple(args[1:]), ack or Ack(None)))
        self._news.set()

    async def news(self) -> bool:
        """Wait until something is queued; False where nothing will be."""
        while not self.queue:
            if not self._open:
                return False
            self._news.clear()
            await self._news.wait()
        return True

    def close(self) -> None:
        """Take no more."""
        if self._open:
            self._open = False
            self._watch.taps = tuple(each for each in self._watch.taps if each != self.put)
            self._ending.cancel()
            self._news.set()

    def dropped_by_collector(self) -> None:
        """Nobody holds the stream any more; this may be any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.close)


class EventStream:
    """The events of a socket; ``async for`` ends when it is disconnected for good.

    A stream that is left early ends by ``aclose``, by ``async with``, or once nobody holds it any more.
    """

    def __init__(self, tap: _Tap) -> None:
        self._tap = tap
        weakref.finalize(self, tap.dropped_by_collector).atexit = False

    @property
    def dropped(self) -> int:
        """How many events were given up, because the queue was full."""
        return self._tap.dropped

    async def aclose(self) -> None:
        """Take no more; what is queued is given up."""
        self._tap.close()
        self._tap.queue.clear()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if not await self._tap.news():
            raise StopAsyncIteration
        return self._tap.queue.popleft()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
