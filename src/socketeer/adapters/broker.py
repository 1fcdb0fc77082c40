"""A bus over a broker: what is on its way out, what is subscribed to, and the link, which comes back by itself.

An engine fills in six methods that talk to its broker. One task for each link runs them: nothing here
is made for a message but its place in the queue.
"""

from __future__ import annotations

import asyncio
import logging
import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from socketeer.adapters.bus import Receive, check_size
from socketeer.adapters.health import Health
from socketeer.adapters.together import until_one_ends
from socketeer.checks import positive, whole
from socketeer.client.reconnect import Backoff
from socketeer.client_options import ReconnectOptions
from socketeer.errors import BrokerUnavailable

log = logging.getLogger("socketeer")

#: Seconds that what is queued has to leave when the last user closes the bus.
_FAREWELL = 1.0

#: How much larger than ours may be what nodes send that have other limits.
_FOREIGN = 4

#: Bytes that go to the broker in one batch, about.
_BATCH = 256 * 1024

#: Bytes that a queued message costs beside its channel's name and its payload, about.
_HELD = 160


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """How the link to a broker is looked after."""

    connect_timeout: float = 5.0
    """Seconds that connecting may take."""
    ping_interval: float = 5.0
    """Seconds between questions whether the broker is still there."""
    ping_timeout: float = 5.0
    """Seconds that it may take to answer, and to accept what is sent."""
    reconnection_delay: float = 0.2
    """Seconds to wait before the first attempt to connect again; they double, and vary at random by half."""
    reconnection_delay_max: float = 5.0
    """Seconds to wait at most."""
    max_pending_bytes: int = 16 * 1024 * 1024
    """Bytes of memory for what waits for the broker while it is away or slow; what comes on top is lost."""

    def __post_init__(self) -> None:
        for name in ("connect_timeout", "ping_interval", "ping_timeout", "reconnection_delay"):
            positive(name, getattr(self, name))
        positive("reconnection_delay_max", self.reconnection_delay_max)
        whole("max_pending_bytes", self.max_pending_bytes, 1)


class Outgoing:
    """A message on its way to the broker. Awaiting it waits until the broker has accepted it."""

    __slots__ = ("_future", "_outcome", "channel", "payload")

    def __init__(self, channel: str, payload: bytes) -> None:
        self.channel = channel
        self.payload = payload
        self._future: asyncio.Future[None] | None = None
        self._outcome: Exception | bool = False
        """True: accepted; False: not yet."""

    def __await__(self) -> Generator[Any, None, None]:
        if self._outcome is False:
            if self._future is None:
                self._future = asyncio.get_running_loop().create_future()
            yield from asyncio.shield(self._future).__await__()
        elif self._outcome is not True:
            raise self._outcome

    @property
    def size(self) -> int:
        """Bytes of memory that it takes, about."""
        return len(self.channel) + len(self.payload) + _HELD

    @property
    def arrived(self) -> bool:
        """Whether the broker has it."""
        return self._outcome is True

    @property
    def refusal(self) -> Exception | None:
        """Why it has failed, if it has."""
        return self._outcome if isinstance(self._outcome, Exception) else None

    def accepted(self) -> None:
        """The broker has it, unless it has been refused."""
        if self._outcome is not False:
            return
        self._outcome = True
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def failed(self, error: Exception) -> None:
        """The broker will not get it, or nobody knows."""
        if self._outcome is not False:
            return
        self._outcome = error
        if self._future is not None and not self._future.done():
            self._future.set_exception(error)
            self._future.exception()  # who waits sees it; if nobody does any more, that is no news


class BrokerBus(ABC):
    """A :class:`~socketeer.adapters.bus.Bus` over a broker.

    Args:
        name: of the broker, for people, without a password.
        options: how the link is looked after.
        max_message_size: bytes of one message that the broker, or its other clients, can bear.
    """

    #: Messages that go to the broker in one batch, at most.
    batch_length = 1_000_000

    def __init__(self, name: str, options: LinkOptions, max_message_size: int) -> None:
        self.health = Health(name)
        self.options = options
        self.max_message_size = max_message_size
        self._users = 0
        self._task: asyncio.Task[None] | None = None
        self._ended: asyncio.Task[None] | None = None
        """The task of before, which may still be giving back its connection."""
        self._queue: deque[Outgoing] = deque()
        self._queued = 0
        """Bytes in the queue."""
        self._last: Outgoing | None = None
        """What was queued last: who waits for it has waited for all."""
        self._receivers: dict[str, tuple[Receive, ...]] = {}
        self._changed: dict[str, None] = {}
        """Channels whose subscription the broker may not know of yet."""
        self._active: set[str] = set()
        """Channels that the broker has a subscription for."""
        self._settling: list[asyncio.Future[None]] = []
        self._wake = asyncio.Event()
        self._up_since = 0.0
        """By the loop's clock."""

    # --- what an engine fills in -------------------------------------------------------------------

    @abstractmethod
    async def _connect(self) -> None:
        """Connect; whatever it raises is the reason why the broker is away."""

    @abstractmethod
    async def _disconnect(self) -> None:
        """Give back what :meth:`_connect` got, or the part of it that it had when it failed."""

    @abstractmethod
    async def _listen(self) -> None:
        """Give each message that comes to :meth:`received`, until the link breaks: then raise."""

    @abstractmethod
    async def _send(self, batch: Sequence[Outgoing]) -> None:
        """Have the broker accept these, in order. One that it refuses by itself is told so by ``failed``."""

    @abstractmethod
    async def _subscribe(self, add: Sequence[str], remove: Sequence[str]) -> None:
        """Change the subscriptions; return when the broker has."""

    @abstractmethod
    async def _ping(self) -> None:
        """Return when the broker has answered, over every connection to it."""

    # --- for adapters --------------------------------------------------------------------------------

    def start(self) -> None:
        """Connect, in the background."""
        self._users += 1
        if self._task is None:  # else it is in use, or about to be closed, and goes on
            self._wake = asyncio.Event()
            self._task = asyncio.get_running_loop().create_task(self._run(self._ended))

    def publish(self, channel: str, payload: bytes) -> Awaitable[None]:
        """Queue a message."""
        check_size(self, payload)
        outgoing = Outgoing(channel, payload)
        size = outgoing.size
        if self._queued + size > self.options.max_pending_bytes or self._task is None:
            self.health.lost += 1
            reason = self.health.reason or (
                "nothing serves yet" if self._task is None else "too much is queued (max_pending_bytes)"
            )
            outgoing.failed(BrokerUnavailable(f"{self.health.name}: {reason}"))
            return outgoing
        self._queue.append(outgoing)
        self._last = outgoing
        self._queued += size
        self._stir()
        return outgoing

    def subscribe(self, channel: str, receive: Receive) -> None:
        """Subscribe, from soon on."""
        self._receivers[channel] = (*self._receivers.get(channel, ()), receive)
        self._change(channel)

    def unsubscribe(self, channel: str, receive: Receive) -> None:
        """End a subscription."""
        left = tuple(each for each in self._receivers.get(channel, ()) if each != receive)
        if left:
            self._receivers[channel] = left
        elif self._receivers.pop(channel, None) is not None:
            self._change(channel)

    async def settled(self) -> None:
        """Wait until the broker knows of every subscription."""
        reason = "nothing serves yet" if self._task is None else self.health.reason
        if reason is not None:
            raise BrokerUnavailable(f"{self.health.name}: {reason}")
        # What the broker is being told of at the moment is in neither.
        if not self.health.ok or self._changed or self._active != self._receivers.keys():
            future = asyncio.get_running_loop().create_future()
            self._settling.append(future)
            await future

    @abstractmethod
    async def subscribers(self, channel: str) -> int:
        """How many nodes have subscribed."""

    async def close(self) -> None:
        """Disconnect, if this was the last user."""
        self._users = max(0, self._users - 1)
        if not self._users:
            await self._see_off()
        task = self._task
        if self._users or task is None:  # somebody uses it again meanwhile
            return
        # Whoever starts it again while the task ends finds it as new.
        self._task, self._ended = None, task
        task.cancel()
        closed = BrokerUnavailable(f"{self.health.name}: closed")
        self.health.idle()
        self._lose(list(self._queue), closed)
        self._queue.clear()
        self._queued = 0
        self._last = None
        self._settle(closed)
        await asyncio.wait({task})

    async def _see_off(self) -> None:
        """Wait until what is queued has left, for a while."""
        if self._last is not None and self.health.reason is None:
            with suppress(Exception):  # it is lost, then, and counted
                async with asyncio.timeout(_FAREWELL):
                    await self._last

    # --- for engines -----------------------------------------------------------------------------------

    def received(self, channel: str, payload: bytes) -> None:
        """A message has come."""
        self.health.received += 1
        if len(payload) > _FOREIGN * self.max_message_size:
            self.health.reject(ValueError(f"{len(payload)} bytes, far above max_message_size"), channel)
            return
        for receive in self._receivers.get(channel, ()):
            try:
                receive(payload)
            except Exception as error:
                if self.health.reject(error, channel):
                    log.exception("a message on %.100r could not be handled", channel)

    # --- the link --------------------------------------------------------------------------------------

    def _change(self, channel: str) -> None:
        self._changed[channel] = None
        self._stir()

    def _stir(self) -> None:
        self._wake.set()

    async def _run(self, before: asyncio.Task[None] | None) -> None:
        if before is not None and not before.done():
            await asyncio.wait({before})
        options = self.options
        backoff = Backoff(
            ReconnectOptions(
                reconnection_delay=options.reconnection_delay,
                reconnection_delay_max=options.reconnection_delay_max,
            )
        )
        self.health.connecting()
        while True:
            try:
                await self._serve()
            except Exception as error:  # noqa: BLE001 - whatever it is, the broker is away
                self._broke(error, backoff)
            finally:
                with suppress(Exception):
                    async with asyncio.timeout(_FAREWELL):
                        await self._disconnect()
            # At the longest wait the back-off varies no more, and all nodes would come at once.
            await asyncio.sleep(backoff.duration() * random.uniform(0.5, 1.0))  # noqa: S311

    async def _serve(self) -> None:
        """Connect and serve until the link breaks."""
        async with asyncio.timeout(self.options.connect_timeout):
            await self._connect()
        self._active.clear()
        self._changed = dict.fromkeys(self._receivers)
        await until_one_ends(self._listen(), self._pump(), self._watch())

    def _broke(self, error: Exception, backoff: Backoff) -> None:
        up_for = asyncio.get_running_loop().time() - self._up_since
        if self.health.ok and up_for > self.options.reconnection_delay_max:
            backoff.reset()  # one that breaks as soon as it is up is not tried at every turn
        text = _words(error)
        self.health.away(text)
        unavailable = BrokerUnavailable(f"{self.health.name}: {text}")
        self._settle(unavailable)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.options.ping_interval)
            async with asyncio.timeout(self.options.ping_timeout):
                await self._ping()

    async def _pump(self) -> None:
        wake = self._wake
        while True:
            if self._changed:
                await self._resubscribe()
            elif not self.health.ok:
                self._up_since = asyncio.get_running_loop().time()
                self.health.up()
            elif self._settling:
                self._settle()
            elif self._queue:
                await self._send_some()
            else:
                wake.clear()
                await wake.wait()

    async def _resubscribe(self) -> None:
        changed, self._changed = self._changed, {}
        add = [each for each in changed if each in self._receivers and each not in self._active]
        remove = [each for each in changed if each not in self._receivers and each in self._active]
        if add or remove:
            async with asyncio.timeout(self.options.ping_timeout):
                await self._subscribe(add, remove)
            self._active.update(add)
            self._active.difference_update(remove)

    def _settle(self, error: Exception | None = None) -> None:
        settling, self._settling = self._settling, []
        for future in settling:
            if future.done():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

    async def _send_some(self) -> None:
        batch, size = list[Outgoing](), 0
        while self._queue and size < _BATCH and len(batch) < self.batch_length:
            outgoing = self._queue.popleft()
            batch.append(outgoing)
            size += outgoing.size
        self._queued -= size
        try:
            async with asyncio.timeout(self.options.ping_timeout):
                await self._send(batch)
        except BaseException as error:
            # The broker may have got some of them: sent once more, they might arrive twice.
            self._lose(batch, BrokerUnavailable(f"{self.health.name}: {_words(error)}"))
            raise
        refused = 0
        for outgoing in batch:
            outgoing.accepted()
            if outgoing.refusal is not None:
                refused += 1
                self.health.refuse(outgoing.refusal)
        self.health.accepted(len(batch) - refused)

    def _lose(self, batch: Sequence[Outgoing], error: Exception) -> None:
        for outgoing in batch:
            self.health.lost += not outgoing.arrived
            outgoing.failed(error)


def _words(error: BaseException) -> str:
    if isinstance(error, asyncio.CancelledError):
        return "the connection was closed"
    return "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
