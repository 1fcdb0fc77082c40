"""Acknowledgements of many clients, gathered."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from socketeer.engine.timers import Timer, TimerWheel
from socketeer.errors import AckTimeout
from socketeer.messaging.acks import Waiter


class Gatherer(Waiter, Protocol):
    """Who asks several sockets at once."""

    def expect(self) -> None:
        """One more socket is asked."""
        ...


class Replies:
    """Gathers the acknowledgements of many sockets; only the first value of each counts."""

    __slots__ = ("_future", "_missing", "_waived", "responses")

    def __init__(self) -> None:
        self.responses: list[Any] = []
        self._missing = 1
        """Those who have not answered, and one more until all have been asked: a socket may break meanwhile."""
        self._waived = 0
        self._future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def expect(self) -> None:
        """One more socket is asked."""
        self._missing += 1

    def answered(self, args: list[Any]) -> None:
        """A socket has acknowledged."""
        self.responses.append(args[0] if args else None)
        self._one_less()

    def gone(self) -> None:
        """A socket has disconnected: without a time-out nobody waits for it, with one it counts as late."""
        self._waived += 1
        self._one_less()

    def _one_less(self) -> None:
        self._missing -= 1
        if self._missing == 0 and not self._future.done():
            self._future.set_result(None)

    def _late(self) -> None:
        if not self._future.done():
            self._future.set_exception(AckTimeout(responses=self.responses))

    async def wait(self, wheel: TimerWheel, timeout: float | None) -> list[Any]:
        """All have been asked: all the values, or AckTimeout with those that came."""
        self._one_less()
        timer = Timer(self._late)
        if timeout is not None:
            wheel.set(timer, timeout)
        try:
            await self._future
        finally:
            if timeout is not None:
                wheel.clear(timer)
        if self._waived and timeout is not None:
            raise AckTimeout(responses=self.responses)
        return self.responses
