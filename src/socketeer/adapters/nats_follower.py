"""Following one channel of a stream: each message once, in order, and none is missed for as long as the stream has it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from socketeer.adapters.nats_api import Reading
from socketeer.errors import BrokerUnavailable

#: Messages that are held back at a gap, and their bytes, at most: what is dropped then is read from the stream.
_HELD = 1000
_HELD_BYTES = 4 * 1024 * 1024


class Place(NamedTuple):
    """Where a message stands in the stream."""

    here: int
    before: int
    """The place of the one before it on the same channel; 0 if there is none any more."""


class Follower:
    """Where one channel's reader stands.

    Attributes:
        channel: what is stored in the stream.
        position: the place of the last message that was passed on; None until it is known where to begin.
        late: whether the stream may have something that was missed: until that has been read, nothing else is passed on.
    """

    def __init__(self, channel: str, passed: Callable[[int, bytes], None], away: Callable[[], None]) -> None:
        self.channel = channel
        self.position: int | None = None
        self.late = False
        self._passed = passed
        self._away = away
        self._sure = 0
        """The position when the stream was last asked for its end."""
        self._end = 0
        """That end."""
        self._held: deque[tuple[Place, bytes]] = deque()
        """What came by itself behind a gap."""
        self._held_bytes = 0
        self._seen = 0
        """The last place that came by itself since it was late."""
        self._in_vain = 0
        """How often there was nothing to read."""
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def unplaced(self, payload: bytes) -> None:
        """Messages come by :meth:`came`: this stands for the subscription only."""

    def came(self, place: Place, payload: bytes) -> bool:
        """A message has come by itself; False if others before it have not."""
        position = self.position
        if position is None or place.here <= position:
            return True  # it was read from the stream before
        if self.late or place.before > position:
            self.late = True
            self._hold(place, payload)
            return False
        self._pass(place.here, payload)
        return True

    def _hold(self, place: Place, payload: bytes) -> None:
        self._seen = max(self._seen, place.here)
        self._held.append((place, payload))
        self._held_bytes += len(payload)
        if len(self._held) > _HELD or self._held_bytes > _HELD_BYTES:
            self._let_go()

    def _let_go(self) -> None:
        self._held.clear()
        self._held_bytes = 0

    def read(self, reading: Reading) -> None:
        """The next messages were read from the stream."""
        for place, payload in reading.found:
            if self.position is None or place > self.position:
                self._pass(place, payload)
        self._in_vain = 0 if reading.found else self._in_vain + 1
        self._go_on()
        # A place that is never found, however often one looks, was made up.
        if self.late and not reading.more and (self._seen <= (self.position or 0) or self._in_vain > 1):
            self._caught_up()

    def _go_on(self) -> None:
        """Pass on what was held back, as far as nothing is missing before it."""
        held = self._held
        while held and (held[0][0].here <= (self.position or 0) or held[0][0].before <= (self.position or 0)):
            place, payload = held.popleft()
            self._held_bytes -= len(payload)
            if place.here > (self.position or 0):
                self._pass(place.here, payload)
                if not held:
                    self._caught_up()

    def _caught_up(self) -> None:
        self.late = False
        self._seen = self._in_vain = 0
        self._let_go()

    def _pass(self, place: int, payload: bytes) -> None:
        self.position = place
        self._passed(place, payload)
        if self._waiting:
            self._wake(None)

    def doubtful(self, end: int) -> bool:
        """The stream has come to this place: whether it is to be asked if something of this channel is missing.

        So it is where nothing has come since the last time, and the stream had come further by then.
        """
        position = self.position
        if position is None:
            return False
        if position > end:  # somebody has made a place up
            self.position = min(self._sure, end)
            self._end = end
            return True
        still = position == self._sure and position < self._end
        self._sure, self._end = position, end
        return still

    def check(self, last: int) -> None:
        """The stream's last message of this channel is at this place."""
        if self.position is not None and self.position < last:
            self.late = True

    def begin_anew(self, *, known: bool) -> None:
        """It is another stream than before; all of it is new to those who have known the one before."""
        self.position = 0 if known and self.position is not None else None
        self._sure = self._end = 0
        self._caught_up()

    async def reached(self, place: int) -> None:
        """Wait until all messages up to a place have been passed on.

        Raises:
            BrokerUnavailable: the link broke before that.
        """
        if self.position is None or self.position < place:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((place, future))
            await future

    def lost(self) -> None:
        """The link broke, or nobody follows any more."""
        self._wake(BrokerUnavailable("the connection was closed"))
        self._away()

    def _wake(self, error: Exception | None) -> None:
        waiting, self._waiting = self._waiting, []
        for place, future in waiting:
            if future.done():
                continue
            if error is not None:
                future.set_exception(error)
            elif self.position is not None and place <= self.position:
                future.set_result(None)
            else:
                self._waiting.append((place, future))
