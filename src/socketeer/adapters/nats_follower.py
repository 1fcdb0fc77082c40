"""Following one channel of a stream: each message once, in order, and none is missed for as long as the stream has it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from socketeer.adapters.nats_api import Reading
from socketeer.errors import BrokerUnavailable


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
        """A position that the stream has confirmed."""
        self._seen = 0
        """The place of the last message that came while it was late."""
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
            self._seen = max(self._seen, place.here)
            return False
        self._pass(place.here, payload)
        return True

    def read(self, reading: Reading) -> None:
        """The next messages were read from the stream."""
        for place, payload in reading.found:
            if self.position is None or place > self.position:
                self._pass(place, payload)
        if not reading.more and (not reading.found or self._seen <= (self.position or 0)):
            self.late = False
            self._seen = 0

    def _pass(self, place: int, payload: bytes) -> None:
        self.position = place
        self._passed(place, payload)
        if self._waiting:
            self._wake(None)

    def check(self, end: int) -> None:
        """The stream has come to this place: see whether anything has not come by itself."""
        if self.position is None:
            return
        if self.position > end:  # somebody has made a place up
            self.position = min(self._sure, end)
        self._sure = self.position
        if self.position < end:
            self.late = True

    def begin_anew(self, *, known: bool) -> None:
        """It is another stream than before; all of it is new to those who have known the one before."""
        self.position = 0 if known and self.position is not None else None
        self._sure = self._seen = 0

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
