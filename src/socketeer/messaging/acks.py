"""Acknowledgements waited for, by id, with their time-outs.

The table belongs to one socket, so an id guessed by another client answers for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container
from typing import Any, Protocol

from socketeer.engine.timers import Timer, TimerWheel
from socketeer.errors import AckTimeout, SocketDisconnected


class Waiter(Protocol):
    """Who waits for one acknowledgement."""

    def answered(self, args: list[Any]) -> None:
        """It has come."""
        ...

    def gone(self) -> None:
        """It will not come: the socket has disconnected."""
        ...


class AckTable:
    """The acknowledgements that one socket still owes."""

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: dict[int, Waiter] | None = None
        """None until the first: most sockets are never asked for an acknowledgement."""

    def __len__(self) -> int:
        return len(self._waiters) if self._waiters else 0

    def add(self, ack_id: int, waiter: Waiter) -> None:
        """Tell ``waiter`` when ``ack_id`` is acknowledged."""
        if self._waiters is None:
            self._waiters = {}
        self._waiters[ack_id] = waiter

    def forget(self, ack_id: int) -> None:
        """Nobody waits for ``ack_id`` any more."""
        if self._waiters:
            self._waiters.pop(ack_id, None)

    def resolve(self, ack_id: int, args: list[Any]) -> None:
        """An ACK has come. An unknown id is ignored, as by the official server."""
        waiter = self._waiters.pop(ack_id, None) if self._waiters else None
        if waiter is not None:
            waiter.answered(args)

    def fail_all(self, but: Container[int] = ()) -> None:
        """The socket has disconnected; ``but`` are ids that were not sent yet, and may be answered still."""
        waiters, self._waiters = self._waiters, None
        for ack_id, waiter in waiters.items() if waiters else ():
            if ack_id in but:
                self.add(ack_id, waiter)
            else:
                waiter.gone()


class Reply:
    """Waits for the acknowledgement of one socket."""

    __slots__ = ("_future",)

    def __init__(self) -> None:
        self._future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()

    def answered(self, args: list[Any]) -> None:
        """The acknowledgement has come."""
        if not self._future.done():
            self._future.set_result(args)

    def gone(self) -> None:
        """The socket has disconnected."""
        if not self._future.done():
            self._future.set_exception(SocketDisconnected("socket has been disconnected"))

    def fail(self, error: Exception) -> None:
        """It will not come, for this reason."""
        if not self._future.done():
            self._future.set_exception(error)

    def _late(self) -> None:
        if not self._future.done():
            self._future.set_exception(AckTimeout())

    async def wait(self, wheel: TimerWheel, timeout: float | None) -> Any:
        """What was acknowledged: the value, a tuple of several, None for none.

        Raises:
            AckTimeout: it did not come within ``timeout`` seconds.
            SocketDisconnected: the socket has disconnected before.
        """
        timer = Timer(self._late)
        if timeout is not None:
            wheel.set(timer, timeout)
        try:
            return unpack(await self._future)
        finally:
            wheel.clear(timer)


def unpack(args: list[Any]) -> Any:
    """The arguments of an acknowledgement as one value; a tuple where there are several."""
    if len(args) == 1:
        return args[0]
    return tuple(args) if args else None
