"""A bus as processes use it that serve nobody: from any thread, with a loop of its own in the background."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Generator
from concurrent.futures import Future
from typing import Any

from socketeer.adapters.bus import Bus, Receive, check_size
from socketeer.adapters.health import Health
from socketeer.client.background import LoopThread, background
from socketeer.errors import UsageError


class Told(Awaitable[None]):
    """A message on its way. Await it, or wait in an ordinary thread, until the broker has accepted it."""

    __slots__ = ("_future",)

    def __init__(self) -> None:
        self._future: Future[None] = Future()

    def __await__(self) -> Generator[Any, None, None]:
        return asyncio.wrap_future(self._future).__await__()

    def wait(self, timeout: float | None = None) -> None:
        """Wait in an ordinary thread.

        Raises:
            BrokerUnavailable: the broker did not accept it.
            TimeoutError: it took longer than ``timeout`` seconds.
        """
        self._future.result(timeout)

    def end(self, error: BaseException | None) -> None:
        """It has been accepted, or not."""
        if not self._future.done():
            if error is None:
                self._future.set_result(None)
            else:
                self._future.set_exception(error)


class Postbox:
    """A :class:`~socketeer.adapters.bus.Bus` to publish only; any thread may.

    Args:
        bus: what moves the bytes, in the background's loop. It is used by nobody else.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._thread: LoopThread | None = None
        self._lock = threading.Lock()
        """Who starts it."""

    @property
    def health(self) -> Health:
        """How it stands."""
        return self._bus.health

    @property
    def max_message_size(self) -> int:
        """Bytes of one message, at most."""
        return self._bus.max_message_size

    def start(self) -> None:
        """Connect, in the background; more calls change nothing.

        Raises:
            UsageError: it has been started in the process that this one was forked from.
        """
        thread = background()
        if self._thread is thread:
            return
        with self._lock:
            if self._thread is None:
                thread.run(self._bus.start)
                thread.clients.add(self)
                self._thread = thread
            elif self._thread is not thread:
                raise UsageError(
                    "this emitter was used in the process that this one was forked from: make one in each process"
                )

    def publish(self, channel: str, payload: bytes) -> Told:
        """Send a message; those of one thread leave in the order of its calls."""
        check_size(self, payload)
        self.start()
        told = Told()
        if self._thread is not None:
            self._thread.post(self._publish, channel, payload, told)
        return told

    def _publish(self, channel: str, payload: bytes, told: Told) -> None:
        task = asyncio.ensure_future(_accepted(self._bus.publish(channel, payload)))
        task.add_done_callback(lambda done: told.end(_failure(done)))

    async def close(self) -> None:
        """Send what is queued, and disconnect; for the background's loop."""
        if self._thread is not None:
            self._thread = None
            await self._bus.close()

    def end(self) -> None:
        """As :meth:`close`, from any other thread."""
        if self._thread is not None:
            self._thread.run(self.close)

    # --- an emitter hears nothing -----------------------------------------------------------------

    def subscribe(self, channel: str, receive: Receive) -> None:
        """Nobody listens."""

    def unsubscribe(self, channel: str, receive: Receive) -> None:
        """Nobody has listened."""

    async def settled(self) -> None:
        """There is no subscription."""

    async def subscribers(self, channel: str) -> int:
        """How many nodes have subscribed."""
        return await self._bus.subscribers(channel)


async def _accepted(sent: Awaitable[None]) -> None:
    await sent


def _failure(done: asyncio.Future[None]) -> BaseException | None:
    return asyncio.CancelledError() if done.cancelled() else done.exception()
